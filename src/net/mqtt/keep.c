/*
 * net/mqtt/keep.c - what of the server is written to the journal, and when.
 *
 * A message is written once, with the list of its owners (sessions, groups,
 * queues, the retained ones); when an owner has it no more, or it moves, a
 * small record says so. A session is written once with all that belongs to it,
 * and each change of it by a small record. Reading all of them in order gives
 * what there was (restore.c).
 *
 *  (1) What still counts in a segment hangs in the lists of that segment. When
 *      the journal has grown to much more than what counts, the oldest segment
 *      is emptied: what hangs there is written again, as it is now, at the end,
 *      a little at a time, and the segment is deleted.
 *  (2) A record of a message that is read again replaces the first: so do its
 *      owners.
 *  (3) All under the server's lock; the journal has its own thread, which posts
 *      its progress to the home loop.
 *
 * Layout (little endian; "text" is a length of 4 bytes and the bytes):
 *
 *   S  u32 id, u8 durability, u32 expiry_s, u64 away_ms, u64 next_ord,
 *      text key (account, NUL, client id), u32 n { text filter, u8 options,
 *      u32 sub_id }, u32 n { u16 packet id received }, u32 n { u64 released }
 *   G,Q u32 id, u8 durability, text key or name
 *   E  u32 id
 *   s  u32 id, text filter, u8 options, u32 sub_id;   u  u32 id, text filter
 *   a  u32 id, u32 expiry_s, u64 away_ms
 *   r  u32 id, u16 packet id, u8 on
 *   x  u32 id, u64 ord, u32 owner, u64 seq;   c  u32 id, u64 ord
 *   M  u64 seq, u8 flags, u64 at_ms, u64 expires_ms, text topic, text props,
 *      text payload, u32 publisher, u16 packet id, u32 n { target }
 *   A  u32 owner, u64 seq, u64 ord (0: any);   T  u64 seq, u32 from, u32 n {
 * target } target  u32 owner, u64 ord, u8 flags, u32 sub_id, u8 n { u32 sub_id
 * }
 */
#include "net/mqtt/private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

/* --- records ------------------------------------------------------------- */

static void
put(struct keep *k, const void *p, size_t n)
{
	buf_add(&k->record, p, n); /* little endian, as all we run on */
}

static void
put8(struct keep *k, unsigned n)
{
	buf_addc(&k->record, (char)n);
}

static void
put16(struct keep *k, uint16_t n)
{
	put(k, &n, 2);
}

static void
put32(struct keep *k, uint32_t n)
{
	put(k, &n, 4);
}

static void
put64(struct keep *k, uint64_t n)
{
	put(k, &n, 8);
}

static void
put_text(struct keep *k, struct str s)
{
	put32(k, (uint32_t)s.len);
	put(k, s.ptr, s.len);
}

static void
begin(struct keep *k, enum record kind)
{
	buf_clear(&k->record);
	put8(k, kind);
}

bool
mqtt_keep_append(struct mqtt_server *s, int level, uint64_t *segment)
{
	struct keep *k = &s->keep;
	struct str record = buf_str(&k->record);
	uint64_t group;
	int rc;

	rc = journal_append(
	    k->journal, (enum journal_level)level, &record, 1, &group, segment);
	if (rc != 0) {
		if (rc == ERR_AGAIN)
			k->full = true;
		return false;
	}
	COUNT(journal_records);
	if (group != k->group) {
		k->before_bytes += k->group_bytes;
		k->group_bytes = 0;
		k->group = group;
		k->level = 0;
	}
	k->group_bytes += record.len;
	k->level = MAX_OF(k->level, level);
	k->dirty = true;
	if (k->group_bytes + k->before_bytes > s->conf.dir_bytes / 2)
		k->full = true;
	return true;
}

static bool
say(struct mqtt_server *s, const struct owner *o)
{
	uint64_t segment;

	return mqtt_keep_append(
	    s, MAX_OF(o->durability, (uint8_t)MQTT_OS), &segment);
}

bool
mqtt_keep_reached(
    const struct keep *k, uint64_t group, enum mqtt_durability durability)
{
	if (durability == MQTT_NONE)
		return true;
	return (durability == MQTT_OS ? k->written : k->synced) >= group;
}

