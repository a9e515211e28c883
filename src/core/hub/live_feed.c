/*
 * core/hub/live_feed.c - the hub's end of what goes to WebSockets.
 *
 * For every subscription the feed counts the keys it is to be found by (see
 * live_keys()): six look-ups say whether anybody may want an event. The rest of
 * the filter is the live loop's work.
 */
#include "core/hub/live.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define BATCH_MAX (256u << 10) /* bytes that go at once */
#define SLICE_DEVICES 1000     /* looked at for one slice... */
#define SLICE_FIELDS 64        /* ...values of it... */
#define SLICE_BYTES 24576      /* ...or so many bytes */

struct interest {
	struct str key; /* owned */
	size_t n;
};

/* A subscription as the feed knows it. The values that are there first are
 * looked for device by device, those of one from slice to slice. */
struct follow {
	uint64_t no;
	struct strs keys;    /* what it counts in interests */
	struct map ids;      /* its quick ids */
	struct strs devices; /* whose fields are still to be looked at... */
	size_t device_at;    /* ...from here on */
	struct strs fields;  /* keys of hub->quick, still to be sent... */
	size_t field_at;
	size_t n_sent;
	struct arena arena, page; /* `fields` lie in page */
};

struct feed {
	struct map interests;
	struct map follows;     /* by number */
	_Atomic int64_t wanted; /* subscriptions */
	struct buf key;         /* of the event in hand */
	struct live_event *first, **last;
	size_t bytes;
	int64_t dropped;
	size_t sent; /* bytes of the slice in hand */
};

void
feed_init(struct hub *h)
{
	h->feed = mem_new(struct feed);
	h->feed->last = &h->feed->first;
}

bool
feed_is_wanted(struct hub *h)
{
	/* what is given up at the end is told to nobody */
	return h->feed != NULL &&
	    atomic_load_explicit(&h->feed->wanted, memory_order_relaxed) > 0;
}

/* --- what is wanted ------------------------------------------------------ */

static void
count(struct feed *f, struct str key, int n)
{
	struct interest *i = map_get(&f->interests, key);

	if (i == NULL) {
		i = mem_new(struct interest);
		i->key = str_copy(key);
		map_put(&f->interests, i->key, i);
	}
	i->n += (size_t)n;
	if (i->n > 0)
		return;
	map_del(&f->interests, i->key);
	str_free(i->key);
	free(i);
}

/* Makes f->key; returns the length of the unit in it. */
static void
make_key(struct feed *f, struct str unit_id, const char *entity_type,
    struct str quick)
{
	buf_clear(&f->key);
	buf_add_str(&f->key, unit_id);
	buf_addc(&f->key, ' ');
	buf_addz(&f->key, entity_type);
	buf_addc(&f->key, ':');
	buf_add_str(&f->key, quick);
}

bool
feed_wants(struct hub *h, struct str unit_id, const char *entity_type,
    struct str quick)
{
	struct str parts[LIVE_PARTS];
	struct feed *f = h->feed;

	if (f == NULL || f->interests.n == 0)
		return false;
	make_key(f, unit_id, entity_type, quick);
	live_parts(buf_str(&f->key), unit_id.len, strlen(entity_type), parts);
	for (int i = 0; i < LIVE_PARTS; i++)
		if (map_get(&f->interests, parts[i]) != NULL)
			return true;
	return false;
}

/* --- on their way -------------------------------------------------------- */

void
feed_kick(struct hub *h)
{
	struct feed *f = h->feed;
	struct live_batch *b;

	if (f == NULL || (f->first == NULL && f->dropped == 0))
		return;
	b = mem_new(struct live_batch);
	b->first = f->first;
	b->bytes = f->bytes;
	b->dropped = f->dropped;
	f->first = NULL;
	f->last = &f->first;
	f->bytes = 0;
	f->dropped = 0;
	atomic_fetch_add(&h->live->backlog, (int64_t)b->bytes);
	writer_tell(h, b);
}

static void
put(struct hub *h, struct live_event *e)
{
	struct feed *f = h->feed;

	*f->last = e;
	f->last = &e->next;
	f->bytes += sizeof(*e) + e->len;
	loop_defer(h->loop, &h->kick);
	if (f->bytes >= BATCH_MAX)
		feed_kick(h);
}

/* {"type":"event","data":...} */
#define HEAD "{\"type\":\"event\",\"data\":"

