/*
 * net/mqtt/pack.c - many waiting messages in few bytes.
 *
 * A message and its delivery take some 200 bytes beside their texts: nothing
 * while they pass, but too much on a small device where a hundred thousand wait
 * for a link that is down. What is neither near the head of a long list nor
 * quite new is packed: its numbers as differences, its topic once.
 *
 *  (1) Only what is written in the journal and waits in this list alone is
 *      packed, so that it is neither asked for nor changed until it is its
 *      turn. What expires by itself is not, nor what is large.
 *  (2) A pack stands in the list in the place of its messages, as an item that
 *      is `packed`; the list counts them as before. mqtt_fifo_first() never
 *      gives one.
 *  (3) In the journal it hangs in the segment where the oldest record of its
 *      messages is. When that is emptied they are said again together.
 *
 * Layout of a message: u8 flags; unless it is as the one before: account (a
 * pointer, with its reference), topic; then, as differences to the one before:
 * its number, the journal's, its time, its place in the session; subscription
 * id; lengths of properties and payload, and these.
 */
#include "net/mqtt/private.h"

#include "base/mem.h"
#include "base/varint.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define PACK_MIN 16u    /* fewer are not worth it */
#define PACK_HEAD 128u  /* the next to go stay as they are */
#define PACK_LOOK 1024u /* so many of the newest are looked at */
#define PACK_TEXT 4096u /* larger ones stay as they are */

#define AS_BEFORE 0x80 /* account and topic */

/* What differences are taken from. */
struct before {
	uint64_t seq, kept_seq, ord;
	int64_t at_ms;
	struct account *account;
	struct str topic; /* lent */
};

/* --- into ---------------------------------------------------------------- */

static bool
can_be_packed(const struct fifo *f, const struct delivery *d)
{
	const struct mqtt_msg *m = d->msg;

	return !d->packed && d->group == NULL && d->more_ids == NULL &&
	    (f->owner->kind != OWNER_SESSION || d->qos > 0) &&
	    f->owner->id != 0 && m->kept.seq != 0 && m->kept.targets == 1 &&
	    !m->kept.retained && m->refs == 1 && m->waits == 0 &&
	    m->arrival == NULL && m->expires_ms == 0 && !m->failed &&
	    !m->from_queue && !m->queued &&
	    msg_bytes(m) <= sizeof(*m) + PACK_TEXT &&
	    mqtt_keep_has_msg(m->server, m);
}

static void
put_difference(struct buf *out, uint64_t now, uint64_t before)
{
	varint_put(out, zigzag((int64_t)(now - before)));
}

static void
put_one(struct buf *out, const struct delivery *d, struct before *b)
{
	const struct mqtt_msg *m = d->msg;
	struct str topic = mqtt_msg_topic(m);
	bool same = b->topic.ptr != NULL && m->account == b->account &&
	    str_eq(topic, b->topic);

	buf_addc(out,
	    (char)(m->qos | m->retain << 2 | d->qos << 3 | d->retain << 5 |
		d->again << 6 | (same ? AS_BEFORE : 0)));
	if (!same) {
		buf_add(out, &m->account, sizeof(m->account));
		varint_put(out, topic.len);
		buf_add_str(out, topic);
	}
	put_difference(out, m->seq, b->seq);
	put_difference(out, m->kept.seq, b->kept_seq);
	put_difference(out, (uint64_t)m->at_ms, (uint64_t)b->at_ms);
	put_difference(out, d->ord, b->ord);
	varint_put(out, d->sub_id);
	varint_put(out, m->props_len);
	varint_put(out, m->payload_len);
	buf_add(out, m->wire + 2 + m->topic_len,
	    (size_t)m->props_len + m->payload_len);
	*b = (struct before){ m->seq, m->kept.seq, d->ord, m->at_ms, m->account,
		topic };
}

/* Frees both; what they refer to is the pack's. */
static void
unmake_one(struct mqtt_server *s, struct delivery *d)
{
	free(d->msg);
	d->msg = NULL;
	mqtt_delivery_free(s, d);
}

