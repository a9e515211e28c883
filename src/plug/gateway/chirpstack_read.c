/*
 * plug/gateway/chirpstack_read.c - events as frames, what frames say, and how a
 * value is said. Pure functions.
 *
 *	up            the node; source "radio"; what ChirpStack's own codec made
 *	join          the node's address
 *	status        battery_level, margin
 *	log           log, log_level of the node
 *	location      a position, "latitude;longitude;altitude"
 *	integration   a source for each integration
 */
#include "plug/gateway/chirpstack.h"

#include "base/base.h"
#include "codec/entity_json.h"
#include "codec/flatten.h"

#include <math.h>
#include <string.h>

/* Which receiver heard it best. */
struct best {
	struct str gateway_id;
	int64_t rssi;
	double snr;
	int64_t count; /* of those that heard it */
};

struct device {
	struct str name, profile, application, application_id, tags;
};

struct extension {
	struct str event, time, deduplication_id;
	struct device device;
	struct str dev_addr;
	int64_t f_port, f_cnt, dr;
	bool adr, confirmed;
	struct best rx;
	int64_t frequency, spreading_factor, bandwidth;
	struct str object;
	struct str level, code, description;
	int64_t margin;
	bool external_power;
	double battery;
	struct chirpstack_location location;
	struct str integration, type;
};

#define B struct best
static const struct field best_fields[] = {
	F_TEXT(B, gateway_id, "gatewayId"),
	F_INT(B, rssi, "rssi"),
	F_REAL(B, snr, "snr"),
	F_INT(B, count, "count"),
	{ 0 },
};
#undef B
static const struct record best_record = { "rxInfo", sizeof(struct best),
	best_fields };

#define D struct device
static const struct field device_fields[] = {
	F_TEXT(D, name, "name"),
	F_TEXT(D, profile, "profile"),
	F_TEXT(D, application, "application"),
	F_TEXT(D, application_id, "applicationId"),
	F_JSON(D, tags, "tags", .flags = FIELD_OBJECT, .def = "{}"),
	{ 0 },
};
#undef D
static const struct record device_record = { "device", sizeof(struct device),
	device_fields };

#define X struct extension
static const struct field extension_fields[] = {
	F_TEXT(X, event, "event"),
	F_TEXT(X, time, "time", .flags = FIELD_NULL | FIELD_ABSENT),
	F_TEXT(X, deduplication_id, "deduplicationId",
	    .flags = FIELD_NULL | FIELD_ABSENT),
	F_RECORD(X, device, struct device, "device", .record = &device_record),
	F_TEXT(X, dev_addr, "devAddr"),
	F_INT(X, f_port, "fPort"),
	F_INT(X, f_cnt, "fCnt"),
	F_INT(X, dr, "dr"),
	F_BOOL(X, adr, "adr"),
	F_BOOL(X, confirmed, "confirmed"),
	F_RECORD(X, rx, struct best, "rxInfo", .record = &best_record),
	F_INT(X, frequency, "frequency"),
	F_INT(X, spreading_factor, "spreadingFactor"),
	F_INT(X, bandwidth, "bandwidth"),
	F_JSON(X, object, "object", .flags = FIELD_NULL | FIELD_ABSENT),
	F_TEXT(X, level, "level"),
	F_TEXT(X, code, "code"),
	F_TEXT(X, description, "description"),
	F_INT(X, margin, "margin"),
	F_BOOL(X, external_power, "externalPowerSource"),
	F_REAL(X, battery, "batteryLevel", .flags = FIELD_NULL | FIELD_ABSENT),
	F_RECORD(X, location, struct chirpstack_location, "location",
	    .record = &chirpstack_location_record),
	F_TEXT(X, integration, "integrationName"),
	F_TEXT(X, type, "eventType"),
	{ 0 },
};
#undef X
static const struct record extension_record = { "extension",
	sizeof(struct extension), extension_fields };

/* What is said of each kind, besides what is said of all. */
struct reading {
	struct gateway_messages *m;
	struct arena *a;
	struct str node;
	struct extension x;
	int64_t time;
	bool is_decoded; /* what is added now */
};

static int say_up(struct reading *r, struct err *err);
static int say_join(struct reading *r, struct err *err);
static int say_status(struct reading *r, struct err *err);
static int say_log(struct reading *r, struct err *err);
static int say_location(struct reading *r, struct err *err);
static int say_integration(struct reading *r, struct err *err);

