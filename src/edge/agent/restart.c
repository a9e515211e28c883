/*
 * edge/agent/restart.c - the device restarts, and it is told whether it did.
 *
 * Before, a marker is put into the temporary folder: the time, and the number
 * that the kernel has for this boot. Afterwards the device did restart if the
 * marker is gone (that folder is often in memory), the number is another, or
 * the kernel has been up for less time than the marker is old.
 */
#include "edge/agent/job.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOG_MODULE "agent"
#define COMMAND_TIMEOUT_MS 60000

static job_step tell_first, sync_disks, reboot, wait_for_it, too_late;

static char *
marker_path(const struct agent *a)
{
	return mem_printf("%s/tedge_agent_restart", a->conf->tmp_dir);
}

static void
add_proc_line(const struct agent *a, const char *name, struct buf *out)
{
	char *path = mem_printf("%s/%s", a->conf->proc_dir, name);
	struct buf text = { 0 };
	struct str rest;

	(void)file_read(path, &text, NULL);
	rest = buf_str(&text);
	buf_add_str(out, str_trim(str_cut(&rest, '\n')));
	buf_free(&text);
	free(path);
}

/* When the kernel began, in ms since 1970; TIME_NULL: it does not say. */
static int64_t
boot_time(const struct agent *a)
{
	struct buf text = { 0 };
	double up = -1;

	add_proc_line(a, "uptime", &text);
	if (sscanf(buf_z(&text), "%lf", &up) != 1)
		up = -1;
	buf_free(&text);
	return up >= 0 ? clock_now() - (int64_t)(up * 1000) : TIME_NULL;
}

static bool
put_marker(const struct agent *a, struct err *err)
{
	char *path = marker_path(a);
	struct buf text = { 0 };
	int fd;
	bool ok;

	buf_addf(&text, "%lld\n", (long long)clock_now());
	add_proc_line(a, "sys/kernel/random/boot_id", &text);
	buf_addc(&text, '\n');
	(void)unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	ok = fd >= 0 && write(fd, text.ptr, text.len) == (ssize_t)text.len &&
	    fsync(fd) == 0;
	if (!ok)
		err_errno(err, "write %s", path);
	if (fd >= 0)
		close(fd);
	buf_free(&text);
	free(path);
	return ok;
}

static bool
has_rebooted(const struct agent *a)
{
	char *path = marker_path(a);
	struct buf text = { 0 }, id = { 0 };
	struct str rest, when, was;
	int64_t at = 0, boot = boot_time(a);
	bool ret = true;

	if (file_read(path, &text, NULL) == 0) {
		rest = buf_str(&text);
		when = str_trim(str_cut(&rest, '\n'));
		was = str_trim(str_cut(&rest, '\n'));
		add_proc_line(a, "sys/kernel/random/boot_id", &id);
		ret = (was.len > 0 && id.len > 0 && !str_eq(was, buf_str(&id))) ||
		    (str_to_i64(when, &at) && boot != TIME_NULL && boot > at);
	}
	(void)unlink(path);
	buf_free(&text);
	buf_free(&id);
	free(path);
	return ret;
}

/* -------------------------------------------------------------------------- */

static enum job_move
begin(struct job *j)
{
	struct err err;

	if (!put_marker(j->agent, &err))
		return job_fail(j, "%s", err.text);
	return job_go_to(j, tell_first);
}

static enum job_move
tell_first(struct job *j)
{
	return job_tell(j, "executing", sync_disks);
}

static enum job_move
sync_disks(struct job *j)
{
	return job_run(j,
	    &(struct job_program){ .argv = (const char *const[]){ "sync", NULL },
		.sudo = true,
		.timeout_ms = COMMAND_TIMEOUT_MS },
	    reboot);
}

static enum job_move
reboot(struct job *j)
{
	const struct strs *words = &j->agent->conf->reboot;
	const char **argv =
	    arena_array(&j->arena, words->n + 1, const char *);

	if (!j->ok) /* not a reason to stay up */
		log_warn("sync: %s", buf_z(&j->why));
	for (size_t i = 0; i < words->n; i++)
		argv[i] = arena_z(&j->arena, words->at[i]);
	return job_run(j,
	    &(struct job_program){
		.argv = argv, .sudo = true, .timeout_ms = COMMAND_TIMEOUT_MS },
	    wait_for_it);
}

static void
drop_marker(struct job *j)
{
	char *path = marker_path(j->agent);

	(void)unlink(path);
	free(path);
}

static enum job_move
wait_for_it(struct job *j)
{
	/* One that the reboot itself has killed did what it should. */
	if (!j->ok && j->end.signal == 0) {
		drop_marker(j);
		return job_fail(j, "the command to restart the device failed: %s",
		    buf_z(&j->why));
	}
	return job_sleep(j, j->agent->conf->reboot_timeout_ms, too_late);
}

static enum job_move
too_late(struct job *j)
{
	drop_marker(j);
	return job_fail(j, "the device did not restart within %lld s",
	    (long long)(j->agent->conf->reboot_timeout_ms / 1000));
}

static enum job_move
resumed(struct job *j)
{
	if (has_rebooted(j->agent))
		return job_succeed(j);
	return job_fail(
	    j, "the agent was restarted, but the device was not");
}

const struct job_type job_restart = {
	.op = "restart",
	.title = "Restart",
	.first = begin,
	.resumed = resumed,
};
