/*
 * plug/gateway/generic_http_conf.c - endpoints and nodes as people have written
 * them, made into requests.
 */
#include "base/base.h"
#include "base/err.h"
#include "codec/entity_json.h"
#include "codec/url.h"
#include "codec/yaml.h"
#include "plug/gateway/generic_http.h"
#include "plug/gateway/link.h"

#include <stdlib.h>
#include <string.h>

#define ENTRIES_MAX 1000 /* endpoints, nodes, each */
#define EXTRA_MAX 20     /* preRun, postRun, each */
#define INTERVAL_MIN_MS 1000

#define S struct protocol
static const struct field protocol_fields[] = {
	F_JSON(S, headers, "headers", .flags = FIELD_SECRET | FIELD_OBJECT,
	    .help = "Headers of calls with includeGlobalConfig."),
	F_JSON(S, query, "queryParameters",
	    .flags = FIELD_SECRET | FIELD_OBJECT,
	    .help = "What stands behind \"?\" in those calls."),
	F_JSON(S, endpoints, "endpoints", .flags = FIELD_OBJECT,
	    .help = "What is asked again and again, by name: {\"url\", "
		    "\"method\", \"headers\", \"queryParameters\", "
		    "\"bodyLanguage\", \"body\", \"responseCode\", "
		    "\"includeGlobalConfig\", \"script\", \"insecure\", "
		    "\"preRun\", \"postRun\", \"disabled\", "
		    "\"executionInterval\"}."),
	F_JSON(S, nodes, "nodes", .flags = FIELD_OBJECT,
	    .help = "How a message gets to a node, or to default: the same "
		    "members."),
	{ 0 },
};
#undef S
const struct record gateway_http_record = { "http", sizeof(struct protocol),
	protocol_fields };

struct entry {
	struct str url, method, headers, query, language, body, script;
	struct str before, after, interval;
	int64_t code;
	bool global, insecure, disabled;
};

#define S struct entry
static const struct field entry_fields[] = {
	F_TEXT(S, url, "url"),
	F_TEXT(S, method, "method"),
	F_JSON(S, headers, "headers", .flags = FIELD_OBJECT),
	F_JSON(S, query, "queryParameters", .flags = FIELD_OBJECT),
	F_TEXT(S, language, "bodyLanguage", .def = "\"json\""),
	F_JSON(S, body, "body", .flags = FIELD_NULL),
	F_INT(S, code, "responseCode", .max = 999),
	F_BOOL(S, global, "includeGlobalConfig"),
	F_TEXT(S, script, "script"),
	F_BOOL(S, insecure, "insecure"),
	F_JSON(S, before, "preRun", .flags = FIELD_OBJECT),
	F_JSON(S, after, "postRun", .flags = FIELD_OBJECT),
	F_BOOL(S, disabled, "disabled"),
	F_TEXT(S, interval, "executionInterval", .def = "\"10m\""),
	{ 0 },
};
#undef S
static const struct record entry_record = { "entry", sizeof(struct entry),
	entry_fields };

/* --- calls ---------------------------------------------------------------- */

/* What is not for the eyes of who reads the log. */
static bool
is_secret(struct str name)
{
	static const char *const words[] = { "auth", "token", "key", "secret",
		"pass", "cookie", "appid", "session" };

	for (size_t i = 0; i < COUNT_OF(words); i++)
		if (str_contains_nocase(name, str_of(words[i])))
			return true;
	return false;
}

static void
keep_secrets(struct http *h, struct str object)
{
	struct buf coded = { 0 };
	struct json j;
	struct str key, value;

	json_open(&j, object, 0, &h->arena);
	if (!json_object(&j))
		return;
	while (json_member(&j, &key)) {
		value = http_plain(&j);
		if (!is_secret(key))
			continue;
		gateway_secret(h->g, value);
		url_form_encode(&coded, value);
		gateway_secret(h->g, buf_str(&coded));
		buf_clear(&coded);
		str_cut(&value, ' '); /* what follows "Bearer" */
		if (value.ptr != NULL)
			gateway_secret(h->g, value);
	}
	buf_free(&coded);
}

