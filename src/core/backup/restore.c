/*
 * core/backup/restore.c - a backup's rows to the stores; what would change.
 *
 *    compare   every row is read, checked and compared: the report
 *    safety    a backup of what is about to go
 *    pause     nobody writes from memory any more
 *    replace   in a transaction per store, one inside the other; the last
 *              thing before their commits is the file restore.pending
 *    after     folders, history of values; restore.pending goes
 *    resume    everybody reads again
 *
 * From restore.pending on the way is only forward: if a commit fails, or the
 * program is killed, `replace` and `after` are done again, now or at the next
 * start.
 */
#include "core/backup/private.h"

#include "base/base.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_MODULE "backup"

struct str
what_of(struct arena *a, const struct backup_part *p, const struct entity *e)
{
	return arena_printf(a, "%s.%s", p->name, e->record.name);
}

/* --- is it for us? ------------------------------------------------------- */

static const struct entity *
entity_named(const struct backup *b, struct str what, size_t *part)
{
	struct str record = what, name = str_cut(&record, '.');

	for (size_t i = 0; i < b->host.n_parts; i++) {
		const struct backup_part *p = &b->host.parts[i];

		if (!str_eqz(name, p->name))
			continue;
		for (size_t k = 0; p->entities[k] != NULL; k++)
			if (str_eqz(record, p->entities[k]->record.name)) {
				*part = i;
				return p->entities[k];
			}
	}
	return NULL;
}

static int
newer(const struct unpack *u, const char *why, struct str what, struct err *err)
{
	return err_set(err, ERR_PARAM,
	    "this backup was made by marram " STR_FMT
	    ", which is newer than this one (" MARRAM_VERSION "): %s" STR_FMT,
	    STR_ARG(u->version.ptr != NULL ? u->version : STR("?")), why,
	    STR_ARG(what));
}

static int
check_versions(struct unpack *u, struct err *err)
{
	struct str name, rest = u->entities;
	struct json j;
	int rc = 0;

	if (!u->ours)
		return err_set(err, ERR_PARAM,
		    "this is a backup of MyController: import it into a unit "
		    "instead");
	if (u->format > BACKUP_FORMAT)
		return newer(u, "the form of its files", STR(""), err);
	if (u->format < 1 || rest.ptr == NULL)
		return err_set(err, ERR_PARAM, "its backup.yaml is not whole");
	json_open(&j, rest, 0, &u->arena);
	if (json_object(&j))
		while (rc == 0 && json_member(&j, &name)) {
			const struct entity *e;
			int64_t version = 0;
			size_t part;

			if (!json_i64(&j, &version))
				break;
			e = entity_named(u->backup, name, &part);
			if (e == NULL || version > e->version)
				rc = newer(u, "it has rows of ", name, err);
		}
	return rc == 0 && json_done(&j, err) != 0 ? ERR_PARAM : rc;
}

/* Does the backup say that it has rows of this kind? */
bool
unpack_has(struct unpack *u, struct str what)
{
	struct str name;
	struct json j;
	bool found = false;

	json_open(&j, u->entities, 0, &u->arena);
	if (json_object(&j))
		while (json_member(&j, &name)) {
			found = found || str_eq(name, what);
			json_skip(&j);
		}
	return found;
}

static bool
has_history(struct unpack *u)
{
	const struct backup_host *h = &u->backup->host;
	struct arena a = { 0 };
	bool has = false;

	for (size_t i = 0; i < h->n_parts; i++)
		for (size_t k = 0; h->parts[i].entities[k] != NULL; k++) {
			const struct entity *e = h->parts[i].entities[k];

			has = has ||
			    (backup_keep(&h->parts[i], e) == KEEP_HISTORY &&
				unpack_has(u, what_of(&a, &h->parts[i], e)));
		}
	arena_fini(&a);
	return has;
}

/* Is it a file of a folder that we know? */
static bool
is_in_folder(const struct unpack *u, struct str name)
{
	const struct backup_host *h = &u->backup->host;
	struct str rest = name, first = str_cut(&rest, '/');
	bool is = str_eqz(first, "firmware");

	for (size_t i = 0; i < h->n_folders; i++)
		is = is || str_eqz(first, h->folders[i].name);
	return is && rest.len > 0;
}

static int
check_pages(struct unpack *u, struct err *err)
{
	struct str what, ending;
	uint64_t offset;

	for (size_t i = 0; i < u->n; i++) {
		struct str name = u->at[i].name;

		if (str_eqz(name, "backup.yaml") || is_in_folder(u, name))
			continue;
		if (!page_name(name, &what, &offset, &ending) ||
		    (!str_eqz(what, "metrics/series") && !unpack_has(u, what)))
			return err_set(err, ERR_PARAM,
			    "nobody knows what " STR_FMT " in it is",
			    STR_ARG(name));
	}
	return 0;
}

/* --- replacing ----------------------------------------------------------- */

struct restoring {
	struct backup *b;
	struct unpack *u;

	/* the kind in hand */
	const struct backup_part *part;
	const struct entity *e;
	struct store *store;

