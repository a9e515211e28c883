/*
 * core/hub/heard.c - uplink on its way to readings.
 *
 *    routing loop: heard_uplink()  copied, or refused when too many wait
 *    hub's loop:   its device's turn --> read by its profile --> readings
 *                  --> the group that gathers --> committed: acknowledged
 *
 *  (1) The messages of a device are read in the order they came; one that waits
 *      for a script holds only its device's.
 *  (2) A message is acknowledged when what came of it is in the store. One that
 *      can not be read is acknowledged, too: it is in the raw history, from
 *      where it can be read again with a better codec.
 */
#include "core/hub/private.h"

#include "base/mem.h"

#include <stdlib.h>

/* --- on the routing loop ------------------------------------------------- */

static struct heard *
copy(struct hub *h, const struct route_uplink *u, struct route_commit *commit)
{
	struct heard *m = mem_new(struct heard);
	struct arena *a = &m->arena;

	m->hub = h;
	m->commit = commit;
	m->up = *u;
	m->up.data_id = arena_str(a, u->data_id);
	m->up.unit_id = arena_str(a, u->unit_id);
	m->up.unit_code = arena_str(a, u->unit_code);
	m->up.network_id = arena_str(a, u->network_id);
	m->up.network_code = arena_str(a, u->network_code);
	m->up.network_addr = arena_str(a, u->network_addr);
	m->up.device_id = arena_str(a, u->device_id);
	m->up.device_unit_id = arena_str(a, u->device_unit_id);
	m->up.profile = arena_str(a, u->profile);
	m->up.data = arena_str(a, u->data);
	m->up.extension = arena_str(a, u->extension);
	return m;
}

bool
heard_uplink(
    void *owner, const struct route_uplink *u, struct route_commit *commit)
{
	struct hub *h = owner;
	struct heard *m;

	pthread_mutex_lock(&h->lock);
	if (h->n_heard >= (size_t)h->conf.queue_max || !h->running) {
		pthread_mutex_unlock(&h->lock);
		counter_add(&h->counters.refused, 1);
		return false;
	}
	m = copy(h, u, commit);
	list_add(&h->heard, &m->link);
	h->n_heard++;
	if (!h->heard_posted)
		loop_post(h->loop, &h->heard_post);
	h->heard_posted = true;
	pthread_mutex_unlock(&h->lock);
	counter_add(&h->counters.heard, 1);
	counter_add(&h->counters.waiting, 1);
	return true;
}

/* --- on the hub's loop --------------------------------------------------- */

void
heard_done(struct heard *m)
{
	struct hub *h = m->hub;

	list_del(&m->link);
	m->next_done = h->gathers->done;
	h->gathers->done = m;
	loop_defer(h->loop, &h->kick);
}

static void
take(struct device *d, struct heard *m, const struct readings *r)
{
	for (size_t i = 0; i < r->n; i++)
		(void)model_read(d, &r->at[i], m->up.time);
}

static void
read_next(struct device *d)
{
	struct hub *h = d->hub;
	struct heard *m;

	while ((m = list_first(&d->waiting, struct heard, link)) != NULL) {
		const struct hub_profile *p =
		    model_profile(h, d->row.unit_id, d->profile);
		struct buf bytes = { 0 };
		struct readings r = { 0 };
		struct err err;

		if (p == NULL) {
			counter_add(&h->counters.no_profile, 1);
		} else if (hex_decode(&bytes, m->up.data) &&
		    decode(h, p, buf_str(&bytes), &r, &err) == 0) {
			take(d, m, &r);
		} else {
			counter_add(&h->counters.unreadable, 1);
		}
		buf_free(&bytes);
		arena_fini(&r.arena);
		heard_done(m);
	}
}

void
heard_run(struct loop_post *p)
{
	struct hub *h = container_of(p, struct hub, heard_post);
	struct heard *m;
	struct list all;

	list_init(&all);
	pthread_mutex_lock(&h->lock);
	list_join(&all, &h->heard);
	h->heard_posted = false;
	pthread_mutex_unlock(&h->lock);
	while ((m = list_first(&all, struct heard, link)) != NULL) {
		list_del(&m->link);
		if (m->up.device_id.ptr == NULL) {
			inbox_heard(h, &m->up);
			heard_done(m);
			continue;
		}
		inbox_known(h, &m->up);
		m->device = model_device(h, &m->up);
		model_seen(m->device, m->up.time);
		list_add(&m->device->waiting, &m->link);
		read_next(m->device);
	}
}
