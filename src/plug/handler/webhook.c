/*
 * plug/handler/webhook.c - a request to an HTTP server.
 *
 * The address is `server` with `api` behind it. What the parameter brings of
 * server, api, method, headers, query parameters and response code counts only
 * with `allowOverwrite`; what it has no value for comes from the spec. The body
 * is `data` with `customData`, else all variables of the rule as YAML; GET and
 * HEAD have none. Headers of the spec are always sent.
 */
#include "base/base.h"
#include "base/mem.h"
#include "codec/json.h"
#include "codec/url.h"
#include "codec/yaml.h"
#include "net/http/client.h"
#include "plug/handler/ops.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct spec {
	struct str server, api, method, headers, query;
	int64_t response_code;
	bool insecure, allow_overwrite;
};

#define S struct spec
static const struct field spec_fields[] = {
	F_TEXT(S, server, "server",
	    .help = "Where it is: \"https://example.com\"."),
	F_TEXT(S, api, "api", .help = "The path behind it: \"/notify\"."),
	F_TEXT(S, method, "method", .def = "\"POST\"",
	    .help = "GET, POST, PUT, PATCH, DELETE, HEAD or OPTIONS."),
	F_BOOL(S, insecure, "insecure",
	    .help = "Do not check the certificate of the server."),
	F_JSON(S, headers, "headers", .flags = FIELD_SECRET | FIELD_OBJECT,
	    .help = "Headers of the request, an object."),
	F_JSON(S, query, "queryParameters",
	    .flags = FIELD_SECRET | FIELD_OBJECT,
	    .help = "What stands behind \"?\", an object."),
	F_INT(S, response_code, "responseCode", .max = 999,
	    .help = "The only status that is a success; 0: any from 200 to "
		    "299."),
	F_BOOL(S, allow_overwrite, "allowOverwrite",
	    .help = "A parameter may change the values above."),
	{ 0 },
};
#undef S
static const struct record spec_record = { "webhook", sizeof(struct spec),
	spec_fields };

struct parameter {
	struct str server, api, method, headers, query, data;
	int64_t response_code;
	bool custom_data;
};

#define P struct parameter
static const struct field parameter_fields[] = {
	F_TEXT(P, server, "server"),
	F_TEXT(P, api, "api"),
	F_TEXT(P, method, "method"),
	F_JSON(P, headers, "headers", .flags = FIELD_NULL | FIELD_OBJECT),
	F_JSON(P, query, "queryParameters", .flags = FIELD_NULL | FIELD_OBJECT),
	F_JSON(P, data, "data", .flags = FIELD_NULL,
	    .help = "The body, with customData: a text as it is, anything "
		    "else as JSON."),
	F_BOOL(P, custom_data, "customData"),
	F_INT(P, response_code, "responseCode", .max = 999),
	{ 0 },
};
#undef P
static const struct record parameter_record = { "webhook parameter",
	sizeof(struct parameter), parameter_fields };

struct webhook {
	struct handler *h;
	struct arena arena;
	struct spec spec; /* texts in `arena` */
	struct http_client *pool;
	struct http_fetch *call; /* while sending */
	int64_t response_code;   /* of the message that is being sent */
};

/* What send() needs. */
struct message {
	struct http_request request;
	int64_t response_code;
};

/* --- open ---------------------------------------------------------------- */

/* A secret, as it is and as it is in an address. */
static void
keep_secret(struct webhook *w, struct str text)
{
	struct buf coded = { 0 };

	handler_secret(w->h, text);
	url_form_encode(&coded, text);
	if (coded.len != text.len)
		handler_secret(w->h, buf_str(&coded));
	buf_free(&coded);
}

static void
keep_secrets(struct webhook *w)
{
	struct str objects[] = { w->spec.headers, w->spec.query };
	struct buf basic = { 0 };
	struct str key, login;
	struct json j;
	struct url url;

	for (size_t i = 0; i < COUNT_OF(objects); i++) {
		json_open(&j, objects[i], 0, &w->arena);
		if (json_object(&j))
			while (json_member(&j, &key))
				keep_secret(w, http_plain(&j));
	}
	if (!url_parse(&w->arena, w->spec.server, &url))
		return;
	handler_secret(w->h, url.query);
	if (url.password.len == 0)
		return;
	/* and as libcurl puts it into a header */
	handler_secret(w->h, url.password);
	login = arena_printf(&w->arena, STR_FMT ":" STR_FMT,
	    STR_ARG(url_decode(&w->arena, url.user, false)),
	    STR_ARG(url_decode(&w->arena, url.password, false)));
	base64_encode(&basic, login.ptr, login.len, false);
	handler_secret(w->h, buf_str(&basic));
	buf_free(&basic);
}

static int
webhook_open(struct handler *h, const void *spec, void **ret, struct err *err)
{
	struct webhook *w = mem_new(struct webhook);
	struct str host;

	w->h = h;
	record_copy(&spec_record, &w->arena, &w->spec, spec);
	keep_secrets(w);
	if (!w->spec.allow_overwrite || w->spec.server.len > 0) {
		int rc = 0;

		if (!http_host(&w->arena, w->spec.server, &host))
			rc = err_set(err, ERR_PARAM,
			    "server: an address that begins with http:// or "
			    "https:// is needed");
		if (rc == 0)
			rc = handler_check_host(h, host, err);
		if (rc != 0) {
			arena_fini(&w->arena);
			free(w);
			return rc;
		}
	}
	w->pool = http_client_new(handler_host_of(h)->loop, NULL);
	*ret = w;
	return 0;
}

