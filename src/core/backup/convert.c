/*
 * core/backup/convert.c - values of MyController as ours.
 *
 *    secrets       "ENCRYPTED;MC;AES256;BASE64;..." in clear again
 *    variables     of old backups, as texts with YAML in base64, as objects
 *    names         `selector` is `keyPath`, `insecureSkipVerify` `insecure`
 *    places        networks and addresses are in lower case here, so quick ids
 *                  and filters are, too
 *    times         year 1 is none
 */
#include "core/backup/convert.h"

#include "base/base.h"
#include "codec/json.h"
#include "codec/yaml.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <string.h>

#define SECRET "ENCRYPTED;MC;AES256;BASE64;"
#define KEY_LEN 32
#define NONCE_LEN 12
#define TAG_LEN 16

/* --- secrets ------------------------------------------------------------- */

/* The key is the secret, cut, or with `pad` before it. */
static void
make_key(struct str secret, char pad, unsigned char key[KEY_LEN])
{
	size_t len = MIN_OF(secret.len, (size_t)KEY_LEN);

	memset(key, pad, KEY_LEN);
	if (len > 0)
		memcpy(key + KEY_LEN - len, secret.ptr, len);
}

static bool
decrypt_with(struct arena *a, struct str bytes, struct str secret, char pad,
    struct str *ret)
{
	unsigned char key[KEY_LEN];
	gnutls_datum_t datum = { key, KEY_LEN };
	gnutls_aead_cipher_hd_t cipher;
	size_t len = bytes.len - NONCE_LEN - TAG_LEN;
	char *clear = arena_alloc(a, bytes.len);
	bool ok;

	make_key(secret, pad, key);
	if (gnutls_aead_cipher_init(
		&cipher, GNUTLS_CIPHER_AES_256_GCM, &datum) != 0)
		return false;
	ok = gnutls_aead_cipher_decrypt(cipher, bytes.ptr, NONCE_LEN, NULL, 0,
		 TAG_LEN, bytes.ptr + NONCE_LEN, bytes.len - NONCE_LEN, clear,
		 &len) == 0;
	gnutls_aead_cipher_deinit(cipher);
	explicit_bzero(key, sizeof(key));
	if (ok)
		*ret = (struct str){ clear, len };
	return ok && str_is_utf8(*ret);
}

int
mc_decrypt(struct arena *a, struct str text, struct str secret, struct str *ret,
    struct err *err)
{
	const struct str mark = STR(SECRET);
	struct buf bytes = { 0 };
	bool ok;

	if (!str_starts(text, mark)) {
		*ret = text;
		return 0;
	}
	if (secret.len == 0)
		return err_set(err, ERR_DENIED,
		    "it holds something encrypted, and no `secret` was given");
	text.ptr += mark.len;
	text.len -= mark.len;
	ok = base64_decode(&bytes, text) && bytes.len >= NONCE_LEN + TAG_LEN &&
	    (decrypt_with(a, buf_str(&bytes), secret, '0', ret) ||
		decrypt_with(a, buf_str(&bytes), secret, ' ', ret));
	buf_free(&bytes);
	return ok ? 0
		  : err_set(err, ERR_DENIED,
			"the `secret` does not open what is encrypted in it");
}

/* --- values -------------------------------------------------------------- */

struct converting {
	struct arena *a;
	struct str secret;
	struct err *err;
	struct json j;
	struct json_out o;
};

static bool
is_place(struct str type)
{
	static const char *const types[] = { "gateway", "node", "source",
		"field" };

	for (size_t i = 0; i < COUNT_OF(types); i++)
		if (str_eq_nocase(type, str_of(types[i])))
			return true;
	return false;
}

struct str
mc_place(struct arena *a, struct str quick)
{
	struct str rest = quick, gateway = str_cut(&rest, '.'), node;

	if (rest.ptr == NULL)
		return arena_lower(a, quick);
	node = str_cut(&rest, '.');
	gateway = arena_lower(a, gateway);
	node = arena_lower(a, node);
	return rest.ptr == NULL
	    ? arena_printf(
		  a, STR_FMT "." STR_FMT, STR_ARG(gateway), STR_ARG(node))
	    : arena_printf(a, STR_FMT "." STR_FMT "." STR_FMT, STR_ARG(gateway),
		  STR_ARG(node), STR_ARG(rest));
}

/* "field:GW.Node.x" -> "field:gw.node.x" */
static struct str
with_type(struct arena *a, struct str text)
{
	struct str rest = text, type = str_cut(&rest, ':');

	if (rest.ptr == NULL || !is_place(type) || rest.len == 0 ||
	    memchr(rest.ptr, ' ', rest.len) != NULL)
		return text;
	return arena_printf(
	    a, STR_FMT ":" STR_FMT, STR_ARG(type), STR_ARG(mc_place(a, rest)));
}

static int convert_value(struct converting *c, struct str key, bool place);

