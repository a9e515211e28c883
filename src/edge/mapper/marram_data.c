/*
 * edge/mapper/marram_data.c - what is told of the device: where it goes, what
 * is kept of it. See marram_private.h.
 */
#include "edge/mapper/marram_private.h"

#include "base/clock.h"
#include "base/mem.h"
#include "codec/json.h"

#include <stdlib.h>

#define KEPT_MAX 2000
#define KEPT_BYTES ((size_t)1 << 20)

/* --- telling -------------------------------------------------------------- */

void
marram_publish(
    struct marram *m, struct str topic, struct str payload, bool retain)
{
	m->host->publish(m->host->owner,
	    &(struct mapper_msg){ .topic = topic,
		.payload = payload,
		.qos = 1,
		.retain = retain });
}

/* Below our prefix, where the bridge takes it. */
void
marram_tell(
    struct marram *m, struct arena *a, struct str rest, struct str payload)
{
	marram_publish(m,
	    arena_printf(
		a, STR_FMT "/" STR_FMT, STR_ARG(m->prefix), STR_ARG(rest)),
	    payload, false);
}

void
marram_forget(struct marram *m, struct kept *k)
{
	(void)map_del(&m->kept, k->topic);
	list_del(&k->link);
	m->kept_bytes -= k->topic.len + k->payload.len;
	str_free(k->topic);
	str_free(k->payload);
	free(k);
}

/* False: it is the same as before, and only shown again. */
static bool
keep(struct marram *m, struct str rest, struct str payload, bool again)
{
	struct kept *k = map_get(&m->kept, rest);

	if (k != NULL && again && str_eq(k->payload, payload))
		return false;
	if (k != NULL)
		marram_forget(m, k);
	if (payload.len == 0)
		return k != NULL || !again;
	while (!list_empty(&m->kept_order) &&
	    (m->kept.n >= KEPT_MAX ||
		m->kept_bytes + rest.len + payload.len > KEPT_BYTES))
		marram_forget(m, list_first(&m->kept_order, struct kept, link));
	k = mem_new(struct kept);
	k->topic = str_copy(rest);
	k->payload = str_copy(payload);
	m->kept_bytes += rest.len + payload.len;
	list_add(&m->kept_order, &k->link);
	(void)map_put(&m->kept, k->topic, k);
	return true;
}

/* --- who is who ----------------------------------------------------------- */

/* "device/child01//" as "device:child01": no level of a topic is lost in it. */
static struct str
compact(struct marram *m, struct arena *a, struct str entity)
{
	struct str s = arena_str(a, entity);
	char *p = (char *)s.ptr;

	if (str_eq(entity, m->main))
		return STR(MARRAM_MAIN);
	while (s.len > 0 && s.ptr[s.len - 1] == '/')
		s.len--;
	for (size_t i = 0; i < s.len; i++)
		if (p[i] == '/')
			p[i] = ':';
	return s;
}

/* "DEVICE/SERVICE" of an entity that is known. */
struct str
marram_place(struct marram *m, struct arena *a, const struct te_entity *e)
{
	struct str device;

	if (e->type != TE_SERVICE)
		return arena_printf(a, STR_FMT "/" MARRAM_NOBODY,
		    STR_ARG(compact(m, a, e->id)));
	device = e->parent != NULL ? e->parent->id : m->main;
	return arena_printf(a, STR_FMT "/" STR_FMT,
	    STR_ARG(compact(m, a, device)),
	    STR_ARG(te_entity_is_default(e->id) ? te_entity_name(e->id)
						: compact(m, a, e->id)));
}

struct search {
	struct marram *m;
	struct arena *a;
	struct str place, found;
};

static void
compare(void *ctx, const struct te_entity *e)
{
	struct search *s = ctx;

	if (s->found.ptr == NULL &&
	    str_eq(marram_place(s->m, s->a, e), s->place))
		s->found = arena_str(s->a, e->id);
}

