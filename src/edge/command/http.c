/*
 * edge/command/http.c - `http get|post|put|patch|delete`: of the device's own
 * HTTP servers, the agent's (/te, /tedge) and that in front of Cumulocity
 * (/c8y). It waits; there is nothing else for it to do.
 */
#include "edge/command.h"
#include "edge/http_reply.h"

#include "base/arena.h"
#include "base/base.h"
#include "base/mem.h"
#include "net/stream.h"
#include "net/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define SILENCE_MS 60000 /* nothing moves for so long */
#define PIECE (32u << 10)
#define REFUSAL_MAX (64u << 10) /* of its text that is shown */

struct call {
	const char *method, *uri, *accept, *type;
	struct str data; /* the body, or... */
	int file;        /* ...what it is read from; -1: none */
	uint64_t length;
	bool has_body;

	const char *scheme;
	struct str host;
	int port;
	struct tls_client *tls;
	int fd;
	struct stream *stream;
	struct http_reply reply;
	struct buf refusal;
};

/* --- the connection ---------------------------------------------------------
 */

static int
connect_to(struct call *h, struct err *err)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *all, *a;
	char *host = str_dupz(h->host), port[16];
	int rc;

	snprintf(port, sizeof(port), "%d", h->port);
	rc = getaddrinfo(host, port, &hints, &all);
	if (rc != 0) {
		rc =
		    err_set(err, ERR_IO, "find %s: %s", host, gai_strerror(rc));
		goto done;
	}
	errno = ECONNREFUSED;
	for (a = all; a != NULL && h->fd < 0; a = a->ai_next) {
		h->fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (h->fd >= 0 &&
		    connect(h->fd, a->ai_addr, a->ai_addrlen) < 0) {
			int why = errno;

			close(h->fd);
			h->fd = -1;
			errno = why;
		}
	}
	freeaddrinfo(all);
	if (h->fd < 0) {
		rc = err_errno(
		    err, "connect to %s port %s (is it running?)", host, port);
		goto done;
	}
	(void)fcntl(h->fd, F_SETFL, fcntl(h->fd, F_GETFL) | O_NONBLOCK);
	h->stream = stream_socket(h->fd);
	if (h->tls != NULL) {
		h->stream = tls_client_stream(h->tls, h->stream, host, err);
		rc = h->stream == NULL ? err->code : 0;
	}
done:
	free(host);
	return rc;
}

static int
broken(struct call *h, struct err *err)
{
	struct buf why = { 0 };
	int rc;

	if (errno == EPROTO && h->tls != NULL)
		tls_stream_why(h->stream, &why);
	rc = why.len > 0 ? err_set(err, ERR_IO, "TLS: %s", buf_z(&why))
			 : err_errno(err, "the connection broke");
	buf_free(&why);
	return rc;
}

/* Until the socket is ready for what the stream wants, or for `more`. */
static int
wait_for(struct call *h, unsigned more, struct err *err)
{
	unsigned wants = stream_wants(h->stream) | more;
	struct pollfd p = { .fd = h->fd };
	int n;

	if (wants & LOOP_READ)
		p.events |= POLLIN;
	if (wants & LOOP_WRITE)
		p.events |= POLLOUT;
	do
		n = poll(&p, 1, SILENCE_MS);
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return err_set(err, ERR_AGAIN, "no answer within %d seconds",
		    SILENCE_MS / 1000);
	if (stream_wants(h->stream) & LOOP_WRITE &&
	    stream_flush(h->stream) < 0 && errno != EAGAIN)
		return broken(h, err);
	return 0;
}

static int
send_all(struct call *h, struct str bytes, struct err *err)
{
	int rc = 0;

	while (rc == 0 && bytes.len > 0) {
		struct iovec io = { (void *)bytes.ptr, bytes.len };
		ssize_t n = stream_writev(h->stream, &io, 1);

		if (n > 0) {
			bytes.ptr += n;
			bytes.len -= (size_t)n;
		} else if (n < 0 && errno == EAGAIN) {
			rc = wait_for(h, LOOP_WRITE, err);
		} else
			return broken(h, err);
	}
	return rc;
}

