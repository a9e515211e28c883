/*
 * plug/target/contract_test.c - what target.h promises, asked of each target.
 *
 * A subject has a repository with four commits and a device; the host runs
 * programs here, and has those of the device run in its folder. `look` tells
 * all that a device has, as a text: two that are the same are the same device.
 */
#include "base/base.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/test.h"
#include "codec/text_diff.h"
#include "plug/target/target.h"
#include "plug/target/test_linux.h"
#include "plug/target/test_nixos.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum commit { FIRST, SECOND, BAD, IMPOSSIBLE, N_COMMITS };

/* What a target brings to be asked. */
struct subject {
	const struct target *target;
	/* What the test needs and is not here; or NULL. */
	const char *(*missing)(void);
	/* Makes repository and device below `dir`, and their commits. */
	void (*make)(const char *dir, char commits[N_COMMITS][41]);
	/* Runs a program here; NULL: as it is. */
	const char *const *(*here)(
	    const char *dir, const char *const *argv, struct arena *a);
	/* Runs a program on the device. */
	const char *const *(*on_device)(
	    const char *dir, const char *const *argv, struct arena *a);
	void (*look)(const char *dir, struct buf *out);
	/* systemd is what starts things there. */
	void (*systemd)(const char *dir);
	/* All that runs on the device is killed, and it starts again. */
	void (*restart)(const char *dir);
	/* Somebody changes it by hand. */
	void (*disturb)(const char *dir);
	/* For programs that are told where it is; or NULL. */
	void (*away)(const char *dir, bool away);
	const char *bad;        /* what the error of BAD says */
	const char *impossible; /* what is said of IMPOSSIBLE */
};

struct fixture {
	const struct subject *is;
	char dir[40];
	char commits[N_COMMITS][41];
	struct arena arena;
	struct buf told;
	bool away, cancelled;
	unsigned runs;
};

static const struct subject *subject; /* of the tests that run now */

/* --- programs ------------------------------------------------------------- */

void
test_read(const char *path, struct buf *out)
{
	assert_int_equal(file_read(path, out, NULL), 0);
}

int
test_run(const char *dir, const char *const *argv, struct str input,
    struct arena *a, struct str *out, struct str *error)
{
	char path[3][80];
	struct buf b[2] = { { 0 }, { 0 } };
	int status;
	pid_t pid;

	snprintf(path[0], sizeof(path[0]), "%s/stdin", dir);
	snprintf(path[1], sizeof(path[1]), "%s/stdout", dir);
	snprintf(path[2], sizeof(path[2]), "%s/stderr", dir);
	assert_int_equal(file_write(path[0], input, NULL), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		for (int i = 0; i < 3; i++) {
			int fd = open(path[i],
			    i == 0 ? O_RDONLY : O_WRONLY | O_CREAT | O_TRUNC,
			    0600);

			if (fd < 0 || dup2(fd, i) < 0)
				_exit(126);
		}
		setsid(); /* as sshd does */
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0)
		assert_int_equal(errno, EINTR);
	for (int i = 0; i < 2; i++)
		test_read(path[1 + i], &b[i]);
	*out = b[0].len == 0 ? STR("") : arena_str(a, buf_str(&b[0]));
	*error = b[1].len == 0 ? STR("") : arena_str(a, buf_str(&b[1]));
	buf_free(&b[0]);
	buf_free(&b[1]);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* --- the host ------------------------------------------------------------- */

static int
host_run(void *ctx, const char *const *argv, const char *const *env,
    struct str input, int64_t timeout_ms, struct target_result *ret,
    struct err *err)
{
	struct fixture *f = ctx;

