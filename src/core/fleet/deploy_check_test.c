/*
 * core/fleet/deploy_check_test.c - what is said of a device that is not well.
 *
 * The device is there; what its programs do is a list of answers, of which the
 * last one stays.
 */
#include "base/test.h"

#include "core/fleet/deploy.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define CHECK "[{\"argv\":[\"check-disk\",\"/\"]}]"

struct answer {
	int rc; /* not 0: it did not run */
	int status;
	const char *said, *wrong;
	bool late; /* comes when all of its time is over */
};

struct fixture {
	struct job job;
	const struct answer *next;
	size_t left;
	int runs;
	int words; /* of the last one */
};

static struct buf declared; /* hosts/pi/linux.json; empty: there is none */

int __wrap_fleet_file_at(struct fleet *f, struct str unit_id, struct str commit,
    const char *path, struct arena *a, struct str *ret, struct err *err);
int __wrap_job_reach(struct job *j, struct err *err);

int
__wrap_fleet_file_at(struct fleet *f, struct str unit_id, struct str commit,
    const char *path, struct arena *a, struct str *ret, struct err *err)
{
	(void)f;
	(void)unit_id;
	(void)commit;
	(void)a;
	if (declared.len == 0)
		return err_set(err, ERR_NOT_FOUND, "no %s", path);
	assert_string_equal(path, "hosts/pi/linux.json");
	*ret = buf_str(&declared);
	return 0;
}

int
__wrap_job_reach(struct job *j, struct err *err)
{
	(void)j;
	(void)err;
	return 0;
}

static int
answer(void *ctx, const char *const *argv, struct str input, int64_t timeout_ms,
    struct target_result *ret, struct err *err)
{
	struct fixture *f = container_of(ctx, struct fixture, job);
	const struct answer *a = f->next;
	int64_t until = clock_mono() + timeout_ms;

	(void)input;
	f->runs++;
	for (f->words = 0; argv[f->words] != NULL;)
		f->words++;
	while (a->late && clock_mono() < until)
		loop_turn(f->job.loop, (int)(until - clock_mono()));
	if (f->left > 1) {
		f->next++;
		f->left--;
	}
	if (a->rc != 0)
		return err_set(err, a->rc, "%s", a->wrong);
	*ret = (struct target_result){ a->status, str_of(a->said),
		str_of(a->wrong) };
	return 0;
}

static void
tell(void *ctx, struct str line)
{
	(void)ctx;
	(void)line;
}

static bool
cancelled(void *ctx)
{
	(void)ctx;
	return false;
}

static int
set_up(void **state)
{
	struct fixture *f = mem_new(struct fixture);

	f->job.loop = loop_new();
	f->job.config = STR("pi");
	f->job.host = (struct target_host){ .ctx = &f->job,
		.ssh = answer,
		.tell = tell,
		.cancelled = cancelled };
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	loop_free(f->job.loop);
	buf_free(&declared);
	arena_fini(&f->job.arena);
	free(f);
	return 0;
}

static void
a_check_that_fails_keeps_what_it_said_itself(void **state)
{
	static const struct answer said_then_cut[] = {
		{ 0, 1, "", "disk is full\n", false },
		{ ERR_TIMEOUT, 0, "", "it did not end in 1 s", true },
	}, out_then_away[] = {
		{ 0, 2, " 99 % used ", "", false },
		{ ERR_AGAIN, 0, "", "the device can not be reached", true },
	}, another_reason[] = {
		{ 0, 1, "", "disk is full", false },
		{ 0, 1, "", "disk is gone", true },
	}, nothing_but_cut[] = {
		{ ERR_TIMEOUT, 0, "", "it did not end in 1 s", true },
	};
	static const struct {
		const struct answer *at;
		size_t n;
		const char *reason;
	} cases[] = {
		{ said_then_cut, 2, "not well: check-disk /: disk is full" },
		{ out_then_away, 2, "not well: check-disk /: 99 % used" },
		{ another_reason, 2, "not well: check-disk /: disk is gone" },
		{ nothing_but_cut, 1,
		    "not well: check-disk /: it did not end in 1 s" },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct err err = { 0 };

		f->next = cases[i].at;
		f->left = cases[i].n;
		f->runs = 0;
		assert_int_equal(
		    deploy_check(&f->job, STR(CHECK), false, 2000, &err),
		    ERR_PARAM);
		assert_string_equal(err.text, cases[i].reason);
		assert_int_equal(f->runs, cases[i].n);
	}
}

