/*
 * core/hub/gateway.c - the networks that we drive ourselves, and their way into
 * routing and out of it.
 *
 *    plug hears --> is it a device already? --no--> one is made (a worker)
 *                          | yes                          |
 *                          v                              v
 *                   route_push() ... recorded, routed, heard.c ... taken
 *
 *    an order from routing --> gateway_send() --> route_report()
 *
 *  (1) The frames of a node are pushed in the order they came; those of one
 * that is being made a device wait for it, others do not. (2) An order is used
 * up when the plug has said what became of it; one that a reload or the end of
 * the process cuts short goes back to its queue. (3) What the plug is told of
 * labels is what lies in memory; nothing waits.
 *
 * Everything here runs on the hub's loop, except where it says otherwise.
 */
#include "core/hub/private.h"

#include "base/clock.h"
#include "base/mem.h"
#include "codec/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ADDR_MAX 256 /* letters of an address, as of devices of networks */
#define AGE_MAX ((int64_t)7 * 86400000) /* older is no time */

/* The address of a device: as it is compared, and as it is spoken. */
struct known {
	struct str addr, spoken; /* owned */
};

/* A node that is being made a device, and its frames. */
struct birth {
	struct gate *gate;
	struct route_newborn of; /* in `arena` */
	struct list waiting;     /* struct lift */
	struct worker_job job;
	struct loop_post done;
	int rc;
	struct err err;
	struct arena arena;
};

/* A frame on its way to routing and back. */
struct lift {
	struct route_commit commit;
	struct loop_post post;
	struct list link; /* in birth->waiting */
	struct gate *gate;
	struct gateway_taken *taken;
	struct str spoken, addr, data, extension; /* in `arena` */
	int64_t time;
	bool ok;
	struct arena arena;
};

static void forget(struct map *all);

void
gate_unref(struct gate *g)
{
	if (--g->refs > 0)
		return;
	forget(&g->known);
	map_fini(&g->births);
	str_free(g->trouble);
	arena_fini(&g->arena);
	free(g);
}

struct gate *
gate_by_id(struct hub *h, struct str id)
{
	return map_get(&h->gates, id);
}

struct gate *
gate_at(struct hub *h, struct str unit_id, struct str code)
{
	struct arena a = { 0 };
	struct gate *g;

	if (h->gate_places.n == 0)
		return NULL;
	g = map_get(&h->gate_places,
	    arena_printf(
		&a, STR_FMT " " STR_FMT, STR_ARG(unit_id), STR_ARG(code)));
	arena_fini(&a);
	return g;
}

/* --- who is known -------------------------------------------------------- */

static void
known_free(struct known *k)
{
	str_free(k->addr);
	str_free(k->spoken);
	free(k);
}

static void
forget(struct map *all)
{
	struct known *k;
	size_t pos = 0;

	while ((k = map_next(all, &pos)) != NULL) {
		map_del(all, k->addr);
		known_free(k);
		pos = 0;
	}
	map_fini(all);
}

static struct known *
known_new(struct gate *g, struct str addr, struct str spoken)
{
	struct known *k = mem_new(struct known);

	k->addr = str_copy(addr);
	k->spoken = str_copy(spoken);
	map_put(&g->known, k->addr, k);
	return k;
}

/* The address as the device's `others` have it, or the one that is there. */
static struct str
spoken_of(struct gate *g, struct arena *a, struct str addr)
{
	struct device *d = model_at(g->hub, g->row.unit_id, g->row.code, addr);
	struct str text =
	    hub_text_at(a, d != NULL ? d->row.others : STR("{}"), "address");

	return text.len > 0 ? text : addr;
}

/* What is known anew; how somebody is spoken of is not forgotten. */
struct recall {
	struct gate *gate;
	struct map before;
};

static void
add_known(void *ctx, struct str addr, struct str device_id)
{
	struct recall *r = ctx;
	struct known *was = map_get(&r->before, addr);
	struct arena a = { 0 };

	(void)device_id;
	(void)known_new(r->gate, addr,
	    was != NULL ? was->spoken : spoken_of(r->gate, &a, addr));
	arena_fini(&a);
}

