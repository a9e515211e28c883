/*
 * core/fleet/state_diff.c - see state_diff.h: what differs.
 */
#include "core/fleet/state_diff.h"

#include <stdlib.h>
#include <string.h>

struct out {
	struct arena *a;
	struct fleet_changes list;
};

static void
add(struct out *o, struct fleet_change c)
{
	size_t n = o->list.n;

	if ((n & (n - 1)) == 0) {
		struct fleet_change *bigger =
		    arena_array(o->a, n > 0 ? 2 * n : 1, struct fleet_change);

		if (n > 0)
			memcpy(bigger, o->list.at, n * sizeof(*bigger));
		o->list.at = bigger;
	}
	c.kind = c.from.ptr == NULL ? "add"
	    : c.to.ptr == NULL      ? "remove"
				    : "change";
	o->list.at[o->list.n++] = c;
}

/* --- values --------------------------------------------------------------- */

static struct str
taken(struct arena *a, struct buf *b)
{
	struct str ret = arena_str(a, buf_str(b));

	buf_free(b);
	return ret;
}

static struct str
text_json(struct arena *a, struct str s)
{
	struct buf b = { 0 };

	if (s.ptr == NULL)
		return STR_NULL;
	json_quote(&b, s);
	return taken(a, &b);
}

static struct str
texts_json(struct arena *a, struct strs list)
{
	struct json_out o;
	struct buf b = { 0 };

	json_out_init(&o, &b, false);
	json_out_array(&o);
	for (size_t i = 0; i < list.n; i++)
		json_out_str(&o, list.at[i]);
	json_out_end_array(&o);
	return taken(a, &b);
}

static struct str
compact(struct arena *a, struct str json)
{
	struct buf b = { 0 };

	if (json.ptr == NULL || !json_compact(&b, json, 0)) {
		buf_free(&b);
		return json;
	}
	return taken(a, &b);
}

static struct str
settings_json(struct arena *a, const struct fleet_use *use)
{
	struct json_out o;
	struct buf b = { 0 };

	json_out_init(&o, &b, false);
	json_out_object(&o);
	for (size_t i = 0; i < use->n; i++) {
		json_out_key_str(&o, use->settings[i].key);
		json_out_raw(&o, compact(a, use->settings[i].value));
	}
	json_out_end_object(&o);
	return taken(a, &b);
}

static struct str
config_json(struct arena *a, const struct fleet_config *c)
{
	struct json_out o;
	struct buf b = { 0 };

	json_out_init(&o, &b, false);
	fleet_config_put(&o, c);
	return taken(a, &b);
}

static struct str
tag_json(struct arena *a, const struct fleet_tag *t)
{
	struct json_out o;
	struct buf b = { 0 };

	json_out_init(&o, &b, false);
	fleet_tag_put(&o, t);
	return taken(a, &b);
}

static struct str
follows_json(struct arena *a, const struct fleet_input *in)
{
	struct json_out o;
	struct buf b = { 0 };

	json_out_init(&o, &b, false);
	json_out_object(&o);
	for (size_t i = 0; i < in->n_follows; i++) {
		json_out_key_str(&o, in->inputs_follows[2 * i]);
		json_out_str(&o, in->inputs_follows[2 * i + 1]);
	}
	json_out_end_object(&o);
	return taken(a, &b);
}

static struct str
input_json(struct arena *a, const struct fleet_input *in)
{
	struct json_out o;
	struct buf b = { 0 };

	json_out_init(&o, &b, false);
	json_out_object(&o);
	json_out_key(&o, "url");
	json_out_str(&o, in->url);
	json_out_key(&o, "follows");
	json_out_str(&o, in->follows);
	json_out_key(&o, "inputs_follows");
	json_out_raw(&o, follows_json(a, in));
	json_out_key(&o, "api_key_secret");
	json_out_str(&o, in->api_key_secret);
	json_out_end_object(&o);
	return taken(a, &b);
}

/* --- modules -------------------------------------------------------------- */

