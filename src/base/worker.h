/*
 * base/worker.h - threads for what blocks: store, disk, slow mathematics.
 *
 * A pool has a fixed number of threads and a bounded queue. Jobs start in the
 * order they came.
 */
#ifndef BASE_WORKER_H
#define BASE_WORKER_H

#include "base/loop.h"

#include <stddef.h>

struct worker_pool;

struct worker_job {
	void (*run)(struct worker_job *job); /* on a thread of the pool */
	/* the pool's own */
	struct worker_job *next;
};

/* Starts `threads` threads, named `name` (at most 15 characters). */
struct worker_pool *worker_pool_new(
    const char *name, size_t threads, size_t queue_max);
/* Waits for all jobs, those in the queue too. NULL is fine. */
void worker_pool_free(struct worker_pool *p);

/* [any thread] ERR_LIMIT: the queue is full, nothing was done. `job` is the
 * pool's until it runs; run() may free it. */
int worker_submit(struct worker_pool *p, struct worker_job *job);

#endif
