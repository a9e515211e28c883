/*
 * core/hub/live_ask_test.c - what clients of /ws may say, and what they want.
 */
#include "base/test.h"

#include "core/hub/live.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static void
what_is_wrong_is_said(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{ "x", "line 1 column 1" },
		{ "[]", "object" },
		{ "{}", "type" },
		{ "{\"type\":\"hello\"}", "must be auth, subscribe" },
		{ "{\"type\":\"auth\"}", "missing `token`" },
		{ "{\"type\":\"subscribe\"}", "missing `id`" },
		{ "{\"type\":\"unsubscribe\"}", "missing `id`" },
		{ "{\"type\":\"subscribe\",\"id\":1}", "id" },
		{ "{\"type\":\"subscribe\",\"id\":\"1\",\"entityType\":"
		  "\"field\"}",
		    "there is no member `entityType`" },
		{ "{\"type\":\"subscribe\",\"id\":\"1\",\"entityTypes\":"
		  "[\"fields\"]}",
		    "`fields` is no kind of object" },
		{ "{\"type\":\"subscribe\",\"id\":\"1\",\"eventTypes\":"
		  "[\"new\"]}",
		    "`new` is no created" },
		{ "{\"type\":\"subscribe\",\"id\":\"1\",\"quickIds\":"
		  "[\"a.b.c.d\"]}",
		    "`a.b.c.d` is no quick id" },
		{ "{\"type\":\"subscribe\",\"id\":\"1\",\"filters\":[]}",
		    "filters" },
		{ "{\"type\":\"subscribe\",\"id\":\"1\",\"topics\":[\"a/#/"
		  "b\"]}",
		    "`a/#/b` is no topic filter" },
		{ "{\"type\":\"subscribe\",\"id\":\"1\",\"topics\":[\"a\"],"
		  "\"entityTypes\":[\"field\"]}",
		    "topics: " },
		{ "{\"type\":\"ping\"} x", "line 1" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct arena a = { 0 };
		struct live_ask ask;
		struct err err;

		assert_int_equal(
		    live_ask_read(str_of(cases[i].text), &a, &ask, &err),
		    ERR_PARAM);
		if (strstr(err.text, cases[i].why) == NULL)
			fail_msg("%s: %s", cases[i].text, err.text);
		arena_fini(&a);
	}
}

static void
a_subscription_is_read(void **state)
{
	struct arena a = { 0 };
	struct live_ask ask, copy;
	struct err err;

	(void)state;
	assert_int_equal(
	    live_ask_read(
		STR("{\"type\":\"subscribe\",\"id\":\"7\",\"unit\":\"u\","
		    "\"entityTypes\":[\"field\",\"task\"],\"quickIds\":"
		    "[\"field:n.a.s.f\"],\"filters\":{\"unit\":\"K\"},"
		    "\"initial\":true}"),
		&a, &ask, &err),
	    0);
	assert_int_equal(ask.verb, LIVE_SUBSCRIBE);
	live_ask_copy(&a, &copy, &ask);
	assert_true(str_eqz(copy.id, "7") && str_eqz(copy.unit, "u"));
	assert_int_equal(copy.entity_types.n, 2);
	assert_true(str_eqz(copy.quick_ids.at[0], "field:n.a.s.f"));
	assert_true(str_eqz(copy.filters, "{\"unit\":\"K\"}"));
	assert_true(copy.initial);
	assert_int_equal(
	    live_ask_read(
		STR("{\"type\":\"auth\",\"token\":\"t\"}"), &a, &ask, &err),
	    0);
	assert_int_equal(ask.verb, LIVE_AUTH);
	live_ask_copy(&a, &copy, &ask);
	assert_null(copy.token.ptr); /* a token is not passed on */
	arena_fini(&a);
}

/* Does what `text` asks for want this update of a field? */
static bool
wants(const char *text, enum live_kind kind, const char *type)
{
	const struct live_event e = { .kind = kind,
		.quick = STR("field:n.a.s.f"),
		.type = str_of(type),
		.entity_type = STR("field"),
		.entity = STR("{\"fieldId\":\"f\",\"current\":{\"value\":1.5},"
			      "\"labels\":{\"room\":\"hall\"}}") };
	struct buf b = { 0 };
	struct arena a = { 0 };
	struct map ids = { 0 };
	struct live_ask ask;
	struct err err;
	bool ret;

	buf_addf(&b, "{\"type\":\"subscribe\",\"id\":\"1\"%s}", text);
	if (live_ask_read(buf_str(&b), &a, &ask, &err) != 0)
		fail_msg("%s", err.text);
	for (size_t i = 0; i < ask.quick_ids.n; i++)
		map_put(&ids, ask.quick_ids.at[i], &ids);
	ret = live_wants(&ask, &ids, &e);
	map_fini(&ids);
	arena_fini(&a);
	buf_free(&b);
	return ret;
}

static void
filters_must_all_fit(void **state)
{
	static const struct {
		const char *text;
		bool wanted;
	} cases[] = {
		{ "", true },
		{ ",\"entityTypes\":[\"task\",\"field\"]", true },
		{ ",\"entityTypes\":[\"task\"]", false },
		{ ",\"eventTypes\":[\"updated\"]", true },
		{ ",\"eventTypes\":[\"created\",\"deleted\"]", false },
		{ ",\"quickIds\":[\"field:x.y.z.w\",\"field:n.a.s.f\"]", true },
		{ ",\"quickIds\":[\"field:n.a.s.g\"]", false },
		{ ",\"filters\":{\"fieldId\":\"f\"}", true },
		{ ",\"filters\":{\"fieldId\":\"g\"}", false },
		{ ",\"filters\":{\"labels.room\":\"hall\",\"fieldId\":\"f\"}",
		    true },
		{ ",\"filters\":{\"labels.room\":\"hall\",\"fieldId\":\"x\"}",
		    false },
		{ ",\"filters\":{\"current.value\":1.5}", true },
		{ ",\"filters\":{\"none\":\"f\"}", false },
		{ ",\"entityTypes\":[\"task\"],\"quickIds\":"
		  "[\"field:n.a.s.f\"]",
		    false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++)
		if (wants(cases[i].text, LIVE_EVENT, "updated") !=
		    cases[i].wanted)
			fail_msg("%s", cases[i].text);
}

static void
values_that_are_there_are_of_no_event_type(void **state)
{
	(void)state;
	assert_true(
	    wants(",\"eventTypes\":[\"updated\"]", LIVE_INITIAL, "requested"));
	assert_false(wants(",\"eventTypes\":[\"updated\"],\"entityTypes\":"
			   "[\"node\"]",
	    LIVE_INITIAL, "requested"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_wrong_is_said),
		cmocka_unit_test(a_subscription_is_read),
		cmocka_unit_test(filters_must_all_fit),
		cmocka_unit_test(values_that_are_there_are_of_no_event_type),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
