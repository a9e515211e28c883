/*
 * edge/cert.h - the device's own key and certificate.
 *
 * The key is of the curve P-256. The certificate is signed by itself, or by
 * whoever is shown a signing request. A cloud only takes a self-signed one that
 * is an authority (CA: true), and it is good from yesterday on: clocks of
 * devices, and those of clouds, differ.
 *
 * The key lies in a file that is written once and readable to its owner alone,
 * or in a PKCS#11 token; then its URI stands for it.
 */
#ifndef EDGE_CERT_H
#define EDGE_CERT_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define CERT_ID_MAX 64

/* May a device be called so? ERR_PARAM with the sentence that thin-edge.io has
 * for it. */
int cert_check_id(struct str id, struct err *err);

/* --- made by the module (edge/tls_module.h) ------------------------------- */

struct cert_subject {
	struct str id, organization, unit; /* CN, O, OU */
};

struct cert_about {
	struct str subject, issuer; /* "CN=a, O=b" in the certificate's order */
	int64_t from_s, until_s;    /* since 1970 */
	struct str serial;          /* bytes, the highest first */
	struct str sha1;            /* of the DER, 20 bytes */
};

/* Of the device's own, lent for the call. */
struct cert_key {
	struct str text;          /* PEM, or a URI that begins with "pkcs11:" */
	const char *module, *pin; /* of the token; NULL: the system's, none */
};

struct cert_maker {
	int (*new_key)(struct buf *pem, struct err *err);
	int (*self_sign)(const struct cert_key *key,
	    const struct cert_subject *subject, int64_t from_s, int64_t until_s,
	    struct buf *pem, struct err *err);
	/* A signing request. */
	int (*request)(const struct cert_key *key,
	    const struct cert_subject *subject, struct buf *pem,
	    struct err *err);
	/* The first certificate in `pem`. Texts in `a`. */
	int (*read)(struct arena *a, struct str pem, struct cert_about *ret,
	    struct err *err);
	/* Is the certificate that of this key? */
	bool (*belong)(const struct cert_key *key, struct str pem);
	/* The certificates in a PKCS#7 answer (DER), in its order. */
	int (*from_pkcs7)(struct str der, struct buf *pem, struct err *err);
};

extern const struct cert_maker cert_maker; /* within the module */

/* NULL: the module can not be loaded; the sentence says why. */
const struct cert_maker *cert_with(struct err *err);

#endif
