/*
 * codec/tar.c - see tar.h.
 */
#include "codec/tar.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define BLOCK 512

struct head {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8],
	    type, link[100], magic[6], version[2], user[32], group[32],
	    major[8], minor[8], prefix[155], pad[12];
};
_Static_assert(sizeof(struct head) == BLOCK, "a head is one block");

static void
octal(char *at, size_t size, uint64_t n)
{
	at[size - 1] = '\0';
	for (size_t i = size - 1; i-- > 0; n >>= 3)
		at[i] = (char)('0' + (n & 7));
}

void
tar_file(struct buf *out, const char *name, struct str text, unsigned mode)
{
	static const char nothing[BLOCK];
	struct head h = { .type = '0' };
	unsigned sum = 0;

	assert(strlen(name) < sizeof(h.name));
	snprintf(h.name, sizeof(h.name), "%s", name);
	octal(h.mode, sizeof(h.mode), mode);
	octal(h.uid, sizeof(h.uid), 0);
	octal(h.gid, sizeof(h.gid), 0);
	octal(h.size, sizeof(h.size), text.len);
	octal(h.mtime, sizeof(h.mtime), 0);
	memcpy(h.magic, "ustar", sizeof(h.magic));
	memcpy(h.version, "00", sizeof(h.version));
	memset(h.sum, ' ', sizeof(h.sum));
	for (size_t i = 0; i < sizeof(h); i++)
		sum += ((const unsigned char *)&h)[i];
	octal(h.sum, sizeof(h.sum) - 1, sum);
	buf_add(out, &h, sizeof(h));
	buf_add_str(out, text);
	buf_add(out, nothing, (BLOCK - text.len % BLOCK) % BLOCK);
}

void
tar_end(struct buf *out)
{
	static const char nothing[2 * BLOCK];

	buf_add(out, nothing, sizeof(nothing));
}
