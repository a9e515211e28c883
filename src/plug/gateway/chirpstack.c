/*
 * plug/gateway/chirpstack.c - devices of a ChirpStack v4 network server, over
 * the MQTT integration with JSON.
 *
 * A downlink is given to ChirpStack, which keeps it until the device may be
 * spoken to; that can take hours, and so does the answer. It has an id of ours,
 * by which ChirpStack tells what became of it: `txack` when it was handed to a
 * radio gateway, `ack` when the device has confirmed it, or not, `log` when it
 * was thrown away.
 *
 * The application of a device is part of the topic to it. It is learnt from
 * what is heard, and kept as the node's label `application_id`.
 *
 *  (1) A device is in `devices` and in `order`, the longest unheard first.
 *  (2) What is in `down` waits for its answer.
 */
#include "plug/gateway/chirpstack.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rand.h"
#include "codec/duration.h"
#include "codec/entity_json.h"
#include "plug/gateway/late.h"

#include <stdlib.h>

#define SKEW_MAX 60000 /* ms: how far ahead of ours its clock may be */
#define UUID_LEN 36
#define TIMEOUT_MAX ((int64_t)31 * 86400000)

struct spec {
	struct str application_id, timeout;
	int64_t f_port, max_devices, remember;
	bool confirmed, expire;
};

#define S struct spec
static const struct field spec_fields[] = {
	F_TEXT(S, application_id, "applicationId",
	    .help = "The application of devices that have not been heard yet."),
	F_INT(S, f_port, "fPort", .max = 223,
	    .help = "The port of downlinks that name none. 0: each must name "
		    "one."),
	F_BOOL(S, confirmed, "confirmed",
	    .help = "Downlinks that do not say are to be confirmed by the "
		    "device."),
	F_TEXT(S, timeout, "timeout", .def = "\"24h\"",
	    .help = "How long a downlink may take until a radio gateway, or "
		    "when it is confirmed the device, has it. 0: it counts as "
		    "sent when the MQTT server has it."),
	F_BOOL(S, expire, "expire",
	    .help = "Tell ChirpStack to forget a downlink at that time. Needs "
		    "a ChirpStack that knows `expiresAt`."),
	F_INT(S, max_devices, "maxDevices", .def = "10000", .min = 1,
	    .max = 1000000,
	    .help = "Devices whose application is kept in memory; beyond "
		    "that the longest unheard is forgotten."),
	F_INT(S, remember, "remember", .def = "1000", .min = 1, .max = 100000,
	    .help = "Events that are remembered, to tell one that comes "
		    "twice."),
	{ 0 },
};
#undef S
static const struct record spec_record = { "chirpstack", sizeof(struct spec),
	spec_fields };

struct device {
	struct list link;       /* in `order` */
	struct str node;        /* owned */
	struct str application; /* owned */
};

struct down {
	struct gateway_late late;
	struct chirpstack *c;
	char id[UUID_LEN + 1];
	struct str node;   /* in lower case */
	struct str object; /* null: none */
	int64_t f_port;
	bool confirmed;
};

struct chirpstack {
	struct gateway *g;
	const struct spec *spec;
	int64_t timeout_ms;
	struct map devices; /* by EUI */
	struct list order;
	struct map down;  /* by id */
	uint64_t *recent; /* hashes, `next` the oldest */
	size_t next;
};

/* --- devices -------------------------------------------------------------- */

static void
forget(struct chirpstack *c, struct device *d)
{
	(void)map_del(&c->devices, d->node);
	list_del(&d->link);
	str_free(d->node);
	str_free(d->application);
	free(d);
}

static void
learn(struct chirpstack *c, struct str node, struct str application)
{
	struct device *d = map_get(&c->devices, node);

	if (d == NULL) {
		if (c->devices.n >= (size_t)c->spec->max_devices)
			forget(c, list_first(&c->order, struct device, link));
		d = mem_new(struct device);
		d->node = str_copy(node);
		list_init(&d->link);
		(void)map_put(&c->devices, d->node, d);
	}
	list_del(&d->link);
	list_add(&c->order, &d->link);
	if (str_eq(d->application, application))
		return;
	str_free(d->application);
	d->application = str_copy(application);
}

