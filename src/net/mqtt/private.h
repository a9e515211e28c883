/*
 * net/mqtt/private.h - what the files of the MQTT server share.
 *
 *    server.c    opening, closing, what needs a clock, work for the home loop
 *    lane.c      the loop threads, and how they wake each other
 *    listener.c  sockets that are listened on; accepting
 *    login.c     accounts, the verdict over a CONNECT
 *    address.c   limits per address: failed logins, connections
 *    conn.c      one connection: bytes in, parser, bytes out, its end
 *    send.c      packets that go out, and until when they must wait
 *    output.c    bytes that wait to be sent
 *    serve.c     what each packet does
 *    session.c   what is remembered of a client: messages owed, packet ids
 *    subscribe.c subscriptions of sessions, shared groups' members
 *    group.c     shared groups
 *    queue.c     named queues; the bounded list that all of them use
 *    pack.c      what waits in a long list, in few bytes
 *    topics.c    filters -> subscriptions; retained messages
 *    route.c     from one published message to everyone who gets it
 *    consume.c   consumers inside the process
 *    will.c      last words
 *    keep.c      the journal: what is written;  clean.c  and said again
 *    restore.c   what is read back
 *    msg.c       one message;  sys.c  the $SYS tree
 *
 * Threads. Connections are spread over lanes, one loop thread each; lane 0 is
 * the home loop. One lock guards everything but what struct conn marks as its
 * lane's own. A lane takes the lock to serve what it has read and to fetch
 * what it is to write, never while it reads, encrypts or writes: those are most
 * of the work. With one lane there is no lock. The owner's callbacks and
 * consumers are called on the home loop without the lock (server->calls).
 *
 * Who owns what: the server owns connections, sessions, groups, queues and
 * consumers. A session owns its subscriptions and deliveries, a group or queue
 * the deliveries that wait there. A message is shared by counting. Whatever may
 * be in use further up the stack is freed by mqtt_free_later().
 */
#ifndef NET_MQTT_PRIVATE_H
#define NET_MQTT_PRIVATE_H

#include "base/heap.h"
#include "base/journal.h"
#include "base/list.h"
#include "base/loop.h"
#include "base/map.h"
#include "base/str.h"
#include "codec/mqtt.h"
#include "net/mqtt/counters.h"
#include "net/mqtt/server.h"
#include "net/ws.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/uio.h>

/* Levels of a topic, whatever the setting says: we recurse. */
#define LEVELS_MAX 200u
#define READ_SIZE 65536u
#define QUEUE_RETRY_MS 1000 /* before a failed consumer is asked again */
#define TICK_MS 1000        /* between looks at what may have expired */
#define CALLS_MAX 4096 /* messages on their way to consumers: then we wait */

/* --- what is kept on disk (keep.c, restore.c) ------------------------------
 */

enum owner_kind { OWNER_NONE, OWNER_SESSION, OWNER_GROUP, OWNER_QUEUE };

/* The part of a session, group or queue by which the journal knows it. */
struct owner {
	struct list in_segment; /* of the record that says all about it */
	uint32_t id;            /* 0: it is not kept */
	uint32_t bytes;         /* of that record */
	uint8_t kind;
	uint8_t durability;
};

#define OWNER_RETAINED 1u /* the id of the retained messages */

/* The part of a message by which the journal knows it. */
struct kept {
	struct list in_segment;
	struct segment *segment;
	uint64_t seq;     /* 0: it is not kept */
	uint64_t group;   /* of its record */
	uint32_t targets; /* owners that still have it */
	uint32_t bytes;
	uint32_t mark; /* its number while a segment is emptied */
	uint8_t level; /* how far its record must get */
	bool retained; /* the retained messages are one of the owners */
};

/* What still is said only in one segment. */
struct segment {
	struct list link; /* in keep->segments, oldest first */
	uint64_t no;
	struct list msgs, packs, owners;
};

/* One owner of the message that is being routed, with what it needs to know. */
struct target {
	uint32_t owner;
	uint8_t durability;
	uint8_t qos;
	bool retain;
	uint64_t ord;
	uint32_t sub_id;
	const uint32_t *more_ids; /* of the delivery; 0 ends; NULL: none */
};

struct keep {
	struct journal *journal; /* NULL: nothing is kept */
	struct restore *restore; /* while it is read back */
	struct list segments;
	uint32_t next_owner;
	uint64_t next_seq;
	uint64_t live_bytes;      /* that would have to be said again */
	uint64_t group;           /* of the last record */
	int level;                /* of that group so far */
	uint64_t written, synced; /* groups */
	uint64_t group_bytes, before_bytes; /* appended, perhaps not written */
	bool full;                          /* publishers must wait */
	bool broken;                        /* nothing is taken any more */
	bool told;                          /* the owner knows of a trouble */
	bool dirty;                         /* the journal is to be kicked */
	struct loop_post post;              /* progress */
	_Atomic bool posted;
	struct loop_timer clean;
	struct target *targets; /* of the message that is being routed */
	uint32_t n_targets, cap_targets;
	struct buf record;
};

/* --- accounts (login.c) -------------------------------------------------- */

/* One of the owner's accounts, while it is in use. */
struct account {
	struct mqtt_server *server;
	struct str name; /* owned; "" is nobody's */
	void *ptr;     /* the owner's; NULL: not told since the start, or given
			* back */
	unsigned refs; /* sessions and messages */
	unsigned n_in_use; /* sessions, and who keeps it for a while */
	bool unused_due;   /* account_unused() is on its way */
	struct list sessions;
};

/* May be given NULL: anonymous. */
struct account *mqtt_account_ref(struct account *a);
void mqtt_account_unref(struct account *a);
/* The account of that name, made if need be; a reference for the caller. */
struct account *mqtt_account_get(struct mqtt_server *s, struct str name);
/* A session begins or ceases to use it; after the last, account_unused(). A
 * NULL `link` only keeps it in use for a while. */
void mqtt_account_enter(struct account *a, struct list *link);
void mqtt_account_leave(struct account *a, struct list *link);
/* Is it one of the program's own? */
bool mqtt_account_is_inside(const struct account *a);
static inline void *
account_ptr(const struct account *a)
{
	return a != NULL ? a->ptr : NULL;
}

