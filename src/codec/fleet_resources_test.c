/*
 * codec/fleet_resources_test.c - linux.json: what is read, and what is not.
 */
#include "codec/fleet_resources.h"

#include "base/base.h"
#include "base/test.h"

#include <stdio.h>
#include <string.h>

/* Everything there is, in the order it is written. */
static const char full[] =
    "{\n"
    "  \"hostName\": \"pi-1.example\",\n"
    "  \"timeZone\": \"Europe/Berlin\",\n"
    "  \"repositories\": [\n"
    "    {\n"
    "      \"name\": \"local\",\n"
    "      \"line\": \"deb http://127.0.0.1/x ./\",\n"
    "      \"key\": \"-----BEGIN PGP PUBLIC KEY BLOCK-----\\nx\\n\"\n"
    "    }\n"
    "  ],\n"
    "  \"packages\": [\n"
    "    {\n"
    "      \"name\": \"g++\",\n"
    "      \"version\": \"4:12.2.0-3~deb12\"\n"
    "    },\n"
    "    {\n"
    "      \"name\": \"telnet\",\n"
    "      \"state\": \"absent\"\n"
    "    },\n"
    "    {\n"
    "      \"name\": \"Über $(flow)\",\n"
    "      \"manager\": \"flow\"\n"
    "    }\n"
    "  ],\n"
    "  \"groups\": [\n"
    "    {\n"
    "      \"name\": \"plant\",\n"
    "      \"gid\": 990\n"
    "    }\n"
    "  ],\n"
    "  \"users\": [\n"
    "    {\n"
    "      \"name\": \"ada\",\n"
    "      \"uid\": 1500,\n"
    "      \"groups\": [\n"
    "        \"plant\"\n"
    "      ],\n"
    "      \"shell\": \"/bin/bash\",\n"
    "      \"home\": \"/home/ada\",\n"
    "      \"comment\": \"Ada \\\"$(id)\\\" '\",\n"
    "      \"passwordSecret\": \"5f1c\",\n"
    "      \"authorizedKeys\": []\n"
    "    }\n"
    "  ],\n"
    "  \"files\": [\n"
    "    {\n"
    "      \"path\": \"/etc/a 'b' $c\",\n"
    "      \"text\": \"\\\"${x}\\\"\\n\",\n"
    "      \"owner\": \"ada\",\n"
    "      \"group\": \"1500\",\n"
    "      \"mode\": \"4755\"\n"
    "    },\n"
    "    {\n"
    "      \"path\": \"/etc/b\",\n"
    "      \"artifact\": \"logo.png\"\n"
    "    },\n"
    "    {\n"
    "      \"path\": \"/etc/c\",\n"
    "      \"secret\": \"5f1c\"\n"
    "    }\n"
    "  ],\n"
    "  \"services\": [\n"
    "    {\n"
    "      \"name\": \"getty@tty1.service\",\n"
    "      \"enabled\": false,\n"
    "      \"running\": true,\n"
    "      \"restartOn\": [\n"
    "        \"/etc/b\"\n"
    "      ]\n"
    "    }\n"
    "  ],\n"
    "  \"containers\": [\n"
    "    {\n"
    "      \"name\": \"web\",\n"
    "      \"image\": \"docker.io/library/nginx:1.25\",\n"
    "      \"ports\": [\n"
    "        \"127.0.0.1:8080:80/tcp\"\n"
    "      ],\n"
    "      \"volumes\": [\n"
    "        \"/srv:/usr/share/nginx/html:ro\"\n"
    "      ],\n"
    "      \"environment\": {\n"
    "        \"A\": \"$(id)\",\n"
    "        \"B\": \"\"\n"
    "      },\n"
    "      \"labels\": {\n"
    "        \"a.b\": \"c\"\n"
    "      },\n"
    "      \"command\": [\n"
    "        \"--x\"\n"
    "      ]\n"
    "    }\n"
    "  ],\n"
    "  \"checks\": [\n"
    "    {\n"
    "      \"argv\": [\n"
    "        \"true\"\n"
    "      ],\n"
    "      \"timeout\": 5\n"
    "    }\n"
    "  ]\n"
    "}\n";

