/*
 * edge/cert.c - see cert.h. What needs no cryptography.
 */
#include "edge/cert.h"

#include "edge/tls_module.h"

#include <string.h>

#define ALLOWED "'=(),-.?%*_!@"

const struct cert_maker *
cert_with(struct err *err)
{
	const struct tls_module *m = tls_module(err);

	return m == NULL ? NULL : m->cert;
}

static bool
is_allowed(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	    (c >= '0' && c <= '9') || (c != '\0' && strchr(ALLOWED, c) != NULL);
}

int
cert_check_id(struct str id, struct err *err)
{
	if (id.len == 0)
		return err_set(err, ERR_PARAM,
		    "The empty string cannot be used as a name");
	if (id.len > CERT_ID_MAX)
		return err_set(err, ERR_PARAM,
		    "The string '\"" STR_FMT
		    "\"' is more than 64 characters long and cannot be used as "
		    "a name",
		    STR_ARG(id));
	for (size_t i = 0; i < id.len; i++)
		if (!is_allowed(id.ptr[i]))
			return err_set(err, ERR_PARAM,
			    "The string '\"" STR_FMT
			    "\"' contains characters which cannot be used in a "
			    "name [use only A-Z, a-z, 0-9, ' = ( ) , - . ? %% "
			    "* _ ! @]",
			    STR_ARG(id));
	return 0;
}
