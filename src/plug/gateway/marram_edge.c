/*
 * plug/gateway/marram_edge.c - Linux devices with marram-edge: what they
 * measure and tell, their children and services, and operations on them.
 *
 *     send            "successful", or "failed" with a reason
 *    ------> ORDERED -----------------------------------------> answered
 *               |  ^      `timeout`
 *    put again  +--+  when the device is back
 *
 * A device may be away for days. An order is put when it comes, unless its
 * device has said goodbye, and whenever that says that it is online again; it
 * has the same number each time, so the device does it once. It counts as sent
 * when the device has done it.
 *
 *  (1) An order is in `orders` and its device's list while its answer is
 *      waited for.
 *  (2) A device that nobody knows is remembered only when it has said whether
 *      it is online, and `maxDevices` are.
 *  (3) Nobody comes to be by having gone: the last word of a device stays with
 *      the MQTT server, for as long as that likes.
 */
#include "plug/gateway/marram_edge.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rand.h"
#include "codec/duration.h"
#include "codec/entity_json.h"
#include "codec/json.h"

#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MAX ((int64_t)31 * 86400000)
#define NO_LEN 20

struct spec {
	struct str timeout;
	int64_t max_devices;
};

#define S struct spec
static const struct field spec_fields[] = {
	F_TEXT(S, timeout, "timeout", .def = "\"24h\"",
	    .help = "How long an operation may take, from its order on, before "
		    "it counts as failed; also for a device that is away."),
	F_INT(S, max_devices, "maxDevices", .def = "10000", .min = 1,
	    .max = 1000000,
	    .help = "Devices whose being online is remembered."),
	{ 0 },
};
#undef S
static const struct record spec_record = { "marram_edge", sizeof(struct spec),
	spec_fields };

struct edge {
	struct gateway *g;
	const struct spec *spec;
	int64_t timeout_ms;
	struct str root; /* the link's `publish` with a slash, or "" */
	struct arena arena;
	struct map devices; /* ID in lower case -> device */
	struct map orders;  /* number -> order */
};

struct device {
	struct str key, id; /* owned; the latter as it is spoken */
	bool online, told;
	struct list orders;
};

struct order {
	struct list link; /* in its device's */
	struct edge *e;
	struct gateway_job *job;
	struct device *device;
	struct str no, topic, data; /* in the job's arena */
	bool said;                  /* the device has it */
	struct loop_timer timer;
};

/* --- devices -------------------------------------------------------------- */

static struct device *
device_of(struct edge *e, struct str id)
{
	struct arena a = { 0 };
	struct str key = arena_lower(&a, id);
	struct device *d = map_get(&e->devices, key);

	if (d == NULL) {
		d = mem_new(struct device);
		d->key = str_copy(key);
		d->id = str_copy(id);
		list_init(&d->orders);
		(void)map_put(&e->devices, d->key, d);
	}
	arena_fini(&a);
	return d;
}

/* An address is folded to lower case where a device was made by hand, or
 * claimed. */
static struct str
spoken(struct edge *e, struct arena *a, struct str id)
{
	const struct device *d = map_get(&e->devices, arena_lower(a, id));

	return d != NULL ? d->id : id;
}

static void
put_order(struct edge *e, struct order *o)
{
	struct err err;

	/* the MQTT server would keep it, and could not give it back */
	if (o->device->told && !o->device->online)
		return;
	/* not now: then when the link is up, or the device */
	(void)gateway_put(e->g, o->topic, o->data, NULL, NULL, &err);
}

/* What it has not said anything of, in its order. An answer may come from
 * within, and end one. */
static void
put_orders(struct edge *e, struct device *d)
{
	struct list all;
	struct order *o;

	list_init(&all);
	list_join(&all, &d->orders);
	while ((o = list_first(&all, struct order, link)) != NULL) {
		list_del(&o->link);
		list_add(&d->orders, &o->link);
		if (!o->said)
			put_order(e, o);
	}
}

/* --- orders --------------------------------------------------------------- */

/* The job is not ours any more. */
static void
forget(struct order *o)
{
	loop_cancel(gateway_host_of(o->e->g)->loop, &o->timer);
	if (map_get(&o->e->orders, o->no) == o)
		(void)map_del(&o->e->orders, o->no);
	list_del(&o->link);
}

static void
end(struct order *o, const struct err *err)
{
	forget(o);
	gateway_job_done(
	    o->e->g, o->job, err == NULL ? GATEWAY_SENT : GATEWAY_FAILED, err);
}

static void
on_timeout(struct loop_timer *t)
{
	struct order *o = container_of(t, struct order, timer);
	struct err err;

	err_set(&err, ERR_DENIED, STR_FMT "%s (provider.timeout)",
	    STR_ARG(o->job->frame.node),
	    o->said ? " has not finished in time" : " did not answer in time");
	end(o, &err);
}

