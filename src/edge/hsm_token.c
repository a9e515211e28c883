/*
 * edge/hsm_token.c - see hsm.h; GnuTLS does the work. Part of the module
 * (edge/tls_module.h).
 */
#include "edge/hsm.h"

#include "base/arena.h"
#include "base/base.h"
#include "net/token_ask.h"
#include "net/tls_token.h"

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/pkcs11.h>
#include <p11-kit/p11-kit.h>
#include <p11-kit/pkcs11.h>
#include <stdlib.h>
#include <string.h>

#define ANY "pkcs11:"
#define ID_MAX 64 /* bytes */
#define SLOTS_MAX 64
#define LABEL_LEN 32 /* of a token, filled up with blanks */
#define LOGIN GNUTLS_PKCS11_OBJ_FLAG_LOGIN
#define PRIVATE (GNUTLS_PKCS11_OBJ_FLAG_PRIVKEY | LOGIN)

struct call {
	const struct hsm_conf *conf;
	struct str request;
	struct arena arena;
	struct buf *out;
	const char *pin, *so_pin; /* NULL: none */
};

static int
failed(struct err *err, const char *doing, int rc)
{
	return err_set(err, ERR_IO, "%s: %s", doing, gnutls_strerror(rc));
}

/* NULL: it is not said. */
static const char *
said(struct call *c, const char *name)
{
	struct str s = token_line(c->request, name);

	return s.len > 0 ? arena_z(&c->arena, s) : NULL;
}

static int
pin_of(void *call, int attempt, const char *url, const char *label,
    unsigned flags, char *ret, size_t size)
{
	const struct call *c = call;

	return tls_token_pin(
	    (void *)(uintptr_t)((flags & GNUTLS_PIN_SO) != 0 ? c->so_pin
							     : c->pin),
	    attempt, url, label, flags, ret, size);
}

static const char *
uri_of(struct call *c)
{
	const char *uri = said(c, "uri");

	if (uri == NULL || strcmp(uri, ANY) == 0)
		uri = c->conf->uri;
	return uri != NULL ? uri : ANY;
}

/* --- keys ----------------------------------------------------------------- */

struct keys {
	gnutls_pkcs11_obj_t *at;
	unsigned n;
};

static void
keys_free(struct keys *k)
{
	for (unsigned i = 0; i < k->n; i++)
		gnutls_pkcs11_obj_deinit(k->at[i]);
	gnutls_free(k->at);
}

/* Bytes in hexadecimal digits. What is none must not be passed over: it may be
 * said of a key that is to be deleted. */
static int
hex_id(struct str hex, unsigned char id[ID_MAX], size_t *len, struct err *err)
{
	struct buf bytes = { 0 };
	bool good = hex.len / 2 <= ID_MAX && hex_decode(&bytes, hex);

	*len = good ? bytes.len : 0;
	memcpy(id, *len > 0 ? bytes.ptr : "", *len);
	buf_free(&bytes);
	return good ? 0
		    : err_set(err, ERR_PARAM,
			  "the id must be up to %d bytes in hexadecimal digits",
			  ID_MAX);
}

/* More of the URI: "object" and "id". */
static const char *
narrowed(struct call *c, const char *uri)
{
	struct str label = token_line(c->request, "label");
	struct str id = token_line(c->request, "id");
	struct buf b = { 0 };
	const char *ret, *query = strchr(uri, '?');
	size_t len = query != NULL ? (size_t)(query - uri) : strlen(uri);

	buf_addf(&b, "%.*s", (int)len, uri);
	if (label.len > 0) {
		buf_addz(&b, len > strlen(ANY) ? ";object=" : "object=");
		for (size_t i = 0; i < label.len; i++)
			buf_addf(&b, "%%%02X", (unsigned char)label.ptr[i]);
	}
	if (id.len > 0) {
		buf_addz(&b, b.len > strlen(ANY) ? ";id=" : "id=");
		for (size_t i = 0; i + 1 < id.len; i += 2)
			buf_addf(&b, "%%%c%c", id.ptr[i], id.ptr[i + 1]);
	}
	if (query != NULL)
		buf_addz(&b, query);
	ret = arena_z(&c->arena, buf_str(&b));
	buf_free(&b);
	return ret;
}

