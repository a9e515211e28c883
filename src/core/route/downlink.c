/*
 * core/route/downlink.c - from an application to a network, and the result
 * back.
 *
 * Both need the store (the device; the buffer that remembers who asked), so
 * messages are taken in batches: while one batch is on the worker, the next one
 * gathers. A batch is one transaction. Order is kept per application and per
 * network, because there is one batch at a time and it is worked through from
 * the front, on the worker and on the loop.
 *
 *  (1) What a batch stored is committed before anything is published.
 *  (2) Each downlink that can be decoded is recorded, also when it fails.
 *  (3) A result counts only from the network the downlink went to, and only
 *      until the buffer expires. Those of route_send() are remembered in
 *      memory.
 */
#include "core/route/private.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/rand.h"
#include "codec/json.h"

#include <inttypes.h>
#include <stdlib.h>

struct slow {
	struct list link;
	struct endpoint *from;
	struct mqtt_msg *msg;
	bool is_result;
	struct arena arena;
	int64_t now;

	/* a downlink, read */
	struct str correlation_id, device_id, network_code, network_addr, data,
	    extension;
	/* a result, read */
	struct str data_id, message;
	int64_t status;

	/* what the worker found */
	const char *error; /* "err_param"; NULL: none so far */
	const char *why;
	struct device device;
	struct dldata_buffer buffer;
	bool found; /* result: the buffer is there and is this network's */
};

struct batch {
	struct route *route;
	struct list all;
	bool failed;
	struct worker_job job;
	struct loop_post done;
};

static void
slow_free(struct slow *s)
{
	list_del(&s->link);
	endpoint_unref(s->from);
	mqtt_msg_unref(s->msg);
	arena_fini(&s->arena);
	free(s);
}

/* --- recording ----------------------------------------------------------- */

struct slow_commit {
	struct route_commit commit;
	struct mqtt_msg *msg;
};

static void
on_commit(struct route_commit *commit, bool ok)
{
	struct slow_commit *c =
	    container_of(commit, struct slow_commit, commit);

	mqtt_msg_done(c->msg, ok);
	mqtt_msg_unref(c->msg);
	free(c);
}

static void
record(struct slow *s, const struct route_record *recs, size_t n)
{
	struct route *r = s->from->route;
	struct slow_commit *c;

	if (r->sink.put == NULL || n == 0) {
		mqtt_msg_done(s->msg, true);
		return;
	}
	c = mem_new(struct slow_commit);
	c->commit.done = on_commit;
	c->msg = mqtt_msg_ref(s->msg);
	if (!r->sink.put(r->sink.owner, recs, n, &c->commit))
		on_commit(&c->commit, false);
}

/* --- reading ------------------------------------------------------------- */

static bool
fail(struct slow *s, const char *error, const char *why)
{
	s->error = error;
	s->why = why;
	return false;
}

static bool
decode_downlink(struct slow *s)
{
	struct str key;
	struct json j;

	json_open(&j, mqtt_msg_payload(s->msg), 0, &s->arena);
	if (json_object(&j))
		while (json_member(&j, &key)) {
			if (str_eqz(key, "correlationId"))
				json_str(&j, &s->correlation_id);
			else if (str_eqz(key, "deviceId"))
				read_optional(&j, &s->device_id);
			else if (str_eqz(key, "networkCode"))
				read_optional(&j, &s->network_code);
			else if (str_eqz(key, "networkAddr"))
				read_optional(&j, &s->network_addr);
			else if (str_eqz(key, "data"))
				json_str(&j, &s->data);
			else if (str_eqz(key, "extension"))
				read_extension(&j, &s->extension);
			else
				json_skip(&j);
		}
	if (json_done(&j, NULL) != 0 || s->correlation_id.ptr == NULL ||
	    s->data.ptr == NULL) {
		s->correlation_id = STR("");
		return fail(s, "err_param", "invalid format");
	}
	return true;
}

static bool
is_code(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];
		bool alnum = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');

		if (!alnum && (i == 0 || (c != '_' && c != '-')))
			return false;
	}
	return s.len > 0;
}

