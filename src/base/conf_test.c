/*
 * base/conf_test.c - settings: spellings, precedence, checks.
 */
#include "base/test.h"

#include "base/base.h"
#include "base/conf.h"

#include <stdio.h>
#include <string.h>

struct values {
	int64_t port, style, size, span;
	struct str url, scopes;
	bool flag;
};

#define V struct values
static const char *const styles[] = { "json", "log4j", NULL };
static const char *const misprints[] = { "log.httpport", NULL };
static const struct conf_field fields[] = {
	CONF_INT(V, port, "httpPort", .alias = misprints, .def = "1080",
	    .max = 65535, .help = "Port."),
	CONF_ENUM(V, style, "style", .choices = styles, .def = "json",
	    .fallback = true, .help = "Style."),
	CONF_SIZE(V, size, "bodyMax", .def = "64KiB", .help = "Size."),
	CONF_MS(V, span, "idle", .def = "30s", .help = "Span."),
	CONF_TEXT(V, url, "mqChannels.data.url", .help = "Url."),
	CONF_JSON(V, scopes, "apiScopes", .def = "{}", .help = "Scopes."),
	CONF_BOOL(V, flag, "on", .def = "false", .help = "Flag."),
	{ 0 },
};

static struct values v;
static const struct conf_section sections[] = {
	{ "server", "A section.", fields, &v },
	{ 0 },
};

static char said[1024];

static void
collect(void *ctx, const char *text)
{
	(void)ctx;
	strcat(strcat(said, text), ";");
}

static void
defaults_are_in_place(void **state)
{
	struct conf *c = conf_new(sections);

	(void)state;
	assert_int_equal(conf_apply(c, NULL), 0);
	assert_int_equal(v.port, 1080);
	assert_int_equal(v.size, 65536);
	assert_int_equal(v.span, 30000);
	assert_null(v.url.ptr);
	assert_str(v.scopes, "{}");
	conf_free(c);
}

static void
every_spelling_of_a_key_is_known(void **state)
{
	static const char *const flags[] = { "--server.httpport=1",
		"--server.http-port=1", "--server.httpPort=1" };
	static char *envs[][2] = { { "SERVER_HTTP_PORT=2", NULL },
		{ "SERVER_HTTPPORT=2", NULL } };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(flags); i++) {
		struct conf *c = conf_new(sections);
		char *argv[] = { "x", (char *)flags[i] };
		int at = 1;

		assert_int_equal(conf_flag(c, 2, argv, &at, NULL), 1);
		assert_int_equal(conf_apply(c, NULL), 0);
		assert_int_equal(v.port, 1);
		conf_free(c);
	}
	for (size_t i = 0; i < COUNT_OF(envs); i++) {
		struct conf *c = conf_new(sections);

		conf_environ(c, envs[i]);
		assert_int_equal(conf_apply(c, NULL), 0);
		assert_int_equal(v.port, 2);
		conf_free(c);
	}
}

static void
the_file_wins_and_says_what_it_overruled(void **state)
{
	struct conf *c = conf_new(sections);
	char *env[] = { "SERVER_HTTP_PORT=2", "SERVER_ON=true", NULL };
	char *argv[] = { "x", "--server.http-port", "3", "--server.on" };
	int i = 1;

	(void)state;
	said[0] = '\0';
	conf_environ(c, env);
	assert_int_equal(conf_flag(c, 4, argv, &i, NULL), 1);
	assert_int_equal(i, 2);
	i++;
	assert_int_equal(conf_flag(c, 4, argv, &i, NULL), 1);
	conf_file_value(c, STR("server.httpPort"), STR("4"), false, NULL);
	assert_int_equal(conf_apply(c, NULL), 0);
	assert_int_equal(v.port, 4);
	assert_true(v.flag);
	assert_int_equal(conf_source_of(c, "server.httpPort"), CONF_FILE);
	assert_int_equal(conf_source_of(c, "server.on"), CONF_FLAG);
	conf_warnings(c, collect, NULL);
	assert_string_equal(said,
	    "--server.http-port has no effect: the file sets server.httpPort;"
	    "SERVER_HTTP_PORT has no effect: the file sets server.httpPort;");
	conf_free(c);
}

