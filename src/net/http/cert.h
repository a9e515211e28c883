/*
 * net/http/cert.h - the certificate of HTTPS and its key, to be replaced while
 * connections go on.
 *
 * Each handshake gets copies of its own, so none holds on to what is replaced.
 */
#ifndef NET_HTTP_CERT_H
#define NET_HTTP_CERT_H

#include "base/err.h"

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>

struct http_cert;

/* Both are PEM; the chain is behind the certificate. ERR_PARAM: they can not be
 * read, or do not belong together. */
int http_cert_new(
    const char *cert, const char *key, struct http_cert **ret, struct err *err);
void http_cert_free(struct http_cert *c); /* NULL is fine */

/* From now on these. On failure all stays as it was. [any thread] */
int http_cert_replace(
    struct http_cert *c, const char *cert, const char *key, struct err *err);

/* What gnutls_certificate_retrieve_function3 is to hand out; GnuTLS frees it.
 * Negative: an error of GnuTLS. [any thread] */
int http_cert_copy(struct http_cert *c, gnutls_pcert_st **chain, unsigned *n,
    gnutls_privkey_t *key);

#endif
