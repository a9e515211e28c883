/*
 * edge/compat.h - the first scheme on the second: what is published on
 * tedge/measurements, events and alarms is published again below te/, so that
 * who listens there hears both; and te/errors on tedge/errors.
 *
 *	tedge/measurements[/c]    te/device/<main or c>///m/
 *	tedge/events/t[/c]        te/device/<main or c>///e/t
 *	tedge/alarms/sev/t[/c]    te/device/<main or c>///a/t, retained, with
 *	                          "severity": "sev"
 *
 * The strict rules of tedge/ hold: a bad message has no copy, and why is told
 *on tedge/errors, also where no mapper hears the first scheme. A copy carries
 *MAPPER_ORIGIN, by which mappers, who hear the first one themselves, pass it
 *over. That needs MQTT 5: over an older connection nothing may be copied, or it
 *would be converted twice.
 */
#ifndef EDGE_COMPAT_H
#define EDGE_COMPAT_H

#include "edge/mapper.h"

struct compat_conf {
	struct str root;   /* "te" */
	struct str device; /* "device/main//" */
};

/* What must be heard for it. */
void compat_filters(const struct compat_conf *c,
    void (*each)(void *ctx, struct str filter), void *ctx);

/* Sets `*ret`, with texts of `m` and of `a`, to the copy. False: it is none of
 * those above, is a bad one, or is a copy itself. */
bool compat_copy(const struct compat_conf *c, const struct mapper_msg *m,
    struct mapper_msg *ret, struct arena *a);

/* Why a message of tedge/ that has no copy is a bad one, into `out`. False: it
 * is none. */
bool compat_why(const struct mapper_msg *m, struct buf *out, struct arena *a);

#endif
