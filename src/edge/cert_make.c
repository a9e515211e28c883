/*
 * edge/cert_make.c - keys, certificates and signing requests; GnuTLS does the
 * work. Part of the module (edge/tls_module.h).
 */
#include "edge/cert.h"

#include "base/base.h"
#include "net/tls_token.h"

#include <gnutls/abstract.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <gnutls/pkcs7.h>
#include <gnutls/x509.h>
#include <stdlib.h>

#define SERIAL_LEN 16

static int
failed(struct err *err, const char *doing, int rc)
{
	return err_set(err, ERR_IO, "%s: %s", doing, gnutls_strerror(rc));
}

static gnutls_datum_t
datum(struct str s)
{
	return (gnutls_datum_t){ (unsigned char *)(uintptr_t)s.ptr,
		(unsigned)s.len };
}

/* Takes `d`. */
static void
add_datum(struct buf *out, gnutls_datum_t *d)
{
	buf_add(out, d->data, d->size);
	gnutls_memset(d->data, 0, d->size);
	gnutls_free(d->data);
}

/* --- keys ---------------------------------------------------------------- */

static int
new_key(struct buf *pem, struct err *err)
{
	gnutls_x509_privkey_t key;
	gnutls_datum_t out;
	int rc = gnutls_x509_privkey_init(&key);

	if (rc < 0)
		return failed(err, "make a private key", rc);
	rc = gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
	    GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
	if (rc == 0)
		rc = gnutls_x509_privkey_export2_pkcs8(
		    key, GNUTLS_X509_FMT_PEM, NULL, GNUTLS_PKCS_PLAIN, &out);
	gnutls_x509_privkey_deinit(key);
	if (rc < 0)
		return failed(err, "make a private key", rc);
	add_datum(pem, &out);
	return 0;
}

static int
load_key(const struct cert_key *from, gnutls_privkey_t *ret)
{
	const gnutls_datum_t pem = datum(from->text);
	char *uri, *url;
	int rc = gnutls_privkey_init(ret);

	if (rc < 0)
		return rc;
	if (str_starts(from->text, STR("pkcs11:"))) {
		uri = str_dupz(from->text);
		gnutls_privkey_set_pin_function(
		    *ret, tls_token_pin, (void *)(uintptr_t)from->pin);
		url = tls_token_url(from->module, uri, NULL);
		rc = url != NULL ? gnutls_privkey_import_url(*ret, url, 0)
				 : GNUTLS_E_PKCS11_LOAD_ERROR;
		free(url);
		free(uri);
	} else {
		rc = gnutls_privkey_import_x509_raw(
		    *ret, &pem, GNUTLS_X509_FMT_PEM, NULL, 0);
	}
	if (rc < 0)
		gnutls_privkey_deinit(*ret);
	return rc;
}

static int
load_public(
    const struct cert_key *from, gnutls_privkey_t key, gnutls_pubkey_t ret)
{
	char *uri, *url;
	int rc;

	if (from->module == NULL ||
	    !str_starts(str_of(from->module), STR(TLS_TOKEN_SOCKET)))
		return gnutls_pubkey_import_privkey(ret, key, 0, 0);
	uri = str_dupz(from->text);
	url = tls_token_url(from->module, uri, NULL);
	rc = url != NULL ? gnutls_pubkey_import_url(ret, url, 0)
			 : GNUTLS_E_PKCS11_ERROR;
	free(url);
	free(uri);
	return rc;
}

/* The public half of it, too. */
static int
load_pair(
    const struct cert_key *from, gnutls_privkey_t *key, gnutls_pubkey_t *pub)
{
	int rc = load_key(from, key);

	if (rc < 0)
		return rc;
	rc = gnutls_pubkey_init(pub);
	if (rc == 0) {
		rc = load_public(from, *key, *pub);
		if (rc == 0)
			return 0;
		gnutls_pubkey_deinit(*pub);
	}
	gnutls_privkey_deinit(*key);
	return rc;
}

/* --- certificates -------------------------------------------------------- */

struct name {
	const char *oid;
	struct str text;
};

#define SUBJECT_N 3

static void
names_of(const struct cert_subject *s, struct name names[SUBJECT_N])
{
	names[0] = (struct name){ GNUTLS_OID_X520_COMMON_NAME, s->id };
	names[1] =
	    (struct name){ GNUTLS_OID_X520_ORGANIZATION_NAME, s->organization };
	names[2] =
	    (struct name){ GNUTLS_OID_X520_ORGANIZATIONAL_UNIT_NAME, s->unit };
}

static int
set_subject(gnutls_x509_crt_t crt, const struct cert_subject *subject)
{
	struct name names[SUBJECT_N];
	int rc = 0;

	names_of(subject, names);
	for (size_t i = 0; i < SUBJECT_N && rc == 0; i++)
		if (names[i].text.len > 0)
			rc = gnutls_x509_crt_set_dn_by_oid(crt, names[i].oid, 0,
			    names[i].text.ptr, (unsigned)names[i].text.len);
	return rc;
}

