/*
 * base/secret.c - see secret.h.
 */
#include "base/secret.h"

#include <string.h>

#define SECRET_MIN 3

void
secrets_add(struct secrets *s, struct str secret)
{
	struct str *more;
	size_t i = s->list.n;

	if (secret.len < SECRET_MIN)
		return;
	for (size_t k = 0; k < i; k++)
		if (str_eq(s->list.at[k], secret))
			return;
	more = arena_array(&s->arena, s->list.n + 1, struct str);
	if (s->list.n > 0)
		memcpy(more, s->list.at, s->list.n * sizeof(*more));
	for (; i > 0 && more[i - 1].len < secret.len; i--)
		more[i] = more[i - 1];
	more[i] = arena_str(&s->arena, secret);
	s->list = (struct strs){ more, s->list.n + 1 };
}

size_t
secrets_at(const struct secrets *s, struct str text)
{
	for (size_t i = 0; i < s->list.n; i++)
		if (str_starts(text, s->list.at[i]))
			return s->list.at[i].len;
	return 0;
}

void
secrets_scrub(const struct secrets *s, const char *text, char *out, size_t size)
{
	struct str rest = str_of(text);
	size_t len = 0;

	while (rest.len > 0 && len + 4 < size) {
		size_t skip = secrets_at(s, rest);

		if (skip > 0) {
			memcpy(out + len, "***", 3);
			len += 3;
		} else {
			unsigned char c = (unsigned char)*rest.ptr;

			out[len++] = c < 0x20 || c == 0x7f ? ' ' : (char)c;
			skip = 1;
		}
		rest.ptr += skip;
		rest.len -= skip;
	}
	out[len] = '\0';
}

void
secrets_fini(struct secrets *s)
{
	arena_fini(&s->arena);
	s->list = (struct strs){ NULL, 0 };
}