	/* rows that wait for store_add_many() */
	char *batch;
	size_t n;
	struct arena batch_arena;
};

static int
add_batch(struct restoring *r, struct err *err)
{
	int rc =
	    store_add_many(r->store, r->e, r->batch, r->n, false, NULL, err);

	r->n = 0;
	arena_clear(&r->batch_arena);
	return rc == 0
	    ? 0
	    : err_wrap(err, "%s.%s", r->part->name, r->e->record.name);
}

static int
add_row(void *ctx, struct str json, struct err *err)
{
	struct restoring *r = ctx;
	void *row = r->batch + r->n * r->e->record.size;
	int rc =
	    row_decode(r->b, r->part, r->e, json, &r->batch_arena, row, err);

	/* texts may be lent from the page, which goes before the batch does */
	if (rc == 0) {
		record_copy(&r->e->record, &r->batch_arena, row, row);
		r->n++;
	}
	return rc == 0 && r->n == BATCH_ROWS ? add_batch(r, err) : rc;
}

static int
replace_kind(struct restoring *r, struct str what, struct err *err)
{
	int rc;

	r->batch = mem_array(BATCH_ROWS, r->e->record.size);
	rc = store_clear(r->store, r->e, err);
	if (rc == 0)
		rc = unpack_items(r->u, what, add_row, r, err);
	if (rc == 0 && r->n > 0)
		rc = add_batch(r, err);
	r->n = 0;
	free(r->batch);
	arena_fini(&r->batch_arena);
	return rc;
}

struct replacing {
	struct unpack *u;
	const char *pending; /* file; NULL: it is there already */
	struct str intent;   /* what it says */
};

static int
replace_all(struct nest *n, void *ctx, struct err *err)
{
	struct replacing *x = ctx;
	struct restoring r = { .b = n->backup, .u = x->u };
	int rc = 0;

	x->u->read = 0; /* it is read from its beginning */
	for (size_t i = 0; rc == 0 && i < n->n; i++) {
		r.part = &n->backup->host.parts[i];
		r.store = n->tx[i];
		for (size_t k = 0; rc == 0 && r.part->entities[k] != NULL;
		     k++) {
			struct arena a = { 0 };
			enum keep keep;
			struct str what;

			r.e = r.part->entities[k];
			keep = backup_keep(r.part, r.e);
			what = what_of(&a, r.part, r.e);
			if (keep == KEEP_PASSING)
				rc = store_clear(r.store, r.e, err);
			else if (keep == KEEP || unpack_has(x->u, what))
				rc = replace_kind(&r, what, err);
			arena_fini(&a);
		}
	}
	if (rc == 0 && x->pending != NULL)
		rc = files_put(x->pending, x->intent, err);
	return rc;
}

/* --- after --------------------------------------------------------------- */

/* The folder as it was in the backup takes the place of the one there is. */
static int
restore_firmware(struct unpack *u, struct err *err)
{
	const char *dir = u->backup->data_dir;
	char *now, *fresh, *old;
	int rc;

	if (!unpack_has_folder(u, "firmware"))
		return 0;
	now = mem_printf("%s/firmware", dir);
	fresh = mem_printf("%s/firmware.new", dir);
	old = mem_printf("%s/firmware.old", dir);
	rc = unpack_folder(u, "firmware", fresh, err);
	if (rc == 0) {
		files_remove(old);
		if (rename(now, old) < 0 && errno != ENOENT)
			rc = err_errno(err, "rename %s", now);
		else if (rename(fresh, now) < 0)
			rc = err_errno(err, "rename %s", fresh);
		else
			rc = files_sync_dir(dir, err);
	}
	if (rc == 0)
		files_remove(old);
	free(now);
	free(fresh);
	free(old);
	return rc;
}

static int
restore_folders(struct unpack *u, struct err *err)
{
	const struct backup_host *h = &u->backup->host;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < h->n_folders; i++) {
		const struct backup_folder *f = &h->folders[i];
		char *from;

		if (!unpack_has_folder(u, f->name))
			continue;
		from =
		    mem_printf("%s/restore.%s", u->backup->data_dir, f->name);
		rc = unpack_folder(u, f->name, from, err);
		if (rc == 0)
			rc = f->put_back(f->ctx, from, err);
		files_remove(from);
		free(from);
	}
	return rc;
}

static int
flush_all(struct backup *b, struct err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < b->host.n_parts; i++)
		rc = store_flush(b->host.parts[i].store, err);
	return rc;
}

static int
finish(struct unpack *u, const char *pending, struct err *err)
{
	int rc;

	u->read = 0;
	rc = restore_firmware(u, err);
	if (rc == 0)
		rc = restore_folders(u, err);
	if (rc == 0)
		rc = points_restore(u, err);
	if (rc == 0)
		rc = flush_all(u->backup, err);
	if (rc == 0 && unlink(pending) < 0)
		rc = err_errno(err, "remove %s", pending);
	return rc == 0 ? files_sync_dir(u->backup->data_dir, err) : rc;
}

/* --- the whole ----------------------------------------------------------- */

