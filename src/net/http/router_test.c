/*
 * net/http/router_test.c - which row of the table a request is for.
 */
#include "net/http/router.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct http_route some[] = {
	{ "GET", "/a/{x}" },
	{ "GET", "/a/list" },
	{ "PATCH", "/a/{x}" },
	{ "GET", "/a/{x}/b/{y}" },
	{ "GET", "/" },
	{ 0 },
};
static const struct http_route more[] = {
	{ "GET", "/{a}/{b}/{c}/{d}/{e}" },
	{ "POST", "/a/list" },
	{ "GET", "/z/{x}" },
	{ 0 },
};

static int
set_up(void **state)
{
	static struct router r;

	r = (struct router){ 0 };
	router_add(&r, some);
	router_add(&r, more);
	*state = &r;
	return 0;
}

static int
tear_down(void **state)
{
	router_fini(*state);
	return 0;
}

/* The row that is found, NULL for none; `other` for "another method". */
static const struct http_route *
find(const struct router *r, const char *method, const char *path,
    struct http_call *c, bool *other)
{
	struct str allowed;
	bool found;

	*c = (struct http_call){ .method = method, .path = str_of(path) };
	found = router_find(r, c, &allowed);
	*other = allowed.ptr != NULL;
	assert_int_equal(found, c->route != NULL);
	arena_fini(&c->arena);
	return c->route;
}

static void
the_row_of_method_and_path_is_found(void **state)
{
	struct http_call c;
	bool other;

	assert_ptr_equal(find(*state, "GET", "/a/list", &c, &other), &some[1]);
	assert_null(c.vars[0].ptr);
	assert_ptr_equal(find(*state, "POST", "/a/list", &c, &other), &more[1]);
	assert_ptr_equal(
	    find(*state, "PATCH", "/a/list", &c, &other), &some[2]);
	assert_true(str_eqz(c.vars[0], "list"));
	assert_ptr_equal(find(*state, "GET", "/a/1/b/2", &c, &other), &some[3]);
	assert_true(str_eqz(c.vars[0], "1"));
	assert_true(str_eqz(c.vars[1], "2"));
	assert_ptr_equal(find(*state, "GET", "/", &c, &other), &some[4]);
	assert_ptr_equal(find(*state, "HEAD", "/z/1/", &c, &other), &more[2]);
}

static void
a_variable_is_never_empty(void **state)
{
	struct http_call c;
	bool other;

	assert_null(find(*state, "GET", "/z/", &c, &other));
	assert_null(find(*state, "GET", "/z//", &c, &other));
	assert_null(find(*state, "GET", "/a//b/2", &c, &other));
}

static void
more_variables_than_a_call_holds_never_match(void **state)
{
	struct http_call c;
	bool other;

	assert_null(find(*state, "GET", "/1/2/3/4/5", &c, &other));
	assert_false(other);
}

static void
another_method_is_told_from_nothing(void **state)
{
	struct http_call c;
	bool other;

	assert_null(find(*state, "DELETE", "/a/list", &c, &other));
	assert_true(other);
	assert_null(find(*state, "PATCH", "/a/1/b/2", &c, &other));
	assert_true(other);
	assert_null(find(*state, "GET", "/a/1/b", &c, &other));
	assert_false(other);
	assert_null(find(*state, "GET", "a/list", &c, &other));
	assert_false(other);
	assert_null(find(*state, "GET", "", &c, &other));
	assert_false(other);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_row_of_method_and_path_is_found),
		T(a_variable_is_never_empty),
		T(more_variables_than_a_call_holds_never_match),
		T(another_method_is_told_from_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
