/*
 * net/mqtt/topics.c - which subscriptions match a topic, and which retained
 * messages match a filter.
 *
 * Filters without wildcards are looked up by name in one step. Those with
 * wildcards hang in a tree with one node per level, where "+" and "#" are
 * children like others; a match visits at most three children per level.
 * Retained messages hang in a second tree of the same kind, without wildcards.
 * A node exists while it, or something below it, holds something.
 */
#include "net/mqtt/private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>

static struct node *
node_new(struct node *parent, struct str level)
{
	struct node *n = mem_new(struct node);

	n->parent = parent;
	n->level = str_copy(level);
	list_init(&n->subs);
	if (parent == NULL)
		return n;
	(void)map_put(&parent->children, n->level, n);
	if (str_eqz(level, "+"))
		parent->plus = n;
	else if (str_eqz(level, "#"))
		parent->hash = n;
	return n;
}

static void
node_free(struct node *n)
{
	map_fini(&n->children);
	str_free(n->level);
	free(n);
}

/* Frees what holds nothing, from `n` upwards; the root stays. */
static void
node_tidy(struct node *n)
{
	while (n->parent != NULL && n->children.n == 0 &&
	    list_empty(&n->subs) && n->retained == NULL) {
		struct node *parent = n->parent;

		(void)map_del(&parent->children, n->level);
		if (n == parent->plus)
			parent->plus = NULL;
		else if (n == parent->hash)
			parent->hash = NULL;
		node_free(n);
		n = parent;
	}
}

/* The node of a path, or NULL if there is none and it is not to be made. */
static struct node *
node_at(struct node *root, struct str path, bool make)
{
	struct node *n = root, *next;

	while (path.ptr != NULL) {
		struct str level = str_cut(&path, '/');

		next = map_get(&n->children, level);
		if (next == NULL && !make)
			return NULL;
		n = next != NULL ? next : node_new(n, level);
	}
	return n;
}

void
mqtt_topics_init(struct topics *t)
{
	*t = (struct topics){ 0 };
	t->wild = node_new(NULL, STR(""));
	t->retained = node_new(NULL, STR(""));
}

/* Frees a tree of retained messages; depth is bounded by LEVELS_MAX. */
static void
tree_free(struct node *n)
{
	struct node *child;
	size_t pos = 0;

	while ((child = map_next(&n->children, &pos)) != NULL)
		tree_free(child);
	mqtt_msg_release(n->retained);
	node_free(n);
}

void
mqtt_topics_fini(struct topics *t)
{
	COUNT_BY(retained, -(int64_t)t->n_retained);
	COUNT_BY(retained_bytes, -(int64_t)t->retained_bytes);
	tree_free(t->wild);
	tree_free(t->retained);
	map_fini(&t->exact);
}

struct topic *
mqtt_topics_get(struct topics *t, struct str name)
{
	return map_get(&t->exact, name);
}

struct topic *
mqtt_topics_make(struct topics *t, struct str name)
{
	struct topic *topic = map_get(&t->exact, name);

	if (topic != NULL)
		return topic;
	t->gen++;
	topic = mem_new(struct topic);
	topic->name = str_copy(name);
	list_init(&topic->subs);
	(void)map_put(&t->exact, topic->name, topic);
	return topic;
}

void
mqtt_topics_tidy(struct topics *t, struct topic *topic)
{
	if (!list_empty(&topic->subs) || topic->queue != NULL)
		return;
	t->gen++;
	(void)map_del(&t->exact, topic->name);
	str_free(topic->name);
	free(topic);
}

void
mqtt_topics_add(struct topics *t, struct str filter, struct sub *sub)
{
	struct topic *topic;
	struct node *node;

	t->gen++;
	sub->exact = !mqtt_has_wildcard(filter);
	if (sub->exact) {
		sub->at = topic = mqtt_topics_make(t, filter);
		list_add(&topic->subs, &sub->link);
	} else {
		sub->at = node = node_at(t->wild, filter, true);
		list_add(&node->subs, &sub->link);
	}
}

void
mqtt_topics_remove(struct topics *t, struct sub *sub)
{
	t->gen++;
	list_del(&sub->link);
	if (sub->exact)
		mqtt_topics_tidy(t, sub->at);
	else
		node_tidy(sub->at);
	sub->at = NULL;
}

struct search {
	topics_visit *visit;
	void *ctx;
};

static void
visit_subs(const struct search *s, struct list *subs)
{
	LIST_EACH (sub, subs, struct sub, link)
		s->visit(s->ctx, sub);
}

/* `rest` are the levels below `n` that the topic still has. */
static void
match_below(const struct search *s, struct node *n, struct str rest, bool first)
{
	struct str level = str_cut(&rest, '/');
	bool hidden = first && level.len > 0 && level.ptr[0] == '$';
	struct node *next[2] = { NULL, hidden ? NULL : n->plus };

	if (n->children.n > (n->plus != NULL) + (size_t)(n->hash != NULL))
		next[0] = map_get(&n->children, level);
	if (!hidden && n->hash != NULL) /* [4.7.2-1] */
		visit_subs(s, &n->hash->subs);
	for (unsigned i = 0; i < 2; i++) {
		if (next[i] == NULL)
			continue;
		if (rest.ptr != NULL) {
			match_below(s, next[i], rest, false);
			continue;
		}
		visit_subs(s, &next[i]->subs);
		if (next[i]->hash != NULL) /* "a/#" matches "a" */
			visit_subs(s, &next[i]->hash->subs);
	}
}

