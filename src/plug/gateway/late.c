/*
 * plug/gateway/late.c - see late.h.
 */
#include "plug/gateway/late.h"

#include "base/base.h"

static void
end(struct gateway_late *l, const struct err *err)
{
	gateway_late_cancel(l);
	gateway_job_done(l->g, l->job,
	    err == NULL || err->code == 0 ? GATEWAY_SENT : GATEWAY_FAILED, err);
}

static void
on_timeout(struct loop_timer *t)
{
	struct gateway_late *l = container_of(t, struct gateway_late, timer);
	struct err err;

	err_set(&err, ERR_AGAIN, STR_FMT " (provider.timeout)",
	    STR_ARG(l->awaited));
	end(l, &err);
}

static void
on_put(void *ctx, bool ok)
{
	struct gateway_late *l = ctx;
	struct err err;

	if (l->stage == LATE_IDLE)
		return; /* it was cancelled */
	if (l->stage == LATE_ANSWERED) {
		end(l, &l->why);
	} else if (!ok) {
		err_set(&err, ERR_IO, "the MQTT server did not take it");
		end(l, &err);
	} else if (l->timeout_ms == 0) {
		end(l, NULL);
	} else {
		l->stage = LATE_AWAY;
		l->timer.fire = on_timeout;
		loop_after(
		    gateway_host_of(l->g)->loop, &l->timer, l->timeout_ms);
		gateway_job_left(l->g, l->job);
	}
}

void
gateway_late_put(struct gateway_late *l, struct str topic, struct str data)
{
	struct err err;

	l->stage = LATE_PUT;
	l->why.code = 0;
	if (gateway_put(l->g, topic, data, on_put, l, &err) != 0)
		end(l, &err);
}

void
gateway_late_fail(struct gateway_late *l, const struct err *err)
{
	end(l, err);
}

void
gateway_late_answer(struct gateway_late *l, const struct err *err)
{
	if (l->stage == LATE_AWAY) {
		end(l, err);
	} else if (l->stage == LATE_PUT) {
		l->stage = LATE_ANSWERED;
		if (err != NULL)
			l->why = *err;
	}
}

void
gateway_late_cancel(struct gateway_late *l)
{
	loop_cancel(gateway_host_of(l->g)->loop, &l->timer);
	l->stage = LATE_IDLE;
	if (l->over != NULL)
		l->over(l);
}
