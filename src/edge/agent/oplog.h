/*
 * edge/agent/oplog.h - the log of one command: each program that was run, how
 * it ended, and what it wrote.
 *
 *	----- $ /etc/tedge/sm-plugins/apt list
 *	exit status: 0
 *
 *	stdout <<EOF
 *	...
 *	EOF
 *
 *	stderr <<EOF
 *	EOF
 *
 * Of each operation only so many are kept: logs.max_per_operation.
 */
#ifndef EDGE_AGENT_OPLOG_H
#define EDGE_AGENT_OPLOG_H

#include "base/child.h"
#include "base/err.h"
#include "base/str.h"

struct oplog {
	int fd;	    /* -1: it could not be opened; all goes on without it */
	char *path; /* NULL: it was not opened */
};

/* DIR/agent/NAME.log, after the oldest beyond what `keep` ("*:5",
 * "software_list:1") allows of those that begin with `prefix` are deleted. On
 * failure the path is told all the same. */
int oplog_open(struct oplog *l, const char *dir, struct str prefix,
    struct str name, const char *op, struct strs keep, struct err *err);
void oplog_close(struct oplog *l); /* one never opened is fine, zeroed too */

void oplog_line(struct oplog *l, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* `quiet`: how much it wrote in place of what. */
void oplog_program(struct oplog *l, const char *const *argv,
    const struct child_end *end, bool quiet);

/* How many are kept of `op`. */
unsigned oplog_keep(struct strs keep, const char *op);

#endif
