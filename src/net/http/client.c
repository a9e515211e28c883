/*
 * net/http/client.c - see client.h. libcurl tells which sockets and what time
 * it waits for; the loop tells when they are there.
 *
 * libcurl is not to be entered from its own callbacks, and a request that is
 * over is told from a deferred call, one at a time: then the owner may free
 * everything from there.
 */
#include "net/http/client.h"

#include "base/base.h"
#include "base/mem.h"
#include "codec/json.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct http_client {
	struct loop *loop;
	CURLM *multi;
	struct loop_timer timer;
	struct loop_defer finish; /* looks for requests that are over */
};

struct http_fetch {
	struct http_client *pool;
	CURL *easy;
	struct curl_slist *headers;
	struct buf body;
	size_t size_max;
	bool whole, too_long;
	enum http_follow follow;
	unsigned hops;
	int64_t timeout_ms;
	struct loop_timer timer;
	http_fetch_done *done;
	void *ctx;
};

#define HOPS_MAX 5

/* A socket of libcurl's. */
struct watch {
	struct loop_io io;
	struct http_client *pool;
};

/* --- the loop ------------------------------------------------------------ */

static void
drive(struct http_client *p, curl_socket_t fd, int what)
{
	int running;

	(void)curl_multi_socket_action(p->multi, fd, what, &running);
	loop_defer(p->loop, &p->finish);
}

static void
on_ready(struct loop_io *io, unsigned what)
{
	struct watch *w = container_of(io, struct watch, io);

	drive(w->pool, io->fd,
	    (what & LOOP_READ ? CURL_CSELECT_IN : 0) |
		(what & LOOP_WRITE ? CURL_CSELECT_OUT : 0));
}

static void
on_timer(struct loop_timer *t)
{
	drive(
	    container_of(t, struct http_client, timer), CURL_SOCKET_TIMEOUT, 0);
}

static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket_ctx)
{
	struct http_client *p = ctx;
	struct watch *w = socket_ctx;
	unsigned events = 0;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (w != NULL) {
			loop_unwatch(p->loop, &w->io);
			loop_free_later(p->loop, w);
			curl_multi_assign(p->multi, fd, NULL);
		}
		return 0;
	}
	if (w == NULL) {
		w = mem_new(struct watch);
		w->pool = p;
		w->io.ready = on_ready;
		w->io.fd = fd;
		curl_multi_assign(p->multi, fd, w);
	}
	if (what != CURL_POLL_OUT)
		events |= LOOP_READ;
	if (what != CURL_POLL_IN)
		events |= LOOP_WRITE;
	loop_watch(p->loop, &w->io, events);
	return 0;
}

static int
on_timeout(CURLM *multi, long ms, void *ctx)
{
	struct http_client *p = ctx;

	(void)multi;
	if (ms < 0)
		loop_cancel(p->loop, &p->timer);
	else
		loop_after(p->loop, &p->timer, ms);
	return 0;
}

/* --- the end of a request ------------------------------------------------ */

static void
free_fetch(struct http_fetch *c)
{
	loop_cancel(c->pool->loop, &c->timer);
	curl_multi_remove_handle(c->pool->multi, c->easy);
	curl_easy_cleanup(c->easy);
	curl_slist_free_all(c->headers);
	buf_free(&c->body);
	free(c);
}

static bool
may_pass(CURLcode code)
{
	switch (code) {
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_TOO_MANY_REDIRECTS:
	case CURLE_OUT_OF_MEMORY:
		return false;
	default:
		return true;
	}
}

/* The headers of the last answer, as JSON. */
static void
add_answered_headers(CURL *easy, struct buf *out)
{
	struct curl_header *h = NULL, *same;
	struct buf value = { 0 };
	struct json_out o;

	json_out_init(&o, out, false);
	json_out_object(&o);
	while ((h = curl_easy_nextheader(easy, CURLH_HEADER, -1, h)) != NULL) {
		char *name;

		if (h->index > 0)
			continue; /* is with the first one */
		buf_addz(&value, h->value);
		for (size_t i = 1; i < h->amount; i++)
			if (curl_easy_header(easy, h->name, i, CURLH_HEADER, -1,
				&same) == CURLHE_OK)
				buf_addf(&value, ", %s", same->value);
		name = str_dupz(str_of(h->name));
		for (char *c = name; *c != '\0'; c++)
			if (*c >= 'A' && *c <= 'Z')
				*c = (char)(*c - 'A' + 'a');
		json_out_key(&o, name);
		json_out_str(&o, value.len > 0 ? buf_str(&value) : STR(""));
		free(name);
		value.len = 0;
	}
	json_out_end_object(&o);
	buf_free(&value);
}

