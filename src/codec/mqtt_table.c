/*
 * codec/mqtt_table.c - see mqtt_table.h. Numbers like [2.4] are sections of the
 * MQTT 5.0 standard.
 */
#include "codec/mqtt_table.h"

#include "base/base.h"

#define IN(type) MQTT_IN(MQTT_##type)
#define IN_DATA (IN(PUBLISH) | MQTT_IN_WILL)
#define IN_OPENING (IN(CONNECT) | IN(CONNACK))
#define IN_ACKS (IN(PUBACK) | IN(PUBREC) | IN(PUBREL) | IN(PUBCOMP))
#define IN_SUBACKS (IN(SUBACK) | IN(UNSUBACK))
#define IN_ANSWERS                                                             \
	(IN(CONNACK) | IN_ACKS | IN_SUBACKS | IN(DISCONNECT) | IN(AUTH))
#define IN_ALL                                                                 \
	(IN_ANSWERS | IN_DATA | IN(CONNECT) | IN(SUBSCRIBE) | IN(UNSUBSCRIBE))
#define AT(member) offsetof(struct mqtt_props, member)

/* [2.2.2.2] */
static const struct mqtt_property_row properties[] = {
	[MQTT_P_PAYLOAD_FORMAT] = { IN_DATA, AT(payload_format), MQTT_BIT },
	[MQTT_P_MESSAGE_EXPIRY] = { IN_DATA, AT(message_expiry_s), MQTT_U32 },
	[MQTT_P_CONTENT_TYPE] = { IN_DATA, AT(content_type), MQTT_TEXT },
	[MQTT_P_RESPONSE_TOPIC] = { IN_DATA, AT(response_topic), MQTT_TEXT,
	    MQTT_TOPIC },
	[MQTT_P_CORRELATION] = { IN_DATA, AT(correlation), MQTT_BYTES },
	[MQTT_P_SUB_ID] = { IN(PUBLISH) | IN(SUBSCRIBE), AT(sub_id),
	    MQTT_VARINT, MQTT_NOT_ZERO },
	[MQTT_P_SESSION_EXPIRY] = { IN_OPENING | IN(DISCONNECT),
	    AT(session_expiry_s), MQTT_U32 },
	[MQTT_P_CLIENT_ID] = { IN(CONNACK), AT(client_id), MQTT_TEXT },
	[MQTT_P_KEEPALIVE] = { IN(CONNACK), AT(keepalive_s), MQTT_U16 },
	[MQTT_P_AUTH_METHOD] = { IN_OPENING | IN(AUTH), AT(auth_method),
	    MQTT_TEXT },
	[MQTT_P_AUTH_DATA] = { IN_OPENING | IN(AUTH), AT(auth_data),
	    MQTT_BYTES },
	[MQTT_P_WANT_PROBLEM] = { IN(CONNECT), AT(want_problem), MQTT_BIT },
	[MQTT_P_WILL_DELAY] = { MQTT_IN_WILL, AT(will_delay_s), MQTT_U32 },
	[MQTT_P_WANT_RESPONSE] = { IN(CONNECT), AT(want_response), MQTT_BIT },
	[MQTT_P_RESPONSE_INFO] = { IN(CONNACK), AT(response_info), MQTT_TEXT },
	[MQTT_P_SERVER_REFERENCE] = { IN(CONNACK) | IN(DISCONNECT),
	    AT(server_reference), MQTT_TEXT },
	[MQTT_P_REASON] = { IN_ANSWERS, AT(reason), MQTT_TEXT },
	[MQTT_P_RECEIVE_MAX] = { IN_OPENING, AT(receive_max), MQTT_U16,
	    MQTT_NOT_ZERO },
	[MQTT_P_ALIAS_MAX] = { IN_OPENING, AT(alias_max), MQTT_U16 },
	[MQTT_P_ALIAS] = { IN(PUBLISH), AT(alias), MQTT_U16 },
	[MQTT_P_MAX_QOS] = { IN(CONNACK), AT(max_qos), MQTT_BIT },
	[MQTT_P_HAS_RETAIN] = { IN(CONNACK), AT(has_retain), MQTT_BIT },
	[MQTT_P_USER] = { IN_ALL, 0, MQTT_PAIR },
	[MQTT_P_MAX_PACKET] = { IN_OPENING, AT(max_packet), MQTT_U32,
	    MQTT_NOT_ZERO },
	[MQTT_P_HAS_WILDCARD] = { IN(CONNACK), AT(has_wildcard), MQTT_BIT },
	[MQTT_P_HAS_SUB_IDS] = { IN(CONNACK), AT(has_sub_ids), MQTT_BIT },
	[MQTT_P_HAS_SHARED] = { IN(CONNACK), AT(has_shared), MQTT_BIT },
};

#define FINAL (IN(CONNACK) | IN(DISCONNECT)) /* ends a connection */
#define STORE (IN(PUBACK) | IN(PUBREC))      /* answers a PUBLISH */

