/*
 * core/route/access.c - who may do what in which unit.
 *
 * Administrators and managers see and change everything; else the owner of a
 * unit changes, its members read. What the caller may not see is as if it did
 * not exist. A service token may be held to one unit: then there is no other
 * for it, whatever its user may.
 */
#include "core/route/private.h"

#include <stdlib.h>

bool
is_admin(const struct http_call *c)
{
	return auth_is(c, HTTP_ROLE_ADMIN | HTTP_ROLE_MANAGER);
}

bool
get_row(struct http_call *c, struct store *s, const struct entity *e,
    const char *field, struct str id, void *row, bool *found)
{
	struct filter f = { 0 };
	struct err err;

	filter_text(&f, field, id);
	if (store_get(s, e, &f, &c->arena, row, found, &err) == 0)
		return true;
	rest_db_error(c, &err);
	return false;
}

static bool
has_right(const struct http_call *c, const struct unit *u, enum right right)
{
	const struct auth_who *who = auth_who(c);
	struct str me = who->user_id;

	if (who->unit_id.ptr != NULL && !str_eq(who->unit_id, u->unit_id))
		return false;
	if (is_admin(c) || who->every_unit || str_eq(u->owner_id, me))
		return true;
	for (size_t i = 0; right == RIGHT_READ && i < u->member_ids.n; i++)
		if (str_eq(u->member_ids.at[i], me))
			return true;
	return false;
}

/* 1, 0, or -1 with the call answered. */
static int
check_unit(struct http_call *c, struct store *s, struct str unit_id,
    enum right right, struct unit *u)
{
	bool found;

	if (unit_id.len == 0)
		return 0;
	if (!get_row(c, s, &route_unit_entity, "unitId", unit_id, u, &found))
		return -1;
	return found && has_right(c, u, right);
}

bool
unit_for(struct rest *r, struct str unit_id, enum right right, const char *code,
    struct unit *ret)
{
	struct unit own;
	int rc = check_unit(
	    r->c, r->store, unit_id, right, ret != NULL ? ret : &own);

	if (rc == 0)
		http_error(r->c, 400, code, NULL);
	return rc == 1;
}

bool
may_in_unit(struct rest *r, enum rest_verb verb, struct str unit_id)
{
	struct unit u;

	if (is_admin(r->c))
		return true;
	return check_unit(r->c, r->store, unit_id,
		   verb == REST_GET ? RIGHT_READ : RIGHT_WRITE, &u) == 1;
}

int
route_may_unit(struct route *r, struct http_call *c, struct str unit_id,
    enum rest_verb verb)
{
	struct unit u;

	return check_unit(c, r->store, unit_id,
	    verb == REST_GET ? RIGHT_READ : RIGHT_WRITE, &u);
}

static int
by_code(const void *a, const void *b)
{
	const struct unit *x = a, *y = b;

	return str_cmp(x->code, y->code);
}

/* Those for which the condition holds, behind the `n` that are there. */
static bool
add_units(struct route *r, struct http_call *c, const struct filter *f,
    struct unit **units, size_t *n)
{
	const struct store_query q = { .filter = f };
	struct unit *all;
	struct rows rows;
	struct err err;

	if (store_all(r->store, &route_unit_entity, &q, &c->arena, &rows,
		&err) != 0) {
		rest_db_error(c, &err);
		return false;
	}
	all = arena_array(&c->arena, *n + rows.n + 1, struct unit);
	for (size_t i = 0; i < *n; i++)
		all[i] = (*units)[i];
	for (size_t i = 0; i < rows.n; i++)
		all[(*n)++] = ((const struct unit *)rows.at)[i];
	*units = all;
	return true;
}

bool
route_units_of(struct route *r, struct http_call *c, struct strs *codes)
{
	const struct auth_who *who = auth_who(c);
	struct filter owns = { 0 }, member = { 0 };
	struct unit *units = NULL;
	size_t n = 0;

	if (who->unit_id.ptr != NULL) {
		filter_text(&owns, "unitId", who->unit_id);
	} else {
		filter_text(&owns, "ownerId", who->user_id);
		filter_add(
		    &member, "memberIds", COND_HAS, value_text(who->user_id));
	}
	if (!add_units(r, c, &owns, &units, &n) ||
	    (member.n > 0 && !add_units(r, c, &member, &units, &n)))
		return false;
	if (n > 0)
		qsort(units, n, sizeof(*units), by_code);
	*codes = (struct strs){ arena_array(&c->arena, n + 1, struct str), 0 };
	for (size_t i = 0; i < n; i++)
		if (has_right(c, &units[i], RIGHT_READ) &&
		    (codes->n == 0 ||
			!str_eq(codes->at[codes->n - 1], units[i].code)))
			codes->at[codes->n++] = units[i].code;
	return true;
}

