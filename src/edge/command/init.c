/*
 * edge/command/init.c - `init`: the folders of a device, for the user its
 * services run as, and the names this program answers to.
 *
 * It is run as root, in folders that the user of the services may write: below
 * those that the settings name no symbolic link is followed, so that what is
 * given away is what was meant.
 */
#include "edge/command_private.h"

#include "base/base.h"
#include "base/mem.h"
#include "edge/system.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIR_MODE 0775
#define PRIVATE_MODE 0700

struct owner {
	uid_t user;
	gid_t group;
};

/* Below the folder of the settings, below data.path, below logs.path; a folder
 * comes before those within it. */
struct folder {
	const char *path;
	mode_t mode;
};
static const struct folder config_folders[] = { { "", DIR_MODE },
	{ "device-certs", DIR_MODE }, { "mosquitto-conf", DIR_MODE },
	{ "sm-plugins", DIR_MODE }, { "plugins", DIR_MODE },
	{ "operations", DIR_MODE }, { "operations/c8y", DIR_MODE },
	{ "device", DIR_MODE }, { "mappers", DIR_MODE }, { ".agent", DIR_MODE },
	{ 0 } };
static const struct folder data_folders[] = { { "", DIR_MODE },
	{ "file-transfer", DIR_MODE }, { "cache", DIR_MODE },
	{ "mqtt", PRIVATE_MODE }, { 0 } };
static const struct folder log_folders[] = { { "", DIR_MODE },
	{ "agent", DIR_MODE }, { 0 } };

/* --- owners -------------------------------------------------------------- */

static int
find_owner(
    const char *user, const char *group, struct owner *ret, struct err *err)
{
	const struct passwd *u = getpwnam(user);
	const struct group *g = getgrnam(group);

	if (u == NULL)
		return err_set(err, ERR_NOT_FOUND,
		    "there is no user \"%s\": make it (useradd --system), or "
		    "name another by --user or in system.toml",
		    user);
	ret->user = u->pw_uid;
	if (g == NULL)
		return err_set(err, ERR_NOT_FOUND,
		    "there is no group \"%s\": make it (groupadd --system), or "
		    "name another by --group or in system.toml",
		    group);
	ret->group = g->gr_gid;
	return 0;
}

/* --- folders ------------------------------------------------------------- */

/* The folder `name` in `in`, made if need be, with its owner and mode. The
 * descriptor, or -1 and why. */
static int
make_folder(int in, const char *name, const struct folder *f,
    const struct owner *owner, const char *base, struct err *err)
{
	int fd, how = O_RDONLY | O_DIRECTORY | O_CLOEXEC;

	if (mkdirat(in, name, f->mode) < 0 && errno != EEXIST) {
		err_errno(err, "make the folder %s/%s", base, f->path);
		return -1;
	}
	/* the settings may name a link; one below it is none of ours */
	fd = openat(in, name, f->path[0] == '\0' ? how : how | O_NOFOLLOW);
	if (fd < 0) {
		err_errno(err, "open the folder %s/%s", base, f->path);
		return -1;
	}
	if (owner != NULL &&
	    (fchown(fd, owner->user, owner->group) < 0 ||
		fchmod(fd, f->mode) < 0)) {
		err_errno(
		    err, "give the folder %s/%s its owner", base, f->path);
		close(fd);
		return -1;
	}
	return fd;
}

