/*
 * net/mqtt/private.h - what the files of the MQTT server share.
 *
 *    server.c   listener, accepting, limits that need a clock, opening, closing
 *    login.c    accounts, the verdict over a CONNECT, the limit on failures
 *    conn.c     one socket: bytes in, parser, bytes out; one write per turn
 *    serve.c    what each packet does
 *    session.c  what is remembered of a client: messages owed, packet ids
 *    subscribe.c subscriptions of sessions, shared groups' members
 *    group.c    shared groups
 *    queue.c    named queues; the bounded list that all of them use
 *    topics.c   filters -> subscriptions; retained messages
 *    route.c    from one published message to everyone who gets it; consumers
 *    msg.c      one message
 *
 * Who owns what: the server owns connections, sessions, groups, queues and
 * consumers. A session owns its subscriptions and deliveries, a group or queue
 * the deliveries that wait there. A message is shared by counting. Whatever may
 * be in use further up the stack is freed by loop_free_later().
 *
 * Only conn.c and serve.c know how a packet looks; a session says *what* is to
 * be sent.
 */
#ifndef NET_MQTT_PRIVATE_H
#define NET_MQTT_PRIVATE_H

#include "base/list.h"
#include "base/loop.h"
#include "base/map.h"
#include "base/str.h"
#include "codec/mqtt.h"
#include "net/mqtt/counters.h"
#include "net/mqtt/server.h"

#include <sys/uio.h>

#define LEVELS_MAX                                                             \
	200u /* of a topic, whatever the setting says: we recurse              \
	      */
#define READ_SIZE 65536u
#define QUEUE_RETRY_MS 1000 /* before a failed consumer is asked again */
#define TICK_MS 1000        /* between looks at what may have expired */

/* --- accounts (login.c) -------------------------------------------------- */

/* One of the owner's accounts, while it is in use. */
struct account {
	struct mqtt_server *server;
	void *ptr;     /* the owner's; NULL once it was given back */
	unsigned refs; /* sessions and messages */
	unsigned n_sessions;
	struct list sessions;
};

/* Both may be given NULL: anonymous. */
struct account *mqtt_account_ref(struct account *a);
void mqtt_account_unref(struct account *a);
/* The account of `ptr`, made if need be; a reference for the caller. */
struct account *mqtt_account_get(struct mqtt_server *s, void *ptr);
/* A session begins or ceases to use it; at the last, account_unused(). A NULL
 * `link` only keeps it in use for a while. */
void mqtt_account_enter(struct account *a, struct list *link);
void mqtt_account_leave(struct account *a, struct list *link);
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
	uint16_t topic_len;
	uint8_t qos;
	bool retain;
	bool failed;                /* a consumer said so */
	bool from_queue;            /* a failure brings it back to the queue */
	int64_t at_ms;              /* monotonic, when it came */
	uint64_t seq;               /* its number in this server */
	struct mqtt_server *server; /* borrowed */
	struct account *account;    /* of its publisher, or NULL */
	struct arrival *arrival;    /* the PUBLISH that waits for `waits` */
	char wire[]; /* topic length in two bytes, topic, payload */
};

/* NULL if memory is refused. Copies the texts. */
struct mqtt_msg *mqtt_msg_new(struct mqtt_server *s, struct account *account,
    struct str topic, struct str payload, uint8_t qos, bool retain);

static inline size_t
msg_bytes(const struct mqtt_msg *m)
{
	return sizeof(*m) + m->topic_len + m->payload_len;
}

/* --- waiting messages (queue.c) ------------------------------------------ */

/* One copy of a message on its way to one subscriber. */
struct delivery {
	struct list link;
	struct mqtt_msg *msg; /* NULL once released */
	struct group *group;  /* whence it came and may return, or NULL */
	uint16_t id;          /* 0: not sent yet */
	uint8_t qos;
	bool retain;
	bool released; /* QoS 2: PUBREC came, PUBREL was sent */
};