/* --- messages (msg.c) ---------------------------------------------------- */

struct mqtt_msg {
	unsigned refs;
	unsigned waits; /* consumers that have not reported yet */
	uint32_t payload_len;
	uint32_t props_len;
	uint16_t topic_len;
	uint8_t qos;
	bool retain;
	bool failed;                /* a consumer said so */
	bool from_queue;            /* a failure brings it back to the queue */
	bool queued;                /* which has had it */
	int64_t at_ms;              /* monotonic, when it came */
	int64_t expires_ms;         /* monotonic; 0: never */
	uint64_t seq;               /* its number in this server */
	struct mqtt_server *server; /* borrowed */
	struct account *account;    /* of its publisher, or NULL */
	struct arrival *arrival;    /* the PUBLISH that waits for `waits` */
	struct kept kept;
	char wire[]; /* topic length in two bytes, topic, kept properties,
		      * payload */
};

/* A message on its way in. */
struct incoming {
	struct str topic;
	struct str payload;
	struct str props;    /* as the packet has them; kept ones are copied */
	bool props_are_kept; /* all of them are such */
	uint32_t expiry_s;   /* if `expires` */
	bool expires;
	uint8_t qos;
	bool retain;
};

/* NULL if memory is refused. Copies the texts. */
struct mqtt_msg *mqtt_msg_new(
    struct mqtt_server *s, struct account *account, const struct incoming *in);
/* Under the lock. */
static inline struct mqtt_msg *
msg_ref(struct mqtt_msg *m)
{
	m->refs++;
	return m;
}
void mqtt_msg_release(struct mqtt_msg *m);
/* Writes the topic to m->wire; returns where the rest goes. */
char *mqtt_msg_put_topic(struct mqtt_msg *m, struct str topic);

static inline size_t
msg_bytes(const struct mqtt_msg *m)
{
	return sizeof(*m) + m->topic_len + m->props_len + m->payload_len;
}

static inline bool
msg_has_expired(const struct mqtt_msg *m, int64_t now_ms)
{
	return m->expires_ms != 0 && now_ms >= m->expires_ms;
}

/* --- waiting messages (queue.c) ------------------------------------------ */

/* One copy of a message on its way to one subscriber. */
struct delivery {
	struct list link;
	struct mqtt_msg *msg; /* NULL once released */
	struct group *group;  /* whence it came and may return, or NULL */
	uint64_t ord;    /* QoS 1, 2: its place in the session; gives the packet
			  * id */
	uint32_t sub_id; /* 0: none */
	uint32_t *more_ids; /* further ones, 0 ends; owned; mostly NULL */
	uint8_t qos;
	bool retain;
	bool released; /* QoS 2: PUBREC came, PUBREL was sent */
	bool again;    /* it may have been sent before */
	bool packed;   /* it is the `item` of a struct pack, and has no `msg` */
};

#define ID_COUNT 65535u

static inline uint16_t
delivery_id(const struct delivery *d)
{
	return (uint16_t)(d->ord % ID_COUNT + 1);
}

struct delivery *mqtt_delivery_new(
    struct mqtt_server *s, struct mqtt_msg *m, uint8_t qos, bool retain);
void mqtt_delivery_free(struct mqtt_server *s, struct delivery *d);

/* A list of deliveries that knows its size. Who walks it meets packs. */
struct fifo {
	struct list items;
	const struct owner *owner; /* whose it is */
	uint32_t n;
	uint32_t n_expiring; /* of them; these are not in packs */
	uint32_t n_new;      /* since it was last looked for what to pack */
	uint64_t bytes;
};

void mqtt_fifo_init(struct fifo *f, const struct owner *owner);
bool mqtt_fifo_fits(const struct fifo *f, uint32_t messages, uint64_t bytes,
    const struct mqtt_msg *m);
void mqtt_fifo_add(struct fifo *f, struct delivery *d);
void mqtt_fifo_add_first(struct fifo *f, struct delivery *d);
void mqtt_fifo_add_by_age(struct fifo *f, struct delivery *d);
struct delivery *mqtt_fifo_first(struct fifo *f);
void mqtt_fifo_remove(struct fifo *f, struct delivery *d);
/* Frees all, telling the journal that `owner` (or NULL) has them no more;
 * returns how many. */
unsigned mqtt_fifo_clear(
    struct fifo *f, struct mqtt_server *s, struct owner *owner);
/* Frees what came before `limit_ms` or has expired by itself, the former only
 * from the head; returns how many. */
unsigned mqtt_fifo_expire(struct fifo *f, struct mqtt_server *s,
    struct owner *owner, int64_t limit_ms);

/* --- packs (pack.c) ------------------------------------------------------ */

#define PACK_FROM 512u /* messages; a shorter list has no packs */
#define PACK_N 128u    /* messages in one, at most */

/* Messages of one list behind each other, in few bytes. */
struct pack {
	struct delivery item;    /* in fifo->items */
	struct list in_segment;  /* in segment->packs */
	struct segment *segment; /* where the oldest of its records is */
	size_t bytes;            /* of all of its records */
	struct fifo *fifo;
	struct mqtt_server *server;
	int64_t at_ms; /* when the first came */
	uint64_t last_seq;
	uint32_t n;
	uint32_t len;
	char data[]; /* see pack.c */
};

static inline struct pack *
pack_of(const struct delivery *item)
{
	return container_of(item, struct pack, item);
}

/* Packs what it can of the newest. */
void mqtt_fifo_pack(struct fifo *f);
/* Puts in the place of a pack what is in it; returns the first. */
struct delivery *mqtt_fifo_unpack(struct fifo *f, struct delivery *item);
void mqtt_fifo_unpack_all(struct fifo *f);
/* How many of a pack's messages have this topic. */
uint32_t mqtt_pack_of_topic(const struct pack *p, struct str name);
/* Says all of them again in the journal; false: it did not take them. */
bool mqtt_pack_say_again(struct mqtt_server *s, struct pack *p);

#define RATE_SLOTS 12
#define RATE_SLOT_MS 5000

/* Events per second over the last minute. */
struct rate {
	uint32_t n[RATE_SLOTS];
	int64_t slot; /* number of the newest */
};

void mqtt_rate_add(struct rate *r, int64_t now_ms, uint32_t n);
double mqtt_rate_get(struct rate *r, int64_t now_ms);

