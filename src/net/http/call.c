/*
 * net/http/call.c - see call.h.
 */
#include "net/http/call.h"

#include "base/base.h"

#include <stdarg.h>
#include <string.h>

struct str
http_var(const struct http_call *c, unsigned i)
{
	return i < HTTP_PATH_VARS ? c->vars[i] : STR_NULL;
}

struct str
http_query(const struct http_call *c, const char *name)
{
	return url_form_get(&c->query, name);
}

struct json_out *
http_json(struct http_call *c, int status)
{
	c->status = status;
	c->type = "application/json";
	buf_clear(&c->out);
	json_out_init(&c->json, &c->out, false);
	return &c->json;
}

void
http_empty(struct http_call *c, int status)
{
	c->status = status;
	c->type = NULL;
	buf_clear(&c->out);
}

void
http_text(struct http_call *c, int status, const char *type, struct str text)
{
	c->status = status;
	c->type = type;
	buf_clear(&c->out);
	buf_add_str(&c->out, text);
}

void
http_error(
    struct http_call *c, int status, const char *code, const char *fmt, ...)
{
	struct json_out *o = http_json(c, status);
	va_list ap;

	json_out_object(o);
	json_out_key(o, "code");
	json_out_str(o, str_of(code));
	if (fmt != NULL) {
		va_start(ap, fmt);
		json_out_key(o, "message");
		json_out_str(o, arena_vprintf(&c->arena, fmt, ap));
		va_end(ap);
	}
	json_out_end_object(o);
}

void
http_redirect(struct http_call *c, struct str where)
{
	http_empty(c, 302);
	http_header(c, "Location", where);
}

void
http_header(struct http_call *c, const char *name, struct str value)
{
	if (c->n_headers == HTTP_HEADERS_MAX)
		return;
	c->headers[c->n_headers].name = name;
	c->headers[c->n_headers].value = arena_str(&c->arena, value);
	c->n_headers++;
}
