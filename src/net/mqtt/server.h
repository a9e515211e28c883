/*
 * net/mqtt/server.h - the MQTT server: sessions, topics, queues.
 *
 * Speaks MQTT 3.1.1 (and 3.1) over TCP on the loop it is given; everything here
 * is called on that loop's thread. Core modules take part by function call:
 * they consume and publish without a socket.
 *
 * Queue names. A topic that was declared by mqtt_queue_declare() is a queue and
 * not only a topic: while nobody is subscribed to it (no connected client, no
 * persistent session, no shared group, no consumer), what is published there
 * is kept, within limits, and given to the first subscriber or shared group.
 * A shared group owns one queue of its own; what a vanished member had not
 * acknowledged returns to its head and goes to another member.
 *
 * Acknowledgement. A QoS 1 or 2 PUBLISH is answered (PUBACK, PUBREC) when every
 * in-process consumer it went to has called mqtt_msg_done(), and in the order
 * of arrival on that connection. If a consumer reports failure it is not
 * answered: the connection is closed, so that the sender repeats it. The number
 * of unanswered messages per publisher is bounded (`publish_max`): beyond it
 * its socket is not read.
 */
#ifndef NET_MQTT_SERVER_H
#define NET_MQTT_SERVER_H

#include "base/err.h"
#include "base/loop.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mqtt_server;
struct mqtt_msg;      /* one message, counted references, never changed */
struct mqtt_consumer; /* an in-process subscriber */
struct mqtt_login;    /* a CONNECT that waits for its verdict */

struct mqtt_server_conf {
	const char *address; /* "127.0.0.1", "::", ... */
	uint16_t port;       /* 0: the kernel chooses */
	bool allow_anonymous;
	uint32_t max_connections;
	uint32_t max_packet;   /* bytes; a larger one ends the connection */
	uint32_t max_inflight; /* QoS 1, 2 messages unanswered, per session */
	uint32_t publish_max;  /* PUBLISHes not yet answered, per connection */
	uint32_t queue_messages; /* waiting, per session, group or queue */
	uint64_t queue_bytes;    /* the same in bytes */
	int64_t queue_ttl_ms;    /* of messages in named queues; 0: no limit */
	uint32_t max_sessions;   /* persistent ones without a connection */
	int64_t session_expiry_ms;  /* of those; 0: no limit */
	uint32_t max_subscriptions; /* per session */
	uint32_t max_topic_levels;
	uint32_t max_retained;
	uint64_t max_retained_bytes;
	uint32_t max_keepalive_s;   /* 0: no limit */
	int64_t connect_timeout_ms; /* from accept to CONNECT */
	uint32_t max_auth_failures; /* per address and minute; 0: no limit */
	uint64_t max_output;        /* bytes unsent to one connection */
};

/* What the owner decides. Texts are lent for the call. */
struct mqtt_server_events {
	/* A client wants in. Answer now or later, once, by
	 * mqtt_login_answer(). Not called for anonymous clients that are
	 * allowed. */
	void (*login)(void *owner, struct mqtt_login *login,
	    struct str client_id, struct str user, struct str password);
	/* May this account (what mqtt_login_answer() was given, NULL for
	 * anonymous) publish to the topic, or subscribe to the filter (without
	 * its $share prefix)? */
	bool (*may_publish)(void *owner, void *account, struct str topic);
	bool (*may_subscribe)(void *owner, void *account, struct str filter);
	/* No session uses this account any more. */
	void (*account_unused)(void *owner, void *account);
};

/* Listens at once; `conf` is copied. */
int mqtt_server_open(struct loop *loop, const struct mqtt_server_conf *conf,
    const struct mqtt_server_events *events, void *owner,
    struct mqtt_server **ret, struct err *err);
uint16_t mqtt_server_port(const struct mqtt_server *s);
/* Stops listening and closes all connections; in-process consumers must have
 * been ended. NULL is fine. */
void mqtt_server_close(struct mqtt_server *s);

/* `accept` false: refused with return code 5 (4 if `bad_password`). `account`
 * is opaque; it is in use until account_unused(), which comes once, with its
 * last session. Client ids belong to an account (the pointer): clients of
 * different accounts never take each other's session over. */
void mqtt_login_answer(
    struct mqtt_login *login, bool accept, bool bad_password, void *account);

/* Disconnects every session of the account and forgets it (password changed,
 * application deleted). */
void mqtt_server_kick(struct mqtt_server *s, void *account);

struct mqtt_queue_limits {
	uint32_t messages; /* 0: the server's */
	uint64_t bytes;
	int64_t ttl_ms;
};

/* Makes `name` a queue, or changes its limits (NULL: the server's). */
void mqtt_queue_declare(struct mqtt_server *s, struct str name,
    const struct mqtt_queue_limits *limits);
/* Forgets it with all that waits there. */
void mqtt_queue_delete(struct mqtt_server *s, struct str name);

struct mqtt_queue_stats {
	uint32_t consumers;  /* subscriptions that match */
	uint64_t messages;   /* waiting here, in its groups and sessions */
	double publish_rate; /* per second, over the last minute */
	double deliver_rate;
};
void mqtt_queue_stats(
    struct mqtt_server *s, struct str name, struct mqtt_queue_stats *ret);

/* The consumer hears every message that matches `filter`, in arrival order.
 * `msg` is lent for the call unless it is kept by mqtt_msg_ref(). For each
 * call, exactly one mqtt_msg_done() must follow, at once or later, in any
 * order, on the loop's thread. */
typedef void mqtt_consume(void *owner, struct mqtt_msg *msg);
struct mqtt_consumer *mqtt_consume_start(
    struct mqtt_server *s, struct str filter, mqtt_consume *heard, void *owner);
void mqtt_consume_stop(struct mqtt_consumer *c); /* NULL is fine */

struct str mqtt_msg_topic(const struct mqtt_msg *m);
struct str mqtt_msg_payload(const struct mqtt_msg *m);
uint8_t mqtt_msg_qos(const struct mqtt_msg *m);
bool mqtt_msg_retain(const struct mqtt_msg *m);
/* The account of the client that published it; NULL in-process. */
void *mqtt_msg_account(const struct mqtt_msg *m);
struct mqtt_msg *mqtt_msg_ref(struct mqtt_msg *m);
void mqtt_msg_unref(struct mqtt_msg *m); /* NULL is fine */
void mqtt_msg_done(struct mqtt_msg *m, bool ok);

/* Publishes from inside; copies topic and payload. `*targets` (may be NULL) is
 * the number of subscriptions and queues that accepted a copy. ERR_LIMIT: a
 * queue that was to keep it is full (and it was dropped there). */
int mqtt_publish(struct mqtt_server *s, struct str topic, struct str payload,
    uint8_t qos, bool retain, unsigned *targets);

#endif
