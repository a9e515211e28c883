/*
 * edge/topic_test.c - topics are read, and written as they were read.
 */
#include "base/test.h"

#include "base/base.h"
#include "edge/topic.h"

#include <string.h>

static void
each_channel_is_read_and_written_again(void **state)
{
	static const struct {
		const char *topic, *entity;
		enum te_channel channel;
		const char *type, *id;
	} cases[] = {
		{ "te/device/main//", "device/main//", TE_ENTITY, NULL, NULL },
		{ "te/a/b/c/d", "a/b/c/d", TE_ENTITY, NULL, NULL },
		{ "te/device/main///m/", "device/main//", TE_MEASUREMENT, "",
		    NULL },
		{ "te/device/child01/service/nodered/m/environment",
		    "device/child01/service/nodered", TE_MEASUREMENT,
		    "environment", NULL },
		{ "te/device/main///m/x/meta", "device/main//",
		    TE_MEASUREMENT_META, "x", NULL },
		{ "te/device/main///e/login", "device/main//", TE_EVENT,
		    "login", NULL },
		{ "te/device/main///e/login/meta", "device/main//",
		    TE_EVENT_META, "login", NULL },
		{ "te/device/main///a/hot", "device/main//", TE_ALARM, "hot",
		    NULL },
		{ "te/device/main///a/hot/meta", "device/main//", TE_ALARM_META,
		    "hot", NULL },
		{ "te/device/main///twin/name", "device/main//", TE_TWIN,
		    "name", NULL },
		{ "te/device/main/service/s/config", "device/main/service/s",
		    TE_CONFIG, NULL, NULL },
		{ "te/device/main/service/s/status/health",
		    "device/main/service/s", TE_HEALTH, NULL, NULL },
		{ "te/device/main/service/s/status/metrics",
		    "device/main/service/s", TE_STATUS, "metrics", NULL },
		{ "te/device/main///cmd/restart", "device/main//", TE_CMD_META,
		    "restart", NULL },
		{ "te/device/main///cmd/restart/c8y-mapper-1", "device/main//",
		    TE_CMD, "restart", "c8y-mapper-1" },
		{ "te/device/main///cmd/health/check", "device/main//",
		    TE_HEALTH_CHECK, NULL, NULL },
		{ "te/device/main///cmd/health/other", "device/main//", TE_CMD,
		    "health", "other" },
		{ "te/device/main///signal/sync_config", "device/main//",
		    TE_SIGNAL, "sync_config", NULL },
		{ "te/m/e/a/twin/m/e", "m/e/a/twin", TE_MEASUREMENT, "e",
		    NULL },
	};
	struct buf again = { 0 };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct te_topic t;

		assert_int_equal(
		    te_topic_read(STR("te"), str_of(cases[i].topic), &t, NULL),
		    0);
		assert_true(str_eqz(t.entity, cases[i].entity));
		assert_int_equal(t.channel, cases[i].channel);
		assert_true(str_eq(t.type, str_of(cases[i].type)));
		assert_true(str_eq(t.id, str_of(cases[i].id)));
		buf_clear(&again);
		te_topic_add(&again, STR("te"), &t);
		assert_string_equal(buf_z(&again), cases[i].topic);
	}
	buf_free(&again);
}

