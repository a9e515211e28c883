/*
 * test/fuzz/entity_json.c - any bytes as a record: what is accepted must come
 * back the same from both of its written forms.
 */
#include "codec/entity_json.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct condition {
	struct str variable, operator, value;
};

static const struct record condition_record = { "condition",
	sizeof(struct condition),
	(const struct field[]){
	    F_TEXT(struct condition, variable, "variable", .min = 1),
	    F_TEXT(struct condition, operator, "operator", .def = "'eq'",
		.flags = FIELD_LOWER | FIELD_TRIM),
	    F_JSON(struct condition, value, "value", .flags = FIELD_NULL),
	    { 0 } } };

struct state {
	int64_t since, count;
	double load;
	struct str output;
};

static const struct record state_record = { "state", sizeof(struct state),
	(const struct field[]){
	    F_TIME(struct state, since, "since", .flags = FIELD_NULL),
	    F_INT(struct state, count, "count"),
	    F_REAL(struct state, load, "load", .flags = FIELD_NULL),
	    F_BLOB(struct state, output, "output", .flags = FIELD_NULL),
	    { 0 } } };

struct task {
	struct str id, labels, variables;
	bool enabled;
	struct strs handlers, words;
	struct rows conditions;
	struct state state;
};

static const struct record task_record = { "task", sizeof(struct task),
	(const struct field[]){ F_TEXT(struct task, id, "id", .max = 64),
	    F_JSON(struct task, labels, "labels", .flags = FIELD_OBJECT),
	    F_JSON(struct task, variables, "variables",
		.flags = FIELD_NULL | FIELD_ABSENT),
	    F_BOOL(struct task, enabled, "enabled"),
	    F_TEXTS(struct task, handlers, "handlers", .max = 8),
	    F_TEXTS(
		struct task, words, "words", .flags = FIELD_UNIQ | FIELD_LOWER),
	    F_RECORDS(struct task, conditions, "conditions",
		.record = &condition_record, .max = 8),
	    F_RECORD(struct task, state, struct state, "state",
		.record = &state_record),
	    { 0 } } };

static void
encode(const struct task *t, struct buf *b)
{
	buf_clear(b);
	record_encode(b, &task_record, t);
}

static void
must(bool holds)
{
	if (!holds)
		abort();
}

/* The store's form gives the same row, which gives the same form. */
static void
check_store_form(const struct task *t, struct arena *a)
{
	struct buf once = { 0 }, again = { 0 };
	struct task back;

	encode(t, &once);
	must(json_valid(buf_str(&once), 0));
	must(record_decode(buf_str(&once), &task_record, a, &back, NULL) == 0);
	encode(&back, &again);
	must(str_eq(buf_str(&once), buf_str(&again)));
	buf_free(&once);
	buf_free(&again);
}

/* What we write to people we also take from them. */
static void
check_public_form(const struct task *t, struct arena *a)
{
	struct buf text = { 0 }, csv = { 0 };
	struct task back = { 0 };
	struct json_out o;
	struct json j;

	json_out_init(&o, &text, false);
	record_to_json(&o, &task_record, FIELD_ALL, t);
	json_open(&j, buf_str(&text), 0, a);
	record_init(&task_record, &back);
	must(record_from_json(
		 &j, &task_record, FIELD_ALL, 0, &back, NULL, NULL) == 0);
	must(json_done(&j, NULL) == 0);
	csv_row(&csv, &task_record, FIELD_ALL, t);
	buf_free(&text);
	buf_free(&csv);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a = { 0 };
	struct task t = { 0 };
	field_set_t present;
	struct err err;
	struct json j;
	unsigned flags = 0;

	if (size > 0) {
		flags = data[0] & 1 ? JSON_5 : 0;
		data++;
		size--;
	}
	record_init(&task_record, &t);
	json_open(&j, (struct str){ (const char *)data, size }, flags, &a);
	if (record_from_json(
		&j, &task_record, FIELD_ALL, 0, &t, &present, &err) == 0 &&
	    json_done(&j, &err) == 0) {
		must(record_defaults(&task_record, &a, present, &t, &err) == 0);
		check_store_form(&t, &a);
		check_public_form(&t, &a);
	} else {
		must(err.code == ERR_PARAM);
	}
	(void)record_decode((struct str){ (const char *)data, size },
	    &task_record, &a, &t, &err);
	arena_fini(&a);
	return 0;
}
