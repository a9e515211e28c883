/*
 * plug/gateway/mysensors.h - what the files of the provider mysensors_v2 share:
 * mysensors.c (life, answers, sending), mysensors_read.c (what frames say),
 * mysensors_ota.c (firmware for nodes). Private to them.
 */
#ifndef PLUG_GATEWAY_MYSENSORS_H
#define PLUG_GATEWAY_MYSENSORS_H

#include "base/list.h"
#include "codec/mysensors.h"
#include "plug/gateway/ops.h"

#define NODES 256

struct mysensors_spec {
	bool internal_ack, stream_ack;
	int64_t retries, firmwares;
	struct str timeout, discover, reserve;
};

struct zone;
struct ota_node;

struct mysensors {
	struct gateway *g;
	const struct mysensors_spec *spec; /* borrowed */
	int64_t timeout_ms, discover_ms, reserve_ms;
	struct loop_timer discover;
	struct list waits; /* of struct wait: echoes */
	uint32_t n_waits;

	/* Ids: those that have been heard, and those that were given to nodes
	 * which have not presented themselves yet. */
	bool heard[NODES];
	int64_t reserved[NODES]; /* monotonic, until when */

	struct zone *zone;    /* of `zone_name`; NULL: UTC */
	struct str zone_name; /* owned; null: not read yet */

	/* mysensors_ota.c */
	struct list images, loads;
	size_t n_images;
	struct ota_node *nodes[NODES]; /* NULL: nothing is known */
	struct loop_timer sweep;
};

/* "1", "true", "on", "enable" */
bool mysensors_truth(struct str text);
/* A member of a JSON object as text; STR_NULL: it is not there. */
struct str mysensors_member(
    struct arena *a, struct str object, const char *key);
struct str mysensors_label(
    struct mysensors *p, struct arena *a, int node, const char *key);
/* Merges objects into a node's labels and others; either may be null. */
void mysensors_note(
    struct mysensors *p, int node, struct str labels, struct str others);
/* The gateway's own label, with node -1. */
#define OF_GATEWAY (-1)

/* Sends an answer at once; a lost one is asked for again by the node, or sent
 * again when the spec wants answers acknowledged. */
void mysensors_answer(struct mysensors *p, struct mysensors_message *m);
/* Sends it as a frame, that waits when the node sleeps. */
int mysensors_post(
    struct mysensors *p, const struct mysensors_message *m, struct err *err);

/* --- mysensors_read.c ---------------------------------------------------- */

/* Does an internal message say something about its node? */
bool mysensors_is_news(uint8_t internal);
void mysensors_read(void *own, struct gateway_read *r);
void mysensors_write(void *own, struct gateway_write *w);

/* --- mysensors_ota.c ----------------------------------------------------- */

void mysensors_ota_init(struct mysensors *p);
void mysensors_ota_fini(struct mysensors *p);
/* A message of a node's stream. */
void mysensors_ota_hear(struct mysensors *p, const struct mysensors_message *m);
/* Tells a node, which has not asked, what it should run. */
int mysensors_ota_offer(struct mysensors *p, uint8_t node, struct err *err);

#endif
