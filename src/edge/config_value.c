/*
 * edge/config_value.c - what may be the value of a key: see config.h.
 */
#include "edge/config_private.h"

#include "codec/duration.h"

#include <string.h>

bool
config_duration(struct str text, int64_t *ms)
{
	uint64_t s;

	if (str_to_u64(text, &s)) {
		if (s > (uint64_t)INT64_MAX / 1000)
			return false;
		*ms = (int64_t)s * 1000;
		return true;
	}
	return duration_parse_ms(text, ms) && *ms >= 0;
}

/* "host", "host:1883", "[::1]:1883" */
static bool
host_ok(struct str text)
{
	struct str host = text;
	const char *colon = memrchr(text.ptr, ':', text.len);
	int64_t port;

	if (memchr(text.ptr, '/', text.len) != NULL ||
	    memchr(text.ptr, ' ', text.len) != NULL)
		return false;
	if (colon != NULL && text.ptr[0] != '[' &&
	    memchr(text.ptr, ':', text.len) == colon)
		host.len = (size_t)(colon - text.ptr);
	else if (colon != NULL && text.ptr[0] == '[' && colon[-1] == ']')
		host.len = (size_t)(colon - text.ptr);
	if (host.len < text.len) {
		struct str number = { text.ptr + host.len + 1,
			text.len - host.len - 1 };

		if (!str_to_i64(number, &port) || port < 1 || port > 65535)
			return false;
	}
	return host.len > 0;
}

static void
int_range(const struct config_key *k, int64_t *min, int64_t *max)
{
	*min = k->min;
	*max = k->min == 0 && k->max == 0 ? 65535 : k->max;
}

int
config_check(const struct config_key *k, struct str text, struct err *err)
{
	int64_t n, min, max;
	struct buf b = { 0 };

	if (!str_is_utf8(text) || memchr(text.ptr, '\0', text.len) != NULL)
		return err_set(err, ERR_PARAM, "must be text in UTF-8");
	switch (k->type) {
	case CONFIG_TEXT:
	case CONFIG_LIST:
		return 0;
	case CONFIG_PATH:
		if (text.len == 0 || text.ptr[0] != '/')
			return err_set(err, ERR_PARAM,
			    "must be a path that begins with \"/\", not "
			    "\"" STR_FMT "\"",
			    STR_ARG(text));
		return 0;
	case CONFIG_HOST:
		if (!host_ok(text))
			return err_set(err, ERR_PARAM,
			    "must be a host, with or without \":port\", not "
			    "\"" STR_FMT "\"",
			    STR_ARG(text));
		return 0;
	case CONFIG_INT:
		int_range(k, &min, &max);
		if (!str_to_i64(text, &n) || n < min || n > max)
			return err_set(err, ERR_PARAM,
			    "must be a number of %lld to %lld, not \"" STR_FMT
			    "\"",
			    (long long)min, (long long)max, STR_ARG(text));
		return 0;
	case CONFIG_BOOL:
		if (!str_eqz(text, "true") && !str_eqz(text, "false"))
			return err_set(err, ERR_PARAM,
			    "must be true or false, not \"" STR_FMT "\"",
			    STR_ARG(text));
		return 0;
	case CONFIG_DURATION:
		if (!config_duration(text, &n))
			return err_set(err, ERR_PARAM,
			    "must be seconds, or a time such as 60s, 10m, 1h, "
			    "30d, not \"" STR_FMT "\"",
			    STR_ARG(text));
		return 0;
	case CONFIG_ENUM:
		for (const char *const *c = k->choices; *c != NULL; c++) {
			if (str_eqz(text, *c)) {
				buf_free(&b);
				return 0;
			}
			buf_addf(&b, "%s%s", b.len > 0 ? ", " : "", *c);
		}
		err_set(err, ERR_PARAM,
		    "must be one of %s, not \"" STR_FMT "\"", buf_z(&b),
		    STR_ARG(text));
		buf_free(&b);
		return ERR_PARAM;
	}
	return err_set(err, ERR_INTERNAL, "no such type");
}

/* A value of the file, or one written like it, as it would be typed. False: it
 * is a table, or a list of such. */
bool
config_as_typed(struct arena *a, const struct toml *v, struct str *ret)
{
	struct buf b = { 0 };
	bool ok = v->type != TOML_TABLE;

	if (ok && v->type != TOML_ARRAY) {
		*ret = arena_str(a, v->text);
		return true;
	}
	for (const struct toml *m = v->first; ok && m != NULL; m = m->next) {
		ok = m->type != TOML_TABLE && m->type != TOML_ARRAY;
		if (b.len > 0)
			buf_addc(&b, ',');
		buf_add_str(&b, m->text);
	}
	if (ok)
		*ret = arena_str(a, (struct str){ buf_z(&b), b.len });
	buf_free(&b);
	return ok;
}
