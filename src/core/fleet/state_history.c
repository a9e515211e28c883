/*
 * core/fleet/state_history.c - /repository/...: what is not committed, commits,
 * how they differ; taking one back, and going back to one.
 *
 * What goes back begins with a clean tree, so that when something fails it is
 * as HEAD has it again.
 */
#include "core/fleet/state.h"

#include "base/base.h"
#include "base/log.h"
#include "core/rest/check.h"

#include <string.h>

#define LOG_MODULE "fleet"
#define FILES_MAX 1000     /* of a status */
#define DIFF_MAX (4 << 20) /* bytes of a diff */
#define LOG_MAX 10000      /* commits of one answer */

/* --- pieces --------------------------------------------------------------- */

/* Two states of one repository; null: the working tree, which may be broken. */
static void
differ(struct fleet_repo *r, struct str from, struct str to, struct arena *a,
    struct fleet_changes *ret)
{
	static const struct fleet_state none = { 0 };
	struct fleet_state was = none, is = none;

	*ret = (struct fleet_changes){ 0 };
	if (from.ptr != NULL)
		(void)fleet_repo_state_at(r, from, a, &was, NULL);
	if (to.ptr != NULL ? fleet_repo_state_at(r, to, a, &is, NULL) != 0
			   : fleet_repo_state(r, a, &is, NULL) != 0)
		return;
	fleet_state_diff(&was, &is, a, ret);
}

static void
put_commit(struct json_out *o, const struct repo_commit *x)
{
	json_out_object(o);
	json_out_key(o, "commit");
	json_out_str(o, x->id);
	json_out_key(o, "shortCommit");
	json_out_str(o, x->short_id);
	json_out_key(o, "message");
	json_out_str(o, x->message);
	json_out_key(o, "author");
	json_out_str(o, x->author.name);
	json_out_key(o, "email");
	json_out_str(o, x->author.email);
	json_out_key(o, "time");
	json_out_time(o, x->at);
	json_out_key(o, "parents");
	json_out_array(o);
	for (size_t i = 0; i < x->parents.n; i++)
		json_out_str(o, x->parents.at[i]);
	json_out_end_array(o);
	json_out_end_object(o);
}

static void
put_files(struct json_out *o, const struct repo_changes *ch, bool diffs)
{
	json_out_array(o);
	for (size_t i = 0; i < ch->n; i++) {
		char status = ch->at[i].status;

		json_out_object(o);
		json_out_key(o, "path");
		json_out_str(o, ch->at[i].path);
		json_out_key(o, "status");
		json_out_str(o,
		    status == 'A'       ? STR("add")
			: status == 'D' ? STR("remove")
					: STR("change"));
		if (diffs) {
			json_out_key(o, "diff");
			json_out_str(o, ch->at[i].diff);
		}
		json_out_end_object(o);
	}
	json_out_end_array(o);
}

/* --- what is there -------------------------------------------------------- */

static void
handle_status(struct http_call *c)
{
	struct fleet_repo *r;
	struct repo_changes files;
	struct repo_commit last = { 0 };
	struct fleet_changes changes;
	struct str head, branch = STR_NULL;
	struct json_out *o;
	struct err err;
	int rc;

	if (!fleet_call_repo(c, REST_GET, &r))
		return;
	rc = r->ops->head(r->git, &c->arena, &head, &err);
	if (rc == 0 && head.ptr != NULL)
		rc = r->ops->get(r->git, head, &c->arena, &last, &err);
	if (rc == 0)
		rc = r->ops->status(
		    r->git, FILES_MAX, DIFF_MAX, &c->arena, &files, &err);
	if (rc != 0) {
		fleet_repo_give(r);
		fleet_state_error(c, &err);
		return;
	}
	(void)r->ops->branch(r->git, &c->arena, &branch, NULL);
	differ(r, head, STR_NULL, &c->arena, &changes);
	o = rest_data(c);
	json_out_key(o, "head");
	if (head.ptr != NULL)
		put_commit(o, &last);
	else
		json_out_null(o);
	json_out_key(o, "branch");
	json_out_str(o, branch);
	json_out_key(o, "changes");
	put_files(o, &files, true);
	json_out_key(o, "more");
	json_out_bool(o, files.cut);
	json_out_key(o, "stateChanges");
	fleet_changes_put(o, &changes);
	fleet_faults_put(o, r);
	json_out_key(o, "fault");
	json_out_str(o,
	    r->fault.code != 0 ? arena_str(&c->arena, str_of(r->fault.text))
			       : STR_NULL);
	rest_data_end(c);
	fleet_repo_give(r);
}

