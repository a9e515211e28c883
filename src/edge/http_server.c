/*
 * edge/http_server.c - the module of the HTTP server, loaded at its first
 * start; see http_server.h.
 */
#include "edge/http_server.h"

#include "edge/module.h"

static const struct edge_http_module *module;

int
edge_http_start(const struct edge_http_conf *conf,
    const struct edge_http_host *host, struct edge_http **ret, struct err *err)
{
	const void *found;
	int rc;

	if (module == NULL) {
		rc = module_load(
		    "marram-edge-http", EDGE_HTTP_SYMBOL, &found, err);
		if (rc != 0)
			return rc;
		module = found;
	}
	if (module->version != EDGE_HTTP_VERSION)
		return err_set(err, ERR_IO,
		    "marram-edge-http.so is of another version (%u, not %u): "
		    "install both from one package",
		    module->version, EDGE_HTTP_VERSION);
	return module->start(conf, host, ret, err);
}

uint16_t
edge_http_port(const struct edge_http *h)
{
	return module->port(h);
}

void
edge_http_stop(struct edge_http *h)
{
	if (h != NULL)
		module->stop(h);
}
