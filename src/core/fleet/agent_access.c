/*
 * core/fleet/agent_access.c - the near ends of tunnels.
 *
 * A WebSocket at /agent/relay_for_clients: its first message says where to, and
 * shows a token for that device. Or a socket in our own folder, which only we
 * may open: there `ssh` comes, by way of `fleet access --socket`, with a first
 * line that is the pass of a job. Both know a tunnel by struct tunnel_end.
 *
 *    NEW --start, pass--> CHECK --the token is good--> OPENING --> OPEN
 *
 * Any goes to its end when the tunnel or the near side ends; what is still to
 * be sent is sent first, for a while.
 */
#include "core/fleet/agent.h"

#include "base/base.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LOG_MODULE "fleet"
#define START_MS 15000
#define LAST_MS 10000
#define LINE_MAX_LEN 128
#define BACKLOG 128
#define READ_MAX 65536

struct access {
	struct fleet_agents *all;
	struct list link;
	struct tunnel_end end;
	struct loop_timer timer;
	bool dead, started, opened;
	/* by WebSocket */
	struct ws_conn *ws;
	bool binary, eof_known, held;
	struct arena arena;
	struct relay_message start;
	struct check *check; /* under way */
	/* by our socket */
	struct loop_io io;
	char line[LINE_MAX_LEN];
	size_t line_len;
	struct buf early; /* came before the tunnel was open */
	struct buf out;
	size_t sent;
	bool in_over, out_over, shut; /* EOF read; EOF to be sent; it is */
};

/* A token that a worker looks at. */
struct check {
	struct fleet_agents *all;
	struct access *access; /* NULL: it has gone */
	struct loop_post post;
	struct str secret, device_id; /* owned */
	struct err err;
	int rc;
};

static bool
by_socket(const struct access *c)
{
	return c->io.fd >= 0;
}

static struct loop *
loop_of(const struct access *c)
{
	return c->all->fleet->loop;
}

/* The tunnel has been seen to; `code` is for a WebSocket. */
static void
access_free(struct access *c, int code)
{
	if (c->dead)
		return;
	c->dead = true;
	if (c->end.tunnel != NULL)
		tunnel_close(c->end.tunnel, "the client has gone");
	loop_cancel(loop_of(c), &c->timer);
	list_del(&c->link);
	c->all->n_accesses--;
	ws_conn_close(c->ws, code);
	c->ws = NULL;
	if (by_socket(c)) {
		loop_unwatch(loop_of(c), &c->io);
		close(c->io.fd);
	}
	if (c->check != NULL)
		c->check->access = NULL;
	buf_free(&c->early);
	buf_free(&c->out);
	arena_fini(&c->arena);
	loop_free_later(loop_of(c), c);
}

static void
on_timer(struct loop_timer *t)
{
	access_free(container_of(t, struct access, timer), WEBSOCKET_AWAY);
}

static struct access *
access_make(struct fleet_agents *all)
{
	struct access *c = mem_new(struct access);

	c->all = all;
	c->io.fd = -1;
	c->timer.fire = on_timer;
	list_add(&all->accesses, &c->link);
	all->n_accesses++;
	loop_after(all->fleet->loop, &c->timer, START_MS);
	return c;
}

/* --- by WebSocket --------------------------------------------------------- */

static void
ws_say(struct access *c, const struct relay_message *m)
{
	struct buf b = { 0 };

	relay_write(m, &b);
	ws_conn_send(c->ws, false, buf_str(&b));
	buf_free(&b);
}

static void
ws_error(struct access *c, const char *why)
{
	ws_say(c,
	    &(struct relay_message){
		.kind = RELAY_ERROR, .message = str_of(why) });
	access_free(c, WEBSOCKET_NORMAL);
}

static struct access *
of_end(const struct tunnel_end *e)
{
	return container_of(e, struct access, end);
}

static void
ws_opened(struct tunnel_end *e)
{
	struct access *c = of_end(e);

	loop_cancel(loop_of(c), &c->timer);
	c->opened = true;
	c->held = false;
	ws_conn_release(c->ws);
	ws_say(c,
	    &(struct relay_message){ .kind = RELAY_START_OK,
		.supports_binary = true,
		.supports_eof = true });
}

