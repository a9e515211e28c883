/*
 * net/tls_token.h - keys that lie in a PKCS#11 token and never leave it.
 */
#ifndef NET_TLS_TOKEN_H
#define NET_TLS_TOKEN_H

#include "base/err.h"

#include <stddef.h>

/* Loads the PKCS#11 library at `module`, once for the process; NULL: those that
 * the system is set up with. */
int tls_token_use(const char *module, struct err *err);

/* A gnutls_pin_callback_t whose data is the PIN. It is tried once: a token
 * locks itself after some wrong ones. */
int tls_token_pin(void *pin, int attempt, const char *url, const char *label,
    unsigned flags, char *ret, size_t size);

#endif
