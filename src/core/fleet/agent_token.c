/*
 * core/fleet/agent_token.c - what agents come in with.
 *
 * A token lets new devices into its unit, as many and as long as it says; those
 * that are known come by it until it is revoked. Of tokens only hashes are
 * kept: they are random, and need no slow ones. Those that Thymis has written
 * into images can be taken over.
 *
 * A device without a token may ask for a claim code, which a person types here:
 * then it gets a token of its own. Claims lie in memory, and end after a while.
 *
 * An access token opens tunnels to one device, for `marram fleet access`.
 */
#include "core/fleet/agent.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/rand.h"
#include "codec/ssh_key.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "marram-agent-"
#define RANDOM_LEN 43 /* letters: 256 bits */
#define GIVEN_MIN 32
#define GIVEN_MAX 512
#define CLAIM_MS ((int64_t)15 * 60 * 1000)
#define CLAIM_TOKEN_MS ((int64_t)3600 * 1000)
#define CLAIMS_MAX 1000
#define CLAIMS_OF_ADDRESS 20
#define CLAIM_POLL_S 3
#define CODE_LEN 8
#define ACCESS_MS ((int64_t)12 * 3600 * 1000)
#define ACCESS_MAX_MS ((int64_t)90 * 24 * 3600 * 1000)

/* --- tokens of agents ----------------------------------------------------- */

#define T struct fleet_agent_token
static const struct field token_fields[] = {
	F_TEXT(T, id, "id", .max = 64, .help = "Identifies the token."),
	F_TEXT(T, unit_id, "unitId", .help = "The unit its devices come into."),
	F_TEXT(T, name, "name", .def = "\"\"", .max = 255,
	    .help = "What people call it."),
	F_TEXT(T, hash, "hash", .flags = FIELD_SECRET,
	    .help = "SHA-256 of the token."),
	F_TEXT(
	    T, hint, "hint", .def = "\"\"", .help = "Its last four letters."),
	F_TEXT(T, config, "config", .def = "\"\"", .max = 63,
	    .help = "The configuration that new devices are to have; empty: "
		    "none yet."),
	F_BOOL(T, approval, "approval", .def = "false",
	    .help = "New devices wait for somebody's approval, and get no "
		    "secrets before."),
	F_BOOL(T, revoked, "revoked", .def = "false",
	    .help = "Nobody comes in by it any more, and who is in by it is "
		    "put out."),
	F_INT(T, uses_max, "usesMax", .def = "0", .min = 0, .max = 1000000000,
	    .help = "How many devices may enrol with it; 0: any number."),
	F_INT(T, uses, "uses", .def = "0", .help = "How many have."),
	F_TIME(T, expires_at, "expiresAt", .flags = FIELD_NULL,
	    .help = "Until when new devices may; null: for ever."),
	F_TIME(T, last_used, "lastUsed", .flags = FIELD_NULL,
	    .help = "When a device last enrolled with it."),
	F_TIME(T, created_at, "createdAt"),
	F_TIME(T, modified_at, "modifiedOn", .flags = FIELD_NULL),
	{ 0 },
};
const struct entity fleet_agent_token_entity = {
	.record = { "fleetAgentToken", sizeof(T), token_fields },
	.table = "agent_token",
	.version = 1,
	.keys = (const struct entity_key[]){ { "id", { "id" } },
	    { "hash", { "hash" } }, { 0 } },
	.indexes =
	    (const struct entity_key[]){ { "unitId", { "unitId" } }, { 0 } },
	.help = "A token that devices enrol with.",
};

void
fleet_token_hash(struct str token, struct buf *hex)
{
	unsigned char hash[crypto_hash_sha256_BYTES];

	crypto_hash_sha256(hash, (const unsigned char *)token.ptr, token.len);
	hex_encode(hex, hash, sizeof(hash));
}

static struct str
hash_of(struct arena *a, struct str token)
{
	struct buf hex = { 0 };
	struct str ret;

	fleet_token_hash(token, &hex);
	ret = arena_str(a, buf_str(&hex));
	buf_free(&hex);
	return ret;
}

