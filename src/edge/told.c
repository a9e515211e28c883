/*
 * edge/told.c - see told.h.
 */
#include "edge/told.h"

#include "base/map.h"
#include "base/mem.h"

#include <stdlib.h>

struct finder {
	uint64_t who;
	uint32_t times;
};

struct message {
	uint64_t topic, payload; /* hashes */
	int64_t at_ms;
	uint32_t times; /* the most of any finder */
	uint32_t n;
	struct finder by[TOLD_PARTS];
};

struct told {
	size_t next;
	struct message messages[TOLD_MESSAGES];
};

static struct message *
message_of(struct told *t, int64_t now_ms, struct str topic, struct str payload)
{
	uint64_t hash = map_hash(topic), also = map_hash(payload);
	struct message *m;

	for (size_t i = 0; i < TOLD_MESSAGES; i++) {
		m = &t->messages[i];
		if (m->n > 0 && m->topic == hash && m->payload == also &&
		    now_ms - m->at_ms <= TOLD_MS)
			return m;
	}
	m = &t->messages[t->next];
	t->next = (t->next + 1) % TOLD_MESSAGES;
	*m = (struct message){ .topic = hash, .payload = also };
	return m;
}

static struct finder *
finder_of(struct message *m, struct str who)
{
	uint64_t hash = map_hash(who);

	for (uint32_t i = 0; i < m->n; i++)
		if (m->by[i].who == hash)
			return &m->by[i];
	if (m->n == TOLD_PARTS)
		return NULL;
	m->by[m->n] = (struct finder){ .who = hash };
	return &m->by[m->n++];
}

bool
told_first(struct told **t, int64_t now_ms, struct str who, struct str topic,
    struct str payload)
{
	struct message *m;
	struct finder *f;

	if (*t == NULL)
		*t = mem_new(struct told);
	m = message_of(*t, now_ms, topic, payload);
	m->at_ms = now_ms;
	f = finder_of(m, who);
	if (f == NULL)
		return true;
	if (++f->times <= m->times)
		return false;
	m->times = f->times;
	return true;
}

void
told_free(struct told *t)
{
	free(t);
}
