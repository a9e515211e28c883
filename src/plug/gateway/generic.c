/*
 * plug/gateway/generic.c - see generic.h.
 */
#include "plug/gateway/generic.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/mem.h"
#include "codec/entity_json.h"

#include <inttypes.h>
#include <stdlib.h>

#define NODES_MAX 1000 /* that one message may bring */

/* --- messages as people's scripts write them ------------------------------ */

struct said {
	struct str node, source, type, payloads, labels, time;
};

#define M struct said
static const struct field said_fields[] = {
	F_TEXT(M, node, "nodeId"),
	F_TEXT(M, source, "sourceId"),
	F_TEXT(M, type, "type", .def = "\"set\""),
	F_JSON(M, payloads, "payloads", .def = "[]"),
	F_JSON(M, labels, "labels", .flags = FIELD_NULL | FIELD_OBJECT),
	F_TEXT(M, time, "timestamp"),
	{ 0 },
};
#undef M
static const struct record said_record = { "message", sizeof(struct said),
	said_fields };

#define P struct gateway_payload
static const struct field payload_fields[] = {
	F_TEXT(P, key, "key"),
	F_JSON(P, value, "value", .flags = FIELD_NULL | FIELD_ABSENT),
	F_TEXT(
	    P, metric_type, "metricType", .flags = FIELD_NULL | FIELD_ABSENT),
	F_TEXT(P, unit, "unit", .flags = FIELD_NULL | FIELD_ABSENT),
	F_JSON(P, labels, "labels",
	    .flags = FIELD_NULL | FIELD_OBJECT | FIELD_ABSENT),
	F_JSON(P, others, "others",
	    .flags = FIELD_NULL | FIELD_OBJECT | FIELD_ABSENT),
	{ 0 },
};
#undef P
static const struct record payload_record = { "payload",
	sizeof(struct gateway_payload), payload_fields };

static int
read_payloads(struct gateway_messages *m, struct gateway_message *to,
    struct str list, struct err *err)
{
	struct json j;
	struct str raw;

	json_open(&j, list, 0, m->a);
	json_array(&j);
	while (json_item(&j) && json_raw(&j, &raw)) {
		struct gateway_payload p, *at;
		int rc = record_read(&payload_record, m->a, raw, &p, err);

		if (rc == 0 && p.key.len == 0)
			rc = err_set(err, ERR_PARAM, "key: is missing");
		if (rc != 0)
			return err_wrap(
			    err, "payload %d", (int)to->n_payloads + 1);
		at = gateway_add(m, to, p.key, p.value);
		if (at == NULL)
			return err_set(err, ERR_PARAM, "more than %d payloads",
			    GATEWAY_PAYLOADS_MAX);
		*at = p;
	}
	return json_done(&j, err) != 0 ? err_wrap(err, "payloads") : 0;
}

static int
read_message(struct gateway_messages *m, struct str raw, struct err *err)
{
	struct gateway_message *to;
	struct said s;
	int type = 0, rc;

	rc = record_read(&said_record, m->a, raw, &s, err);
	if (rc != 0)
		return rc;
	while (gateway_types[type] != NULL &&
	    !str_eq_nocase(s.type, str_of(gateway_types[type])))
		type++;
	if (gateway_types[type] == NULL)
		return err_set(err, ERR_PARAM,
		    "type: must be set, request, presentation or action");
	to = gateway_say(m, (enum gateway_type)type, s.node, s.source);
	to->labels = s.labels;
	if (s.time.len > 0 && !time_parse(s.time, &to->time))
		return err_set(err, ERR_PARAM,
		    "timestamp: must be like 2026-05-01T10:00:00Z");
	return read_payloads(m, to, s.payloads, err);
}

int
generic_read_list(struct gateway_messages *m, struct str list, struct err *err)
{
	struct json j;
	struct str raw;
	int n = 0;

	json_open(&j, list, 0, m->a);
	json_array(&j);
	while (json_item(&j) && json_raw(&j, &raw))
		if (n++, read_message(m, raw, err) != 0)
			return err_wrap(err, "message %d", n);
	return json_done(&j, err);
}

