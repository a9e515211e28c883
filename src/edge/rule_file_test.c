/*
 * edge/rule_file_test.c - what comes of a rule file, and what is told of one
 * that is wrong.
 */
#include "base/test.h"

#include "base/base.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "edge/rule_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char tedge[] = "device.id = \"dev\"\n"
			    "c8y.url = \"one.example.com\"\n"
			    "c8y.smartrest.templates = [\"a\", \"b\"]\n"
			    "c8y.profiles.second.url = \"two.example.com\"\n"
			    "proxy.password = \"hidden\"\n"
			    "marram.unit = \"u\"\n"
			    "marram.gateway = \"g\"\n"
			    "mqtt.bridge.built_in = true\n";
static const char own[] =
    "url = \"h:8883\"\nyes = true\nno = false\nnumber = 7\n"
    "list = [\"x\", \"y\"]\nempty = []\nmixed = [\"x\", 1]\n"
    "[bridge]\ntopic_prefix = \"v1/me\"\n";

struct fixture {
	char dir[40];
	struct config *config;
	struct arena arena;
	struct mapper_settings custom, c8y, second;
};

static char *
path_in(const struct fixture *f, const char *name)
{
	return mem_printf("%s/%s", f->dir, name);
}

static void
put(const struct fixture *f, const char *name, const char *text)
{
	char *path = path_in(f, name);
	struct err err;

	if (file_replace(path, str_of(text), &err) != 0)
		fail_msg("%s", err.text);
	free(path);
}

static void
make_dir(const struct fixture *f, const char *name)
{
	char *path = path_in(f, name);

	assert_int_equal(mkdir(path, 0755), 0);
	free(path);
}

