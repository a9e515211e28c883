/*
 * base/arena.h - what dies together is allocated together.
 *
 * An arena gives memory that is returned in one call: one per packet, request
 * or config load. Zero-initialise it. Not for use by two threads at once.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/str.h"

#include <stdarg.h>
#include <stddef.h>

struct arena_block;

struct arena {
	struct arena_block *head;
	size_t used; /* bytes handed out, for limits */
};

#define arena_new(a, type) ((type *)arena_alloc((a), sizeof(type)))
#define arena_array(a, n, type) ((type *)arena_alloc((a), (n) * sizeof(type)))

void *arena_alloc(struct arena *a, size_t size); /* zeroed, never NULL */
/* A copy, NUL-terminated beyond its length. STR_NULL stays STR_NULL. */
struct str arena_str(struct arena *a, struct str s);
struct str arena_lower(struct arena *a, struct str s); /* ASCII */
char *arena_z(struct arena *a, struct str s);
struct str arena_printf(struct arena *a, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
struct str arena_vprintf(struct arena *a, const char *fmt, va_list ap);
struct strs arena_strs(struct arena *a, struct strs list); /* deep copy */
void arena_clear(struct arena *a); /* keeps one block for the next round */
void arena_fini(struct arena *a);

#endif
