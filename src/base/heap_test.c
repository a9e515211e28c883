/*
 * base/heap.h: what is due next comes first, whatever was moved or taken away.
 */
#include "base/heap.h"

#include "base/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define N 500

static void
the_earliest_is_always_first(void **state)
{
	struct heap_item items[N] = { 0 };
	struct heap h = { 0 };
	int64_t before = INT64_MIN;

	(void)state;
	srand(1);
	for (int i = 0; i < N; i++)
		heap_put(&h, &items[i], rand() % 1000);
	for (int i = 0; i < N; i += 3) /* moved */
		heap_put(&h, &items[i], rand() % 1000);
	for (int i = 0; i < N; i += 5)
		heap_del(&h, &items[i]);
	assert_int_equal(h.n, N - N / 5);
	while (heap_first(&h) != NULL) {
		struct heap_item *first = heap_first(&h);

		assert_true(first->at >= before);
		before = first->at;
		heap_del(&h, first);
		assert_int_equal(first->pos, 0);
	}
	heap_fini(&h);
}

static void
taking_away_what_is_not_there_changes_nothing(void **state)
{
	struct heap_item a = { 0 }, b = { 0 };
	struct heap h = { 0 };

	(void)state;
	heap_put(&h, &a, 1);
	heap_del(&h, &b);
	heap_del(&h, &a);
	heap_del(&h, &a);
	assert_null(heap_first(&h));
	heap_fini(&h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_earliest_is_always_first),
		cmocka_unit_test(taking_away_what_is_not_there_changes_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
