/*
 * plug/target/linux.c - any Linux that is not NixOS.
 *
 * What a commit declares is in hosts/{configuration}/linux.json, beside
 * artifacts/; what build() names is the checksum of both. The device does the
 * rest: apply.sh, a POSIX shell script in this program, says what would change,
 * does it, and takes itself back. It is given to `sh -c` to ask, so that asking
 * leaves nothing behind, and is installed by copy().
 */
#include "apply_sh.h"
#include "base/base.h"
#include "base/file.h"
#include "base/mem.h"
#include "plug/target/linux.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROGRAM "/var/lib/marram-fleet/apply.sh"
#define GIT_MS 60000

/* --- generated files ------------------------------------------------------ */

static int
generate(const struct fleet_state *s, const struct fleet_catalog *modules,
    const struct target_site *site, target_emit *emit,
    void (*fault)(void *ctx, struct str where, struct str what), void *ctx,
    struct err *err)
{
	int rc = 0;

	(void)site;
	for (size_t i = 0; i < s->n_configs && rc == 0; i++) {
		const struct fleet_config *c = &s->configs[i];
		struct arena a = { 0 };
		struct buf out = { 0 };
		struct fleet_resources r;
		struct str path;
		struct err why = { 0 };

		if (target_of(c) != &target_linux)
			continue;
		path = arena_printf(
		    &a, "hosts/" STR_FMT "/linux.json", STR_ARG(c->identifier));
		if (fleet_yield(s, modules, c->identifier, &a, &r, &why) != 0 ||
		    fleet_resources_check(&r, &why) != 0) {
			fault(ctx, path, str_of(why.text));
		} else {
			fleet_resources_write(&r, &out);
			rc = emit(ctx, path, buf_str(&out), err);
		}
		buf_free(&out);
		arena_fini(&a);
	}
	return rc;
}

/* --- what a commit has ---------------------------------------------------- */

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

/* Files of the commit, unpacked below `dir`. */
struct tree {
	struct target_job *job;
	char dir[40];
};

static int
ask_here(struct target_job *j, const char *const *argv, struct err *err)
{
	struct target_result r = { 0 };
	int rc =
	    j->host->ask(j->host->ctx, argv, NULL, STR_NULL, GIT_MS, &r, err);

	if (rc != 0)
		return rc;
	if (r.status != 0)
		return err_set(err, ERR_IO, "%s: " STR_FMT, argv[0],
		    STR_ARG(str_trim(r.err)));
	return 0;
}

/* Git writes into a file: its output is for people, and has a limit. */
static int
unpack(struct tree *t, struct str path, struct err *err)
{
	struct target_job *j = t->job;
	const char *repository = arena_z(j->arena, j->repository);
	const char *tar = arena_printf(j->arena, "%s/tar", t->dir).ptr;
	const char *const git[] = { "git", "-C", repository, "archive", "-o",
		tar, "--format=tar", arena_z(j->arena, j->commit), "--",
		arena_printf(j->arena, ":(literal)" STR_FMT, STR_ARG(path)).ptr,
		NULL };
	const char *const untar[] = { "tar", "-xf", tar, "-C", t->dir, NULL };
	int rc = ask_here(j, git, err);

	return rc != 0 ? rc : ask_here(j, untar, err);
}

static int
file_of(struct tree *t, struct str path, struct str *ret, struct err *err)
{
	struct buf b = { 0 };
	int rc = unpack(t, path, err);

	if (rc == 0)
		rc = file_read(arena_printf(t->job->arena, "%s/" STR_FMT,
				   t->dir, STR_ARG(path))
				   .ptr,
		    &b, err);
	if (rc == 0)
		*ret = b.len == 0 ? STR("")
				  : arena_str(t->job->arena, buf_str(&b));
	buf_free(&b);
	return rc;
}

static int
artifact_of(void *ctx, struct str name, struct str *ret, struct err *err)
{
	struct tree *t = ctx;
	int rc = file_of(t,
	    arena_printf(t->job->arena, "artifacts/" STR_FMT, STR_ARG(name)),
	    ret, err);

	return rc == 0 ? 0 : err_wrap(err, "artifact " STR_FMT, STR_ARG(name));
}

/* `built` null: whatever it is. */
static int
spec_of(struct target_job *j, struct str built, struct linux_spec *ret,
    struct err *err)
{
	struct tree t = { .job = j, .dir = "/tmp/marram-target.XXXXXX" };
	struct str json;
	int rc;

