/*
 * plug/script/process.h - one helper process as the pool sees it: a pid, two
 * pipes, a page of memory that both see, and what /proc tells of it.
 */
#ifndef PLUG_SCRIPT_PROCESS_H
#define PLUG_SCRIPT_PROCESS_H

#include "base/err.h"
#include "base/str.h"
#include "plug/script/wire.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct process {
	pid_t pid;
	int to, from; /* ours of the pipes, both not blocking */
	int statm;
	struct wire_mark *mark;
};

/* The program: `given`, or if null beside the running program, in the folder
 * it is built in, or where it is installed. A path that the caller frees, or
 * NULL with the places that were looked at in `err`. */
char *process_find(struct str given, struct err *err);

int process_start(struct process *p, const char *path, bool jit,
    int64_t output_max, struct err *err);
/* Kills it and closes all; the pid is left to process_reap(). */
void process_kill(struct process *p);
/* True when it is gone. With `wait`, waits for that. `*status` may be NULL. */
bool process_reap(pid_t pid, bool wait, int *status);

/* Bytes that are in memory for it alone; 0 when that cannot be known. */
int64_t process_memory(const struct process *p);
/* Processor time of all its threads so far. */
int64_t process_cpu_ms(const struct process *p);

#endif
