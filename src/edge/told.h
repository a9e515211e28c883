/*
 * edge/told.h - what is wrong with a message is told once, by whichever part
 * finds it first, however many of them heard it.
 *
 * For each message, by topic and payload, it is counted how often each part has
 * found it wrong: who finds it for the nth time tells it if nobody has found it
 * n times before. So a message that is sent twice is told of twice.
 */
#ifndef EDGE_TOLD_H
#define EDGE_TOLD_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define TOLD_MESSAGES 512 /* the oldest go */
#define TOLD_MS 10000     /* so long after the last is it remembered */
#define TOLD_PARTS 6      /* of one message; others tell it themselves */

struct told; /* allocated at the first message */

/* Is it for `who` to tell? `*t` is NULL at first. */
bool told_first(struct told **t, int64_t now_ms, struct str who,
    struct str topic, struct str payload);
void told_free(struct told *t); /* NULL is fine */

#endif
