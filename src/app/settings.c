/*
 * app/settings.c - see settings.h; here are the rows that belong to no module.
 */
#include "app/settings.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/conf_json5.h"

#include <string.h>

static const char *const levels[] = { "off", "error", "warn", "info", "debug",
	NULL };
static const char *const styles[] = { "json", "log4j", NULL };

static const struct conf_field log_fields[] = {
	CONF_ENUM(struct log_conf, level, "level", .def = "info",
	    .choices = levels, .fallback = true, .live = true,
	    .help = "How much is logged."),
	CONF_ENUM(struct log_conf, style, "style", .def = "json",
	    .choices = styles, .fallback = true, .live = true,
	    .help = "One JSON object a line, or lines for people."),
	{ 0 },
};

#define U struct simulator_conf
static const struct conf_field simulator_fields[] = {
	CONF_INT(U, runs, "runs", .def = "10", .max = 1000,
	    .help = "Units that may have simulated devices at a time; 0: "
		    "there is no simulator."),
	CONF_MS(U, duration_ms, "duration", .def = "8h", .min = 1000,
	    .max = (int64_t)365 * 86400000,
	    .help = "How long it runs when nobody stops it."),
	CONF_MS(U, interval_ms, "interval", .def = "5s", .min = 100,
	    .max = 86400000, .help = "Between two messages of a device."),
	CONF_MS(U, history_ms, "history", .def = "1d",
	    .max = (int64_t)30 * 86400000,
	    .help = "New devices first send what they would have measured in "
		    "this time before; 0s: nothing."),
	{ 0 },
};

#define S struct server_conf
static const char *const http_alias[] = { "log.httpport", NULL };
static const char *const https_alias[] = { "log.httpsport", NULL };
static const char *const cacert_alias[] = { "log.cacertfile", NULL };
static const char *const cert_alias[] = { "log.certfile", NULL };
static const char *const key_alias[] = { "log.keyfile", NULL };
static const char *const static_alias[] = { "log.static", NULL };

static const struct conf_field server_fields[] = {
	CONF_INT(S, http_port, "httpPort", .flag = "server.httpport",
	    .alias = http_alias, .def = "1080", .max = 65535,
	    .help = "Port for HTTP. 0: a free one, which is printed."),
	CONF_INT(S, https_port, "httpsPort", .flag = "server.httpsport",
	    .alias = https_alias, .def = "1443", .max = 65535,
	    .help = "Port for HTTPS, used when certFile and keyFile are set."),
	CONF_TEXT(S, cacert_file, "cacertFile", .flag = "server.cacertfile",
	    .alias = cacert_alias,
	    .help = "PEM file with the certificates of who may sign those of "
		    "Linux devices, for edge.UNIT.GATEWAY.ID, at "
		    "mqtt.tlsPort. Clients may come without one."),
	CONF_TEXT(S, cert_file, "certFile", .flag = "server.certfile",
	    .alias = cert_alias,
	    .help = "PEM file with the certificate for HTTPS, and for MQTT at "
		    "mqtt.tlsPort."),
	CONF_TEXT(S, key_file, "keyFile", .flag = "server.keyfile",
	    .alias = key_alias, .help = "PEM file with its private key."),
	CONF_TEXT(S, static_path, "staticPath", .flag = "server.static",
	    .alias = static_alias,
	    .help = "Folder whose files are served for paths that nothing "
		    "else answers."),
	CONF_TEXT(S, listen, "listen",
	    .help = "Address to listen on. Not set: every one when there is a "
		    "certificate, else loopback only."),
	CONF_TEXT(S, data_dir, "dataDir",
	    .help = "Folder for databases and keys. Not set: /var/lib/marram "
		    "for root, else ~/.local/share/marram."),
	CONF_TEXT(S, admin_password, "adminPassword", .secret = true,
	    .help = "Makes the account admin with this password at the first "
		    "start, instead of the setup code. For scripts."),
	CONF_TEXT(S, cors_origins, "corsOrigins", .def = "*",
	    .help = "Origins whose pages may use the API, with spaces between "
		    "them, or * for all."),
	CONF_INT(S, workers, "workers", .def = "8", .min = 1, .max = 256,
	    .help = "Threads that answer requests."),
	CONF_INT(S, slow_workers, "slowWorkers", .def = "2", .min = 1,
	    .max = 64,
	    .help = "Threads for slow requests: those that check a password."),
	CONF_INT(S, queue, "queue", .def = "1024", .min = 1, .max = 1000000,
	    .help = "Requests that may wait for a thread; beyond that 503 is "
		    "answered."),
	CONF_SIZE(S, body_max, "bodyMax", .def = "2MiB", .min = 1024,
	    .max = 1 << 30, .help = "Largest body of a request."),
	CONF_MS(S, request_ms, "requestTimeout", .def = "60s", .min = 100,
	    .max = 3600000,
	    .help = "A request that takes longer is answered with 408."),
	CONF_MS(S, idle_ms, "idleTimeout", .def = "75s", .min = 1000,
	    .max = 3600000,
	    .help = "A connection on which nothing moves is closed."),
	CONF_INT(S, connections, "maxConnections", .def = "4096", .min = 1,
	    .max = 1000000, .help = "HTTP connections at most."),
	CONF_INT(S, connections_per_address, "maxConnectionsPerAddress",
	    .def = "0", .max = 1000000,
	    .help = "The same of one address; 0: no limit."),
	{ 0 },
};