static bool
check_downlink(struct slow *s)
{
	if (s->correlation_id.len == 0)
		return fail(s, "err_param", "invalid `correlationId`");
	s->network_code = arena_lower(&s->arena, s->network_code);
	s->network_addr = arena_lower(&s->arena, s->network_addr);
	if (s->device_id.ptr == NULL) {
		if (!is_code(s->network_code))
			return fail(s, "err_param", "invalid `networkCode`");
		if (s->network_addr.len == 0)
			return fail(s, "err_param", "invalid `networkAddr`");
	} else if (s->device_id.len == 0) {
		return fail(s, "err_param", "invalid `deviceId`");
	}
	if (!str_is_hex(s->data))
		return fail(s, "err_param", "invalid `data`");
	s->data = arena_lower(&s->arena, s->data);
	return true;
}

static bool
read_result(struct slow *s)
{
	struct str key;
	bool has_status = false, has_message = false;
	struct json j;

	json_open(&j, mqtt_msg_payload(s->msg), 0, &s->arena);
	if (json_object(&j))
		while (json_member(&j, &key)) {
			if (str_eqz(key, "dataId")) {
				json_str(&j, &s->data_id);
			} else if (str_eqz(key, "status")) {
				has_status = json_i64(&j, &s->status);
			} else if (str_eqz(key, "message")) {
				has_message = json_peek(&j) != JSON_NULL;
				read_optional(&j, &s->message);
			} else {
				json_skip(&j);
			}
		}
	return json_done(&j, NULL) == 0 && s->data_id.len > 0 && has_status &&
	    s->status >= INT32_MIN && s->status <= INT32_MAX &&
	    (!has_message || s->message.len > 0);
}

/* --- on the worker ------------------------------------------------------- */

static int
find_device(struct store *tx, struct slow *s, bool *found, struct err *err)
{
	struct filter f = { 0 };

	filter_text(&f, "unitId", s->from->unit_id);
	if (s->device_id.ptr != NULL) {
		filter_text(&f, "deviceId", s->device_id);
	} else {
		filter_text(&f, "unitCode", s->from->unit_code);
		filter_text(&f, "networkCode", s->network_code);
		filter_text(&f, "networkAddr", s->network_addr);
	}
	return store_get(
	    tx, &route_device_entity, &f, &s->arena, &s->device, found, err);
}

/* Finds the device and remembers the downlink. */
static int
store_downlink(
    struct route *r, struct store *tx, struct slow *s, struct err *err)
{
	const struct endpoint *app = s->from;
	bool found;
	int rc = find_device(tx, s, &found, err);

	if (rc != 0)
		return rc;
	if (!found) {
		s->error = "err_broker_device_not_exist";
		return 0;
	}
	s->buffer = (struct dldata_buffer){ .data_id = s->data_id,
		.unit_id = app->unit_id,
		.unit_code = app->unit_code,
		.application_id = app->id,
		.application_code = app->code,
		.network_id = s->device.network_id,
		.network_addr = s->device.network_addr,
		.device_id = s->device.device_id,
		.created_at = s->now,
		.expired_at = s->now + r->conf.downlink_ms };
	return store_add(tx, &route_dldata_entity, &s->buffer, err);
}

static int
store_result(struct store *tx, struct slow *s, struct err *err)
{
	struct filter f = { 0 };
	int rc;

	filter_text(&f, "dataId", s->data_id);
	filter_text(&f, "networkId", s->from->id);
	filter_add(&f, "expiredAt", COND_GT, value_time(s->now));
	rc = store_get(tx, &route_dldata_entity, &f, &s->arena, &s->buffer,
	    &s->found, err);
	if (rc == 0 && s->found && s->status >= 0)
		rc = store_del(tx, &route_dldata_entity, &f, NULL, err);
	return rc;
}

static int
store_batch(struct store *tx, void *ctx, struct err *err)
{
	struct batch *b = ctx;
	int rc = 0;

	for (struct list *l = b->all.next; rc == 0 && l != &b->all;
	     l = l->next) {
		struct slow *s = container_of(l, struct slow, link);

		if (s->is_result) {
			rc = store_result(tx, s, err);
		} else {
			s->error = NULL; /* the transaction may run again */
			rc = store_downlink(b->route, tx, s, err);
		}
	}
	return rc;
}

