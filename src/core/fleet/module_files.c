/*
 * core/fleet/module_files.c - see module.h: generated files, put where they
 * belong.
 *
 * The folder is a working tree that others push to: what lies in it may be
 * links to anywhere. Each folder on the way is opened by itself, without
 * following one.
 */
#include "core/fleet/module.h"

#include "base/base.h"
#include "base/map.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct fleet_tree {
	int fd;
	struct map put; /* paths, of files and of their folders */
	struct arena arena;
};

int
fleet_tree_open(const char *dir, struct fleet_tree **ret, struct err *err)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct fleet_tree *t;

	if (fd < 0)
		return err_errno(err, "open %s", dir);
	t = mem_new(struct fleet_tree);
	t->fd = fd;
	*ret = t;
	return 0;
}

void
fleet_tree_close(struct fleet_tree *t)
{
	if (t == NULL)
		return;
	close(t->fd);
	map_fini(&t->put);
	arena_fini(&t->arena);
	free(t);
}

static int remove_all(int at, const char *name, struct err *err);

static int
empty(int fd, struct err *err)
{
	DIR *d = fdopendir(dup(fd));
	struct dirent *e;
	int rc = 0;

	if (d == NULL)
		return err_errno(err, "read a folder");
	rewinddir(d);
	while (rc == 0 && (e = readdir(d)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			rc = remove_all(fd, e->d_name, err);
	closedir(d);
	return rc;
}

static int
remove_all(int at, const char *name, struct err *err)
{
	int fd, rc;

	if (unlinkat(at, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return err_errno(err, "remove %s", name);
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, "open %s", name);
	rc = empty(fd, err);
	close(fd);
	if (rc == 0 && unlinkat(at, name, AT_REMOVEDIR) != 0)
		rc = err_errno(err, "remove %s", name);
	return rc;
}

/* The folder `name` in `at`, made when it is not there or is none. */
static int
enter(int at, const char *name, struct err *err)
{
	const int how = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(at, name, how);

	if (fd < 0 && errno != ENOENT && remove_all(at, name, err) != 0)
		return -1;
	if (fd < 0 && mkdirat(at, name, 0755) == 0)
		fd = openat(at, name, how);
	if (fd < 0)
		err_errno(err, "make %s", name);
	return fd;
}

static bool
has_text(int at, const char *name, struct str text)
{
	int fd = openat(at, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	char *bytes;
	size_t got = 0;
	ssize_t n = 1;

	if (fd < 0)
		return false;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) ||
	    (size_t)st.st_size != text.len) {
		close(fd);
		return false;
	}
	bytes = mem_alloc(text.len + 1);
	while (n > 0 && got < text.len) {
		n = read(fd, bytes + got, text.len - got);
		got += n > 0 ? (size_t)n : 0;
	}
	close(fd);
	n = got == text.len && (got == 0 || memcmp(bytes, text.ptr, got) == 0);
	free(bytes);
	return n != 0;
}

static int
put_file(int at, const char *name, struct str text, struct err *err)
{
	static const char temp[] = ".marram-new";
	size_t done = 0;
	int fd;

	if (has_text(at, name, text))
		return 0;
	(void)unlinkat(at, temp, 0);
	fd = openat(at, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return err_errno(err, "make %s", name);
	while (done < text.len) {
		ssize_t n = write(fd, text.ptr + done, text.len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			err_errno(err, "write %s", name);
			close(fd);
			(void)unlinkat(at, temp, 0);
			return ERR_IO;
		}
		done += (size_t)n;
	}
	if (close(fd) != 0)
		return err_errno(err, "write %s", name);
	if (renameat(at, temp, at, name) == 0)
		return 0;
	/* a folder is in its way */
	if (remove_all(at, name, err) != 0)
		return ERR_IO;
	if (renameat(at, temp, at, name) != 0)
		return err_errno(err, "write %s", name);
	return 0;
}

int
fleet_tree_put(
    struct fleet_tree *t, struct str path, struct str text, struct err *err)
{
	struct str rest = path, part = str_cut(&rest, '/');
	int at = dup(t->fd), next, rc = 0;

	if (at < 0)
		return err_errno(err, "open a folder");
	for (;; part = str_cut(&rest, '/')) {
		const char *name = arena_z(&t->arena, part);
		struct str so_far = { path.ptr,
			(size_t)(part.ptr + part.len - path.ptr) };

		if (part.len == 0 || part.len > 255 || str_eqz(part, ".") ||
		    str_eqz(part, "..") || str_eqz(part, ".git")) {
			rc = err_set(err, ERR_PARAM,
			    STR_FMT " is no name of a generated file",
			    (int)MIN_OF(path.len, 150), path.ptr);
			break;
		}
		map_put(&t->put, arena_str(&t->arena, so_far), t);
		if (rest.ptr == NULL) {
			rc = put_file(at, name, text, err);
			break;
		}
		next = enter(at, name, err);
		close(at);
		at = next;
		if (at < 0)
			return ERR_IO;
	}
	close(at);
	return rc;
}

static int
prune(struct fleet_tree *t, int fd, struct str path, struct err *err)
{
	DIR *d = fdopendir(dup(fd));
	struct dirent *e;
	int rc = 0;

	if (d == NULL)
		return err_errno(err, "read a folder");
	rewinddir(d);
	while (rc == 0 && (e = readdir(d)) != NULL) {
		struct str below;
		int next;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		below = arena_printf(
		    &t->arena, STR_FMT "/%s", STR_ARG(path), e->d_name);
		if (map_get(&t->put, below) == NULL) {
			rc = remove_all(fd, e->d_name, err);
			continue;
		}
		next = openat(fd, e->d_name,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0)
			continue; /* a file */
		rc = prune(t, next, below, err);
		close(next);
	}
	closedir(d);
	return rc;
}

int
fleet_tree_prune(struct fleet_tree *t, const char *folder, struct err *err)
{
	int fd = enter(t->fd, folder, err), rc;

	if (fd < 0)
		return ERR_IO;
	rc = prune(t, fd, str_of(folder), err);
	close(fd);
	return rc;
}
