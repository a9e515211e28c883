/*
 * core/fleet/secret.c - secrets: values that devices get and nobody else reads.
 *
 * A value lies in the store as a file of age for the key of its unit, which is
 * a file beside the repository: who has the database alone has no secrets. It
 * is in no list, no log and no answer, but of POST .../reveal, which the record
 * of what people did has.
 *
 * For a device it is opened, processed and sealed for the host key of that
 * device; and only if the device's configuration names it.
 */
#include "core/fleet/agent.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/rand.h"
#include "codec/age.h"
#include "core/fleet/artifact.h"

#include <crypt.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEY_FILE "id_thymis"
#define PROCESS_YESCRYPT "mkpasswd-yescrypt"
#define SALT_BYTES 16

/* --- the key of a unit ---------------------------------------------------- */

static pthread_mutex_t key_lock = PTHREAD_MUTEX_INITIALIZER;

static int
make_key(const char *path, struct str unit_id, struct ssh_private *key,
    struct err *err)
{
	struct buf text = { 0 }, line = { 0 };
	struct ssh_public public;
	char *public_path = mem_printf("%s.pub", path);
	char *comment = mem_printf("marram unit %.*s", STR_ARG(unit_id));
	int rc;

	ssh_private_make(key);
	ssh_private_public(key, &public);
	ssh_private_write(key, str_of(comment), &text);
	rc = file_create(path, buf_str(&text), 0600, err);
	if (rc == 0) {
		ssh_public_write(&public, &line);
		buf_addf(&line, " %s\n", comment);
		rc = file_write(public_path, buf_str(&line), err);
	}
	sodium_memzero(text.ptr, text.cap);
	buf_free(&text);
	buf_free(&line);
	free(public_path);
	free(comment);
	return rc;
}

static int
read_key(struct fleet *f, struct str unit_id, struct arena *a,
    const char **path, struct ssh_private *key, struct err *err)
{
	const char *file = fleet_path(f, a, unit_id, KEY_FILE);
	struct buf text = { 0 };
	int rc;

	pthread_mutex_lock(&key_lock);
	if (access(file, F_OK) < 0 && errno == ENOENT) {
		rc = make_key(file, unit_id, key, err);
	} else {
		rc = file_read(file, &text, err);
		if (rc == 0 && ssh_private_read(buf_str(&text), key, err) != 0)
			rc = err_wrap(err, "%s", file);
		if (text.ptr != NULL)
			sodium_memzero(text.ptr, text.cap);
		buf_free(&text);
	}
	pthread_mutex_unlock(&key_lock);
	*path = file;
	return rc;
}

int
fleet_unit_key(struct fleet *f, struct str unit_id, struct arena *a,
    const char **path, struct str *public_key, struct err *err)
{
	struct ssh_private key;
	struct ssh_public public;
	struct buf line = { 0 };
	int rc = read_key(f, unit_id, a, path, &key, err);

	if (rc != 0)
		return rc;
	ssh_private_public(&key, &public);
	sodium_memzero(&key, sizeof(key));
	ssh_public_write(&public, &line);
	*public_key = arena_str(a, buf_str(&line));
	buf_free(&line);
	return 0;
}

/* --- sealing and opening -------------------------------------------------- */

static int
seal(struct fleet *f, struct str unit_id, struct str value, struct arena *a,
    struct str *ret, struct err *err)
{
	struct ssh_private key;
	struct ssh_public public;
	struct buf out = { 0 };
	const char *path;
	int rc = read_key(f, unit_id, a, &path, &key, err);

	if (rc != 0)
		return rc;
	ssh_private_public(&key, &public);
	sodium_memzero(&key, sizeof(key));
	rc = age_encrypt_ssh(&public, 1, value, &out, err);
	if (rc == 0)
		*ret = arena_str(a, buf_str(&out));
	buf_free(&out);
	return rc;
}

/* Added to `out`, which the caller zeroes. */
static int
unseal(struct fleet *f, const struct fleet_secret *s, struct buf *out,
    struct err *err)
{
	struct arena a = { 0 };
	struct ssh_private key;
	const char *path;
	int rc = read_key(f, s->unit_id, &a, &path, &key, err);

