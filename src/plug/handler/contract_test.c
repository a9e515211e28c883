/*
 * plug/handler/contract_test.c - asks every promise of handler.h of every type,
 * with peers that speak the real protocols: peers.py for HTTP, Telegram and
 * mail, Mosquitto for MQTT.
 *
 * A type is a row: how to open it, and parameters that go well, go well later,
 * are refused, and are never answered. `told` is what the owner heard, `came`
 * what arrived at the peer.
 */
#include "plug/handler/handler.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/test_port.h"
#include "net/mqtt/client.h"
#include "plug/handler/ops.h"

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
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOSQUITTO "/usr/sbin/mosquitto"
#define PYTHON "/usr/bin/python3"
#define WAIT_MS 90000
#define SLOW_MS 30000 /* whatever blocks here would block for an hour */

extern const struct handler_ops handler_udp; /* docs/guide/handler_udp.c */

struct fixture {
	struct loop *loop;
	struct handler_settings settings;
	struct handler_host host;
	struct handler *h;
	struct err err;
	struct buf told, came;
	int answered;
	int64_t slowest_ms; /* of the loop's turns and our calls */
	bool close_in_done;

	pid_t peer; /* 0: none */
	int from_peer;
	struct loop_io io;
	uint16_t port;
	uint16_t tls_port; /* of Mosquitto, too */
	struct mqtt_client *listener;
	int udp;
	char dir[40], cert[60], key[60], broker_conf[60];
};

/* --- time and the loop --------------------------------------------------- */

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
	int64_t took = now_ms() - since - allowed;

	f->slowest_ms = MAX_OF(f->slowest_ms, took);
}

static void
turn(struct fixture *f)
{
	int64_t since = now_ms();
	char text[2000];
	ssize_t n;

	loop_turn(f->loop, 10);
	note_time(f, since, 10);
	if (f->udp >= 0 &&
	    (n = recv(f->udp, text, sizeof(text), MSG_DONTWAIT)) > 0) {
		buf_add(&f->came, text, (size_t)n);
		buf_addc(&f->came, '\n');
	}
}

static void
turn_for(struct fixture *f, int64_t ms)
{
	for (int64_t end = now_ms() + ms; now_ms() < end;)
		turn(f);
}

static void
until_answered(struct fixture *f, int n)
{
	for (int64_t end = now_ms() + WAIT_MS; f->answered < n;) {
		if (now_ms() > end)
			fail_msg("not answered: told [%s] came [%s]",
			    buf_z(&f->told), buf_z(&f->came));
		turn(f);
	}
}

static void
until_came(struct fixture *f, const char *text)
{
	for (int64_t end = now_ms() + WAIT_MS;
	     strstr(buf_z(&f->came), text) == NULL;) {
		if (now_ms() > end)
			fail_msg("[%s] did not come: [%s], told [%s]", text,
			    buf_z(&f->came), buf_z(&f->told));
		turn(f);
	}
}

static void
until_status(struct fixture *f, enum handler_status status)
{
	struct handler_state s;

	for (int64_t end = now_ms() + WAIT_MS;;) {
		handler_state(f->h, &s);
		if (s.status == status)
			return;
		if (now_ms() > end)
			fail_msg("status %d: %s", s.status, s.text);
		turn(f);
	}
}

/* --- peers --------------------------------------------------------------- */

static void
on_peer(struct loop_io *io, unsigned what)
{
	struct fixture *f = container_of(io, struct fixture, io);
	char text[4096];
	ssize_t n = read(io->fd, text, sizeof(text));

	(void)what;
	if (n > 0)
		buf_add(&f->came, text, (size_t)n);
	else if (n == 0)
		loop_unwatch(f->loop, io);
}

/* Starts a program; what it prints is read. */
static void
spawn(struct fixture *f, const char *const *argv)
{
	int pipes[2];

	if (pipe2(pipes, O_CLOEXEC) != 0)
		fail_msg("%s", "pipe");
	f->peer = fork();
	if (f->peer == 0) {
		dup2(pipes[1], 1);
		dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 2);
		execv(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	close(pipes[1]);
	f->from_peer = pipes[0];
}

static void
start_peer(struct fixture *f, const char *kind, const char *mode)
{
	const char *argv[] = { PYTHON, PEERS, kind, f->cert, f->key, mode,
		NULL };
	char line[64] = "";
	size_t n = 0;

	if (mode == NULL)
		argv[3] = NULL;
	spawn(f, argv);
	while (n < sizeof(line) - 1 && read(f->from_peer, line + n, 1) == 1 &&
	    line[n] != '\n')
		n++;
	if (sscanf(line, "port %hu", &f->port) != 1)
		fail_msg("%s", "Debian's python3 is needed");
	f->io = (struct loop_io){ .ready = on_peer, .fd = f->from_peer };
	loop_watch(f->loop, &f->io, LOOP_READ);
}

static uint16_t
open_udp(struct fixture *f)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);

	f->udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (bind(f->udp, (struct sockaddr *)&a, len) != 0 ||
	    getsockname(f->udp, (struct sockaddr *)&a, &len) != 0)
		fail_msg("%s", "no port");
	return ntohs(a.sin_port);
}

static void
on_heard(void *ctx, const struct mqtt_client_msg *m)
{
	struct fixture *f = ctx;

	buf_addf(&f->came, STR_FMT " %d " STR_FMT "\n", STR_ARG(m->topic),
	    m->qos, STR_ARG(m->payload));
}

/* Mosquitto on f->port, in which nobody may write to secret/. */
static void
start_mosquitto(struct fixture *f)
{
	const char *argv[] = { MOSQUITTO, "-c", f->broker_conf, NULL };
	struct mqtt_client_conf conf = { .address = "127.0.0.1",
		.port = f->port,
		.retry_min_ms = 20,
		.retry_max_ms = 50 };
	char acl[60];
	FILE *file;

	snprintf(acl, sizeof(acl), "%s/acl", f->dir);
	file = fopen(acl, "w");
	fputs("pattern read #\npattern write open/#\n"
	      "topic read #\n",
	    file);
	fclose(file);
	file = fopen(f->broker_conf, "w");
	fprintf(file,
	    "listener %d 127.0.0.1\nallow_anonymous true\nacl_file %s\n"
	    "log_type none\nuser root\n",
	    f->port, acl);
	if (f->tls_port != 0)
		fprintf(file,
		    "listener %d 127.0.0.1\ncertfile %s\nkeyfile %s\n",
		    f->tls_port, f->cert, f->key);
	fclose(file);
	spawn(f, argv);
	assert_int_equal(
	    mqtt_client_new(f->loop, &conf, NULL, f, &f->listener, &f->err), 0);
	mqtt_client_subscribe(f->listener, STR("#"), 2, on_heard, f);
	mqtt_client_start(f->listener);
	for (int64_t end = now_ms() + WAIT_MS;
	     !mqtt_client_is_up(f->listener);) {
		if (now_ms() > end)
			fail_msg("%s", "Debian's mosquitto is needed");
		turn(f);
	}
	turn_for(f, 50); /* subscribed */
}

