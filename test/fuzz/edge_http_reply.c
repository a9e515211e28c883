/*
 * test/fuzz/edge_http_reply.c - any bytes as the answer to an HTTP request, at
 * once and byte by byte: both read the same (libFuzzer).
 */
#include "edge/http_reply.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
	if (!holds)
		abort();
}

static void
add(void *ctx, const struct http_reply *r, struct str bytes)
{
	must(r->status >= 200);
	buf_add_str(ctx, bytes);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf one = { 0 }, two = { 0 };
	struct http_reply a = { .body = add, .ctx = &one };
	struct http_reply b = { .body = add, .ctx = &two };
	int rc_a, rc_b = 0;
	struct err err;

	rc_a =
	    http_reply_feed(&a, (struct str){ (const char *)data, size }, &err);
	for (size_t i = 0; i < size && rc_b == 0; i++)
		rc_b = http_reply_feed(
		    &b, (struct str){ (const char *)data + i, 1 }, &err);
	must((rc_a == 0) == (rc_b == 0));
	must(a.over == b.over && a.status == b.status);
	must(str_eq(buf_str(&one), buf_str(&two)) ||
	    (one.len == 0 && two.len == 0));
	(void)http_reply_end(&a, &err);
	http_reply_fini(&a);
	http_reply_fini(&b);
	buf_free(&one);
	buf_free(&two);
	return 0;
}