	if (rc == 0)
		rc = age_decrypt_ssh(&key, s->value, out, err);
	sodium_memzero(&key, sizeof(key));
	if (rc != 0)
		rc = err_wrap(err, "secret " STR_FMT, STR_ARG(s->id));
	arena_fini(&a);
	return rc;
}

static void
wipe(struct buf *b)
{
	if (b->ptr != NULL)
		sodium_memzero(b->ptr, b->cap);
	buf_free(b);
}

/* What mkpasswd --method=yescrypt makes of it. */
static int
hash_password(struct buf *value, struct err *err)
{
	struct crypt_data *data = mem_new(struct crypt_data);
	char random[SALT_BYTES], salt[CRYPT_GENSALT_OUTPUT_SIZE];
	const char *hash = NULL;
	int rc = 0;

	rand_bytes(random, sizeof(random));
	if (memchr(value->ptr != NULL ? value->ptr : "", '\0', value->len) ==
		NULL &&
	    value->len < CRYPT_MAX_PASSPHRASE_SIZE &&
	    crypt_gensalt_rn(
		"$y$", 0, random, sizeof(random), salt, sizeof(salt)) != NULL)
		hash = crypt_rn(buf_z(value), salt, data, sizeof(*data));
	if (hash == NULL) {
		rc = err_set(
		    err, ERR_PARAM, "is no password that yescrypt takes");
	} else {
		wipe(value);
		*value = (struct buf){ 0 };
		buf_addz(value, hash);
	}
	sodium_memzero(data, sizeof(*data));
	free(data);
	return rc;
}

static int
process(const struct fleet_secret *s, struct buf *value, struct err *err)
{
	return str_eqz(s->processing, PROCESS_YESCRYPT)
	    ? hash_password(value, err)
	    : 0;
}

static int
get_secret(struct fleet *f, struct str id, struct str unit_id, struct arena *a,
    struct fleet_secret *s, struct err *err)
{
	struct filter by = { 0 };
	bool found;
	int rc;

	filter_text(&by, "id", id);
	filter_text(&by, "unitId", unit_id);
	rc = store_get(f->store, &fleet_secret_entity, &by, a, s, &found, err);
	return rc == 0 && !found
	    ? err_set(err, ERR_NOT_FOUND, "there is no secret " STR_FMT,
		  STR_ARG(id))
	    : rc;
}

/* Opened, processed, sealed for the device. */
static int
secret_for_key(struct fleet *f, const struct fleet_device *d, struct str id,
    struct arena *a, struct str *sealed, struct err *err)
{
	struct buf value = { 0 }, out = { 0 };
	struct ssh_public key;
	struct fleet_secret s;
	int rc = ssh_public_read(d->ssh_public_key, &key, err);

	if (rc != 0)
		return err_set(err, ERR_AGAIN,
		    "the device's SSH host key is not known yet");
	rc = get_secret(f, id, d->unit_id, a, &s, err);
	if (rc == 0)
		rc = unseal(f, &s, &value, err);
	if (rc == 0)
		rc = process(&s, &value, err);
	if (rc == 0)
		rc = age_encrypt_ssh(&key, 1,
		    value.len > 0 ? buf_str(&value) : STR(""), &out, err);
	if (rc == 0)
		*sealed = arena_str(a, buf_str(&out));
	wipe(&value);
	buf_free(&out);
	return rc;
}

int
fleet_secret_for(struct fleet *f, const struct fleet_device *d,
    struct str secret_id, struct arena *a, struct str *sealed, struct err *err)
{
	struct secret_use *uses;
	size_t n;
	bool named = false;
	int rc;

	if (!str_eqz(d->state, "active"))
		return err_set(err, ERR_DENIED,
		    "the device is not approved: it gets no secrets");
	rc = fleet_secret_uses(f, d, a, &uses, &n, err);
	if (rc != 0)
		return rc;
	for (size_t i = 0; i < n; i++)
		named = named || str_eq(uses[i].id, secret_id);
	if (!named)
		return err_set(err, ERR_DENIED,
		    "no configuration of the device names the secret " STR_FMT,
		    STR_ARG(secret_id));
	return secret_for_key(f, d, secret_id, a, sealed, err);
}

