/*
 * core/fleet/agent_log_test.c - how much is kept of what devices log and tell.
 */
#include "base/test.h"

#include "core/fleet/agent.h"

#include "base/clock.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define HOUR ((int64_t)3600 * 1000)

struct fixture {
	struct fleet f;
	struct arena arena;
	int64_t now;
	int made;
};

static int
set_up(void **state)
{
	static const struct entity *const entities[] = { &fleet_device_entity,
		&fleet_log_entity, &fleet_metric_entity,
		&fleet_connection_entity, NULL };
	const struct store_conf conf = { .engine = "memory",
		.entities = entities };
	struct fixture *x = mem_new(struct fixture);
	struct err err;

	x->now = clock_now();
	x->f.conf.logs_max = 1000;
	x->f.conf.logs_ms = x->f.conf.metrics_ms = 100 * HOUR;
	x->f.conf.tasks_kept_ms = 100 * HOUR;
	assert_int_equal(store_open(&conf, &x->f.store, &err), 0);
	for (int i = 0; i < 2; i++) {
		struct fleet_device d = { 0 };

		record_defaults(
		    &fleet_device_entity.record, &x->arena, 0, &d, NULL);
		d.id = i == 0 ? STR("one") : STR("two");
		assert_int_equal(
		    store_add(x->f.store, &fleet_device_entity, &d, &err), 0);
	}
	*state = x;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *x = *state;

	store_close(x->f.store);
	arena_fini(&x->arena);
	free(x);
	return 0;
}

static struct str
new_id(struct fixture *x)
{
	return arena_printf(&x->arena, "%d", ++x->made);
}

static void
logs(struct fixture *x, const char *device, int64_t hours_ago)
{
	struct fleet_log l = { 0 };
	struct err err;

	record_defaults(&fleet_log_entity.record, &x->arena, 0, &l, NULL);
	l.id = new_id(x);
	l.device_id = str_of(device);
	l.timestamp = x->now - hours_ago * HOUR;
	assert_int_equal(store_add(x->f.store, &fleet_log_entity, &l, &err), 0);
}

static int
write_age(void *ctx, const void *row, struct err *err)
{
	struct fixture *x = ((void **)ctx)[0];
	const struct fleet_log *l = row;

	(void)err;
	buf_addf(
	    ((void **)ctx)[1], "%" PRId64 " ", (x->now - l->timestamp) / HOUR);
	return 0;
}

/* The hours since each line of a device, the newest first. */
static const char *
kept(struct fixture *x, const char *device)
{
	struct filter of = { 0 };
	struct store_query q = {
		.filter = &of, .sort = { { "timestamp", true } }, .n_sort = 1
	};
	struct buf b = { 0 };
	void *ctx[] = { x, &b };
	struct str ret;
	struct err err;

	filter_text(&of, "deviceId", str_of(device));
	assert_int_equal(
	    store_list(x->f.store, &fleet_log_entity, &q, write_age, ctx, &err),
	    0);
	ret = b.len > 0 ? arena_str(&x->arena, buf_str(&b)) : STR("");
	buf_free(&b);
	return ret.ptr;
}

static void
of_each_device_so_many_lines_are_kept_the_newest(void **state)
{
	struct fixture *x = *state;
	struct err err;

	for (int64_t h = 1; h <= 5; h++)
		logs(x, "one", h);
	logs(x, "two", 7);
	x->f.conf.logs_max = 5;
	assert_int_equal(fleet_log_clean(&x->f, &err), 0);
	assert_string_equal(kept(x, "one"), "1 2 3 4 5 ");
	x->f.conf.logs_max = 3;
	assert_int_equal(fleet_log_clean(&x->f, &err), 0);
	assert_string_equal(kept(x, "one"), "1 2 3 ");
	assert_string_equal(kept(x, "two"), "7 ");
}

static void
lines_of_one_moment_are_not_lost_together(void **state)
{
	struct fixture *x = *state;
	struct err err;

	for (int i = 0; i < 5; i++)
		logs(x, "one", 4);
	logs(x, "one", 2);
	x->f.conf.logs_max = 3;
	assert_int_equal(fleet_log_clean(&x->f, &err), 0);
	assert_string_equal(kept(x, "one"), "2 4 4 ");
}

static void
lines_are_kept_for_so_long(void **state)
{
	struct fixture *x = *state;
	struct err err;

	logs(x, "one", 1);
	logs(x, "one", 3);
	x->f.conf.logs_ms = 2 * HOUR;
	assert_int_equal(fleet_log_clean(&x->f, &err), 0);
	assert_string_equal(kept(x, "one"), "1 ");
}

static int64_t
count(struct fixture *x, const struct entity *e)
{
	struct filter all = { 0 };
	struct err err;
	int64_t n = -1;

	assert_int_equal(store_count(x->f.store, e, &all, &n, &err), 0);
	return n;
}

static void
load_and_connections_are_kept_for_so_long(void **state)
{
	struct fixture *x = *state;
	struct err err;

	for (int64_t h = 1; h <= 3; h++) {
		struct fleet_metric m = { 0 };
		struct fleet_connection c = { 0 };

		record_defaults(
		    &fleet_metric_entity.record, &x->arena, 0, &m, NULL);
		m.id = new_id(x);
		m.device_id = STR("one");
		m.timestamp = x->now - h * HOUR;
		assert_int_equal(
		    store_add(x->f.store, &fleet_metric_entity, &m, &err), 0);
		record_defaults(
		    &fleet_connection_entity.record, &x->arena, 0, &c, NULL);
		c.id = new_id(x);
		c.device_id = STR("one");
		c.connected_at = x->now - 9 * HOUR;
		c.disconnected_at = h == 3 ? TIME_NULL : m.timestamp;
		assert_int_equal(
		    store_add(x->f.store, &fleet_connection_entity, &c, &err),
		    0);
	}
	x->f.conf.metrics_ms = 2 * HOUR + HOUR / 2;
	x->f.conf.tasks_kept_ms = HOUR + HOUR / 2;
	assert_int_equal(fleet_log_clean(&x->f, &err), 0);
	assert_int_equal(count(x, &fleet_metric_entity), 2);
	/* who is connected stays */
	assert_int_equal(count(x, &fleet_connection_entity), 2);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(of_each_device_so_many_lines_are_kept_the_newest),
		T(lines_of_one_moment_are_not_lost_together),
		T(lines_are_kept_for_so_long),
		T(load_and_connections_are_kept_for_so_long),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