/* In `a`; empty: nobody knows. */
static struct str
application_of(struct chirpstack *c, struct arena *a, struct str node)
{
	const struct gateway_host *host = gateway_host_of(c->g);
	const struct device *d = map_get(&c->devices, node);
	struct str label = STR_NULL;

	if (d != NULL)
		return d->application;
	if (host->label != NULL)
		label = host->label(host->ctx, a, node, "application_id");
	return label.len > 0 ? label : c->spec->application_id;
}

/* --- hearing -------------------------------------------------------------- */

/* Several events of one uplink have the same id. */
static bool
is_known(struct chirpstack *c, const struct chirpstack_event *e)
{
	struct buf b = { 0 };
	size_t n = (size_t)c->spec->remember;
	uint64_t hash;

	if (e->deduplication_id.len > 0)
		buf_addf(&b, STR_FMT " " STR_FMT, STR_ARG(e->kind),
		    STR_ARG(e->deduplication_id));
	else if (str_eqz(e->kind, "up"))
		buf_addf(&b, STR_FMT " %lld " STR_FMT, STR_ARG(e->node),
		    (long long)e->f_cnt, STR_ARG(e->dev_addr));
	else
		return false;
	hash = map_hash(buf_str(&b)) | 1; /* 0: nothing yet */
	buf_free(&b);
	for (size_t i = 0; i < n; i++)
		if (c->recent[i] == hash)
			return true;
	c->recent[c->next] = hash;
	c->next = (c->next + 1) % n;
	return false;
}

static void
on_ack(struct chirpstack *c, const struct chirpstack_event *e)
{
	struct down *d = map_get(&c->down, e->queue_item_id);
	struct err err = { 0 };

	if (d == NULL || !d->confirmed)
		return;
	if (!e->acknowledged)
		err_set(&err, ERR_AGAIN, STR_FMT " did not confirm it",
		    STR_ARG(d->node));
	gateway_late_answer(&d->late, &err);
}

static void
on_txack(struct chirpstack *c, const struct chirpstack_event *e)
{
	struct down *d = map_get(&c->down, e->queue_item_id);

	if (d != NULL && !d->confirmed)
		gateway_late_answer(&d->late, NULL);
}

/* What is thrown away names itself in the context. */
static void
on_log(struct chirpstack *c, const struct chirpstack_event *e)
{
	struct arena a = { 0 };
	struct down *d = NULL;
	struct str key, id;
	struct err err;
	struct json j;

	json_open(&j, e->context, 0, &a);
	(void)json_object(&j);
	while (d == NULL && json_member(&j, &key))
		if (json_peek(&j) != JSON_STRING)
			(void)json_skip(&j);
		else if (json_str(&j, &id))
			d = map_get(&c->down, id);
	arena_fini(&a);
	if (d == NULL ||
	    (str_eqz(e->level, "INFO") && !str_eqz(e->code, "EXPIRED")))
		return;
	err_set(&err, ERR_IO, "ChirpStack: " STR_FMT ": " STR_FMT,
	    STR_ARG(e->code), STR_ARG(e->description));
	gateway_late_answer(&d->late, &err);
}

static void
on_news(struct chirpstack *c, struct arena *a, struct chirpstack_event *e)
{
	struct gateway_frame f;
	struct err err;
	int64_t at;

	/* A clock that runs ahead would hide what comes after. */
	if (e->time.len > 0 &&
	    (!time_parse(e->time, &at) || at > clock_now() + SKEW_MAX))
		e->time = STR("");
	if (chirpstack_frame(a, e, &f, &err) != 0) {
		gateway_bad(c->g, err.text);
		return;
	}
	if (is_known(c, e))
		return;
	gateway_hand_up(c->g, &f);
	if (str_eqz(e->kind, "up") || str_eqz(e->kind, "join"))
		gateway_awake(c->g, e->node);
}

