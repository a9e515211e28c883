#include "base/base.h"
#include "base/clock.h"
#include "codec/json.h"
#include "edge/private.h"
#include "edge/topic.h"

#include <unistd.h>

static struct str
topic_of(struct edge *e, const char *service, const char *channel)
{
	buf_clear(&e->text);
	buf_addf(&e->text, STR_FMT "/", STR_ARG(edge_root(e)));
	te_entity_service(&e->text, edge_device_topic(e), service);
	buf_addz(&e->text, channel);
	return str_of(buf_z(&e->text));
}

void
health_will(struct edge *e, const char *service, struct mqtt_client_conf *conf)
{
	conf->will_topic = topic_of(e, service, "/status/health").ptr;
	conf->will_payload = buf_str(&e->will);
	conf->will_qos = 1;
	conf->will_retain = true;
}

/* Of the first generation: a child device's name stands before the service's.
 */
static void
add_first_topic(struct buf *out, const char *what, const struct health *h)
{
	struct str name = te_entity_name(edge_device_topic(h->edge));
	bool of_child = te_entity_is_default(edge_device_topic(h->edge)) &&
	    !str_eqz(name, "main");

	buf_addf(out, "%s/" STR_FMT "%s%s", what, of_child ? (int)name.len : 0,
	    name.ptr, of_child ? "/" : "", h->service);
}

/* The moment, as service.timestamp_format says. */
static void
add_time(const struct config *c, struct buf *out)
{
	char text[TIME_TEXT_LEN + 1];
	int64_t now = clock_now();

	if (str_eqz(config_text(c, "service.timestamp_format"), "unix")) {
		buf_addf(out, "%lld.%03d", (long long)(now / 1000),
		    (int)(now % 1000));
	} else {
		time_format(now, text);
		buf_addf(out, "\"%s\"", text);
	}
}

static void
announce(const struct health *h)
{
	struct edge *e = h->edge;
	struct buf text = { 0 };
	struct json_out o;

	json_out_init(&o, &text, false);
	json_out_object(&o);
	json_out_key(&o, "@type");
	json_out_str(&o, STR("service"));
	json_out_key(&o, "@parent");
	json_out_str(&o, edge_device_topic(e));
	json_out_key(&o, "name");
	json_out_str(&o, str_of(h->service));
	json_out_key(&o, "type");
	json_out_str(&o, config_text(edge_config(e), "service.type"));
	json_out_end_object(&o);
	(void)mqtt_client_publish(h->client, topic_of(e, h->service, ""),
	    buf_str(&text), 1, true, NULL, NULL);
	buf_free(&text);
}

void
health_tell(const struct health *h, const char *status)
{
	struct edge *e = h->edge;
	struct buf text = { 0 }, topic = { 0 };

	announce(h);
	buf_addf(&text,
	    "{\"pid\":%ld,\"status\":\"%s\",\"time\":", (long)getpid(), status);
	add_time(edge_config(e), &text);
	buf_addc(&text, '}');
	(void)mqtt_client_publish(h->client,
	    topic_of(e, h->service, "/status/health"), buf_str(&text), 1, true,
	    NULL, NULL);
	add_first_topic(&topic, "tedge/health", h);
	(void)mqtt_client_publish(
	    h->client, buf_str(&topic), buf_str(&text), 1, true, NULL, NULL);
	buf_free(&text);
	buf_free(&topic);
}

static void
on_request(void *ctx, const struct mqtt_client_msg *m)
{
	if (m->topic.ptr != NULL)
		health_tell(ctx, "up");
}

void
health_init(struct health *h, struct edge *e, struct mqtt_client *c,
    const char *service)
{
	struct buf own = { 0 };

	*h = (struct health){ e, c, service };
	(void)mqtt_client_subscribe(
	    c, topic_of(e, service, "/cmd/health/check"), 1, on_request, h);
	buf_addf(&own, STR_FMT "/" STR_FMT "/cmd/health/check",
	    STR_ARG(edge_root(e)), STR_ARG(edge_device_topic(e)));
	(void)mqtt_client_subscribe(c, buf_str(&own), 1, on_request, h);
	buf_clear(&own);
	add_first_topic(&own, "tedge/health-check", h);
	(void)mqtt_client_subscribe(c, buf_str(&own), 1, on_request, h);
	(void)mqtt_client_subscribe(
	    c, STR("tedge/health-check"), 1, on_request, h);
	buf_free(&own);
}
