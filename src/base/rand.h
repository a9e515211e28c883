/*
 * base/rand.h - random bytes from the kernel, and the ids made of them.
 */
#ifndef BASE_RAND_H
#define BASE_RAND_H

#include "base/arena.h"
#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

void rand_bytes(void *p, size_t len);
/* `n` characters of A-Z a-z 0-9, and a NUL. */
void rand_text(char *p, size_t n);
/* "<ms of t>-<n random characters>", the id form of Sylvia-IoT. */
struct str rand_id(struct arena *a, int64_t t, size_t n);

#define ID_SHORT                                                               \
	8          /* users, clients, units, applications, networks, devices   \
		    */
#define ID_LONG 12 /* routes and data */

#endif
