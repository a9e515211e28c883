/*
 * edge/exchange.c - see exchange.h.
 */
#include "edge/exchange.h"

#include "base/base.h"
#include "base/loop.h"

struct asking {
	const struct exchange *x;
	struct loop *loop;
	struct mqtt_client *client;
	struct loop_timer timer;
	struct buf *answer;
	struct err *err;
	unsigned said;
	bool ended;
	int rc;
};

static void
end(struct asking *q, int rc)
{
	q->ended = true;
	q->rc = rc;
	loop_stop(q->loop);
}

static void ask(struct asking *q);

static void
on_said(void *ctx, uint8_t reason)
{
	struct asking *q = ctx;

	if (reason >= 0x80)
		end(q,
		    err_set(q->err, ERR_DENIED, "%s was refused: %s",
			q->x->topic, mqtt_reason_text(reason)));
	else
		ask(q);
}

static void
ask(struct asking *q)
{
	const struct exchange *x = q->x;

	if (x->topic == NULL || q->said == MAX_OF(x->times, 1u))
		return;
	q->said++;
	if (mqtt_client_publish(q->client, str_of(x->topic), x->payload, x->qos,
		false, on_said, q) != 0)
		end(q,
		    err_set(q->err, ERR_IO, "%s could not be sent", x->topic));
}

static void
on_up(void *owner, bool session_present)
{
	struct asking *q = owner;

	(void)session_present;
	if (q->x->filter == NULL)
		end(q, 0);
}

static void
on_subscribed(void *owner)
{
	struct asking *q = owner;

	q->said = 0;
	ask(q);
}

static void
on_down(void *owner, const struct err *why)
{
	struct asking *q = owner;

	*q->err = *why;
	end(q, why->code);
}

static void
on_heard(void *ctx, const struct mqtt_client_msg *m)
{
	struct asking *q = ctx;

	if (q->ended)
		return; /* others have asked for the same, too */
	if (m->topic.ptr == NULL) {
		end(q,
		    err_set(q->err, ERR_DENIED,
			"the subscription to %s was refused", q->x->filter));
		return;
	}
	if (q->x->is_answer != NULL && !q->x->is_answer(m->topic, m->payload))
		return;
	if (q->answer != NULL)
		buf_add_str(q->answer, m->payload);
	end(q, 0);
}

static void
on_timer(struct loop_timer *t)
{
	struct asking *q = container_of(t, struct asking, timer);

	end(q,
	    err_set(q->err, ERR_AGAIN, "no answer in %d s",
		(int)(q->x->timeout_ms / 1000)));
}

int
exchange(const struct exchange *x, struct buf *answer, struct err *err)
{
	static const struct mqtt_client_events events = {
		.up = on_up, .down = on_down, .subscribed = on_subscribed
	};
	struct mqtt_client_conf conf = *x->conf;
	struct asking q = { .x = x,
		.loop = loop_new(),
		.timer.fire = on_timer,
		.answer = answer,
		.err = err };
	int rc;

	conf.keep_session = false;
	rc = mqtt_client_new(q.loop, &conf, &events, &q, &q.client, err);
	if (rc == 0 && x->filter != NULL)
		rc = mqtt_client_subscribe(
		    q.client, str_of(x->filter), 1, on_heard, &q);
	if (rc == 0) {
		loop_after(q.loop, &q.timer, x->timeout_ms);
		mqtt_client_start(q.client);
		loop_run(q.loop);
		loop_cancel(q.loop, &q.timer);
		rc = q.rc;
	}
	mqtt_client_free(q.client);
	loop_free(q.loop);
	return rc;
}
