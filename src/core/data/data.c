/*
 * core/data/data.c - see data.h: opening, and the history over HTTP.
 */
#include "core/data/private.h"

#include "base/base.h"
#include "base/mem.h"

#include <stdatomic.h>
#include <stdlib.h>

/* --- asking -------------------------------------------------------------- */

struct data_query {
	struct str unit, device, network, addr, profile, tfield;
	int64_t tstart, tend;
	struct str user, client, method, path, status;
};

#define Q struct data_query
#define SPAN                                                                   \
	F_TEXT(                                                                \
	    Q, tfield, "tfield", .help = "Which time tstart and tend mean."),  \
	    F_INT(Q, tstart, "tstart",                                         \
		.help = "From when on, in ms since 1970."),                    \
	    F_INT(Q, tend, "tend", .help = "Until when, in ms since 1970.")

static const struct field row_query_fields[] = {
	F_TEXT(Q, unit, "unit",
	    .help = "Records of this unit; administrators may leave it out."),
	F_TEXT(Q, device, "device", .help = "Of the device with this id."),
	F_TEXT(Q, network, "network", .help = "Of this network code."),
	F_TEXT(Q, addr, "addr", .help = "Of this address."),
	F_TEXT(Q, profile, "profile", .help = "Of this profile."),
	SPAN,
	{ 0 },
};
static const struct record row_query = { "dataQuery", sizeof(Q),
	row_query_fields };
static const struct field operation_query_fields[] = {
	F_TEXT(Q, user, "user",
	    .help = "Of the user with this id; for administrators."),
	F_TEXT(
	    Q, client, "client", .help = "By this client, or service token."),
	F_TEXT(Q, method, "method", .help = "POST, PATCH, PUT or DELETE."),
	F_TEXT(Q, path, "path", .help = "Whose path contains this text."),
	F_TEXT(Q, status, "status",
	    .help = "With this answer: 204, or 4xx for 400 to 499."),
	SPAN,
	{ 0 },
};
static const struct record operation_query = { "opdataQuery", sizeof(Q),
	operation_query_fields };

/* The field that `tfield` names: one of the sort keys that is a time. */
static const char *
time_field(const struct rest *r, struct str name)
{
	for (const struct rest_sort *s = r->o->sorts; s->param != NULL; s++) {
		const struct field *f = field_find(
		    &r->o->entity->record, str_of(s->field), NULL, NULL);

		if (str_eqz(name, s->param) && f->type == FIELD_TIME)
			return s->field;
	}
	return NULL;
}

static bool
limit_span(struct rest *r, struct filter *f)
{
	static const struct {
		const char *param;
		enum cond_op op;
	} ends[] = { { "tstart", COND_GE }, { "tend", COND_LE } };

	for (size_t i = 0; i < COUNT_OF(ends); i++) {
		struct str text = http_query(r->c, ends[i].param);
		struct str name = http_query(r->c, "tfield");
		const char *field;
		int64_t ms;

		if (text.len == 0)
			continue;
		if (name.len == 0) {
			http_error(r->c, 400, "err_param", "missing `tfield`");
			return false;
		}
		field = time_field(r, name);
		if (field == NULL) {
			http_error(r->c, 400, "err_param", "invalid `tfield`");
			return false;
		}
		if (!str_to_i64(text, &ms)) {
			http_error(r->c, 400, "err_param", "invalid `%s`",
			    ends[i].param);
			return false;
		}
		filter_add(f, field, ends[i].op, value_time(ms));
	}
	return true;
}

static bool
is_admin(const struct http_call *c)
{
	return auth_is(c, HTTP_ROLE_ADMIN | HTTP_ROLE_MANAGER);
}

static bool
limit_rows(struct rest *r, enum rest_verb verb, struct filter *f)
{
	struct str unit = http_query(r->c, "unit");
	struct data *d = r->module;
	int may;

	(void)verb;
	if (unit.len == 0 && !is_admin(r->c)) {
		http_error(r->c, 400, "err_param", "missing `unit`");
		return false;
	}
	if (unit.len > 0) {
		may = d->may(d->owner, r->c, unit);
		if (may == 0)
			http_error(r->c, 400, "err_data_unit_not_exist", NULL);
		if (may != 1)
			return false;
		filter_text(f, "unitId", unit);
	}
	return limit_span(r, f);
}

/* "204", or a whole class, "4xx". */
static bool
limit_status(struct rest *r, struct filter *f)
{
	struct str text = http_query(r->c, "status");
	bool class = text.len == 3 && str_ends(text, STR("xx"));
	struct str digits = { text.ptr, class ? 1 : text.len };
	int64_t n;

	if (text.len == 0)
		return true;
	if (!str_to_i64(digits, &n) || n < 1 || n > 999) {
		http_error(r->c, 400, "err_param",
		    "`status`: must be a number, or one digit and \"xx\"");
		return false;
	}
	filter_add(f, "status", COND_GE, value_int(class ? n * 100 : n));
	filter_add(f, "status", COND_LE, value_int(class ? n * 100 + 99 : n));
	return true;
}

