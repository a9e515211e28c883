/*
 * core/fleet/state_fetch.c - fetching from a remote, no more than there is room
 * for.
 *
 * What comes is not known before it has come. So it comes into a repository of
 * its own beside the objects of ours, which it borrows, and as one file, whose
 * size the system limits: Git is ended where it would go on. Only what fits,
 * its files as they would lie in the working tree included, is moved over, and
 * only then our ref is set. Else the folder goes, and all is as it was.
 */
#include "core/fleet/state.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/file.h"
#include "core/fleet/state_git.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME "marram-fetch."
#define REF "refs/heads/fetched"
#define LEFT_S (24 * 3600) /* after which nobody fetches into it any more */

struct fetch {
	struct fleet_git ours, theirs;
	struct arena *a;
	const char *objects; /* ours */
	char *dir;           /* of theirs */
};

/* Borrows our objects, and knows by our refs what need not come. */
static int
open_theirs(struct fetch *x, struct err *err)
{
	const char *const init[] = { "init", "--quiet", "--bare",
		"--template=", NULL };
	struct arena *a = x->a;
	const char *info;

	x->objects = arena_printf(a, "%s/.git/objects", x->ours.dir).ptr;
	x->dir =
	    arena_z(a, arena_printf(a, "%s/.git/" NAME "XXXXXX", x->ours.dir));
	if (mkdtemp(x->dir) == NULL) {
		x->dir = NULL;
		return err_errno(err, "make a folder in %s/.git", x->ours.dir);
	}
	x->theirs = x->ours;
	x->theirs.dir = x->dir;
	if (fleet_git_run(&x->theirs, init, a, NULL, err) != 0)
		return err->code;
	info = arena_printf(a, "%s/objects/info/alternates", x->dir).ptr;
	return file_write(info, arena_printf(a, "%s\n", x->objects), err);
}

/* Of the files of a commit: "100644 blob 1f2e...   1234\tname". */
static int
tree_size(struct fetch *x, int64_t *ret, struct err *err)
{
	const char *const list[] = { "ls-tree", "-r", "-l", REF, NULL };
	struct str out;
	int rc = fleet_git_run(&x->theirs, list, x->a, &out, err);

	*ret = 0;
	while (rc == 0 && out.ptr != NULL && out.len > 0) {
		struct str line = str_cut(&out, '\n');
		struct str head = str_cut(&line, '\t');
		int64_t size;

		for (int i = 0; i < 3; i++)
			(void)str_cut(&head, ' ');
		if (head.ptr != NULL && str_to_i64(str_trim(head), &size))
			*ret += size;
	}
	return rc;
}

/* With its files in the place of those that are there now. */
static int
fits(struct fetch *x, struct err *err)
{
	const char *dir = x->ours.dir;
	int64_t of_git =
	    fleet_tree_size(arena_printf(x->a, "%s/.git", dir).ptr);
	int64_t files = fleet_tree_size(dir) - of_git, more;
	int rc = tree_size(x, &more, err);

	/* what has come lies below .git already */
	return rc == 0
	    ? fleet_repo_room(x->ours.f, dir, MAX_OF(more - files, 0), err)
	    : rc;
}

/* An index makes its pack known, so it comes last. */
static int
move_over(struct fetch *x, bool indexes, struct err *err)
{
	const char *from = arena_printf(x->a, "%s/objects/pack", x->dir).ptr;
	DIR *dir = opendir(from);
	const struct dirent *d;
	int rc = 0;

	while (dir != NULL && rc == 0 && (d = readdir(dir)) != NULL) {
		const char *path, *to;

		if (d->d_name[0] == '.' ||
		    str_ends(str_of(d->d_name), STR(".idx")) != indexes)
			continue;
		path = arena_printf(x->a, "%s/%s", from, d->d_name).ptr;
		to =
		    arena_printf(x->a, "%s/pack/%s", x->objects, d->d_name).ptr;
		if (rename(path, to) < 0)
			rc = err_errno(err, "rename %s", path);
	}
	if (dir != NULL)
		closedir(dir);
	return rc;
}

static int
take_over(struct fetch *x, const char *to, struct err *err)
{
	const char *const ask[] = { "rev-parse", "--verify", REF, NULL };
	struct str commit;
	int rc = fleet_git_run(&x->theirs, ask, x->a, &commit, err);

	if (rc == 0)
		rc = move_over(x, false, err);
	if (rc == 0)
		rc = move_over(x, true, err);
	if (rc == 0)
		rc = fleet_git_run(&x->ours,
		    (const char *const[]){ "update-ref", to,
			arena_z(x->a, str_trim(commit)), NULL },
		    x->a, NULL, err);
	return rc;
}

static int
too_much(const struct fetch *x, int64_t left, struct err *err)
{
	return err_set(err, ERR_LIMIT,
	    "the remote has more than there is room for: %lld of %lld MiB are "
	    "left for the unit's repository; raise fleet.repository.max, or "
	    "remove artifacts. Nothing was changed",
	    (long long)(left >> 20),
	    (long long)(x->ours.f->conf.repository_max >> 20));
}

int
fleet_fetch(const struct fleet_git *g, const char *from, const char *to,
    struct arena *a, struct err *err)
{
	const char *spec = arena_printf(a, "+%s:" REF, from).ptr;
	const char *const fetch[] = { "fetch", "--quiet", "--no-tags",
		"--no-recurse-submodules", "--no-write-fetch-head", "--",
		arena_z(a, g->url), spec, NULL };
	struct fetch x = { .ours = *g, .a = a };
	int64_t left = g->f->conf.repository_max - fleet_tree_size(g->dir);
	int rc = fleet_repo_room(g->f, g->dir, 0, err);

	if (rc == 0)
		rc = open_theirs(&x, err);
	if (rc == 0) {
		x.theirs.file_max = MAX_OF(left, 1);
		rc = fleet_git_run(&x.theirs, fetch, a, NULL, err);
		x.theirs.file_max = 0;
		/* Git does not know why what it runs was ended */
		if (rc != 0 && fleet_tree_size(x.dir) >= left)
			rc = too_much(&x, left, err);
	}
	if (rc == 0)
		rc = fits(&x, err);
	if (rc == 0)
		rc = take_over(&x, to, err);
	if (x.dir != NULL)
		fleet_remove_tree(x.dir);
	return rc;
}

void
fleet_fetch_clean(const char *dir)
{
	struct arena a = { 0 };
	const char *git = arena_printf(&a, "%s/.git", dir).ptr;
	DIR *all = opendir(git);
	const struct dirent *d;

	while (all != NULL && (d = readdir(all)) != NULL) {
		const char *path =
		    arena_printf(&a, "%s/%s", git, d->d_name).ptr;
		struct stat st;

		if (str_starts(str_of(d->d_name), STR(NAME)) &&
		    lstat(path, &st) == 0 &&
		    clock_now() / 1000 - st.st_mtime > LEFT_S)
			fleet_remove_tree(path);
	}
	if (all != NULL)
		closedir(all);
	arena_fini(&a);
}
