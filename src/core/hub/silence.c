/*
 * core/hub/silence.c - devices that have not been heard of for long are down.
 *
 *  (1) A device is in the heap exactly while it is up. Its place there may be
 *      too early, never too late: hearing of a device only notes when, and
 *      where it is due too early it is put back. So a look costs what is due
 *      and not what there is.
 *  (2) Time that the program did not run is nobody's silence: after a start the
 *      device heard of last counts as heard now.
 */
#include "core/hub/private.h"

#include "base/clock.h"
#include "codec/json.h"

static int64_t
due_of(const struct device *d)
{
	return d->heard +
	    (d->inactive_ms > 0 ? d->inactive_ms
				: d->hub->conf.node_inactive_ms);
}

void
silence_heard(struct device *d)
{
	d->heard = clock_mono();
}

void
silence_watch(struct device *d)
{
	struct hub *h = d->hub;
	struct arena a = { 0 };
	struct str value, text;
	struct json j;

	d->inactive_ms = 0;
	if (hub_json_at(&a, d->row.labels, STR("inactive_duration"), &value)) {
		json_open(&j, value, 0, &a);
		if (json_str(&j, &text))
			(void)hub_duration(text, 0, &d->inactive_ms, NULL);
	}
	arena_fini(&a);
	if (str_eqz(d->row.state.status, "up") &&
	    (d->inactive_ms > 0 || h->conf.node_inactive_ms > 0))
		heap_put(&h->silent, &d->silence, due_of(d));
	else
		heap_del(&h->silent, &d->silence);
}

void
silence_forget(struct device *d)
{
	heap_del(&d->hub->silent, &d->silence);
}

static void
look(struct loop_timer *t)
{
	struct hub *h = container_of(t, struct hub, silence);
	int64_t now = clock_mono();
	struct heap_item *first;

	while ((first = heap_first(&h->silent)) != NULL && first->at <= now) {
		struct device *d = container_of(first, struct device, silence);

		if (due_of(d) > now) {
			heap_put(&h->silent, first, due_of(d));
			continue;
		}
		heap_del(&h->silent, first);
		counter_add(&h->counters.silent, 1);
		model_down(d, "marked by server", clock_now());
	}
	loop_after(h->loop, t, h->conf.node_state_ms);
}

void
silence_start(struct hub *h)
{
	int64_t now = clock_mono(), newest = TIME_NULL;
	struct device *d;
	size_t pos = 0;

	while ((d = map_next(&h->devices, &pos)) != NULL)
		newest = MAX_OF(newest, d->row.last_seen);
	pos = 0;
	while ((d = map_next(&h->devices, &pos)) != NULL) {
		d->heard = d->row.last_seen != TIME_NULL
		    ? now - (newest - d->row.last_seen)
		    : now;
		silence_watch(d);
	}
	h->silence.fire = look;
	loop_after(h->loop, &h->silence, h->conf.node_state_ms);
}

void
silence_changed(struct hub *h)
{
	struct device *d;
	size_t pos = 0;

	while ((d = map_next(&h->devices, &pos)) != NULL)
		silence_watch(d);
	loop_after(h->loop, &h->silence, h->conf.node_state_ms);
}

void
silence_end(struct hub *h)
{
	loop_cancel(h->loop, &h->silence);
	heap_fini(&h->silent);
}