static int
setup(void **state)
{
	struct fixture *f = mem_new(struct fixture);
	struct cloud cloud;
	struct err err;

	log_setup(LOG_OFF, LOG_JSON);
	*state = f;
	snprintf(f->dir, sizeof(f->dir), "/tmp/marram-rules-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	make_dir(f, "mappers");
	make_dir(f, "mappers/tb");
	put(f, "tedge.toml", tedge);
	put(f, "mappers/tb/mapper.toml", own);
	if (config_open(f->dir, &f->config, &err) != 0 ||
	    mapper_settings_read(
		f->config, "tb", &f->arena, &f->custom, &err) != 0)
		fail_msg("%s", err.text);
	cloud = (struct cloud){ f->config, "c8y", STR_NULL };
	mapper_settings_cloud(&cloud, true, &f->arena, &f->c8y);
	cloud.profile = STR("second");
	mapper_settings_cloud(&cloud, false, &f->arena, &f->second);
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	char *remove = mem_printf("rm -r %s", f->dir);

	assert_int_equal(system(remove), 0);
	free(remove);
	config_close(f->config);
	arena_fini(&f->arena);
	free(f);
	return 0;
}

/* "out 1 c8y/ s/us /;", then "skipped LINE WHAT: WHY;", or the sentence of what
 * is wrong. */
static void
outcome(const struct mapper_settings *m, const char *text, struct buf *out)
{
	static const char *const words[] = { "", "in", "out", "both" };
	struct arena a = { 0 };
	struct rule_set set = { .arena = &a };
	struct err err;

	buf_clear(out);
	if (rule_file_read(&set, m, "f", str_of(text), &err) != 0) {
		buf_addz(out, err.text);
		arena_fini(&a);
		return;
	}
	for (size_t i = 0; i < set.n; i++)
		buf_addf(out, "%s %u %s|%s|%s;", words[set.rules[i].direction],
		    set.rules[i].qos, set.rules[i].local_prefix,
		    set.rules[i].pattern, set.rules[i].remote_prefix);
	for (const struct rule_skipped *s = set.skipped; s != NULL; s = s->next)
		buf_addf(out, "skipped %u %s: %s;", s->line, s->what, s->why);
	arena_fini(&a);
}

#define TOP "local_prefix = \"l/\"\nremote_prefix = \"\"\n"
#define RULE "[[rule]]\ndirection = \"outbound\"\n"
#define EACH "[[template_rule]]\ndirection = \"inbound\"\n"

static void
each_text_comes_to_its_rules(void **state)
{
	const struct fixture *f = *state;
	const struct {
		const struct mapper_settings *m;
		const char *text, *want;
	} cases[] = {
		{ &f->custom, "", "" },
		{ &f->custom, TOP RULE "topic = \"a/#\"\n", "out 1 l/|a/#|;" },
		{ &f->custom, TOP RULE "topic = \"a\"\nqos = 0\n",
		    "out 0 l/|a|;" },
		/* its own prefix wins */
		{ &f->custom, TOP RULE "topic = \"a\"\nlocal_prefix = \"m/\"\n",
		    "out 1 m/|a|;" },
		/* in the order they stand in, and each once */
		{ &f->custom,
		    TOP EACH
		    "for = [\"s\", \"t\"]\ntopic = \"${item}/x\"\n" RULE
		    "topic = \"a\"\n" EACH "for = [\"t\"]\n"
		    "topic = \"${item}/x\"\n",
		    "in 1 l/|s/x|;in 1 l/|t/x|;out 1 l/|a|;" },
		{ &f->custom,
		    TOP EACH "for = \"${mapper.list}\"\ntopic = \"${item}\"\n",
		    "in 1 l/|x|;in 1 l/|y|;" },
		{ &f->custom,
		    TOP EACH "for = \"${ mapper.empty }\"\n"
			     "topic = \"${item}\"\n",
		    "skipped 3 template_rule: iterator is empty;" },
		{ &f->custom,
		    TOP EACH "for = \"${tedge.c8y.smartrest.templates}\"\n"
			     "topic = \"${item}\"\n",
		    "in 1 l/|a|;in 1 l/|b|;" },
		/* variables */
		{ &f->custom,
		    TOP RULE "topic = \"${mapper.bridge.topic_prefix}/"
			     "${connection.auth_method}/${mapper.number}/"
			     "${tedge.device.id}\"\n",
		    "out 1 l/|v1/me/certificate/7/dev|;" },
		{ &f->c8y, TOP RULE "topic = \"${mapper.url}\"\n",
		    "out 1 l/|one.example.com|;" },
		{ &f->second, TOP RULE "topic = \"${mapper.url}\"\n",
		    "out 1 l/|two.example.com|;" },
		{ &f->second, TOP RULE "topic = \"${tedge.c8y.url}\"\n",
		    "out 1 l/|two.example.com|;" },
		{ &f->second, TOP RULE "topic = \"$aws/x\"\n",
		    "out 1 l/|$aws/x|;" },
		/* the prefixes alone */
		{ &f->custom,
		    RULE "topic = \"\"\nlocal_prefix = \"a/b\"\n"
			 "remote_prefix = \"c\"\n",
		    "out 1 a/b||c;" },
		/* conditions */
		{ &f->custom,
		    TOP RULE "topic = \"a\"\nif = \"${mapper.yes}\"\n" RULE
			     "topic = \"b\"\nif = \"! ${mapper.yes}\"\n" RULE
			     "topic = \"c\"\nif = \"!${mapper.no}\"\n" RULE
			     "topic = \"d\"\nif = \"${tedge.mqtt.bridge."
			     "built_in}\"\n",
		    "out 1 l/|a|;out 1 l/|c|;out 1 l/|d|;"
		    "skipped 7 rule: yes is true;" },
		{ &f->c8y,
		    TOP RULE "topic = \"a\"\nif = \"${connection.auth_method}"
			     "=='certificate'\"\n" RULE
			     "topic = \"b\"\nif = \"${connection.auth_method}"
			     " == 'password'\"\n",
		    "out 1 l/|b|;skipped 3 rule: auth method is password, not "
		    "certificate;" },
		{ &f->custom,
		    "if = \"${mapper.no}\"\n" TOP RULE "topic = \"a\"\n",
		    "skipped 1 file: no is false;" },
		/* what is wrong, and where */
		{ &f->custom,
		    "a = ", "f: line 1 column 5: a value must stand here" },
		{ &f->custom, "x = 1\n",
		    "f: line 1: \"x\" is no member of a rule file" },
		{ &f->custom, TOP RULE "topic = \"a\"\nretain = true\n",
		    "f: line 6: \"retain\" is no member of a rule" },
		{ &f->custom, TOP RULE "topic = \"a\"\nfor = [\"x\"]\n",
		    "f: line 6: \"for\" is no member of a rule" },
		{ &f->custom, TOP RULE "topic = 1\n",
		    "f: line 5: topic: must be a text" },
		{ &f->custom, TOP RULE, "f: line 3: the rule has no topic" },
		{ &f->custom, TOP "[[rule]]\ntopic = \"a\"\n",
		    "f: line 3: the rule has no direction" },
		{ &f->custom, TOP EACH "topic = \"a\"\n",
		    "f: line 3: the template_rule has no `for`" },
		{ &f->custom, TOP "[rule]\ntopic = \"a\"\n",
		    "f: line 3: rule: write it in two brackets: [[rule]]" },
		{ &f->custom, "rule = [1]\n",
		    "f: line 1: rule: must be a table" },
		{ &f->custom, RULE "topic = \"a\"\n",
		    "f: line 1: Missing 'local_prefix' for rule: add it to "
		    "this rule, or define it globally at the top of the file" },
		{ &f->custom,
		    RULE "topic = \"a\"\nlocal_prefix = \"x\"\n"
			 "remote_prefix = \"\"\n",
		    "f: line 1: the prefix \"x\" must end with a \"/\"" },
		{ &f->custom,
		    RULE "topic = \"a\"\nlocal_prefix = \"#/\"\n"
			 "remote_prefix = \"\"\n",
		    "f: line 1: the prefix \"#/\" can be no part of a topic" },
		{ &f->custom, TOP RULE "topic = \"\"\n",
		    "f: line 3: a rule without topic needs both prefixes" },
		{ &f->custom, TOP RULE "topic = \"#/a\"\n",
		    "f: line 3: \"#/a\" can be no topic" },
		{ &f->custom, TOP RULE "topic = \"${item}\"\n",
		    "f: line 5: ${item} is of a template_rule's topic only" },
		{ &f->custom, TOP RULE "topic = \"${mapper.nix}\"\n",
		    "f: line 5: Unknown mapper config key: tb.nix" },
		{ &f->custom, TOP RULE "topic = \"${mapper.device.id}\"\n",
		    "f: line 5: A value for 'device.id' is not set. Set "
		    "'device.id' in mapper.toml" },
		{ &f->second, TOP RULE "topic = \"${mapper.nix}\"\n",
		    "f: line 5: Unknown mapper config key: c8y.second.nix" },
		{ &f->custom, TOP RULE "topic = \"${mapper.bridge}\"\n",
		    "f: line 5: 'bridge' is a table; ask for a key in it" },
		{ &f->custom, TOP RULE "topic = \"${mapper.list}\"\n",
		    "f: line 5: list is a list: it is for `for` only" },
		{ &f->custom,
		    TOP EACH "for = \"${mapper.mixed}\"\ntopic = \"\"\n",
		    "f: line 5: mixed: line 7: must be a list of texts" },
		{ &f->custom,
		    TOP EACH "for = \"${mapper.url}\"\ntopic = \"\"\n",
		    "f: line 5: for: 'url' is no list" },
		{ &f->custom, TOP EACH "for = \"a\"\ntopic = \"\"\n",
		    "f: line 5: for: must be a list of texts, or a variable "
		    "that is one: ${mapper.KEY} or ${tedge.KEY}" },
		{ &f->custom, TOP RULE "topic = \"${tedge.nix}\"\n",
		    "f: line 5: Unknown key: 'nix'" },
		{ &f->custom, TOP RULE "topic = \"${tedge.az.url}\"\n",
		    "f: line 5: A value for 'az.url' is not set. A value can "
		    "be set with `tedge config set az.url <value>`" },
		{ &f->custom, TOP RULE "topic = \"${tedge.proxy.password}\"\n",
		    "f: line 5: 'proxy.password' is a secret, and can be no "
		    "part of a topic" },
		{ &f->custom, TOP RULE "topic = \"${x}\"\n",
		    "f: line 5: ${x} is no variable: there are ${tedge.KEY}, "
		    "${mapper.KEY} and ${connection.auth_method}" },
		{ &f->custom, TOP RULE "topic = \"${x\"\n",
		    "f: line 5: a \"${\" has no \"}\" behind it" },
		{ &f->custom, TOP RULE "topic = \"a\"\nqos = 3\n",
		    "f: line 6: qos: must be 0, 1 or 2" },
		{ &f->custom,
		    TOP RULE "topic = \"a\"\nif = \"${connection.auth_method}"
			     " == 'basic'\"\n",
		    "f: line 6: if: expected 'certificate' or 'password', got "
		    "'basic'" },
		{ &f->custom,
		    TOP RULE "topic = \"a\"\nif = \"${mapper.number}\"\n",
		    "f: line 6: if: 'number' is not a boolean: it must be true "
		    "or false" },
		{ &f->custom,
		    TOP RULE "topic = \"a\"\nif = \"${mapper.yes} == 'x'\"\n",
		    "f: line 6: if: must be a boolean variable, as "
		    "\"${mapper.KEY}\" or \"!${mapper.KEY}\", or "
		    "\"${connection.auth_method} == 'certificate'\" or "
		    "'password'" },
		/* one that does not hold is checked all the same */
		{ &f->custom,
		    "if = \"${mapper.no}\"\n" TOP RULE "topic = \"a\"\n"
		    "if = \"${mapper.nix}\"\n",
		    "f: line 7: Unknown mapper config key: tb.nix" },
	};
	struct buf got = { 0 };

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		outcome(cases[i].m, cases[i].text, &got);
		if (strcmp(buf_z(&got), cases[i].want) != 0)
			fail_msg("%s\n  wanted: %s\n  got:    %s",
			    cases[i].text, cases[i].want, buf_z(&got));
	}
	buf_free(&got);
}

