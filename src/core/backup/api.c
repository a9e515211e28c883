/*
 * core/backup/api.c - backups over HTTP, for administrators.
 *
 * A call that makes, restores or imports one waits for the end of it. When that
 * takes longer than a request may, the caller gets 408 and the work goes on:
 * /backup/progress tells how far it is.
 */
#include "core/backup/private.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct backup *
backup_of(const struct http_call *c)
{
	return (struct backup *)c->route->ctx;
}

static void
refuse(struct http_call *c, int rc, const char *text)
{
	if (rc == ERR_NOT_FOUND)
		http_error(c, 404, "err_not_found", "%s", text);
	else if (rc == ERR_AGAIN)
		http_error(c, 409, "err_hub_backup_busy", "%s", text);
	else if (rc == ERR_EXISTS)
		http_error(c, 400, "err_hub_backup_exist", "%s", text);
	else if (rc == ERR_PARAM || rc == ERR_LIMIT || rc == ERR_DENIED)
		http_error(c, 400, "err_hub_backup", "%s", text);
	else
		http_error(c, 503, "err_rsc", "%s", text);
}

/* The id in the path; false: answered. */
static bool
id_of(struct http_call *c, struct str *ret)
{
	*ret = http_var(c, 0);
	if (!file_id_ok(*ret))
		http_error(c, 404, "err_not_found", NULL);
	return c->status == 0;
}

/* --- what is shown ------------------------------------------------------- */

struct shown {
	struct str id, name;
	int64_t size, modified;
};
#define S struct shown
static const struct field shown_fields[] = {
	F_TEXT(S, id, "backupId", .help = "Identifies the backup."),
	F_TEXT(S, name, "fileName"),
	F_INT(S, size, "fileSize", .help = "In bytes."),
	F_TIME(S, modified, "modifiedOn"),
	{ 0 },
};
static const struct record shown_record = { "backupFile", sizeof(S),
	shown_fields };

struct detail {
	struct str version, created, form, product;
	int64_t files;
};
#define D struct detail
static const struct field detail_fields[] = {
	F_TEXT(D, product, "product",
	    .help = "Who made it: marram, or mycontroller."),
	F_TEXT(D, version, "version", .flags = FIELD_NULL,
	    .help = "Of the program that made it."),
	F_TEXT(D, created, "createdOn", .flags = FIELD_NULL),
	F_TEXT(D, form, "storageExportType"),
	F_INT(D, files, "files", .help = "Files in it."),
	{ 0 },
};
static const struct record detail_record = { "backupDetail", sizeof(D),
	detail_fields };

struct asked {
	struct str contains;
};
static const struct field asked_fields[] = {
	F_TEXT(struct asked, contains, "contains",
	    .help = "Only those with this in their id."),
	{ 0 },
};
static const struct record asked_record = { "backupQuery", sizeof(struct asked),
	asked_fields };

static struct shown
shown_of(struct arena *a, const struct file_info *f)
{
	return (struct shown){ f->id,
		arena_printf(a, STR_FMT ".zip", STR_ARG(f->id)), f->size,
		f->modified };
}

/* Those that are asked for, in place; false: answered. */
static bool
files_of(struct http_call *c, struct rows *ret)
{
	struct str contains = http_query(c, "contains");
	struct file_info *all;
	struct err err;
	size_t n = 0;

	if (files_list(backup_of(c)->dir, &c->arena, ret, &err) != 0) {
		http_error(c, 503, "err_rsc", "%s", err.text);
		return false;
	}
	all = ret->at;
	for (size_t i = 0; i < ret->n; i++)
		if (contains.len == 0 ||
		    str_contains_nocase(all[i].id, contains))
			all[n++] = all[i];
	ret->n = n;
	return true;
}

static void
handle_count(struct http_call *c)
{
	struct rows rows;

	if (files_of(c, &rows))
		rest_count(c, (int64_t)rows.n);
}

/* `offset` and `limit`; false: answered. */
static bool
number_of(struct http_call *c, const char *name, uint64_t def, uint64_t *ret)
{
	struct str text = http_query(c, name);

	*ret = def;
	if (text.len == 0 || str_to_u64(text, ret))
		return true;
	http_error(c, 400, "err_param", "invalid `%s`", name);
	return false;
}

