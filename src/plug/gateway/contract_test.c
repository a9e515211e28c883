/*
 * plug/gateway/contract_test.c - asks every promise of gateway.h of every
 * provider, over every protocol, with peers that are what they seem: a TCP
 * server, a pseudo terminal, Mosquitto, our own server's side, peers.py for
 * HTTP.
 *
 * A provider over a protocol is a row: how to open it, what a node says and
 * what that means, how a message to a node looks. `told` is what the senders
 * heard, `up` the frames that went up, `came` what arrived at the peer.
 */
#include "plug/gateway/gateway.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/test_port.h"
#include "codec/json.h"
#include "net/mqtt/client.h"
#include "plug/gateway/generic.h"
#include "plug/gateway/private.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define MOSQUITTO "/usr/sbin/mosquitto"
#define PYTHON "/usr/bin/python3"
#define SLOW_MS 30000 /* whatever blocks here would block for an hour */
#define WAIT_MS 90000

extern const struct gateway_ops gateway_lines; /* docs/guide/gateway_lines.c */

/* --- providers ------------------------------------------------------------ */

/* One provider over one protocol. In texts, %P is the peer's port, %D the path
 * of a serial port, %N a number. A topic that is NULL: the protocol has none.
 */
#define SAY_LIST                                                               \
	"[{\"nodeId\":\"n1\",\"sourceId\":\"s\",\"payloads\":[{\"key\":\"t\"," \
	"\"value\":%N}]}]"
#define UP_LIST(name, where)                                                   \
	"n1|" SAY_LIST "|{\"" name "\":\"" where "\",\"messages\":" SAY_LIST "}"

#define EUI "0102030405060708"
#define JOINED                                                                 \
	"|{\"event\":\"join\",\"device\":{\"name\":\"\",\"profile\":\"\","     \
	"\"application\":\"\",\"applicationId\":\"a\",\"tags\":{}},"           \
	"\"devAddr\":\"%N\"}"

struct fixture;
static void answer_as_tasmota(
    struct fixture *f, struct str topic, struct str payload);
static void answer_as_chirpstack(
    struct fixture *f, struct str topic, struct str payload);
static void answer_as_edge(
    struct fixture *f, struct str topic, struct str payload);

static const struct kind {
	const char *name;
	const struct gateway_ops *ops;
	const char *peer; /* "tcp", "serial", "mosquitto", "own", "http" */
	const char *provider;
	const char *say_topic, *say; /* a node says %N */
	const char *up;    /* the frame of it: "node|data|extension" */
	const char *means; /* what it says, see put_message() */
	const char *noise_topic, *noise; /* is no frame; NULL: all is */
	const char *node, *source, *key; /* a message to this node */
	const char *value;               /* its value, JSON */
	const char *frame;               /* it written: "node|data|extension" */
	const char *arrives;    /* it sent, as it came: "line\n", or "topic
				 * payload\n" */
	const char *echo_topic; /* the peer answers what it gets with the same,
				 * here (over MQTT); NULL: it does not */
	bool echo;              /* the same for lines */
	const char *bad_frame;  /* data that is refused; NULL: nothing is */
	const char *bad, *why;  /* provider that is refused */
	bool holds; /* what is not taken is not acknowledged, and waits there */
	/* The peer's part of the protocol, where it is more than an echo. */
	void (*answer)(struct fixture *f, struct str topic, struct str payload);
} kinds[] = {
	{ "lines over tcp", &gateway_lines, "tcp",
	    "{\"type\":\"lines\",\"protocol\":{\"type\":\"ethernet\","
	    "\"server\":\"tcp://127.0.0.1:%P\",\"transmitPreDelay\":\"1ms\"}}",
	    NULL, "n1;temp;%N", "n1|n1;temp;%N|", "set n1 values temp=%N\n",
	    NULL, "what?", "n1", "values", "lamp", "\"on%N\"",
	    "n1|n1;lamp;on%N|{\"slot\":\"lamp\"}", "n1;lamp;on%N\n", NULL,
	    false, "n1",
	    "{\"protocol\":{\"type\":\"ethernet\",\"server\":\"x\"}}",
	    "lines gateway: protocol: server: an address like tcp://host:5003 "
	    "is needed" },
	{ "lines over serial", &gateway_lines, "serial",
	    "{\"Type\":\"lines\",\"Protocol\":{\"TYPE\":\"Serial\","
	    "\"portName\":\"%D\",\"baudRate\":\"57600\"}}",
	    NULL, "n1;temp;%N", "n1|n1;temp;%N|", "set n1 values temp=%N\n",
	    NULL, "\x01\xff;;", "n1", "values", "lamp", "%N",
	    "n1|n1;lamp;%N|{\"slot\":\"lamp\"}", "n1;lamp;%N\n", NULL, false,
	    "n1;b\n;c",
	    "{\"protocol\":{\"type\":\"serial\",\"portname\":\"/dev/x\","
	    "\"baudrate\":7}}",
	    "lines gateway: protocol: baudrate: a usual one like 115200 is "
	    "needed" },
	{ "mysensors over tcp", &gateway_mysensors, "tcp",
	    "{\"type\":\"mysensors_v2\",\"timeout\":\"2s\",\"protocol\":"
	    "{\"type\":\"ethernet\",\"server\":\"tcp://127.0.0.1:%P\"}}",
	    NULL, "7;1;1;0;0;%N", "7|7;1;1;0;0;%N|",
	    "set 7 1 V_TEMP=%N,gauge_float,°C\n", NULL, "7;1;1;0;0", "7", "2",
	    "V_PERCENTAGE", "%N", "7|7;2;1;1;3;%N|{\"slot\":\"2/1/3\"}",
	    "7;2;1;1;3;%N\n", NULL, true, "7;2;1;1;3",
	    "{\"timeout\":\"1ms\",\"protocol\":{\"type\":\"ethernet\","
	    "\"server\":\"tcp://127.0.0.1:%P\"}}",
	    "mysensors_v2 gateway: timeout: must be at least 10ms and at most "
	    "10s" },
	{ "mysensors over serial", &gateway_mysensors, "serial",
	    "{\"type\":\"mysensors_v2\",\"timeout\":\"2s\",\"protocol\":"
	    "{\"type\":\"serial\",\"portname\":\"%D\"}}",
	    NULL, "7;1;1;0;0;%N", "7|7;1;1;0;0;%N|",
	    "set 7 1 V_TEMP=%N,gauge_float,°C\n", NULL, "\x01\xff;;;;;", "7",
	    "2", "V_PERCENTAGE", "%N", "7|7;2;1;1;3;%N|{\"slot\":\"2/1/3\"}",
	    "7;2;1;1;3;%N\n", NULL, true, "8;2;1;1;3;1",
	    "{\"retryCount\":0,\"protocol\":{\"type\":\"serial\","
	    "\"portname\":\"%D\"}}",
	    "mysensors_v2 gateway: retryCount: must be 1 to 20" },
	{ "mysensors over mqtt", &gateway_mysensors, "mosquitto",
	    "{\"type\":\"mysensors_v2\",\"timeout\":\"2s\",\"protocol\":"
	    "{\"type\":\"mqtt\",\"broker\":\"tcp://127.0.0.1:%P\","
	    "\"subscribe\":\"out/#\",\"publish\":\"in\"}}",
	    "out/7/1/1/0/0", "%N",
	    "7|7;1;1;0;0;%N|{\"topic\":\"out/7/1/1/0/0\"}",
	    "set 7 1 V_TEMP=%N,gauge_float,°C\n", "out/7/1/1/0", "1", "7", "2",
	    "V_PERCENTAGE", "%N", "7|7;2;1;1;3;%N|{\"slot\":\"2/1/3\"}",
	    "in/7/2/1/1/3 %N\n", "out/", false, "7/2/1/1/3",
	    "{\"protocol\":{\"type\":\"http\"}}",
	    "mysensors_v2 gateway: protocol: type: must be one of serial, "
	    "ethernet, tcp, mqtt" },
	{ "generic over mqtt", &gateway_generic_mqtt, "mosquitto",
	    "{\"protocol\":{\"type\":\"mqtt\",\"broker\":"
	    "\"tcp://127.0.0.1:%P\",\"subscribe\":\"out/#, other\",\"publish\":"
	    "\"/in/\",\"qos\":\"1\"},\"nodes\":{\"n1\":{\"topic\":\"cmd\"}}}",
	    "out/x", SAY_LIST, UP_LIST("topic", "out/x"), "set n1 s t=%N\n",
	    "out/x", "[{\"type\":\"song\"}]", "n1", "s", "lamp", "%N",
	    "n1|{\"nodeId\":\"n1\",\"sourceId\":\"s\",\"type\":\"set\","
	    "\"payloads\":[{\"key\":\"lamp\",\"value\":%N}]}|"
	    "{\"topic\":\"cmd\",\"slot\":\"set s/lamp\"}",
	    "/in/cmd {\"nodeId\":\"n1\",\"sourceId\":\"s\",\"type\":\"set\","
	    "\"payloads\":[{\"key\":\"lamp\",\"value\":%N}]}\n",
	    NULL, false, NULL,
	    "{\"protocol\":{\"type\":\"mqtt\",\"broker\":\"http://x\"}}",
	    "generic_mqtt gateway: protocol: broker: an address like "
	    "tcp://host:1883 or tls://host:8883 is needed",
	    true },
	{ "generic over our own mqtt", &gateway_generic_mqtt, "own",
	    "{\"protocol\":{\"subscribe\":[\"out/+\"],\"nodes\":{\"default\":"
	    "{\"topic\":\"cmd\",\"script\":\"down\"}}},"
	    "\"script\":{\"onReceive\":\"up\"}}",
	    "out/x", "%N",
	    "n1|%N|{\"topic\":\"out/x\",\"messages\":[{\"nodeId\":"
	    "\"n1\",\"payloads\":[{\"key\":\"out/x\",\"value\":\"%N\"}]}]}",
	    "set n1  out/x=\"%N\"\n", "out/x", "throw", "n1", "s", "lamp", "%N",
	    "n1|lamp to %N|{\"topic\":\"a,b\",\"slot\":\"set s/lamp\"}",
	    "a lamp to %N\nb lamp to %N\n", NULL, false, NULL,
	    "{\"protocol\":{\"subscribe\":[\"out/+\"],\"qos\":7}}",
	    "generic_mqtt gateway: protocol: qos: must be 0 to 2", false },
	{ "generic over http", &gateway_generic_http, "http",
	    "{\"protocol\":{\"endpoints\":{\"now\":{\"url\":"
	    "\"http://127.0.0.1:%P/now\",\"executionInterval\":\"1s\"}},"
	    "\"nodes\":{\"n1\":{\"url\":\"http://127.0.0.1:%P/set\"}}}}",
	    NULL, SAY_LIST, UP_LIST("endpoint", "now"), "set n1 s t=%N\n", NULL,
	    "[{\"nodeId\":", "n1", "s", "lamp", "%N",
	    "n1|{\"nodeId\":\"n1\",\"sourceId\":\"s\",\"type\":\"set\","
	    "\"payloads\":[{\"key\":\"lamp\",\"value\":%N}]}|"
	    "{\"slot\":\"set s/lamp\"}",
	    "POST /set Content-Type=application/json {\"nodeId\":\"n1\","
	    "\"sourceId\":\"s\",\"type\":\"set\",\"payloads\":[{\"key\":"
	    "\"lamp\",\"value\":%N}]}\n",
	    NULL, false, "no json",
	    "{\"protocol\":{\"endpoints\":{\"a\":{\"url\":\"http://x\"},\"b\":"
	    "{\"url\":\"http://x\",\"executionInterval\":\"1ms\"}}}}",
	    "generic_http gateway: protocol: endpoints: b: executionInterval: "
	    "one second at least is needed",
	    false },
	{ "tasmota over mqtt", &gateway_tasmota, "mosquitto",
	    "{\"type\":\"tasmota\",\"protocol\":{\"broker\":"
	    "\"tcp://127.0.0.1:%P\",\"qos\":1}}",
	    "tele/n1/SENSOR", "{\"S\":{\"t\":%N}}",
	    "n1|{\"S\":{\"t\":%N}}|{\"topic\":\"tele/n1/SENSOR\"}",
	    "presentation n1 S name=\"S\"\nset n1 S t=%N\n", "tele/n1", "?",
	    "n1", "Control", "lamp", "%N",
	    "n1|%N|{\"command\":\"lamp\",\"slot\":\"lamp\"}",
	    "cmnd/n1/lamp %N\n", NULL, false, NULL,
	    "{\"protocol\":{\"broker\":\"tcp://127.0.0.1:%P\"},"
	    "\"fullTopic\":\"%prefix%\"}",
	    "tasmota gateway: fullTopic: %prefix% and %topic% are needed, each "
	    "once and as a whole level, as in %prefix%/%topic%/",
	    true, answer_as_tasmota },
	{ "tasmota over our own mqtt", &gateway_tasmota, "own",
	    "{\"type\":\"tasmota\",\"protocol\":{\"subscribe\":\"home/#\","
	    "\"publish\":\"home\"},\"fullTopic\":\"%topic%/%prefix%\"}",
	    "home/n1/stat/RESULT", "{\"Dimmer\":%N}",
	    "n1|{\"Dimmer\":%N}|{\"topic\":\"home/n1/stat/RESULT\"}",
	    "presentation n1 Control name=\"Control\"\n"
	    "set n1 Control Dimmer=%N,gauge,%\n",
	    "home/n1", "?", "n1", "Control", "Dimmer", "%N",
	    "n1|%N|{\"command\":\"Dimmer\",\"slot\":\"Dimmer\"}",
	    "home/n1/cmnd/Dimmer %N\n", NULL, false, NULL,
	    "{\"protocol\":{},\"timeout\":\"soon\"}",
	    "tasmota gateway: timeout: a duration like 10s is needed", false,
	    answer_as_tasmota },
	{ "chirpstack over mqtt", &gateway_chirpstack, "mosquitto",
	    "{\"type\":\"chirpstack\",\"fPort\":10,\"applicationId\":\"a\","
	    "\"protocol\":{\"broker\":\"tcp://127.0.0.1:%P\",\"qos\":1}}",
	    "application/a/device/" EUI "/event/join", "{\"devAddr\":\"%N\"}",
	    EUI "|" JOINED,
	    "presentation " EUI "  dev_addr=\"%N\" "
	    "{\"application_id\":\"a\"}\n",
	    "application/a/device/" EUI "/event/x", "{}", EUI, "data", "lamp",
	    "%N", EUI "||{\"object\":{\"lamp\":%N},\"slot\":\"data/lamp\"}",
	    "\"devEui\":\"" EUI "\",\"confirmed\":false,\"fPort\":10,"
	    "\"object\":{\"lamp\":%N}}\n",
	    NULL, false, NULL,
	    "{\"protocol\":{\"broker\":\"tcp://127.0.0.1:%P\"},"
	    "\"fPort\":224}",
	    "chirpstack gateway: fPort: must be 0 to 223", true,
	    answer_as_chirpstack },
	{ "chirpstack over our own mqtt", &gateway_chirpstack, "own",
	    "{\"type\":\"chirpstack\",\"fPort\":10,\"applicationId\":\"a\","
	    "\"confirmed\":true,\"protocol\":{}}",
	    "application/a/device/" EUI "/event/join", "{\"devAddr\":\"%N\"}",
	    EUI "|" JOINED,
	    "presentation " EUI "  dev_addr=\"%N\" "
	    "{\"application_id\":\"a\"}\n",
	    "application/a/device/" EUI "/event/x", "{}", EUI, "data", "lamp",
	    "%N", EUI "||{\"object\":{\"lamp\":%N},\"slot\":\"data/lamp\"}",
	    "\"devEui\":\"" EUI "\",\"confirmed\":true,\"fPort\":10,"
	    "\"object\":{\"lamp\":%N}}\n",
	    NULL, false, NULL, "{\"protocol\":{},\"timeout\":\"-1s\"}",
	    "chirpstack gateway: timeout: a duration like 24h is needed, 31d "
	    "at most",
	    false, answer_as_chirpstack },
	{ "marram-edge over mqtt", &gateway_marram_edge, "mosquitto",
	    "{\"type\":\"marram_edge\",\"protocol\":{\"broker\":"
	    "\"tcp://127.0.0.1:%P\"}}",
	    "gw1/up/main/-/m/env", "{\"t\":%N}",
	    "gw1|{\"t\":%N}|{\"topic\":\"m/env\"}", "set gw1 env t=%N\n",
	    "gw1/up/main", "?", "gw1", "s", "lamp", "%N",
	    "gw1|{\"source\":\"s\",\"field\":\"lamp\",\"value\":%N}|"
	    "{\"command\":\"set\",\"slot\":\"s/lamp\"}",
	    " {\"source\":\"s\",\"field\":\"lamp\",\"value\":%N}\n", NULL,
	    false, "no json",
	    "{\"protocol\":{\"broker\":"
	    "\"tcp://127.0.0.1:%P\"},\"timeout\":\"1ms\"}",
	    "marram_edge gateway: timeout: a duration like 24h is needed, 1s "
	    "to 31d",
	    true, answer_as_edge },
	{ "marram-edge over our own mqtt", &gateway_marram_edge, "own",
	    "{\"type\":\"marram_edge\",\"protocol\":{}}", "gw1/up/main/-/m/env",
	    "{\"t\":%N}", "gw1|{\"t\":%N}|{\"topic\":\"m/env\"}",
	    "set gw1 env t=%N\n", "gw1/up/main", "?", "gw1", "s", "lamp", "%N",
	    "gw1|{\"source\":\"s\",\"field\":\"lamp\",\"value\":%N}|"
	    "{\"command\":\"set\",\"slot\":\"s/lamp\"}",
	    " {\"source\":\"s\",\"field\":\"lamp\",\"value\":%N}\n", NULL,
	    false, "no json", "{\"protocol\":{},\"timeout\":\"1ms\"}",
	    "marram_edge gateway: timeout: a duration like 24h is needed, 1s "
	    "to 31d",
	    false, answer_as_edge },
};

