/*
 * base/child.c - see child.h for the promises; this is how they are kept.
 *
 *          the deadline, child_stop()        grace_ms
 *    RUNS ------------------------> ASKED -----------> KILLED
 *      |                              |                  |   \ grace_ms
 *      | its end                      | its end          |    v
 *      +------------------------------+------------------+-> done()
 *
 * The end is told by a descriptor of the process (pidfd), so no handler of
 * SIGCHLD is needed. While the child is not waited for, its number and that of
 * its group are its own: hence the group is killed first.
 *
 * The input is a file in memory, written before the child starts: it never
 * blocks, and a child that reads none of it breaks nothing.
 */
#include "base/child.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_MAX (1u << 20)
#define GRACE_MS 5000
#define READS_PER_TURN 16 /* of one pipe, before others have their turn */

enum state { RUNS, ASKED, KILLED, ENDED };

struct pipe_end {
	struct loop_io io;
	struct child *child;
	struct buf kept;
};

struct child {
	struct loop *loop;
	void (*done)(void *ctx, const struct child_end *end);
	void *ctx;
	void (*output)(void *ctx, bool is_error, struct str bytes);
	size_t output_max;
	int64_t timeout_ms, grace_ms, began;

	enum state state;
	pid_t pid;
	struct loop_io end;       /* the pidfd */
	struct pipe_end pipes[2]; /* standard output and error */
	struct loop_timer timer;
	bool timed_out, cut;
};

extern char **environ;

/* --- those that were given up --------------------------------------------- */

static pthread_mutex_t given_up_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	pid_t *at;
	size_t n;
} given_up;

/* Waits for those that have ended after all, so that none stays a zombie. */
static void
reap_given_up(pid_t more)
{
	size_t n = 0;

	pthread_mutex_lock(&given_up_lock);
	if (more != 0) {
		given_up.at = mem_resize(
		    given_up.at, given_up.n + 1, sizeof(*given_up.at));
		given_up.at[given_up.n++] = more;
	}
	for (size_t i = 0; i < given_up.n; i++)
		if (waitpid(given_up.at[i], NULL, WNOHANG) == 0)
			given_up.at[n++] = given_up.at[i];
	given_up.n = n;
	if (n == 0) {
		free(given_up.at);
		given_up.at = NULL;
	}
	pthread_mutex_unlock(&given_up_lock);
}

/* --- the end -------------------------------------------------------------- */

static void
close_io(struct child *c, struct loop_io *io)
{
	if (io->fd < 0)
		return;
	loop_unwatch(c->loop, io);
	close(io->fd);
	io->fd = -1;
}

/* Gives back all but the memory of what was kept. The process, if it has not
 * been waited for, is killed with its group. */
static void
let_go(struct child *c)
{
	c->state = ENDED;
	loop_cancel(c->loop, &c->timer);
	close_io(c, &c->end);
	close_io(c, &c->pipes[0].io);
	close_io(c, &c->pipes[1].io);
	if (c->pid != 0) {
		kill(-c->pid, SIGKILL);
		reap_given_up(c->pid);
		c->pid = 0;
	}
}

static void
forget(struct child *c)
{
	buf_free(&c->pipes[0].kept);
	buf_free(&c->pipes[1].kept);
	loop_free_later(c->loop, c);
}

static void
tell(struct child *c, struct child_end *end)
{
	let_go(c);
	end->timed_out = c->timed_out;
	end->timeout_ms = c->timeout_ms;
	end->took_ms = clock_mono() - c->began;
	end->cut = c->cut;
	for (int i = 0; i < 2; i++) /* with a pointer, also when empty */
		buf_reserve(&c->pipes[i].kept, 1);
	end->out = buf_str(&c->pipes[0].kept);
	end->err = buf_str(&c->pipes[1].kept);
	c->done(c->ctx, end);
	forget(c);
}

/* --- its output ----------------------------------------------------------- */

/* Reads at most `most` bytes; returns how many. 0: there are no more for now,
 * or the owner has let the child go. */
static size_t
read_some(struct pipe_end *p, size_t most)
{
	struct child *c = p->child;
	char bytes[4096];
	size_t room;
	ssize_t n;

	n = read(p->io.fd, bytes, MIN_OF(most, sizeof(bytes)));
	if (n == 0)
		close_io(c, &p->io);
	if (n <= 0)
		return 0;
	room = c->output_max - p->kept.len;
	buf_add(&p->kept, bytes, MIN_OF(room, (size_t)n));
	if ((size_t)n > room)
		c->cut = true;
	if (c->output != NULL)
		c->output(c->ctx, p == &c->pipes[1],
		    (struct str){ bytes, (size_t)n });
	return c->state != ENDED ? (size_t)n : 0;
}

