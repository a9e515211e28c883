/*
 * core/fleet/state_git.h - the program git, for what goes over the network.
 *
 * It is run with an argument vector, without a terminal to ask at, without the
 * settings of the machine and without hooks. It knows one remote, by its URL;
 * credentials are in its environment, for that URL alone.
 */
#ifndef CORE_FLEET_STATE_GIT_H
#define CORE_FLEET_STATE_GIT_H

#include "core/fleet/private.h"

struct fleet_git {
	struct fleet *f;
	struct str unit_id;
	const char *dir;           /* of the working tree */
	struct str url;            /* empty: nothing goes anywhere */
	struct str user, password; /* null: none; for http and https */
	int64_t
	    file_max; /* bytes of a file it writes: there it is ended; 0: any */
};

/* May `url` be a remote? ERR_PARAM: why not. */
int fleet_git_check(struct str url, struct err *err);

/* Runs `git ARGS`; NULL ends them. What it prints is in `out`, in `a`.
 * ERR_DENIED: the other side does not let us in. ERR_NOT_FOUND: there is no
 * repository, or no such branch. ERR_CLOSED: it can not be reached.
 * ERR_EXISTS: the other side has more than we know. ERR_IO: the rest. Each
 * sentence says what to do. */
int fleet_git_run(const struct fleet_git *g, const char *const *args,
    struct arena *a, struct str *out, struct err *err);

#endif
