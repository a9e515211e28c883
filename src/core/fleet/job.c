/*
 * core/fleet/job.c - how a step does things: programs here, and on a device by
 * SSH.
 *
 * A job has a thread, and on it a loop of its own that turns while a program
 * runs. Ten times in a second it looks whether the step is to end: then the
 * program's group gets SIGTERM and, if that does not help, SIGKILL; when the
 * whole server ends, SIGKILL at once.
 */
#include "core/fleet/deploy.h"

#include "base/base.h"
#include "base/child.h"
#include "base/clock.h"
#include "base/mem.h"
#include "codec/shell.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS 100
#define GRACE_MS 5000
#define KEPT_MAX (8 << 20) /* of what a program writes, for the step */
#define REACH_MS 20000
#define TOLD_MAX 400 /* bytes of a command that are shown */

static bool
is_ending(const struct job *j)
{
	return atomic_load(&j->fleet->ending);
}

static bool
is_cancelled(void *ctx)
{
	struct job *j = ctx;

	return is_ending(j) ||
	    (j->device != NULL && !j->undoes &&
		atomic_load(&j->device->cancel));
}

static int
cancelled(const struct job *j, struct err *err)
{
	return err_set(
	    err, ERR_CANCELLED, is_ending(j) ? "the server ends" : "cancelled");
}

/* --- programs here -------------------------------------------------------- */

struct running {
	struct job *job;
	bool tell_out, tell_err;
	bool ended;
	struct target_result *ret;
	struct child_end end;
	char text[80];
};

static void
on_output(void *ctx, bool is_error, struct str bytes)
{
	struct running *r = ctx;

	if (r->job->task != NULL && (is_error ? r->tell_err : r->tell_out))
		task_bytes(r->job->task, is_error, bytes);
}

static void
on_end(void *ctx, const struct child_end *end)
{
	struct running *r = ctx;
	struct buf b = { 0 };

	r->ended = true;
	r->end = *end;
	r->ret->status = end->status;
	r->ret->out = arena_str(&r->job->arena, end->out);
	r->ret->err = arena_str(&r->job->arena, end->err);
	child_end_text(end, &b);
	snprintf(r->text, sizeof(r->text), "%s", buf_z(&b));
	buf_free(&b);
}

static const char *
base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

static int
start(struct job *j, const char *const *argv, const char *const *env,
    struct str input, int64_t timeout_ms, struct running *r, struct err *err)
{
	const struct child_conf conf = { .argv = argv,
		.env = env,
		.input = input,
		.timeout_ms = timeout_ms > 0 ? timeout_ms : j->timeout_ms,
		.grace_ms = GRACE_MS,
		.output_max = KEPT_MAX,
		.output = on_output };
	struct child *c;
	bool of_step = timeout_ms == 0 || timeout_ms == j->timeout_ms;
	bool asked = false;
	int rc;

	if (is_cancelled(j))
		return cancelled(j, err);
	rc = child_start(j->loop, &conf, on_end, r, &c, err);
	if (rc != 0) {
		if (err != NULL)
			err->code = ERR_IO;
		return ERR_IO;
	}
	while (!r->ended) {
		loop_turn(j->loop, LOOK_MS);
		if (r->ended || !is_cancelled(j))
			continue;
		if (is_ending(j)) {
			child_free(c);
			loop_turn(j->loop, 0);
			return cancelled(j, err);
		}
		if (!asked)
			child_stop(c);
		asked = true;
	}
	if (asked)
		return cancelled(j, err);
	if (r->end.timed_out && of_step && j->setting != NULL)
		return err_set(err, ERR_TIMEOUT, "%s %s (%s)",
		    base_name(argv[0]), r->text, j->setting);
	if (r->end.timed_out)
		return err_set(
		    err, ERR_TIMEOUT, "%s %s", base_name(argv[0]), r->text);
	return 0;
}

/* The command, as it could be typed. */
static void
tell_command(struct job *j, const char *mark, const char *const *argv)
{
	struct buf b = { 0 };

	if (j->task == NULL)
		return;
	buf_addz(&b, mark);
	buf_addc(&b, ' ');
	shell_command(&b, argv);
	if (b.len > TOLD_MAX) {
		b.len = TOLD_MAX;
		buf_addz(&b, " ...");
	}
	task_line(j->task, buf_str(&b));
	buf_free(&b);
}

