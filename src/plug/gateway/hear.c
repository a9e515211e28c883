/*
 * plug/gateway/hear.c - the way up: what a link brings, the frames a provider
 * makes of it, and what they say.
 *
 * A frame that was handed up is kept until the host has stored it. All frames
 * of one message of the link share a hold; when the last of them is taken the
 * message is acknowledged. What the host could not store is handed up again.
 */
#include "base/base.h"
#include "base/clock.h"
#include "base/mem.h"
#include "plug/gateway/private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 60000
#define HELD_FRAMES 16 /* of a message that is not acknowledged, on average */

struct gateway_later {
	uint64_t token;
	uint32_t left; /* frames not yet taken, and one while being heard */
};

struct news {
	struct gateway_taken pub;
	struct list link;
	struct gateway *g;          /* NULL: it is closed */
	struct gateway_later *hold; /* NULL: nothing to be acknowledged */
	struct arena arena;
	struct gateway_frame frame;
	uint32_t attempts;
};

/* --- taken ---------------------------------------------------------------- */

static void
unhold(struct gateway *g, struct gateway_later *h)
{
	if (h == NULL || --h->left > 0)
		return;
	if (g != NULL && h->token != 0)
		g->link->ops->ack(g->link, h->token);
	free(h);
}

static void
free_news(struct news *n)
{
	arena_fini(&n->arena);
	free(n);
}

static void
wait_to_retry(struct gateway *g, struct news *n)
{
	int64_t ms = RETRY_MIN_MS;

	for (uint32_t i = 1; i < n->attempts && ms < RETRY_MAX_MS; i++)
		ms *= 2;
	list_del(&n->link);
	list_add(&g->again, &n->link);
	if (!loop_is_running(&g->retry))
		loop_after(g->host->loop, &g->retry, MIN_OF(ms, RETRY_MAX_MS));
}

static void
on_taken(struct gateway_taken *t, bool ok)
{
	struct news *n = container_of(t, struct news, pub);
	struct gateway *g = n->g;

	if (g != NULL && !ok) {
		wait_to_retry(g, n);
		return;
	}
	if (g != NULL) {
		list_del(&n->link);
		g->n_news--;
		g->state.taken++;
	}
	unhold(g, n->hold);
	free_news(n);
}

static void
give(struct gateway *g, struct news *n)
{
	n->attempts++;
	g->host->heard(g->host->ctx, &n->frame, &n->pub);
}

static void
on_retry(struct loop_timer *t)
{
	struct gateway *g = container_of(t, struct gateway, retry);
	struct list all;
	struct news *n;

	list_init(&all);
	list_join(&all, &g->again);
	while ((n = list_first(&all, struct news, link)) != NULL) {
		list_del(&n->link);
		list_add(&g->news, &n->link);
		give(g, n);
	}
}

/* --- hearing -------------------------------------------------------------- */

void
gateway_link_heard(
    struct gateway *g, const struct gateway_in *in, uint64_t token)
{
	struct gateway_later *h;

	gateway_passed(g, false, in->topic, in->data);
	if (g->trial) {
		if (token != 0)
			g->link->ops->ack(g->link, token);
		gateway_trial_heard(g, in);
		return;
	}
	g->token = token;
	g->hold = NULL;
	if (in->data.len > (uint64_t)g->host->settings->max_frame)
		gateway_bad(g, "larger than hub.gateway.maxFrame");
	else
		g->ops->hear(g->own, in);
	h = g->hold;
	g->token = 0;
	g->hold = NULL;
	if (h != NULL)
		unhold(g, h);
	else if (token != 0)
		g->link->ops->ack(g->link, token);
}

static struct gateway_later *
hold(struct gateway *g)
{
	if (g->hold == NULL) {
		g->hold = mem_new(struct gateway_later);
		g->hold->token = g->token;
		g->hold->left = 1;
	}
	g->hold->left++;
	return g->hold;
}

/* What is not held back by the link is dropped when too much has not been
 * taken. The rest must not be lost, and an MQTT server knows by itself how much
 * it may have open; but one message may make many frames, and a server of level
 * 4 can not be told a limit. */
static bool
has_room(struct gateway *g, uint64_t token)
{
	int64_t max = g->host->settings->heard;

	if (g->n_news < (token != 0 ? max * HELD_FRAMES : max))
		return true;
	g->state.dropped++;
	return false;
}

/* `h` has been counted for it. */
static void
hand_up(
    struct gateway *g, struct gateway_later *h, const struct gateway_frame *f)
{
	struct news *n = mem_new(struct news);

