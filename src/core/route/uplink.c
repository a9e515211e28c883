/*
 * core/route/uplink.c - from a network to the applications.
 *
 *	heard --> in the caches? --yes--> recorded, copied to applications, done
 *	              | no                                  ^
 *	              v                                     |
 *	       waits at its device's look-up --> a worker reads the store
 *
 *  (1) A message that waits for a look-up holds later ones of the same device,
 *      never those of others: each look-up keeps a list in order.
 *  (2) A message is done, and so acknowledged, when its records are committed
 *      and every application's queue has had its copy.
 *  (3) An application gets a message at most once: device routes come first,
 *      network routes fill up.
 *  (4) What was read before an invalidation arrived is not put into a cache:
 *      the look-up is marked stale and read again.
 */
#include "core/route/private.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/rand.h"
#include "codec/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRIES_MAX 3 /* reads of one look-up before a stale one is used once */
#define ID_TEXT_MAX 40

/* What a network said, read. */
struct uplink {
	int64_t time;
	struct str addr, data, extension;
};

/* Who waits for it to be recorded: one of the two. */
struct origin {
	struct mqtt_msg *msg;
	struct route_commit *inside;
};

/* Where it goes. */
struct target {
	bool known;
	struct str device_id, unit_id, profile;
	struct strs device_apps, network_apps; /* keys */
};

/* --- reading ------------------------------------------------------------- */

static struct str
folded(struct arena *a, struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] >= 'A' && s.ptr[i] <= 'Z')
			return arena_lower(a, s);
	return s;
}

static bool
read_uplink(struct arena *a, struct str payload, struct uplink *u)
{
	struct str time = STR_NULL, key;
	struct json j;

	*u = (struct uplink){ .addr = STR_NULL, .data = STR_NULL };
	json_open(&j, payload, 0, a);
	if (json_object(&j))
		while (json_member(&j, &key)) {
			if (str_eqz(key, "time"))
				json_str(&j, &time);
			else if (str_eqz(key, "networkAddr"))
				json_str(&j, &u->addr);
			else if (str_eqz(key, "data"))
				json_str(&j, &u->data);
			else if (str_eqz(key, "extension"))
				read_extension(&j, &u->extension);
			else
				json_skip(&j);
		}
	if (json_done(&j, NULL) != 0 || u->addr.len == 0 ||
	    u->data.ptr == NULL || !str_is_hex(u->data) ||
	    !time_parse(time, &u->time))
		return false;
	u->addr = folded(a, u->addr);
	u->data = folded(a, u->data);
	return true;
}

/* --- recording ----------------------------------------------------------- */

static struct origin
origin_ref(struct origin o)
{
	if (o.msg != NULL)
		(void)mqtt_msg_ref(o.msg);
	return o;
}

/* Gives the reference up, too. */
static void
origin_done(struct origin o, bool ok)
{
	if (o.msg != NULL)
		mqtt_msg_done(o.msg, ok);
	else
		o.inside->done(o.inside, ok);
	mqtt_msg_unref(o.msg);
}

/* What an uplink's acknowledgement waits for. */
struct up_commit {
	struct route_commit record, heard;
	struct route *route;
	struct origin origin;
	unsigned waits;
	bool failed;
};

static void
on_part(struct up_commit *c, bool ok)
{
	c->failed = c->failed || !ok;
	if (--c->waits > 0)
		return;
	if (c->failed)
		counter_add(&c->route->counters.uplink_failed, 1);
	origin_done(c->origin, !c->failed);
	free(c);
}

static void
on_record(struct route_commit *commit, bool ok)
{
	on_part(container_of(commit, struct up_commit, record), ok);
}

static void
on_heard(struct route_commit *commit, bool ok)
{
	on_part(container_of(commit, struct up_commit, heard), ok);
}

