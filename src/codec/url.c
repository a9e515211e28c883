/*
 * codec/url.c - see url.h.
 */
#include "codec/url.h"

#include <string.h>

static bool
is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	    (c >= 'A' && c <= 'Z');
}

static void
encode(struct buf *out, struct str s, const char *keep, bool form)
{
	static const char hex[] = "0123456789ABCDEF";

	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (is_alnum((char)c) ||
		    (c != '\0' && strchr(keep, c) != NULL)) {
			buf_addc(out, (char)c);
		} else if (form && c == ' ') {
			buf_addc(out, '+');
		} else {
			buf_addc(out, '%');
			buf_addc(out, hex[c >> 4]);
			buf_addc(out, hex[c & 15]);
		}
	}
}

void
url_form_encode(struct buf *out, struct str s)
{
	encode(out, s, "*-._", true);
}

void
url_encode(struct buf *out, struct str s)
{
	encode(out, s, "-._~", false);
}

struct str
url_decode(struct arena *a, struct str s, bool form)
{
	char *p = arena_alloc(a, s.len + 1), *to = p;

	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '%' && i + 2 < s.len &&
		    hex_digit(s.ptr[i + 1]) >= 0 &&
		    hex_digit(s.ptr[i + 2]) >= 0) {
			*to++ = (char)(hex_digit(s.ptr[i + 1]) << 4 |
			    hex_digit(s.ptr[i + 2]));
			i += 2;
		} else {
			*to++ = form && s.ptr[i] == '+' ? ' ' : s.ptr[i];
		}
	}
	return (struct str){ p, (size_t)(to - p) };
}

void
url_form_add(struct buf *out, const char *name, struct str value)
{
	if (out->len > 0 && out->ptr[out->len - 1] != '?')
		buf_addc(out, '&');
	url_form_encode(out, str_of(name));
	buf_addc(out, '=');
	url_form_encode(out, value);
}

struct url_form
url_form_parse(struct arena *a, struct str s)
{
	struct url_form f = { 0 };
	size_t n = 1;

	if (s.len == 0)
		return f;
	for (size_t i = 0; i < s.len; i++)
		n += s.ptr[i] == '&';
	if (n > URL_PAIRS_MAX)
		n = URL_PAIRS_MAX;
	f.at = arena_array(a, n, struct url_pair);
	while (s.ptr != NULL && f.n < n) {
		struct str value = str_cut(&s, '&'), name;

		if (value.len == 0)
			continue;
		name = str_cut(&value, '=');
		f.at[f.n].name = url_decode(a, name, true);
		f.at[f.n].value = url_decode(a, value, true);
		f.n++;
	}
	return f;
}

struct str
url_form_get(const struct url_form *f, const char *name)
{
	for (size_t i = 0; i < f->n; i++)
		if (str_eqz(f->at[i].name, name))
			return f->at[i].value;
	return STR_NULL;
}

/* What stands before the first of `marks`; `*s` is left at the mark. */
static struct str
until(struct str *s, const char *marks)
{
	struct str head = { s->ptr, 0 };

	while (head.len < s->len &&
	    (s->ptr[head.len] == '\0' ||
		strchr(marks, s->ptr[head.len]) == NULL))
		head.len++;
	s->ptr += head.len;
	s->len -= head.len;
	return head;
}

static bool
parse_port(struct str text, int *ret)
{
	uint64_t n;

	if (text.len == 0) { /* "host:" */
		*ret = 0;
		return true;
	}
	if (!str_to_u64(text, &n) || n > 65535)
		return false;
	*ret = (int)n;
	return true;
}

/* "[...]" around an IPv6 address. */
static bool
is_ip6(struct str h)
{
	size_t colons = 0;

	for (size_t i = 1; i + 1 < h.len; i++) {
		colons += h.ptr[i] == ':';
		if (hex_digit(h.ptr[i]) < 0 && h.ptr[i] != ':' &&
		    h.ptr[i] != '.')
			return false;
	}
	return colons >= 2;
}

static bool
is_host(struct str h)
{
	if (h.len > 0 && h.ptr[0] == '[')
		return is_ip6(h);
	for (size_t i = 0; i < h.len; i++)
		if (strchr("<>^|%\\\"`{}[]", h.ptr[i]) != NULL)
			return false;
	return true;
}

/* White space and controls stand in no URL; a line break in one would become a
 * line break in a header. */
static bool
is_plain(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] <= 0x20 || s.ptr[i] == 0x7F)
			return false;
	return s.len > 0;
}

