/*
 * edge/agent/apt.c - tedge-apt-plugin: Debian packages, by apt-get and dpkg.
 *
 * Started as sm-plugins/apt it is the type "apt". Exit statuses: 0 done, 1 a
 * wrong call (of update-list that would mean "not supported", so nothing there
 * ends with it), 2 apt or dpkg failed, 4 one of them was killed, 5 something
 * here: a file that is another package than was said, a version that is not the
 * installed one.
 */
#include "edge/agent/programs.h"

#include "base/base.h"
#include "base/mem.h"
#include "edge/config.h"

#include <ctype.h>
#include <errno.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DONE, USAGE, APT_FAILED, KILLED = 4, INTERNAL };

#define LATEST "latest" /* a version that is none */
#define LINES_MAX 10000 /* of an update-list */

struct apt {
	struct arena a;
	struct config *config; /* NULL: it can not be read; defaults hold */
	char dir[32];       /* of links with the right ending; "": none yet */
	const char **words; /* of apt-get, behind the options */
	size_t n;
	struct buf links; /* to be removed, each with its NUL */
};

static struct str
setting(struct apt *x, const char *key)
{
	return x->config != NULL ? config_text(x->config, key) : STR_NULL;
}

/* --- running -------------------------------------------------------------- */

static int
run(const char *const *argv)
{
	pid_t pid;
	int status;

	errno = program_start(argv, &pid, NULL);
	if (errno != 0)
		return program_fail(
		    INTERNAL, "start %s: %s", argv[0], strerror(errno));
	status = program_wait(pid);
	return status == 0 || status == KILLED ? status : APT_FAILED;
}

/* One line of what it writes, without its end; "": it failed or wrote none. */
static struct str
one_line(struct apt *x, const char *const *argv)
{
	char line[4096] = "", rest[4096];
	FILE *out;
	pid_t pid;

	if (program_start(argv, &pid, &out) != 0)
		return STR("");
	if (fgets(line, sizeof(line), out) != NULL)
		while (fgets(rest, sizeof(rest), out) != NULL)
			; /* or it would be killed by a broken pipe */
	fclose(out);
	return program_wait(pid) == 0 ? arena_str(&x->a, str_trim(str_of(line)))
				      : STR("");
}

/* --- list ----------------------------------------------------------------- */

/* A pattern that matches whole texts. */
static bool
compile(struct apt *x, struct str text, regex_t *re, int *rc)
{
	if (text.len == 0)
		return false;
	if (regcomp(re,
		arena_z(&x->a,
		    arena_printf(&x->a, "^(" STR_FMT ")$", STR_ARG(text))),
		REG_EXTENDED | REG_NOSUB) == 0)
		return true;
	*rc = program_fail(USAGE, "not a pattern: " STR_FMT, STR_ARG(text));
	return false;
}

static bool
matches(const regex_t *re, const char *text)
{
	return regexec(re, text, 0, NULL, 0) == 0;
}

static int
list(struct apt *x, const char *name, const char *maintainer)
{
	const char *const argv[] = { "dpkg-query", "--show",
		"--showformat=${Status}\t${Package}\t${Version}\t"
		"${Maintainer}\n",
		NULL };
	struct str by_name = name != NULL ? str_of(name) : STR_NULL,
		   by_whom = maintainer != NULL ? str_of(maintainer) : STR_NULL;
	bool has_name, has_whom;
	regex_t names, whom;
	char *line = NULL;
	size_t cap = 0;
	int rc = DONE;
	FILE *out;
	pid_t pid;

	if (name == NULL && maintainer == NULL) {
		by_name = setting(x, "apt.name");
		by_whom = setting(x, "apt.maintainer");
	}
	has_name = compile(x, by_name, &names, &rc);
	has_whom = rc == DONE && compile(x, by_whom, &whom, &rc);
	if (rc != DONE)
		goto done;
	errno = program_start(argv, &pid, &out);
	if (errno != 0) {
		rc = program_fail(
		    INTERNAL, "start dpkg-query: %s", strerror(errno));
		goto done;
	}
	while (getline(&line, &cap, out) > 0) {
		char *save, *status = strtok_r(line, "\t\n", &save);
		char *package = strtok_r(NULL, "\t\n", &save);
		char *version = strtok_r(NULL, "\t\n", &save);
		char *who = strtok_r(NULL, "\n", &save);

		if (version == NULL ||
		    strcmp(status, "install ok installed") != 0)
			continue;
		/* With both, either will do. */
		if ((!has_name && !has_whom) ||
		    (has_name && matches(&names, package)) ||
		    (has_whom && who != NULL && matches(&whom, who)))
			printf("%s\t%s\n", package, version);
	}
	fclose(out);
	rc = program_wait(pid);
	rc = rc == DONE || rc == KILLED ? rc : APT_FAILED;

done:
	free(line);
	if (has_name)
		regfree(&names);
	if (has_whom)
		regfree(&whom);
	return rc;
}

