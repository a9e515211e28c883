/*
 * plug/metric/commit.h - a journal with those who wait for their records.
 *
 * What is appended may bring a metric_commit, which is told when the record is
 * as durable as `sync` asks for, in the order of appending.
 */
#ifndef PLUG_METRIC_COMMIT_H
#define PLUG_METRIC_COMMIT_H

#include "base/journal.h"
#include "plug/metric/metric.h"

#include <pthread.h>
#include <time.h>

struct commits {
	struct journal *journal; /* NULL while it is being opened */
	bool sync;
	pthread_mutex_t lock;
	pthread_cond_t progress;
	struct metric_commit *first, **last;
	uint64_t group; /* of the last record */
};

void commits_init(struct commits *c, bool sync);
void commits_fini(struct commits *c); /* the journal is closed */

/* For journal_conf.progress, and whenever a record was appended. */
void commits_tell(struct commits *c);
/* Appends a record and has it written; `commit` may be NULL. Called by one
 * thread at a time.
 * ERR_AGAIN, ERR_PARAM (too long), ERR_IO. */
int commits_append(struct commits *c, struct str record,
    struct metric_commit *commit, uint64_t *segment, struct err *err);
/* Returns when all that was appended is committed. ERR_IO: it never will be;
 * ERR_AGAIN: not within that time. */
int commits_wait(struct commits *c, int64_t timeout_ms, struct err *err);
/* The moment so far from now, for pthread_cond_timedwait(). */
struct timespec time_from_now(int64_t ms);

#endif