int
fleet_token_find(
    struct fleet *f, struct str token, struct arena *a, T *ret, struct err *err)
{
	struct filter by = { 0 };
	bool found;
	int rc;

	filter_text(&by, "hash", hash_of(a, token));
	rc = store_get(
	    f->store, &fleet_agent_token_entity, &by, a, ret, &found, err);
	if (rc != 0)
		return rc;
	if (!found)
		return err_set(err, ERR_DENIED, "there is no such token");
	if (ret->revoked)
		return err_set(err, ERR_DENIED, "the token was revoked");
	return fleet_unit_there(f, ret->unit_id, err);
}

int
fleet_token_good(const T *t, struct err *err)
{
	if (t->expires_at != TIME_NULL && t->expires_at <= clock_now())
		return err_set(err, ERR_DENIED,
		    "the token has expired, and the device is a new one");
	if (t->uses_max > 0 && t->uses >= t->uses_max)
		return err_set(err, ERR_DENIED,
		    "the token was used by as many devices as it is for");
	return 0;
}

static struct str
new_token(struct arena *a)
{
	char text[RANDOM_LEN + 1];

	rand_text(text, RANDOM_LEN);
	return arena_printf(a, PREFIX "%s", text);
}

struct given {
	struct str token;
};
static const struct field given_fields[] = {
	F_TEXT(struct given, token, "token", .flags = FIELD_SECRET,
	    .max = GIVEN_MAX,
	    .help = "One that is there already, as thymis-... of an image. "
		    "Left out: a new one."),
	{ 0 },
};
static const struct record given_record = { "fleetAgentTokenGiven",
	sizeof(struct given), given_fields };

static const struct field added_fields[] = {
	F_TEXT(struct given, token, "token",
	    .help = "Shown now, and never again."),
	{ 0 },
};
static const struct record added_record = { "fleetAgentTokenAdded",
	sizeof(struct given), added_fields };

static bool
token_given(struct rest *r, struct str token)
{
	bool good = token.len >= GIVEN_MIN;

	for (size_t i = 0; i < token.len; i++)
		good = good && token.ptr[i] > ' ' && token.ptr[i] < 127;
	if (!good)
		http_error(r->c, 400, "err_param",
		    "token: must be of %d letters at least, without spaces",
		    GIVEN_MIN);
	return good;
}

static void
set_token(struct arena *a, T *t, struct str token)
{
	t->hash = hash_of(a, token);
	t->hint = arena_str(a, (struct str){ token.ptr + token.len - 4, 4 });
}

static bool
before_add(struct rest *r, void *row, void *extra, void *beside)
{
	struct given *g = extra;
	struct arena *a = &r->c->arena;
	T *t = row;
	struct str token =
	    g != NULL && g->token.len > 0 ? g->token : new_token(a);

	if (!fleet_before_add(r, row, extra, beside) || !token_given(r, token))
		return false;
	set_token(a, t, token);
	r->note = arena_new(a, struct str);
	*(struct str *)r->note = token;
	return true;
}

static void
after_add(struct rest *r, const void *row, void *extra)
{
	(void)row;
	(void)extra;
	json_out_key(&r->c->json, "token");
	json_out_str(&r->c->json, *(const struct str *)r->note);
}

/* Those who are in by a token that is no more. */
static int
drop_device(void *ctx, const void *row, struct err *err)
{
	const struct fleet_device *d = row;

	(void)err;
	agent_drop(ctx, d->id, "its token was revoked");
	return 0;
}

static void
drop_devices(struct fleet *f, struct str token_id)
{
	struct filter by = { 0 };
	struct store_query q = { .filter = &by };

	filter_text(&by, "enrolledBy", token_id);
	(void)store_list(
	    f->store, &fleet_device_entity, &q, drop_device, f->agents, NULL);
}

static void
token_changed(struct rest *r, enum rest_verb verb, const void *row)
{
	const T *t = row;

	if (verb == REST_DEL || t->revoked)
		drop_devices(r->module, t->id);
}

