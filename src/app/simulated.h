/*
 * app/simulated.h - believable devices that do not exist, for `marram demo` and
 * for the simulator of the server.
 *
 * Values follow the time of day and the device's place: warmest in the
 * afternoon, the air drier when it is warm, a battery that wears down in a year
 * and is then replaced; a door that is opened now and then; a relay that does
 * as it is told, and then says so.
 */
#ifndef APP_SIMULATED_H
#define APP_SIMULATED_H

#include "base/arena.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum simulated_kind {
	SIMULATED_CLIMATE, /* Cayenne LPP: channel 1 temperature, 2 humidity,
			    * 3 analog input (the battery) */
	SIMULATED_DOOR,    /* JSON */
	SIMULATED_RELAY,   /* two bytes, read and written by a script */
	SIMULATED_KINDS,
};

/* The profile of each kind: members of POST /hub/api/v1/profile but the unit.
 */
struct simulated_profile {
	const char *code, *name, *codec, *script, *fields;
};
extern const struct simulated_profile simulated_profiles[SIMULATED_KINDS];

struct simulated {
	enum simulated_kind kind;
	uint32_t place; /* devices differ by it */
	bool on;        /* of a relay */
};

struct simulated_climate {
	double temperature; /* degrees Celsius */
	double humidity;    /* percent */
	double battery;     /* volts */
};
struct simulated_climate simulated_climate(uint32_t place, int64_t now_ms);
/* In Cayenne LPP, as hex. */
void simulated_encode(struct buf *hex, const struct simulated_climate *v);

#define SIMULATED_ADDR_LEN 8
void simulated_address(char text[SIMULATED_ADDR_LEN + 1], uint32_t place);

/* What a network service would publish for it: {"time","networkAddr","data"}.
 */
void simulated_uplink(
    struct buf *out, const struct simulated *s, int64_t now_ms);

/* A downlink of a network's queue; false: it is none. Texts in `a`. */
struct simulated_order {
	struct str data_id, addr, data; /* hex */
};
bool simulated_order_read(
    struct str payload, struct arena *a, struct simulated_order *ret);
/* Does it. True: something is another, and the device would say so. */
bool simulated_obey(struct simulated *s, struct str data);
/* {"dataId","status":0} */
void simulated_result(struct buf *out, struct str data_id);

#endif