static bool
parse_authority(struct arena *a, struct str s, struct url *u)
{
	const char *at = NULL;
	struct str host;

	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] == '@')
			at = s.ptr + i;
	if (at != NULL) {
		struct str who = { s.ptr, (size_t)(at - s.ptr) };

		s.len -= who.len + 1;
		s.ptr = at + 1;
		u->user = str_cut(&who, ':');
		u->password = who;
	}
	if (s.len > 0 && s.ptr[0] == '[') {
		host = until(&s, "]");
		if (s.len == 0)
			return false;
		host.len++;
		s.ptr++;
		s.len--;
	} else {
		host = until(&s, ":");
	}
	if (s.len > 0) {
		if (s.ptr[0] != ':' ||
		    !parse_port((struct str){ s.ptr + 1, s.len - 1 }, &u->port))
			return false;
	}
	u->host = arena_lower(a, host);
	return is_host(host);
}

bool
url_parse(struct arena *a, struct str s, struct url *ret)
{
	struct url u = { 0 };
	struct str scheme;

	s = str_trim(s);
	if (!is_plain(s))
		return false;
	scheme = until(&s, ":/?#");
	if (s.len == 0 || s.ptr[0] != ':' || scheme.len == 0 ||
	    !is_alnum(scheme.ptr[0]) || scheme.ptr[0] <= '9')
		return false;
	for (size_t i = 0; i < scheme.len; i++)
		if (!is_alnum(scheme.ptr[i]) &&
		    memchr("+-.", scheme.ptr[i], 3) == NULL)
			return false;
	u.scheme = arena_lower(a, scheme);
	s.ptr++;
	s.len--;
	if (str_starts(s, STR("//"))) {
		struct str authority;

		s.ptr += 2;
		s.len -= 2;
		authority = until(&s, "/?#\\");
		u.has_authority = true;
		if (!parse_authority(a, authority, &u))
			return false;
	}
	if ((u.has_authority || str_eqz(u.scheme, "http") ||
		str_eqz(u.scheme, "https")) &&
	    u.host.len == 0 && !str_eqz(u.scheme, "file"))
		return false;
	u.path = until(&s, "?#");
	if (s.len > 0 && s.ptr[0] == '?') {
		s.ptr++;
		s.len--;
		u.query = until(&s, "#");
	}
	if (s.len > 0)
		u.fragment = (struct str){ s.ptr + 1, s.len - 1 };
	*ret = u;
	return true;
}

static int
default_port(struct str scheme)
{
	static const struct {
		const char *scheme;
		int port;
	} known[] = { { "http", 80 }, { "https", 443 }, { "ws", 80 },
		{ "wss", 443 }, { "amqp", 5672 }, { "amqps", 5671 },
		{ "mqtt", 1883 }, { "mqtts", 8883 } };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (str_eqz(scheme, known[i].scheme))
			return known[i].port;
	return 0;
}

int
url_port(const struct url *u)
{
	return u->port != 0 ? u->port : default_port(u->scheme);
}

struct str
url_origin(struct arena *a, const struct url *u)
{
	if (u->port != 0)
		return arena_printf(a, STR_FMT "://" STR_FMT ":%d",
		    STR_ARG(u->scheme), STR_ARG(u->host), u->port);
	return arena_printf(
	    a, STR_FMT "://" STR_FMT, STR_ARG(u->scheme), STR_ARG(u->host));
}

struct str
url_normal(struct arena *a, const struct url *u)
{
	bool web = str_eqz(u->scheme, "http") || str_eqz(u->scheme, "https") ||
	    str_eqz(u->scheme, "ws") || str_eqz(u->scheme, "wss");
	struct buf b = { 0 };
	struct str s;

	buf_add_str(&b, u->scheme);
	buf_addz(&b, u->has_authority ? "://" : ":");
	if (u->user.len > 0 || u->password.len > 0) {
		buf_add_str(&b, u->user);
		if (u->password.len > 0) {
			buf_addc(&b, ':');
			buf_add_str(&b, u->password);
		}
		buf_addc(&b, '@');
	}
	buf_add_str(&b, u->host);
	if (u->port != 0 && !(web && u->port == default_port(u->scheme)))
		buf_addf(&b, ":%d", u->port);
	if (u->path.len > 0)
		buf_add_str(&b, u->path);
	else if (web)
		buf_addc(&b, '/');
	if (u->query.ptr != NULL) {
		buf_addc(&b, '?');
		buf_add_str(&b, u->query);
	}
	if (u->fragment.ptr != NULL) {
		buf_addc(&b, '#');
		buf_add_str(&b, u->fragment);
	}
	s = arena_str(a, buf_str(&b));
	buf_free(&b);
	return s;
}