void
generic_put_message(struct buf *out, const struct gateway_message *m)
{
	struct json_out o;

	json_out_init(&o, out, false);
	json_out_object(&o);
	json_out_key(&o, "nodeId");
	json_out_str(&o, m->node);
	json_out_key(&o, "sourceId");
	json_out_str(&o, m->source);
	json_out_key(&o, "type");
	json_out_str(&o, str_of(gateway_types[m->type]));
	json_out_key(&o, "payloads");
	json_out_array(&o);
	for (size_t i = 0; i < m->n_payloads; i++)
		record_to_json(&o, &payload_record, FIELD_ALL, &m->payloads[i]);
	json_out_end_array(&o);
	json_out_end_object(&o);
}

struct str
generic_member(struct arena *a, struct str object, const char *name)
{
	struct str key, raw, ret = STR_NULL;
	struct json j;

	json_open(&j, object, 0, a);
	if (object.ptr == NULL || json_peek(&j) != JSON_OBJECT ||
	    !json_object(&j))
		return STR_NULL;
	while (json_member(&j, &key) && json_raw(&j, &raw))
		if (str_eqz(key, name))
			ret = raw;
	return json_done(&j, NULL) == 0 ? ret : STR_NULL;
}

struct str
generic_plain(struct arena *a, struct str json)
{
	struct str text = json;
	struct json j;

	json_open(&j, json, 0, a);
	if (json.ptr != NULL && json_peek(&j) == JSON_STRING)
		json_str(&j, &text);
	return text;
}

struct str
generic_node(struct arena *a, struct str nodes, struct str node)
{
	struct str ret = generic_member(a, nodes, arena_z(a, node));

	return ret.ptr != NULL ? ret : generic_member(a, nodes, "default");
}

/* --- frames of them ------------------------------------------------------- */

/* The list that a script's result or a body has. */
static struct str
list_of(struct arena *a, struct str result)
{
	struct str out = generic_member(a, result, "dataOut");
	struct json j;

	if (out.ptr == NULL)
		out = result;
	json_open(&j, out, 0, a);
	if (json_peek(&j) == JSON_OBJECT)
		out = arena_printf(a, "[" STR_FMT "]", STR_ARG(out));
	else if (json_peek(&j) == JSON_NULL)
		out = STR("[]");
	return out;
}

/* Messages of one node, in a frame. */
struct part {
	struct list link;
	struct str node;
	struct buf messages; /* the inside of a list */
};

static struct part *
part_of(struct list *parts, struct str node, int *n)
{
	struct part *p;

	LIST_EACH (it, parts, struct part, link)
		if (str_eq(it->node, node))
			return it;
	if (*n == NODES_MAX)
		return NULL;
	++*n;
	p = mem_new(struct part);
	p->node = node;
	list_add(parts, &p->link);
	return p;
}

static int
divide(struct arena *a, struct str list, struct list *parts, struct err *err)
{
	struct gateway_messages check = { .a = a };
	struct json j;
	struct str raw;
	int n = 0;
	size_t i = 0;

	if (generic_read_list(&check, list, err) != 0)
		return err->code;
	json_open(&j, list, 0, a);
	json_array(&j);
	while (json_item(&j) && json_raw(&j, &raw)) {
		struct part *p = part_of(parts, check.at[i++].node, &n);

		if (p == NULL)
			return err_set(err, ERR_LIMIT,
			    "more than %d nodes at once", NODES_MAX);
		if (p->messages.len > 0)
			buf_addc(&p->messages, ',');
		json_compact(&p->messages, raw, 0);
	}
	return 0;
}

static void
hand_up_part(struct gateway *g, struct gateway_later *l, const char *where_name,
    struct str where, struct str data, const struct part *p)
{
	struct buf ext = { 0 };
	struct json_out o;
	struct gateway_frame f = { .node = p->node, .data = data };

	json_out_init(&o, &ext, false);
	json_out_object(&o);
	json_out_key(&o, where_name);
	json_out_str(&o, where);
	json_out_key(&o, "messages");
	json_out_array(&o);
	json_out_raw(&o, buf_str(&p->messages));
	json_out_end_array(&o);
	json_out_end_object(&o);
	f.extension = buf_str(&ext);
	if (l != NULL)
		gateway_later_hand_up(g, l, &f);
	else
		gateway_hand_up(g, &f);
	buf_free(&ext);
}

