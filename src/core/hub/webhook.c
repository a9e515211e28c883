/*
 * core/hub/webhook.c - what rules and their scripts ask over HTTP.
 *
 * One client for all of them, with limits: connections at once and to one host,
 * time, and size of the answer. Rules may ask the hosts that handlers may
 * (hub.handler.allowHosts: any, when there is no list), scripts only those of
 * hub.script.allowHosts (none, when there is no list). No redirection leads to
 * another host. Nothing here waits: the hub's loop goes on.
 */
#include "core/hub/private.h"

#include "base/mem.h"
#include "codec/json.h"
#include "net/http/client.h"

#include <stdlib.h>
#include <string.h>

/* --- of rules ------------------------------------------------------------ */

struct asked {
	struct str url, api, method, headers, query, data, insecure, code;
};

static const struct hub_text asked_texts[] = {
	{ "url", offsetof(struct asked, url) },
	{ "server", offsetof(struct asked, url) },
	{ "api", offsetof(struct asked, api) },
	{ "method", offsetof(struct asked, method) },
	{ "headers", offsetof(struct asked, headers) },
	{ "queryParameters", offsetof(struct asked, query) },
	{ "data", offsetof(struct asked, data) },
	{ "insecure", offsetof(struct asked, insecure) },
	{ "responseCode", offsetof(struct asked, code) },
};

static int
check_host(struct str allowed, bool none_is_any, struct str host,
    const char *setting, struct err *err)
{
	if (str_trim(allowed).len == 0 ? none_is_any
				       : http_host_in(allowed, host))
		return 0;
	return err_set(err, ERR_DENIED, "the host " STR_FMT " is not among %s",
	    (int)MIN_OF(host.len, (size_t)100), host.ptr, setting);
}

static int
make_url(struct hub_hook *k, const struct asked *w, const char **ret,
    struct err *err)
{
	struct arena *a = &k->arena;
	struct buf url = { 0 };
	struct str host;
	int rc = 0;

	buf_add_str(&url, w->url);
	buf_add_str(&url, w->api);
	if (w->query.len > 0)
		rc = http_add_query(a, &url, w->query, err);
	if (rc == 0)
		rc = http_check_url(
		    a, url.ptr != NULL ? buf_str(&url) : STR(""), &host, err);
	if (rc == 0)
		rc = check_host(k->hub->conf.handler.allow_hosts, true, host,
		    "hub.handler.allowHosts", err);
	if (rc == 0)
		*ret = arena_z(a, buf_str(&url));
	buf_free(&url);
	return rc;
}

static int
make_headers(struct hub_hook *k, const struct asked *w, struct http_request *r,
    struct err *err)
{
	int rc = 0;

	if (w->headers.len > 0)
		rc = http_add_headers(&k->arena, &r->headers, w->headers, err);
	if (rc == 0 && r->body.ptr != NULL &&
	    !http_has_header(&r->headers, STR("Content-Type:")))
		http_add_header(&k->arena, &r->headers,
		    STR("Content-Type: application/json"));
	return rc;
}

static void
on_hook(void *ctx, const struct http_answer *a)
{
	struct hub_hook *k = ctx;
	bool good = k->code != 0 ? a->status == k->code
				 : a->status >= 200 && a->status <= 299;

	k->fetch = NULL;
	k->err = (struct err){ 0 };
	k->answer = a->body;
	if (a->status == 0)
		(void)err_set(&k->err, ERR_IO, "webhook: %s", a->why);
	else if (!good)
		(void)err_set(&k->err, ERR_PROTO,
		    "webhook: the server answered HTTP %d", a->status);
	if (k->err.code != 0)
		counter_add(&k->hub->counters.webhooks_failed, 1);
	k->done(k);
}