static void
null_in_a_file_means_not_set_on_purpose(void **state)
{
	struct conf *c = conf_new(sections);
	char *env[] = { "SERVER_MQCHANNELS_DATA_URL=amqp://x", NULL };

	(void)state;
	conf_environ(c, env);
	conf_file_value(
	    c, STR("server.mqChannels.data.url"), STR_NULL, true, NULL);
	assert_int_equal(conf_apply(c, NULL), 0);
	assert_null(v.url.ptr);
	assert_true(conf_is_null(c, "server.mqChannels.data.url"));
	conf_free(c);
}

static void
a_misprint_is_taken_with_a_warning(void **state)
{
	struct conf *c = conf_new(sections);

	(void)state;
	said[0] = '\0';
	conf_file_value(c, STR("log.httpport"), STR("5"), false, NULL);
	conf_file_value(c, STR("server.nosuch"), STR("5"), false, NULL);
	conf_file_value(c, STR("router.wan"), STR("[]"), false, NULL);
	assert_int_equal(conf_apply(c, NULL), 0);
	assert_int_equal(v.port, 5);
	conf_warnings(c, collect, NULL);
	assert_string_equal(said,
	    "log.httpport: this setting is called server.httpPort;"
	    "server.nosuch: there is no such setting; it has no effect;");
	conf_free(c);
}

static void
bad_values_say_where_they_came_from(void **state)
{
	struct conf *c = conf_new(sections);
	struct err err;

	(void)state;
	conf_file_value(c, STR("server.httpPort"), STR("70000"), false, NULL);
	assert_int_equal(conf_apply(c, &err), ERR_PARAM);
	assert_string_equal(err.text, "server.httpPort: must be 0 to 65535");
	conf_free(c);
	c = conf_new(sections);
	conf_file_value(c, STR("server.idle"), STR("soon"), false, NULL);
	assert_int_equal(conf_apply(c, &err), ERR_PARAM);
	assert_string_equal(err.text,
	    "server.idle: \"soon\" is not a time (ms, or 30s, 5m, 1h)");
	conf_free(c);
}

static void
a_bad_variable_or_unknown_word_means_the_default(void **state)
{
	struct conf *c = conf_new(sections);
	char *env[] = { "SERVER_HTTP_PORT=many", NULL };

	(void)state;
	conf_environ(c, env);
	conf_file_value(c, STR("server.style"), STR("fancy"), false, NULL);
	assert_int_equal(conf_apply(c, NULL), 0);
	assert_int_equal(v.port, 1080);
	assert_int_equal(v.style, 0);
	conf_free(c);
}

static void
the_sample_names_every_setting(void **state)
{
	struct conf *c = conf_new(sections);
	struct buf b = { 0 };

	(void)state;
	conf_sample(c, &b);
	for (const struct conf_field *f = fields; f->key != NULL; f++) {
		const char *dot = strrchr(f->key, '.');

		assert_non_null(
		    strstr(buf_z(&b), dot != NULL ? dot + 1 : f->key));
	}
	buf_free(&b);
	conf_free(c);
}

static void
sections_that_repeat_are_told_once(void **state)
{
	static struct values v2;
	static const struct conf_section three[] = {
		{ "server", "A section.", fields, &v },
		{ "server.one", "Inside of it; two is the same.", fields, &v2 },
		{ "server.two", "", fields, &v2, true },
		{ 0 },
	};
	struct conf *c = conf_new(three);
	char *argv[] = { "x", "--server.two.http-port", "7" };
	struct buf b = { 0 };
	int i = 1;

	(void)state;
	assert_int_equal(conf_flag(c, 3, argv, &i, NULL), 1);
	assert_int_equal(conf_apply(c, NULL), 0);
	assert_int_equal(v2.port, 7);
	assert_int_equal(v.port, 1080);
	conf_sample(c, &b);
	assert_null(strstr(buf_z(&b), "two\""));
	/* inside of the section before it */
	assert_non_null(strstr(buf_z(&b),
	    "        //\"on\": false,\n\n"
	    "        // Inside of it; two is the same.\n"
	    "        \"one\": {\n"
	    "            // Port.\n"
	    "            //\"httpPort\": 1080,\n"));
	assert_non_null(strstr(buf_z(&b), "        },\n    },\n}\n"));
	buf_clear(&b);
	conf_reference(c, &b);
	assert_null(strstr(buf_z(&b), "server.two."));
	assert_non_null(strstr(buf_z(&b), "## server.one\n"));
	buf_free(&b);
	conf_free(c);
}

