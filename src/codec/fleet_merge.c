/*
 * codec/fleet_merge.c - see fleet_module.h: which definition of a setting wins,
 * and what several become together.
 *
 * It is what the module system of NixOS does with the files that are generated
 * for NixOS: the lowest number wins; of several with that number lists are
 * joined, sets are joined member by member, and anything else must be equal.
 * What is joined comes in the order of Nix: the last source first.
 */
#include "codec/fleet_module_private.h"

#include "base/base.h"
#include "base/map.h"

#include <stdlib.h>
#include <string.h>

/* A configuration, or one of its tags. */
struct source {
	const struct fleet_use *uses;
	size_t n;
	int64_t priority;
	struct str tag;
};

struct found {
	struct fleet_definition d;
	size_t source; /* in the order of the flake's modules */
};

/* All definitions of one setting. */
struct group {
	struct found *at;
	size_t n;
	const struct fleet_module *module; /* NULL: not known */
	const struct fleet_kind *kind;     /* NULL: not known */
	struct arena *a;
	struct str value; /* what they become; null: there is a conflict */
};

static struct str
compact(struct arena *a, struct str json)
{
	struct buf b = { 0 };
	struct str s = STR("null");

	if (json_compact(&b, json, 0))
		s = arena_str(a, buf_str(&b));
	buf_free(&b);
	return s;
}

/* --- two values ----------------------------------------------------------- */

static bool
join_sets(struct arena *a, struct str x, struct str y, struct str *ret)
{
	struct buf b = { 0 };
	struct json_out o;
	struct json j;
	struct str key, value, other;
	bool ok = true;

	json_out_init(&o, &b, false);
	json_out_object(&o);
	json_open(&j, x, 0, a);
	for (json_object(&j); ok && json_member(&j, &key);) {
		if (!json_raw(&j, &value))
			break;
		other = json_find(a, y, key);
		if (other.ptr != NULL)
			ok = fleet_join(a, value, other, &value);
		json_out_key_str(&o, key);
		json_out_raw(&o, value);
	}
	json_open(&j, y, 0, a);
	for (json_object(&j); ok && json_member(&j, &key);)
		if (json_raw(&j, &value) && json_find(a, x, key).ptr == NULL) {
			json_out_key_str(&o, key);
			json_out_raw(&o, value);
		}
	json_out_end_object(&o);
	*ret = arena_str(a, buf_str(&b));
	buf_free(&b);
	return ok;
}

static void
put_items(struct arena *a, struct json_out *o, struct str list)
{
	struct json j;
	struct str item;

	json_open(&j, list, 0, a);
	for (json_array(&j); json_item(&j);)
		if (json_raw(&j, &item))
			json_out_raw(o, item);
}

bool
fleet_join(struct arena *a, struct str x, struct str y, struct str *ret)
{
	enum json_type type = json_type_of(x);
	struct buf b = { 0 };
	struct json_out o;

	if (type != json_type_of(y))
		return false;
	if (type == JSON_OBJECT)
		return join_sets(a, x, y, ret);
	if (type != JSON_ARRAY) {
		*ret = x;
		return str_eq(compact(a, x), compact(a, y));
	}
	json_out_init(&o, &b, false);
	json_out_array(&o);
	put_items(a, &o, x);
	put_items(a, &o, y);
	json_out_end_array(&o);
	*ret = arena_str(a, buf_str(&b));
	buf_free(&b);
	return true;
}

/* --- one setting ---------------------------------------------------------- */

/* Joins those of the definitions that say so, the last source first. */
static void
join_some(struct group *g, bool (*is_in)(const struct group *, size_t i))
{
	bool any = false, ok = true;

	for (size_t i = g->n; i-- > 0;) {
		struct fleet_definition *d = &g->at[i].d;

		if (!is_in(g, i))
			continue;
		d->wins = true;
		if (!any)
			g->value = d->value;
		else if (!fleet_join(g->a, g->value, d->value, &g->value))
			ok = false;
		any = true;
	}
	if (ok)
		return;
	g->value = STR_NULL;
	for (size_t i = 0; i < g->n; i++)
		if (is_in(g, i))
			g->at[i].d.conflict = true;
}

static bool
is_lightest(const struct group *g, size_t i)
{
	return g->at[i].d.priority == g->at[0].d.priority;
}

