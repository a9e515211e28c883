/*
 * plug/gateway/doubles_test.c - providers and the doubles of what they speak to
 * (test/e2e), on a Mosquitto: that both sides mean the same.
 */
#include "plug/gateway/test_host.h"

#include "base/test_port.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOSQUITTO "/usr/sbin/mosquitto"
#define PYTHON "/usr/bin/python3"
#define EUI "0102030405060708"
#define WAIT_S 90

static uint16_t port;
static pid_t server, peer;
static int to_peer = -1;

static pid_t
spawn(const char *const *argv, int *input)
{
	int in[2];
	pid_t pid;

	if (pipe2(in, O_CLOEXEC) != 0)
		fail_msg("%s", "pipe");
	pid = fork();
	if (pid == 0) {
		dup2(in[0], 0);
		dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 1);
		dup2(1, 2);
		execv(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	close(in[0]);
	if (input != NULL)
		*input = in[1];
	else
		close(in[1]);
	return pid;
}

static int
start_mosquitto(void **state)
{
	char text[8];
	const char *argv[] = { MOSQUITTO, "-p", text, NULL };

	port = test_port();
	snprintf(text, sizeof(text), "%d", port);
	server = spawn(argv, NULL);
	return test_set_up(state);
}

static void
stop(pid_t *pid)
{
	if (*pid != 0) {
		kill(*pid, SIGKILL);
		waitpid(*pid, NULL, 0);
	}
	*pid = 0;
}

static int
stop_mosquitto(void **state)
{
	stop(&peer);
	stop(&server);
	if (to_peer >= 0)
		close(to_peer);
	to_peer = -1;
	return test_tear_down(state);
}

static void
start_double(const char *program, const char *arg, const char *more)
{
	char path[300], text[8];
	const char *argv[] = { PYTHON, path, text, arg, more, NULL };

	snprintf(path, sizeof(path), "%s/%s", DOUBLES, program);
	snprintf(text, sizeof(text), "%d", port);
	peer = spawn(argv, &to_peer);
}

static void
open_there(struct test_host *h, const char *provider, const char *more)
{
	char text[300];
	struct gateway_state st;
	struct gateway_conf conf = { .name = "g", .reconnect_ms = 1000 };

	snprintf(text, sizeof(text),
	    "{\"type\":\"%s\",\"protocol\":{\"broker\":"
	    "\"tcp://127.0.0.1:%d\",\"qos\":1}%s}",
	    provider, port, more);
	conf.provider = str_of(text);
	if (gateway_open(&conf, &h->host, &h->g, &h->err) != 0)
		fail_msg("%s", h->err.text);
	gateway_start(h->g);
	for (time_t end = time(NULL) + WAIT_S;;) {
		gateway_state(h->g, &st);
		if (st.status == GATEWAY_UP)
			return;
		if (time(NULL) > end)
			fail_msg("Debian's mosquitto is needed: %s", st.text);
		loop_turn(h->host.loop, 10);
	}
}

static void
until(struct test_host *h, struct buf *b, const char *text)
{
	for (time_t end = time(NULL) + WAIT_S;
	     strstr(buf_z(b), text) == NULL;) {
		if (time(NULL) > end)
			fail_msg("no [%s]; Debian's mosquitto and python3 with "
				 "paho are needed. up [%s] told [%s]",
			    text, buf_z(&h->up), buf_z(&h->told));
		loop_turn(h->host.loop, 10);
	}
}

static void
tasmota_tells_and_obeys(void **state)
{
	struct test_host *h = *state;

	open_there(h, "tasmota", "");
	start_double("tasmota.py", "lamp", "house/%topic%/%prefix%/");
	until(h, &h->up, "\"t\": \"lamp\"");
	until(h, &h->up, "lamp|Online|{\"topic\":\"house/lamp/tele/LWT\"");
	/* Not all that it says at first: its topics have just become known. */
	test_send(h, "lamp", "ON", "{\"command\":\"POWER1\"}", false);
	until(h, &h->told, "sent;");
	until(h, &h->up, "lamp|{\"POWER\": \"ON\"}|");
	test_send(h, "lamp", "", "{\"command\":\"Sing\"}", false);
	until(h, &h->told, "failed lamp says of the command Sing: \"Unknown\"");
	assert_int_equal(
	    gateway_act(h->g, STR("lamp"), STR("refresh_node_info"), &h->err),
	    0);
	until(h, &h->up, "\"topic\":\"house/lamp/stat/STATUS11\"");
	assert_int_equal(
	    gateway_act(h->g, STR("lamp"), STR("reboot"), &h->err), 0);
	until(h, &h->up, "\"BootCount\": 2");
	until(h, &h->up, "\"topic\":\"house/lamp/tele/SENSOR\"");
	stop(&peer); /* the server tells its will */
	until(h, &h->up, "lamp|Offline|");
	buf_clear(&h->told);
	test_send(h, "lamp", "ON", "{\"command\":\"POWER1\"}", false);
	until(h, &h->told, "failed lamp is offline;");
	assert_int_equal(test_bad(h), 0);
}

static void
chirpstack_hears_and_is_answered(void **state)
{
	struct test_host *h = *state;

	open_there(h, "chirpstack", "");
	start_double("chirpstack.py", EUI, NULL);
	until(h, &h->up, EUI "||{\"event\":\"join\"");
	test_send(h, EUI, "\x01", "{\"fPort\":5}", false);
	test_send(h, EUI, "\x02", "{\"fPort\":5,\"confirmed\":true}", false);
	/* each goes after an uplink; the first may come too early for it */
	for (int i = 0;
	     i < 100 && strstr(buf_z(&h->told), "sent;sent;") == NULL; i++) {
		assert_int_equal(write(to_peer, "one\n", 4), 4);
		for (int k = 0; k < 20; k++)
			loop_turn(h->host.loop, 10);
	}
	until(h, &h->told, "sent;sent;");
	until(h, &h->up, EUI "|one|{\"event\":\"up\"");
	until(h, &h->up, "\"fCnt\":1");
	assert_non_null(strstr(buf_z(&h->up), "\"tags\":{\"room\":\"barn\"}"));
	assert_int_equal(test_bad(h), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    tasmota_tells_and_obeys, start_mosquitto, stop_mosquitto),
		cmocka_unit_test_setup_teardown(
		    chirpstack_hears_and_is_answered, start_mosquitto,
		    stop_mosquitto),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
