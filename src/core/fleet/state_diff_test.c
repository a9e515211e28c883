/*
 * core/fleet/state_diff_test.c - how states differ, and what was changed taken
 * back.
 */
#include "core/fleet/state_diff.h"

#include "base/base.h"
#include "base/test.h"

#include <string.h>

static struct fleet_state
state(struct arena *a, const char *json)
{
	struct fleet_state s;
	struct buf text = { 0 };
	struct err err;

	/* quotes as people write them here */
	for (; *json != '\0'; json++)
		buf_addc(&text, *json == '\'' ? '"' : *json);
	if (fleet_state_read(arena_str(a, buf_str(&text)), a, &s, NULL, &err) !=
	    0)
		fail_msg("%s: %s", buf_z(&text), err.text);
	buf_free(&text);
	return s;
}

#define CONFIG(id, rest)                                                       \
	"{'displayName':'" id "','identifier':'" id "'" rest "}"
#define USE(type, settings) "{'type':'" type "','settings':{" settings "}}"
#define MODULES(list) ",'modules':[" list "]"

static const char one[] =
    "{'repositories':{'in':{'url':'u'}},"
    "'tags':[" CONFIG("t",
	",'priority':70") "],"
			  "'configs':[" CONFIG("a",
			      MODULES(
				  USE("m", "'x':1,'y':{'k':[1]}") "," USE("old",
				      "'z':1")) ",'tags':['t']") "," CONFIG("b",
			      "") "]}";
static const char two[] =
    "{'repositories':{'in':{'url':'v'}},"
    "'tags':[" CONFIG("t", ",'priority':60") "," CONFIG(
	"n", "") "],"
		 "'configs':[" CONFIG(
		     "c", "") ","
			      "{'displayName':'A','identifier':'a','tags':[],"
			      "'modules':[" USE("m", "'x':2,'q':null") "," USE(
				  "new", "'z':1") "]}]}";

static char *
told(struct arena *a, const struct fleet_changes *c)
{
	struct buf b = { 0 };
	char *ret;

	for (size_t i = 0; i < c->n; i++) {
		const struct fleet_change *x = &c->at[i];

		buf_addf(&b,
		    "%s %s " STR_FMT " " STR_FMT "." STR_FMT " " STR_FMT
		    ">" STR_FMT "\n",
		    x->kind, x->what, STR_ARG(x->identifier),
		    STR_ARG(x->module), STR_ARG(x->setting), STR_ARG(x->from),
		    STR_ARG(x->to));
	}
	ret = arena_z(a, b.len > 0 ? buf_str(&b) : STR(""));
	buf_free(&b);
	return ret;
}

static void
every_kind_of_change_is_told(void **ctx)
{
	struct arena a = { 0 };
	struct fleet_state from = state(&a, one), to = state(&a, two);
	struct fleet_changes c;

	(void)ctx;
	fleet_state_diff(&from, &to, &a, &c);
	assert_string_equal(told(&a, &c),
	    "change input in .url \"u\">\"v\"\n"
	    "change tag t .priority 70>60\n"
	    "add tag n . >{\"displayName\":\"n\",\"identifier\":\"n\","
	    "\"priority\":90,\"modules\":[]}\n"
	    "change configuration a .displayName \"a\">\"A\"\n"
	    "change configuration a .tags [\"t\"]>[]\n"
	    "change configuration a m.x 1>2\n"
	    "remove configuration a m.y {\"k\":[1]}>\n"
	    "add configuration a m.q >null\n"
	    "remove configuration a old. {\"z\":1}>\n"
	    "add configuration a new. >{\"z\":1}\n"
	    "remove configuration b . {\"displayName\":\"b\","
	    "\"identifier\":\"b\",\"modules\":[],\"tags\":[]}>\n"
	    "add configuration c . >{\"displayName\":\"c\","
	    "\"identifier\":\"c\",\"modules\":[],\"tags\":[]}\n");
	fleet_state_diff(&from, &from, &a, &c);
	assert_int_equal(c.n, 0);
	/* how it is written is no change */
	from = state(
	    &a, "{'configs':[" CONFIG("a", MODULES(USE("m", "'x':[1]"))) "]}");
	to = state(&a,
	    "{'configs':[" CONFIG("a", MODULES(USE("m", "'x' : [ 1 ]"))) "]}");
	fleet_state_diff(&from, &to, &a, &c);
	assert_int_equal(c.n, 0);
	arena_fini(&a);
}

static void
the_order_is_a_change_of_its_own(void **ctx)
{
	struct arena a = { 0 };
	struct fleet_state from = state(&a,
	    "{'configs':[" CONFIG("a", "") "," CONFIG("b", "") "," CONFIG(
		"c", "") "]}");
	struct fleet_state to = state(&a,
	    "{'configs':[" CONFIG("c", "") "," CONFIG("n", "") "," CONFIG(
		"a", "") "]}");
	struct fleet_changes c;

	(void)ctx;
	fleet_state_diff(&from, &to, &a, &c);
	assert_int_equal(c.n, 3);
	assert_str(c.at[2].setting, "order");
	assert_str(c.at[2].from, "[\"a\",\"c\"]");
	assert_str(c.at[2].to, "[\"c\",\"a\"]");
	arena_fini(&a);
}