int
hub_hook_start(struct hub_hook *k, struct hub *h, struct str config,
    const char *method, struct str body, struct err *err)
{
	struct arena *a = &k->arena;
	struct asked w = { 0 };
	struct http_request r = { .follow = HTTP_SAME_HOST, .whole = true };
	int rc = 0;

	k->hub = h;
	k->code = 0;
	if (!hub_read_texts(a, config, asked_texts, COUNT_OF(asked_texts), &w))
		rc = err_set(err, ERR_PARAM, "is no object");
	if (rc == 0)
		rc = http_method(w.method.len > 0 ? w.method : str_of(method),
		    &r.method, err);
	if (rc == 0 && w.code.len > 0 && !str_to_i64(w.code, &k->code))
		rc = err_set(err, ERR_PARAM, "responseCode: is no number");
	if (rc == 0)
		rc = make_url(k, &w, &r.url, err);
	if (rc == 0 && strcmp(r.method, "GET") != 0 &&
	    strcmp(r.method, "HEAD") != 0)
		r.body = body.ptr != NULL ? arena_str(a, body) : w.data;
	if (rc == 0)
		rc = make_headers(k, &w, &r, err);
	if (rc != 0)
		return err_wrap(err, "webhook");
	if (h->conf.handler.ca_file.len > 0)
		r.ca_file = arena_z(a, h->conf.handler.ca_file);
	r.insecure = hub_truth(w.insecure);
	r.timeout_ms = h->conf.webhook_ms;
	r.size_max = (size_t)h->conf.webhook_size;
	counter_add(&h->counters.webhooks, 1);
	k->fetch = http_fetch_start(h->http, &r, on_hook, k);
	return 0;
}

void
hub_hook_end(struct hub_hook *k)
{
	http_fetch_cancel(k->fetch);
	k->fetch = NULL;
	arena_fini(&k->arena);
}

/* --- of scripts ---------------------------------------------------------- */

/* One that a script waits for. */
struct script_fetch {
	struct list link; /* in hub->script_fetches */
	struct script_http *http;
	struct http_fetch *fetch;
	struct arena arena;
};

static void
free_fetch(struct script_fetch *s)
{
	list_del(&s->link);
	arena_fini(&s->arena);
	free(s);
}

static void
on_script_answer(void *ctx, const struct http_answer *a)
{
	struct script_fetch *s = ctx;

	if (a->status == 0)
		script_http_refuse(s->http, a->why);
	else if (!str_is_utf8(a->body))
		script_http_refuse(s->http, "the answer is no UTF-8 text");
	else
		script_http_answer(s->http, a->status, a->headers, a->body);
	free_fetch(s);
}

int
hub_script_http(void *owner, struct script_http *sh, struct err *err)
{
	struct hub *h = owner;
	struct script_fetch *s = mem_new(struct script_fetch);
	struct http_request r = { .follow = HTTP_SAME_HOST,
		.whole = true,
		.insecure = sh->insecure,
		.timeout_ms = sh->timeout_ms,
		.size_max = (size_t)sh->size_max };
	struct str host;
	int rc;

	list_init(&s->link);
	s->http = sh;
	rc = http_method(sh->method, &r.method, err);
	if (rc == 0)
		rc = http_check_url(&s->arena, sh->url, &host, err);
	if (rc == 0)
		rc = check_host(h->conf.script.allow_hosts, false, host,
		    "hub.script.allowHosts", err);
	if (rc == 0)
		rc = http_add_headers(&s->arena, &r.headers, sh->headers, err);
	if (rc != 0) {
		free_fetch(s);
		return rc;
	}
	if (sh->body.len > 0)
		r.body = sh->body; /* is ours until it is answered */
	if (h->conf.handler.ca_file.len > 0)
		r.ca_file = arena_z(&s->arena, h->conf.handler.ca_file);
	r.url = arena_z(&s->arena, sh->url);
	list_add(&h->script_fetches, &s->link);
	s->fetch = http_fetch_start(h->http, &r, on_script_answer, s);
	return 0;
}

void
hub_script_http_end(struct hub *h)
{
	LIST_EACH (s, &h->script_fetches, struct script_fetch, link) {
		http_fetch_cancel(s->fetch);
		script_http_refuse(s->http, "the platform ends");
		free_fetch(s);
	}
}
