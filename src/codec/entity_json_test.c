/*
 * codec/entity_json_test.c - records from and to JSON and CSV.
 */
#include "codec/entity_json.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct step {
	struct str op;
	int64_t at;
};

static const struct record step_record = { "step", sizeof(struct step),
	(const struct field[]){
	    F_TEXT(struct step, op, "op", .min = 1, .max = 4),
	    F_TIME(struct step, at, "at", .flags = FIELD_NULL), { 0 } } };

struct plan {
	bool all;
	int64_t count;
	struct rows steps;
};

static const struct record plan_record = { "plan", sizeof(struct plan),
	(const struct field[]){ F_BOOL(struct plan, all, "all", .def = "true"),
	    F_INT(struct plan, count, "count", .min = 1, .max = 9, .def = "3"),
	    F_RECORDS(
		struct plan, steps, "steps", .record = &step_record, .max = 3),
	    { 0 } } };

struct thing {
	struct str code, name, secret, raw, info, any;
	int64_t size, made;
	double level;
	bool on;
	struct strs words, ids;
	struct plan plan;
};

static int
check_code(struct str text, struct err *err)
{
	if (memchr(text.ptr, '!', text.len) != NULL)
		return err_set(err, ERR_PARAM, "must not shout");
	return 0;
}

static const struct record thing_record = { "thing", sizeof(struct thing),
	(const struct field[]){ F_TEXT(struct thing, code, "code",
				    .flags = FIELD_LOWER | FIELD_TRIM,
				    .check = check_code, .min = 2, .max = 8),
	    F_TEXT(struct thing, name, "name", .flags = FIELD_NULL),
	    F_TEXT(struct thing, secret, "secret",
		.flags = FIELD_NULL | FIELD_ABSENT),
	    F_BLOB(struct thing, raw, "raw", .flags = FIELD_NULL, .max = 4),
	    F_JSON(struct thing, info, "info", .flags = FIELD_OBJECT),
	    F_JSON(struct thing, any, "any", .flags = FIELD_NULL),
	    F_INT(struct thing, size, "size", .flags = FIELD_NULL, .min = -5,
		.max = 5),
	    F_TIME(struct thing, made, "made", .flags = FIELD_NULL),
	    F_REAL(struct thing, level, "level", .flags = FIELD_NULL, .min = 0,
		.max = 1),
	    F_BOOL(struct thing, on, "on"),
	    F_TEXTS(struct thing, words, "words",
		.flags = FIELD_LOWER | FIELD_UNIQ, .check = check_code,
		.max = 3),
	    F_TEXTS(struct thing, ids, "ids"),
	    F_RECORD(struct thing, plan, struct plan, "plan",
		.record = &plan_record),
	    { 0 } } };

struct fixture {
	struct arena a;
	struct err err;
	struct thing t;
	field_set_t present;
	struct buf out;
};

static int
set_up(void **state)
{
	*state = calloc(1, sizeof(struct fixture));
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	arena_fini(&f->a);
	buf_free(&f->out);
	free(f);
	return 0;
}

static int
read_some(
    struct fixture *f, const char *text, const char *allowed, const char *nulls)
{
	const struct record *r = &thing_record;
	struct json j;
	int rc;

	memset(&f->t, 0, sizeof(f->t));
	record_init(r, &f->t);
	json_open(&j, str_of(text), 0, &f->a);
	rc = record_from_json(&j, r,
	    allowed == NULL ? FIELD_ALL : field_bits(r, allowed, NULL),
	    nulls == NULL ? 0 : field_bits(r, nulls, NULL), &f->t, &f->present,
	    &f->err);
	return rc == 0 ? json_done(&j, &f->err) : rc;
}

static void
accept(struct fixture *f, const char *text)
{
	if (read_some(f, text, NULL, NULL) != 0)
		fail_msg("%s", f->err.text);
}

static void
expect(struct fixture *f, const char *text, const char *error)
{
	assert_int_equal(read_some(f, text, NULL, NULL), ERR_PARAM);
	assert_string_equal(f->err.text, error);
}

static const char *
written(struct fixture *f, const char *which)
{
	struct json_out o;

	buf_clear(&f->out);
	json_out_init(&o, &f->out, false);
	record_to_json(&o, &thing_record,
	    which == NULL ? FIELD_ALL : field_bits(&thing_record, which, NULL),
	    &f->t);
	return buf_z(&f->out);
}

