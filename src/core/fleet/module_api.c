/*
 * core/fleet/module_api.c - modules, what wins, what is generated, and the
 * repositories that modules come from, over HTTP.
 */
#include "core/fleet/module.h"
#include "core/fleet/state.h"

#include "base/base.h"
#include "plug/target/nixos_generate.h"

#include <stdlib.h>
#include <string.h>

static struct fleet *
fleet_of(const struct http_call *c)
{
	return (struct fleet *)(uintptr_t)c->route->ctx;
}

/* --- modules -------------------------------------------------------------- */

static void
handle_modules(struct http_call *c)
{
	struct fleet *f = fleet_of(c);
	const struct fleet_catalog *catalog;
	struct json_out *o;
	struct str unit;
	struct err err;

	if (!fleet_call_unit(f, c, REST_LIST, &unit))
		return;
	if (fleet_catalog_of(f, unit, &catalog, &err) != 0) {
		fleet_state_error(c, &err);
		return;
	}
	o = http_json(c, 200);
	json_out_object(o);
	json_out_key(o, "data");
	json_out_array(o);
	for (size_t i = 0; i < catalog->n; i++)
		fleet_module_write(
		    catalog->modules[i], http_query(c, "lang"), o);
	json_out_end_array(o);
	json_out_end_object(o);
	fleet_catalog_done(f, catalog);
}

/* --- one configuration ---------------------------------------------------- */

/* The state and the catalog of the unit that the query names. */
struct looked {
	struct fleet *f;
	struct str unit;
	struct fleet_snapshot snap;
	const struct fleet_loaded *l;
};

static bool
look(struct http_call *c, struct looked *w)
{
	struct err err;

	*w = (struct looked){ .f = fleet_of(c) };
	if (!fleet_call_unit(w->f, c, REST_GET, &w->unit))
		return false;
	if (fleet_snapshot(w->f, w->unit, STR_NULL, &w->snap, &err) != 0) {
		fleet_state_error(c, &err);
		return false;
	}
	if (fleet_loaded_of(w->f, w->unit, &w->l, &err) != 0) {
		arena_fini(&w->snap.arena);
		fleet_state_error(c, &err);
		return false;
	}
	return true;
}

static void
looked_done(struct looked *w)
{
	fleet_loaded_done(w->f, w->l);
	arena_fini(&w->snap.arena);
}

static void
put_definition(struct json_out *o, const struct fleet_definition *d)
{
	json_out_object(o);
	json_out_key(o, "module");
	json_out_str(o, d->module);
	json_out_key(o, "setting");
	json_out_str(o, d->key);
	json_out_key(o, "value");
	json_out_raw(o, d->value);
	json_out_key(o, "tag");
	json_out_str(o, d->tag);
	json_out_key(o, "priority");
	json_out_int(o, d->priority);
	json_out_key(o, "wins");
	json_out_bool(o, d->wins);
	json_out_key(o, "conflict");
	json_out_bool(o, d->conflict);
	json_out_end_object(o);
}

static void
handle_definitions(struct http_call *c)
{
	struct fleet_definition *d;
	struct json_out *o;
	struct looked w;
	struct err err;
	size_t n;

	if (!look(c, &w))
		return;
	if (fleet_definitions(&w.snap.state, &w.l->catalog, http_var(c, 0),
		&c->arena, &d, &n, &err) != 0) {
		fleet_state_error(c, &err);
		looked_done(&w);
		return;
	}
	o = http_json(c, 200);
	json_out_object(o);
	json_out_key(o, "data");
	json_out_array(o);
	for (size_t i = 0; i < n; i++)
		put_definition(o, &d[i]);
	json_out_end_array(o);
	json_out_end_object(o);
	looked_done(&w);
}

/* Files of a configuration and its tags, as they would be generated. */
struct preview {
	struct arena *a;
	const struct fleet_config *config;
	struct json_out *o;
	struct buf faults;
	struct json_out faults_out;
};

static bool
is_of(const struct preview *p, struct str path)
{
	struct str rest = path, kind = str_cut(&rest, '/');
	struct str id = rest.ptr != NULL ? str_cut(&rest, '/') : STR_NULL;

	if (rest.ptr == NULL || str_eqz(rest, ".gitkeep"))
		return false;
	if (str_eqz(kind, "hosts"))
		return str_eq(id, p->config->identifier);
	for (size_t i = 0; i < p->config->tags.n; i++)
		if (str_eqz(kind, "tags") && str_eq(id, p->config->tags.at[i]))
			return true;
	return false;
}

