/*
 * core/hub/setting.c - settings that change while the program runs, over HTTP.
 *
 * Which there are is said by the rows of the settings table that are `live`;
 * what is set here counts above file, flag and variable, and is kept in the
 * table `setting` for the next start. What the API shows is a store in memory,
 * made from the rows, so that lists are like all others.
 *
 * A change is checked, taken over by the table, kept, and told to the program,
 * which hands it to the modules: all under one lock, so that what is kept, what
 * is shown and what counts can not differ.
 */
#include "core/hub/private.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>

#define LOG_MODULE "hub"

/* What is shown. */
struct shown {
	struct str id, type, value, start, def, source;
	int64_t min, max;
	struct strs choices;
	struct str help, user_id;
	int64_t modified_at;
};

#define S struct shown
static const struct field shown_fields[] = {
	F_TEXT(S, id, "id", .help = "The setting: \"hub.timeZone\"."),
	F_TEXT(S, type, "type", .one_of = conf_type_names,
	    .help = "text, number, boolean, choice, size or time."),
	F_TEXT(S, value, "value", .flags = FIELD_NULL, .max = 4096,
	    .help = "As it would be typed (\"7d\", \"true\"). null: back to "
		    "what it was at the start."),
	F_TEXT(S, start, "start", .flags = FIELD_NULL,
	    .help = "What it was at the start."),
	F_TEXT(S, def, "default", .flags = FIELD_NULL),
	F_TEXT(S, source, "source", .one_of = conf_source_names,
	    .help = "Where the value is from: default, environment, flag, "
		    "file, or runtime: set here."),
	F_INT(S, min, "min", .flags = FIELD_NULL),
	F_INT(S, max, "max", .flags = FIELD_NULL,
	    .help = "Of numbers; sizes in bytes, times in ms."),
	F_TEXTS(S, choices, "choices"),
	F_TEXT(S, help, "help"),
	F_TEXT(S, user_id, "userId", .flags = FIELD_NULL,
	    .help = "Who set it here."),
	F_TIME(S, modified_at, "modifiedOn", .flags = FIELD_NULL),
	{ 0 },
};
static const struct entity shown_entity = {
	.record = { "setting", sizeof(S), shown_fields },
	.table = "shown",
	.version = 1,
	.keys = (const struct entity_key[]){ { "id", { "id" } }, { 0 } },
	.help = "A setting that may change while the program runs.",
};
static const struct entity *const shown_entities[] = { &shown_entity, NULL };

struct settings_view {
	pthread_mutex_t lock; /* guards the table, and what is told of it */
	struct store *shown;
	struct conf *conf; /* borrowed; NULL: not taken yet */
	void (*changed)(void *owner);
	void *owner;
};

int
settings_open(struct hub *h, struct err *err)
{
	const struct store_conf conf = { .engine = "memory",
		.entities = shown_entities };
	struct settings_view *v = mem_new(struct settings_view);

	pthread_mutex_init(&v->lock, NULL);
	h->settings = v;
	return store_open(&conf, &v->shown, err);
}

void
settings_close(struct hub *h)
{
	struct settings_view *v = h->settings;

	if (v == NULL)
		return;
	store_close(v->shown);
	pthread_mutex_destroy(&v->lock);
	free(v);
	h->settings = NULL;
}

static struct strs
choices_of(struct arena *a, const struct conf_field *f)
{
	struct strs all = { 0 };
	size_t n = 0;

	if (f->choices == NULL)
		return all;
	while (f->choices[n] != NULL)
		n++;
	all.at = arena_array(a, n + 1, struct str);
	for (; all.n < n; all.n++)
		all.at[all.n] = str_of(f->choices[all.n]);
	return all;
}

/* --- what there is ------------------------------------------------------- */

/* A row as it is now; `kept` NULL: it is not set here. */
static int
show(struct settings_view *v, const struct conf_state *s,
    const struct hub_setting *kept, struct err *err)
{
	const struct conf_field *f = s->field;
	bool ranged = f->min != 0 || f->max != 0;
	struct arena a = { 0 };
	const struct shown row = { .id = s->key,
		.type = str_of(conf_type_names[f->type]),
		.value = s->value,
		.start = s->start,
		.def = str_of(f->def),
		.source = str_of(conf_source_names[s->source]),
		.min = ranged ? f->min : FIELD_INT_NULL,
		.max = ranged ? f->max : FIELD_INT_NULL,
		.choices = choices_of(&a, f),
		.help = str_of(f->help),
		.user_id = kept != NULL ? kept->user_id : STR_NULL,
		.modified_at = kept != NULL ? kept->modified_at : TIME_NULL };
	int rc = store_upsert(v->shown, &shown_entity, &row, err);

	arena_fini(&a);
	return rc;
}

