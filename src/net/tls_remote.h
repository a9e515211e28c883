/*
 * net/tls_remote.h - to GnuTLS, a key that another process holds
 * (net/token_ask.h).
 */
#ifndef NET_TLS_REMOTE_H
#define NET_TLS_REMOTE_H

#include "base/err.h"

/* What GnuTLS takes for the key `uri` of the process behind the socket `path`,
 * for its import of private and public keys. The caller frees it. NULL: the
 * process is not there, or has no such key. [any thread] */
char *tls_remote_url(const char *path, const char *uri, struct err *err);

#endif
