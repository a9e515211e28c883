/*
 * bench/edgeload.c - sends measurements to a device's broker and counts what
 * arrives at its cloud.
 *
 * Usage: edgeload PORT TOPIC CLOUD_PORT CLOUD_TOPIC COUNT WINDOW
 *
 * One publisher sends COUNT QoS 1 messages {"temperature":<n mod 1000 / 10>},
 * of which WINDOW at most have not come to the cloud yet, and one subscriber of
 * QoS 0 counts them there. Prints one JSON line as flood does.
 */
#include "base/clock.h"
#include "base/loop.h"
#include "base/str.h"
#include "net/mqtt/client.h"

#include <stdio.h>
#include <stdlib.h>

#define GIVE_UP_MS 20000 /* without any progress */

struct load {
	struct loop *loop;
	struct mqtt_client *pub, *sub;
	struct str topic;
	uint32_t count, window, sent, heard;
	int64_t moved;
};

static void
send_more(struct load *l)
{
	while (l->sent < l->count &&
	    (int32_t)(l->sent - l->heard) < (int32_t)l->window) {
		char text[64];
		const struct str payload = { text,
			(size_t)snprintf(text, sizeof(text),
			    "{\"temperature\":%u.%u}", l->sent % 1000 / 10,
			    l->sent % 10) };

		if (mqtt_client_publish(
			l->pub, l->topic, payload, 1, false, NULL, NULL) != 0)
			break;
		l->sent++;
	}
}

static void
on_heard(void *ctx, const struct mqtt_client_msg *m)
{
	struct load *l = ctx;

	if (m->topic.ptr == NULL) {
		fprintf(stderr, "the subscription was refused\n");
		exit(1);
	}
	l->heard++;
	l->moved = clock_mono();
	if (l->heard % 16 == 0 || l->heard + l->window >= l->count)
		send_more(l);
}

static struct mqtt_client *
client(struct load *l, const char *port)
{
	const struct mqtt_client_conf conf = { .address = "127.0.0.1",
		.port = (uint16_t)atoi(port),
		.keepalive_s = 60,
		.max_inflight = 60000,
		.max_waiting = l->window + 1 };
	static const struct mqtt_client_events none;
	struct mqtt_client *c;
	struct err err;

	if (mqtt_client_new(l->loop, &conf, &none, l, &c, &err) != 0) {
		fprintf(stderr, "%s\n", err.text);
		exit(1);
	}
	mqtt_client_start(c);
	return c;
}

static bool
is_stuck(const struct load *l)
{
	return clock_mono() - l->moved > GIVE_UP_MS;
}

int
main(int argc, char **argv)
{
	struct load l = { 0 };
	int64_t begin;

	if (argc != 7) {
		fprintf(stderr, "see the comment in bench/edgeload.c\n");
		return 2;
	}
	l.topic = str_of(argv[2]);
	l.count = (uint32_t)atol(argv[5]);
	l.window = (uint32_t)atol(argv[6]);
	l.loop = loop_new();
	l.moved = clock_mono();
	l.pub = client(&l, argv[1]);
	l.sub = client(&l, argv[3]);
	mqtt_client_subscribe(l.sub, str_of(argv[4]), 0, on_heard, &l);
	while (!mqtt_client_is_up(l.pub) || !mqtt_client_is_up(l.sub)) {
		loop_turn(l.loop, 100);
		if (is_stuck(&l))
			return 1;
	}
	for (int i = 0; i < 20; i++) /* the subscription is in place */
		loop_turn(l.loop, 10);
	l.moved = begin = clock_mono();
	send_more(&l);
	while (l.heard < l.count && !is_stuck(&l))
		loop_turn(l.loop, 100);
	printf("{\"seconds\":%.3f,\"received\":%u,\"sent\":%u}\n",
	    (double)(clock_mono() - begin) / 1e3, l.heard, l.sent);
	mqtt_client_free(l.pub);
	mqtt_client_free(l.sub);
	loop_free(l.loop);
	return 0;
}
