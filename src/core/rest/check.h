/*
 * core/rest/check.h - what names, codes and addresses may look like.
 *
 * Each fits `check` of a field row: 0, or ERR_PARAM with the reason.
 */
#ifndef CORE_REST_CHECK_H
#define CORE_REST_CHECK_H

#include "base/err.h"
#include "base/str.h"

/* a-z 0-9 first, then also "_" and "-". One that is an operation of some path
 * ("count", "list", ...) is refused. */
int check_code(struct str s, struct err *err);
int check_profile(struct str s, struct err *err); /* a code, or empty */
int check_account(struct str s, struct err *err); /* a code or an e-mail */
int check_scope(struct str s, struct err *err);   /* words joined by "." */
int check_url(struct str s, struct err *err);     /* absolute */
int check_filled(struct str s, struct err *err);  /* not empty */

/* Is a member of JSON of this name (in any case) a secret: nothing that is
 * shown or logged? */
bool is_secret_name(struct str name);

#endif
