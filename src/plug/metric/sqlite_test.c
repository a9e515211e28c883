/*
 * plug/metric/sqlite_test.c - what the embedded engine leaves in its file, and
 * what it does when the file is not as it left it.
 */
#include "plug/metric/db.h"
#include "plug/metric/ops.h"

#include "base/base.h"
#include "base/mem.h"
#include "base/test.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MINUTE 60000
#define DAY INT64_C(86400000)
#define T0 1700006400000

struct fixture {
	struct metric *m;
	struct metric_settings set;
	struct err err;
	struct arena arena;
	char dir[32];
	char file[64];
};

static void
must(struct fixture *f, int rc)
{
	if (rc != 0)
		fail_msg("%d %s", rc, f->err.text);
}

static int
open_it(struct fixture *f)
{
	return metric_open_ops(&metric_sqlite, &f->set, f->dir, &f->m, &f->err);
}

static void
close_it(struct fixture *f)
{
	metric_close(f->m);
	f->m = NULL;
}

static int
set_up(void **state)
{
	struct fixture *f = mem_new(struct fixture);

	strcpy(f->dir, "/tmp/metric-XXXXXX");
	if (mkdtemp(f->dir) == NULL)
		return -1;
	snprintf(f->file, sizeof(f->file), "%s/here/metric.db", f->dir);
	f->set = (struct metric_settings){
		.path = STR("here"), .max_series = 1000, .buffer_points = 100000
	};
	*state = f;
	return open_it(f);
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;
	char *rm = mem_printf("rm -r %s", f->dir);

	close_it(f);
	arena_fini(&f->arena);
	if (system(rm) != 0)
		print_error("%s stays\n", f->dir);
	free(rm);
	free(f);
	return 0;
}

static uint32_t
series(struct fixture *f)
{
	uint32_t id;

	must(f,
	    metric_series(f->m, METRIC_GAUGE, STR("t"), NULL, 0, &id, &f->err));
	return id;
}

static void
put_days(struct fixture *f, uint32_t id, int from, int to)
{
	for (int64_t t = from * DAY; t < to * DAY; t += MINUTE) {
		struct metric_point p = { id, T0 + t, (double)(t / MINUTE),
			STR_NULL };

		must(f, metric_write(f->m, &p, 1, NULL, &f->err));
	}
}

/* One number that the file has. */
static int64_t
ask(struct fixture *f, const char *sql)
{
	sqlite3_stmt *s;
	sqlite3 *db;
	int64_t ret;

	assert_int_equal(sqlite3_open(f->file, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(s), SQLITE_ROW);
	ret = sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	sqlite3_close(db);
	return ret;
}

static void
change(struct fixture *f, const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(f->file, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

#define POINTS "SELECT sum(n) FROM block WHERE (id >> 33 & 3) = 1"
#define MINUTES "SELECT sum(n) FROM block WHERE (id >> 33 & 3) = 2"
#define HOURS "SELECT sum(n) FROM block WHERE (id >> 33 & 3) = 3"
#define BLOCKS "SELECT count(*) FROM block WHERE (id >> 33 & 3) = 1"

static void
each_tier_is_made_and_forgotten_in_its_time(void **state)
{
	struct fixture *f = *state;
	uint32_t id;

	f->set.keep_raw = 20 * DAY;
	f->set.keep_minute = 60 * DAY;
	f->set.keep_hour = 100 * DAY;
	close_it(f);
	must(f, open_it(f));
	id = series(f);
	put_days(f, id, 0, 40);
	must(f, metric_pack(f->m, &f->err));
	assert_int_equal(ask(f, POINTS), 40 * 1440);
	assert_int_equal(ask(f, MINUTES), 0); /* not before they are needed */
	assert_int_equal(ask(f, HOURS), 40 * 24);

	must(f, metric_clean(f->m, T0 + 40 * DAY, &f->err));
	assert_in_range(ask(f, POINTS), 20 * 1440, 35 * 1440);
	assert_int_equal(ask(f, MINUTES), 40 * 1440 - ask(f, POINTS));
	must(f, metric_clean(f->m, T0 + 120 * DAY, &f->err));
	assert_in_range(ask(f, POINTS), 1, 16384); /* the newest block */
	assert_in_range(ask(f, MINUTES), 0, 2048);
	assert_in_range(ask(f, HOURS), 20 * 24, 40 * 24);
	must(f, metric_clean(f->m, T0 + 1000 * DAY, &f->err));
	assert_int_equal(ask(f, MINUTES), 0);
	assert_int_equal(ask(f, HOURS), 0);
}

static void
small_portions_become_few_blocks(void **state)
{
	struct fixture *f = *state;
	uint32_t id = series(f);

	for (int day = 0; day < 60; day++) {
		put_days(f, id, day, day + 1);
		must(f, metric_pack(f->m, &f->err));
	}
	assert_int_equal(ask(f, POINTS), 60 * 1440);
	assert_in_range(ask(f, BLOCKS), 6, 14);
}

static void
a_deleted_series_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	uint32_t id = series(f);

	put_days(f, id, 0, 2);
	must(f, metric_pack(f->m, &f->err));
	put_days(f, id, 2, 3);
	must(f, metric_delete(f->m, id, &f->err));
	must(f, metric_pack(f->m, &f->err));
	assert_int_equal(ask(f, "SELECT count(*) FROM block"), 0);
	assert_int_equal(ask(f, "SELECT count(*) FROM series"), 0);
}

static bool
pass_over(void *ctx, const struct metric_point *p, size_t n)
{
	(void)ctx;
	(void)p;
	(void)n;
	return true;
}

static void
a_broken_block_is_an_error_and_harms_no_other(void **state)
{
	struct fixture *f = *state;
	uint32_t id = series(f), other;
	struct metric_stats s;

	put_days(f, id, 0, 1);
	must(f,
	    metric_series(
		f->m, METRIC_GAUGE, STR("other"), NULL, 0, &other, &f->err));
	put_days(f, other, 0, 1);
	close_it(f);
	change(f,
	    "UPDATE block SET data = substr(data, 1, 20) WHERE id >> 35 = 1");
	must(f, open_it(f));
	assert_int_equal(
	    metric_read(f->m, id, T0, T0 + DAY, pass_over, NULL, &f->err),
	    ERR_PROTO);
	must(f,
	    metric_read(f->m, other, T0, T0 + DAY, pass_over, NULL, &f->err));
	/* what is written over it gets in, and it is told */
	metric_stats(f->m, &s);
	assert_int_equal(s.broken, 0);
	put_days(f, id, 0, 1);
	must(f, metric_pack(f->m, &f->err));
	metric_stats(f->m, &s);
	assert_int_equal(s.waiting, 0);
	assert_int_equal(s.broken, 3); /* points, hours, the newest hour */
	must(f, metric_read(f->m, id, T0, T0 + DAY, pass_over, NULL, &f->err));
}

static void
a_file_of_a_newer_version_is_left_alone(void **state)
{
	struct fixture *f = *state;

	close_it(f);
	change(f, "PRAGMA user_version = 2");
	assert_int_equal(open_it(f), ERR_PARAM);
	assert_non_null(strstr(f->err.text, "newer version"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(each_tier_is_made_and_forgotten_in_its_time),
		T(small_portions_become_few_blocks),
		T(a_deleted_series_leaves_nothing),
		T(a_broken_block_is_an_error_and_harms_no_other),
		T(a_file_of_a_newer_version_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