struct delivery *mqtt_delivery_new(
    struct mqtt_server *s, struct mqtt_msg *m, uint8_t qos, bool retain);
void mqtt_delivery_free(struct mqtt_server *s, struct delivery *d);

/* A list of deliveries that knows its size. */
struct fifo {
	struct list items;
	uint32_t n;
	uint64_t bytes;
};

void mqtt_fifo_init(struct fifo *f);
bool mqtt_fifo_fits(const struct fifo *f, uint32_t messages, uint64_t bytes,
    const struct mqtt_msg *m);
void mqtt_fifo_add(struct fifo *f, struct delivery *d);
void mqtt_fifo_add_first(struct fifo *f, struct delivery *d);
void mqtt_fifo_add_by_age(struct fifo *f, struct delivery *d);
struct delivery *mqtt_fifo_first(const struct fifo *f);
void mqtt_fifo_remove(struct fifo *f, struct delivery *d);
/* Frees all; returns how many. */
unsigned mqtt_fifo_clear(struct fifo *f, struct mqtt_server *s);
/* Frees what came before `limit_ms`, from the head; returns how many. */
unsigned mqtt_fifo_expire(
    struct fifo *f, struct mqtt_server *s, int64_t limit_ms);

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
	uint32_t max_messages;
	uint64_t max_bytes;
	int64_t ttl_ms;
	struct rate in, out;
	struct loop_timer retry; /* consumers failed; ask them again */
};

/* ERR_LIMIT: full, nothing was kept. */
int mqtt_queue_put(struct queue *q, struct mqtt_msg *m);
/* A consumer failed: `m` waits again in its queue, if there is one, before what
 * is younger, and is tried again later. */
void mqtt_queue_return(struct mqtt_server *s, struct mqtt_msg *m);
/* The oldest that has not expired, or NULL; the caller owns it. */
struct delivery *mqtt_queue_take(struct queue *q);
/* Gives what waits to the consumers that match. */
void mqtt_queue_drain(struct queue *q);
void mqtt_queue_free(struct queue *q);
void mqtt_queues_expire(struct mqtt_server *s);

/* --- topics (topics.c) --------------------------------------------------- */

enum sub_kind { SUB_SESSION, SUB_GROUP, SUB_CONSUMER, SUB_MEMBER };

/* One subscription. The first three kinds hang in the topics; a member hangs in
 * its group. */
struct sub {
	struct list link;
	enum sub_kind kind;
	uint8_t qos;
	struct topic *topic;            /* where it hangs: one of these two, */
	struct node *node;              /* or, for a member, neither */
	struct session *session;        /* SUB_SESSION, SUB_MEMBER */
	struct group *group;            /* SUB_GROUP, SUB_MEMBER */
	struct mqtt_consumer *consumer; /* SUB_CONSUMER */
	struct list membership; /* SUB_MEMBER: in session->memberships */
	struct str filter; /* SUB_SESSION, SUB_MEMBER: as subscribed, owned */
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
	struct list subs;
	struct mqtt_msg *retained;
};

struct topics {
	struct map exact; /* -> struct topic */
	struct node *wild;
	struct node *retained;
	size_t n_retained;
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
typedef void retained_visit(void *ctx, struct mqtt_msg *m);
void mqtt_retained_match(
    struct topics *t, struct str filter, retained_visit *visit, void *ctx);

/* --- sessions (session.c, subscribe.c) ----------------------------------- */

struct slot {
	struct delivery *delivery; /* NULL: the id is free */
	uint16_t next_free;        /* id, 0 ends */
};

struct session {
	struct mqtt_server *server;
	struct str key; /* in server->sessions: account and client id; owned */
	struct str client_id; /* within key */
	struct account *account;
	struct list in_account;
	struct conn *conn; /* NULL: detached */
	bool clean;

	struct list detached; /* in server->detached, longest away first */
	int64_t detached_ms;

	struct map subs; /* filter -> struct sub */
	struct list memberships;

