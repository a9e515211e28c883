/*
 * codec/fleet_state_test.c - a file of each version becomes the newest one; and
 * what a file may not have.
 */
#include "codec/fleet_state.h"

#include "base/base.h"
#include "base/test.h"

#include <string.h>

#define DEVICE "thymis_controller.modules.thymis.ThymisDevice"
#define NETWORK "thymis_controller.modules.networking.NetworkingModule"
#define PLACE "thymis_controller.modules.localization.LocalizationModule"
#define ACCESS "thymis_controller.modules.security.SecurityAccessModule"
#define FILES "thymis_controller.modules.files.FilesModule"

/* What the files of all versions say. */
static const char newest[] =
    "{\n"
    "  \"version\": \"0.0.9\",\n"
    "  \"repositories\": {},\n"
    "  \"tags\": [\n"
    "    {\n"
    "      \"displayName\": \"Hall North\",\n"
    "      \"identifier\": \"hall-north\",\n"
    "      \"priority\": 90,\n"
    "      \"modules\": [\n"
    "        {\n"
    "          \"type\": \"" DEVICE "\",\n"
    "          \"settings\": {}\n"
    "        },\n"
    "        {\n"
    "          \"type\": \"" PLACE "\",\n"
    "          \"settings\": {\n"
    "            \"timezone\": \"Europe/Berlin\"\n"
    "          }\n"
    "        }\n"
    "      ]\n"
    "    }\n"
    "  ],\n"
    "  \"configs\": [\n"
    "    {\n"
    "      \"displayName\": \"Pi One\",\n"
    "      \"identifier\": \"pi-one\",\n"
    "      \"modules\": [\n"
    "        {\n"
    "          \"type\": \"" DEVICE "\",\n"
    "          \"settings\": {\n"
    "            \"device_type\": \"raspberry-pi-4\",\n"
    "            \"device_name\": \"Gr\xC3\xBC\xC3\x9F\\n\\\"dich\\\"\"\n"
    "          }\n"
    "        },\n"
    "        {\n"
    "          \"type\": \"" NETWORK "\",\n"
    "          \"settings\": {\n"
    "            \"wifi_ssid\": \"air\",\n"
    "            \"nameservers\": [\n"
    "              {\n"
    "                \"nameserver\": \"9.9.9.9\"\n"
    "              }\n"
    "            ]\n"
    "          }\n"
    "        }\n"
    "      ],\n"
    "      \"tags\": [\n"
    "        \"hall-north\"\n"
    "      ]\n"
    "    }\n"
    "  ]\n"
    "}";

#define OLD_DEVICE(from)                                                       \
	"{\"type\":\"" from ".thymis.ThymisDevice\",\"settings\":{"            \
	"\"device_type\":{\"value\":\"raspberry-pi-4\",\"priority\":50},"      \
	"\"wifi_ssid\":{\"value\":\"air\"},"                                   \
	"\"device_name\":{\"x\":1,\"value\":\"Gr\\u00fc\xC3\x9F\\n"            \
	"\\\"dich\\\"\"},"                                                     \
	"\"nameservers\":{\"value\":[{\"nameserver\":\"9.9.9.9\"}]}}}"
#define OLD_PLACE(from)                                                        \
	"{\"settings\":{\"timezone\":{\"value\":\"Europe/Berlin\"}},"          \
	"\"type\":\"" from ".thymis.ThymisDevice\"}"
#define BARE_DEVICE                                                            \
	"{\"type\":\"" DEVICE "\",\"settings\":{"                              \
	"\"device_type\":\"raspberry-pi-4\",\"wifi_ssid\":\"air\","            \
	"\"device_name\":\"Gr\xC3\xBC\xC3\x9F\\n\\\"dich\\\"\","               \
	"\"nameservers\":[{\"nameserver\":\"9.9.9.9\"}]}}"
#define BARE_PLACE                                                             \
	"{\"type\":\"" DEVICE "\",\"settings\":{\"timezone\":"                 \
	"\"Europe/Berlin\"}}"
#define NOW_TAG                                                                \
	"{\"displayName\":\"Hall North\",\"identifier\":\"hall-north\","       \
	"\"priority\":90,\"modules\":["

