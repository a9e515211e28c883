/*
 * plug/store/memory_dump.c - see memory_dump.h.
 */
#include "plug/store/memory_dump.h"

#include "base/base.h"
#include "base/crc32c.h"
#include "base/file.h"
#include "base/mem.h"
#include "codec/entity_json.h"
#include "codec/yaml.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX "gen-"
#define FRESH ".new"
#define COMPLETE "complete.json"
#define FORMAT 1
#define PAGE_BYTES (1 << 20)
#define KEEP 2 /* generations */

/* --- folders ------------------------------------------------------------- */

/* Deletes a folder that has only files in it. */
static void
remove_folder(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;

	if (d == NULL)
		return;
	while ((e = readdir(d)) != NULL)
		if (e->d_name[0] != '.')
			unlinkat(dirfd(d), e->d_name, 0);
	closedir(d);
	rmdir(path);
}

static int
newest_first(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? 1 : x > y ? -1 : 0;
}

/* The numbers of the generations, newest first; folders that were being made
 * go. */
static int
list_generations(const char *dir, uint64_t **ret, size_t *n, struct err *err)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	*ret = NULL;
	*n = 0;
	if (d == NULL)
		return errno == ENOENT ? 0 : err_errno(err, "open %s", dir);
	while ((e = readdir(d)) != NULL) {
		struct str name = str_of(e->d_name);
		uint64_t no;

		if (!str_starts(name, STR(PREFIX)))
			continue;
		if (str_ends(name, STR(FRESH))) {
			char *path = mem_printf("%s/%s", dir, e->d_name);

			remove_folder(path);
			free(path);
			continue;
		}
		name.ptr += strlen(PREFIX);
		name.len -= strlen(PREFIX);
		if (!str_to_u64(name, &no))
			continue;
		*ret = mem_resize(*ret, *n + 1, sizeof(**ret));
		(*ret)[(*n)++] = no;
	}
	closedir(d);
	if (*n > 0)
		qsort(*ret, *n, sizeof(**ret), newest_first);
	return 0;
}

static int
sync_folder(const char *path, struct err *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;

	if (fd < 0)
		return err_errno(err, "open %s", path);
	if (fsync(fd) < 0)
		rc = err_errno(err, "flush %s", path);
	close(fd);
	return rc;
}

static int
make_folders(const char *path, struct err *err)
{
	char *part = str_dupz(str_of(path));
	int rc = 0;

	for (char *p = part + 1; rc == 0; p++) {
		char was = *p;

		if (was != '/' && was != '\0')
			continue;
		*p = '\0';
		if (mkdir(part, 0700) < 0 && errno != EEXIST)
			rc = err_errno(err, "make the folder %s", part);
		*p = was;
		if (was == '\0')
			break;
	}
	free(part);
	return rc;
}

/* --- writing ------------------------------------------------------------- */

struct writing {
	char *dir; /* of this generation */
	bool yaml;
	struct buf page, yaml_page;
	struct buf files; /* JSON items of complete.json */
};

static int
write_file(const char *path, struct str text, struct err *err)
{
	int fd = open(
	    path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
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
	if (rc == 0 && fsync(fd) < 0)
		rc = err_errno(err, "flush %s", path);
	close(fd);
	return rc;
}

static int
write_page(struct writing *w, const char *record, size_t first, struct err *err)
{
	struct str text;
	char *path;
	int rc;

	buf_addz(&w->page, "]\n");
	text = buf_str(&w->page);
	if (w->yaml) {
		buf_clear(&w->yaml_page);
		if (!yaml_write(&w->yaml_page, text))
			return err_set(err, ERR_INTERNAL, "a row is no JSON");
		text = buf_str(&w->yaml_page);
	}
	path = mem_printf(
	    "%s/%s__%zu.%s", w->dir, record, first, w->yaml ? "yaml" : "json");
	rc = write_file(path, text, err);
	buf_addf(&w->files,
	    "%s{\"name\":\"%s\",\"size\":%zu,\"crc32c\":%" PRIu32 "}",
	    w->files.len > 0 ? "," : "", strrchr(path, '/') + 1, text.len,
	    crc32c(0, text.ptr, text.len));
	free(path);
	buf_clear(&w->page);
	return rc;
}

static int
write_table(struct writing *w, const struct dump_table *t, struct err *err)
{
	const struct record *r = &t->entity->record;
	size_t first = 0;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < t->n; i++) {
		buf_addz(&w->page, i == first ? "[" : ",\n");
		record_encode(&w->page, r, t->rows[i]);
		if (w->page.len < PAGE_BYTES && i + 1 < t->n)
			continue;
		rc = write_page(w, r->name, first, err);
		first = i + 1;
	}
	return rc;
}

static int
write_complete(struct writing *w, const struct dump_table *tables, size_t n,
    struct err *err)
{
	char *path = mem_printf("%s/" COMPLETE, w->dir);
	struct buf b = { 0 };
	int rc;

