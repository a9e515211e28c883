/*
 * codec/redact.c - see redact.h.
 */
#include "codec/redact.h"

#include "base/base.h"

#include <string.h>

#define SECRET_MIN 8

/* A token begins with `prefix`, goes on with at least `min` of its letters. */
static const struct {
	struct str prefix;
	size_t min;
} tokens[] = {
	{ STR("ghp_"), 20 },
	{ STR("gho_"), 20 },
	{ STR("ghs_"), 20 },
	{ STR("ghu_"), 20 },
	{ STR("github_pat_"), 20 },
	{ STR("glpat-"), 16 },
	{ STR("thymis-"), 64 },
	{ STR("AGE-SECRET-KEY-"), 20 },
};

/* Behind one of these, to the next space, all is secret. */
static const struct str leads[] = { STR("Bearer "), STR("bearer "),
	STR("Basic "), STR("PRIVATE-TOKEN: "), STR("X-Thymis-Token: ") };

static bool
is_token(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || c == '_' || c == '-';
}

static size_t
run_of_token(struct str s)
{
	size_t n = 0;

	while (n < s.len && is_token(s.ptr[n]))
		n++;
	return n;
}

static size_t
run_of_word(struct str s)
{
	size_t n = 0;

	while (n < s.len && s.ptr[n] != ' ' && s.ptr[n] != '"' &&
	    s.ptr[n] != '\'' && s.ptr[n] != '\t')
		n++;
	return n;
}

static struct str
from(struct str s, size_t at)
{
	return (struct str){ s.ptr + at, s.len - at };
}

/* "://user:password@": how much stands before the "@"; 0: it is none. */
static size_t
user_of_url(struct str s)
{
	size_t n = 3;

	if (!str_starts(s, STR("://")))
		return 0;
	while (n < s.len && s.ptr[n] != '/' && s.ptr[n] != '@' &&
	    s.ptr[n] != ' ' && s.ptr[n] != '"')
		n++;
	return n < s.len && s.ptr[n] == '@' ? n : 0;
}

/* "access-tokens = host=token host=token": all of it. */
static bool
is_access_tokens(struct str s)
{
	return str_starts(s, STR("access-tokens"));
}

/* The longest of those that are known: one may begin as another does. */
static size_t
known_at(struct str s, struct strs secrets)
{
	size_t n = 0;

	for (size_t i = 0; i < secrets.n; i++)
		if (secrets.at[i].len >= SECRET_MIN && secrets.at[i].len > n &&
		    str_starts(s, secrets.at[i]))
			n = secrets.at[i].len;
	return n;
}

/* How much of what stands at `s` is secret by its form; `*keep` bytes in front
 * of that stay. 0: nothing. */
static size_t
form_at(struct str s, size_t *keep)
{
	size_t n;

	*keep = 0;
	for (size_t i = 0; i < COUNT_OF(tokens); i++) {
		if (!str_starts(s, tokens[i].prefix))
			continue;
		*keep = tokens[i].prefix.len;
		n = run_of_token(from(s, *keep));
		if (n >= tokens[i].min)
			return n;
	}
	for (size_t i = 0; i < COUNT_OF(leads); i++) {
		if (!str_starts(s, leads[i]))
			continue;
		*keep = leads[i].len;
		n = run_of_word(from(s, *keep));
		if (n >= SECRET_MIN)
			return n;
	}
	n = user_of_url(s);
	if (n > 3) {
		const char *colon = memchr(s.ptr + 3, ':', n - 3);

		/* a name alone, as git@, tells nothing; ssh needs it */
		if (colon != NULL || n - 3 >= 16) {
			*keep = 3;
			return n - 3;
		}
	}
	if (is_access_tokens(s) && s.len > 13) {
		*keep = 13;
		return s.len - 13;
	}
	return 0;
}

static bool
has(struct str s, const char *what)
{
	return s.len > 0 && memmem(s.ptr, s.len, what, strlen(what)) != NULL;
}

/* A private key's block has lines of base64, an older one headers of two kinds
 * and an empty line before them. */
static bool
is_of_key(struct str line)
{
	return line.len == 0 || str_starts(line, STR("Proc-Type: ")) ||
	    str_starts(line, STR("DEK-Info: ")) ||
	    (line.len <= 80 && !has(line, " "));
}

/* Where what is left out ends: at `end`, or behind what is known and begins
 * between `at` and there. */
static size_t
ends_at(struct str line, size_t end, size_t at, struct strs secrets)
{
	for (; at < end && at < line.len; at++)
		end = MAX_OF(end, at + known_at(from(line, at), secrets));
	return end;
}

/* Where what is left out begins: at `to`, or in front of it, where what is
 * known begins. */
static size_t
begins_at(struct str line, size_t to, size_t at, struct strs secrets)
{
	while (at < to && known_at(from(line, at), secrets) == 0)
		at++;
	return at;
}

void
redact_line(
    struct redact *r, struct str line, struct strs secrets, struct buf *out)
{
	size_t at = 0, keep, n, known, end;

	if (has(line, "PRIVATE KEY-----")) {
		bool begins = has(line, "-----BEGIN "),
		     ends = has(line, "-----END ");

		r->in_key = begins && !ends;
		buf_addz(out, REDACTED);
		return;
	}
	if (r->in_key) {
		if (is_of_key(str_trim(line)))
			return;
		r->in_key = false;
	}
	while (at < line.len) {
		known = known_at(from(line, at), secrets);
		n = form_at(from(line, at), &keep);
		if (known == 0 && n == 0) {
			buf_addc(out, line.ptr[at++]);
			continue;
		}
		end = at + MAX_OF(keep + n, known);
		keep = begins_at(line, at + keep, at, secrets) - at;
		buf_add(out, line.ptr + at, keep);
		buf_addz(out, REDACTED);
		at = ends_at(line, end, at + keep, secrets);
	}
}
