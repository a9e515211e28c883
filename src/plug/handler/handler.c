/*
 * plug/handler/handler.c - see handler.h for the promises; this is how they are
 * kept.
 *
 *            a message is there, the rate allows it
 *    IDLE ------------------------------------------> SENDING
 *     ^ ^                                              |   |
 *     | |     sent, refused, or tried often enough     |   |
 *     | +----------------------------------------------+   | may go better
 *     |                                                    | later
 *     +------------------ RESTING <------------------------+
 *        the wait is over
 *
 * The rate makes IDLE rest, too. What holds in each:
 *
 *    IDLE     no timer; the type does nothing; step() runs when one is posted
 *    SENDING  the type has the first job of the queue; `timer` is its deadline
 *    RESTING  `timer` is the wait
 *
 * A job is in `queue` from handler_post() to its answer, so a message is never
 * overtaken. Callbacks of the owner are made as the last thing, or `gone` tells
 * whether they have closed the handler.
 */
#include "plug/handler/handler.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/secret.h"
#include "codec/entity_json.h"
#include "net/http/client.h"
#include "plug/handler/ops.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Every type there is. */
#define TYPES(X) X(backup) X(email) X(mqtt) X(noop) X(telegram) X(webhook)
#define TYPE_OPS(name) &handler_##name,
#define TYPE_NAME(name) #name,

static const struct handler_ops *const types[] = { TYPES(TYPE_OPS) };
static const char *const type_names[] = { TYPES(TYPE_NAME) NULL };

enum stage { IDLE, SENDING, RESTING };

struct job {
	struct list link;
	struct handler_job pub;
	handler_done *done;
	void *ctx;
	int64_t posted_at; /* monotonic */
};

struct handler {
	const struct handler_ops *ops;
	const struct handler_host *host; /* borrowed */
	void *own;                       /* the type's */

	enum stage stage;
	struct list queue; /* of struct job */
	struct loop_timer timer;
	struct loop_defer step, tell;
	int64_t free_at; /* monotonic; by the rate, sending is free again */

	struct handler_state state;
	char down[240]; /* why the type said the peer is away; "": it has not */
	struct secrets secrets;
	bool closing;
	bool *gone; /* set when the handler is freed */
};

/* --- sentences ----------------------------------------------------------- */

void
handler_secret(struct handler *h, struct str secret)
{
	secrets_add(&h->secrets, secret);
}

/* Every sentence that leaves this file goes through here. */
static void
scrub(const struct handler *h, const char *text, char *out, size_t size)
{
	secrets_scrub(&h->secrets, text, out, size);
}

static int
scrub_err(const struct handler *h, struct err *err)
{
	struct err clean = { .code = err->code };

	scrub(h, err->text, clean.text, sizeof(clean.text));
	*err = clean;
	return err->code;
}

static void
set_state(struct handler *h, enum handler_status status, const char *text)
{
	char clean[sizeof(h->state.text)];

	scrub(h, text, clean, sizeof(clean));
	if (h->state.status == status && strcmp(h->state.text, clean) == 0)
		return;
	h->state.status = status;
	h->state.since_ms = clock_now();
	memcpy(h->state.text, clean, sizeof(clean));
	if (h->host->changed != NULL)
		loop_defer(h->host->loop, &h->tell);
}

void
handler_report(struct handler *h, enum handler_status status, const char *text)
{
	scrub(h, status == HANDLER_DOWN ? text : "", h->down,
	    sizeof(h->down)); /* before anything is cut */
	set_state(h, status, text);
}

static void
on_tell(struct loop_defer *d)
{
	struct handler *h = container_of(d, struct handler, tell);

	h->host->changed(h->host->ctx, h);
}

/* --- what may be done ---------------------------------------------------- */

const struct handler_host *
handler_host_of(const struct handler *h)
{
	return h->host;
}

