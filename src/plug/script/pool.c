/*
 * plug/script/pool.c - see script.h for the promises; this is how they are
 * kept.
 *
 *         first call         READY        calls are sent
 *    none -----------> STARTING ----> IDLE ------------> BUSY
 *     ^                    |          | ^                | |
 *     |     cannot start   |          | |  last answer   | |
 *     |<-------------------+          | +----------------+ |
 *     |   idle time, turn is up       |                    |
 *     |<------------------------------+                    |
 *     |   over time or memory, dead, nonsense              |
 *     +<---------------------------------------------------+
 *
 * What a helper was sent and has not answered is in h->sent, in order; it
 * answers in that order. When a helper is lost, the call it was in ends, and
 * the others of h->sent go back to the front of their group's queue. Which call
 * it was in is said by the page of memory that both see; if it says nonsense,
 * it is the first of h->sent.
 *
 *  (1) A call is in group->waiting, or in some h->sent, or has ended.
 *  (2) A group has at most one helper, a helper exactly one group.
 *  (3) A group without a helper whose calls wait is in pool->needy.
 *  (4) The tick runs while there is a helper or a dead child.
 *
 * Over its memory, or dead, a helper may be because of what earlier calls left
 * behind. So the call is given one more chance, as the first of a new helper.
 */
#include "plug/script/pool.h"

#include "base/base.h"
#include "base/mem.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* --- ends of calls -------------------------------------------------------- */

static void
count_end(enum script_end end)
{
	counter_add(&script_counters.calls, 1);
	counter_add(&script_counters.waiting, -1);
	if (end == SCRIPT_FAILED)
		counter_add(&script_counters.failed, 1);
	else if (end == SCRIPT_TIMEOUT)
		counter_add(&script_counters.killed_time, 1);
	else if (end == SCRIPT_MEMORY)
		counter_add(&script_counters.killed_memory, 1);
	else if (end == SCRIPT_CRASHED)
		counter_add(&script_counters.crashed, 1);
}

static struct group *
group_of(struct script_pool *p, struct str name)
{
	struct group *g = map_get(&p->groups, name);

	if (g != NULL)
		return g;
	g = mem_new(struct group);
	g->name = str_copy(name);
	list_init(&g->waiting);
	list_init(&g->link);
	map_put(&p->groups, g->name, g);
	return g;
}

/* Forgets a group that has nothing. */
void
pool_drop_group(struct script_pool *p, struct group *g)
{
	if (g->n > 0 || g->helper != NULL)
		return;
	list_del(&g->link);
	map_del(&p->groups, g->name);
	str_free(g->name);
	free(g);
}

/* The call's answer is in it; only done() is left. */
void
pool_finish(struct script_pool *p, struct script_call *c, enum script_end end)
{
	struct group *g = map_get(&p->groups, c->group);

	c->end = end;
	c->helper = NULL;
	c->queued = false;
	if (g != NULL) {
		g->n--;
		pool_drop_group(p, g);
	}
	count_end(end);
	c->done(c);
}

/* The same without an answer. */
void
pool_finish_bare(struct script_pool *p, struct script_call *c,
    enum script_end end, int code, const char *why)
{
	c->result = c->console = STR("");
	c->line = 0;
	err_set(&c->err, code, "%s", why);
	pool_finish(p, c, end);
}

/* It could not be started: nothing of its group can run now. */
void
pool_refuse_group(struct script_pool *p, struct group *g, const struct err *why)
{
	struct list all;

	list_init(&all);
	list_join(&all, &g->waiting);
	list_del(&g->link);
	if (list_empty(&all))
		pool_drop_group(p, g); /* else its last call does it */
	while (!list_empty(&all)) {
		struct script_call *c =
		    container_of(all.next, struct script_call, link);

		list_del(&c->link);
		pool_finish_bare(p, c, SCRIPT_REFUSED, why->code, why->text);
	}
}

/* --- who gets a process --------------------------------------------------- */

/* A group that waits for a helper and has none gets in line. */
void
pool_line_up(struct script_pool *p, struct group *g)
{
	if (g->helper == NULL && !list_empty(&g->waiting) &&
	    list_empty(&g->link))
		list_add(&p->needy, &g->link);
}

