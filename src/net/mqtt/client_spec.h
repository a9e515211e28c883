/*
 * net/mqtt/client_spec.h - which MQTT server somebody is to speak to, as people
 * say it: the members that gateways and handlers have in common, and what a
 * client is made of them.
 */
#ifndef NET_MQTT_CLIENT_SPEC_H
#define NET_MQTT_CLIENT_SPEC_H

#include "base/entity.h"
#include "net/mqtt/client.h"

struct tls_client;

struct mqtt_client_spec {
	struct str broker, client_id, username, password;
	int64_t qos;
	bool insecure;
};

/* Their rows, in a struct S with a member `server` of that type. */
#define MQTT_CLIENT_SPEC_FIELDS(S, client_id_help)                             \
	F_TEXT(S, server.broker, "broker",                                     \
	    .help = "\"tcp://host:1883\" or \"tls://host:8883\". Empty: our "  \
		    "own server."),                                            \
	    F_TEXT(S, server.client_id, "clientId", .help = client_id_help),   \
	    F_TEXT(S, server.username, "username"),                            \
	    F_TEXT(S, server.password, "password", .flags = FIELD_SECRET),     \
	    F_INT(S, server.qos, "qos", .max = 2),                             \
	    F_BOOL(S, server.insecure, "insecure",                             \
		.help = "Do not check the certificate of the server.")

/* Sets in `conf`, with texts in `a`: address, port, client id, user, password
 * and, if it is TLS, the layer, whose `*tls` the caller frees after the client.
 * `ca_file`: who signs; empty: whom the system trusts. */
int mqtt_client_spec_conf(const struct mqtt_client_spec *s, struct str ca_file,
    struct arena *a, struct mqtt_client_conf *conf, struct tls_client **tls,
    struct err *err);

#endif