static void
webhook_close(void *own)
{
	struct webhook *w = own;

	http_client_free(w->pool);
	arena_fini(&w->arena);
	free(w);
}

/* --- a message ----------------------------------------------------------- */

static struct str
either(struct str first, struct str other)
{
	return first.len > 0 ? first : other;
}

static int
make_url(struct webhook *w, struct handler_job *j, const struct parameter *p,
    bool over, const char **ret, struct err *err)
{
	struct buf text = { 0 };
	struct str host;
	int rc = 0;

	buf_add_str(&text, either(over ? p->server : STR(""), w->spec.server));
	buf_add_str(&text, either(over ? p->api : STR(""), w->spec.api));
	if (rc == 0)
		rc = http_add_query(&j->arena, &text, w->spec.query, err);
	if (rc == 0 && over && p->query.ptr != NULL)
		rc = http_add_query(&j->arena, &text, p->query, err);
	if (rc == 0 &&
	    http_check_url(&j->arena, buf_str(&text), &host, err) != 0)
		rc = err_wrap(err, "server, api");
	if (rc == 0)
		rc = handler_check_host(w->h, host, err);
	if (rc == 0)
		*ret = arena_z(&j->arena, buf_str(&text));
	buf_free(&text);
	return rc;
}

static void
make_body(
    struct handler_job *j, const struct parameter *p, struct http_request *r)
{
	struct str type = STR("Content-Type: application/json");
	struct buf yaml = { 0 };
	struct json json;

	if (strcmp(r->method, "GET") == 0 || strcmp(r->method, "HEAD") == 0)
		return;
	if (!p->custom_data) {
		yaml_write(&yaml, j->variables);
		r->body = arena_str(&j->arena, buf_str(&yaml));
		buf_free(&yaml);
		type = STR("Content-Type: application/yaml");
	} else {
		r->body = p->data.ptr != NULL ? p->data : STR("");
		json_open(&json, r->body, 0, &j->arena);
		if (json_peek(&json) == JSON_STRING) {
			json_str(&json, &r->body);
			if (!json_valid(r->body, 0))
				type = STR("Content-Type: text/plain; "
					   "charset=utf-8");
		}
	}
	if (http_has_header(&r->headers, STR("Content-Type:")))
		return;
	http_add_header(&j->arena, &r->headers, type);
}

static int
webhook_prepare(
    void *own, struct handler_job *j, const void *parameter, struct err *err)
{
	struct webhook *w = own;
	const struct parameter *p = parameter;
	const struct handler_settings *set = handler_host_of(w->h)->settings;
	struct message *m = arena_new(&j->arena, struct message);
	bool over = w->spec.allow_overwrite;
	int rc;

	rc = http_method(either(over ? p->method : STR(""), w->spec.method),
	    &m->request.method, err);
	if (rc == 0)
		rc = make_url(w, j, p, over, &m->request.url, err);
	if (rc == 0)
		rc = http_add_headers(
		    &j->arena, &m->request.headers, w->spec.headers, err);
	if (rc == 0 && over && p->headers.ptr != NULL)
		rc = http_add_headers(
		    &j->arena, &m->request.headers, p->headers, err);
	if (rc != 0)
		return rc;
	make_body(j, p, &m->request);
	m->request.insecure = w->spec.insecure;
	m->request.ca_file =
	    set->ca_file.len > 0 ? arena_z(&j->arena, set->ca_file) : NULL;
	m->response_code = over && p->response_code != 0
	    ? p->response_code
	    : w->spec.response_code;
	/* elsewhere only when any host will do and no 3xx is waited for */
	m->request.follow =
	    str_trim(set->allow_hosts).len == 0 && m->response_code / 100 != 3
	    ? HTTP_FOLLOW
	    : HTTP_STAY;
	j->own = m;
	return 0;
}

/* --- sending ------------------------------------------------------------- */

static void
on_answer(void *ctx, const struct http_answer *a)
{
	struct webhook *w = ctx;
	struct buf text = { 0 };
	enum handler_outcome outcome = HANDLER_SENT;
	bool good;

	w->call = NULL;
	if (a->status == 0) {
		handler_sent(w->h, a->again ? HANDLER_LATER : HANDLER_REFUSED,
		    ERR_IO, 0, a->why);
		return;
	}
	good = w->response_code != 0 ? a->status == w->response_code
				     : a->status >= 200 && a->status <= 299;
	buf_addf(&text, "the server answered HTTP %d", a->status);
	if (!good) {
		outcome =
		    a->status == 429 || a->status == 408 || a->status >= 500
		    ? HANDLER_LATER
		    : HANDLER_REFUSED;
		if (a->body.len > 0)
			buf_addf(&text, ": " STR_FMT, STR_ARG(a->body));
	}
	handler_sent(w->h, outcome, ERR_PROTO, a->retry_after_ms, buf_z(&text));
	buf_free(&text);
}

static void
webhook_send(void *own, struct handler_job *j)
{
	struct webhook *w = own;
	const struct message *m = j->own;

	w->response_code = m->response_code;
	w->call = http_fetch_start(w->pool, &m->request, on_answer, w);
}

static void
webhook_cancel(void *own, struct handler_job *j)
{
	struct webhook *w = own;

	(void)j;
	http_fetch_cancel(w->call);
	w->call = NULL;
}

const struct handler_ops handler_webhook = {
	.name = "webhook",
	.parameter = "webhook",
	.spec = &spec_record,
	.takes = &parameter_record,
	.open = webhook_open,
	.prepare = webhook_prepare,
	.send = webhook_send,
	.cancel = webhook_cancel,
	.close = webhook_close,
};