static void
show_start(void *ctx, const struct conf_state *s)
{
	(void)show(ctx, s, NULL, NULL);
}

/* One that was set before this start. What does not fit any more is told and
 * left alone: an older program may still want it. */
static int
take_kept(void *ctx, const void *row, struct err *err)
{
	const struct hub_setting *kept = row;
	struct settings_view *v = ctx;
	struct conf_state s;
	struct err why;

	if (conf_set_live(v->conf, kept->id, kept->value, &why) != 0) {
		log_warn("the setting " STR_FMT
			 " that was kept has no effect: %s",
		    STR_ARG(kept->id), why.text);
		return 0;
	}
	(void)conf_live_state(v->conf, kept->id, &s);
	return show(v, &s, kept, err);
}

int
hub_take_settings(struct hub *h, struct conf *conf,
    void (*changed)(void *owner), void *owner, struct err *err)
{
	static const struct store_query all = { 0 };
	struct settings_view *v = h->settings;
	int rc;

	v->conf = conf;
	v->changed = changed;
	v->owner = owner;
	conf_each_live(conf, show_start, v);
	rc = store_list(h->store, &hub_setting_entity, &all, take_kept, v, err);
	if (rc == 0)
		changed(owner);
	return rc;
}

/* One that was set while the program ran: its name is noted. */
struct noted {
	struct arena *arena;
	struct strs ids;
	size_t cap;
};

static void
note_live(void *ctx, const struct conf_state *s)
{
	struct noted *n = ctx;

	if (s->source != CONF_LIVE)
		return;
	if (n->ids.n == n->cap) {
		n->cap = n->cap * 2 + 16;
		n->ids.at = mem_resize(n->ids.at, n->cap, sizeof(*n->ids.at));
	}
	n->ids.at[n->ids.n++] = arena_str(n->arena, s->key);
}

int
hub_retake_settings(struct hub *h, struct err *err)
{
	static const struct store_query all = { 0 };
	struct settings_view *v = h->settings;
	struct arena a = { 0 };
	struct noted n = { .arena = &a };
	struct conf_state s;
	int rc = 0;

	pthread_mutex_lock(&v->lock);
	conf_each_live(v->conf, note_live, &n);
	for (size_t i = 0; rc == 0 && i < n.ids.n; i++) {
		rc = conf_set_live(v->conf, n.ids.at[i], STR_NULL, err);
		if (rc == 0 && conf_live_state(v->conf, n.ids.at[i], &s))
			rc = show(v, &s, NULL, err);
	}
	if (rc == 0)
		rc = store_list(
		    h->store, &hub_setting_entity, &all, take_kept, v, err);
	v->changed(v->owner);
	pthread_mutex_unlock(&v->lock);
	free(n.ids.at);
	arena_fini(&a);
	return rc;
}

/* --- changing ------------------------------------------------------------ */

struct keeping {
	const struct hub_setting *row;
	struct str before; /* null: it was not set here */
};

/* On record as what people see of it. */
static int
keep(struct store *tx, void *ctx, struct err *err)
{
	const struct keeping *k = ctx;
	struct shown was = { .id = k->row->id, .value = k->before };
	struct shown is = { .id = k->row->id, .value = k->row->value };
	struct filter f = { 0 };
	int rc;

	filter_text(&f, "id", k->row->id);
	if (k->row->value.ptr != NULL)
		rc = store_upsert(tx, &hub_setting_entity, k->row, err);
	else
		rc = store_del(tx, &hub_setting_entity, &f, NULL, err);
	return rc != 0 ? rc : versions_note(tx, &shown_entity, &was, &is, err);
}