static void
ws_data(struct tunnel_end *e, struct str bytes)
{
	struct access *c = of_end(e);
	struct relay_message m = { .kind = RELAY_DATA };
	struct buf b = { 0 };

	if (c->binary) {
		ws_conn_send(c->ws, true, bytes);
		return;
	}
	base64_encode(&b, bytes.ptr, bytes.len, false);
	m.data_base64 = buf_str(&b);
	ws_say(c, &m);
	buf_free(&b);
}

static void
ws_eof(struct tunnel_end *e)
{
	struct access *c = of_end(e);

	if (c->eof_known)
		ws_say(c, &(struct relay_message){ .kind = RELAY_EOF });
	else
		access_free(c, WEBSOCKET_NORMAL);
}

static void
ws_ended(struct tunnel_end *e, const char *why, bool refused)
{
	struct access *c = of_end(e);

	if (refused)
		ws_error(c, why);
	else
		access_free(c, WEBSOCKET_NORMAL);
}

static size_t
ws_waiting(const struct tunnel_end *e)
{
	const struct access *c = of_end(e);

	return ws_conn_waiting(c->ws);
}

static void
ws_room(struct tunnel_end *e)
{
	struct access *c = of_end(e);

	if (!c->held || !c->opened || !tunnel_has_room(e->tunnel))
		return;
	c->held = false;
	ws_conn_release(c->ws);
}

static const struct tunnel_end_ops ws_ops = { ws_opened, ws_data, ws_eof,
	ws_ended, ws_waiting, ws_room };

static void
on_checked(struct loop_post *p)
{
	struct check *k = container_of(p, struct check, post);
	struct access *c = k->access;
	const struct relay_message *m;
	struct err err;

	if (c != NULL) {
		c->check = NULL;
		m = &c->start;
		if (k->rc != 0) {
			log_warn("a tunnel is refused: %s", k->err.text);
			access_free(c, WEBSOCKET_NORMAL);
		} else if (tunnel_open(agent_of(c->all, m->connection_target),
			       m->target_ip, m->target_port, &c->end,
			       &err) != 0) {
			ws_error(c, err.text);
		} else {
			log_info("tunnel to " STR_FMT
				 ":%lld of device " STR_FMT,
			    STR_ARG(m->target_ip), (long long)m->target_port,
			    STR_ARG(m->connection_target));
		}
	}
	explicit_bzero((char *)k->secret.ptr, k->secret.len);
	str_free(k->secret);
	str_free(k->device_id);
	free(k);
}

static void
run_check(void *ctx)
{
	struct check *k = ctx;

	k->rc =
	    fleet_access_check(k->all->fleet, k->secret, k->device_id, &k->err);
	k->post.run = on_checked;
	loop_post(k->all->fleet->loop, &k->post);
}

static void
ws_start(struct access *c, struct str text)
{
	struct relay_message *m = &c->start;
	struct check *k;
	struct err err;

	if (relay_read(arena_str(&c->arena, text), true, &c->arena, m, &err) !=
		0 ||
	    m->kind != RELAY_CLIENT_START) {
		access_free(c, WEBSOCKET_UNSUPPORTED);
		return;
	}
	if (!str_eqz(m->protocol, "tcp")) {
		ws_error(c, "only the protocol tcp is known");
		return;
	}
	c->started = true;
	ws_conn_message_max(c->ws, ACCESS_MESSAGE_MAX);
	c->held = true; /* until the tunnel is open */
	ws_conn_hold(c->ws);
	c->binary = m->supports_binary;
	c->eof_known = m->supports_eof;
	k = c->check = mem_new(struct check);
	k->all = c->all;
	k->access = c;
	k->secret = str_copy(m->secret);
	k->device_id = str_copy(m->connection_target);
	if (!agent_work(c->all, run_check, k)) {
		k->rc = err_set(&k->err, ERR_LIMIT, "too much waits");
		k->post.run = on_checked;
		loop_post(loop_of(c), &k->post);
	}
}

static void
ws_bytes(struct access *c, struct str bytes)
{
	if (c->end.tunnel == NULL || bytes.len == 0)
		return;
	tunnel_send(c->end.tunnel, bytes);
	if (!c->held && !tunnel_has_room(c->end.tunnel)) {
		c->held = true;
		ws_conn_hold(c->ws);
	}
}

