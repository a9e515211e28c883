/*
 * core/hub/writer.c - groups of what has changed, to the store.
 *
 * While one group is being written the next one gathers: the slower the disk,
 * the larger the groups. A group is one transaction; then the messages it came
 * of are acknowledged, all by one post to the routing loop. Who follows by
 * WebSocket hears of it then as well: what one is told of can be read.
 */
#include "core/hub/live.h"
#include "core/hub/private.h"

#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>

#define LOG_MODULE "hub"

struct change_row {
	struct change_row *next;
	const struct entity *entity;
	void *row;
	const char *fields; /* NULL: add */
	const char *by;     /* not NULL: rows go whose member `by` is `gone` */
	struct str gone;
};

static void
group_reset(struct group *g)
{
	arena_clear(&g->arena);
	g->first = NULL;
	g->last = &g->first;
	g->n = 0;
	g->n_points = 0;
	g->done = NULL;
	g->failed = false;
}

void
writer_put(struct hub *h, const struct entity *e, const void *row, bool add,
    const char *fields)
{
	struct group *g = h->gathers;
	struct change_row *c = arena_new(&g->arena, struct change_row);

	c->entity = e;
	c->row = arena_alloc(&g->arena, e->record.size);
	record_copy(&e->record, &g->arena, c->row, row);
	c->fields = add ? NULL : fields;
	*g->last = c;
	g->last = &c->next;
	g->n++;
	loop_defer(h->loop, &h->kick);
	event_written(h, e, row, add);
}

void
writer_gone(
    struct hub *h, const struct entity *e, const char *by, struct str value)
{
	struct group *g = h->gathers;
	struct change_row *c = arena_new(&g->arena, struct change_row);

	c->entity = e;
	c->by = by;
	c->gone = arena_str(&g->arena, value);
	*g->last = c;
	g->last = &c->next;
	g->n++;
	loop_defer(h->loop, &h->kick);
}

void
writer_forget(struct hub *h)
{
	group_reset(h->gathers);
}

static int
write_row(struct store *tx, const struct change_row *c, struct err *err)
{
	const struct record *rec = &c->entity->record;
	struct filter f = { 0 };
	struct change changes[64];
	struct arena a = { 0 };
	size_t n;
	int rc;

	if (c->gone.ptr != NULL) {
		filter_text(&f, c->by, c->gone);
		return store_del(tx, c->entity, &f, NULL, err);
	}
	if (c->fields == NULL)
		return store_upsert(tx, c->entity, c->row, err);
	filter_text(&f, "id", *(const struct str *)c->row);
	n = rest_changes(
	    rec, field_bits(rec, c->fields, NULL), &a, c->row, changes);
	rc = store_update(tx, c->entity, &f, changes, n, NULL, err);
	arena_fini(&a);
	return rc;
}

static int
write_group(struct store *tx, void *ctx, struct err *err)
{
	const struct group *g = ctx;
	int rc = 0;

	for (const struct change_row *c = g->first; rc == 0 && c != NULL;
	     c = c->next)
		rc = write_row(tx, c, err);
	return rc;
}

/* On the routing loop. */
static void
tell(struct loop_post *post)
{
	struct group *g = container_of(post, struct group, told);
	struct hub *h = g->hub;
	struct heard *m, *next;
	size_t n = 0;

	for (m = g->done; m != NULL; m = next, n++) {
		next = m->next_done;
		m->commit->done(m->commit, !g->failed);
		arena_fini(&m->arena);
		free(m);
	}
	pthread_mutex_lock(&h->lock);
	h->n_heard -= n;
	pthread_mutex_unlock(&h->lock);
	counter_add(&h->counters.waiting, -(int64_t)n);
	if (g->failed)
		counter_add(&h->counters.failed, (int64_t)n);
	loop_post(h->loop, &g->finished);
}

/* On the writer's thread. */
static void
write_it(struct worker_job *job)
{
	struct group *g = container_of(job, struct group, job);
	struct err err;

	if (history_write(g, &err) != 0 ||
	    (g->n > 0 && store_tx(g->hub->store, write_group, g, &err) != 0)) {
		g->failed = true;
		log_error("values could not be stored: %s; their senders are "
			  "to repeat them",
		    err.text);
	}
	if (g->done != NULL)
		loop_post(g->hub->routing, &g->told);
	else
		loop_post(g->hub->loop, &g->finished);
}

static void
give_live(struct group *g)
{
	struct live_batch *b, *next = g->live;

	g->live = NULL;
	g->live_last = &g->live;
	while ((b = next) != NULL) {
		next = b->next;
		live_give(g->hub->live, b);
	}
}

void
writer_tell(struct hub *h, struct live_batch *b)
{
	struct group *g = h->gathers;

	b->next = NULL;
	*g->live_last = b;
	g->live_last = &b->next;
	loop_defer(h->loop, &h->kick);
}

void
writer_tell_rest(struct hub *h)
{
	give_live(h->gathers == &h->groups[0] ? &h->groups[1] : &h->groups[0]);
	give_live(h->gathers);
}

static void
finished(struct loop_post *post)
{
	struct group *g = container_of(post, struct group, finished);

	if (g->failed)
		model_unsure(g->hub);
	give_live(g);
	group_reset(g);
	g->hub->writing = false;
	writer_kick(g->hub);
	hub_maybe_rest(g->hub);
	hub_maybe_end(g->hub);
}

void
writer_kick(struct hub *h)
{
	struct group *g = h->gathers;

	if (h->writing)
		return;
	model_gather(h);
	if (g->n == 0 && g->n_points == 0 && g->done == NULL) {
		give_live(g); /* of what is stored already */
		return;
	}
	h->writing = true;
	h->gathers = g == &h->groups[0] ? &h->groups[1] : &h->groups[0];
	if (worker_submit(h->writer, &g->job) != 0)
		abort(); /* there is one group at a time */
}

static void
on_kick(struct loop_defer *d)
{
	struct hub *h = container_of(d, struct hub, kick);

	event_kick(h);
	writer_kick(h);
	hub_maybe_rest(h);
	hub_maybe_end(h);
}

void
writer_init(struct hub *h)
{
	h->kick.run = on_kick;
	h->writer = worker_pool_new("hub-writer", 1, 1);
	for (int i = 0; i < 2; i++) {
		struct group *g = &h->groups[i];

		g->hub = h;
		g->job.run = write_it;
		g->told.run = tell;
		g->finished.run = finished;
		g->live_last = &g->live;
		group_reset(g);
	}
	h->gathers = &h->groups[0];
}

void
writer_fini(struct hub *h)
{
	worker_pool_free(h->writer);
	h->writer = NULL;
	loop_undefer(h->loop, &h->kick); /* what came since is not written */
	for (int i = 0; i < 2; i++) {
		free(h->groups[i].points);
		arena_fini(&h->groups[i].arena);
	}
}
