/*
 * codec/mysensors_firmware_test.c - images from Intel-HEX, their sum and their
 * blocks' words.
 */
#include "base/test.h"

#include "codec/intel_hex.h"
#include "codec/mysensors_firmware.h"

#include "base/base.h"

#include <stdio.h>
#include <string.h>

#define END ":00000001FF\n"

/* A record of type 00 with `n` bytes of `byte`. */
static void
add_record(struct buf *hex, unsigned address, unsigned n, unsigned char byte)
{
	unsigned sum = n + (address >> 8) + (address & 255);

	buf_addf(hex, ":%02X%04X00", n, address);
	for (unsigned i = 0; i < n; i++) {
		buf_addf(hex, "%02X", byte);
		sum += byte;
	}
	buf_addf(hex, "%02X\r\n", -sum & 255);
}

static void
data_stands_in_the_order_of_the_file(void **state)
{
	struct buf bytes = { 0 };
	struct err err;

	(void)state;
	buf_addz(&bytes, "before");
	/* of the format's own description, and one lower than the first */
	if (intel_hex_read(STR(":10010000214601360121470136007EFE09D2190140\n"
			       ":020000021200EA\r\n"
			       ":0400000300003800C1\n"
			       ":0200000400FFFB\n"
			       ":04000005000000CD2A\n"
			       "\n"
			       ":020000000A0BE9\n" END "\n"),
		18, &bytes, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(bytes.len, 6 + 18);
	assert_memory_equal(bytes.ptr,
	    "before\x21\x46\x01\x36\x01\x21\x47\x01\x36\x00\x7E\xFE\x09\xD2\x19"
	    "\x01\x0A\x0B",
	    bytes.len);
	buf_free(&bytes);
}

static void
the_line_of_an_error_is_said(void **state)
{
	static const struct {
		const char *hex, *why;
	} bad[] = {
		{ "", "has no end record (:00000001FF): is it whole?" },
		{ ":020000000A0BE9\n",
		    "has no end record (:00000001FF): is it whole?" },
		{ END, "has no data" },
		{ ":020000000A0BE9\n:020000000A0BE8\n" END,
		    "line 2: the sum is E8 and not E9" },
		{ ":020000000A0CE9\n" END, "line 1: the sum is E9 and not E8" },
		{ "\n\nhello\n", "line 3: does not begin with \":\"" },
		{ ":020000000A0BE\n",
		    "line 1: something else than pairs of hex digits" },
		{ ":02000000 0A0BE9\n",
		    "line 1: something else than pairs of hex digits" },
		{ ":\n",
		    "line 1: 0 bytes do not go with the count at its front" },
		{ ":030000000A0BE8\n",
		    "line 1: 7 bytes do not go with the count at its front" },
		{ ":00000006FA\n", "line 1: a record of type 06" },
		{ ":020000000A0BE9\n" END ":020000000A0BE9\n",
		    "line 3: stands behind the end record" },
		{ ":020000000A0BE9\n:020000000A0BE9\n" END,
		    "line 2: more than 3 bytes of data" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		struct buf bytes = { 0 };
		struct err err;

		buf_addz(&bytes, "before");
		assert_int_equal(
		    intel_hex_read(str_of(bad[i].hex), 3, &bytes, &err),
		    ERR_PARAM);
		assert_string_equal(err.text, bad[i].why);
		assert_string_equal(buf_z(&bytes), "before");
		assert_int_not_equal(
		    intel_hex_read(str_of(bad[i].hex), 3, &bytes, NULL), 0);
		buf_free(&bytes);
	}
}

static void
the_sum_is_that_of_modbus(void **state)
{
	(void)state;
	assert_int_equal(mysensors_crc("", 0), 0xffff);
	assert_int_equal(mysensors_crc("123456789", 9), 0x4b37);
	assert_int_equal(mysensors_crc("\0\0", 2), 0xb001);
}

static void
images_end_with_a_page(void **state)
{
	static const struct {
		unsigned bytes;
		size_t image;
	} sizes[] = { { 1, 128 }, { 127, 128 }, { 128, 256 }, { 129, 256 },
		{ 256, 384 } };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		struct buf hex = { 0 }, image = { 0 };
		unsigned at = 0;

		for (unsigned left = sizes[i].bytes; left > 0;) {
			unsigned n = MIN_OF(left, 16u);

			add_record(&hex, at, n, 0x5a);
			at += n;
			left -= n;
		}
		buf_addz(&hex, END);
		assert_int_equal(
		    mysensors_image(buf_str(&hex), &image, NULL), 0);
		assert_int_equal(image.len, sizes[i].image);
		for (size_t k = 0; k < image.len; k++)
			assert_int_equal((unsigned char)image.ptr[k],
			    k < sizes[i].bytes ? 0x5a : 0xff);
		buf_free(&hex);
		buf_free(&image);
	}
}

static void
an_image_has_no_more_blocks_than_a_word_says(void **state)
{
	struct buf hex = { 0 }, image = { 0 };
	struct err err;

	(void)state;
	for (unsigned i = 0; i < 65536 * 16 / 255; i++)
		add_record(&hex, i * 255 & 0xffff, 255, 1);
	buf_addz(&hex, END);
	assert_int_equal(
	    mysensors_image(buf_str(&hex), &image, &err), ERR_PARAM);
	assert_non_null(strstr(err.text, "more than 1048432 bytes of data"));
	assert_int_equal(image.len, 0);
	buf_free(&hex);
	buf_free(&image);
}

static void
words_are_little_endian(void **state)
{
	uint16_t w[5] = { 0 };
	struct buf out = { 0 };

	(void)state;
	assert_true(mysensors_words(STR("01000100280261C40103"), w, 5));
	assert_int_equal(w[0], 1);
	assert_int_equal(w[1], 1);
	assert_int_equal(w[2], 0x0228);
	assert_int_equal(w[3], 0xc461);
	assert_int_equal(w[4], 0x0301);
	mysensors_put_words(&out, w, 5);
	assert_string_equal(buf_z(&out), "01000100280261C40103");
	mysensors_put_bytes(&out, "\xde\x0a", 2);
	assert_string_equal(buf_z(&out), "01000100280261C40103DE0A");
	assert_true(mysensors_words(buf_str(&out), w, 3));
	assert_false(mysensors_words(STR("0100010028026"), w, 3));
	assert_false(mysensors_words(STR("01000100"), w, 3));
	assert_false(mysensors_words(STR("01000100280g"), w, 3));
	assert_false(mysensors_words(STR(""), w, 1));
	buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(data_stands_in_the_order_of_the_file),
		cmocka_unit_test(the_line_of_an_error_is_said),
		cmocka_unit_test(the_sum_is_that_of_modbus),
		cmocka_unit_test(images_end_with_a_page),
		cmocka_unit_test(an_image_has_no_more_blocks_than_a_word_says),
		cmocka_unit_test(words_are_little_endian),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
