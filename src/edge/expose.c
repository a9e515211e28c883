/*
 * edge/expose.c - see expose.h.
 */
#include "edge/expose.h"

#include "base/base.h"
#include "edge/topic.h"

void
expose_config(struct expose *x, struct edge *e, struct mqtt_client *c,
    const char *service, const struct cloud *cloud)
{
	struct buf topic = { 0 }, text = { 0 };

	buf_addf(&topic, STR_FMT "/", STR_ARG(edge_root(e)));
	te_entity_service(&topic, edge_device_topic(e), service);
	buf_addz(&topic, "/config");
	config_exposed(edge_config(e), cloud, &text);
	expose_init(x, edge_loop(e), c, buf_str(&topic), buf_str(&text));
	buf_free(&topic);
	buf_free(&text);
}

void
expose_tell(struct expose *x)
{
	(void)mqtt_client_publish(
	    x->client, x->topic, x->payload, 1, true, NULL, NULL);
}

static void
on_again(struct loop_timer *t)
{
	expose_tell(container_of(t, struct expose, again));
}

static void
on_heard(void *ctx, const struct mqtt_client_msg *m)
{
	struct expose *x = ctx;

	if (m->topic.ptr == NULL || loop_is_running(&x->again))
		return;
	if (!str_eq(m->payload, x->payload))
		loop_after(x->loop, &x->again, EXPOSE_AGAIN_MS);
}

void
expose_init(struct expose *x, struct loop *loop, struct mqtt_client *c,
    struct str topic, struct str payload)
{
	*x = (struct expose){ .loop = loop, .client = c };
	x->topic = str_copy(topic);
	x->payload = str_copy(payload);
	x->again.fire = on_again;
	(void)mqtt_client_subscribe(c, x->topic, 1, on_heard, x);
}

void
expose_fini(struct expose *x)
{
	loop_cancel(x->loop, &x->again);
	str_free(x->topic);
	str_free(x->payload);
}
