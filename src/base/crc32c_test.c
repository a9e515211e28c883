/*
 * base/crc32c_test.c - published values, and two ways to the same sum.
 */
#include "base/test.h"

#include "base/crc32c.h"

#include <stdlib.h>
#include <string.h>

/* RFC 3720, B.4, and the check value of the catalogues. */
static void
published_sums_come_out(void **state)
{
	uint8_t bytes[32];

	(void)state;
	assert_int_equal(crc32c(0, "", 0), 0);
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
	memset(bytes, 0, 32);
	assert_int_equal(crc32c(0, bytes, 32), 0x8a9136aa);
	memset(bytes, 0xff, 32);
	assert_int_equal(crc32c(0, bytes, 32), 0x62a8ab43);
	for (int i = 0; i < 32; i++)
		bytes[i] = (uint8_t)i;
	assert_int_equal(crc32c(0, bytes, 32), 0x46dd794e);
}

static void
tables_and_processor_agree_however_it_is_cut(void **state)
{
	uint8_t bytes[300];

	(void)state;
	srand(1);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)rand();
	for (size_t from = 0; from < 9; from++) {
		for (size_t len = 0; len + from <= sizeof(bytes); len++) {
			size_t cut = len / 3;
			uint32_t whole = crc32c(0, bytes + from, len);

			assert_int_equal(
			    crc32c_table(0, bytes + from, len), whole);
			assert_int_equal(crc32c(crc32c(0, bytes + from, cut),
					     bytes + from + cut, len - cut),
			    whole);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_sums_come_out),
		cmocka_unit_test(tables_and_processor_agree_however_it_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
