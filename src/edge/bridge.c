/*
 * edge/bridge.c - see bridge.h.
 */
#include "edge/bridge.h"

#include "base/arena.h"
#include "base/log.h"
#include "base/mem.h"
#include "edge/bridge_link.h"
#include "edge/bridge_plan.h"
#include "net/mqtt/bridge.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LOG_MODULE "bridge"

struct bridge {
	struct bridge_plan plan;
	struct arena arena; /* of its texts */
	const struct bridge_events *events;
	void *owner;
	struct bridge_link link; /* to the cloud */
	struct mqtt_bridge_refusals refusals[2];
	struct mqtt_bridge *mqtt;
};

/* --- what is told -------------------------------------------------------- */

static void
on_up(void *owner, enum mqtt_bridge_side side)
{
	const struct bridge *b = owner;

	if (side == MQTT_BRIDGE_LOCAL)
		return;
	log_info("%s: connected to %s, port %u", b->plan.label, b->plan.host,
	    b->plan.port);
	if (b->events->up != NULL)
		b->events->up(b->owner);
}

static void
on_down(void *owner, enum mqtt_bridge_side side, const struct err *why)
{
	const struct bridge *b = owner;

	if (side == MQTT_BRIDGE_LOCAL) {
		log_warn("%s: the device's broker is away: %s; it is tried "
			 "again",
		    b->plan.label, why->text);
		return;
	}
	log_warn("%s: not connected to %s, port %u: %s; it is tried again",
	    b->plan.label, b->plan.host, b->plan.port, why->text);
	if (b->events->down != NULL)
		b->events->down(b->owner, why);
}

static void
tell_too_large(const struct bridge *b, struct str topic)
{
	struct buf text = { 0 };

	buf_addf(&text,
	    "The message to %s on topic '" STR_FMT
	    "' is larger than %u bytes (%s): it was dropped",
	    b->plan.title, STR_ARG(topic), b->plan.max_payload, b->plan.limit);
	b->events->error(b->owner, buf_str(&text));
	buf_free(&text);
}

static void
on_refused(
    void *owner, enum mqtt_bridge_side side, struct str topic, uint8_t reason)
{
	struct bridge *b = owner;
	uint64_t untold;
	char more[64] = "";

	if (side == MQTT_BRIDGE_REMOTE && reason == MQTT_R_TOO_LARGE &&
	    b->events->error != NULL)
		tell_too_large(b, topic);
	if (!mqtt_bridge_refusal_due(&b->refusals[side], reason, &untold))
		return;
	if (untold > 0)
		snprintf(more, sizeof(more), " (and %llu more before)",
		    (unsigned long long)untold);
	log_warn("%s: %s has not taken \"" STR_FMT "\": %s%s", b->plan.label,
	    side == MQTT_BRIDGE_LOCAL ? "the device's broker" : b->plan.title,
	    STR_ARG(topic), mqtt_reason_text(reason), more);
}

/* --- life ---------------------------------------------------------------- */

static int
build(struct bridge *b, struct edge *e, struct err *err)
{
	static const struct mqtt_bridge_events events = { on_up, on_down,
		on_refused };
	struct bridge_plan *p = &b->plan;
	struct mqtt_bridge_conf conf = {
		.name = p->service,
		.forget_remote = p->forget_remote,
		.remote_as_client = true,
		.max_payload = p->max_payload,
		.rules = p->rules.rules,
		.n_rules = p->rules.n,
		.notification_topic =
		    bridge_health_topic(p, true, &b->arena).ptr,
		.notify_up = arena_printf(&b->arena,
		    "{\"pid\":%ld,\"status\":\"up\"}", (long)getpid())
				 .ptr,
		.notify_down = arena_printf(&b->arena,
		    "{\"pid\":%ld,\"status\":\"down\"}", (long)getpid())
				   .ptr,
		.notify_local_only = true,
		.remote_topic = p->online,
	};
	int rc;

	edge_local(e, &conf.local);
	conf.local.client_id = p->service;
	rc = bridge_link_open(&b->link, p, &conf.remote, err);
	if (rc == 0)
		rc = mqtt_bridge_new(
		    edge_loop(e), &conf, &events, b, &b->mqtt, err);
	return rc;
}

int
bridge_start(struct edge *e, const struct cloud *cloud,
    const struct bridge_events *events, void *owner, struct bridge **ret,
    struct err *err)
{
	struct bridge *b = mem_new(struct bridge);
	int rc;

	b->events = events;
	b->owner = owner;
	rc = bridge_plan_own(cloud, &b->arena, &b->plan, err);
	if (rc == 0)
		rc = build(b, e, err);
	if (rc != 0) {
		bridge_stop(b);
		return rc;
	}
	mqtt_bridge_start(b->mqtt);
	*ret = b;
	return 0;
}

void
bridge_stop(struct bridge *b)
{
	if (b == NULL)
		return;
	mqtt_bridge_free(b->mqtt);
	bridge_link_close(&b->link);
	arena_fini(&b->arena);
	free(b);
}

bool
bridge_is_up(const struct bridge *b)
{
	return mqtt_bridge_is_up(b->mqtt, MQTT_BRIDGE_REMOTE);
}
