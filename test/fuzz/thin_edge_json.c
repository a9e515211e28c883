/*
 * test/fuzz/thin_edge_json.c - any bytes as Thin Edge JSON (libFuzzer).
 *
 * Nothing is heard of a message with a fault. Of a good one groups open and
 * close in turn, and what was heard, written again, is heard again.
 */
#include "codec/json.h"
#include "codec/thin_edge_json.h"

#include <math.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
	if (!holds)
		abort();
}

struct ear {
	struct json_out out;
	struct buf again;
	size_t heard;
	bool open;
};

static void
on_time(void *owner, const struct thin_edge_time *t)
{
	struct ear *e = owner;

	must(!e->open && t->nanos < 1000000000);
	e->heard++;
	json_out_key(&e->out, "time");
	if (t->unix_time)
		json_out_raw(&e->out, t->text);
	else
		json_out_str(&e->out, t->text);
}

static void
on_type(void *owner, struct str type)
{
	struct ear *e = owner;

	must(!e->open);
	e->heard++;
	json_out_key(&e->out, "type");
	json_out_str(&e->out, type);
}

static void
on_open(void *owner, struct str group)
{
	struct ear *e = owner;

	must(!e->open);
	e->open = true;
	e->heard++;
	json_out_key_str(&e->out, group);
	json_out_object(&e->out);
}

static void
on_close(void *owner, struct str group)
{
	struct ear *e = owner;

	(void)group;
	must(e->open);
	e->open = false;
	json_out_end_object(&e->out);
}

static void
on_value(void *owner, struct str group, struct str name, struct str text,
    double number)
{
	struct ear *e = owner;

	must(e->open == (group.ptr != NULL) && isfinite(number));
	must(json_valid(text, 0));
	e->heard++;
	json_out_key_str(&e->out, name);
	json_out_raw(&e->out, text);
}

static void
on_properties(void *owner, struct str json)
{
	struct ear *e = owner;

	must(!e->open && json_valid(json, 0));
	e->heard++;
	json_out_key(&e->out, "properties");
	json_out_raw(&e->out, json);
}

static void
on_ignored(void *owner, struct str name)
{
	struct ear *e = owner;

	must(!e->open);
	e->heard++;
	json_out_key_str(&e->out, name);
	json_out_str(&e->out, STR(""));
}

static const struct thin_edge_visitor visitor = { on_time, on_type, on_open,
	on_close, on_value, on_properties, on_ignored };

static bool
listen(struct ear *e, struct str text, unsigned flags)
{
	struct arena a = { 0 };
	struct err err = { 0 };
	int rc;

	json_out_init(&e->out, &e->again, false);
	json_out_object(&e->out);
	rc = thin_edge_json_read(text, flags, 0, &a, &visitor, e, &err);
	json_out_end_object(&e->out);
	must(rc == 0 ? !e->open : e->heard == 0 && err.text[0] != '\0');
	arena_fini(&a);
	return rc == 0;
}

static void
on_unit(void *owner, struct str group, struct str name, struct str unit)
{
	(void)owner;
	(void)group;
	must(name.ptr != NULL && unit.ptr != NULL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = { (const char *)data, size };
	struct arena a = { 0 };
	for (unsigned flags = 0; flags <= THIN_EDGE_STRICT; flags++) {
		struct ear e = { 0 }, twice = { 0 };

		if (listen(&e, text, flags)) {
			must(listen(&twice, buf_str(&e.again), flags));
			must(twice.heard == e.heard);
			must(str_eq(buf_str(&twice.again), buf_str(&e.again)));
		}
		buf_free(&e.again);
		buf_free(&twice.again);
	}
	(void)thin_edge_json_units(text, &a, on_unit, NULL, NULL);
	arena_fini(&a);
	return 0;
}