int
fleet_secret_open(struct fleet *f, struct str unit_id, struct str secret_id,
    struct arena *a, struct str *ret, struct err *err)
{
	struct buf value = { 0 };
	struct fleet_secret s;
	int rc = get_secret(f, secret_id, unit_id, a, &s, err);

	if (rc == 0)
		rc = unseal(f, &s, &value, err);
	if (rc == 0)
		*ret = arena_str(a, value.len > 0 ? buf_str(&value) : STR(""));
	wipe(&value);
	return rc;
}

/* --- rows ----------------------------------------------------------------- */

static const char *const types[] = { "single_line", "multi_line", "env_list",
	"file", NULL };
static const char *const processings[] = { "none", PROCESS_YESCRYPT, NULL };

#define S struct fleet_secret
static const struct field secret_fields[] = {
	F_TEXT(S, id, "id", .max = 64,
	    .help = "Identifies the secret; a UUID, as states of Thymis have "
		    "it."),
	F_TEXT(S, unit_id, "unitId", .help = "The unit it belongs to."),
	F_TEXT(S, name, "name", .max = 255, .help = "What people call it."),
	F_TEXT(S, type, "type", .def = "\"single_line\"", .one_of = types,
	    .help = "What kind of text it is; env_list: lines NAME=value."),
	F_TEXT(S, filename, "filename", .def = "\"\"", .max = 255,
	    .help = "Of a file: what it is called."),
	F_TEXT(S, processing, "processing", .def = "\"none\"",
	    .one_of = processings,
	    .help = "What devices get: the value, or its hash by yescrypt, as "
		    "a password has it."),
	F_BLOB(S, value, "value", .flags = FIELD_SECRET,
	    .help = "The value, encrypted."),
	F_INT(S, value_size, "size", .def = "0", .help = "Bytes of the value."),
	F_BOOL(S, include_in_image, "includeInImage", .def = "false",
	    .help = "It may be put into an image of its devices."),
	F_TIME(S, created_at, "createdAt"),
	F_TIME(S, modified_at, "modifiedOn", .flags = FIELD_NULL),
	{ 0 },
};
#undef S
const struct entity fleet_secret_entity = {
	.record = { "fleetSecret", sizeof(struct fleet_secret), secret_fields },
	.table = "secret",
	.version = 1,
	.keys = (const struct entity_key[]){ { "id", { "id" } }, { 0 } },
	.indexes =
	    (const struct entity_key[]){ { "unitId", { "unitId" } }, { 0 } },
	.help = "A value that devices get.",
};

struct given {
	struct str id, text, base64;
};
static const struct field given_fields[] = {
	F_TEXT(struct given, id, "id", .max = 36,
	    .help = "A UUID that a state names already; left out: a new one."),
	F_TEXT(struct given, text, "secret", .flags = FIELD_SECRET,
	    .help = "The value. It is shown to nobody."),
	F_TEXT(struct given, base64, "secretBase64", .flags = FIELD_SECRET,
	    .help = "The same in base64, for files."),
	{ 0 },
};
static const struct record given_record = { "fleetSecretGiven",
	sizeof(struct given), given_fields };
static const struct record changed_record = { "fleetSecretChanged",
	sizeof(struct given), given_fields + 1 };

static bool
refuse(struct rest *r, const char *why)
{
	http_error(r->c, 400, "err_param", "%s", why);
	return false;
}

static bool
is_env_list(struct str s)
{
	while (s.ptr != NULL && s.len > 0) {
		struct str line = str_cut(&s, '\n');
		struct str rest = line, name = str_cut(&rest, '=');

		if (line.len == 0 || line.ptr[0] == '#')
			continue;
		if (rest.ptr == NULL || name.len == 0)
			return false;
		for (size_t i = 0; i < name.len; i++) {
			char c = name.ptr[i];

			if (!((c >= 'a' && c <= 'z') ||
				(c >= 'A' && c <= 'Z') || c == '_' ||
				(i > 0 && c >= '0' && c <= '9')))
				return false;
		}
	}
	return true;
}

