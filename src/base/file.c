/*
 * base/file.c - see file.h.
 */
#include "base/file.h"

#include <fcntl.h>
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
