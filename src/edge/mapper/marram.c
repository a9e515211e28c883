/*
 * edge/mapper/marram.c - to our own platform, and back.
 *
 *	te/<entity>/m/env              -> PREFIX/up/DEVICE/SERVICE/m/env
 *	PREFIX/down/DEVICE/SERVICE/cmd/restart/7
 *	                               -> te/<entity>/cmd/restart/marram-7
 *
 * What passes is as thin-edge has it, so that the platform reads what every
 * program on the device writes. Added are who it is of, in two levels that need
 * no knowledge of this device, and the time, since a message may lie in a queue
 * for days. What comes on tedge/ is heard when the agent has published it again
 * on te/.
 *
 *     order --> init --> executing --> successful, failed
 *                                          | told, and told again at each start
 *     done from the platform <-------------+
 *        the command is cleared
 *
 *  (1) An order is carried out once: its command stays on the bus, retained,
 *      until the platform has confirmed that it knows the end.
 *  (2) What was retained is kept, so that all of it can be told again when the
 *      platform asks for it (it does when a device has been claimed), and what
 *      the broker shows once more is not told twice.
 */
#include "base/base.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "codec/json.h"
#include "codec/thin_edge_json.h"
#include "edge/entity.h"
#include "edge/mapper/common.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define OURS "marram-" /* how numbers of our commands begin */
#define OUR_LIST OURS "list-"
#define NOBODY "-" /* of SERVICE: the device itself */
#define MAIN "main"
#define KEPT_MAX 2000
#define KEPT_BYTES ((size_t)1 << 20)
#define COMMANDS_MAX 200
#define ORDERS_MAX 100
#define ORDER_MS 15000 /* it may take to say what it can do, after a start */
#define HEARTBEAT_MS 600000
#define PAGE_BYTES 30000 /* of a list of software */
#define PAGES_MAX 64

/* A retained message that was told. */
struct kept {
	struct list link;
	struct str topic, payload; /* owned; the topic is ours */
};

/* A command of ours on the bus. */
struct command {
	struct list link;
	struct str topic; /* owned: te/... */
	struct str where; /* owned: up/DEVICE/SERVICE/cmd/OP/NO; "": it is
			   * somebody else's */
	struct str state; /* owned: as it was told last; null: nothing yet */
	bool ended;
};

/* An order whose device has not said yet that it can do it. */
struct order {
	struct list link;
	struct str rest, payload; /* owned; DEVICE/SERVICE/cmd/OP/NO */
	int64_t until;            /* mono */
};

struct marram {
	const struct mapper_host *host;
	struct str root, main, prefix; /* owned */
	uint32_t max_payload;
	bool timestamp;
	struct te_store *store;
	struct te_ring *ring;
	struct strs fresh;  /* entities that came with the message in hand */
	struct arena arena; /* of those */
	struct map kept;    /* topic -> kept */
	struct list kept_order;
	size_t kept_bytes;
	struct map commands; /* topic -> command */
	struct list command_order;
	struct list orders;
	size_t n_orders;
	int64_t beat; /* mono: the next heartbeat; 0: not connected yet */
	uint64_t lists;
};

/* --- telling -------------------------------------------------------------- */

static void
publish(struct marram *m, struct str topic, struct str payload, bool retain)
{
	m->host->publish(m->host->owner,
	    &(struct mapper_msg){ .topic = topic,
		.payload = payload,
		.qos = 1,
		.retain = retain });
}

/* Below our prefix, where the bridge takes it. */
static void
tell(struct marram *m, struct arena *a, struct str rest, struct str payload)
{
	publish(m,
	    arena_printf(
		a, STR_FMT "/" STR_FMT, STR_ARG(m->prefix), STR_ARG(rest)),
	    payload, false);
}

static void
forget(struct marram *m, struct kept *k)
{
	(void)map_del(&m->kept, k->topic);
	list_del(&k->link);
	m->kept_bytes -= k->topic.len + k->payload.len;
	str_free(k->topic);
	str_free(k->payload);
	free(k);
}

