/*
 * net/mqtt/bridge.c - see bridge.h for the promises; this is how they are kept.
 *
 *    source                    bridge                      target
 *      | PUBLISH                  |                           |
 *      |------------------------->| hold, send                |
 *      |                          |-------------------------->|
 *      |                          |       PUBACK or PUBCOMP   |
 *      |   PUBACK or PUBREC       |<--------------------------|
 *      |<-------------------------| ack                       |
 *
 * A `carried` is one message between hold and ack. Its client keeps the copy
 * and sends it again after a lost connection to the target; after a lost
 * connection to the source the source sends it again, which the source's client
 * recognises by then. A `lane` is one rule in one direction.
 */
#include "net/mqtt/bridge.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "net/mqtt/counters.h"

#include <stdlib.h>
#include <string.h>

/* More than a source can have unacknowledged: ids are 16 bits. */
#define TARGET_WAITING_MAX (2 * 65536u)
#define REFUSED_EVERY_MS 60000 /* told of, unless the reason changes */

struct lane {
	struct side *from, *to;
	struct str filter;    /* owned */
	struct str to_prefix; /* owned */
	size_t from_prefix_len;
	uint8_t qos;
	bool failed; /* the subscription was refused */
};

struct carried {
	struct list link; /* in to->carried */
	struct side *from, *to;
	uint64_t token;
	struct str topic; /* owned; of the target */
};

struct side {
	struct mqtt_bridge *bridge;
	enum mqtt_bridge_side which;
	struct mqtt_client *client;
	struct list carried; /* on their way to here */
	uint64_t *echoes;    /* BRIDGE_ECHOES hashes of what we published, to
			      * be recognised when it comes back; or NULL */
	size_t next_echo;
	bool was_up;
	struct err why; /* it is down, as last told */
};

struct mqtt_bridge {
	struct loop *loop;
	const struct mqtt_bridge_events *events;
	void *owner;
	struct side sides[2];
	struct lane *lanes;
	size_t n_lanes;
	/* of the notification; topics by side, NULL: none */
	char *topics[2], *up_texts[2], *down_texts[2];
	uint32_t max_payload; /* to the remote side; 0: any */
};

/* --- echoes -------------------------------------------------------------- */

static uint64_t
hash_of(const struct mqtt_client_msg *m)
{
	uint64_t h = map_hash(m->topic) * 31 + map_hash(m->payload);

	return h != 0 ? h : 1; /* 0: a free place */
}

/* The lane that carries a message of this topic from this side; NULL: none. */
static const struct lane *
lane_of(const struct side *s, struct str topic)
{
	for (size_t i = 0; i < s->bridge->n_lanes; i++) {
		const struct lane *l = &s->bridge->lanes[i];

		if (l->from == s && topic.len >= l->from_prefix_len &&
		    mqtt_filter_matches(l->filter, topic))
			return l;
	}
	return NULL;
}

/* Its topic on the other side of the lane. */
static void
add_target(const struct lane *l, struct str topic, struct buf *out)
{
	buf_add_str(out, l->to_prefix);
	buf_add(out, topic.ptr + l->from_prefix_len,
	    topic.len - l->from_prefix_len);
}

/* Would what we publish here come back to us, be carried over, and be carried
 * here again? What is only answered elsewhere is no echo. */
static bool
comes_back(const struct side *s, struct str topic)
{
	const struct lane *l = lane_of(s, topic);
	struct buf there = { 0 };
	bool again;

	if (l == NULL)
		return false;
	add_target(l, topic, &there);
	again = lane_of(l->to, buf_str(&there)) != NULL;
	buf_free(&there);
	return again;
}

static void
expect_echo(struct side *s, const struct mqtt_client_msg *m)
{
	if ((mqtt_client_is_up(s->client) && !mqtt_client_echoes(s->client)) ||
	    !comes_back(s, m->topic))
		return;
	if (s->echoes == NULL)
		s->echoes = mem_array(BRIDGE_ECHOES, sizeof(*s->echoes));
	s->echoes[s->next_echo++ % BRIDGE_ECHOES] = hash_of(m);
}

static bool
is_echo(struct side *s, const struct mqtt_client_msg *m)
{
	uint64_t h;

	if (s->echoes == NULL || !mqtt_client_echoes(s->client))
		return false;
	h = hash_of(m);
	for (size_t i = 0; i < BRIDGE_ECHOES; i++) {
		if (s->echoes[i] != h)
			continue;
		s->echoes[i] = 0;
		return true;
	}
	return false;
}

/* --- carrying ------------------------------------------------------------ */

static void
carried_free(struct carried *m)
{
	list_del(&m->link);
	str_free(m->topic);
	free(m);
}

