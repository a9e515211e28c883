/*
 * core/fleet/secret_push.c - which secrets a device's configuration names, and
 * how its agent gets them.
 *
 * A secret is named where a setting of the configuration, or of one of its
 * tags, has its id: as {"secret","path","owner","group","mode"} of a list of
 * files, or alone. The password of root has its own place; for others modules
 * say where they lie.
 */
#include "core/fleet/agent.h"

#include "base/base.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define LOG_MODULE "fleet"
#define USES_MAX 1000
#define DEPTH_MAX 32
#define PASSWORD_SETTING "password_secret"
#define PASSWORD_PATH "/run/thymis/root_password_hash"

struct search {
	struct arena *a;
	struct secret_use *at;
	size_t n;
};

static bool
is_id(struct str s)
{
	unsigned char id[RELAY_ID];

	return relay_id_read(s, id);
}

static void
add(struct search *s, const struct secret_use *use)
{
	for (size_t i = 0; i < s->n; i++)
		if (str_eq(s->at[i].id, use->id) &&
		    str_eq(s->at[i].path, use->path))
			return;
	if (s->n < USES_MAX)
		s->at[s->n++] = *use;
}

static void look(struct search *s, struct json *j, unsigned depth);

/* One object: it may say where its secret lies. */
static void
look_object(struct search *s, struct json *j, unsigned depth)
{
	struct secret_use use = { 0 };
	struct str key, text;

	(void)json_object(j);
	while (json_member(j, &key)) {
		if (json_peek(j) != JSON_STRING) {
			look(s, j, depth + 1);
			continue;
		}
		if (!json_str(j, &text))
			return;
		text = arena_str(s->a, text);
		if (str_eqz(key, "path"))
			use.path = text;
		else if (str_eqz(key, "owner"))
			use.owner = text;
		else if (str_eqz(key, "group"))
			use.group = text;
		else if (str_eqz(key, "mode"))
			use.mode = text;
		else if (is_id(text) && use.id.ptr == NULL)
			use.id = text;
		else if (is_id(text))
			add(s, &(struct secret_use){ .id = text });
	}
	if (use.id.ptr != NULL)
		add(s, &use);
}

static void
look(struct search *s, struct json *j, unsigned depth)
{
	struct str text;

	if (depth > DEPTH_MAX) {
		json_skip(j);
		return;
	}
	switch (json_peek(j)) {
	case JSON_OBJECT:
		look_object(s, j, depth);
		break;
	case JSON_ARRAY:
		(void)json_array(j);
		while (json_item(j))
			look(s, j, depth + 1);
		break;
	case JSON_STRING:
		if (json_str(j, &text) && is_id(text))
			add(s,
			    &(struct secret_use){
				.id = arena_str(s->a, text) });
		break;
	default:
		json_skip(j);
		break;
	}
}

static void
look_password(struct search *s, struct str value)
{
	struct str text;
	struct json j;

	json_open(&j, value, 0, s->a);
	if (json_str(&j, &text) && is_id(text))
		add(s,
		    &(struct secret_use){ arena_str(s->a, text),
			STR(PASSWORD_PATH), STR("root"), STR("root"),
			STR("0400") });
}

static void
look_uses(struct search *s, const struct fleet_use *uses, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < uses[i].n; k++) {
			const struct fleet_setting *set = &uses[i].settings[k];
			struct json j;

			if (str_eqz(set->key, PASSWORD_SETTING)) {
				look_password(s, set->value);
				continue;
			}
			json_open(&j, set->value, 0, s->a);
			look(s, &j, 0);
		}
}

static void
look_config(
    struct search *s, const struct fleet_state *state, struct str config)
{
	const struct fleet_config *c = fleet_config_find(state, config);

	if (c == NULL)
		return;
	look_uses(s, c->modules, c->n_modules);
	for (size_t i = 0; i < c->tags.n; i++) {
		const struct fleet_tag *tag =
		    fleet_tag_find(state, c->tags.at[i]);

		if (tag != NULL)
			look_uses(s, tag->modules, tag->n_modules);
	}
}

/* Where its modules say that their secrets lie: of NixOS, whose files are not
 * made by us. */
static void
look_modules(struct search *s, struct fleet *f, struct str unit_id,
    const struct fleet_state *state, struct str config)
{
	const struct fleet_config *c = fleet_config_find(state, config);
	const struct fleet_catalog *modules;
	struct fleet_placement *at;
	size_t n = 0;

	if (c == NULL || target_of(c) != &target_nixos ||
	    fleet_catalog_of(f, unit_id, &modules, NULL) != 0)
		return;
	if (fleet_placements(state, modules, config, s->a, &at, &n, NULL) != 0)
		n = 0; /* who edits it is told why */
	for (size_t i = 0; i < n; i++)
		if (is_id(at[i].secret))
			add(s,
			    &(struct secret_use){ arena_str(s->a, at[i].secret),
				arena_str(s->a, at[i].path),
				arena_str(s->a, at[i].owner),
				arena_str(s->a, at[i].group),
				arena_str(s->a, at[i].mode) });
	fleet_catalog_done(f, modules);
}