/* A device keeps the end of an operation until it is told that it is known. It
 * may tell one twice, of which the order is answered long since. */
static void
confirm(struct edge *e, struct arena *a, struct str id, struct str rest)
{
	struct str device = str_cut(&rest, '/'), service = str_cut(&rest, '/'),
		   op;
	struct err err;

	(void)str_cut(&rest, '/');
	op = str_cut(&rest, '/');
	(void)gateway_put(e->g,
	    arena_printf(a,
		STR_FMT "/down/" STR_FMT "/" STR_FMT "/done/" STR_FMT
			"/" STR_FMT,
		STR_ARG(id), STR_ARG(device), STR_ARG(service), STR_ARG(op),
		STR_ARG(rest)),
	    STR("{}"), NULL, NULL, &err);
}

/* `rest` is DEVICE/SERVICE/cmd/OP/NO. */
static void
on_state(struct edge *e, struct str id, struct str rest, struct str no,
    struct str data)
{
	struct order *o = map_get(&e->orders, no);
	struct arena a = { 0 };
	struct str status, reason;
	struct err err;

	status = marram_edge_member(&a, data, "status", NULL);
	reason = marram_edge_member(&a, data, "reason", NULL);
	if (str_eqz(status, "successful") || str_eqz(status, "failed"))
		confirm(e, &a, id, rest);
	if (o == NULL || !str_eq(o->device->key, arena_lower(&a, id))) {
		arena_fini(&a); /* it is answered, or another device's */
		return;
	}
	o->said = true;
	if (str_eqz(status, "successful")) {
		end(o, NULL);
	} else if (str_eqz(status, "failed")) {
		err_set(&err, ERR_DENIED, STR_FMT,
		    STR_ARG(reason.len > 0 ? reason
					   : STR("the device says: failed")));
		end(o, &err);
	}
	arena_fini(&a);
}

static void
edge_send(void *own, struct gateway_job *j)
{
	struct edge *e = own;
	struct order *o = j->own;
	struct err err;

	if (map_get(&e->orders, o->no) != NULL) {
		err_set(&err, ERR_DENIED,
		    "the operation " STR_FMT " is under way already",
		    STR_ARG(o->no));
		gateway_job_done(e->g, j, GATEWAY_FAILED, &err);
		return;
	}
	(void)map_put(&e->orders, o->no, o);
	list_add(&o->device->orders, &o->link);
	o->timer.fire = on_timeout;
	loop_after(gateway_host_of(e->g)->loop, &o->timer, e->timeout_ms);
	gateway_job_left(e->g, j);
	put_order(e, o);
}

static void
edge_cancel(void *own, struct gateway_job *j)
{
	(void)own;
	forget(j->own);
}

/* "gw01:device:pump" is the child device:pump of gw01. */
static void
split_node(struct str node, struct str *id, struct str *device)
{
	*device = node;
	*id = str_cut(device, ':');
	if (device->len == 0)
		*device = STR(EDGE_MAIN);
}

static struct str
down_topic(struct edge *e, struct arena *a, struct str node, struct str service,
    struct str command, struct str no)
{
	struct str id, device;

	split_node(node, &id, &device);
	return arena_printf(a,
	    STR_FMT "/down/" STR_FMT "/" STR_FMT "/cmd/" STR_FMT "/" STR_FMT,
	    STR_ARG(spoken(e, a, id)), STR_ARG(device), STR_ARG(service),
	    STR_ARG(command), STR_ARG(no));
}

static int
edge_prepare(void *own, struct gateway_job *j, struct err *err)
{
	struct edge *e = own;
	struct arena *a = &j->arena;
	struct order *o = arena_new(a, struct order);
	struct str command, service, id, device,
	    ext = j->frame.extension.len > 0 ? j->frame.extension : STR("{}");
	char no[NO_LEN + 1] = "";

	if (!marram_edge_is_level(j->frame.node))
		return err_set(err, ERR_PARAM, "a node is needed");
	command = marram_edge_member(a, ext, "command", NULL);
	if (!marram_edge_is_level(command))
		return err_set(err, ERR_PARAM,
		    "extension: command: the name of an operation, such as "
		    "software_update, is needed");
	service = marram_edge_member(a, ext, "service", NULL);
	if (service.len == 0)
		service = STR(EDGE_NO_SERVICE);
	if (!marram_edge_is_level(service))
		return err_set(
		    err, ERR_PARAM, "extension: service: a name is needed");
	o->data = j->frame.data.len > 0 ? str_trim(j->frame.data) : STR("{}");
	if (o->data.ptr[0] != '{' || !json_valid(o->data, 0))
		return err_set(err, ERR_PARAM,
		    "the data of an operation is a JSON object");
	rand_text(no, NO_LEN);
	o->no = marram_edge_is_level(j->frame.id) ? j->frame.id
						  : arena_str(a, str_of(no));
	split_node(j->frame.node, &id, &device);
	o->e = e;
	o->job = j;
	o->device = device_of(e, id);
	o->topic = down_topic(e, a, j->frame.node, service, command, o->no);
	list_init(&o->link);
	j->own = o;
	return 0;
}

