/*
 * core/fleet/state_remote.c - /remote/...: other places for the repository of a
 * unit.
 *
 * The repository is not taken while git speaks with the other side. What it has
 * fetched lies beside the branch, and is looked at before the branch follows.
 */
#include "core/fleet/state.h"

#include "base/base.h"
#include "base/log.h"
#include "core/fleet/state_git.h"
#include "core/rest/check.h"

#include <dirent.h>
#include <string.h>
#include <unistd.h>

#define LOG_MODULE "fleet"
#define FILES_MAX 20000 /* that differ */

struct fleet_remote {
	struct str id, unit_id, name, url, branch, user, secret_id;
	struct str commit; /* that it is known to have */
	struct str fault;
	int64_t tried_at, created_at, modified_at;
};

static int
check_branch(struct str s, struct err *err)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9') || memchr("._-/", c, 4) != NULL))
			return err_set(err, ERR_PARAM,
			    "may have letters, digits, '.', '_', '-' and '/'");
	}
	if (s.len > 0 &&
	    (memchr("-./", s.ptr[0], 3) != NULL || str_ends(s, STR("/")) ||
		str_ends(s, STR(".lock")) || str_ends(s, STR(".")) ||
		memmem(s.ptr, s.len, "..", 2) != NULL ||
		memmem(s.ptr, s.len, "//", 2) != NULL ||
		memmem(s.ptr, s.len, "/.", 2) != NULL))
		return err_set(err, ERR_PARAM, "is no name of a branch");
	return 0;
}

static int
check_user(struct str s, struct err *err)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] < ' ' || s.ptr[i] == ':')
			return err_set(err, ERR_PARAM,
			    "may have no colon and no control character");
	return 0;
}

#define R struct fleet_remote
static const struct field remote_fields[] = {
	F_TEXT(R, id, "id", .max = 64, .help = "Identifies the remote."),
	F_TEXT(R, unit_id, "unitId", .help = "The unit it belongs to."),
	F_TEXT(R, name, "name", .check = check_code, .max = 63,
	    .help = "What people call it; no two of a unit have the same."),
	F_TEXT(R, url, "url", .check = fleet_git_check, .max = 2048,
	    .help = "https://host/path, ssh://user@host/path or "
		    "user@host:path. By SSH the unit's key signs in."),
	F_TEXT(R, branch, "branch", .def = "\"\"", .check = check_branch,
	    .max = 200,
	    .help = "Its branch; empty: one of the same name as here."),
	F_TEXT(R, user, "user", .def = "\"\"", .check = check_user, .max = 255,
	    .help = "Who signs in by HTTPS; empty: git."),
	F_TEXT(R, secret_id, "secretId", .def = "\"\"", .max = 64,
	    .help = "The secret with the password or token for HTTPS; empty: "
		    "none."),
	F_TEXT(R, commit, "commit", .def = "\"\"",
	    .help = "The commit that it was last seen to have."),
	F_TEXT(R, fault, "fault", .def = "\"\"",
	    .help = "What went wrong last; empty: it went well."),
	F_TIME(R, tried_at, "triedAt", .flags = FIELD_NULL,
	    .help = "When it was last spoken with."),
	F_TIME(R, created_at, "createdAt"),
	F_TIME(R, modified_at, "modifiedOn", .flags = FIELD_NULL),
	{ 0 },
};
const struct entity fleet_remote_entity = {
	.record = { "fleetRemote", sizeof(R), remote_fields },
	.table = "remote",
	.version = 1,
	.keys = (const struct entity_key[]){ { "id", { "id" } },
	    { "name", { "unitId", "name" } }, { 0 } },
	.help = "Another place for the repository of a unit.",
};
#undef R

const struct rest_object fleet_remote_object = {
	.name = "remote",
	.entity = &fleet_remote_entity,
	.id = "id",
	.id_len = 20,
	.filters =
	    (const struct rest_filter[]){ { "name", "name", COND_EQ }, { 0 } },
	.query = &fleet_unit_query,
	.sorts = (const struct rest_sort[]){ { "name", "name" },
	    { "created", "createdAt" }, { 0 } },
	.sort = "name:asc",
	.add = "unitId! name! url! branch user secretId",
	.patch = "name url branch user secretId",
	.exists =
	    (const struct rest_exists[]){
		{ "name", "err_fleet_remote_exist" }, { 0 } },
	.fleeting = "commit fault triedAt",
	.scope = "fleet.state",
	.help = "other places for the repository of a unit.",
	.limit = fleet_limit,
	.may = fleet_may,
	.before_add = fleet_before_add,
};

/* --- speaking with it ----------------------------------------------------- */

