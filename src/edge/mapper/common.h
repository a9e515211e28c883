/*
 * edge/mapper/common.h - what mappers have in common.
 */
#ifndef EDGE_MAPPER_COMMON_H
#define EDGE_MAPPER_COMMON_H

#include "edge/mapper.h"

#include <stdarg.h>

/* Bytes of the whole packet of a PUBLISH, QoS 1. */
size_t mapper_packet_size(size_t topic, size_t payload);

/* Adds a moment in RFC 3339: in UTC with the digits it needs, or in the zone
 * that is `offset_s` ahead of UTC, with nine. */
void mapper_add_time(struct buf *out, int64_t seconds, uint32_t nanos,
    int32_t offset_s, bool utc);
/* Now. */
void mapper_add_now(const struct mapper_host *host, struct buf *out, bool utc);

/* Writes the members of a measurement, each behind a comma where it needs one:
 * what thin_edge_json_read() sees. `open` and `close` are visitors, whose owner
 * begins with this. */
struct mapper_values {
	struct buf *out; /* borrowed */
	bool comma, in_group, group_comma;
};
/* The next member begins. */
void mapper_values_next(struct mapper_values *v);
void mapper_values_name(struct mapper_values *v, struct str name);
void mapper_values_open(void *owner, struct str group);
void mapper_values_close(void *owner, struct str group);

/* At most so many bytes, cut between characters. */
struct str mapper_head(struct str s, size_t max);

/* The filters of the cloud's `topics`, whatever the root is called. */
void mapper_topics(const struct cloud *cloud, struct str root,
    void (*each)(void *ctx, struct str filter), void *ctx);

/* Tells what is wrong with the message that came on `topic`; on topics of
 * today's scheme with the words that stand before each such sentence there. */
void mapper_error(const struct mapper_host *host, struct str root,
    struct str topic, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void mapper_verror(const struct mapper_host *host, struct str root,
    struct str topic, const char *fmt, va_list ap);
/* Tells that what came of the message is larger than this cloud takes. */
void mapper_too_large(const struct mapper_host *host, struct str root,
    struct str topic, struct str payload, size_t size, size_t max);
/* The same of what is heard, where that is limited. */
void mapper_input_too_large(const struct mapper_host *host, struct str root,
    struct str topic, size_t size, size_t max);

/* The sentences about an event and an alarm that can not be read. */
void mapper_bad_event(
    struct buf *out, struct str topic, struct str payload, const char *why);
void mapper_bad_alarm(
    struct buf *out, struct str type, struct str payload, const char *why);

#endif
