/*
 * codec/fleet_state.c - see fleet_state.h: writing, checking, finding.
 */
#include "codec/fleet_state.h"

#include "base/map.h"
#include "codec/json.h"

#include <stdio.h>
#include <string.h>

#define IDENTIFIER_MAX 63 /* it becomes a host name, too */

/* --- writing -------------------------------------------------------------- */

static void
put_value(struct json_out *o, struct str value)
{
	struct arena a = { 0 };
	struct json j;

	json_open(&j, value, 0, &a);
	json_copy(&j, o);
	arena_fini(&a);
}

void
fleet_use_put(struct json_out *o, const struct fleet_use *use)
{
	json_out_object(o);
	json_out_key(o, "type");
	json_out_str(o, use->type);
	json_out_key(o, "settings");
	json_out_object(o);
	for (size_t k = 0; k < use->n; k++) {
		json_out_key_str(o, use->settings[k].key);
		put_value(o, use->settings[k].value);
	}
	json_out_end_object(o);
	json_out_end_object(o);
}

static void
put_modules(struct json_out *o, const struct fleet_use *uses, size_t n)
{
	json_out_key(o, "modules");
	json_out_array(o);
	for (size_t i = 0; i < n; i++)
		fleet_use_put(o, &uses[i]);
	json_out_end_array(o);
}

static void
put_names(struct json_out *o, struct str name, struct str identifier)
{
	json_out_key(o, "displayName");
	json_out_str(o, name);
	json_out_key(o, "identifier");
	json_out_str(o, identifier);
}

static void
put_input(struct json_out *o, const struct fleet_input *in)
{
	json_out_key_str(o, in->name);
	json_out_object(o);
	json_out_key(o, "url");
	json_out_str(o, in->url);
	json_out_key(o, "follows");
	json_out_str(o, in->follows);
	json_out_key(o, "inputs_follows");
	json_out_object(o);
	for (size_t i = 0; i < in->n_follows; i++) {
		json_out_key_str(o, in->inputs_follows[2 * i]);
		json_out_str(o, in->inputs_follows[2 * i + 1]);
	}
	json_out_end_object(o);
	json_out_key(o, "api_key_secret");
	json_out_str(o, in->api_key_secret);
	json_out_end_object(o);
}

void
fleet_tag_put(struct json_out *o, const struct fleet_tag *t)
{
	json_out_object(o);
	put_names(o, t->display_name, t->identifier);
	json_out_key(o, "priority");
	json_out_int(o, t->priority);
	put_modules(o, t->modules, t->n_modules);
	json_out_end_object(o);
}

void
fleet_config_put(struct json_out *o, const struct fleet_config *c)
{
	json_out_object(o);
	put_names(o, c->display_name, c->identifier);
	put_modules(o, c->modules, c->n_modules);
	json_out_key(o, "tags");
	json_out_array(o);
	for (size_t i = 0; i < c->tags.n; i++)
		json_out_str(o, c->tags.at[i]);
	json_out_end_array(o);
	json_out_end_object(o);
}

void
fleet_state_put(struct json_out *o, const struct fleet_state *s)
{
	json_out_object(o);
	json_out_key(o, "version");
	json_out_str(o, STR(FLEET_STATE_VERSION));
	json_out_key(o, "repositories");
	json_out_object(o);
	for (size_t i = 0; i < s->n_inputs; i++)
		put_input(o, &s->inputs[i]);
	json_out_end_object(o);
	json_out_key(o, "tags");
	json_out_array(o);
	for (size_t i = 0; i < s->n_tags; i++)
		fleet_tag_put(o, &s->tags[i]);
	json_out_end_array(o);
	json_out_key(o, "configs");
	json_out_array(o);
	for (size_t i = 0; i < s->n_configs; i++)
		fleet_config_put(o, &s->configs[i]);
	json_out_end_array(o);
	json_out_end_object(o);
}

void
fleet_state_write(const struct fleet_state *s, struct buf *out)
{
	struct json_out o;

	json_out_init(&o, out, true);
	fleet_state_put(&o, s);
}

/* --- checking ------------------------------------------------------------- */