static int
send_head(struct call *h, struct err *err)
{
	struct buf head = { 0 };
	int rc;

	buf_addf(&head, "%s %s HTTP/1.1\r\nHost: " STR_FMT ":%d\r\n", h->method,
	    h->uri, STR_ARG(h->host), h->port);
	buf_addf(&head, "Accept: %s\r\nConnection: close\r\n",
	    h->accept != NULL ? h->accept : "*/*");
	if (h->has_body)
		buf_addf(&head, "Content-Type: %s\r\nContent-Length: %llu\r\n",
		    h->type, (unsigned long long)h->length);
	buf_addz(&head, "\r\n");
	rc = send_all(h, buf_str(&head), err);
	buf_free(&head);
	return rc;
}

static int
send_file(struct call *h, struct err *err)
{
	char *piece = mem_alloc(PIECE);
	uint64_t left = h->length;
	int rc = 0;

	while (rc == 0 && left > 0) {
		ssize_t n = read(h->file, piece, MIN_OF(left, PIECE));

		if (n <= 0)
			rc = n < 0 ? err_errno(err, "read the file")
				   : err_set(err, ERR_IO,
					 "the file became shorter meanwhile");
		else
			rc = send_all(h, (struct str){ piece, (size_t)n }, err);
		left -= n > 0 ? (uint64_t)n : 0;
	}
	free(piece);
	return rc;
}

static void
on_body(void *ctx, const struct http_reply *r, struct str bytes)
{
	struct call *h = ctx;
	size_t room = REFUSAL_MAX - MIN_OF(h->refusal.len, REFUSAL_MAX);

	if (r->status >= 200 && r->status < 300)
		(void)fwrite(bytes.ptr, 1, bytes.len, stdout);
	else
		buf_add(&h->refusal, bytes.ptr, MIN_OF(bytes.len, room));
}

static int
receive(struct call *h, struct err *err)
{
	char *piece = mem_alloc(PIECE);
	int rc = 0;

	while (rc == 0 && !h->reply.over) {
		ssize_t n = stream_read(h->stream, piece, PIECE);

		if (n > 0)
			rc = http_reply_feed(
			    &h->reply, (struct str){ piece, (size_t)n }, err);
		else if (n == 0)
			rc = http_reply_end(&h->reply, err);
		else if (errno == EAGAIN)
			rc = wait_for(h, LOOP_READ, err);
		else
			rc = broken(h, err);
	}
	free(piece);
	return rc;
}

static int
exchange(struct call *h, struct err *err)
{
	int rc = connect_to(h, err), sent;
	struct err why;

	if (rc == 0)
		rc = send_head(h, err);
	if (rc != 0)
		return rc;
	sent = h->file >= 0 ? send_file(h, &why) : send_all(h, h->data, &why);
	/* who is refused may be told so before all was said */
	rc = receive(h, err);
	if (rc != 0 && sent != 0)
		*err = why;
	return rc;
}

/* --- the words of the call
 * ---------------------------------------------------- */

static const struct {
	const char *ending, *type;
} types[] = {
	{ ".json", "application/json" },
	{ ".txt", "text/plain" },
	{ ".log", "text/plain" },
	{ ".conf", "text/plain" },
	{ ".csv", "text/csv" },
	{ ".html", "text/html" },
	{ ".xml", "text/xml" },
	{ ".toml", "text/x-toml" },
	{ ".yaml", "text/x-yaml" },
	{ ".yml", "text/x-yaml" },
	{ ".gz", "application/gzip" },
	{ ".tgz", "application/gzip" },
	{ ".tar", "application/x-tar" },
	{ ".zip", "application/zip" },
	{ ".pdf", "application/pdf" },
	{ ".png", "image/png" },
	{ ".jpg", "image/jpeg" },
	{ ".deb", "application/vnd.debian.binary-package" },
};

