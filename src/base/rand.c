/*
 * base/rand.c - see rand.h.
 */
#include "base/rand.h"

#include "base/base.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/random.h>

void
rand_bytes(void *p, size_t len)
{
	char *at = p;

	while (len > 0) {
		ssize_t n = getrandom(at, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			abort(); /* no randomness: nothing may go on */
		at += n;
		len -= (size_t)n;
	}
}

/* Bytes are drawn in stock: one system call for many ids. */
static unsigned char
next_byte(void)
{
	static _Thread_local unsigned char stock[256];
	static _Thread_local size_t left;

	if (left == 0) {
		rand_bytes(stock, sizeof(stock));
		left = sizeof(stock);
	}
	return stock[--left];
}

void
rand_text(char *p, size_t n)
{
	static const char abc[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

	for (size_t i = 0; i < n; i++) {
		unsigned char b;

		do
			b = next_byte();
		while (b >= 248); /* 4 * 62: no character likelier */
		p[i] = abc[b % 62];
	}
	p[n] = '\0';
}

struct str
rand_id(struct arena *a, int64_t t, size_t n)
{
	char text[33];

	rand_text(text, MIN_OF(n, sizeof(text) - 1));
	return arena_printf(a, "%" PRId64 "-%s", t, text);
}
