/*
 * edge/notify.c - see notify.h. The protocol of sd_notify(3): a datagram to the
 * socket that NOTIFY_SOCKET names.
 */
#include "edge/notify.h"

#include "base/base.h"
#include "base/str.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void
notify_say(const char *text)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	size_t len = path != NULL ? strlen(path) : 0;
	int fd;

	if (len < 2 || len >= sizeof(to.sun_path))
		return;
	memcpy(to.sun_path, path, len);
	if (path[0] == '@') /* of the abstract names */
		to.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	(void)sendto(fd, text, strlen(text), MSG_NOSIGNAL,
	    (const struct sockaddr *)&to,
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
	close(fd);
}

static void
on_beat(struct loop_timer *t)
{
	struct notify *n = container_of(t, struct notify, beat);

	notify_say("WATCHDOG=1");
	loop_after(n->loop, t, n->every_ms);
}

/* How long systemd waits, if it is this process that it watches. */
static int64_t
patience_ms(void)
{
	uint64_t us = 0, pid = 0;

	if (!str_to_u64(str_of(getenv("WATCHDOG_USEC")), &us) || us == 0)
		return 0;
	if (str_to_u64(str_of(getenv("WATCHDOG_PID")), &pid) &&
	    pid != (uint64_t)getpid())
		return 0;
	return (int64_t)(us / 1000);
}

void
notify_ready(struct notify *n, struct loop *loop)
{
	n->loop = loop;
	n->beat.fire = on_beat;
	n->every_ms = patience_ms() / 2;
	notify_say("READY=1");
	if (n->every_ms > 0)
		on_beat(&n->beat);
}

void
notify_stopping(struct notify *n)
{
	if (n->loop == NULL)
		return;
	loop_cancel(n->loop, &n->beat);
	notify_say("STOPPING=1");
	n->loop = NULL;
}
