/*
 * plug/repo/repo_test.c - what is done here the program `git` sees, and the
 * other way round.
 */
#include "plug/repo/repo.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture {
	char dir[64];
	const struct repo_ops *ops;
	struct repo *repo;
	struct arena a;
	struct err err;
};

static const struct repo_person ours = { { "Ours", 4 }, { "o@x", 3 } };
static const struct repo_person ann = { { "Ann <Lee>\n", 10 },
	{ "ann@example.org", 15 } };

#define OK(call)                                                               \
	do {                                                                   \
		if ((call) != 0)                                               \
			fail_msg("%s: %s", #call, f->err.text);                \
	} while (0)

/* Runs git in the repository; gives what it prints. */
static struct str
git(struct fixture *f, const char *const *argv)
{
	struct buf out = { 0 };
	struct str ret;
	int pipes[2], status;
	char bytes[4096];
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	if (pid == 0) {
		(void)dup2(pipes[1], 1);
		close(pipes[0]);
		if (chdir(f->dir) == 0) {
			setenv("GIT_CONFIG_GLOBAL", "/dev/null", 1);
			setenv("GIT_CONFIG_SYSTEM", "/dev/null", 1);
			setenv("GIT_AUTHOR_NAME", "Git", 1);
			setenv("GIT_AUTHOR_EMAIL", "g@x", 1);
			setenv("GIT_COMMITTER_NAME", "Git", 1);
			setenv("GIT_COMMITTER_EMAIL", "g@x", 1);
			execvp("git", (char *const *)(uintptr_t)argv);
		}
		_exit(127);
	}
	close(pipes[1]);
	while ((n = read(pipes[0], bytes, sizeof(bytes))) > 0)
		buf_add(&out, bytes, (size_t)n);
	close(pipes[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		fail_msg("git %s: %d", argv[1], status);
	ret = str_trim(arena_str(&f->a, out.len > 0 ? buf_str(&out) : STR("")));
	buf_free(&out);
	return ret;
}
#define GIT(...) git(f, (const char *const[]){ "git", __VA_ARGS__, NULL })

static const char *
path(struct fixture *f, const char *name)
{
	return arena_z(&f->a, arena_printf(&f->a, "%s/%s", f->dir, name));
}

static void
put(struct fixture *f, const char *name, const char *text)
{
	char *slash, *p = (char *)(uintptr_t)path(f, name);

	for (slash = strchr(p + strlen(f->dir) + 1, '/'); slash != NULL;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(p, 0700);
		*slash = '/';
	}
	assert_int_equal(file_write(p, str_of(text), &f->err), 0);
}

static struct str
content(struct fixture *f, const char *name)
{
	struct buf b = { 0 };
	struct str ret = STR_NULL;

	if (file_read(path(f, name), &b, NULL) == 0)
		ret = b.len > 0 ? arena_str(&f->a, buf_str(&b)) : STR("");
	buf_free(&b);
	return ret;
}

static struct str
commit(struct fixture *f, const char *message)
{
	struct str id;

	OK(f->ops->commit(f->repo, &ann, str_of(message), &f->a, &id, &f->err));
	return id;
}

static int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	strcpy(f->dir, "/tmp/repo_test.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	OK(repo_load(&f->ops, &f->err));
	OK(f->ops->open(f->dir, &ours, &f->repo, &f->err));
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	f->ops->close(f->repo);
	if (fork() == 0) {
		execlp("rm", "rm", "-rf", f->dir, (char *)NULL);
		_exit(1);
	}
	(void)wait(NULL);
	arena_fini(&f->a);
	free(f);
	return 0;
}

static void
a_new_repository_has_the_branch_master_and_no_commit(void **state)
{
	struct fixture *f = *state;
	struct str text;
	bool dirty = true;

	OK(f->ops->head(f->repo, &f->a, &text, &f->err));
	assert_null(text.ptr);
	OK(f->ops->branch(f->repo, &f->a, &text, &f->err));
	assert_str(text, "master");
	assert_str(GIT("symbolic-ref", "HEAD"), "refs/heads/master");
	OK(f->ops->dirty(f->repo, &dirty, &f->err));
	assert_false(dirty);
	assert_int_equal(
	    f->ops->resolve(f->repo, STR("HEAD"), &f->a, &text, &f->err),
	    ERR_NOT_FOUND);
	/* opened again it is the same */
	f->ops->close(f->repo);
	f->repo = NULL;
	OK(f->ops->open(f->dir, &ours, &f->repo, &f->err));
}

static void
a_commit_is_what_git_sees(void **state)
{
	struct fixture *f = *state;
	struct str id, head;

	put(f, "state.json", "{}\n");
	put(f, "hosts/a/x.nix", "{ }\n");
	put(f, "hosts/a/.gitkeep", "");
	id = commit(f, "First\n\nbecause");
	OK(f->ops->head(f->repo, &f->a, &head, &f->err));
	assert_true(str_eq(id, head));
	assert_true(str_eq(GIT("rev-parse", "HEAD"), id));
	assert_str(GIT("log", "-1", "--format=%an|%ae|%cn|%ce|%s|%b"),
	    "Ann Lee|ann@example.org|Ours|o@x|First|because");
	assert_str(
	    GIT("ls-files"), "hosts/a/.gitkeep\nhosts/a/x.nix\nstate.json");
	assert_str(GIT("status", "--porcelain"), "");
	assert_str(GIT("fsck", "--strict"), "");
	/* nothing new is no commit */
	assert_int_equal(
	    f->ops->commit(f->repo, NULL, STR("again"), &f->a, &id, &f->err),
	    ERR_EXISTS);
	/* what is gone goes, and an identity of the repository's counts */
	(void)GIT("config", "user.name", "Own");
	(void)GIT("config", "user.email", "own@x");
	assert_int_equal(unlink(path(f, "hosts/a/x.nix")), 0);
	OK(f->ops->commit(f->repo, NULL, STR("Second"), &f->a, &id, &f->err));
	assert_str(GIT("log", "-1", "--format=%an|%ae|%cn"), "Own|own@x|Own");
	assert_str(GIT("ls-files"), "hosts/a/.gitkeep\nstate.json");
}

static void
what_is_not_committed_is_told_as_git_tells_it(void **state)
{
	struct fixture *f = *state;
	struct repo_changes ch;
	bool dirty;

	/* before the first commit everything is new */
	put(f, "a", "1\n");
	OK(f->ops->status(f->repo, 10, 1000, &f->a, &ch, &f->err));
	assert_int_equal(ch.n, 1);
	assert_int_equal(ch.at[0].status, 'A');

	put(f, "gone", "x\n");
	put(f, ".gitignore", "ignored\n");
	(void)commit(f, "First");
	OK(f->ops->dirty(f->repo, &dirty, &f->err));
	assert_false(dirty);
	put(f, "a", "2\n");
	put(f, "deep/er/new", "n\n");
	put(f, "ignored", "n\n");
	assert_int_equal(unlink(path(f, "gone")), 0);
	OK(f->ops->dirty(f->repo, &dirty, &f->err));
	assert_true(dirty);
	for (int staged = 0; staged < 2; staged++) {
		OK(f->ops->status(f->repo, 10, 1000, &f->a, &ch, &f->err));
		assert_int_equal(ch.n, 3);
		assert_false(ch.cut);
		assert_str(ch.at[0].path, "a");
		assert_int_equal(ch.at[0].status, 'M');
		assert_true(str_ends(ch.at[0].diff, STR("@@\n-1\n+2\n")));
		assert_str(ch.at[1].path, "deep/er/new");
		assert_int_equal(ch.at[1].status, 'A');
		assert_str(ch.at[2].path, "gone");
		assert_int_equal(ch.at[2].status, 'D');
		OK(f->ops->add(f->repo, &f->err));
	}
	assert_str(
	    GIT("status", "--porcelain"), "M  a\nA  deep/er/new\nD  gone");
	/* limits */
	OK(f->ops->status(f->repo, 2, 1, &f->a, &ch, &f->err));
	assert_int_equal(ch.n, 2);
	assert_true(ch.cut);
	assert_null(ch.at[0].diff.ptr);
}

static void
a_diff_is_that_of_git(void **state)
{
	struct fixture *f = *state;
	struct repo_changes ch;
	struct str one, two, text, want;
	bool cut;

	put(f, "a", "1\n2\n3\n");
	put(f, "b", "b\n");
	one = commit(f, "One");
	put(f, "a", "1\ntwo\n3\n");
	put(f, "b", "bee");
	put(f, "c", "c\n");
	two = commit(f, "Two");
	OK(f->ops->diff(
	    f->repo, one, two, STR_NULL, 10000, &f->a, &text, &cut, &f->err));
	assert_false(cut);
	want = arena_printf(
	    &f->a, STR_FMT "\n", STR_ARG(GIT("diff", "HEAD~1", "HEAD")));
	assert_true(str_eq(text, want));
	OK(f->ops->diff(
	    f->repo, one, two, STR("c"), 10000, &f->a, &text, &cut, &f->err));
	assert_true(str_ends(text, STR("@@ -0,0 +1 @@\n+c\n")));
	assert_null(strstr(text.ptr, "bee"));
	/* from nothing; to the working tree; cut at a line */
	OK(f->ops->diff(f->repo, STR_NULL, one, STR("b"), 10000, &f->a, &text,
	    &cut, &f->err));
	assert_true(str_ends(text, STR("@@ -0,0 +1 @@\n+b\n")));
	put(f, "b", "working\n");
	OK(f->ops->diff(f->repo, two, STR_NULL, STR("b"), 10000, &f->a, &text,
	    &cut, &f->err));
	assert_true(str_ends(text, STR("+working\n")));
	OK(f->ops->diff(
	    f->repo, one, two, STR_NULL, 120, &f->a, &text, &cut, &f->err));
	assert_true(cut);
	assert_true(
	    text.len > 0 && text.len <= 120 && str_ends(text, STR("\n")));
	OK(f->ops->changed(f->repo, one, two, 10, &f->a, &ch, &f->err));
	assert_int_equal(ch.n, 3);
	assert_int_equal(ch.at[2].status, 'A');
	assert_int_equal(f->ops->diff(f->repo, STR("nowhere"), two, STR_NULL,
			     60, &f->a, &text, &cut, &f->err),
	    ERR_NOT_FOUND);
	assert_string_equal(f->err.text, "there is no commit \"nowhere\"");
}

static void
the_history_is_read_in_pages(void **state)
{
	struct fixture *f = *state;
	struct repo_log log;
	struct repo_commit c;
	struct str text;

	for (int i = 0; i < 5; i++) {
		put(f, "n", arena_printf(&f->a, "%d", i).ptr);
		(void)commit(f,
		    arena_z(&f->a, arena_printf(&f->a, "No. %d\n\nmore", i)));
	}
	OK(f->ops->log(f->repo, STR("HEAD"), 1, 2, &f->a, &log, &f->err));
	assert_int_equal(log.n, 2);
	assert_str(log.at[0].message, "No. 3\n\nmore");
	assert_str(log.at[1].message, "No. 2\n\nmore");
	assert_str(log.at[0].author.name, "Ann Lee");
	assert_true(str_eq(log.at[0].parents.at[0], log.at[1].id));
	assert_true(
	    str_eq(log.at[0].short_id, GIT("rev-parse", "--short", "HEAD~1")));
	assert_true(
	    log.at[0].at > clock_now() - 600000 && log.at[0].at <= clock_now());
	OK(f->ops->log(f->repo, STR("HEAD"), 4, 10, &f->a, &log, &f->err));
	assert_int_equal(log.n, 1);
	assert_int_equal(log.at[0].parents.n, 0);
	OK(f->ops->log(f->repo, STR("HEAD"), 5, 10, &f->a, &log, &f->err));
	assert_int_equal(log.n, 0);

	OK(f->ops->get(f->repo, STR("HEAD~2"), &f->a, &c, &f->err));
	assert_str(c.message, "No. 2\n\nmore");
	OK(f->ops->file(f->repo, c.id, "n", &f->a, &text, &f->err));
	assert_str(text, "2");
	assert_int_equal(
	    f->ops->file(f->repo, c.id, "m", &f->a, &text, &f->err),
	    ERR_NOT_FOUND);
	OK(f->ops->resolve(f->repo, c.short_id, &f->a, &text, &f->err));
	assert_true(str_eq(text, c.id));
}

static void
files_come_back_and_those_that_were_not_there_go(void **state)
{
	static const char *const hosts[] = { "hosts", NULL };
	struct fixture *f = *state;
	struct str one;

	put(f, "hosts/a", "1\n");
	put(f, "state.json", "1\n");
	one = commit(f, "One");
	put(f, "hosts/a", "2\n");
	put(f, "hosts/b/c", "2\n");
	put(f, "state.json", "2\n");
	(void)commit(f, "Two");
	put(f, "hosts/untracked", "3\n");
	OK(f->ops->restore(f->repo, one, hosts, &f->err));
	assert_str(content(f, "hosts/a"), "1\n");
	assert_null(content(f, "hosts/b/c").ptr);
	assert_null(content(f, "hosts/untracked").ptr);
	assert_str(content(f, "state.json"), "2\n");
}

static void
it_goes_forward_and_never_sideways(void **state)
{
	struct fixture *f = *state;
	struct str one, two, side;
	int64_t more, less;

	put(f, "a", "1\n");
	one = commit(f, "One");
	put(f, "a", "2\n");
	two = commit(f, "Two");
	(void)GIT("reset", "-q", "--hard", "HEAD~1");
	put(f, "a", "3\n");
	assert_int_equal(
	    f->ops->forward(f->repo, two, false, &f->err), ERR_EXISTS);
	assert_str(content(f, "a"), "3\n");
	put(f, "a", "1\n");
	OK(f->ops->forward(f->repo, two, false, &f->err));
	assert_str(content(f, "a"), "2\n");
	assert_true(str_eq(GIT("rev-parse", "master"), two));
	assert_str(GIT("status", "--porcelain"), "");
	OK(f->ops->forward(f->repo, two, false, &f->err));

	(void)GIT("checkout", "-q", "-b", "side", "HEAD~1");
	put(f, "a", "side\n");
	side = commit(f, "Side");
	(void)GIT("checkout", "-q", "master");
	assert_int_equal(
	    f->ops->forward(f->repo, side, false, &f->err), ERR_PARAM);
	assert_int_equal(
	    f->ops->forward(f->repo, one, false, &f->err), ERR_PARAM);
	assert_true(str_eq(GIT("rev-parse", "master"), two));
	assert_str(content(f, "a"), "2\n");
	OK(f->ops->apart(f->repo, side, two, &more, &less, &f->err));
	assert_int_equal(more, 1);
	assert_int_equal(less, 1);
	OK(f->ops->apart(f->repo, one, two, &more, &less, &f->err));
	assert_int_equal(more, 0);
	assert_int_equal(less, 1);
	/* unless it is told to */
	OK(f->ops->forward(f->repo, side, true, &f->err));
	assert_str(content(f, "a"), "side\n");
	assert_true(str_eq(GIT("rev-parse", "master"), side));
}

static void
a_link_in_a_commit_becomes_a_file(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	struct str one, two;

	put(f, "a", "1\n");
	one = commit(f, "One");
	assert_int_equal(symlink("/etc/passwd", path(f, "link")), 0);
	(void)GIT("-c", "core.symlinks=true", "add", "link");
	(void)GIT("-c", "core.symlinks=true", "commit", "-qm", "Link");
	two = GIT("rev-parse", "HEAD");
	assert_str(
	    GIT("ls-tree", "--format=%(objectmode)", "HEAD", "link"), "120000");
	(void)GIT("reset", "-q", "--hard", one.ptr);
	OK(f->ops->forward(f->repo, two, false, &f->err));
	assert_int_equal(lstat(path(f, "link"), &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_str(content(f, "link"), "/etc/passwd");
}

static void
a_lock_of_another_program_is_told(void **state)
{
	struct fixture *f = *state;
	struct str id;

	put(f, "a", "1\n");
	put(f, ".git/index.lock", "");
	assert_int_equal(
	    f->ops->commit(f->repo, NULL, STR("x"), &f->a, &id, &f->err),
	    ERR_AGAIN);
	assert_int_equal(unlink(path(f, ".git/index.lock")), 0);
	(void)commit(f, "x");
}

static void
a_folder_that_is_no_repository_of_ours_is_refused(void **state)
{
	struct fixture *f = *state;
	struct repo *r;

	(void)GIT("init", "-q", "--bare", "bare");
	assert_int_equal(
	    f->ops->open(path(f, "bare"), &ours, &r, &f->err), ERR_PARAM);
	assert_non_null(strstr(f->err.text, "without a working tree"));
	put(f, "file", "x");
	assert_true(f->ops->open(path(f, "file"), &ours, &r, &f->err) < 0);
	/* one that lies in another is its own */
	assert_int_equal(mkdir(path(f, "inner"), 0700), 0);
	OK(f->ops->open(path(f, "inner"), &ours, &r, &f->err));
	f->ops->close(r);
	assert_int_equal(access(path(f, "inner/.git/HEAD"), R_OK), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_new_repository_has_the_branch_master_and_no_commit),
		T(a_commit_is_what_git_sees),
		T(what_is_not_committed_is_told_as_git_tells_it),
		T(a_diff_is_that_of_git),
		T(the_history_is_read_in_pages),
		T(files_come_back_and_those_that_were_not_there_go),
		T(it_goes_forward_and_never_sideways),
		T(a_link_in_a_commit_becomes_a_file),
		T(a_lock_of_another_program_is_told),
		T(a_folder_that_is_no_repository_of_ours_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
