/*
 * plug/gateway/marram_edge_read.c - what frames of marram-edge say.
 *
 * A measurement's fields are in the source of its group, or of its type, which
 * stands before the group's name then; those of a service are in the source of
 * its name. An alarm and an event have a source each, by their type.
 */
#include "base/base.h"
#include "base/clock.h"
#include "codec/flatten.h"
#include "codec/json.h"
#include "codec/thin_edge_json.h"
#include "plug/gateway/marram_edge.h"

#include <string.h>

bool
marram_edge_is_level(struct str s)
{
	return s.len > 0 && memchr(s.ptr, '/', s.len) == NULL &&
	    memchr(s.ptr, '+', s.len) == NULL &&
	    memchr(s.ptr, '#', s.len) == NULL;
}

struct str
marram_edge_member(
    struct arena *a, struct str json, const char *name, bool *is_text)
{
	struct str key, ret = STR_NULL;
	bool text = false;
	struct json j;

	json_open(&j, json, 0, a);
	if (json_object(&j))
		while (json_member(&j, &key)) {
			if (!str_eqz(key, name)) {
				(void)json_skip(&j);
				continue;
			}
			text = json_peek(&j) == JSON_STRING;
			if (text)
				(void)json_str(&j, &ret);
			else
				(void)json_raw(&j, &ret);
		}
	if (is_text != NULL)
		*is_text = text;
	return json_done(&j, NULL) == 0 ? ret : STR_NULL;
}

int64_t
marram_edge_time(struct arena *a, struct str json)
{
	bool is_text;
	struct str time = marram_edge_member(a, json, "time", &is_text);
	int64_t ms = TIME_NULL;
	struct json j;
	double s;

	if (time.ptr == NULL)
		return TIME_NULL;
	if (is_text)
		return time_parse(time, &ms) ? ms : TIME_NULL;
	json_open(&j, time, 0, a);
	if (json_peek(&j) == JSON_NUMBER && json_real(&j, &s) && s > 0 &&
	    s < 1e11)
		ms = (int64_t)(s * 1000);
	return ms;
}

/* One frame being read. */
struct reading {
	struct gateway_messages *m;
	struct arena *a;
	struct str node, service; /* "": of the device itself */
	struct str type;          /* of a measurement */
	struct gateway_message *at;
	int64_t time;
	int rc;
	struct err *err;
};

static struct str
quoted(struct arena *a, struct str text)
{
	struct buf b = { 0 };
	struct str ret;

	json_quote(&b, text);
	ret = arena_str(a, buf_str(&b));
	buf_free(&b);
	return ret;
}

static struct str
joined(struct arena *a, struct str x, struct str y)
{
	if (x.len == 0 || y.len == 0)
		return x.len > 0 ? x : y;
	return arena_printf(a, STR_FMT "_" STR_FMT, STR_ARG(x), STR_ARG(y));
}

/* The message of values for this source, made if need be. */
static void
turn_to(struct reading *r, struct str source)
{
	for (size_t i = 0; i < r->m->n; i++)
		if (str_eq(r->m->at[i].source, source) &&
		    r->m->at[i].type == GATEWAY_SET) {
			r->at = &r->m->at[i];
			return;
		}
	r->at = gateway_say(r->m, GATEWAY_SET, r->node, source);
	r->at->time = r->time;
}

static void
put(struct reading *r, struct str key, struct str value, const char *type)
{
	struct gateway_payload *p = gateway_add(r->m, r->at, key, value);

	if (p == NULL && r->rc == 0)
		r->rc = err_set(r->err, ERR_LIMIT, "more than %d values",
		    GATEWAY_PAYLOADS_MAX);
	if (p != NULL && type != NULL)
		p->metric_type = str_of(type);
}

/* --- measurements --------------------------------------------------------- */

static void
on_time(void *owner, const struct thin_edge_time *t)
{
	struct reading *r = owner;

	r->time = thin_edge_time_ms(t);
}