/* A topic whose messages wait for somebody to subscribe. */
struct queue {
	struct mqtt_server *server;
	struct topic *topic;
	struct list link;     /* in server->queues */
	struct list nonempty; /* in server->queues_nonempty while not empty */
	struct fifo waiting;
	struct owner owner;
	uint32_t max_messages;
	uint64_t max_bytes;
	int64_t ttl_ms;
	struct rate in, out;
	uint64_t refused, expired;
	int64_t last_ms;  /* wall clock: when one came */
	int64_t retry_ms; /* consumers failed; ask them again then; 0 */
};

struct queue *mqtt_queue_make(
    struct mqtt_server *s, struct str name, enum mqtt_durability durability);
/* ERR_LIMIT: full, nothing was kept. The caller tells the journal. */
int mqtt_queue_put(struct queue *q, struct mqtt_msg *m);
/* The consumers of a message that came from a queue have reported: it is gone,
 * or waits there again, before what is younger, and is tried again later. */
void mqtt_queue_settle(struct mqtt_server *s, struct mqtt_msg *m);
/* The oldest that has not expired, or NULL; the caller owns it, and must say
 * mqtt_keep_gone() or mqtt_keep_moved(). */
struct delivery *mqtt_queue_take(struct queue *q);
/* Gives what waits to the consumers that match. */
void mqtt_queue_drain(struct queue *q);
void mqtt_queue_free(struct queue *q);
/* Queues that had to stop give on, if it is time. */
void mqtt_queues_go_on(struct mqtt_server *s);
/* Is one of the matches from `base` on a consumer? */
bool mqtt_has_consumer(const struct mqtt_server *s, size_t base);
/* What was read back. Takes `d`. */
void mqtt_queue_restore(struct queue *q, struct delivery *d);
/* What is too old goes; what failed is tried again. */
void mqtt_queues_tick(struct mqtt_server *s);

/* --- topics (topics.c) --------------------------------------------------- */

enum sub_kind { SUB_SESSION, SUB_GROUP, SUB_CONSUMER, SUB_MEMBER };

/* One subscription. The first three kinds hang in the topics; a member hangs in
 * its group. */
struct sub {
	struct list link;
	uint8_t kind; /* enum sub_kind */
	uint8_t qos;
	uint8_t retain_handling;
	bool no_local;
	bool retain_as_published;
	bool exact;      /* `at` is a struct topic, else a struct node */
	uint32_t sub_id; /* 0: none */
	void *at;        /* where it hangs; NULL for a member */
	union {
		struct session *session;        /* SUB_SESSION, SUB_MEMBER */
		struct mqtt_consumer *consumer; /* SUB_CONSUMER */
	};
	struct group *group;    /* SUB_GROUP, SUB_MEMBER */
	struct list membership; /* SUB_MEMBER: in session->memberships */
	struct list of_session; /* in session->subs */
	struct str filter; /* as subscribed; a consumer's, or the session's: the
			    * topic's name if `exact`, else owned */
};

/* A name without wildcards that is subscribed to, or is a queue. */
struct topic {
	struct str name; /* owned */
	struct list subs;
	struct queue *queue;
};

/* One level of the filters with wildcards, or of the retained topics. */
struct node {
	struct node *parent;
	struct str level; /* owned */
	struct map children;
	struct node *plus, *hash; /* the children "+" and "#" */
	struct list subs;
	struct mqtt_msg *retained;
};

struct topics {
	uint64_t gen;     /* changes when a match may have another result */
	struct map exact; /* -> struct topic */
	struct node *wild;
	struct node *retained;
	size_t n_retained;
	size_t n_retained_expiring; /* of them */
	uint64_t retained_bytes;
};

void mqtt_topics_init(struct topics *t);
void mqtt_topics_fini(struct topics *t); /* nothing may hang there any more */
/* `filter` without $share. */
void mqtt_topics_add(struct topics *t, struct str filter, struct sub *sub);
void mqtt_topics_remove(struct topics *t, struct sub *sub);
struct topic *mqtt_topics_get(struct topics *t, struct str name);
struct topic *mqtt_topics_make(struct topics *t, struct str name);
/* Forgets it if nothing hangs there. */
void mqtt_topics_tidy(struct topics *t, struct topic *topic);

/* Visits each subscription that matches. Nothing may be added or removed
 * meanwhile. */
typedef void topics_visit(void *ctx, struct sub *sub);
void mqtt_topics_match(struct topics *t, struct str name, struct topic *exact,
    topics_visit *visit, void *ctx);

/* Keeps `m` as the retained message of its topic. False: a limit. */
bool mqtt_retained_set(
    struct topics *t, struct mqtt_msg *m, uint32_t max, uint64_t max_bytes);
void mqtt_retained_clear(struct topics *t, struct str name);
/* NULL: there is none. */
struct mqtt_msg *mqtt_retained_get(struct topics *t, struct str name);
typedef void retained_visit(void *ctx, struct mqtt_msg *m);
/* The visit may not change what is retained. */
void mqtt_retained_match(
    struct topics *t, struct str filter, retained_visit *visit, void *ctx);
/* Forgets a few of those that have expired. */
void mqtt_retained_expire(struct mqtt_server *s);

/* --- sessions (session.c, subscribe.c) ----------------------------------- */

/* QoS 2 ids of a client whose PUBREL we have not seen: most have none. */
struct received {
	unsigned n;
	uint8_t bits[65536 / 8];
};

/* Messages whose acknowledgement is in a group of the journal. */
struct unsure {
	uint64_t group;
	uint32_t n;
};

struct session {
	struct mqtt_server *server;
	struct str key; /* in server->sessions: account and client id; owned */
	struct account *account;
	struct list in_account;
	struct conn *conn; /* NULL: detached */
	struct owner owner;
	uint16_t key_account; /* bytes of `key` before the client id */
	bool kicked;          /* nothing is to be remembered */
	uint32_t expiry_s;    /* after the connection; 0: with it */

	struct list detached; /* in server->detached, longest away first */
	int64_t detached_ms;  /* wall clock */
	struct heap_item due; /* in server->due: will or expiry */
	int64_t expires_ms;   /* monotonic; INT64_MAX: never */
	struct will *will;    /* waits for its delay */
	int64_t will_ms;