static const struct kind {
	const char *name;
	const char *members; /* of the extension */
	int (*say)(struct reading *r, struct err *err);
} kinds[] = {
	{ "up",
	    "devAddr fPort fCnt dr adr confirmed rxInfo frequency "
	    "spreadingFactor bandwidth object",
	    say_up },
	{ "join", "devAddr", say_join },
	{ "status", "margin externalPowerSource batteryLevel", say_status },
	{ "log", "level code description", say_log },
	{ "location", "location", say_location },
	{ "integration", "integrationName eventType object", say_integration },
};

static const struct kind *
kind_of(struct str name)
{
	for (size_t i = 0; i < COUNT_OF(kinds); i++)
		if (str_eqz(name, kinds[i].name))
			return &kinds[i];
	return NULL;
}

/* --- events to frames ----------------------------------------------------- */

/* The highest SNR, then RSSI. */
static struct best
best_of(const struct rows *rx)
{
	const struct chirpstack_rx *all = rx->at, *best = all;

	if (rx->n == 0)
		return (struct best){ .gateway_id = STR("") };
	for (size_t i = 1; i < rx->n; i++)
		if (all[i].snr > best->snr ||
		    (all[i].snr == best->snr && all[i].rssi > best->rssi))
			best = &all[i];
	return (struct best){ best->gateway_id, best->rssi, best->snr,
		(int64_t)rx->n };
}

static struct extension
extension_of(const struct chirpstack_event *e)
{
	bool battery = !e->external_power && !e->battery_unavailable;

	return (struct extension){
		.event = e->kind,
		.time = e->time.len > 0 ? e->time : STR_NULL,
		.deduplication_id = e->deduplication_id.len > 0
		    ? e->deduplication_id
		    : STR_NULL,
		.device = { e->info.device_name, e->info.profile_name,
		    e->info.application_name, e->application, e->info.tags },
		.dev_addr = e->dev_addr,
		.f_port = e->f_port,
		.f_cnt = e->f_cnt,
		.dr = e->dr,
		.adr = e->adr,
		.confirmed = e->confirmed,
		.rx = best_of(&e->rx),
		.frequency = e->tx.frequency,
		.spreading_factor = e->tx.modulation.lora.spreading_factor,
		.bandwidth = e->tx.modulation.lora.bandwidth,
		.object = e->object,
		.level = e->level,
		.code = e->code,
		.description = e->description,
		.margin = e->margin,
		.external_power = e->external_power,
		.battery = battery ? e->battery : NAN,
		.location = e->location,
		.integration = e->integration,
		.type = e->type,
	};
}

int
chirpstack_frame(struct arena *a, const struct chirpstack_event *e,
    struct gateway_frame *ret, struct err *err)
{
	const struct kind *k = kind_of(e->kind);
	struct extension x = extension_of(e);
	struct buf b = { 0 };
	struct json_out o;

	if (k == NULL)
		return err_set(err, ERR_PARAM,
		    "an event " STR_FMT " is not known", STR_ARG(e->kind));
	if (!base64_decode(&b, e->data)) {
		buf_free(&b);
		return err_set(err, ERR_PARAM, "data is not base64");
	}
	ret->node = e->node;
	ret->data = b.len > 0 ? arena_str(a, buf_str(&b)) : STR("");
	buf_clear(&b);
	json_out_init(&o, &b, false);
	record_to_json(&o, &extension_record,
	    field_bits(
		&extension_record, "event time deduplicationId device", NULL) |
		field_bits(&extension_record, k->members, NULL),
	    &x);
	ret->extension = arena_str(a, buf_str(&b));
	buf_free(&b);
	return 0;
}

/* --- frames to messages --------------------------------------------------- */

static struct str
quoted(struct arena *a, struct str text)
{
	struct buf b = { 0 };
	struct str s;

	json_quote(&b, text);
	s = arena_str(a, buf_str(&b));
	buf_free(&b);
	return s;
}

/* The message of that type and source, made if there is none; it moves when
 * another is made. */
static struct gateway_message *
message_of(struct reading *r, enum gateway_type type, struct str source)
{
	struct gateway_message *m;

	for (size_t i = 0; i < r->m->n; i++)
		if (r->m->at[i].type == type &&
		    r->m->at[i].is_decoded == r->is_decoded &&
		    str_eq(r->m->at[i].source, source))
			return &r->m->at[i];
	m = gateway_say(r->m, type, r->node, source);
	m->time = r->time;
	m->is_decoded = r->is_decoded;
	return m;
}

