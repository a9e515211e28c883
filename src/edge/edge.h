/*
 * edge/edge.h - the process: broker, parts, and who may tell it what to do.
 *
 * `marram-edge run` opens the MQTT broker of the device (unless another one is
 * used), starts every part that is enabled, and listens on a socket for
 * `marram-edge part start|stop|restart|status NAME`, which is what the units
 * of systemd call. A part that fails to start is tried again, each time after
 * a longer wait.
 *
 * Started as `tedge-agent` or `tedge-mapper c8y` it runs that part alone, as a
 * client of the broker that is there.
 */
#ifndef EDGE_EDGE_H
#define EDGE_EDGE_H

#include "edge/part.h"

struct edge_conf {
	const struct config *config; /* borrowed */
	bool broker;                 /* with the broker of our own, if set so */
	bool control;                /* with the control socket */
	bool log_level_given;        /* system.toml has no say in it */
	const char *const *parts;    /* these alone; NULL: those enabled */
	size_t n_parts;
};

/* Runs until SIGTERM or SIGINT (a second one ends it at once), or until all
 * `parts` have failed. ERR_EXISTS: it runs already; the sentence says so. */
int edge_run(const struct edge_conf *conf, struct err *err);

/* --- within -------------------------------------------------------------- */

/* "tedge-mapper-c8y@p": the type, and where its profile begins; of
 * "tedge-mapper-NAME" NAME, if mappers/NAME is there. NULL: there is no such
 * part. */
const struct part_type *part_find(
    const struct config *c, struct str name, struct str *profile);

/* By name. 0, or with a sentence: ERR_NOT_FOUND no such part, else what its
 * start said. Starting a started one changes nothing. */
int edge_start(struct edge *e, struct str name, struct err *err);
int edge_stop(struct edge *e, struct str name, struct err *err);
/* Begins to end the session of a mapper that has stopped, or of its bridge, at
 * the broker, with all that waits in it. */
int edge_forget(struct edge *e, struct str name, struct err *err);
void edge_each(struct edge *e,
    void (*each)(
	void *ctx, struct str name, enum part_state state, const char *why),
    void *ctx);

/* The parts that start with the program: a file of names in the data folder. */
int parts_enabled(const struct config *c, struct buf *lines, struct err *err);
/* Adds or removes one; `on` and there, or off and not: nothing. */
int parts_enable(
    const struct config *c, struct str name, bool on, struct err *err);

/* --- the control socket: one line each way per connection ---------------- */

struct control;
int control_open(struct edge *e, struct control **ret, struct err *err);
void control_close(struct control *c); /* NULL is fine */
/* From another process: sends "start NAME" and adds the answer's lines to
 * `out`. ERR_CLOSED: marram-edge does not run; else what it said. */
int control_ask(
    const struct config *c, const char *line, struct buf *out, struct err *err);

#endif
