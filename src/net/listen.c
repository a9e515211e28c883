/*
 * net/listen.c - see listen.h.
 */
#include "net/listen.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

int
net_listen(const char *address, uint16_t port, uint16_t *got, int *ret,
    struct err *err)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_PASSIVE,
		.ai_socktype = SOCK_STREAM };
	struct sockaddr_storage bound;
	socklen_t len = sizeof(bound);
	struct addrinfo *ai;
	char text[8];
	int fd = -1, on = 1, off = 0, rc;

	snprintf(text, sizeof(text), "%u", port);
	rc = getaddrinfo(address, text, &hints, &ai);
	if (rc != 0)
		return err_set(err, ERR_PARAM, "listen on \"%s\": %s", address,
		    gai_strerror(rc));
	rc = 0;
	fd = socket(
	    ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		rc = err_errno(err, "socket");
		goto done;
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (ai->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, 511) < 0 ||
	    getsockname(fd, (struct sockaddr *)&bound, &len) < 0) {
		rc = err_errno(
		    err, "listen for HTTP on %s port %u", address, port);
		goto done;
	}
	*got = ntohs(bound.ss_family == AF_INET6
		? ((struct sockaddr_in6 *)&bound)->sin6_port
		: ((struct sockaddr_in *)&bound)->sin_port);
	*ret = fd;
done:
	freeaddrinfo(ai);
	if (rc != 0 && fd >= 0)
		close(fd);
	return rc;
}
