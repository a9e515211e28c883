/*
 * net/tls_token.h - keys that lie in a PKCS#11 token and never leave it. The
 * token is reached by a library, or by a process that has it
 * (net/token_ask.h).
 */
#ifndef NET_TLS_TOKEN_H
#define NET_TLS_TOKEN_H

#include "base/err.h"

#include <stddef.h>

/* Loads the PKCS#11 library at `module`, once for the process; NULL: those that
 * the system is set up with. */
int tls_token_use(const char *module, struct err *err);

#define TLS_TOKEN_SOCKET "unix:" /* a module so called is a socket */

/* Prepares for the key `uri` of `module`, and returns what GnuTLS knows it by,
 * which the caller frees. NULL: it can not be reached. [any thread] */
char *tls_token_url(const char *module, const char *uri, struct err *err);

/* A gnutls_pin_callback_t whose data is the PIN. It is tried once: a token
 * locks itself after some wrong ones. */
int tls_token_pin(void *pin, int attempt, const char *url, const char *label,
    unsigned flags, char *ret, size_t size);

#endif
