/*
 * core/fleet/state_api.c - /state, /order: the state of a unit, edited as a
 * whole; its parts are in state_config.c, state_tag.c and state_use.c.
 */
#include "core/fleet/state_edit.h"

#include "base/base.h"

#include <string.h>

/* --- the whole ------------------------------------------------------------ */

static void
handle_state(struct http_call *c)
{
	struct edit e;

	if (edit_begin(&e, c, REST_GET))
		edit_show(&e);
}

static void
handle_state_patch(struct http_call *c)
{
	struct edit e = { .c = c };
	struct str json;

	/* also when the one that is there can not be read: this mends it */
	if (!fleet_call_repo(c, REST_PATCH, &e.r))
		return;
	if (fleet_repo_state(e.r, &c->arena, &e.s, NULL) == 0 && !edit_seen(&e))
		return;
	if (!edit_data(&e, &json))
		return;
	if (fleet_state_read(json, &c->arena, &e.s, NULL, &e.err) != 0)
		edit_fail(&e);
	else
		edit_finish(&e, STR_NULL);
}

/* --- order ---------------------------------------------------------------- */

static bool
reorder(struct edit *e, const char *name, struct str json, void *list, size_t n,
    size_t size, struct str (*id)(const void *item))
{
	char *items = list, *to = arena_alloc(&e->c->arena, (n + 1) * size);
	struct str wish = json_find(&e->c->arena, json, str_of(name)), key;
	struct json j;
	size_t at = 0;

	if (wish.ptr == NULL)
		return true;
	json_open(&j, wish, 0, &e->c->arena);
	(void)json_array(&j);
	while (json_item(&j) && json_str(&j, &key)) {
		size_t i = 0;

		while (i < n && !str_eq(id(items + i * size), key))
			i++;
		for (size_t k = 0; i < n && k < at; k++)
			if (str_eq(id(to + k * size), key))
				i = n;
		if (i == n) {
			(void)err_set(&e->err, ERR_PARAM,
			    "%s: \"%.*s\" is not there, or twice", name,
			    (int)MIN_OF(key.len, 63), key.ptr);
			return false;
		}
		memcpy(to + at++ * size, items + i * size, size);
	}
	if (json_done(&j, &e->err) != 0) {
		(void)err_wrap(&e->err, "%s", name);
		return false;
	}
	if (at != n) {
		(void)err_set(&e->err, ERR_PARAM,
		    "%s: all %zu identifiers must be there", name, n);
		return false;
	}
	memcpy(list, to, n * size);
	return true;
}

static struct str
config_id(const void *item)
{
	return ((const struct fleet_config *)item)->identifier;
}

static struct str
tag_id(const void *item)
{
	return ((const struct fleet_tag *)item)->identifier;
}

static void
handle_order(struct http_call *c)
{
	struct str json;
	struct edit e;

	if (!edit_begin(&e, c, REST_PATCH) || !edit_seen(&e) ||
	    !edit_data(&e, &json))
		return;
	if (reorder(&e, "configurations", json, e.s.configs, e.s.n_configs,
		sizeof(*e.s.configs), config_id) &&
	    reorder(&e, "tags", json, e.s.tags, e.s.n_tags, sizeof(*e.s.tags),
		tag_id))
		edit_finish(&e, STR_NULL);
	else
		edit_fail(&e);
}

/* --- what they look like -------------------------------------------------- */

struct shown_state {
	struct str version, repositories;
	struct rows tags, configs;
};
#define S struct shown_state
static const struct field state_fields[] = {
	F_TEXT(S, version, "version",
	    .help = "0.0.9; older ones are taken and brought up to it."),
	F_JSON(S, repositories, "repositories", .flags = FIELD_OBJECT,
	    .help = "Inputs of the flake, by name: url, follows, "
		    "inputs_follows, api_key_secret."),
	F_RECORDS(S, tags, "tags", .record = &fleet_tag_record,
	    .help = "In the order that people have given them."),
	F_RECORDS(S, configs, "configs", .record = &fleet_config_record,
	    .help = "In the order that people have given them."),
	{ 0 },
};
static const struct record state_record = { "fleetState", sizeof(S),
	state_fields };
#undef S

struct fault {
	struct str where, what;
};
static const struct field fault_fields[] = {
	F_TEXT(struct fault, where, "where", .help = "Module and thing."),
	F_TEXT(struct fault, what, "what", .help = "What is wrong there."),
	{ 0 },
};
static const struct record fault_record = { "fleetFault", sizeof(struct fault),
	fault_fields };
struct changed {
	struct str identifier;
	struct rows faults;
};
static const struct field changed_fields[] = {
	F_TEXT(struct changed, identifier, "identifier",
	    .help = "What was changed."),
	F_RECORDS(struct changed, faults, "faults", .record = &fault_record,
	    .help = "What could not be generated from the state."),
	{ 0 },
};
const struct record fleet_changed_record = { "fleetChanged",
	sizeof(struct changed), changed_fields };

struct order {
	struct strs configurations, tags;
};
static const struct field order_fields[] = {
	F_TEXTS(struct order, configurations, "configurations",
	    .help = "All identifiers of configurations. Left out: as it is."),
	F_TEXTS(struct order, tags, "tags",
	    .help = "All identifiers of tags. Left out: as it is."),
	{ 0 },
};
static const struct record order_record = { "fleetOrder", sizeof(struct order),
	order_fields };

const struct http_route fleet_state_rows[] = {
	{ EDIT_ROW("GET", "/state", "get"),
	    .reply = { .record = &state_record }, .handle = handle_state,
	    .help = "The state of a unit's fleet, as state.json has it; its "
		    "ETag for If-Match." },
	{ EDIT_ROW("PATCH", "/state", "patch"), EDIT_BIG,
	    .body = { .record = &state_record }, EDIT_CHANGED,
	    .handle = handle_state_patch,
	    .help = "Replaces the whole state, and generates what follows "
		    "from it." },
	{ EDIT_ROW("PATCH", "/order", "patch"), EDIT_BIG,
	    .body = { .record = &order_record }, EDIT_CHANGED,
	    .handle = handle_order,
	    .help = "Puts configurations and tags in another order." },
	{ 0 },
};