static void
run_batch(struct worker_job *job)
{
	struct batch *b = container_of(job, struct batch, job);

	b->failed = store_tx(b->route->store, store_batch, b, NULL) != 0;
	loop_post(b->route->loop, &b->done);
}

/* --- back on the loop ---------------------------------------------------- */

static void
publish(struct route *r, struct str topic, struct buf *b)
{
	mqtt_publish(r->mqtt, topic, buf_str(b), 1, false, NULL);
	buf_free(b);
}

static void
answer(struct slow *s)
{
	struct buf b = { 0 };
	struct json_out o;

	json_out_init(&o, &b, false);
	json_out_object(&o);
	json_out_key(&o, "correlationId");
	json_out_str(&o, s->correlation_id);
	if (s->error == NULL) {
		json_out_key(&o, "dataId");
		json_out_str(&o, s->data_id);
	} else {
		json_out_key(&o, "error");
		json_out_str(&o, str_of(s->error));
		counter_add(&s->from->route->counters.downlink_bad, 1);
	}
	if (s->why != NULL) {
		json_out_key(&o, "message");
		json_out_str(&o, str_of(s->why));
	}
	json_out_end_object(&o);
	publish(s->from->route, s->from->dldata_resp, &b);
}

/* What a network is to send to one of its devices. */
struct down {
	struct str data_id, addr, data, extension;
	int64_t now;
};

static void
send_down(struct endpoint *net, const struct down *d)
{
	struct buf b = { 0 };
	struct json_out o;

	json_out_init(&o, &b, false);
	json_out_object(&o);
	json_out_key(&o, "dataId");
	json_out_str(&o, d->data_id);
	json_out_key(&o, "pub");
	json_out_time(&o, d->now);
	json_out_key(&o, "expiresIn");
	json_out_int(&o, net->route->conf.downlink_ms / 1000);
	json_out_key(&o, "networkAddr");
	json_out_str(&o, d->addr);
	json_out_key(&o, "data");
	json_out_str(&o, d->data);
	if (d->extension.ptr != NULL) {
		json_out_key(&o, "extension");
		json_out_raw(&o, d->extension);
	}
	json_out_end_object(&o);
	publish(net->route, net->dldata, &b);
	counter_add(&net->route->counters.downlink_sent, 1);
}

static void
send_to_network(struct slow *s, struct endpoint *net)
{
	send_down(net,
	    &(struct down){ s->data_id, s->device.network_addr, s->data,
		s->extension, s->now });
}

static void
finish_downlink(struct slow *s)
{
	struct endpoint *app = s->from, *net = NULL;
	struct route_record recs[2] = { 0 };
	bool known = s->error == NULL;
	size_t n = 1;

	recs[0] = (struct route_record){ .kind = ROUTE_APPLICATION_DLDATA,
		.data_id = s->data_id,
		.proc = s->now,
		.pub = TIME_NULL,
		.resp = TIME_NULL,
		.time = TIME_NULL,
		.status = -2,
		.unit_id = app->unit_id,
		.device_id = known ? s->device.device_id : s->device_id,
		.network_code = s->network_code,
		.network_addr = s->network_addr,
		.profile = known ? s->device.profile : STR(""),
		.data = s->data,
		.extension = s->extension };
	if (known) {
		net = endpoint_find(app->route, false, s->device.unit_code,
		    s->device.network_code);
		if (net == NULL)
			s->error = "err_broker_network_not_exist";
	}
	if (s->error == NULL) {
		recs[1] = recs[0];
		recs[1].kind = ROUTE_NETWORK_DLDATA;
		recs[1].pub = s->now;
		recs[1].network_code = s->device.network_code;
		recs[1].network_addr = s->device.network_addr;
		n = 2;
		send_to_network(s, net);
	}
	answer(s);
	record(s, recs, n);
}