/* The helper that has had nothing to do for longest; NULL: none. */
static struct helper *
longest_idle(struct script_pool *p)
{
	struct helper *ret = NULL;

	LIST_EACH (h, &p->helpers, struct helper, link)
		if (h->state == IDLE && list_empty(&h->group->waiting) &&
		    (ret == NULL || h->heard < ret->heard))
			ret = h;
	return ret;
}

/* At the end of a turn: what was asked for in it is sent together. */
static void
on_defer(struct loop_defer *d)
{
	struct script_pool *p = container_of(d, struct script_pool, defer);
	struct err err = { 0 };

	while (!list_empty(&p->needy) && !p->ending) {
		struct group *g =
		    container_of(p->needy.next, struct group, link);

		if (p->n_helpers >= p->conf.processes) {
			struct helper *h = longest_idle(p);
			struct group *old;

			if (h == NULL)
				break; /* one that is done calls us again */
			old = h->group;
			helper_end(h);
			pool_drop_group(p, old);
		}
		if (helper_start(p, g, &err) != 0)
			pool_refuse_group(p, g, &err);
	}
	LIST_EACH (h, &p->helpers, struct helper, link)
		helper_send(h);
}

/* --- the pool ------------------------------------------------------------- */

struct script_pool *
script_pool_new(struct loop *loop, const struct script_conf *conf,
    const struct script_host *host)
{
	struct script_pool *p = mem_new(struct script_pool);

	p->loop = loop;
	p->conf = *conf;
	p->conf.helper = str_copy(conf->helper);
	if (host != NULL)
		p->host = *host;
	list_init(&p->needy);
	list_init(&p->helpers);
	p->tick.fire = pool_on_tick;
	p->defer.run = on_defer;
	return p;
}

static void
refuse_calls(struct script_pool *p, struct list *calls)
{
	while (!list_empty(calls)) {
		struct script_call *c =
		    container_of(calls->next, struct script_call, link);

		list_del(&c->link);
		pool_finish_bare(
		    p, c, SCRIPT_REFUSED, ERR_CLOSED, "scripts are ending");
	}
}

void
script_pool_free(struct script_pool *p)
{
	struct list calls;
	size_t at = 0;
	struct group *g;

	if (p == NULL)
		return;
	p->ending = true;
	list_init(&calls);
	while ((g = map_next(&p->groups, &at)) != NULL) {
		struct helper *h = g->helper;

		for (uint32_t i = 0; h != NULL && i < h->n; i++) {
			struct script_call *c = helper_sent(h, i)->call;

			if (c != NULL)
				list_add(&calls, &c->link);
		}
		list_join(&calls, &g->waiting);
		list_del(&g->link);
		if (h != NULL) {
			h->n = 0;
			helper_end(h);
		}
	}
	refuse_calls(p, &calls);
	for (at = 0; (g = map_next(&p->groups, &at)) != NULL; at = 0)
		pool_drop_group(
		    p, g); /* those that had a helper and no calls */
	for (size_t i = 0; i < p->n_dead; i++)
		if (p->dead[i] > 0)
			(void)process_reap(p->dead[i], true, NULL);
	loop_cancel(p->loop, &p->tick);
	loop_undefer(p->loop, &p->defer);
	map_fini(&p->groups);
	str_free(p->conf.helper);
	free(p->dead);
	free(p);
}

static bool
is_name(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		char ch = s.ptr[i];

		if (!((ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
			(ch >= '0' && ch <= '9' && i > 0) || ch == '_' ||
			ch == '$'))
			return false;
	}
	return s.len > 0 && s.len <= 128;
}

static bool
is_text(struct str s)
{
	return str_is_utf8(s) && memchr(s.ptr, '\0', s.len) == NULL;
}

static int
check_call(const struct script_call *c, struct err *err)
{
	size_t size = c->arg.len;

	if (c->source.ptr == NULL || !is_text(c->source))
		return err_set(err, ERR_PARAM, "the script is not text");
	if (c->source.len > SCRIPT_SOURCE_MAX)
		return err_set(err, ERR_LIMIT,
		    "the script has %zu bytes, more than %d", c->source.len,
		    SCRIPT_SOURCE_MAX);
	if (c->n_vars > SCRIPT_VARS_MAX)
		return err_set(err, ERR_LIMIT, "%zu variables, more than %d",
		    c->n_vars, SCRIPT_VARS_MAX);
	for (size_t i = 0; i < c->n_vars; i++) {
		const struct script_var *v = &c->vars[i];

		if (!is_name(v->name))
			return err_set(err, ERR_PARAM,
			    "\"" STR_FMT "\" is no name for a variable",
			    STR_ARG(v->name));
		if (v->json.ptr == NULL || !is_text(v->json))
			return err_set(err, ERR_PARAM,
			    "variable " STR_FMT " is not JSON",
			    STR_ARG(v->name));
		size += v->json.len;
	}
	if (c->arg.ptr != NULL && !is_text(c->arg))
		return err_set(err, ERR_PARAM, "the argument is not JSON");
	if (size > SCRIPT_INPUT_MAX)
		return err_set(err, ERR_LIMIT,
		    "the input has %zu bytes, more than %d", size,
		    SCRIPT_INPUT_MAX);
	return 0;
}

