/*
 * core/backup/files.c - the folder of backups.
 *
 * A backup is the file "ID.zip"; what is being made lies in a folder ".new-…"
 * beside, which a start removes.
 */
#include "core/backup/private.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ENDING ".zip"
#define TEMP ".new-"

bool
file_id_ok(struct str id)
{
	if (id.len == 0 || id.len > 180 || id.ptr[0] == '.')
		return false;
	for (size_t i = 0; i < id.len; i++)
		if ((id.ptr[i] < 'a' || id.ptr[i] > 'z') &&
		    (id.ptr[i] < 'A' || id.ptr[i] > 'Z') &&
		    (id.ptr[i] < '0' || id.ptr[i] > '9') && id.ptr[i] != '_' &&
		    id.ptr[i] != '-' && id.ptr[i] != '.')
			return false;
	return true;
}

char *
file_path(struct arena *a, const char *dir, struct str id)
{
	return arena_z(
	    a, arena_printf(a, "%s/" STR_FMT ENDING, dir, STR_ARG(id)));
}

static int
newest_first(const void *a, const void *b)
{
	const struct file_info *x = a, *y = b;

	if (x->modified != y->modified)
		return x->modified < y->modified ? 1 : -1;
	return -str_cmp(x->id, y->id);
}

int
files_list(const char *dir, struct arena *a, struct rows *ret, struct err *err)
{
	DIR *d = opendir(dir);
	struct file_info *all = NULL;
	size_t n = 0, cap = 0;
	struct dirent *e;

	*ret = (struct rows){ 0 };
	if (d == NULL)
		return errno == ENOENT ? 0 : err_errno(err, "open %s", dir);
	while ((e = readdir(d)) != NULL) {
		struct str name = str_of(e->d_name);
		struct stat st;

		if (!str_ends(name, STR(ENDING)))
			continue;
		name.len -= strlen(ENDING);
		if (!file_id_ok(name) ||
		    fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) !=
			0 ||
		    !S_ISREG(st.st_mode))
			continue;
		if (n == cap) {
			cap = cap == 0 ? 16 : cap * 2;
			all = mem_resize(all, cap, sizeof(*all));
		}
		all[n++] = (struct file_info){ arena_str(a, name), st.st_size,
			(int64_t)st.st_mtim.tv_sec * 1000 +
			    st.st_mtim.tv_nsec / 1000000 };
	}
	closedir(d);
	if (n > 0) {
		qsort(all, n, sizeof(*all), newest_first);
		ret->at = arena_array(a, n, struct file_info);
		memcpy(ret->at, all, n * sizeof(*all));
		ret->n = n;
	}
	free(all);
	return 0;
}

struct str
file_stem(struct arena *a, struct str prefix, struct str format)
{
	return arena_printf(a, STR_FMT "%smarram_backup_" STR_FMT "_",
	    STR_ARG(prefix), prefix.len > 0 ? "_" : "", STR_ARG(format));
}

void
files_retain(const char *dir, struct str stem, int64_t keep, struct str spare)
{
	struct arena a = { 0 };
	const struct file_info *all;
	struct rows rows;

	if (files_list(dir, &a, &rows, NULL) == 0) {
		all = rows.at;
		for (size_t i = 0; i < rows.n; i++)
			if (str_starts(all[i].id, stem) && keep-- <= 0 &&
			    !str_eq(all[i].id, spare))
				unlink(file_path(&a, dir, all[i].id));
	}
	arena_fini(&a);
}

int
files_temp(const char *dir, struct arena *a, char **ret, struct err *err)
{
	char *path = arena_z(a, arena_printf(a, "%s/" TEMP "XXXXXX", dir));

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return err_errno(err, "make the folder %s", dir);
	if (mkdtemp(path) == NULL)
		return err_errno(err, "make a folder in %s", dir);
	*ret = path;
	return 0;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	(void)remove(path);
	return 0;
}

void
files_remove(const char *path)
{
	(void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void
files_remove_temps(const char *dir, int64_t older_ms)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	struct stat st;

	if (d == NULL)
		return;
	while ((e = readdir(d)) != NULL) {
		char *path;

		if (strncmp(e->d_name, TEMP, strlen(TEMP)) != 0 ||
		    fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) !=
			0 ||
		    !S_ISDIR(st.st_mode) ||
		    clock_now() - (int64_t)st.st_mtim.tv_sec * 1000 < older_ms)
			continue;
		path = mem_printf("%s/%s", dir, e->d_name);
		files_remove(path);
		free(path);
	}
	closedir(d);
}

int
files_sync_dir(const char *dir, struct err *err)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = 0;

	if (fd < 0)
		return err_errno(err, "open %s", dir);
	if (fsync(fd) < 0)
		rc = err_errno(err, "flush %s", dir);
	close(fd);
	return rc;
}

static int
sync_dir_of(const char *path, struct err *err)
{
	char *dir = mem_printf("%s", path), *slash = strrchr(dir, '/');
	int rc = 0;

	if (slash != NULL) {
		*slash = '\0';
		rc = files_sync_dir(slash == dir ? "/" : dir, err);
	}
	free(dir);
	return rc;
}

int
files_publish(const char *from, const char *to, struct err *err)
{
	int fd = open(from, O_RDONLY | O_CLOEXEC), rc = 0;

	if (fd < 0)
		return err_errno(err, "open %s", from);
	if (fchmod(fd, 0600) < 0 || fsync(fd) < 0)
		rc = err_errno(err, "flush %s", from);
	close(fd);
	if (rc == 0 && rename(from, to) < 0)
		rc = err_errno(err, "rename %s to %s", from, to);
	return rc == 0 ? sync_dir_of(to, err) : rc;
}

int
files_put(const char *path, struct str text, struct err *err)
{
	char *temp = mem_printf("%s.new", path);
	int fd = open(
	    temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	int rc = 0;

	if (fd < 0)
		rc = err_errno(err, "create %s", temp);
	while (rc == 0 && text.len > 0) {
		ssize_t n = write(fd, text.ptr, text.len);

		if (n < 0 && errno != EINTR)
			rc = err_errno(err, "write %s", temp);
		else if (n > 0)
			text =
			    (struct str){ text.ptr + n, text.len - (size_t)n };
	}
	if (fd >= 0)
		close(fd);
	if (rc == 0)
		rc = files_publish(temp, path, err);
	if (rc != 0)
		unlink(temp);
	free(temp);
	return rc;
}
