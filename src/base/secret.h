/*
 * base/secret.h - texts that must not be seen: not in a sentence, an answer or
 * a log, even when a peer repeats them.
 *
 * Zero-initialise. One thread at a time.
 */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include "base/arena.h"
#include "base/str.h"

struct secrets {
	struct arena arena;
	struct strs list; /* longest first */
};

/* Copies `secret`; one of less than three letters is none. */
void secrets_add(struct secrets *s, struct str secret);
/* Writes `text` with "***" for each secret and spaces for control characters,
 * cut to `size`. */
void secrets_scrub(
    const struct secrets *s, const char *text, char *out, size_t size);
/* The length of a secret that `text` begins with, or 0. */
size_t secrets_at(const struct secrets *s, struct str text);
void secrets_fini(struct secrets *s);

#endif