/* --- what apt-get is to do ------------------------------------------------ */

/* Letters, digits and "+-." (deb-control(5)), ":" before an architecture:
 * nothing that apt-get would take for an option or, with a "-" behind it, for a
 * package to be removed. */
static bool
is_package(const char *name)
{
	if (!isalnum((unsigned char)name[0]) || name[strlen(name) - 1] == '-')
		return false;
	return strspn(name,
		   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		   "0123456789+-.:") == strlen(name);
}

static bool
is_version(const char *version)
{
	return strspn(version,
		   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		   "0123456789.+-~:") == strlen(version);
}

static int
check(const char *name, const char *version)
{
	if (!is_package(name))
		return program_fail(
		    INTERNAL, "\"%s\" is not the name of a package", name);
	if (version != NULL && !is_version(version))
		return program_fail(INTERNAL,
		    "\"%s\" is not the version of a package", version);
	return DONE;
}

static void
add_word(struct apt *x, const char *word)
{
	x->words = mem_resize(x->words, x->n + 2, sizeof(*x->words));
	x->words[x->n++] = word;
	x->words[x->n] = NULL;
}

/* A link to the file whose name ends in ".deb", as apt-get wants it. */
static const char *
link_to(struct apt *x, const char *file)
{
	char *real = realpath(file, NULL);
	const char *path;

	if (real == NULL)
		return NULL;
	if (x->dir[0] == '\0') {
		strcpy(x->dir, "/tmp/tedge-apt.XXXXXX");
		if (mkdtemp(x->dir) == NULL) {
			x->dir[0] = '\0';
			free(real);
			return NULL;
		}
	}
	path = arena_z(&x->a, arena_printf(&x->a, "%s/%zu.deb", x->dir, x->n));
	if (symlink(real, path) < 0)
		path = NULL;
	else
		buf_add(&x->links, path, strlen(path) + 1);
	free(real);
	return path;
}

static int
install_file(
    struct apt *x, const char *name, const char *version, const char *file)
{
	const char *const package[] = { "dpkg-deb", "--field", file, "Package",
		NULL };
	const char *const is[] = { "dpkg-deb", "--field", file, "Version",
		NULL };
	struct str has = one_line(x, package);
	const char *path;

	if (has.len == 0)
		return program_fail(
		    INTERNAL, "%s is not a Debian package", file);
	if (!str_eqz(has, name))
		return program_fail(INTERNAL,
		    "%s is the package " STR_FMT ", not %s", file, STR_ARG(has),
		    name);
	has = one_line(x, is);
	if (version != NULL && !str_eqz(has, version))
		return program_fail(INTERNAL,
		    "%s is version " STR_FMT " of %s, not %s", file,
		    STR_ARG(has), name, version);
	path = link_to(x, file);
	if (path == NULL)
		return program_fail(
		    INTERNAL, "link to %s: %s", file, strerror(errno));
	add_word(x, path);
	return DONE;
}

static int
add_install(
    struct apt *x, const char *name, const char *version, const char *file)
{
	int rc;

	if (version != NULL && strcmp(version, LATEST) == 0)
		version = NULL;
	rc = check(name, version);
	if (rc != DONE)
		return rc;
	if (file != NULL)
		return install_file(x, name, version, file);
	add_word(x,
	    version == NULL
		? name
		: arena_z(&x->a, arena_printf(&x->a, "%s=%s", name, version)));
	return DONE;
}

/* `*installed` says whether there is anything to remove. */
static int
may_remove(
    struct apt *x, const char *name, const char *version, bool *installed)
{
	const char *argv[] = { "dpkg-query", "--show",
		"--showformat=${Status}\t${Version}\n", name, NULL };
	struct str has, status;
	int rc;

	if (version != NULL && strcmp(version, LATEST) == 0)
		version = NULL;
	rc = check(name, version);
	if (rc != DONE)
		return rc;
	/* It complains of one that is not there: on our error output, which
	 * nobody reads when the rest goes well. */
	has = one_line(x, argv);
	status = str_cut(&has, '\t');
	*installed = str_ends(status, STR(" installed"));
	if (*installed && version != NULL && !str_eqz(has, version))
		return program_fail(INTERNAL,
		    "version " STR_FMT " of %s is installed, not %s",
		    STR_ARG(has), name, version);
	return DONE;
}

/* apt-get --quiet --yes, and then. */
static int
apt_get(struct apt *x, const char *what, bool install)
{
	bool keep_new =
	    str_eqz(setting(x, "apt.dpkg.options.config"), "keepnew");
	const char **argv = arena_array(&x->a, x->n + 12, const char *);
	size_t n = 0;

	argv[n++] = "apt-get";
	argv[n++] = "--quiet";
	argv[n++] = "--yes";
	if (install) {
		argv[n++] = "-o";
		argv[n++] = keep_new ? "DPkg::Options::=--force-confnew"
				     : "DPkg::Options::=--force-confold";
	}
	argv[n++] = what;
	if (install) {
		argv[n++] = "--allow-downgrades";
		argv[n++] = "--no-install-recommends";
	}
	for (size_t i = 0; i < x->n; i++)
		argv[n++] = x->words[i];
	return run(argv);
}