static int
find_keys_at(const char *uri, struct keys *ret, struct err *err)
{
	int rc;

	*ret = (struct keys){ 0 };
	rc =
	    gnutls_pkcs11_obj_list_import_url4(&ret->at, &ret->n, uri, PRIVATE);
	return rc < 0 && rc != GNUTLS_E_REQUESTED_DATA_NOT_AVAILABLE
	    ? failed(err, "look for keys in the token", rc)
	    : 0;
}

static int
find_keys(struct call *c, const char *uri, struct keys *ret, struct err *err)
{
	struct str hex = token_line(c->request, "id");
	unsigned char id[ID_MAX];
	size_t len;
	int rc = hex.len > 0 ? hex_id(hex, id, &len, err) : 0;

	return rc != 0 ? rc : find_keys_at(narrowed(c, uri), ret, err);
}

static const char *export(struct call *c, gnutls_pkcs11_obj_t key)
{
	const char *ret = NULL;
	char *url;

	if (gnutls_pkcs11_obj_export_url(key, GNUTLS_PKCS11_URL_GENERIC, &url) <
	    0)
		return ANY;
	ret = arena_z(&c->arena, str_of(url));
	gnutls_free(url);
	return ret;
}

/* The only one that there is. */
static int
find_key(struct call *c, const char **ret, struct err *err)
{
	const char *uri = uri_of(c);
	struct keys keys;
	int rc = find_keys_at(uri, &keys, err);

	if (rc != 0)
		return rc;
	if (keys.n == 1)
		*ret = export(c, keys.at[0]);
	else if (keys.n == 0)
		rc = err_set(err, ERR_NOT_FOUND,
		    "there is no private key %s in the token", uri);
	else
		rc = err_set(err, ERR_PARAM,
		    "%u private keys are %s: say which one by device.key_uri",
		    keys.n, uri);
	keys_free(&keys);
	return rc;
}

static int
load_key(struct call *c, gnutls_privkey_t *ret, struct err *err)
{
	const char *uri = NULL;
	int rc = find_key(c, &uri, err);

	if (rc != 0)
		return rc;
	rc = gnutls_privkey_init(ret);
	if (rc < 0)
		return failed(err, "load the key", rc);
	rc = gnutls_privkey_import_url(*ret, uri, 0);
	if (rc < 0) {
		gnutls_privkey_deinit(*ret);
		return failed(err, "load the key", rc);
	}
	return 0;
}

static int
add_public(struct call *c, gnutls_pubkey_t pub, struct err *err)
{
	gnutls_datum_t pem;
	int rc = gnutls_pubkey_export2(pub, GNUTLS_X509_FMT_PEM, &pem);

	if (rc < 0)
		return failed(err, "read the public key", rc);
	buf_addz(c->out, "pub ");
	base64_encode(c->out, pem.data, pem.size, false);
	buf_addc(c->out, '\n');
	gnutls_free(pem.data);
	return 0;
}

/* Its public half, which the token may keep beside it. */
static int
add_public_of(struct call *c, gnutls_privkey_t key, struct err *err)
{
	gnutls_pubkey_t pub;
	int rc = gnutls_pubkey_init(&pub);

	if (rc == 0)
		rc = gnutls_pubkey_import_privkey(pub, key, 0, 0);
	if (rc < 0)
		return failed(err, "read the public key", rc);
	rc = add_public(c, pub, err);
	gnutls_pubkey_deinit(pub);
	return rc;
}

static int
about(struct call *c, struct err *err)
{
	static const gnutls_datum_t trial = { (unsigned char *)"x", 1 };
	gnutls_datum_t sig;
	gnutls_privkey_t key;
	unsigned bits = 0;
	bool rsa, pss = false;
	int rc = load_key(c, &key, err);

	if (rc != 0)
		return rc;
	rsa = gnutls_privkey_get_pk_algorithm(key, &bits) == GNUTLS_PK_RSA;
	if (rsa &&
	    gnutls_privkey_sign_data2(
		key, GNUTLS_SIGN_RSA_PSS_RSAE_SHA256, 0, &trial, &sig) == 0) {
		gnutls_free(sig.data);
		pss = true;
	}
	buf_addf(c->out, "pk %s\nbits %u\npss %s\n", rsa ? "rsa" : "ecdsa",
	    bits, pss ? "yes" : "no");
	rc = add_public_of(c, key, err);
	gnutls_privkey_deinit(key);
	return rc;
}

