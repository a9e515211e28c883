/*
 * codec/fleet_state_read.c - state.json of any version: see fleet_state.h.
 *
 * What a version differs in from the newest is looked at where it is read, so
 * that there is one walk over the text; what needs all of it (names of tags,
 * the module that was split) is done at the end.
 */
#include "codec/fleet_state.h"

#include "base/base.h"
#include "codec/json.h"

#include <stdio.h>
#include <string.h>

#define SETTINGS_MAX 1000 /* of a module; and of inputs that follow */
#define MODULES_MAX 1000  /* of a configuration or tag */
#define ITEMS_MAX 20000   /* configurations, tags, inputs */

struct reader {
	struct json j;
	struct arena *a;
	int version; /* the last number of it: 1 to 9 */
	char at[160];
	size_t at_len;
};

/* --- where we are --------------------------------------------------------- */

static size_t
enter(struct reader *r, const char *name)
{
	size_t was = r->at_len;
	int n = snprintf(
	    r->at + was, sizeof(r->at) - was, "%s%s", was > 0 ? "." : "", name);

	if (n > 0)
		r->at_len = MIN_OF(was + (size_t)n, sizeof(r->at) - 1);
	return was;
}

static size_t
enter_item(struct reader *r, size_t i)
{
	size_t was = r->at_len;
	int n = snprintf(r->at + was, sizeof(r->at) - was, "[%zu]", i);

	if (n > 0)
		r->at_len = MIN_OF(was + (size_t)n, sizeof(r->at) - 1);
	return was;
}

/* After an error the place stays what it is. */
static bool
leave(struct reader *r, size_t was)
{
	if (!json_ok(&r->j))
		return false;
	r->at_len = was;
	r->at[was] = '\0';
	return true;
}

/* --- pieces --------------------------------------------------------------- */

/* Room for one more of `size` bytes, zeroed; the list doubles. */
static void *
more(struct reader *r, void *list, size_t *n, size_t size, size_t max)
{
	char **at = list;

	if (*n == max) {
		json_fail(&r->j, "too many");
		return NULL;
	}
	if ((*n & (*n - 1)) == 0) {
		char *bigger = arena_alloc(r->a, (*n > 0 ? 2 * *n : 1) * size);

		if (*n > 0)
			memcpy(bigger, *at, *n * size);
		*at = bigger;
	}
	return *at + size * (*n)++;
}

static bool
is_null(struct reader *r)
{
	return json_peek(&r->j) == JSON_NULL && json_null(&r->j);
}

/* A text, or null, which leaves `*ret` as it is. */
static void
text(struct reader *r, const char *name, struct str *ret)
{
	size_t was = enter(r, name);

	if (!is_null(r))
		(void)json_str(&r->j, ret);
	leave(r, was);
}

static void
texts(struct reader *r, const char *name, struct strs *ret)
{
	size_t was = enter(r, name);

	*ret = (struct strs){ 0 };
	if (!is_null(r) && json_array(&r->j))
		while (json_item(&r->j)) {
			size_t item = enter_item(r, ret->n);
			struct str *s =
			    more(r, &ret->at, &ret->n, sizeof(*s), ITEMS_MAX);

			if (s != NULL)
				(void)json_str(&r->j, s);
			leave(r, item);
		}
	leave(r, was);
}

static struct str
in_front(struct arena *a, struct str s, struct str from, struct str to)
{
	if (!str_starts(s, from))
		return s;
	return arena_printf(a, STR_FMT STR_FMT, STR_ARG(to),
	    (int)(s.len - from.len), s.ptr + from.len);
}

static struct str
type_now(struct reader *r, struct str type)
{
	if (r->version < 2)
		type = in_front(
		    r->a, type, STR("app."), STR("thymis_controller."));
	if (r->version < 6)
		type = in_front(r->a, type,
		    STR("thymis_controller.models.modules."),
		    STR("thymis_controller.modules."));
	return type;
}