int
script_run(struct script_pool *p, struct script_call *c, struct err *err)
{
	struct group *g;
	int rc = check_call(c, err);

	if (rc != 0)
		return rc;
	if (p->ending)
		return err_set(err, ERR_CLOSED, "scripts are ending");
	g = group_of(p, c->group);
	if (g->n >= p->conf.queue) {
		counter_add(&script_counters.refused, 1);
		return err_set(err, ERR_LIMIT,
		    "%" PRId64 " calls of scripts wait already", g->n);
	}
	g->n++;
	counter_add(&script_counters.waiting, 1);
	c->helper = NULL;
	c->queued = true;
	c->asked = false;
	c->tries = 0;
	list_add(&g->waiting, &c->link);
	pool_line_up(p, g);
	loop_defer(p->loop, &p->defer);
	return 0;
}

void
script_cancel(struct script_pool *p, struct script_call *c)
{
	struct helper *h = c->helper;
	struct group *g = map_get(&p->groups, c->group);

	if (c->queued) {
		list_del(&c->link);
		c->queued = false;
	} else if (h != NULL) {
		for (uint32_t i = 0; i < h->n; i++)
			if (helper_sent(h, i)->call == c)
				helper_sent(h, i)->call = NULL;
		c->helper = NULL;
	} else {
		return; /* it has ended */
	}
	counter_add(&script_counters.waiting, -1);
	if (g == NULL)
		return;
	g->n--;
	if (list_empty(&g->waiting))
		list_del(&g->link);
	pool_drop_group(p, g);
}

/* --- for workers ---------------------------------------------------------- */

struct wait {
	struct loop_post post;
	struct script_pool *pool;
	struct script_call *call;
	struct script_call inner;
	struct arena *arena;
	struct err *err;
	int rc;
	pthread_mutex_t lock;
	pthread_cond_t over;
	bool is_over;
};

static void
wait_is_over(struct wait *w)
{
	pthread_mutex_lock(&w->lock);
	w->is_over = true;
	pthread_cond_signal(&w->over);
	pthread_mutex_unlock(&w->lock);
}

static void
on_waited_for(struct script_call *inner)
{
	struct wait *w = container_of(inner, struct wait, inner);
	struct script_call *c = w->call;

	c->end = inner->end;
	c->err = inner->err;
	c->line = inner->line;
	c->result = arena_str(w->arena, inner->result);
	c->console = arena_str(w->arena, inner->console);
	w->rc = inner->err.code;
	if (w->rc != 0 && w->err != NULL)
		*w->err = inner->err;
	wait_is_over(w);
}

static void
on_post(struct loop_post *post)
{
	struct wait *w = container_of(post, struct wait, post);

	w->rc = script_run(w->pool, &w->inner, w->err);
	if (w->rc != 0) {
		w->call->end = SCRIPT_REFUSED;
		wait_is_over(w);
	}
}

int
script_run_wait(struct script_pool *p, struct script_call *c, struct arena *a,
    struct err *err)
{
	struct wait w = { .post.run = on_post,
		.pool = p,
		.call = c,
		.inner = *c,
		.arena = a,
		.err = err };

	w.inner.done = on_waited_for;
	pthread_mutex_init(&w.lock, NULL);
	pthread_cond_init(&w.over, NULL);
	loop_post(p->loop, &w.post);
	pthread_mutex_lock(&w.lock);
	while (!w.is_over)
		pthread_cond_wait(&w.over, &w.lock);
	pthread_mutex_unlock(&w.lock);
	pthread_cond_destroy(&w.over);
	pthread_mutex_destroy(&w.lock);
	return w.rc;
}