	struct list subs; /* of_session */
	unsigned n_subs;
	struct map *sub_map; /* filter -> sub, once there are many */
	struct list memberships;

	struct fifo owed;  /* not sent */
	unsigned n_owed_0; /* of them QoS 0 */
	unsigned n_inflight;
	struct unsure unsure[2]; /* the older group first */
	struct list inflight;    /* sent, in that order, not acknowledged */
	uint64_t next_ord;
	int64_t moved_ms; /* when it last took or acknowledged something */

	struct received *received;
	struct list orphans; /* arrivals of QoS 2 whose connection has ended */
	struct list slowed;  /* connections that wait until it has caught up */

	uint64_t stamp; /* the last match that found it */
	size_t match;   /* and its place there */
};

static inline struct str
session_client_id(const struct session *s)
{
	return (struct str){ s->key.ptr + s->key_account,
		s->key.len - s->key_account };
}

/* The session of an account's client id, or NULL. */
struct session *mqtt_session_find(
    struct mqtt_server *s, struct account *a, struct str client_id);
/* Takes over the caller's reference to `a`. It is not kept yet. */
struct session *mqtt_session_new(struct mqtt_server *s, struct account *a,
    struct str client_id, uint32_t expiry_s);
void mqtt_session_attach(struct session *s, struct conn *conn);
/* Begins or ceases to be kept in the journal, as its expiry and the listener's
 * durability ask for. */
void mqtt_session_keep(struct session *s, enum mqtt_durability durability);
/* Sends again what was not acknowledged, then what is owed. */
void mqtt_session_resume(struct session *s);
/* The connection is gone. Ends the session unless it is to be remembered;
 * `will` (may be NULL) is its last word, and is taken. */
void mqtt_session_detach(struct session *s, struct will *will);
void mqtt_session_free(struct session *s);
/* Puts a session that nobody is attached to where it waits for its end. */
void mqtt_session_wait(struct session *s, int64_t left_ms);
/* Ends sessions that are too old, or too many, and sends wills. */
void mqtt_sessions_expire(struct mqtt_server *s);
/* Deliveries of whoever may not have been told: `ord` is due. */
void mqtt_session_restore(struct session *s, struct delivery *d);

/* How a copy was received. */
enum accept { ACCEPTED, DROPPED, REFUSED /* a queue is full */ };

/* One copy for one subscriber: at which QoS, and what else the subscriptions
 * that matched ask for. */
struct copy {
	uint8_t qos;
	bool retain;
	/* worth waiting for even at QoS 0 (retained, or from a named queue) */
	bool keep;
	uint32_t sub_id;
	const uint32_t *more_ids; /* 0 ends; NULL: none; borrowed */
};

enum accept mqtt_session_deliver(
    struct session *s, struct mqtt_msg *m, const struct copy *copy);
/* Owes it what waited in a queue, whatever the limits. Takes `d`. */
void mqtt_session_owe(struct session *s, struct delivery *d);
/* May a message be sent to it at once? */
bool mqtt_session_has_room(struct session *s, uint8_t qos);
/* Sends `d` now; there must be room. Takes `d`. */
void mqtt_session_send(struct session *s, struct delivery *d);
/* Sends what is owed, and what groups have for it, as far as there is room. */
void mqtt_session_pump(struct session *s);
/* Its queue is so full that publishers should wait. */
bool mqtt_session_is_pressed(struct session *s);

/* False: the client has no such message. `code`: the client's reason. */
bool mqtt_session_puback(struct session *s, uint16_t id);
bool mqtt_session_pubrec(struct session *s, uint16_t id, uint8_t code);
bool mqtt_session_pubcomp(struct session *s, uint16_t id);

bool mqtt_session_received(const struct session *s, uint16_t id);
void mqtt_session_set_received(struct session *s, uint16_t id, bool on);

/* Returns the reason code for SUBACK; `*fresh` (may be NULL): it was not there
 * before. */
uint8_t mqtt_subscribe(struct session *s, const struct mqtt_filter *f,
    uint32_t sub_id, bool *fresh);
/* The same without asking anybody or writing it down. */
struct sub *mqtt_subscribe_restored(
    struct session *s, const struct mqtt_filter *f, uint32_t sub_id);
/* Takes away those that are not allowed any more. */
void mqtt_subscriptions_check(struct session *s);
/* What a subscription starts with: retained and waiting messages. */
void mqtt_subscribe_start(struct session *s, struct str filter, bool retained);
/* False: there was none. */
bool mqtt_unsubscribe(struct session *s, struct str filter);
void mqtt_unsubscribe_all(struct session *s);

/* --- shared groups (group.c) --------------------------------------------- */

struct group {
	struct mqtt_server *server;
	struct str key;    /* "$share/GROUP/FILTER", owned; in server->groups */
	struct str filter; /* within key */
	struct sub sub;    /* its place in the topics */
	struct list members; /* struct sub; the next to be served is first */
	struct fifo waiting;
	struct owner owner;
	struct queue *queue; /* the queue that is its filter, or NULL */
};

void mqtt_group_join(struct sub *member, struct str filter, struct str inner);
/* The group ends with its last member. */
void mqtt_group_leave(struct sub *member);
enum accept mqtt_group_deliver(struct group *g, struct mqtt_msg *m);
/* Takes `d` back: its member has vanished. Call from the newest to the oldest,
 * then mqtt_group_pump(). */
void mqtt_group_return(struct group *g, struct delivery *d);
void mqtt_group_take_queue(struct group *g, struct queue *q);
void mqtt_group_pump(struct group *g);
void mqtt_group_clear(struct group *g);
/* Begins or ceases to be kept in the journal, as its queue is. */
void mqtt_group_keep(struct group *g);

/* --- output (output.c) --------------------------------------------------- */

/* "Here comes the payload of `msg`" within the outgoing bytes. */
struct splice {
	size_t at;
	struct mqtt_msg *msg;
};

/* Bytes that wait to be sent, from `sent` on. */
struct output {
	struct buf bytes;
	size_t sent;
	struct splice *splices;
	unsigned n_splices, cap_splices;
	unsigned splice_first; /* those before it are sent */
	uint32_t splice_sent;  /* bytes of the first one's payload */
	uint64_t unsent;       /* in all */
};

