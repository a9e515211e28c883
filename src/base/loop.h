/*
 * base/loop.h - an event loop: descriptors, timers, and posts from elsewhere.
 *
 * A loop belongs to the thread that runs it. Every function here is called on
 * that thread, except those marked [any thread]. Handles are embedded in the
 * owner's struct and container_of() leads home.
 *
 * Promises:
 *  (1) After loop_unwatch() or loop_cancel() returns, that callback will not
 *      run, even if its event was already fetched.
 *  (2) Posts of one thread run in the order they were posted.
 *  (3) A deferred call runs after the callbacks of this turn, before the loop
 *      waits again; deferring a deferred one changes nothing.
 *
 * Built on libuv (uv_poll, uv_async); timers are our own heap on base/clock,
 * so that a test can move time.
 */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include "base/heap.h"
#include "base/list.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct loop;

#define LOOP_READ 1u
#define LOOP_WRITE 2u

struct loop_io {
	void (*ready)(struct loop_io *io, unsigned what);
	int fd; /* the owner's; the loop never closes it */
	/* the loop's own */
	struct loop *loop;
	void *handle;
	unsigned events;
};

struct loop_timer {
	void (*fire)(struct loop_timer *t);
	struct heap_item due; /* the loop's own */
};

static inline bool
loop_is_running(const struct loop_timer *t)
{
	return t->due.pos != 0;
}

struct loop_post {
	void (*run)(struct loop_post *p);
	struct loop_post *next; /* the loop's own */
};

struct loop_defer {
	void (*run)(struct loop_defer *d);
	struct list link; /* the loop's own; next NULL: not waiting */
};

struct loop *loop_new(void);
/* Everything must have been unwatched and cancelled; posts that wait run. What
 * is watched nevertheless does not hold it up: it is forgotten. */
void loop_free(struct loop *loop);

/* Runs until loop_stop(). */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop); /* [any thread] */
/* One turn, waiting at most `wait_ms` for something to do. For tests and for
 * programs with a loop of their own. */
void loop_turn(struct loop *loop, int wait_ms);

/* Calls io->ready when `io->fd` is ready for any of `events`. Watching again
 * changes the events; 0 events pauses. */
void loop_watch(struct loop *loop, struct loop_io *io, unsigned events);
void loop_unwatch(struct loop *loop, struct loop_io *io); /* idle: nothing */

/* Calls t->fire once, `ms` from now. Starting a running one moves it. */
void loop_after(struct loop *loop, struct loop_timer *t, int64_t ms);
void loop_cancel(struct loop *loop, struct loop_timer *t); /* idle: nothing */

/* Runs p->run on the loop's thread. [any thread] `p` is the loop's until it
 * runs; it may free itself or post again from there. */
void loop_post(struct loop *loop, struct loop_post *p);
/* Takes back one that has not run yet; else nothing. */
void loop_unpost(struct loop *loop, struct loop_post *p);

/* Runs fn(ctx) on the loop's thread and waits until it has. [any thread but the
 * loop's, which must run] */
void loop_ask(struct loop *loop, void (*fn)(void *ctx), void *ctx);

void loop_defer(struct loop *loop, struct loop_defer *d);
void loop_undefer(struct loop *loop, struct loop_defer *d);

/* When this turn is over, sleeps so long (less than a second) before looking
 * for more to do: under load more is done by each turn then. Nothing wakes it.
 */
void loop_rest(struct loop *loop, unsigned us);

/* free()s `p` when this turn is over. */
void loop_free_later(struct loop *loop, void *p);

#endif
