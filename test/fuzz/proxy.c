/*
 * test/fuzz/proxy.c - any bytes as a PROXY header. What is taken is taken at
 * its very last byte, not before, and whatever follows.
 */
#include "net/proxy.h"

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
	struct str in = { (const char *)data, size };
	struct proxy_header h, again;
	int rc = proxy_parse(in, &h, NULL);

	must(rc == 0 || rc == ERR_AGAIN || rc == ERR_PROTO || rc == ERR_LIMIT);
	if (rc == ERR_AGAIN)
		must(size < PROXY_MAX);
	if (rc != 0)
		return 0;
	must(h.len > 0 && h.len <= size && h.len <= PROXY_MAX);
	if (h.cn.ptr != NULL)
		must(
		    h.cn.ptr > in.ptr && h.cn.ptr + h.cn.len <= in.ptr + h.len);
	in.len = h.len;
	must(proxy_parse(in, &again, NULL) == 0 && again.len == h.len);
	for (in.len = 0; in.len < h.len; in.len++)
		must(proxy_parse(in, &again, NULL) == ERR_AGAIN);
	return 0;
}
