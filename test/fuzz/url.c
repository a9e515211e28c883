/*
 * test/fuzz/url.c - any bytes as a form and as a URL. A URL that was made
 * normal stays as it is.
 */
#include "codec/url.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = { (const char *)data, size };
	struct arena a = { 0 };
	struct url u, again;

	(void)url_form_parse(&a, text);
	if (url_parse(&a, text, &u)) {
		struct str normal = url_normal(&a, &u);

		if (!url_parse(&a, normal, &again) ||
		    !str_eq(url_normal(&a, &again), normal))
			abort();
	}
	arena_fini(&a);
	return 0;
}