static const char *const versions[] = {
	/* names, `app.`, settings in objects, tags by name */
	"{\"version\":\"0.0.1\",\"tags\":[{\"name\":\"Hall North\","
	"\"priority\":90,\"modules\":[" OLD_PLACE(
	    "app.models.modules") "]}],"
				  "\"devices\":[{\"displayName\":\"Pi "
				  "One\",\"hostname\":\"10.0.0.1\","
				  "\"modules\":[" OLD_DEVICE(
				      "app.models.modules") "],"
							    "\"tags\":[\"Hall "
							    "North\"]}]}",

	/* identifiers; what is called repositories does not count yet */
	"{\"version\":\"0.0.2\",\"repositories\":[17],"
	"\"tags\":[" NOW_TAG OLD_PLACE(
	    "thymis_controller.models.modules") "]}],"
						"\"devices\":[{\"displayName\":"
						"\"Pi "
						"One\",\"identifier\":\"pi-"
						"one\","
						"\"targetHost\":\"10.0.0.1\","
						"\"modules\":[" OLD_DEVICE(
						    "thymis_controller.models."
						    "modules") "],"
							       "\"tags\":["
							       "\"Hall "
							       "North\"]}]}",

	"{\"version\":\"0.0.3\",\"repositories\":{},"
	"\"tags\":[" NOW_TAG OLD_PLACE(
	    "thymis_controller.models.modules") "]}],"
						"\"devices\":[{\"displayName\":"
						"\"Pi "
						"One\",\"identifier\":\"pi-"
						"one\","
						"\"targetHost\":\"10.0.0.1\","
						"\"modules\":[" OLD_DEVICE(
						    "thymis_controller.models."
						    "modules") "],"
							       "\"tags\":["
							       "\"Hall "
							       "North\"]}]}",

	"{\"version\":\"0.0.4\",\"repositories\":{},"
	"\"tags\":[" NOW_TAG OLD_PLACE(
	    "thymis_controller.models.modules") "]}],"
						"\"devices\":[{\"displayName\":"
						"\"Pi "
						"One\",\"identifier\":\"pi-"
						"one\","
						"\"targetHost\":\"10.0.0.1\","
						"\"modules\":[" OLD_DEVICE(
						    "thymis_controller.models."
						    "modules") "],"
							       "\"tags\":["
							       "\"Hall "
							       "North\"]}]}",

	/* tags by identifier */
	"{\"version\":\"0.0.5\",\"repositories\":{},"
	"\"tags\":[" NOW_TAG OLD_PLACE(
	    "thymis_controller.models.modules") "]}],"
						"\"devices\":[{\"displayName\":"
						"\"Pi "
						"One\",\"identifier\":\"pi-"
						"one\","
						"\"targetHost\":\"10.0.0.1\","
						"\"modules\":[" OLD_DEVICE(
						    "thymis_controller.models."
						    "modules") "],"
							       "\"tags\":["
							       "\"hall-north\"]"
							       "}]}",

	/* settings bare */
	"{\"version\":\"0.0.6\",\"repositories\":{},"
	"\"tags\":[" NOW_TAG BARE_PLACE "]}],"
	"\"devices\":[{\"displayName\":\"Pi One\",\"identifier\":\"pi-one\","
	"\"targetHost\":\"10.0.0.1\",\"modules\":[" BARE_DEVICE "],"
	"\"tags\":[\"hall-north\"]}]}",

	"{\"version\":\"0.0.7\",\"repositories\":{},"
	"\"tags\":[" NOW_TAG BARE_PLACE "]}],"
	"\"devices\":[{\"displayName\":\"Pi One\",\"identifier\":\"pi-one\","
	"\"modules\":[" BARE_DEVICE "],\"tags\":[\"hall-north\"]}]}",

	/* configs */
	"{\"version\":\"0.0.8\",\"repositories\":{},\"devices\":17,"
	"\"tags\":[" NOW_TAG BARE_PLACE "]}],"
	"\"configs\":[{\"displayName\":\"Pi One\",\"identifier\":\"pi-one\","
	"\"modules\":[" BARE_DEVICE "],\"tags\":[\"hall-north\"]}]}",

	newest,
};