static void
handle_history(struct http_call *c)
{
	struct str from = http_query(c, "from"), head = from;
	struct repo_log log = { 0 };
	struct fleet_repo *r;
	int64_t skip, most;
	struct err err;
	bool bare;
	int rc = 0;

	if (!fleet_paging(c, &skip, &most, &bare) ||
	    !fleet_call_repo(c, REST_LIST, &r))
		return;
	if (most == 0 || most > LOG_MAX)
		most = LOG_MAX;
	if (from.len == 0)
		rc = r->ops->head(r->git, &c->arena, &head, &err);
	if (rc == 0 && head.ptr != NULL)
		rc = r->ops->log(
		    r->git, head, skip, most, &c->arena, &log, &err);
	fleet_repo_give(r);
	if (rc != 0) {
		fleet_state_error(c, &err);
		return;
	}
	(void)fleet_list(c, bare);
	for (size_t i = 0; i < log.n; i++)
		put_commit(&c->json, &log.at[i]);
	fleet_list_end(c, bare);
}

/* Both ends of a diff, resolved. Nothing said: what is not committed; `to`
 * alone: what that commit has changed. */
static int
ends(struct fleet_repo *r, struct http_call *c, struct str *from,
    struct str *to, struct err *err)
{
	struct str a = http_query(c, "from"), b = http_query(c, "to");
	struct repo_commit x;
	int rc = 0;

	*from = *to = STR_NULL;
	if (b.len > 0) {
		rc = r->ops->get(r->git, b, &c->arena, &x, err);
		if (rc != 0)
			return rc;
		*to = x.id;
	}
	if (a.len > 0)
		return r->ops->resolve(r->git, a, &c->arena, from, err);
	if (b.len == 0)
		return r->ops->head(r->git, &c->arena, from, err);
	if (x.parents.n > 0)
		*from = x.parents.at[0];
	return 0;
}

static void
handle_diff(struct http_call *c)
{
	struct str from, to, text, path = http_query(c, "path");
	struct fleet_changes changes;
	struct repo_changes files;
	struct fleet_repo *r;
	struct json_out *o;
	struct err err;
	bool cut;
	int rc;

	if (!fleet_call_repo(c, REST_GET, &r))
		return;
	rc = ends(r, c, &from, &to, &err);
	if (rc == 0)
		rc = r->ops->diff(r->git, from, to,
		    path.len > 0 ? path : STR_NULL, DIFF_MAX, &c->arena, &text,
		    &cut, &err);
	if (rc == 0)
		rc = r->ops->changed(
		    r->git, from, to, FILES_MAX, &c->arena, &files, &err);
	if (rc == 0)
		differ(r, from, to, &c->arena, &changes);
	fleet_repo_give(r);
	if (rc != 0) {
		fleet_state_error(c, &err);
		return;
	}
	o = rest_data(c);
	json_out_key(o, "from");
	json_out_str(o, from);
	json_out_key(o, "to");
	json_out_str(o, to);
	json_out_key(o, "text");
	json_out_str(o, text);
	json_out_key(o, "cut");
	json_out_bool(o, cut);
	json_out_key(o, "files");
	put_files(o, &files, false);
	json_out_key(o, "changes");
	fleet_changes_put(o, &changes);
	rest_data_end(c);
}

/* --- committing ----------------------------------------------------------- */

struct wish {
	struct str commit, configuration, message;
};
#define W struct wish
static const struct field wish_fields[] = {
	F_TEXT(W, commit, "commit", .check = check_filled, .max = 200,
	    .help = "Which: all of its digits or the first of them."),
	F_TEXT(W, configuration, "configuration", .flags = FIELD_NULL,
	    .max = 63,
	    .help = "Its identifier: nothing else changes. Left out: all."),
	F_TEXT(W, message, "message", .flags = FIELD_NULL, .max = 65536,
	    .help = "Of the new commit. Left out: one is made."),
	{ 0 },
};
static const struct record wish_record = { "fleetGoBack", sizeof(W),
	wish_fields };
static const struct field message_fields[] = {
	F_TEXT(W, message, "message", .flags = FIELD_TRIM,
	    .check = check_filled, .max = 65536,
	    .help = "What was changed, and why; the first line is the "
		    "title."),
	{ 0 },
};
static const struct record message_record = { "fleetCommitMessage", sizeof(W),
	message_fields };
