/*
 * test/fuzz/lineproto.c - any bytes as line protocol (libFuzzer).
 *
 * Whatever portions the bytes come in, the same lines are heard; and a line
 * that was taken, written again, is taken again.
 */
#include "codec/lineproto.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(bool promise)
{
	if (!promise)
		abort();
}

static void
on_line(void *owner, const struct lineproto_line *l)
{
	struct buf *out = owner;

	check(l->measurement.len > 0 && l->n_fields > 0);
	buf_addf(out, "%" PRIu64 " ", l->number);
	lineproto_put_measurement(out, l->measurement);
	for (size_t i = 0; i < l->n_tags; i++)
		lineproto_put_tag(out, l->tags[i].name, l->tags[i].value);
	for (size_t i = 0; i < l->n_fields; i++) {
		const struct lineproto_field *f = &l->fields[i];

		if (f->type == LINEPROTO_TEXT)
			lineproto_put_text(out, i == 0, f->name, f->text);
		else if (f->type == LINEPROTO_INT)
			lineproto_put_int(out, i == 0, f->name, f->i64);
		else if (f->type == LINEPROTO_BOOL)
			lineproto_put_bool(out, i == 0, f->name, f->boolean);
		else
			lineproto_put_float(out, i == 0, f->name, f->number);
	}
	lineproto_put_time(out, l->has_time ? l->at_ms : 0, "");
}

static void
on_bad(void *owner, uint64_t number, const char *why)
{
	buf_addf(owner, "%" PRIu64 " bad %s\n", number, why);
}

static const struct lineproto_events events = { on_line, on_bad };

static void
run(const uint8_t *data, size_t size, size_t portion, struct buf *heard)
{
	static struct lineproto_reader r;

	memset(&r, 0, sizeof(r));
	r.precision = LINEPROTO_MS;
	r.events = &events;
	r.owner = heard;
	for (size_t i = 0; i < size; i += portion) {
		size_t n = size - i < portion ? size - i : portion;
		char *copy = malloc(n);

		memcpy(copy, data + i, n);
		lineproto_feed(&r, copy, n);
		free(copy);
	}
	lineproto_end(&r);
	lineproto_fini(&r);
}

static void
on_again(void *owner, const struct lineproto_line *l)
{
	(void)l;
	++*(size_t *)owner;
}

static void
on_again_bad(void *owner, uint64_t number, const char *why)
{
	(void)owner;
	(void)number;
	(void)why;
	abort();
}

/* What was written for one line, without its number. */
static void
read_again(struct str line)
{
	static const struct lineproto_events again = { on_again, on_again_bad };
	static struct lineproto_reader r;
	size_t lines = 0;

	memset(&r, 0, sizeof(r));
	r.precision = LINEPROTO_MS;
	r.events = &again;
	r.owner = &lines;
	lineproto_feed(&r, line.ptr, line.len);
	lineproto_end(&r);
	lineproto_fini(&r);
	check(lines == 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf whole = { 0 }, parts = { 0 };
	struct str rest, line;

	if (size == 0)
		return 0;
	run(data + 1, size - 1, size, &whole);
	run(data + 1, size - 1, 1 + data[0] % 16, &parts);
	check(str_eq(buf_str(&whole), buf_str(&parts)));
	rest = buf_str(&whole);
	while (rest.ptr != NULL && rest.len > 0) {
		line = str_cut(&rest, '\n');
		(void)str_cut(&line, ' ');
		if (!str_starts(line, STR("bad ")))
			read_again(line);
	}
	buf_free(&whole);
	buf_free(&parts);
	return 0;
}
