/*
 * base/loop_test.c - asks the promises of loop.h. Time is moved, not waited
 * for.
 */
#include "base/test.h"

#include "base/clock.h"
#include "base/loop.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct fixture {
	struct loop *loop;
	char heard[128];
	struct loop_timer timers[3];
	struct loop_io ios[2];
	int pairs[2][2];
	struct loop_defer defer;
};

static struct fixture
    *now; /* the timers and posts have no owner of their own */

static void
hear(const char *what)
{
	strcat(now->heard, what);
}

static int
setup(void **state)
{
	struct fixture *f = mem_new(struct fixture);

	f->loop = loop_new();
	for (int i = 0; i < 2; i++)
		socketpair(AF_UNIX, SOCK_STREAM, 0, f->pairs[i]);
	*state = now = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	loop_free(f->loop);
	for (int i = 0; i < 4; i++)
		close(f->pairs[i / 2][i % 2]);
	free(f);
	return 0;
}

static void
fire_a(struct loop_timer *t)
{
	(void)t;
	hear("a");
}

static void
fire_b(struct loop_timer *t)
{
	(void)t;
	hear("b");
}

static void
fire_and_cancel_b(struct loop_timer *t)
{
	(void)t;
	hear("c");
	loop_cancel(now->loop, &now->timers[1]);
}

static void
timers_fire_in_the_order_of_their_time(void **state)
{
	struct fixture *f = *state;

	f->timers[0].fire = fire_a;
	f->timers[1].fire = fire_b;
	loop_after(f->loop, &f->timers[0], 60000);
	loop_after(f->loop, &f->timers[1], 30000);
	loop_turn(f->loop, 0);
	assert_string_equal(f->heard, "");
	clock_advance(30000);
	loop_turn(f->loop, 0);
	assert_string_equal(f->heard, "b");
	clock_advance(30000);
	loop_turn(f->loop, 0);
	assert_string_equal(f->heard, "ba");
}

static void
a_timer_cancelled_when_due_does_not_fire(void **state)
{
	struct fixture *f = *state;

	f->timers[0].fire = fire_and_cancel_b;
	f->timers[1].fire = fire_b;
	loop_after(f->loop, &f->timers[0], 10000);
	loop_after(f->loop, &f->timers[1], 10001);
	clock_advance(20000);
	loop_turn(f->loop, 0);
	assert_string_equal(f->heard, "c");
}

static void
many_timers_keep_their_order(void **state)
{
	struct fixture *f = *state;
	struct loop_timer t[100] = { 0 };

	srand(2);
	for (int i = 0; i < 100; i++) {
		t[i].fire = fire_a;
		loop_after(f->loop, &t[i], 1000 + rand() % 100000);
	}
	for (int i = 0; i < 100; i += 2)
		loop_cancel(f->loop, &t[i]);
	for (int i = 0; i < 50; i++) {
		loop_turn(f->loop, 0);
		assert_int_equal(strlen(f->heard) <= 50, 1);
		clock_advance(2200);
	}
	loop_turn(f->loop, 0);
	assert_int_equal(strlen(f->heard), 50);
}

static void
on_first_readable(struct loop_io *io, unsigned what)
{
	assert_int_equal(what, LOOP_READ);
	hear(io == &now->ios[0] ? "0" : "1");
	/* both are ready: whoever comes first takes the other's event away */
	loop_unwatch(now->loop, &now->ios[0]);
	loop_unwatch(now->loop, &now->ios[1]);
}

static void
an_unwatched_descriptor_is_not_heard_though_it_was_ready(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 2; i++) {
		f->ios[i].fd = f->pairs[i][0];
		f->ios[i].ready = on_first_readable;
		loop_watch(f->loop, &f->ios[i], LOOP_READ);
		assert_int_equal(write(f->pairs[i][1], "x", 1), 1);
	}
	loop_turn(f->loop, 100);
	loop_turn(f->loop, 0);
	assert_int_equal(strlen(f->heard), 1);
}

struct note {
	struct loop_post post;
	char text[2];
};

static void
run_note(struct loop_post *p)
{
	hear(((struct note *)p)->text);
}

static void *
post_three(void *arg)
{
	struct note *notes = arg;

	for (int i = 0; i < 3; i++)
		loop_post(now->loop, &notes[i].post);
	return NULL;
}