/* Up to 0.0.5 a value lay in an object: {"value":21}. */
static void
value_of(struct reader *r, struct str *ret)
{
	struct str key;

	if (r->version >= 6) {
		(void)json_raw(&r->j, ret);
		return;
	}
	if (!json_object(&r->j))
		return;
	while (json_member(&r->j, &key))
		if (str_eqz(key, "value"))
			(void)json_raw(&r->j, ret);
		else
			(void)json_skip(&r->j);
	if (json_ok(&r->j) && ret->ptr == NULL)
		json_fail(&r->j, "has no \"value\"");
}

static void
put(struct reader *r, struct fleet_use *use, struct str key, struct str value)
{
	struct fleet_setting *s;

	for (size_t i = 0; i < use->n; i++)
		if (str_eq(use->settings[i].key, key)) {
			use->settings[i].value = value;
			return;
		}
	s = more(r, &use->settings, &use->n, sizeof(*s), SETTINGS_MAX);
	if (s != NULL)
		*s = (struct fleet_setting){ key, value };
}

static void
settings(struct reader *r, struct fleet_use *use)
{
	size_t was = enter(r, "settings");
	struct str key;

	if (!is_null(r) && json_object(&r->j))
		while (json_member(&r->j, &key)) {
			size_t member = enter(r, arena_z(r->a, key));
			struct str value = STR_NULL;

			value_of(r, &value);
			if (leave(r, member))
				put(r, use, key, value);
		}
	leave(r, was);
}

static void
module(struct reader *r, struct fleet_use *use)
{
	struct str key;

	if (!json_object(&r->j))
		return;
	while (json_member(&r->j, &key))
		if (str_eqz(key, "type"))
			text(r, "type", &use->type);
		else if (str_eqz(key, "settings"))
			settings(r, use);
		else
			(void)json_skip(&r->j);
	if (json_ok(&r->j) && use->type.len == 0)
		json_fail(&r->j, "has no \"type\"");
	if (json_ok(&r->j))
		use->type = type_now(r, use->type);
}

static void
modules(struct reader *r, struct fleet_use **list, size_t *n)
{
	size_t was = enter(r, "modules");

	*n = 0;
	if (!is_null(r) && json_array(&r->j))
		while (json_item(&r->j)) {
			size_t item = enter_item(r, *n);
			struct fleet_use *use =
			    more(r, list, n, sizeof(*use), MODULES_MAX);

			if (use != NULL)
				module(r, use);
			leave(r, item);
		}
	leave(r, was);
}

/* 0.0.1 knew only names. */
static struct str
identifier_0_0_2(struct arena *a, struct str name)
{
	char *z = arena_z(a, name);

	for (size_t i = 0; i < name.len; i++)
		z[i] = (char)(z[i] == ' '            ? '-'
			: z[i] >= 'A' && z[i] <= 'Z' ? z[i] + 'a' - 'A'
						     : z[i]);
	return (struct str){ z, name.len };
}

/* What configurations and tags have alike. */
static void
named(struct reader *r, struct str *name, struct str *identifier)
{
	if (!json_ok(&r->j))
		return;
	if (name->ptr == NULL)
		json_fail(&r->j,
		    r->version < 2 ? "has no name" : "has no \"displayName\"");
	else if (r->version < 2)
		*identifier = identifier_0_0_2(r->a, *name);
	else if (identifier->ptr == NULL)
		json_fail(&r->j, "has no \"identifier\"");
}

static void
tag(struct reader *r, struct fleet_tag *t)
{
	const char *name = r->version < 2 ? "name" : "displayName";
	struct str key;

	if (!json_object(&r->j))
		return;
	while (json_member(&r->j, &key)) {
		if (str_eqz(key, name)) {
			text(r, name, &t->display_name);
		} else if (str_eqz(key, "identifier")) {
			text(r, "identifier", &t->identifier);
		} else if (str_eqz(key, "priority")) {
			size_t was = enter(r, "priority");

			if (!is_null(r))
				(void)json_i64(&r->j, &t->priority);
			leave(r, was);
		} else if (str_eqz(key, "modules")) {
			modules(r, &t->modules, &t->n_modules);
		} else {
			(void)json_skip(&r->j);
		}
	}
}

