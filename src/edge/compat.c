/*
 * edge/compat.c - see compat.h.
 */
#include "edge/compat.h"

#include "base/base.h"
#include "codec/json.h"
#include "codec/thin_edge_json.h"
#include "edge/mapper/common.h"

static const char *const severities[] = { "critical", "major", "minor",
	"warning" };

void
compat_filters(const struct compat_conf *c,
    void (*each)(void *ctx, struct str filter), void *ctx)
{
	static const char *const first[] = { "tedge/measurements",
		"tedge/measurements/+", "tedge/events/+", "tedge/events/+/+",
		"tedge/alarms/+/+", "tedge/alarms/+/+/+" };
	struct buf errors = { 0 };

	for (size_t i = 0; i < COUNT_OF(first); i++)
		each(ctx, str_of(first[i]));
	buf_addf(&errors, STR_FMT "/errors", STR_ARG(c->root));
	each(ctx, buf_str(&errors));
	buf_free(&errors);
}

static int
read_object(struct str payload, struct arena *a, struct err *err)
{
	struct str key;
	struct json j;

	json_open(&j, payload, 0, a);
	if (json_object(&j))
		while (json_member(&j, &key))
			json_skip(&j);
	return json_done(&j, err);
}

static bool
is_severity(struct str s)
{
	for (size_t i = 0; i < COUNT_OF(severities); i++)
		if (str_eqz(s, severities[i]))
			return true;
	return false;
}

/* `why`: added to when it is not. */
static bool
is_good(const struct tedge_topic *t, const struct mapper_msg *m,
    struct buf *why, struct arena *a)
{
	static const struct thin_edge_visitor nobody;
	struct err err;

	switch (t->kind) {
	case TEDGE_MEASUREMENT:
		if (thin_edge_json_read(m->payload, THIN_EDGE_STRICT, 0, a,
			&nobody, NULL, &err) == 0)
			return true;
		buf_addz(why, err.text);
		return false;
	case TEDGE_EVENT:
		if (m->payload.len == 0 ||
		    read_object(m->payload, a, &err) == 0)
			return true;
		mapper_bad_event(why, m->topic, m->payload, err.text);
		return false;
	case TEDGE_ALARM:
		if (!is_severity(t->severity)) {
			buf_addf(why,
			    "Unsupported alarm severity in topic: " STR_FMT,
			    STR_ARG(m->topic));
			return false;
		}
		if (m->payload.len == 0 ||
		    read_object(m->payload, a, &err) == 0)
			return true;
		mapper_bad_alarm(why, t->type, m->payload, err.text);
		return false;
	default:
		return false;
	}
}

/* The severity has moved from the topic into the payload. */
static struct str
with_severity(struct str payload, struct str severity, struct arena *a)
{
	struct buf text = { 0 };
	struct json_out o;
	struct str key, ret;
	struct json j;

	json_out_init(&o, &text, false);
	json_out_object(&o);
	json_open(&j, payload, 0, a);
	if (json_object(&j))
		while (json_member(&j, &key)) {
			if (str_eqz(key, "severity")) {
				json_skip(&j);
				continue;
			}
			json_out_key_str(&o, key);
			json_copy(&j, &o);
		}
	json_out_key(&o, "severity");
	json_out_str(&o, severity);
	json_out_end_object(&o);
	ret = arena_str(a, buf_str(&text));
	buf_free(&text);
	return ret;
}

static struct str
topic_of(
    const struct compat_conf *c, const struct tedge_topic *t, struct arena *a)
{
	struct te_topic to = { .entity = c->device, .type = t->type };
	struct buf topic = { 0 };
	struct str ret;

	if (t->child.ptr != NULL)
		to.entity =
		    arena_printf(a, "device/" STR_FMT "//", STR_ARG(t->child));
	if (t->kind == TEDGE_MEASUREMENT)
		to.channel = TE_MEASUREMENT;
	else
		to.channel = t->kind == TEDGE_EVENT ? TE_EVENT : TE_ALARM;
	te_topic_add(&topic, c->root, &to);
	ret = arena_str(a, buf_str(&topic));
	buf_free(&topic);
	return ret;
}

bool
compat_copy(const struct compat_conf *c, const struct mapper_msg *m,
    struct mapper_msg *ret, struct arena *a)
{
	struct tedge_topic t;
	struct buf why = { 0 };
	struct str rest = m->topic;
	bool good;

	if (m->origin)
		return false;
	*ret = *m;
	ret->origin = true;
	ret->retain = false;
	if (str_starts(rest, c->root) &&
	    str_eqz(
		(struct str){ rest.ptr + c->root.len, rest.len - c->root.len },
		"/errors")) {
		ret->topic = STR("tedge/errors");
		return !str_eq(m->topic, ret->topic);
	}
	good = tedge_topic_read(m->topic, &t, NULL) == 0 &&
	    is_good(&t, m, &why, a);
	buf_free(&why);
	if (!good)
		return false;
	ret->topic = topic_of(c, &t, a);
	if (t.kind == TEDGE_ALARM) {
		ret->retain = true;
		if (m->payload.len > 0)
			ret->payload = with_severity(m->payload, t.severity, a);
	}
	return true;
}

bool
compat_why(const struct mapper_msg *m, struct buf *out, struct arena *a)
{
	struct tedge_topic t;
	size_t len = out->len;

	return !m->origin && tedge_topic_read(m->topic, &t, NULL) == 0 &&
	    !is_good(&t, m, out, a) && out->len > len;
}
