/*
 * core/backup/pack.c - rows to a zip file.
 *
 *    stores --> pages, as files of a folder ".new-…" --> zip --> its place
 *
 * What people have made is read within a transaction of all stores, so that it
 * is of one moment; the history is streamed beside it, one moment per kind of
 * record. No more than a page is in memory.
 */
#include "core/backup/private.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/mem.h"
#include "codec/json.h"
#include "codec/yaml.h"
#include "plug/metric/metric.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zip.h>

#define PAGE_BYTES (1 << 20) /* a page ends with the row that reaches it */
#define PAGE_ROWS 1000
#define OLD_MS (24 * 3600 * 1000) /* what is left of one that was killed */
#define POINTS_MAX 10000          /* of a series in one item */

/* A file on its way into the zip. */
struct part {
	struct str name; /* there */
	char *path;      /* here */
};

struct packing {
	bool hidden; /* files whose names begin with a dot, too */
	struct backup *b;
	struct job *job;
	bool yaml;
	char *temp; /* folder */
	struct part *parts;
	size_t n_parts, cap_parts;
	struct arena arena;
	int64_t total, done; /* rows */

	/* the page that is being filled */
	struct str what;
	struct buf page;
	uint64_t first, rows;

	/* versions of what is in it, as members of a JSON object */
	struct buf versions;
};

static void
add_part(struct packing *p, struct str name, char *path)
{
	if (p->n_parts == p->cap_parts) {
		p->cap_parts = p->cap_parts == 0 ? 64 : p->cap_parts * 2;
		p->parts =
		    mem_resize(p->parts, p->cap_parts, sizeof(*p->parts));
	}
	p->parts[p->n_parts++] = (struct part){ name, path };
}

static int
put_part(struct packing *p, struct str name, struct str text, struct err *err)
{
	char *path = arena_z(
	    &p->arena, arena_printf(&p->arena, "%s/%zu", p->temp, p->n_parts));
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int rc = 0;

	if (fd < 0)
		return err_errno(err, "create %s", path);
	while (rc == 0 && text.len > 0) {
		ssize_t n = write(fd, text.ptr, text.len);

		if (n < 0 && errno != EINTR)
			rc = err_errno(err, "write %s", path);
		else if (n > 0)
			text =
			    (struct str){ text.ptr + n, text.len - (size_t)n };
	}
	close(fd);
	if (rc == 0)
		add_part(p, name, path);
	return rc;
}

/* --- pages --------------------------------------------------------------- */

static void
begin_pages(struct packing *p, struct str what)
{
	p->what = what;
	p->first = p->rows = 0;
	buf_clear(&p->page);
}

static int
end_page(struct packing *p, struct err *err)
{
	struct buf yaml = { 0 };
	struct str text;
	int rc;

	if (p->rows == 0)
		return 0;
	buf_addz(&p->page, "]\n");
	text = buf_str(&p->page);
	/* one that can not be read again is none */
	if (p->yaml ? !yaml_write(&yaml, text) : !json_valid(text, 0)) {
		buf_free(&yaml);
		return err_set(err, ERR_INTERNAL,
		    "a row of " STR_FMT " behind %" PRIu64 " is no JSON",
		    STR_ARG(p->what), p->first);
	}
	if (p->yaml)
		text = buf_str(&yaml);
	rc = put_part(p,
	    arena_printf(&p->arena, STR_FMT "__%" PRIu64 ".%s",
		STR_ARG(p->what), p->first, p->yaml ? "yaml" : "json"),
	    text, err);
	buf_free(&yaml);
	buf_clear(&p->page);
	p->first += p->rows;
	p->rows = 0;
	if (rc == 0 && backup_ending(p->b))
		rc = err_set(err, ERR_CLOSED, "the program ends");
	return rc;
}

static void
begin_item(struct packing *p)
{
	buf_addz(&p->page, p->rows == 0 ? "[" : ",\n");
}

static int
end_item(struct packing *p, struct err *err)
{
	p->rows++;
	p->done++;
	if (p->total > 0)
		backup_percent(
		    p->b, (int)MIN_OF(p->done * 80 / p->total, (int64_t)80));
	return p->page.len >= PAGE_BYTES || p->rows >= PAGE_ROWS
	    ? end_page(p, err)
	    : 0;
}