/* One folder below `base`, by way of those above it, which are there. */
static int
make_below(int base_fd, const char *base, const struct folder *f,
    const struct owner *owner, struct err *err)
{
	char *path = mem_printf("%s", f->path), *name = path, *slash;
	int in = dup(base_fd), rc = -1;

	while (in >= 0 && (slash = strchr(name, '/')) != NULL) {
		int next;

		*slash = '\0';
		next = openat(
		    in, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		close(in);
		in = next;
		name = slash + 1;
	}
	if (in < 0) {
		err_errno(err, "open the folder above %s/%s", base, f->path);
	} else {
		int fd = make_folder(in, name, f, owner, base, err);

		if (fd >= 0) {
			close(fd);
			rc = 0;
		}
		close(in);
	}
	free(path);
	return rc;
}

/* What stands above a folder of the settings belongs to root. */
static int
make_above(const char *path, struct err *err)
{
	char *copy = mem_printf("%s", path);
	int rc = 0;

	for (char *p = copy + 1; rc == 0 && (p = strchr(p, '/')) != NULL; p++) {
		*p = '\0';
		if (mkdir(copy, 0755) < 0 && errno != EEXIST)
			rc = err_errno(err, "make the folder %s", copy);
		*p = '/';
	}
	free(copy);
	return rc;
}

static int
make_folders(const char *base, const struct folder *f,
    const struct owner *owner, struct err *err)
{
	int fd, rc = make_above(base, err);

	if (rc != 0)
		return rc;
	fd = make_folder(AT_FDCWD, base, f, owner, base, err);
	if (fd < 0)
		return ERR_IO;
	for (f++; rc == 0 && f->path != NULL; f++)
		rc = make_below(fd, base, f, owner, err);
	close(fd);
	return rc;
}

/* --- names --------------------------------------------------------------- */

static int
make_link(
    const char *folder, const char *name, const char *target, struct err *err)
{
	char *path = mem_printf("%s/%s", folder, name), there[PATH_MAX];
	ssize_t n = readlink(path, there, sizeof(there) - 1);
	int rc = 0;

	if (n > 0) { /* maybe to another version of us */
		there[n] = '\0';
		if (strcmp(there, target) != 0 &&
		    (unlink(path) < 0 || symlink(target, path) < 0))
			rc = err_errno(err, "link %s to %s", path, target);
	} else if (errno == EINVAL) {
		command_say("warning",
		    "%s is a program of its own, and is left as it is", path);
	} else if (symlink(target, path) < 0) {
		rc = err_errno(err, "link %s to %s", path, target);
	}
	free(path);
	return rc;
}

static int
make_links(bool relative, struct err *err)
{
	char self[PATH_MAX], *copy, *folder, *copy2, *target;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int rc;

	if (n < 0)
		return err_errno(err, "find this program");
	self[n] = '\0';
	copy = mem_printf("%s", self);
	copy2 = mem_printf("%s", self);
	folder = dirname(copy);
	target = relative ? basename(copy2) : self;
	rc = make_link(folder, "tedge", target, err);
	for (const struct command_program *p = command_programs;
	     rc == 0 && p->name != NULL; p++)
		if (p->main != NULL)
			rc = make_link(folder, p->name, target, err);
	free(copy);
	free(copy2);
	return rc;
}

/* --- the command --------------------------------------------------------- */

static int
make_all(const struct command_call *c, const struct config *config,
    const struct system *system, struct err *err)
{
	const char *user = command_option(c, "user");
	const char *group = command_option(c, "group");
	const char *const bases[] = { "data.path", "logs.path" };
	const struct folder *const below[] = { data_folders, log_folders };
	struct owner owner;
	int rc = find_owner(user != NULL ? user : system->user,
	    group != NULL ? group : system->group, &owner, err);

	if (rc == 0)
		rc = make_folders(
		    config_dir(config), config_folders, &owner, err);
	for (size_t i = 0; rc == 0 && i < COUNT_OF(bases); i++) {
		char *base = str_dupz(config_text(config, bases[i]));

		rc = make_folders(base, below[i], &owner, err);
		free(base);
	}
	if (rc == 0)
		rc = make_links(
		    command_option(c, "relative-links") != NULL, err);
	return rc;
}

static int
init(struct command_call *c)
{
	struct config *config = command_config(c);
	struct arena a = { 0 };
	struct system system;
	struct err err;
	int rc;

	if (config == NULL)
		return 1;
	rc = system_read(config, &a, &system, &err);
	if (rc == 0)
		rc = make_all(c, config, &system, &err);
	arena_fini(&a);
	return rc == 0
	    ? 0
	    : command_failed("initialize the folders of the device", &err);
}

static const struct command_option init_options[] = {
	{ .name = "user",
	    .arg = "USER",
	    .help = "whose the folders are; not said: as system.toml says, or "
		    "tedge" },
	{ .name = "group", .arg = "GROUP", .help = "the same of the group" },
	{ .name = "relative-links",
	    .help = "link the names of the program without its folder" },
	{ 0 },
};

const struct command init_commands[] = {
	{ .words = "init",
	    .args = "",
	    .options = init_options,
	    .help = "make the folders of the device, and the links by which "
		    "this program has its names",
	    .run = init },
	{ 0 },
};