struct talk {
	struct http_call *c;
	struct fleet *f;
	struct fleet_remote row;
	struct fleet_git git;
	struct str head, branch; /* ours; the branch there */
	struct err err;
};

/* The row that the path names, the repository's head, and credentials. */
static bool
begin(struct talk *t, struct http_call *c)
{
	struct fleet *f = (struct fleet *)(uintptr_t)c->route->ctx;
	struct fleet_repo *repo;
	int rc;

	*t = (struct talk){ .c = c, .f = f };
	if (!fleet_call_row(c, f, &fleet_remote_entity, REST_PATCH, &t->row))
		return false;
	rc = fleet_repo_take(f, t->row.unit_id, &repo, &t->err);
	if (rc == 0) {
		t->git = (struct fleet_git){ .f = f,
			.unit_id = t->row.unit_id,
			.dir = repo->dir,
			.url = t->row.url,
			.user = t->row.user };
		rc = repo->ops->head(repo->git, &c->arena, &t->head, &t->err);
		t->branch = t->row.branch;
		if (rc == 0 && t->branch.len == 0)
			rc = repo->ops->branch(
			    repo->git, &c->arena, &t->branch, &t->err);
		fleet_repo_give(repo);
	}
	if (rc == 0 && t->row.secret_id.len > 0)
		rc = fleet_secret_open(f, t->row.unit_id, t->row.secret_id,
		    &c->arena, &t->git.password, &t->err);
	t->git.password = str_trim(t->git.password);
	if (rc == 0)
		return true;
	fleet_state_error(c, &t->err);
	return false;
}

/* What came of it stays with the row. */
static void
note(struct talk *t, struct str commit, int rc)
{
	struct filter filter = { 0 };
	struct change changes[3] = {
		{ "triedAt", { .type = FIELD_TIME, .num = t->c->came_at } },
		{ "fault",
		    { .type = FIELD_TEXT,
			.text = rc != 0 ? str_of(t->err.text) : STR("") } },
		{ "commit", { .type = FIELD_TEXT, .text = commit } },
	};
	int64_t n;
	struct err err;

	filter_text(&filter, "id", t->row.id);
	if (store_update(t->f->store, &fleet_remote_entity, &filter, changes,
		commit.ptr != NULL ? 3 : 2, &n, &err) != 0)
		log_error("note a remote: %s", err.text);
}

static void
fail(struct talk *t)
{
	struct http_call *c = t->c;

	note(t, STR_NULL, t->err.code);
	switch (t->err.code) {
	case ERR_EXISTS:
		http_error(c, 409, "err_fleet_remote_ahead", "%s", t->err.text);
		return;
	case ERR_PARAM:
		http_error(c, 409, "err_fleet_diverged", "%s", t->err.text);
		return;
	case ERR_DENIED:
	case ERR_NOT_FOUND:
	case ERR_CLOSED:
	case ERR_IO:
		http_error(c, 502, "err_fleet_remote", "%s", t->err.text);
		return;
	default:
		fleet_state_error(c, &t->err);
	}
}

static const char *
ref_of(struct talk *t)
{
	return arena_z(&t->c->arena,
	    arena_printf(
		&t->c->arena, "refs/heads/" STR_FMT, STR_ARG(t->branch)));
}

static void
answer(struct talk *t, struct str commit, const char *how)
{
	struct json_out *o = rest_data(t->c);

	json_out_key(o, "commit");
	json_out_str(o, commit);
	json_out_key(o, "branch");
	json_out_str(o, t->branch);
	json_out_key(o, "state");
	json_out_str(o, str_of(how));
	rest_data_end(t->c);
}

static void
handle_push(struct http_call *c)
{
	struct talk t;
	const char *spec;

	if (!begin(&t, c))
		return;
	spec = arena_z(&c->arena,
	    arena_printf(
		&c->arena, STR_FMT ":%s", STR_ARG(t.head), ref_of(&t)));
	if (fleet_git_run(&t.git,
		(const char *const[]){ "push", "--porcelain", "--no-verify",
		    "--", arena_z(&c->arena, t.row.url), spec, NULL },
		&c->arena, NULL, &t.err) != 0) {
		fail(&t);
		return;
	}
	note(&t, t.head, 0);
	answer(&t, t.head, "same");
}

/* Where its branch is kept, beside ours. */
static const char *
kept_ref(struct talk *t)
{
	return arena_z(&t->c->arena,
	    arena_printf(
		&t->c->arena, "refs/marram/" STR_FMT, STR_ARG(t->row.id)));
}