void
mqtt_topics_match(struct topics *t, struct str name, struct topic *exact,
    topics_visit *visit, void *ctx)
{
	struct search s = { visit, ctx };

	if (exact != NULL)
		visit_subs(&s, &exact->subs);
	if (t->wild->children.n > 0)
		match_below(&s, t->wild, name, true);
}

/* --- retained messages --------------------------------------------------- */

static void
retained_put(struct topics *t, struct node *n, struct mqtt_msg *m)
{
	int64_t messages = 0, bytes = 0;

	if (n->retained != NULL) {
		t->n_retained_expiring -= n->retained->expires_ms != 0;
		messages--;
		bytes -= (int64_t)msg_bytes(n->retained);
		mqtt_msg_release(n->retained);
	}
	n->retained = m;
	if (m != NULL) {
		t->n_retained_expiring += m->expires_ms != 0;
		messages++;
		bytes += (int64_t)msg_bytes(m);
	}
	t->n_retained += (size_t)messages;
	t->retained_bytes += (uint64_t)bytes;
	COUNT_BY(retained, messages);
	COUNT_BY(retained_bytes, bytes);
}

bool
mqtt_retained_set(
    struct topics *t, struct mqtt_msg *m, uint32_t max, uint64_t max_bytes)
{
	struct node *n = node_at(t->retained, mqtt_msg_topic(m), false);
	bool had = n != NULL && n->retained != NULL;
	uint64_t bytes = t->retained_bytes + msg_bytes(m);

	if (had)
		bytes -= msg_bytes(n->retained);
	if ((!had && t->n_retained >= max) || bytes > max_bytes) {
		if (had) { /* what is there is not true any more */
			retained_put(t, n, NULL);
			node_tidy(n);
		}
		return false;
	}
	if (n == NULL)
		n = node_at(t->retained, mqtt_msg_topic(m), true);
	retained_put(t, n, msg_ref(m));
	return true;
}

struct mqtt_msg *
mqtt_retained_get(struct topics *t, struct str name)
{
	struct node *n = node_at(t->retained, name, false);

	return n != NULL ? n->retained : NULL;
}

void
mqtt_retained_clear(struct topics *t, struct str name)
{
	struct node *n = node_at(t->retained, name, false);

	if (n == NULL || n->retained == NULL)
		return;
	retained_put(t, n, NULL);
	node_tidy(n);
}

struct retained_search {
	retained_visit *visit;
	void *ctx;
};

static void retained_below(const struct retained_search *s, struct node *n,
    struct str rest, bool first);

static void
retained_child(const struct retained_search *s, struct node *n, struct str rest)
{
	if (rest.ptr != NULL)
		retained_below(s, n, rest, false);
	else if (n->retained != NULL)
		s->visit(s->ctx, n->retained);
}

/* `rest` are the levels of the filter below `n`. */
static void
retained_below(const struct retained_search *s, struct node *n, struct str rest,
    bool first)
{
	struct str whole = rest, level = str_cut(&rest, '/');
	bool all = str_eqz(level, "#");
	struct node *child;
	size_t pos = 0;

	if (all && n->retained != NULL) /* "a/#" matches "a" */
		s->visit(s->ctx, n->retained);
	if (!all && !str_eqz(level, "+")) {
		child = map_get(&n->children, level);
		if (child != NULL)
			retained_child(s, child, rest);
		return;
	}
	while ((child = map_next(&n->children, &pos)) != NULL) {
		if (first && child->level.len > 0 && child->level.ptr[0] == '$')
			continue;
		if (all)
			retained_below(s, child, whole, false);
		else
			retained_child(s, child, rest);
	}
}

void
mqtt_retained_match(
    struct topics *t, struct str filter, retained_visit *visit, void *ctx)
{
	struct retained_search s = { visit, ctx };

	retained_below(&s, t->retained, filter, true);
}

/* --- those that have expired --------------------------------------------- */

#define EXPIRE_BATCH 64 /* in one go */

struct expired {
	struct mqtt_msg *msgs[EXPIRE_BATCH];
	unsigned n;
	int64_t now;
};

static void
note_expired(void *ctx, struct mqtt_msg *m)
{
	struct expired *e = ctx;

	if (e->n < EXPIRE_BATCH && msg_has_expired(m, e->now))
		e->msgs[e->n++] = m;
}

void
mqtt_retained_expire(struct mqtt_server *s)
{
	struct expired e = { .now = clock_mono(), .n = EXPIRE_BATCH };

	while (s->topics.n_retained_expiring > 0 && e.n == EXPIRE_BATCH) {
		e.n = 0;
		mqtt_retained_match(&s->topics, STR("#"), note_expired, &e);
		for (unsigned i = 0; i < e.n; i++) {
			mqtt_keep_unretained(s, e.msgs[i]);
			mqtt_retained_clear(
			    &s->topics, mqtt_msg_topic(e.msgs[i]));
		}
	}
}
