/*
 * core/backup/private.h - what the files of core/backup share.
 *
 *    backup.c       opening, the thread, what runs and how far it is
 *    api.c          the calls
 *    files.c        the folder of backups: names, list, which are too many
 *    pack.c         rows to a zip file
 *    unpack.c       a zip file of anybody's, read with care
 *    compare.c      its rows against ours: what would change
 *    restore.c      its rows to the stores;  points.c  to the history
 *    mycontroller.c backups of MyController;  convert.c  their values
 */
#ifndef CORE_BACKUP_PRIVATE_H
#define CORE_BACKUP_PRIVATE_H

#include "base/worker.h"
#include "core/backup/backup.h"

#include <pthread.h>

#define BACKUP_FORMAT 1 /* of the files; a higher one is refused */
#define BATCH_ROWS 500

enum job_kind {
	JOB_NONE,
	JOB_BACKUP,
	JOB_RESTORE,
	JOB_IMPORT,
};

/* One thing that is done on the thread. */
struct job {
	struct worker_job work;
	struct backup *backup;
	enum job_kind kind;
	struct arena arena;

	/* what is wanted; texts in `arena` */
	struct backup_wish wish;
	struct str id; /* of the backup that is restored or imported */
	bool dry_run;
	struct str unit_id, secret;
	struct str spare; /* a backup that is not to go, however old */

	/* what came of it */
	int rc;
	struct err err;
	struct buf report; /* members of a JSON object, or empty */
	struct str path;   /* of the backup that was made */

	backup_done *done; /* NULL: somebody waits */
	void *ctx;
	bool is_done, left; /* under the lock; `left`: nobody waits any more */
};

struct progress {
	enum job_kind kind;
	bool running;
	const char *step;
	int percent;
	char id[200];
	int64_t began, ended;
	int rc;
	char text[240];
};

struct backup {
	struct backup_conf conf;
	struct backup_host host;
	const char *data_dir;
	char *dir; /* of the backups */
	struct worker_pool *pool;
	struct rest_mounts mounts;

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t cond;
	struct progress progress;
	bool ending;
};

/* backup.c */
bool backup_ending(struct backup *b);
void backup_step(struct backup *b, const char *step);
void backup_percent(struct backup *b, int percent);
/* Takes the job; waits for it. ERR_AGAIN: another one runs; else what it said.
 * The job is the caller's to free. */
int job_run(struct job *j);
struct job *job_new(struct backup *b, enum job_kind kind);
void job_free(struct job *j);

/* Runs fn within a transaction of every store, tx[i] that of part i. */
struct nest {
	struct backup *backup;
	struct store *tx[BACKUP_PARTS_MAX];
	size_t n;
	int (*fn)(struct nest *n, void *ctx, struct err *err);
	void *ctx;
};
int nest_run(struct backup *b,
    int (*fn)(struct nest *n, void *ctx, struct err *err), void *ctx,
    struct err *err);

enum keep { KEEP, KEEP_HISTORY, KEEP_PASSING };
enum keep backup_keep(const struct backup_part *p, const struct entity *e);

#define BACKUP_UPLOAD "/backup/upload"
extern const struct http_route backup_rows[];

/* files.c */
bool file_id_ok(struct str id);
/* "dir/id.zip", in `a`. */
char *file_path(struct arena *a, const char *dir, struct str id);
struct file_info {
	struct str id;
	int64_t size, modified;
};
/* The backups of the folder, newest first. */
int files_list(
    const char *dir, struct arena *a, struct rows *ret, struct err *err);
/* "prefix_marram_backup_json_" */
struct str file_stem(struct arena *a, struct str prefix, struct str format);
/* Deletes all but the newest `keep` whose names begin so, and `spare`. */
void files_retain(
    const char *dir, struct str stem, int64_t keep, struct str spare);
/* A fresh folder for what is being made, mode 0700, in `a`. */
int files_temp(const char *dir, struct arena *a, char **ret, struct err *err);
void files_remove(const char *path); /* with all that is in it */
/* Those of `dir` that are older than this: of a program that was killed. */
void files_remove_temps(const char *dir, int64_t older_ms);
/* Moves a whole file that is being made to its place, durably, mode 0600. */
int files_publish(const char *from, const char *to, struct err *err);
int files_sync_dir(const char *dir, struct err *err);
/* Makes a file with this text, or replaces it, whole and durably. */
int files_put(const char *path, struct str text, struct err *err);

