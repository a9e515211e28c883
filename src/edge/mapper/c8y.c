/*
 * edge/mapper/c8y.c - the mapper of Cumulocity; c8y_private.h says where what
 * is.
 *
 * Both generations are heard, and a message of either becomes what it became
 * in its time. When the mapper comes up, the broker repeats what it has kept:
 * registrations, alarms, capabilities. Until that has settled, alarms are held
 * (c8y_fact.c) and capabilities gathered; all else goes at once.
 */
#include "edge/mapper/c8y_private.h"

#include "base/base.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER_MAX ((size_t)64 << 10)

/* --- what all of it uses ------------------------------------------------- */

void
c8y_topic(struct c8y *c, const char *path)
{
	buf_clear(&c->topic);
	buf_add_str(&c->topic, c->prefix);
	buf_addz(&c->topic, path);
}

void
c8y_topic_us(struct c8y *c, const struct c8y_entity *device)
{
	c8y_topic(c, "/s/us");
	if (device != c->main) {
		buf_addc(&c->topic, '/');
		buf_add_str(&c->topic, device->xid);
	}
}

void
c8y_publish(struct c8y *c, bool retain)
{
	struct mapper_msg m = { .topic = buf_str(&c->topic),
		.payload = buf_str(&c->out),
		.qos = 1,
		.retain = retain };

	if (m.payload.ptr == NULL)
		m.payload = STR("");
	c->host.publish(c->host.owner, &m);
}

void
c8y_ask_pending(struct c8y *c)
{
	c8y_topic(c, "/s/us");
	buf_clear(&c->out);
	buf_addz(&c->out, "500");
	c8y_publish(c, false);
}

bool
c8y_send(struct c8y *c)
{
	size_t size = mapper_packet_size(c->topic.len, c->out.len);

	if (size > c->max_packet) {
		mapper_too_large(&c->host, c->root, c->now_on, buf_str(&c->out),
		    size, c->max_packet);
		return false;
	}
	c8y_publish(c, false);
	return true;
}

void
c8y_error(struct c8y *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	mapper_verror(&c->host, c->root, c->now_on, fmt, ap);
	va_end(ap);
}

struct str
c8y_new_id(struct c8y *c, struct arena *a)
{
	return arena_printf(a, "%lld-%llu",
	    (long long)(c->host.now_ns(c->host.owner) / 1000000),
	    (unsigned long long)++c->serial);
}

void
c8y_add_now(struct c8y *c, struct buf *out, bool utc)
{
	mapper_add_now(&c->host, out, utc);
}

void
c8y_add_source(struct c8y *c, struct buf *out, const struct c8y_entity *e)
{
	(void)c;
	buf_addz(out, "\"externalSource\":{\"externalId\":");
	json_quote(out, e->xid);
	buf_addz(out, ",\"type\":\"c8y_Serial\"},");
}

/* --- words --------------------------------------------------------------- */

static bool
words_find(const struct c8y_words *w, struct str s, size_t *at)
{
	for (*at = 0; *at < w->n; ++*at) {
		int d = str_cmp(w->at[*at], s);

		if (d >= 0)
			return d == 0;
	}
	return false;
}

bool
c8y_words_add(struct c8y_words *w, struct str s)
{
	size_t at;

	if (words_find(w, s, &at))
		return false;
	w->at = mem_resize(w->at, w->n + 1, sizeof(*w->at));
	memmove(w->at + at + 1, w->at + at, (w->n - at) * sizeof(*w->at));
	w->at[at] = str_copy(s);
	w->n++;
	return true;
}

bool
c8y_words_del(struct c8y_words *w, struct str s)
{
	size_t at;

	if (!words_find(w, s, &at))
		return false;
	str_free(w->at[at]);
	w->n--;
	memmove(w->at + at, w->at + at + 1, (w->n - at) * sizeof(*w->at));
	return true;
}

void
c8y_words_clear(struct c8y_words *w)
{
	for (size_t i = 0; i < w->n; i++)
		str_free(w->at[i]);
	free(w->at);
	*w = (struct c8y_words){ 0 };
}