/* Devices may have come or gone since it was last asked. */
static struct known *
known_at(struct gate *g, struct str addr)
{
	if (g->stale) {
		struct recall r = { g, g->known };

		g->stale = false;
		g->known = (struct map){ 0 };
		(void)route_devices_on(
		    g->hub->route, g->row.id, STR_NULL, add_known, &r, NULL);
		forget(&r.before);
	}
	return map_get(&g->known, addr);
}

struct str
gate_spoken(struct gate *g, struct arena *a, struct str addr)
{
	struct known *k = known_at(g, addr);

	return arena_str(a, k != NULL ? k->spoken : addr);
}

static void
note_found(void *ctx, struct str addr, struct str device_id)
{
	(void)addr;
	(void)device_id;
	*(bool *)ctx = true;
}

/* One device may have come or gone: a network of many is not read anew for
 * each. */
static void
look_again(struct gate *g, struct str addr)
{
	struct known *k = map_get(&g->known, addr);
	struct arena a = { 0 };
	bool there = false;

	if (route_devices_on(g->hub->route, g->row.id, addr, note_found, &there,
		NULL) != 0) {
		g->stale = true;
	} else if (there && k == NULL) {
		k = known_new(g, addr, spoken_of(g, &a, addr));
		if (g->plug != NULL)
			gateway_claimed(g->plug, k->spoken);
	} else if (!there && k != NULL) {
		map_del(&g->known, k->addr);
		known_free(k);
	}
	arena_fini(&a);
}

void
gates_stale(struct hub *h, struct str place)
{
	struct str addr = place, network = str_cut(&addr, '\n');
	struct gate *g;
	size_t pos = 0;

	while ((g = map_next(&h->gates, &pos)) != NULL) {
		if (network.len > 0 && !str_eq(g->row.code, network))
			continue;
		if (addr.len == 0)
			g->stale = true;
		else if (!g->stale)
			look_again(g, addr);
	}
}

/* --- up ------------------------------------------------------------------ */

static void on_plug_changed(void *ctx, struct gateway *plug);

static void
speak_as(struct known *k, struct str spoken)
{
	if (str_eq(k->spoken, spoken))
		return;
	str_free(k->spoken);
	k->spoken = str_copy(spoken);
}

/* Once what came of a frame is stored, so that there is a device. */
static void
remember_spoken(struct gate *g, struct str addr, struct str spoken)
{
	struct known *k = known_at(g, addr);
	struct device *d;

	if (k != NULL)
		speak_as(k, spoken);
	if (str_eq(spoken, addr))
		return;
	d = model_at(g->hub, g->row.unit_id, g->row.code, addr);
	if (d != NULL)
		model_note(d, "address", spoken);
}

static void
run_lifted(struct loop_post *p)
{
	struct lift *l = container_of(p, struct lift, post);
	struct gate *g = l->gate;

	if (l->ok && !g->gone)
		remember_spoken(g, l->addr, l->spoken);
	l->taken->done(l->taken, l->ok);
	gate_unref(g);
	arena_fini(&l->arena);
	free(l);
}

static void
lifted(struct lift *l, bool ok)
{
	l->ok = ok;
	l->post.run = run_lifted;
	loop_post(l->gate->hub->loop, &l->post);
}

/* On the routing loop. */
static void
on_commit(struct route_commit *c, bool ok)
{
	lifted(container_of(c, struct lift, commit), ok);
}

static void
push(struct lift *l)
{
	struct gate *g = l->gate;

	l->commit.done = on_commit;
	route_push(g->hub->route,
	    &(struct route_pushed){ .unit_code = g->row.unit_code,
		.network_code = g->row.code,
		.addr = l->addr,
		.data = l->data,
		.extension = l->extension,
		.time = l->time },
	    &l->commit);
}

