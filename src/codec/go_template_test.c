/*
 * codec/go_template_test.c - templates as people write them in rules.
 */
#include "codec/go_template.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char data[] =
    "{\"name\": \"Wohnzimmer <1>\", \"n\": 21, \"real\": 21.5, \"big\": 1e21,"
    "\"zero\": 0, \"yes\": true, \"no\": false, \"null\": null,"
    "\"empty\": \"\", \"list\": [3, \"b\", null, {\"k\": 1}], \"none\": [],"
    "\"map\": {\"b\": 2, \"a\": \"x\", \"dotted.key\": 7},"
    "\"at\": \"2024-07-01T12:30:45.250Z\","
    "\"taskEvent\": {\"entityType\": \"field\", \"entity\": {\"current\": "
    "{\"value\": \"ON\", \"timestamp\": \"2024-07-01T12:00:00Z\"}}},"
    "\"rooms\": [{\"name\": \"bath\", \"t\": 22.5},"
    "{\"name\": \"hall\", \"t\": 18}]}";

static struct zone *berlin;

static int
sun(void *ctx, bool set, int64_t *ret_ms, struct err *err)
{
	(void)ctx;
	(void)err;
	assert_true(time_parse(
	    set ? STR("2024-07-01T19:30:00Z") : STR("2024-07-01T03:10:00Z"),
	    ret_ms));
	return 0;
}

static struct go_template_host
host(void)
{
	struct go_template_host h = {
		.zone = berlin, .sun = sun, .version = "0.1.0"
	};

	assert_true(time_parse(STR("2024-07-01T12:30:45.250Z"), &h.now_ms));
	return h;
}

/* What comes out, or "error: " and why not. */
static const char *
with_host(const struct go_template_host *h, const char *text)
{
	static char said[4096];
	struct arena a = { 0 };
	struct buf out = { 0 };
	struct err err;

	buf_addz(&out, "[");
	if (go_template_render(&a, str_of(text), str_of(data), h, &out, &err) ==
	    0)
		snprintf(said, sizeof(said), "%s", buf_z(&out) + 1);
	else
		snprintf(said, sizeof(said), "error: %s", err.text);
	if (str_starts(str_of(said), STR("error:")))
		assert_string_equal(buf_z(&out), "["); /* as before */
	buf_free(&out);
	arena_fini(&a);
	return said;
}

static const char *
render(const char *text)
{
	struct go_template_host h = host();

	return with_host(&h, text);
}

struct sample {
	const char *text, *out;
};

static void
check(const struct sample *samples, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *said = render(samples[i].text);

		if (strcmp(said, samples[i].out) != 0)
			fail_msg("%s\n  gives  %s\n  not    %s",
			    samples[i].text, said, samples[i].out);
	}
}

static void
values_are_looked_up_and_shown(void **state)
{
	static const struct sample samples[] = {
		{ "", "" },
		{ "plain } {", "plain } {" },
		{ "{{ .name }}!", "Wohnzimmer <1>!" },
		{ "{{.n}} {{.real}} {{.big}} {{.yes}}", "21 21.5 1e+21 true" },
		{ "{{ .taskEvent.Entity.Current.Value }}", "ON" },
		{ "{{ .TASKEVENT.entityType }}", "field" },
		{ "{{ .nothing }} {{ .nothing.at.all }} {{ .null }}",
		    "<no value> <no value> <no value>" },
		{ "{{ .list }} {{ .map }}",
		    "[3 b <nil> map[k:1]] map[a:x b:2 dotted.key:7]" },
		{ "{{ $.n }} {{ $ | len }}", "21 15" },
		{ "{{ (index .rooms 1).name }}", "hall" },
		{ "{{ \"a\\tb\\u00e9\\x41\\\"\" }} {{ `raw \\n` }}",
		    "a\tb\xc3\xa9"
		    "A\" raw \\n" },
		{ "{{ 0x10 }} {{ -3 }} {{ 1_000 }} {{ 0b101 }} {{ 0o17 }} "
		  "{{ 1e3 }} {{ .5 }} {{ 'a' }} {{ '\xc3\xa9' }}",
		    "16 -3 1000 5 15 1000 0.5 97 233" },
		{ "{{ 123456789012345680000.0 }} {{ 0.000001 }} {{ 0.0001 }} "
		  "{{ 100.25 }} {{ -0.5 }}",
		    "123456789012345680000 1e-06 0.0001 100.25 -0.5" },
	};

	(void)state;
	check(samples, COUNT_OF(samples));
}