/* [2.4] */
static const struct {
	uint16_t where;
	const char *text;
} reasons[] = {
	[MQTT_R_OK] = { IN_ANSWERS, "success" },
	[1] = { IN(SUBACK), "granted QoS 1" },
	[2] = { IN(SUBACK), "granted QoS 2" },
	[MQTT_R_WITH_WILL] = { IN(DISCONNECT), "disconnect with will" },
	[MQTT_R_NO_MATCH] = { STORE, "no matching subscribers" },
	[MQTT_R_NO_SUBSCRIPTION] = { IN(UNSUBACK), "no subscription existed" },
	[MQTT_R_CONTINUE_AUTH] = { IN(AUTH), "continue authentication" },
	[MQTT_R_REAUTH] = { IN(AUTH), "authenticate again" },
	[MQTT_R_UNSPECIFIED] = { FINAL | STORE | IN_SUBACKS,
	    "unspecified error" },
	[MQTT_R_MALFORMED] = { FINAL, "malformed packet" },
	[MQTT_R_PROTOCOL] = { FINAL, "protocol error" },
	[MQTT_R_IMPLEMENTATION] = { FINAL | STORE | IN_SUBACKS,
	    "implementation specific error" },
	[MQTT_R_BAD_VERSION] = { IN(CONNACK), "unsupported protocol version" },
	[MQTT_R_BAD_CLIENT_ID] = { IN(CONNACK), "client id not valid" },
	[MQTT_R_BAD_PASSWORD] = { IN(CONNACK), "bad user name or password" },
	[MQTT_R_NOT_AUTHORIZED] = { FINAL | STORE | IN_SUBACKS,
	    "not authorized" },
	[MQTT_R_UNAVAILABLE] = { IN(CONNACK), "server unavailable" },
	[MQTT_R_BUSY] = { FINAL, "server busy" },
	[MQTT_R_BANNED] = { IN(CONNACK), "banned" },
	[MQTT_R_SHUTTING_DOWN] = { IN(DISCONNECT), "server shutting down" },
	[MQTT_R_BAD_AUTH_METHOD] = { FINAL, "bad authentication method" },
	[MQTT_R_KEEPALIVE] = { IN(DISCONNECT), "keep alive timeout" },
	[MQTT_R_TAKEN_OVER] = { IN(DISCONNECT), "session taken over" },
	[MQTT_R_BAD_FILTER] = { IN_SUBACKS | IN(DISCONNECT),
	    "topic filter not valid" },
	[MQTT_R_BAD_TOPIC] = { FINAL | STORE, "topic name not valid" },
	[MQTT_R_ID_IN_USE] = { STORE | IN_SUBACKS, "packet id in use" },
	[MQTT_R_ID_NOT_FOUND] = { IN(PUBREL) | IN(PUBCOMP),
	    "packet id not found" },
	[MQTT_R_RECEIVE_MAX] = { IN(DISCONNECT), "receive maximum exceeded" },
	[MQTT_R_BAD_ALIAS] = { IN(DISCONNECT), "topic alias not valid" },
	[MQTT_R_TOO_LARGE] = { FINAL, "packet too large" },
	[MQTT_R_RATE] = { IN(DISCONNECT), "message rate too high" },
	[MQTT_R_QUOTA] = { FINAL | STORE | IN(SUBACK), "quota exceeded" },
	[MQTT_R_ADMIN] = { IN(DISCONNECT), "administrative action" },
	[MQTT_R_BAD_PAYLOAD] = { FINAL | STORE, "payload format not valid" },
	[MQTT_R_NO_RETAIN] = { FINAL, "retain not supported" },
	[MQTT_R_NO_QOS] = { FINAL, "QoS not supported" },
	[MQTT_R_USE_ANOTHER] = { FINAL, "use another server" },
	[MQTT_R_MOVED] = { FINAL, "server moved" },
	[MQTT_R_NO_SHARED] = { IN(SUBACK) | IN(DISCONNECT),
	    "shared subscriptions not supported" },
	[MQTT_R_CONNECT_RATE] = { FINAL, "connection rate exceeded" },
	[MQTT_R_CONNECT_TIME] = { IN(DISCONNECT), "maximum connect time" },
	[MQTT_R_NO_SUB_IDS] = { IN(SUBACK) | IN(DISCONNECT),
	    "subscription ids not supported" },
	[MQTT_R_NO_WILDCARD] = { IN(SUBACK) | IN(DISCONNECT),
	    "wildcard subscriptions not supported" },
};

const struct mqtt_property_row *
mqtt_property_row(uint32_t id)
{
	static const struct mqtt_property_row none;

	return id < COUNT_OF(properties) ? &properties[id] : &none;
}

bool
mqtt_reason_ok(enum mqtt_type type, uint8_t code)
{
	return code < COUNT_OF(reasons) && reasons[code].where >> type & 1;
}

const char *
mqtt_reason_text(uint8_t code)
{
	const char *text = code < COUNT_OF(reasons) ? reasons[code].text : NULL;

	return text != NULL ? text : "unknown reason";
}