static void
all_of_it_comes_back_as_it_was(void **state)
{
	struct arena a = { 0 };
	struct fleet_resources r;
	struct buf b = { 0 };
	struct err err = { 0 };

	(void)state;
	if (fleet_resources_read(str_of(full), &a, &r, &err) != 0)
		fail_msg("%s", err.text);
	assert_true(r.users[0].has_keys);
	assert_int_equal(r.users[0].authorized_keys.n, 0);
	assert_true(r.packages[1].absent);
	assert_int_equal(r.groups[0].gid, 990);
	assert_str(r.files[0].text, "\"${x}\"\n");
	assert_null(r.files[1].mode.ptr);
	assert_false(r.services[0].enabled);
	fleet_resources_write(&r, &b);
	/* Capital letters are sorted before small ones, "\xc3" behind. */
	assert_string_equal(buf_z(&b), full);
	buf_free(&b);
	arena_fini(&a);
}

static void
what_is_not_said_has_its_default(void **state)
{
	static const char json[] =
	    "{\"users\":[{\"name\":\"b\",\"uid\":null},{\"name\":\"a\"}],"
	    "\"services\":[{\"name\":\"x\"}],\"checks\":[{\"argv\":[\"y\"]}]}";
	struct arena a = { 0 };
	struct fleet_resources r;
	struct buf b = { 0 };

	(void)state;
	assert_int_equal(fleet_resources_read(str_of(json), &a, &r, NULL), 0);
	assert_null(r.host_name.ptr);
	assert_int_equal(r.users[0].uid, -1);
	assert_false(r.users[0].has_keys);
	assert_true(r.services[0].enabled && r.services[0].running);
	assert_int_equal(r.checks[0].timeout_s, 30);
	fleet_resources_write(&r, &b);
	assert_non_null(strstr(buf_z(&b),
	    "\"name\": \"a\"\n    },\n    {\n      \"name\": \"b\""));
	buf_free(&b);
	arena_fini(&a);
}

