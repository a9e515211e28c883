/*
 * edge/topic.c - see topic.h.
 *
 * The channels are rows of one table, read by te_topic_read() and written by
 * te_topic_add(): "*" stands for a part that the topic brings along, the first
 * for `type`, the second for `id`. A row that says more stands before one that
 * says less.
 */
#include "edge/topic.h"

#include "base/base.h"
#include "codec/mqtt.h"

#include <string.h>

#define SEGMENTS 4

static const struct channel_row {
	enum te_channel channel;
	const char *form;
} channels[] = {
	{ TE_TWIN, "twin/*" },
	{ TE_CONFIG, "config" },
	{ TE_MEASUREMENT, "m/*" },
	{ TE_MEASUREMENT_META, "m/*/meta" },
	{ TE_EVENT, "e/*" },
	{ TE_EVENT_META, "e/*/meta" },
	{ TE_ALARM, "a/*" },
	{ TE_ALARM_META, "a/*/meta" },
	{ TE_HEALTH_CHECK, "cmd/health/check" },
	{ TE_CMD_META, "cmd/*" },
	{ TE_CMD, "cmd/*/*" },
	{ TE_SIGNAL, "signal/*" },
	{ TE_HEALTH, "status/health" },
	{ TE_STATUS, "status/*" },
};

static bool
channel_matches(const char *form, struct str text, struct te_topic *ret)
{
	struct str row = str_of(form), parts[2] = { STR_NULL, STR_NULL };
	size_t n = 0;

	while (row.ptr != NULL && text.ptr != NULL) {
		struct str want = str_cut(&row, '/'), have;

		have = str_cut(&text, '/');
		if (str_eqz(want, "*"))
			parts[n++] = have;
		else if (!str_eq(want, have))
			return false;
	}
	if (row.ptr != NULL || text.ptr != NULL)
		return false;
	ret->type = parts[0];
	ret->id = parts[1];
	return true;
}

int
te_topic_read(
    struct str root, struct str topic, struct te_topic *ret, struct err *err)
{
	struct str rest = topic, ids;
	size_t at = 0;

	if (!str_starts(topic, root) || topic.len == root.len ||
	    topic.ptr[root.len] != '/')
		return err_set(err, ERR_NOT_FOUND,
		    "\"" STR_FMT "\" is not below \"" STR_FMT "\"",
		    STR_ARG(topic), STR_ARG(root));
	rest.ptr += root.len + 1;
	rest.len -= root.len + 1;
	ids = rest;
	for (unsigned i = 1; i < SEGMENTS; i++) {
		const char *slash = memchr(ids.ptr + at, '/', ids.len - at);

		if (slash == NULL)
			return err_set(err, ERR_PARAM,
			    "An entity topic identifier has 4 segments: "
			    "\"" STR_FMT "\" has %u",
			    STR_ARG(ids), i);
		at = (size_t)(slash - ids.ptr) + 1;
	}
	*ret = (struct te_topic){ .channel = TE_ENTITY };
	rest = (struct str){ ids.ptr + at, ids.len - at };
	(void)str_cut(&rest, '/');
	ret->entity = ids;
	if (rest.ptr == NULL)
		return 0;
	ret->entity.len = (size_t)(rest.ptr - 1 - ids.ptr);
	for (size_t i = 0; i < COUNT_OF(channels); i++)
		if (channel_matches(channels[i].form, rest, ret)) {
			ret->channel = channels[i].channel;
			return 0;
		}
	return err_set(
	    err, ERR_PARAM, "Invalid category: \"" STR_FMT "\"", STR_ARG(rest));
}

void
te_topic_add(struct buf *out, struct str root, const struct te_topic *t)
{
	bool first = true;

	buf_add_str(out, root);
	buf_addc(out, '/');
	buf_add_str(out, t->entity);
	for (size_t i = 0; i < COUNT_OF(channels); i++) {
		if (channels[i].channel != t->channel)
			continue;
		buf_addc(out, '/');
		for (const char *p = channels[i].form; *p != '\0'; p++) {
			if (*p != '*') {
				buf_addc(out, *p);
				continue;
			}
			buf_add_str(out, first ? t->type : t->id);
			first = false;
		}
	}
}

int
te_entity_normal(struct buf *out, struct str id, struct err *err)
{
	size_t start = out->len, slashes = 0;

	for (size_t i = 0; i < id.len; i++)
		slashes += id.ptr[i] == '/';
	if (slashes >= SEGMENTS)
		return err_set(err, ERR_PARAM,
		    "An entity topic identifier has at most 4 segments");
	buf_add_str(out, id);
	for (; slashes < SEGMENTS - 1; slashes++)
		buf_addc(out, '/');
	if (mqtt_topic_ok((struct str){ out->ptr + start, out->len - start }))
		return 0;
	out->len = start;
	return err_set(err, ERR_PARAM,
	    "An entity topic identifier must be a valid MQTT topic");
}

