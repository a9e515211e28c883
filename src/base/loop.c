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
#include <uv.h>

struct loop {
	uv_loop_t uv;
	uv_async_t wake;
	uv_timer_t alarm;    /* bounds the wait by the earliest of our timers */
	uv_prepare_t before; /* runs what was deferred, before waiting */

	struct loop_timer **heap; /* heap[0] is the earliest */
	size_t n_timers, cap_timers;

	struct list deferred;
	void **dead; /* to be freed when the turn is over */
	size_t n_dead, cap_dead;
	bool stopping;

	pthread_mutex_t lock; /* guards the posts */
	struct loop_post *first, **last;
};

/* --- timers -------------------------------------------------------------- */

static void
heap_set(struct loop *loop, size_t i, struct loop_timer *t)
{
	loop->heap[i] = t;
	t->pos = i + 1;
}

static void
sift_up(struct loop *loop, size_t i)
{
	struct loop_timer *t = loop->heap[i];

	while (i > 0 && loop->heap[(i - 1) / 2]->at > t->at) {
		heap_set(loop, i, loop->heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	heap_set(loop, i, t);
}

static void
sift_down(struct loop *loop, size_t i)
{
	struct loop_timer *t = loop->heap[i];

	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= loop->n_timers)
			break;
		if (child + 1 < loop->n_timers &&
		    loop->heap[child + 1]->at < loop->heap[child]->at)
			child++;
		if (loop->heap[child]->at >= t->at)
			break;
		heap_set(loop, i, loop->heap[child]);
		i = child;
	}
	heap_set(loop, i, t);
}

void
loop_after(struct loop *loop, struct loop_timer *t, int64_t ms)
{
	t->at = clock_mono() + (ms > 0 ? ms : 0);
	if (t->pos == 0) {
		if (loop->n_timers == loop->cap_timers) {
			loop->cap_timers = loop->cap_timers * 2 + 16;
			loop->heap = mem_resize(
			    loop->heap, loop->cap_timers, sizeof(*loop->heap));
		}
		loop->n_timers++;
		heap_set(loop, loop->n_timers - 1, t);
	}
	sift_up(loop, t->pos - 1);
	sift_down(loop, t->pos - 1);
}

void
loop_cancel(struct loop *loop, struct loop_timer *t)
{
	size_t i = t->pos - 1;

	if (t->pos == 0)
		return;
	t->pos = 0;
	loop->n_timers--;
	if (i == loop->n_timers)
		return;
	heap_set(loop, i, loop->heap[loop->n_timers]);
	sift_up(loop, i);
	sift_down(loop, loop->heap[i]->pos - 1);
}

static void
fire_due(struct loop *loop)
{
	int64_t now = clock_mono();

	/* A timer that is started from here again is due later than now, or
	 * with 0 ms in the next turn: hence the bound. */
	for (size_t n = loop->n_timers; n > 0 && loop->n_timers > 0; n--) {
		struct loop_timer *t = loop->heap[0];

		if (t->at > now)
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

static void
run_posts(struct loop *loop)
{
	struct loop_post *p, *next;

	pthread_mutex_lock(&loop->lock);
	p = loop->first;
	loop->first = NULL;
	loop->last = &loop->first;
	pthread_mutex_unlock(&loop->lock);
	for (; p != NULL; p = next) {
		next = p->next;
		p->run(p);
	}
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
	uv_timer_stop(&loop->alarm);
	if (loop->n_timers > 0) {
		wait = loop->heap[0]->at - clock_mono();
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
	uv_run(&loop->uv, UV_RUN_DEFAULT);
	uv_loop_close(&loop->uv);
	pthread_mutex_destroy(&loop->lock);
	free(loop->heap);
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
static void
on_turn_over(struct loop_timer *t)
{
	(void)t;
}

void
loop_turn(struct loop *loop, int wait_ms)
{
	struct loop_timer bound = { .fire = on_turn_over };

	if (wait_ms > 0)
		loop_after(loop, &bound, wait_ms);
	uv_run(&loop->uv, wait_ms > 0 ? UV_RUN_ONCE : UV_RUN_NOWAIT);
	loop_cancel(loop, &bound);
	fire_due(loop);
	run_deferred(loop);
}
