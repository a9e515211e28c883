/*
 * base/str.c - see str.h.
 */
#include "base/str.h"

#include "base/mem.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct str
str_of(const char *z)
{
	return z == NULL ? STR_NULL : (struct str){ z, strlen(z) };
}

bool
str_eq(struct str a, struct str b)
{
	return a.len == b.len &&
	    (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0) &&
	    (a.ptr == NULL) == (b.ptr == NULL);
}

bool
str_eqz(struct str a, const char *z)
{
	return str_eq(a, str_of(z));
}

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
}

bool
str_eq_nocase(struct str a, struct str b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (lower(a.ptr[i]) != lower(b.ptr[i]))
			return false;
	return true;
}

int
str_cmp(struct str a, struct str b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int rc;

	if (a.ptr == NULL || b.ptr == NULL)
		return (a.ptr != NULL) - (b.ptr != NULL);
	rc = n > 0 ? memcmp(a.ptr, b.ptr, n) : 0;
	if (rc != 0)
		return rc;
	return (a.len > b.len) - (a.len < b.len);
}

bool
str_starts(struct str s, struct str prefix)
{
	return s.len >= prefix.len &&
	    (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

bool
str_ends(struct str s, struct str suffix)
{
	return s.len >= suffix.len &&
	    (suffix.len == 0 ||
		memcmp(s.ptr + s.len - suffix.len, suffix.ptr, suffix.len) ==
		    0);
}

bool
str_contains_nocase(struct str s, struct str needle)
{
	for (size_t i = 0; i + needle.len <= s.len; i++)
		if (str_eq_nocase(
			(struct str){ s.ptr + i, needle.len }, needle))
			return true;
	return false;
}

struct str
str_trim(struct str s)
{
	while (s.len > 0 && strchr(" \t\r\n\f\v", s.ptr[0]) != NULL &&
	    s.ptr[0] != '\0') {
		s.ptr++;
		s.len--;
	}
	while (s.len > 0 && strchr(" \t\r\n\f\v", s.ptr[s.len - 1]) != NULL &&
	    s.ptr[s.len - 1] != '\0')
		s.len--;
	return s;
}

struct str
str_cut(struct str *s, char sep)
{
	const char *p = s->len > 0 ? memchr(s->ptr, sep, s->len) : NULL;
	struct str head = *s;

	if (p == NULL) {
		*s = STR_NULL;
		return head;
	}
	head.len = (size_t)(p - s->ptr);
	s->ptr = p + 1;
	s->len -= head.len + 1;
	return head;
}

bool
str_to_u64(struct str s, uint64_t *ret)
{
	uint64_t n = 0;

	if (s.len == 0)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] < '0' || s.ptr[i] > '9')
			return false;
		if (__builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(s.ptr[i] - '0'), &n))
			return false;
	}
	*ret = n;
	return true;
}

bool
str_to_i64(struct str s, int64_t *ret)
{
	bool minus = s.len > 0 && s.ptr[0] == '-';
	uint64_t n;

	if (minus || (s.len > 0 && s.ptr[0] == '+')) {
		s.ptr++;
		s.len--;
	}
	if (!str_to_u64(s, &n))
		return false;
	if (n > (uint64_t)INT64_MAX + (minus ? 1 : 0))
		return false;
	*ret = minus ? (int64_t)(0 - n) : (int64_t)n;
	return true;
}

char *
str_dupz(struct str s)
{
	char *p;

	if (s.ptr == NULL)
		return NULL;
	p = mem_resize(NULL, s.len + 1, 1);
	memcpy(p, s.ptr, s.len);
	p[s.len] = '\0';
	return p;
}

struct str
str_copy(struct str s)
{
	return (struct str){ str_dupz(s), s.len };
}

void
str_free(struct str s)
{
	free((char *)s.ptr);
}