static const char *const durabilities[] = { "none", "os", "disk", NULL };
static const char *const fulls[] = { "slow", "dropOldest", "dropNewest",
	"disconnect", NULL };

#define M struct mqtt_conf
static const struct conf_field mqtt_fields[] = {
	CONF_INT(M, port, "port", .also = "coremgr.mq.rumqttd.mqttPort",
	    .def = "1883", .max = 65535,
	    .help = "Port for MQTT. 0: a free one, which is printed. It "
		    "listens on server.listen, else on loopback only."),
	CONF_INT(M, tls_port, "tlsPort", .also = "coremgr.mq.rumqttd.mqttsPort",
	    .def = "8883", .max = 65535,
	    .help = "Port for MQTT over TLS, used when server.certFile and "
		    "server.keyFile are set. 0: none."),
	CONF_INT(M, max_http_websockets, "maxHttpWebSockets", .def = "100",
	    .max = 1000000,
	    .help = "MQTT clients that come by WebSocket to /mqtt on the HTTP "
		    "ports, at most. 0: there is no such path."),
	CONF_TEXT(M, password_file, "passwordFile",
	    .help = "File with users and passwords in Mosquitto's format, for "
		    "`marram serve --only mqtt`; see `marram mqtt passwd`."),
	CONF_TEXT(M, acl_file, "aclFile",
	    .help = "File in Mosquitto's format with what they may do, for "
		    "`marram serve --only mqtt`. Not set: everything."),
	CONF_BOOL(M, allow_anonymous, "allowAnonymous", .def = "false",
	    .help = "Let clients in without user name. They may use no queue "
		    "of an application or network."),
	CONF_INT(M, max_connections, "maxConnections", .def = "10000", .min = 1,
	    .max = 1000000, .help = "Clients at most."),
	CONF_SIZE(M, max_packet, "maxPacket", .def = "1MiB", .min = 128,
	    .max = 268435456,
	    .help = "Largest packet; a larger one ends the connection."),
	CONF_INT(M, max_inflight, "maxInflight", .def = "200", .min = 1,
	    .max = 65535,
	    .help = "QoS 1 and 2 messages a client may have unanswered."),
	CONF_INT(M, publish_max, "publishMax", .def = "1000", .min = 1,
	    .max = 1000000,
	    .help = "Messages of one client that may wait for their "
		    "acknowledgement; beyond that its socket is not read."),
	CONF_INT(M, queue_messages, "queueMessages", .def = "10000", .min = 1,
	    .max = 10000000,
	    .help = "Messages that wait for one client, group or queue."),
	CONF_SIZE(M, queue_bytes, "queueBytes", .def = "64MiB", .min = 1024,
	    .max = (int64_t)1 << 40, .help = "The same in bytes."),
	CONF_MS(M, queue_ttl_ms, "queueTtl", .def = "7d",
	    .max = (int64_t)3650 * 86400000, .min = 0,
	    .help = "How long a message waits in a queue; 0: no limit."),
	CONF_INT(M, max_sessions, "maxSessions", .def = "10000", .min = 0,
	    .max = 10000000,
	    .help = "Persistent sessions without a connection."),
	CONF_MS(M, session_expiry_ms, "sessionExpiry", .def = "7d", .min = 0,
	    .max = (int64_t)3650 * 86400000,
	    .help = "How long such a session is remembered; 0: no limit."),
	CONF_INT(M, max_subscriptions, "maxSubscriptions", .def = "1000",
	    .min = 1, .max = 1000000, .help = "Subscriptions of one client."),
	CONF_INT(M, max_topic_levels, "maxTopicLevels", .def = "128", .min = 1,
	    .max = 200, .help = "Levels in a topic or filter."),
	CONF_INT(M, max_retained, "maxRetained", .def = "100000", .min = 0,
	    .max = 100000000, .help = "Retained messages."),
	CONF_SIZE(M, max_retained_bytes, "maxRetainedBytes", .def = "256MiB",
	    .min = 0, .max = (int64_t)1 << 40, .help = "The same in bytes."),
	CONF_MS(M, max_keepalive_ms, "maxKeepalive", .def = "0s", .min = 0,
	    .max = 65535000,
	    .help = "Longest silence allowed; 0: what the client asks for."),
	CONF_MS(M, connect_timeout_ms, "connectTimeout", .def = "5s",
	    .min = 100, .max = 600000,
	    .help = "Time from connecting to the CONNECT packet."),
	CONF_INT(M, max_auth_failures, "maxAuthFailures", .def = "20", .min = 0,
	    .max = 1000000,
	    .help = "Refused sign-ins of one address in a minute; beyond that "
		    "it is refused unheard. 0: no limit."),
	CONF_SIZE(M, max_output, "maxOutput", .def = "4MiB", .min = 65536,
	    .max = 1 << 30, .help = "Bytes that wait in one connection."),
	CONF_INT(M, threads, "threads", .def = "1", .min = 1, .max = 64,
	    .help = "Threads that share the connections."),
	CONF_ENUM(M, durability, "durability", .def = "os",
	    .choices = durabilities,
	    .help = "How safe a message is when it is acknowledged, if it "
		    "waits for a persistent session, a shared group or a "
		    "queue, or is retained. none: in memory. os: handed to the "
		    "kernel; survives the end of the program. disk: flushed; "
		    "survives power loss."),
	CONF_SIZE(M, pending, "journalPending", .def = "64MiB", .min = 33554432,
	    .max = (int64_t)1 << 32,
	    .help = "Bytes that may wait to be written to the journal; beyond "
		    "half of it publishers are not read."),
	CONF_BOOL(M, salvage, "journalSalvage", .def = "false",
	    .help = "Start with a damaged journal: what is before the damage "
		    "is kept, the rest set aside in files *.bad."),
	CONF_ENUM(M, full, "queueFull", .def = "slow", .choices = fulls,
	    .help = "What to do when the queue of a client or shared group is "
		    "full. slow: do not read its publishers until it has "
		    "caught up, for slowTimeout at most, then as dropNewest. "
		    "disconnect: the client that does not keep up."),
	CONF_MS(M, slow_ms, "slowTimeout", .def = "5s", .min = 0,
	    .max = 3600000,
	    .help = "How long publishers wait for a client that takes "
		    "nothing."),
	CONF_INT(M, max_aliases, "maxAliases", .def = "16", .min = 0,
	    .max = 65535,
	    .help = "Topic aliases of one client, each way (MQTT 5)."),
	CONF_INT(M, max_connect_rate, "maxConnectRate", .def = "0", .min = 0,
	    .max = 10000000,
	    .help = "Connections of one address in a minute. 0: no limit."),
	CONF_INT(M, max_rate, "maxRate", .def = "0", .min = 0, .max = 100000000,
	    .help = "Messages a client may send in a second; then it is not "
		    "read until the second is over. 0: no limit."),
	CONF_MS(M, sys_interval_ms, "sysInterval", .def = "10s", .min = 0,
	    .max = 86400000,
	    .help = "How often $SYS is renewed. 0: there is none."),
	CONF_TEXT(M, response_info, "responseInfo",
	    .help = "Told to MQTT 5 clients that ask for response "
		    "information: a topic prefix for answers."),
	{ 0 },
};

