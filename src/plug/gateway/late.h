/*
 * plug/gateway/late.h - a frame whose answer comes after it has left: from the
 * device, perhaps hours later. Others are sent meanwhile.
 *
 *             put             the server has it         answer, timeout
 *    IDLE ----------> PUT ----------------------> AWAY ---------------> IDLE
 *                      |
 *                      +--> ANSWERED before the server told --> IDLE
 *
 * Embedded in what a provider has behind a job. Private to this folder.
 */
#ifndef PLUG_GATEWAY_LATE_H
#define PLUG_GATEWAY_LATE_H

#include "plug/gateway/ops.h"

enum gateway_late_stage { LATE_IDLE, LATE_PUT, LATE_ANSWERED, LATE_AWAY };

struct gateway_late {
	struct gateway *g;
	struct gateway_job *job;
	int64_t timeout_ms; /* 0: it is sent when the server has it */
	struct str awaited; /* for people: "x did not answer" */
	/* It is over: no answer is waited for any more. May be NULL. */
	void (*over)(struct gateway_late *l);
	/* its own */
	enum gateway_late_stage stage;
	struct loop_timer timer;
	struct err why;
};

/* Puts it and ends the job, now or later: the last thing in send(). */
void gateway_late_put(
    struct gateway_late *l, struct str topic, struct str data);
/* Ends the job without a put: the last thing in send(). */
void gateway_late_fail(struct gateway_late *l, const struct err *err);
/* The answer; NULL: it went well. Idle: nothing. */
void gateway_late_answer(struct gateway_late *l, const struct err *err);
/* For cancel(). */
void gateway_late_cancel(struct gateway_late *l);

#endif