static void
chirpstack_hear(void *own, const struct gateway_in *in)
{
	struct chirpstack *c = own;
	struct chirpstack_event e;
	struct arena a = { 0 };
	struct err err;

	if (chirpstack_event(&a, in->topic, in->data, &e, &err) != 0) {
		gateway_bad(c->g, err.text);
	} else {
		learn(c, e.node, e.application);
		if (str_eqz(e.kind, "ack"))
			on_ack(c, &e);
		else if (str_eqz(e.kind, "txack"))
			on_txack(c, &e);
		else
			on_news(c, &a, &e);
		if (str_eqz(e.kind, "log"))
			on_log(c, &e);
	}
	arena_fini(&a);
}

/* --- sending -------------------------------------------------------------- */

/* Of random bytes: version 4. */
static void
make_uuid(char id[UUID_LEN + 1])
{
	uint8_t bytes[16];
	struct buf b = { 0 };

	rand_bytes(bytes, sizeof(bytes));
	bytes[6] = (uint8_t)((bytes[6] & 0x0f) | 0x40);
	bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80);
	hex_encode(&b, bytes, sizeof(bytes));
	for (int i = 0, from = 0; i < UUID_LEN; i++)
		id[i] = i == 8 || i == 13 || i == 18 || i == 23 ? '-'
								: b.ptr[from++];
	id[UUID_LEN] = '\0';
	buf_free(&b);
}

static void
on_over(struct gateway_late *l)
{
	struct down *d = container_of(l, struct down, late);
	struct str id = { d->id, UUID_LEN };

	if (map_get(&d->c->down, id) == d)
		(void)map_del(&d->c->down, id);
}

static struct str
command(struct chirpstack *c, struct down *d, struct arena *a)
{
	const struct gateway_frame *f = &d->late.job->frame;
	struct buf b = { 0 }, data = { 0 };
	struct json_out o;
	struct str s;

	json_out_init(&o, &b, false);
	json_out_object(&o);
	json_out_key(&o, "id");
	json_out_str(&o, str_of(d->id));
	json_out_key(&o, "devEui");
	json_out_str(&o, d->node);
	json_out_key(&o, "confirmed");
	json_out_bool(&o, d->confirmed);
	json_out_key(&o, "fPort");
	json_out_int(&o, d->f_port);
	if (f->data.len > 0 || d->object.ptr == NULL) {
		base64_encode(&data, f->data.ptr, f->data.len, false);
		json_out_key(&o, "data");
		json_out_str(&o, data.len > 0 ? buf_str(&data) : STR(""));
	} else {
		json_out_key(&o, "object");
		json_out_raw(&o, d->object);
	}
	if (c->spec->expire && c->timeout_ms > 0) {
		json_out_key(&o, "expiresAt");
		json_out_time(&o, clock_now() + c->timeout_ms);
	}
	json_out_end_object(&o);
	s = arena_str(a, buf_str(&b));
	buf_free(&data);
	buf_free(&b);
	return s;
}

static void
chirpstack_send(void *own, struct gateway_job *j)
{
	struct chirpstack *c = own;
	struct down *d = j->own;
	struct str app = application_of(c, &j->arena, d->node);
	struct err err;

	if (app.len == 0) {
		err_set(&err, ERR_NOT_FOUND,
		    "the application of " STR_FMT
		    " is not known: it was not heard yet, and "
		    "provider.applicationId is empty",
		    STR_ARG(d->node));
		gateway_late_fail(&d->late, &err);
		return;
	}
	(void)map_put(&c->down, (struct str){ d->id, UUID_LEN }, d);
	gateway_late_put(&d->late,
	    arena_printf(&j->arena,
		"application/" STR_FMT "/device/" STR_FMT "/command/down",
		STR_ARG(app), STR_ARG(d->node)),
	    command(c, d, &j->arena));
}

static void
chirpstack_cancel(void *own, struct gateway_job *j)
{
	struct down *d = j->own;

	(void)own;
	gateway_late_cancel(&d->late);
}

