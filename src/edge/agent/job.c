/*
 * edge/agent/job.c - see job.h. The life of a command, whatever it does.
 *
 * A job is in the state file from before its state `executing` is told until
 * the broker has its last state: so after any end of this process it is told
 * how each command has ended, once more if need be.
 */
#include "edge/agent/job.h"

#include "base/log.h"
#include "base/mem.h"

#include <errno.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOG_MODULE "agent"
#define ENDED_MAX 1000 /* remembered until they are cleared */
#define REASON_MAX 2000

/* --- jobs and queues ------------------------------------------------------ */

static void start_next(struct agent_queue *q);

static void
release(struct job *j) /* what it had under way */
{
	child_free(j->child);
	fetch_free(j->fetch);
	j->child = NULL;
	j->fetch = NULL;
	loop_cancel(j->agent->loop, &j->timer);
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	(void)remove(path); /* what is left, the system clears */
	return 0;
}

static void
remove_temp(struct job *j)
{
	if (j->temp != NULL)
		(void)nftw(j->temp, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	free(j->temp);
	j->temp = NULL;
}

static void
job_free(struct job *j)
{
	list_del(&j->link);
	release(j);
	if (j->type->free != NULL)
		j->type->free(j);
	oplog_close(&j->log);
	if (j->memo.len == 0)
		remove_temp(j);
	free(j->temp);
	buf_free(&j->memo);
	buf_free(&j->payload);
	buf_free(&j->told);
	buf_free(&j->told_to);
	buf_free(&j->out);
	buf_free(&j->why);
	buf_free(&j->result);
	buf_free(&j->reason);
	arena_fini(&j->arena);
	free(j->topic);
	free(j->id);
	free(j);
}

static struct job *
job_new(struct agent *a, struct agent_queue *q, const struct job_front *front,
    struct str topic, struct str id, struct str payload)
{
	struct job *j = mem_new(struct job);

	j->agent = a;
	j->queue = q;
	j->type = q->type;
	j->front = front;
	j->topic = str_dupz(topic);
	j->id = str_dupz(id);
	buf_add_str(&j->payload, payload);
	list_init(&j->link);
	return j;
}

struct agent_queue *
agent_queue_of(struct agent *a, struct str op)
{
	for (size_t i = 0; job_types[i] != NULL; i++)
		if (str_eqz(op, job_types[i]->op))
			return &a->queues[i];
	return NULL;
}

static struct job *
find_in(struct list *jobs, struct str topic, struct str id)
{
	LIST_EACH (j, jobs, struct job, link) {
		if (str_eqz(topic, j->topic) && str_eqz(id, j->id))
			return j;
	}
	return NULL;
}

struct job *
agent_find(struct agent *a, struct str topic, struct str id)
{
	struct job *j = find_in(&a->ended, topic, id);

	for (size_t i = 0; j == NULL && job_types[i] != NULL; i++)
		j = find_in(&a->queues[i].jobs, topic, id);
	return j;
}

/* --- the agent itself ------------------------------------------------------
 */

static void
leave_if_idle(struct agent *a)
{
	bool end = a->then == AGENT_ENDS;

	if (a->then == AGENT_STAYS)
		return;
	for (size_t i = 0; job_types[i] != NULL; i++)
		if (a->queues[i].n > 0)
			return;
	LIST_EACH (j, &a->ended, struct job, link) {
		if (j->told.len > 0)
			return;
	}
	a->then = AGENT_STAYS; /* it is said once */
	a->host->leave(a->host->owner, end);
}

void
agent_restart_when_idle(struct agent *a)
{
	if (a->then == AGENT_STAYS)
		a->then = AGENT_RESTARTS;
}

/* Has an update put another program in our place? The new one is not to be
 * begun in the middle of anything: the update's last words are ours. */
static void
look_at_program(struct agent *a)
{
	struct stat now;

	if (a->conf->exe == NULL || a->running.st_ino == 0 ||
	    stat(a->conf->exe, &now) < 0 ||
	    (now.st_ino == a->running.st_ino &&
		now.st_dev == a->running.st_dev))
		return;
	if (a->then != AGENT_ENDS)
		log_info("%s was replaced: it ends when nothing runs any more, "
			 "for the new one to be started",
		    a->conf->exe);
	a->then = AGENT_ENDS;
}

/* --- telling -------------------------------------------------------------- */

static void
publish_state(
    struct job *j, const char *status, void (*done)(void *ctx, bool taken))
{
	struct agent *a = j->agent;

	buf_clear(&j->told);
	buf_clear(&j->told_to);
	j->front->state(j, status, &j->told_to, &j->told);
	a->host->publish(a->host->owner, buf_str(&j->told_to),
	    buf_str(&j->told), j->front->retain, done, j);
}

/* The broker has its last state. One that it does not take is told without
 * what was found out: how it ended is the least that must be known. */
static void
on_told(void *ctx, bool taken)
{
	struct job *j = ctx;
	struct agent *a = j->agent;

	if (!taken && j->result.len > 0) {
		buf_clear(&j->result);
		buf_clear(&j->reason);
		buf_addf(&j->reason,
		    "the result is too large to be told, %zu bytes",
		    j->told.len);
		publish_state(j, "failed", on_told);
		return;
	}

	buf_free(&j->told);
	buf_free(&j->told_to);
	j->told = j->told_to = (struct buf){ 0 };
	state_save(a);
	if ((!j->front->retain && !j->recovered) || j->cleared) {
		a->n_ended--;
		job_free(j);
	}
	leave_if_idle(a);
}

static void
move_to_ended(struct job *j)
{
	struct agent *a = j->agent;

	list_del(&j->link);
	j->running = false;
	j->over = true;
	list_add(&a->ended, &j->link);
	a->n_ended++;
	LIST_EACH (old, &a->ended, struct job, link) {
		if (a->n_ended <= ENDED_MAX)
			break;
		if (old->told.len == 0) {
			a->n_ended--;
			job_free(old);
		}
	}
}

static void
finish(struct job *j)
{
	struct agent *a = j->agent;
	struct agent_queue *q = j->queue;
	const char *status = j->reason.len > 0 ? "failed" : "successful";

	release(j);
	buf_clear(&j->memo);
	remove_temp(j);
	if (j->type == &job_software_update)
		look_at_program(a);
	if (j->reason.len > 0)
		oplog_line(&j->log, "%s: %.*s", status, (int)j->reason.len,
		    j->reason.ptr);
	else
		oplog_line(&j->log, "%s", status);
	log_info("%s %s: %s%s%.*s", j->type->op, j->id, status,
	    j->reason.len > 0 ? ": " : "", (int)j->reason.len,
	    j->reason.len > 0 ? j->reason.ptr : "");
	q->n--;
	move_to_ended(j);
	if (j->cleared) {
		a->n_ended--;
		job_free(j);
		state_save(a);
	} else {
		buf_clear(&j->told);
		buf_clear(&j->told_to);
		j->front->state(j, status, &j->told_to, &j->told);
		state_save(a);
		a->host->publish(a->host->owner, buf_str(&j->told_to),
		    buf_str(&j->told), j->front->retain, on_told, j);
	}
	start_next(q);
	leave_if_idle(a);
}

/* --- steps ---------------------------------------------------------------- */

static void
drive(struct job *j)
{
	enum job_move move;

	do
		move = j->step(j);
	while (move == JOB_NEXT);
	if (move == JOB_END)
		finish(j);
}

enum job_move
job_go_to(struct job *j, job_step *next)
{
	j->step = next;
	return JOB_NEXT;
}

static void
outcome(struct job *j, bool ok)
{
	j->ok = ok;
	j->end = (struct child_end){ .status = -1 };
	buf_clear(&j->out);
	buf_clear(&j->why);
}

/* What it complained of last: all is in the log. */
static void
add_end_of(struct buf *out, struct str text)
{
	if (text.len > REASON_MAX) {
		text.ptr += text.len - REASON_MAX;
		text.len = REASON_MAX;
		while (text.len > 0 && (*text.ptr & 0xc0) == 0x80) {
			text.ptr++; /* the middle of a character */
			text.len--;
		}
		buf_addz(out, "...");
	}
	buf_add_str(out, text);
}

static void
on_child(void *ctx, const struct child_end *end)
{
	struct job *j = ctx;
	struct str said = str_trim(end->err);

	j->child = NULL;
	outcome(j, end->status == 0 && !end->timed_out);
	j->end = *end;
	j->end.out = j->end.err = STR_NULL;
	buf_add_str(&j->out, end->out);
	if (!j->ok) {
		if (said.len == 0 || end->timed_out || end->status < 0)
			child_end_text(end, &j->why);
		else
			add_end_of(&j->why, said);
	}
	drive(j);
}

/* The program of a child that is running is logged when it has ended. */
struct run {
	struct job *job;
	const char **argv;
	bool quiet;
};

static void
on_run(void *ctx, const struct child_end *end)
{
	struct run *r = ctx;
	struct job *j = r->job;

	oplog_program(&j->log, r->argv, end, r->quiet);
	on_child(j, end);
}

static bool
in_path(const char *name)
{
	struct str rest = str_of(getenv("PATH")), dir;

	while (rest.ptr != NULL) {
		char *path;
		bool there;

		dir = str_cut(&rest, ':');
		path = mem_printf(STR_FMT "/%s", STR_ARG(dir), name);
		there = access(path, X_OK) == 0;
		free(path);
		if (there)
			return true;
	}
	return false;
}

int
agent_without_sudo(const struct agent_conf *conf)
{
	return conf->sudo && geteuid() != 0 && in_path("sudo") ? 0 : 1;
}

enum job_move
job_run(struct job *j, const struct job_program *p, job_step *next)
{
	const struct agent_conf *conf = j->agent->conf;
	struct run *r = arena_new(&j->arena, struct run);
	struct err err;
	size_t n = 0, at = 0;

	while (p->argv[n] != NULL)
		n++;
	r->job = j;
	r->quiet = p->quiet;
	r->argv = arena_array(&j->arena, n + 2, const char *);
	if (p->sudo && !agent_without_sudo(conf))
		r->argv[at++] = "sudo";
	for (size_t i = 0; i < n; i++)
		r->argv[at++] = arena_z(&j->arena, str_of(p->argv[i]));
	j->step = next;
	if (child_start(j->agent->loop,
		&(struct child_conf){ .argv = r->argv,
		    .env = j->agent->env,
		    .cwd = conf->tmp_dir,
		    .input = p->input,
		    .output_max = p->output_max,
		    .timeout_ms = p->timeout_ms },
		on_run, r, &j->child, &err) == 0)
		return JOB_WAIT;
	oplog_line(&j->log, "----- $ %s\n%s\n", r->argv[0], err.text);
	outcome(j, false);
	buf_addz(&j->why, err.text);
	return JOB_NEXT;
}

static void
on_fetched(void *ctx, const struct fetch_end *end)
{
	struct job *j = ctx;

	j->fetch = NULL;
	outcome(j, end->err.code == 0);
	if (!j->ok) {
		buf_addz(&j->why, end->err.text);
		oplog_line(&j->log, "failed: %s\n", end->err.text);
	}
	drive(j);
}

enum job_move
job_fetch(struct job *j, const struct fetch_request *r, job_step *next)
{
	struct fetch_request mine = *r;
	struct buf url = { 0 };
	struct err err;

	mine.conf = &j->agent->conf->fetch;
	fetch_url_text(r->url, &url);
	oplog_line(&j->log, "----- %s %s", r->put ? "upload to" : "download",
	    buf_z(&url));
	buf_free(&url);
	j->step = next;
	if (fetch_start(
		j->agent->loop, &mine, on_fetched, j, &j->fetch, &err) == 0)
		return JOB_WAIT;
	outcome(j, false);
	buf_addz(&j->why, err.text);
	oplog_line(&j->log, "failed: %s\n", err.text);
	return JOB_NEXT;
}

static void
on_time(struct loop_timer *t)
{
	drive(container_of(t, struct job, timer));
}

enum job_move
job_sleep(struct job *j, int64_t ms, job_step *next)
{
	j->step = next;
	j->timer.fire = on_time;
	loop_after(j->agent->loop, &j->timer, ms);
	return JOB_WAIT;
}

static void
on_state_told(void *ctx, bool taken)
{
	(void)taken;
	drive(ctx);
}

enum job_move
job_tell(struct job *j, const char *status, job_step *next)
{
	j->step = next;
	publish_state(j, status, on_state_told);
	return JOB_WAIT;
}

enum job_move
job_fail(struct job *j, const char *fmt, ...)
{
	char text[REASON_MAX + 500];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	buf_clear(&j->reason);
	buf_addz(&j->reason, text);
	return JOB_END;
}

enum job_move
job_fail_lost(struct job *j)
{
	return job_fail(j,
	    "%s command cancelled due to unexpected agent restart",
	    j->type->title);
}

enum job_move
job_fail_why(struct job *j)
{
	return job_fail(j, "%s", buf_z(&j->why));
}

enum job_move
job_succeed(struct job *j)
{
	buf_clear(&j->reason);
	return JOB_END;
}

/* --- begin ---------------------------------------------------------------- */

static void
open_log(struct job *j)
{
	const struct agent_conf *conf = j->agent->conf;
	struct buf prefix = { 0 }, name = { 0 };
	struct err err;

	j->front->log_name(j, &prefix, &name);
	if (oplog_open(&j->log, conf->log_dir, buf_str(&prefix), buf_str(&name),
		j->type->op, conf->log_keep, &err) != 0)
		log_warn("no log of %s %s: %s", j->type->op, j->id, err.text);
	buf_free(&prefix);
	buf_free(&name);
	oplog_line(
	    &j->log, "===== %s, asked for on %s\n", j->type->op, j->topic);
}

static enum job_move
begin(struct job *j)
{
	struct err err;

	if (j->type->enabled != NULL && !j->type->enabled(j->agent->conf))
		return job_fail(
		    j, "%s is switched off on this device", j->type->op);
	if (j->type->read != NULL && j->type->read(j, &err) != 0)
		return job_fail(j, "%s", err.text);
	return job_go_to(j, j->type->first);
}

static void
start_next(struct agent_queue *q)
{
	struct job *j = list_first(&q->jobs, struct job, link);

	if (j == NULL || j->running)
		return;
	j->running = true;
	open_log(j);
	state_save(j->agent);
	log_info("%s %s: executing", j->type->op, j->id);
	publish_state(j, "executing", NULL);
	j->step = begin;
	drive(j);
}

void
agent_take(struct agent *a, struct agent_queue *q,
    const struct job_front *front, struct str topic, struct str id,
    struct str payload)
{
	struct job *j = job_new(a, q, front, topic, id, payload);

	list_add(&q->jobs, &j->link);
	q->n++;
	if (q->n > JOBS_WAITING_MAX) {
		(void)job_fail(j, "%d commands of this kind are waiting",
		    JOBS_WAITING_MAX);
		finish(j);
		return;
	}
	start_next(q);
}

void
agent_take_lost(struct agent *a, struct agent_queue *q,
    const struct job_front *front, struct str topic, struct str id,
    struct str payload, struct str memo)
{
	struct job *j = job_new(a, q, front, topic, id, payload);

	buf_add_str(&j->memo, memo);
	list_add_first(&q->jobs, &j->link);
	q->n++;
	j->running = j->recovered = true;
	open_log(j);
	if (q->type->resumed != NULL) {
		j->step = q->type->resumed;
		drive(j);
		return;
	}
	(void)job_fail_lost(j);
	finish(j);
}

void
agent_take_ended(struct agent *a, struct agent_queue *q,
    const struct job_front *front, struct str topic, struct str id,
    struct str payload, struct str told_to, struct str told)
{
	struct job *j = job_new(a, q, front, topic, id, payload);

	j->recovered = true;
	buf_add_str(&j->told_to, told_to);
	buf_add_str(&j->told, told);
	move_to_ended(j);
	a->host->publish(a->host->owner, buf_str(&j->told_to),
	    buf_str(&j->told), front->retain, on_told, j);
}

void
agent_clear(struct agent *a, struct str topic)
{
	LIST_EACH (j, &a->ended, struct job, link) {
		if (!str_eqz(topic, j->topic))
			continue;
		j->cleared = true;
		if (j->told.len == 0) { /* else on_told() */
			a->n_ended--;
			job_free(j);
		}
		return;
	}
	for (size_t i = 0; job_types[i] != NULL; i++) {
		LIST_EACH (j, &a->queues[i].jobs, struct job, link) {
			if (!str_eqz(topic, j->topic))
				continue;
			j->cleared = true;
			if (!j->running) {
				a->queues[i].n--;
				job_free(j);
			}
			return;
		}
	}
}

/* --- what a step reads ---------------------------------------------------- */

struct str
job_member(struct job *j, const char *name)
{
	struct str key, ret = STR_NULL;
	struct json in;

	json_open(&in, buf_str(&j->payload), 0, &j->arena);
	if (json_object(&in))
		while (json_member(&in, &key)) {
			if (!str_eqz(key, name) ||
			    json_peek(&in) != JSON_STRING)
				json_skip(&in);
			else
				json_str(&in, &ret);
		}
	return arena_str(&j->arena, ret);
}

int64_t
job_member_int(struct job *j, const char *name, int64_t none)
{
	struct str key;
	struct json in;
	int64_t ret = none;

	json_open(&in, buf_str(&j->payload), 0, &j->arena);
	if (json_object(&in))
		while (json_member(&in, &key)) {
			if (!str_eqz(key, name) ||
			    json_peek(&in) != JSON_NUMBER)
				json_skip(&in);
			else if (!json_i64(&in, &ret))
				return none;
		}
	return ret;
}

bool
job_is_true(struct str object, const char *name)
{
	struct arena a = { 0 };
	struct json in;
	struct str key;
	bool ret = false;

	json_open(&in, object, 0, &a);
	if (json_object(&in))
		while (json_member(&in, &key)) {
			if (!str_eqz(key, name) || json_peek(&in) != JSON_BOOL)
				json_skip(&in);
			else
				(void)json_bool(&in, &ret);
		}
	ret = json_done(&in, NULL) == 0 && ret;
	arena_fini(&a);
	return ret;
}

enum job_move
job_restart_agent(struct job *j, struct str memo, int64_t ms, job_step *late)
{
	struct agent *a = j->agent;

	buf_clear(&j->memo);
	buf_add_str(&j->memo, memo);
	state_save(a);
	oplog_line(&j->log, "----- the agent is restarted");
	log_info("%s %s: the agent is restarted", j->type->op, j->id);
	a->host->leave(a->host->owner, false);
	return job_sleep(j, ms, late);
}

const char *
job_temp(struct job *j, struct str name)
{
	if (j->temp == NULL) {
		j->temp = mem_printf(
		    "%s/%s-XXXXXX", j->agent->conf->tmp_dir, j->type->op);
		if (mkdtemp(j->temp) == NULL) {
			outcome(j, false);
			buf_addf(&j->why, "make a folder in %s: %s",
			    j->agent->conf->tmp_dir, strerror(errno));
			free(j->temp);
			j->temp = NULL;
			return NULL;
		}
	}
	return name.len == 0 ? j->temp
			     : arena_z(&j->arena,
				   arena_printf(&j->arena, "%s/" STR_FMT,
				       j->temp, STR_ARG(name)));
}

/* --- with the agent ------------------------------------------------------- */

void
jobs_free(struct agent *a)
{
	for (size_t i = 0; job_types[i] != NULL; i++)
		LIST_EACH (j, &a->queues[i].jobs, struct job, link)
			job_free(j);
	LIST_EACH (j, &a->ended, struct job, link)
		job_free(j);
}
