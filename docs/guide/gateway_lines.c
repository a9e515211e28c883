/*
 * docs/guide/gateway_lines.c - an example of a gateway: nodes that speak in
 * lines "node;key;value" over a serial port or TCP, both ways. It is compiled
 * and goes through plug/gateway/contract_test.c.
 *
 * "?" as a value asks a node for it; the key "awake" says that a node which
 * sleeps listens now.
 */
#include "base/err.h"
#include "base/mem.h"
#include "codec/json.h"
#include "plug/gateway/ops.h"

#include <stdlib.h>
#include <string.h>

#define SOURCE STR("values") /* all of a node's fields lie in one source */

struct lines {
	struct gateway *g;
};

struct parts {
	struct str node, key, value;
};

static bool
split(struct str line, struct parts *ret)
{
	ret->node = str_cut(&line, ';');
	ret->key = str_cut(&line, ';');
	ret->value = line;
	return ret->node.len > 0 && ret->key.len > 0 && ret->value.ptr != NULL;
}

static int
lines_open(struct gateway *g, const void *spec, void **ret, struct err *err)
{
	struct lines *l = mem_new(struct lines);

	(void)spec; /* has no rows: `protocol` says it all */
	(void)err;
	l->g = g;
	*ret = l;
	return 0;
}

/* The raw line goes up; what it says is read later, and perhaps again. */
static void
lines_hear(void *own, const struct gateway_in *in)
{
	struct lines *l = own;
	struct gateway_frame f = { .data = in->data };
	struct parts p;

	if (!split(in->data, &p) || !str_is_utf8(in->data)) {
		gateway_bad(l->g, "not node;key;value");
		return;
	}
	f.node = p.node;
	if (str_eqz(p.key, "awake"))
		gateway_awake(l->g, p.node);
	else
		gateway_hand_up(l->g, &f);
}

static void
lines_read(void *own, struct gateway_read *r)
{
	struct gateway_messages m = { .a = &r->arena };
	struct gateway_message *to;
	struct buf text = { 0 };
	struct err err = { 0 };
	struct parts p;

	(void)own;
	if (!split(r->frame.data, &p)) {
		err_set(&err, ERR_PARAM, "not node;key;value");
		gateway_read_done(r, NULL, 0, &err);
		return;
	}
	/* a value is JSON: a number as it is, anything else as a text */
	if (!json_valid(p.value, 0) || *p.value.ptr < '-' || *p.value.ptr > '9')
		json_quote(&text, p.value);
	else
		buf_add_str(&text, p.value);
	to = gateway_say(&m, GATEWAY_SET, p.node, SOURCE);
	gateway_add(&m, to, p.key, arena_str(&r->arena, buf_str(&text)));
	buf_free(&text);
	gateway_read_done(r, m.at, m.n, NULL);
}

static void
lines_write(void *own, struct gateway_write *w)
{
	const struct gateway_payload *p = w->message.payloads;
	struct str value = p->value.ptr != NULL ? p->value : STR("?");
	struct buf slot = { 0 };
	struct json j;

	(void)own;
	json_open(&j, value, 0, &w->arena);
	if (json_peek(&j) == JSON_STRING)
		json_str(&j, &value);
	w->frame.node = w->message.node;
	w->frame.data = arena_printf(&w->arena, STR_FMT ";" STR_FMT ";" STR_FMT,
	    STR_ARG(w->message.node), STR_ARG(p->key), STR_ARG(value));
	/* a newer value of the same field may take the place of this one */
	json_quote(&slot, p->key);
	w->frame.extension = arena_printf(
	    &w->arena, "{\"slot\":" STR_FMT "}", STR_ARG(buf_str(&slot)));
	buf_free(&slot);
	w->n_frames = 1;
	gateway_write_done(w, NULL);
}

/* Somebody wants this sent, perhaps not made by lines_write(). */
static int
lines_prepare(void *own, struct gateway_job *j, struct err *err)
{
	struct parts p;

	(void)own;
	if (!split(j->frame.data, &p) ||
	    memchr(j->frame.data.ptr, '\n', j->frame.data.len) != NULL)
		return err_set(err, ERR_PARAM, "not node;key;value");
	return 0;
}

static void
lines_send(void *own, struct gateway_job *j)
{
	struct lines *l = own;

	gateway_put_job(l->g, j, STR_NULL, j->frame.data);
}

extern const struct gateway_ops gateway_lines;
const struct gateway_ops gateway_lines = {
	.name = "lines",
	.protocols = GATEWAY_SERIAL | GATEWAY_TCP,
	.open = lines_open,
	.close = free,
	.hear = lines_hear,
	.read = lines_read,
	.write = lines_write,
	.prepare = lines_prepare,
	.send = lines_send, /* gateway_put_job() ends it: there is no cancel */
};