static void
on_output(struct loop_io *io, unsigned what)
{
	struct pipe_end *p = container_of(io, struct pipe_end, io);

	(void)what;
	for (int i = 0; i < READS_PER_TURN; i++)
		if (read_some(p, SIZE_MAX) == 0)
			return;
}

static void
on_end(struct loop_io *io, unsigned what)
{
	struct child *c = container_of(io, struct child, end);
	struct child_end end = { .status = -1 };
	int status = 0;

	(void)what;
	kill(-c->pid, SIGKILL); /* those it has left behind */
	if (waitpid(c->pid, &status, 0) == c->pid) {
		if (WIFEXITED(status))
			end.status = WEXITSTATUS(status);
		else if (WIFSIGNALED(status))
			end.signal = WTERMSIG(status);
	}
	c->pid = 0;
	loop_unwatch(c->loop, io);

	/* Who has left the group may hold a pipe and write to it for ever. */
	for (int i = 0; i < 2; i++) {
		struct pipe_end *p = &c->pipes[i];
		int left = 0;
		size_t n;

		if (p->io.fd >= 0)
			(void)ioctl(p->io.fd, FIONREAD, &left);
		while (left > 0 && (n = read_some(p, (size_t)left)) > 0)
			left -= (int)n;
		if (c->state == ENDED)
			return;
	}
	tell(c, &end);
}

/* --- its deadline --------------------------------------------------------- */

static void
on_time(struct loop_timer *t)
{
	struct child *c = container_of(t, struct child, timer);

	switch (c->state) {
	case RUNS:
		c->timed_out = true;
		child_stop(c);
		break;
	case ASKED:
		c->state = KILLED;
		kill(-c->pid, SIGKILL);
		loop_after(c->loop, &c->timer, c->grace_ms);
		break;
	case KILLED: /* not permitted, or it sleeps in the kernel */
		tell(c, &(struct child_end){ .status = -1 });
		break;
	case ENDED:
		break;
	}
}

void
child_stop(struct child *c)
{
	if (c->state != RUNS)
		return;
	c->state = ASKED;
	kill(-c->pid, SIGTERM);
	loop_after(c->loop, &c->timer, c->grace_ms);
}

void
child_free(struct child *c)
{
	if (c == NULL || c->state == ENDED)
		return; /* ended: we are within done() */
	let_go(c);
	forget(c);
}

/* --- the start ------------------------------------------------------------ */

/* Descriptors 0 to 2 are what the child gets; ours must be others, also in a
 * process that was started without them. */
static int
above_standard(int fd)
{
	int other;

	if (fd < 0 || fd > 2)
		return fd;
	other = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	close(fd);
	return other;
}

static int
input_open(struct str input, struct err *err)
{
	int fd;

	if (input.ptr == NULL) {
		fd = above_standard(open("/dev/null", O_RDONLY | O_CLOEXEC));
		return fd >= 0 ? fd : err_errno(err, "open /dev/null");
	}
	fd = above_standard(memfd_create("input", MFD_CLOEXEC));
	if (fd < 0)
		return err_errno(err, "memory for its input");
	for (size_t done = 0; done < input.len;) {
		ssize_t n = write(fd, input.ptr + done, input.len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			err_errno(err, "memory for its input");
			close(fd);
			return ERR_IO;
		}
		done += (size_t)n;
	}
	(void)lseek(fd, 0, SEEK_SET);
	return fd;
}

/* Our environment, with `more` over it. Free the array alone. */
static char **
environment(const char *const *more)
{
	size_t n = 0, m = 0, at = 0;
	char **ret;

	while (environ != NULL && environ[n] != NULL)
		n++;
	while (more != NULL && more[m] != NULL)
		m++;
	ret = mem_array(n + m + 1, sizeof(*ret));
	for (size_t i = 0; i < n; i++) {
		bool over = false;

		for (size_t k = 0; k < m && !over; k++) {
			size_t len = strcspn(more[k], "=");

			over = strncmp(environ[i], more[k], len) == 0 &&
			    environ[i][len] == '=';
		}
		if (!over)
			ret[at++] = environ[i];
	}
	for (size_t k = 0; k < m; k++)
		ret[at++] = (char *)more[k];
	return ret;
}

/* A parent that ignores SIGCHLD is not told how its children ended. */
static void
hear_of_ends(void)
{
	struct sigaction was;

	if (sigaction(SIGCHLD, NULL, &was) == 0 && was.sa_handler == SIG_IGN)
		signal(SIGCHLD, SIG_DFL);
}

