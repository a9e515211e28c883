/*
 * core/fleet/state_edit.c - see state_edit.h.
 */
#include "core/fleet/state_edit.h"

#include "base/base.h"
#include "core/fleet/module.h"

#include <string.h>

#define AGAIN_MAX 4 /* that others were faster */

/* --- begin ---------------------------------------------------------------- */

static void
put(struct json_out *o, const struct edit *e)
{
	if (e->config != NULL)
		fleet_config_put(o, e->config);
	else if (e->tag != NULL)
		fleet_tag_put(o, e->tag);
	else
		fleet_state_put(o, &e->s);
}

static struct str
mark_of(const struct edit *e)
{
	struct buf text = { 0 };
	struct json_out o;
	struct str ret;

	json_out_init(&o, &text, false);
	put(&o, e);
	ret = fleet_etag(&e->c->arena, buf_str(&text));
	buf_free(&text);
	return ret;
}

void
edit_leave(struct edit *e)
{
	if (e->r != NULL)
		fleet_repo_give(e->r);
	e->r = NULL;
}

bool
edit_begin(struct edit *e, struct http_call *c, enum rest_verb verb)
{
	*e = (struct edit){ .c = c };
	if (!fleet_call_repo(c, verb, &e->r))
		return false;
	if (fleet_repo_state(e->r, &c->arena, &e->s, &e->err) == 0)
		return true;
	edit_leave(e);
	http_error(c, 409, "err_fleet_state", "%s", e->err.text);
	return false;
}

bool
edit_seen(struct edit *e)
{
	if (fleet_if_match(e->c, mark_of(e)))
		return true;
	edit_leave(e);
	return false;
}

/* What the path names must be there. */
static bool
begin_part(struct edit *e, enum rest_verb verb, bool is_there, const char *what)
{
	if (is_there)
		return verb == REST_GET || edit_seen(e);
	edit_leave(e);
	http_error(e->c, 404, "err_not_found", "there is no %s \"%.*s\"", what,
	    (int)MIN_OF(http_var(e->c, 0).len, 63), http_var(e->c, 0).ptr);
	return false;
}

bool
edit_begin_config(struct edit *e, struct http_call *c, enum rest_verb verb)
{
	if (!edit_begin(e, c, verb))
		return false;
	e->config = fleet_config_find(&e->s, http_var(c, 0));
	return begin_part(e, verb, e->config != NULL, "configuration");
}

bool
edit_begin_tag(struct edit *e, struct http_call *c, enum rest_verb verb)
{
	if (!edit_begin(e, c, verb))
		return false;
	e->tag = fleet_tag_find(&e->s, http_var(c, 0));
	return begin_part(e, verb, e->tag != NULL, "tag");
}

bool
edit_data(struct edit *e, struct str *ret)
{
	*ret = json_find(&e->c->arena, e->c->body, STR("data"));
	if (ret->ptr != NULL && json_type_of(*ret) == JSON_OBJECT)
		return true;
	edit_leave(e);
	http_error(e->c, 400, "err_param",
	    "the body must be {\"data\":{...}} in JSON");
	return false;
}

/* --- end ------------------------------------------------------------------ */

void
edit_fail(struct edit *e)
{
	edit_leave(e);
	fleet_state_error(e->c, &e->err);
}

/* Inputs that Nix has to find first are found without the repository, so that
 * others go on. ERR_AGAIN: who has changed the state meanwhile was faster. */
