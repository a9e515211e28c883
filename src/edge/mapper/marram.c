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
#include "edge/mapper/marram_private.h"

#include "base/base.h"
#include "base/mem.h"
#include "codec/json.h"
#include "codec/thin_edge_json.h"

#include <stdlib.h>
#include <string.h>

#define HEARTBEAT_MS 600000

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
			marram_forget(m, k);
	marram_tell(
	    m, a, arena_printf(a, STR_FMT "entity", STR_ARG(head)), STR(""));
}

/* --- what is heard -------------------------------------------------------- */

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

/* A command's state is carried without its lists; see marram_order.c. */
static bool
is_too_large(struct marram *m, struct arena *a, const struct te_topic *t,
    const struct mapper_msg *msg)
{
	if (m->max_payload == 0 || msg->payload.len <= m->max_payload ||
	    t->channel == TE_CMD)
		return false;
	m->host->error(m->host->owner, msg->topic,
	    arena_printf(a,
		"The payload of %zu bytes is larger than the limit of %u "
		"(marram.mapper.mqtt.max_payload_size)",
		msg->payload.len, m->max_payload),
	    true);
	return true;
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
	if (is_too_large(m, a, &t, msg))
		return;
	e = te_store_find(m->store, t.entity);
	if (e != NULL && t.channel == TE_ENTITY && msg->payload.len == 0)
		where = marram_place(m, a, e);
	rc = te_store_hear(m->store, &t, msg->payload);
	e = te_store_find(m->store, t.entity);
	if (where.ptr != NULL && e == NULL)
		on_removed(m, a, where);
	else if (e != NULL && rc != ERR_PARAM && rc != ERR_LIMIT)
		marram_data(m, a, &t, e, msg);
	else if (rc == ERR_NOT_FOUND && !again)
		(void)te_ring_put(m->ring, t.entity, &early);
}

/* --- the table -------------------------------------------------------------
 */

static void
marram_message(void *own, const struct mapper_msg *msg, struct arena *a)
{
	struct marram *m = own;
	struct str down = arena_printf(a, STR_FMT "/down/", STR_ARG(m->prefix));

	if (str_starts(msg->topic, down)) {
		marram_down(m, a,
		    (struct str){
			msg->topic.ptr + down.len, msg->topic.len - down.len },
		    msg->payload);
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

	marram_orders_due(m, &a, now);
	if (m->beat != 0 && now >= m->beat) {
		marram_tell(m, &a,
		    STR("up/" MARRAM_MAIN "/" MARRAM_NOBODY "/heartbeat"),
		    STR("{}"));
		m->beat = now + HEARTBEAT_MS;
	}
	marram_next_timer(m);
	arena_fini(&a);
}

static void
marram_up(void *own)
{
	struct marram *m = own;
	struct arena a = { 0 };

	marram_tell(m, &a,
	    STR("up/" MARRAM_MAIN "/" MARRAM_NOBODY "/heartbeat"), STR("{}"));
	m->beat = m->host->mono_ms(m->host->owner) + HEARTBEAT_MS;
	marram_next_timer(m);
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
		marram_forget(m, k);
	marram_orders_fini(m);
	map_fini(&m->kept);
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
