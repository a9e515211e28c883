/*
 * net/mqtt/restore.c - reading the journal back: record by record into what it
 * says, and at its end into sessions, groups, queues and messages.
 *
 * A record that does not read as keep.c wrote it is damage that the checksum
 * did not see, or of another version: opening ends with an error.
 */
#include "net/mqtt/private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct old_sub {
	struct str filter; /* owned */
	uint8_t options;
	uint32_t sub_id;
};

struct old_owner {
	uint32_t id;
	uint8_t kind; /* enum owner_kind */
	uint8_t durability;
	uint32_t expiry_s;
	uint64_t away_ms;
	uint64_t next_ord;
	struct str key; /* owned */
	struct old_sub *subs;
	uint32_t n_subs, cap_subs;
	struct received *received;
	struct buf released; /* ords */
	uint64_t segment;
	size_t bytes;
	struct owner *now; /* what it has become; NULL: nothing */
};

struct old_target {
	uint32_t owner;
	uint64_t ord;
	uint8_t flags;
	uint32_t sub_id;
	uint32_t *more_ids; /* owned */
};

/* There may be very many: it is one piece of memory, with its one target, and
 * becomes a message only when it is given to whom it waits for. */
struct old_msg {
	struct old_msg *next; /* in the same place of `msgs` */
	uint64_t seq;
	uint64_t at_ms, expires_ms;
	uint64_t segment;
	uint32_t bytes;
	uint32_t n_targets;
	struct old_target first;
	struct old_target *more; /* owned; NULL: no more than the first */
	uint32_t payload_len;
	uint32_t props_len;
	uint16_t topic_len;
	uint8_t flags;
	char text[]; /* topic, properties, payload */
};

struct restore {
	struct mqtt_server *server;
	struct map owners;       /* by the bytes of the id */
	struct old_msg **msgs;   /* by seq; chained */
	size_t n_msgs, cap_msgs; /* 0 or a power of two */
	uint32_t last_owner;
	uint64_t last_seq;
};

/* --- reading ------------------------------------------------------------- */

struct reader {
	const char *p, *end;
	bool bad; /* something was not there; all is 0 from then on */
};

static void
take(struct reader *r, void *ret, size_t n)
{
	if (r->bad || (size_t)(r->end - r->p) < n) {
		r->bad = true;
		memset(ret, 0, n);
		return;
	}
	memcpy(ret, r->p, n);
	r->p += n;
}

#define TAKE(name, type)                                                       \
	static type name(struct reader *r)                                     \
	{                                                                      \
		type n;                                                        \
                                                                               \
		take(r, &n, sizeof(n));                                        \
		return n;                                                      \
	}
TAKE(take8, uint8_t)
TAKE(take16, uint16_t)
TAKE(take32, uint32_t)
TAKE(take64, uint64_t)

#define TIME_MAX ((uint64_t)1 << 53) /* milliseconds; later is no time */

static uint64_t
take_time(struct reader *r)
{
	uint64_t ms = take64(r);

	if (ms <= TIME_MAX)
		return ms;
	r->bad = true;
	return 0;
}

static struct str
take_text(struct reader *r)
{
	uint32_t len = take32(r);
	struct str s;

	if (r->bad || (size_t)(r->end - r->p) < len) {
		r->bad = true;
		return STR("");
	}
	s = (struct str){ r->p, len };
	r->p += len;
	return s;
}

/* --- finding ------------------------------------------------------------- */

static struct str
key32(const uint32_t *id)
{
	return (struct str){ (const char *)id, sizeof(*id) };
}

/* Every id that was ever given: none is given again. */
static uint32_t
note_id(struct restore *rs, uint32_t id)
{
	rs->last_owner = MAX_OF(rs->last_owner, id);
	return id;
}

static struct old_owner *
owner_of(struct restore *r, uint32_t id)
{
	return map_get(&r->owners, key32(&id));
}

/* Where it is, or would be: the numbers are ours, one behind the other. */
static struct old_msg **
place_of(const struct restore *rs, uint64_t seq)
{
	struct old_msg **at = &rs->msgs[seq & (rs->cap_msgs - 1)];

	while (*at != NULL && (*at)->seq != seq)
		at = &(*at)->next;
	return at;
}

static struct old_msg *
msg_of(const struct restore *rs, uint64_t seq)
{
	return rs->n_msgs > 0 ? *place_of(rs, seq) : NULL;
}