static int
convert_text(struct converting *c, struct str key, bool place)
{
	struct str text;
	int rc;

	if (!json_str(&c->j, &text))
		return 0; /* told at the end */
	rc = mc_decrypt(c->a, text, c->secret, &text, c->err);
	if (rc != 0)
		return rc;
	if (str_starts(text, STR("0001-01-01T00:00:00"))) {
		json_out_null(&c->o);
		return 0;
	}
	if (str_eqz(key, "gatewayId") || str_eqz(key, "nodeId"))
		text = arena_lower(c->a, text);
	else if (place && str_eq_nocase(key, STR("quickId")))
		text = mc_place(c->a, text);
	else
		text = with_type(c->a, text);
	json_out_str(&c->o, text);
	return 0;
}

/* Do quick ids in the object that stands next name places? */
static bool
names_places(struct converting *c)
{
	struct json j = c->j;
	struct str key, text;
	bool is = false;

	if (json_object(&j))
		while (json_member(&j, &key)) {
			if (str_eq_nocase(key, STR("resourceType")) &&
			    json_peek(&j) == JSON_STRING && json_str(&j, &text))
				is = is || is_place(text);
			else
				json_skip(&j);
		}
	return is;
}

static int
convert_object(struct converting *c)
{
	bool place = names_places(c);
	struct str key;
	int rc = 0;

	json_object(&c->j);
	json_out_object(&c->o);
	while (rc == 0 && json_member(&c->j, &key)) {
		if (str_eqz(key, "selector"))
			key = STR("keyPath");
		else if (str_eqz(key, "insecureSkipVerify"))
			key = STR("insecure");
		json_out_key_str(&c->o, key);
		rc = convert_value(c, key, place);
	}
	json_out_end_object(&c->o);
	return rc;
}

static int
convert_value(struct converting *c, struct str key, bool place)
{
	int rc = 0;

	switch (json_peek(&c->j)) {
	case JSON_OBJECT:
		return convert_object(c);
	case JSON_ARRAY:
		json_array(&c->j);
		json_out_array(&c->o);
		while (rc == 0 && json_item(&c->j))
			rc = convert_value(c, key, place);
		json_out_end_array(&c->o);
		return rc;
	case JSON_STRING:
		return convert_text(c, key, place);
	default:
		json_copy(&c->j, &c->o);
		return 0;
	}
}

int
mc_convert(struct arena *a, struct str json, struct str secret, struct str *ret,
    struct err *err)
{
	struct converting c = { .a = a, .secret = secret, .err = err };
	struct buf b = { 0 };
	int rc;

	json_out_init(&c.o, &b, false);
	json_open(&c.j, json, 0, a);
	rc = convert_value(&c, STR(""), false);
	if (rc == 0)
		rc = json_done(&c.j, err);
	if (rc == 0)
		*ret = arena_str(a, buf_str(&b));
	buf_free(&b);
	return rc;
}

/* --- variables of old backups -------------------------------------------- */

/* {"type":...,"disabled":...,"data":"base64 of YAML"} as one object. */
static int
unfold_one(
    struct arena *a, struct str text, struct json_out *o, struct err *err)
{
	struct str key, data = STR_NULL;
	struct buf bytes = { 0 }, json = { 0 };
	struct json j;
	int rc = 0;

	json_out_object(o);
	json_open(&j, text, 0, a);
	if (json_object(&j))
		while (json_member(&j, &key)) {
			if (str_eqz(key, "data") &&
			    json_peek(&j) == JSON_STRING) {
				json_str(&j, &data);
			} else {
				json_out_key_str(o, key);
				json_copy(&j, o);
			}
		}
	if (json_done(&j, err) != 0)
		rc = ERR_PARAM;
	else if (data.len > 0 && !base64_decode(&bytes, data))
		rc = err_set(err, ERR_PARAM, "`data` is not base64");
	else if (data.len > 0)
		rc = yaml_read(&json, buf_str(&bytes), err);
	if (rc == 0 && json.len > 0) {
		json_open(&j, buf_str(&json), 0, a);
		if (json_peek(&j) == JSON_OBJECT) {
			json_object(&j);
			while (json_member(&j, &key)) {
				json_out_key_str(o, key);
				json_copy(&j, o);
			}
		} else {
			json_out_key(o, "data");
			json_copy(&j, o);
		}
	}
	json_out_end_object(o);
	buf_free(&bytes);
	buf_free(&json);
	return rc;
}

int
mc_unfold(struct arena *a, struct str json, struct str *ret, struct err *err)
{
	struct str name, text;
	struct buf b = { 0 };
	struct json_out o;
	struct json j;
	int rc = 0;

	*ret = json;
	json_open(&j, json, 0, a);
	if (json_peek(&j) != JSON_OBJECT)
		return 0;
	json_object(&j);
	json_out_init(&o, &b, false);
	json_out_object(&o);
	while (rc == 0 && json_member(&j, &name)) {
		json_out_key_str(&o, name);
		if (json_peek(&j) != JSON_STRING) {
			json_copy(&j, &o);
			continue;
		}
		if (!json_str(&j, &text))
			break;
		if (text.len > 0 && text.ptr[0] == '{' && json_valid(text, 0)) {
			rc = unfold_one(a, text, &o, err);
			if (rc != 0)
				err_wrap(err, STR_FMT, STR_ARG(name));
		} else {
			json_out_str(&o, text);
		}
	}
	json_out_end_object(&o);
	if (rc == 0)
		rc = json_done(&j, err);
	if (rc == 0)
		*ret = arena_str(a, buf_str(&b));
	buf_free(&b);
	return rc;
}
