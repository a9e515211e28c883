/*
 * app/mqtt_acl.c - see mqtt_acl.h.
 */
#include "app/mqtt_acl.h"

#include "base/arena.h"
#include "base/base.h"
#include "base/mem.h"
#include "codec/mqtt.h"

#include <stdlib.h>
#include <string.h>

#define DENY 0u
#define READ 1u
#define WRITE 2u

struct rule {
	struct str filter;
	unsigned may; /* DENY, or READ and WRITE */
};

struct acl_rights {
	struct arena arena;
	struct rule *rules; /* own lines, then patterns; in each DENY first */
	size_t n, n_own;
};

struct line {
	struct rule rule;
	struct str user; /* STR_NULL: clients without a name */
	bool pattern;
};

struct acl {
	struct arena arena;
	struct line *lines;
	size_t n;
	struct strs users; /* named by a "user" line, perhaps without rules */
};

/* --- reading ------------------------------------------------------------- */

static const struct {
	const char *word;
	unsigned may;
} accesses[] = {
	{ "read", READ },
	{ "write", WRITE },
	{ "readwrite", READ | WRITE },
	{ "deny", DENY },
};

/* Takes the first word of `*rest` if it is one of accesses[] and something
 * follows; else the topic itself is meant, and both ways are allowed. */
static unsigned
take_access(struct str *rest)
{
	struct str after = *rest, word = str_cut(&after, ' ');

	for (size_t i = 0; after.ptr != NULL && i < COUNT_OF(accesses); i++) {
		if (!str_eqz(word, accesses[i].word))
			continue;
		*rest = str_trim(after);
		return accesses[i].may;
	}
	return READ | WRITE;
}

/* %u and %c are whole levels or nothing. */
static bool
variables_ok(struct str filter)
{
	while (filter.ptr != NULL) {
		struct str level = str_cut(&filter, '/');

		if (level.len > 2 &&
		    (memmem(level.ptr, level.len, "%u", 2) != NULL ||
			memmem(level.ptr, level.len, "%c", 2) != NULL))
			return false;
	}
	return true;
}

static int
add_rule(struct acl *a, bool pattern, struct str user, struct str rest,
    struct err *err)
{
	struct line l = { .pattern = pattern, .user = user };

	l.rule.may = take_access(&rest);
	if (!mqtt_filter_ok(rest))
		return err_set(err, ERR_PARAM,
		    "\"" STR_FMT "\" is not a topic filter", STR_ARG(rest));
	if (pattern && !variables_ok(rest))
		return err_set(err, ERR_PARAM,
		    "\"" STR_FMT "\": %%u and %%c must stand alone between "
		    "slashes",
		    STR_ARG(rest));
	l.rule.filter = arena_str(&a->arena, rest);
	a->lines = mem_resize(a->lines, a->n + 1, sizeof(*a->lines));
	a->lines[a->n++] = l;
	return 0;
}

static int
read_line(struct acl *a, struct str line, struct str *user, struct err *err)
{
	struct str rest = line, word;

	word = str_cut(&rest, ' ');
	rest = str_trim(rest);
	if (rest.len == 0)
		return err_set(err, ERR_PARAM,
		    "\"" STR_FMT "\": something must follow", STR_ARG(word));
	if (str_eqz(word, "user")) {
		*user = arena_str(&a->arena, rest);
		a->users.at = mem_resize(
		    a->users.at, a->users.n + 1, sizeof(*a->users.at));
		a->users.at[a->users.n++] = *user;
		return 0;
	}
	if (str_eqz(word, "topic"))
		return add_rule(a, false, *user, rest, err);
	if (str_eqz(word, "pattern"))
		return add_rule(a, true, STR_NULL, rest, err);
	return err_set(err, ERR_PARAM,
	    "\"" STR_FMT "\" must be user, topic or pattern", STR_ARG(word));
}

int
acl_read(struct str text, struct acl **ret, struct err *err)
{
	struct acl *a = mem_new(struct acl);
	struct str user = STR_NULL;

	for (int no = 1; text.ptr != NULL; no++) {
		struct str line = str_trim(str_cut(&text, '\n'));
		int rc;

		if (line.len == 0 || line.ptr[0] == '#')
			continue;
		rc = read_line(a, line, &user, err);
		if (rc != 0) {
			acl_free(a);
			return err_wrap(err, "line %d", no);
		}
	}
	*ret = a;
	return 0;
}

void
acl_free(struct acl *a)
{
	if (a == NULL)
		return;
	free(a->lines);
	free(a->users.at);
	arena_fini(&a->arena);
	free(a);
}

bool
acl_knows(const struct acl *a, struct str user)
{
	for (size_t i = 0; i < a->users.n; i++)
		if (str_eq(a->users.at[i], user))
			return true;
	for (size_t i = 0; i < a->n; i++)
		if (a->lines[i].pattern)
			return true;
	return false;
}

/* --- one client ---------------------------------------------------------- */

static bool
is_free_of(struct str s, const char *bad)
{
	for (size_t i = 0; i < s.len; i++)
		if (strchr(bad, s.ptr[i]) != NULL)
			return false;
	return true;
}

/* Writes a pattern for this client; STR_NULL: it does not count for it. */
static struct str
fill_in(struct arena *arena, struct str pattern, struct str user,
    struct str client_id)
{
	struct buf b = { 0 };
	struct str ret = STR_NULL;
	bool first = true;

