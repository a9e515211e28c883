/*
 * edge/mapper_http.c - see mapper_http.h.
 *
 *	WAITING --> FETCHING ----> SENDING --> done
 *	   |    (carry from a URL)    ^
 *	   '--------------------------'
 */
#include "edge/mapper_http.h"

#include "base/base.h"
#include "base/list.h"
#include "base/mem.h"
#include "edge/fetch.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ACTIVE_MAX 2
#define ANSWER_MAX ((size_t)64 << 10)
#define TIMEOUT_MS 60000 /* of a request without a file */

enum state { WAITING, FETCHING, SENDING };

struct ask {
	struct list link;
	struct mapper_http *http;
	enum state state;
	uint64_t tag;
	char *method;
	struct str url, type, body; /* owned */
	struct str from;            /* of a file: URL or path; STR_NULL */
	char *temp;                 /* it was fetched to there */
	struct fetch *fetch;
};

struct mapper_http {
	struct loop *loop;
	char *folder;
	struct fetch_conf conf;
	void (*done)(void *ctx, uint64_t tag, int status, struct str body);
	void *ctx;
	struct list asks;
	size_t active;
	struct loop_timer soon; /* starts what waits, off the caller's stack */
};

static void
ask_free(struct ask *a)
{
	list_del(&a->link);
	fetch_free(a->fetch);
	if (a->temp != NULL)
		(void)unlink(a->temp);
	free(a->temp);
	free(a->method);
	str_free(a->url);
	str_free(a->type);
	str_free(a->body);
	str_free(a->from);
	free(a);
}

static void
pump_soon(struct mapper_http *h)
{
	loop_after(h->loop, &h->soon, 0);
}

static void
finish(struct ask *a, int status, struct str body)
{
	struct mapper_http *h = a->http;
	uint64_t tag = a->tag;

	h->active--;
	pump_soon(h);
	h->done(h->ctx, tag, status, body);
	ask_free(a);
}

static void
on_sent(void *ctx, const struct fetch_end *end)
{
	struct ask *a = ctx;

	a->fetch = NULL;
	finish(a, end->status,
	    end->status == 0            ? str_of(end->err.text)
		: end->body.ptr == NULL ? STR("")
					: end->body);
}

static bool
is_url(struct str s)
{
	return s.len > 0 && s.ptr[0] != '/';
}

static int
send_it(struct ask *a, struct err *err)
{
	char *path = a->temp != NULL ? strdup(a->temp)
	    : a->from.ptr != NULL    ? str_dupz(a->from)
				     : NULL;
	struct fetch_request r = {
		.url = a->url,
		.method = a->method,
		.path = path,
		.put = path != NULL,
		.body = a->body,
		.type = a->type,
		.accept = STR("application/json"),
		.answer_max = ANSWER_MAX,
		.timeout_ms = path == NULL ? TIMEOUT_MS : 0,
		.conf = &a->http->conf,
	};
	int rc;

	a->state = SENDING;
	rc = fetch_start(a->http->loop, &r, on_sent, a, &a->fetch, err);
	free(path);
	return rc;
}

static void
on_fetched(void *ctx, const struct fetch_end *end)
{
	struct ask *a = ctx;
	struct err err;

	a->fetch = NULL;
	if (end->err.code != 0)
		finish(a, end->status, str_of(end->err.text));
	else if (send_it(a, &err) != 0)
		finish(a, 0, str_of(err.text));
}

static int
fetch_it(struct ask *a, struct err *err)
{
	struct fetch_request r = { .url = a->from, .conf = &a->http->conf };
	int fd;

	a->state = FETCHING;
	a->temp = mem_printf("%s/mapper-XXXXXX", a->http->folder);
	fd = mkstemp(a->temp);
	if (fd < 0) {
		err_errno(err, "create %s", a->temp);
		free(a->temp);
		a->temp = NULL;
		return err->code;
	}
	close(fd);
	r.path = a->temp;
	return fetch_start(a->http->loop, &r, on_fetched, a, &a->fetch, err);
}

static void
on_soon(struct loop_timer *t)
{
	struct mapper_http *h = container_of(t, struct mapper_http, soon);

	LIST_EACH (a, &h->asks, struct ask, link) {
		struct err err;

		if (a->state != WAITING)
			continue;
		if (h->active >= ACTIVE_MAX)
			break;
		h->active++;
		if ((is_url(a->from) ? fetch_it : send_it)(a, &err) != 0) {
			finish(a, 0, str_of(err.text));
			break; /* done() may have changed the list */
		}
	}
}

static struct ask *
ask_new(struct mapper_http *h, uint64_t tag, const char *method, struct str url,
    struct str type)
{
	struct ask *a = mem_new(struct ask);

	a->http = h;
	a->tag = tag;
	a->method = str_dupz(str_of(method));
	a->url = str_copy(url);
	a->type = type.ptr == NULL ? STR_NULL : str_copy(type);
	list_add(&h->asks, &a->link);
	pump_soon(h);
	return a;
}

void
mapper_http_ask(struct mapper_http *h, uint64_t tag, const char *method,
    struct str url, struct str type, struct str body)
{
	struct ask *a = ask_new(h, tag, method, url, type);

	a->body = body.ptr == NULL ? STR_NULL : str_copy(body);
}

void
mapper_http_carry(struct mapper_http *h, uint64_t tag, struct str from,
    struct str to, struct str type)
{
	struct ask *a = ask_new(h, tag, "POST", to, type);

	a->from = str_copy(from);
}

struct mapper_http *
mapper_http_new(struct loop *loop, struct str folder,
    const struct fetch_conf *conf,
    void (*done)(void *ctx, uint64_t tag, int status, struct str body),
    void *ctx)
{
	struct mapper_http *h = mem_new(struct mapper_http);

	h->loop = loop;
	h->folder = str_dupz(folder);
	h->conf = *conf;
	h->done = done;
	h->ctx = ctx;
	h->soon.fire = on_soon;
	list_init(&h->asks);
	return h;
}

void
mapper_http_free(struct mapper_http *h)
{
	if (h == NULL)
		return;
	loop_cancel(h->loop, &h->soon);
	LIST_EACH (a, &h->asks, struct ask, link)
		ask_free(a);
	free(h->folder);
	free(h);
}