void
c8y_words_set(struct c8y_words *w, struct strs from)
{
	c8y_words_clear(w);
	for (size_t i = 0; i < from.n; i++)
		(void)c8y_words_add(w, from.at[i]);
}

/* --- time ---------------------------------------------------------------- */

static void
sooner(int64_t *next, int64_t at)
{
	if (at >= 0 && at != INT64_MAX && (*next < 0 || at < *next))
		*next = at;
}

/* Does what is due; returns when to come again, -1: never. */
static int64_t
due(struct c8y *c, bool work)
{
	int64_t now = c->host.mono_ms(c->host.owner), next = -1;

	if (work && c->settle_ms >= 0 && c->settle_ms <= now) {
		c->settle_ms = -1;
		c8y_entities_settled(c);
		c8y_alarms_settle(c);
		c8y_tell_changed(c);
		if (c->missed)
			c8y_ask_pending(c);
		c->missed = false;
	}
	sooner(&next, c->settle_ms);
	if (work && c->heartbeat_ms >= 0 && c->heartbeat_ms <= now)
		c8y_heartbeat(c);
	sooner(&next, c->heartbeat_ms);
	/* These do what `now` reaches; -1 reaches nothing. */
	c8y_entities_due(c, work ? now : -1, &next);
	c8y_ops_due(c, work ? now : -1, &next);
	c8y_http_due(c, work ? now : -1, &next);
	return next;
}

void
c8y_schedule(struct c8y *c)
{
	int64_t next;

	if (!c->later)
		return;
	c->later = false;
	next = due(c, false);
	if (next >= 0)
		c->host.after(c->host.owner,
		    MAX_OF(next - c->host.mono_ms(c->host.owner), 0));
}

static void
c8y_timer(void *m)
{
	struct c8y *c = m;

	c->now_on = c->root;
	(void)due(c, true);
	c->later = true;
	c8y_schedule(c);
}

/* --- messages ------------------------------------------------------------ */

static void
legacy(struct c8y *c, const struct mapper_msg *msg, struct arena *a)
{
	struct c8y_entity *e;
	struct tedge_topic t;

	if (tedge_topic_read(msg->topic, &t, NULL) != 0)
		return;
	if (msg->payload.len > C8Y_LEGACY_MAX) {
		mapper_input_too_large(&c->host, c->root, msg->topic,
		    msg->payload.len, C8Y_LEGACY_MAX);
		return;
	}
	switch (t.kind) {
	case TEDGE_MEASUREMENT:
		c8y_measure_legacy(c, t.child, msg->payload, a);
		break;
	case TEDGE_EVENT:
		e = c8y_legacy_child(c, t.child);
		c8y_event(c, e, t.type, msg->payload, true, a);
		break;
	case TEDGE_ALARM:
		e = c8y_legacy_child(c, t.child);
		c8y_alarm(c, msg, e, t.type, t.severity, a);
		break;
	case TEDGE_HEALTH:
		c8y_legacy_health(c, &t, msg->payload, a);
		break;
	default:
		break;
	}
}

static void
of_entity(struct c8y *c, const struct mapper_msg *msg, const struct te_topic *t,
    struct arena *a)
{
	struct c8y_entity *e = c8y_source(c, msg, t);

	if (e == NULL)
		return;
	switch (t->channel) {
	case TE_MEASUREMENT:
		c8y_measure(c, msg, t, e, a);
		break;
	case TE_EVENT:
		c8y_event(c, e, t->type, msg->payload, false, a);
		break;
	case TE_ALARM:
		c8y_alarm(c, msg, e, t->type, STR_NULL, a);
		break;
	case TE_TWIN:
		c8y_twin(c, e, t->type, msg->payload, a);
		break;
	case TE_HEALTH:
		c8y_health(c, e, msg->payload, a);
		break;
	case TE_CMD_META:
		c8y_capability(c, e, t->type, msg->payload, a);
		break;
	case TE_CMD:
		c8y_state(c, msg, t, e, a);
		break;
	case TE_SIGNAL:
		if (str_eqz(t->type, "sync"))
			c8y_tell_operations(c, e);
		break;
	default:
		break;
	}
}

