/*
 * app/simulated.c - see simulated.h.
 */
#include "app/simulated.h"

#include "base/base.h"
#include "base/clock.h"
#include "codec/json.h"

#include <math.h>
#include <stdio.h>

#define DAY_MS 86400000.0
#define YEAR_MS (365.0 * DAY_MS)
#define DOOR_MS 120000 /* how long it stays as it is, at least */

const struct simulated_profile simulated_profiles[SIMULATED_KINDS] = {
	[SIMULATED_CLIMATE] = { "demo-climate", "Climate (demo)", "cayenne", "",
	    "{\"temperature_1\":{\"name\":\"Temperature\"},"
	    "\"humidity_2\":{\"name\":\"Humidity\"},"
	    "\"analog_in_3\":{\"name\":\"Battery\",\"unit\":\"V\"}}" },
	[SIMULATED_DOOR] = { "demo-door", "Door contact (demo)", "json", "",
	    "{\"open\":{\"name\":\"Open\",\"metricType\":\"binary\"},"
	    "\"battery\":{\"name\":\"Battery\",\"unit\":\"V\"}}" },
	[SIMULATED_RELAY] = { "demo-relay", "Relay (demo)", "javascript",
	    "// The first byte says whether it is on, the second one how much\n"
	    "// power goes through it, in watts.\n"
	    "function decodeUplink(input) {\n"
	    "\treturn { data: { relay: input.bytes[0] === 1, power: "
	    "input.bytes[1] } };\n"
	    "}\n"
	    "function encodeDownlink(input) {\n"
	    "\treturn { bytes: [input.data.relay ? 1 : 0], fPort: 2 };\n"
	    "}\n",
	    "{\"relay\":{\"name\":\"Relay\",\"metricType\":\"binary\"},"
	    "\"power\":{\"name\":\"Power\",\"unit\":\"W\"}}" },
};

/* -1 to 1, the same for the same two numbers (an integer hash). */
static double
noise(uint32_t a, uint32_t b)
{
	uint32_t x = a * 2654435761u ^ b * 2246822519u;

	x ^= x >> 15;
	x *= 2246822519u;
	x ^= x >> 13;
	x *= 3266489917u;
	x ^= x >> 16;
	return (double)x / 2147483648.0 - 1.0;
}

struct simulated_climate
simulated_climate(uint32_t place, int64_t now_ms)
{
	double day = fmod((double)now_ms, DAY_MS) / DAY_MS;
	double warmth = sin(2 * M_PI * (day - 0.375)); /* top at 15 h UTC */
	double aged =
	    fmod((double)now_ms / YEAR_MS + (noise(place, 3) + 1) / 2, 1.0);
	uint32_t now = (uint32_t)(now_ms / 1000);
	struct simulated_climate v;

	v.temperature =
	    18 + 3 * noise(place, 1) + 6 * warmth + 0.3 * noise(place, now);
	v.humidity =
	    55 + 8 * noise(place, 2) - 15 * warmth + noise(place, now + 1);
	v.humidity = MIN_OF(MAX_OF(v.humidity, 0), 100);
	v.battery = 3.6 - 0.6 * aged + 0.01 * noise(place, now + 2);
	return v;
}

static void
put16(unsigned char *at, double value)
{
	uint16_t n = (uint16_t)(int16_t)lrint(value);

	at[0] = (unsigned char)(n >> 8);
	at[1] = (unsigned char)n;
}

void
simulated_encode(struct buf *hex, const struct simulated_climate *v)
{
	unsigned char b[11] = { 1, 0x67, 0, 0, 2, 0x68, 0, 3, 0x02, 0, 0 };

	put16(&b[2], v->temperature * 10);
	b[6] = (unsigned char)lrint(v->humidity * 2);
	put16(&b[9], v->battery * 100);
	hex_encode(hex, b, sizeof(b));
}

void
simulated_address(char text[SIMULATED_ADDR_LEN + 1], uint32_t place)
{
	snprintf(text, SIMULATED_ADDR_LEN + 1, "de%06x",
	    (unsigned)(place + 1) & 0xffffff);
}

/* --- uplink -------------------------------------------------------------- */

static void
encode_door(struct buf *hex, uint32_t place, int64_t now_ms)
{
	const struct simulated_climate v = simulated_climate(place, now_ms);
	struct buf text = { 0 };

	buf_addf(&text, "{\"open\":%s,\"battery\":%.2f}",
	    noise(place, (uint32_t)(now_ms / DOOR_MS)) > 0.5 ? "true" : "false",
	    v.battery);
	hex_encode(hex, text.ptr, text.len);
	buf_free(&text);
}

static void
encode_relay(struct buf *hex, const struct simulated *s, int64_t now_ms)
{
	double power = 60 + 5 * noise(s->place, (uint32_t)(now_ms / 1000));
	const unsigned char bytes[2] = { s->on,
		s->on ? (unsigned char)lrint(power) : 0 };

	hex_encode(hex, bytes, sizeof(bytes));
}

void
simulated_uplink(struct buf *out, const struct simulated *s, int64_t now_ms)
{
	char at[TIME_TEXT_LEN + 1], addr[SIMULATED_ADDR_LEN + 1];
	struct simulated_climate v;

	time_format(now_ms, at);
	simulated_address(addr, s->place);
	buf_addf(out, "{\"time\":\"%s\",\"networkAddr\":\"%s\",\"data\":\"", at,
	    addr);
	if (s->kind == SIMULATED_DOOR) {
		encode_door(out, s->place, now_ms);
	} else if (s->kind == SIMULATED_RELAY) {
		encode_relay(out, s, now_ms);
	} else {
		v = simulated_climate(s->place, now_ms);
		simulated_encode(out, &v);
	}
	buf_addz(out, "\"}");
}

/* --- downlink ------------------------------------------------------------ */

bool
simulated_order_read(
    struct str payload, struct arena *a, struct simulated_order *ret)
{
	struct str key;
	struct json j;

	*ret = (struct simulated_order){ 0 };
	json_open(&j, arena_str(a, payload), 0, a);
	if (json_object(&j))
		while (json_member(&j, &key)) {
			if (str_eqz(key, "dataId"))
				json_str(&j, &ret->data_id);
			else if (str_eqz(key, "networkAddr"))
				json_str(&j, &ret->addr);
			else if (str_eqz(key, "data"))
				json_str(&j, &ret->data);
			else
				json_skip(&j);
		}
	return json_done(&j, NULL) == 0 && ret->data_id.len > 0;
}

bool
simulated_obey(struct simulated *s, struct str data)
{
	struct buf bytes = { 0 };
	bool was = s->on;

	if (s->kind == SIMULATED_RELAY && hex_decode(&bytes, data) &&
	    bytes.len > 0)
		s->on = bytes.ptr[0] == 1;
	buf_free(&bytes);
	return s->on != was;
}

void
simulated_result(struct buf *out, struct str data_id)
{
	buf_addz(out, "{\"dataId\":");
	json_quote(out, data_id);
	buf_addz(out, ",\"status\":0}");
}