/* False: it is the same as before, and only shown again. */
static bool
keep(struct marram *m, struct str rest, struct str payload, bool again)
{
	struct kept *k = map_get(&m->kept, rest);

	if (k != NULL && again && str_eq(k->payload, payload))
		return false;
	if (k != NULL)
		forget(m, k);
	if (payload.len == 0)
		return k != NULL || !again;
	while (!list_empty(&m->kept_order) &&
	    (m->kept.n >= KEPT_MAX ||
		m->kept_bytes + rest.len + payload.len > KEPT_BYTES))
		forget(m, list_first(&m->kept_order, struct kept, link));
	k = mem_new(struct kept);
	k->topic = str_copy(rest);
	k->payload = str_copy(payload);
	m->kept_bytes += rest.len + payload.len;
	list_add(&m->kept_order, &k->link);
	(void)map_put(&m->kept, k->topic, k);
	return true;
}

/* --- who is who ----------------------------------------------------------- */

/* "device/child01//" as "device:child01": no level of a topic is lost in it. */
static struct str
compact(struct marram *m, struct arena *a, struct str entity)
{
	struct str s = arena_str(a, entity);
	char *p = (char *)s.ptr;

	if (str_eq(entity, m->main))
		return STR(MAIN);
	while (s.len > 0 && s.ptr[s.len - 1] == '/')
		s.len--;
	for (size_t i = 0; i < s.len; i++)
		if (p[i] == '/')
			p[i] = ':';
	return s;
}

/* "DEVICE/SERVICE" of an entity that is known. */
static struct str
place(struct marram *m, struct arena *a, const struct te_entity *e)
{
	struct str device;

	if (e->type != TE_SERVICE)
		return arena_printf(
		    a, STR_FMT "/" NOBODY, STR_ARG(compact(m, a, e->id)));
	device = e->parent != NULL ? e->parent->id : m->main;
	return arena_printf(a, STR_FMT "/" STR_FMT,
	    STR_ARG(compact(m, a, device)),
	    STR_ARG(te_entity_is_default(e->id) ? te_entity_name(e->id)
						: compact(m, a, e->id)));
}

struct search {
	struct marram *m;
	struct arena *a;
	struct str place, found;
};

static void
compare(void *ctx, const struct te_entity *e)
{
	struct search *s = ctx;

	if (s->found.ptr == NULL && str_eq(place(s->m, s->a, e), s->place))
		s->found = arena_str(s->a, e->id);
}

/* And back; STR_NULL: there is nobody. */
static struct str
entity_at(struct marram *m, struct arena *a, struct str where)
{
	struct search s = { .m = m, .a = a, .place = where };

	te_store_each(m->store, STR_NULL, STR_NULL, 0, compare, &s);
	return s.found;
}

/* --- payloads ------------------------------------------------------------- */

static struct str
member(struct arena *a, struct str json, const char *name)
{
	struct str key, ret = STR_NULL;
	struct json j;

	json_open(&j, json, 0, a);
	if (json_object(&j))
		while (json_member(&j, &key)) {
			if (str_eqz(key, name) && json_peek(&j) == JSON_STRING)
				(void)json_str(&j, &ret);
			else if (str_eqz(key, name))
				(void)json_raw(&j, &ret);
			else
				(void)json_skip(&j);
		}
	return json_done(&j, NULL) == 0 ? ret : STR_NULL;
}

static int
check_object(struct arena *a, struct str payload, struct err *err)
{
	struct str key;
	struct json j;

	json_open(&j, payload, 0, a);
	if (json_object(&j))
		while (json_member(&j, &key))
			(void)json_skip(&j);
	return json_done(&j, err) == 0 ? 0 : err_wrap(err, "Invalid JSON");
}

/* Behind the last member, when it has no time of its own. */
static struct str
with_time(struct marram *m, struct arena *a, struct str payload)
{
	struct str s = str_trim(payload);
	bool empty = true;

	if (!m->timestamp || s.len < 2 || member(a, s, "time").ptr != NULL)
		return s;
	s.len--;
	s = str_trim(s);
	for (size_t i = 1; i < s.len; i++)
		if ((unsigned char)s.ptr[i] > ' ')
			empty = false;
	return arena_printf(a, STR_FMT "%s\"time\":\"" STR_FMT "\"}",
	    STR_ARG(s), empty ? "" : ",",
	    STR_ARG(time_text(a, m->host->now_ns(m->host->owner) / 1000000)));
}