static bool
is_identifier(struct str s)
{
	if (s.len == 0 || s.len > IDENTIFIER_MAX || s.ptr[0] < 'a' ||
	    s.ptr[0] > 'z')
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (!((s.ptr[i] >= 'a' && s.ptr[i] <= 'z') ||
			(s.ptr[i] >= '0' && s.ptr[i] <= '9') ||
			s.ptr[i] == '-'))
			return false;
	return true;
}

/* Names of modules become names of files. */
static bool
is_type(struct str s)
{
	if (s.len == 0 || s.len > 200 || s.ptr[0] == '.')
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (!((s.ptr[i] >= 'a' && s.ptr[i] <= 'z') ||
			(s.ptr[i] >= 'A' && s.ptr[i] <= 'Z') ||
			(s.ptr[i] >= '0' && s.ptr[i] <= '9') ||
			memchr("._-", s.ptr[i], 3) != NULL))
			return false;
	return true;
}

/* Names of inputs become names in Nix. */
static bool
is_input(struct str s)
{
	if (s.len == 0 || s.len > 100 || (s.ptr[0] >= '0' && s.ptr[0] <= '9') ||
	    s.ptr[0] == '\'' || s.ptr[0] == '-')
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (!((s.ptr[i] >= 'a' && s.ptr[i] <= 'z') ||
			(s.ptr[i] >= 'A' && s.ptr[i] <= 'Z') ||
			(s.ptr[i] >= '0' && s.ptr[i] <= '9') ||
			memchr("_'-", s.ptr[i], 3) != NULL))
			return false;
	return true;
}

/* What is checked, in one kind of list. */
struct check {
	const char *kind; /* "configs" */
	struct map identifiers, names;
	struct err *err;
};

#define CUT(s) (int)((s).len < 80 ? (s).len : 80), (s).ptr

static int
check_modules(
    struct check *k, size_t at, const struct fleet_use *uses, size_t n)
{
	struct map types = { 0 };
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < n; i++)
		if (!is_type(uses[i].type))
			rc = err_set(k->err, ERR_PARAM,
			    "%s[%zu].modules[%zu].type: \"%.*s\" is no name "
			    "of a module: letters, digits, '.', '_' and '-'",
			    k->kind, at, i, CUT(uses[i].type));
		else if (map_put(&types, uses[i].type, (void *)uses) != NULL)
			rc = err_set(k->err, ERR_PARAM,
			    "%s[%zu].modules[%zu].type: \"%.*s\" is there "
			    "already",
			    k->kind, at, i, CUT(uses[i].type));
	map_fini(&types);
	return rc;
}

static int
check_names(struct check *k, size_t at, struct str name, struct str identifier)
{
	if (str_trim(name).len == 0 || name.len > 255)
		return err_set(k->err, ERR_PARAM,
		    "%s[%zu].displayName: must have 1 to 255 bytes", k->kind,
		    at);
	if (!is_identifier(identifier))
		return err_set(k->err, ERR_PARAM,
		    "%s[%zu].identifier: \"%.*s\" must begin with a-z and have "
		    "only a-z, 0-9 and '-', at most %d",
		    k->kind, at, CUT(identifier), IDENTIFIER_MAX);
	if (map_put(&k->identifiers, identifier, k) != NULL)
		return err_set(k->err, ERR_EXISTS,
		    "%s[%zu].identifier: \"%.*s\" is there already", k->kind,
		    at, CUT(identifier));
	if (map_put(&k->names, name, k) != NULL)
		return err_set(k->err, ERR_EXISTS,
		    "%s[%zu].displayName: \"%.*s\" is there already", k->kind,
		    at, CUT(name));
	return 0;
}

static int
check_tags_of(const struct fleet_config *c, size_t at, const struct map *known,
    struct err *err)
{
	struct map seen = { 0 };
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < c->tags.n; i++)
		if (map_get(known, c->tags.at[i]) == NULL)
			rc = err_set(err, ERR_PARAM,
			    "configs[%zu].tags[%zu]: there is no tag \"%.*s\"",
			    at, i, CUT(c->tags.at[i]));
		else if (map_put(&seen, c->tags.at[i], (void *)c) != NULL)
			rc = err_set(err, ERR_PARAM,
			    "configs[%zu].tags[%zu]: \"%.*s\" is there already",
			    at, i, CUT(c->tags.at[i]));
	map_fini(&seen);
	return rc;
}