/* The program of the settings in the place of its name. */
static const char *const *
named(struct job *j, const char *const *argv)
{
	const char **ret;
	size_t n = 0;

	if (strcmp(argv[0], "nix") != 0)
		return argv;
	while (argv[n] != NULL)
		n++;
	ret = arena_array(&j->arena, n + 1, const char *);
	memcpy(ret, argv, n * sizeof(*ret));
	ret[0] = arena_z(&j->arena, j->fleet->conf.nix);
	return ret;
}

static int
host_run(void *ctx, const char *const *argv, const char *const *env,
    struct str input, int64_t timeout_ms, struct target_result *ret,
    struct err *err)
{
	struct job *j = ctx;
	struct running r = {
		.job = j, .tell_out = true, .tell_err = true, .ret = ret
	};

	argv = named(j, argv);
	tell_command(j, "$", argv);
	return start(j, argv, env, input, timeout_ms, &r, err);
}

static int
host_ask(void *ctx, const char *const *argv, const char *const *env,
    struct str input, int64_t timeout_ms, struct target_result *ret,
    struct err *err)
{
	struct running r = { .job = ctx, .ret = ret };

	return start(ctx, named(ctx, argv), env, input, timeout_ms, &r, err);
}

/* --- programs on the device ----------------------------------------------- */

static int
open_ssh(struct job *j, struct err *err)
{
	int rc;

	if (j->has_ssh)
		return 0;
	if (!j->has_row)
		return err_set(err, ERR_INTERNAL, "a job without a device");
	rc = fleet_ssh_open(j->fleet, &j->row, &j->ssh, err);
	if (rc != 0)
		return rc;
	j->has_ssh = true;
	if (j->task != NULL)
		task_secret(j->task, j->ssh.token);
	return 0;
}

static void
close_ssh(struct job *j)
{
	if (j->has_ssh)
		fleet_ssh_done(j->fleet, &j->ssh);
	j->has_ssh = false;
	j->ssh = (struct fleet_ssh){ 0 };
}

static struct str
last_line(struct str text)
{
	const char *end;

	text = str_trim(text);
	end = text.len > 0 ? memrchr(text.ptr, '\n', text.len) : NULL;
	if (end == NULL)
		return text;
	return (struct str){ end + 1, text.len - (size_t)(end + 1 - text.ptr) };
}

static bool
says(struct str text, const char *what)
{
	return text.len > 0 &&
	    memmem(text.ptr, text.len, what, strlen(what)) != NULL;
}

/* ssh itself has failed: for now, or for good? */
static int
not_reached(struct str said, struct err *err)
{
	static const char *const for_good[] = { "Host key verification failed",
		"REMOTE HOST IDENTIFICATION HAS CHANGED", "Permission denied",
		"Bad configuration option", "Too many authentication failures",
		"no mutual signature algorithm" };
	struct str last = last_line(said);

	if (last.len > 160)
		last.len = 160;
	for (size_t i = 0; i < COUNT_OF(for_good); i++)
		if (says(said, for_good[i]))
			return err_set(err, ERR_DENIED,
			    "the device can not be signed in to: " STR_FMT,
			    STR_ARG(last));
	if (last.len == 0)
		last = STR("ssh failed without a word");
	return err_set(err, ERR_AGAIN,
	    "the device can not be reached: " STR_FMT, STR_ARG(last));
}

static int
by_ssh(struct job *j, const char *const *argv, struct str input,
    int64_t timeout_ms, bool tell, struct target_result *ret, struct err *err)
{
	struct running r = {
		.job = j, .tell_out = tell, .tell_err = tell, .ret = ret
	};
	struct buf command = { 0 };
	const char *ssh,
	    *full[] = { NULL, "-F", NULL, "-T", "-o", "BatchMode=yes", "-o",
		    "ConnectTimeout=10", "-o", "ServerAliveInterval=5", "-o",
		    "ServerAliveCountMax=3", "--", "device", NULL, NULL };
	int rc = open_ssh(j, err);

	if (rc != 0)
		return rc;
	if (j->row.ssh_user.len > 0 && !str_eqz(j->row.ssh_user, "root"))
		buf_addz(&command, "sudo -n -- ");
	shell_command(&command, argv);
	ssh = arena_z(&j->arena, j->fleet->conf.ssh);
	full[0] = ssh;
	full[2] = arena_z(&j->arena, j->ssh.config_file);
	full[14] = buf_z(&command);
	rc = start(j, full, NULL, input.ptr != NULL ? input : STR(""),
	    timeout_ms, &r, err);
	buf_free(&command);
	if (rc != 0)
		return rc;
	if (ret->status == 255 || ret->status < 0) {
		close_ssh(j); /* the next one begins anew */
		return not_reached(ret->err, err);
	}
	return 0;
}

