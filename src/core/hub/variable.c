/*
 * core/hub/variable.c - what a rule reads before it decides: texts, and objects
 * by quick id or by labels, and what web servers answer, as one JSON object.
 */
#include "core/hub/private.h"

#include "codec/json.h"

#include <string.h>

/* --- objects as JSON ----------------------------------------------------- */

struct str
hub_row_json(struct arena *a, const struct record *r, const void *row)
{
	struct buf b = { 0 };
	struct json_out o;
	struct str s;

	json_out_init(&o, &b, false);
	record_to_json(&o, r, FIELD_ALL, row);
	s = arena_str(a, buf_str(&b));
	buf_free(&b);
	return s;
}

/* The first `n` parts of a dotted text; what follows is left in `*s`. */
static struct str
parts(struct str *s, int n)
{
	struct str all = *s, rest = *s;

	for (int i = 0; i < n; i++)
		(void)str_cut(&rest, '.');
	*s = rest;
	return (struct str){ all.ptr,
		rest.ptr == NULL ? all.len : (size_t)(rest.ptr - all.ptr) - 1 };
}

/* Kinds that lie in the store only, by the names that people use. */
static const struct {
	const char *type;
	const struct entity *entity;
} stored_kinds[] = {
	{ "data_repository", &hub_repository_entity },
	{ "forward_payload", &hub_forward_entity },
	{ "handler", &hub_handler_entity },
	{ "schedule", &hub_schedule_entity },
	{ "task", &hub_task_entity },
};

static const struct entity *
stored_kind(struct str type)
{
	for (size_t i = 0; i < COUNT_OF(stored_kinds); i++)
		if (str_eq_nocase(type, str_of(stored_kinds[i].type)))
			return stored_kinds[i].entity;
	return NULL;
}

/* Rules see no secrets. */
static struct str
stored_json(struct arena *a, const struct entity *e, void *row)
{
	struct hub_handler *h = row;

	if (e == &hub_handler_entity)
		h->spec = spec_without_secrets(
		    a, hub_handler_spec(a, h->type), h->spec, NULL);
	return hub_row_json(a, &e->record, row);
}

static bool
stored(struct hub *h, const struct entity *e, struct str unit_id, struct str id,
    struct arena *a, struct str *ret)
{
	struct filter f = { 0 };
	void *row = arena_alloc(a, e->record.size);
	bool found = false;

	filter_text(&f, "id", id);
	filter_text(&f, "unitId", unit_id);
	if (store_get(h->store, e, &f, a, row, &found, NULL) != 0 || !found)
		return false;
	*ret = stored_json(a, e, row);
	return true;
}

bool
hub_object_by_quick_id(struct hub *h, struct str unit_id, struct str type,
    struct str quick, struct arena *a, struct str *ret)
{
	struct str rest = quick, name;
	struct cell *f;
	struct device *d;

	if (str_eq_nocase(type, STR("field"))) {
		name = parts(&rest, 4);
		f = model_field(h, unit_id, name);
		if (f == NULL)
			return false;
		*ret = hub_row_json(a, &hub_field_entity.record, &f->row);
	} else if (str_eq_nocase(type, STR("node"))) {
		struct str gateway = str_cut(&rest, '.');

		d = model_at(h, unit_id, gateway, str_cut(&rest, '.'));
		if (d == NULL)
			return false;
		*ret = hub_row_json(a, &hub_node_entity.record, &d->row);
	} else if (str_eq_nocase(type, STR("gateway"))) {
		struct gate *g = gate_at(h, unit_id, str_cut(&rest, '.'));

		if (g == NULL)
			return false;
		*ret = gate_json(a, g);
	} else if (str_eq_nocase(type, STR("source"))) {
		struct str gateway = str_cut(&rest, '.');
		struct source *src;

		d = model_at(h, unit_id, gateway, str_cut(&rest, '.'));
		src = d != NULL ? model_find_source(d, str_cut(&rest, '.'))
				: NULL;
		if (src == NULL)
			return false;
		*ret = hub_row_json(a, &hub_source_entity.record, &src->row);
	} else if (stored_kind(type) == NULL ||
	    !stored(
		h, stored_kind(type), unit_id, str_cut(&rest, '.'), a, ret)) {
		return false;
	}
	return rest.len == 0 || hub_json_at(a, *ret, rest, ret);
}