static const char *const client_certs[] = { "none", "optional", "required",
	"any", NULL };
static const char *const tls_versions[] = { "1.2", "1.3", NULL };
static const char *const peer_users[] = { "none", "cn", "san", NULL };

#define R struct mqtt_listener_rows
static const struct conf_field listener_fields[] = {
	CONF_TEXT(R, address, "address",
	    .help = "Address to listen on: 127.0.0.1, ::, or unix:/run/x.sock. "
		    "Not set: with certFile as HTTPS, else as mqtt.port."),
	CONF_INT(R, port, "port", .max = 65535,
	    .help = "Port. 0: a free one, which is printed. Not set: 1883, "
		    "with certFile 8883."),
	CONF_TEXT(R, cert_file, "certFile",
	    .help = "PEM file with the certificate: TLS is spoken then."),
	CONF_TEXT(
	    R, key_file, "keyFile", .help = "PEM file with its private key."),
	CONF_TEXT(R, ca_file, "caFile",
	    .help = "PEM file with the certificates of who may sign clients' "
		    "certificates."),
	CONF_TEXT(R, crl_file, "crlFile",
	    .help = "PEM file that says which of those are revoked."),
	CONF_ENUM(R, client_certs, "clientCerts", .choices = client_certs,
	    .help = "Whether clients need a certificate. Not set: required "
		    "when caFile is set. any: as optional, also one that "
		    "nobody in caFile has signed; by its key Linux devices "
		    "are known that have enrolled with it."),
	CONF_ENUM(R, min_tls, "minTls", .choices = tls_versions, .def = "1.2",
	    .help = "Oldest version of TLS that is spoken."),
	CONF_ENUM(R, peer_user, "peerUser", .choices = peer_users,
	    .def = "none",
	    .help = "Part of the client's certificate that is its user name. "
		    "cn: common name. san: first alternative name. No "
		    "password is needed then; for an application or network "
		    "it must be the whole user name."),
	CONF_BOOL(R, websocket, "websocket", .def = "false",
	    .help = "MQTT over WebSocket, at any path."),
	CONF_BOOL(R, proxy, "proxy", .def = "false",
	    .help = "Each connection begins with a PROXY header, version 1 or "
		    "2. Only a proxy may reach this listener then."),
	CONF_BOOL(R, allow_anonymous, "allowAnonymous", .def = "false",
	    .help = "Let clients in without user name."),
	CONF_INT(R, max_connections, "maxConnections", .def = "0",
	    .max = 1000000,
	    .help = "Clients at most. 0: only mqtt.maxConnections."),
	CONF_ENUM(R, durability, "durability", .choices = durabilities,
	    .help = "As mqtt.durability, for what its clients send and wait "
		    "for. Not set: as that."),
	CONF_TEXT(R, socket_mode, "socketMode",
	    .help = "Permissions of a Unix socket. Not set: 0660."),
	{ 0 },
};

