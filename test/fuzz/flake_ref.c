/*
 * test/fuzz/flake_ref.c - any bytes as a reference: what is taken has what its
 * type needs, and a token of it is one word.
 */
#include "codec/flake_ref.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str s = { (const char *)data, size };
	struct arena a = { 0 };
	struct flake_ref r;

	if (flake_ref_read(s, &a, &r, NULL) == 0) {
		struct str token = flake_ref_token(&r, s, &a);

		if (r.type == FLAKE_GITHUB &&
		    (r.owner.len == 0 || r.repo.len == 0))
			abort();
		if (r.type == FLAKE_INDIRECT && r.id.len == 0)
			abort();
		if (r.rev.ptr != NULL && r.rev.len != 40)
			abort();
		for (size_t i = r.host.len; i < token.len; i++)
			if (token.ptr[i] == ' ' || token.ptr[i] == '\n')
				abort();
	}
	arena_fini(&a);
	return 0;
}