void
mqtt_keep_kick(struct mqtt_server *s)
{
	if (!s->keep.dirty)
		return;
	s->keep.dirty = false;
	journal_kick(s->keep.journal);
}

/* --- segments ------------------------------------------------------------ */

static struct segment *
segment_of(struct keep *k, uint64_t no)
{
	struct segment *seg;
	struct list *l;

	for (l = k->segments.prev; l != &k->segments; l = l->prev) {
		seg = container_of(l, struct segment, link);
		if (seg->no == no)
			return seg;
		if (seg->no < no)
			break;
	}
	seg = mem_new(struct segment);
	seg->no = no;
	list_init(&seg->msgs);
	list_init(&seg->packs);
	list_init(&seg->owners);
	list_add_first(l, &seg->link);
	return seg;
}

void
mqtt_keep_link_msg(
    struct keep *k, struct mqtt_msg *m, uint64_t segment, size_t bytes)
{
	list_del(&m->kept.in_segment);
	k->live_bytes += bytes - m->kept.bytes;
	m->kept.bytes = (uint32_t)bytes;
	m->kept.segment = segment_of(k, segment);
	list_add(&m->kept.segment->msgs, &m->kept.in_segment);
}

void
mqtt_keep_link_pack(
    struct keep *k, struct pack *p, uint64_t segment, size_t bytes)
{
	mqtt_keep_unlink_pack(k, p);
	k->live_bytes += bytes;
	p->bytes = bytes;
	p->segment = segment_of(k, segment);
	list_add(&p->segment->packs, &p->in_segment);
}

void
mqtt_keep_unlink_pack(struct keep *k, struct pack *p)
{
	list_del(&p->in_segment);
	k->live_bytes -= p->bytes;
	p->bytes = 0;
}

void
mqtt_keep_link_owner(
    struct keep *k, struct owner *o, uint64_t segment, size_t bytes)
{
	list_del(&o->in_segment);
	k->live_bytes += bytes - o->bytes;
	o->bytes = (uint32_t)bytes;
	list_add(&segment_of(k, segment)->owners, &o->in_segment);
}

void
mqtt_keep_dead(struct keep *k, struct mqtt_msg *m)
{
	list_del(&m->kept.in_segment);
	k->live_bytes -= m->kept.bytes;
	m->kept = (struct kept){ 0 };
	list_init(&m->kept.in_segment);
}

/* --- owners -------------------------------------------------------------- */

static unsigned
sub_options(const struct sub *sub)
{
	return sub->qos | (unsigned)sub->no_local << 2 |
	    (unsigned)sub->retain_as_published << 3 |
	    (unsigned)sub->retain_handling << 4;
}

static void
put_sub(struct keep *k, const struct sub *sub)
{
	put_text(k, sub->filter);
	put8(k, sub_options(sub));
	put32(k, sub->sub_id);
}

static uint64_t
away_ms(const struct session *s)
{
	return s->conn != NULL ? 0 : (uint64_t)s->detached_ms;
}

static void
put_received(struct keep *k, const struct session *s)
{
	put32(k, s->received != NULL ? s->received->n : 0);
	if (s->received == NULL || s->received->n == 0)
		return;
	for (uint32_t id = 1; id <= UINT16_MAX; id++) {
		if (mqtt_session_received(s, (uint16_t)id))
			put16(k, (uint16_t)id);
	}
}

static void
put_released(struct keep *k, const struct session *s)
{
	uint32_t n = 0;

	LIST_EACH (d, &s->inflight, struct delivery, link)
		n += d->released;
	put32(k, n);
	LIST_EACH (d, &s->inflight, struct delivery, link) {
		if (d->released)
			put64(k, d->ord);
	}
}

static void
put_session(struct keep *k, const struct session *s)
{
	begin(k, RECORD_SESSION);
	put32(k, s->owner.id);
	put8(k, s->owner.durability);
	put32(k, s->expiry_s);
	put64(k, away_ms(s));
	put64(k, s->next_ord);
	put_text(k, s->key);
	put32(k, s->n_subs);
	LIST_EACH (sub, &s->subs, struct sub, of_session)
		put_sub(k, sub);
	put_received(k, s);
	put_released(k, s);
}