/* Ends the request, then tells: the owner may free everything from there. */
static void
tell(struct http_fetch *f, struct http_answer *a, struct buf *headers)
{
	struct http_fetch told = *f;

	f->body = (struct buf){ 0 };
	free_fetch(f);
	a->body = buf_str(&told.body);
	a->headers =
	    headers != NULL && headers->len > 0 ? buf_str(headers) : STR("{}");
	told.done(told.ctx, a);
	buf_free(&told.body);
}

static bool
same_place(const char *a, const char *b)
{
	static const CURLUPart parts[] = { CURLUPART_SCHEME, CURLUPART_HOST,
		CURLUPART_PORT };
	CURLU *u = curl_url(), *v = curl_url();
	bool same = curl_url_set(u, CURLUPART_URL, a, 0) == CURLUE_OK &&
	    curl_url_set(v, CURLUPART_URL, b, 0) == CURLUE_OK;

	for (size_t i = 0; same && i < COUNT_OF(parts); i++) {
		char *x = NULL, *y = NULL;

		same = curl_url_get(u, parts[i], &x, CURLU_DEFAULT_PORT) ==
			CURLUE_OK &&
		    curl_url_get(v, parts[i], &y, CURLU_DEFAULT_PORT) ==
			CURLUE_OK &&
		    strcasecmp(x, y) == 0;
		curl_free(x);
		curl_free(y);
	}
	curl_url_cleanup(u);
	curl_url_cleanup(v);
	return same;
}

/* A redirection within one host: the request goes on. libcurl would go
 * anywhere. */
static bool
goes_on(struct http_fetch *f, long status)
{
	char *to = NULL, *from = NULL;

	if (f->follow != HTTP_SAME_HOST || status / 100 != 3 ||
	    f->hops >= HOPS_MAX)
		return false;
	curl_easy_getinfo(f->easy, CURLINFO_REDIRECT_URL, &to);
	curl_easy_getinfo(f->easy, CURLINFO_EFFECTIVE_URL, &from);
	if (to == NULL || from == NULL || !same_place(from, to))
		return false;
	f->hops++;
	f->body.len = 0;
	f->too_long = false;
	curl_multi_remove_handle(f->pool->multi, f->easy);
	curl_easy_setopt(f->easy, CURLOPT_URL, to);
	if (status != 307 && status != 308) {
		curl_easy_setopt(f->easy, CURLOPT_CUSTOMREQUEST, NULL);
		curl_easy_setopt(f->easy, CURLOPT_HTTPGET, 1L);
	}
	curl_multi_add_handle(f->pool->multi, f->easy);
	return true;
}

static void
on_finish(struct loop_defer *d)
{
	struct http_client *p = container_of(d, struct http_client, finish);
	struct http_answer a = { .why = "" };
	struct buf headers = { 0 };
	struct http_fetch *f;
	const CURLMsg *m;
	curl_off_t after = 0;
	long status = 0;
	char *owner;
	CURLcode code;
	int more;

	m = curl_multi_info_read(p->multi, &more);
	if (m == NULL || m->msg != CURLMSG_DONE)
		return;
	loop_defer(p->loop, &p->finish); /* there may be more */
	code = m->data.result;
	curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &owner);
	f = (struct http_fetch *)(void *)owner;
	if (code == CURLE_OK) {
		curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
		if (goes_on(f, status))
			return;
		curl_easy_getinfo(f->easy, CURLINFO_RETRY_AFTER, &after);
		a.status = (int)status;
		a.retry_after_ms =
		    after > 0 && after < 86400 ? (int64_t)after * 1000 : 0;
		add_answered_headers(f->easy, &headers);
	} else if (f->too_long) {
		a.why = "the answer is too long";
	} else {
		a.why = curl_easy_strerror(code);
		a.again = may_pass(code);
	}
	tell(f, &a, &headers);
	buf_free(&headers);
}

static void
on_late(struct loop_timer *t)
{
	struct http_fetch *f = container_of(t, struct http_fetch, timer);
	struct http_answer a = { .again = true };
	char why[48];

	snprintf(
	    why, sizeof(why), "no answer within %" PRId64 " ms", f->timeout_ms);
	a.why = why;
	f->body.len = 0;
	tell(f, &a, NULL);
}