static int
add(struct reading *r, enum gateway_type type, struct str source,
    struct str key, struct str value, const char *metric_type, const char *unit,
    struct err *err)
{
	struct gateway_payload *p =
	    gateway_add(r->m, message_of(r, type, source), key, value);

	if (p == NULL)
		return err_set(err, ERR_LIMIT, "more than %d values",
		    GATEWAY_PAYLOADS_MAX);
	p->metric_type = str_of(metric_type);
	p->unit = str_of(unit);
	return 0;
}

/* A fact about the node; the empty text says nothing. */
static int
note(struct reading *r, const char *key, struct str text, struct err *err)
{
	return text.len == 0
	    ? 0
	    : add(r, GATEWAY_PRESENTATION, STR(""), str_of(key),
		  quoted(r->a, text), NULL, NULL, err);
}

/* Names, and the tags that its owner gave it, as labels. With them goes the
 * application, by which it is sent to after a restart. */
static int
say_device(struct reading *r, struct err *err)
{
	const struct device *d = &r->x.device;
	struct buf b = { 0 };
	struct json_out o;
	struct str key, value;
	struct json j;
	int rc = note(r, "name", d->name, err);

	if (rc == 0)
		rc = note(r, "device_profile", d->profile, err);
	if (rc == 0)
		rc = note(r, "application", d->application, err);
	json_out_init(&o, &b, false);
	json_out_object(&o);
	json_open(&j, d->tags, 0, r->a);
	(void)json_object(&j);
	while (json_member(&j, &key))
		if (json_peek(&j) != JSON_STRING ||
		    str_eqz(key, "application_id")) {
			(void)json_skip(&j);
		} else if (json_str(&j, &value)) {
			json_out_key_str(&o, key);
			json_out_str(&o, value);
		}
	json_out_key(&o, "application_id");
	json_out_str(&o, d->application_id);
	json_out_end_object(&o);
	message_of(r, GATEWAY_PRESENTATION, STR(""))->labels =
	    arena_str(r->a, buf_str(&b));
	buf_free(&b);
	return rc;
}

static int
say_radio(struct reading *r, struct err *err)
{
	const struct extension *x = &r->x;
	struct arena *a = r->a;
	const struct {
		const char *key;
		struct str value;
		const char *type, *unit;
		bool there;
	} values[] = {
		{ "rssi", arena_printf(a, "%lld", (long long)x->rx.rssi),
		    "gauge", "dBm", x->rx.count > 0 },
		{ "snr", arena_printf(a, "%.10g", x->rx.snr), "gauge_float",
		    "dB", x->rx.count > 0 },
		{ "gateway", quoted(a, x->rx.gateway_id), "none", NULL,
		    x->rx.count > 0 },
		{ "gateways", arena_printf(a, "%lld", (long long)x->rx.count),
		    "gauge", NULL, true },
		{ "data_rate", arena_printf(a, "%lld", (long long)x->dr),
		    "gauge", NULL, true },
		{ "spreading_factor",
		    arena_printf(a, "%lld", (long long)x->spreading_factor),
		    "gauge", NULL, x->spreading_factor > 0 },
		{ "frequency", arena_printf(a, "%lld", (long long)x->frequency),
		    "gauge", "Hz", x->frequency > 0 },
		{ "frame_counter", arena_printf(a, "%lld", (long long)x->f_cnt),
		    "counter", NULL, true },
	};
	int rc = add(r, GATEWAY_PRESENTATION, STR("radio"), STR("name"),
	    STR("\"radio\""), NULL, NULL, err);

	for (size_t i = 0; rc == 0 && i < COUNT_OF(values); i++)
		if (values[i].there)
			rc = add(r, GATEWAY_SET, STR("radio"),
			    str_of(values[i].key), values[i].value,
			    values[i].type, values[i].unit, err);
	return rc;
}

static int
on_value(void *ctx, struct str source, struct str name, struct str value,
    struct err *err)
{
	struct reading *r = ctx;

	if (source.len == 0)
		source = r->x.integration.len > 0
		    ? flatten_name(r->a, r->x.integration)
		    : STR("data");
	return add(r, GATEWAY_SET, source, name, value, NULL, NULL, err);
}

static int
say_up(struct reading *r, struct err *err)
{
	int rc = note(r, "dev_addr", r->x.dev_addr, err);

	if (rc == 0)
		rc = say_radio(r, err);
	if (rc != 0 || r->x.object.ptr == NULL)
		return rc;
	r->is_decoded = true;
	return flatten(r->x.object, r->a, on_value, r, err);
}

