/*
 * base/arena.c - see arena.h.
 *
 * Blocks form a list, the newest first; memory is taken from the newest only.
 * A request larger than a block gets one of its own.
 */
#include "base/arena.h"

#include "base/mem.h"

#include <ctype.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_FIRST 1024
#define BLOCK_MAX (64 * 1024)

struct arena_block {
	struct arena_block *next;
	size_t used, size;
	alignas(16) char data[];
};

void *
arena_alloc(struct arena *a, size_t size)
{
	struct arena_block *b = a->head;
	size_t need = (size + 15) & ~(size_t)15;
	void *p;

	if (need < size)
		abort(); /* a size near SIZE_MAX: our bug */
	if (b == NULL || b->size - b->used < need) {
		size_t room = b == NULL ? BLOCK_FIRST : b->size * 2;

		if (room > BLOCK_MAX)
			room = BLOCK_MAX;
		if (room < need)
			room = need;
		b = mem_resize(NULL, 1, sizeof(*b) + room);
		b->size = room;
		b->used = 0;
		b->next = a->head;
		a->head = b;
	}
	p = b->data + b->used;
	b->used += need;
	a->used += need;
	return memset(p, 0, need);
}

struct str
arena_str(struct arena *a, struct str s)
{
	char *p;

	if (s.ptr == NULL)
		return STR_NULL;
	p = arena_alloc(a, s.len + 1);
	memcpy(p, s.ptr, s.len);
	return (struct str){ p, s.len };
}

struct str
arena_lower(struct arena *a, struct str s)
{
	struct str copy = arena_str(a, s);
	char *p = (char *)copy.ptr;

	for (size_t i = 0; i < copy.len; i++)
		if (p[i] >= 'A' && p[i] <= 'Z')
			p[i] += 'a' - 'A';
	return copy;
}

char *
arena_z(struct arena *a, struct str s)
{
	return (char *)arena_str(a, s).ptr;
}

struct str
arena_vprintf(struct arena *a, const char *fmt, va_list ap)
{
	va_list again;
	int len;
	char *p;

	va_copy(again, ap);
	len = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (len < 0)
		return STR("");
	p = arena_alloc(a, (size_t)len + 1);
	vsnprintf(p, (size_t)len + 1, fmt, ap);
	return (struct str){ p, (size_t)len };
}

struct str
arena_printf(struct arena *a, const char *fmt, ...)
{
	struct str s;
	va_list ap;

	va_start(ap, fmt);
	s = arena_vprintf(a, fmt, ap);
	va_end(ap);
	return s;
}

struct strs
arena_strs(struct arena *a, struct strs list)
{
	struct strs copy = { NULL, list.n };

	if (list.n == 0)
		return copy;
	copy.at = arena_array(a, list.n, struct str);
	for (size_t i = 0; i < list.n; i++)
		copy.at[i] = arena_str(a, list.at[i]);
	return copy;
}

void
arena_clear(struct arena *a)
{
	struct arena_block *keep = a->head, *b, *next;

	a->used = 0;
	if (keep == NULL)
		return;
	for (b = keep->next; b != NULL; b = next) {
		next = b->next;
		free(b);
	}
	keep->next = NULL;
	keep->used = 0;
	if (keep->size > BLOCK_MAX) { /* one large request must not stay */
		free(keep);
		a->head = NULL;
	}
}

void
arena_fini(struct arena *a)
{
	arena_clear(a);
	free(a->head);
	a->head = NULL;
}