static void
put_named(
    struct keep *k, enum record kind, const struct owner *o, struct str name)
{
	begin(k, kind);
	put32(k, o->id);
	put8(k, o->durability);
	put_text(k, name);
}

/* All about it, as it is now. */
bool
mqtt_keep_say_owner(struct mqtt_server *s, struct owner *o)
{
	struct keep *k = &s->keep;
	uint64_t segment;

	if (o->kind == OWNER_SESSION)
		put_session(k, container_of(o, struct session, owner));
	else if (o->kind == OWNER_GROUP)
		put_named(k, RECORD_GROUP, o,
		    container_of(o, struct group, owner)->key);
	else
		put_named(k, RECORD_QUEUE, o,
		    container_of(o, struct queue, owner)->topic->name);
	if (!mqtt_keep_append(s, o->durability, &segment))
		return false;
	mqtt_keep_link_owner(k, o, segment, k->record.len);
	return true;
}

void
mqtt_keep_begin(struct mqtt_server *s, struct owner *o, enum owner_kind kind,
    enum mqtt_durability durability)
{
	struct keep *k = &s->keep;

	o->kind = (uint8_t)kind;
	if (durability == MQTT_NONE && o->id != 0)
		mqtt_keep_end(s, o);
	o->durability = (uint8_t)durability;
	if (durability == MQTT_NONE || k->journal == NULL)
		return;
	if (o->id == 0)
		o->id = ++k->next_owner;
	if (!mqtt_keep_say_owner(s, o) && o->bytes == 0)
		o->id = 0; /* nothing of it is kept */
}

void
mqtt_keep_end(struct mqtt_server *s, struct owner *o)
{
	struct keep *k = &s->keep;

	if (o->id == 0 || k->journal == NULL)
		return;
	begin(k, RECORD_END);
	put32(k, o->id);
	(void)say(s, o);
	list_del(&o->in_segment);
	k->live_bytes -= o->bytes;
	o->bytes = 0;
	o->id = 0;
}

/* --- changes of a session ------------------------------------------------ */

static bool
changes(struct session *s, enum record kind)
{
	struct keep *k = &s->server->keep;

	if (s->owner.id == 0 || k->journal == NULL)
		return false;
	begin(k, kind);
	put32(k, s->owner.id);
	return true;
}

void
mqtt_keep_sub(struct session *s, const struct sub *sub)
{
	if (!changes(s, RECORD_SUB))
		return;
	put_sub(&s->server->keep, sub);
	(void)say(s->server, &s->owner);
}

void
mqtt_keep_unsub(struct session *s, struct str filter)
{
	if (!changes(s, RECORD_UNSUB))
		return;
	put_text(&s->server->keep, filter);
	(void)say(s->server, &s->owner);
}

void
mqtt_keep_away(struct session *s)
{
	if (!changes(s, RECORD_AWAY))
		return;
	put32(&s->server->keep, s->expiry_s);
	put64(&s->server->keep, away_ms(s));
	(void)say(s->server, &s->owner);
}

void
mqtt_keep_received(struct session *s, uint16_t id, bool on)
{
	if (!changes(s, RECORD_RECEIVED))
		return;
	put16(&s->server->keep, id);
	put8(&s->server->keep, on);
	(void)say(s->server, &s->owner);
}

void
mqtt_keep_released(struct session *s, const struct delivery *d)
{
	const struct owner *had =
	    d->group != NULL ? &d->group->owner : &s->owner;
	struct keep *k = &s->server->keep;

	if (!changes(s, RECORD_RELEASED)) {
		mqtt_keep_gone(s->server, had, d->msg);
		return;
	}
	put64(k, d->ord);
	put32(k, had->id);
	put64(k, d->msg->kept.seq);
	(void)say(s->server, &s->owner);
	mqtt_keep_forget(s->server, had, d->msg);
}