static void
grow_msgs(struct restore *rs)
{
	size_t was = rs->cap_msgs;
	struct old_msg **old = rs->msgs, *m, **at;

	rs->cap_msgs = was == 0 ? 1024 : was * 2;
	rs->msgs = mem_array(rs->cap_msgs, sizeof(struct old_msg *));
	for (size_t i = 0; i < was; i++)
		while ((m = old[i]) != NULL) {
			old[i] = m->next;
			at = place_of(rs, m->seq);
			m->next = NULL;
			*at = m;
		}
	free(old);
}

/* --- owners -------------------------------------------------------------- */

static void
owner_clear(struct old_owner *o)
{
	for (uint32_t i = 0; i < o->n_subs; i++)
		str_free(o->subs[i].filter);
	free(o->subs);
	free(o->received);
	buf_free(&o->released);
	str_free(o->key);
}

static struct old_owner *
owner_make(struct restore *r, uint32_t id)
{
	struct old_owner *o = owner_of(r, id);
	uint64_t next_ord = 0;

	if (o != NULL) { /* said again: this replaces it */
		next_ord = o->next_ord;
		owner_clear(o);
		*o = (struct old_owner){ .id = id, .next_ord = next_ord };
		return o;
	}
	o = mem_new(struct old_owner);
	o->id = id;
	(void)map_put(&r->owners, key32(&o->id), o);
	r->last_owner = MAX_OF(r->last_owner, id);
	return o;
}

static void
put_sub(struct old_owner *o, struct str filter, uint8_t options, uint32_t id)
{
	uint32_t i = 0;

	while (i < o->n_subs && !str_eq(o->subs[i].filter, filter))
		i++;
	if (i == o->n_subs) {
		if (o->n_subs == o->cap_subs) {
			o->cap_subs = o->cap_subs * 2 + 4;
			o->subs =
			    mem_resize(o->subs, o->cap_subs, sizeof(*o->subs));
		}
		o->subs[o->n_subs++].filter = str_copy(filter);
	}
	o->subs[i].options = options;
	o->subs[i].sub_id = id;
}

static void
del_sub(struct old_owner *o, struct str filter)
{
	for (uint32_t i = 0; i < o->n_subs; i++) {
		if (!str_eq(o->subs[i].filter, filter))
			continue;
		str_free(o->subs[i].filter);
		o->subs[i] = o->subs[--o->n_subs];
		return;
	}
}

static void
set_received(struct old_owner *o, uint16_t id, bool on)
{
	bool was =
	    o->received != NULL && o->received->bits[id / 8] >> id % 8 & 1;

	if (was == on)
		return;
	if (o->received == NULL)
		o->received = mem_new(struct received);
	o->received->bits[id / 8] ^= (uint8_t)(1 << id % 8);
	o->received->n += on ? 1 : -1u;
}

static void
add_released(struct old_owner *o, uint64_t ord)
{
	buf_add(&o->released, &ord, sizeof(ord));
	o->next_ord = MAX_OF(o->next_ord, ord);
}

static void
del_released(struct old_owner *o, uint64_t ord)
{
	uint64_t each;

	for (size_t i = 0; i < o->released.len; i += sizeof(each)) {
		memcpy(&each, o->released.ptr + i, sizeof(each));
		if (each != ord)
			continue;
		memmove(o->released.ptr + i, o->released.ptr + i + sizeof(each),
		    o->released.len - i - sizeof(each));
		o->released.len -= sizeof(each);
		return;
	}
}

static void
read_session(struct restore *rs, struct reader *r)
{
	struct old_owner *o = owner_make(rs, take32(r));
	uint64_t ord;

	o->kind = OWNER_SESSION;
	o->durability = take8(r);
	o->expiry_s = take32(r);
	o->away_ms = take_time(r);
	ord = take64(r);
	o->next_ord = MAX_OF(o->next_ord, ord);
	o->key = str_copy(take_text(r));
	for (uint32_t n = take32(r); n > 0 && !r->bad; n--) {
		struct str filter = take_text(r);
		uint8_t options = take8(r);

		put_sub(o, filter, options, take32(r));
	}
	for (uint32_t n = take32(r); n > 0 && !r->bad; n--)
		set_received(o, take16(r), true);
	for (uint32_t n = take32(r); n > 0 && !r->bad; n--)
		add_released(o, take64(r));
}

