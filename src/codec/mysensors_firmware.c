/*
 * codec/mysensors_firmware.c - see mysensors_firmware.h.
 */
#include "codec/mysensors_firmware.h"

#include "codec/intel_hex.h"

#include <string.h>

#define IMAGE_MAX (UINT16_MAX * (size_t)MYSENSORS_BLOCK)

uint16_t
mysensors_crc(const void *bytes, size_t len)
{
	const unsigned char *p = bytes;
	uint16_t crc = 0xffff;

	for (size_t i = 0; i < len; i++) {
		crc ^= p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = (uint16_t)(crc >> 1 ^ (crc & 1 ? 0xa001 : 0));
	}
	return crc;
}

int
mysensors_image(struct str hex, struct buf *image, struct err *err)
{
	size_t before = image->len, pad;
	int rc;

	/* A page is added, and the number of blocks is a word. */
	rc = intel_hex_read(hex, IMAGE_MAX - MYSENSORS_PAGE, image, err);
	if (rc != 0)
		return rc;
	pad = MYSENSORS_PAGE - (image->len - before) % MYSENSORS_PAGE;
	buf_reserve(image, pad);
	memset(image->ptr + image->len, 0xff, pad);
	image->len += pad;
	return 0;
}

bool
mysensors_words(struct str payload, uint16_t *ret, size_t n)
{
	struct buf bytes = { 0 };
	bool ok = hex_decode(&bytes, payload) && bytes.len >= 2 * n;

	for (size_t i = 0; ok && i < n; i++)
		ret[i] = (uint16_t)((unsigned char)bytes.ptr[2 * i] |
		    (unsigned char)bytes.ptr[2 * i + 1] << 8);
	buf_free(&bytes);
	return ok;
}

void
mysensors_put_words(struct buf *out, const uint16_t *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_addf(out, "%02X%02X", words[i] & 0xffu, words[i] >> 8);
}

void
mysensors_put_bytes(struct buf *out, const void *bytes, size_t len)
{
	const unsigned char *p = bytes;

	for (size_t i = 0; i < len; i++)
		buf_addf(out, "%02X", p[i]);
}