static int
fetch(struct talk *t)
{
	return fleet_fetch(
	    &t->git, ref_of(t), kept_ref(t), &t->c->arena, &t->err);
}

/* Nobody has made anything here yet. */
static bool
is_fresh(struct talk *t, struct fleet_repo *r)
{
	struct repo_commit head;
	struct fleet_state s;

	return r->ops->get(r->git, t->head, &t->c->arena, &head, NULL) == 0 &&
	    head.parents.n == 0 &&
	    fleet_repo_state(r, &t->c->arena, &s, NULL) == 0 &&
	    s.n_configs + s.n_tags + s.n_inputs == 0;
}

/* Only what is generated differs from HEAD, as when the other side has edited
 * state.json by hand: it is thrown away and generated anew. ERR_AGAIN: more
 * does. */
static int
drop_generated(struct talk *t, struct fleet_repo *r)
{
	static const char *const all[] = { NULL };
	struct repo_changes files;
	int rc =
	    r->ops->status(r->git, FILES_MAX, 0, &t->c->arena, &files, &t->err);

	for (size_t i = 0; rc == 0 && i < files.n; i++) {
		struct str path = files.at[i].path;

		if (!str_starts(path, STR("hosts/")) &&
		    !str_starts(path, STR("tags/")) &&
		    !str_starts(path, STR("modules/")) &&
		    !str_eqz(path, "flake.nix"))
			rc = ERR_AGAIN;
	}
	if (rc == ERR_AGAIN || files.cut)
		return err_set(&t->err, ERR_AGAIN,
		    "there are changes that are not committed: commit them "
		    "first");
	return rc != 0 || files.n == 0
	    ? rc
	    : r->ops->restore(r->git, t->head, all, &t->err);
}

/* What has been fetched becomes ours, when it may. */
static int
follow(struct talk *t, struct fleet_repo *r, struct str there)
{
	struct arena *a = &t->c->arena;
	struct fleet_state s;
	struct str text;
	int rc = r->ops->file(r->git, there, "state.json", a, &text, &t->err);

	if (rc == 0)
		rc = fleet_state_read(text, a, &s, NULL, &t->err);
	if (rc == 0)
		rc = fleet_state_check(&s, &t->err);
	if (rc != 0) {
		(void)err_wrap(&t->err, "state.json of the remote");
		t->err.code = ERR_LIMIT; /* not as if we had diverged */
		return t->err.code;
	}
	rc = fleet_repo_may(r, &s, &t->err);
	if (rc == 0)
		rc = fleet_repo_begin(r, &t->err);
	if (rc != 0)
		return rc;
	rc = drop_generated(t, r);
	if (rc == 0)
		rc = r->ops->forward(r->git, there, is_fresh(t, r), &t->err);
	fleet_repo_end(r);
	if (rc != ERR_AGAIN) { /* what was thrown away comes back, too */
		struct err err;
		int again = fleet_repo_reload(r, &err);

		if (rc == 0 && again != 0) {
			t->err = err;
			rc = again;
		}
	}
	return rc;
}

static void
handle_pull(struct http_call *c)
{
	struct fleet_repo *r;
	struct str there = STR_NULL;
	struct talk t;
	int rc;

	if (!begin(&t, c))
		return;
	rc = fetch(&t);
	if (rc == 0)
		rc = fleet_repo_take(t.f, t.row.unit_id, &r, &t.err);
	if (rc != 0) {
		fail(&t);
		return;
	}
	rc = r->ops->resolve(
	    r->git, str_of(kept_ref(&t)), &c->arena, &there, &t.err);
	if (rc == 0) {
		int64_t ours = 0, theirs = 0;

		rc = r->ops->apart(
		    r->git, t.head, there, &ours, &theirs, &t.err);
		if (rc == 0 && (theirs > 0 || ours == 0))
			rc = follow(&t, r, there);
	}
	fleet_repo_give(r);
	if (rc != 0) {
		fail(&t);
		return;
	}
	note(&t, there, 0);
	answer(&t, there, "same");
}

