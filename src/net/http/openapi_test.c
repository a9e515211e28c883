/*
 * net/http/openapi_test.c - the document made from a small route table.
 */
#include "net/http/openapi.h"

#include "codec/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct part {
	struct str name;
	double weight;
};

struct thing {
	struct str id, note, labels, spec, url, code, word;
	int64_t size, at;
	bool on;
	struct strs tags;
	struct part part;
	struct rows parts;
};

static const struct field part_fields[] = {
	F_TEXT(struct part, name, "name", .max = 8),
	F_REAL(struct part, weight, "weight", .flags = FIELD_NULL),
	{ 0 },
};
static const struct record part_record = { "part", sizeof(struct part),
	part_fields };

static const char *const words[] = { "a", "b", NULL };

static const struct record *
spec_of(const char *type)
{
	return strcmp(type, "b") == 0 ? &part_record : NULL;
}

static const struct field thing_fields[] = {
	F_TEXT(struct thing, id, "thingId", .help = "Its \"name\"."),
	F_TEXT(
	    struct thing, note, "note", .flags = FIELD_NULL, .one_of = words),
	F_JSON(
	    struct thing, labels, "labels", .flags = FIELD_OBJECT, .def = "{}"),
	F_INT(struct thing, size, "size", .min = 1, .max = 9, .def = "3"),
	F_TIME(struct thing, at, "at", .flags = FIELD_NULL),
	F_BOOL(struct thing, on, "on", .def = "true"),
	F_TEXTS(struct thing, tags, "tags"),
	F_RECORD(
	    struct thing, part, struct part, "part", .record = &part_record),
	F_RECORDS(struct thing, parts, "parts", .record = &part_record),
	F_JSON(struct thing, spec, "spec", .one_of = words, .spec = spec_of),
	F_TEXT(struct thing, url, "url", .format = "uri",
	    .flags = FIELD_NULL | FIELD_ABSENT),
	F_TEXT(struct thing, code, "code", .format = "text/javascript"),
	F_TEXT(struct thing, word, "word", .flags = FIELD_SECRET),
	{ 0 },
};
static const struct record thing_record = { "thing", sizeof(struct thing),
	thing_fields };

static const struct field query_fields[] = {
	F_TEXT(struct thing, id, "contains"),
	F_INT(struct thing, size, "size"),
	{ 0 },
};
static const struct record query_record = { "thingQuery", sizeof(struct thing),
	query_fields };

static const struct http_route routes[] = {
	{ "POST", "/thing", HTTP_TOKEN,
	    .roles = HTTP_ROLE_ADMIN | HTTP_ROLE_DEV, .scope = "thing.post",
	    .body = { .record = &thing_record, .members = "note! size labels" },
	    .reply = { .record = &thing_record, .members = "thingId" },
	    .help = "Adds things." },
	{ "GET", "/thing/list", HTTP_TOKEN, .query = &query_record,
	    .reply = { .record = &thing_record,
		.list = true,
		.sometimes = "size at tags" } },
	{ "GET", "/thing/{thingId}",
	    .reply = { .record = &thing_record, .plain = true } },
	{ "GET", "/page", .flags = HTTP_HIDDEN },
	{ "DELETE", "/thing/{thingId}", HTTP_TOKEN },
	{ "POST", "/form",
	    .body = { .record = &thing_record,
		.members = "note!",
		.form = true } },
	{ "POST", "/thing/api/v1/file/{name}",
	    .body = { .media = "application/zip" },
	    .reply = { .record = &part_record, .map = true } },
	{ "GET", "/thing/api/v1/thing", .name = "self",
	    .reply = { .media = "text/plain" } },
	{ 0 },
};

struct document {
	struct buf text;
	struct arena arena;
};

static int
set_up(void **state)
{
	static struct document d;
	const struct http_route *all[sizeof(routes) / sizeof(routes[0])] = {
		NULL
	};

	for (size_t i = 0; routes[i].method != NULL; i++)
		all[i] = &routes[i];
	d = (struct document){ 0 };
	openapi_write(&d.text, all, "Things", "1.2.3");
	*state = &d;
	return 0;
}

static int
tear_down(void **state)
{
	struct document *d = *state;

	buf_free(&d->text);
	arena_fini(&d->arena);
	return 0;
}

/* The raw text behind the keys, which are separated by a space; STR_NULL. */
static struct str
at(struct document *d, const char *keys)
{
	struct str rest = str_of(keys), text = buf_str(&d->text);

	while (rest.ptr != NULL && text.ptr != NULL) {
		struct str want = str_cut(&rest, ' '), key, found = STR_NULL;
		struct json j;

		json_open(&j, text, 0, &d->arena);
		if (!json_object(&j))
			return STR_NULL;
		while (json_member(&j, &key))
			if (str_eq(key, want))
				json_raw(&j, &found);
			else
				json_skip(&j);
		assert_int_equal(json_done(&j, NULL), 0);
		text = found;
	}
	return text;
}

