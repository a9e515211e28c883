/*
 * core/backup/unpack.c - a zip file of anybody's, read with care.
 *
 * Names lose leading and repeated slashes, as MyController writes them; one
 * with ".." or a backslash in it, and two of the same name, make the whole file
 * unacceptable. Sizes are counted while reading, against the limits, whatever
 * the file says of itself. Nothing but whole folders (firmware, ...) is written
 * to disk.
 */
#include "core/backup/private.h"

#include "base/base.h"
#include "base/mem.h"
#include "codec/json.h"
#include "codec/yaml.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>

#define FOLDERS_MAX 16
#define HEAD "backup.yaml"

/* STR_NULL: not acceptable. */
static struct str
clean_name(struct arena *a, const char *name)
{
	struct str rest = str_of(name), part;
	struct buf b = { 0 };
	struct str ret = STR_NULL;
	bool ok = str_is_utf8(rest);

	while (ok && rest.ptr != NULL) {
		part = str_cut(&rest, '/');
		ok = !str_eqz(part, "..") &&
		    (part.len == 0 || memchr(part.ptr, '\\', part.len) == NULL);
		if (part.len == 0 || str_eqz(part, "."))
			continue;
		if (b.len > 0)
			buf_addc(&b, '/');
		buf_add_str(&b, part);
	}
	if (ok && b.len > 0 && b.len < 1024)
		ret = arena_str(a, buf_str(&b));
	buf_free(&b);
	return ret;
}

static int
by_name(const void *a, const void *b)
{
	const struct zip_entry *x = a, *y = b;

	return str_cmp(x->name, y->name);
}

static int
list_entries(struct unpack *u, struct err *err)
{
	zip_int64_t n = zip_get_num_entries(u->zip, 0);

	if (n > u->backup->conf.files_max)
		return err_set(err, ERR_LIMIT,
		    "%" PRId64 " files in it, more than backup.maxFiles",
		    (int64_t)n);
	u->at = arena_array(&u->arena, (size_t)n + 1, struct zip_entry);
	for (zip_int64_t i = 0; i < n; i++) {
		struct zip_entry *e = &u->at[u->n];
		zip_stat_t st;

		if (zip_stat_index(u->zip, (zip_uint64_t)i, 0, &st) != 0 ||
		    !(st.valid & ZIP_STAT_NAME) || !(st.valid & ZIP_STAT_SIZE))
			return err_set(
			    err, ERR_PARAM, "the list of its files is broken");
		e->name = clean_name(&u->arena, st.name);
		if (e->name.ptr == NULL)
			return err_set(err, ERR_PARAM,
			    "a file in it would lie outside of it: %.100s",
			    st.name);
		if (st.size == 0 && st.name[strlen(st.name) - 1] == '/')
			continue; /* a folder */
		e->index = (uint64_t)i;
		e->size = st.size;
		u->total += st.size;
		u->n++;
	}
	qsort(u->at, u->n, sizeof(*u->at), by_name);
	for (size_t i = 1; i < u->n; i++)
		if (str_eq(u->at[i].name, u->at[i - 1].name))
			return err_set(err, ERR_PARAM,
			    "two files in it have the name " STR_FMT,
			    STR_ARG(u->at[i].name));
	return 0;
}

const struct zip_entry *
unpack_find(const struct unpack *u, struct str name)
{
	const struct zip_entry key = { .name = name };

	return u->n == 0 ? NULL
			 : bsearch(&key, u->at, u->n, sizeof(*u->at), by_name);
}

/* --- reading ------------------------------------------------------------- */

/* Counts `n` more bytes. */
static int
account(struct unpack *u, uint64_t n, struct err *err)
{
	u->read += n;
	backup_percent(u->backup,
	    (int)(u->total > 0 ? MIN_OF(u->read * 100 / u->total, 99) : 0));
	if (u->read > (uint64_t)u->backup->conf.bytes_max)
		return err_set(err, ERR_LIMIT,
		    "it holds more than backup.maxBytes (%" PRId64 " bytes)",
		    u->backup->conf.bytes_max);
	return backup_ending(u->backup)
	    ? err_set(err, ERR_CLOSED, "the program ends")
	    : 0;
}

