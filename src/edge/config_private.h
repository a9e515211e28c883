/*
 * edge/config_private.h - what the files of the settings share.
 */
#ifndef EDGE_CONFIG_PRIVATE_H
#define EDGE_CONFIG_PRIVATE_H

#include "base/arena.h"
#include "codec/toml.h"
#include "edge/config.h"

struct setting {
	const struct config_key *row;
	struct str profile;   /* STR_NULL: none */
	struct str file, env; /* STR_NULL: not there; env "": unset */
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

/* --- config_read.c -------------------------------------------------------- */

/* Reads file, environment and certificates into an empty one. */
int config_load(struct config *c, struct err *err);

#endif