static void
is(struct document *d, const char *keys, const char *want)
{
	struct str got = at(d, keys);

	if (want == NULL ? got.ptr != NULL : !str_eqz(got, want))
		fail_msg("%s: wanted %s, got " STR_FMT, keys,
		    want != NULL ? want : "nothing", STR_ARG(got));
}

#define BODY " requestBody content application/json schema"
#define REPLY " responses 200 content application/json schema"

static void
the_document_is_json_and_names_itself(void **state)
{
	struct document *d = *state;
	struct json j;

	json_open(&j, buf_str(&d->text), 0, &d->arena);
	json_skip(&j);
	assert_int_equal(json_done(&j, NULL), 0);
	is(d, "openapi", "\"3.1.0\"");
	is(d, "info title", "\"Things\"");
	is(d, "info version", "\"1.2.3\"");
}

static void
each_path_and_method_is_there_once(void **state)
{
	static const char *const want[] = { "/thing post", "/thing/list get",
		"/thing/{thingId} get delete", "/form post",
		"/thing/api/v1/file/{name} post", "/thing/api/v1/thing get",
		NULL };
	struct document *d = *state;
	struct str path, method, paths = at(d, "paths");
	struct json j;
	size_t n = 0;

	json_open(&j, paths, 0, &d->arena);
	assert_true(json_object(&j));
	while (json_member(&j, &path)) {
		struct buf line = { 0 };

		buf_add_str(&line, path);
		assert_true(json_object(&j));
		while (json_member(&j, &method)) {
			buf_addc(&line, ' ');
			buf_add_str(&line, method);
			json_skip(&j);
		}
		assert_non_null(want[n]);
		assert_string_equal(buf_z(&line), want[n++]);
		buf_free(&line);
	}
	assert_int_equal(json_done(&j, NULL), 0);
	assert_null(want[n]);
}

static void
a_body_has_its_members_and_those_required(void **state)
{
	struct document *d = *state;

	is(d, "paths /thing post" BODY " required", "[\"data\"]");
	is(d, "paths /thing post" BODY " properties data required",
	    "[\"note\"]");
	is(d, "paths /thing post" BODY " properties data properties",
	    "{\"note\":{\"type\":[\"string\",\"null\"],"
	    "\"enum\":[\"a\",\"b\",null]},"
	    "\"labels\":{\"type\":\"object\",\"default\":{}},"
	    "\"size\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":9,"
	    "\"default\":3}}");
	is(d,
	    "paths /form post requestBody content "
	    "application/x-www-form-urlencoded schema required",
	    "[\"note\"]");
	is(d, "paths /thing/list get requestBody", NULL);
}

static void
an_answer_is_one_thing_a_list_or_nothing(void **state)
{
	struct document *d = *state;

	is(d, "paths /thing post" REPLY " properties data properties",
	    "{\"thingId\":{\"type\":\"string\","
	    "\"description\":\"Its \\\"name\\\".\"}}");
	is(d, "paths /thing/list get" REPLY " properties data type",
	    "\"array\"");
	is(d,
	    "paths /thing/list get" REPLY
	    " properties data items properties at",
	    "{\"type\":[\"string\",\"null\"],\"format\":\"date-time\"}");
	is(d, "paths /thing/{thingId} get" REPLY " properties on",
	    "{\"type\":\"boolean\",\"default\":true}");
	is(d, "paths /thing/{thingId} delete responses 204",
	    "{\"description\":\"Done.\"}");
	is(d, "paths /thing/{thingId} delete responses default $ref",
	    "\"#/components/responses/Error\"");
	is(d,
	    "components responses Error content application/json schema "
	    "required",
	    "[\"code\"]");
}

static void
records_inside_and_lists_are_written_out(void **state)
{
	struct document *d = *state;
	static const char part[] =
	    "{\"name\":{\"type\":\"string\",\"maxLength\":8},"
	    "\"weight\":{\"type\":[\"number\",\"null\"]}}";

	is(d, "paths /thing/{thingId} get" REPLY " properties part properties",
	    part);
	is(d,
	    "paths /thing/{thingId} get" REPLY
	    " properties parts items properties",
	    part);
	is(d, "paths /thing/{thingId} get" REPLY " properties tags",
	    "{\"type\":\"array\",\"items\":{\"type\":\"string\"}}");
}

