/*
 * edge/mapper/double.h - a host for mappers in tests: it has a clock that is
 * moved by hand, and writes down what it was asked for, a line each:
 *
 *	out TOPIC q1r PAYLOAD     published; errors too ("r": retained)
 *	http METHOD URL TYPE BODY
 *	carry FROM TO TYPE
 *	run SECONDS WORD|WORD|...
 *	watch FOLDER
 *
 * The end of a line in a payload is shown as "⏎", an empty payload as nothing.
 */
#ifndef EDGE_MAPPER_DOUBLE_H
#define EDGE_MAPPER_DOUBLE_H

#include "edge/mapper.h"

struct mapper_double {
	struct mapper_host host; /* hand this to open() */
	struct str root;         /* borrowed: "te" */
	struct str folder; /* left out of what is written down; borrowed */
	int64_t now_ns, mono_ms;
	int32_t offset_s;
	int64_t due_ms; /* -1: no timer */
	struct buf said;
	/* Requests without an answer, and programs without an end, oldest
	 * first. */
	uint64_t asked[64], started[64];
	size_t n_asked, n_started;
};

void mapper_double_init(struct mapper_double *d);
void mapper_double_fini(struct mapper_double *d);
/* It is connected, and what the broker has kept has come: what it says then is
 * forgotten, and it is the time it was. */
void mapper_double_begin(
    struct mapper_double *d, const struct mapper_ops *ops, void *m);
/* Lets time pass, and the timer come where it is due. */
void mapper_double_wait(
    struct mapper_double *d, const struct mapper_ops *ops, void *m, int64_t ms);
/* The oldest request is answered. False: there is none. */
bool mapper_double_answer(struct mapper_double *d, const struct mapper_ops *ops,
    void *m, int status, struct str body);
/* The oldest program ends; `text` is what it wrote, on standard error where the
 * status is not 0. -1: it was killed at its deadline. */
bool mapper_double_exit(struct mapper_double *d, const struct mapper_ops *ops,
    void *m, int status, struct str text);

#endif
