/*
 * edge/mapper/c8y_device.c - what a device or service says of itself, for the
 * inventory: twin data, health, what it can do, that it is there.
 */
#include "edge/mapper/c8y_private.h"

#include "base/base.h"
#include "base/log.h"
#include "codec/smartrest.h"

#include <string.h>

/* --- twin ---------------------------------------------------------------- */

/* {"name","version","remoteUrl"} is {"name","version","url"} there. */
static void
add_firmware(struct buf *out, struct str value, struct arena *a)
{
	struct json_out o;
	struct json j;
	struct str key;

	json_open(&j, value, 0, a);
	json_out_init(&o, out, false);
	json_out_object(&o);
	if (json_object(&j))
		while (json_member(&j, &key)) {
			json_out_key_str(
			    &o, str_eqz(key, "remoteUrl") ? STR("url") : key);
			json_copy(&j, &o);
		}
	json_out_end_object(&o);
}

void
c8y_twin(struct c8y *c, struct c8y_entity *e, struct str key, struct str value,
    struct arena *a)
{
	struct str to = key;

	value = str_trim(value);
	if (key.len == 0 || key.ptr[0] == '@') {
		c8y_error(c,
		    "Invalid twin key: '" STR_FMT
		    "'. Keys that are empty, containing '/' or starting with "
		    "'@' are not allowed.",
		    STR_ARG(key));
		return;
	}
	if (value.len > 0 && !json_valid(value, 0)) {
		c8y_error(c,
		    "Invalid JSON: the twin data \"" STR_FMT
		    "\" is not a JSON value.",
		    STR_ARG(key));
		return;
	}
	if (str_eqz(key, "firmware"))
		to = STR("c8y_Firmware");
	else if (str_eqz(key, "agent"))
		to = STR("c8y_Agent");
	else if (str_eqz(key, "type") && e->kind == C8Y_SERVICE)
		to = STR("serviceType");
	c8y_topic(c, "/inventory/managedObjects/update/");
	buf_add_str(&c->topic, e->xid);
	buf_clear(&c->out);
	buf_addc(&c->out, '{');
	json_quote(&c->out, to);
	buf_addc(&c->out, ':');
	if (value.len == 0)
		buf_addz(&c->out, "null");
	else if (str_eqz(key, "firmware") && value.ptr[0] == '{')
		add_firmware(&c->out, value, a);
	else
		(void)json_compact(&c->out, value, 0);
	buf_addc(&c->out, '}');
	(void)c8y_send(c);
}

/* --- health -------------------------------------------------------------- */

/* "up", "down", or what it says; "unknown" where it says nothing. The first
 * generation says the service's type, too. */
static struct str
status_of(struct str payload, struct str *type, struct arena *a)
{
	struct str key, status = STR_NULL;
	struct json j;

	json_open(&j, payload, 0, a);
	if (json_peek(&j) != JSON_OBJECT || !json_object(&j))
		return STR("unknown");
	while (json_member(&j, &key))
		if (str_eqz(key, "status") && json_peek(&j) == JSON_STRING)
			(void)json_str(&j, &status);
		else if (str_eqz(key, "type") && json_peek(&j) == JSON_STRING)
			(void)json_str(&j, type);
		else
			json_skip(&j);
	return json_done(&j, NULL) == 0 && status.len > 0 ? status
							  : STR("unknown");
}

static bool
is_bridge(struct c8y *c, struct str name, bool *mosquitto)
{
	*mosquitto = str_starts(name, STR("mosquitto-")) &&
	    str_ends(name, STR("-bridge"));
	if (*mosquitto) {
		struct str mid = { name.ptr + 10, name.len - 17 };

		return name.len > 17 && str_eq(mid, c->prefix);
	}
	return str_starts(name, STR("tedge-mapper-bridge-")) &&
	    str_eq((struct str){ name.ptr + 20, name.len - 20 }, c->prefix);
}

void
c8y_health(
    struct c8y *c, struct c8y_entity *e, struct str payload, struct arena *a)
{
	struct str name = te_entity_name(e->topic), status, type = STR_NULL;
	bool mosquitto, ours, was = e->up;

