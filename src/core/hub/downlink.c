/*
 * core/hub/downlink.c - a field is to be set: what its device is sent.
 *
 * The stored value changes only when the device reports it.
 */
#include "core/hub/private.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/rand.h"
#include "codec/json.h"

#include <stdlib.h>

/* The value in the form of the field's metric type; "toggle" turns it over. */
static bool
value_for(struct arena *a, struct cell *f, struct str payload, struct str *ret)
{
	struct buf b = { 0 };
	struct str json;
	bool ok;

	if (str_eq_nocase(payload, STR("toggle")) &&
	    str_eqz(f->row.metric_type, "binary")) {
		*ret = str_eqz(f->now, "true") ? STR("false") : STR("true");
		return true;
	}
	json = payload;
	if (!json_valid(payload, 0)) {
		json_quote(&b, payload);
		json = arena_str(a, buf_str(&b));
		buf_free(&b);
	}
	ok = hub_convert(a, f->row.metric_type, json, ret);
	return ok;
}

/* {"relay":true}, or {"air":{"fan":1}}: as it came. */
static void
as_json(struct cell *f, struct str value, struct buf *out)
{
	bool inside = !str_eqz(f->row.source_id, "data");
	struct json_out o;

	json_out_init(&o, out, false);
	json_out_object(&o);
	if (inside) {
		json_out_key_str(&o, f->row.source_id);
		json_out_object(&o);
	}
	json_out_key_str(&o, f->row.field_id);
	json_out_raw(&o, value);
	if (inside)
		json_out_end_object(&o);
	json_out_end_object(&o);
}

void
device_send(struct device *d, struct str data_id, struct str bytes,
    struct str extension)
{
	struct buf hex = { 0 };

	model_know(d);
	hex_encode(&hex, bytes.ptr, bytes.len);
	route_send(d->hub->route,
	    &(struct route_downlink){ .data_id = data_id,
		.unit_id = d->row.unit_id,
		.unit_code = d->on_public ? STR("") : d->unit_code,
		.network_code = d->row.gateway_id,
		.network_addr = d->row.node_id,
		.device_id = d->row.id,
		.profile = d->profile,
		.data = hex.ptr != NULL ? buf_str(&hex) : STR(""),
		.extension = extension });
	buf_free(&hex);
}

static void
send(struct cell *f, struct str data_id, struct str bytes, struct str extension)
{
	device_send(f->device, data_id, bytes, extension);
}

/* --- by the profile's script --------------------------------------------- */

struct encoding {
	struct hub *hub;
	struct script_call call;
	struct str unit_id, quick; /* of the field, which may go meanwhile */
	struct str data_id;
	struct arena arena;
};

bool
hub_read_bytes(struct arena *a, struct str list, struct buf *out)
{
	struct json j;
	double d;

	json_open(&j, list, 0, a);
	if (!json_array(&j))
		return false;
	while (json_item(&j) && json_real(&j, &d))
		buf_addc(out, (char)(uint8_t)(int64_t)d);
	return json_done(&j, NULL) == 0;
}

static void
on_encoded(struct script_call *call)
{
	struct encoding *e = container_of(call, struct encoding, call);
	struct cell *f = model_field(e->hub, e->unit_id, e->quick);
	struct str list, port, extension = STR_NULL;
	struct buf bytes = { 0 };

	if (f != NULL && call->end == SCRIPT_DONE &&
	    hub_json_at(&e->arena, call->result, STR("bytes"), &list) &&
	    hub_read_bytes(&e->arena, list, &bytes)) {
		if (hub_json_at(&e->arena, call->result, STR("fPort"), &port))
			extension = arena_printf(&e->arena,
			    "{\"fPort\":" STR_FMT "}", STR_ARG(port));
		send(f, e->data_id,
		    bytes.ptr != NULL ? buf_str(&bytes) : STR(""), extension);
	} else {
		const char *why = f == NULL ? "the field has gone"
		    : call->err.code != 0   ? call->err.text
					    : "encodeDownlink gave no bytes";

		counter_add(&e->hub->counters.encode_failed, 1);
		if (f != NULL)
			model_trouble(f->device, why, clock_now());
		sent_result(e->hub, e->data_id, 1, str_of(why));
	}
	buf_free(&bytes);
	arena_fini(&e->arena);
	free(e);
}