static void
more_rules_than_the_limit_are_refused(void **state)
{
	const struct fixture *f = *state;
	struct buf text = { 0 }, got = { 0 };

	buf_addz(&text, TOP EACH "topic = \"${item}\"\nfor = [");
	for (int i = 0; i <= RULES_MAX; i++)
		buf_addf(&text, "%s\"%d\"", i > 0 ? "," : "", i);
	buf_addz(&text, "]\n");
	outcome(&f->custom, buf_z(&text), &got);
	assert_string_equal(
	    buf_z(&got), "f: line 3: there are more than 10000 rules");
	buf_free(&text);
	buf_free(&got);
}

static void
the_text_of_every_cloud_can_be_read(void **state)
{
	static const char *const clouds[] = { "c8y", "az", "aws", "marram" };
	struct fixture *f = *state;

	for (size_t i = 0; i < COUNT_OF(clouds); i++) {
		struct cloud cloud = { f->config, clouds[i], STR_NULL };
		struct rule_set set = { .arena = &f->arena };
		struct mapper_settings m;
		struct buf text = { 0 };
		struct err err;

		mapper_settings_cloud(&cloud, false, &f->arena, &m);
		rule_text_add(rule_text_of(clouds[i]), &text);
		if (rule_file_read(&set, &m, clouds[i], buf_str(&text), &err) !=
		    0)
			fail_msg("%s", err.text);
		assert_true(set.n > 0);
		buf_free(&text);
	}
	assert_null(rule_text_of("tb"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    each_text_comes_to_its_rules, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    more_rules_than_the_limit_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    the_text_of_every_cloud_can_be_read, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
