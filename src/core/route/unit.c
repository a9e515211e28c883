/*
 * core/route/unit.c - units over HTTP.
 */
#include "core/route/private.h"

#include "base/rand.h"

#include <stdlib.h>

struct unit_query {
	struct str owner, member, contains;
};

static const struct field query_fields[] = {
	F_TEXT(struct unit_query, owner, "owner",
	    .help = "Units of this owner; for administrators."),
	F_TEXT(struct unit_query, member, "member",
	    .help = "Units with this member; for administrators."),
	F_TEXT(struct unit_query, contains, "contains",
	    .help = "Codes that contain this text."),
	{ 0 },
};
static const struct record query_record = { "unitQuery",
	sizeof(struct unit_query), query_fields };

static bool
unit_limit(struct rest *r, enum rest_verb verb, struct filter *f)
{
	struct str owner = http_query(r->c, "owner");
	struct str member = http_query(r->c, "member");

	(void)verb;
	if (auth_who(r->c)->unit_id.ptr != NULL) {
		filter_text(f, "unitId", auth_who(r->c)->unit_id);
		return true;
	}
	if (!is_admin(r->c)) {
		filter_add(f, "memberIds", COND_HAS,
		    value_text(auth_who(r->c)->user_id));
		return true;
	}
	if (owner.len > 0)
		filter_text(f, "ownerId", owner);
	if (member.len > 0)
		filter_add(f, "memberIds", COND_HAS, value_text(member));
	return true;
}

static bool
unit_may(struct rest *r, enum rest_verb verb, const void *row)
{
	return may_in_unit(r, verb, ((const struct unit *)row)->unit_id);
}

static bool
user_must_exist(struct rest *r, struct str id, const char *code)
{
	struct route *route = r->module;
	struct err err;
	int rc = auth_user_exists(route->auth, id, &err);

	if (rc < 0)
		rest_db_error(r->c, &err);
	else if (rc == 0)
		http_error(r->c, 400, code, NULL);
	return rc == 1;
}

/* The members with the owner among them. */
static void
add_member(struct arena *a, struct unit *u)
{
	struct strs list = { 0 };

	list.at = arena_array(a, u->member_ids.n + 1, struct str);
	for (size_t i = 0; i < u->member_ids.n; i++) {
		if (str_eq(u->member_ids.at[i], u->owner_id))
			return;
		list.at[list.n++] = u->member_ids.at[i];
	}
	list.at[list.n++] = u->owner_id;
	u->member_ids = list;
}

static bool
unit_before_add(struct rest *r, void *row, void *extra, void *beside)
{
	struct unit *u = row;

	(void)extra;
	(void)beside;
	if (auth_who(r->c)->unit_id.ptr != NULL) {
		http_error(r->c, 403, "err_perm",
		    "the token is held to one unit and makes no other");
		return false;
	}
	if (!is_admin(r->c) || u->owner_id.ptr == NULL) {
		u->owner_id = auth_who(r->c)->user_id;
	} else if (u->owner_id.len == 0) {
		http_error(r->c, 400, "err_param", "`ownerId` is empty");
		return false;
	} else if (!user_must_exist(
		       r, u->owner_id, "err_broker_owner_not_exist")) {
		return false;
	}
	add_member(&r->c->arena, u);
	return true;
}

static bool
unit_before_patch(struct rest *r, const void *old, void *row,
    field_set_t *present, void *extra, field_set_t extra_present, void *beside,
    field_set_t beside_present)
{
	const struct record *rec = &route_unit_entity.record;
	field_set_t owner = field_bit(rec, "ownerId");
	field_set_t members = field_bit(rec, "memberIds");
	struct unit *u = row;

	(void)old;
	(void)extra;
	(void)extra_present;
	(void)beside;
	(void)beside_present;
	if (!is_admin(r->c)) {
		*present &= ~(owner | members);
		if (*present != 0)
			return true;
		http_error(r->c, 400, "err_param", "at least one parameter");
		return false;
	}
	if (*present & owner &&
	    !user_must_exist(r, u->owner_id, "err_broker_owner_not_exist"))
		return false;
	for (size_t i = 0; *present & members && i < u->member_ids.n; i++)
		if (!user_must_exist(
			r, u->member_ids.at[i], "err_broker_member_not_exist"))
			return false;
	if (*present & (owner | members)) {
		add_member(&r->c->arena, u);
		*present |= members;
	}
	return true;
}