	(void)env;
	assert_true(timeout_ms >= 0); /* 0: as long as it may take */
	if (f->cancelled)
		return err_set(err, ERR_CANCELLED, "cancelled");
	if (f->is->here != NULL)
		argv = f->is->here(f->dir, argv, &f->arena);
	ret->status =
	    test_run(f->dir, argv, input, &f->arena, &ret->out, &ret->err);
	return 0;
}

static int
host_ssh(void *ctx, const char *const *argv, struct str input,
    int64_t timeout_ms, struct target_result *ret, struct err *err)
{
	struct fixture *f = ctx;

	if (f->away)
		return err_set(err, ERR_AGAIN, "the device is away");
	return host_run(ctx, f->is->on_device(f->dir, argv, &f->arena), NULL,
	    input, timeout_ms, ret, err);
}

static void host_tell(void *ctx, struct str line);

static int
host_ssh_told(void *ctx, const char *const *argv, struct str input,
    int64_t timeout_ms, struct target_result *ret, struct err *err)
{
	int rc = host_ssh(ctx, argv, input, timeout_ms, ret, err);
	struct str rest = rc == 0 ? ret->out : STR("");

	while (rest.len > 0)
		host_tell(ctx, str_cut(&rest, '\n'));
	return rc;
}

static int
host_ssh_config(void *ctx, struct str *path, struct err *err)
{
	struct fixture *f = ctx;

	(void)err;
	*path = arena_printf(&f->arena, "%s/ssh", f->dir);
	return 0;
}

static int
host_agent_switch(void *ctx, struct str path, int64_t timeout_ms,
    struct target_result *ret, struct err *err)
{
	(void)ctx;
	(void)path;
	(void)timeout_ms;
	(void)ret;
	return err_set(err, ERR_NOT_FOUND, "no agent here");
}

static int
host_secret(void *ctx, struct str id, struct str *sealed, struct err *err)
{
	struct fixture *f = ctx;

	if (!str_starts(id, STR("s")))
		return err_set(err, ERR_NOT_FOUND, "there is no such secret");
	*sealed =
	    arena_printf(&f->arena, "$6$the-" STR_FMT "$hash", STR_ARG(id));
	return 0;
}

static void
host_tell(void *ctx, struct str line)
{
	struct fixture *f = ctx;

	buf_addf(&f->told, STR_FMT ";", STR_ARG(line));
}

static bool
host_cancelled(void *ctx)
{
	struct fixture *f = ctx;

	return f->cancelled;
}

static const struct target_host host = {
	.run = host_run,
	.ask = host_run,
	.ssh = host_ssh,
	.ssh_told = host_ssh_told,
	.ssh_config = host_ssh_config,
	.agent_switch = host_agent_switch,
	.secret = host_secret,
	.tell = host_tell,
	.cancelled = host_cancelled,
};

/* --- the steps ------------------------------------------------------------ */

/* One attempt to bring a commit to the device. */
struct attempt {
	struct target_host host;
	struct target_job job;
	struct str built;
	struct err err;
};

static struct attempt *
begin(struct fixture *f, enum commit which, int64_t confirm_ms)
{
	struct attempt *t = arena_new(&f->arena, struct attempt);

	t->host = host;
	t->host.ctx = f;
	t->job = (struct target_job){ .host = &t->host,
		.arena = &f->arena,
		.repository = arena_printf(&f->arena, "%s/repository", f->dir),
		.commit = str_of(f->commits[which]),
		.config = STR("dev"),
		.run = arena_printf(&f->arena, "run%u", f->runs++),
		.confirm_ms = confirm_ms };
	return t;
}

static struct attempt *
attempt(struct fixture *f, enum commit which, int64_t confirm_ms)
{
	struct attempt *t = begin(f, which, confirm_ms);

	if (f->is->target->build(&t->job, &t->built, &t->err) != 0)
		fail_msg("build: %s", t->err.text);
	return t;
}

#define STEP(t, name) f->is->target->name(&(t)->job, (t)->built, &(t)->err)
#define GOOD(t, name)                                                          \
	do {                                                                   \
		if (STEP(t, name) != 0)                                        \
			fail_msg(#name ": %s", (t)->err.text);                 \
	} while (0)

static struct target_plan
planned(struct fixture *f, struct attempt *t)
{
	struct target_plan p = { 0 };

	if (f->is->target->plan(&t->job, t->built, &p, &t->err) != 0)
		fail_msg("plan: %s", t->err.text);
	return p;
}

static bool
is_as_declared(struct fixture *f, struct attempt *t)
{
	struct target_plan p = planned(f, t);

	return p.n == 0 && str_eq(p.current, t->built);
}

static void
assert_same(const struct buf *want, const struct buf *got)
{
	struct buf diff = { 0 };

	text_diff(&diff, buf_str(want), buf_str(got));
	if (diff.len > 0)
		print_error("%s", buf_z(&diff));
	assert_int_equal(diff.len, 0);
}

/* Nothing is to be done; else the test says what would. */
static void
assert_as_declared(struct fixture *f, struct attempt *t)
{
	struct target_plan p = planned(f, t);

	for (size_t i = 0; i < p.n; i++)
		print_error("%d " STR_FMT " " STR_FMT ": " STR_FMT
			    " -> " STR_FMT "\n",
		    p.changes[i].action, STR_ARG(p.changes[i].kind),
		    STR_ARG(p.changes[i].name), STR_ARG(p.changes[i].from),
		    STR_ARG(p.changes[i].to));
	assert_int_equal(p.n, 0);
	assert_true(str_eq(p.current, t->built));
}

/* --- what is asked -------------------------------------------------------- */

static void
what_is_built_of_a_commit_has_one_name(void **state)
{
	struct fixture *f = *state;
	struct attempt *a = attempt(f, FIRST, 60000);
	struct attempt *b = attempt(f, FIRST, 60000);
	struct attempt *c = attempt(f, SECOND, 60000);

	assert_true(a->built.len > 0 && str_eq(a->built, b->built));
	assert_false(str_eq(a->built, c->built));
	b->job.config = STR("none");
	assert_int_not_equal(
	    f->is->target->build(&b->job, &b->built, &b->err), 0);
}

static void
a_plan_changes_nothing_and_says_what_would(void **state)
{
	struct fixture *f = *state;
	struct attempt *t = attempt(f, FIRST, 60000);
	struct target_plan p;
	struct buf before = { 0 }, after = { 0 };

	f->is->look(f->dir, &before);
	p = planned(f, t);
	assert_true(p.n > 0);
	assert_false(p.current.ptr != NULL && str_eq(p.current, t->built));
	for (size_t i = 0; i < p.n; i++)
		assert_true(
		    p.changes[i].kind.len > 0 && p.changes[i].name.len > 0);
	f->is->look(f->dir, &after);
	assert_same(&before, &after);
	buf_free(&before);
	buf_free(&after);
}

static void
it_is_applied_and_unchanged_the_second_time(void **state)
{
	struct fixture *f = *state;
	struct attempt *t = attempt(f, FIRST, 60000);

	GOOD(t, copy);
	GOOD(t, apply);
	assert_as_declared(f, t);
	GOOD(t, confirm);
	assert_as_declared(f, t);

	/* Each step may be repeated, and another attempt has nothing to do. */
	GOOD(t, copy);
	GOOD(t, apply);
	GOOD(t, confirm);
	t = attempt(f, FIRST, 60000);
	GOOD(t, copy);
	GOOD(t, apply);
	GOOD(t, confirm);
	assert_as_declared(f, t);
}

static void
it_goes_from_one_to_the_next_and_back_again(void **state)
{
	struct fixture *f = *state;
	struct attempt *a = attempt(f, FIRST, 60000), *b;
	struct buf before = { 0 }, between = { 0 }, after = { 0 };

	f->is->look(f->dir, &before);
	GOOD(a, copy);
	GOOD(a, apply);
	GOOD(a, confirm);
	f->is->look(f->dir, &between);
	b = attempt(f, SECOND, 60000);
	assert_true(planned(f, b).n > 0);
	GOOD(b, copy);
	GOOD(b, apply);
	GOOD(b, confirm);
	assert_as_declared(f, b);
	assert_false(is_as_declared(f, a));

	/* Also long after it was confirmed. */
	GOOD(b, rollback);
	f->is->look(f->dir, &after);
	assert_same(&between, &after);
	assert_as_declared(f, a);
	GOOD(b, rollback);
	buf_clear(&after);
	GOOD(a, rollback);
	f->is->look(f->dir, &after);
	assert_same(&before, &after);
	buf_free(&before);
	buf_free(&between);
	buf_free(&after);
}

static void
what_is_not_kept_any_more_is_not_taken_back(void **state)
{
	static const enum commit commits[] = { FIRST, SECOND, FIRST };
	struct fixture *f = *state;
	struct attempt *first = NULL;
	struct buf before = { 0 }, after = { 0 };

	for (size_t i = 0; i < COUNT_OF(commits); i++) {
		struct attempt *t = attempt(f, commits[i], 60000);

		t->job.kept = 1;
		GOOD(t, copy);
		GOOD(t, apply);
		GOOD(t, confirm);
		first = first != NULL ? first : t;
	}
	f->is->look(f->dir, &before);
	(void)STEP(first, rollback);
	f->is->look(f->dir, &after);
	assert_same(&before, &after);
	buf_free(&before);
	buf_free(&after);
}

static void
what_was_changed_by_hand_is_seen_and_repaired(void **state)
{
	struct fixture *f = *state;
	struct attempt *t = attempt(f, FIRST, 60000);

	GOOD(t, copy);
	GOOD(t, apply);
	GOOD(t, confirm);
	f->is->disturb(f->dir);
	assert_false(is_as_declared(f, t));
	t = attempt(f, FIRST, 60000);
	GOOD(t, copy);
	GOOD(t, apply);
	GOOD(t, confirm);
	assert_as_declared(f, t);
}

/* Until the device is as `want` says. */
static void
await(struct fixture *f, const struct buf *want)
{
	int64_t end = clock_mono() + 120000;

	for (;;) {
		struct buf now = { 0 };
		bool same;

		f->is->look(f->dir, &now);
		same = now.len == want->len &&
		    memcmp(now.ptr, want->ptr, now.len) == 0;
		if (!same && clock_mono() > end)
			assert_string_equal(
			    buf_z(&now), buf_z((struct buf *)(uintptr_t)want));
		buf_free(&now);
		if (same)
			return;
		usleep(50000);
	}
}

static void
a_bad_one_is_taken_back_by_itself(void **state)
{
	struct fixture *f = *state;
	struct attempt *a = attempt(f, FIRST, 60000), *b;
	struct buf before = { 0 };

	GOOD(a, copy);
	GOOD(a, apply);
	GOOD(a, confirm);
	f->is->look(f->dir, &before);
	b = attempt(f, BAD, 60000);
	GOOD(b, copy);
	assert_int_not_equal(STEP(b, apply), 0);
	if (strstr(b->err.text, f->is->bad) == NULL)
		fail_msg("\"%s\"", b->err.text);
	await(f, &before);
	assert_as_declared(f, a);
	/* Asked again it says the same, and does nothing. */
	assert_int_not_equal(STEP(b, apply), 0);
	GOOD(b, rollback);
	await(f, &before);
	buf_free(&before);
}

static void
what_nobody_confirms_is_taken_back(void **state)
{
	struct fixture *f = *state;
	/* A busy machine has to see it applied before that. */
	struct attempt *t = attempt(f, FIRST, 10000);
	struct buf before = { 0 };

	f->is->look(f->dir, &before);
	GOOD(t, copy);
	GOOD(t, apply);
	await(f, &before);
	assert_int_not_equal(STEP(t, confirm), 0);
	buf_free(&before);
}

/* Who watches on the device, whatever its name is there, may die. */
static void
what_nobody_confirms_is_taken_back_though_its_guard_was_killed(void **state)
{
	struct fixture *f = *state;
	struct attempt *t = attempt(f, FIRST, 20000);
	struct buf before = { 0 };

	f->is->look(f->dir, &before);
	GOOD(t, copy);
	GOOD(t, apply);
	assert_true(test_linux_kill(f->dir, "guard") > 0);
	await(f, &before);
	assert_int_not_equal(STEP(t, confirm), 0);
	buf_free(&before);
}

/* How often systemd has started one whose name has `word` in it, asked to start
 * it again or not. */
static int
started(struct fixture *f, const char *word, const char *again)
{
	struct buf b = { 0 };
	struct str rest;
	char path[80];
	int n = 0;

	snprintf(path, sizeof(path), "%s/units", f->dir);
	if (file_read(path, &b, NULL) != 0)
		return 0;
	rest = buf_str(&b);
	while (rest.ptr != NULL && rest.len > 0) {
		struct str line = str_cut(&rest, '\n');

		n += str_contains_nocase(line, str_of(word)) &&
		    str_ends(line, str_of(again));
	}
	buf_free(&b);
	return n;
}

/* Where systemd runs it is what starts the guard, and starts it again. */
static void
a_guard_that_was_killed_is_started_again_by_systemd(void **state)
{
	struct fixture *f = *state;
	struct attempt *t;
	struct buf before = { 0 };

	f->is->systemd(f->dir);
	t = attempt(f, FIRST, 20000);
	f->is->look(f->dir, &before);
	GOOD(t, copy);
	GOOD(t, apply);
	assert_int_equal(started(f, "fleet-", " on-failure"), 1);
	assert_int_equal(test_linux_kill(f->dir, "guard"), 1);
	await(f, &before);
	assert_int_equal(started(f, "fleet-", " on-failure"), 2);
	assert_int_not_equal(STEP(t, confirm), 0);
	buf_free(&before);
}

static void
what_is_not_confirmed_is_taken_back_by_a_restart(void **state)
{
	struct fixture *f = *state;
	struct attempt *t = attempt(f, FIRST, 3600000);
	struct buf before = { 0 };

	f->is->look(f->dir, &before);
	GOOD(t, copy);
	GOOD(t, apply);
	assert_as_declared(f, t);
	f->is->restart(f->dir);
	await(f, &before);
	assert_int_not_equal(STEP(t, confirm), 0);
	/* And what is confirmed is not. */
	t = attempt(f, FIRST, 3600000);
	GOOD(t, copy);
	GOOD(t, apply);
	GOOD(t, confirm);
	f->is->restart(f->dir);
	assert_as_declared(f, t);
	buf_free(&before);
}

static void
one_that_waits_keeps_another_out(void **state)
{
	struct fixture *f = *state;
	struct attempt *a = attempt(f, FIRST, 3600000);
	struct attempt *b = attempt(f, SECOND, 60000);

	GOOD(a, copy);
	GOOD(a, apply);
	GOOD(b, copy);
	assert_int_equal(STEP(b, apply), ERR_AGAIN);
	assert_as_declared(f, a);
	GOOD(a, rollback);
	GOOD(b, apply);
	GOOD(b, confirm);
	assert_as_declared(f, b);
}

static void
set_away(struct fixture *f, bool away)
{
	f->away = away;
	if (f->is->away != NULL)
		f->is->away(f->dir, away);
}

static void
a_device_that_is_away_is_tried_again(void **state)
{
	struct fixture *f = *state;
	struct attempt *t = attempt(f, FIRST, 60000);
	struct target_plan p;

	set_away(f, true);
	assert_int_equal(
	    f->is->target->plan(&t->job, t->built, &p, &t->err), ERR_AGAIN);
	assert_int_equal(STEP(t, copy), ERR_AGAIN);
	assert_int_equal(STEP(t, apply), ERR_AGAIN);
	assert_int_equal(STEP(t, confirm), ERR_AGAIN);
	assert_int_equal(STEP(t, rollback), ERR_AGAIN);
	set_away(f, false);
	GOOD(t, copy);
	GOOD(t, apply);
	GOOD(t, confirm);
}

static void
who_cancels_is_heard(void **state)
{
	struct fixture *f = *state;
	struct attempt *t = attempt(f, FIRST, 60000);
	struct target_plan p;

	f->cancelled = true;
	assert_int_equal(
	    f->is->target->build(&t->job, &t->built, &t->err), ERR_CANCELLED);
	assert_int_equal(
	    f->is->target->plan(&t->job, t->built, &p, &t->err), ERR_CANCELLED);
	assert_int_equal(STEP(t, copy), ERR_CANCELLED);
}

static void
what_can_not_be_is_said_before_anything_changes(void **state)
{
	struct fixture *f = *state;
	struct attempt *t = begin(f, IMPOSSIBLE, 60000);
	struct target_plan p;
	struct buf before = { 0 }, after = { 0 };
	int rc;

	f->is->look(f->dir, &before);
	rc = f->is->target->build(&t->job, &t->built, &t->err);
	if (rc == 0)
		rc = f->is->target->plan(&t->job, t->built, &p, &t->err);
	assert_int_equal(rc, ERR_PARAM);
	buf_addz(&f->told, t->err.text);
	if (strstr(buf_z(&f->told), f->is->impossible) == NULL)
		fail_msg("\"%s\"", buf_z(&f->told));
	f->is->look(f->dir, &after);
	assert_same(&before, &after);
	buf_free(&before);
	buf_free(&after);
}

/* --- those who are asked -------------------------------------------------- */

static void
make_linux(const char *dir, char commits[N_COMMITS][41])
{
	static const char *const files[N_COMMITS] = { test_linux_first,
		test_linux_second, test_linux_bad, test_linux_impossible };

	test_linux_make(dir);
	for (int i = 0; i < N_COMMITS; i++)
		test_linux_commit(dir, files[i], commits[i]);
}

static const struct subject linux_subject = {
	.target = &target_linux,
	.make = make_linux,
	.on_device = test_linux_argv,
	.look = test_linux_look,
	.systemd = test_linux_systemd,
	.restart = test_linux_restart,
	.disturb = test_linux_disturb,
	.bad = "bad.service",
	.impossible = "/etc/folder: is a folder there",
};

static const struct subject nixos_subject = {
	.target = &target_nixos,
	.missing = test_nixos_missing,
	.make = test_nixos_make,
	.here = test_nixos_here,
	.on_device = test_nixos_argv,
	.look = test_nixos_look,
	.systemd = test_nixos_systemd,
	.restart = test_nixos_restart,
	.disturb = test_nixos_disturb,
	.away = test_nixos_away,
	.bad = "exited with 4",
	.impossible = "exit code 3",
};

static int
set_up(void **state)
{
	struct fixture *f = mem_new(struct fixture);

	f->is = subject;
	strcpy(f->dir, "/tmp/target_test.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->is->make(f->dir, f->commits);
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;
	const char *const argv[] = { "rm", "-rf", f->dir, NULL };
	pid_t pid;

	f->is->restart(f->dir); /* whoever is left ends */
	pid = fork();
	if (pid == 0) {
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	waitpid(pid, NULL, 0);
	arena_fini(&f->arena);
	buf_free(&f->told);
	free(f);
	return 0;
}

#define ASK(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* The target that argv[1] names; and with "2 6" behind it only the second of
 * six parts, since they wait much and may do so beside each other. */
int
main(int argc, char **argv)
{
	static const struct subject *const subjects[] = { &linux_subject,
		&nixos_subject };
	const struct CMUnitTest tests[] = {
		ASK(what_is_built_of_a_commit_has_one_name),
		ASK(a_plan_changes_nothing_and_says_what_would),
		ASK(it_is_applied_and_unchanged_the_second_time),
		ASK(it_goes_from_one_to_the_next_and_back_again),
		ASK(what_is_not_kept_any_more_is_not_taken_back),
		ASK(what_was_changed_by_hand_is_seen_and_repaired),
		ASK(a_bad_one_is_taken_back_by_itself),
		ASK(what_nobody_confirms_is_taken_back),
		ASK(what_nobody_confirms_is_taken_back_though_its_guard_was_killed),
		ASK(a_guard_that_was_killed_is_started_again_by_systemd),
		ASK(what_is_not_confirmed_is_taken_back_by_a_restart),
		ASK(one_that_waits_keeps_another_out),
		ASK(a_device_that_is_away_is_tried_again),
		ASK(who_cancels_is_heard),
		ASK(what_can_not_be_is_said_before_anything_changes),
	};
	size_t part = argc == 4 ? (size_t)atoi(argv[2]) : 1;
	size_t parts = argc == 4 ? (size_t)atoi(argv[3]) : 1;
	struct CMUnitTest mine[COUNT_OF(tests)];
	const char *missing = NULL;
	size_t n = 0;

	for (size_t i = 0; argc >= 2 && i < COUNT_OF(subjects); i++)
		if (strcmp(subjects[i]->target->name, argv[1]) == 0)
			subject = subjects[i];
	if (subject == NULL || part == 0 || part > parts) {
		puts("contract_test TARGET [PART PARTS]");
		return 1;
	}
	for (size_t i = part - 1; i < COUNT_OF(tests); i += parts)
		mine[n++] = tests[i];
	if (geteuid() != 0) /* files of several users */
		missing = "root";
	else if (subject->missing != NULL)
		missing = subject->missing();
	if (missing != NULL) {
		printf("needs %s: skipped\n", missing);
		return 77;
	}
	cmocka_set_test_filter(getenv("ASK"));
	return _cmocka_run_group_tests(
	    subject->target->name, mine, n, NULL, NULL);
}
