#include "net/mqtt/private.h"

#include "base/base.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Levels from a small alphabet make filters and topics meet often. */
static struct str
random_path(
    char *p, unsigned *seed, const char *const *words, unsigned n, bool filter)
{
	unsigned levels = 1 + (unsigned)rand_r(seed) % 4;

	*p = '\0';
	for (unsigned i = 0; i < levels; i++) {
		const char *w = words[(unsigned)rand_r(seed) % n];

		if (i > 0)
			strcat(p, "/");
		strcat(p, w);
		if (filter && strcmp(w, "#") == 0)
			break;
	}
	if (*p == '\0')
		strcat(p, "a");
	return str_of(p);
}

static struct mqtt_msg *
msg(struct mqtt_server *s, struct str topic, struct str payload)
{
	const struct incoming in = {
		.topic = topic, .payload = payload, .retain = true
	};

	return mqtt_msg_new(s, NULL, &in);
}

static void
count_match(void *ctx, struct sub *sub)
{
	(void)sub;
	++*(int *)ctx;
}

static void
count_retained(void *ctx, struct mqtt_msg *m)
{
	(void)m;
	++*(int *)ctx;
}

static const char *const words[] = { "a", "b", "", "$x", "+", "#" };

static void
the_tree_agrees_with_comparing_one_by_one(void **state)
{
	static struct sub subs[400];
	static char filters[400][64];
	struct topics t;
	unsigned seed = 7;
	char name[64];

	(void)state;
	mqtt_topics_init(&t);
	for (int i = 0; i < 400; i++)
		mqtt_topics_add(&t,
		    random_path(filters[i], &seed, words, 6, true), &subs[i]);
	for (int round = 0; round < 2000; round++) {
		struct str topic = random_path(name, &seed, words, 4, false);
		int found = 0, want = 0;

		mqtt_topics_match(
		    &t, topic, mqtt_topics_get(&t, topic), count_match, &found);
		for (int i = 0; i < 400; i++)
			want += mqtt_filter_matches(str_of(filters[i]), topic);
		assert_int_equal(found, want);
	}
	for (int i = 0; i < 400; i++)
		mqtt_topics_remove(&t, &subs[i]);
	assert_int_equal(t.exact.n, 0);
	assert_int_equal(t.wild->children.n, 0);
	mqtt_topics_fini(&t);
}

static void
retained_messages_are_found_by_every_filter_that_matches(void **state)
{
	struct mqtt_server s = { 0 };
	static char names[200][64];
	struct topics t;
	unsigned seed = 11;
	char filter[64];
	int n = 0;

	(void)state;
	mqtt_topics_init(&t);
	for (int i = 0; i < 200; i++) {
		struct str name = random_path(names[n], &seed, words, 4, false);
		struct mqtt_msg *m = msg(&s, name, STR("x"));
		size_t had = t.n_retained;

		assert_true(mqtt_retained_set(&t, m, 1000, 1 << 20));
		n += t.n_retained > had;
		mqtt_msg_release(m);
	}
	for (int round = 0; round < 500; round++) {
		struct str f = random_path(filter, &seed, words, 6, true);
		int found = 0, want = 0;

		mqtt_retained_match(&t, f, count_retained, &found);
		for (int i = 0; i < n; i++)
			want += mqtt_filter_matches(f, str_of(names[i]));
		assert_int_equal(found, want);
	}
	for (int i = 0; i < n; i++)
		mqtt_retained_clear(&t, str_of(names[i]));
	assert_int_equal(t.n_retained, 0);
	assert_int_equal(t.retained_bytes, 0);
	assert_int_equal(t.retained->children.n, 0);
	mqtt_topics_fini(&t);
}

static void
a_retained_message_that_is_too_much_leaves_none_behind(void **state)
{
	struct mqtt_server s = { 0 };
	struct mqtt_msg *small, *big;
	struct topics t;

	(void)state;
	small = msg(&s, STR("t"), STR("x"));
	big = msg(&s, STR("t"), STR("0123456789"));
	mqtt_topics_init(&t);
	assert_true(mqtt_retained_set(&t, small, 1, msg_bytes(small)));
	assert_false(mqtt_retained_set(&t, big, 1, msg_bytes(small)));
	assert_int_equal(t.n_retained, 0);
	assert_int_equal(t.retained->children.n, 0);
	mqtt_msg_release(small);
	mqtt_msg_release(big);
	mqtt_topics_fini(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_tree_agrees_with_comparing_one_by_one),
		cmocka_unit_test(
		    retained_messages_are_found_by_every_filter_that_matches),
		cmocka_unit_test(
		    a_retained_message_that_is_too_much_leaves_none_behind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
