/*
 * core/rest/check.c - see check.h.
 */
#include "core/rest/check.h"

#include "base/base.h"
#include "codec/url.h"

#include <string.h>

/* Words that stand where an id may stand in a path. */
static const char *const taken[] = { "count", "list", "bulk", "bulk-delete",
	"range", "range-delete", "user", "stats" };

static bool
is_lower_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool
all_of(struct str s, const char *more)
{
	for (size_t i = 0; i < s.len; i++)
		if (!is_lower_alnum(s.ptr[i]) &&
		    (s.ptr[i] == '\0' || strchr(more, s.ptr[i]) == NULL))
			return false;
	return true;
}

int
check_code(struct str s, struct err *err)
{
	if (s.len == 0 || !is_lower_alnum(s.ptr[0]) || !all_of(s, "_-"))
		return err_set(err, ERR_PARAM,
		    "must begin with a letter or digit and hold only a-z, "
		    "0-9, _ and -");
	for (size_t i = 0; i < COUNT_OF(taken); i++)
		if (str_eqz(s, taken[i]))
			return err_set(err, ERR_PARAM,
			    "\"%s\" is the name of an operation; choose "
			    "another",
			    taken[i]);
	return 0;
}

int
check_profile(struct str s, struct err *err)
{
	return s.len == 0 ? 0 : check_code(s, err);
}

static bool
is_domain(struct str s)
{
	struct str label = STR_NULL;

	if (memchr(s.ptr, '.', s.len) == NULL)
		return false;
	while (s.ptr != NULL) {
		label = str_cut(&s, '.');
		if (label.len == 0 || !all_of(label, "-") ||
		    label.ptr[0] == '-' || label.ptr[label.len - 1] == '-')
			return false;
	}
	for (size_t i = 0; i < label.len; i++)
		if (label.ptr[i] < 'a' || label.ptr[i] > 'z')
			return false;
	return label.len >= 2 && label.len <= 6;
}

int
check_account(struct str s, struct err *err)
{
	struct str domain = s, local = str_cut(&domain, '@');

	if (domain.ptr == NULL)
		return check_code(s, err);
	if (!all_of(local, "_+.") ||
	    (local.len > 0 &&
		(local.ptr[0] == '.' || local.ptr[local.len - 1] == '.')) ||
	    !is_domain(domain))
		return err_set(
		    err, ERR_PARAM, "is neither a code nor an e-mail address");
	return 0;
}

int
check_scope(struct str s, struct err *err)
{
	do {
		struct str word = str_cut(&s, '.');

		if (word.len == 0 || !all_of(word, ""))
			return err_set(err, ERR_PARAM,
			    "must be words of a-z and 0-9, joined by dots");
	} while (s.ptr != NULL);
	return 0;
}

int
check_url(struct str s, struct err *err)
{
	struct arena a = { 0 };
	struct url u;
	bool ok = url_parse(&a, s, &u);

	arena_fini(&a);
	return ok ? 0 : err_set(err, ERR_PARAM, "must be an absolute URL");
}

int
check_filled(struct str s, struct err *err)
{
	return s.len > 0 ? 0 : err_set(err, ERR_PARAM, "must not be empty");
}

bool
is_secret_name(struct str name)
{
	static const char *const names[] = { "password", "clientSecret",
		"token", "access_token", "accessToken", "authorization",
		"authentication", "jwtAccessSecret", "encryptionKey", "apiKey",
		"api_key", "api-key", "x-api-key", "secret", "secretBase64",
		"psk", "cookie", "proxy-authorization" };

	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (str_eq_nocase(name, str_of(names[i])))
			return true;
	return false;
}