	struct fifo owed;     /* not sent; no packet id */
	unsigned n_owed_0;    /* of them QoS 0 */
	struct list inflight; /* sent, in that order, not acknowledged */
	unsigned n_inflight;
	struct slot *slots; /* by packet id - 1 */
	uint32_t n_slots;
	uint16_t free_first, free_last; /* ids, oldest first */

	uint8_t
	    *received; /* bits: QoS 2 ids from the client, PUBREL not seen */
	unsigned n_received;
	struct list orphans; /* arrivals of QoS 2 whose connection has ended */

	uint64_t stamp; /* the last match that found it */
	size_t match;   /* and its place there */
};

/* The session of an account's client id, or NULL. */
struct session *mqtt_session_find(
    struct mqtt_server *s, struct account *a, struct str client_id);
/* Takes over the caller's reference to `a`. */
struct session *mqtt_session_new(
    struct mqtt_server *s, struct account *a, struct str client_id, bool clean);
void mqtt_session_attach(struct session *s, struct conn *conn);
/* Sends again what was not acknowledged, then what is owed. */
void mqtt_session_resume(struct session *s);
/* The connection is gone. Ends the session unless it is to be remembered. */
void mqtt_session_detach(struct session *s);
void mqtt_session_free(struct session *s);
/* Forgets detached sessions that are too old, or too many. */
void mqtt_sessions_expire(struct mqtt_server *s);

/* How a copy was received. */
enum accept { ACCEPTED, DROPPED, REFUSED /* a queue is full */ };

/* `keep`: a message that is worth waiting for even at QoS 0 (retained, or from
 * a named queue). */
enum accept mqtt_session_deliver(
    struct session *s, struct mqtt_msg *m, uint8_t qos, bool retain, bool keep);
/* Owes it what waited in a queue, whatever the limits. Takes `d`. */
void mqtt_session_owe(struct session *s, struct delivery *d);
/* May a message be sent to it at once? */
bool mqtt_session_has_room(const struct session *s, uint8_t qos);
/* Sends `d` now; there must be room. Takes `d`. */
void mqtt_session_send(struct session *s, struct delivery *d);
/* Sends what is owed, and what groups have for it, as far as there is room. */
void mqtt_session_pump(struct session *s);

void mqtt_session_puback(struct session *s, uint16_t id);
/* True: PUBREL is to be sent. */
bool mqtt_session_pubrec(struct session *s, uint16_t id);
void mqtt_session_pubcomp(struct session *s, uint16_t id);

bool mqtt_session_received(const struct session *s, uint16_t id);
void mqtt_session_set_received(struct session *s, uint16_t id, bool on);

/* Returns the code for SUBACK: the QoS, or MQTT_SUB_FAILED. */
uint8_t mqtt_subscribe(struct session *s, struct str filter, uint8_t qos);
/* What a new subscription starts with: retained and waiting messages. */
void mqtt_subscribe_start(struct session *s, struct str filter);
void mqtt_unsubscribe(struct session *s, struct str filter);
void mqtt_unsubscribe_all(struct session *s);

/* --- shared groups (group.c) --------------------------------------------- */

struct group {
	struct mqtt_server *server;
	struct str key;    /* "$share/GROUP/FILTER", owned; in server->groups */
	struct str filter; /* within key */
	struct sub sub;    /* its place in the topics */
	struct list members; /* struct sub; the next to be served is first */
	struct fifo waiting;
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

/* --- connections (conn.c, serve.c) --------------------------------------- */

enum conn_state { AWAIT_CONNECT, AWAIT_VERDICT, UP, CLOSED };

/* A PUBLISH whose answer waits for consumers, or for an earlier answer. */
struct arrival {
	struct list link;        /* in conn->arrivals or session->orphans */
	struct conn *conn;       /* NULL: it has ended, no answer */
	struct session *session; /* of an orphan */
	struct mqtt_msg *msg; /* whose verdict is awaited; NULL: it is known */
	uint16_t id;
	uint8_t qos;
};

struct will {
	struct str topic;
	struct str payload;
	uint8_t qos;
	bool retain;
};

/* How bytes pass; for TLS and WebSocket there will be others. Both return what
 * read(2) and writev(2) do. */
struct transport {
	ssize_t (*read)(struct conn *c, void *p, size_t len);
	ssize_t (*writev)(struct conn *c, const struct iovec *iov, int n);
};

/* "Here comes the payload of `msg`" within the outgoing bytes. */
struct splice {
	size_t at;
	struct mqtt_msg *msg;
};

struct conn {
	struct mqtt_server *server;
	struct list link; /* in server->conns */
	const struct transport *transport;
	struct loop_io io;
	struct loop_timer timer; /* connect time-out, then keep-alive */
	struct loop_defer turn;  /* once per turn: resume, pump, write */
	enum conn_state state;
	bool graceful; /* DISCONNECT came: no will */
	bool doomed;   /* to be closed in this turn */
	bool pump;     /* room has appeared */
	bool starved;  /* somebody asked for room when there was none */
	bool stalled;  /* `in` has packets that had to wait */
	bool turning;  /* its turn is running */
	bool blocked;  /* the socket takes no more */
	uint8_t address[16];