static void
each_version_becomes_the_newest(void **state)
{
	struct buf out = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(versions); i++) {
		struct arena a = { 0 };
		struct fleet_state s;
		struct err err;
		char want[] = "0.0.1";
		struct str was;

		want[4] = (char)('1' + i);
		if (fleet_state_read(str_of(versions[i]), &a, &s, &was, &err) !=
		    0)
			fail_msg("%s: %s", want, err.text);
		assert_true(str_eqz(was, want));
		assert_int_equal(fleet_state_check(&s, &err), 0);
		buf_clear(&out);
		fleet_state_write(&s, &out);
		assert_string_equal(buf_z(&out), newest);
		arena_fini(&a);
	}
	buf_free(&out);
}

/* Reads, writes without white space, compares. */
static void
becomes(const char *json, const char *want)
{
	struct arena a = { 0 };
	struct fleet_state s;
	struct buf out = { 0 }, all = { 0 };
	struct err err;

	if (fleet_state_read(str_of(json), &a, &s, NULL, &err) != 0)
		fail_msg("%s: %s", json, err.text);
	fleet_state_write(&s, &all);
	for (size_t i = 0; i < all.len; i++)
		if (all.ptr[i] != ' ' && all.ptr[i] != '\n')
			buf_addc(&out, all.ptr[i]);
	assert_string_equal(buf_z(&out), want);
	buf_free(&all);
	buf_free(&out);
	arena_fini(&a);
}

static void
the_device_module_is_split_into_what_is_there(void **state)
{
	(void)state;
	/* what moves wins over what is there, and comes where it was */
	becomes("{\"version\":\"0.0.8\",\"configs\":[{\"displayName\":\"a\","
		"\"identifier\":\"a\",\"modules\":["
		"{\"type\":\"" FILES "\",\"settings\":{\"artifacts\":[],"
		"\"x\":1}},"
		"{\"type\":\"" DEVICE "\",\"settings\":{\"secrets\":[1],"
		"\"password_secret\":\"u\",\"own\":2,\"artifacts\":[3],"
		"\"authorized_keys\":[],\"time_servers\":[]}}]}]}",
	    "{\"version\":\"0.0.9\",\"repositories\":{},\"tags\":[],"
	    "\"configs\":[{\"displayName\":\"a\",\"identifier\":\"a\","
	    "\"modules\":[{\"type\":\"" FILES "\",\"settings\":{"
	    "\"artifacts\":[3],\"x\":1,\"secrets\":[1]}},"
	    "{\"type\":\"" DEVICE "\",\"settings\":{\"own\":2}},"
	    "{\"type\":\"" ACCESS "\",\"settings\":{\"password_secret\":\"u\","
	    "\"authorized_keys\":[]}},"
	    "{\"type\":\"" PLACE "\",\"settings\":{\"time_servers\":[]}}],"
	    "\"tags\":[]}]}");
	/* of the newest version nothing moves */
	becomes("{\"configs\":[{\"displayName\":\"a\",\"identifier\":\"a\","
		"\"modules\":[{\"type\":\"" DEVICE "\",\"settings\":{"
		"\"timezone\":\"UTC\"}}]}]}",
	    "{\"version\":\"0.0.9\",\"repositories\":{},\"tags\":[],"
	    "\"configs\":[{\"displayName\":\"a\",\"identifier\":\"a\","
	    "\"modules\":[{\"type\":\"" DEVICE "\",\"settings\":{"
	    "\"timezone\":\"UTC\"}}],\"tags\":[]}]}");
}

static void
inputs_keep_all_that_they_follow(void **state)
{
	static const char whole[] =
	    "{\"version\":\"0.0.9\",\"repositories\":{"
	    "\"mine\":{\"url\":\"github:a/b\",\"follows\":null,"
	    "\"inputs_follows\":{\"nixpkgs\":\"thymis/nixpkgs\",\"x\":\"y\"},"
	    "\"api_key_secret\":\"0c\"},"
	    "\"nixpkgs\":{\"url\":null,\"follows\":\"thymis/nixpkgs\","
	    "\"inputs_follows\":{},\"api_key_secret\":null}},"
	    "\"tags\":[],\"configs\":[]}";

	(void)state;
	becomes(whole, whole);
	/* before 0.0.4 there were none, before 0.0.3 no inputs */
	becomes("{\"version\":\"0.0.3\",\"repositories\":{\"a\":{"
		"\"url\":\"u\",\"inputs_follows\":{\"x\":\"y\"}}}}",
	    "{\"version\":\"0.0.9\",\"repositories\":{\"a\":{\"url\":\"u\","
	    "\"follows\":null,\"inputs_follows\":{},\"api_key_secret\":null}},"
	    "\"tags\":[],\"configs\":[]}");
}

