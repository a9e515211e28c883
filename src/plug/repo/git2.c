/*
 * plug/repo/git2.c - see repo.h: by libgit2. Opening, HEAD, commits, files; how
 * two of them differ is in git2_diff.c.
 */
#include "plug/repo/private.h"

#include "base/base.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOCK_TRIES 20
#define LOCK_WAIT_US 50000

int
repo_failed(struct err *err, int rc, const char *doing)
{
	const git_error *e = git_error_last();
	int code = ERR_IO;

	if (rc == GIT_ENOTFOUND)
		code = ERR_NOT_FOUND;
	else if (rc == GIT_ELOCKED)
		code = ERR_AGAIN;
	else if (rc == GIT_EAMBIGUOUS || rc == GIT_EINVALIDSPEC)
		code = ERR_PARAM;
	return err_set(err, code, "%s: %s", doing,
	    e != NULL && e->message != NULL ? e->message : "failed");
}

/* --- opening -------------------------------------------------------------- */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int begun; /* what libgit2 said */

/* What Git finds on the machine is not ours. It stays for the program's life.
 */
static void
begin(void)
{
	static const int levels[] = { GIT_CONFIG_LEVEL_SYSTEM,
		GIT_CONFIG_LEVEL_XDG, GIT_CONFIG_LEVEL_GLOBAL,
		GIT_CONFIG_LEVEL_PROGRAMDATA };

	begun = git_libgit2_init();
	for (size_t i = 0; begun > 0 && i < COUNT_OF(levels); i++)
		(void)git_libgit2_opts(
		    GIT_OPT_SET_SEARCH_PATH, levels[i], "/nonexistent");
	/* A repository that root has copied here is served as well. */
	(void)git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0);
	(void)git_libgit2_opts(GIT_OPT_ENABLE_FSYNC_GITDIR, 1);
}

static int
make(const char *dir, git_repository **ret, struct err *err)
{
	git_repository_init_options o = GIT_REPOSITORY_INIT_OPTIONS_INIT;
	int rc;

	o.flags = GIT_REPOSITORY_INIT_MKDIR | GIT_REPOSITORY_INIT_NO_REINIT;
	o.initial_head = "master";
	rc = git_repository_init_ext(ret, dir, &o);
	return rc == 0 ? 0 : repo_failed(err, rc, "make the repository");
}

static int
set_up(struct repo *r, struct err *err)
{
	git_config *config = NULL;
	int rc = git_repository_config(&config, r->git);

	if (rc == 0)
		rc = git_config_set_bool(config, "core.symlinks", 0);
	git_config_free(config);
	return rc == 0 ? 0 : repo_failed(err, rc, "set up the repository");
}

static void
repo_close(struct repo *r)
{
	if (r == NULL)
		return;
	git_repository_free(r->git);
	str_free(r->ours.name);
	str_free(r->ours.email);
	free(r);
}

static int
repo_open(const char *dir, const struct repo_person *ours, struct repo **ret,
    struct err *err)
{
	struct repo *r;
	int rc = 0, found;

	(void)pthread_once(&once, begin);
	if (begun < 0)
		return repo_failed(err, begun, "begin");
	r = mem_new(struct repo);
	r->ours.name = str_copy(ours->name);
	r->ours.email = str_copy(ours->email);
	found = git_repository_open_ext(
	    &r->git, dir, GIT_REPOSITORY_OPEN_NO_SEARCH, NULL);
	if (found == GIT_ENOTFOUND)
		rc = make(dir, &r->git, err);
	else if (found != 0)
		rc = repo_failed(err, found, "open the repository");
	if (rc == 0 && git_repository_is_bare(r->git))
		rc = err_set(err, ERR_PARAM,
		    "%s is a repository without a working tree", dir);
	if (rc == 0)
		rc = set_up(r, err);
	if (rc != 0) {
		repo_close(r);
		return rc;
	}
	*ret = r;
	return 0;
}

/* --- commits -------------------------------------------------------------- */

