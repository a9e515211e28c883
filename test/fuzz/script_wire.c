/*
 * test/fuzz/script_wire.c - any bytes as what a helper of scripts says.
 *
 * The first byte says how the rest is cut into pieces: frames must come out the
 * same as from the whole. What is taken as a result or as a request must be the
 * same when it is written and read again.
 */
#include "base/base.h"
#include "plug/script/wire.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FRAME_MAX 4096

static void
must(bool holds)
{
	if (!holds)
		abort();
}

static void
result_again(const struct wire_result *r)
{
	struct buf b = { 0 };
	struct wire_frame f;
	struct wire_result again;
	size_t begin = wire_begin(&b, WIRE_RESULT);

	wire_u32(&b, r->seq);
	wire_u8(&b, r->good);
	wire_u8(&b, r->code);
	wire_u32(&b, r->line);
	wire_text(&b, r->console);
	wire_text(&b, r->text);
	wire_end(&b, begin);
	must(wire_next(buf_str(&b), FRAME_MAX, &f) == 1 && f.size == b.len);
	must(f.kind == WIRE_RESULT && wire_read_result(f.body, &again));
	must(again.seq == r->seq && again.line == r->line &&
	    str_eq(again.console, r->console) && str_eq(again.text, r->text));
	buf_free(&b);
}

static void
ask_again(const struct wire_ask *a)
{
	struct buf b = { 0 };
	struct wire_frame f;
	struct wire_ask again;
	size_t begin = wire_begin(&b, WIRE_ASK);

	wire_u32(&b, a->seq);
	wire_u8(&b, a->insecure);
	wire_u32(&b, a->timeout);
	wire_text(&b, a->method);
	wire_text(&b, a->url);
	wire_text(&b, a->headers);
	wire_text(&b, a->body);
	wire_end(&b, begin);
	must(wire_next(buf_str(&b), FRAME_MAX, &f) == 1 && f.size == b.len);
	must(f.kind == WIRE_ASK && wire_read_ask(f.body, &again));
	must(again.seq == a->seq && str_eq(again.url, a->url) &&
	    str_eq(again.headers, a->headers) && str_eq(again.body, a->body));
	buf_free(&b);
}

/* Frames of `bytes`; how many bytes they were. */
static size_t
read_all(struct str bytes, size_t *n, int *rc)
{
	size_t at = 0;
	struct wire_frame f;

	for (;;) {
		struct wire_result r;
		struct wire_ask a;

		*rc = wire_next((struct str){ bytes.ptr + at, bytes.len - at },
		    FRAME_MAX, &f);
		if (*rc <= 0)
			return at;
		must(f.body.end == bytes.ptr + at + f.size);
		if (f.kind == WIRE_RESULT && wire_read_result(f.body, &r))
			result_again(&r);
		if (f.kind == WIRE_ASK && wire_read_ask(f.body, &a))
			ask_again(&a);
		at += f.size;
		(*n)++;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t piece, whole, at = 0, n = 0, frames = 0, total = 0;
	struct buf in = { 0 };
	int rc = 0, whole_rc;
	struct str bytes;

	if (size == 0)
		return 0;
	piece = data[0] + 1;
	bytes = (struct str){ (const char *)data + 1, size - 1 };
	whole = read_all(bytes, &n, &whole_rc);
	while (at < bytes.len && rc >= 0) {
		size_t more = MIN_OF(piece, bytes.len - at), used;

		buf_add(&in, bytes.ptr + at, more);
		at += more;
		used = read_all(buf_str(&in), &frames, &rc);
		total += used;
		memmove(in.ptr, in.ptr + used, in.len - used);
		in.len -= used;
	}
	must(total == whole && frames == n);
	buf_free(&in);
	return 0;
}
