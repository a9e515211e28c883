/*
 * core/data/writer.c - the group writer.
 *
 * Two groups take turns: one gathers under the lock, the other is written
 * without it. The writer takes over what has gathered, in one transaction, and
 * posts the commits to the loop: as many as came meanwhile by one wake-up.
 */
#include "core/data/private.h"

#include "base/base.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static void
group_reset(struct data_group *g)
{
	arena_clear(&g->arena);
	for (int k = 0; k < DATA_KINDS; k++)
		g->kinds[k].n = 0;
	g->n_results = 0;
	g->n = 0;
	g->first = NULL;
	g->last = &g->first;
}

void
data_writer_init(struct data *d)
{
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->work, NULL);
	pthread_mutex_init(&d->told_lock, NULL);
	d->told_last = &d->told;
	group_reset(&d->groups[0]);
	group_reset(&d->groups[1]);
	d->gathers = &d->groups[0];
}

void
data_writer_fini(struct data *d)
{
	for (int i = 0; i < 2; i++) {
		for (int k = 0; k < DATA_KINDS; k++)
			free(d->groups[i].kinds[k].rows);
		free(d->groups[i].results);
		arena_fini(&d->groups[i].arena);
	}
	pthread_mutex_destroy(&d->lock);
	pthread_mutex_destroy(&d->told_lock);
	pthread_cond_destroy(&d->work);
}

/* --- gathering ----------------------------------------------------------- */

/* A copy of the row at the end of its kind's list. */
static void
gather_row(struct data_group *g, enum data_kind kind, const void *row)
{
	const struct record *rec = &data_kind_entities[kind]->record;

	if (g->kinds[kind].n == g->kinds[kind].cap) {
		g->kinds[kind].cap = g->kinds[kind].cap * 2 + 64;
		g->kinds[kind].rows = mem_resize(
		    g->kinds[kind].rows, g->kinds[kind].cap, rec->size);
	}
	record_copy(rec, &g->arena,
	    (char *)g->kinds[kind].rows + g->kinds[kind].n++ * rec->size, row);
}

static void
gather_result(
    struct data_group *g, enum data_kind kind, const struct data_row *row)
{
	if (g->n_results == g->cap_results) {
		g->cap_results = g->cap_results * 2 + 64;
		g->results =
		    mem_resize(g->results, g->cap_results, sizeof(*g->results));
	}
	g->results[g->n_results++] = (struct data_result){ kind,
		arena_str(&g->arena, row->data_id), row->resp, row->status };
}

static void
gather_commit(struct data_group *g, struct data_commit *commit)
{
	if (commit == NULL)
		return;
	commit->next = NULL;
	*g->last = commit;
	g->last = &commit->next;
}

bool
data_put(struct data *d, const enum data_kind *kinds,
    const struct data_row *rows, size_t n, struct data_commit *commit)
{
	struct data_group *g;
	bool was_empty;

	pthread_mutex_lock(&d->lock);
	g = d->gathers;
	if (g->n + n > (size_t)d->conf.queue_max || !d->running) {
		pthread_mutex_unlock(&d->lock);
		counter_add(&d->counters.refused, (int64_t)n);
		return false;
	}
	was_empty = g->n == 0;
	for (size_t i = 0; i < n; i++)
		if (kinds[i] < DATA_KINDS)
			gather_row(g, kinds[i], &rows[i]);
		else
			gather_result(g, kinds[i], &rows[i]);
	g->n += n;
	gather_commit(g, commit);
	if (was_empty)
		pthread_cond_signal(&d->work);
	pthread_mutex_unlock(&d->lock);
	counter_add(&d->counters.waiting, (int64_t)n);
	return true;
}

bool
data_put_operation(struct data *d, const struct data_operation *op)
{
	struct data_group *g;
	bool ok;

	pthread_mutex_lock(&d->lock);
	g = d->gathers;
	ok = d->running && g->n < (size_t)d->conf.queue_max;
	if (ok) {
		gather_row(g, DATA_OPERATION, op);
		if (g->n++ == 0)
			pthread_cond_signal(&d->work);
	}
	pthread_mutex_unlock(&d->lock);
	counter_add(ok ? &d->counters.waiting : &d->counters.refused, 1);
	return ok;
}