static int
preview_file(void *ctx, struct str path, struct str text, struct err *err)
{
	struct preview *p = ctx;

	(void)err;
	if (!is_of(p, path))
		return 0;
	json_out_object(p->o);
	json_out_key(p->o, "path");
	json_out_str(p->o, path);
	json_out_key(p->o, "text");
	json_out_str(p->o, text.ptr != NULL ? text : STR(""));
	json_out_end_object(p->o);
	return 0;
}

static void
preview_fault(void *ctx, struct str where, struct str what)
{
	struct preview *p = ctx;
	struct json_out *o = &p->faults_out;

	if (!is_of(p, where))
		return;
	json_out_object(o);
	json_out_key(o, "where");
	json_out_str(o, where);
	json_out_key(o, "what");
	json_out_str(o, what);
	json_out_end_object(o);
}

static void
handle_preview(struct http_call *c)
{
	struct preview p = { .a = &c->arena };
	struct target_site site = { 0 };
	struct looked w;
	struct err err;
	int rc = 0;

	if (!look(c, &w))
		return;
	site.agent_url = w.f->conf.public_url;
	p.config = fleet_config_find(&w.snap.state, http_var(c, 0));
	if (p.config == NULL) {
		http_error(
		    c, 404, "err_not_found", "there is no such configuration");
		looked_done(&w);
		return;
	}
	json_out_init(&p.faults_out, &p.faults, false);
	json_out_array(&p.faults_out);
	p.o = rest_data(c);
	json_out_key(p.o, "target");
	json_out_str(p.o,
	    target_of(p.config) != NULL ? str_of(target_of(p.config)->name)
					: STR_NULL);
	json_out_key(p.o, "files");
	json_out_array(p.o);
	for (size_t i = 0; rc == 0 && targets[i] != NULL; i++)
		if (targets[i]->generate != NULL)
			rc = targets[i]->generate(&w.snap.state, &w.l->catalog,
			    &site, preview_file, preview_fault, &p, &err);
	json_out_end_array(p.o);
	json_out_end_array(&p.faults_out);
	json_out_key(p.o, "faults");
	json_out_raw(p.o, buf_str(&p.faults));
	rest_data_end(c);
	if (rc != 0)
		fleet_state_error(c, &err);
	buf_free(&p.faults);
	looked_done(&w);
}

/* --- inputs --------------------------------------------------------------- */

/* What flake.lock says of an input: its node. */
static struct str
locked(struct arena *a, struct str lock, struct str name)
{
	struct str nodes, root, key = STR_NULL, s;
	struct json j;

	nodes = json_find(a, lock, STR("nodes"));
	root = json_find(a, json_find(a, nodes, STR("root")), STR("inputs"));
	s = json_find(a, root, name);
	json_open(&j, s, 0, a);
	if (s.ptr == NULL || json_peek(&j) != JSON_STRING ||
	    !json_str(&j, &key))
		return STR_NULL;
	return json_find(a, json_find(a, nodes, key), STR("locked"));
}

static const struct fleet_input_status *
status_of(const struct fleet_loaded *l, struct str name)
{
	for (size_t i = 0; i < l->n_inputs; i++)
		if (str_eq(l->inputs[i].name, name))
			return &l->inputs[i];
	return NULL;
}

static void
put_ref(struct arena *a, struct json_out *o, struct str url)
{
	struct flake_ref r = { 0 };
	struct err err;
	bool ok = flake_ref_read(url, a, &r, &err) == 0;

	json_out_key(o, "type");
	json_out_str(o, ok ? str_of(flake_type_names[r.type]) : STR_NULL);
	json_out_key(o, "host");
	json_out_str(o, r.host);
	json_out_key(o, "owner");
	json_out_str(o, r.owner);
	json_out_key(o, "repo");
	json_out_str(o, r.repo);
	json_out_key(o, "ref");
	json_out_str(o, r.ref);
	json_out_key(o, "rev");
	json_out_str(o, r.rev);
}