	buf_addf(&b, "{\"format\":%d,\"entities\":{", FORMAT);
	for (size_t i = 0; i < n; i++)
		buf_addf(&b, "%s\"%s\":%d", i > 0 ? "," : "",
		    tables[i].entity->record.name, tables[i].entity->version);
	buf_addz(&b, "},\"files\":[");
	if (w->files.len > 0)
		buf_add_str(&b, buf_str(&w->files));
	buf_addz(&b, "]}\n");
	rc = write_file(path, buf_str(&b), err);
	buf_free(&b);
	free(path);
	return rc;
}

static void
remove_old(const char *dir, const uint64_t *all, size_t n)
{
	for (size_t i = KEEP - 1; i < n; i++) { /* and the new one */
		char *path = mem_printf("%s/" PREFIX "%" PRIu64, dir, all[i]);

		remove_folder(path);
		free(path);
	}
}

int
dump_write(const char *dir, bool yaml, const struct dump_table *tables,
    size_t n, struct err *err)
{
	struct writing w = { .yaml = yaml };
	uint64_t *all = NULL, no;
	size_t n_all = 0;
	char *final = NULL;
	int rc;

	rc = make_folders(dir, err);
	if (rc == 0)
		rc = list_generations(dir, &all, &n_all, err);
	if (rc != 0)
		goto done;
	no = n_all > 0 ? all[0] + 1 : 1;
	w.dir = mem_printf("%s/" PREFIX "%" PRIu64 FRESH, dir, no);
	final = mem_printf("%s/" PREFIX "%" PRIu64, dir, no);
	if (mkdir(w.dir, 0700) < 0)
		rc = err_errno(err, "make the folder %s", w.dir);
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = write_table(&w, &tables[i], err);
	if (rc == 0)
		rc = write_complete(&w, tables, n, err);
	if (rc == 0)
		rc = sync_folder(w.dir, err);
	if (rc == 0 && rename(w.dir, final) < 0)
		rc = err_errno(err, "rename %s", w.dir);
	if (rc == 0)
		rc = sync_folder(dir, err);
	if (rc == 0)
		remove_old(dir, all, n_all);
	else
		remove_folder(w.dir);
done:
	free(all);
	free(w.dir);
	free(final);
	buf_free(&w.page);
	buf_free(&w.yaml_page);
	buf_free(&w.files);
	return rc;
}

/* --- reading ------------------------------------------------------------- */

struct reading {
	const struct entity *const *entities;
	int (*add)(void *ctx, const struct entity *e, const void *row,
	    struct err *err);
	void *ctx;
	char *dir;
	struct arena arena;
	struct str *files; /* names */
	size_t n, cap;
};

static int
check_file(struct reading *r, struct str name, uint64_t size, uint64_t crc,
    struct err *err)
{
	char *path;
	struct buf b = { 0 };
	int rc;

	if (name.len == 0 || memchr(name.ptr, '/', name.len) != NULL)
		return err_set(err, ERR_IO, COMPLETE " names a bad file");
	path = mem_printf("%s/" STR_FMT, r->dir, STR_ARG(name));
	rc = file_read(path, &b, err);
	if (rc == 0 && (b.len != size || crc32c(0, b.ptr, b.len) != crc))
		rc = err_set(err, ERR_IO, "%s is damaged", path);
	if (rc == 0) {
		if (r->n == r->cap) {
			r->cap = r->cap * 2 + 64;
			r->files =
			    mem_resize(r->files, r->cap, sizeof(*r->files));
		}
		r->files[r->n++] = arena_str(&r->arena, name);
	}
	buf_free(&b);
	free(path);
	return rc;
}

static int
check_files(struct reading *r, struct json *j, struct err *err)
{
	struct str key, name = STR_NULL;
	int64_t size = -1, crc = -1;
	int rc = 0;

	if (!json_array(j))
		return 0;
	while (rc == 0 && json_item(j)) {
		if (json_object(j))
			while (json_member(j, &key)) {
				if (str_eqz(key, "name"))
					json_str(j, &name);
				else if (str_eqz(key, "size"))
					json_i64(j, &size);
				else if (str_eqz(key, "crc32c"))
					json_i64(j, &crc);
				else
					json_skip(j);
			}
		if (json_ok(j))
			rc = check_file(
			    r, name, (uint64_t)size, (uint64_t)crc, err);
	}
	return rc;
}

static const struct entity *
entity_named(const struct reading *r, struct str name)
{
	for (size_t i = 0; r->entities[i] != NULL; i++)
		if (str_eqz(name, r->entities[i]->record.name))
			return r->entities[i];
	return NULL;
}

