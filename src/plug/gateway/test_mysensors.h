/*
 * plug/gateway/test_mysensors.h - a MySensors gateway with its other end in the
 * test's hands, and a host that writes down what it is told.
 *
 * What must not be sent is asked with a question behind it: its answer comes
 * next, with nothing before it.
 */
#ifndef PLUG_GATEWAY_TEST_MYSENSORS_H
#define PLUG_GATEWAY_TEST_MYSENSORS_H

#include "base/test.h"

#include "plug/gateway/ops.h"

#define LABELS_MAX 64

struct label {
	char node[8], key[40], value[60];
};

struct fixture {
	struct loop *loop;
	struct gateway_settings settings;
	struct gateway_host host;
	struct gateway *g;

	int listener, peer;
	struct buf got;          /* lines that the gateway has sent */
	struct buf heard, noted; /* lines of what the host was told */
	struct label labels[LABELS_MAX];
	bool known[256];

	struct gateway_firmware firmware;
	struct asked {
		gateway_firmware_done *done;
		void *ctx;
	} asked[4];
	size_t n_asked;
	int loads;
	bool refuse; /* there is no firmware */

	int outcomes[4], answered;
	char why[240];
};

void label(
    struct fixture *x, const char *node, const char *key, const char *value);
int64_t now_ms(void);
void turn(struct fixture *x);
void say(struct fixture *x, const char *line);
void next_line(struct fixture *x, char *text, size_t size);
void expect(struct fixture *x, const char *line);
void expect_nothing(struct fixture *x);
void until_has(struct fixture *x, struct buf *b, const char *text);
void until_answered(struct fixture *x, int n);
/* Gives what was asked for; turn() does, too. */
void give_firmware(struct fixture *x);
int try_open(struct fixture *x, const char *more, struct err *err);
void open_it(struct fixture *x, const char *more);
int setup(void **state);
int teardown(void **state);

#endif