/* On a worker. */
static void
run_birth(struct worker_job *job)
{
	struct birth *b = container_of(job, struct birth, job);
	struct str id;

	b->rc = route_device_born(
	    b->gate->hub->route, &b->of, &b->arena, &id, &b->err);
	loop_post(b->gate->hub->loop, &b->done);
}

static void
now_known(struct gate *g, struct birth *b)
{
	struct lift *l = list_first(&b->waiting, struct lift, link);
	struct known *k = map_get(&g->known, b->of.addr);

	if (k == NULL)
		k = known_new(g, b->of.addr, l->spoken);
	speak_as(k, l->spoken);
	if (g->plug != NULL) /* what was wrong is over */
		on_plug_changed(g, g->plug);
}

static void
on_born(struct loop_post *p)
{
	struct birth *b = container_of(p, struct birth, done);
	struct gate *g = b->gate;
	bool there = b->rc == 0 || b->rc == ERR_EXISTS;

	map_del(&g->births, b->of.addr);
	if (b->rc == 0)
		counter_add(&g->hub->counters.born, 1);
	if (!there && !g->gone)
		gate_trouble(g, b->err.text);
	else if (there && !g->gone)
		now_known(g, b);
	LIST_EACH (l, &b->waiting, struct lift, link) {
		list_del(&l->link);
		if (there && !g->gone)
			push(l);
		else
			lifted(l, false);
	}
	gate_unref(g);
	arena_fini(&b->arena);
	free(b);
}

static void
begin_birth(struct gate *g, struct lift *l)
{
	struct birth *b = mem_new(struct birth);
	struct arena *a = &b->arena;
	struct str profile = hub_text_at(a, g->row.labels, "device_profile");

	g->refs++;
	b->gate = g;
	b->of = (struct route_newborn){ .unit_id = arena_str(a, g->row.unit_id),
		.network_id = arena_str(a, g->row.id),
		.addr = arena_str(a, l->addr),
		.profile = profile.ptr != NULL ? profile : STR(""),
		.name = STR("") };
	list_init(&b->waiting);
	list_add(&b->waiting, &l->link);
	b->job.run = run_birth;
	b->done.run = on_born;
	map_put(&g->births, b->of.addr, b);
	if (worker_submit(g->hub->errands, &b->job) != 0) {
		b->rc = err_set(&b->err, ERR_LIMIT, "too much at once");
		loop_post(g->hub->loop, &b->done);
	}
}

/* As what the API takes for one: else no device can have it. */
static bool
is_address(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] < ' ')
			return false;
	return s.len <= ADDR_MAX && str_trim(s).len == s.len && str_is_utf8(s);
}

/* A network may make up addresses without end. Whoever comes beyond the limit
 * is listed in the inbox. */
static bool
has_room(struct gate *g)
{
	bool full =
	    g->known.n + g->births.n >= (size_t)g->hub->conf.gateway.devices;

	if (full)
		counter_add(&g->hub->counters.unborn, 1);
	if (full != g->full) {
		g->full = full;
		if (g->plug != NULL)
			on_plug_changed(g, g->plug);
	}
	return !full;
}

/* When it was heard by who handed it to the gateway, if that is said and no
 * time to come. */
static int64_t
time_of(struct arena *a, const struct gateway_frame *f)
{
	int64_t now = clock_now(), at;

	if (f->extension.len > 0 &&
	    time_parse(hub_text_at(a, f->extension, "time"), &at) &&
	    at > now - AGE_MAX && at <= now)
		return at;
	return now;
}

