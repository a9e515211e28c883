/*
 * net/mqtt/route.c - from one published message to everyone who gets it.
 *
 * First all subscriptions that match are noted, with each client once at its
 * highest QoS; then sessions, groups, consumers and the queue get their copies.
 * Nobody outside the server is called: consumers hear it later.
 */
#include "net/mqtt/private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* --- matching ------------------------------------------------------------ */

struct noting {
	struct mqtt_server *server;
	const struct session *from;
};

/* One more subscription of a session that is noted already. */
static void
merge(struct mqtt_server *s, size_t at, const struct sub *sub)
{
	struct match *m = &s->matches[at];

	m->qos = MAX_OF(m->qos, sub->qos);
	m->retain_as_published |= sub->retain_as_published;
	if (sub->sub_id == 0)
		return;
	if (m->sub_id == 0) {
		m->sub_id = sub->sub_id;
		return;
	}
	if (s->n_match_ids == s->cap_match_ids) {
		s->cap_match_ids = s->cap_match_ids * 2 + 16;
		s->match_ids = mem_resize(
		    s->match_ids, s->cap_match_ids, sizeof(*s->match_ids));
	}
	s->match_ids[s->n_match_ids++] = (struct match_id){ at, sub->sub_id };
	m->n_ids++;
}

static void
note_match(void *ctx, struct sub *sub)
{
	const struct noting *n = ctx;
	struct mqtt_server *s = n->server;
	struct match *m;

	if (sub->kind == SUB_SESSION) {
		struct session *who = sub->session;

		if (sub->no_local && who == n->from)
			return;
		if (who->stamp == s->stamp) { /* overlapping filters */
			merge(s, who->match, sub);
			return;
		}
		who->stamp = s->stamp;
		who->match = s->n_matches;
	}
	if (s->n_matches == s->cap_matches) {
		s->cap_matches = s->cap_matches * 2 + 64;
		s->matches =
		    mem_resize(s->matches, s->cap_matches, sizeof(*s->matches));
	}
	m = &s->matches[s->n_matches++];
	m->kind = sub->kind;
	m->qos = sub->qos;
	m->retain_as_published = sub->retain_as_published;
	m->sub_id = sub->sub_id;
	m->n_ids = 0;
	m->target = sub->kind == SUB_GROUP ? (void *)sub->group
	    : sub->kind == SUB_CONSUMER    ? (void *)sub->consumer
					   : (void *)sub->session;
}

size_t
mqtt_match(struct mqtt_server *s, struct str name, struct topic *exact,
    const struct session *from)
{
	struct noting n = { s, from };
	size_t base = s->n_matches;

	s->stamp++;
	if (base == 0)
		s->n_match_ids = 0;
	mqtt_topics_match(&s->topics, name, exact, note_match, &n);
	return base;
}

void
mqtt_last_match_free(struct last_match *last)
{
	if (last == NULL)
		return;
	str_free(last->topic);
	free(last->matches);
	free(last);
}

static void
remember(struct mqtt_server *s, struct last_match *last, struct str name,
    struct topic *exact, size_t base)
{
	size_t n = s->n_matches - base;

	last->gen = 0;
	if (n > LAST_MATCH_MAX || s->n_match_ids > 0)
		return;
	if (n > last->cap) {
		last->cap = n;
		last->matches =
		    mem_resize(last->matches, n, sizeof(*last->matches));
	}
	if (n > 0)
		memcpy(last->matches, s->matches + base,
		    n * sizeof(*last->matches));
	if (!str_eq(last->topic, name)) {
		str_free(last->topic);
		last->topic = str_copy(name);
	}
	last->n = n;
	last->exact = exact;
	last->gen = s->topics.gen;
}

/* As mqtt_match(), faster if this publisher's last topic was the same. */
static size_t
match_again(struct mqtt_server *s, const struct session *from, struct str name,
    struct topic **exact)
{
	struct conn *c = from != NULL ? from->conn : NULL;
	struct last_match *last = c != NULL ? c->last : NULL;
	size_t base = s->n_matches;

	if (last != NULL && last->gen == s->topics.gen &&
	    str_eq(last->topic, name) && base + last->n <= s->cap_matches) {
		*exact = last->exact;
		s->n_match_ids = 0;
		if (last->n > 0)
			memcpy(s->matches + base, last->matches,
			    last->n * sizeof(*last->matches));
		s->n_matches += last->n;
		return base;
	}
	*exact = mqtt_topics_get(&s->topics, name);
	(void)mqtt_match(s, name, *exact, from);
	if (c != NULL && last == NULL)
		last = c->last = mem_new(struct last_match);
	if (last != NULL)
		remember(s, last, name, *exact, base);
	return base;
}

