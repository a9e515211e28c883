/*
 * codec/entity_read.c - records as people write them, see record_read(). They
 * come out of YAML, forms and templates, where "465" and 465 are easily
 * confused.
 */
#include "codec/entity_json.h"

#include <stdlib.h>
#include <string.h>

static void
copy_items(struct json *j, struct json_out *o)
{
	struct str raw;

	json_out_array(o);
	json_array(j);
	while (json_item(j)) {
		if (json_peek(j) == JSON_NUMBER && json_num(j, &raw))
			json_out_str(o, raw);
		else
			json_copy(j, o);
	}
	json_out_end_array(o);
}

/* A text where the row wants something else. */
static void
copy_text(
    struct json_out *o, const struct field *f, struct str text, struct arena *a)
{
	struct str whole = str_trim(text);
	int64_t n;

	switch (f->type) {
	case FIELD_INT:
		if (whole.len == 0)
			json_out_raw(o, str_of(f->def));
		else if (str_to_i64(whole, &n))
			json_out_int(o, n);
		else
			json_out_str(o, text); /* is refused with its name */
		break;
	case FIELD_BOOL:
		if (str_eq_nocase(whole, STR("true")))
			json_out_bool(o, true);
		else if (str_eq_nocase(whole, STR("false")) || whole.len == 0)
			json_out_bool(o, false);
		else
			json_out_str(o, text);
		break;
	case FIELD_JSON: /* what a template made of an object */
		if ((f->flags & FIELD_OBJECT) && str_starts(whole, STR("{")) &&
		    json_valid(whole, 0))
			json_out_raw(o, whole);
		else if ((f->flags & FIELD_OBJECT) && whole.len == 0)
			json_out_raw(o, STR("{}"));
		else
			json_out_str(o, text);
		break;
	case FIELD_TEXTS:
		if (str_starts(whole, STR("[")) && json_valid(whole, 0)) {
			struct json list;

			json_open(&list, whole, 0, a);
			copy_items(&list, o);
			break;
		}
		json_out_array(o);
		while (text.ptr != NULL) {
			struct str item = str_trim(str_cut(&text, ','));

			if (item.len > 0)
				json_out_str(o, item);
		}
		json_out_end_array(o);
		break;
	default:
		json_out_str(o, text);
	}
}

static void
copy_value(struct json *j, struct json_out *o, const struct field *f)
{
	enum json_type type = json_peek(j);
	struct str text;

	if (type == JSON_STRING && json_str(j, &text)) {
		copy_text(o, f, text, j->arena);
	} else if (type == JSON_ARRAY && f->type == FIELD_TEXTS) {
		copy_items(j, o);
	} else if ((type == JSON_NUMBER || type == JSON_BOOL) &&
	    (f->type == FIELD_TEXT || f->type == FIELD_TEXTS) &&
	    json_raw(j, &text)) {
		if (f->type == FIELD_TEXTS)
			json_out_array(o);
		json_out_str(o, text);
		if (f->type == FIELD_TEXTS)
			json_out_end_array(o);
	} else {
		json_copy(j, o);
	}
}

static const struct field *
find(const struct record *r, struct str name)
{
	for (const struct field *f = r->fields; f->name != NULL; f++)
		if (str_eq_nocase(name, str_of(f->name)))
			return f;
	return NULL;
}

int
record_read(const struct record *r, struct arena *a, struct str json, void *row,
    struct err *err)
{
	struct buf text = { 0 };
	struct json_out o;
	struct json j;
	struct str key, copy;
	field_set_t present;
	int rc;

	json_out_init(&o, &text, false);
	json_out_object(&o);
	json_open(&j, json, 0, a);
	if (json_object(&j))
		while (json_member(&j, &key)) {
			const struct field *f = find(r, key);

			if (f == NULL) {
				json_skip(&j);
				continue;
			}
			json_out_key(&o, f->name);
			copy_value(&j, &o, f);
		}
	json_out_end_object(&o);
	rc = json_done(&j, err);
	copy = arena_str(a, buf_str(&text));
	buf_free(&text);
	if (rc != 0)
		return rc;
	memset(row, 0, r->size);
	record_init(r, row);
	json_open(&j, copy, 0, a);
	if (record_from_json(&j, r, FIELD_ALL, 0, row, &present, err) != 0)
		return ERR_PARAM;
	return record_defaults(r, a, present, row, err);
}