static const struct {
	const char *json, *text;
} wrong[] = {
	{ "[]", "line 1 column 1" },
	{ "{\"hostname\":\"x\"}", "is a member that does not exist" },
	{ "{\"hostName\":\"-x\"}", "hostName: must be a host name" },
	{ "{\"hostName\":\"a..b\"}", "hostName: must be a host name" },
	{ "{\"hostName\":\"a\\u0000\"}", "hostName: must not have a NUL" },
	{ "{\"timeZone\":\"../etc/passwd\"}", "timeZone: must be a time zone" },
	{ "{\"timeZone\":\"/UTC\"}", "timeZone: must be a time zone" },
	{ "{\"files\":[{}]}", "files[0].path: is missing" },
	{ "{\"files\":[{\"path\":\"/a\"}]}", "files[0]: must have one of" },
	{ "{\"files\":[{\"path\":\"/a\",\"text\":\"\",\"secret\":\"x\"}]}",
	    "files[0]: must have one of" },
	{ "{\"files\":[{\"path\":\"a\",\"text\":\"\"}]}",
	    "files[0].path: must" },
	{ "{\"files\":[{\"path\":\"/\",\"text\":\"\"}]}",
	    "files[0].path: must" },
	{ "{\"files\":[{\"path\":\"/a/../b\",\"text\":\"\"}]}",
	    "[0].path: must" },
	{ "{\"files\":[{\"path\":\"/a/./b\",\"text\":\"\"}]}",
	    "[0].path: must" },
	{ "{\"files\":[{\"path\":\"/a//b\",\"text\":\"\"}]}",
	    "[0].path: must" },
	{ "{\"files\":[{\"path\":\"/a/\",\"text\":\"\"}]}", "[0].path: must" },
	{ "{\"files\":[{\"path\":\"/a\\nb\",\"text\":\"\"}]}",
	    "[0].path: must" },
	{ "{\"files\":[{\"path\":\"/a\",\"text\":\"\",\"mode\":\"888\"}]}",
	    "files[0].mode: must be three or four octal" },
	{ "{\"files\":[{\"path\":\"/a\",\"text\":\"\",\"mode\":420}]}",
	    "files[0]: " },
	{ "{\"files\":[{\"path\":\"/a\",\"text\":\"\",\"owner\":\"a:b\"}]}",
	    "files[0].owner: must" },
	{ "{\"files\":[{\"path\":\"/a\",\"artifact\":\"../x\"}]}",
	    "files[0].artifact: must" },
	{ "{\"files\":[{\"path\":\"/a\",\"text\":\"1\"},"
	  "{\"path\":\"/a\",\"text\":\"2\"}]}",
	    "files: \"/a\" is there twice" },
	{ "{\"files\":[],\"files\":[]}", NULL },
	{ "{\"files\":[{\"path\":\"/a\",\"text\":\"\"}],\"files\":[]}",
	    "is there twice" },
	{ "{\"files\":[{\"path\":\"/a\",\"path\":\"/b\",\"text\":\"\"}]}",
	    "has a member twice" },
	{ "{\"packages\":[{\"name\":\"--help\"}]}", "packages[0].name: must" },
	{ "{\"packages\":[{\"name\":\"x-\"}]}",
	    "packages[0]: must be the name" },
	{ "{\"packages\":[{\"name\":\"x;y\"}]}",
	    "packages[0]: must be the name" },
	{ "{\"packages\":[{\"name\":\"x\",\"version\":\"1 2\"}]}",
	    "packages[0]: must be a version" },
	{ "{\"packages\":[{\"name\":\"x\",\"manager\":\"../y\"}]}",
	    "packages[0].manager: must" },
	{ "{\"packages\":[{\"name\":\"x\",\"state\":\"gone\"}]}",
	    "is none of the words" },
	{ "{\"packages\":[{\"name\":\"x:amd64\"}]}", NULL },
	{ "{\"repositories\":[{\"name\":\"x\",\"line\":\"deb a\\ndeb b\"}]}",
	    "repositories[0].line: must be one line" },
	{ "{\"repositories\":[{\"name\":\"../x\",\"line\":\"deb a b\"}]}",
	    "repositories[0].name: must" },
	{ "{\"repositories\":[{\"name\":\"x\",\"line\":\"deb "
	  "a\",\"key\":\"y\"}]}",
	    "repositories[0].key: must be an armored" },
	{ "{\"groups\":[{\"name\":\"x\",\"gid\":4294967295}]}",
	    "groups[0].gid: is out of range" },
	{ "{\"groups\":[{\"name\":\"x\",\"gid\":-2}]}", "is out of range" },
	{ "{\"users\":[{\"name\":\"X\"}]}", "users[0].name: must" },
	{ "{\"users\":[{\"name\":\"root\",\"state\":\"absent\"}]}",
	    "users[0]: root can not be absent" },
	{ "{\"users\":[{\"name\":\"x\",\"comment\":\"a:b\"}]}",
	    "users[0].comment: must" },
	{ "{\"users\":[{\"name\":\"x\",\"comment\":\"a\\nb\"}]}",
	    "users[0].comment: must" },
	{ "{\"users\":[{\"name\":\"x\",\"shell\":\"bash\"}]}",
	    "users[0].shell: must" },
	{ "{\"users\":[{\"name\":\"x\",\"home\":\"/a:b\"}]}",
	    "users[0].home: must" },
	{ "{\"users\":[{\"name\":\"x\",\"groups\":[\"a,b\"]}]}",
	    "users[0].groups: must" },
	{ "{\"users\":[{\"name\":\"x\",\"authorizedKeys\":[\"a\\nb\"]}]}",
	    "users[0].authorizedKeys: must be one line" },
	{ "{\"services\":[{\"name\":\"-x\"}]}", "services[0].name: must" },
	{ "{\"services\":[{\"name\":\"a/b\"}]}", "services[0].name: must" },
	{ "{\"services\":[{\"name\":\"a\",\"restartOn\":[\"b\"]}]}",
	    "services[0].restartOn: must" },
	{ "{\"containers\":[{\"name\":\"a\"}]}",
	    "containers[0].image: is miss" },
	{ "{\"containers\":[{\"name\":\"-a\",\"image\":\"x\"}]}",
	    "containers[0].name: must" },
	{ "{\"containers\":[{\"name\":\"a\",\"image\":\"-x\"}]}",
	    "containers[0].image: must" },
	{ "{\"containers\":[{\"name\":\"a\",\"image\":\"x\","
	  "\"environment\":{\"A=B\":\"\"}}]}",
	    "containers[0].environment: must" },
	{ "{\"containers\":[{\"name\":\"a\",\"image\":\"x\","
	  "\"environment\":{\"A\":\"\",\"A\":\"1\"}}]}",
	    "must not have a key twice" },
	{ "{\"checks\":[{}]}", "checks[0].argv: is missing" },
	{ "{\"checks\":[{\"argv\":[\"\"]}]}",
	    "argv must begin with a program" },
	{ "{\"checks\":[{\"argv\":[\"x\"],\"timeout\":0}]}",
	    "checks[0].timeout: is out of range" },
	{ "{\"checks\":[{\"argv\":[\"x\"]}]} x", "line 1" },
};