static int
sign(struct call *c, struct err *err)
{
	const char *name = said(c, "algorithm");
	struct str data = token_line(c->request, "data");
	struct str hash = token_line(c->request, "hash");
	gnutls_sign_algorithm_t algo =
	    name != NULL ? gnutls_sign_get_id(name) : GNUTLS_SIGN_UNKNOWN;
	struct buf bytes = { 0 };
	gnutls_datum_t in, sig;
	gnutls_privkey_t key;
	int rc;

	if (algo == GNUTLS_SIGN_UNKNOWN ||
	    !base64_decode(&bytes, hash.ptr != NULL ? hash : data)) {
		buf_free(&bytes);
		return err_set(
		    err, ERR_PARAM, "sign: the request is not understood");
	}
	rc = load_key(c, &key, err);
	if (rc != 0) {
		buf_free(&bytes);
		return rc;
	}
	in =
	    (gnutls_datum_t){ (unsigned char *)bytes.ptr, (unsigned)bytes.len };
	rc = hash.ptr != NULL
	    ? gnutls_privkey_sign_hash2(key, algo, 0, &in, &sig)
	    : gnutls_privkey_sign_data2(key, algo, 0, &in, &sig);
	gnutls_privkey_deinit(key);
	buf_free(&bytes);
	if (rc < 0)
		return failed(err, "sign", rc);
	buf_addz(c->out, "signature ");
	base64_encode(c->out, sig.data, sig.size, false);
	buf_addc(c->out, '\n');
	gnutls_free(sig.data);
	return 0;
}

static int
list_keys(struct call *c, struct err *err)
{
	struct keys keys;
	int rc = find_keys(c, uri_of(c), &keys, err);

	for (unsigned i = 0; rc == 0 && i < keys.n; i++)
		token_add(c->out, "uri", str_of(export(c, keys.at[i])));
	if (rc == 0)
		keys_free(&keys);
	return rc;
}

/* With what belongs to it: its public half. */
static int
delete_one(struct call *c, const char *uri, struct err *err)
{
	const char *type = strstr(uri, ";type=private");
	const char *both = type == NULL
	    ? uri
	    : arena_z(&c->arena, (struct str){ uri, (size_t)(type - uri) });
	int rc = gnutls_pkcs11_delete_url(both, LOGIN);

	if (rc < 0)
		return failed(err, "delete the key", rc);
	token_add(c->out, "uri", str_of(uri));
	return 0;
}

static int
delete_key(struct call *c, struct err *err)
{
	struct keys keys;
	int rc = find_keys(c, uri_of(c), &keys, err);

	if (rc != 0)
		return rc;
	if (keys.n == 1)
		rc = delete_one(c, export(c, keys.at[0]), err);
	else if (keys.n == 0)
		rc = err_set(err, ERR_NOT_FOUND, "there is no such key");
	else
		rc = err_set(err, ERR_PARAM,
		    "%u keys are meant: say which one by its URI, label or id",
		    keys.n);
	keys_free(&keys);
	return rc;
}

/* --- tokens --------------------------------------------------------------- */

static bool
is_initialized(const char *url)
{
	unsigned flags = 0;

	return gnutls_pkcs11_token_get_flags(url, &flags) == 0 &&
	    (flags & GNUTLS_PKCS11_TOKEN_INITIALIZED) != 0;
}

/* The next token's URI; NULL: there is none. */
static const char *
token_at(struct call *c, unsigned seq)
{
	const char *ret;
	char *url;

	if (gnutls_pkcs11_token_get_url(seq, GNUTLS_PKCS11_URL_GENERIC, &url) <
	    0)
		return NULL;
	ret = arena_z(&c->arena, str_of(url));
	gnutls_free(url);
	return ret;
}

static struct str
label_of(struct call *c, const char *url)
{
	char label[128];
	size_t len = sizeof(label);

	if (gnutls_pkcs11_token_get_info(
		url, GNUTLS_PKCS11_TOKEN_LABEL, label, &len) < 0)
		return STR("");
	return arena_str(&c->arena, (struct str){ label, len });
}

static int
list_tokens(struct call *c, struct err *err)
{
	const char *url;

	(void)err;
	for (unsigned i = 0; (url = token_at(c, i)) != NULL; i++)
		if (is_initialized(url))
			token_add(c->out, "uri", str_of(url));
	return 0;
}