/* Takes `n` messages from `first` on out of the list, and puts a pack there. */
static void
pack(struct fifo *f, struct delivery *first, uint32_t n)
{
	struct mqtt_server *s = first->msg->server;
	struct segment *seg = first->msg->kept.segment;
	struct before before = { 0 };
	struct buf out = { 0 };
	struct delivery *d = first;
	struct list *next;
	size_t kept_bytes = 0;
	struct pack *p;

	for (uint32_t i = 0; i < n; i++) {
		put_one(&out, d, &before);
		d = container_of(d->link.next, struct delivery, link);
	}
	p = mem_alloc(sizeof(*p) + out.len);
	p->item.packed = true;
	p->fifo = f;
	p->server = s;
	p->n = n;
	p->len = (uint32_t)out.len;
	p->at_ms = first->msg->at_ms;
	p->last_seq = before.seq;
	memcpy(p->data, out.ptr, out.len);
	buf_free(&out);
	list_init(&p->in_segment);
	list_add(&first->link, &p->item.link); /* before it */
	for (d = first; n > 0; n--) {
		struct mqtt_msg *m = d->msg;

		next = d->link.next;
		if (m->kept.segment->no < seg->no)
			seg = m->kept.segment;
		kept_bytes += m->kept.bytes;
		mqtt_keep_dead(&s->keep, m); /* the pack is, from now on */
		list_del(&d->link);
		unmake_one(s, d);
		d = container_of(next, struct delivery, link);
	}
	mqtt_keep_link_pack(&s->keep, p, seg->no, kept_bytes);
}

/* The first that is looked at: behind the last pack, or what is to be at hand
 * at the head. */
static struct list *
begin_of_tail(struct fifo *f)
{
	struct list *l = f->items.prev;
	uint32_t n = 0;

	for (; l != &f->items && n < PACK_LOOK; l = l->prev, n++)
		if (container_of(l, struct delivery, link)->packed)
			return l->next;
	if (l == &f->items)
		for (n = 0; n < PACK_HEAD; n++)
			l = l->next; /* there are more than that */
	return l->next;
}

void
mqtt_fifo_pack(struct fifo *f)
{
	struct list *l = begin_of_tail(f), *first = NULL, *next;
	uint32_t n = 0;

	/* the last has just come: it is in somebody's hand */
	for (; l != &f->items && l->next != &f->items; l = next) {
		bool can =
		    can_be_packed(f, container_of(l, struct delivery, link));

		next = l->next;
		if (can && n++ == 0)
			first = l;
		if (n == PACK_N || (!can && n >= PACK_MIN))
			pack(f, container_of(first, struct delivery, link), n);
		if (n == PACK_N || !can)
			n = 0;
	}
}

/* --- out of -------------------------------------------------------------- */

static uint64_t
get_number(struct str *in)
{
	uint64_t n = 0;
	bool ok = varint_get(in, &n);

	assert(ok); /* we wrote it */
	(void)ok;
	return n;
}

static uint64_t
get_difference(struct str *in, uint64_t before)
{
	return before + (uint64_t)unzigzag(get_number(in));
}

static struct str
get_bytes(struct str *in, size_t len)
{
	struct str s = { in->ptr, len };

	assert(len <= in->len);
	in->ptr += len;
	in->len -= len;
	return s;
}

/* What `b` becomes by it, and the rest. */
struct one {
	uint8_t flags;
	uint32_t sub_id, props_len;
	struct str rest; /* properties and payload, lent */
};

static struct one
get_one(struct str *in, struct before *b)
{
	struct one one = { .flags = (uint8_t)*get_bytes(in, 1).ptr };
	uint64_t payload_len;

	if (!(one.flags & AS_BEFORE)) {
		memcpy(&b->account, get_bytes(in, sizeof(b->account)).ptr,
		    sizeof(b->account));
		b->topic.len = (size_t)get_number(in);
		b->topic = get_bytes(in, b->topic.len);
	}
	b->seq = get_difference(in, b->seq);
	b->kept_seq = get_difference(in, b->kept_seq);
	b->at_ms = (int64_t)get_difference(in, (uint64_t)b->at_ms);
	b->ord = get_difference(in, b->ord);
	one.sub_id = (uint32_t)get_number(in);
	one.props_len = (uint32_t)get_number(in);
	payload_len = get_number(in);
	one.rest = get_bytes(in, one.props_len + (size_t)payload_len);
	return one;
}

