/*
 * core/route/end.c - applications and networks over HTTP.
 */
#include "core/route/private.h"

#include "base/rand.h"
#include "codec/url.h"

struct end_query {
	struct str unit, code, contains;
};

static const struct field query_fields[] = {
	F_TEXT(struct end_query, unit, "unit",
	    .help = "Those of this unit; all of them, for administrators "
		    "only, when it is left out."),
	F_TEXT(struct end_query, code, "code", .help = "Exactly this code."),
	F_TEXT(struct end_query, contains, "contains",
	    .help = "Codes that contain this text."),
	{ 0 },
};
static const struct record query_record = { "endQuery",
	sizeof(struct end_query), query_fields };

static bool
is_application(const struct rest *r)
{
	return r->o->entity == &route_application_entity;
}

/* --- checks -------------------------------------------------------------- */

static bool
check_host(struct rest *r, struct route_end *end)
{
	static const char *const schemes[] = { "amqp", "amqps", "mqtt",
		"mqtts" };
	struct url u;

	if (url_parse(&r->c->arena, end->host_uri, &u))
		for (size_t i = 0; i < COUNT_OF(schemes); i++)
			if (str_eqz(u.scheme, schemes[i])) {
				end->host_uri = url_normal(&r->c->arena, &u);
				return true;
			}
	http_error(r->c, 400, "err_param", "unsupport `hostUri` scheme");
	return false;
}

static bool
check_unit(struct rest *r, struct route_end *end)
{
	struct unit u;

	if (end->unit_id.ptr != NULL && end->unit_id.len == 0) {
		http_error(r->c, 400, "err_param", "`unitId` is empty");
		return false;
	}
	if (end->unit_id.ptr == NULL) { /* a public network */
		if (is_admin(r->c))
			return true;
		http_error(r->c, 400, "err_param", "missing `unitId`");
		return false;
	}
	if (!unit_for(
		r, end->unit_id, RIGHT_WRITE, "err_broker_unit_not_exist", &u))
		return false;
	end->unit_code = u.code;
	return true;
}

static bool
end_before_add(struct rest *r, void *row, void *extra, void *beside)
{
	const struct route_end *end = row;

	(void)extra;
	(void)beside;
	return check_host(r, row) && check_unit(r, row) &&
	    (is_application(r) ||
		route_code_free(r->module, r->c, &route_gateway_entity,
		    end->unit_id, end->code, "err_broker_network_exist"));
}

static void
end_after_add(struct rest *r, const void *row, void *extra)
{
	(void)extra;
	change_endpoint(r->module, is_application(r), row, NULL);
}

static bool
end_before_patch(struct rest *r, const void *old, void *row,
    field_set_t *present, void *extra, field_set_t extra_present, void *beside,
    field_set_t beside_present)
{
	(void)old;
	(void)extra;
	(void)extra_present;
	(void)beside;
	(void)beside_present;
	if (*present & field_bit(&r->o->entity->record, "hostUri"))
		return check_host(r, row);
	return true;
}

static void
end_after_patch(struct rest *r, const void *old, const void *row,
    field_set_t present, void *extra, field_set_t extra_present)
{
	(void)old;
	(void)extra;
	(void)extra_present;
	if (present & field_bit(&r->o->entity->record, "hostUri"))
		change_endpoint(r->module, is_application(r), row, NULL);
}

static void
end_after_del(struct rest *r, const void *row)
{
	const struct route_end *end = row;

	change_endpoint_gone(r->module, is_application(r), end);
	if (!is_application(r))
		change_network_devices(r->module, end->unit_code, end->code);
}

static bool
application_may(struct rest *r, enum rest_verb verb, const void *row)
{
	return may_in_unit(r, verb, ((const struct route_end *)row)->unit_id);
}

static bool
network_may(struct rest *r, enum rest_verb verb, const void *row)
{
	const struct route_end *end = row;

	return is_admin(r->c) ||
	    (end->unit_id.len > 0 && may_in_unit(r, verb, end->unit_id));
}

static bool
application_limit(struct rest *r, enum rest_verb verb, struct filter *f)
{
	(void)verb;
	return unit_filtered(r, f);
}

/* For administrators an empty `unit` means the public networks. */
static bool
network_limit(struct rest *r, enum rest_verb verb, struct filter *f)
{
	struct str unit = http_query(r->c, "unit");

	(void)verb;
	if (unit.ptr != NULL && unit.len == 0 && is_admin(r->c)) {
		filter_text(f, "unitId", STR_NULL);
		return true;
	}
	return unit_filtered(r, f);
}

#define FILTERS                                                                \
	(const struct rest_filter[])                                           \
	{                                                                      \
		{ "code", "code", COND_EQ, .lower = true },                    \
		    { "contains", "code", COND_CONTAINS, .unless = "code" },   \
		{                                                              \
			0                                                      \
		}                                                              \
	}
#define SORTS                                                                  \
	(const struct rest_sort[])                                             \
	{                                                                      \
		{ "code", "code" }, { "created", "createdAt" },                \
		    { "modified", "modifiedAt" }, { "name", "name" },          \
		{                                                              \
			0                                                      \
		}                                                              \
	}

const struct rest_object route_application_object = {
	.name = "application",
	.entity = &route_application_entity,
	.id = "applicationId",
	.id_len = ID_SHORT,
	.filters = FILTERS,
	.query = &query_record,
	.sorts = SORTS,
	.sort = "code:asc",
	.add = "code! unitId! hostUri! name info",
	.patch = "hostUri name info",
	.exists =
	    (const struct rest_exists[]){
		{ "code", "err_broker_application_exist" }, { 0 } },
	.help = "applications.",
	.limit = application_limit,
	.may = application_may,
	.before_add = end_before_add,
	.after_add = end_after_add,
	.before_patch = end_before_patch,
	.after_patch = end_after_patch,
	.after_del = end_after_del,
};

const struct rest_object route_network_object = {
	.name = "network",
	.entity = &route_network_entity,
	.id = "networkId",
	.id_len = ID_SHORT,
	.filters = FILTERS,
	.query = &query_record,
	.sorts = SORTS,
	.sort = "code:asc",
	.add = "code! unitId hostUri! name info",
	.patch = "hostUri name info",
	.exists =
	    (const struct rest_exists[]){
		{ "code", "err_broker_network_exist" }, { 0 } },
	.help = "networks.",
	.limit = network_limit,
	.may = network_may,
	.before_add = end_before_add,
	.after_add = end_after_add,
	.before_patch = end_before_patch,
	.after_patch = end_after_patch,
	.after_del = end_after_del,
};
