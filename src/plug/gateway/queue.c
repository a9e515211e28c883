/*
 * plug/gateway/queue.c - the way down: frames that wait, one that is being
 * sent, and those that are kept for nodes that sleep.
 *
 *            link up, a job is there
 *    QUIET ------------------------> RESTING ------> SENDING
 *      ^                            transmitPreDelay    |
 *      +------------------------------------------------+
 *            answered, or the link is lost
 *
 * A job is in one place: `queue` (its first is the one that rests or is being
 * sent), the list of a sleeper, `away`, where it has left and its provider
 * waits for an answer, or `ended`, where its own answer is due. Those that are
 * yet to be sent are in `due`, by when they expire, and one timer runs for the
 * first of them.
 *
 *  (1) Frames of a node leave in their order: those that are kept go before a
 *      later one that needs not be kept.
 *  (2) A sleeper with nothing is not there.
 */
#include "base/base.h"
#include "base/clock.h"
#include "base/mem.h"
#include "codec/json.h"
#include "plug/gateway/private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sleeper {
	struct str node; /* owned */
	struct list jobs;
	uint32_t n;
	bool failed; /* it is not known to sleep: it could not be reached */
};

struct job {
	struct list link;
	struct gateway_job pub;
	struct str slot; /* null: has none */
	struct sleeper *sleeper;
	bool away;
	gateway_sent_done *done;
	void *ctx;
	struct heap_item due; /* monotonic */
	int64_t since, until; /* wall clock */
	enum gateway_outcome outcome;
	struct err why;
};

static struct job *
first_job(struct gateway *g)
{
	return list_first(&g->queue, struct job, link);
}

/* --- the end of a job ----------------------------------------------------- */

static void
free_job(struct job *j)
{
	arena_fini(&j->pub.arena);
	free(j);
}

static void
watch_due(struct gateway *g)
{
	struct heap_item *first = heap_first(&g->due);

	if (first == NULL)
		loop_cancel(g->host->loop, &g->expiry);
	else
		loop_after(g->host->loop, &g->expiry,
		    MAX_OF(first->at - clock_mono(), 0));
}

/* Takes it out of wherever it waits. */
static void
take_out(struct gateway *g, struct job *j)
{
	struct sleeper *s = j->sleeper;

	list_del(&j->link);
	j->away = false;
	if (j->due.pos != 0)
		heap_del(&g->due, &j->due);
	if (s == NULL) {
		g->state.waiting--;
		return;
	}
	g->state.sleeping--;
	j->sleeper = NULL;
	if (--s->n > 0)
		return;
	(void)map_del(&g->sleepers, s->node);
	str_free(s->node);
	free(s);
}

/* `code` 0: it went well. The answer comes when this turn is over. */
static void
end_job(struct gateway *g, struct job *j, enum gateway_outcome outcome,
    int code, const char *why)
{
	take_out(g, j);
	j->outcome = outcome;
	j->why = (struct err){ 0 };
	if (code != 0)
		err_set(&j->why, code, "%s", why);
	gateway_scrub(g, &j->why);
	if (outcome == GATEWAY_SENT)
		g->state.sent++;
	else
		g->state.failed++;
	list_add(&g->ended, &j->link);
	loop_defer(g->host->loop, &g->answer);
}

static void
on_answer(struct loop_defer *d)
{
	struct gateway *g = container_of(d, struct gateway, answer);
	bool gone = false, *outer = g->gone;
	struct job *j;

	g->gone = &gone;
	while (!gone && (j = list_first(&g->ended, struct job, link)) != NULL) {
		list_del(&j->link);
		if (j->done != NULL)
			j->done(j->ctx, j->outcome, &j->why);
		free_job(j);
	}
	if (!gone)
		g->gone = outer;
	else if (outer != NULL)
		*outer = true;
}

static void
on_expiry(struct loop_timer *t)
{
	struct gateway *g = container_of(t, struct gateway, expiry);
	struct heap_item *item;

	while ((item = heap_first(&g->due)) != NULL && item->at <= clock_mono())
		end_job(g, container_of(item, struct job, due), GATEWAY_EXPIRED,
		    ERR_LIMIT, "it could not be sent in its time");
	watch_due(g);
}

/* --- nodes that sleep ----------------------------------------------------- */

static struct sleeper *
sleeper_of(struct gateway *g, struct str node)
{
	struct sleeper *s = map_get(&g->sleepers, node);

	if (s != NULL)
		return s;
	s = mem_new(struct sleeper);
	s->node = str_copy(node);
	list_init(&s->jobs);
	(void)map_put(&g->sleepers, s->node, s);
	return s;
}

