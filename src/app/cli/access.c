/*
 * app/cli/access.c - see access.h.
 *
 * Of a WebSocket: nothing is read from standard input before the tunnel is
 * open, nor while too much waits; its end is told where the server understands
 * that. Standard output is written as far as it takes it.
 */
#include "app/cli/access.h"

#include "app/cli/cli.h"
#include "base/base.h"
#include "base/loop.h"
#include "base/mem.h"
#include "codec/json.h"
#include "codec/relay.h"
#include "net/tls.h"
#include "net/ws_conn.h"
#include "net/ws_dial.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define WAITING_MAX ((size_t)1 << 20)
#define LOW ((size_t)256 << 10)
#define READ_MAX 65536
#define MESSAGE_MAX ((size_t)4 << 20)

/* --- by the platform's own socket ----------------------------------------- */

/* Its folder's path may be longer than that of a socket. */
static int
connect_socket(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	char *copy = mem_printf("%s", path), *copy2 = mem_printf("%s", path);
	int dir = open(dirname(copy), O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(sa.sun_path, sizeof(sa.sun_path), "/proc/self/fd/%d/%s", dir,
	    basename(copy2));
	if (dir < 0 || fd < 0 ||
	    connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		fd = -1;
	}
	if (dir >= 0)
		close(dir);
	free(copy);
	free(copy2);
	return fd;
}

static bool
write_whole(int fd, const char *p, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		len -= (size_t)n;
	}
	return true;
}

/* Copies what is there; false: that side has ended. */
static bool
copy_some(int from, int to)
{
	char p[READ_MAX];
	ssize_t n;

	do
		n = read(from, p, sizeof(p));
	while (n < 0 && errno == EINTR);
	return n > 0 && write_whole(to, p, (size_t)n);
}

static int
pump(int fd)
{
	struct pollfd on[2] = { { .fd = 0, .events = POLLIN },
		{ .fd = fd, .events = POLLIN } };

	for (;;) {
		if (poll(on, 2, -1) < 0 && errno != EINTR)
			return 1;
		if (on[1].revents != 0 && !copy_some(fd, 1))
			return 0;
		if (on[0].revents != 0 && !copy_some(0, fd)) {
			(void)shutdown(fd, SHUT_WR);
			on[0].fd = -1;
		}
	}
}

bool
access_by_socket(int argc, char **argv, int *status)
{
	char *line;
	int fd;

	if (argc != 7 || strcmp(argv[1], "fleet") != 0 ||
	    strcmp(argv[2], "access") != 0 ||
	    strcmp(argv[3], "--socket") != 0 || strcmp(argv[5], "--pass") != 0)
		return false;
	*status = 1;
	fd = connect_socket(argv[4]);
	if (fd < 0)
		return true;
	line = mem_printf("%s\n", argv[6]);
	if (write_whole(fd, line, strlen(line)))
		*status = pump(fd);
	free(line);
	close(fd);
	return true;
}

/* --- by WebSocket --------------------------------------------------------- */

struct tunnel {
	struct loop *loop;
	struct tls_client *tls;
	struct ws_dial *dial;
	struct ws_conn *ws;
	struct loop_io in, out;
	struct relay_message start;
	struct buf to_out;
	size_t written;
	bool open, binary, eof_known, held;
	bool in_over, over;
	bool out_over; /* the device says no more: standard output ends */
	struct err err;
};

static void
finish(struct tunnel *t)
{
	t->over = true;
	if (t->to_out.len == t->written || t->err.code != 0)
		loop_stop(t->loop);
}

static void
fail(struct tunnel *t, const char *why)
{
	if (t->err.code == 0)
		(void)err_set(&t->err, ERR_CLOSED, "%s", why);
	finish(t);
}

static void
say(struct tunnel *t, const struct relay_message *m)
{
	struct buf b = { 0 };

	relay_write(m, &b);
	ws_conn_send(t->ws, false, buf_str(&b));
	buf_free(&b);
}

static void
watch_in(struct tunnel *t)
{
	bool want = t->open && !t->in_over && t->ws != NULL &&
	    ws_conn_waiting(t->ws) < WAITING_MAX;

	loop_watch(t->loop, &t->in, want ? LOOP_READ : 0);
}

static void
send_some(struct tunnel *t, struct str bytes)
{
	struct relay_message m = { .kind = RELAY_DATA };
	struct buf b = { 0 };

	if (t->binary) {
		ws_conn_send(t->ws, true, bytes);
		return;
	}
	base64_encode(&b, bytes.ptr, bytes.len, false);
	m.data_base64 = buf_str(&b);
	say(t, &m);
	buf_free(&b);
}