const struct rest_object fleet_agent_token_object = {
	.name = "agent-token",
	.entity = &fleet_agent_token_entity,
	.id = "id",
	.id_len = ID_LONG,
	.shown = "id unitId name hint config approval revoked usesMax uses "
		 "expiresAt lastUsed createdAt modifiedOn",
	.filters =
	    (const struct rest_filter[]){
		{ "config", "config", COND_EQ }, { 0 } },
	.sorts = (const struct rest_sort[]){ { "name", "name" },
	    { "created", "createdAt" }, { "expires", "expiresAt" }, { 0 } },
	.sort = "created:desc",
	.add = "unitId! name config approval usesMax expiresAt",
	.add_extra = &given_record,
	.added = &added_record,
	.patch = "name config approval usesMax expiresAt revoked",
	.patch_null = "expiresAt",
	.exists =
	    (const struct rest_exists[]){
		{ "hash", "err_fleet_token_exist" }, { 0 } },
	.scope = "fleet.device",
	.help = "tokens that devices enrol with; one is shown when it is made, "
		"and only then.",
	.limit = fleet_limit,
	.may = fleet_may,
	.before_add = before_add,
	.after_add = after_add,
	.changed = token_changed,
};
#undef T

/* --- tokens for tunnels --------------------------------------------------- */

#define A struct fleet_access_token
static const struct field access_fields[] = {
	F_TEXT(A, id, "id", .max = 64),
	F_TEXT(A, unit_id, "unitId"),
	F_TEXT(A, device_id, "deviceId"),
	F_TEXT(A, hash, "hash", .flags = FIELD_SECRET),
	F_TEXT(A, user_id, "userId", .def = "\"\""),
	F_TIME(A, expires_at, "expiresAt"),
	F_TIME(A, created_at, "createdAt"),
	{ 0 },
};
const struct entity fleet_access_token_entity = {
	.record = { "fleetAccessToken", sizeof(A), access_fields },
	.table = "access_token",
	.version = 1,
	.keys = (const struct entity_key[]){ { "id", { "id" } },
	    { "hash", { "hash" } }, { 0 } },
	.indexes = (const struct entity_key[]){ { "deviceId", { "deviceId" } },
	    { 0 } },
	.refs =
	    (const struct entity_ref[]){
		{ "deviceId", "fleetDevice", "id", ENTITY_CASCADE }, { 0 } },
	.help = "A token that opens tunnels to one device.",
};

int
fleet_access_check(
    struct fleet *f, struct str secret, struct str device_id, struct err *err)
{
	struct arena a = { 0 };
	struct filter by = { 0 };
	A row;
	bool found = false;
	int rc;

	filter_text(&by, "hash", hash_of(&a, secret));
	filter_text(&by, "deviceId", device_id);
	rc = store_get(
	    f->store, &fleet_access_token_entity, &by, &a, &row, &found, err);
	if (rc == 0 && (!found || row.expires_at <= clock_now()))
		rc = err_set(err, ERR_DENIED,
		    "the token is not for this device, or has expired");
	if (rc == 0)
		rc = fleet_unit_there(f, row.unit_id, err);
	arena_fini(&a);
	return rc;
}

struct access_ask {
	int64_t seconds;
};
static const struct field access_ask_fields[] = {
	F_INT(struct access_ask, seconds, "seconds", .min = 1,
	    .max = ACCESS_MAX_MS / 1000, .def = "43200",
	    .help = "How long the token is good."),
	{ 0 },
};
static const struct record access_ask_record = { "fleetAccessAsk",
	sizeof(struct access_ask), access_ask_fields };

struct access_given {
	struct str token;
	int64_t expires_at;
};
static const struct field access_given_fields[] = {
	F_TEXT(struct access_given, token, "token",
	    .help = "Shown now, and never again."),
	F_TIME(struct access_given, expires_at, "expiresAt"),
	{ 0 },
};
static const struct record access_given_record = { "fleetAccessGiven",
	sizeof(struct access_given), access_given_fields };