#undef W

static void
answer_commit(struct http_call *c, struct fleet_repo *r, struct str commit,
    const struct fleet_changes *changes)
{
	struct json_out *o = rest_data(c);

	json_out_key(o, "commit");
	json_out_str(o, commit);
	json_out_key(o, "changes");
	fleet_changes_put(o, changes);
	fleet_faults_put(o, r);
	rest_data_end(c);
}

static void
handle_commit(struct http_call *c)
{
	struct repo_person author = fleet_author(c);
	struct fleet_changes changes;
	struct fleet_repo *r;
	struct str id, head;
	struct rest_body b;
	struct wish *w;
	struct err err;
	int rc;

	if (!rest_read(c, &c->route->body, NULL, &b))
		return;
	w = b.row;
	if (!fleet_call_repo(c, REST_PATCH, &r))
		return;
	rc = r->fault.code;
	if (rc != 0)
		(void)err_set(&err, ERR_EXISTS, "%s", r->fault.text);
	if (rc == 0)
		rc = r->ops->head(r->git, &c->arena, &head, &err);
	if (rc == 0) {
		differ(r, head, STR_NULL, &c->arena, &changes);
		rc = fleet_repo_commit(
		    r, &author, w->message, &c->arena, &id, &err);
	}
	if (rc == 0)
		answer_commit(c, r, id, &changes);
	fleet_repo_give(r);
	if (rc != 0)
		fleet_state_error(c, &err);
}

/* --- going back ----------------------------------------------------------- */

/* Files beside the state that people have made. What is generated follows. */
static bool
is_own(struct str path)
{
	return str_starts(path, STR("artifacts/")) ||
	    str_eqz(path, "flake.lock");
}

struct back {
	struct http_call *c;
	struct fleet_repo *r;
	struct wish *w;
	struct str head;
	struct repo_commit commit;
	struct fleet_state now;
	struct err err;
};

/* The repository is as HEAD has it again. */
static void
as_before(struct back *k)
{
	static const char *const all[] = { NULL };
	struct fleet_repo *r = k->r;
	struct err err;

	if (r->ops->restore(r->git, k->head, all, &err) != 0 ||
	    fleet_repo_reload(r, &err) != 0)
		log_error("%s: %s", r->dir, err.text);
}

/* What both ways begin with; false: answered. */
static bool
begin(struct back *k, struct http_call *c)
{
	struct rest_body b;
	bool dirty = false;
	int rc;

	*k = (struct back){ .c = c };
	if (!rest_read(c, &c->route->body, NULL, &b))
		return false;
	k->w = b.row;
	if (!fleet_call_repo(c, REST_PATCH, &k->r))
		return false;
	rc = k->r->ops->dirty(k->r->git, &dirty, &k->err);
	if (rc == 0 && dirty) {
		fleet_repo_give(k->r);
		http_error(c, 409, "err_fleet_dirty",
		    "there are changes that are not committed: commit them or "
		    "take them back first");
		return false;
	}
	if (rc == 0)
		rc = k->r->ops->head(k->r->git, &c->arena, &k->head, &k->err);
	if (rc == 0)
		rc = k->r->ops->get(
		    k->r->git, k->w->commit, &c->arena, &k->commit, &k->err);
	if (rc == 0)
		rc = fleet_repo_state(k->r, &c->arena, &k->now, &k->err);
	if (rc == 0)
		return true;
	fleet_repo_give(k->r);
	fleet_state_error(c, &k->err);
	return false;
}

/* Writes the state that was made, commits all, answers. */
static void
finish(struct back *k, const struct fleet_state *s, struct str title)
{
	struct repo_person author = fleet_author(k->c);
	struct str message = k->w->message.len > 0 ? k->w->message : title, id;
	struct fleet_changes changes;
	int rc = fleet_repo_write(k->r, s, &k->err);

	if (rc == 0)
		rc = fleet_repo_commit(
		    k->r, &author, message, &k->c->arena, &id, &k->err);
	if (rc == 0) {
		differ(k->r, k->head, id, &k->c->arena, &changes);
		answer_commit(k->c, k->r, id, &changes);
	} else {
		as_before(k);
		fleet_state_error(k->c, &k->err);
	}
	fleet_repo_give(k->r);
}