static int
host_ssh(void *ctx, const char *const *argv, struct str input,
    int64_t timeout_ms, struct target_result *ret, struct err *err)
{
	return by_ssh(ctx, argv, input, timeout_ms, false, ret, err);
}

static int
host_ssh_told(void *ctx, const char *const *argv, struct str input,
    int64_t timeout_ms, struct target_result *ret, struct err *err)
{
	return by_ssh(ctx, argv, input, timeout_ms, true, ret, err);
}

static int
host_ssh_config(void *ctx, struct str *path, struct err *err)
{
	struct job *j = ctx;
	int rc = open_ssh(j, err);

	if (rc == 0)
		*path = j->ssh.config_file;
	return rc;
}

static int
host_agent_switch(void *ctx, struct str path, int64_t timeout_ms,
    struct target_result *ret, struct err *err)
{
	struct job *j = ctx;

	if (!j->has_row ||
	    (!fleet_agent_is(j->fleet, j->row.id) && j->row.address.len > 0))
		return err_set(err, ERR_NOT_FOUND, "the device has no agent");
	return fleet_agent_switch(j->fleet, &j->row, path, j->config, j->commit,
	    timeout_ms, &j->arena, ret, is_cancelled, j, err);
}

static int
host_secret(
    void *ctx, struct str secret_id, struct str *sealed, struct err *err)
{
	struct job *j = ctx;

	return fleet_secret_for(
	    j->fleet, &j->row, secret_id, &j->arena, sealed, err);
}

static void
host_tell(void *ctx, struct str line)
{
	struct job *j = ctx;

	if (j->task != NULL)
		task_line(j->task, line);
}

/* --- a job ---------------------------------------------------------------- */

int
job_open(struct job *j, struct fleet *f, struct target_device *d,
    struct task *t, struct err *err)
{
	const char *repository;
	int rc;

	*j = (struct job){ .fleet = f, .device = d, .task = t };
	rc = fleet_device_get(
	    f, arena_str(&j->arena, d->row.device_id), &j->arena, &j->row, err);
	if (rc != 0) {
		arena_fini(&j->arena);
		return rc == ERR_NOT_FOUND
		    ? err_set(err, ERR_NOT_FOUND, "there is no such device")
		    : rc;
	}
	j->has_row = true;
	j->loop = loop_new();
	j->commit = arena_str(&j->arena, d->of->row.commit);
	j->config = arena_str(&j->arena, d->row.config);
	repository = fleet_path(f, &j->arena, d->row.unit_id, "repository");
	j->host = (struct target_host){ .ctx = j,
		.run = host_run,
		.ask = host_ask,
		.ssh = host_ssh,
		.ssh_told = host_ssh_told,
		.ssh_config = host_ssh_config,
		.agent_switch = host_agent_switch,
		.secret = host_secret,
		.tell = host_tell,
		.cancelled = is_cancelled };
	j->target = (struct target_job){ .host = &j->host,
		.arena = &j->arena,
		.repository = str_of(repository),
		.commit = j->commit,
		.config = j->config,
		.run = arena_str(&j->arena, d->row.run),
		.copy_ms = f->conf.copy_ms,
		.apply_ms = f->conf.apply_ms,
		.kept = f->conf.runs_kept,
		.confirm_ms = f->conf.confirm_ms };
	return 0;
}

void
job_close(struct job *j)
{
	close_ssh(j);
	if (j->loop != NULL)
		loop_free(j->loop);
	arena_fini(&j->arena);
	*j = (struct job){ 0 };
}

int
job_reach(struct job *j, struct err *err)
{
	static const char *const argv[] = { "true", NULL };
	struct target_result r;
	int rc;

	if (str_eqz(j->row.state, "archived"))
		return err_set(err, ERR_DENIED, "the device is archived");
	if (fleet_agent_is(j->fleet, j->row.id))
		return 0;
	if (j->row.address.len == 0)
		return err_set(err, ERR_AGAIN, "its agent is not connected");
	rc = by_ssh(j, argv, STR_NULL, REACH_MS, false, &r, err);
	if (rc == ERR_TIMEOUT)
		return err_set(err, ERR_AGAIN,
		    "the device can not be reached: it did not answer in time");
	if (rc == 0 && r.status != 0)
		return err_set(err, ERR_DENIED,
		    "programs can not be run on the device: " STR_FMT,
		    STR_ARG(last_line(r.err)));
	return rc;
}
