/*
 * plug/gateway/link_serial.c - lines over a serial port, in raw mode.
 *
 * Opening and closing must not wait for a peer: O_NONBLOCK, no wait for the
 * carrier, and what is not written is thrown away before the port is closed.
 */
#include "base/base.h"
#include "base/err.h"
#include "base/mem.h"
#include "plug/gateway/line.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <termios.h>
#include <unistd.h>

struct spec {
	struct str port, delay;
	int64_t speed;
};

#define S struct spec
static const struct field spec_fields[] = {
	F_TEXT(S, port, "portname", .help = "The device: \"/dev/ttyUSB0\"."),
	F_INT(S, speed, "baudrate", .def = "115200", .min = 1, .max = 4000000,
	    .help = "Bits per second."),
	F_TEXT(S, delay, "transmitPreDelay", .def = "\"1ms\"",
	    .help = "Wait before each frame is sent."),
	{ 0 },
};
#undef S
static const struct record spec_record = { "serial", sizeof(struct spec),
	spec_fields };

static const struct {
	int64_t speed;
	speed_t code;
} speeds[] = { { 1200, B1200 }, { 2400, B2400 }, { 4800, B4800 },
	{ 9600, B9600 }, { 19200, B19200 }, { 38400, B38400 },
	{ 57600, B57600 }, { 115200, B115200 }, { 230400, B230400 },
	{ 460800, B460800 }, { 500000, B500000 }, { 576000, B576000 },
	{ 921600, B921600 }, { 1000000, B1000000 }, { 2000000, B2000000 } };

struct serial {
	struct gateway_link base;
	struct line line;
	char *port;
	speed_t speed;
	struct loop_defer begin;
};

/* --- the port as a stream ------------------------------------------------- */

struct tty {
	struct stream base;
	int fd;
};

static ssize_t
tty_read(struct stream *s, void *p, size_t len)
{
	ssize_t n;

	do
		n = read(container_of(s, struct tty, base)->fd, p, len);
	while (n < 0 && errno == EINTR);
	return n;
}

static ssize_t
tty_writev(struct stream *s, const struct iovec *iov, int n)
{
	ssize_t sent;

	do
		sent = writev(container_of(s, struct tty, base)->fd, iov, n);
	while (sent < 0 && errno == EINTR);
	return sent;
}

static int
tty_flush(struct stream *s)
{
	(void)s;
	return 0;
}

static unsigned
tty_wants(const struct stream *s)
{
	(void)s;
	return 0;
}

static void
tty_bye(struct stream *s) /* or close() waits until it is written */
{
	(void)tcflush(container_of(s, struct tty, base)->fd, TCIOFLUSH);
}

static void
tty_free(struct stream *s)
{
	free(container_of(s, struct tty, base));
}

static const struct stream_ops tty_ops = {
	.read = tty_read,
	.writev = tty_writev,
	.flush = tty_flush,
	.wants = tty_wants,
	.bye = tty_bye,
	.free = tty_free,
};

/* --- the link ------------------------------------------------------------- */

static int
set_raw(int fd, speed_t speed)
{
	struct termios t;

	if (tcgetattr(fd, &t) < 0)
		return -1;
	cfmakeraw(&t);
	t.c_cflag |= CLOCAL | CREAD;
	t.c_cflag &= ~(tcflag_t)(CSTOPB | CRTSCTS);
	if (cfsetspeed(&t, speed) < 0)
		return -1;
	return tcsetattr(fd, TCSANOW, &t);
}

/* Negative, with a sentence. */
static int
open_port(const struct serial *l, struct err *err)
{
	struct stat st;
	int fd;

	gateway_stage(l->base.g, "port");
	if (stat(l->port, &st) < 0)
		return err_errno(err, "%s", l->port);
	if (!S_ISCHR(st.st_mode))
		return err_set(err, ERR_PARAM, "%s is no serial port", l->port);
	gateway_stage(l->base.g, "open");
	fd = open(l->port, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, "%s", l->port);
	if (!isatty(fd))
		err_set(err, ERR_PARAM, "%s is no serial port", l->port);
	else if (ioctl(fd, TIOCEXCL) < 0 || set_raw(fd, l->speed) < 0)
		err_errno(err, "%s", l->port);
	else
		return fd;
	close(fd);
	return err->code;
}

static void
on_begin(struct loop_defer *d)
{
	struct serial *l = container_of(d, struct serial, begin);
	struct tty *tty;
	struct err err;
	int fd = open_port(l, &err);

	if (fd < 0) {
		gateway_link_down(l->base.g, err.text);
		return;
	}
	tty = mem_new(struct tty);
	tty->base.ops = &tty_ops;
	tty->fd = fd;
	line_open(&l->line, fd, &tty->base);
}

static void
serial_start(struct gateway_link *base)
{
	struct serial *l = container_of(base, struct serial, base);

	loop_defer(gateway_host_of(base->g)->loop, &l->begin);
}

static void
serial_stop(struct gateway_link *base)
{
	struct serial *l = container_of(base, struct serial, base);

	loop_undefer(gateway_host_of(base->g)->loop, &l->begin);
	line_close(&l->line);
}

static int
serial_put(struct gateway_link *base, struct str topic, struct str data,
    struct gateway_put *p, struct err *err)
{
	(void)topic;
	return line_put(
	    &container_of(base, struct serial, base)->line, data, p, err);
}

static void
serial_close(struct gateway_link *base)
{
	struct serial *l = container_of(base, struct serial, base);

	line_fini(&l->line);
	free(l->port);
	free(l);
}

/* --- open ----------------------------------------------------------------- */

static int
check_port(struct gateway *g, const char *port, struct err *err)
{
	struct str rest = gateway_host_of(g)->settings->allow_ports;
	struct arena a = { 0 };
	bool good = str_trim(rest).len == 0;

	if (port[0] != '/' || strstr(port, "/../") != NULL)
		return err_set(err, ERR_PARAM,
		    "portname: a device like /dev/ttyUSB0 is needed");
	while (!good && rest.ptr != NULL) {
		struct str one = str_trim(str_cut(&rest, ','));

		good = fnmatch(arena_z(&a, one), port, FNM_PATHNAME) == 0;
	}
	arena_fini(&a);
	return good ? 0
		    : err_set(err, ERR_DENIED,
			  "portname: %.100s is not among "
			  "hub.gateway.allowPorts",
			  port);
}

static int
serial_open(struct gateway *g, const void *spec, struct gateway_link **ret,
    struct err *err)
{
	const struct spec *s = spec;
	struct serial *l;
	int64_t delay;
	size_t i = 0;
	int rc;

	while (i < COUNT_OF(speeds) && speeds[i].speed != s->speed)
		i++;
	if (i == COUNT_OF(speeds))
		return err_set(err, ERR_PARAM,
		    "baudrate: a usual one like 115200 is needed");
	rc = gateway_duration(s->delay, "transmitPreDelay", &delay, err);
	if (rc != 0)
		return rc;
	l = mem_new(struct serial);
	l->base.delay_ms = delay;
	l->port = str_dupz(s->port);
	l->speed = speeds[i].code;
	l->begin.run = on_begin;
	line_init(&l->line, g);
	rc = check_port(g, l->port, err);
	if (rc != 0) {
		free(l->port);
		free(l);
		return rc;
	}
	*ret = &l->base;
	return 0;
}

const struct gateway_link_ops gateway_link_serial = {
	.name = "serial",
	.protocol = GATEWAY_SERIAL,
	.spec = &spec_record,
	.open = serial_open,
	.start = serial_start,
	.stop = serial_stop,
	.put = serial_put,
	.close = serial_close,
};
