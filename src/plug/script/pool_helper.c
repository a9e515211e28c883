/*
 * plug/script/pool_helper.c - the pool's side of one helper: see the drawing in
 * pool.c.
 */
#include "plug/script/pool.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/mem.h"
#include "codec/json.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- starting and losing -------------------------------------------------- */

static void on_readable(struct loop_io *io, unsigned what);
static void on_writable(struct loop_io *io, unsigned what);

int
helper_start(struct script_pool *p, struct group *g, struct err *err)
{
	struct helper *h;
	char *path = process_find(p->conf.helper, err);
	int rc;

	if (path == NULL)
		return err->code;
	h = mem_new(struct helper);
	rc = process_start(
	    &h->process, path, p->conf.jit, p->conf.output_max, err);
	free(path);
	if (rc != 0) {
		free(h);
		return rc;
	}
	h->pool = p;
	h->group = g;
	h->state = STARTING;
	h->window = SENT_MIN;
	h->began = h->heard = clock_mono();
	h->from =
	    (struct loop_io){ .ready = on_readable, .fd = h->process.from };
	h->to = (struct loop_io){ .ready = on_writable, .fd = h->process.to };
	loop_watch(p->loop, &h->from, LOOP_READ);
	list_add(&p->helpers, &h->link);
	p->n_helpers++;
	g->helper = h;
	list_del(&g->link);
	counter_add(&script_counters.helpers_started, 1);
	counter_add(&script_counters.helpers, 1);
	pool_wake(p);
	return 0;
}

/* Ends the process and frees the helper, whose calls have been taken away. */
void
helper_end(struct helper *h)
{
	struct script_pool *p = h->pool;

	if (h->ask != NULL) {
		h->ask->helper = NULL;
		h->ask->http.gone = true;
	}
	loop_unwatch(p->loop, &h->from);
	loop_unwatch(p->loop, &h->to);
	if (p->n_dead == p->cap_dead) {
		p->cap_dead = p->cap_dead * 2 + 8;
		p->dead = mem_resize(p->dead, p->cap_dead, sizeof(*p->dead));
	}
	p->dead[p->n_dead++] = h->process.pid;
	process_kill(&h->process);
	list_del(&h->link);
	p->n_helpers--;
	counter_add(&script_counters.helpers, -1);
	h->group->helper = NULL;
	for (size_t i = 0; i < WIRE_SLOTS; i++)
		str_free(h->slots[i].source);
	buf_free(&h->in);
	buf_free(&h->out);
	pool_wake(p);
	loop_defer(p->loop, &p->defer);
	loop_free_later(p->loop, h);
}

/* The call the helper says it is in, else the first that it has. */
struct sent *
helper_current(struct helper *h)
{
	uint32_t seq = atomic_load(&h->process.mark->seq);
	uint32_t i = seq - helper_sent(h, 0)->seq;

	return helper_sent(h, i < h->n ? i : 0);
}

static void
requeue(struct group *g, struct script_call *c)
{
	c->helper = NULL;
	c->queued = true;
	list_add_first(&g->waiting, &c->link);
}

/* The helper is over, and so is the call it was in. */
void
helper_lose(struct helper *h, enum script_end end, const char *why)
{
	struct script_pool *p = h->pool;
	struct group *g = h->group;
	struct script_call *guilty = NULL;
	bool again = false;
	int64_t memory = 0, timeout = 0;
	char text[160];

	if (h->n > 0) {
		struct sent *s = helper_current(h);

		guilty = s->call;
		memory = s->memory;
		timeout = s->timeout_ms;
		if (guilty != NULL)
			again =
			    (end == SCRIPT_MEMORY || end == SCRIPT_CRASHED) &&
			    h->served + (s != helper_sent(h, 0)) > 0 &&
			    guilty->tries++ == 0 && !guilty->asked;
	}
	for (uint32_t i = h->n; i-- > 0;) {
		struct script_call *c = helper_sent(h, i)->call;

		if (c != NULL && c != guilty)
			requeue(g, c);
	}
	if (guilty != NULL && again)
		requeue(g, guilty);
	h->n = 0;
	helper_end(h);
	pool_line_up(p, g);
	if (guilty == NULL || again) {
		pool_drop_group(p, g);
		return;
	}
	if (end == SCRIPT_TIMEOUT)
		snprintf(text, sizeof(text),
		    "stopped: it ran for more than %" PRId64 " ms", timeout);
	else if (end == SCRIPT_MEMORY)
		snprintf(text, sizeof(text),
		    "stopped: it took more than %" PRId64 " MiB of memory",
		    memory >> 20);
	else
		snprintf(text, sizeof(text), "%s", why);
	pool_finish_bare(p, guilty, end, ERR_LIMIT, text);
}