static void
what_is_missing_is_empty_and_what_is_unknown_goes(void **state)
{
	static const char none[] = "{\"version\":\"0.0.9\",\"repositories\":{},"
				   "\"tags\":[],\"configs\":[]}";

	(void)state;
	becomes("{}", none);
	becomes("{\"tags\":null,\"repositories\":null,\"configs\":null,"
		"\"more\":{\"tags\":[1]}}",
	    none);
	becomes("{\"tags\":[{\"displayName\":\"t\",\"identifier\":\"t\","
		"\"colour\":1,\"modules\":[{\"type\":\"m\",\"note\":[]}]}]}",
	    "{\"version\":\"0.0.9\",\"repositories\":{},\"tags\":[{"
	    "\"displayName\":\"t\",\"identifier\":\"t\",\"priority\":90,"
	    "\"modules\":[{\"type\":\"m\",\"settings\":{}}]}],"
	    "\"configs\":[]}");
	/* a number stays as it was typed; of two of a name the last counts */
	becomes("{\"tags\":[{\"displayName\":\"t\",\"identifier\":\"t\","
		"\"modules\":[{\"type\":\"m\",\"settings\":{\"a\":1,"
		"\"b\":1.50e1,\"a\":{\"z\":null,\"a\":[ ]}}}]}]}",
	    "{\"version\":\"0.0.9\",\"repositories\":{},\"tags\":[{"
	    "\"displayName\":\"t\",\"identifier\":\"t\",\"priority\":90,"
	    "\"modules\":[{\"type\":\"m\",\"settings\":{\"a\":{\"z\":null,"
	    "\"a\":[]},\"b\":1.50e1}}]}],\"configs\":[]}");
}

static void
an_error_says_where(void **state)
{
	static const char *const table[][2] = {
		{ "", "line 1 column 1: " },
		{ "[]", "line 1 column 1: must be an object" },
		{ "{\"version\":\"0.1.0\"}",
		    "version: \"0.1.0\" is not known; known are 0.0.1 to "
		    "0.0.9" },
		{ "{\"version\":\"0.0.0\"}", "version: \"0.0.0\" is not" },
		{ "{\"version\":9}", "line 1 column 12: must be a string" },
		{ "{\"configs\":[{\"displayName\":\"a\",\"identifier\":\"a\"},"
		  "{\"displayName\":\"b\",\"identifier\":\"b\",\"modules\":["
		  "{\"type\":7}]}]}",
		    "configs[1].modules[0].type: line 1 column " },
		{ "{\"configs\":[{\"displayName\":\"a\",\"identifier\":\"a\","
		  "\"modules\":[{\"settings\":{}}]}]}",
		    "configs[0].modules[0]: line 1 column 75: has no "
		    "\"type\"" },
		{ "{\"tags\":[{\"identifier\":\"a\"}]}",
		    "tags[0]: line 1 column 28: has no \"displayName\"" },
		{ "{\"tags\":[{\"displayName\":\"a\"}]}",
		    "tags[0]: line 1 column 29: has no \"identifier\"" },
		{ "{\"tags\":[{\"displayName\":\"a\",\"identifier\":\"a\","
		  "\"priority\":1.5}]}",
		    "tags[0].priority: " },
		{ "{\"version\":\"0.0.4\",\"devices\":[{\"displayName\":\"a\","
		  "\"identifier\":\"a\",\"modules\":[{\"type\":\"m\","
		  "\"settings\":{\"k\":{}}}]}]}",
		    "devices[0].modules[0].settings.k: line 1 column 108: "
		    "has no \"value\"" },
		{ "{\"repositories\":{\"a\":{\"inputs_follows\":{\"b\":1}}}}",
		    "repositories.a.inputs_follows.b: line 1 column " },
		{ "{\"tags\":[\n{\"displayName\":\"a\"", "line 2 column" },
	};
	struct arena a = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		struct fleet_state s = { .n_tags = 99 };
		struct err err = { 0 };

		assert_int_equal(
		    fleet_state_read(str_of(table[i][0]), &a, &s, NULL, &err),
		    ERR_PARAM);
		if (strstr(err.text, table[i][1]) == NULL)
			fail_msg("%s: %s", table[i][0], err.text);
		assert_int_equal(s.n_tags, 99);
	}
	arena_fini(&a);
}

