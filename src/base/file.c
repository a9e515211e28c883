/*
 * base/file.c - see file.h.
 */
#include "base/file.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int
file_read(const char *path, struct buf *out, struct err *err)
{
	size_t start = out->len;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return err_errno(err, "open %s", path);
	do {
		buf_reserve(out, 4096);
		n = read(fd, out->ptr + out->len, 4096);
		out->len += n > 0 ? (size_t)n : 0;
	} while (n > 0);
	close(fd);
	if (n == 0)
		return 0;
	out->len = start;
	return err_errno(err, "read %s", path);
}

int
file_check(const char *path, struct err *err)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return err_errno(err, "load %s", path);
	if (access(path, S_ISDIR(st.st_mode) ? R_OK | X_OK : R_OK) < 0)
		return err_errno(err, "read %s", path);
	return 0;
}

int
file_give(const char *path, uid_t user, gid_t group, struct err *err)
{
	int fd, rc = 0;
	struct stat st;

	fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno == ELOOP ? 0 : err_errno(err, "open %s", path);
	if (fstat(fd, &st) < 0 ||
	    (S_ISREG(st.st_mode) && st.st_nlink == 1 &&
		fchown(fd, user, group) < 0))
		rc = err_errno(err, "give %s away", path);
	close(fd);
	return rc;
}

int
file_write_all(int fd, struct str text)
{
	while (text.len > 0) {
		ssize_t n = write(fd, text.ptr, text.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		text.ptr += n;
		text.len -= (size_t)n;
	}
	return 0;
}

/* Or a rename may be lost. */
static int
sync_folder_of(const char *path, struct err *err)
{
	char *copy = str_dupz(str_of(path)), *dir = dirname(copy);
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;

	if (fd < 0 || fsync(fd) < 0)
		rc = err_errno(err, "flush %s", dir);
	if (fd >= 0)
		close(fd);
	free(copy);
	return rc;
}

/* `like`: whose owner and mode it gets; NULL: `mode`, and it is ours. */
static int
put(const char *path, struct str text, mode_t mode, const struct stat *like,
    struct err *err)
{
	struct buf temp = { 0 };
	int fd, rc = 0;

	buf_addf(&temp, "%s.new", path);
	/* what another one has left there, or put there, is none of ours */
	unlink(buf_z(&temp));
	fd = open(buf_z(&temp), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		rc = err_errno(err, "create %s", buf_z(&temp));
	else if (like != NULL && fchown(fd, like->st_uid, like->st_gid) < 0 &&
	    geteuid() == 0)
		rc = err_errno(err, "set the owner of %s", buf_z(&temp));
	else if (fchmod(fd, mode) < 0)
		rc = err_errno(err, "create %s", buf_z(&temp));
	else if (file_write_all(fd, text) < 0)
		rc = err_errno(err, "write %s", buf_z(&temp));
	else if (fsync(fd) < 0)
		rc = err_errno(err, "flush %s", buf_z(&temp));
	else if (rename(buf_z(&temp), path) < 0)
		rc = err_errno(err, "rename %s to %s", buf_z(&temp), path);
	else
		rc = sync_folder_of(path, err);
	if (fd >= 0)
		close(fd);
	if (rc != 0)
		unlink(buf_z(&temp)); /* nothing more to do if this fails */
	buf_free(&temp);
	return rc;
}

int
file_write(const char *path, struct str text, struct err *err)
{
	return put(path, text, 0600, NULL, err);
}

int
file_replace(const char *path, struct str text, struct err *err)
{
	struct stat st;
	char *real;
	int rc;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? put(path, text, 0644, NULL, err)
				       : err_errno(err, "look at %s", path);
	if (S_ISLNK(st.st_mode) && st.st_uid != 0 && st.st_uid != geteuid())
		return err_set(err, ERR_DENIED,
		    "%s is a link of another user, and is not followed", path);
	real = realpath(path, NULL);
	if (real == NULL)
		return err_errno(err, "find %s", path);
	if (stat(real, &st) < 0)
		rc = err_errno(err, "look at %s", real);
	else if (!S_ISREG(st.st_mode))
		rc = err_set(err, ERR_PARAM, "%s is no file", real);
	else
		rc = put(real, text, st.st_mode & 0777, &st, err);
	free(real);
	return rc;
}

int
file_create(const char *path, struct str text, unsigned mode, struct err *err)
{
	int fd, rc = 0;

	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 && errno == EEXIST)
		return err_set(err, ERR_EXISTS, "%s is there already", path);
	if (fd < 0)
		return err_errno(err, "create %s", path);
	if (file_write_all(fd, text) < 0 || fsync(fd) < 0 ||
	    fchmod(fd, mode) < 0)
		rc = err_errno(err, "write %s", path);
	close(fd);
	if (rc == 0)
		rc = sync_folder_of(path, err);
	if (rc != 0)
		unlink(path); /* nothing more to do if this fails too */
	return rc;
}