static int
encode(struct cell *f, const struct hub_profile *p, struct str value,
    struct str data_id, struct err *err)
{
	struct hub *h = f->device->hub;
	struct encoding *e = mem_new(struct encoding);
	struct str rest = f->quick;
	struct buf data = { 0 };
	int rc;

	(void)str_cut(&rest, ' ');
	e->hub = h;
	e->unit_id = arena_str(&e->arena, f->row.unit_id);
	e->quick = arena_str(&e->arena, rest);
	e->data_id = arena_str(&e->arena, data_id);
	as_json(f, value, &data);
	e->call = (struct script_call){ .group = e->unit_id,
		.source = arena_str(&e->arena, p->script),
		.entry = SCRIPT_ENCODE_DOWNLINK,
		.arg = arena_printf(&e->arena,
		    "{\"data\":" STR_FMT ",\"variables\":{}}",
		    STR_ARG(buf_str(&data))),
		.done = on_encoded };
	buf_free(&data);
	rc = script_run(h->codecs, &e->call, err);
	if (rc != 0) {
		arena_fini(&e->arena);
		free(e);
	}
	return rc;
}

/* --- by its gateway ------------------------------------------------------ */

/* A value that a gateway puts into a frame. */
struct saying {
	struct hub *hub;
	struct gateway *plug;
	struct gateway_write write;
	struct gateway_payload payload;
	struct str unit_id, quick; /* of the field, which may go meanwhile */
	struct str validity, data_id;
	bool awake;
	struct arena arena;
};

/* What the gateway is to know beside the frame. */
static struct str
with_hints(struct saying *s, struct str extension)
{
	struct arena *a = &s->arena;
	struct buf b = { 0 };
	struct json_out o;
	struct str ret;

	json_out_init(&o, &b, false);
	json_out_object(&o);
	if (s->awake) {
		json_out_key(&o, "awake");
		json_out_bool(&o, true);
	}
	if (s->validity.len > 0) {
		json_out_key(&o, "validity");
		json_out_str(&o, s->validity);
	}
	json_out_end_object(&o);
	ret = b.len > 2
	    ? hub_merged(a, extension.ptr != NULL ? extension : STR("{}"),
		  arena_str(a, buf_str(&b)))
	    : extension;
	buf_free(&b);
	return ret;
}

static void
on_said(struct gateway_write *w, const struct err *err)
{
	struct saying *s = container_of(w, struct saying, write);
	struct cell *f = model_field(s->hub, s->unit_id, s->quick);

	if (f != NULL && err->code == 0 && w->n_frames > 0) {
		send(f, s->data_id, w->frame.data,
		    with_hints(s, w->frame.extension));
	} else {
		const char *why = f == NULL ? "the field has gone"
		    : err->code != 0        ? err->text
					    : "";

		if (err->code != 0) {
			counter_add(&s->hub->counters.encode_failed, 1);
			if (f != NULL)
				model_trouble(f->device, why, clock_now());
		}
		sent_result(s->hub, s->data_id, why[0] != '\0', str_of(why));
	}
	arena_fini(&w->arena);
	arena_fini(&s->arena);
	free(s);
}

/* Ready for gateway_write(), which may answer from within. */
static int
saying_new(struct cell *f, struct str value, struct str data_id, bool awake,
    struct saying **ret, struct err *err)
{
	struct device *d = f->device;
	struct gate *g = gate_at(d->hub, d->row.unit_id, d->row.gateway_id);
	struct saying *s;
	struct arena *a;
	struct str rest = f->quick;

