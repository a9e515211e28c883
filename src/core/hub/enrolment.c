/*
 * core/hub/enrolment.c - devices that sign in at a gateway of Linux devices,
 * over HTTP. How they are let in is decided in core/route/enrol.c.
 *
 * A row is made by the device itself, with the gateway's key, or here, by the
 * thumbprint of its certificate: then it needs no key. To delete one forgets
 * the device, which may enrol again; to block one keeps it outside.
 */
#include "core/hub/private.h"

/* --- what it is known by -------------------------------------------------- */

struct enrolment_by {
	struct str by;
};
static const char *const ways[] = { "secret", "certificate", "authority",
	NULL };
static const struct field by_fields[] = {
	F_TEXT(struct enrolment_by, by, "by", .one_of = ways,
	    .help = "What it signs in with: a secret, a certificate that is "
		    "known here, or one that is signed by who may."),
	{ 0 },
};
static const struct record by_record = { "enrolmentBy",
	sizeof(struct enrolment_by), by_fields };

static void
enrolment_more(struct rest *r, enum rest_verb verb, const void *row)
{
	const struct route_enrolment *e = row;

	(void)verb;
	json_out_key(&r->c->json, "by");
	json_out_str(&r->c->json,
	    e->secret.len > 0 ? STR("secret")
		: e->cert_key.len > 0 || e->thumbprint.len > 0
		? STR("certificate")
		: STR("authority"));
}

static void
enrolment_show(struct rest *r, enum rest_verb verb, void *row)
{
	(void)r;
	(void)verb;
	if (((struct route_enrolment *)row)->secret.len > 0)
		((struct route_enrolment *)row)->secret = STR("***");
}

static bool
enrolment_before_add(struct rest *r, void *row, void *extra, void *beside)
{
	struct hub *h = r->module;
	struct err err;
	int rc;

	if (!hub_before_add(r, row, extra, beside))
		return false;
	rc = route_enrolment_fill(h->route, &r->c->arena, row, &err);
	if (rc == ERR_PARAM)
		http_error(r->c, 400, "err_param", "%s", err.text);
	else if (rc != 0)
		rest_db_error(r->c, &err);
	return rc == 0;
}

static void
enrolment_after_del(struct rest *r, const void *row)
{
	struct hub *h = r->module;

	route_enrolment_forget(h->route, row);
}

const struct rest_object hub_enrolment_object = {
	HUB_SHARED,
	.name = "enrolment",
	.entity = &route_enrolment_entity,
	.shown = "id unitId gatewayId networkAddr name certKey thumbprint "
		 "blocked createdAt",
	.shown_more = &by_record,
	.show = enrolment_show,
	.more = enrolment_more,
	.filters = (const struct rest_filter[]){ BY("gateway", "gatewayId"),
	    { "contains", "networkAddr", COND_CONTAINS }, { 0 } },
	.sorts = (const struct rest_sort[]){ { "networkAddr", "networkAddr" },
	    { "created", "createdAt" }, { 0 } },
	.sort = "networkAddr:asc",
	.add = "unitId! gatewayId! name! thumbprint!",
	.patch = "blocked",
	.exists = (const struct rest_exists[]){ { "id", "err_hub_exist" },
	    { "address", "err_hub_exist" }, { 0 } },
	.before_add = enrolment_before_add,
	.after_del = enrolment_after_del,
	.help = "enrolments: devices that have signed in with the key of their "
		"gateway, or may by their certificate.",
};

void
enrolment_reload(struct hub *h, struct str id)
{
	route_enrolment_gone(h->route, id);
}
