/*
 * plug/gateway/mysensors_read.c - what frames of MySensors say, and how to say
 * it to a node. A frame's data is the line, whatever the link.
 */
#include "plug/gateway/mysensors.h"

#include "base/base.h"
#include "codec/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX 63

/* What internal messages say about their node. */
enum form { TEXT, NUMBER, TRUE };
#define SMART_SLEEP 1u /* it wakes up now and then, and tells */

static const struct {
	uint8_t type;
	enum form form;
	const char *key;
	const char *label; /* has the payload, too; NULL: none */
	const char *other; /* has the payload; NULL: none */
	unsigned flags;
} news[] = {
	{ I_BATTERY_LEVEL, NUMBER, "battery_level" },
	{ I_VERSION, TEXT, "library_version" },
	{ I_SKETCH_NAME, TEXT, "name" },
	{ I_SKETCH_VERSION, TEXT, "version", "version" },
	{ I_DISCOVER_RESPONSE, TEXT, "parent_id", "parent_id" },
	{ I_HEARTBEAT_RESPONSE, NUMBER, "heartbeat" },
	{ I_LOCKED, TRUE, "locked", NULL, "ms_locked_reason" },
	{ I_SIGNAL_REPORT_RESPONSE, NUMBER, "signal_strength" },
	{ I_PRE_SLEEP_NOTIFICATION, NUMBER, "awake_duration", NULL, NULL,
	    SMART_SLEEP },
	{ I_POST_SLEEP_NOTIFICATION, NUMBER, "sleep_duration", NULL, NULL,
	    SMART_SLEEP },
};

bool
mysensors_is_news(uint8_t internal)
{
	for (size_t i = 0; i < COUNT_OF(news); i++)
		if (news[i].type == internal)
			return true;
	return false;
}

/* --- texts and values ---------------------------------------------------- */

bool
mysensors_truth(struct str text)
{
	static const char *const words[] = { "1", "true", "on", "enable",
		NULL };
	size_t i = 0;

	while (words[i] != NULL && !str_eq_nocase(text, str_of(words[i])))
		i++;
	return words[i] != NULL;
}

static bool
is_false(struct str text)
{
	return str_eqz(text, "0") || str_eq_nocase(text, STR("false")) ||
	    str_eq_nocase(text, STR("off")) ||
	    str_eq_nocase(text, STR("disable"));
}

static bool
to_number(struct str text, double *ret)
{
	char z[NUMBER_MAX + 1], *end;

	text = str_trim(text);
	if (text.len == 0 || text.len > NUMBER_MAX)
		return false;
	memcpy(z, text.ptr, text.len);
	z[text.len] = '\0';
	*ret = strtod(z, &end);
	return *end == '\0' && isfinite(*ret);
}

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

/* A number as the node has written it, where JSON can say that; else what can
 * not be read as one stays text. Nothing: null. */
static struct str
number(struct arena *a, struct str text)
{
	double d;

	if (text.len == 0)
		return STR_NULL;
	if (!to_number(text, &d))
		return quoted(a, text);
	if (json_valid(text, 0))
		return arena_str(a, str_trim(text));
	return arena_printf(a, "%.15g", d);
}

static struct str
value_of(struct arena *a, const struct mysensors_value *v, struct str text)
{
	double d;

	if (str_eqz(str_of(v->metric_type), "binary"))
		return mysensors_truth(text) || (to_number(text, &d) && d != 0)
		    ? STR("true")
		    : STR("false");
	if (str_eqz(str_of(v->metric_type), "gauge_float"))
		return number(a, text);
	return quoted(a, text);
}

/* What stands next, as text: a string's own, anything else as it is. */
static struct str
next_text(struct json *j)
{
	struct str s = STR_NULL;

	if (json_peek(j) == JSON_STRING)
		json_str(j, &s);
	else if (json_peek(j) == JSON_NULL)
		json_skip(j);
	else
		json_raw(j, &s);
	return s;
}

struct str
mysensors_member(struct arena *a, struct str object, const char *key)
{
	struct str name, ret = STR_NULL;
	struct json j;

	if (object.ptr == NULL)
		return STR_NULL;
	json_open(&j, object, 0, a);
	if (json_object(&j))
		while (json_member(&j, &name)) {
			if (str_eqz(name, key))
				ret = next_text(&j);
			else
				json_skip(&j);
		}
	return json_done(&j, NULL) == 0 ? ret : STR_NULL;
}

/* --- reading ------------------------------------------------------------- */

struct reading {
	struct mysensors *p;
	struct mysensors_message m;
	struct arena *a;
	struct gateway_messages out;
};