	if (e->kind != C8Y_SERVICE)
		return;
	ours = is_bridge(c, name, &mosquitto);
	if (mosquitto)
		status = str_eqz(payload, "1") ? STR("up")
		    : str_eqz(payload, "0")    ? STR("down")
					       : status_of(payload, &type, a);
	else
		status = status_of(payload, &type, a);
	e->up = str_eqz(status, "up");
	if (e->type.ptr == NULL && type.len > 0)
		c8y_replace(&e->type, type);
	c8y_tell_service(c, e, status);
	if (ours && e->up && !was)
		c8y_ask_pending(c);
}

/* tedge/health[/CHILD]/SERVICE: a service under the name it has today. */
void
c8y_legacy_health(struct c8y *c, const struct tedge_topic *t,
    struct str payload, struct arena *a)
{
	struct c8y_entity *d = c8y_legacy_child(c, t->child), *e;
	struct buf topic = { 0 };

	if (d == c->main)
		buf_addz(&topic, "device/main");
	else
		buf_addf(&topic, "device/" STR_FMT, STR_ARG(t->child));
	buf_addf(&topic, "/service/" STR_FMT, STR_ARG(t->type));
	e = c8y_by_topic(c, buf_str(&topic));
	if (e == NULL)
		e = c8y_entity_add(c, buf_str(&topic));
	buf_free(&topic);
	if (!e->registered) {
		e->kind = C8Y_SERVICE;
		e->registered = e->told = true;
		if (d != c->main)
			c8y_replace(&e->parent, d->topic);
		c8y_default_xid(c, e);
	}
	c8y_health(c, e, payload, a);
}

/* --- what it can do ------------------------------------------------------ */

static void
add_types(struct c8y_words *w, struct str payload, struct arena *a)
{
	struct str key, type;
	struct json j;

	c8y_words_clear(w);
	json_open(&j, payload, 0, a);
	if (json_peek(&j) != JSON_OBJECT || !json_object(&j))
		return;
	while (json_member(&j, &key)) {
		if (!str_eqz(key, "types") || json_peek(&j) != JSON_ARRAY) {
			json_skip(&j);
			continue;
		}
		(void)json_array(&j);
		while (json_item(&j))
			if (json_peek(&j) != JSON_STRING)
				json_skip(&j);
			else if (json_str(&j, &type))
				(void)c8y_words_add(w, type);
	}
}

static const struct c8y_words none = { 0 };

static void
add_list(struct buf *out, const struct c8y_words *a, const struct c8y_words *b)
{
	size_t i = 0, k = 0;

	while (i < a->n || k < b->n) { /* both are sorted */
		int d = i == a->n ? 1
		    : k == b->n   ? -1
				  : str_cmp(a->at[i], b->at[k]);

		smartrest_add(out, d <= 0 ? a->at[i] : b->at[k]);
		i += d <= 0;
		k += d >= 0;
	}
}

static void
tell_types(struct c8y *c, const struct c8y_entity *e, const char *template,
    const struct c8y_words *one, const struct c8y_words *two)
{
	c8y_topic_us(c, e);
	buf_clear(&c->out);
	buf_addz(&c->out, template);
	add_list(&c->out, one, two);
	if (c->out.len == 3)
		buf_addc(&c->out, ',');
	(void)c8y_send(c);
}

void
c8y_tell_operations(struct c8y *c, struct c8y_entity *e)
{
	const struct c8y_words *from[] = { NULL, NULL, NULL };
	struct c8y_words all = { 0 };

	e = c8y_device_of(c, e);
	from[0] = &e->can;
	from[1] = &e->files;
	from[2] = &e->templates;
	e->ops_changed = false;
	for (size_t i = 0; i < COUNT_OF(from); i++)
		for (size_t k = 0; k < from[i]->n; k++)
			(void)c8y_words_add(&all, from[i]->at[k]);
	tell_types(c, e, "114", &all, &none);
	c8y_words_clear(&all);
}

void
c8y_tell_changed(struct c8y *c)
{
	LIST_EACH (e, &c->entities, struct c8y_entity, link)
		if (e->ops_changed && e->told)
			c8y_tell_operations(c, e);
}

static void
tell_software_types(struct c8y *c, const struct c8y_entity *e,
    struct str payload, struct arena *a)
{
	struct c8y_words types = { 0 };
	struct json_out o;

