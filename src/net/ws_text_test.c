/*
 * net/ws_text_test.c - messages out of frames; the client is bytes.
 */
#include "base/test.h"

#include "base/base.h"
#include "base/mem.h"
#include "net/ws_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fixture {
	struct ws_text w;
	struct buf heard; /* "text hello;ping ;" */
	int code;         /* that ended it */
};

static int
setup(void **state)
{
	struct fixture *f = mem_new(struct fixture);

	f->w.max = 300;
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	ws_text_fini(&f->w);
	buf_free(&f->heard);
	free(f);
	return 0;
}

/* A frame as a client sends it. */
static void
frame(struct buf *b, enum websocket_opcode opcode, bool fin, const char *text)
{
	struct websocket_head h = { .opcode = opcode,
		.fin = fin,
		.masked = true,
		.mask = { 1, 2, 3, 4 },
		.len = strlen(text) };
	char head[WEBSOCKET_HEAD_MAX];
	size_t from;

	buf_add(b, head, websocket_put(head, &h));
	from = b->len;
	buf_addz(b, text);
	websocket_mask(b->ptr + from, b->len - from, h.mask, 0);
}

static void
look(struct fixture *f)
{
	static const char *const names[] = { [WEBSOCKET_TEXT] = "text",
		[WEBSOCKET_CLOSE] = "close",
		[WEBSOCKET_PING] = "ping",
		[WEBSOCKET_PONG] = "pong" };
	enum websocket_opcode kind;
	struct str payload;
	int rc;

	while ((rc = ws_text_next(&f->w, &kind, &payload)) > 0)
		buf_addf(&f->heard, "%s " STR_FMT ";", names[kind],
		    STR_ARG(payload));
	f->code = -rc;
}

static void
hear(struct fixture *f, struct buf *b, size_t step)
{
	for (size_t at = 0; at < b->len; at += step) {
		ws_text_put(&f->w, b->ptr + at, MIN_OF(step, b->len - at));
		look(f);
	}
	buf_free(b);
}

static void
messages_arrive_whole_however_they_were_cut(void **state)
{
	struct fixture *f = *state;

	for (size_t step = 1; step < 12; step++) {
		struct buf b = { 0 };

		buf_clear(&f->heard);
		frame(&b, WEBSOCKET_TEXT, true, "one");
		frame(&b, WEBSOCKET_TEXT, false, "tw");
		frame(&b, WEBSOCKET_PING, true, "are you");
		frame(&b, WEBSOCKET_MORE, false, "");
		frame(&b, WEBSOCKET_MORE, true, "o\xc3\xa4");
		frame(&b, WEBSOCKET_TEXT, true, "");
		frame(&b, WEBSOCKET_PONG, true, "");
		hear(f, &b, step);
		assert_string_equal(buf_z(&f->heard),
		    "text one;ping are you;text two\xc3\xa4;text ;pong ;");
		assert_int_equal(f->code, 0);
	}
}

static void
a_rule_that_is_broken_has_its_code(void **state)
{
	static const struct {
		enum websocket_opcode first, second;
		bool fin;
		const char *text;
		int code;
	} cases[] = {
		{ WEBSOCKET_BINARY, 0, true, "x", WEBSOCKET_UNSUPPORTED },
		{ WEBSOCKET_MORE, 0, true, "x", WEBSOCKET_PROTOCOL },
		{ WEBSOCKET_TEXT, WEBSOCKET_TEXT, false, "x",
		    WEBSOCKET_PROTOCOL },
		{ WEBSOCKET_TEXT, 0, true, "\xff", WEBSOCKET_INVALID },
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(cases); i++) {
		struct fixture f = { .w.max = 300 };
		struct buf b = { 0 };

		frame(&b, cases[i].first, cases[i].fin, cases[i].text);
		if (cases[i].second != 0)
			frame(&b, cases[i].second, true, cases[i].text);
		hear(&f, &b, b.len);
		assert_int_equal(f.code, cases[i].code);
		assert_null(f.heard.ptr);
		ws_text_fini(&f.w);
	}
}

static void
a_message_has_a_limit_over_all_its_frames(void **state)
{
	struct fixture *f = *state;
	char text[151] = { 0 };
	struct buf b = { 0 };

	memset(text, 'a', 150);
	frame(&b, WEBSOCKET_TEXT, false, text);
	frame(&b, WEBSOCKET_MORE, true, text);
	hear(f, &b, b.len);
	assert_int_equal(f->code, 0);
	assert_int_equal(f->heard.len, 306);
	frame(&b, WEBSOCKET_TEXT, false, text);
	frame(&b, WEBSOCKET_MORE, false, text);
	hear(f, &b, b.len);
	assert_int_equal(f->code, 0);
	frame(&b, WEBSOCKET_MORE, true, "b");
	hear(f, &b, b.len);
	assert_int_equal(f->code, WEBSOCKET_TOO_BIG);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    messages_arrive_whole_however_they_were_cut, setup,
		    teardown),
		cmocka_unit_test(a_rule_that_is_broken_has_its_code),
		cmocka_unit_test_setup_teardown(
		    a_message_has_a_limit_over_all_its_frames, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
