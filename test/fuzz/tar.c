/*
 * test/fuzz/tar.c - any texts as files of an archive: whole blocks, and every
 * file is found again behind its head.
 */
#include "codec/tar.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
	if (!holds)
		abort();
}

#define BLOCK 512

static size_t
octal(const char *at, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len && at[i] >= '0' && at[i] <= '7'; i++)
		n = n * 8 + (size_t)(at[i] - '0');
	return n;
}

/* A head at `at`: its sum is right, and it tells of `text`. Where the next is.
 */
static size_t
check(const struct buf *b, size_t at, const char *name, struct str text)
{
	const unsigned char *head = (const unsigned char *)b->ptr + at;
	unsigned sum = 0;

	must(at + BLOCK <= b->len);
	for (size_t i = 0; i < BLOCK; i++)
		sum += i >= 148 && i < 156 ? ' ' : head[i];
	must(octal(b->ptr + at + 148, 8) == sum);
	must(strcmp(b->ptr + at, name) == 0);
	must(octal(b->ptr + at + 124, 12) == text.len);
	must(at + BLOCK + text.len <= b->len);
	must(text.len == 0 ||
	    memcmp(b->ptr + at + BLOCK, text.ptr, text.len) == 0);
	return at + BLOCK + (text.len + BLOCK - 1) / BLOCK * BLOCK;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str all = { (const char *)data, size }, rest = all;
	struct buf b = { 0 };
	size_t at = 0;

	while (rest.len > 0)
		tar_file(&b, "a/name", str_cut(&rest, '\0'), 0644);
	tar_end(&b);
	must(b.len % BLOCK == 0);
	for (rest = all; rest.len > 0;)
		at = check(&b, at, "a/name", str_cut(&rest, '\0'));
	must(b.len == at + 2 * BLOCK);
	buf_free(&b);
	return 0;
}