static void
put_input(struct http_call *c, struct json_out *o, const struct fleet_input *in,
    const struct fleet_input_status *st, struct str lock)
{
	json_out_object(o);
	json_out_key(o, "name");
	json_out_str(o, in->name);
	json_out_key(o, "url");
	json_out_str(o, in->url);
	json_out_key(o, "follows");
	json_out_str(o, in->follows);
	put_ref(&c->arena, o, in->url.ptr != NULL ? in->url : STR(""));
	json_out_key(o, "status");
	json_out_str(o, st != NULL ? str_of(st->status) : STR("input"));
	json_out_key(o, "details");
	json_out_str(o, st != NULL ? st->details : STR_NULL);
	json_out_key(o, "modules");
	json_out_array(o);
	for (size_t i = 0; st != NULL && i < st->n; i++)
		json_out_str(o, st->modules[i]->type);
	json_out_end_array(o);
	json_out_key(o, "faults");
	json_out_array(o);
	for (size_t i = 0; st != NULL && i < st->faults.n; i++)
		json_out_str(o, st->faults.at[i]);
	json_out_end_array(o);
	json_out_key(o, "locked");
	json_out_raw(o, locked(&c->arena, lock, in->name));
	json_out_end_object(o);
}

static void
handle_inputs(struct http_call *c)
{
	struct json_out *o;
	struct looked w;

	if (!look(c, &w))
		return;
	o = http_json(c, 200);
	json_out_object(o);
	json_out_key(o, "data");
	json_out_array(o);
	for (size_t i = 0; i < w.snap.state.n_inputs; i++) {
		const struct fleet_input *in = &w.snap.state.inputs[i];

		put_input(c, o, in, status_of(w.l, in->name), w.l->lock);
	}
	json_out_end_array(o);
	json_out_end_object(o);
	looked_done(&w);
}

/* Asks whether it can be reached; nothing is changed. */
static void
handle_test(struct http_call *c)
{
	const struct fleet_input *in;
	struct fleet_nix nix = { 0 };
	struct str said = STR_NULL;
	struct json_out *o;
	struct looked w;
	struct err err;
	int rc;

	if (!look(c, &w))
		return;
	in = fleet_input_find(&w.snap.state, http_var(c, 0));
	if (in == NULL || in->url.len == 0) {
		http_error(c, 404, "err_not_found",
		    "there is no such repository with an address");
		looked_done(&w);
		return;
	}
	nix.f = w.f;
	nix.unit_id = w.unit;
	nix.s = &w.snap.state;
	rc = fleet_input_check(w.f, in->url, &err);
	if (rc == 0)
		rc = fleet_nix_open(
		    &nix, STR("{ outputs = _: { }; }"), STR_NULL, &err);
	if (rc == 0) {
		const char *const args[] = { "flake", "metadata", "--json",
			"--no-write-lock-file", "--refresh",
			arena_z(&c->arena, in->url), NULL };

		rc = fleet_nix_run(&nix, args,
		    w.f->conf.lock_ms > 0 ? w.f->conf.lock_ms : 60000,
		    &c->arena, &said, &err);
	}
	fleet_nix_close(&nix);
	o = rest_data(c);
	json_out_key(o, "ok");
	json_out_bool(o, rc == 0);
	json_out_key(o, "details");
	json_out_str(o,
	    rc == 0            ? STR_NULL
		: said.len > 0 ? said
			       : str_of(err.text));
	json_out_key(o, "locked");
	json_out_raw(
	    o, rc == 0 ? json_find(&c->arena, said, STR("locked")) : STR_NULL);
	rest_data_end(c);
	looked_done(&w);
}

/* Brings one input, or all, to what is newest. */
static void
update(struct http_call *c, struct str name)
{
	struct fleet *f = fleet_of(c);
	struct fleet_inputs in;
	struct fleet_state s;
	struct fleet_repo *r;
	struct json_out *o;
	struct str unit;
	struct err err;
	int rc;

	if (!fleet_call_repo(c, REST_PATCH, &r))
		return;
	rc = fleet_repo_state(r, &c->arena, &s, &err);
	if (rc == 0 && name.ptr != NULL && fleet_input_find(&s, name) == NULL &&
	    !str_eqz(name, "nixpkgs") && !str_eqz(name, "thymis"))
		rc = err_set(&err, ERR_NOT_FOUND, "there is no such input");
	if (rc == 0)
		rc = fleet_inputs_read(r->dir, &c->arena, &in, &err);
	/* others go on meanwhile */
	unit = arena_str(&c->arena, r->unit_id);
	fleet_repo_give(r);
	if (rc == 0)
		rc = fleet_inputs_newest(
		    f, unit, &s, name, &c->arena, &in, &err);
	if (rc == 0)
		rc = fleet_repo_take(f, unit, &r, &err);
	if (rc != 0) {
		fleet_state_error(c, &err);
		return;
	}
	rc = fleet_inputs_put(f, unit, r->dir, &in, &err);
	if (rc == 0)
		rc = fleet_repo_reload(r, &err);
	if (rc == 0) {
		o = rest_data(c);
		fleet_faults_put(o, r);
		rest_data_end(c);
	}
	fleet_repo_give(r);
	if (rc != 0)
		fleet_state_error(c, &err);
}

