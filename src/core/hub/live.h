/*
 * core/hub/live.h - who follows what happens by WebSocket, at /ws.
 *
 *    live.c       the route; the loop of connections; events shared out
 *    live_conn.c  one connection: its frames, queue and subscriptions
 *    live_check.c who a connection is, and may it read a unit: on workers
 *    live_ask.c   what a client may say, and whether an event is what it wants
 *    inspect.c   who looks at what passes the MQTT server
 *    live_feed.c  on the hub's loop: what anybody wants to hear, and the
 *                 events as frames
 *
 * Two loops. The hub's own makes events and knows only which kinds somebody
 * wants (the feed); the live loop has the connections. Events cross in batches,
 * one for each turn; asking for what there is (OPEN, MORE, CLOSE) goes the
 * other way. As both are posts of one thread to another, order is kept:
 *
 *  (1) A subscription hears everything that happens behind its OPENED.
 *  (2) A value that is there first (INITIAL) is made on the hub's loop like any
 *      event, so of one field the last frame has its newest value.
 *  (3) Values come in slices, the next one when the client has taken the last:
 *      they never fill a queue.
 *
 * An event is one frame, made once; connections' queues point to it.
 */
#ifndef CORE_HUB_LIVE_H
#define CORE_HUB_LIVE_H

#include "core/hub/private.h"
#include "net/ws_text.h"

/* --- events as frames ---------------------------------------------------- */

enum live_kind {
	LIVE_EVENT,   /* to whom it concerns */
	LIVE_OPENED,  /* the subscription `no` hears from here on */
	LIVE_INITIAL, /* a value that is there, for `no` */
	LIVE_SLICE,   /* a slice has ended; see `n` */
	LIVE_OWN,     /* a frame for one connection */
};

#define SLICE_END 0      /* there are no more values */
#define SLICE_MORE 1     /* there are */
#define SLICE_TOO_MANY 2 /* none were sent: over hub.live.initialMax */

struct live_event {
	struct live_event *next; /* in a batch */
	enum live_kind kind;
	uint64_t no; /* of a subscription; of an event: one after another */
	int n;
	unsigned refs; /* the live loop's */
	bool updated;  /* a newer one of the same key replaces it */
	/* all of these lie behind the frame */
	struct str key;     /* "unit field:gateway.node.source.field" */
	struct str unit_id; /* in key */
	struct str quick;   /* in key */
	struct str type, entity_type, entity;
	size_t len; /* of the frame */
	char frame[];
};

/* Without a frame; one for a single connection. */
struct live_event *live_event_new(enum live_kind kind, uint64_t no);
struct live_event *live_frame_new(
    enum websocket_opcode opcode, const void *payload, size_t len);

/* --- what a client says (live_ask.c) ------------------------------------- */

enum live_verb { LIVE_AUTH, LIVE_SUBSCRIBE, LIVE_UNSUBSCRIBE, LIVE_PING };

struct live_ask {
	struct str type, id, token, unit;
	struct strs entity_types, event_types, quick_ids, topics;
	struct str filters;
	bool initial;
	enum live_verb verb; /* no member: from `type` */
};

/* Texts are lent from `text` or lie in `a`. ERR_PARAM says what is wrong; `id`
 * is there even then, if it could be read. */
int live_ask_read(
    struct str text, struct arena *a, struct live_ask *ret, struct err *err);
/* A copy of a subscription, into `a`. */
void live_ask_copy(
    struct arena *a, struct live_ask *to, const struct live_ask *from);
/* The keys it is to be found by: "unit ", "unit field", or "unit field:...";
 * the unit is empty for administrators who want all. In `a`. */
struct strs live_keys(struct arena *a, const struct live_ask *s);
/* Those that an event with this whole key is to be looked for by. */
#define LIVE_PARTS 6
void live_parts(struct str key, size_t unit_len, size_t type_len,
    struct str parts[LIVE_PARTS]);
/* Does the subscription want it? `ids`: its quick ids, as keys. The unit is
 * the caller's to look at. */
bool live_wants(const struct live_ask *s, const struct map *ids,
    const struct live_event *e);

/* --- on the hub's loop (live_feed.c) ------------------------------------- */

void feed_init(struct hub *h);
void feed_fini(struct hub *h);
/* Is there any subscription? [any thread] */
bool feed_is_wanted(struct hub *h);
/* May one be for such an event? `quick` without its type. */
bool feed_wants(struct hub *h, struct str unit_id, const char *entity_type,
    struct str quick);
/* Shares it out; `no` not 0: to this subscription alone, as INITIAL. */
void feed_event(
    struct hub *h, const struct hub_event *e, struct str quick, uint64_t no);
/* What has gathered goes to the live loop. */
void feed_kick(struct hub *h);

/* Asked of it by the live loop. */
void feed_open(struct hub *h, uint64_t no, const struct live_ask *ask);
void feed_more(struct hub *h, uint64_t no);
void feed_close(struct hub *h, uint64_t no);

/* --- the loop of connections (live.c) ------------------------------------ */

struct live_batch {
	struct loop_post post;
	struct live *live;
	struct live_batch *next;
	struct live_event *first;
	size_t bytes;
	int64_t dropped; /* before these: the backlog was full */
};