	struct session *session;  /* in UP */
	struct mqtt_login *login; /* in AWAIT_VERDICT */
	struct will *will;
	int64_t heard_ms;
	int64_t silence_ms; /* allowed; 0: any */

	struct list arrivals;
	unsigned n_arrivals;

	char *in; /* read, but not yet processed */
	size_t in_len, in_cap;

	struct buf out; /* to be sent from out_sent on */
	size_t out_sent;
	struct splice *splices;
	unsigned n_splices, cap_splices;
	unsigned splice_first; /* those before it are sent */
	size_t splice_sent;    /* bytes of the first one's payload */
	uint64_t out_bytes;    /* unsent in all */
};

/* Takes `fd`. */
struct conn *mqtt_conn_new(struct mqtt_server *s, int fd,
    const struct transport *transport, const uint8_t address[16]);
extern const struct transport mqtt_tcp;
/* Processes bytes from the peer; what can not be used yet is kept. */
void mqtt_conn_feed(struct conn *c, struct str bytes);
/* Ends it now: session, will, and all. `c` is valid until the turn ends. */
void mqtt_conn_close(struct conn *c);
/* Ends it when this turn is over. */
void mqtt_conn_doom(struct conn *c);
/* Asks for a turn: c->pump, unprocessed bytes, and writing. */
void mqtt_conn_wake(struct conn *c);
/* False: `max_output` is reached; it will be pumped when that changes. */
bool mqtt_conn_has_room(struct conn *c);

void mqtt_conn_send_connack(struct conn *c, bool present, uint8_t code);
void mqtt_conn_send_ack(struct conn *c, enum mqtt_type type, uint16_t id);
void mqtt_conn_send_suback(
    struct conn *c, uint16_t id, const uint8_t *codes, size_t n);
void mqtt_conn_send_pingresp(struct conn *c);
void mqtt_conn_send_publish(
    struct conn *c, struct mqtt_msg *m, struct mqtt_publish_flags f);

/* Does what a packet asks for. Returns 0, or ERR_PROTO. */
int mqtt_serve(struct conn *c, const struct mqtt_packet *p);
/* The consumers' verdict over a message is known. */
void mqtt_verdict(struct mqtt_msg *m);
/* No answers any more: the connection ends. */
void mqtt_arrivals_abandon(struct conn *c, struct session *keep);

/* --- logins (login.c) ---------------------------------------------------- */

struct mqtt_login {
	struct mqtt_server *server; /* NULL: closed meanwhile */
	struct list link;           /* in server->logins */
	struct conn *conn;          /* NULL: gone meanwhile */
	struct str client_id;       /* owned */
	bool clean;
	uint8_t address[16];
};

int mqtt_login_begin(struct conn *c, const struct mqtt_connect *p);
void mqtt_logins_abandon(struct mqtt_server *s);

struct failures {
	struct list link; /* in server->failures, oldest first */
	uint8_t address[16];
	int64_t since_ms;
	uint32_t n;
};

void mqtt_failures_expire(struct mqtt_server *s);
void mqtt_failures_clear(struct mqtt_server *s);

/* --- routing (route.c) --------------------------------------------------- */

struct mqtt_consumer {
	struct mqtt_server *server;
	struct list link; /* in server->consumers */
	struct sub sub;
	struct str filter; /* owned */
	mqtt_consume *heard;
	void *owner;
	unsigned refs; /* the owner's, and matches being delivered */
	bool stopped;
	struct loop_defer start; /* gives it what waits in queues */
};

struct match {
	enum sub_kind kind;
	uint8_t qos;
	void *target; /* session, group, consumer */
};

struct routed {
	unsigned targets;         /* copies accepted */
	bool refused;             /* a queue was full */
	struct mqtt_msg *waiting; /* for consumers; a reference, or NULL */
	bool failed; /* a consumer has failed, and none is awaited */
};

/* Delivers to everyone; `retain` keeps it too. `repeated`: its sender will
 * repeat it if a consumer fails; otherwise it returns to its queue. */
void mqtt_route(struct mqtt_server *s, struct account *account,
    struct str topic, struct str payload, struct mqtt_publish_flags f,
    bool repeated, struct routed *ret);
/* Publishes the will of a connection that ended badly, and frees it. */
void mqtt_will_publish(
    struct mqtt_server *s, struct account *account, struct will *will);
void mqtt_will_free(struct will *will);
/* May it be published by this account? */
bool mqtt_may_publish(
    struct mqtt_server *s, struct account *account, struct str topic);
/* Hands `m` to the consumers among the matches from `base` on. */
void mqtt_consume_hand(struct mqtt_server *s, struct mqtt_msg *m, size_t base);
bool mqtt_topic_wanted(struct mqtt_server *s, struct str name);
void mqtt_consumer_unref(struct mqtt_consumer *c);
/* The calls of consumers are over: true if all have reported. */
bool mqtt_consume_over(struct mqtt_server *s, struct mqtt_msg *m);
/* Pushes matches; returns where they begin. Ends with s->n_matches = base. */
size_t mqtt_match(struct mqtt_server *s, struct str name, struct topic *exact);

/* --- the server ---------------------------------------------------------- */

struct mqtt_server {
	struct loop *loop;
	struct mqtt_server_conf conf;
	char *address;
	struct mqtt_server_events events;
	void *owner;
	uint16_t port;
	bool closing;
	uint64_t n_outstanding; /* messages at consumers; we outlive them */

	struct loop_io listener;
	struct loop_timer accept_again; /* descriptors had run out */
	struct loop_timer tick;         /* runs while something may expire */

	struct list conns;
	unsigned n_conns;
	struct map sessions; /* by key */
	struct list detached;
	unsigned n_detached;
	struct map groups; /* by key */
	struct list queues;
	struct list queues_nonempty;
	struct list consumers;
	struct list logins;
	struct map accounts; /* by the bytes of the pointer */
	struct map failed_addresses;
	struct list failures;
	struct topics topics;

	uint64_t stamp; /* of the last match */
	uint64_t seq;   /* of the last message */
	struct match *matches;
	size_t n_matches, cap_matches;

	struct list spare_deliveries; /* a few, to save malloc */
	unsigned n_spare;
	struct buf spare_out[16]; /* buffers of connections that have nothing */
	unsigned n_spare_out;     /* to send */
	char *read_buf;           /* READ_SIZE, shared by all connections */
};

/* Makes sure that the tick runs. */
void mqtt_server_tick(struct mqtt_server *s);
bool mqtt_levels_ok(const struct mqtt_server *s, struct str topic);

#endif
