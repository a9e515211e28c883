/*
 * app/settings.h - all settings of `marram serve`, gathered from the modules.
 */
#ifndef APP_SETTINGS_H
#define APP_SETTINGS_H

#include "base/conf.h"
#include "core/auth/auth.h"
#include "core/backup/backup.h"
#include "core/coremgr/coremgr.h"
#include "core/data/data.h"
#include "core/fleet/fleet.h"
#include "core/hub/hub.h"
#include "core/route/route.h"

struct log_conf {
	int64_t level, style;
};

struct server_conf {
	int64_t http_port, https_port;
	struct str cacert_file, cert_file, key_file, static_path;
	struct str listen, data_dir, admin_password, cors_origins;
	int64_t workers, slow_workers, queue, body_max, request_ms, idle_ms,
	    connections, connections_per_address;
};

/* One more MQTT listener; app/mqtt_listeners.c knows what goes together. */
struct mqtt_listener_rows {
	struct str address, cert_file, key_file, ca_file, crl_file, socket_mode;
	int64_t port, client_certs, min_tls, peer_user, max_connections,
	    durability;
	bool websocket, proxy, allow_anonymous;
};

#define MQTT_LISTENERS 8

/* A bridge to another MQTT server; app/mqtt_bridges.c knows what goes together.
 */
struct mqtt_bridge_rows {
	struct str address, client_id, username, password, ca_file, cert_file,
	    key_file, rules, notification_topic;
	int64_t protocol, session_expiry_ms, keepalive_ms, retry_min_ms,
	    retry_max_ms, max_received, max_inflight, max_packet;
	bool insecure, notify_local_only;
};

#define MQTT_BRIDGES 4

/* Its rows; ends with one whose key is NULL. */
extern const struct conf_field mqtt_bridge_fields[];

struct mqtt_conf {
	int64_t port, tls_port, max_http_websockets;
	struct str password_file, acl_file;
	struct mqtt_listener_rows listeners[MQTT_LISTENERS];
	struct mqtt_bridge_rows bridges[MQTT_BRIDGES];
	bool allow_anonymous;
	int64_t max_connections, max_packet, max_inflight, publish_max,
	    queue_messages, queue_bytes, queue_ttl_ms, max_sessions,
	    session_expiry_ms, max_subscriptions, max_topic_levels,
	    max_retained, max_retained_bytes, max_keepalive_ms,
	    connect_timeout_ms, max_auth_failures, max_output;
	int64_t threads, durability, pending, full, slow_ms, max_aliases,
	    max_connect_rate, max_rate, sys_interval_ms;
	bool salvage;
	struct str response_info;
};

struct simulator_conf {
	int64_t runs, duration_ms, interval_ms, history_ms;
};

struct cli_conf {
	struct str auth, coremgr, data, client_id, redirect_uri;
};

struct settings {
	struct log_conf log;
	struct server_conf server;
	struct mqtt_conf mqtt;
	struct auth_conf auth;
	struct route_conf broker;
	struct coremgr_conf coremgr;
	struct versions_conf versions;
	struct data_conf data;
	struct hub_conf hub;
	struct fleet_conf fleet;
	struct backup_conf backup;
	struct simulator_conf simulator;
	struct auth_conf compat; /* only compat.* of it is set */
	struct cli_conf cli;
};

/* The table over `s`, with defaults set. Free with conf_free(). */
struct conf *settings_new(struct settings *s);
/* Reads the file into the table. */
int settings_read(struct conf *c, const char *path, struct err *err);

#endif