static void
conflict(struct back *k, const char *fmt, struct str what, struct str more)
{
	as_before(k);
	fleet_repo_give(k->r);
	http_error(
	    k->c, 409, "err_fleet_conflict", fmt, STR_ARG(what), STR_ARG(more));
}

/* Takes files of people's own back to `to` (null: they were not there), where
 * they are still as the commit has left them. `*bad` names one that is not. */
static int
own_files(struct back *k, struct str to, struct str *bad)
{
	struct arena *a = &k->c->arena;
	struct fleet_repo *r = k->r;
	struct repo_changes files;
	int rc = r->ops->changed(
	    r->git, to, k->commit.id, FILES_MAX, a, &files, &k->err);

	for (size_t i = 0; rc == 0 && i < files.n; i++) {
		struct str path = files.at[i].path, left = STR_NULL,
			   now = STR_NULL;
		const char *z = arena_z(a, path);
		const char *const one[] = { z, NULL };

		if (!is_own(path))
			continue;
		(void)r->ops->file(r->git, k->commit.id, z, a, &left, NULL);
		(void)r->ops->file(r->git, k->head, z, a, &now, NULL);
		if ((left.ptr == NULL) != (now.ptr == NULL) ||
		    !str_eq(left, now)) {
			*bad = path;
			return 0;
		}
		if (to.ptr != NULL)
			rc = r->ops->restore(r->git, to, one, &k->err);
		else
			rc = err_set(&k->err, ERR_PARAM,
			    "the first commit can not be taken back");
	}
	return rc;
}

static struct str
first_line(struct str message)
{
	struct str rest = message;

	return str_cut(&rest, '\n');
}

static struct str
change_name(struct arena *a, const struct fleet_change *x)
{
	return arena_printf(a, "%s \"" STR_FMT "\"%s" STR_FMT "%s" STR_FMT,
	    x->what, STR_ARG(x->display_name),
	    x->module.ptr != NULL ? ", " : "", STR_ARG(x->module),
	    x->setting.ptr != NULL ? ", " : "", STR_ARG(x->setting));
}

static void
handle_revert(struct http_call *c)
{
	static const struct fleet_state none = { 0 };
	struct fleet_state before = none, after, s;
	struct str bad = STR_NULL, parent = STR_NULL, config = STR_NULL;
	struct fleet_changes again;
	struct back k;
	int rc;

	if (!begin(&k, c))
		return;
	if (k.w->configuration.len > 0)
		config = k.w->configuration;
	if (k.commit.parents.n > 0)
		parent = k.commit.parents.at[0];
	rc = fleet_repo_state_at(k.r, k.commit.id, &c->arena, &after, &k.err);
	if (rc == 0 && parent.ptr != NULL)
		rc = fleet_repo_state_at(
		    k.r, parent, &c->arena, &before, &k.err);
	if (rc == 0) {
		fleet_state_undo(
		    &k.now, &before, &after, config, &c->arena, &s, &again);
		if (again.n > 0) {
			conflict(&k,
			    "changed again since " STR_FMT ": " STR_FMT,
			    k.commit.short_id,
			    change_name(&c->arena, &again.at[0]));
			return;
		}
		if (config.ptr == NULL)
			rc = own_files(&k, parent, &bad);
	}
	if (rc == 0 && bad.ptr != NULL) {
		conflict(&k, "changed again since " STR_FMT ": " STR_FMT,
		    k.commit.short_id, bad);
		return;
	}
	if (rc == 0) {
		finish(&k, &s,
		    arena_printf(&c->arena,
			"Revert \"" STR_FMT "\"\n\nThis takes back " STR_FMT
			".",
			STR_ARG(first_line(k.commit.message)),
			STR_ARG(k.commit.id)));
		return;
	}
	as_before(&k);
	fleet_repo_give(k.r);
	fleet_state_error(c, &k.err);
}

