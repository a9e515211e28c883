/*
 * edge/mapper/c8y_http.c - what does not go over MQTT: large events, files as
 * binaries of events, the list of software.
 *
 * Requests go to the device's own proxy, which shows the cloud who we are. Each
 * piece of work is a job: it needs the id that the cloud has for the device,
 *
 *	LOOKUP --> EVENT [--> BINARY [--> REMOVE]]
 *	       --> SOFTWARE
 *
 * A list of software that does not get through is sent again after RETRY_MS, as
 * long as it takes; so is an event without a file, TRIES_MAX times, where the
 * cloud was away or busy.
 * and one request of it is on its way at a time.
 */
#include "edge/mapper/c8y_private.h"

#include "base/base.h"
#include "base/log.h"
#include "base/mem.h"
#include "edge/c8y_proxy.h"

#include <stdlib.h>
#include <string.h>

#define JOBS_MAX 64
#define RETRY_MS 300000
#define TRIES_MAX 12 /* more of an event */

enum step { LOOKUP, EVENT, BINARY, REMOVE, SOFTWARE, WAITING };

struct job {
	struct list link;
	enum step step;
	bool software;
	unsigned tries;
	uint64_t tag;
	int64_t at_ms; /* WAITING */
	struct str xid;
	struct str body;     /* of the event behind its source, or the list */
	struct str event_id; /* once it is there */
	bool has_file;
	struct c8y_upload up; /* its texts are the job's */
};

static void
job_free(struct c8y *c, struct job *j)
{
	list_del(&j->link);
	c->n_jobs--;
	str_free(j->xid);
	str_free(j->body);
	str_free(j->event_id);
	str_free(j->up.from);
	str_free(j->up.mime);
	str_free(j->up.topic);
	str_free(j->up.id);
	free(j);
}

void
c8y_http_fini(struct c8y *c)
{
	LIST_EACH (j, &c->jobs, struct job, link)
		job_free(c, j);
}

static struct job *
job_new(struct c8y *c, struct str xid)
{
	struct job *j = mem_new(struct job);

	j->xid = str_copy(xid);
	j->step = WAITING;
	list_add(&c->jobs, &j->link);
	c->n_jobs++;
	return j;
}

static void
ask(struct c8y *c, struct job *j, enum step step, const char *method,
    struct str url, struct str body)
{
	j->step = step;
	j->tag = ++c->next_tag;
	c->host.http(c->host.owner, j->tag, method, url,
	    body.ptr == NULL ? STR_NULL : STR("application/json"), body);
}

/* --- ends ---------------------------------------------------------------- */

static void
tell_end(struct c8y *c, struct job *j, struct str failure, struct str result)
{
	struct c8y_entity *e = c8y_by_xid(c, j->xid);

	if (j->up.topic.len == 0 || e == NULL)
		return;
	if (failure.ptr != NULL)
		c8y_failed(c, e, j->up.id, j->up.fragment, failure);
	else
		c8y_successful(c, e, j->up.id, j->up.fragment, result, false);
	c8y_clear_command(c, j->up.topic);
}

/* It may be another time: an event is not lost for that. */
static bool
may_try_again(struct job *j, int status)
{
	return !j->has_file &&
	    (status == 0 || status == 429 || status >= 500) &&
	    j->tries++ < TRIES_MAX;
}

static void
fail(
    struct c8y *c, struct job *j, const char *what, int status, struct str body)
{
	struct arena a = { 0 };
	struct str why = status == 0
	    ? arena_printf(&a, "%s: " STR_FMT, what, STR_ARG(body))
	    : arena_printf(&a, "%s: the answer was %d", what, status);

	if (j->software || may_try_again(j, status)) {
		log_warn(STR_FMT "; trying again in %d s", STR_ARG(why),
		    RETRY_MS / 1000);
		j->step = WAITING;
		j->tag = 0;
		j->at_ms = c->host.mono_ms(c->host.owner) + RETRY_MS;
		c->later = true;
		arena_fini(&a);
		return;
	}
	tell_end(c, j, why, STR_NULL);
	if (j->up.topic.len == 0)
		c8y_error(c, STR_FMT, STR_ARG(why));
	job_free(c, j);
	arena_fini(&a);
}

/* --- steps --------------------------------------------------------------- */