static void
record(struct route *r, struct origin from, const struct route_record *recs,
    size_t n, const struct route_uplink *u)
{
	struct up_commit *c = mem_new(struct up_commit);

	c->record.done = on_record;
	c->heard.done = on_heard;
	c->route = r;
	c->origin = origin_ref(from);
	c->waits = 2;
	if (r->tap.uplink == NULL)
		on_part(c, true);
	else if (!r->tap.uplink(r->tap.owner, u, &c->heard))
		on_part(c, false);
	if (r->sink.put == NULL)
		on_part(c, true);
	else if (!r->sink.put(r->sink.owner, recs, n, &c->record))
		on_part(c, false);
}

/* --- to the applications ------------------------------------------------- */

static bool
served(struct endpoint *const *done, size_t n, const struct endpoint *e)
{
	for (size_t i = 0; i < n; i++)
		if (done[i] == e)
			return true;
	return false;
}

/* The applications behind the keys that we serve, each once. */
static size_t
resolve(
    struct route *r, const struct strs *keys, struct endpoint **apps, size_t n)
{
	for (size_t i = 0; i < keys->n; i++) {
		struct endpoint *e = map_get(&r->applications, keys->at[i]);

		if (e != NULL && !served(apps, n, e))
			apps[n++] = e;
	}
	return n;
}

/* Everything behind the dataId, which is the same for all. */
static void
write_rest(struct buf *b, const struct endpoint *net, const struct uplink *u,
    const struct target *t, int64_t now)
{
	char text[TIME_TEXT_LEN + 1];

	time_format(u->time, text);
	buf_addz(b, "\",\"time\":\"");
	buf_add(b, text, TIME_TEXT_LEN);
	time_format(now, text);
	buf_addz(b, "\",\"pub\":\"");
	buf_add(b, text, TIME_TEXT_LEN);
	buf_addz(b, "\",\"deviceId\":\"");
	buf_add_str(b, t->device_id);
	buf_addz(b, "\",\"networkId\":\"");
	buf_add_str(b, net->id);
	buf_addz(b, "\",\"networkCode\":\"");
	buf_add_str(b, net->code);
	buf_addz(b, "\",\"networkAddr\":");
	json_quote(b, u->addr);
	buf_addz(b, ",\"isPublic\":");
	buf_addz(b, net->unit_id.len == 0 ? "true" : "false");
	buf_addz(b, ",\"profile\":");
	json_quote(b, t->profile);
	buf_addz(b, ",\"data\":\"");
	buf_add_str(b, u->data);
	buf_addc(b, '"');
	if (u->extension.ptr != NULL) {
		buf_addz(b, ",\"extension\":");
		buf_add_str(b, u->extension);
	}
	buf_addc(b, '}');
}

/* Sends one copy under an id of its own. The id is written in front of the
 * shared rest, whose place in `b` begins at `head`. */
static void
send_copy(struct route *r, struct endpoint *app, struct buf *b, size_t head,
    struct str id)
{
	static const char open[] = "{\"dataId\":\"";
	size_t front = sizeof(open) - 1 + id.len;
	struct str payload;
	unsigned targets;

	memcpy(b->ptr + head - front, open, sizeof(open) - 1);
	memcpy(b->ptr + head - id.len, id.ptr, id.len);
	payload = (struct str){ b->ptr + head - front, b->len - head + front };
	if (mqtt_publish(r->mqtt, app->uldata, payload, 1, false, &targets) ==
	    0)
		counter_add(&r->counters.uplink_routed, 1);
	else
		counter_add(&r->counters.uplink_refused, 1);
}

