/*
 * core/auth/service.c - service tokens: what programs sign in with that nobody
 * sits in front of, Grafana or a script.
 *
 * A token belongs to a user and may do what he may, now: each call looks at
 * the user as he is. It can be held to some API scopes and to one unit. Of the
 * token itself only a hash is kept; 256 random bits need no slow one.
 *
 * Each call would read two rows, so they are remembered:
 *
 *  (1) Whatever changes or deletes a token or a user calls auth_forget() once
 *      it is stored and before it is answered.
 *  (2) A row that was read before a change and arrives after it is not
 *      remembered: `epoch` tells.
 *  (3) What others change in the store, another process, is seen after
 *      KEEP_MS.
 *
 * Tokens are made and changed by people who signed in, never by means of a
 * service token: one that leaked would outlive its end.
 */
#include "core/auth/private.h"

#include "base/mem.h"
#include "base/rand.h"

#include <stdlib.h>
#include <string.h>

#define KEEP_MS 30000
#define KEEP_MAX 4096                 /* then all are forgotten */
#define USED_EVERY_MS (5 * 60 * 1000) /* how exact lastUsedAt is */

struct kept {
	struct arena arena;
	int64_t since; /* monotonic */
	struct auth_service token;
	struct auth_user user;
};

struct auth_services {
	pthread_mutex_t lock;
	struct map map; /* by key */
	uint64_t epoch;
};

struct auth_services *
auth_services_new(void)
{
	struct auth_services *s = mem_new(struct auth_services);

	pthread_mutex_init(&s->lock, NULL);
	return s;
}

static void
free_kept(struct kept *k)
{
	if (k == NULL)
		return;
	arena_fini(&k->arena);
	free(k);
}

static void
forget_all(struct auth_services *s)
{
	struct kept *k;
	size_t pos = 0;

	while ((k = map_next(&s->map, &pos)) != NULL)
		free_kept(k);
	map_fini(&s->map);
}

