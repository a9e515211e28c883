/*
 * edge/mapper/marram_private.h - the parts of the mapper of our own platform:
 *
 *	marram.c           its table: what comes in, entities that come and go
 *	marram_data.c      what is told of the device, and what of it is kept
 *	marram_order.c     commands: what the platform wants, and what became
 *	                   of it
 *	marram_software.c  lists of software, in pages
 */
#ifndef EDGE_MAPPER_MARRAM_PRIVATE_H
#define EDGE_MAPPER_MARRAM_PRIVATE_H

#include "base/list.h"
#include "base/map.h"
#include "edge/entity.h"
#include "edge/mapper/common.h"

#define MARRAM_OURS "marram-" /* how numbers of our commands begin */
#define MARRAM_NOBODY "-"     /* of SERVICE: the device itself */
#define MARRAM_MAIN "main"

/* A retained message that was told. */
struct kept {
	struct list link;
	struct str topic, payload; /* owned; the topic is ours */
};

/* A command of ours on the bus. */
struct command {
	struct list link;
	struct str topic; /* owned: te/... */
	struct str where; /* owned: up/DEVICE/SERVICE/cmd/OP/NO; "": it is
			   * somebody else's */
	struct str state; /* owned: as it was told last; null: nothing yet */
	bool ended;
};

/* An order whose device has not said yet that it can do it. */
struct order {
	struct list link;
	struct str rest, payload; /* owned; DEVICE/SERVICE/cmd/OP/NO */
	int64_t until;            /* mono */
};

struct marram {
	const struct mapper_host *host;
	struct str root, main, prefix; /* owned */
	uint32_t max_payload;
	bool timestamp;
	struct te_store *store;
	struct te_ring *ring;
	struct strs fresh;  /* entities that came with the message in hand */
	struct arena arena; /* of those */
	struct map kept;    /* topic -> kept */
	struct list kept_order;
	size_t kept_bytes;
	struct map commands; /* topic -> command */
	struct list command_order;
	struct list orders;
	size_t n_orders;
	int64_t beat; /* mono: the next heartbeat; 0: not connected yet */
	uint64_t lists;
};

/* --- marram_data.c ------------------------------------------------------- */

void marram_publish(
    struct marram *m, struct str topic, struct str payload, bool retain);
/* Below our prefix, where the bridge takes it. */
void marram_tell(
    struct marram *m, struct arena *a, struct str rest, struct str payload);
void marram_forget(struct marram *m, struct kept *k);
/* "DEVICE/SERVICE" of an entity that is known. */
struct str marram_place(
    struct marram *m, struct arena *a, const struct te_entity *e);
/* And back; STR_NULL: there is nobody. */
struct str marram_entity_at(
    struct marram *m, struct arena *a, struct str where);
/* Of a JSON object: a text, or another value as it stands; STR_NULL: none. */
struct str marram_member(struct arena *a, struct str json, const char *name);
/* What is said on a topic of an entity that is known. */
void marram_data(struct marram *m, struct arena *a, const struct te_topic *t,
    const struct te_entity *e, const struct mapper_msg *msg);

/* --- marram_order.c ------------------------------------------------------ */

/* A command's state, of whoever has given it. */
void marram_command(struct marram *m, struct arena *a, const struct te_topic *t,
    struct str where, const struct mapper_msg *msg);
/* Asks a device what is installed; the answer is ours to clear. */
void marram_ask_list(struct marram *m, struct arena *a, struct str entity);
/* Somebody has said that he can do a thing. */
void marram_begin_orders(struct marram *m, struct arena *a);
/* From the platform: `rest` is behind PREFIX/down/. */
void marram_down(
    struct marram *m, struct arena *a, struct str rest, struct str payload);
void marram_orders_due(struct marram *m, struct arena *a, int64_t now);
void marram_next_timer(struct marram *m);
void marram_orders_fini(struct marram *m);

/* --- marram_software.c --------------------------------------------------- */

/* Of the end of a software_list, in pages. */
void marram_tell_software(struct marram *m, struct arena *a, struct str where,
    const struct mapper_msg *msg);

#endif
