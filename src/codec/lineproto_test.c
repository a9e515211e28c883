/*
 * codec/lineproto_test.c - what lines say, in whatever portions they come.
 */
#include "codec/lineproto.h"

#include "base/base.h"
#include "base/test.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fixture {
	struct lineproto_reader r;
	struct buf heard;
};

static void
on_line(void *owner, const struct lineproto_line *l)
{
	struct buf *b = &((struct fixture *)owner)->heard;

	buf_addf(
	    b, "%" PRIu64 " [" STR_FMT "]", l->number, STR_ARG(l->measurement));
	for (size_t i = 0; i < l->n_tags; i++)
		buf_addf(b, " [" STR_FMT "]=[" STR_FMT "]",
		    STR_ARG(l->tags[i].name), STR_ARG(l->tags[i].value));
	for (size_t i = 0; i < l->n_fields; i++) {
		const struct lineproto_field *f = &l->fields[i];

		buf_addf(b, " " STR_FMT ":", STR_ARG(f->name));
		if (f->type == LINEPROTO_TEXT)
			buf_addf(b, "\"" STR_FMT "\"", STR_ARG(f->text));
		else
			buf_addf(b, "%s%.17g",
			    f->type == LINEPROTO_INT        ? "i"
				: f->type == LINEPROTO_UINT ? "u"
				: f->type == LINEPROTO_BOOL ? "b"
							    : "",
			    f->number);
	}
	if (l->has_time)
		buf_addf(b, " @%" PRId64, l->at_ms);
	buf_addc(b, '\n');
}

static void
on_bad(void *owner, uint64_t number, const char *why)
{
	buf_addf(&((struct fixture *)owner)->heard, "%" PRIu64 " bad: %s\n",
	    number, why);
}

static const struct lineproto_events events = { on_line, on_bad };

static int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->r.events = &events;
	f->r.owner = f;
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	lineproto_fini(&f->r);
	buf_free(&f->heard);
	free(f);
	return 0;
}

static const char *
heard(struct fixture *f, const char *text, size_t portion)
{
	size_t n = strlen(text);

	buf_clear(&f->heard);
	for (size_t i = 0; i < n; i += portion) {
		/* in memory of its own, so that reading behind it shows */
		size_t len = MIN_OF(portion, n - i);
		char *copy = malloc(len);

		memcpy(copy, text + i, len);
		lineproto_feed(&f->r, copy, len);
		free(copy);
	}
	lineproto_end(&f->r);
	return buf_z(&f->heard);
}

static const struct {
	const char *in, *out;
} cases[] = {
	{ "m f=1 1700000000123456789", "1 [m] f:1 @1700000000123\n" },
	{ "m,a=b,c=d x=1.5,y=-2e3", "1 [m] [a]=[b] [c]=[d] x:1.5 y:-2000\n" },
	{ "m a=1i,b=2u,c=t,d=FALSE,e=\"s\"",
	    "1 [m] a:i1 b:u2 c:b1 d:b0 e:\"s\"\n" },
	{ "# note\n\n \nm f=1\r\n", "4 [m] f:1\n" },
	{ "a\\,b\\ c\\=d,t\\ \\,\\=x=v\\ \\=\\, f\\ g=1",
	    "1 [a,b c\\=d] [t ,=x]=[v =,] f g:1\n" },
	{ "m s=\"a \\\"q\\\" \\\\ , = b\" 5000000",
	    "1 [m] s:\"a \"q\" \\ , = b\" @5\n" },
	{ "m s=\"a\\b\"", "1 [m] s:\"a\\b\"\n" },
	{ "m\\x f=1", "1 [m\\x] f:1\n" },
	{ "m f=1 -1", "1 [m] f:1 @-1\n" },
	{ "m  f=1  1000000 ", "1 [m] f:1 @1\n" },
	{ "m f=0.1,g=123456789012345678,h=.5,i=1.",
	    "1 [m] f:0.10000000000000001 g:1.2345678901234568e+17 h:0.5 "
	    "i:1\n" },
	{ "good f=1\nbad\ngood f=2",
	    "1 [good] f:1\n2 bad: a line without fields\n3 [good] f:2\n" },
	{ ",a=b f=1", "1 bad: a line without a measurement\n" },
	{ "m,a= f=1", "1 bad: a tag without a value\n" },
	{ "m,a f=1", "1 bad: a tag without a value\n" },
	{ "m,=a f=1", "1 bad: a tag without a name\n" },
	{ "m,a=b=c f=1", "1 bad: a \"=\" in a tag is not escaped\n" },
	{ "m f=", "1 bad: a bad value of a field\n" },
	{ "m f", "1 bad: a field without a name or a value\n" },
	{ "m f=1,", "1 bad: a field without a name or a value\n" },
	{ "m f=nan", "1 bad: a bad value of a field\n" },
	{ "m f=0x10", "1 bad: a bad value of a field\n" },
	{ "m f=1e999", "1 bad: a bad value of a field\n" },
	{ "m f=99999999999999999999i", "1 bad: a bad integer\n" },
	{ "m f=-1u", "1 bad: a bad integer\n" },
	{ "m f=\"a", "1 bad: a text without its end\n" },
	{ "m f=\"a\"b", "1 bad: something behind a value\n" },
	{ "m f=1 x", "1 bad: a bad time\n" },
	{ "m f=1 1 2", "1 bad: a bad time\n" },
};

