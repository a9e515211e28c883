/*
 * plug/gateway/ops.h - what a provider implements, and what it is given.
 *
 * gateway.c stands before every provider: it reads specs by their rows, keeps
 * the link, waits and connects again, keeps queues and sleeping nodes, writes
 * the message log, holds back what a link has not been acknowledged for. A
 * provider knows its protocol and nothing else. Private to this folder.
 */
#ifndef PLUG_GATEWAY_OPS_H
#define PLUG_GATEWAY_OPS_H

#include "plug/gateway/gateway.h"

/* What the link brought. Lent for the call. */
struct gateway_in {
	struct str topic; /* of MQTT, less the prefix; null: a line */
	struct str data;
	bool retained;
};

/* A frame to be sent, from gateway_send() to its answer. */
struct gateway_job {
	struct gateway_frame frame; /* in `arena` */
	struct arena arena;         /* dies with it */
	void *own;                  /* the provider's, in `arena` */
	uint32_t attempts;          /* this one included */
};

#define GATEWAY_SERIAL 1u
#define GATEWAY_TCP 2u /* `ethernet` */
#define GATEWAY_MQTT 4u
#define GATEWAY_HTTP 8u

struct gateway_ops {
	const char *name; /* `provider.type` */
	unsigned protocols;
	bool has_payload;           /* see gateway_has_payload() */
	const struct record *spec;  /* of `provider`; NULL: none */
	const char *const *actions; /* NULL: none */

	/* Makes the provider's part from a row of `spec`, lent with its texts
	 * until close. Tells gateway_secret() first of all. On failure leaves
	 * nothing behind. */
	int (*open)(
	    struct gateway *g, const void *spec, void **ret, struct err *err);
	void (*close)(void *own); /* may be NULL */
	/* The link is there (subscribed, too), or gone. May be NULL. */
	void (*up)(void *own);
	void (*down)(void *own);
	/* Something came. Protocol matters (ids, time, acknowledgements) are
	 * done at once; what is news goes up by gateway_hand_up(). */
	void (*hear)(void *own, const struct gateway_in *in);
	/* Ends by gateway_read_done(), now or later. A pure function of the
	 * frame as far as it can be. */
	void (*read)(void *own, struct gateway_read *r);
	/* Ends by gateway_write_done(), now or later. NULL: can not. */
	void (*write)(void *own, struct gateway_write *w);
	/* Checks a frame that somebody wants sent, and puts what send() needs
	 * behind j->own. NULL: any. */
	int (*prepare)(void *own, struct gateway_job *j, struct err *err);
	/* Begins to send; one job at a time per gateway, while the link is up.
	 * The end is told by gateway_job_done(), now or later. */
	void (*send)(void *own, struct gateway_job *j);
	/* What was begun is given up: gateway_job_done() must not come any
	 * more. NULL: send() always ends before it returns. */
	void (*cancel)(void *own, struct gateway_job *j);
	int (*act)(
	    void *own, struct str node, struct str action, struct err *err);
};

extern const struct gateway_ops gateway_mysensors, gateway_tasmota,
    gateway_chirpstack, gateway_generic_mqtt, gateway_generic_http;

/* gateway_open() for a provider that is not in the list. */
int gateway_open_ops(const struct gateway_ops *ops,
    const struct gateway_conf *conf, const struct gateway_host *host,
    struct gateway **ret, struct err *err);

/* --- what a provider calls ------------------------------------------------ */

const struct gateway_host *gateway_host_of(const struct gateway *g);
const char *gateway_name(const struct gateway *g);
bool gateway_is_up(const struct gateway *g);
/* Never to be seen in a sentence or in the log, if it has three letters or
 * more. */
void gateway_secret(struct gateway *g, struct str secret);
/* ERR_DENIED: the settings do not allow to talk to that host. */
int gateway_check_host(
    const struct gateway *g, struct str host, struct err *err);

/* A frame that is news goes up, copied. Within hear() the link's message is
 * acknowledged when all that came of it is taken. */
void gateway_hand_up(struct gateway *g, const struct gateway_frame *f);
/* What came was no frame of this protocol. */
void gateway_bad(struct gateway *g, const char *why);
/* Bytes to the link, at once: a line (its end is added), or a message to a
 * topic below `publish` (null: a line). `done` (may be NULL) comes later.
 * Negative: it can not be written now, `done` does not come. */
int gateway_put(struct gateway *g, struct str topic, struct str data,
    void (*done)(void *ctx, bool ok), void *ctx, struct err *err);
/* The node is awake: what waits for it is sent, in its order. */
void gateway_awake(struct gateway *g, struct str node);

void gateway_read_done(struct gateway_read *r,
    const struct gateway_message *messages, size_t n, const struct err *err);
void gateway_write_done(struct gateway_write *w, const struct err *err);
/* The end of what send() began; the last thing a provider does in a callback.
 * GATEWAY_SENT or GATEWAY_FAILED. */
void gateway_job_done(struct gateway *g, struct gateway_job *j,
    enum gateway_outcome outcome, const struct err *err);
/* For providers whose link is not one of ours (HTTP): what became of it. */
void gateway_link_up(struct gateway *g);
void gateway_link_down(struct gateway *g, const char *why);

/* Builds messages in an arena: begin, then payloads. */
struct gateway_messages {
	struct arena *a;
	struct gateway_message *at;
	size_t n, cap;
};
struct gateway_message *gateway_say(struct gateway_messages *m,
    enum gateway_type type, struct str node, struct str source);
/* `value` is JSON; NULL: GATEWAY_PAYLOADS_MAX is reached. */
struct gateway_payload *gateway_add(struct gateway_messages *m,
    struct gateway_message *to, struct str key, struct str value);

#endif
