/*
 * base/test_port.h - a TCP port of loopback for a server that a test starts
 * later, or again.
 *
 * It lies outside of what the kernel gives to whoever asks for any: else the
 * connection of another test takes it meanwhile. It is kept by a name that only
 * one process of the machine can have, of these tests and of those that use
 * test/e2e/ports.py, until the process ends.
 */
#ifndef BASE_TEST_PORT_H
#define BASE_TEST_PORT_H

#include "base/test.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define TEST_PORTS 12000

static inline int
test_port_first(void)
{
	int low = 32768;
	FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "r");

	if (f != NULL) {
		if (fscanf(f, "%d", &low) != 1)
			low = 32768;
		fclose(f);
	}
	return low > TEST_PORTS + 1024 ? low - TEST_PORTS : 20000;
}

static inline uint16_t
test_port(void)
{
	const int first = test_port_first(), one = 1;

	for (int i = 0; i < 1000; i++) {
		struct sockaddr_in a = { .sin_family = AF_INET };
		struct sockaddr_un name = { .sun_family = AF_UNIX };
		int kept, fd, rc = -1;
		uint32_t some;

		if (getrandom(&some, sizeof(some), 0) != sizeof(some))
			break;
		some = (uint32_t)first + some % TEST_PORTS;
		snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1,
		    "marram-test-port-%u", some);
		kept = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		(void)setsockopt(
		    fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		a.sin_port = htons((uint16_t)some);
		if (bind(kept, (struct sockaddr *)&name, sizeof(name)) == 0)
			rc = bind(fd, (struct sockaddr *)&a, sizeof(a));
		close(fd);
		if (rc == 0)
			return (uint16_t)some; /* with `kept` */
		close(kept);
	}
	fail_msg("%s", "no port is free");
	return 0;
}

#endif