/* From byte `at` on nothing is sent before the journal has got so far. */
struct gate {
	size_t at;
	uint64_t group;
	enum journal_level level;
};

#define IOV_MAX_USED 64
#define GATES_MAX 4

int mqtt_output_gather(struct output *o, struct iovec iov[IOV_MAX_USED]);
/* Forgets the first `n` unsent bytes. */
void mqtt_output_sent(struct output *o, size_t n);
void mqtt_output_splice(struct output *o, struct mqtt_msg *m);
/* Frees everything; a buffer is kept for others. */
void mqtt_output_release(struct mqtt_server *s, struct output *o);
/* Moves what may be sent now, bytes before `limit`, behind what `to` has. */
void mqtt_output_move(struct mqtt_server *s, struct output *from,
    struct output *to, size_t limit);

/* --- connections (conn.c, serve.c) --------------------------------------- */

enum conn_state { AWAIT_PROXY, AWAIT_CONNECT, AWAIT_VERDICT, UP, CLOSED };

/* A PUBLISH whose answer waits for consumers, or for an earlier answer. */
struct arrival {
	struct list link;        /* in conn->arrivals or session->orphans */
	struct conn *conn;       /* NULL: it has ended, no answer */
	struct session *session; /* of an orphan */
	struct mqtt_msg *msg; /* whose verdict is awaited; NULL: it is known */
	uint16_t id;
	uint8_t qos;
	uint8_t code;
};

struct will {
	struct str topic;
	struct str payload;
	struct str props; /* kept ones */
	uint8_t qos;
	bool retain;
	bool expires;
	uint32_t expiry_s;
	uint32_t delay_s;
};

/* Topic aliases of one connection. */
struct aliases {
	struct str *in; /* owned; by alias - 1 */
	uint16_t n_in;
	struct str *out_names; /* owned */
	struct map out;        /* topic -> alias */
	uint16_t n_out;
};

/* What the last PUBLISH of a connection matched: most publish to one topic. */
struct last_match {
	struct str topic; /* owned */
	uint64_t gen;     /* of the topics, then */
	struct topic *exact;
	struct match *matches;
	size_t n, cap;
};

#define LAST_MATCH_MAX 128 /* more are not remembered */

struct conn {
	struct mqtt_server *server;
	struct lane *lane;
	struct mqtt_listener *listener;

	/* its lane's own: */
	struct stream *stream; /* NULL: the plain socket */
	struct stream *tls;    /* the layer of it that is TLS, or NULL */
	struct str proxy_cn;   /* proven to the balancer; owned, STR_NULL */
	struct loop_io io;
	struct loop_timer timer; /* connect time-out, then keep-alive */
	struct list due;         /* in lane->due: resume, pump, write */
	struct output tx;        /* being written */
	char *in;                /* read, but not yet processed */
	uint32_t in_len, in_cap;
	bool blocked; /* the socket takes no more */
	bool turning; /* its turn is running */
	bool again;   /* a layer of `stream` has bytes for us */
	bool lingers; /* all is said; waits for the peer to close */
	bool gone;    /* the socket is closed */

	/* under the lock: */
	struct list link;  /* in server->conns */
	struct list woken; /* in lane->woken */
	struct list held; /* in server->held, or a session's slowed: not read */
	struct list gated; /* in server->gated while it has gates */
	uint8_t state;     /* enum conn_state */
	uint8_t level;
	bool graceful;     /* DISCONNECT came: no will */
	bool doomed;       /* to be closed in this turn */
	bool pump;         /* room has appeared */
	bool starved;      /* somebody asked for room when there was none */
	bool stalled;      /* `in` has packets that had to wait */
	bool want_problem; /* reason texts are welcome */
	bool bridge;       /* no local, retain as published, for 3.1.1 */
	bool limited;      /* sends too fast; not read for a moment */
	uint8_t n_gates;
	uint16_t receive_max; /* the client's */
	uint16_t alias_max;   /* the client's */
	uint32_t max_packet;  /* the client's */
	uint32_t tokens;      /* messages it may send in this second */
	uint32_t n_arrivals;
	int64_t tokens_ms;
	int64_t heard_ms;
	int64_t silence_ms;       /* allowed; 0: any */
	struct session *session;  /* in UP */
	struct mqtt_login *login; /* in AWAIT_VERDICT */
	struct will *will;
	struct aliases *aliases; /* NULL: none used yet */
	struct last_match *last; /* NULL: nothing published yet */
	struct gate *gates;      /* GATES_MAX, NULL: none yet */
	struct list arrivals;
	struct output out;
	uint8_t address[16];
};

/* Takes `fd` and `stream` (NULL: plain). On the lane's thread, under the lock.
 */
struct conn *mqtt_conn_new(struct lane *lane, struct mqtt_listener *l, int fd,
    struct stream *stream, const uint8_t address[16]);
/* Processes bytes from the peer; what can not be used yet is kept. */
void mqtt_conn_feed(struct conn *c, struct str bytes);
/* Ends it now: session, will, and all. `c` is valid until the turn ends. */
void mqtt_conn_close(struct conn *c);
/* Ends it when this turn is over. */
void mqtt_conn_doom(struct conn *c);
/* The same, after telling the client why, if its level knows how. */
void mqtt_conn_end(struct conn *c, uint8_t reason, const char *text);
/* Of a closed one, on its lane: closes the socket and frees it. */
void mqtt_conn_bury(struct conn *c);
/* Asks for a turn: c->pump, unprocessed bytes, and writing. */
void mqtt_conn_wake(struct conn *c);
/* The same, on its lane, also from within its turn. */
void mqtt_conn_due(struct conn *c);
/* Gives those who are due their turn. */
void mqtt_conn_turns(struct loop_defer *turns_of_lane);
/* False: `max_output` is reached; it will be pumped when that changes. */
bool mqtt_conn_has_room(struct conn *c);
/* What may be sent now goes from `out` to `tx`. */
void mqtt_conn_fill_tx(struct conn *c);
/* It is to be pumped when the journal has got further. */
void mqtt_conn_wait_for_keep(struct conn *c);
/* The PUBLISH `m` as this client gets it, in bytes. */
size_t mqtt_conn_publish_size(
    const struct conn *c, const struct mqtt_msg *m, const struct copy *copy);

