/*
 * test/fuzz/linux_answer.c - any bytes as what a device says of its state: a
 * plan has no more than is allowed, and the diff of no secret.
 */
#include "plug/target/linux.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
	if (!holds)
		abort();
}

static void
tell(void *ctx, struct str line)
{
	(void)ctx;
	(void)line;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct linux_file files[] = {
		{ .kind = "file",
		    .path = STR("/a"),
		    .text = STR("one\ntwo\n") },
		{ .kind = "file", .path = STR("/s"), .secret = STR("id") },
	};
	struct linux_spec s = {
		.files = files, .n_files = 2, .built = STR("abc")
	};
	struct target_plan plan;
	struct arena a = { 0 };

	if (linux_answer(&s, (struct str){ (const char *)data, size }, &a, tell,
		NULL, &plan, NULL) == 0)
		for (size_t i = 0; i < plan.n; i++) {
			const struct target_change *c = &plan.changes[i];

			must(c->kind.len > 0 && c->name.ptr != NULL);
			must(!str_eqz(c->name, "/s") || c->diff.len == 0);
		}
	arena_fini(&a);
	return 0;
}
