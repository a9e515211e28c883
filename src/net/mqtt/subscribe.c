/*
 * net/mqtt/subscribe.c - the subscriptions of a session: ordinary ones hang in
 * the topics, `$share/GROUP/FILTER` makes it a member of a group.
 */
#include "net/mqtt/private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>

#define FEW_SUBS 16 /* so many are searched one by one */

/* --- finding ------------------------------------------------------------- */

static struct sub *
find(const struct session *s, struct str filter)
{
	if (s->sub_map != NULL)
		return map_get(s->sub_map, filter);
	LIST_EACH (sub, &s->subs, struct sub, of_session) {
		if (str_eq(sub->filter, filter))
			return sub;
	}
	return NULL;
}

static void
enlist(struct session *s, struct sub *sub)
{
	list_add(&s->subs, &sub->of_session);
	if (++s->n_subs > FEW_SUBS && s->sub_map == NULL) {
		s->sub_map = mem_new(struct map);
		LIST_EACH (each, &s->subs, struct sub, of_session)
			(void)map_put(s->sub_map, each->filter, each);
	} else if (s->sub_map != NULL) {
		(void)map_put(s->sub_map, sub->filter, sub);
	}
	COUNT(subscriptions);
}

/* --- subscribing --------------------------------------------------------- */

/* The filter that topics are compared with: without its $share prefix. False:
 * malformed. */
static bool
inner_filter(struct str filter, bool *shared, struct str *ret)
{
	struct str group;
	int rc = mqtt_share_split(filter, &group, ret);

	*shared = rc == 0;
	if (rc == ERR_NOT_FOUND)
		*ret = filter;
	return rc == 0 || (rc == ERR_NOT_FOUND && mqtt_filter_ok(filter));
}

static uint8_t
refused(struct session *s, struct str filter)
{
	struct mqtt_server *server = s->server;

	if (!mqtt_levels_ok(server, filter))
		return MQTT_R_BAD_FILTER;
	if (server->events.may_subscribe != NULL &&
	    !mqtt_account_is_inside(s->account) &&
	    !server->events.may_subscribe(
		server->owner, account_ptr(s->account), filter))
		return MQTT_R_NOT_AUTHORIZED;
	return 0;
}

static void sub_free(struct sub *sub);

static struct sub *
sub_new(struct session *s, struct str filter, struct str inner, bool shared)
{
	struct sub *sub = mem_new(struct sub);

	sub->session = s;
	sub->kind = shared ? SUB_MEMBER : SUB_SESSION;
	list_init(&sub->membership);
	if (shared) {
		sub->filter = str_copy(filter);
		mqtt_group_join(sub, filter, inner);
	} else {
		mqtt_topics_add(&s->server->topics, filter, sub);
		sub->filter = sub->exact ? ((struct topic *)sub->at)->name
					 : str_copy(filter);
	}
	enlist(s, sub);
	return sub;
}

static void
set_options(struct sub *sub, const struct mqtt_filter *f, uint32_t sub_id)
{
	sub->qos = f->qos;
	sub->no_local = f->no_local;
	sub->retain_as_published = f->retain_as_published;
	sub->retain_handling = f->retain_handling;
	sub->sub_id = sub_id;
	sub->session->server->topics.gen++;
}

uint8_t
mqtt_subscribe(struct session *s, const struct mqtt_filter *f, uint32_t sub_id,
    bool *fresh)
{
	struct str inner;
	struct sub *sub;
	uint8_t bad = MQTT_R_BAD_FILTER;
	bool shared;

	if (inner_filter(f->filter, &shared, &inner))
		bad = refused(s, inner);
	sub = find(s, f->filter);
	if (bad == 0 && sub == NULL &&
	    s->n_subs >= s->server->conf.max_subscriptions)
		bad = MQTT_R_QUOTA;
	if (bad != 0) {
		COUNT(subscribe_denied);
		return bad;
	}
	*fresh = sub == NULL;
	if (sub == NULL)
		sub = sub_new(s, f->filter, inner, shared);
	set_options(sub, f, sub_id);
	mqtt_keep_sub(s, sub);
	return f->qos;
}