static int
check(struct arena *a, const struct te_topic *t, struct str payload,
    struct err *err)
{
	static const struct thin_edge_visitor nothing = { 0 };

	switch (t->channel) {
	case TE_MEASUREMENT:
		return thin_edge_json_read(
		    payload, 0, 0, a, &nothing, NULL, err);
	case TE_EVENT:
		return check_object(a, payload, err);
	case TE_CMD:
	case TE_ALARM:
	case TE_ENTITY:
	case TE_CMD_META:
		return payload.len > 0 ? check_object(a, payload, err) : 0;
	default:
		return 0;
	}
}

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

static void
fail(struct marram *m, struct arena *a, struct str rest, struct str reason)
{
	struct buf b = { 0 };

	buf_addz(&b, "{\"status\":\"failed\",\"reason\":");
	json_quote(&b, reason);
	buf_addc(&b, '}');
	tell(m, a, arena_printf(a, "up/" STR_FMT, STR_ARG(rest)), buf_str(&b));
	buf_free(&b);
}

static bool
has_ended(struct str status)
{
	return str_eqz(status, "successful") || str_eqz(status, "failed");
}

/* Asks a device what is installed; the answer is ours to clear. */
static void
ask_list(struct marram *m, struct arena *a, struct str entity)
{
	publish(m,
	    arena_printf(a,
		STR_FMT "/" STR_FMT "/cmd/software_list/" OUR_LIST "%" PRId64
			"-%" PRIu64,
		STR_ARG(m->root), STR_ARG(entity),
		m->host->now_ns(m->host->owner) / 1000000000, ++m->lists),
	    STR("{\"status\":\"init\"}"), true);
}

/* --- lists of software ------------------------------------------------------
 */

struct pages {
	struct arena *a;
	struct str at[PAGES_MAX];
	size_t n;
	struct buf b;
};

static void
turn(struct pages *p)
{
	if (p->b.len == 0 || p->n == PAGES_MAX)
		return;
	buf_addc(&p->b, ']');
	p->at[p->n++] = arena_str(p->a, buf_str(&p->b));
	p->b.len = 0;
}

static void
add_module(
    struct pages *p, struct str type, struct str name, struct str version)
{
	if (p->b.len > PAGE_BYTES)
		turn(p);
	buf_addz(&p->b, p->b.len == 0 ? "[{\"type\":" : ",{\"type\":");
	json_quote(&p->b, type);
	buf_addz(&p->b, ",\"name\":");
	json_quote(&p->b, name);
	buf_addz(&p->b, ",\"version\":");
	json_quote(&p->b, version.ptr != NULL ? version : STR(""));
	buf_addc(&p->b, '}');
}

static void
read_module(struct pages *p, struct json *j, struct str type)
{
	struct str key, name = STR_NULL, version = STR_NULL;

	if (!json_object(j))
		return;
	while (json_member(j, &key))
		if (str_eqz(key, "name") && json_peek(j) == JSON_STRING)
			(void)json_str(j, &name);
		else if (str_eqz(key, "version") && json_peek(j) == JSON_STRING)
			(void)json_str(j, &version);
		else
			(void)json_skip(j);
	if (name.ptr != NULL)
		add_module(p, type, name, version);
}

/* {"type":"apt","modules":[...]}, in either order. */
static void
read_type(struct pages *p, struct json *j)
{
	struct str key, type = STR(""), modules = STR_NULL;
	struct json in;

	if (!json_object(j))
		return;
	while (json_member(j, &key))
		if (str_eqz(key, "type") && json_peek(j) == JSON_STRING)
			(void)json_str(j, &type);
		else if (str_eqz(key, "modules"))
			(void)json_raw(j, &modules);
		else
			(void)json_skip(j);
	json_open(&in, modules, 0, p->a);
	if (modules.ptr != NULL && json_array(&in))
		while (json_item(&in))
			read_module(p, &in, type);
}

static void
tell_software(
    struct marram *m, struct arena *a, struct str where, struct str payload)
{
	struct str list = member(a, payload, "currentSoftwareList");
	struct pages *p;
	struct json j;

