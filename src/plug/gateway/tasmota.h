/*
 * plug/gateway/tasmota.h - what the files of the Tasmota provider share.
 *
 * The extension of a frame that was heard:
 *
 *	topic   the whole topic; its last part is the command
 *	time    RFC 3339, when the device's own clock can be believed
 *	on      the text of a relay that is on, where it is not "ON"
 *	online  of LWT: true or false
 *
 * and of one to be sent: "command", and "slot".
 */
#ifndef PLUG_GATEWAY_TASMOTA_H
#define PLUG_GATEWAY_TASMOTA_H

#include "plug/gateway/ops.h"

#define TASMOTA_CONTROL "Control"

struct tasmota_kind {
	const char *name;   /* in any case; exact, or without its number */
	const char *type;   /* metric type */
	const char *unit;   /* NULL: none; "T", "P", "S": as the message says */
	const char *source; /* only there; NULL: anywhere */
};
/* NULL: nothing is known of such a value. */
const struct tasmota_kind *tasmota_kind(struct str source, struct str name);
/* A name without the number behind it: "POWER2", "Power_0". */
struct str tasmota_stem(struct str name);

/* tasmota/discovery/<MAC>/config or .../sensors. */
bool tasmota_is_discovery(
    struct str topic, struct str *mac, struct str *command);

/* What a frame says, into `m`; nothing for those that say nothing. ERR_PARAM:
 * it can not be read; ERR_LIMIT: more than GATEWAY_PAYLOADS_MAX values. */
int tasmota_read(
    const struct gateway_frame *f, struct gateway_messages *m, struct err *err);
/* The frame for a message of one payload. ERR_PARAM: no command has that
 * name. */
int tasmota_write(const struct gateway_message *msg, struct arena *a,
    struct gateway_frame *ret, struct err *err);

#endif