static void
parameters_come_from_path_query_and_paging(void **state)
{
	struct document *d = *state;
	struct str list = at(d, "paths /thing/list get parameters");
	static const char *const names[] = { "contains", "size", "offset",
		"limit", "sort", "format", NULL };
	struct str key, name;
	struct json j;
	size_t n = 0;

	is(d, "paths /thing/{thingId} get parameters",
	    "[{\"name\":\"thingId\",\"in\":\"path\",\"required\":true,"
	    "\"schema\":{\"type\":\"string\"}}]");
	json_open(&j, list, 0, &d->arena);
	assert_true(json_array(&j));
	while (json_item(&j)) {
		assert_true(json_object(&j));
		while (json_member(&j, &key))
			if (str_eqz(key, "name") && json_str(&j, &name)) {
				assert_non_null(names[n]);
				assert_true(str_eqz(name, names[n++]));
			} else {
				json_skip(&j);
			}
	}
	assert_int_equal(json_done(&j, NULL), 0);
	assert_null(names[n]);
}

static void
fields_say_what_they_may_be(void **state)
{
	struct document *d = *state;

#define ONE "paths /thing/{thingId} get" REPLY " properties "
	is(d, ONE "url format", "\"uri\"");
	is(d, ONE "url type", "\"string\"");
	is(d, ONE "code contentMediaType", "\"text/javascript\"");
	is(d, ONE "word format", "\"password\"");
	is(d, ONE "spec anyOf",
	    "[{\"title\":\"a\",\"type\":\"object\"},"
	    "{\"title\":\"b\",\"type\":\"object\",\"properties\":"
	    "{\"name\":{\"type\":\"string\",\"maxLength\":8},"
	    "\"weight\":{\"type\":[\"number\",\"null\"]}}}]");
}

static void
an_answer_has_all_members_but_those_that_may_be_absent(void **state)
{
	struct document *d = *state;

	is(d, "paths /thing/{thingId} get" REPLY " required",
	    "[\"thingId\",\"note\",\"labels\",\"size\",\"at\",\"on\","
	    "\"tags\",\"part\",\"parts\",\"spec\",\"code\",\"word\"]");
	is(d, "paths /thing/list get" REPLY " properties data items required",
	    "[\"thingId\",\"note\",\"labels\",\"on\",\"part\",\"parts\","
	    "\"spec\",\"code\",\"word\"]");
	is(d, "paths /thing/{thingId} get" REPLY " title", "\"Thing\"");
	is(d, "paths /thing/{thingId} get" REPLY " properties part required",
	    "[\"name\",\"weight\"]");
}

static void
bytes_have_a_media_type_and_maps_any_names(void **state)
{
	struct document *d = *state;

#define FILE_POST "paths /thing/api/v1/file/{name} post"
	is(d, FILE_POST " requestBody content application/zip schema",
	    "{\"type\":\"string\",\"contentMediaType\":"
	    "\"application/zip\"}");
	is(d, FILE_POST REPLY " properties data additionalProperties type",
	    "\"array\"");
	is(d,
	    "paths /thing/api/v1/thing get responses 200 content text/plain "
	    "schema type",
	    "\"string\"");
}

static void
operations_are_named_by_path_and_method(void **state)
{
	struct document *d = *state;

	is(d, "paths /thing post operationId", "\"thing.post\"");
	is(d, "paths /thing/list get operationId", "\"thing.list\"");
	is(d, "paths /thing/{thingId} get operationId", "\"thing.get\"");
	is(d, FILE_POST " operationId", "\"thing.file.post\"");
	is(d, FILE_POST " tags", "[\"thing\"]");
	is(d, "paths /thing/api/v1/thing get operationId",
	    "\"thing.self.get\"");
	is(d, "paths /form post tags", "[\"server\"]");
}

static void
access_roles_and_scope_are_told(void **state)
{
	struct document *d = *state;

	is(d, "paths /thing post security", "[{\"bearer\":[]}]");
	is(d, "paths /thing post x-api-scope", "\"thing.post\"");
	is(d, "paths /thing post x-roles", "[\"admin\",\"dev\"]");
	is(d, "paths /thing post summary", "\"Adds things.\"");
	is(d, "paths /thing/{thingId} get security", "[]");
	is(d, "paths /thing/{thingId} get x-roles", NULL);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_document_is_json_and_names_itself),
		T(each_path_and_method_is_there_once),
		T(a_body_has_its_members_and_those_required),
		T(an_answer_is_one_thing_a_list_or_nothing),
		T(records_inside_and_lists_are_written_out),
		T(parameters_come_from_path_query_and_paging),
		T(fields_say_what_they_may_be),
		T(an_answer_has_all_members_but_those_that_may_be_absent),
		T(bytes_have_a_media_type_and_maps_any_names),
		T(operations_are_named_by_path_and_method),
		T(access_roles_and_scope_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
