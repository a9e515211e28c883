/*
 * edge/agent/watch.c - folders of plugins, and their lists: when a file comes,
 * goes or changes there, what the device can do is looked up anew.
 */
#include "edge/agent/job.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define SETTLE_MS 300 /* an editor or installer makes several changes */

struct folder_watch {
	struct agent *agent;
	struct loop_io io;
	struct loop_timer settle;
	int software; /* the number of sm-plugins/ */
	bool software_changed, files_changed;
};

static void
on_settled(struct loop_timer *t)
{
	struct folder_watch *w = container_of(t, struct folder_watch, settle);
	struct agent *a = w->agent;

	if (w->software_changed)
		software_scan(a);
	if (w->files_changed) {
		agent_tell_capability(a, "config");
		agent_tell_capability(a, "log_upload");
	}
	w->software_changed = w->files_changed = false;
}

static void
on_change(struct loop_io *io, unsigned what)
{
	struct folder_watch *w = container_of(io, struct folder_watch, io);
	char bytes[4096] __attribute__((aligned(8)));
	ssize_t n;

	(void)what;
	while ((n = read(io->fd, bytes, sizeof(bytes))) > 0)
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *e = (void *)(bytes + at);

			if (e->wd == w->software)
				w->software_changed = true;
			else
				w->files_changed = true;
			at += (ssize_t)(sizeof(*e) + e->len);
		}
	loop_after(w->agent->loop, &w->settle, SETTLE_MS);
}

static int
add(struct folder_watch *w, const char *path)
{
	/* A folder that is not there is not watched: signals do as well. */
	return inotify_add_watch(w->io.fd, path,
	    IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE |
		IN_ATTRIB);
}

static void
add_all(struct folder_watch *w, struct strs folders)
{
	for (size_t i = 0; i < folders.n; i++) {
		char *path = str_dupz(folders.at[i]);

		(void)add(w, path);
		free(path);
	}
}

void
watch_open(struct agent *a)
{
	struct folder_watch *w = mem_new(struct folder_watch);
	char *path;

	a->watch = w;
	w->agent = a;
	w->settle.fire = on_settled;
	w->io.ready = on_change;
	w->io.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (w->io.fd < 0) /* too many of this user: signals do as well */
		return;
	path = mem_printf("%s/sm-plugins", a->conf->config_dir);
	w->software = add(w, path);
	free(path);
	path = mem_printf("%s/plugins", a->conf->config_dir);
	(void)add(w, path);
	free(path);
	add_all(w, a->conf->config_plugins);
	add_all(w, a->conf->log_plugins);
	loop_watch(a->loop, &w->io, LOOP_READ);
}

void
watch_close(struct agent *a)
{
	struct folder_watch *w = a->watch;

	if (w == NULL)
		return;
	loop_cancel(a->loop, &w->settle);
	if (w->io.fd >= 0) {
		loop_unwatch(a->loop, &w->io);
		close(w->io.fd);
	}
	free(w);
	a->watch = NULL;
}