static void
read_named(struct restore *rs, struct reader *r, enum owner_kind kind)
{
	struct old_owner *o = owner_make(rs, take32(r));

	o->kind = (uint8_t)kind;
	o->durability = take8(r);
	o->key = str_copy(take_text(r));
}

/* --- messages ------------------------------------------------------------ */

static struct old_target *
target_at(struct old_msg *m, uint32_t i)
{
	return i == 0 ? &m->first : &m->more[i - 1];
}

static void
add_target(struct old_msg *m, const struct old_target *t)
{
	if (m->n_targets > 0) /* a few at most, and seldom */
		m->more = mem_resize(m->more, m->n_targets, sizeof(*m->more));
	*target_at(m, m->n_targets++) = *t;
}

static void
msg_free(struct old_msg *m)
{
	for (uint32_t i = 0; i < m->n_targets; i++)
		free(target_at(m, i)->more_ids);
	free(m->more);
	free(m);
}

static void
del_target(struct old_msg *m, uint32_t owner, uint64_t ord)
{
	for (uint32_t i = 0; m != NULL && i < m->n_targets; i++) {
		struct old_target *t = target_at(m, i);

		if (t->owner != owner || (ord != 0 && t->ord != ord))
			continue;
		free(t->more_ids);
		*t = *target_at(m, --m->n_targets);
		return;
	}
}

static void
drop(struct restore *rs, struct old_msg *m)
{
	*place_of(rs, m->seq) = m->next;
	rs->n_msgs--;
	msg_free(m);
}

static void
drop_if_dead(struct restore *rs, struct old_msg *m)
{
	if (m != NULL && m->n_targets == 0)
		drop(rs, m);
}

static void
read_targets(struct restore *rs, struct reader *r, struct old_msg *m)
{
	for (uint32_t n = take32(r); n > 0 && !r->bad; n--) {
		struct old_target t = { .owner = note_id(rs, take32(r)) };
		struct old_owner *o = owner_of(rs, t.owner);
		uint8_t more;

		t.ord = take64(r);
		t.flags = take8(r);
		t.sub_id = take32(r);
		more = take8(r);
		if (more > 0)
			t.more_ids = mem_array(more + 1u, sizeof(*t.more_ids));
		for (uint8_t i = 0; i < more; i++)
			t.more_ids[i] = take32(r);
		if (o != NULL)
			o->next_ord = MAX_OF(o->next_ord, t.ord);
		add_target(m, &t);
	}
}

static void
read_msg(struct restore *rs, struct reader *r)
{
	uint64_t seq = take64(r), at_ms, expires_ms;
	struct str topic, props, payload;
	struct old_msg *m = msg_of(rs, seq);
	struct old_owner *from;
	uint32_t publisher;
	uint16_t note;
	uint8_t flags;

	flags = take8(r);
	at_ms = take_time(r);
	expires_ms = take_time(r);
	topic = take_text(r);
	props = take_text(r);
	payload = take_text(r);
	if (seq == 0 || topic.len > MQTT_TEXT_MAX) /* never written */
		r->bad = true;
	if (m != NULL) /* said again: this replaces it */
		drop(rs, m);
	m = r->bad ? NULL
		   : mem_try(sizeof(*m) + topic.len + props.len + payload.len);
	if (m == NULL) {
		r->bad = true;
		return;
	}
	*m = (struct old_msg){
		.seq = seq,
		.at_ms = at_ms,
		.expires_ms = expires_ms,
		.topic_len = (uint16_t)topic.len,
		.props_len = (uint32_t)props.len,
		.payload_len = (uint32_t)payload.len,
		.flags = flags,
	};
	memcpy(mempcpy(mempcpy(m->text, topic.ptr, topic.len), props.ptr,
		   props.len),
	    payload.ptr, payload.len);
	if (rs->n_msgs == rs->cap_msgs)
		grow_msgs(rs);
	*place_of(rs, seq) = m;
	rs->n_msgs++;
	rs->last_seq = MAX_OF(rs->last_seq, seq);
	publisher = take32(r);
	note = take16(r);
	from = publisher != 0 ? owner_of(rs, publisher) : NULL;
	if (from != NULL && note != 0)
		set_received(from, note, true);
	read_targets(rs, r, m);
}