void
mqtt_keep_completed(struct session *s, const struct delivery *d)
{
	if (!changes(s, RECORD_COMPLETED))
		return;
	put64(&s->server->keep, d->ord);
	(void)say(s->server, &s->owner);
}

static void
wake_gated(struct mqtt_server *s)
{
	struct list all;
	struct conn *c;

	list_init(&all);
	list_join(&all, &s->gated);
	while ((c = list_first(&all, struct conn, gated)) != NULL) {
		list_del(&c->gated);
		c->pump = true;
		mqtt_conn_wake(c);
	}
}

/* --- messages ------------------------------------------------------------ */

void
mqtt_keep_note(struct keep *k, const struct owner *o, const struct delivery *d)
{
	if (k->n_targets == k->cap_targets) {
		k->cap_targets = k->cap_targets * 2 + 16;
		k->targets =
		    mem_resize(k->targets, k->cap_targets, sizeof(*k->targets));
	}
	k->targets[k->n_targets++] = (struct target){
		.owner = o->id,
		.durability = o->durability,
		.qos = d != NULL ? d->qos : 0,
		.retain = d != NULL && d->retain,
		.ord = d != NULL ? d->ord : 0,
		.sub_id = d != NULL ? d->sub_id : 0,
		.more_ids = d != NULL ? d->more_ids : NULL,
	};
}

void
mqtt_keep_target(
    struct mqtt_server *s, const struct owner *o, const struct delivery *d)
{
	if (s->keep.journal != NULL && o->id != 0)
		mqtt_keep_note(&s->keep, o, d);
}

static void
put_targets(struct keep *k)
{
	put32(k, k->n_targets);
	for (uint32_t i = 0; i < k->n_targets; i++) {
		const struct target *t = &k->targets[i];
		unsigned n = 0;

		while (t->more_ids != NULL && t->more_ids[n] != 0)
			n++;
		put32(k, t->owner);
		put64(k, t->ord);
		put8(k, t->qos | (unsigned)t->retain << 2);
		put32(k, t->sub_id);
		put8(k, n);
		for (unsigned j = 0; j < n; j++)
			put32(k, t->more_ids[j]);
	}
}

int
mqtt_keep_level(const struct keep *k)
{
	int level = MQTT_OS;

	for (uint32_t i = 0; i < k->n_targets; i++)
		level = MAX_OF(level, k->targets[i].durability);
	return level;
}

/* Clocks that stop with the machine mean nothing in a file. */
static uint64_t
to_wall(int64_t mono_ms)
{
	return mono_ms == 0
	    ? 0
	    : (uint64_t)(clock_now() + (mono_ms - clock_mono()));
}

void
mqtt_keep_put_msg(struct keep *k, const struct mqtt_msg *m, uint64_t seq,
    uint32_t from, uint16_t note)
{
	begin(k, RECORD_MSG);
	put64(k, seq);
	put8(k, m->qos | (unsigned)m->retain << 2);
	put64(k, to_wall(m->at_ms));
	put64(k, to_wall(m->expires_ms));
	put_text(k, mqtt_msg_topic(m));
	put_text(k, mqtt_msg_props(m));
	put_text(k, mqtt_msg_payload(m));
	put32(k, from);
	put16(k, note);
	put_targets(k);
}

/* A message that is there already has more owners now. */
static bool
say_moved(struct mqtt_server *s, struct mqtt_msg *m, uint32_t from)
{
	struct keep *k = &s->keep;
	uint64_t segment;

	begin(k, RECORD_MOVED);
	put64(k, m->kept.seq);
	put32(k, from);
	put_targets(k);
	if (!mqtt_keep_append(s, mqtt_keep_level(k), &segment))
		return false;
	m->kept.targets += k->n_targets;
	m->kept.group = k->group;
	m->kept.level = (uint8_t)mqtt_keep_level(k);
	return true;
}

static bool
say_msg(struct mqtt_server *s, struct mqtt_msg *m, uint32_t from, uint16_t note)
{
	struct keep *k = &s->keep;
	uint64_t segment, seq = k->next_seq + 1;

	mqtt_keep_put_msg(k, m, seq, from, note);
	if (!mqtt_keep_append(s, mqtt_keep_level(k), &segment))
		return false;
	k->next_seq = seq;
	m->kept.seq = seq;
	m->kept.group = k->group;
	m->kept.level = (uint8_t)mqtt_keep_level(k);
	m->kept.targets = k->n_targets;
	mqtt_keep_link_msg(k, m, segment, k->record.len);
	return true;
}