static void
handle_list(struct http_call *c)
{
	uint64_t offset, limit;
	struct json_out *o;
	struct rows rows;

	if (!number_of(c, "offset", 0, &offset) ||
	    !number_of(c, "limit", 100, &limit) || !files_of(c, &rows))
		return;
	if (limit == 0)
		limit = rows.n;
	o = http_json(c, 200);
	json_out_object(o);
	json_out_key(o, "data");
	json_out_array(o);
	for (uint64_t i = offset; i < rows.n && i - offset < limit; i++) {
		struct shown s =
		    shown_of(&c->arena, (const struct file_info *)rows.at + i);

		record_to_json(o, &shown_record, FIELD_ALL, &s);
	}
	json_out_end_array(o);
	json_out_end_object(o);
}

static bool
info_of(struct http_call *c, struct str id, struct file_info *ret)
{
	struct rows rows;
	struct err err;

	if (files_list(backup_of(c)->dir, &c->arena, &rows, &err) != 0) {
		http_error(c, 503, "err_rsc", "%s", err.text);
		return false;
	}
	for (size_t i = 0; i < rows.n; i++) {
		*ret = ((const struct file_info *)rows.at)[i];
		if (str_eq(ret->id, id))
			return true;
	}
	http_error(c, 404, "err_not_found", NULL);
	return false;
}

static void
handle_get(struct http_call *c)
{
	struct backup *b = backup_of(c);
	struct file_info info;
	struct unpack u;
	struct shown s;
	struct detail d;
	struct err err;
	struct str id;
	int rc;

	if (!id_of(c, &id) || !info_of(c, id, &info))
		return;
	rc = unpack_open(b, file_path(&c->arena, b->dir, id), &u, &err);
	if (rc != 0) {
		refuse(c, rc, err.text);
		return;
	}
	s = shown_of(&c->arena, &info);
	d = (struct detail){ u.version, u.created,
		u.yaml ? STR("yaml") : STR("json"),
		u.ours ? STR("marram") : STR("mycontroller"), (int64_t)u.n };
	rest_data(c);
	record_members_to_json(&c->json, &shown_record, FIELD_ALL, &s);
	record_members_to_json(&c->json, &detail_record, FIELD_ALL, &d);
	rest_data_end(c);
	unpack_close(&u);
}

static bool
is_in_use(struct backup *b, struct str id)
{
	bool is;

	pthread_mutex_lock(&b->lock);
	is = b->progress.running && str_eqz(id, b->progress.id);
	pthread_mutex_unlock(&b->lock);
	return is;
}

static void
handle_delete(struct http_call *c)
{
	struct backup *b = backup_of(c);
	struct file_info info;
	struct str id;

	if (!id_of(c, &id) || !info_of(c, id, &info))
		return;
	if (is_in_use(b, id)) {
		http_error(c, 409, "err_hub_backup_busy",
		    "it is being restored or imported");
		return;
	}
	if (unlink(file_path(&c->arena, b->dir, id)) < 0 && errno != ENOENT)
		http_error(c, 503, "err_rsc", "%s", strerror(errno));
	else
		http_empty(c, 204);
}

/* --- the file ------------------------------------------------------------ */

struct sending {
	int fd;
};

static bool
send_next(struct http_call *c)
{
	struct sending *s = c->stream_state;
	ssize_t n;

	buf_reserve(&c->out, 65536);
	do
		n = read(s->fd, c->out.ptr, 65536);
	while (n < 0 && errno == EINTR);
	c->out.len = n > 0 ? (size_t)n : 0;
	return n > 0;
}

static void
send_end(struct http_call *c)
{
	struct sending *s = c->stream_state;

	close(s->fd);
	free(s);
}

static void
handle_file(struct http_call *c)
{
	struct backup *b = backup_of(c);
	struct file_info info;
	struct sending *s;
	struct str id;
	int fd;

	if (!id_of(c, &id) || !info_of(c, id, &info))
		return;
	fd = open(file_path(&c->arena, b->dir, id),
	    O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0) {
		http_error(c, 404, "err_not_found", NULL);
		return;
	}
	s = mem_new(struct sending);
	s->fd = fd;
	c->status = 200;
	c->type = "application/zip";
	http_header(c, "Content-Disposition",
	    arena_printf(
		&c->arena, "attachment;filename=" STR_FMT ".zip", STR_ARG(id)));
	c->stream = send_next;
	c->stream_state = s;
	c->stream_end = send_end;
}