static struct job *
same_slot(struct sleeper *s, struct str slot)
{
	if (s == NULL || slot.ptr == NULL)
		return NULL;
	LIST_EACH (j, &s->jobs, struct job, link)
		if (j->slot.ptr != NULL && str_eq(j->slot, slot))
			return j;
	return NULL;
}

/* Keeps a job that is in no list for its node. The newest is worth most: over
 * the limit the oldest goes. */
static void
keep(struct gateway *g, struct job *j)
{
	const struct gateway_settings *set = g->host->settings;
	struct sleeper *s = sleeper_of(g, j->pub.frame.node);
	struct job *older = same_slot(s, j->slot);

	list_add(&s->jobs, &j->link);
	j->sleeper = s;
	s->n++;
	g->state.sleeping++;
	heap_put(&g->due, &j->due, j->due.at);
	if (older != NULL) {
		end_job(g, older, GATEWAY_REPLACED, ERR_EXISTS,
		    "a newer one took its place");
	} else if (s->n > set->sleeping) {
		g->state.dropped++;
		end_job(g, list_first(&s->jobs, struct job, link),
		    GATEWAY_REPLACED, ERR_LIMIT,
		    "newer ones took its place (hub.gateway.sleeping)");
	}
	watch_due(g);
}

/* Behind the last of the node in the queue, else before all others, since a
 * node is awake for a moment only; but not before the one being sent. */
static struct list *
place_for(struct gateway *g, struct str node)
{
	struct list *at = &g->queue;
	bool first = true;

	LIST_EACH (j, &g->queue, struct job, link) {
		if ((first && g->stage == SENDING) ||
		    str_eq(j->pub.frame.node, node))
			at = &j->link;
		first = false;
	}
	return at;
}

static void
wake(struct gateway *g, struct sleeper *s)
{
	struct list *at = place_for(g, s->node);
	uint32_t n = s->n;

	while (n-- > 0) { /* taking the last one out frees `s` */
		struct job *j = list_first(&s->jobs, struct job, link);

		take_out(g, j);
		list_add_first(at, &j->link);
		at = &j->link;
		g->state.waiting++;
		heap_put(&g->due, &j->due, j->due.at);
	}
	watch_due(g);
	loop_defer(g->host->loop, &g->step);
}

void
gateway_awake(struct gateway *g, struct str node)
{
	struct sleeper *s = map_get(&g->sleepers, node);

	if (s != NULL && g->state.status == GATEWAY_UP)
		wake(g, s);
}

void
gateway_queue_heard(struct gateway *g, struct str node)
{
	struct sleeper *s = map_get(&g->sleepers, node);

	if (s != NULL && s->failed && g->state.status == GATEWAY_UP)
		wake(g, s);
}

void
gateway_sleeping(const struct gateway *g,
    void (*each)(
	void *ctx, const struct gateway_frame *f, int64_t since, int64_t until),
    void *ctx)
{
	size_t pos = 0;
	struct sleeper *s;

	while ((s = map_next(&g->sleepers, &pos)) != NULL)
		LIST_EACH (j, &s->jobs, struct job, link)
			each(ctx, &j->pub.frame, j->since, j->until);
}

static void
clear(struct gateway *g, struct sleeper *s)
{
	for (uint32_t n = s->n; n > 0; n--)
		end_job(g, list_first(&s->jobs, struct job, link),
		    GATEWAY_EXPIRED, ERR_NOT_FOUND, "it was cleared");
}

void
gateway_sleeping_clear(struct gateway *g, struct str node)
{
	struct sleeper *s;
	size_t pos = 0;

	if (node.len > 0) {
		s = map_get(&g->sleepers, node);
		if (s != NULL)
			clear(g, s);
	} else {
		while ((s = map_next(&g->sleepers, &pos)) != NULL) {
			clear(g, s);
			pos = 0;
		}
	}
	watch_due(g);
}

/* --- sending -------------------------------------------------------------- */

static void
send_first(struct gateway *g)
{
	struct job *j = first_job(g);

	g->stage = SENDING;
	heap_del(&g->due, &j->due);
	watch_due(g);
	j->pub.attempts++;
	g->ops->send(g->own, &j->pub);
}

static void
on_rest(struct loop_timer *t)
{
	struct gateway *g = container_of(t, struct gateway, rest);

	g->stage = QUIET;
	if (!list_empty(&g->queue))
		send_first(g);
}

static void
on_step(struct loop_defer *d)
{
	struct gateway *g = container_of(d, struct gateway, step);
	int64_t ms = g->link != NULL ? g->link->delay_ms : 0;

	if (g->stage != QUIET || list_empty(&g->queue) ||
	    g->state.status != GATEWAY_UP)
		return;
	if (ms == 0) {
		send_first(g);
		return;
	}
	g->stage = RESTING;
	loop_after(g->host->loop, &g->rest, ms);
}

