/*
 * edge/agent/types.h - what can be asked for: types of configuration, or of
 * logs, each of a plugin.
 *
 * The plugin "file" is a program of ours, for the files that a list names; the
 * others are executables in the folders of configuration.plugin_paths and
 * log.plugin_paths. Theirs are told as "TYPE::PLUGIN".
 */
#ifndef EDGE_AGENT_TYPES_H
#define EDGE_AGENT_TYPES_H

#include "edge/agent/job.h"

struct types_kind {
	const char *own;  /* our program: "tedge-file-config-plugin" */
	const char *list; /* "tedge-configuration-plugin.toml" */
	const struct job_type *ops[3]; /* that tell of them; NULL ends */
	bool filters; /* by [[plugins.NAME.filters]] of the list */
};

extern const struct types_kind types_config, types_log;

struct types;

struct types *types_new(
    struct agent *a, const struct types_kind *kind, struct strs folders);
void types_free(struct types *t); /* NULL is fine */

/* Asks every plugin anew, and tells the capabilities when all have answered. */
void types_reload(struct types *t);
/* The payload of a capability. */
void types_capability(const struct types *t, struct buf *out);

/* How to call the plugin of `type`: its words (with sudo, if need be), and the
 * type as that plugin calls it. 0: there is no such plugin. In the job's arena.
 */
size_t types_argv(struct types *t, struct job *j, struct str type,
    const char **argv, size_t max, struct str *name);
bool types_is_own(struct str type);

#endif