static void
white_space_is_trimmed_where_marked(void **state)
{
	static const struct sample samples[] = {
		{ "a {{- 1 -}} b", "a1b" },
		{ "a\n\t{{- 1 }} b", "a1 b" },
		{ "a {{ 1 -}}\n b", "a 1b" },
		{ "a {{-3}} b", "a -3 b" },
		{ "a {{/* note }} */}} b", "a  b" },
		{ "a {{- /* note */ -}} b", "ab" },
		{ "{{\n.n\n}}", "21" },
		{ "{{ \"}}\" }}", "}}" },
	};

	(void)state;
	check(samples, COUNT_OF(samples));
}

static void
branches_and_loops_go_as_in_go(void **state)
{
	static const struct sample samples[] = {
		{ "{{ if .yes }}a{{ else }}b{{ end }}", "a" },
		{ "{{ if .zero }}a{{ else if .empty }}b{{ else if .n }}c"
		  "{{ else }}d{{ end }}",
		    "c" },
		{ "{{ if .none }}a{{ end }}{{ if .map }}b{{ end }}"
		  "{{ if .null }}c{{ end }}{{ if not .no }}d{{ end }}",
		    "bd" },
		{ "{{ with .map }}{{ .a }}{{ $.n }}{{ end }}{{ .n }}",
		    "x2121" },
		{ "{{ with .nothing }}a{{ else }}b{{ .n }}{{ end }}", "b21" },
		{ "{{ with $v := .map }}{{ $v.b }}{{ end }}", "2" },
		{ "{{ with .no }}a{{ else with .n }}{{ . }}{{ end }}", "21" },
		{ "{{ range .rooms }}{{ .name }}={{ .t }};{{ end }}",
		    "bath=22.5;hall=18;" },
		{ "{{ range $i, $r := .rooms }}{{ $i }}{{ $r.name }} {{ end }}",
		    "0bath 1hall " },
		{ "{{ range $r := .rooms }}{{ $r.t }} {{ end }}", "22.5 18 " },
		{ "{{ range $k, $v := .map }}{{ $k }}={{ $v }} {{ end }}",
		    "a=x b=2 dotted.key=7 " },
		{ "{{ range .none }}a{{ else }}none{{ end }}", "none" },
		{ "{{ range .nothing }}a{{ end }}", "" },
		{ "{{ range 3 }}{{ . }}{{ end }}", "012" },
		{ "{{ range .list }}{{ if eq . \"b\" }}{{ break }}{{ end }}"
		  "{{ . }}{{ end }}",
		    "3" },
		{ "{{ range .list }}{{ if eq . 3 }}{{ continue }}{{ end }}"
		  "{{ . }};{{ end }}",
		    "b;<no value>;map[k:1];" },
		{ "{{ $x := 1 }}{{ range .rooms }}{{ $x = .name }}{{ end }}"
		  "{{ $x }}",
		    "hall" },
		{ "{{ $x := 1 }}{{ if true }}{{ $x := 2 }}{{ $x }}{{ end }}"
		  "{{ $x }}",
		    "21" },
		{ "{{ $x := .n }}{{ $y := printf \"%v!\" $x }}{{ $y }}",
		    "21!" },
		{ "{{ if $x := .n }}{{ $x }}{{ end }}", "21" },
		{ "{{ range $i, $e := .rooms }}{{ range $e }}{{ $i }}{{ end }}"
		  "{{ end }}",
		    "0011" },
	};

	(void)state;
	check(samples, COUNT_OF(samples));
}

