/*
 * core/fleet/module.h - what the files of the part `module` share.
 *
 *    module.c		 catalogs of units, generating
 *    module_api.c	 modules and repositories over HTTP
 *    module_builtin.c	 those that come with Marram
 *    module_files.c	 generated files, put where they belong
 *    module_nix.c	 the program nix: locks, store paths
 *    module_scan.c	 modules of an input
 */
#ifndef CORE_FLEET_MODULE_H
#define CORE_FLEET_MODULE_H

#include "codec/flake_ref.h"
#include "core/fleet/module_builtin.h"
#include "core/fleet/private.h"

#include <pthread.h>

/* --- module_files.c ------------------------------------------------------- */

/* Writes below a folder. A link in the way is replaced, never followed. */
struct fleet_tree;
int fleet_tree_open(const char *dir, struct fleet_tree **ret, struct err *err);
/* A file that already has this text is left alone. */
int fleet_tree_put(
    struct fleet_tree *t, struct str path, struct str text, struct err *err);
/* Removes what lies below `folder` and was not put. */
int fleet_tree_prune(struct fleet_tree *t, const char *folder, struct err *err);
void fleet_tree_close(struct fleet_tree *t); /* NULL is fine */

/* --- module_nix.c --------------------------------------------------------- */

/* Nix on a flake of which only flake.nix and flake.lock are looked at. */
struct fleet_nix {
	struct fleet *f;
	struct str unit_id;
	const struct fleet_state *s; /* whose inputs may have keys */
	char dir[64];                /* a temporary folder */
};

/* `lock` null: there is none yet. */
int fleet_nix_open(
    struct fleet_nix *n, struct str flake, struct str lock, struct err *err);
void fleet_nix_close(struct fleet_nix *n);
/* Runs `nix ARGS`, NULL ends them; "FLAKE" among them becomes the reference of
 * the folder. ERR_NOT_FOUND: there is no nix. The rest: what it said. */
int fleet_nix_run(struct fleet_nix *n, const char *const *args,
    int64_t timeout_ms, struct arena *a, struct str *out, struct err *err);
/* flake.lock as it is now, in `a`. */
int fleet_nix_lock(
    struct fleet_nix *n, struct arena *a, struct str *ret, struct err *err);

/* --- module_scan.c -------------------------------------------------------- */

/* What became of an input with an address. */
struct fleet_input_status {
	struct str name;
	const char *status; /* "loaded", "no-url", "no-path", "no-readme",
			     * "no-magic-string", "no-modules" */
	struct str details; /* what Nix said; or null */
	struct fleet_module **modules;
	size_t n;
	struct strs faults; /* of single files */
};

/* Reads the modules below a folder. All in `a`. */
void fleet_scan(
    const char *folder, struct arena *a, struct fleet_input_status *ret);

/* --- module.c ------------------------------------------------------------- */

/* Catalog and inputs of a unit, as they were at one flake.lock. */
struct fleet_loaded {
	struct fleet_catalog catalog;
	struct arena arena;
	struct str mark; /* of what they were made of */
	struct str lock; /* flake.lock; null: there was none */
	struct fleet_input_status *inputs;
	size_t n_inputs;
	int refs;
};

/* fleet_catalog_of() with more. */
int fleet_loaded_of(struct fleet *f, struct str unit_id,
    const struct fleet_loaded **ret, struct err *err);
void fleet_loaded_done(struct fleet *f, const struct fleet_loaded *l);
/* Finding inputs takes Nix long. So it is done in three steps, and only the
 * first and the last have the repository: what is there is looked at, inputs
 * are found, and what was found counts if what was there is still there. */
struct fleet_inputs {
	struct str flake; /* flake.nix, as it is or is to be */
	struct str was;   /* flake.lock before; null: none */
	bool wanted;
	struct str found; /* flake.lock */
	struct err err;   /* code not 0: they could not be found */
};
/* Are inputs to be found before this state is written? Texts in `a`. */
int fleet_inputs_look(struct fleet *f, struct str unit_id,
    const struct fleet_state *s, const char *dir, struct arena *a,
    struct fleet_inputs *ret, struct err *err);
void fleet_inputs_find(struct fleet *f, struct str unit_id,
    const struct fleet_state *s, struct arena *a, struct fleet_inputs *in);
/* fleet_generate() takes what was found, or tells why not. */
void fleet_inputs_found(
    struct fleet *f, struct str unit_id, const struct fleet_inputs *in);
/* The same to bring inputs to what is newest, `name` null: all of them. The
 * last of the three writes flake.lock. ERR_AGAIN: somebody else did. */
int fleet_inputs_read(const char *dir, struct arena *a,
    struct fleet_inputs *ret, struct err *err);
int fleet_inputs_newest(struct fleet *f, struct str unit_id,
    const struct fleet_state *s, struct str name, struct arena *a,
    struct fleet_inputs *in, struct err *err);
int fleet_inputs_put(struct fleet *f, struct str unit_id, const char *dir,
    const struct fleet_inputs *in, struct err *err);
/* May the address be an input? ERR_DENIED: it is on this machine. */
int fleet_input_check(struct fleet *f, struct str url, struct err *err);

extern const struct http_route fleet_module_rows[];

#endif
