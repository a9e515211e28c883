/*
 * edge/config.h - the settings of a device: tedge.toml.
 *
 * Each key is one row of config_keys: from it come the parser, the default,
 * the names in file and environment, `tedge config list --doc`, what is exposed
 * over MQTT, and the reference page. The environment wins over the file, the
 * file over the default (TEDGE_C8Y_URL is c8y.url; an empty variable unsets).
 *
 * A cloud may have a file of its own, mappers/CLOUD/mapper.toml, which wins
 * over tedge.toml and is changed in its place; c8y.profiles.NAME has
 * mappers/c8y.NAME/mapper.toml.
 *
 * A cloud may have profiles: "c8y.profiles.NAME.KEY" stands beside "c8y.KEY",
 * and every key of a cloud exists in each.
 *
 * Values are lent until the setting is changed or the config is closed.
 */
#ifndef EDGE_CONFIG_H
#define EDGE_CONFIG_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum config_type {
	CONFIG_TEXT,
	CONFIG_PATH, /* an absolute path */
	CONFIG_HOST, /* a host with or without ":port" */
	CONFIG_INT,  /* min..max */
	CONFIG_BOOL,
	CONFIG_DURATION, /* seconds, or 60s 10m 1h 30d; given out in ms */
	CONFIG_LIST,     /* texts: of `set`, divided by commas; add, remove */
	CONFIG_ENUM,     /* one of `choices` */
};

struct config_key {
	const char *key; /* "mqtt.port", "c8y.url"; never of a profile */
	enum config_type type;
	const char *def;  /* as it would be typed; "${config_dir}" at its
			   * beginning is that folder; NULL: none */
	const char *from; /* the key whose value it has when it has none of its
			   * own ("c8y.http" from "c8y.url"); NULL: none */
	int64_t min, max; /* INT; both 0: 0..65535 */
	const char *const *choices; /* ENUM, NULL ends */
	const char *const *aliases; /* old spellings, NULL ends */
	bool exposed;               /* on the `config` channel */
	bool secret;                /* never printed but by `config get` */
	bool read_only;             /* `set` refuses, and says why in `note` */
	const char *doc;            /* one sentence */
	const char *note, *example; /* NULL: none */
};

extern const struct config_key config_keys[]; /* key NULL ends */

struct config;

/* Reads DIR/tedge.toml, which may be missing, and the environment. What it
 * passes over (unknown keys) it tells by log_warn(). ERR_PARAM: bad TOML or a
 * bad value; the sentence names file, line and key. */
int config_open(const char *dir, struct config **ret, struct err *err);
void config_close(struct config *c); /* NULL is fine */
const char *config_dir(const struct config *c);

/* The key's row, for any spelling of it: alias, profile. NULL: there is none.
 */
const struct config_key *config_find(struct str key);

/* `key` is a whole one, which exists: asking for another is our bug. Text as
 * typed; STR_NULL: not set. */
struct str config_text(const struct config *c, const char *key);
int64_t config_int(const struct config *c, const char *key);
bool config_bool(const struct config *c, const char *key);
int64_t config_ms(const struct config *c, const char *key);
struct strs config_list(const struct config *c, const char *key);

/* A time as the settings have it: seconds, or 60s, 10m, 1h, 30d. */
bool config_duration(struct str text, int64_t *ms);

/* One cloud, or one profile of it. */
struct cloud {
	const struct config *config; /* borrowed */
	const char *name;            /* "c8y", "az", "aws", "marram" */
	struct str profile;          /* STR_NULL: none; borrowed */
};
/* ERR_NOT_FOUND: there is no such cloud, or no such profile of it. Borrows
 * `profile`, which may be STR_NULL. */
int config_cloud(const struct config *c, const char *name, struct str profile,
    struct cloud *ret, struct err *err);
/* The file that its settings are written to. Lent. */
const char *config_file_of(const struct cloud *of);
/* May a profile be called so? */
bool config_profile_ok(struct str name);
/* Calls `each` for every profile of a cloud, once, in the file's order. */
void config_profiles(const struct config *c, const char *cloud,
    void (*each)(void *ctx, struct str profile), void *ctx);
/* `key` is what stands behind the cloud: "url", "mapper.timestamp". */
struct str cloud_text(const struct cloud *of, const char *key);
int64_t cloud_int(const struct cloud *of, const char *key);
bool cloud_bool(const struct cloud *of, const char *key);
int64_t cloud_ms(const struct cloud *of, const char *key);
struct strs cloud_list(const struct cloud *of, const char *key);

/* Changes the file, atomically, and keeps its comments and its owner. STR_NULL
 * unsets. ERR_NOT_FOUND: no such key; ERR_PARAM: not a value of it, or it is
 * read-only. Then nothing has changed. */
int config_set(
    struct config *c, struct str key, struct str value, struct err *err);
int config_add(
    struct config *c, struct str key, struct str value, struct err *err);
int config_remove(
    struct config *c, struct str key, struct str value, struct err *err);

/* Every key, those of profiles that are there too, in the order of the rows.
 * `value` is STR_NULL when it is not set. */
void config_each(const struct config *c,
    void (*each)(void *ctx, const struct config_key *row, struct str key,
	struct str value),
    void *ctx);
/* The exposed keys of one cloud (its prefix cut off), or with NULL those that
 * are of none, as one JSON object with their types. */
void config_exposed(
    const struct config *c, const struct cloud *of, struct buf *out);

#endif
