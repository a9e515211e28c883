/*
 * edge/command/diag.c - `diag collect`: runs every diag plugin, one after the
 * other, and packs what they leave.
 *
 * The folder NAME has one folder for each plugin, with its output.log and the
 * files it has put there. All of it is readable by its owner alone: it may tell
 * more than was meant.
 */
#include "edge/command.h"

#include "base/base.h"
#include "base/child.h"
#include "base/loop.h"
#include "base/mem.h"
#include "edge/program.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { ALL_WELL, SOME_FAILED, NONE_THERE }; /* exit statuses */

#define NOT_APPLICABLE 2 /* a plugin's */
#define OPEN_FOLDERS 8
#define LOG_MAX (64 << 20) /* bytes of a plugin's output that are kept */

struct job {
	const char *config_dir;
	char *folder; /* of all */
	int64_t timeout_ms, grace_ms;
	struct loop *loop;
	int log; /* of the plugin that runs */
	size_t log_size;
	bool log_failed;
	int status; /* its exit status; -1: killed */
	struct buf why;
	unsigned ran, failed;
};

/* --- one plugin ---------------------------------------------------------- */

static void
on_output(void *ctx, bool is_error, struct str bytes)
{
	struct job *j = ctx;

	(void)is_error;
	if (j->log_size >= LOG_MAX)
		return;
	j->log_size += bytes.len;
	if (j->log_size >= LOG_MAX)
		bytes = STR("\n... and more, which is not kept\n");
	if (write(j->log, bytes.ptr, bytes.len) != (ssize_t)bytes.len)
		j->log_failed = true;
}

static void
on_end(void *ctx, const struct child_end *end)
{
	struct job *j = ctx;

	j->status = end->status;
	buf_clear(&j->why);
	child_end_text(end, &j->why);
	loop_stop(j->loop);
}

/* Runs it; 0, or that it could not be. */
static int
run(struct job *j, const char *path, const char *folder, struct err *err)
{
	const char *argv[] = { path, "collect", "--output-dir", folder,
		"--config-dir", j->config_dir, NULL };
	const struct child_conf conf = { .argv = argv,
		.cwd = folder,
		.output_max = 1, /* it is written out as it comes */
		.timeout_ms = j->timeout_ms,
		.grace_ms = j->grace_ms,
		.output = on_output };
	struct child *child;
	char *log = mem_printf("%s/output.log", folder);
	int rc;

	j->log_failed = false;
	j->log_size = 0;
	j->log = open(log, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (j->log < 0) {
		rc = err_errno(err, "create %s", log);
		free(log);
		return rc;
	}
	rc = child_start(j->loop, &conf, on_end, j, &child, err);
	if (rc == 0)
		loop_run(j->loop);
	if (close(j->log) < 0 || j->log_failed)
		rc = rc != 0 ? rc : err_set(err, ERR_IO, "write %s", log);
	free(log);
	return rc;
}

/* A file that is a program, and is not set aside. */
static bool
is_plugin(const char *folder, const char *name)
{
	char *path = mem_printf("%s/%s", folder, name);
	struct stat st;
	bool is = name[0] != '.' && !str_ends(str_of(name), STR(".ignore")) &&
	    stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
	    access(path, X_OK) == 0;

	free(path);
	return is;
}

/* A folder for a plugin, to be freed: its name without what stands behind the
 * dot, and a number where there was one of that name. */
static char *
make_folder(const struct job *j, const char *name, struct err *err)
{
	const char *dot = strrchr(name, '.');
	struct str stem = { name,
		dot != NULL && dot > name ? (size_t)(dot - name)
					  : strlen(name) };
	char *folder = mem_printf("%s/" STR_FMT, j->folder, STR_ARG(stem));

	for (unsigned n = 2; mkdir(folder, 0700) < 0; n++) {
		if (errno != EEXIST) {
			err_errno(err, "make the folder %s", folder);
			free(folder);
			return NULL;
		}
		free(folder);
		folder = mem_printf(
		    "%s/" STR_FMT "-%u", j->folder, STR_ARG(stem), n);
	}
	return folder;
}

static void
collect_one(struct job *j, const char *dir, const char *name)
{
	char *path = mem_printf("%s/%s", dir, name);
	char *title = mem_printf("Executing %s", path), *folder;
	struct err err;
	int rc;

	command_step(title);
	j->ran++;
	folder = make_folder(j, name, &err);
	rc = folder == NULL ? err.code : run(j, path, folder, &err);
	command_step_done(
	    rc == 0 && (j->status == 0 || j->status == NOT_APPLICABLE));
	if (rc != 0)
		command_say("error", "%s: %s", name, err.text);
	else if (j->status == NOT_APPLICABLE)
		command_say("info", "%s has nothing to say here", name);
	else if (j->status != 0)
		command_say("error", "%s %s", name, buf_z(&j->why));
	if (rc != 0 || (j->status != 0 && j->status != NOT_APPLICABLE))
		j->failed++;
	free(path);
	free(folder);
	free(title);
}

/* All of a folder, by name. One that is not there has none. */
static void
collect_all(struct job *j, const char *dir)
{
	struct dirent **names;
	int n = scandir(dir, &names, NULL, alphasort);

	if (n < 0) {
		if (errno != ENOENT)
			command_say("warning", "%s: %s", dir, strerror(errno));
		return;
	}
	for (int i = 0; i < n; i++) {
		if (is_plugin(dir, names[i]->d_name))
			collect_one(j, dir, names[i]->d_name);
		free(names[i]);
	}
	free(names);
}

/* --- all of them --------------------------------------------------------- */

static int
remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path);
}