/* --- rows ---------------------------------------------------------------- */

struct walk {
	struct packing *p;
	const struct entity *e;
	void *last; /* the row behind which the next page of rows begins */
	struct arena *arena;
	uint64_t n;
};

static int
put_row(void *ctx, const void *row, struct err *err)
{
	struct walk *w = ctx;

	begin_item(w->p);
	record_encode(&w->p->page, &w->e->record, row);
	return end_item(w->p, err);
}

static int
put_rows_of(struct packing *p, const struct backup_part *part,
    const struct entity *e, struct err *err)
{
	begin_pages(p,
	    arena_printf(
		&p->arena, "storage/%s.%s", part->name, e->record.name));
	buf_addf(&p->versions, "%s\"%s.%s\":%d", p->versions.len > 0 ? "," : "",
	    part->name, e->record.name, e->version);
	(void)err;
	return 0;
}

/* Within a transaction a list is read whole before it is visited: so it is
 * asked for in pieces. */
static int
put_all(struct packing *p, struct store *tx, const struct backup_part *part,
    const struct entity *e, struct err *err)
{
	struct arena arenas[2] = { { 0 }, { 0 } };
	struct walk w = { .p = p, .e = e };
	struct rows rows = { 0 };
	int turn = 0, rc;

	rc = put_rows_of(p, part, e, err);
	do {
		struct store_query q = { .limit = BATCH_ROWS, .after = w.last };
		struct arena *a = &arenas[turn];

		turn = !turn;
		if (rc == 0)
			rc = store_all(tx, e, &q, a, &rows, err);
		for (size_t i = 0; rc == 0 && i < rows.n; i++) {
			w.last = (char *)rows.at + i * e->record.size;
			rc = put_row(&w, w.last, err);
		}
		arena_clear(&arenas[turn]); /* `last` lives in the other */
	} while (rc == 0 && rows.n == BATCH_ROWS);
	arena_fini(&arenas[0]);
	arena_fini(&arenas[1]);
	return rc == 0 ? end_page(p, err) : rc;
}

static int
put_kept(struct nest *n, void *ctx, struct err *err)
{
	struct packing *p = ctx;
	int rc = 0;

	for (size_t i = 0; i < n->n; i++) {
		const struct backup_part *part = &p->b->host.parts[i];

		for (size_t k = 0; rc == 0 && part->entities[k] != NULL; k++)
			if (backup_keep(part, part->entities[k]) == KEEP)
				rc = put_all(
				    p, n->tx[i], part, part->entities[k], err);
	}
	return rc;
}

static int
put_history(struct packing *p, struct err *err)
{
	static const struct store_query all = { 0 };
	int rc = 0;

	for (size_t i = 0; i < p->b->host.n_parts; i++) {
		const struct backup_part *part = &p->b->host.parts[i];

		for (size_t k = 0; rc == 0 && part->entities[k] != NULL; k++) {
			struct walk w = { .p = p, .e = part->entities[k] };

			if (backup_keep(part, w.e) != KEEP_HISTORY)
				continue;
			rc = put_rows_of(p, part, w.e, err);
			if (rc == 0)
				rc = store_list(
				    part->store, w.e, &all, put_row, &w, err);
			if (rc == 0)
				rc = end_page(p, err);
		}
	}
	return rc;
}

static int
count_rows(struct packing *p, struct err *err)
{
	int rc = 0;

	for (size_t i = 0; i < p->b->host.n_parts; i++) {
		const struct backup_part *part = &p->b->host.parts[i];

		for (size_t k = 0; rc == 0 && part->entities[k] != NULL; k++) {
			enum keep keep = backup_keep(part, part->entities[k]);
			int64_t n = 0;

			if (keep == KEEP ||
			    (keep == KEEP_HISTORY && p->job->wish.history))
				rc = store_count(part->store, part->entities[k],
				    NULL, &n, err);
			p->total += n;
		}
	}
	return rc;
}

/* --- history of values --------------------------------------------------- */

