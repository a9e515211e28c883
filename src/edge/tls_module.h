/*
 * edge/tls_module.h - what is loaded when TLS or a certificate is first needed:
 * marram-edge-tls.so, in which GnuTLS is. A device that speaks to nobody by TLS
 * does not pay for it.
 *
 * The program's own net/tls.h (edge/tls_late.c) and the second half of
 * edge/cert.h stand for it.
 */
#ifndef EDGE_TLS_MODULE_H
#define EDGE_TLS_MODULE_H

#include "edge/cert.h"
#include "edge/hsm.h"
#include "net/tls.h"

#define TLS_MODULE_VERSION 3
#define TLS_MODULE_NAME "marram-edge-tls"
#define TLS_MODULE_SYMBOL "marram_edge_tls"

struct tls_module {
	unsigned version;

	/* net/tls.h */
	int (*server_new)(const struct tls_server_conf *conf,
	    struct tls_server **ret, struct err *err);
	void (*server_free)(struct tls_server *t);
	int (*server_reload)(struct tls_server *t,
	    const struct tls_server_conf *conf, struct err *err);
	struct stream *(*server_stream)(
	    struct tls_server *t, struct stream *below, struct err *err);
	int (*client_new)(const struct tls_client_conf *conf,
	    struct tls_client **ret, struct err *err);
	void (*client_free)(struct tls_client *t);
	struct stream *(*client_stream)(struct tls_client *t,
	    struct stream *below, const char *host, struct err *err);
	bool (*is_up)(const struct stream *s);
	bool (*is_resumed)(const struct stream *s);
	int (*peer)(
	    const struct stream *s, enum tls_peer which, struct buf *ret);
	int (*key)(const struct stream *s, struct buf *ret);
	int (*thumbprint)(const struct stream *s, struct buf *ret);
	enum tls_fault (*fault)(const struct stream *s);
	void (*about)(const struct stream *s, struct buf *ret);
	void (*why)(const struct stream *s, struct buf *ret);
	void (*alpn)(const struct stream *s, struct buf *ret);

	/* edge/cert.h */
	const struct cert_maker *cert;

	/* edge/hsm.h */
	const struct hsm *hsm;
};

extern const struct tls_module marram_edge_tls; /* within it */

/* Loads it at the first call. NULL: it is not there, with a sentence. */
const struct tls_module *tls_module(struct err *err);

#endif
