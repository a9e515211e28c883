/*
 * core/fleet/task_test.c - what is kept of a step's output, and how its
 * programs end.
 */
#include "core/fleet/deploy.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OUTPUT_MAX 65536

struct fixture {
	char dir[40];
	struct fleet f;
	struct fleet_deploys deploys;
	struct deployment of;
	struct target_device d;
	struct task *task;
	struct job job;
	struct str id;
	struct arena arena;
};

static int
setup(void **state)
{
	static const struct entity *const entities[] = { &fleet_device_entity,
		&fleet_deployment_entity, &fleet_deployment_device_entity,
		&fleet_task_entity, NULL };
	const struct store_conf conf = { .engine = "memory",
		.entities = entities };
	struct fixture *x = mem_new(struct fixture);
	struct fleet_device device = { .id = STR("device1") };
	struct fleet_deployment deployment = { .id = STR("deployment1") };
	struct err err;

	strcpy(x->dir, "/tmp/task_test.XXXXXX");
	assert_non_null(mkdtemp(x->dir));
	x->f.dir = x->dir;
	x->f.deploys = &x->deploys;
	x->f.conf.output_max = OUTPUT_MAX;
	x->f.conf.deployments_kept = 100;
	x->f.conf.outputs_max = INT64_MAX;
	x->f.conf.nix = STR("/bin/echo");
	x->f.conf.ssh = STR("/bin/false");
	assert_int_equal(store_open(&conf, &x->f.store, &err), 0);
	record_defaults(
	    &fleet_device_entity.record, &x->arena, 0, &device, NULL);
	device.id = STR("device1");
	device.unit_id = STR("unit1");
	device.address = STR("127.0.0.1");
	assert_int_equal(
	    store_add(x->f.store, &fleet_device_entity, &device, &err), 0);
	record_defaults(
	    &fleet_deployment_entity.record, &x->arena, 0, &deployment, NULL);
	deployment.id = STR("deployment1");
	deployment.ended_at = TIME_NULL;
	deployment.unit_id = STR("unit1");
	deployment.commit = STR("0123456789012345678901234567890123456789");
	assert_int_equal(
	    store_add(x->f.store, &fleet_deployment_entity, &deployment, &err),
	    0);
	x->of.row = deployment;
	x->d.of = &x->of;
	x->d.row = (struct fleet_deployment_device){ .id = STR("row1"),
		.unit_id = STR("unit1"),
		.deployment_id = STR("deployment1"),
		.device_id = STR("device1"),
		.device_name = STR("pi"),
		.config = STR("pi"),
		.run = STR("") };
	x->task = task_begin(&x->f, &x->d, deployment.commit, "build");
	x->id = arena_str(&x->arena, x->task->row.id);
	*state = x;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *x = *state;
	char *cmd = mem_printf("rm -rf %s", x->dir);

	store_close(x->f.store);
	arena_fini(&x->arena);
	assert_int_equal(system(cmd), 0);
	free(cmd);
	free(x);
	return 0;
}

/* Ends the task; its row, and all of its output. */
static struct fleet_task
ended(struct fixture *x, const char *state, struct str *output)
{
	struct filter f = { 0 };
	struct buf b = { 0 };
	struct fleet_task row;
	bool found;

	task_end(x->task, state, "");
	filter_text(&f, "id", x->id);
	assert_int_equal(store_get(x->f.store, &fleet_task_entity, &f,
			     &x->arena, &row, &found, NULL),
	    0);
	assert_true(found);
	assert_int_equal(
	    file_read(
		task_path(&x->f, &x->arena, STR("unit1"), x->id), &b, NULL),
	    0);
	*output = b.len > 0 ? arena_str(&x->arena, buf_str(&b)) : STR("");
	buf_free(&b);
	return row;
}

static void
lines_come_whole_and_without_secrets(void **state)
{
	struct fixture *x = *state;
	struct str out;
	struct fleet_task row;

	task_secret(x->task, STR("open-sesame"));
	task_bytes(x->task, false, STR("the word is open-"));
	task_bytes(x->task, true, STR("an error between\n"));
	task_bytes(x->task, false, STR("sesame\nand an end that is missing"));
	row = ended(x, "done", &out);
	assert_str(out,
	    "an error between\nthe word is [secret]\nand an end that is "
	    "missing\n");
	assert_str(row.state, "done");
	assert_int_equal(row.output_size, out.len);
	assert_false(row.output_cut);
	assert_true(row.ended_at != TIME_NULL);
}

