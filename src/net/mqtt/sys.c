/*
 * net/mqtt/sys.c - the $SYS tree: what monitoring tools know from other
 * servers, under the same names, and every counter of this process.
 *
 * All are retained, QoS 0, and sent again only when they have changed. They are
 * never written to the journal.
 */
#include "net/mqtt/private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* The well-known names: a counter each. */
static const struct {
	const char *topic;
	size_t offset;
} known[] = {
#define KNOWN(topic, name)                                                     \
	{                                                                      \
		topic, offsetof(struct mqtt_counters, name)                    \
	}
	KNOWN("clients/total", sessions),
	KNOWN("clients/expired", sessions_expired),
	KNOWN("messages/received", publish_in),
	KNOWN("messages/sent", publish_out),
	KNOWN("messages/stored", queued_messages),
	KNOWN("store/messages/count", queued_messages),
	KNOWN("store/messages/bytes", queued_bytes),
	KNOWN("publish/messages/received", publish_in),
	KNOWN("publish/messages/sent", publish_out),
	KNOWN("publish/messages/dropped", dropped_queue_full),
	KNOWN("retained messages/count", retained),
	KNOWN("subscriptions/count", subscriptions),
	KNOWN("bytes/received", bytes_in),
	KNOWN("bytes/sent", bytes_out),
};

struct sys {
	struct map last; /* topic -> struct last */
	int64_t start_ms;
};

struct last {
	char *topic;
	char text[64];
};

static void
tell(struct mqtt_server *s, const char *topic, const char *text)
{
	struct incoming in = {
		.topic = str_of(topic), .payload = str_of(text), .retain = true
	};
	struct last *l = map_get(&s->sys->last, in.topic);
	struct routed r;

	if (l == NULL) {
		l = mem_new(struct last);
		l->topic = str_dupz(in.topic);
		(void)map_put(&s->sys->last, str_of(l->topic), l);
	} else if (strcmp(l->text, text) == 0) {
		return;
	}
	snprintf(l->text, sizeof(l->text), "%s", text);
	mqtt_route(s, NULL, NULL, &in, MQTT_NONE, 0, &r);
	mqtt_msg_release(r.waiting);
}

static void
tell_number(struct mqtt_server *s, const char *topic, int64_t n)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, n);
	tell(s, topic, text);
}

static void
tell_counter(void *ctx, const struct counter_group *g,
    const struct counter_row *row, int64_t value)
{
	char topic[160];

	snprintf(topic, sizeof(topic), "$SYS/broker/counters/%s/%s", g->prefix,
	    row->name);
	tell_number(ctx, topic, value);
}

static void
tell_all(struct mqtt_server *s)
{
	const char *values = (const char *)&mqtt_counters;
	unsigned up = 0;
	struct rusage use;
	char text[64];

	tell(s, "$SYS/broker/version", "marram version " MARRAM_VERSION);
	snprintf(text, sizeof(text), "%" PRId64 " seconds",
	    (clock_mono() - s->sys->start_ms) / 1000);
	tell(s, "$SYS/broker/uptime", text);
	for (size_t i = 0; i < COUNT_OF(known); i++) {
		snprintf(text, sizeof(text), "$SYS/broker/%s", known[i].topic);
		tell_number(s, text,
		    counter_get((const counter_t *)(values + known[i].offset)));
	}
	LIST_EACH (c, &s->conns, struct conn, link)
		up += c->state == UP;
	tell_number(s, "$SYS/broker/clients/connected", up);
	tell_number(s, "$SYS/broker/clients/active", up);
	tell_number(s, "$SYS/broker/clients/disconnected", s->n_detached);
	tell_number(s, "$SYS/broker/clients/inactive", s->n_detached);
	if (getrusage(RUSAGE_SELF, &use) == 0)
		tell_number(s, "$SYS/broker/heap/maximum",
		    (int64_t)use.ru_maxrss * 1024);
	counter_each(tell_counter, s);
}

static void
on_sys(struct loop_timer *t)
{
	struct mqtt_server *s = container_of(t, struct mqtt_server, sys_timer);

	mqtt_lock(s);
	tell_all(s);
	mqtt_turn_over(s);
	mqtt_unlock(s);
	loop_after(s->loop, t, s->conf.sys_interval_ms);
}

void
mqtt_sys_open(struct mqtt_server *s)
{
	if (s->conf.sys_interval_ms <= 0)
		return;
	s->sys = mem_new(struct sys);
	s->sys->start_ms = clock_mono();
	s->sys_timer.fire = on_sys;
	loop_after(s->loop, &s->sys_timer, 0);
}

void
mqtt_sys_close(struct mqtt_server *s)
{
	struct last *l;
	size_t pos = 0;

	if (s->sys == NULL)
		return;
	loop_cancel(s->loop, &s->sys_timer);
	while ((l = map_next(&s->sys->last, &pos)) != NULL) {
		free(l->topic);
		free(l);
	}
	map_fini(&s->sys->last);
	free(s->sys);
}