struct points {
	struct packing *p;
	const struct metric_series *series;
	struct json_out out;
	size_t n; /* in the item that is open; 0: none is */
	int rc;
	struct err *err;
};

static void
begin_series(struct points *x)
{
	const struct metric_series *s = x->series;

	begin_item(x->p);
	json_out_init(&x->out, &x->p->page, false);
	json_out_object(&x->out);
	json_out_key(&x->out, "name");
	json_out_str(&x->out, s->name);
	json_out_key(&x->out, "kind");
	json_out_int(&x->out, s->kind);
	json_out_key(&x->out, "labels");
	json_out_object(&x->out);
	for (size_t i = 0; i < s->n_labels; i++) {
		json_out_key_str(&x->out, s->labels[i].name);
		json_out_str(&x->out, s->labels[i].value);
	}
	json_out_end_object(&x->out);
	json_out_key(&x->out, "points");
	json_out_array(&x->out);
}

static void
end_series(struct points *x)
{
	json_out_end_array(&x->out);
	json_out_end_object(&x->out);
	x->n = 0;
	x->rc = end_item(x->p, x->err);
}

static bool
put_points(void *ctx, const struct metric_point *at, size_t n)
{
	struct points *x = ctx;

	for (size_t i = 0; x->rc == 0 && i < n; i++) {
		if (x->n == 0)
			begin_series(x);
		json_out_array(&x->out);
		json_out_int(&x->out, at[i].at);
		if (x->series->kind == METRIC_TEXT)
			json_out_str(&x->out, at[i].text);
		else
			json_out_real(&x->out, at[i].value);
		json_out_end_array(&x->out);
		if (++x->n == POINTS_MAX)
			end_series(x);
	}
	return x->rc == 0;
}

static int
put_metrics(struct packing *p, struct err *err)
{
	struct metric *m = p->b->host.metric;
	struct arena a = { 0 };
	struct metric_series *all;
	size_t n;
	int rc;

	begin_pages(p, STR("metrics/series"));
	rc = metric_flush(m, err);
	if (rc == 0)
		rc = metric_find(m, NULL, 0, 0, &a, &all, &n, err);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		struct points x = { .p = p, .series = &all[i], .err = err };

		rc = metric_read(m, all[i].id, INT64_MIN / 2, INT64_MAX / 2,
		    put_points, &x, err);
		if (rc == ERR_NOT_FOUND) /* deleted meanwhile */
			rc = 0;
		if (rc == 0 && x.rc == 0 && x.n > 0)
			end_series(&x);
		rc = rc == 0 ? x.rc : rc;
	}
	arena_fini(&a);
	return rc == 0 ? end_page(p, err) : rc;
}

/* --- files --------------------------------------------------------------- */

/* `dir` and what is below, as `name/...`; only files. */
static int
put_folder(
    struct packing *p, const char *dir, const char *name, struct err *err)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	int rc = 0;

	if (d == NULL)
		return errno == ENOENT ? 0 : err_errno(err, "open %s", dir);
	while (rc == 0 && (e = readdir(d)) != NULL) {
		char *path, *inner;
		struct stat st;

		if ((e->d_name[0] == '.' && !p->hidden) ||
		    strcmp(e->d_name, ".") == 0 ||
		    strcmp(e->d_name, "..") == 0 ||
		    fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		path = arena_z(&p->arena,
		    arena_printf(&p->arena, "%s/%s", dir, e->d_name));
		inner = arena_z(&p->arena,
		    arena_printf(&p->arena, "%s/%s", name, e->d_name));
		if (S_ISDIR(st.st_mode))
			rc = put_folder(p, path, inner, err);
		else if (S_ISREG(st.st_mode))
			add_part(p, str_of(inner), path);
	}
	closedir(d);
	return rc;
}

static int
put_firmware(struct packing *p, struct err *err)
{
	char *dir = arena_z(
	    &p->arena, arena_printf(&p->arena, "%s/firmware", p->b->data_dir));

	return put_folder(p, dir, "firmware", err);
}