int
handler_check_host(const struct handler *h, struct str host, struct err *err)
{
	struct str list = h->host->settings->allow_hosts;

	if (str_trim(list).len == 0 || http_host_in(list, host))
		return 0;
	return err_set(err, ERR_DENIED,
	    "the host " STR_FMT " is not among hub.handler.allowHosts",
	    (int)MIN_OF(host.len, 100), host.ptr);
}

/* --- the queue ----------------------------------------------------------- */

static struct job *
first_job(struct handler *h)
{
	return container_of(h->queue.next, struct job, link);
}

static void
free_job(struct job *j)
{
	arena_fini(&j->pub.arena);
	free(j);
}

/* Takes the job out and answers it; `h` may be gone afterwards. */
static void
answer(struct handler *h, struct job *j, int code, const char *text)
{
	char clean[240];
	struct handler_result r = { .code = code,
		.text = clean,
		.took_ms = clock_mono() - j->posted_at,
		.attempts = j->pub.attempts };

	list_del(&j->link);
	h->state.waiting--;
	if (code == 0)
		h->state.sent++;
	else
		h->state.failed++;
	scrub(h, text, clean, sizeof(clean));
	if (j->done != NULL)
		j->done(j->ctx, &r);
	free_job(j);
}

static void
rest(struct handler *h, int64_t ms)
{
	h->stage = RESTING;
	loop_after(h->host->loop, &h->timer, ms);
}

/* How long the rate wants us to wait; 0: it is counted as sent. A minute's
 * worth may be sent at once. */
static int64_t
take_rate(struct handler *h)
{
	int64_t rate = h->host->settings->rate, now = clock_mono(), each;

	if (rate <= 0)
		return 0;
	each = MAX_OF(60000 / rate, 1);
	if (h->free_at - now > 60000 - each)
		return h->free_at - now - (60000 - each);
	h->free_at = MAX_OF(h->free_at, now) + each;
	return 0;
}

static void
on_step(struct loop_defer *d)
{
	struct handler *h = container_of(d, struct handler, step);
	struct job *j;
	int64_t wait;

	if (h->stage != IDLE || list_empty(&h->queue))
		return;
	j = first_job(h);
	wait = j->pub.attempts == 0 ? take_rate(h) : 0;
	if (wait > 0) {
		rest(h, wait);
		return;
	}
	h->stage = SENDING;
	j->pub.attempts++;
	if (!h->ops->patient)
		loop_after(
		    h->host->loop, &h->timer, h->host->settings->timeout);
	h->ops->send(h->own, &j->pub);
}

static int64_t
wait_before(const struct handler *h, uint32_t attempts, int64_t asked)
{
	const struct handler_settings *set = h->host->settings;
	int64_t ms = set->retry_min;

	while (--attempts > 0 && ms < set->retry_max)
		ms *= 2;
	return MIN_OF(MAX_OF(ms, asked), set->retry_max);
}

void
handler_sent(struct handler *h, enum handler_outcome outcome, int code,
    int64_t wait_ms, const char *text)
{
	struct job *j = first_job(h);
	bool gone = false, *outer = h->gone;

	loop_cancel(h->host->loop, &h->timer);
	set_state(h, outcome == HANDLER_SENT ? HANDLER_UP : HANDLER_DOWN,
	    outcome == HANDLER_SENT ? "" : text);
	if (outcome == HANDLER_LATER &&
	    j->pub.attempts <= (uint64_t)h->host->settings->retries) {
		h->state.retried++;
		rest(h, wait_before(h, j->pub.attempts, wait_ms));
		return;
	}
	h->stage = IDLE;
	h->gone = &gone;
	answer(h, j, outcome == HANDLER_SENT ? 0 : code, text);
	if (gone) {
		if (outer != NULL)
			*outer = true;
		return;
	}
	h->gone = outer;
	loop_defer(h->host->loop, &h->step);
}

