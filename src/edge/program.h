/*
 * edge/program.h - a program that a command waits for. Parts use base/child.h,
 * which does not block.
 */
#ifndef EDGE_PROGRAM_H
#define EDGE_PROGRAM_H

#include "base/err.h"
#include "base/str.h"

/* Runs a program to its end and adds what it wrote. ERR_NOT_FOUND: there is no
 * such program; ERR_IO: it ended with another status than 0. */
int program_run(const char *const *argv, struct buf *out, struct err *err);

#endif
