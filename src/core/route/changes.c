/*
 * core/route/changes.c - what an API call means for the message path.
 *
 * A worker copies the names that changed into a post; the loop drops the cache
 * rows named, or publishes. Posts of one call run in order, before any message
 * that a client sends once it has seen the call's answer.
 */
#include "core/route/private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdlib.h>

struct change_post {
	struct loop_post post;
	void (*apply)(struct route *r, const struct change_post *p);
	struct route *route;
	struct str a, b, c, d;
	const char *operation;
	struct arena arena;
};

static void
run_change(struct loop_post *post)
{
	struct change_post *p = container_of(post, struct change_post, post);

	p->apply(p->route, p);
	arena_fini(&p->arena);
	free(p);
}

static struct change_post *
begin(struct route *r,
    void (*apply)(struct route *, const struct change_post *), struct str a,
    struct str b, struct str c)
{
	struct change_post *p;

	if (r->loop == NULL)
		return NULL;
	p = mem_new(struct change_post);
	p->post.run = run_change;
	p->apply = apply;
	p->route = r;
	p->a = arena_str(&p->arena, a);
	p->b = arena_str(&p->arena, b);
	p->c = arena_str(&p->arena, c);
	return p;
}

static void
send(struct route *r, struct change_post *p)
{
	if (p != NULL)
		loop_post(r->loop, &p->post);
}

static void
tell_tap(struct route *r, struct str network_code, struct str addr)
{
	if (r->tap.changed != NULL)
		r->tap.changed(r->tap.owner, network_code, addr);
}

static void
drop_device(struct route *r, const struct change_post *p)
{
	struct arena scratch = { 0 };

	cache_drop(&r->device, device_key(&scratch, p->a, p->b, p->c));
	uplink_stale(r);
	arena_fini(&scratch);
	tell_tap(r, p->b, p->c);
}

void
change_device(struct route *r, struct str unit_code, struct str network_code,
    struct str addr)
{
	send(r, begin(r, drop_device, unit_code, network_code, addr));
}

static void
drop_network(struct route *r, const struct change_post *p)
{
	struct arena scratch = { 0 };

	cache_drop_prefix(
	    &r->device, device_key(&scratch, p->a, p->b, STR("")));
	uplink_stale(r);
	arena_fini(&scratch);
	tell_tap(r, p->b, STR_NULL);
}

void
change_network_devices(
    struct route *r, struct str unit_code, struct str network_code)
{
	send(r, begin(r, drop_network, unit_code, network_code, STR_NULL));
}

static void
drop_device_route(struct route *r, const struct change_post *p)
{
	cache_drop(&r->device_route, p->a);
	uplink_stale(r);
}

void
change_device_route(struct route *r, struct str device_id)
{
	send(r, begin(r, drop_device_route, device_id, STR_NULL, STR_NULL));
}

static void
drop_network_route(struct route *r, const struct change_post *p)
{
	cache_drop(&r->network_route, p->a);
	uplink_stale(r);
}

void
change_network_route(struct route *r, struct str network_id)
{
	send(r, begin(r, drop_network_route, network_id, STR_NULL, STR_NULL));
}

/* Devices of the unit on public networks have no unit in their key, so the
 * prefix does not find them; a unit's end is rare enough to forget all. */
static void
drop_unit(struct route *r, const struct change_post *p)
{
	(void)p;
	cache_clear(&r->device);
	cache_clear(&r->device_route);
	cache_clear(&r->network_route);
	uplink_stale(r);
	tell_tap(r, STR_NULL, STR_NULL);
}

void
change_unit_gone(struct route *r, struct str unit_code)
{
	send(r, begin(r, drop_unit, unit_code, STR_NULL, STR_NULL));
}

static void
publish_ctrl(struct route *r, const struct change_post *p)
{
	struct endpoint *e = endpoint_find(r, false, p->a, p->b);
	struct buf b = { 0 };
	char now[TIME_TEXT_LEN + 1];

	if (e == NULL)
		return;
	time_format(clock_now(), now);
	buf_addf(&b,
	    "{\"time\":\"%s\",\"operation\":\"%s\",\"new\":" STR_FMT "}", now,
	    p->operation, STR_ARG(p->c));
	mqtt_publish(r->mqtt, e->ctrl, buf_str(&b), 1, false, NULL);
	buf_free(&b);
}

void
change_ctrl(struct route *r, struct str unit_code, struct str network_code,
    const char *operation, struct str new)
{
	struct change_post *p =
	    begin(r, publish_ctrl, unit_code, network_code, new);

	if (p != NULL)
		p->operation = operation;
	send(r, p);
}

