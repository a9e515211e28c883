/*
 * net/tunnel.h - a way through an HTTP proxy, by CONNECT, as a layer over the
 * connection to that proxy. What is on top speaks with the host behind it.
 *
 * Until the proxy has opened the way, what is written is kept, up to
 * TUNNEL_KEPT_MAX. If it refuses, reading and writing say EPROTO, and
 * stream_why() has the sentence.
 */
#ifndef NET_TUNNEL_H
#define NET_TUNNEL_H

#include "base/str.h"
#include "net/stream.h"

#include <stdbool.h>
#include <stdint.h>

#define TUNNEL_KEPT_MAX 65536 /* bytes */

/* Takes `below`. `user` may be STR_NULL. Never fails. */
struct stream *tunnel_stream(struct stream *below, const char *host,
    uint16_t port, struct str user, struct str password);

#endif
