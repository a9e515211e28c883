/*
 * test/fuzz/toml.c - any bytes as TOML. What can be read can be changed, and is
 * read again with that change.
 */
#include "codec/toml.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
change(struct str text, struct str value)
{
	struct str path[] = { STR("a"), STR("b"), STR("c") };
	struct arena a = { 0 };
	struct buf out = { 0 };
	struct toml *root;
	const struct toml *v;

	if (toml_set(text, (struct strs){ path, 3 }, value, &out, NULL) == 0) {
		int rc = toml_read(&a, buf_str(&out), &root, NULL);

		if (rc == ERR_LIMIT)
			goto done; /* one more was too much */
		if (rc != 0)
			abort();
		v = toml_at(root, "a.b.c");
		if (value.ptr == NULL ? v != NULL
				      : v == NULL || v->number != 42)
			abort();
	}
done:
	buf_free(&out);
	arena_fini(&a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = { (const char *)data, size };
	struct arena a = { 0 };
	struct toml *root;

	if (toml_read(&a, text, &root, NULL) == 0) {
		change(text, STR("42"));
		change(text, STR_NULL);
	}
	arena_fini(&a);
	return 0;
}
