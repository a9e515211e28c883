/*
 * edge/program.c - see program.h.
 */
#include "edge/program.h"

#include "base/child.h"
#include "base/loop.h"

#define PROGRAM_MS 90000 /* a service may take its time to stop */

struct running {
	struct loop *loop;
	struct buf *out;
	struct err *err;
	const char *name;
	int rc;
};

static void
on_end(void *ctx, const struct child_end *end)
{
	struct running *r = ctx;
	struct buf why = { 0 };
	struct str said = str_trim(end->err.len > 0 ? end->err : end->out);

	buf_add_str(r->out, end->out);
	if (end->status != 0) {
		child_end_text(end, &why);
		r->rc = err_set(r->err, ERR_IO, "%s " STR_FMT "%s" STR_FMT,
		    r->name, STR_ARG(buf_str(&why)), said.len > 0 ? ": " : "",
		    STR_ARG(said));
	}
	buf_free(&why);
	loop_stop(r->loop);
}

int
program_run(const char *const *argv, struct buf *out, struct err *err)
{
	const struct child_conf conf = { .argv = argv,
		.timeout_ms = PROGRAM_MS };
	struct running r = {
		.loop = loop_new(), .out = out, .err = err, .name = argv[0]
	};
	struct child *child;
	int rc = child_start(r.loop, &conf, on_end, &r, &child, err);

	if (rc == 0) {
		loop_run(r.loop);
		rc = r.rc;
	}
	loop_free(r.loop);
	return rc;
}