static void
current(struct c8y *c, const struct mapper_msg *msg, struct arena *a)
{
	struct err err = { 0 };
	struct te_topic t;
	int rc;

	if (msg->origin) {
		/* A copy: its first form was or will be heard. But that a
		 * device is registered is said only here. */
		if (te_topic_read(c->root, msg->topic, &t, NULL) == 0 &&
		    t.channel == TE_ENTITY)
			c8y_register(c, msg, &t, a);
		return;
	}
	rc = te_topic_read(c->root, msg->topic, &t, &err);
	if (rc == ERR_PARAM)
		c8y_error(c, "%s", err.text);
	if (rc != 0)
		return;
	if (t.channel == TE_ENTITY)
		c8y_register(c, msg, &t, a);
	else if (t.channel == TE_MEASUREMENT_META)
		c8y_units(c, msg->topic, msg->payload);
	else
		of_entity(c, msg, &t, a);
}

/* What stands behind `prefix` and "-internal/alarms/" and so on. */
static bool
behind(struct str topic, struct str prefix, const char *path, struct str *rest)
{
	size_t n = strlen(path);

	if (!str_starts(topic, prefix))
		return false;
	*rest = (struct str){ topic.ptr + prefix.len, topic.len - prefix.len };
	if (!str_starts(*rest, (struct str){ path, n }))
		return false;
	*rest = (struct str){ rest->ptr + n, rest->len - n };
	return true;
}

static void
of_cloud(struct c8y *c, const struct mapper_msg *msg, struct arena *a)
{
	struct str rest;

	if (behind(msg->topic, c->prefix, "-internal/alarms/", &rest))
		c8y_alarm_copy(c, msg);
	else if (behind(msg->topic, c->prefix, "-internal/entities/", &rest))
		c8y_marker(c, rest, msg->payload);
	else if (behind(msg->topic, c->prefix, "/http/events/create/", &rest))
		c8y_http_event(c, rest, msg->payload);
	else if (behind(msg->topic, c->prefix, "/devicecontrol/notifications",
		     &rest))
		c8y_op_json(c, msg->payload, a);
	else if (msg->payload.len > 0 && msg->payload.ptr[0] == '{')
		c8y_op_json(c, msg->payload, a);
	else
		c8y_op_smartrest(c, msg->payload, a);
}

/* One large message does not hold its memory for ever. */
static void
shrink(struct buf *b)
{
	if (b->cap > BUFFER_MAX)
		buf_free(b);
}

static void
c8y_message(void *m, const struct mapper_msg *msg, struct arena *a)
{
	struct c8y *c = m;

	c->now_on = msg->topic;
	if (str_starts(msg->topic, STR("tedge/")))
		legacy(c, msg, a);
	else if (str_starts(msg->topic, c->prefix) ||
	    c8y_custom_topic(c, msg->topic))
		of_cloud(c, msg, a);
	else
		current(c, msg, a);
	c->now_on = c->root;
	shrink(&c->out);
	shrink(&c->extra);
	c8y_schedule(c);
}

static void
c8y_filters(void *m, void (*each)(void *ctx, struct str filter), void *ctx)
{
	static const struct {
		char base; /* r: the root's, p: the prefix's */
		const char *path;
	} rest[] = {
		{ 'r', "/+/+/+/+/cmd/+" },
		{ 'r', "/+/+/+/+/cmd/+/+" },
		{ 'r', "/+/+/+/+/signal/+" },
		{ 'p', "-internal/alarms/#" },
		{ 'p', "/http/events/create/+" },
		{ 'p', "/devicecontrol/notifications" },
		{ 'p', "/s/ds" },
	};
	static const char *const first[] = { "tedge/measurements",
		"tedge/measurements/+", "tedge/events/+", "tedge/events/+/+",
		"tedge/alarms/+/+", "tedge/alarms/+/+/+", "tedge/health/+",
		"tedge/health/+/+" };
	struct c8y *c = m;
	struct buf f = { 0 };

	/* Before the registrations: see c8y_entity.c. */
	buf_addf(&f, STR_FMT "-internal/entities/#", STR_ARG(c->prefix));
	each(ctx, buf_str(&f));
	mapper_topics(&c->cloud, c->root, each, ctx);
	for (size_t i = 0; i < COUNT_OF(rest); i++) {
		buf_clear(&f);
		buf_add_str(&f, rest[i].base == 'r' ? c->root : c->prefix);
		buf_addz(&f, rest[i].path);
		each(ctx, buf_str(&f));
	}
	for (size_t i = 0; i < COUNT_OF(first); i++)
		each(ctx, str_of(first[i]));
	c8y_custom_filters(c, each, ctx);
	buf_free(&f);
}