static void
a_secret_of_several_lines_shows_none_of_them(void **state)
{
	struct fixture *x = *state;
	struct err err;
	struct str out;

	task_secret(x->task, STR("first-line-of-it\r\n\nsecond-line-of-it\n"));
	task_line(x->task, STR("a second-line-of-it, a first-line-of-it"));
	err_set(&err, ERR_IO, "it said second-line-of-it, Bearer abcdefgh123");
	task_redact(x->task, &err);
	assert_string_equal(err.text, "it said [secret], Bearer [secret]");
	(void)ended(x, "failed", &out);
	assert_str(out, "a [secret], a [secret]\n");
	err_set(&err, ERR_IO, "https://me:pass@host/x is not there");
	task_redact(NULL, &err);
	assert_string_equal(err.text, "https://[secret]@host/x is not there");
}

static void
what_nix_tells_programs_people_can_read(void **state)
{
	struct fixture *x = *state;
	struct str out;
	struct fleet_task row;

	task_bytes(x->task, true,
	    STR("@nix {\"action\":\"start\",\"id\":1,\"level\":0,\"text\":"
		"\"\",\"type\":104}\n@nix {\"action\":\"result\",\"id\":1,"
		"\"type\":105,\"fields\":[2,5,1,0]}\n@nix {\"action\":\"msg\","
		"\"level\":1,\"msg\":\"warning: careful\"}\n"));
	row = ended(x, "failed", &out);
	assert_str(out, "warning: careful\n");
	assert_int_equal(row.done, 2);
	assert_int_equal(row.expected, 5);
}

static void
of_a_long_output_beginning_and_end_are_kept(void **state)
{
	struct fixture *x = *state;
	struct str out;
	struct fleet_task row;
	char line[64];

	for (int i = 0; i < 20000; i++) {
		snprintf(line, sizeof(line), "line %05d of many", i);
		task_line(x->task, str_of(line));
	}
	row = ended(x, "done", &out);
	assert_true(row.output_cut);
	assert_true(out.len <= OUTPUT_MAX + 100);
	assert_int_equal(row.output_size, out.len);
	assert_true(str_starts(out, STR("line 00000 of many\n")));
	assert_true(str_ends(out, STR("line 19999 of many\n")));
	assert_non_null(memmem(out.ptr, out.len, " bytes are left out]\n", 21));
}

static void
what_was_under_way_when_the_program_ended_has_failed(void **state)
{
	struct fixture *x = *state;
	struct filter f = { 0 };
	struct fleet_task row;
	struct str out;
	bool found;

	assert_int_equal(fleet_tasks_load(&x->f, NULL), 0);
	filter_text(&f, "id", x->id);
	assert_int_equal(store_get(x->f.store, &fleet_task_entity, &f,
			     &x->arena, &row, &found, NULL),
	    0);
	assert_str(row.state, "failed");
	ended(x, "done", &out);
}

/* --- jobs ----------------------------------------------------------------- */

static void
begin(struct fixture *x)
{
	struct err err;

	if (job_open(&x->job, &x->f, &x->d, x->task, &err) != 0)
		fail_msg("%s", err.text);
	x->job.timeout_ms = 60000;
}

static int
run(struct fixture *x, const char *const *argv, int64_t ms,
    struct target_result *r, struct err *err)
{
	return x->job.host.run(&x->job, argv, NULL, STR_NULL, ms, r, err);
}

static void
a_program_is_shown_with_what_it_writes(void **state)
{
	struct fixture *x = *state;
	struct target_result r;
	struct str out;
	struct err err;

	begin(x);
	assert_int_equal(
	    run(x, (const char *const[]){ "nix", "it's", NULL }, 0, &r, &err),
	    0);
	assert_int_equal(r.status, 0);
	assert_str(r.out, "it's\n");
	assert_int_equal(run(x,
			     (const char *const[]){
				 "sh", "-c", "echo no >&2; exit 3", NULL },
			     0, &r, &err),
	    0);
	assert_int_equal(r.status, 3);
	assert_str(r.err, "no\n");
	assert_int_equal(x->job.host.ask(&x->job,
			     (const char *const[]){ "echo", "quiet", NULL },
			     NULL, STR_NULL, 0, &r, &err),
	    0);
	assert_str(r.out, "quiet\n");
	job_close(&x->job);
	ended(x, "done", &out);
	assert_non_null(memmem(out.ptr, out.len, "/bin/echo", 9));
	assert_non_null(memmem(out.ptr, out.len, "\nit's\n", 6));
	assert_true(str_ends(out, STR("\nno\n")));
}