static void
ws_text(struct access *c, struct str text)
{
	struct arena arena = { 0 };
	struct relay_message m;
	struct buf b = { 0 };

	if (relay_read(text, true, &arena, &m, NULL) != 0) {
		access_free(c, WEBSOCKET_UNSUPPORTED);
	} else if (m.kind == RELAY_EOF && c->end.tunnel != NULL) {
		tunnel_eof(c->end.tunnel);
	} else if (m.kind == RELAY_DATA) {
		if (base64_decode(&b, m.data_base64) && b.len > 0)
			ws_bytes(c, buf_str(&b));
	}
	buf_free(&b);
	arena_fini(&arena);
}

static void
on_ws_message(void *owner, bool binary, struct str payload)
{
	struct access *c = owner;

	if (!c->started && !binary)
		ws_start(c, payload);
	else if (!c->started)
		access_free(c, WEBSOCKET_UNSUPPORTED);
	else if (binary)
		ws_bytes(c, payload);
	else
		ws_text(c, payload);
}

static void
on_ws_room(void *owner)
{
	struct access *c = owner;

	if (c->end.tunnel != NULL)
		tunnel_drained(c->end.tunnel);
}

static void
on_ws_closed(void *owner, const struct err *why)
{
	struct access *c = owner;

	(void)why;
	c->ws = NULL;
	access_free(c, 0);
}

void
access_new(struct fleet_agents *all, const struct http_upgraded *u)
{
	static const struct ws_conn_events events = { on_ws_message, on_ws_room,
		on_ws_closed };
	struct access *c = access_make(all);

	c->end.ops = &ws_ops;
	c->ws = agents_connection(all, u, &events, c);
}

/* --- by our socket -------------------------------------------------------- */

static void fd_settle(struct access *c);

static void
fd_opened(struct tunnel_end *e)
{
	struct access *c = of_end(e);

	loop_cancel(loop_of(c), &c->timer);
	c->opened = true;
	if (c->early.len > 0)
		tunnel_send(e->tunnel, buf_str(&c->early));
	buf_clear(&c->early);
	fd_settle(c);
}

static void
fd_data(struct tunnel_end *e, struct str bytes)
{
	struct access *c = of_end(e);

	buf_add_str(&c->out, bytes);
	fd_settle(c);
}

static void
fd_eof(struct tunnel_end *e)
{
	struct access *c = of_end(e);

	c->out_over = true;
	fd_settle(c);
}

static void
fd_ended(struct tunnel_end *e, const char *why, bool refused)
{
	struct access *c = of_end(e);

	(void)why;
	(void)refused;
	c->in_over = c->out_over = true;
	loop_after(loop_of(c), &c->timer, LAST_MS);
	fd_settle(c);
}

static size_t
fd_waiting(const struct tunnel_end *e)
{
	const struct access *c = of_end(e);

	return c->out.len - c->sent;
}

static void
fd_room(struct tunnel_end *e)
{
	fd_settle(of_end(e));
}

static const struct tunnel_end_ops fd_ops = { fd_opened, fd_data, fd_eof,
	fd_ended, fd_waiting, fd_room };

/* False: it is over. */
static bool
fd_write(struct access *c)
{
	while (c->sent < c->out.len) {
		ssize_t n = send(c->io.fd, c->out.ptr + c->sent,
		    c->out.len - c->sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN) {
			access_free(c, 0);
			return false;
		}
		if (n <= 0)
			break;
		c->sent += (size_t)n;
	}
	if (c->sent == c->out.len) {
		buf_free(&c->out);
		c->out = (struct buf){ 0 };
		c->sent = 0;
	} else if (c->sent > AGENT_LOW) {
		memmove(c->out.ptr, c->out.ptr + c->sent, c->out.len - c->sent);
		c->out.len -= c->sent;
		c->sent = 0;
	}
	return true;
}

static void
fd_settle(struct access *c)
{
	unsigned what = 0;

	if (c->dead || !fd_write(c))
		return;
	if (c->end.tunnel != NULL)
		tunnel_drained(c->end.tunnel);
	if (c->out_over && !c->shut && c->out.len == 0) {
		c->shut = true;
		(void)shutdown(c->io.fd, SHUT_WR);
	}
	if (c->shut && c->end.tunnel == NULL) {
		access_free(c, 0);
		return;
	}
	if (!c->in_over &&
	    (!c->started ||
		(c->opened && c->end.tunnel != NULL &&
		    tunnel_has_room(c->end.tunnel))))
		what |= LOOP_READ;
	if (c->sent < c->out.len)
		what |= LOOP_WRITE;
	loop_watch(loop_of(c), &c->io, what);
}