static void
go_on(struct c8y *c, struct job *j)
{
	struct c8y_entity *e = c8y_by_xid(c, j->xid);
	struct arena a = { 0 };
	struct buf b = { 0 };
	struct str root = c8y_proxy_root(&c->cloud, &a);

	if (c->host.http == NULL || (j->has_file && c->host.carry == NULL)) {
		fail(c, j, "no way to reach the cloud by HTTP", 0, STR(""));
	} else if (e == NULL) {
		job_free(c, j);
	} else if (e->internal.ptr == NULL) {
		ask(c, j, LOOKUP, "GET",
		    arena_printf(&a,
			STR_FMT "/identity/externalIds/c8y_Serial/" STR_FMT,
			STR_ARG(root), STR_ARG(e->xid)),
		    STR_NULL);
	} else if (j->software) {
		ask(c, j, SOFTWARE, "PUT",
		    arena_printf(&a,
			STR_FMT "/inventory/managedObjects/" STR_FMT,
			STR_ARG(root), STR_ARG(e->internal)),
		    j->body);
	} else {
		buf_addz(&b, "{\"source\":{\"id\":");
		json_quote(&b, e->internal);
		buf_addz(&b, "},");
		buf_add_str(&b, j->body);
		ask(c, j, EVENT, "POST",
		    arena_printf(&a, STR_FMT "/event/events", STR_ARG(root)),
		    buf_str(&b));
	}
	buf_free(&b);
	arena_fini(&a);
}

/* {"managedObject":{"id":"..."}} or {"id":"..."}: the id. */
static struct str
id_in(struct str body, bool managed, struct arena *a)
{
	struct str key, id = STR_NULL;
	struct json j;

	json_open(&j, body, 0, a);
	if (json_peek(&j) != JSON_OBJECT || !json_object(&j))
		return STR_NULL;
	while (json_member(&j, &key))
		if (managed && str_eqz(key, "managedObject") &&
		    json_peek(&j) == JSON_OBJECT) {
			(void)json_object(&j);
			while (json_member(&j, &key))
				if (str_eqz(key, "id") &&
				    json_peek(&j) == JSON_STRING)
					(void)json_str(&j, &id);
				else
					json_skip(&j);
		} else if (!managed && str_eqz(key, "id") &&
		    json_peek(&j) == JSON_STRING) {
			(void)json_str(&j, &id);
		} else {
			json_skip(&j);
		}
	return json_done(&j, NULL) == 0 && id.len > 0 ? id : STR_NULL;
}

static void
carry(struct c8y *c, struct job *j)
{
	struct arena a = { 0 };
	struct str to =
	    arena_printf(&a, STR_FMT "/event/events/" STR_FMT "/binaries",
		STR_ARG(c8y_proxy_root(&c->cloud, &a)), STR_ARG(j->event_id));

	j->step = BINARY;
	j->tag = ++c->next_tag;
	c->host.carry(c->host.owner, j->tag, j->up.from, to, j->up.mime);
	arena_fini(&a);
}

static void
carried(struct c8y *c, struct job *j)
{
	struct arena a = { 0 };

	tell_end(c, j, STR_NULL,
	    arena_printf(&a,
		"https://" STR_FMT "/event/events/" STR_FMT "/binaries",
		STR_ARG((c->url.ptr == NULL ? STR("") : c->url)),
		STR_ARG(j->event_id)));
	if (j->up.remove)
		ask(c, j, REMOVE, "DELETE", j->up.from, STR_NULL);
	else
		job_free(c, j);
	arena_fini(&a);
}

