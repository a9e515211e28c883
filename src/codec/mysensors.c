/*
 * codec/mysensors.c - see mysensors.h.
 */
#include "codec/mysensors.h"

#include "base/base.h"

#include <string.h>

#define PARTS 5

/* --- tables -------------------------------------------------------------- */

static const char *const children[MYSENSORS_CHILDREN] = {
	"S_DOOR",
	"S_MOTION",
	"S_SMOKE",
	"S_BINARY",
	"S_DIMMER",
	"S_COVER",
	"S_TEMP",
	"S_HUM",
	"S_BARO",
	"S_WIND",
	"S_RAIN",
	"S_UV",
	"S_WEIGHT",
	"S_POWER",
	"S_HEATER",
	"S_DISTANCE",
	"S_LIGHT_LEVEL",
	"S_ARDUINO_NODE",
	"S_ARDUINO_REPEATER_NODE",
	"S_LOCK",
	"S_IR",
	"S_WATER",
	"S_AIR_QUALITY",
	"S_CUSTOM",
	"S_DUST",
	"S_SCENE_CONTROLLER",
	"S_RGB_LIGHT",
	"S_RGBW_LIGHT",
	"S_COLOR_SENSOR",
	"S_HVAC",
	"S_MULTIMETER",
	"S_SPRINKLER",
	"S_WATER_LEAK",
	"S_SOUND",
	"S_VIBRATION",
	"S_MOISTURE",
	"S_INFO",
	"S_GAS",
	"S_GPS",
	"S_WATER_QUALITY",
};

#define FLOAT "gauge_float"
#define BINARY "binary"
#define STRING "string"
#define NONE "none"

static const struct mysensors_value values[MYSENSORS_VALUES] = {
	{ "V_TEMP", FLOAT, "°C" },
	{ "V_HUM", FLOAT, "%" },
	{ "V_STATUS", BINARY, NULL },
	{ "V_PERCENTAGE", FLOAT, "%" },
	{ "V_PRESSURE", FLOAT, NULL },
	{ "V_FORECAST", STRING, NULL },
	{ "V_RAIN", FLOAT, NULL },
	{ "V_RAINRATE", FLOAT, NULL },
	{ "V_WIND", FLOAT, NULL },
	{ "V_GUST", FLOAT, NULL },
	{ "V_DIRECTION", FLOAT, NULL },
	{ "V_UV", FLOAT, NULL },
	{ "V_WEIGHT", FLOAT, NULL },
	{ "V_DISTANCE", FLOAT, NULL },
	{ "V_IMPEDANCE", FLOAT, NULL },
	{ "V_ARMED", BINARY, NULL },
	{ "V_TRIPPED", BINARY, NULL },
	{ "V_WATT", FLOAT, NULL },
	{ "V_KWH", FLOAT, NULL },
	{ "V_SCENE_ON", NONE, NULL },
	{ "V_SCENE_OFF", NONE, NULL },
	{ "V_HVAC_FLOW_STATE", FLOAT, NULL },
	{ "V_HVAC_SPEED", FLOAT, NULL },
	{ "V_LIGHT_LEVEL", FLOAT, "%" },
	{ "V_VAR1", NONE, NULL },
	{ "V_VAR2", NONE, NULL },
	{ "V_VAR3", NONE, NULL },
	{ "V_VAR4", NONE, NULL },
	{ "V_VAR5", NONE, NULL },
	{ "V_UP", BINARY, NULL },
	{ "V_DOWN", BINARY, NULL },
	{ "V_STOP", BINARY, NULL },
	{ "V_IR_SEND", NONE, NULL },
	{ "V_IR_RECEIVE", NONE, NULL },
	{ "V_FLOW", FLOAT, NULL },
	{ "V_VOLUME", FLOAT, NULL },
	{ "V_LOCK_STATUS", BINARY, NULL },
	{ "V_LEVEL", FLOAT, NULL },
	{ "V_VOLTAGE", FLOAT, "V" },
	{ "V_CURRENT", FLOAT, "A" },
	{ "V_RGB", NONE, NULL },
	{ "V_RGBW", NONE, NULL },
	{ "V_ID", NONE, NULL },
	{ "V_UNIT_PREFIX", NONE, NULL },
	{ "V_HVAC_SETPOINT_COOL", FLOAT, NULL },
	{ "V_HVAC_SETPOINT_HEAT", FLOAT, NULL },
	{ "V_HVAC_FLOW_MODE", NONE, NULL },
	{ "V_TEXT", NONE, NULL },
	{ "V_CUSTOM", NONE, NULL },
	{ "V_POSITION", NONE, NULL },
	{ "V_IR_RECORD", NONE, NULL },
	{ "V_PH", FLOAT, NULL },
	{ "V_ORP", FLOAT, NULL },
	{ "V_EC", FLOAT, NULL },
	{ "V_VAR", FLOAT, NULL },
	{ "V_VA", FLOAT, NULL },
	{ "V_POWER_FACTOR", FLOAT, NULL },
};

static const char *const internals[MYSENSORS_INTERNALS] = {
	"I_BATTERY_LEVEL",
	"I_TIME",
	"I_VERSION",
	"I_ID_REQUEST",
	"I_ID_RESPONSE",
	"I_INCLUSION_MODE",
	"I_CONFIG",
	"I_FIND_PARENT",
	"I_FIND_PARENT_RESPONSE",
	"I_LOG_MESSAGE",
	"I_CHILDREN",
	"I_SKETCH_NAME",
	"I_SKETCH_VERSION",
	"I_REBOOT",
	"I_GATEWAY_READY",
	"I_SIGNING_PRESENTATION",
	"I_NONCE_REQUEST",
	"I_NONCE_RESPONSE",
	"I_HEARTBEAT_REQUEST",
	"I_PRESENTATION",
	"I_DISCOVER_REQUEST",
	"I_DISCOVER_RESPONSE",
	"I_HEARTBEAT_RESPONSE",
	"I_LOCKED",
	"I_PING",
	"I_PONG",
	"I_REGISTRATION_REQUEST",
	"I_REGISTRATION_RESPONSE",
	"I_DEBUG",
	"I_SIGNAL_REPORT_REQUEST",
	"I_SIGNAL_REPORT_REVERSE",
	"I_SIGNAL_REPORT_RESPONSE",
	"I_PRE_SLEEP_NOTIFICATION",
	"I_POST_SLEEP_NOTIFICATION",
};

