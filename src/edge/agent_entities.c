/*
 * edge/agent_entities.c - see agent_entities.h.
 *
 * What a removed entity has left behind (alarms, twin, health, commands) is
 * found by a second connection, whose session is not kept:
 *
 *	IDLE --somebody is removed--> SWEEPING --SWEEP_MS without a retained
 *	  ^                              |       message--+
 *	  +------------------------------+----------------+
 *
 * It subscribes to all below each of them, and every retained message that
 * comes of it is cleared by the first connection. What is published there
 * meanwhile is new, and stays. Who is removed meanwhile waits for the next
 * round.
 */
#include "edge/agent_entities.h"

#include "base/base.h"
#include "base/log.h"
#include "base/mem.h"
#include "edge/compat.h"
#include "edge/entity_log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LOG_MODULE "entities"
#define SWEEP_MS 2000

/* What comes from entities; commands and signals are for them. */
static const char *const channels[] = { "", "/twin/+", "/config", "/m/+",
	"/m/+/meta", "/e/+", "/e/+/meta", "/a/+", "/a/+/meta", "/cmd/+",
	"/status/+" };

struct agent_entities {
	struct loop *loop;
	struct mqtt_client *client;    /* borrowed */
	struct mqtt_client_conf local; /* its texts are borrowed */
	struct str root, device;
	struct compat_conf compat;
	bool (*tells)(void *owner, struct str topic, struct str payload);
	void *owner;
	struct te_store *store;
	struct entity_log *log;
	struct arena arena; /* of one message */
	struct list copies; /* that the broker has not answered */
	bool told_old;      /* that the broker is too old for copies */

	struct mqtt_client *sweeper; /* SWEEPING; else NULL */
	struct loop_timer swept;
	struct strs sweeping; /* its filters */
	struct strs removed;  /* whose turn is next */
	struct loop_defer sweep;
};

static void
strs_add(struct strs *list, struct str s)
{
	list->at = mem_resize(list->at, list->n + 1, sizeof(*list->at));
	list->at[list->n++] = str_copy(s);
}

static void
strs_free(struct strs *list)
{
	for (size_t i = 0; i < list->n; i++)
		str_free(list->at[i]);
	free(list->at);
	*list = (struct strs){ 0 };
}

static void
publish(struct agent_entities *a, struct str topic, struct str payload)
{
	int rc =
	    mqtt_client_publish(a->client, topic, payload, 1, true, NULL, NULL);

	if (rc != 0)
		log_error("\"" STR_FMT "\" could not be published: %s",
		    STR_ARG(topic),
		    rc == ERR_LIMIT ? "too much waits for the broker"
				    : "it is no topic, or too long");
}

/* --- what the removed have left behind ------------------------------------ */

static void
on_left_behind(void *ctx, const struct mqtt_client_msg *m)
{
	struct agent_entities *a = ctx;

	if (m->topic.ptr == NULL || !m->retain || m->payload.len == 0)
		return;
	publish(a, m->topic, STR(""));
	loop_after(a->loop, &a->swept, SWEEP_MS);
}

static void
on_sweeper_subscribed(void *owner)
{
	struct agent_entities *a = owner;

	loop_after(a->loop, &a->swept, SWEEP_MS);
}

static const struct mqtt_client_events sweeper_events = {
	.subscribed = on_sweeper_subscribed
};

static void
on_swept(struct loop_timer *t)
{
	struct agent_entities *a =
	    container_of(t, struct agent_entities, swept);

	mqtt_client_free(a->sweeper);
	a->sweeper = NULL;
	strs_free(&a->sweeping);
	if (a->removed.n > 0)
		loop_defer(a->loop, &a->sweep);
}

static void
on_sweep(struct loop_defer *d)
{
	struct agent_entities *a =
	    container_of(d, struct agent_entities, sweep);
	struct buf filter = { 0 };
	struct err err;

	if (a->sweeper != NULL)
		return;
	if (mqtt_client_new(a->loop, &a->local, &sweeper_events, a, &a->sweeper,
		&err) != 0) {
		log_error("what was removed is not cleared: %s", err.text);
		return;
	}
	a->sweeping = a->removed;
	a->removed = (struct strs){ 0 };
	for (size_t i = 0; i < a->sweeping.n; i++) {
		buf_clear(&filter);
		buf_addf(&filter, STR_FMT "/" STR_FMT "/+/#", STR_ARG(a->root),
		    STR_ARG(a->sweeping.at[i]));
		(void)mqtt_client_subscribe(
		    a->sweeper, buf_str(&filter), 0, on_left_behind, a);
	}
	buf_free(&filter);
	mqtt_client_start(a->sweeper);
}