/* Sets `*newer`, and then it is no damage. */
static int
check_entities(struct reading *r, struct json *j, bool *newer, struct err *err)
{
	struct str name;
	int64_t version = 0;

	if (json_object(j))
		while (json_member(j, &name) && json_i64(j, &version)) {
			const struct entity *e = entity_named(r, name);

			if (e != NULL && version <= e->version)
				continue;
			*newer = true;
			return err_set(err, ERR_PARAM,
			    "%s was written by a newer version of this "
			    "program",
			    r->dir);
		}
	return 0;
}

/* Is this generation whole? */
static int
check(struct reading *r, bool *newer, struct err *err)
{
	char *path = mem_printf("%s/" COMPLETE, r->dir);
	struct buf b = { 0 };
	bool listed = false;
	struct str key;
	struct json j;
	int rc = file_read(path, &b, err);

	if (rc == 0) {
		json_open(&j, buf_str(&b), 0, &r->arena);
		if (json_object(&j))
			while (rc == 0 && json_member(&j, &key)) {
				if (str_eqz(key, "entities"))
					rc = check_entities(r, &j, newer, err);
				else if (str_eqz(key, "files")) {
					listed = true;
					rc = check_files(r, &j, err);
				} else
					json_skip(&j);
			}
		if (rc == 0 && (json_done(&j, err) != 0 || !listed))
			rc = err_set(err, ERR_IO, "%s is damaged", path);
	}
	buf_free(&b);
	free(path);
	return rc;
}

static int
read_rows(
    struct reading *r, const struct entity *e, struct str json, struct err *err)
{
	void *row = mem_alloc(e->record.size);
	struct arena a = { 0 }, items = { 0 };
	struct str item;
	struct json j;
	int rc = 0;

	json_open(&j, json, 0, &items);
	if (json_array(&j))
		while (rc == 0 && json_item(&j) && json_raw(&j, &item)) {
			rc = record_decode(item, &e->record, &a, row, err);
			if (rc == 0)
				rc = r->add(r->ctx, e, row, err);
			arena_clear(&a);
		}
	if (rc == 0)
		rc = json_done(&j, err);
	arena_fini(&a);
	arena_fini(&items);
	free(row);
	return rc;
}

static int
read_page(struct reading *r, struct str file, struct err *err)
{
	char *path = mem_printf("%s/" STR_FMT, r->dir, STR_ARG(file));
	struct buf text = { 0 }, json = { 0 };
	struct str name = file;
	const struct entity *e;
	int rc;

	for (size_t i = 0; i + 1 < file.len; i++)
		if (file.ptr[i] == '_' && file.ptr[i + 1] == '_')
			name.len = i;
	e = entity_named(r, name);
	if (e == NULL) {
		free(path);
		return err_set(err, ERR_PARAM,
		    "%s: nobody knows rows of " STR_FMT, r->dir, STR_ARG(name));
	}
	rc = file_read(path, &text, err);
	if (rc == 0 && str_ends(file, STR(".yaml")))
		rc = yaml_read(&json, buf_str(&text), err);
	else if (rc == 0)
		buf_add_str(&json, buf_str(&text));
	if (rc == 0)
		rc = read_rows(r, e, buf_str(&json), err);
	if (rc != 0)
		rc = err_wrap(err, "%s", path);
	buf_free(&text);
	buf_free(&json);
	free(path);
	return rc;
}

/* 0; 1 when it is damaged and the one before it is to be tried. */
static int
read_generation(
    struct reading *r, void (*tell)(const char *text), struct err *err)
{
	bool newer = false;
	char *aside;
	int rc;

	r->n = 0;
	rc = check(r, &newer, err);
	if (rc != 0 && newer)
		return rc;
	if (rc == 0) {
		for (size_t i = 0; rc == 0 && i < r->n; i++)
			rc = read_page(r, r->files[i], err);
		return rc;
	}
	aside = mem_printf("%s.broken", r->dir);
	if (tell != NULL)
		tell(err->text);
	remove_folder(aside);
	(void)rename(r->dir, aside);
	free(aside);
	return 1;
}

int
dump_read(const char *dir, const struct entity *const *entities,
    int (*add)(
	void *ctx, const struct entity *e, const void *row, struct err *err),
    void *ctx, void (*tell)(const char *text), struct err *err)
{
	struct reading r = { .entities = entities, .add = add, .ctx = ctx };
	uint64_t *all;
	size_t n;
	int rc = list_generations(dir, &all, &n, err);

	if (rc == 0 && n > 0)
		rc = 1;
	for (size_t i = 0; rc == 1 && i < n; i++) {
		r.dir = mem_printf("%s/" PREFIX "%" PRIu64, dir, all[i]);
		rc = read_generation(&r, tell, err);
		free(r.dir);
	}
	if (rc == 1)
		rc = err_set(err, ERR_IO,
		    "%s: every dump in it is damaged; to begin with nothing, "
		    "move the folder away",
		    dir);
	free(all);
	free(r.files);
	arena_fini(&r.arena);
	return rc;
}
