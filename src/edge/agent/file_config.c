/*
 * edge/agent/file_config.c - tedge-file-config-plugin: the configuration files
 * that plugins/tedge-configuration-plugin.toml names:
 *
 *	files = [
 *	  { path = "/etc/collectd.conf", type = "collectd", service =
 *"collectd", user = "root", group = "root", mode = 0o644 },
 *	]
 *
 * That file is one of them, without being said. A new one is put into place in
 * one moment, with the owner and the mode that the old one had; what is not
 * permitted to us is done through `sudo tedge-write`. Before, `prepare` keeps
 * the old one in the work folder, for `rollback`.
 */
#include "edge/agent/programs.h"

#include "base/base.h"
#include "base/file.h"
#include "base/mem.h"
#include "edge/system.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OWN "tedge-configuration-plugin"
#define OLD "old"             /* in the work folder: what was there */
#define NONE "there-was-none" /* in the work folder: nothing was there */

struct target {
	const char *path, *service, *user, *group, *mode;
	const char *parent_user, *parent_group, *parent_mode;
};

static const char *
text_of(struct arena *a, const struct toml *table, const char *key)
{
	const struct toml *t = toml_get(table, str_of(key));

	if (t == NULL)
		return NULL;
	if (t->type == TOML_INT) /* mode = 0o644 */
		return arena_z(
		    a, arena_printf(a, "%llo", (long long)t->number));
	return t->type == TOML_TEXT ? arena_z(a, t->text) : NULL;
}

static int
list(const struct toml *files, struct arena *a)
{
	bool own = false;

	for (const struct toml *f = files; f != NULL; f = f->next) {
		const char *type = text_of(a, f, "type");

		if (type == NULL)
			type = text_of(a, f, "path");
		if (type == NULL)
			continue;
		own = own || strcmp(type, OWN) == 0;
		printf("%s\n", type);
	}
	if (!own)
		puts(OWN);
	return 0;
}

static bool
find(const struct toml *files, const char *type, struct arena *a,
    struct target *ret)
{
	for (const struct toml *f = files; f != NULL; f = f->next) {
		const char *path = text_of(a, f, "path");
		const char *name = text_of(a, f, "type");

		if (path == NULL ||
		    strcmp(name != NULL ? name : path, type) != 0)
			continue;
		*ret = (struct target){ path, text_of(a, f, "service"),
			text_of(a, f, "user"), text_of(a, f, "group"),
			text_of(a, f, "mode"), text_of(a, f, "parent_user"),
			text_of(a, f, "parent_group"),
			text_of(a, f, "parent_mode") };
		return true;
	}
	if (strcmp(type, OWN) != 0)
		return false;
	*ret = (struct target){ .path = arena_z(a,
				    arena_printf(a, "%s/plugins/" OWN ".toml",
					program_config_dir())) };
	return true;
}

/* --- putting a file into place -------------------------------------------- */

/* sudo tedge-write PATH --mode ..., with `from` as its input. */
static int
put_by_sudo(const struct target *t, bool is_new, int from, struct err *err)
{
	const char *argv[10] = { "sudo", "tedge-write", t->path };
	const char *const options[][2] = { { "--mode", t->mode },
		{ "--user", t->user }, { "--group", t->group } };
	size_t n = 3;
	pid_t pid;

	for (size_t i = 0; i < COUNT_OF(options); i++)
		if (is_new && options[i][1] != NULL) {
			argv[n++] = options[i][0];
			argv[n++] = options[i][1];
		}
	if (lseek(from, 0, SEEK_SET) < 0 || dup2(from, STDIN_FILENO) < 0)
		return err_errno(err, "sudo tedge-write");
	errno = program_start(argv, &pid, NULL);
	if (errno != 0)
		return err_errno(
		    err, "replace %s: not permitted, and sudo", t->path);
	if (program_wait(pid) != 0)
		return err_set(err, ERR_IO,
		    "replace %s: not permitted, and `sudo tedge-write` failed",
		    t->path);
	return 0;
}

/* The folders above the file, where they are missing. */
static int
make_parents(const struct target *t, struct err *err)
{
	char *copy = str_dupz(str_of(t->path)), *slash = copy;
	struct file_access who;
	int rc = file_access_read(
	    &who, t->parent_user, t->parent_group, t->parent_mode, err);

	while (rc == 0 && (slash = strchr(slash + 1, '/')) != NULL) {
		*slash = '\0';
		if (access(copy, F_OK) != 0 &&
		    (mkdir(copy, 0755) < 0 ||
			chown(copy, who.user, who.group) < 0 ||
			(who.mode != (mode_t)-1 && chmod(copy, who.mode) < 0)))
			rc = err_errno(err, "make the folder %s", copy);
		*slash = '/';
	}
	free(copy);
	return rc;
}

static int
put(const struct target *t, const char *from, struct err *err)
{
	struct file_access who;
	int fd = open(from, O_RDONLY | O_CLOEXEC), rc;
	bool is_new = access(t->path, F_OK) != 0;

	if (fd < 0)
		return err_errno(err, "open %s", from);
	/* The owner and mode of the file that is there are kept; what is said
	 * in the list is for a new one. */
	if (is_new)
		rc = file_access_read(&who, t->user, t->group, t->mode, err);
	else
		rc = file_access_read(&who, NULL, NULL, NULL, err);
	if (rc == 0)
		rc = make_parents(t, err);
	if (rc == 0)
		rc = file_put(t->path, fd, &who, err);
	if (rc == ERR_DENIED && geteuid() != 0)
		rc = put_by_sudo(t, is_new, fd, err);
	close(fd);
	return rc;
}

