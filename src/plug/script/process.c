/*
 * plug/script/process.c - see process.h.
 */
#include "plug/script/process.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROGRAM "marram-script"

static const char *const places[] = { /* from the folder of the program */
	"%s/" PROGRAM, "%s/../plug/script/" PROGRAM,
	"%s/../src/plug/script/" PROGRAM, "%s/../libexec/marram/" PROGRAM, NULL
};

char *
process_find(struct str given, struct err *err)
{
	char self[4096];
	ssize_t n;
	char *path;

	if (given.ptr != NULL && given.len > 0) {
		path = str_dupz(given);
		if (access(path, X_OK) == 0)
			return path;
		err_errno(err, "run %s", path);
		free(path);
		return NULL;
	}
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n > 0) {
		char *dir;

		self[n] = '\0';
		dir = dirname(self);
		for (int i = 0; places[i] != NULL; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
			path = mem_printf(places[i], dir);
#pragma GCC diagnostic pop
			if (access(path, X_OK) == 0)
				return path;
			free(path);
		}
	}
	if (access(SCRIPT_LIBEXEC "/" PROGRAM, X_OK) == 0)
		return str_dupz(STR(SCRIPT_LIBEXEC "/" PROGRAM));
	err_set(err, ERR_NOT_FOUND,
	    PROGRAM " is neither beside this program nor in " SCRIPT_LIBEXEC
		    "; set hub.script.helper");
	return NULL;
}

/* --- starting ------------------------------------------------------------ */

/* The same open file at a number that no standard stream has. */
static int
high(int fd)
{
	int ret;

	if (fd < 0 || fd > WIRE_MARK_FD)
		return fd;
	ret = fcntl(fd, F_DUPFD_CLOEXEC, WIRE_MARK_FD + 1);
	close(fd);
	return ret;
}

static int
spawn(struct process *p, const char *path, bool jit, int64_t output_max, int in,
    int out, int mark)
{
	char max[24];
	char *argv[] = { (char[]){ PROGRAM },
		jit ? (char[]){ "jit" } : (char[]){ "nojit" }, max, NULL };
	char *env[] = { NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t signals;
	int rc;

	snprintf(max, sizeof(max), "%" PRId64, output_max);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, in, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&files, mark, WIRE_MARK_FD);
	posix_spawn_file_actions_addopen(
	    &files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_addchdir_np(&files, "/");
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr,
	    POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
		POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setpgroup(&attr, 0);
	sigemptyset(&signals);
	posix_spawnattr_setsigmask(&attr, &signals);
	sigfillset(&signals);
	posix_spawnattr_setsigdefault(&attr, &signals);
	rc = posix_spawn(&p->pid, path, &files, &attr, argv, env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	return rc;
}

int
process_start(struct process *p, const char *path, bool jit, int64_t output_max,
    struct err *err)
{
	int in[2] = { -1, -1 }, out[2] = { -1, -1 }, mark = -1, rc = 0;
	char statm[40];

	*p = (struct process){ .to = -1, .from = -1, .statm = -1 };
	if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0 ||
	    (mark = memfd_create("marram-script", MFD_CLOEXEC)) < 0 ||
	    ftruncate(mark, sizeof(*p->mark)) != 0) {
		rc = err_errno(err, "pipes for " PROGRAM);
		goto done;
	}
	p->mark = mmap(NULL, sizeof(*p->mark), PROT_READ | PROT_WRITE,
	    MAP_SHARED, mark, 0);
	if (p->mark == MAP_FAILED) {
		p->mark = NULL;
		rc = err_errno(err, "memory shared with " PROGRAM);
		goto done;
	}
	in[0] = high(in[0]);
	out[1] = high(out[1]);
	mark = high(mark);
	fcntl(in[1], F_SETFL, O_NONBLOCK);
	fcntl(out[0], F_SETFL, O_NONBLOCK);
	errno = spawn(p, path, jit, output_max, in[0], out[1], mark);
	if (errno != 0) {
		rc = err_errno(err, "start %s", path);
		goto done;
	}
	p->to = in[1];
	p->from = out[0];
	in[1] = out[0] = -1;
	snprintf(statm, sizeof(statm), "/proc/%d/statm", (int)p->pid);
	p->statm = open(statm, O_RDONLY | O_CLOEXEC);

done:
	if (rc != 0 && p->mark != NULL) {
		munmap(p->mark, sizeof(*p->mark));
		p->mark = NULL;
	}
	for (int i = 0; i < 2; i++) {
		if (in[i] >= 0)
			close(in[i]);
		if (out[i] >= 0)
			close(out[i]);
	}
	if (mark >= 0)
		close(mark);
	return rc;
}

void
process_kill(struct process *p)
{
	if (p->pid > 0)
		kill(p->pid, SIGKILL);
	if (p->to >= 0)
		close(p->to);
	if (p->from >= 0)
		close(p->from);
	if (p->statm >= 0)
		close(p->statm);
	if (p->mark != NULL)
		munmap(p->mark, sizeof(*p->mark));
	*p = (struct process){ .to = -1, .from = -1, .statm = -1 };
}

bool
process_reap(pid_t pid, bool wait, int *status)
{
	pid_t rc;

	do
		rc = waitpid(pid, status, wait ? 0 : WNOHANG);
	while (rc < 0 && errno == EINTR);
	return rc != 0; /* an error: it is not ours any more */
}

/* --- watching ------------------------------------------------------------ */

int64_t
process_memory(const struct process *p)
{
	static long page;
	char text[128];
	int64_t total, resident, shared;
	ssize_t n = pread(p->statm, text, sizeof(text) - 1, 0);

	if (page == 0)
		page = sysconf(_SC_PAGESIZE);
	if (n <= 0)
		return 0;
	text[n] = '\0';
	if (sscanf(text, "%" SCNd64 " %" SCNd64 " %" SCNd64, &total, &resident,
		&shared) != 3)
		return 0;
	return (resident - shared) * page;
}

int64_t
process_cpu_ms(const struct process *p)
{
	clockid_t clock;
	struct timespec t;

	if (clock_getcpuclockid(p->pid, &clock) != 0 ||
	    clock_gettime(clock, &t) != 0)
		return 0;
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}