static void
on_value(void *owner, struct str group, struct str name, struct str text,
    double number)
{
	struct reading *r = owner;
	struct str source, key = name;

	(void)number;
	if (name.len == 0)
		return;
	if (r->service.len > 0) {
		source = r->service;
		key = joined(r->a, joined(r->a, r->type, group), name);
	} else if (r->type.len > 0) {
		source = r->type;
		key = joined(r->a, group, name);
	} else {
		source = group.len > 0 ? group : STR("data");
	}
	turn_to(r, flatten_name(r->a, source));
	put(r, flatten_name(r->a, key), arena_str(r->a, text), NULL);
}

static int
read_measurement(struct reading *r, struct str type, struct str data)
{
	static const struct thin_edge_visitor visitor = { .time = on_time,
		.value = on_value };

	r->type = type;
	r->rc = thin_edge_json_read(data, 0, 0, r->a, &visitor, r, r->err);
	for (size_t i = 0; i < r->m->n; i++)
		r->m->at[i].time = r->time; /* it may stand behind the values */
	return r->rc;
}

/* --- events and alarms ---------------------------------------------------- */

/* What is a number, a text or a truth, by its own name. */
static void
put_members(struct reading *r, struct str data, bool alarm)
{
	struct str key, value;
	struct json j;

	json_open(&j, data, 0, r->a);
	if (!json_object(&j))
		return;
	while (json_member(&j, &key)) {
		enum json_type type = json_peek(&j);

		if (key.len == 0 || type == JSON_OBJECT || type == JSON_ARRAY ||
		    type == JSON_NULL || str_eqz(key, "time") ||
		    (alarm && str_eqz(key, "severity"))) {
			(void)json_skip(&j);
		} else if (json_raw(&j, &value)) {
			put(r, flatten_name(r->a, key), value,
			    type == JSON_STRING ? "string" : NULL);
		}
	}
}

static struct str
source_of(struct reading *r, const char *kind, struct str type)
{
	return flatten_name(r->a,
	    joined(r->a, r->service,
		joined(r->a, str_of(kind), type.len > 0 ? type : STR(""))));
}

static int
need_object(struct str data, struct err *err)
{
	data = str_trim(data);
	if (data.len > 1 && data.ptr[0] == '{' && json_valid(data, 0))
		return 0;
	return err_set(err, ERR_PARAM, "the payload is no JSON object");
}

static void
name_source(
    struct reading *r, struct str source, struct str name, const char *kind)
{
	struct gateway_message *m =
	    gateway_say(r->m, GATEWAY_PRESENTATION, r->node, source);

	(void)gateway_add(r->m, m, STR("name"), quoted(r->a, name));
	m->labels = arena_printf(r->a, "{\"kind\":\"%s\"}", kind);
}

static int
read_event(struct reading *r, struct str type, struct str data)
{
	struct str source = source_of(r, "event", type);

	if (need_object(data, r->err) != 0)
		return ERR_PARAM;
	if (type.len > 0)
		name_source(r, source, type, "event");
	turn_to(r, source);
	put_members(r, data, false);
	return r->rc;
}

static int
read_alarm(struct reading *r, struct str type, struct str data)
{
	struct str source = source_of(r, "alarm", type), severity;

	if (data.len > 0 && need_object(data, r->err) != 0)
		return ERR_PARAM;
	if (type.len > 0)
		name_source(r, source, type, "alarm");
	turn_to(r, source);
	put(r, STR("active"), data.len > 0 ? STR("true") : STR("false"),
	    "binary");
	severity = marram_edge_member(r->a, data, "severity", NULL);
	if (data.len > 0 && severity.len == 0)
		severity = STR("minor"); /* as thin-edge has it */
	put(r, STR("severity"),
	    quoted(r->a, data.len > 0 ? severity : STR("cleared")), "string");
	if (data.len > 0)
		put_members(r, data, true);
	return r->rc;
}

