/*
 * edge/exchange.h - one question by MQTT and its answer, waited for: what a
 * command asks the local broker, or a cloud.
 */
#ifndef EDGE_EXCHANGE_H
#define EDGE_EXCHANGE_H

#include "base/err.h"
#include "net/mqtt/client.h"

struct exchange {
	const struct mqtt_client_conf *conf; /* the session is not kept */
	const char *filter; /* of the answer; NULL: to be let in is enough */
	const char *topic;  /* of the question; NULL: none is asked */
	struct str payload;
	uint8_t qos;
	unsigned
	    times; /* it is said, each when the one before was taken; 0: 1 */
	/* Is this the answer? */
	bool (*is_answer)(struct str topic, struct str payload);
	int64_t timeout_ms;
};

/* Connects, subscribes, asks, and adds the payload of the answer to `answer`
 * (may be NULL). Returns when that is there, at the first sentence of why not
 * (refused, unknown host, ...), or with ERR_AGAIN when the time is over. */
int exchange(const struct exchange *x, struct buf *answer, struct err *err);

#endif