struct str
repo_oid_text(struct arena *a, const git_oid *id)
{
	char hex[GIT_OID_HEXSZ + 1];

	git_oid_tostr(hex, sizeof(hex), id);
	return arena_str(a, str_of(hex));
}

static int
head_id(struct repo *r, git_oid *id, bool *is, struct err *err)
{
	int rc = git_reference_name_to_id(id, r->git, "HEAD");

	*is = rc == 0;
	if (rc == 0 || rc == GIT_ENOTFOUND || rc == GIT_EUNBORNBRANCH)
		return 0;
	return repo_failed(err, rc, "read HEAD");
}

static int
repo_head(struct repo *r, struct arena *a, struct str *commit, struct err *err)
{
	git_oid id;
	bool is;
	int rc = head_id(r, &id, &is, err);

	if (rc == 0)
		*commit = is ? repo_oid_text(a, &id) : STR_NULL;
	return rc;
}

static int
repo_branch(struct repo *r, struct arena *a, struct str *name, struct err *err)
{
	static const struct str front = { "refs/heads/", 11 };
	git_reference *head = NULL;
	struct str target = STR_NULL;
	int rc = git_reference_lookup(&head, r->git, "HEAD");

	if (rc == 0 && git_reference_type(head) == GIT_REFERENCE_SYMBOLIC)
		target = str_of(git_reference_symbolic_target(head));
	if (rc != 0) {
		rc = repo_failed(err, rc, "read HEAD");
	} else if (!str_starts(target, front)) {
		rc = err_set(err, ERR_PARAM,
		    "HEAD is a commit, not a branch; check out a branch");
	} else {
		target.ptr += front.len;
		target.len -= front.len;
		*name = arena_str(a, target);
	}
	git_reference_free(head);
	return rc;
}

int
repo_commit_of(
    struct repo *r, struct str what, git_commit **ret, struct err *err)
{
	git_object *found = NULL, *commit = NULL;
	char *z = str_dupz(what);
	int rc = git_revparse_single(&found, r->git, z != NULL ? z : "");

	if (rc == 0)
		rc = git_object_peel(&commit, found, GIT_OBJECT_COMMIT);
	if (rc == 0)
		*ret = (git_commit *)commit;
	else if (rc == GIT_EAMBIGUOUS)
		rc = err_set(err, ERR_PARAM,
		    "\"%.40s\" is the beginning of several commits",
		    z != NULL ? z : "");
	else
		rc = err_set(err, ERR_NOT_FOUND, "there is no commit \"%.40s\"",
		    z != NULL ? z : "");
	git_object_free(found);
	free(z);
	return rc;
}

static int
repo_resolve(struct repo *r, struct str what, struct arena *a,
    struct str *commit, struct err *err)
{
	git_commit *c = NULL;
	int rc = repo_commit_of(r, what, &c, err);

	if (rc != 0)
		return rc;
	*commit = repo_oid_text(a, git_commit_id(c));
	git_commit_free(c);
	return 0;
}

static int
take_all(struct repo *r, git_index **ret)
{
	static char all[] = "*";
	char *paths[] = { all };
	git_strarray list = { paths, 1 };
	git_index *index = NULL;
	int rc = git_repository_index(&index, r->git);

	if (rc == 0)
		rc = git_index_read(index, 0);
	if (rc == 0)
		rc = git_index_add_all(
		    index, &list, GIT_INDEX_ADD_DEFAULT, NULL, NULL);
	if (rc == 0)
		rc = git_index_write(index);
	if (rc == 0)
		*ret = index;
	else
		git_index_free(index);
	return rc;
}

/* Somebody who looks with `git status` holds the lock for a moment. */
static int
whole_index(struct repo *r, git_index **ret, struct err *err)
{
	int rc = take_all(r, ret);

	for (int i = 0; rc == GIT_ELOCKED && i < LOCK_TRIES; i++) {
		(void)usleep(LOCK_WAIT_US);
		rc = take_all(r, ret);
	}
	return rc == 0 ? 0 : repo_failed(err, rc, "take up the files");
}

