/*
 * plug/gateway/generic_mqtt.c - any network that speaks MQTT, by scripts.
 *
 * Up: `script.onReceive` makes messages of what comes. It finds `dataIn` (the
 * payload as text), `rawHex` (its bytes in upper-case hex) and `topicIn`.
 * Without a script the payload is the list of messages.
 *
 * Down: `nodes` says for each node, or `default`, to which `topic` and by which
 * `script`, which finds `configIn` (that entry) and `dataIn` (the message) and
 * gives `dataOut` and, if it likes, `topicOut`. Without a script the message
 * itself is sent. A topic may be several with commas between.
 */
#include "base/base.h"
#include "base/err.h"
#include "base/mem.h"
#include "codec/entity_json.h"
#include "codec/mqtt.h"
#include "plug/gateway/generic.h"

#include <stdlib.h>

struct spec {
	struct str script, nodes;
};

#define S struct spec
static const struct field spec_fields[] = {
	F_JSON(S, script, "script", .flags = FIELD_NULL | FIELD_OBJECT,
	    .help = "{\"onReceive\": JavaScript that makes messages of "
		    "dataIn, rawHex and topicIn}."),
	F_JSON(S, nodes, "nodes", .flags = FIELD_NULL | FIELD_OBJECT,
	    .help = "For each node, or default: {\"topic\", \"script\"}; may "
		    "stand in protocol, too."),
	{ 0 },
};
#undef S
static const struct record spec_record = { "generic_mqtt", sizeof(struct spec),
	spec_fields };

struct entry {
	struct str topic, script;
};

static const struct field entry_fields[] = {
	F_TEXT(struct entry, topic, "topic"),
	F_TEXT(struct entry, script, "script"),
	{ 0 },
};
static const struct record entry_record = { "node", sizeof(struct entry),
	entry_fields };

struct generic {
	struct gateway *g;
	struct arena arena;
	struct str on_receive, nodes;
	struct generic_scripts scripts;
};

/* --- open ----------------------------------------------------------------- */

static int
check_nodes(struct arena *a, struct str nodes, struct err *err)
{
	struct entry entry;
	struct json j;
	struct str key, raw;

	json_open(&j, nodes, 0, a);
	if (nodes.ptr == NULL || !json_object(&j))
		return 0;
	while (json_member(&j, &key) && json_raw(&j, &raw))
		if (record_read(&entry_record, a, raw, &entry, err) != 0)
			return err_wrap(err, "nodes: " STR_FMT,
			    (int)MIN_OF(key.len, 60), key.ptr);
	return json_done(&j, err);
}

static void
generic_close(void *own)
{
	struct generic *m = own;

	generic_scripts_close(&m->scripts);
	arena_fini(&m->arena);
	free(m);
}

static int
generic_open(struct gateway *g, const void *spec, void **ret, struct err *err)
{
	const struct spec *s = spec;
	struct generic *m = mem_new(struct generic);
	struct generic_script_spec script;
	struct spec protocol;
	int rc;

	m->g = g;
	generic_scripts_init(&m->scripts, g);
	rc = generic_read_script(&m->arena, s->script, &script, err);
	if (rc == 0)
		rc = record_read(&spec_record, &m->arena,
		    gateway_protocol_json(g), &protocol, err);
	if (rc == 0) {
		m->nodes = s->nodes.ptr != NULL ? s->nodes : protocol.nodes;
		rc = check_nodes(&m->arena, m->nodes, err);
	}
	if (rc != 0) {
		generic_close(m);
		return rc;
	}
	m->on_receive = script.on_receive;
	*ret = m;
	return 0;
}

/* --- up ------------------------------------------------------------------- */

/* A message while its script runs. */
struct heard {
	struct generic_script script;
	struct generic *m;
	struct gateway_later *later;
	struct arena arena;
	struct str topic, data;
};

static void
end_heard(struct heard *h, struct str result, const struct err *err)
{
	struct gateway *g = h->m->g;
	struct err why = *err;

	if (why.code == 0)
		(void)generic_hand_up(
		    g, h->later, "topic", h->topic, h->data, result, &why);
	if (why.code != 0 && why.code != ERR_CLOSED)
		gateway_bad(g, why.text);
	gateway_later_done(g, h->later);
	arena_fini(&h->arena);
	free(h);
}

static void
on_heard(struct generic_script *s, struct str result, const struct err *err)
{
	end_heard(container_of(s, struct heard, script), result, err);
}

static void
put_vars(struct buf *out, const struct gateway_in *in)
{
	struct json_out o;
	struct buf hex = { 0 };

	hex_encode(&hex, in->data.ptr, in->data.len);
	for (size_t i = 0; i < hex.len; i++)
		if (hex.ptr[i] >= 'a')
			hex.ptr[i] -= 'a' - 'A';
	json_out_init(&o, out, false);
	json_out_object(&o);
	json_out_key(&o, "dataIn");
	json_out_str(&o, in->data.ptr != NULL ? in->data : STR(""));
	json_out_key(&o, "rawHex");
	json_out_str(&o, hex.ptr != NULL ? buf_str(&hex) : STR(""));
	json_out_key(&o, "topicIn");
	json_out_str(&o, in->topic);
	json_out_end_object(&o);
	buf_free(&hex);
}