/* --- changed while the program runs --- */

static int
no_spaces(struct str s, struct err *err)
{
	return memchr(s.ptr, ' ', s.len) == NULL
	    ? 0
	    : err_set(err, ERR_PARAM, "has a space");
}

static const struct conf_field live_fields[] = {
	CONF_INT(V, port, "port", .def = "1080", .max = 65535, .live = true,
	    .help = "Port."),
	CONF_MS(V, span, "idle", .def = "30s", .live = true, .help = "Span."),
	CONF_TEXT(
	    V, url, "url", .live = true, .check = no_spaces, .help = "Url."),
	CONF_BOOL(V, flag, "on", .def = "false", .help = "Flag."),
	{ 0 },
};
static const struct conf_section live_sections[] = {
	{ "server", "A section.", live_fields, &v },
	{ 0 },
};

static void
each_state(void *ctx, const struct conf_state *s)
{
	(void)ctx;
	sprintf(said + strlen(said), STR_FMT "=%.*s(%.*s,%s,%s);",
	    STR_ARG(s->key), (int)s->value.len,
	    s->value.ptr != NULL ? s->value.ptr : "", (int)s->start.len,
	    s->start.ptr != NULL ? s->start.ptr : "",
	    conf_source_names[s->source], conf_type_names[s->field->type]);
}

static const char *
states(const struct conf *c)
{
	said[0] = '\0';
	conf_each_live(c, each_state, NULL);
	return said;
}

static void
what_is_set_later_counts_above_all_and_can_be_taken_back(void **state)
{
	struct conf *c = conf_new(live_sections);
	char *argv[] = { "x", "--server.idle=5m" };
	static char *env[] = { "SERVER_PORT=2", NULL };
	int at = 1;

	(void)state;
	conf_environ(c, env);
	assert_int_equal(conf_flag(c, 2, argv, &at, NULL), 1);
	assert_int_equal(
	    conf_file_value(c, STR("server.url"), STR("a"), false, NULL), 0);
	assert_int_equal(conf_apply(c, NULL), 0);
	assert_string_equal(states(c),
	    "server.port=2(2,environment,number);server.idle=5m(5m,flag,time);"
	    "server.url=a(a,file,text);");

	assert_int_equal(
	    conf_set_live(c, STR("server.port"), STR("3"), NULL), 0);
	assert_int_equal(
	    conf_set_live(c, STR("server.idle"), STR("1h"), NULL), 0);
	assert_int_equal(
	    conf_set_live(c, STR("server.url"), STR("b"), NULL), 0);
	assert_int_equal(
	    conf_set_live(c, STR("server.url"), STR("c"), NULL), 0);
	assert_int_equal(v.port, 3);
	assert_int_equal(v.span, 3600000);
	assert_str(v.url, "c");
	assert_string_equal(states(c),
	    "server.port=3(2,runtime,number);server.idle=1h(5m,runtime,time);"
	    "server.url=c(a,runtime,text);");
	assert_int_equal(conf_source_of(c, "server.port"), CONF_LIVE);

	assert_int_equal(
	    conf_set_live(c, STR("server.port"), STR_NULL, NULL), 0);
	assert_int_equal(
	    conf_set_live(c, STR("server.idle"), STR_NULL, NULL), 0);
	assert_int_equal(
	    conf_set_live(c, STR("server.url"), STR_NULL, NULL), 0);
	assert_int_equal(v.port, 2);
	assert_int_equal(v.span, 300000);
	assert_str(v.url, "a");
	assert_string_equal(states(c),
	    "server.port=2(2,environment,number);server.idle=5m(5m,flag,time);"
	    "server.url=a(a,file,text);");
	conf_free(c);
}

