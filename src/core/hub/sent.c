/*
 * core/hub/sent.c - downlinks that the hub has sent, until their networks say
 * what became of them.
 *
 * In memory, and bounded in number (hub.downlinksMax) and time
 * (hub.downlinkResult): what is given up, and what a start forgets, is told as
 * never having had a result.
 */
#include "core/hub/private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>

struct sent {
	struct list link; /* in hub->sent_order, oldest first */
	struct str data_id;
	struct down *down; /* of a rule's run; NULL: nobody's */
	int64_t at;        /* monotonic */
};

static void
forget(struct hub *h, struct sent *s)
{
	map_del(&h->sent, s->data_id);
	list_del(&s->link);
	str_free(s->data_id);
	free(s);
}

static void
give_up(struct hub *h, struct sent *s)
{
	struct down *down = s->down;

	forget(h, s);
	if (down != NULL)
		action_told(down, DOWN_UNKNOWN, 0, STR("no result came"));
}

void
sent_add(struct hub *h, struct str data_id, struct down *down)
{
	struct sent *s = mem_new(struct sent), *oldest;
	int64_t now = clock_mono();

	while (
	    (oldest = list_first(&h->sent_order, struct sent, link)) != NULL &&
	    (h->sent.n >= (size_t)h->conf.downlinks_max ||
		now - oldest->at > h->conf.downlink_result_ms))
		give_up(h, oldest);
	s->data_id = str_copy(data_id);
	s->down = down;
	s->at = now;
	list_add(&h->sent_order, &s->link);
	map_put(&h->sent, s->data_id, s);
	counter_add(&h->counters.downlinks, 1);
}

void
sent_result(
    struct hub *h, struct str data_id, int64_t status, struct str message)
{
	struct sent *s = map_get(&h->sent, data_id);
	struct down *down;

	if (s == NULL)
		return;
	down = s->down;
	if (status >= 0) {
		counter_add(status == 0 ? &h->counters.downlinks_ok
					: &h->counters.downlinks_failed,
		    1);
		forget(h, s);
	}
	if (down != NULL)
		action_told(down,
		    status == 0      ? DOWN_OK
			: status > 0 ? DOWN_FAILED
				     : DOWN_WAITS,
		    status, message);
}

void
sent_forget(struct hub *h)
{
	LIST_EACH (s, &h->sent_order, struct sent, link)
		give_up(h, s);
	map_fini(&h->sent);
}

/* --- from the routing loop ----------------------------------------------- */

struct told_result {
	struct loop_post post;
	struct hub *hub;
	struct str data_id, message;
	int64_t status;
	struct arena arena;
};

static void
run_result(struct loop_post *p)
{
	struct told_result *t = container_of(p, struct told_result, post);

	if (!t->hub->closing)
		operation_result(t->hub, t->data_id, t->status, t->message);
	if (!t->hub->closing)
		sent_result(t->hub, t->data_id, t->status, t->message);
	arena_fini(&t->arena);
	free(t);
}

void
sent_heard(void *owner, struct str data_id, int64_t status, struct str message)
{
	struct told_result *t = mem_new(struct told_result);

	t->post.run = run_result;
	t->hub = owner;
	t->data_id = arena_str(&t->arena, data_id);
	t->message = arena_str(&t->arena, message);
	t->status = status;
	loop_post(t->hub->loop, &t->post);
}