static int
check_inputs(const struct fleet_state *s, struct err *err)
{
	for (size_t i = 0; i < s->n_inputs; i++) {
		const struct fleet_input *in = &s->inputs[i];

		if (!is_input(in->name))
			return err_set(err, ERR_PARAM,
			    "repositories: \"%.*s\" is no name of an input: "
			    "letters, digits, '_', '-' and ', no digit first",
			    CUT(in->name));
		for (size_t k = 0; k < in->n_follows; k++)
			if (!is_input(in->inputs_follows[2 * k]))
				return err_set(err, ERR_PARAM,
				    "repositories.%.*s.inputs_follows: \"%.*s\""
				    " is no name of an input",
				    CUT(in->name),
				    CUT(in->inputs_follows[2 * k]));
		for (size_t k = 0; k < i; k++)
			if (str_eq(s->inputs[k].name, in->name))
				return err_set(err, ERR_PARAM,
				    "repositories: \"%.*s\" is there already",
				    CUT(in->name));
	}
	return 0;
}

int
fleet_state_check(const struct fleet_state *s, struct err *err)
{
	struct check tags = { .kind = "tags", .err = err };
	struct check configs = { .kind = "configs", .err = err };
	int rc = check_inputs(s, err);

	for (size_t i = 0; rc == 0 && i < s->n_tags; i++) {
		const struct fleet_tag *t = &s->tags[i];

		rc = check_names(&tags, i, t->display_name, t->identifier);
		if (rc == 0)
			rc = check_modules(&tags, i, t->modules, t->n_modules);
	}
	for (size_t i = 0; rc == 0 && i < s->n_configs; i++) {
		const struct fleet_config *c = &s->configs[i];

		rc = check_names(&configs, i, c->display_name, c->identifier);
		if (rc == 0)
			rc = check_modules(
			    &configs, i, c->modules, c->n_modules);
		if (rc == 0)
			rc = check_tags_of(c, i, &tags.identifiers, err);
	}
	map_fini(&tags.identifiers);
	map_fini(&tags.names);
	map_fini(&configs.identifiers);
	map_fini(&configs.names);
	return rc;
}

struct str
fleet_identifier(struct arena *a, struct str display_name)
{
	static const char front[] = "config-";
	char *z = arena_alloc(a, sizeof(front) + display_name.len), *from, *to;
	struct str ret;

	from = to = z + sizeof(front) - 1;
	for (size_t i = 0; i < display_name.len; i++) {
		char c = display_name.ptr[i];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c + 'a' - 'A');
		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
			*to++ = c;
		else if (to > from && to[-1] != '-')
			*to++ = '-';
	}
	if (to == from || *from < 'a' || *from > 'z') {
		memcpy(z, front, sizeof(front) - 1);
		from = z;
	}
	if (to - from > IDENTIFIER_MAX)
		to = from + IDENTIFIER_MAX;
	while (to > from && to[-1] == '-')
		to--;
	ret = (struct str){ from, (size_t)(to - from) };
	return ret;
}

/* --- finding -------------------------------------------------------------- */

struct fleet_config *
fleet_config_find(const struct fleet_state *s, struct str identifier)
{
	for (size_t i = 0; i < s->n_configs; i++)
		if (str_eq(s->configs[i].identifier, identifier))
			return &s->configs[i];
	return NULL;
}

struct fleet_tag *
fleet_tag_find(const struct fleet_state *s, struct str identifier)
{
	for (size_t i = 0; i < s->n_tags; i++)
		if (str_eq(s->tags[i].identifier, identifier))
			return &s->tags[i];
	return NULL;
}

struct fleet_input *
fleet_input_find(const struct fleet_state *s, struct str name)
{
	for (size_t i = 0; i < s->n_inputs; i++)
		if (str_eq(s->inputs[i].name, name))
			return &s->inputs[i];
	return NULL;
}

const struct fleet_use *
fleet_use_find(const struct fleet_use *uses, size_t n, struct str type)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(uses[i].type, type))
			return &uses[i];
	return NULL;
}

struct str
fleet_setting_of(const struct fleet_use *use, const char *key)
{
	for (size_t i = 0; use != NULL && i < use->n; i++)
		if (str_eqz(use->settings[i].key, key))
			return use->settings[i].value;
	return STR_NULL;
}
