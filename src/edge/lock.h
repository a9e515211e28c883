/*
 * edge/lock.h - one of each service on a device: a locked file with its pid.
 */
#ifndef EDGE_LOCK_H
#define EDGE_LOCK_H

#include "edge/config.h"

/* Locks RUN/lock/SERVICE.lock (run.path), unless run.lock_files is off; `*ret`
 * is then -1. ERR_EXISTS: "Another instance of SERVICE is running." */
int service_lock(
    const struct config *c, const char *service, int *ret, struct err *err);
void service_unlock(int fd); /* -1 is fine */

#endif