/* --- what it tells of itself ---------------------------------------------- */

static int
read_health(struct reading *r, struct str data)
{
	bool is_text;
	struct str status = marram_edge_member(r->a, data, "status", &is_text);

	if (data.len == 0)
		return 0;
	if (status.ptr == NULL || !is_text) /* of a bridge: 1 or 0 */
		status = str_eqz(str_trim(data), "1") ? STR("up")
		    : str_eqz(str_trim(data), "0")    ? STR("down")
						      : STR("unknown");
	turn_to(r,
	    r->service.len > 0 ? flatten_name(r->a, r->service)
			       : STR("health"));
	put(r, STR("up"), str_eqz(status, "up") ? STR("true") : STR("false"),
	    "binary");
	put(r, STR("status"), quoted(r->a, status), "string");
	return r->rc;
}

/* Of a service it goes to its source, as texts; else to the node. */
static int
say_of(struct reading *r, struct str key, struct str value)
{
	struct gateway_message *m;
	struct gateway_payload *p;
	struct str source = flatten_name(r->a, r->service);

	if (r->service.len == 0) {
		m = gateway_say(r->m, GATEWAY_SET, r->node, STR(""));
		(void)gateway_add(r->m, m, key, value);
		return 0;
	}
	m = gateway_say(r->m, GATEWAY_PRESENTATION, r->node, source);
	if (str_eqz(key, "name")) {
		(void)gateway_add(r->m, m, key, value);
		return 0;
	}
	p = gateway_add(r->m, m, key, STR_NULL);
	if (value.ptr[0] != '"')
		value = quoted(r->a, value);
	p->others = arena_printf(r->a, "{" STR_FMT ":" STR_FMT "}",
	    STR_ARG(quoted(r->a, key)), STR_ARG(value));
	return 0;
}

static int
read_twin(struct reading *r, struct str key, struct str data)
{
	data = str_trim(data);
	if (key.len == 0 || data.len == 0)
		return 0;
	if (!json_valid(data, 0))
		data = quoted(r->a, data);
	return say_of(r, key, data);
}

static int
read_entity(struct reading *r, struct str data)
{
	static const struct {
		const char *member, *key;
	} known[] = { { "name", "name" }, { "type", "type" },
		{ "@parent", "parent" }, { "@type", "entity" } };

	if (data.len == 0) /* it is gone */
		return r->service.len > 0
		    ? 0
		    : say_of(r, STR("status"), STR("\"down\""));
	if (need_object(data, r->err) != 0)
		return ERR_PARAM;
	if (r->service.len > 0)
		name_source(
		    r, flatten_name(r->a, r->service), r->service, "service");
	for (size_t i = 0; i < COUNT_OF(known); i++) {
		bool is_text;
		struct str v =
		    marram_edge_member(r->a, data, known[i].member, &is_text);

		if (v.ptr != NULL && is_text)
			(void)say_of(r, str_of(known[i].key), quoted(r->a, v));
	}
	return 0;
}

/* --- operations ----------------------------------------------------------- */

static int
read_command(struct reading *r, struct str rest, struct str data)
{
	struct str no = rest, op = str_cut(&no, '/');
	struct gateway_message *m;

	if (no.len > 0) {
		if (data.len == 0)
			return 0; /* it has been cleared */
		if (need_object(data, r->err) != 0)
			return ERR_PARAM;
		m = gateway_say(r->m, GATEWAY_OPERATION, r->node, STR(""));
		(void)gateway_add(r->m, m, no, str_trim(data));
		return 0;
	}
	if (data.len > 0 && !json_valid(data, 0))
		return err_set(r->err, ERR_PARAM, "the payload is no JSON");
	if (op.len == 0 || r->service.len > 0)
		return 0;
	return say_of(r, joined(r->a, STR("supports"), op),
	    data.len > 0 ? str_trim(data) : STR("false"));
}