static const char *const protocols[] = { "auto", "5", "4", NULL };

#define B struct mqtt_bridge_rows
const struct conf_field mqtt_bridge_fields[] = {
	CONF_TEXT(B, address, "address",
	    .help = "The remote server: HOST:PORT, mqtt://HOST:PORT, "
		    "mqtts://HOST:PORT for TLS, or unix:PATH. Ports not said "
		    "are 1883 and 8883."),
	CONF_TEXT(B, rules, "rules",
	    .help = "What is carried, as Mosquitto's lines: PATTERN "
		    "out|in|both QOS LOCAL_PREFIX REMOTE_PREFIX, with \";\" "
		    "between them. \"\" is an empty prefix; what is left out "
		    "at the end is out, 0 and no prefixes."),
	CONF_TEXT(B, client_id, "clientId",
	    .help = "Client id at the remote server. Not set: the host's name, "
		    "a dot, and mqtt.bridge1."),
	CONF_TEXT(
	    B, username, "username", .help = "User name at the remote server."),
	CONF_TEXT(B, password, "password", .secret = true,
	    .help = "Its password. Not logged, not printed."),
	CONF_TEXT(B, ca_file, "caFile",
	    .help = "PEM file with the certificates of who may sign the remote "
		    "server's. Not set: those that the system trusts."),
	CONF_TEXT(B, cert_file, "certFile",
	    .help = "PEM file with our certificate for it."),
	CONF_TEXT(
	    B, key_file, "keyFile", .help = "PEM file with its private key."),
	CONF_BOOL(B, insecure, "insecure", .def = "false",
	    .help = "Take whatever certificate the remote server shows. For "
		    "trying out."),
	CONF_ENUM(B, protocol, "protocol", .choices = protocols, .def = "auto",
	    .help = "Level of MQTT that is spoken: 5 (5.0) or 4 (3.1.1). auto: "
		    "5, or 4 with a server that has no 5."),
	CONF_MS(B, keepalive_ms, "keepAlive", .def = "60s", .min = 0,
	    .max = 65535000,
	    .help = "Silence after which it is asked whether the other side is "
		    "still there; whole seconds. 0s: never."),
	CONF_MS(B, session_expiry_ms, "sessionExpiry", .def = "0s", .min = 0,
	    .max = (int64_t)3650 * 86400000,
	    .help = "How long the remote server is asked to keep what waits "
		    "for the bridge (MQTT 5). 0s: no limit."),
	CONF_MS(B, retry_min_ms, "retryMin", .def = "1s", .min = 100,
	    .max = 3600000,
	    .help = "Wait before it is connected again, doubled each time."),
	CONF_MS(B, retry_max_ms, "retryMax", .def = "60s", .min = 100,
	    .max = 86400000, .help = "The longest such wait."),
	CONF_INT(B, max_received, "maxReceived", .def = "100", .min = 1,
	    .max = 65535,
	    .help = "QoS 1 and 2 messages on their way, each way: taken from "
		    "one side and not yet answered by the other."),
	CONF_INT(B, max_inflight, "maxInflight", .def = "100", .min = 1,
	    .max = 10000,
	    .help = "Of them, sent and not yet answered at a time."),
	CONF_SIZE(B, max_packet, "maxPacket", .def = "16MiB", .min = 128,
	    .max = 268435455, .help = "Largest packet taken from either side."),
	CONF_TEXT(B, notification_topic, "notificationTopic",
	    .help = "A topic that has the retained message 1 while the remote "
		    "server is connected, and 0 while not; on both sides."),
	CONF_BOOL(B, notify_local_only, "notifyLocalOnly", .def = "false",
	    .help = "Only on this side."),
	{ 0 },
};

