/*
 * core/fleet/module.c - the modules that a unit has, and the files that are
 * generated from its state.
 *
 * A unit has the modules that come with Marram, and those of its inputs. The
 * latter lie in the Nix store, where flake.lock says; they are looked for anew
 * when flake.nix or flake.lock is another, each by itself: one that can not be
 * found takes none of the others along. A catalog that somebody uses stays as
 * it is until he is done.
 */
#include "core/fleet/module.h"

#include "base/base.h"
#include "base/file.h"
#include "base/mem.h"
#include "codec/nix.h"
#include "plug/target/nixos_generate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_MS 300000 /* until an input is there */

struct unit {
	struct unit *next;
	char *id;
	pthread_mutex_t loading; /* by one at a time */
	struct fleet_loaded *now;
	/* What is known of locking, with the repository held: flake.nix that
	 * could not be locked, and why; flake.nix and the flake.lock that was
	 * found for it. */
	char *unlocked, *why;
	char *found_for, *found;
};

struct fleet_modules {
	pthread_mutex_t lock; /* of units, and of references */
	struct unit *units;
	struct arena arena; /* of those that are built in */
	struct fleet_module **builtin;
	size_t n;
};

/* --- what is loaded ------------------------------------------------------- */

static void
unref(struct fleet_loaded *l)
{
	if (l == NULL || --l->refs > 0)
		return;
	arena_fini(&l->arena);
	free(l);
}

static struct unit *
unit_of(struct fleet_modules *m, struct str id)
{
	struct unit *u;

	pthread_mutex_lock(&m->lock);
	for (u = m->units; u != NULL && !str_eqz(id, u->id); u = u->next)
		;
	if (u == NULL) {
		u = mem_new(struct unit);
		u->id = str_dupz(id);
		pthread_mutex_init(&u->loading, NULL);
		u->next = m->units;
		m->units = u;
	}
	pthread_mutex_unlock(&m->lock);
	return u;
}

static const struct fleet_loaded *
take(struct fleet_modules *m, struct unit *u)
{
	struct fleet_loaded *l;

	pthread_mutex_lock(&m->lock);
	l = u->now;
	l->refs++;
	pthread_mutex_unlock(&m->lock);
	return l;
}

void
fleet_loaded_done(struct fleet *f, const struct fleet_loaded *l)
{
	if (l == NULL)
		return;
	pthread_mutex_lock(&f->modules->lock);
	unref((struct fleet_loaded *)(uintptr_t)l);
	pthread_mutex_unlock(&f->modules->lock);
}

int
fleet_input_check(struct fleet *f, struct str url, struct err *err)
{
	struct arena a = { 0 };
	struct flake_ref r;
	int rc = flake_ref_read(url, &a, &r, err);

	if (rc == 0 && !f->conf.local_inputs &&
	    (r.type == FLAKE_PATH || str_eqz(r.protocol, "file") ||
		(r.type == FLAKE_TARBALL &&
		    memmem(url.ptr, url.len, "file:", 5) != NULL)))
		rc = err_set(err, ERR_DENIED,
		    "folders of this machine are no repositories here "
		    "(fleet.nix.localInputs)");
	arena_fini(&a);
	return rc;
}

/* May modules come from it? */
static bool
is_source(const struct fleet_input *in)
{
	return !str_eqz(in->name, "nixpkgs") && !str_eqz(in->name, "thymis") &&
	    in->follows.len == 0;
}

/* The inputs that flake.lock knows, as JSON; null: none. */
static struct str
locked_inputs(struct arena *a, struct str lock)
{
	static const char *const path[] = { "nodes", "root", "inputs" };

	for (size_t i = 0; lock.ptr != NULL && i < COUNT_OF(path); i++)
		lock = json_find(a, lock, str_of(path[i]));
	return lock;
}

/* Asks Nix where it lies, by a flake that has it alone. It goes by flake.lock
 * as long as the address is the same. */
static int
find_path(struct fleet *f, struct str unit_id, const struct fleet_state *s,
    const struct fleet_input *in, struct str lock, struct arena *a,
    struct str *ret, struct err *err)
{
	static const char *const args[] = { "eval", "--raw",
		"--no-write-lock-file", "FLAKE#path", NULL };
	struct fleet_nix nix = { .f = f, .unit_id = unit_id, .s = s };
	struct buf b = { 0 };
	int rc;