static int
find_inputs(struct edit *e)
{
	struct fleet *f = e->r->f;
	struct arena *a = &e->c->arena;
	struct str unit = arena_str(a, e->r->unit_id);
	struct str text = arena_str(a, buf_str(&e->r->text));
	struct fleet_inputs in;
	int rc = fleet_state_check(&e->s, &e->err);

	if (rc == 0)
		rc = fleet_repo_may(e->r, &e->s, &e->err);
	if (rc == 0)
		rc = fleet_inputs_look(
		    f, unit, &e->s, e->r->dir, a, &in, &e->err);
	if (rc != 0 || !in.wanted)
		return rc;
	edit_leave(e);
	fleet_inputs_find(f, unit, &e->s, a, &in);
	rc = fleet_repo_take(f, unit, &e->r, &e->err);
	if (rc != 0)
		return rc;
	fleet_inputs_found(f, unit, &in);
	return str_eq(text, buf_str(&e->r->text))
	    ? 0
	    : err_set(&e->err, ERR_AGAIN,
		  "somebody else has changed the state while inputs were "
		  "looked for: read it again, then change that");
}

/* The call is handled anew, upon what the others have made of the state; its
 * inputs are known then. If it named what it had seen, that is checked, too. */
static bool
do_again(struct edit *e)
{
	static _Thread_local int times;

	if (times == AGAIN_MAX)
		return false;
	edit_leave(e);
	times++;
	e->c->route->handle(e->c);
	times--;
	return true;
}

void
edit_finish(struct edit *e, struct str identifier)
{
	struct json_out *o;
	int rc = find_inputs(e);

	if (rc == ERR_AGAIN && e->r != NULL && do_again(e))
		return;
	if (rc != 0 || fleet_repo_write(e->r, &e->s, &e->err) != 0) {
		edit_fail(e);
		return;
	}
	o = rest_data(e->c);
	http_header(e->c, "ETag", mark_of(e));
	if (identifier.ptr != NULL) {
		json_out_key(o, "identifier");
		json_out_str(o, identifier);
	}
	fleet_faults_put(o, e->r);
	rest_data_end(e->c);
	edit_leave(e);
}

struct json_out *
edit_show_begin(struct edit *e)
{
	struct json_out *o = http_json(e->c, 200);

	http_header(e->c, "ETag", mark_of(e));
	json_out_object(o);
	json_out_key(o, "data");
	return o;
}

void
edit_show_end(struct edit *e)
{
	json_out_end_object(&e->c->json);
	edit_leave(e);
}

void
edit_show(struct edit *e)
{
	put(edit_show_begin(e), e);
	edit_show_end(e);
}

void
edit_list(struct edit *e, size_t n,
    void (*put_item)(struct json_out *o, const struct fleet_state *s, size_t i))
{
	int64_t skip, most;
	bool bare;

	if (fleet_paging(e->c, &skip, &most, &bare)) {
		size_t i = (size_t)MIN_OF((uint64_t)skip, n);
		size_t to =
		    most == 0 || (uint64_t)most > n - i ? n : i + (size_t)most;
		struct json_out *o = fleet_list(e->c, bare);

		for (; i < to; i++)
			put_item(o, &e->s, i);
		fleet_list_end(e->c, bare);
	}
	edit_leave(e);
}

void
edit_count(struct edit *e, size_t n)
{
	edit_leave(e);
	rest_count(e->c, (int64_t)n);
}

/* --- what changes have alike ---------------------------------------------- */

void *
edit_one_more(struct edit *e, const void *list, size_t n, size_t size)
{
	char *ret = arena_alloc(&e->c->arena, (n + 1) * size);

	if (n > 0)
		memcpy(ret, list, n * size);
	return ret;
}

bool
edit_same_identifier(struct edit *e, struct str was, struct str is)
{
	if (str_eq(was, is))
		return true;
	(void)err_set(&e->err, ERR_PARAM, "identifier: it can not change");
	return false;
}

struct str
edit_identifier(struct edit *e, struct str name,
    bool (*is_there)(const struct fleet_state *s, struct str identifier))
{
	struct arena *a = &e->c->arena;
	struct str first = fleet_identifier(a, name), id = first;

	for (int i = 2; is_there(&e->s, id); i++)
		id = arena_printf(
		    a, "%.*s-%d", (int)MIN_OF(first.len, 55), first.ptr, i);
	return id;
}
