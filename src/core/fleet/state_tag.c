/*
 * core/fleet/state_tag.c - /tag: tags in the state of a unit.
 */
#include "core/fleet/state_edit.h"

#include <string.h>

/* --- one ------------------------------------------------------------------ */

static void
handle_get(struct http_call *c)
{
	struct edit e;

	if (edit_begin_tag(&e, c, REST_GET))
		edit_show(&e);
}

static bool
is_there(const struct fleet_state *s, struct str identifier)
{
	return fleet_tag_find(s, identifier) != NULL;
}

static void
handle_add(struct http_call *c)
{
	struct fleet_tag *list;
	struct str json;
	struct edit e;

	if (!edit_begin(&e, c, REST_ADD) || !edit_data(&e, &json))
		return;
	list = edit_one_more(&e, e.s.tags, e.s.n_tags, sizeof(*list));
	e.tag = &list[e.s.n_tags];
	e.tag->priority = FLEET_PRIORITY_TAG;
	if (fleet_tag_patch(json, &c->arena, e.tag, &e.err) != 0) {
		edit_fail(&e);
		return;
	}
	if (e.tag->identifier.ptr == NULL)
		e.tag->identifier =
		    edit_identifier(&e, e.tag->display_name, is_there);
	e.s.tags = list;
	e.s.n_tags++;
	edit_finish(&e, e.tag->identifier);
}

static void
handle_patch(struct http_call *c)
{
	struct str json, id;
	struct edit e;

	if (!edit_begin_tag(&e, c, REST_PATCH) || !edit_data(&e, &json))
		return;
	id = e.tag->identifier;
	if (fleet_tag_patch(json, &c->arena, e.tag, &e.err) == 0 &&
	    edit_same_identifier(&e, id, e.tag->identifier))
		edit_finish(&e, id);
	else
		edit_fail(&e);
}

static void
handle_del(struct http_call *c)
{
	struct edit e;
	size_t at;

	if (!edit_begin_tag(&e, c, REST_DEL))
		return;
	/* configurations that have it lose it */
	for (size_t i = 0; i < e.s.n_configs; i++) {
		struct strs *tags = &e.s.configs[i].tags;
		size_t kept = 0;

		for (size_t k = 0; k < tags->n; k++)
			if (!str_eq(tags->at[k], http_var(c, 0)))
				tags->at[kept++] = tags->at[k];
		tags->n = kept;
	}
	at = (size_t)(e.tag - e.s.tags);
	memmove(e.tag, e.tag + 1, (e.s.n_tags - at - 1) * sizeof(*e.tag));
	e.s.n_tags--;
	e.tag = NULL;
	edit_finish(&e, http_var(c, 0));
}

/* --- all ------------------------------------------------------------------ */

static void
put_item(struct json_out *o, const struct fleet_state *s, size_t i)
{
	fleet_tag_put(o, &s->tags[i]);
}

static void
handle_list(struct http_call *c)
{
	struct edit e;

	if (edit_begin(&e, c, REST_LIST))
		edit_list(&e, e.s.n_tags, put_item);
}

static void
handle_count(struct http_call *c)
{
	struct edit e;

	if (edit_begin(&e, c, REST_COUNT))
		edit_count(&e, e.s.n_tags);
}

/* --- what they look like -------------------------------------------------- */

struct shown {
	struct str display_name, identifier;
	int64_t priority;
	struct rows modules;
};
#define S struct shown
static const struct field tag_fields[] = {
	F_TEXT(S, display_name, "displayName", .max = 255,
	    .help = "What people call it; no two have the same."),
	F_TEXT(S, identifier, "identifier", .max = 63,
	    .help = "Names its folder, as that of a configuration."),
	F_INT(S, priority, "priority", .def = "90",
	    .help = "What its settings weigh: the lowest number wins. A "
		    "configuration's own weigh 80."),
	F_RECORDS(S, modules, "modules", .record = &fleet_use_record,
	    .help = "Modules with settings."),
	{ 0 },
};
const struct record fleet_tag_record = { "fleetTag", sizeof(S), tag_fields };
#undef S

const struct http_route fleet_tag_rows[] = {
	{ EDIT_ROW("POST", "/tag", "post"), EDIT_BIG,
	    .body = { .record = &fleet_tag_record,
		.members = "displayName! identifier priority modules" },
	    EDIT_CHANGED, .handle = handle_add,
	    .help = "Makes a tag: modules with settings that several "
		    "configurations share." },
	{ EDIT_ROW("GET", "/tag/count", "get"),
	    .reply = { .record = &rest_counted }, .handle = handle_count,
	    .help = "How many there are." },
	{ EDIT_ROW("GET", "/tag/list", "get"),
	    .reply = { .record = &fleet_tag_record, .list = true },
	    .handle = handle_list, .help = "Tags, in their order." },
	{ EDIT_ROW("GET", "/tag/{identifier}", "get"),
	    .reply = { .record = &fleet_tag_record }, .handle = handle_get,
	    .help = "One tag; its ETag for If-Match." },
	{ EDIT_ROW("PATCH", "/tag/{identifier}", "patch"), EDIT_BIG,
	    .body = { .record = &fleet_tag_record }, EDIT_CHANGED,
	    .handle = handle_patch,
	    .help = "Changes a tag. Lists are replaced as a whole." },
	{ EDIT_ROW("DELETE", "/tag/{identifier}", "delete"), EDIT_CHANGED,
	    .handle = handle_del,
	    .help = "Removes a tag, also from the configurations that have "
		    "it." },
	{ 0 },
};