/* --- writing ------------------------------------------------------------- */

static int
write_result(struct store *tx, const struct data_result *r, struct err *err)
{
	const struct entity *e =
	    data_kind_entities[r->kind == DATA_APPLICATION_RESULT
		    ? DATA_APPLICATION_DLDATA
		    : DATA_NETWORK_DLDATA];
	struct change changes[2] = { { "resp", value_time(r->resp) },
		{ "status", value_int(r->status) } };
	struct filter f = { 0 };

	filter_text(&f, "dataId", r->data_id);
	return store_update(tx, e, &f, changes, COUNT_OF(changes), NULL, err);
}

static int
write_group(struct store *tx, void *ctx, struct err *err)
{
	const struct data_group *g = ctx;
	int rc = 0;

	for (int k = 0; rc == 0 && k < DATA_KINDS; k++)
		if (g->kinds[k].n > 0)
			rc = store_add_many(tx, data_kind_entities[k],
			    g->kinds[k].rows, g->kinds[k].n, true, NULL, err);
	/* after the rows they belong to, which may be in this same group */
	for (size_t i = 0; rc == 0 && i < g->n_results; i++)
		rc = write_result(tx, &g->results[i], err);
	return rc;
}

/* On the loop. */
static void
run_tell(struct loop_post *post)
{
	struct data *d = container_of(post, struct data, tell);
	struct data_commit *c, *next;

	pthread_mutex_lock(&d->told_lock);
	c = d->told;
	d->told = NULL;
	d->told_last = &d->told;
	d->tell_posted = false;
	pthread_mutex_unlock(&d->told_lock);
	for (; c != NULL; c = next) {
		next = c->next;
		c->done(c, c->ok);
	}
}

static void
tell(struct data *d, struct data_group *g, bool ok)
{
	bool post;

	if (g->first == NULL)
		return;
	for (struct data_commit *c = g->first; c != NULL; c = c->next)
		c->ok = ok;
	pthread_mutex_lock(&d->told_lock);
	*d->told_last = g->first;
	d->told_last = g->last;
	post = !d->tell_posted;
	d->tell_posted = true;
	pthread_mutex_unlock(&d->told_lock);
	if (post)
		loop_post(d->loop, &d->tell);
}

static void *
write_all(void *arg)
{
	struct data *d = arg;

	pthread_setname_np(pthread_self(), "data-writer");
	pthread_mutex_lock(&d->lock);
	for (;;) {
		struct data_group *g = d->gathers;
		struct err err;
		bool ok;

		if (g->n == 0) {
			if (d->ending)
				break;
			pthread_cond_wait(&d->work, &d->lock);
			continue;
		}
		d->gathers = g == &d->groups[0] ? &d->groups[1] : &d->groups[0];
		pthread_mutex_unlock(&d->lock);

		ok = store_tx(d->store, write_group, g, &err) == 0;
		counter_add(&d->counters.waiting, -(int64_t)g->n);
		counter_add(ok ? &d->counters.records : &d->counters.failed,
		    (int64_t)g->n);
		counter_add(&d->counters.groups, ok);
		tell(d, g, ok);
		group_reset(g);
		pthread_mutex_lock(&d->lock);
	}
	pthread_mutex_unlock(&d->lock);
	return NULL;
}

void
data_start(struct data *d, struct loop *loop)
{
	d->loop = loop;
	d->tell.run = run_tell;
	d->running = true;
	d->counter_group = (struct counter_group){ .prefix = "data",
		.rows = data_counter_rows,
		.n = data_counter_rows_n,
		.values = &d->counters };
	counter_register(&d->counter_group);
	if (pthread_create(&d->thread, NULL, write_all, d) != 0)
		abort(); /* at start, with nothing to fall back on */
}

void
data_stop(struct data *d)
{
	if (d == NULL || !d->running)
		return;
	pthread_mutex_lock(&d->lock);
	d->ending = true;
	d->running = false; /* what comes from now on is refused */
	pthread_cond_signal(&d->work);
	pthread_mutex_unlock(&d->lock);
	pthread_join(d->thread, NULL);
}