	buf_addz(&b, "{ inputs.");
	nix_name(&b, in->name);
	buf_addz(&b, " = { flake = false; url = ");
	nix_string(&b, in->url);
	buf_addz(&b, "; }; outputs = all: { path = all.");
	nix_name(&b, in->name);
	buf_addz(&b, ".outPath; }; }\n");
	*ret = STR_NULL;
	rc = fleet_nix_open(&nix, buf_str(&b), lock, err);
	if (rc == 0)
		rc = fleet_nix_run(&nix, args,
		    f->conf.lock_ms > 0 ? f->conf.lock_ms : PATH_MS, a, ret,
		    err);
	fleet_nix_close(&nix);
	buf_free(&b);
	return rc;
}

/* Where the input lies, and what it has. */
static void
look(struct fleet *f, struct str unit_id, const struct fleet_state *s,
    const struct fleet_input *in, struct str lock, struct arena *a,
    struct fleet_input_status *st)
{
	struct err err;
	struct str path;

	st->name = arena_str(a, in->name);
	if (in->url.len == 0) {
		st->status = "no-url";
		return;
	}
	st->status = "no-path";
	if (fleet_input_check(f, in->url, &err) != 0) {
		st->details = arena_str(a, str_of(err.text));
		return;
	}
	if (json_find(a, locked_inputs(a, lock), in->name).ptr == NULL) {
		st->details =
		    STR("it is not in flake.lock yet: update it, or test it, "
			"to see why");
		return;
	}
	if (find_path(f, unit_id, s, in, lock, a, &path, &err) != 0) {
		st->details =
		    path.len > 0 ? path : arena_str(a, str_of(err.text));
		return;
	}
	fleet_scan(arena_z(a, path), a, st);
}

static void
load(struct fleet *f, struct str unit_id, const struct fleet_state *s,
    struct str lock, struct fleet_loaded *l)
{
	struct fleet_modules *m = f->modules;
	struct arena *a = &l->arena;
	const struct fleet_module **all;
	size_t room = m->n;

	l->inputs = arena_array(a, s->n_inputs + 1, struct fleet_input_status);
	for (size_t i = 0; i < s->n_inputs; i++) {
		struct fleet_input_status *st = &l->inputs[l->n_inputs];

		if (!is_source(&s->inputs[i]))
			continue;
		look(f, unit_id, s, &s->inputs[i], lock, a, st);
		room += st->n;
		l->n_inputs++;
	}

	all = arena_array(a, room + 1, const struct fleet_module *);
	l->catalog.modules = all;
	for (size_t i = 0; i < m->n; i++)
		all[l->catalog.n++] = m->builtin[i];
	for (size_t i = 0; i < l->n_inputs; i++)
		for (size_t k = 0; k < l->inputs[i].n; k++) {
			struct fleet_module *mod = l->inputs[i].modules[k];

			if (fleet_module_find(&l->catalog, mod->type) == NULL) {
				all[l->catalog.n++] = mod;
			} else {
				struct strs *faults = &l->inputs[i].faults;
				struct str *more =
				    arena_array(a, faults->n + 1, struct str);

				if (faults->n > 0)
					memcpy(more, faults->at,
					    faults->n * sizeof(*more));
				more[faults->n++] = arena_printf(a,
				    STR_FMT ": there is another module of "
					    "this type",
				    STR_ARG(mod->type));
				faults->at = more;
			}
		}
}

/* What a catalog depends on. */
static struct str
mark_of(struct arena *a, const struct fleet_state *s, struct str flake,
    struct str lock)
{
	struct buf b = { 0 };
	struct str ret;

	for (size_t i = 0; i < s->n_inputs; i++)
		buf_addf(&b, STR_FMT "=" STR_FMT "\n",
		    STR_ARG(s->inputs[i].name), STR_ARG(s->inputs[i].url));
	buf_add_str(&b, flake);
	buf_add_str(&b, lock);
	ret = arena_str(a, b.len > 0 ? buf_str(&b) : STR(""));
	buf_free(&b);
	return ret;
}

/* The catalog for this state and these files, loaded when it is another than
 * the one that is there. */
