/*
 * core/hub/secrets.c - members of JSON that are not shown again.
 *
 * Which they are is told by their names, at any depth and in any case: what
 * MyController keeps secret, and a few more of the same kind.
 */
#include "core/hub/private.h"

#include "codec/json.h"

bool
hub_is_secret_name(struct str key)
{
	static const char *const names[] = { "password", "token",
		"access_token", "accesstoken", "authorization",
		"authentication", "jwtaccesssecret", "encryptionkey", "apikey",
		"api_key", "api-key", "x-api-key", "secret", "psk", "cookie",
		"proxy-authorization" };

	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (str_eq_nocase(key, str_of(names[i])))
			return true;
	return false;
}

static void
hide(struct json *j, struct json_out *o)
{
	struct str key;

	if (json_peek(j) == JSON_OBJECT && json_object(j)) {
		json_out_object(o);
		while (json_member(j, &key)) {
			if (hub_is_secret_name(key) &&
			    json_peek(j) == JSON_STRING) {
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
		if (!hub_json_at(a, old, key, &was))
			json_out_raw(o, value);
		else
			keep(a, value, was, o);
	}
	json_open(&j, old, 0, a);
	if (json_peek(&j) == JSON_OBJECT && json_object(&j))
		while (json_member(&j, &key) && json_raw(&j, &was)) {
			if (!hub_is_secret_name(key) ||
			    hub_json_at(a, now, key, &value))
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
