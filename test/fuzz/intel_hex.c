/*
 * test/fuzz/intel_hex.c - any bytes as a program in Intel-HEX: no more comes
 * out than is allowed, and nothing when it is broken.
 */
#include "codec/intel_hex.h"
#include "codec/mysensors_firmware.h"

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
	struct str in = { (const char *)data, size };
	struct buf b = { 0 };
	uint16_t words[4];

	if (intel_hex_read(in, 64, &b, NULL) == 0)
		must(b.len > 0 && b.len <= 64 && b.len <= size / 2);
	else
		must(b.len == 0);
	buf_clear(&b);
	if (mysensors_image(in, &b, NULL) == 0)
		must(b.len > 0);
	(void)mysensors_words(in, words, 4);
	buf_free(&b);
	return 0;
}