	if (!cloud_bool(&c->cloud, "software_management.with_types"))
		return;
	add_types(&types, payload, a);
	c8y_topic(c, "/inventory/managedObjects/update/");
	buf_add_str(&c->topic, e->xid);
	buf_clear(&c->out);
	json_out_init(&o, &c->out, false);
	json_out_object(&o);
	json_out_key(&o, "c8y_SupportedSoftwareTypes");
	json_out_array(&o);
	for (size_t i = 0; i < types.n; i++)
		json_out_str(&o, types.at[i]);
	json_out_end_array(&o);
	json_out_end_object(&o);
	(void)c8y_send(c);
	c8y_words_clear(&types);
}

void
c8y_capability(struct c8y *c, struct c8y_entity *e, struct str op,
    struct str payload, struct arena *a)
{
	const struct c8y_op_kind *kind = c8y_op_of_command(op);
	bool gone = payload.len == 0;
	struct str fragment;

	if (e->kind == C8Y_SERVICE)
		return;
	if (str_eqz(op, "software_list")) {
		if (!gone) {
			tell_software_types(c, e, payload, a);
			c8y_ask_software_list(c, e, a);
		}
		return;
	}
	if (kind == NULL) {
		c8y_custom_capability(c, e, op, !gone);
		return;
	}
	if (!gone && !cloud_bool(&c->cloud, kind->enable)) {
		log_warn("%s is switched off by c8y.%s", kind->fragment,
		    kind->enable);
		return;
	}
	fragment = str_of(kind->fragment);
	if (gone ? c8y_words_del(&e->can, fragment)
		 : c8y_words_add(&e->can, fragment)) {
		e->ops_changed = true;
		if (c->settle_ms < 0)
			c8y_tell_operations(c, e);
	}
	if (str_eqz(op, "log_upload")) {
		add_types(&e->logs, payload, a);
		tell_types(c, e, "118", &e->logs, &none);
	} else if (str_eqz(op, "config_snapshot") ||
	    str_eqz(op, "config_update")) {
		add_types(
		    str_eqz(op, "config_update") ? &e->updates : &e->snapshots,
		    payload, a);
		tell_types(c, e, "119", &e->snapshots, &e->updates);
	}
}

/* --- availability -------------------------------------------------------- */

void
c8y_tell_availability(struct c8y *c, struct c8y_entity *e)
{
	int64_t ms = cloud_ms(&c->cloud, "availability.interval");
	int64_t now = c->host.mono_ms(c->host.owner);

	if (e->availability_told || e->kind == C8Y_SERVICE ||
	    !cloud_bool(&c->cloud, "availability.enable"))
		return;
	e->availability_told = true;
	c8y_topic_us(c, e);
	buf_clear(&c->out);
	buf_addf(&c->out, "117,%lld", (long long)MAX_OF(ms / 60000, 0));
	(void)c8y_send(c);
	if (c->heartbeat_ms < 0 && ms >= 60000) {
		c->heartbeat_ms = now + ms / 2;
		c->later = true;
	}
}

/* The service that speaks for a device, by default its agent. */
static struct c8y_entity *
health_of(struct c8y *c, const struct c8y_entity *e)
{
	struct buf b = { 0 };
	struct c8y_entity *s;

	if (e->health.ptr != NULL)
		return c8y_by_topic(c, e->health);
	te_entity_device(&b, e->topic);
	while (b.len > 0 && b.ptr[b.len - 1] == '/')
		b.len--;
	buf_addz(&b, "/service/tedge-agent");
	s = c8y_by_topic(c, buf_str(&b));
	buf_free(&b);
	return s;
}

void
c8y_heartbeat(struct c8y *c)
{
	int64_t ms = cloud_ms(&c->cloud, "availability.interval");

	LIST_EACH (e, &c->entities, struct c8y_entity, link) {
		struct c8y_entity *s;

		if (!e->told || e->kind == C8Y_SERVICE)
			continue;
		s = health_of(c, e);
		if (s == NULL || !s->up)
			continue;
		c8y_topic(c, "/inventory/managedObjects/update/");
		buf_add_str(&c->topic, e->xid);
		buf_clear(&c->out);
		buf_addz(&c->out, "{}");
		(void)c8y_send(c);
	}
	c->heartbeat_ms = c->host.mono_ms(c->host.owner) + ms / 2;
}
