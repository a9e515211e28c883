/*
 * edge/agent/file_log.c - tedge-file-log-plugin: the log files that
 * plugins/tedge-log-plugin.toml names:
 *
 *	files = [
 *	  { type = "mosquitto", path = "/var/log/mosquitto.*" },
 *	]
 *
 * `list` gives the types; `get TYPE [--since S] [--until S]` (seconds since
 * 1970) the files of one that have changed since then and were there before,
 * the oldest first.
 */
#include "edge/agent/programs.h"

#include "base/base.h"
#include "base/mem.h"

#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct found {
	char *path;
	int64_t changed, born; /* s */
};

static struct str
text_of(const struct toml *table, const char *key)
{
	const struct toml *t = toml_get(table, str_of(key));

	return t != NULL && t->type == TOML_TEXT ? t->text : STR_NULL;
}

static int
list(const struct toml *files)
{
	for (const struct toml *f = files; f != NULL; f = f->next) {
		struct str type = text_of(f, "type");

		if (type.len > 0)
			printf(STR_FMT "\n", STR_ARG(type));
	}
	return 0;
}

static int
oldest_first(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	if (x->changed != y->changed)
		return x->changed < y->changed ? -1 : 1;
	return strcmp(x->path, y->path);
}

static int64_t
born(const char *path)
{
	struct statx sx;

	if (statx(AT_FDCWD, path, 0, STATX_BTIME, &sx) == 0 &&
	    (sx.stx_mask & STATX_BTIME) != 0)
		return sx.stx_btime.tv_sec;
	return INT64_MIN;
}

static void
find(struct str pattern, struct arena *a, struct found **all, size_t *n)
{
	glob_t g = { 0 };

	if (glob(arena_z(a, pattern), 0, NULL, &g) == 0)
		for (size_t i = 0; i < g.gl_pathc; i++) {
			struct stat st;

			if (stat(g.gl_pathv[i], &st) != 0 ||
			    !S_ISREG(st.st_mode))
				continue;
			*all = mem_resize(*all, *n + 1, sizeof(**all));
			(*all)[(*n)++] =
			    (struct found){ arena_z(a, str_of(g.gl_pathv[i])),
				    st.st_mtim.tv_sec, born(g.gl_pathv[i]) };
		}
	globfree(&g);
}

static int
get(const struct toml *files, const char *type, int64_t since, int64_t until,
    struct arena *a)
{
	struct found *all = NULL;
	size_t n = 0;
	struct err err;
	int rc = 0;

	for (const struct toml *f = files; f != NULL; f = f->next)
		if (str_eqz(text_of(f, "type"), type))
			find(text_of(f, "path"), a, &all, &n);
	if (n == 0)
		return program_fail(
		    2, "The target log file for '%s' does not exist.", type);
	qsort(all, n, sizeof(*all), oldest_first);
	for (size_t i = 0; i < n && rc == 0; i++)
		if (all[i].changed >= since && all[i].born <= until)
			rc = program_cat(all[i].path, &err);
	free(all);
	return rc == 0 ? 0 : program_fail(2, "%s", err.text);
}

int
file_log_main(int argc, char **argv)
{
	const char *const names[] = { "since", "until", NULL };
	const char *values[2] = { 0 }, *words[2] = { 0 };
	int64_t since = INT64_MIN, until = INT64_MAX;
	struct arena a = { 0 };
	const struct toml *files;
	struct err err;
	size_t n;
	int rc = 1;

	if (!program_args(argc, argv, names, values, words, 2, &n) || n == 0 ||
	    (values[0] != NULL && !str_to_i64(str_of(values[0]), &since)) ||
	    (values[1] != NULL && !str_to_i64(str_of(values[1]), &until)))
		return program_fail(1,
		    "usage: tedge-file-log-plugin list | get TYPE "
		    "[--since SECONDS] [--until SECONDS]");
	if (program_files(&a, "tedge-log-plugin.toml", &files, &err) != 0)
		rc = program_fail(2, "%s", err.text);
	else if (strcmp(words[0], "list") == 0 && n == 1)
		rc = list(files);
	else if (strcmp(words[0], "get") == 0 && n == 2)
		rc = get(files, words[1], since, until, &a);
	else
		program_fail(1, "unexpected argument '%s'", words[0]);
	arena_fini(&a);
	return rc;
}
