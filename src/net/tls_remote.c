/*
 * net/tls_remote.c - see tls_remote.h. To GnuTLS such a key is a URL of our
 * own, "p11-socket:PATH|URI": where it imports one, it gets callbacks that ask.
 */
#include "net/tls_remote.h"

#include "base/mem.h"
#include "net/token_ask.h"

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/urls.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SCHEME "p11-socket:"

struct remote {
	char *path, *uri;
	gnutls_pk_algorithm_t pk;
	unsigned bits;
	bool pss;
	struct buf pub; /* PEM */
};

static void
remote_free(struct remote *r)
{
	free(r->path);
	free(r->uri);
	buf_free(&r->pub);
	free(r);
}

static int
ask(const struct remote *r, const char *what, struct str more,
    struct buf *answer, struct err *err)
{
	struct buf request = { 0 };
	int rc;

	token_add(&request, "do", str_of(what));
	if (r->uri[0] != '\0')
		token_add(&request, "uri", str_of(r->uri));
	buf_add_str(&request, more);
	rc = token_ask(r->path, buf_str(&request), answer, err);
	buf_free(&request);
	return rc;
}

static int
remote_new(
    const char *path, const char *uri, struct remote **ret, struct err *err)
{
	struct remote *r = mem_new(struct remote);
	struct buf answer = { 0 };
	struct str text;
	uint64_t bits = 0;
	int rc;

	r->path = str_dupz(str_of(path));
	r->uri = str_dupz(str_of(uri));
	rc = ask(r, "about", STR(""), &answer, err);
	text = buf_str(&answer);
	if (rc == 0 &&
	    (!str_to_u64(token_line(text, "bits"), &bits) ||
		!base64_decode(&r->pub, token_line(text, "pub"))))
		rc = err_set(err, ERR_IO, "the answer of %s is none", path);
	r->bits = (unsigned)bits;
	r->pk = str_eqz(token_line(text, "pk"), "rsa") ? GNUTLS_PK_RSA
						       : GNUTLS_PK_ECDSA;
	r->pss = str_eqz(token_line(text, "pss"), "yes");
	buf_free(&answer);
	if (rc != 0) {
		remote_free(r);
		return rc;
	}
	*ret = r;
	return 0;
}

static int
sign(const struct remote *r, gnutls_sign_algorithm_t algo, bool hashed,
    const gnutls_datum_t *data, gnutls_datum_t *ret)
{
	const char *name = gnutls_sign_get_name(algo);
	struct buf more = { 0 }, answer = { 0 }, sig = { 0 };
	int rc = GNUTLS_E_PK_SIGN_FAILED;
	struct err err;

	token_add(&more, "algorithm", str_of(name != NULL ? name : ""));
	buf_addz(&more, hashed ? "hash " : "data ");
	base64_encode(&more, data->data, data->size, false);
	buf_addc(&more, '\n');
	if (ask(r, "sign", buf_str(&more), &answer, &err) == 0 &&
	    base64_decode(&sig, token_line(buf_str(&answer), "signature")) &&
	    (ret->data = gnutls_malloc(sig.len + 1)) != NULL) {
		memcpy(ret->data, sig.ptr, sig.len);
		ret->size = (unsigned)sig.len;
		rc = 0;
	}
	buf_free(&more);
	buf_free(&answer);
	buf_free(&sig);
	return rc;
}

static int
sign_data(gnutls_privkey_t key, gnutls_sign_algorithm_t algo, void *remote,
    unsigned flags, const gnutls_datum_t *data, gnutls_datum_t *ret)
{
	(void)key;
	(void)flags;
	return sign(remote, algo, false, data, ret);
}

static int
sign_hash(gnutls_privkey_t key, gnutls_sign_algorithm_t algo, void *remote,
    unsigned flags, const gnutls_datum_t *hash, gnutls_datum_t *ret)
{
	(void)key;
	(void)flags;
	return sign(remote, algo, true, hash, ret);
}

static int
info(gnutls_privkey_t key, unsigned flags, void *remote)
{
	const struct remote *r = remote;
	gnutls_sign_algorithm_t algo;
	gnutls_pk_algorithm_t pk;

	(void)key;
	if (flags & GNUTLS_PRIVKEY_INFO_PK_ALGO)
		return (int)r->pk;
	if (flags & GNUTLS_PRIVKEY_INFO_PK_ALGO_BITS)
		return (int)r->bits;
	if (!(flags & GNUTLS_PRIVKEY_INFO_HAVE_SIGN_ALGO))
		return -1;
	algo = GNUTLS_FLAGS_TO_SIGN_ALGO(flags);
	pk = gnutls_sign_get_pk_algorithm(algo);
	if (pk == GNUTLS_PK_RSA_PSS) /* it is for those whose key says so */
		return r->pss &&
		    gnutls_sign_supports_pk_algorithm(algo, GNUTLS_PK_RSA);
	return gnutls_sign_supports_pk_algorithm(algo, r->pk) != 0;
}

static void
on_deinit(gnutls_privkey_t key, void *remote)
{
	(void)key;
	remote_free(remote);
}

static int
open_url(const char *url, struct remote **ret)
{
	const char *bar = strchr(url, '|');
	struct err err;
	char *path;
	int rc;

	if (bar == NULL || strncmp(url, SCHEME, strlen(SCHEME)) != 0)
		return GNUTLS_E_INVALID_REQUEST;
	path = str_dupz((struct str){
	    url + strlen(SCHEME), (size_t)(bar - url) - strlen(SCHEME) });
	rc = remote_new(path, bar + 1, ret, &err);
	free(path);
	return rc == 0 ? 0 : GNUTLS_E_PKCS11_ERROR;
}

static int
import_key(gnutls_privkey_t key, const char *url, unsigned flags)
{
	struct remote *r;
	int rc = open_url(url, &r);

	(void)flags;
	if (rc != 0)
		return rc;
	rc = gnutls_privkey_import_ext4(
	    key, r, sign_data, sign_hash, NULL, on_deinit, info, 0);
	if (rc < 0)
		remote_free(r);
	return rc;
}

static int
import_pub(gnutls_pubkey_t pub, const char *url, unsigned flags)
{
	struct remote *r;
	gnutls_datum_t pem;
	int rc = open_url(url, &r);

	(void)flags;
	if (rc != 0)
		return rc;
	pem = (gnutls_datum_t){ (unsigned char *)r->pub.ptr,
		(unsigned)r->pub.len };
	rc = gnutls_pubkey_import(pub, &pem, GNUTLS_X509_FMT_PEM);
	remote_free(r);
	return rc;
}

static void
register_scheme(void)
{
	static const gnutls_custom_url_st scheme = {
		.name = SCHEME,
		.name_size = sizeof(SCHEME) - 1,
		.import_key = import_key,
		.import_pubkey = import_pub,
	};

	(void)gnutls_register_custom_url(&scheme);
}

char *
tls_remote_url(const char *path, const char *uri, struct err *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct remote *r;

	(void)pthread_once(&once, register_scheme);
	if (remote_new(path, uri, &r, err) != 0)
		return NULL;
	remote_free(r);
	return mem_printf(SCHEME "%s|%s", path, uri);
}