uint64_t
mqtt_keep_msg(struct mqtt_server *s, struct mqtt_msg *m,
    const struct session *from, uint16_t note, bool *ok)
{
	uint32_t id = from != NULL && note != 0 ? from->owner.id : 0;
	struct keep *k = &s->keep;

	*ok = true;
	if (k->journal == NULL)
		return 0;
	if (k->n_targets > 0) {
		*ok = m->kept.seq != 0 ? say_moved(s, m, 0)
				       : say_msg(s, m, id, note);
		k->n_targets = 0;
	} else if (id != 0) {
		begin(k, RECORD_RECEIVED);
		put32(k, id);
		put16(k, note);
		put8(k, true);
		*ok = say(s, &from->owner);
	} else {
		return 0;
	}
	if (!*ok) /* who waits for it would wait for ever */
		wake_gated(s);
	return *ok ? k->group : 0;
}

/* Of the message that is being routed: not a target after all. */
static void
unnote_target(struct keep *k, uint32_t owner)
{
	for (uint32_t i = 0; i < k->n_targets; i++) {
		if (k->targets[i].owner == owner)
			k->targets[i] = k->targets[--k->n_targets];
	}
}

void
mqtt_keep_forget(
    struct mqtt_server *s, const struct owner *o, struct mqtt_msg *m)
{
	if (o->id == 0 || m == NULL || m->kept.seq == 0)
		return;
	if (--m->kept.targets == 0)
		mqtt_keep_dead(&s->keep, m);
}

static void
gone(struct mqtt_server *s, const struct owner *o, struct mqtt_msg *m,
    uint64_t ord)
{
	struct keep *k = &s->keep;

	if (o->id == 0 || m == NULL || k->journal == NULL)
		return;
	if (m->kept.seq == 0) {
		unnote_target(k, o->id);
		return;
	}
	begin(k, RECORD_GONE);
	put32(k, o->id);
	put64(k, m->kept.seq);
	put64(k, ord);
	(void)say(s, o);
	mqtt_keep_forget(s, o, m);
}

void
mqtt_keep_gone(struct mqtt_server *s, const struct owner *o, struct mqtt_msg *m)
{
	gone(s, o, m, 0);
}

void
mqtt_keep_gone_delivery(
    struct mqtt_server *s, const struct owner *o, const struct delivery *d)
{
	if (o->kind != OWNER_SESSION || d->qos > 0)
		gone(s, o, d->msg, o->kind == OWNER_SESSION ? d->ord : 0);
}

void
mqtt_keep_moved(struct mqtt_server *s, const struct owner *from,
    const struct owner *to, struct mqtt_msg *m, const struct delivery *d)
{
	struct keep *k = &s->keep;
	bool leaves = from != NULL && from->id != 0;
	bool enters = to != NULL && to->id != 0;

	if (k->journal == NULL)
		return;
	if (enters) {
		mqtt_keep_note(k, to, d);
		if (m->kept.seq == 0)
			(void)say_msg(s, m, 0, 0);
		else if (say_moved(s, m, leaves ? from->id : 0) && leaves)
			mqtt_keep_forget(s, from, m);
		k->n_targets = 0;
	} else if (leaves) {
		mqtt_keep_gone(s, from, m);
	}
}

void
mqtt_keep_unretained(struct mqtt_server *s, struct mqtt_msg *m)
{
	const struct owner retained = { .id = OWNER_RETAINED,
		.durability = m->kept.level };

	if (m->kept.retained)
		mqtt_keep_gone(s, &retained, m);
	m->kept.retained = false;
}

bool
mqtt_keep_has_msg(struct mqtt_server *s, const struct mqtt_msg *m)
{
	return m->kept.seq == 0 ||
	    mqtt_keep_reached(
		&s->keep, m->kept.group, (enum mqtt_durability)m->kept.level);
}

