/*
 * edge/mapper/c8y_fact.c - events and alarms.
 *
 * What is only a type, a text and a time goes as one line of SmartREST; what
 * has more, or is of a child, as JSON.
 *
 * An alarm lasts, on the device as a retained message. Of each that was sent
 * there is a retained copy at PREFIX-internal/alarms/<its topic>. When the
 * mapper comes up, both kinds are repeated to it in any order; once that has
 * settled, alarms whose copy is the same are known to the cloud and passed
 * over, and copies without an alarm are cleared: it was cleared meanwhile.
 */
#include "edge/mapper/c8y_private.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/mem.h"
#include "codec/smartrest.h"
#include "codec/thin_edge_json.h"

#include <stdlib.h>
#include <string.h>

/* What is read of an event or alarm; lent. */
struct fact {
	struct str type, text, time, severity;
	bool extras; /* in c->extra: ,"key":value for each */
};

/* --- reading ------------------------------------------------------------- */

/* A number of seconds since 1970, as the text that the cloud reads. */
static bool
unix_text(struct json *j, struct str *ret, struct arena *a)
{
	struct json again;
	struct thin_edge_time t;
	struct str number;
	struct buf b = { 0 };
	double d;

	(void)json_peek(j); /* over white space */
	again = *j;
	if (!json_num(j, &number) || !json_real(&again, &d) ||
	    !thin_edge_time_unix(number, d, &t))
		return false;
	mapper_add_time(&b, t.seconds, t.nanos, 0, true);
	*ret = arena_str(a, buf_str(&b));
	buf_free(&b);
	return true;
}

static bool
read_time(struct json *j, struct fact *f, struct arena *a)
{
	struct str text;
	int64_t ms;

	if (json_peek(j) == JSON_NUMBER) {
		if (!unix_text(j, &f->time, a) && json_ok(j))
			json_fail(j, "not a time in seconds since 1970");
	} else if (json_str(j, &text)) {
		if (!time_parse(text, &ms))
			json_fail(j, "not an ISO 8601 time");
		f->time = text;
	}
	return json_ok(j);
}

static int
read_fact(struct c8y *c, struct str payload, bool alarm, struct fact *f,
    struct arena *a, struct err *err)
{
	struct str key, value;
	struct json j;

	buf_clear(&c->extra);
	if (!str_is_utf8(payload))
		return err_set(err, ERR_PROTO, "invalid utf-8 sequence");
	if (payload.len == 0)
		return 0;
	json_open(&j, payload, 0, a);
	if (json_object(&j))
		while (json_member(&j, &key)) {
			struct str *to = str_eqz(key, "type")   ? &f->type
			    : str_eqz(key, "text")              ? &f->text
			    : alarm && str_eqz(key, "severity") ? &f->severity
								: NULL;

			if (str_eqz(key, "time")) {
				(void)read_time(&j, f, a);
			} else if (to != NULL) {
				(void)json_str(&j, to);
			} else if (json_raw(&j, &value) &&
			    !str_eqz(key, "externalSource")) {
				f->extras = true;
				buf_addc(&c->extra, ',');
				json_quote(&c->extra, key);
				buf_addc(&c->extra, ':');
				(void)json_compact(&c->extra, value, 0);
			}
		}
	return json_done(&j, err);
}

static void
fill_time(struct c8y *c, struct fact *f, struct arena *a)
{
	struct buf b = { 0 };

	if (f->time.ptr != NULL)
		return;
	c8y_add_now(c, &b, true);
	f->time = arena_str(a, buf_str(&b));
	buf_free(&b);
}

static void
not_utf8(struct c8y *c, const struct err *err)
{
	c8y_error(c,
	    "Failed to parse as an UTF-8 string the payload received on "
	    "topic: " STR_FMT ", due to error: %s.",
	    STR_ARG(c->now_on), err->text);
}

/* {"externalSource":...,"type":...,"text":...,"time":... */
static void
begin_json(struct c8y *c, const struct c8y_entity *e, const struct fact *f)
{
	buf_clear(&c->out);
	buf_addc(&c->out, '{');
	c8y_add_source(c, &c->out, e);
	buf_addz(&c->out, "\"type\":");
	json_quote(&c->out, f->type);
	buf_addz(&c->out, ",\"text\":");
	json_quote(&c->out, f->text);
	buf_addz(&c->out, ",\"time\":");
	json_quote(&c->out, f->time);
}

/* --- events -------------------------------------------------------------- */

static void
send_event_json(struct c8y *c, const struct c8y_entity *e, const struct fact *f)
{
	begin_json(c, e, f);
	buf_add_str(&c->out, buf_str(&c->extra));
	buf_addc(&c->out, '}');
	c8y_topic(c, "/event/events/create");
	if (mapper_packet_size(c->topic.len, c->out.len) <= c->max_packet) {
		c8y_publish(c, false);
		return;
	}
	/* By HTTP: c8y_http.c hears of it by a topic, so that it waits in the
	 * broker and not in our memory. */
	c8y_topic(c, "/http/events/create/");
	buf_add_str(&c->topic, e->xid);
	c8y_publish(c, false);
}