/* Bytes that it has not been able to send. */
static inline uint64_t
conn_unsent(const struct conn *c)
{
	return c->out.unsent + c->tx.unsent;
}

/* The buffer to add a packet to; a turn will write it. */
struct buf *mqtt_conn_begin(struct conn *c);
void mqtt_conn_added(struct conn *c, size_t was);
/* The same for what may be larger than the client takes: then it is taken back,
 * and the connection ends. */
void mqtt_conn_added_answer(struct conn *c, size_t was);
/* What is added from here on is sent when the journal is there. */
/* The same for all that is written down until now, as far as the listener asks.
 */
void mqtt_conn_gate_now(struct conn *c);
void mqtt_conn_gate(
    struct conn *c, uint64_t group, enum mqtt_durability durability);
void mqtt_conn_send_ack(
    struct conn *c, enum mqtt_type type, uint16_t id, uint8_t code);
/* `expiry_s`: what is left, if the message expires. */
void mqtt_conn_send_publish(struct conn *c, struct mqtt_msg *m,
    struct mqtt_publish_flags f, const struct copy *copy);

/* Does what a packet asks for. Returns 0, or ERR_PROTO with the reason in
 * `*reason`. */
int mqtt_serve(struct conn *c, struct mqtt_packet *p, uint8_t *reason);
/* The consumers' verdict over a message is known. */
void mqtt_verdict(struct mqtt_msg *m);
/* No answers any more: the connection ends. */
void mqtt_arrivals_abandon(struct conn *c, struct session *keep);
/* A session expiry as asked for, within our limit. */
uint32_t mqtt_expiry_allowed(const struct mqtt_server *s, uint32_t seconds);
void mqtt_aliases_free(struct aliases *a);

/* --- lanes (lane.c) ------------------------------------------------------ */

/* A connection on its way to its lane. */
struct newcomer {
	struct list link;
	struct mqtt_listener *listener;
	struct stream *stream;
	struct str rest; /* owned */
	int fd;
	uint8_t address[16];
};

struct lane {
	struct mqtt_server *server;
	struct loop *loop;
	pthread_t thread; /* of all but the home lane */
	unsigned no;
	unsigned n_conns, n_coming;
	char *read_buf;  /* READ_SIZE, shared by its connections */
	struct list due; /* its connections that have a turn coming */
	struct loop_defer turns;
	struct loop_defer rest; /* when all is done */
	struct {
		unsigned reads, packets, writes;
		uint64_t bytes_out;
	} done; /* in this turn of the loop */
	struct loop_post post;
	/* under the lock: */
	struct list newcomers;
	struct list woken;
	bool posted;
};

int mqtt_lanes_open(struct mqtt_server *s, unsigned n, struct err *err);
/* Ends the threads; what they had is the caller's then. */
void mqtt_lanes_stop(struct mqtt_server *s);
void mqtt_lanes_free(struct mqtt_server *s);
struct lane *mqtt_lane_here(struct mqtt_server *s);
/* Gives a socket to the lane that has least. */
void mqtt_lane_give(struct mqtt_server *s, struct newcomer *n);
/* Something has been counted in lane->done. */
void mqtt_lane_has_done(struct lane *lane);
/* Asks its lane to look at `c`; on any thread. */
void mqtt_lane_wake(struct conn *c);
void mqtt_free_later(struct mqtt_server *s, void *p);

/* --- listeners (listener.c) ---------------------------------------------- */

struct mqtt_listener {
	struct mqtt_server *server;
	struct list link; /* in server->listeners */
	struct mqtt_listener_conf conf;
	char *address, *inside;
	struct loop_io io;       /* fd -1: of adopted connections */
	struct loop_timer again; /* descriptors had run out */
	struct ws_conf ws;
	unsigned n_conns;
	bool is_unix;
};

void mqtt_listener_close(struct mqtt_listener *l);
/* Sets the streams of a new connection; false: it can not be. */
bool mqtt_listener_wrap(struct conn *c);
/* May its address have one more connection? */
bool mqtt_listener_admits(struct mqtt_listener *l, const uint8_t address[16]);
void mqtt_address_key(const void *sockaddr, uint8_t ret[16]);

/* --- limits per address (address.c) -------------------------------------- */

struct addresses {
	struct map map;
	struct list list; /* struct address_use, oldest first */
};

void mqtt_addresses_init(struct addresses *a);
void mqtt_addresses_fini(struct addresses *a);
void mqtt_addresses_expire(struct addresses *a);
/* Counts one more within the last minute; false: over `max` (0: no limit). */
bool mqtt_address_connects(
    struct addresses *a, const uint8_t address[16], uint32_t max);
void mqtt_address_fails(struct addresses *a, const uint8_t address[16]);
bool mqtt_address_failed(
    struct addresses *a, const uint8_t address[16], uint32_t max);

/* --- logins (login.c) ---------------------------------------------------- */

struct mqtt_login {
	struct mqtt_server *server; /* NULL: closed meanwhile */
	struct list link;           /* in server->logins */
	struct conn *conn;          /* NULL: gone meanwhile */
	struct str client_id;       /* owned */
	struct str user, password;  /* owned; STR_NULL: none */
	struct buf key, thumbprint; /* of the peer's certificate */
	struct buf name;            /* in it, where it is verified */
	struct account *account;    /* once accepted; in use through us */
	uint32_t expiry_s;
	bool asked;    /* the owner knows of it */
	bool accepted; /* its lane is to go on */
	bool clean;
	bool assigned; /* the client id is ours */
	bool certified;
	bool want_response;
	bool capped; /* the session expiry is not what was asked for */
	uint16_t keepalive_s;
	uint8_t address[16];
};

int mqtt_login_begin(struct conn *c, const struct mqtt_packet *p);
void mqtt_logins_abandon(struct mqtt_server *s);
/* Asks the owner; on the home loop, without the lock. */
void mqtt_login_ask(struct mqtt_login *l);
/* Of an accepted one, on the connection's lane: the session begins. */
void mqtt_login_finish(struct conn *c);
/* The connection ends meanwhile. */
void mqtt_login_leave(struct conn *c);
void mqtt_login_free(struct mqtt_login *l);

