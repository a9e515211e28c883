/*
 * net/ws_conn.h - one WebSocket connection of messages, on a loop: either side.
 *
 * It begins behind the answer 101 and owns its descriptor and layers. Pings are
 * answered, as long as the peer reads the answers; what breaks a rule ends it
 * with the code that RFC 6455 has for it.
 *
 *  (1) What is sent is queued without a limit: who sends asks ws_conn_waiting()
 *      and stops what it reads from elsewhere; room() tells when to go on.
 *  (2) Nothing is read while it is held.
 *  (3) After closed(), or ws_conn_close(), no callback is called.
 */
#ifndef NET_WS_CONN_H
#define NET_WS_CONN_H

#include "base/err.h"
#include "base/loop.h"
#include "base/str.h"
#include "codec/websocket.h"
#include "net/stream.h"

#include <stdbool.h>
#include <stddef.h>

struct ws_conn;

/* A callback may call any function below, ws_conn_close() included. */
struct ws_conn_events {
	void (*message)(void *owner, bool binary, struct str payload);
	/* Less than `low` bytes wait, after there were more. May be NULL. */
	void (*room)(void *owner);
	/* It is over, and freed when this returns. */
	void (*closed)(void *owner, const struct err *why);
	/* The answer to a ping: the peer has taken all that was sent before it.
	 * May be NULL. */
	void (*pong)(void *owner, struct str payload);
};

struct ws_conn_conf {
	size_t message_max;
	bool client;
	size_t low; /* bytes */
	/* Called when the descriptor is closed; NULL: nothing. */
	void (*ended)(void *ended_ctx);
	void *ended_ctx;
};

/* Takes `fd`, which does not block, and `top`, a layer over it (NULL: none).
 * `already` was read with the request; copied. No callback before it returns.
 */
struct ws_conn *ws_conn_new(struct loop *loop, const struct ws_conn_conf *conf,
    int fd, struct stream *top, struct str already,
    const struct ws_conn_events *events, void *owner);

void ws_conn_send(struct ws_conn *c, bool binary, struct str payload);
/* The same of two parts behind each other. */
void ws_conn_send2(
    struct ws_conn *c, bool binary, struct str head, struct str payload);
/* `payload` comes back with the answer; at most 125 bytes. */
void ws_conn_ping(struct ws_conn *c, struct str payload);
/* From the next frame on, in the place of ws_conn_conf.message_max: who has not
 * said who it is has little to say. */
void ws_conn_message_max(struct ws_conn *c, size_t bytes);
size_t ws_conn_waiting(const struct ws_conn *c); /* bytes not sent yet */
/* Reading stops, and goes on; holds are counted. */
void ws_conn_hold(struct ws_conn *c);
void ws_conn_release(struct ws_conn *c);
bool ws_conn_is_held(const struct ws_conn *c);
/* When something last came from the peer, monotonic. */
int64_t ws_conn_heard(const struct ws_conn *c);

/* What waits is sent for a little while yet, then the close frame; the owner is
 * done with it. `code` 0: it is dropped at once. NULL is fine. */
void ws_conn_close(struct ws_conn *c, int code);

#endif
