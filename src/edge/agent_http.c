/*
 * edge/agent_http.c - see agent_http.h.
 */
#include "edge/agent_http.h"

#include "base/base.h"
#include "base/log.h"
#include "base/mem.h"
#include "edge/http_server.h"

#include <stdlib.h>

#define LOG_MODULE "http"
#define RETRY_MS 10000

struct agent_http {
	struct edge *edge;
	struct te_store *store;
	struct edge_http *server; /* NULL: not yet, or not at all */
	struct loop_timer retry;
};

static void
on_entities(void *owner, struct entity_call *c)
{
	struct agent_http *h = owner;

	entity_api(h->store, c);
}

static void
on_failed(void *owner, const struct err *why)
{
	struct agent_http *h = owner;

	log_error("no HTTP: %s", why->text);
	edge_http_stop(h->server);
	h->server = NULL;
	loop_after(edge_loop(h->edge), &h->retry, RETRY_MS);
}

static int
try_it(struct agent_http *h, struct err *err)
{
	const struct config *c = edge_config(h->edge);
	const struct edge_http_host host = { h, on_entities, on_failed };
	struct arena a = { 0 };
	struct edge_http_conf conf = {
		.loop = edge_loop(h->edge),
		.address = arena_z(&a, config_text(c, "http.bind.address")),
		.port = (uint16_t)config_int(c, "http.bind.port"),
		.cert_path = arena_z(&a, config_text(c, "http.cert_path")),
		.key_path = arena_z(&a, config_text(c, "http.key_path")),
		.ca_path = arena_z(&a, config_text(c, "http.ca_path")),
		.files_dir = arena_printf(&a, STR_FMT "/file-transfer",
		    STR_ARG(config_text(c, "data.path")))
				 .ptr,
		.file_max = (uint64_t)config_int(c, "http.max_file_size"),
		.max_connections =
		    (uint32_t)config_int(c, "http.max_connections"),
	};
	int rc = edge_http_start(&conf, &host, &h->server, err);

	if (rc == 0)
		log_info("HTTP%s on %s port %u",
		    conf.cert_path != NULL && conf.cert_path[0] != '\0' ? "S"
									: "",
		    conf.address, edge_http_port(h->server));
	arena_fini(&a);
	return rc;
}

/* ERR_PARAM is the caller's to tell. */
static int
try_or_wait(struct agent_http *h, struct err *err)
{
	int rc = try_it(h, err);

	if (rc == 0 || rc == ERR_PARAM)
		return rc;
	log_error("no HTTP: %s", err->text);
	if (rc == ERR_IO)
		loop_after(edge_loop(h->edge), &h->retry, RETRY_MS);
	return 0;
}

static void
on_retry(struct loop_timer *t)
{
	struct agent_http *h = container_of(t, struct agent_http, retry);
	struct err err;

	if (try_or_wait(h, &err) != 0)
		log_error("no HTTP: %s", err.text);
}

int
agent_http_start(struct edge *e, struct te_store *store,
    struct agent_http **ret, struct err *err)
{
	struct agent_http *h = mem_new(struct agent_http);
	int rc;

	h->edge = e;
	h->store = store;
	h->retry.fire = on_retry;
	rc = try_or_wait(h, err);
	if (rc != 0)
		free(h);
	else
		*ret = h;
	return rc;
}

void
agent_http_stop(struct agent_http *h)
{
	if (h == NULL)
		return;
	loop_cancel(edge_loop(h->edge), &h->retry);
	edge_http_stop(h->server);
	free(h);
}