static bool
has(struct fixture *f, const char *name)
{
	return f->present & field_bit(&thing_record, name);
}

/* --- there and back ------------------------------------------------------ */

static const char full[] =
    "{\"code\":\"ab\",\"name\":\"N\\u00e4me \\\"x\\\"\",\"secret\":\"s\","
    "\"raw\":\"AP8=\",\"info\":{\"a\":[1,{}]},\"any\":[null,2.50],"
    "\"size\":-5,\"made\":\"2022-01-01T02:23:47.053Z\",\"level\":0.25,"
    "\"on\":true,\"words\":[\"a\",\"b\"],\"ids\":[\"z\",\"Y\",\"z\"],"
    "\"plan\":{\"all\":false,\"count\":9,\"steps\":["
    "{\"op\":\"x\",\"at\":\"1970-01-01T00:00:00.001Z\"},"
    "{\"op\":\"y\",\"at\":null}]}}";

static void
every_type_goes_both_ways(void **state)
{
	struct fixture *f = *state;
	const struct step *steps;

	accept(f, full);
	assert_true(str_eqz(f->t.code, "ab"));
	assert_true(str_eqz(f->t.name, "N\xc3\xa4me \"x\""));
	assert_int_equal(f->t.raw.len, 2);
	assert_memory_equal(f->t.raw.ptr, "\0\xff", 2);
	assert_true(str_eqz(f->t.info, "{\"a\":[1,{}]}"));
	assert_int_equal(f->t.size, -5);
	assert_true(f->t.made == 1641003827053);
	assert_true(f->t.level == 0.25);
	assert_true(f->t.on);
	assert_int_equal(f->t.words.n, 2);
	assert_int_equal(f->t.ids.n, 3);
	assert_int_equal(f->t.plan.count, 9);
	steps = f->t.plan.steps.at;
	assert_int_equal(f->t.plan.steps.n, 2);
	assert_int_equal(steps[0].at, 1);
	assert_true(steps[1].at == TIME_NULL);
	assert_true(has(f, "code") && has(f, "plan"));

	assert_string_equal(written(f, NULL),
	    "{\"code\":\"ab\",\"name\":\"N\xc3\xa4me \\\"x\\\"\",\"secret\":"
	    "\"s\",\"raw\":\"AP8=\",\"info\":{\"a\":[1,{}]},\"any\":[null,"
	    "2.50],\"size\":-5,\"made\":\"2022-01-01T02:23:47.053Z\","
	    "\"level\":0.25,\"on\":true,\"words\":[\"a\",\"b\"],\"ids\":"
	    "[\"z\",\"Y\",\"z\"],\"plan\":{\"all\":false,\"count\":9,"
	    "\"steps\":[{\"op\":\"x\",\"at\":\"1970-01-01T00:00:00.001Z\"},"
	    "{\"op\":\"y\",\"at\":null}]}}");
}

static void
the_stores_form_keeps_everything(void **state)
{
	struct fixture *f = *state;
	struct thing back;
	const char *before;
	struct buf b = { 0 };

	accept(f, full);
	before = arena_z(&f->a, str_of(written(f, NULL)));
	record_encode(&b, &thing_record, &f->t);
	assert_non_null(strstr(buf_z(&b), "\"made\":1641003827053"));
	assert_int_equal(
	    record_decode(buf_str(&b), &thing_record, &f->a, &back, &f->err),
	    0);
	f->t = back;
	assert_string_equal(written(f, NULL), before);

	memset(&f->t, 0, sizeof(f->t)); /* and nulls */
	record_init(&thing_record, &f->t);
	buf_clear(&b);
	record_encode(&b, &thing_record, &f->t);
	assert_non_null(strstr(buf_z(&b), "\"secret\":null"));
	assert_int_equal(
	    record_decode(buf_str(&b), &thing_record, &f->a, &back, &f->err),
	    0);
	assert_null(back.secret.ptr);
	assert_true(back.made == TIME_NULL);
	assert_true(isnan(back.level));
	buf_free(&b);
}