	n->pub.done = on_taken;
	n->g = g;
	n->hold = h;
	n->frame.node = arena_str(&n->arena, f->node);
	n->frame.data = arena_str(&n->arena, f->data);
	n->frame.extension = arena_str(&n->arena, f->extension);
	g->n_news++;
	g->state.heard++;
	list_add(&g->news, &n->link);
	gateway_queue_heard(g, f->node);
	give(g, n);
}

void
gateway_hand_up(struct gateway *g, const struct gateway_frame *f)
{
	if (has_room(g, g->token))
		hand_up(g, g->token != 0 ? hold(g) : NULL, f);
}

struct gateway_later *
gateway_later(struct gateway *g)
{
	return hold(g);
}

void
gateway_later_hand_up(
    struct gateway *g, struct gateway_later *l, const struct gateway_frame *f)
{
	if (!has_room(g, l->token))
		return;
	l->left++;
	hand_up(g, l, f);
}

void
gateway_later_done(struct gateway *g, struct gateway_later *l)
{
	unhold(g, l);
}

void
gateway_passed(struct gateway *g, bool sent, struct str topic, struct str data)
{
	*(sent ? &g->state.last_sent : &g->state.last_heard) = clock_now();
	gateway_log_put(g->log, sent, topic, data);
}

static void
orphan(struct news *n)
{
	list_del(&n->link);
	n->g = NULL;
}

void
gateway_hear_init(struct gateway *g)
{
	list_init(&g->news);
	list_init(&g->again);
	g->retry.fire = on_retry;
}

void
gateway_hear_fini(struct gateway *g)
{
	loop_cancel(g->host->loop, &g->retry);
	LIST_EACH (n, &g->news, struct news, link)
		orphan(n); /* done() comes later and frees it */
	LIST_EACH (n, &g->again, struct news, link) {
		orphan(n);
		unhold(NULL, n->hold);
		free_news(n);
	}
}

/* --- what frames say ------------------------------------------------------ */

const char *const gateway_types[] = { "set", "request", "presentation",
	"action", "software", "operation", NULL };

void
gateway_read(struct gateway *g, struct gateway_read *r)
{
	g->ops->read(g->own, r);
}

void
gateway_read_done(struct gateway_read *r,
    const struct gateway_message *messages, size_t n, const struct err *err)
{
	static const struct err good = { 0 };

	r->messages = messages;
	r->n_messages = n;
	r->done(r, err != NULL ? err : &good);
}

void
gateway_write(struct gateway *g, struct gateway_write *w)
{
	struct err err = { 0 };

	w->n_frames = 0;
	if (g->ops->write == NULL)
		err_set(&err, ERR_PARAM, "%s gateways can not be written to",
		    g->ops->name);
	else if (w->message.type != GATEWAY_SET &&
	    w->message.type != GATEWAY_REQUEST)
		err_set(&err, ERR_PARAM, "only set and request can be sent");
	else if (w->message.n_payloads != 1)
		err_set(&err, ERR_PARAM, "one payload is needed");
	if (err.code != 0)
		w->done(w, &err);
	else
		g->ops->write(g->own, w);
}

void
gateway_write_done(struct gateway_write *w, const struct err *err)
{
	static const struct err good = { 0 };

	if (err != NULL && err->code != 0)
		w->n_frames = 0;
	w->done(w, err != NULL ? err : &good);
}

/* Lists that double: what is left behind is at most as much again. */
static void *
grow(struct arena *a, const void *from, size_t n, size_t cap, size_t size)
{
	char *to = arena_alloc(a, cap * size);

	if (n > 0)
		memcpy(to, from, n * size);
	return to;
}

struct gateway_message *
gateway_say(struct gateway_messages *m, enum gateway_type type, struct str node,
    struct str source)
{
	struct gateway_message *to;

	if (m->n == m->cap) {
		m->cap = MAX_OF(m->cap * 2, 4);
		m->at = grow(m->a, m->at, m->n, m->cap, sizeof(*m->at));
	}
	to = &m->at[m->n++];
	*to = (struct gateway_message){ .type = type,
		.node = node.ptr != NULL ? node : STR(""),
		.source = source.ptr != NULL ? source : STR(""),
		.time = TIME_NULL };
	return to;
}

/* Room is there in powers of two: when `n` is one, it is used up. */
struct gateway_payload *
gateway_add(struct gateway_messages *m, struct gateway_message *to,
    struct str key, struct str value)
{
	size_t n = to->n_payloads;
	struct gateway_payload *p;

	if (n >= GATEWAY_PAYLOADS_MAX)
		return NULL;
	if (n == 0 || (n & (n - 1)) == 0)
		to->payloads =
		    grow(m->a, to->payloads, n, MAX_OF(n * 2, 1), sizeof(*p));
	to->n_payloads++;
	p = (struct gateway_payload *)(uintptr_t)&to->payloads[n];
	*p = (struct gateway_payload){ .key = key, .value = value };
	return p;
}