#define L struct cli_conf
static const struct conf_field cli_fields[] = {
	CONF_TEXT(L, auth, "auth", .def = "http://localhost:1080/auth",
	    .help = "Where the command line finds the auth module."),
	CONF_TEXT(L, coremgr, "coremgr", .def = "http://localhost:1080/coremgr",
	    .help = "Where it finds the management API."),
	CONF_TEXT(L, data, "data", .def = "http://localhost:1080/data",
	    .help = "Where it finds the history."),
	CONF_TEXT(L, client_id, "clientId", .def = "public",
	    .help = "The OAuth2 client it signs in as."),
	CONF_TEXT(L, redirect_uri, "redirectUri",
	    .def = "http://localhost:1080/auth/oauth2/redirect",
	    .help = "That client's redirect URI."),
	{ 0 },
};

static const char bridge_help[] =
    "A bridge that carries messages to and from another MQTT server: there is "
    "one when its address is set. mqtt.bridge2 to mqtt.bridge4 have the same "
    "settings.";
static const char listener_help[] =
    "One more MQTT listener: there is one when its port or address is set. "
    "mqtt.listener2 to mqtt.listener8 have the same settings.";

struct conf *
settings_new(struct settings *s)
{
	/* borrowed by the table as long as it lives */
	static _Thread_local struct conf_section
	    sections[20 + MQTT_LISTENERS + MQTT_BRIDGES];
	const struct conf_section all[] = {
		{ "log", "What the program tells about itself.", log_fields,
		    &s->log },
		{ "server", "The HTTP server and the process as a whole.",
		    server_fields, &s->server },
		{ "mqtt", "The MQTT server inside the program.", mqtt_fields,
		    &s->mqtt },
#define LISTENER(no)                                                           \
	{ "mqtt.listener" #no, listener_help, listener_fields,                 \
		&s->mqtt.listeners[no - 1], no > 1 }
		LISTENER(1),
		LISTENER(2),
		LISTENER(3),
		LISTENER(4),
		LISTENER(5),
		LISTENER(6),
		LISTENER(7),
		LISTENER(8),
#define BRIDGE(no)                                                             \
	{ "mqtt.bridge" #no, bridge_help, mqtt_bridge_fields,                  \
		&s->mqtt.bridges[no - 1], no > 1 }
		BRIDGE(1),
		BRIDGE(2),
		BRIDGE(3),
		BRIDGE(4),
		{ "auth", "Users, clients and tokens.", auth_fields, &s->auth },
		{ "broker", "Networks, applications and the way between them.",
		    route_fields, &s->broker },
		{ "coremgr", "The management API.", coremgr_fields,
		    &s->coremgr },
		{ "hub", "Values and rules.", hub_fields, &s->hub },
		{ "hub.metric", "Where the history of values is kept.",
		    metric_fields, &s->hub.metric },
		{ "hub.script", "JavaScript of profiles and rules.",
		    script_fields, &s->hub.script },
		{ "hub.handler", "What carries out what rules decide.",
		    handler_fields, &s->hub.handler },
		{ "hub.gateway", "Networks that are driven from here.",
		    gateway_fields, &s->hub.gateway },
		{ "hub.live", "Who follows what happens by WebSocket.",
		    hub_live_fields, &s->hub.live },
		{ "fleet", "Machines whose configuration is declared.",
		    fleet_fields, &s->fleet },
		{ "versions", "What people's objects were, to go back to.",
		    versions_fields, &s->versions },
		{ "backup", "Backups of everything.", backup_fields,
		    &s->backup },
		{ "data", "The history of what passed.", data_fields,
		    &s->data },
		{ "simulator", "Simulated devices, to try everything out.",
		    simulator_fields, &s->simulator },
		{ "compat", "For use beside Sylvia-IoT's own programs.",
		    auth_compat_fields, &s->compat },
		{ "coremgrCli", "The command line.", cli_fields, &s->cli },
		{ 0 },
	};

	memset(s, 0, sizeof(*s));
	memcpy(sections, all, sizeof(all));
	return conf_new(sections);
}

int
settings_read(struct conf *c, const char *path, struct err *err)
{
	struct buf b = { 0 };
	int rc = file_read(path, &b, err);

	if (rc == 0 && conf_read_json5(c, buf_str(&b), err) != 0)
		rc = err_wrap(err, "%s", path);
	buf_free(&b);
	return rc;
}