static int
set_ids(gnutls_x509_crt_t crt)
{
	unsigned char id[64], serial[SERIAL_LEN];
	size_t len = sizeof(id);
	int rc = gnutls_rnd(GNUTLS_RND_NONCE, serial, sizeof(serial));

	serial[0] = (serial[0] & 0x7f) | 1; /* a positive number, never 0 */
	if (rc == 0)
		rc = gnutls_x509_crt_set_serial(crt, serial, sizeof(serial));
	if (rc == 0)
		rc = gnutls_x509_crt_get_key_id(
		    crt, GNUTLS_KEYID_USE_SHA1, id, &len);
	return rc == 0 ? gnutls_x509_crt_set_subject_key_id(crt, id, len) : rc;
}

static int
sign(gnutls_x509_crt_t crt, gnutls_privkey_t key, gnutls_pubkey_t pub,
    const struct cert_subject *subject, int64_t from_s, int64_t until_s)
{
	int rc = gnutls_x509_crt_set_version(crt, 3);

	if (rc == 0)
		rc = set_subject(crt, subject);
	if (rc == 0)
		rc = gnutls_x509_crt_set_pubkey(crt, pub);
	if (rc == 0)
		rc = gnutls_x509_crt_set_activation_time(crt, (time_t)from_s);
	if (rc == 0)
		rc = gnutls_x509_crt_set_expiration_time(crt, (time_t)until_s);
	if (rc == 0)
		rc = gnutls_x509_crt_set_basic_constraints(crt, 1, -1);
	if (rc == 0)
		rc = set_ids(crt);
	if (rc == 0)
		rc = gnutls_x509_crt_privkey_sign(
		    crt, crt, key, GNUTLS_DIG_SHA256, 0);
	return rc;
}

static int
self_sign(const struct cert_key *from, const struct cert_subject *subject,
    int64_t from_s, int64_t until_s, struct buf *pem, struct err *err)
{
	gnutls_x509_crt_t crt;
	gnutls_privkey_t key;
	gnutls_pubkey_t pub;
	gnutls_datum_t out;
	int rc = load_pair(from, &key, &pub);

	if (rc < 0)
		return failed(err, "load the private key", rc);
	rc = gnutls_x509_crt_init(&crt);
	if (rc == 0) {
		rc = sign(crt, key, pub, subject, from_s, until_s);
		if (rc == 0)
			rc = gnutls_x509_crt_export2(
			    crt, GNUTLS_X509_FMT_PEM, &out);
		gnutls_x509_crt_deinit(crt);
	}
	gnutls_pubkey_deinit(pub);
	gnutls_privkey_deinit(key);
	if (rc < 0)
		return failed(err, "sign the certificate", rc);
	add_datum(pem, &out);
	return 0;
}

static int
sign_request(gnutls_x509_crq_t crq, gnutls_privkey_t key, gnutls_pubkey_t pub,
    const struct cert_subject *subject)
{
	struct name names[SUBJECT_N];
	int rc = gnutls_x509_crq_set_version(crq, 1);

	names_of(subject, names);
	for (size_t i = 0; i < SUBJECT_N && rc == 0; i++)
		if (names[i].text.len > 0)
			rc = gnutls_x509_crq_set_dn_by_oid(crq, names[i].oid, 0,
			    names[i].text.ptr, (unsigned)names[i].text.len);
	if (rc == 0)
		rc = gnutls_x509_crq_set_pubkey(crq, pub);
	if (rc == 0)
		rc = gnutls_x509_crq_privkey_sign(
		    crq, key, GNUTLS_DIG_SHA256, 0);
	return rc;
}

static int
request(const struct cert_key *from, const struct cert_subject *subject,
    struct buf *pem, struct err *err)
{
	gnutls_x509_crq_t crq;
	gnutls_privkey_t key;
	gnutls_pubkey_t pub;
	gnutls_datum_t out;
	int rc = load_pair(from, &key, &pub);

	if (rc < 0)
		return failed(err, "load the private key", rc);
	rc = gnutls_x509_crq_init(&crq);
	if (rc == 0) {
		rc = sign_request(crq, key, pub, subject);
		if (rc == 0)
			rc = gnutls_x509_crq_export2(
			    crq, GNUTLS_X509_FMT_PEM, &out);
		gnutls_x509_crq_deinit(crq);
	}
	gnutls_pubkey_deinit(pub);
	gnutls_privkey_deinit(key);
	if (rc < 0)
		return failed(err, "sign the request", rc);
	add_datum(pem, &out);
	return 0;
}

/* --- reading ------------------------------------------------------------- */

