/*
 * edge/agent/programs.c - see programs.h.
 */
#include "edge/agent/programs.h"

#include "base/base.h"
#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <pwd.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

const char *
program_config_dir(void)
{
	const char *dir = getenv("TEDGE_CONFIG_DIR");

	return dir != NULL && dir[0] != '\0' ? dir : "/etc/tedge";
}

int
program_files(
    struct arena *a, const char *name, const struct toml **ret, struct err *err)
{
	char *path = mem_printf("%s/plugins/%s", program_config_dir(), name);
	const struct toml *files = NULL;
	struct buf text = { 0 };
	struct toml *root;
	int rc = 0;

	if (access(path, F_OK) == 0) {
		rc = file_read(path, &text, err);
		if (rc == 0)
			rc = toml_read(
			    a, arena_str(a, buf_str(&text)), &root, err);
		if (rc == 0)
			files = toml_get(root, STR("files"));
		else
			rc = err_wrap(err, "%s", path);
	}
	if (rc == 0)
		*ret = files != NULL && files->type == TOML_ARRAY ? files->first
								  : NULL;
	buf_free(&text);
	free(path);
	return rc;
}

int
program_fail(int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return status;
}

bool
program_args(int argc, char **argv, const char *const *names,
    const char **values, const char **words, size_t words_max, size_t *n_words)
{
	bool options = true;

	*n_words = 0;
	for (int i = 1; i < argc; i++) {
		const char *text = argv[i], *name = text + 2;
		size_t len, k;

		if (!options || text[0] != '-' || text[1] == '\0') {
			if (*n_words == words_max) {
				program_fail(
				    1, "unexpected argument '%s'", text);
				return false;
			}
			words[(*n_words)++] = text;
			continue;
		}
		if (strcmp(text, "--") == 0) {
			options = false;
			continue;
		}
		if (text[1] != '-')
			name = text + 1;
		len = strcspn(name, "=");
		for (k = 0; names[k] != NULL; k++)
			if (strncmp(names[k], name, len) == 0 &&
			    names[k][len] == '\0')
				break;
		if (names[k] == NULL) {
			program_fail(1, "unexpected option '%s'", text);
			return false;
		}
		if (name[len] == '=')
			values[k] = name + len + 1;
		else if (i + 1 < argc)
			values[k] = argv[++i];
		else {
			program_fail(1, "option '%s' needs a value", text);
			return false;
		}
	}
	return true;
}

int
program_start(const char *const *argv, pid_t *pid, FILE **out)
{
	posix_spawn_file_actions_t files;
	int fds[2] = { -1, -1 }, rc;

	if (out != NULL && pipe2(fds, O_CLOEXEC) < 0)
		return errno;
	posix_spawn_file_actions_init(&files);
	if (out != NULL)
		posix_spawn_file_actions_adddup2(&files, fds[1], 1);
	rc = posix_spawnp(
	    pid, argv[0], &files, NULL, (char *const *)argv, environ);
	posix_spawn_file_actions_destroy(&files);
	if (out == NULL)
		return rc;
	close(fds[1]);
	*out = rc == 0 ? fdopen(fds[0], "r") : NULL;
	if (rc != 0)
		close(fds[0]);
	return rc;
}

int
program_wait(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 4;
}

/* --- whole files ---------------------------------------------------------- */

int
file_access_read(struct file_access *ret, const char *user, const char *group,
    const char *mode, struct err *err)
{
	uint64_t n;
	char *end;

	*ret = (struct file_access){ (uid_t)-1, (gid_t)-1, (mode_t)-1 };
	if (user != NULL) {
		struct passwd *p = getpwnam(user);

		if (p != NULL)
			ret->user = p->pw_uid;
		else if (str_to_u64(str_of(user), &n) && n < UINT32_MAX)
			ret->user = (uid_t)n;
		else
			return err_set(
			    err, ERR_PARAM, "there is no user %s", user);
	}
	if (group != NULL) {
		struct group *g = getgrnam(group);

		if (g != NULL)
			ret->group = g->gr_gid;
		else if (str_to_u64(str_of(group), &n) && n < UINT32_MAX)
			ret->group = (gid_t)n;
		else
			return err_set(
			    err, ERR_PARAM, "there is no group %s", group);
	}
	if (mode != NULL) {
		unsigned long m = strtoul(mode, &end, 8);

		if (mode[0] == '\0' || *end != '\0' || m > 07777)
			return err_set(err, ERR_PARAM,
			    "\"%s\" is not a mode: it is octal, as 644", mode);
		ret->mode = (mode_t)m;
	}
	return 0;
}