static int
make_url(struct http *h, struct arena *a, const struct entry *e,
    const char **ret, struct err *err)
{
	struct buf url = { 0 };
	struct str host;
	int rc = 0;

	buf_add_str(&url, e->url);
	if (e->global)
		rc = http_add_query(a, &url, h->protocol.query, err);
	if (rc == 0)
		rc = http_add_query(a, &url, e->query, err);
	if (rc == 0)
		rc = http_check_url(a, buf_str(&url), &host, err);
	if (rc == 0)
		rc = gateway_check_host(h->g, host, err);
	if (rc == 0)
		*ret = arena_z(a, buf_str(&url));
	buf_free(&url);
	return rc;
}

static int
make_body(struct arena *a, const struct entry *e, struct http_request *r,
    struct err *err)
{
	struct str type = STR("Content-Type: application/json");
	struct buf yaml = { 0 };

	if (e->body.ptr == NULL || strcmp(r->method, "GET") == 0 ||
	    strcmp(r->method, "HEAD") == 0)
		return 0;
	r->body = generic_plain(a, e->body);
	if (str_eq_nocase(e->language, STR("yaml"))) {
		type = STR("Content-Type: application/yaml");
		if (*e->body.ptr != '"' && yaml_write(&yaml, e->body))
			r->body = arena_str(a, buf_str(&yaml));
		buf_free(&yaml);
	} else if (str_eq_nocase(e->language, STR("plaintext"))) {
		type = STR("Content-Type: text/plain; charset=utf-8");
	} else if (!str_eq_nocase(e->language, STR("json"))) {
		return err_set(err, ERR_PARAM,
		    "bodyLanguage: must be json, yaml or plaintext");
	}
	if (!http_has_header(&r->headers, STR("Content-Type:")))
		http_add_header(a, &r->headers, type);
	return 0;
}

static int
make_call(struct http *h, struct arena *a, const struct entry *e,
    const char *method, struct call *ret, struct err *err)
{
	const struct gateway_settings *set = gateway_host_of(h->g)->settings;
	struct http_request *r = &ret->request;
	int rc;

	*ret = (struct call){ .code = e->code };
	r->insecure = e->insecure;
	r->ca_file = h->ca_file;
	r->timeout_ms = set->http_ms;
	r->size_max = (size_t)set->http_size;
	r->whole = true;
	/* elsewhere only when any host will do and no 3xx is waited for */
	r->follow = str_trim(set->allow_hosts).len == 0 && e->code / 100 != 3
	    ? HTTP_FOLLOW
	    : HTTP_STAY;
	rc = http_method(
	    e->method.len > 0 ? e->method : str_of(method), &r->method, err);
	if (rc == 0)
		rc = make_url(h, a, e, &r->url, err);
	if (rc == 0 && e->global)
		rc = http_add_headers(a, &r->headers, h->protocol.headers, err);
	if (rc == 0)
		rc = http_add_headers(a, &r->headers, e->headers, err);
	return rc == 0 ? make_body(a, e, r, err) : rc;
}

/* --- open ----------------------------------------------------------------- */

static int
by_name(const void *a, const void *b)
{
	return str_cmp(
	    ((const struct call *)a)->name, ((const struct call *)b)->name);
}

static int
read_entry(struct http *h, struct str json, struct entry *e, struct err *err)
{
	struct url url;
	int rc = record_read(&entry_record, &h->arena, json, e, err);

	if (rc != 0)
		return rc;
	keep_secrets(h, e->headers);
	keep_secrets(h, e->query);
	if (url_parse(&h->arena, e->url, &url))
		gateway_secret(h->g, url.password);
	return 0;
}

/* preRun, postRun */
static int
make_calls(
    struct http *h, struct str object, struct calls *ret, struct err *err)
{
	struct arena *a = &h->arena;
	struct entry e;
	struct json j;
	struct str key, raw;

	ret->at = arena_array(a, EXTRA_MAX, struct call);
	json_open(&j, object, 0, a);
	if (!json_object(&j))
		return 0;
	while (json_member(&j, &key) && json_raw(&j, &raw)) {
		struct call *c = &ret->at[ret->n];

		if (ret->n == EXTRA_MAX)
			return err_set(err, ERR_PARAM, "there are more than %d",
			    EXTRA_MAX);
		if (read_entry(h, raw, &e, err) != 0 ||
		    make_call(h, a, &e, "GET", c, err) != 0)
			return err_wrap(
			    err, STR_FMT, (int)MIN_OF(key.len, 60), key.ptr);
		c->name = arena_str(a, key);
		ret->n += !e.disabled;
	}
	if (ret->n > 1)
		qsort(ret->at, ret->n, sizeof(*ret->at), by_name);
	return json_done(&j, err);
}

