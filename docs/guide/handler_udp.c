/*
 * docs/guide/handler_udp.c - an example of a handler: a message becomes one
 * datagram. It is compiled and goes through plug/handler/contract_test.c.
 *
 * A datagram is lost without a word when nobody listens: this type promises no
 * more than that the system has taken it.
 */
#include "base/err.h"
#include "base/mem.h"
#include "plug/handler/ops.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DATAGRAM_MAX 1200

/* What people write into the handler, one row each. */
struct spec {
	struct str host;
	int64_t port;
};

static const struct field spec_fields[] = {
	F_TEXT(struct spec, host, "host", .help = "An IPv4 address."),
	F_INT(struct spec, port, "port", .min = 1, .max = 65535),
	{ 0 },
};
static const struct record spec_record = { "udp", sizeof(struct spec),
	spec_fields };

/* What a rule writes into a parameter of type "udp". */
struct parameter {
	struct str data;
};

static const struct field parameter_fields[] = {
	F_TEXT(struct parameter, data, "data"),
	{ 0 },
};
static const struct record parameter_record = { "udp parameter",
	sizeof(struct parameter), parameter_fields };

struct udp {
	struct handler *h;
	int fd;
};

/* No name is looked up here: that would block the loop. */
static int
udp_open(struct handler *h, const void *spec, void **ret, struct err *err)
{
	const struct spec *s = spec;
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)s->port) };
	char *host = str_dupz(s->host);
	struct udp *u;
	int rc = handler_check_host(h, s->host, err);

	if (rc == 0 && inet_pton(AF_INET, host, &to.sin_addr) != 1)
		rc = err_set(err, ERR_PARAM, "host: an IPv4 address is needed");
	free(host);
	if (rc != 0)
		return rc;
	u = mem_new(struct udp);
	u->h = h;
	u->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (u->fd < 0 ||
	    connect(u->fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		rc = err_errno(err, "socket");
		if (u->fd >= 0)
			close(u->fd);
		free(u);
		return rc;
	}
	*ret = u;
	return 0;
}

static int
udp_prepare(
    void *own, struct handler_job *j, const void *parameter, struct err *err)
{
	const struct parameter *p = parameter;
	struct str *data = arena_new(&j->arena, struct str);

	(void)own;
	if (p->data.len == 0 || p->data.len > DATAGRAM_MAX)
		return err_set(err, ERR_PARAM, "data: 1 to %d bytes are needed",
		    DATAGRAM_MAX);
	*data = p->data; /* lives as long as the job */
	j->own = data;
	return 0;
}

static void
udp_send(void *own, struct handler_job *j)
{
	struct udp *u = own;
	const struct str *data = j->own;
	struct err err = { 0 };

	if (send(u->fd, data->ptr, data->len, 0) >= 0) {
		handler_sent(u->h, HANDLER_SENT, 0, 0, "");
		return;
	}
	err_errno(&err, "send");
	handler_sent(u->h, HANDLER_LATER, ERR_IO, 0, err.text);
}

static void
udp_close(void *own)
{
	struct udp *u = own;

	close(u->fd);
	free(u);
}

extern const struct handler_ops handler_udp;
const struct handler_ops handler_udp = {
	.name = "udp",
	.parameter = "udp",
	.spec = &spec_record,
	.takes = &parameter_record,
	.open = udp_open,
	.prepare = udp_prepare,
	.send = udp_send,
	.close = udp_close, /* send() ends at once: there is no cancel */
};
