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
#include "base/child.h"
#include "edge/config.h"
#include "edge/topic.h"

#include <stdint.h>

/* A user property: the topic that it came on first. */
#define MAPPER_ORIGIN "origin"

struct mapper_msg {
	struct str topic, payload; /* lent */
	uint8_t qos;
	bool retain;
	bool origin; /* it has MAPPER_ORIGIN: a copy */
};

/* A program that the mapper wants run; its end is heard by ops->ran. */
struct mapper_run {
	const char *const *argv; /* NULL ends; copied */
	const char *const *env;  /* "NAME=value"; NULL: none; copied */
	int64_t timeout_ms;      /* 0: none; then SIGTERM, later SIGKILL */
};

/* What a mapper may ask for; given at open(). What is behind `http` may be NULL
 * where there is none of it. None of these calls the mapper back before it
 * returns. */
struct mapper_host {
	void *owner;
	void (*publish)(void *owner, const struct mapper_msg *m);
	/* To the errors topic of the generation that `topic` belongs to. `own`:
	 * it is of this cloud, as its limits are; else it is wrong with the
	 * message, whoever hears it, and is told once for all mappers. */
	void (*error)(void *owner, struct str topic, struct str text, bool own);
	/* Wall time in ns since 1970, and how far local time is ahead of UTC.
	 */
	int64_t (*now_ns)(void *owner);
	int32_t (*offset_s)(void *owner);
	/* Calls ops->timer once, `ms` from now; again moves it. */
	void (*after)(void *owner, int64_t ms);
	/* A request by HTTP, as a rule to the local proxy that shows the cloud
	 * who we are; ops->http hears its end. Texts are copied. STR_NULL for
	 * `type` and `body`: none. */
	void (*http)(void *owner, uint64_t tag, const char *method,
	    struct str url, struct str type, struct str body);
	/* Time that is never set: ms since some moment. */
	int64_t (*mono_ms)(void *owner);
	/* Sends what is at `from`, a URL or a path, to the URL `to` by POST,
	 * piece by piece: a file may be larger than our memory. ops->http hears
	 * its end. */
	void (*carry)(void *owner, uint64_t tag, struct str from, struct str to,
	    struct str type);
	void (*run)(void *owner, uint64_t tag, const struct mapper_run *run);
	/* Calls ops->changed when a file in the folder was written, made or
	 * removed. The folder need not be there yet. */
	void (*watch)(void *owner, const char *folder);
};

struct mapper_conf {
	struct cloud cloud; /* of a user's mapper: its name */
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
	void (*ran)(void *m, uint64_t tag, const struct child_end *end);
	void (*changed)(void *m); /* in a folder that is watched */
};

extern const struct mapper_ops mapper_c8y, mapper_az, mapper_aws,
    mapper_collectd, mapper_marram;
extern const struct mapper_ops mapper_custom; /* of a user; not in the list */
bool mapper_custom_has_bridge(const void *m);
extern const struct mapper_ops *const mapper_list[]; /* NULL ends */

#endif