	if (g == NULL || g->plug == NULL)
		return err_set(err, ERR_NOT_FOUND,
		    "gateway " STR_FMT " is not running",
		    STR_ARG(d->row.gateway_id));
	s = mem_new(struct saying);
	a = &s->arena;
	(void)str_cut(&rest, ' ');
	s->hub = d->hub;
	s->plug = g->plug;
	s->unit_id = arena_str(a, f->row.unit_id);
	s->quick = arena_str(a, rest);
	s->awake = awake;
	s->data_id = arena_str(a, data_id);
	s->validity = arena_str(
	    a, hub_text_at(a, f->row.labels, "sleep_message_validity"));
	s->payload =
	    (struct gateway_payload){ .key = arena_str(a, f->row.field_id),
		    .value = arena_str(a, value),
		    .metric_type = arena_str(a, f->row.metric_type),
		    .unit = arena_str(a, f->row.unit),
		    .labels = arena_str(a, f->row.labels),
		    .others = arena_str(a, f->row.others) };
	s->write.message = (struct gateway_message){ .type = GATEWAY_SET,
		.node = gate_spoken(g, a, d->row.node_id),
		.source = arena_str(a, f->row.source_id),
		.payloads = &s->payload,
		.n_payloads = 1,
		.time = clock_now() };
	s->write.done = on_said;
	*ret = s;
	return 0;
}

/* A LoRaWAN-like gateway carries what the profile has made; any other knows
 * itself how its devices are told. */
static bool
is_for_gateway(struct device *d, const struct hub_profile *p)
{
	struct gate *g = gate_at(d->hub, d->row.unit_id, d->row.gateway_id);

	return g != NULL &&
	    (p == NULL || g->plug == NULL || !gateway_has_payload(g->plug) ||
		(!str_eqz(p->codec, "javascript") &&
		    !str_eqz(p->codec, "json")));
}

int
field_set_to(
    struct cell *f, struct str payload, struct outcome *x, struct err *err)
{
	struct device *d = f->device;
	struct hub *h = d->hub;
	const struct hub_profile *p;
	struct buf bytes = { 0 };
	struct arena a = { 0 };
	struct saying *saying = NULL;
	struct str value, quick = f->quick;
	struct str id = rand_id(&a, clock_now(), ID_LONG);
	int rc;

	(void)str_cut(&quick, ' ');
	model_know(d);
	p = model_profile(h, d->row.unit_id, d->profile);

	if (!value_for(&a, f, payload, &value)) {
		rc = err_set(err, ERR_PARAM,
		    "`" STR_FMT "` is no value of a " STR_FMT, STR_ARG(payload),
		    STR_ARG(f->row.metric_type));
	} else if (is_for_gateway(d, p)) {
		rc = saying_new(f, value, id, false, &saying, err);
	} else if (p == NULL) {
		rc = err_set(err, ERR_NOT_FOUND,
		    "device " STR_FMT " has no profile that tells how to set "
		    "a field",
		    STR_ARG(d->row.node_id));
	} else if (str_eqz(p->codec, "javascript")) {
		rc = encode(f, p, value, id, err);
	} else if (str_eqz(p->codec, "json")) {
		as_json(f, value, &bytes);
		send(f, id, buf_str(&bytes), STR_NULL);
		rc = 0;
	} else {
		rc = err_set(err, ERR_PARAM,
		    "the codec " STR_FMT " of profile " STR_FMT
		    " can not encode",
		    STR_ARG(p->codec), STR_ARG(p->code));
	}
	if (rc == 0) /* its result comes by a post, later */
		model_asked(f, value);
	if (rc == 0)
		sent_add(h, id, x != NULL ? outcome_down(x, quick, id) : NULL);
	if (saying != NULL)
		gateway_write(saying->plug, &saying->write);
	buf_free(&bytes);
	arena_fini(&a);
	return rc;
}

int
field_tell(struct cell *f, struct err *err)
{
	struct device *d = f->device;
	struct saying *saying;
	struct arena a = { 0 };
	int rc;

	model_know(d);
	if (!is_for_gateway(
		d, model_profile(d->hub, d->row.unit_id, d->profile))) {
		rc = field_set_to(f, hub_plain(&a, f->now), NULL, err);
	} else {
		rc = saying_new(f, f->now, rand_id(&a, clock_now(), ID_LONG),
		    true, &saying, err);
		if (rc == 0)
			gateway_write(saying->plug, &saying->write);
	}
	arena_fini(&a);
	return rc;
}