static const struct kind *kind; /* the one under test */

struct conn { /* of the TCP peer */
	struct loop_io io;
	struct fixture *f;
};

struct own_sub { /* of our own server's side */
	struct list link;
	struct str filter;
	gateway_heard *heard;
	void *ctx;
};

struct pending { /* frames handed up that are not taken */
	struct gateway_taken *at[100];
	size_t n;
};

struct fixture {
	struct loop *loop;
	struct gateway_settings settings;
	struct gateway_host host;
	struct gateway *g;
	struct err err;
	struct buf told, up, came, said, noted;
	int answered, changed;
	int64_t slowest_ms;
	bool close_in_done;
	bool keep;  /* frames handed up are not taken at once */
	int refuse; /* so many are not stored */
	struct pending pending;
	const char *labels;                 /* "key=value;" for any node */
	char *frame_data, *frame_extension; /* the last that went up */

	uint16_t port;
	uint16_t tls_port; /* of Mosquitto, too */
	char cert[60], key[60];
	char dir[40], log_dir[60], tty[60], file[60];
	struct loop_io listener; /* TCP */
	struct conn *conn;
	struct loop_io pty;
	struct buf part;
	bool mute; /* the TCP peer keeps nothing of what it reads */
	pid_t peer;
	int from_peer, to_peer;
	struct loop_io peer_io;
	struct mqtt_client *client;
	struct list own;
	bool tokens; /* what our own server brings waits until it is taken */
	uint64_t token;
	struct buf taken;     /* "1;" */
	struct list recitals; /* scripts that run */
	bool slow_scripts;    /* they do not end by themselves */
	struct loop_defer recite;
	const uint8_t *mqtt_answers; /* codes of a raw MQTT server's SUBACKs */
};

struct recital {
	struct list link;
	gateway_script_done *done;
	void *ctx;
	struct buf source, vars;
};

/* --- time and the loop ---------------------------------------------------- */

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void
note_time(struct fixture *f, int64_t since, int64_t allowed)
{
	f->slowest_ms = MAX_OF(f->slowest_ms, now_ms() - since - allowed);
}

static void
turn(struct fixture *f)
{
	int64_t since = now_ms();

	if (f->pty.fd >= 0) /* the other end may have been opened again */
		loop_watch(f->loop, &f->pty, LOOP_READ);
	loop_turn(f->loop, 10);
	note_time(f, since, 10);
}

static void
turn_for(struct fixture *f, int64_t ms)
{
	for (int64_t end = now_ms() + ms; now_ms() < end;)
		turn(f);
}

#define UNTIL(f, condition)                                                    \
	for (int64_t until_end = now_ms() + WAIT_MS; !(condition);) {          \
		if (now_ms() > until_end)                                      \
			fail_msg("not so: " #condition                         \
				 "; told [%s] up [%s] came [%s] state %s",     \
			    buf_z(&(f)->told), buf_z(&(f)->up),                \
			    buf_z(&(f)->came), state_of(f).text);              \
		turn(f);                                                       \
	}

static struct gateway_state
state_of(struct fixture *f)
{
	struct gateway_state s = { 0 };

	if (f->g != NULL)
		gateway_state(f->g, &s);
	return s;
}

static bool
has(struct buf *b, const char *text)
{
	return strstr(buf_z(b), text) != NULL;
}

/* `text` with %P, %D, %N and %U filled in. Eight of them live at a time. */
static const char *
fill(struct fixture *f, const char *text, int n)
{
	static char out[8][4000];
	static int which;
	char *to = out[which++ % 8], *start = to;

	for (; text != NULL && *text != '\0'; text++) {
		if (strncmp(text, "%P", 2) == 0)
			to += sprintf(to, "%d", f->port);
		else if (strncmp(text, "%D", 2) == 0)
			to += sprintf(to, "%s", f->tty);
		else if (strncmp(text, "%U", 2) == 0)
			to += sprintf(
			    to, "\"url\":\"http://127.0.0.1:%d", f->port);
		else if (strncmp(text, "%N", 2) == 0)
			to += sprintf(to, "%d", n);
		else
			*to++ = *text;
		if (*text == '%' && strchr("PDNU", text[1]) != NULL &&
		    text[1] != '\0')
			text++;
	}
	*to = '\0';
	return start;
}

/* --- the TCP peer --------------------------------------------------------- */

static void echo_line(struct fixture *f, const char *line);

static void
drop_conn(struct fixture *f)
{
	if (f->conn == NULL)
		return;
	loop_unwatch(f->loop, &f->conn->io);
	close(f->conn->io.fd);
	loop_free_later(f->loop, f->conn);
	f->conn = NULL;
}

static void
take_bytes(struct fixture *f, const char *text, size_t n)
{
	buf_add(&f->came, text, n);
	for (size_t i = 0; i < n; i++) {
		if (text[i] != '\n') {
			buf_addc(&f->part, text[i]);
			continue;
		}
		echo_line(f, buf_z(&f->part));
		buf_clear(&f->part);
	}
}

#define SILENCE 0xff

/* A server that does nothing but answer: packets of less than 128 bytes, level
 * 5. */
static void
answer_mqtt(struct fixture *f, const uint8_t *p, ssize_t n)
{
	while (n >= 2 && n >= p[1] + 2) {
		static const uint8_t connack[] = { 0x20, 3, 0, 0, 0 };
		uint8_t suback[] = { 0x90, 4, p[2], p[3], 0, 0 };

		if (p[0] == 0x10) {
			assert_int_equal(
			    write(f->conn->io.fd, connack, sizeof(connack)),
			    sizeof(connack));
		} else if (p[0] == 0x82) {
			suback[5] = *f->mqtt_answers++;
			if (suback[5] == SILENCE)
				return;
			assert_int_equal(
			    write(f->conn->io.fd, suback, sizeof(suback)),
			    sizeof(suback));
		}
		n -= p[1] + 2;
		p += p[1] + 2;
	}
}

static void
on_conn(struct loop_io *io, unsigned what)
{
	struct fixture *f = container_of(io, struct conn, io)->f;
	char text[4096];
	ssize_t n = read(io->fd, text, sizeof(text));

	(void)what;
	if (n > 0 && f->mqtt_answers != NULL)
		answer_mqtt(f, (const uint8_t *)text, n);
	else if (n > 0 && !f->mute)
		take_bytes(f, text, (size_t)n);
	else if (n == 0)
		drop_conn(f);
}

static void
on_listener(struct loop_io *io, unsigned what)
{
	struct fixture *f = container_of(io, struct fixture, listener);
	int fd = accept4(io->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)what;
	if (fd < 0)
		return;
	drop_conn(f);
	f->conn = mem_new(struct conn);
	f->conn->f = f;
	f->conn->io = (struct loop_io){ .ready = on_conn, .fd = fd };
	loop_watch(f->loop, &f->conn->io, LOOP_READ);
}

/* Listens on f->port, or on a free one. */
static void
start_tcp(struct fixture *f)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (f->port == 0)
		f->port = test_port();
	a.sin_port = htons(f->port);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0 ||
	    listen(fd, 8) != 0)
		fail_msg("%s", "no port");
	f->listener = (struct loop_io){ .ready = on_listener, .fd = fd };
	loop_watch(f->loop, &f->listener, LOOP_READ);
}

static void
stop_tcp(struct fixture *f)
{
	drop_conn(f);
	if (f->listener.fd < 0)
		return;
	loop_unwatch(f->loop, &f->listener);
	close(f->listener.fd);
	f->listener.fd = -1;
}

/* --- the serial peer ------------------------------------------------------ */

static void
on_pty(struct loop_io *io, unsigned what)
{
	struct fixture *f = container_of(io, struct fixture, pty);
	char text[4096];
	ssize_t n = read(io->fd, text, sizeof(text));

	(void)what;
	if (n > 0)
		take_bytes(f, text, (size_t)n);
	else if (n < 0 && errno == EIO)
		loop_unwatch(f->loop, io); /* the other end is not open */
}

static void
start_pty(struct fixture *f)
{
	struct termios t;

	f->pty.fd = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (f->pty.fd < 0 || grantpt(f->pty.fd) != 0 ||
	    unlockpt(f->pty.fd) != 0)
		fail_msg("%s", "no pseudo terminal");
	unlink(f->tty);
	if (symlink(ptsname(f->pty.fd), f->tty) != 0)
		fail_msg("%s", "symlink");
	if (tcgetattr(f->pty.fd, &t) == 0) { /* no echo before it is opened */
		cfmakeraw(&t);
		tcsetattr(f->pty.fd, TCSANOW, &t);
	}
	f->pty.ready = on_pty;
	loop_watch(f->loop, &f->pty, LOOP_READ);
}

static void
stop_pty(struct fixture *f)
{
	if (f->pty.fd < 0)
		return;
	loop_unwatch(f->loop, &f->pty);
	close(f->pty.fd);
	f->pty.fd = -1;
}

/* --- peers that are programs ---------------------------------------------- */

static void
on_peer(struct loop_io *io, unsigned what)
{
	struct fixture *f = container_of(io, struct fixture, peer_io);
	char text[4096];
	ssize_t n = read(io->fd, text, sizeof(text));

	(void)what;
	if (n > 0)
		buf_add(&f->came, text, (size_t)n);
	else if (n == 0)
		loop_unwatch(f->loop, io);
}