static void
on_timer(struct loop_timer *t)
{
	struct handler *h = container_of(t, struct handler, timer);
	char text[320];

	if (h->stage == RESTING) {
		h->stage = IDLE;
		loop_defer(h->host->loop, &h->step);
		return;
	}
	if (h->ops->cancel != NULL)
		h->ops->cancel(h->own, &first_job(h)->pub);
	snprintf(text, sizeof(text), "no answer within %" PRId64 " ms%s%s",
	    h->host->settings->timeout, h->down[0] != '\0' ? ": " : "",
	    h->down);
	handler_sent(h, HANDLER_LATER, ERR_IO, 0, text);
}

/* --- posting ------------------------------------------------------------- */

/* Is the parameter for this type, and not disabled? */
static int
check_type(struct handler *h, struct str parameter, struct err *err)
{
	struct arena a = { 0 };
	struct str key, type = STR_NULL, text;
	bool disabled = false;
	struct json j;
	int rc;

	json_open(&j, parameter, 0, &a);
	if (json_object(&j))
		while (json_member(&j, &key)) {
			if (str_eq_nocase(key, STR("type")) &&
			    json_peek(&j) == JSON_STRING)
				json_str(&j, &type);
			else if (str_eq_nocase(key, STR("disabled")) &&
			    json_peek(&j) == JSON_BOOL)
				json_bool(&j, &disabled);
			else if (str_eq_nocase(key, STR("disabled")) &&
			    json_peek(&j) == JSON_STRING && json_str(&j, &text))
				disabled =
				    str_eq_nocase(str_trim(text), STR("true"));
			else
				json_skip(&j);
		}
	rc = json_done(&j, err);
	if (rc != 0)
		rc = err_wrap(err, "parameter");
	else if (disabled)
		rc = err_set(err, ERR_NOT_FOUND, "the parameter is disabled");
	else if (h->ops->parameter != NULL &&
	    !str_eq_nocase(type, str_of(h->ops->parameter)))
		rc = err_set(err, ERR_NOT_FOUND,
		    "the parameter is not of type %s", h->ops->parameter);
	arena_fini(&a);
	return rc;
}

static int
prepare(struct handler *h, struct handler_job *pub,
    const struct handler_message *m, struct err *err)
{
	struct str parameter = arena_str(&pub->arena, m->parameter);
	void *row = NULL;
	int rc;

	pub->variables = m->variables.ptr != NULL
	    ? arena_str(&pub->arena, m->variables)
	    : STR("{}");
	if (!json_valid(pub->variables, 0))
		return err_set(err, ERR_PARAM, "the variables are no JSON");
	if (h->ops->takes != NULL) {
		row = arena_alloc(&pub->arena, h->ops->takes->size);
		rc = record_read(
		    h->ops->takes, &pub->arena, parameter, row, err);
		if (rc != 0)
			return err_wrap(err, "parameter");
	}
	return h->ops->prepare != NULL ? h->ops->prepare(h->own, pub, row, err)
				       : 0;
}

static int
post(struct handler *h, const struct handler_message *m, handler_done *done,
    void *ctx, struct err *err)
{
	const struct handler_settings *set = h->host->settings;
	struct job *j;
	int rc;

	if (h->closing)
		return err_set(err, ERR_CLOSED, "the handler is closed");
	if (m->parameter.len + m->variables.len > (uint64_t)set->max_message)
		return err_set(err, ERR_LIMIT,
		    "the message is over %" PRId64
		    " bytes (hub.handler.maxMessage)",
		    set->max_message);
	rc = check_type(h, m->parameter, err);
	if (rc != 0)
		return rc;
	if (h->state.waiting >= set->queue)
		return err_set(err, ERR_LIMIT,
		    "%" PRIu32 " messages wait already (hub.handler.queue)",
		    h->state.waiting);
	j = mem_new(struct job);
	rc = prepare(h, &j->pub, m, err);
	if (rc != 0) {
		free_job(j);
		return rc;
	}
	j->done = done;
	j->ctx = ctx;
	j->posted_at = clock_mono();
	list_add(&h->queue, &j->link);
	h->state.waiting++;
	h->state.posted++;
	loop_defer(h->host->loop, &h->step);
	return 0;
}