static void
on_in(struct loop_io *io, unsigned what)
{
	struct tunnel *t = container_of(io, struct tunnel, in);
	char p[READ_MAX];
	ssize_t n = read(io->fd, p, t->binary ? sizeof(p) : 12288);

	(void)what;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		send_some(t, (struct str){ p, (size_t)n });
	} else {
		t->in_over = true;
		if (t->eof_known)
			say(t, &(struct relay_message){ .kind = RELAY_EOF });
		else
			finish(t);
	}
	watch_in(t);
}

/* Who reads our output sees its end; the number stays taken. */
static void
end_out(struct tunnel *t)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	loop_unwatch(t->loop, &t->out);
	if (null >= 0) {
		(void)dup2(null, t->out.fd);
		close(null);
	}
	t->out_over = false;
}

static void
on_out(struct loop_io *io, unsigned what)
{
	struct tunnel *t = container_of(io, struct tunnel, out);

	(void)what;
	while (t->written < t->to_out.len) {
		ssize_t n = write(io->fd, t->to_out.ptr + t->written,
		    t->to_out.len - t->written);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n <= 0) {
			fail(t, "standard output was closed");
			return;
		}
		t->written += (size_t)n;
	}
	if (t->written == t->to_out.len) {
		buf_free(&t->to_out);
		t->to_out = (struct buf){ 0 };
		t->written = 0;
	}
	if (t->held && t->to_out.len - t->written < LOW) {
		t->held = false;
		if (t->ws != NULL)
			ws_conn_release(t->ws);
	}
	loop_watch(
	    t->loop, &t->out, t->written < t->to_out.len ? LOOP_WRITE : 0);
	if (t->out_over && t->to_out.len == 0)
		end_out(t);
	if (t->over)
		finish(t);
}

static void
take(struct tunnel *t, struct str bytes)
{
	buf_add_str(&t->to_out, bytes);
	if (!t->held && t->to_out.len - t->written > WAITING_MAX) {
		t->held = true;
		ws_conn_hold(t->ws);
	}
	on_out(&t->out, LOOP_WRITE);
}

static void
on_text(struct tunnel *t, const struct relay_message *m)
{
	struct buf b = { 0 };
	char *why;

	switch (m->kind) {
	case RELAY_START_OK:
		t->open = true;
		t->binary = m->supports_binary;
		t->eof_known = m->supports_eof;
		watch_in(t);
		break;
	case RELAY_DATA:
		if (base64_decode(&b, m->data_base64) && b.len > 0)
			take(t, buf_str(&b));
		buf_free(&b);
		break;
	case RELAY_EOF:
		/* the device has said all; what it still reads goes on */
		t->out_over = true;
		on_out(&t->out, LOOP_WRITE);
		if (t->in_over)
			finish(t);
		break;
	case RELAY_ERROR:
		why = str_dupz(
		    m->message.ptr != NULL ? m->message : STR("refused"));
		fail(t, why);
		free(why);
		break;
	default:
		break;
	}
}

static void
on_message(void *owner, bool binary, struct str payload)
{
	struct tunnel *t = owner;
	struct arena a = { 0 };
	struct relay_message m;
	struct err err;

	if (binary)
		take(t, payload);
	else if (relay_read(payload, true, &a, &m, &err) != 0)
		fail(t, err.text);
	else
		on_text(t, &m);
	arena_fini(&a);
}

static void
on_room(void *owner)
{
	watch_in(owner);
}

static void
on_closed(void *owner, const struct err *why)
{
	struct tunnel *t = owner;

	(void)why;
	t->ws = NULL;
	if (!t->open)
		fail(t,
		    "the server refused: the token is not for this device, or "
		    "has expired");
	else
		finish(t);
}

static void
on_dialed(void *owner, int fd, struct stream *top, struct str already,
    const struct err *why)
{
	static const struct ws_conn_events events = { on_message, on_room,
		on_closed };
	const struct ws_conn_conf conf = {
		.message_max = MESSAGE_MAX, .client = true, .low = LOW
	};
	struct tunnel *t = owner;

	t->dial = NULL;
	if (fd < 0) {
		fail(t, why->text);
		return;
	}
	t->ws = ws_conn_new(t->loop, &conf, fd, top, already, &events, t);
	say(t, &t->start);
}