/* Has `labels` every label of `wanted`? */
bool
hub_labels_match(struct str labels, struct str wanted)
{
	struct arena a = { 0 };
	struct str key, want, have;
	struct json j;
	bool all = true;

	json_open(&j, wanted, 0, &a);
	if (json_object(&j))
		while (json_member(&j, &key))
			if (!json_raw(&j, &want) ||
			    !hub_json_at(&a, labels, key, &have) ||
			    !str_eq(want, have))
				all = false;
	all = all && json_done(&j, NULL) == 0;
	arena_fini(&a);
	return all;
}

/* The first that has the labels, of those in the store. */
struct labelled {
	const struct entity *entity;
	struct str labels;
	struct arena *arena;
	struct str *ret;
};

static int
look_at_labels(void *ctx, const void *row, struct err *err)
{
	struct labelled *l = ctx;
	const struct record *r = &l->entity->record;
	size_t offset;
	void *copy;

	(void)err;
	(void)field_find(r, STR("labels"), &offset, NULL);
	if (!hub_labels_match(
		*(const struct str *)(const void *)((const char *)row + offset),
		l->labels))
		return 0;
	copy = arena_alloc(l->arena, r->size);
	record_copy(r, l->arena, copy, row);
	*l->ret = stored_json(l->arena, l->entity, copy);
	return 1;
}

static bool
stored_by_labels(struct hub *h, const struct entity *e, struct str unit_id,
    struct str labels, struct arena *a, struct str *ret)
{
	struct labelled l = { e, labels, a, ret };
	struct filter f = { 0 };
	const struct store_query q = { .filter = &f };

	filter_text(&f, "unitId", unit_id);
	return store_list(h->store, e, &q, look_at_labels, &l, NULL) == 1;
}

static bool
device_by_labels(struct hub *h, struct str unit_id, bool sources,
    struct str labels, struct arena *a, struct str *ret)
{
	struct device *d;
	size_t pos = 0;

	while ((d = map_next(&h->devices, &pos)) != NULL) {
		if (!str_eq(d->row.unit_id, unit_id))
			continue;
		if (!sources && hub_labels_match(d->row.labels, labels)) {
			*ret =
			    hub_row_json(a, &hub_node_entity.record, &d->row);
			return true;
		}
		LIST_EACH (s, &d->sources, struct source, link)
			if (sources &&
			    hub_labels_match(s->row.labels, labels)) {
				*ret = hub_row_json(
				    a, &hub_source_entity.record, &s->row);
				return true;
			}
	}
	return false;
}

static bool
by_labels(struct hub *h, struct str unit_id, struct str type, struct str labels,
    struct arena *a, struct str *ret)
{
	const struct entity *e = stored_kind(type);
	struct cell *f;
	size_t pos = 0;

	if (e != NULL)
		return stored_by_labels(h, e, unit_id, labels, a, ret);
	if (str_eq_nocase(type, STR("node")) ||
	    str_eq_nocase(type, STR("source")))
		return device_by_labels(h, unit_id,
		    str_eq_nocase(type, STR("source")), labels, a, ret);
	if (!str_eq_nocase(type, STR("field")))
		return false;
	while ((f = map_next(&h->quick, &pos)) != NULL)
		if (str_eq(f->row.unit_id, unit_id) &&
		    hub_labels_match(f->row.labels, labels)) {
			*ret =
			    hub_row_json(a, &hub_field_entity.record, &f->row);
			return true;
		}
	return false;
}

/* --- variables ----------------------------------------------------------- */