/* Splits an id into its segments; false: they are not four. */
static bool
split(struct str entity, struct str s[SEGMENTS])
{
	for (unsigned i = 0; i < SEGMENTS; i++) {
		if (entity.ptr == NULL)
			return false;
		s[i] = str_cut(&entity, '/');
	}
	return entity.ptr == NULL;
}

bool
te_entity_is_service(struct str entity)
{
	struct str s[SEGMENTS];

	return split(entity, s) && str_eqz(s[0], "device") && s[1].len > 0 &&
	    str_eqz(s[2], "service") && s[3].len > 0;
}

bool
te_entity_is_default(struct str entity)
{
	struct str s[SEGMENTS];

	if (te_entity_is_service(entity))
		return true;
	return split(entity, s) && str_eqz(s[0], "device") && s[1].len > 0 &&
	    s[2].len == 0 && s[3].len == 0;
}

void
te_entity_device(struct buf *out, struct str entity)
{
	struct str s[SEGMENTS];

	if (!split(entity, s))
		return;
	buf_add_str(out, s[0]);
	buf_addc(out, '/');
	buf_add_str(out, s[1]);
	buf_addz(out, "//");
}

void
te_entity_service(struct buf *out, struct str device, const char *service)
{
	struct str name =
	    te_entity_is_default(device) && !te_entity_is_service(device)
	    ? te_entity_name(device)
	    : STR("main");

	buf_addf(out, "device/" STR_FMT "/service/%s", STR_ARG(name), service);
}

struct str
te_entity_name(struct str entity)
{
	struct str s[SEGMENTS];

	if (!split(entity, s))
		return STR("");
	return te_entity_is_service(entity) ? s[3] : s[1];
}

/* --- the first scheme ---------------------------------------------------- */

/* C is the child device, which has a name; T the type, S the severity, and "*"
 * is all the rest. */
static const struct tedge_row {
	enum tedge_kind kind;
	const char *form;
} firsts[] = {
	{ TEDGE_MEASUREMENT, "measurements" },
	{ TEDGE_MEASUREMENT, "measurements/C" },
	{ TEDGE_EVENT, "events/T" },
	{ TEDGE_EVENT, "events/T/C" },
	{ TEDGE_ALARM, "alarms/S/T" },
	{ TEDGE_ALARM, "alarms/S/T/C" },
	{ TEDGE_HEALTH, "health/T" },
	{ TEDGE_HEALTH, "health/C/T" },
	{ TEDGE_HEALTH_CHECK, "health-check" },
	{ TEDGE_HEALTH_CHECK, "health-check/T" },
	{ TEDGE_COMMAND_REQ, "commands/req/*" },
	{ TEDGE_COMMAND_RES, "commands/res/*" },
	{ TEDGE_COMMAND_REQ, "C/commands/req/*" },
	{ TEDGE_COMMAND_RES, "C/commands/res/*" },
};

static bool
first_matches(const char *form, struct str text, struct tedge_topic *t)
{
	struct str row = str_of(form);

	while (row.ptr != NULL && text.ptr != NULL) {
		struct str want = str_cut(&row, '/'), have;

		if (str_eqz(want, "*")) { /* all that is left */
			t->type = text;
			return text.len > 0;
		}
		have = str_cut(&text, '/');
		if (str_eqz(want, "C"))
			t->child = have;
		else if (str_eqz(want, "T"))
			t->type = have;
		else if (str_eqz(want, "S"))
			t->severity = have;
		else if (!str_eq(want, have))
			return false;
	}
	return row.ptr == NULL && text.ptr == NULL &&
	    (t->child.ptr == NULL || t->child.len > 0);
}

int
tedge_topic_read(struct str topic, struct tedge_topic *ret, struct err *err)
{
	const struct str root = STR("tedge/");

	if (!str_starts(topic, root))
		return err_set(err, ERR_NOT_FOUND,
		    "\"" STR_FMT "\" is not below \"tedge\"", STR_ARG(topic));
	topic.ptr += root.len;
	topic.len -= root.len;
	for (size_t i = 0; i < COUNT_OF(firsts); i++) {
		struct tedge_topic t = { .kind = firsts[i].kind };

		if (first_matches(firsts[i].form, topic, &t)) {
			*ret = t;
			return 0;
		}
	}
	*ret = (struct tedge_topic){ .kind = TEDGE_OTHER };
	return 0;
}
