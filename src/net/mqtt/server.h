/*
 * net/mqtt/server.h - the MQTT server: sessions, topics, queues.
 *
 * Speaks MQTT 5.0, 3.1.1 and 3.1 over TCP, Unix sockets, TLS and WebSocket.
 * Everything here is called on the thread of the loop it is given ("the home
 * loop"), and the owner is called there; only may_publish and may_subscribe are
 * called on any of the server's threads. Core modules take part by function
 * call: they consume and publish without a socket.
 *
 * Queue names. A topic that was declared by mqtt_queue_declare() is a queue and
 * not only a topic: while nobody is subscribed to it (no connected client, no
 * persistent session, no shared group, no consumer), what is published there
 * is kept, within limits, and given to the first subscriber or shared group.
 * A shared group owns one queue of its own; what a vanished member had not
 * acknowledged returns to its head and goes to another member. Only QoS 2
 * messages that were sent to a member stay with it, as MQTT 5 wants (4.8.2).
 *
 * Durability. What waits for a persistent session, a shared group or a queue,
 * and what is retained, is written to a journal (mqtt_server_conf.dir) as far
 * as the listener of that session, or the queue, asks for. A QoS 1 or 2 PUBLISH
 * is answered (PUBACK, PUBREC) only when its copies are as durable as the
 * publisher's listener asks for.
 *
 * Acknowledgement. It is answered, too, only when every in-process consumer it
 * went to has called mqtt_msg_done(), and in the order of arrival on that
 * connection. If a consumer reports failure it is not answered: the connection
 * is closed, so that the sender repeats it. The number of unanswered messages
 * per publisher is bounded (`publish_max`): beyond it its socket is not read.
 */
#ifndef NET_MQTT_SERVER_H
#define NET_MQTT_SERVER_H

#include "base/err.h"
#include "base/loop.h"
#include "base/str.h"
#include "net/stream.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mqtt_server;
struct mqtt_msg;      /* one message, counted references, never changed */
struct mqtt_consumer; /* an in-process subscriber */
struct mqtt_login;    /* a CONNECT that waits for its verdict */
struct mqtt_listener;
struct tls_server;

enum mqtt_durability {
	MQTT_NONE, /* in memory */
	MQTT_OS,   /* handed to the kernel: survives the end of the process */
	MQTT_DISK, /* flushed: survives power loss */
};

/* When the queue of a session or shared group is full. */
enum mqtt_full {
	MQTT_FULL_SLOW, /* its publishers are not read for a while (slow_ms),
			 * then as DROP_NEWEST */
	MQTT_FULL_DROP_OLDEST,
	MQTT_FULL_DROP_NEWEST,
	MQTT_FULL_DISCONNECT, /* the client that does not keep up */
};

struct mqtt_server_conf {
	uint32_t threads;   /* that share the connections; 0: 1 */
	const char *dir;    /* of the journal; NULL: all is in memory */
	uint64_t dir_bytes; /* waiting to be written, at most */
	bool salvage;       /* set a damaged part of the journal aside */
	uint32_t max_connections;
	uint32_t max_packet;   /* bytes; a larger one ends the connection */
	uint32_t max_inflight; /* QoS 1, 2 messages unanswered, per session */
	bool sure_window; /* what a client has acknowledged counts as unanswered
			   * until the journal has handed that to the kernel:
			   * after a crash at most max_inflight messages are
			   * sent to it again */
	uint32_t publish_max; /* PUBLISHes not yet answered, per connection */
	uint32_t max_aliases; /* topic aliases, each way, per connection */
	uint32_t queue_messages; /* waiting, per session, group or queue */
	uint64_t queue_bytes;    /* the same in bytes */
	int64_t queue_ttl_ms;    /* of messages in named queues; 0: no limit */
	enum mqtt_full full;
	int64_t slow_ms;            /* of MQTT_FULL_SLOW */
	uint32_t max_sessions;      /* persistent ones without a connection */
	int64_t session_expiry_ms;  /* of those; 0: no limit */
	uint32_t max_subscriptions; /* per session */
	uint32_t max_topic_levels;
	uint32_t max_retained;
	uint64_t max_retained_bytes;
	uint32_t max_keepalive_s;   /* 0: no limit */
	int64_t connect_timeout_ms; /* from accept to CONNECT */
	uint32_t max_auth_failures; /* per address and minute; 0: no limit */
	uint32_t max_connect_rate;  /* the same for connections */
	uint32_t max_rate;          /* messages a second of a client; 0 */
	uint64_t max_output;        /* bytes unsent to one connection */
	enum mqtt_durability durability; /* of queues, groups, in-process */
	int64_t sys_interval_ms;         /* of $SYS; 0: there is none */
	const char *response_info;       /* told to who asks; NULL: nothing */
};