/* The one of the URI, of the label, or the only one. `*ret` NULL: none. */
static int
find_token(struct call *c, const char **ret, struct err *err)
{
	struct str label = token_line(c->request, "token-label");
	const char *uri = uri_of(c), *url;
	unsigned n = 0;

	*ret = NULL;
	if (strcmp(uri, ANY) != 0) {
		*ret = is_initialized(uri) ? uri : NULL;
		return 0;
	}
	for (unsigned i = 0; (url = token_at(c, i)) != NULL; i++) {
		if (!is_initialized(url) ||
		    (label.len > 0 && !str_eq(label_of(c, url), label)))
			continue;
		*ret = url;
		n++;
	}
	return n > 1
	    ? err_set(err, ERR_PARAM,
		  "there are %u tokens: say which one by its URI or label", n)
	    : 0;
}

/* NULL: there is none of this label. */
static const char *
token_called(struct call *c, const char *label)
{
	const char *url;

	for (unsigned i = 0; (url = token_at(c, i)) != NULL; i++)
		if (is_initialized(url) && str_eqz(label_of(c, url), label))
			return url;
	return NULL;
}

/* --- a new token ----------------------------------------------------------
 *
 * To GnuTLS a token that is not initialized is none: it can not be listed, and
 * has no URI that fits it alone. So the library itself is asked, by p11-kit.
 */

static int
pkcs11_failed(struct err *err, const char *doing, CK_RV rv)
{
	return err_set(err, ERR_IO, "%s: %s", doing, p11_kit_strerror(rv));
}

/* `label` NULL: one that is not initialized. */
static bool
find_slot(CK_FUNCTION_LIST *f, const char *label, CK_SLOT_ID *ret)
{
	CK_SLOT_ID slots[SLOTS_MAX];
	CK_ULONG n = 0;
	CK_TOKEN_INFO info;

	/* Asked for the number, a library looks for what is new. */
	(void)f->C_GetSlotList(CK_TRUE, NULL, &n);
	n = SLOTS_MAX;
	if (f->C_GetSlotList(CK_TRUE, slots, &n) != CKR_OK)
		return false;
	for (CK_ULONG i = 0; i < n; i++) {
		struct str name = { (char *)info.label, sizeof(info.label) };

		if (f->C_GetTokenInfo(slots[i], &info) != CKR_OK)
			continue;
		if (label == NULL ? (info.flags & CKF_TOKEN_INITIALIZED) == 0
				  : str_eqz(str_trim(name), label)) {
			*ret = slots[i];
			return true;
		}
	}
	return false;
}

static CK_RV
set_user_pin(CK_FUNCTION_LIST *f, CK_SLOT_ID slot, const struct call *c)
{
	CK_SESSION_HANDLE session;
	CK_RV rv = f->C_OpenSession(
	    slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session);

	if (rv != CKR_OK)
		return rv;
	rv = f->C_Login(
	    session, CKU_SO, (unsigned char *)c->so_pin, strlen(c->so_pin));
	if (rv == CKR_OK) {
		rv = f->C_InitPIN(
		    session, (unsigned char *)c->pin, strlen(c->pin));
		(void)f->C_Logout(session);
	}
	(void)f->C_CloseSession(session);
	return rv;
}

static int
initialize_by(
    CK_FUNCTION_LIST *f, struct call *c, const char *label, struct err *err)
{
	unsigned char padded[LABEL_LEN];
	CK_SLOT_ID slot;
	CK_RV rv;

	if (!find_slot(f, NULL, &slot))
		return err_set(err, ERR_NOT_FOUND,
		    "there is no token that is not initialized");
	memset(padded, ' ', sizeof(padded));
	memcpy(padded, label, strlen(label));
	rv = f->C_InitToken(
	    slot, (unsigned char *)c->so_pin, strlen(c->so_pin), padded);
	if (rv != CKR_OK)
		return pkcs11_failed(err, "initialize the token", rv);
	rv = find_slot(f, label, &slot) ? set_user_pin(f, slot, c)
					: CKR_TOKEN_NOT_PRESENT;
	return rv == CKR_OK
	    ? 0
	    : pkcs11_failed(err, "set the PIN of the new token", rv);
}