static void
handle_restore(struct http_call *c)
{
	static const char *const own[] = { "artifacts", "flake.lock", NULL };
	struct fleet_state then, s;
	struct back k;
	int rc;

	if (!begin(&k, c))
		return;
	rc = fleet_repo_state_at(k.r, k.commit.id, &c->arena, &then, &k.err);
	if (rc == 0 && k.w->configuration.len > 0) {
		if (fleet_config_find(&then, k.w->configuration) == NULL &&
		    fleet_config_find(&k.now, k.w->configuration) == NULL)
			rc = err_set(&k.err, ERR_NOT_FOUND,
			    "there is no configuration \"%.*s\", now or then",
			    (int)MIN_OF(k.w->configuration.len, 63),
			    k.w->configuration.ptr);
		else
			fleet_state_take(
			    &k.now, &then, k.w->configuration, &c->arena, &s);
	} else if (rc == 0) {
		s = then;
		rc = k.r->ops->restore(k.r->git, k.commit.id, own, &k.err);
	}
	if (rc == 0) {
		finish(&k, &s,
		    arena_printf(&c->arena,
			"Restore %s" STR_FMT "%s" STR_FMT " (" STR_FMT ")",
			k.w->configuration.len > 0 ? "configuration " : "",
			STR_ARG(k.w->configuration.len > 0 ? k.w->configuration
							   : STR("")),
			k.w->configuration.len > 0 ? " from " : "",
			STR_ARG(k.commit.short_id),
			STR_ARG(first_line(k.commit.message))));
		return;
	}
	as_before(&k);
	fleet_repo_give(k.r);
	fleet_state_error(c, &k.err);
}

/* --- what they look like -------------------------------------------------- */

struct shown_commit {
	struct str commit, short_commit, message, author, email;
	int64_t time;
	struct strs parents;
};
#define S struct shown_commit
static const struct field commit_fields[] = {
	F_TEXT(S, commit, "commit", .help = "40 hexadecimal digits."),
	F_TEXT(S, short_commit, "shortCommit",
	    .help = "As many of them as tell it from others."),
	F_TEXT(S, message, "message", .help = "What was changed."),
	F_TEXT(S, author, "author", .help = "Who has changed it."),
	F_TEXT(S, email, "email", .help = "Their address."),
	F_TIME(S, time, "time", .help = "When."),
	F_TEXTS(S, parents, "parents", .help = "What it follows."),
	{ 0 },
};
static const struct record commit_record = { "fleetCommit", sizeof(S),
	commit_fields };
#undef S

struct shown_file {
	struct str path, status, diff;
};
#define S struct shown_file
static const char *const kinds[] = { "add", "change", "remove", NULL };
static const struct field file_fields[] = {
	F_TEXT(S, path, "path", .help = "Below the repository."),
	F_TEXT(S, status, "status", .one_of = kinds),
	F_TEXT(S, diff, "diff", .flags = FIELD_NULL | FIELD_ABSENT,
	    .help = "A unified diff; null: it is too long."),
	{ 0 },
};
static const struct record file_record = { "fleetFile", sizeof(S),
	file_fields };
#undef S

struct shown_change {
	struct str what, kind, identifier, display_name, module, setting, from,
	    to;
};
#define S struct shown_change
static const char *const whats[] = { "configuration", "tag", "input", NULL };
static const struct field change_fields[] = {
	F_TEXT(S, what, "what", .one_of = whats),
	F_TEXT(S, kind, "kind", .one_of = kinds),
	F_TEXT(S, identifier, "identifier",
	    .help = "Empty: the order of all of the kind."),
	F_TEXT(S, display_name, "displayName"),
	F_TEXT(S, module, "module", .flags = FIELD_NULL,
	    .help = "Of the module; null: of the thing itself."),
	F_TEXT(S, setting, "setting", .flags = FIELD_NULL,
	    .help = "Null: the whole thing, or the whole module."),
	F_JSON(S, from, "from", .flags = FIELD_NULL),
	F_JSON(S, to, "to", .flags = FIELD_NULL),
	{ 0 },
};
static const struct record change_record = { "fleetChange", sizeof(S),
	change_fields };
#undef S

struct shown_status {
	struct shown_commit head;
	struct str branch, fault, faults;
	struct rows changes, state_changes;
	bool more;
};
#define S struct shown_status
static const struct field status_fields[] = {
	F_RECORD(S, head, struct shown_commit, "head", .record = &commit_record,
	    .flags = FIELD_NULL,
	    .help = "The last commit; null: there is none."),
	F_TEXT(S, branch, "branch", .flags = FIELD_NULL),
	F_RECORDS(S, changes, "changes", .record = &file_record,
	    .help = "Files that differ from it."),
	F_BOOL(S, more, "more", .help = "There are more of them."),
	F_RECORDS(S, state_changes, "stateChanges", .record = &change_record,
	    .help = "How the state differs from it."),
	F_JSON(S, faults, "faults",
	    .help = "What could not be generated: a list of {where, what}."),
	F_TEXT(S, fault, "fault", .flags = FIELD_NULL,
	    .help = "Why state.json can not be read."),
	{ 0 },
};
static const struct record status_record = { "fleetStatus", sizeof(S),
	status_fields };
