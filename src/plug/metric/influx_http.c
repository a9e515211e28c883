/*
 * plug/metric/influx_http.c - one request to an InfluxDB, by libcurl.
 */
#include "plug/metric/influx.h"

#include "base/base.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static size_t
on_body(char *part, size_t size, size_t n, void *ctx)
{
	struct influx_answer *a = ctx;

	if (a->body.len + size * n > a->max)
		return 0;
	buf_add(&a->body, part, size * n);
	return size * n;
}

static size_t
on_header(char *line, size_t size, size_t n, void *ctx)
{
	struct influx_answer *a = ctx;
	struct str value = { line, size * n }, name = str_cut(&value, ':');
	int64_t s;

	if (value.ptr != NULL && str_eq_nocase(name, STR("retry-after")) &&
	    str_to_i64(str_trim(value), &s) && s > 0)
		a->retry_after_ms = MIN_OF(s, 3600) * 1000;
	return size * n;
}

static struct curl_slist *
add_header(struct curl_slist *list, const char *name, const char *value)
{
	char *line = mem_printf("%s: %s", name, value);

	list = curl_slist_append(list, line);
	free(line);
	return list;
}

int
influx_request(struct influx *e, CURL *c, const char *path, struct str query,
    const char *type, struct str body, struct influx_answer *ret,
    struct err *err)
{
	CURL *mine = c == NULL ? curl_easy_init() : NULL;
	char *url = mem_printf("%s%s?" STR_FMT, e->url, path, STR_ARG(query));
	struct curl_slist *headers = NULL;
	CURLcode code;
	long connects = 0;
	int rc = 0;

	*ret = (struct influx_answer){ .max = e->answer_max };
	c = c == NULL ? mine : c;
	if (c == NULL) {
		free(url);
		return err_set(err, ERR_IO, "no memory for a request");
	}
	curl_easy_reset(c);
	if (type != NULL)
		headers = add_header(headers, "Content-Type", type);
	headers = add_header(headers, "Expect", "");
	if (e->auth != NULL)
		headers = add_header(headers, "Authorization", e->auth);
	if (e->v2 && strcmp(path, "/api/v2/query") == 0)
		headers = add_header(headers, "Accept", "application/csv");
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(c, CURLOPT_USERAGENT, "marram/" MARRAM_VERSION);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, e->timeout_ms);
	if (type != NULL) {
		curl_easy_setopt(c, CURLOPT_POST, 1L);
		curl_easy_setopt(
		    c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.len);
		curl_easy_setopt(
		    c, CURLOPT_POSTFIELDS, body.ptr == NULL ? "" : body.ptr);
	}
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, ret);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, ret);
	if (e->user != NULL) {
		curl_easy_setopt(c, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
		curl_easy_setopt(c, CURLOPT_USERPWD, e->user);
	}
	code = curl_easy_perform(c);
	curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &ret->status);
	curl_easy_getinfo(c, CURLINFO_NUM_CONNECTS, &connects);
	ret->fresh = connects > 0;
	if (code == CURLE_WRITE_ERROR)
		rc = err_set(
		    err, ERR_LIMIT, "an answer of %s is too long", e->who);
	else if (code != CURLE_OK)
		rc = err_set(err, ERR_CLOSED, "%s: %s", e->who,
		    curl_easy_strerror(code));
	curl_slist_free_all(headers);
	free(url);
	if (mine != NULL)
		curl_easy_cleanup(mine);
	return rc;
}

int
influx_check(const struct influx_answer *a, struct err *err)
{
	char why[128];

	if (a->status >= 200 && a->status < 300)
		return 0;
	influx_reason(a, why, sizeof(why));
	return err_set(err,
	    a->status == 401 || a->status == 403 ? ERR_DENIED : ERR_PROTO,
	    "the server answers %ld: %s", a->status, why);
}

void
influx_reason(const struct influx_answer *a, char *to, size_t size)
{
	struct str s = str_trim(buf_str(&a->body));

	if (size == 0)
		return;
	s.len = MIN_OF(s.len, size - 1);
	memcpy(to, s.ptr == NULL ? "" : s.ptr, s.len);
	to[s.len] = '\0';
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)to[i] < 0x20)
			to[i] = ' ';
}
