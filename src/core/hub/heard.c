/*
 * core/hub/heard.c - uplink on its way to readings.
 *
 *    routing loop: heard_uplink()  copied, or refused when too many wait
 *    hub's loop:   its device's turn --> read by its profile --> readings
 *                  --> formatters of the fields --> the group that gathers -->
 * committed: acknowledged
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
#include <string.h>

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
	h->readings.at_ms = TIME_NULL;
	return &h->readings;
}

void
heard_keep(
    struct heard *m, const struct reading *at, size_t n, struct str trouble)
{
	struct device *d = m->device;
	struct arena a = { 0 };

	for (size_t i = 0; i < n; i++)
		(void)model_read(d, &at[i], m->at);
	if (trouble.ptr == NULL)
		model_well(d, m->up.time);
	else
		model_trouble(d, arena_z(&a, trouble), m->up.time);
	model_announce(d, false);
	arena_fini(&a);
}

/* False: formatters have yet to speak. */
static bool
take(struct device *d, struct heard *m, const struct readings *r)
{
	m->at = r->at_ms != TIME_NULL ? r->at_ms : m->up.time;
	switch (format_begin(d, m, r)) {
	case FORMAT_LATER:
		return false;
	case FORMAT_NONE:
		heard_keep(m, r->at, r->n, STR_NULL);
		return true;
	default:
		return true;
	}
}

/* What went wrong is told where the device is looked at. */
static void
unreadable(struct device *d, struct heard *m, const struct err *err)
{
	counter_add(&d->hub->counters.unreadable, 1);
	model_trouble(d, err->text, m->up.time);
}

/* False: it is not done with yet. */
static bool
read_here(struct device *d, struct heard *m, const struct hub_profile *p)
{
	struct readings *r = fresh(d->hub);
	struct buf bytes = { 0 };
	struct err err = { 0 };
	bool done = true;

	if (hex_decode(&bytes, m->up.data) &&
	    decode(p, buf_str(&bytes), r, &err) == 0)
		done = take(d, m, r);
	else
		unreadable(d, m, &err);
	buf_free(&bytes);
	return done;
}

/* --- by a script --------------------------------------------------------- */

static void read_next(struct device *d);

void
heard_go_on(struct heard *m)
{
	struct device *d = m->device;

	d->busy = false;
	heard_done(m);
	read_next(d);
}

/* The codec found that the device asks for fields: {"requests":["relay",
 * "air.fan"]}. */
static void
answer_requests(struct device *d, struct str result)
{
	struct arena a = { 0 };
	struct str list, source, field;
	struct json j;

	if (hub_json_at(&a, result, STR("requests"), &list)) {
		json_open(&j, list, 0, &a);
		if (json_array(&j))
			while (json_item(&j) && json_str(&j, &field)) {
				source = STR("data");
				if (memchr(field.ptr, '.', field.len) != NULL)
					source = str_cut(&field, '.');
				model_request(d, source, field);
			}
	}
	arena_fini(&a);
}

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
		answer_requests(d, call->result);
		if (!take(d, m, r))
			return;
	} else {
		unreadable(d, m, &err);
	}
	heard_go_on(m);
}

struct str
heard_argument(struct arena *a, struct str hex, struct str port, int64_t at)
{
	struct buf b = { 0 }, bytes = { 0 };
	struct str text;

	(void)hex_decode(&bytes, hex);
	buf_addz(&b, "{\"bytes\":[");
	for (size_t i = 0; i < bytes.len; i++)
		buf_addf(
		    &b, "%s%u", i > 0 ? "," : "", (unsigned char)bytes.ptr[i]);
	buf_addf(&b, "],\"fPort\":" STR_FMT ",\"recvTime\":", STR_ARG(port));
	json_quote(&b, time_text(a, at));
	buf_addz(&b, ",\"variables\":{}}");
	text = arena_str(a, buf_str(&b));
	buf_free(&bytes);
	buf_free(&b);
	return text;
}