bool
mqtt_topic_wanted(struct mqtt_server *s, struct str name)
{
	size_t base =
	    mqtt_match(s, name, mqtt_topics_get(&s->topics, name), NULL);
	bool wanted = s->n_matches > base;

	s->n_matches = base;
	return wanted;
}

/* --- copies -------------------------------------------------------------- */

#define IDS_MAX 64 /* identifiers that go with one copy */

/* The further identifiers of a match, 0 ends. */
static const uint32_t *
more_ids(const struct mqtt_server *s, size_t at, uint32_t ids[IDS_MAX + 1])
{
	unsigned n = 0;

	for (size_t i = 0; i < s->n_match_ids && n < IDS_MAX; i++) {
		if (s->match_ids[i].match == at)
			ids[n++] = s->match_ids[i].id;
	}
	ids[n] = 0;
	return ids;
}

static enum accept
to_session(
    struct mqtt_server *s, struct mqtt_msg *m, size_t at, struct routed *ret)
{
	const struct match *to = &s->matches[at];
	struct session *who = to->target;
	uint32_t ids[IDS_MAX + 1];
	const struct copy copy = {
		.qos = MIN_OF(m->qos, to->qos),
		.retain = m->retain && to->retain_as_published,
		.sub_id = to->sub_id,
		.more_ids = to->n_ids > 0 ? more_ids(s, at, ids) : NULL,
	};
	enum accept a = mqtt_session_deliver(who, m, &copy);

	if (copy.qos > 0 && who->owed.n > 0 && mqtt_session_is_pressed(who))
		ret->slow = who;
	return a;
}

/* Copies for sessions, groups and the queue. */
static void
deliver(struct mqtt_server *s, struct mqtt_msg *m, struct queue *q, size_t base,
    struct routed *ret)
{
	uint32_t direct = 0;

	for (size_t i = base; i < s->n_matches; i++) {
		enum accept a = ACCEPTED; /* consumers: later */

		if (s->matches[i].kind == SUB_SESSION)
			a = to_session(s, m, i, ret);
		else if (s->matches[i].kind == SUB_GROUP)
			a = mqtt_group_deliver(s->matches[i].target, m);
		direct += a == ACCEPTED && s->matches[i].kind != SUB_GROUP;
		ret->targets += a == ACCEPTED;
		ret->refused |= a == REFUSED;
	}
	if (q == NULL)
		return;
	if (direct > 0)
		mqtt_rate_add(&q->out, m->at_ms, direct);
	if (s->n_matches == base && mqtt_queue_put(q, m) == 0) {
		mqtt_keep_target(s, &q->owner, NULL);
		ret->targets++;
	} else if (s->n_matches == base) {
		ret->refused = true;
	}
}

static void
retain(struct mqtt_server *s, struct mqtt_msg *m, enum mqtt_durability d)
{
	struct mqtt_msg *old = mqtt_retained_get(&s->topics, mqtt_msg_topic(m));
	struct owner owner = { .id = d != MQTT_NONE ? OWNER_RETAINED : 0,
		.durability = (uint8_t)d };

	if (old != NULL)
		mqtt_keep_unretained(s, old);
	if (!mqtt_retained_set(&s->topics, m, s->conf.max_retained,
		s->conf.max_retained_bytes))
		COUNT(retained_refused);
	else if (s->keep.journal != NULL && owner.id != 0) {
		mqtt_keep_target(s, &owner, NULL);
		m->kept.retained = true;
	}
}

static void
unretain(struct mqtt_server *s, struct str name)
{
	struct mqtt_msg *old = mqtt_retained_get(&s->topics, name);

	if (old == NULL)
		return;
	mqtt_keep_unretained(s, old);
	mqtt_retained_clear(&s->topics, name); /* [3.3.1-10] */
}

/* --- routing ------------------------------------------------------------- */

/* Nobody gets it; the QoS 2 id is to be remembered all the same. */
static void
note_only(struct mqtt_server *s, const struct session *from, uint16_t note,
    struct routed *ret)
{
	bool ok = true;

	ret->group = mqtt_keep_msg(s, NULL, from, note, &ok);
	ret->unkept = !ok;
}

void
mqtt_route(struct mqtt_server *s, struct session *from, struct account *account,
    const struct incoming *in, enum mqtt_durability durability, uint16_t note,
    struct routed *ret)
{
	struct topic *exact;
	struct queue *q;
	bool kept = in->retain && in->payload.len > 0, ok = true, heard;
	struct mqtt_msg *m;
	size_t base;