static void
route_uplink(struct endpoint *net, struct origin from, const struct uplink *u,
    const struct target *t)
{
	static const char room[ID_TEXT_MAX + 16];
	struct route *r = net->route;
	size_t most = 1 + (t->known ? t->device_apps.n + t->network_apps.n : 0),
	       n = 0;
	struct arena *a = &r->scratch;
	struct route_record *recs = arena_array(a, most, struct route_record);
	struct endpoint **apps = arena_array(a, most, struct endpoint *);
	struct buf b = { 0 };
	int64_t now = clock_now();

	recs[0] = (struct route_record){ .kind = ROUTE_NETWORK_ULDATA,
		.data_id = rand_id(a, now, ID_LONG),
		.proc = now,
		.pub = TIME_NULL,
		.resp = TIME_NULL,
		.time = u->time,
		.unit_id = net->unit_id,
		.unit_code = net->unit_code,
		.device_id = t->known ? t->device_id : STR_NULL,
		.network_code = net->code,
		.network_addr = u->addr,
		.profile = t->known ? t->profile : STR(""),
		.data = u->data,
		.extension = u->extension };
	if (t->known) {
		n = resolve(r, &t->device_apps, apps, 0);
		n = resolve(r, &t->network_apps, apps, n);
	} else {
		counter_add(&r->counters.uplink_unknown, 1);
	}
	if (n > 0) {
		buf_reserve(&b, 512 + u->data.len);
		buf_add(&b, room, sizeof(room));
		write_rest(&b, net, u, t, now);
	}
	for (size_t i = 0; i < n; i++) {
		struct route_record *rec = &recs[i + 1];

		*rec = recs[0];
		rec->kind = ROUTE_APPLICATION_ULDATA;
		rec->data_id = rand_id(a, now, ID_LONG);
		rec->pub = now;
		rec->unit_id = apps[i]->unit_id;
		send_copy(r, apps[i], &b, sizeof(room), rec->data_id);
	}
	buf_free(&b);
	record(r, from, recs, n + 1,
	    &(struct route_uplink){ .data_id = recs[0].data_id,
		.heard = now,
		.time = u->time,
		.unit_id = net->unit_id,
		.unit_code = net->unit_code,
		.network_id = net->id,
		.network_code = net->code,
		.network_addr = u->addr,
		.device_id = recs[0].device_id,
		.device_unit_id = t->unit_id,
		.profile = recs[0].profile,
		.data = u->data,
		.extension = u->extension });
}

/* --- look-ups ------------------------------------------------------------ */

/* A message that waits at a look-up. */
struct waiting {
	struct list link;
	struct endpoint *net;
	struct origin origin;
	struct uplink up;
	struct arena arena;
};

struct pending {
	struct route *route;
	struct str key;
	struct str unit_code, network_code, network_id, addr;
	struct list waiting;
	bool stale;
	unsigned tries;
	struct worker_job job;
	struct loop_post done;
	struct arena arena; /* of the key and names */
	/* the worker's, then the loop's again */
	struct target found;
	bool failed;
	struct arena result;
};

static struct strs
app_keys(
    struct pending *p, const struct entity *e, const char *field, struct str id)
{
	struct store_query q = { 0 };
	struct filter f = { 0 };
	struct strs keys = { 0 };
	struct rows rows;

	filter_text(&f, field, id);
	q.filter = &f;
	if (store_all(p->route->store, e, &q, &p->result, &rows, NULL) != 0) {
		p->failed = true;
		return keys;
	}
	keys.at = arena_array(&p->result, rows.n, struct str);
	for (size_t i = 0; i < rows.n; i++) {
		struct str unit, code;

		if (e == &route_device_route_entity) {
			const struct device_route *dr = rows.at;

			unit = dr[i].unit_code;
			code = dr[i].application_code;
		} else {
			const struct network_route *nr = rows.at;

			unit = nr[i].unit_code;
			code = nr[i].application_code;
		}
		keys.at[keys.n++] = arena_printf(&p->result,
		    STR_FMT "." STR_FMT, STR_ARG(unit), STR_ARG(code));
	}
	return keys;
}