static int
restart(const struct target *t, struct err *err)
{
	struct arena a = { 0 };
	struct config *c = NULL;
	struct system s;
	int rc;

	if (t->service == NULL)
		return 0;
	if (strcmp(t->service, "tedge-agent") == 0) {
		/* It waits for us: it restarts when we have ended. */
		puts(":::begin-tedge:::\n{\"restartAgent\":true}\n"
		     ":::end-tedge:::");
		return 0;
	}
	rc = config_open(program_config_dir(), &c, err);
	if (rc == 0)
		rc = system_read(c, &a, &s, err);
	if (rc == 0)
		rc = system_service(&s, SYSTEM_RESTART, t->service, err);
	config_close(c);
	arena_fini(&a);
	return rc == 0 ? 0 : err_wrap(err, "restart %s", t->service);
}

/* --- the calls ------------------------------------------------------------ */

static char *
in_work_dir(struct arena *a, const char *dir, const char *name)
{
	return arena_z(a, arena_printf(a, "%s/%s", dir, name));
}

static int
copy_file(const char *from, const char *to, struct err *err)
{
	struct file_access who = { (uid_t)-1, (gid_t)-1, 0600 };
	int fd = open(from, O_RDONLY | O_CLOEXEC), rc;

	if (fd < 0)
		return err_errno(err, "open %s", from);
	rc = file_put(to, fd, &who, err);
	close(fd);
	return rc;
}

static int
prepare(const char *type, const struct target *t, const char *from,
    const char *dir, struct arena *a, struct err *err)
{
	struct toml *root;
	struct buf text = { 0 };
	int rc;

	if (access(from, R_OK) != 0)
		return err_errno(err, "open %s", from);
	if (strcmp(type, OWN) == 0) { /* what we could not read ourselves */
		rc = file_read(from, &text, err);
		if (rc == 0)
			rc = toml_read(
			    a, arena_str(a, buf_str(&text)), &root, err);
		buf_free(&text);
		if (rc != 0)
			return err_wrap(err, "the new " OWN ".toml");
	}
	if (access(t->path, F_OK) == 0)
		return copy_file(t->path, in_work_dir(a, dir, OLD), err);
	return file_write(in_work_dir(a, dir, NONE), STR(""), err);
}

static int
set(const struct target *t, const char *from, struct err *err)
{
	int rc = put(t, from, err);

	return rc == 0 ? restart(t, err) : rc;
}

/* Does its service run with it? */
static int
verify(const struct target *t, struct err *err)
{
	struct arena a = { 0 };
	struct config *c = NULL;
	struct system s;
	int rc;

	if (t->service == NULL)
		return 0;
	rc = config_open(program_config_dir(), &c, err);
	if (rc == 0)
		rc = system_read(c, &a, &s, err);
	if (rc == 0 && system_is_available(&s) &&
	    !system_is_active(&s, t->service))
		rc = err_set(err, ERR_IO,
		    "the service %s does not run with the new file",
		    t->service);
	config_close(c);
	arena_fini(&a);
	return rc;
}

static int
rollback(
    const struct target *t, const char *dir, struct arena *a, struct err *err)
{
	const char *old = in_work_dir(a, dir, OLD);
	int rc = 0;

	if (access(old, F_OK) == 0)
		rc = put(t, old, err);
	else if (access(in_work_dir(a, dir, NONE), F_OK) != 0)
		return err_set(err, ERR_PARAM, "nothing was kept in %s", dir);
	else if (unlink(t->path) < 0 && errno != ENOENT)
		rc = err_errno(err, "remove %s", t->path);
	return rc == 0 ? restart(t, err) : rc;
}

#define USAGE                                                                  \
	"usage: tedge-file-config-plugin list | get TYPE | prepare TYPE FILE " \
	"--work-dir DIR | set TYPE FILE --work-dir DIR | verify TYPE "         \
	"--work-dir DIR | rollback TYPE --work-dir DIR | path TYPE"

static int
run(const char *const *words, size_t n, const char *dir, struct arena *a)
{
	const char *what = n > 0 ? words[0] : "";
	struct target t;
	const struct toml *files;
	struct err err;
	int rc;

	if (program_files(a, OWN ".toml", &files, &err) != 0)
		return program_fail(2, "%s", err.text);
	if (strcmp(what, "list") == 0 && n == 1)
		return list(files, a);
	if (n < 2)
		return program_fail(1, USAGE);
	if (!find(files, words[1], a, &t))
		return program_fail(2,
		    "The requested config_type \"%s\" is not defined in the "
		    "plugin configuration file.",
		    words[1]);
	if (strcmp(what, "get") == 0 && n == 2)
		rc = program_cat(t.path, &err);
	else if (strcmp(what, "path") == 0 && n == 2)
		rc = printf("%s\n", t.path) > 0 ? 0 : ERR_IO;
	else if (strcmp(what, "prepare") == 0 && n == 3 && dir != NULL)
		rc = prepare(words[1], &t, words[2], dir, a, &err);
	else if (strcmp(what, "set") == 0 && n == 3)
		rc = set(&t, words[2], &err);
	else if (strcmp(what, "verify") == 0 && n == 2)
		rc = verify(&t, &err);
	else if (strcmp(what, "rollback") == 0 && n == 2 && dir != NULL)
		rc = rollback(&t, dir, a, &err);
	else
		return program_fail(1, USAGE);
	return rc == 0 ? 0 : program_fail(2, "%s", err.text);
}

int
file_config_main(int argc, char **argv)
{
	const char *const names[] = { "work-dir", NULL };
	const char *values[1] = { 0 }, *words[3] = { 0 };
	struct arena a = { 0 };
	size_t n;
	int rc;

	if (!program_args(argc, argv, names, values, words, 3, &n))
		return 1;
	rc = run(words, n, values[0], &a);
	arena_fini(&a);
	return rc;
}
