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

#include "base/clock.h"
#include "base/mem.h"
#include "codec/json.h"

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
	h->n_reading--;
	m->next_done = h->gathers->done;
	h->gathers->done = m;
	loop_defer(h->loop, &h->kick);
}

/* Those of the message in hand; one at a time. */
static struct readings *
fresh(struct hub *h)
{
	arena_clear(&h->readings.arena);
	h->readings.n = 0;
	return &h->readings;
}

static void
take(struct device *d, struct heard *m, const struct readings *r)
{
	for (size_t i = 0; i < r->n; i++)
		(void)model_read(d, &r->at[i], m->up.time);
	model_well(d, m->up.time);
	model_announce(d, false);
}

/* What went wrong is told where the device is looked at. */
static void
unreadable(struct device *d, struct heard *m, const struct err *err)
{
	counter_add(&d->hub->counters.unreadable, 1);
	model_trouble(d, err->text, m->up.time);
}

static void
read_here(struct device *d, struct heard *m, const struct hub_profile *p)
{
	struct readings *r = fresh(d->hub);
	struct buf bytes = { 0 };
	struct err err = { 0 };

	if (hex_decode(&bytes, m->up.data) &&
	    decode(p, buf_str(&bytes), r, &err) == 0)
		take(d, m, r);
	else
		unreadable(d, m, &err);
	buf_free(&bytes);
}

/* --- by a script --------------------------------------------------------- */

static void read_next(struct device *d);

static void
on_script(struct script_call *call)
{
	struct heard *m = container_of(call, struct heard, call);
	struct device *d = m->device;
	const struct hub_profile *p =
	    model_profile(d->hub, d->row.unit_id, d->profile);
	struct readings *r = fresh(d->hub);
	struct str data;
	struct err err = call->err;

	if (call->end == SCRIPT_DONE &&
	    !hub_json_at(&r->arena, call->result, STR("data"), &data))
		(void)err_set(&err, ERR_PARAM, "the codec gave no `data`");
	else if (call->end == SCRIPT_DONE)
		(void)decode_object(arena_str(&r->arena, data), r, &err);
	if (err.code == 0) {
		if (p != NULL)
			decode_known(p, r);
		take(d, m, r);
	} else {
		unreadable(d, m, &err);
	}
	d->busy = false;
	heard_done(m);
	read_next(d);
}

/* {"bytes":[1,2],"fPort":1,"recvTime":"...","variables":{}} */
static struct str
script_argument(struct heard *m)
{
	struct arena *a = &m->arena;
	struct buf b = { 0 }, bytes = { 0 };
	struct str port = STR("0"), text;

	if (m->up.extension.ptr != NULL &&
	    !hub_json_at(a, m->up.extension, STR("fPort"), &port))
		(void)hub_json_at(a, m->up.extension, STR("port"), &port);
	(void)hex_decode(&bytes, m->up.data);
	buf_addz(&b, "{\"bytes\":[");
	for (size_t i = 0; i < bytes.len; i++)
		buf_addf(
		    &b, "%s%u", i > 0 ? "," : "", (unsigned char)bytes.ptr[i]);
	buf_addf(&b, "],\"fPort\":" STR_FMT ",\"recvTime\":", STR_ARG(port));
	json_quote(&b, time_text(a, m->up.time));
	buf_addz(&b, ",\"variables\":{}}");
	text = arena_str(a, buf_str(&b));
	buf_free(&bytes);
	buf_free(&b);
	return text;
}

/* False: it is done with already. */
static bool
read_by_script(struct device *d, struct heard *m, const struct hub_profile *p)
{
	struct err err;

	m->call = (struct script_call){ .group = d->row.unit_id,
		.source = arena_str(&m->arena, p->script),
		.entry = SCRIPT_DECODE_UPLINK,
		.arg = script_argument(m),
		.done = on_script };
	if (script_run(d->hub->codecs, &m->call, &err) == 0) {
		d->busy = true;
		return true;
	}
	unreadable(d, m, &err);
	return false;
}

static void
read_next(struct device *d)
{
	struct heard *m;

	while (!d->busy &&
	    (m = list_first(&d->waiting, struct heard, link)) != NULL) {
		const struct hub_profile *p =
		    model_profile(d->hub, d->row.unit_id, d->profile);

		if (p == NULL)
			counter_add(&d->hub->counters.no_profile, 1);
		else if (!str_eqz(p->codec, "javascript"))
			read_here(d, m, p);
		else if (read_by_script(d, m, p))
			return;
		heard_done(m);
	}
}

void
heard_run(struct loop_post *p)
{
	struct hub *h = container_of(p, struct hub, heard_post);
	struct heard *m;
	struct list all;

	if (hub_is_pausing(h)) {
		h->intake_waits = true;
		return;
	}
	list_init(&all);
	pthread_mutex_lock(&h->lock);
	list_join(&all, &h->heard);
	h->heard_posted = false;
	pthread_mutex_unlock(&h->lock);
	while ((m = list_first(&all, struct heard, link)) != NULL) {
		list_del(&m->link);
		h->n_reading++;
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
