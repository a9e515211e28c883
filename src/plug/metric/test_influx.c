/*
 * plug/metric/test_influx.c - see test_influx.h.
 */
#include "plug/metric/test_influx.h"

#include "base/mem.h"
#include "base/test_port.h"

#include <arpa/inet.h>
#include <curl/curl.h>
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

#define INFLUX "/usr/bin/influxd"
#define VICTORIA "/usr/bin/victoria-metrics"

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

static bool
make_dir(struct test_influx *s, const char *program)
{
	if (access(program, X_OK) != 0)
		return false;
	strcpy(s->dir, "/tmp/influx-XXXXXX");
	return mkdtemp(s->dir) != NULL;
}

/* Runs it and waits until it listens. */
static bool
run(struct test_influx *s, int port, char *const *argv)
{
	int null;

	s->pid = fork();
	if (s->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		null = open("/dev/null", O_RDWR);
		dup2(null, 1);
		dup2(null, 2);
		execv(argv[0], argv);
		_exit(127);
	}
	snprintf(s->url, sizeof(s->url), "http://127.0.0.1:%d/", port);
	for (int i = 0; i < 4500; i++) { /* 90 s */
		if (listens(port))
			return true;
		usleep(20000);
	}
	test_influx_stop(s);
	return false;
}

bool
test_influx_start(struct test_influx *s)
{
	int port = test_port(), rpc = test_port();
	char *conf;
	bool ret;

	if (!make_dir(s, INFLUX))
		return false;
	write_conf(s, port, rpc);
	conf = mem_printf("%s/conf", s->dir);
	ret = run(s, port,
	    (char *[]){ (char[]){ INFLUX }, (char[]){ "run" },
		(char[]){ "-config" }, conf, NULL });
	free(conf);
	return ret;
}

bool
test_victoria_start(struct test_influx *s)
{
	int port = test_port();
	char *data, *listen;
	bool ret;

	if (!make_dir(s, VICTORIA))
		return false;
	data = mem_printf("-storageDataPath=%s/data", s->dir);
	listen = mem_printf("-httpListenAddr=127.0.0.1:%d", port);
	ret = run(s, port,
	    (char *[]){ (char[]){ VICTORIA }, data, listen,
		(char[]){ "-retentionPeriod=100y" },
		(char[]){ "-memory.allowedPercent=10" }, NULL });
	free(data);
	free(listen);
	return ret;
}

bool
test_victoria_flush(const struct test_influx *s)
{
	char *url = mem_printf("%sinternal/force_flush", s->url);
	CURL *c = curl_easy_init();
	CURLcode code;

	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_FAILONERROR, 1L);
	curl_easy_setopt(c, CURLOPT_TIMEOUT, 10L);
	code = curl_easy_perform(c);
	curl_easy_cleanup(c);
	free(url);
	return code == CURLE_OK;
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
