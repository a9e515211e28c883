/*
 * codec/fleet_state.h - state.json: what the machines of a fleet should be.
 *
 * The file of Thymis, version 0.0.9, and the eight before it. Members come in a
 * fixed order, two spaces deep; those it does not know are dropped, settings of
 * modules never. Configurations, tags and modules stay in the order they have:
 * people have put them so.
 */
#ifndef CODEC_FLEET_STATE_H
#define CODEC_FLEET_STATE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#define FLEET_STATE_VERSION "0.0.9"
/* What a definition weighs; the lowest number wins. */
#define FLEET_PRIORITY_CONFIG 80
#define FLEET_PRIORITY_TAG 90 /* of a new tag */
#define FLEET_PRIORITY_PLAIN 100
#define FLEET_PRIORITY_DEFAULT 1000
#define FLEET_DEVICE_MODULE "thymis_controller.modules.thymis.ThymisDevice"

struct json_out;

struct fleet_setting {
	struct str key;
	struct str value; /* JSON, as it stands */
};

/* A module with those of its settings that are set here. */
struct fleet_use {
	struct str type;
	struct fleet_setting *settings;
	size_t n;
};

struct fleet_config {
	struct str display_name, identifier;
	struct fleet_use *modules;
	size_t n_modules;
	struct strs tags; /* identifiers */
};

struct fleet_tag {
	struct str display_name, identifier;
	int64_t priority;
	struct fleet_use *modules;
	size_t n_modules;
};

/* An input of the flake. */
struct fleet_input {
	struct str name;
	struct str url, follows;    /* null: not there */
	struct str *inputs_follows; /* pairs: input, path */
	size_t n_follows;           /* pairs */
	struct str api_key_secret;  /* id of a secret, or null */
};

struct fleet_state {
	struct fleet_input *inputs;
	size_t n_inputs;
	struct fleet_tag *tags;
	size_t n_tags;
	struct fleet_config *configs;
	size_t n_configs;
};

/* Reads any version. What is read lies in `a`, and in `json` as long as that
 * lives. `was` (may be NULL): the version that the file has. ERR_PARAM: what is
 * wrong, and where ("configs[2].modules[0].type"). */
int fleet_state_read(struct str json, struct arena *a, struct fleet_state *ret,
    struct str *was, struct err *err);
/* As version 0.0.9, without a new line at its end. */
void fleet_state_write(const struct fleet_state *s, struct buf *out);
/* The same, and parts of it, as values of JSON. */
void fleet_state_put(struct json_out *o, const struct fleet_state *s);
void fleet_config_put(struct json_out *o, const struct fleet_config *c);
void fleet_tag_put(struct json_out *o, const struct fleet_tag *t);
void fleet_use_put(struct json_out *o, const struct fleet_use *use);
/* What no file may have: identifiers that are none (they become names of
 * folders), tags that do not exist, a module twice. ERR_PARAM: as above;
 * ERR_EXISTS: a name or an identifier is there twice. */
int fleet_state_check(const struct fleet_state *s, struct err *err);

/* Members that `json` has replace those that are there; nothing is checked but
 * their types. In `a`, and in `json` as long as that lives. */
int fleet_config_patch(
    struct str json, struct arena *a, struct fleet_config *c, struct err *err);
int fleet_tag_patch(
    struct str json, struct arena *a, struct fleet_tag *t, struct err *err);
/* `json` has settings; null takes one away. */
int fleet_use_patch(
    struct str json, struct arena *a, struct fleet_use *use, struct err *err);

/* "Raspberry Pi 4 (hall)" becomes "raspberry-pi-4-hall". In `a`. */
struct str fleet_identifier(struct arena *a, struct str display_name);

/* NULL: it has none. */
struct fleet_config *fleet_config_find(
    const struct fleet_state *s, struct str identifier);
struct fleet_tag *fleet_tag_find(
    const struct fleet_state *s, struct str identifier);
struct fleet_input *fleet_input_find(
    const struct fleet_state *s, struct str name);
const struct fleet_use *fleet_use_find(
    const struct fleet_use *uses, size_t n, struct str type);
/* The JSON of a setting; null: it is not set there. */
struct str fleet_setting_of(const struct fleet_use *use, const char *key);

#endif
