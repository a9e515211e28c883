/*
 * edge/fetch.h - HTTP for the device: a file is brought, or taken away, or
 * something is asked and answered.
 *
 * Runs beside the loop. A password or token in the request never reaches a log,
 * an error's sentence or the list of processes.
 *
 * Belongs to one loop and is used on that loop's thread only.
 */
#ifndef EDGE_FETCH_H
#define EDGE_FETCH_H

#include "base/err.h"
#include "base/loop.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct fetch;

/* Whom to trust, what to show, through whom; NULL or STR_NULL: nothing of it.
 */
struct fetch_conf {
	struct str ca_file, ca_dir, cert_file, key_file;
	struct str proxy, proxy_user, proxy_password, no_proxy;
};

struct fetch_request {
	struct str url;    /* http: or https: */
	struct str bearer; /* the token of "Authorization: Bearer"; STR_NULL */
	struct str user, password; /* of "Authorization: Basic"; STR_NULL */
	const char *method;        /* NULL: GET, or with `put` PUT */

	/* A file: a GET is written there; with `put` it is sent from there,
	 * piece by piece. NULL: none. */
	const char *path;
	bool put;

	struct str body;         /* what is sent, if no file is; no NULs */
	struct str type, accept; /* Content-Type, Accept; STR_NULL: none */
	struct strs headers;     /* more of them, "Name: value" */

	/* The answer, if it does not go to a file, is kept up to this many
	 * bytes; 0: it is not wanted. */
	size_t answer_max;
	uint64_t max_size;  /* of a GET; 0: what leaves 16 MiB free there */
	int64_t timeout_ms; /* of all; 0: only silence for 60 s ends it */
	const struct fetch_conf *conf; /* lent; NULL: none */
};

struct fetch_end {
	int status; /* of the answer; 0: there was none */
	/* 0: it is done. ERR_NOT_FOUND (404, 410), ERR_DENIED (401, 403),
	 * ERR_EXISTS (409), ERR_LIMIT, ERR_IO; the sentence names the URL. Of a
	 * GET that failed nothing is left at `path`. */
	struct err err;
	struct str body; /* the answer, of a failure, too; lent */
};

/* Copies the request. `done` is called once, never before this returns; the
 * fetch is forgotten behind it. ERR_PARAM: not such a URL. */
int fetch_start(struct loop *loop, const struct fetch_request *request,
    void (*done)(void *ctx, const struct fetch_end *end), void *ctx,
    struct fetch **ret, struct err *err);
/* Ends it now; done() is not called. NULL is fine. */
void fetch_free(struct fetch *f);
/* The same, waited for: for commands. Adds the answer to `answer`, which may be
 * NULL. Returns end.err.code. */
int fetch_wait(const struct fetch_request *request, int *status,
    struct buf *answer, struct err *err);

/* A file of certificates, or a folder of them, becomes whom to trust. */
void fetch_conf_trust(struct str path, struct fetch_conf *ret);

struct cloud;
/* How a cloud is reached by HTTP: whom it is trusted by, through which proxy.
 * Lent by the settings. */
void fetch_conf_of(const struct cloud *cloud, struct fetch_conf *ret);
/* The same of the device's own servers, which may speak HTTPS and want to see a
 * certificate; they are not behind the way to the clouds. */
void fetch_conf_local(const struct cloud *cloud, struct fetch_conf *ret);

/* The URL without user, password, query and fragment, for people and logs. */
void fetch_url_text(struct str url, struct buf *out);

#endif
