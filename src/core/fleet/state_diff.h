/*
 * core/fleet/state_diff.h - how two states differ, for people; and what was
 * changed, taken back.
 */
#ifndef CORE_FLEET_STATE_DIFF_H
#define CORE_FLEET_STATE_DIFF_H

#include "codec/fleet_state.h"
#include "codec/json.h"

/* One thing that was changed: a configuration, tag or input (`setting` and
 * `module` null), a module of it (`setting` null), a setting of a module, or a
 * member of the thing itself (`module` null: "displayName", "tags",
 * "priority", "url", ...). That they are in another order is a change of their
 * kind, with no identifier and the setting "order". */
struct fleet_change {
	const char *what; /* "configuration", "tag", "input" */
	const char *kind; /* "add", "change", "remove" */
	struct str identifier, display_name, module, setting;
	struct str from, to; /* JSON; null: it is not there */
};

struct fleet_changes {
	struct fleet_change *at;
	size_t n;
};

/* In the order of the states: inputs, tags, configurations. Lent from both, and
 * in `a`. */
void fleet_state_diff(const struct fleet_state *from,
    const struct fleet_state *to, struct arena *a, struct fleet_changes *ret);
/* As a list of JSON. */
void fleet_changes_put(struct json_out *o, const struct fleet_changes *c);

/* `now` without what has become of `before` in `after`; `config`, unless null,
 * is the only configuration that is looked at. What was changed again since is
 * left as it is, and is in `again`. In `a`, and lent from all three. */
void fleet_state_undo(const struct fleet_state *now,
    const struct fleet_state *before, const struct fleet_state *after,
    struct str config, struct arena *a, struct fleet_state *ret,
    struct fleet_changes *again);
/* `now` with this configuration as it is in `then`, and with those of its tags
 * that `now` has not. */
void fleet_state_take(const struct fleet_state *now,
    const struct fleet_state *then, struct str config, struct arena *a,
    struct fleet_state *ret);

#endif