static void
on_heard(void *ctx, const struct gateway_frame *f, struct gateway_taken *t)
{
	struct gate *g = ctx;
	struct lift *l = mem_new(struct lift);
	struct arena *a = &l->arena;
	struct known *k;
	struct birth *b;

	g->refs++;
	l->gate = g;
	l->taken = t;
	l->time = time_of(a, f);
	l->spoken = arena_str(a, f->node);
	l->addr = arena_lower(a, f->node);
	l->data = arena_str(a, f->data);
	l->extension = arena_str(a, f->extension);
	k = known_at(g, l->addr);
	b = map_get(&g->births, l->addr);
	if (f->node.len == 0) { /* of no node: nobody's */
		lifted(l, true);
	} else if (!is_address(f->node)) {
		counter_add(&g->hub->counters.misnamed, 1);
		lifted(l, true);
	} else if (b != NULL) {
		list_add(&b->waiting, &l->link);
	} else if (k == NULL && str_eqz(g->row.claim, "auto") && has_room(g)) {
		begin_birth(g, l);
	} else {
		push(l);
	}
}

/* --- what the plug asks --------------------------------------------------- */

static struct str
on_label(void *ctx, struct arena *a, struct str node, const char *key)
{
	struct gate *g = ctx;
	struct device *d;

	if (node.len == 0)
		return hub_text_at(a, g->row.labels, key);
	d = model_at(g->hub, g->row.unit_id, g->row.code, arena_lower(a, node));
	return d != NULL ? hub_text_at(a, d->row.labels, key) : STR_NULL;
}

static void
on_note(void *ctx, struct str node, struct str labels, struct str others)
{
	struct gate *g = ctx;
	struct arena a = { 0 };
	struct device *d = model_at(
	    g->hub, g->row.unit_id, g->row.code, arena_lower(&a, node));

	if (d != NULL)
		model_merge_node(d, labels, others);
	arena_fini(&a);
}

static bool
on_known(void *ctx, struct str node)
{
	struct gate *g = ctx;
	struct arena a = { 0 };
	struct str addr = arena_lower(&a, node);
	bool yes =
	    known_at(g, addr) != NULL || map_get(&g->births, addr) != NULL;

	arena_fini(&a);
	return yes;
}

static void
on_plug_changed(void *ctx, struct gateway *plug)
{
	struct gate *g = ctx;
	struct gateway_state s;
	static const char *const words[] = { [GATEWAY_STOPPED] = "down",
		[GATEWAY_STARTING] = "unavailable",
		[GATEWAY_UP] = "up",
		[GATEWAY_DOWN] = "down" };

	gateway_state(plug, &s);
	if (g->full && s.status == GATEWAY_UP)
		(void)snprintf(s.text, sizeof(s.text),
		    "it has %zu devices already: others only get into the "
		    "inbox; raise hub.gateway.devices, or delete some",
		    g->known.n);
	gate_state(g, words[s.status], s.text);
}

/* Our own server, for gateways without a broker: each has a part of its own,
 * marram/UNIT/gateway/CODE/, which its account opens to its devices. */

static int
on_publish(void *ctx, struct str topic, struct str payload, uint8_t qos,
    bool retain, struct err *err)
{
	struct gate *g = ctx;
	struct buf t = { 0 }, p = { 0 };

	(void)err;
	buf_add_str(&t, g->root);
	buf_add_str(&t, topic);
	buf_add_str(&p, payload);
	event_note_at(g->hub, &t, &p, qos, retain);
	return 0;
}

/* What one filter brings, from the routing loop to ours. */
struct ear {
	struct hub *hub;
	size_t root; /* letters before its own topics */
	struct route_ear *below;
	gateway_heard *heard; /* NULL: nobody listens any more */
	void *ctx;
	struct map open; /* number -> held: what the sender waits for */
	struct loop_post ended;
};

/* A message whose sender waits until what came of it is stored. */
struct held {
	uint64_t number; /* among those of the hub */
	struct ear *ear;
	uint64_t token; /* the ear's below */
};

struct whisper {
	struct loop_post post;
	struct ear *ear;
	bool retained;
	uint64_t token;
	struct str topic, payload;
	struct arena arena;
};

static struct str
number_key(const uint64_t *number)
{
	return (struct str){ (const char *)number, sizeof(*number) };
}

static uint64_t
hold(struct ear *e, uint64_t token)
{
	struct held *held = mem_new(struct held);

	held->number = ++e->hub->last_held;
	held->ear = e;
	held->token = token;
	map_put(&e->hub->held, number_key(&held->number), held);
	map_put(&e->open, number_key(&held->number), held);
	return held->number;
}

