/*
 * codec/flake_ref.c - see flake_ref.h.
 */
#include "codec/flake_ref.h"

#include "base/base.h"

#include <string.h>

const char *const flake_type_names[] = {
	[FLAKE_INDIRECT] = "indirect",
	[FLAKE_GIT] = "git",
	[FLAKE_GITHUB] = "github",
	[FLAKE_GITLAB] = "gitlab",
	[FLAKE_PATH] = "path",
	[FLAKE_TARBALL] = "tarball",
};

static bool
is_rev(struct str s)
{
	return s.len == 40 && str_is_hex(s);
}

/* One part of a path: "owner%2Fsub" is "owner/sub". */
static struct str
decoded(struct arena *a, struct str s)
{
	struct buf b = { 0 };
	struct str ret;

	for (size_t i = 0; i < s.len; i++) {
		struct str hex = { s.ptr + i + 1, 2 };

		if (s.ptr[i] == '%' && i + 2 < s.len && str_is_hex(hex)) {
			hex_decode(&b, hex);
			i += 2;
		} else {
			buf_addc(&b, s.ptr[i]);
		}
	}
	ret = arena_str(a, b.ptr != NULL ? buf_str(&b) : STR(""));
	buf_free(&b);
	return ret;
}

static void
take_query(struct flake_ref *r, struct str query, struct arena *a)
{
	while (query.ptr != NULL && query.len > 0) {
		struct str value = str_cut(&query, '&');
		struct str key = str_cut(&value, '=');

		if (value.ptr == NULL)
			continue;
		value = decoded(a, value);
		if (str_eqz(key, "ref"))
			r->ref = value;
		else if (str_eqz(key, "rev"))
			r->rev = value;
		else if (str_eqz(key, "dir"))
			r->dir = value;
		else if (str_eqz(key, "host") &&
		    (r->type == FLAKE_GITHUB || r->type == FLAKE_GITLAB))
			r->host = value;
	}
}

static void
take_version(struct flake_ref *r, struct str version)
{
	if (version.len == 0)
		return;
	if (is_rev(version))
		r->rev = version;
	else
		r->ref = version;
}

static struct str
without(struct str s, struct str end)
{
	if (str_ends(s, end))
		s.len -= end.len;
	return s;
}

/* "host/owner/.../repo.git" of a URL, perhaps with a user in front. */
static void
take_host(struct flake_ref *r, struct str rest)
{
	struct str host, at;
	const char *slash;

	if (str_eqz(r->protocol, "file"))
		return;
	host = str_cut(&rest, '/');
	at = host;
	(void)str_cut(&at, '@');
	r->host = at.ptr != NULL ? at : host;
	rest = without(str_trim(rest), STR("/"));
	if (rest.len == 0)
		return;
	slash = memrchr(rest.ptr, '/', rest.len);
	if (slash == NULL) {
		r->repo = without(rest, STR(".git"));
		return;
	}
	r->owner = (struct str){ rest.ptr, (size_t)(slash - rest.ptr) };
	r->repo =
	    without((struct str){ slash + 1, rest.len - r->owner.len - 1 },
		STR(".git"));
}

static bool
cut_prefix(struct str *s, const char *prefix)
{
	struct str p = str_of(prefix);

	if (!str_starts(*s, p))
		return false;
	s->ptr += p.len;
	s->len -= p.len;
	return true;
}

static int
read_git(struct flake_ref *r, struct str text, struct err *err)
{
	struct str rest = text;
	const char *mark;

	r->type = FLAKE_GIT;
	r->url = text;
	mark = memmem(text.ptr, text.len, "://", 3);
	if (mark == NULL) {
		/* git:host/owner/repo */
		r->protocol = STR("git");
	} else {
		r->protocol =
		    (struct str){ text.ptr, (size_t)(mark - text.ptr) };
		rest.ptr = mark + 3;
		rest.len = text.len - r->protocol.len - 3;
	}
	if (rest.len == 0)
		return err_set(err, ERR_PARAM, "an address is missing");
	take_host(r, rest);
	return 0;
}

static int
read_forge(struct flake_ref *r, struct str rest, enum flake_type type,
    struct arena *a, struct err *err)
{
	r->type = type;
	r->owner = decoded(a, str_cut(&rest, '/'));
	r->repo = rest.ptr != NULL ? decoded(a, str_cut(&rest, '/')) : STR_NULL;
	if (r->owner.len == 0 || r->repo.len == 0)
		return err_set(err, ERR_PARAM, "must be %s:owner/repository",
		    flake_type_names[type]);
	take_version(r, rest.ptr != NULL ? decoded(a, rest) : STR_NULL);
	return 0;
}