static int
denied_or_io(struct err *err)
{
	bool denied = errno == EACCES || errno == EPERM || errno == EROFS;
	struct err ours;

	if (err == NULL)
		err = &ours;
	return denied ? (err->code = ERR_DENIED) : err->code;
}

static int
copy(int from, int to)
{
	char bytes[16384];
	ssize_t n;

	while ((n = read(from, bytes, sizeof(bytes))) > 0)
		for (ssize_t at = 0; at < n;) {
			ssize_t m = write(to, bytes + at, (size_t)(n - at));

			if (m < 0)
				return -1;
			at += m;
		}
	return n == 0 ? 0 : -1;
}

int
file_put(
    const char *path, int from, const struct file_access *who, struct err *err)
{
	struct file_access as = *who;
	char *real = realpath(path, NULL); /* what a link stands for */
	char *temp, *dir_copy, *dir;
	struct stat was;
	int fd, dir_fd = -1, rc = 0;

	if (real != NULL)
		path = real;
	if (stat(path, &was) == 0) {
		if (as.mode == (mode_t)-1)
			as.mode = was.st_mode & 07777;
		if (as.user == (uid_t)-1)
			as.user = was.st_uid;
		if (as.group == (gid_t)-1)
			as.group = was.st_gid;
	} else if (as.mode == (mode_t)-1) {
		as.mode = 0644;
	}
	temp = mem_printf("%s.XXXXXX", path);
	dir_copy = str_dupz(str_of(path));
	dir = dirname(dir_copy);

	fd = mkostemp(temp, O_CLOEXEC); /* 0600 until it is whole */
	if (fd < 0) {
		err_errno(err, "make a file in %s", dir);
		rc = denied_or_io(err);
		goto done;
	}
	if (copy(from, fd) < 0) {
		rc = err_errno(err, "write %s", temp);
		goto done;
	}
	if (fstat(fd, &was) < 0 ||
	    ((as.user != (uid_t)-1 && as.user != was.st_uid) ||
			(as.group != (gid_t)-1 && as.group != was.st_gid)
		    ? fchown(fd, as.user, as.group) < 0
		    : false)) {
		err_errno(err, "set the owner of %s", path);
		rc = denied_or_io(err);
		goto done;
	}
	if (fchmod(fd, as.mode) < 0 || fsync(fd) < 0) {
		rc = err_errno(err, "write %s", temp);
		goto done;
	}
	if (rename(temp, path) < 0) {
		err_errno(err, "replace %s", path);
		rc = denied_or_io(err);
		goto done;
	}
	dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0 || fsync(dir_fd) < 0)
		rc = err_errno(err, "flush %s", dir);

done:
	if (fd >= 0) {
		close(fd);
		if (rc != 0)
			(void)unlink(temp);
	}
	if (dir_fd >= 0)
		close(dir_fd);
	free(temp);
	free(dir_copy);
	free(real);
	return rc;
}

int
program_cat(const char *path, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc = 0;

	if (fd < 0 || copy(fd, STDOUT_FILENO) < 0)
		rc = err_errno(err, "read %s", path);
	if (fd >= 0)
		close(fd);
	return rc;
}

/* sudoers(5) says below which folder we may write, and sudo's `*` is content
 * with "/etc/../root". */
static bool
is_plain(const char *path)
{
	struct str rest = str_of(path), name;

	if (path[0] != '/')
		return false;
	while (rest.len > 0) {
		name = str_cut(&rest, '/');
		if (str_eqz(name, ".") || str_eqz(name, ".."))
			return false;
	}
	return true;
}

/* --- tedge-write ---------------------------------------------------------- */

int
write_main(int argc, char **argv)
{
	const char *const names[] = { "mode", "user", "group", NULL };
	const char *values[3] = { 0 }, *words[1];
	struct file_access who;
	struct err err;
	size_t n;

	if (!program_args(argc, argv, names, values, words, 1, &n))
		return 2;
	if (n != 1 || !is_plain(words[0]))
		return program_fail(2,
		    "usage: tedge-write PATH [--mode MODE] [--user USER] "
		    "[--group GROUP]; PATH is absolute, without . and ..");
	if (file_access_read(&who, values[1], values[2], values[0], &err) !=
		0 ||
	    file_put(words[0], STDIN_FILENO, &who, &err) != 0)
		return program_fail(1, "tedge-write: %s", err.text);
	return 0;
}