static void
the_stores_form_is_not_checked_again(void **state)
{
	struct fixture *f = *state;
	struct thing t;

	assert_int_equal(
	    record_decode(STR("{\"code\":\"MUCH too long!\",\"size\":99}"),
		&thing_record, &f->a, &t, &f->err),
	    0);
	assert_true(str_eqz(t.code, "MUCH too long!"));
	assert_int_equal(t.plan.count, 3); /* came later: has its default */
	assert_int_equal(record_decode(STR("{\"size\":\"x\"}"), &thing_record,
			     &f->a, &t, &f->err),
	    ERR_PARAM);
	assert_int_equal(
	    record_decode(STR("{} {}"), &thing_record, &f->a, &t, &f->err),
	    ERR_PARAM);
}

static void
one_field_has_a_stores_form_too(void **state)
{
	const struct field *f_steps = &plan_record.fields[2];
	struct fixture *f = *state;
	struct rows rows = { 0 };
	struct buf b = { 0 };

	assert_int_equal(
	    field_decode(STR("[{\"op\":\"a\",\"at\":5},{\"op\":\"b\"}]"),
		f_steps, &f->a, &rows, &f->err),
	    0);
	assert_int_equal(rows.n, 2);
	field_encode(&b, f_steps, &rows);
	assert_string_equal(
	    buf_z(&b), "[{\"op\":\"a\",\"at\":5},{\"op\":\"b\",\"at\":null}]");
	assert_int_equal(
	    field_decode(STR("null"), f_steps, &f->a, &rows, &f->err), 0);
	assert_int_equal(rows.n, 0);
	assert_int_equal(
	    field_decode(STR("{}"), f_steps, &f->a, &rows, &f->err), ERR_PARAM);
	buf_free(&b);
}

/* --- what is taken ------------------------------------------------------- */

static void
unknown_and_forbidden_members_are_skipped(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(read_some(f,
			     "{\"x\":{\"y\":[1,2]},\"code\":\"ab\","
			     "\"name\":5,\"plan\":{\"z\":1,\"count\":2}}",
			     "code plan", NULL),
	    0);
	assert_true(has(f, "code"));
	assert_false(has(f, "name"));
	assert_null(f->t.name.ptr);
	assert_int_equal(f->t.plan.count, 2);
}

static void
null_counts_as_absent_unless_it_is_asked_for(void **state)
{
	struct fixture *f = *state;
	static const char text[] = "{\"name\":null,\"size\":null,\"on\":null,"
				   "\"words\":null,\"plan\":null}";

	assert_int_equal(read_some(f, text, NULL, NULL), 0);
	assert_true(f->present == 0);
	assert_int_equal(read_some(f, text, NULL, "name size plan"), 0);
	assert_true(
	    f->present == field_bits(&thing_record, "name size plan", NULL));
	assert_null(f->t.name.ptr);
	assert_true(f->t.size == FIELD_INT_NULL);
	assert_int_equal(f->t.plan.count, 3);
	assert_true(f->t.plan.all);
}

static void
text_is_trimmed_folded_and_lists_made_sets(void **state)
{
	struct fixture *f = *state;

	accept(f,
	    "{\"code\":\" \\tAbC \",\"words\":[\"B\",\"a\",\"b\"],"
	    "\"ids\":[\"B\",\"a\",\"B\"],\"info\": { \"a\" : 1 } }");
	assert_true(str_eqz(f->t.code, "abc"));
	assert_int_equal(f->t.words.n, 2);
	assert_true(str_eqz(f->t.words.at[0], "a"));
	assert_true(str_eqz(f->t.words.at[1], "b"));
	assert_int_equal(f->t.ids.n, 3);
	assert_true(str_eqz(f->t.info, "{\"a\":1}"));
}

static void
a_nested_record_is_completed_by_its_defaults(void **state)
{
	struct fixture *f = *state;

	accept(f, "{\"plan\":{\"steps\":[]}}");
	assert_true(f->t.plan.all);
	assert_int_equal(f->t.plan.count, 3);
	assert_int_equal(f->t.plan.steps.n, 0);
}

/* --- what is refused ----------------------------------------------------- */