	while (pattern.ptr != NULL) {
		struct str level = str_cut(&pattern, '/');

		if (!first)
			buf_addc(&b, '/');
		first = false;
		if (str_eqz(level, "%u")) {
			if (user.len == 0 || !is_free_of(user, "+#"))
				goto done;
			level = user;
		} else if (str_eqz(level, "%c")) {
			if (client_id.len == 0 || !is_free_of(client_id, "+#/"))
				goto done;
			level = client_id;
		}
		buf_add_str(&b, level);
	}
	if (mqtt_filter_ok(buf_str(&b)))
		ret = arena_str(arena, buf_str(&b));
done:
	buf_free(&b);
	return ret;
}

static bool
same_user(struct str a, struct str b)
{
	if (a.ptr == NULL || b.ptr == NULL)
		return a.ptr == b.ptr;
	return str_eq(a, b);
}

/* Adds the lines of one kind: the denying ones, or the others. */
static void
add_lines(struct acl_rights *r, const struct acl *a, bool pattern, bool deny,
    struct str user, struct str client_id)
{
	for (size_t i = 0; i < a->n; i++) {
		const struct line *l = &a->lines[i];
		struct str filter;

		if (l->pattern != pattern || (l->rule.may == DENY) != deny ||
		    (!pattern && !same_user(l->user, user)))
			continue;
		filter = pattern
		    ? fill_in(&r->arena, l->rule.filter, user, client_id)
		    : arena_str(&r->arena, l->rule.filter);
		if (filter.ptr != NULL)
			r->rules[r->n++] = (struct rule){ filter, l->rule.may };
	}
}

struct acl_rights *
acl_rights_new(const struct acl *a, struct str user, struct str client_id)
{
	struct acl_rights *r;

	if (a == NULL)
		return NULL;
	r = mem_new(struct acl_rights);
	r->rules = arena_array(&r->arena, a->n + 1, struct rule);
	add_lines(r, a, false, true, user, client_id);
	add_lines(r, a, false, false, user, client_id);
	r->n_own = r->n;
	add_lines(r, a, true, true, user, client_id);
	add_lines(r, a, true, false, user, client_id);
	return r;
}

void
acl_rights_free(struct acl_rights *r)
{
	if (r == NULL)
		return;
	arena_fini(&r->arena);
	free(r);
}

bool
acl_rights_equal(const struct acl_rights *a, const struct acl_rights *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	if (a->n != b->n || a->n_own != b->n_own)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (a->rules[i].may != b->rules[i].may ||
		    !str_eq(a->rules[i].filter, b->rules[i].filter))
			return false;
	return true;
}

/* --- asking -------------------------------------------------------------- */

static bool
is(struct str level, char wildcard)
{
	return level.len == 1 && level.ptr[0] == wildcard;
}

/* Wildcards at the start do not match topics that begin with "$". */
static bool
hidden_apart(struct str a, struct str b)
{
	bool a_hidden = a.len > 0 && a.ptr[0] == '$';
	bool b_hidden = b.len > 0 && b.ptr[0] == '$';

	return a_hidden != b_hidden;
}

/* Does `wide` match every topic that `filter` does? */
static bool
covers(struct str wide, struct str filter)
{
	if (hidden_apart(wide, filter))
		return false;
	while (wide.ptr != NULL) {
		struct str w = str_cut(&wide, '/'), f;

		if (is(w, '#'))
			return true;
		if (filter.ptr == NULL)
			return false;
		f = str_cut(&filter, '/');
		if (is(f, '#') || (!is(w, '+') && !str_eq(w, f)))
			return false;
	}
	return filter.ptr == NULL;
}

/* Is there a topic that both match? */
static bool
overlaps(struct str a, struct str b)
{
	if (hidden_apart(a, b))
		return false;
	while (a.ptr != NULL && b.ptr != NULL) {
		struct str x = str_cut(&a, '/'), y = str_cut(&b, '/');

		if (is(x, '#') || is(y, '#'))
			return true;
		if (!is(x, '+') && !is(y, '+') && !str_eq(x, y))
			return false;
	}
	/* "a/#" matches "a" */
	return (a.ptr == NULL || is(a, '#')) && (b.ptr == NULL || is(b, '#'));
}

/* Of a group of rules: 1 allowed, -1 denied, 0 it says nothing. */
static int
judge(const struct rule *rules, size_t n, unsigned way, struct str topic)
{
	for (size_t i = 0; i < n; i++) {
		const struct rule *r = &rules[i];

		if (r->may == DENY && overlaps(r->filter, topic))
			return -1;
		if (r->may & way && covers(r->filter, topic))
			return 1;
	}
	return 0;
}

static bool
may(const struct acl_rights *r, unsigned way, struct str topic)
{
	int said;

	if (r == NULL)
		return true;
	said = judge(r->rules, r->n_own, way, topic);
	if (said == 0)
		said = judge(r->rules + r->n_own, r->n - r->n_own, way, topic);
	return said > 0;
}

/* A topic is a filter that matches itself only. */
bool
acl_may_publish(const struct acl_rights *r, struct str topic)
{
	return may(r, WRITE, topic);
}

bool
acl_may_subscribe(const struct acl_rights *r, struct str filter)
{
	return may(r, READ, filter);
}
