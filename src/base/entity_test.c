/*
 * base/entity_test.c - rows by their fields.
 */
#include "base/entity.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct point {
	int64_t x;
	double weight;
	struct str tags;
};

static const struct record point_record = { "point", sizeof(struct point),
	(const struct field[]){
	    F_INT(struct point, x, "x", .flags = FIELD_NULL),
	    F_REAL(struct point, weight, "weight", .flags = FIELD_NULL),
	    F_JSON(struct point, tags, "tags"), { 0 } } };

struct shape {
	struct str name;
	bool closed;
	int64_t made;
	struct strs words;
	struct point centre;
	struct rows points;
	struct str info, raw;
};

static const struct record shape_record = { "shape", sizeof(struct shape),
	(const struct field[]){ F_TEXT(struct shape, name, "name"),
	    F_BOOL(struct shape, closed, "closed"),
	    F_TIME(struct shape, made, "made"),
	    F_TEXTS(struct shape, words, "words"),
	    F_RECORD(struct shape, centre, struct point, "centre",
		.record = &point_record),
	    F_RECORDS(struct shape, points, "points", .record = &point_record),
	    F_JSON(struct shape, info, "info"),
	    F_BLOB(struct shape, raw, "raw"), { 0 } } };

static const struct field *
find(const char *path, size_t *offset, struct str *rest)
{
	return field_find(&shape_record, str_of(path), offset, rest);
}

static void
a_path_leads_into_records(void **state)
{
	const struct field *f;
	struct str rest;
	size_t offset;

	(void)state;
	f = find("made", &offset, &rest);
	assert_string_equal(f->name, "made");
	assert_int_equal(offset, offsetof(struct shape, made));
	assert_null(rest.ptr);
	f = find("centre.weight", &offset, &rest);
	assert_string_equal(f->name, "weight");
	assert_int_equal(offset, offsetof(struct shape, centre.weight));
	assert_null(rest.ptr);
	f = find("centre", &offset, &rest);
	assert_int_equal(f->type, FIELD_RECORD);
}

static void
a_path_goes_on_inside_free_json(void **state)
{
	const struct field *f;
	struct str rest;
	size_t offset;

	(void)state;
	f = find("info.room.wall", &offset, &rest);
	assert_string_equal(f->name, "info");
	assert_true(str_eqz(rest, "room.wall"));
	f = find("centre.tags.a", &offset, &rest);
	assert_string_equal(f->name, "tags");
	assert_int_equal(offset, offsetof(struct shape, centre.tags));
	assert_true(str_eqz(rest, "a"));
}

static void
a_path_to_nothing_is_null(void **state)
{
	static const char *const paths[] = { "", ".", "nam", "names", "name.x",
		"centre.y", "centre.", ".centre", "points.x", "words.0",
		"made.x" };
	struct str rest;
	size_t offset;

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
		assert_null(find(paths[i], &offset, &rest));
}

static void
init_sets_null_where_it_is_not_zero(void **state)
{
	struct shape s = { 0 };

	(void)state;
	record_init(&shape_record, &s);
	assert_null(s.name.ptr);
	assert_true(s.made == TIME_NULL);
	assert_true(s.centre.x == FIELD_INT_NULL);
	assert_true(isnan(s.centre.weight));
	assert_int_equal(s.points.n, 0);
}

static void
a_value_comes_back_from_its_field(void **state)
{
	struct str items[] = { STR("a"), STR("b") };
	struct value values[] = {
		value_text(STR("x")),
		value_bool(true),
		value_time(5),
		value_texts((struct strs){ items, 2 }),
	};
	struct value null = { .null = true };
	struct shape s = { 0 };

	(void)state;
	for (int i = 0; i < 4; i++) {
		const struct field *f = &shape_record.fields[i];
		void *at = (char *)&s + f->offset;
		struct value v;

		field_set(f, at, &values[i]);
		v = field_get(f, at);
		assert_int_equal(v.type, f->type);
		assert_false(v.null);
		assert_int_equal(value_cmp(&v, &values[i]), 0);
		field_set(f, at, &null);
		v = field_get(f, at);
		assert_int_equal(
		    v.null, f->type == FIELD_TEXT || f->type == FIELD_TIME);
	}
	assert_null(s.name.ptr);
	assert_false(s.closed);
	assert_true(s.made == TIME_NULL);
	assert_int_equal(s.words.n, 0);
}

