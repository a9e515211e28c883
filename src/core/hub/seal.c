/*
 * core/hub/seal.c - secrets at rest: passwords and tokens of handlers, and of
 * whatever else has a spec, lie in the database only sealed.
 *
 * A member of a spec that its rows mark as secret is stored as the text
 * "sealed:1:" and the base64 of nonce and XChaCha20-Poly1305 box of its JSON,
 * bound to the member's name. The key is a file beside the database, or where
 * hub.keyFile says, made at the first start. Who has a copy of the database
 * alone has no secrets.
 *
 *  (1) Sealing what is sealed already changes nothing.
 *  (2) A key is never made while there is something that another one has
 *      sealed: then the old one is missing, and said to be.
 *  (3) The key does not change after hub_open(): any thread may seal.
 */
#include "core/hub/private.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "codec/json.h"

#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_MODULE "hub"

#define PREFIX "sealed:1:"
#define NONCE crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG crypto_aead_xchacha20poly1305_ietf_ABYTES

_Static_assert(sizeof(((struct hub *)0)->key) ==
	crypto_aead_xchacha20poly1305_ietf_KEYBYTES,
    "the key has the size that the cipher wants");

/* --- the key ------------------------------------------------------------- */

/* Everything that has sealed members: the column with its spec. */
static const struct {
	const struct entity *entity;
	size_t spec;
	bool network; /* it is kept beside the networks */
} sealed_rows[] = {
	{ &hub_handler_entity, offsetof(struct hub_handler, spec), false },
	{ &route_gateway_entity, offsetof(struct route_gateway, provider),
	    true },
};

struct search {
	size_t spec;
	bool found;
};

static int
look(void *ctx, const void *row, struct err *err)
{
	struct search *s = ctx;
	struct str spec =
	    *(const struct str *)(const void *)((const char *)row + s->spec);

	(void)err;
	if (spec.ptr != NULL &&
	    memmem(spec.ptr, spec.len, "\"" PREFIX, sizeof(PREFIX)) != NULL)
		s->found = true;
	return 0;
}

static int
something_is_sealed(struct hub *h, bool *ret, struct err *err)
{
	static const struct store_query all = { 0 };
	int rc = 0;

	*ret = false;
	for (size_t i = 0; rc == 0 && i < COUNT_OF(sealed_rows); i++) {
		struct search s = { sealed_rows[i].spec, false };

		rc = store_list(
		    sealed_rows[i].network ? route_store(h->route) : h->store,
		    sealed_rows[i].entity, &all, look, &s, err);
		*ret = *ret || s.found;
	}
	return rc;
}

static int
make_key(struct hub *h, struct err *err)
{
	struct buf text = { 0 };
	int rc;

	rand_bytes(h->key, sizeof(h->key));
	hex_encode(&text, h->key, sizeof(h->key));
	buf_addc(&text, '\n');
	rc = file_write(h->key_path.ptr, buf_str(&text), err);
	sodium_memzero(text.ptr, text.len);
	buf_free(&text);
	return rc;
}

static int
read_key(struct hub *h, const struct stat *st, struct err *err)
{
	struct buf text = { 0 }, key = { 0 };
	int rc = file_read(h->key_path.ptr, &text, err);

	if (rc == 0 &&
	    (!hex_decode(&key, str_trim(buf_str(&text))) ||
		key.len != sizeof(h->key)))
		rc = err_set(err, ERR_PARAM,
		    "%s: is no key; it must hold %zu hexadecimal digits",
		    h->key_path.ptr, 2 * sizeof(h->key));
	if (rc == 0)
		memcpy(h->key, key.ptr, sizeof(h->key));
	if (rc == 0 && (st->st_mode & 077) != 0)
		log_warn("%s can be read by others than its owner; chmod 600",
		    h->key_path.ptr);
	if (text.len > 0)
		sodium_memzero(text.ptr, text.len);
	if (key.len > 0)
		sodium_memzero(key.ptr, key.len);
	buf_free(&text);
	buf_free(&key);
	return rc;
}

