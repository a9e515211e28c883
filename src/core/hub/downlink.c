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

static void
send(struct cell *f, struct str data_id, struct str bytes, struct str extension)
{
	struct device *d = f->device;
	struct buf hex = { 0 };

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

/* --- by the profile's script --------------------------------------------- */

struct encoding {
	struct hub *hub;
	struct script_call call;
	struct str unit_id, quick; /* of the field, which may go meanwhile */
	struct str data_id;
	struct arena arena;
};

static bool
read_bytes(struct arena *a, struct str list, struct buf *out)
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
	    read_bytes(&e->arena, list, &bytes)) {
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

int
field_set_to(
    struct cell *f, struct str payload, struct outcome *x, struct err *err)
{
	struct device *d = f->device;
	struct hub *h = d->hub;
	const struct hub_profile *p;
	struct buf bytes = { 0 };
	struct arena a = { 0 };
	struct str value, quick = f->quick;
	struct str id = rand_id(&a, clock_now(), ID_LONG);
	int rc;

	(void)str_cut(&quick, ' ');
	model_know(d);
	p = model_profile(h, d->row.unit_id, d->profile);

	if (p == NULL) {
		rc = err_set(err, ERR_NOT_FOUND,
		    "device " STR_FMT " has no profile that tells how to set "
		    "a field",
		    STR_ARG(d->row.node_id));
	} else if (!value_for(&a, f, payload, &value)) {
		rc = err_set(err, ERR_PARAM,
		    "`" STR_FMT "` is no value of a " STR_FMT, STR_ARG(payload),
		    STR_ARG(f->row.metric_type));
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
		sent_add(h, id, x != NULL ? outcome_down(x, quick, id) : NULL);
	buf_free(&bytes);
	arena_fini(&a);
	return rc;
}