/* Our own server, for mqtt without a broker. */
static int
own_publish(void *ctx, struct str topic, struct str payload, uint8_t qos,
    bool retain, struct err *err)
{
	struct fixture *f = ctx;

	(void)retain;
	if (str_eqz(topic, "secret/x"))
		return err_set(err, ERR_DENIED, "no right to secret/x");
	if (str_eqz(topic, "busy/x") && f->came.len == 0) {
		buf_addz(&f->came, "busy\n");
		return err_set(err, ERR_AGAIN, "the journal is full");
	}
	buf_addf(&f->came, STR_FMT " %d " STR_FMT "\n", STR_ARG(topic), qos,
	    STR_ARG(payload));
	return 0;
}

static int
own_backup(void *ctx, const struct handler_backup *w, handler_backup_done *done,
    void *done_ctx, struct err *err)
{
	struct fixture *f = ctx;

	if (str_eqz(w->prefix, "refused"))
		return err_set(err, ERR_PARAM, "this prefix is not allowed");
	if (str_eqz(w->prefix, "down")) {
		done(done_ctx, ERR_IO, "the disk is full");
		return 0;
	}
	if (str_eqz(w->prefix, "busy") && f->came.len == 0) {
		buf_addz(&f->came, "busy\n");
		return err_set(err, ERR_AGAIN, "another one is being made");
	}
	buf_addf(&f->came, STR_FMT " " STR_FMT " " STR_FMT " %d\n",
	    STR_ARG(w->prefix), STR_ARG(w->form), STR_ARG(w->dir),
	    (int)w->retention);
	done(done_ctx, 0, "/b/x.zip");
	return 0;
}

/* --- types --------------------------------------------------------------- */

/* One type under test. %P is the peer's port; in parameters %N is a number. */
static const struct kind {
	const char *name;
	const struct handler_ops *ops;
	const char *peer; /* "http", "smtp", "mosquitto", "udp", "own" */
	const char *mode; /* of the peer: NULL without TLS */
	const char *spec;
	const char *good;    /* parameter */
	const char *arrived; /* what came of it */
	const char *later;   /* fails once; NULL: does not happen */
	const char *down;    /* fails each time */
	const char *refused;
	const char *hangs; /* is never answered */
	const char *wrong; /* parameter that is refused at once */
	const char *why;   /* its sentence */
	const char *bad_spec, *bad_why;
	bool has_host;
} kinds[] = {
	{ "noop", &handler_noop, NULL, NULL, "{}", "{\"type\":\"x\"}", "", NULL,
	    NULL, NULL, NULL, "[1]",
	    "parameter: line 1 column 1: must be an object", NULL, NULL,
	    false },
	{ "webhook", &handler_webhook, "http", NULL,
	    "{\"server\":\"http://127.0.0.1:%P\",\"allowOverwrite\":true,"
	    "\"headers\":{\"Authorization\":\"hunter2-secret\"}}",
	    "{\"type\":\"webhook\",\"api\":\"/in\",\"customData\":true,"
	    "\"data\":{\"n\":%N}}",
	    "POST /in Content-Type=application/json "
	    "Authorization=hunter2-secret {\"n\":%N}\n",
	    "{\"type\":\"webhook\",\"api\":\"/busy\"}",
	    "{\"type\":\"webhook\",\"api\":\"/down\"}",
	    "{\"type\":\"webhook\",\"api\":\"/echo/403\"}",
	    "{\"type\":\"webhook\",\"api\":\"/hang\"}",
	    "{\"type\":\"webhook\",\"method\":\"BREW\"}",
	    "method: BREW is not known", "{\"server\":\"ftp://x\"}",
	    "webhook handler: server: an address that begins with http:// or "
	    "https:// is needed",
	    true },
	{ "email", &handler_email, "smtp", "starttls",
	    "{\"host\":\"localhost\",\"port\":\"%P\",\"insecure\":\"true\","
	    "\"username\":\"hub@example.com\",\"password\":\"hunter2-secret\","
	    "\"toEmails\":\"ann@example.org, ben@example.org\"}",
	    "{\"type\":\"email\",\"subject\":\"n %N\",\"body\":\"x\"}",
	    "Subject: n %N|",
	    "{\"type\":\"email\",\"to\":\"busy@example.org\"}",
	    "{\"type\":\"email\",\"to\":\"[\\\"down@example.org\\\"]\"}",
	    "{\"type\":\"email\",\"to\":\"never@example.org\"}",
	    "{\"type\":\"email\",\"to\":\"hang@example.org\"}",
	    "{\"type\":\"email\",\"to\":\"a@b\\r\\nRCPT TO:<c@d>\"}",
	    "a@b  RCPT TO:<c@d> is no e-mail address", "{\"host\":\"x y\"}",
	    "email handler: host: the name of a server is needed", true },
	{ "telegram", &handler_telegram, "http", NULL,
	    "{\"token\":\"123:goodtoken\",\"chatIds\":[7]}",
	    "{\"type\":\"telegram\",\"text\":\"n %N\"}", "telegram 7 - n %N\n",
	    "{\"type\":\"telegram\",\"text\":\"x\",\"chatIds\":[\"-429\"]}",
	    "{\"type\":\"telegram\",\"text\":\"x\",\"chatIds\":[-500]}",
	    "{\"type\":\"telegram\",\"text\":\"x\",\"chatIds\":-404}",
	    "{\"type\":\"telegram\",\"text\":\"x\",\"chatIds\":[-1]}",
	    "{\"type\":\"telegram\",\"text\":\"x\",\"parseMode\":\"Rich\"}",
	    "parseMode: must be Text, Markdown, MarkdownV2 or HTML",
	    "{\"token\":\"a/b\"}",
	    "telegram handler: token: a bot's token is needed", true },
	{ "mqtt", &handler_mqtt, "mosquitto", NULL,
	    "{\"broker\":\"tcp://127.0.0.1:%P\",\"publish\":\"open/x\","
	    "\"qos\":1,\"username\":\"u\",\"password\":\"hunter2-secret\"}",
	    "{\"type\":\"mqtt\",\"data\":\"n %N\"}", "open/x 1 n %N\n", NULL,
	    NULL, "{\"type\":\"mqtt\",\"publish\":\"secret/x\"}", NULL,
	    "{\"type\":\"mqtt\",\"publish\":\"a/#\"}",
	    "publish: a topic without wildcards is needed",
	    "{\"broker\":\"http://x\"}",
	    "mqtt handler: broker: an address like tcp://host:1883 or "
	    "tls://host:8883 is needed",
	    true },
	{ "mqtt here", &handler_mqtt, "own", NULL, "{}",
	    "{\"type\":\"mqtt\",\"publish\":\"a\",\"data\":%N,\"qos\":\"2\"}",
	    "a 2 %N\n", "{\"type\":\"mqtt\",\"publish\":\"busy/x\"}", NULL,
	    "{\"type\":\"mqtt\",\"publish\":\"secret/x\"}", NULL,
	    "{\"type\":\"mqtt\",\"publish\":\"a\",\"qos\":3}",
	    "parameter: qos: must be -1 to 2", "{\"qos\":7}",
	    "mqtt handler: qos: must be 0 to 2", false },
	{ "backup", &handler_backup, "own", NULL,
	    "{\"storageExportType\":\"yaml\",\"targetDirectory\":\"/b\","
	    "\"retentionCount\":\"3\"}",
	    "{\"type\":\"backup\",\"prefix\":\"n%N\"}", "n%N yaml /b 3\n",
	    "{\"type\":\"backup\",\"prefix\":\"busy\"}",
	    "{\"type\":\"backup\",\"prefix\":\"down\"}",
	    "{\"type\":\"backup\",\"prefix\":\"refused\"}", NULL,
	    "{\"type\":\"backup\",\"targetDirectory\":\"/b/../etc\"}",
	    "targetDirectory: must be in that of the handler",
	    "{\"targetDirectory\":\"here\"}",
	    "backup handler: targetDirectory: a whole path is needed", false },
	{ "udp", &handler_udp, "udp", NULL,
	    "{\"host\":\"127.0.0.1\",\"port\":%P}",
	    "{\"type\":\"udp\",\"data\":\"n %N\"}", "n %N\n", NULL, NULL, NULL,
	    NULL, "{\"type\":\"udp\"}", "data: 1 to 1200 bytes are needed",
	    "{\"host\":\"localhost\",\"port\":1}",
	    "udp handler: host: an IPv4 address is needed", true },
};