/* --- life ---------------------------------------------------------------- */

static void
c8y_up(void *m)
{
	struct c8y *c = m;

	c->now_on = c->root;
	c->settle_ms = c->host.mono_ms(c->host.owner) + C8Y_SETTLE_MS;
	c->later = true;
	c8y_alarms_begin(c);
	if (c->main->can.n + c->main->files.n + c->main->templates.n > 0)
		c8y_tell_operations(c, c->main);
	c8y_ask_pending(c);
	c8y_tell_availability(c, c->main);
	c8y_schedule(c);
}

static int
c8y_open(const struct mapper_conf *conf, const struct mapper_host *host,
    void **ret, struct err *err)
{
	struct c8y *c = mem_new(struct c8y);
	int64_t max = cloud_int(&conf->cloud, "mapper.mqtt.max_payload_size");

	(void)err;
	c->host = *host;
	c->cloud = conf->cloud;
	c->cloud.profile = str_copy(conf->cloud.profile);
	c->device_id = str_copy(conf->device_id);
	c->root = str_copy(conf->root);
	c->prefix = str_copy(cloud_text(&conf->cloud, "bridge.topic_prefix"));
	c->url = str_copy(cloud_text(&conf->cloud, "http"));
	c->use_id = cloud_bool(&conf->cloud, "smartrest.use_operation_id");
	c->max_packet = max > 0 ? (size_t)max : SIZE_MAX;
	c->settle_ms = INT64_MAX; /* from c8y_up() on it will come */
	c->heartbeat_ms = -1;
	c->now_on = c->root;
	c->early = te_ring_new(0, 0);
	list_init(&c->held);
	list_init(&c->ops);
	list_init(&c->lines);
	list_init(&c->jobs);
	list_init(&c->custom);
	list_init(&c->runs);
	c8y_entities_init(c, conf->main_entity);
	c8y_custom_open(c);
	*ret = c;
	return 0;
}

static void
c8y_close(void *m)
{
	struct c8y *c = m;

	c8y_custom_close(c);
	c8y_http_fini(c);
	c8y_ops_fini(c);
	c8y_alarms_fini(c);
	c8y_units_fini(c);
	c8y_entities_fini(c);
	str_free(c->cloud.profile);
	str_free(c->device_id);
	str_free(c->root);
	str_free(c->prefix);
	str_free(c->url);
	buf_free(&c->topic);
	buf_free(&c->out);
	buf_free(&c->extra);
	free(c);
}

static void
c8y_http(void *m, uint64_t tag, int status, struct str body)
{
	struct c8y *c = m;

	c->now_on = c->root;
	c8y_http_done(c, tag, status, body);
	c8y_schedule(c);
}

static void
c8y_ran(void *m, uint64_t tag, const struct child_end *end)
{
	struct c8y *c = m;

	c->now_on = c->root;
	c8y_custom_ran(c, tag, end);
	c8y_schedule(c);
}

static void
c8y_changed(void *m)
{
	struct c8y *c = m;

	c->now_on = c->root;
	c8y_custom_changed(c);
	if (c->settle_ms < 0)
		c8y_tell_changed(c);
	c8y_schedule(c);
}

const struct mapper_ops mapper_c8y = {
	.name = "c8y",
	.help = "Cumulocity",
	.open = c8y_open,
	.close = c8y_close,
	.filters = c8y_filters,
	.up = c8y_up,
	.message = c8y_message,
	.timer = c8y_timer,
	.http = c8y_http,
	.ran = c8y_ran,
	.changed = c8y_changed,
};
