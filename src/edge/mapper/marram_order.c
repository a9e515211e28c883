/*
 * edge/mapper/marram_order.c - commands: what the platform wants of the device,
 * and what became of it. See marram.c for what is promised of them.
 */
#include "edge/mapper/marram_private.h"

#include "base/base.h"
#include "base/mem.h"
#include "codec/json.h"

#include <inttypes.h>
#include <stdlib.h>

#define OUR_LIST MARRAM_OURS "list-"
#define COMMANDS_MAX 200
#define ORDERS_MAX 100
#define ORDER_MS 15000 /* it may take to say what it can do, after a start */

/* --- commands ------------------------------------------------------------- */

static void
command_free(struct marram *m, struct command *c)
{
	(void)map_del(&m->commands, c->topic);
	list_del(&c->link);
	str_free(c->topic);
	str_free(c->where);
	str_free(c->state);
	free(c);
}

static struct command *
command_new(struct marram *m, struct str topic, struct str where)
{
	struct command *c = map_get(&m->commands, topic);

	if (c != NULL)
		return c;
	if (m->commands.n >= COMMANDS_MAX) /* it has long been done */
		command_free(
		    m, list_first(&m->command_order, struct command, link));
	c = mem_new(struct command);
	c->topic = str_copy(topic);
	c->where = str_copy(where);
	list_add(&m->command_order, &c->link);
	(void)map_put(&m->commands, c->topic, c);
	return c;
}

/* What the platform keeps elsewhere, or has sent us itself, is left out. */
static struct str
short_state(struct arena *a, struct str payload)
{
	struct buf b = { 0 };
	struct json_out o;
	struct str key, ret;
	struct json j;

	json_open(&j, payload, 0, a);
	json_out_init(&o, &b, false);
	json_out_object(&o);
	if (json_object(&j))
		while (json_member(&j, &key)) {
			if (str_eqz(key, "currentSoftwareList") ||
			    str_eqz(key, "updateList")) {
				(void)json_skip(&j);
			} else {
				json_out_key_str(&o, key);
				json_copy(&j, &o);
			}
		}
	json_out_end_object(&o);
	ret = arena_str(a, buf_str(&b));
	buf_free(&b);
	return ret;
}

/* That it has ended is to be known, however much there is to say of it. */
static struct str
cut_state(struct marram *m, struct arena *a, struct str status, size_t len)
{
	struct buf b = { 0 };
	struct str ret;

	buf_addz(&b, "{\"status\":");
	json_quote(&b, status);
	buf_addf(&b, ",\"reason\":\"%zu bytes are more than the limit of %u\"}",
	    len, m->max_payload);
	ret = arena_str(a, buf_str(&b));
	buf_free(&b);
	return ret;
}

static void
fail(struct marram *m, struct arena *a, struct str rest, struct str reason)
{
	struct buf b = { 0 };

	buf_addz(&b, "{\"status\":\"failed\",\"reason\":");
	json_quote(&b, reason);
	buf_addc(&b, '}');
	marram_tell(
	    m, a, arena_printf(a, "up/" STR_FMT, STR_ARG(rest)), buf_str(&b));
	buf_free(&b);
}

static bool
has_ended(struct str status)
{
	return str_eqz(status, "successful") || str_eqz(status, "failed");
}

/* Asks a device what is installed; the answer is ours to clear. */
void
marram_ask_list(struct marram *m, struct arena *a, struct str entity)
{
	marram_publish(m,
	    arena_printf(a,
		STR_FMT "/" STR_FMT "/cmd/software_list/" OUR_LIST "%" PRId64
			"-%" PRIu64,
		STR_ARG(m->root), STR_ARG(entity),
		m->host->now_ns(m->host->owner) / 1000000000, ++m->lists),
	    STR("{\"status\":\"init\"}"), true);
}

/* --- what happens to them ------------------------------------------------ */

/* A new state of a command that we keep an eye on, or NULL. */
static struct command *
note_state(struct marram *m, struct arena *a, const struct te_topic *t,
    struct str where, const struct mapper_msg *msg, struct str status)
{
	bool ours = str_starts(t->id, STR(MARRAM_OURS));
	struct str no = { t->id.ptr + sizeof(MARRAM_OURS) - 1,
		t->id.len - (sizeof(MARRAM_OURS) - 1) };
	struct command *c = command_new(m, msg->topic,
	    ours ? arena_printf(a, "up/" STR_FMT "/cmd/" STR_FMT "/" STR_FMT,
		       STR_ARG(where), STR_ARG(t->type), STR_ARG(no))
		 : STR(""));
	struct str state;

