/*
 * app/cli/request.h - from a command and its values to an HTTP request.
 */
#ifndef APP_CLI_REQUEST_H
#define APP_CLI_REQUEST_H

#include "app/cli/words.h"

struct cli_request {
	const char *method;
	struct str
	    path; /* with its query: "/coremgr/api/v1/unit/list?limit=5" */
	struct str body; /* JSON; STR_NULL: none */
};

/* Everything is in `a`. ERR_PARAM: a value is not of its type. */
int cli_request_build(const struct cli_command *c,
    const struct cli_value *values, struct arena *a, struct cli_request *ret,
    struct err *err);

#endif