static const struct kind *kind; /* the one under test */

/* `text` with %P and %N filled in. Four of them live at a time. */
static const char *
fill(struct fixture *f, const char *text, int n)
{
	static char out[4][1000];
	static int which;
	char *to = out[which++ % 4], *start = to;

	for (; *text != '\0'; text++) {
		if (strncmp(text, "%P", 2) == 0)
			to += sprintf(to, "%d", f->port);
		else if (strncmp(text, "%N", 2) == 0)
			to += sprintf(to, "%d", n);
		else
			*to++ = *text;
		if (*text == '%' && (text[1] == 'P' || text[1] == 'N'))
			text++;
	}
	*to = '\0';
	return start;
}

/* --- the handler --------------------------------------------------------- */

static void
on_told(void *ctx, const struct handler_result *r)
{
	struct fixture *f = ctx;

	f->answered++;
	buf_addf(&f->told, "%s %s%s(%u);",
	    r->code == 0                ? "ok"
		: r->code == ERR_CLOSED ? "closed"
					: "failed",
	    r->text, r->text[0] != '\0' ? " " : "", r->attempts);
	if (f->close_in_done) {
		handler_close(f->h);
		f->h = NULL;
	}
}

static int
post_with(struct fixture *f, const char *parameter, const char *variables)
{
	struct handler_message m = { str_of(parameter), str_of(variables) };
	int64_t since = now_ms();
	int before = f->answered, rc;

	rc = handler_post(f->h, &m, on_told, f, &f->err);
	note_time(f, since, 0);
	assert_int_equal(f->answered, before); /* never from within */
	return rc;
}

static int
post(struct fixture *f, const char *parameter, int n)
{
	return post_with(f, fill(f, parameter, n), NULL);
}

static void
must_post(struct fixture *f, const char *parameter, int n)
{
	if (post(f, parameter, n) != 0)
		fail_msg("%s", f->err.text);
}

static int
try_open(struct fixture *f, const char *spec)
{
	int64_t since = now_ms();
	int rc;

	if (kind->peer != NULL && strcmp(kind->peer, "http") == 0) {
		static char url[60];

		snprintf(url, sizeof(url), "http://127.0.0.1:%d", f->port);
		f->settings.telegram_url = str_of(url);
	}
	rc = handler_open_ops(
	    kind->ops, str_of(fill(f, spec, 0)), &f->host, &f->h, &f->err);
	note_time(f, since, 0);
	return rc;
}

static void
open_it(struct fixture *f)
{
	if (try_open(f, kind->spec) != 0)
		fail_msg("%s", f->err.text);
}

static void
start_the_peer(struct fixture *f)
{
	if (kind->peer == NULL)
		return;
	if (strcmp(kind->peer, "mosquitto") == 0)
		start_mosquitto(f);
	else if (strcmp(kind->peer, "udp") == 0)
		f->port = open_udp(f);
	else if (strcmp(kind->peer, "own") != 0)
		start_peer(f, kind->peer, kind->mode);
}

static void
start(struct fixture *f)
{
	start_the_peer(f);
	open_it(f);
}

static void
make_certificate(struct fixture *f)
{
	char command[400];

	snprintf(command, sizeof(command),
	    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 "
	    "-nodes -days 2 -subj /CN=localhost -addext "
	    "subjectAltName=DNS:localhost -keyout %s -out %s 2>/dev/null",
	    f->key, f->cert);
	assert_int_equal(system(command), 0);
}

