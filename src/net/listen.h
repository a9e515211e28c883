/*
 * net/listen.h - a TCP socket on which HTTP is awaited.
 */
#ifndef NET_LISTEN_H
#define NET_LISTEN_H

#include "base/err.h"

#include <stdint.h>

/* Listens, without blocking, on an address, which is a number, and a port; 0:
 * the kernel chooses, `*got` is which. "::" takes those of IPv4, too.
 * ERR_PARAM: it is no address. */
int net_listen(const char *address, uint16_t port, uint16_t *got, int *ret,
    struct err *err);

#endif