static void
one_that_is_not_there_did_not_run(void **state)
{
	struct fixture *x = *state;
	struct target_result r;
	struct str out;
	struct err err;

	begin(x);
	assert_int_equal(
	    run(x, (const char *const[]){ "/no/such/program", NULL }, 0, &r,
		&err),
	    ERR_IO);
	assert_non_null(strstr(err.text, "/no/such/program"));
	job_close(&x->job);
	ended(x, "failed", &out);
}

static void *
cancel_soon(void *arg)
{
	struct fixture *x = arg;
	char path[60];

	snprintf(path, sizeof(path), "%s/started", x->dir);
	while (access(path, F_OK) != 0)
		usleep(1000);
	if (x->f.conf.jobs == 1) /* the whole server ends */
		atomic_store(&x->f.ending, true);
	else
		atomic_store(&x->d.cancel, true);
	return NULL;
}

/* It and what it has started: `sleep` has the number of its group. */
static void
ends_with_its_group(struct fixture *x)
{
	char script[200], path[60];
	struct target_result r;
	struct buf b = { 0 };
	struct str out;
	pthread_t thread;
	struct err err;
	int64_t pid;

	begin(x);
	snprintf(script, sizeof(script),
	    "sleep 600 & echo $! >%s/pid; touch %s/started; wait", x->dir,
	    x->dir);
	assert_int_equal(pthread_create(&thread, NULL, cancel_soon, x), 0);
	assert_int_equal(
	    run(x, (const char *const[]){ "sh", "-c", script, NULL }, 0, &r,
		&err),
	    ERR_CANCELLED);
	pthread_join(thread, NULL);
	snprintf(path, sizeof(path), "%s/pid", x->dir);
	assert_int_equal(file_read(path, &b, NULL), 0);
	assert_true(str_to_i64(str_trim(buf_str(&b)), &pid));
	buf_free(&b);
	for (int i = 0; kill((pid_t)pid, 0) == 0; i++) {
		/* a zombie until somebody looks after it */
		snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
		if (file_read(path, &b, NULL) == 0 &&
		    memmem(b.ptr, b.len, ") Z", 3) != NULL)
			break;
		buf_clear(&b);
		assert_true(i < 10000);
		usleep(1000);
	}
	buf_free(&b);
	/* and nothing else is begun */
	assert_int_equal(
	    run(x, (const char *const[]){ "true", NULL }, 0, &r, &err),
	    ERR_CANCELLED);
	job_close(&x->job);
	ended(x, "cancelled", &out);
}

static void
who_cancels_ends_a_program_and_what_it_has_started(void **state)
{
	ends_with_its_group(*state);
}

static void
the_end_of_the_server_ends_it_too(void **state)
{
	struct fixture *x = *state;

	x->f.conf.jobs = 1;
	ends_with_its_group(x);
}

static void
a_rollback_is_not_cancelled(void **state)
{
	struct fixture *x = *state;
	struct target_result r;
	struct str out;
	struct err err;

	begin(x);
	atomic_store(&x->d.cancel, true);
	x->job.undoes = true;
	assert_int_equal(
	    run(x, (const char *const[]){ "true", NULL }, 0, &r, &err), 0);
	job_close(&x->job);
	ended(x, "done", &out);
}

static void
one_that_takes_too_long_is_told_as_that(void **state)
{
	struct fixture *x = *state;
	struct target_result r;
	struct str out;
	struct err err;

	begin(x);
	assert_int_equal(
	    run(x, (const char *const[]){ "sleep", "600", NULL }, 50, &r, &err),
	    ERR_TIMEOUT);
	assert_non_null(strstr(err.text, "sleep took longer than"));
	job_close(&x->job);
	ended(x, "failed", &out);
}

static void
checks_are_looked_at_before_they_are_kept(void **state)
{
	static const struct {
		const char *json;
		int rc;
	} cases[] = {
		{ "[]", 0 },
		{ "[{\"service\":\"x.service\"},{\"argv\":[\"a\",\"b c\"],"
		  "\"timeout\":5}]",
		    0 },
		{ "{}", ERR_PARAM },
		{ "[{}]", ERR_PARAM },
		{ "[{\"argv\":[]}]", ERR_PARAM },
		{ "[{\"argv\":[\"\"]}]", ERR_PARAM },
		{ "[{\"argv\":[\"a\\u0000b\"]}]", ERR_PARAM },
		{ "[{\"argv\":[1]}]", ERR_PARAM },
		{ "[{\"argv\":[\"a\"],\"service\":\"x\"}]", ERR_PARAM },
		{ "[{\"argv\":[\"a\"],\"timeout\":-1}]", ERR_PARAM },
		{ "[{\"argv\":[\"a\"],\"timeout\":4000}]", ERR_PARAM },
		{ "[{\"shell\":\"a\"}]", ERR_PARAM },
	};
	struct fixture *x = *state;
	struct str out;
	struct err err;

	for (size_t i = 0; i < COUNT_OF(cases); i++)
		assert_int_equal(
		    deploy_checks_valid(str_of(cases[i].json), &err),
		    cases[i].rc);
	ended(x, "done", &out);
}

