/*
 * core/hub/objects.c - the hub's objects over HTTP.
 *
 * Who may do what is the same for all: administrators everything, the owner of
 * the unit changes, its members read. A change goes to the store; then the loop
 * is told, before the call is answered.
 */
#include "core/hub/private.h"

#include "base/mem.h"
#include "base/rand.h"

#include <stdlib.h>

/* Every row begins so. */
struct any {
	struct str id, unit_id;
};

struct unit_query {
	struct str unit, contains;
};

static const struct field query_fields[] = {
	F_TEXT(struct unit_query, unit, "unit",
	    .help = "Those of this unit; administrators may leave it out."),
	{ 0 },
};
static const struct record query_record = { "hubQuery",
	sizeof(struct unit_query), query_fields };

/* --- telling the loop ---------------------------------------------------- */

struct told {
	struct loop_post post;
	struct hub *hub;
	void (*fn)(struct hub *h, struct str id);
	struct str id; /* owned */
};

static void
run_told(struct loop_post *p)
{
	struct told *t = container_of(p, struct told, post);

	t->fn(t->hub, t->id);
	str_free(t->id);
	free(t);
}

void
hub_post(struct hub *h, void (*fn)(struct hub *h, struct str id), struct str id)
{
	struct told *t = mem_new(struct told);

	t->post.run = run_told;
	t->hub = h;
	t->fn = fn;
	t->id = str_copy(id);
	loop_post(h->loop, &t->post);
}

/* --- access -------------------------------------------------------------- */

static bool
is_admin(const struct http_call *c)
{
	return auth_is(c, HTTP_ROLE_ADMIN | HTTP_ROLE_MANAGER);
}

static bool
may_unit(struct rest *r, enum rest_verb verb, struct str unit_id)
{
	struct hub *h = r->module;
	int may;

	if (is_admin(r->c))
		return true;
	may = route_may_unit(h->route, r->c, unit_id, verb);
	return may == 1;
}

static bool
limit(struct rest *r, enum rest_verb verb, struct filter *f)
{
	struct str unit = http_query(r->c, "unit");

	(void)verb;
	if (unit.len == 0 && is_admin(r->c))
		return true;
	if (unit.len == 0) {
		http_error(r->c, 400, "err_param", "missing `unit`");
		return false;
	}
	if (!may_unit(r, REST_GET, unit)) {
		if (r->c->status == 0)
			http_error(r->c, 400, "err_hub_unit_not_exist", NULL);
		return false;
	}
	filter_text(f, "unitId", unit);
	return true;
}

static bool
may(struct rest *r, enum rest_verb verb, const void *row)
{
	return may_unit(r, verb, ((const struct any *)row)->unit_id);
}

static bool
before_add(struct rest *r, void *row, void *extra, void *beside)
{
	struct any *any = row;
	struct hub *h = r->module;
	int rc;

	(void)extra;
	(void)beside;
	rc = route_may_unit(h->route, r->c, any->unit_id, REST_ADD);
	if (rc == 0)
		http_error(r->c, 400, "err_hub_unit_not_exist", NULL);
	return rc == 1;
}

/* --- what changes mean --------------------------------------------------- */

#define TELL(name, fn)                                                         \
	static void name##_patched(struct rest *r, const void *old,            \
	    const void *row, field_set_t present, void *extra,                 \
	    field_set_t extra_present)                                         \
	{                                                                      \
		(void)old;                                                     \
		(void)present;                                                 \
		(void)extra;                                                   \
		(void)extra_present;                                           \
		hub_post(r->module, fn, ((const struct any *)row)->id);        \
	}                                                                      \
	static void name##_deleted(struct rest *r, const void *row)            \
	{                                                                      \
		hub_post(r->module, fn, ((const struct any *)row)->id);        \
	}

/* clang-format off */
TELL(profile, model_reload_profile)
TELL(node, model_reload_node)
TELL(field, model_reload_field)
/* clang-format on */

static void
profile_added(struct rest *r, const void *row, void *extra)
{
	(void)extra;
	hub_post(
	    r->module, model_reload_profile, ((const struct any *)row)->id);
}

static void
inbox_deleted(struct rest *r, const void *row)
{
	hub_post(r->module, inbox_forget, ((const struct any *)row)->id);
}

/* --- the objects --------------------------------------------------------- */

#define BY(param, member)                                                      \
	{                                                                      \
		param, member, COND_EQ                                         \
	}
#define PLACES                                                                 \
	BY("device", "deviceId"), BY("gatewayId", "gatewayId"),                \
	    BY("nodeId", "nodeId"), BY("sourceId", "sourceId")
#define SORTS(...)                                                             \
	(const struct rest_sort[])                                             \
	{                                                                      \
		__VA_ARGS__,                                                   \
		{                                                              \
			0                                                      \
		}                                                              \
	}
#define COMMON                                                                 \
	.id = "id", .id_len = ID_LONG, .query = &query_record, .limit = limit, \
	.may = may, .before_add = before_add