static bool
is_list(const struct group *g, size_t i)
{
	return json_type_of(g->at[i].d.value) == JSON_ARRAY;
}

/* Of the rows with the same key the lightest; several of that weight are
 * joined. */
static void
join_rows(struct group *g)
{
	struct buf b = { 0 };
	struct map seen = { 0 }; /* key -> its row */
	struct row {
		struct str value;
		int64_t priority;
	} * was;
	struct strs order = { 0 };
	size_t total = 0;
	struct json_out o;
	struct json j;
	struct str row, key;

	for (size_t i = 0; i < g->n; i++) {
		json_open(&j, g->at[i].d.value, 0, g->a);
		for (json_array(&j); json_item(&j); json_skip(&j))
			total++;
	}
	order.at = arena_array(g->a, total + 1, struct str);
	for (size_t i = 0; i < g->n; i++) {
		struct fleet_definition *d = &g->at[i].d;

		json_open(&j, d->value, 0, g->a);
		for (json_array(&j); json_item(&j);) {
			if (!json_raw(&j, &row) ||
			    json_type_of(row) != JSON_OBJECT)
				continue;
			key = json_find(g->a, row, g->kind->by);
			key = key.ptr != NULL ? compact(g->a, key) : STR("");
			was = map_get(&seen, key);
			if (was == NULL) {
				was = arena_new(g->a, struct row);
				was->value = row;
				was->priority = d->priority;
				map_put(&seen, key, was);
				order.at[order.n++] = key;
				d->wins = true;
			} else if (was->priority != d->priority) {
				continue;
			} else {
				d->wins = true;
				if (!fleet_join(
					g->a, row, was->value, &was->value))
					d->conflict = true;
			}
		}
	}
	json_out_init(&o, &b, false);
	json_out_array(&o);
	for (size_t i = 0; i < order.n; i++)
		json_out_raw(
		    &o, ((struct row *)map_get(&seen, order.at[i]))->value);
	json_out_end_array(&o);
	g->value = arena_str(g->a, buf_str(&b));
	/* the other one of the same weight is in it, too */
	for (size_t i = 0; i < g->n; i++) {
		if (!g->at[i].d.conflict)
			continue;
		g->value = STR_NULL;
		for (size_t k = 0; k < g->n; k++)
			if (g->at[k].d.priority == g->at[i].d.priority &&
			    g->at[k].d.wins)
				g->at[k].d.conflict = true;
	}
	buf_free(&b);
	map_fini(&seen);
}

static void
settle_group(struct group *g)
{
	enum fleet_merge merge =
	    g->kind != NULL ? g->kind->merge : FLEET_OVERRIDE;

	if (g->module != NULL && g->module->each_source)
		for (size_t i = 0; i < g->n; i++)
			g->at[i].d.wins = true; /* each on its own */
	else if (merge == FLEET_APPEND)
		join_some(g, is_list);
	else if (merge == FLEET_BY)
		join_rows(g);
	else
		join_some(g, is_lightest);
}

/* --- all of a configuration ----------------------------------------------- */

static int
by_weight(const void *a, const void *b)
{
	const struct found *x = a, *y = b;
	int rc = str_cmp(x->d.module, y->d.module);

	if (rc == 0)
		rc = str_cmp(x->d.key, y->d.key);
	if (rc == 0)
		rc = (x->d.priority > y->d.priority) -
		    (x->d.priority < y->d.priority);
	return rc != 0 ? rc : (x->source > y->source) - (x->source < y->source);
}

static int
sources_of(const struct fleet_state *s, struct str config, struct arena *a,
    struct source **ret, size_t *n, struct err *err)
{
	const struct fleet_config *c = fleet_config_find(s, config);
	struct source *list;

	if (c == NULL)
		return err_set(err, ERR_NOT_FOUND,
		    "there is no configuration \"" STR_FMT "\"",
		    STR_ARG(config));
	list = arena_array(a, c->tags.n + 1, struct source);
	list[0] = (struct source){ c->modules, c->n_modules,
		FLEET_PRIORITY_CONFIG, STR_NULL };
	*n = 1;
	for (size_t i = 0; i < c->tags.n; i++) {
		const struct fleet_tag *t = fleet_tag_find(s, c->tags.at[i]);

		if (t == NULL)
			return err_set(err, ERR_PARAM,
			    "there is no tag \"" STR_FMT "\"",
			    STR_ARG(c->tags.at[i]));
		list[(*n)++] = (struct source){ t->modules, t->n_modules,
			t->priority, t->identifier };
	}
	*ret = list;
	return 0;
}

