/*
 * core/fleet/state_api.c - /state, /configuration, /tag, /order: the state of a
 * unit, edited as a whole or in parts.
 *
 * Each part has a mark of its own (ETag): who changes one configuration is not
 * disturbed by who changes another.
 */
#include "core/fleet/state.h"

#include "base/base.h"

#include <string.h>

/* One call that edits; the repository is taken. */
struct edit {
	struct http_call *c;
	struct fleet_repo *r;
	struct fleet_state s;
	struct fleet_config *config; /* that the path names, or NULL */
	struct fleet_tag *tag;
	struct err err;
};

/* --- marks ---------------------------------------------------------------- */

static struct str
state_mark(struct arena *a, const struct fleet_state *s)
{
	struct buf text = { 0 };
	struct str ret;

	fleet_state_write(s, &text);
	ret = fleet_etag(a, buf_str(&text));
	buf_free(&text);
	return ret;
}

static struct str
config_mark(struct arena *a, const struct fleet_config *config)
{
	struct buf text = { 0 };
	struct json_out o;
	struct str ret;

	json_out_init(&o, &text, false);
	fleet_config_put(&o, config);
	ret = fleet_etag(a, buf_str(&text));
	buf_free(&text);
	return ret;
}

static struct str
tag_mark(struct arena *a, const struct fleet_tag *tag)
{
	struct buf text = { 0 };
	struct json_out o;
	struct str ret;

	json_out_init(&o, &text, false);
	fleet_tag_put(&o, tag);
	ret = fleet_etag(a, buf_str(&text));
	buf_free(&text);
	return ret;
}

static struct str
mark_of(const struct edit *e)
{
	struct arena *a = &e->c->arena;

	return e->config != NULL ? config_mark(a, e->config)
	    : e->tag != NULL     ? tag_mark(a, e->tag)
				 : state_mark(a, &e->s);
}

/* --- begin and end -------------------------------------------------------- */

static void
leave(struct edit *e)
{
	if (e->r != NULL)
		fleet_repo_give(e->r);
	e->r = NULL;
}

static void
not_there(struct edit *e, const char *what)
{
	leave(e);
	http_error(e->c, 404, "err_not_found", "there is no %s \"%.*s\"", what,
	    (int)MIN_OF(http_var(e->c, 0).len, 63), http_var(e->c, 0).ptr);
}

/* Reads the state; false: answered. */
static bool
begin(struct edit *e, struct http_call *c, enum rest_verb verb)
{
	*e = (struct edit){ .c = c };
	if (!fleet_call_repo(c, verb, &e->r))
		return false;
	if (fleet_repo_state(e->r, &c->arena, &e->s, &e->err) == 0)
		return true;
	leave(e);
	http_error(c, 409, "err_fleet_state", "%s", e->err.text);
	return false;
}

/* A change may go on when the caller has seen what it changes. */
static bool
begin_change(struct edit *e, struct http_call *c, enum rest_verb verb)
{
	if (!begin(e, c, verb))
		return false;
	if (fleet_if_match(c, mark_of(e)))
		return true;
	leave(e);
	return false;
}

static bool
begin_config(struct edit *e, struct http_call *c, enum rest_verb verb)
{
	if (!begin(e, c, verb))
		return false;
	e->config = fleet_config_find(&e->s, http_var(c, 0));
	if (e->config == NULL) {
		not_there(e, "configuration");
		return false;
	}
	if (verb == REST_GET || fleet_if_match(c, mark_of(e)))
		return true;
	leave(e);
	return false;
}

static bool
begin_tag(struct edit *e, struct http_call *c, enum rest_verb verb)
{
	if (!begin(e, c, verb))
		return false;
	e->tag = fleet_tag_find(&e->s, http_var(c, 0));
	if (e->tag == NULL) {
		not_there(e, "tag");
		return false;
	}
	if (verb == REST_GET || fleet_if_match(c, mark_of(e)))
		return true;
	leave(e);
	return false;
}