static void
what_is_not_well_yet_may_become_so(void **state)
{
	static const struct answer late[] = {
		{ ERR_AGAIN, 0, "", "the device can not be reached", false },
		{ 0, 1, "", "disk is full", false },
		{ 0, 0, "", "", false },
	};
	struct fixture *f = *state;
	struct err err = { 0 };

	f->next = late;
	f->left = COUNT_OF(late);
	assert_int_equal(
	    deploy_check(&f->job, STR(CHECK), false, 60000, &err), 0);
	assert_int_equal(f->runs, 3);
}

static void
everything_that_is_declared_is_checked(void **state)
{
	static const struct answer well[] = { { 0, 0, "", "", false } };
	struct fixture *f = *state;
	struct err err = { 0 };

	buf_addz(&declared, "{\"services\":[");
	for (int i = 0; i < 130; i++)
		buf_addf(&declared, "%s{\"name\":\"s%d\",\"running\":%s}",
		    i > 0 ? "," : "", i, i < 10 ? "false" : "true");
	buf_addz(&declared, "],\"checks\":[{\"argv\":[\"check-disk\"");
	for (int i = 1; i < 80; i++)
		buf_addz(&declared, ",\"/\"");
	buf_addz(&declared, "]}]}");
	f->next = well;
	f->left = 1;
	if (deploy_check(&f->job, STR(CHECK), false, 60000, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(f->runs, 1 + 120 + 1);
	assert_int_equal(f->words, 80);
}

static void
what_is_no_check_is_refused_before_anything_runs(void **state)
{
	static const struct {
		const char *json, *why;
	} cases[] = {
		{ "{}", "array" },
		{ "[{}]", "either service or argv" },
		{ "[{\"service\":\"a\",\"argv\":[\"b\"]}]",
		    "either service or argv" },
		{ "[{\"argv\":[]}]", "argv names no program" },
		{ "[{\"argv\":[\"\"]}]", "argv names no program" },
		{ "[{\"argv\":[\"a\"],\"timeout\":3601}]",
		    "1 to 3600 seconds" },
		{ "[{\"argv\":[\"a\"],\"timeout\":-1}]", "1 to 3600 seconds" },
		{ "[{\"argv\":[\"a\"],\"retries\":1}]",
		    "service, or argv and timeout" },
	};
	struct buf b = { 0 };
	struct err err;

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		err.text[0] = '\0';
		assert_true(
		    deploy_checks_valid(str_of(cases[i].json), &err) < 0);
		if (strstr(err.text, cases[i].why) == NULL)
			fail_msg("%s: %s", cases[i].json, err.text);
	}
	for (int n = 100; n <= 101; n++) {
		buf_clear(&b);
		for (int i = 0; i < n; i++)
			buf_addf(&b, "%c{\"service\":\"s%d\"}",
			    i == 0 ? '[' : ',', i);
		buf_addc(&b, ']');
		assert_int_equal(
		    deploy_checks_valid(buf_str(&b), &err) == 0, n == 100);
	}
	assert_non_null(strstr(err.text, "more than 100 checks"));
	for (int n = 64; n <= 65; n++) {
		buf_clear(&b);
		for (int i = 0; i < n; i++)
			buf_addf(&b, "%s\"a\"", i == 0 ? "[{\"argv\":[" : ",");
		buf_addz(&b, "]}]");
		assert_int_equal(
		    deploy_checks_valid(buf_str(&b), &err) == 0, n == 64);
	}
	assert_non_null(strstr(err.text, "too many or too long words"));
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    a_check_that_fails_keeps_what_it_said_itself, set_up,
		    tear_down),
		cmocka_unit_test_setup_teardown(
		    what_is_not_well_yet_may_become_so, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
		    everything_that_is_declared_is_checked, set_up, tear_down),
		cmocka_unit_test(
		    what_is_no_check_is_refused_before_anything_runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
