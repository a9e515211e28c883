/*
 * plug/repo/git2_diff.c - how commits and the working tree differ.
 */
#include "plug/repo/private.h"

#include <stdlib.h>
#include <string.h>

static int
tree_of(struct repo *r, struct str commit, git_tree **ret, struct err *err)
{
	git_commit *c = NULL;
	int rc, git;

	*ret = NULL;
	if (commit.ptr == NULL)
		return 0;
	rc = repo_commit_of(r, commit, &c, err);
	if (rc != 0)
		return rc;
	git = git_commit_tree(ret, c);
	git_commit_free(c);
	return git == 0 ? 0 : repo_failed(err, git, "read a commit");
}

/* `to` null: the working tree, with what is not in the index. */
static int
compare(struct repo *r, struct str from, struct str to, const char *path,
    git_diff **ret, struct err *err)
{
	git_diff_options o = GIT_DIFF_OPTIONS_INIT;
	git_tree *a = NULL, *b = NULL;
	char *paths[] = { (char *)(uintptr_t)path };
	int rc = tree_of(r, from, &a, err), git;

	o.flags = GIT_DIFF_INCLUDE_UNTRACKED | GIT_DIFF_RECURSE_UNTRACKED_DIRS |
	    GIT_DIFF_SHOW_UNTRACKED_CONTENT | GIT_DIFF_DISABLE_PATHSPEC_MATCH |
	    GIT_DIFF_INDENT_HEURISTIC;
	if (path != NULL)
		o.pathspec = (git_strarray){ paths, 1 };
	if (rc == 0)
		rc = tree_of(r, to, &b, err);
	if (rc == 0) {
		git = to.ptr != NULL
		    ? git_diff_tree_to_tree(ret, r->git, a, b, &o)
		    : git_diff_tree_to_workdir_with_index(ret, r->git, a, &o);
		if (git != 0)
			rc = repo_failed(err, git, "compare");
	}
	git_tree_free(a);
	git_tree_free(b);
	return rc;
}

static struct str
head_of(struct repo *r, char hex[GIT_OID_HEXSZ + 1])
{
	git_oid id;

	if (git_reference_name_to_id(&id, r->git, "HEAD") != 0)
		return STR_NULL;
	git_oid_tostr(hex, GIT_OID_HEXSZ + 1, &id);
	return str_of(hex);
}

int
repo_dirty(struct repo *r, bool *ret, struct err *err)
{
	char hex[GIT_OID_HEXSZ + 1];
	git_diff *diff = NULL;
	int rc = compare(r, head_of(r, hex), STR_NULL, NULL, &diff, err);

	if (rc != 0)
		return rc;
	*ret = git_diff_num_deltas(diff) > 0;
	git_diff_free(diff);
	return 0;
}

static char
letter(git_delta_t status)
{
	return status == GIT_DELTA_ADDED || status == GIT_DELTA_UNTRACKED ? 'A'
	    : status == GIT_DELTA_DELETED                                 ? 'D'
									  : 'M';
}

static struct str
patch_of(git_diff *diff, size_t i, size_t *left, struct arena *a)
{
	git_buf text = GIT_BUF_INIT;
	git_patch *patch = NULL;
	struct str ret = STR_NULL;

	if (git_patch_from_diff(&patch, diff, i) == 0 && patch != NULL &&
	    git_patch_to_buf(&text, patch) == 0 && text.size <= *left) {
		ret = arena_str(a,
		    (struct str){ text.size > 0 ? text.ptr : "", text.size });
		*left -= text.size;
	}
	git_buf_dispose(&text);
	git_patch_free(patch);
	return ret;
}

static void
list(git_diff *diff, size_t max, size_t diff_max, struct arena *a,
    struct repo_changes *ret)
{
	size_t n = git_diff_num_deltas(diff), left = diff_max;

	*ret = (struct repo_changes){ .cut = n > max };
	ret->n = n > max ? max : n;
	ret->at = arena_array(a, ret->n, struct repo_change);
	for (size_t i = 0; i < ret->n; i++) {
		const git_diff_delta *d = git_diff_get_delta(diff, i);
		const char *path = d->status == GIT_DELTA_DELETED
		    ? d->old_file.path
		    : d->new_file.path;

		ret->at[i].path = arena_str(a, str_of(path));
		ret->at[i].status = letter(d->status);
		if (left > 0)
			ret->at[i].diff = patch_of(diff, i, &left, a);
	}
}

int
repo_status(struct repo *r, size_t max, size_t diff_max, struct arena *a,
    struct repo_changes *ret, struct err *err)
{
	char hex[GIT_OID_HEXSZ + 1];
	git_diff *diff = NULL;
	int rc = compare(r, head_of(r, hex), STR_NULL, NULL, &diff, err);

	if (rc != 0)
		return rc;
	list(diff, max, diff_max, a, ret);
	git_diff_free(diff);
	return 0;
}

int
repo_changed(struct repo *r, struct str from, struct str to, size_t max,
    struct arena *a, struct repo_changes *ret, struct err *err)
{
	git_diff *diff = NULL;
	int rc = compare(r, from, to, NULL, &diff, err);

	if (rc != 0)
		return rc;
	list(diff, max, 0, a, ret);
	git_diff_free(diff);
	return 0;
}

struct printed {
	struct buf text;
	size_t max;
	bool cut;
};

static int
print(const git_diff_delta *delta, const git_diff_hunk *hunk,
    const git_diff_line *line, void *ctx)
{
	struct printed *p = ctx;
	bool marked = line->origin == GIT_DIFF_LINE_CONTEXT ||
	    line->origin == GIT_DIFF_LINE_ADDITION ||
	    line->origin == GIT_DIFF_LINE_DELETION;

	(void)delta;
	(void)hunk;
	if (p->text.len + line->content_len + 1 > p->max) {
		p->cut = true;
		return GIT_EUSER;
	}
	if (marked)
		buf_addc(&p->text, line->origin);
	buf_add(&p->text, line->content, line->content_len);
	return 0;
}

int
repo_diff(struct repo *r, struct str from, struct str to, struct str path,
    size_t max, struct arena *a, struct str *text, bool *cut, struct err *err)
{
	struct printed p = { .max = max };
	git_diff *diff = NULL;
	char *z = str_dupz(path);
	int rc = compare(r, from, to, z, &diff, err), git;

	free(z);
	if (rc != 0)
		return rc;
	git = git_diff_print(diff, GIT_DIFF_FORMAT_PATCH, print, &p);
	if (git == 0 || p.cut) {
		*text =
		    p.text.len > 0 ? arena_str(a, buf_str(&p.text)) : STR("");
		*cut = p.cut;
	} else {
		rc = repo_failed(err, git, "compare");
	}
	buf_free(&p.text);
	git_diff_free(diff);
	return rc;
}