static void
spawn(struct fixture *f, const char *const *argv)
{
	int out[2], in[2];

	if (pipe2(out, O_CLOEXEC) != 0 || pipe2(in, O_CLOEXEC) != 0)
		fail_msg("%s", "pipe");
	f->peer = fork();
	if (f->peer == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 2);
		execv(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	close(out[1]);
	close(in[0]);
	f->from_peer = out[0];
	f->to_peer = in[1];
}

static void
stop_program(struct fixture *f)
{
	if (f->peer == 0)
		return;
	loop_unwatch(f->loop, &f->peer_io);
	kill(f->peer, SIGKILL);
	waitpid(f->peer, NULL, 0);
	close(f->from_peer);
	close(f->to_peer);
	f->peer = 0;
}

static void
on_heard(void *ctx, const struct mqtt_client_msg *m)
{
	struct fixture *f = ctx;

	if (kind->say_topic != NULL && m->topic.len > 4 &&
	    str_starts(m->topic, STR("out/")))
		return; /* what the peer itself has said */
	buf_addf(&f->came, STR_FMT " " STR_FMT "\n", STR_ARG(m->topic),
	    STR_ARG(m->payload));
	if (kind->answer != NULL)
		kind->answer(f, m->topic, m->payload);
	if (kind->echo_topic != NULL) {
		struct str tail = m->topic;

		str_cut(&tail, '/');
		buf_clear(&f->part);
		buf_addf(
		    &f->part, "%s" STR_FMT, kind->echo_topic, STR_ARG(tail));
		mqtt_client_publish(f->client, buf_str(&f->part), m->payload, 0,
		    false, NULL, NULL);
	}
}

static void
start_mosquitto(struct fixture *f)
{
	const char *argv[] = { MOSQUITTO, "-c", f->file, NULL };
	struct mqtt_client_conf conf = { .address = "127.0.0.1",
		.port = f->port,
		.client_id = "peer",
		.retry_min_ms = 20,
		.retry_max_ms = 50 };
	FILE *file;

	file = fopen(f->file, "w");
	fprintf(file,
	    "listener %d 127.0.0.1\nallow_anonymous true\nlog_type none\n"
	    "user root\npersistence true\npersistence_location %s/\n",
	    f->port, f->dir);
	if (f->tls_port != 0)
		fprintf(file,
		    "listener %d 127.0.0.1\ncertfile %s\nkeyfile %s\n",
		    f->tls_port, f->cert, f->key);
	fclose(file);
	spawn(f, argv);
	if (f->client == NULL) {
		assert_int_equal(mqtt_client_new(f->loop, &conf, NULL, f,
				     &f->client, &f->err),
		    0);
		mqtt_client_subscribe(f->client, STR("#"), 1, on_heard, f);
		mqtt_client_start(f->client);
	}
	for (int64_t end = now_ms() + WAIT_MS;
	     !mqtt_client_is_subscribed(f->client);) {
		if (now_ms() > end)
			fail_msg("%s", "Debian's mosquitto is needed");
		turn(f);
	}
}

static void
start_http(struct fixture *f)
{
	char port[8];
	const char *argv[] = { PYTHON, PEERS, port, NULL };
	char line[64] = "";
	size_t n = 0;

	snprintf(port, sizeof(port), "%d", f->port);
	spawn(f, argv);
	while (n < sizeof(line) - 1 && read(f->from_peer, line + n, 1) == 1 &&
	    line[n] != '\n')
		n++;
	if (sscanf(line, "port %hu", &f->port) != 1)
		fail_msg("%s", "Debian's python3 is needed");
	f->peer_io = (struct loop_io){ .ready = on_peer, .fd = f->from_peer };
	loop_watch(f->loop, &f->peer_io, LOOP_READ);
}

/* --- any peer ------------------------------------------------------------- */

static bool
is_peer(const char *name)
{
	return strcmp(kind->peer, name) == 0;
}

static void
start_peer(struct fixture *f)
{
	if (is_peer("tcp"))
		start_tcp(f);
	else if (is_peer("serial"))
		start_pty(f);
	else if (is_peer("mosquitto"))
		start_mosquitto(f);
	else if (is_peer("http"))
		start_http(f);
}

static void
stop_peer(struct fixture *f)
{
	stop_tcp(f);
	stop_pty(f);
	stop_program(f);
}

/* The peer's side says something. */
static void
say_bytes(struct fixture *f, const char *topic, struct str text)
{
	if (is_peer("tcp")) {
		UNTIL(f, f->conn != NULL);
		assert_int_equal(
		    write(f->conn->io.fd, text.ptr, text.len), text.len);
	} else if (is_peer("serial")) {
		loop_watch(f->loop, &f->pty, LOOP_READ);
		assert_int_equal(
		    write(f->pty.fd, text.ptr, text.len), text.len);
	} else if (is_peer("mosquitto")) {
		assert_int_equal(mqtt_client_publish(f->client, str_of(topic),
				     text, 1, false, NULL, NULL),
		    0);
	} else if (is_peer("own")) {
		LIST_EACH (s, &f->own, struct own_sub, link)
			if (mqtt_filter_matches(s->filter, str_of(topic)))
				s->heard(s->ctx, str_of(topic), text, false,
				    f->tokens ? ++f->token : 0);
	} else {
		assert_int_equal(
		    write(f->to_peer, text.ptr, text.len), text.len);
		assert_int_equal(write(f->to_peer, "\n", 1), 1);
		clock_advance(1000); /* or it is asked in a second */
	}
}

static void
say(struct fixture *f, const char *topic, const char *text, int n)
{
	static char line[4001];
	bool lines = is_peer("tcp") || is_peer("serial");

	snprintf(
	    line, sizeof(line), "%s%s", fill(f, text, n), lines ? "\n" : "");
	say_bytes(f, topic != NULL ? fill(f, topic, n) : NULL, str_of(line));
}

static void
echo_line(struct fixture *f, const char *line)
{
	if (kind->echo)
		say(f, NULL, line, 0);
}

/* A device of Tasmota: a command is answered by what it has set. */
static void
answer_as_tasmota(struct fixture *f, struct str topic, struct str payload)
{
	bool own = str_starts(topic, STR("home/"));
	struct buf where = { 0 }, what = { 0 };
	struct str level[4] = { STR_NULL }, left = topic;

	for (int i = 0; i < 4 && left.ptr != NULL; i++)
		level[i] = str_cut(&left, '/');
	if (!str_eqz(own ? level[2] : level[0], "cmnd"))
		return;
	if (own)
		buf_addf(
		    &where, "home/" STR_FMT "/stat/RESULT", STR_ARG(level[1]));
	else
		buf_addf(&where, "stat/" STR_FMT "/RESULT", STR_ARG(level[1]));
	buf_addf(&what, "{\"" STR_FMT "\":" STR_FMT "}",
	    STR_ARG(own ? level[3] : level[2]), STR_ARG(payload));
	say_bytes(f, buf_z(&where), buf_str(&what));
	buf_free(&where);
	buf_free(&what);
}

/* A network server whose device is always there to be spoken to. */
static void
answer_as_chirpstack(struct fixture *f, struct str topic, struct str payload)
{
	struct arena a = { 0 };
	struct str id;

	if (str_ends(topic, STR("/command/down"))) {
		id = generic_member(&a, payload, "id");
		assert_int_equal(id.len, 38);
		say_bytes(f, "application/a/device/" EUI "/event/txack",
		    arena_printf(
			&a, "{\"queueItemId\":" STR_FMT "}", STR_ARG(id)));
		say_bytes(f, "application/a/device/" EUI "/event/ack",
		    arena_printf(&a,
			"{\"queueItemId\":" STR_FMT ",\"acknowledged\":true}",
			STR_ARG(id)));
	}
	arena_fini(&a);
}

/* A device that does at once what it is told: what goes to down/... is answered
 * at the same place in up/... */
static void
answer_as_edge(struct fixture *f, struct str topic, struct str payload)
{
	struct arena a = { 0 };
	struct str rest = topic, id = str_cut(&rest, '/'),
		   way = str_cut(&rest, '/');

	(void)payload;
	if (str_eqz(way, "down") && !str_ends(rest, STR("/sync")) &&
	    !str_starts(rest, STR("main/-/done/")))
		say_bytes(f,
		    arena_z(&a,
			arena_printf(&a, STR_FMT "/up/" STR_FMT, STR_ARG(id),
			    STR_ARG(rest))),
		    STR("{\"status\":\"successful\"}"));
	arena_fini(&a);
}

/* --- the host ------------------------------------------------------------- */

static void
put_frame(struct buf *b, const struct gateway_frame *fr)
{
	buf_addf(b, STR_FMT "|" STR_FMT "|" STR_FMT "\n", STR_ARG(fr->node),
	    STR_ARG(fr->data), STR_ARG(fr->extension));
}

static void
host_heard(void *ctx, const struct gateway_frame *fr, struct gateway_taken *t)
{
	struct fixture *f = ctx;

	put_frame(&f->up, fr);
	free(f->frame_data);
	free(f->frame_extension);
	f->frame_data = mem_printf(STR_FMT, STR_ARG(fr->data));
	f->frame_extension = fr->extension.ptr != NULL
	    ? mem_printf(STR_FMT, STR_ARG(fr->extension))
	    : NULL;
	if (f->keep) {
		assert_true(f->pending.n < COUNT_OF(f->pending.at));
		f->pending.at[f->pending.n++] = t;
	} else {
		t->done(t, f->refuse-- <= 0);
	}
}

static void
take_all(struct fixture *f, bool ok)
{
	for (size_t i = 0; i < f->pending.n; i++)
		f->pending.at[i]->done(f->pending.at[i], ok);
	f->pending.n = 0;
}

static void
host_changed(void *ctx, struct gateway *g)
{
	struct fixture *f = ctx;

	(void)g;
	f->changed++;
}

static int
host_publish(void *ctx, struct str topic, struct str payload, uint8_t qos,
    bool retain, struct err *err)
{
	struct fixture *f = ctx;

	(void)qos;
	(void)retain;
	(void)err;
	buf_addf(&f->came, STR_FMT " " STR_FMT "\n", STR_ARG(topic),
	    STR_ARG(payload));
	if (kind->answer != NULL)
		kind->answer(f, topic, payload);
	return 0;
}

static void *
host_listen(void *ctx, struct str filter, gateway_heard *heard, void *heard_ctx,
    struct err *err)
{
	struct fixture *f = ctx;
	struct own_sub *s = mem_new(struct own_sub);

	(void)err;
	s->filter = str_copy(filter);
	s->heard = heard;
	s->ctx = heard_ctx;
	list_add(&f->own, &s->link);
	return s;
}

static void
host_unlisten(void *ctx, void *handle)
{
	struct own_sub *s = handle;

	(void)ctx;
	list_del(&s->link);
	str_free(s->filter);
	free(s);
}

static void
host_taken(void *ctx, uint64_t token)
{
	struct fixture *f = ctx;

	buf_addf(&f->taken, "%" PRIu64 ";", token);
}

static struct str
host_label(void *ctx, struct arena *a, struct str node, const char *key)
{
	struct fixture *f = ctx;
	struct str rest = str_of(f->labels);

	(void)node;
	while (rest.ptr != NULL) {
		struct str value = str_cut(&rest, ';');
		struct str name = str_cut(&value, '=');

		if (str_eqz(name, key))
			return arena_str(a, value);
	}
	return STR_NULL;
}

static void
host_note(void *ctx, struct str node, struct str labels, struct str others)
{
	struct fixture *f = ctx;

	buf_addf(&f->noted, STR_FMT " " STR_FMT " " STR_FMT "\n", STR_ARG(node),
	    STR_ARG(labels), STR_ARG(others));
}

static bool
host_known(void *ctx, struct str node)
{
	(void)ctx;
	(void)node;
	return false;
}

/* Scripts of one word each; a real one runs in core/hub. */
static void
recite(struct recital *r)
{
	struct arena a = { 0 };
	struct str vars = buf_str(&r->vars), data, result = STR_NULL;
	struct err err = { 0 };

	data = generic_member(&a, vars, "dataIn");
	if (str_eqz(data, "\"throw\"")) {
		err_set(&err, ERR_PARAM, "line 1: it throws");
	} else if (str_eqz(buf_str(&r->source), "up")) {
		result = arena_printf(&a,
		    "{\"dataOut\":[{\"nodeId\":\"n1\",\"payloads\":[{"
		    "\"key\":" STR_FMT ",\"value\":" STR_FMT "}]}]}",
		    STR_ARG(generic_member(&a, vars, "topicIn")),
		    STR_ARG(data));
	} else if (str_ends(buf_str(&r->source), STR("poll"))) {
		struct buf before = { 0 };
		struct str answer = generic_member(&a, vars, "answerIn_");

		json_quote(&before, generic_member(&a, vars, "before_"));
		result = arena_printf(&a,
		    "{\"dataOut\":{\"nodeId\":\"n1\",\"payloads\":[{\"key\":"
		    "\"body\",\"value\":" STR_FMT "},{\"key\":\"before\","
		    "\"value\":" STR_FMT "}]}}",
		    STR_ARG(generic_member(&a, answer, "body")),
		    STR_ARG(buf_str(&before)));
		buf_free(&before);
	} else if (str_ends(buf_str(&r->source), STR("send"))) {
		result = STR("{\"execute\":true,\"configOut\":{\"body\":"
			     "{\"a\":1},\"headers\":{\"X-A\":7},\"method\":"
			     "\"put\",\"bodyLanguage\":\"yaml\"},\"dataOut\":"
			     "[{\"nodeId\":\"n1\",\"payloads\":[]}]}");
	} else if (str_ends(buf_str(&r->source), STR("hold"))) {
		result = STR("{\"dataOut\":[]}");
	} else {
		struct str list = generic_member(&a, data, "payloads");

		list.ptr++; /* the one in it */
		list.len -= 2;
		result = arena_printf(&a,
		    "{\"dataOut\":\"" STR_FMT " to " STR_FMT
		    "\",\"topicOut\":\"a,b\"}",
		    STR_ARG(generic_plain(&a, generic_member(&a, list, "key"))),
		    STR_ARG(generic_member(&a, list, "value")));
	}
	r->done(r->ctx, result, &err);
	arena_fini(&a);
}

static void
recite_all(struct fixture *f)
{
	struct recital *r;

	while ((r = list_first(&f->recitals, struct recital, link)) != NULL) {
		list_del(&r->link);
		recite(r);
		buf_free(&r->source);
		buf_free(&r->vars);
		free(r);
	}
}

static void
on_recite(struct loop_defer *d)
{
	recite_all(container_of(d, struct fixture, recite));
}

static int
host_script(void *ctx, struct str source, struct str vars,
    gateway_script_done *done, void *done_ctx, struct err *err)
{
	struct fixture *f = ctx;
	struct recital *r;

	if (str_eqz(source, "refused"))
		return err_set(err, ERR_LIMIT, "too many scripts");
	assert_true(json_valid(vars, 0));
	r = mem_new(struct recital);
	r->done = done;
	r->ctx = done_ctx;
	buf_add_str(&r->source, source);
	buf_add_str(&r->vars, vars);
	list_add(&f->recitals, &r->link);
	if (!f->slow_scripts)
		loop_defer(f->loop, &f->recite);
	return 0;
}

/* --- the gateway ---------------------------------------------------------- */

static int
try_open_as(struct fixture *f, const char *provider, const char *logger,
    const char *name, bool queue_failed, struct gateway **ret)
{
	struct gateway_conf conf = { .name = name,
		.provider = str_of(fill(f, provider, 0)),
		.logger = str_of(logger),
		.reconnect_ms = 2000,
		.queue_failed = queue_failed };
	int64_t since = now_ms();
	int rc;

	rc = gateway_open_ops(kind->ops, &conf, &f->host, ret, &f->err);
	note_time(f, since, 0);
	return rc;
}

static int
try_open(struct fixture *f, const char *provider)
{
	return try_open_as(f, provider, NULL, "gw", false, &f->g);
}

static void
open_it(struct fixture *f)
{
	if (try_open(f, kind->provider) != 0)
		fail_msg("%s", f->err.text);
}

static void
begin(struct fixture *f)
{
	int64_t since = now_ms();

	gateway_start(f->g);
	note_time(f, since, 0);
}

static void
open_up(struct fixture *f)
{
	start_peer(f);
	open_it(f);
	begin(f);
	UNTIL(f, state_of(f).status == GATEWAY_UP);
}

static void
close_it(struct fixture *f)
{
	gateway_close(f->g);
	f->g = NULL;
}

static void
on_done(void *ctx, enum gateway_outcome outcome, const struct err *err)
{
	static const char *const names[] = { "sent", "failed", "replaced",
		"expired" };
	struct fixture *f = ctx;

	f->answered++;
	buf_addf(&f->told, "%s%s%s;",
	    err->code == ERR_CLOSED ? "closed" : names[outcome],
	    err->text[0] != '\0' ? " " : "", err->text);
	assert_true((outcome == GATEWAY_SENT) == (err->code == 0));
	if (f->close_in_done)
		close_it(f);
}

struct told_write {
	struct gateway_write pub;
	bool done;
	struct err err;
};

static void
on_written(struct gateway_write *w, const struct err *err)
{
	struct told_write *t = container_of(w, struct told_write, pub);

	assert_false(t->done);
	t->done = true;
	t->err = *err;
}

/* Writes a message to the kind's node. */
static void
write_it(struct fixture *f, struct told_write *t, int n)
{
	static struct gateway_payload p;

	*t = (struct told_write){ 0 };
	p = (struct gateway_payload){ .key = str_of(kind->key),
		.value = str_of(fill(f, kind->value, n)) };
	t->pub.message = (struct gateway_message){ .type = GATEWAY_SET,
		.node = str_of(kind->node),
		.source = str_of(kind->source),
		.payloads = &p,
		.n_payloads = 1,
		.time = TIME_NULL };
	t->pub.done = on_written;
	gateway_write(f->g, &t->pub);
	UNTIL(f, t->done);
	if (t->err.code != 0)
		fail_msg("%s", t->err.text);
	assert_int_equal(t->pub.n_frames, 1);
}

static int
send_frame(
    struct fixture *f, const struct gateway_frame *fr, bool asleep, int64_t ms)
{
	int64_t since = now_ms();
	int before = f->answered, rc;

	rc = gateway_send(f->g, fr, asleep, ms, on_done, f, &f->err);
	note_time(f, since, 0);
	assert_int_equal(f->answered, before); /* never from within */
	return rc;
}

static int
send_with(struct fixture *f, int n, bool asleep, int64_t ms)
{
	struct told_write t;
	int rc;

	write_it(f, &t, n);
	rc = send_frame(f, &t.pub.frame, asleep, ms);
	arena_fini(&t.pub.arena);
	return rc;
}

static void
must_send(struct fixture *f, int n)
{
	if (send_with(f, n, false, 0) != 0)
		fail_msg("%s", f->err.text);
}

/* Three frames, none of which is sent before all are there. */
static void
send_three(struct fixture *f)
{
	struct told_write t[3];

	for (int i = 0; i < 3; i++)
		write_it(f, &t[i], i);
	for (int i = 0; i < 3; i++) {
		if (send_frame(f, &t[i].pub.frame, false, 0) != 0)
			fail_msg("%s", f->err.text);
		arena_fini(&t[i].pub.arena);
	}
}

/* One that nothing takes the place of. */
static int
send_other(struct fixture *f, const char *slot, int n, int64_t ms)
{
	struct told_write t;
	struct buf ext = { 0 };
	struct json_out o;
	struct json j;
	struct str key;
	int rc;

	write_it(f, &t, n);
	json_out_init(&o, &ext, false);
	json_out_object(&o);
	if (t.pub.frame.extension.ptr != NULL) {
		json_open(&j, t.pub.frame.extension, 0, &t.pub.arena);
		json_object(&j);
		while (json_member(&j, &key)) {
			if (str_eqz(key, "slot")) {
				json_skip(&j);
				continue;
			}
			json_out_key_str(&o, key);
			json_copy(&j, &o);
		}
	}
	if (slot != NULL) {
		json_out_key(&o, "slot");
		json_out_str(&o, str_of(slot));
	}
	json_out_end_object(&o);
	t.pub.frame.extension = buf_str(&ext);
	rc = send_frame(f, &t.pub.frame, true, ms);
	arena_fini(&t.pub.arena);
	buf_free(&ext);
	return rc;
}

static void
assert_told(struct fixture *f, const char *text)
{
	assert_string_equal(f->told.len > 0 ? buf_z(&f->told) : "", text);
}

/* The frames arrived in this order, behind `from`. */
static void
assert_order(struct fixture *f, const int *numbers, size_t n)
{
	const char *at = buf_z(&f->came);

	for (size_t i = 0; i < n; i++) {
		const char *text = fill(f, kind->arrives, numbers[i]);

		at = strstr(at, text);
		if (at == NULL)
			fail_msg("[%s] is missing in its place: [%s]", text,
			    buf_z(&f->came));
		at += strlen(text);
	}
}

/* --- fixtures ------------------------------------------------------------- */

static int
set_up(void **state)
{
	struct fixture *f = mem_new(struct fixture);

	*state = f;
	f->loop = loop_new();
	f->listener.fd = f->pty.fd = -1;
	list_init(&f->own);
	list_init(&f->recitals);
	f->recite.run = on_recite;
	f->settings = (struct gateway_settings){ .queue = 100,
		.heard = 100,
		.max_frame = 1000,
		.sleeping = 5,
		.sleeping_ms = 3600000,
		.connect_ms = 10000,
		.http_ms = 5000,
		.http_size = 100000,
		.log_size = 100000 };
	f->host = (struct gateway_host){ .ctx = f,
		.loop = f->loop,
		.settings = &f->settings,
		.heard = host_heard,
		.changed = host_changed,
		.publish = host_publish,
		.listen = host_listen,
		.unlisten = host_unlisten,
		.taken = host_taken,
		.label = host_label,
		.note = host_note,
		.known = host_known,
		.script = host_script };
	strcpy(f->dir, "/tmp/gateway-XXXXXX");
	if (mkdtemp(f->dir) == NULL)
		return -1;
	snprintf(f->log_dir, sizeof(f->log_dir), "%s/logs", f->dir);
	snprintf(f->tty, sizeof(f->tty), "%s/tty", f->dir);
	snprintf(f->file, sizeof(f->file), "%s/conf", f->dir);
	f->host.log_dir = f->log_dir;
	start_tcp(f); /* a free port; nobody is there yet */
	stop_tcp(f);
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;
	char command[80];
	bool slow = f->slowest_ms > SLOW_MS;

	if (slow)
		print_error("blocked for %d ms\n", (int)f->slowest_ms);
	gateway_close(f->g);
	take_all(f, true); /* of the closed one */
	loop_undefer(f->loop, &f->recite);
	recite_all(f); /* and its scripts */
	mqtt_client_free(f->client);
	stop_peer(f);
	loop_turn(f->loop, 0);
	loop_free(f->loop);
	assert_true(list_empty(&f->own));
	snprintf(command, sizeof(command), "rm -rf %s", f->dir);
	if (system(command) != 0)
		return -1;
	buf_free(&f->told);
	buf_free(&f->up);
	buf_free(&f->came);
	buf_free(&f->said);
	buf_free(&f->noted);
	buf_free(&f->part);
	buf_free(&f->taken);
	free(f->frame_data);
	free(f->frame_extension);
	free(f);
	return slow ? -1 : 0; /* (1) nothing blocks */
}

/* --- the link ------------------------------------------------------------- */

static void
it_connects_and_says_so(void **state)
{
	struct fixture *f = *state;

	start_peer(f);
	open_it(f);
	turn_for(f, 30);
	assert_int_equal(state_of(f).status, GATEWAY_STOPPED);
	begin(f);
	UNTIL(f, state_of(f).status == GATEWAY_UP);
	assert_string_equal(state_of(f).text, "connected");
	assert_true(state_of(f).since > 0);
	UNTIL(f, f->changed >= 1);
	f->changed = 0;
	gateway_stop(f->g);
	assert_int_equal(state_of(f).status, GATEWAY_STOPPED);
	assert_string_equal(state_of(f).text, "stopped by request");
	UNTIL(f, f->changed == 1);
	gateway_start(f->g);
	gateway_start(f->g);
	UNTIL(f, state_of(f).status == GATEWAY_UP);
}

static bool
has_host(void)
{
	return !is_peer("own");
}

/* (2) */
static void
a_peer_that_is_away_is_tried_again_after_growing_waits(void **state)
{
	struct fixture *f = *state;
	int64_t wait = 2000;

	if (!has_host())
		return;
	open_it(f);
	begin(f);
	for (int i = 0; i < 6; i++) {
		UNTIL(f, state_of(f).status == GATEWAY_DOWN);
		assert_string_not_equal(state_of(f).text, "");
		turn_for(f, 30);
		f->changed = 0;
		clock_advance(wait / 2);
		turn_for(f, 30);
		assert_int_equal(f->changed, 0); /* not tried, nor failed */
		if (i == 5)
			start_peer(f);
		clock_advance(wait / 2);
		UNTIL(f, f->changed > 0);
		wait = MIN_OF(wait * 2, 16 * 2000);
	}
	UNTIL(f, state_of(f).status == GATEWAY_UP);
	stop_peer(f);
	UNTIL(f, state_of(f).status == GATEWAY_DOWN);
	start_peer(f);
	clock_advance(2000); /* a short wait again */
	UNTIL(f, state_of(f).status == GATEWAY_UP);
}

static void
a_lost_link_is_made_again(void **state)
{
	struct fixture *f = *state;

	if (!has_host())
		return;
	open_up(f);
	stop_peer(f);
	if (is_peer("http"))
		clock_advance(3600000); /* it notices when it asks again */
	UNTIL(f, state_of(f).status == GATEWAY_DOWN);
	must_send(f, 1);
	must_send(f, 2);
	assert_int_equal(state_of(f).waiting, 2);
	start_peer(f);
	turn_for(f, 30);
	assert_int_equal(state_of(f).status, GATEWAY_DOWN);
	clock_advance(2000); /* a short wait again: it had been up */
	UNTIL(f, f->answered == 2);
	assert_told(f, "sent;sent;");
	UNTIL(f, has(&f->came, fill(f, kind->arrives, 2)));
	assert_order(f, (int[]){ 1, 2 }, 2);
	say(f, kind->say_topic, kind->say, 3);
	UNTIL(f, has(&f->up, fill(f, kind->up, 3)));
}

/* --- the way up ----------------------------------------------------------- */

static void
put_message(struct buf *b, const struct gateway_message *m)
{
	buf_addf(b, "%s " STR_FMT " " STR_FMT, gateway_types[m->type],
	    STR_ARG(m->node), STR_ARG(m->source));
	for (size_t i = 0; i < m->n_payloads; i++) {
		const struct gateway_payload *p = &m->payloads[i];

		buf_addf(b, " " STR_FMT "=" STR_FMT, STR_ARG(p->key),
		    STR_ARG(p->value));
		if (p->metric_type.len > 0)
			buf_addf(b, "," STR_FMT, STR_ARG(p->metric_type));
		if (p->unit.len > 0)
			buf_addf(b, "," STR_FMT, STR_ARG(p->unit));
	}
	if (m->labels.len > 0)
		buf_addf(b, " " STR_FMT, STR_ARG(m->labels));
	if (m->is_ack)
		buf_addz(b, " ack");
	buf_addc(b, '\n');
}

struct told_read {
	struct gateway_read pub;
	struct fixture *f;
	bool done;
	struct err err;
};

static void
on_read(struct gateway_read *r, const struct err *err)
{
	struct told_read *t = container_of(r, struct told_read, pub);

	assert_false(t->done);
	t->done = true;
	t->err = *err;
	for (size_t i = 0; err->code == 0 && i < r->n_messages; i++)
		put_message(&t->f->said, &r->messages[i]);
}

/* What the last frame that went up says. */
static int
read_it(struct fixture *f)
{
	struct told_read t = { .f = f };

	buf_clear(&f->said);
	t.pub.frame = (struct gateway_frame){ str_of(kind->node),
		str_of(f->frame_data), str_of(f->frame_extension) };
	t.pub.done = on_read;
	gateway_read(f->g, &t.pub);
	UNTIL(f, t.done);
	arena_fini(&t.pub.arena);
	return t.err.code;
}

static void
what_is_heard_goes_up_raw_and_can_be_read(void **state)
{
	struct fixture *f = *state;

	open_up(f);
	say(f, kind->say_topic, kind->say, 7);
	UNTIL(f, has(&f->up, "\n"));
	buf_clear(&f->part);
	buf_addf(&f->part, "%s\n", fill(f, kind->up, 7));
	assert_string_equal(buf_z(&f->up), buf_z(&f->part));
	buf_clear(&f->part);
	assert_int_equal(state_of(f).heard, 1);
	assert_int_equal(state_of(f).taken, 1);
	assert_int_equal(state_of(f).bad, 0);
	assert_true(state_of(f).last_heard != TIME_NULL);
	assert_int_equal(read_it(f), 0);
	assert_string_equal(buf_z(&f->said), fill(f, kind->means, 7));
	gateway_stop(f->g); /* and a stopped one reads, too */
	assert_int_equal(read_it(f), 0);
	assert_string_equal(buf_z(&f->said), fill(f, kind->means, 7));
}

/* (6) */
static void
what_is_no_frame_is_counted_and_passed_over(void **state)
{
	struct fixture *f = *state;

	if (kind->noise == NULL)
		return;
	open_up(f);
	say(f, kind->noise_topic, kind->noise, 0);
	UNTIL(f, state_of(f).bad == 1);
	say(f, kind->say_topic, kind->say, 1);
	UNTIL(f, has(&f->up, fill(f, kind->up, 1)));
	assert_int_equal(state_of(f).heard, 1);
	assert_int_equal(state_of(f).status, GATEWAY_UP);
}

/* (5), (6) */
static void
what_is_too_large_is_passed_over(void **state)
{
	struct fixture *f = *state;
	char *large;

	if (is_peer("http"))
		return; /* its answers have a limit of their own */
	f->settings.max_frame = 600;
	open_up(f);
	large = mem_alloc(3001);
	memset(large, 'x', 3000);
	say(f, kind->say_topic, large, 0);
	free(large);
	UNTIL(f, state_of(f).bad == 1);
	say(f, kind->say_topic, kind->say, 1);
	UNTIL(f, has(&f->up, fill(f, kind->up, 1)));
	assert_int_equal(state_of(f).heard, 1);
	assert_int_equal(state_of(f).status, GATEWAY_UP);
}

/* (5) */
static void
frames_that_are_not_taken_are_bounded(void **state)
{
	struct fixture *f = *state;

	if (kind->holds)
		return; /* see an_mqtt_server_waits_for_what_is_not_taken */
	f->settings.heard = 3;
	f->keep = true;
	open_up(f);
	for (int i = 0; i < 5; i++) {
		say(f, kind->say_topic, kind->say, i);
		UNTIL(f, state_of(f).heard + state_of(f).dropped == i + 1u);
	}
	assert_int_equal(state_of(f).heard, 3);
	assert_int_equal(state_of(f).taken, 0);
	take_all(f, true);
	assert_int_equal(state_of(f).taken, 3);
	say(f, kind->say_topic, kind->say, 9);
	UNTIL(f, has(&f->up, fill(f, kind->up, 9)));
	take_all(f, true);
}

static void
a_frame_that_was_not_stored_goes_up_again(void **state)
{
	struct fixture *f = *state;

	f->refuse = 2;
	open_up(f);
	say(f, kind->say_topic, kind->say, 1);
	UNTIL(f, has(&f->up, "\n"));
	assert_int_equal(state_of(f).taken, 0);
	clock_advance(500);
	turn_for(f, 30);
	assert_int_equal(f->refuse, 1);
	clock_advance(500);
	UNTIL(f, f->refuse == 0);
	assert_int_equal(state_of(f).taken, 0);
	clock_advance(2000);
	UNTIL(f, state_of(f).taken == 1);
	assert_int_equal(state_of(f).heard, 1);
}

/* --- the way down --------------------------------------------------------- */

static void
a_message_is_written_sent_and_arrives(void **state)
{
	struct fixture *f = *state;
	struct told_write t;

	open_up(f);
	write_it(f, &t, 4);
	put_frame(&f->said, &t.pub.frame);
	arena_fini(&t.pub.arena);
	buf_addf(&f->part, "%s\n", fill(f, kind->frame, 4));
	assert_string_equal(buf_z(&f->said), buf_z(&f->part));
	buf_clear(&f->part);
	must_send(f, 4);
	assert_int_equal(state_of(f).waiting, 1);
	UNTIL(f, f->answered == 1);
	UNTIL(f, has(&f->came, fill(f, kind->arrives, 4)));
	assert_told(f, "sent;");
	assert_int_equal(state_of(f).sent, 1);
	assert_int_equal(state_of(f).failed, 0);
	assert_int_equal(state_of(f).waiting, 0);
	assert_true(state_of(f).last_sent != TIME_NULL);
	turn_for(f, 30);
	assert_int_equal(f->answered, 1);
}

/* (3) */
static void
frames_keep_their_order(void **state)
{
	struct fixture *f = *state;

	open_up(f);
	for (int i = 0; i < 5; i++)
		must_send(f, i);
	UNTIL(f, f->answered == 5);
	UNTIL(f, has(&f->came, fill(f, kind->arrives, 4)));
	assert_order(f, (int[]){ 0, 1, 2, 3, 4 }, 5);
	assert_told(f, "sent;sent;sent;sent;sent;");
}

static void
wrong_frames_are_refused_at_once(void **state)
{
	struct fixture *f = *state;
	struct gateway_frame fr = { .node = str_of(kind->node),
		.extension = STR_NULL };
	char *large = mem_alloc(1002);

	open_up(f);
	memset(large, 'x', 1001);
	fr.data = str_of(large);
	assert_int_equal(send_frame(f, &fr, false, 0), ERR_LIMIT);
	assert_string_equal(
	    f->err.text, "the frame is over 1000 bytes (hub.gateway.maxFrame)");
	free(large);
	if (kind->bad_frame != NULL) {
		fr.data = str_of(kind->bad_frame);
		assert_int_equal(send_frame(f, &fr, false, 0), ERR_PARAM);
	}
	turn_for(f, 30);
	assert_int_equal(f->answered, 0);
	assert_int_equal(state_of(f).waiting, 0);
}

/* (5) */
static void
a_full_queue_is_told(void **state)
{
	struct fixture *f = *state;

	f->settings.queue = 3;
	open_it(f);
	must_send(f, 1);
	must_send(f, 2);
	assert_int_equal(send_with(f, 3, true, 0), 0);
	assert_int_equal(send_with(f, 4, false, 0), ERR_LIMIT);
	assert_string_equal(
	    f->err.text, "3 frames wait already (hub.gateway.queue)");
	assert_int_equal(send_with(f, 4, true, 0), ERR_LIMIT);
	assert_int_equal(state_of(f).waiting, 2);
	assert_int_equal(state_of(f).sleeping, 1);
}

/* --- nodes that sleep ----------------------------------------------------- */

/* (4) */
static void
a_sleeping_node_gets_its_frames_when_it_is_awake(void **state)
{
	struct fixture *f = *state;

	open_up(f);
	assert_int_equal(send_other(f, NULL, 1, 0), 0);
	assert_int_equal(send_other(f, NULL, 2, 0), 0);
	turn_for(f, 60);
	assert_int_equal(f->answered, 0);
	assert_int_equal(state_of(f).sleeping, 2);
	assert_int_equal(state_of(f).waiting, 0);
	assert_false(has(&f->came, fill(f, kind->arrives, 1)));
	gateway_awake(f->g, STR("somebody else"));
	turn_for(f, 30);
	assert_int_equal(f->answered, 0);
	gateway_awake(f->g, str_of(kind->node));
	UNTIL(f, f->answered == 2);
	UNTIL(f, has(&f->came, fill(f, kind->arrives, 2)));
	assert_order(f, (int[]){ 1, 2 }, 2);
	assert_told(f, "sent;sent;");
	assert_int_equal(state_of(f).sleeping, 0);
}

static void
a_newer_frame_of_a_slot_takes_the_place_of_the_older(void **state)
{
	struct fixture *f = *state;

	open_up(f);
	assert_int_equal(send_other(f, "a", 1, 0), 0);
	assert_int_equal(send_other(f, "b", 2, 0), 0);
	assert_int_equal(send_other(f, "a", 3, 0), 0);
	UNTIL(f, f->answered == 1);
	assert_told(f, "replaced a newer one took its place;");
	assert_int_equal(state_of(f).sleeping, 2);
	gateway_awake(f->g, str_of(kind->node));
	UNTIL(f, f->answered == 3);
	UNTIL(f, has(&f->came, fill(f, kind->arrives, 3)));
	assert_order(f, (int[]){ 2, 3 }, 2);
	assert_false(has(&f->came, fill(f, kind->arrives, 1)));
}

/* Defect 11 of MyController: it dropped the newest. */
static void
over_the_limit_the_oldest_goes(void **state)
{
	struct fixture *f = *state;

	f->settings.sleeping = 2;
	open_up(f);
	for (int i = 1; i <= 4; i++)
		assert_int_equal(send_other(f, NULL, i, 0), 0);
	UNTIL(f, f->answered == 2);
	assert_int_equal(state_of(f).dropped, 2);
	assert_int_equal(state_of(f).sleeping, 2);
	gateway_awake(f->g, str_of(kind->node));
	UNTIL(f, f->answered == 4);
	UNTIL(f, has(&f->came, fill(f, kind->arrives, 4)));
	assert_order(f, (int[]){ 3, 4 }, 2);
	assert_false(has(&f->came, fill(f, kind->arrives, 1)));
	assert_false(has(&f->came, fill(f, kind->arrives, 2)));
}

static void
what_is_too_old_is_not_sent(void **state)
{
	struct fixture *f = *state;

	open_up(f);
	assert_int_equal(send_other(f, NULL, 1, 10000), 0);
	assert_int_equal(send_other(f, NULL, 2, 0), 0); /* one hour */
	clock_advance(9000);
	turn_for(f, 30);
	assert_int_equal(f->answered, 0);
	clock_advance(1000);
	UNTIL(f, f->answered == 1);
	assert_told(f, "expired it could not be sent in its time;");
	gateway_stop(f->g); /* waiting goes on, and ends, while stopped */
	clock_advance(3600000);
	UNTIL(f, f->answered == 2);
	assert_int_equal(state_of(f).sleeping, 0);
	assert_int_equal(state_of(f).failed, 2);
}

static void
put_sleeping(
    void *ctx, const struct gateway_frame *fr, int64_t since, int64_t until)
{
	struct fixture *f = ctx;

	buf_addf(
	    &f->said, STR_FMT " %d;", STR_ARG(fr->node), (int)(until - since));
}

static void
what_waits_for_sleepers_is_shown_and_cleared(void **state)
{
	struct fixture *f = *state;

	open_up(f);
	send_other(f, NULL, 1, 5000);
	send_other(f, NULL, 2, 6000);
	gateway_sleeping(f->g, put_sleeping, f);
	buf_addf(&f->part, "%s 5000;%s 6000;", kind->node, kind->node);
	assert_string_equal(buf_z(&f->said), buf_z(&f->part));
	gateway_sleeping_clear(f->g, STR("nobody"));
	assert_int_equal(state_of(f).sleeping, 2);
	gateway_sleeping_clear(f->g, str_of(kind->node));
	assert_int_equal(state_of(f).sleeping, 0);
	UNTIL(f, f->answered == 2);
	assert_told(f, "expired it was cleared;expired it was cleared;");
	send_other(f, NULL, 3, 0);
	gateway_sleeping_clear(f->g, STR(""));
	UNTIL(f, f->answered == 3);
}

static void
a_frame_for_now_takes_those_that_wait_along(void **state)
{
	struct fixture *f = *state;

	open_up(f);
	send_other(f, NULL, 1, 0);
	send_other(f, NULL, 2, 0);
	must_send(f, 3);
	UNTIL(f, f->answered == 3);
	UNTIL(f, has(&f->came, fill(f, kind->arrives, 3)));
	assert_order(f, (int[]){ 1, 2, 3 }, 3);
}

/* --- specs and secrets ---------------------------------------------------- */

static void
a_wrong_provider_is_refused(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(try_open(f, kind->bad), ERR_PARAM);
	assert_string_equal(f->err.text, kind->why);
	assert_int_equal(try_open(f, "["), ERR_PARAM);
	assert_int_equal(try_open(f, "{\"protocol\":7}"), ERR_PARAM);
	assert_int_equal(
	    try_open(f, "{\"protocol\":{\"type\":\"pigeon\"}}"), ERR_PARAM);
	assert_null(f->g);
}

static void
only_what_the_settings_allow_is_talked_to(void **state)
{
	struct fixture *f = *state;
	struct gateway_settings all = f->settings;
	char ports[100];

	if (is_peer("own"))
		return;
	if (is_peer("serial")) {
		f->settings.allow_ports = STR("/dev/tty[A-Z]*");
		assert_int_equal(try_open(f, kind->provider), ERR_DENIED);
		snprintf(ports, sizeof(ports), "/dev/x, %s/*", f->dir);
		f->settings.allow_ports = str_of(ports);
	} else {
		f->settings.allow_hosts = STR("x.example, *.host");
		assert_int_equal(try_open(f, kind->provider), ERR_DENIED);
		f->settings.allow_hosts = STR(" 127.0.0.1 , LOCALHOST");
	}
	open_up(f);
	close_it(f);
	f->settings = all;
}

/* --- life ----------------------------------------------------------------- */

static void
closing_answers_what_waits(void **state)
{
	struct fixture *f = *state;

	f->keep = true;
	open_up(f);
	say(f, kind->say_topic, kind->say, 1);
	UNTIL(f, f->pending.n == 1);
	assert_int_equal(send_other(f, NULL, 3, 0), 0);
	gateway_stop(f->g);
	send_three(f); /* takes the other along */
	assert_int_equal(send_other(f, NULL, 4, 0), 0);
	close_it(f);
	assert_int_equal(f->answered, 5);
	assert_told(f,
	    "closed the gateway was closed;closed the gateway was closed;"
	    "closed the gateway was closed;closed the gateway was closed;"
	    "closed the gateway was closed;");
	take_all(f, true); /* and ASan is silent */
	turn_for(f, 50);
	assert_int_equal(f->answered, 5);
	gateway_close(NULL);
}

static void
closing_at_any_moment_leaves_nothing(void **state)
{
	struct fixture *f = *state;

	start_peer(f);
	for (int i = 0; i < 12; i++) {
		open_it(f);
		begin(f);
		send_with(f, 1, false, 0);
		for (int k = 0; k < i; k++)
			loop_turn(f->loop, 2);
		close_it(f);
	}
	turn_for(f, 30);
	assert_int_equal(f->answered, 12);
}

static void
a_gateway_may_be_closed_by_an_answer(void **state)
{
	struct fixture *f = *state;

	open_up(f);
	f->close_in_done = true;
	send_three(f);
	UNTIL(f, f->answered == 3);
	turn_for(f, 50); /* and ASan is silent */
	assert_null(f->g);
}

static void
stopping_keeps_what_waits(void **state)
{
	struct fixture *f = *state;

	open_up(f);
	gateway_stop(f->g);
	must_send(f, 1);
	send_other(f, NULL, 2, 0);
	turn_for(f, 30);
	assert_int_equal(f->answered, 0);
	gateway_start(f->g);
	UNTIL(f, f->answered == 1);
	assert_told(f, "sent;");
	assert_int_equal(state_of(f).sleeping, 1);
}

/* Defect 12 of MyController: they shared queues and caches. */
static void
two_gateways_share_nothing(void **state)
{
	struct fixture *f = *state;
	struct gateway_state a, b;
	struct gateway *other;

	open_up(f);
	if (try_open_as(f, kind->provider, NULL, "other", false, &other) != 0)
		fail_msg("%s", f->err.text);
	assert_int_equal(send_with(f, 1, true, 0), 0);
	gateway_state(other, &b);
	assert_int_equal(b.sleeping, 0);
	gateway_awake(other, str_of(kind->node));
	gateway_sleeping_clear(other, STR(""));
	gateway_state(f->g, &a);
	assert_int_equal(a.sleeping, 1);
	gateway_close(other);
	gateway_awake(f->g, str_of(kind->node));
	UNTIL(f, f->answered == 1);
	assert_told(f, "sent;");
	gateway_state(f->g, &a);
	assert_int_equal(a.status, GATEWAY_UP);
}

static void
an_action_that_is_not_there_is_told(void **state)
{
	struct fixture *f = *state;

	open_up(f);
	assert_int_equal(
	    gateway_act(f->g, str_of(kind->node), STR("make coffee"), &f->err),
	    ERR_NOT_FOUND);
	assert_non_null(strstr(f->err.text, "have no action make coffee"));
}

/* --- the message log ------------------------------------------------------ */

static const char *
log_text(struct fixture *f, const char *name)
{
	static char text[20000];
	char path[400];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", f->log_dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
	if (fd >= 0)
		close(fd);
	text[MAX_OF(n, 0)] = '\0';
	return text;
}

static void
messages_are_logged(void **state)
{
	struct fixture *f = *state;
	char path[100];
	struct stat st;
	int64_t at;

	start_peer(f);
	if (try_open_as(f, kind->provider,
		"{\"type\":\"file_logger\",\"flushInterval\":\"10ms\"}", "gw/1",
		false, &f->g) != 0)
		fail_msg("%s", f->err.text);
	begin(f);
	UNTIL(f, state_of(f).status == GATEWAY_UP);
	say(f, kind->say_topic, kind->say, 5);
	UNTIL(f, has(&f->up, fill(f, kind->up, 5)));
	must_send(f, 6);
	UNTIL(f, f->answered == 1);
	UNTIL(f, strstr(log_text(f, "gw_gw_1.log"), "\tSent\t") != NULL);
	UNTIL(f, strstr(log_text(f, "gw_gw_1.log"), "\tRecd\t") != NULL);
	assert_true(time_parse(
	    (struct str){ log_text(f, "gw_gw_1.log"), TIME_TEXT_LEN }, &at));
	assert_true(llabs(at - clock_now()) < 60000);
	snprintf(path, sizeof(path), "%s/gw_gw_1.log", f->log_dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777 & ~0640, 0);
}

/* --- what only some have -------------------------------------------------- */

static void
lines_arrive_whole_however_they_were_cut(void **state)
{
	struct fixture *f = *state;

	open_up(f);
	say_bytes(f, NULL, STR("n1;a;1\r\n\n\nn1;b"));
	UNTIL(f, has(&f->up, "n1|n1;a;1|\n"));
	turn_for(f, 30);
	say_bytes(f, NULL, STR(";2\nn1;c;3\nn1"));
	UNTIL(f, has(&f->up, "n1|n1;c;3|\n"));
	assert_string_equal(
	    buf_z(&f->up), "n1|n1;a;1|\nn1|n1;b;2|\nn1|n1;c;3|\n");
	assert_int_equal(state_of(f).bad, 0);
}

static void
the_link_goes_down_with_a_reason(void **state)
{
	struct fixture *f = *state;

	open_up(f);
	stop_peer(f);
	UNTIL(f, state_of(f).status == GATEWAY_DOWN);
	assert_string_equal(state_of(f).text, "closed by the peer");
	clock_advance(2000);
	UNTIL(f, strstr(state_of(f).text, "refused") != NULL);
}

static void
a_name_that_is_not_there_blocks_nobody(void **state)
{
	struct fixture *f = *state;

	if (try_open(f,
		"{\"protocol\":{\"type\":\"tcp\",\"server\":"
		"\"tcp://nowhere.invalid:5003\"}}") != 0)
		fail_msg("%s", f->err.text);
	begin(f);
	UNTIL(f, state_of(f).status == GATEWAY_DOWN);
	assert_non_null(strstr(state_of(f).text, "nowhere.invalid"));
	gateway_stop(f->g);
	gateway_start(f->g); /* closed while it is looked up */
}

static void
a_peer_that_does_not_read_holds_nobody(void **state)
{
	struct fixture *f = *state;

	int n;

	open_up(f);
	UNTIL(f, f->conn != NULL);
	loop_unwatch(f->loop, &f->conn->io); /* reads no more */
	f->settings.queue = 100000;
	f->settings.max_frame = 60000;
	for (int i = 0; i < 500; i++) {
		static char line[50001];
		struct gateway_frame fr = { .node = STR("n1"),
			.data = { line, 50000 } };

		memset(line, 'x', 50000);
		memcpy(line, "n1;a;", 5);
		send_frame(f, &fr, false, 0);
	}
	turn_for(f, 300);
	assert_true(f->answered > 0); /* the system has taken some */
	assert_true(f->answered < 500);
	assert_int_equal(state_of(f).status, GATEWAY_UP);
	n = f->answered;
	stop_peer(f); /* what was on its way has not failed: it waits again */
	UNTIL(f, state_of(f).status == GATEWAY_DOWN);
	turn_for(f, 30);
	assert_int_equal(f->answered, n);
	start_peer(f);
	clock_advance(2000);
	UNTIL(f, f->answered == 500);
	assert_null(strstr(buf_z(&f->told), "failed"));
}

/* The double accepts, but is never finished with its part of TLS. */
static void
an_attempt_to_connect_has_its_time(void **state)
{
	struct fixture *f = *state;

	start_peer(f);
	f->mute = true;
	if (try_open(f,
		"{\"protocol\":{\"type\":\"tcp\",\"insecure\":true,"
		"\"server\":\"tls://127.0.0.1:%P\"}}") != 0)
		fail_msg("%s", f->err.text);
	begin(f);
	UNTIL(f, f->conn != NULL);
	turn_for(f, 30);
	assert_int_equal(state_of(f).status, GATEWAY_STARTING);
	clock_advance(10000);
	UNTIL(f, state_of(f).status == GATEWAY_DOWN);
	assert_string_equal(
	    state_of(f).text, "no answer (hub.gateway.connectTimeout)");
}

static void
make_certificate(struct fixture *f)
{
	char command[400];

	snprintf(f->cert, sizeof(f->cert), "%s/cert.pem", f->dir);
	snprintf(f->key, sizeof(f->key), "%s/key.pem", f->dir);
	snprintf(command, sizeof(command),
	    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 "
	    "-nodes -days 2 -subj /CN=localhost -addext "
	    "subjectAltName=DNS:localhost -keyout %s -out %s 2>/dev/null",
	    f->key, f->cert);
	assert_int_equal(system(command), 0);
}

/* openssl's server: what it prints came, what is written to it is said. */
static void
start_tls(struct fixture *f)
{
	char port[8];
	const char *argv[] = { "/usr/bin/openssl", "s_server", "-quiet",
		"-accept", port, "-cert", f->cert, "-key", f->key, NULL };

	snprintf(port, sizeof(port), "%d", f->port);
	spawn(f, argv);
	f->peer_io = (struct loop_io){ .ready = on_peer, .fd = f->from_peer };
	loop_watch(f->loop, &f->peer_io, LOOP_READ);
}

/* Opens `provider` anew, and again until it is there. */
static void
up_with(struct fixture *f, const char *provider)
{
	close_it(f);
	if (try_open(f, provider) != 0)
		fail_msg("%s", f->err.text);
	begin(f);
	for (int64_t end = now_ms() + WAIT_MS;
	     state_of(f).status != GATEWAY_UP;) {
		if (now_ms() > end)
			fail_msg("not up: %s", state_of(f).text);
		if (state_of(f).status == GATEWAY_DOWN)
			clock_advance(100);
		turn(f);
	}
}

static void
lines_go_over_tls_to_whom_it_trusts(void **state)
{
	struct fixture *f = *state;
	struct gateway_frame fr = { .node = STR("n1"), .data = STR("n1;a;b") };

	make_certificate(f);
	start_tls(f);
	f->settings.ca_file = str_of(f->cert);
	up_with(f,
	    "{\"protocol\":{\"type\":\"tcp\",\"server\":"
	    "\"tls://localhost:%P\"}}");
	assert_int_equal(send_frame(f, &fr, false, 0), 0);
	UNTIL(f, has(&f->came, "n1;a;b\n"));
	assert_int_equal(write(f->to_peer, "n1;c;1\n", 7), 7);
	UNTIL(f, has(&f->up, "n1|n1;c;1|\n"));
	close_it(f);
	if (try_open(f,
		"{\"protocol\":{\"type\":\"tcp\",\"server\":"
		"\"ssl://127.0.0.1:%P\"}}") != 0) /* not its name */
		fail_msg("%s", f->err.text);
	begin(f);
	UNTIL(f, state_of(f).status == GATEWAY_DOWN);
	assert_non_null(strstr(state_of(f).text, "certificate"));
	up_with(f,
	    "{\"protocol\":{\"type\":\"tcp\",\"insecure\":true,\"server\":"
	    "\"tls://127.0.0.1:%P\"}}");
}

static void
mqtt_goes_over_tls_to_whom_it_trusts(void **state)
{
	struct fixture *f = *state;

	make_certificate(f);
	f->tls_port = f->port; /* a second free one */
	f->port = 0;
	start_tcp(f);
	stop_tcp(f);
	start_mosquitto(f);
	f->port = f->tls_port;
	f->settings.ca_file = str_of(f->cert);
	up_with(f,
	    "{\"protocol\":{\"broker\":\"mqtts://localhost:%P\","
	    "\"username\":\"u\",\"password\":\"p\",\"subscribe\":\"out/#\"},"
	    "\"nodes\":{\"n1\":{\"topic\":\"in/cmd\"}}}");
	must_send(f, 1);
	UNTIL(f, has(&f->came, "in/cmd {"));
	say(f, kind->say_topic, kind->say, 1);
	UNTIL(f, state_of(f).taken == 1);
	close_it(f);
	f->settings.ca_file = STR_NULL;
	if (try_open(f, "{\"protocol\":{\"broker\":\"ssl://localhost:%P\"}}") !=
	    0)
		fail_msg("%s", f->err.text);
	begin(f);
	UNTIL(f, state_of(f).status == GATEWAY_DOWN);
	assert_non_null(strstr(state_of(f).text, "certificate"));
}

static void
what_is_no_serial_port_is_not_opened(void **state)
{
	struct fixture *f = *state;
	FILE *file = fopen(f->file, "w");
	char spec[200];

	fputs("mine", file);
	fclose(file);
	snprintf(spec, sizeof(spec),
	    "{\"protocol\":{\"type\":\"serial\",\"portname\":\"%s\"}}",
	    f->file);
	assert_int_equal(try_open(f, spec), 0);
	begin(f);
	UNTIL(f, state_of(f).status == GATEWAY_DOWN);
	assert_non_null(strstr(state_of(f).text, "is no serial port"));
	close_it(f);
	assert_int_equal(try_open(f,
			     "{\"protocol\":{\"type\":\"serial\","
			     "\"portname\":\"/dev/ttyS/../null\"}}"),
	    ERR_PARAM);
}

/* --- logs ----------------------------------------------------------------- */

static size_t
count_logs(struct fixture *f)
{
	DIR *d = opendir(f->log_dir);
	size_t n = 0;

	while (d != NULL && readdir(d) != NULL)
		n++;
	if (d != NULL)
		closedir(d);
	return n > 2 ? n - 2 : 0; /* without . and .. */
}

static void
open_log(struct fixture *f, struct gateway_log **l, struct secrets *s,
    const char *logger)
{
	struct gateway_conf conf = { .name = "gw", .logger = str_of(logger) };

	if (gateway_log_open(&conf, &f->host, s, l, &f->err) != 0)
		fail_msg("%s", f->err.text);
	assert_non_null(*l);
}

static void
lines_of_a_log_hold_no_control_characters_and_no_secrets(void **state)
{
	struct fixture *f = *state;
	struct gateway_log *l;
	struct secrets s = { 0 };
	const char *text;
	const char *line = "\tSent\ta/***\t1\\x092\\x0a\\\\\\xff\xc3\xa9\n";

	secrets_add(&s, STR("hunter2"));
	open_log(f, &l, &s, "{\"type\":\"file_logger\"}");
	gateway_log_put(l, true, STR("a/hunter2"), STR("1\t2\n\\\xff\xc3\xa9"));
	gateway_log_put(l, false, STR_NULL, STR("xhunter2hunter2y"));
	turn_for(f, 30);
	assert_int_equal(count_logs(f), 0); /* in a second, it says */
	clock_advance(1000);
	UNTIL(f, strstr(log_text(f, "gw_gw.log"), "y\n") != NULL);
	text = log_text(f, "gw_gw.log") + TIME_TEXT_LEN;
	assert_memory_equal(text, line, strlen(line));
	assert_non_null(strstr(text, "\tRecd\tx******y\n"));
	gateway_log_put(l, true, STR_NULL, STR("last"));
	gateway_log_close(l); /* writes it all the same */
	open_log(f, &l, &s, "{\"type\":\"file_logger\"}");
	gateway_log_put(l, true, STR_NULL, STR("first"));
	gateway_log_close(l);
	UNTIL(f, strstr(log_text(f, "gw_gw.log"), "first") != NULL);
	text = log_text(f, "gw_gw.log");
	assert_true(strstr(text, "last") < strstr(text, "first"));
	assert_non_null(strstr(text, "last"));
	secrets_fini(&s);
}

static void
logs_are_begun_anew_by_size_and_old_ones_go(void **state)
{
	struct fixture *f = *state;
	struct gateway_log *l;
	struct secrets s = { 0 };
	struct stat st;
	char path[100];

	open_log(f, &l, &s,
	    "{\"type\":\"file_logger\",\"maxSize\":\"1KiB\",\"maxBackup\":"
	    "\"3\","
	    "\"flushInterval\":\"1ms\"}");
	for (int i = 0; i < 100; i++) /* 55 bytes each */
		gateway_log_put(
		    l, true, STR("topic"), STR("01234567890123456"));
	UNTIL(f, count_logs(f) == 4);
	for (int i = 0; i < 200; i++)
		gateway_log_put(
		    l, true, STR("topic"), STR("z1234567890123456"));
	gateway_log_put(l, true, STR_NULL, STR("the end"));
	UNTIL(f, strstr(log_text(f, "gw_gw.log"), "the end") != NULL);
	assert_int_equal(count_logs(f), 4);
	snprintf(path, sizeof(path), "%s/gw_gw.log", f->log_dir);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size <= 1024);
	gateway_log_close(l);
}