static void
member(struct out *o, struct fleet_change c, const char *name, struct str from,
    struct str to)
{
	if (str_eq(from, to) && (from.ptr == NULL) == (to.ptr == NULL))
		return;
	c.setting = str_of(name);
	c.from = from;
	c.to = to;
	add(o, c);
}

static void
settings(struct out *o, struct fleet_change c, const struct fleet_use *from,
    const struct fleet_use *to)
{
	c.module = to->type;
	for (size_t i = 0; i < from->n; i++) {
		const struct fleet_setting *s = &from->settings[i];
		char *key = arena_z(o->a, s->key);

		member(o, c, key, compact(o->a, s->value),
		    compact(o->a, fleet_setting_of(to, key)));
	}
	for (size_t i = 0; i < to->n; i++) {
		const struct fleet_setting *s = &to->settings[i];
		char *key = arena_z(o->a, s->key);

		if (fleet_setting_of(from, key).ptr == NULL)
			member(o, c, key, STR_NULL, compact(o->a, s->value));
	}
}

static void
modules(struct out *o, struct fleet_change c, const struct fleet_use *from,
    size_t n_from, const struct fleet_use *to, size_t n_to)
{
	for (size_t i = 0; i < n_from; i++) {
		const struct fleet_use *is =
		    fleet_use_find(to, n_to, from[i].type);

		if (is != NULL) {
			settings(o, c, &from[i], is);
			continue;
		}
		c.module = from[i].type;
		c.from = settings_json(o->a, &from[i]);
		c.to = STR_NULL;
		add(o, c);
	}
	for (size_t i = 0; i < n_to; i++)
		if (fleet_use_find(from, n_from, to[i].type) == NULL) {
			c.module = to[i].type;
			c.from = STR_NULL;
			c.to = settings_json(o->a, &to[i]);
			add(o, c);
		}
}

/* --- the three kinds ------------------------------------------------------ */

static void
inputs(
    struct out *o, const struct fleet_state *from, const struct fleet_state *to)
{
	for (size_t i = 0; i < from->n_inputs; i++) {
		const struct fleet_input *was = &from->inputs[i];
		const struct fleet_input *is = fleet_input_find(to, was->name);
		struct fleet_change c = { .what = "input",
			.identifier = was->name,
			.display_name = was->name };

		if (is == NULL) {
			c.from = input_json(o->a, was);
			add(o, c);
			continue;
		}
		member(o, c, "url", text_json(o->a, was->url),
		    text_json(o->a, is->url));
		member(o, c, "follows", text_json(o->a, was->follows),
		    text_json(o->a, is->follows));
		member(o, c, "inputs_follows", follows_json(o->a, was),
		    follows_json(o->a, is));
		member(o, c, "api_key_secret",
		    text_json(o->a, was->api_key_secret),
		    text_json(o->a, is->api_key_secret));
	}
	for (size_t i = 0; i < to->n_inputs; i++)
		if (fleet_input_find(from, to->inputs[i].name) == NULL)
			add(o,
			    (struct fleet_change){ .what = "input",
				.identifier = to->inputs[i].name,
				.display_name = to->inputs[i].name,
				.to = input_json(o->a, &to->inputs[i]) });
}

/* Those that are on both sides, by identifier, as a list of each side. */
static void
order(struct out *o, const char *what, struct strs from, struct strs to)
{
	struct fleet_change c = {
		.what = what, .identifier = STR(""), .display_name = STR("")
	};

	member(o, c, "order", texts_json(o->a, from), texts_json(o->a, to));
}

static void
tags(
    struct out *o, const struct fleet_state *from, const struct fleet_state *to)
{
	struct strs a = { arena_array(o->a, from->n_tags, struct str), 0 };
	struct strs b = { arena_array(o->a, to->n_tags, struct str), 0 };

