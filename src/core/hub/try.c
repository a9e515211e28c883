/*
 * core/hub/try.c - a profile tried out on a payload, before it is saved.
 *
 * It is read as an uplink would be, in the same helper processes and with the
 * same limits, and nothing of it is kept.
 */
#include "core/hub/private.h"

#include "base/clock.h"
#include "codec/json.h"

#define TRY_DATA_MAX (64 << 10) /* hex digits */

static const char *const ways[] = { "uplink", "downlink", NULL };

struct trial {
	struct str way, data, value, time;
	int64_t port;
};

static int
check_way(struct str s, struct err *err)
{
	for (size_t i = 0; ways[i] != NULL; i++)
		if (str_eqz(s, ways[i]))
			return 0;
	return err_set(err, ERR_PARAM, "must be uplink or downlink");
}

static int
check_hex(struct str s, struct err *err)
{
	struct buf bytes = { 0 };
	bool ok = hex_decode(&bytes, s);

	buf_free(&bytes);
	return ok ? 0 : err_set(err, ERR_PARAM, "must be hexadecimal, as 00e7");
}

#define T struct trial
static const struct field trial_fields[] = {
	F_TEXT(T, way, "way", .def = "\"uplink\"", .check = check_way,
	    .help = "`uplink`: `data` is read; `downlink`: `value` is "
		    "encoded."),
	F_TEXT(T, data, "data", .def = "\"\"", .check = check_hex,
	    .max = TRY_DATA_MAX, .help = "The payload, hexadecimal."),
	F_INT(T, port, "fPort", .def = "1", .max = 255,
	    .help = "The port that it came by."),
	F_TEXT(T, time, "time", .flags = FIELD_NULL, .max = 64,
	    .help = "When it came, as 2026-01-01T00:00:00Z. Left out: now."),
	F_JSON(T, value, "value", .flags = FIELD_OBJECT, .def = "{}",
	    .help = "For `downlink`: what is encoded, as {\"relay\":true}."),
	{ 0 },
};
static const struct record trial_record = { "profileTrial", sizeof(T),
	trial_fields };
#undef T

/* One field that would come of it. */
struct tried_field {
	struct str source_id, field_id, name, value, metric_type, unit,
	    node_other, problem;
};
#define F struct tried_field
static const struct field tried_field_fields[] = {
	F_TEXT(F, source_id, "sourceId"),
	F_TEXT(F, field_id, "fieldId"),
	F_TEXT(F, name, "name"),
	F_JSON(F, value, "value"),
	F_TEXT(F, metric_type, "metricType"),
	F_TEXT(F, unit, "unit"),
	F_TEXT(F, node_other, "nodeOther", .flags = FIELD_NULL | FIELD_ABSENT),
	F_TEXT(F, problem, "problem", .flags = FIELD_NULL | FIELD_ABSENT,
	    .help = "Why it would not be kept."),
	{ 0 },
};
static const struct record tried_field_record = { "triedField", sizeof(F),
	tried_field_fields };
#undef F

struct tried {
	struct str error, result, console, data;
	int64_t line, port, took_ms, timestamp;
	struct rows fields;
};
#define R struct tried
static const struct field tried_fields[] = {
	F_TEXT(R, error, "error", .flags = FIELD_NULL | FIELD_ABSENT,
	    .help = "Why it can not be read; left out when it can."),
	F_INT(R, line, "line", .flags = FIELD_NULL | FIELD_ABSENT,
	    .help = "Of the script, where that was."),
	F_INT(R, took_ms, "tookMs", .help = "How long it took."),
	F_TEXT(R, console, "console", .help = "What the script logged."),
	F_JSON(R, result, "result", .flags = FIELD_NULL | FIELD_ABSENT,
	    .help = "What the script gave: data, warnings; or bytes, fPort."),
	F_TIME(R, timestamp, "timestamp", .flags = FIELD_NULL | FIELD_ABSENT,
	    .help = "When the values were taken, if the payload says it."),
	F_TEXT(R, data, "data", .flags = FIELD_NULL | FIELD_ABSENT,
	    .help = "Of a downlink: what the device would be sent."),
	F_INT(R, port, "fPort", .flags = FIELD_NULL | FIELD_ABSENT,
	    .help = "And the port."),
	F_RECORDS(R, fields, "fields", .record = &tried_field_record,
	    .help = "What would come of it."),
	{ 0 },
};
static const struct record tried_record = { "tried", sizeof(R), tried_fields };
#undef R

/* --- by a script --------------------------------------------------------- */

static int
run_script(struct hub *h, struct http_call *c, const struct hub_profile *p,
    enum script_entry entry, struct str arg, struct tried *ret)
{
	struct script_call call = { .group = p->unit_id,
		.source = p->script,
		.entry = entry,
		.arg = arg };
	struct err err;
	int rc = script_run_wait(h->codecs, &call, &c->arena, &err);

	ret->console = call.console.ptr != NULL ? call.console : STR("");
	if (rc == 0) {
		ret->result = call.result;
		return 0;
	}
	ret->error = arena_str(&c->arena, str_of(err.text));
	if (call.line > 0)
		ret->line = call.line;
	return rc;
}

/* --- uplink -------------------------------------------------------------- */