/* --- progress ------------------------------------------------------------ */

/* Tells the owner when something goes wrong or right again. */
static void
tell_trouble(struct mqtt_server *s, const struct journal_progress *p)
{
	bool bad = p->error != 0;

	if (bad == s->keep.told)
		return;
	s->keep.told = bad;
	if (bad)
		COUNT(journal_troubles);
	if (s->events.trouble != NULL)
		s->events.trouble(s->owner, bad ? p->text : NULL);
}

static void
on_progress(struct loop_post *post)
{
	struct mqtt_server *s =
	    container_of(post, struct mqtt_server, keep.post);
	struct keep *k = &s->keep;
	struct journal_progress p;

	k->posted = false;
	mqtt_lock(s);
	s->now_ms = clock_mono();
	journal_progress(k->journal, &p);
	k->written = p.written;
	k->synced = p.synced;
	k->broken = p.error == ERR_IO;
	if (p.written >= k->group)
		k->group_bytes = 0;
	if (p.written + 1 >= k->group)
		k->before_bytes = 0;
	/* broken: who wants to be durable is refused, the others go on */
	k->full = !k->broken &&
	    k->group_bytes + k->before_bytes > s->conf.dir_bytes / 2;
	wake_gated(s);
	mqtt_release_held(s);
	if (!loop_is_running(&k->clean) && mqtt_keep_needs_cleaning(k))
		loop_after(s->loop, &k->clean, CLEAN_MS);
	mqtt_keep_kick(s);
	mqtt_unlock(s);
	tell_trouble(s, &p);
}

/* On the journal's thread. */
static void
progress(void *owner)
{
	struct mqtt_server *s = owner;

	if (!atomic_exchange(&s->keep.posted, true))
		loop_post(s->loop, &s->keep.post);
}

/* --- life ---------------------------------------------------------------- */

static int
replay(void *owner, uint64_t segment, struct str record, struct err *err)
{
	struct mqtt_server *s = owner;

	return mqtt_restore_record(s->keep.restore, segment, record, err);
}

int
mqtt_keep_open(struct mqtt_server *s, struct err *err)
{
	struct journal_conf conf = {
		.dir = s->conf.dir,
		.segment_bytes = SEGMENT_BYTES,
		.pending_bytes = s->conf.dir_bytes,
		.salvage = s->conf.salvage,
		.progress = progress,
		.replay = replay,
		.owner = s,
	};
	struct keep *k = &s->keep;
	struct journal *j = NULL;
	uint64_t cut;
	int rc;

	list_init(&k->segments);
	k->next_owner = OWNER_RETAINED;
	k->post.run = on_progress;
	k->clean.fire = mqtt_keep_clean;
	if (s->conf.dir == NULL)
		return 0;
	if (conf.pending_bytes < 2 * SEGMENT_BYTES)
		s->conf.dir_bytes = conf.pending_bytes = 2 * SEGMENT_BYTES;
	k->restore = mqtt_restore_new(s);
	rc = journal_open(&conf, &j, &cut, err);
	if (rc == 0) {
		COUNT_BY(journal_cut, cut);
		rc = mqtt_restore_build(k->restore, err);
	}
	if (rc != 0) {
		journal_close(j);
		mqtt_restore_free(k->restore);
		return rc;
	}
	k->journal = j;
	mqtt_restore_end(k->restore);
	k->restore = NULL;
#ifdef __GLIBC__
	malloc_trim(0); /* reading back took more than what is left of it */
#endif
	return 0;
}

void
mqtt_keep_close(struct mqtt_server *s)
{
	struct keep *k = &s->keep;

	loop_cancel(s->loop, &k->clean);
	journal_close(k->journal);
	k->journal = NULL;
	loop_unpost(s->loop, &k->post);
	LIST_EACH (seg, &k->segments, struct segment, link) {
		/* messages may be held longer than the segments */
		LIST_EACH (m, &seg->msgs, struct mqtt_msg, kept.in_segment)
			mqtt_keep_dead(k, m);
		free(seg);
	}
	free(k->targets);
	buf_free(&k->record);
}
