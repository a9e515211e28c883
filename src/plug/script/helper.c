/*
 * plug/script/helper.c - marram-script: the process that users' scripts run in.
 *
 * Not for people to start, but for --check, which tries whether this machine's
 * kernel shuts it in. It reads calls from standard input, runs one after
 * another and writes the answers; see wire.h. Answers are gathered while calls
 * are there to be run; a second thread writes what was gathered for half a
 * millisecond, however long the next call takes.
 *
 * It holds nothing worth protecting: what it says is believed by nobody, and
 * it may be killed at any instant.
 */
#include "base/str.h"
#include "plug/script/jail.h"
#include "plug/script/realm.h"
#include "plug/script/wire.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define FRAME_MAX ((size_t)64 << 20) /* the pool's own limits are lower */
#define GATHER 32768                 /* bytes of answers written at once */
#define GATHER_NS 500000

static struct buf in;
static size_t at;      /* in[at..] is still to be read */
static struct buf out; /* answers not yet written; both threads' */
static pthread_mutex_t out_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t out_more = PTHREAD_COND_INITIALIZER;
static struct wire_mark *mark;
static struct wire_mark no_mark;
static struct realm_source *slots[WIRE_SLOTS];
static uint32_t seq; /* of the call that runs */
static bool asked;   /* it asked for something */