/* Copies beside the pages: nobody changes them while they are compressed. */
static int
put_folders(struct packing *p, struct err *err)
{
	const struct backup_host *h = &p->b->host;
	int rc = 0;

	p->hidden = true;
	for (size_t i = 0; rc == 0 && i < h->n_folders; i++) {
		const struct backup_folder *f = &h->folders[i];
		char *to = arena_z(&p->arena,
		    arena_printf(&p->arena, "%s/folder.%s", p->temp, f->name));

		if (mkdir(to, 0700) < 0)
			rc = err_errno(err, "make the folder %s", to);
		if (rc == 0)
			rc = f->copy(f->ctx, to, err);
		if (rc == 0)
			rc = put_folder(p, to, f->name, err);
	}
	return rc;
}

static int
put_head(struct packing *p, struct str file, struct err *err)
{
	struct buf json = { 0 }, yaml = { 0 };
	struct json_out o;
	int rc;

	json_out_init(&o, &json, false);
	json_out_object(&o);
	json_out_key(&o, "filename");
	json_out_str(&o, file);
	json_out_key(&o, "storage_export_type");
	json_out_str(&o, p->yaml ? STR("yaml") : STR("json"));
	json_out_key(&o, "created_on");
	json_out_time(&o, clock_now());
	json_out_key(&o, "product");
	json_out_str(&o, STR("marram"));
	json_out_key(&o, "version");
	json_out_object(&o);
	json_out_key(&o, "version");
	json_out_str(&o, STR(MARRAM_VERSION));
	json_out_key(&o, "format");
	json_out_int(&o, BACKUP_FORMAT);
	json_out_end_object(&o);
	json_out_key(&o, "directories");
	json_out_object(&o);
	json_out_key(&o, "firmware");
	json_out_str(&o, STR("firmware"));
	for (size_t i = 0; i < p->b->host.n_folders; i++) {
		json_out_key(&o, p->b->host.folders[i].name);
		json_out_str(&o, str_of(p->b->host.folders[i].name));
	}
	json_out_end_object(&o);
	json_out_key(&o, "entities");
	json_out_raw(&o,
	    arena_printf(
		&p->arena, "{" STR_FMT "}", STR_ARG(buf_str(&p->versions))));
	json_out_end_object(&o);
	if (!yaml_write(&yaml, buf_str(&json)))
		rc = err_set(err, ERR_INTERNAL, "backup.yaml is no JSON");
	else
		rc = put_part(p, STR("backup.yaml"), buf_str(&yaml), err);
	buf_free(&json);
	buf_free(&yaml);
	return rc;
}

/* --- the zip ------------------------------------------------------------- */

static void
on_progress(zip_t *z, double share, void *ctx)
{
	(void)z;
	backup_percent(ctx, 80 + (int)(share * 19));
}

static int
on_cancel(zip_t *z, void *ctx)
{
	(void)z;
	return backup_ending(ctx);
}

static int
zip_err(zip_t *z, const char *what, struct err *err)
{
	return err_set(err, ERR_IO, "%s: %s", what, zip_strerror(z));
}

static int
add_to_zip(struct packing *p, zip_t *z, struct err *err)
{
	for (size_t i = 0; i < p->n_parts; i++) {
		const struct part *x = &p->parts[i];
		zip_source_t *s = zip_source_file(z, x->path, 0, -1);

		if (s == NULL)
			return zip_err(z, x->path, err);
		if (zip_file_add(z, arena_z(&p->arena, x->name), s,
			ZIP_FL_ENC_UTF_8) < 0) {
			zip_source_free(s);
			return zip_err(z, x->path, err);
		}
	}
	return 0;
}

static int
write_zip(struct packing *p, const char *path, struct err *err)
{
	zip_t *z;
	int code, rc;

	backup_step(p->b, "compressing");
	z = zip_open(path, ZIP_CREATE | ZIP_EXCL, &code);
	if (z == NULL) {
		zip_error_t e;

		zip_error_init_with_code(&e, code);
		rc = err_set(
		    err, ERR_IO, "create %s: %s", path, zip_error_strerror(&e));
		zip_error_fini(&e);
		return rc;
	}
	(void)zip_register_progress_callback_with_state(
	    z, 0.01, on_progress, NULL, p->b);
	(void)zip_register_cancel_callback_with_state(z, on_cancel, NULL, p->b);
	rc = add_to_zip(p, z, err);
	if (rc == 0 && zip_close(z) == 0)
		return 0;
	if (rc == 0)
		rc = backup_ending(p->b)
		    ? err_set(err, ERR_CLOSED, "the program ends")
		    : zip_err(z, path, err);
	zip_discard(z);
	return rc;
}