/* --- routing (route.c) --------------------------------------------------- */

struct match {
	uint8_t kind; /* enum sub_kind */
	uint8_t qos;
	bool retain_as_published;
	uint16_t n_ids;
	uint32_t sub_id; /* the first */
	void *target;    /* session, group, consumer */
};

/* One more subscription identifier of a session in a match. */
struct match_id {
	size_t match;
	uint32_t id;
};

struct routed {
	unsigned targets;         /* copies accepted */
	unsigned matches;         /* subscriptions and queues found */
	bool refused;             /* a queue was full */
	struct mqtt_msg *waiting; /* for consumers; a reference, or NULL */
	uint64_t group;           /* of the journal; 0: none */
	bool unkept;              /* the journal did not take it */
	struct session *slow;     /* one whose publishers should wait */
};

/* Delivers to everyone; `retain` keeps it too. `from` is the publisher's
 * session, NULL in-process. `durability` is that of what is retained. `note`:
 * the packet id of a QoS 2 PUBLISH to be written down with it, or 0. */
void mqtt_route(struct mqtt_server *s, struct session *from,
    struct account *account, const struct incoming *in,
    enum mqtt_durability durability, uint16_t note, struct routed *ret);
/* May it be published by this account? */
bool mqtt_may_publish(
    struct mqtt_server *s, struct account *account, struct str topic);
bool mqtt_topic_wanted(struct mqtt_server *s, struct str name);
/* Pushes matches; returns where they begin. Ends with s->n_matches = base. */
size_t mqtt_match(struct mqtt_server *s, struct str name, struct topic *exact,
    const struct session *from);
void mqtt_last_match_free(struct last_match *last); /* NULL is fine */

/* --- consumers (consume.c) ----------------------------------------------- */

struct mqtt_consumer {
	struct mqtt_server *server;
	struct list link; /* in server->consumers */
	struct sub sub;
	struct str filter; /* owned */
	mqtt_consume *heard;
	void *owner;
	unsigned refs; /* the owner's, and messages on their way */
	bool stopped;
	bool retained; /* the message in hand was there before it */
};

void mqtt_consumer_unref(struct mqtt_consumer *c);
/* Hands `m` to the consumers among the matches from `base` on, later. */
unsigned mqtt_consume_hand(
    struct mqtt_server *s, struct mqtt_msg *m, size_t base);
/* On the home loop, without the lock. Takes a reference of both. */
void mqtt_consumer_call(
    struct mqtt_consumer *c, struct mqtt_msg *m, bool retained);

/* --- wills (will.c) ------------------------------------------------------ */

struct will *mqtt_will_new(const struct mqtt_connect *p);
void mqtt_will_free(struct will *w); /* NULL is fine */
/* Publishes and frees it. */
void mqtt_will_publish(
    struct mqtt_server *s, struct session *from, struct will *w);

/* --- keeping (keep.c, restore.c) ----------------------------------------- */

int mqtt_keep_open(struct mqtt_server *s, struct err *err);
void mqtt_keep_close(struct mqtt_server *s);
/* Lets the journal write what was appended. */
void mqtt_keep_kick(struct mqtt_server *s);
/* Has `group` got as far as `durability` asks for? */
bool mqtt_keep_reached(
    const struct keep *k, uint64_t group, enum mqtt_durability durability);
/* Is its record where its targets want it? True for what is not kept. */
bool mqtt_keep_has_msg(struct mqtt_server *s, const struct mqtt_msg *m);
/* Links a record that says all about something to its segment. */
void mqtt_keep_link_msg(
    struct keep *k, struct mqtt_msg *m, uint64_t segment, size_t bytes);
void mqtt_keep_link_owner(
    struct keep *k, struct owner *o, uint64_t segment, size_t bytes);
void mqtt_keep_link_pack(
    struct keep *k, struct pack *p, uint64_t segment, size_t bytes);
void mqtt_keep_unlink_pack(struct keep *k, struct pack *p);

/* An owner begins: all about it is written. `durability` none: it ends. */
void mqtt_keep_begin(struct mqtt_server *s, struct owner *o,
    enum owner_kind kind, enum mqtt_durability durability);
/* It ends; mqtt_keep_forget() was said for all it had. */
void mqtt_keep_end(struct mqtt_server *s, struct owner *o);
void mqtt_keep_forget(
    struct mqtt_server *s, const struct owner *o, struct mqtt_msg *m);
/* Of a session: what it has now must be written. */
void mqtt_keep_sub(struct session *s, const struct sub *sub);
void mqtt_keep_unsub(struct session *s, struct str filter);
void mqtt_keep_away(struct session *s); /* attached, or not */
void mqtt_keep_received(struct session *s, uint16_t id, bool on);
/* PUBREC came for `d`, which is about to be no message any more; PUBCOMP. */
void mqtt_keep_released(struct session *s, const struct delivery *d);
void mqtt_keep_completed(struct session *s, const struct delivery *d);

/* While a message is being routed: `o` has a copy (`d` may be NULL). */
void mqtt_keep_target(
    struct mqtt_server *s, const struct owner *o, const struct delivery *d);
/* At its end: writes it with its targets, and the packet id `note` of the QoS 2
 * PUBLISH by which `from` sent it (0: none). `m` may be NULL: only that is
 * written. Returns the group, 0 if nothing was to be written. False in `*ok`:
 * the journal does not take it. */
uint64_t mqtt_keep_msg(struct mqtt_server *s, struct mqtt_msg *m,
    const struct session *from, uint16_t note, bool *ok);
/* `o` has it no more. */
void mqtt_keep_gone(
    struct mqtt_server *s, const struct owner *o, struct mqtt_msg *m);
/* The same for a delivery: QoS 0 ones of a session are not kept. */
void mqtt_keep_gone_delivery(
    struct mqtt_server *s, const struct owner *o, const struct delivery *d);
/* It went from one owner to another; each may be NULL or not kept. */
void mqtt_keep_moved(struct mqtt_server *s, const struct owner *from,
    const struct owner *to, struct mqtt_msg *m, const struct delivery *d);
/* As a retained message. */
void mqtt_keep_unretained(struct mqtt_server *s, struct mqtt_msg *m);

/* Between keep.c and clean.c. A record that is ready goes to the journal;
 * false: it was not taken. */
