/*
 * test/fuzz/edge_c8y_proxy.c - any bytes as a request to the proxy: what goes
 * on to the cloud is one head, that is read as the same (libFuzzer).
 */
#include "edge/c8y_proxy_head.h"
#include "edge/c8y_token.h"

#include <stdlib.h>

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
	struct str bytes = { (const char *)data, size }, once;
	struct c8y_proxy_head a, b;
	struct buf out = { 0 }, again = { 0 };
	size_t end = c8y_proxy_head_end(bytes);
	const char *why = NULL;

	must(c8y_token_life(bytes) >= 0);
	if (end == 0)
		return 0;
	if (c8y_proxy_head_read((struct str){ bytes.ptr, end }, &a, &why) !=
	    0) {
		must(why != NULL);
		return 0;
	}
	c8y_proxy_head_write(&a, STR("cloud"), STR_NULL, &out);
	must(c8y_proxy_head_end(buf_str(&out)) == out.len);
	/* the same below the prefix */
	once = str_cut(&(struct str){ out.ptr, out.len }, ' ');
	buf_addf(&again, STR_FMT " /c8y", STR_ARG(once));
	buf_add(&again, out.ptr + once.len + 1, out.len - once.len - 1);
	must(c8y_proxy_head_read(buf_str(&again), &b, &why) == 0);
	must(a.chunked == b.chunked && a.body == b.body &&
	    a.upgrade == b.upgrade && a.authorized == b.authorized);
	buf_free(&out);
	buf_free(&again);
	return 0;
}