static void
tell_refused(struct side *s, struct str topic, uint8_t reason)
{
	const struct mqtt_bridge *b = s->bridge;

	COUNT(bridge_refused);
	if (b->events != NULL && b->events->refused != NULL)
		b->events->refused(b->owner, s->which, topic, reason);
}

/* The target has answered. */
static void
on_carried(void *ctx, uint8_t reason)
{
	struct carried *m = ctx;
	struct side *to = m->to;
	struct str topic = m->topic;

	m->topic = STR_NULL;
	mqtt_client_ack(m->from->client, m->token, MQTT_R_OK);
	carried_free(m);
	if (reason >= 0x80)
		tell_refused(to, topic, reason);
	else if (to->which == MQTT_BRIDGE_LOCAL)
		COUNT(bridge_in);
	else
		COUNT(bridge_out);
	str_free(topic);
}

static void
carry(struct lane *l, const struct mqtt_client_msg *out)
{
	struct side *to = l->to;
	struct carried *m = mem_new(struct carried);
	int rc;

	m->from = l->from;
	m->to = to;
	m->topic = str_copy(out->topic);
	list_add(&to->carried, &m->link);
	m->token = mqtt_client_hold(l->from->client);
	rc = mqtt_client_send(to->client, out, on_carried, m);
	if (rc == 0) {
		expect_echo(to, out);
		return;
	}
	mqtt_client_ack(l->from->client, m->token, MQTT_R_OK);
	carried_free(m);
	tell_refused(to, out->topic,
	    rc == ERR_PARAM       ? MQTT_R_BAD_TOPIC
		: rc == ERR_LIMIT ? MQTT_R_QUOTA
				  : MQTT_R_UNAVAILABLE);
}

/* Is there a rule before this one for the same message? */
static bool
is_taken(const struct lane *l, struct str topic)
{
	for (const struct lane *o = l->from->bridge->lanes; o < l; o++) {
		if (o->from == l->from && !o->failed &&
		    mqtt_filter_matches(o->filter, topic))
			return true;
	}
	return false;
}

/* In level 4 a server does not say what it takes: it ends the connection. */
static bool
is_too_large(const struct side *to, struct str payload)
{
	return to->which == MQTT_BRIDGE_REMOTE &&
	    to->bridge->max_payload != 0 &&
	    payload.len > to->bridge->max_payload;
}

static void
on_heard(void *ctx, const struct mqtt_client_msg *m)
{
	struct lane *l = ctx;
	struct buf topic = { 0 }, kept = { 0 };
	struct mqtt_props props = { 0 };
	struct mqtt_client_msg out = *m;

	if (m->topic.ptr == NULL) {
		l->failed = true;
		tell_refused(l->from, l->filter, m->reason);
		return;
	}
	l->failed = false;
	/* "a/#" matches "a", which is not under the prefix "a/". */
	if (m->topic.len < l->from_prefix_len || is_taken(l, m->topic) ||
	    is_echo(l->from, m))
		return;

	add_target(l, m->topic, &topic);
	out.topic = buf_str(&topic);
	out.qos = MIN_OF(m->qos, l->qos);
	mqtt_kept_props(m->props->raw, &kept);
	props.raw = buf_str(&kept);
	if (is_too_large(l->to, m->payload)) {
		tell_refused(l->to, out.topic, MQTT_R_TOO_LARGE);
		goto done;
	}
	if (mqtt_has(m->props, MQTT_P_MESSAGE_EXPIRY)) {
		props.has = 1ull << MQTT_P_MESSAGE_EXPIRY;
		props.message_expiry_s = m->props->message_expiry_s;
	}
	out.props = &props;
	carry(l, &out);

done:
	buf_free(&topic);
	buf_free(&kept);
}

/* --- sides --------------------------------------------------------------- */

static void
notify(struct mqtt_bridge *b, enum mqtt_bridge_side side, bool up, uint8_t qos)
{
	if (b->topics[side] == NULL ||
	    !mqtt_client_is_up(b->sides[side].client))
		return; /* if it is down it will be told when it is up */
	(void)mqtt_client_publish(b->sides[side].client,
	    str_of(b->topics[side]),
	    str_of(up ? b->up_texts[side] : b->down_texts[side]), qos, true,
	    NULL, NULL);
}