static int
repo_add(struct repo *r, struct err *err)
{
	git_index *index = NULL;
	int rc = whole_index(r, &index, err);

	if (rc == 0)
		git_index_free(index);
	return rc;
}

/* Names in commits have no angle brackets and no new lines. */
static int
signature(git_signature **ret, const struct repo_person *p, struct err *err)
{
	struct buf name = { 0 }, email = { 0 };
	int rc;

	for (size_t i = 0; i < p->name.len; i++)
		if ((unsigned char)p->name.ptr[i] >= ' ' &&
		    p->name.ptr[i] != '<' && p->name.ptr[i] != '>')
			buf_addc(&name, p->name.ptr[i]);
	for (size_t i = 0; i < p->email.len; i++)
		if ((unsigned char)p->email.ptr[i] > ' ' &&
		    p->email.ptr[i] != '<' && p->email.ptr[i] != '>')
			buf_addc(&email, p->email.ptr[i]);
	rc = git_signature_now(ret,
	    str_trim(buf_str(&name)).len > 0 ? buf_z(&name) : "unknown",
	    email.len > 0 ? buf_z(&email) : "unknown@localhost");
	buf_free(&name);
	buf_free(&email);
	return rc == 0 ? 0 : repo_failed(err, rc, "sign the commit");
}

static int
committer(struct repo *r, git_signature **ret, struct err *err)
{
	return git_signature_default(ret, r->git) == 0
	    ? 0
	    : signature(ret, &r->ours, err);
}

static int
write_commit(struct repo *r, git_tree *tree, git_commit *parent,
    const struct repo_person *author, struct str message, git_oid *id,
    struct err *err)
{
	const git_commit *parents[] = { parent };
	git_signature *by = NULL, *ours = NULL;
	char *text = str_dupz(message);
	int rc = committer(r, &ours, err);

	if (rc == 0 && author != NULL)
		rc = signature(&by, author, err);
	if (rc == 0) {
		rc = git_commit_create(id, r->git, "HEAD",
		    by != NULL ? by : ours, ours, NULL, text, tree,
		    parent != NULL ? 1 : 0, parents);
		if (rc != 0)
			rc = repo_failed(err, rc, "commit");
	}
	git_signature_free(by);
	git_signature_free(ours);
	free(text);
	return rc;
}

static int
repo_commit(struct repo *r, const struct repo_person *author,
    struct str message, struct arena *a, struct str *commit, struct err *err)
{
	git_index *index = NULL;
	git_tree *tree = NULL;
	git_commit *parent = NULL;
	git_oid id, tree_id;
	bool is = false;
	int rc = whole_index(r, &index, err), git;

	if (rc == 0)
		rc = head_id(r, &id, &is, err);
	if (rc != 0)
		goto done;
	git = git_index_write_tree(&tree_id, index);
	if (git == 0)
		git = git_tree_lookup(&tree, r->git, &tree_id);
	if (git == 0 && is)
		git = git_commit_lookup(&parent, r->git, &id);
	if (git != 0) {
		rc = repo_failed(err, git, "commit");
		goto done;
	}
	if (is && git_oid_equal(git_commit_tree_id(parent), &tree_id)) {
		rc = err_set(err, ERR_EXISTS,
		    "nothing has changed since the last commit");
		goto done;
	}
	rc = write_commit(r, tree, parent, author, message, &id, err);
	if (rc == 0)
		*commit = repo_oid_text(a, &id);
done:
	git_commit_free(parent);
	git_tree_free(tree);
	git_index_free(index);
	return rc;
}

static struct str
short_of(struct arena *a, const git_commit *c)
{
	git_buf buf = GIT_BUF_INIT;
	struct str ret = STR_NULL;

	if (git_object_short_id(&buf, (const git_object *)c) == 0)
		ret = arena_str(a, (struct str){ buf.ptr, buf.size });
	git_buf_dispose(&buf);
	return ret;
}

