/*
 * codec/fleet_yield.c - see fleet_module.h: what all modules of a configuration
 * yield together on a Linux that is not NixOS.
 *
 * Each module yields an object as of linux.json. Lists of several are joined;
 * two items of the same name become one that says what both say (a user with
 * keys of one module and groups of another), and must not contradict.
 */
#include "codec/fleet_module_private.h"

#include "base/base.h"
#include "base/map.h"

#include <string.h>

/* Members of linux.json, in its order, and what tells two items apart. */
static const struct {
	const char *name;
	const char *by; /* NULL: nothing does; "": it is no list */
} members[] = {
	{ "hostName", "" },
	{ "timeZone", "" },
	{ "repositories", "name" },
	{ "packages", "name" },
	{ "groups", "name" },
	{ "users", "name" },
	{ "files", "path" },
	{ "services", "name" },
	{ "containers", "name" },
	{ "checks", NULL },
};

struct item {
	struct str key, value;
	struct str from; /* the module that said it first */
	struct item *next;
};

struct yielding {
	struct arena *a;
	struct item *first[COUNT_OF(members)], *last[COUNT_OF(members)];
	struct map seen[COUNT_OF(members)]; /* key -> item */
};

static int
add(struct yielding *y, size_t m, struct str value, struct str from,
    struct err *err)
{
	const char *by = members[m].by;
	struct item *it;
	struct str key = STR("");

	if (by != NULL && *by != '\0') {
		key = json_find(y->a, value, str_of(by));
		if (key.ptr == NULL)
			return err_set(err, ERR_PARAM,
			    STR_FMT ": one of %s has no %s", STR_ARG(from),
			    members[m].name, by);
	}
	it = by == NULL ? NULL : map_get(&y->seen[m], key);
	if (it != NULL) {
		if (fleet_join(y->a, it->value, value, &it->value))
			return 0;
		return err_set(err, ERR_PARAM,
		    STR_FMT " and " STR_FMT
			    " say different things of %s " STR_FMT,
		    STR_ARG(it->from), STR_ARG(from), members[m].name,
		    (int)MIN_OF(key.len, 80), key.ptr);
	}
	it = arena_new(y->a, struct item);
	it->key = key;
	it->value = value;
	it->from = from;
	if (y->last[m] == NULL)
		y->first[m] = it;
	else
		y->last[m]->next = it;
	y->last[m] = it;
	if (by != NULL)
		map_put(&y->seen[m], key, it);
	return 0;
}

static int
add_all(struct yielding *y, const struct fleet_module *mod, struct str yields,
    struct err *err)
{
	struct json j, list;
	struct str key, value, item;
	int rc = 0;

	json_open(&j, yields, 0, y->a);
	for (json_object(&j); rc == 0 && json_member(&j, &key);) {
		size_t m = 0;

		while (m < COUNT_OF(members) && !str_eqz(key, members[m].name))
			m++;
		if (m == COUNT_OF(members))
			return err_set(err, ERR_PARAM,
			    STR_FMT ": a Linux has no \"" STR_FMT "\"",
			    STR_ARG(mod->type), (int)MIN_OF(key.len, 60),
			    key.ptr);
		if (!json_raw(&j, &value))
			break;
		if (json_type_of(value) != JSON_ARRAY) {
			rc = add(y, m, value, mod->type, err);
			continue;
		}
		json_open(&list, value, 0, y->a);
		for (json_array(&list); rc == 0 && json_item(&list);)
			if (json_raw(&list, &item))
				rc = add(y, m, item, mod->type, err);
	}
	return rc != 0 ? rc : json_done(&j, err);
}

/* Lists of texts that two modules have joined may say one twice. */
static void
put_item(struct yielding *y, struct json_out *o, struct str item)
{
	struct json j, list;
	struct str key, value, text;

	json_open(&j, item, 0, y->a);
	if (json_peek(&j) != JSON_OBJECT) {
		json_out_raw(o, item);
		return;
	}
	json_out_object(o);
	for (json_object(&j); json_member(&j, &key);) {
		struct map seen = { 0 };

		if (!json_raw(&j, &value))
			break;
		json_out_key_str(o, key);
		json_open(&list, value, 0, y->a);
		/* an order in which the same word may be twice */
		if (json_peek(&list) != JSON_ARRAY || str_eqz(key, "command") ||
		    str_eqz(key, "argv")) {
			json_out_raw(o, value);
			continue;
		}
		json_out_array(o);
		for (json_array(&list); json_item(&list);)
			if (json_raw(&list, &text) &&
			    map_get(&seen, text) == NULL) {
				map_put(&seen, text, y);
				json_out_raw(o, text);
			}
		json_out_end_array(o);
		map_fini(&seen);
	}
	json_out_end_object(o);
}

static struct str
whole(struct yielding *y)
{
	struct buf b = { 0 };
	struct json_out o;
	struct str s;

	json_out_init(&o, &b, false);
	json_out_object(&o);
	for (size_t m = 0; m < COUNT_OF(members); m++) {
		bool list = members[m].by == NULL || *members[m].by != '\0';

		if (y->first[m] == NULL)
			continue;
		json_out_key(&o, members[m].name);
		if (list)
			json_out_array(&o);
		for (struct item *it = y->first[m]; it != NULL; it = it->next)
			put_item(y, &o, it->value);
		if (list)
			json_out_end_array(&o);
	}
	json_out_end_object(&o);
	s = arena_str(y->a, buf_str(&b));
	buf_free(&b);
	return s;
}

/* What a template may name beside the settings. */
static struct str
variables(struct arena *a, const struct fleet_state *s, struct str config,
    struct str tag)
{
	const struct fleet_config *c = fleet_config_find(s, config);
	struct buf b = { 0 };
	struct json_out o;
	struct str ret;

	json_out_init(&o, &b, false);
	json_out_object(&o);
	json_out_key(&o, "config");
	json_out_str(&o, config);
	json_out_key(&o, "configName");
	json_out_str(&o, c->display_name);
	json_out_key(&o, "sourceKind");
	json_out_str(&o, tag.ptr == NULL ? STR("hosts") : STR("tags"));
	json_out_key(&o, "source");
	json_out_str(&o, tag.ptr == NULL ? config : tag);
	json_out_end_object(&o);
	ret = arena_str(a, buf_str(&b));
	buf_free(&b);
	return ret;
}

int
fleet_yield_json(const struct fleet_state *s, const struct fleet_catalog *c,
    struct str config, struct arena *a, struct str *ret, struct err *err)
{
	struct yielding y = { .a = a };
	struct fleet_settled *settled;
	size_t n;
	int rc = fleet_settle(s, c, config, a, &settled, &n, err);

	for (size_t i = 0; rc == 0 && i < n; i++) {
		const struct fleet_module *m = settled[i].module;
		struct str yields;

		if (m->yields.ptr == NULL)
			continue;
		rc = fleet_template(m, settled[i].settings,
		    variables(a, s, config, settled[i].tag), a, &yields, err);
		if (rc == 0)
			rc = add_all(&y, m, yields, err);
	}
	if (rc == 0)
		*ret = whole(&y);
	for (size_t m = 0; m < COUNT_OF(members); m++)
		map_fini(&y.seen[m]);
	return rc;
}

int
fleet_yield(const struct fleet_state *s, const struct fleet_catalog *c,
    struct str config, struct arena *a, struct fleet_resources *ret,
    struct err *err)
{
	struct str json;
	int rc = fleet_yield_json(s, c, config, a, &json, err);

	return rc != 0 ? rc : fleet_resources_read(json, a, ret, err);
}
