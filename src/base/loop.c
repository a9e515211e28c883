/*
 * base/loop.c - see loop.h for the promises; this is how they are kept.
 *
 * One turn: posts, ready descriptors, due timers, deferred calls, freed memory.
 * libuv waits; its handle for a descriptor is on the heap, because closing one
 * ends only in a later turn, while our owner may be gone at once. What libuv
 * calls after loop_unwatch() finds `data` NULL and does nothing.
 */
#include "base/loop.h"

#include "base/clock.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <uv.h>

struct loop {
	uv_loop_t uv;
	uv_async_t wake;
	uv_timer_t alarm;    /* bounds the wait by the earliest of our timers */
	uv_prepare_t before; /* runs what was deferred, before waiting */

	struct heap timers;

	struct list deferred;
	void **dead; /* to be freed when the turn is over */
	size_t n_dead, cap_dead;
	bool stopping;
	bool turn_over;   /* loop_turn() is not to wait any longer */
	unsigned rest_us; /* loop_rest() */

	pthread_mutex_t lock; /* guards the posts */
	struct loop_post *first, **last;
	struct loop_post *running; /* those of this turn, the loop's own */
};

/* --- timers -------------------------------------------------------------- */

void
loop_after(struct loop *loop, struct loop_timer *t, int64_t ms)
{
	heap_put(&loop->timers, &t->due, clock_mono() + (ms > 0 ? ms : 0));
}

void
loop_cancel(struct loop *loop, struct loop_timer *t)
{
	heap_del(&loop->timers, &t->due);
}

static void
fire_due(struct loop *loop)
{
	int64_t now = clock_mono();

	/* A timer that is started from here again is due later than now, or
	 * with 0 ms in the next turn: hence the bound. */
	for (size_t n = loop->timers.n; n > 0 && loop->timers.n > 0; n--) {
		struct loop_timer *t = container_of(
		    heap_first(&loop->timers), struct loop_timer, due);

		if (t->due.at > now)
			break;
		loop_cancel(loop, t);
		t->fire(t);
	}
}

/* --- deferred calls and dead memory -------------------------------------- */

static void
run_deferred(struct loop *loop)
{
	while (!list_empty(&loop->deferred)) {
		struct loop_defer *d =
		    container_of(loop->deferred.next, struct loop_defer, link);

		loop_undefer(loop, d);
		d->run(d);
	}
	while (loop->n_dead > 0)
		free(loop->dead[--loop->n_dead]);
}

void
loop_defer(struct loop *loop, struct loop_defer *d)
{
	if (d->link.next == NULL)
		list_add(&loop->deferred, &d->link);
}

void
loop_undefer(struct loop *loop, struct loop_defer *d)
{
	(void)loop;
	if (d->link.next == NULL)
		return;
	list_del(&d->link);
	d->link.next = d->link.prev = NULL;
}

void
loop_free_later(struct loop *loop, void *p)
{
	if (p == NULL)
		return;
	if (loop->n_dead == loop->cap_dead) {
		loop->cap_dead = loop->cap_dead * 2 + 16;
		loop->dead =
		    mem_resize(loop->dead, loop->cap_dead, sizeof(*loop->dead));
	}
	loop->dead[loop->n_dead++] = p;
}

void
loop_rest(struct loop *loop, unsigned us)
{
	loop->rest_us = us;
}

/* --- posts --------------------------------------------------------------- */

void
loop_post(struct loop *loop, struct loop_post *p)
{
	bool was_empty;

	p->next = NULL;
	pthread_mutex_lock(&loop->lock);
	was_empty = loop->first == NULL;
	*loop->last = p;
	loop->last = &p->next;
	if (was_empty) /* within the lock: the loop may go once it has run us */
		uv_async_send(&loop->wake);
	pthread_mutex_unlock(&loop->lock);
}

struct errand {
	struct loop_post post;
	void (*fn)(void *ctx);
	void *ctx;
	bool done;
	pthread_mutex_t lock;
	pthread_cond_t over;
};

static void
run_errand(struct loop_post *p)
{
	struct errand *e = container_of(p, struct errand, post);

	e->fn(e->ctx);
	pthread_mutex_lock(&e->lock);
	e->done = true;
	pthread_cond_signal(&e->over);
	pthread_mutex_unlock(&e->lock);
}

void
loop_ask(struct loop *loop, void (*fn)(void *ctx), void *ctx)
{
	struct errand e = { .post.run = run_errand,
		.fn = fn,
		.ctx = ctx,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.over = PTHREAD_COND_INITIALIZER };

	loop_post(loop, &e.post);
	pthread_mutex_lock(&e.lock);
	while (!e.done)
		pthread_cond_wait(&e.over, &e.lock);
	pthread_mutex_unlock(&e.lock);
}

static void
run_posts(struct loop *loop)
{
	struct loop_post *p;

	pthread_mutex_lock(&loop->lock);
	loop->running = loop->first;
	loop->first = NULL;
	loop->last = &loop->first;
	pthread_mutex_unlock(&loop->lock);
	while ((p = loop->running) != NULL) {
		loop->running = p->next;
		p->run(p);
	}
}

void
loop_unpost(struct loop *loop, struct loop_post *p)
{
	struct loop_post **at;

	for (at = &loop->running; *at != NULL; at = &(*at)->next) {
		if (*at == p) {
			*at = p->next;
			return;
		}
	}
	pthread_mutex_lock(&loop->lock);
	for (at = &loop->first; *at != NULL; at = &(*at)->next) {
		if (*at != p)
			continue;
		*at = p->next;
		if (*at == NULL)
			loop->last = at;
		break;
	}
	pthread_mutex_unlock(&loop->lock);
}