/* "CN=a, O=b", in the order of the certificate. */
static struct str
name_text(struct arena *a, gnutls_x509_dn_t dn)
{
	struct buf text = { 0 };
	gnutls_x509_ava_st ava;
	struct str ret;

	for (int i = 0; gnutls_x509_dn_get_rdn_ava(dn, i, 0, &ava) == 0; i++) {
		/* the OID is not ended by a NUL */
		struct str oid = { (char *)ava.oid.data, ava.oid.size };
		char *z = str_dupz(oid);
		const char *name =
		    gnutls_x509_dn_oid_name(z, GNUTLS_X509_DN_OID_RETURN_OID);

		buf_addf(&text, "%s%s=", i > 0 ? ", " : "", name);
		buf_add(&text, ava.value.data, ava.value.size);
		free(z);
	}
	ret = arena_str(a, text.len > 0 ? buf_str(&text) : STR(""));
	buf_free(&text);
	return ret;
}

static int
import(struct str pem, gnutls_x509_crt_t *ret)
{
	const gnutls_datum_t in = datum(pem);
	int rc = gnutls_x509_crt_init(ret);

	if (rc < 0)
		return rc;
	rc = gnutls_x509_crt_import(*ret, &in, GNUTLS_X509_FMT_PEM);
	if (rc < 0)
		gnutls_x509_crt_deinit(*ret);
	return rc;
}

static int
read_cert(
    struct arena *a, struct str pem, struct cert_about *ret, struct err *err)
{
	unsigned char bytes[64];
	size_t len = sizeof(bytes);
	gnutls_x509_crt_t crt;
	gnutls_x509_dn_t dn;
	int rc = import(pem, &crt);

	if (rc < 0)
		return failed(err, "read the certificate", rc);
	ret->from_s = gnutls_x509_crt_get_activation_time(crt);
	ret->until_s = gnutls_x509_crt_get_expiration_time(crt);
	rc = gnutls_x509_crt_get_subject(crt, &dn);
	if (rc == 0) {
		ret->subject = name_text(a, dn);
		rc = gnutls_x509_crt_get_issuer(crt, &dn);
	}
	if (rc == 0) {
		ret->issuer = name_text(a, dn);
		rc = gnutls_x509_crt_get_serial(crt, bytes, &len);
	}
	if (rc == 0) {
		ret->serial = arena_str(a, (struct str){ (char *)bytes, len });
		len = sizeof(bytes);
		rc = gnutls_x509_crt_get_fingerprint(
		    crt, GNUTLS_DIG_SHA1, bytes, &len);
	}
	if (rc == 0)
		ret->sha1 = arena_str(a, (struct str){ (char *)bytes, len });
	gnutls_x509_crt_deinit(crt);
	return rc == 0 ? 0 : failed(err, "read the certificate", rc);
}

static bool
belong(const struct cert_key *from, struct str pem)
{
	unsigned char ids[2][64];
	size_t lens[2] = { sizeof(ids[0]), sizeof(ids[1]) };
	gnutls_x509_crt_t crt;
	gnutls_privkey_t key;
	gnutls_pubkey_t pub;
	bool ok = false;

	if (load_pair(from, &key, &pub) < 0)
		return false;
	if (import(pem, &crt) == 0) {
		ok = gnutls_pubkey_get_key_id(
			 pub, GNUTLS_KEYID_USE_SHA256, ids[0], &lens[0]) == 0 &&
		    gnutls_x509_crt_get_key_id(
			crt, GNUTLS_KEYID_USE_SHA256, ids[1], &lens[1]) == 0 &&
		    str_eq((struct str){ (char *)ids[0], lens[0] },
			(struct str){ (char *)ids[1], lens[1] });
		gnutls_x509_crt_deinit(crt);
	}
	gnutls_pubkey_deinit(pub);
	gnutls_privkey_deinit(key);
	return ok;
}

static int
add_as_pem(gnutls_pkcs7_t all, int i, struct buf *pem)
{
	gnutls_datum_t der, text;
	int rc = gnutls_pkcs7_get_crt_raw2(all, (unsigned)i, &der);

	if (rc < 0)
		return rc;
	rc = gnutls_pem_base64_encode2("CERTIFICATE", &der, &text);
	gnutls_free(der.data);
	if (rc == 0)
		add_datum(pem, &text);
	return rc;
}

static int
from_pkcs7(struct str der, struct buf *pem, struct err *err)
{
	const gnutls_datum_t in = datum(der);
	gnutls_pkcs7_t all;
	int n = 0, rc = gnutls_pkcs7_init(&all);

	if (rc < 0)
		return failed(err, "read the answer", rc);
	rc = gnutls_pkcs7_import(all, &in, GNUTLS_X509_FMT_DER);
	if (rc == 0)
		n = gnutls_pkcs7_get_crt_count(all);
	if (n < 0)
		rc = n;
	for (int i = 0; i < n && rc == 0; i++)
		rc = add_as_pem(all, i, pem);
	gnutls_pkcs7_deinit(all);
	if (rc < 0)
		return failed(err, "read the answer", rc);
	return n > 0 ? 0
		     : err_set(err, ERR_PROTO,
			   "read the answer: there is no certificate in it");
}

const struct cert_maker cert_maker = {
	.new_key = new_key,
	.self_sign = self_sign,
	.request = request,
	.read = read_cert,
	.belong = belong,
	.from_pkcs7 = from_pkcs7,
};
