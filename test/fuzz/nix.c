/*
 * test/fuzz/nix.c - any bytes as a text: read back by a small reader of Nix's
 * literals it is what it was, and ends where the literal does. Any bytes as
 * JSON: what is written has its strings closed and nothing in them to evaluate.
 */
#include "codec/nix.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads the literal at `*p`, and stops behind it; the text in `ret`. */
static void
literal(const char **p, const char *end, struct buf *ret)
{
	const char *at = *p;

	if (at == end || *at++ != '"')
		abort();
	for (; at < end && *at != '"'; at++) {
		if (*at == '$' && end - at > 1 && at[1] == '{')
			abort(); /* an expression */
		if (*at == '\r' || *at == '\n' || *at == '\0')
			abort();
		if (*at != '\\') {
			buf_addc(ret, *at);
			continue;
		}
		if (++at == end)
			abort();
		buf_addc(ret,
		    *at == 'n'       ? '\n'
			: *at == 'r' ? '\r'
			: *at == 't' ? '\t'
				     : *at);
	}
	if (at == end)
		abort();
	*p = at + 1;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str s = { (const char *)data, size };
	struct buf out = { 0 }, back = { 0 };
	const char *p, *end;

	nix_string(&out, s);
	p = out.ptr;
	literal(&p, out.ptr + out.len, &back);
	if (p != out.ptr + out.len)
		abort();
	if ((size == 0 || memchr(data, '\0', size) == NULL) &&
	    (back.len != size ||
		(size > 0 && memcmp(back.ptr, data, size) != 0)))
		abort();

	buf_clear(&out);
	if (nix_value(&out, s, 0, NULL) == 0) {
		for (p = out.ptr, end = p + out.len; p < end;) {
			buf_clear(&back);
			if (*p == '"')
				literal(&p, end, &back);
			else if (strchr("#$\\;/<>@:?!&|", *p++) != NULL &&
			    p[-1] != ';')
				abort();
		}
	}
	if (nix_is_path(s) && memchr(data, '$', size) != NULL)
		abort();
	buf_free(&out);
	buf_free(&back);
	return 0;
}