struct live {
	struct hub *hub;
	const struct live_conf *conf;
	struct hub_counters *counters;
	struct loop *loop;
	pthread_t thread;
	bool running; /* its thread; of who starts and stops */
	struct loop_post end_post;
	struct worker_pool *checks;
	_Atomic int64_t n_conns, n_logins;
	_Atomic int64_t backlog; /* bytes of batches on their way */

	/* the loop's own */
	bool ending;
	struct list conns, dirty;
	struct map topics; /* key -> who hears of it */
	struct map subs;   /* number -> subscription */
	struct inspect *inspect;
	uint64_t last_no, last_event;
};

struct live *live_new(struct hub *h);
int live_start(struct live *l, struct err *err);
void live_stop(struct live *l);
void live_free(struct live *l);
/* [hub's loop] Takes `b`. */
void live_give(struct live *l, struct live_batch *b);

void live_unref(struct live_event *e);
/* Those to whom something has happened are settled. */
void live_settle(struct live *l);

/* --- connections (live_conn.c) ------------------------------------------- */

struct live_conn;

/* Who is to be found by one key. */
struct live_topic {
	struct str key; /* owned */
	struct list links;
};

struct live_link {
	struct list link; /* in topic->links */
	struct live_topic *topic;
	struct live_sub *sub;
};

struct live_sub {
	uint64_t no;
	struct live_conn *conn;
	struct list link;        /* in conn->subs */
	struct live_link *links; /* in arena; none until it is open */
	size_t n_links;
	struct live_ask ask; /* in arena */
	struct map ids;      /* its quick ids */
	struct strs roots;   /* with topics: what they begin with; none: all */
	bool ready;          /* the next slice may be asked for */
	int64_t n_initial;
	struct arena arena;
};

enum conn_state { CONN_LOGIN, CONN_OPEN, CONN_CLOSING, CONN_DEAD };

struct live_conn {
	struct live *live;
	struct list link;  /* in live->conns */
	struct list dirty; /* in live->dirty: to be settled */
	enum conn_state state;
	int fd;
	struct http_tunnel *tunnel;
	struct loop_io io;
	struct loop_timer life;    /* login is due; a ping is; all is over */
	struct loop_timer recheck; /* of the token */
	struct ws_text in;
	struct list queue;
	size_t bytes;     /* that the queue costs */
	size_t at;        /* of its first frame: sent */
	size_t try_at;    /* bytes: sending is tried before more is added */
	struct map keys;  /* of entries that wait since it was long */
	bool logging_in;  /* counted among those */
	bool blocked;     /* the socket was full */
	bool shut;        /* nothing more is sent */
	int64_t dropped;  /* since the client was told */
	int64_t heard;    /* when, monotonic */
	struct str token; /* owned */
	struct str user_id, account; /* owned */
	struct list subs;
	size_t n_subs;
	struct live_check *check; /* one that is under way */
	bool check_due;           /* and then the next one */
	uint64_t seen;            /* the event it was offered last */
};

/* Takes descriptor and tunnel; `token` (null: none yet) is copied. */
void conn_new(struct live *l, int fd, struct http_tunnel *tunnel,
    struct str token, struct str already);
/* What waits is sent, what came is looked at, and a dead one is freed. To be
 * called at the end of whatever happened to it. */
void conn_settle(struct live_conn *c);
void conn_settle_later(struct live_conn *c);
void conn_offer(struct live_conn *c, struct live_event *e);
void conn_opened(struct live_sub *s);
void conn_initial(struct live_sub *s, struct live_event *e);
void conn_slice(struct live_sub *s, int n);
/* What it has to do with topics, as JSON with commas between; `left` more were
 * not taken. */
void conn_messages(struct live_sub *s, struct str messages, int64_t left);
/* Or should it wait? */
bool conn_has_room(const struct live_conn *c);
/* The server ends. */
void conn_away(struct live_conn *c);
void conn_checked(struct live_conn *c, struct live_check *k);

/* --- what passes the MQTT server (inspect.c) ----------------------------- */

struct inspect *inspect_new(struct live *l);
void inspect_free(struct inspect *x);
/* A subscription with topics hears from now on; it ends. */
void inspect_open(struct live_sub *s);
void inspect_close(struct live_sub *s);
/* What the topics of a unit begin with. */
struct strs inspect_roots(struct arena *a, struct str unit_code);

/* --- checks (live_check.c) ----------------------------------------------- */

enum check_kind { CHECK_LOGIN, CHECK_SUBSCRIBE, CHECK_AGAIN };

struct live_check {
	struct worker_job job;
	struct loop_post done;
	struct live *live;
	struct live_conn *conn; /* NULL: it has gone meanwhile */
	enum check_kind kind;
	struct str token;    /* owned */
	struct live_ask ask; /* to subscribe */
	struct strs units;   /* to be looked at... */
	bool *may;           /* ...and whether the user may read them */
	struct strs roots;   /* of a subscription with topics */
	/* the worker's answer: 200, or what a call would be answered with */
	int status;
	struct str code, message, user_id, account;
	struct arena arena;
};

/* With the token, copied; the caller may fill in what is looked at. */
struct live_check *check_new(
    struct live_conn *c, enum check_kind kind, struct str token);
/* Units of all its subscriptions. */
void check_units(struct live_check *k, struct live_conn *c);
/* False: too many wait; `k` is freed. */
bool check_start(struct live_check *k);
void check_free(struct live_check *k);

#endif
