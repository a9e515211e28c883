/*
 * codec/conf_json5_test.c - a settings file as Sylvia-IoT's users have it.
 */
#include "base/test.h"

#include "codec/conf_json5.h"

struct values {
	int64_t port, device;
	struct str scopes, url;
};

#define V struct values
static const struct conf_field fields[] = {
	CONF_INT(V, port, "httpPort", .def = "1080", .help = "Port."),
	CONF_INT(V, device, "cache.memory.device", .def = "1", .help = "N."),
	CONF_JSON(V, scopes, "apiScopes", .def = "{}", .help = "Scopes."),
	CONF_TEXT(V, url, "mqChannels.data.url", .help = "Url."),
	{ 0 },
};
static struct values v;
static const struct conf_section sections[] = {
	{ "server", "A section.", fields, &v },
	{ 0 },
};

static void
comments_bare_keys_and_commas_are_welcome(void **state)
{
	struct conf *c = conf_new(sections);
	struct err err;

	(void)state;
	assert_int_equal(
	    conf_read_json5(c,
		STR("// a file\n{ server: { 'httpPort': 0x10, /* hi */\n"
		    "cache: { memory: { device: 5, }, },\n"
		    "apiScopes: { 'user.get': [\"api.rw\",], },\n"
		    "mqChannels: { data: { url: 'amqp://localhost' } } },\n"
		    "router: { wan: [1, 2] } }"),
		&err),
	    0);
	assert_int_equal(conf_apply(c, &err), ERR_PARAM); /* hex is no port */
	conf_free(c);
	c = conf_new(sections);
	assert_int_equal(
	    conf_read_json5(c,
		STR("{ server: { httpPort: 16, cache: { memory: { device: 5, } "
		    "},"
		    "apiScopes: { 'user.get': [\"api.rw\",], }, } }"),
		&err),
	    0);
	assert_int_equal(conf_apply(c, &err), 0);
	assert_int_equal(v.port, 16);
	assert_int_equal(v.device, 5);
	assert_str(v.scopes, "{\"user.get\":[\"api.rw\"]}");
	conf_free(c);
}

static void
a_broken_file_says_where(void **state)
{
	struct conf *c = conf_new(sections);
	struct err err;

	(void)state;
	assert_int_equal(
	    conf_read_json5(c, STR("{\n  server: [\n"), &err), ERR_PARAM);
	assert_string_equal(err.text, "line 3 column 1: unexpected end");
	conf_free(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comments_bare_keys_and_commas_are_welcome),
		cmocka_unit_test(a_broken_file_says_where),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
