/*
 * base/mem.c - see mem.h.
 */
#include "base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static void
out_of_memory(size_t size)
{
	fprintf(stderr, "marram: out of memory (%zu bytes)\n", size);
	abort();
}

void *
mem_alloc(size_t size)
{
	void *p = calloc(1, size > 0 ? size : 1);

	if (p == NULL)
		out_of_memory(size);
	return p;
}

void *
mem_array(size_t n, size_t size)
{
	void *p = calloc(n > 0 ? n : 1, size > 0 ? size : 1);

	if (p == NULL)
		out_of_memory(n);
	return p;
}

void *
mem_resize(void *p, size_t n, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes))
		out_of_memory(SIZE_MAX);
	p = realloc(p, bytes > 0 ? bytes : 1);
	if (p == NULL)
		out_of_memory(bytes);
	return p;
}

void *
mem_try(size_t size)
{
	return malloc(size > 0 ? size : 1);
}

char *
mem_printf(const char *fmt, ...)
{
	va_list ap;
	char *text;
	int len;

	va_start(ap, fmt);
	len = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (len < 0)
		out_of_memory(0);
	return text;
}
