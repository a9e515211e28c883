/*
 * edge/entity_api_test.c - what is asked, and what is answered.
 */
#include "base/test.h"

#include "base/base.h"
#include "edge/entity_api.h"

static void
on_publish(void *owner, struct str topic, struct str payload)
{
	(void)owner;
	(void)topic;
	(void)payload;
}

/* One request after the other, to the same store. */
static const struct {
	const char *method, *path, *query, *body;
	int status;
	const char *answer;
} story[] = {
	{ "GET", "", "", "", 200,
	    "[{\"@topic-id\":\"device/main//\",\"@type\":\"device\"}]" },
	{ "POST", "", "",
	    "{\"@topic-id\":\"device/c1\",\"@type\":\"child-device\",\"@id\":"
	    "\"x\",\"name\":\"One\"}",
	    201, "{\"@topic-id\":\"device/c1//\"}" },
	{ "POST", "", "",
	    "{\"@topic-id\":\"device/c1//\",\"@type\":\"child-device\"}", 409,
	    "{\"error\":\"An entity with topic id: device/c1// is already "
	    "registered\"}" },
	{ "POST", "", "",
	    "{\"@topic-id\":\"device/c2\",\"@type\":\"child-device\","
	    "\"@parent\":\"device/none//\"}",
	    400,
	    "{\"error\":\"The specified parent \\\"device/none//\\\" does not "
	    "exist in the entity store\"}" },
	{ "POST", "/", "",
	    "{\"@topic-id\":\"device/c1/service/s\",\"@type\":\"service\"}",
	    201, "{\"@topic-id\":\"device/c1/service/s\"}" },
	{ "GET", "/device/c1", "", "", 200,
	    "{\"@topic-id\":\"device/c1//\",\"@parent\":\"device/main//\","
	    "\"@type\":\"child-device\",\"@id\":\"x\"}" },
	{ "GET", "/device/c1/", "", "", 200, NULL },
	{ "GET", "/device/c1//", "", "", 200, NULL },
	{ "GET", "/device/c9", "", "", 404,
	    "{\"error\":\"Entity with topic id: device/c9// not found\"}" },
	{ "GET", "/device", "", "", 404, "{\"error\":\"Not Found\"}" },
	{ "GET", "/device/+", "", "", 400,
	    "{\"error\":\"An entity topic identifier must be a valid MQTT "
	    "topic\"}" },
	{ "GET", "", "parent=device/c1", "", 200,
	    "[{\"@topic-id\":\"device/c1/service/s\",\"@parent\":"
	    "\"device/c1//\",\"@type\":\"service\"}]" },
	{ "GET", "", "root=device/c1&type=child-device", "", 200,
	    "[{\"@topic-id\":\"device/c1//\",\"@parent\":\"device/main//\","
	    "\"@type\":\"child-device\",\"@id\":\"x\"}]" },
	{ "GET", "", "root=device/c9", "", 200, "[]" },
	{ "GET", "", "type=thing", "", 400,
	    "{\"error\":\"Invalid entity type: thing\"}" },
	{ "GET", "", "root=a/b&parent=c/d", "", 400,
	    "{\"error\":\"The provided parameters: root and parent are "
	    "mutually exclusive. Use either one.\"}" },
	{ "GET", "", "root=a/b/c/d/e", "", 400,
	    "{\"error\":\"An entity topic identifier has at most 4 "
	    "segments\"}" },
	{ "PATCH", "/device/c1", "", "{\"@health\":\"device/c1/service/s\"}",
	    200,
	    "{\"@topic-id\":\"device/c1//\",\"@parent\":\"device/main//\","
	    "\"@type\":\"child-device\",\"@id\":\"x\",\"@health\":"
	    "\"device/c1/service/s\"}" },
	{ "PATCH", "/device/c1", "", "{\"@parent\":\"device/c1\"}", 400,
	    "{\"error\":\"Entity: 'device/c1//' can not be its own parent\"}" },
	{ "PATCH", "/device/main", "", "{\"@parent\":\"device/c1\"}", 400,
	    "{\"error\":\"The parent of main device can not be updated\"}" },
	{ "PATCH", "/device/c9", "", "{}", 404,
	    "{\"error\":\"The specified entity: device/c9// does not exist in "
	    "the entity store\"}" },
	/* twin */
	{ "GET", "/device/c1///twin", "", "", 200, "{\"name\":\"One\"}" },
	{ "PUT", "/device/c1///twin/hw", "", " { \"a\" : 1 }", 200,
	    "{\"a\":1}" },
	{ "GET", "/device/c1///twin/hw", "", "", 200, "{\"a\":1}" },
	{ "PUT", "/device/c1///twin/hw", "", "null", 200, "null" },
	{ "GET", "/device/c1///twin/hw", "", "", 404,
	    "{\"error\":\"Entity twin data for entity: device/c1// with "
	    "fragment key: hw not found\"}" },
	{ "PUT", "/device/c1///twin/hw", "", "{", 400,
	    "{\"error\":\"The body is no JSON\"}" },
	{ "PUT", "/device/c1///twin/@x", "", "1", 400,
	    "{\"error\":\"Invalid twin key: '@x'. Keys that are empty, "
	    "containing '/' or starting with '@' are not allowed\"}" },
	{ "PUT", "/device/c1///twin/a/b", "", "1", 400,
	    "{\"error\":\"Invalid twin key: 'a/b'. Keys that are empty, "
	    "containing '/' or starting with '@' are not allowed\"}" },
	{ "PUT", "/device/c9///twin/a", "", "1", 404, NULL },
	{ "PUT", "/device/c1///twin", "", "{\"a\":1,\"b\":\"z\"}", 200,
	    "{\"a\":1,\"b\":\"z\"}" },
	{ "GET", "/device/c1///twin/", "", "", 200, "{\"a\":1,\"b\":\"z\"}" },
	{ "DELETE", "/device/c1///twin/a", "", "", 204, "" },
	{ "DELETE", "/device/c1///twin/a", "", "", 204, "" },
	{ "DELETE", "/device/c1///twin", "", "", 204, "" },
	{ "GET", "/device/c1///twin", "", "", 200, "{}" },
	{ "PATCH", "/device/c1///twin", "", "{}", 405,
	    "{\"error\":\"Method Not Allowed\"}" },
	/* configuration, and what there is not */
	{ "GET", "/device/main///config", "", "", 200, "{\"mqtt.port\":1883}" },
	{ "GET", "/device/main///config/mqtt.port", "", "", 200, "1883" },
	{ "GET", "/device/main///config/other", "", "", 404,
	    "{\"error\":\"Configuration value for entity: device/main// with "
	    "key: other not found\"}" },
	{ "GET", "/device/c1///config", "", "", 200, "{}" },
	{ "GET", "/device/c9///config", "", "", 404, NULL },
	{ "PUT", "/device/main///config/mqtt.port", "", "1", 405, NULL },
	{ "GET", "/device/main///m/x", "", "", 404,
	    "{\"error\":\"Actions on channel: m are not supported\"}" },
	{ "POST", "/device/c1", "", "{}", 405, NULL },
	{ "DELETE", "", "", "", 405, NULL },
	/* the end */
	{ "DELETE", "/device/main", "", "", 400,
	    "{\"error\":\"The main device can not be removed\"}" },
	{ "DELETE", "/device/c1", "", "", 200,
	    "[{\"@topic-id\":\"device/c1//\",\"@parent\":\"device/main//\","
	    "\"@type\":\"child-device\",\"@id\":\"x\",\"@health\":"
	    "\"device/c1/service/s\"},{\"@topic-id\":\"device/c1/service/s\","
	    "\"@parent\":\"device/c1//\",\"@type\":\"service\"}]" },
	{ "DELETE", "/device/c1", "", "", 204, "" },
};