static int
set_up(void **state)
{
	struct fixture *f = mem_new(struct fixture);

	*state = f;
	f->loop = loop_new();
	f->udp = f->from_peer = -1;
	f->settings = (struct handler_settings){ .queue = 100,
		.max_message = 10000,
		.timeout = 15000,
		.retries = 2,
		.retry_min = 10,
		.retry_max = 40 };
	f->host = (struct handler_host){ .ctx = f,
		.loop = f->loop,
		.settings = &f->settings,
		.publish = own_publish,
		.backup = own_backup };
	strcpy(f->dir, "/tmp/handler-XXXXXX");
	if (mkdtemp(f->dir) == NULL)
		return -1;
	snprintf(f->cert, sizeof(f->cert), "%s/cert.pem", f->dir);
	snprintf(f->key, sizeof(f->key), "%s/key.pem", f->dir);
	snprintf(f->broker_conf, sizeof(f->broker_conf), "%s/conf", f->dir);
	if (kind->mode != NULL)
		make_certificate(f);
	f->port = test_port(); /* nobody is there yet */
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
	handler_close(f->h);
	mqtt_client_free(f->listener);
	loop_unwatch(f->loop, &f->io);
	loop_turn(f->loop, 0);
	if (f->peer > 0) {
		kill(f->peer, SIGKILL);
		waitpid(f->peer, NULL, 0);
	}
	if (f->from_peer >= 0)
		close(f->from_peer);
	if (f->udp >= 0)
		close(f->udp);
	usleep(1000 * 20); /* threads of mails see the peer is gone */
	loop_free(f->loop);
	snprintf(command, sizeof(command), "rm -rf %s", f->dir);
	if (system(command) != 0)
		return -1;
	buf_free(&f->told);
	buf_free(&f->came);
	free(f);
	return slow ? -1 : 0; /* (1) nothing blocks */
}

static void
assert_told(struct fixture *f, const char *text)
{
	assert_string_equal(f->told.len > 0 ? buf_z(&f->told) : "", text);
}

static struct handler_state
state_of(struct fixture *f)
{
	struct handler_state s;

	handler_state(f->h, &s);
	return s;
}

/* --- promises ------------------------------------------------------------ */

static void
a_message_arrives_and_is_answered_once(void **state)
{
	struct fixture *f = *state;

	start(f);
	assert_int_equal(state_of(f).status, HANDLER_STARTING);
	must_post(f, kind->good, 1);
	assert_int_equal(state_of(f).waiting, 1);
	until_answered(f, 1);
	until_came(f, fill(f, kind->arrived, 1));
	turn_for(f, 30);
	assert_int_equal(f->answered, 1);
	assert_non_null(strstr(buf_z(&f->told), "ok "));
	assert_non_null(strstr(buf_z(&f->told), "(1);"));
	assert_int_equal(state_of(f).status, HANDLER_UP);
	assert_int_equal(state_of(f).posted, 1);
	assert_int_equal(state_of(f).sent, 1);
	assert_int_equal(state_of(f).waiting, 0);
}

static void
messages_keep_their_order(void **state)
{
	struct fixture *f = *state;
	const char *at;

	start(f);
	for (int i = 0; i < 5; i++)
		must_post(f, kind->good, i);
	until_answered(f, 5);
	until_came(f, fill(f, kind->arrived, 4));
	at = buf_z(&f->came);
	for (int i = 0; i < 5; i++) {
		at = strstr(at, fill(f, kind->arrived, i));
		assert_non_null(at);
	}
}

static void
what_may_pass_is_tried_again(void **state)
{
	struct fixture *f = *state;

	if (kind->later == NULL)
		return;
	start(f);
	must_post(f, kind->later, 0);
	must_post(f, kind->good, 1); /* waits behind it */
	until_answered(f, 2);
	assert_int_equal(strncmp(buf_z(&f->told), "ok ", 3), 0);
	assert_non_null(strstr(buf_z(&f->told), "(2);ok "));
	assert_int_equal(state_of(f).retried, 1);
	assert_int_equal(state_of(f).failed, 0);
}

static void
it_is_given_up_after_the_retries(void **state)
{
	struct fixture *f = *state;

	if (kind->down == NULL)
		return;
	start(f);
	must_post(f, kind->down, 0);
	until_answered(f, 1);
	assert_non_null(strstr(buf_z(&f->told), "failed "));
	assert_non_null(strstr(buf_z(&f->told), "(3);"));
	assert_int_equal(state_of(f).status, HANDLER_DOWN);
	assert_int_equal(state_of(f).failed, 1);
	must_post(f, kind->good, 1);
	until_answered(f, 2);
	assert_int_equal(state_of(f).status, HANDLER_UP);
}

static void
what_the_peer_refuses_is_not_tried_again(void **state)
{
	struct fixture *f = *state;

	if (kind->refused == NULL)
		return;
	start(f);
	must_post(f, kind->refused, 0);
	until_answered(f, 1);
	assert_non_null(strstr(buf_z(&f->told), "failed "));
	assert_non_null(strstr(buf_z(&f->told), "(1);"));
	assert_int_equal(state_of(f).retried, 0);
}

static void
secrets_are_in_no_sentence(void **state)
{
	struct fixture *f = *state;
	struct handler_state s;

	if (kind->refused == NULL)
		return;
	start(f);
	must_post(f, kind->refused, 0); /* peers repeat what they know */
	until_answered(f, 1);
	s = state_of(f);
	assert_null(strstr(buf_z(&f->told), "hunter2"));
	assert_null(strstr(buf_z(&f->told), "goodtoken"));
	assert_null(strstr(s.text, "hunter2"));
	assert_null(strstr(s.text, "goodtoken"));
	if (strcmp(kind->peer, "mosquitto") != 0 &&
	    strcmp(kind->peer, "own") != 0)
		assert_non_null(strstr(buf_z(&f->told), "***"));
}

static void
a_peer_that_is_away_blocks_nobody(void **state)
{
	struct fixture *f = *state;

	if (!kind->has_host || strcmp(kind->peer, "udp") == 0)
		return;
	f->settings.timeout = 200;
	open_it(f);
	must_post(f, kind->good, 1);
	until_answered(f, 1);
	assert_non_null(strstr(buf_z(&f->told), "failed "));
	assert_non_null(strstr(buf_z(&f->told), "(3);"));
	assert_int_equal(state_of(f).status, HANDLER_DOWN);
	assert_string_not_equal(state_of(f).text, "");
}

static void
a_peer_that_comes_back_gets_what_waited(void **state)
{
	struct fixture *f = *state;

	if (kind->peer == NULL || strcmp(kind->peer, "mosquitto") != 0)
		return; /* the others choose their own port */
	f->settings.timeout = 100;
	f->settings.retries = 100;
	open_it(f);
	must_post(f, kind->good, 1);
	turn_for(f, 300);
	assert_true(state_of(f).retried > 0);
	assert_non_null(strstr(state_of(f).text, "refused")); /* says why */
	f->settings.timeout = 15000;
	start_the_peer(f);
	until_came(f, fill(f, kind->arrived, 1));
	until_answered(f, 1);
	assert_int_equal(state_of(f).status, HANDLER_UP);
}

