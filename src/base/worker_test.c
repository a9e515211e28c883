/*
 * base/worker_test.c - pools: order, bound, and an end that loses nothing.
 */
#include "base/test.h"

#include "base/err.h"
#include "base/worker.h"

#include <pthread.h>
#include <string.h>

struct job {
	struct worker_job job;
	char mark;
};

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static char done[16];

static void
run(struct worker_job *job)
{
	char mark[2] = { ((struct job *)job)->mark, '\0' };

	pthread_mutex_lock(&gate);
	strcat(done, mark);
	pthread_mutex_unlock(&gate);
}

static void
one_thread_works_in_order_and_the_end_waits(void **state)
{
	struct worker_pool *p = worker_pool_new("test", 1, 10);
	struct job jobs[5] = { 0 };

	(void)state;
	done[0] = '\0';
	for (int i = 0; i < 5; i++) {
		jobs[i].job.run = run;
		jobs[i].mark = (char)('a' + i);
		assert_int_equal(worker_submit(p, &jobs[i].job), 0);
	}
	worker_pool_free(p);
	assert_string_equal(done, "abcde");
}

static void
a_full_queue_refuses(void **state)
{
	struct worker_pool *p;
	struct job jobs[8] = { 0 };
	int taken = 0;

	(void)state;
	done[0] = '\0';
	pthread_mutex_lock(&gate); /* the thread is held in its first job */
	p = worker_pool_new("test", 1, 3);
	for (int i = 0; i < 8; i++) {
		jobs[i].job.run = run;
		jobs[i].mark = 'x';
		taken += worker_submit(p, &jobs[i].job) == 0;
	}
	assert_in_range(taken, 3, 4); /* the first may have left the queue */
	pthread_mutex_unlock(&gate);
	worker_pool_free(p);
	assert_int_equal(strlen(done), taken);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_thread_works_in_order_and_the_end_waits),
		cmocka_unit_test(a_full_queue_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
