/*
 * core/fleet/state_config.c - /configuration: configurations in the state of a
 * unit.
 */
#include "core/fleet/state_edit.h"

#include "base/base.h"

#include <string.h>

/* --- one ------------------------------------------------------------------ */

static void
handle_get(struct http_call *c)
{
	struct edit e;

	if (edit_begin_config(&e, c, REST_GET))
		edit_show(&e);
}

static bool
is_there(const struct fleet_state *s, struct str identifier)
{
	return fleet_config_find(s, identifier) != NULL;
}

/* The device module that a configuration needs, unless the body has one. */
static void
device_module(struct edit *e, struct fleet_config *config, struct str json)
{
	struct arena *a = &e->c->arena;
	struct str type = json_find(a, json, STR("deviceType"));
	struct fleet_use *uses;
	struct buf name = { 0 };

	if (fleet_use_find(config->modules, config->n_modules,
		STR(FLEET_DEVICE_MODULE)) != NULL)
		return;
	uses =
	    edit_one_more(e, config->modules, config->n_modules, sizeof(*uses));
	memmove(uses + 1, uses, config->n_modules * sizeof(*uses));
	json_quote(&name, config->identifier);
	uses[0].type = STR(FLEET_DEVICE_MODULE);
	uses[0].settings = arena_array(a, 2, struct fleet_setting);
	if (type.ptr != NULL)
		uses[0].settings[uses[0].n++] =
		    (struct fleet_setting){ STR("device_type"), type };
	uses[0].settings[uses[0].n++] =
	    (struct fleet_setting){ STR("device_name"),
		    arena_str(a, buf_str(&name)) };
	buf_free(&name);
	config->modules = uses;
	config->n_modules++;
}

static void
handle_add(struct http_call *c)
{
	struct fleet_config *list;
	struct str json;
	struct edit e;

	if (!edit_begin(&e, c, REST_ADD) || !edit_data(&e, &json))
		return;
	list = edit_one_more(&e, e.s.configs, e.s.n_configs, sizeof(*list));
	e.config = &list[e.s.n_configs];
	if (fleet_config_patch(json, &c->arena, e.config, &e.err) != 0) {
		edit_fail(&e);
		return;
	}
	if (e.config->identifier.ptr == NULL)
		e.config->identifier =
		    edit_identifier(&e, e.config->display_name, is_there);
	device_module(&e, e.config, json);
	e.s.configs = list;
	e.s.n_configs++;
	edit_finish(&e, e.config->identifier);
}

static void
handle_patch(struct http_call *c)
{
	struct str json, id;
	struct edit e;

	if (!edit_begin_config(&e, c, REST_PATCH) || !edit_data(&e, &json))
		return;
	id = e.config->identifier;
	if (fleet_config_patch(json, &c->arena, e.config, &e.err) == 0 &&
	    edit_same_identifier(&e, id, e.config->identifier))
		edit_finish(&e, id);
	else
		edit_fail(&e);
}

static int
has_it(void *ctx, const void *row, struct err *err)
{
	const struct fleet_device *d = row;
	struct str name = d->name.len > 0 ? d->name : d->id;

	(void)ctx;
	return str_eqz(d->state, "archived")
	    ? 0
	    : err_set(err, ERR_EXISTS,
		  "the device \"%.*s\" has this configuration: give it "
		  "another first",
		  (int)MIN_OF(name.len, 80), name.ptr);
}

/* Does a device still have it? */
static int
in_use(struct edit *e, const char *member)
{
	struct filter filter = { 0 };
	const struct store_query q = { .filter = &filter };

	filter_text(&filter, "unitId", e->r->unit_id);
	filter_text(&filter, member, e->config->identifier);
	return store_list(
	    e->r->f->store, &fleet_device_entity, &q, has_it, NULL, &e->err);
}

static void
handle_del(struct http_call *c)
{
	struct edit e;
	size_t at;

	if (!edit_begin_config(&e, c, REST_DEL))
		return;
	if (in_use(&e, "config") != 0 || in_use(&e, "deployedConfig") != 0) {
		edit_fail(&e);
		return;
	}
	at = (size_t)(e.config - e.s.configs);
	memmove(e.config, e.config + 1,
	    (e.s.n_configs - at - 1) * sizeof(*e.config));
	e.s.n_configs--;
	e.config = NULL;
	edit_finish(&e, http_var(c, 0));
}

/* --- all ------------------------------------------------------------------ */

static void
put_item(struct json_out *o, const struct fleet_state *s, size_t i)
{
	fleet_config_put(o, &s->configs[i]);
}

static void
handle_list(struct http_call *c)
{
	struct edit e;

	if (edit_begin(&e, c, REST_LIST))
		edit_list(&e, e.s.n_configs, put_item);
}

static void
handle_count(struct http_call *c)
{
	struct edit e;

	if (edit_begin(&e, c, REST_COUNT))
		edit_count(&e, e.s.n_configs);
}

/* --- what they look like -------------------------------------------------- */

struct shown {
	struct str device_type;
	struct str display_name, identifier;
	struct rows modules;
	struct strs tags;
};
#define S struct shown
static const struct field config_fields[] = {
	F_TEXT(S, display_name, "displayName", .max = 255,
	    .help = "What people call it; no two have the same."),
	F_TEXT(S, identifier, "identifier", .max = 63,
	    .help = "Names its folder: a-z, 0-9 and `-`, a letter first. It "
		    "never changes. Left out: made of the name."),
	F_RECORDS(S, modules, "modules", .record = &fleet_use_record,
	    .help = "Modules with those of their settings that are set here."),
	F_TEXTS(S, tags, "tags", .help = "Identifiers of tags."),
	{ 0 },
};
const struct record fleet_config_record = { "fleetConfiguration", sizeof(S),
	config_fields };
static const struct field config_more_fields[] = {
	F_TEXT(S, device_type, "deviceType",
	    .help = "For a device module that is made when `modules` has "
		    "none: `linux`, `generic-x86_64`, ..."),
	{ 0 },
};
static const struct record config_more = { "fleetConfigurationMore", sizeof(S),
	config_more_fields };
#undef S

const struct http_route fleet_config_rows[] = {
	{ EDIT_ROW("POST", "/configuration", "post"), EDIT_BIG,
	    .body = { .record = &fleet_config_record,
		.members = "displayName! identifier modules tags",
		.extra = &config_more },
	    EDIT_CHANGED, .handle = handle_add,
	    .help = "Makes a configuration." },
	{ EDIT_ROW("GET", "/configuration/count", "get"),
	    .reply = { .record = &rest_counted }, .handle = handle_count,
	    .help = "How many there are." },
	{ EDIT_ROW("GET", "/configuration/list", "get"),
	    .reply = { .record = &fleet_config_record, .list = true },
	    .handle = handle_list, .help = "Configurations, in their order." },
	{ EDIT_ROW("GET", "/configuration/{identifier}", "get"),
	    .reply = { .record = &fleet_config_record }, .handle = handle_get,
	    .help = "One configuration; its ETag for If-Match." },
	{ EDIT_ROW("PATCH", "/configuration/{identifier}", "patch"), EDIT_BIG,
	    .body = { .record = &fleet_config_record }, EDIT_CHANGED,
	    .handle = handle_patch,
	    .help = "Changes a configuration. Lists are replaced as a "
		    "whole." },
	{ EDIT_ROW("DELETE", "/configuration/{identifier}", "delete"),
	    EDIT_CHANGED, .handle = handle_del,
	    .help = "Removes a configuration that no device has." },
	{ 0 },
};
