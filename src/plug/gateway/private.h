/*
 * plug/gateway/private.h - what the files of the framework share: gateway.c
 * (life and link), hear.c (up), queue.c (down), log.c.
 */
#ifndef PLUG_GATEWAY_PRIVATE_H
#define PLUG_GATEWAY_PRIVATE_H

#include "base/heap.h"
#include "base/map.h"
#include "base/secret.h"
#include "plug/gateway/link.h"
#include "plug/gateway/log.h"

enum stage { QUIET, RESTING, SENDING };

struct gateway {
	const struct gateway_ops *ops;
	const struct gateway_host *host; /* borrowed */
	void *own;                       /* the provider's */
	struct gateway_link *link;       /* NULL: the provider has its own */
	struct gateway_log *log;         /* NULL: none */
	struct arena arena;              /* name and specs */
	const char *name;
	unsigned protocol;
	struct str protocol_json;
	struct secrets secrets;
	bool queue_failed, closing;
	bool trial;
	const char *echo;     /* of a trial; NULL: none */
	struct str echo_text; /* that is to come back */
	struct gateway_stage stages[GATEWAY_STAGES_MAX];
	unsigned n_stages;
	bool *gone; /* set when the gateway is freed */

	struct gateway_state state;
	struct loop_defer tell;
	struct loop_timer reconnect;
	int64_t reconnect_ms, wait_ms;
	struct list puts; /* of struct gateway_put */

	/* hear.c */
	uint64_t token; /* of what is being heard; 0: none */
	struct gateway_later
	    *hold;         /* what it waits for; NULL: nothing so far */
	struct list news;  /* handed up, not taken */
	struct list again; /* those that wait to be handed up again */
	uint32_t n_news;
	struct loop_timer retry;

	/* queue.c */
	enum stage stage;
	struct list queue; /* of struct job; the first may be being sent */
	struct list away;  /* jobs that have left and are not answered */
	struct map sleepers;
	struct heap due; /* of jobs that wait */
	struct list ended;
	struct loop_defer step, answer;
	struct loop_timer rest, expiry;
};

/* Cleans a sentence of secrets; returns its code. */
int gateway_scrub(const struct gateway *g, struct err *err);

/* The attempt is over: what it was at is passed, or `fault` ended it. */
void gateway_stages_end(struct gateway *g, const char *fault);
void gateway_trial_up(struct gateway *g);
void gateway_trial_heard(struct gateway *g, const struct gateway_in *in);

void gateway_hear_init(struct gateway *g);
void gateway_hear_fini(struct gateway *g);

void gateway_queue_init(struct gateway *g);
/* Jobs that wait end with ERR_CLOSED. */
void gateway_queue_fini(struct gateway *g);
/* The link is there: what waits is sent. It is gone: what was being sent waits
 * again. */
void gateway_queue_up(struct gateway *g);
void gateway_queue_down(struct gateway *g);
/* A node was heard that could not be reached before. */
void gateway_queue_heard(struct gateway *g, struct str node);

#endif