bool
http_host(struct arena *a, struct str url, struct str *ret)
{
	CURLU *u = curl_url();
	char *scheme = NULL, *host = NULL;
	bool good;

	good =
	    curl_url_set(u, CURLUPART_URL, arena_z(a, url), 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
	    (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0);
	if (good) {
		struct str text = str_of(host);

		if (str_starts(text, STR("[")) && str_ends(text, STR("]"))) {
			text.ptr++;
			text.len -= 2;
		}
		*ret = arena_str(a, text);
	}
	curl_free(scheme);
	curl_free(host);
	curl_url_cleanup(u);
	return good;
}

bool
http_host_in(struct str list, struct str host)
{
	while (list.ptr != NULL) {
		struct str one = str_trim(str_cut(&list, ','));

		if (one.len > 0 && str_eq_nocase(one, host))
			return true;
		if (!str_starts(one, STR("*.")))
			continue;
		one.ptr++; /* ".example.org" */
		one.len--;
		if (host.len > one.len &&
		    str_eq_nocase(one,
			(struct str){ host.ptr + host.len - one.len, one.len }))
			return true;
	}
	return false;
}

/* --- clients and requests --------------------------------------------------
 */

struct http_client *
http_client_new(struct loop *loop, const struct http_client_limits *limits)
{
	struct http_client *p = mem_new(struct http_client);

	p->loop = loop;
	p->timer.fire = on_timer;
	p->finish.run = on_finish;
	p->multi = curl_multi_init();
	curl_multi_setopt(p->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(p->multi, CURLMOPT_SOCKETDATA, p);
	curl_multi_setopt(p->multi, CURLMOPT_TIMERFUNCTION, on_timeout);
	curl_multi_setopt(p->multi, CURLMOPT_TIMERDATA, p);
	curl_multi_setopt(p->multi, CURLMOPT_MAXCONNECTS, 4L);
	if (limits != NULL) {
		curl_multi_setopt(
		    p->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, limits->at_once);
		curl_multi_setopt(
		    p->multi, CURLMOPT_MAX_HOST_CONNECTIONS, limits->per_host);
	}
	return p;
}

void
http_client_free(struct http_client *p)
{
	if (p == NULL)
		return;
	curl_multi_cleanup(p->multi);
	loop_cancel(p->loop, &p->timer);
	loop_undefer(p->loop, &p->finish);
	free(p);
}

static size_t
on_body(char *bytes, size_t size, size_t n, void *ctx)
{
	struct http_fetch *c = ctx;
	size_t room = c->size_max - c->body.len;

	if (c->whole && size * n > room) {
		c->too_long = true;
		return 0; /* which ends it */
	}
	buf_add(&c->body, bytes, MIN_OF(size * n, room));
	return size * n;
}

static void
set_method(CURL *easy, const struct http_request *r)
{
	bool get = strcmp(r->method, "GET") == 0;

	if (r->body.ptr != NULL) {
		curl_easy_setopt(
		    easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.len);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, r->body.ptr);
	} else if (strcmp(r->method, "HEAD") == 0) {
		curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	} else if (strcmp(r->method, "POST") == 0) {
		curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, 0L);
		curl_easy_setopt(easy, CURLOPT_POSTFIELDS, "");
	} else {
		curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
	}
	/* a POST becomes a GET where a redirection says so; only what libcurl
	 * would not do by itself is forced */
	if ((r->body.ptr != NULL && strcmp(r->method, "POST") != 0) ||
	    (r->body.ptr == NULL && !get && strcmp(r->method, "HEAD") != 0 &&
		strcmp(r->method, "POST") != 0))
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, r->method);
}

struct http_fetch *
http_fetch_start(struct http_client *p, const struct http_request *r,
    http_fetch_done *done, void *ctx)
{
	struct http_fetch *c = mem_new(struct http_fetch);
	CURL *easy = curl_easy_init();

	c->pool = p;
	c->easy = easy;
	c->done = done;
	c->ctx = ctx;
	c->size_max = r->size_max > 0 ? r->size_max : HTTP_BODY_MAX;
	c->whole = r->whole;
	c->follow = r->follow;
	c->timeout_ms = r->timeout_ms;
	c->timer.fire = on_late;
	for (size_t i = 0; i < r->headers.n; i++) {
		char *line = str_dupz(r->headers.at[i]);

		c->headers = curl_slist_append(c->headers, line);
		free(line);
	}
	/* do not wait for leave to send a large body */
	c->headers = curl_slist_append(c->headers, "Expect:");
	curl_easy_setopt(easy, CURLOPT_PRIVATE, c);
	curl_easy_setopt(easy, CURLOPT_URL, r->url);
	curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(
	    easy, CURLOPT_FOLLOWLOCATION, r->follow == HTTP_FOLLOW ? 1L : 0L);
	curl_easy_setopt(easy, CURLOPT_MAXREDIRS, (long)HOPS_MAX);
	curl_easy_setopt(easy, CURLOPT_HTTPHEADER, c->headers);
	curl_easy_setopt(easy, CURLOPT_USERAGENT, "Marram/" MARRAM_VERSION);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, c);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	/* do not wait for a thread that resolves a name nobody wants */
	curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
	if (r->insecure) {
		curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
		curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	if (r->ca_file != NULL)
		curl_easy_setopt(easy, CURLOPT_CAINFO, r->ca_file);
	set_method(easy, r);
	if (c->timeout_ms > 0)
		loop_after(p->loop, &c->timer, c->timeout_ms);
	curl_multi_add_handle(p->multi, easy);
	return c;
}

void
http_fetch_cancel(struct http_fetch *c)
{
	if (c != NULL)
		free_fetch(c);
}
