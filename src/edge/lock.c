#include "edge/lock.h"

#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

int
service_lock(
    const struct config *c, const char *service, int *ret, struct err *err)
{
	struct str run = config_text(c, "run.path");
	char path[512], pid[24];
	int fd;

	*ret = -1;
	if (!config_bool(c, "run.lock_files"))
		return 0;
	snprintf(path, sizeof(path), STR_FMT "/lock", STR_ARG(run));
	if (mkdir(path, 0775) < 0 && errno != EEXIST)
		return err_errno(err, "make %s", path);
	snprintf(
	    path, sizeof(path), STR_FMT "/lock/%s.lock", STR_ARG(run), service);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return err_errno(err, "open %s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		close(fd);
		return err_set(err, ERR_EXISTS,
		    "Another instance of %s is running.", service);
	}
	snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
	if (ftruncate(fd, 0) < 0 || write(fd, pid, strlen(pid)) < 0) {
		close(fd);
		return err_errno(err, "write %s", path);
	}
	*ret = fd;
	return 0;
}

void
service_unlock(int fd)
{
	if (fd >= 0)
		close(fd);
}