	if (list.ptr == NULL)
		return;
	p = arena_new(a, struct pages);
	p->a = a;
	json_open(&j, list, 0, a);
	if (json_array(&j))
		while (json_item(&j))
			read_type(p, &j);
	if (p->b.len == 0 && p->n == 0)
		buf_addc(&p->b, '[');
	turn(p);
	for (size_t i = 0; i < p->n; i++)
		tell(m, a,
		    arena_printf(a, "up/" STR_FMT "/software/%zu/%zu",
			STR_ARG(where), i, p->n),
		    p->at[i]);
	buf_free(&p->b);
}

/* --- what happens on the device ---------------------------------------------
 */

/* A new state of a command that we keep an eye on, or NULL. */
static struct command *
note_state(struct marram *m, struct arena *a, const struct te_topic *t,
    struct str where, const struct mapper_msg *msg, struct str status)
{
	bool ours = str_starts(t->id, STR(OURS));
	struct str no = { t->id.ptr + sizeof(OURS) - 1,
		t->id.len - (sizeof(OURS) - 1) };
	struct command *c = command_new(m, msg->topic,
	    ours ? arena_printf(a, "up/" STR_FMT "/cmd/" STR_FMT "/" STR_FMT,
		       STR_ARG(where), STR_ARG(t->type), STR_ARG(no))
		 : STR(""));
	struct str state;

	if (str_eqz(status, "init"))
		return NULL;
	state = short_state(a, msg->payload);
	if (c->state.ptr != NULL && str_eq(c->state, state))
		return NULL;
	str_free(c->state);
	c->state = str_copy(state);
	c->ended = has_ended(status);
	return c;
}

/* The end of any list of software is of use, whoever asked for it. */
static void
on_command(struct marram *m, struct arena *a, const struct te_topic *t,
    struct str where, const struct mapper_msg *msg)
{
	struct str status = member(a, msg->payload, "status");
	struct command *c = map_get(&m->commands, msg->topic);

	if (msg->payload.len == 0) {
		if (c != NULL)
			command_free(m, c);
		return;
	}
	if (str_eqz(t->type, "software_list") && str_eqz(status, "successful"))
		tell_software(m, a, where, msg->payload);
	if (str_starts(t->id, STR(OUR_LIST))) {
		if (has_ended(status))
			publish(m, msg->topic, STR(""), true);
		return;
	}
	if (!str_starts(t->id, STR(OURS)) &&
	    !str_eqz(t->type, "software_update"))
		return;
	c = note_state(m, a, t, where, msg, status);
	if (c == NULL)
		return;
	if (c->where.len > 0)
		tell(m, a, c->where, c->state);
	/* whoever has ordered it, what is installed may be another */
	if (c->ended && str_eqz(t->type, "software_update"))
		ask_list(m, a, t->entity);
}

static void begin_orders(struct marram *m, struct arena *a);

static void
on_data(struct marram *m, struct arena *a, const struct te_topic *t,
    const struct te_entity *e, const struct mapper_msg *msg)
{
	struct str where = place(m, a, e), payload = msg->payload, rest;
	bool kept = true, told;

	if (t->channel == TE_CMD) {
		on_command(m, a, t, where, msg);
		return;
	}
	rest = arena_printf(a, "up/" STR_FMT "/", STR_ARG(where));
	switch (t->channel) {
	case TE_ENTITY:
		rest = arena_printf(a, STR_FMT "entity", STR_ARG(rest));
		break;
	case TE_MEASUREMENT:
	case TE_EVENT:
	case TE_ALARM:
		kept = t->channel == TE_ALARM;
		rest = arena_printf(a, STR_FMT "%s%s" STR_FMT, STR_ARG(rest),
		    t->channel == TE_MEASUREMENT ? "m"
			: t->channel == TE_EVENT ? "e"
						 : "a",
		    t->type.len > 0 ? "/" : "", STR_ARG(t->type));
		break;
	case TE_TWIN:
		rest = arena_printf(a, STR_FMT "twin/" STR_FMT, STR_ARG(rest),
		    STR_ARG(t->type));
		break;
	case TE_HEALTH:
		rest = arena_printf(a, STR_FMT "status/health", STR_ARG(rest));
		break;
	case TE_CMD_META:
		rest = arena_printf(
		    a, STR_FMT "cmd/" STR_FMT, STR_ARG(rest), STR_ARG(t->type));
		break;
	default:
		return;
	}
	/* as it was said: with a time added it would never be the same */
	told = !kept || keep(m, rest, payload, msg->retain);
	if (!told)
		return;
	if (payload.len > 0 &&
	    (t->channel == TE_MEASUREMENT || t->channel == TE_EVENT ||
		t->channel == TE_ALARM))
		payload = with_time(m, a, payload);
	tell(m, a, rest, payload);
	if (t->channel == TE_CMD_META && payload.len > 0 &&
	    str_eqz(t->type, "software_list"))
		ask_list(m, a, t->entity);
	if (t->channel == TE_CMD_META)
		begin_orders(m, a);
}

