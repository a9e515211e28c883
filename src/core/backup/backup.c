/*
 * core/backup/backup.c - see backup.h: opening, the thread, what runs and how
 * far it is.
 */
#include "core/backup/private.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LOG_MODULE "backup"

#define C struct backup_conf
const struct conf_field backup_fields[] = {
	CONF_TEXT(C, dir, "dir", .def = "backup",
	    .help = "The folder of backups, in the data folder unless it "
		    "begins with a slash."),
	CONF_INT(C, retention, "retentionCount", .def = "10", .min = 1,
	    .max = 100000,
	    .help = "Of backups with the same prefix and form the newest that "
		    "are kept; the copies made before a restore have a prefix "
		    "of their own."),
	CONF_SIZE(C, upload_max, "maxUpload", .def = "256MiB", .min = 1024,
	    .max = (int64_t)1 << 36,
	    .help = "Largest backup that can be uploaded. It is in memory "
		    "meanwhile; a larger one is copied into the folder."),
	CONF_INT(C, files_max, "maxFiles", .def = "1000000", .min = 10,
	    .max = 100000000, .help = "Files in a backup that is read."),
	CONF_SIZE(C, page_max, "maxPage", .def = "64MiB", .min = 65536,
	    .max = (int64_t)1 << 34,
	    .help = "Largest page of rows in a backup that is read; it is in "
		    "memory as a whole."),
	CONF_SIZE(C, bytes_max, "maxBytes", .def = "64GiB", .min = 65536,
	    .max = (int64_t)1 << 50,
	    .help = "Bytes that a backup may unpack to when it is read."),
	{ 0 },
};

/* --- what runs ----------------------------------------------------------- */

bool
backup_ending(struct backup *b)
{
	bool is;

	pthread_mutex_lock(&b->lock);
	is = b->ending;
	pthread_mutex_unlock(&b->lock);
	return is;
}

void
backup_step(struct backup *b, const char *step)
{
	pthread_mutex_lock(&b->lock);
	b->progress.step = step;
	b->progress.percent = 0;
	pthread_mutex_unlock(&b->lock);
}

void
backup_percent(struct backup *b, int percent)
{
	pthread_mutex_lock(&b->lock);
	b->progress.percent = percent;
	pthread_mutex_unlock(&b->lock);
}

static const char *
kind_name(enum job_kind kind)
{
	static const char *const names[] = { [JOB_NONE] = "none",
		[JOB_BACKUP] = "backup",
		[JOB_RESTORE] = "restore",
		[JOB_IMPORT] = "import" };

	return names[kind];
}

static void
tell_begin(const struct job *j)
{
	if (j->kind == JOB_BACKUP)
		log_info("backup begins");
	else
		log_info("%s of " STR_FMT " begins%s", kind_name(j->kind),
		    STR_ARG(j->id), j->dry_run ? " (dry run)" : "");
}

static void
tell_end(const struct job *j)
{
	if (j->rc != 0)
		log_error("%s failed: %s", kind_name(j->kind), j->err.text);
	else
		log_info("%s of " STR_FMT " is complete%s", kind_name(j->kind),
		    STR_ARG(j->id), j->dry_run ? " (dry run)" : "");
}

static void
ended(struct job *j)
{
	struct backup *b = j->backup;
	bool left;

	if (j->done != NULL)
		j->done(j->ctx, j->rc,
		    j->rc == 0 ? arena_z(&j->arena, j->path) : j->err.text);
	pthread_mutex_lock(&b->lock);
	b->progress.running = false;
	b->progress.ended = clock_now();
	b->progress.rc = j->rc;
	b->progress.percent = j->rc == 0 ? 100 : b->progress.percent;
	snprintf(b->progress.text, sizeof(b->progress.text), "%s",
	    j->rc == 0 ? "" : j->err.text);
	snprintf(
	    b->progress.id, sizeof(b->progress.id), STR_FMT, STR_ARG(j->id));
	left = j->left;
	j->is_done = true;
	pthread_cond_broadcast(&b->cond);
	pthread_mutex_unlock(&b->lock);
	if (left)
		job_free(j);
}

static void
work(struct worker_job *w)
{
	struct job *j = container_of(w, struct job, work);

	tell_begin(j);
	switch (j->kind) {
	case JOB_BACKUP:
		j->rc = pack(j, &j->err);
		break;
	case JOB_RESTORE:
		j->rc = restore(j, &j->err);
		break;
	case JOB_IMPORT:
		j->rc = import(j, &j->err);
		break;
	case JOB_NONE:
		break;
	}
	tell_end(j);
	ended(j);
}

struct job *
job_new(struct backup *b, enum job_kind kind)
{
	struct job *j = mem_new(struct job);

	j->backup = b;
	j->kind = kind;
	j->work.run = work;
	return j;
}

void
job_free(struct job *j)
{
	if (j == NULL)
		return;
	if (j->secret.len > 0)
		explicit_bzero((char *)j->secret.ptr, j->secret.len);
	buf_free(&j->report);
	arena_fini(&j->arena);
	free(j);
}

