/*
 * app/cli/token.h - where the command line keeps its tokens.
 *
 * A file of the form {"accessToken":"...","refreshToken":"..."}. Under the name
 * sylvia-iot-coremgr-cli it is ~/.sylvia-iot-coremgr-cli.json (the current
 * folder's when there is no home), under any other name marram/token.json below
 * $XDG_CONFIG_HOME or ~/.config; the former is then read when there is no
 * latter. It is readable by its owner only and replaced as a whole.
 */
#ifndef APP_CLI_TOKEN_H
#define APP_CLI_TOKEN_H

#include "base/arena.h"
#include "base/err.h"

#include <stdbool.h>

struct tokens {
	struct str access, refresh; /* STR_NULL: there is none */
};

/* What is kept, or nothing. ERR_PARAM: the file can not be understood. */
int tokens_load(
    bool old_name, struct arena *a, struct tokens *ret, struct err *err);
int tokens_store(bool old_name, const struct tokens *t, struct err *err);

#endif