static void
handle_access(struct http_call *c)
{
	struct fleet *f = (struct fleet *)c->route->ctx;
	struct arena *a = &c->arena;
	struct access_ask *ask;
	struct access_given given;
	struct rest_body b = { 0 };
	struct fleet_device d;
	struct str account;
	struct filter old = { 0 };
	A row = { 0 };
	int64_t now = clock_now();
	struct err err;

	if (!fleet_call_row(c, f, &fleet_device_entity, REST_PATCH, &d))
		return;
	b.row = ask = arena_new(a, struct access_ask);
	ask->seconds = ACCESS_MS / 1000;
	if (c->body.len > 0 && !rest_read(c, &c->route->body, NULL, &b))
		return;
	ask = b.row;
	given.token = new_token(a);
	given.expires_at =
	    now + (ask->seconds > 0 ? ask->seconds * 1000 : ACCESS_MS);
	row.id = rand_id(a, now, ID_LONG);
	row.unit_id = d.unit_id;
	row.device_id = d.id;
	row.hash = hash_of(a, given.token);
	row.user_id = STR("");
	auth_caller(c, &row.user_id, &account);
	row.expires_at = given.expires_at;
	row.created_at = now;
	filter_add(&old, "expiresAt", COND_LT, value_time(now));
	if (store_del(f->store, &fleet_access_token_entity, &old, NULL, &err) !=
		0 ||
	    store_add(f->store, &fleet_access_token_entity, &row, &err) != 0)
		rest_db_error(c, &err);
	else
		rest_answer(c, &access_given_record, &given);
}

static void
handle_access_end(struct http_call *c)
{
	struct fleet *f = (struct fleet *)c->route->ctx;
	struct filter of = { 0 };
	struct fleet_device d;
	struct err err;

	if (!fleet_call_row(c, f, &fleet_device_entity, REST_PATCH, &d))
		return;
	filter_text(&of, "deviceId", d.id);
	if (store_del(f->store, &fleet_access_token_entity, &of, NULL, &err) !=
	    0)
		rest_db_error(c, &err);
	else
		http_empty(c, 204);
}
#undef A

/* --- claims --------------------------------------------------------------- */

struct claim {
	struct list link;
	char code[CODE_LEN + 1];
	char secret[RANDOM_LEN + 1];
	struct str remote, public_key, host; /* owned */
	struct str token, unit_key;          /* owned; null: not yet */
	int64_t until;                       /* monotonic */
};

struct claims {
	pthread_mutex_t lock;
	struct list list;
	size_t n;
};

struct claims *
claims_new(void)
{
	struct claims *c = mem_new(struct claims);

	pthread_mutex_init(&c->lock, NULL);
	list_init(&c->list);
	return c;
}

static void
claim_free(struct claims *all, struct claim *c)
{
	list_del(&c->link);
	all->n--;
	if (c->token.len > 0)
		explicit_bzero((char *)c->token.ptr, c->token.len);
	str_free(c->remote);
	str_free(c->public_key);
	str_free(c->host);
	str_free(c->token);
	str_free(c->unit_key);
	free(c);
}

void
claims_free(struct claims *all)
{
	if (all == NULL)
		return;
	LIST_EACH (c, &all->list, struct claim, link)
		claim_free(all, c);
	pthread_mutex_destroy(&all->lock);
	free(all);
}

static void
drop_old(struct claims *all)
{
	int64_t now = clock_mono();

	LIST_EACH (c, &all->list, struct claim, link)
		if (c->until <= now)
			claim_free(all, c);
}

static struct claim *
by_code(struct claims *all, struct str code)
{
	char plain[CODE_LEN + 1];
	size_t n = 0;

	/* as people type it: "abcd-efgh" */
	for (size_t i = 0; i < code.len && n < CODE_LEN; i++) {
		char ch = code.ptr[i];

		if (ch >= 'a' && ch <= 'z')
			ch = (char)(ch - 'a' + 'A');
		if (ch != '-' && ch != ' ')
			plain[n++] = ch;
	}
	plain[n] = '\0';
	LIST_EACH (c, &all->list, struct claim, link)
		if (strcmp(c->code, plain) == 0)
			return c;
	return NULL;
}

static struct claim *
by_secret(struct claims *all, struct str secret)
{
	LIST_EACH (c, &all->list, struct claim, link)
		if (secret.len == RANDOM_LEN &&
		    sodium_memcmp(c->secret, secret.ptr, RANDOM_LEN) == 0)
			return c;
	return NULL;
}

