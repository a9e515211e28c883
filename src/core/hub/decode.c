/*
 * core/hub/decode.c - bytes of a device to readings, by its profile's codec.
 */
#include "core/hub/private.h"

#include "codec/cayenne.h"
#include "codec/flatten.h"
#include "codec/json.h"

#include <string.h>

const char *const hub_codecs[] = { "none", "json", "cayenne", "javascript",
	NULL };

static int
add(struct readings *all, struct str source, struct str field, struct str value,
    struct err *err)
{
	if (all->n == READINGS_MAX)
		return err_set(
		    err, ERR_LIMIT, "more than %d values", READINGS_MAX);
	all->at[all->n++] = (struct reading){
		.source = source.len > 0 ? source : STR("data"),
		.field = field,
		.value = value,
	};
	return 0;
}

static int
add_to(void *ctx, struct str source, struct str field, struct str value,
    struct err *err)
{
	return add(ctx, source, field, value, err);
}

int
decode_object(struct str json, struct readings *ret, struct err *err)
{
	return flatten(json, &ret->arena, add_to, ret, err);
}

static int
decode_json(const struct hub_profile *p, struct str bytes, struct readings *ret,
    struct err *err)
{
	struct str name, path, value;
	struct json j;
	bool any = false;
	int rc = 0;

	if (!str_is_utf8(bytes) || !json_valid(bytes, 0))
		return err_set(err, ERR_PARAM, "the payload is not JSON");
	bytes = arena_str(&ret->arena, bytes);
	json_open(&j, p->paths, 0, &ret->arena);
	if (json_object(&j))
		while (rc == 0 && json_member(&j, &name)) {
			any = true;
			if (json_str(&j, &path) &&
			    hub_json_at(&ret->arena, bytes, path, &value))
				rc = add(ret, STR_NULL,
				    flatten_name(&ret->arena, name), value,
				    err);
		}
	return any ? rc : decode_object(bytes, ret, err);
}

static struct str
part_json(struct arena *a, const struct cayenne_value *v, size_t i)
{
	if (v->type->boolean)
		return v->parts[i] != 0 ? STR("true") : STR("false");
	return arena_printf(a, "%.10g", v->parts[i]);
}

/* "temperature_1" in "data"; of a position the parts, in "gps_3". */
static int
decode_cayenne(struct str bytes, struct readings *ret, struct err *err)
{
	struct arena *a = &ret->arena;
	struct cayenne_value v;
	int rc;

	while ((rc = cayenne_next(&bytes, &v, err)) == 1) {
		struct str name =
		    arena_printf(a, "%s_%u", v.type->name, v.channel);

		rc = 0;
		for (size_t i = 0;
		     rc == 0 && i < CAYENNE_PARTS && v.type->div[i] != 0; i++) {
			const char *part = v.type->parts[i];

			rc = part != NULL ? add(ret, name, str_of(part),
						part_json(a, &v, i), err)
					  : add(ret, STR_NULL, name,
						part_json(a, &v, i), err);
			if (rc == 0 && v.type->unit != NULL)
				ret->at[ret->n - 1].unit = str_of(v.type->unit);
		}
		if (rc != 0)
			return rc;
	}
	return rc;
}

void
decode_known(const struct hub_profile *p, struct readings *all)
{
	for (size_t i = 0; i < all->n; i++) {
		struct reading *r = &all->at[i];
		struct str known, key;
		struct json j;

		if (!hub_json_at(&all->arena, p->fields, r->field, &known))
			continue;
		json_open(&j, known, 0, &all->arena);
		if (!json_object(&j))
			continue;
		while (json_member(&j, &key)) {
			if (json_peek(&j) != JSON_STRING)
				json_skip(&j);
			else if (str_eqz(key, "unit"))
				json_str(&j, &r->unit);
			else if (str_eqz(key, "metricType"))
				json_str(&j, &r->metric_type);
			else if (str_eqz(key, "name"))
				json_str(&j, &r->name);
			else
				json_skip(&j);
		}
		if (r->metric_type.ptr != NULL &&
		    !hub_is_metric_type(r->metric_type))
			r->metric_type = STR_NULL;
	}
}

int
decode(const struct hub_profile *p, struct str bytes, struct readings *ret,
    struct err *err)
{
	int rc = 0;

	if (str_eqz(p->codec, "json"))
		rc = decode_json(p, bytes, ret, err);
	else if (str_eqz(p->codec, "cayenne"))
		rc = decode_cayenne(bytes, ret, err);
	if (rc == 0)
		decode_known(p, ret);
	return rc;
}

static bool
is_cayenne(struct str bytes)
{
	struct cayenne_value v;
	int rc;

	do
		rc = cayenne_next(&bytes, &v, NULL);
	while (rc == 1);
	return rc == 0;
}

const char *
decode_guess(struct str bytes)
{
	struct str text = str_trim(bytes);

	if (text.len > 1 && text.ptr[0] == '{' && str_is_utf8(text) &&
	    json_valid(text, 0))
		return "json";
	return bytes.len > 0 && is_cayenne(bytes) ? "cayenne" : "";
}