static const struct fleet_loaded *
loaded_for(struct fleet *f, struct str unit_id, const struct fleet_state *s,
    struct str flake, struct str lock)
{
	struct fleet_modules *m = f->modules;
	struct unit *u = unit_of(m, unit_id);
	struct arena a = { 0 };
	struct str mark = mark_of(&a, s, flake, lock);
	const struct fleet_loaded *ret;

	/* who has what is there does not wait for who loads another */
	pthread_mutex_lock(&m->lock);
	if (u->now != NULL && str_eq(u->now->mark, mark)) {
		u->now->refs++;
		ret = u->now;
		pthread_mutex_unlock(&m->lock);
		arena_fini(&a);
		return ret;
	}
	pthread_mutex_unlock(&m->lock);
	pthread_mutex_lock(&u->loading);
	if (u->now == NULL || !str_eq(u->now->mark, mark)) {
		struct fleet_loaded *l = mem_new(struct fleet_loaded), *was;

		l->refs = 1;
		l->mark = arena_str(&l->arena, mark);
		l->lock = arena_str(&l->arena, lock);
		load(f, unit_id, s, lock, l);
		pthread_mutex_lock(&m->lock);
		was = u->now;
		u->now = l;
		unref(was);
		pthread_mutex_unlock(&m->lock);
	}
	ret = take(m, u);
	pthread_mutex_unlock(&u->loading);
	arena_fini(&a);
	return ret;
}

static struct str
read_below(struct arena *a, const char *dir, const char *name)
{
	struct buf b = { 0 };
	struct str s = STR_NULL;

	if (file_read(
		arena_z(a, arena_printf(a, "%s/%s", dir, name)), &b, NULL) == 0)
		s = arena_str(a, b.len > 0 ? buf_str(&b) : STR(""));
	buf_free(&b);
	return s;
}

int
fleet_loaded_of(struct fleet *f, struct str unit_id,
    const struct fleet_loaded **ret, struct err *err)
{
	struct arena a = { 0 };
	struct fleet_state s = { 0 };
	const char *dir = arena_z(&a,
	    arena_printf(
		&a, "%s/" STR_FMT "/repository", f->dir, STR_ARG(unit_id)));
	struct str json = read_below(&a, dir, "state.json");

	(void)err;
	/* who edits the state is told what is wrong with it; modules are there
	 * all the same */
	if (json.ptr != NULL && fleet_state_read(json, &a, &s, NULL, NULL) != 0)
		memset(&s, 0, sizeof(s));
	*ret = loaded_for(f, unit_id, &s, read_below(&a, dir, "flake.nix"),
	    read_below(&a, dir, "flake.lock"));
	arena_fini(&a);
	return 0;
}

int
fleet_catalog_of(struct fleet *f, struct str unit_id,
    const struct fleet_catalog **ret, struct err *err)
{
	const struct fleet_loaded *l;
	int rc = fleet_loaded_of(f, unit_id, &l, err);

	if (rc == 0)
		*ret = &l->catalog;
	return rc;
}

void
fleet_catalog_done(struct fleet *f, const struct fleet_catalog *c)
{
	if (c != NULL)
		fleet_loaded_done(
		    f, container_of(c, struct fleet_loaded, catalog));
}

/* --- generating ----------------------------------------------------------- */

struct generating {
	struct fleet *f;
	struct str unit_id;
	const struct fleet_state *s;
	struct target_site site;
	const char *dir;
	struct fleet_tree *tree;
	struct buf flake; /* text of flake.nix */
	struct json_out faults;
	bool quiet; /* told already */
	struct arena arena;
};

static int
take_flake(void *ctx, struct str path, struct str text, struct err *err)
{
	struct generating *g = ctx;

	(void)err;
	if (str_eqz(path, "flake.nix"))
		buf_add_str(&g->flake, text);
	return 0;
}

static int
take_file(void *ctx, struct str path, struct str text, struct err *err)
{
	struct generating *g = ctx;

	return fleet_tree_put(g->tree, path, text, err);
}

static void
take_fault(void *ctx, struct str where, struct str what)
{
	struct generating *g = ctx;

	if (g->quiet)
		return;
	json_out_object(&g->faults);
	json_out_key(&g->faults, "where");
	json_out_str(&g->faults, where);
	json_out_key(&g->faults, "what");
	json_out_str(&g->faults, what);
	json_out_end_object(&g->faults);
}

