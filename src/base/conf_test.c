/*
 * base/conf_test.c - settings: spellings, precedence, checks.
 */
#include "base/test.h"

#include "base/base.h"
#include "base/conf.h"

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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