/* --- entities that come and go -----------------------------------------------
 */

static void
on_changed(void *owner, const struct te_entity *e, enum te_change what)
{
	struct marram *m = owner;
	struct strs all = m->fresh;

	if (what != TE_ADDED)
		return;
	if ((all.n & (all.n + 1)) == 0) { /* its room doubles */
		struct str *more =
		    arena_array(&m->arena, (all.n + 1) * 2, struct str);

		if (all.n > 0)
			memcpy(more, all.at, all.n * sizeof(*more));
		all.at = more;
	}
	all.at[all.n++] = arena_str(&m->arena, e->id);
	m->fresh = all;
}

static void hear(struct marram *m, const struct mapper_msg *msg,
    struct arena *a, bool again);

struct ringing {
	struct marram *m;
	struct arena *a;
};

static void
on_early(void *ctx, const struct te_early *e)
{
	struct ringing *r = ctx;

	hear(r->m,
	    &(struct mapper_msg){ .topic = e->topic,
		.payload = e->payload,
		.qos = e->qos,
		.retain = e->retain,
		.origin = e->copy },
	    r->a, true);
}

static void
take_early(struct marram *m, struct arena *a)
{
	struct ringing r = { m, a };
	struct strs all = m->fresh;

	m->fresh = (struct strs){ 0 };
	for (size_t i = 0; i < all.n; i++)
		te_ring_take(m->ring, all.at[i], on_early, &r);
	arena_clear(&m->arena);
}

/* It goes with what it said. `e` is there no more, so that it is looked up
 * before the store hears. */
static void
on_removed(struct marram *m, struct arena *a, struct str where)
{
	struct str head = arena_printf(a, "up/" STR_FMT "/", STR_ARG(where));

	LIST_EACH (k, &m->kept_order, struct kept, link)
		if (str_starts(k->topic, head))
			forget(m, k);
	tell(m, a, arena_printf(a, STR_FMT "entity", STR_ARG(head)), STR(""));
}

static void
hear(
    struct marram *m, const struct mapper_msg *msg, struct arena *a, bool again)
{
	struct te_early early = { msg->topic, msg->payload, msg->qos,
		msg->retain, msg->origin };
	const struct te_entity *e;
	struct str where = STR_NULL;
	struct te_topic t;
	struct err err;
	int rc;

	rc = te_topic_read(m->root, msg->topic, &t, &err);
	if (rc == 0)
		rc = check(a, &t, msg->payload, &err);
	if (rc != 0) {
		mapper_error(m->host, m->root, msg->topic, "%s", err.text);
		return;
	}
	e = te_store_find(m->store, t.entity);
	if (e != NULL && t.channel == TE_ENTITY && msg->payload.len == 0)
		where = place(m, a, e);
	rc = te_store_hear(m->store, &t, msg->payload);
	e = te_store_find(m->store, t.entity);
	if (where.ptr != NULL && e == NULL)
		on_removed(m, a, where);
	else if (e != NULL && rc != ERR_PARAM && rc != ERR_LIMIT)
		on_data(m, a, &t, e, msg);
	else if (rc == ERR_NOT_FOUND && !again)
		(void)te_ring_put(m->ring, t.entity, &early);
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
	    STR_FMT "/" STR_FMT "/cmd/" STR_FMT "/" OURS STR_FMT,
	    STR_ARG(m->root), STR_ARG(entity), STR_ARG(op), STR_ARG(no));
}