/* The state without inputs that may not be. */
static struct fleet_state
allowed(struct generating *g)
{
	struct fleet_state s = *g->s;

	s.inputs = arena_array(&g->arena, s.n_inputs + 1, struct fleet_input);
	s.n_inputs = 0;
	for (size_t i = 0; i < g->s->n_inputs; i++) {
		const struct fleet_input *in = &g->s->inputs[i];
		struct err err;

		if (in->url.len > 0 &&
		    fleet_input_check(g->f, in->url, &err) != 0)
			take_fault(g, in->name, str_of(err.text));
		else
			s.inputs[s.n_inputs++] = *in;
	}
	return s;
}

static bool
needs_lock(const struct fleet_state *s)
{
	for (size_t i = 0; i < s->n_configs; i++)
		if (target_of(&s->configs[i]) != &target_linux)
			return true;
	for (size_t i = 0; i < s->n_inputs; i++)
		if (is_source(&s->inputs[i]))
			return true;
	return false;
}

/* Does flake.lock know all inputs of the state? */
static bool
has_inputs(struct arena *a, struct str lock, const struct fleet_state *s)
{
	struct str at = locked_inputs(a, lock);

	for (size_t i = 0; at.ptr != NULL && i < s->n_inputs; i++)
		if (json_find(a, at, s->inputs[i].name).ptr == NULL)
			return false;
	return at.ptr != NULL;
}

/* How flake.lock stands to a flake.nix that is to be: `now` is what it has. */
enum locked { LOCK_GOOD, LOCK_FAILED, LOCK_FOUND, LOCK_WANTED };

static enum locked
look_at_lock(struct generating *g, const struct fleet_state *s, struct str *now)
{
	struct unit *u = unit_of(g->f->modules, g->unit_id);
	struct str was = read_below(&g->arena, g->dir, "flake.nix");

	*now = read_below(&g->arena, g->dir, "flake.lock");
	if (!needs_lock(s) || g->f->conf.lock_ms == 0)
		return LOCK_GOOD;
	if (u->unlocked != NULL && str_eqz(buf_str(&g->flake), u->unlocked))
		return LOCK_FAILED;
	if (str_eq(was, buf_str(&g->flake)) && has_inputs(&g->arena, *now, s))
		return LOCK_GOOD;
	return u->found_for != NULL && str_eqz(buf_str(&g->flake), u->found_for)
	    ? LOCK_FOUND
	    : LOCK_WANTED;
}

/* Has Nix find all inputs; it may take long. */
static int
find_lock(struct fleet *f, struct str unit_id, const struct fleet_state *s,
    struct str flake, struct str now, struct arena *a, struct str *ret,
    struct err *err)
{
	static const char *const args[] = { "flake", "lock", "FLAKE", NULL };
	struct fleet_nix nix = { .f = f, .unit_id = unit_id, .s = s };
	struct str out;
	int rc = fleet_nix_open(&nix, flake, now, err);

	if (rc == 0)
		rc = fleet_nix_run(&nix, args, f->conf.lock_ms, a, &out, err);
	if (rc == 0)
		rc = fleet_nix_lock(&nix, a, ret, err);
	fleet_nix_close(&nix);
	return rc;
}

static void
forget_lock(struct unit *u)
{
	char **const all[] = { &u->unlocked, &u->why, &u->found_for,
		&u->found };

	for (size_t i = 0; i < COUNT_OF(all); i++) {
		free(*all[i]);
		*all[i] = NULL;
	}
}

static void
keep_failure(struct unit *u, struct str flake, const struct err *why)
{
	forget_lock(u);
	u->unlocked = str_dupz(flake);
	u->why = mem_printf(
	    "the inputs could not be found, update them later: %s", why->text);
}

/* flake.lock for this flake.nix: what is there, or made anew. What can not be
 * locked is tried again when flake.nix is another. */