static void
functions_give_what_go_gives(void **state)
{
	static const struct sample samples[] = {
		{ "{{ eq .n 21 }} {{ eq .n 21.0 }} {{ eq .n 1 2 21 }} "
		  "{{ eq .name .n }} {{ eq .null nil }} {{ ne .yes .no }}",
		    "true true true false true true" },
		{ "{{ lt .n 22 }} {{ le .real 21.5 }} {{ gt \"b\" \"a\" }} "
		  "{{ ge 1 2 }}",
		    "true true true false" },
		{ "{{ and .n .name }} {{ and .zero .nothing.x }} "
		  "{{ or .empty 0 \"c\" }} {{ or .zero .empty }}",
		    "Wohnzimmer <1> 0 c " },
		{ "{{ and .no (index .none 9) }}", "false" }, /* not looked */
		{ "{{ .yes | and true | not }}", "false" },
		{ "{{ len .name }} {{ len .list }} {{ len .map }}", "14 4 3" },
		{ "{{ index .list 0 }} {{ index .map \"dotted.key\" }} "
		  "{{ index .rooms 1 \"name\" }} {{ index .map \"z\" }} "
		  "{{ index \"abc\" 1 }}",
		    "3 7 hall <no value> 98" },
		{ "{{ slice .name 0 4 }} {{ slice .list 1 }} "
		  "{{ slice .list 1 2 }} {{ slice \"abc\" 3 }}",
		    "Wohn [b <nil> map[k:1]] [b] " },
		{ "{{ html .name }} {{ js \"it's <b>\" }} "
		  "{{ urlquery \"a b&c/\xc3\xa9\" }}",
		    "Wohnzimmer &lt;1&gt; it\\'s \\u003Cb\\u003E "
		    "a+b%26c%2F%C3%A9" },
		{ "{{ print 1 2 \"a\" 3 }} {{ println 1 \"a\" }}",
		    "1 2a3 1 a\n" },
		{ "{{ toJson .map }} {{ marshal .list }} {{ .name | toJson }} "
		  "{{ toJson .nothing }} {{ toJson .real }}",
		    "{\"b\":2,\"a\":\"x\",\"dotted.key\":7} "
		    "[3,\"b\",null,{\"k\":1}] \"Wohnzimmer <1>\" null 21.5" },
		{ "{{ keyPath . \"taskEvent.Entity.current.value\" }} "
		  "{{ keyPath .rooms \"1.name\" }} {{ keyPath . \"a.b\" }}",
		    "ON hall <no value>" },
		{ "{{ ternary .yes \"a\" \"b\" }} {{ ternary .zero 1 2 }}",
		    "a 2" },
		{ "{{ default \"x\" .empty }} {{ .n | default 3 }} "
		  "{{ .nothing | default \"-\" }}",
		    "x 21 -" },
		{ "{{ version }}", "0.1.0" },
		{ "{{ .n | printf \"%d-%s\" 7 }}", "7-%!s(int=21)" },
	};

	(void)state;
	check(samples, COUNT_OF(samples));
}

static void
printf_knows_its_verbs(void **state)
{
	static const struct sample samples[] = {
		{ "{{ printf \"%d %5d|%-5d|%05d|%+d|%x|%X|%o|%b|%c\" 1 2 3 4 5 "
		  "255 255 8 5 233 }}",
		    "1     2|3    |00004|+5|ff|FF|10|101|\xc3\xa9" },
		{ "{{ printf \"%.1f %6.2f|%-7.1f|%07.2f|%e %g %v\" .real 3 "
		  "2.25 "
		  "-1.5 1234.5 1234567.0 1234567.0 }}",
		    "21.5   3.00|2.2    |-001.50|1.234500e+03 1.234567e+06 "
		    "1234567" },
		{ "{{ printf \"%s|%10s|%-4s|%.2s|%q|%x\" \"a\" \"b\" \"c\" "
		  "\"\xc3\xa9tat\" \"a\\\"b\\n\" \"hi\" }}",
		    "a|         b|c   |\xc3\xa9t|\"a\\\"b\\n\"|6869" },
		{ "{{ printf \"%v %v %v %t\" nil .list true false }}",
		    "<nil> [3 b <nil> map[k:1]] true false" },
		{ "{{ printf \"%d%%\" 50 }}", "50%" },
		{ "{{ printf \"%d %d\" 1 }}", "1 %!d(MISSING)" },
		{ "{{ printf \"%d\" 1 2 \"x\" }}",
		    "1%!(EXTRA int=2, string=x)" },
		{ "{{ printf \"%d %s %z\" \"x\" 1 2 }}",
		    "%!d(string=x) %!s(int=1) %!z(int=2)" },
		{ "{{ printf \"%d %.1f\" 21.0 21 }}", "21 21.0" },
		{ "{{ printf \"50%\" }}", "50%!(NOVERB)" },
	};

	(void)state;
	check(samples, COUNT_OF(samples));
}