/* False: nobody has said yet that he does such a thing. */
static bool
begin(struct marram *m, struct arena *a, struct str rest, struct str payload)
{
	struct str where = STR(""), op = STR(""), no = STR(""), entity, topic;
	const struct command *c;

	(void)split_order(rest, &where, &op, &no);
	entity = entity_at(m, a, where);
	if (entity.ptr == NULL ||
	    map_get(&m->kept,
		arena_printf(a, "up/" STR_FMT "/cmd/" STR_FMT, STR_ARG(where),
		    STR_ARG(op))) == NULL)
		return false;
	topic = command_topic(m, a, entity, op, no);
	c = map_get(&m->commands, topic);
	if (c != NULL) { /* (1) */
		if (c->state.ptr != NULL)
			tell(m, a, c->where, c->state);
		return true;
	}
	payload = command_json(a, payload);
	if (payload.ptr == NULL) {
		fail(m, a, rest, STR("the order is no JSON object"));
		return true;
	}
	(void)command_new(
	    m, topic, arena_printf(a, "up/" STR_FMT, STR_ARG(rest)));
	publish(m, topic, payload, true);
	return true;
}

static void
begin_orders(struct marram *m, struct arena *a)
{
	LIST_EACH (o, &m->orders, struct order, link)
		if (begin(m, a, o->rest, o->payload))
			order_free(m, o);
}

static void
next_timer(struct marram *m)
{
	int64_t at = m->beat, now = m->host->mono_ms(m->host->owner);

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
	next_timer(m);
}

static void
on_sync(struct marram *m, struct arena *a)
{
	LIST_EACH (k, &m->kept_order, struct kept, link) {
		tell(m, a, k->topic, k->payload);
		if (str_ends(k->topic, STR("/cmd/software_list"))) {
			struct str where = STR(""), op, no, entity;
			struct str rest = { k->topic.ptr + 3,
				k->topic.len - 3 };

			(void)split_order(
			    arena_printf(a, STR_FMT "/x", STR_ARG(rest)),
			    &where, &op, &no);
			entity = entity_at(m, a, where);
			if (entity.ptr != NULL)
				ask_list(m, a, entity);
		}
	}
	LIST_EACH (c, &m->command_order, struct command, link)
		if (c->state.ptr != NULL && c->where.len > 0)
			tell(m, a, c->where, c->state);
}

/* The platform knows how it ended. */
static void
on_done(struct marram *m, struct arena *a, struct str where, struct str op,
    struct str no)
{
	struct str entity = entity_at(m, a, where), topic;
	struct command *c;

	if (entity.ptr == NULL)
		return;
	topic = command_topic(m, a, entity, op, no);
	c = map_get(&m->commands, topic);
	if (c == NULL || !c->ended)
		return;
	publish(m, topic, STR(""), true);
	command_free(m, c);
}

static void
on_down(struct marram *m, struct arena *a, struct str rest, struct str payload)
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

/* --- the table
 * ----------------------------------------------------------------- */

static void
marram_message(void *own, const struct mapper_msg *msg, struct arena *a)
{
	struct marram *m = own;
	struct str down = arena_printf(a, STR_FMT "/down/", STR_ARG(m->prefix));

	if (str_starts(msg->topic, down)) {
		on_down(m, a,
		    (struct str){
			msg->topic.ptr + down.len, msg->topic.len - down.len },
		    msg->payload);
		return;
	}
	if (m->max_payload > 0 && msg->payload.len > m->max_payload &&
	    !str_ends(msg->topic, STR("/software_list"))) {
		struct str text = arena_printf(a,
		    "The payload of %zu bytes is larger than the limit of %u "
		    "(marram.mapper.mqtt.max_payload_size)",
		    msg->payload.len, m->max_payload);

		m->host->error(m->host->owner, msg->topic, text, true);
		return;
	}
	hear(m, msg, a, false);
	take_early(m, a);
}

