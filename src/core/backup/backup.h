/*
 * core/backup/backup.h - everything the platform keeps, in one zip file; and
 * back again, without a restart.
 *
 * Serves /hub/api/v1/backup... to administrators. What is backed up are rows of
 * stores that it is given; it knows none of them by name. One backup, restore
 * or import runs at a time, on a thread of its own.
 *
 * A restore is all or nothing over all stores:
 *  (1) Every row is read and checked before anything is changed.
 *  (2) A safety copy is made.
 *  (3) One transaction per store, one inside the other, holds all changes. When
 *      all of them have gone well, and before the first is committed, the file
 *      `restore.pending` says what is being restored.
 *  (4) A start that finds this file does the whole restore again. So kill -9
 *      leaves the old state before (3) has written it, the new one after it.
 */
#ifndef CORE_BACKUP_BACKUP_H
#define CORE_BACKUP_BACKUP_H

#include "base/conf.h"
#include "base/err.h"
#include "core/rest/rest.h"
#include "plug/store/store.h"

struct backup;
struct metric;

struct backup_conf {
	struct str dir;
	int64_t retention;
	int64_t upload_max;
	int64_t files_max, page_max, bytes_max;
};

extern const struct conf_field backup_fields[];

/* The store of one module. */
struct backup_part {
	const char *name; /* first word of its files: "auth" */
	struct store *store;
	const struct entity *const *entities; /* NULL ends */
	/* Names of records, with spaces between. Rows that live for minutes:
	 * never in a backup, and gone after a restore. */
	const char *passing;
	/* What has happened: in a backup when asked for, and left as it is by
	 * a restore from one without. */
	const char *history;
};

#define BACKUP_PARTS_MAX 8

/* What happened between pause and resume. */
enum backup_change {
	BACKUP_SAME, /* nothing: it failed */
	BACKUP_MORE, /* rows were added or changed, none has gone */
	BACKUP_ALL,  /* all rows may be others */
};

/* Files that belong to the rows of a module. */
struct backup_folder {
	const char *name; /* "fleet" */
	/* Copies them, as they are at one moment, into the folder `to`. */
	int (*copy)(void *ctx, const char *to, struct err *err);
	/* Puts those of the folder `from` in the place of what is there; may
	 * take them away. Between pause and resume, or before anything runs;
	 * perhaps twice. */
	int (*put_back)(void *ctx, const char *from, struct err *err);
	/* Tells what putting back those of the folder `from` would do: `fate`
	 * is "added", "changed" or "removed". Changes nothing. */
	int (*compare)(void *ctx, const char *from,
	    void (*note)(void *note_ctx, const char *fate, struct str name),
	    void *note_ctx, struct err *err);
	const char *what; /* one of them: "fleet.repository" */
	void *ctx;
};

/* The program around it. All of it is borrowed. */
struct backup_host {
	void *ctx;
	const struct backup_part *parts;
	size_t n_parts;
	struct metric *metric; /* history of values; NULL: none */
	/* Between these two nobody has rows of the stores in memory that it
	 * would write. After the second everybody has read them again. */
	int (*pause)(void *ctx, struct err *err);
	int (*resume)(void *ctx, enum backup_change what, struct err *err);
	/* A row of an import, whose secrets are in clear, as it is to be
	 * stored; or with `open` one that is stored, with its secrets in clear
	 * where that can be. Changes the row, what it needs is in `a`. NULL:
	 * they are stored in clear. */
	int (*seal)(void *ctx, const struct entity *e, void *row, bool open,
	    struct arena *a, struct err *err);
	/* Folders beside the stores, in the backup below their name. */
	const struct backup_folder *folders;
	size_t n_folders;
};

/* `dir` is the data folder, borrowed. Does a restore that was cut off again,
 * calling `resume` when there was one. */
int backup_open(const struct backup_conf *conf, const char *dir,
    const struct backup_host *host, struct backup **ret, struct err *err);
/* What is under way is given up where that is possible, else waited for. */
void backup_stop(struct backup *b);
void backup_close(struct backup *b); /* NULL is fine */

void backup_routes(struct backup *b, http_add_routes *add, void *ctx);

/* What a backup is to be like. Texts are lent; empty ones mean the default. */
struct backup_wish {
	struct str prefix;
	struct str format; /* "json", "yaml" */
	struct str dir;    /* another folder, whole path */
	int64_t retention; /* newest to keep of this prefix; 0: the setting */
	bool history, metrics;
};

/* Begins a backup. ERR_AGAIN: something else runs. `done`, which may be NULL,
 * is called on another thread, once when this returned 0: `text` is the file's
 * path or what went wrong, lent. */
typedef void backup_done(void *ctx, int rc, const char *text);
int backup_begin(struct backup *b, const struct backup_wish *w,
    backup_done *done, void *ctx, struct err *err);

#endif
