/*
 * mean.c - a component of a device, in C: the mean of one measurement over a
 * window, and an alarm while the mean is above a threshold.
 *
 *	make mean
 *	./mean 127.0.0.1 1883 temperature 10 30
 *
 * It does what mean.py does, for the main device alone and one name. It needs
 * libmosquitto-dev. The value is found by a search for its name, which is
 * enough for flat messages; a real component takes a JSON library.
 */
#include <mosquitto.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MEAN "te/device/main///m/mean" /* what is ours is not heard again */

struct component {
	const char *name;
	double above, sum;
	unsigned n;
	int alarm;
};

static void
on_connect(struct mosquitto *m, void *ctx, int rc)
{
	(void)ctx;
	if (rc == 0)
		mosquitto_subscribe(m, NULL, "te/device/main/+/+/m/+", 1);
}

/* The number behind "name": in a flat object. */
static int
find(const char *json, const char *name, double *ret)
{
	char key[128], *end;
	const char *p;

	snprintf(key, sizeof(key), "\"%s\"", name);
	p = strstr(json, key);
	if (p == NULL)
		return 0;
	p += strlen(key);
	p += strspn(p, " \t\r\n:");
	*ret = strtod(p, &end);
	return end != p && isfinite(*ret);
}

static void
on_message(
    struct mosquitto *m, void *ctx, const struct mosquitto_message *message)
{
	struct component *c = ctx;
	char *text;
	double value;

	(void)m;
	if (strcmp(message->topic, MEAN) == 0 || message->payloadlen <= 0)
		return;
	text = strndup(message->payload, (size_t)message->payloadlen);
	if (text != NULL && find(text, c->name, &value)) {
		c->sum += value;
		c->n++;
	}
	free(text);
}

static void
judge(struct mosquitto *m, struct component *c, double mean)
{
	char topic[200], text[256] = "";

	if ((mean > c->above) == c->alarm)
		return;
	c->alarm = !c->alarm;
	snprintf(topic, sizeof(topic), "te/device/main///a/%s_high", c->name);
	if (c->alarm)
		snprintf(text, sizeof(text),
		    "{\"severity\":\"major\",\"text\":\"the mean of %s is %g, "
		    "above %g\"}",
		    c->name, mean, c->above);
	/* empty and retained: the alarm is gone */
	mosquitto_publish(m, NULL, topic, (int)strlen(text), text, 2, true);
}

static void
end_window(struct mosquitto *m, struct component *c)
{
	double mean = c->sum / c->n;
	char text[256];

	if (c->n == 0)
		return;
	snprintf(text, sizeof(text), "{\"time\":%lld,\"%s\":%g}",
	    (long long)time(NULL), c->name, mean);
	mosquitto_publish(m, NULL, MEAN, (int)strlen(text), text, 1, false);
	judge(m, c, mean);
	c->sum = 0;
	c->n = 0;
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int
main(int argc, char **argv)
{
	struct component c = { 0 };
	struct mosquitto *m;
	double window, due;

	if (argc != 6) {
		fprintf(stderr, "usage: mean HOST PORT NAME SECONDS ABOVE\n");
		return 2;
	}
	c.name = argv[3];
	c.above = atof(argv[5]);
	window = atof(argv[4]);
	mosquitto_lib_init();
	m = mosquitto_new("example-mean-c", true, &c);
	mosquitto_connect_callback_set(m, on_connect);
	mosquitto_message_callback_set(m, on_message);
	if (mosquitto_connect(m, argv[1], atoi(argv[2]), 60) != 0) {
		fprintf(stderr, "mean: nobody answers at %s:%s\n", argv[1],
		    argv[2]);
		return 1;
	}
	for (due = now() + window;;) {
		double left = due - now();

		if (left <= 0) {
			end_window(m, &c);
			due += window;
		} else if (mosquitto_loop(m, (int)(left * 1000) + 1, 1) != 0) {
			(void)nanosleep(&(struct timespec){ 1, 0 }, NULL);
			mosquitto_reconnect(m);
		}
	}
}