static void
put(struct json_out *o, const char *key, struct str text)
{
	json_out_key(o, key);
	json_out_str(o, text);
}

/* Begins the labels that every payload has, for more to be added. */
static void
open_labels(struct json_out *o, struct buf *b, const struct reading *r)
{
	json_out_init(o, b, false);
	json_out_object(o);
	put(o, "ms_type", arena_printf(r->a, "%u", r->m.type));
	put(o, "ms_node_id", arena_printf(r->a, "%u", r->m.node));
	put(o, "ms_sensor_id", arena_printf(r->a, "%u", r->m.child));
}

static struct str
close_labels(struct json_out *o, const struct reading *r)
{
	struct str s;

	json_out_end_object(o);
	s = arena_str(r->a, buf_str(o->buf));
	buf_free(o->buf);
	return s;
}

static struct str
labels_with(const struct reading *r, const char *key, struct str text)
{
	struct buf b = { 0 };
	struct json_out o;

	open_labels(&o, &b, r);
	put(&o, key, text);
	return close_labels(&o, r);
}

static struct gateway_payload *
say(struct reading *r, enum gateway_type type, bool of_child, struct str key,
    struct str value)
{
	struct gateway_message *m =
	    gateway_say(&r->out, type, arena_printf(r->a, "%u", r->m.node),
		of_child ? arena_printf(r->a, "%u", r->m.child) : STR(""));

	m->is_ack = r->m.ack;
	return gateway_add(&r->out, m, key, value);
}

static void
read_child(struct reading *r)
{
	struct str name = r->m.payload;

	say(r, GATEWAY_PRESENTATION, true, STR("name"),
	    name.len > 0 ? quoted(r->a, name) : STR_NULL)
	    ->labels = labels_with(
	    r, "ms_type_string", str_of(mysensors_child_name(r->m.type)));
}

static void
read_node(struct reading *r)
{
	struct gateway_payload *pay = say(
	    r, GATEWAY_PRESENTATION, false, STR("library_version"), STR_NULL);
	struct buf b = { 0 };
	struct json_out o;

	open_labels(&o, &b, r);
	put(&o, "library_version", r->m.payload);
	if (r->m.type == S_ARDUINO_REPEATER_NODE)
		put(&o, "ms_node_type", STR("repeater"));
	pay->labels = close_labels(&o, r);
}

/* Who has been told to measure as Americans do sends degrees Fahrenheit. */
static struct str
unit_of(struct reading *r, const struct mysensors_value *v)
{
	if (r->m.type == V_TEMP &&
	    mysensors_truth(
		mysensors_label(r->p, r->a, OF_GATEWAY, "ms_imperial_system")))
		return STR("°F");
	return str_of(v->unit);
}

static void
read_value(struct reading *r)
{
	const struct mysensors_value *v = mysensors_value_of(r->m.type);
	bool asks = r->m.command == MYSENSORS_REQUEST;
	struct gateway_payload *pay = say(r,
	    asks ? GATEWAY_REQUEST : GATEWAY_SET, true, str_of(v->name),
	    asks && r->m.payload.len == 0 ? STR_NULL
					  : value_of(r->a, v, r->m.payload));

	pay->metric_type = str_of(v->metric_type);
	pay->unit = unit_of(r, v);
	pay->labels = labels_with(r, "ms_type_string", str_of(v->name));
}

static void
read_internal(struct reading *r)
{
	struct str text = r->m.payload, value;
	struct gateway_payload *pay;
	struct buf b = { 0 };
	struct json_out o;
	size_t i = 0;

	while (i < COUNT_OF(news) && news[i].type != r->m.type)
		i++;
	if (i == COUNT_OF(news) || r->m.ack)
		return;
	value = news[i].form == TRUE ? STR("true")
	    : news[i].form == NUMBER ? number(r->a, text)
				     : quoted(r->a, text);
	pay = say(r, GATEWAY_SET, false, str_of(news[i].key), value);
	open_labels(&o, &b, r);
	if (news[i].label != NULL)
		put(&o, news[i].label, text);
	if (news[i].flags & SMART_SLEEP) {
		put(&o, "sleep_node", STR("true"));
		put(&o, "ms_smart_sleep_node", STR("true"));
	}
	pay->labels = close_labels(&o, r);
	if (news[i].other != NULL) {
		json_out_init(&o, &b, false);
		json_out_object(&o);
		put(&o, news[i].other, text);
		pay->others = close_labels(&o, r);
	}
}