static void
config(struct reader *r, struct fleet_config *c)
{
	struct str key;

	if (!json_object(&r->j))
		return;
	while (json_member(&r->j, &key))
		if (str_eqz(key, "displayName"))
			text(r, "displayName", &c->display_name);
		else if (str_eqz(key, "identifier"))
			text(r, "identifier", &c->identifier);
		else if (str_eqz(key, "modules"))
			modules(r, &c->modules, &c->n_modules);
		else if (str_eqz(key, "tags"))
			texts(r, "tags", &c->tags);
		else
			(void)json_skip(&r->j);
}

static void
follows(struct reader *r, struct fleet_input *in)
{
	size_t was = enter(r, "inputs_follows");
	struct str key;

	in->n_follows = 0;
	if (!is_null(r) && json_object(&r->j))
		while (json_member(&r->j, &key)) {
			size_t member = enter(r, arena_z(r->a, key));
			struct str *pair = more(r, &in->inputs_follows,
			    &in->n_follows, 2 * sizeof(*pair), SETTINGS_MAX);

			if (pair != NULL) {
				pair[0] = key;
				(void)json_str(&r->j, &pair[1]);
			}
			leave(r, member);
		}
	leave(r, was);
}

static void
input(struct reader *r, struct fleet_input *in)
{
	struct str key;

	if (!json_object(&r->j))
		return;
	while (json_member(&r->j, &key))
		if (str_eqz(key, "url"))
			text(r, "url", &in->url);
		else if (str_eqz(key, "follows"))
			text(r, "follows", &in->follows);
		else if (str_eqz(key, "inputs_follows") && r->version >= 4)
			follows(r, in);
		else if (str_eqz(key, "api_key_secret"))
			text(r, "api_key_secret", &in->api_key_secret);
		else
			(void)json_skip(&r->j);
}

/* --- the whole ------------------------------------------------------------ */

static void
inputs(struct reader *r, struct fleet_state *s)
{
	size_t was = enter(r, "repositories");
	struct str key;

	s->n_inputs = 0;
	if (!is_null(r) && json_object(&r->j))
		while (json_member(&r->j, &key)) {
			size_t member = enter(r, arena_z(r->a, key));
			struct fleet_input *in = more(r, &s->inputs,
			    &s->n_inputs, sizeof(*in), ITEMS_MAX);

			if (in != NULL) {
				in->name = key;
				input(r, in);
			}
			leave(r, member);
		}
	leave(r, was);
}

static void
tags(struct reader *r, struct fleet_state *s)
{
	size_t was = enter(r, "tags");

	s->n_tags = 0;
	if (!is_null(r) && json_array(&r->j))
		while (json_item(&r->j)) {
			size_t item = enter_item(r, s->n_tags);
			struct fleet_tag *t = more(
			    r, &s->tags, &s->n_tags, sizeof(*t), ITEMS_MAX);

			if (t != NULL) {
				t->priority = FLEET_PRIORITY_TAG;
				tag(r, t);
				named(r, &t->display_name, &t->identifier);
			}
			leave(r, item);
		}
	leave(r, was);
}

static void
configs(struct reader *r, const char *name, struct fleet_state *s)
{
	size_t was = enter(r, name);

	s->n_configs = 0;
	if (!is_null(r) && json_array(&r->j))
		while (json_item(&r->j)) {
			size_t item = enter_item(r, s->n_configs);
			struct fleet_config *c = more(r, &s->configs,
			    &s->n_configs, sizeof(*c), ITEMS_MAX);

			if (c != NULL) {
				config(r, c);
				named(r, &c->display_name, &c->identifier);
			}
			leave(r, item);
		}
	leave(r, was);
}

