/*
 * plug/gateway/chirpstack_event.c - events of ChirpStack v4, read from JSON.
 *
 * It is proto3's JSON: what has its default value is absent, bytes are base64,
 * large numbers are texts. So absent here means zero, false or empty.
 */
#include "plug/gateway/chirpstack.h"

#include "base/base.h"
#include "codec/entity_json.h"

#define I struct chirpstack_info
static const struct field info_fields[] = {
	F_TEXT(I, application_id, "applicationId"),
	F_TEXT(I, application_name, "applicationName"),
	F_TEXT(I, profile_name, "deviceProfileName"),
	F_TEXT(I, device_name, "deviceName"),
	F_TEXT(I, dev_eui, "devEui"),
	F_JSON(I, tags, "tags", .flags = FIELD_OBJECT, .def = "{}"),
	{ 0 },
};
#undef I
static const struct record info_record = { "deviceInfo",
	sizeof(struct chirpstack_info), info_fields };

static const struct field rx_fields[] = {
	F_TEXT(struct chirpstack_rx, gateway_id, "gatewayId"),
	F_INT(struct chirpstack_rx, rssi, "rssi"),
	F_REAL(struct chirpstack_rx, snr, "snr"),
	{ 0 },
};
static const struct record rx_record = { "rxInfo", sizeof(struct chirpstack_rx),
	rx_fields };

static const struct field lora_fields[] = {
	F_INT(struct chirpstack_lora, bandwidth, "bandwidth"),
	F_INT(struct chirpstack_lora, spreading_factor, "spreadingFactor"),
	{ 0 },
};
static const struct record lora_record = { "lora",
	sizeof(struct chirpstack_lora), lora_fields };

static const struct field modulation_fields[] = {
	F_RECORD(struct chirpstack_modulation, lora, struct chirpstack_lora,
	    "lora", .record = &lora_record),
	{ 0 },
};
static const struct record modulation_record = { "modulation",
	sizeof(struct chirpstack_modulation), modulation_fields };

static const struct field tx_fields[] = {
	F_INT(struct chirpstack_tx, frequency, "frequency"),
	F_RECORD(struct chirpstack_tx, modulation, struct chirpstack_modulation,
	    "modulation", .record = &modulation_record),
	{ 0 },
};
static const struct record tx_record = { "txInfo", sizeof(struct chirpstack_tx),
	tx_fields };

#define L struct chirpstack_location
static const struct field location_fields[] = {
	F_REAL(L, latitude, "latitude"),
	F_REAL(L, longitude, "longitude"),
	F_REAL(L, altitude, "altitude"),
	{ 0 },
};
#undef L
const struct record chirpstack_location_record = { "location",
	sizeof(struct chirpstack_location), location_fields };

#define E struct chirpstack_event
static const struct field event_fields[] = {
	F_TEXT(E, deduplication_id, "deduplicationId"),
	F_TEXT(E, time, "time"),
	F_RECORD(E, info, struct chirpstack_info, "deviceInfo",
	    .record = &info_record),
	F_TEXT(E, dev_addr, "devAddr"),
	F_TEXT(E, data, "data"),
	F_BOOL(E, adr, "adr"),
	F_BOOL(E, confirmed, "confirmed"),
	F_INT(E, dr, "dr"),
	F_INT(E, f_cnt, "fCnt"),
	F_INT(E, f_port, "fPort"),
	F_JSON(E, object, "object", .flags = FIELD_NULL),
	F_RECORDS(E, rx, "rxInfo", .record = &rx_record),
	F_RECORD(E, tx, struct chirpstack_tx, "txInfo", .record = &tx_record),
	F_TEXT(E, queue_item_id, "queueItemId"),
	F_BOOL(E, acknowledged, "acknowledged"),
	F_TEXT(E, level, "level", .def = "\"INFO\""),
	F_TEXT(E, code, "code", .def = "\"UNKNOWN\""),
	F_TEXT(E, description, "description"),
	F_JSON(E, context, "context", .flags = FIELD_OBJECT, .def = "{}"),
	F_INT(E, margin, "margin"),
	F_BOOL(E, external_power, "externalPowerSource"),
	F_BOOL(E, battery_unavailable, "batteryLevelUnavailable"),
	F_REAL(E, battery, "batteryLevel"),
	F_RECORD(E, location, struct chirpstack_location, "location",
	    .record = &chirpstack_location_record),
	F_TEXT(E, integration, "integrationName"),
	F_TEXT(E, type, "eventType"),
	{ 0 },
};
#undef E
static const struct record event_record = { "event",
	sizeof(struct chirpstack_event), event_fields };

bool
chirpstack_eui(struct arena *a, struct str text, struct str *ret)
{
	if (text.len != 16 || !str_is_hex(text))
		return false;
	*ret = arena_lower(a, text);
	return true;
}

#define ID_MAX 100 /* bytes of an application's id; it is a UUID */

/* The levels of a topic from behind: kind, "event", EUI, "device", id,
 * "application". */
static int
read_topic(struct arena *a, struct str topic, struct chirpstack_event *e,
    struct err *err)
{
	struct str levels[6];
	size_t n = 0;

	for (struct str left = topic; left.ptr != NULL; n++)
		levels[n % 6] = str_cut(&left, '/');
	if (n < 6 || !str_eqz(levels[n % 6], "application") ||
	    !str_eqz(levels[(n + 2) % 6], "device") ||
	    !str_eqz(levels[(n + 4) % 6], "event"))
		return err_set(err, ERR_PARAM,
		    "the topic is not application/+/device/+/event/+");
	if (!chirpstack_eui(a, levels[(n + 3) % 6], &e->node))
		return err_set(
		    err, ERR_PARAM, "the topic has no EUI of 16 hex digits");
	e->application = arena_str(a, levels[(n + 1) % 6]);
	if (e->application.len == 0 || e->application.len > ID_MAX)
		return err_set(
		    err, ERR_PARAM, "the topic has no application's id");
	e->kind = arena_str(a, levels[(n + 5) % 6]);
	return 0;
}

int
chirpstack_event(struct arena *a, struct str topic, struct str json,
    struct chirpstack_event *ret, struct err *err)
{
	struct str eui;
	int rc;

	json = str_trim(json);
	if (json.len > 0 && json.ptr[0] != '{')
		return err_set(err, ERR_PARAM,
		    "not JSON: in chirpstack.toml, [integration.mqtt] needs "
		    "json=true");
	rc = record_read(&event_record, a, json, ret, err);
	if (rc == 0)
		rc = read_topic(a, topic, ret, err);
	if (rc != 0)
		return rc;
	if (ret->info.dev_eui.len > 0 &&
	    (!chirpstack_eui(a, ret->info.dev_eui, &eui) ||
		!str_eq(eui, ret->node)))
		return err_set(err, ERR_PARAM,
		    "deviceInfo.devEui is not that of the topic");
	return 0;
}