static void
logs_are_begun_anew_by_age(void **state)
{
	struct fixture *f = *state;
	struct gateway_log *l;
	struct secrets s = { 0 };

	open_log(f, &l, &s,
	    "{\"type\":\"file_logger\",\"maxAge\":\"1h\",\"logRotateInterval\":"
	    "\"1m\",\"flushInterval\":\"1ms\"}");
	gateway_log_put(l, true, STR_NULL, STR("one"));
	UNTIL(f, strstr(log_text(f, "gw_gw.log"), "one") != NULL);
	clock_advance(50 * 60000);
	gateway_log_put(l, true, STR_NULL, STR("two"));
	UNTIL(f, strstr(log_text(f, "gw_gw.log"), "two") != NULL);
	assert_int_equal(count_logs(f), 1);
	clock_advance(11 * 60000); /* the first line is too old */
	gateway_log_put(l, true, STR_NULL, STR("three"));
	UNTIL(f, strstr(log_text(f, "gw_gw.log"), "three") != NULL);
	assert_null(strstr(log_text(f, "gw_gw.log"), "two"));
	/* a file that was put away so long ago is removed */
	UNTIL(f, count_logs(f) == 1);
	gateway_log_close(l);
}

static void
a_log_that_can_not_be_written_harms_nobody(void **state)
{
	struct fixture *f = *state;
	struct gateway_log *l;
	struct secrets s = { 0 };
	static char large[600 * 1024];

	f->host.log_dir = "/proc/nowhere";
	open_log(f, &l, &s, "{\"type\":\"file_logger\"}");
	memset(large, 'x', sizeof(large));
	for (int i = 0; i < 10; i++) /* more than waits for the thread */
		gateway_log_put(
		    l, true, STR_NULL, (struct str){ large, sizeof(large) });
	gateway_log_close(l);
	f->host.log_dir = f->log_dir;
	open_log(f, &l, &s, "{\"type\":\"file_logger\"}");
	for (int i = 0; i < 4; i++)
		gateway_log_put(
		    l, true, STR_NULL, (struct str){ large, sizeof(large) });
	gateway_log_close(l);
	UNTIL(f, count_logs(f) > 0);
	UNTIL(
	    f, strstr(log_text(f, "gw_gw.log"), "3 lines were lost\n") != NULL);
}