/* Up to 0.0.4 configurations named tags as people do. Of tags with one name the
 * last counts. */
static void
tags_0_0_5(struct fleet_state *s)
{
	for (size_t c = 0; c < s->n_configs; c++) {
		struct strs *list = &s->configs[c].tags;

		for (size_t i = 0; i < list->n; i++)
			for (size_t t = s->n_tags; t-- > 0;)
				if (str_eq(
					s->tags[t].display_name, list->at[i])) {
					list->at[i] = s->tags[t].identifier;
					break;
				}
	}
}

/* 0.0.9 split the device module: which of its settings live elsewhere now. */
#define M(name) "thymis_controller.modules." name
static const struct {
	const char *key, *type;
} moved[] = {
	{ "wifi_ssid", M("networking.NetworkingModule") },
	{ "wifi_password", M("networking.NetworkingModule") },
	{ "wifi_auth", M("networking.NetworkingModule") },
	{ "wifi_auth_protocols", M("networking.NetworkingModule") },
	{ "static_networks", M("networking.NetworkingModule") },
	{ "nameservers", M("networking.NetworkingModule") },
	{ "timezone", M("localization.LocalizationModule") },
	{ "time_servers", M("localization.LocalizationModule") },
	{ "password_secret", M("security.SecurityAccessModule") },
	{ "authorized_keys", M("security.SecurityAccessModule") },
	{ "security_pki_certificates", M("security.SecurityAccessModule") },
	{ "secrets", M("files.FilesModule") },
	{ "artifacts", M("files.FilesModule") },
};

static const char *
moved_to(struct str key)
{
	for (size_t i = 0; i < COUNT_OF(moved); i++)
		if (str_eqz(key, moved[i].key))
			return moved[i].type;
	return NULL;
}

static struct fleet_use *
use_of(struct reader *r, struct fleet_use **list, size_t *n, const char *type)
{
	struct fleet_use *use;

	for (size_t i = 0; i < *n; i++)
		if (str_eqz((*list)[i].type, type))
			return *list + i;
	use = more(r, list, n, sizeof(*use), MODULES_MAX + COUNT_OF(moved));
	if (use != NULL)
		use->type = str_of(type);
	return use;
}

static void
split_0_0_9(struct reader *r, struct fleet_use **list, size_t *n)
{
	size_t before = *n;

	for (size_t i = 0; i < before; i++) {
		struct fleet_use dev = (*list)[i];
		size_t kept = 0;

		if (!str_eqz(dev.type, FLEET_DEVICE_MODULE))
			continue;
		for (size_t k = 0; k < dev.n; k++) {
			struct fleet_setting s = dev.settings[k];
			const char *type = moved_to(s.key);
			struct fleet_use *to;

			if (type == NULL) {
				dev.settings[kept++] = s;
				continue;
			}
			to = use_of(r, list, n, type);
			if (to != NULL)
				put(r, to, s.key, s.value);
		}
		(*list)[i].n = kept;
	}
}

static int
known_version(struct str version)
{
	static const struct str front = { "0.0.", 4 };

	if (version.len != front.len + 1 || !str_starts(version, front) ||
	    version.ptr[4] < '1' || version.ptr[4] > '9')
		return 0;
	return version.ptr[4] - '0';
}

static int
find_version(
    struct str json, struct reader *r, struct str *was, struct err *err)
{
	struct str version = STR(FLEET_STATE_VERSION), key;