/* --- single calls from other modules ------------------------------------- */

struct inject_post {
	struct loop_post post;
	struct mqtt_server *mqtt;
	struct str topic, payload;
	struct arena arena;
};

static void
run_inject(struct loop_post *post)
{
	struct inject_post *p = container_of(post, struct inject_post, post);

	mqtt_publish(p->mqtt, p->topic, p->payload, 1, false, NULL);
	arena_fini(&p->arena);
	free(p);
}

static struct str
topic_of(struct arena *a, bool application, const struct route_end *end,
    const char *queue)
{
	return arena_printf(a, "broker." STR_FMT ".%s",
	    STR_ARG(route_user_name(a, application, end)), queue);
}

void
route_inject(struct route *r, bool application, const struct route_end *end,
    const char *queue, struct str payload)
{
	struct inject_post *p;

	if (r->loop == NULL)
		return;
	p = mem_new(struct inject_post);
	p->post.run = run_inject;
	p->mqtt = r->mqtt;
	p->topic = topic_of(&p->arena, application, end, queue);
	p->payload = arena_str(&p->arena, payload);
	loop_post(r->loop, &p->post);
}

struct note {
	struct note *next;
	struct str topic, payload;
	uint8_t qos;
	bool retain;
};

struct route_notes {
	struct loop_post post;
	struct route *route;
	struct note *first, **last;
	struct arena arena;
};

struct route_notes *
route_notes_new(struct route *r)
{
	struct route_notes *n = mem_new(struct route_notes);

	n->route = r;
	n->last = &n->first;
	return n;
}

void
route_note(struct route_notes *n, struct str topic, struct str payload,
    uint8_t qos, bool retain)
{
	struct note *note = arena_new(&n->arena, struct note);

	note->topic = arena_str(&n->arena, topic);
	note->payload = arena_str(&n->arena, payload);
	note->qos = qos;
	note->retain = retain;
	*n->last = note;
	n->last = &note->next;
}

static void
run_notes(struct loop_post *post)
{
	struct route_notes *n = container_of(post, struct route_notes, post);

	for (const struct note *it = n->first; it != NULL; it = it->next)
		(void)mqtt_publish(n->route->mqtt, it->topic, it->payload,
		    it->qos, it->retain, NULL);
	arena_fini(&n->arena);
	free(n);
}

void
route_tell(struct route_notes *n)
{
	n->post.run = run_notes;
	loop_post(n->route->loop, &n->post);
}

struct stats_post {
	struct loop_post post;
	struct route *route;
	struct route_look *looks;
	size_t n;
	struct arena arena;
	pthread_mutex_t lock;
	pthread_cond_t done;
	bool is_done;
};

static void
look(struct route *r, struct route_look *l, struct arena *a)
{
	struct endpoint *e;

	if (l->queue != NULL) {
		mqtt_queue_stats(r->mqtt,
		    topic_of(a, l->application, l->end, l->queue), &l->stats);
		return;
	}
	e = endpoint_find(r, l->application, l->end->unit_code, l->end->code);
	if (e == NULL)
		return;
	l->heard = e->heard;
	l->heard_at = e->heard_at;
}

static void
run_stats(struct loop_post *post)
{
	struct stats_post *p = container_of(post, struct stats_post, post);

	for (size_t i = 0; i < p->n; i++)
		look(p->route, &p->looks[i], &p->arena);
	pthread_mutex_lock(&p->lock);
	p->is_done = true;
	pthread_cond_signal(&p->done);
	pthread_mutex_unlock(&p->lock);
}

void
route_stats(struct route *r, struct route_look *looks, size_t n)
{
	struct stats_post p = {
		.post.run = run_stats, .route = r, .looks = looks, .n = n
	};

	for (size_t i = 0; i < n; i++) {
		looks[i].stats =
		    (struct mqtt_queue_stats){ .last_ms = TIME_NULL };
		looks[i].heard_at = TIME_NULL;
	}
	if (r->loop == NULL)
		return;
	pthread_mutex_init(&p.lock, NULL);
	pthread_cond_init(&p.done, NULL);
	loop_post(r->loop, &p.post);
	pthread_mutex_lock(&p.lock);
	while (!p.is_done)
		pthread_cond_wait(&p.done, &p.lock);
	pthread_mutex_unlock(&p.lock);
	pthread_cond_destroy(&p.done);
	pthread_mutex_destroy(&p.lock);
	arena_fini(&p.arena);
}
