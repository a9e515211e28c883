/*
 * base/map_test.c - the map against a plain array.
 */
#include "base/test.h"

#include "base/map.h"

#include <stdio.h>
#include <stdlib.h>

#define KEYS 500

static void
a_map_does_what_an_array_does(void **state)
{
	static char names[KEYS][8];
	bool in[KEYS] = { false };
	struct map m = { 0 };
	size_t n = 0, seen = 0, pos = 0;

	(void)state;
	srand(1);
	for (int i = 0; i < KEYS; i++)
		snprintf(names[i], sizeof(names[i]), "k%d", i);
	for (int step = 0; step < 20000; step++) {
		int i = rand() % KEYS;
		struct str key = str_of(names[i]);

		if (rand() % 2) {
			assert_ptr_equal(map_put(&m, key, names[i]),
			    in[i] ? names[i] : NULL);
			n += !in[i];
			in[i] = true;
		} else {
			assert_ptr_equal(
			    map_del(&m, key), in[i] ? names[i] : NULL);
			n -= in[i];
			in[i] = false;
		}
		assert_int_equal(m.n, n);
	}
	for (int i = 0; i < KEYS; i++)
		assert_ptr_equal(
		    map_get(&m, str_of(names[i])), in[i] ? names[i] : NULL);
	while (map_next(&m, &pos) != NULL)
		seen++;
	assert_int_equal(seen, n);
	map_fini(&m);
}

static void
an_empty_key_is_a_key(void **state)
{
	struct map m = { 0 };
	int x;

	(void)state;
	assert_null(map_get(&m, STR("")));
	map_put(&m, STR(""), &x);
	assert_ptr_equal(map_get(&m, STR("")), &x);
	assert_ptr_equal(map_del(&m, STR("")), &x);
	map_fini(&m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_map_does_what_an_array_does),
		cmocka_unit_test(an_empty_key_is_a_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
