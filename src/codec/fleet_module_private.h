/*
 * codec/fleet_module_private.h - what the files of codec/fleet_module share.
 */
#ifndef CODEC_FLEET_MODULE_PRIVATE_H
#define CODEC_FLEET_MODULE_PRIVATE_H

#include "codec/fleet_module.h"

extern const char *const fleet_type_names[];

/* The settings that a module of a configuration has in the end, as an object;
 * `tag` null: its own, or merged. */
struct fleet_settled {
	const struct fleet_module *module;
	struct str settings; /* JSON */
	struct str tag;
};

/* One for each module; for each source of a module whose sources stay apart.
 * ERR_PARAM: a conflict. In `a`. */
int fleet_settle(const struct fleet_state *s, const struct fleet_catalog *c,
    struct str config, struct arena *a, struct fleet_settled **ret, size_t *n,
    struct err *err);

/* Two values of one setting (JSON) as one: lists one behind the other, sets
 * member by member. False: they say different things. In `a`. */
bool fleet_join(struct arena *a, struct str x, struct str y, struct str *ret);

/* Makes of a template and the settings of a module what it yields (JSON).
 * `vars` are more names that it may use (JSON object). In `a`. */
int fleet_template(const struct fleet_module *m, struct str settings,
    struct str vars, struct arena *a, struct str *ret, struct err *err);

#endif
