/*
 * net/mqtt/clean.c - emptying the journal's oldest segment: what hangs there is
 * said again, as it is now, at the end; then the file can go. See (1) in
 * keep.c.
 */
#include "net/mqtt/private.h"

#include "base/mem.h"

#include <stdlib.h>

bool
mqtt_keep_needs_cleaning(const struct keep *k)
{
	return journal_bytes(k->journal) >
	    2 * k->live_bytes + 2 * (uint64_t)SEGMENT_BYTES;
}

/* Who has the messages of one segment: each message begins a chain. */
struct holders {
	struct chained {
		struct target target;
		uint32_t next; /* place + 1; 0 ends */
	} * all;
	uint32_t n, cap;
	uint32_t *first; /* by the message's mark - 1 */
	struct keep *keep;
};

static void
hold(struct holders *h, const struct owner *o, const struct mqtt_msg *m,
    const struct delivery *d)
{
	uint32_t *first;

	if (o->id == 0 || m == NULL || m->kept.mark == 0)
		return;
	if (h->n == h->cap) {
		h->cap = h->cap * 2 + 1024;
		h->all = mem_resize(h->all, h->cap, sizeof(*h->all));
	}
	mqtt_keep_note(h->keep, o, d);
	first = &h->first[m->kept.mark - 1];
	h->all[h->n] = (struct chained){ h->keep->targets[0], *first };
	h->keep->n_targets = 0;
	*first = ++h->n;
}

static void
hold_list(struct holders *h, const struct owner *o, const struct list *items)
{
	LIST_EACH (d, items, struct delivery, link) {
		if (d->packed)
			continue; /* it is said again by itself */
		if (d->group != NULL)
			hold(h, &d->group->owner, d->msg, NULL);
		else if (o->kind != OWNER_SESSION || d->qos > 0)
			hold(h, o, d->msg, o->kind == OWNER_SESSION ? d : NULL);
	}
}

static void
hold_retained(void *ctx, struct mqtt_msg *m)
{
	static const struct owner retained = { .id = OWNER_RETAINED };

	if (m->kept.retained)
		hold(ctx, &retained, m, NULL);
}

/* Looks through everything that can have a message. */
static void
find_holders(struct mqtt_server *s, struct holders *h)
{
	struct session *session;
	struct group *g;
	size_t pos = 0;

	while ((session = map_next(&s->sessions, &pos)) != NULL) {
		hold_list(h, &session->owner, &session->inflight);
		hold_list(h, &session->owner, &session->owed.items);
	}
	pos = 0;
	while ((g = map_next(&s->groups, &pos)) != NULL)
		hold_list(h, &g->owner, &g->waiting.items);
	LIST_EACH (q, &s->queues, struct queue, link)
		hold_list(h, &q->owner, &q->waiting.items);
	mqtt_retained_match(&s->topics, STR("#"), hold_retained, h);
}

/* Messages of a queue that are with consumers now are in no list. */
static void
hold_consumed(struct mqtt_server *s, struct holders *h, struct mqtt_msg *m)
{
	struct topic *topic = mqtt_topics_get(&s->topics, mqtt_msg_topic(m));

	if (m->queued && m->waits > 0 && topic != NULL && topic->queue != NULL)
		hold(h, &topic->queue->owner, m, NULL);
}

/* Says a message again, with those who have it now. */
static bool
say_again(struct mqtt_server *s, struct holders *h, struct mqtt_msg *m)
{
	struct keep *k = &s->keep;
	uint64_t segment;
	int level;

	for (uint32_t i = h->first[m->kept.mark - 1]; i != 0;
	     i = h->all[i - 1].next) {
		const struct owner o = { .id = OWNER_RETAINED };

		mqtt_keep_note(k, &o, NULL);
		k->targets[k->n_targets - 1] = h->all[i - 1].target;
	}
	mqtt_keep_put_msg(k, m, m->kept.seq, 0, 0);
	level = mqtt_keep_level(k);
	m->kept.targets = k->n_targets;
	k->n_targets = 0;
	m->kept.mark = 0;
	if (m->kept.targets == 0) {
		mqtt_keep_dead(k, m);
		return true;
	}
	if (!mqtt_keep_append(s, level, &segment))
		return false;
	mqtt_keep_link_msg(k, m, segment, k->record.len);
	return true;
}

static bool
say_all_again(struct mqtt_server *s, struct segment *seg)
{
	struct holders h = { .keep = &s->keep };
	uint32_t n = 0;
	bool ok = true;

	LIST_EACH (m, &seg->msgs, struct mqtt_msg, kept.in_segment)
		m->kept.mark = ++n;
	if (n > 0) {
		h.first = mem_array(n, sizeof(*h.first));
		LIST_EACH (m, &seg->msgs, struct mqtt_msg, kept.in_segment)
			hold_consumed(s, &h, m);
		find_holders(s, &h);
	}
	LIST_EACH (o, &seg->owners, struct owner, in_segment)
		ok = ok && mqtt_keep_say_owner(s, o);
	LIST_EACH (p, &seg->packs, struct pack, in_segment)
		ok = ok && mqtt_pack_say_again(s, p);
	LIST_EACH (m, &seg->msgs, struct mqtt_msg, kept.in_segment) {
		ok = ok && say_again(s, &h, m);
		m->kept.mark = 0;
	}
	free(h.all);
	free(h.first);
	return ok;
}

static struct segment *
oldest(const struct keep *k)
{
	return list_first(&k->segments, struct segment, link);
}

/* Forgets segments that hold nothing, and has their files deleted. */
static void
drop_empty(struct keep *k)
{
	uint64_t newest = journal_newest(k->journal), first = newest;
	struct segment *seg;

	while ((seg = oldest(k)) != NULL && seg->no < newest &&
	    list_empty(&seg->msgs) && list_empty(&seg->packs) &&
	    list_empty(&seg->owners)) {
		list_del(&seg->link);
		free(seg);
	}
	if (seg != NULL)
		first = MIN_OF(seg->no, newest);
	if (first > journal_oldest(k->journal))
		journal_drop_before(k->journal, first);
}

void
mqtt_keep_clean(struct loop_timer *t)
{
	struct mqtt_server *s = container_of(t, struct mqtt_server, keep.clean);
	struct keep *k = &s->keep;
	struct segment *seg;

	mqtt_lock(s);
	drop_empty(k);
	seg = oldest(k);
	if (mqtt_keep_needs_cleaning(k) && seg != NULL &&
	    seg->no < journal_newest(k->journal)) {
		if (say_all_again(s, seg))
			drop_empty(k);
		mqtt_keep_kick(s);
		loop_after(s->loop, t, CLEAN_MS);
	}
	mqtt_unlock(s);
}