/* "" of a setting for which that is as not set. */
static bool
is_unset(const struct fleet_kind *k, struct str value)
{
	struct arena a = { 0 };
	struct json j;
	struct str s = STR_NULL;
	bool unset = false;

	json_open(&j, value, 0, &a);
	if (k != NULL && k->unless_blank && json_peek(&j) == JSON_STRING &&
	    json_str(&j, &s))
		unset = str_trim(s).len == 0;
	arena_fini(&a);
	return unset;
}

static size_t
find_all(const struct source *from, size_t n, const struct fleet_catalog *c,
    struct arena *a, struct found **ret)
{
	struct found *all;
	size_t room = 1, got = 0;

	for (size_t i = 0; i < n; i++)
		for (size_t m = 0; m < from[i].n; m++)
			room += from[i].uses[m].n;
	all = arena_array(a, room, struct found);
	for (size_t i = 0; i < n; i++)
		for (size_t m = 0; m < from[i].n; m++) {
			const struct fleet_use *use = &from[i].uses[m];
			const struct fleet_module *mod =
			    fleet_module_find(c, use->type);

			for (size_t k = 0; k < use->n; k++) {
				const struct fleet_setting *set =
				    &use->settings[k];
				const struct fleet_kind *kind = mod == NULL
				    ? NULL
				    : fleet_kind_find(mod->settings,
					  mod->n_settings, set->key);

				if (is_unset(kind, set->value))
					continue;
				all[got].source = i;
				all[got++].d =
				    (struct fleet_definition){ .module =
								   use->type,
					    .key = set->key,
					    .value = set->value,
					    .tag = from[i].tag,
					    .priority = from[i].priority };
			}
		}
	if (got > 1)
		qsort(all, got, sizeof(*all), by_weight);
	*ret = all;
	return got;
}

/* The definitions from `at` on that are of the same setting, settled. */
static struct group
group_at(struct found *all, size_t n, size_t at, const struct fleet_catalog *c,
    struct arena *a)
{
	const struct fleet_definition *first = &all[at].d;
	struct group g = { .at = &all[at], .a = a };

	while (at + g.n < n && str_eq(all[at + g.n].d.module, first->module) &&
	    str_eq(all[at + g.n].d.key, first->key))
		g.n++;
	g.module = fleet_module_find(c, first->module);
	if (g.module != NULL)
		g.kind = fleet_kind_find(
		    g.module->settings, g.module->n_settings, first->key);
	settle_group(&g);
	return g;
}

int
fleet_definitions(const struct fleet_state *s, const struct fleet_catalog *c,
    struct str config, struct arena *a, struct fleet_definition **ret,
    size_t *n, struct err *err)
{
	struct source *from;
	struct found *all;
	size_t sources, got;
	int rc = sources_of(s, config, a, &from, &sources, err);

	if (rc != 0)
		return rc;
	got = find_all(from, sources, c, a, &all);
	for (size_t at = 0; at < got;)
		at += group_at(all, got, at, c, a).n;
	*ret = arena_array(a, got + 1, struct fleet_definition);
	for (size_t i = 0; i < got; i++)
		(*ret)[i] = all[i].d;
	*n = got;
	return 0;
}

/* --- settled -------------------------------------------------------------- */

static int
conflict(const struct group *g, struct err *err)
{
	const struct fleet_definition *one = NULL, *two = NULL;

	for (size_t i = 0; i < g->n; i++)
		if (g->at[i].d.conflict) {
			if (one == NULL)
				one = &g->at[i].d;
			else if (two == NULL)
				two = &g->at[i].d;
		}
	if (two == NULL)
		two = one;
	return err_set(err, ERR_PARAM,
	    STR_FMT "." STR_FMT ": " STR_FMT " and " STR_FMT
		    " say different things with the same priority, %d",
	    STR_ARG(g->at[0].d.module), STR_ARG(g->at[0].d.key),
	    STR_ARG(one->tag.ptr == NULL ? STR("the configuration") : one->tag),
	    STR_ARG(two->tag.ptr == NULL ? STR("the configuration") : two->tag),
	    (int)one->priority);
}