static int
read_software(struct reading *r, struct str rest, struct str data)
{
	struct str of = rest, page = str_cut(&of, '/');
	struct gateway_message *m;
	struct json j;
	int64_t n, at;

	json_open(&j, page, 0, r->a);
	if (!json_i64(&j, &at) || json_done(&j, NULL) != 0)
		at = -1;
	json_open(&j, of, 0, r->a);
	if (!json_i64(&j, &n) || json_done(&j, NULL) != 0 || at < 0 || at >= n)
		return err_set(r->err, ERR_PARAM, "not a page of a list");
	data = str_trim(data);
	if (data.len < 2 || data.ptr[0] != '[' || !json_valid(data, 0))
		return err_set(r->err, ERR_PARAM, "the payload is no list");
	m = gateway_say(r->m, GATEWAY_SOFTWARE, r->node, STR(""));
	(void)gateway_add(r->m, m, STR("software"),
	    arena_printf(r->a,
		"{\"page\":" STR_FMT ",\"of\":" STR_FMT ",\"modules\":" STR_FMT
		"}",
		STR_ARG(page), STR_ARG(of), STR_ARG(data)));
	return 0;
}

int
marram_edge_read(
    const struct gateway_frame *f, struct gateway_messages *m, struct err *err)
{
	struct str service =
	    marram_edge_member(m->a, f->extension, "service", NULL);
	struct str rest = marram_edge_member(m->a, f->extension, "topic", NULL);
	struct reading r = { .m = m,
		.a = m->a,
		.node = f->node,
		.service = service.ptr != NULL ? service : STR(""),
		.err = err };
	struct str channel;

	if (rest.ptr == NULL)
		return err_set(err, ERR_PARAM, "it has no topic");
	r.time = marram_edge_time(m->a, f->data);
	channel = str_cut(&rest, '/');
	if (rest.ptr == NULL)
		rest = STR("");
	if (str_eqz(channel, "m"))
		return read_measurement(&r, rest, f->data);
	if (str_eqz(channel, "e"))
		return read_event(&r, rest, f->data);
	if (str_eqz(channel, "a"))
		return read_alarm(&r, rest, f->data);
	if (str_eqz(channel, "twin"))
		return read_twin(&r, rest, f->data);
	if (str_eqz(channel, "entity"))
		return read_entity(&r, f->data);
	if (str_eqz(channel, "status") && str_eqz(rest, "health"))
		return read_health(&r, f->data);
	if (str_eqz(channel, "cmd"))
		return read_command(&r, rest, f->data);
	if (str_eqz(channel, "software"))
		return read_software(&r, rest, f->data);
	if (str_eqz(channel, "online"))
		return say_of(&r, STR("status"),
		    str_eqz(f->data, "1") ? STR("\"up\"") : STR("\"down\""));
	return 0;
}

/* A field that is set is an operation, too, for whoever on the device has said
 * that he carries it out. */
void
marram_edge_write(const struct gateway_message *msg, struct arena *a,
    struct gateway_frame *ret)
{
	const struct gateway_payload *p = &msg->payloads[0];

	*ret = (struct gateway_frame){ .node = msg->node,
		.data = arena_printf(a,
		    "{\"source\":" STR_FMT ",\"field\":" STR_FMT
		    ",\"value\":" STR_FMT "}",
		    STR_ARG(quoted(a, msg->source)), STR_ARG(quoted(a, p->key)),
		    STR_ARG(p->value.ptr != NULL ? p->value : STR("null"))),
		.extension = arena_printf(a,
		    "{\"command\":\"" EDGE_SET "\",\"slot\":" STR_FMT "}",
		    STR_ARG(quoted(a,
			arena_printf(a, STR_FMT "/" STR_FMT,
			    STR_ARG(msg->source), STR_ARG(p->key))))) };
}