/* --- one record ---------------------------------------------------------- */

static void
read_released(struct restore *rs, struct reader *r)
{
	struct old_owner *o = owner_of(rs, take32(r));
	uint64_t ord = take64(r);
	uint32_t had = take32(r);
	struct old_msg *m = msg_of(rs, take64(r));

	if (o != NULL)
		add_released(o, ord);
	del_target(m, had, o != NULL && had == o->id ? ord : 0);
	drop_if_dead(rs, m);
}

static void
read_small(struct restore *rs, struct reader *r, uint8_t kind)
{
	uint32_t id = note_id(rs, take32(r));
	struct old_owner *o = owner_of(rs, id);
	struct str filter;
	struct old_msg *m;
	uint64_t ord;
	uint8_t options;
	uint16_t packet;

	switch (kind) {
	case RECORD_END:
		if (o == NULL)
			return;
		(void)map_del(&rs->owners, key32(&o->id));
		owner_clear(o);
		free(o);
		return;
	case RECORD_SUB:
		filter = take_text(r);
		options = take8(r);
		if (o != NULL)
			put_sub(o, filter, options, take32(r));
		return;
	case RECORD_UNSUB:
		filter = take_text(r);
		if (o != NULL)
			del_sub(o, filter);
		return;
	case RECORD_AWAY:
		if (o != NULL) {
			o->expiry_s = take32(r);
			o->away_ms = take_time(r);
		}
		return;
	case RECORD_RECEIVED:
		packet = take16(r);
		if (o != NULL)
			set_received(o, packet, take8(r));
		return;
	case RECORD_COMPLETED:
		if (o != NULL)
			del_released(o, take64(r));
		return;
	case RECORD_GONE:
		m = msg_of(rs, take64(r));
		ord = take64(r);
		del_target(m, id, ord);
		drop_if_dead(rs, m);
		return;
	default:
		r->bad = true;
	}
}

static void
read_moved(struct restore *rs, struct reader *r)
{
	struct old_msg *m = msg_of(rs, take64(r));
	uint32_t from = take32(r);

	if (m == NULL)
		return; /* its owners had ended */
	read_targets(rs, r, m);
	if (from != 0)
		del_target(m, from, 0);
	drop_if_dead(rs, m);
}

static void
note_segment(struct restore *rs, struct str record, uint64_t segment)
{
	struct reader r = { record.ptr + 1, record.ptr + record.len, false };
	struct old_owner *o;
	struct old_msg *m;

	if (record.ptr[0] == RECORD_MSG) {
		m = msg_of(rs, take64(&r));
		if (m != NULL) {
			m->segment = segment;
			m->bytes = record.len;
		}
		return;
	}
	o = owner_of(rs, take32(&r));
	if (o != NULL) {
		o->segment = segment;
		o->bytes = record.len;
	}
}

int
mqtt_restore_record(
    struct restore *rs, uint64_t segment, struct str record, struct err *err)
{
	struct reader r = { record.ptr, record.ptr + record.len, false };
	uint8_t kind = take8(&r);
	struct reader peek = r;

	if ((kind == RECORD_SESSION || kind == RECORD_GROUP ||
		kind == RECORD_QUEUE) &&
	    take32(&peek) <= OWNER_RETAINED)
		kind = 0; /* an id that is never given */
	switch (kind) {
	case RECORD_SESSION:
		read_session(rs, &r);
		break;
	case RECORD_GROUP:
		read_named(rs, &r, OWNER_GROUP);
		break;
	case RECORD_QUEUE:
		read_named(rs, &r, OWNER_QUEUE);
		break;
	case RECORD_MSG:
		read_msg(rs, &r);
		break;
	case RECORD_RELEASED:
		read_released(rs, &r);
		break;
	case RECORD_MOVED:
		read_moved(rs, &r);
		break;
	default:
		read_small(rs, &r, kind);
	}
	if (r.bad)
		return err_set(err, ERR_PROTO,
		    "a record of kind %u and %zu bytes is not one of ours",
		    kind, record.len);
	if (kind == RECORD_SESSION || kind == RECORD_GROUP ||
	    kind == RECORD_QUEUE || kind == RECORD_MSG)
		note_segment(rs, record, segment);
	return 0;
}

/* --- making it of that --------------------------------------------------- */