int
seal_open(struct hub *h, const char *dir, struct err *err)
{
	struct buf path = { 0 };
	struct stat st;
	bool sealed = false;
	int rc = 0;

	if (h->conf.key_file.len == 0)
		buf_addf(&path, "%s/hub.key", dir);
	else if (h->conf.key_file.ptr[0] == '/')
		buf_add_str(&path, h->conf.key_file);
	else
		buf_addf(&path, "%s/" STR_FMT, dir, STR_ARG(h->conf.key_file));
	h->key_path = str_copy(buf_str(&path));
	buf_free(&path);
	if (stat(h->key_path.ptr, &st) == 0) {
		rc = read_key(h, &st, err);
		h->has_key = rc == 0;
		return rc != 0 ? err_wrap(err, "hub.keyFile") : 0;
	}
	rc = something_is_sealed(h, &sealed, err);
	if (rc != 0)
		return rc;
	if (sealed) {
		log_error("%s, the key of the secrets of handlers and "
			  "gateways, is gone: "
			  "they do nothing until it is back. Without it, "
			  "delete them; the next start makes a new key",
		    h->key_path.ptr);
		return 0;
	}
	rc = make_key(h, err);
	h->has_key = rc == 0;
	return rc != 0 ? err_wrap(err, "hub.keyFile") : 0;
}

void
seal_close(struct hub *h)
{
	sodium_memzero(h->key, sizeof(h->key));
	str_free(h->key_path);
}

/* --- one value ----------------------------------------------------------- */

static struct str
seal(struct hub *h, struct arena *a, struct str name, struct str json)
{
	struct buf box = { 0 }, text = { 0 };
	unsigned long long len;
	struct str s;

	buf_reserve(&box, NONCE + json.len + TAG);
	rand_bytes(box.ptr, NONCE);
	crypto_aead_xchacha20poly1305_ietf_encrypt(
	    (unsigned char *)box.ptr + NONCE, &len,
	    (const unsigned char *)json.ptr, json.len,
	    (const unsigned char *)name.ptr, name.len, NULL,
	    (const unsigned char *)box.ptr, h->key);
	box.len = NONCE + (size_t)len;
	buf_addz(&text, "\"" PREFIX);
	base64_encode(&text, box.ptr, box.len, false);
	buf_addc(&text, '"');
	s = arena_str(a, buf_str(&text));
	buf_free(&box);
	buf_free(&text);
	return s;
}

static bool
is_sealed(struct str json)
{
	return str_starts(json, STR("\"" PREFIX));
}

static bool
unseal(struct hub *h, struct arena *a, struct str name, struct str json,
    struct str *ret)
{
	struct str text = { json.ptr + sizeof(PREFIX),
		json.len - sizeof(PREFIX) - 1 };
	struct buf box = { 0 };
	unsigned long long len;
	bool good = false;
	char *out;

	if (h->has_key && base64_decode(&box, text) && box.len >= NONCE + TAG) {
		out = arena_alloc(a, box.len);
		good =
		    crypto_aead_xchacha20poly1305_ietf_decrypt(
			(unsigned char *)out, &len, NULL,
			(const unsigned char *)box.ptr + NONCE, box.len - NONCE,
			(const unsigned char *)name.ptr, name.len,
			(const unsigned char *)box.ptr, h->key) == 0;
		if (good)
			*ret = (struct str){ out, (size_t)len };
	}
	buf_free(&box);
	return good;
}

/* --- specs --------------------------------------------------------------- */

/* The row of a secret member; NULL: it is none. */
static const struct field *
secret(const struct record *r, struct str member)
{
	for (size_t i = 0; r != NULL && r->fields[i].name != NULL; i++)
		if (r->fields[i].flags & FIELD_SECRET &&
		    str_eq_nocase(member, str_of(r->fields[i].name)))
			return &r->fields[i];
	return NULL;
}

bool
hub_is_secret(const struct record *r, struct str member)
{
	return secret(r, member) != NULL;
}

static bool
is_empty(struct str json)
{
	return str_eqz(json, "\"\"") || str_eqz(json, "null") ||
	    str_eqz(json, "{}");
}

static int
seal_member(struct hub *h, struct arena *a, struct str name, struct str *value,
    struct err *err)
{
	struct str clear;

	if (is_empty(*value) ||
	    (is_sealed(*value) &&
		(!h->has_key || unseal(h, a, name, *value, &clear))))
		return 0;
	if (!h->has_key)
		return err_set(err, ERR_IO,
		    "`" STR_FMT "` can not be sealed: the key %s is gone",
		    STR_ARG(name), h->key_path.ptr);
	*value = seal(h, a, name, *value);
	return 0;
}