static void
tell(git_commit *c, struct arena *a, struct repo_commit *ret)
{
	const git_signature *by = git_commit_author(c);
	struct str message = str_of(git_commit_message(c));

	while (message.len > 0 && message.ptr[message.len - 1] == '\n')
		message.len--;
	*ret = (struct repo_commit){
		.id = repo_oid_text(a, git_commit_id(c)),
		.short_id = short_of(a, c),
		.message = arena_str(a, message),
		.author = { arena_str(a, str_of(by->name)),
		    arena_str(a, str_of(by->email)) },
		.at = by->when.time * 1000,
	};
	ret->parents.n = git_commit_parentcount(c);
	ret->parents.at = arena_array(a, ret->parents.n, struct str);
	for (size_t i = 0; i < ret->parents.n; i++)
		ret->parents.at[i] =
		    repo_oid_text(a, git_commit_parent_id(c, (unsigned)i));
}

static int
repo_get(struct repo *r, struct str commit, struct arena *a,
    struct repo_commit *ret, struct err *err)
{
	git_commit *c = NULL;
	int rc = repo_commit_of(r, commit, &c, err);

	if (rc != 0)
		return rc;
	tell(c, a, ret);
	git_commit_free(c);
	return 0;
}

static int
repo_log(struct repo *r, struct str from, int64_t offset, int64_t limit,
    struct arena *a, struct repo_log *ret, struct err *err)
{
	struct repo_log log = { 0 };
	git_revwalk *walk = NULL;
	git_commit *c = NULL;
	git_oid id;
	int rc = repo_commit_of(r, from, &c, err), git;

	if (rc != 0)
		return rc;
	git = git_revwalk_new(&walk, r->git);
	if (git == 0)
		git = git_revwalk_sorting(
		    walk, GIT_SORT_TOPOLOGICAL | GIT_SORT_TIME);
	if (git == 0)
		git = git_revwalk_push(walk, git_commit_id(c));
	git_commit_free(c);
	log.at = arena_array(a, (size_t)limit, struct repo_commit);
	for (int64_t i = 0; git == 0 && (int64_t)log.n < limit; i++) {
		git = git_revwalk_next(&id, walk);
		if (git != 0 || i < offset)
			continue;
		git = git_commit_lookup(&c, r->git, &id);
		if (git == 0) {
			tell(c, a, &log.at[log.n++]);
			git_commit_free(c);
		}
	}
	git_revwalk_free(walk);
	if (git != 0 && git != GIT_ITEROVER)
		return repo_failed(err, git, "read the history");
	*ret = log;
	return 0;
}

static int
repo_file(struct repo *r, struct str commit, const char *path, struct arena *a,
    struct str *ret, struct err *err)
{
	git_tree_entry *entry = NULL;
	git_commit *c = NULL;
	git_tree *tree = NULL;
	git_blob *blob = NULL;
	int rc = repo_commit_of(r, commit, &c, err), git;

	if (rc != 0)
		return rc;
	git = git_commit_tree(&tree, c);
	if (git == 0)
		git = git_tree_entry_bypath(&entry, tree, path);
	if (git == 0 && git_tree_entry_type(entry) != GIT_OBJECT_BLOB)
		git = GIT_ENOTFOUND;
	if (git == 0)
		git = git_blob_lookup(&blob, r->git, git_tree_entry_id(entry));
	if (git == 0)
		*ret = arena_str(a,
		    (struct str){ git_blob_rawcontent(blob) != NULL
			    ? git_blob_rawcontent(blob)
			    : "",
			(size_t)git_blob_rawsize(blob) });
	else if (git == GIT_ENOTFOUND)
		rc = err_set(err, ERR_NOT_FOUND,
		    "the commit %.10s has no file %s",
		    repo_oid_text(a, git_commit_id(c)).ptr, path);
	else
		rc = repo_failed(err, git, "read a file of a commit");
	git_blob_free(blob);
	git_tree_entry_free(entry);
	git_tree_free(tree);
	git_commit_free(c);
	return rc;
}

/* --- the working tree ----------------------------------------------------- */

