/*
 * core/fleet/program.c - a program that a worker waits for: git, nix, ssh.
 *
 * It is started on a loop of its own, on the thread that waits. Some times in a
 * second it is looked whether the server ends: then the program is killed with
 * its group, since nobody waits for what it says, and the server ends at once
 * however long the program could have gone on.
 */
#include "core/fleet/private.h"

#include "base/child.h"

#include <stdatomic.h>

#define LOOK_MS 100

struct wait {
	void (*done)(void *ctx, const struct child_end *end);
	void *ctx;
	bool ended;
};

static void
on_end(void *ctx, const struct child_end *end)
{
	struct wait *w = ctx;

	w->ended = true;
	w->done(w->ctx, end);
}

int
fleet_program(struct fleet *f, const struct child_conf *conf,
    void (*done)(void *ctx, const struct child_end *end), void *ctx,
    struct err *err)
{
	struct wait w = { .done = done, .ctx = ctx };
	struct child *child = NULL;
	struct loop *loop;
	int rc;

	if (atomic_load(&f->ending)) /* many may wait for their turn yet */
		return err_set(err, ERR_CLOSED, "the server ends");
	loop = loop_new();
	rc = child_start(loop, conf, on_end, &w, &child, err);
	while (rc == 0 && !w.ended) {
		loop_turn(loop, LOOK_MS);
		if (w.ended || !atomic_load(&f->ending))
			continue;
		child_free(child);
		rc = err_set(err, ERR_CLOSED, "the server ends");
	}
	loop_free(loop);
	return rc;
}