	if (str_eqz(status, "init"))
		return NULL;
	state = short_state(a, msg->payload);
	if (m->max_payload > 0 && state.len > m->max_payload)
		state = cut_state(m, a, status, state.len);
	if (c->state.ptr != NULL && str_eq(c->state, state))
		return NULL;
	str_free(c->state);
	c->state = str_copy(state);
	c->ended = has_ended(status);
	return c;
}

/* The end of any list of software is of use, whoever asked for it. */
void
marram_command(struct marram *m, struct arena *a, const struct te_topic *t,
    struct str where, const struct mapper_msg *msg)
{
	struct str status = marram_member(a, msg->payload, "status");
	struct command *c = map_get(&m->commands, msg->topic);

	if (msg->payload.len == 0) {
		/* by us it is cleared when its end is known there */
		if (c != NULL && !c->ended && c->where.len > 0)
			fail(m, a,
			    (struct str){ c->where.ptr + 3, c->where.len - 3 },
			    STR("its command was cleared on the device"));
		if (c != NULL)
			command_free(m, c);
		return;
	}
	if (str_eqz(t->type, "software_list") && str_eqz(status, "successful"))
		marram_tell_software(m, a, where, msg);
	if (str_starts(t->id, STR(OUR_LIST))) {
		if (has_ended(status))
			marram_publish(m, msg->topic, STR(""), true);
		return;
	}
	if (!str_starts(t->id, STR(MARRAM_OURS)) &&
	    !str_eqz(t->type, "software_update"))
		return;
	c = note_state(m, a, t, where, msg, status);
	if (c == NULL)
		return;
	if (c->where.len > 0)
		marram_tell(m, a, c->where, c->state);
	/* whoever has ordered it, what is installed may be another */
	if (c->ended && str_eqz(t->type, "software_update"))
		marram_ask_list(m, a, t->entity);
}

/* --- what the platform wants -------------------------------------------------
 */

static void
order_free(struct marram *m, struct order *o)
{
	list_del(&o->link);
	m->n_orders--;
	str_free(o->rest);
	str_free(o->payload);
	free(o);
}

/* The command as the agent wants it: its status first. */
static struct str
command_json(struct arena *a, struct str payload)
{
	struct str s = str_trim(payload), key, ret;
	struct buf b = { 0 };
	struct json_out o;
	struct json j;

	json_out_init(&o, &b, false);
	json_out_object(&o);
	json_out_key(&o, "status");
	json_out_str(&o, STR("init"));
	json_open(&j, s.len > 0 ? s : STR("{}"), 0, a);
	if (json_object(&j))
		while (json_member(&j, &key)) {
			if (str_eqz(key, "status")) {
				(void)json_skip(&j);
			} else {
				json_out_key_str(&o, key);
				json_copy(&j, &o);
			}
		}
	json_out_end_object(&o);
	ret = json_done(&j, NULL) == 0 ? arena_str(a, buf_str(&b)) : STR_NULL;
	buf_free(&b);
	return ret;
}

/* DEVICE/SERVICE/cmd/OP/NO in its parts; false: it is none. */
static bool
split_order(struct str rest, struct str *where, struct str *op, struct str *no)
{
	struct str at = rest, word;

	(void)str_cut(&at, '/');
	(void)str_cut(&at, '/');
	if (at.ptr == NULL || at.len == 0)
		return false;
	*where = (struct str){ rest.ptr, (size_t)(at.ptr - rest.ptr) - 1 };
	word = str_cut(&at, '/');
	*op = str_cut(&at, '/');
	*no = at;
	return (str_eqz(word, "cmd") || str_eqz(word, "done")) && op->len > 0 &&
	    no->len > 0;
}

static struct str
command_topic(struct marram *m, struct arena *a, struct str entity,
    struct str op, struct str no)
{
	return arena_printf(a,
	    STR_FMT "/" STR_FMT "/cmd/" STR_FMT "/" MARRAM_OURS STR_FMT,
	    STR_ARG(m->root), STR_ARG(entity), STR_ARG(op), STR_ARG(no));
}

/* False: nobody has said yet that he does such a thing. */
static bool
begin(struct marram *m, struct arena *a, struct str rest, struct str payload)
{
	struct str where = STR(""), op = STR(""), no = STR(""), entity, topic;
	const struct command *c;

	(void)split_order(rest, &where, &op, &no);
	entity = marram_entity_at(m, a, where);
	if (entity.ptr == NULL ||
	    map_get(&m->kept,
		arena_printf(a, "up/" STR_FMT "/cmd/" STR_FMT, STR_ARG(where),
		    STR_ARG(op))) == NULL)
		return false;
	topic = command_topic(m, a, entity, op, no);
	c = map_get(&m->commands, topic);
	if (c != NULL) { /* (1) */
		if (c->state.ptr != NULL)
			marram_tell(m, a, c->where, c->state);
		return true;
	}
	payload = command_json(a, payload);
	if (payload.ptr == NULL) {
		fail(m, a, rest, STR("the order is no JSON object"));
		return true;
	}
	(void)command_new(
	    m, topic, arena_printf(a, "up/" STR_FMT, STR_ARG(rest)));
	marram_publish(m, topic, payload, true);
	return true;
}

