/*
 * edge/command/cert_private.h - what the files of `cert ...` share: one call,
 * and the files it is about.
 */
#ifndef EDGE_COMMAND_CERT_PRIVATE_H
#define EDGE_COMMAND_CERT_PRIVATE_H

#include "base/arena.h"
#include "edge/cert.h"
#include "edge/command.h"
#include "edge/device_key.h"

struct cert_job {
	struct command_call *call;
	struct config *config;
	struct arena arena;
	struct cloud cloud; /* `name` NULL: of no cloud */
	const char *cert_path, *csr_path;
	struct device_key key;
	struct buf secret; /* the key, once it was read */
	const struct cert_maker *maker;
	struct err err;
};

/* `cloud` NULL: of none. False: it has told. */
bool cert_begin(struct cert_job *j, struct command_call *c, const char *cloud);
/* Returns the exit status. */
int cert_end(struct cert_job *j, int rc, const char *doing);

/* Who it is for: as given, else as it is set. */
int cert_device_id(struct cert_job *j, struct str *ret);
/* For whom the certificate is that there is. */
int cert_common_name(struct cert_job *j, struct str *ret);
/* ERR_EXISTS: there is one already. */
int cert_must_be_new(struct cert_job *j, const char *what, const char *path);
/* ERR_NOT_FOUND: there is none. */
int cert_read_own(struct cert_job *j, struct buf *pem);
/* Reads it, if it is in a file. Lent until cert_end(). */
int cert_read_key(struct cert_job *j, struct cert_key *ret);
/* A signing request, of the key that is there or of a new one. */
int cert_make_request(
    struct cert_job *j, struct str id, const char *path, struct buf *pem);
/* In place of whatever is there; nothing secret. */
int cert_put(struct cert_job *j, const char *path, struct str text);

/* --- cert_cloud.c --------------------------------------------------------- */

/* A new certificate of the key that there is, from Cumulocity. */
int cert_reenroll(struct cert_job *j, struct str id, struct buf *pem);
int cert_upload(struct command_call *c);
int cert_download(struct command_call *c);

#endif