static int
keep_upload(struct http_call *c, struct str id, struct err *err)
{
	struct backup *b = backup_of(c);
	char *path = file_path(&c->arena, b->dir, id), *temp, *file;
	struct unpack u;
	int rc;

	if (access(path, F_OK) == 0)
		return err_set(
		    err, ERR_EXISTS, "there is a backup of this name");
	rc = files_temp(b->dir, &c->arena, &temp, err);
	if (rc != 0)
		return rc;
	file = arena_z(&c->arena, arena_printf(&c->arena, "%s/zip", temp));
	rc = files_put(file, c->body, err);
	if (rc == 0)
		rc = unpack_open(b, file, &u, err);
	if (rc == 0) {
		unpack_close(&u);
		rc = files_publish(file, path, err);
	}
	files_remove(temp);
	return rc;
}

static void
handle_upload(struct http_call *c)
{
	struct str id = http_query(c, "name");
	struct err err;
	int rc;

	if (str_ends(id, STR(".zip")))
		id.len -= 4;
	if (!file_id_ok(id)) {
		http_error(c, 400, "err_param",
		    "`name`: letters, digits, \"_\", \"-\" and \".\"");
		return;
	}
	if (c->body.len > (size_t)backup_of(c)->conf.upload_max) {
		http_error(c, 413, "err_param",
		    "longer than backup.maxUpload: copy it into the folder of "
		    "backups instead");
		return;
	}
	rc = keep_upload(c, id, &err);
	if (rc != 0) {
		refuse(c, rc, err.text);
		return;
	}
	rest_data(c);
	json_out_key(&c->json, "backupId");
	json_out_str(&c->json, id);
	rest_data_end(c);
}

/* --- doing --------------------------------------------------------------- */

struct run_body {
	struct str prefix, form;
	bool history, metrics;
};
static const char *const forms[] = { "json", "yaml", NULL };
#define R struct run_body
static const struct field run_fields[] = {
	F_TEXT(R, prefix, "prefix", .def = "\"\"", .max = 100,
	    .help = "Begins the file's name."),
	F_TEXT(R, form, "storageExportType", .def = "\"json\"", .one_of = forms,
	    .help = "json or yaml."),
	F_BOOL(R, history, "history", .def = "false",
	    .help = "With what has passed and what rules did, too."),
	F_BOOL(R, metrics, "metrics", .def = "false",
	    .help = "With the history of values, too."),
	{ 0 },
};
static const struct record run_record = { "backupRun", sizeof(R), run_fields };

struct import_body {
	struct str unit_id, secret;
};
#define I struct import_body
static const struct field import_fields[] = {
	F_TEXT(I, unit_id, "unitId", .help = "The unit that gets everything."),
	F_TEXT(I, secret, "secret", .flags = FIELD_SECRET, .def = "\"\"",
	    .help = "MyController's `secret`, to read what it has "
		    "encrypted."),
	{ 0 },
};
static const struct record import_record = { "backupImport", sizeof(I),
	import_fields };

struct dry_query {
	bool dry_run;
};
static const struct field dry_fields[] = {
	F_BOOL(struct dry_query, dry_run, "dryRun", .def = "false",
	    .help = "Only say what would change."),
	{ 0 },
};
static const struct record dry_record = { "dryRunQuery",
	sizeof(struct dry_query), dry_fields };

static void
answer(struct http_call *c, struct job *j)
{
	int rc = job_run(j);

	if (rc != 0)
		refuse(c, rc, j->err.text);
	else if (j->report.len > 0) {
		http_json(c, 200);
		json_out_object(&c->json);
		json_out_key(&c->json, "data");
		json_out_raw(&c->json, buf_str(&j->report));
		json_out_end_object(&c->json);
	} else {
		rest_data(c);
		json_out_key(&c->json, "backupId");
		json_out_str(&c->json, j->id);
		rest_data_end(c);
	}
	job_free(j);
}

static void
handle_run(struct http_call *c)
{
	const struct run_body *w;
	struct rest_body b;
	struct err err;
	struct job *j;

	if (!rest_read(c, &c->route->body, NULL, &b))
		return;
	if (record_defaults(&run_record, &c->arena, b.present, b.row, &err) !=
	    0) {
		http_error(c, 500, "err_unknown", "%s", err.text);
		return;
	}
	w = b.row;
	j = job_new(backup_of(c), JOB_BACKUP);
	j->wish.prefix = arena_str(&j->arena, w->prefix);
	j->wish.format = arena_str(&j->arena, w->form);
	j->wish.history = w->history;
	j->wish.metrics = w->metrics;
	answer(c, j);
}