static int
dial(struct tunnel *t, struct str url, struct err *err)
{
	const struct tls_client_conf tls = { .verify = true };
	struct ws_dial_conf conf = { .url = url };
	int rc = 0;

	if (str_starts(url, STR("https:"))) {
		rc = tls_client_new(&tls, &t->tls, err);
		conf.tls = t->tls;
		conf.wrap = tls_client_stream;
	}
	return rc == 0
	    ? ws_dial_start(t->loop, &conf, on_dialed, t, &t->dial, err)
	    : rc;
}

static void
unblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0)
		(void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

static int
run_tunnel(struct tunnel *t, struct str url, struct err *err)
{
	int rc;

	t->loop = loop_new();
	t->in = (struct loop_io){ .ready = on_in, .fd = 0 };
	t->out = (struct loop_io){ .ready = on_out, .fd = 1 };
	unblock(0);
	unblock(1);
	rc = dial(t, url, err);
	if (rc == 0) {
		loop_run(t->loop);
		if (t->err.code != 0) {
			*err = t->err;
			rc = err->code;
		}
	}
	ws_dial_cancel(t->dial);
	ws_conn_close(t->ws, 0);
	loop_unwatch(t->loop, &t->in);
	loop_unwatch(t->loop, &t->out);
	loop_turn(t->loop, 0);
	loop_free(t->loop);
	tls_client_free(t->tls);
	buf_free(&t->to_out);
	return rc;
}

/* --- the command ---------------------------------------------------------- */

struct access {
	struct str device, host, token;
	int64_t port;
};
static const struct field access_fields[] = {
	F_TEXT(struct access, device, "device", .help = "Id of the device."),
	F_TEXT(struct access, host, "host",
	    .help = "Where to, seen from the device. Left out: localhost."),
	F_INT(struct access, port, "port", .min = 1, .max = 65535,
	    .help = "The port there. Left out: 22."),
	F_TEXT(struct access, token, "token",
	    .help = "An access token of the device, or the variable "
		    "MARRAM_ACCESS_TOKEN. Left out: one is asked for in your "
		    "name."),
	{ 0 },
};
const struct record access_record = { "cliFleetAccess", sizeof(struct access),
	access_fields };

/* One in the name of who is signed in. */
static int
ask_token(struct cli *cli, struct str device, struct str *ret, int *status)
{
	struct arena *a = &cli->arena;
	struct fetched r;
	struct str data, token;
	struct json j;
	struct err err;
	int rc = session_call(&cli->session, "POST",
	    arena_printf(
		a, "/fleet/api/v1/device/" STR_FMT "/access", STR_ARG(device)),
	    STR("{\"data\":{}}"), a, &r, &err);

	if (rc != 0) {
		*status = cli_failed(cli, &err);
		return rc;
	}
	data = r.status == 200 ? json_find(a, r.body, STR("data")) : STR_NULL;
	token = data.ptr != NULL ? json_find(a, data, STR("token")) : STR_NULL;
	json_open(&j, token, 0, a);
	if (token.ptr != NULL && json_str(&j, ret))
		return 0;
	*status = cli_refused(cli, &r);
	return ERR_DENIED;
}

int
run_access(struct cli *cli, const struct cli_value *values)
{
	const struct cli_command *c = cli->command;
	struct str host = cli_text(c, values, "host");
	struct str port = cli_text(c, values, "port");
	struct str token = cli_text(c, values, "token");
	struct tunnel t = { .start = { .kind = RELAY_CLIENT_START,
				.target_port = 22,
				.protocol = STR("tcp"),
				.supports_binary = true,
				.supports_eof = true } };
	struct err err;
	int status;

	t.start.connection_target = cli_text(c, values, "device");
	t.start.target_ip = host.len > 0 ? host : STR("localhost");
	if (port.len > 0 && !str_to_i64(port, &t.start.target_port)) {
		(void)err_set(&err, ERR_PARAM, "--port: must be a number");
		return cli_misused(cli, "fleet access", &err);
	}
	if (token.len == 0)
		token = str_of(getenv("MARRAM_ACCESS_TOKEN"));
	if (token.len == 0 &&
	    ask_token(cli, t.start.connection_target, &token, &status) != 0)
		return status;
	t.start.secret = token;
	if (run_tunnel(&t,
		session_url(&cli->session, &cli->arena,
		    STR("/agent/relay_for_clients")),
		&err) != 0)
		return cli_failed(cli, &err);
	return 0;
}