static int
set(struct hub *h, struct http_call *c, const struct version_how *how,
    const struct hub_setting *row, struct err *err)
{
	struct settings_view *v = h->settings;
	struct conf_state was, is;
	struct keeping k = { .row = row };
	int rc;

	if (!conf_live_state(v->conf, row->id, &was))
		return err_set(err, ERR_NOT_FOUND,
		    STR_FMT ": no setting that can be changed while the "
			    "program runs; others are read at the start",
		    STR_ARG(row->id));
	k.before = was.source == CONF_LIVE ? arena_str(&c->arena, was.value)
					   : STR_NULL;
	rc = conf_set_live(v->conf, row->id, row->value, err);
	if (rc != 0) {
		err_wrap(err, STR_FMT, STR_ARG(row->id));
		return ERR_PARAM;
	}
	rc = versions_tx_how(h->versions, h->store, c, how, keep, &k, err);
	if (rc == 0) {
		(void)conf_live_state(v->conf, row->id, &is);
		rc = show(v, &is, row->value.ptr != NULL ? row : NULL, err);
	}
	if (rc == 0)
		v->changed(v->owner);
	else
		(void)conf_set_live(v->conf, row->id, k.before, NULL);
	return rc;
}

/* False: answered. */
static bool
change(struct hub *h, struct http_call *c, const struct version_how *how,
    struct str id, struct str value)
{
	const struct hub_setting row = { .id = id,
		.value = value,
		.user_id = auth_who(c)->user_id,
		.modified_at = c->came_at };
	struct err err;
	int rc;

	pthread_mutex_lock(&h->settings->lock);
	rc = set(h, c, how, &row, &err);
	pthread_mutex_unlock(&h->settings->lock);
	if (rc == ERR_NOT_FOUND)
		http_error(c, 404, "err_not_found", "%s", err.text);
	else if (rc == ERR_PARAM)
		http_error(c, 400, "err_param", "%s", err.text);
	else if (rc != 0)
		rest_db_error(c, &err);
	return rc == 0;
}

/* --- over HTTP ----------------------------------------------------------- */

static bool
before_patch(struct rest *r, const void *old, void *row, field_set_t *present,
    void *extra, field_set_t extra_present, void *beside,
    field_set_t beside_present)
{
	const struct shown *was = old, *s = row;

	(void)extra;
	(void)extra_present;
	(void)beside;
	(void)beside_present;
	*present = 0; /* change() has stored it */
	return change(r->module, r->c, r->how, was->id, s->value);
}

struct query {
	struct str contains, source;
};

static const struct field query_fields[] = {
	F_TEXT(struct query, contains, "contains",
	    .help = "Those whose name contains this text."),
	F_TEXT(struct query, source, "source",
	    .help = "Those whose value is from there; \"runtime\": that were "
		    "set here."),
	{ 0 },
};
static const struct record query_record = { "settingQuery",
	sizeof(struct query), query_fields };

#define ADMIN HTTP_ROLE_ADMIN

const struct rest_object hub_setting_object = {
	.name = "setting",
	.entity = &shown_entity,
	.id = "id",
	.filters =
	    (const struct rest_filter[]){ { "contains", "id", COND_CONTAINS },
		{ "source", "source", COND_EQ }, { 0 } },
	.query = &query_record,
	.sorts = (const struct rest_sort[]){ { "id", "id" },
	    { "modified", "modifiedOn" }, { 0 } },
	.sort = "id:asc",
	.patch = "value!",
	.patch_null = "value",
	.fleeting = "type start default source min max choices help userId "
		    "modifiedOn",
	.roles = { ADMIN, ADMIN, ADMIN, ADMIN, ADMIN, ADMIN },
	.help = "settings: those that may change while the program runs.",
	.before_patch = before_patch,
};

static void
handle_reset(struct http_call *c)
{
	if (change(
		(struct hub *)c->route->ctx, c, NULL, http_var(c, 0), STR_NULL))
		http_empty(c, 204);
}

static const struct http_route setting_rows[] = {
	{ "DELETE", "/setting/{id}", HTTP_TOKEN, .roles = ADMIN,
	    .scope = "setting.delete", .handle = handle_reset,
	    .help = "Sets one back to what it was at the start." },
	{ 0 },
};

void
settings_mount(struct hub *h, http_add_routes *add, void *ctx)
{
	struct rest_mounts *m = h != NULL ? &h->mounts : NULL;

	rest_mount(m, &hub_setting_object, "/hub/api/v1",
	    h != NULL ? h->settings->shown : NULL, h,
	    REST_CSV | REST_NO(REST_DEL), add, ctx);
	rest_mount_rows(m, setting_rows, "/hub/api/v1", h, add, ctx);
}