static struct str
script_argument(struct heard *m)
{
	struct arena *a = &m->arena;
	struct str port = STR("0");

	if (m->up.extension.ptr != NULL &&
	    !hub_json_at(a, m->up.extension, STR("fPort"), &port))
		(void)hub_json_at(a, m->up.extension, STR("port"), &port);
	return heard_argument(a, m->up.data, port, m->up.time);
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

/* --- by its gateway ------------------------------------------------------ */

/* True when it is read; false: scripts have yet to speak. */
static bool
read_by_profile(struct device *d, struct heard *m, const struct hub_profile *p)
{
	if (p == NULL)
		counter_add(&d->hub->counters.no_profile, 1);
	else if (!str_eqz(p->codec, "javascript"))
		return read_here(d, m, p);
	else
		return !read_by_script(d, m, p);
	return true;
}

static bool
has_codec(const struct hub_profile *p)
{
	return p != NULL && !str_eqz(p->codec, "none");
}

/* What its gateway has read. False: scripts have yet to speak. */
static bool
take_messages(struct device *d, struct heard *m, const struct gateway_read *g)
{
	const struct hub_profile *p =
	    model_profile(d->hub, d->row.unit_id, d->profile);
	struct readings *r = fresh(d->hub);
	bool there = true;

	for (size_t i = 0; i < g->n_messages; i++)
		if (!has_codec(p) || !g->messages[i].is_decoded)
			there =
			    model_message(d, &g->messages[i], m->up.time, r) &&
			    there;
	if (!there) {
		if (!str_eqz(d->row.state.status, "down"))
			model_down(d, "", m->up.time);
		return true;
	}
	model_seen(d, m->up.time);
	if (!has_codec(p) || m->up.data.len == 0)
		return take(d, m, r);
	for (size_t i = 0; i < r->n; i++)
		(void)model_read(d, &r->at[i], m->up.time);
	return read_by_profile(d, m, p);
}

static void
on_read(struct gateway_read *r, const struct err *err)
{
	struct heard *m = container_of(r, struct heard, read);
	struct device *d = m->device;
	bool done = true;

	d->busy = false;
	if (err->code != 0)
		unreadable(d, m, err);
	else
		done = take_messages(d, m, r);
	arena_fini(&r->arena);
	if (!done) {
		d->busy = true;
		return;
	}
	heard_done(m);
	read_next(d);
}

/* A gateway reads its frames itself; the profile has its say where a payload is
 * carried, or instead. */
static struct gateway *
gateway_for(struct device *d, const struct hub_profile *p)
{
	struct gate *g = gate_at(d->hub, d->row.unit_id, d->row.gateway_id);

	if (g == NULL || g->plug == NULL ||
	    (has_codec(p) && !gateway_has_payload(g->plug)))
		return NULL;
	return g->plug;
}

static void
read_by_gateway(struct device *d, struct heard *m, struct gateway *plug)
{
	struct buf bytes = { 0 };

	(void)hex_decode(&bytes, m->up.data);
	m->read.frame = (struct gateway_frame){ .node = d->row.node_id,
		.data = arena_str(
		    &m->arena, bytes.len > 0 ? buf_str(&bytes) : STR("")),
		.extension = m->up.extension };
	buf_free(&bytes);
	m->read.done = on_read;
	d->busy = true;
	gateway_read(plug, &m->read);
}

static void
read_next(struct device *d)
{
	struct heard *m;

	if (d->reading) /* further up in the calls */
		return;
	d->reading = true;
	while (!d->busy &&
	    (m = list_first(&d->waiting, struct heard, link)) != NULL) {
		const struct hub_profile *p =
		    model_profile(d->hub, d->row.unit_id, d->profile);
		struct gateway *plug = gateway_for(d, p);

		if (plug != NULL)
			read_by_gateway(d, m, plug);
		else if (read_by_profile(d, m, p))
			heard_done(m);
		else
			d->busy = true;
	}
	d->reading = false;
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
		if (gateway_for(m->device, NULL) != NULL)
			model_heard(m->device, m->up.time);
		else
			model_seen(m->device, m->up.time);
		list_add(&m->device->waiting, &m->link);
		read_next(m->device);
	}
}