static void
a_peer_that_does_not_answer_runs_into_its_time(void **state)
{
	struct fixture *f = *state;

	if (kind->hangs == NULL)
		return;
	f->settings.timeout = 300;
	f->settings.retries = 1;
	start(f);
	must_post(f, kind->hangs, 0);
	until_answered(f, 1);
	assert_told(f, "failed no answer within 300 ms (2);");
	f->settings.timeout = 15000;
	must_post(f, kind->good, 1);
	until_answered(f, 2);
	assert_non_null(strstr(buf_z(&f->told), "(2);ok "));
}

static void
a_full_queue_and_a_large_message_are_refused(void **state)
{
	struct fixture *f = *state;
	char *large = mem_alloc(20000);

	f->settings.queue = 2;
	start(f);
	must_post(f, kind->good, 1);
	must_post(f, kind->good, 2);
	assert_int_equal(post(f, kind->good, 3), ERR_LIMIT);
	assert_string_equal(
	    f->err.text, "2 messages wait already (hub.handler.queue)");
	memset(large, ' ', 19999);
	memcpy(large, "{}", 2);
	assert_int_equal(post_with(f, large, NULL), ERR_LIMIT);
	free(large);
	until_answered(f, 2);
	turn_for(f, 30);
	assert_int_equal(f->answered, 2);
	assert_int_equal(state_of(f).refused, 2);
}

static void
the_rate_spreads_messages(void **state)
{
	struct fixture *f = *state;

	f->settings.rate = 3; /* three at once, then one in twenty seconds */
	start(f);
	for (int i = 0; i < 4; i++)
		must_post(f, kind->good, i);
	until_answered(f, 3);
	turn_for(f, 100);
	assert_int_equal(f->answered, 3);
	clock_advance(20000);
	until_answered(f, 4);
	assert_null(strstr(buf_z(&f->told), "failed"));
}

static void
parameters_of_others_are_passed_over(void **state)
{
	struct fixture *f = *state;

	start(f);
	if (kind->ops->parameter != NULL) {
		assert_int_equal(
		    post_with(f, "{\"type\":\"pigeon\"}", NULL), ERR_NOT_FOUND);
		assert_int_equal(post_with(f, "{}", NULL), ERR_NOT_FOUND);
	}
	assert_int_equal(
	    post_with(f, "{\"Type\":\"x\",\"disabled\":\" true\"}", NULL),
	    ERR_NOT_FOUND);
	assert_int_equal(
	    post_with(f, "{\"disabled\":true}", NULL), ERR_NOT_FOUND);
	assert_int_equal(state_of(f).refused, 0);
}

static void
wrong_parameters_are_refused_at_once(void **state)
{
	struct fixture *f = *state;

	start(f);
	assert_int_equal(post(f, kind->wrong, 0), ERR_PARAM);
	assert_string_equal(f->err.text, kind->why);
	assert_int_equal(post_with(f, "{", NULL), ERR_PARAM);
	assert_int_equal(
	    post_with(f, fill(f, kind->good, 1), "no json"), ERR_PARAM);
	turn_for(f, 20);
	assert_int_equal(f->answered, 0);
	assert_int_equal(state_of(f).refused, 3);
}

static void
a_wrong_spec_is_refused(void **state)
{
	struct fixture *f = *state;

	if (kind->bad_spec == NULL)
		return;
	assert_int_equal(try_open(f, kind->bad_spec), ERR_PARAM);
	assert_string_equal(f->err.text, kind->bad_why);
	assert_int_equal(try_open(f, "["), ERR_PARAM);
	assert_null(f->h);
}

static void
only_hosts_of_the_list_are_talked_to(void **state)
{
	struct fixture *f = *state;

	if (!kind->has_host)
		return;
	f->settings.allow_hosts = STR("x.example, *.host");
	assert_int_equal(try_open(f, kind->spec), ERR_DENIED);
	f->settings.allow_hosts = STR(" 127.0.0.1 , LOCALHOST");
	start(f);
	must_post(f, kind->good, 1);
	until_answered(f, 1);
	assert_non_null(strstr(buf_z(&f->told), "ok "));
}

static void
closing_answers_what_waits(void **state)
{
	struct fixture *f = *state;

	start(f);
	for (int i = 0; i < 3; i++)
		must_post(f, kind->good, i);
	handler_close(f->h);
	f->h = NULL;
	assert_int_equal(f->answered, 3);
	assert_told(f,
	    "closed the handler was closed (0);"
	    "closed the handler was closed (0);"
	    "closed the handler was closed (0);");
	turn_for(f, 50);
	assert_int_equal(f->answered, 3);
	handler_close(NULL);
}

static void
closing_stops_what_is_being_sent(void **state)
{
	struct fixture *f = *state;

	if (kind->hangs == NULL)
		return;
	start(f);
	must_post(f, kind->hangs, 0);
	turn_for(f, 200);
	handler_close(f->h);
	f->h = NULL;
	assert_told(f, "closed the handler was closed (1);");
	turn_for(f, 50);
}

static void
a_handler_may_be_closed_by_its_answer(void **state)
{
	struct fixture *f = *state;

	start(f);
	f->close_in_done = true;
	for (int i = 0; i < 3; i++)
		must_post(f, kind->good, i);
	until_answered(f, 3);
	turn_for(f, 50); /* and ASan is silent */
	assert_null(f->h);
}

static void
on_changed(void *ctx, struct handler *h)
{
	struct fixture *f = ctx;
	struct handler_state s;

	handler_state(h, &s);
	buf_addf(&f->told, "[%d]", s.status);
	if (f->close_in_done) {
		handler_close(h);
		f->h = NULL;
	}
}

static void
a_change_of_state_is_told(void **state)
{
	struct fixture *f = *state;

	f->host.changed = on_changed;
	start(f);
	must_post(f, kind->good, 1);
	until_answered(f, 1);
	turn_for(f, 30);
	assert_non_null(strstr(buf_z(&f->told), "[1]"));
	f->close_in_done = true;
	if (kind->refused == NULL)
		return;
	must_post(f, kind->refused, 0);
	until_answered(f, 2);
	turn_for(f, 30);
	assert_null(f->h);
}

/* --- what each type promises for itself ---------------------------------- */