static int
initialize(struct call *c, const char *label, const char **ret, struct err *err)
{
	CK_FUNCTION_LIST *f;
	int rc;

	if (c->pin == NULL || c->conf->module == NULL)
		return err_set(err, ERR_PARAM,
		    "a new token needs a PIN for its user, and "
		    "device.cryptoki.module_path");
	if (strlen(label) > LABEL_LEN)
		return err_set(err, ERR_PARAM,
		    "the label of a token has at most %d bytes", LABEL_LEN);
	if (token_called(c, label) != NULL)
		return err_set(err, ERR_EXISTS,
		    "there is a token of the label \"%s\" already", label);
	f = p11_kit_module_load(c->conf->module, 0);
	if (f == NULL || p11_kit_module_initialize(f) != CKR_OK)
		return err_set(err, ERR_IO, "load %s: %s", c->conf->module,
		    p11_kit_message());
	rc = initialize_by(f, c, label, err);
	(void)p11_kit_module_finalize(f);
	p11_kit_module_release(f);
	if (rc != 0)
		return rc;
	*ret = token_called(c, label);
	return *ret != NULL
	    ? 0
	    : err_set(err, ERR_IO, "the new token is not to be found");
}

static int
init(struct call *c, struct err *err)
{
	const char *label = said(c, "label"), *ret = NULL;
	int rc = initialize(c, label != NULL ? label : "tedge", &ret, err);

	if (rc == 0)
		token_add(c->out, "uri", str_of(ret));
	return rc;
}

/* --- a new PIN ------------------------------------------------------------ */

static int
change_pin(struct call *c, struct err *err)
{
	const char *new = said(c, "new-pin"), *url;
	bool by_so = said(c, "so-pin") != NULL;
	int rc = find_token(c, &url, err);

	if (rc != 0)
		return rc;
	if (url == NULL)
		return err_set(err, ERR_NOT_FOUND, "there is no such token");
	if (new == NULL)
		return err_set(err, ERR_PARAM, "the new PIN is missing");
	rc = gnutls_pkcs11_token_set_pin(
	    url, by_so ? NULL : c->pin, new, GNUTLS_PIN_USER);
	return rc < 0 ? failed(err, "change the PIN", rc) : 0;
}

/* --- a new key ------------------------------------------------------------ */

struct kind {
	const char *type, *size;
	gnutls_pk_algorithm_t pk;
	unsigned bits;
};

static const struct kind kinds[] = {
	{ "ecdsa", "p256", GNUTLS_PK_ECDSA,
	    GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1) },
	{ "ecdsa", "p384", GNUTLS_PK_ECDSA,
	    GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP384R1) },
	{ "rsa", "2048", GNUTLS_PK_RSA, 2048 },
	{ "rsa", "3072", GNUTLS_PK_RSA, 3072 },
	{ "rsa", "4096", GNUTLS_PK_RSA, 4096 },
};

static const struct kind *
kind_of(struct call *c)
{
	struct str type = token_line(c->request, "type");
	struct str size = token_line(c->request, "size");

	for (size_t i = 0; i < COUNT_OF(kinds); i++)
		if (str_eqz(type, kinds[i].type) &&
		    str_eqz(size, kinds[i].size))
			return &kinds[i];
	return NULL;
}

/* An id of its own where none is said: the private and the public key are known
 * to belong together by it. */
static int
read_id(struct call *c, unsigned char id[ID_MAX], gnutls_datum_t *ret,
    struct err *err)
{
	struct str hex = token_line(c->request, "id");
	size_t len = 20;
	int rc = 0;

	if (hex.len > 0)
		rc = hex_id(hex, id, &len, err);
	else if (gnutls_rnd(GNUTLS_RND_NONCE, id, len) != 0)
		rc = err_set(err, ERR_IO, "there are no random numbers");
	*ret = (gnutls_datum_t){ id, (unsigned)len };
	return rc;
}

static int
generate(struct call *c, const char *token, const struct kind *kind,
    const char *label, struct err *err)
{
	unsigned char id[ID_MAX];
	gnutls_datum_t cid, pem = { 0 };
	gnutls_pubkey_t pub;
	int rc = read_id(c, id, &cid, err);

	if (rc != 0)
		return rc;
	rc = gnutls_pkcs11_privkey_generate3(token, kind->pk, kind->bits, label,
	    &cid, GNUTLS_X509_FMT_PEM, &pem, GNUTLS_KEY_DIGITAL_SIGNATURE,
	    LOGIN | GNUTLS_PKCS11_OBJ_FLAG_MARK_SENSITIVE |
		GNUTLS_PKCS11_OBJ_FLAG_MARK_PRIVATE);
	if (rc < 0)
		return failed(err, "make a key in the token", rc);
	rc = gnutls_pubkey_init(&pub);
	if (rc == 0)
		rc = gnutls_pubkey_import(pub, &pem, GNUTLS_X509_FMT_PEM);
	gnutls_free(pem.data);
	if (rc < 0)
		return failed(err, "read the public key", rc);
	rc = add_public(c, pub, err);
	gnutls_pubkey_deinit(pub);
	return rc;
}

