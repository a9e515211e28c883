/*
 * base/mem.h - memory.
 *
 * Sizes we bound come from mem_new() and mem_alloc(): zeroed, never NULL (the
 * process stops when memory is gone, and is restarted). Sizes a peer chose go
 * through mem_try(), after the limit check. All is freed with free().
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

#define mem_new(type) ((type *)mem_alloc(sizeof(type)))

void *mem_alloc(size_t size);                     /* zeroed */
void *mem_array(size_t n, size_t size);           /* zeroed, overflow checked */
void *mem_resize(void *p, size_t n, size_t size); /* not zeroed */
void *mem_try(size_t size); /* not zeroed, NULL if refused */
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