/* --- hearing -------------------------------------------------------------- */

static void
hand_up(struct edge *e, struct str node, struct str service, struct str rest,
    struct str data)
{
	struct gateway_frame f = { .node = node, .data = data };
	struct arena a = { 0 };
	struct buf b = { 0 };
	struct json_out o;
	int64_t at = TIME_NULL;

	json_out_init(&o, &b, false);
	json_out_object(&o);
	json_out_key(&o, "topic");
	json_out_str(&o, rest);
	if (service.len > 0) {
		json_out_key(&o, "service");
		json_out_str(&o, service);
	}
	if (str_starts(rest, STR("m/")) || str_eqz(rest, "m") ||
	    str_starts(rest, STR("e/")) || str_starts(rest, STR("a/")))
		at = marram_edge_time(&a, data);
	if (at != TIME_NULL) {
		json_out_key(&o, "time");
		json_out_time(&o, at);
	}
	json_out_end_object(&o);
	f.extension = buf_str(&b);
	gateway_hand_up(e->g, &f);
	buf_free(&b);
	arena_fini(&a);
}

/* Is it a device, or about to be? */
static bool
is_known(const struct edge *e, struct str id)
{
	const struct gateway_host *host = gateway_host_of(e->g);

	return host->known == NULL || host->known(host->ctx, id);
}

static void
on_online(struct edge *e, struct str id, const struct gateway_in *in)
{
	struct arena a = { 0 };
	struct device *d = map_get(&e->devices, arena_lower(&a, id));
	bool online = str_eqz(in->data, "1");

	arena_fini(&a);
	if (in->data.len == 0) { /* its enrolment is gone */
		if (d != NULL)
			d->told = false;
		return;
	}
	if (!online && !str_eqz(in->data, "0")) {
		gateway_bad(e->g, "online: neither 1 nor 0");
		return;
	}
	if (d == NULL && e->devices.n >= (size_t)e->spec->max_devices) {
		gateway_bad(e->g, "more devices than provider.maxDevices");
		return;
	}
	d = device_of(e, id);
	if (!str_eq(d->id, id)) {
		str_free(d->id);
		d->id = str_copy(id);
	}
	if (in->retained && d->told && d->online == online)
		return; /* told again, since we subscribed again */
	d->told = true;
	d->online = online;
	if (online || is_known(e, id)) /* (3) */
		hand_up(e, id, STR(""), STR("online"), in->data);
	if (online) {
		gateway_awake(e->g, id);
		put_orders(e, d);
	}
}

/* cmd/OP/NO is a state; cmd/OP that it can be done. */
static struct str
number_of(struct str rest)
{
	struct str channel = str_cut(&rest, '/');

	(void)str_cut(&rest, '/');
	return str_eqz(channel, "cmd") && rest.ptr != NULL ? rest : STR("");
}

static void
on_up(
    struct edge *e, struct str id, struct str rest, const struct gateway_in *in)
{
	struct str all = rest, device = str_cut(&rest, '/'),
		   service = str_cut(&rest, '/');
	struct arena a = { 0 };
	struct str node = id, no;

	if (device.len == 0 || service.len == 0 || rest.len == 0) {
		gateway_bad(e->g, "not a topic of marram-edge");
		return;
	}
	if (!str_eqz(device, EDGE_MAIN))
		node = arena_printf(
		    &a, STR_FMT ":" STR_FMT, STR_ARG(id), STR_ARG(device));
	if (str_eqz(service, EDGE_NO_SERVICE))
		service = STR("");
	hand_up(e, node, service, rest, in->data);
	no = number_of(rest);
	if (no.len > 0)
		on_state(e, id, all, no, in->data);
	else if (!in->retained)
		gateway_awake(e->g, node);
	arena_fini(&a);
}

