/*
 * core/fleet/state_use.c - /configuration/.../module, /tag/.../module: a module
 * of a configuration or a tag, with its settings.
 */
#include "core/fleet/state_edit.h"

#include "base/base.h"

#include <string.h>

/* --- of either ------------------------------------------------------------ */

static struct fleet_use *
use_of(struct edit *e, struct fleet_use ***list, size_t **n)
{
	struct str type = http_var(e->c, 1);

	*list = e->config != NULL ? &e->config->modules : &e->tag->modules;
	*n = e->config != NULL ? &e->config->n_modules : &e->tag->n_modules;
	for (size_t i = 0; i < **n; i++)
		if (str_eq((**list)[i].type, type))
			return **list + i;
	return NULL;
}

static void
no_module(struct edit *e)
{
	edit_leave(e);
	http_error(e->c, 404, "err_not_found", "it has no module \"%.*s\"",
	    (int)MIN_OF(http_var(e->c, 1).len, 120), http_var(e->c, 1).ptr);
}

static void
module_get(struct edit *e)
{
	struct fleet_use **list, *use;
	size_t *n;

	use = use_of(e, &list, &n);
	if (use == NULL) {
		no_module(e);
		return;
	}
	fleet_use_put(edit_show_begin(e), use);
	edit_show_end(e);
}

static void
module_put(struct edit *e)
{
	struct str json, settings;
	struct fleet_use **list, *use;
	size_t *n;

	if (!edit_data(e, &json))
		return;
	settings = json_find(&e->c->arena, json, STR("settings"));
	if (settings.ptr == NULL || json_type_of(settings) != JSON_OBJECT) {
		edit_leave(e);
		http_error(e->c, 400, "err_param",
		    "settings: must be an object; null takes one away");
		return;
	}
	use = use_of(e, &list, &n);
	if (use == NULL) {
		*list = edit_one_more(e, *list, *n, sizeof(**list));
		use = &(*list)[(*n)++];
		use->type = http_var(e->c, 1);
	}
	if (fleet_use_patch(settings, &e->c->arena, use, &e->err) != 0) {
		(void)err_wrap(&e->err, "settings");
		edit_fail(e);
		return;
	}
	edit_finish(e, http_var(e->c, 0));
}

static void
module_del(struct edit *e)
{
	struct fleet_use **list, *use;
	size_t *n;

	use = use_of(e, &list, &n);
	if (use == NULL) {
		no_module(e);
		return;
	}
	if (e->config != NULL && str_eqz(use->type, FLEET_DEVICE_MODULE)) {
		(void)err_set(&e->err, ERR_PARAM,
		    "a configuration has always the device module");
		edit_fail(e);
		return;
	}
	memmove(use, use + 1, (*n - (size_t)(use - *list) - 1) * sizeof(*use));
	--*n;
	edit_finish(e, http_var(e->c, 0));
}

/* --- of a configuration --------------------------------------------------- */

static void
handle_config_module(struct http_call *c)
{
	struct edit e;

	if (edit_begin_config(&e, c, REST_GET))
		module_get(&e);
}

static void
handle_config_module_put(struct http_call *c)
{
	struct edit e;

	if (edit_begin_config(&e, c, REST_PATCH))
		module_put(&e);
}

static void
handle_config_module_del(struct http_call *c)
{
	struct edit e;

	if (edit_begin_config(&e, c, REST_PATCH))
		module_del(&e);
}

/* --- of a tag ------------------------------------------------------------- */

static void
handle_tag_module(struct http_call *c)
{
	struct edit e;

	if (edit_begin_tag(&e, c, REST_GET))
		module_get(&e);
}

static void
handle_tag_module_put(struct http_call *c)
{
	struct edit e;

	if (edit_begin_tag(&e, c, REST_PATCH))
		module_put(&e);
}

static void
handle_tag_module_del(struct http_call *c)
{
	struct edit e;

	if (edit_begin_tag(&e, c, REST_PATCH))
		module_del(&e);
}

/* --- what they look like -------------------------------------------------- */

struct shown_use {
	struct str type, settings;
};
#define U struct shown_use
static const struct field use_fields[] = {
	F_TEXT(U, type, "type", .help = "Which module."),
	F_JSON(U, settings, "settings", .flags = FIELD_OBJECT,
	    .help = "Those that are set here, by key."),
	{ 0 },
};
const struct record fleet_use_record = { "fleetModuleSettings", sizeof(U),
	use_fields };
#undef U

const struct http_route fleet_use_rows[] = {
	{ EDIT_ROW("GET", "/configuration/{identifier}/module/{type}", "get"),
	    .reply = { .record = &fleet_use_record },
	    .handle = handle_config_module,
	    .help = "A module of a configuration with its settings. ETag: "
		    "that of the configuration." },
	{ EDIT_ROW("PUT", "/configuration/{identifier}/module/{type}", "patch"),
	    EDIT_BIG,
	    .body = { .record = &fleet_use_record, .members = "settings!" },
	    EDIT_CHANGED, .handle = handle_config_module_put,
	    .help = "Sets settings of a module, which is added when it is not "
		    "there; null takes one away, others stay." },
	{ EDIT_ROW(
	      "DELETE", "/configuration/{identifier}/module/{type}", "patch"),
	    EDIT_CHANGED, .handle = handle_config_module_del,
	    .help = "Takes a module with all its settings away." },
	{ EDIT_ROW("GET", "/tag/{identifier}/module/{type}", "get"),
	    .reply = { .record = &fleet_use_record },
	    .handle = handle_tag_module,
	    .help = "A module of a tag with its settings. ETag: that of the "
		    "tag." },
	{ EDIT_ROW("PUT", "/tag/{identifier}/module/{type}", "patch"), EDIT_BIG,
	    .body = { .record = &fleet_use_record, .members = "settings!" },
	    EDIT_CHANGED, .handle = handle_tag_module_put,
	    .help = "Sets settings of a module, as for a configuration." },
	{ EDIT_ROW("DELETE", "/tag/{identifier}/module/{type}", "patch"),
	    EDIT_CHANGED, .handle = handle_tag_module_del,
	    .help = "Takes a module with all its settings away." },
	{ 0 },
};
