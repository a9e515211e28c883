/*
 * net/tls_token.c - see tls_token.h.
 */
#include "net/tls_token.h"

#include "base/str.h"
#include "net/tls_remote.h"

#include <gnutls/gnutls.h>
#include <gnutls/pkcs11.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define MODULES_MAX 4

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char *loaded[MODULES_MAX]; /* guarded by `lock`; for good */

static int
failed(struct err *err, const char *module, int rc)
{
	return err_set(err, ERR_PARAM, "load the PKCS#11 library %s: %s",
	    module == NULL ? "of the system" : module, gnutls_strerror(rc));
}

static int
load(const char *module, struct err *err)
{
	size_t i = 0;
	int rc;

	while (i < MODULES_MAX && loaded[i] != NULL)
		if (strcmp(loaded[i++], module) == 0)
			return 0;
	if (i == MODULES_MAX)
		return err_set(err, ERR_LIMIT,
		    "load the PKCS#11 library %s: %d are loaded already",
		    module, MODULES_MAX);
	/* Else GnuTLS would load, at the first use of a token, all that the
	 * system knows of. */
	rc = gnutls_pkcs11_init(GNUTLS_PKCS11_FLAG_MANUAL, NULL);
	if (rc == 0)
		rc = gnutls_pkcs11_add_provider(module, NULL);
	if (rc < 0)
		return failed(err, module, rc);
	loaded[i] = str_dupz(str_of(module));
	return 0;
}

int
tls_token_use(const char *module, struct err *err)
{
	int rc;

	if (module == NULL) {
		rc = gnutls_pkcs11_init(GNUTLS_PKCS11_FLAG_AUTO, NULL);
		return rc < 0 ? failed(err, module, rc) : 0;
	}
	pthread_mutex_lock(&lock);
	rc = load(module, err);
	pthread_mutex_unlock(&lock);
	return rc;
}

char *
tls_token_url(const char *module, const char *uri, struct err *err)
{
	if (module != NULL && str_starts(str_of(module), STR(TLS_TOKEN_SOCKET)))
		return tls_remote_url(
		    module + strlen(TLS_TOKEN_SOCKET), uri, err);
	return tls_token_use(module, err) == 0 ? str_dupz(str_of(uri)) : NULL;
}

int
tls_token_pin(void *pin, int attempt, const char *url, const char *label,
    unsigned flags, char *ret, size_t size)
{
	size_t len = pin == NULL ? 0 : strlen(pin);

	(void)url;
	(void)label;
	if (len == 0 || len >= size || attempt > 0 ||
	    (flags & (GNUTLS_PIN_WRONG | GNUTLS_PIN_FINAL_TRY)) != 0)
		return GNUTLS_E_PKCS11_PIN_ERROR;
	memcpy(ret, pin, len + 1);
	return 0;
}