static void
a_wrong_type_is_named_with_its_path(void **state)
{
	struct fixture *f = *state;

	expect(f, "{\"code\":5}", "code: must be a string");
	expect(f, "{\"raw\":[]}", "raw: must be a string");
	expect(f, "{\"raw\":\"?\"}", "raw: must be base64");
	expect(f, "{\"info\":[]}", "info: must be an object");
	expect(f, "{\"size\":\"5\"}", "size: must be a number");
	expect(f, "{\"size\":1.5}", "size: must be a whole number");
	expect(f, "{\"made\":5}", "made: must be a string");
	expect(f, "{\"made\":\"noon\"}", "made: must be a time (RFC 3339)");
	expect(f, "{\"level\":true}", "level: must be a number");
	expect(f, "{\"level\":1e999}", "level: is too large");
	expect(f, "{\"on\":1}", "on: must be true or false");
	expect(f, "{\"words\":\"a\"}", "words: must be an array");
	expect(f, "{\"words\":[\"a\",7]}", "words[1]: must be a string");
	expect(f, "{\"plan\":[]}", "plan: must be an object");
	expect(f, "{\"plan\":{\"all\":0}}", "plan.all: must be true or false");
	expect(f, "{\"plan\":{\"steps\":{}}}", "plan.steps: must be an array");
	expect(f, "{\"plan\":{\"steps\":[{\"op\":\"a\"},{\"op\":{}}]}}",
	    "plan.steps[1].op: must be a string");
	expect(f, "{\"plan\":{\"steps\":[3]}}",
	    "plan.steps[0]: must be an object");
}

static void
limits_and_checks_are_named_with_their_path(void **state)
{
	struct fixture *f = *state;

	expect(f, "{\"code\":\" \"}", "code: must not be empty");
	expect(f, "{\"code\":\"a\"}", "code: must have at least 2 bytes");
	expect(
	    f, "{\"code\":\"123456789\"}", "code: must have at most 8 bytes");
	expect(f, "{\"code\":\"ab!\"}", "code: must not shout");
	expect(f, "{\"code\":\"a\\u0000b\"}",
	    "code: must not contain a NUL character");
	expect(f, "{\"raw\":\"MTIzNDU=\"}", "raw: must have at most 4 bytes");
	expect(f, "{\"info\":{\"a\":1,\"\":2}}",
	    "info: must not have an empty key");
	expect(f, "{\"size\":6}", "size: must be -5 to 5");
	expect(f, "{\"level\":-0.1}", "level: must be 0 to 1");
	expect(f, "{\"words\":[\"ok\",\"no!\"]}", "words[1]: must not shout");
	expect(f, "{\"words\":[\"a\",\"b\",\"c\",\"d\"]}",
	    "words: must have at most 3 items");
	expect(f, "{\"plan\":{\"count\":0}}", "plan.count: must be 1 to 9");
	expect(f, "{\"plan\":{\"steps\":[{\"op\":\"\"}]}}",
	    "plan.steps[0].op: must not be empty");
	expect(f,
	    "{\"plan\":{\"steps\":[{\"op\":\"a\"},{\"op\":\"a\"},"
	    "{\"op\":\"a\"},{}]}}",
	    "plan.steps: must have at most 3 items");
	expect(f, "{\"plan\":{\"steps\":[{\"at\":null}]}}",
	    "plan.steps[0].op: is missing");
}

static void
the_least_number_is_not_taken_for_null(void **state)
{
	struct field any = F_INT(struct thing, size, "size");
	struct fixture *f = *state;
	struct value v;

	assert_int_equal(field_from_text(&any, &f->a,
			     STR("-9223372036854775808"), &v, &f->err),
	    ERR_PARAM);
}

static void
broken_json_is_told_with_its_place(void **state)
{
	struct fixture *f = *state;

	expect(f, "", "line 1 column 1: unexpected end");
	expect(f, "[]", "line 1 column 1: must be an object");
	expect(f, "{\"code\":\"ab\"\n,}",
	    "line 2 column 2: comma before the "
	    "end");
	assert_int_equal(read_some(f, "{\"info\":{", NULL, NULL), ERR_PARAM);
	assert_int_equal(read_some(f, "{\"x\":tru}", NULL, NULL), ERR_PARAM);
	assert_int_equal(read_some(f, "{\"name\":nul}", NULL, NULL), ERR_PARAM);
	assert_int_equal(read_some(f, "{} x", NULL, NULL), ERR_PARAM);
}

/* --- defaults and sets --------------------------------------------------- */

