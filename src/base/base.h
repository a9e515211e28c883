/*
 * base/base.h - the few macros that every file may use.
 */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <stddef.h>

#define COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

#define MIN_OF(a, b) ((a) < (b) ? (a) : (b))
#define MAX_OF(a, b) ((a) > (b) ? (a) : (b))

/* From a pointer to a member to the struct that holds it. */
#define container_of(ptr, type, member)                                        \
	((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#endif