static struct str
query_value(const char *query, const char *name)
{
	struct str rest = str_of(query);

	while (rest.ptr != NULL) {
		struct str value = str_cut(&rest, '&');

		if (str_eqz(str_cut(&value, '='), name))
			return value;
	}
	return STR_NULL;
}

static void
each_request_of_the_story_is_answered(void **state)
{
	const struct te_store_conf conf = { .root = STR("te"),
		.main = STR("device/main//"),
		.auto_register = true };
	const struct te_store_host host = { .publish = on_publish,
		.keep = on_publish };
	const struct te_topic config = { .entity = STR("device/main//"),
		.channel = TE_CONFIG };
	struct te_store *s = te_store_new(&conf, &host);

	(void)state;
	te_store_hear(s, &config, STR("{\"mqtt.port\":1883}"));
	for (size_t i = 0; i < COUNT_OF(story); i++) {
		struct buf path = { 0 };
		struct entity_call c = { .method = story[i].method,
			.root = query_value(story[i].query, "root"),
			.parent = query_value(story[i].query, "parent"),
			.type = query_value(story[i].query, "type"),
			.body = str_of(story[i].body) };

		buf_addf(&path, ENTITY_API_PATH "%s", story[i].path);
		c.path = buf_str(&path);
		assert_true(entity_api_is(c.path));
		entity_api(s, &c);
		if (story[i].answer != NULL)
			assert_string_equal(buf_z(&c.out), story[i].answer);
		assert_int_equal(c.status, story[i].status);
		buf_free(&c.out);
		buf_free(&path);
	}
	te_store_free(s);
}

static void
other_paths_are_not_ours(void **state)
{
	(void)state;
	assert_false(entity_api_is(STR("/te/v1/entitiesx")));
	assert_false(entity_api_is(STR("/te/v1/files/x")));
	assert_false(entity_api_is(STR("")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_request_of_the_story_is_answered),
		cmocka_unit_test(other_paths_are_not_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