/* False: answered. */
static bool
dry_run_of(struct http_call *c, bool *ret)
{
	struct str text = http_query(c, "dryRun");

	*ret = str_eqz(text, "true") || str_eqz(text, "1");
	if (*ret || text.len == 0 || str_eqz(text, "false") ||
	    str_eqz(text, "0"))
		return true;
	http_error(c, 400, "err_param", "`dryRun`: must be true or false");
	return false;
}

static void
handle_restore(struct http_call *c)
{
	struct str id;
	struct job *j;
	bool dry;

	if (!id_of(c, &id) || !dry_run_of(c, &dry))
		return;
	j = job_new(backup_of(c), JOB_RESTORE);
	j->id = arena_str(&j->arena, id);
	j->dry_run = dry;
	answer(c, j);
}

static void
handle_import(struct http_call *c)
{
	const struct import_body *w;
	struct rest_body b;
	struct str id;
	struct job *j;
	bool dry;

	if (!id_of(c, &id) || !dry_run_of(c, &dry) ||
	    !rest_read(c, &c->route->body, NULL, &b))
		return;
	w = b.row;
	j = job_new(backup_of(c), JOB_IMPORT);
	j->id = arena_str(&j->arena, id);
	j->dry_run = dry;
	j->unit_id = arena_str(&j->arena, w->unit_id);
	j->secret = arena_str(&j->arena, w->secret);
	answer(c, j);
}

/* --- how far it is ------------------------------------------------------- */

struct how_far {
	struct str what, id, step, status, message;
	int64_t percent, began, ended;
};
static const char *const kinds[] = { "none", "backup", "restore", "import",
	NULL };
static const char *const ends[] = { "idle", "running", "ok", "error", NULL };
#define P struct how_far
static const struct field how_far_fields[] = {
	F_TEXT(P, what, "what", .one_of = kinds,
	    .help = "none, backup, restore or import."),
	F_TEXT(P, id, "backupId"),
	F_TEXT(P, status, "status", .one_of = ends,
	    .help = "idle, running, ok or error."),
	F_TEXT(P, step, "step", .help = "What it is doing."),
	F_INT(P, percent, "percent", .help = "Of that step."),
	F_TEXT(P, message, "message", .help = "What went wrong."),
	F_TIME(P, began, "startedOn", .flags = FIELD_NULL),
	F_TIME(P, ended, "endedOn", .flags = FIELD_NULL),
	{ 0 },
};
static const struct record how_far_record = { "backupProgress", sizeof(P),
	how_far_fields };

static void
handle_progress(struct http_call *c)
{
	struct backup *b = backup_of(c);
	struct progress p;
	struct how_far h;

	pthread_mutex_lock(&b->lock);
	p = b->progress;
	pthread_mutex_unlock(&b->lock);
	h = (struct how_far){ .what = str_of(kinds[p.kind]),
		.id = str_of(p.id),
		.step = str_of(p.running ? p.step : ""),
		.status = str_of(p.kind == JOB_NONE ? "idle"
			: p.running                 ? "running"
			: p.rc == 0                 ? "ok"
						    : "error"),
		.message = str_of(p.text),
		.percent = p.percent,
		.began = p.began,
		.ended = p.ended };
	rest_answer(c, &how_far_record, &h);
}

struct names {
	struct strs added, changed, removed;
};
#define N struct names
static const struct field names_fields[] = {
	F_TEXTS(N, added, "added"),
	F_TEXTS(N, changed, "changed"),
	F_TEXTS(N, removed, "removed"),
	{ 0 },
};
static const struct record names_record = { "backupNames", sizeof(N),
	names_fields };

struct tallied {
	struct str entity;
	int64_t added, changed, removed;
	struct names names;
};
#define T struct tallied
static const struct field tallied_fields[] = {
	F_TEXT(T, entity, "entity"),
	F_INT(T, added, "added"),
	F_INT(T, changed, "changed"),
	F_INT(T, removed, "removed"),
	F_RECORD(T, names, N, "names", .record = &names_record,
	    .help = "The first of them."),
	{ 0 },
};
static const struct record tallied_record = { "backupChange", sizeof(T),
	tallied_fields };