static bool
value_fits(struct rest *r, const struct fleet_secret *s, struct str value)
{
	const struct fleet *f = r->module;
	bool text = !str_eqz(s->type, "file");

	if (value.len > (size_t)f->conf.secret_max)
		return refuse(
		    r, "the secret is too long; see fleet.secret.max");
	if (text && !str_is_utf8(value))
		return refuse(r, "secret: must be text; use the type file");
	if (str_eqz(s->type, "single_line") && value.len > 0 &&
	    memchr(value.ptr, '\n', value.len) != NULL)
		return refuse(r, "secret: must be of one line");
	if (str_eqz(s->type, "env_list") && !is_env_list(value))
		return refuse(r, "secret: must be lines as NAME=value");
	if (str_eqz(s->processing, PROCESS_YESCRYPT) &&
	    !str_eqz(s->type, "single_line"))
		return refuse(r, "only a secret of one line can be hashed");
	return true;
}

static bool
set_value(struct rest *r, struct fleet_secret *s, struct str value)
{
	struct err err;

	if (!value_fits(r, s, value))
		return false;
	s->value_size = (int64_t)value.len;
	if (seal(r->module, s->unit_id, value, &r->c->arena, &s->value, &err) ==
	    0)
		return true;
	http_error(r->c, 500, "err_int", "%s", err.text);
	return false;
}

/* The value in the body: 1; 0: there is none; -1: answered. */
static int
given_value(struct rest *r, const struct given *g, struct str *ret)
{
	struct buf b = { 0 };
	bool good;

	if (g == NULL || (g->text.ptr == NULL && g->base64.ptr == NULL))
		return 0;
	if (g->text.ptr != NULL && g->base64.ptr != NULL) {
		(void)refuse(r, "give either secret or secretBase64");
		return -1;
	}
	*ret = g->text;
	if (g->text.ptr != NULL)
		return 1;
	good = base64_decode(&b, g->base64);
	*ret = good ? arena_str(&r->c->arena, b.len > 0 ? buf_str(&b) : STR(""))
		    : STR_NULL;
	wipe(&b);
	if (good)
		return 1;
	(void)refuse(r, "secretBase64: must be base64");
	return -1;
}

static bool
choose_id(struct rest *r, struct fleet_secret *s, struct str id)
{
	unsigned char bytes[RELAY_ID];
	char text[RELAY_ID_TEXT + 1];

	if (id.len > 0 && !relay_id_read(id, bytes))
		return refuse(r, "id: must be a UUID");
	if (id.len == 0)
		relay_id_new(bytes);
	relay_id_text(bytes, text);
	s->id = arena_str(&r->c->arena, str_of(text));
	return true;
}

static bool
before_add(struct rest *r, void *row, void *extra, void *beside)
{
	const struct given *g = extra;
	struct fleet_secret *s = row;
	struct str value;
	int rc;

	if (!fleet_before_add(r, row, extra, beside) ||
	    !choose_id(r, s, g != NULL ? g->id : STR_NULL))
		return false;
	rc = given_value(r, g, &value);
	if (rc == 0)
		return refuse(r, "secret: the value is missing");
	return rc == 1 && set_value(r, s, value);
}

static bool
before_patch(struct rest *r, const void *old, void *row, field_set_t *present,
    void *extra, field_set_t extra_present, void *beside,
    field_set_t beside_present)
{
	const struct record *rec = &fleet_secret_entity.record;
	struct fleet_secret *s = row;
	struct buf value = { 0 };
	struct str given;
	struct err err;
	bool good;
	int rc = given_value(r, extra, &given);

	(void)old;
	(void)extra_present;
	(void)beside;
	(void)beside_present;
	if (rc < 0)
		return false;
	if (rc == 1) {
		*present |= field_bit(rec, "value") | field_bit(rec, "size");
		return set_value(r, s, given);
	}
	/* the value stays; does it fit the new type? */
	if (unseal(r->module, s, &value, &err) != 0) {
		http_error(r->c, 500, "err_int", "%s", err.text);
		return false;
	}
	good = value_fits(r, s, value.len > 0 ? buf_str(&value) : STR(""));
	wipe(&value);
	return good;
}