static const char *const streams[MYSENSORS_STREAMS] = {
	"ST_FIRMWARE_CONFIG_REQUEST",
	"ST_FIRMWARE_CONFIG_RESPONSE",
	"ST_FIRMWARE_REQUEST",
	"ST_FIRMWARE_RESPONSE",
};

const char *
mysensors_child_name(uint8_t type)
{
	return children[type < MYSENSORS_CHILDREN ? type : S_CUSTOM];
}

const struct mysensors_value *
mysensors_value_of(uint8_t type)
{
	return &values[type < MYSENSORS_VALUES ? type : V_CUSTOM];
}

int
mysensors_value_type(struct str name)
{
	for (int i = 0; i < MYSENSORS_VALUES; i++)
		if (str_eq_nocase(name, str_of(values[i].name)))
			return i;
	return -1;
}

const char *
mysensors_internal_name(uint8_t type)
{
	return type < MYSENSORS_INTERNALS ? internals[type] : NULL;
}

const char *
mysensors_stream_name(uint8_t type)
{
	return type < MYSENSORS_STREAMS ? streams[type] : NULL;
}

/* --- messages ------------------------------------------------------------ */

static const struct {
	const char *name;
	unsigned max;
} parts[PARTS] = { { "node", 255 }, { "child", 255 }, { "command", 4 },
	{ "ack", 1 }, { "type", 255 } };

static bool
has_line_end(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] == '\n' || s.ptr[i] == '\r' || s.ptr[i] == '\0')
			return true;
	return false;
}

static int
read_part(int i, struct str text, unsigned *ret, struct err *err)
{
	uint64_t n;

	if (text.len > 3 || !str_to_u64(text, &n) || n > parts[i].max)
		return err_set(err, ERR_PROTO,
		    "%s is \"" STR_FMT "\" and not a number from 0 to %u",
		    parts[i].name, (int)MIN_OF(text.len, 20), text.ptr,
		    parts[i].max);
	*ret = (unsigned)n;
	return 0;
}

static int
fill(const struct str *texts, struct str payload, struct mysensors_message *ret,
    struct err *err)
{
	unsigned n[PARTS];
	int rc;

	for (int i = 0; i < PARTS; i++) {
		rc = read_part(i, texts[i], &n[i], err);
		if (rc != 0)
			return rc;
	}
	if (has_line_end(payload))
		return err_set(
		    err, ERR_PROTO, "the payload has a line end or a NUL");
	*ret = (struct mysensors_message){ .node = (uint8_t)n[0],
		.child = (uint8_t)n[1],
		.command = (enum mysensors_command)n[2],
		.ack = n[3] != 0,
		.type = (uint8_t)n[4],
		.payload = payload.ptr != NULL ? payload : STR("") };
	return 0;
}

int
mysensors_from_line(
    struct str line, struct mysensors_message *ret, struct err *err)
{
	struct str texts[PARTS], rest = line;

	if (rest.len > 0 && rest.ptr[rest.len - 1] == '\r')
		rest.len--;
	for (int i = 0; i < PARTS; i++) {
		texts[i] = str_cut(&rest, ';');
		if (rest.ptr == NULL)
			return err_set(err, ERR_PROTO,
			    "%d parts and not six with \";\" between them",
			    i + 1);
	}
	return fill(texts, rest, ret, err);
}

int
mysensors_from_topic(struct str topic, struct str payload,
    struct mysensors_message *ret, struct err *err)
{
	struct str texts[PARTS];

	for (int i = PARTS - 1; i >= 0; i--) {
		size_t n = topic.len;

		if (topic.ptr == NULL)
			return err_set(err, ERR_PROTO,
			    "a topic of %d levels and not five or more",
			    PARTS - 1 - i);
		while (n > 0 && topic.ptr[n - 1] != '/')
			n--;
		texts[i] = (struct str){ topic.ptr + n, topic.len - n };
		topic = n > 0 ? (struct str){ topic.ptr, n - 1 } : STR_NULL;
	}
	return fill(texts, payload, ret, err);
}

void
mysensors_to_line(struct buf *out, const struct mysensors_message *m)
{
	buf_addf(out, "%u;%u;%u;%u;%u;", m->node, m->child,
	    (unsigned)m->command, m->ack, m->type);
	buf_add_str(out, m->payload);
}

void
mysensors_to_topic(struct buf *out, const struct mysensors_message *m)
{
	buf_addf(out, "%u/%u/%u/%u/%u", m->node, m->child, (unsigned)m->command,
	    m->ack, m->type);
}

int
mysensors_can_send(const struct mysensors_message *m, struct err *err)
{
	size_t n = m->payload.len, max = MYSENSORS_PAYLOAD;

	if (m->command == MYSENSORS_STREAM)
		max *= 2;
	if (n > max)
		return err_set(err, ERR_PARAM,
		    "the payload has %zu %s; a MySensors message holds %zu", n,
		    max == MYSENSORS_PAYLOAD ? "bytes" : "digits", max);
	if (has_line_end(m->payload))
		return err_set(
		    err, ERR_PARAM, "the payload has a line end or a NUL");
	return 0;
}