static void
let_go(struct held *held)
{
	map_del(&held->ear->hub->held, number_key(&held->number));
	map_del(&held->ear->open, number_key(&held->number));
	free(held);
}

void
gate_taken(struct hub *h, uint64_t number)
{
	struct held *held = map_get(&h->held, number_key(&number));

	if (held == NULL)
		return; /* it was given up, and comes again */
	route_ear_done(held->ear->below, held->token);
	let_go(held);
}

static void
on_taken(void *ctx, uint64_t number)
{
	gate_taken(((struct gate *)ctx)->hub, number);
}

static void
run_whisper(struct loop_post *p)
{
	struct whisper *w = container_of(p, struct whisper, post);

	if (w->ear->heard != NULL)
		w->ear->heard(w->ear->ctx, w->topic, w->payload, w->retained,
		    w->token != 0 ? hold(w->ear, w->token) : 0);
	arena_fini(&w->arena);
	free(w);
}

/* On the routing loop. */
static void
on_whisper(void *ctx, struct str topic, struct str payload, bool retained,
    uint64_t token)
{
	struct ear *e = ctx;
	struct whisper *w = mem_new(struct whisper);

	w->post.run = run_whisper;
	w->ear = e;
	w->retained = retained;
	w->token = token;
	w->topic = arena_str(&w->arena,
	    (struct str){ topic.ptr + e->root, topic.len - e->root });
	w->payload = arena_str(&w->arena, payload);
	loop_post(e->hub->loop, &w->post);
}

static void
run_ear_ended(struct loop_post *p)
{
	free(container_of(p, struct ear, ended));
}

/* On the routing loop; what was whispered before comes before. */
static void
on_ear_ended(void *ctx)
{
	struct ear *e = ctx;

	e->ended.run = run_ear_ended;
	loop_post(e->hub->loop, &e->ended);
}

void *
gate_ear(struct hub *h, struct str root, struct str filter,
    gateway_heard *heard, void *heard_ctx)
{
	struct ear *e = mem_new(struct ear);
	struct arena a = { 0 };

	e->hub = h;
	e->root = root.len;
	e->heard = heard;
	e->ctx = heard_ctx;
	e->below = route_ear_new(h->route,
	    arena_printf(&a, STR_FMT STR_FMT, STR_ARG(root), STR_ARG(filter)),
	    on_whisper, on_ear_ended, e);
	arena_fini(&a);
	return e;
}

void
gate_ear_end(void *handle)
{
	struct ear *e = handle;
	struct held *held;
	size_t pos = 0;

	while ((held = map_next(&e->open, &pos)) != NULL) {
		let_go(held);
		pos = 0;
	}
	map_fini(&e->open);
	e->heard = NULL;
	route_ear_free(e->below);
}

static void *
on_listen(void *ctx, struct str filter, gateway_heard *heard, void *heard_ctx,
    struct err *err)
{
	struct gate *g = ctx;

	(void)err;
	return gate_ear(g->hub, g->root, filter, heard, heard_ctx);
}

static void
on_unlisten(void *ctx, void *handle)
{
	(void)ctx;
	gate_ear_end(handle);
}

/* Scripts of gateways run beside the codecs. */

struct recital {
	struct script_call call;
	struct gate *gate;
	gateway_script_done *done;
	void *ctx;
	struct arena arena;
};

static void
on_recited(struct script_call *call)
{
	struct recital *r = container_of(call, struct recital, call);
	struct gate *g = r->gate;

	r->done(r->ctx, call->result, &call->err);
	gate_unref(g);
	arena_fini(&r->arena);
	free(r);
}

