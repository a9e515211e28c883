/*
 * codec/url.h - percent-encoding, forms and URLs.
 */
#ifndef CODEC_URL_H
#define CODEC_URL_H

#include "base/arena.h"
#include "base/str.h"

#include <stdbool.h>

/* application/x-www-form-urlencoded: everything but letters, digits and
 * "*-._" is escaped, a space becomes "+". */
void url_form_encode(struct buf *out, struct str s);
/* RFC 3986: everything but unreserved characters is escaped. */
void url_encode(struct buf *out, struct str s);
/* Undoes both ("+" is a space only when `form`). A lone "%" stays as it is. */
struct str url_decode(struct arena *a, struct str s, bool form);

/* Adds "name=value", with "&" before it unless `out` is empty or ends with
 * "?". */
void url_form_add(struct buf *out, const char *name, struct str value);

/* One pair of a form or query. */
struct url_pair {
	struct str name, value;
};

struct url_form {
	struct url_pair *at;
	size_t n;
};

#define URL_PAIRS_MAX 256

/* Splits and decodes; pairs beyond URL_PAIRS_MAX are left out. */
struct url_form url_form_parse(struct arena *a, struct str s);
/* The first value of that name, or STR_NULL. */
struct str url_form_get(const struct url_form *f, const char *name);

/* An absolute URL in its parts, as they stand, except that scheme and host are
 * in lower case. `port` is 0 when there is none; the rest is STR_NULL or
 * without its mark ("?", "#"), path with its "/". */
struct url {
	struct str scheme, user, password, host, path, query, fragment;
	int port;
	bool has_authority; /* "//" was there */
};

/* False when `s` is not an absolute URL. Host of a scheme with authority must
 * not be empty, except for "file". */
bool url_parse(struct arena *a, struct str s, struct url *ret);
/* The port, or the well-known one of the scheme, or 0. */
int url_port(const struct url *u);
/* "scheme://host[:port]" and nothing more. */
struct str url_origin(struct arena *a, const struct url *u);
/* The text that a browser's URL parser would make of it (host folded, "/" for
 * an empty path of http, default port of http and https left out). */
struct str url_normal(struct arena *a, const struct url *u);

#endif
