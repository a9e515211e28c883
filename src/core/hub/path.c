/*
 * core/hub/path.c - reading and setting what lies at a dotted path in JSON.
 * Keys are the same in any case; items of lists go by their number.
 */
#include "core/hub/private.h"

#include "codec/json.h"

bool
hub_json_at(
    struct arena *a, struct str json, struct str path, struct str *value)
{
	while (path.ptr != NULL && path.len > 0) {
		struct str part = str_cut(&path, '.');
		struct str found = json_find_nocase(a, json, part);
		struct json j;
		uint64_t at, i = 0;

		json_open(&j, json, 0, a);
		if (json_peek(&j) == JSON_ARRAY && str_to_u64(part, &at) &&
		    json_array(&j)) {
			while (json_item(&j))
				if (i++ == at)
					json_raw(&j, &found);
				else
					json_skip(&j);
		}
		if (!json_ok(&j) || found.ptr == NULL)
			return false;
		json = found;
	}
	*value = json;
	return true;
}

bool
hub_has(const struct strs *list, struct str s)
{
	for (size_t i = 0; i < list->n; i++)
		if (str_eq_nocase(list->at[i], s))
			return true;
	return list->n == 0;
}

bool
hub_passes(struct str filters, struct str entity)
{
	struct arena a = { 0 };
	struct str path, want, have;
	struct json j, k;
	bool all = true;

	json_open(&j, filters, 0, &a);
	if (json_object(&j))
		while (all && json_member(&j, &path)) {
			if (json_peek(&j) == JSON_STRING)
				json_str(&j, &want);
			else
				json_raw(&j, &want);
			if (!hub_json_at(&a, entity, path, &have)) {
				all = false;
				break;
			}
			json_open(&k, have, 0, &a);
			if (json_peek(&k) == JSON_STRING)
				json_str(&k, &have);
			all = str_eq(have, want);
		}
	arena_fini(&a);
	return all;
}

static void
put(struct arena *a, struct str json, struct str path, struct str value,
    struct json_out *o)
{
	struct str part = str_cut(&path, '.'), key, old;
	bool there = false;
	struct json j;

	json_open(&j, json, 0, a);
	json_out_object(o);
	if (json_peek(&j) == JSON_OBJECT && json_object(&j))
		while (json_member(&j, &key) && json_raw(&j, &old)) {
			json_out_key_str(o, key);
			if (there || !str_eq_nocase(key, part)) {
				json_out_raw(o, old);
				continue;
			}
			there = true;
			if (path.len > 0)
				put(a, old, path, value, o);
			else
				json_out_raw(o, value);
		}
	if (!there) {
		json_out_key_str(o, part);
		if (path.len > 0)
			put(a, STR("{}"), path, value, o);
		else
			json_out_raw(o, value);
	}
	json_out_end_object(o);
}

void
hub_json_set(struct arena *a, struct str json, struct str path, struct str text,
    struct buf *out)
{
	struct str value = str_trim(text);
	struct buf b = { 0 };
	struct json_out o;

	if (value.len == 0 || (value.ptr[0] != '{' && value.ptr[0] != '[') ||
	    !json_valid(value, 0)) {
		json_quote(&b, text);
		value = arena_str(a, buf_str(&b));
		buf_free(&b);
	}
	json_out_init(&o, out, false);
	put(a, json, path, value, &o);
}

bool
hub_read_texts(struct arena *a, struct str json, const struct hub_text *texts,
    size_t n, void *to)
{
	struct str key;
	struct json j;

	json_open(&j, json, 0, a);
	if (!json_object(&j))
		return false;
	while (json_member(&j, &key)) {
		struct str *at = NULL;

		for (size_t i = 0; i < n; i++)
			if (str_eq_nocase(key, str_of(texts[i].key)))
				at = (struct str *)(void *)((char *)to +
				    texts[i].offset);
		if (at == NULL || json_peek(&j) == JSON_NULL)
			json_skip(&j);
		else if (json_peek(&j) == JSON_STRING)
			json_str(&j, at);
		else
			json_raw(&j, at);
	}
	return json_done(&j, NULL) == 0;
}

struct str
hub_text_at(struct arena *a, struct str json, const char *key)
{
	struct hub_text text = { key, 0 };
	struct str value = STR_NULL;

	(void)hub_read_texts(a, json, &text, 1, &value);
	return value;
}
