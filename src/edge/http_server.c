/*
 * edge/http_server.c - the socket of the HTTP server, and the module that
 * serves it; see http_server.h.
 *
 *	AWAITED --somebody comes--> SERVED
 *	   |                          the module has the socket
 *	   +--the module fails--> FAILED
 */
#include "edge/http_server.h"

#include "base/arena.h"
#include "base/base.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/module.h"
#include "net/listen.h"

#include <unistd.h>

#define MODULE "marram-edge-http"

struct edge_http {
	struct edge_http_conf conf; /* its texts in `arena` */
	struct edge_http_host host;
	struct arena arena;
	uint16_t port;
	struct loop_io io;      /* AWAITED: watched; -1 when FAILED */
	struct edge_site *site; /* SERVED */
};

static const struct edge_http_module *module;

/* --- settings ------------------------------------------------------------ */

static const char *
path_of(struct arena *a, const char *path)
{
	return path != NULL && path[0] != '\0' ? arena_z(a, str_of(path))
					       : NULL;
}

static void
copy_conf(struct edge_http *h, const struct edge_http_conf *conf)
{
	h->conf = *conf;
	h->conf.address = arena_z(&h->arena, str_of(conf->address));
	h->conf.files_dir = arena_z(&h->arena, str_of(conf->files_dir));
	h->conf.cert_path = path_of(&h->arena, conf->cert_path);
	h->conf.key_path = path_of(&h->arena, conf->key_path);
	h->conf.ca_path = path_of(&h->arena, conf->ca_path);
}

/* What can be seen without the module. */
static int
check(const struct edge_http_conf *c, struct err *err)
{
	const char *const files[] = { c->cert_path, c->key_path, c->ca_path };
	int rc = 0;

	if ((c->cert_path == NULL) != (c->key_path == NULL) ||
	    (c->ca_path != NULL && c->cert_path == NULL))
		return err_set(err, ERR_PARAM,
		    "http.cert_path and http.key_path belong together%s: set "
		    "both, or none",
		    c->ca_path != NULL ? ", and http.ca_path needs them" : "");
	for (size_t i = 0; rc == 0 && i < COUNT_OF(files); i++)
		if (files[i] != NULL)
			rc = file_check(files[i], err);
	return rc == 0 ? module_find(MODULE, err) : rc;
}

/* --- the first who comes ------------------------------------------------- */

static int
load(struct err *err)
{
	const void *found;
	int rc;

	if (module != NULL)
		return 0;
	rc = module_load(MODULE, EDGE_HTTP_SYMBOL, &found, err);
	if (rc != 0)
		return rc;
	if (((const struct edge_http_module *)found)->version !=
	    EDGE_HTTP_VERSION)
		return err_set(err, ERR_IO,
		    MODULE ".so is of another version of this program: install "
			   "both from one package");
	module = found;
	return 0;
}

/* Nothing is taken from the socket here: the module finds who waits in it. */
static void
on_somebody(struct loop_io *io, unsigned what)
{
	struct edge_http *h = container_of(io, struct edge_http, io);
	struct err err;
	int rc;

	(void)what;
	loop_unwatch(h->conf.loop, &h->io);
	rc = load(&err);
	if (rc == 0)
		rc =
		    module->start(&h->conf, &h->host, h->io.fd, &h->site, &err);
	if (rc == 0)
		return;
	close(h->io.fd);
	h->io.fd = -1;
	h->host.failed(h->host.owner, &err);
}

/* --- start and end ------------------------------------------------------- */

static void
forget(struct edge_http *h)
{
	arena_fini(&h->arena);
	loop_free_later(h->conf.loop, h);
}

int
edge_http_start(const struct edge_http_conf *conf,
    const struct edge_http_host *host, struct edge_http **ret, struct err *err)
{
	struct edge_http *h = mem_new(struct edge_http);
	int rc;

	copy_conf(h, conf);
	h->host = *host;
	h->io.ready = on_somebody;
	rc = check(&h->conf, err);
	if (rc == 0)
		rc = net_listen(
		    conf->address, conf->port, &h->port, &h->io.fd, err);
	if (rc != 0) {
		forget(h);
		return rc;
	}
	loop_watch(conf->loop, &h->io, LOOP_READ);
	*ret = h;
	return 0;
}

uint16_t
edge_http_port(const struct edge_http *h)
{
	return h->port;
}

void
edge_http_stop(struct edge_http *h)
{
	if (h == NULL)
		return;
	if (h->site != NULL) {
		module->stop(h->site);
	} else if (h->io.fd >= 0) {
		loop_unwatch(h->conf.loop, &h->io);
		close(h->io.fd);
	}
	forget(h);
}
