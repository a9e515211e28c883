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
#define THUMBPRINT_LEN 20 /* bytes of SHA-1 */

/* It is a level of topics, and a child's address has ":" behind it. */
bool
enrol_is_id(struct str id)
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
	return unit->len > 0 && gateway->len > 0 && enrol_is_id(*id);
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

/* What a device has shown, as rows have it. */
struct proof {
	struct str secret, cert_key, thumbprint; /* "": it has not */
	bool certified;
};

static bool
is_proven(const struct route_enrolment *row, const struct proof *p)
{
	return p->certified || is_same(row->secret, p->secret) ||
	    is_same(row->cert_key, p->cert_key) ||
	    (row->cert_key.len == 0 && is_same(row->thumbprint, p->thumbprint));
}

/* A new certificate of the same key, or the first of a thumbprint that was
 * noted before. */
static void
note_certificate(
    struct route *r, const struct route_enrolment *row, const struct proof *p)
{
	const struct change now[] = {
		{ "certKey", value_text(p->cert_key) },
		{ "thumbprint", value_text(p->thumbprint) },
	};
	struct filter f = { 0 };
	struct err err;

	if (p->cert_key.len == 0 ||
	    (row->cert_key.len > 0 && !str_eq(row->cert_key, p->cert_key)) ||
	    (row->cert_key.len == 0 && row->thumbprint.len == 0) ||
	    (row->cert_key.len > 0 && str_eq(row->thumbprint, p->thumbprint)))
		return;
	filter_text(&f, "id", row->id);
	if (store_update(r->store, &route_enrolment_entity, &f, now,
		COUNT_OF(now), NULL, &err) != 0)
		log_error("the certificate of " STR_FMT " can not be noted: %s",
		    STR_ARG(row->name), err.text);
}

/* Who looks on hears of it, without its secret. */
static void
tell(struct route *r, const struct route_enrolment *row)
{
	const struct route_tap *tap = &r->tap;
	struct route_enrolment shown = *row;
	struct buf b = { 0 };
	struct json_out out;

	if (tap->told == NULL || !tap->listens(tap->owner))
		return;
	shown.secret = row->secret.len > 0 ? STR("***") : STR("");
	json_out_init(&out, &b, false);
	record_to_json(&out, &route_enrolment_entity.record, FIELD_ALL, &shown);
	tap->told(tap->owner,
	    &(struct route_told){
		"enrolment", "created", row->unit_id, row->id, buf_str(&b) });
	buf_free(&b);
}

/* A device that has no row yet. */
static int
enrol(struct route *r, struct arena *a, const struct route_gateway *gateway,
    struct str id, const struct proof *p, struct route_enrolment *ret)
{
	/* who signs certificates may revoke them, too */
	bool pinned = p->secret.len == 0 && !p->certified;
	struct err err;
	bool found = false;
	int rc;

	*ret = (struct route_enrolment){ .id = rand_id(a, clock_now(), ID_LONG),
		.unit_id = gateway->unit_id,
		.gateway_id = gateway->id,
		.addr = arena_lower(a, id),
		.name = id,
		.secret = p->secret,
		.cert_key = pinned ? p->cert_key : STR(""),
		.thumbprint = pinned ? p->thumbprint : STR(""),
		.created_at = clock_now() };
	rc = store_add(r->store, &route_enrolment_entity, ret, &err);
	if (rc == ERR_EXISTS) /* somebody was quicker: was it the same? */
		return get(r, a, gateway->id, arena_lower(a, id), ret,
			   &found) == 0 &&
		    found && !ret->blocked && is_proven(ret, p);
	if (rc != 0) {
		log_error("a device can not be enrolled: %s", err.text);
		return 0;
	}
	log_info(STR_FMT " has enrolled at the gateway " STR_FMT "." STR_FMT,
	    STR_ARG(id), STR_ARG(gateway->unit_code), STR_ARG(gateway->code));
	tell(r, ret);
	return 1;
}

int
enrol_check(struct route *r, struct arena *a, const struct enrol_claim *c,
    enrol_password *fits, void *ctx, struct route_enrolment *ret)
{
	struct str unit, code, id, key = c->password, secret;
	struct proof p = { STR(""), c->cert_key, c->thumbprint, c->certified };
	struct route_account account;
	struct route_gateway gateway;
	bool found = false;

	if (!enrol_user(c->user, &unit, &code, &id) ||
	    !find_gateway(r, a, unit, code, &account, &gateway))
		return 0;
	if (!c->certified) {
		secret = str_cut(&key, ':');
		if (secret.len > 0 ? !is_secret(secret) : p.cert_key.len == 0)
			return 0;
		if (secret.len > 0)
			p.secret = hash_of(a, secret);
	}
	if (get(r, a, gateway.id, arena_lower(a, id), ret, &found) != 0)
		return 0;
	if (found && !str_eq(ret->name, id))
		return 0; /* its topics are of the other spelling */
	if (found && ret->blocked) {
		log_info(STR_FMT " at the gateway " STR_FMT "." STR_FMT
				 " is blocked",
		    STR_ARG(id), STR_ARG(unit), STR_ARG(code));
		return 0;
	}
	if (found && is_proven(ret, &p)) {
		note_certificate(r, ret, &p);
		return 1;
	}
	if (found) {
		log_info(STR_FMT
		    " at the gateway " STR_FMT "." STR_FMT
		    " shows another %s than when it enrolled; if it "
		    "was set up anew, its enrolment must be deleted",
		    STR_ARG(id), STR_ARG(unit), STR_ARG(code),
		    p.secret.len > 0 ? "secret" : "certificate");
		return 0;
	}
	if (!c->certified && (key.len == 0 || !fits(ctx, &account, key)))
		return 0;
	return enrol(r, a, &gateway, id, &p, ret);
}

/* As tedge cert show prints it, or openssl, with colons; ours is without. */
static struct str
thumbprint_of(struct arena *a, struct str text)
{
	struct buf b = { 0 };
	struct str ret = STR_NULL;

	for (size_t i = 0; i < text.len; i++)
		if (text.ptr[i] != ':' && text.ptr[i] != ' ')
			buf_addc(&b, text.ptr[i]);
	if (b.len == 2 * THUMBPRINT_LEN) {
		ret = arena_lower(a, buf_str(&b));
		for (size_t i = 0; i < ret.len; i++)
			if (memchr("0123456789abcdef", ret.ptr[i], 16) == NULL)
				ret = STR_NULL;
	}
	buf_free(&b);
	return ret;
}

int
route_enrolment_fill(struct route *r, struct arena *a,
    struct route_enrolment *row, struct err *err)
{
	struct route_gateway gateway;

	if (!enrol_gateway(r, a, row->gateway_id, &gateway) ||
	    !str_eq(gateway.unit_id, row->unit_id))
		return err_set(err, ERR_PARAM,
		    "gatewayId: there is no gateway of Linux devices "
		    "(marram_edge) with that id in the unit");
	if (!enrol_is_id(row->name))
		return err_set(err, ERR_PARAM,
		    "name: the id of a device has 1 to %d characters, and none "
		    "of / + # :",
		    ENROL_ID_MAX);
	row->thumbprint = thumbprint_of(a, row->thumbprint);
	if (row->thumbprint.ptr == NULL)
		return err_set(err, ERR_PARAM,
		    "thumbprint: %d hexadecimal digits are needed, as tedge "
		    "cert show prints them",
		    2 * THUMBPRINT_LEN);
	row->addr = arena_lower(a, row->name);
	row->secret = row->cert_key = STR("");
	row->created_at = clock_now();
	return 0;
}
