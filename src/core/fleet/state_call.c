/*
 * core/fleet/state_call.c - what calls about the state of a unit have alike.
 */
#include "core/fleet/state.h"

#include <sodium.h>
#include <string.h>

static const struct field unit_fields[] = {
	FLEET_UNIT_QUERY(struct fleet_unit_query),
	{ 0 },
};
const struct record fleet_unit_query = { "fleetUnit",
	sizeof(struct fleet_unit_query), unit_fields };

void
fleet_state_error(struct http_call *c, const struct err *err)
{
	switch (err->code) {
	case ERR_PARAM:
	case ERR_LIMIT:
		http_error(c, 400, "err_param", "%s", err->text);
		return;
	case ERR_EXISTS:
		http_error(c, 409, "err_exists", "%s", err->text);
		return;
	case ERR_NOT_FOUND:
		http_error(c, 404, "err_not_found", "%s", err->text);
		return;
	case ERR_DENIED:
		http_error(c, 400, "err_fleet_connected", "%s", err->text);
		return;
	case ERR_AGAIN:
		http_error(c, 409, "err_fleet_busy", "%s", err->text);
		return;
	default:
		http_error(c, 503, "err_rsc", "%s", err->text);
	}
}

bool
fleet_call_repo(
    struct http_call *c, enum rest_verb verb, struct fleet_repo **ret)
{
	struct fleet *f = (struct fleet *)(uintptr_t)c->route->ctx;
	struct str unit;
	struct err err;

	if (!fleet_call_unit(f, c, verb, &unit))
		return false;
	if (fleet_repo_take(f, unit, ret, &err) == 0)
		return true;
	fleet_state_error(c, &err);
	return false;
}

struct repo_person
fleet_author(struct http_call *c)
{
	const struct auth_who *who = auth_who(c);
	struct str account = who != NULL ? who->account : STR("unknown");
	struct str name = who != NULL ? who->name : STR_NULL;
	bool is_mail =
	    account.len > 0 && memchr(account.ptr, '@', account.len) != NULL;

	return (struct repo_person){
		.name = name.len > 0 ? name : account,
		.email = is_mail ? account
				 : arena_printf(&c->arena, STR_FMT "@localhost",
				       STR_ARG(account)),
	};
}

void
fleet_faults_put(struct json_out *o, const struct fleet_repo *r)
{
	json_out_key(o, "faults");
	json_out_raw(o, r->faults.len > 0 ? buf_str(&r->faults) : STR("[]"));
}

struct str
fleet_etag(struct arena *a, struct str text)
{
	unsigned char sum[16];
	char hex[2 * sizeof(sum) + 1];

	(void)crypto_generichash(sum, sizeof(sum),
	    (const unsigned char *)text.ptr, text.len, NULL, 0);
	sodium_bin2hex(hex, sizeof(hex), sum, sizeof(sum));
	return arena_printf(a, "\"%s\"", hex);
}

bool
fleet_if_match(struct http_call *c, struct str etag)
{
	if (c->if_match.len == 0 || str_eqz(c->if_match, "*") ||
	    str_eq(c->if_match, etag))
		return true;
	http_error(c, 412, "err_changed",
	    "it was changed since: read it again, then change that");
	return false;
}

bool
fleet_paging(struct http_call *c, int64_t *offset, int64_t *limit, bool *bare)
{
	struct str skip = http_query(c, "offset"),
		   most = http_query(c, "limit"),
		   format = http_query(c, "format");

	*offset = 0;
	*limit = 100;
	*bare = str_eqz(format, "array");
	if ((skip.len > 0 && (!str_to_i64(skip, offset) || *offset < 0)) ||
	    (most.len > 0 && (!str_to_i64(most, limit) || *limit < 0)))
		http_error(c, 400, "err_param",
		    "offset and limit must be whole numbers");
	else if (http_query(c, "sort").len > 0)
		http_error(c, 400, "err_param",
		    "sort: this list has an order of its own");
	else if (format.len > 0 && !*bare && !str_eqz(format, "data"))
		http_error(
		    c, 400, "err_param", "format: must be data or array");
	else
		return true;
	return false;
}

struct json_out *
fleet_list(struct http_call *c, bool bare)
{
	struct json_out *o = http_json(c, 200);

	if (!bare) {
		json_out_object(o);
		json_out_key(o, "data");
	}
	json_out_array(o);
	return o;
}

void
fleet_list_end(struct http_call *c, bool bare)
{
	json_out_end_array(&c->json);
	if (!bare)
		json_out_end_object(&c->json);
}