static const struct kind *
kind_named(const char *name)
{
	for (size_t i = 0; i < COUNT_OF(kinds); i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	return NULL;
}

static int
set_up_webhook(void **state)
{
	kind = kind_named("webhook");
	return set_up(state);
}

/* One message of a webhook with that spec; what it came to. */
static const char *
webhook(struct fixture *f, const char *spec, const char *parameter,
    const char *variables)
{
	buf_clear(&f->told);
	buf_clear(&f->came);
	f->answered = 0;
	handler_close(f->h);
	f->h = NULL;
	if (try_open(f, spec) != 0)
		fail_msg("%s", f->err.text);
	if (post_with(f, parameter, variables) != 0)
		return f->err.text;
	until_answered(f, 1);
	if (strncmp(buf_z(&f->told), "ok", 2) != 0)
		return buf_z(&f->told);
	/* the peer prints what it answers with 200 */
	if (strstr(buf_z(&f->told), "HTTP 200") == NULL)
		return "";
	until_came(f, "\n");
	return buf_z(&f->came);
}

static void
webhooks_send_what_spec_and_parameter_say(void **state)
{
	static const char locked[] =
	    "{\"server\":\"http://127.0.0.1:%P/a\",\"api\":\"/b?c=1\","
	    "\"method\":\"put\",\"headers\":{\"X-A\":1,\"x-b\":\"two\"},"
	    "\"queryParameters\":{\"q\":\"a b&\",\"n\":2}}";
	static const char open[] =
	    "{\"server\":\"http://127.0.0.1:%P\",\"api\":\"/b\","
	    "\"headers\":{\"X-A\":\"1\"},\"allowOverwrite\":true}";
	struct fixture *f = *state;

	start_the_peer(f);
	/* all variables, with the headers of the spec */
	assert_string_equal(
	    webhook(f, locked,
		"{\"type\":\"webhook\",\"api\":\"/evil\","
		"\"headers\":{\"X-A\":\"evil\"},\"method\":\"GET\"}",
		"{\"v\":[1]}"),
	    "PUT /a/b?c=1&q=a+b%26&n=2 Content-Type=application/yaml X-A=1 "
	    "X-B=two v:|- 1|\n");
	assert_string_equal(
	    webhook(f, open,
		"{\"type\":\"webhook\",\"api\":\"/c\",\"method\":\"GET\","
		"\"headers\":{\"x-a\":\"3\",\"X-B\":\"\"},"
		"\"queryParameters\":{\"q\":1}}",
		"{\"v\":1}"),
	    "GET /c?q=1 X-A=3 X-B=\n");
	assert_string_equal(webhook(f, open,
				"{\"type\":\"webhook\",\"customData\":true,"
				"\"data\":\"plain text\"}",
				"{}"),
	    "POST /b Content-Type=text/plain; charset=utf-8 X-A=1 plain "
	    "text\n");
	assert_string_equal(
	    webhook(f, open,
		"{\"type\":\"webhook\",\"customData\":true,\"headers\":"
		"{\"content-type\":\"text/x\"},\"data\":\"{\\\"a\\\":1}\"}",
		"{}"),
	    "POST /b Content-Type=text/x X-A=1 {\"a\":1}\n");
	/* objects that a template has made */
	assert_string_equal(
	    webhook(f, open,
		"{\"type\":\"webhook\",\"method\":\"GET\",\"headers\":"
		"\"{\\\"X-B\\\":2}\",\"queryParameters\":\" \"}",
		"{}"),
	    "GET /b X-A=1 X-B=2\n");
	/* a line of its own */
	assert_string_equal(webhook(f, open,
				"{\"type\":\"webhook\",\"headers\":"
				"{\"X-B\":\"1\\r\\nX-A: 2\"}}",
				"{}"),
	    "headers: a name or value has a character that can not be in a "
	    "header");
	assert_string_equal(
	    webhook(f, open,
		"{\"type\":\"webhook\",\"api\":\"/ HTTP/1.0\\r\\nX: y\"}",
		"{}"),
	    "server, api: a space or control character must be "
	    "percent-encoded");
}

static void
webhooks_know_the_status_they_want(void **state)
{
	static const char any[] = "{\"server\":\"http://127.0.0.1:%P\","
				  "\"allowOverwrite\":true}";
	struct fixture *f = *state;

	start_the_peer(f);
	assert_string_equal(webhook(f, any,
				"{\"type\":\"webhook\",\"api\":\"/echo/404\","
				"\"responseCode\":404}",
				"{}"),
	    "");
	assert_told(f, "ok the server answered HTTP 404 (1);");
	assert_string_equal(webhook(f, any,
				"{\"type\":\"webhook\",\"api\":\"/x\","
				"\"responseCode\":201}",
				"{}"),
	    "failed the server answered HTTP 200: fine (1);");
	/* followed, unless hosts are limited */
	assert_string_equal(
	    webhook(f, any, "{\"type\":\"webhook\",\"api\":\"/moved\"}", "{}"),
	    "GET /here Content-Type=application/yaml\n");
	(void)webhook(f, any,
	    "{\"type\":\"webhook\",\"api\":\"/moved\",\"responseCode\":302}",
	    "{}");
	assert_told(f, "ok the server answered HTTP 302 (1);");
	f->settings.allow_hosts = STR("127.0.0.1");
	assert_string_equal(
	    webhook(f, any, "{\"type\":\"webhook\",\"api\":\"/moved\"}", "{}"),
	    "failed the server answered HTTP 302 (1);");
	/* and a parameter can not name another host */
	assert_string_equal(
	    webhook(f, any,
		"{\"type\":\"webhook\",\"server\":\"http://10.0.0.1\"}", "{}"),
	    "the host 10.0.0.1 is not among hub.handler.allowHosts");
}

static void
webhooks_check_who_they_talk_to(void **state)
{
	static const char spec[] = "{\"server\":\"https://localhost:%P\"}";
	static const char trusting[] =
	    "{\"server\":\"https://localhost:%P\",\"insecure\":true}";
	static const char parameter[] = "{\"type\":\"webhook\"}";
	struct fixture *f = *state;

	make_certificate(f);
	start_peer(f, "http", "tls");
	assert_string_equal(webhook(f, spec, parameter, NULL),
	    "failed SSL peer certificate or SSH remote key was not OK (1);");
	assert_string_equal(webhook(f, trusting, parameter, NULL),
	    "POST / Content-Type=application/yaml {}|\n");
	f->settings.ca_file = str_of(f->cert);
	assert_string_equal(webhook(f, spec, parameter, NULL),
	    "POST / Content-Type=application/yaml {}|\n");
}

static void
webhooks_keep_every_spelling_of_a_secret(void **state)
{
	struct fixture *f = *state;

	start_the_peer(f);
	assert_string_equal(
	    webhook(f,
		"{\"server\":\"http://me:pass%40word@127.0.0.1:%P\","
		"\"api\":\"/echo/400\",\"queryParameters\":"
		"{\"key\":\"a secret&\"}}",
		"{\"type\":\"webhook\",\"customData\":true,"
		"\"data\":\"a secret&\"}",
		NULL),
	    "failed the server answered HTTP 400: no: /echo/400?key=*** "
	    "Basic *** *** (1);");
}

static void
webhooks_go_to_the_host_that_was_checked(void **state)
{
	static const char *const servers[] = { "http://evil.example",
		"http://127.0.0.1@evil.example",
		"http://127.0.0.1:80@evil.example/",
		"http://evil.example#@127.0.0.1", "http://127.0.0.1.evil",
		"http://evil.example?@127.0.0.1/" };
	struct fixture *f = *state;

	f->settings.allow_hosts = STR("127.0.0.1, *.good.example");
	for (size_t i = 0; i < COUNT_OF(servers); i++) {
		char spec[200];
		int rc;

		snprintf(spec, sizeof(spec), "{\"server\":\"%s\"}", servers[i]);
		rc = try_open(f, spec);
		if (rc != ERR_DENIED)
			fail_msg("%s: %d", servers[i], rc);
		handler_close(f->h);
		f->h = NULL;
	}
	assert_int_equal(
	    try_open(f, "{\"server\":\"http://a.Good.Example:8080/x\"}"), 0);
}

static void
webhooks_do_not_wait_for_names(void **state)
{
	struct fixture *f = *state;

	f->settings.timeout = 200;
	f->settings.retries = 1;
	assert_non_null(
	    strstr(webhook(f, "{\"server\":\"http://a.name.invalid\"}",
		       "{\"type\":\"webhook\"}", NULL),
		"failed "));
	assert_non_null(strstr(buf_z(&f->told), "(2);"));
}

static int
set_up_mqtt(void **state)
{
	kind = kind_named("mqtt");
	return set_up(state);
}

static void
mqtt_goes_over_tls_to_whom_it_trusts(void **state)
{
	static const char spec[] =
	    "{\"broker\":\"tls://localhost:%P\",\"publish\":\"open/t\"}";
	struct fixture *f = *state;
	uint16_t plain = f->port;

	make_certificate(f);
	f->tls_port = test_port();
	start_mosquitto(f);
	f->port = f->tls_port;
	assert_int_equal(try_open(f, spec), 0);
	until_status(f, HANDLER_DOWN); /* nobody has signed that */
	handler_close(f->h);
	f->settings.ca_file = str_of(f->cert);
	assert_int_equal(try_open(f, spec), 0);
	must_post(f, kind->good, 7);
	until_answered(f, 1);
	until_came(f, "open/t 0 n 7\n");
	f->port = plain;
}

static void
mqtt_forgets_what_is_under_way_when_closed(void **state)
{
	struct fixture *f = *state;

	f->settings.timeout = 100;
	start(f);
	until_status(f, HANDLER_UP);
	kill(f->peer, SIGSTOP); /* it is there, and says nothing */
	must_post(f, kind->good, 1);
	until_answered(f, 1);
	assert_told(f, "failed no answer within 100 ms (3);");
	must_post(f, kind->good, 2);
	turn_for(f, 50);
	handler_close(f->h);
	f->h = NULL;
	assert_int_equal(f->answered, 2); /* and ASan is silent */
}

static int
set_up_email(void **state)
{
	kind = kind_named("email");
	return set_up(state);
}

static void
mail(struct fixture *f, const char *spec)
{
	buf_clear(&f->told);
	buf_clear(&f->came);
	f->answered = 0;
	handler_close(f->h);
	f->h = NULL;
	if (try_open(f, spec) != 0)
		fail_msg("%s", f->err.text);
	assert_int_equal(
	    post_with(f,
		"{\"type\":\"email\",\"to\":[\"Ann <ann@example.org>\","
		"\"ben@example.org,c@example.org\"],\"subject\":"
		"\"T\xc3\xbcr\\r\\nBcc: spy@x\",\"body\":\"a\\n.\\nb\"}",
		NULL),
	    0);
	until_answered(f, 1);
}

static void
mails_are_sent_by_the_security_that_is_wanted(void **state)
{
	static const char spec[] =
	    "{\"host\":\"localhost\",\"port\":%P,\"security\":\"%s\","
	    "\"fromEmail\":\"Hub <hub@example.com>\",\"authType\":\"%s\","
	    "\"username\":\"hub@example.com\",\"password\":"
	    "\"hunter2-secret\"}";
	static const struct {
		const char *mode, *security, *auth, *begins;
	} cases[] = {
		{ "none", "none", "crammd5", "AUTH-CRAM-MD5 FROM" },
		{ "starttls", "starttls", "", "STARTTLS AUTH-PLAIN FROM" },
		{ "tls", "tls", "plain", "TLS AUTH-PLAIN FROM" },
	};
	struct fixture *f = *state;

	f->settings.ca_file = str_of(f->cert); /* it is checked */
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		char text[400], *p = text;
		const char *came;

		for (const char *s = spec; *s != '\0'; s++) {
			static int n;

			if (strncmp(s, "%s", 2) == 0) {
				p += sprintf(p, "%s",
				    n++ % 2 == 0 ? cases[i].security
						 : cases[i].auth);
				s++;
			} else {
				*p++ = *s;
			}
		}
		*p = '\0';
		start_peer(f, "smtp", cases[i].mode);
		mail(f, text);
		assert_told(f, "ok 250 queued (1);");
		came = buf_z(&f->came);
		assert_int_equal(
		    strncmp(came, cases[i].begins, strlen(cases[i].begins)), 0);
		assert_non_null(strstr(came,
		    "FROM <hub@example.com> TO <ann@example.org> TO "
		    "<ben@example.org> TO <c@example.org> | From: \"Hub\" "
		    "<hub@example.com>|To: \"Ann\" <ann@example.org>, "
		    "ben@example.org, c@example.org|Subject: =?UTF-8?B?"));
		assert_null(strstr(came, "|Bcc"));
		assert_non_null(strstr(came, "|Date: "));
		assert_non_null(strstr(came, "|Message-ID: <"));
		assert_non_null(strstr(came, "@example.com>|MIME-Version"));
		assert_non_null(strstr(came, "||a|.|b\n"));
		loop_unwatch(f->loop, &f->io);
		kill(f->peer, SIGKILL);
		waitpid(f->peer, NULL, 0);
		close(f->from_peer);
		f->peer = 0;
		f->from_peer = -1;
	}
}

