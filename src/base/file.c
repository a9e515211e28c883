/*
 * base/file.c - see file.h.
 */
#include "base/file.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static int
write_all(int fd, struct str bytes)
{
	while (bytes.len > 0) {
		ssize_t n = write(fd, bytes.ptr, bytes.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		bytes.ptr += n;
		bytes.len -= (size_t)n;
	}
	return fsync(fd);
}

/* The name, too, is to be on the disk. */
static int
sync_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash != NULL
	    ? mem_printf("%.*s", (int)(slash - path + 1), path)
	    : mem_printf(".");
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc;

	free(dir);
	if (fd < 0)
		return -1;
	rc = fsync(fd);
	close(fd);
	return rc;
}

int
file_write(const char *path, struct str bytes, unsigned mode, struct err *err)
{
	char *beside = mem_printf("%s.new", path);
	int fd = open(
		beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, (mode_t)mode),
	    rc = fd < 0 ? -1 : write_all(fd, bytes);

	if (fd >= 0 && close(fd) != 0)
		rc = -1;
	if (rc == 0)
		rc = rename(beside, path);
	if (rc == 0)
		rc = sync_folder(path);
	if (rc != 0) {
		rc = err_errno(err, "write %s", path);
		(void)unlink(beside);
	}
	free(beside);
	return rc;
}