static void
posts_of_another_thread_run_in_order(void **state)
{
	struct fixture *f = *state;
	struct note notes[3] = { { { run_note, NULL }, "x" },
		{ { run_note, NULL }, "y" }, { { run_note, NULL }, "z" } };
	pthread_t t;

	pthread_create(&t, NULL, post_three, notes);
	pthread_join(t, NULL);
	while (strlen(f->heard) < 3)
		loop_turn(f->loop, 100);
	assert_string_equal(f->heard, "xyz");
}

static struct note taken_back[4];

static void
take_back(struct loop_post *p)
{
	run_note(p);
	loop_unpost(now->loop, &taken_back[1].post); /* of this turn */
	loop_unpost(now->loop, &taken_back[3].post);
}

static void
a_post_can_be_taken_back_until_it_runs(void **state)
{
	static const char *const texts[] = { "x", "y", "z", "w" };
	struct fixture *f = *state;

	for (int i = 0; i < 4; i++) {
		taken_back[i].post.run = i == 0 ? take_back : run_note;
		strcpy(taken_back[i].text, texts[i]);
		loop_post(f->loop, &taken_back[i].post);
	}
	loop_turn(f->loop, 100);
	assert_string_equal(f->heard, "xz");
	loop_post(f->loop, &taken_back[2].post);
	loop_unpost(f->loop, &taken_back[2].post); /* before its turn */
	loop_post(f->loop, &taken_back[3].post);
	loop_turn(f->loop, 100);
	assert_string_equal(f->heard, "xzw");
}

static void
a_turn_ends_when_its_time_is_over(void **state)
{
	struct fixture *f = *state;
	int64_t before = clock_mono();

	f->timers[0].fire = fire_a;
	loop_after(f->loop, &f->timers[0], 3600000);
	for (int i = 0; i < 50; i++)
		loop_turn(f->loop, 1);
	assert_true(clock_mono() - before < 60000);
	loop_cancel(f->loop, &f->timers[0]);
}

static void
on_defer(struct loop_defer *d)
{
	(void)d;
	hear("d");
}

static void
on_readable_defer(struct loop_io *io, unsigned what)
{
	(void)what;
	hear("r");
	loop_defer(now->loop, &now->defer);
	loop_defer(now->loop, &now->defer);
	loop_unwatch(now->loop, io);
}

static void
a_deferred_call_runs_once_after_the_others(void **state)
{
	struct fixture *f = *state;

	f->defer.run = on_defer;
	for (int i = 0; i < 2; i++) {
		f->ios[i].fd = f->pairs[i][0];
		f->ios[i].ready = on_readable_defer;
		loop_watch(f->loop, &f->ios[i], LOOP_READ);
		assert_int_equal(write(f->pairs[i][1], "x", 1), 1);
	}
	loop_turn(f->loop, 100);
	assert_string_equal(f->heard, "rrd");
}

static void
a_rest_lasts_as_long_as_was_said_and_loses_no_post(void **state)
{
	struct fixture *f = *state;
	struct note note = { .post.run = run_note, .text = "x" };
	struct timespec from, to;

	clock_gettime(CLOCK_MONOTONIC, &from);
	loop_rest(f->loop, 20000);
	loop_post(f->loop, &note.post);
	loop_turn(f->loop, 0);
	clock_gettime(CLOCK_MONOTONIC, &to);
	assert_true((to.tv_sec - from.tv_sec) * 1000000000L + to.tv_nsec -
		from.tv_nsec >=
	    20000000);
	loop_turn(f->loop, 0);
	assert_string_equal(f->heard, "x");
}

static void
what_is_watched_still_does_not_hold_up_the_end(void **state)
{
	struct fixture *f = *state;

	f->ios[0].fd = f->pairs[0][0];
	f->ios[0].ready = on_readable_defer;
	loop_watch(f->loop, &f->ios[0], LOOP_READ);
	loop_turn(f->loop, 0);
	alarm(20); /* it would last for ever */
	loop_free(f->loop);
	alarm(0);
	assert_string_equal(f->heard, "");
	f->loop = loop_new();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(timers_fire_in_the_order_of_their_time),
		T(a_timer_cancelled_when_due_does_not_fire),
		T(many_timers_keep_their_order),
		T(an_unwatched_descriptor_is_not_heard_though_it_was_ready),
		T(posts_of_another_thread_run_in_order),
		T(a_post_can_be_taken_back_until_it_runs),
		T(a_turn_ends_when_its_time_is_over),
		T(a_deferred_call_runs_once_after_the_others),
		T(a_rest_lasts_as_long_as_was_said_and_loses_no_post),
		T(what_is_watched_still_does_not_hold_up_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
