/*
 * edge/control.c - the control socket: RUN/marram-edge.sock, or in the folder
 * RUN/marram-edge if there is one, which systemd makes for a user who may not
 * write into RUN. One line comes, the answer goes, and the connection ends:
 *
 *	start tedge-mapper-c8y        ok
 *	status                        tedge-agent\tup\t
 *	                              tedge-mapper-c8y\tfailed\tc8y.url is ...
 *	                              ok
 *	stop sed                      error there is no part "sed"
 *
 * Whoever may write to the socket may use it: its owner and group.
 */
#include "edge/private.h"

#include "base/base.h"
#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LOG_MODULE "edge"
#define LINE_LEN_MAX 512
#define PEERS_MAX 16

struct control {
	struct edge *edge;
	struct loop_io io;
	struct list peers;
	size_t n_peers;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

struct peer {
	struct control *control;
	struct loop_io io;
	struct list link;
	size_t len;
	char line[LINE_LEN_MAX];
};

static int
address_of(const struct config *c, struct sockaddr_un *ret, struct err *err)
{
	struct str run = config_text(c, "run.path");
	char folder[sizeof(ret->sun_path)];
	struct stat st;
	int n;

	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	n = snprintf(
	    folder, sizeof(folder), STR_FMT "/marram-edge", STR_ARG(run));
	if (n < (int)sizeof(folder) && stat(folder, &st) == 0 &&
	    S_ISDIR(st.st_mode))
		run = str_of(folder);
	if (run.len + sizeof("/marram-edge.sock") > sizeof(ret->sun_path))
		return err_set(err, ERR_PARAM,
		    "run.path is too long for a socket: \"" STR_FMT "\"",
		    STR_ARG(run));
	snprintf(ret->sun_path, sizeof(ret->sun_path),
	    STR_FMT "/marram-edge.sock", STR_ARG(run));
	return 0;
}

/* --- the server ---------------------------------------------------------- */

static void
peer_free(struct peer *p)
{
	loop_unwatch(p->control->edge->loop, &p->io);
	close(p->io.fd);
	list_del(&p->link);
	p->control->n_peers--;
	free(p);
}

static void
add_state(void *ctx, struct str name, enum part_state state, const char *why)
{
	static const char *const words[] = { [PART_STOPPED] = "stopped",
		[PART_STARTING] = "starting",
		[PART_UP] = "up",
		[PART_FAILED] = "failed" };

	buf_addf(ctx, STR_FMT "\t%s\t%s\n", STR_ARG(name), words[state], why);
}

static void
answer(struct edge *e, struct str line, struct buf *out)
{
	struct str rest = line, word = str_cut(&rest, ' ');
	struct err err = { 0 };
	int rc = 0;

	if (str_eqz(word, "start"))
		rc = edge_start(e, rest, &err);
	else if (str_eqz(word, "stop"))
		rc = edge_stop(e, rest, &err);
	else if (str_eqz(word, "restart"))
		rc = edge_stop(e, rest, &err) == 0 ? edge_start(e, rest, &err)
						   : err.code;
	else if (str_eqz(word, "forget"))
		rc = edge_forget(e, rest, &err);
	else if (str_eqz(word, "status"))
		edge_each(e, add_state, out);
	else
		rc = err_set(&err, ERR_PARAM, "unknown word \"" STR_FMT "\"",
		    STR_ARG(word));
	if (rc != 0)
		buf_addf(out, "error %s\n", err.text);
	else
		buf_addz(out, "ok\n");
}

static void
on_peer(struct loop_io *io, unsigned what)
{
	struct peer *p = container_of(io, struct peer, io);
	ssize_t n = read(io->fd, p->line + p->len, sizeof(p->line) - p->len);
	struct buf out = { 0 };
	char *end;

	(void)what;
	if (n < 0 && errno == EAGAIN)
		return;
	if (n > 0)
		p->len += (size_t)n;
	end = memchr(p->line, '\n', p->len);
	if (end == NULL && n > 0 && p->len < sizeof(p->line))
		return;
	if (end != NULL) {
		answer(p->control->edge,
		    (struct str){ p->line, (size_t)(end - p->line) }, &out);
		/* far less than what a socket holds */
		(void)send(io->fd, out.ptr, out.len, MSG_NOSIGNAL);
		buf_free(&out);
	}
	peer_free(p);
}

static void
on_connection(struct loop_io *io, unsigned what)
{
	struct control *c = container_of(io, struct control, io);
	int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct peer *p;

	(void)what;
	if (fd < 0)
		return;
	if (c->n_peers >= PEERS_MAX) {
		close(fd);
		return;
	}
	p = mem_new(struct peer);
	p->control = c;
	p->io.fd = fd;
	p->io.ready = on_peer;
	list_add(&c->peers, &p->link);
	c->n_peers++;
	loop_watch(c->edge->loop, &p->io, LOOP_READ);
}

/* One that answers is another process of ours. */
static int
refuse_second(const struct sockaddr_un *at, struct err *err)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int rc = 0;

