/*
 * edge/hsm_server.c - tedge-p11-server: the only process that has the PKCS#11
 * token and its PIN. Others ask it at a socket, and never see a key.
 *
 *	tedge-p11-server [--socket-path P] [--module-path P] [--pin P] [--uri U]
 *
 * What is not said is that of device.cryptoki.*, in tedge.toml or the
 * environment. Started by systemd it takes the socket from there; else it makes
 * one for its own user and group. Who may connect may use the keys.
 *
 * One request after the other: a token does one thing at a time as well.
 */
#include "edge/agent/programs.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "edge/config.h"
#include "edge/hsm.h"
#include "edge/notify.h"
#include "net/token_ask.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define LOG_MODULE "p11-server"
#define FIRST_FD 3 /* of those that systemd gives */
#define PEER_S 2   /* to ask, and to take the answer */

static volatile sig_atomic_t ended;

static void
on_signal(int number)
{
	(void)number;
	ended = 1;
}

/* -1: it is not from systemd. */
static int
given_socket(void)
{
	uint64_t pid = 0, n = 0;

	return str_to_u64(str_of(getenv("LISTEN_PID")), &pid) &&
		pid == (uint64_t)getpid() &&
		str_to_u64(str_of(getenv("LISTEN_FDS")), &n) && n == 1
	    ? FIRST_FD
	    : -1;
}

/* One that answers is another server. */
static int
take_over(const struct sockaddr_un *at, struct err *err)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), rc = 0;

	if (fd < 0)
		return err_errno(err, "socket");
	if (connect(fd, (const struct sockaddr *)at, sizeof(*at)) == 0)
		rc = err_set(err, ERR_EXISTS,
		    "another tedge-p11-server runs: %s answers", at->sun_path);
	else
		(void)unlink(at->sun_path);
	close(fd);
	return rc;
}

static int
open_socket(const char *path, int *ret, struct err *err)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	mode_t mask;
	int fd, rc;

	if (strlen(path) >= sizeof(at.sun_path))
		return err_set(
		    err, ERR_PARAM, "%s is too long for a socket", path);
	strcpy(at.sun_path, path);
	rc = take_over(&at, err);
	if (rc != 0)
		return rc;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_errno(err, "socket");
	mask = umask(0117); /* 660, from its first moment on */
	if (bind(fd, (const struct sockaddr *)&at, sizeof(at)) < 0 ||
	    listen(fd, 16) < 0) {
		rc = err_errno(err, "listen at %s", path);
		close(fd);
	} else {
		*ret = fd;
	}
	umask(mask);
	return rc;
}

/* All of it in its time: the others wait meanwhile. */
static bool
read_request(int fd, struct buf *request)
{
	int64_t until = clock_mono() + PEER_S * 1000, left;
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char bytes[4096];
	ssize_t n = -1;

	while ((left = until - clock_mono()) > 0 && !ended) {
		if (poll(&p, 1, (int)left) <= 0)
			continue;
		n = read(fd, bytes, sizeof(bytes));
		if (n <= 0 || request->len + (size_t)n > TOKEN_ASK_MAX)
			break;
		buf_add(request, bytes, (size_t)n);
		n = -1;
	}
	return n == 0;
}

static void
serve(int fd, const struct hsm *hsm, const struct hsm_conf *conf)
{
	const struct timeval wait = { .tv_sec = PEER_S };
	struct buf request = { 0 }, answer = { 0 };
	size_t at = 0;
	ssize_t n;

	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	if (read_request(fd, &request)) {
		struct str rest = request.len > 0 ? buf_str(&request) : STR("");
		struct str line = str_cut(&rest, '\n');

		log_debug(STR_FMT, STR_ARG(line));
		hsm->answer(conf, buf_str(&request), &answer);
		rest = buf_str(&answer);
		line = str_cut(&rest, '\n');
		if (str_starts(line, STR("error ")))
			log_warn(STR_FMT, STR_ARG(line));
		while (at < answer.len &&
		    (n = send(fd, answer.ptr + at, answer.len - at,
			 MSG_NOSIGNAL)) > 0)
			at += (size_t)n;
	} else {
		log_warn("a request is too long, or did not come to its end");
	}
	if (request.len > 0)
		explicit_bzero(request.ptr, request.len); /* PINs */
	buf_free(&request);
	buf_free(&answer);
}

static const char *
setting(
    const struct config *c, const char *given, const char *key, struct arena *a)
{
	struct str s = config_text(c, key);

	return given != NULL ? given : s.len > 0 ? arena_z(a, s) : NULL;
}

static int
run(const struct config *c, const char *const *values, struct arena *a,
    struct err *err)
{
	const char *path =
	    setting(c, values[1], "device.cryptoki.socket_path", a);
	const struct hsm_conf conf = {
		.module =
		    setting(c, values[2], "device.cryptoki.module_path", a),
		.pin = setting(c, values[3], "device.cryptoki.pin", a),
		.uri = setting(c, values[4], "device.cryptoki.uri", a),
	};
	const struct sigaction act = { .sa_handler = on_signal };
	const struct hsm *hsm = hsm_with(err);
	int fd = given_socket(), given = fd, rc = 0;

	if (hsm == NULL)
		return ERR_IO;
	if (given < 0)
		rc = open_socket(path, &fd, err);
	if (rc != 0)
		return rc;
	(void)sigaction(SIGTERM, &act, NULL); /* without SA_RESTART */
	(void)sigaction(SIGINT, &act, NULL);
	notify_say("READY=1");
	while (!ended) {
		int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

		if (peer >= 0) {
			serve(peer, hsm, &conf);
			close(peer);
		} else if (errno != EINTR && errno != ECONNABORTED) {
			rc = err_errno(err, "accept at %s", path);
			break;
		}
	}
	close(fd);
	if (given < 0)
		(void)unlink(path);
	return rc;
}

int
p11_server_main(int argc, char **argv)
{
	const char *const options[] = { "config-dir", "socket-path",
		"module-path", "pin", "uri", NULL };
	const char *values[5] = { 0 };
	struct arena a = { 0 };
	struct config *c = NULL;
	struct err err;
	size_t n;
	int rc;

	if (!program_args(argc, argv, options, values, NULL, 0, &n))
		return 2;
	log_setup(LOG_INFO, LOG_LOG4J);
	rc = config_open(
	    values[0] != NULL ? values[0] : program_config_dir(), &c, &err);
	if (rc == 0)
		rc = run(c, values, &a, &err);
	config_close(c);
	arena_fini(&a);
	return rc == 0 ? 0 : program_fail(1, "tedge-p11-server: %s", err.text);
}
