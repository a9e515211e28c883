/*
 * codec/flatten_test.c - what becomes of nested JSON.
 */
#include "codec/flatten.h"

#include "base/test.h"

static int
note(void *ctx, struct str source, struct str name, struct str value,
    struct err *err)
{
	struct buf *b = ctx;

	(void)err;
	buf_addf(b, STR_FMT "/" STR_FMT "=" STR_FMT " ", STR_ARG(source),
	    STR_ARG(name), STR_ARG(value));
	return 0;
}

static const struct {
	const char *json, *flat; /* NULL: it is refused */
} cases[] = {
	{ "{}", "" },
	{ "{\"battery\":3.1,\"air\":{\"t\":21,\"pm\":[4,7],\"in\":{\"t\":20}}}",
	    "/battery=3.1 air/t=21 air/pm_0=4 air/pm_1=7 air/in_t=20 " },
	{ "{\"PM2.5\":1,\"a b\":{\"\\u0001x\":true}}",
	    "/PM2_5=1 a_b/_x=true " },
	{ "{\"a\":null,\"\":3,\"b\":\"x\"}", "/b=\"x\" " },
	{ "7", "/value=7 " },
	{ "[7,{\"a\":8}]", "/0=7 /1_a=8 " },
	{ "{\"a\":{\"b\":{\"c\":{\"d\":{\"e\":{\"f\":{\"g\":{\"h\":1,"
	  "\"i\":{\"j\":1}}}}}}}},\"z\":2}",
	    "a/b_c_d_e_f_g_h=1 /z=2 " },
	{ "{\"a\":1", NULL },
	{ "", NULL },
	{ "{\"a\":1}x", NULL },
};

static void
each_value_gets_a_source_and_a_name(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct arena a = { 0 };
		struct buf b = { 0 };
		int rc = flatten(str_of(cases[i].json), &a, note, &b, NULL);

		assert_int_equal(rc, cases[i].flat == NULL ? ERR_PARAM : 0);
		if (cases[i].flat != NULL)
			assert_string_equal(buf_z(&b), cases[i].flat);
		buf_free(&b);
		arena_fini(&a);
	}
}

static int
refuse(void *ctx, struct str source, struct str name, struct str value,
    struct err *err)
{
	(void)source;
	(void)name;
	(void)value;
	return ++*(int *)ctx == 2 ? err_set(err, ERR_LIMIT, "enough") : 0;
}

static void
who_listens_may_end_it(void **state)
{
	struct arena a = { 0 };
	struct err err;
	int n = 0;

	(void)state;
	assert_int_equal(
	    flatten(STR("{\"a\":{\"b\":[1,2,3]}}"), &a, refuse, &n, &err),
	    ERR_LIMIT);
	assert_string_equal(err.text, "enough");
	assert_int_equal(n, 2);
	arena_fini(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_value_gets_a_source_and_a_name),
		cmocka_unit_test(who_listens_may_end_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