static struct agent *
agent_of_pass(struct fleet_agents *all, struct str token)
{
	struct agent *a = proof_agent(all, token);
	struct pass *p;

	if (a != NULL)
		return a;
	pthread_mutex_lock(&all->lock);
	p = map_get(&all->passes, token);
	if (p != NULL)
		a = map_get(&all->by_device, p->device_id);
	pthread_mutex_unlock(&all->lock);
	return a;
}

/* The first line: which tunnel it is for. */
static void
fd_line(struct access *c, struct str bytes)
{
	const char *nl;
	struct err err;

	while (bytes.len > 0 && c->line_len < sizeof(c->line) &&
	    (c->line_len == 0 || c->line[c->line_len - 1] != '\n')) {
		c->line[c->line_len++] = *bytes.ptr++;
		bytes.len--;
	}
	nl = memchr(c->line, '\n', c->line_len);
	if (nl == NULL) {
		if (c->line_len == sizeof(c->line))
			access_free(c, 0);
		return;
	}
	c->started = true;
	if (tunnel_open(agent_of_pass(c->all,
			    (struct str){ c->line, (size_t)(nl - c->line) }),
		STR("localhost"), 22, &c->end, &err) != 0) {
		log_debug("no tunnel: %s", err.text);
		access_free(c, 0);
		return;
	}
	/* ssh speaks at once */
	buf_add_str(&c->early, bytes);
}

static void
fd_read(struct access *c)
{
	static char p[READ_MAX];
	ssize_t n = recv(c->io.fd, p, sizeof(p), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0 || (n == 0 && c->end.tunnel == NULL)) {
		access_free(c, 0);
	} else if (n == 0) {
		c->in_over = true;
		tunnel_eof(c->end.tunnel);
	} else if (!c->started) {
		fd_line(c, (struct str){ p, (size_t)n });
	} else if (c->end.tunnel != NULL) {
		tunnel_send(c->end.tunnel, (struct str){ p, (size_t)n });
	}
}

static void
on_fd(struct loop_io *io, unsigned what)
{
	struct access *c = container_of(io, struct access, io);

	if (what & LOOP_READ)
		fd_read(c);
	fd_settle(c);
}

static void
on_listen(struct loop_io *io, unsigned what)
{
	struct fleet_agents *all =
	    container_of(io, struct fleet_agents, listen);
	int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct access *c;

	(void)what;
	if (fd < 0)
		return;
	c = access_make(all);
	c->end.ops = &fd_ops;
	c->io = (struct loop_io){ .ready = on_fd, .fd = fd };
	loop_watch(all->fleet->loop, &c->io, LOOP_READ);
}

/* A folder's path may be longer than that of a socket: it is named by way of
 * its descriptor. */
static int
bind_in(int dir, int fd, const char *name)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	snprintf(
	    sa.sun_path, sizeof(sa.sun_path), "/proc/self/fd/%d/%s", dir, name);
	(void)unlinkat(dir, name, 0);
	return bind(fd, (struct sockaddr *)&sa, sizeof(sa));
}

int
access_listen(struct fleet_agents *all, struct err *err)
{
	char *folder = mem_printf("%s/run", all->fleet->dir);
	int dir, fd = -1, rc = 0;

	all->socket = mem_printf("%s/access", folder);
	(void)mkdir(all->fleet->dir, 0700);
	(void)mkdir(folder, 0700);
	dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0) {
		rc = err_errno(err, "make %s", folder);
		goto done;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind_in(dir, fd, "access") < 0 ||
	    fchmodat(dir, "access", 0600, 0) < 0 || listen(fd, BACKLOG) < 0) {
		rc = err_errno(err, "listen at %s", all->socket);
		if (fd >= 0)
			close(fd);
		goto done;
	}
	all->listen = (struct loop_io){ .ready = on_listen, .fd = fd };
	loop_watch(all->fleet->loop, &all->listen, LOOP_READ);
done:
	if (dir >= 0)
		close(dir);
	free(folder);
	return rc;
}

void
access_stop(struct fleet_agents *all)
{
	if (all->listen.fd >= 0) {
		loop_unwatch(all->fleet->loop, &all->listen);
		close(all->listen.fd);
		(void)unlink(all->socket);
		all->listen.fd = -1;
	}
	while (!list_empty(&all->accesses))
		access_free(list_first(&all->accesses, struct access, link),
		    WEBSOCKET_AWAY);
}