/* --- what is kept --------------------------------------------------------- */

/* Deployments a, b, ... that ended at 1000, 2000, ... with 10 bytes each. */
static void
add_ended(struct fixture *x, int n)
{
	for (int i = 0; i < n; i++) {
		struct str id = arena_printf(&x->arena, "%c", 'a' + i);
		struct fleet_deployment d = { 0 };
		struct fleet_task t = { 0 };
		struct err err;

		record_defaults(
		    &fleet_deployment_entity.record, &x->arena, 0, &d, NULL);
		d.id = id;
		d.unit_id = STR("unit1");
		d.state = STR("done");
		d.ended_at = 1000 * (i + 1);
		d.started_at = TIME_NULL;
		record_defaults(
		    &fleet_task_entity.record, &x->arena, 0, &t, NULL);
		t.id = arena_printf(&x->arena, "task%c", 'a' + i);
		t.unit_id = d.unit_id;
		t.deployment_id = id;
		t.device_id = t.device_name = t.config = t.commit = STR("");
		t.deployment_device_id = STR("");
		t.kind = STR("build");
		t.state = STR("done");
		t.created_at = 1000 * (i + 1) - 1;
		t.output_size = 10;
		assert_int_equal(
		    store_add(x->f.store, &fleet_deployment_entity, &d, &err),
		    0);
		assert_int_equal(
		    store_add(x->f.store, &fleet_task_entity, &t, &err), 0);
		assert_int_equal(
		    file_write(task_path(&x->f, &x->arena, t.unit_id, t.id),
			STR("0123456789"), &err),
		    0);
	}
}

static int
note_id(void *ctx, const void *row, struct err *err)
{
	(void)err;
	buf_add_str(ctx, ((const struct fleet_deployment *)row)->id);
	buf_addc(ctx, ' ');
	return 0;
}

static void
assert_kept(struct fixture *x, const char *ids)
{
	struct filter all = { 0 };
	struct store_query q = {
		.filter = &all, .sort = { { "id", false } }, .n_sort = 1
	};
	struct buf b = { 0 };
	struct err err;

	list_init(&x->deploys.active);
	assert_int_equal(deploy_clean(&x->f, 1500, &err), 0);
	assert_int_equal(store_list(x->f.store, &fleet_deployment_entity, &q,
			     note_id, &b, &err),
	    0);
	assert_string_equal(buf_z(&b), ids);
	buf_free(&b);
}

static void
of_the_ended_the_oldest_go_first(void **state)
{
	struct fixture *x = *state;
	struct str out;

	add_ended(x, 6);
	assert_kept(x, "b c d deployment1 e f "); /* a was too old */
	x->f.conf.deployments_kept = 4;
	assert_kept(x, "c d deployment1 e f ");
	assert_int_not_equal(
	    access(
		task_path(&x->f, &x->arena, STR("unit1"), STR("taskb")), F_OK),
	    0);
	x->f.conf.outputs_max = 40;
	assert_kept(x, "c d deployment1 e f ");
	x->f.conf.outputs_max = 25; /* what is under way has none yet */
	assert_kept(x, "deployment1 e f ");
	ended(x, "done", &out);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(lines_come_whole_and_without_secrets),
		T(a_secret_of_several_lines_shows_none_of_them),
		T(what_nix_tells_programs_people_can_read),
		T(of_a_long_output_beginning_and_end_are_kept),
		T(what_was_under_way_when_the_program_ended_has_failed),
		T(a_program_is_shown_with_what_it_writes),
		T(one_that_is_not_there_did_not_run),
		T(who_cancels_ends_a_program_and_what_it_has_started),
		T(the_end_of_the_server_ends_it_too),
		T(a_rollback_is_not_cancelled),
		T(one_that_takes_too_long_is_told_as_that),
		T(checks_are_looked_at_before_they_are_kept),
		T(of_the_ended_the_oldest_go_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