static void
edge_hear(void *own, const struct gateway_in *in)
{
	struct edge *e = own;
	struct str rest = in->topic, id, kind;

	if (e->root.len > 0 && str_starts(rest, e->root)) {
		rest.ptr += e->root.len;
		rest.len -= e->root.len;
	}
	id = str_cut(&rest, '/');
	kind = str_cut(&rest, '/');
	if (id.len == 0 || memchr(id.ptr, ':', id.len) != NULL)
		gateway_bad(e->g, "not a topic of marram-edge");
	else if (str_eqz(kind, "online") && rest.ptr == NULL)
		on_online(e, id, in);
	else if (str_eqz(kind, "up"))
		on_up(e, id, rest, in);
	else if (!str_eqz(kind, "down"))
		gateway_bad(e->g, "not a topic of marram-edge");
}

/* --- messages ------------------------------------------------------------- */

static void
on_read(void *own, struct gateway_read *r)
{
	struct gateway_messages m = { .a = &r->arena };
	struct err err = { 0 };

	(void)own;
	if (marram_edge_read(&r->frame, &m, &err) != 0)
		m.n = 0;
	gateway_read_done(r, m.at, m.n, &err);
}

static void
on_write(void *own, struct gateway_write *w)
{
	(void)own;
	marram_edge_write(&w->message, &w->arena, &w->frame);
	w->n_frames = 1;
	gateway_write_done(w, NULL);
}

/* --- actions -------------------------------------------------------------- */

static const char *const actions[] = { "heartbeat_request", "reboot",
	"refresh_node_info", NULL };

static int
sync(struct edge *e, struct str node, struct err *err)
{
	struct arena a = { 0 };
	struct str id, device;
	int rc;

	split_node(node, &id, &device);
	rc = gateway_put(e->g,
	    arena_printf(&a,
		STR_FMT "/down/" EDGE_MAIN "/" EDGE_NO_SERVICE "/sync",
		STR_ARG(spoken(e, &a, id))),
	    STR("{}"), NULL, NULL, err);
	arena_fini(&a);
	return rc;
}

static int
edge_act(void *own, struct str node, struct str action, struct err *err)
{
	struct edge *e = own;
	struct arena a = { 0 };
	char no[NO_LEN + 1] = "";
	int rc;

	if (!marram_edge_is_level(node))
		return err_set(err, ERR_PARAM, "a node is needed");
	if (str_eqz(action, "heartbeat_request"))
		return sync(e, node, err);
	rand_text(no, NO_LEN);
	rc = gateway_put(e->g,
	    down_topic(e, &a, node, STR(EDGE_NO_SERVICE),
		str_eqz(action, "reboot") ? STR("restart")
					  : STR("software_list"),
		str_of(no)),
	    STR("{}"), NULL, NULL, err);
	if (rc == 0 && str_eqz(action, "refresh_node_info"))
		rc = sync(e, node, err);
	arena_fini(&a);
	return rc;
}

/* What it told before it was claimed is not known. */
static void
edge_claimed(void *own, struct str node)
{
	struct err err;

	(void)sync(own, node, &err);
}

static void
edge_up(void *own)
{
	struct edge *e = own;
	struct device *d;
	size_t pos = 0;

	while ((d = map_next(&e->devices, &pos)) != NULL)
		put_orders(e, d);
}

/* --- life ----------------------------------------------------------------- */

static void
edge_close(void *own)
{
	struct edge *e = own;
	struct device *d;
	size_t pos = 0;

	while ((d = map_next(&e->devices, &pos)) != NULL) {
		(void)map_del(&e->devices, d->key);
		str_free(d->key);
		str_free(d->id);
		free(d);
		pos = 0;
	}
	map_fini(&e->devices);
	map_fini(&e->orders);
	arena_fini(&e->arena);
	free(e);
}

static int
edge_open(struct gateway *g, const void *spec, void **ret, struct err *err)
{
	struct edge *e = mem_new(struct edge);
	int rc = 0;

	e->g = g;
	e->spec = spec;
	if (!duration_parse_ms(e->spec->timeout, &e->timeout_ms) ||
	    e->timeout_ms < 1000 || e->timeout_ms > TIMEOUT_MAX)
		rc = err_set(err, ERR_PARAM,
		    "timeout: a duration like 24h is needed, 1s to 31d");
	if (rc == 0)
		rc = gateway_mqtt_root(g, &e->arena, &e->root, err);
	if (rc != 0)
		edge_close(e);
	else
		*ret = e;
	return rc;
}

const struct gateway_ops gateway_marram_edge = {
	.name = "marram_edge",
	.protocols = GATEWAY_MQTT,
	.qos = 1,
	.has_operations = true,
	.subscribe = "+/up/#,+/online",
	.spec = &spec_record,
	.actions = actions,
	.open = edge_open,
	.close = edge_close,
	.up = edge_up,
	.hear = edge_hear,
	.read = on_read,
	.write = on_write,
	.prepare = edge_prepare,
	.send = edge_send,
	.cancel = edge_cancel,
	.act = edge_act,
	.claimed = edge_claimed,
};