static int
read_indirect(struct flake_ref *r, struct str rest, struct err *err)
{
	struct str second;

	r->type = FLAKE_INDIRECT;
	r->id = str_cut(&rest, '/');
	if (r->id.len == 0)
		return err_set(err, ERR_PARAM, "a name is missing");
	second = rest.ptr != NULL ? str_cut(&rest, '/') : STR_NULL;
	take_version(r, second);
	if (rest.ptr != NULL)
		take_version(r, rest);
	return 0;
}

int
flake_ref_read(
    struct str text, struct arena *a, struct flake_ref *ret, struct err *err)
{
	static const char *const gits[] = { "git://", "git:", "git+ssh://",
		"git+http://", "git+https://", "git+file://" };
	struct flake_ref r = { 0 };
	struct str query, rest;
	int rc = 0;

	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.ptr[i] <= ' ' || text.ptr[i] == 0x7f)
			return err_set(err, ERR_PARAM,
			    "must have no white space and no control "
			    "characters");
	if (text.len == 0)
		return err_set(err, ERR_PARAM, "is empty");
	query = text;
	rest = str_cut(&query, '?');
	if (memchr(rest.ptr, ':', rest.len) == NULL &&
	    (rest.ptr[0] == '/' || rest.ptr[0] == '.')) {
		r.type = FLAKE_PATH;
		r.path = rest;
	} else if (memchr(rest.ptr, ':', rest.len) == NULL) {
		rc = read_indirect(&r, rest, err);
	} else if (cut_prefix(&rest, "flake:")) {
		rc = read_indirect(&r, rest, err);
	} else if (cut_prefix(&rest, "github:")) {
		rc = read_forge(&r, rest, FLAKE_GITHUB, a, err);
	} else if (cut_prefix(&rest, "gitlab:")) {
		rc = read_forge(&r, rest, FLAKE_GITLAB, a, err);
	} else if (cut_prefix(&rest, "path:")) {
		r.type = FLAKE_PATH;
		r.path = rest;
		if (rest.len == 0)
			rc = err_set(err, ERR_PARAM, "a path is missing");
	} else {
		bool found = false;

		for (size_t i = 0; i < COUNT_OF(gits) && !found; i++)
			found = str_starts(rest, str_of(gits[i]));
		if (found) {
			if (!cut_prefix(&rest, "git+") &&
			    !str_starts(rest, STR("git://")))
				cut_prefix(&rest, "git:");
			rc = read_git(&r, rest, err);
		} else if (str_starts(rest, STR("https://")) ||
		    str_starts(rest, STR("http://")) ||
		    str_starts(rest, STR("file://")) ||
		    str_starts(rest, STR("tarball+"))) {
			r.type = FLAKE_TARBALL;
			r.url = rest;
		} else {
			rc = err_set(err, ERR_PARAM,
			    "must begin with github:, gitlab:, git+https://, "
			    "git+ssh://, git+file://, https://, path: or "
			    "flake:");
		}
	}
	if (rc != 0)
		return rc;
	take_query(&r, query, a);
	if (r.rev.ptr != NULL && !is_rev(r.rev))
		return err_set(
		    err, ERR_PARAM, "rev must have 40 hexadecimal digits");
	*ret = r;
	return 0;
}

struct str
flake_ref_token(const struct flake_ref *r, struct str key, struct arena *a)
{
	struct str host = r->host;

	/* white space would begin another one */
	for (size_t i = 0; i < key.len; i++)
		if ((unsigned char)key.ptr[i] <= ' ' || key.ptr[i] == 0x7f)
			return STR_NULL;
	if (key.len == 0)
		return STR_NULL;
	switch (r->type) {
	case FLAKE_GITHUB:
		return arena_printf(a, STR_FMT "=" STR_FMT,
		    STR_ARG(host.ptr != NULL ? host : STR("github.com")),
		    STR_ARG(key));
	case FLAKE_GITLAB:
		return arena_printf(a, STR_FMT "=%s" STR_FMT,
		    STR_ARG(host.ptr != NULL ? host : STR("gitlab.com")),
		    str_starts(key, STR("glpat-")) ? "PAT:" : "", STR_ARG(key));
	case FLAKE_GIT:
		return host.len == 0 ? STR_NULL
				     : arena_printf(a, STR_FMT "=" STR_FMT,
					   STR_ARG(host), STR_ARG(key));
	default:
		return STR_NULL;
	}
}