static void
what_is_wrong_is_said_with_its_place(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(wrong); i++) {
		struct arena a = { 0 };
		struct fleet_resources r;
		struct err err = { 0 };
		int rc =
		    fleet_resources_read(str_of(wrong[i].json), &a, &r, &err);

		if (wrong[i].text == NULL) {
			if (rc != 0)
				fail_msg("%s: %s", wrong[i].json, err.text);
		} else if (rc != ERR_PARAM ||
		    strstr(err.text, wrong[i].text) == NULL) {
			fail_msg("%s: %d \"%s\"", wrong[i].json, rc, err.text);
		}
		arena_fini(&a);
	}
}

static const struct {
	const char *text;
	bool good;
} ports[] = {
	{ "80", true },
	{ "8080:80", true },
	{ "8000-8010:8000-8010/udp", true },
	{ "127.0.0.1::80", true },
	{ "127.0.0.1:8080:80", true },
	{ "[::1]:8080:80", true },
	{ "", false },
	{ "0:80", false },
	{ "65536:80", false },
	{ "80:", false },
	{ ":80", false },
	{ "x:80", false },
	{ "+1:80", false },
	{ "9-8:80", false },
	{ "80/icmp", false },
	{ "a b:1:2", false },
}, volumes[] = {
	{ "/a:/b", true },
	{ "/a b/$c:/b:ro", true },
	{ "data:/b:ro,z", true },
	{ "/a", false },
	{ "a b:/c", false },
	{ "/a:b", false },
	{ "/a/../b:/c", false },
	{ "/a:/b:r w", false },
	{ "/a:/b:ro:x", false },
	{ "--privileged:/b", false },
};

static bool
container_is_read(const char *member, const char *text)
{
	struct arena a = { 0 };
	struct fleet_resources r;
	char json[300];
	int rc;

	snprintf(json, sizeof(json),
	    "{\"containers\":[{\"name\":\"a\",\"image\":\"b\",\"%s\":"
	    "[\"%s\"]}]}",
	    member, text);
	rc = fleet_resources_read(str_of(json), &a, &r, NULL);
	arena_fini(&a);
	return rc == 0;
}

static void
ports_and_volumes_are_what_they_should(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(ports); i++)
		if (container_is_read("ports", ports[i].text) != ports[i].good)
			fail_msg("port \"%s\"", ports[i].text);
	for (size_t i = 0; i < COUNT_OF(volumes); i++)
		if (container_is_read("volumes", volumes[i].text) !=
		    volumes[i].good)
			fail_msg("volume \"%s\"", volumes[i].text);
}

static void
there_is_a_limit_of_items(void **state)
{
	struct arena a = { 0 };
	struct fleet_resources r;
	struct buf b = { 0 };
	struct err err = { 0 };

	(void)state;
	buf_addz(&b, "{\"groups\":[");
	for (int i = 0; i < 10001; i++)
		buf_addf(&b, "%s{\"name\":\"g%d\"}", i == 0 ? "" : ",", i);
	buf_addz(&b, "]}");
	assert_int_equal(
	    fleet_resources_read(buf_str(&b), &a, &r, &err), ERR_PARAM);
	assert_non_null(strstr(err.text, "too many"));
	buf_free(&b);
	arena_fini(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_it_comes_back_as_it_was),
		cmocka_unit_test(what_is_not_said_has_its_default),
		cmocka_unit_test(what_is_wrong_is_said_with_its_place),
		cmocka_unit_test(ports_and_volumes_are_what_they_should),
		cmocka_unit_test(there_is_a_limit_of_items),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
