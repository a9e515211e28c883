/*
 * codec/fleet_module_write.c - a module as people see it, in their language.
 *
 * {"type","displayName","description","category","icon","iconDark","targets",
 *  "settings":{key:{"displayName","type","description","default","example",
 *		     "order","option","merge"}}}
 */
#include "codec/fleet_module_private.h"

#include <inttypes.h>

struct writer {
	struct json_out *o;
	bool german;
};

static void
text(struct writer *w, const char *key, const struct fleet_text *t)
{
	json_out_key(w->o, key);
	json_out_str(w->o, w->german && t->de.ptr != NULL ? t->de : t->en);
}

static void
member(struct writer *w, const char *key, struct str s)
{
	json_out_key(w->o, key);
	json_out_str(w->o, s);
}

static void
strings(struct writer *w, const char *key, const struct strs *list)
{
	json_out_key(w->o, key);
	json_out_array(w->o);
	for (size_t i = 0; i < list->n; i++)
		json_out_str(w->o, list->at[i]);
	json_out_end_array(w->o);
}

static void put_kinds(struct writer *w, const struct fleet_kind *k, size_t n);

static void
put_select(struct writer *w, const struct fleet_kind *k)
{
	struct json_out *o = w->o;

	json_out_key(o, "select-one");
	json_out_array(o);
	for (size_t i = 0; i < k->n_choices; i++) {
		const struct fleet_text *t = &k->choices[i].label;

		json_out_array(o);
		json_out_str(o, w->german && t->de.ptr != NULL ? t->de : t->en);
		json_out_str(o, k->choices[i].value);
		json_out_end_array(o);
	}
	json_out_end_array(o);
}

static void
put_extra(struct writer *w, const struct fleet_kind *k)
{
	struct json_out *o = w->o;
	const struct fleet_restriction *x = k->restrictions;

	json_out_key(o, "extra_data");
	if (!k->config_only && k->n_restrictions == 0) {
		json_out_null(o);
		return;
	}
	json_out_object(o);
	if (k->n_restrictions > 0) {
		json_out_key(o, "restrict_values_on_other_key");
		json_out_object(o);
		for (size_t i = 0; i < k->n_restrictions; i++) {
			if (i == 0 || !str_eq(x[i].key, x[i - 1].key)) {
				if (i > 0)
					json_out_end_object(o);
				json_out_key_str(o, x[i].key);
				json_out_object(o);
			}
			json_out_key_str(o, x[i].value);
			json_out_array(o);
			for (size_t n = 0; n < x[i].allowed.n; n++)
				json_out_str(o, x[i].allowed.at[n]);
			json_out_end_array(o);
		}
		json_out_end_object(o);
		json_out_end_object(o);
	}
	if (k->config_only) {
		json_out_key(o, "only_editable_on_target_type");
		json_out_array(o);
		json_out_str(o, STR("config"));
		json_out_end_array(o);
	}
	json_out_end_object(o);
}

static void
put_timer(struct writer *w, const struct fleet_kind *k)
{
	struct arena a = { 0 };
	struct str key;
	struct json j;

	json_open(&j, k->timer, 0, &a);
	if (k->timer.ptr != NULL && json_object(&j))
		while (json_member(&j, &key)) {
			json_out_key_str(w->o, key);
			json_copy(&j, w->o);
		}
	arena_fini(&a);
}

static bool
is_plain(const struct fleet_kind *k)
{
	return k->type <= FLEET_PACKAGE && !k->config_only &&
	    k->n_restrictions == 0 && k->format.ptr == NULL &&
	    k->min == INT64_MIN && k->max == INT64_MAX;
}

static void
put_type(struct writer *w, const struct fleet_kind *k)
{
	struct json_out *o = w->o;
	struct str name = str_of(fleet_type_names[k->type]);

	json_out_key(o, "type");
	if (is_plain(k)) {
		json_out_str(o, name);
		return;
	}
	json_out_object(o);
	member(w, "type", name);
	switch (k->type) {
	case FLEET_SELECT:
		put_select(w, k);
		break;
	case FLEET_LIST:
		json_out_key(o, "list-of");
		put_kinds(w, k->of, k->n_of);
		text(w, "element-name", &k->element);
		break;
	case FLEET_SECRET:
		strings(w, "allowed-types", &k->secret_types);
		member(w, "default-processing-type",
		    k->processing.ptr != NULL ? k->processing : STR("none"));
		json_out_key(o, "default-save-to-image");
		json_out_bool(o, k->in_image);
		break;
	case FLEET_CODE:
		member(w, "language", k->language);
		break;
	case FLEET_TIMER:
		put_timer(w, k);
		break;
	default:
		if (k->min != INT64_MIN) {
			json_out_key(o, "min");
			json_out_int(o, k->min);
		}
		if (k->max != INT64_MAX) {
			json_out_key(o, "max");
			json_out_int(o, k->max);
		}
		if (k->format.ptr != NULL)
			member(w, "format", k->format);
	}
	if (k->type == FLEET_SELECT || k->config_only)
		put_extra(w, k);
	json_out_end_object(o);
}

static void
put_kinds(struct writer *w, const struct fleet_kind *k, size_t n)
{
	static const char *const merges[] = { "override", "append", "by" };
	struct json_out *o = w->o;

	json_out_object(o);
	for (; n > 0; k++, n--) {
		json_out_key_str(o, k->key);
		json_out_object(o);
		text(w, "displayName", &k->name);
		put_type(w, k);
		text(w, "description", &k->help);
		json_out_key(o, "default");
		json_out_raw(o, k->def);
		text(w, "example", &k->example);
		json_out_key(o, "order");
		json_out_int(o, k->order);
		if (k->required) {
			json_out_key(o, "required");
			json_out_bool(o, true);
		}
		if (k->options.n > 0)
			strings(w, "option", &k->options);
		if (k->merge != FLEET_OVERRIDE)
			member(w, "merge", str_of(merges[k->merge]));
		if (k->merge == FLEET_BY)
			member(w, "mergeBy", k->by);
		json_out_end_object(o);
	}
	json_out_end_object(o);
}

void
fleet_module_write(
    const struct fleet_module *m, struct str lang, struct json_out *o)
{
	struct writer w = { o, str_eqz(lang, "de") };

	json_out_object(o);
	member(&w, "type", m->type);
	text(&w, "displayName", &m->name);
	text(&w, "description", &m->help);
	text(&w, "category", &m->category);
	member(&w, "icon", m->icon);
	member(&w, "iconDark", m->icon_dark);
	json_out_key(o, "targets");
	json_out_array(o);
	if (m->for_nixos)
		json_out_str(o, STR("nixos"));
	if (m->for_linux)
		json_out_str(o, STR("linux"));
	json_out_end_array(o);
	json_out_key(o, "eachSource");
	json_out_bool(o, m->each_source);
	member(&w, "input", m->input);
	json_out_key(o, "settings");
	put_kinds(&w, m->settings, m->n_settings);
	json_out_end_object(o);
}
