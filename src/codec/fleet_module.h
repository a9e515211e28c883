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
#include "codec/json.h"

/* --- what a file says ----------------------------------------------------- */

enum fleet_type {
	FLEET_STRING,
	FLEET_TEXTAREA,
	FLEET_INT,
	FLEET_BOOL,
	FLEET_PATH,
	FLEET_PACKAGE,
	FLEET_SELECT,
	FLEET_LIST, /* of rows, which have settings of their own */
	FLEET_SECRET,
	FLEET_ARTIFACT,
	FLEET_CODE,
	FLEET_TIMER,
};

/* How several definitions become one. */
enum fleet_merge {
	FLEET_OVERRIDE, /* the lightest wins; equal ones are as in Nix */
	FLEET_APPEND,   /* lists: all of them */
	FLEET_BY,       /* lists: rows with the same `by` override each other */
};

struct fleet_text {
	struct str en, de; /* null: none; de follows en */
};

struct fleet_choice {
	struct str value;
	struct fleet_text label;
};

/* While the setting `key` has `value`, only these may be chosen. */
struct fleet_restriction {
	struct str key, value;
	struct strs allowed;
};

/* A setting of a module, or of a row of a list. */
struct fleet_kind {
	struct str key;
	enum fleet_type type;
	struct fleet_text name, help, example;
	struct str def; /* JSON; null: none */
	int64_t order;
	bool config_only;  /* tags can not set it */
	bool required;     /* of a row: it may not be missing or empty */
	int64_t min, max;  /* of FLEET_INT */
	struct str format; /* of texts: "path", "mode", ...; null: any */
	struct fleet_choice *choices;
	struct fleet_restriction *restrictions;
	size_t n_choices, n_restrictions;
	struct fleet_kind *of; /* of FLEET_LIST */
	size_t n_of;
	struct fleet_text element;
	struct str language; /* of FLEET_CODE, or null */
	struct str timer;    /* of FLEET_TIMER: JSON of a new one */
	/* of FLEET_SECRET: what it may be, and where a device finds it */
	struct strs secret_types;
	struct str processing;
	bool in_image;
	struct str path, owner, group, mode;

	/* of settings of a module only: */
	enum fleet_merge merge;
	struct str by;
	struct strs options; /* what it is in NixOS: paths */
	struct str each;     /* of a list: that member of each row */
	bool unless_blank;   /* "" is as not set */
};

struct fleet_module {
	struct str type;
	struct fleet_text name, help, category;
	struct str icon, icon_dark; /* "wifi", or "data:image/..." */
	struct fleet_kind *settings;
	size_t n_settings;
	bool for_nixos, for_linux;
	bool each_source;    /* a configuration and its tags have one each */
	struct str function; /* its Nix function; null: it has none */
	struct str code;     /* the setting that is Nix code; null: none */
	struct str yields;   /* JSON5: a template of resources, or null */
	/* Set by who has found it: */
	struct str input; /* the flake input it came from; null: built in */
	struct str nix;   /* text of the function; null when from an input */
};

/* Reads one. Everything lies in `a`, and in `text` as long as that lives.
 * ERR_PARAM: what is wrong, and where. */
int fleet_module_read(struct str text, struct arena *a,
    struct fleet_module **ret, struct err *err);
/* As Thymis shows it, in the language ("de"; anything else is English). */
void fleet_module_write(
    const struct fleet_module *m, struct str lang, struct json_out *o);
const struct fleet_kind *fleet_kind_find(
    const struct fleet_kind *kinds, size_t n, struct str key);
/* May the setting have this value (JSON)? ERR_PARAM: why not, beginning with
 * its key ("containers[2].image: ..."). */
int fleet_value_check(
    const struct fleet_kind *k, struct str value, struct err *err);

/* --- what they become ----------------------------------------------------- */

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
/* The same as the text of linux.json before it is put in order. In `a`. */
int fleet_yield_json(const struct fleet_state *s, const struct fleet_catalog *c,
    struct str config, struct arena *a, struct str *ret, struct err *err);

/* Secrets that a device of the configuration needs, and where it finds them
 * (NixOS; on any other Linux they are files of its resources). In `a`. */
struct fleet_placement {
	struct str secret; /* its id */
	struct str path, owner, group, mode;
	struct str processing; /* "none", "mkpasswd-yescrypt" */
	bool in_image;
};
int fleet_placements(const struct fleet_state *s, const struct fleet_catalog *c,
    struct str config, struct arena *a, struct fleet_placement **ret, size_t *n,
    struct err *err);

#endif
