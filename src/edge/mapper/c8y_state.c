/*
 * edge/mapper/c8y_state.c - what becomes of a command is told to the cloud.
 *
 * A command of ours is te/<device>/cmd/<op>/c8y-mapper-<id>, where <id> is that
 * of the operation; so what is to be told is known from the message alone, also
 * when the mapper was started anew meanwhile. At its end it is taken away.
 */
#include "edge/mapper/c8y_private.h"

#include "base/base.h"
#include "codec/smartrest.h"

#include <string.h>

#define OURS "c8y-mapper-"
#define MODULES_MAX 100 /* of one message */

/* Without an id of the cloud, the operation is meant by its name. */
static bool
begin(struct c8y *c, const struct c8y_entity *e, struct str id, int by_name)
{
	bool use = id.ptr != NULL && c->use_id;

	c8y_topic_us(c, e);
	buf_clear(&c->out);
	buf_addf(&c->out, "%d", use ? by_name + 3 : by_name);
	return use;
}

static void
add_operation(struct c8y *c, bool use, struct str id, const char *fragment)
{
	smartrest_add(&c->out, use ? id : str_of(fragment));
}

void
c8y_executing(struct c8y *c, const struct c8y_entity *e, struct str id,
    const char *fragment)
{
	bool use = begin(c, e, id, 501);

	add_operation(c, use, id, fragment);
	c8y_publish(c, false);
}

void
c8y_failed(struct c8y *c, const struct c8y_entity *e, struct str id,
    const char *fragment, struct str reason)
{
	bool use = begin(c, e, id, 502);

	add_operation(c, use, id, fragment);
	smartrest_add_quoted(&c->out, mapper_head(reason, C8Y_REASON_MAX));
	c8y_publish(c, false);
}

/* A result that is fields already. One line of them: a second would be a
 * message of its own. Those that do not fit are left out, with all behind. */
static void
add_csv(struct c8y *c, struct str result)
{
	struct str rest = result;
	struct arena a = { 0 };
	struct strs line;

	if (smartrest_read(&rest, &a, &line, NULL) != 0) {
		smartrest_add_result(&c->out, result, SMARTREST_RESULT_MAX);
	} else if (str_trim(rest).len == 0 &&
	    c->out.len + 1 + result.len <= SMARTREST_RESULT_MAX) {
		buf_addc(&c->out, ',');
		buf_add_str(&c->out, result); /* as it was written */
	} else {
		for (size_t i = 0; i < line.n; i++) {
			size_t before = c->out.len;

			smartrest_add(&c->out, line.at[i]);
			if (c->out.len > SMARTREST_RESULT_MAX) {
				c->out.len = before;
				break;
			}
		}
	}
	arena_fini(&a);
}

void
c8y_successful(struct c8y *c, const struct c8y_entity *e, struct str id,
    const char *fragment, struct str result, bool csv)
{
	bool use = begin(c, e, id, 503);

	add_operation(c, use, id, fragment);
	if (result.ptr != NULL && csv)
		add_csv(c, result);
	else if (result.ptr != NULL)
		smartrest_add_result(&c->out, result, SMARTREST_RESULT_MAX);
	c8y_publish(c, false);
}

void
c8y_clear_command(struct c8y *c, struct str topic)
{
	buf_clear(&c->topic);
	buf_add_str(&c->topic, topic);
	buf_clear(&c->out);
	c8y_publish(c, true);
}

/* --- what a state says --------------------------------------------------- */

struct state {
	struct str status, reason, url, type, log_path, name;
	struct str list;       /* currentSoftwareList */
	struct str operations; /* of a profile */
	struct str custom;     /* "c8y-mapper" */
};

static int
read_state(
    struct str payload, struct state *s, struct arena *a, struct err *err)
{
	struct str key, raw;
	struct json j;

	json_open(&j, payload, 0, a);
	if (json_object(&j))
		while (json_member(&j, &key)) {
			struct str *text = str_eqz(key, "status") ? &s->status
			    : str_eqz(key, "reason")              ? &s->reason
			    : str_eqz(key, "tedgeUrl")            ? &s->url
			    : str_eqz(key, "type")                ? &s->type
			    : str_eqz(key, "name")                ? &s->name
			    : str_eqz(key, "logPath")             ? &s->log_path
								  : NULL;
			struct str *any = str_eqz(key, "currentSoftwareList")
			    ? &s->list
			    : str_eqz(key, "operations") ? &s->operations
			    : str_eqz(key, "c8y-mapper") ? &s->custom
							 : NULL;

			if (text != NULL && json_peek(&j) == JSON_STRING)
				(void)json_str(&j, text);
			else if (json_raw(&j, &raw) && any != NULL)
				*any = raw;
		}
	return json_done(&j, err);
}

/* --- software ------------------------------------------------------------ */

struct module {
	struct str type, name, version, url;
};