/* May what failed wait until the node is heard again? */
static bool
may_keep(struct gateway *g, struct job *j)
{
	struct arena a = { 0 };
	struct str label = STR_NULL;
	bool off;

	if (!g->queue_failed || j->pub.frame.node.len == 0)
		return false;
	if (g->host->label != NULL)
		label = g->host->label(g->host->ctx, &a, j->pub.frame.node,
		    "sleep_queue_disabled");
	off = str_eq_nocase(label, STR("true")) ||
	    str_eq_nocase(label, STR("on")) || str_eqz(label, "1") ||
	    str_eq_nocase(label, STR("enable"));
	arena_fini(&a);
	return !off && j->due.at > clock_mono();
}

void
gateway_job_done(struct gateway *g, struct gateway_job *pub,
    enum gateway_outcome outcome, const struct err *err)
{
	struct job *j = container_of(pub, struct job, pub);

	if (!j->away) {
		g->stage = QUIET;
		loop_defer(g->host->loop, &g->step);
	}
	if (outcome != GATEWAY_SENT &&
	    (err == NULL || err->code != ERR_DENIED) && may_keep(g, j)) {
		take_out(g, j);
		sleeper_of(g, j->pub.frame.node)->failed = true;
		keep(g, j);
		return;
	}
	end_job(g, j, outcome, outcome == GATEWAY_SENT ? 0 : ERR_IO,
	    err != NULL && err->text[0] != '\0' ? err->text : "not sent");
	if (err != NULL && err->code != 0 && outcome != GATEWAY_SENT)
		j->why.code = err->code;
}

void
gateway_job_left(struct gateway *g, struct gateway_job *pub)
{
	struct job *j = container_of(pub, struct job, pub);

	if (j->away)
		return;
	j->away = true;
	list_del(&j->link);
	list_add(&g->away, &j->link);
	g->stage = QUIET;
	loop_defer(g->host->loop, &g->step);
}

static void
on_put(void *ctx, bool ok)
{
	struct job *j = ctx;
	struct gateway *g = j->pub.gateway;
	struct err err;

	if (ok) {
		gateway_job_done(g, &j->pub, GATEWAY_SENT, NULL);
		return;
	}
	err_set(&err, ERR_IO, "the peer did not take it");
	gateway_job_done(g, &j->pub, GATEWAY_FAILED, &err);
}

void
gateway_put_job(struct gateway *g, struct gateway_job *pub, struct str topic,
    struct str data)
{
	struct job *j = container_of(pub, struct job, pub);
	struct err err = { 0 };

	if (gateway_put(g, topic, data, on_put, j, &err) != 0)
		gateway_job_done(g, pub, GATEWAY_FAILED, &err);
}

/* A put of gateway_put_job() must not answer for a job that waits again. */
static void
forget_puts(struct gateway *g, struct job *j)
{
	LIST_EACH (p, &g->puts, struct gateway_put, link)
		if (p->done == on_put && p->ctx == j)
			p->done = NULL;
}

void
gateway_queue_up(struct gateway *g)
{
	loop_defer(g->host->loop, &g->step);
}

void
gateway_queue_down(struct gateway *g)
{
	struct job *j = first_job(g);

	loop_cancel(g->host->loop, &g->rest);
	if (g->stage == SENDING) {
		if (g->ops->cancel != NULL)
			g->ops->cancel(g->own, &j->pub);
		forget_puts(g, j);
		heap_put(&g->due, &j->due, j->due.at);
		watch_due(g);
	}
	g->stage = QUIET;
}

/* --- taking --------------------------------------------------------------- */

static struct str
slot_of(struct arena *a, struct str extension)
{
	struct str key, slot = STR_NULL;
	struct json j;

	json_open(&j, extension, 0, a);
	if (extension.ptr != NULL && json_object(&j))
		while (json_member(&j, &key)) {
			if (str_eqz(key, "slot") &&
			    json_peek(&j) == JSON_STRING)
				json_str(&j, &slot);
			else
				json_skip(&j);
		}
	return slot;
}

static int
check(struct gateway *g, const struct gateway_frame *f, bool asleep,
    struct err *err)
{
	const struct gateway_settings *set = g->host->settings;
	uint32_t all = g->state.waiting + g->state.sleeping;

	if (g->closing)
		return err_set(err, ERR_CLOSED, "the gateway is closed");
	if (f->data.len > (uint64_t)set->max_frame)
		return err_set(err, ERR_LIMIT,
		    "the frame is over %" PRId64
		    " bytes (hub.gateway.maxFrame)",
		    set->max_frame);
	if (asleep && f->node.len == 0)
		return err_set(err, ERR_PARAM,
		    "a frame without a node can not wait for it");
	if (all >= set->queue)
		return err_set(err, ERR_LIMIT,
		    "%" PRIu32 " frames wait already (hub.gateway.queue)", all);
	return 0;
}