static int
on_script(void *ctx, struct str source, struct str vars,
    gateway_script_done *done, void *done_ctx, struct err *err)
{
	struct gate *g = ctx;
	struct recital *r = mem_new(struct recital);
	struct arena *a = &r->arena;
	struct str copy = arena_str(a, vars);
	int rc;

	r->gate = g;
	r->done = done;
	r->ctx = done_ctx;
	r->call = (struct script_call){ .group = arena_str(a, g->row.unit_id),
		.source = arena_str(a, source),
		.entry = SCRIPT_VALUE,
		.both_spellings = true,
		.done = on_recited };
	r->call.vars = hub_globals(a, copy, NULL, STR_NULL, &r->call.n_vars);
	rc = script_run(g->hub->codecs, &r->call, err);
	if (rc == 0) {
		g->refs++;
		return 0;
	}
	arena_fini(a);
	free(r);
	return rc;
}

/* --- down ---------------------------------------------------------------- */

struct order {
	struct loop_post post;
	struct hub *hub;
	struct route_ticket *ticket;
	struct route_order of; /* in `arena` */
	struct arena arena;
};

static void
order_end(struct order *o, int64_t status, struct str message)
{
	route_report(o->hub->route, o->ticket, status, message);
	arena_fini(&o->arena);
	free(o);
}

static void
on_sent(void *ctx, enum gateway_outcome outcome, const struct err *err)
{
	static const struct {
		int64_t status;
		const char *text;
	} ends[] = {
		[GATEWAY_SENT] = { 0, "" },
		[GATEWAY_FAILED] = { 1, "it could not be sent" },
		[GATEWAY_REPLACED] = { 2, "a newer one took its place" },
		[GATEWAY_EXPIRED] = { 3, "the device was not awake in time" },
	};
	struct order *o = ctx;
	const char *text = ends[outcome].text;

	if (err != NULL && err->code == ERR_CLOSED) { /* (2) */
		route_return(o->hub->route, o->ticket);
		arena_fini(&o->arena);
		free(o);
		return;
	}
	if (err != NULL && err->text[0] != '\0' &&
	    (outcome == GATEWAY_FAILED || err->code == ERR_NOT_FOUND))
		text = err->text;
	order_end(o, ends[outcome].status, str_of(text));
}

static void
carry_out(struct gate *g, struct order *o)
{
	struct arena *a = &o->arena;
	struct device *d =
	    model_at(g->hub, g->row.unit_id, g->row.code, o->of.addr);
	struct known *k = known_at(g, o->of.addr);
	struct str labels = d != NULL ? d->row.labels : STR("{}"), text;
	bool asleep = hub_has_label(labels, "sleep_node") &&
	    !hub_has_label(labels, "sleep_queue_disabled");
	struct gateway_frame f = {
		.node = k != NULL ? k->spoken : o->of.addr,
		.extension = o->of.extension,
		.id = o->of.data_id,
	};
	struct buf bytes = { 0 };
	int64_t validity = 0;
	struct err err;

	text = hub_text_at(a, o->of.extension, "validity");
	if (text.len == 0)
		text = hub_text_at(a, labels, "sleep_message_validity");
	(void)hub_duration(text, 0, &validity, NULL);
	if (hub_text_at(a, o->of.extension, "awake").len > 0)
		asleep = false; /* an answer to what it has just asked */
	(void)hex_decode(&bytes, o->of.data);
	f.data = bytes.len > 0 ? buf_str(&bytes) : STR("");
	if (gateway_send(g->plug, &f, asleep, validity, on_sent, o, &err) != 0)
		order_end(o, 1, str_of(err.text));
	else if (asleep)
		route_report(g->hub->route, o->ticket, -1, STR(""));
	buf_free(&bytes);
}

static void
run_order(struct loop_post *p)
{
	struct order *o = container_of(p, struct order, post);
	struct gate *g = gate_by_id(o->hub, o->of.gateway_id);

	if (g == NULL)
		order_end(o, 1, STR("there is no such gateway any more"));
	else if (!g->row.enabled)
		order_end(o, 1, STR("the gateway is disabled"));
	else if (g->plug == NULL) /* it could not be opened: why is known */
		order_end(o, 1, g->trouble);
	else
		carry_out(g, o);
}