/* Hears of each module of a list of software. */
static void
each_module(struct str list, struct arena *a,
    void (*hear)(void *ctx, const struct module *m), void *ctx)
{
	struct str key;
	struct json j;

	json_open(&j, list.ptr == NULL ? STR("[]") : list, 0, a);
	if (!json_array(&j))
		return;
	while (json_item(&j)) {
		struct module m = { .type = STR("") };
		struct str modules = STR_NULL;
		struct json k;

		if (!json_object(&j))
			return;
		while (json_member(&j, &key))
			if (str_eqz(key, "type") &&
			    json_peek(&j) == JSON_STRING)
				(void)json_str(&j, &m.type);
			else if (str_eqz(key, "modules"))
				(void)json_raw(&j, &modules);
			else
				json_skip(&j);
		json_open(&k, modules.ptr == NULL ? STR("[]") : modules, 0, a);
		if (!json_array(&k))
			continue;
		while (json_item(&k)) {
			m.name = m.version = m.url = STR("");
			if (!json_object(&k))
				break;
			while (json_member(&k, &key)) {
				struct str *to = str_eqz(key, "name") ? &m.name
				    : str_eqz(key, "version") ? &m.version
				    : str_eqz(key, "url")     ? &m.url
							      : NULL;

				if (to != NULL && json_peek(&k) == JSON_STRING)
					(void)json_str(&k, to);
				else
					json_skip(&k);
			}
			hear(ctx, &m);
		}
	}
}

struct lister {
	struct c8y *c;
	struct json_out o;
	size_t n; /* modules of this message */
};

static void
add_to_inventory(void *ctx, const struct module *m)
{
	struct lister *l = ctx;
	struct buf version = { 0 };

	buf_add_str(&version, m->version);
	buf_addz(&version, "::");
	buf_add_str(&version, m->type);
	json_out_object(&l->o);
	json_out_key(&l->o, "name");
	json_out_str(&l->o, m->name);
	json_out_key(&l->o, "version");
	json_out_str(&l->o, buf_str(&version));
	json_out_key(&l->o, "url");
	json_out_str(&l->o, m->url);
	json_out_end_object(&l->o);
	buf_free(&version);
}

/* One that makes a message too long begins the next one. */
static void
add_to_lines(void *ctx, const struct module *m)
{
	struct lister *l = ctx;
	struct c8y *c = l->c;
	size_t before = c->out.len;

	for (;;) {
		smartrest_add(&c->out, m->name);
		smartrest_add(&c->out, m->version);
		smartrest_add(&c->out, m->type);
		smartrest_add(&c->out, m->url);
		if (l->n == 0 ||
		    (l->n < MODULES_MAX &&
			mapper_packet_size(c->topic.len, c->out.len) <=
			    c->max_packet))
			break;
		c->out.len = before;
		(void)c8y_send(c);
		buf_clear(&c->out);
		buf_addz(&c->out, "141");
		before = c->out.len;
		l->n = 0;
	}
	l->n++;
}

static void
tell_software(
    struct c8y *c, struct c8y_entity *e, struct str list, struct arena *a)
{
	struct lister l = { .c = c };

	buf_clear(&c->out);
	if (str_eqz(
		cloud_text(&c->cloud, "software_management.api"), "advanced")) {
		c8y_topic_us(c, e);
		buf_addz(&c->out, "140");
		each_module(list, a, add_to_lines, &l);
		(void)c8y_send(c);
		return;
	}
	json_out_init(&l.o, &c->out, false);
	json_out_object(&l.o);
	json_out_key(&l.o, "c8y_SoftwareList");
	json_out_array(&l.o);
	each_module(list, a, add_to_inventory, &l);
	json_out_end_array(&l.o);
	json_out_end_object(&l.o);
	c8y_http_software(c, e, buf_str(&c->out));
}

/* --- profiles ------------------------------------------------------------ */

static void
tell_profile(struct c8y *c, const struct c8y_entity *e, bool done)
{
	c8y_topic_us(c, e);
	buf_clear(&c->out);
	buf_addf(&c->out, "121,%s", done ? "true" : "false");
	c8y_publish(c, false);
}

static void
tell_file(struct c8y *c, const struct c8y_entity *e, struct json *j)
{
	struct str key, op = STR_NULL, type = STR_NULL, url = STR_NULL,
			name = STR_NULL;

	if (!json_object(j))
		return;
	while (json_member(j, &key))
		if (str_eqz(key, "operation") && json_peek(j) == JSON_STRING) {
			(void)json_str(j, &op);
		} else if (str_eqz(key, "payload") &&
		    json_peek(j) == JSON_OBJECT) {
			(void)json_object(j);
			while (json_member(j, &key)) {
				struct str *to = str_eqz(key, "type") ? &type
				    : str_eqz(key, "serverUrl")       ? &url
				    : str_eqz(key, "name")            ? &name
								      : NULL;

				if (to != NULL && json_peek(j) == JSON_STRING)
					(void)json_str(j, to);
				else
					json_skip(j);
			}
		} else {
			json_skip(j);
		}
	if (!json_ok(j) || !str_eqz(op, "config_update") || type.len == 0)
		return;
	c8y_topic_us(c, e);
	buf_clear(&c->out);
	buf_addz(&c->out, "120");
	smartrest_add(&c->out, type);
	smartrest_add(&c->out, url);
	smartrest_add(&c->out, name.len > 0 ? name : type);
	(void)c8y_send(c);
}