void
auth_services_free(struct auth_services *s)
{
	if (s == NULL)
		return;
	forget_all(s);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

void
auth_forget(struct auth *a)
{
	struct auth_services *s = a->services;

	pthread_mutex_lock(&s->lock);
	s->epoch++;
	forget_all(s);
	pthread_mutex_unlock(&s->lock);
}

/* --- finding ------------------------------------------------------------- */

bool
auth_is_service(struct str secret)
{
	return str_starts(secret, STR(AUTH_SERVICE_PREFIX));
}

static void
copy_pair(struct arena *a, struct auth_service *token, struct auth_user *user,
    const struct auth_service *from, const struct auth_user *from_user)
{
	record_copy(&auth_service_entity.record, a, token, from);
	record_copy(&auth_user_entity.record, a, user, from_user);
}

/* False: not remembered; then `*epoch` is for remember(). */
static bool
recall(struct auth_services *s, struct arena *a, struct str key,
    struct auth_service *t, struct auth_user *u, uint64_t *epoch)
{
	struct kept *k;
	bool fresh;

	pthread_mutex_lock(&s->lock);
	*epoch = s->epoch;
	k = map_get(&s->map, key);
	fresh = k != NULL && clock_mono() - k->since < KEEP_MS;
	if (fresh)
		copy_pair(a, t, u, &k->token, &k->user);
	pthread_mutex_unlock(&s->lock);
	return fresh;
}

static void
remember(struct auth_services *s, const struct auth_service *t,
    const struct auth_user *u, uint64_t epoch)
{
	struct kept *k = mem_new(struct kept);

	k->since = clock_mono();
	copy_pair(&k->arena, &k->token, &k->user, t, u);
	pthread_mutex_lock(&s->lock);
	if (s->epoch == epoch) {
		if (s->map.n >= KEEP_MAX)
			forget_all(s);
		k = map_put(&s->map, k->token.key, k);
	}
	pthread_mutex_unlock(&s->lock);
	free_kept(k); /* the one before, or the one that came too late */
}

/* Of two calls at once one writes. */
static bool
take_use(struct auth_services *s, struct auth_service *t, int64_t now)
{
	bool due = t->last_used_at == TIME_NULL ||
	    now - t->last_used_at >= USED_EVERY_MS;
	struct kept *k;

	if (!due)
		return false;
	pthread_mutex_lock(&s->lock);
	k = map_get(&s->map, t->key);
	if (k != NULL) {
		due = k->token.last_used_at == t->last_used_at;
		k->token.last_used_at = now;
	}
	pthread_mutex_unlock(&s->lock);
	return due;
}

/* That it can not be written is no reason to refuse the call: the store's
 * failures are told where something depends on them. */
static void
note_use(struct auth *a, struct auth_service *t, int64_t now)
{
	struct change c = { "lastUsedAt", value_time(now) };
	struct filter f = { 0 };

	if (!take_use(a->services, t, now))
		return;
	filter_text(&f, "id", t->id);
	(void)store_update(
	    a->store, &auth_service_entity, &f, &c, 1, NULL, NULL);
}

static int
read_pair(struct auth *a, struct arena *arena, struct str key,
    struct auth_service *t, struct auth_user *u, bool *found, struct err *err)
{
	struct filter f = { 0 };
	int rc;

	filter_text(&f, "key", key);
	rc =
	    store_get(a->store, &auth_service_entity, &f, arena, t, found, err);
	if (rc != 0 || !*found)
		return rc;
	return auth_get_user(a->store, arena, t->user_id, u, found, err);
}

enum auth_finding
auth_find_service(struct auth *a, struct arena *arena, struct str secret,
    struct auth_who *who, struct err *err)
{
	struct auth_service *t = arena_new(arena, struct auth_service);
	struct auth_user *u = arena_new(arena, struct auth_user);
	struct str key = auth_hash(arena, secret);
	int64_t now = clock_now();
	uint64_t epoch;
	bool found;

	if (!recall(a->services, arena, key, t, u, &epoch)) {
		if (read_pair(a, arena, key, t, u, &found, err) != 0)
			return AUTH_DB_FAILED;
		if (!found)
			return AUTH_NO_TOKEN;
		remember(a->services, t, u, epoch);
	}
	if (!t->never_expire && t->expires_on <= now)
		return AUTH_NO_TOKEN;
	if (!auth_user_active(u, now))
		return AUTH_USER_OFF;
	note_use(a, t, now);
	*who = (struct auth_who){ .user_id = u->user_id,
		.account = u->account,
		.name = u->name,
		.roles = u->roles,
		.role_bits = auth_role_bits(u->roles),
		.client_id = t->id,
		.scopes = t->granted,
		.service = true,
		.api_scopes = t->scopes,
		.unit_id = t->unit_id };
	if (who->unit_id.ptr != NULL) {
		/* a role reaches beyond the unit */
		who->every_unit =
		    (who->role_bits & (HTTP_ROLE_ADMIN | HTTP_ROLE_MANAGER)) !=
		    0;
		who->role_bits = 0;
		who->roles = STR("{}");
	}
	return AUTH_FOUND;
}

/* --- the object ---------------------------------------------------------- */

static bool
deny(struct http_call *c, const char *why)
{
	http_error(c, 403, "err_perm", "%s", why);
	return false;
}

static bool
bad(struct rest *r, const char *why)
{
	http_error(r->c, 400, "err_param", "%s", why);
	return false;
}

static bool
by_person(struct rest *r)
{
	return !auth_who(r->c)->service ||
	    deny(r->c, "service tokens are managed by whoever signs in");
}

static bool
scopes_known(struct rest *r, struct strs scopes)
{
	const struct auth *a = r->module;

	for (size_t i = 0; i < scopes.n; i++)
		if (map_get(&a->known, scopes.at[i]) == NULL) {
			http_error(r->c, 400, "err_param",
			    "`scopes`: there is no API scope \"" STR_FMT
			    "\"; /openapi.json has them",
			    STR_ARG(scopes.at[i]));
			return false;
		}
	return true;
}

/* A token without an end is one on purpose. */
static bool
end_fits(struct rest *r, const struct auth_service *t)
{
	if (t->never_expire)
		return t->expires_on == TIME_NULL ||
		    bad(r, "`neverExpire` and `expiresOn` exclude each other");
	if (t->expires_on == TIME_NULL)
		return bad(r,
		    "say when it ends: `expiresOn`, or "
		    "`neverExpire`: true");
	return t->expires_on > r->c->came_at ||
	    bad(r, "`expiresOn` has gone by");
}

static bool
owner_fits(struct rest *r, struct auth_service *t)
{
	struct err err;
	int rc;

	if (t->user_id.ptr == NULL ||
	    str_eq(t->user_id, auth_who(r->c)->user_id)) {
		t->user_id = auth_who(r->c)->user_id;
		return true;
	}
	if (!auth_is(r->c, HTTP_ROLE_ADMIN))
		return deny(r->c, "only admins make tokens for others");
	rc = auth_user_exists(r->module, t->user_id, &err);
	if (rc < 0)
		rest_db_error(r->c, &err);
	else if (rc == 0)
		http_error(r->c, 400, "err_auth_user_not_exist", NULL);
	return rc == 1;
}

static bool
unit_fits(struct rest *r, const struct auth_service *t)
{
	const struct auth *a = r->module;
	int may;

	if (t->unit_id.ptr == NULL)
		return true;
	may = a->may_unit == NULL
	    ? 0
	    : a->may_unit(a->may_unit_owner, r->c, t->unit_id);
	if (may == 0)
		http_error(r->c, 400, "err_broker_unit_not_exist", NULL);
	return may == 1;
}

static bool
before_add(struct rest *r, void *row, void *extra, void *beside)
{
	struct auth_service *t = row;
	struct str secret;

	(void)extra;
	(void)beside;
	if (!by_person(r) || !scopes_known(r, t->scopes) || !end_fits(r, t) ||
	    !owner_fits(r, t) || !unit_fits(r, t))
		return false;
	t->granted = auth_who(r->c)->scopes;
	secret = arena_printf(&r->c->arena, AUTH_SERVICE_PREFIX STR_FMT,
	    STR_ARG(auth_secret(&r->c->arena)));
	t->key = auth_hash(&r->c->arena, secret);
	r->note = arena_new(&r->c->arena, struct str);
	*(struct str *)r->note = secret;
	return true;
}

static int
in_add(struct rest *r, struct store *tx, const void *row, struct err *err)
{
	const struct auth_service *t = row;
	const struct auth *a = r->module;
	int64_t n, most = a->service_tokens;
	struct filter f = { 0 };
	int rc;

	filter_text(&f, "userId", t->user_id);
	rc = store_count(tx, &auth_service_entity, &f, &n, err);
	if (rc != 0 || n <= most)
		return rc;
	http_error(r->c, 400, "err_param",
	    "a user has %lld service tokens at most (auth.serviceTokens): "
	    "delete one",
	    (long long)most);
	return err_set(err, ERR_LIMIT, "too many service tokens");
}

static void
after_add(struct rest *r, const void *row, void *extra)
{
	(void)row;
	(void)extra;
	json_out_key(&r->c->json, "token");
	json_out_str(&r->c->json, *(const struct str *)r->note);
}

static bool
limit(struct rest *r, enum rest_verb verb, struct filter *f)
{
	struct str user = http_query(r->c, "user");

	(void)verb;
	if (!auth_is(r->c, HTTP_ROLE_ADMIN))
		filter_text(f, "userId", auth_who(r->c)->user_id);
	else if (user.len > 0)
		filter_text(f, "userId", user);
	return true;
}

static bool
may(struct rest *r, enum rest_verb verb, const void *row)
{
	const struct auth_service *t = row;

	(void)verb;
	return auth_is(r->c, HTTP_ROLE_ADMIN) ||
	    str_eq(t->user_id, auth_who(r->c)->user_id);
}

static bool
before_patch(struct rest *r, const void *old, void *row, field_set_t *present,
    void *extra, field_set_t extra_present, void *beside,
    field_set_t beside_present)
{
	const struct record *rec = &auth_service_entity.record;
	field_set_t end = field_bit(rec, "expiresOn");
	struct auth_service *t = row;

	(void)old;
	(void)extra;
	(void)extra_present;
	(void)beside;
	(void)beside_present;
	/* who says only one of the two means both */
	if (*present & field_bit(rec, "neverExpire") && t->never_expire &&
	    !(*present & end)) {
		t->expires_on = TIME_NULL;
		*present |= end;
	} else if (*present & end && t->expires_on != TIME_NULL &&
	    !(*present & field_bit(rec, "neverExpire"))) {
		t->never_expire = false;
		*present |= field_bit(rec, "neverExpire");
	}
	return by_person(r) && scopes_known(r, t->scopes) &&
	    (!(*present & (end | field_bit(rec, "neverExpire"))) ||
		end_fits(r, t));
}

static void
after_patch(struct rest *r, const void *old, const void *row,
    field_set_t present, void *extra, field_set_t extra_present)
{
	(void)old;
	(void)row;
	(void)present;
	(void)extra;
	(void)extra_present;
	auth_forget(r->module);
}

static bool
before_del(struct rest *r, const void *row)
{
	(void)row;
	return by_person(r);
}

static void
after_del(struct rest *r, const void *row)
{
	(void)row;
	auth_forget(r->module);
}

struct query {
	struct str user, unit;
};

static const struct field query_fields[] = {
	F_TEXT(struct query, user, "user",
	    .help = "Tokens of this user; for administrators."),
	F_TEXT(struct query, unit, "unit",
	    .help = "Tokens that are held to this unit."),
	{ 0 },
};
static const struct record query_record = { "serviceTokenQuery",
	sizeof(struct query), query_fields };

struct added {
	struct str token;
};
static const struct field added_fields[] = {
	F_TEXT(struct added, token, "token",
	    .help = "Shown now, and never again."),
	{ 0 },
};
static const struct record added_record = { "serviceTokenAdded",
	sizeof(struct added), added_fields };

/* Any user has tokens of his own. */
const struct rest_object auth_service_object = {
	.name = "service-token",
	.entity = &auth_service_entity,
	.id = "id",
	.id_len = ID_SHORT,
	.shown = "id userId unitId name description scopes neverExpire "
		 "expiresOn labels createdAt modifiedAt lastUsedAt",
	.filters = (const struct rest_filter[]){ { "unit", "unitId", COND_EQ },
	    { 0 } },
	.query = &query_record,
	.sorts = (const struct rest_sort[]){ { "name", "name" },
	    { "created", "createdAt" }, { "expires", "expiresOn" },
	    { "used", "lastUsedAt" }, { 0 } },
	.sort = "name:asc",
	.add = "name! description scopes userId unitId neverExpire expiresOn "
	       "labels",
	.patch = "name description scopes neverExpire expiresOn labels",
	.patch_null = "expiresOn",
	.added = &added_record,
	.help = "tokens for programs; one is shown when it is made, and only "
		"then.",
	.limit = limit,
	.may = may,
	.before_add = before_add,
	.in_add = in_add,
	.after_add = after_add,
	.before_patch = before_patch,
	.after_patch = after_patch,
	.before_del = before_del,
	.after_del = after_del,
};
