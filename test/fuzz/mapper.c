/*
 * test/fuzz/mapper.c - any messages, time and answers, for every mapper
 * (libFuzzer). The input is lines: "TOPIC PAYLOAD", with "!" before a topic for
 * a retained message, "?" for a copy; "+N" lets N seconds pass, "=N TEXT"
 * answers a request, "$N TEXT" ends a program. Whatever comes, a mapper
 * publishes only on what is a topic.
 */
#include "codec/mqtt.h"
#include "edge/mapper/double.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
	if (!holds)
		abort();
}

static void (*publish)(void *owner, const struct mapper_msg *m);

static void
on_publish(void *owner, const struct mapper_msg *m)
{
	must(mqtt_topic_ok(m->topic) && !mqtt_has_wildcard(m->topic));
	must(m->qos <= 1);
	publish(owner, m);
}

static void
one(struct mapper_double *d, const struct mapper_ops *ops, void *m,
    struct str line)
{
	struct str rest = line, word = str_cut(&rest, ' ');
	struct mapper_msg msg = { .qos = 1 };
	struct arena a = { 0 };
	int64_t n = 0;
	char how = word.len > 0 ? word.ptr[0] : ' ';

	if (rest.ptr == NULL)
		rest = STR("");
	if (how == '!' || how == '?' || how == '+' || how == '=' ||
	    how == '$') {
		word.ptr++;
		word.len--;
	}
	(void)str_to_i64(word, &n);
	if (how == '+') {
		if (ops->timer != NULL && n >= 0 && n < 4000)
			mapper_double_wait(d, ops, m, n * 1000);
	} else if (how == '=') {
		if (ops->http != NULL)
			(void)mapper_double_answer(
			    d, ops, m, (int)(n % 1000), rest);
	} else if (how == '$') {
		if (ops->ran != NULL)
			(void)mapper_double_exit(
			    d, ops, m, (int)(n % 256), rest);
	} else if (mqtt_topic_ok(word) && !mqtt_has_wildcard(word)) {
		msg.topic = word;
		msg.payload = rest;
		msg.retain = how == '!';
		msg.origin = how == '?';
		ops->message(m, &msg, &a);
	}
	buf_clear(&d->said);
	arena_fini(&a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct config *config;

	if (config == NULL)
		must(config_open("/nonexistent", &config, NULL) == 0);
	for (size_t i = 0; mapper_list[i] != NULL; i++) {
		const struct mapper_ops *ops = mapper_list[i];
		struct str rest = { (const char *)data, size };
		struct mapper_conf conf = {
			.cloud = { config, ops->name, STR_NULL },
			.device_id = STR("d"),
			.root = STR("te"),
			.main_entity = STR("device/main//"),
		};
		struct mapper_double d;
		void *m;

		mapper_double_init(&d);
		publish = d.host.publish;
		d.host.publish = on_publish;
		d.now_ns = INT64_C(1619111126958340390);
		must(ops->open(&conf, &d.host, &m, NULL) == 0);
		ops->up(m);
		while (rest.ptr != NULL && rest.len > 0)
			one(&d, ops, m, str_cut(&rest, '\n'));
		ops->close(m);
		mapper_double_fini(&d);
	}
	return 0;
}