void
c8y_event(struct c8y *c, struct c8y_entity *e, struct str type,
    struct str payload, bool first, struct arena *a)
{
	struct fact f = { 0 };
	struct err err = { 0 };
	int rc;

	rc = read_fact(c, payload, false, &f, a, &err);
	if (rc == ERR_PROTO) {
		not_utf8(c, &err);
		return;
	}
	if (rc != 0) {
		struct buf text = { 0 };

		mapper_bad_event(&text, c->now_on, payload, err.text);
		c8y_error(c, "%s", buf_z(&text));
		buf_free(&text);
		return;
	}
	if (f.type.len == 0)
		f.type = type.len > 0 ? type : STR("ThinEdgeEvent");
	if (f.text.ptr == NULL)
		f.text = f.type;
	fill_time(c, &f, a);
	if (f.extras || (e != c->main && !first)) {
		send_event_json(c, e, &f);
		return;
	}
	c8y_topic_us(c, e);
	buf_clear(&c->out);
	buf_addz(&c->out, "400");
	smartrest_add(&c->out, f.type);
	smartrest_add_quoted(&c->out, f.text);
	smartrest_add(&c->out, f.time);
	if (mapper_packet_size(c->topic.len, c->out.len) <= c->max_packet)
		c8y_publish(c, false);
	else
		send_event_json(c, e, &f);
}

/* --- alarms -------------------------------------------------------------- */

/* What the cloud was told last, on a topic. */
struct alarm {
	struct str topic;
	struct str type; /* as the payload names it; STR_NULL: as the topic */
	uint64_t hash;   /* of the payload */
	bool seen;       /* since we came up */
};

struct held {
	struct list link;
	struct str topic, payload;
};

static const char *const severities[] = { "critical", "major", "minor",
	"warning" };

static int
severity_of(struct str s)
{
	for (size_t i = 0; i < COUNT_OF(severities); i++)
		if (str_eq_nocase(s, str_of(severities[i])))
			return (int)i;
	return -1;
}

static void
alarm_free(struct alarm *k)
{
	str_free(k->topic);
	str_free(k->type);
	free(k);
}

/* It is known to the cloud: as what was told, or is in our copy. */
static struct alarm *
note_alarm(struct c8y *c, struct str topic, struct str payload)
{
	struct alarm *known = map_get(&c->alarms, topic);
	struct arena a = { 0 };
	struct str key, type = STR_NULL;
	struct json j;

	if (known == NULL) {
		known = mem_new(struct alarm);
		known->topic = str_copy(topic);
		(void)map_put(&c->alarms, known->topic, known);
	}
	known->hash = map_hash(payload);
	json_open(&j, payload, 0, &a);
	if (json_object(&j))
		while (json_member(&j, &key)) {
			if (str_eqz(key, "type") &&
			    json_peek(&j) == JSON_STRING)
				(void)json_str(&j, &type);
			else
				json_skip(&j);
		}
	c8y_replace(&known->type, type.len > 0 ? type : STR_NULL);
	arena_fini(&a);
	return known;
}

static void
copy_alarm(struct c8y *c, struct str topic, struct str payload)
{
	struct alarm *known = map_get(&c->alarms, topic);

	c8y_topic(c, "-internal/alarms/");
	buf_add_str(&c->topic, topic);
	buf_clear(&c->out);
	buf_add_str(&c->out, payload);
	c8y_publish(c, true);
	if (payload.len == 0) {
		if (known == NULL)
			return;
		(void)map_del(&c->alarms, topic);
		alarm_free(known);
		return;
	}
	note_alarm(c, topic, payload)->seen = true;
}

static void
clear_alarm(
    struct c8y *c, struct c8y_entity *e, struct str topic, struct str type)
{
	const struct alarm *known = map_get(&c->alarms, topic);

	if (known != NULL && known->type.len > 0)
		type = known->type;
	c8y_topic_us(c, e);
	buf_clear(&c->out);
	buf_addz(&c->out, "306");
	smartrest_add(&c->out, type.len > 0 ? type : STR("ThinEdgeAlarm"));
	if (c8y_send(c))
		copy_alarm(c, topic, STR(""));
}

static bool
raise_alarm(struct c8y *c, struct c8y_entity *e, const struct fact *f,
    int severity, bool first)
{
	if (f->extras || (e != c->main && !first)) {
		begin_json(c, e, f);
		buf_addz(&c->out, ",\"severity\":\"");
		for (const char *p = severities[severity]; *p != '\0'; p++)
			buf_addc(&c->out, (char)(*p - 'a' + 'A'));
		buf_addc(&c->out, '"');
		buf_add_str(&c->out, buf_str(&c->extra));
		buf_addc(&c->out, '}');
		c8y_topic(c, "/alarm/alarms/create");
	} else {
		c8y_topic_us(c, e);
		buf_clear(&c->out);
		buf_addf(&c->out, "%d", 301 + severity);
		smartrest_add(&c->out, f->type);
		smartrest_add(&c->out, f->text);
		smartrest_add(&c->out, f->time);
	}
	return c8y_send(c);
}

