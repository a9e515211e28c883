/*
 * edge/c8y_proxy.c - the proxy's settings, and what it listens on; see
 * c8y_proxy.h. A request lives in c8y_pass.c.
 */
#include "edge/c8y_proxy_private.h"

#include "base/base.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/listen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOG_MODULE "proxy"
#define RETRY_MS 10000
#define PAUSE_MS 100   /* when descriptors have run out */
#define REFUSED_MAX 64 /* that are being told so; others are cut off */
#define HTTPS_PORT 443

/* --- listening ----------------------------------------------------------- */

static void
on_listen(struct loop_io *io, unsigned what)
{
	struct c8y_proxy *p = container_of(io, struct c8y_proxy, io);
	size_t most = p->max_passes + REFUSED_MAX;
	int fd;

	(void)what;
	while ((fd = accept4(
		    io->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0)
		if (p->n_passes < most)
			c8y_pass_begin(p, fd, p->n_passes >= p->max_passes);
		else
			close(fd);
	if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS &&
	    errno != ENOMEM)
		return;
	loop_watch(p->loop, &p->io, 0);
	loop_after(p->loop, &p->pause, PAUSE_MS);
}

static void
on_pause(struct loop_timer *t)
{
	struct c8y_proxy *p = container_of(t, struct c8y_proxy, pause);

	loop_watch(p->loop, &p->io, LOOP_READ);
}

static int
listen_on(struct c8y_proxy *p, struct err *err)
{
	const char *address =
	    arena_z(&p->arena, cloud_text(&p->cloud, "proxy.bind.address"));
	uint16_t port = (uint16_t)cloud_int(&p->cloud, "proxy.bind.port"), got;
	int rc = net_listen(address, port, &got, &p->io.fd, err);

	if (rc == ERR_PARAM)
		return err_wrap(err, "c8y.proxy.bind.address");
	if (rc != 0)
		return err_wrap(err,
		    "c8y.proxy.bind.port, of which each profile needs one of "
		    "its own");
	loop_watch(p->loop, &p->io, LOOP_READ);
	log_info("%s: HTTP%s to %s on %s port %u", p->name,
	    p->tls != NULL ? "S" : "", p->plan.host, address, got);
	return 0;
}

/* --- settings ------------------------------------------------------------ */

/* c8y.http: a name with or without a port. */
static int
read_host(struct c8y_proxy *p, struct err *err)
{
	struct str text = cloud_text(&p->cloud, "http"), host = text, port;
	int64_t number = HTTPS_PORT;
	const char *colon = NULL;

	for (size_t i = text.len; i > 0 && colon == NULL; i--) {
		if (text.ptr[i - 1] == ']')
			break;
		if (text.ptr[i - 1] == ':')
			colon = text.ptr + i - 1;
	}
	if (colon != NULL) {
		host.len = (size_t)(colon - text.ptr);
		port = (struct str){ colon + 1, text.len - host.len - 1 };
		if (!str_to_i64(port, &number) || number < 1 || number > 65535)
			return err_set(err, ERR_PARAM,
			    "c8y.http: \"" STR_FMT
			    "\" has no port behind \":\"",
			    STR_ARG(text));
	}
	p->host = text;
	if (host.len > 2 && host.ptr[0] == '[')
		host = (struct str){ host.ptr + 1, host.len - 2 };
	if (host.len == 0)
		return err_set(err, ERR_PARAM,
		    "c8y.http is not set: set c8y.url, the name of the tenant");
	p->plan.host = arena_z(&p->arena, host);
	p->plan.port = (uint16_t)number;
	return 0;
}

static int
read_certificate(struct c8y_proxy *p, struct err *err)
{
	struct str cert = cloud_text(&p->cloud, "proxy.cert_path");
	struct str key = cloud_text(&p->cloud, "proxy.key_path");
	struct str ca = cloud_text(&p->cloud, "proxy.ca_path");
	struct tls_server_conf conf = { .client_certs = TLS_CERTS_NONE };

	if (cert.len == 0 && key.len == 0 && ca.len == 0)
		return 0;
	if (cert.len == 0 || key.len == 0)
		return err_set(err, ERR_PARAM,
		    "c8y.proxy.cert_path and c8y.proxy.key_path belong "
		    "together%s: set both, or none",
		    ca.len > 0 ? ", and c8y.proxy.ca_path needs them" : "");
	conf.cert_file = arena_z(&p->arena, cert);
	conf.key_file = arena_z(&p->arena, key);
	if (ca.len > 0) {
		conf.ca_file = arena_z(&p->arena, ca);
		conf.client_certs = TLS_CERTS_REQUIRED;
	}
	if (tls_server_new(&conf, &p->tls, err) != 0)
		return err_wrap(err, "c8y.proxy");
	return 0;
}

static void
read_account(struct c8y_proxy *p)
{
	struct buf plain = { 0 }, text = { 0 };

	if (!p->plan.by_account)
		return;
	buf_addf(&plain, "%s:%s", p->plan.user, p->plan.password);
	buf_addz(&text, "Basic ");
	base64_encode(&text, plain.ptr, plain.len, false);
	p->account = arena_str(&p->arena, buf_str(&text));
	explicit_bzero(plain.ptr, plain.len);
	explicit_bzero(text.ptr, text.len);
	buf_free(&plain);
	buf_free(&text);
}

static void
closed(struct c8y_proxy *p)
{
	bridge_link_close(&p->link);
	tls_server_free(p->tls);
	p->tls = NULL;
	arena_fini(&p->arena);
	p->arena = (struct arena){ 0 };
	p->account = STR_NULL;
}

static int
try_it(struct c8y_proxy *p, struct err *err)
{
	int rc = bridge_plan(&p->cloud, &p->arena, &p->plan, err);

	if (rc == 0)
		rc = read_host(p, err);
	if (rc == 0) {
		read_account(p);
		p->plan.tls = true;
		p->plan.cert_file = p->plan.key_file = NULL; /* of MQTT */
		rc = bridge_link_open(&p->link, &p->plan, &p->way, err);
	}
	if (rc == 0)
		rc = read_certificate(p, err);
	if (rc == 0)
		rc = listen_on(p, err);
	if (rc != 0)
		closed(p);
	return rc;
}

static void
on_retry(struct loop_timer *t)
{
	struct c8y_proxy *p = container_of(t, struct c8y_proxy, retry);
	struct err err;

	if (try_it(p, &err) == 0)
		return;
	if (strcmp(p->failed, err.text) != 0) {
		log_error(
		    "%s: no proxy to Cumulocity's HTTP: %s", p->name, err.text);
		snprintf(p->failed, sizeof(p->failed), "%s", err.text);
	}
	loop_after(p->loop, &p->retry, RETRY_MS);
}

struct c8y_proxy *
c8y_proxy_new(struct loop *loop, const struct cloud *cloud,
    struct mqtt_client *client, const char *name)
{
	struct c8y_proxy *p = mem_new(struct c8y_proxy);

	p->loop = loop;
	p->cloud = *cloud;
	p->name = name;
	p->io = (struct loop_io){ .ready = on_listen, .fd = -1 };
	p->retry.fire = on_retry;
	p->pause.fire = on_pause;
	p->max_passes = (size_t)cloud_int(cloud, "proxy.max_connections");
	p->token = c8y_token_new(
	    loop, client, cloud_text(cloud, "bridge.topic_prefix"));
	list_init(&p->passes);
	on_retry(&p->retry);
	return p;
}

void
c8y_proxy_free(struct c8y_proxy *p)
{
	if (p == NULL)
		return;
	loop_cancel(p->loop, &p->retry);
	loop_cancel(p->loop, &p->pause);
	if (p->io.fd >= 0) {
		loop_unwatch(p->loop, &p->io);
		close(p->io.fd);
	}
	c8y_pass_end_all(p);
	c8y_token_free(p->token);
	closed(p);
	free(p);
}

struct str
c8y_proxy_root(const struct cloud *cloud, struct arena *a)
{
	return arena_printf(a, "%s://" STR_FMT ":%lld/c8y",
	    cloud_text(cloud, "proxy.cert_path").len > 0 ? "https" : "http",
	    STR_ARG(cloud_text(cloud, "proxy.client.host")),
	    (long long)cloud_int(cloud, "proxy.client.port"));
}
