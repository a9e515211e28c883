/*
 * plug/handler/handler.h - what carries a rule's result out: e-mail, webhook,
 * telegram, MQTT.
 *
 * A handler is opened from its `spec` and given messages: a parameter, rendered
 * by the rule, that says what to send. Every handler waits in one queue and
 * sends one message at a time, in the order they came, so that a message never
 * overtakes the one before.
 *
 * Promises, of every type:
 *  (1) No function blocks: no DNS, no connection, no disk.
 *  (2) A message that handler_post() took is answered by its `done` exactly
 *      once, on the loop, never before handler_post() has returned.
 *  (3) A failure that may pass (no connection, "try later", HTTP 429 and 5xx)
 *      is tried again after a growing wait, as often as the settings say; what
 *      the peer refuses is not. Messages behind it wait.
 *  (4) Queue, size of messages, time (not of backups) and rate have limits, by
 *      setting.
 *  (5) Secrets of the spec are in no sentence: not in errors, not in the state,
 *      even when the peer repeats them.
 *  (6) With `allow_hosts`, nothing is sent to any other host.
 *
 * A handler belongs to one loop and is used on that loop's thread only.
 */
#ifndef PLUG_HANDLER_HANDLER_H
#define PLUG_HANDLER_HANDLER_H

#include "base/conf.h"
#include "base/entity.h"
#include "base/err.h"
#include "base/loop.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct handler;

/* Settings of all handlers: the rows are for a section "hub.handler". */
struct handler_settings {
	int64_t queue;           /* messages that wait, per handler */
	int64_t max_message;     /* bytes of parameter and variables */
	int64_t timeout;         /* ms of one attempt */
	int64_t retries;         /* after the first attempt */
	int64_t retry_min;       /* ms before the first of them */
	int64_t retry_max;       /* ms at most */
	int64_t rate;            /* messages per minute; 0: no limit */
	struct str allow_hosts;  /* "a.example, *.b.example"; null: any */
	struct str ca_file;      /* PEM; null: what the system trusts */
	struct str telegram_url; /* of the Bot API */
};
extern const struct conf_field handler_fields[];

/* A backup that a handler asks for; texts are lent, empty ones mean the
 * default. */
struct handler_backup {
	struct str prefix, form, dir;
	int64_t retention;
	bool history, metrics;
};
/* `text` is its path, or what went wrong; lent. [any thread] */
typedef void handler_backup_done(void *ctx, int rc, const char *text);

/* What a handler asks of the program around it. Must outlive the handler. */
struct handler_host {
	void *ctx;
	struct loop *loop;
	const struct handler_settings *settings; /* borrowed */
	/* Publishes on our own MQTT server; texts are lent. NULL: there is
	 * none, and an mqtt handler needs a broker. */
	int (*publish)(void *ctx, struct str topic, struct str payload,
	    uint8_t qos, bool retain, struct err *err);
	/* Begins a backup; `done` tells the end when this returned 0. NULL:
	 * there are none. ERR_AGAIN: another one is being made. */
	int (*backup)(void *ctx, const struct handler_backup *w,
	    handler_backup_done *done, void *done_ctx, struct err *err);
	/* The state of `h` has changed; may be NULL. It may call anything. */
	void (*changed)(void *ctx, struct handler *h);
};

/* Names of the types there are, NULL ends. */
const char *const *handler_types(void);
/* The rows of a type's spec and of its parameter (secrets are marked), for
 * checking, forms and API. NULL: no such type, or it has none. */
const struct record *handler_spec(const char *type);
const struct record *handler_parameter(const char *type);
/* The `type` of parameters it takes: "email"; NULL: any. */
const char *handler_takes(const char *type);

/* Opens a handler from its spec, a JSON object lent for the call. Names of
 * members are taken in any case, numbers and texts for one another. Whether
 * the peer is there turns out later and is told by `state`. ERR_PARAM: an
 * unknown type, or the spec is wrong; ERR_DENIED: a host that is not allowed.
 */
int handler_open(const char *type, struct str spec,
    const struct handler_host *host, struct handler **ret, struct err *err);
/* Messages that wait are answered with ERR_CLOSED before it returns. What is
 * half sent may or may not arrive. NULL is fine. */
void handler_close(struct handler *h);

struct handler_message {
	struct str parameter; /* a JSON object with `type` */
	struct str variables; /* the rule's, a JSON object; STR_NULL: none */
};

struct handler_result {
	int code;         /* 0, or an err_code */
	const char *text; /* a sentence; for 0 what the peer said, or "" */
	int64_t took_ms;  /* since it was posted */
	uint32_t attempts;
};

/* A callback may call anything, handler_close() too. `r` is lent. */
typedef void handler_done(void *ctx, const struct handler_result *r);
/* Copies `m`. ERR_NOT_FOUND: the parameter is for another type of handler, or
 * disabled. ERR_PARAM: it is wrong. ERR_DENIED: host not allowed. ERR_LIMIT:
 * the queue is full, or it is too large. Then `done` (may be NULL) is not
 * called. */
int handler_post(struct handler *h, const struct handler_message *m,
    handler_done *done, void *ctx, struct err *err);

enum handler_status {
	HANDLER_STARTING, /* has not heard of its peer yet */
	HANDLER_UP,       /* the last thing it did went well */
	HANDLER_DOWN,
};

struct handler_state {
	enum handler_status status;
	int64_t since_ms; /* wall clock */
	char text[240];   /* for people */
	uint64_t posted, sent, failed, retried, refused;
	uint32_t waiting; /* in the queue, with the one being sent */
};

void handler_state(const struct handler *h, struct handler_state *ret);
const char *handler_type(const struct handler *h);

#endif
