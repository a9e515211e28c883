/*
 * plug/gateway/tasmota_device.h - the devices that are known, and where they
 * speak.
 *
 *  (1) A device is in `nodes`; one that told its topics is in `macs`, and twice
 *      in `bases`, too.
 */
#ifndef PLUG_GATEWAY_TASMOTA_DEVICE_H
#define PLUG_GATEWAY_TASMOTA_DEVICE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/map.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum tasmota_prefix { CMND, STAT, TELE, TASMOTA_PREFIXES };

struct tasmota_device {
	struct str node; /* owned, as all texts here */
	struct str mac;  /* null: it did not tell its topics, nor the texts */
	struct str base[TASMOTA_PREFIXES]; /* topics less the command */
	struct str on, online, offline;    /* texts; `on` null: ON */
	struct tasmota_base *stat, *tele;
	uint64_t config, sensors; /* hashes of what was handed up */
	bool is_up, is_down;      /* neither: not known */
	bool live;                /* something came that was not retained */
	int64_t last;             /* the newest time given to a message */
};

/* Where a device is heard. */
struct tasmota_base {
	struct str topic; /* lent from the device */
	struct tasmota_device *device;
	enum tasmota_prefix prefix;
};

#define TASMOTA_LEVELS_MAX 16

/* Zero-initialise. */
struct tasmota_devices {
	size_t max;
	struct str levels[TASMOTA_LEVELS_MAX]; /* of a topic nobody told */
	size_t n_levels;
	struct map nodes, bases, macs;
};

/* "%prefix%/%topic%/", lent: how topics are made that no device told. ERR_PARAM
 * says what is wrong with it. */
int tasmota_devices_init(struct tasmota_devices *all, struct str full_topic,
    size_t max, struct err *err);
void tasmota_devices_fini(struct tasmota_devices *all);

/* NULL: there are `max` already. */
struct tasmota_device *tasmota_device(
    struct tasmota_devices *all, struct str node);
/* Takes the payload of a `config`. NULL: it makes no topics (ERR_PARAM), or
 * there are too many (ERR_LIMIT). */
struct tasmota_device *tasmota_device_learn(struct tasmota_devices *all,
    struct str mac, struct str config, struct err *err);
/* Whoever has this MAC has said nothing. */
void tasmota_device_forget(struct tasmota_devices *all, struct str mac);

/* Who speaks there, and what: the last level. Texts are lent from the topic or
 * the device. False: nobody. */
bool tasmota_find(const struct tasmota_devices *all, struct str topic,
    struct str *node, enum tasmota_prefix *prefix, struct str *command);
/* Where a node hears a command, in `a`. */
struct str tasmota_command_topic(const struct tasmota_devices *all,
    struct arena *a, struct str node, struct str command);

/* A text that may be a level of a topic. */
bool tasmota_is_level(struct str s);

#endif
