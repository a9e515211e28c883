/*
 * edge/entity_view.c - one entity, as it is shown; see entity.h.
 */
#include "edge/entity_private.h"

#include "base/base.h"
#include "codec/json.h"

#include <string.h>

struct te_member *
entity_find_member(const struct te_entity *e, struct str key)
{
	for (size_t i = 0; i < e->n_twin; i++)
		if (str_eq(e->twin[i].key, key))
			return &e->twin[i];
	return NULL;
}

struct str
te_entity_twin(const struct te_entity *e, struct str key)
{
	const struct te_member *m = entity_find_member(e, key);

	return m != NULL ? m->json : STR_NULL;
}

struct str
te_entity_twin_text(const struct te_entity *e, struct str key, struct arena *a)
{
	struct str json = te_entity_twin(e, key), text;
	struct json j;

	if (json.ptr == NULL)
		return STR_NULL;
	json_open(&j, json, 0, a);
	return json_str(&j, &text) ? text : STR_NULL;
}

bool
te_entity_health(const struct te_entity *e, struct buf *out)
{
	struct str id = e->id;

	if (e->health.ptr != NULL) {
		buf_add_str(out, e->health);
		return true;
	}
	if (!te_entity_is_default(id) || te_entity_is_service(id))
		return false;
	buf_add(out, id.ptr, id.len - 2); /* without its "//" */
	buf_addz(out, "/service/tedge-agent");
	return true;
}

void
te_entity_put(const struct te_entity *e, struct buf *out)
{
	struct json_out o;

	json_out_init(&o, out, false);
	json_out_object(&o);
	json_out_key(&o, "@topic-id");
	json_out_str(&o, e->id);
	if (e->parent != NULL) {
		json_out_key(&o, "@parent");
		json_out_str(&o, e->parent->id);
	}
	json_out_key(&o, "@type");
	json_out_str(&o, str_of(te_entity_type_name(e->type)));
	if (e->xid.ptr != NULL) {
		json_out_key(&o, "@id");
		json_out_str(&o, e->xid);
	}
	if (e->health.ptr != NULL) {
		json_out_key(&o, "@health");
		json_out_str(&o, e->health);
	}
	json_out_end_object(&o);
}

void
te_entity_put_twin(const struct te_entity *e, struct buf *out)
{
	struct json_out o;

	json_out_init(&o, out, false);
	json_out_object(&o);
	for (size_t i = 0; i < e->n_twin; i++) {
		json_out_key_str(&o, e->twin[i].key);
		json_out_raw(&o, e->twin[i].json);
	}
	json_out_end_object(&o);
}

struct str
te_entity_config(const struct te_entity *e, struct str key, struct arena *a)
{
	struct str name, value = STR_NULL, ret = STR_NULL;
	struct json j;

	if (e->config.ptr == NULL)
		return STR_NULL;
	json_open(&j, e->config, 0, a);
	if (json_object(&j))
		while (json_member(&j, &name))
			if (json_raw(&j, &value) && str_eq(name, key))
				ret = value;
	return ret;
}