static int
open_entry(struct unpack *u, const struct zip_entry *e, zip_file_t **ret,
    struct err *err)
{
	*ret = zip_fopen_index(u->zip, e->index, 0);
	if (*ret == NULL)
		return err_set(err, ERR_PARAM, STR_FMT " in it: %s",
		    STR_ARG(e->name), zip_strerror(u->zip));
	return 0;
}

/* The next bytes, or 0 at the end: then they were the right ones, too. */
static zip_int64_t
read_some(zip_file_t *f, const struct zip_entry *e, char *to, size_t max,
    struct err *err)
{
	zip_int64_t n = zip_fread(f, to, max);

	if (n < 0)
		err_set(err, ERR_PARAM, STR_FMT " in it is broken: %s",
		    STR_ARG(e->name), zip_file_strerror(f));
	return n;
}

int
unpack_read(struct unpack *u, const struct zip_entry *e, struct buf *out,
    struct err *err)
{
	uint64_t max = (uint64_t)u->backup->conf.page_max;
	zip_file_t *f;
	zip_int64_t n = 1;
	int rc;

	buf_clear(out);
	rc = open_entry(u, e, &f, err);
	if (rc != 0)
		return rc;
	while (rc == 0 && n > 0) {
		buf_reserve(out, 65536);
		n = read_some(f, e, out->ptr + out->len, 65536, err);
		if (n < 0) {
			rc = ERR_PARAM;
			break;
		}
		out->len += (size_t)n;
		rc = account(u, (uint64_t)n, err);
		if (rc == 0 && out->len > max)
			rc = err_set(err, ERR_LIMIT,
			    STR_FMT " in it is longer than backup.maxPage",
			    STR_ARG(e->name));
	}
	zip_fclose(f);
	return rc;
}

int
unpack_json(struct unpack *u, const struct zip_entry *e, struct buf *out,
    struct err *err)
{
	struct buf raw = { 0 };
	int rc = unpack_read(u, e, &raw, err);

	buf_clear(out);
	if (rc == 0 && str_ends(e->name, STR(".json")))
		buf_add_str(out, buf_str(&raw));
	else if (rc == 0)
		rc = yaml_read(out, buf_str(&raw), err);
	if (rc != 0 && rc != ERR_LIMIT && rc != ERR_CLOSED)
		err_wrap(err, STR_FMT, STR_ARG(e->name));
	buf_free(&raw);
	return rc;
}

/* --- folders ------------------------------------------------------------- */

