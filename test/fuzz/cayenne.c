/*
 * test/fuzz/cayenne.c - any bytes as a payload, and as JSON to be one.
 *
 * What is taken as a payload must be the same bytes when its values are put
 * again, and what its JSON makes must decode to that JSON.
 */
#include "codec/cayenne.h"
#include "codec/json.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
	if (!holds)
		abort();
}

static void
decode_again(struct str bytes)
{
	struct buf json = { 0 }, more = { 0 };
	struct err err;

	if (cayenne_decode(bytes, &json, &err) == 0) {
		must(json_valid(buf_str(&json), 0));
		buf_clear(&more);
		must(cayenne_encode(buf_str(&json), &more, &err) == 0);
		must(more.len == bytes.len);
	}
	buf_free(&json);
	buf_free(&more);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str bytes = { (const char *)data, size }, rest = bytes;
	struct buf out = { 0 };
	struct cayenne_value v;
	struct err err;
	int rc;

	while ((rc = cayenne_next(&rest, &v, &err)) > 0)
		must(cayenne_put(&out, &v, &err) == 0);
	must(out.len == size - rest.len);
	must(out.len == 0 || memcmp(out.ptr, data, out.len) == 0);
	if (rc == 0)
		decode_again(bytes);
	buf_clear(&out);
	if (cayenne_encode(bytes, &out, &err) == 0)
		decode_again(buf_str(&out)); /* or a value came twice */
	buf_free(&out);
	return 0;
}