static void
generic_hear(void *own, const struct gateway_in *in)
{
	static const struct err good = { 0 };
	struct generic *m = own;
	struct heard *h = mem_new(struct heard);
	struct buf vars = { 0 };
	struct err err;

	h->script.done = on_heard;
	h->m = m;
	h->later = gateway_later(m->g);
	h->topic = arena_str(&h->arena, in->topic);
	h->data = arena_str(&h->arena, in->data);
	if (m->on_receive.len == 0) {
		end_heard(h, h->data, &good);
		return;
	}
	put_vars(&vars, in);
	if (generic_script_start(&m->scripts, &h->script, m->on_receive,
		buf_str(&vars), &err) != 0)
		end_heard(h, STR_NULL, &err);
	buf_free(&vars);
}

/* --- down ----------------------------------------------------------------- */

/* A message while its script runs. */
struct writing {
	struct generic_script script;
	struct gateway_write *w;
	struct str topic;
};

static void
end_write(struct gateway_write *w, struct str topic, struct str data,
    const struct err *err)
{
	struct buf ext = { 0 };
	struct json_out o;

	if (err->code == 0) {
		json_out_init(&o, &ext, false);
		json_out_object(&o);
		json_out_key(&o, "topic");
		json_out_str(&o, topic);
		generic_put_slot(&o, &w->message);
		json_out_end_object(&o);
		w->frame.node = w->message.node;
		w->frame.data = arena_str(&w->arena, data);
		w->frame.extension = arena_str(&w->arena, buf_str(&ext));
		w->n_frames = 1;
		buf_free(&ext);
	}
	gateway_write_done(w, err);
}

static void
on_written(struct generic_script *s, struct str result, const struct err *err)
{
	struct writing *t = container_of(s, struct writing, script);
	struct gateway_write *w = t->w;
	struct str data = STR_NULL, topic = t->topic, other;
	struct err why = *err;

	free(t);
	if (why.code == 0) {
		data = generic_plain(
		    &w->arena, generic_member(&w->arena, result, "dataOut"));
		other = generic_plain(
		    &w->arena, generic_member(&w->arena, result, "topicOut"));
		if (other.len > 0 && !str_eqz(other, "null"))
			topic = other;
		if (data.ptr == NULL)
			err_set(
			    &why, ERR_PARAM, "the script has given no dataOut");
	}
	if (why.code != 0 && why.code != ERR_CLOSED)
		why.code = ERR_PARAM;
	end_write(w, topic, data, &why);
}

static void
generic_write(void *own, struct gateway_write *w)
{
	struct generic *m = own;
	struct str json = generic_node(&w->arena, m->nodes, w->message.node);
	struct buf message = { 0 }, vars = { 0 };
	struct entry e;
	struct writing *t;
	struct err err = { 0 };

	if (json.ptr == NULL ||
	    record_read(&entry_record, &w->arena, json, &e, &err) != 0) {
		err_set(&err, ERR_PARAM,
		    "nodes: there is neither " STR_FMT " nor default",
		    (int)MIN_OF(w->message.node.len, 60), w->message.node.ptr);
		gateway_write_done(w, &err);
		return;
	}
	generic_put_message(&message, &w->message);
	if (e.script.len == 0) {
		end_write(w, e.topic, buf_str(&message), &err);
		buf_free(&message);
		return;
	}
	t = mem_new(struct writing);
	t->script.done = on_written;
	t->w = w;
	t->topic = e.topic;
	buf_addf(&vars, "{\"configIn\":" STR_FMT ",\"dataIn\":" STR_FMT "}",
	    STR_ARG(json), STR_ARG(buf_str(&message)));
	if (generic_script_start(
		&m->scripts, &t->script, e.script, buf_str(&vars), &err) != 0)
		on_written(&t->script, STR_NULL, &err);
	buf_free(&vars);
	buf_free(&message);
}

/* The topics of a frame, in j->own. */
static int
generic_prepare(void *own, struct gateway_job *j, struct err *err)
{
	struct str *topics = arena_new(&j->arena, struct str);
	struct str rest;

	(void)own;
	*topics = generic_plain(
	    &j->arena, generic_member(&j->arena, j->frame.extension, "topic"));
	rest = *topics;
	do {
		if (!mqtt_topic_ok(str_trim(str_cut(&rest, ','))))
			return err_set(err, ERR_PARAM,
			    "the frame needs a topic, without wildcards");
	} while (rest.ptr != NULL);
	j->own = topics;
	return 0;
}

static void
generic_send(void *own, struct gateway_job *j)
{
	struct generic *m = own;
	struct str rest = *(const struct str *)j->own;

	for (;;) {
		struct str topic = str_trim(str_cut(&rest, ','));
		struct err err;

		if (rest.ptr == NULL) {
			gateway_put_job(m->g, j, topic, j->frame.data);
			return;
		}
		if (gateway_put(m->g, topic, j->frame.data, NULL, NULL, &err) !=
		    0) {
			gateway_job_done(m->g, j, GATEWAY_FAILED, &err);
			return;
		}
	}
}

const struct gateway_ops gateway_generic_mqtt = {
	.name = "generic_mqtt",
	.protocols = GATEWAY_MQTT,
	.spec = &spec_record,
	.open = generic_open,
	.close = generic_close,
	.hear = generic_hear,
	.read = generic_read,
	.write = generic_write,
	.prepare = generic_prepare,
	.send = generic_send,
};