/* pack.c: makes the backup; j->path is where it is. */
int pack(struct job *j, struct err *err);

/* unpack.c */
struct zip_entry {
	struct str name; /* without leading and repeated slashes */
	uint64_t index, size;
};
struct unpack {
	struct backup *backup;
	struct zip *zip;
	struct zip_entry *at; /* by name */
	size_t n;
	uint64_t read;  /* bytes so far, against the limit */
	uint64_t total; /* that they are said to be */
	struct arena arena;
	/* of backup.yaml */
	bool ours, yaml;
	struct strs folders; /* that it says it has */
	int64_t format;
	struct str version, created, entities; /* the last is JSON */
};
int unpack_open(
    struct backup *b, const char *path, struct unpack *ret, struct err *err);
/* The entry's bytes into `out`, which is emptied. */
int unpack_read(struct unpack *u, const struct zip_entry *e, struct buf *out,
    struct err *err);
/* The same as JSON, by the ending of its name. */
int unpack_json(struct unpack *u, const struct zip_entry *e, struct buf *out,
    struct err *err);
/* One file of it to a path that is not there yet. */
int unpack_file(struct unpack *u, const struct zip_entry *e, const char *path,
    struct err *err);
/* The entry of this name, or NULL. */
const struct zip_entry *unpack_find(const struct unpack *u, struct str name);
/* All below this folder of it into a fresh folder. */
int unpack_folder(
    struct unpack *u, const char *name, const char *dir, struct err *err);
/* Does the backup say that it has this folder? */
bool unpack_has_folder(const struct unpack *u, const char *name);
void unpack_close(struct unpack *u);
/* "storage/auth.user__500.json": "auth.user", 500, ".json". */
bool page_name(
    struct str name, struct str *what, uint64_t *offset, struct str *ending);
/* Calls `each` with the items of all pages of `what`, in their order. */
int unpack_items(struct unpack *u, struct str what,
    int (*each)(void *ctx, struct str json, struct err *err), void *ctx,
    struct err *err);

/* restore.c */
int restore(struct job *j, struct err *err);
/* Does again what was cut off; 0 with `*was` false when nothing was. */
int restore_again(struct backup *b, bool *was, struct err *err);
/* A copy of everything that is about to change because of `j`. */
int restore_safety(struct job *j, const char *prefix, bool history, char **path,
    struct err *err);

/* "auth.user", in `a`. */
struct str what_of(
    struct arena *a, const struct backup_part *p, const struct entity *e);
/* Does the backup say that it has rows of this kind? */
bool unpack_has(struct unpack *u, struct str what);

/* points.c: the history of values. */
int points_restore(struct unpack *u, struct err *err);

/* compare.c: fills j->report. */
int compare(struct job *j, struct unpack *u, struct err *err);
/* What a row is called by people. */
struct str row_name(const struct entity *e, const void *row);
/* Its first key, as text in `a`; as a filter. */
struct str row_key(struct arena *a, const struct entity *e, const void *row);
void row_filter(const struct entity *e, const void *row, struct filter *f);
bool row_same(const struct entity *e, const void *a, const void *b);
/* A row of a backup; texts are lent from `json` or in `a`. */
int row_decode(struct backup *b, const struct backup_part *p,
    const struct entity *e, struct str json, struct arena *a, void *row,
    struct err *err);

/* Counts of one kind of row, and the first few names. */
#define NAMES_MAX 5
enum { ADDED, CHANGED, REMOVED, FATES };
struct tally {
	int64_t n[FATES];
	struct str names[FATES][NAMES_MAX];
	struct arena arena;
};
void tally_note(struct tally *t, int fate, struct str name);
/* {"entity":...,"added":...,...} */
void tally_write(struct json_out *o, const char *entity, struct tally *t);

/* mycontroller.c */
int import(struct job *j, struct err *err);

#endif