static int
fill_place(struct http *h, struct place *p, struct str json, const char *method,
    struct err *err)
{
	struct arena *a = &h->arena;
	struct entry e;
	int rc = read_entry(h, json, &e, err);

	if (rc == 0)
		rc = make_call(h, a, &e, method, &p->call, err);
	if (rc == 0 && make_calls(h, e.before, &p->before, err) != 0)
		rc = err_wrap(err, "preRun");
	if (rc == 0 && make_calls(h, e.after, &p->after, err) != 0)
		rc = err_wrap(err, "postRun");
	if (rc == 0)
		rc = gateway_duration(
		    e.interval, "executionInterval", &p->interval_ms, err);
	if (rc == 0 && p->interval_ms < INTERVAL_MIN_MS)
		rc = err_set(err, ERR_PARAM,
		    "executionInterval: one second at least is needed");
	p->json = json;
	p->disabled = e.disabled;
	p->script = e.script;
	return rc;
}

static int
make_places(struct http *h, struct str object, const char *what,
    const char *method, struct place ***ret, size_t *n, struct err *err)
{
	struct arena *a = &h->arena;
	struct json j;
	struct str key, raw;
	int rc = 0;

	*ret = arena_array(a, ENTRIES_MAX, struct place *);
	json_open(&j, object, 0, a);
	if (!json_object(&j))
		return 0;
	while (rc == 0 && json_member(&j, &key) && json_raw(&j, &raw)) {
		struct place *p = arena_new(a, struct place);

		if (*n == ENTRIES_MAX)
			return err_set(err, ERR_PARAM,
			    "%s: there are more than %d", what, ENTRIES_MAX);
		(*ret)[(*n)++] = p;
		p->h = h;
		p->name = arena_str(a, key);
		rc = fill_place(h, p, raw, method, err);
		if (rc != 0)
			err_wrap(err, "protocol: %s: " STR_FMT, what,
			    (int)MIN_OF(key.len, 60), key.ptr);
	}
	return rc == 0 ? json_done(&j, err) : rc;
}

int
generic_http_conf(struct http *h, struct err *err)
{
	int rc;

	if (record_read(&gateway_http_record, &h->arena,
		gateway_protocol_json(h->g), &h->protocol, err) != 0)
		return err_wrap(err, "protocol");
	keep_secrets(h, h->protocol.headers);
	keep_secrets(h, h->protocol.query);
	rc = make_places(h, h->protocol.endpoints, "endpoints", "GET",
	    &h->endpoints, &h->n_endpoints, err);
	if (rc == 0)
		rc = make_places(h, h->protocol.nodes, "nodes", "POST",
		    &h->nodes, &h->n_nodes, err);
	return rc;
}

/* --- changes -------------------------------------------------------------- */

int
generic_http_change(struct place *p, struct arena *a, struct str change,
    struct call *ret, struct err *err)
{
	struct buf merged = { 0 };
	struct json_out o;
	struct json j;
	struct str key, raw;
	struct entry e;
	int rc;

	json_out_init(&o, &merged, false);
	json_out_object(&o);
	json_open(&j, p->json, 0, a);
	if (json_object(&j))
		while (json_member(&j, &key) && json_raw(&j, &raw)) {
			if (generic_member(a, change, arena_z(a, key)).ptr !=
			    NULL)
				continue;
			json_out_key_str(&o, key);
			json_out_raw(&o, raw);
		}
	json_open(&j, change, 0, a);
	if (json_object(&j))
		while (json_member(&j, &key) && json_raw(&j, &raw)) {
			json_out_key_str(&o, key);
			json_out_raw(&o, raw);
		}
	json_out_end_object(&o);
	rc = record_read(
	    &entry_record, a, arena_str(a, buf_str(&merged)), &e, err);
	buf_free(&merged);
	return rc == 0 ? make_call(p->h, a, &e, "POST", ret, err) : rc;
}