/* --- the store speaks ------------------------------------------------------
 */

static void
on_publish(void *owner, struct str topic, struct str payload)
{
	publish(owner, topic, payload);
}

static void
on_keep(void *owner, struct str topic, struct str payload)
{
	struct agent_entities *a = owner;
	struct err err;

	if (entity_log_add(a->log, topic, payload, &err) != 0)
		log_error("%s", err.text);
}

static void
on_error(void *owner, struct str text)
{
	struct agent_entities *a = owner;
	struct buf topic = { 0 };

	log_warn(STR_FMT, STR_ARG(text));
	buf_addf(&topic, STR_FMT "/errors", STR_ARG(a->root));
	(void)mqtt_client_publish(
	    a->client, buf_str(&topic), text, 1, false, NULL, NULL);
	buf_free(&topic);
}

static void
on_changed(void *owner, const struct te_entity *e, enum te_change what)
{
	struct agent_entities *a = owner;

	if (what == TE_ADDED)
		log_info("\"" STR_FMT "\" is registered", STR_ARG(e->id));
	if (what != TE_REMOVED)
		return;
	log_info("\"" STR_FMT "\" is removed", STR_ARG(e->id));
	strs_add(&a->removed, e->id);
	loop_defer(a->loop, &a->sweep);
}

/* --- the bus speaks --------------------------------------------------------
 */

static void
on_entity(void *ctx, const struct mqtt_client_msg *m)
{
	struct agent_entities *a = ctx;
	struct te_topic t;

	/* the refused were told: by the store, or of themselves */
	if (m->topic.ptr != NULL &&
	    te_topic_read(a->root, m->topic, &t, NULL) == 0)
		(void)te_store_hear(a->store, &t, m->payload);
}

struct copy {
	struct mqtt_client *client;
	uint64_t token;
	struct list link; /* in `copies` */
};

/* The copy is with the broker: so the first one is done with. */
static void
on_copied(void *ctx, uint8_t reason)
{
	struct copy *copy = ctx;

	(void)reason; /* a copy that the broker refuses will be so again */
	mqtt_client_ack(copy->client, copy->token, MQTT_R_OK);
	list_del(&copy->link);
	free(copy);
}

static bool
has_origin(const struct mqtt_client_msg *m)
{
	struct str rest, name, value;

	if (m->props == NULL)
		return false;
	rest = m->props->raw;
	while (mqtt_next_user(&rest, &name, &value))
		if (str_eqz(name, MAPPER_ORIGIN))
			return true;
	return false;
}

static void
send_copy(struct agent_entities *a, const struct mapper_msg *m, struct str from)
{
	struct mqtt_props props = { 0 };
	struct mqtt_client_msg msg = { .topic = m->topic,
		.payload = m->payload,
		.qos = m->qos,
		.retain = m->retain,
		.props = &props };
	struct buf raw = { 0 };
	struct copy *copy = NULL;

	mqtt_put_user(&raw, STR(MAPPER_ORIGIN), from);
	props.raw = buf_str(&raw);
	if (m->qos > 0) {
		copy = mem_new(struct copy);
		copy->client = a->client;
		copy->token = mqtt_client_hold(a->client);
		list_add(&a->copies, &copy->link);
	}
	if (mqtt_client_send(
		a->client, &msg, copy != NULL ? on_copied : NULL, copy) != 0 &&
	    copy != NULL) {
		log_error("\"" STR_FMT "\" is not copied: too much waits for "
			  "the broker",
		    STR_ARG(from));
		on_copied(copy, 0);
	}
	buf_free(&raw);
}

/* Where no mapper hears tedge/, nobody else would say what is wrong. */
static void
tell_why(struct agent_entities *a, const struct mapper_msg *m)
{
	struct buf why = { 0 };

	if (compat_why(m, &why, &a->arena) &&
	    (a->tells == NULL || a->tells(a->owner, m->topic, m->payload))) {
		log_warn(STR_FMT ": " STR_FMT, STR_ARG(m->topic),
		    STR_ARG(buf_str(&why)));
		(void)mqtt_client_publish(a->client, STR("tedge/errors"),
		    buf_str(&why), 1, false, NULL, NULL);
	}
	buf_free(&why);
}