static int
spawn(const struct child_conf *conf, int in, int out, int error, pid_t *ret,
    struct err *err)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	char **env = environment(conf->env);
	sigset_t none, all;
	int rc;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, in, 0);
	posix_spawn_file_actions_adddup2(&files, out, 1);
	posix_spawn_file_actions_adddup2(&files, error, 2);
	posix_spawn_file_actions_addclosefrom_np(&files, 3);
	if (conf->cwd != NULL)
		posix_spawn_file_actions_addchdir_np(&files, conf->cwd);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setpgroup(&attr, 0);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setflags(&attr,
	    POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
		POSIX_SPAWN_SETSIGDEF);

	hear_of_ends();
	errno = posix_spawnp(
	    ret, conf->argv[0], &files, &attr, (char *const *)conf->argv, env);
	rc = errno;
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	free(env);
	if (rc == 0)
		return 0;
	errno = rc;
	if (conf->cwd != NULL && access(conf->cwd, X_OK) != 0)
		err_errno(err, "start %s in %s", conf->argv[0], conf->cwd);
	else {
		errno = rc;
		err_errno(err, "start %s", conf->argv[0]);
	}
	rc = rc == ENOENT || rc == ENOTDIR ? ERR_NOT_FOUND
	    : rc == EACCES || rc == EPERM  ? ERR_DENIED
					   : ERR_IO;
	if (err != NULL)
		err->code = rc;
	return rc;
}

/* What it has written before is counted, too. */
static void
limit_files(pid_t pid, uint64_t max)
{
	const struct rlimit limit = { max, max };

	(void)prlimit(pid, RLIMIT_FSIZE, &limit, NULL);
}

static void
watch(struct child *c, struct loop_io *io, int fd,
    void (*ready)(struct loop_io *io, unsigned what))
{
	io->fd = fd;
	io->ready = ready;
	loop_watch(c->loop, io, LOOP_READ);
}

int
child_start(struct loop *loop, const struct child_conf *conf,
    void (*done)(void *ctx, const struct child_end *end), void *ctx,
    struct child **ret, struct err *err)
{
	int in = -1, fds[2][2] = { { -1, -1 }, { -1, -1 } }, pidfd = -1, rc;
	struct child *c;
	pid_t pid = 0;

	reap_given_up(0);
	in = input_open(conf->input, err);
	if (in < 0) {
		rc = in;
		in = -1;
		goto done;
	}
	for (int i = 0; i < 2; i++) {
		if (pipe2(fds[i], O_CLOEXEC) < 0) {
			rc = err_errno(err, "pipe");
			goto done;
		}
		fds[i][0] = above_standard(fds[i][0]);
		fds[i][1] = above_standard(fds[i][1]);
		if (fds[i][0] < 0 || fds[i][1] < 0 ||
		    fcntl(fds[i][0], F_SETFL, O_NONBLOCK) < 0) {
			rc = err_errno(err, "pipe");
			goto done;
		}
	}
	rc = spawn(conf, in, fds[0][1], fds[1][1], &pid, err);
	if (rc != 0)
		goto done;
	if (conf->file_max > 0)
		limit_files(pid, conf->file_max);
	pidfd = pidfd_open(pid, 0);
	if (pidfd < 0) {
		rc = err_errno(err, "watch %s", conf->argv[0]);
		kill(-pid, SIGKILL);
		reap_given_up(pid);
		goto done;
	}

	c = mem_new(struct child);
	c->loop = loop;
	c->done = done;
	c->ctx = ctx;
	c->output = conf->output;
	c->output_max = conf->output_max > 0 ? conf->output_max : OUTPUT_MAX;
	c->timeout_ms = conf->timeout_ms;
	c->grace_ms = conf->grace_ms > 0 ? conf->grace_ms : GRACE_MS;
	c->began = clock_mono();
	c->pid = pid;
	watch(c, &c->end, pidfd, on_end);
	for (int i = 0; i < 2; i++) {
		c->pipes[i].child = c;
		watch(c, &c->pipes[i].io, fds[i][0], on_output);
		fds[i][0] = -1;
	}
	c->timer.fire = on_time;
	if (c->timeout_ms > 0)
		loop_after(loop, &c->timer, c->timeout_ms);
	*ret = c;

done:
	if (in >= 0)
		close(in);
	for (int i = 0; i < 4; i++)
		if (fds[i / 2][i % 2] >= 0)
			close(fds[i / 2][i % 2]);
	return rc;
}

void
child_end_text(const struct child_end *end, struct buf *out)
{
	const char *name;

	if (end->timed_out && end->timeout_ms % 1000 == 0)
		buf_addf(out, "took longer than %lld s",
		    (long long)(end->timeout_ms / 1000));
	else if (end->timed_out)
		buf_addf(out, "took longer than %lld ms",
		    (long long)end->timeout_ms);
	else if (end->signal != 0 && (name = sigabbrev_np(end->signal)) != NULL)
		buf_addf(out, "killed by SIG%s", name);
	else if (end->signal != 0)
		buf_addf(out, "killed by signal %d", end->signal);
	else if (end->status < 0)
		buf_addz(out, "did not end when it was killed");
	else
		buf_addf(out, "exited with %d", end->status);
}
