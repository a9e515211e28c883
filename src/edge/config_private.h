/*
 * edge/config_private.h - what the files of the settings share.
 */
#ifndef EDGE_CONFIG_PRIVATE_H
#define EDGE_CONFIG_PRIVATE_H

#include "base/arena.h"
#include "codec/toml.h"
#include "edge/config.h"

/* A cloud's own file, mappers/CLOUD[.PROFILE]/mapper.toml: what it says wins
 * over tedge.toml. Its keys are without the cloud's name. */
struct own_file {
	const char *path, *cloud;
	struct str profile; /* STR_NULL: none */
	struct own_file *next;
};

struct setting {
	const struct config_key *row;
	struct str profile;   /* STR_NULL: none */
	struct str file, env; /* STR_NULL: not there; env "": unset */
	const char *path;     /* of `file` */
	uint32_t line;
	bool certified; /* a device's id: it is its certificate's */
	struct setting *next;
};

/* What a list's text was divided into. */
struct divided {
	struct str text;
	struct strs list;
	struct divided *next;
};

struct config {
	struct arena arena; /* all below; made anew when the file changes */
	char *dir, *path;
	struct setting *first, *last;
	struct own_file *owns;
	struct str *defs; /* by row, "${config_dir}" replaced */
	struct divided *divided;
};

/* --- config.c ------------------------------------------------------------- */

/* The name of the cloud whose key it is; NULL: none's. */
const char *config_cloud_of(struct str key);
/* The row of a key as it is typed, and its profile (STR_NULL: none). `alias`
 * (may be NULL) is its spelling of the first years, if it was that. */
const struct config_key *config_locate(
    struct str key, struct str *profile, const char **alias);
/* What was set of it; NULL: nothing. */
struct setting *config_setting(
    const struct config *c, const struct config_key *row, struct str profile);
/* A profile as it is spelt in the file. */
struct str config_spelt(
    const struct config *c, const char *cloud, struct str profile);
bool config_is_device_id(const struct config_key *row);
/* What counts; STR_NULL: it is not set. */
struct str config_value(
    const struct config *c, const struct config_key *row, struct str profile);
/* A list's text, divided. */
struct strs config_as_list(const struct config *c, struct str text);

/* --- config_value.c ------------------------------------------------------- */

/* Is the text a value of this row? ERR_PARAM: why not. */
int config_check(const struct config_key *k, struct str text, struct err *err);
/* A value of TOML as it is typed on a command line. False: it is a table. */
bool config_as_typed(struct arena *a, const struct toml *v, struct str *ret);

/* --- config_own.c --------------------------------------------------------- */

/* Reads all of them, by config_take_file(). */
int config_read_own(struct config *c, struct err *err);
/* The one of that cloud and profile; NULL: there is none. */
const struct own_file *config_own_file(
    const struct config *c, const char *cloud, struct str profile);
/* How such a file spells a key otherwise, if it does: "timestamp" is
 * "mapper.timestamp". Else STR_NULL. */
struct str config_own_alias(struct str key);
struct str config_own_key(struct str alias);

/* --- config_read.c -------------------------------------------------------- */

/* Reads file, environment and certificates into an empty one. */
int config_load(struct config *c, struct err *err);
/* `of`: it is that file; NULL: it is tedge.toml. A missing one is fine. */
int config_take_file(struct config *c, const char *path,
    const struct own_file *of, struct err *err);

#endif