static void
on_up(void *owner, bool session_present)
{
	struct side *s = owner;
	struct mqtt_bridge *b = s->bridge;

	(void)session_present;
	s->was_up = true;
	if (s->which == MQTT_BRIDGE_REMOTE) {
		notify(b, MQTT_BRIDGE_REMOTE, true, 1);
		notify(b, MQTT_BRIDGE_LOCAL, true, 1);
	} else {
		notify(b, MQTT_BRIDGE_LOCAL,
		    mqtt_client_is_up(b->sides[MQTT_BRIDGE_REMOTE].client), 1);
	}
	if (b->events != NULL && b->events->up != NULL)
		b->events->up(b->owner, s->which);
}

static void
on_down(void *owner, const struct err *why)
{
	struct side *s = owner;
	struct mqtt_bridge *b = s->bridge;

	if (s->which == MQTT_BRIDGE_REMOTE && s->was_up)
		notify(b, MQTT_BRIDGE_LOCAL, false, 1);
	/* A server that is away for long is told of once. */
	if (!s->was_up && strcmp(s->why.text, why->text) == 0)
		return;
	s->was_up = false;
	s->why = *why;
	if (b->events != NULL && b->events->down != NULL)
		b->events->down(b->owner, s->which, why);
}

static int
side_init(struct mqtt_bridge *b, enum mqtt_bridge_side which,
    const struct mqtt_bridge_conf *conf, struct err *err)
{
	static const struct mqtt_client_events events = { on_up, on_down };
	struct side *s = &b->sides[which];
	struct mqtt_client_conf c =
	    which == MQTT_BRIDGE_LOCAL ? conf->local : conf->remote;
	char *made = NULL;
	int rc;

	if (c.client_id == NULL || c.client_id[0] == '\0')
		c.client_id = made = mem_printf("%s%s",
		    which == MQTT_BRIDGE_LOCAL ? "local." : "", conf->name);
	c.keep_session = which == MQTT_BRIDGE_LOCAL || !conf->forget_remote;
	c.bridge = which == MQTT_BRIDGE_LOCAL || !conf->remote_as_client;
	c.lenient = true;
	c.max_waiting = TARGET_WAITING_MAX;
	c.will_topic = NULL;
	if (b->topics[which] != NULL) {
		c.will_topic = b->topics[which];
		c.will_payload = str_of(b->down_texts[which]);
		c.will_qos = 1;
		c.will_retain = true;
	}
	rc = mqtt_client_new(b->loop, &c, &events, s, &s->client, err);
	free(made);
	return rc == 0 ? 0
		       : err_wrap(err, "%s side",
			     which == MQTT_BRIDGE_LOCAL ? "local" : "remote");
}

/* --- rules --------------------------------------------------------------- */

static int
lane_add(struct mqtt_bridge *b, enum mqtt_bridge_side from,
    const struct mqtt_bridge_rule *r, struct err *err)
{
	struct str local = str_of(r->local_prefix);
	struct str remote = str_of(r->remote_prefix);
	struct str prefix = from == MQTT_BRIDGE_LOCAL ? local : remote;
	struct str other = from == MQTT_BRIDGE_LOCAL ? remote : local;
	struct lane *l = &b->lanes[b->n_lanes++];
	struct mqtt_filter f = { .qos = r->qos,
		.no_local = true,
		.retain_as_published = true,
		.retain_handling = 1 };
	struct buf filter = { 0 };
	struct str ignored;
	int rc = 0;

	buf_add_str(&filter, prefix);
	buf_addz(&filter, r->pattern);
	l->from = &b->sides[from];
	l->to = &b->sides[!from];
	l->filter = str_copy(buf_str(&filter));
	l->to_prefix = str_copy(other.ptr != NULL ? other : STR(""));
	l->from_prefix_len = prefix.len;
	l->qos = r->qos;
	f.filter = l->filter;
	if (mqtt_has_wildcard(local) || mqtt_has_wildcard(remote) ||
	    mqtt_share_split(l->filter, &ignored, &ignored) != ERR_NOT_FOUND)
		rc = err_set(err, ERR_PARAM,
		    "rule for \"%s\": prefixes have no wildcards, and "
		    "bridges share no subscriptions",
		    r->pattern);
	else if ((r->pattern[0] == '\0' && other.len == 0) ||
	    mqtt_client_subscribe_with(l->from->client, &f, on_heard, l) != 0)
		rc = err_set(err, ERR_PARAM,
		    "rule for \"%s\": no topic filter, or no QoS", r->pattern);
	buf_free(&filter);
	return rc;
}

static int
add_rules(
    struct mqtt_bridge *b, const struct mqtt_bridge_conf *conf, struct err *err)
{
	int rc = 0;