struct wanted {
	struct str type, value, resource_type, quick_id, key_path, labels;
};

static const struct hub_text wanted_texts[] = {
	{ "type", offsetof(struct wanted, type) },
	{ "value", offsetof(struct wanted, value) },
	{ "resourceType", offsetof(struct wanted, resource_type) },
	{ "quickId", offsetof(struct wanted, quick_id) },
	{ "keyPath", offsetof(struct wanted, key_path) },
	{ "selector", offsetof(struct wanted, key_path) },
	{ "labels", offsetof(struct wanted, labels) },
};

static int
text_variable(struct hub_lookup *l, struct str name, struct str value,
    struct str so_far, struct str *ret)
{
	struct buf b = { 0 }, q = { 0 };
	int rc = hub_render(l->hub, l->arena, value, so_far, &b, &l->err);

	if (rc == 0) {
		json_quote(&q, b.ptr != NULL ? buf_str(&b) : STR(""));
		*ret = arena_str(l->arena, buf_str(&q));
	} else {
		rc = err_wrap(&l->err, "variable " STR_FMT, STR_ARG(name));
	}
	buf_free(&q);
	buf_free(&b);
	return rc;
}

/* 0, 1: its webhook is under way, or an error. */
static int
one(struct hub_lookup *l, struct str name, struct str json, struct str so_far,
    struct str *ret)
{
	struct arena *a = l->arena;
	struct wanted w = { 0 };
	bool found;

	if (!hub_read_texts(a, json, wanted_texts, COUNT_OF(wanted_texts), &w))
		return err_set(&l->err, ERR_PARAM,
		    "variable " STR_FMT ": is no object", STR_ARG(name));
	if (str_eqz(w.type, "string"))
		return text_variable(l, name, w.value, so_far, ret);
	if (str_eqz(w.type, "webhook")) {
		l->name = name;
		l->path = w.key_path;
		if (hub_hook_start(
			&l->hook, l->hub, json, "GET", STR_NULL, &l->err) == 0)
			return 1;
		return err_wrap(&l->err, "variable " STR_FMT, STR_ARG(name));
	}
	if (str_eqz(w.type, "resource_by_quick_id")) {
		found = hub_object_by_quick_id(
		    l->hub, l->unit_id, w.resource_type, w.quick_id, a, ret);
	} else if (str_eqz(w.type, "resource_by_labels")) {
		found = by_labels(
		    l->hub, l->unit_id, w.resource_type, w.labels, a, ret);
	} else {
		*ret = json; /* the map itself */
		return 0;
	}
	if (found && w.key_path.len > 0 && !str_eqz(w.key_path, "."))
		found = hub_json_at(a, *ret, w.key_path, ret);
	if (!found || str_eqz(*ret, "null"))
		return err_set(&l->err, ERR_NOT_FOUND,
		    "variable " STR_FMT ": there is no " STR_FMT " " STR_FMT
		    "%s" STR_FMT,
		    STR_ARG(name), STR_ARG(w.resource_type),
		    STR_ARG(w.quick_id.ptr != NULL ? w.quick_id : w.labels),
		    w.key_path.len > 0 ? " with " : "", STR_ARG(w.key_path));
	return 0;
}

static void
add(struct hub_lookup *l, struct str name, struct str json)
{
	if (l->so_far.len > 1)
		buf_addc(&l->so_far, ',');
	json_quote(&l->so_far, name);
	buf_addc(&l->so_far, ':');
	buf_add_str(&l->so_far, json);
}

/* Those that are left. */
static int
go_on(struct hub_lookup *l)
{
	struct str name, json;
	int rc = 0;

	while (rc == 0 && json_member(&l->at, &name)) {
		struct str value = STR("null"), so_far;

		if (!json_raw(&l->at, &json))
			break;
		so_far = arena_printf(
		    l->arena, STR_FMT "}", STR_ARG(buf_str(&l->so_far)));
		rc = one(l, name, json, so_far, &value);
		if (rc == 0)
			add(l, name, value);
	}
	if (rc != 1) {
		buf_addc(&l->so_far, '}');
		l->variables = arena_str(l->arena, buf_str(&l->so_far));
	}
	return rc;
}