enum mqtt_peer_user {
	MQTT_PEER_NONE,
	MQTT_PEER_CN,  /* the certificate's common name is the user */
	MQTT_PEER_SAN, /* or its first alternative name */
};

struct mqtt_listener_conf {
	const char *address;    /* "127.0.0.1", "::", "unix:/run/x.sock" */
	uint16_t port;          /* 0: the kernel chooses */
	struct tls_server *tls; /* NULL: in clear; borrowed */
	enum mqtt_peer_user peer_user;
	bool websocket;
	bool proxy; /* each connection begins with a PROXY header */
	bool allow_anonymous;
	uint32_t max_connections;        /* 0: only the server's limit */
	enum mqtt_durability durability; /* of what its clients send and keep */
	unsigned socket_mode;            /* of a Unix socket; 0: 0660 */
	const char *inside; /* adopted connections come from within the program:
			     * see MQTT_INSIDE; NULL: they do not */
};

/* Accounts whose names begin so are the program's own: `inside` is the name of
 * one. Its clients sign in by it alone, whatever user they name, may do
 * everything, and no limit of connections or rates holds for them. */
#define MQTT_INSIDE "\n"

/* What the owner decides. Texts are lent for the call. */
struct mqtt_server_events {
	/* A client wants in. Answer now or later, once, by
	 * mqtt_login_answer(). Not called for anonymous clients that are
	 * allowed. */
	void (*login)(void *owner, struct mqtt_login *login,
	    struct str client_id, struct str user, struct str password);
	/* May this account (what mqtt_login_answer() was given, NULL for
	 * anonymous) publish to the topic, or subscribe to the filter (without
	 * its $share prefix)? Called on any thread: they read only what does
	 * not change while the account is in use, and call nothing here. */
	bool (*may_publish)(void *owner, void *account, struct str topic);
	bool (*may_subscribe)(void *owner, void *account, struct str filter);
	/* No session uses this account any more. */
	void (*account_unused)(void *owner, void *account);
	/* The journal can not be written, and why; NULL: it can again. While
	 * it can not, nothing that should be durable is acknowledged. */
	void (*trouble)(void *owner, const char *text);
};

/* Opens without listening; `conf` is copied. With `dir` the journal is read
 * back: sessions, their subscriptions and messages, queues, retained messages.
 * ERR_PROTO: it is damaged (see `salvage`). */
int mqtt_server_open(struct loop *loop, const struct mqtt_server_conf *conf,
    const struct mqtt_server_events *events, void *owner,
    struct mqtt_server **ret, struct err *err);
/* Listens from now on; `conf` is copied. `*port` (may be NULL) is the port that
 * was taken. */
int mqtt_server_listen(struct mqtt_server *s,
    const struct mqtt_listener_conf *conf, uint16_t *port, struct err *err);
/* A connection that was accepted, and upgraded, elsewhere: takes `fd` and
 * `stream` (which may be NULL). `rest` are bytes that were read already;
 * `address` is a sockaddr or NULL. `listener` says what holds for it. */
void mqtt_server_adopt(struct mqtt_server *s, const void *address, int fd,
    struct stream *stream, struct str rest,
    const struct mqtt_listener_conf *listener);
/* Stops listening and closes all connections; in-process consumers must have
 * been ended. The journal is flushed. NULL is fine. */
void mqtt_server_close(struct mqtt_server *s);

/* `accept` false: refused with "not authorized" (or "bad user name or password"
 * if `bad_password`). `account` is opaque; it is in use until account_unused(),
 * which comes once, after its last session. `name` is the same in every run of
 * the program: remembered sessions belong to it. Client ids belong to an
 * account: clients of different accounts never take each other's session over.
 * It does not begin with MQTT_INSIDE. */
void mqtt_login_answer(struct mqtt_login *login, bool accept, bool bad_password,
    void *account, struct str name);
/* The user name was proven by the client's certificate; no password is due. */
bool mqtt_login_is_certified(const struct mqtt_login *login);

/* What the client has shown by TLS, where certificates are asked for; lent,
 * until it is answered. */
struct mqtt_login_peer {
	struct str key, thumbprint; /* net/tls.h; empty: no certificate */
	struct str name; /* its common name, if who signed it is known */
};
struct mqtt_login_peer mqtt_login_peer(const struct mqtt_login *login);

