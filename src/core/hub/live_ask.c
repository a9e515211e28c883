/*
 * core/hub/live_ask.c - what a client of /ws may say, and what it wants.
 *
 * {"type":"subscribe","id":"1","unit":"...","entityTypes":["field"],
 *  "eventTypes":[...],"quickIds":["field:..."],"filters":{"fieldId":"t"},
 *  "initial":true}, the same with "topics":["a/#"] instead of what is about
 * objects, {"type":"unsubscribe","id":"1"},
 * {"type":"auth","token":"..."}, {"type":"ping"}.
 */
#include "core/hub/live.h"

#include "base/mem.h"
#include "codec/entity_json.h"
#include "codec/mqtt.h"

#include <string.h>

#define ID_MAX 64
#define LIST_MAX 10000
#define TOPICS_MAX 32

#define A struct live_ask
static const struct field ask_fields[] = {
	F_TEXT(A, type, "type", .max = 32),
	F_TEXT(A, id, "id", .flags = FIELD_NULL, .max = ID_MAX),
	F_TEXT(A, token, "token", .flags = FIELD_NULL, .max = 4096),
	F_TEXT(A, unit, "unit", .flags = FIELD_NULL, .max = 256),
	F_TEXTS(A, entity_types, "entityTypes", .max = LIST_MAX),
	F_TEXTS(A, event_types, "eventTypes", .max = LIST_MAX),
	F_TEXTS(A, quick_ids, "quickIds", .max = LIST_MAX),
	F_TEXTS(A, topics, "topics", .max = TOPICS_MAX),
	F_JSON(A, filters, "filters", .flags = FIELD_OBJECT | FIELD_NULL),
	F_BOOL(A, initial, "initial"),
	{ 0 },
};
static const struct record ask_record = { "ask", sizeof(A), ask_fields };

/* A member that is not known is most often one that was misspelt. */
static int
check_members(struct str text, struct arena *a, struct err *err)
{
	struct str key;
	struct json j;

	json_open(&j, text, 0, a);
	if (json_object(&j))
		while (json_member(&j, &key)) {
			if (field_find(&ask_record, key, NULL, NULL) == NULL)
				return err_set(err, ERR_PARAM,
				    "there is no member `" STR_FMT "`",
				    STR_ARG(key));
			json_skip(&j);
		}
	return json_done(&j, err);
}

static int
check_list(const struct strs *list, bool (*known)(struct str s),
    const char *member, const char *what, struct err *err)
{
	for (size_t i = 0; i < list->n; i++)
		if (!known(list->at[i]))
			return err_set(err, ERR_PARAM,
			    "%s: `" STR_FMT "` is no %s", member,
			    STR_ARG(list->at[i]), what);
	return 0;
}

static bool
is_event_type(struct str s)
{
	return str_eqz(s, "created") || str_eqz(s, "updated") ||
	    str_eqz(s, "deleted");
}

/* "task:fan_on" */
static bool
is_quick_id(struct str s)
{
	struct str type = str_cut(&s, ':');

	return s.len > 0 && hub_is_entity_type(type);
}

static int
check_subscription(const struct live_ask *s, struct err *err)
{
	int rc;

	if (s->id.len == 0)
		return err_set(err, ERR_PARAM,
		    "missing `id`: any text that names the subscription");
	rc = check_list(&s->entity_types, hub_is_entity_type, "entityTypes",
	    "kind of object, as field, node or task", err);
	if (rc == 0)
		rc = check_list(&s->event_types, is_event_type, "eventTypes",
		    "created, updated or deleted", err);
	if (rc == 0)
		rc = check_list(&s->quick_ids, is_quick_id, "quickIds",
		    "quick id, as field:gateway.node.source.field", err);
	if (rc == 0)
		rc = check_list(&s->topics, mqtt_filter_ok, "topics",
		    "topic filter, as a/+/b or a/#", err);
	if (rc == 0 && s->topics.n > 0 &&
	    (s->entity_types.n > 0 || s->event_types.n > 0 ||
		s->quick_ids.n > 0 || s->filters.ptr != NULL))
		rc = err_set(err, ERR_PARAM,
		    "topics: what passes the MQTT server has no entityTypes, "
		    "eventTypes, quickIds and filters");
	return rc;
}

int
live_ask_read(
    struct str text, struct arena *a, struct live_ask *ret, struct err *err)
{
	static const char *const verbs[] = { [LIVE_AUTH] = "auth",
		[LIVE_SUBSCRIBE] = "subscribe",
		[LIVE_UNSUBSCRIBE] = "unsubscribe",
		[LIVE_PING] = "ping" };
	field_set_t present;
	struct json j;
	size_t verb = 0;
	int rc;

	*ret = (struct live_ask){ 0 };
	record_init(&ask_record, ret);
	json_open(&j, text, 0, a);
	rc =
	    record_from_json(&j, &ask_record, FIELD_ALL, 0, ret, &present, err);
	if (rc == 0)
		rc = check_members(text, a, err);
	if (rc != 0)
		return rc;
	while (verb < COUNT_OF(verbs) && !str_eqz(ret->type, verbs[verb]))
		verb++;
	if (verb == COUNT_OF(verbs))
		return err_set(err, ERR_PARAM,
		    "type `" STR_FMT "`: must be auth, subscribe, unsubscribe "
		    "or ping",
		    STR_ARG(ret->type));
	ret->verb = (enum live_verb)verb;
	if (verb == LIVE_AUTH && ret->token.len == 0)
		return err_set(err, ERR_PARAM, "missing `token`");
	if (verb == LIVE_UNSUBSCRIBE && ret->id.len == 0)
		return err_set(err, ERR_PARAM, "missing `id`");
	return verb == LIVE_SUBSCRIBE ? check_subscription(ret, err) : 0;
}

void
live_ask_copy(struct arena *a, struct live_ask *to, const struct live_ask *from)
{
	record_copy(&ask_record, a, to, from);
	to->token = STR_NULL;
	to->verb = from->verb;
}

struct strs
live_keys(struct arena *a, const struct live_ask *s)
{
	const struct strs *narrow =
	    s->quick_ids.n > 0 ? &s->quick_ids : &s->entity_types;
	struct strs keys = { arena_array(a, narrow->n + 1, struct str), 0 };

	for (size_t i = 0; i < narrow->n; i++)
		keys.at[keys.n++] = arena_printf(a, STR_FMT " " STR_FMT,
		    STR_ARG(s->unit), STR_ARG(narrow->at[i]));
	if (narrow->n == 0)
		keys.at[keys.n++] =
		    arena_printf(a, STR_FMT " ", STR_ARG(s->unit));
	return keys;
}

void
live_parts(struct str key, size_t unit_len, size_t type_len,
    struct str parts[LIVE_PARTS])
{
	const size_t ends[] = { unit_len + 1, unit_len + 1 + type_len,
		key.len };

	for (int i = 0; i < 3; i++) {
		parts[i] = (struct str){ key.ptr, ends[i] };
		parts[3 + i] =
		    (struct str){ key.ptr + unit_len, ends[i] - unit_len };
	}
}

bool
live_wants(
    const struct live_ask *s, const struct map *ids, const struct live_event *e)
{
	if (s->quick_ids.n > 0 && map_get(ids, e->quick) == NULL)
		return false;
	return hub_has(&s->entity_types, e->entity_type) &&
	    (e->kind == LIVE_INITIAL || hub_has(&s->event_types, e->type)) &&
	    (s->filters.ptr == NULL || hub_passes(s->filters, e->entity));
}
