/*
 * plug/repo/repo.h - a Git repository with a working tree, on this machine.
 *
 * What is done here needs no network and no other program: it is libgit2, which
 * is loaded at its first use (marram-repo.so). Pushing and pulling is done by
 * the program `git`, which finds the same repository.
 *
 * Of the settings of Git only those of the repository itself count. Symbolic
 * links are never made: one in a commit becomes a file with the text of the
 * link, so that what others have pushed reaches nothing outside.
 *
 * A repository is used by one thread at a time. Texts that are given back lie
 * in the arena. ERR_AGAIN: another program holds the repository's lock.
 */
#ifndef PLUG_REPO_REPO_H
#define PLUG_REPO_REPO_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct repo;

struct repo_person {
	struct str name, email;
};

struct repo_change {
	struct str path;
	char status;     /* 'A', 'M' or 'D' */
	struct str diff; /* unified; null: it was not asked for, or too long */
};

struct repo_changes {
	struct repo_change *at;
	size_t n;
	bool cut; /* there are more */
};

struct repo_commit {
	struct str id, short_id; /* 40 digits; as many as tell it from others */
	struct str message;      /* without a new line at its end */
	struct repo_person author;
	int64_t at; /* ms */
	struct strs parents;
};

struct repo_log {
	struct repo_commit *at;
	size_t n;
};

#define REPO_ABI 1
#define REPO_SYMBOL "repo_git2"

struct repo_ops {
	unsigned abi;

	/* Opens the repository of the working tree `dir`; makes it, with the
	 * branch `master`, when there is none. `ours` signs as committer unless
	 * the repository has an identity of its own. */
	int (*open)(const char *dir, const struct repo_person *ours,
	    struct repo **ret, struct err *err);
	void (*close)(struct repo *r); /* NULL is fine */

	/* The commit of HEAD; null: there is none yet. */
	int (*head)(struct repo *r, struct arena *a, struct str *commit,
	    struct err *err);
	/* The name of the branch of HEAD: "master". ERR_PARAM: there is none.
	 */
	int (*branch)(
	    struct repo *r, struct arena *a, struct str *name, struct err *err);
	/* "HEAD", a branch, the first digits of a commit. ERR_NOT_FOUND. */
	int (*resolve)(struct repo *r, struct str what, struct arena *a,
	    struct str *commit, struct err *err);

	/* Takes all files into the index: programs that look at the index (nix)
	 * see them. */
	int (*add)(struct repo *r, struct err *err);
	/* Commits all there is. `author` NULL: the committer. ERR_EXISTS: the
	 * last commit says the same. */
	int (*commit)(struct repo *r, const struct repo_person *author,
	    struct str message, struct arena *a, struct str *commit,
	    struct err *err);

	/* Does the working tree differ from HEAD? */
	int (*dirty)(struct repo *r, bool *ret, struct err *err);
	/* How; by path, at most `max` files, with diffs of at most `diff_max`
	 * bytes in all. */
	int (*status)(struct repo *r, size_t max, size_t diff_max,
	    struct arena *a, struct repo_changes *ret, struct err *err);
	/* Between two commits; `from` null: nothing, `to` null: the working
	 * tree. `path` null: all. `text` is cut at `max` bytes, at a line. */
	int (*diff)(struct repo *r, struct str from, struct str to,
	    struct str path, size_t max, struct arena *a, struct str *text,
	    bool *cut, struct err *err);
	/* Which files differ between them; as status(), without diffs. */
	int (*changed)(struct repo *r, struct str from, struct str to,
	    size_t max, struct arena *a, struct repo_changes *ret,
	    struct err *err);

	/* Ancestors of `from` and itself, newest first. */
	int (*log)(struct repo *r, struct str from, int64_t offset,
	    int64_t limit, struct arena *a, struct repo_log *ret,
	    struct err *err);
	int (*get)(struct repo *r, struct str commit, struct arena *a,
	    struct repo_commit *ret, struct err *err);
	/* A file as of a commit. ERR_NOT_FOUND. */
	int (*file)(struct repo *r, struct str commit, const char *path,
	    struct arena *a, struct str *ret, struct err *err);

	/* Files of the working tree become as of the commit, those that it does
	 * not have go: all below these paths (NULL ends). */
	int (*restore)(struct repo *r, struct str commit,
	    const char *const *paths, struct err *err);
	/* Moves the branch of HEAD, index and working tree to a descendant of
	 * HEAD; `anyway`: to any commit. ERR_PARAM: it is none. ERR_EXISTS: the
	 * tree is not clean. */
	int (*forward)(
	    struct repo *r, struct str commit, bool anyway, struct err *err);
	/* How many commits each of two has that the other has not. */
	int (*apart)(struct repo *r, struct str a, struct str b,
	    int64_t *a_more, int64_t *b_more, struct err *err);
};

/* Loads it. ERR_NOT_FOUND, ERR_IO: it can not be loaded, and why. */
int repo_load(const struct repo_ops **ret, struct err *err);

#endif