static void
a_whole_number_fits_a_real_field(void **state)
{
	const struct field *f = &point_record.fields[1];
	struct value v = value_int(3), null = { .null = true };
	double d;

	(void)state;
	field_set(f, &d, &v);
	assert_true(d == 3.0);
	field_set(f, &d, &null);
	assert_true(isnan(d));
}

static void
expect_order(struct value a, struct value b)
{
	assert_true(value_cmp(&a, &b) < 0);
	assert_true(value_cmp(&b, &a) > 0);
	assert_int_equal(value_cmp(&a, &a), 0);
	assert_int_equal(value_cmp(&b, &b), 0);
}

static void
values_have_an_order(void **state)
{
	struct str a[] = { STR("a"), STR("b") }, b[] = { STR("a"), STR("c") };

	(void)state;
	expect_order(value_text(STR_NULL), value_text(STR("")));
	expect_order(value_text(STR("Z")), value_text(STR("a")));
	expect_order(value_text(STR("a")), value_text(STR("aa")));
	expect_order(value_text(STR("z")), value_text(STR("\xc3\xa4")));
	expect_order(value_int(FIELD_INT_NULL), value_int(-5));
	expect_order(value_int(-5), value_int(4));
	expect_order(value_real(NAN), value_real(-INFINITY));
	expect_order(value_bool(false), value_bool(true));
	expect_order(value_int(7), value_text(STR("1")));
	expect_order(value_texts((struct strs){ a, 1 }),
	    value_texts((struct strs){ a, 2 }));
	expect_order(value_texts((struct strs){ a, 2 }),
	    value_texts((struct strs){ b, 2 }));
}

static void
whole_and_real_numbers_compare_exactly(void **state)
{
	struct value five = value_int(5), real = value_real(5.0);

	(void)state;
	assert_int_equal(value_cmp(&five, &real), 0);
	assert_int_equal(value_cmp(&real, &five), 0);
	expect_order(value_int(5), value_real(5.5));
	expect_order(value_real(-5.5), value_int(-5));
	expect_order(value_int(INT64_MAX), value_real(0x1p63));
	expect_order(value_real(-1e30), value_int(INT64_MIN + 1));
	expect_order(
	    value_real(9007199254740992.0), value_int(9007199254740993));
}

static void
a_copy_owns_everything_it_points_to(void **state)
{
	char text[] = "text", tag[] = "[1]", bytes[] = { 0, 1 };
	struct str words[] = { { text, 4 } };
	struct point points[] = { { 1, 2, { tag, 3 } }, { 3, 4, STR_NULL } };
	struct shape s = {
		.name = { text, 4 },
		.words = { words, 1 },
		.centre = { 5, 6, { tag, 3 } },
		.points = { points, 2 },
		.raw = { bytes, 2 },
	};
	struct shape copy;
	struct point *p;
	struct arena a = { 0 };

	(void)state;
	record_copy(&shape_record, &a, &copy, &s);
	memset(text, 'x', 4);
	memset(tag, 'x', 3);
	bytes[0] = 9;
	words[0] = STR("gone");
	points[0].x = points[1].x = 0;

	assert_true(str_eqz(copy.name, "text"));
	assert_true(str_eqz(copy.words.at[0], "text"));
	assert_true(str_eqz(copy.centre.tags, "[1]"));
	assert_int_equal(copy.centre.x, 5);
	p = copy.points.at;
	assert_int_equal(p[0].x, 1);
	assert_true(str_eqz(p[0].tags, "[1]"));
	assert_int_equal(p[1].x, 3);
	assert_null(p[1].tags.ptr);
	assert_null(copy.info.ptr);
	assert_int_equal(copy.raw.ptr[0], 0);
	arena_fini(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_path_leads_into_records),
		cmocka_unit_test(a_path_goes_on_inside_free_json),
		cmocka_unit_test(a_path_to_nothing_is_null),
		cmocka_unit_test(init_sets_null_where_it_is_not_zero),
		cmocka_unit_test(a_value_comes_back_from_its_field),
		cmocka_unit_test(a_whole_number_fits_a_real_field),
		cmocka_unit_test(values_have_an_order),
		cmocka_unit_test(whole_and_real_numbers_compare_exactly),
		cmocka_unit_test(a_copy_owns_everything_it_points_to),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
