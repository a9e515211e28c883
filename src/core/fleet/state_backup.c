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
#include "base/log.h"
#include "base/mem.h"
#include "core/fleet/state_git.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
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
    struct err *err)
{
	struct fleet_repo *r = fleet_repo_lock(f, str_of(unit));
	char *repository = joined(to, "repository");
	int rc = 0;

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
	const char *to, struct err *err),
    struct err *err)
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
			rc = each(f, e->d_name, from, there, err);
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

	return units(f, f->dir, to, copy_unit, err);
}

/* The repository that was there stands aside until the other is in its place;
 * what else a unit has here stays. */
static int
put_unit(struct fleet *f, const char *unit, const char *from, const char *to,
    struct err *err)
{
	struct fleet_repo *r = fleet_repo_lock(f, str_of(unit));
	char *fresh = joined(from, "repository");
	char *now = joined(to, "repository"), *old = joined(to, "old");
	DIR *d;
	const struct dirent *e;
	int rc = 0;

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
	return units(f, from, f->dir, put_unit, err);
}
