/*
 * base/test.h - what every cmocka test needs before its first test.
 */
#ifndef BASE_TEST_H
#define BASE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"

/* Compares lent text with a C string. */
#define assert_str(s, z)                                                       \
	do {                                                                   \
		struct str assert_str_s = (s);                                 \
		assert_int_equal(assert_str_s.len, sizeof("" z) - 1);          \
		assert_memory_equal(assert_str_s.ptr, z, assert_str_s.len);    \
	} while (0)

#endif