/* Devices that have it get it anew. */
static int
push_one(void *ctx, const void *row, struct err *err)
{
	const struct fleet_device *d = row;

	(void)err;
	if (fleet_agent_is(ctx, d->id))
		fleet_secrets_push(ctx, d->id);
	return 0;
}

static void
secret_changed(struct rest *r, enum rest_verb verb, const void *row)
{
	const struct fleet_secret *s = row;
	struct fleet *f = r->module;
	struct filter of = { 0 };
	struct store_query q = { .filter = &of };

	if (verb == REST_ADD)
		return; /* nobody names it yet */
	filter_text(&of, "unitId", s->unit_id);
	filter_text(&of, "state", STR("active"));
	(void)store_list(f->store, &fleet_device_entity, &q, push_one, f, NULL);
}

const struct rest_object fleet_secret_object = {
	.name = "secret",
	.entity = &fleet_secret_entity,
	.id = "id",
	.id_len = ID_LONG,
	.shown = "id unitId name type filename processing size includeInImage "
		 "createdAt modifiedOn",
	.filters = (const struct rest_filter[]){ { "type", "type", COND_EQ },
	    { "name", "name", COND_CONTAINS }, { 0 } },
	.sorts = (const struct rest_sort[]){ { "name", "name" },
	    { "created", "createdAt" }, { 0 } },
	.sort = "name:asc",
	.add = "unitId! name! type filename processing includeInImage",
	.add_extra = &given_record,
	.patch = "name type filename processing includeInImage",
	.patch_extra = &changed_record,
	.exists =
	    (const struct rest_exists[]){
		{ "id", "err_fleet_secret_exist" }, { 0 } },
	.scope = "fleet.secret",
	.help = "values that devices get, and nobody else reads.",
	.limit = fleet_limit,
	.may = fleet_may,
	.before_add = before_add,
	.before_patch = before_patch,
	.changed = secret_changed,
};

/* --- showing one ---------------------------------------------------------- */

static void
handle_reveal(struct http_call *c)
{
	struct fleet *f = (struct fleet *)c->route->ctx;
	struct buf value = { 0 }, base64 = { 0 };
	struct json_out *o;
	struct fleet_secret s;
	struct str bytes;
	struct err err;

	if (!fleet_call_row(c, f, &fleet_secret_entity, REST_PATCH, &s))
		return;
	if (unseal(f, &s, &value, &err) != 0) {
		http_error(c, 500, "err_int", "%s", err.text);
		return;
	}
	bytes = value.len > 0 ? buf_str(&value) : STR("");
	o = rest_data(c);
	if (!str_eqz(s.type, "file")) {
		json_out_key(o, "secret");
		json_out_str(o, bytes);
	}
	base64_encode(&base64, bytes.ptr, bytes.len, false);
	json_out_key(o, "secretBase64");
	json_out_str(o, base64.len > 0 ? buf_str(&base64) : STR(""));
	rest_data_end(c);
	http_header(c, "Cache-Control", STR("no-store"));
	wipe(&value);
	wipe(&base64);
}

static const struct http_route secret_rows[] = {
	{ "POST", "/secret/{id}/reveal", HTTP_TOKEN,
	    .scope = "fleet.secret.post.reveal",
	    .reply = { .record = &changed_record }, .handle = handle_reveal,
	    .help = "Shows the value of a secret. That somebody has asked is "
		    "recorded." },
	{ 0 },
};

static void
routes(struct fleet *f, http_add_routes *add, void *ctx)
{
	struct rest_mounts *m = f != NULL ? &f->mounts : NULL;

	rest_mount(m, &fleet_secret_object, FLEET_API,
	    f != NULL ? f->store : NULL, f, 0, add, ctx);
	rest_mount_rows(m, secret_rows, FLEET_API, f, add, ctx);
	artifact_routes(f, add, ctx);
}

static const struct entity *const entities[] = { &fleet_secret_entity, NULL };

const struct fleet_part fleet_part_secret = {
	.name = "secret",
	.entities = entities,
	.routes = routes,
};
