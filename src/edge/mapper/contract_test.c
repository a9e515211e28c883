/*
 * edge/mapper/contract_test.c - what edge/mapper.h promises, asked of every
 * mapper there is.
 */
#include "edge/mapper/double.h"

#include "base/base.h"
#include "base/mem.h"
#include "base/test.h"
#include "codec/mqtt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EACH_MAPPER(ops)                                                       \
	for (const struct mapper_ops *const *ops##_at = mapper_list, *ops;     \
	     (ops = *ops##_at) != NULL; ops##_at++)

struct fixture {
	const struct mapper_ops *ops;
	struct mapper_double d;
	char folder[64];
	struct config *config;
	void *m;
	struct strs filters;
	struct arena arena;
};

static void
on_filter(void *ctx, struct str filter)
{
	struct fixture *f = ctx;

	f->filters.at =
	    mem_resize(f->filters.at, f->filters.n + 1, sizeof(*f->filters.at));
	f->filters.at[f->filters.n++] = arena_str(&f->arena, filter);
}

static int
open_at(struct fixture *f, struct str root, void **ret, struct err *err)
{
	const struct mapper_conf conf = {
		.cloud = { f->config, f->ops->name, STR_NULL },
		.device_id = STR("device01"),
		.root = root,
		.main_entity = STR("device/main//"),
	};

	return f->ops->open(&conf, &f->d.host, ret, err);
}

static int
open_one(struct fixture *f, void **ret, struct err *err)
{
	return open_at(f, STR("te"), ret, err);
}

static void
open_it(struct fixture *f, const struct mapper_ops *ops)
{
	struct err err = { 0 };

	*f = (struct fixture){ .ops = ops };
	mapper_double_init(&f->d);
	f->d.now_ns = INT64_C(1619111126958340390);
	snprintf(f->folder, sizeof(f->folder), "/tmp/contract-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	assert_int_equal(config_open(f->folder, &f->config, NULL), 0);
	if (open_one(f, &f->m, &err) != 0)
		fail_msg("%s: %s", ops->name, err.text);
	ops->filters(f->m, on_filter, f);
	mapper_double_begin(&f->d, ops, f->m);
}

static void
close_it(struct fixture *f)
{
	f->ops->close(f->m);
	config_close(f->config);
	(void)rmdir(f->folder);
	mapper_double_fini(&f->d);
	free(f->filters.at);
	arena_fini(&f->arena);
}

/* Hands a message over in memory of its own, which is gone behind the call:
 * what the mapper keeps, it must have copied. */
static void
say(struct fixture *f, struct str topic, struct str payload, bool retain,
    bool origin)
{
	struct mapper_msg m = { .qos = 1, .retain = retain, .origin = origin };
	struct arena a = { 0 };
	char *t = mem_try(MAX_OF(topic.len, 1));
	char *p = mem_try(MAX_OF(payload.len, 1));

	memcpy(t, topic.ptr, topic.len);
	if (payload.len > 0)
		memcpy(p, payload.ptr, payload.len);
	m.topic = (struct str){ t, topic.len };
	m.payload = (struct str){ p, payload.len };
	f->ops->message(f->m, &m, &a);
	free(t);
	free(p);
	arena_fini(&a);
}

static bool
hears(const struct fixture *f, const char *topic)
{
	for (size_t i = 0; i < f->filters.n; i++)
		if (mqtt_filter_matches(f->filters.at[i], str_of(topic)))
			return true;
	return false;
}

/* How many lines there are of what was said, to the topic, or to any. */
static size_t
said(const struct fixture *f, const char *topic)
{
	struct str rest = buf_str(&f->d.said);
	char head[128];
	size_t n = 0;

	snprintf(head, sizeof(head), "out %s", topic);
	while (rest.len > 0) {
		struct str line = str_cut(&rest, '\n');

		n += str_starts(line, str_of(head));
		if (rest.ptr == NULL)
			break;
	}
	return n;
}

static bool
is_cloud(const struct fixture *f)
{
	return hears(f, "te/device/main///m/x");
}

/* Asks each mapper, opened for it. */
static void
each(void (*ask)(struct fixture *f))
{
	EACH_MAPPER(ops)
	{
		struct fixture f;

		open_it(&f, ops);
		ask(&f);
		close_it(&f);
	}
}

/* Asks each mapper about measurements, on each topic of either generation that
 * carries them to it. `errors` is where it tells what is wrong with those. */
static void
each_topic(
    void (*ask)(struct fixture *f, const char *topic, const char *errors))
{
	static const char *const topics[][2] = {
		{ "tedge/measurements", "tedge/errors q1 " },
		{ "te/device/main///m/x", "te/errors q1 " },
	};

	EACH_MAPPER(ops)
	{
		struct fixture f;

		open_it(&f, ops);
		for (size_t i = 0; i < COUNT_OF(topics); i++)
			if (hears(&f, topics[i][0]))
				ask(&f, topics[i][0], topics[i][1]);
		close_it(&f);
	}
}

static void
measure(struct fixture *f, const char *topic, struct str payload)
{
	buf_clear(&f->d.said);
	say(f, str_of(topic), payload, false, false);
}

/* It was made one message, which is no error. */
static void
is_converted(const struct fixture *f)
{
	assert_int_equal(said(f, ""), 1);
	assert_int_equal(said(f, "te/errors"), 0);
	assert_int_equal(said(f, "tedge/errors"), 0);
}

/* Nothing came of it but a sentence. */
static void
is_told(const struct fixture *f, const char *topic, const char *errors,
    const char *what)
{
	if (said(f, "") != 1 || said(f, errors) != 1)
		fail_msg("%s: %s on %s: %.300s", f->ops->name, what, topic,
		    buf_z((struct buf *)(uintptr_t)&f->d.said));
}

/* --- promises ------------------------------------------------------------ */

static void
each_has_a_name_of_its_own_and_says_what_it_is(void **state)
{
	(void)state;
	EACH_MAPPER(ops)
	{
		assert_true(strlen(ops->name) > 0 && strlen(ops->help) > 0);
		assert_non_null(ops->open);
		assert_non_null(ops->close);
		assert_non_null(ops->filters);
		assert_non_null(ops->up);
		assert_non_null(ops->message);
		EACH_MAPPER(other)
		assert_true(other == ops || strcmp(other->name, ops->name));
	}
}

static void
subscribes_once(struct fixture *f)
{
	assert_true(f->filters.n > 0);
	for (size_t i = 0; i < f->filters.n; i++) {
		assert_true(mqtt_filter_ok(f->filters.at[i]));
		for (size_t k = 0; k < i; k++)
			if (str_eq(f->filters.at[i], f->filters.at[k]))
				fail_msg("%s subscribes to " STR_FMT " twice",
				    f->ops->name, STR_ARG(f->filters.at[i]));
	}
}

static void
what_it_subscribes_to_are_filters_each_once(void **state)
{
	(void)state;
	each(subscribes_once);
}

static void
is_below_the_root(void *ctx, struct str filter)
{
	const struct fixture *f = ctx;

	if (str_starts(filter, STR("te/")))
		fail_msg("%s hears " STR_FMT ", where the root is another",
		    f->ops->name, STR_ARG(filter));
}

static void
follows_the_root(struct fixture *f)
{
	void *m;

	assert_int_equal(open_at(f, STR("other"), &m, NULL), 0);
	f->ops->filters(m, is_below_the_root, f);
	f->ops->close(m);
}

static void
topics_begin_with_the_root_that_is_set(void **state)
{
	(void)state;
	each(follows_the_root);
}

static void
converts(struct fixture *f, const char *topic, const char *errors)
{
	(void)errors;
	measure(f, topic, STR("{\"temperature\":23}"));
	is_converted(f);
	assert_non_null(strstr(buf_z(&f->d.said), " q1 "));
	assert_non_null(strstr(buf_z(&f->d.said), "23"));
}

static void
a_measurement_becomes_one_message(void **state)
{
	(void)state;
	each_topic(converts);
}

static void
tells_bad_json(struct fixture *f, const char *topic, const char *errors)
{
	static const char *const bad[] = { "{\"temperature\":", "{", "[1]", "x",
		"{\"a\":1}}", "{\"a\":1,}" };

	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		measure(f, topic, str_of(bad[i]));
		is_told(f, topic, errors, bad[i]);
	}
}

static void
bad_json_is_told_once_and_goes_no_further(void **state)
{
	(void)state;
	each_topic(tells_bad_json);
}

static void
goes_on(struct fixture *f, const char *topic, const char *errors)
{
	(void)errors;
	measure(f, topic, STR("{"));
	measure(f, topic, STR("{\"a\":1}"));
	is_converted(f);
}

static void
it_goes_on_behind_an_error(void **state)
{
	(void)state;
	each_topic(goes_on);
}

static void
converts_once(struct fixture *f, const char *first, const char *copy,
    struct str payload, bool retain)
{
	size_t one = 0, two = 0;

	buf_clear(&f->d.said);
	if (hears(f, first)) {
		say(f, str_of(first), payload, retain, false);
		one = said(f, "");
	}
	buf_clear(&f->d.said);
	if (hears(f, copy)) {
		say(f, str_of(copy), payload, retain, true);
		two = said(f, "");
	}
	if ((one > 0) == (two > 0))
		fail_msg("%s: %s came %s", f->ops->name, first,
		    one > 0 ? "twice" : "never");
}

/* Of a message on tedge/ and its copy on te/, one is converted. */
static void
nothing_is_converted_twice(void **state)
{
	static const struct {
		const char *first, *copy, *payload;
		bool retain;
	} pairs[] = {
		{ "tedge/measurements", "te/device/main///m/", "{\"a\":1}",
		    false },
		{ "tedge/events/x", "te/device/main///e/x", "{\"text\":\"t\"}",
		    false },
		{ "tedge/alarms/major/x", "te/device/main///a/x",
		    "{\"text\":\"t\",\"severity\":\"major\"}", true },
	};

	(void)state;
	EACH_MAPPER(ops)
	{
		struct fixture f;

		open_it(&f, ops);
		for (size_t i = 0; is_cloud(&f) && i < COUNT_OF(pairs); i++)
			converts_once(&f, pairs[i].first, pairs[i].copy,
			    str_of(pairs[i].payload), pairs[i].retain);
		close_it(&f);
	}
}

static void
tells_large_ones(struct fixture *f, const char *topic, const char *errors)
{
	struct buf big = { 0 };

	buf_addz(&big, "{\"a\":1");
	for (int i = 0; i < 40000; i++)
		buf_addf(&big, ",\"name%d\":%d", i, i);
	buf_addc(&big, '}');
	measure(f, topic, buf_str(&big));
	is_told(f, topic, errors, "a large one");
	buf_free(&big);
}

static void
what_is_too_large_is_told_once_and_goes_no_further(void **state)
{
	(void)state;
	each_topic(tells_large_ones);
}

static void
passes_over_unknown_topics(struct fixture *f)
{
	static const char *const topics[] = { "", "/", "x", "te", "te/",
		"te/device", "te/device/main", "te/device/main//",
		"te/device/main///", "te/device/main///m", "tedge", "tedge/",
		"tedge/unknown", "tedge/events", "tedge/alarms/major",
		"tedge/commands/req/software/list", "elsewhere/a/b",
		"te/errors", "tedge/errors", "c8y", "c8y/", "c8y/s/e",
		"c8y-internal/alarms/", "c8y-internal/alarms/x",
		"c8y-internal/entities/", "c8y/http/events/create/", "az/",
		"aws/", "collectd/", "te/device/main///cmd/restart/",
		"te/device/main///cmd//x", "te/device/main///twin/",
		"te/device/main///m/x/meta/y", "te/a/b/c/d/m/x" };

	f->ops->up(f->m);
	for (size_t i = 0; i < COUNT_OF(topics); i++)
		for (int retain = 0; retain < 2; retain++)
			say(f, str_of(topics[i]), STR("{\"a\":1}"), retain,
			    false);
}

static void
unknown_topics_are_passed_over(void **state)
{
	(void)state;
	each(passes_over_unknown_topics);
}

static void
takes_garbage(struct fixture *f)
{
	static const char *const topics[] = { "te/device/main//",
		"te/device/child01//", "te/device/child01/service/app",
		"te/device/main///m/x", "te/device/main///m/x/meta",
		"te/device/child01///m/x", "te/device/main///e/x",
		"te/device/main///a/x", "te/device/main///twin/x",
		"te/device/main///twin/firmware",
		"te/device/main/service/app/status/health",
		"te/device/main///cmd/restart", "te/device/main///cmd/x",
		"te/device/main///cmd/log_upload",
		"te/device/main///cmd/restart/c8y-mapper-1",
		"te/device/main///cmd/software_list/c8y-mapper-1",
		"te/device/main///cmd/log_upload/c8y-mapper-1",
		"te/device/main///cmd/device_profile/c8y-mapper-1",
		"te/device/main///signal/sync", "tedge/measurements",
		"tedge/measurements/child", "tedge/events/x",
		"tedge/events/x/child", "tedge/alarms/major/x",
		"tedge/alarms/x/x", "tedge/health/x",
		"c8y/devicecontrol/notifications", "c8y/s/ds",
		"c8y/http/events/create/device01",
		"c8y-internal/alarms/te/device/main///a/x",
		"c8y-internal/alarms/te/device/gone///a/x",
		"c8y-internal/entities/device/child02//",
		"collectd/host/cpu/load" };
	static const struct str payloads[] = { STR(""), STR(" "), STR("{"),
		STR("{}"), STR("[]"), STR("null"), STR("1"), STR("\"x\""),
		STR("\xFF\xFE"), STR("a\0b"), STR("{\"a\":\"\\u0000\"}"),
		STR("{\"@type\":7}"), STR("{\"@type\":\"child-device\"}"),
		STR("{\"@type\":\"service\",\"@parent\":\"a/b/c/d/e/f\"}"),
		STR("{\"@type\":\"child-device\",\"@parent\":\"device/"
		    "child01\"}"),
		STR("{\"@type\":\"child-device\",\"@id\":\"\"}"),
		STR("{\"status\":7}"), STR("{\"status\":\"successful\"}"),
		STR("{\"status\":\"failed\",\"reason\":{}}"),
		STR("{\"status\":\"successful\",\"currentSoftwareList\":7}"),
		STR("{\"status\":\"successful\",\"currentSoftwareList\":[7]}"),
		STR("{\"status\":\"successful\",\"currentSoftwareList\":"
		    "[{\"modules\":{}},{\"modules\":[7]}]}"),
		STR("{\"status\":\"successful\",\"operations\":[7,{}]}"),
		STR("{\"status\":\"successful\",\"c8y-mapper\":7}"),
		STR("{\"status\":\"successful\",\"c8y-mapper\":{\"on_"
		    "fragment\":"
		    "\"x\",\"output\":[7,\"${.payload.a[\"]}}"),
		STR("{\"types\":{}}"), STR("{\"types\":[7]}"),
		STR("{\"id\":\"1\",\"externalSource\":7}"),
		STR("{\"id\":\"2\",\"externalSource\":{\"externalId\":"
		    "\"device01\"},\"c8y_SoftwareUpdate\":[[]]}"),
		STR("{\"id\":\"3\",\"externalSource\":{\"externalId\":"
		    "\"device01\"},\"c8y_DeviceProfile\":{\"software\":7},"
		    "\"profileName\":\"p\"}"),
		STR("528"), STR("528,"), STR("528,device01,a"),
		STR("510,device01\n\n,,,\n\"\""), STR("1:2"), STR("1:x") };

	const struct mapper_ops *ops = f->ops;

	ops->up(f->m);
	for (size_t p = 0; p < COUNT_OF(payloads); p++)
		for (size_t t = 0; t < COUNT_OF(topics); t++) {
			say(f, str_of(topics[t]), payloads[p], p & 1, false);
			if (p % 5 == 0 && ops->timer != NULL)
				mapper_double_wait(&f->d, ops, f->m, 700);
			while (ops->http != NULL &&
			    mapper_double_answer(&f->d, ops, f->m,
				p % 2 == 0 ? 200 : 0, payloads[p]))
				;
			buf_clear(&f->d.said);
		}
}

/* Whatever comes on topics that it hears, nothing breaks, leaks or is made into
 * what is no topic. */
static void
garbage_harms_nobody(void **state)
{
	(void)state;
	each(takes_garbage);
}

/* Whoever keeps data of the unknown keeps it within limits: closing frees it,
 * which the leak checker sees. */
static void
hears_of_many(struct fixture *f)
{
	char topic[64];

	for (int i = 0; i < 1000; i++) {
		snprintf(topic, sizeof(topic), "te/device/unknown%d///m/", i);
		if (hears(f, topic))
			say(f, str_of(topic), STR("{\"a\":1}"), false, false);
	}
}

static void
nothing_grows_with_messages(void **state)
{
	(void)state;
	each(hears_of_many);
}

static void
takes_another_in_a_flood(struct fixture *f)
{
	char topic[64];

	for (int i = 0; i < 20000; i++) {
		snprintf(topic, sizeof(topic), "te/no/body%d/x/y/m/", i);
		if (hears(f, topic))
			say(f, str_of(topic), STR("{\"a\":1}"), false, false);
	}
	buf_clear(&f->d.said);
	if (!hears(f, "te/device/child01//"))
		return;
	say(f, STR("te/device/child01//"), STR("{\"@type\":\"child-device\"}"),
	    true, false);
	assert_int_equal(said(f, "te/errors"), 0);
	assert_true(said(f, "") > 0);
}

/* Data of those who are never registered leave room for those who are. */
static void
a_flood_of_the_unknown_keeps_nobody_out(void **state)
{
	(void)state;
	each(takes_another_in_a_flood);
}

static void
is_asked_at_any_time(struct fixture *f)
{
	static const struct child_end end = { .status = 0 };
	const struct mapper_ops *ops = f->ops;

	if (ops->timer != NULL)
		ops->timer(f->m);
	if (ops->http != NULL)
		ops->http(f->m, 12345, 200, STR("{}"));
	if (ops->ran != NULL)
		ops->ran(f->m, 12345, &end);
	if (ops->changed != NULL)
		ops->changed(f->m);
	ops->up(f->m);
	ops->up(f->m); /* connected anew */
}

static void
what_it_is_asked_early_or_late_is_no_harm(void **state)
{
	(void)state;
	each(is_asked_at_any_time);
}

static void
is_content_with_little(struct fixture *f)
{
	const struct mapper_msg msg = {
		.topic = STR("te/device/main///cmd/log_upload/c8y-mapper-1"),
		.payload = STR("{\"status\":\"successful\",\"type\":\"x\","
			       "\"tedgeUrl\":\"http://x/y\"}"),
	};
	struct arena a = { 0 };
	void *m;

	f->d.host.http = NULL;
	f->d.host.carry = NULL;
	f->d.host.run = NULL;
	f->d.host.watch = NULL;
	assert_int_equal(open_one(f, &m, NULL), 0);
	f->ops->up(m);
	f->ops->message(m, &msg, &a);
	f->ops->close(m);
	arena_fini(&a);
}

/* A host without HTTP, programs and watching. */
static void
a_poor_host_is_enough(void **state)
{
	(void)state;
	each(is_content_with_little);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    each_has_a_name_of_its_own_and_says_what_it_is),
		cmocka_unit_test(what_it_subscribes_to_are_filters_each_once),
		cmocka_unit_test(topics_begin_with_the_root_that_is_set),
		cmocka_unit_test(a_measurement_becomes_one_message),
		cmocka_unit_test(bad_json_is_told_once_and_goes_no_further),
		cmocka_unit_test(it_goes_on_behind_an_error),
		cmocka_unit_test(nothing_is_converted_twice),
		cmocka_unit_test(
		    what_is_too_large_is_told_once_and_goes_no_further),
		cmocka_unit_test(unknown_topics_are_passed_over),
		cmocka_unit_test(garbage_harms_nobody),
		cmocka_unit_test(nothing_grows_with_messages),
		cmocka_unit_test(a_flood_of_the_unknown_keeps_nobody_out),
		cmocka_unit_test(what_it_is_asked_early_or_late_is_no_harm),
		cmocka_unit_test(a_poor_host_is_enough),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