static struct live_event *
event_frame(struct feed *f, const struct hub_event *e, size_t unit_len)
{
	size_t text = strlen(HEAD) + e->json.len + 1, head, entity;
	const struct websocket_head h = {
		.opcode = WEBSOCKET_TEXT, .fin = true, .len = text
	};
	char bytes[WEBSOCKET_HEAD_MAX];
	struct live_event *ret;
	char *p;

	head = websocket_put(bytes, &h);
	ret = mem_alloc(sizeof(*ret) + head + text + f->key.len);
	ret->len = head + text;
	p = ret->frame;
	memcpy(p, bytes, head);
	memcpy(p += head, HEAD, strlen(HEAD));
	memcpy(p += strlen(HEAD), e->json.ptr, e->json.len);
	entity = (size_t)(e->entity.ptr - e->json.ptr);
	ret->entity = (struct str){ p + entity, e->entity.len };
	p[e->json.len] = '}';
	p += e->json.len + 1;
	memcpy(p, f->key.ptr, f->key.len);
	ret->key = (struct str){ p, f->key.len };
	ret->unit_id = (struct str){ p, unit_len };
	ret->quick =
	    (struct str){ p + unit_len + 1, f->key.len - unit_len - 1 };
	ret->entity_type = (struct str){ ret->quick.ptr, e->entity_type.len };
	ret->type = e->type; /* one of our literals */
	return ret;
}

void
feed_event(
    struct hub *h, const struct hub_event *e, struct str quick, uint64_t no)
{
	struct feed *f = h->feed;
	struct live_event *x;
	int64_t waits = (int64_t)f->bytes +
	    atomic_load_explicit(&h->live->backlog, memory_order_relaxed);

	if (waits >= h->conf.live.backlog_max) {
		f->dropped++;
		loop_defer(h->loop, &h->kick);
		return;
	}
	make_key(f, e->unit_id, e->entity_type.ptr, quick);
	x = event_frame(f, e, e->unit_id.len);
	x->kind = no != 0 ? LIVE_INITIAL : LIVE_EVENT;
	x->no = no;
	x->updated = str_eqz(e->type, "updated");
	f->sent += sizeof(*x) + x->len;
	put(h, x);
}

static void
note(struct hub *h, enum live_kind kind, uint64_t no, int n)
{
	struct live_event *e = live_event_new(kind, no);

	e->n = n;
	put(h, e);
}

/* --- subscriptions ------------------------------------------------------- */

static struct str
number(const uint64_t *no)
{
	return (struct str){ (const char *)no, sizeof(*no) };
}

/* Where the values lie that it may want. */
static void
note_places(struct hub *h, struct follow *s, const struct live_ask *ask)
{
	size_t pos = 0, n = ask->quick_ids.n;
	struct device *d;

	if (!hub_has(&ask->entity_types, STR("field")))
		return;
	if (ask->unit.len > 0 && n > 0) { /* they are named */
		s->fields.at = arena_array(&s->page, n, struct str);
		for (size_t i = 0; i < n; i++) {
			struct str quick = ask->quick_ids.at[i];

			if (str_eqz(str_cut(&quick, ':'), "field"))
				s->fields.at[s->fields.n++] =
				    arena_printf(&s->page, STR_FMT " " STR_FMT,
					STR_ARG(ask->unit), STR_ARG(quick));
		}
		return;
	}
	s->devices.at = arena_array(&s->arena, h->devices.n + 1, struct str);
	while ((d = map_next(&h->devices, &pos)) != NULL)
		if (ask->unit.len == 0 || str_eq(d->row.unit_id, ask->unit))
			s->devices.at[s->devices.n++] =
			    arena_str(&s->arena, d->row.id);
}

/* By its quick id, if it chose some. */
static bool
is_chosen(struct feed *f, const struct follow *s, const struct cell *cell)
{
	struct str quick = cell->quick;

	if (s->ids.n == 0)
		return true;
	(void)str_cut(&quick, ' ');
	make_key(f, STR(""), "field", quick);
	return map_get(&s->ids,
		   (struct str){ f->key.ptr + 1, f->key.len - 1 }) != NULL;
}

static void
note_fields(struct hub *h, struct follow *s, struct str device_id)
{
	struct device *d = map_get(&h->devices, device_id);
	struct cell *f;
	size_t pos = 0;

	arena_clear(&s->page);
	s->fields.n = s->field_at = 0;
	if (d == NULL || d->fields.n == 0)
		return;
	s->fields.at = arena_array(&s->page, d->fields.n, struct str);
	while ((f = map_next(&d->fields, &pos)) != NULL)
		if (is_chosen(h->feed, s, f))
			s->fields.at[s->fields.n++] =
			    arena_str(&s->page, f->quick);
}

static void
follow_free(struct feed *f, struct follow *s)
{
	for (size_t i = 0; i < s->keys.n; i++)
		count(f, s->keys.at[i], -1);
	map_del(&f->follows, number(&s->no));
	map_fini(&s->ids);
	arena_fini(&s->page);
	arena_fini(&s->arena);
	free(s);
	atomic_fetch_sub(&f->wanted, 1);
}