static void
defaults_fill_what_was_absent(void **state)
{
	struct fixture *f = *state;

	accept(f, "{\"code\":\"ab\"}");
	assert_int_equal(
	    record_defaults(&thing_record, &f->a, f->present, &f->t, &f->err),
	    0);
	assert_true(str_eqz(f->t.code, "ab"));
	assert_null(f->t.name.ptr);
	assert_true(f->t.size == FIELD_INT_NULL);
	assert_true(str_eqz(f->t.info, "{}"));
	assert_true(f->t.plan.all);
	assert_int_equal(f->t.plan.count, 3);
}

static void
a_default_that_is_wrong_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct field fields[] = {
		F_INT(struct plan, count, "count", .def = "'three'"), { 0 }
	};
	struct record r = { "bad", sizeof(struct plan), fields };
	struct plan p = { 0 };

	assert_int_equal(record_defaults(&r, &f->a, 0, &p, &f->err), ERR_PARAM);
	assert_true(str_starts(str_of(f->err.text), STR("default of count: ")));
}

static void
names_become_bits(void **state)
{
	const struct record *r = &thing_record;
	field_set_t required;

	(void)state;
	assert_true(field_bit(r, "code") == 1);
	assert_true(field_bits(r, "code secret! raw", &required) == 0xd);
	assert_true(required == 4);
	assert_true(field_bits(r, "", &required) == 0);
	assert_true(required == 0);
}

static void
an_absent_field_is_left_out_when_null(void **state)
{
	struct fixture *f = *state;

	memset(&f->t, 0, sizeof(f->t));
	record_init(&thing_record, &f->t);
	assert_string_equal(written(f, "name secret size on words"),
	    "{\"name\":null,\"size\":null,\"on\":false,\"words\":[]}");
}

/* --- text ---------------------------------------------------------------- */

static struct value
from_text(struct fixture *f, const char *name, const char *text)
{
	size_t offset;
	struct str rest;
	struct value v;

	if (field_from_text(
		field_find(&thing_record, str_of(name), &offset, &rest), &f->a,
		str_of(text), &v, &f->err) != 0)
		fail_msg("%s", f->err.text);
	return v;
}

static void
refuse_text(
    struct fixture *f, const char *name, const char *text, const char *error)
{
	size_t offset;
	struct str rest;
	struct value v;

	assert_int_equal(field_from_text(field_find(&thing_record, str_of(name),
					     &offset, &rest),
			     &f->a, str_of(text), &v, &f->err),
	    ERR_PARAM);
	assert_string_equal(f->err.text, error);
}

static void
text_becomes_a_value_of_the_fields_type(void **state)
{
	struct fixture *f = *state;

	assert_true(str_eqz(from_text(f, "code", " AB ").text, "ab"));
	assert_int_equal(from_text(f, "size", "-3").num, -3);
	assert_true(from_text(f, "size", "").null);
	assert_true(from_text(f, "level", "0.5").real == 0.5);
	assert_int_equal(from_text(f, "on", "true").num, 1);
	assert_int_equal(from_text(f, "on", "0").num, 0);
	assert_int_equal(
	    from_text(f, "made", "1970-01-01T01:00:00+01:00").num, 0);
	assert_int_equal(from_text(f, "words", " b  A b ").texts.n, 2);
	assert_int_equal(from_text(f, "words", "[\"b\",\"c\"]").texts.n, 2);
	assert_int_equal(from_text(f, "ids", "").texts.n, 0);
	assert_true(str_eqz(from_text(f, "any", " [ 1 ] ").text, "[1]"));
	assert_true(from_text(f, "any", "").null);
	assert_true(str_eqz(
	    from_text(f, "plan", "{ \"count\": 2 }").text, "{\"count\":2}"));
	assert_memory_equal(from_text(f, "raw", "AP8").text.ptr, "\0\xff", 2);
	assert_true(str_eqz(from_text(f, "name", "").text, ""));
	assert_true(from_text(f, "name", NULL).null);
}

