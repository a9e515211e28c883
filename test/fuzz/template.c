/*
 * test/fuzz/template.c - any bytes as a template: what is accepted is rendered,
 * what is refused leaves the output alone, and no value gets out unescaped
 * unless the template says so.
 */
#include "codec/template.h"

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
	static const struct template_var vars[] = {
		{ "a", { "\x01<\x02", 3 } },
		{ "b", { "", 0 } },
		{ "c", { NULL, 0 } },
	};
	struct str text = { (const char *)data, size };
	struct buf out = { 0 };
	struct err err;
	int rc;

	buf_addz(&out, "before");
	rc = template_check(text, &err);
	must(rc == template_render(&out, text, vars, 3, &err));
	must(out.len >= 6 && memcmp(out.ptr, "before", 6) == 0);
	if (rc != 0)
		must(rc == ERR_PARAM && out.len == 6);
	/* only the variable has such a byte: what stands around a comment may
	 * come together */
	if (memmem(data, size, "safe", 4) == NULL && size > 0 &&
	    memchr(data, 2, size) == NULL)
		must(memmem(out.ptr, out.len, "\x01<\x02", 3) == NULL);
	buf_free(&out);
	return 0;
}