static void
times_are_shown_in_the_zone(void **state)
{
	static const struct sample samples[] = {
		{ "{{ now }}", "2024-07-01 14:30:45.25 +0200 CEST" },
		{ "{{ now.Format \"2006-01-02T15:04:05Z07:00\" }}",
		    "2024-07-01T14:30:45+02:00" },
		{ "{{ now.UTC.Format \"Mon Jan _2 03:04:05.000 PM 2006 MST\" "
		  "}}",
		    "Mon Jul  1 12:30:45.250 PM 2024 UTC" },
		{ "{{ (now.Add \"-36h\").Format \"Monday, January 2, 3:04pm\" "
		  "}}",
		    "Sunday, June 30, 2:30am" },
		{ "{{ (now.Add 3600000000000).Hour }}", "15" },
		{ "{{ (now.AddDate 0 -5 1).Format \"2006-01-02 15:04 -0700 002 "
		  "06\" }}",
		    "2024-02-02 14:30 +0100 033 24" },
		{ "{{ now.Unix }} {{ now.UnixMilli }} {{ .at.UnixNano }}",
		    "1719837045 1719837045250 1719837045250000000" },
		{ "{{ now.Year }} {{ now.Month }} {{ now.Day }} "
		  "{{ now.Weekday }} {{ now.YearDay }} {{ now.Minute }}",
		    "2024 July 1 Monday 183 30" },
		{ "{{ .taskEvent.entity.current.timestamp.Format \"15:04\" }}",
		    "14:00" },
		{ "{{ (now.Sub .taskEvent.entity.current.timestamp).Minutes }}",
		    "30.754166666666666" },
		{ "{{ now.Sub .taskEvent.entity.current.timestamp }}",
		    "30m45.25s" },
		{ "{{ sunrise.Format \"15:04\" }} {{ sunset.Format \"15:04\" "
		  "}} "
		  "{{ (sunset.Add \"-10m\").Format \"15:04\" }}",
		    "05:10 21:30 21:20" },
		{ "{{ if and (now.After sunrise) (now.Before sunset) }}day"
		  "{{ end }}",
		    "day" },
		{ "{{ lt sunrise now }} {{ eq now .at }} {{ gt .at sunset }}",
		    "true true false" },
		{ "{{ now.Format \"Janes 2 .9 05.000 05,999 __2 Z07\" }}",
		    "Janes 1 .2 45.250 45,25 183 +02" },
		{ "{{ toJson now }}", "\"2024-07-01T14:30:45.25+02:00\"" },
	};

	(void)state;
	check(samples, COUNT_OF(samples));
}

