/*
 * edge/broker.c - the device's MQTT broker: our own, or how another is reached.
 *
 * Local programs are trusted, as they are by a Mosquitto set up for
 * thin-edge.io: they need no account on mqtt.bind.address, which is loopback
 * unless it is changed. On mqtt.external.bind others of the network may come,
 * with a certificate where mqtt.external.ca_path is set.
 */
#include "edge/private.h"

#include "base/arena.h"
#include "base/base.h"
#include "base/file.h"
#include "net/tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_MODULE "mqtt"

/* --- our own ------------------------------------------------------------- */

static void
on_login(void *owner, struct mqtt_login *login, struct str client_id,
    struct str user, struct str password)
{
	(void)owner;
	(void)client_id;
	(void)password;
	/* a name without need of one: as Mosquitto does with allow_anonymous */
	mqtt_login_answer(login, true, false, NULL, user);
}

static bool
may(void *owner, void *account, struct str topic)
{
	(void)owner;
	(void)account;
	(void)topic;
	return true;
}

static void
unused(void *owner, void *account)
{
	(void)owner;
	(void)account;
}

static void
on_trouble(void *owner, const char *text)
{
	(void)owner;
	if (text != NULL)
		log_error("messages can not be kept: %s", text);
	else
		log_info("messages are kept again");
}

static const struct mqtt_server_events events = { on_login, may, may, unused,
	on_trouble };

static int
open_server(struct edge *e, struct arena *a, struct err *err)
{
	const struct config *c = e->conf.config;
	const struct mqtt_server_conf conf = {
		.dir = arena_printf(
		    a, STR_FMT "/mqtt", STR_ARG(config_text(c, "data.path")))
			   .ptr,
		.dir_bytes = 4 << 20,
		.salvage = true,
		.durability = MQTT_OS,
		.full = MQTT_FULL_DROP_OLDEST,
		.max_connections =
		    (uint32_t)config_int(c, "mqtt.broker.max_connections"),
		.max_packet =
		    (uint32_t)config_int(c, "mqtt.broker.max_packet_size"),
		.max_inflight = 100,
		.sure_window = true,
		.publish_max = 100,
		.queue_messages =
		    (uint32_t)config_int(c, "mqtt.broker.max_queued_messages"),
		.queue_bytes =
		    (uint64_t)config_int(c, "mqtt.broker.max_queued_bytes"),
		.max_sessions =
		    (uint32_t)config_int(c, "mqtt.broker.max_sessions"),
		.session_expiry_ms = config_ms(c, "mqtt.broker.session_expiry"),
		.max_subscriptions = 1000,
		.max_topic_levels = 128,
		.max_retained =
		    (uint32_t)config_int(c, "mqtt.broker.max_retained"),
		.max_retained_bytes =
		    (uint64_t)config_int(c, "mqtt.broker.max_retained_bytes"),
		.connect_timeout_ms = 10000,
		.max_output = 4 << 20,
	};

	return mqtt_server_open(e->loop, &conf, &events, e, &e->broker, err);
}

static const char *
text_z(struct arena *a, const struct config *c, const char *key)
{
	struct str s = config_text(c, key);

	return s.len > 0 ? arena_z(a, s) : NULL;
}

static int
listen_inside(struct edge *e, struct arena *a, struct err *err)
{
	const struct config *c = e->conf.config;
	const struct mqtt_listener_conf conf = {
		.address = text_z(a, c, "mqtt.bind.address"),
		.port = (uint16_t)config_int(c, "mqtt.bind.port"),
		.allow_anonymous = true,
		.durability = MQTT_OS,
	};
	uint16_t port;

	if (!config_bool(c, "mqtt.bind.enabled"))
		return 0;
	if (mqtt_server_listen(e->broker, &conf, &port, err) != 0)
		return err_wrap(err,
		    "the MQTT broker (mqtt.bind.address, mqtt.bind.port; with "
		    "another broker there, set mqtt.broker.built_in to false)");
	log_info("MQTT on %s port %u", conf.address, port);
	return 0;
}

/* Others of the network: encrypted where there is a certificate. */
static int
listen_outside(struct edge *e, struct arena *a, struct err *err)
{
	const struct config *c = e->conf.config;
	const char *ca = text_z(a, c, "mqtt.external.ca_path");
	const struct tls_server_conf tls = {
		.cert_file = text_z(a, c, "mqtt.external.cert_file"),
		.key_file = text_z(a, c, "mqtt.external.key_file"),
		.ca_file = ca,
		.client_certs =
		    ca != NULL ? TLS_CERTS_REQUIRED : TLS_CERTS_NONE,
	};
	struct mqtt_listener_conf conf = {
		.address = text_z(a, c, "mqtt.external.bind.address"),
		.port = (uint16_t)config_int(c, "mqtt.external.bind.port"),
		.allow_anonymous = true,
		.durability = MQTT_OS,
	};

	if (conf.port == 0)
		return 0;
	if (conf.address == NULL)
		conf.address = "0.0.0.0";
	if (ca != NULL && tls.cert_file == NULL)
		return err_set(err, ERR_PARAM,
		    "mqtt.external.ca_path needs mqtt.external.cert_file and "
		    "mqtt.external.key_file: certificates are asked for over "
		    "TLS");
	if (tls.cert_file != NULL) {
		int rc = tls_server_new(&tls, &e->tls, err);

		if (rc != 0)
			return err_wrap(err, "mqtt.external");
		conf.tls = e->tls;
	} else {
		log_warn("mqtt.external.bind.port is open to everybody in "
			 "clear: set mqtt.external.cert_file, key_file and "
			 "ca_path");
	}
	if (mqtt_server_listen(e->broker, &conf, NULL, err) != 0)
		return err_wrap(err, "mqtt.external.bind");
	return 0;
}

/* --- start and end ------------------------------------------------------- */

int
broker_open(struct edge *e, struct err *err)
{
	struct arena a = { 0 };
	int rc;

	if (!e->conf.broker ||
	    !config_bool(e->conf.config, "mqtt.broker.built_in"))
		return local_open(&e->local, e->conf.config, err);
	rc = open_server(e, &a, err);
	if (rc == 0)
		rc = listen_inside(e, &a, err);
	if (rc == 0)
		rc = listen_outside(e, &a, err);
	arena_fini(&a);
	return rc;
}

void
broker_close(struct edge *e)
{
	mqtt_server_close(e->broker);
	tls_server_free(e->tls);
	local_close(&e->local);
}