/* Ends every session of the account with this name and forgets all about it
 * (application deleted). */
void mqtt_server_kick(struct mqtt_server *s, struct str name);
/* Only disconnects them (rights or password changed): what waits for them is
 * kept as their sessions ask for. */
void mqtt_server_disconnect(struct mqtt_server *s, struct str name);

struct mqtt_queue_limits {
	uint32_t messages; /* 0: the server's */
	uint64_t bytes;
	int64_t ttl_ms;
};

/* Makes `name` a queue, or changes its limits (NULL: the server's). */
void mqtt_queue_declare(struct mqtt_server *s, struct str name,
    const struct mqtt_queue_limits *limits);
/* The same, of another durability than the server's. */
void mqtt_queue_declare_durable(struct mqtt_server *s, struct str name,
    const struct mqtt_queue_limits *limits, enum mqtt_durability durability);
/* Forgets it with all that waits there. */
void mqtt_queue_delete(struct mqtt_server *s, struct str name);

struct mqtt_queue_stats {
	uint32_t consumers;  /* subscriptions that match */
	uint64_t messages;   /* waiting here, in its groups and sessions */
	double publish_rate; /* per second, over the last minute */
	double deliver_rate;
	uint64_t bytes;   /* of those that wait for somebody to subscribe */
	uint64_t refused; /* because it was full, since the start */
	uint64_t expired; /* because they were too old */
	int64_t last_ms; /* when one came, by the wall clock; TIME_NULL: none */
};
void mqtt_queue_stats(
    struct mqtt_server *s, struct str name, struct mqtt_queue_stats *ret);

/* The consumer hears every message that matches `filter`, in arrival order,
 * never within another call of this header. `msg` is lent for the call unless
 * it is kept by mqtt_msg_ref(). For each call, exactly one mqtt_msg_done() must
 * follow, at once or later, in any order. NULL: not a filter. */
typedef void mqtt_consume(void *owner, struct mqtt_msg *msg);
struct mqtt_consumer *mqtt_consume_start(
    struct mqtt_server *s, struct str filter, mqtt_consume *heard, void *owner);
/* What is retained under its filter is heard, too, from the beginning. */
void mqtt_consume_retained(struct mqtt_consumer *c);
/* While it hears one: was that retained before it began to listen? One that
 * comes live is not, though it be retained from then on. */
bool mqtt_consume_is_retained(const struct mqtt_consumer *c);
/* It hears nothing more. NULL is fine. */
void mqtt_consume_stop(struct mqtt_consumer *c);

/* Somebody looks at what passes: every message that is accepted, from clients
 * and from inside, has it subscribers or not. To look is no subscription:
 * queues keep what they would have kept. Called on any of the server's threads,
 * under its lock: it copies what it wants, at once, and calls nothing here. At
 * most one; NULL: nobody looks any more. */
struct mqtt_sight {
	struct str topic, payload; /* lent */
	uint8_t qos;
	bool retain;
	bool held; /* it passed before, and is retained */
};
typedef void mqtt_watch(void *owner, const struct mqtt_sight *m);
void mqtt_server_watch(struct mqtt_server *s, mqtt_watch *seen, void *owner);
/* Shows what is retained under the filter, within the call. */
void mqtt_server_look(
    struct mqtt_server *s, struct str filter, mqtt_watch *seen, void *owner);

struct str mqtt_msg_topic(const struct mqtt_msg *m);
struct str mqtt_msg_payload(const struct mqtt_msg *m);
/* The properties that go with it; see mqtt_kept_props() in codec/mqtt.h. */
struct str mqtt_msg_props(const struct mqtt_msg *m);
uint8_t mqtt_msg_qos(const struct mqtt_msg *m);
bool mqtt_msg_retain(const struct mqtt_msg *m);
/* The account of the client that published it; NULL in-process. */
void *mqtt_msg_account(const struct mqtt_msg *m);
struct mqtt_msg *mqtt_msg_ref(struct mqtt_msg *m);
void mqtt_msg_unref(struct mqtt_msg *m); /* NULL is fine */
void mqtt_msg_done(struct mqtt_msg *m, bool ok);

/* Publishes from inside; copies topic and payload. `*targets` (may be NULL) is
 * the number of subscriptions and queues that accepted a copy. ERR_LIMIT: a
 * queue that was to keep it is full (and it was dropped there), or the journal
 * can not take it. The copy is durable when a message that is reported done
 * after this call has been answered. */
int mqtt_publish(struct mqtt_server *s, struct str topic, struct str payload,
    uint8_t qos, bool retain, unsigned *targets);

#endif
