/*
 * codec/fleet_module.h - the file of a module: its settings, and what they
 * yield.
 *
 * One file is one module, JSON5. It says which settings there are, with types
 * and texts in English and German, and for each target what they become. Those
 * that come with Marram are built in; more come from repositories, the same
 * way. docs/guide/fleet-modules.md says the format.
 */
#ifndef CODEC_FLEET_MODULE_H
#define CODEC_FLEET_MODULE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include "codec/fleet_resources.h"
#include "codec/fleet_state.h"

struct fleet_module;

/* All that are known. */
struct fleet_catalog {
	const struct fleet_module *const *modules;
	size_t n;
};

const struct fleet_module *fleet_module_find(
    const struct fleet_catalog *c, struct str type);

/* One definition of a setting, as it counts for a configuration: its own, and
 * those of its tags. */
struct fleet_definition {
	struct str module, key;
	struct str value; /* JSON */
	struct str tag;   /* null: the configuration's own */
	int64_t priority;
	bool wins;     /* reaches the device, alone or merged with others */
	bool conflict; /* another of the same weight says something else */
};

/* All that there are, sorted by module, key and weight. In `a`. */
int fleet_definitions(const struct fleet_state *s,
    const struct fleet_catalog *c, struct str config, struct arena *a,
    struct fleet_definition **ret, size_t *n, struct err *err);

/* What the winning definitions of a configuration yield on a Linux that is not
 * NixOS. ERR_PARAM: a conflict, or a value that can not be. */
int fleet_yield(const struct fleet_state *s, const struct fleet_catalog *c,
    struct str config, struct arena *a, struct fleet_resources *ret,
    struct err *err);

#endif