#define CONFIG(name, id)                                                       \
	"{\"displayName\":\"" name "\",\"identifier\":\"" id "\""

static void
the_check_finds_what_no_file_may_have(void **state)
{
	static const struct {
		const char *json;
		int code;
		const char *text;
	} table[] = {
		{ "{\"configs\":[" CONFIG("a", "a") "}," CONFIG(
		      "b", "b") "}],"
				"\"tags\":[" CONFIG("a", "a") "}]}",
		    0, NULL }, /* each kind has its own names */
		{ "{\"configs\":[" CONFIG("a", "../x") "}]}", ERR_PARAM,
		    "configs[0].identifier: \"../x\" must begin with a-z" },
		{ "{\"configs\":[" CONFIG("a", "1a") "}]}", ERR_PARAM,
		    "configs[0].identifier" },
		{ "{\"tags\":[" CONFIG("a", "A") "}]}", ERR_PARAM,
		    "tags[0].identifier" },
		{ "{\"configs\":[" CONFIG("a", "") "}]}", ERR_PARAM,
		    "configs[0].identifier" },
		{ "{\"configs\":[" CONFIG("a",
		      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		      "aaaaaaaa") "}]}",
		    ERR_PARAM, "at most 63" },
		{ "{\"configs\":[" CONFIG(" ", "a") "}]}", ERR_PARAM,
		    "configs[0].displayName: must have" },
		{ "{\"configs\":[" CONFIG("a", "a") "}," CONFIG("b", "a") "}]}",
		    ERR_EXISTS,
		    "configs[1].identifier: \"a\" is there already" },
		{ "{\"tags\":[" CONFIG("a", "a") "}," CONFIG("a", "b") "}]}",
		    ERR_EXISTS, "tags[1].displayName: \"a\" is there" },
		{ "{\"configs\":[" CONFIG("a", "a") ",\"tags\":[\"t\"]}]}",
		    ERR_PARAM, "configs[0].tags[0]: there is no tag \"t\"" },
		{ "{\"configs\":[" CONFIG("a", "a") ",\"tags\":[\"t\",\"t\"]}],"
						    "\"tags\":[" CONFIG(
							"t", "t") "}]}",
		    ERR_PARAM, "configs[0].tags[1]: \"t\" is there already" },
		{ "{\"configs\":[" CONFIG(
		      "a", "a") ",\"modules\":["
				"{\"type\":\"m\"},{\"type\":\"m\"}]}]}",
		    ERR_PARAM,
		    "configs[0].modules[1].type: \"m\" is there already" },
		{ "{\"tags\":[" CONFIG("a", "a") ",\"modules\":["
						 "{\"type\":\"../m\"}]}]}",
		    ERR_PARAM, "tags[0].modules[0].type: \"../m\" is no name" },
		{ "{\"repositories\":{\"a b\":{}}}", ERR_PARAM,
		    "repositories: \"a b\" is no name of an input" },
		{ "{\"repositories\":{\"ab\":{\"inputs_follows\":{\"1\":"
		  "\"x\"}}}}",
		    ERR_PARAM, "repositories.ab.inputs_follows: \"1\" is no" },
		{ "{\"repositories\":{\"ab\":{},\"ab\":{}}}", ERR_PARAM,
		    "repositories: \"ab\" is there already" },
	};
	struct arena a = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		struct fleet_state s;
		struct err err = { 0 };

		assert_int_equal(
		    fleet_state_read(str_of(table[i].json), &a, &s, NULL, &err),
		    0);
		assert_int_equal(fleet_state_check(&s, &err), table[i].code);
		if (table[i].code != 0 &&
		    strstr(err.text, table[i].text) == NULL)
			fail_msg("%s: %s", table[i].json, err.text);
	}
	arena_fini(&a);
}

