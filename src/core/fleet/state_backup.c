/*
 * core/fleet/state_backup.c - repositories and keys of units, copied for a
 * backup and put back.
 *
 *    {unit}/id_thymis, ...            the files of the unit, keys among them
 *    {unit}/repository/.git/...       all commits, packed
 *    {unit}/repository/state.json, flake.lock, artifacts/...
 *
 * What is generated is not copied; it is generated again.
 */
#include "core/fleet/state.h"

#include "base/base.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "core/fleet/state_git.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_MODULE "fleet"
#define DEPTH_MAX 64

static char *
joined(const char *dir, const char *name)
{
	return mem_printf("%s/%s", dir, name);
}

/* --- copying and removing ------------------------------------------------- */

static int
copy_file(const char *from, const char *to, struct err *err)
{
	int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW), out, rc = 0;
	char bytes[65536];
	ssize_t n, k;

	if (in < 0)
		return errno == ENOENT ? 0 : err_errno(err, "open %s", from);
	out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (out < 0)
		rc = err_errno(err, "create %s", to);
	while (rc == 0 && (n = read(in, bytes, sizeof(bytes))) != 0) {
		if (n < 0 && errno != EINTR)
			rc = err_errno(err, "read %s", from);
		for (ssize_t at = 0; rc == 0 && at < n; at += k) {
			k = write(out, bytes + at, (size_t)(n - at));
			if (k < 0 && errno != EINTR)
				rc = err_errno(err, "write %s", to);
			k = k < 0 ? 0 : k;
		}
	}
	if (rc == 0 && fsync(out) < 0)
		rc = err_errno(err, "flush %s", to);
	close(in);
	if (out >= 0)
		close(out);
	return rc;
}

static bool
is_left_out(const char *name)
{
	size_t n = strlen(name);

	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
	    strcmp(name, "hooks") == 0 ||
	    (n > 5 && strcmp(name + n - 5, ".lock") == 0 &&
		strcmp(name, "flake.lock") != 0);
}

/* Files and folders, no links. What is not there is not copied. */
static int
copy_tree(const char *from, const char *to, int depth, struct err *err)
{
	const struct dirent *e;
	struct stat st;
	DIR *d;
	int rc = 0;

	if (lstat(from, &st) < 0)
		return errno == ENOENT ? 0 : err_errno(err, "read %s", from);
	if (S_ISREG(st.st_mode))
		return copy_file(from, to, err);
	if (!S_ISDIR(st.st_mode))
		return 0;
	if (depth == DEPTH_MAX)
		return err_set(
		    err, ERR_LIMIT, "%s lies too deep in folders", from);
	d = opendir(from);
	if (d == NULL)
		return err_errno(err, "open %s", from);
	if (mkdir(to, 0700) < 0 && errno != EEXIST)
		rc = err_errno(err, "make the folder %s", to);
	while (rc == 0 && (e = readdir(d)) != NULL) {
		char *a, *b;

		if (is_left_out(e->d_name))
			continue;
		a = joined(from, e->d_name);
		b = joined(to, e->d_name);
		rc = copy_tree(a, b, depth + 1, err);
		free(a);
		free(b);
	}
	closedir(d);
	return rc;
}

void
fleet_remove_tree(const char *path)
{
	DIR *d = opendir(path);
	const struct dirent *e;
	struct stat st;

	if (lstat(path, &st) == 0 && !S_ISDIR(st.st_mode)) {
		if (d != NULL)
			closedir(d);
		(void)unlink(path);
		return;
	}
	while (d != NULL && (e = readdir(d)) != NULL)
		if (strcmp(e->d_name, ".") != 0 &&
		    strcmp(e->d_name, "..") != 0) {
			char *inner = joined(path, e->d_name);

			fleet_remove_tree(inner);
			free(inner);
		}
	if (d != NULL)
		closedir(d);
	(void)rmdir(path);
}

/* --- a unit --------------------------------------------------------------- */

static const char *const kept[] = { ".git", "state.json", "flake.lock",
	"artifacts" };

/* Its own files: keys, known hosts. */
static int
copy_files(const char *from, const char *to, struct err *err)
{
	DIR *d = opendir(from);
	const struct dirent *e;
	int rc = 0;

	if (d == NULL)
		return err_errno(err, "open %s", from);
	while (rc == 0 && (e = readdir(d)) != NULL) {
		char *a = joined(from, e->d_name), *b = joined(to, e->d_name);
		struct stat st;

		if (lstat(a, &st) == 0 && S_ISREG(st.st_mode) &&
		    strcmp(e->d_name, "busy") != 0)
			rc = copy_file(a, b, err);
		free(a);
		free(b);
	}
	closedir(d);
	return rc;
}