static void
finish_result(struct slow *s)
{
	struct route *r = s->from->route;
	struct route_record recs[2] = { 0 };
	struct endpoint *app = NULL;
	struct buf b = { 0 };
	struct json_out o;
	size_t n = 1;

	recs[0] = (struct route_record){ .kind = ROUTE_NETWORK_RESULT,
		.data_id = s->data_id,
		.proc = s->now,
		.pub = TIME_NULL,
		.time = TIME_NULL,
		.resp = s->now,
		.status = s->status };
	if (!s->found)
		counter_add(&r->counters.result_bad, 1);
	else if (s->buffer.application_code.ptr != NULL) /* not from inside */
		app = endpoint_find(
		    r, true, s->buffer.unit_code, s->buffer.application_code);
	/* A result of a foreign or long expired downlink changes no history. */
	if (!s->found)
		n = 0;
	if (app != NULL) {
		json_out_init(&o, &b, false);
		json_out_object(&o);
		json_out_key(&o, "dataId");
		json_out_str(&o, s->data_id);
		json_out_key(&o, "status");
		json_out_int(&o, s->status);
		if (s->message.ptr != NULL) {
			json_out_key(&o, "message");
			json_out_str(&o, s->message);
		}
		json_out_end_object(&o);
		publish(r, app->dldata_result, &b);
		counter_add(&r->counters.result_sent, 1);
		recs[1] = recs[0];
		recs[1].kind = ROUTE_APPLICATION_RESULT;
		n = 2;
	}
	record(s, recs, n);
}

static void start_batch(struct route *r);

static void
on_batch(struct loop_post *post)
{
	struct batch *b = container_of(post, struct batch, done);
	struct route *r = b->route;

	LIST_EACH (s, &b->all, struct slow, link) {
		if (b->failed && s->is_result) {
			mqtt_msg_done(s->msg, false);
		} else {
			if (b->failed)
				fail(s, "err_db", "the store failed");
			if (s->is_result)
				finish_result(s);
			else
				finish_downlink(s);
		}
		slow_free(s);
	}
	free(b);
	r->slow_running = false;
	start_batch(r);
}

static void
start_batch(struct route *r)
{
	struct batch *b;

	if (r->slow_running || r->downs == NULL || list_empty(&r->slow))
		return;
	b = mem_new(struct batch);
	b->route = r;
	b->job.run = run_batch;
	b->done.run = on_batch;
	list_init(&b->all);
	list_join(&b->all, &r->slow);
	r->slow_running = true;
	if (worker_submit(r->downs, &b->job) != 0) { /* one at a time: never */
		b->failed = true;
		loop_post(r->loop, &b->done);
	}
}

static struct slow *
slow_new(struct endpoint *from, struct mqtt_msg *msg, bool is_result)
{
	struct slow *s = mem_new(struct slow);

	from->refs++;
	s->from = from;
	s->msg = mqtt_msg_ref(msg);
	s->is_result = is_result;
	s->now = clock_now();
	list_init(&s->link);
	return s;
}

void
downlink_heard(void *owner, struct mqtt_msg *msg)
{
	struct endpoint *app = owner;
	struct route *r = app->route;
	struct slow *s = slow_new(app, msg, false);

	counter_add(&r->counters.downlink, 1);
	endpoint_heard(app);
	if (!decode_downlink(s) || !check_downlink(s)) {
		answer(s);
		mqtt_msg_done(msg, true);
		slow_free(s);
		return;
	}
	s->data_id = rand_id(&s->arena, s->now, ID_LONG);
	list_add(&r->slow, &s->link);
	start_batch(r);
}

/* A downlink of route_send() whose result is waited for. */
struct inside_wait {
	struct list link;
	struct str data_id; /* owned */
	struct endpoint *net;
};

static void
forget_inside(struct route *r, struct inside_wait *w)
{
	map_del(&r->insides, w->data_id);
	list_del(&w->link);
	endpoint_unref(w->net);
	str_free(w->data_id);
	free(w);
}

static void
remember_inside(struct route *r, struct endpoint *net, struct str data_id)
{
	struct inside_wait *w = mem_new(struct inside_wait);

	if (r->insides.n >= ROUTE_INSIDE_MAX)
		forget_inside(
		    r, list_first(&r->inside_order, struct inside_wait, link));
	net->refs++;
	w->net = net;
	w->data_id = str_copy(data_id);
	list_add(&r->inside_order, &w->link);
	map_put(&r->insides, w->data_id, w);
}

