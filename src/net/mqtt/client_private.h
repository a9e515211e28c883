/*
 * net/mqtt/client_private.h - what the files of the client share: client.c (the
 * connection), client_out.c (publishing), client_in.c (subscriptions, hearing).
 */
#ifndef NET_MQTT_CLIENT_PRIVATE_H
#define NET_MQTT_CLIENT_PRIVATE_H

#include "net/mqtt/client.h"
#include "net/mqtt/resolve.h"
#include "net/stream.h"

#include "base/list.h"
#include "base/map.h"

enum state { IDLE, RESOLVING, CONNECTING, GREETING, ONLINE, WAITING };

/* A message heard, of QoS 1 or 2, that is not yet acknowledged. */
struct incoming {
	struct list link;
	uint64_t token;
	uint64_t hash; /* of topic and payload */
	uint32_t holds;
	uint16_t id;
	uint8_t qos;
	uint8_t reason;
	bool stale; /* of an earlier connection */
};

/* What the server has said that it can take. */
struct server_limits {
	uint32_t max_packet;
	uint32_t keepalive_s;
	uint16_t receive_max;
	uint16_t alias_max;
	uint8_t max_qos;
	bool has_retain;
	bool has_sub_ids;
};

#define CLIENT_ALIASES_MAX 64
#define CLIENT_OUT_MAX (1u << 20) /* unsent bytes beyond which we wait */

struct mqtt_client {
	struct loop *loop;
	const struct mqtt_client_events *events;
	void *owner;
	struct mqtt_client_conf conf; /* with texts of its own */

	enum state state;
	bool freed; /* by a callback; the memory goes when the turn is over */
	struct mqtt_resolve *resolve;
	struct addrinfo *found, *next_address;
	struct loop_io io;
	struct stream *stream;
	struct loop_timer timer;
	struct loop_defer flush;
	int64_t delay_ms;
	int64_t up_ms, heard_ms;
	bool pinged;
	bool secured; /* the layer's greeting is over */
	bool blocked;
	bool plain;     /* the stream is the bare socket */
	unsigned epoch; /* counts connections */
	uint8_t level;
	bool bridging; /* the bit is set in this level 4 */
	uint8_t reason;
	struct server_limits server;

	struct buf in, out;
	size_t out_sent;

	/* client_out.c */
	struct list owed;    /* has an id from an earlier connection */
	struct list sent;    /* unanswered on this one */
	struct list waiting; /* not yet sent */
	struct list told;    /* over; `done` is due */
	uint32_t n_waiting;  /* in owed, sent and waiting */
	uint32_t n_inflight; /* in sent */
	uint64_t ids[65536 / 64];
	uint16_t last_id;
	struct map aliases; /* topic -> its place in `alias`, plus 1 */
	struct str alias[CLIENT_ALIASES_MAX]; /* owned */
	unsigned n_aliases;

	/* client_in.c */
	struct list subs;
	unsigned telling; /* depth of callbacks that walk `subs` */
	uint32_t n_subs, last_number;
	struct incoming now;    /* what is being told; `token` 0: nothing */
	struct list incoming;   /* not acknowledged, in the order they came */
	struct list unreleased; /* PUBREC is sent, PUBREL has not come */
	uint32_t n_incoming, n_unreleased;
	uint64_t last_token;
};

/* Has what is in `out` written at the end of this turn. */
void mqtt_client_wake(struct mqtt_client *c);
/* The connection, or the attempt at one, is over; it is tried again. */
void mqtt_client_lost(struct mqtt_client *c, const struct err *why);
/* The same, and in level 5 the server is told why. */
void mqtt_client_refuse(
    struct mqtt_client *c, uint8_t reason, const char *what);

/* An id that nothing else has, and giving it back. */
uint16_t mqtt_client_new_id(struct mqtt_client *c);
void mqtt_client_free_id(struct mqtt_client *c, uint16_t id);

void mqtt_client_out_init(struct mqtt_client *c);
void mqtt_client_out_fini(struct mqtt_client *c);
/* After a connection, and when the next one has begun. */
void mqtt_client_out_lost(struct mqtt_client *c);
void mqtt_client_out_begin(struct mqtt_client *c, bool session_present);
/* Adds to `out` what may be sent now. False: there is nothing more. */
bool mqtt_client_out_pump(struct mqtt_client *c);
/* Calls what is due. */
void mqtt_client_out_tell(struct mqtt_client *c);
/* PUBACK, PUBREC, PUBCOMP */
void mqtt_client_out_answer(struct mqtt_client *c, const struct mqtt_packet *p);

void mqtt_client_in_init(struct mqtt_client *c);
void mqtt_client_in_fini(struct mqtt_client *c);
void mqtt_client_in_lost(struct mqtt_client *c);
void mqtt_client_in_begin(struct mqtt_client *c, bool session_present);
void mqtt_client_in_publish(struct mqtt_client *c, const struct mqtt_packet *p);
void mqtt_client_in_pubrel(struct mqtt_client *c, uint16_t id);
/* SUBACK, UNSUBACK */
void mqtt_client_in_suback(struct mqtt_client *c, const struct mqtt_packet *p);

#endif
