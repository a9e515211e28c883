/*
 * net/tls_trust.h - the authorities that one server's certificate needs, picked
 * out of many.
 *
 * A system trusts some 140 authorities; all of them in memory are 4 MiB, for a
 * device that speaks to one cloud. Here the file, or each file of the folder,
 * is looked through when a certificate is to be checked, and only those are
 * kept, until it is checked, that may have signed it.
 */
#ifndef NET_TLS_TRUST_H
#define NET_TLS_TRUST_H

#include "base/err.h"

#include <gnutls/x509.h>

/* 0, or an error of GnuTLS; `*status` is of gnutls_certificate_status_t: 0 if
 * the chain (DER, the server's own first) is that of `host` and ends at an
 * authority in `path`. */
int tls_trust_verify(const char *path, const gnutls_datum_t *chain, unsigned n,
    const char *host, unsigned *status);

#endif