static void
on_first_scheme(void *ctx, const struct mqtt_client_msg *m)
{
	struct agent_entities *a = ctx;
	struct mapper_msg msg = { m->topic, m->payload, m->qos, m->retain,
		false },
			  copy;

	if (m->topic.ptr == NULL)
		return;
	if (mqtt_client_level(a->client) < 5) {
		if (!a->told_old)
			log_warn("the broker speaks no MQTT 5: what comes on "
				 "tedge/ is not published again on te/");
		a->told_old = true;
		return;
	}
	msg.origin = has_origin(m);
	if (compat_copy(&a->compat, &msg, &copy, &a->arena))
		send_copy(a, &copy, m->topic);
	else
		tell_why(a, &msg);
	arena_clear(&a->arena);
}

/* --- start and end ---------------------------------------------------------
 */

static void
subscribe_first(void *ctx, struct str filter)
{
	struct agent_entities *a = ctx;

	(void)mqtt_client_subscribe(a->client, filter, 1, on_first_scheme, a);
}

static void
subscribe(struct agent_entities *a)
{
	struct buf filter = { 0 };

	for (size_t i = 0; i < COUNT_OF(channels); i++) {
		buf_clear(&filter);
		buf_addf(&filter, STR_FMT "/+/+/+/+%s", STR_ARG(a->root),
		    channels[i]);
		(void)mqtt_client_subscribe(
		    a->client, buf_str(&filter), 1, on_entity, a);
	}
	buf_free(&filter);
	compat_filters(&a->compat, subscribe_first, a);
}

static void
on_kept(void *ctx, struct str topic, struct str payload)
{
	struct agent_entities *a = ctx;

	te_store_load(a->store, topic, payload);
}

int
agent_entities_new(const struct agent_entities_conf *conf,
    struct mqtt_client *c, struct agent_entities **ret, struct err *err)
{
	struct agent_entities *a;
	const struct te_store_conf store_conf = { .root = conf->root,
		.main = conf->device,
		.auto_register = conf->auto_register,
		.max_bytes = conf->max_bytes };
	struct te_store_host host = { NULL, on_publish, on_keep, on_error,
		on_changed };
	int rc;

	if (mkdir(conf->state_dir, 0775) < 0 && errno != EEXIST)
		return err_errno(err, "make the folder %s", conf->state_dir);
	a = mem_new(struct agent_entities);
	host.owner = a;
	a->loop = conf->loop;
	a->tells = conf->tells;
	a->owner = conf->owner;
	a->client = c;
	a->local = *conf->local;
	a->local.client_id = NULL; /* one of a moment's */
	a->local.keep_session = false;
	a->local.will_topic = NULL;
	a->root = str_copy(conf->root);
	a->device = str_copy(conf->device);
	a->compat = (struct compat_conf){ a->root, a->device };
	a->swept.fire = on_swept;
	a->sweep.run = on_sweep;
	list_init(&a->copies);
	a->store = te_store_new(&store_conf, &host);
	rc = entity_log_open(
	    conf->state_dir, conf->clean_start, on_kept, a, &a->log, err);
	if (rc != 0) {
		agent_entities_free(a);
		return rc;
	}
	subscribe(a);
	*ret = a;
	return 0;
}

void
agent_entities_up(struct agent_entities *a)
{
	const struct te_entity *e = te_store_main(a->store);
	struct te_topic t = { .entity = e->id, .channel = TE_ENTITY };
	struct buf topic = { 0 };

	te_topic_add(&topic, a->root, &t);
	publish(a, buf_str(&topic), e->reg);
	buf_free(&topic);
}

struct te_store *
agent_entities_store(struct agent_entities *a)
{
	return a->store;
}

void
agent_entities_free(struct agent_entities *a)
{
	if (a == NULL)
		return;
	loop_cancel(a->loop, &a->swept);
	loop_undefer(a->loop, &a->sweep);
	mqtt_client_free(a->sweeper);
	strs_free(&a->sweeping);
	strs_free(&a->removed);
	LIST_EACH (copy, &a->copies, struct copy, link)
		free(copy);
	te_store_free(a->store);
	entity_log_close(a->log);
	arena_fini(&a->arena);
	str_free(a->root);
	str_free(a->device);
	free(a);
}