/* Is it there, does it let us in, and what has it? */
static void
handle_test(struct http_call *c)
{
	struct fleet_repo *r;
	struct str out, commit = STR_NULL;
	const char *how = "empty";
	struct talk t;
	int rc;

	if (!begin(&t, c))
		return;
	rc = fleet_git_run(&t.git,
	    (const char *const[]){ "ls-remote", "--heads", "--",
		arena_z(&c->arena, t.row.url), ref_of(&t), NULL },
	    &c->arena, &out, &t.err);
	if (rc == 0 && out.len > 40) {
		struct str rest = out;
		int64_t ours, theirs;

		commit = str_cut(&rest, '\t');
		how = "same";
		if (!str_eq(commit, t.head)) {
			rc = fetch(&t);
			if (rc == 0)
				rc = fleet_repo_take(
				    t.f, t.row.unit_id, &r, &t.err);
			if (rc == 0) {
				rc = r->ops->apart(r->git, t.head, commit,
				    &ours, &theirs, &t.err);
				how = ours == 0   ? "ahead"
				    : theirs == 0 ? "behind"
						  : "diverged";
				fleet_repo_give(r);
			}
		}
	}
	if (rc != 0) {
		fail(&t);
		return;
	}
	note(&t, commit.ptr != NULL ? commit : STR(""), 0);
	answer(&t, commit, how);
}

/* What has to be let in by machines and Git servers, and is no secret. */
static void
handle_key(struct http_call *c)
{
	struct fleet *f = (struct fleet *)(uintptr_t)c->route->ctx;
	struct json_out *o;
	struct str unit, key;
	const char *path;
	struct err err;

	if (!fleet_call_unit(f, c, REST_GET, &unit))
		return;
	if (fleet_unit_key(f, unit, &c->arena, &path, &key, &err) != 0) {
		fleet_state_error(c, &err);
		return;
	}
	o = rest_data(c);
	json_out_key(o, "publicKey");
	json_out_str(o, key);
	rest_data_end(c);
}

/* --- keeping small -------------------------------------------------------- */

void
fleet_repos_tidy(struct fleet *f)
{
	DIR *dir = opendir(f->dir);
	const struct dirent *d;

	while (dir != NULL && (d = readdir(dir)) != NULL) {
		struct arena a = { 0 };
		const char *path = arena_z(&a,
		    arena_printf(&a, "%s/%s/repository", f->dir, d->d_name));
		const char *git =
		    arena_z(&a, arena_printf(&a, "%s/.git", path));
		const struct fleet_git g = { .f = f,
			.unit_id = str_of(d->d_name),
			.dir = path,
			.url = STR("") };
		struct err err;

		if (d->d_name[0] != '.')
			fleet_fetch_clean(path);
		if (d->d_name[0] != '.' && access(git, F_OK) == 0 &&
		    fleet_git_run(&g,
			(const char *const[]){
			    "gc", "--auto", "--quiet", NULL },
			&a, NULL, &err) != 0)
			log_warn("%s: git gc: %s", path, err.text);
		arena_fini(&a);
	}
	if (dir != NULL)
		closedir(dir);
}

/* --- what they look like -------------------------------------------------- */

struct shown {
	struct str commit, branch, state;
};
#define S struct shown
static const char *const states[] = { "same", "ahead", "behind", "diverged",
	"empty", NULL };
static const struct field shown_fields[] = {
	F_TEXT(S, commit, "commit", .flags = FIELD_NULL,
	    .help = "What the branch there has; null: it does not exist."),
	F_TEXT(S, branch, "branch", .help = "Its branch."),
	F_TEXT(S, state, "state", .one_of = states,
	    .help = "`ahead`: pull; `behind`: push; `diverged`: both have "
		    "commits that the other has not."),
	{ 0 },
};
static const struct record shown_record = { "fleetRemoteState", sizeof(S),
	shown_fields };
#undef S

struct shown_key {
	struct str public_key;
};
static const struct field key_fields[] = {
	F_TEXT(struct shown_key, public_key, "publicKey",
	    .help = "A line for authorized_keys."),
	{ 0 },
};
static const struct record key_record = { "fleetUnitKey",
	sizeof(struct shown_key), key_fields };

#define ROW(path, what)                                                        \
	"POST", path, HTTP_TOKEN, .scope = "fleet.state." what,                \
				  .reply = { .record = &shown_record },        \
				  .flags = HTTP_SLOW

const struct http_route fleet_remote_rows[] = {
	{ ROW("/remote/{id}/push", "post"), .handle = handle_push,
	    .help = "Pushes the last commit, and those before it." },
	{ ROW("/remote/{id}/pull", "post"), .handle = handle_pull,
	    .help = "Fetches, and goes forward to what the remote has; never "
		    "sideways." },
	{ ROW("/remote/{id}/test", "get"), .handle = handle_test,
	    .help = "Whether it can be reached and lets us in, and who has "
		    "more." },
	{ "GET", "/repository/key", HTTP_TOKEN, .scope = "fleet.state.get",
	    .query = &fleet_unit_query, .reply = { .record = &key_record },
	    .handle = handle_key, .flags = HTTP_SLOW,
	    .help = "The public key by which the unit signs in by SSH, to "
		    "machines and to remotes." },
	{ 0 },
};
