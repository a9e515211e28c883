/*
 * base/str.h - lent text, and a buffer that grows.
 *
 * A `struct str` is passed by value and never owns what it points to, unless
 * the header that hands it out says so. It is not NUL-terminated. A NULL `ptr`
 * means "no text" (JSON null, SQL NULL); an empty text has a pointer.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct str {
	const char *ptr;
	size_t len;
};

/* A list of texts; `at` is NULL when it is empty. */
struct strs {
	struct str *at;
	size_t n;
};

#define STR(literal) ((struct str){ "" literal, sizeof(literal) - 1 })
#define STR_NULL ((struct str){ NULL, 0 })
#define STR_FMT "%.*s"
#define STR_ARG(s) (int)(s).len, (s).ptr

/* Lends a C string; NULL gives STR_NULL. */
struct str str_of(const char *z);

bool str_eq(struct str a, struct str b);
bool str_eqz(struct str a, const char *z);
bool str_eq_nocase(struct str a, struct str b); /* ASCII letters only */
int str_cmp(struct str a, struct str b);        /* bytes; NULL sorts first */
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
/* Case-insensitive for ASCII; an empty needle is found. */
bool str_contains_nocase(struct str s, struct str needle);
struct str str_trim(struct str s); /* ASCII white space at both ends */

/* Cuts `*s` at the first `sep`: returns what stands before it and leaves in
 * `*s` what follows, STR_NULL when there was no `sep`. */
struct str str_cut(struct str *s, char sep);

/* Reads a whole decimal number; false if there is anything else. */
bool str_to_i64(struct str s, int64_t *ret);
bool str_to_u64(struct str s, uint64_t *ret);

/* A NUL-terminated copy that the caller frees with free(). STR_NULL gives
 * NULL. */
char *str_dupz(struct str s);
/* An owned copy; free it with str_free(). */
struct str str_copy(struct str s);
void str_free(struct str s);

bool str_is_utf8(struct str s);
/* The same as buf_add_utf8(): 1 to 4 bytes; where they end. */
char *utf8_put(char *to, uint32_t c);
int hex_digit(char c); /* its value; -1: it is none */
bool str_is_hex(
    struct str s); /* digits of both cases, even length, may be "" */

/* Text being built. Zero-initialise; `ptr` is NULL until something is added. */
struct buf {
	char *ptr;
	size_t len;
	size_t cap;
};

void buf_reserve(struct buf *b, size_t more);
void buf_add(struct buf *b, const void *bytes, size_t len);
void buf_add_str(struct buf *b, struct str s);
void buf_addz(struct buf *b, const char *z);
void buf_addc(struct buf *b, char c);
/* A code point up to 0x10FFFF as UTF-8; surrogates are the caller's matter. */
void buf_add_utf8(struct buf *b, uint32_t c);
void buf_addf(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
struct str buf_str(const struct buf *b); /* lent until the next change */
char *buf_z(struct buf *b);    /* NUL-terminated, lent until the next change */
void buf_clear(struct buf *b); /* keeps the memory */
void buf_free(struct buf *b);

void hex_encode(struct buf *b, const void *bytes, size_t len); /* lower case */
/* False, with nothing added, when `s` is not hex of even length. */
bool hex_decode(struct buf *b, struct str s);
void base64_encode(struct buf *b, const void *bytes, size_t len, bool url);
/* Accepts both alphabets, padding optional. False on anything else. */
bool base64_decode(struct buf *b, struct str s);

#endif
