/*
 * net/ws.h - MQTT over WebSocket, server side, as a layer over a stream.
 *
 * The bytes of all binary frames of the peer, behind each other, are what is
 * read [MQTT-6.0.0-2]; what is written by one stream_writev() leaves as one
 * binary frame (in several, if it is over 64 KiB). Pings are answered, the
 * close handshake is done, and whatever breaks a rule ends the connection with
 * the code that RFC 6455 has for it: then stream_read() says EPROTO.
 *
 * An idle connection holds no buffer.
 */
#ifndef NET_WS_H
#define NET_WS_H

#include "base/str.h"
#include "net/stream.h"

#include <stdbool.h>
#include <stdint.h>

struct ws_conf {
	const char *path;   /* that may be asked for; NULL: any */
	uint64_t max_frame; /* bytes of a frame's payload; 0: 16 MiB */
};

/* Begins with the peer's HTTP request, which is read and answered inside of
 * stream_read(). Borrows `conf`; takes `below`. */
struct stream *ws_stream(const struct ws_conf *conf, struct stream *below);

/* The same behind an answer 101 that somebody else has sent. `already` is what
 * came behind the request and was read with it; copied. */
struct stream *ws_stream_upgraded(
    const struct ws_conf *conf, struct stream *below, struct str already);

/* Was the request answered with 101? */
bool ws_stream_is_up(const struct stream *s);

#endif