static void
handle_update(struct http_call *c)
{
	update(c, http_var(c, 0));
}

static void
handle_update_all(struct http_call *c)
{
	update(c, STR_NULL);
}

/* --- the rows ------------------------------------------------------------- */

struct modules_query {
	struct str unit, lang;
};
static const struct field modules_query_fields[] = {
	FLEET_UNIT_QUERY(struct modules_query),
	F_TEXT(struct modules_query, lang, "lang",
	    .help = "Language of the texts: en, de."),
	{ 0 },
};
static const struct record modules_query = { "fleetModulesQuery",
	sizeof(struct modules_query), modules_query_fields };

struct shown_module {
	struct str type, display_name, description, category, icon, icon_dark;
	struct strs targets;
	bool each_source;
	struct str input, settings;
};
#define M struct shown_module
static const struct field module_fields[] = {
	F_TEXT(M, type, "type", .help = "What state.json calls it."),
	F_TEXT(M, display_name, "displayName"),
	F_TEXT(M, description, "description", .flags = FIELD_NULL),
	F_TEXT(M, category, "category", .flags = FIELD_NULL),
	F_TEXT(M, icon, "icon", .flags = FIELD_NULL,
	    .help = "The name of a symbol, or data:image/...;base64,..."),
	F_TEXT(M, icon_dark, "iconDark", .flags = FIELD_NULL),
	F_TEXTS(M, targets, "targets", .help = "nixos, linux."),
	F_BOOL(M, each_source, "eachSource",
	    .help = "A configuration and each of its tags have one of their "
		    "own, instead of settings that are merged."),
	F_TEXT(M, input, "input", .flags = FIELD_NULL,
	    .help = "The repository it comes from; null: built in."),
	F_JSON(M, settings, "settings", .flags = FIELD_OBJECT,
	    .help = "By key: displayName, type, description, default, "
		    "example, order, option, merge."),
	{ 0 },
};
static const struct record module_record = { "fleetModule", sizeof(M),
	module_fields };
#undef M

struct shown_definition {
	struct str module, setting, value, tag;
	int64_t priority;
	bool wins, conflict;
};
#define D struct shown_definition
static const struct field definition_fields[] = {
	F_TEXT(D, module, "module"),
	F_TEXT(D, setting, "setting"),
	F_JSON(D, value, "value"),
	F_TEXT(D, tag, "tag", .flags = FIELD_NULL,
	    .help = "Whose it is; null: the configuration's own."),
	F_INT(D, priority, "priority", .help = "The lowest number wins."),
	F_BOOL(D, wins, "wins",
	    .help = "It reaches the device, alone or merged with others."),
	F_BOOL(D, conflict, "conflict",
	    .help = "Another of the same priority says something else."),
	{ 0 },
};
static const struct record definition_record = { "fleetDefinition", sizeof(D),
	definition_fields };
#undef D

struct shown_preview {
	struct str target, files, faults;
};
#define P struct shown_preview
static const struct field preview_fields[] = {
	F_TEXT(P, target, "target", .flags = FIELD_NULL,
	    .help = "nixos, linux; null: the device has no type yet."),
	F_JSON(P, files, "files", .help = "A list of {path, text}."),
	F_JSON(P, faults, "faults", .help = "A list of {where, what}."),
	{ 0 },
};
static const struct record preview_record = { "fleetPreview", sizeof(P),
	preview_fields };
#undef P