/* And back; STR_NULL: there is nobody. */
struct str
marram_entity_at(struct marram *m, struct arena *a, struct str where)
{
	struct search s = { .m = m, .a = a, .place = where };

	te_store_each(m->store, STR_NULL, STR_NULL, 0, compare, &s);
	return s.found;
}

/* --- payloads ------------------------------------------------------------- */

struct str
marram_member(struct arena *a, struct str json, const char *name)
{
	struct str key, ret = STR_NULL;
	struct json j;

	json_open(&j, json, 0, a);
	if (json_object(&j))
		while (json_member(&j, &key)) {
			if (str_eqz(key, name) && json_peek(&j) == JSON_STRING)
				(void)json_str(&j, &ret);
			else if (str_eqz(key, name))
				(void)json_raw(&j, &ret);
			else
				(void)json_skip(&j);
		}
	return json_done(&j, NULL) == 0 ? ret : STR_NULL;
}

/* Behind the last member, when it has no time of its own. */
static struct str
with_time(struct marram *m, struct arena *a, struct str payload)
{
	struct str s = str_trim(payload);
	bool empty = true;

	if (!m->timestamp || s.len < 2 ||
	    marram_member(a, s, "time").ptr != NULL)
		return s;
	s.len--;
	s = str_trim(s);
	for (size_t i = 1; i < s.len; i++)
		if ((unsigned char)s.ptr[i] > ' ')
			empty = false;
	return arena_printf(a, STR_FMT "%s\"time\":\"" STR_FMT "\"}",
	    STR_ARG(s), empty ? "" : ",",
	    STR_ARG(time_text(a, m->host->now_ns(m->host->owner) / 1000000)));
}

/* --- what happens on the device ------------------------------------------ */

void
marram_data(struct marram *m, struct arena *a, const struct te_topic *t,
    const struct te_entity *e, const struct mapper_msg *msg)
{
	struct str where = marram_place(m, a, e), payload = msg->payload, rest;
	bool kept = true, told;

	if (t->channel == TE_CMD) {
		marram_command(m, a, t, where, msg);
		return;
	}
	rest = arena_printf(a, "up/" STR_FMT "/", STR_ARG(where));
	switch (t->channel) {
	case TE_ENTITY:
		rest = arena_printf(a, STR_FMT "entity", STR_ARG(rest));
		break;
	case TE_MEASUREMENT:
	case TE_EVENT:
	case TE_ALARM:
		kept = t->channel == TE_ALARM;
		rest = arena_printf(a, STR_FMT "%s%s" STR_FMT, STR_ARG(rest),
		    t->channel == TE_MEASUREMENT ? "m"
			: t->channel == TE_EVENT ? "e"
						 : "a",
		    t->type.len > 0 ? "/" : "", STR_ARG(t->type));
		break;
	case TE_TWIN:
		rest = arena_printf(a, STR_FMT "twin/" STR_FMT, STR_ARG(rest),
		    STR_ARG(t->type));
		break;
	case TE_HEALTH:
		rest = arena_printf(a, STR_FMT "status/health", STR_ARG(rest));
		break;
	case TE_CMD_META:
		rest = arena_printf(
		    a, STR_FMT "cmd/" STR_FMT, STR_ARG(rest), STR_ARG(t->type));
		break;
	default:
		return;
	}
	/* as it was said: with a time added it would never be the same */
	told = !kept || keep(m, rest, payload, msg->retain);
	if (!told)
		return;
	if (payload.len > 0 &&
	    (t->channel == TE_MEASUREMENT || t->channel == TE_EVENT ||
		t->channel == TE_ALARM))
		payload = with_time(m, a, payload);
	marram_tell(m, a, rest, payload);
	if (t->channel == TE_CMD_META && payload.len > 0 &&
	    str_eqz(t->type, "software_list"))
		marram_ask_list(m, a, t->entity);
	if (t->channel == TE_CMD_META)
		marram_begin_orders(m, a);
}