static int
remove_one(struct apt *x, const char *name, const char *version)
{
	bool installed;
	int rc = may_remove(x, name, version, &installed);

	if (rc != DONE || !installed)
		return rc;
	add_word(x, name);
	return apt_get(x, "remove", false);
}

/* install\tNAME\tVERSION\tPATH, remove\tNAME\tVERSION\t; all by one call, in
 * which "name-" is one to be removed. */
static int
update_list(struct apt *x)
{
	char *line = NULL;
	size_t cap = 0, lines = 0;
	int rc = DONE;

	while (rc == DONE && getline(&line, &cap, stdin) > 0) {
		struct str rest = str_of(line), field[4];
		const char *word[4];
		bool installed = false;

		if (str_ends(rest, STR("\n")))
			rest.len--;
		if (rest.len == 0)
			continue;
		for (int i = 0; i < 4; i++) {
			field[i] =
			    rest.ptr != NULL ? str_cut(&rest, '\t') : STR_NULL;
			word[i] =
			    field[i].len > 0 ? arena_z(&x->a, field[i]) : NULL;
		}
		if (++lines > LINES_MAX)
			rc = program_fail(
			    INTERNAL, "more than %d lines", LINES_MAX);
		else if (word[1] == NULL || rest.ptr != NULL)
			rc = program_fail(INTERNAL,
			    "line %zu is not ACTION, NAME, VERSION and PATH "
			    "with tabs between",
			    lines);
		else if (str_eqz(field[0], "install"))
			rc = add_install(x, word[1], word[2], word[3]);
		else if (!str_eqz(field[0], "remove"))
			rc = program_fail(INTERNAL,
			    "line %zu: the action \"" STR_FMT "\" is unknown",
			    lines, STR_ARG(field[0]));
		else if ((rc = may_remove(x, word[1], word[2], &installed)) ==
			DONE &&
		    installed)
			add_word(x,
			    arena_z(
				&x->a, arena_printf(&x->a, "%s-", word[1])));
	}
	free(line);
	return rc == DONE && x->n > 0 ? apt_get(x, "install", true) : rc;
}

/* -------------------------------------------------------------------------- */

enum { VERSION, FILE_PATH, NAME, MAINTAINER, NAME_1, MAINTAINER_1, N_OPTIONS };

static int
act(struct apt *x, const char *const *words, size_t n,
    const char *const *values)
{
	const char *what = n > 0 ? words[0] : "";
	int rc;

	if (strcmp(what, "list") == 0 && n == 1)
		return list(x,
		    values[NAME] != NULL ? values[NAME] : values[NAME_1],
		    values[MAINTAINER] != NULL ? values[MAINTAINER]
					       : values[MAINTAINER_1]);
	if (strcmp(what, "prepare") == 0 && n == 1)
		return apt_get(x, "update", false);
	if (strcmp(what, "finalize") == 0 && n == 1)
		return apt_get(x, "autoremove", false);
	if (strcmp(what, "update-list") == 0 && n == 1)
		return update_list(x);
	if (strcmp(what, "install") == 0 && n == 2) {
		rc = add_install(
		    x, words[1], values[VERSION], values[FILE_PATH]);
		return rc == DONE ? apt_get(x, "install", true) : rc;
	}
	if (strcmp(what, "remove") == 0 && n == 2)
		return remove_one(x, words[1], values[VERSION]);
	return program_fail(USAGE,
	    "usage: apt list [--name PATTERN] [--maintainer PATTERN] | prepare "
	    "| finalize | install NAME [--module-version VERSION] "
	    "[--file PATH] | remove NAME [--module-version VERSION] | "
	    "update-list");
}

int
apt_plugin_main(int argc, char **argv)
{
	static const char *const names[] = { "module-version", "file", "name",
		"maintainer", "n", "m", NULL };
	const char *values[N_OPTIONS] = { 0 }, *words[2] = { 0 };
	struct apt x = { 0 };
	struct err err;
	size_t n;
	int rc;

	if (!program_args(argc, argv, names, values, words, 2, &n))
		return USAGE;
	if (config_open(program_config_dir(), &x.config, &err) != 0)
		x.config = NULL; /* what it would say has its defaults */
	(void)setenv("DEBIAN_FRONTEND", "noninteractive", 1);
	rc = act(&x, words, n, values);

	for (size_t at = 0; at < x.links.len;
	     at += strlen(x.links.ptr + at) + 1)
		(void)unlink(x.links.ptr + at);
	if (x.dir[0] != '\0')
		(void)rmdir(x.dir);
	buf_free(&x.links);
	free(x.words);
	config_close(x.config);
	arena_fini(&x.a);
	return fflush(stdout) == 0 ? rc : INTERNAL;
}