#define SEGMENT_BYTES (16u << 20)
#define CLEAN_MS 10 /* between segments that are emptied */
bool mqtt_keep_append(struct mqtt_server *s, int level, uint64_t *segment);
bool mqtt_keep_say_owner(struct mqtt_server *s, struct owner *o);
void mqtt_keep_note(
    struct keep *k, const struct owner *o, const struct delivery *d);
int mqtt_keep_level(const struct keep *k); /* what the targets want */
void mqtt_keep_put_msg(struct keep *k, const struct mqtt_msg *m, uint64_t seq,
    uint32_t from, uint16_t note);
void mqtt_keep_dead(struct keep *k, struct mqtt_msg *m);
bool mqtt_keep_needs_cleaning(const struct keep *k);
void mqtt_keep_clean(struct loop_timer *t);

/* Reads records back, one by one, then makes of them what they say. */
struct restore *mqtt_restore_new(struct mqtt_server *s);
int mqtt_restore_record(
    struct restore *r, uint64_t segment, struct str record, struct err *err);
/* Makes sessions, groups, queues and messages; the journal is not there yet.
 * ERR_LIMIT: they do not fit into memory. */
int mqtt_restore_build(struct restore *r, struct err *err);
/* Says of owners that nobody is any more that they have ended; frees. */
void mqtt_restore_end(struct restore *r);
void mqtt_restore_free(struct restore *r);

/* Kinds of records; the layout of each is in keep.c. */
enum record {
	RECORD_SESSION = 'S',
	RECORD_GROUP = 'G',
	RECORD_QUEUE = 'Q',
	RECORD_END = 'E',
	RECORD_SUB = 's',
	RECORD_UNSUB = 'u',
	RECORD_AWAY = 'a',
	RECORD_RECEIVED = 'r',
	RECORD_RELEASED = 'x',
	RECORD_COMPLETED = 'c',
	RECORD_MSG = 'M',
	RECORD_GONE = 'A',
	RECORD_MOVED = 'T',
};

/* --- the server ---------------------------------------------------------- */

/* Counters of the message path, gathered under the lock and added to those that
 * everybody sees once per turn. */
#define TALLIES(X)                                                             \
	X(publish_in)                                                          \
	X(publish_out)                                                         \
	X(bytes_in)                                                            \
	X(bytes_out)                                                           \
	X(inflight)                                                            \
	X(queued_messages)                                                     \
	X(queued_bytes)

struct tallies {
#define X(name) int64_t name;
	TALLIES(X)
#undef X
};

#define TALLY(s, name, by) ((s)->tallies.name += (int64_t)(by))

enum call_kind {
	CALL_LOGIN,
	CALL_CONSUME,
	CALL_CONSUME_RETAINED,
	CALL_UNUSED,
	CALL_REPLACED
};

/* Something that the home loop is to call without the lock. */
struct call {
	struct call *next;
	enum call_kind kind;
	void *what; /* login, consumer, account, the owner's account */
	struct mqtt_msg *msg;
};

struct mqtt_server {
	struct loop *loop; /* of lane 0 */
	struct mqtt_server_conf conf;
	char *dir, *response_info;
	struct mqtt_server_events events;
	void *owner;
	bool closing;
	bool ended;      /* closed: only messages still refer to us, */
	uint64_t n_msgs; /* so many of them; we outlive them */

	unsigned n_lanes;
	struct lane *lanes;
	pthread_mutex_t mutex;
	struct list listeners;
	struct loop_timer tick;
	struct loop_timer sys_timer;
	struct sys *sys;

	struct call *calls, **last_call;
	_Atomic unsigned n_calls;
	struct loop_defer run_calls;
	struct loop_post calls_post;
	bool calls_posted;

	struct list conns;
	unsigned n_conns, n_coming; /* newcomers */
	struct list held;    /* connections not read until we are less busy */
	struct list gated;   /* connections that wait for the journal */
	struct map sessions; /* by key */
	struct list detached;
	unsigned n_detached;
	struct heap due;   /* sessions */
	struct map groups; /* by key */
	struct list queues;
	struct list queues_nonempty;
	struct list consumers;
	mqtt_watch *watch; /* NULL: nobody looks */
	void *watch_owner;
	struct list logins;
	struct map accounts; /* by name */
	struct addresses addresses;
	struct topics topics;
	struct keep keep;

	struct tallies tallies;
	int64_t now_ms; /* monotonic, when this turn began */
	uint64_t stamp; /* of the last match */
	uint64_t seq;   /* of the last message */
	struct match *matches;
	size_t n_matches, cap_matches;
	struct match_id *match_ids;
	size_t n_match_ids, cap_match_ids;

	struct buf scratch;
	struct list spare_deliveries; /* a few, to save malloc */
	unsigned n_spare;
	struct buf spare_out[64]; /* buffers of connections that have nothing */
	unsigned n_spare_out;     /* to send */
};

static inline void
mqtt_lock(struct mqtt_server *s)
{
	if (s->n_lanes > 1)
		pthread_mutex_lock(&s->mutex);
}

static inline void
mqtt_unlock(struct mqtt_server *s)
{
	if (s->n_lanes > 1)
		pthread_mutex_unlock(&s->mutex);
}

/* Has the home loop call something, after what is waiting. Under the lock. */
void mqtt_call(
    struct mqtt_server *s, enum call_kind kind, void *what, struct mqtt_msg *m);
/* At the end of a lane's turn: the journal is kicked, counters are told. */
void mqtt_turn_over(struct mqtt_server *s);
/* At the end of a call from outside: the same, later in this turn. */
void mqtt_home_done(struct mqtt_server *s);
/* Consumers have more than they should; who publishes waits. */
bool mqtt_is_busy(const struct mqtt_server *s);
/* Wakes those on server->held, unless it is busy. */
void mqtt_release_held(struct mqtt_server *s);
void mqtt_account_tell_unused(struct account *a);
bool mqtt_levels_ok(const struct mqtt_server *s, struct str topic);
/* After a message was released, without the lock: was it the last? */
void mqtt_server_maybe_free(struct mqtt_server *s);

void mqtt_sys_open(struct mqtt_server *s);
void mqtt_sys_close(struct mqtt_server *s);

#endif