static void
become(struct restore *rs, struct old_owner *old, struct owner *now)
{
	old->now = now;
	now->id = old->id;
	now->kind = old->kind;
	now->durability = old->durability;
	mqtt_keep_link_owner(&rs->server->keep, now, old->segment, old->bytes);
}

static void
build_released(struct session *s, const struct old_owner *o)
{
	uint64_t ord;

	for (size_t i = 0; i < o->released.len; i += sizeof(ord)) {
		struct delivery *d =
		    mqtt_delivery_new(s->server, NULL, 2, false);

		memcpy(&ord, o->released.ptr + i, sizeof(ord));
		d->ord = ord;
		d->released = true;
		mqtt_session_restore(s, d);
	}
}

/* What is left of its life, in milliseconds. */
static int64_t
time_left(const struct old_owner *o)
{
	int64_t now = clock_now();
	int64_t away = o->away_ms != 0 ? (int64_t)o->away_ms : now;

	return (int64_t)o->expiry_s * 1000 - MAX_OF(now - away, (int64_t)0);
}

static void
build_session(struct restore *rs, struct old_owner *o)
{
	struct mqtt_server *server = rs->server;
	struct str id = o->key, name = str_cut(&id, '\0');
	struct account *a =
	    name.len > 0 ? mqtt_account_get(server, name) : NULL;
	struct session *s;

	if (mqtt_session_find(server, a, id) != NULL) {
		mqtt_account_unref(a);
		return; /* an older one of the same client */
	}
	s = mqtt_session_new(server, a, id, o->expiry_s);
	become(rs, o, &s->owner);
	s->next_ord = o->next_ord;
	s->detached_ms = o->away_ms != 0 ? (int64_t)o->away_ms : clock_now();
	for (uint32_t i = 0; i < o->n_subs; i++) {
		const struct old_sub *sub = &o->subs[i];
		const struct mqtt_filter f = {
			.filter = sub->filter,
			.qos = sub->options & 3,
			.no_local = sub->options >> 2 & 1,
			.retain_as_published = sub->options >> 3 & 1,
			.retain_handling = sub->options >> 4 & 3,
		};

		(void)mqtt_subscribe_restored(s, &f, sub->sub_id);
	}
	/* Numbers of what came from groups are not written: leave them out. */
	if (!list_empty(&s->memberships))
		s->next_ord += ID_COUNT / 2;
	s->received = o->received;
	o->received = NULL;
	build_released(s, o);
	mqtt_session_wait(s, time_left(o));
}

static int
by_seq(const void *a, const void *b)
{
	const struct old_msg *const *x = a, *const *y = b;

	return ((*x)->seq > (*y)->seq) - ((*x)->seq < (*y)->seq);
}

static bool
give(struct restore *rs, struct mqtt_msg *m, struct old_target *t)
{
	struct mqtt_server *s = rs->server;
	struct old_owner *o = owner_of(rs, t->owner);
	struct delivery *d;

	if (t->owner == OWNER_RETAINED) {
		m->kept.retained = mqtt_retained_set(&s->topics, m,
		    s->conf.max_retained, s->conf.max_retained_bytes);
		return m->kept.retained;
	}
	if (o == NULL || o->now == NULL)
		return false;
	d = mqtt_delivery_new(s, m, m->qos, false);
	switch (o->kind) {
	case OWNER_SESSION:
		d->ord = t->ord;
		d->qos = t->flags & 3;
		d->retain = t->flags >> 2 & 1;
		d->sub_id = t->sub_id;
		d->more_ids = t->more_ids;
		t->more_ids = NULL;
		mqtt_session_restore(
		    container_of(o->now, struct session, owner), d);
		break;
	case OWNER_GROUP:
		mqtt_fifo_add(
		    &container_of(o->now, struct group, owner)->waiting, d);
		break;
	default:
		mqtt_queue_restore(
		    container_of(o->now, struct queue, owner), d);
	}
	return true;
}