/* The extension of a frame to be sent. */
struct asked {
	int64_t f_port;
	struct str confirmed, object;
};
#define A struct asked
static const struct field asked_fields[] = {
	F_INT(A, f_port, "fPort", .max = 255),
	F_TEXT(A, confirmed, "confirmed"),
	F_JSON(A, object, "object", .flags = FIELD_NULL),
	{ 0 },
};
#undef A
static const struct record asked_record = { "extension", sizeof(struct asked),
	asked_fields };

static int
chirpstack_prepare(void *own, struct gateway_job *j, struct err *err)
{
	struct chirpstack *c = own;
	struct down *d = arena_new(&j->arena, struct down);
	struct asked asked;

	if (!chirpstack_eui(&j->arena, j->frame.node, &d->node))
		return err_set(
		    err, ERR_PARAM, "node: an EUI of 16 hex digits is needed");
	if (record_read(&asked_record, &j->arena,
		j->frame.extension.len > 0 ? j->frame.extension : STR("{}"),
		&asked, err) != 0)
		return err_wrap(err, "extension");
	d->c = c;
	/* Once: when it is sent again, ChirpStack knows that it is the same. */
	make_uuid(d->id);
	d->object = asked.object;
	d->f_port = asked.f_port > 0 ? asked.f_port : c->spec->f_port;
	d->confirmed = asked.confirmed.len > 0
	    ? str_eq_nocase(asked.confirmed, STR("true")) ||
		str_eqz(asked.confirmed, "1")
	    : c->spec->confirmed;
	if (d->f_port < 1 || d->f_port > 223)
		return err_set(err, ERR_PARAM,
		    "extension: fPort: 1 to 223 is needed, there or in "
		    "provider.fPort");
	d->late = (struct gateway_late){
		.g = c->g,
		.job = j,
		.timeout_ms = c->timeout_ms,
		.awaited = arena_printf(&j->arena, "%s in time: " STR_FMT,
		    d->confirmed ? "the device did not confirm the downlink"
				 : "no radio gateway took the downlink",
		    STR_ARG(d->node)),
		.over = on_over,
	};
	j->own = d;
	return 0;
}

/* --- messages ------------------------------------------------------------- */

static void
on_read(void *own, struct gateway_read *r)
{
	struct gateway_messages m = { .a = &r->arena };
	struct err err = { 0 };

	(void)own;
	if (chirpstack_read(&r->frame, &m, &err) != 0)
		m.n = 0;
	gateway_read_done(r, m.at, m.n, &err);
}

static void
on_write(void *own, struct gateway_write *w)
{
	struct err err = { 0 };

	(void)own;
	w->n_frames =
	    chirpstack_write(&w->message, &w->arena, &w->frame, &err) == 0;
	gateway_write_done(w, &err);
}

/* --- life ----------------------------------------------------------------- */

static void
chirpstack_close(void *own)
{
	struct chirpstack *c = own;

	LIST_EACH (d, &c->order, struct device, link)
		forget(c, d);
	map_fini(&c->devices);
	map_fini(&c->down);
	free(c->recent);
	free(c);
}

static int
chirpstack_open(
    struct gateway *g, const void *spec, void **ret, struct err *err)
{
	const struct spec *s = spec;
	struct chirpstack *c;
	int64_t timeout;

	if (!duration_parse_ms(s->timeout, &timeout) || timeout < 0 ||
	    timeout > TIMEOUT_MAX)
		return err_set(err, ERR_PARAM,
		    "timeout: a duration like 24h is needed, 31d at most");
	c = mem_new(struct chirpstack);
	c->g = g;
	c->spec = s;
	c->timeout_ms = timeout;
	c->recent = mem_array((size_t)s->remember, sizeof(*c->recent));
	list_init(&c->order);
	*ret = c;
	return 0;
}

const struct gateway_ops gateway_chirpstack = {
	.name = "chirpstack",
	.protocols = GATEWAY_MQTT,
	.has_payload = true,
	.subscribe = "application/+/device/+/event/+",
	.spec = &spec_record,
	.open = chirpstack_open,
	.close = chirpstack_close,
	.hear = chirpstack_hear,
	.read = on_read,
	.write = on_write,
	.prepare = chirpstack_prepare,
	.send = chirpstack_send,
	.cancel = chirpstack_cancel,
};
