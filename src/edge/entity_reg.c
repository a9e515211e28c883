/*
 * edge/entity_reg.c - what registrations and their kin say, as JSON; see
 * entity.h.
 */
#include "edge/entity_private.h"

#include "base/base.h"
#include "codec/json.h"

#include <string.h>

static const char *const type_names[] = { "device", "child-device", "service" };

const char *
te_entity_type_name(enum te_entity_type t)
{
	return type_names[t];
}

bool
te_entity_type_of(struct str name, enum te_entity_type *ret)
{
	for (size_t i = 0; i < COUNT_OF(type_names); i++)
		if (str_eqz(name, type_names[i])) {
			*ret = (enum te_entity_type)i;
			return true;
		}
	return false;
}

bool
entity_is_null(struct str json)
{
	return json.ptr == NULL || str_eqz(json, "null");
}

int
entity_check_key(const char *what, struct str key, struct err *err)
{
	if (key.len > 0 && key.ptr[0] != '@' &&
	    memchr(key.ptr, '/', key.len) == NULL)
		return 0;
	return err_set(err, ERR_PARAM,
	    "Invalid %s key: '" STR_FMT "'. Keys that are empty, containing "
	    "'/' or starting with '@' are not allowed",
	    what, STR_ARG(key));
}

static int
normal(struct arena *a, struct str id, struct str *ret, struct err *err)
{
	struct buf full = { 0 };
	int rc = te_entity_normal(&full, id, err);

	if (rc == 0)
		*ret = arena_str(a, buf_str(&full));
	buf_free(&full);
	return rc;
}

/* A text member that starts with "@"; an id is brought into full form. */
static int
read_text(
    struct json *j, struct str key, bool id, struct str *ret, struct err *err)
{
	if (json_peek(j) == JSON_NULL) {
		json_null(j);
		return 0;
	}
	if (json_peek(j) != JSON_STRING)
		return err_set(err, ERR_PARAM, "\"" STR_FMT "\" must be a text",
		    STR_ARG(key));
	json_str(j, ret);
	return id && json_ok(j) ? normal(j->arena, *ret, ret, err) : 0;
}

static void
add_member(struct arena *a, struct te_member **at, size_t *n, size_t *cap,
    struct te_member m)
{
	if (*n == *cap) {
		size_t more = *cap > 0 ? *cap * 2 : 8;
		struct te_member *grown =
		    arena_array(a, more, struct te_member);

		if (*n > 0)
			memcpy(grown, *at, *n * sizeof(**at));
		*at = grown;
		*cap = more;
	}
	(*at)[(*n)++] = m;
}

struct str
entity_compact(struct arena *a, struct str json)
{
	struct buf b = { 0 };
	struct str ret = STR_NULL;

	if (json_compact(&b, json, 0))
		ret = arena_str(a, buf_str(&b));
	buf_free(&b);
	return ret;
}

int
entity_read_members(struct arena *a, const char *what, struct str payload,
    struct reg *reg, struct str *topic_id, bool *typed, struct te_member **ret,
    size_t *n, struct err *err)
{
	struct str key, raw;
	size_t cap = 0;
	struct json j;
	int rc = 0;

	json_open(&j, payload, 0, a);
	if (!json_object(&j))
		return json_done(&j, err);
	while (rc == 0 && json_member(&j, &key)) {
		if (reg != NULL && str_eqz(key, "@type")) {
			struct str name = STR_NULL;

			rc = read_text(&j, key, false, &name, err);
			*typed = rc == 0 && name.ptr != NULL;
			if (*typed && json_ok(&j) &&
			    !te_entity_type_of(name, &reg->type))
				rc = err_set(err, ERR_PARAM,
				    "unknown variant `" STR_FMT "`, expected "
				    "one of `device`, `child-device`, "
				    "`service`",
				    STR_ARG(name));
		} else if (reg != NULL && str_eqz(key, "@parent"))
			rc = read_text(&j, key, true, &reg->parent, err);
		else if (reg != NULL && str_eqz(key, "@health"))
			rc = read_text(&j, key, true, &reg->health, err);
		else if (reg != NULL && str_eqz(key, "@id"))
			rc = read_text(&j, key, false, &reg->xid, err);
		else if (topic_id != NULL && str_eqz(key, "@topic-id"))
			rc = read_text(&j, key, true, topic_id, err);
		else if (reg != NULL && key.len > 0 && key.ptr[0] == '@')
			json_skip(&j);
		else if (json_raw(&j, &raw)) {
			rc = entity_check_key(what, key, err);
			if (rc == 0)
				add_member(a, ret, n, &cap,
				    (struct te_member){ arena_str(a, key),
					entity_compact(a, raw) });
		}
	}
	return rc != 0 ? rc : json_done(&j, err);
}

int
entity_read_reg(struct arena *a, struct str payload, struct reg *ret,
    struct str *topic_id, struct err *err)
{
	bool typed = false;
	int rc;

	*ret = (struct reg){ .type = TE_CHILD };
	rc = entity_read_members(a, "twin", payload, ret, topic_id, &typed,
	    &ret->twin, &ret->n_twin, err);
	if (rc == 0 && !typed)
		rc = err_set(err, ERR_PARAM, "missing field `@type`");
	return rc;
}

void
entity_put_reg(struct buf *out, enum te_entity_type type, struct str xid,
    struct str parent, struct str health, const struct te_member *twin,
    size_t n)
{
	struct json_out o;

	json_out_init(&o, out, false);
	json_out_object(&o);
	json_out_key(&o, "@type");
	json_out_str(&o, str_of(type_names[type]));
	if (xid.ptr != NULL) {
		json_out_key(&o, "@id");
		json_out_str(&o, xid);
	}
	if (parent.ptr != NULL) {
		json_out_key(&o, "@parent");
		json_out_str(&o, parent);
	}
	if (health.ptr != NULL) {
		json_out_key(&o, "@health");
		json_out_str(&o, health);
	}
	for (size_t i = 0; i < n; i++) {
		json_out_key_str(&o, twin[i].key);
		json_out_raw(&o, twin[i].json);
	}
	json_out_end_object(&o);
}

int
entity_read_update(struct arena *a, struct str payload, struct str *parent,
    struct str *health, struct err *err)
{
	struct str key;
	struct json j;
	int rc = 0;

	json_open(&j, payload, 0, a);
	if (!json_object(&j))
		return json_done(&j, err);
	while (rc == 0 && json_member(&j, &key)) {
		if (str_eqz(key, "@parent"))
			rc = read_text(&j, key, true, parent, err);
		else if (str_eqz(key, "@health"))
			rc = read_text(&j, key, true, health, err);
		else
			return err_set(err, ERR_PARAM,
			    "unknown field `" STR_FMT
			    "`, expected `@parent` or `@health`",
			    STR_ARG(key));
	}
	return rc != 0 ? rc : json_done(&j, err);
}