static void
tell_files(struct c8y *c, const struct c8y_entity *e, struct str operations,
    struct arena *a)
{
	struct json j;

	json_open(&j, operations.ptr == NULL ? STR("[]") : operations, 0, a);
	if (json_array(&j))
		while (json_item(&j))
			tell_file(c, e, &j);
}

/* --- states -------------------------------------------------------------- */

/* The log of an operation becomes an event with a file. */
static void
upload_log(struct c8y *c, struct c8y_entity *e, struct str op,
    const struct state *s, bool failed, struct arena *a)
{
	struct str when = cloud_text(&c->cloud, "operations.auto_log_upload");
	struct c8y_upload u = {
		.xid = e->xid, .from = s->log_path, .mime = STR("text/plain")
	};

	if (s->log_path.len == 0 || e != c->main ||
	    !(str_eqz(when, "always") ||
		(failed && str_eqz(when, "on-failure"))))
		return;
	u.type = arena_printf(a, STR_FMT "_op_log", STR_ARG(op));
	u.text = arena_printf(a, STR_FMT " operation log", STR_ARG(op));
	c8y_http_upload(c, &u);
}

static bool
is_upload(struct str op)
{
	return str_eqz(op, "log_upload") || str_eqz(op, "config_snapshot");
}

static void
over(struct c8y *c, const struct mapper_msg *msg, const struct te_topic *t,
    struct c8y_entity *e, const struct c8y_op_kind *k, struct str id,
    const struct state *s, struct arena *a)
{
	bool failed = str_eqz(s->status, "failed");
	struct str reason = s->reason.ptr != NULL ? s->reason : STR("");

	if (id.ptr != NULL)
		(void)c8y_op_remember(c, id, true);
	upload_log(c, e, t->type, s, failed, a);
	if (!failed && is_upload(t->type)) {
		struct str type = s->type.ptr != NULL ? s->type : t->type;
		struct c8y_upload u = { .xid = e->xid,
			.type = type,
			.text = type,
			.from = s->url,
			.mime = STR("text/plain"),
			.topic = msg->topic,
			.id = id,
			.fragment = k->fragment,
			.remove = true };

		c8y_http_upload(c, &u); /* which tells the end */
		return;
	}
	if (!failed && str_eqz(t->type, "device_profile"))
		tell_files(c, e, s->operations, a);
	if (failed)
		c8y_failed(c, e, id, k->fragment, reason);
	else
		c8y_successful(c, e, id, k->fragment, STR_NULL, false);
	if (str_eqz(t->type, "device_profile"))
		tell_profile(c, e, !failed);
	if (str_eqz(t->type, "software_update"))
		c8y_ask_software_list(c, e, a);
	c8y_clear_command(c, msg->topic);
}

void
c8y_state(struct c8y *c, const struct mapper_msg *msg, const struct te_topic *t,
    struct c8y_entity *e, struct arena *a)
{
	const struct c8y_op_kind *k = c8y_op_of_command(t->type);
	struct state s = { 0 };
	struct err err = { 0 };
	struct str id = t->id;
	bool end;

	if (!str_starts(id, STR(OURS)) || msg->payload.len == 0)
		return;
	id.ptr += sizeof(OURS) - 1;
	id.len -= sizeof(OURS) - 1;
	if (read_state(msg->payload, &s, a, &err) != 0) {
		c8y_error(c, "Invalid JSON: %s", err.text);
		return;
	}
	if (str_starts(id, STR("sr-")))
		id = STR_NULL; /* it came without one */
	end = str_eqz(s.status, "successful") || str_eqz(s.status, "failed");
	if (str_eqz(t->type, "software_list")) {
		if (str_eqz(s.status, "successful"))
			tell_software(c, e, s.list, a);
		if (end)
			c8y_clear_command(c, msg->topic);
		return;
	}
	if (s.custom.ptr != NULL) {
		c8y_custom_state(
		    c, e, msg, id, s.custom, s.status, s.reason, a);
		return;
	}
	if (k == NULL)
		return;
	if (id.ptr != NULL && !end)
		(void)c8y_op_remember(c, id, false);
	if (str_eqz(s.status, "executing")) {
		c8y_executing(c, e, id, k->fragment);
		if (str_eqz(t->type, "device_profile"))
			tell_profile(c, e, false);
	}
	if (end)
		over(c, msg, t, e, k, id, &s, a);
}
