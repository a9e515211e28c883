/*
 * net/token_ask.c - see token_ask.h.
 */
#include "net/token_ask.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define WAIT_S 10 /* a token may take its time */

static int
dial(const char *path, struct err *err)
{
	const struct timeval wait = { .tv_sec = WAIT_S };
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(to.sun_path))
		return err_set(
		    err, ERR_IO, "%s is too long for a socket", path);
	strcpy(to.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0) {
		err_errno(err, "socket");
		return ERR_IO;
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0) {
		err_errno(err, "ask the holder of the token at %s", path);
		close(fd);
		return ERR_IO;
	}
	return fd;
}

static bool
write_all(int fd, struct str text)
{
	while (text.len > 0) {
		ssize_t n = send(fd, text.ptr, text.len, MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		text.ptr += n;
		text.len -= (size_t)n;
	}
	return shutdown(fd, SHUT_WR) == 0;
}

static bool
read_all(int fd, struct buf *text)
{
	char bytes[4096];
	ssize_t n;

	while ((n = read(fd, bytes, sizeof(bytes))) > 0) {
		if (text->len + (size_t)n > TOKEN_ASK_MAX)
			return false;
		buf_add(text, bytes, (size_t)n);
	}
	return n == 0;
}

int
token_ask(
    const char *path, struct str request, struct buf *answer, struct err *err)
{
	struct buf text = { 0 };
	struct str rest, line;
	int fd = dial(path, err), rc = 0;

	if (fd < 0)
		return fd;
	if (!write_all(fd, request) || !read_all(fd, &text)) {
		err_errno(err, "ask the holder of the token at %s", path);
		rc = ERR_IO;
	}
	close(fd);
	rest = buf_str(&text);
	line = str_cut(&rest, '\n');
	if (rc == 0 && str_starts(line, STR("error ")))
		rc = err_set(
		    err, ERR_PARAM, "%.*s", (int)line.len - 6, line.ptr + 6);
	else if (rc == 0 && !str_eqz(line, "ok"))
		rc = err_set(err, ERR_IO,
		    "the holder of the token at %s has not answered", path);
	if (rc == 0)
		buf_add_str(answer, rest.ptr != NULL ? rest : STR(""));
	buf_free(&text);
	return rc;
}

struct str
token_line(struct str text, const char *name)
{
	while (text.len > 0) {
		struct str value = str_cut(&text, '\n');
		struct str key = str_cut(&value, ' ');

		if (str_eqz(key, name))
			return value.ptr != NULL ? value : STR("");
	}
	return STR_NULL;
}

void
token_add(struct buf *text, const char *name, struct str value)
{
	buf_addf(text, "%s ", name);
	buf_add_str(text, str_cut(&value, '\n')); /* a zero is a letter */
	buf_addc(text, '\n');
}