static int
submit(struct job *j, struct err *err)
{
	struct backup *b = j->backup;
	int rc = 0;

	pthread_mutex_lock(&b->lock);
	if (b->ending)
		rc = err_set(err, ERR_CLOSED, "the program ends");
	else if (b->progress.running)
		rc = err_set(err, ERR_AGAIN,
		    "a %s is under way; see GET /hub/api/v1/backup/progress",
		    kind_name(b->progress.kind));
	else
		b->progress = (struct progress){ .kind = j->kind,
			.running = true,
			.step = "beginning",
			.began = clock_now(),
			.ended = TIME_NULL };
	if (rc == 0)
		snprintf(b->progress.id, sizeof(b->progress.id), STR_FMT,
		    STR_ARG(j->id));
	pthread_mutex_unlock(&b->lock);
	if (rc == 0 && worker_submit(b->pool, &j->work) != 0)
		abort(); /* there is one at a time */
	return rc;
}

int
job_run(struct job *j)
{
	struct backup *b = j->backup;
	int rc = submit(j, &j->err);

	if (rc != 0)
		return rc;
	pthread_mutex_lock(&b->lock);
	while (!j->is_done)
		pthread_cond_wait(&b->cond, &b->lock);
	pthread_mutex_unlock(&b->lock);
	return j->rc;
}

int
backup_begin(struct backup *b, const struct backup_wish *w, backup_done *done,
    void *ctx, struct err *err)
{
	struct job *j = job_new(b, JOB_BACKUP);
	int rc;

	j->wish = *w;
	j->wish.prefix = arena_str(&j->arena, w->prefix);
	j->wish.format = arena_str(&j->arena, w->format);
	j->wish.dir = arena_str(&j->arena, w->dir);
	j->done = done;
	j->ctx = ctx;
	j->left = true;
	rc = submit(j, err);
	if (rc != 0)
		job_free(j);
	return rc;
}

/* --- stores -------------------------------------------------------------- */

static bool
has_word(const char *words, const char *word)
{
	struct str all = str_of(words);

	while (all.ptr != NULL)
		if (str_eqz(str_cut(&all, ' '), word))
			return true;
	return false;
}

enum keep
backup_keep(const struct backup_part *p, const struct entity *e)
{
	if (has_word(p->passing, e->record.name))
		return KEEP_PASSING;
	return has_word(p->history, e->record.name) ? KEEP_HISTORY : KEEP;
}

static int
go_in(struct store *tx, void *ctx, struct err *err)
{
	struct nest *n = ctx;
	const struct backup_host *h = &n->backup->host;
	int rc;

	n->tx[n->n++] = tx;
	rc = n->n < h->n_parts ? store_tx(h->parts[n->n].store, go_in, n, err)
			       : n->fn(n, n->ctx, err);
	n->n--;
	return rc;
}

int
nest_run(struct backup *b,
    int (*fn)(struct nest *n, void *ctx, struct err *err), void *ctx,
    struct err *err)
{
	struct nest n = { .backup = b, .fn = fn, .ctx = ctx };

	return store_tx(b->host.parts[0].store, go_in, &n, err);
}

/* --- life ---------------------------------------------------------------- */

static int
begin(struct backup *b, struct err *err)
{
	bool was;
	int rc = 0;

	if (mkdir(b->dir, 0700) < 0 && errno != EEXIST)
		rc = err_errno(err, "backup.dir: make the folder %s", b->dir);
	if (rc == 0) {
		files_remove_temps(b->dir, 0);
		rc = restore_again(b, &was, err);
	}
	if (rc == 0 && was)
		rc = b->host.resume(b->host.ctx, BACKUP_ALL, err);
	return rc;
}

int
backup_open(const struct backup_conf *conf, const char *dir,
    const struct backup_host *host, struct backup **ret, struct err *err)
{
	struct backup *b = mem_new(struct backup);
	int rc;

	b->conf = *conf;
	b->host = *host;
	b->data_dir = dir;
	b->dir = conf->dir.len > 0 && conf->dir.ptr[0] == '/'
	    ? str_dupz(conf->dir)
	    : mem_printf("%s/" STR_FMT, dir, STR_ARG(conf->dir));
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->cond, NULL);
	b->progress.began = b->progress.ended = TIME_NULL;
	b->pool = worker_pool_new("backup", 1, 1);
	rc = begin(b, err);
	if (rc != 0)
		backup_close(b);
	else
		*ret = b;
	return rc;
}

void
backup_stop(struct backup *b)
{
	if (b == NULL)
		return;
	pthread_mutex_lock(&b->lock);
	b->ending = true;
	pthread_mutex_unlock(&b->lock);
	worker_pool_free(b->pool);
	b->pool = NULL;
}

void
backup_close(struct backup *b)
{
	if (b == NULL)
		return;
	backup_stop(b);
	rest_mounts_free(&b->mounts);
	pthread_mutex_destroy(&b->lock);
	pthread_cond_destroy(&b->cond);
	free(b->dir);
	free(b);
}

void
backup_routes(struct backup *b, http_add_routes *add, void *ctx)
{
	struct http_route rows[16] = { 0 };

	for (size_t i = 0; backup_rows[i].method != NULL; i++) {
		rows[i] = backup_rows[i];
		if (b != NULL && strcmp(rows[i].path, BACKUP_UPLOAD) == 0) {
			rows[i].body_max = (size_t)b->conf.upload_max;
			rows[i].body_setting = "backup.maxUpload";
		}
	}
	rest_mount_rows(
	    b != NULL ? &b->mounts : NULL, rows, "/hub/api/v1", b, add, ctx);
}