/* A repository whose objects are few files. That it can not be packed is no
 * fault: it is larger then. */
static void
pack(struct fleet *f, struct str unit_id, const char *repository)
{
	struct arena a = { 0 };
	const struct fleet_git g = {
		.f = f, .unit_id = unit_id, .dir = repository, .url = STR("")
	};
	struct err err;

	if (fleet_git_run(&g,
		(const char *const[]){ "repack", "-a", "-d", "-q", NULL }, &a,
		NULL, &err) != 0)
		log_warn("%s: pack for a backup: %s", repository, err.text);
	arena_fini(&a);
}

static int
copy_unit(struct fleet *f, const char *unit, const char *from, const char *to,
    void *ctx, struct err *err)
{
	struct fleet_repo *r = fleet_repo_lock(f, str_of(unit));
	char *repository = joined(to, "repository");
	int rc = 0;

	(void)ctx;
	if (mkdir(to, 0700) < 0 || mkdir(repository, 0700) < 0)
		rc = err_errno(err, "make the folder %s", repository);
	if (rc == 0)
		rc = copy_files(from, to, err);
	for (size_t i = 0; rc == 0 && i < COUNT_OF(kept); i++) {
		char *a = mem_printf("%s/repository/%s", from, kept[i]);
		char *b = joined(repository, kept[i]);

		rc = copy_tree(a, b, 0, err);
		free(a);
		free(b);
	}
	fleet_repo_give(r);
	if (rc == 0)
		pack(f, str_of(unit), repository);
	free(repository);
	return rc;
}

/* Calls `each` for every folder of `dir` that is a unit's. */
static int
units(struct fleet *f, const char *dir, const char *to,
    int (*each)(struct fleet *f, const char *unit, const char *from,
	const char *to, void *ctx, struct err *err),
    void *ctx, struct err *err)
{
	DIR *d = opendir(dir);
	const struct dirent *e;
	int rc = 0;

	if (d == NULL)
		return errno == ENOENT ? 0 : err_errno(err, "open %s", dir);
	while (rc == 0 && (e = readdir(d)) != NULL) {
		char *from = joined(dir, e->d_name);
		char *there = joined(to, e->d_name);
		char *git = mem_printf("%s/repository/.git", from);
		char *key = joined(from, "id_thymis");

		if (e->d_name[0] != '.' &&
		    (access(git, F_OK) == 0 || access(key, F_OK) == 0))
			rc = each(f, e->d_name, from, there, ctx, err);
		free(from);
		free(there);
		free(git);
		free(key);
	}
	closedir(d);
	return rc;
}

int
fleet_backup_copy(void *fleet, const char *to, struct err *err)
{
	struct fleet *f = fleet;

	return units(f, f->dir, to, copy_unit, NULL, err);
}

/* The repository that was there stands aside until the other is in its place;
 * what else a unit has here stays. */
static int
put_unit(struct fleet *f, const char *unit, const char *from, const char *to,
    void *ctx, struct err *err)
{
	struct fleet_repo *r = fleet_repo_lock(f, str_of(unit));
	char *fresh = joined(from, "repository");
	char *now = joined(to, "repository"), *old = joined(to, "old");
	DIR *d;
	const struct dirent *e;
	int rc = 0;

	(void)ctx;
	fleet_repo_close(r);
	if (mkdir(to, 0700) < 0 && errno != EEXIST)
		rc = err_errno(err, "make the folder %s", to);
	d = rc == 0 ? opendir(from) : NULL;
	while (rc == 0 && d != NULL && (e = readdir(d)) != NULL) {
		char *a = joined(from, e->d_name), *b = joined(to, e->d_name);
		struct stat st;

		if (lstat(a, &st) == 0 && S_ISREG(st.st_mode) &&
		    rename(a, b) < 0)
			rc = err_errno(err, "rename %s", a);
		free(a);
		free(b);
	}
	if (d != NULL)
		closedir(d);
	if (rc == 0 && access(fresh, F_OK) == 0) {
		fleet_remove_tree(old);
		if (rename(now, old) < 0 && errno != ENOENT)
			rc = err_errno(err, "rename %s", now);
		else if (rename(fresh, now) < 0)
			rc = err_errno(err, "rename %s", fresh);
		fleet_remove_tree(old);
	}
	fleet_repo_give(r);
	free(fresh);
	free(now);
	free(old);
	return rc;
}

int
fleet_backup_put_back(void *fleet, const char *from, struct err *err)
{
	struct fleet *f = fleet;

	if (mkdir(f->dir, 0700) < 0 && errno != EEXIST)
		return err_errno(err, "make the folder %s", f->dir);
	return units(f, from, f->dir, put_unit, NULL, err);
}