static void
flush(void) /* with the lock held */
{
	size_t done = 0;

	while (done < out.len) {
		ssize_t n =
		    write(STDOUT_FILENO, out.ptr + done, out.len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			_exit(0); /* the pool is gone */
		done += (size_t)n;
	}
	buf_clear(&out);
}

static void
flush_now(void)
{
	pthread_mutex_lock(&out_lock);
	flush();
	pthread_mutex_unlock(&out_lock);
}

/* The second thread. */
static void *
flush_later(void *arg)
{
	const struct timespec gather = { .tv_nsec = GATHER_NS };

	(void)arg;
	pthread_mutex_lock(&out_lock);
	for (;;) {
		while (out.len == 0)
			pthread_cond_wait(&out_more, &out_lock);
		pthread_mutex_unlock(&out_lock);
		nanosleep(&gather, NULL);
		pthread_mutex_lock(&out_lock);
		flush();
	}
	return NULL;
}

static void
fill(void)
{
	ssize_t n;

	if (at > 0) {
		memmove(in.ptr, in.ptr + at, in.len - at);
		in.len -= at;
		at = 0;
	}
	buf_reserve(&in, 65536);
	do
		n = read(STDIN_FILENO, in.ptr + in.len, in.cap - in.len);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		_exit(0);
	in.len += (size_t)n;
}

/* The frame that begins `from` bytes behind what was read; reads more until it
 * is all there. */
static struct wire_frame
frame_at(size_t from)
{
	struct wire_frame f;
	int rc;

	for (;;) {
		struct str rest = { in.ptr + at + from, in.len - at - from };

		rc = in.ptr != NULL && in.len - at >= from
		    ? wire_next(rest, FRAME_MAX, &f)
		    : 0;
		if (rc > 0)
			return f;
		if (rc < 0)
			_exit(1);
		fill();
	}
}

/* --- requests ------------------------------------------------------------ */

static void
ask(struct wire_ask *a, struct buf *ret)
{
	struct wire_frame f;
	size_t begin, from = 0;

	asked = true;
	pthread_mutex_lock(&out_lock);
	begin = wire_begin(&out, WIRE_ASK);
	wire_u32(&out, seq);
	wire_u8(&out, a->insecure);
	wire_u32(&out, a->timeout);
	wire_text(&out, a->method);
	wire_text(&out, a->url);
	wire_text(&out, a->headers);
	wire_text(&out, a->body);
	wire_end(&out, begin);
	flush();
	pthread_mutex_unlock(&out_lock);

	/* Calls may stand before the answer: they wait, the answer is struck
	 * out. */
	while ((f = frame_at(from)).kind != WIRE_ANSWER)
		from += f.size;
	in.ptr[at + from + 4] = WIRE_DONE;
	buf_add_str(ret, wire_get_text(&f.body));
}

/* --- calls --------------------------------------------------------------- */

static void
run_call(struct wire w, bool more)
{
	struct realm_call c = { 0 };
	struct realm_answer a;
	uint32_t slot;
	size_t begin;

	seq = wire_get_u32(&w);
	slot = wire_get_u32(&w);
	c.entry = wire_get_u8(&w);
	c.flags = wire_get_u8(&w);
	c.arg = wire_get_text(&w);
	c.n_vars = wire_get_u32(&w);
	c.vars = w;
	if (w.bad || slot >= WIRE_SLOTS)
		_exit(1);
	c.source = slots[slot];

	asked = false;
	atomic_store(&mark->seq, seq);
	realm_run(&c, &a);
	atomic_store(&mark->seq, 0);

	pthread_mutex_lock(&out_lock);
	if (out.len == 0 && more)
		pthread_cond_signal(&out_more);
	begin = wire_begin(&out, WIRE_RESULT);
	wire_u32(&out, seq);
	wire_u8(&out, a.good);
	wire_u8(&out, (uint8_t)a.code);
	wire_u32(&out, a.line);
	wire_text(&out, a.console);
	wire_text(&out, a.text);
	wire_end(&out, begin);
	/* What asked for something is never run again: its answer is out before
	 * anything else begins. So is all, before waiting for more to do. */
	if (asked || !more || out.len >= GATHER)
		flush();
	pthread_mutex_unlock(&out_lock);
}

static void
take_source(struct wire w)
{
	uint32_t slot = wire_get_u32(&w);
	struct str text = wire_get_text(&w);

	if (w.bad || slot >= WIRE_SLOTS)
		_exit(1);
	realm_source_free(slots[slot]);
	slots[slot] = realm_source_new(text);
}

static void
serve(void)
{
	struct wire_frame f;

	for (;;) {
		struct str rest;
		struct wire_frame next;

		f = frame_at(0);
		rest =
		    (struct str){ in.ptr + at + f.size, in.len - at - f.size };
		/* Waiting for an answer may move `in` and so the frame; once
		 * its script runs, nothing of it is looked at any more. */
		if (f.kind == WIRE_CALL)
			run_call(f.body, wire_next(rest, FRAME_MAX, &next) > 0);
		else if (f.kind == WIRE_SOURCE)
			take_source(f.body);
		at += f.size;
	}
}

static void
say(enum wire_kind kind, const char *why)
{
	size_t begin = wire_begin(&out, kind);

	if (why != NULL)
		wire_text(&out, str_of(why));
	wire_end(&out, begin);
	flush_now();
}

int
main(int argc, char **argv)
{
	bool check = argc == 2 && strcmp(argv[1], "--check") == 0;
	const char *why;
	pthread_t t;

	if (!check && argc != 3) {
		fputs("marram-script runs users' scripts for marram.\n"
		      "Usage: marram-script --check\n",
		    stderr);
		return 2;
	}
	mark = &no_mark;
	if (!check)
		mark = mmap(NULL, sizeof(*mark), PROT_READ | PROT_WRITE,
		    MAP_SHARED, WIRE_MARK_FD, 0);
	if (mark == MAP_FAILED)
		return 1;
	jail_limits(STDERR_FILENO);
	if (check)
		realm_start(true, 65536, ask);
	else
		realm_start(strcmp(argv[1], "jit") == 0,
		    (uint32_t)strtoul(argv[2], NULL, 10), ask);
	if (pthread_create(&t, NULL, flush_later, NULL) != 0)
		return 1;
	why = jail_close();
	if (check) {
		if (why != NULL)
			fprintf(stderr, "marram-script: %s\n", why);
		return why != NULL || jail_check() > 0;
	}
	if (why != NULL) {
		say(WIRE_FAILED, why);
		return 1;
	}
	say(WIRE_READY, NULL);
	serve();
}
