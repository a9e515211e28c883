/*
 * edge/c8y_token.c - see c8y_token.h.
 *
 *	       ask            "71,..."
 *	IDLE ------> ASKING ------------> IDLE, with a token
 *	               | 10 s, or the broker is away
 *	               '---------------> IDLE, all who wait are told
 *
 * How long a token is good is counted from its coming, by a clock that is never
 * set: that of a device may be wrong by years.
 */
#include "edge/c8y_token.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/mem.h"
#include "codec/json.h"

#include <stdlib.h>
#include <string.h>

#define WAIT_MS 10000
#define UNSAID_S 60 /* how long one is kept that does not say */
#define MARGIN_S 60
#define LIFE_MAX_S (INT64_C(366) * 86400)

struct c8y_token {
	struct loop *loop;
	struct mqtt_client *client;
	struct buf asks, answers; /* topics */
	struct buf kept;          /* empty: none */
	int64_t good_until;       /* mono, ms */
	bool asking;
	struct loop_timer timer;
	struct list waiting;
};

/* A whole number of seconds, also if it is written as 1.7e9. */
static bool
read_seconds(struct json *j, int64_t *ret)
{
	double d;

	if (!json_real(j, &d) || !(d >= 0 && d < 1e12))
		return false;
	*ret = (int64_t)d;
	return true;
}

int64_t
c8y_token_life(struct str token)
{
	struct str rest = token, key, said;
	struct arena a = { 0 };
	struct buf text = { 0 };
	int64_t from = 0, until = 0;
	bool has_from = false, has_until = false;
	struct json j;

	(void)str_cut(&rest, '.');
	said = str_cut(&rest, '.');
	if (said.len == 0 || !base64_decode(&text, said))
		goto done;
	json_open(&j, buf_str(&text), 0, &a);
	if (json_peek(&j) != JSON_OBJECT || !json_object(&j))
		goto done;
	while (json_member(&j, &key))
		if (str_eqz(key, "iat"))
			has_from = read_seconds(&j, &from);
		else if (str_eqz(key, "exp"))
			has_until = read_seconds(&j, &until);
		else
			json_skip(&j);
	if (json_done(&j, NULL) != 0)
		has_until = false;
done:
	buf_free(&text);
	arena_fini(&a);
	if (!has_until)
		return 0;
	until -= has_from ? from : clock_now() / 1000;
	return MIN_OF(MAX_OF(until, 0), LIFE_MAX_S);
}

static void
forget(struct c8y_token *t)
{
	if (t->kept.len > 0)
		explicit_bzero(t->kept.ptr, t->kept.len);
	buf_clear(&t->kept);
}

static void
tell(struct c8y_token *t, const struct err *why)
{
	struct str token = why == NULL ? buf_str(&t->kept) : STR_NULL;

	struct list now; /* one that asks again waits for another */

	t->asking = false;
	loop_cancel(t->loop, &t->timer);
	list_init(&now);
	list_join(&now, &t->waiting);
	while (!list_empty(&now)) {
		struct c8y_token_ask *a =
		    container_of(now.next, struct c8y_token_ask, link);

		c8y_token_cancel(a);
		a->done(a, token, why);
	}
}

static void
on_timer(struct loop_timer *timer)
{
	struct c8y_token *t = container_of(timer, struct c8y_token, timer);
	struct err err;

	err_set(&err, ERR_CLOSED,
	    "Cumulocity has given the device no token within %d s: is the "
	    "bridge up? (tedge connect c8y --test)",
	    WAIT_MS / 1000);
	tell(t, &err);
}

static void
on_answer(void *ctx, const struct mqtt_client_msg *m)
{
	struct c8y_token *t = ctx;
	struct str token = m->payload;
	int64_t life;

	if (m->topic.ptr == NULL || !str_starts(token, STR("71,")))
		return;
	token = str_trim((struct str){ token.ptr + 3, token.len - 3 });
	if (token.len == 0 || token.len > 8192)
		return;
	for (size_t i = 0; i < token.len; i++)
		if (token.ptr[i] <= ' ' || token.ptr[i] > '~')
			return;
	life = c8y_token_life(token);
	if (life == 0)
		life = UNSAID_S + MARGIN_S;
	forget(t);
	buf_add_str(&t->kept, token);
	t->good_until = clock_mono() + 1000 * MAX_OF(life - MARGIN_S, life / 2);
	tell(t, NULL);
}

struct str
c8y_token_kept(struct c8y_token *t)
{
	if (t->kept.len > 0 && clock_mono() >= t->good_until)
		forget(t);
	return t->kept.len > 0 ? buf_str(&t->kept) : STR_NULL;
}

void
c8y_token_ask(struct c8y_token *t, struct c8y_token_ask *a)
{
	list_add(&t->waiting, &a->link);
	if (t->asking)
		return;
	t->asking = true;
	/* A broker that is away is seen by there being no answer. */
	loop_after(t->loop, &t->timer,
	    mqtt_client_publish(t->client, buf_str(&t->asks), STR(""), 0, false,
		NULL, NULL) == 0
		? WAIT_MS
		: 0);
}

void
c8y_token_cancel(struct c8y_token_ask *a)
{
	if (a->link.next != NULL)
		list_del(&a->link);
}

void
c8y_token_refused(struct c8y_token *t, struct str used)
{
	if (str_eq(used, buf_str(&t->kept)))
		forget(t);
}

struct c8y_token *
c8y_token_new(struct loop *loop, struct mqtt_client *client, struct str prefix)
{
	struct c8y_token *t = mem_new(struct c8y_token);

	t->loop = loop;
	t->client = client;
	t->timer.fire = on_timer;
	list_init(&t->waiting);
	buf_addf(&t->asks, STR_FMT "/s/uat", STR_ARG(prefix));
	buf_addf(&t->answers, STR_FMT "/s/dat", STR_ARG(prefix));
	(void)mqtt_client_subscribe(
	    client, buf_str(&t->answers), 0, on_answer, t);
	return t;
}

void
c8y_token_free(struct c8y_token *t)
{
	if (t == NULL)
		return;
	mqtt_client_unsubscribe(t->client, buf_str(&t->answers));
	loop_cancel(t->loop, &t->timer);
	forget(t);
	buf_free(&t->kept);
	buf_free(&t->asks);
	buf_free(&t->answers);
	free(t);
}