static int
repo_restore(struct repo *r, struct str commit, const char *const *paths,
    struct err *err)
{
	git_checkout_options o = GIT_CHECKOUT_OPTIONS_INIT;
	git_commit *c = NULL;
	size_t n = 0;
	int rc = repo_commit_of(r, commit, &c, err), git;

	if (rc != 0)
		return rc;
	while (paths[n] != NULL)
		n++;
	o.checkout_strategy = GIT_CHECKOUT_FORCE |
	    GIT_CHECKOUT_REMOVE_UNTRACKED | GIT_CHECKOUT_DISABLE_PATHSPEC_MATCH;
	o.paths.strings = (char **)(uintptr_t)paths;
	o.paths.count = n;
	git = git_checkout_tree(r->git, (git_object *)c, &o);
	git_commit_free(c);
	return git == 0 ? 0 : repo_failed(err, git, "restore files");
}

static int
repo_forward(struct repo *r, struct str commit, bool anyway, struct err *err)
{
	git_checkout_options o = GIT_CHECKOUT_OPTIONS_INIT;
	git_reference *head = NULL, *moved = NULL;
	git_commit *c = NULL;
	git_oid now;
	bool is, dirty;
	int rc = repo_commit_of(r, commit, &c, err), git = 0;

	if (rc == 0)
		rc = head_id(r, &now, &is, err);
	if (rc == 0)
		rc = repo_dirty(r, &dirty, err);
	if (rc == 0 && dirty)
		rc = err_set(err, ERR_EXISTS,
		    "there are changes that are not committed");
	if (rc == 0 && is && !anyway &&
	    !git_oid_equal(&now, git_commit_id(c)) &&
	    git_graph_descendant_of(r->git, git_commit_id(c), &now) != 1)
		rc = err_set(err, ERR_PARAM,
		    "the other side does not follow from what is here");
	if (rc != 0)
		goto done;
	o.checkout_strategy = GIT_CHECKOUT_FORCE;
	git = git_checkout_tree(r->git, (git_object *)c, &o);
	if (git == 0)
		git = git_reference_lookup(&head, r->git, "HEAD");
	if (git == 0 && git_reference_type(head) == GIT_REFERENCE_SYMBOLIC)
		git = git_reference_create(&moved, r->git,
		    git_reference_symbolic_target(head), git_commit_id(c), 1,
		    "fast forward");
	else if (git == 0)
		git =
		    git_repository_set_head_detached(r->git, git_commit_id(c));
	if (git != 0)
		rc = repo_failed(err, git, "go forward");
done:
	git_reference_free(head);
	git_reference_free(moved);
	git_commit_free(c);
	return rc;
}

static int
repo_apart(struct repo *r, struct str a, struct str b, int64_t *a_more,
    int64_t *b_more, struct err *err)
{
	git_commit *x = NULL, *y = NULL;
	size_t ahead = 0, behind = 0;
	int rc = repo_commit_of(r, a, &x, err), git;

	if (rc == 0)
		rc = repo_commit_of(r, b, &y, err);
	if (rc == 0) {
		git = git_graph_ahead_behind(&ahead, &behind, r->git,
		    git_commit_id(x), git_commit_id(y));
		if (git != 0)
			rc = repo_failed(err, git, "compare the histories");
	}
	*a_more = (int64_t)ahead;
	*b_more = (int64_t)behind;
	git_commit_free(x);
	git_commit_free(y);
	return rc;
}

__attribute__((visibility("default"))) const struct repo_ops repo_git2 = {
	.abi = REPO_ABI,
	.open = repo_open,
	.close = repo_close,
	.head = repo_head,
	.branch = repo_branch,
	.resolve = repo_resolve,
	.add = repo_add,
	.commit = repo_commit,
	.dirty = repo_dirty,
	.status = repo_status,
	.diff = repo_diff,
	.changed = repo_changed,
	.log = repo_log,
	.get = repo_get,
	.file = repo_file,
	.restore = repo_restore,
	.forward = repo_forward,
	.apart = repo_apart,
};