	json_open(&r->j, json, 0, r->a);
	(void)json_object(&r->j);
	while (json_member(&r->j, &key))
		if (str_eqz(key, "version"))
			(void)json_str(&r->j, &version);
		else
			(void)json_skip(&r->j);
	if (json_done(&r->j, err) != 0)
		return ERR_PARAM;
	r->version = known_version(version);
	if (r->version == 0)
		return err_set(err, ERR_PARAM,
		    "version: \"%.*s\" is not known; known are 0.0.1 "
		    "to " FLEET_STATE_VERSION,
		    (int)MIN_OF(version.len, 40), version.ptr);
	if (was != NULL)
		*was = version;
	return 0;
}

int
fleet_state_read(struct str json, struct arena *a, struct fleet_state *ret,
    struct str *was, struct err *err)
{
	struct reader r = { .a = a };
	struct fleet_state s = { 0 };
	const char *list;
	struct str key;
	int rc = find_version(json, &r, was, err);

	if (rc != 0)
		return rc;
	list = r.version < 8 ? "devices" : "configs";
	json_open(&r.j, json, 0, a);
	(void)json_object(&r.j);
	while (json_member(&r.j, &key))
		if (str_eqz(key, "repositories") && r.version >= 3)
			inputs(&r, &s);
		else if (str_eqz(key, "tags"))
			tags(&r, &s);
		else if (str_eqz(key, list))
			configs(&r, list, &s);
		else
			(void)json_skip(&r.j);
	if (r.version < 5)
		tags_0_0_5(&s);
	if (r.version < 9 && json_ok(&r.j)) {
		for (size_t i = 0; i < s.n_configs; i++)
			split_0_0_9(
			    &r, &s.configs[i].modules, &s.configs[i].n_modules);
		for (size_t i = 0; i < s.n_tags; i++)
			split_0_0_9(
			    &r, &s.tags[i].modules, &s.tags[i].n_modules);
	}
	rc = json_done(&r.j, err);
	if (rc != 0)
		return r.at_len > 0 ? err_wrap(err, "%s", r.at) : rc;
	*ret = s;
	return 0;
}

/* --- one thing of it ------------------------------------------------------ */

static int
patched(struct reader *r, struct err *err)
{
	int rc = json_done(&r->j, err);

	return rc != 0 && r->at_len > 0 ? err_wrap(err, "%s", r->at) : rc;
}

int
fleet_config_patch(
    struct str json, struct arena *a, struct fleet_config *c, struct err *err)
{
	struct reader r = { .a = a, .version = 9 };
	struct fleet_config to = *c;
	int rc;

	json_open(&r.j, json, 0, a);
	config(&r, &to);
	rc = patched(&r, err);
	if (rc == 0)
		*c = to;
	return rc;
}

int
fleet_tag_patch(
    struct str json, struct arena *a, struct fleet_tag *t, struct err *err)
{
	struct reader r = { .a = a, .version = 9 };
	struct fleet_tag to = *t;
	int rc;

	json_open(&r.j, json, 0, a);
	tag(&r, &to);
	rc = patched(&r, err);
	if (rc == 0)
		*t = to;
	return rc;
}

int
fleet_use_patch(
    struct str json, struct arena *a, struct fleet_use *use, struct err *err)
{
	struct reader r = { .a = a, .version = 9 };
	struct fleet_use to = { .type = use->type };
	struct str key;
	size_t kept = 0;
	int rc;

	for (size_t i = 0; i < use->n; i++)
		put(&r, &to, use->settings[i].key, use->settings[i].value);
	json_open(&r.j, json, 0, a);
	(void)json_object(&r.j);
	while (json_member(&r.j, &key)) {
		size_t member = enter(&r, arena_z(a, key));
		struct str value;

		if (json_raw(&r.j, &value))
			put(&r, &to, key, value);
		leave(&r, member);
	}
	rc = patched(&r, err);
	if (rc != 0)
		return rc;
	for (size_t i = 0; i < to.n; i++)
		if (json_type_of(to.settings[i].value) != JSON_NULL)
			to.settings[kept++] = to.settings[i];
	to.n = kept;
	*use = to;
	return 0;
}