static struct str
lock(struct generating *g, const struct fleet_state *s)
{
	struct unit *u = unit_of(g->f->modules, g->unit_id);
	struct str flake = buf_str(&g->flake), now, found = STR_NULL;
	enum locked is = look_at_lock(g, s, &now);
	struct err err;
	int rc = 0;

	if (is == LOCK_GOOD)
		return now;
	if (is == LOCK_FAILED) {
		take_fault(g, STR("flake.lock"), str_of(u->why));
		return now;
	}
	if (is == LOCK_FOUND)
		found = arena_str(&g->arena, str_of(u->found));
	else
		rc = find_lock(
		    g->f, g->unit_id, s, flake, now, &g->arena, &found, &err);
	if (rc == 0)
		rc = fleet_tree_put(g->tree, STR("flake.lock"), found, &err);
	if (rc == 0) {
		forget_lock(u);
		return found;
	}
	keep_failure(u, flake, &err);
	take_fault(g, STR("flake.lock"), str_of(u->why));
	return now;
}

static int
generate(struct generating *g, const struct fleet_state *s,
    const struct fleet_catalog *c, struct err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && targets[i] != NULL; i++)
		if (targets[i]->generate != NULL)
			rc = targets[i]->generate(
			    s, c, &g->site, take_file, take_fault, g, err);
	if (rc == 0)
		rc = fleet_tree_prune(g->tree, "hosts", err);
	if (rc == 0)
		rc = fleet_tree_prune(g->tree, "tags", err);
	if (rc == 0)
		rc = fleet_tree_prune(g->tree, "modules", err);
	return rc;
}

static void
tell_inputs(struct generating *g, const struct fleet_loaded *l)
{
	for (size_t i = 0; i < l->n_inputs; i++)
		for (size_t k = 0; k < l->inputs[i].faults.n; k++)
			take_fault(
			    g, l->inputs[i].name, l->inputs[i].faults.at[k]);
}

int
fleet_generate(struct fleet *f, struct str unit_id, const struct fleet_state *s,
    const char *dir, struct buf *faults, struct err *err)
{
	struct generating g = { .f = f,
		.unit_id = unit_id,
		.s = s,
		.dir = dir,
		.site = { f->conf.public_url, f->conf.thymis_url,
		    f->conf.nixpkgs_url } };
	static const struct fleet_catalog none = { NULL, 0 };
	const struct fleet_loaded *l = NULL;
	struct fleet_state may;
	struct str locked;
	int rc = fleet_tree_open(dir, &g.tree, err);

	json_out_init(&g.faults, faults, false);
	json_out_array(&g.faults);
	may = allowed(&g);
	g.quiet = true;
	if (rc == 0)
		rc = nixos_generate(
		    &may, &none, &g.site, take_flake, take_fault, &g, err);
	g.quiet = false;
	if (rc == 0) {
		locked = lock(&g, &may);
		l = loaded_for(f, unit_id, s, buf_str(&g.flake), locked);
		tell_inputs(&g, l);
		rc = generate(&g, &may, &l->catalog, err);
	}
	json_out_end_array(&g.faults);
	fleet_loaded_done(f, l);
	fleet_tree_close(g.tree);
	buf_free(&g.flake);
	arena_fini(&g.arena);
	return rc;
}

/* --- without the repository ----------------------------------------------- */

/* Only what is looked at, and nothing is written. */
static int
begin_looking(struct generating *g, struct fleet_state *may, struct err *err)
{
	static const struct fleet_catalog none = { NULL, 0 };

	g->quiet = true;
	*may = allowed(g);
	return nixos_generate(
	    may, &none, &g->site, take_flake, take_fault, g, err);
}

int
fleet_inputs_look(struct fleet *f, struct str unit_id,
    const struct fleet_state *s, const char *dir, struct arena *a,
    struct fleet_inputs *ret, struct err *err)
{
	struct generating g = { .f = f,
		.unit_id = unit_id,
		.s = s,
		.dir = dir,
		.site = { f->conf.public_url, f->conf.thymis_url,
		    f->conf.nixpkgs_url } };
	struct fleet_state may;
	struct str now;
	int rc = begin_looking(&g, &may, err);

	*ret = (struct fleet_inputs){ 0 };
	if (rc == 0) {
		ret->wanted = look_at_lock(&g, &may, &now) == LOCK_WANTED;
		ret->flake = arena_str(a, buf_str(&g.flake));
		ret->was = arena_str(a, now);
	}
	buf_free(&g.flake);
	arena_fini(&g.arena);
	return rc;
}

