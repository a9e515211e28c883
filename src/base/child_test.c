/*
 * base/child_test.c - asks the promises of child.h. Deadlines are moved, not
 * waited for; what must end does so, or the test's own timeout ends it.
 */
#include "base/test.h"

#include "base/child.h"
#include "base/clock.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture {
	struct loop *loop;
	struct child *child;
	int ends; /* how often done() was called */
	struct child_end end;
	struct buf out, err;
	struct buf heard;    /* by output() */
	size_t heard_errors; /* bytes */
	bool free_on_output, stop_on_output, free_on_end;
	int fds; /* open at the start */
	char dir[32];
};

static int
count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static int
setup(void **state)
{
	struct fixture *f = mem_new(struct fixture);

	f->loop = loop_new();
	strcpy(f->dir, "/tmp/child_test.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->fds = count_fds();
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;
	char *cmd = mem_printf("rm -rf %s", f->dir);

	loop_turn(f->loop, 0);
	assert_int_equal(count_fds(), f->fds); /* whatever happened */
	loop_free(f->loop);
	buf_free(&f->out);
	buf_free(&f->err);
	buf_free(&f->heard);
	assert_int_equal(system(cmd), 0);
	free(cmd);
	free(f);
	return 0;
}

static void
on_done(void *ctx, const struct child_end *end)
{
	struct fixture *f = ctx;

	f->ends++;
	f->end = *end;
	buf_add_str(&f->out, end->out);
	buf_add_str(&f->err, end->err);
	if (f->free_on_end)
		child_free(f->child);
	f->child = NULL;
}

static void
on_output(void *ctx, bool is_error, struct str bytes)
{
	struct fixture *f = ctx;

	buf_add_str(&f->heard, bytes);
	if (is_error)
		f->heard_errors += bytes.len;
	if (f->stop_on_output)
		child_stop(f->child);
	if (f->free_on_output) {
		child_free(f->child);
		f->child = NULL;
	}
}

static void
turn_until_end(struct fixture *f)
{
	while (f->ends == 0)
		loop_turn(f->loop, 1000);
}

static void
turn_until_heard(struct fixture *f, const char *text)
{
	while (strstr(buf_z(&f->heard), text) == NULL)
		loop_turn(f->loop, 1000);
}

static int
start(struct fixture *f, struct child_conf *conf, const char *script,
    struct err *err)
{
	const char *argv[] = { "/bin/sh", "-c", script, NULL };

	if (script != NULL)
		conf->argv = argv;
	f->ends = 0;
	return child_start(f->loop, conf, on_done, f, &f->child, err);
}

static void
run(struct fixture *f, const char *script)
{
	assert_int_equal(start(f, &(struct child_conf){ 0 }, script, NULL), 0);
	assert_int_equal(f->ends, 0); /* never before it returns */
	turn_until_end(f);
}

static void
assert_end_text(struct fixture *f, const char *text)
{
	struct buf b = { 0 };

	child_end_text(&f->end, &b);
	assert_string_equal(buf_z(&b), text);
	buf_free(&b);
}

static void
assert_gone(pid_t pid)
{
	/* A killed orphan ends, and somebody reaps it, in its own time. */
	for (int i = 0; i < 500; i++) {
		char *path = mem_printf("/proc/%d/stat", (int)pid);
		char line[256] = "";
		FILE *s = fopen(path, "r");
		bool gone = s == NULL || fgets(line, 256, s) == NULL ||
		    strstr(line, ") Z ") != NULL;

		if (s != NULL)
			fclose(s);
		free(path);
		if (gone)
			return;
		usleep(10 * 1000);
	}
	fail_msg("process %d lives", (int)pid);
}

/* -------------------------------------------------------------------------- */

static void
output_error_and_status_come_apart(void **state)
{
	struct fixture *f = *state;

	run(f, "echo to out; echo to err >&2; exit 3");
	assert_int_equal(f->end.status, 3);
	assert_int_equal(f->end.signal, 0);
	assert_false(f->end.timed_out);
	assert_false(f->end.cut);
	assert_str(buf_str(&f->out), "to out\n");
	assert_str(buf_str(&f->err), "to err\n");
	assert_int_equal(f->ends, 1);
	assert_end_text(f, "exited with 3");
}

static void
arguments_are_handed_over_as_they_are(void **state)
{
	struct fixture *f = *state;
	const char *argv[] = { "printf", "<%s>", "a b", "$HOME", "'", "",
		NULL };

	assert_int_equal(
	    start(f, &(struct child_conf){ .argv = argv }, NULL, NULL), 0);
	turn_until_end(f);
	assert_str(buf_str(&f->out), "<a b><$HOME><'><>");
}

static void
a_missing_program_is_told_at_once(void **state)
{
	struct fixture *f = *state;
	const char *argv[] = { "no-such-program-here", NULL };
	struct err err;

	assert_int_equal(
	    start(f, &(struct child_conf){ .argv = argv }, NULL, &err),
	    ERR_NOT_FOUND);
	assert_string_equal(
	    err.text, "start no-such-program-here: No such file or directory");
	assert_int_equal(err.code, ERR_NOT_FOUND);
	argv[0] = f->dir;
	assert_int_equal(
	    start(f, &(struct child_conf){ .argv = argv }, NULL, &err),
	    ERR_DENIED);
	assert_int_equal(
	    start(f, &(struct child_conf){ .cwd = "/no/such" }, "true", &err),
	    ERR_NOT_FOUND);
	assert_string_equal(
	    err.text, "start /bin/sh in /no/such: No such file or directory");
	loop_turn(f->loop, 0);
	assert_int_equal(f->ends, 0);
}

static void
a_file_that_is_no_program_is_no_shell_script(void **state)
{
	struct fixture *f = *state;
	char *path = mem_printf("%s/plain", f->dir);
	const char *argv[] = { path, NULL };
	int fd = open(path, O_WRONLY | O_CREAT, 0755);

	assert_int_equal(write(fd, "echo no\n", 8), 8);
	close(fd);
	assert_int_equal(
	    start(f, &(struct child_conf){ .argv = argv }, NULL, NULL), ERR_IO);
	free(path);
}

static void
folder_and_environment_are_its_own(void **state)
{
	struct fixture *f = *state;
	const char *env[] = { "CHILD_A=over", "CHILD_C=new", NULL };
	struct child_conf conf = { .env = env, .cwd = f->dir };

	setenv("CHILD_A", "ours", 1);
	setenv("CHILD_AB", "longer", 1);
	assert_int_equal(
	    start(f, &conf, "echo $CHILD_A $CHILD_AB $CHILD_C; pwd", NULL), 0);
	turn_until_end(f);
	buf_addf(&f->err, "over longer new\n%s\n", f->dir);
	assert_string_equal(buf_z(&f->out), buf_z(&f->err));
	assert_string_equal(getenv("CHILD_A"), "ours");
}

static void
none_of_our_descriptors_is_there(void **state)
{
	struct fixture *f = *state;
	int leaky = dup(1); /* without close-on-exec */

	run(f, "exec ls /proc/self/fd"); /* which opens that folder */
	close(leaky);
	assert_str(buf_str(&f->out), "0\n1\n2\n3\n");
	buf_clear(&f->out);
	run(f, "readlink /proc/self/fd/0");
	assert_str(buf_str(&f->out), "/dev/null\n");
}

static void
signals_are_as_at_a_login(void **state)
{
	struct fixture *f = *state;

	signal(SIGPIPE, SIG_IGN);
	run(f, "yes | head -1; kill -PIPE $$; echo still here");
	signal(SIGPIPE, SIG_DFL);
	assert_str(buf_str(&f->out), "y\n");
	assert_int_equal(f->end.signal, SIGPIPE);
	assert_end_text(f, "killed by SIGPIPE");
}

static void
ten_mebibytes_of_input_arrive(void **state)
{
	struct fixture *f = *state;
	size_t len = 10u << 20;
	char *text = mem_alloc(len);
	struct child_conf conf = { .input = { text, len } };

	for (size_t i = 0; i < len; i++)
		text[i] = (char)('a' + i % 23);
	assert_int_equal(
	    start(f, &conf, "wc -c; tail -c 1 </dev/stdin", NULL), 0);
	memset(text, 'z', len); /* it was copied */
	turn_until_end(f);
	free(text);
	buf_addf(&f->err, "%zu\n%c", len, (char)('a' + (len - 1) % 23));
	assert_string_equal(buf_z(&f->out), buf_z(&f->err));
}

static void
who_reads_no_input_breaks_nothing(void **state)
{
	struct fixture *f = *state;
	size_t len = 1u << 20;
	char *text = mem_alloc(len);
	struct child_conf conf = { .input = { text, len } };

	assert_int_equal(start(f, &conf, "exec <&-; echo done", NULL), 0);
	turn_until_end(f);
	free(text);
	assert_str(buf_str(&f->out), "done\n");
}

static void
more_than_is_kept_is_read_and_dropped(void **state)
{
	struct fixture *f = *state;
	struct child_conf conf = { .output_max = 1000, .output = on_output };

	assert_int_equal(start(f, &conf,
			     "head -c 3000000 /dev/zero; "
			     "head -c 1000 /dev/zero >&2",
			     NULL),
	    0);
	turn_until_end(f);
	assert_int_equal(f->end.status, 0);
	assert_true(f->end.cut);
	assert_int_equal(f->out.len, 1000);
	assert_int_equal(f->err.len, 1000);
	assert_int_equal(f->heard.len, 3001000); /* all of it is heard */
	assert_int_equal(f->heard_errors, 1000);
}

static void
what_fits_exactly_is_not_cut(void **state)
{
	struct fixture *f = *state;
	struct child_conf conf = { .output_max = 70000 };

	assert_int_equal(start(f, &conf, "head -c 70000 /dev/zero", NULL), 0);
	turn_until_end(f);
	assert_false(f->end.cut);
	assert_int_equal(f->out.len, 70000);
}

static void
a_deadline_asks_first(void **state)
{
	struct fixture *f = *state;
	struct child_conf conf = { .timeout_ms = 5000, .output = on_output };

	assert_int_equal(start(f, &conf,
			     "trap 'echo asked; exit 7' TERM; echo ready; "
			     "while :; do sleep 0.01; done",
			     NULL),
	    0);
	turn_until_heard(f, "ready");
	clock_advance(5000);
	turn_until_end(f);
	assert_str(buf_str(&f->out), "ready\nasked\n");
	assert_int_equal(f->end.status, 7);
	assert_true(f->end.timed_out);
	assert_true(f->end.took_ms >= 5000);
	assert_end_text(f, "took longer than 5 s");
}

static void
and_then_kills(void **state)
{
	struct fixture *f = *state;
	struct child_conf conf = {
		.timeout_ms = 1500, .grace_ms = 60000, .output = on_output
	};

	assert_int_equal(start(f, &conf,
			     "trap 'echo asked' TERM; echo ready; "
			     "while :; do sleep 0.01; done",
			     NULL),
	    0);
	turn_until_heard(f, "ready");
	clock_advance(1500);
	turn_until_heard(f, "asked");
	assert_int_equal(f->ends, 0);
	clock_advance(60000);
	turn_until_end(f);
	assert_int_equal(f->end.signal, SIGKILL);
	assert_int_equal(f->end.status, -1);
	assert_true(f->end.timed_out);
	assert_end_text(f, "took longer than 1500 ms");
}

static void
the_deadline_is_for_all_that_it_started(void **state)
{
	struct fixture *f = *state;
	struct child_conf conf = { .timeout_ms = 1000, .output = on_output };

	assert_int_equal(
	    start(f, &conf, "sleep 1000 & echo pid $!; wait", NULL), 0);
	turn_until_heard(f, "\n");
	clock_advance(1000);
	turn_until_end(f);
	assert_gone((pid_t)atoi(buf_z(&f->out) + 4));
}

static void
a_grandchild_that_holds_the_pipe_holds_us_not(void **state)
{
	struct fixture *f = *state;

	run(f, "sleep 1000 & echo $!");
	assert_int_equal(f->end.status, 0);
	assert_gone((pid_t)atoi(buf_z(&f->out)));
}

static void
nor_does_one_that_has_left_the_group(void **state)
{
	struct fixture *f = *state;
	pid_t pid;

	assert_int_equal(
	    start(f, &(struct child_conf){ .cwd = f->dir },
		"mkfifo fifo; setsid sh -c 'echo $$; echo >fifo; exec yes' & "
		"read x <fifo",
		NULL),
	    0);
	turn_until_end(f);
	assert_int_equal(f->end.status, 0);
	pid = (pid_t)atoi(buf_z(&f->out));
	assert_true(pid > 0);
	kill(pid, SIGKILL);
}

static void
a_stop_is_told_as_what_it_did(void **state)
{
	struct fixture *f = *state;
	struct child_conf conf = { .output = on_output };

	f->stop_on_output = true;
	assert_int_equal(start(f, &conf, "echo x; exec sleep 1000", NULL), 0);
	turn_until_end(f);
	assert_int_equal(f->end.signal, SIGTERM);
	assert_false(f->end.timed_out);
	assert_end_text(f, "killed by SIGTERM");
}

static void
a_freed_child_is_dead_and_silent(void **state)
{
	struct fixture *f = *state;
	struct child_conf conf = { .output = on_output };
	pid_t pid;

	f->free_on_output = true;
	assert_int_equal(
	    start(f, &conf, "trap '' TERM; echo $$; sleep 1000", NULL), 0);
	turn_until_heard(f, "\n");
	pid = (pid_t)atoi(buf_z(&f->heard));
	loop_turn(f->loop, 0);
	assert_int_equal(f->ends, 0);
	assert_gone(pid);
	f->free_on_output = false;
	run(f, "true"); /* the next start has waited for it */
	assert_int_equal(waitpid(pid, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	child_free(NULL);
}

static void
done_may_free_it_too(void **state)
{
	struct fixture *f = *state;

	f->free_on_end = true;
	run(f, "echo x");
	assert_str(buf_str(&f->out), "x\n");
}

/* As one behind sudo: it stays root, and we become somebody else. */
static int
give_up_on_a_foreign_child(struct fixture *f)
{
	struct child_conf conf = { .timeout_ms = 1000, .output = on_output };
	struct buf text = { 0 };

	if (start(f, &conf, "echo up; exec sleep 2", NULL) != 0)
		return 10;
	turn_until_heard(f, "up");
	if (setresuid(65534, 65534, 65534) != 0)
		return 11;
	clock_advance(1000); /* asked, */
	loop_turn(f->loop, 0);
	clock_advance(5000); /* killed, */
	loop_turn(f->loop, 0);
	if (f->ends != 0)
		return 12;
	clock_advance(5000); /* given up */
	loop_turn(f->loop, 0);
	if (f->ends != 1 || f->end.status != -1 || f->end.signal != 0 ||
	    !f->end.timed_out)
		return 13;
	f->end.timed_out = false;
	child_end_text(&f->end, &text);
	return strcmp(buf_z(&text), "did not end when it was killed") != 0;
}

static void
one_that_cannot_be_killed_is_given_up(void **state)
{
	int status;
	pid_t pid;

	if (geteuid() != 0)
		skip();
	pid = fork();
	if (pid == 0)
		_exit(give_up_on_a_foreign_child(*state));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void
many_at_once_all_end(void **state)
{
	struct fixture *f = *state;
	struct child *c;
	const char *argv[] = { "/bin/echo", "x", NULL };

	for (int i = 0; i < 50; i++)
		assert_int_equal(
		    child_start(f->loop, &(struct child_conf){ .argv = argv },
			on_done, f, &c, NULL),
		    0);
	while (f->ends < 50)
		loop_turn(f->loop, 1000);
	assert_int_equal(f->out.len, 100);
}

static void
a_parent_that_ignores_its_children_is_told(void **state)
{
	struct fixture *f = *state;

	signal(SIGCHLD, SIG_IGN);
	run(f, "exit 5");
	assert_int_equal(f->end.status, 5);
}

int
main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(output_error_and_status_come_apart),
		TEST(arguments_are_handed_over_as_they_are),
		TEST(a_missing_program_is_told_at_once),
		TEST(a_file_that_is_no_program_is_no_shell_script),
		TEST(folder_and_environment_are_its_own),
		TEST(none_of_our_descriptors_is_there),
		TEST(signals_are_as_at_a_login),
		TEST(ten_mebibytes_of_input_arrive),
		TEST(who_reads_no_input_breaks_nothing),
		TEST(more_than_is_kept_is_read_and_dropped),
		TEST(what_fits_exactly_is_not_cut),
		TEST(a_deadline_asks_first),
		TEST(and_then_kills),
		TEST(the_deadline_is_for_all_that_it_started),
		TEST(a_grandchild_that_holds_the_pipe_holds_us_not),
		TEST(nor_does_one_that_has_left_the_group),
		TEST(a_stop_is_told_as_what_it_did),
		TEST(a_freed_child_is_dead_and_silent),
		TEST(done_may_free_it_too),
		TEST(one_that_cannot_be_killed_is_given_up),
		TEST(many_at_once_all_end),
		TEST(a_parent_that_ignores_its_children_is_told),
	};

	alarm(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
