/*
 * codec/websocket_test.c - heads of frames: every form, and every rule that one
 * frame alone can break.
 */
#include "base/test.h"

#include "base/base.h"
#include "codec/websocket.h"

#include <string.h>

struct good {
	struct str bytes; /* masked by "abcd" if `client` */
	bool client;
	enum websocket_opcode opcode;
	bool fin;
	uint64_t len;
};

/* The first two are those of RFC 6455, 5.7. */
static const struct good goods[] = {
	{ { "\x81\x05", 2 }, false, WEBSOCKET_TEXT, true, 5 },
	{ { "\x81\x85"
	    "abcd",
	      6 },
	    true, WEBSOCKET_TEXT, true, 5 },
	{ { "\x82\x80"
	    "abcd",
	      6 },
	    true, WEBSOCKET_BINARY, true, 0 },
	{ { "\x02\xfd"
	    "abcd",
	      6 },
	    true, WEBSOCKET_BINARY, false, 125 },
	{ { "\x00\xfe\x00\x7e"
	    "abcd",
	      8 },
	    true, WEBSOCKET_MORE, false, 126 },
	{ { "\x80\xfe\xff\xff"
	    "abcd",
	      8 },
	    true, WEBSOCKET_MORE, true, 65535 },
	{ { "\x82\xff\0\0\0\0\0\1\0\0"
	    "abcd",
	      14 },
	    true, WEBSOCKET_BINARY, true, 65536 },
	{ { "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff"
	    "abcd",
	      14 },
	    true, WEBSOCKET_BINARY, true, INT64_MAX },
	{ { "\x82\x7f\0\0\0\1\0\0\0\0", 10 }, false, WEBSOCKET_BINARY, true,
	    1ull << 32 },
	{ { "\x88\x80"
	    "abcd",
	      6 },
	    true, WEBSOCKET_CLOSE, true, 0 },
	{ { "\x89\x7d", 2 }, false, WEBSOCKET_PING, true, 125 },
	{ { "\x8a\x02", 2 }, false, WEBSOCKET_PONG, true, 2 },
};

static void
every_form_of_a_head_is_read_and_written(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(goods); i++) {
		const struct good *g = &goods[i];
		char back[WEBSOCKET_HEAD_MAX];
		struct websocket_head h;
		size_t len = 99;

		for (size_t n = 0; n < g->bytes.len; n++)
			assert_int_equal(
			    websocket_parse((struct str){ g->bytes.ptr, n },
				g->client, &h, &len, NULL),
			    ERR_AGAIN);
		assert_int_equal(
		    websocket_parse(g->bytes, g->client, &h, &len, NULL), 0);
		assert_int_equal(len, g->bytes.len);
		assert_int_equal(h.opcode, g->opcode);
		assert_int_equal(h.fin, g->fin);
		assert_int_equal(h.masked, g->client);
		assert_int_equal(h.len, g->len);
		if (h.masked)
			assert_memory_equal(h.mask, "abcd", 4);
		assert_int_equal(websocket_put(back, &h), len);
		assert_memory_equal(back, g->bytes.ptr, len);
	}
}

static void
broken_heads_are_refused(void **state)
{
	static const struct {
		struct str bytes;
		bool client;
	} bad[] = {
		{ { "\x82\x05", 2 }, true },  /* no mask from a client */
		{ { "\x82\x85", 2 }, false }, /* a mask from a server */
		{ { "\xc2\x85", 2 }, true },  /* reserved bits */
		{ { "\xa2\x85", 2 }, true }, { { "\x92\x85", 2 }, true },
		{ { "\x83\x85", 2 }, true }, /* reserved opcodes */
		{ { "\x87\x85", 2 }, true }, { { "\x8b\x85", 2 }, true },
		{ { "\x8f\x85", 2 }, true },
		{ { "\x09\x85", 2 }, true }, /* control in pieces */
		{ { "\x88\xfe", 2 }, true }, /* control too long */
		{ { "\x8a\xff", 2 }, true },
		{ { "\x82\x7e\x00\x7d", 4 }, false }, /* not the shortest */
		{ { "\x82\x7f\0\0\0\0\0\0\xff\xff", 10 }, false },
		{ { "\x82\x7f\x80\0\0\0\0\0\0\0", 10 }, false }, /* 2^63 */
	};

	(void)state;
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		struct websocket_head h;
		struct err err;
		size_t len;

		assert_int_equal(websocket_parse(bad[i].bytes, bad[i].client,
				     &h, &len, &err),
		    ERR_PROTO);
		assert_int_equal(err.code, ERR_PROTO);
	}
}

static void
masking_twice_is_nothing_wherever_it_begins(void **state)
{
	static const uint8_t mask[4] = { 0x37, 0xfa, 0x21, 0x3d };
	char hello[] = "\x7f\x9f\x4d\x51\x58", text[64], copy[64];

	(void)state;
	websocket_mask(hello, 5, mask, 0); /* RFC 6455, 5.7 */
	assert_string_equal(hello, "Hello");
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (char)i;
	for (size_t cut = 0; cut <= sizeof(text); cut++) {
		memcpy(copy, text, sizeof(text));
		websocket_mask(copy, sizeof(copy), mask, 0);
		for (size_t i = 0; i < sizeof(text); i++)
			assert_int_equal(
			    (uint8_t)copy[i], (uint8_t)text[i] ^ mask[i % 4]);
		websocket_mask(copy, cut, mask, 0);
		websocket_mask(copy + cut, sizeof(copy) - cut, mask, cut);
		assert_memory_equal(copy, text, sizeof(text));
	}
}

static void
close_codes_are_checked(void **state)
{
	(void)state;
	assert_int_equal(websocket_close_code(STR("")), WEBSOCKET_NO_CODE);
	assert_int_equal(websocket_close_code(STR("\x03\xe8")), 1000);
	assert_int_equal(websocket_close_code(STR("\x03\xe8why")), 1000);
	assert_int_equal(websocket_close_code(STR("\x0b\xb8")), 3000);
	assert_int_equal(websocket_close_code(STR("\x13\x87")), 4999);
	assert_int_equal(websocket_close_code(STR("\x03")), -1002);
	assert_int_equal(
	    websocket_close_code(STR("\x03\xe7")), -1002); /* 999 */
	assert_int_equal(
	    websocket_close_code(STR("\x03\xed")), -1002); /* 1005 */
	assert_int_equal(
	    websocket_close_code(STR("\x03\xf7")), -1002); /* 1015 */
	assert_int_equal(
	    websocket_close_code(STR("\x07\xd0")), -1002); /* 2000 */
	assert_int_equal(
	    websocket_close_code(STR("\x13\x88")), -1002); /* 5000 */
	assert_int_equal(
	    websocket_close_code(STR("\x03\xe8\xff")), -WEBSOCKET_INVALID);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_form_of_a_head_is_read_and_written),
		cmocka_unit_test(broken_heads_are_refused),
		cmocka_unit_test(masking_twice_is_nothing_wherever_it_begins),
		cmocka_unit_test(close_codes_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