static void
fail(struct edit *e)
{
	leave(e);
	fleet_state_error(e->c, &e->err);
}

/* Stores what was changed, and answers. */
static void
finish(struct edit *e, struct str identifier)
{
	struct json_out *o;

	if (fleet_repo_write(e->r, &e->s, &e->err) != 0) {
		fail(e);
		return;
	}
	o = rest_data(e->c);
	http_header(e->c, "ETag", mark_of(e));
	if (identifier.ptr != NULL) {
		json_out_key(o, "identifier");
		json_out_str(o, identifier);
	}
	fleet_faults_put(o, e->r);
	rest_data_end(e->c);
	leave(e);
}

/* What the body has in "data". False: answered, and the repository given. */
static bool
data(struct edit *e, struct str *ret)
{
	*ret = json_find(&e->c->arena, e->c->body, STR("data"));
	if (ret->ptr != NULL && json_type_of(*ret) == JSON_OBJECT)
		return true;
	leave(e);
	http_error(e->c, 400, "err_param",
	    "the body must be {\"data\":{...}} in JSON");
	return false;
}

/* --- the whole ------------------------------------------------------------ */

static void
handle_state(struct http_call *c)
{
	struct json_out *o;
	struct edit e;

	if (!begin(&e, c, REST_GET))
		return;
	o = http_json(c, 200);
	http_header(c, "ETag", mark_of(&e));
	json_out_object(o);
	json_out_key(o, "data");
	fleet_state_put(o, &e.s);
	json_out_end_object(o);
	leave(&e);
}

static void
handle_state_patch(struct http_call *c)
{
	struct edit e = { .c = c };
	struct fleet_state was;
	struct str json;

	/* also when the one that is there can not be read: this mends it */
	if (!fleet_call_repo(c, REST_PATCH, &e.r))
		return;
	if (fleet_repo_state(e.r, &c->arena, &was, NULL) == 0 &&
	    !fleet_if_match(c, state_mark(&c->arena, &was))) {
		leave(&e);
		return;
	}
	if (!data(&e, &json))
		return;
	if (fleet_state_read(json, &c->arena, &e.s, NULL, &e.err) != 0)
		fail(&e);
	else
		finish(&e, STR_NULL);
}

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

	if (!begin_change(&e, c, REST_PATCH) || !data(&e, &json))
		return;
	if (reorder(&e, "configurations", json, e.s.configs, e.s.n_configs,
		sizeof(*e.s.configs), config_id) &&
	    reorder(&e, "tags", json, e.s.tags, e.s.n_tags, sizeof(*e.s.tags),
		tag_id))
		finish(&e, STR_NULL);
	else
		fail(&e);
}

/* --- configurations and tags ---------------------------------------------- */