static void
on_wake(uv_async_t *h)
{
	struct loop *loop = container_of(h, struct loop, wake);

	run_posts(loop);
	if (__atomic_load_n(&loop->stopping, __ATOMIC_ACQUIRE))
		uv_stop(&loop->uv);
}

/* --- descriptors --------------------------------------------------------- */

static void
on_ready(uv_poll_t *h, int status, int events)
{
	struct loop_io *io = h->data;

	if (io == NULL)
		return;
	if (status < 0) /* the owner finds out by reading or writing */
		events = (int)io->events;
	io->ready(io,
	    (events & UV_READABLE ? LOOP_READ : 0) |
		(events & UV_WRITABLE ? LOOP_WRITE : 0));
}

void
loop_watch(struct loop *loop, struct loop_io *io, unsigned events)
{
	uv_poll_t *h = io->handle;

	if (h == NULL) {
		h = mem_new(uv_poll_t);
		if (uv_poll_init(&loop->uv, h, io->fd) != 0)
			abort(); /* not a descriptor that can be waited for */
		h->data = io;
		io->handle = h;
		io->loop = loop;
		io->events = 0;
	}
	if (io->events == events)
		return;
	io->events = events;
	if (events == 0)
		uv_poll_stop(h);
	else
		uv_poll_start(h,
		    (events & LOOP_READ ? UV_READABLE : 0) |
			(events & LOOP_WRITE ? UV_WRITABLE : 0),
		    on_ready);
}

static void
on_closed(uv_handle_t *h)
{
	free(h);
}

void
loop_unwatch(struct loop *loop, struct loop_io *io)
{
	uv_poll_t *h = io->handle;

	(void)loop;
	if (h == NULL)
		return;
	io->handle = NULL;
	io->events = 0;
	h->data = NULL;
	uv_poll_stop(h);
	uv_close((uv_handle_t *)h, on_closed);
}

/* --- the loop ------------------------------------------------------------ */

static void
on_alarm(uv_timer_t *h)
{
	(void)h; /* it only ends the wait */
}

/* Just before libuv waits: everything of this turn is done, so what is due is
 * fired, what was deferred is run, and the wait gets its bound. */
static void
on_before_wait(uv_prepare_t *h)
{
	struct loop *loop = container_of(h, struct loop, before);
	int64_t wait;

	fire_due(loop);
	run_deferred(loop);
	if (loop->rest_us > 0) {
		struct timespec t = { .tv_nsec = loop->rest_us * 1000L };

		loop->rest_us = 0;
		(void)nanosleep(&t, NULL); /* cut short by a signal: as well */
	}
	uv_timer_stop(&loop->alarm);
	if (loop->turn_over) {
		uv_timer_start(&loop->alarm, on_alarm, 0, 0);
	} else if (loop->timers.n > 0) {
		wait = heap_first(&loop->timers)->at - clock_mono();
		uv_update_time(&loop->uv);
		uv_timer_start(
		    &loop->alarm, on_alarm, wait > 0 ? (uint64_t)wait : 0, 0);
	}
}

struct loop *
loop_new(void)
{
	struct loop *loop = mem_new(struct loop);

	if (uv_loop_init(&loop->uv) != 0 ||
	    uv_async_init(&loop->uv, &loop->wake, on_wake) != 0)
		abort(); /* no descriptors at start */
	uv_timer_init(&loop->uv, &loop->alarm);
	uv_prepare_init(&loop->uv, &loop->before);
	uv_prepare_start(&loop->before, on_before_wait);
	list_init(&loop->deferred);
	pthread_mutex_init(&loop->lock, NULL);
	loop->last = &loop->first;
	return loop;
}

/* Of what its owner has forgotten: libuv would wait for it for ever. */
static void
close_left(uv_handle_t *h, void *ctx)
{
	(void)ctx;
	if (uv_is_closing(h))
		return;
	h->data = NULL;
	uv_close(h, on_closed);
}

void
loop_free(struct loop *loop)
{
	if (loop == NULL)
		return;
	run_posts(loop);
	run_deferred(loop);
	uv_close((uv_handle_t *)&loop->wake, NULL);
	uv_close((uv_handle_t *)&loop->alarm, NULL);
	uv_close((uv_handle_t *)&loop->before, NULL);
	uv_walk(&loop->uv, close_left, NULL);
	uv_run(&loop->uv, UV_RUN_DEFAULT);
	uv_loop_close(&loop->uv);
	pthread_mutex_destroy(&loop->lock);
	heap_fini(&loop->timers);
	free(loop->dead);
	free(loop);
}

void
loop_run(struct loop *loop)
{
	while (!__atomic_load_n(&loop->stopping, __ATOMIC_ACQUIRE))
		uv_run(&loop->uv, UV_RUN_DEFAULT);
	__atomic_store_n(&loop->stopping, false, __ATOMIC_RELEASE);
	run_posts(loop);
	run_deferred(loop);
}

void
loop_stop(struct loop *loop)
{
	__atomic_store_n(&loop->stopping, true, __ATOMIC_RELEASE);
	uv_async_send(&loop->wake);
}

/* Bounds the wait of loop_turn(). */
struct bound {
	struct loop_timer timer;
	struct loop *loop;
};

static void
on_turn_over(struct loop_timer *t)
{
	container_of(t, struct bound, timer)->loop->turn_over = true;
}

void
loop_turn(struct loop *loop, int wait_ms)
{
	struct bound bound = { .timer.fire = on_turn_over, .loop = loop };

	loop->turn_over = false;
	if (wait_ms > 0)
		loop_after(loop, &bound.timer, wait_ms);
	uv_run(&loop->uv, wait_ms > 0 ? UV_RUN_ONCE : UV_RUN_NOWAIT);
	loop_cancel(loop, &bound.timer);
	loop->turn_over = false;
	fire_due(loop);
	run_deferred(loop);
}