static void
mails_do_not_trust_or_go_in_the_clear_by_themselves(void **state)
{
	struct fixture *f = *state;

	start_the_peer(f);
	/* nobody has signed that certificate */
	mail(f, "{\"host\":\"localhost\",\"port\":%P,\"fromEmail\":\"a@b\"}");
	assert_non_null(strstr(buf_z(&f->told), "failed SSL peer"));
	assert_non_null(strstr(buf_z(&f->told), "(1);"));
	/* a login that is refused is not repeated, nor said */
	mail(f,
	    "{\"host\":\"localhost\",\"port\":%P,\"insecure\":true,"
	    "\"username\":\"hub@example.com\",\"password\":\"wrong-"
	    "word\"}");
	assert_non_null(strstr(buf_z(&f->told), "failed Login denied: 535"));
	assert_non_null(strstr(buf_z(&f->told), "***"));
	assert_null(strstr(buf_z(&f->told), "wrong-word"));
	assert_non_null(strstr(buf_z(&f->told), "(1);"));
	assert_int_equal(f->came.len, 0);
}

static int
threads(void)
{
	DIR *tasks = opendir("/proc/self/task");
	int n = 0;

	while (readdir(tasks) != NULL)
		n++;
	closedir(tasks);
	return n;
}

static void
mails_leave_no_thread_that_waits_for_a_goodbye(void **state)
{
	struct fixture *f = *state;
	int before;

	start(f);
	before = threads();
	must_post(f, kind->good, 1);
	must_post(f, kind->refused, 2);
	until_answered(f, 2);
	for (int64_t end = now_ms() + WAIT_MS; threads() > before;) {
		assert_true(now_ms() < end);
		turn(f);
	}
}