static void
read_message(struct reading *r)
{
	bool itself = r->m.child == MYSENSORS_ITSELF;

	switch (r->m.command) {
	case MYSENSORS_PRESENTATION:
		if (itself)
			read_node(r);
		else
			read_child(r);
		break;
	case MYSENSORS_SET:
	case MYSENSORS_REQUEST:
		if (!itself)
			read_value(r);
		break;
	case MYSENSORS_INTERNAL:
		read_internal(r);
		break;
	case MYSENSORS_STREAM:
		break;
	}
}

void
mysensors_read(void *own, struct gateway_read *rd)
{
	struct reading r = { .p = own, .a = &rd->arena };
	struct err err = { 0 };

	r.out.a = r.a;
	if (mysensors_from_line(rd->frame.data, &r.m, &err) != 0)
		err.code = ERR_PARAM;
	else if (r.m.node == MYSENSORS_ALL)
		err_set(&err, ERR_PARAM, "of a node without an id");
	else
		read_message(&r);
	gateway_read_done(rd, r.out.at, r.out.n, &err);
}

/* --- writing ------------------------------------------------------------- */

static int
id_of(struct str text, uint8_t max, const char *what, uint8_t *ret,
    struct err *err)
{
	uint64_t n;

	if (!str_to_u64(text, &n) || n > max)
		return err_set(err, ERR_PARAM,
		    "%s is \"" STR_FMT "\" and not a number from 0 to %u", what,
		    (int)MIN_OF(text.len, 40), text.ptr, max);
	*ret = (uint8_t)n;
	return 0;
}

/* By the label that reading has given the field, else by its name. */
static int
type_of(struct arena *a, const struct gateway_payload *pay, uint8_t *ret,
    struct err *err)
{
	struct str label = mysensors_member(a, pay->labels, "ms_type");
	int type;

	if (label.len > 0)
		return id_of(label, 255, "label ms_type", ret, err);
	type = mysensors_value_type(pay->key);
	if (type < 0)
		return err_set(err, ERR_PARAM,
		    "\"" STR_FMT "\" is no value of MySensors like V_STATUS, "
		    "and the field has no label ms_type",
		    (int)MIN_OF(pay->key.len, 60), pay->key.ptr);
	*ret = (uint8_t)type;
	return 0;
}

static int
payload_of(struct arena *a, const struct gateway_payload *pay, uint8_t type,
    struct str *ret, struct err *err)
{
	struct json j;
	double d;

	json_open(&j, pay->value, 0, a);
	*ret = next_text(&j);
	if (json_done(&j, err) != 0)
		return err_wrap(err, "value");
	if (ret->ptr == NULL)
		return err_set(err, ERR_PARAM, "there is no value to set");
	if (!str_eqz(str_of(mysensors_value_of(type)->metric_type), "binary"))
		return 0;
	if (mysensors_truth(*ret))
		*ret = STR("1");
	else if (is_false(*ret))
		*ret = STR("0");
	else if (!to_number(*ret, &d))
		return err_set(err, ERR_PARAM,
		    "\"" STR_FMT "\" is neither on nor off",
		    (int)MIN_OF(ret->len, 60), ret->ptr);
	return 0;
}

static int
write_message(
    struct gateway_write *w, struct mysensors_message *m, struct err *err)
{
	const struct gateway_message *from = &w->message;
	struct arena *a = &w->arena;
	int rc;

	m->command =
	    from->type == GATEWAY_SET ? MYSENSORS_SET : MYSENSORS_REQUEST;
	m->payload = STR("");
	rc = id_of(from->node, 255, "node", &m->node, err);
	if (rc == 0)
		rc = id_of(from->source, 254, "source", &m->child, err);
	if (rc == 0)
		rc = type_of(a, from->payloads, &m->type, err);
	if (rc == 0 && from->type == GATEWAY_SET)
		rc = payload_of(a, from->payloads, m->type, &m->payload, err);
	m->ack = m->node != MYSENSORS_ALL;
	return rc == 0 ? mysensors_can_send(m, err) : rc;
}

void
mysensors_write(void *own, struct gateway_write *w)
{
	struct mysensors_message m = { 0 };
	struct err err = { 0 };
	struct buf line = { 0 };

	(void)own;
	if (write_message(w, &m, &err) == 0) {
		mysensors_to_line(&line, &m);
		w->frame = (struct gateway_frame){
			.node = arena_printf(&w->arena, "%u", m.node),
			.data = arena_str(&w->arena, buf_str(&line)),
			.extension =
			    arena_printf(&w->arena, "{\"slot\":\"%u/%u/%u\"}",
				m.child, (unsigned)m.command, m.type),
		};
		w->n_frames = 1;
	}
	gateway_write_done(w, &err);
	buf_free(&line);
}
