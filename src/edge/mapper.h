/*
 * edge/mapper.h - mappers: from the device's own messages to those of a cloud,
 * and back.
 *
 * A mapper is a table of functions, without sockets, clocks or threads. It
 * hears messages of the local broker and publishes there, below the prefix of
 * its cloud ("c8y/..."), from where the bridge carries them on. The part
 * "tedge-mapper-NAME" (edge/mapper_part.c) gives it life: subscriptions,
 * acknowledgement (a message is acknowledged when all that came of it has been
 * taken by the broker), its lock, its health. A test gives it a host of its
 * own.
 *
 * Both generations are heard at once: tedge/measurements as in the first
 * years, and te/.../m/. The agent publishes what comes on tedge/ again on te/,
 * with the user property MAPPER_ORIGIN; the mapper passes such a copy over, so
 * that nothing is converted twice.
 */
#ifndef EDGE_MAPPER_H
#define EDGE_MAPPER_H

#include "base/arena.h"
#include "edge/config.h"
#include "edge/topic.h"

#include <stdint.h>

#define MAPPER_ORIGIN                                                          \
	"origin" /* a user property: the topic it came on first                \
		  */

struct mapper_msg {
	struct str topic, payload; /* lent */
	uint8_t qos;
	bool retain;
	bool origin; /* it has MAPPER_ORIGIN: a copy */
};

/* What a mapper may ask for; given at new(). */
struct mapper_host {
	void *owner;
	void (*publish)(void *owner, const struct mapper_msg *m);
	/* To the errors topic of the generation that `topic` belongs to. */
	void (*error)(void *owner, struct str topic, struct str text);
	/* Wall time in ns since 1970, and how far local time is ahead of UTC.
	 */
	int64_t (*now_ns)(void *owner);
	int32_t (*offset_s)(void *owner);
	/* Calls ops->timer once, `ms` from now; again moves it. */
	void (*after)(void *owner, int64_t ms);
	/* A request to the cloud by HTTP; ops->http hears its end. NULL where
	 * there is none. Texts are copied. */
	void (*http)(void *owner, uint64_t tag, const char *method,
	    struct str url, struct str type, struct str body);
};

struct mapper_conf {
	struct cloud cloud;
	struct str device_id;
	struct str root;        /* "te" */
	struct str main_entity; /* "device/main//" */
};

struct mapper_ops {
	const char *name; /* "c8y" */
	const char *help;
	/* Copies `conf`; borrows its config. */
	int (*open)(const struct mapper_conf *conf,
	    const struct mapper_host *host, void **ret, struct err *err);
	void (*close)(void *m);
	/* Each filter to subscribe to, QoS 1. */
	void (*filters)(
	    void *m, void (*each)(void *ctx, struct str filter), void *ctx);
	/* Connected to the broker, and every subscription was answered: what
	 * is to be told at the start. */
	void (*up)(void *m);
	/* `a` is the call's own, for what it makes on the way. */
	void (*message)(void *m, const struct mapper_msg *msg, struct arena *a);
	void (*timer)(void *m); /* NULL: none */
	/* The end of a request: status 0 and a sentence if it did not come to
	 * an answer. */
	void (*http)(void *m, uint64_t tag, int status, struct str body);
};

extern const struct mapper_ops mapper_c8y, mapper_az, mapper_aws,
    mapper_collectd, mapper_marram;
extern const struct mapper_ops *const mapper_list[]; /* NULL ends */

#endif
