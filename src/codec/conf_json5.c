/*
 * codec/conf_json5.c - see conf_json5.h. Members are walked down to the keys
 * that the rows know; the dotted path is built on the way.
 */
#include "codec/conf_json5.h"

#include "codec/json.h"

#define GROUPS_MAX 16

static int
take_value(struct conf *c, struct json *j, struct str key, struct err *err)
{
	struct arena *a = j->arena;
	struct buf compact = { 0 };
	struct str text = STR_NULL;
	bool flag;
	int rc;

	switch (json_peek(j)) {
	case JSON_NULL:
		json_null(j);
		return conf_file_value(c, key, STR_NULL, true, err);
	case JSON_STRING:
		json_str(j, &text);
		break;
	case JSON_NUMBER:
		json_num(j, &text);
		break;
	case JSON_BOOL:
		if (json_bool(j, &flag))
			text = flag ? STR("true") : STR("false");
		break;
	default:
		if (json_raw(j, &text) && json_compact(&compact, text, JSON_5))
			text = arena_str(a, buf_str(&compact));
		buf_free(&compact);
	}
	if (!json_ok(j))
		return json_done(j, err);
	rc = conf_file_value(c, key, text, false, err);
	return rc;
}

static int
take_group(struct conf *c, struct json *j, struct str prefix, unsigned depth,
    struct err *err)
{
	struct str name;
	int rc = 0;

	if (depth > GROUPS_MAX) {
		json_fail(j, "nested too deeply");
		return json_done(j, err);
	}
	json_object(j);
	while (rc == 0 && json_member(j, &name)) {
		struct str key = prefix.len == 0
		    ? name
		    : arena_printf(j->arena, STR_FMT "." STR_FMT,
			  STR_ARG(prefix), STR_ARG(name));

		if (json_peek(j) == JSON_OBJECT && conf_is_group(c, key))
			rc = take_group(c, j, key, depth + 1, err);
		else
			rc = take_value(c, j, key, err);
	}
	return rc != 0 || json_ok(j) ? rc : json_done(j, err);
}

int
conf_read_json5(struct conf *c, struct str text, struct err *err)
{
	struct arena arena = { 0 };
	struct json j;
	int rc;

	json_open(&j, text, JSON_5, &arena);
	rc = take_group(c, &j, STR(""), 0, err);
	if (rc == 0)
		rc = json_done(&j, err);
	arena_fini(&arena);
	return rc;
}
