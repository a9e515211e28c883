/*
 * bench/layers.c - what TLS and WebSocket cost an MQTT server.
 *
 * Usage: layers plain|tls|ws PORT PID COUNT QOS SUBSCRIBERS
 *
 * One publisher sends COUNT messages of 128 bytes, WINDOW unanswered (QoS 1) or
 * undelivered (QoS 0) at a time; every subscriber gets them all, or it does not
 * count. Prints one JSON line: seconds, deliveries, and the processor time of
 * process PID in microseconds per delivery.
 */
#include "base/base.h"
#include "base/clock.h"
#include "base/loop.h"
#include "base/mem.h"
#include "codec/websocket.h"
#include "net/mqtt/client.h"
#include "net/tls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define GIVE_UP_MS 20000 /* without any progress */
#define WINDOW 100
#define PAYLOAD 128

/* --- the client's side of WebSocket -------------------------------------- */

struct ws_client {
	struct stream base;
	struct stream *below;
	bool up;
	struct buf out; /* what `below` has not taken */
	char head[WEBSOCKET_HEAD_MAX];
	size_t head_len;
	uint64_t left; /* of the frame's payload */
};

static int
ws_flush(struct stream *s)
{
	struct ws_client *w = container_of(s, struct ws_client, base);
	struct iovec iov = { w->out.ptr, w->out.len };
	ssize_t n;

	if (w->out.len == 0)
		return 0;
	n = stream_writev(w->below, &iov, 1);
	if (n < 0)
		return -1;
	memmove(w->out.ptr, w->out.ptr + n, w->out.len - (size_t)n);
	w->out.len -= (size_t)n;
	errno = EAGAIN;
	return w->out.len == 0 ? 0 : -1;
}

static bool
answer_came(struct ws_client *w)
{
	char text[1024];
	ssize_t n = stream_read(w->below, text, sizeof(text) - 1);

	if (n <= 0)
		return false;
	text[n] = '\0';
	w->up = strstr(text, " 101 ") != NULL;
	return w->up;
}

/* Takes the payload out of `n` bytes of frames, to their start. */
static size_t
deframe(struct ws_client *w, char *p, size_t n)
{
	struct websocket_head h;
	size_t out = 0, len;

	for (size_t i = 0; i < n;) {
		if (w->left > 0) {
			size_t take = MIN_OF(w->left, n - i);

			memmove(p + out, p + i, take);
			out += take;
			i += take;
			w->left -= take;
			continue;
		}
		w->head[w->head_len++] = p[i++];
		if (websocket_parse((struct str){ w->head, w->head_len }, false,
			&h, &len, NULL) == 0) {
			w->left = h.len;
			w->head_len = 0;
		}
	}
	return out;
}

static ssize_t
ws_read(struct stream *s, void *p, size_t len)
{
	struct ws_client *w = container_of(s, struct ws_client, base);
	ssize_t n;

	if (!w->up && !answer_came(w)) {
		errno = EAGAIN;
		return -1;
	}
	n = stream_read(w->below, p, len);
	if (n <= 0)
		return n;
	n = (ssize_t)deframe(w, p, (size_t)n);
	errno = EAGAIN;
	return n > 0 ? n : -1;
}

static ssize_t
ws_writev(struct stream *s, const struct iovec *iov, int n)
{
	struct ws_client *w = container_of(s, struct ws_client, base);
	struct websocket_head h = {
		.opcode = WEBSOCKET_BINARY,
		.fin = true,
		.masked = true, /* with 0: it stays as it is */
	};
	char head[WEBSOCKET_HEAD_MAX];

	if (!w->up || w->out.len > 0) {
		errno = EAGAIN;
		return -1;
	}
	for (int i = 0; i < n; i++)
		h.len += iov[i].iov_len;
	buf_add(&w->out, head, websocket_put(head, &h));
	for (int i = 0; i < n; i++)
		buf_add(&w->out, iov[i].iov_base, iov[i].iov_len);
	(void)ws_flush(s);
	return (ssize_t)h.len;
}

static unsigned
ws_wants(const struct stream *s)
{
	const struct ws_client *w = container_of(s, struct ws_client, base);

	return w->out.len > 0 ? LOOP_WRITE : 0;
}

static void
ws_free(struct stream *s)
{
	struct ws_client *w = container_of(s, struct ws_client, base);

	stream_free(w->below);
	buf_free(&w->out);
	free(w);
}

static struct stream *
wrap_ws(void *ctx, struct stream *below, const char *host, struct err *err)
{
	static const struct stream_ops ops = { ws_read, ws_writev, ws_flush,
		ws_wants, NULL, ws_free };
	struct ws_client *w = mem_new(struct ws_client);

	(void)ctx;
	(void)host;
	(void)err;
	w->base.ops = &ops;
	w->below = below;
	buf_addz(&w->out,
	    "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
	    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
	    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	    "Sec-WebSocket-Protocol: mqtt\r\n\r\n");
	return &w->base;
}

static struct stream *
wrap_tls(void *ctx, struct stream *below, const char *host, struct err *err)
{
	return tls_client_stream(ctx, below, host, err);
}

/* --- the load ------------------------------------------------------------ */