struct skipped {
	struct str entity, id, why;
};
static const struct field skipped_fields[] = {
	F_TEXT(struct skipped, entity, "entity"),
	F_TEXT(struct skipped, id, "id"),
	F_TEXT(struct skipped, why, "why"),
	{ 0 },
};
static const struct record skipped_record = { "backupSkipped",
	sizeof(struct skipped), skipped_fields };

/* What compare.c and mycontroller.c write. */
struct report {
	struct str id, version, created;
	bool dry_run;
	int64_t rows;
	struct rows changes, skipped;
};
#define E struct report
static const struct field report_fields[] = {
	F_TEXT(E, id, "backupId"),
	F_BOOL(E, dry_run, "dryRun"),
	F_TEXT(E, version, "version", .flags = FIELD_ABSENT),
	F_TEXT(E, created, "createdOn", .flags = FIELD_ABSENT),
	F_RECORDS(E, changes, "changes", .record = &tallied_record),
	F_INT(E, rows, "rows", .flags = FIELD_ABSENT),
	F_RECORDS(E, skipped, "skipped", .flags = FIELD_ABSENT,
	    .record = &skipped_record),
	{ 0 },
};
static const struct record report_record = { "backupReport", sizeof(E),
	report_fields };

struct upload_query {
	struct str name;
};
static const struct field upload_fields[] = {
	F_TEXT(
	    struct upload_query, name, "name", .help = "Its id from now on."),
	{ 0 },
};
static const struct record upload_record = { "backupUpload",
	sizeof(struct upload_query), upload_fields };

#define REPORT .reply = { .record = &report_record }
#define MADE .reply = { .record = &shown_record, .members = "backupId" }
#define ZIP                                                                    \
	{                                                                      \
		.media = "application/zip"                                     \
	}
#define ADMIN HTTP_TOKEN, .roles = HTTP_ROLE_ADMIN
const struct http_route backup_rows[] = {
	{ "POST", "/backup", ADMIN, .scope = "backup.post",
	    .body = { .record = &run_record }, MADE, .handle = handle_run,
	    .flags = HTTP_SLOW, .help = "Makes a backup of everything." },
	{ "GET", "/backup/count", ADMIN, .scope = "backup.get",
	    .query = &asked_record, .reply = { .record = &rest_counted },
	    .handle = handle_count, .help = "How many backups there are." },
	{ "GET", "/backup/list", ADMIN, .scope = "backup.get",
	    .query = &asked_record,
	    .reply = { .record = &shown_record, .list = true },
	    .handle = handle_list,
	    .help = "The backups there are, newest first." },
	{ "GET", "/backup/progress", ADMIN, .scope = "backup.get",
	    .reply = { .record = &how_far_record }, .handle = handle_progress,
	    .help = "How far the backup, restore or import is that runs, or "
		    "how the last one ended." },
	{ "POST", BACKUP_UPLOAD, ADMIN, .scope = "backup.post",
	    .query = &upload_record, .body = ZIP, MADE, .handle = handle_upload,
	    .flags = HTTP_SLOW,
	    .help = "Takes a zip file as a backup named by the query `name`." },
	{ "GET", "/backup/{backupId}", ADMIN, .scope = "backup.get",
	    .reply = { .record = &shown_record, .extra = &detail_record },
	    .handle = handle_get,
	    .help = "A backup, and what it says of itself." },
	{ "GET", "/backup/{backupId}/file", ADMIN, .scope = "backup.get",
	    .reply = ZIP, .handle = handle_file, .help = "The zip file." },
	{ "DELETE", "/backup/{backupId}", ADMIN, .scope = "backup.delete",
	    .handle = handle_delete, .help = "Deletes a backup." },
	{ "POST", "/backup/{backupId}/restore", ADMIN, .scope = "backup.post",
	    .query = &dry_record, REPORT, .handle = handle_restore,
	    .flags = HTTP_SLOW,
	    .help = "Puts everything back as it was in the backup. Everybody "
		    "has to sign in again." },
	{ "POST", "/backup/{backupId}/import", ADMIN, .scope = "backup.post",
	    .query = &dry_record,
	    .body = { .record = &import_record, .members = "unitId! secret" },
	    REPORT, .handle = handle_import, .flags = HTTP_SLOW,
	    .help = "Takes what is in a backup of MyController into a unit." },
	{ 0 },
};