/* One that is there is as good as a new one. */
static int
reuse(struct call *c, const char *uri, struct err *err)
{
	gnutls_privkey_t key;
	int rc = gnutls_privkey_init(&key);

	if (rc == 0)
		rc = gnutls_privkey_import_url(key, uri, 0);
	if (rc < 0)
		return failed(err, "load the key", rc);
	token_add(c->out, "made", STR("no"));
	token_add(c->out, "uri", str_of(uri));
	rc = add_public_of(c, key, err);
	gnutls_privkey_deinit(key);
	return rc;
}

static int
create_key(struct call *c, struct err *err)
{
	const char *label = said(c, "label"), *token, *uri;
	const struct kind *kind = kind_of(c);
	struct keys keys;
	int rc = find_token(c, &token, err);

	if (rc != 0)
		return rc;
	if (kind == NULL || label == NULL)
		return err_set(err, ERR_PARAM,
		    "such a key can not be made: ecdsa of p256 or p384, rsa "
		    "of 2048, 3072 or 4096 bits");
	if (token == NULL) {
		const char *name = said(c, "token-label");

		rc = initialize(c, name != NULL ? name : "tedge", &token, err);
		if (rc != 0)
			return rc;
	}
	rc = find_keys(c, token, &keys, err);
	if (rc != 0)
		return rc;
	uri = keys.n > 0 ? export(c, keys.at[0]) : NULL;
	keys_free(&keys);
	if (uri != NULL && said(c, "new") == NULL)
		return reuse(c, uri, err);
	if (uri != NULL)
		return err_set(err, ERR_EXISTS,
		    "there is a key of this label and id: another one needs "
		    "another id, or that one is deleted first: %s",
		    uri);
	token_add(c->out, "made", STR("yes"));
	rc = generate(c, token, kind, label, err);
	if (rc == 0)
		rc = find_keys(c, token, &keys, err);
	if (rc != 0)
		return rc;
	if (keys.n > 0)
		token_add(c->out, "uri", str_of(export(c, keys.at[0])));
	keys_free(&keys);
	return 0;
}

/* -------------------------------------------------------------------------- */

static int
ping(struct call *c, struct err *err)
{
	(void)c;
	(void)err;
	return 0;
}

static const struct {
	const char *name;
	int (*run)(struct call *c, struct err *err);
} rows[] = { { "ping", ping }, { "about", about }, { "sign", sign },
	{ "list-tokens", list_tokens }, { "list-keys", list_keys },
	{ "init", init }, { "create-key", create_key },
	{ "change-pin", change_pin }, { "delete-key", delete_key } };

static int
run(struct call *c, struct err *err)
{
	struct str what = token_line(c->request, "do");

	for (size_t i = 0; i < COUNT_OF(rows); i++)
		if (str_eqz(what, rows[i].name))
			return rows[i].run(c, err);
	return err_set(err, ERR_PARAM, "there is no request \"" STR_FMT "\"",
	    STR_ARG(what));
}

static void
answer(const struct hsm_conf *conf, struct str request, struct buf *ret)
{
	struct buf out = { 0 };
	struct call c = { .conf = conf, .request = request, .out = &out };
	struct err err;
	int rc = tls_token_use(conf->module, &err);

	c.pin = said(&c, "pin");
	if (c.pin == NULL)
		c.pin = conf->pin;
	c.so_pin = said(&c, "so-pin");
	if (c.so_pin == NULL)
		c.so_pin = c.pin;
	if (rc == 0) {
		gnutls_pkcs11_set_pin_function(pin_of, &c);
		rc = run(&c, &err);
		gnutls_pkcs11_set_pin_function(NULL, NULL);
	}
	if (rc != 0)
		token_add(ret, "error", str_of(err.text));
	else {
		buf_addz(ret, "ok\n");
		buf_add_str(ret, out.len > 0 ? buf_str(&out) : STR(""));
	}
	buf_free(&out);
	arena_fini(&c.arena);
}

const struct hsm hsm_here = { .answer = answer };
