/*
 * net/mqtt/will.c - what a client wants said when it is gone without goodbye.
 */
#include "net/mqtt/private.h"

#include "base/mem.h"

#include <stdlib.h>

struct will *
mqtt_will_new(const struct mqtt_connect *p)
{
	const struct mqtt_props *props = &p->will_props;
	struct will *w = mem_new(struct will);
	struct buf kept = { 0 };

	w->topic = str_copy(p->will_topic);
	w->payload = str_copy(p->will_payload);
	w->qos = p->will_qos;
	w->retain = p->will_retain;
	if (props->has != 0) {
		mqtt_kept_props(props->raw, &kept);
		w->props = str_copy(buf_str(&kept));
		buf_free(&kept);
	}
	w->expires = mqtt_has(props, MQTT_P_MESSAGE_EXPIRY);
	if (w->expires)
		w->expiry_s = props->message_expiry_s;
	if (mqtt_has(props, MQTT_P_WILL_DELAY))
		w->delay_s = props->will_delay_s;
	return w;
}

void
mqtt_will_free(struct will *w)
{
	if (w == NULL)
		return;
	str_free(w->topic);
	str_free(w->payload);
	str_free(w->props);
	free(w);
}

void
mqtt_will_publish(struct mqtt_server *s, struct session *from, struct will *w)
{
	const struct incoming in = {
		.topic = w->topic,
		.payload = w->payload,
		.props = w->props,
		.props_are_kept = true,
		.expires = w->expires,
		.expiry_s = w->expiry_s,
		.qos = w->qos,
		.retain = w->retain,
	};
	struct routed r;

	if (mqtt_may_publish(s, from->account, w->topic)) {
		COUNT(wills);
		mqtt_route(s, from, from->account, &in,
		    (enum mqtt_durability)from->owner.durability, 0, &r);
		if (r.waiting != NULL)
			r.waiting->from_queue = true; /* said once */
		mqtt_msg_release(r.waiting);
	} else {
		COUNT(publish_denied);
	}
	mqtt_will_free(w);
}