static void
on_hook(struct hub_hook *k)
{
	struct hub_lookup *l = container_of(k, struct hub_lookup, hook);
	struct str value = arena_str(l->arena, str_trim(k->answer));
	int rc;

	l->err = k->err;
	if (k->err.code == 0 && !json_valid(value, 0))
		(void)err_set(
		    &l->err, ERR_PROTO, "webhook: the answer is not JSON");
	else if (k->err.code == 0 && l->path.len > 0 &&
	    !str_eqz(l->path, ".") &&
	    !hub_json_at(l->arena, value, l->path, &value))
		(void)err_set(&l->err, ERR_NOT_FOUND,
		    "webhook: the answer has no " STR_FMT, STR_ARG(l->path));
	else if (k->err.code == 0 && str_eqz(value, "null"))
		(void)err_set(
		    &l->err, ERR_NOT_FOUND, "webhook: the answer is null");
	hub_hook_end(k);
	if (l->err.code == 0) {
		add(l, l->name, value);
		rc = go_on(l);
	} else {
		rc = err_wrap(&l->err, "variable " STR_FMT, STR_ARG(l->name));
		buf_addc(&l->so_far, '}');
		l->variables = arena_str(l->arena, buf_str(&l->so_far));
	}
	if (rc != 1)
		l->done(l, rc);
}

int
hub_lookup(struct hub_lookup *l, struct str variables,
    const struct hub_extra *extra, size_t n)
{
	l->hook.done = on_hook;
	buf_addc(&l->so_far, '{');
	for (size_t i = 0; i < n; i++)
		if (extra[i].json.ptr != NULL)
			add(l, str_of(extra[i].name), extra[i].json);
	json_open(&l->at, variables, 0, l->arena);
	(void)json_object(&l->at);
	return go_on(l);
}

void
hub_lookup_end(struct hub_lookup *l)
{
	hub_hook_end(&l->hook);
	buf_free(&l->so_far);
}

struct str
hub_merged(struct arena *a, struct str variables, struct str more)
{
	struct str key, value, newer;
	struct buf b = { 0 };
	struct json_out o;
	struct json j;

	if (more.len == 0 || more.ptr[0] != '{')
		return variables;
	json_out_init(&o, &b, false);
	json_out_object(&o);
	for (int i = 0; i < 2; i++) {
		json_open(&j, i == 0 ? variables : more, 0, a);
		if (!json_object(&j))
			continue;
		while (json_member(&j, &key) && json_raw(&j, &value)) {
			if (i == 0 && hub_json_at(a, more, key, &newer))
				continue;
			json_out_key_str(&o, key);
			json_out_raw(&o, value);
		}
	}
	json_out_end_object(&o);
	value = arena_str(a, buf_str(&b));
	buf_free(&b);
	return value;
}

struct script_var *
hub_globals(struct arena *a, struct str variables, const char *name,
    struct str json, size_t *n)
{
	struct script_var *vars =
	    arena_array(a, SCRIPT_VARS_MAX, struct script_var);
	struct str key, value;
	struct json j;

	*n = 0;
	json_open(&j, variables, 0, a);
	if (json_object(&j))
		while (json_member(&j, &key) && json_raw(&j, &value))
			if (*n < SCRIPT_VARS_MAX)
				vars[(*n)++] =
				    (struct script_var){ key, value };
	for (size_t i = 0; i < *n; i++)
		if (str_eqz(vars[i].name, name))
			json = STR_NULL;
	if (json.ptr != NULL && *n < SCRIPT_VARS_MAX)
		vars[(*n)++] = (struct script_var){ str_of(name), json };
	return vars;
}