/* --- MQTT ----------------------------------------------------------------- */

static int
times(struct buf *b, const char *text)
{
	int n = 0;

	for (const char *at = buf_z(b); (at = strstr(at, text)) != NULL; at++)
		n++;
	return n;
}

static void
an_mqtt_server_waits_for_what_is_not_taken(void **state)
{
	struct fixture *f = *state;

	f->settings.heard = 3;
	f->keep = true;
	open_up(f);
	for (int i = 0; i < 5; i++)
		say(f, kind->say_topic, kind->say, i);
	UNTIL(f, state_of(f).heard == 3);
	turn_for(f, 100);
	assert_int_equal(state_of(f).heard, 3);
	assert_int_equal(state_of(f).dropped, 0);
	take_all(f, true);
	UNTIL(f, state_of(f).heard == 5);
}

static void
frames_of_held_messages_are_bounded_too(void **state)
{
	struct fixture *f = *state;
	char list[2000] = "[";

	for (int i = 0; i < 20; i++)
		snprintf(list + strlen(list), sizeof(list) - strlen(list),
		    "%s{\"nodeId\":\"%d\"}", i > 0 ? "," : "", i);
	strcat(list, "]");
	f->settings.heard = 1;
	f->keep = true;
	open_up(f);
	say(f, "out/x", list, 0);
	UNTIL(f, state_of(f).heard + state_of(f).dropped == 20);
	assert_int_equal(state_of(f).heard, 16);
	take_all(f, true); /* and the next one may come */
	say(f, "out/x", "[{\"nodeId\":1}]", 0);
	UNTIL(f, state_of(f).heard == 17);
}