#undef S

struct shown_diff {
	struct str from, to, text;
	bool cut;
	struct rows files, changes;
};
#define S struct shown_diff
static const struct field diff_fields[] = {
	F_TEXT(S, from, "from", .flags = FIELD_NULL,
	    .help = "The commit; null: nothing."),
	F_TEXT(S, to, "to", .flags = FIELD_NULL,
	    .help = "The commit; null: what is not committed."),
	F_TEXT(S, text, "text", .help = "A unified diff of the files."),
	F_BOOL(S, cut, "cut", .help = "It is longer."),
	F_RECORDS(S, files, "files", .record = &file_record),
	F_RECORDS(S, changes, "changes", .record = &change_record,
	    .help = "How the states differ."),
	{ 0 },
};
static const struct record diff_record = { "fleetDiff", sizeof(S),
	diff_fields };
#undef S

struct shown_done {
	struct str commit, faults;
	struct rows changes;
};
static const struct field done_fields[] = {
	F_TEXT(struct shown_done, commit, "commit", .help = "The new one."),
	F_RECORDS(
	    struct shown_done, changes, "changes", .record = &change_record),
	F_JSON(struct shown_done, faults, "faults",
	    .help = "What could not be generated: a list of {where, what}."),
	{ 0 },
};
static const struct record done_record = { "fleetCommitted",
	sizeof(struct shown_done), done_fields };

struct log_query {
	struct str unit, from;
};
static const struct field log_query_fields[] = {
	FLEET_UNIT_QUERY(struct log_query),
	F_TEXT(struct log_query, from, "from",
	    .help = "The newest; left out: the last commit."),
	{ 0 },
};
static const struct record log_query_record = { "fleetLogQuery",
	sizeof(struct log_query), log_query_fields };

struct diff_query {
	struct str unit, from, to, path;
};
static const struct field diff_query_fields[] = {
	FLEET_UNIT_QUERY(struct diff_query),
	F_TEXT(struct diff_query, from, "from",
	    .help = "A commit. Left out: what `to` follows, or the last "
		    "commit."),
	F_TEXT(struct diff_query, to, "to",
	    .help = "A commit. Left out: what is not committed."),
	F_TEXT(struct diff_query, path, "path",
	    .help = "A file or a folder; left out: all."),
	{ 0 },
};
static const struct record diff_query_record = { "fleetDiffQuery",
	sizeof(struct diff_query), diff_query_fields };

#define ROW(verb, path, what, asked, members)                                  \
	verb, path, HTTP_TOKEN, .scope = "fleet.state." what,                  \
				.query = &(asked),                             \
				.query_members = "unit!" members

const struct http_route fleet_history_rows[] = {
	{ ROW("GET", "/repository/status", "get", fleet_unit_query, ""),
	    .reply = { .record = &status_record }, .handle = handle_status,
	    .help = "What is not committed yet." },
	{ ROW("POST", "/repository/commit", "post", fleet_unit_query, ""),
	    .body = { .record = &message_record, .members = "message!" },
	    .reply = { .record = &done_record }, .handle = handle_commit,
	    .help = "Commits all there is, with the caller as author." },
	{ ROW("GET", "/repository/history", "get", log_query_record, " from"),
	    .reply = { .record = &commit_record, .list = true },
	    .handle = handle_history, .help = "Commits, the newest first." },
	{ ROW("GET", "/repository/diff", "get", diff_query_record,
	      " from to path"),
	    .reply = { .record = &diff_record }, .handle = handle_diff,
	    .help = "How two commits differ, or what is not committed." },
	{ ROW("POST", "/repository/revert", "post", fleet_unit_query, ""),
	    .body = { .record = &wish_record,
		.members = "commit! "
			   "configuration "
			   "message" },
	    .reply = { .record = &done_record }, .handle = handle_revert,
	    .help = "Takes back what one commit has changed, in a new "
		    "commit." },
	{ ROW("POST", "/repository/restore", "post", fleet_unit_query, ""),
	    .body = { .record = &wish_record,
		.members = "commit! "
			   "configuration "
			   "message" },
	    .reply = { .record = &done_record }, .handle = handle_restore,
	    .help = "Makes everything as it was at a commit, in a new "
		    "commit." },
	{ 0 },
};