struct load {
	struct loop *loop;
	const char *layer;
	uint16_t port;
	struct tls_client *tls;
	struct mqtt_client *pub, **subs;
	uint32_t count, n_subs, sent, answered;
	uint64_t heard;
	uint8_t qos;
	int64_t moved; /* when anything last went on */
};

static double
now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Processor time of a process, in seconds. */
static double
cpu_of(long pid)
{
	unsigned long user = 0, kernel = 0;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
	f = fopen(path, "r");
	if (f == NULL ||
	    fscanf(f,
		"%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu "
		"%lu",
		&user, &kernel) != 2) {
		fprintf(stderr, "layers: no process %ld\n", pid);
		exit(1);
	}
	fclose(f);
	return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

static void send_more(struct load *l);

static void
on_heard(void *ctx, const struct mqtt_client_msg *m)
{
	struct load *l = ctx;

	if (m->topic.ptr == NULL) {
		fprintf(stderr, "layers: the subscription was refused\n");
		exit(1);
	}
	l->heard++;
	l->moved = clock_mono();
	if (l->qos == 0)
		send_more(l);
}

static void
on_answered(void *ctx, uint8_t reason)
{
	struct load *l = ctx;

	(void)reason;
	l->answered++;
	if (l->qos > 0)
		send_more(l);
}

static bool
may_send(const struct load *l)
{
	uint64_t open =
	    l->qos > 0 ? l->sent - l->answered : l->sent - l->heard / l->n_subs;

	return l->sent < l->count && open < WINDOW;
}

static void
send_more(struct load *l)
{
	static const char payload[PAYLOAD];

	while (may_send(l)) {
		if (mqtt_client_publish(l->pub, STR("bench/layers"),
			(struct str){ payload, PAYLOAD }, l->qos, false,
			on_answered, l) != 0)
			return;
		l->sent++;
	}
}

static struct mqtt_client *
client(struct load *l)
{
	static const struct mqtt_client_events none;
	struct mqtt_client_conf conf = { .address = "127.0.0.1",
		.port = l->port,
		.keepalive_s = 60,
		.level = 4,
		.max_inflight = WINDOW,
		.max_waiting = WINDOW + 1 };
	struct mqtt_client *c;
	struct err err;

	if (strcmp(l->layer, "tls") == 0) {
		conf.wrap = wrap_tls;
		conf.wrap_ctx = l->tls;
	} else if (strcmp(l->layer, "ws") == 0) {
		conf.wrap = wrap_ws;
	}
	if (mqtt_client_new(l->loop, &conf, &none, l, &c, &err) != 0) {
		fprintf(stderr, "layers: %s\n", err.text);
		exit(1);
	}
	mqtt_client_start(c);
	return c;
}

static bool
stuck(const struct load *l)
{
	return clock_mono() - l->moved > GIVE_UP_MS;
}

static bool
all_up(const struct load *l)
{
	for (uint32_t i = 0; i < l->n_subs; i++)
		if (!mqtt_client_is_up(l->subs[i]))
			return false;
	return mqtt_client_is_up(l->pub);
}

static void
run(struct load *l, long pid)
{
	uint64_t wanted = (uint64_t)l->count * l->n_subs;
	double begin, cpu;

	while (!all_up(l) && !stuck(l))
		loop_turn(l->loop, 10);
	for (int i = 0; i < 20; i++) /* the subscriptions are in place */
		loop_turn(l->loop, 10);
	l->moved = clock_mono();
	begin = now_s();
	cpu = cpu_of(pid);
	send_more(l);
	while (l->heard < wanted && !stuck(l))
		loop_turn(l->loop, 10);
	printf("{\"seconds\":%.3f,\"deliveries\":%llu,\"lost\":%llu,"
	       "\"us_per_delivery\":%.3f}\n",
	    now_s() - begin, (unsigned long long)l->heard,
	    (unsigned long long)(wanted - l->heard),
	    l->heard > 0 ? (cpu_of(pid) - cpu) * 1e6 / (double)l->heard : 0.0);
}

int
main(int argc, char **argv)
{
	const struct tls_client_conf conf = { .verify = false };
	struct load l = { 0 };
	struct err err;

	if (argc != 7) {
		fprintf(stderr, "layers: see the comment in bench/layers.c\n");
		return 2;
	}
	l.layer = argv[1];
	l.port = (uint16_t)atoi(argv[2]);
	l.count = (uint32_t)atol(argv[4]);
	l.qos = (uint8_t)atoi(argv[5]);
	l.n_subs = (uint32_t)atol(argv[6]);
	l.loop = loop_new();
	l.moved = clock_mono();
	if (tls_client_new(&conf, &l.tls, &err) != 0) {
		fprintf(stderr, "layers: %s\n", err.text);
		return 1;
	}
	l.pub = client(&l);
	l.subs = mem_array(l.n_subs, sizeof(struct mqtt_client *));
	for (uint32_t i = 0; i < l.n_subs; i++) {
		l.subs[i] = client(&l);
		mqtt_client_subscribe(
		    l.subs[i], STR("bench/layers"), l.qos, on_heard, &l);
	}
	run(&l, atol(argv[3]));
	mqtt_client_free(l.pub);
	for (uint32_t i = 0; i < l.n_subs; i++)
		mqtt_client_free(l.subs[i]);
	free(l.subs);
	tls_client_free(l.tls);
	loop_free(l.loop);
	return 0;
}