void
fleet_inputs_find(struct fleet *f, struct str unit_id,
    const struct fleet_state *s, struct arena *a, struct fleet_inputs *in)
{
	const struct fleet_loaded *l;

	if (find_lock(f, unit_id, s, in->flake, in->was, a, &in->found,
		&in->err) != 0)
		return;
	/* so that it is there when it is needed */
	l = loaded_for(f, unit_id, s, in->flake, in->found);
	fleet_loaded_done(f, l);
}

void
fleet_inputs_found(
    struct fleet *f, struct str unit_id, const struct fleet_inputs *in)
{
	struct unit *u = unit_of(f->modules, unit_id);

	if (in->err.code != 0) {
		keep_failure(u, in->flake, &in->err);
		return;
	}
	forget_lock(u);
	u->found_for = str_dupz(in->flake);
	u->found = str_dupz(in->found);
}

int
fleet_inputs_newest(struct fleet *f, struct str unit_id,
    const struct fleet_state *s, struct str name, struct arena *a,
    struct fleet_inputs *in, struct err *err)
{
	const char *one = name.ptr != NULL ? arena_z(a, name) : NULL;
	const char *const all[] = { "flake", "update", "FLAKE", NULL };
	const char *const single[] = { "flake", "lock", "--update-input", one,
		"FLAKE", NULL };
	struct fleet_nix nix = { .f = f, .unit_id = unit_id, .s = s };
	const struct fleet_loaded *l;
	struct str out;
	int rc = fleet_nix_open(&nix, in->flake, in->was, err);

	if (rc == 0)
		rc = fleet_nix_run(
		    &nix, one != NULL ? single : all, PATH_MS, a, &out, err);
	if (rc == 0)
		rc = fleet_nix_lock(&nix, a, &in->found, err);
	fleet_nix_close(&nix);
	if (rc != 0)
		return rc;
	l = loaded_for(f, unit_id, s, in->flake, in->found);
	fleet_loaded_done(f, l);
	return 0;
}

int
fleet_inputs_read(
    const char *dir, struct arena *a, struct fleet_inputs *ret, struct err *err)
{
	*ret = (struct fleet_inputs){ .flake = read_below(a, dir, "flake.nix"),
		.was = read_below(a, dir, "flake.lock") };
	return ret->flake.ptr != NULL
	    ? 0
	    : err_set(err, ERR_NOT_FOUND, "there is no flake.nix yet");
}

int
fleet_inputs_put(struct fleet *f, struct str unit_id, const char *dir,
    const struct fleet_inputs *in, struct err *err)
{
	struct fleet_tree *tree = NULL;
	struct fleet_inputs there;
	struct arena a = { 0 };
	int rc = fleet_inputs_read(dir, &a, &there, err);

	if (rc == 0 &&
	    (!str_eq(there.flake, in->flake) || !str_eq(there.was, in->was)))
		rc = err_set(err, ERR_AGAIN,
		    "the inputs were changed meanwhile: update them again");
	if (rc == 0)
		rc = fleet_tree_open(dir, &tree, err);
	if (rc == 0)
		rc = fleet_tree_put(tree, STR("flake.lock"), in->found, err);
	if (rc == 0)
		forget_lock(unit_of(f->modules, unit_id));
	fleet_tree_close(tree);
	arena_fini(&a);
	return rc;
}

/* --- the part ------------------------------------------------------------- */

static int
open_part(struct fleet *f, struct err *err)
{
	struct fleet_modules *m = mem_new(struct fleet_modules);

	f->modules = m;
	pthread_mutex_init(&m->lock, NULL);
	return fleet_builtin(&m->arena, &m->builtin, &m->n, err);
}

static void
close_part(struct fleet *f)
{
	struct fleet_modules *m = f->modules;
	struct unit *u;

	if (m == NULL)
		return;
	while ((u = m->units) != NULL) {
		m->units = u->next;
		unref(u->now);
		pthread_mutex_destroy(&u->loading);
		forget_lock(u);
		free(u->id);
		free(u);
	}
	pthread_mutex_destroy(&m->lock);
	arena_fini(&m->arena);
	free(m);
	f->modules = NULL;
}

static void
routes(struct fleet *f, http_add_routes *add, void *ctx)
{
	rest_mount_rows(f != NULL ? &f->mounts : NULL, fleet_module_rows,
	    FLEET_API, f, add, ctx);
}

const struct fleet_part fleet_part_module = {
	.name = "module",
	.open = open_part,
	.close = close_part,
	.routes = routes,
};