static int
pack(const struct job *j, const char *out_dir, const char *name, bool keep,
    struct err *err)
{
	char *file = mem_printf("%s/%s.tar.gz", out_dir, name);
	const char *argv[] = { "tar", "-czf", file, "-C", out_dir, "--", name,
		NULL };
	struct buf said = { 0 };
	int rc = program_run(argv, &said, err);

	if (rc == 0) {
		puts(file);
		if (!keep &&
		    nftw(j->folder, remove_one, OPEN_FOLDERS,
			FTW_DEPTH | FTW_PHYS) != 0)
			command_say("warning", "%s could not be removed: %s",
			    j->folder, strerror(errno));
	}
	if (rc != 0) {
		unlink(file); /* half of it is none */
		command_say("info", "what was found is in %s", j->folder);
	}
	buf_free(&said);
	free(file);
	return rc;
}

/* Folders of --plugin-dir, each maybe several, else those of the settings. */
static void
collect_folders(
    struct job *j, const struct command_call *c, const struct config *config)
{
	const char *const *given;
	size_t n = command_options(c, "plugin-dir", &given);
	struct strs set = config_list(config, "diag.plugin_paths");

	for (size_t i = 0; i < n; i++) {
		struct str rest = str_of(given[i]);

		while (rest.ptr != NULL) {
			char *dir = str_dupz(str_trim(str_cut(&rest, ',')));

			if (*dir != '\0')
				collect_all(j, dir);
			free(dir);
		}
	}
	for (size_t i = 0; n == 0 && i < set.n; i++) {
		char *dir = str_dupz(set.at[i]);

		collect_all(j, dir);
		free(dir);
	}
}

static char *
default_name(void)
{
	char stamp[32];
	struct tm tm;
	time_t now = time(NULL);

	gmtime_r(&now, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%d_%H-%M-%S", &tm);
	return mem_printf("tedge-diag-%s", stamp);
}

static bool
name_ok(const char *name)
{
	return name[0] != '\0' && name[0] != '.' && strchr(name, '/') == NULL;
}

/* The absolute name of a folder, to be freed: plugins have another one of
 * their own. */
static char *
make_out_dir(
    const struct command_call *c, const struct config *config, struct err *err)
{
	const char *given = command_option(c, "output-dir");
	char *dir = given != NULL ? mem_printf("%s", given)
				  : str_dupz(config_text(config, "tmp.path"));
	char *real = NULL;

	if (mkdir(dir, 0777) < 0 && errno != EEXIST)
		err_errno(err, "make the folder %s", dir);
	else if ((real = realpath(dir, NULL)) == NULL)
		err_errno(err, "find the folder %s", dir);
	free(dir);
	return real;
}

static int
collect(struct command_call *c)
{
	struct job j = { .timeout_ms = 0, .grace_ms = 0 };
	const char *given = command_option(c, "name");
	char *out_dir = NULL, *name = NULL, *config_dir = NULL;
	struct config *config;
	struct err err;
	int status = 1;

	if (!command_ms(c, "timeout", &j.timeout_ms) ||
	    !command_ms(c, "forceful-timeout", &j.grace_ms))
		return 2;
	if (given != NULL && !name_ok(given))
		return command_wrong(
		    c, "name", "it must be the name of a file, without \"/\"");
	config = command_config(c);
	if (config == NULL)
		return 1;
	umask(077);
	name = given != NULL ? mem_printf("%s", given) : default_name();
	out_dir = make_out_dir(c, config, &err);
	if (out_dir == NULL)
		goto failed;
	config_dir = realpath(command_config_dir(c), NULL);
	j.config_dir = config_dir != NULL ? config_dir : command_config_dir(c);
	j.folder = mem_printf("%s/%s", out_dir, name);
	if (mkdir(j.folder, 0700) < 0) {
		err_errno(&err, "make the folder %s", j.folder);
		goto failed;
	}
	j.loop = loop_new();
	collect_folders(&j, c, config);
	loop_free(j.loop);
	if (j.ran == 0) {
		rmdir(j.folder);
		command_say("error", "there are no diag plugins");
		status = NONE_THERE;
	} else if (pack(&j, out_dir, name,
		       command_option(c, "keep-dir") != NULL, &err) != 0) {
		goto failed;
	} else {
		status = j.failed > 0 ? SOME_FAILED : ALL_WELL;
	}
	goto done;
failed:
	command_failed("collect what helps to find a fault", &err);
done:
	buf_free(&j.why);
	free(j.folder);
	free(config_dir);
	free(out_dir);
	free(name);
	return status;
}

static const struct command_option collect_options[] = {
	{ .name = "plugin-dir",
	    .arg = "DIR",
	    .env = "TEDGE_DIAG_PLUGIN_PATHS",
	    .repeats = true,
	    .help = "where the plugins are, in place of diag.plugin_paths; "
		    "several are divided by commas" },
	{ .name = "output-dir",
	    .arg = "DIR",
	    .help = "where the file is put; not said: tmp.path" },
	{ .name = "name",
	    .arg = "NAME",
	    .help = "of the file, without .tar.gz; not said: "
		    "tedge-diag-TIMESTAMP" },
	{ .name = "keep-dir",
	    .help = "leave the folder of the same name, too" },
	{ .name = "timeout",
	    .arg = "TIME",
	    .def = "60s",
	    .help = "a plugin that takes longer is told to end" },
	{ .name = "forceful-timeout",
	    .arg = "TIME",
	    .def = "60s",
	    .help = "and after so long again is ended" },
	{ 0 },
};

const struct command diag_commands[] = {
	{ .words = "diag collect",
	    .args = "",
	    .options = collect_options,
	    .help = "run all diag plugins and pack what they find into one "
		    "file, whose name is printed; exit status 1: some failed, "
		    "2: there are none",
	    .run = collect },
	{ 0 },
};