	/* Clients keep pointers into it. */
	b->lanes = mem_array(conf->n_rules * 2 + 1, sizeof(*b->lanes));
	for (size_t i = 0; i < conf->n_rules && rc == 0; i++) {
		const struct mqtt_bridge_rule *r = &conf->rules[i];

		if (r->direction & ~3u || r->direction == 0)
			rc = err_set(err, ERR_PARAM,
			    "rule for \"%s\": no direction", r->pattern);
		if (rc == 0 && r->direction & MQTT_BRIDGE_OUT)
			rc = lane_add(b, MQTT_BRIDGE_LOCAL, r, err);
		if (rc == 0 && r->direction & MQTT_BRIDGE_IN)
			rc = lane_add(b, MQTT_BRIDGE_REMOTE, r, err);
	}
	return rc;
}

/* --- life ---------------------------------------------------------------- */

static void
set_notification(struct mqtt_bridge *b, const struct mqtt_bridge_conf *conf)
{
	const char *up = conf->notify_up != NULL ? conf->notify_up : "1";
	const char *down = conf->notify_down != NULL ? conf->notify_down : "0";
	const bool own = conf->notify_local_only;
	const char *const topics[] = { conf->notification_topic,
		own ? conf->remote_topic : conf->notification_topic };

	for (unsigned i = 0; i < COUNT_OF(topics); i++) {
		bool plain = i == MQTT_BRIDGE_REMOTE && own;

		b->topics[i] = str_dupz(str_of(topics[i]));
		b->up_texts[i] = str_dupz(str_of(plain ? "1" : up));
		b->down_texts[i] = str_dupz(str_of(plain ? "0" : down));
	}
}

int
mqtt_bridge_new(struct loop *loop, const struct mqtt_bridge_conf *conf,
    const struct mqtt_bridge_events *events, void *owner,
    struct mqtt_bridge **ret, struct err *err)
{
	struct mqtt_bridge *b = mem_new(struct mqtt_bridge);
	int rc;

	b->loop = loop;
	b->events = events;
	b->owner = owner;
	set_notification(b, conf);
	b->max_payload = conf->max_payload;
	for (unsigned i = 0; i < COUNT_OF(b->sides); i++) {
		b->sides[i].bridge = b;
		b->sides[i].which = (enum mqtt_bridge_side)i;
		list_init(&b->sides[i].carried);
	}
	rc = side_init(b, MQTT_BRIDGE_LOCAL, conf, err);
	if (rc == 0)
		rc = side_init(b, MQTT_BRIDGE_REMOTE, conf, err);
	if (rc == 0)
		rc = add_rules(b, conf, err);
	if (rc != 0) {
		mqtt_bridge_free(b);
		return rc;
	}
	*ret = b;
	return 0;
}

void
mqtt_bridge_start(struct mqtt_bridge *b)
{
	for (unsigned i = 0; i < COUNT_OF(b->sides); i++)
		mqtt_client_start(b->sides[i].client);
}

void
mqtt_bridge_stop(struct mqtt_bridge *b)
{
	for (unsigned i = 0; i < COUNT_OF(b->sides); i++) {
		if (b->sides[i].client == NULL)
			continue;
		/* QoS 0: it leaves with the goodbye, which ends the will. */
		notify(b, (enum mqtt_bridge_side)i, false, 0);
		mqtt_client_stop(b->sides[i].client);
	}
}

void
mqtt_bridge_free(struct mqtt_bridge *b)
{
	if (b == NULL)
		return;
	mqtt_bridge_stop(b);
	for (unsigned i = 0; i < COUNT_OF(b->sides); i++) {
		struct side *s = &b->sides[i];

		mqtt_client_free(s->client);
		LIST_EACH (m, &s->carried, struct carried, link)
			carried_free(m);
		free(s->echoes);
	}
	for (size_t i = 0; i < b->n_lanes; i++) {
		str_free(b->lanes[i].filter);
		str_free(b->lanes[i].to_prefix);
	}
	free(b->lanes);
	for (unsigned i = 0; i < COUNT_OF(b->topics); i++) {
		free(b->topics[i]);
		free(b->up_texts[i]);
		free(b->down_texts[i]);
	}
	loop_free_later(b->loop, b);
}

bool
mqtt_bridge_is_up(const struct mqtt_bridge *b, enum mqtt_bridge_side side)
{
	return mqtt_client_is_up(b->sides[side].client);
}

bool
mqtt_bridge_refusal_due(
    struct mqtt_bridge_refusals *r, uint8_t reason, uint64_t *untold)
{
	int64_t now = clock_mono();

	if (reason == r->reason && now - r->told_ms < REFUSED_EVERY_MS) {
		r->untold++;
		return false;
	}
	*untold = r->untold;
	*r = (struct mqtt_bridge_refusals){ .reason = reason, .told_ms = now };
	return true;
}