static int
make_folders(const char *dir, struct str name, struct err *err)
{
	for (size_t i = 0; i < name.len; i++) {
		char *path;
		int rc = 0;

		if (name.ptr[i] != '/')
			continue;
		path = mem_printf("%s/%.*s", dir, (int)i, name.ptr);
		if (mkdir(path, 0700) < 0 && errno != EEXIST)
			rc = err_errno(err, "make the folder %s", path);
		free(path);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static int
copy_out(struct unpack *u, const struct zip_entry *e, int fd, struct err *err)
{
	char block[65536];
	zip_int64_t n = 1;
	zip_file_t *f;
	int rc = open_entry(u, e, &f, err);

	if (rc != 0)
		return rc;
	while (rc == 0 && n > 0) {
		n = read_some(f, e, block, sizeof(block), err);
		rc = n < 0 ? ERR_PARAM : account(u, (uint64_t)n, err);
		for (zip_int64_t at = 0; rc == 0 && at < n;) {
			ssize_t k = write(fd, block + at, (size_t)(n - at));

			if (k < 0 && errno != EINTR)
				rc = err_errno(
				    err, "write " STR_FMT, STR_ARG(e->name));
			else if (k > 0)
				at += k;
		}
	}
	zip_fclose(f);
	if (rc == 0 && fsync(fd) < 0)
		rc = err_errno(err, "flush " STR_FMT, STR_ARG(e->name));
	return rc;
}

int
unpack_file(struct unpack *u, const struct zip_entry *e, const char *path,
    struct err *err)
{
	int fd = open(
	    path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	int rc;

	if (fd < 0)
		return err_errno(err, "create %s", path);
	rc = copy_out(u, e, fd, err);
	close(fd);
	return rc;
}

int
unpack_folder(
    struct unpack *u, const char *folder, const char *dir, struct err *err)
{
	const struct str below = arena_printf(&u->arena, "%s/", folder);
	int rc = 0;

	files_remove(dir);
	if (mkdir(dir, 0700) < 0)
		return err_errno(err, "make the folder %s", dir);
	for (size_t i = 0; rc == 0 && i < u->n; i++) {
		struct str name = u->at[i].name;
		char *path;

		if (!str_starts(name, below))
			continue;
		name.ptr += below.len;
		name.len -= below.len;
		rc = make_folders(dir, name, err);
		path = mem_printf("%s/" STR_FMT, dir, STR_ARG(name));
		if (rc == 0)
			rc = unpack_file(u, &u->at[i], path, err);
		free(path);
	}
	return rc == 0 ? files_sync_dir(dir, err) : rc;
}

bool
unpack_has_folder(const struct unpack *u, const char *name)
{
	for (size_t i = 0; i < u->folders.n; i++)
		if (str_eqz(u->folders.at[i], name))
			return true;
	return false;
}

/* --- the head ------------------------------------------------------------ */

static void
read_version(struct unpack *u, struct json *j)
{
	struct str key;

	if (json_peek(j) != JSON_OBJECT) {
		json_skip(j);
		return;
	}
	json_object(j);
	while (json_member(j, &key))
		if (str_eqz(key, "version") && json_peek(j) == JSON_STRING)
			json_str(j, &u->version);
		else if (str_eqz(key, "format") && json_peek(j) == JSON_NUMBER)
			json_i64(j, &u->format);
		else
			json_skip(j);
}

static void
read_directories(struct unpack *u, struct json *j)
{
	struct str key;

	if (json_peek(j) != JSON_OBJECT) {
		json_skip(j);
		return;
	}
	json_object(j);
	while (json_member(j, &key)) {
		struct str *list =
		    arena_array(&u->arena, u->folders.n + 1, struct str);

		if (u->folders.n > 0)
			memcpy(
			    list, u->folders.at, u->folders.n * sizeof(*list));
		list[u->folders.n++] = arena_str(&u->arena, key);
		u->folders.at = list;
		if (u->folders.n > FOLDERS_MAX)
			json_fail(j, "too many directories");
		json_skip(j);
	}
}

static int
read_head(struct unpack *u, struct err *err)
{
	const struct zip_entry *e = unpack_find(u, STR(HEAD));
	struct buf b = { 0 };
	struct str key, text;
	struct json j;
	int rc;

	if (e == NULL)
		return err_set(err, ERR_PARAM,
		    "this is no backup: there is no " HEAD " in it");
	rc = unpack_json(u, e, &b, err);
	if (rc != 0) {
		buf_free(&b);
		return rc;
	}
	text = arena_str(&u->arena, buf_str(&b));
	buf_free(&b);
	json_open(&j, text, 0, &u->arena);
	if (json_object(&j))
		while (json_member(&j, &key)) {
			bool is_text = json_peek(&j) == JSON_STRING;

			if (str_eqz(key, "version"))
				read_version(u, &j);
			else if (str_eqz(key, "directories"))
				read_directories(u, &j);
			else if (str_eqz(key, "entities"))
				json_raw(&j, &u->entities);
			else if (str_eqz(key, "created_on") && is_text)
				json_str(&j, &u->created);
			else if (str_eqz(key, "storage_export_type") &&
			    is_text) {
				json_str(&j, &text);
				u->yaml = str_eqz(text, "yaml");
			} else if (str_eqz(key, "product") && is_text) {
				json_str(&j, &text);
				u->ours = str_eqz(text, "marram");
			} else {
				json_skip(&j);
			}
		}
	return json_done(&j, err) == 0 ? 0 : err_wrap(err, HEAD);
}

int
unpack_open(
    struct backup *b, const char *path, struct unpack *ret, struct err *err)
{
	struct unpack u = { .backup = b };
	int code, rc;

	if (access(path, F_OK) != 0)
		return err_set(err, ERR_NOT_FOUND, "there is no such backup");
	u.zip = zip_open(path, ZIP_RDONLY | ZIP_CHECKCONS, &code);
	if (u.zip == NULL) {
		zip_error_t e;

		zip_error_init_with_code(&e, code);
		err_set(err, ERR_PARAM, "it can not be read as a zip file: %s",
		    zip_error_strerror(&e));
		zip_error_fini(&e);
		return ERR_PARAM;
	}
	rc = list_entries(&u, err);
	if (rc == 0)
		rc = read_head(&u, err);
	if (rc != 0)
		unpack_close(&u);
	else
		*ret = u;
	return rc;
}

void
unpack_close(struct unpack *u)
{
	if (u->zip != NULL)
		zip_discard(u->zip);
	u->zip = NULL;
	arena_fini(&u->arena);
}

/* --- pages --------------------------------------------------------------- */

bool
page_name(
    struct str name, struct str *what, uint64_t *offset, struct str *ending)
{
	const struct str below = STR("storage/");
	struct str rest = name;
	size_t at, dot;

	if (str_starts(name, below))
		rest =
		    (struct str){ name.ptr + below.len, name.len - below.len };
	if (memchr(rest.ptr, '/', rest.len) != NULL &&
	    !str_starts(name, STR("metrics/")))
		return false;
	for (dot = rest.len; dot > 0 && rest.ptr[dot - 1] != '.'; dot--)
		;
	if (dot == 0)
		return false;
	*ending = (struct str){ rest.ptr + dot - 1, rest.len - dot + 1 };
	rest.len = dot - 1;
	for (at = rest.len; at > 1; at--)
		if (rest.ptr[at - 1] == '_' && rest.ptr[at - 2] == '_')
			break;
	if (at < 3 ||
	    !str_to_u64((struct str){ rest.ptr + at, rest.len - at }, offset))
		return false;
	*what = (struct str){ rest.ptr, at - 2 };
	return str_eqz(*ending, ".json") || str_eqz(*ending, ".yaml");
}

static int
by_offset(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return x[0] < y[0] ? -1 : x[0] > y[0];
}

static int
page_items(struct unpack *u, const struct zip_entry *e,
    int (*each)(void *ctx, struct str json, struct err *err), void *ctx,
    struct err *err)
{
	struct buf b = { 0 };
	struct arena a = { 0 };
	struct str item;
	struct json j;
	int rc = unpack_json(u, e, &b, err);

	if (rc == 0) {
		json_open(&j, buf_str(&b), 0, &a);
		if (json_peek(&j) == JSON_NULL)
			json_null(&j);
		else if (json_array(&j))
			while (rc == 0 && json_item(&j) && json_raw(&j, &item))
				rc = each(ctx, item, err);
		if (rc == 0)
			rc = json_done(&j, err);
		if (rc != 0)
			err_wrap(err, STR_FMT, STR_ARG(e->name));
	}
	buf_free(&b);
	arena_fini(&a);
	return rc;
}

int
unpack_items(struct unpack *u, struct str what,
    int (*each)(void *ctx, struct str json, struct err *err), void *ctx,
    struct err *err)
{
	uint64_t(*pages)[2] = mem_array(u->n + 1, sizeof(*pages));
	struct str found, ending;
	uint64_t offset;
	size_t n = 0;
	int rc = 0;

	for (size_t i = 0; i < u->n; i++)
		if (page_name(u->at[i].name, &found, &offset, &ending) &&
		    str_eq(found, what)) {
			pages[n][0] = offset;
			pages[n++][1] = i;
		}
	if (n > 0)
		qsort(pages, n, sizeof(*pages), by_offset);
	for (size_t i = 0; rc == 0 && i < n; i++)
		rc = page_items(u, &u->at[pages[i][1]], each, ctx, err);
	free(pages);
	return rc;
}
