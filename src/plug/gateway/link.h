/*
 * plug/gateway/link.h - what carries bytes: a serial line, TCP, MQTT.
 *
 * A link does one attempt: start() leads to gateway_link_up() or, then or
 * later, to gateway_link_down(), after which gateway.c stops it, waits, and
 * starts it again. Private to this folder.
 */
#ifndef PLUG_GATEWAY_LINK_H
#define PLUG_GATEWAY_LINK_H

#include "base/list.h"
#include "plug/gateway/ops.h"

/* Bytes on their way. gateway.c owns it; the link has it until it calls
 * gateway_link_sent() or is freed. */
struct gateway_put {
	struct list link; /* in the gateway's */
	struct list own;  /* the link's */
	struct gateway *g;
	void (*done)(void *ctx, bool ok); /* NULL: nobody waits any more */
	void *ctx;
	size_t end; /* the link's */
};

struct gateway_link {
	const struct gateway_link_ops *ops;
	struct gateway *g;
	int64_t delay_ms; /* before each job */
};

struct gateway_link_ops {
	const char *name; /* `protocol.type` */
	unsigned protocol;
	const struct record *spec;
	/* `spec` is lent with its texts until close. */
	int (*open)(struct gateway *g, const void *spec,
	    struct gateway_link **ret, struct err *err);
	/* Calls back later only. */
	void (*start)(struct gateway_link *l);
	/* Idle: nothing. Gives back the puts that it will not carry. */
	void (*stop)(struct gateway_link *l);
	/* Copies both. On success gateway_link_sent() comes later. */
	int (*put)(struct gateway_link *l, struct str topic, struct str data,
	    struct gateway_put *p, struct err *err);
	/* See gateway_listen(); may be NULL. */
	int (*listen)(
	    struct gateway_link *l, struct str filter, struct err *err);
	/* What was heard with this token is taken; may be NULL. */
	void (*ack)(struct gateway_link *l, uint64_t token);
	void (*close)(struct gateway_link *l);
};

extern const struct gateway_link_ops gateway_link_serial, gateway_link_tcp,
    gateway_link_mqtt;

/* Something came. `token` is 0 where nothing is to be acknowledged. */
void gateway_link_heard(
    struct gateway *g, const struct gateway_in *in, uint64_t token);
void gateway_link_sent(struct gateway_put *p, bool ok);
/* What the provider wants to hear when nobody says: "a/#,b/+"; null:
 * nothing. */
struct str gateway_filters(const struct gateway *g);
/* The QoS that it needs at least. */
uint8_t gateway_qos(const struct gateway *g);
/* A duration of a spec; ERR_PARAM names the member. */
int gateway_duration(
    struct str text, const char *name, int64_t *ret, struct err *err);

#endif