int
gateway_send(struct gateway *g, const struct gateway_frame *f, bool asleep,
    int64_t validity_ms, gateway_sent_done *done, void *ctx, struct err *err)
{
	struct err ignored, *why = err != NULL ? err : &ignored;
	struct sleeper *s = map_get(&g->sleepers, f->node);
	int64_t ms =
	    validity_ms > 0 ? validity_ms : g->host->settings->sleeping_ms;
	struct job *j;
	int rc;

	rc = check(g, f, asleep, why);
	if (rc != 0)
		return rc;
	j = mem_new(struct job);
	j->pub.gateway = g;
	j->pub.frame.node =
	    arena_str(&j->pub.arena, f->node.ptr != NULL ? f->node : STR(""));
	j->pub.frame.data =
	    arena_str(&j->pub.arena, f->data.ptr != NULL ? f->data : STR(""));
	j->pub.frame.extension = arena_str(&j->pub.arena, f->extension);
	j->pub.frame.id = arena_str(&j->pub.arena, f->id);
	j->slot = slot_of(&j->pub.arena, j->pub.frame.extension);
	if (g->ops->prepare != NULL &&
	    g->ops->prepare(g->own, &j->pub, why) != 0) {
		free_job(j);
		return gateway_scrub(g, why);
	}
	j->done = done;
	j->ctx = ctx;
	j->since = clock_now();
	j->until = j->since + ms;
	j->due.at = clock_mono() + ms;
	if (asleep) {
		keep(g, j);
		return 0;
	}
	if (s != NULL)
		wake(g, s); /* (1) */
	list_add(&g->queue, &j->link);
	g->state.waiting++;
	heap_put(&g->due, &j->due, j->due.at);
	watch_due(g);
	loop_defer(g->host->loop, &g->step);
	return 0;
}

static struct job *
find_in(const struct list *all, struct str id)
{
	LIST_EACH (j, (struct list *)(uintptr_t)all, struct job, link)
		if (str_eq(j->pub.frame.id, id))
			return j;
	return NULL;
}

/* One that has not ended. */
static struct job *
find(const struct gateway *g, struct str id)
{
	struct job *j = find_in(&g->queue, id);
	const struct sleeper *s;
	size_t pos = 0;

	if (j == NULL)
		j = find_in(&g->away, id);
	while (j == NULL && (s = map_next(&g->sleepers, &pos)) != NULL)
		j = find_in(&s->jobs, id);
	return j;
}

bool
gateway_has(const struct gateway *g, struct str id)
{
	return find(g, id) != NULL || find_in(&g->ended, id) != NULL;
}

bool
gateway_take_back(struct gateway *g, struct str id)
{
	struct job *j = find(g, id);
	bool begun = j != NULL && j == first_job(g) && g->stage == SENDING;

	if (j == NULL)
		return false;
	if ((begun || j->away) && g->ops->cancel != NULL)
		g->ops->cancel(g->own, &j->pub);
	if (begun) {
		forget_puts(g, j);
		g->stage = QUIET;
		loop_defer(g->host->loop, &g->step);
	}
	end_job(g, j, GATEWAY_EXPIRED, ERR_NOT_FOUND, "it was taken back");
	watch_due(g);
	return true;
}

void
gateway_queue_init(struct gateway *g)
{
	list_init(&g->queue);
	list_init(&g->away);
	list_init(&g->ended);
	g->step.run = on_step;
	g->answer.run = on_answer;
	g->rest.fire = on_rest;
	g->expiry.fire = on_expiry;
}

void
gateway_queue_fini(struct gateway *g)
{
	struct sleeper *s;
	struct job *j;
	size_t pos = 0;

	while ((j = list_first(&g->away, struct job, link)) != NULL) {
		g->ops->cancel(g->own, &j->pub);
		end_job(
		    g, j, GATEWAY_FAILED, ERR_CLOSED, "the gateway was closed");
	}
	while ((j = first_job(g)) != NULL)
		end_job(
		    g, j, GATEWAY_FAILED, ERR_CLOSED, "the gateway was closed");
	while ((s = map_next(&g->sleepers, &pos)) != NULL) {
		for (uint32_t n = s->n; n > 0; n--)
			end_job(g, list_first(&s->jobs, struct job, link),
			    GATEWAY_FAILED, ERR_CLOSED,
			    "the gateway was closed");
		pos = 0;
	}
	on_answer(&g->answer);
	loop_undefer(g->host->loop, &g->answer);
	loop_undefer(g->host->loop, &g->step);
	loop_cancel(g->host->loop, &g->rest);
	loop_cancel(g->host->loop, &g->expiry);
	map_fini(&g->sleepers);
	heap_fini(&g->due);
}
