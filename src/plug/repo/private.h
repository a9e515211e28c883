/*
 * plug/repo/private.h - what the files of the plug share.
 */
#ifndef PLUG_REPO_PRIVATE_H
#define PLUG_REPO_PRIVATE_H

#include "plug/repo/repo.h"

#include <git2.h>

struct repo {
	git_repository *git;
	struct repo_person ours;
};

extern const struct repo_ops repo_git2;

/* What libgit2 has said last, behind what was being done. */
int repo_failed(struct err *err, int rc, const char *doing);
struct str repo_oid_text(struct arena *a, const git_oid *id);
int repo_commit_of(
    struct repo *r, struct str what, git_commit **ret, struct err *err);

int repo_dirty(struct repo *r, bool *ret, struct err *err);
int repo_status(struct repo *r, size_t max, size_t diff_max, struct arena *a,
    struct repo_changes *ret, struct err *err);
int repo_diff(struct repo *r, struct str from, struct str to, struct str path,
    size_t max, struct arena *a, struct str *text, bool *cut, struct err *err);
int repo_changed(struct repo *r, struct str from, struct str to, size_t max,
    struct arena *a, struct repo_changes *ret, struct err *err);

#endif