static struct mqtt_msg *
make_msg(struct mqtt_server *s, const struct old_msg *old)
{
	const char *p = old->text;
	struct incoming in = {
		.topic = { p, old->topic_len },
		.props = { p + old->topic_len, old->props_len },
		.payload = { p + old->topic_len + old->props_len,
		    old->payload_len },
		.props_are_kept = true,
		.qos = old->flags & 3,
		.retain = old->flags >> 2 & 1,
	};
	int64_t shift = clock_mono() - clock_now();
	struct mqtt_msg *m = mqtt_msg_new(s, NULL, &in);

	if (m == NULL)
		return NULL;
	m->at_ms = (int64_t)old->at_ms + shift;
	if (old->expires_ms != 0)
		m->expires_ms = MAX_OF((int64_t)old->expires_ms + shift, 1);
	return m;
}

static bool
build_msg(struct restore *rs, struct old_msg *old)
{
	struct mqtt_msg *m = make_msg(rs->server, old);

	if (m == NULL)
		return false;
	for (uint32_t i = 0; i < old->n_targets; i++)
		m->kept.targets += give(rs, m, target_at(old, i));
	if (m->kept.targets > 0) {
		m->kept.seq = old->seq;
		mqtt_keep_link_msg(
		    &rs->server->keep, m, old->segment, old->bytes);
	}
	mqtt_msg_release(m);
	return true;
}

/* In order; each old one is freed when the new one is made, so that there are
 * never all of both. */
static bool
build_msgs(struct restore *rs)
{
	struct old_msg **all =
	    mem_array(rs->n_msgs + 1, sizeof(struct old_msg *));
	size_t n = 0;
	bool ok = true;

	for (size_t i = 0; i < rs->cap_msgs; i++)
		for (struct old_msg *m = rs->msgs[i]; m != NULL; m = m->next)
			all[n++] = m;
	free(rs->msgs);
	rs->msgs = NULL;
	rs->n_msgs = rs->cap_msgs = 0;
	qsort(all, n, sizeof(struct old_msg *), by_seq);
	for (size_t i = 0; i < n; i++) {
		ok = ok && build_msg(rs, all[i]);
		msg_free(all[i]);
	}
	free(all);
	return ok;
}

int
mqtt_restore_build(struct restore *rs, struct err *err)
{
	struct mqtt_server *s = rs->server;
	struct old_owner *o;
	struct group *g;
	struct queue *q;
	size_t pos = 0;

	while ((o = map_next(&rs->owners, &pos)) != NULL) {
		if (o->kind == OWNER_SESSION)
			build_session(rs, o);
	}
	pos = 0; /* groups are there by their members now */
	while ((o = map_next(&rs->owners, &pos)) != NULL) {
		g = o->kind == OWNER_GROUP ? map_get(&s->groups, o->key) : NULL;
		q = o->kind == OWNER_QUEUE
		    ? mqtt_queue_make(s, o->key, MQTT_NONE)
		    : NULL;
		if (g != NULL)
			become(rs, o, &g->owner);
		if (q != NULL)
			become(rs, o, &q->owner);
	}
	s->keep.next_owner = MAX_OF(s->keep.next_owner, rs->last_owner);
	s->keep.next_seq = rs->last_seq;
	if (!build_msgs(rs))
		return err_set(err, ERR_LIMIT,
		    "the messages that wait do not fit into memory");
	return 0;
}

/* --- life ---------------------------------------------------------------- */

struct restore *
mqtt_restore_new(struct mqtt_server *s)
{
	struct restore *rs = mem_new(struct restore);

	rs->server = s;
	return rs;
}

void
mqtt_restore_end(struct restore *rs)
{
	struct old_owner *o;
	struct group *g;
	size_t pos = 0;

	while ((o = map_next(&rs->owners, &pos)) != NULL) {
		struct owner gone = { .id = o->id };

		list_init(&gone.in_segment);
		if (o->now == NULL)
			mqtt_keep_end(rs->server, &gone);
	}
	pos = 0; /* durabilities may have changed */
	while ((g = map_next(&rs->server->groups, &pos)) != NULL)
		mqtt_group_keep(g);
	mqtt_restore_free(rs);
}

void
mqtt_restore_free(struct restore *rs)
{
	struct old_owner *o;
	struct old_msg *m;
	size_t pos = 0;

	while ((o = map_next(&rs->owners, &pos)) != NULL) {
		owner_clear(o);
		free(o);
	}
	for (size_t i = 0; i < rs->cap_msgs; i++)
		while ((m = rs->msgs[i]) != NULL) {
			rs->msgs[i] = m->next;
			msg_free(m);
		}
	free(rs->msgs);
	map_fini(&rs->owners);
	free(rs);
}
