/*
 * plug/handler/ops.h - what a type of handler implements, and what it is given.
 *
 * handler.c stands before every type: it reads specs and parameters by their
 * rows, keeps the queue, counts attempts and time, waits, and tells the owner.
 * A type sends one message at a time and says how it went. Private to this
 * folder.
 */
#ifndef PLUG_HANDLER_OPS_H
#define PLUG_HANDLER_OPS_H

#include "plug/handler/handler.h"

/* A message, from handler_post() to its answer. */
struct handler_job {
	struct arena arena;   /* dies with it */
	struct str variables; /* a JSON object */
	void *own;            /* the type's, in `arena`; NULL at first */
	uint32_t attempts;    /* this one included */
};

struct handler_ops {
	const char *name;           /* as in the settings of people */
	const char *parameter;      /* the `type` it takes; NULL: any */
	const struct record *spec;  /* NULL: has none */
	const struct record *takes; /* rows of the parameter; NULL: none */
	bool patient; /* the end of send() always comes: no deadline */

	/* Makes the type's part from a row of `spec`, lent for the call. Tells
	 * handler_secret() first of all. On failure leaves nothing behind. */
	int (*open)(
	    struct handler *h, const void *spec, void **ret, struct err *err);
	/* Checks a row of `takes`, lent with its texts as long as the job, and
	 * puts what send() needs behind j->own. */
	int (*prepare)(void *own, struct handler_job *j, const void *parameter,
	    struct err *err);
	/* Begins to send. The end is told by handler_sent(), now or later. */
	void (*send)(void *own, struct handler_job *j);
	/* What was begun is given up: handler_sent() must not come any more.
	 * NULL: send() always ends before it returns. */
	void (*cancel)(void *own, struct handler_job *j);
	/* Frees everything. Nothing is being sent. May be NULL. */
	void (*close)(void *own);
};

extern const struct handler_ops handler_backup, handler_email, handler_mqtt,
    handler_noop, handler_telegram, handler_webhook;

/* handler_open() for a type that is not in the list. */
int handler_open_ops(const struct handler_ops *ops, struct str spec,
    const struct handler_host *host, struct handler **ret, struct err *err);

enum handler_outcome {
	HANDLER_SENT,
	HANDLER_LATER,   /* it may go better another time */
	HANDLER_REFUSED, /* it will not */
};

/* The end of what send() began; the last thing a type does in a callback, since
 * it may be closed when this returns. `code` is the error's; `wait_ms` is how
 * long the peer asked to be left alone, or 0. */
void handler_sent(struct handler *h, enum handler_outcome outcome, int code,
    int64_t wait_ms, const char *text);
/* What became known about the peer outside of a message. */
void handler_report(
    struct handler *h, enum handler_status status, const char *text);

const struct handler_host *handler_host_of(const struct handler *h);
/* Never to be seen in a sentence, if it has three letters or more. */
void handler_secret(struct handler *h, struct str secret);
/* ERR_DENIED: the settings do not allow to talk to that host. */
int handler_check_host(
    const struct handler *h, struct str host, struct err *err);

#endif