const char *
command_file_type(const char *path)
{
	for (size_t i = 0; i < COUNT_OF(types); i++)
		if (str_ends(str_of(path), str_of(types[i].ending)))
			return types[i].type;
	return "application/octet-stream";
}

static int
read_body(struct command_call *c, struct call *h, struct err *err)
{
	const char *word = command_arg(c, "CONTENT");
	const char *data = command_option(c, "data");
	const char *file = command_option(c, "file");
	struct stat st;

	if ((word != NULL) + (data != NULL) + (file != NULL) != 1)
		return err_set(err, ERR_PARAM,
		    "say what to send in one way: CONTENT, --data, or --file");
	h->has_body = true;
	h->type = command_option(c, "content-type");
	if (file == NULL) {
		h->data = str_of(word != NULL ? word : data);
		h->length = h->data.len;
		if (h->type == NULL)
			h->type = "application/json";
		return 0;
	}
	h->file = open(file, O_RDONLY | O_CLOEXEC);
	if (h->file < 0 || fstat(h->file, &st) < 0)
		return err_errno(err, "open %s", file);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_PARAM, "%s is no file", file);
	h->length = (uint64_t)st.st_size;
	if (h->type == NULL)
		h->type = command_file_type(file);
	return 0;
}

/* A text that would become more than one line of the request, or more than one
 * word of its first. */
static bool
has_any(const char *text, const char *of)
{
	return text != NULL && strpbrk(text, of) != NULL;
}

static int
make_tls(struct call *h, const struct config *config, struct err *err)
{
	struct str cert = config_text(config, "http.client.auth.cert_file");
	struct str key = config_text(config, "http.client.auth.key_file");
	struct str root = config_text(config, "c8y.root_cert_path");
	struct tls_client_conf conf = { .verify = true };
	struct arena a = { 0 };
	int rc;

	conf.ca_path = arena_z(&a, root);
	if (cert.len > 0) {
		conf.cert_file = arena_z(&a, cert);
		conf.key_file = arena_z(&a, key);
	}
	rc = tls_client_new(&conf, &h->tls, err);
	arena_fini(&a);
	return rc;
}

/* Which of the servers has this path? */
static int
find_server(struct command_call *c, struct call *h, struct err *err)
{
	const struct config *config = command_config(c);
	struct str uri = str_of(h->uri);
	struct cloud cloud;
	bool tls;

	if (has_any(h->uri, "\r\n ") || has_any(h->accept, "\r\n") ||
	    has_any(h->type, "\r\n"))
		return err_set(err, ERR_PARAM,
		    "a URI has no blanks, and neither it nor a type has line "
		    "ends");
	if (str_starts(uri, STR("/c8y"))) {
		if (!command_cloud(c, "c8y", &cloud))
			return ERR_DENIED; /* it has told */
		h->host = cloud_text(&cloud, "proxy.client.host");
		h->port = (int)cloud_int(&cloud, "proxy.client.port");
		tls = cloud_text(&cloud, "proxy.cert_path").len > 0;
	} else if (str_starts(uri, STR("/te"))) { /* /tedge, too */
		h->host = config_text(config, "http.client.host");
		h->port = (int)config_int(config, "http.client.port");
		tls = config_text(config, "http.cert_path").len > 0;
	} else
		return err_set(
		    err, ERR_PARAM, "Not a local HTTP uri: %s", h->uri);
	h->scheme = tls ? "https" : "http";
	return tls ? make_tls(h, config, err) : 0;
}

static int
refused(const char *doing, const struct call *h)
{
	struct buf text = { 0 };
	const char *kind = "error";
	struct err err;

	if (h->reply.status >= 400 && h->reply.status < 500)
		kind = "client error";
	else if (h->reply.status >= 500)
		kind = "server error";
	buf_addf(&text, "HTTP %s: %d " STR_FMT "\n", kind, h->reply.status,
	    STR_ARG(buf_str(&h->reply.reason)));
	buf_add_str(&text, buf_str(&h->refusal));
	err_set(&err, ERR_DENIED, "%s", buf_z(&text));
	buf_free(&text);
	return command_failed(doing, &err);
}

