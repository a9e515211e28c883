/*
 * core/hub/secrets.c - members of JSON that are not shown again.
 *
 * Which they are is told by their names, at any depth and in any case: what
 * MyController keeps secret, and a few more of the same kind. Headers and query
 * parameters are hidden as a whole: any of them may be a key.
 */
#include "core/hub/private.h"

#include "codec/json.h"
#include "core/rest/check.h"

bool
hub_hides(struct str key, enum json_type type)
{
	if (type == JSON_STRING || type == JSON_NUMBER)
		if (is_secret_name(key))
			return true;
	/* of an object each member may be one; sealed, it is a text */
	return (type == JSON_OBJECT || type == JSON_STRING) &&
	    (str_eq_nocase(key, STR("headers")) ||
		str_eq_nocase(key, STR("queryParameters")));
}

static void
hide(struct json *j, struct json_out *o)
{
	struct str key;

	if (json_peek(j) == JSON_OBJECT && json_object(j)) {
		json_out_object(o);
		while (json_member(j, &key)) {
			if (hub_hides(key, json_peek(j))) {
				(void)json_skip(j);
				continue;
			}
			json_out_key_str(o, key);
			hide(j, o);
		}
		json_out_end_object(o);
	} else if (json_peek(j) == JSON_ARRAY && json_array(j)) {
		json_out_array(o);
		while (json_item(j))
			hide(j, o);
		json_out_end_array(o);
	} else {
		json_copy(j, o);
	}
}

struct str
hub_secrets_hidden(struct arena *a, struct str json)
{
	struct buf b = { 0 };
	struct json_out o;
	struct json j;
	struct str ret;

	json_open(&j, json, 0, a);
	json_out_init(&o, &b, false);
	hide(&j, &o);
	ret = json_ok(&j) ? arena_str(a, buf_str(&b)) : STR("{}");
	buf_free(&b);
	return ret;
}

/* Members of `now`, and the secrets of `old` that it does not have. */
static void
keep(struct arena *a, struct str now, struct str old, struct json_out *o)
{
	struct str key, value, was;
	struct json j;

	json_open(&j, now, 0, a);
	if (json_peek(&j) != JSON_OBJECT || !json_object(&j)) {
		json_out_raw(o, now);
		return;
	}
	json_out_object(o);
	while (json_member(&j, &key) && json_raw(&j, &value)) {
		json_out_key_str(o, key);
		was = json_find_nocase(a, old, key);
		if (was.ptr == NULL)
			json_out_raw(o, value);
		else
			keep(a, value, was, o);
	}
	json_open(&j, old, 0, a);
	if (json_peek(&j) == JSON_OBJECT && json_object(&j))
		while (json_member(&j, &key) && json_raw(&j, &was)) {
			if (!hub_hides(key, json_type_of(was)) ||
			    json_find_nocase(a, now, key).ptr != NULL)
				continue;
			json_out_key_str(o, key);
			json_out_raw(o, was);
		}
	json_out_end_object(o);
}

struct str
hub_secrets_kept(struct arena *a, struct str now, struct str old)
{
	struct buf b = { 0 };
	struct json_out o;
	struct str ret;

	json_out_init(&o, &b, false);
	keep(a, now, old, &o);
	ret = arena_str(a, buf_str(&b));
	buf_free(&b);
	return ret;
}