	*ret = (struct routed){ 0 };
	if (s->watch != NULL)
		s->watch(s->watch_owner,
		    &(struct mqtt_sight){ .topic = in->topic,
			.payload = in->payload,
			.qos = in->qos,
			.retain = in->retain });
	base = match_again(s, from, in->topic, &exact);
	q = exact != NULL ? exact->queue : NULL;
	if (q != NULL) {
		mqtt_rate_add(&q->in, s->now_ms, 1);
		q->last_ms = clock_now();
	}
	if (in->retain && !kept)
		unretain(s, in->topic);
	ret->matches = (unsigned)(s->n_matches - base) + (q != NULL);
	if (ret->matches == 0 && !kept) { /* not worth a copy */
		note_only(s, from, note, ret);
		return;
	}
	m = mqtt_msg_new(s, account, in);
	if (m == NULL) {
		s->n_matches = base;
		COUNT(dropped_queue_full);
		ret->refused = true;
		return;
	}
	if (kept)
		retain(s, m, durability);
	deliver(s, m, q, base, ret);
	heard = !list_empty(&s->consumers) && mqtt_has_consumer(s, base);
	if (heard && q != NULL && q->waiting.n > 0) { /* behind what waits */
		heard = false;
		if (mqtt_queue_put(q, m) == 0)
			mqtt_keep_target(s, &q->owner, NULL);
		else
			ret->refused = true;
	}
	/* what a consumer is to hear is received when it has said so */
	ret->group = mqtt_keep_msg(s, m, from, heard ? 0 : note, &ok);
	ret->unkept = !ok;
	if (heard) {
		(void)mqtt_consume_hand(s, m, base);
		m->from_queue = from == NULL; /* nobody will repeat it */
		ret->waiting = msg_ref(m);
	}
	s->n_matches = base;
	mqtt_msg_release(m);
}

/* --- who looks ----------------------------------------------------------- */

void
mqtt_server_watch(struct mqtt_server *s, mqtt_watch *seen, void *owner)
{
	mqtt_lock(s);
	s->watch = seen;
	s->watch_owner = owner;
	mqtt_unlock(s);
}

struct looking {
	mqtt_watch *seen;
	void *owner;
	int64_t now;
};

static void
show_held(void *ctx, struct mqtt_msg *m)
{
	const struct looking *l = ctx;

	if (!msg_has_expired(m, l->now))
		l->seen(l->owner,
		    &(struct mqtt_sight){ .topic = mqtt_msg_topic(m),
			.payload = mqtt_msg_payload(m),
			.qos = m->qos,
			.retain = true,
			.held = true });
}

void
mqtt_server_look(
    struct mqtt_server *s, struct str filter, mqtt_watch *seen, void *owner)
{
	struct looking l = { seen, owner, clock_mono() };

	mqtt_lock(s);
	mqtt_retained_match(&s->topics, filter, show_held, &l);
	mqtt_unlock(s);
}

/* --- from inside --------------------------------------------------------- */

int
mqtt_publish(struct mqtt_server *s, struct str topic, struct str payload,
    uint8_t qos, bool retain_it, unsigned *targets)
{
	const struct incoming in = {
		.topic = topic,
		.payload = payload,
		.qos = qos,
		.retain = retain_it,
	};
	struct routed r;

	if (!mqtt_topic_ok(topic) || !mqtt_levels_ok(s, topic) || qos > 2 ||
	    payload.len > MQTT_REMAINING_MAX - topic.len - 4)
		return ERR_PARAM;
	mqtt_lock(s);
	s->now_ms = clock_mono();
	COUNT(publish_local);
	mqtt_route(s, NULL, NULL, &in, s->conf.durability, 0, &r);
	mqtt_msg_release(r.waiting);
	mqtt_home_done(s);
	mqtt_unlock(s);
	if (targets != NULL)
		*targets = r.targets;
	return r.refused || r.unkept ? ERR_LIMIT : 0;
}

bool
mqtt_may_publish(
    struct mqtt_server *s, struct account *account, struct str topic)
{
	if (!mqtt_levels_ok(s, topic) ||
	    (topic.len > 0 && topic.ptr[0] == '$' &&
		(str_eqz(topic, "$SYS") || str_starts(topic, STR("$SYS/")) ||
		    str_starts(topic, STR("$share/")))))
		return false;
	return s->events.may_publish == NULL ||
	    mqtt_account_is_inside(account) ||
	    s->events.may_publish(s->owner, account_ptr(account), topic);
}
