/*
 * plug/handler/http.c - see http.h. libcurl tells which sockets and what time
 * it waits for; the loop tells when they are there.
 *
 * libcurl is not to be entered from its own callbacks, and a request that is
 * over is told from a deferred call, one at a time: then the owner may free
 * everything from there.
 */
#include "plug/handler/http.h"

#include "base/base.h"
#include "base/mem.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

struct http_pool {
	struct loop *loop;
	CURLM *multi;
	struct loop_timer timer;
	struct loop_defer finish; /* looks for requests that are over */
};

struct http_call {
	struct http_pool *pool;
	CURL *easy;
	struct curl_slist *headers;
	struct buf body;
	http_done *done;
	void *ctx;
};

/* A socket of libcurl's. */
struct watch {
	struct loop_io io;
	struct http_pool *pool;
};

/* --- the loop ------------------------------------------------------------ */

static void
drive(struct http_pool *p, curl_socket_t fd, int what)
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
	drive(container_of(t, struct http_pool, timer), CURL_SOCKET_TIMEOUT, 0);
}

static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket_ctx)
{
	struct http_pool *p = ctx;
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
	struct http_pool *p = ctx;

	(void)multi;
	if (ms < 0)
		loop_cancel(p->loop, &p->timer);
	else
		loop_after(p->loop, &p->timer, ms);
	return 0;
}

/* --- the end of a request ------------------------------------------------ */

static void
free_call(struct http_call *c)
{
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

static void
on_finish(struct loop_defer *d)
{
	struct http_pool *p = container_of(d, struct http_pool, finish);
	struct http_answer a = { 0 };
	struct http_call *c;
	const CURLMsg *m;
	curl_off_t after = 0;
	long status = 0;
	char *owner;
	int more;

	m = curl_multi_info_read(p->multi, &more);
	if (m == NULL || m->msg != CURLMSG_DONE)
		return;
	loop_defer(p->loop, &p->finish); /* there may be more */
	curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &owner);
	c = (struct http_call *)(void *)owner;
	a.why = "";
	if (m->data.result == CURLE_OK) {
		curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
		curl_easy_getinfo(c->easy, CURLINFO_RETRY_AFTER, &after);
		a.status = (int)status;
		a.retry_after_ms =
		    after > 0 && after < 86400 ? (int64_t)after * 1000 : 0;
		a.body = buf_str(&c->body);
	} else {
		a.why = curl_easy_strerror(m->data.result);
		a.again = may_pass(m->data.result);
	}
	{ /* what is told must outlive the call, which ends first */
		struct http_call told = *c;

		c->body = (struct buf){ 0 };
		free_call(c);
		told.done(told.ctx, &a);
		buf_free(&told.body);
	}
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

/* --- pools and requests -------------------------------------------------- */

struct http_pool *
http_pool_new(struct loop *loop)
{
	struct http_pool *p = mem_new(struct http_pool);

	p->loop = loop;
	p->timer.fire = on_timer;
	p->finish.run = on_finish;
	p->multi = curl_multi_init();
	curl_multi_setopt(p->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	curl_multi_setopt(p->multi, CURLMOPT_SOCKETDATA, p);
	curl_multi_setopt(p->multi, CURLMOPT_TIMERFUNCTION, on_timeout);
	curl_multi_setopt(p->multi, CURLMOPT_TIMERDATA, p);
	curl_multi_setopt(p->multi, CURLMOPT_MAXCONNECTS, 4L);
	return p;
}

void
http_pool_free(struct http_pool *p)
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
	struct http_call *c = ctx;
	size_t room = HTTP_BODY_MAX - c->body.len;

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

struct http_call *
http_start(struct http_pool *p, const struct http_request *r, http_done *done,
    void *ctx)
{
	struct http_call *c = mem_new(struct http_call);
	CURL *easy = curl_easy_init();

	c->pool = p;
	c->easy = easy;
	c->done = done;
	c->ctx = ctx;
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
	curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, r->follow ? 1L : 0L);
	curl_easy_setopt(easy, CURLOPT_MAXREDIRS, 5L);
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
	curl_multi_add_handle(p->multi, easy);
	return c;
}

void
http_cancel(struct http_call *c)
{
	if (c != NULL)
		free_call(c);
}