void
mqtt_subscriptions_check(struct session *s)
{
	LIST_EACH (sub, &s->subs, struct sub, of_session) {
		struct str inner;
		bool shared;

		if (!inner_filter(sub->filter, &shared, &inner) ||
		    refused(s, inner) == 0)
			continue;
		COUNT(subscribe_denied);
		mqtt_keep_unsub(s, sub->filter);
		sub_free(sub);
	}
}

struct sub *
mqtt_subscribe_restored(
    struct session *s, const struct mqtt_filter *f, uint32_t sub_id)
{
	struct sub *sub = find(s, f->filter);
	struct str inner;
	bool shared;

	if (!inner_filter(f->filter, &shared, &inner))
		return NULL;
	if (sub == NULL)
		sub = sub_new(s, f->filter, inner, shared);
	set_options(sub, f, sub_id);
	return sub;
}

/* --- what it starts with ------------------------------------------------- */

static void
give_retained(void *ctx, struct mqtt_msg *m)
{
	struct sub *sub = ctx;
	const struct copy copy = { .qos = MIN_OF(sub->qos, m->qos),
		.retain = true,
		.keep = true,
		.sub_id = sub->sub_id };
	struct mqtt_server *s = m->server;
	bool ok;

	if (msg_has_expired(m, clock_mono()))
		return;
	(void)mqtt_session_deliver(sub->session, m, &copy);
	(void)mqtt_keep_msg(s, m, NULL, 0, &ok);
}

static void
give_queue(struct sub *sub, struct queue *q)
{
	struct session *s = sub->session;
	struct delivery *d;

	while ((d = mqtt_queue_take(q)) != NULL) {
		d->qos = MIN_OF(d->qos, sub->qos);
		d->sub_id = sub->sub_id;
		mqtt_rate_add(&q->out, clock_mono(), 1);
		mqtt_session_owe(s, d);
		mqtt_keep_moved(s->server, &q->owner,
		    d->qos > 0 ? &s->owner : NULL, d->msg, d);
	}
}

void
mqtt_subscribe_start(struct session *s, struct str filter, bool retained)
{
	struct mqtt_server *server = s->server;
	struct sub *sub = find(s, filter);
	struct str inner;
	bool shared;

	if (sub == NULL || !inner_filter(filter, &shared, &inner))
		return;
	LIST_EACH (q, &server->queues_nonempty, struct queue, nonempty) {
		if (!mqtt_filter_matches(inner, q->topic->name))
			continue;
		if (shared)
			mqtt_group_take_queue(sub->group, q);
		else
			give_queue(sub, q);
	}
	if (shared) {
		mqtt_group_pump(sub->group);
		return;
	}
	mqtt_session_pump(s);
	if (retained)
		mqtt_retained_match(&server->topics, inner, give_retained, sub);
}

/* --- unsubscribing ------------------------------------------------------- */

/* What this client has in flight from the group stays its own affair. */
static void
forget_group(struct session *s, struct group *g)
{
	LIST_EACH (d, &s->inflight, struct delivery, link) {
		if (d->group != g)
			continue;
		d->group = NULL;
		mqtt_keep_moved(s->server, &g->owner, &s->owner, d->msg, d);
	}
}

static void
sub_free(struct sub *sub)
{
	struct session *s = sub->session;

	list_del(&sub->of_session);
	s->n_subs--;
	if (s->sub_map != NULL)
		(void)map_del(s->sub_map, sub->filter);
	if (!sub->exact)
		str_free(sub->filter);
	if (sub->kind == SUB_MEMBER) {
		forget_group(s, sub->group);
		mqtt_group_leave(sub);
	} else {
		mqtt_topics_remove(&s->server->topics, sub);
	}
	free(sub);
	COUNT_BY(subscriptions, -1);
}

bool
mqtt_unsubscribe(struct session *s, struct str filter)
{
	struct sub *sub = find(s, filter);

	if (sub == NULL)
		return false;
	mqtt_keep_unsub(s, filter);
	sub_free(sub);
	return true;
}

void
mqtt_unsubscribe_all(struct session *s)
{
	struct sub *sub;

	while ((sub = list_first(&s->subs, struct sub, of_session)) != NULL)
		sub_free(sub);
	if (s->sub_map != NULL) {
		map_fini(s->sub_map);
		free(s->sub_map);
		s->sub_map = NULL;
	}
}
