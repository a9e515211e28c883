/*
 * edge/entity_api.c - see entity_api.h.
 */
#include "edge/entity_api.h"

#include "base/base.h"
#include "codec/json.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define SEGMENTS_MAX 6 /* of a path: four of the id, "twin", key */

struct target {
	struct te_store *store;
	struct entity_call *call;
	struct str id;  /* in full form */
	struct str key; /* STR_NULL: all of them */
	struct err err;
	struct arena arena;
};

static void refuse(struct entity_call *c, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void
refuse(struct entity_call *c, int status, const char *fmt, ...)
{
	struct json_out o;
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	c->status = status;
	buf_clear(&c->out);
	json_out_init(&o, &c->out, false);
	json_out_object(&o);
	json_out_key(&o, "error");
	json_out_str(&o, str_of(text));
	json_out_end_object(&o);
}

static void
refuse_err(struct target *t, int rc)
{
	int status = 400;

	if (rc == ERR_EXISTS)
		status = 409;
	else if (rc == ERR_NOT_FOUND)
		status = 404;
	else if (rc == ERR_LIMIT)
		status = 507;
	refuse(t->call, status, "%s", t->err.text);
}

/* --- all of them -----------------------------------------------------------
 */

struct list_out {
	struct buf *out;
	bool any;
};

static void
put_one(void *ctx, const struct te_entity *e)
{
	struct list_out *l = ctx;

	if (l->any)
		buf_addc(l->out, ',');
	l->any = true;
	te_entity_put(e, l->out);
}

/* A filter with an id; empty is as if it were not there. */
static bool
filter_id(struct target *t, struct str given, struct str *ret)
{
	struct buf full = { 0 };
	int rc = 0;

	*ret = STR_NULL;
	if (given.len == 0)
		return true;
	rc = te_entity_normal(&full, given, &t->err);
	if (rc == 0)
		*ret = arena_str(&t->arena, buf_str(&full));
	else
		refuse_err(t, rc);
	buf_free(&full);
	return rc == 0;
}

static void
list(struct target *t)
{
	struct entity_call *c = t->call;
	struct list_out l = { .out = &c->out };
	enum te_entity_type type;
	struct str root, parent;
	unsigned kinds = 0;

	if (!filter_id(t, c->root, &root) || !filter_id(t, c->parent, &parent))
		return;
	if (c->type.len > 0) {
		if (!te_entity_type_of(c->type, &type)) {
			refuse(c, 400, "Invalid entity type: " STR_FMT,
			    STR_ARG(c->type));
			return;
		}
		kinds = 1u << type;
	}
	if (root.ptr != NULL && parent.ptr != NULL) {
		refuse(c, 400,
		    "The provided parameters: root and parent are mutually "
		    "exclusive. Use either one.");
		return;
	}
	c->status = 200;
	buf_addc(&c->out, '[');
	te_store_each(t->store, root, parent, kinds, put_one, &l);
	buf_addc(&c->out, ']');
}

static void
create(struct target *t)
{
	struct entity_call *c = t->call;
	struct buf id = { 0 };
	struct json_out o;
	int rc = te_store_create(t->store, c->body, &id, &t->err);

	if (rc != 0) {
		refuse_err(t, rc);
	} else {
		c->status = 201;
		json_out_init(&o, &c->out, false);
		json_out_object(&o);
		json_out_key(&o, "@topic-id");
		json_out_str(&o, buf_str(&id));
		json_out_end_object(&o);
	}
	buf_free(&id);
}

/* --- one --------------------------------------------------------------------
 */

static void
get_entity(struct target *t)
{
	const struct te_entity *e = te_store_find(t->store, t->id);

	if (e == NULL) {
		refuse(t->call, 404,
		    "Entity with topic id: " STR_FMT " not found",
		    STR_ARG(t->id));
		return;
	}
	t->call->status = 200;
	te_entity_put(e, &t->call->out);
}

static void
patch_entity(struct target *t)
{
	int rc = te_store_update(t->store, t->id, t->call->body, &t->err);

	if (rc != 0)
		refuse_err(t, rc);
	else
		get_entity(t);
}

static void
delete_entity(struct target *t)
{
	struct entity_call *c = t->call;
	struct list_out l = { .out = &c->out };
	int rc;

	buf_addc(&c->out, '[');
	rc = te_store_remove(t->store, t->id, put_one, &l, &t->err);
	buf_addc(&c->out, ']');
	c->status = 200;
	if (rc == ERR_NOT_FOUND) {
		buf_clear(&c->out);
		c->status = 204;
	} else if (rc != 0)
		refuse_err(t, rc);
}

/* --- twin -------------------------------------------------------------------
 */

static const struct te_entity *
find_or_refuse(struct target *t)
{
	const struct te_entity *e = te_store_find(t->store, t->id);

	if (e == NULL)
		refuse(t->call, 404,
		    "The specified entity: " STR_FMT
		    " does not exist in the entity store",
		    STR_ARG(t->id));
	return e;
}

static void
get_twin(struct target *t)
{
	struct entity_call *c = t->call;
	const struct te_entity *e;
	struct str value = STR_NULL;

	if (t->key.ptr == NULL) {
		e = find_or_refuse(t);
		if (e == NULL)
			return;
		te_entity_put_twin(e, &c->out);
	} else {
		e = te_store_find(t->store, t->id);
		if (e != NULL)
			value = te_entity_twin(e, t->key);
		if (value.ptr == NULL) {
			refuse(c, 404,
			    "Entity twin data for entity: " STR_FMT
			    " with fragment key: " STR_FMT " not found",
			    STR_ARG(t->id), STR_ARG(t->key));
			return;
		}
		buf_add_str(&c->out, value);
	}
	c->status = 200;
}

static void
put_twin(struct target *t)
{
	struct entity_call *c = t->call;
	int rc;

	if (!json_valid(c->body, 0)) {
		refuse(c, 400, "The body is no JSON");
		return;
	}
	rc = t->key.ptr != NULL
	    ? te_store_set_twin(t->store, t->id, t->key, c->body, &t->err)
	    : te_store_replace_twin(t->store, t->id, c->body, &t->err);
	if (rc != 0) {
		refuse_err(t, rc);
		return;
	}
	c->status = 200;
	(void)json_compact(&c->out, c->body, 0);
}

static void
delete_twin(struct target *t)
{
	int rc = t->key.ptr != NULL
	    ? te_store_set_twin(t->store, t->id, t->key, STR_NULL, &t->err)
	    : te_store_replace_twin(t->store, t->id, STR("{}"), &t->err);

	if (rc != 0)
		refuse_err(t, rc);
	else
		t->call->status = 204;
}

/* --- configuration ----------------------------------------------------------
 */

static void
get_config(struct target *t)
{
	struct entity_call *c = t->call;
	const struct te_entity *e = find_or_refuse(t);
	struct str value;

	if (e == NULL)
		return;
	if (t->key.ptr == NULL) {
		buf_add_str(
		    &c->out, e->config.ptr != NULL ? e->config : STR("{}"));
	} else {
		value = te_entity_config(e, t->key, &t->arena);
		if (value.ptr == NULL) {
			refuse(c, 404,
			    "Configuration value for entity: " STR_FMT
			    " with key: " STR_FMT " not found",
			    STR_ARG(t->id), STR_ARG(t->key));
			return;
		}
		buf_add_str(&c->out, value);
	}
	c->status = 200;
}

/* --- who answers what -------------------------------------------------------
 */

enum view { ALL, ENTITY, TWIN, CONFIG };

static const struct api_row {
	enum view view;
	const char *method;
	void (*answer)(struct target *t);
} rows[] = {
	{ ALL, "GET", list },
	{ ALL, "POST", create },
	{ ENTITY, "GET", get_entity },
	{ ENTITY, "PATCH", patch_entity },
	{ ENTITY, "DELETE", delete_entity },
	{ TWIN, "GET", get_twin },
	{ TWIN, "PUT", put_twin },
	{ TWIN, "DELETE", delete_twin },
	{ CONFIG, "GET", get_config },
};

/* What the path is about. False: it is refused. */
static bool
read_path(struct target *t, struct str path, enum view *view)
{
	struct str s[SEGMENTS_MAX] = { STR_NULL }, rest = path, tail = STR_NULL;
	struct buf id = { 0 };
	size_t n = 0;
	int rc;

	while (rest.ptr != NULL && n < SEGMENTS_MAX) {
		if (n == SEGMENTS_MAX - 1)
			tail = rest; /* a key, as it stands */
		s[n++] = str_cut(&rest, '/');
	}
	if (n < 2) {
		refuse(t->call, 404, "Not Found");
		return false;
	}
	if (n > 4 && !str_eqz(s[4], "twin") &&
	    !(str_eqz(s[4], "config") && rest.ptr == NULL)) {
		refuse(t->call, 404,
		    "Actions on channel: " STR_FMT " are not supported",
		    STR_ARG(s[4]));
		return false;
	}
	*view = ENTITY;
	if (n > 4)
		*view = str_eqz(s[4], "twin") ? TWIN : CONFIG;
	if (tail.len > 0)
		t->key = tail;
	/* two segments are enough; a slash at the end is no third */
	rc = te_entity_normal(&id,
	    arena_printf(&t->arena, STR_FMT "/" STR_FMT "/" STR_FMT "/" STR_FMT,
		STR_ARG(s[0]), STR_ARG(s[1]), STR_ARG(s[2]), STR_ARG(s[3])),
	    &t->err);
	t->id = arena_str(&t->arena, buf_str(&id));
	if (rc != 0)
		refuse_err(t, rc);
	buf_free(&id);
	return rc == 0;
}

void
entity_api(struct te_store *s, struct entity_call *c)
{
	struct target t = { .store = s, .call = c };
	struct str path = c->path;
	enum view view = ALL;
	size_t i;

	path.ptr += sizeof(ENTITY_API_PATH) - 1;
	path.len -= sizeof(ENTITY_API_PATH) - 1;
	if (path.len > 0) {
		path.ptr++; /* "/" */
		path.len--;
	}
	if (path.len > 0 && !read_path(&t, path, &view))
		goto done;
	for (i = 0; i < COUNT_OF(rows); i++)
		if (rows[i].view == view &&
		    strcmp(rows[i].method, c->method) == 0)
			break;
	if (i == COUNT_OF(rows))
		refuse(c, 405, "Method Not Allowed");
	else
		rows[i].answer(&t);
done:
	arena_fini(&t.arena);
}
