/*
 * edge/entity_log.h - what an entity store keeps over a restart: the last
 * registration of each entity, in DIR/entity_store.jsonl.
 *
 * The file is that of thin-edge.io, in both directions: a line that names the
 * version, then one message each line, an empty payload for one that is gone.
 * Lines that can not be read are passed over. It is written anew, whole and
 * without what is outdated, when it is opened and when outdated lines outnumber
 * the others.
 *
 * Every registration is retained by the MQTT server too, which keeps it safe:
 * so a line is written, but not waited for until it is on the disk.
 */
#ifndef EDGE_ENTITY_LOG_H
#define EDGE_ENTITY_LOG_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

struct entity_log;

/* Opens or makes it; `clean` forgets what it holds. What it held is told to
 * `each` in the order in which the entities came. May block: at start only. */
int entity_log_open(const char *dir, bool clean,
    void (*each)(void *ctx, struct str topic, struct str payload), void *ctx,
    struct entity_log **ret, struct err *err);
int entity_log_add(struct entity_log *l, struct str topic, struct str payload,
    struct err *err);
void entity_log_close(struct entity_log *l); /* NULL is fine */

#endif