void
c8y_http_done(struct c8y *c, uint64_t tag, int status, struct str body)
{
	bool good = status >= 200 && status < 300;
	struct job *j = NULL;
	struct c8y_entity *e;
	struct arena a = { 0 };
	struct str id;

	LIST_EACH (i, &c->jobs, struct job, link)
		if (i->tag == tag)
			j = i;
	if (j == NULL)
		return;
	e = c8y_by_xid(c, j->xid);
	switch (j->step) {
	case LOOKUP:
		id = good ? id_in(body, true, &a) : STR_NULL;
		if (id.ptr == NULL || e == NULL) {
			fail(
			    c, j, "the device's id in the cloud", status, body);
		} else {
			if (e->internal.ptr == NULL)
				e->internal = str_copy(id);
			go_on(c, j);
		}
		break;
	case EVENT:
		id = good ? id_in(body, false, &a) : STR_NULL;
		if (!good || (j->has_file && id.ptr == NULL)) {
			fail(c, j, "making an event", status, body);
		} else if (j->has_file) {
			j->event_id = str_copy(id);
			carry(c, j);
		} else {
			job_free(c, j);
		}
		break;
	case BINARY:
		if (good)
			carried(c, j);
		else
			fail(c, j, "uploading the file", status, body);
		break;
	case SOFTWARE:
		if (good)
			job_free(c, j);
		else
			fail(c, j, "the list of software", status, body);
		break;
	default:
		job_free(c, j); /* REMOVE: whatever it was */
	}
	arena_fini(&a);
}

/* --- what is asked for --------------------------------------------------- */

static bool
has_room(struct c8y *c)
{
	if (c->n_jobs < JOBS_MAX)
		return true;
	c8y_error(
	    c, "too many requests to the cloud are waiting: %d", JOBS_MAX);
	return false;
}

void
c8y_http_event(struct c8y *c, struct str xid, struct str payload)
{
	struct str key, value;
	struct arena a = { 0 };
	struct buf b = { 0 };
	struct json in;
	struct job *j;

	if (payload.len == 0 || c8y_by_xid(c, xid) == NULL || !has_room(c))
		return;
	json_open(&in, payload, 0, &a);
	if (json_object(&in))
		while (json_member(&in, &key) && json_raw(&in, &value))
			if (!str_eqz(key, "externalSource")) {
				if (b.len > 0)
					buf_addc(&b, ',');
				json_quote(&b, key);
				buf_addc(&b, ':');
				buf_add_str(&b, value);
			}
	if (json_done(&in, NULL) == 0) {
		buf_addc(&b, '}');
		j = job_new(c, xid);
		j->body = str_copy(buf_str(&b));
		go_on(c, j);
	} else {
		c8y_error(
		    c, "Invalid JSON on topic " STR_FMT, STR_ARG(c->now_on));
	}
	buf_free(&b);
	arena_fini(&a);
}

void
c8y_http_software(struct c8y *c, struct c8y_entity *e, struct str body)
{
	struct job *j = NULL;

	/* One that waits is out of date. */
	LIST_EACH (i, &c->jobs, struct job, link)
		if (i->software && i->step == WAITING && str_eq(i->xid, e->xid))
			j = i;
	if (j == NULL) {
		if (!has_room(c))
			return;
		j = job_new(c, e->xid);
		j->software = true;
	}
	str_free(j->body);
	j->body = str_copy(body);
	go_on(c, j);
}

void
c8y_http_upload(struct c8y *c, const struct c8y_upload *u)
{
	struct buf b = { 0 };
	struct job *j;

	LIST_EACH (i, &c->jobs, struct job, link)
		if (u->topic.len > 0 && str_eq(i->up.topic, u->topic))
			return; /* it is on its way */
	if (!has_room(c))
		return;
	j = job_new(c, u->xid);
	j->has_file = true;
	j->up = *u;
	j->up.from = str_copy(u->from.ptr == NULL ? STR("") : u->from);
	j->up.mime = str_copy(u->mime);
	j->up.topic = u->topic.ptr == NULL ? STR_NULL : str_copy(u->topic);
	j->up.id = u->id.ptr == NULL ? STR_NULL : str_copy(u->id);
	buf_addz(&b, "\"type\":");
	json_quote(&b, u->type);
	buf_addz(&b, ",\"text\":");
	json_quote(&b, u->text);
	buf_addz(&b, ",\"time\":\"");
	c8y_add_now(c, &b, true);
	buf_addz(&b, "\"}");
	j->body = str_copy(buf_str(&b));
	buf_free(&b);
	go_on(c, j);
}

void
c8y_http_due(struct c8y *c, int64_t now, int64_t *next)
{
	LIST_EACH (j, &c->jobs, struct job, link) {
		if (j->step != WAITING)
			continue;
		if (j->at_ms <= now)
			go_on(c, j);
		else if (*next < 0 || j->at_ms < *next)
			*next = j->at_ms;
	}
}