static void
taking_back_what_had_no_source_gives_the_default(void **state)
{
	struct conf *c = conf_new(live_sections);
	static char *env[] = { "SERVER_PORT=many", NULL };

	(void)state;
	v = (struct values){ 0 };
	conf_environ(c, env);
	assert_int_equal(
	    conf_file_value(c, STR("server.idle"), STR_NULL, true, NULL), 0);
	assert_int_equal(conf_apply(c, NULL), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(v.port, 1080);
		assert_int_equal(v.span, 30000);
		assert_null(v.url.ptr);
		assert_string_equal(states(c),
		    "server.port=1080(1080,default,number);"
		    "server.idle=30s(30s,default,time);"
		    "server.url=(,default,text);");
		assert_int_equal(
		    conf_set_live(c, STR("server.port"), STR("3"), NULL), 0);
		assert_int_equal(
		    conf_set_live(c, STR("server.idle"), STR("4"), NULL), 0);
		assert_int_equal(
		    conf_set_live(c, STR("server.url"), STR("b"), NULL), 0);
		assert_int_equal(
		    conf_set_live(c, STR("server.port"), STR_NULL, NULL), 0);
		assert_int_equal(
		    conf_set_live(c, STR("server.idle"), STR_NULL, NULL), 0);
		assert_int_equal(
		    conf_set_live(c, STR("server.url"), STR_NULL, NULL), 0);
	}
	conf_free(c);
}

static void
a_bad_value_changes_nothing_and_not_everything_is_live(void **state)
{
	struct conf *c = conf_new(live_sections);
	struct err err;

	(void)state;
	assert_int_equal(conf_apply(c, NULL), 0);
	assert_int_equal(
	    conf_set_live(c, STR("server.url"), STR("a"), NULL), 0);
	assert_int_equal(
	    conf_set_live(c, STR("server.port"), STR("99999"), &err),
	    ERR_PARAM);
	assert_string_equal(err.text, "must be 0 to 65535");
	assert_int_equal(
	    conf_set_live(c, STR("server.url"), STR("b c"), &err), ERR_PARAM);
	assert_string_equal(err.text, "has a space");
	assert_int_equal(v.port, 1080);
	assert_str(v.url, "a");
	assert_int_equal(conf_set_live(c, STR("server.on"), STR("true"), &err),
	    ERR_NOT_FOUND);
	assert_int_equal(conf_set_live(c, STR("server.x"), STR("true"), &err),
	    ERR_NOT_FOUND);
	assert_false(v.flag);
	conf_free(c);
}

static void
a_text_is_checked_at_the_start(void **state)
{
	struct conf *c = conf_new(live_sections);
	char *argv[] = { "x", "--server.url=b c" };
	struct err err;
	int at = 1;

	(void)state;
	assert_int_equal(conf_flag(c, 2, argv, &at, NULL), 1);
	assert_int_equal(conf_apply(c, &err), ERR_PARAM);
	assert_string_equal(err.text, "--server.url: has a space");
	conf_free(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_in_place),
		cmocka_unit_test(every_spelling_of_a_key_is_known),
		cmocka_unit_test(the_file_wins_and_says_what_it_overruled),
		cmocka_unit_test(null_in_a_file_means_not_set_on_purpose),
		cmocka_unit_test(a_misprint_is_taken_with_a_warning),
		cmocka_unit_test(bad_values_say_where_they_came_from),
		cmocka_unit_test(
		    a_bad_variable_or_unknown_word_means_the_default),
		cmocka_unit_test(the_sample_names_every_setting),
		cmocka_unit_test(sections_that_repeat_are_told_once),
		cmocka_unit_test(
		    what_is_set_later_counts_above_all_and_can_be_taken_back),
		cmocka_unit_test(
		    taking_back_what_had_no_source_gives_the_default),
		cmocka_unit_test(
		    a_bad_value_changes_nothing_and_not_everything_is_live),
		cmocka_unit_test(a_text_is_checked_at_the_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