/* No letters that look like others. */
static void
make_code(char code[CODE_LEN + 1])
{
	static const char letters[] = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
	unsigned char bytes[CODE_LEN];

	_Static_assert(sizeof(letters) - 1 == 32, "none is likelier");
	rand_bytes(bytes, sizeof(bytes));
	for (size_t i = 0; i < CODE_LEN; i++)
		code[i] = letters[bytes[i] % 32];
	code[CODE_LEN] = '\0';
}

struct claim_ask {
	struct str public_key, host_name, secret;
};
static const struct field claim_ask_fields[] = {
	F_TEXT(struct claim_ask, public_key, "publicKey", .max = 4096,
	    .check = check_ssh_key, .help = "The device's SSH host key."),
	F_TEXT(struct claim_ask, host_name, "hostName", .max = 255,
	    .def = "\"\"", .help = "What it calls itself."),
	F_TEXT(struct claim_ask, secret, "secret", .max = 128,
	    .flags = FIELD_SECRET,
	    .help = "What it was given when it asked first."),
	{ 0 },
};
static const struct record claim_ask_record = { "fleetClaimAsk",
	sizeof(struct claim_ask), claim_ask_fields };

/* "10.0.0.1:4711" without the port. */
static struct str
host_of(struct str remote)
{
	const char *colon =
	    remote.len > 0 ? memrchr(remote.ptr, ':', remote.len) : NULL;

	return colon != NULL
	    ? (struct str){ remote.ptr, (size_t)(colon - remote.ptr) }
	    : remote;
}

/* NULL: there are too many. */
static struct claim *
claim_new(struct claims *all, struct str remote, const struct claim_ask *ask)
{
	struct claim *c;
	size_t same = 0;

	LIST_EACH (old, &all->list, struct claim, link)
		same += str_eq(old->remote, remote);
	if (all->n >= CLAIMS_MAX || same >= CLAIMS_OF_ADDRESS)
		return NULL;
	c = mem_new(struct claim);
	do
		make_code(c->code);
	while (by_code(all, str_of(c->code)) != NULL);
	rand_text(c->secret, RANDOM_LEN);
	c->remote = str_copy(remote);
	c->public_key = str_copy(ask->public_key);
	c->host = str_copy(ask->host_name);
	c->until = clock_mono() + CLAIM_MS;
	list_add(&all->list, &c->link);
	all->n++;
	return c;
}

static void
handle_claim_begin(struct http_call *c)
{
	struct fleet *f = (struct fleet *)c->route->ctx;
	struct claims *all = f->agents->claims;
	struct rest_body b = { 0 };
	struct json_out *o;
	struct claim *k;

	if (!rest_read(c, &c->route->body, NULL, &b))
		return;
	pthread_mutex_lock(&all->lock);
	drop_old(all);
	k = claim_new(all, host_of(c->remote), b.row);
	if (k == NULL) {
		http_error(
		    c, 429, "err_rsc", "too many devices wait to be claimed");
		http_header(c, "Retry-After", STR("60"));
	} else {
		o = http_json(c, 200);
		json_out_object(o);
		json_out_key(o, "code");
		json_out_str(o,
		    arena_printf(&c->arena, "%.4s-%s", k->code, k->code + 4));
		json_out_key(o, "secret");
		json_out_str(o, arena_str(&c->arena, str_of(k->secret)));
		json_out_key(o, "expiresIn");
		json_out_int(o, CLAIM_MS / 1000);
		json_out_key(o, "interval");
		json_out_int(o, CLAIM_POLL_S);
		json_out_end_object(o);
	}
	pthread_mutex_unlock(&all->lock);
}

static void
tell_token(struct http_call *c, const struct claim *k)
{
	struct json_out *o = http_json(c, 200);

	json_out_object(o);
	json_out_key(o, "token");
	json_out_str(o, k->token);
	json_out_key(o, "publicKey");
	json_out_str(o, k->unit_key);
	json_out_end_object(o);
}