static int
say_join(struct reading *r, struct err *err)
{
	int rc = note(r, "dev_addr", r->x.dev_addr, err);

	return rc != 0 || r->x.time.ptr == NULL
	    ? rc
	    : note(r, "joined_on", r->x.time, err);
}

static int
say_status(struct reading *r, struct err *err)
{
	int rc = 0;

	if (!isnan(r->x.battery))
		rc = add(r, GATEWAY_SET, STR(""), STR("battery_level"),
		    arena_printf(r->a, "%.10g", r->x.battery), NULL, NULL, err);
	if (rc == 0)
		rc = add(r, GATEWAY_SET, STR(""), STR("external_power"),
		    r->x.external_power ? STR("true") : STR("false"), NULL,
		    NULL, err);
	return rc != 0 ? rc
		       : add(r, GATEWAY_SET, STR(""), STR("margin"),
			     arena_printf(r->a, "%lld", (long long)r->x.margin),
			     NULL, NULL, err);
}

static int
say_log(struct reading *r, struct err *err)
{
	int rc = note(r, "log",
	    arena_printf(r->a, STR_FMT ": " STR_FMT, STR_ARG(r->x.code),
		STR_ARG(r->x.description)),
	    err);

	return rc != 0 ? rc : note(r, "log_level", r->x.level, err);
}

static int
say_location(struct reading *r, struct err *err)
{
	const struct chirpstack_location *l = &r->x.location;
	int rc = add(r, GATEWAY_PRESENTATION, STR("location"), STR("name"),
	    STR("\"location\""), NULL, NULL, err);

	return rc != 0 ? rc
		       : add(r, GATEWAY_SET, STR("location"), STR("position"),
			     arena_printf(r->a, "\"%.10g;%.10g;%.10g\"",
				 l->latitude, l->longitude, l->altitude),
			     "geo", NULL, err);
}

static int
say_integration(struct reading *r, struct err *err)
{
	return r->x.object.ptr == NULL
	    ? 0
	    : flatten(r->x.object, r->a, on_value, r, err);
}

int
chirpstack_read(
    const struct gateway_frame *f, struct gateway_messages *m, struct err *err)
{
	struct reading r = {
		.m = m, .a = m->a, .node = f->node, .time = TIME_NULL
	};
	const struct kind *k;
	int rc;

	rc = record_read(&extension_record, m->a,
	    f->extension.len > 0 ? f->extension : STR("{}"), &r.x, err);
	if (rc != 0)
		return err_wrap(err, "extension");
	k = kind_of(r.x.event);
	if (k == NULL)
		return err_set(err, ERR_PARAM,
		    "extension: an event " STR_FMT " is not known",
		    STR_ARG(r.x.event));
	if (r.x.time.ptr != NULL && !time_parse(r.x.time, &r.time))
		return err_set(
		    err, ERR_PARAM, "extension: time: a time is needed");
	rc = say_device(&r, err);
	return rc != 0 ? rc : k->say(&r, err);
}

/* --- writing -------------------------------------------------------------- */

/* {"object":{"valve":true}} or {"object":{"tank":{"valve":true}}}. */
int
chirpstack_write(const struct gateway_message *msg, struct arena *a,
    struct gateway_frame *ret, struct err *err)
{
	const struct gateway_payload *p = msg->payloads;
	bool nested = msg->source.len > 0 && !str_eqz(msg->source, "data");
	struct buf b = { 0 };
	struct json_out o;

	if (msg->type != GATEWAY_SET)
		return err_set(err, ERR_PARAM,
		    "a LoRaWAN device can not be asked for a value");
	if (msg->n_payloads != 1 || p->key.len == 0 || p->value.ptr == NULL)
		return err_set(err, ERR_PARAM, "one value is needed");
	json_out_init(&o, &b, false);
	json_out_object(&o);
	json_out_key(&o, "object");
	json_out_object(&o);
	if (nested) {
		json_out_key_str(&o, msg->source);
		json_out_object(&o);
	}
	json_out_key_str(&o, p->key);
	json_out_raw(&o, p->value);
	if (nested)
		json_out_end_object(&o);
	json_out_end_object(&o);
	json_out_key(&o, "slot");
	json_out_str(&o,
	    arena_printf(
		a, STR_FMT "/" STR_FMT, STR_ARG(msg->source), STR_ARG(p->key)));
	json_out_end_object(&o);
	*ret = (struct gateway_frame){ .node = msg->node,
		.data = STR(""),
		.extension = arena_str(a, buf_str(&b)) };
	buf_free(&b);
	return 0;
}