static void
what_is_no_topic_of_an_entity_is_refused(void **state)
{
	static const struct {
		const char *topic;
		int code;
		const char *text;
	} cases[] = {
		{ "tedge/measurements", ERR_NOT_FOUND,
		    "\"tedge/measurements\" is not below \"te\"" },
		{ "te", ERR_NOT_FOUND, "\"te\" is not below \"te\"" },
		{ "te/errors", ERR_PARAM,
		    "An entity topic identifier has 4 segments: \"errors\" "
		    "has 1" },
		{ "te/device/main///x/y", ERR_PARAM,
		    "Invalid category: \"x/y\"" },
		{ "te/device/main///m", ERR_PARAM, "Invalid category: \"m\"" },
		{ "te/device/main///", ERR_PARAM, "Invalid category: \"\"" },
		{ "te/device/main///m/a/b", ERR_PARAM,
		    "Invalid category: \"m/a/b\"" },
		{ "te/device/main///config/", ERR_PARAM,
		    "Invalid category: \"config/\"" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct te_topic t;
		struct err err;

		assert_int_equal(
		    te_topic_read(STR("te"), str_of(cases[i].topic), &t, &err),
		    cases[i].code);
		assert_string_equal(err.text, cases[i].text);
	}
}

static void
the_root_may_be_another(void **state)
{
	struct te_topic t;

	(void)state;
	assert_int_equal(te_topic_read(STR("plant/7"),
			     STR("plant/7/device/main///m/"), &t, NULL),
	    0);
	assert_str(t.entity, "device/main//");
	assert_int_equal(te_topic_read(STR("plant/7"),
			     STR("plant/77/device/main///m/"), &t, NULL),
	    ERR_NOT_FOUND);
}

static void
short_ids_are_made_whole_and_bad_ones_are_told(void **state)
{
	struct buf id = { 0 };
	struct err err;

	(void)state;
	assert_int_equal(te_entity_normal(&id, STR("device/child01"), NULL), 0);
	assert_string_equal(buf_z(&id), "device/child01//");
	buf_clear(&id);
	assert_int_equal(te_entity_normal(&id, STR("a/b/c/d"), NULL), 0);
	assert_string_equal(buf_z(&id), "a/b/c/d");
	buf_clear(&id);
	assert_int_equal(
	    te_entity_normal(&id, STR("a/b/c/d/e"), &err), ERR_PARAM);
	assert_string_equal(
	    err.text, "An entity topic identifier has at most 4 segments");
	assert_int_equal(
	    te_entity_normal(&id, STR("device/+"), &err), ERR_PARAM);
	assert_string_equal(
	    err.text, "An entity topic identifier must be a valid MQTT topic");
	assert_int_equal(id.len, 0);
	buf_free(&id);
}

static void
the_default_scheme_is_known(void **state)
{
	struct buf device = { 0 };

	(void)state;
	assert_true(te_entity_is_default(STR("device/main//")));
	assert_true(te_entity_is_default(STR("device/c/service/s")));
	assert_false(te_entity_is_default(STR("device///")));
	assert_false(te_entity_is_default(STR("device/c/service/")));
	assert_false(te_entity_is_default(STR("device/c/x/s")));
	assert_false(te_entity_is_default(STR("factory/c//")));
	assert_true(te_entity_is_service(STR("device/c/service/s")));
	assert_false(te_entity_is_service(STR("device/c//")));
	te_entity_device(&device, STR("device/c/service/s"));
	assert_string_equal(buf_z(&device), "device/c//");
	assert_str(te_entity_name(STR("device/c/service/s")), "s");
	assert_str(te_entity_name(STR("device/c//")), "c");
	buf_free(&device);
}

static void
topics_of_the_first_years_are_read(void **state)
{
	static const struct {
		const char *topic;
		enum tedge_kind kind;
		const char *severity, *type, *child;
	} cases[] = {
		{ "tedge/measurements", TEDGE_MEASUREMENT, NULL, NULL, NULL },
		{ "tedge/measurements/c", TEDGE_MEASUREMENT, NULL, NULL, "c" },
		{ "tedge/measurements/", TEDGE_OTHER, NULL, NULL, NULL },
		{ "tedge/measurements/c/d", TEDGE_OTHER, NULL, NULL, NULL },
		{ "tedge/events/login", TEDGE_EVENT, NULL, "login", NULL },
		{ "tedge/events/login/c", TEDGE_EVENT, NULL, "login", "c" },
		{ "tedge/events/", TEDGE_EVENT, NULL, "", NULL },
		{ "tedge/alarms/major/hot", TEDGE_ALARM, "major", "hot", NULL },
		{ "tedge/alarms/major/hot/c", TEDGE_ALARM, "major", "hot",
		    "c" },
		{ "tedge/alarms/major", TEDGE_OTHER, NULL, NULL, NULL },
		{ "tedge/health/s", TEDGE_HEALTH, NULL, "s", NULL },
		{ "tedge/health/c/s", TEDGE_HEALTH, NULL, "s", "c" },
		{ "tedge/health-check", TEDGE_HEALTH_CHECK, NULL, NULL, NULL },
		{ "tedge/health-check/s", TEDGE_HEALTH_CHECK, NULL, "s", NULL },
		{ "tedge/commands/req/software/list", TEDGE_COMMAND_REQ, NULL,
		    "software/list", NULL },
		{ "tedge/commands/res/control/restart", TEDGE_COMMAND_RES, NULL,
		    "control/restart", NULL },
		{ "tedge/c/commands/req/config_snapshot", TEDGE_COMMAND_REQ,
		    NULL, "config_snapshot", "c" },
		{ "tedge/c/commands/res/firmware_update", TEDGE_COMMAND_RES,
		    NULL, "firmware_update", "c" },
		{ "tedge/errors", TEDGE_OTHER, NULL, NULL, NULL },
		{ "tedge/", TEDGE_OTHER, NULL, NULL, NULL },
	};
	struct tedge_topic t;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		assert_int_equal(
		    tedge_topic_read(str_of(cases[i].topic), &t, NULL), 0);
		assert_int_equal(t.kind, cases[i].kind);
		assert_true(str_eq(t.severity, str_of(cases[i].severity)));
		assert_true(str_eq(t.type, str_of(cases[i].type)));
		assert_true(str_eq(t.child, str_of(cases[i].child)));
	}
	assert_int_equal(
	    tedge_topic_read(STR("te/x"), &t, NULL), ERR_NOT_FOUND);
	assert_int_equal(
	    tedge_topic_read(STR("tedge"), &t, NULL), ERR_NOT_FOUND);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_channel_is_read_and_written_again),
		cmocka_unit_test(what_is_no_topic_of_an_entity_is_refused),
		cmocka_unit_test(the_root_may_be_another),
		cmocka_unit_test(
		    short_ids_are_made_whole_and_bad_ones_are_told),
		cmocka_unit_test(the_default_scheme_is_known),
		cmocka_unit_test(topics_of_the_first_years_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
