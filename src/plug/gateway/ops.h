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
	struct str topic; /* of MQTT, the whole of it; null: a line */
	struct str data;
	bool retained;
};

/* A frame to be sent, from gateway_send() to its answer. */
struct gateway_job {
	struct gateway_frame frame; /* in `arena` */
	struct arena arena;         /* dies with it */
	struct gateway *gateway;
	void *own;         /* the provider's, in `arena` */
	uint32_t attempts; /* this one included */
};

#define GATEWAY_SERIAL 1u
#define GATEWAY_TCP 2u /* `ethernet` */
#define GATEWAY_MQTT 4u
#define GATEWAY_HTTP 8u

struct gateway_ops {
	const char *name; /* `provider.type` */
	unsigned protocols;
	bool has_payload;           /* see gateway_has_payload() */
	bool has_operations;        /* see gateway_has_operations() */
	uint8_t qos;                /* MQTT: at least */
	const char *subscribe;      /* MQTT: "a/#,b/+" when the protocol's
				     * `subscribe` is empty; NULL: nothing */
	const struct record *spec;  /* of `provider`; NULL: none */
	const char *const *actions; /* NULL: none */

	/* Makes the provider's part from a row of `spec`, lent with its texts
	 * until close. Tells gateway_secret() first of all. On failure leaves
	 * nothing behind. */
	int (*open)(
	    struct gateway *g, const void *spec, void **ret, struct err *err);
	void (*close)(void *own); /* may be NULL */
	/* For a provider whose link is not one of ours (HTTP): begin, and tell
	 * gateway_link_up() or gateway_link_down() then or later; after the
	 * latter start() comes again. stop() ends it. Else NULL. */
	void (*start)(void *own);
	void (*stop)(void *own);
	/* The link is there (subscribed, too), or gone. May be NULL. */
	void (*up)(void *own);
	void (*down)(void *own);
	/* Something came by one of our links; NULL without one. Protocol
	 * matters (ids, time, acknowledgements) are done at once; what is news
	 * goes up by gateway_hand_up(). */
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
	/* What was begun is given up (the link is lost, the gateway closed, the
	 * frame taken back): gateway_job_done() must not come any more. The job may be sent again
	 * later. NULL: send() ends before it returns, or by gateway_put_job().
	 */
	void (*cancel)(void *own, struct gateway_job *j);
	int (*act)(
	    void *own, struct str node, struct str action, struct err *err);
	void (*claimed)(void *own, struct str node); /* may be NULL */
};

extern const struct record gateway_http_record; /* protocol http */

extern const struct gateway_ops gateway_mysensors, gateway_tasmota,
    gateway_chirpstack, gateway_marram_edge, gateway_generic_mqtt,
    gateway_generic_http;

/* gateway_open() for a provider that is not in the list. */
int gateway_open_ops(const struct gateway_ops *ops,
    const struct gateway_conf *conf, const struct gateway_host *host,
    struct gateway **ret, struct err *err);

/* --- what a provider calls ------------------------------------------------ */

const struct gateway_host *gateway_host_of(const struct gateway *g);
const char *gateway_name(const struct gateway *g);
/* The protocol it is opened with, GATEWAY_SERIAL ... */
unsigned gateway_protocol(const struct gateway *g);
/* `provider.protocol` as JSON, for a provider whose link is not one of ours.
 * Lent until close. */
struct str gateway_protocol_json(const struct gateway *g);
/* What an MQTT link puts before topics, with its slash, or "": in `a`. */
int gateway_mqtt_root(
    struct gateway *g, struct arena *a, struct str *ret, struct err *err);
bool gateway_is_up(const struct gateway *g);
/* Never to be seen in a sentence or in the log, if it has three letters or
 * more. */
void gateway_secret(struct gateway *g, struct str secret);
/* ERR_DENIED: the settings do not allow to talk to that host. */
int gateway_check_host(
    const struct gateway *g, struct str host, struct err *err);

/* Is it only tried? Then what goes over the link must not disturb the gateway
 * that it is for: no session is kept, no group shared, no script run. */
bool gateway_is_trial(const struct gateway *g);
/* The attempt has passed what it was at and begins this; `name` is static. */
void gateway_stage(struct gateway *g, const char *name);
/* What it has found there, for people. */
void gateway_stage_note(struct gateway *g, const char *text);
/* A stage that went on beside others and is over. */
void gateway_stage_past(struct gateway *g, const char *name, bool good,
    int64_t ms, const char *text);

/* A frame that is news goes up, copied. Within hear() the link's message is
 * acknowledged when all that came of it is taken. */
void gateway_hand_up(struct gateway *g, const struct gateway_frame *f);
/* Within hear(): something will come of it later, such as when a script has
 * run. The message is not acknowledged before gateway_later_done(), which must
 * come at close at the latest. Never NULL. */
struct gateway_later;
struct gateway_later *gateway_later(struct gateway *g);
void gateway_later_hand_up(
    struct gateway *g, struct gateway_later *l, const struct gateway_frame *f);
void gateway_later_done(struct gateway *g, struct gateway_later *l);
/* What came was no frame of this protocol. */
void gateway_bad(struct gateway *g, const char *why);
/* The link is up, and yet its owner should know something: stands in the state
 * until the link changes. NULL: it is over. */
void gateway_remark(struct gateway *g, const char *text);
/* Bytes to the link: a line (its end is added), or a message to a
 * topic below `publish` (null: a line). `done` (may be NULL) comes later.
 * Negative: it can not be written now, `done` does not come. */
int gateway_put(struct gateway *g, struct str topic, struct str data,
    void (*done)(void *ctx, bool ok), void *ctx, struct err *err);
/* The same for all that a job has to say: it is sent when the bytes have left.
 * Ends the job in any case, so it is the last thing in send(). */
void gateway_put_job(struct gateway *g, struct gateway_job *j, struct str topic,
    struct str data);
/* Hears what matches this filter, too, unless what is subscribed covers it.
 * Copied; kept until close. ERR_PARAM: bad filter, or the link is not MQTT;
 * ERR_LIMIT: too many. */
int gateway_listen(struct gateway *g, struct str filter, struct err *err);
/* The node is awake: what waits for it is sent, in its order. */
void gateway_awake(struct gateway *g, struct str node);

void gateway_read_done(struct gateway_read *r,
    const struct gateway_message *messages, size_t n, const struct err *err);
void gateway_write_done(struct gateway_write *w, const struct err *err);
/* The end of what send() began; the last thing a provider does in a callback.
 * GATEWAY_SENT or GATEWAY_FAILED; with ERR_DENIED the node itself has refused
 * it, and it does not wait to be sent again. */
void gateway_job_done(struct gateway *g, struct gateway_job *j,
    enum gateway_outcome outcome, const struct err *err);
/* The frame has left and its answer may take long: others go meanwhile. It
 * waits, counted, through losses of the link; the provider minds the time, and
 * gateway_job_done() or, at close, cancel() ends it. */
void gateway_job_left(struct gateway *g, struct gateway_job *j);
/* For providers whose link is not one of ours (HTTP): what became of it, and
 * what passed, for the log. */
void gateway_passed(
    struct gateway *g, bool sent, struct str topic, struct str data);
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