/* On the routing loop. */
bool
gate_order(
    void *owner, const struct route_order *of, struct route_ticket *ticket)
{
	struct order *o = mem_new(struct order);
	struct arena *a = &o->arena;

	o->post.run = run_order;
	o->hub = owner;
	o->ticket = ticket;
	o->of = (struct route_order){ arena_str(a, of->gateway_id),
		arena_str(a, of->data_id), arena_str(a, of->addr),
		arena_str(a, of->data), arena_str(a, of->extension) };
	loop_post(o->hub->loop, &o->post);
	return true;
}

int
gate_act(struct gate *g, struct str node, struct str action, struct err *err)
{
	struct buf b = { 0 };
	const char *const *all;
	int rc;

	if (!g->row.enabled)
		return err_set(err, ERR_DENIED,
		    "gateway " STR_FMT " is disabled", STR_ARG(g->row.code));
	if (g->plug == NULL)
		return err_set(err, ERR_DENIED,
		    "gateway " STR_FMT " does not run: " STR_FMT,
		    STR_ARG(g->row.code), STR_ARG(g->trouble));
	rc = gateway_act(g->plug, node, action, err);
	if (rc != ERR_NOT_FOUND)
		return rc;
	all = gateway_actions(g->plug);
	for (size_t i = 0; all != NULL && all[i] != NULL; i++)
		buf_addf(&b, "%s%s", i > 0 ? ", " : "", all[i]);
	rc = err_set(err, ERR_PARAM,
	    "gateway " STR_FMT " has no action `" STR_FMT "`; there are: %s",
	    STR_ARG(g->row.code), STR_ARG(action),
	    b.len > 0 ? buf_z(&b) : "none");
	buf_free(&b);
	return rc;
}

/* --- their life ---------------------------------------------------------- */

void
gate_state(struct gate *g, const char *status, const char *text)
{
	if (str_eqz(g->state.status, status) && str_eqz(g->trouble, text))
		return;
	str_free(g->trouble);
	g->trouble = str_copy(str_of(text));
	g->state =
	    (struct hub_state){ str_of(status), g->trouble, clock_now() };
	event_gateway(g, "updated");
}

void
gate_trouble(struct gate *g, const char *text)
{
	gate_state(g, "error", text);
}

static void
open_plug(struct gate *g)
{
	struct hub *h = g->hub;
	const struct gateway_host host = { .ctx = g,
		.loop = h->loop,
		.settings = &h->conf.gateway,
		.log_dir = h->log_dir,
		.heard = on_heard,
		.changed = on_plug_changed,
		.publish = on_publish,
		.listen = on_listen,
		.unlisten = on_unlisten,
		.taken = on_taken,
		.label = on_label,
		.note = on_note,
		.known = on_known,
		.firmware = firmware_for,
		.script = on_script };
	struct gateway_conf conf = {
		.name = arena_z(&g->arena,
		    arena_printf(&g->arena, STR_FMT "." STR_FMT,
			STR_ARG(g->row.unit_code), STR_ARG(g->row.code))),
		.logger = g->row.logger,
		.queue_failed = g->row.queue_failed
	};
	struct arena a = { 0 };
	struct err err;

	g->host = host;
	(void)hub_duration(
	    g->row.reconnect_delay, 15000, &conf.reconnect_ms, NULL);
	g->round++;
	if (hub_unseal_deep(h, &a, g->row.provider, &conf.provider, &err) !=
		0 ||
	    gateway_open(&conf, &g->host, &g->plug, &err) != 0) {
		g->plug = NULL;
		gate_trouble(g, err.text);
	} else if (!g->row.enabled) {
		gate_state(g, "down", "disabled");
	} else {
		gate_state(g, "unavailable", "connecting");
		gateway_start(g->plug);
	}
	arena_fini(&a);
}

static void
close_plug(struct gate *g)
{
	struct gateway *plug = g->plug;

	g->plug = NULL;
	g->round++;
	gateway_close(plug);
}

