/*
 * test/fuzz/http_request.c - any bytes as headers, query and address of a
 * request. No header line holds a line end, and no address a blank.
 */
#include "net/http/client.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = { (const char *)data, size }, host;
	struct strs lines = { 0 };
	struct arena a = { 0 };
	struct buf url = { 0 };

	(void)http_add_headers(&a, &lines, text, NULL);
	for (size_t i = 0; i < lines.n; i++)
		if (memchr(lines.at[i].ptr, '\n', lines.at[i].len) != NULL ||
		    memchr(lines.at[i].ptr, '\r', lines.at[i].len) != NULL)
			abort();
	buf_addz(&url, "http://host/");
	if (http_add_query(&a, &url, text, NULL) == 0 &&
	    memchr(url.ptr, ' ', url.len) != NULL)
		abort();
	(void)http_check_url(&a, text, &host, NULL);
	buf_free(&url);
	arena_fini(&a);
	return 0;
}