int
generic_hand_up(struct gateway *g, struct gateway_later *l,
    const char *where_name, struct str where, struct str data,
    struct str result, struct err *err)
{
	struct arena a = { 0 };
	struct list parts;
	int rc;

	list_init(&parts);
	rc = divide(&a, list_of(&a, result), &parts, err);
	LIST_EACH (p, &parts, struct part, link) {
		if (rc == 0)
			hand_up_part(g, l, where_name, where, data, p);
		list_del(&p->link);
		buf_free(&p->messages);
		free(p);
	}
	arena_fini(&a);
	return rc;
}

void
generic_read(void *own, struct gateway_read *r)
{
	struct gateway_messages m = { .a = &r->arena };
	struct str list =
	    generic_member(&r->arena, r->frame.extension, "messages");
	struct err err = { 0 };
	int rc;

	(void)own;
	if (list.ptr == NULL)
		list = list_of(&r->arena, r->frame.data);
	rc = generic_read_list(&m, list, &err);
	if (rc != 0)
		gateway_read_done(r, NULL, 0, &err);
	else
		gateway_read_done(r, m.at, m.n, NULL);
}

void
generic_put_slot(struct json_out *o, const struct gateway_message *m)
{
	struct arena a = { 0 };

	json_out_key(o, "slot");
	json_out_str(o,
	    arena_printf(&a, "%s " STR_FMT "/" STR_FMT, gateway_types[m->type],
		STR_ARG(m->source), STR_ARG(m->payloads[0].key)));
	arena_fini(&a);
}

/* --- scripts -------------------------------------------------------------- */

/* What the host has while a script runs; it may outlive the gateway. */
struct errand {
	struct list link;
	struct generic_scripts *all;
	struct generic_script *script; /* NULL: it was told */
};

static void
on_ran(void *ctx, struct str result, const struct err *err)
{
	static const struct err good = { 0 };
	struct errand *e = ctx;
	struct generic_script *s = e->script;

	if (s != NULL) {
		list_del(&e->link);
		e->all->n--;
	}
	free(e);
	if (s != NULL)
		s->done(s, result, err != NULL ? err : &good);
}

int
generic_script_start(struct generic_scripts *all, struct generic_script *s,
    struct str source, struct str vars, struct err *err)
{
	const struct gateway_host *host = gateway_host_of(all->g);
	struct errand *e;
	int rc;

	if (host->script == NULL)
		return err_set(err, ERR_NOT_FOUND, "scripts can not be run");
	if (all->n >= host->settings->heard)
		return err_set(err, ERR_LIMIT,
		    "%" PRId64 " scripts wait already (hub.gateway.heard)",
		    all->n);
	e = mem_new(struct errand);
	e->all = all;
	e->script = s;
	list_add(&all->running, &e->link);
	all->n++;
	rc = host->script(host->ctx, source, vars, on_ran, e, err);
	if (rc != 0) {
		list_del(&e->link);
		all->n--;
		free(e);
	}
	return rc;
}

void
generic_script_cancel(struct generic_scripts *all, struct generic_script *s)
{
	LIST_EACH (e, &all->running, struct errand, link) {
		if (e->script != s)
			continue;
		list_del(&e->link);
		e->script = NULL; /* on_ran() frees it */
		all->n--;
	}
}

void
generic_scripts_init(struct generic_scripts *all, struct gateway *g)
{
	all->g = g;
	list_init(&all->running);
}

void
generic_scripts_close(struct generic_scripts *all)
{
	struct errand *e;
	struct err err;

	err_set(&err, ERR_CLOSED, "the gateway was closed");
	while ((e = list_first(&all->running, struct errand, link)) != NULL) {
		struct generic_script *s = e->script;

		list_del(&e->link);
		e->script = NULL; /* on_ran() frees it */
		s->done(s, STR_NULL, &err);
	}
}

int
generic_read_script(struct arena *a, struct str json,
    struct generic_script_spec *ret, struct err *err)
{
	static const struct field fields[] = {
		F_TEXT(struct generic_script_spec, on_receive, "onReceive"),
		{ 0 },
	};
	static const struct record record = { "script",
		sizeof(struct generic_script_spec), fields };

	return record_read(&record, a, json.ptr != NULL ? json : STR("{}"), ret,
		   err) != 0
	    ? err_wrap(err, "script")
	    : 0;
}