/* Its senders wait, so nothing is dropped, and what makes no frame is taken at
 * once. */
static void
our_own_server_is_told_what_is_taken(void **state)
{
	struct fixture *f = *state;

	f->tokens = true;
	f->keep = true;
	open_up(f);
	for (int i = 0; i < 5; i++)
		say(f, kind->say_topic, kind->say, i);
	UNTIL(f, state_of(f).heard == 5);
	assert_int_equal(state_of(f).dropped, 0);
	assert_int_equal(f->taken.len, 0);
	say(f, kind->noise_topic, kind->noise, 0);
	UNTIL(f, state_of(f).bad == 1);
	turn(f);
	assert_string_equal(buf_z(&f->taken), "6;");
	take_all(f, true);
	assert_string_equal(buf_z(&f->taken), "6;1;2;3;4;5;");
	say(f, kind->say_topic, kind->say, 7);
	UNTIL(f, state_of(f).heard == 6);
	close_it(f);
	take_all(f, true); /* too late: it comes again */
	assert_string_equal(buf_z(&f->taken), "6;1;2;3;4;5;");
}

/* QoS 1 is acknowledged for what is stored, and for nothing else. */
static void
what_was_not_taken_comes_again(void **state)
{
	struct fixture *f = *state;

	f->keep = true;
	open_up(f);
	say(f, kind->say_topic, kind->say, 1);
	UNTIL(f, f->pending.n == 1);
	close_it(f);
	take_all(f, true); /* too late */
	f->keep = false;
	open_it(f);
	begin(f);
	UNTIL(f, times(&f->up, fill(f, kind->up, 1)) == 2);
	turn_for(f, 100); /* acknowledged */
	close_it(f);
	open_it(f);
	begin(f);
	UNTIL(f, state_of(f).status == GATEWAY_UP);
	say(f, kind->say_topic, kind->say, 2);
	UNTIL(f, times(&f->up, fill(f, kind->up, 2)) == 1);
	assert_int_equal(times(&f->up, fill(f, kind->up, 1)), 2);
	/* what makes no frame is acknowledged, too */
	say(f, kind->noise_topic, kind->noise, 0);
	UNTIL(f, state_of(f).bad == 1);
	turn_for(f, 100);
	close_it(f);
	open_it(f);
	begin(f);
	UNTIL(f, state_of(f).status == GATEWAY_UP);
	turn_for(f, 100);
	assert_int_equal(state_of(f).bad, 0);
}

/* Issue #21 of MyController: it stayed "up" until it was restarted. */
static void
a_refused_subscription_takes_the_link_down(void **state)
{
	struct fixture *f = *state;

	f->mqtt_answers = (const uint8_t[]){ 0x87, 0x00, SILENCE };
	start_tcp(f);
	if (try_open(f,
		"{\"protocol\":{\"broker\":\"mqtt://127.0.0.1:%P\","
		"\"subscribe\":\"secret/#\"}}") != 0)
		fail_msg("%s", f->err.text);
	begin(f);
	UNTIL(f, state_of(f).status == GATEWAY_DOWN);
	assert_string_equal(state_of(f).text,
	    "the MQTT server refused to subscribe: reason 0x87");
	clock_advance(2000);
	UNTIL(f, state_of(f).status == GATEWAY_UP);
	drop_conn(f);
	UNTIL(f, state_of(f).status == GATEWAY_DOWN);
	clock_advance(2000);
	UNTIL(f, f->mqtt_answers[-1] == SILENCE);
	turn_for(f, 50);
	assert_int_equal(state_of(f).status, GATEWAY_STARTING); /* not yet */
	clock_advance(10000);
	UNTIL(f, state_of(f).status == GATEWAY_DOWN);
	assert_non_null(strstr(state_of(f).text, "no answer"));
}

/* The script runs while the gateway is closed, or its message is held. */
static void
scripts_are_waited_for(void **state)
{
	struct fixture *f = *state;
	struct told_write t = { 0 };
	struct gateway_payload p = { .key = STR("k"), .value = STR("1") };

	f->slow_scripts = true;
	open_up(f);
	say(f, kind->say_topic, kind->say, 1);
	turn_for(f, 30);
	assert_int_equal(state_of(f).heard, 0);
	recite_all(f);
	assert_int_equal(state_of(f).heard, 1);
	say(f, kind->say_topic, kind->say, 2);
	t.pub.message = (struct gateway_message){ .type = GATEWAY_SET,
		.node = STR("n1"),
		.source = STR("s"),
		.payloads = &p,
		.n_payloads = 1 };
	t.pub.done = on_written;
	gateway_write(f->g, &t.pub);
	assert_false(t.done);
	close_it(f);
	assert_true(t.done); /* told at once, not left alone */
	assert_int_equal(t.err.code, ERR_CLOSED);
	arena_fini(&t.pub.arena);
	recite_all(f); /* and ASan is silent */
}

static void
messages_of_several_nodes_become_frames_of_each(void **state)
{
	struct fixture *f = *state;

	open_up(f);
	say(f, "out/x",
	    "[{\"nodeId\":1,\"payloads\":[]},{\"nodeId\":\"b\",\"type\":"
	    "\"Presentation\",\"timestamp\":\"2026-05-01T10:00:00Z\"},"
	    "{\"nodeId\":\"1\",\"sourceId\":\"s\",\"payloads\":[{\"key\":\"k\","
	    "\"value\":true,\"unit\":\"%%\"}]}]",
	    0);
	UNTIL(f, state_of(f).taken == 2);
	assert_true(has(&f->up,
	    "|{\"topic\":\"out/"
	    "x\",\"messages\":[{\"nodeId\":1,\"payloads\":[]},"
	    "{\"nodeId\":\"1\",\"sourceId\":\"s\",\"payloads\":[{\"key\":\"k\","
	    "\"value\":true,\"unit\":\"%%\"}]}]}\nb|"));
	/* and what is wrong is said in the log of the developer only */
	for (const char *const *w = (const char *const[]){ "x", "{}", "7",
		 "[{\"payloads\":[{\"value\":1}]}]", "[{\"payloads\":7}]",
		 "[7]", "[{\"timestamp\":\"now\"}]", NULL };
	     *w != NULL; w++) {
		uint64_t bad = state_of(f).bad;

		say(f, "out/x", *w, 0);
		if (strcmp(*w, "{}") == 0)
			continue; /* one message that says nothing */
		UNTIL(f, state_of(f).bad == bad + 1);
	}
}