static void
a_name_becomes_an_identifier(void **state)
{
	static const char *const table[][2] = {
		{ "Raspberry Pi 4 (hall)", "raspberry-pi-4-hall" },
		{ "pi", "pi" },
		{ "  -- A  b -- ", "a-b" },
		{ "4 horses", "config-4-horses" },
		{ "T\xC3\xBCr", "t-r" },
		{ "\xC3\xBC", "config" },
		{ "", "config" },
		{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		  "aa bb",
		    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		    "aaaa" },
	};
	struct arena a = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(table); i++) {
		struct str id = fleet_identifier(&a, str_of(table[i][0]));

		if (!str_eqz(id, table[i][1]))
			fail_msg("%s: " STR_FMT, table[i][0], STR_ARG(id));
	}
	arena_fini(&a);
}

static void
things_are_found_by_name(void **state)
{
	const struct fleet_config *c;
	const struct fleet_use *use;
	struct arena a = { 0 };
	struct fleet_state s;

	(void)state;
	assert_int_equal(
	    fleet_state_read(str_of(newest), &a, &s, NULL, NULL), 0);
	c = fleet_config_find(&s, STR("pi-one"));
	assert_non_null(c);
	assert_null(fleet_config_find(&s, STR("hall-north")));
	assert_non_null(fleet_tag_find(&s, STR("hall-north")));
	assert_null(fleet_tag_find(&s, STR("pi-one")));
	use = fleet_use_find(c->modules, c->n_modules, STR(NETWORK));
	assert_non_null(use);
	assert_str(fleet_setting_of(use, "wifi_ssid"), "\"air\"");
	assert_null(fleet_setting_of(use, "timezone").ptr);
	assert_null(fleet_setting_of(NULL, "timezone").ptr);
	arena_fini(&a);
}

static void
a_patch_replaces_what_it_names(void **state)
{
	struct fleet_setting old[] = { { STR("a"), STR("1") },
		{ STR("b"), STR("2") } };
	struct fleet_use use = { STR("m"), old, 2 };
	struct fleet_config c = { .display_name = STR("x"),
		.identifier = STR("x") };
	struct arena a = { 0 };
	struct err err;

	(void)state;
	assert_int_equal(fleet_use_patch(STR("{\"b\":null,\"c\":[3],\"a\":4}"),
			     &a, &use, &err),
	    0);
	assert_int_equal(use.n, 2);
	assert_str(use.settings[0].value, "4");
	assert_str(use.settings[1].key, "c");
	assert_str(use.settings[1].value, "[3]");
	assert_str(old[0].value, "1"); /* what was lent stays */
	assert_int_equal(
	    fleet_use_patch(STR("{\"d\":1"), &a, &use, &err), ERR_PARAM);
	assert_int_equal(use.n, 2);

	assert_int_equal(
	    fleet_config_patch(STR("{\"tags\":[\"t\"]}"), &a, &c, &err), 0);
	assert_str(c.display_name, "x");
	assert_int_equal(c.tags.n, 1);
	assert_int_equal(
	    fleet_config_patch(STR("{\"tags\":[\"u\",5]}"), &a, &c, &err),
	    ERR_PARAM);
	assert_non_null(strstr(err.text, "tags[1]: "));
	assert_str(c.tags.at[0], "t");
	arena_fini(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_version_becomes_the_newest),
		cmocka_unit_test(the_device_module_is_split_into_what_is_there),
		cmocka_unit_test(inputs_keep_all_that_they_follow),
		cmocka_unit_test(
		    what_is_missing_is_empty_and_what_is_unknown_goes),
		cmocka_unit_test(an_error_says_where),
		cmocka_unit_test(the_check_finds_what_no_file_may_have),
		cmocka_unit_test(a_name_becomes_an_identifier),
		cmocka_unit_test(things_are_found_by_name),
		cmocka_unit_test(a_patch_replaces_what_it_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
