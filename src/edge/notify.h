/*
 * edge/notify.h - what systemd is told of this process: that it is ready, and
 * that it lives (Type=notify, WatchdogSec=). Under anything else it does
 * nothing.
 */
#ifndef EDGE_NOTIFY_H
#define EDGE_NOTIFY_H

#include "base/loop.h"

struct notify {
	struct loop *loop; /* borrowed */
	struct loop_timer beat;
	int64_t every_ms; /* 0: it does not watch */
};

/* Tells "READY=1", and from now on, as long as the loop turns, that it lives.
 */
void notify_ready(struct notify *n, struct loop *loop);
void notify_stopping(struct notify *n);
/* "STATUS=...". */
void notify_say(const char *text);

#endif
