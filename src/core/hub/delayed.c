/*
 * core/hub/delayed.c - actions that wait for their preDelay.
 *
 *  (1) One that waits is a row in the store from the run that asked for it on,
 *      so it survives the end of the program, kill -9 too.
 *  (2) It is done once it is due, and its row goes; a crash between the two has
 *      it done a second time.
 *  (3) One that fell due while the program did not run is done late, by
 *      hub.preDelayLate at most; else it is dropped, which is logged.
 *  (4) The same parameter of the same rule starts anew: it waits once. What
 *      waits is done even when its rule has been changed or deleted since.
 */
#include "core/hub/private.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"

#include <stdlib.h>

#define LOG_MODULE "hub"
#define WAIT_MAX_MS 60000 /* then the clock is looked at again */

struct delayed {
	MODEL_ROW(hub_delayed);
	struct list link; /* in hub->delayed */
	struct loop_timer timer;
	struct hub *hub;
	struct outcome *outcome; /* of its run; NULL: before this start */
};

static void
delayed_free(struct delayed *d)
{
	loop_cancel(d->hub->loop, &d->timer);
	list_del(&d->link);
	arena_fini(&d->arena);
	free(d);
}

static void
take_away(struct delayed *d, int code, const char *why)
{
	writer_gone(d->hub, &hub_delayed_entity, "id", d->row.id);
	if (d->outcome != NULL)
		outcome_end(d->outcome, code, why);
	delayed_free(d);
}

static void
arm(struct delayed *d)
{
	int64_t ms = d->row.due - clock_now();

	loop_after(d->hub->loop, &d->timer,
	    MIN_OF(MAX_OF(ms, (int64_t)0), (int64_t)WAIT_MAX_MS));
}

static void
on_timer(struct loop_timer *t)
{
	struct delayed *d = container_of(t, struct delayed, timer);
	struct outcome *o = d->outcome;
	struct hub_delayed row = d->row;
	struct arena a = d->arena; /* outlives it */
	struct hub *h = d->hub;

	if (clock_now() < d->row.due) {
		arm(d);
		return;
	}
	d->arena = (struct arena){ 0 };
	d->outcome = NULL;
	if (o == NULL)
		o = outcome_later(
		    h, row.unit_id, row.rule, row.handler, row.parameter);
	writer_gone(h, &hub_delayed_entity, "id", row.id);
	delayed_free(d);
	outcome_do(o, row.wish);
	arena_fini(&a);
}

static struct delayed *
new_one(struct hub *h, const struct hub_delayed *row)
{
	struct delayed *d = mem_new(struct delayed);

	list_init(&d->dirty);
	d->stored = true;
	d->hub = h;
	record_copy(&hub_delayed_entity.record, &d->arena, &d->row, row);
	d->timer.fire = on_timer;
	list_add(&h->delayed, &d->link);
	return d;
}

void
delay(struct hub *h, const struct hub_delayed *what, int64_t ms,
    struct outcome *outcome)
{
	struct hub_delayed row = *what;
	struct arena a = { 0 };
	struct delayed *d;
	int64_t n = 0;

	LIST_EACH (x, &h->delayed, struct delayed, link) {
		if (str_eq(x->row.rule, row.rule) &&
		    str_eq(x->row.unit_id, row.unit_id) &&
		    str_eq(x->row.handler, row.handler) &&
		    str_eq(x->row.parameter, row.parameter))
			take_away(x, 0, "a later run took its place");
		else
			n++;
	}
	if (n >= h->conf.delayed_max) {
		outcome_end(outcome, ERR_LIMIT,
		    "too many actions wait (hub.preDelayMax)");
		return;
	}
	row.id = rand_id(&a, clock_now(), ID_LONG);
	row.due = clock_now() + ms;
	d = new_one(h, &row);
	d->outcome = outcome;
	writer_put(h, &hub_delayed_entity, &d->row, true, NULL);
	arena_fini(&a);
	arm(d);
}

static int
load(void *ctx, const void *row, struct err *err)
{
	(void)err;
	(void)new_one(ctx, row);
	return 0;
}

int
delayed_load(struct hub *h, struct err *err)
{
	static const struct store_query all = { 0 };

	return store_list(h->store, &hub_delayed_entity, &all, load, h, err);
}

void
delayed_begin(struct hub *h)
{
	int64_t now = clock_now();

	LIST_EACH (d, &h->delayed, struct delayed, link) {
		if (now - d->row.due <= h->conf.delayed_late_ms) {
			arm(d);
			continue;
		}
		log_warn("an action of " STR_FMT " (" STR_FMT
			 ") fell due while "
			 "the program did not run, more than hub.preDelayLate "
			 "ago; it is dropped",
		    STR_ARG(d->row.rule), STR_ARG(d->row.parameter));
		counter_add(&h->counters.delayed_dropped, 1);
		take_away(d, 0, "");
	}
}

void
delayed_gone(struct hub *h, struct str unit_id)
{
	LIST_EACH (d, &h->delayed, struct delayed, link)
		if (str_eq(d->row.unit_id, unit_id))
			take_away(d, 0, "its unit has gone");
}

void
delayed_forget(struct hub *h)
{
	LIST_EACH (d, &h->delayed, struct delayed, link) {
		if (d->outcome != NULL)
			outcome_end(d->outcome, 0, "in a while");
		delayed_free(d);
	}
}