/* --- HTTP ----------------------------------------------------------------- */

static void
open_http(struct fixture *f, const char *provider)
{
	start_peer(f);
	if (try_open(f, provider) != 0)
		fail_msg("%s", f->err.text);
	begin(f);
}

static void
an_endpoint_is_asked_with_what_goes_before_and_behind(void **state)
{
	struct fixture *f = *state;

	open_http(f,
	    "{\"protocol\":{\"headers\":{\"Authorization\":\""
	    "Bearer hunter2\"},\"queryParameters\":{\"q\":\"x y\"},\""
	    "endpoints\":{\"now\":{%U/body\",\"script\":\"poll\",\""
	    "preRun\":{\"b\":{%U/pre-b\"},\"aa\":{\"disabled\":true,"
	    "%U/x\"},\"a\":{%U/pre-a\",\"method\":\"POST\",\"body\":{\""
	    "x\":[1]}}},\"postRun\":{\"c\":{%U/post\",\""
	    "includeGlobalConfig\":true}}}}}}");
	UNTIL(f, state_of(f).taken == 1);
	assert_string_equal(buf_z(&f->came),
	    "POST /pre-a Content-Type=application/json {\"x\":[1]}\n"
	    "GET /pre-b\nGET /body\n"
	    "GET /post?q=x+y Authorization=Bearer hunter2\n");
	assert_true(has(&f->up,
	    "n1|\"answer of /body\"|{\"endpoint\":\"now\",\"messages\":["));
	assert_true(has(&f->up, "\"value\":\"\\\"answer of /body\\\"\""));
	assert_true(has(&f->up, "{\\\"a\\\":{\\\"statusCode\\\":200,"));
	assert_int_equal(state_of(f).status, GATEWAY_UP);
	turn_for(f, 30);
	assert_int_equal(state_of(f).heard, 1);
	clock_advance(600000); /* ten minutes */
	UNTIL(f, state_of(f).taken == 2);
}

static void
a_script_says_how_a_message_is_sent(void **state)
{
	struct fixture *f = *state;

	open_http(f,
	    "{\"protocol\":{\"nodes\":{\"n1\":{%U/set\",\"script\":\""
	    "send\",\"preRun\":{\"a\":{%U/pre\"}},\"postRun\":{\"b\":{"
	    "%U/post\"}}},\"n2\":{\"disabled\":true,%U/set\"},\"default"
	    "\":{%U/never\",\"script\":\"hold\"}}}}");
	UNTIL(f, state_of(f).status == GATEWAY_UP); /* has nothing to ask */
	must_send(f, 1);
	UNTIL(f, f->answered == 1);
	assert_told(f, "sent;");
	assert_string_equal(buf_z(&f->came),
	    "GET /pre\nPUT /set Content-Type=application/yaml X-A=7 a: 1\n\n"
	    "GET /post\n");
	assert_true(has(&f->up, "n1|[{\"nodeId\":\"n1\",\"payloads\":[]}]|"));
	buf_clear(&f->came);
	assert_int_equal(
	    send_frame(f,
		&(struct gateway_frame){ .node = STR("n2"), .data = STR("{}") },
		false, 0),
	    0);
	UNTIL(f, f->answered == 2);
	assert_told(f, "sent;sent;");
	assert_int_equal(f->came.len, 0);
}

static void
a_request_that_may_go_better_is_tried_again(void **state)
{
	struct fixture *f = *state;

	open_http(f,
	    "{\"retryCount\":2,\"protocol\":{\"nodes\":{\"n1\":{"
	    "%U/busy\"},\"n2\":{%U/status/404\"},\"n3\":{"
	    "%U/status/500\"},\"n4\":{%U/status/404\",\"responseCode\""
	    ":404}}}}");
	for (int i = 1; i <= 4; i++) {
		char node[] = { 'n', (char)('0' + i), '\0' };
		struct gateway_frame fr = { .node = str_of(node),
			.data = STR("{}") };

		assert_int_equal(send_frame(f, &fr, false, 0), 0);
	}
	UNTIL(f, f->answered == 4);
	assert_told(f,
	    "sent;failed n2: the server answered HTTP 404;"
	    "failed n3: the server answered HTTP 500;sent;");
	assert_int_equal(times(&f->came, "/busy"), 2);
	assert_int_equal(times(&f->came, "/status/404"), 2);
	assert_int_equal(times(&f->came, "/status/500"), 2);
}

static void
the_link_is_down_when_no_endpoint_answers(void **state)
{
	struct fixture *f = *state;

	open_http(f,
	    "{\"protocol\":{\"endpoints\":{\"a\":{%U/status/500\"},\"b"
	    "\":{%U/large\"},\"c\":{%U/status/200\",\"disabled\""
	    ":true}}}}");
	UNTIL(f, state_of(f).status == GATEWAY_DOWN);
	assert_int_equal(state_of(f).bad, 2);
	assert_false(has(&f->came, "/status/200"));
	close_it(f);
	if (try_open(f,
		"{\"protocol\":{\"endpoints\":{\"a\":{%U/status/500\"},\"b"
		"\":{%U/status/201\"}}}}") != 0)
		fail_msg("%s", f->err.text);
	begin(f);
	UNTIL(f, state_of(f).status == GATEWAY_UP && state_of(f).bad >= 1);
	turn_for(f, 50);
	assert_int_equal(state_of(f).status, GATEWAY_UP);
}

static void
requests_go_to_the_host_that_was_checked(void **state)
{
	struct fixture *f = *state;
	static const char provider[] =
	    "{\"protocol\":{\"endpoints\":{\"a\":{%U/moved\",\""
	    "responseCode\":200}}}}";

	open_http(f, provider);
	UNTIL(f, state_of(f).status == GATEWAY_UP);
	assert_true(has(&f->came, "GET /other\n"));
	close_it(f);
	buf_clear(&f->came);
	f->settings.allow_hosts = STR("127.0.0.1");
	if (try_open(f, provider) != 0)
		fail_msg("%s", f->err.text);
	begin(f);
	UNTIL(f, state_of(f).status == GATEWAY_DOWN);
	assert_string_equal(
	    state_of(f).text, "a: the server answered HTTP 302");
	assert_false(has(&f->came, "GET /other\n"));
}

static void
closing_gives_up_requests_and_scripts(void **state)
{
	struct fixture *f = *state;

	f->slow_scripts = true;
	open_http(f,
	    "{\"protocol\":{\"endpoints\":{\"a\":{%U/hang\"},\"b\":{"
	    "%U/x\",\"script\":\"poll\"},\"c\":{%U/y\"}},\"nodes\":{\""
	    "n1\":{%U/hang\"},\"n2\":{%U/z\",\"script\":\"send\"}}}}");
	must_send(f, 1);
	UNTIL(f, times(&f->came, "/hang") == 2);
	UNTIL(f, !list_empty(&f->recitals));
	close_it(f);
	assert_told(f, "closed the gateway was closed;");
	recite_all(f); /* and ASan is silent */
	if (try_open(f,
		"{\"protocol\":{\"nodes\":{\"n2\":{%U/z\",\"script\":\"send"
		"\"}}}}") != 0)
		fail_msg("%s", f->err.text);
	begin(f);
	assert_int_equal(
	    send_frame(f,
		&(struct gateway_frame){ .node = STR("n2"), .data = STR("{}") },
		false, 0),
	    0);
	UNTIL(f, !list_empty(&f->recitals));
	close_it(f);
	assert_int_equal(f->answered, 2);
}

static void
secrets_of_requests_are_in_no_log(void **state)
{
	struct fixture *f = *state;

	start_peer(f);
	if (try_open_as(f,
		"{\"protocol\":{\"headers\":{\"Authorization\":\""
		"Bearer hunter2\"},\"endpoints\":{\"now\":{\""
		"includeGlobalConfig\":true,%U/now\",\"queryParameters\":{"
		"\"apiKey\":\"opensesame\"},\"executionInterval\":\"1s\""
		"}}}}",
		"{\"type\":\"file_logger\",\"flushInterval\":\"1ms\"}", "gw",
		false, &f->g) != 0)
		fail_msg("%s", f->err.text);
	begin(f);
	say(f, NULL, "hunter2 opensesame tell", 0);
	UNTIL(f,
	    strstr(log_text(f, "gw_gw.log"), "\tRecd\tnow\t*** *** tell\n") !=
		NULL);
}

/* --- what there is -------------------------------------------------------- */

static bool
is_in(const char *const *list, const char *name)
{
	for (; *list != NULL; list++)
		if (strcmp(*list, name) == 0)
			return true;
	return false;
}

static void
gateways_are_opened_by_the_name_of_their_provider(void **state)
{
	struct fixture *f = *state;
	struct gateway_conf conf = { .name = "gw",
		.provider = STR("{\"TYPE\":\"Generic\",\"protocol\":{\"type\":"
				"\"HTTP\"}}") };

	assert_int_equal(gateway_open(&conf, &f->host, &f->g, &f->err), 0);
	close_it(f);
	conf.provider = STR("{\"type\":\"generic_mqtt\"}");
	assert_int_equal(gateway_open(&conf, &f->host, &f->g, &f->err), 0);
	close_it(f);
	f->host.listen = NULL;
	assert_int_equal(
	    gateway_open(&conf, &f->host, &f->g, &f->err), ERR_PARAM);
	assert_non_null(strstr(f->err.text, "no server of our own"));
	conf.provider = STR("{\"type\":\"pigeon\"}");
	assert_int_equal(
	    gateway_open(&conf, &f->host, &f->g, &f->err), ERR_PARAM);
	assert_string_equal(f->err.text, "type: there is no provider pigeon");
	conf.provider = STR_NULL;
	assert_int_equal(
	    gateway_open(&conf, &f->host, &f->g, &f->err), ERR_PARAM);
	conf.provider = STR("{\"type\":\"generic_http\"}");
	conf.logger = STR("{\"type\":\"printer\"}");
	assert_int_equal(
	    gateway_open(&conf, &f->host, &f->g, &f->err), ERR_PARAM);
	assert_string_equal(f->err.text,
	    "generic_http gateway: messageLogger: type: must be none or "
	    "file_logger");
}

static void
providers_and_protocols_say_what_they_want(void **state)
{
	(void)state;
	assert_true(is_in(gateway_providers(), "generic_http"));
	assert_true(is_in(gateway_protocols("generic_mqtt"), "mqtt"));
	assert_false(is_in(gateway_protocols("generic_mqtt"), "serial"));
	assert_null(gateway_protocols("pigeon")[0]);
	assert_non_null(gateway_provider_spec("generic_http"));
	assert_null(gateway_provider_spec("pigeon"));
	for (const char *const *p = (const char *const[]){ "serial", "ethernet",
		 "tcp", "mqtt", "http", NULL };
	     *p != NULL; p++)
		assert_non_null(gateway_protocol_spec(*p));
	assert_null(gateway_protocol_spec("pigeon"));
	for (const char *const *p = gateway_providers(); *p != NULL; p++)
		assert_non_null(gateway_protocols(*p)[0]);
}

/* --- a provider that does what the test wants ----------------------------- */

/* Over TCP: each line goes up; a job stays until the test ends it. */
static struct fake {
	struct gateway *g;
	struct gateway_job *job; /* being sent */
	struct gateway_job *left;
	int cancelled, ups, downs;
	const char *password;
} fake;

struct fake_spec {
	struct str password;
};
static const struct field fake_fields[] = {
	F_TEXT(struct fake_spec, password, "password", .flags = FIELD_SECRET),
	{ 0 },
};
static const struct record fake_record = { "fake", sizeof(struct fake_spec),
	fake_fields };

static int
fake_open(struct gateway *g, const void *spec, void **ret, struct err *err)
{
	const struct fake_spec *s = spec;

	gateway_secret(g, s->password);
	if (str_eqz(s->password, "wrong-secret"))
		return err_set(err, ERR_PARAM, "%s is wrong", "wrong-secret");
	fake = (struct fake){ .g = g };
	*ret = &fake;
	return 0;
}

static void
fake_up(void *own)
{
	((struct fake *)own)->ups++;
}

static void
fake_down(void *own)
{
	((struct fake *)own)->downs++;
}

static void
fake_hear(void *own, const struct gateway_in *in)
{
	struct gateway_frame fr = { .node = STR("n1"), .data = in->data };

	gateway_hand_up(((struct fake *)own)->g, &fr);
}

static void
fake_send(void *own, struct gateway_job *j)
{
	struct fake *k = own;

	assert_null(k->job); /* one at a time */
	k->job = j;
}

static void
fake_cancel(void *own, struct gateway_job *j)
{
	struct fake *k = own;

	if (j == k->left) {
		k->left = NULL;
	} else {
		assert_ptr_equal(k->job, j);
		k->job = NULL;
	}
	k->cancelled++;
}

static int
fake_act(void *own, struct str node, struct str action, struct err *err)
{
	(void)own;
	(void)node;
	(void)action;
	return err_set(err, ERR_IO, "hunter2 does not work");
}

static const char *const fake_actions[] = { "reboot", NULL };
static const struct gateway_ops gateway_fake = {
	.name = "fake",
	.protocols = GATEWAY_TCP,
	.spec = &fake_record,
	.actions = fake_actions,
	.open = fake_open,
	.up = fake_up,
	.down = fake_down,
	.hear = fake_hear,
	.send = fake_send,
	.cancel = fake_cancel,
	.act = fake_act,
};

static const struct kind fake_kind = { .name = "fake",
	.ops = &gateway_fake,
	.peer = "tcp",
	.provider = "{\"password\":\"hunter2\",\"protocol\":{\"server\":"
		    "\"tcp://127.0.0.1:%P\",\"transmitPreDelay\":0}}" };

static int
fake_send_frame(struct fixture *f, const char *node, bool asleep)
{
	struct gateway_frame fr = { .node = str_of(node), .data = STR("x") };

	return send_frame(f, &fr, asleep, 0);
}

static void
fake_end(struct fixture *f, enum gateway_outcome outcome, const char *why)
{
	struct gateway_job *j;
	struct err err = { 0 };

	UNTIL(f, fake.job != NULL);
	j = fake.job;
	fake.job = NULL;
	if (why != NULL)
		err_set(&err, ERR_PROTO, "%s", why);
	gateway_job_done(f->g, j, outcome, &err);
}

static void
open_fake(struct fixture *f, bool queue_failed)
{
	start_peer(f);
	if (try_open_as(f, kind->provider, NULL, "gw", queue_failed, &f->g) !=
	    0)
		fail_msg("%s", f->err.text);
	begin(f);
	UNTIL(f, state_of(f).status == GATEWAY_UP);
}

static void
a_job_that_fails_is_told_why(void **state)
{
	struct fixture *f = *state;

	open_fake(f, false);
	fake_send_frame(f, "n1", false);
	fake_end(f, GATEWAY_FAILED, "node says no to hunter2");
	UNTIL(f, f->answered == 1);
	assert_told(f, "failed node says no to ***;");
	assert_int_equal(state_of(f).failed, 1);
	assert_int_equal(
	    gateway_act(f->g, STR("n1"), STR("reboot"), &f->err), ERR_IO);
	assert_string_equal(f->err.text, "*** does not work");
	assert_string_equal(gateway_actions(f->g)[0], "reboot");
	close_it(f);
	assert_int_equal(
	    try_open(f, "{\"password\":\"wrong-secret\"}"), ERR_PARAM);
	assert_int_equal(
	    try_open(f,
		"{\"password\":\"wrong-secret\",\"protocol\":{\"server\":"
		"\"tcp://127.0.0.1:1\"}}"),
	    ERR_PARAM);
	assert_string_equal(f->err.text, "fake gateway: *** is wrong");
}