	if (fd < 0)
		return err_errno(err, "socket");
	if (connect(fd, (const struct sockaddr *)at, sizeof(*at)) == 0)
		rc = err_set(err, ERR_EXISTS,
		    "marram-edge runs already: %s answers", at->sun_path);
	else
		(void)unlink(at->sun_path);
	close(fd);
	return rc;
}

int
control_open(struct edge *e, struct control **ret, struct err *err)
{
	struct sockaddr_un at;
	struct control *c;
	int fd, rc = address_of(e->conf.config, &at, err);

	if (rc == 0)
		rc = refuse_second(&at, err);
	if (rc != 0)
		return rc;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_errno(err, "socket");
	if (bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 ||
	    chmod(at.sun_path, 0660) < 0 || listen(fd, PEERS_MAX) < 0) {
		rc = err_errno(err, "listen at %s", at.sun_path);
		close(fd);
		return rc;
	}
	c = mem_new(struct control);
	c->edge = e;
	list_init(&c->peers);
	snprintf(c->path, sizeof(c->path), "%s", at.sun_path);
	c->io.fd = fd;
	c->io.ready = on_connection;
	loop_watch(e->loop, &c->io, LOOP_READ);
	*ret = c;
	return 0;
}

void
control_close(struct control *c)
{
	if (c == NULL)
		return;
	LIST_EACH (p, &c->peers, struct peer, link)
		peer_free(p);
	loop_unwatch(c->edge->loop, &c->io);
	close(c->io.fd);
	(void)unlink(c->path);
	free(c);
}

/* --- the other end ------------------------------------------------------- */

static int
read_all(int fd, struct buf *out, struct err *err)
{
	char bytes[4096];
	ssize_t n;

	while ((n = read(fd, bytes, sizeof(bytes))) > 0)
		buf_add(out, bytes, (size_t)n);
	return n < 0 ? err_errno(err, "read the answer of marram-edge") : 0;
}

/* Takes the last line off: "ok", or why not. */
static int
verdict(struct buf *out, struct err *err)
{
	struct str all = str_trim(buf_str(out)), last = all;
	int rc = 0;

	for (size_t i = all.len; i > 0; i--)
		if (all.ptr[i - 1] == '\n') {
			last = (struct str){ all.ptr + i, all.len - i };
			break;
		}
	if (str_starts(last, STR("error ")))
		rc = err_set(
		    err, ERR_PARAM, STR_FMT, (int)last.len - 6, last.ptr + 6);
	else if (!str_eqz(last, "ok"))
		return err_set(
		    err, ERR_CLOSED, "marram-edge ended before it answered");
	out->len = (size_t)(last.ptr - out->ptr);
	return rc;
}

int
control_ask(
    const struct config *c, const char *line, struct buf *out, struct err *err)
{
	struct sockaddr_un at;
	int fd, rc = address_of(c, &at, err);

	if (rc != 0)
		return rc;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_errno(err, "socket");
	if (connect(fd, (const struct sockaddr *)&at, sizeof(at)) < 0)
		rc = errno == EACCES
		    ? err_errno(err, "connect to %s", at.sun_path)
		    : err_set(err, ERR_CLOSED,
			  "marram-edge does not run (nobody answers at %s)",
			  at.sun_path);
	else if (dprintf(fd, "%s\n", line) < 0)
		rc = err_errno(err, "write to %s", at.sun_path);
	if (rc == 0)
		rc = read_all(fd, out, err);
	close(fd);
	return rc == 0 ? verdict(out, err) : rc;
}