static int
run(struct command_call *c, const char *method, bool with_body)
{
	struct call h = { .method = method,
		.uri = command_arg(c, "URI"),
		.file = -1,
		.fd = -1 };
	char *doing = NULL;
	struct err err;
	int rc, status = 0;

	if (command_config(c) == NULL)
		return 1;
	if (strcmp(method, "DELETE") != 0)
		h.accept = command_option(c, "accept-type");
	h.reply.body = on_body;
	h.reply.ctx = &h;
	rc = with_body ? read_body(c, &h, &err) : 0;
	if (rc == 0)
		rc = find_server(c, &h, &err);
	if (rc == ERR_DENIED)
		status = 1;
	else
		doing = h.scheme != NULL
		    ? mem_printf("%s %s://" STR_FMT ":%d%s", method, h.scheme,
			  STR_ARG(h.host), h.port, h.uri)
		    : mem_printf("%s %s", method, h.uri);
	if (rc == 0)
		rc = exchange(&h, &err);
	if (status == 0 && rc != 0)
		status = command_failed(doing, &err);
	else if (status == 0 && (h.reply.status < 200 || h.reply.status >= 300))
		status = refused(doing, &h);
	if (status == 0 && fflush(stdout) != 0) {
		err_errno(&err, "write the answer");
		status = command_failed(doing, &err);
	}
	free(doing);
	stream_free(h.stream);
	tls_client_free(h.tls);
	if (h.fd >= 0)
		close(h.fd);
	if (h.file >= 0)
		close(h.file);
	http_reply_fini(&h.reply);
	buf_free(&h.refusal);
	return status;
}

static int
run_get(struct command_call *c)
{
	return run(c, "GET", false);
}

static int
run_post(struct command_call *c)
{
	return run(c, "POST", true);
}

static int
run_put(struct command_call *c)
{
	return run(c, "PUT", true);
}

static int
run_patch(struct command_call *c)
{
	return run(c, "PATCH", true);
}

static int
run_delete(struct command_call *c)
{
	return run(c, "DELETE", false);
}

#define PROFILE                                                                \
	{                                                                      \
		.name = "profile", .arg = "NAME",                              \
		.env = "TEDGE_CLOUD_PROFILE",                                  \
		.help = "of Cumulocity, for /c8y"                              \
	}
#define ACCEPT                                                                 \
	{                                                                      \
		.name = "accept-type", .arg = "TYPE",                          \
		.help = "the MIME type that is expected"                       \
	}

static const struct command_option get_options[] = { ACCEPT, PROFILE, { 0 } };
static const struct command_option delete_options[] = { PROFILE, { 0 } };
static const struct command_option body_options[] = {
	{ .name = "data", .arg = "TEXT", .help = "what to send" },
	{ .name = "file", .arg = "FILE", .help = "a file to send" },
	{ .name = "content-type",
	    .arg = "TYPE",
	    .help = "its MIME type; else that of the file's ending, or "
		    "application/json" },
	ACCEPT,
	PROFILE,
	{ 0 },
};

const struct command http_commands[] = {
	{ .words = "http get",
	    .args = "URI",
	    .options = get_options,
	    .help = "get from the device's HTTP servers: "
		    "/te/v1/files/x, /c8y/inventory/...",
	    .run = run_get },
	{ .words = "http post",
	    .args = "URI [CONTENT]",
	    .options = body_options,
	    .help = "post there",
	    .run = run_post },
	{ .words = "http put",
	    .args = "URI [CONTENT]",
	    .options = body_options,
	    .help = "put there",
	    .run = run_put },
	{ .words = "http patch",
	    .args = "URI [CONTENT]",
	    .options = body_options,
	    .help = "change something there",
	    .run = run_patch },
	{ .words = "http delete",
	    .args = "URI",
	    .options = delete_options,
	    .help = "delete something there",
	    .run = run_delete },
	{ 0 },
};