static void
marram_timer(void *own)
{
	struct marram *m = own;
	int64_t now = m->host->mono_ms(m->host->owner);
	struct arena a = { 0 };

	LIST_EACH (o, &m->orders, struct order, link) {
		struct str where = STR(""), op = STR(""), no = STR(""), reason;

		if (o->until > now)
			continue;
		(void)split_order(o->rest, &where, &op, &no);
		if (entity_at(m, &a, where).ptr == NULL)
			reason = arena_printf(&a,
			    "the device knows nobody at " STR_FMT,
			    STR_ARG(where));
		else
			reason = arena_printf(&a,
			    "the device does not support " STR_FMT,
			    STR_ARG(op));
		if (entity_at(m, &a, where).ptr == NULL)
			reason = arena_printf(&a,
			    "the device knows nobody at " STR_FMT,
			    STR_ARG(where));
		else
			reason = arena_printf(&a,
			    "the device does not support " STR_FMT,
			    STR_ARG(op));
		fail(m, &a, o->rest, reason);
		order_free(m, o);
	}
	if (m->beat != 0 && now >= m->beat) {
		tell(m, &a, STR("up/" MAIN "/" NOBODY "/heartbeat"), STR("{}"));
		m->beat = now + HEARTBEAT_MS;
	}
	next_timer(m);
	arena_fini(&a);
}

static void
marram_up(void *own)
{
	struct marram *m = own;
	struct arena a = { 0 };

	tell(m, &a, STR("up/" MAIN "/" NOBODY "/heartbeat"), STR("{}"));
	m->beat = m->host->mono_ms(m->host->owner) + HEARTBEAT_MS;
	next_timer(m);
	arena_fini(&a);
}

static void
marram_filters(void *own, void (*each)(void *ctx, struct str filter), void *ctx)
{
	static const char *const tails[] = { "", "/twin/+", "/m/+", "/e/+",
		"/a/+", "/status/health", "/cmd/+", "/cmd/+/+" };
	struct marram *m = own;
	struct arena a = { 0 };

	for (size_t i = 0; i < COUNT_OF(tails); i++)
		each(ctx,
		    arena_printf(
			&a, STR_FMT "/+/+/+/+%s", STR_ARG(m->root), tails[i]));
	each(ctx, arena_printf(&a, STR_FMT "/down/#", STR_ARG(m->prefix)));
	arena_fini(&a);
}

static void
marram_close(void *own)
{
	struct marram *m = own;

	LIST_EACH (k, &m->kept_order, struct kept, link)
		forget(m, k);
	LIST_EACH (c, &m->command_order, struct command, link)
		command_free(m, c);
	LIST_EACH (o, &m->orders, struct order, link)
		order_free(m, o);
	map_fini(&m->kept);
	map_fini(&m->commands);
	te_store_free(m->store);
	te_ring_free(m->ring);
	arena_fini(&m->arena);
	str_free(m->root);
	str_free(m->main);
	str_free(m->prefix);
	free(m);
}

static int
marram_open(const struct mapper_conf *conf, const struct mapper_host *host,
    void **ret, struct err *err)
{
	struct marram *m = mem_new(struct marram);
	const struct te_store_host store = { .owner = m,
		.changed = on_changed };

	(void)err;
	m->host = host;
	m->root = str_copy(conf->root);
	m->main = str_copy(conf->main_entity);
	m->prefix = str_copy(cloud_text(&conf->cloud, "bridge.topic_prefix"));
	m->max_payload =
	    (uint32_t)cloud_int(&conf->cloud, "mapper.mqtt.max_payload_size");
	m->timestamp = cloud_bool(&conf->cloud, "mapper.timestamp");
	list_init(&m->kept_order);
	list_init(&m->command_order);
	list_init(&m->orders);
	m->store = te_store_new(&(struct te_store_conf){ .root = conf->root,
				    .main = conf->main_entity,
				    .cache = true,
				    .auto_register = true },
	    &store);
	m->ring = te_ring_new(0, 0);
	*ret = m;
	return 0;
}

const struct mapper_ops mapper_marram = {
	.name = "marram",
	.help = "to a Marram platform, and what it orders",
	.open = marram_open,
	.close = marram_close,
	.filters = marram_filters,
	.up = marram_up,
	.message = marram_message,
	.timer = marram_timer,
};
