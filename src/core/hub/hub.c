/*
 * core/hub/hub.c - see hub.h: opening, starting, ending.
 */
#include "core/hub/private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>

static const struct counter_row counter_rows[] = {
#define COUNTER(name, unit, help)                                              \
	{ #name, unit, help, false, offsetof(struct hub_counters, name) },
#define GAUGE(name, unit, help)                                                \
	{ #name, unit, help, true, offsetof(struct hub_counters, name) },
#include "core/hub/counters.def"
#undef COUNTER
#undef GAUGE
};

int
hub_open(const struct hub_conf *conf, const char *dir, struct route *route,
    struct hub **ret, struct err *err)
{
	struct hub *h = mem_new(struct hub);
	int rc;

	h->conf = *conf;
	h->route = route;
	pthread_mutex_init(&h->lock, NULL);
	list_init(&h->heard);
	list_init(&h->dirty_nodes);
	list_init(&h->dirty_sources);
	list_init(&h->dirty_fields);
	list_init(&h->inbox_order);
	h->heard_post.run = heard_run;
	h->loop = loop_new();
	writer_init(h);
	rc = store_open_settings(
	    &h->conf.db, "hub", dir, hub_entities, &h->store, err);
	if (rc == 0)
		rc = model_load(h, err);
	if (rc == 0)
		rc = inbox_load(h, err);
	if (rc != 0) {
		hub_close(h);
		return rc;
	}
	*ret = h;
	return 0;
}

static void *
run(void *arg)
{
	struct hub *h = arg;

	pthread_setname_np(pthread_self(), "hub");
	loop_run(h->loop);
	return NULL;
}

/* On the routing loop. */
static void
on_changed(void *owner, struct str network_code, struct str addr)
{
	struct buf b = { 0 };

	if (network_code.ptr != NULL)
		buf_addf(&b, STR_FMT "\n" STR_FMT, STR_ARG(network_code),
		    STR_ARG(addr));
	hub_post(owner, model_check, buf_str(&b));
	buf_free(&b);
}

int
hub_start(struct hub *h, struct loop *loop, struct err *err)
{
	const struct route_tap tap = { heard_uplink, on_changed, h };

	h->routing = loop;
	h->counter_group = (struct counter_group){ .prefix = "hub",
		.rows = counter_rows,
		.n = COUNT_OF(counter_rows),
		.values = &h->counters };
	counter_register(&h->counter_group);
	if (pthread_create(&h->thread, NULL, run, h) != 0)
		return err_set(err, ERR_IO, "start a thread");
	h->running = true;
	route_listen(h->route, &tap);
	return 0;
}

/* Ends the loop once nothing is left to do; on the loop. */
void
hub_maybe_end(struct hub *h)
{
	bool left;

	if (!h->ending || h->writing || h->gathers->n > 0)
		return;
	pthread_mutex_lock(&h->lock);
	left = h->n_heard > 0;
	pthread_mutex_unlock(&h->lock);
	if (!left)
		loop_stop(h->loop);
}

static void
on_end(struct loop_post *p)
{
	struct hub *h = container_of(p, struct hub, end_post);

	h->ending = true;
	writer_kick(h);
	hub_maybe_end(h);
}

void
hub_stop(struct hub *h)
{
	bool running;

	if (h == NULL)
		return;
	pthread_mutex_lock(&h->lock);
	running = h->running;
	h->running = false;
	pthread_mutex_unlock(&h->lock);
	if (!running)
		return;
	h->end_post.run = on_end;
	loop_post(h->loop, &h->end_post);
	pthread_join(h->thread, NULL);
}

void
hub_close(struct hub *h)
{
	if (h == NULL)
		return;
	hub_stop(h);
	writer_fini(h);
	model_free(h);
	inbox_free(h);
	rest_mounts_free(&h->mounts);
	store_close(h->store);
	loop_free(h->loop);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

void
hub_routes(struct hub *h, http_add_routes *add, void *ctx)
{
	objects_mount(h, add, ctx);
}
