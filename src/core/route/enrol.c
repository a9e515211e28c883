/*
 * core/route/enrol.c - see enrol.h.
 */
#include "core/route/enrol.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/rand.h"

#include <sodium.h>
#include <string.h>

#define LOG_MODULE "broker"

/* It is a level of topics, and a child's address has ":" behind it. */
static bool
is_id(struct str id)
{
	for (size_t i = 0; i < id.len; i++)
		if ((unsigned char)id.ptr[i] < ' ' ||
		    memchr("/+#:", id.ptr[i], 4) != NULL)
			return false;
	return id.len > 0 && id.len <= ENROL_ID_MAX && str_is_utf8(id) &&
	    str_trim(id).len == id.len;
}

bool
enrol_user(
    struct str user, struct str *unit, struct str *gateway, struct str *id)
{
	*id = user;
	(void)str_cut(id, '.');
	*unit = str_cut(id, '.');
	*gateway = str_cut(id, '.');
	return unit->len > 0 && gateway->len > 0 && is_id(*id);
}

static bool
is_edge(struct arena *a, struct str provider)
{
	struct str key, type = STR_NULL;
	struct json j;

	json_open(&j, provider, 0, a);
	if (json_object(&j))
		while (json_member(&j, &key)) {
			if (str_eq_nocase(key, STR("type")) &&
			    json_peek(&j) == JSON_STRING)
				(void)json_str(&j, &type);
			else
				(void)json_skip(&j);
		}
	return str_eq_nocase(type, STR(ROUTE_EDGE));
}

bool
enrol_gateway(
    struct route *r, struct arena *a, struct str id, struct route_gateway *ret)
{
	struct filter f = { 0 };
	bool found = false;

	filter_text(&f, "id", id);
	return store_get(r->store, &route_gateway_entity, &f, a, ret, &found,
		   NULL) == 0 &&
	    found && is_edge(a, ret->provider);
}

/* The gateway's account, and its row. */
static bool
find_gateway(struct route *r, struct arena *a, struct str unit,
    struct str gateway, struct route_account *account,
    struct route_gateway *row)
{
	struct filter f = { 0 };
	bool found = false;

	filter_text(&f, "userName",
	    arena_printf(a, "network." STR_FMT "." STR_FMT, STR_ARG(unit),
		STR_ARG(gateway)));
	return store_get(r->store, &route_account_entity, &f, a, account,
		   &found, NULL) == 0 &&
	    found && account->network_id.ptr != NULL &&
	    enrol_gateway(r, a, account->network_id, row);
}

static bool
is_secret(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] <= ' ' ||
		    (unsigned char)s.ptr[i] > '~')
			return false;
	return s.len >= ENROL_SECRET_MIN;
}

/* It has been drawn by a machine, so it need not cost to try it. */
static struct str
hash_of(struct arena *a, struct str secret)
{
	unsigned char out[32];
	char hex[65];

	crypto_generichash(out, sizeof(out), (const unsigned char *)secret.ptr,
	    secret.len, NULL, 0);
	sodium_bin2hex(hex, sizeof(hex), out, sizeof(out));
	return arena_str(a, str_of(hex));
}

static bool
is_same(struct str hash, struct str other)
{
	return hash.len == other.len && hash.len > 0 &&
	    sodium_memcmp(hash.ptr, other.ptr, hash.len) == 0;
}

static int
get(struct route *r, struct arena *a, struct str gateway_id, struct str addr,
    struct route_enrolment *ret, bool *found)
{
	struct filter f = { 0 };

	filter_text(&f, "gatewayId", gateway_id);
	filter_text(&f, "networkAddr", addr);
	return store_get(
	    r->store, &route_enrolment_entity, &f, a, ret, found, NULL);
}

/* A device that has no row yet. */
static int
enrol(struct route *r, struct arena *a, const struct route_gateway *gateway,
    struct str id, struct str hash, struct route_enrolment *ret)
{
	struct err err;
	bool found = false;
	int rc;

	*ret = (struct route_enrolment){ .id = rand_id(a, clock_now(), ID_LONG),
		.unit_id = gateway->unit_id,
		.gateway_id = gateway->id,
		.addr = arena_lower(a, id),
		.name = id,
		.secret = hash,
		.created_at = clock_now() };
	rc = store_add(r->store, &route_enrolment_entity, ret, &err);
	if (rc == ERR_EXISTS) /* somebody was quicker: was it the same? */
		return get(r, a, gateway->id, arena_lower(a, id), ret,
			   &found) == 0 &&
		    found && is_same(ret->secret, hash);
	if (rc != 0) {
		log_error("a device can not be enrolled: %s", err.text);
		return 0;
	}
	log_info(STR_FMT " has enrolled at the gateway " STR_FMT "." STR_FMT,
	    STR_ARG(id), STR_ARG(gateway->unit_code), STR_ARG(gateway->code));
	return 1;
}

int
enrol_check(struct route *r, struct arena *a, const struct enrol_claim *c,
    enrol_password *fits, void *ctx, struct route_enrolment *ret)
{
	struct str unit, code, id, key = c->password, secret, hash = STR("");
	struct route_account account;
	struct route_gateway gateway;
	bool found = false;

	if (!enrol_user(c->user, &unit, &code, &id) ||
	    !find_gateway(r, a, unit, code, &account, &gateway))
		return 0;
	if (!c->certified) {
		secret = str_cut(&key, ':');
		if (!is_secret(secret))
			return 0;
		hash = hash_of(a, secret);
	}
	if (get(r, a, gateway.id, arena_lower(a, id), ret, &found) != 0)
		return 0;
	if (found && !str_eq(ret->name, id))
		return 0; /* its topics are of the other spelling */
	if (found && (c->certified || is_same(ret->secret, hash)))
		return 1;
	if (found) {
		log_info(STR_FMT
		    " at the gateway " STR_FMT "." STR_FMT
		    " shows another secret than when it enrolled; if it "
		    "was set up anew, its enrolment must be deleted",
		    STR_ARG(id), STR_ARG(unit), STR_ARG(code));
		return 0;
	}
	if (!c->certified && (key.len == 0 || !fits(ctx, &account, key)))
		return 0;
	return enrol(r, a, &gateway, id, hash, ret);
}
