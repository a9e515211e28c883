/*
 * plug/gateway/mysensors_story_test.c - the life of a node, from its first word
 * to its second firmware: test/e2e/mysensors_node.py plays it, over a serial
 * line and over TCP, and says what it saw.
 */
#include "plug/gateway/test_mysensors.h"

#include "base/base.h"
#include "base/mem.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PYTHON "/usr/bin/python3"
#define PATIENCE_MS 30000

struct story {
	struct fixture *x;
	pid_t pid;
	int from, to;
	struct buf said;
};

static void
spawn(struct story *s, const char *mode)
{
	const char *argv[] = { PYTHON, NODE, mode, NULL };
	int out[2], in[2];

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	s->pid = fork();
	if (s->pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		execv(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	s->from = out[0];
	s->to = in[1];
	(void)fcntl(s->from, F_SETFL, O_NONBLOCK);
}

/* The node's next line, in `text`. */
static void
told(struct story *s, char *text, size_t size)
{
	char bytes[400], *end;
	ssize_t n;

	for (int64_t until = now_ms() + PATIENCE_MS;
	     (end = strchr(buf_z(&s->said), '\n')) == NULL;) {
		if (now_ms() > until)
			fail_msg("the node is silent; heard [%s] noted [%s]",
			    buf_z(&s->x->heard), buf_z(&s->x->noted));
		turn(s->x);
		n = read(s->from, bytes, sizeof(bytes));
		if (n > 0)
			buf_add(&s->said, bytes, (size_t)n);
	}
	snprintf(text, size, "%.*s", (int)(end - s->said.ptr), s->said.ptr);
	n = end + 1 - s->said.ptr;
	memmove(s->said.ptr, end + 1, s->said.len - (size_t)n);
	s->said.len -= (size_t)n;
}

static void
must_tell(struct story *s, const char *want)
{
	char text[200];

	told(s, text, sizeof(text));
	assert_string_equal(text, want);
}

static void
on_sent(void *ctx, enum gateway_outcome outcome, const struct err *err)
{
	struct fixture *x = ctx;

	if (outcome != GATEWAY_SENT)
		fail_msg("%d: %s", outcome, err->text);
	x->answered++;
}

static void
send_to_node(struct story *s, const char *line, bool asleep)
{
	struct gateway_frame f = { STR("1"), str_of(line), STR_NULL };
	struct err err;

	if (gateway_send(s->x->g, &f, asleep, 0, on_sent, s->x, &err) != 0)
		fail_msg("%s", err.text);
}

static void
begin(struct story *s, const char *mode)
{
	struct gateway_conf conf = { .name = "radio", .reconnect_ms = 1000 };
	char text[200], json[300];
	struct err err;

	spawn(s, mode);
	told(s, text, sizeof(text));
	if (strcmp(mode, "tcp") == 0)
		snprintf(json, sizeof(json),
		    "{\"type\":\"mysensors_v2\",\"timeout\":\"2s\","
		    "\"protocol\":"
		    "{\"type\":\"ethernet\",\"server\":\"tcp://"
		    "127.0.0.1:%s\"}}",
		    text + strlen("port "));
	else
		snprintf(json, sizeof(json),
		    "{\"type\":\"mysensors_v2\",\"timeout\":\"2s\","
		    "\"protocol\":"
		    "{\"type\":\"serial\",\"portname\":\"%s\"}}",
		    text + strlen("pty "));
	conf.provider = str_of(json);
	gateway_close(s->x->g);
	if (gateway_open(&conf, &s->x->host, &s->x->g, &err) != 0)
		fail_msg("%s", err.text);
	gateway_start(s->x->g);
}

/* A word of the node's, while time goes by. */
static int64_t
told_time(struct story *s)
{
	char text[200];

	told(s, text, sizeof(text));
	assert_memory_equal(text, "time ", 5);
	return strtoll(text + 5, NULL, 10);
}

static void
play(struct story *s, const char *mode)
{
	static const char *const news[] = { "1|1;255;0;0;17;2.3.2|-\n",
		"1|1;255;3;0;11;Hall|-\n", "1|1;255;3;0;12;1.0|-\n",
		"1|1;1;0;0;6;Hall|-\n", "1|1;2;0;0;3;Lamp|-\n",
		"1|1;255;3;0;0;87|-\n", "1|1;1;1;0;0;21.5|-\n" };
	struct fixture *x = s->x;
	time_t now = time(NULL);
	struct tm tm;
	int64_t at;

	begin(s, mode);
	must_tell(s, "id 1 units M");
	at = told_time(s);
	localtime_r(&now, &tm);
	assert_true(at >= now + tm.tm_gmtoff);
	assert_true(at < now + tm.tm_gmtoff + 60);
	for (size_t i = 0; i < COUNT_OF(news); i++)
		until_has(x, &x->heard, news[i]);

	send_to_node(s, "1;2;1;0;2;1", false);
	until_answered(x, 1);
	until_has(x, &x->heard, "1|1;2;1;1;2;1|-\n");
	must_tell(s, "lamp 1");

	must_tell(s, "asleep");
	send_to_node(s, "1;2;1;0;2;0", true);
	assert_int_equal(write(s->to, "\n", 1), 1);
	must_tell(s, "lamp 0");
	until_answered(x, 2);
	until_has(x, &x->noted, "1|{\"sleep_node\":\"true\"");
	label(x, "1", "sleep_node", "false");

	must_tell(s, "ready");
	label(x, "1", "assigned_firmware", "relay");
	assert_int_equal(
	    gateway_act(x->g, STR("1"), STR("firmware_update"), NULL), 0);
	must_tell(s, "runs 10 513: 128 bytes, sum 47F7");
	until_has(x, &x->noted, "\"ota_progress\":100,");

	assert_int_equal(gateway_act(x->g, STR("1"), STR("reset"), NULL), 0);
	must_tell(s, "id 2");
	until_has(x, &x->heard, "2|2;255;0;0;17;2.3.2|-\n");
	must_tell(s, "end"); /* and nothing was wrong */
}

static int
setup_story(void **state)
{
	static struct story s;

	s = (struct story){ 0 };
	setup((void **)&s.x);
	s.x->firmware = (struct gateway_firmware){
		STR(":0400000001020304F2\n:00000001FF\n"),
		STR("{\"ms_type_id\":\"10\",\"ms_version_id\":\"513\"}")
	};
	*state = &s;
	return 0;
}

static int
teardown_story(void **state)
{
	struct story *s = *state;

	if (s->pid > 0) {
		kill(s->pid, SIGKILL);
		waitpid(s->pid, NULL, 0);
		close(s->from);
		close(s->to);
	}
	buf_free(&s->said);
	return teardown((void **)&s->x);
}

static void
over_a_serial_line(void **state)
{
	play(*state, "pty");
}

static void
over_tcp(void **state)
{
	play(*state, "tcp");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    over_a_serial_line, setup_story, teardown_story),
		cmocka_unit_test_setup_teardown(
		    over_tcp, setup_story, teardown_story),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