static void
lines_say_the_same_in_any_portions(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < COUNT_OF(cases); i++)
		for (size_t portion = 1; portion < 40; portion++)
			assert_string_equal(
			    heard(f, cases[i].in, portion), cases[i].out);
}

static void
a_line_that_is_too_long_harms_no_other(void **state)
{
	struct fixture *f = *state;
	struct buf text = { 0 };

	buf_addz(&text, "a f=1\nb f=\"");
	for (size_t i = 0; i < LINEPROTO_LINE_MAX; i++)
		buf_addc(&text, 'x');
	buf_addz(&text, "\"\nc f=2\n");
	for (size_t portion = 1000; portion < 4000000; portion *= 50)
		assert_string_equal(heard(f, buf_z(&text), portion),
		    "1 [a] f:1\n2 bad: a line is too long\n3 [c] f:2\n");
	buf_free(&text);
}

static void
too_much_in_a_line_is_refused(void **state)
{
	struct fixture *f = *state;
	struct buf text = { 0 };

	buf_addz(&text, "m");
	for (int i = 0; i <= LINEPROTO_TAGS_MAX; i++)
		buf_addf(&text, ",t%d=1", i);
	buf_addz(&text, " f=1");
	assert_string_equal(
	    heard(f, buf_z(&text), 100000), "1 bad: too many tags\n");
	buf_clear(&text);
	buf_addz(&text, "m f=1");
	for (int i = 0; i < LINEPROTO_FIELDS_MAX; i++)
		buf_addf(&text, ",f%d=1", i);
	assert_string_equal(
	    heard(f, buf_z(&text), 100000), "1 bad: too many fields\n");
	buf_free(&text);
}

static void
times_have_a_precision(void **state)
{
	static const struct {
		const char *name;
		const char *out;
	} of[] = { { "", "1 [m] f:1 @0\n" }, { "ns", "1 [m] f:1 @0\n" },
		{ "u", "1 [m] f:1 @7\n" }, { "ms", "1 [m] f:1 @7200\n" },
		{ "s", "1 [m] f:1 @7200000\n" },
		{ "m", "1 [m] f:1 @432000000\n" },
		{ "h", "1 [m] f:1 @25920000000\n" } };
	struct fixture *f = *state;

	for (size_t i = 0; i < COUNT_OF(of); i++) {
		assert_true(
		    lineproto_precision(str_of(of[i].name), &f->r.precision));
		assert_string_equal(heard(f, "m f=1 7200", 9), of[i].out);
	}
	assert_false(lineproto_precision(STR("d"), &f->r.precision));
	f->r.precision = LINEPROTO_H;
	assert_string_equal(
	    heard(f, "m f=1 9223372036854775807", 9), "1 bad: a bad time\n");
}

static void
what_is_written_reads_back(void **state)
{
	struct fixture *f = *state;
	struct buf out = { 0 };
	char *text;

	lineproto_put_measurement(&out, STR("a b,c=d"));
	lineproto_put_tag(&out, STR("t =,"), STR("v =,\nx"));
	lineproto_put_tag(&out, STR("empty"), STR(""));
	lineproto_put_tag(&out, STR("end"), STR("c:\\"));
	lineproto_put_float(&out, true, STR("f g"), 0.1);
	lineproto_put_int(&out, false, STR("i"), -5);
	lineproto_put_bool(&out, false, STR("b"), true);
	lineproto_put_text(&out, false, STR("s"), STR("\\ \"x\""));
	lineproto_put_time(&out, 1700000000123, "000000");
	text = strdup(buf_z(&out));
	assert_string_equal(text,
	    "a\\ b\\,c=d,t\\ \\=\\,=v\\ \\=\\,\\ x,end=c:\\\\ "
	    " f\\ g=0.1,i=-5i,b=true,s=\"\\\\ \\\"x\\\"\" "
	    "1700000000123000000\n");
	assert_string_equal(heard(f, text, 1000),
	    "1 [a b,c=d] [t =,]=[v =, x] [end]=[c:\\ ] "
	    "f g:0.10000000000000001 i:i-5 b:b1 s:\"\\ \"x\"\" "
	    "@1700000000123\n");
	free(text);
	buf_free(&out);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(lines_say_the_same_in_any_portions),
		T(a_line_that_is_too_long_harms_no_other),
		T(too_much_in_a_line_is_refused),
		T(times_have_a_precision),
		T(what_is_written_reads_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