static int
look_state(struct search *s, struct fleet *f, struct str unit_id,
    struct str commit, const struct str *configs, size_t n, struct err *err)
{
	struct fleet_snapshot snap = { 0 };
	int rc = fleet_snapshot(f, unit_id, commit, &snap, err);

	if (rc != 0)
		return rc;
	for (size_t i = 0; i < n; i++)
		if (configs[i].len > 0) {
			look_config(s, &snap.state, configs[i]);
			look_modules(s, f, unit_id, &snap.state, configs[i]);
		}
	arena_fini(&snap.arena);
	return 0;
}

int
fleet_secret_uses(struct fleet *f, const struct fleet_device *d,
    struct arena *a, struct secret_use **ret, size_t *n, struct err *err)
{
	/* what the platform says it has, not what its agent claims */
	const struct str now[] = { d->config, d->pending_config };
	struct search s = { .a = a };
	int rc = 0;

	s.at = arena_array(a, USES_MAX, struct secret_use);
	if (d->config.len > 0 || d->pending_config.len > 0)
		rc = look_state(
		    &s, f, d->unit_id, STR_NULL, now, COUNT_OF(now), err);
	/* what is deployed goes on until something else is */
	if (rc == 0 && d->deployed_commit.len > 0 && d->config.len > 0)
		(void)look_state(
		    &s, f, d->unit_id, d->deployed_commit, now, 1, NULL);
	*ret = s.at;
	*n = s.n;
	return rc;
}

/* --- for the agent -------------------------------------------------------- */

static void
put_text(struct json_out *o, const char *key, struct str s)
{
	json_out_key(o, key);
	json_out_str(o, s.len > 0 ? s : STR_NULL);
}

static void
put_info(struct json_out *o, const struct secret_use *use)
{
	json_out_object(o);
	json_out_key(o, "secret_id");
	json_out_str(o, use->id);
	json_out_key(o, "path");
	json_out_str(o, use->path);
	put_text(o, "owner", use->owner);
	put_text(o, "group", use->group);
	put_text(o, "mode", use->mode);
	json_out_end_object(o);
}

/* Was there one with the same secret, and a path, before? */
static bool
is_before(const struct secret_use *uses, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (uses[k].path.len > 0 && str_eq(uses[k].id, uses[i].id))
			return true;
	return false;
}

int
fleet_secrets_message(struct fleet *f, const struct fleet_device *d,
    struct arena *a, struct buf *out, struct err *err)
{
	struct buf secrets = { 0 }, infos = { 0 }, base64 = { 0 };
	struct relay_message m = { .kind = RELAY_SECRETS };
	struct json_out so, io;
	struct secret_use *uses;
	struct err why;
	size_t n;
	int rc = fleet_secret_uses(f, d, a, &uses, &n, err);

	if (rc != 0)
		return rc;
	json_out_init(&so, &secrets, false);
	json_out_init(&io, &infos, false);
	json_out_object(&so);
	json_out_array(&io);
	for (size_t i = 0; i < n; i++) {
		struct str sealed;

		if (uses[i].path.len == 0)
			continue; /* a file of a target's own making */
		if (fleet_secret_for(f, d, uses[i].id, a, &sealed, &why) != 0) {
			log_warn(
			    "device " STR_FMT ": %s", STR_ARG(d->id), why.text);
			continue;
		}
		put_info(&io, &uses[i]);
		if (is_before(uses, i))
			continue; /* it lies in two places */
		buf_clear(&base64);
		base64_encode(&base64, sealed.ptr, sealed.len, false);
		json_out_key_str(&so, uses[i].id);
		json_out_str(&so, buf_str(&base64));
	}
	json_out_end_object(&so);
	json_out_end_array(&io);
	m.secrets = buf_str(&secrets);
	m.secret_infos = buf_str(&infos);
	relay_write(&m, out);
	buf_free(&secrets);
	buf_free(&infos);
	buf_free(&base64);
	return 0;
}

void
fleet_secrets_push(struct fleet *f, struct str device_id)
{
	struct arena a = { 0 };
	struct buf text = { 0 };
	struct fleet_device d;
	struct err err;
	int rc;

	if (!fleet_agent_is(f, device_id))
		return;
	rc = fleet_device_get(f, device_id, &a, &d, &err);
	if (rc == 0 && str_eqz(d.state, "active"))
		rc = fleet_secrets_message(f, &d, &a, &text, &err);
	if (rc != 0)
		log_warn("secrets of device " STR_FMT ": %s",
		    STR_ARG(device_id), err.text);
	else if (text.len > 0)
		(void)agent_send_to(f->agents, device_id, buf_str(&text));
	buf_free(&text);
	arena_fini(&a);
}
