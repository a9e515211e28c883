/*
 * plug/script/pool_http.c - requests of scripts: checked, counted, put to the
 * host, and answered, once, whether or not the helper is still there.
 */
#include "plug/script/pool.h"

#include "base/base.h"
#include "base/mem.h"
#include "codec/json.h"

#include <stdlib.h>

static void
answer_json(struct ask *a, struct buf *json)
{
	struct helper *h = a->helper;
	size_t begin;

	if (h != NULL) {
		h->ask = NULL;
		begin = wire_begin(&h->out, WIRE_ANSWER);
		wire_text(&h->out, buf_str(json));
		wire_end(&h->out, begin);
		helper_write(h);
	}
	buf_free(json);
	for (size_t i = 0; i < COUNT_OF(a->owned); i++)
		str_free(a->owned[i]);
	free(a);
}

static void
answer_error(struct ask *a, const char *why)
{
	struct buf b = { 0 };

	counter_add(&script_counters.http_refused, 1);
	buf_addz(&b, "{\"error\":");
	json_quote(&b, str_of(why));
	buf_addc(&b, '}');
	answer_json(a, &b);
}

void
script_http_refuse(struct script_http *http, const char *why)
{
	answer_error(container_of(http, struct ask, http), why);
}

void
script_http_answer(
    struct script_http *http, int status, struct str headers, struct str body)
{
	struct ask *a = container_of(http, struct ask, http);
	struct buf b = { 0 };

	if ((int64_t)body.len > http->size_max) {
		answer_error(a, "the answer is too long");
		return;
	}
	buf_addf(&b, "{\"status\":%d,\"headers\":", status);
	if (headers.ptr == NULL || !json_valid(headers, 0))
		headers = STR("{}");
	buf_add_str(&b, headers);
	buf_addz(&b, ",\"body\":");
	json_quote(&b, body.ptr != NULL ? body : STR(""));
	buf_addc(&b, '}');
	answer_json(a, &b);
}

static bool
is_word(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] < 'A' || s.ptr[i] > 'Z')
			return false;
	return s.len > 0 && s.len <= 16;
}

static bool
is_url(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] <= ' ' || s.ptr[i] == 127)
			return false;
	return s.len <= 8192 &&
	    (str_starts(s, STR("http://")) || str_starts(s, STR("https://")));
}

/* Why a request is not even put to the host; NULL: it is. */
static const char *
objection(const struct helper *h, const struct wire_ask *ask)
{
	const struct script_conf *conf = &h->pool->conf;

	if (h->pool->host.http == NULL)
		return "scripts may not use the network here";
	if (h->asks > conf->http_max)
		return "too many requests in one call";
	if (!is_word(ask->method))
		return "not a method";
	if (!is_url(ask->url))
		return "not an http or https address";
	if (!json_valid(ask->headers, 0) || ask->headers.ptr[0] != '{')
		return "headers are no object";
	if ((int64_t)ask->body.len > conf->http_size)
		return "the body is too long";
	return NULL;
}

/* False: nonsense. */
bool
helper_take_ask(struct helper *h, struct wire body)
{
	const struct script_conf *conf = &h->pool->conf;
	struct wire_ask ask;
	const char *why;
	struct ask *a;
	struct err err;

	if (!wire_read_ask(body, &ask) || h->ask != NULL || h->n == 0 ||
	    ask.seq != helper_sent(h, 0)->seq ||
	    h->asks > conf->http_max + ASKS_MORE)
		return false;
	if (helper_sent(h, 0)->call != NULL)
		helper_sent(h, 0)->call->asked = true;
	h->asks++;
	counter_add(&script_counters.http, 1);
	a = mem_new(struct ask);
	a->helper = h;
	h->ask = a;
	why = objection(h, &ask);
	if (why != NULL) {
		answer_error(a, why);
		return true;
	}
	a->http.group = a->owned[0] = str_copy(h->group->name);
	a->http.method = a->owned[1] = str_copy(ask.method);
	a->http.url = a->owned[2] = str_copy(ask.url);
	a->http.headers = a->owned[3] = str_copy(ask.headers);
	a->http.body = a->owned[4] = str_copy(ask.body);
	a->http.insecure = ask.insecure;
	a->http.size_max = conf->http_size;
	a->http.timeout_ms = ask.timeout > 0
	    ? MIN_OF((int64_t)ask.timeout, conf->http_timeout_ms)
	    : conf->http_timeout_ms;
	if (h->pool->host.http(h->pool->host.owner, &a->http, &err) != 0)
		answer_error(a, err.text);
	return true;
}