/* An identifier made of the name, which nothing else has. */
static struct str
new_identifier(struct edit *e, struct str name, bool tag)
{
	struct arena *a = &e->c->arena;
	struct str first = fleet_identifier(a, name), id = first;

	for (int i = 2; tag ? fleet_tag_find(&e->s, id) != NULL
			    : fleet_config_find(&e->s, id) != NULL;
	     i++)
		id = arena_printf(
		    a, "%.*s-%d", (int)MIN_OF(first.len, 55), first.ptr, i);
	return id;
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
	uses = arena_array(a, config->n_modules + 1, struct fleet_use);
	if (config->n_modules > 0)
		memcpy(uses + 1, config->modules,
		    config->n_modules * sizeof(*uses));
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
handle_config_add(struct http_call *c)
{
	struct fleet_config *list;
	struct str json;
	struct edit e;

	if (!begin(&e, c, REST_ADD) || !data(&e, &json))
		return;
	list = arena_array(&c->arena, e.s.n_configs + 1, struct fleet_config);
	if (e.s.n_configs > 0)
		memcpy(list, e.s.configs, e.s.n_configs * sizeof(*list));
	e.config = &list[e.s.n_configs];
	if (fleet_config_patch(json, &c->arena, e.config, &e.err) != 0) {
		fail(&e);
		return;
	}
	if (e.config->identifier.ptr == NULL)
		e.config->identifier =
		    new_identifier(&e, e.config->display_name, false);
	device_module(&e, e.config, json);
	e.s.configs = list;
	e.s.n_configs++;
	finish(&e, e.config->identifier);
}

static void
handle_tag_add(struct http_call *c)
{
	struct fleet_tag *list;
	struct str json;
	struct edit e;

	if (!begin(&e, c, REST_ADD) || !data(&e, &json))
		return;
	list = arena_array(&c->arena, e.s.n_tags + 1, struct fleet_tag);
	if (e.s.n_tags > 0)
		memcpy(list, e.s.tags, e.s.n_tags * sizeof(*list));
	e.tag = &list[e.s.n_tags];
	e.tag->priority = FLEET_PRIORITY_TAG;
	if (fleet_tag_patch(json, &c->arena, e.tag, &e.err) != 0) {
		fail(&e);
		return;
	}
	if (e.tag->identifier.ptr == NULL)
		e.tag->identifier =
		    new_identifier(&e, e.tag->display_name, true);
	e.s.tags = list;
	e.s.n_tags++;
	finish(&e, e.tag->identifier);
}

static void
handle_config(struct http_call *c)
{
	struct json_out *o;
	struct edit e;

	if (!begin_config(&e, c, REST_GET))
		return;
	o = http_json(c, 200);
	http_header(c, "ETag", mark_of(&e));
	json_out_object(o);
	json_out_key(o, "data");
	fleet_config_put(o, e.config);
	json_out_end_object(o);
	leave(&e);
}

static void
handle_tag(struct http_call *c)
{
	struct json_out *o;
	struct edit e;

	if (!begin_tag(&e, c, REST_GET))
		return;
	o = http_json(c, 200);
	http_header(c, "ETag", mark_of(&e));
	json_out_object(o);
	json_out_key(o, "data");
	fleet_tag_put(o, e.tag);
	json_out_end_object(o);
	leave(&e);
}

/* An identifier never changes: it is the name of a folder, and devices have
 * it. */
static bool
same_identifier(struct edit *e, struct str was, struct str is)
{
	if (str_eq(was, is))
		return true;
	(void)err_set(&e->err, ERR_PARAM, "identifier: it can not change");
	return false;
}

static void
handle_config_patch(struct http_call *c)
{
	struct str json, id;
	struct edit e;

	if (!begin_config(&e, c, REST_PATCH) || !data(&e, &json))
		return;
	id = e.config->identifier;
	if (fleet_config_patch(json, &c->arena, e.config, &e.err) == 0 &&
	    same_identifier(&e, id, e.config->identifier))
		finish(&e, id);
	else
		fail(&e);
}

static void
handle_tag_patch(struct http_call *c)
{
	struct str json, id;
	struct edit e;

	if (!begin_tag(&e, c, REST_PATCH) || !data(&e, &json))
		return;
	id = e.tag->identifier;
	if (fleet_tag_patch(json, &c->arena, e.tag, &e.err) == 0 &&
	    same_identifier(&e, id, e.tag->identifier))
		finish(&e, id);
	else
		fail(&e);
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
handle_config_del(struct http_call *c)
{
	struct edit e;
	size_t at;

	if (!begin_config(&e, c, REST_DEL))
		return;
	if (in_use(&e, "config") != 0 || in_use(&e, "deployedConfig") != 0) {
		fail(&e);
		return;
	}
	at = (size_t)(e.config - e.s.configs);
	memmove(e.config, e.config + 1,
	    (e.s.n_configs - at - 1) * sizeof(*e.config));
	e.s.n_configs--;
	e.config = NULL;
	finish(&e, http_var(c, 0));
}

static void
handle_tag_del(struct http_call *c)
{
	struct edit e;
	size_t at;

	if (!begin_tag(&e, c, REST_DEL))
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
	finish(&e, http_var(c, 0));
}

/* --- lists ---------------------------------------------------------------- */

/* What was asked for of `n`. False: answered. */
static bool
range(struct http_call *c, size_t n, size_t *from, size_t *to, bool *bare)
{
	int64_t skip, most;

	if (!fleet_paging(c, &skip, &most, bare))
		return false;
	*from = (size_t)MIN_OF((uint64_t)skip, n);
	*to =
	    most == 0 || (uint64_t)most > n - *from ? n : *from + (size_t)most;
	return true;
}

static void
handle_config_list(struct http_call *c)
{
	size_t i, to;
	struct edit e;
	bool bare;

	if (!begin(&e, c, REST_LIST))
		return;
	if (range(c, e.s.n_configs, &i, &to, &bare)) {
		struct json_out *o = fleet_list(c, bare);

		for (; i < to; i++)
			fleet_config_put(o, &e.s.configs[i]);
		fleet_list_end(c, bare);
	}
	leave(&e);
}

static void
handle_tag_list(struct http_call *c)
{
	size_t i, to;
	struct edit e;
	bool bare;

	if (!begin(&e, c, REST_LIST))
		return;
	if (range(c, e.s.n_tags, &i, &to, &bare)) {
		struct json_out *o = fleet_list(c, bare);

		for (; i < to; i++)
			fleet_tag_put(o, &e.s.tags[i]);
		fleet_list_end(c, bare);
	}
	leave(&e);
}

static void
handle_config_count(struct http_call *c)
{
	struct edit e;

	if (!begin(&e, c, REST_COUNT))
		return;
	leave(&e);
	rest_count(c, (int64_t)e.s.n_configs);
}

static void
handle_tag_count(struct http_call *c)
{
	struct edit e;

	if (!begin(&e, c, REST_COUNT))
		return;
	leave(&e);
	rest_count(c, (int64_t)e.s.n_tags);
}

/* --- modules of one of them ----------------------------------------------- */

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
	leave(e);
	http_error(e->c, 404, "err_not_found", "it has no module \"%.*s\"",
	    (int)MIN_OF(http_var(e->c, 1).len, 120), http_var(e->c, 1).ptr);
}

static void
module_get(struct edit *e)
{
	struct fleet_use **list, *use;
	struct json_out *o;
	size_t *n;

	use = use_of(e, &list, &n);
	if (use == NULL) {
		no_module(e);
		return;
	}
	o = http_json(e->c, 200);
	http_header(e->c, "ETag", mark_of(e));
	json_out_object(o);
	json_out_key(o, "data");
	fleet_use_put(o, use);
	json_out_end_object(o);
	leave(e);
}

static void
module_put(struct edit *e)
{
	struct str json, settings;
	struct fleet_use **list, *use;
	size_t *n;

	if (!data(e, &json))
		return;
	settings = json_find(&e->c->arena, json, STR("settings"));
	if (settings.ptr == NULL || json_type_of(settings) != JSON_OBJECT) {
		leave(e);
		http_error(e->c, 400, "err_param",
		    "settings: must be an object; null takes one away");
		return;
	}
	use = use_of(e, &list, &n);
	if (use == NULL) {
		struct fleet_use *more =
		    arena_array(&e->c->arena, *n + 1, struct fleet_use);

		if (*n > 0)
			memcpy(more, *list, *n * sizeof(*more));
		use = &more[(*n)++];
		use->type = http_var(e->c, 1);
		*list = more;
	}
	if (fleet_use_patch(settings, &e->c->arena, use, &e->err) != 0) {
		(void)err_wrap(&e->err, "settings");
		fail(e);
		return;
	}
	finish(e, http_var(e->c, 0));
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
		fail(e);
		return;
	}
	memmove(use, use + 1, (*n - (size_t)(use - *list) - 1) * sizeof(*use));
	--*n;
	finish(e, http_var(e->c, 0));
}