int
route_unit_by_code(struct route *r, struct http_call *c, struct str code,
    enum rest_verb verb, struct str *unit_id, struct str *unit_code)
{
	struct unit u;
	bool found;

	if (code.len == 0)
		return 0;
	if (!get_row(c, r->store, &route_unit_entity, "code",
		arena_lower(&c->arena, code), &u, &found))
		return -1;
	if (!found ||
	    !has_right(c, &u, verb == REST_GET ? RIGHT_READ : RIGHT_WRITE))
		return 0;
	*unit_id = u.unit_id;
	*unit_code = u.code;
	return 1;
}

bool
route_access(struct route *r, struct http_call *c, struct str token)
{
	c->authorization =
	    arena_printf(&c->arena, "Bearer " STR_FMT, STR_ARG(token));
	return auth_access(r->auth, c);
}

bool
route_may_call(struct route *r, struct http_call *c)
{
	return auth_access(r->auth, c);
}

bool
unit_filtered(struct rest *r, struct filter *f)
{
	struct str unit = http_query(r->c, "unit");

	if (unit.len == 0) {
		if (is_admin(r->c))
			return true;
		http_error(r->c, 400, "err_param", "missing `unit`");
		return false;
	}
	if (!unit_for(r, unit, RIGHT_READ, "err_broker_unit_not_exist", NULL))
		return false;
	filter_text(f, "unitId", unit);
	return true;
}

bool
network_for(struct rest *r, struct str network_id, struct str unit_id,
    struct route_end *ret)
{
	struct err err;
	bool ok;
	int rc;

	rc = network_get(r->module, network_id, &r->c->arena, ret, &err);
	if (rc != 0 && rc != ERR_NOT_FOUND) {
		rest_db_error(r->c, &err);
		return false;
	}
	if (rc != 0)
		ok = false;
	else if (ret->unit_id.len == 0)
		ok = is_admin(r->c);
	else if (unit_id.ptr != NULL)
		ok = str_eq(ret->unit_id, unit_id);
	else
		ok = may_in_unit(r, REST_ADD, ret->unit_id);
	if (!ok && r->c->status == 0)
		http_error(r->c, 400, "err_broker_network_not_exist", NULL);
	return ok;
}

bool
application_for(
    struct rest *r, struct str application_id, struct route_end *ret)
{
	bool found, ok;

	if (!get_row(r->c, r->store, &route_application_entity, "applicationId",
		application_id, ret, &found))
		return false;
	ok = found && may_in_unit(r, REST_ADD, ret->unit_id);
	if (!ok && r->c->status == 0)
		http_error(r->c, 400, "err_broker_application_not_exist", NULL);
	return ok;
}

bool
route_device_addr(struct route *r, struct http_call *c, struct str device_id,
    struct str *addr)
{
	struct rest rest = { .c = c, .store = r->store, .module = r };
	struct device d;
	bool found;

	if (!get_row(c, r->store, &route_device_entity, "deviceId", device_id,
		&d, &found) ||
	    !found || !may_in_unit(&rest, REST_GET, d.unit_id))
		return false;
	*addr = d.network_addr;
	return true;
}

int
route_unit_exists(struct route *r, struct str unit_id, struct err *err)
{
	struct filter f = { 0 };
	int64_t n;
	int rc;

	filter_text(&f, "unitId", unit_id);
	rc = store_count(r->store, &route_unit_entity, &f, &n, err);
	return rc != 0 ? rc : n > 0;
}

int
route_unit_code(struct route *r, struct str unit_id, struct arena *a,
    struct str *code, struct err *err)
{
	struct filter f = { 0 };
	struct unit unit;
	bool found;
	int rc;

	filter_text(&f, "unitId", unit_id);
	rc = store_get(r->store, &route_unit_entity, &f, a, &unit, &found, err);
	if (rc == 0 && found)
		*code = unit.code;
	return rc != 0 ? rc : found;
}