static void
handle_claim_answer(struct http_call *c)
{
	struct fleet *f = (struct fleet *)c->route->ctx;
	struct claims *all = f->agents->claims;
	const struct claim_ask *ask;
	struct rest_body b = { 0 };
	struct claim *k;

	if (!rest_read(c, &c->route->body, NULL, &b))
		return;
	ask = b.row;
	pthread_mutex_lock(&all->lock);
	drop_old(all);
	k = by_secret(all, ask->secret);
	if (k == NULL) {
		http_error(c, 404, "err_not_found",
		    "there is no such claim, or not any more");
	} else if (k->token.ptr == NULL) {
		http_empty(c, 202);
		http_header(c, "Retry-After", STR("3"));
	} else {
		tell_token(c, k); /* again, if the answer was lost */
	}
	pthread_mutex_unlock(&all->lock);
}

struct claim_take {
	struct str unit_id, code, config, name;
};
static const struct field claim_take_fields[] = {
	F_TEXT(struct claim_take, unit_id, "unitId",
	    .help = "The unit that the device comes into."),
	F_TEXT(struct claim_take, code, "code", .max = 32,
	    .help = "As the device shows it: ABCD-EFGH."),
	F_TEXT(struct claim_take, config, "config", .max = 63, .def = "\"\"",
	    .help = "The configuration that it is to have."),
	F_TEXT(struct claim_take, name, "name", .max = 255, .def = "\"\"",
	    .help = "What the token of the device is called."),
	{ 0 },
};
static const struct record claim_take_record = { "fleetClaim",
	sizeof(struct claim_take), claim_take_fields };

struct claimed {
	struct str host_name, public_key, token_id;
};
static const struct field claimed_fields[] = {
	F_TEXT(struct claimed, host_name, "hostName",
	    .help = "What the device calls itself."),
	F_TEXT(struct claimed, public_key, "sshPublicKey",
	    .help = "Its SSH host key."),
	F_TEXT(struct claimed, token_id, "tokenId",
	    .help = "The token that it was given."),
	{ 0 },
};
static const struct record claimed_record = { "fleetClaimed",
	sizeof(struct claimed), claimed_fields };

static int
add_claim_token(struct fleet *f, struct arena *a, const struct claim_take *take,
    struct str token, struct str *id, struct err *err)
{
	int64_t now = clock_now();
	struct fleet_agent_token t = {
		.id = rand_id(a, now, ID_LONG),
		.unit_id = take->unit_id,
		.name = take->name.len > 0
		    ? take->name
		    : arena_printf(a, "claim " STR_FMT, STR_ARG(take->code)),
		.config = take->config.ptr != NULL ? take->config : STR(""),
		.uses_max = 1,
		.expires_at = now + CLAIM_TOKEN_MS,
		.last_used = TIME_NULL,
		.created_at = now,
		.modified_at = TIME_NULL,
	};

	set_token(a, &t, token);
	*id = t.id;
	return store_add(f->store, &fleet_agent_token_entity, &t, err);
}

static void
handle_claim(struct http_call *c)
{
	struct fleet *f = (struct fleet *)c->route->ctx;
	struct claims *all = f->agents->claims;
	struct arena *a = &c->arena;
	const struct claim_take *take;
	struct claimed done = { 0 };
	struct rest_body b = { 0 };
	struct str token = new_token(a), unit_key;
	const char *path;
	struct claim *k;
	struct err err;

	if (!rest_read(c, &c->route->body, NULL, &b))
		return;
	take = b.row;
	if (route_unit_exists(f->route, take->unit_id, NULL) != 1 ||
	    (!auth_is(c, HTTP_ROLE_ADMIN | HTTP_ROLE_MANAGER) &&
		route_may_unit(f->route, c, take->unit_id, REST_ADD) != 1)) {
		if (c->status == 0)
			http_error(c, 400, "err_fleet_unit_not_exist", NULL);
		return;
	}
	if (fleet_unit_key(f, take->unit_id, a, &path, &unit_key, &err) != 0) {
		rest_db_error(c, &err);
		return;
	}
	pthread_mutex_lock(&all->lock);
	drop_old(all);
	k = by_code(all, take->code);
	if (k == NULL || k->token.ptr != NULL)
		http_error(c, 404, "err_not_found",
		    "no device shows this code, or not any more");
	else if (add_claim_token(f, a, take, token, &done.token_id, &err) != 0)
		rest_db_error(c, &err);
	else {
		k->token = str_copy(token);
		k->unit_key = str_copy(unit_key);
		done.host_name = arena_str(a, k->host);
		done.public_key = arena_str(a, k->public_key);
		rest_answer(c, &claimed_record, &done);
	}
	pthread_mutex_unlock(&all->lock);
}

