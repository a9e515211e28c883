/*
 * plug/metric/test_influx.c - see test_influx.h.
 */
#include "plug/metric/test_influx.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM "/usr/bin/influxd"

static int
free_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0), port = 0;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)(void *)&a, sizeof(a)) == 0 &&
	    getsockname(fd, (struct sockaddr *)(void *)&a, &len) == 0)
		port = ntohs(a.sin_port);
	close(fd);
	return port;
}

static bool
listens(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	bool ret;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ret = connect(fd, (struct sockaddr *)(void *)&a, sizeof(a)) == 0;
	close(fd);
	return ret;
}

static void
write_conf(const struct test_influx *s, int port, int rpc)
{
	char *path = mem_printf("%s/conf", s->dir);
	FILE *f = fopen(path, "w");

	if (f != NULL) {
		fprintf(f,
		    "reporting-disabled = true\n"
		    "bind-address = \"127.0.0.1:%d\"\n"
		    "[meta]\ndir = \"%s/meta\"\n"
		    "[data]\ndir = \"%s/data\"\nwal-dir = \"%s/wal\"\n"
		    "[http]\nbind-address = \"127.0.0.1:%d\"\n"
		    "log-enabled = false\n"
		    "[monitor]\nstore-enabled = false\n",
		    rpc, s->dir, s->dir, s->dir, port);
		fclose(f);
	}
	free(path);
}

bool
test_influx_start(struct test_influx *s)
{
	int port = free_port(), rpc = free_port(), null;
	char *conf;

	if (access(PROGRAM, X_OK) != 0)
		return false;
	strcpy(s->dir, "/tmp/influx-XXXXXX");
	if (mkdtemp(s->dir) == NULL)
		return false;
	write_conf(s, port, rpc);
	conf = mem_printf("%s/conf", s->dir);
	s->pid = fork();
	if (s->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		null = open("/dev/null", O_RDWR);
		dup2(null, 1);
		dup2(null, 2);
		execl(PROGRAM, PROGRAM, "run", "-config", conf, NULL);
		_exit(127);
	}
	free(conf);
	snprintf(s->url, sizeof(s->url), "http://127.0.0.1:%d/", port);
	for (int i = 0; i < 500; i++) {
		if (listens(port))
			return true;
		usleep(20000);
	}
	test_influx_stop(s);
	return false;
}

void
test_influx_stop(struct test_influx *s)
{
	char *rm;

	if (s->pid <= 0)
		return;
	kill(s->pid, SIGKILL);
	waitpid(s->pid, NULL, 0);
	s->pid = 0;
	rm = mem_printf("rm -rf %s", s->dir);
	if (system(rm) != 0)
		fprintf(stderr, "%s stays\n", s->dir);
	free(rm);
}