/* The next value, if there is one; false: there is nothing more to look at. */
static bool
send_one(struct hub *h, struct follow *s, int *n_devices)
{
	struct cell *cell;

	if (s->field_at == s->fields.n) {
		if (s->device_at == s->devices.n)
			return false;
		note_fields(h, s, s->devices.at[s->device_at++]);
		(*n_devices)++;
		return true;
	}
	cell = map_get(&h->quick, s->fields.at[s->field_at++]);
	if (cell == NULL || cell->now.ptr == NULL)
		return true; /* it has gone, and that was told */
	if (s->n_sent++ < (size_t)h->conf.live.initial_max)
		event_initial(cell, s->no);
	return true;
}

static void
send_slice(struct hub *h, struct follow *s)
{
	size_t max = (size_t)h->conf.live.initial_max,
	       until = s->n_sent + SLICE_FIELDS;
	struct feed *f = h->feed;
	int n_devices = 0;
	bool more = true;

	f->sent = 0;
	while (more && s->n_sent <= max && s->n_sent < until &&
	    f->sent < SLICE_BYTES && n_devices < SLICE_DEVICES)
		more = send_one(h, s, &n_devices);
	note(h, LIVE_SLICE, s->no,
	    s->n_sent > max ? SLICE_TOO_MANY
		: more      ? SLICE_MORE
			    : SLICE_END);
}

static void
open_follow(struct hub *h, uint64_t no, const struct live_ask *ask)
{
	struct follow *s = mem_new(struct follow);
	struct feed *f = h->feed;

	s->no = no;
	map_put(&f->follows, number(&s->no), s);
	atomic_fetch_add(&f->wanted, 1);
	s->keys = live_keys(&s->arena, ask);
	for (size_t i = 0; i < s->keys.n; i++)
		count(f, s->keys.at[i], 1);
	note(h, LIVE_OPENED, no, 0);
	if (!ask->initial)
		return;
	for (size_t i = 0; i < ask->quick_ids.n; i++)
		map_put(&s->ids, arena_str(&s->arena, ask->quick_ids.at[i]), s);
	note_places(h, s, ask);
	send_slice(h, s);
}

/* --- asked by the live loop ---------------------------------------------- */

struct feed_ask {
	struct loop_post post;
	struct hub *hub;
	uint64_t no;
	struct live_ask ask; /* in arena */
	struct arena arena;
};

static struct feed_ask *
ask_new(struct hub *h, uint64_t no, void (*fn)(struct loop_post *p))
{
	struct feed_ask *a = mem_new(struct feed_ask);

	a->post.run = fn;
	a->hub = h;
	a->no = no;
	return a;
}

static void
ask_free(struct feed_ask *a)
{
	arena_fini(&a->arena);
	free(a);
}

static void
run_open(struct loop_post *p)
{
	struct feed_ask *a = container_of(p, struct feed_ask, post);

	open_follow(a->hub, a->no, &a->ask);
	ask_free(a);
}

static void
run_more(struct loop_post *p)
{
	struct feed_ask *a = container_of(p, struct feed_ask, post);
	struct follow *s = map_get(&a->hub->feed->follows, number(&a->no));

	if (s != NULL)
		send_slice(a->hub, s);
	ask_free(a);
}

static void
run_close(struct loop_post *p)
{
	struct feed_ask *a = container_of(p, struct feed_ask, post);
	struct follow *s = map_get(&a->hub->feed->follows, number(&a->no));

	if (s != NULL)
		follow_free(a->hub->feed, s);
	ask_free(a);
}

void
feed_open(struct hub *h, uint64_t no, const struct live_ask *ask)
{
	struct feed_ask *a = ask_new(h, no, run_open);

	live_ask_copy(&a->arena, &a->ask, ask);
	loop_post(h->loop, &a->post);
}

void
feed_more(struct hub *h, uint64_t no)
{
	loop_post(h->loop, &ask_new(h, no, run_more)->post);
}

void
feed_close(struct hub *h, uint64_t no)
{
	loop_post(h->loop, &ask_new(h, no, run_close)->post);
}

void
feed_fini(struct hub *h)
{
	struct feed *f = h->feed;
	struct follow *s;
	size_t pos = 0;

	if (f == NULL)
		return;
	feed_kick(h);
	writer_tell_rest(h);
	while ((s = map_next(&f->follows, &pos)) != NULL) {
		follow_free(f, s);
		pos = 0;
	}
	map_fini(&f->follows);
	map_fini(&f->interests);
	buf_free(&f->key);
	free(f);
	h->feed = NULL;
}
