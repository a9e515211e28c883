/*
 * test/fuzz/go_template.c - any text as a template, over fixed data and over
 * data that the input itself brings behind a NUL. It ends within its limits,
 * and on an error leaves no output.
 */
#include "codec/go_template.h"
#include "codec/json.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
sun(void *ctx, bool set, int64_t *ret_ms, struct err *err)
{
	(void)ctx;
	(void)err;
	*ret_ms = set ? 1000 : 2000;
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct go_template_host host = { .now_ms = 1719837045250,
		.sun = sun,
		.version = "1",
		.max_output = 10000,
		.max_steps = 10000 };
	struct str text = { (const char *)data, size };
	struct str json = STR("{\"a\":{\"b\":[1,2.5,\"x\",null,true]},\"t\":"
			      "\"2024-01-01T00:00:00Z\",\"n\":3}");
	const char *nul = memchr(data, '\0', size);
	struct arena a = { 0 };
	struct buf out = { 0 };
	struct err err;
	int rc;

	if (nul != NULL) {
		text.len = (size_t)(nul - text.ptr);
		json.ptr = nul + 1;
		json.len = size - text.len - 1;
	}
	rc = go_template_render(&a, text, json, &host, &out, &err);
	if (out.len > (rc == 0 ? host.max_output : 0))
		abort();
	buf_clear(&out);
	if (go_template_render_json(&a, json, json, &host, &out, &err) == 0 &&
	    !json_valid(buf_str(&out), 0))
		abort();
	if (rc == 0 && go_template_check(text, &err) != 0)
		abort();
	buf_free(&out);
	arena_fini(&a);
	return 0;
}