/* On a worker. */
static void
look_up(struct worker_job *job)
{
	struct pending *p = container_of(job, struct pending, job);
	struct filter f = { 0 };
	struct device d;

	arena_clear(&p->result);
	p->found = (struct target){ 0 };
	p->failed = false;
	filter_text(
	    &f, "unitCode", p->unit_code.len > 0 ? p->unit_code : STR_NULL);
	filter_text(&f, "networkCode", p->network_code);
	filter_text(&f, "networkAddr", p->addr);
	if (store_get(p->route->store, &route_device_entity, &f, &p->result, &d,
		&p->found.known, NULL) != 0)
		p->failed = true;
	if (!p->failed && p->found.known) {
		p->found.device_id = d.device_id;
		p->found.unit_id = d.unit_id;
		p->found.profile = d.profile;
		p->found.device_apps = app_keys(
		    p, &route_device_route_entity, "deviceId", d.device_id);
		p->found.network_apps = app_keys(
		    p, &route_network_route_entity, "networkId", p->network_id);
	}
	loop_post(p->route->loop, &p->done);
}

static void
waiting_free(struct waiting *w)
{
	list_del(&w->link);
	endpoint_unref(w->net);
	mqtt_msg_unref(w->origin.msg);
	arena_fini(&w->arena);
	free(w);
}

static void
pending_free(struct pending *p)
{
	map_del(&p->route->pending, p->key);
	LIST_EACH (w, &p->waiting, struct waiting, link) {
		counter_add(&p->route->counters.uplink_failed, 1);
		origin_done(origin_ref(w->origin), false);
		waiting_free(w);
	}
	arena_fini(&p->arena);
	arena_fini(&p->result);
	free(p);
}

static void
fill_caches(struct pending *p)
{
	struct route *r = p->route;

	if (r->conf.cache.engine == 0 || p->stale)
		return;
	cache_put(&r->device, p->key,
	    &(struct cache_entry){ .known = p->found.known,
		.device_id = p->found.device_id,
		.unit_id = p->found.unit_id,
		.profile = p->found.profile });
	if (!p->found.known)
		return;
	cache_put(&r->device_route, p->found.device_id,
	    &(struct cache_entry){
		.known = true, .apps = p->found.device_apps });
	cache_put(&r->network_route, p->network_id,
	    &(struct cache_entry){
		.known = true, .apps = p->found.network_apps });
}

static void
submit(struct pending *p)
{
	p->stale = false;
	p->tries++;
	if (p->route->lookups == NULL ||
	    worker_submit(p->route->lookups, &p->job) != 0)
		pending_free(p); /* what waits is not acknowledged */
}

static void
on_found(struct loop_post *post)
{
	struct pending *p = container_of(post, struct pending, done);
	struct route *r = p->route;

	if (!p->failed && p->stale && p->tries < TRIES_MAX) {
		submit(p);
		return;
	}
	if (!p->failed) {
		fill_caches(p);
		LIST_EACH (w, &p->waiting, struct waiting, link) {
			route_uplink(w->net, w->origin, &w->up, &p->found);
			arena_clear(&r->scratch);
			waiting_free(w);
		}
	}
	pending_free(p);
}

static struct pending *
pending_new(struct endpoint *net, struct str key, struct str addr)
{
	struct pending *p = mem_new(struct pending);
	struct arena *a = &p->arena;

	p->route = net->route;
	p->key = arena_str(a, key);
	p->unit_code = arena_str(a, net->unit_code);
	p->network_code = arena_str(a, net->code);
	p->network_id = arena_str(a, net->id);
	p->addr = arena_str(a, addr);
	list_init(&p->waiting);
	p->job.run = look_up;
	p->done.run = on_found;
	map_put(&p->route->pending, p->key, p);
	return p;
}

static void
wait_for_lookup(struct pending *p, struct endpoint *net, struct origin from,
    const struct uplink *u)
{
	struct waiting *w = mem_new(struct waiting);

	net->refs++;
	w->net = net;
	w->origin = origin_ref(from);
	w->up.time = u->time;
	w->up.addr = arena_str(&w->arena, u->addr);
	w->up.data = arena_str(&w->arena, u->data);
	w->up.extension = arena_str(&w->arena, u->extension);
	list_add(&p->waiting, &w->link);
}

/* Everything the message needs, out of the caches; false if anything is not
 * there. */
