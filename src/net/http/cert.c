/*
 * net/http/cert.c - see cert.h.
 */
#include "net/http/cert.h"

#include "base/mem.h"

#include <gnutls/x509.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct pair {
	gnutls_x509_crt_t *chain; /* owned, allocated by GnuTLS */
	unsigned n;
	gnutls_x509_privkey_t key;
};

struct http_cert {
	pthread_mutex_t lock;
	struct pair now; /* guarded by `lock` */
};

static void
pair_fini(struct pair *p)
{
	for (unsigned i = 0; i < p->n; i++)
		gnutls_x509_crt_deinit(p->chain[i]);
	gnutls_free(p->chain);
	if (p->key != NULL)
		gnutls_x509_privkey_deinit(p->key);
}

static gnutls_datum_t
datum_of(const char *z)
{
	return (gnutls_datum_t){ (unsigned char *)z, (unsigned)strlen(z) };
}

/* Credentials are only made because they check that both fit. */
static int
pair_read(struct pair *ret, const char *cert, const char *key, struct err *err)
{
	gnutls_datum_t c = datum_of(cert), k = datum_of(key);
	gnutls_certificate_credentials_t creds;
	struct pair p = { 0 };
	int rc = gnutls_certificate_allocate_credentials(&creds);

	if (rc < 0)
		abort(); /* out of memory */
	rc = gnutls_certificate_set_x509_key_mem2(
	    creds, &c, &k, GNUTLS_X509_FMT_PEM, NULL, 0);
	if (rc >= 0)
		rc = gnutls_certificate_get_x509_crt(creds, 0, &p.chain, &p.n);
	if (rc >= 0)
		rc = gnutls_certificate_get_x509_key(creds, 0, &p.key);
	gnutls_certificate_free_credentials(creds);
	if (rc < 0) {
		pair_fini(&p);
		return err_set(err, ERR_PARAM, "%s", gnutls_strerror(rc));
	}
	*ret = p;
	return 0;
}

int
http_cert_new(
    const char *cert, const char *key, struct http_cert **ret, struct err *err)
{
	struct pair p;
	int rc = pair_read(&p, cert, key, err);

	if (rc != 0)
		return rc;
	*ret = mem_new(struct http_cert);
	pthread_mutex_init(&(*ret)->lock, NULL);
	(*ret)->now = p;
	return 0;
}

void
http_cert_free(struct http_cert *c)
{
	if (c == NULL)
		return;
	pair_fini(&c->now);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

int
http_cert_replace(
    struct http_cert *c, const char *cert, const char *key, struct err *err)
{
	struct pair old, p;
	int rc = pair_read(&p, cert, key, err);

	if (rc != 0)
		return rc;
	pthread_mutex_lock(&c->lock);
	old = c->now;
	c->now = p;
	pthread_mutex_unlock(&c->lock);
	pair_fini(&old);
	return 0;
}

static int
copy_key(const struct pair *p, gnutls_privkey_t *ret)
{
	int rc = gnutls_privkey_init(ret);

	if (rc < 0)
		return rc;
	rc = gnutls_privkey_import_x509(
	    *ret, p->key, GNUTLS_PRIVKEY_IMPORT_COPY);
	if (rc < 0)
		gnutls_privkey_deinit(*ret);
	return rc;
}

static int
copy_chain(const struct pair *p, gnutls_pcert_st **ret)
{
	gnutls_pcert_st *all = gnutls_calloc(p->n, sizeof(*all));
	unsigned n = 0;
	int rc = all != NULL ? 0 : GNUTLS_E_MEMORY_ERROR;

	while (rc >= 0 && n < p->n) {
		rc = gnutls_pcert_import_x509(&all[n], p->chain[n], 0);
		n += rc >= 0;
	}
	if (rc >= 0) {
		*ret = all;
		return 0;
	}
	while (n > 0)
		gnutls_pcert_deinit(&all[--n]);
	gnutls_free(all);
	return rc;
}

int
http_cert_copy(struct http_cert *c, gnutls_pcert_st **chain, unsigned *n,
    gnutls_privkey_t *key)
{
	int rc;

	pthread_mutex_lock(&c->lock);
	rc = copy_key(&c->now, key);
	if (rc >= 0) {
		*n = c->now.n;
		rc = copy_chain(&c->now, chain);
		if (rc < 0)
			gnutls_privkey_deinit(*key);
	}
	pthread_mutex_unlock(&c->lock);
	return rc;
}