	for (size_t i = 0; i < from->n_tags; i++) {
		const struct fleet_tag *was = &from->tags[i];
		const struct fleet_tag *is =
		    fleet_tag_find(to, was->identifier);
		struct fleet_change c = { .what = "tag",
			.identifier = was->identifier,
			.display_name = was->display_name };

		if (is == NULL) {
			c.from = tag_json(o->a, was);
			add(o, c);
			continue;
		}
		a.at[a.n++] = was->identifier;
		c.display_name = is->display_name;
		member(o, c, "displayName", text_json(o->a, was->display_name),
		    text_json(o->a, is->display_name));
		member(o, c, "priority",
		    arena_printf(o->a, "%lld", (long long)was->priority),
		    arena_printf(o->a, "%lld", (long long)is->priority));
		modules(o, c, was->modules, was->n_modules, is->modules,
		    is->n_modules);
	}
	for (size_t i = 0; i < to->n_tags; i++) {
		const struct fleet_tag *is = &to->tags[i];

		if (fleet_tag_find(from, is->identifier) != NULL)
			b.at[b.n++] = is->identifier;
		else
			add(o,
			    (struct fleet_change){ .what = "tag",
				.identifier = is->identifier,
				.display_name = is->display_name,
				.to = tag_json(o->a, is) });
	}
	order(o, "tag", a, b);
}

static void
configs(
    struct out *o, const struct fleet_state *from, const struct fleet_state *to)
{
	struct strs a = { arena_array(o->a, from->n_configs, struct str), 0 };
	struct strs b = { arena_array(o->a, to->n_configs, struct str), 0 };

	for (size_t i = 0; i < from->n_configs; i++) {
		const struct fleet_config *was = &from->configs[i];
		const struct fleet_config *is =
		    fleet_config_find(to, was->identifier);
		struct fleet_change c = { .what = "configuration",
			.identifier = was->identifier,
			.display_name = was->display_name };

		if (is == NULL) {
			c.from = config_json(o->a, was);
			add(o, c);
			continue;
		}
		a.at[a.n++] = was->identifier;
		c.display_name = is->display_name;
		member(o, c, "displayName", text_json(o->a, was->display_name),
		    text_json(o->a, is->display_name));
		member(o, c, "tags", texts_json(o->a, was->tags),
		    texts_json(o->a, is->tags));
		modules(o, c, was->modules, was->n_modules, is->modules,
		    is->n_modules);
	}
	for (size_t i = 0; i < to->n_configs; i++) {
		const struct fleet_config *is = &to->configs[i];

		if (fleet_config_find(from, is->identifier) != NULL)
			b.at[b.n++] = is->identifier;
		else
			add(o,
			    (struct fleet_change){ .what = "configuration",
				.identifier = is->identifier,
				.display_name = is->display_name,
				.to = config_json(o->a, is) });
	}
	order(o, "configuration", a, b);
}

void
fleet_state_diff(const struct fleet_state *from, const struct fleet_state *to,
    struct arena *a, struct fleet_changes *ret)
{
	struct out o = { .a = a };

	inputs(&o, from, to);
	tags(&o, from, to);
	configs(&o, from, to);
	*ret = o.list;
}

/* --- telling it ----------------------------------------------------------- */

static void
put_text(struct json_out *o, const char *key, struct str s)
{
	json_out_key(o, key);
	json_out_str(o, s);
}

void
fleet_changes_put(struct json_out *o, const struct fleet_changes *c)
{
	json_out_array(o);
	for (size_t i = 0; i < c->n; i++) {
		const struct fleet_change *x = &c->at[i];

		json_out_object(o);
		put_text(o, "what", str_of(x->what));
		put_text(o, "kind", str_of(x->kind));
		put_text(o, "identifier", x->identifier);
		put_text(o, "displayName", x->display_name);
		put_text(o, "module", x->module);
		put_text(o, "setting", x->setting);
		json_out_key(o, "from");
		json_out_raw(o, x->from);
		json_out_key(o, "to");
		json_out_raw(o, x->to);
		json_out_end_object(o);
	}
	json_out_end_array(o);
}