static bool
cached(struct endpoint *net, struct str key, struct target *t)
{
	struct route *r = net->route;
	const struct cache_entry *d = cache_get(&r->device, key), *dr, *nr;

	if (d == NULL)
		return false;
	*t = (struct target){ .known = d->known,
		.device_id = d->device_id,
		.unit_id = d->unit_id,
		.profile = d->profile };
	if (!d->known)
		return true;
	dr = cache_get(&r->device_route, d->device_id);
	nr = cache_get(&r->network_route, net->id);
	if (dr == NULL || nr == NULL)
		return false;
	t->device_apps = dr->apps;
	t->network_apps = nr->apps;
	return true;
}

/* `u` may lie in the scratch arena. */
static void
take(struct endpoint *net, struct origin from, const struct uplink *u)
{
	struct route *r = net->route;
	struct pending *p;
	struct target t;
	struct str key =
	    device_key(&r->scratch, net->unit_code, net->code, u->addr);

	p = map_get(&r->pending, key);
	if (p == NULL && cached(net, key, &t)) {
		counter_add(&r->counters.cache_hit, 1);
		route_uplink(net, from, u, &t);
		return;
	}
	counter_add(&r->counters.cache_miss, 1);
	if (p != NULL) {
		wait_for_lookup(p, net, from, u);
		return;
	}
	p = pending_new(net, key, u->addr);
	wait_for_lookup(p, net, from, u);
	submit(p);
}

void
uplink_heard(void *owner, struct mqtt_msg *msg)
{
	struct endpoint *net = owner;
	struct route *r = net->route;
	struct uplink u;

	counter_add(&r->counters.uplink, 1);
	endpoint_heard(net);
	arena_clear(&r->scratch);
	if (!read_uplink(&r->scratch, mqtt_msg_payload(msg), &u)) {
		counter_add(&r->counters.uplink_bad, 1);
		mqtt_msg_done(msg, true);
		return;
	}
	take(net, (struct origin){ .msg = msg }, &u);
}

/* --- from inside --------------------------------------------------------- */

struct push {
	struct loop_post post;
	struct route *route;
	struct route_commit *commit;
	struct str unit_code, network_code;
	struct uplink up;
	struct arena arena;
};

static void
run_push(struct loop_post *post)
{
	struct push *p = container_of(post, struct push, post);
	struct route *r = p->route;
	struct endpoint *net =
	    endpoint_find(r, false, p->unit_code, p->network_code);

	counter_add(&r->counters.uplink, 1);
	arena_clear(&r->scratch);
	if (net != NULL)
		endpoint_heard(net);
	if (net != NULL)
		take(net, (struct origin){ .inside = p->commit }, &p->up);
	else
		p->commit->done(p->commit, false);
	arena_fini(&p->arena);
	free(p);
}

void
route_push(
    struct route *r, const struct route_pushed *u, struct route_commit *commit)
{
	struct push *p = mem_new(struct push);
	struct arena *a = &p->arena;
	struct buf hex = { 0 };

	p->post.run = run_push;
	p->route = r;
	p->commit = commit;
	p->unit_code = arena_str(a, u->unit_code);
	p->network_code = arena_str(a, u->network_code);
	hex_encode(&hex, u->data.ptr, u->data.len);
	p->up = (struct uplink){ .time = u->time,
		.addr = arena_lower(a, u->addr),
		.data = hex.len > 0 ? arena_str(a, buf_str(&hex)) : STR(""),
		.extension = arena_str(a, u->extension) };
	buf_free(&hex);
	loop_post(r->loop, &p->post);
}

void
uplink_stale(struct route *r)
{
	struct pending *p;
	size_t pos = 0;

	while ((p = map_next(&r->pending, &pos)) != NULL)
		p->stale = true;
}

void
uplink_forget(struct route *r)
{
	/* the pool has been ended and its posts were run: nothing is left but
	 * look-ups that were never taken up */
	struct pending *p;
	size_t pos = 0;

	while ((p = map_next(&r->pending, &pos)) != NULL) {
		pending_free(p);
		pos = 0;
	}
	map_fini(&r->pending);
}