/* The settings of a use that its module knows and that may have their values,
 * as an object. */
static int
settled_object(const struct fleet_module *m, const struct fleet_setting *set,
    size_t n, struct arena *a, struct str *ret, struct err *err)
{
	struct buf b = { 0 };
	struct json_out o;
	int rc = 0;

	json_out_init(&o, &b, false);
	json_out_object(&o);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		const struct fleet_kind *k =
		    fleet_kind_find(m->settings, m->n_settings, set[i].key);

		if (k == NULL || is_unset(k, set[i].value))
			continue;
		rc = fleet_value_check(k, set[i].value, err);
		if (rc != 0)
			err_wrap(err, STR_FMT, STR_ARG(m->type));
		json_out_key_str(&o, set[i].key);
		json_out_raw(&o, set[i].value);
	}
	json_out_end_object(&o);
	*ret = arena_str(a, buf_str(&b));
	buf_free(&b);
	return rc;
}

struct settling {
	const struct fleet_catalog *c;
	struct source *from;
	size_t sources;
	struct found *all;
	size_t n_all;
	struct arena *a;
	struct fleet_settled *ret;
	size_t n;
};

static int
settle_each(struct settling *w, const struct fleet_module *m, struct err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < w->sources; i++) {
		const struct fleet_use *use =
		    fleet_use_find(w->from[i].uses, w->from[i].n, m->type);
		struct fleet_settled *to = &w->ret[w->n];

		if (use == NULL)
			continue;
		to->module = m;
		to->tag = w->from[i].tag;
		rc = settled_object(
		    m, use->settings, use->n, w->a, &to->settings, err);
		w->n++;
	}
	return rc;
}

static int
settle_merged(struct settling *w, const struct fleet_module *m, struct err *err)
{
	struct fleet_setting *set =
	    arena_array(w->a, w->n_all + 1, struct fleet_setting);
	size_t n = 0;
	int rc;

	for (size_t at = 0; at < w->n_all;) {
		struct group g;

		if (!str_eq(w->all[at].d.module, m->type)) {
			at++;
			continue;
		}
		g = group_at(w->all, w->n_all, at, w->c, w->a);
		at += g.n;
		if (g.value.ptr == NULL && g.kind != NULL) {
			bool clash = false;

			for (size_t i = 0; i < g.n; i++)
				clash = clash || g.at[i].d.conflict;
			if (clash)
				return conflict(&g, err);
			continue;
		}
		set[n].key = g.at[0].d.key;
		set[n++].value = g.value;
	}
	w->ret[w->n].module = m;
	w->ret[w->n].tag = STR_NULL;
	rc = settled_object(m, set, n, w->a, &w->ret[w->n].settings, err);
	w->n++;
	return rc;
}

int
fleet_settle(const struct fleet_state *s, const struct fleet_catalog *c,
    struct str config, struct arena *a, struct fleet_settled **ret, size_t *n,
    struct err *err)
{
	struct settling w = { .c = c, .a = a };
	struct map seen = { 0 };
	size_t room = 1;
	int rc = sources_of(s, config, a, &w.from, &w.sources, err);

	if (rc != 0)
		return rc;
	for (size_t i = 0; i < w.sources; i++)
		room += w.from[i].n;
	w.n_all = find_all(w.from, w.sources, c, a, &w.all);
	w.ret = arena_array(a, room, struct fleet_settled);
	for (size_t i = 0; rc == 0 && i < w.sources; i++)
		for (size_t k = 0; rc == 0 && k < w.from[i].n; k++) {
			struct str type = w.from[i].uses[k].type;
			const struct fleet_module *m =
			    fleet_module_find(c, type);

			if (map_get(&seen, type) != NULL)
				continue;
			map_put(&seen, type, &w);
			if (m == NULL)
				rc = err_set(err, ERR_PARAM,
				    "the module " STR_FMT " is not known; is "
				    "its repository loaded?",
				    STR_ARG(type));
			else if (m->each_source)
				rc = settle_each(&w, m, err);
			else
				rc = settle_merged(&w, m, err);
		}
	map_fini(&seen);
	*ret = w.ret;
	*n = w.n;
	return rc;
}

/* --- secrets -------------------------------------------------------------- */