#define EXISTS                                                                 \
	(const struct rest_exists[])                                           \
	{                                                                      \
		{ "id", "err_hub_exist" }, { "code", "err_hub_exist" },        \
		{                                                              \
			0                                                      \
		}                                                              \
	}

static const struct rest_object profile_object = {
	COMMON,
	.name = "profile",
	.entity = &hub_profile_entity,
	.filters = (const struct rest_filter[]){ BY("code", "code"),
	    { "contains", "code", COND_CONTAINS }, { 0 } },
	.sorts = SORTS({ "code", "code" }, { "name", "name" }),
	.sort = "code:asc",
	.add = "unitId! code! name codec script paths fields",
	.patch = "name codec script paths fields",
	.exists = EXISTS,
	.help = "profiles: how devices' payloads are read.",
	.after_add = profile_added,
	.after_patch = profile_patched,
	.after_del = profile_deleted,
};

static const struct rest_object node_object = {
	COMMON,
	.name = "node",
	.entity = &hub_node_entity,
	.filters = (const struct rest_filter[]){ BY("gatewayId", "gatewayId"),
	    BY("nodeId", "nodeId"), { "contains", "name", COND_CONTAINS },
	    { 0 } },
	.sorts = SORTS({ "nodeId", "nodeId" }, { "name", "name" },
	    { "lastSeen", "lastSeen" }),
	.sort = "nodeId:asc",
	.patch = "name labels",
	.help = "devices, as the hub knows them.",
	.after_patch = node_patched,
	.after_del = node_deleted,
};

static const struct rest_object source_object = {
	COMMON,
	.name = "source",
	.entity = &hub_source_entity,
	.filters = (const struct rest_filter[]){ PLACES, { 0 } },
	.sorts = SORTS({ "sourceId", "sourceId" }, { "nodeId", "nodeId" },
	    { "lastSeen", "lastSeen" }),
	.sort = "nodeId:asc,sourceId:asc",
	.patch = "name labels",
	.help = "sources: parts of devices.",
};

static const struct rest_object field_object = {
	COMMON,
	.name = "field",
	.entity = &hub_field_entity,
	.filters = (const struct rest_filter[]){ PLACES,
	    BY("fieldId", "fieldId"), BY("metricType", "metricType"),
	    { "contains", "name", COND_CONTAINS }, { 0 } },
	.sorts = SORTS({ "fieldId", "fieldId" }, { "sourceId", "sourceId" },
	    { "nodeId", "nodeId" }, { "name", "name" },
	    { "lastSeen", "lastSeen" }),
	.sort = "nodeId:asc,sourceId:asc,fieldId:asc",
	.patch = "name metricType unit labels formatter",
	.help = "fields: values of devices, now and before.",
	.after_patch = field_patched,
	.after_del = field_deleted,
};

static const struct rest_object inbox_object = {
	COMMON,
	.name = "inbox",
	.entity = &hub_inbox_entity,
	.filters = (const struct rest_filter[]){ BY("network", "networkCode"),
	    { "contains", "networkAddr", COND_CONTAINS }, { 0 } },
	.sorts = SORTS({ "lastSeen", "lastSeen" }, { "firstSeen", "firstSeen" },
	    { "count", "count" }, { "networkAddr", "networkAddr" }),
	.sort = "lastSeen:desc",
	.help = "addresses that were heard and that no device has.",
	.after_del = inbox_deleted,
};

static const struct rest_object repository_object = {
	COMMON,
	.name = "data-repository",
	.entity = &hub_repository_entity,
	.filters =
	    (const struct rest_filter[]){
		{ "contains", "id", COND_CONTAINS }, { 0 } },
	.sorts = SORTS({ "id", "id" }, { "modified", "modifiedOn" }),
	.sort = "id:asc",
	.add = "id unitId! description readOnly labels data",
	.patch = "description readOnly labels data",
	.exists = EXISTS,
	.help = "data that rules share.",
};

void
objects_mount(struct hub *h, http_add_routes *add, void *ctx)
{
	static const struct {
		const struct rest_object *object;
		unsigned flags;
	} all[] = {
		{ &profile_object, 0 },
		{ &node_object, REST_NO(REST_ADD) },
		{ &source_object, REST_NO(REST_ADD) | REST_NO(REST_DEL) },
		{ &field_object, REST_NO(REST_ADD) },
		{ &inbox_object, REST_NO(REST_ADD) | REST_NO(REST_PATCH) },
		{ &repository_object, 0 },
	};
	struct rest_mounts *m = h != NULL ? &h->mounts : NULL;
	struct store *s = h != NULL ? h->store : NULL;

	rest_mount_rows(m, hub_inbox_rows, "/hub/api/v1", h, add, ctx);
	for (size_t i = 0; i < COUNT_OF(all); i++)
		rest_mount(m, all[i].object, "/hub/api/v1", s, h,
		    all[i].flags | REST_CSV, add, ctx);
}