static void
errors_say_the_line_and_why(void **state)
{
	static const struct sample samples[] = {
		{ "a\nb\n{{ .x", "error: line 3: an action is not closed" },
		{ "{{ if .x }}", "error: line 1: end is missing" },
		{ "{{ end }}", "error: line 1: unexpected end" },
		{ "{{ else }}", "error: line 1: unexpected else" },
		{ "\n{{ frobnicate 1 }}",
		    "error: line 2: unknown function frobnicate" },
		{ "{{ $x }}", "error: line 1: undefined variable $x" },
		{ "{{ if 1 }}{{ $x := 1 }}{{ else }}{{ $x }}{{ end }}",
		    "error: line 1: undefined variable $x" },
		{ "{{ define \"x\" }}{{ end }}",
		    "error: line 1: unexpected define" },
		{ "{{ break }}", "error: line 1: break outside of range" },
		{ "{{ }}", "error: line 1: a value is missing" },
		{ "{{ .a | }}", "error: line 1: a value is missing" },
		{ "{{ (.a }}", "error: line 1: a parenthesis is not closed" },
		{ "{{ .a ) }}", "error: line 1: unexpected word in an action" },
		{ "{{ \"a }}", "error: line 1: a text is not closed" },
		{ "{{ \"\\z\" }}", "error: line 1: bad escape in a text" },
		{ "{{ 1x }}", "error: line 1: bad number 1x" },
		{ "{{ 99999999999999999999999x }}",
		    "error: line 1: bad number 99999999999999999999999x" },
		{ "{{ 1 2 }}",
		    "error: line 1: can't give arguments to what is no "
		    "function" },
		{ "{{ .n | .m }}",
		    "error: line 1: m is no method and can't have arguments" },
		{ "{{ nil }}", "error: line 1: nil is not a command" },
		{ "{{ /* x }}", "error: line 1: a comment is not closed" },
		{ "{{ . # }}", "error: line 1: unexpected #" },
		{ "{{ .n }}\n{{ .n.x }}",
		    "error: line 2: a int has no field x" },
		{ "{{ len 3 }}", "error: line 1: len of a int" },
		{ "{{ lt 1 \"a\" }}",
		    "error: line 1: a int and a string can not be compared" },
		{ "{{ index .list 4 }}",
		    "error: line 1: index out of range: 4" },
		{ "{{ slice .name 3 2 }}",
		    "error: line 1: invalid slice: 3 > 2" },
		{ "{{ not 1 2 }}",
		    "error: line 1: wrong number of arguments for not" },
		{ "{{ now.Add \"soon\" }}",
		    "error: line 1: Add: a duration is needed, such as "
		    "\"10m\"" },
		{ "{{ range .name }}{{ end }}",
		    "error: line 1: range over a string" },
		{ "{{ printf 3 }}",
		    "error: line 1: printf: the format is a int, not a "
		    "string" },
	};
	struct err err;

	(void)state;
	check(samples, COUNT_OF(samples));
	assert_int_equal(go_template_check(STR("{{ if }}"), &err), ERR_PARAM);
	assert_string_equal(err.text, "line 1: a value is missing");
	assert_int_equal(go_template_check(STR("{{ .any.thing }}"), &err), 0);
}

static void
what_grows_is_stopped(void **state)
{
	struct go_template_host h = host();
	char *deep = malloc(100000);
	size_t n = 0;

	(void)state;
	h.max_output = 100;
	h.max_steps = 1000;
	assert_string_equal(
	    with_host(&h, "{{ range 1000000 }}0123456789{{ end }}"),
	    "error: line 1: the output is over 100 bytes");
	assert_string_equal(with_host(&h, "{{ range 1000000 }}{{ end }}"),
	    "error: line 1: too many steps");
	assert_string_equal(with_host(&h, "{{ $x := printf \"%101d\" 1 }}"),
	    "error: line 1: a text is over 100 bytes");
	assert_string_equal(with_host(&h, "{{ printf \"%99999999999d\" 1 }}"),
	    "error: line 1: a text is over 100 bytes");
	h.max_steps = 1000000;
	assert_string_equal(with_host(&h,
				"{{ range 1000000 }}"
				"{{ $x := printf \"%99d\" . }}"
				"{{ end }}"),
	    "error: line 1: too much memory");

	for (int i = 0; i < 65; i++)
		n += (size_t)sprintf(deep + n, "{{ if 1 }}");
	assert_string_equal(
	    with_host(&h, deep), "error: line 1: nested too deeply");
	n = (size_t)sprintf(deep, "{{ ");
	for (int i = 0; i < 9000; i++)
		n += (size_t)sprintf(deep + n, "(");
	assert_string_equal(
	    with_host(&h, deep), "error: line 1: nested too deeply");
	memset(deep, '[', 99999);
	deep[99999] = '\0';
	assert_string_equal(with_host(&h, "{{ . }}{{ $x := 1 }}"),
	    "error: line 1: the output is over 100 bytes");
	free(deep);
}