struct placing {
	struct arena *a;
	struct fleet_placement *ret;
	size_t n, room;
};

static struct str
text_of(struct arena *a, struct str object, const char *key, struct str or)
{
	struct str raw = json_find(a, object, str_of(key)), s = STR_NULL;
	struct json j;

	json_open(&j, raw, 0, a);
	if (raw.ptr == NULL || json_peek(&j) != JSON_STRING ||
	    !json_str(&j, &s) || s.len == 0)
		return or ;
	return s;
}

/* The path of a secret: "{{name}}" in it is a member of its row. */
static struct str
path_for(struct placing *p, struct str path, struct str row)
{
	const char *from, *to;
	struct str name, value;

	if (path.ptr == NULL || row.ptr == NULL)
		return path;
	from = memmem(path.ptr, path.len, "{{", 2);
	to = from == NULL
	    ? NULL
	    : memmem(from, (size_t)(path.ptr + path.len - from), "}}", 2);
	if (to == NULL)
		return path;
	name = (struct str){ from + 2, (size_t)(to - from - 2) };
	value = text_of(p->a, row, arena_z(p->a, name), STR(""));
	if (value.len > 0 && memchr(value.ptr, '/', value.len) != NULL)
		return STR_NULL;
	return arena_printf(p->a, STR_FMT STR_FMT STR_FMT,
	    (int)(from - path.ptr), path.ptr, STR_ARG(value),
	    (int)(path.ptr + path.len - to - 2), to + 2);
}

/* A secret, and where it goes: by its setting, or by the row it stands in. */
static void
place(struct placing *p, const struct fleet_kind *k, struct str value,
    struct str row)
{
	struct str id = STR_NULL;
	struct json j;
	struct fleet_placement *to;

	json_open(&j, value, 0, p->a);
	if (json_peek(&j) != JSON_STRING || !json_str(&j, &id) || id.len == 0)
		return;
	if (p->n == p->room) {
		size_t room = p->room == 0 ? 8 : p->room * 2;
		struct fleet_placement *more =
		    arena_array(p->a, room, struct fleet_placement);

		if (p->n > 0)
			memcpy(more, p->ret, p->n * sizeof(*more));
		p->ret = more;
		p->room = room;
	}
	to = &p->ret[p->n];
	to->secret = id;
	to->path = text_of(p->a, row, "path", path_for(p, k->path, row));
	to->owner = text_of(
	    p->a, row, "owner", k->owner.ptr != NULL ? k->owner : STR("root"));
	to->group = text_of(
	    p->a, row, "group", k->group.ptr != NULL ? k->group : STR("root"));
	to->mode = text_of(
	    p->a, row, "mode", k->mode.ptr != NULL ? k->mode : STR("0400"));
	to->processing =
	    k->processing.ptr != NULL ? k->processing : STR("none");
	to->in_image = k->in_image;
	if (to->path.ptr != NULL)
		p->n++;
}

static void
place_all(struct placing *p, const struct fleet_kind *kinds, size_t n,
    struct str object, bool is_row)
{
	struct json j;
	struct str row;

	for (size_t i = 0; i < n; i++) {
		struct str value = json_find(p->a, object, kinds[i].key);

		if (value.ptr == NULL)
			continue;
		if (kinds[i].type == FLEET_SECRET)
			place(p, &kinds[i], value, is_row ? object : STR_NULL);
		if (kinds[i].type != FLEET_LIST)
			continue;
		json_open(&j, value, 0, p->a);
		for (json_array(&j); json_item(&j);)
			if (json_raw(&j, &row) &&
			    json_type_of(row) == JSON_OBJECT)
				place_all(
				    p, kinds[i].of, kinds[i].n_of, row, true);
	}
}

int
fleet_placements(const struct fleet_state *s, const struct fleet_catalog *c,
    struct str config, struct arena *a, struct fleet_placement **ret, size_t *n,
    struct err *err)
{
	struct placing p = { .a = a };
	struct fleet_settled *settled;
	size_t count;
	int rc = fleet_settle(s, c, config, a, &settled, &count, err);

	if (rc != 0)
		return rc;
	for (size_t i = 0; i < count; i++)
		place_all(&p, settled[i].module->settings,
		    settled[i].module->n_settings, settled[i].settings, false);
	*ret = p.ret;
	*n = p.n;
	return 0;
}
