/*
 * test/fuzz/gateway.c - any bytes as lines of a link, as spec of every provider
 * and protocol, and as messages of a script. Lines are the same however they
 * were cut; specs and messages that are taken are taken again when they are
 * written out.
 */
#include "codec/entity_json.h"
#include "plug/gateway/generic.h"
#include "plug/gateway/split.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_spec(const struct record *r, struct str text)
{
	struct arena a = { 0 };
	struct buf once = { 0 }, twice = { 0 };
	struct err err;
	void *row;

	if (r == NULL)
		return;
	row = arena_alloc(&a, r->size);
	if (record_read(r, &a, text, row, &err) == 0) {
		record_encode(&once, r, row);
		row = arena_alloc(&a, r->size);
		if (record_read(r, &a, buf_str(&once), row, &err) != 0)
			abort();
		record_encode(&twice, r, row);
		if (!str_eq(buf_str(&once), buf_str(&twice)))
			abort();
	}
	buf_free(&once);
	buf_free(&twice);
	arena_fini(&a);
}

static void
cut_lines(struct str text, size_t step, struct buf *out)
{
	struct split s = { 0 };
	enum split_result what;
	struct str line;

	for (size_t at = 0; at < text.len; at += step) {
		struct str bytes = { text.ptr + at,
			text.len - at < step ? text.len - at : step };

		while (
		    (what = split_next(&s, &bytes, 20, &line)) != SPLIT_MORE) {
			if (what == SPLIT_LINE && line.len > 20)
				abort();
			buf_addc(out, what == SPLIT_LINE ? '[' : '!');
			if (what == SPLIT_LINE)
				buf_add_str(out, line);
		}
	}
	split_fini(&s);
}

static void
check_lines(struct str text)
{
	struct buf whole = { 0 }, cut = { 0 };

	cut_lines(text, text.len + 1, &whole);
	cut_lines(text, 1 + text.len % 7, &cut);
	if (!str_eq(buf_str(&whole), buf_str(&cut)))
		abort();
	buf_free(&whole);
	buf_free(&cut);
}

static void
put_list(struct buf *out, const struct gateway_messages *m)
{
	buf_addc(out, '[');
	for (size_t i = 0; i < m->n; i++) {
		if (i > 0)
			buf_addc(out, ',');
		generic_put_message(out, &m->at[i]);
	}
	buf_addc(out, ']');
}

static void
check_messages(struct str text)
{
	struct arena a = { 0 };
	struct gateway_messages m = { .a = &a }, again = { .a = &a };
	struct buf once = { 0 }, twice = { 0 };
	struct err err;

	if (generic_read_list(&m, text, &err) == 0) {
		put_list(&once, &m);
		if (generic_read_list(&again, buf_str(&once), &err) != 0)
			abort();
		put_list(&twice, &again);
		if (!str_eq(buf_str(&once), buf_str(&twice)))
			abort();
	}
	buf_free(&once);
	buf_free(&twice);
	arena_fini(&a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const protocols[] = { "serial", "ethernet", "mqtt",
		"http" };
	struct str text = { (const char *)data, size };

	for (const char *const *p = gateway_providers(); *p != NULL; p++)
		check_spec(gateway_provider_spec(*p), text);
	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++)
		check_spec(gateway_protocol_spec(protocols[i]), text);
	check_lines(text);
	check_messages(text);
	return 0;
}