/* "marram_backup_json_20260501_100000", with "_2" and so on behind when that
 * is taken. */
static struct str
new_id(struct packing *p, const char *dir, struct str stem)
{
	time_t now = (time_t)(clock_now() / 1000);
	struct tm tm;
	char text[32];
	struct str id;

	gmtime_r(&now, &tm);
	strftime(text, sizeof(text), "%Y%m%d_%H%M%S", &tm);
	id = arena_printf(&p->arena, STR_FMT "%s", STR_ARG(stem), text);
	for (int i = 2; access(file_path(&p->arena, dir, id), F_OK) == 0; i++)
		id = arena_printf(
		    &p->arena, STR_FMT "%s_%d", STR_ARG(stem), text, i);
	return id;
}

static int
gather(struct packing *p, struct err *err)
{
	const struct backup_wish *w = &p->job->wish;
	int rc;

	backup_step(p->b, "reading");
	rc = count_rows(p, err);
	if (rc == 0)
		rc = nest_run(p->b, put_kept, p, err);
	if (rc == 0 && w->history)
		rc = put_history(p, err);
	if (rc == 0 && w->metrics && p->b->host.metric != NULL)
		rc = put_metrics(p, err);
	if (rc == 0)
		rc = put_firmware(p, err);
	if (rc == 0)
		rc = put_folders(p, err);
	return rc;
}

int
pack(struct job *j, struct err *err)
{
	const struct backup_wish *w = &j->wish;
	struct packing p = { .b = j->backup, .job = j };
	const char *dir =
	    w->dir.len > 0 ? arena_z(&j->arena, w->dir) : j->backup->dir;
	struct str format = w->format.len > 0 ? w->format : STR("json");
	struct str stem, id = STR_NULL;
	char *made;
	int rc;

	p.yaml = str_eqz(format, "yaml");
	if (!p.yaml && !str_eqz(format, "json"))
		return err_set(err, ERR_PARAM,
		    "storageExportType `" STR_FMT "`: there are json and yaml",
		    STR_ARG(format));
	stem = file_stem(&p.arena, w->prefix, format);
	if (!file_id_ok(stem))
		rc = err_set(err, ERR_PARAM,
		    "prefix `" STR_FMT "`: may hold letters, digits, \"_\", "
		    "\"-\" and \".\", at most 100",
		    STR_ARG(w->prefix));
	else if (dir[0] != '/')
		rc = err_set(err, ERR_PARAM,
		    "targetDirectory `%s`: must be a whole path", dir);
	else
		rc = files_temp(dir, &p.arena, &p.temp, err);
	if (rc == 0) {
		files_remove_temps(dir, OLD_MS);
		rc = gather(&p, err);
	}
	if (rc == 0) {
		id = new_id(&p, dir, stem);
		rc = put_head(&p,
		    arena_printf(&p.arena, STR_FMT ".zip", STR_ARG(id)), err);
	}
	made = arena_z(&p.arena, arena_printf(&p.arena, "%s/zip", p.temp));
	if (rc == 0)
		rc = write_zip(&p, made, err);
	if (rc == 0)
		rc = files_publish(made, file_path(&p.arena, dir, id), err);
	if (rc == 0) {
		j->id = arena_str(&j->arena, id);
		j->path = str_of(file_path(&j->arena, dir, id));
		files_retain(dir, stem,
		    w->retention > 0 ? w->retention : j->backup->conf.retention,
		    j->spare);
	}
	if (p.temp != NULL)
		files_remove(p.temp);
	free(p.parts);
	buf_free(&p.page);
	buf_free(&p.versions);
	arena_fini(&p.arena);
	return rc;
}