void
helper_fail_start(struct helper *h, struct str said)
{
	struct script_pool *p = h->pool;
	struct group *g = h->group;
	struct err err;

	err_set(&err, ERR_IO,
	    "the helper process for scripts did not start%s" STR_FMT,
	    said.len > 0 ? ": " : "", STR_ARG(said));
	helper_end(h);
	pool_refuse_group(p, g, &err);
}

/* --- sending -------------------------------------------------------------- */

void
helper_write(struct helper *h)
{
	while (h->out_at < h->out.len) {
		ssize_t n = write(h->process.to, h->out.ptr + h->out_at,
		    h->out.len - h->out_at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break; /* full; or broken, which reading tells */
		h->out_at += (size_t)n;
	}
	if (h->out_at == h->out.len) {
		buf_clear(&h->out);
		h->out_at = 0;
		loop_watch(h->pool->loop, &h->to, 0);
	} else {
		loop_watch(h->pool->loop, &h->to, LOOP_WRITE);
	}
}

static void
on_writable(struct loop_io *io, unsigned what)
{
	struct helper *h = container_of(io, struct helper, to);

	(void)what;
	helper_write(h);
	helper_send(h);
}

/* The slot that has this source; it is sent if none has. */
static uint32_t
slot_for(struct helper *h, struct str source)
{
	uint32_t oldest = 0;
	size_t begin;

	for (uint32_t i = 0; i < WIRE_SLOTS; i++) {
		if (h->slots[i].source.len == source.len &&
		    h->slots[i].source.ptr != NULL &&
		    memcmp(h->slots[i].source.ptr, source.ptr, source.len) ==
			0) {
			h->slots[i].used = ++h->uses;
			return i;
		}
		if (h->slots[i].used < h->slots[oldest].used)
			oldest = i;
	}
	h->slot_bytes += source.len - h->slots[oldest].source.len;
	str_free(h->slots[oldest].source);
	h->slots[oldest].source = str_copy(source);
	h->slots[oldest].used = ++h->uses;
	begin = wire_begin(&h->out, WIRE_SOURCE);
	wire_u32(&h->out, oldest);
	wire_text(&h->out, source);
	wire_end(&h->out, begin);
	if (h->slot_bytes > SLOT_BYTES)
		h->full = true; /* the next helper begins with few */
	return oldest;
}

static void
send_call(struct helper *h, struct script_call *c)
{
	const struct script_conf *conf = &h->pool->conf;
	struct sent *s = helper_sent(h, h->n++);
	uint32_t slot = slot_for(h, c->source);
	size_t begin;

	if (++h->seq == 0)
		h->seq = 1; /* 0 is: in none */
	*s = (struct sent){ .call = c,
		.seq = h->seq,
		.timeout_ms =
		    c->timeout_ms > 0 ? c->timeout_ms : conf->timeout_ms,
		.memory = c->memory > 0 ? c->memory : conf->memory };
	c->helper = h;
	c->queued = false;
	begin = wire_begin(&h->out, WIRE_CALL);
	wire_u32(&h->out, s->seq);
	wire_u32(&h->out, slot);
	wire_u8(&h->out, (uint8_t)c->entry);
	wire_u8(&h->out, c->both_spellings ? WIRE_BOTH_SPELLINGS : 0);
	wire_text(&h->out, c->arg.ptr != NULL ? c->arg : STR("{}"));
	wire_u32(&h->out, (uint32_t)c->n_vars);
	for (size_t i = 0; i < c->n_vars; i++) {
		wire_text(&h->out, c->vars[i].name);
		wire_text(&h->out, c->vars[i].json);
	}
	wire_end(&h->out, begin);
}

void
helper_send(struct helper *h)
{
	struct group *g = h->group;
	bool sent = false;

	if (h->state == STARTING)
		return;
	while (!h->full && h->n < h->window &&
	    h->out.len - h->out_at < SENT_BYTES && !list_empty(&g->waiting)) {
		struct script_call *c =
		    container_of(g->waiting.next, struct script_call, link);

		list_del(&c->link);
		if (h->state == IDLE) {
			h->state = BUSY;
			h->heard = clock_mono();
			h->watched = 0;
			pool_wake(h->pool);
		}
		send_call(h, c);
		sent = true;
	}
	if (sent)
		helper_write(h);
}

/* --- receiving ------------------------------------------------------------ */

static void
became_idle(struct helper *h)
{
	struct script_pool *p = h->pool;
	struct group *g = h->group;

	h->state = IDLE;
	h->heard = clock_mono();
	if (h->full) {
		helper_end(h);
		pool_line_up(p, g);
		pool_drop_group(p, g);
	} else if (!list_empty(&p->needy)) {
		loop_defer(p->loop, &p->defer);
	}
}

static const int codes[] = { [WIRE_PARAM] = ERR_PARAM,
	[WIRE_MISSING] = ERR_NOT_FOUND,
	[WIRE_LIMIT] = ERR_LIMIT };

/* False: nonsense. */
static bool
take_result(struct helper *h, struct wire body)
{
	struct script_pool *p = h->pool;
	struct wire_result r;
	struct script_call *c;

	if (!wire_read_result(body, &r) || h->n == 0 ||
	    r.seq != helper_sent(h, 0)->seq || r.code >= COUNT_OF(codes))
		return false;
	if (r.good && !json_valid(r.text, 0)) {
		r.good = false;
		r.code = WIRE_LIMIT;
		r.line = 0;
		r.text = STR("the result is nested too deep");
	}
	c = helper_sent(h, 0)->call;
	h->first = (h->first + 1) % SENT_MAX;
	h->n--;
	h->served++;
	h->asks = 0;
	if (c == NULL)
		return true; /* taken back */
	c->line = r.line;
	c->console = r.console;
	c->result = r.good ? r.text : STR("");
	c->err = (struct err){ 0 };
	if (!r.good && r.line > 0)
		err_set(&c->err, codes[r.code], "line %" PRIu32 ": " STR_FMT,
		    r.line, STR_ARG(r.text));
	else if (!r.good)
		err_set(&c->err, codes[r.code], STR_FMT, STR_ARG(r.text));
	pool_finish(p, c, r.good ? SCRIPT_DONE : SCRIPT_FAILED);
	return true;
}

static bool
take_frame(struct helper *h, const struct wire_frame *f)
{
	switch (f->kind) {
	case WIRE_READY:
		if (h->state != STARTING)
			return false;
		h->state = IDLE;
		h->began = h->heard = clock_mono();
		return true;
	case WIRE_RESULT:
		return h->state == BUSY && take_result(h, f->body);
	case WIRE_ASK:
		return h->state == BUSY && helper_take_ask(h, f->body);
	default:
		return false;
	}
}

static size_t
frame_max(const struct script_conf *conf)
{
	return (size_t)(8 * conf->output_max + 4 * conf->http_size + 65536);
}

/* What has arrived. False: the helper is gone. */
static bool
take_frames(struct helper *h)
{
	struct wire_frame f;
	uint32_t before = h->served;
	int rc;

	for (;;) {
		struct str rest = { h->in.ptr + h->in_at,
			h->in.len - h->in_at };

		rc = wire_next(rest, frame_max(&h->pool->conf), &f);
		if (rc <= 0)
			break;
		if (f.kind == WIRE_FAILED && h->state == STARTING) {
			helper_fail_start(h, wire_get_text(&f.body));
			return false;
		}
		if (!take_frame(h, &f)) {
			rc = ERR_PROTO;
			break;
		}
		h->in_at += f.size;
	}
	if (rc < 0 && h->state == STARTING) {
		helper_fail_start(h, STR("it is another program"));
		return false;
	}
	if (rc < 0) {
		helper_lose(
		    h, SCRIPT_CRASHED, "the helper process spoke nonsense");
		return false;
	}
	h->heard = clock_mono();
	if (h->served - before >= h->window / 2 && h->window < SENT_MAX)
		h->window *= 2;
	memmove(h->in.ptr, h->in.ptr + h->in_at, h->in.len - h->in_at);
	h->in.len -= h->in_at;
	h->in_at = 0;
	return true;
}

/* The pipe has ended: why? */
static void
helper_died(struct helper *h)
{
	char why[120] = "the helper process ended by itself";
	pid_t pid = h->process.pid;
	int status = 0;

	if (h->state == STARTING) {
		helper_fail_start(h, STR(""));
		return;
	}
	/* It closed its pipe, so its end is near or here. */
	if (process_reap(pid, false, &status)) {
		h->process.pid = 0; /* nothing left to be killed or reaped */
		if (WIFSIGNALED(status))
			snprintf(why, sizeof(why),
			    "the helper process died of signal %d (%s)",
			    WTERMSIG(status), strsignal(WTERMSIG(status)));
	}
	helper_lose(h, SCRIPT_CRASHED, why);
}

static void
on_readable(struct loop_io *io, unsigned what)
{
	struct helper *h = container_of(io, struct helper, from);
	ssize_t n;

	(void)what;
	buf_reserve(&h->in, 65536);
	n = read(h->process.from, h->in.ptr + h->in.len, 65536);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		helper_died(h);
		return;
	}
	h->in.len += (size_t)n;
	if (!take_frames(h))
		return;
	helper_send(h);
	if (h->n == 0 && h->state == BUSY)
		became_idle(h);
}
