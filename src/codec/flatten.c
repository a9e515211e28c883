/*
 * codec/flatten.c - see flatten.h.
 */
#include "codec/flatten.h"

#include "codec/json.h"

struct walk {
	struct json json;
	struct arena *a;
	flatten_each *each;
	void *ctx;
	struct err *err;
};

struct str
flatten_name(struct arena *a, struct str name)
{
	char *p = arena_z(a, name);

	for (size_t i = 0; i < name.len; i++)
		if (p[i] == '.' || (unsigned char)p[i] <= ' ')
			p[i] = '_';
	return (struct str){ p, name.len };
}

static int walk(
    struct walk *w, struct str source, struct str name, unsigned depth);

static int
walk_object(struct walk *w, struct str source, struct str name, unsigned depth)
{
	struct json *j = &w->json;
	struct str key;
	int rc = 0;

	(void)json_object(j);
	while (rc == 0 && json_member(j, &key)) {
		key = flatten_name(w->a, key);
		if (key.len == 0)
			(void)json_skip(j);
		else if (depth == 0 && json_peek(j) == JSON_OBJECT)
			rc = walk(w, key, STR(""), 1);
		else if (name.len == 0)
			rc = walk(w, source, key, depth + 1);
		else
			rc = walk(w, source,
			    arena_printf(w->a, STR_FMT "_" STR_FMT,
				STR_ARG(name), STR_ARG(key)),
			    depth + 1);
	}
	return rc;
}

static int
walk_array(struct walk *w, struct str source, struct str name, unsigned depth)
{
	size_t i = 0;
	int rc = 0;

	(void)json_array(&w->json);
	while (rc == 0 && json_item(&w->json))
		rc = walk(w, source,
		    arena_printf(w->a, STR_FMT "%s%zu", STR_ARG(name),
			name.len > 0 ? "_" : "", i++),
		    depth + 1);
	return rc;
}

static int
walk(struct walk *w, struct str source, struct str name, unsigned depth)
{
	enum json_type type = json_peek(&w->json);
	struct str value;

	if (type == JSON_NULL || type == JSON_NONE ||
	    ((type == JSON_OBJECT || type == JSON_ARRAY) &&
		depth == FLATTEN_DEEP)) {
		(void)json_skip(&w->json);
		return 0;
	}
	if (type == JSON_OBJECT)
		return walk_object(w, source, name, depth);
	if (type == JSON_ARRAY)
		return walk_array(w, source, name, depth);
	if (!json_raw(&w->json, &value))
		return 0;
	return w->each(
	    w->ctx, source, name.len > 0 ? name : STR("value"), value, w->err);
}

int
flatten(struct str json, struct arena *a, flatten_each *each, void *ctx,
    struct err *err)
{
	struct walk w = { .a = a, .each = each, .ctx = ctx, .err = err };
	int rc;

	json_open(&w.json, json, 0, a);
	rc = walk(&w, STR(""), STR(""), 0);
	return rc != 0 ? rc : json_done(&w.json, err);
}