static void
hold(struct c8y *c, const struct mapper_msg *msg)
{
	struct held *h = mem_new(struct held);

	h->topic = str_copy(msg->topic);
	h->payload = str_copy(msg->payload);
	list_add(&c->held, &h->link);
}

static void
held_free(struct held *h)
{
	list_del(&h->link);
	str_free(h->topic);
	str_free(h->payload);
	free(h);
}

void
c8y_alarm(struct c8y *c, const struct mapper_msg *msg, struct c8y_entity *e,
    struct str type, struct str severity, struct arena *a)
{
	bool first = severity.ptr != NULL;
	struct fact f = { .severity = severity };
	struct err err = { 0 };
	int level, rc;

	if (msg->retain && c->settle_ms >= 0 && msg->payload.len > 0) {
		hold(c, msg);
		return;
	}
	level = first ? severity_of(severity) : -1;
	if (first && level < 0) {
		c8y_error(c, "Unsupported alarm severity in topic: " STR_FMT,
		    STR_ARG(c->now_on));
		return;
	}
	if (msg->payload.len == 0) {
		clear_alarm(c, e, msg->topic, type);
		return;
	}
	rc = read_fact(c, msg->payload, !first, &f, a, &err);
	if (rc == ERR_PROTO) {
		not_utf8(c, &err);
		return;
	}
	if (rc != 0) {
		struct buf text = { 0 };

		mapper_bad_alarm(&text, type, msg->payload, err.text);
		c8y_error(c, "%s", buf_z(&text));
		buf_free(&text);
		return;
	}
	if (f.type.len == 0)
		f.type = type.len > 0 ? type : STR("ThinEdgeAlarm");
	if (f.text.ptr == NULL)
		f.text = f.type;
	fill_time(c, &f, a);
	if (!first)
		level = severity_of(f.severity);
	if (raise_alarm(c, e, &f, level < 0 ? 2 : level, first))
		copy_alarm(c, msg->topic, msg->payload);
}

void
c8y_alarm_copy(struct c8y *c, const struct mapper_msg *msg)
{
	size_t n = c->prefix.len + strlen("-internal/alarms/");
	struct str topic = { msg->topic.ptr + n, msg->topic.len - n };
	const struct alarm *known = map_get(&c->alarms, topic);

	/* What comes later is our own voice. */
	if (!msg->retain || msg->payload.len == 0 || c->settle_ms < 0)
		return;
	if (known == NULL || !known->seen)
		(void)note_alarm(c, topic, msg->payload);
}

void
c8y_alarms_begin(struct c8y *c)
{
	struct alarm *k;
	size_t pos = 0;

	while ((k = map_next(&c->alarms, &pos)) != NULL)
		k->seen = false;
	LIST_EACH (h, &c->held, struct held, link)
		held_free(h);
}

/* An alarm is there again, as it was told or otherwise. */
static void
compare(struct c8y *c, const struct held *h)
{
	struct alarm *known = map_get(&c->alarms, h->topic);
	struct mapper_msg msg = { .topic = h->topic,
		.payload = h->payload,
		.qos = 1,
		.retain = true };
	struct arena a = { 0 };

	if (known != NULL && known->hash == map_hash(h->payload)) {
		known->seen = true;
		return;
	}
	mapper_c8y.message(c, &msg, &a);
	arena_fini(&a);
}

/* A copy without its alarm. */
static void
was_cleared(struct c8y *c, struct str topic)
{
	struct tedge_topic first;
	struct c8y_entity *e;
	struct te_topic t;

	if (te_topic_read(c->root, topic, &t, NULL) == 0 &&
	    t.channel == TE_ALARM) {
		e = c8y_by_topic(c, t.entity);
		if (e != NULL && e->told)
			clear_alarm(c, e, topic, t.type);
	} else if (tedge_topic_read(topic, &first, NULL) == 0 &&
	    first.kind == TEDGE_ALARM) {
		clear_alarm(
		    c, c8y_legacy_child(c, first.child), topic, first.type);
	}
}

void
c8y_alarms_settle(struct c8y *c)
{
	struct alarm *k;
	struct arena a = { 0 };
	struct strs gone = { 0 };
	size_t pos = 0;

	while (!list_empty(&c->held)) {
		struct held *h = list_first(&c->held, struct held, link);

		compare(c, h);
		held_free(h);
	}
	if (c->alarms.n > 0)
		gone.at = arena_array(&a, c->alarms.n, struct str);
	while ((k = map_next(&c->alarms, &pos)) != NULL)
		if (!k->seen)
			gone.at[gone.n++] = arena_str(&a, k->topic);
	for (size_t i = 0; i < gone.n; i++)
		was_cleared(c, gone.at[i]);
	arena_fini(&a);
}

void
c8y_alarms_fini(struct c8y *c)
{
	struct alarm *k;
	size_t pos = 0;

	LIST_EACH (h, &c->held, struct held, link)
		held_free(h);
	while ((k = map_next(&c->alarms, &pos)) != NULL)
		alarm_free(k);
	map_fini(&c->alarms);
}
