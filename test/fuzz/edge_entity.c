/*
 * test/fuzz/edge_entity.c - any messages to an entity store (libFuzzer).
 *
 * The input is lines of a topic, a blank and a payload; "!" before one asks by
 * hand. Whatever comes: the tree stays whole, every entity is reached from the
 * main device, and a store that hears what was kept has the same entities.
 */
#include "codec/mqtt.h"
#include "edge/entity.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
	if (!holds)
		abort();
}

static void
on_publish(void *owner, struct str topic, struct str payload)
{
	struct te_topic t;

	(void)owner;
	(void)payload;
	must(te_topic_read(STR("te"), topic, &t, NULL) == 0);
}

static void
on_keep(void *owner, struct str topic, struct str payload)
{
	te_store_load(owner, topic, payload);
}

static void
reach(void *ctx, const struct te_entity *e)
{
	size_t *n = ctx;
	unsigned depth = 0;

	++*n;
	must((e->parent == NULL) == (e->type == TE_DEVICE));
	must(e->parent == NULL || e->parent->type != TE_SERVICE);
	for (; e->parent != NULL; e = e->parent)
		must(++depth < 10000);
}

static void
ask(struct te_store *s, struct str topic, struct str payload)
{
	struct buf id = { 0 };
	struct str key = topic;
	struct err err;

	str_cut(&key, ' ');
	switch (payload.len % 5) {
	case 0:
		(void)te_store_create(s, payload, &id, &err);
		break;
	case 1:
		(void)te_store_update(s, topic, payload, &err);
		break;
	case 2:
		(void)te_store_remove(s, topic, NULL, NULL, &err);
		break;
	case 3:
		(void)te_store_set_twin(s, topic, STR("k"), payload, &err);
		break;
	default:
		(void)te_store_replace_twin(s, topic, payload, &err);
	}
	buf_free(&id);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct te_store_conf conf = { .root = STR("te"),
		.main = STR("device/main//"),
		.auto_register = true,
		.max_bytes = 64 << 10,
		.max_pending = 8 };
	struct str rest = { (const char *)data, size };
	const struct te_store_host none = { 0 };
	struct te_store_host host = { .publish = on_publish, .keep = on_keep };
	struct te_store *s, *copy;
	size_t n = 0;

	conf.cache = true;
	copy = te_store_new(&conf, &none);
	conf.cache = false;
	host.owner = copy;
	s = te_store_new(&conf, &host);
	while (rest.ptr != NULL) {
		struct str payload = str_cut(&rest, '\n');
		struct str topic = str_cut(&payload, ' ');
		struct te_topic t;

		if (payload.ptr == NULL)
			payload = STR("");
		if (topic.len > 0 && topic.ptr[0] == '!')
			ask(s, (struct str){ topic.ptr + 1, topic.len - 1 },
			    payload);
		else if (mqtt_topic_ok(topic) &&
		    te_topic_read(STR("te"), topic, &t, NULL) == 0)
			(void)te_store_hear(s, &t, payload);
	}
	te_store_each(s, STR_NULL, STR_NULL, 0, reach, &n);
	must(n == te_store_count(s));
	must(n == te_store_count(copy));
	te_store_free(s);
	te_store_free(copy);
	return 0;
}
