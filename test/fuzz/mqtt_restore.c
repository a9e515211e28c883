/*
 * test/fuzz/mqtt_restore.c - records of the MQTT server's journal, read back
 * (libFuzzer). The input is records, each behind its length in two bytes. What
 * is no record must be refused; whatever is taken must give a server that can
 * be used and closed.
 */
#include "base/base.h"
#include "net/mqtt/private.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct mqtt_server_events events;
	const struct mqtt_server_conf conf = {
		.max_connections = 10,
		.max_packet = 1000,
		.max_inflight = 3,
		.publish_max = 2,
		.queue_messages = 5,
		.queue_bytes = 2000,
		.max_sessions = 2,
		.max_subscriptions = 5,
		.max_topic_levels = 5,
		.max_retained = 5,
		.max_retained_bytes = 2000,
		.max_output = 1000,
	};
	static struct loop *loop;
	struct mqtt_server *s;
	struct restore *r;
	struct err err;

	if (loop == NULL)
		loop = loop_new();
	if (mqtt_server_open(loop, &conf, &events, NULL, &s, NULL) != 0)
		abort();
	r = mqtt_restore_new(s);
	while (size >= 3) {
		size_t n = MIN_OF((size_t)data[0] << 8 | data[1], size - 2);

		if (n == 0)
			break;
		(void)mqtt_restore_record(
		    r, 1, (struct str){ (const char *)data + 2, n }, &err);
		data += 2 + n;
		size -= 2 + n;
	}
	(void)mqtt_restore_build(r, NULL);
	mqtt_restore_end(r);
	(void)mqtt_publish(s, STR("a/b"), STR("x"), 1, true, NULL);
	loop_turn(loop, 0);
	mqtt_server_close(s);
	loop_turn(loop, 0);
	return 0;
}
