/*
 * app/cli/fetch.h - one HTTP request and its answer.
 *
 * Blocks. Redirects are not followed: the login reads them.
 */
#ifndef APP_CLI_FETCH_H
#define APP_CLI_FETCH_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#define FETCH_BODY_MAX (256 * 1024 * 1024)

struct fetch {
	const char *method;
	struct str url;
	struct str token; /* for Authorization: Bearer; STR_NULL: none */
	const char *type; /* of the body: FETCH_JSON, FETCH_FORM */
	struct str body;  /* STR_NULL: none */
	int to; /* a descriptor that gets the body of an answer 200, of any
		 * length; 0: it comes in the answer */
};
#define FETCH_ZIP "application/zip"
#define FETCH_BYTES "application/octet-stream"
#define FETCH_JSON "application/json"
#define FETCH_FORM "application/x-www-form-urlencoded"

/* All of it in the arena that fetch_run() was given. */
struct fetched {
	long status;
	struct str body;
	struct str type, location, disposition; /* STR_NULL: no such header */
};

/* ERR_CLOSED: nobody answers, and the sentence says what to do. ERR_LIMIT: the
 * answer is longer than FETCH_BODY_MAX. ERR_PROTO: anything else that kept it
 * from coming. A status of 400 and above is no error here. */
int fetch_run(const struct fetch *f, struct arena *a, struct fetched *ret,
    struct err *err);

#endif
