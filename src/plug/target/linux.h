/*
 * plug/target/linux.h - what the files of the target `linux` share.
 *
 *    linux.c         the steps
 *    linux_plan.c    what is declared, as the bundle that apply.sh takes
 *    linux_answer.c  what apply.sh says would change, as a plan for people
 */
#ifndef PLUG_TARGET_LINUX_H
#define PLUG_TARGET_LINUX_H

#include "plug/target/target.h"

/* A file on the device, whatever it is declared as. */
struct linux_file {
	const char *kind; /* "file", "repository" */
	struct str path, text;
	struct str secret; /* its id; then there is no text */
	struct str owner, group, mode;
};

/* What a commit declares for a configuration. */
struct linux_spec {
	struct fleet_resources resources;
	struct linux_file *files; /* those of repositories first */
	size_t n_files, n_early;  /* and how many those are */
	struct str built;         /* names all of it */
};

/* Text of the artifact `name`. */
typedef int linux_artifact(
    void *ctx, struct str name, struct str *ret, struct err *err);
/* What a secret is for the device. */
typedef int linux_secret(
    void *ctx, struct str id, struct str *sealed, struct err *err);

/* Makes a spec of `json`, which is linux.json. Everything lies in `a`. */
int linux_spec(struct str json, struct arena *a, linux_artifact *artifact,
    void *ctx, struct linux_spec *ret, struct err *err);
/* Adds what apply.sh reads on its standard input: for `ask` without the texts
 * of files, else with them, and with the program. */
int linux_bundle(const struct linux_spec *s, bool whole, struct arena *a,
    linux_secret *secret, void *ctx, struct buf *tar, struct err *err);

/* Reads what `ask` said. ERR_PARAM: what can not be; each is told, too. */
int linux_answer(const struct linux_spec *s, struct str out, struct arena *a,
    void (*tell)(void *ctx, struct str line), void *ctx,
    struct target_plan *ret, struct err *err);

#endif