static void
data_that_is_no_json_is_refused(void **state)
{
	struct go_template_host h = host();
	struct arena a = { 0 };
	struct buf out = { 0 };
	struct err err;

	(void)state;
	assert_int_equal(
	    go_template_render(&a, STR("x"), STR("{"), &h, &out, &err),
	    ERR_PARAM);
	assert_string_equal(err.text, "the data of a template is no JSON");
	assert_int_equal(go_template_render(&a, STR("{{ .a }}{{ len . }}"),
			     STR_NULL, &h, &out, &err),
	    0);
	assert_string_equal(buf_z(&out), "<no value>0");
	buf_free(&out);
	arena_fini(&a);
}

static const char *
render_json(const struct go_template_host *h, const char *json)
{
	static char said[4096];
	struct arena a = { 0 };
	struct buf out = { 0 };
	struct err err;

	if (go_template_render_json(
		&a, str_of(json), str_of(data), h, &out, &err) == 0)
		snprintf(said, sizeof(said), "%s", buf_z(&out));
	else
		snprintf(said, sizeof(said), "error: %s", err.text);
	if (str_starts(str_of(said), STR("error:")))
		assert_int_equal(out.len, 0);
	buf_free(&out);
	arena_fini(&a);
	return said;
}

static void
the_texts_of_a_json_value_are_templates(void **state)
{
	struct go_template_host h = host();

	(void)state;
	assert_string_equal(
	    render_json(&h,
		"{\"a {{ .n }}\": \"{{ printf \\\"%d\\\" .n }}\", \"b\": "
		"[1.50, null, true, \"x\", {\"c\": \"{{ .name }}\\n\"}], "
		"\"d\": \"{{ .empty }}\"}"),
	    "{\"a {{ .n }}\":\"21\",\"b\":[1.50,null,true,\"x\","
	    "{\"c\":\"Wohnzimmer <1>\\n\"}],\"d\":\"\"}");
	assert_string_equal(
	    render_json(&h, "\"{{ toJson .map.b }}\""), "\"2\"");
	assert_string_equal(
	    render_json(&h, "{\"a\": {\"b\": [0, \"x\\n{{ frob }}\"]}}"),
	    "error: a: b: [1]: line 2: unknown function frob");
	assert_string_equal(render_json(&h, "{\"a\": "),
	    "error: line 1 column 7: unexpected end");
	assert_string_equal(render_json(&h, "\""),
	    "error: line 1 column 1: string without its end");
	h.max_steps = 1500;
	assert_string_equal(
	    render_json(&h, "[\"{{ range 900 }}{{ end }}\"]"), "[\"\"]");
	assert_string_equal(render_json(&h,
				"[\"{{ range 900 }}{{ end }}\", "
				"\"{{ range 900 }}{{ end }}\"]"),
	    "error: [1]: line 1: too many steps");
	h.max_output = 50;
	assert_string_equal(render_json(&h,
				"[\"{{ printf \\\"%30d\\\" 1 }}\", "
				"\"{{ printf \\\"%30d\\\" 1 }}\"]"),
	    "error: [1]: the output is over 50 bytes");
}

static int
set_up(void **state)
{
	struct buf bytes = { 0 };
	struct err err;
	int rc;

	(void)state;
	rc = file_read("/usr/share/zoneinfo/Europe/Berlin", &bytes, &err);
	if (rc == 0)
		rc = zone_new(
		    buf_str(&bytes), STR("Europe/Berlin"), &berlin, &err);
	buf_free(&bytes);
	return rc;
}

static int
tear_down(void **state)
{
	(void)state;
	zone_free(berlin);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_are_looked_up_and_shown),
		cmocka_unit_test(white_space_is_trimmed_where_marked),
		cmocka_unit_test(branches_and_loops_go_as_in_go),
		cmocka_unit_test(functions_give_what_go_gives),
		cmocka_unit_test(printf_knows_its_verbs),
		cmocka_unit_test(times_are_shown_in_the_zone),
		cmocka_unit_test(errors_say_the_line_and_why),
		cmocka_unit_test(what_grows_is_stopped),
		cmocka_unit_test(data_that_is_no_json_is_refused),
		cmocka_unit_test(the_texts_of_a_json_value_are_templates),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
