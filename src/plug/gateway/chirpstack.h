/*
 * plug/gateway/chirpstack.h - what the files of the ChirpStack provider share.
 *
 * A frame that was heard has the payload in `data` (empty for events that have
 * none), and in its extension "event" and what the event says; a frame to be
 * sent has "fPort", "confirmed", and "object", which ChirpStack's codec makes
 * a payload of when `data` is empty.
 */
#ifndef PLUG_GATEWAY_CHIRPSTACK_H
#define PLUG_GATEWAY_CHIRPSTACK_H

#include "base/entity.h"
#include "plug/gateway/ops.h"

/* An event as ChirpStack sends it; what is absent has its default. Texts are in
 * the arena. */
struct chirpstack_info {
	struct str application_id, application_name;
	struct str profile_name, device_name, dev_eui;
	struct str tags; /* JSON object */
};

struct chirpstack_rx {
	struct str gateway_id;
	int64_t rssi;
	double snr;
};

struct chirpstack_lora {
	int64_t bandwidth, spreading_factor;
};

struct chirpstack_modulation {
	struct chirpstack_lora lora;
};

struct chirpstack_tx {
	int64_t frequency; /* Hz */
	struct chirpstack_modulation modulation;
};

struct chirpstack_location {
	double latitude, longitude, altitude;
};

extern const struct record chirpstack_location_record;

struct chirpstack_event {
	struct str deduplication_id, time;
	struct chirpstack_info info;
	/* up, join */
	struct str dev_addr, data; /* base64 */
	bool adr, confirmed;
	int64_t dr, f_cnt, f_port;
	struct str object; /* JSON object; null: none */
	struct rows rx;    /* of struct chirpstack_rx */
	struct chirpstack_tx tx;
	/* ack, txack, log */
	struct str queue_item_id;
	bool acknowledged;
	struct str level, code, description, context;
	/* status */
	int64_t margin;
	bool external_power, battery_unavailable;
	double battery; /* % */
	/* location, integration */
	struct chirpstack_location location;
	struct str integration, type;
	/* of the topic */
	struct str kind; /* "up", ... */
	struct str node; /* 16 lower-case hex digits */
	struct str application;
};

/* Reads an event by its topic, .../application/<id>/device/<EUI>/event/<kind>.
 * ERR_PARAM says what is wrong with it. */
int chirpstack_event(struct arena *a, struct str topic, struct str json,
    struct chirpstack_event *ret, struct err *err);
/* The frame of an event, in `a`. ERR_PARAM: its data is not base64. */
int chirpstack_frame(struct arena *a, const struct chirpstack_event *e,
    struct gateway_frame *ret, struct err *err);
/* What a frame says, into `m`. ERR_PARAM: it can not be read; ERR_LIMIT: more
 * than GATEWAY_PAYLOADS_MAX values. */
int chirpstack_read(
    const struct gateway_frame *f, struct gateway_messages *m, struct err *err);
/* The frame for a message of one payload: an object for ChirpStack's codec.
 * ERR_PARAM: it can not be said. */
int chirpstack_write(const struct gateway_message *msg, struct arena *a,
    struct gateway_frame *ret, struct err *err);

/* Sixteen hex digits, made lower-case in `a`. */
bool chirpstack_eui(struct arena *a, struct str text, struct str *ret);

#endif
