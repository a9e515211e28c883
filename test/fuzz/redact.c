/*
 * test/fuzz/redact.c - a secret, a NUL, and a text that may have it: no line
 * that comes out has it.
 */
#include "codec/redact.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
	if (!holds)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	const char *nul = size > 0 ? memchr(text, '\0', size) : NULL;
	struct str secret = { text, nul != NULL ? (size_t)(nul - text) : 0 };
	struct str rest = { nul != NULL ? nul + 1 : text,
		nul != NULL ? size - secret.len - 1 : size };
	struct str half = { secret.ptr, secret.len / 2 };
	struct str known[] = { half, secret };
	struct redact r = { 0 };
	struct buf out = { 0 };

	while (rest.len > 0) {
		struct str line = str_cut(&rest, '\n');

		buf_clear(&out);
		redact_line(&r, line, (struct strs){ known, 2 }, &out);
		/* what is put in its place may have some of its letters */
		must(secret.len < 8 || memchr(secret.ptr, '[', secret.len) ||
		    memchr(secret.ptr, ']', secret.len) || out.len == 0 ||
		    memmem(out.ptr, out.len, secret.ptr, secret.len) == NULL);
	}
	buf_free(&out);
	return 0;
}
