/*
 * plug/script/jail.c - see jail.h.
 *
 * The list was found by running: what JavaScriptCore, its collector and its
 * compiler threads ask for once they run, and the C library for them. It names
 * no call that opens, creates, connects, starts a program or looks at another
 * process. A thread may be started, a process not; memory is never shared.
 */
#include "plug/script/jail.h"

#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void
limit(int what, rlim_t n)
{
	struct rlimit l = { n, n };

	(void)setrlimit((__rlimit_resource_t)what, &l); /* lower: always may */
}

/* The engine asks for the time zone again and again; later it can not read what
 * /etc/localtime points at. */
static void
note_time_zone(void)
{
	static const char folder[] = "/zoneinfo/";
	char path[256];
	ssize_t n = readlink("/etc/localtime", path, sizeof(path) - 1);
	const char *name;

	if (n <= 0)
		return;
	path[n] = '\0';
	name = strstr(path, folder);
	if (name != NULL)
		setenv("TZ", name + strlen(folder), 1);
}

void
jail_limits(int keep)
{
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	note_time_zone();
	close_range((unsigned)keep + 1, ~0U, 0);
	limit(RLIMIT_CORE, 0);
	fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		(void)!write(fd, "1000", 4); /* not allowed: then without */
		close(fd);
	}
	/* Nobody looks into it. Last, as /proc/self is not ours any more. */
	prctl(PR_SET_DUMPABLE, 0);
}

static const int plain[] = {
	/* memory and threads */
	SCMP_SYS(brk),
	SCMP_SYS(madvise),
	SCMP_SYS(mprotect),
	SCMP_SYS(mremap),
	SCMP_SYS(munmap),
	SCMP_SYS(mincore),
	SCMP_SYS(futex),
	SCMP_SYS(membarrier),
	SCMP_SYS(rseq),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	/* signals to itself: the collector stops threads with them */
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(rt_sigsuspend),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(restart_syscall),
	/* time and what it may know of itself */
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_getres),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(nanosleep),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(time),
	SCMP_SYS(getrandom),
	SCMP_SYS(getrusage),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(sysinfo),
	/* the pipes */
	SCMP_SYS(close),
};

static int
add_rules(scmp_filter_ctx f)
{
	const scmp_datum_t thread = CLONE_VM | CLONE_THREAD | CLONE_SIGHAND;
	int rc = 0;

	for (size_t i = 0; i < COUNT_OF(plain) && rc == 0; i++)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, plain[i], 0);
	if (rc == 0)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(read), 1,
		    SCMP_A0(SCMP_CMP_EQ, STDIN_FILENO));
	if (rc == 0)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(write), 1,
		    SCMP_A0(SCMP_CMP_EQ, STDOUT_FILENO));
	if (rc == 0)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
		    SCMP_A3(SCMP_CMP_MASKED_EQ, MAP_SHARED | MAP_ANONYMOUS,
			MAP_ANONYMOUS));
	if (rc == 0)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
		    SCMP_A0(SCMP_CMP_MASKED_EQ, thread, thread));
	/* Its flags lie in memory, where a filter does not see them. Told that
	 * there is no such call, the C library takes the other one. */
	if (rc == 0)
		rc = seccomp_rule_add(
		    f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	if (rc == 0)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
		    SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
	if (rc == 0)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
		    SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME));
	if (rc == 0) /* ask for limits of its own, set none */
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 2,
		    SCMP_A0(SCMP_CMP_EQ, 0), SCMP_A2(SCMP_CMP_EQ, 0));
	return rc;
}

const char *
jail_close(void)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int rc;

	limit(RLIMIT_NOFILE, 0); /* what is open stays, no more is opened */
	if (f == NULL)
		return "no memory for the filter of system calls";
	rc = seccomp_attr_set(f, SCMP_FLTATR_CTL_NNP, 1);
	if (rc == 0)
		rc = seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1);
	if (rc == 0)
		rc = add_rules(f);
	if (rc == 0)
		rc = seccomp_load(f);
	seccomp_release(f);
	return rc == 0 ? NULL : "this kernel takes no filter of system calls";
}

/* --- the check ----------------------------------------------------------- */

static bool
try_open(void)
{
	return open("/etc/passwd", O_RDONLY) >= 0;
}

static bool
try_create(void)
{
	return open("/tmp/marram-script-check", O_WRONLY | O_CREAT | O_EXCL,
		   0600) >= 0;
}

static bool
try_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid > 0;
}

static bool
try_exec(void)
{
	execl("/bin/true", "true", (char *)NULL);
	return false; /* or this program would not be here */
}

static bool
try_socket(void)
{
	return socket(AF_INET, SOCK_STREAM, 0) >= 0 ||
	    socket(AF_UNIX, SOCK_STREAM, 0) >= 0;
}

static bool
try_kill(void)
{
	return kill(getppid() > 0 ? getppid() : 1, 0) == 0 || errno != EPERM;
}

static bool
try_ptrace(void)
{
	return ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0;
}

static bool
try_shared(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_ANONYMOUS, -1, 0) != MAP_FAILED;
}

static bool
try_unlink(void)
{
	return unlink("/tmp/marram-script-check") == 0 || errno != EPERM;
}

static bool
try_mount(void)
{
	return syscall(SYS_unshare, CLONE_NEWUSER) == 0;
}

static const struct {
	const char *name;
	bool (*works)(void);
} attempts[] = {
	{ "open a file", try_open },
	{ "create a file", try_create },
	{ "delete a file", try_unlink },
	{ "start a process", try_fork },
	{ "start a program", try_exec },
	{ "open a socket", try_socket },
	{ "signal another process", try_kill },
	{ "trace", try_ptrace },
	{ "share memory", try_shared },
	{ "enter a namespace", try_mount },
};

int
jail_check(void)
{
	int n = 0;

	for (size_t i = 0; i < COUNT_OF(attempts); i++) {
		char line[80];
		bool works = attempts[i].works();

		n += works;
		snprintf(line, sizeof(line), "%s: %s\n", attempts[i].name,
		    works ? "WORKS" : "refused");
		(void)!write(STDOUT_FILENO, line, strlen(line));
	}
	return n;
}