static int
unseal_member(struct hub *h, struct arena *a, struct str name,
    struct str *value, struct err *err)
{
	if (!is_sealed(*value) || unseal(h, a, name, *value, value))
		return 0;
	return err_set(err, ERR_DENIED,
	    "its secret `" STR_FMT "` can not be read: the key %s is %s",
	    STR_ARG(name), h->key_path.ptr,
	    h->has_key ? "not the one that it was sealed with" : "gone");
}

static int
each_secret(struct hub *h, struct arena *a, const struct record *r,
    struct str spec,
    int (*fn)(struct hub *h, struct arena *a, struct str name,
	struct str *value, struct err *err),
    struct str *ret, struct err *err)
{
	struct buf b = { 0 };
	struct str key, value;
	struct json_out o;
	struct json j;
	int rc = 0;

	json_out_init(&o, &b, false);
	json_out_object(&o);
	json_open(&j, spec, 0, a);
	if (json_object(&j))
		while (
		    rc == 0 && json_member(&j, &key) && json_raw(&j, &value)) {
			const struct field *f = secret(r, key);

			if (f != NULL)
				rc = fn(h, a, str_of(f->name), &value, err);
			json_out_key_str(&o, key);
			json_out_raw(&o, value);
		}
	json_out_end_object(&o);
	if (rc == 0)
		*ret = arena_str(a, buf_str(&b));
	buf_free(&b);
	return rc;
}

int
hub_seal(struct hub *h, struct arena *a, const struct record *r,
    struct str spec, struct str *ret, struct err *err)
{
	return each_secret(h, a, r, spec, seal_member, ret, err);
}

int
hub_unseal(struct hub *h, struct arena *a, const struct record *r,
    struct str spec, struct str *ret, struct err *err)
{
	return each_secret(h, a, r, spec, unseal_member, ret, err);
}

/* --- at any depth, by their names ----------------------------------------- */

typedef int each_fn(struct hub *h, struct arena *a, struct str name,
    struct str *value, struct err *err);

static int
deep(struct hub *h, struct arena *a, struct json *j, each_fn *fn,
    struct json_out *o, struct err *err)
{
	struct str key, value;
	int rc = 0;

	if (json_peek(j) == JSON_OBJECT && json_object(j)) {
		json_out_object(o);
		while (rc == 0 && json_member(j, &key)) {
			json_out_key_str(o, key);
			if (!hub_hides(key, json_peek(j))) {
				rc = deep(h, a, j, fn, o, err);
				continue;
			}
			(void)json_raw(j, &value);
			rc = fn(h, a, arena_lower(a, key), &value, err);
			json_out_raw(o, value);
		}
		json_out_end_object(o);
	} else if (json_peek(j) == JSON_ARRAY && json_array(j)) {
		json_out_array(o);
		while (rc == 0 && json_item(j))
			rc = deep(h, a, j, fn, o, err);
		json_out_end_array(o);
	} else {
		json_copy(j, o);
	}
	return rc;
}

static int
all_deep(struct hub *h, struct arena *a, struct str json, each_fn *fn,
    struct str *ret, struct err *err)
{
	struct buf b = { 0 };
	struct json_out o;
	struct json j;
	int rc;

	json_open(&j, json, 0, a);
	json_out_init(&o, &b, false);
	rc = deep(h, a, &j, fn, &o, err);
	if (rc == 0)
		*ret = arena_str(a, buf_str(&b));
	buf_free(&b);
	return rc;
}

int
hub_seal_deep(struct hub *h, struct arena *a, struct str json, struct str *ret,
    struct err *err)
{
	return all_deep(h, a, json, seal_member, ret, err);
}

int
hub_unseal_deep(struct hub *h, struct arena *a, struct str json,
    struct str *ret, struct err *err)
{
	return all_deep(h, a, json, unseal_member, ret, err);
}

int
hub_seal_row(struct hub *h, const struct entity *e, void *row, bool open,
    struct arena *a, struct err *err)
{
	struct hub_handler *handler = row;
	struct route_gateway *gateway = row;

	if (e == &hub_handler_entity) {
		const struct record *r = hub_handler_spec(a, handler->type);

		if (!open)
			return hub_seal(
			    h, a, r, handler->spec, &handler->spec, err);
		(void)hub_unseal(h, a, r, handler->spec, &handler->spec, NULL);
	} else if (e == &route_gateway_entity) {
		if (!open)
			return hub_seal_deep(
			    h, a, gateway->provider, &gateway->provider, err);
		(void)hub_unseal_deep(
		    h, a, gateway->provider, &gateway->provider, NULL);
	}
	return 0;
}