static void
text_is_checked_like_json(void **state)
{
	struct fixture *f = *state;

	refuse_text(f, "code", "no!", "code: must not shout");
	refuse_text(f, "code", "\xff\xff", "code: must be UTF-8");
	refuse_text(f, "code", NULL, "code: must not be null");
	refuse_text(f, "size", "9", "size: must be -5 to 5");
	refuse_text(f, "size", "3x", "size: must be a whole number");
	refuse_text(f, "level", "nan", "level: must be a number");
	refuse_text(f, "level", "2", "level: must be 0 to 1");
	refuse_text(f, "on", "yes", "on: must be true or false");
	refuse_text(f, "on", "", "on: must be true or false");
	refuse_text(f, "made", "1", "made: must be a time (RFC 3339)");
	refuse_text(f, "words", "a b c d", "words: must have at most 3 items");
	refuse_text(f, "words", "[\"a!\"]", "words[0]: must not shout");
	refuse_text(f, "info", "[]", "info: must be an object");
	refuse_text(f, "plan", "{\"count\":0}", "plan.count: must be 1 to 9");
	refuse_text(f, "raw", "=", "raw: must be base64");
	assert_int_equal(field_from_text(&thing_record.fields[5], &f->a,
			     STR("1 2"), &(struct value){ 0 }, &f->err),
	    ERR_PARAM);
}

/* --- CSV ----------------------------------------------------------------- */

static void
csv_quotes_only_where_it_must(void **state)
{
	struct fixture *f = *state;

	csv_cell(&f->out, STR("plain text"));
	buf_addc(&f->out, '|');
	csv_cell(&f->out, STR("a,b"));
	buf_addc(&f->out, '|');
	csv_cell(&f->out, STR("say \"x\"\nand\r"));
	buf_addc(&f->out, '|');
	csv_cell(&f->out, STR(""));
	assert_string_equal(
	    buf_z(&f->out), "plain text|\"a,b\"|\"say \"\"x\"\"\nand\r\"|");
}

static void
a_row_becomes_a_line_of_csv(void **state)
{
	struct fixture *f = *state;

	accept(f, full);
	csv_head(&f->out, &thing_record, FIELD_ALL);
	csv_row(&f->out, &thing_record, FIELD_ALL, &f->t);
	memset(&f->t, 0, sizeof(f->t));
	record_init(&thing_record, &f->t);
	csv_row(&f->out, &thing_record,
	    field_bits(&thing_record, "code name size made on ids", NULL),
	    &f->t);
	assert_string_equal(buf_z(&f->out),
	    "code,name,secret,raw,info,any,size,made,level,on,words,ids,"
	    "plan\n"
	    "ab,\"N\xc3\xa4me \"\"x\"\"\",s,AP8=,\"{\"\"a\"\":[1,{}]}\","
	    "\"[null,2.50]\",-5,2022-01-01T02:23:47.053Z,0.25,true,"
	    "\"[\"\"a\"\",\"\"b\"\"]\",\"[\"\"z\"\",\"\"Y\"\",\"\"z\"\"]\","
	    "\"{\"\"all\"\":false,\"\"count\"\":9,\"\"steps\"\":[{\"\"op\"\":"
	    "\"\"x\"\",\"\"at\"\":\"\"1970-01-01T00:00:00.001Z\"\"},"
	    "{\"\"op\"\":\"\"y\"\",\"\"at\"\":null}]}\"\n"
	    ",,,,false,[]\n");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_type_goes_both_ways),
		TEST(the_stores_form_keeps_everything),
		TEST(the_stores_form_is_not_checked_again),
		TEST(one_field_has_a_stores_form_too),
		TEST(unknown_and_forbidden_members_are_skipped),
		TEST(null_counts_as_absent_unless_it_is_asked_for),
		TEST(text_is_trimmed_folded_and_lists_made_sets),
		TEST(a_nested_record_is_completed_by_its_defaults),
		TEST(a_wrong_type_is_named_with_its_path),
		TEST(limits_and_checks_are_named_with_their_path),
		TEST(the_least_number_is_not_taken_for_null),
		TEST(broken_json_is_told_with_its_place),
		TEST(defaults_fill_what_was_absent),
		TEST(a_default_that_is_wrong_is_an_error),
		TEST(names_become_bits),
		TEST(an_absent_field_is_left_out_when_null),
		TEST(text_becomes_a_value_of_the_fields_type),
		TEST(text_is_checked_like_json),
		TEST(csv_quotes_only_where_it_must),
		TEST(a_row_becomes_a_line_of_csv),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