static bool
limit_operations(struct rest *r, enum rest_verb verb, struct filter *f)
{
	struct str user = http_query(r->c, "user");
	struct data *d = r->module;
	struct err err;
	int rc;

	(void)verb;
	if (auth_who(r->c)->unit_id.ptr != NULL) {
		/* what a user did is not told apart by units */
		http_error(r->c, 403, "err_perm",
		    "the token is held to one unit; operations are of all");
		return false;
	}
	if (!is_admin(r->c)) {
		filter_text(f, "userId", auth_who(r->c)->user_id);
	} else if (user.len > 0) {
		rc = auth_user_exists(d->auth, user, &err);
		if (rc < 0)
			rest_db_error(r->c, &err);
		else if (rc == 0)
			http_error(r->c, 400, "err_data_user_not_exist", NULL);
		if (rc != 1)
			return false;
		filter_text(f, "userId", user);
	}
	return limit_status(r, f) && limit_span(r, f);
}

#define ROW_FILTERS                                                            \
	(const struct rest_filter[])                                           \
	{                                                                      \
		{ "device", "deviceId", COND_EQ },                             \
		    { "network", "networkCode", COND_EQ, .lower = true },      \
		    { "addr", "networkAddr", COND_EQ, .lower = true },         \
		    { "profile", "profile", COND_EQ },                         \
		{                                                              \
			0                                                      \
		}                                                              \
	}
#define SORT(name, field)                                                      \
	{                                                                      \
		name, field                                                    \
	}
#define PLACES                                                                 \
	SORT("network", "networkCode"), SORT("addr", "networkAddr"),           \
	{                                                                      \
		0                                                              \
	}
#define ROW_OBJECT(n, text, ...)                                               \
	{                                                                      \
		.name = n, .id = "dataId", .filters = ROW_FILTERS,             \
		.query = &row_query,                                           \
		.sorts = (const struct rest_sort[]){ __VA_ARGS__, PLACES },    \
		.sort = "proc:desc", .help = text, .limit = limit_rows         \
	}

/* `entity` is filled in when they are mounted: the objects are in a table and
 * so are their entities. */
static struct rest_object objects[DATA_KINDS] = {
	[DATA_APPLICATION_ULDATA] = ROW_OBJECT("application-uldata",
	    "uplink data that applications were given.", SORT("proc", "proc"),
	    SORT("pub", "pub"), SORT("time", "time")),
	[DATA_APPLICATION_DLDATA] = ROW_OBJECT("application-dldata",
	    "downlink data that applications sent.", SORT("proc", "proc"),
	    SORT("resp", "resp")),
	[DATA_NETWORK_ULDATA] =
	    ROW_OBJECT("network-uldata", "uplink data that networks sent.",
		SORT("proc", "proc"), SORT("time", "time")),
	[DATA_NETWORK_DLDATA] = ROW_OBJECT("network-dldata",
	    "downlink data that networks were given.", SORT("proc", "proc"),
	    SORT("pub", "pub"), SORT("resp", "resp")),
	[DATA_OPERATION] = { .name = "coremgr-opdata",
	    .id = "dataId",
	    .filters =
		(const struct rest_filter[]){ { "client", "clientId", COND_EQ },
		    { "method", "method", COND_EQ },
		    { "path", "path", COND_CONTAINS }, { 0 } },
	    .query = &operation_query,
	    .sorts = (const struct rest_sort[]){ SORT("req", "reqTime"),
		SORT("res", "resTime"), SORT("latency", "latencyMs"), { 0 } },
	    .sort = "req:desc",
	    .help = "what people did.",
	    .limit = limit_operations },
};

void
data_routes(struct data *d, http_add_routes *add, void *ctx)
{
	for (int k = 0; k < DATA_KINDS; k++) {
		objects[k].entity = data_kind_entities[k];
		rest_mount(d != NULL ? &d->mounts : NULL, &objects[k],
		    "/data/api/v1", d != NULL ? d->store : NULL, d,
		    REST_CSV | REST_NO(REST_GET) | REST_NO(REST_DEL), add, ctx);
	}
}

/* --- opening and ending -------------------------------------------------- */

int
data_open(const struct data_conf *conf, const char *dir, struct auth *auth,
    data_may_unit *may, void *owner, struct data **ret, struct err *err)
{
	struct data *d = mem_new(struct data);
	int rc;

	d->conf = *conf;
	data_reconfigure(d, conf);
	d->auth = auth;
	d->may = may;
	d->owner = owner;
	data_writer_init(d);
	rc = store_open_settings(
	    &d->conf.db, "data", dir, data_entities, &d->store, err);
	if (rc != 0) {
		data_close(d);
		return rc;
	}
	*ret = d;
	return 0;
}

void
data_close(struct data *d)
{
	if (d == NULL)
		return;
	data_stop(d);
	rest_mounts_free(&d->mounts);
	data_writer_fini(d);
	store_close(d->store);
	free(d);
}

void
data_reconfigure(struct data *d, const struct data_conf *conf)
{
	atomic_store(&d->retention_ms, conf->retention_ms);
}

struct store *
data_store(struct data *d)
{
	return d->store;
}

int
data_clean(struct data *d, struct err *err)
{
	int64_t keep = atomic_load(&d->retention_ms);
	int64_t until = clock_now() - keep;
	int rc = 0;

	if (keep == 0)
		return 0;
	for (int k = 0; rc == 0 && k < DATA_KINDS; k++) {
		struct filter f = { 0 };

		filter_add(&f, k == DATA_OPERATION ? "reqTime" : "proc",
		    COND_LT, value_time(until));
		rc = store_del(d->store, data_kind_entities[k], &f, NULL, err);
	}
	return rc;
}
