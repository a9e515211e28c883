/*
 * bench/flood.c - sends uplink messages and counts what arrives.
 *
 * Usage: flood PORT COUNT WINDOW PUB_USER PUB_PASS PUB_TOPIC SUB_USER SUB_PASS
 *        SUB_TOPIC ADDRESSES [json]
 *
 * One publisher keeps WINDOW QoS 1 messages unanswered; one subscriber counts.
 * Message n is {"time":...,"networkAddr":<n mod ADDRESSES>,"data":<n>}, with
 * `json` data are {"t":<n mod 1000 / 10>} in hex. Prints
 * one JSON line: seconds from the first message sent to the last one received,
 * and how many of COUNT were received.
 */
#include "base/clock.h"
#include "base/loop.h"
#include "base/str.h"
#include "net/mqtt/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define GIVE_UP_MS 20000 /* without any progress */

struct flood {
	struct loop *loop;
	struct mqtt_client *pub, *sub;
	struct str topic;
	uint32_t count, window, addresses, sent, answered, heard;
	bool json;
	int64_t moved; /* when anything last went on */
};

static int64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void
on_heard(void *ctx, const struct mqtt_client_msg *m)
{
	struct flood *f = ctx;

	if (m->topic.ptr == NULL) {
		fprintf(stderr, "the subscription was refused\n");
		exit(1);
	}
	f->heard++;
	f->moved = clock_mono();
}

static void send_more(struct flood *f);

static void
on_answered(void *ctx, uint8_t reason)
{
	struct flood *f = ctx;

	(void)reason;
	f->answered++;
	send_more(f);
}

static void
send_more(struct flood *f)
{
	char now[TIME_TEXT_LEN + 1], text[160], value[32];
	struct buf data = { 0 };

	while (f->sent < f->count && f->sent - f->answered < f->window) {
		struct str payload = { text, 0 };

		time_format(clock_now(), now);
		buf_clear(&data);
		if (f->json) {
			int n = snprintf(value, sizeof(value), "{\"t\":%u.%u}",
			    f->sent % 1000 / 10, f->sent % 10);

			hex_encode(&data, value, (size_t)n);
		} else {
			buf_addf(&data, "%016x", f->sent);
		}
		payload.len = (size_t)snprintf(text, sizeof(text),
		    "{\"time\":\"%s\",\"networkAddr\":\"%08x\","
		    "\"data\":\"%s\"}",
		    now, f->sent % f->addresses, buf_z(&data));
		if (mqtt_client_publish(f->pub, f->topic, payload, 1, false,
			on_answered, f) != 0)
			break;
		f->sent++;
	}
	buf_free(&data);
}

static struct mqtt_client *
client(struct flood *f, uint16_t port, const char *user, const char *password)
{
	struct mqtt_client_conf conf = { .address = "127.0.0.1",
		.port = port,
		.user = user,
		.password = password,
		.keepalive_s = 60,
		.max_inflight = f->window,
		.max_waiting = f->window + 1 };
	static const struct mqtt_client_events none;
	struct mqtt_client *c;
	struct err err;

	if (mqtt_client_new(f->loop, &conf, &none, f, &c, &err) != 0) {
		fprintf(stderr, "%s\n", err.text);
		exit(1);
	}
	mqtt_client_start(c);
	return c;
}

static bool
stuck(const struct flood *f)
{
	return clock_mono() - f->moved > GIVE_UP_MS;
}

int
main(int argc, char **argv)
{
	struct flood f = { 0 };
	int64_t begin;

	if (argc != 11 && argc != 12) {
		fprintf(stderr, "flood: see the comment in bench/flood.c\n");
		return 2;
	}
	f.count = (uint32_t)atol(argv[2]);
	f.window = (uint32_t)atol(argv[3]);
	f.addresses = (uint32_t)atol(argv[10]);
	f.json = argc == 12;
	f.topic = str_of(argv[6]);
	f.loop = loop_new();
	f.moved = clock_mono();
	f.pub = client(&f, (uint16_t)atoi(argv[1]), argv[4], argv[5]);
	f.sub = client(&f, (uint16_t)atoi(argv[1]), argv[7], argv[8]);
	mqtt_client_subscribe(f.sub, str_of(argv[9]), 1, on_heard, &f);
	while (!mqtt_client_is_up(f.pub) || !mqtt_client_is_up(f.sub)) {
		loop_turn(f.loop, 100);
		if (stuck(&f))
			return 1;
	}
	for (int i = 0; i < 20; i++) /* the subscription is in place */
		loop_turn(f.loop, 10);
	f.moved = clock_mono();
	begin = now_us();
	send_more(&f);
	while (f.heard < f.count && !stuck(&f))
		loop_turn(f.loop, 100);
	printf("{\"seconds\":%.6f,\"received\":%u,\"sent\":%u}\n",
	    (double)(now_us() - begin) / 1e6, f.heard, f.sent);
	mqtt_client_free(f.pub);
	mqtt_client_free(f.sub);
	loop_free(f.loop);
	return 0;
}
