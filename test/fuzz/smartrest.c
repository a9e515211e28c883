/*
 * test/fuzz/smartrest.c - any bytes as SmartREST records (libFuzzer): what was
 * read, written again, reads the same, and a result keeps within its limit.
 */
#include "codec/smartrest.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
	if (!holds)
		abort();
}

static bool
is_plain(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] < ' ' || s.ptr[i] == 0x7F)
			return false;
	return true;
}

static void
again(const struct strs *r, struct arena *a)
{
	struct buf out = { 0 };
	struct strs twice;
	struct str text;

	buf_addz(&out, "1");
	for (size_t i = 0; i < r->n; i++)
		smartrest_add(&out, r->at[i]);
	text = buf_str(&out);
	if (r->n < SMARTREST_FIELDS_MAX) {
		must(smartrest_read(&text, a, &twice, NULL) == 0);
		must(text.len == 0 && twice.n == r->n + 1);
		for (size_t i = 0; i < r->n; i++)
			must(!is_plain(r->at[i]) ||
			    str_eq(twice.at[i + 1], r->at[i]));
	}
	buf_free(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = { (const char *)data, size };
	struct arena a = { 0 };
	struct buf out = { 0 };
	struct strs r;
	int rc;

	smartrest_add_result(&out, text, 64);
	must(out.len <= 64);
	buf_free(&out);
	while ((rc = smartrest_read(&text, &a, &r, NULL)) != ERR_NOT_FOUND)
		if (rc == 0)
			again(&r, &a);
	arena_fini(&a);
	return 0;
}