void
insides_free(struct route *r)
{
	LIST_EACH (w, &r->inside_order, struct inside_wait, link)
		forget_inside(r, w);
	map_fini(&r->insides);
}

static void
tell_inside(
    struct route *r, struct str data_id, int64_t status, struct str message)
{
	if (r->tap.result != NULL)
		r->tap.result(r->tap.owner, data_id, status, message);
}

/* False: it is of an application's downlink, or of none. */
static bool
inside_result(struct route *r, struct slow *s)
{
	struct inside_wait *w = map_get(&r->insides, s->data_id);

	if (w == NULL || w->net != s->from)
		return false;
	s->found = true;
	finish_result(s);
	tell_inside(r, s->data_id, s->status, s->message);
	if (s->status >= 0)
		forget_inside(r, w);
	return true;
}

void
result_heard(void *owner, struct mqtt_msg *msg)
{
	struct endpoint *net = owner;
	struct route *r = net->route;
	struct slow *s = slow_new(net, msg, true);

	counter_add(&r->counters.result, 1);
	if (!read_result(s)) {
		counter_add(&r->counters.result_bad, 1);
		mqtt_msg_done(msg, true);
		slow_free(s);
		return;
	}
	if (inside_result(r, s)) {
		slow_free(s);
		return;
	}
	list_add(&r->slow, &s->link);
	start_batch(r);
}

void
downlink_forget(struct route *r)
{
	LIST_EACH (s, &r->slow, struct slow, link) {
		mqtt_msg_done(s->msg, false);
		slow_free(s);
	}
}

/* --- from inside --------------------------------------------------------- */

struct inside {
	struct loop_post post;
	struct route *route;
	struct route_downlink down;
	struct arena arena;
};

struct inside_commit {
	struct route_commit commit;
};

static void
on_inside_commit(struct route_commit *commit, bool ok)
{
	(void)ok; /* it has been sent; data/counters tell of the failure */
	free(container_of(commit, struct inside_commit, commit));
}

static void
run_inside(struct loop_post *post)
{
	struct inside *in = container_of(post, struct inside, post);
	const struct route_downlink *d = &in->down;
	struct route *r = in->route;
	struct endpoint *net =
	    endpoint_find(r, false, d->unit_code, d->network_code);
	int64_t now = clock_now();
	struct route_record rec = { .kind = ROUTE_NETWORK_DLDATA,
		.data_id = d->data_id,
		.proc = now,
		.pub = now,
		.resp = TIME_NULL,
		.time = TIME_NULL,
		.status = net != NULL ? -2 : 1,
		.unit_id = d->unit_id,
		.device_id = d->device_id,
		.network_code = d->network_code,
		.network_addr = d->network_addr,
		.profile = d->profile,
		.data = d->data,
		.extension = d->extension };
	struct inside_commit *c;

	if (net != NULL) {
		remember_inside(r, net, d->data_id);
		send_down(net,
		    &(struct down){ d->data_id, d->network_addr, d->data,
			d->extension, now });
	} else {
		tell_inside(r, d->data_id, 1, STR("there is no such network"));
	}
	if (r->sink.put != NULL) {
		c = mem_new(struct inside_commit);
		c->commit.done = on_inside_commit;
		if (!r->sink.put(r->sink.owner, &rec, 1, &c->commit))
			free(c);
	}
	arena_fini(&in->arena);
	free(in);
}

void
route_send(struct route *r, const struct route_downlink *d)
{
	struct inside *in = mem_new(struct inside);
	struct arena *a = &in->arena;

	in->post.run = run_inside;
	in->route = r;
	in->down = (struct route_downlink){ arena_str(a, d->data_id),
		arena_str(a, d->unit_id), arena_str(a, d->unit_code),
		arena_str(a, d->network_code), arena_str(a, d->network_addr),
		arena_str(a, d->device_id), arena_str(a, d->profile),
		arena_str(a, d->data), arena_str(a, d->extension) };
	loop_post(r->loop, &in->post);
}