static void
same(struct arena *a, const struct fleet_state *s, const struct fleet_state *as)
{
	struct buf x = { 0 }, y = { 0 };

	(void)a;
	fleet_state_write(s, &x);
	fleet_state_write(as, &y);
	assert_string_equal(buf_z(&x), buf_z(&y));
	buf_free(&x);
	buf_free(&y);
}

static void
all_that_was_changed_is_taken_back(void **ctx)
{
	struct arena a = { 0 };
	struct fleet_state before = state(&a, one), after = state(&a, two), s;
	struct fleet_changes again;

	(void)ctx;
	fleet_state_undo(&after, &before, &after, STR_NULL, &a, &s, &again);
	assert_int_equal(again.n, 0);
	same(&a, &s, &before);
	same(&a, &after, &(struct fleet_state[]){ state(&a, two) }[0]);
	/* and the other way round */
	fleet_state_undo(&before, &after, &before, STR_NULL, &a, &s, &again);
	assert_int_equal(again.n, 0);
	assert_int_equal(fleet_state_check(&s, NULL), 0);
	fleet_state_undo(&s, &before, &s, STR_NULL, &a, &s, &again);
	same(&a, &s, &before);
	arena_fini(&a);
}

static void
what_came_later_stays_and_what_was_changed_again_too(void **ctx)
{
	struct arena a = { 0 };
	struct fleet_state before = state(&a,
	    "{'configs':[" CONFIG("a",
		MODULES(USE("m", "'x':1,'y':1"))) "," CONFIG("b", "") "]}");
	struct fleet_state after = state(&a,
	    "{'configs':[" CONFIG("a", MODULES(USE("m", "'x':2,'y':2"))) "]}");
	struct fleet_state now = state(&a,
	    "{'configs':[" CONFIG("n", "") "," CONFIG(
		"a", MODULES(USE("m", "'x':2,'y':3,'z':3"))) "]}");
	struct fleet_state want = state(&a,
	    "{'configs':[" CONFIG("n", "") "," CONFIG("b", "") "," CONFIG(
		"a", MODULES(USE("m", "'x':1,'y':3,'z':3"))) "]}");
	struct fleet_changes again;
	struct fleet_state s;

	(void)ctx;
	fleet_state_undo(&now, &before, &after, STR_NULL, &a, &s, &again);
	assert_string_equal(
	    told(&a, &again), "change configuration a m.y 1>2\n");
	same(&a, &s, &want);
	/* what has gone since does not come back by its settings */
	fleet_state_undo(&(struct fleet_state){ 0 }, &before, &after, STR_NULL,
	    &a, &s, &again);
	assert_int_equal(again.n, 2);
	assert_int_equal(s.n_configs, 1); /* but what was taken away then */
	assert_str(s.configs[0].identifier, "b");
	/* one configuration alone */
	fleet_state_undo(&after, &before, &after, STR("a"), &a, &s, &again);
	assert_int_equal(again.n, 0);
	assert_int_equal(s.n_configs, 1);
	assert_str(s.configs[0].modules[0].settings[0].value, "1");
	/* a thing that was made and then changed is not thrown away */
	fleet_state_undo(
	    &now, &(struct fleet_state){ 0 }, &after, STR_NULL, &a, &s, &again);
	assert_int_equal(again.n, 1);
	same(&a, &s, &now);
	arena_fini(&a);
}

static void
one_configuration_is_taken_from_another_time(void **ctx)
{
	struct arena a = { 0 };
	struct fleet_state then = state(&a, one), now = state(&a, two), s;

	(void)ctx;
	fleet_state_take(&now, &then, STR("b"), &a, &s);
	assert_int_equal(s.n_configs, 3);
	assert_str(s.configs[1].identifier, "b");
	fleet_state_take(&now, &then, STR("a"), &a, &s);
	assert_int_equal(s.n_configs, 2);
	assert_str(s.configs[1].display_name, "a");
	assert_int_equal(s.configs[1].n_modules, 2);
	assert_str(s.configs[1].tags.at[0], "t");
	assert_int_equal(s.tags[0].priority, 60); /* the tag is today's */
	assert_int_equal(fleet_state_check(&s, NULL), 0);
	fleet_state_take(&now, &then, STR("c"), &a, &s);
	assert_int_equal(s.n_configs, 1);
	/* a tag that has gone comes with it */
	now.n_tags = 0;
	fleet_state_take(&now, &then, STR("a"), &a, &s);
	assert_int_equal(s.n_tags, 1);
	assert_int_equal(s.tags[0].priority, 70);
	arena_fini(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_of_change_is_told),
		cmocka_unit_test(the_order_is_a_change_of_its_own),
		cmocka_unit_test(all_that_was_changed_is_taken_back),
		cmocka_unit_test(
		    what_came_later_stays_and_what_was_changed_again_too),
		cmocka_unit_test(one_configuration_is_taken_from_another_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