void
marram_begin_orders(struct marram *m, struct arena *a)
{
	LIST_EACH (o, &m->orders, struct order, link)
		if (begin(m, a, o->rest, o->payload))
			order_free(m, o);
}

void
marram_next_timer(struct marram *m)
{
	int64_t now = m->host->mono_ms(m->host->owner);
	int64_t at = m->beat != 0 ? m->beat : now + ORDER_MS;

	LIST_EACH (o, &m->orders, struct order, link)
		at = MIN_OF(at, o->until);
	m->host->after(m->host->owner, MAX_OF(at - now, 1));
}

static void
on_order(struct marram *m, struct arena *a, struct str rest, struct str payload)
{
	struct order *o;

	if (begin(m, a, rest, payload))
		return;
	LIST_EACH (other, &m->orders, struct order, link)
		if (str_eq(other->rest, rest))
			return;
	if (m->n_orders == ORDERS_MAX) {
		fail(m, a, rest, STR("too many orders wait on the device"));
		return;
	}
	o = mem_new(struct order);
	o->rest = str_copy(rest);
	o->payload = str_copy(payload);
	o->until = m->host->mono_ms(m->host->owner) + ORDER_MS;
	list_add(&m->orders, &o->link);
	m->n_orders++;
	marram_next_timer(m);
}

static void
on_sync(struct marram *m, struct arena *a)
{
	LIST_EACH (k, &m->kept_order, struct kept, link) {
		marram_tell(m, a, k->topic, k->payload);
		if (str_ends(k->topic, STR("/cmd/software_list"))) {
			struct str where = STR(""), op, no, entity;
			struct str rest = { k->topic.ptr + 3,
				k->topic.len - 3 };

			(void)split_order(
			    arena_printf(a, STR_FMT "/x", STR_ARG(rest)),
			    &where, &op, &no);
			entity = marram_entity_at(m, a, where);
			if (entity.ptr != NULL)
				marram_ask_list(m, a, entity);
		}
	}
	LIST_EACH (c, &m->command_order, struct command, link)
		if (c->state.ptr != NULL && c->where.len > 0)
			marram_tell(m, a, c->where, c->state);
}

/* The platform knows how it ended. */
static void
on_done(struct marram *m, struct arena *a, struct str where, struct str op,
    struct str no)
{
	struct str entity = marram_entity_at(m, a, where), topic;
	struct command *c;

	if (entity.ptr == NULL)
		return;
	topic = command_topic(m, a, entity, op, no);
	c = map_get(&m->commands, topic);
	if (c == NULL || !c->ended)
		return;
	marram_publish(m, topic, STR(""), true);
	command_free(m, c);
}

void
marram_down(
    struct marram *m, struct arena *a, struct str rest, struct str payload)
{
	struct str where, op, no, at = rest;

	if (str_ends(rest, STR("/sync"))) {
		on_sync(m, a);
		return;
	}
	if (!split_order(rest, &where, &op, &no))
		return; /* of a platform to come */
	(void)str_cut(&at, '/');
	(void)str_cut(&at, '/');
	if (str_starts(at, STR("done/")))
		on_done(m, a, where, op, no);
	else
		on_order(m, a, rest, payload);
}

/* --- time, and the end --------------------------------------------------- */

/* Nobody has said that he can do it: it is not for this device. */
void
marram_orders_due(struct marram *m, struct arena *a, int64_t now)
{
	LIST_EACH (o, &m->orders, struct order, link) {
		struct str where = STR(""), op = STR(""), no = STR(""), reason;

		if (o->until > now)
			continue;
		(void)split_order(o->rest, &where, &op, &no);
		if (marram_entity_at(m, a, where).ptr == NULL)
			reason = arena_printf(a,
			    "the device knows nobody at " STR_FMT,
			    STR_ARG(where));
		else
			reason = arena_printf(a,
			    "the device does not support " STR_FMT,
			    STR_ARG(op));
		fail(m, a, o->rest, reason);
		order_free(m, o);
	}
}

void
marram_orders_fini(struct marram *m)
{
	LIST_EACH (c, &m->command_order, struct command, link)
		command_free(m, c);
	LIST_EACH (o, &m->orders, struct order, link)
		order_free(m, o);
	map_fini(&m->commands);
}
