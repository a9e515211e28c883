/*
 * edge/c8y_proxy_head.c - see c8y_proxy_head.h.
 *
 * One connection is one request: what two readers could take for a second one
 * is refused, and the cloud is asked to close behind its answer.
 */
#include "edge/c8y_proxy_head.h"

#include "base/base.h"

#include <string.h>

#define PREFIX "/c8y"

size_t
c8y_proxy_head_end(struct str bytes)
{
	const char *end =
	    bytes.len == 0 ? NULL : memmem(bytes.ptr, bytes.len, "\r\n\r\n", 4);

	return end == NULL ? 0 : (size_t)(end - bytes.ptr) + 4;
}

static bool
is_token(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (c <= ' ' || c > '~' ||
		    strchr("\"(),/:;<=>?@[\\]{}", c) != NULL)
			return false;
	}
	return s.len > 0;
}

/* The next line, without its end. */
static bool
next_line(struct str *rest, struct str *line)
{
	const char *end =
	    rest->len == 0 ? NULL : memmem(rest->ptr, rest->len, "\r\n", 2);

	if (end == NULL || end == rest->ptr)
		return false;
	*line = (struct str){ rest->ptr, (size_t)(end - rest->ptr) };
	rest->len -= line->len + 2;
	rest->ptr = end + 2;
	return true;
}

/* False: it is none. */
static bool
split(struct str line, struct str *name, struct str *value)
{
	for (size_t i = 0; i < line.len; i++) {
		unsigned char c = (unsigned char)line.ptr[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return false;
	}
	*value = line;
	*name = str_cut(value, ':');
	if (value->ptr == NULL || !is_token(*name))
		return false;
	*value = str_trim(*value);
	return true;
}

/* Of this connection alone, or written anew. */
static bool
is_ours(struct str name)
{
	static const char *const names[] = { "host", "connection", "keep-alive",
		"proxy-connection", "proxy-authorization", "te" };

	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (str_eq_nocase(name, str_of(names[i])))
			return true;
	return false;
}

static int
refuse(int status, const char *text, const char **why)
{
	*why = text;
	return status;
}

static int
read_line(struct str line, struct c8y_proxy_head *h, const char **why)
{
	struct str rest = line;

	h->method = str_cut(&rest, ' ');
	h->target = rest.ptr == NULL ? STR_NULL : str_cut(&rest, ' ');
	h->version = rest;
	if (!is_token(h->method) || h->target.len == 0 ||
	    !(str_eqz(h->version, "HTTP/1.1") ||
		str_eqz(h->version, "HTTP/1.0")))
		return refuse(400, "this is no request of HTTP/1.1", why);
	for (size_t i = 0; i < h->target.len; i++)
		if (h->target.ptr[i] <= ' ' || h->target.ptr[i] > '~')
			return refuse(
			    400, "the path has characters of no URL", why);
	if (str_eqz(h->method, "CONNECT"))
		return refuse(405, "CONNECT is not done here", why);
	return 0;
}

static int
read_header(struct str name, struct str value, struct c8y_proxy_head *h,
    bool *has_length, const char **why)
{
	if (str_eq_nocase(name, STR("host"))) {
		h->host = value;
	} else if (str_eq_nocase(name, STR("authorization"))) {
		h->authorized = true;
	} else if (str_eq_nocase(name, STR("upgrade"))) {
		h->upgrade = str_eq_nocase(value, STR("websocket"));
	} else if (str_eq_nocase(name, STR("transfer-encoding"))) {
		if (h->chunked || !str_eq_nocase(value, STR("chunked")))
			return refuse(501,
			    "of transfer encodings only chunked is known", why);
		h->chunked = true;
	} else if (str_eq_nocase(name, STR("content-length"))) {
		if (*has_length || !str_to_u64(value, &h->body) ||
		    h->body > INT64_MAX)
			return refuse(400, "Content-Length is no number", why);
		*has_length = true;
	}
	return 0;
}

int
c8y_proxy_head_read(
    struct str raw, struct c8y_proxy_head *ret, const char **why)
{
	struct str rest = raw, line, name, value;
	bool has_length = false;
	int rc;

	*ret = (struct c8y_proxy_head){ 0 };
	if (!next_line(&rest, &line))
		return refuse(400, "this is no request of HTTP/1.1", why);
	rc = read_line(line, ret, why);
	if (rc != 0)
		return rc;
	ret->headers = rest;
	while (next_line(&rest, &line)) {
		if (!split(line, &name, &value))
			return refuse(
			    400, "a line of the head is no header", why);
		rc = read_header(name, value, ret, &has_length, why);
		if (rc != 0)
			return rc;
	}
	if (has_length && ret->chunked)
		return refuse(400, "two lengths for one body", why);
	if (!str_starts(ret->target, STR(PREFIX)) ||
	    (ret->target.len > strlen(PREFIX) &&
		strchr("/?", ret->target.ptr[strlen(PREFIX)]) == NULL))
		return refuse(404,
		    "there is nothing here but /c8y/..., which is Cumulocity",
		    why);
	ret->target.ptr += strlen(PREFIX);
	ret->target.len -= strlen(PREFIX);
	return 0;
}

void
c8y_proxy_head_write(const struct c8y_proxy_head *h, struct str host,
    struct str authorization, struct buf *out)
{
	struct str rest = h->headers, line, name, value;

	buf_addf(out,
	    STR_FMT " %s" STR_FMT " " STR_FMT "\r\nHost: " STR_FMT "\r\n",
	    STR_ARG(h->method), str_starts(h->target, STR("/")) ? "" : "/",
	    STR_ARG(h->target), STR_ARG(h->version), STR_ARG(host));
	while (next_line(&rest, &line))
		if (split(line, &name, &value) && !is_ours(name) &&
		    (h->upgrade || !str_eq_nocase(name, STR("upgrade")))) {
			buf_add_str(out, line);
			buf_addz(out, "\r\n");
		}
	if (authorization.ptr != NULL)
		buf_addf(out, "Authorization: " STR_FMT "\r\n",
		    STR_ARG(authorization));
	buf_addf(
	    out, "Connection: %s\r\n\r\n", h->upgrade ? "Upgrade" : "close");
}
