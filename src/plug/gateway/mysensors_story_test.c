/*
 * plug/gateway/mysensors_story_test.c - the life of a node, from its first word
 * to its second id: test/e2e/mysensors_node.py plays it, over a serial line,
 * TCP and Mosquitto, and says what it saw.
 */
#include "plug/gateway/test_mysensors.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/test_port.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOSQUITTO "/usr/sbin/mosquitto"
#define PYTHON "/usr/bin/python3"
#define PATIENCE_MS 30000

struct story {
	struct fixture *x;
	pid_t node, broker; /* 0: none */
	int from, to;
	struct buf said;
};

static pid_t
spawn(const char *const *argv, int in, int out)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	if (in >= 0)
		dup2(in, 0);
	if (out >= 0)
		dup2(out, 1);
	else
		dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 2);
	execv(argv[0], (char *const *)(uintptr_t)argv);
	_exit(127);
}

static void
spawn_node(struct story *s, const char *mode, const char *port)
{
	const char *argv[] = { PYTHON, NODE, mode, port, NULL };
	int out[2], in[2];

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	s->node = spawn(argv, in[0], out[1]);
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
open_gateway(struct story *s, const char *protocol)
{
	struct gateway_conf conf = { .name = "radio", .reconnect_ms = 1000 };
	char json[400];
	struct err err;

	snprintf(json, sizeof(json),
	    "{\"type\":\"mysensors_v2\",\"timeout\":\"2s\",\"protocol\":%s}",
	    protocol);
	conf.provider = str_of(json);
	gateway_close(s->x->g);
	if (gateway_open(&conf, &s->x->host, &s->x->g, &err) != 0)
		fail_msg("%s", err.text);
	gateway_start(s->x->g);
}

/* Starts the node, and lets the gateway find it. */
static void
begin(struct story *s, const char *mode)
{
	char text[200], json[300];

	spawn_node(s, mode, NULL);
	told(s, text, sizeof(text));
	if (strcmp(mode, "tcp") == 0)
		snprintf(json, sizeof(json),
		    "{\"type\":\"ethernet\",\"server\":\"tcp://127.0.0.1:%s\"}",
		    text + strlen("port "));
	else
		snprintf(json, sizeof(json),
		    "{\"type\":\"serial\",\"portname\":\"%s\"}",
		    text + strlen("pty "));
	open_gateway(s, json);
}

static void
until_up(struct story *s)
{
	struct gateway_state st = { 0 };

	for (int64_t until = now_ms() + PATIENCE_MS; st.status != GATEWAY_UP;) {
		if (now_ms() > until)
			fail_msg("%s (Debian's mosquitto is needed)", st.text);
		turn(s->x);
		gateway_state(s->x->g, &st);
		if (st.status == GATEWAY_DOWN)
			clock_advance(1000); /* the server has yet to start */
	}
}

/* The same with Mosquitto between them. What MQTT has not been asked for it
 * forgets, so both listen before the first word. */
static void
begin_mqtt(struct story *s)
{
	const char *argv[] = { MOSQUITTO, "-p", NULL, NULL };
	char port[8], json[300];

	snprintf(port, sizeof(port), "%u", test_port());
	argv[2] = port;
	s->broker = spawn(argv, -1, -1);
	snprintf(json, sizeof(json),
	    "{\"type\":\"mqtt\",\"broker\":\"tcp://127.0.0.1:%s\","
	    "\"subscribe\":\"out/#\",\"publish\":\"in\"}",
	    port);
	open_gateway(s, json);
	until_up(s);
	spawn_node(s, "mqtt", port);
	must_tell(s, "connected");
	assert_int_equal(write(s->to, "\n", 1), 1);
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
play(struct story *s)
{
	static const char *const news[] = { "1|1;255;0;0;17;2.3.2|",
		"1|1;255;3;0;11;Hall|", "1|1;255;3;0;12;1.0|",
		"1|1;1;0;0;6;Hall|", "1|1;2;0;0;3;Lamp|", "1|1;255;3;0;0;87|",
		"1|1;1;1;0;0;21.5|" };
	struct fixture *x = s->x;
	time_t now = time(NULL);
	struct tm tm;
	int64_t at;

	must_tell(s, "id 1 units M");
	at = told_time(s);
	localtime_r(&now, &tm);
	assert_true(at >= now + tm.tm_gmtoff);
	assert_true(at < now + tm.tm_gmtoff + 60);
	for (size_t i = 0; i < COUNT_OF(news); i++)
		until_has(x, &x->heard, news[i]);

	send_to_node(s, "1;2;1;0;2;1", false);
	until_answered(x, 1);
	until_has(x, &x->heard, "1|1;2;1;1;2;1|");
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
	until_has(x, &x->heard, "2|2;255;0;0;17;2.3.2|");
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

static void
end_program(pid_t pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static int
teardown_story(void **state)
{
	struct story *s = *state;

	end_program(s->node);
	end_program(s->broker);
	if (s->node > 0) {
		close(s->from);
		close(s->to);
	}
	buf_free(&s->said);
	return teardown((void **)&s->x);
}

static void
over_a_serial_line(void **state)
{
	begin(*state, "pty");
	play(*state);
}

static void
over_tcp(void **state)
{
	begin(*state, "tcp");
	play(*state);
}

static void
over_mqtt(void **state)
{
	begin_mqtt(*state);
	play(*state);
}

#define TEST(name)                                                             \
	cmocka_unit_test_setup_teardown(name, setup_story, teardown_story)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(over_a_serial_line),
		TEST(over_tcp),
		TEST(over_mqtt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