static struct gate *
gate_new(struct hub *h, const struct route_gateway *row)
{
	struct gate *g = mem_new(struct gate);

	g->hub = h;
	g->refs = 1;
	g->stale = true;
	g->state = (struct hub_state){ STR("unavailable"), STR(""), TIME_NULL };
	record_copy(&route_gateway_entity.record, &g->arena, &g->row, row);
	g->place = arena_printf(&g->arena, STR_FMT " " STR_FMT,
	    STR_ARG(row->unit_id), STR_ARG(row->code));
	g->root = route_gateway_root(&g->arena, row->unit_code, row->code);
	map_put(&h->gates, g->row.id, g);
	map_put(&h->gate_places, g->place, g);
	counter_add(&h->counters.gateways, 1);
	return g;
}

static void
gate_end(struct gate *g)
{
	struct hub *h = g->hub;

	close_plug(g);
	g->gone = true;
	forget(&g->known);
	map_del(&h->gates, g->row.id);
	map_del(&h->gate_places, g->place);
	counter_add(&h->counters.gateways, -1);
	gate_unref(g);
}

static int
load(void *ctx, const void *row, struct err *err)
{
	(void)err;
	(void)gate_new(ctx, row);
	return 0;
}

int
gates_load(struct hub *h, struct err *err)
{
	static const struct store_query all = { 0 };

	return store_list(
	    route_store(h->route), &route_gateway_entity, &all, load, h, err);
}

void
gates_start(struct hub *h)
{
	struct gate *g;
	size_t pos = 0;

	while ((g = map_next(&h->gates, &pos)) != NULL)
		if (g->plug == NULL)
			open_plug(g);
}

void
gates_stop(struct hub *h)
{
	struct gate *g;
	size_t pos = 0;

	while ((g = map_next(&h->gates, &pos)) != NULL)
		close_plug(g);
}

void
gates_reload(struct hub *h, struct str id)
{
	struct gate *old = gate_by_id(h, id), *g;
	struct route_gateway row;
	struct arena a = { 0 };
	struct filter f = { 0 };
	bool found = false;

	filter_text(&f, "id", id);
	if (store_get(route_store(h->route), &route_gateway_entity, &f, &a,
		&row, &found, NULL) != 0) {
		arena_fini(&a);
		return; /* it goes on as it is */
	}
	if (old != NULL && !found)
		event_gateway(old, "deleted");
	if (old != NULL)
		gate_end(old);
	if (found && !h->ending) {
		g = gate_new(h, &row);
		event_gateway(g, old != NULL ? "updated" : "created");
		if (h->begun) /* else gates_start() is to come */
			open_plug(g);
	}
	arena_fini(&a);
}

static int
note_row(void *ctx, const void *row, struct err *err)
{
	const struct route_gateway *g = row;
	struct gate *gate = gate_by_id(ctx, g->id);

	(void)err;
	if (gate != NULL)
		gate->stored = true;
	return 0;
}

void
gates_check(struct hub *h)
{
	static const struct store_query all = { 0 };
	struct gate *g;
	size_t pos = 0;

	while ((g = map_next(&h->gates, &pos)) != NULL)
		g->stored = false;
	if (store_list(route_store(h->route), &route_gateway_entity, &all,
		note_row, h, NULL) != 0)
		return;
	pos = 0;
	while ((g = map_next(&h->gates, &pos)) != NULL) {
		if (g->stored)
			continue;
		event_gateway(g, "deleted");
		gate_end(g);
		pos = 0;
	}
}

void
gates_forget(struct hub *h)
{
	struct gate *g;
	size_t pos = 0;

	while ((g = map_next(&h->gates, &pos)) != NULL) {
		gate_end(g);
		pos = 0;
	}
	map_fini(&h->gates);
	map_fini(&h->gate_places);
}

void
gates_free(struct hub *h)
{
	worker_pool_free(h->errands);
	h->errands = NULL;
	gates_forget(h);
	map_fini(&h->held);
}
