/*
 * core/fleet/state.h - what the files of the part `state` share.
 *
 *    state.c          the repository of a unit: opening, writing, generating
 *    state_api.c      /state, /configuration, /tag, /order
 *    state_history.c  /repository/...
 *    state_remote.c   /remote/...: what is pushed and pulled
 *    state_backup.c   what of it is in backups
 *    state_gone.c     units that were deleted
 *    state_diff.c, state_undo.c  how states differ; taking back
 */
#ifndef CORE_FLEET_STATE_H
#define CORE_FLEET_STATE_H

#include "core/fleet/private.h"
#include "core/fleet/state_diff.h"
#include "plug/repo/repo.h"

#include <sys/stat.h>

#define STATE_MAX (32 << 20) /* bytes of state.json; and of a body with it */

/* The repository of a unit, while it is taken: its lock is held. */
struct fleet_repo {
	struct fleet *f;
	struct str unit_id;
	const char *dir; /* of the working tree */
	char *busy;      /* a file that is there while Git's files change */
	const struct repo_ops *ops;
	struct repo *git; /* NULL: it was not opened yet */

	struct buf text;   /* of state.json */
	struct stat seen;  /* of it, when it was read */
	struct err fault;  /* code not 0: it can not be read, and why */
	struct buf faults; /* of generating: a list of JSON, or empty */
};

/* Opens it at first use, and takes note of a state.json that somebody has
 * edited by hand: it is generated anew. Waits for others. */
int fleet_repo_take(struct fleet *f, struct str unit_id,
    struct fleet_repo **ret, struct err *err);
void fleet_repo_give(struct fleet_repo *r);
/* Takes it without looking at it: its files may be copied, or replaced when it
 * is closed; it is opened anew by who takes it next. */
struct fleet_repo *fleet_repo_lock(struct fleet *f, struct str unit_id);
void fleet_repo_close(struct fleet_repo *r);
/* What state.json says now, in `a`. ERR_PARAM: it can not be read. */
int fleet_repo_state(struct fleet_repo *r, struct arena *a,
    struct fleet_state *ret, struct err *err);
/* As of a commit. */
int fleet_repo_state_at(struct fleet_repo *r, struct str commit,
    struct arena *a, struct fleet_state *ret, struct err *err);
/* Checks it, writes it, generates what follows from it, takes that into the
 * index. When one of them fails all is as before. */
int fleet_repo_write(
    struct fleet_repo *r, const struct fleet_state *s, struct err *err);
/* May this become the state: do devices that are connected keep their type?
 * ERR_DENIED: which does not. */
int fleet_repo_may(
    struct fleet_repo *r, const struct fleet_state *s, struct err *err);
/* After other files have changed: reads and generates. */
int fleet_repo_reload(struct fleet_repo *r, struct err *err);
/* Around what changes Git's files. */
int fleet_repo_begin(struct fleet_repo *r, struct err *err);
void fleet_repo_end(struct fleet_repo *r);
/* Commits all. `author` NULL: ourselves. */
int fleet_repo_commit(struct fleet_repo *r, const struct repo_person *author,
    struct str message, struct arena *a, struct str *commit, struct err *err);

/* Before `more` bytes are added to the repository in `dir`, which need not be
 * taken. ERR_LIMIT. */
int fleet_repo_room(
    struct fleet *f, const char *dir, int64_t more, struct err *err);

/* Bytes of the files below `dir`, links not followed. */
int64_t fleet_tree_size(const char *dir);
/* With all that is in it. */
void fleet_remove_tree(const char *path);

/* Looks for units that were deleted, or are back. */
int fleet_units_clean(struct fleet *f, struct err *err);
/* Its folder comes back, when it stands aside. */
void fleet_unit_back(struct fleet *f, struct str unit_id);

/* --- for handlers --------------------------------------------------------- */

/* The repository that the query names, taken; false: answered. */
bool fleet_call_repo(
    struct http_call *c, enum rest_verb verb, struct fleet_repo **ret);
/* Answers with what went wrong. */
void fleet_state_error(struct http_call *c, const struct err *err);
/* Who calls, as author. In the call's arena. */
struct repo_person fleet_author(struct http_call *c);
/* `"faults":[...]` of the repository, as a member. */
void fleet_faults_put(struct json_out *o, const struct fleet_repo *r);
/* The mark of a value, for ETag and If-Match, in `a`. */
struct str fleet_etag(struct arena *a, struct str text);
/* Is the caller's If-Match that? False: answered with 412. */
bool fleet_if_match(struct http_call *c, struct str etag);

/* offset, limit (0: all) and format of a list that has one order; `*bare`:
 * without an envelope. False: answered. */
bool fleet_paging(
    struct http_call *c, int64_t *offset, int64_t *limit, bool *bare);
struct json_out *fleet_list(struct http_call *c, bool bare);
void fleet_list_end(struct http_call *c, bool bare);

struct fleet_unit_query {
	struct str unit;
};
extern const struct record fleet_unit_query;
#define FLEET_UNIT_QUERY(type)                                                 \
	F_TEXT(type, unit, "unit", .help = "The id of the unit.")

/* --- state_fetch.c -------------------------------------------------------- */

struct fleet_git;
/* Fetches `from`, a ref of the remote, to `to`, one of ours. ERR_LIMIT: the
 * repository would be larger than it may be, and is as it was. The rest as
 * fleet_git_run(). */
int fleet_fetch(const struct fleet_git *g, const char *from, const char *to,
    struct arena *a, struct err *err);
/* Removes what fetches have left that were cut off. `dir`: a working tree. */
void fleet_fetch_clean(const char *dir);

extern const struct http_route fleet_state_rows[], fleet_config_rows[],
    fleet_tag_rows[], fleet_use_rows[], fleet_history_rows[],
    fleet_remote_rows[];
/* Has git put the objects of all repositories in order where they are many. */
void fleet_repos_tidy(struct fleet *f);
extern const struct entity fleet_remote_entity;
extern const struct rest_object fleet_remote_object;

#endif