static int
read_uplink(struct hub *h, struct http_call *c, const struct hub_profile *p,
    const struct trial *t, struct readings *all, struct tried *ret)
{
	struct buf bytes = { 0 };
	struct str data;
	int64_t at = clock_now();
	struct err err = { 0 };
	int rc;

	(void)hex_decode(&bytes, t->data);
	if (t->time.len > 0)
		(void)time_parse(t->time, &at);
	if (!str_eqz(p->codec, "javascript")) {
		rc = decode(p, bytes.ptr != NULL ? buf_str(&bytes) : STR(""),
		    all, &err);
	} else {
		rc = run_script(h, c, p, SCRIPT_DECODE_UPLINK,
		    heard_argument(&c->arena, t->data,
			arena_printf(&c->arena, "%lld", (long long)t->port),
			at),
		    ret);
		if (rc == 0 &&
		    !hub_json_at(&c->arena, ret->result, STR("data"), &data))
			rc = err_set(
			    &err, ERR_PARAM, "the codec gave no `data`");
		else if (rc == 0)
			rc = decode_object(data, all, &err);
		if (rc == 0)
			decode_known(p, all);
	}
	if (rc != 0 && err.code != 0)
		ret->error = arena_str(&c->arena, str_of(err.text));
	buf_free(&bytes);
	return rc;
}

static struct tried_field
tried_field(struct arena *a, const struct reading *r)
{
	struct tried_field f = { .source_id = r->source,
		.field_id = r->field,
		.name = r->name.ptr != NULL ? r->name : r->field,
		.value = r->value,
		.metric_type = r->metric_type.ptr != NULL
		    ? r->metric_type
		    : model_guessed_type(r->value),
		.unit = r->unit.ptr != NULL ? r->unit : STR(""),
		.node_other = r->node_other };
	struct str kept;

	if (hub_convert(a, f.metric_type, r->value, &kept))
		f.value = arena_str(a, kept);
	else
		f.problem = arena_printf(a,
		    "the value is no " STR_FMT " and would not be kept",
		    STR_ARG(f.metric_type));
	return f;
}

/* --- downlink ------------------------------------------------------------ */

static int
write_downlink(struct hub *h, struct http_call *c, const struct hub_profile *p,
    const struct trial *t, struct tried *ret)
{
	struct arena *a = &c->arena;
	struct buf bytes = { 0 }, hex = { 0 };
	struct str list, port, value = t->value;
	int rc = 0;

	if (str_eqz(p->codec, "json")) {
		buf_add_str(&bytes, value);
	} else if (!str_eqz(p->codec, "javascript")) {
		ret->error = arena_printf(a,
		    "the codec " STR_FMT " can not encode", STR_ARG(p->codec));
		return ERR_PARAM;
	} else {
		rc = run_script(h, c, p, SCRIPT_ENCODE_DOWNLINK,
		    arena_printf(a, "{\"data\":" STR_FMT ",\"variables\":{}}",
			STR_ARG(value)),
		    ret);
		if (rc == 0 &&
		    (!hub_json_at(a, ret->result, STR("bytes"), &list) ||
			!hub_read_bytes(a, list, &bytes))) {
			ret->error = STR("encodeDownlink gave no bytes");
			rc = ERR_PARAM;
		}
		if (rc == 0 && hub_json_at(a, ret->result, STR("fPort"), &port))
			(void)str_to_i64(port, &ret->port);
	}
	if (rc == 0) {
		hex_encode(&hex, bytes.ptr, bytes.len);
		ret->data =
		    hex.ptr != NULL ? arena_str(a, buf_str(&hex)) : STR("");
	}
	buf_free(&hex);
	buf_free(&bytes);
	return rc;
}

/* --- the call ------------------------------------------------------------ */

static void
take_fields(struct arena *a, const struct readings *all, struct tried *ret)
{
	struct tried_field *at = arena_array(a, all->n + 1, struct tried_field);

	for (size_t i = 0; i < all->n; i++)
		at[i] = tried_field(a, &all->at[i]);
	ret->fields = (struct rows){ at, all->n };
}

static void
handle_try(struct http_call *c)
{
	struct hub *h = (struct hub *)c->route->ctx;
	struct tried ret = { .console = STR(""),
		.line = FIELD_INT_NULL,
		.port = FIELD_INT_NULL,
		.timestamp = TIME_NULL };
	const struct hub_profile *p;
	const struct trial *t;
	struct readings *all;
	struct rest_body b;
	int64_t began;
	int may, rc;

	if (!rest_read(c, &c->route->body, NULL, &b))
		return;
	p = b.row;
	t = b.extra;
	may = route_may_unit(h->route, c, p->unit_id, REST_PATCH);
	if (may == 0)
		http_error(c, 400, "err_hub_unit_not_exist", NULL);
	if (may != 1)
		return;
	all = arena_new(&c->arena, struct readings);
	all->at_ms = TIME_NULL;
	began = clock_mono();
	if (str_eqz(t->way, "downlink"))
		rc = write_downlink(h, c, p, t, &ret);
	else
		rc = read_uplink(h, c, p, t, all, &ret);
	ret.took_ms = clock_mono() - began;
	ret.timestamp = all->at_ms;
	if (ret.error.ptr == NULL && rc != 0)
		ret.error = STR("it can not be read");
	if (rc == 0)
		take_fields(&c->arena, all, &ret);
	rest_answer(c, &tried_record, &ret);
	arena_fini(&all->arena);
}

const struct http_route hub_try_rows[] = {
	{ "POST", "/profile/try", HTTP_TOKEN, .scope = "profile.post.try",
	    .body = { .record = &hub_profile_entity.record,
		.members = "unitId! codec script paths fields",
		.extra = &trial_record },
	    .reply = { .record = &tried_record }, .handle = handle_try,
	    .help = "Reads a payload as a profile would, and keeps nothing: "
		    "for those who may change the unit's profiles." },
	{ 0 },
};