static void
handle_config_module(struct http_call *c)
{
	struct edit e;

	if (begin_config(&e, c, REST_GET))
		module_get(&e);
}

static void
handle_config_module_put(struct http_call *c)
{
	struct edit e;

	if (begin_config(&e, c, REST_PATCH))
		module_put(&e);
}

static void
handle_config_module_del(struct http_call *c)
{
	struct edit e;

	if (begin_config(&e, c, REST_PATCH))
		module_del(&e);
}

static void
handle_tag_module(struct http_call *c)
{
	struct edit e;

	if (begin_tag(&e, c, REST_GET))
		module_get(&e);
}

static void
handle_tag_module_put(struct http_call *c)
{
	struct edit e;

	if (begin_tag(&e, c, REST_PATCH))
		module_put(&e);
}

static void
handle_tag_module_del(struct http_call *c)
{
	struct edit e;

	if (begin_tag(&e, c, REST_PATCH))
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
static const struct record use_record = { "fleetModuleSettings", sizeof(U),
	use_fields };
#undef U

struct shown {
	struct str version, repositories, device_type;
	struct str display_name, identifier;
	int64_t priority;
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
	F_RECORDS(S, modules, "modules", .record = &use_record,
	    .help = "Modules with those of their settings that are set here."),
	F_TEXTS(S, tags, "tags", .help = "Identifiers of tags."),
	{ 0 },
};
static const struct record config_record = { "fleetConfiguration", sizeof(S),
	config_fields };
static const struct field config_more_fields[] = {
	F_TEXT(S, device_type, "deviceType",
	    .help = "For a device module that is made when `modules` has "
		    "none: `linux`, `generic-x86_64`, ..."),
	{ 0 },
};
static const struct record config_more = { "fleetConfigurationMore", sizeof(S),
	config_more_fields };
static const struct field tag_fields[] = {
	F_TEXT(S, display_name, "displayName", .max = 255,
	    .help = "What people call it; no two have the same."),
	F_TEXT(S, identifier, "identifier", .max = 63,
	    .help = "Names its folder, as that of a configuration."),
	F_INT(S, priority, "priority", .def = "90",
	    .help = "What its settings weigh: the lowest number wins. A "
		    "configuration's own weigh 80."),
	F_RECORDS(S, modules, "modules", .record = &use_record,
	    .help = "Modules with settings."),
	{ 0 },
};
static const struct record tag_record = { "fleetTag", sizeof(S), tag_fields };
#undef S

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
	F_RECORDS(S, tags, "tags", .record = &tag_record,
	    .help = "In the order that people have given them."),
	F_RECORDS(S, configs, "configs", .record = &config_record,
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
static const struct record changed_record = { "fleetChanged",
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

#define ROW(verb, path, what)                                                  \
	verb, path, HTTP_TOKEN, .scope = "fleet.state." what,                  \
				.query = &fleet_unit_query,                    \
				.query_members = "unit!"
#define BIG .body_max = STATE_MAX
#define CHANGED                                                                \
	.reply = { .record = &changed_record, .sometimes = "identifier" }

const struct http_route fleet_state_rows[] = {
	{ ROW("GET", "/state", "get"), .reply = { .record = &state_record },
	    .handle = handle_state,
	    .help = "The state of a unit's fleet, as state.json has it; its "
		    "ETag for If-Match." },
	{ ROW("PATCH", "/state", "patch"), BIG,
	    .body = { .record = &state_record }, CHANGED,
	    .handle = handle_state_patch,
	    .help = "Replaces the whole state, and generates what follows "
		    "from it." },
	{ ROW("PATCH", "/order", "patch"), BIG,
	    .body = { .record = &order_record }, CHANGED,
	    .handle = handle_order,
	    .help = "Puts configurations and tags in another order." },

	{ ROW("POST", "/configuration", "post"), BIG,
	    .body = { .record = &config_record,
		.members = "displayName! identifier modules tags",
		.extra = &config_more },
	    CHANGED, .handle = handle_config_add,
	    .help = "Makes a configuration." },
	{ ROW("GET", "/configuration/count", "get"),
	    .reply = { .record = &rest_counted }, .handle = handle_config_count,
	    .help = "How many there are." },
	{ ROW("GET", "/configuration/list", "get"),
	    .reply = { .record = &config_record, .list = true },
	    .handle = handle_config_list,
	    .help = "Configurations, in their order." },
	{ ROW("GET", "/configuration/{identifier}", "get"),
	    .reply = { .record = &config_record }, .handle = handle_config,
	    .help = "One configuration; its ETag for If-Match." },
	{ ROW("PATCH", "/configuration/{identifier}", "patch"), BIG,
	    .body = { .record = &config_record }, CHANGED,
	    .handle = handle_config_patch,
	    .help = "Changes a configuration. Lists are replaced as a "
		    "whole." },
	{ ROW("DELETE", "/configuration/{identifier}", "delete"), CHANGED,
	    .handle = handle_config_del,
	    .help = "Removes a configuration that no device has." },
	{ ROW("GET", "/configuration/{identifier}/module/{type}", "get"),
	    .reply = { .record = &use_record }, .handle = handle_config_module,
	    .help = "A module of a configuration with its settings. ETag: "
		    "that of the configuration." },
	{ ROW("PUT", "/configuration/{identifier}/module/{type}", "patch"), BIG,
	    .body = { .record = &use_record, .members = "settings!" }, CHANGED,
	    .handle = handle_config_module_put,
	    .help = "Sets settings of a module, which is added when it is not "
		    "there; null takes one away, others stay." },
	{ ROW("DELETE", "/configuration/{identifier}/module/{type}", "patch"),
	    CHANGED, .handle = handle_config_module_del,
	    .help = "Takes a module with all its settings away." },

	{ ROW("POST", "/tag", "post"), BIG,
	    .body = { .record = &tag_record,
		.members = "displayName! identifier priority modules" },
	    CHANGED, .handle = handle_tag_add,
	    .help = "Makes a tag: modules with settings that several "
		    "configurations share." },
	{ ROW("GET", "/tag/count", "get"), .reply = { .record = &rest_counted },
	    .handle = handle_tag_count, .help = "How many there are." },
	{ ROW("GET", "/tag/list", "get"),
	    .reply = { .record = &tag_record, .list = true },
	    .handle = handle_tag_list, .help = "Tags, in their order." },
	{ ROW("GET", "/tag/{identifier}", "get"),
	    .reply = { .record = &tag_record }, .handle = handle_tag,
	    .help = "One tag; its ETag for If-Match." },
	{ ROW("PATCH", "/tag/{identifier}", "patch"), BIG,
	    .body = { .record = &tag_record }, CHANGED,
	    .handle = handle_tag_patch,
	    .help = "Changes a tag. Lists are replaced as a whole." },
	{ ROW("DELETE", "/tag/{identifier}", "delete"), CHANGED,
	    .handle = handle_tag_del,
	    .help = "Removes a tag, also from the configurations that have "
		    "it." },
	{ ROW("GET", "/tag/{identifier}/module/{type}", "get"),
	    .reply = { .record = &use_record }, .handle = handle_tag_module,
	    .help = "A module of a tag with its settings. ETag: that of the "
		    "tag." },
	{ ROW("PUT", "/tag/{identifier}/module/{type}", "patch"), BIG,
	    .body = { .record = &use_record, .members = "settings!" }, CHANGED,
	    .handle = handle_tag_module_put,
	    .help = "Sets settings of a module, as for a configuration." },
	{ ROW("DELETE", "/tag/{identifier}/module/{type}", "patch"), CHANGED,
	    .handle = handle_tag_module_del,
	    .help = "Takes a module with all its settings away." },
	{ 0 },
};