static char *
pending_path(const struct backup *b)
{
	return mem_printf("%s/restore.pending", b->data_dir);
}

static struct str
intent_of(struct arena *a, const char *path, const char *safety)
{
	struct buf b = { 0 };
	struct json_out o;
	struct str ret;

	json_out_init(&o, &b, false);
	json_out_object(&o);
	json_out_key(&o, "backup");
	json_out_str(&o, str_of(path));
	json_out_key(&o, "safety");
	json_out_str(&o, str_of(safety));
	json_out_end_object(&o);
	ret = arena_str(a, buf_str(&b));
	buf_free(&b);
	return ret;
}

int
restore_safety(struct job *j, const char *prefix, bool history, char **path,
    struct err *err)
{
	struct job *copy = job_new(j->backup, JOB_BACKUP);
	int rc;

	backup_step(j->backup, "safety copy");
	copy->wish.prefix = str_of(prefix);
	copy->wish.history = history;
	copy->spare = j->id;
	rc = pack(copy, err);
	if (rc == 0)
		*path = arena_z(&j->arena, copy->path);
	job_free(copy);
	return rc == 0 ? 0 : err_wrap(err, "safety copy");
}

/* Does it; from `pending` being there on it is tried twice. */
static int
replace(struct backup *b, struct unpack *u, struct replacing *x,
    const char *pending, struct err *err)
{
	int rc;

	backup_step(b, "replacing");
	rc = nest_run(b, replace_all, x, err);
	if (rc == 0)
		rc = finish(u, pending, err);
	if (rc == 0 || access(pending, F_OK) != 0)
		return rc;
	log_error(
	    "the restore stopped half-way: %s; it is done again", err->text);
	x->pending = NULL;
	rc = nest_run(b, replace_all, x, err);
	if (rc == 0)
		rc = finish(u, pending, err);
	return rc == 0
	    ? 0
	    : err_wrap(err, "half-way; it goes on at the next start");
}

int
restore(struct job *j, struct err *err)
{
	struct backup *b = j->backup;
	char *path = file_path(&j->arena, b->dir, j->id), *safety = NULL;
	char *pending = pending_path(b);
	struct replacing x = { .pending = pending };
	struct unpack u = { 0 };
	enum backup_change change;
	struct err why;
	int rc;

	rc = unpack_open(b, path, &u, err);
	x.u = &u;
	if (rc == 0)
		rc = check_versions(&u, err);
	if (rc == 0)
		rc = check_pages(&u, err);
	if (rc == 0)
		rc = compare(j, &u, err);
	if (rc != 0 || j->dry_run)
		goto done;
	rc = restore_safety(j, "before_restore", has_history(&u), &safety, err);
	if (rc != 0)
		goto done;
	x.intent = intent_of(&j->arena, path, safety);
	rc = b->host.pause(b->host.ctx, err);
	if (rc != 0)
		goto done;
	rc = replace(b, &u, &x, pending, err);
	change =
	    rc == 0 || access(pending, F_OK) == 0 ? BACKUP_ALL : BACKUP_SAME;
	if (b->host.resume(b->host.ctx, change, &why) != 0 && rc == 0) {
		*err = why;
		rc = why.code;
	}
done:
	unpack_close(&u);
	free(pending);
	return rc;
}

/* --- at start ------------------------------------------------------------ */

static int
read_pending(
    const char *pending, struct arena *a, struct str *path, struct err *err)
{
	struct buf text = { 0 };
	struct str key;
	struct json j;
	int rc = file_read(pending, &text, err);

	*path = STR_NULL;
	if (rc == 0) {
		json_open(&j, arena_str(a, buf_str(&text)), 0, a);
		if (json_object(&j))
			while (json_member(&j, &key)) {
				if (str_eqz(key, "backup"))
					json_str(&j, path);
				else
					json_skip(&j);
			}
		rc = json_done(&j, err);
	}
	buf_free(&text);
	return rc == 0 && path->ptr == NULL
	    ? err_set(err, ERR_PARAM, "it names no backup")
	    : rc;
}

int
restore_again(struct backup *b, bool *was, struct err *err)
{
	char *pending = pending_path(b);
	struct arena a = { 0 };
	struct unpack u = { 0 };
	struct replacing x = { .u = &u };
	struct str path;
	int rc = 0;

	*was = access(pending, F_OK) == 0;
	if (!*was)
		goto done;
	rc = read_pending(pending, &a, &path, err);
	if (rc == 0) {
		log_warn("a restore from " STR_FMT
			 " was cut off; it is done again",
		    STR_ARG(path));
		rc = unpack_open(b, arena_z(&a, path), &u, err);
	}
	if (rc == 0)
		rc = check_versions(&u, err);
	if (rc == 0)
		rc = replace(b, &u, &x, pending, err);
	if (rc == 0)
		log_info("the restore is complete");
	else
		rc = err_wrap(err,
		    "the restore that %s tells of can not be completed (to "
		    "start with what there is, remove that file)",
		    pending);
	unpack_close(&u);
done:
	arena_fini(&a);
	free(pending);
	return rc;
}