/* As it was, but not in the journal's lists; its reference of the account is
 * the pack's. */
static struct delivery *
make_one(struct mqtt_server *s, const struct before *b, const struct one *one)
{
	struct mqtt_msg *m =
	    mem_alloc(sizeof(*m) + 2 + b->topic.len + one->rest.len);
	struct delivery *d;

	*m = (struct mqtt_msg){
		.topic_len = (uint16_t)b->topic.len,
		.props_len = one->props_len,
		.payload_len = (uint32_t)(one->rest.len - one->props_len),
		.qos = one->flags & 3,
		.retain = one->flags >> 2 & 1,
		.at_ms = b->at_ms,
		.seq = b->seq,
		.server = s,
		.account = b->account,
		.kept = { .seq = b->kept_seq, .targets = 1 },
	};
	list_init(&m->kept.in_segment);
	memcpy(mqtt_msg_put_topic(m, b->topic), one->rest.ptr, one->rest.len);
	d = mqtt_delivery_new(s, m, one->flags >> 3 & 3, one->flags >> 5 & 1);
	d->again = one->flags >> 6 & 1;
	d->ord = b->ord;
	d->sub_id = one->sub_id;
	return d;
}

struct delivery *
mqtt_fifo_unpack(struct fifo *f, struct delivery *item)
{
	struct pack *p = pack_of(item);
	struct keep *k = &p->server->keep;
	struct str in = { p->data, p->len };
	size_t each = p->bytes / p->n, rest = p->bytes % p->n;
	uint64_t segment = p->segment->no;
	struct delivery *d, *first = NULL;
	struct before before = { 0 };

	assert(p->fifo == f);
	mqtt_keep_unlink_pack(k, p);
	for (uint32_t i = 0; i < p->n; i++) {
		struct one one = get_one(&in, &before);

		d = make_one(p->server, &before, &one);
		mqtt_keep_link_msg(
		    k, d->msg, segment, each + (i == 0 ? rest : 0));
		list_add(&item->link, &d->link); /* before it */
		if (first == NULL)
			first = d;
	}
	list_del(&item->link);
	free(p);
	return first;
}

void
mqtt_fifo_unpack_all(struct fifo *f)
{
	LIST_EACH (d, &f->items, struct delivery, link) {
		if (d->packed)
			(void)mqtt_fifo_unpack(f, d);
	}
}

uint32_t
mqtt_pack_of_topic(const struct pack *p, struct str name)
{
	struct str in = { p->data, p->len };
	struct before before = { 0 };
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->n; i++) {
		(void)get_one(&in, &before);
		n += str_eq(before.topic, name);
	}
	return n;
}

/* --- in the journal ------------------------------------------------------ */

bool
mqtt_pack_say_again(struct mqtt_server *s, struct pack *p)
{
	const struct owner *o = p->fifo->owner;
	struct keep *k = &s->keep;
	struct str in = { p->data, p->len };
	struct before before = { 0 };
	uint64_t segment, oldest = UINT64_MAX;
	size_t bytes = 0;
	bool ok = true;

	for (uint32_t i = 0; i < p->n && ok; i++) {
		struct one one = get_one(&in, &before);
		struct delivery *d = make_one(s, &before, &one);

		mqtt_keep_note(k, o, o->kind == OWNER_SESSION ? d : NULL);
		mqtt_keep_put_msg(k, d->msg, d->msg->kept.seq, 0, 0);
		ok = mqtt_keep_append(s, mqtt_keep_level(k), &segment);
		k->n_targets = 0;
		bytes += k->record.len;
		oldest = MIN_OF(oldest, segment);
		unmake_one(s, d);
	}
	if (ok)
		mqtt_keep_link_pack(k, p, oldest, bytes);
	return ok;
}