static void
mails_are_not_sent_where_starttls_is_missing(void **state)
{
	struct fixture *f = *state;

	start_peer(f, "smtp", "none");
	mail(f, "{\"host\":\"localhost\",\"port\":%P,\"fromEmail\":\"a@b\"}");
	assert_non_null(strstr(buf_z(&f->told), "failed "));
	assert_int_equal(f->came.len, 0);
}

static int
set_up_telegram(void **state)
{
	kind = kind_named("telegram");
	return set_up(state);
}

static void
telegram_says_at_once_whether_the_token_is_good(void **state)
{
	struct fixture *f = *state;

	start(f);
	until_status(f, HANDLER_UP);
	handler_close(f->h);
	f->h = NULL;
	assert_int_equal(try_open(f, "{\"token\":\"9:badtoken\"}"), 0);
	until_status(f, HANDLER_DOWN);
	assert_string_equal(state_of(f).text,
	    "Telegram answered HTTP 401: Unauthorized: /bot***/getMe");
}

static void
telegram_sends_to_every_chat_once(void **state)
{
	struct fixture *f = *state;

	start(f);
	/* one refuses, one is busy at first: the others get theirs once */
	must_post(f,
	    "{\"type\":\"telegram\",\"text\":\"hi\",\"parseMode\":\"html\","
	    "\"chatIds\":\"1,-404,-429,2\"}",
	    0);
	until_answered(f, 1);
	assert_told(f,
	    "failed chat -404: Telegram answered HTTP 400: Bad Request: chat "
	    "not found *** (2);");
	until_came(f, "telegram 2");
	assert_string_equal(buf_z(&f->came),
	    "telegram 1 HTML hi\ntelegram -429 HTML hi\n"
	    "telegram 2 HTML hi\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define OWN(type, name)                                                        \
	cmocka_unit_test_setup_teardown(name, set_up_##type, tear_down)

/* With an argument: only the tests whose names match it, by "*" and "?". */
int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(a_message_arrives_and_is_answered_once),
		TEST(messages_keep_their_order),
		TEST(what_may_pass_is_tried_again),
		TEST(it_is_given_up_after_the_retries),
		TEST(what_the_peer_refuses_is_not_tried_again),
		TEST(secrets_are_in_no_sentence),
		TEST(a_peer_that_is_away_blocks_nobody),
		TEST(a_peer_that_comes_back_gets_what_waited),
		TEST(a_peer_that_does_not_answer_runs_into_its_time),
		TEST(a_full_queue_and_a_large_message_are_refused),
		TEST(the_rate_spreads_messages),
		TEST(parameters_of_others_are_passed_over),
		TEST(wrong_parameters_are_refused_at_once),
		TEST(a_wrong_spec_is_refused),
		TEST(only_hosts_of_the_list_are_talked_to),
		TEST(closing_answers_what_waits),
		TEST(closing_stops_what_is_being_sent),
		TEST(a_handler_may_be_closed_by_its_answer),
		TEST(a_change_of_state_is_told),
	};
	const struct CMUnitTest own[] = {
		OWN(webhook, webhooks_send_what_spec_and_parameter_say),
		OWN(webhook, webhooks_know_the_status_they_want),
		OWN(webhook, webhooks_check_who_they_talk_to),
		OWN(webhook, webhooks_keep_every_spelling_of_a_secret),
		OWN(webhook, webhooks_go_to_the_host_that_was_checked),
		OWN(webhook, webhooks_do_not_wait_for_names),
		OWN(mqtt, mqtt_goes_over_tls_to_whom_it_trusts),
		OWN(mqtt, mqtt_forgets_what_is_under_way_when_closed),
		OWN(email, mails_are_sent_by_the_security_that_is_wanted),
		OWN(email, mails_do_not_trust_or_go_in_the_clear_by_themselves),
		OWN(email, mails_are_not_sent_where_starttls_is_missing),
		OWN(email, mails_leave_no_thread_that_waits_for_a_goodbye),
		OWN(telegram, telegram_says_at_once_whether_the_token_is_good),
		OWN(telegram, telegram_sends_to_every_chat_once),
	};
	int failed = 0;

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	signal(SIGPIPE, SIG_IGN);
	unsetenv("http_proxy");
	for (size_t i = 0; i < COUNT_OF(kinds); i++) {
		kind = &kinds[i];
		failed +=
		    cmocka_run_group_tests_name(kind->name, tests, NULL, NULL);
	}
	return failed + cmocka_run_group_tests_name("own", own, NULL, NULL);
}