	if (mkdtemp(t.dir) == NULL)
		return err_errno(err, "make %s", t.dir);
	rc = file_of(&t,
	    arena_printf(
		j->arena, "hosts/" STR_FMT "/linux.json", STR_ARG(j->config)),
	    &json, err);
	if (rc == 0)
		rc = linux_spec(json, j->arena, artifact_of, &t, ret, err);
	if (rc == 0 && built.ptr != NULL && !str_eq(built, ret->built))
		rc = err_set(err, ERR_PARAM,
		    "commit " STR_FMT " does not have what was built of it",
		    STR_ARG(j->commit));
	(void)nftw(t.dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	return rc;
}

static int
build(struct target_job *j, struct str *built, struct err *err)
{
	struct linux_spec s;
	int rc = spec_of(j, STR_NULL, &s, err);

	if (rc == 0)
		*built = s.built;
	return rc;
}

/* --- the device ----------------------------------------------------------- */

static int
secret_of(void *ctx, struct str id, struct str *sealed, struct err *err)
{
	struct target_job *j = ctx;

	return j->host->secret(j->host->ctx, id, sealed, err);
}

/* What the program said last, when it failed. */
static int
failed(const struct target_result *r, struct err *err)
{
	/* The exits of apply.sh; ssh itself has 255. */
	static const struct {
		int status, code;
	} exits[] = { { 1, ERR_IO }, { 2, ERR_PARAM }, { 3, ERR_INTERNAL },
		{ 4, ERR_AGAIN }, { 255, ERR_AGAIN } };
	struct str text = str_trim(r->err);

	if (text.len == 0)
		text = STR("the device said nothing");
	for (size_t i = 0; i < COUNT_OF(exits); i++)
		if (r->status == exits[i].status)
			return err_set(
			    err, exits[i].code, STR_FMT, STR_ARG(text));
	return err_set(err, ERR_IO, "apply.sh ended with %d: " STR_FMT,
	    r->status, STR_ARG(text));
}

/* `how` is given to sh: "-c" and the program, or its path. */
static int
device(struct target_job *j, const char *const *argv, struct str input,
    int64_t timeout_ms, struct target_result *r, struct err *err)
{
	int rc = j->host->ssh(j->host->ctx, argv, input, timeout_ms, r, err);

	if (rc == 0 && r->status != 0)
		rc = failed(r, err);
	return rc;
}

static int
with_bundle(struct target_job *j, const struct linux_spec *s,
    const char *command, int64_t timeout_ms, struct target_result *r,
    struct err *err)
{
	const char *const argv[] = { "sh", "-c", embed_apply_sh, "apply.sh",
		command, arena_z(j->arena, s->built), NULL };
	struct buf tar = { 0 };
	int rc = linux_bundle(
	    s, strcmp(command, "copy") == 0, j->arena, secret_of, j, &tar, err);

	if (rc == 0)
		rc = device(j, argv, buf_str(&tar), timeout_ms, r, err);
	buf_free(&tar);
	return rc;
}

static int
plan(struct target_job *j, struct str built, struct target_plan *ret,
    struct err *err)
{
	struct linux_spec s;
	struct target_result r = { 0 };
	int rc = spec_of(j, built, &s, err);

	if (rc == 0)
		rc = with_bundle(j, &s, "ask", target_ms(j->apply_ms), &r, err);
	if (rc == 0)
		rc = linux_answer(
		    &s, r.out, j->arena, j->host->tell, j->host->ctx, ret, err);
	return rc;
}

static int
copy(struct target_job *j, struct str built, struct err *err)
{
	struct linux_spec s;
	struct target_result r = { 0 };
	int rc = spec_of(j, built, &s, err);

	return rc != 0
	    ? rc
	    : with_bundle(j, &s, "copy", target_ms(j->copy_ms), &r, err);
}

/* The installed program. What it says is told while it runs. */
static int
installed(struct target_job *j, const char *command, const char *built,
    const char *limit, const char *confirm, int64_t timeout_ms, struct err *err)
{
	const char *const argv[] = { "sh", PROGRAM, command,
		arena_z(j->arena, j->run), built, limit, confirm, NULL };
	struct target_result r = { 0 };
	int rc = j->host->ssh_told(
	    j->host->ctx, argv, STR_NULL, timeout_ms, &r, err);

	return rc == 0 && r.status != 0 ? failed(&r, err) : rc;
}

static int
apply(struct target_job *j, struct str built, struct err *err)
{
	long long confirm_s = (long long)((j->confirm_ms + 999) / 1000);
	int64_t apply_ms = target_ms(j->apply_ms);

	return installed(j, "apply", arena_z(j->arena, built),
	    arena_printf(j->arena, "%lld", (long long)(apply_ms + 999) / 1000)
		.ptr,
	    arena_printf(j->arena, "%lld", confirm_s).ptr,
	    2 * apply_ms, /* and the way back */
	    err);
}

static int
confirm(struct target_job *j, struct str built, struct err *err)
{
	const char *kept = arena_printf(
	    j->arena, "%lld", (long long)(j->kept > 0 ? j->kept : TARGET_KEPT))
			       .ptr;

	(void)built; /* the run is of it */
	return installed(j, "confirm", kept, NULL, NULL, GIT_MS, err);
}

static int
rollback(struct target_job *j, struct str built, struct err *err)
{
	(void)built;
	if (j->run.len == 0)
		return 0; /* it was never begun */
	return installed(
	    j, "rollback", NULL, NULL, NULL, target_ms(j->apply_ms), err);
}

const struct target target_linux = {
	.name = "linux",
	.help = "Any Linux with a shell: files, packages, services, users, "
		"containers",
	.generate = generate,
	.build = build,
	.plan = plan,
	.copy = copy,
	.apply = apply,
	.confirm = confirm,
	.rollback = rollback,
};
