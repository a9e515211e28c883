/*
 * app/cli/fetch.c - see fetch.h; by libcurl.
 */
#include "app/cli/fetch.h"

#include "base/base.h"
#include "base/mem.h"
#include "codec/url.h"

#include <curl/curl.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define CONNECT_MS 10000L
#define SILENCE_S 65L /* the server gives up a request after 60 s */

struct transfer {
	struct arena *arena;
	struct fetched *ret;
	struct buf body;
	bool too_long;
	CURL *curl;
	int to;
	int write_errno; /* of `to` */
};

static size_t
write_to(struct transfer *t, const char *part, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = write(t->to, part + done, len - done);

		if (n < 0 && errno != EINTR) {
			t->write_errno = errno;
			return 0;
		}
		done += n > 0 ? (size_t)n : 0;
	}
	return len;
}

static size_t
on_body(char *part, size_t size, size_t n, void *ctx)
{
	struct transfer *t = ctx;
	long status = 0;

	if (t->to > 0 &&
	    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status) ==
		CURLE_OK &&
	    status == 200)
		return write_to(t, part, size * n);
	if (t->body.len + size * n > FETCH_BODY_MAX) {
		t->too_long = true;
		return 0;
	}
	buf_add(&t->body, part, size * n);
	return size * n;
}

static size_t
on_header(char *line, size_t size, size_t n, void *ctx)
{
	struct transfer *t = ctx;
	struct str value = { line, size * n }, name = str_cut(&value, ':');
	const struct {
		struct str name;
		struct str *to;
	} wanted[] = {
		{ STR("content-type"), &t->ret->type },
		{ STR("location"), &t->ret->location },
		{ STR("content-disposition"), &t->ret->disposition },
	};

	for (size_t i = 0; value.ptr != NULL && i < COUNT_OF(wanted); i++)
		if (str_eq_nocase(name, wanted[i].name))
			*wanted[i].to = arena_str(t->arena, str_trim(value));
	return size * n;
}

/* "http://host:port" for a sentence. */
static struct str
origin_of(struct arena *a, struct str url)
{
	struct url u;

	return url_parse(a, url, &u) ? url_origin(a, &u) : url;
}

static int
explain(const struct transfer *t, CURLcode code, const char *detail,
    struct str url, struct err *err)
{
	struct str origin = origin_of(t->arena, url);

	if (t->too_long)
		return err_set(err, ERR_LIMIT,
		    "the answer is longer than %d MiB: ask for less by --limit",
		    FETCH_BODY_MAX / 1024 / 1024);
	if (t->write_errno != 0) {
		errno = t->write_errno;
		return err_errno(err, "write what came");
	}
	if (code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST)
		return err_set(err, ERR_CLOSED,
		    "cannot reach " STR_FMT
		    ": is `marram serve` running there? "
		    "Another address is given by --url or in the file of -f",
		    STR_ARG(origin));
	if (code == CURLE_OPERATION_TIMEDOUT)
		return err_set(err, ERR_CLOSED,
		    STR_FMT " does not answer: is it busy, or not our server?",
		    STR_ARG(origin));
	return err_set(err, ERR_PROTO, STR_FMT ": %s", STR_ARG(origin),
	    detail[0] != '\0' ? detail : curl_easy_strerror(code));
}

static struct curl_slist *
make_headers(const struct fetch *f, struct arena *a)
{
	struct curl_slist *list = NULL;

	list = curl_slist_append(list, "Expect:");
	if (f->body.ptr != NULL && f->type != NULL)
		list = curl_slist_append(
		    list, arena_printf(a, "Content-Type: %s", f->type).ptr);
	else
		list = curl_slist_append(list, "Content-Type:");
	if (f->token.ptr != NULL)
		list = curl_slist_append(list,
		    arena_printf(
			a, "Authorization: Bearer " STR_FMT, STR_ARG(f->token))
			.ptr);
	return list;
}

static void
set_body(CURL *c, const struct fetch *f)
{
	bool post = strcmp(f->method, "POST") == 0;

	if (f->body.ptr != NULL || post) {
		curl_easy_setopt(c, CURLOPT_POST, 1L);
		curl_easy_setopt(
		    c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)f->body.len);
		curl_easy_setopt(c, CURLOPT_POSTFIELDS,
		    f->body.ptr != NULL ? f->body.ptr : "");
	}
	if (!post)
		curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, f->method);
}

int
fetch_run(const struct fetch *f, struct arena *a, struct fetched *ret,
    struct err *err)
{
	struct transfer t = { .arena = a, .ret = ret, .to = f->to };
	char detail[CURL_ERROR_SIZE] = "";
	CURL *c = curl_easy_init();
	struct curl_slist *headers;
	CURLcode code;
	int rc = 0;

	*ret = (struct fetched){ 0 };
	if (c == NULL)
		return err_set(err, ERR_INTERNAL, "libcurl did not start");
	t.curl = c;
	headers = make_headers(f, a);
	curl_easy_setopt(c, CURLOPT_URL, arena_z(a, f->url));
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(c, CURLOPT_USERAGENT, "marram/" MARRAM_VERSION);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, SILENCE_S);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, detail);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, &t);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, &t);
	set_body(c, f);
	code = curl_easy_perform(c);
	if (code == CURLE_OK) {
		curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &ret->status);
		ret->body =
		    t.body.len > 0 ? arena_str(a, buf_str(&t.body)) : STR("");
	} else {
		rc = explain(&t, code, detail, f->url, err);
	}
	curl_slist_free_all(headers);
	curl_easy_cleanup(c);
	buf_free(&t.body);
	return rc;
}