static void
a_job_that_is_being_sent_waits_again_when_the_link_is_lost(void **state)
{
	struct fixture *f = *state;

	open_fake(f, false);
	fake_send_frame(f, "n1", false);
	fake_send_frame(f, "n2", false);
	UNTIL(f, fake.job != NULL);
	stop_peer(f);
	UNTIL(f, state_of(f).status == GATEWAY_DOWN);
	assert_int_equal(fake.cancelled, 1);
	assert_int_equal(fake.ups, 1);
	assert_int_equal(fake.downs, 1);
	assert_int_equal(f->answered, 0);
	start_peer(f);
	clock_advance(2000);
	UNTIL(f, fake.job != NULL);
	assert_string_equal(fake.job->frame.node.ptr, "n1");
	assert_int_equal(fake.job->attempts, 2);
	fake_end(f, GATEWAY_SENT, NULL);
	fake_end(f, GATEWAY_SENT, NULL);
	UNTIL(f, f->answered == 2);
	assert_told(f, "sent;sent;");
	fake_send_frame(f, "n1", false);
	UNTIL(f, fake.job != NULL);
	close_it(f);
	assert_int_equal(fake.cancelled, 2);
}

static void
what_failed_waits_until_the_node_is_heard(void **state)
{
	struct fixture *f = *state;

	open_fake(f, true);
	fake_send_frame(f, "n1", false);
	fake_send_frame(f, "n2", false);
	fake_end(f, GATEWAY_FAILED, "no answer");
	UNTIL(f, fake.job != NULL); /* n2's is not held up by it */
	assert_int_equal(f->answered, 0);
	assert_int_equal(state_of(f).sleeping, 1);
	fake_end(f, GATEWAY_SENT, NULL);
	say(f, NULL, "I am n1", 0);
	UNTIL(f, fake.job != NULL);
	assert_string_equal(fake.job->frame.node.ptr, "n1");
	fake_end(f, GATEWAY_SENT, NULL);
	UNTIL(f, f->answered == 2);
	assert_told(f, "sent;sent;");
	/* unless the node says it wants none of that */
	f->labels = "sleep_queue_disabled=True";
	fake_send_frame(f, "n1", false);
	fake_end(f, GATEWAY_FAILED, "no answer");
	UNTIL(f, f->answered == 3);
	assert_true(has(&f->told, "failed no answer;"));
}

static void
on_fake_put(void *ctx, bool ok)
{
	struct fixture *f = ctx;

	buf_addz(&f->told, ok ? "written;" : "lost;");
}

static void
bytes_for_the_link_are_answered_once(void **state)
{
	struct fixture *f = *state;

	open_fake(f, false);
	assert_int_equal(
	    gateway_put(f->g, STR_NULL, STR("a"), on_fake_put, f, &f->err), 0);
	assert_told(f, ""); /* later */
	UNTIL(f, has(&f->came, "a\n"));
	assert_told(f, "written;");
	assert_int_equal(
	    gateway_put(f->g, STR_NULL, STR("a\nb"), on_fake_put, f, &f->err),
	    ERR_PARAM);
	assert_int_equal(
	    gateway_put(f->g, STR_NULL, STR("c"), on_fake_put, f, &f->err), 0);
	gateway_stop(f->g);
	assert_told(f, "written;lost;");
	assert_int_equal(
	    gateway_put(f->g, STR_NULL, STR("d"), on_fake_put, f, &f->err),
	    ERR_CLOSED);
	turn_for(f, 30);
	assert_told(f, "written;lost;");
	assert_string_equal(buf_z(&f->came), "a\n");
}

/* A node is awake for a moment: its frames go before those of others, but not
 * before earlier ones of its own. */
static void
a_node_that_wakes_goes_first(void **state)
{
	struct fixture *f = *state;
	static const char *const order[] = { "n1", "n1", "n1", "n2", "n3" };

	open_fake(f, false);
	fake_send_frame(f, "n1", false); /* is being sent */
	UNTIL(f, fake.job != NULL);
	fake_send_frame(f, "n2", false);
	fake_send_frame(f, "n3", false);
	fake_send_frame(f, "n1", true);
	fake_send_frame(f, "n1", true);
	gateway_awake(f->g, STR("n1"));
	for (size_t i = 0; i < COUNT_OF(order); i++) {
		UNTIL(f, fake.job != NULL);
		assert_string_equal(fake.job->frame.node.ptr, order[i]);
		fake_end(f, GATEWAY_SENT, NULL);
	}
	UNTIL(f, f->answered == 5);
	/* behind one of its own that waits */
	fake_send_frame(f, "n2", false);
	UNTIL(f, fake.job != NULL);
	fake_send_frame(f, "n3", false);
	fake_send_frame(f, "n1", false);
	fake_send_frame(f, "n4", false);
	fake_send_frame(f, "n1", true);
	gateway_awake(f->g, STR("n1"));
	for (const char *const *n =
		 (const char *const[]){ "n2", "n3", "n1", "n1", "n4", NULL };
	     *n != NULL; n++) {
		UNTIL(f, fake.job != NULL);
		assert_string_equal(fake.job->frame.node.ptr, *n);
		fake_end(f, GATEWAY_SENT, NULL);
	}
	UNTIL(f, f->answered == 10);
}

static void
fake_leave(struct fixture *f)
{
	UNTIL(f, fake.job != NULL);
	fake.left = fake.job;
	fake.job = NULL;
	gateway_job_left(f->g, fake.left);
}

/* fake_send() sees that there is one at a time. */
static void
a_job_that_has_left_lets_others_go(void **state)
{
	struct fixture *f = *state;
	struct gateway_job *left;

	open_fake(f, false);
	for (int i = 0; i < 3; i++)
		fake_send_frame(f, "n1", false);
	fake_leave(f);
	UNTIL(f, fake.job != NULL);
	assert_int_equal(state_of(f).waiting, 3);
	left = fake.left;
	fake.left = NULL;
	gateway_job_done(f->g, left, GATEWAY_SENT, NULL);
	UNTIL(f, f->answered == 1);
	turn_for(f, 30); /* the third is not begun by that */
	fake_end(f, GATEWAY_SENT, NULL);
	fake_end(f, GATEWAY_SENT, NULL);
	UNTIL(f, f->answered == 3);
	assert_told(f, "sent;sent;sent;");
	assert_int_equal(fake.cancelled, 0);
}

static int
fake_send_named(
    struct fixture *f, const char *node, const char *id, bool asleep)
{
	struct gateway_frame fr = {
		.node = str_of(node), .data = STR("x"), .id = str_of(id)
	};

	return send_frame(f, &fr, asleep, 0);
}

static void
what_is_taken_back_is_not_sent(void **state)
{
	struct fixture *f = *state;

	open_fake(f, false);
	fake_send_named(f, "n1", "sending", false);
	fake_send_named(f, "n2", "waiting", false);
	fake_send_named(f, "n3", "asleep", true);
	fake_send_named(f, "n4", "other", false);
	UNTIL(f, fake.job != NULL);
	assert_false(gateway_take_back(f->g, STR("nobody's")));
	assert_true(gateway_take_back(f->g, STR("waiting")));
	assert_true(gateway_take_back(f->g, STR("asleep")));
	assert_true(gateway_take_back(f->g, STR("sending")));
	assert_int_equal(fake.cancelled, 1);
	assert_false(gateway_take_back(f->g, STR("sending")));
	assert_true(gateway_has(f->g, STR("sending"))); /* not answered yet */
	UNTIL(f, f->answered == 3);
	assert_told(f,
	    "expired it was taken back;expired it was taken back;"
	    "expired it was taken back;");
	assert_false(gateway_has(f->g, STR("sending")));
	assert_int_equal(state_of(f).sleeping, 0);
	UNTIL(f, fake.job != NULL); /* the others go on */
	assert_string_equal(fake.job->frame.node.ptr, "n4");
	fake_end(f, GATEWAY_SENT, NULL);
	UNTIL(f, f->answered == 4);
	/* one that has left, and is not answered */
	fake_send_named(f, "n1", "left", false);
	fake_leave(f);
	assert_true(gateway_take_back(f->g, STR("left")));
	assert_null(fake.left);
	UNTIL(f, f->answered == 5);
	assert_int_equal(state_of(f).waiting, 0);
}

static void
a_job_that_has_left_waits_for_its_answer_whatever_the_link(void **state)
{
	struct fixture *f = *state;
	struct err err;

	f->settings.queue = 2;
	open_fake(f, true);
	fake_send_frame(f, "n1", false);
	fake_leave(f);
	gateway_stop(f->g);
	clock_advance(3600000); /* its time is the provider's matter */
	turn_for(f, 30);
	assert_int_equal(f->answered, 0);
	assert_int_equal(fake.cancelled, 0);
	assert_int_equal(fake_send_frame(f, "n1", false), 0);
	assert_int_equal(fake_send_frame(f, "n1", false), ERR_LIMIT);
	gateway_start(f->g);
	UNTIL(f, fake.job != NULL);
	err_set(&err, ERR_AGAIN, "no answer");
	gateway_job_done(f->g, fake.left, GATEWAY_FAILED, &err);
	fake.left = NULL;
	assert_int_equal(state_of(f).sleeping, 0); /* it is too old by now */
	UNTIL(f, f->answered == 1);
	assert_told(f, "failed no answer;");
	fake_leave(f);
	close_it(f);
	assert_int_equal(fake.cancelled, 1);
	assert_int_equal(f->answered, 2);
}

static void
sends_are_paced(void **state)
{
	struct fixture *f = *state;

	f->settings.sleeping_ms = 86400000;
	start_peer(f);
	if (try_open(f,
		"{\"protocol\":{\"server\":\"tcp://127.0.0.1:%P\","
		"\"transmitPreDelay\":\"1h\"}}") != 0)
		fail_msg("%s", f->err.text);
	begin(f);
	UNTIL(f, state_of(f).status == GATEWAY_UP);
	for (int i = 0; i < 3; i++)
		fake_send_frame(f, "n1", false);
	for (int i = 0; i < 3; i++) {
		turn_for(f, 30);
		assert_null(fake.job);
		clock_advance(3590000);
		turn_for(f, 30);
		assert_null(fake.job);
		clock_advance(10000);
		fake_end(f, GATEWAY_SENT, NULL);
	}
	UNTIL(f, f->answered == 3);
}

/* --- running them --------------------------------------------------------- */

static const struct kind *
kind_of(const char *name)
{
	for (size_t i = 0; i < COUNT_OF(kinds); i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	fail_msg("there is no %s", name);
	return NULL;
}

static int
set_up_tcp(void **state)
{
	kind = kind_of("lines over tcp");
	return set_up(state);
}

static int
set_up_serial(void **state)
{
	kind = kind_of("lines over serial");
	return set_up(state);
}

static int
set_up_mqtt(void **state)
{
	kind = kind_of("generic over mqtt");
	return set_up(state);
}

static int
set_up_own(void **state)
{
	kind = kind_of("generic over our own mqtt");
	return set_up(state);
}

static int
set_up_http(void **state)
{
	kind = kind_of("generic over http");
	return set_up(state);
}

static int
set_up_fake(void **state)
{
	kind = &fake_kind;
	return set_up(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define OWN(which, name)                                                       \
	cmocka_unit_test_setup_teardown(name, set_up_##which, tear_down)

/* An argument chooses tests by pattern, a second one a provider. */
int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(it_connects_and_says_so),
		TEST(a_peer_that_is_away_is_tried_again_after_growing_waits),
		TEST(a_lost_link_is_made_again),
		TEST(what_is_heard_goes_up_raw_and_can_be_read),
		TEST(what_is_no_frame_is_counted_and_passed_over),
		TEST(what_is_too_large_is_passed_over),
		TEST(frames_that_are_not_taken_are_bounded),
		TEST(a_frame_that_was_not_stored_goes_up_again),
		TEST(a_message_is_written_sent_and_arrives),
		TEST(frames_keep_their_order),
		TEST(wrong_frames_are_refused_at_once),
		TEST(a_full_queue_is_told),
		TEST(a_sleeping_node_gets_its_frames_when_it_is_awake),
		TEST(a_newer_frame_of_a_slot_takes_the_place_of_the_older),
		TEST(over_the_limit_the_oldest_goes),
		TEST(what_is_too_old_is_not_sent),
		TEST(what_waits_for_sleepers_is_shown_and_cleared),
		TEST(a_frame_for_now_takes_those_that_wait_along),
		TEST(a_wrong_provider_is_refused),
		TEST(only_what_the_settings_allow_is_talked_to),
		TEST(closing_answers_what_waits),
		TEST(closing_at_any_moment_leaves_nothing),
		TEST(a_gateway_may_be_closed_by_an_answer),
		TEST(stopping_keeps_what_waits),
		TEST(two_gateways_share_nothing),
		TEST(an_action_that_is_not_there_is_told),
		TEST(messages_are_logged),
	};
	const struct CMUnitTest own[] = {
		OWN(tcp, lines_arrive_whole_however_they_were_cut),
		OWN(serial, lines_arrive_whole_however_they_were_cut),
		OWN(tcp, the_link_goes_down_with_a_reason),
		OWN(tcp, a_name_that_is_not_there_blocks_nobody),
		OWN(tcp, a_peer_that_does_not_read_holds_nobody),
		OWN(tcp, an_attempt_to_connect_has_its_time),
		OWN(tcp, lines_go_over_tls_to_whom_it_trusts),
		OWN(mqtt, mqtt_goes_over_tls_to_whom_it_trusts),
		OWN(serial, what_is_no_serial_port_is_not_opened),
		OWN(tcp,
		    lines_of_a_log_hold_no_control_characters_and_no_secrets),
		OWN(tcp, logs_are_begun_anew_by_size_and_old_ones_go),
		OWN(tcp, logs_are_begun_anew_by_age),
		OWN(tcp, a_log_that_can_not_be_written_harms_nobody),
		OWN(mqtt, an_mqtt_server_waits_for_what_is_not_taken),
		OWN(mqtt, frames_of_held_messages_are_bounded_too),
		OWN(mqtt, what_was_not_taken_comes_again),
		OWN(mqtt, a_refused_subscription_takes_the_link_down),
		OWN(mqtt, messages_of_several_nodes_become_frames_of_each),
		OWN(own, our_own_server_is_told_what_is_taken),
		OWN(own, scripts_are_waited_for),
		OWN(http,
		    an_endpoint_is_asked_with_what_goes_before_and_behind),
		OWN(http, a_script_says_how_a_message_is_sent),
		OWN(http, a_request_that_may_go_better_is_tried_again),
		OWN(http, the_link_is_down_when_no_endpoint_answers),
		OWN(http, requests_go_to_the_host_that_was_checked),
		OWN(http, closing_gives_up_requests_and_scripts),
		OWN(http, secrets_of_requests_are_in_no_log),
		OWN(own, gateways_are_opened_by_the_name_of_their_provider),
		OWN(own, providers_and_protocols_say_what_they_want),
		OWN(fake, a_job_that_fails_is_told_why),
		OWN(fake,
		    a_job_that_is_being_sent_waits_again_when_the_link_is_lost),
		OWN(fake, what_failed_waits_until_the_node_is_heard),
		OWN(fake, what_is_taken_back_is_not_sent),
		OWN(fake, bytes_for_the_link_are_answered_once),
		OWN(fake, a_node_that_wakes_goes_first),
		OWN(fake, a_job_that_has_left_lets_others_go),
		OWN(fake,
		    a_job_that_has_left_waits_for_its_answer_whatever_the_link),
		OWN(fake, sends_are_paced),
	};
	int failed = 0;

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	signal(SIGPIPE, SIG_IGN);
	unsetenv("http_proxy");
	for (size_t i = 0; i < COUNT_OF(kinds); i++) {
		kind = &kinds[i];
		if (argc > 2 && strstr(kind->name, argv[2]) == NULL)
			continue;
		failed +=
		    cmocka_run_group_tests_name(kind->name, tests, NULL, NULL);
	}
	if (argc > 2 && strstr("own", argv[2]) == NULL)
		return failed;
	return failed + cmocka_run_group_tests_name("own", own, NULL, NULL);
}
