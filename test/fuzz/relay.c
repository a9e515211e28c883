/*
 * test/fuzz/relay.c - any bytes as a message of an agent or of a client; what
 * was read is written, and read the same again.
 */
#include "codec/relay.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct str in = { (const char *)data, size };
	struct relay_message m, again;
	struct arena a = { 0 };
	struct buf b = { 0 };
	struct err err;

	for (int client = 0; client < 2; client++) {
		if (relay_read(in, client, &a, &m, &err) != 0 ||
		    m.kind == RELAY_UNKNOWN)
			continue;
		buf_clear(&b);
		relay_write(&m, &b);
		if (relay_read(buf_str(&b), client, &a, &again, &err) != 0 ||
		    again.kind != m.kind)
			abort();
	}
	buf_free(&b);
	arena_fini(&a);
	return 0;
}
