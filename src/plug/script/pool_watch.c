/*
 * plug/script/pool_watch.c - looks at time and memory of helpers from outside,
 * every 10 ms while one works.
 */
#include "plug/script/pool.h"

#include "base/base.h"
#include "base/clock.h"

static void
set_tick(struct script_pool *p, int64_t ms)
{
	if (p->tick_ms == ms)
		return;
	p->tick_ms = ms;
	if (ms > 0)
		loop_after(p->loop, &p->tick, ms);
	else
		loop_cancel(p->loop, &p->tick);
}

void
pool_wake(struct script_pool *p)
{
	if (!p->ending)
		set_tick(p, TICK_MS);
}

/* Over its time: by the clock if it had half of that time on a processor, or
 * waits for an answer. A script can not sleep, so one that had less was kept
 * from running by others, and is given more time. */
static bool
is_late(const struct helper *h, const struct sent *s, int64_t ran)
{
	if (ran < s->timeout_ms)
		return false;
	return h->ask != NULL ||
	    process_cpu_ms(&h->process) - h->cpu >= s->timeout_ms / 2 ||
	    ran >= MAX_OF(3 * s->timeout_ms, s->timeout_ms + STARVED_MS);
}

static void
watch_busy(struct helper *h, int64_t now)
{
	struct sent *s = helper_current(h);
	int64_t memory = process_memory(&h->process), longest = 0;

	if (h->watched != s->seq) {
		h->watched = s->seq;
		h->since = now;
		h->cpu = process_cpu_ms(&h->process);
	} else {
		h->window = SENT_MIN; /* others do not wait behind many slow */
	}
	if (memory > s->memory) {
		helper_lose(h, SCRIPT_MEMORY, NULL);
		return;
	}
	if (memory > s->memory / 4 * 3)
		h->full = true; /* what it left behind shall harm no other */
	if (is_late(h, s, now - h->since)) {
		helper_lose(h, SCRIPT_TIMEOUT, NULL);
		return;
	}
	/* One that is in ever other calls and answers none is no helper. */
	for (uint32_t i = 0; i < h->n; i++)
		longest = MAX_OF(longest, helper_sent(h, i)->timeout_ms);
	if (now - h->heard > 4 * longest + 1000)
		helper_lose(h, SCRIPT_TIMEOUT, NULL);
	else if (!list_empty(&h->pool->needy) && now - h->began > TURN_MS)
		h->full = true; /* others wait for a process */
}

static void
reap(struct script_pool *p)
{
	for (size_t i = 0; i < p->n_dead;) {
		if (p->dead[i] <= 0 || process_reap(p->dead[i], false, NULL))
			p->dead[i] = p->dead[--p->n_dead];
		else
			i++;
	}
}

void
pool_on_tick(struct loop_timer *t)
{
	struct script_pool *p = container_of(t, struct script_pool, tick);
	int64_t now = clock_mono();
	bool busy = false;

	p->tick_ms = 0;
	LIST_EACH (h, &p->helpers, struct helper, link) {
		struct group *g = h->group;

		if (h->state == BUSY) {
			busy = true;
			watch_busy(h, now);
		} else if (h->state == STARTING) {
			busy = true;
			if (now - h->heard > START_MS)
				helper_fail_start(h, STR("it takes too long"));
		} else if (now - h->heard >= p->conf.idle_ms) {
			helper_end(h);
			pool_line_up(p, g);
			pool_drop_group(p, g);
		}
	}
	reap(p);
	if (busy || p->n_dead > 0)
		pool_wake(p);
	else if (!list_empty(&p->helpers) && p->tick_ms == 0)
		set_tick(p, MIN_OF(IDLE_TICK_MS, p->conf.idle_ms));
}