bool
str_is_utf8(struct str s)
{
	const unsigned char *p = (const unsigned char *)s.ptr, *end = p + s.len;

	while (p < end) {
		uint32_t c = *p++;
		int more = 0;
		uint32_t least = 0;

		if (c < 0x80)
			continue;
		if (c >= 0xC2 && c <= 0xDF) {
			more = 1;
			least = 0x80;
			c &= 0x1F;
		} else if ((c & 0xF0) == 0xE0) {
			more = 2;
			least = 0x800;
			c &= 0x0F;
		} else if (c >= 0xF0 && c <= 0xF4) {
			more = 3;
			least = 0x10000;
			c &= 0x07;
		} else {
			return false;
		}
		if (end - p < more)
			return false;
		while (more-- > 0) {
			if ((*p & 0xC0) != 0x80)
				return false;
			c = c << 6 | (*p++ & 0x3Fu);
		}
		if (c < least || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
			return false;
	}
	return true;
}

char *
utf8_put(char *to, uint32_t c)
{
	if (c < 0x80) {
		*to++ = (char)c;
	} else if (c < 0x800) {
		*to++ = (char)(0xC0 | c >> 6);
		*to++ = (char)(0x80 | (c & 0x3F));
	} else if (c < 0x10000) {
		*to++ = (char)(0xE0 | c >> 12);
		*to++ = (char)(0x80 | (c >> 6 & 0x3F));
		*to++ = (char)(0x80 | (c & 0x3F));
	} else {
		*to++ = (char)(0xF0 | c >> 18);
		*to++ = (char)(0x80 | (c >> 12 & 0x3F));
		*to++ = (char)(0x80 | (c >> 6 & 0x3F));
		*to++ = (char)(0x80 | (c & 0x3F));
	}
	return to;
}

int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool
str_is_hex(struct str s)
{
	if (s.len % 2 != 0)
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (hex_digit(s.ptr[i]) < 0)
			return false;
	return true;
}

void
buf_reserve(struct buf *b, size_t more)
{
	size_t need = b->len + more + 1, cap = b->cap;

	if (need <= cap)
		return;
	if (cap == 0)
		cap = 64;
	while (cap < need)
		cap *= 2;
	b->ptr = mem_resize(b->ptr, cap, 1);
	b->cap = cap;
}

void
buf_add(struct buf *b, const void *bytes, size_t len)
{
	if (len == 0)
		return;
	buf_reserve(b, len);
	memcpy(b->ptr + b->len, bytes, len);
	b->len += len;
}

void
buf_add_str(struct buf *b, struct str s)
{
	buf_add(b, s.ptr, s.len);
}

void
buf_addz(struct buf *b, const char *z)
{
	buf_add(b, z, strlen(z));
}

void
buf_addc(struct buf *b, char c)
{
	buf_reserve(b, 1);
	b->ptr[b->len++] = c;
}

void
buf_add_utf8(struct buf *b, uint32_t c)
{
	buf_reserve(b, 4);
	b->len = (size_t)(utf8_put(b->ptr + b->len, c) - b->ptr);
}

void
buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int len;

	buf_reserve(b, 128);
	va_start(ap, fmt);
	len = vsnprintf(b->ptr + b->len, b->cap - b->len, fmt, ap);
	va_end(ap);
	if (len < 0)
		return;
	if ((size_t)len >= b->cap - b->len) {
		buf_reserve(b, (size_t)len);
		va_start(ap, fmt);
		vsnprintf(b->ptr + b->len, b->cap - b->len, fmt, ap);
		va_end(ap);
	}
	b->len += (size_t)len;
}

struct str
buf_str(const struct buf *b)
{
	return (struct str){ b->ptr != NULL ? b->ptr : "", b->len };
}

char *
buf_z(struct buf *b)
{
	buf_reserve(b, 0);
	b->ptr[b->len] = '\0';
	return b->ptr;
}

void
buf_clear(struct buf *b)
{
	b->len = 0;
}

void
buf_free(struct buf *b)
{
	free(b->ptr);
	*b = (struct buf){ 0 };
}

void
hex_encode(struct buf *b, const void *bytes, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *p = bytes;

	buf_reserve(b, len * 2);
	for (size_t i = 0; i < len; i++) {
		b->ptr[b->len++] = digits[p[i] >> 4];
		b->ptr[b->len++] = digits[p[i] & 15];
	}
}

bool
hex_decode(struct buf *b, struct str s)
{
	if (!str_is_hex(s))
		return false;
	buf_reserve(b, s.len / 2);
	for (size_t i = 0; i < s.len; i += 2)
		b->ptr[b->len++] =
		    (char)(hex_digit(s.ptr[i]) << 4 | hex_digit(s.ptr[i + 1]));
	return true;
}

void
base64_encode(struct buf *b, const void *bytes, size_t len, bool url)
{
	const char *abc = url
	    ? "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	    : "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+"
	      "/";
	const unsigned char *p = bytes;

	for (size_t i = 0; i < len; i += 3) {
		size_t n = len - i < 3 ? len - i : 3;
		uint32_t v = (uint32_t)p[i] << 16 |
		    (n > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
		    (n > 2 ? (uint32_t)p[i + 2] : 0);

		for (size_t k = 0; k <= n; k++)
			buf_addc(b, abc[v >> (18 - 6 * k) & 63]);
		for (size_t k = n; k < 3 && !url; k++)
			buf_addc(b, '=');
	}
}

static int
base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+' || c == '-')
		return 62;
	return c == '/' || c == '_' ? 63 : -1;
}

bool
base64_decode(struct buf *b, struct str s)
{
	size_t start = b->len, pad = 0;
	uint32_t v = 0;
	int bits = 0;

	while (s.len > 0 && s.ptr[s.len - 1] == '=' && pad < 2) {
		s.len--;
		pad++;
	}
	if (s.len % 4 == 1 || (pad > 0 && (s.len + pad) % 4 != 0))
		return false;
	for (size_t i = 0; i < s.len; i++) {
		int d = base64_digit(s.ptr[i]);

		if (d < 0) {
			b->len = start;
			return false;
		}
		v = v << 6 | (uint32_t)d;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			buf_addc(b, (char)(v >> bits & 255));
		}
	}
	return true;
}