/* --- what would change ---------------------------------------------------- */

struct comparing {
	void (*note)(void *note_ctx, const char *fate, struct str name);
	void *note_ctx;
	bool gone; /* those that are not in the backup are looked for */
};

static bool
same_file(const char *a, const char *b)
{
	struct buf x = { 0 }, y = { 0 };
	bool has_a = file_read(a, &x, NULL) == 0;
	bool has_b = file_read(b, &y, NULL) == 0;
	bool same = has_a == has_b && x.len == y.len &&
	    (x.len == 0 || memcmp(x.ptr, y.ptr, x.len) == 0);

	if (x.ptr != NULL)
		sodium_memzero(x.ptr, x.cap); /* keys are among them */
	if (y.ptr != NULL)
		sodium_memzero(y.ptr, y.cap);
	buf_free(&x);
	buf_free(&y);
	return same;
}

/* Is every file of `a` in `b`, too, and the same? */
static bool
is_within(const char *a, const char *b, bool deep)
{
	DIR *d = opendir(a);
	const struct dirent *e;
	bool is = true;

	while (is && d != NULL && (e = readdir(d)) != NULL) {
		char *x = joined(a, e->d_name), *y = joined(b, e->d_name);
		struct stat st;

		if (!is_left_out(e->d_name) && lstat(x, &st) == 0) {
			if (S_ISREG(st.st_mode) &&
			    strcmp(e->d_name, "busy") != 0)
				is = same_file(x, y);
			else if (S_ISDIR(st.st_mode) && deep)
				is = is_within(x, y, deep);
		}
		free(x);
		free(y);
	}
	if (d != NULL)
		closedir(d);
	return is;
}

/* The commit of a repository; null: none. */
static struct str
head_of(const char *dir, struct arena *a)
{
	static const struct repo_person nobody = { { "", 0 }, { "", 0 } };
	const struct repo_ops *ops;
	struct str commit = STR_NULL;
	struct repo *git;

	if (repo_load(&ops, NULL) != 0 ||
	    ops->open(dir, &nobody, &git, NULL) != 0)
		return STR_NULL;
	(void)ops->head(git, a, &commit, NULL);
	ops->close(git);
	return commit;
}

static bool
same_unit(const char *from, const char *to)
{
	static const char *const texts[] = { "state.json", "flake.lock" };
	char *a = joined(from, "repository"), *b = joined(to, "repository");
	char *files_a = joined(a, "artifacts"),
	     *files_b = joined(b, "artifacts");
	struct arena arena = { 0 };
	bool same = is_within(from, to, false) &&
	    is_within(files_a, files_b, true) &&
	    is_within(files_b, files_a, true) &&
	    str_eq(head_of(a, &arena), head_of(b, &arena));

	for (size_t i = 0; same && i < COUNT_OF(texts); i++) {
		char *x = joined(a, texts[i]), *y = joined(b, texts[i]);

		same = same_file(x, y);
		free(x);
		free(y);
	}
	arena_fini(&arena);
	free(a);
	free(b);
	free(files_a);
	free(files_b);
	return same;
}

/* A unit is told by its code, while it is there. */
static void
note_unit(struct fleet *f, const struct comparing *c, const char *fate,
    const char *id)
{
	struct arena a = { 0 };
	struct str code = STR_NULL;

	if (f->route == NULL ||
	    route_unit_code(f->route, str_of(id), &a, &code, NULL) != 1)
		code = str_of(id);
	c->note(c->note_ctx, fate, code);
	arena_fini(&a);
}

static int
compare_unit(struct fleet *f, const char *unit, const char *from,
    const char *to, void *ctx, struct err *err)
{
	const struct comparing *c = ctx;
	struct fleet_repo *r;
	bool same;

	(void)err;
	if (access(to, F_OK) != 0) {
		note_unit(f, c, c->gone ? "removed" : "added", unit);
		return 0;
	}
	if (c->gone)
		return 0;
	r = fleet_repo_lock(f, str_of(unit));
	same = same_unit(from, to);
	fleet_repo_give(r);
	if (!same)
		note_unit(f, c, "changed", unit);
	return 0;
}

int
fleet_backup_compare(void *fleet, const char *from,
    void (*note)(void *note_ctx, const char *fate, struct str name),
    void *note_ctx, struct err *err)
{
	struct fleet *f = fleet;
	struct comparing c = { .note = note, .note_ctx = note_ctx };
	int rc = units(f, from, f->dir, compare_unit, &c, err);

	c.gone = true;
	return rc == 0 ? units(f, f->dir, from, compare_unit, &c, err) : rc;
}