/* Applications, networks and gateways go with their unit; their queues and
 * sessions are ended once they are gone from the store. */
struct unit_ends {
	struct rows applications, networks, gateways;
};

static bool
load_ends(struct http_call *c, struct store *s, struct str unit_id,
    struct unit_ends *ret)
{
	struct store_query q = { 0 };
	struct filter f = { 0 };
	struct err err;

	filter_text(&f, "unitId", unit_id);
	q.filter = &f;
	if (store_all(s, &route_application_entity, &q, &c->arena,
		&ret->applications, &err) == 0 &&
	    store_all(s, &route_network_entity, &q, &c->arena, &ret->networks,
		&err) == 0 &&
	    store_all(s, &route_gateway_entity, &q, &c->arena, &ret->gateways,
		&err) == 0)
		return true;
	rest_db_error(c, &err);
	return false;
}

static void
end_ends(struct route *route, const struct unit_ends *ends, struct str unit_id,
    struct str unit_code)
{
	const struct route_end *end = ends->applications.at;

	for (size_t i = 0; i < ends->applications.n; i++)
		change_endpoint_gone(route, true, &end[i]);
	end = ends->networks.at;
	for (size_t i = 0; i < ends->networks.n; i++)
		change_endpoint_gone(route, false, &end[i]);
	for (size_t i = 0; i < ends->gateways.n; i++)
		route_gateway_changed(route,
		    (const struct route_gateway *)ends->gateways.at + i, true);
	change_unit_gone(route, unit_code);
	if (route->unit_gone != NULL)
		route->unit_gone(route->unit_gone_ctx, unit_id);
}

static bool
unit_before_del(struct rest *r, const void *row)
{
	const struct unit *u = row;
	struct unit_ends *ends = arena_new(&r->c->arena, struct unit_ends);

	if (!load_ends(r->c, r->store, u->unit_id, ends))
		return false;
	r->note = ends;
	return true;
}

static void
unit_after_del(struct rest *r, const void *row)
{
	const struct unit *u = row;

	end_ends(r->module, r->note, u->unit_id, u->code);
}

const struct rest_object route_unit_object = {
	.name = "unit",
	.entity = &route_unit_entity,
	.id = "unitId",
	.id_len = ID_SHORT,
	.filters =
	    (const struct rest_filter[]){
		{ "contains", "code", COND_CONTAINS }, { 0 } },
	.query = &query_record,
	.sorts = (const struct rest_sort[]){ { "code", "code" },
	    { "created", "createdAt" }, { "modified", "modifiedAt" },
	    { "name", "name" }, { 0 } },
	.sort = "code:asc",
	.add = "code! ownerId name info",
	.patch = "ownerId memberIds name info",
	.exists =
	    (const struct rest_exists[]){
		{ "code", "err_broker_unit_exist" }, { 0 } },
	.help = "units.",
	.limit = unit_limit,
	.may = unit_may,
	.before_add = unit_before_add,
	.before_patch = unit_before_patch,
	.before_del = unit_before_del,
	.after_del = unit_after_del,
};

static void
delete_of_user(struct http_call *c)
{
	struct route *route = (struct route *)c->route->ctx;
	struct store_query q = { 0 };
	struct filter f = { 0 };
	const struct unit *units;
	struct rows rows;
	struct err err;

	filter_text(&f, "ownerId", http_var(c, 0));
	q.filter = &f;
	if (store_all(route->store, &route_unit_entity, &q, &c->arena, &rows,
		&err) != 0) {
		rest_db_error(c, &err);
		return;
	}
	units = rows.at;
	for (size_t i = 0; i < rows.n; i++) {
		struct unit_ends ends;

		if (!load_ends(c, route->store, units[i].unit_id, &ends))
			return;
		f.n = 0;
		filter_text(&f, "unitId", units[i].unit_id);
		if (versions_store_del(route->versions, c, &route_unit_entity,
			&f, &err) != 0) {
			rest_db_error(c, &err);
			return;
		}
		end_ends(route, &ends, units[i].unit_id, units[i].code);
	}
	http_empty(c, 204);
}

const struct http_route route_unit_rows[] = {
	{ "DELETE", "/unit/user/{userId}", HTTP_TOKEN,
	    .roles = HTTP_ROLE_ADMIN | HTTP_ROLE_MANAGER,
	    .scope = "unit.delete.user", .handle = delete_of_user,
	    .help = "Deletes all units of a user." },
	{ 0 },
};