/* --- the key of the unit, for who has a token ----------------------------- */

static void
handle_unit_key(struct http_call *c)
{
	struct fleet *f = (struct fleet *)c->route->ctx;
	struct str rest = c->authorization, key;
	struct fleet_agent_token t;
	const char *path;
	struct err err;
	int rc;

	if (rest.ptr == NULL || c->many_authorizations ||
	    !str_eq_nocase(str_cut(&rest, ' '), STR("Bearer")) ||
	    rest.ptr == NULL) {
		http_error(c, 401, "err_auth", "a token of agents is missing");
		return;
	}
	rc = fleet_token_find(f, str_trim(rest), &c->arena, &t, &err);
	if (rc == ERR_DENIED) {
		http_error(c, 401, "err_auth", "%s", err.text);
		return;
	}
	if (rc == 0)
		rc = fleet_unit_key(f, t.unit_id, &c->arena, &path, &key, &err);
	if (rc != 0) {
		rest_db_error(c, &err);
		return;
	}
	http_json(c, 200);
	json_out_object(&c->json);
	json_out_key(&c->json, "publicKey");
	json_out_str(&c->json, key);
	json_out_end_object(&c->json);
}

/* --- routes --------------------------------------------------------------- */

static const struct http_route open_rows[] = {
	{ "POST", "/agent/claim", HTTP_OPEN,
	    .body = { .record = &claim_ask_record,
		.members = "publicKey! hostName",
		.plain = true },
	    .handle = handle_claim_begin, .body_max = 8192,
	    .help = "A device without a token asks for a code that a person "
		    "types at /fleet/api/v1/claim." },
	{ "POST", "/agent/claim/answer", HTTP_OPEN,
	    .body = { .record = &claim_ask_record,
		.members = "secret!",
		.plain = true },
	    .handle = handle_claim_answer, .body_max = 8192,
	    .help = "Has somebody? 202: not yet; 200: here is its token." },
	{ "GET", "/agent/key", HTTP_OPEN, .handle = handle_unit_key,
	    .reply = { .record = &claim_ask_record,
		.members = "publicKey",
		.plain = true },
	    .help = "The public key that the platform signs in with, for who "
		    "has a token of agents (as a bearer token)." },
	{ 0 },
};

static const struct http_route api_rows[] = {
	{ "POST", "/claim", HTTP_TOKEN, .scope = "fleet.device.post.claim",
	    .body = { .record = &claim_take_record,
		.members = "unitId! code! config name" },
	    .reply = { .record = &claimed_record }, .handle = handle_claim,
	    .help = "Takes a device that shows a code into a unit." },
	{ "POST", "/device/{id}/access", HTTP_TOKEN,
	    .scope = "fleet.device.post.access",
	    .body = { .record = &access_ask_record, .members = "seconds" },
	    .reply = { .record = &access_given_record },
	    .handle = handle_access,
	    .help = "A token that opens tunnels to the device, for "
		    "`marram fleet access`." },
	{ "DELETE", "/device/{id}/access", HTTP_TOKEN,
	    .scope = "fleet.device.delete.access", .handle = handle_access_end,
	    .help = "Ends all such tokens of the device." },
	{ 0 },
};

void
fleet_token_routes(struct fleet *f, http_add_routes *add, void *ctx)
{
	struct rest_mounts *m = f != NULL ? &f->mounts : NULL;
	struct store *s = f != NULL ? f->store : NULL;

	rest_mount(m, &fleet_agent_token_object, FLEET_API, s, f, 0, add, ctx);
	rest_mount_rows(m, open_rows, "", f, add, ctx);
	rest_mount_rows(m, api_rows, FLEET_API, f, add, ctx);
}
