/*
 * base/child.h - another program, run beside the loop: input, output, end.
 *
 * It is started with an argument vector, never by a shell, in a process group
 * of its own, without our descriptors. What it writes is gathered up to a limit
 * (more is read and dropped, and told); at its deadline the group gets SIGTERM,
 * and SIGKILL `grace_ms` later. A child that leaves others behind which hold
 * its pipes does not hold us: with its end the group is killed, and what is in
 * the pipes then is all that is read. Nor does one that cannot be killed, as
 * one behind sudo: after another `grace_ms` it is given up.
 *
 * A child belongs to one loop and is used on that loop's thread only.
 */
#ifndef BASE_CHILD_H
#define BASE_CHILD_H

#include "base/err.h"
#include "base/loop.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct child;

struct child_conf {
	const char *const *argv; /* NULL ends; argv[0] is looked up in PATH */
	const char *const *env;  /* "NAME=value" over our own; NULL: none */
	const char *cwd;         /* NULL: ours */
	struct str input;        /* its standard input; STR_NULL: /dev/null */
	size_t output_max;       /* bytes kept of each; 0: 1 MiB */
	uint64_t file_max;       /* bytes of a file it writes: else it is ended
				  * by SIGXFSZ; 0: any */
	int64_t timeout_ms;      /* 0: none */
	int64_t grace_ms;        /* 0: 5000 */
	/* Heard as they come, beside being kept; may be NULL. Lent. */
	void (*output)(void *ctx, bool is_error, struct str bytes);
};

struct child_end {
	int status; /* of exit(); -1: it was killed, or given up */
	int signal; /* 0: it was not killed */
	bool timed_out;
	bool cut;            /* it wrote more than was kept */
	struct str out, err; /* lent */
	int64_t took_ms, timeout_ms;
};

/* Copies `conf`. `done` is called once, never before this returns, and the
 * child is forgotten behind it. ERR_NOT_FOUND, ERR_DENIED, ERR_IO: it could not
 * be started, and the sentence says why. */
int child_start(struct loop *loop, const struct child_conf *conf,
    void (*done)(void *ctx, const struct child_end *end), void *ctx,
    struct child **ret, struct err *err);
/* As its deadline, but not told as that; done() is still called. */
void child_stop(struct child *c);
/* Kills it now and forgets it; done() is not called. NULL is fine. */
void child_free(struct child *c);

/* "exited with 2", "killed by SIGTERM", "took longer than 5 s", "did not end
 * when it was killed". */
void child_end_text(const struct child_end *end, struct buf *out);

#endif