struct shown_input {
	struct str name, url, follows, type, host, owner, repo, ref, rev;
	struct str status, details, locked;
	struct strs modules, faults;
};
#define I struct shown_input
static const struct field input_fields[] = {
	F_TEXT(I, name, "name"),
	F_TEXT(I, url, "url", .flags = FIELD_NULL),
	F_TEXT(I, follows, "follows", .flags = FIELD_NULL),
	F_TEXT(I, type, "type", .flags = FIELD_NULL,
	    .help = "indirect, git, github, gitlab, path, tarball."),
	F_TEXT(I, host, "host", .flags = FIELD_NULL),
	F_TEXT(I, owner, "owner", .flags = FIELD_NULL),
	F_TEXT(I, repo, "repo", .flags = FIELD_NULL),
	F_TEXT(I, ref, "ref", .flags = FIELD_NULL),
	F_TEXT(I, rev, "rev", .flags = FIELD_NULL),
	F_TEXT(I, status, "status",
	    .help = "loaded, no-url, no-path, no-readme, no-magic-string, "
		    "no-modules; input: no modules are expected of it."),
	F_TEXT(I, details, "details", .flags = FIELD_NULL,
	    .help = "What Nix said."),
	F_TEXTS(I, modules, "modules", .help = "Types that it brings."),
	F_TEXTS(I, faults, "faults", .help = "Files that could not be read."),
	F_JSON(I, locked, "locked", .flags = FIELD_NULL,
	    .help = "What flake.lock says: rev, lastModified, narHash."),
	{ 0 },
};
static const struct record input_record = { "fleetInput", sizeof(I),
	input_fields };
#undef I

struct shown_test {
	bool ok;
	struct str details, locked;
};
#define T struct shown_test
static const struct field test_fields[] = {
	F_BOOL(T, ok, "ok"),
	F_TEXT(T, details, "details", .flags = FIELD_NULL,
	    .help = "Why it can not be reached."),
	F_JSON(T, locked, "locked", .flags = FIELD_NULL,
	    .help = "What it has now: rev, lastModified."),
	{ 0 },
};
static const struct record test_record = { "fleetInputTest", sizeof(T),
	test_fields };
#undef T

struct shown_update {
	struct str faults;
};
static const struct field update_fields[] = {
	F_JSON(struct shown_update, faults, "faults",
	    .help = "A list of {where, what}."),
	{ 0 },
};
static const struct record update_record = { "fleetInputUpdate",
	sizeof(struct shown_update), update_fields };

#define ROW(verb, path, what)                                                  \
	verb, path, HTTP_TOKEN, .scope = "fleet.state." what,                  \
				.query = &fleet_unit_query

const struct http_route fleet_module_rows[] = {
	{ "GET", "/module/list", HTTP_TOKEN, .scope = "fleet.state.get",
	    .query = &modules_query,
	    .reply = { .record = &module_record, .list = true },
	    .handle = handle_modules, .flags = HTTP_SLOW,
	    .help = "Modules that a unit has, with their settings." },
	{ ROW("GET", "/configuration/{identifier}/definition/list", "get"),
	    .reply = { .record = &definition_record, .list = true },
	    .handle = handle_definitions, .flags = HTTP_SLOW,
	    .help = "All definitions that count for a configuration, and "
		    "which of them wins." },
	{ ROW("GET", "/configuration/{identifier}/preview", "get"),
	    .reply = { .record = &preview_record }, .handle = handle_preview,
	    .flags = HTTP_SLOW,
	    .help = "The files that are generated for a configuration." },
	{ ROW("GET", "/input/list", "get"),
	    .reply = { .record = &input_record, .list = true },
	    .handle = handle_inputs, .flags = HTTP_SLOW,
	    .help = "The repositories of a unit, and the modules that they "
		    "bring." },
	{ ROW("POST", "/input/update", "patch"), .name = "input.update.all",
	    .reply = { .record = &update_record }, .handle = handle_update_all,
	    .flags = HTTP_SLOW,
	    .help = "Brings all repositories to what is newest." },
	{ ROW("POST", "/input/{name}/update", "patch"),
	    .reply = { .record = &update_record }, .handle = handle_update,
	    .flags = HTTP_SLOW,
	    .help = "Brings one repository to what is newest." },
	{ ROW("POST", "/input/{name}/test", "patch"),
	    .reply = { .record = &test_record }, .handle = handle_test,
	    .flags = HTTP_SLOW,
	    .help = "Asks whether a repository can be reached." },
	{ 0 },
};