int
handler_post(struct handler *h, const struct handler_message *m,
    handler_done *done, void *ctx, struct err *err)
{
	struct err ignored, *why = err != NULL ? err : &ignored;
	int rc = post(h, m, done, ctx, why);

	if (rc == 0)
		return 0;
	if (rc != ERR_NOT_FOUND)
		h->state.refused++;
	return scrub_err(h, why);
}

/* --- open and close ------------------------------------------------------ */

int
handler_open_ops(const struct handler_ops *ops, struct str spec,
    const struct handler_host *host, struct handler **ret, struct err *err)
{
	struct err ignored, *why = err != NULL ? err : &ignored;
	struct handler *h = mem_new(struct handler);
	struct arena scratch = { 0 };
	void *row = NULL;
	int rc = 0;

	h->ops = ops;
	h->host = host;
	list_init(&h->queue);
	h->timer.fire = on_timer;
	h->step.run = on_step;
	h->tell.run = on_tell;
	h->state.since_ms = clock_now();
	if (ops->spec != NULL) {
		row = arena_alloc(&scratch, ops->spec->size);
		rc = record_read(ops->spec, &scratch,
		    spec.ptr != NULL ? spec : STR("{}"), row, why);
	}
	if (rc == 0 && ops->open != NULL)
		rc = ops->open(h, row, &h->own, why);
	if (rc != 0) {
		err_wrap(why, "%s handler", ops->name);
		scrub_err(h, why);
		loop_undefer(host->loop, &h->tell);
		secrets_fini(&h->secrets);
		free(h);
	} else {
		*ret = h;
	}
	arena_fini(&scratch);
	return rc;
}

static const struct handler_ops *
find(const char *type)
{
	for (size_t i = 0; i < COUNT_OF(types); i++)
		if (str_eq_nocase(str_of(type), str_of(types[i]->name)))
			return types[i];
	return NULL;
}

int
handler_open(const char *type, struct str spec, const struct handler_host *host,
    struct handler **ret, struct err *err)
{
	const struct handler_ops *ops = find(type);

	if (ops == NULL)
		return err_set(
		    err, ERR_PARAM, "there is no handler of type %.60s", type);
	return handler_open_ops(ops, spec, host, ret, err);
}

void
handler_close(struct handler *h)
{
	if (h == NULL || h->closing)
		return;
	h->closing = true;
	loop_cancel(h->host->loop, &h->timer);
	loop_undefer(h->host->loop, &h->step);
	if (h->stage == SENDING && h->ops->cancel != NULL)
		h->ops->cancel(h->own, &first_job(h)->pub);
	h->stage = IDLE;
	while (!list_empty(&h->queue))
		answer(h, first_job(h), ERR_CLOSED, "the handler was closed");
	if (h->ops->close != NULL)
		h->ops->close(h->own);
	loop_undefer(h->host->loop, &h->tell);
	if (h->gone != NULL)
		*h->gone = true;
	secrets_fini(&h->secrets);
	free(h);
}

/* --- what there is ------------------------------------------------------- */

const char *const *
handler_types(void)
{
	return type_names;
}

const struct record *
handler_spec(const char *type)
{
	return find(type) != NULL ? find(type)->spec : NULL;
}

const struct record *
handler_parameter(const char *type)
{
	return find(type) != NULL ? find(type)->takes : NULL;
}

const char *
handler_takes(const char *type)
{
	return find(type) != NULL ? find(type)->parameter : NULL;
}

void
handler_state(const struct handler *h, struct handler_state *ret)
{
	*ret = h->state;
}

const char *
handler_type(const struct handler *h)
{
	return h->ops->name;
}
