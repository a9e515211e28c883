/*
 * edge/agent_entities.h - the agent's part in who there is: it keeps the store
 * of entities, feeds it with what the bus says, publishes what it decides,
 * clears what a removed one has left behind, and copies the first scheme to
 * the second (edge/compat.h).
 *
 * How the agent uses it:
 *
 *	mqtt_client_new(...)                   with a session that is kept
 *	agent_entities_new(&conf, client, ...) subscribes
 *	mqtt_client_start(client)
 *	  events.subscribed:                   agent_entities_up()
 *	agent_entities_free()                  before mqtt_client_free()
 *
 * On the loop's thread only.
 */
#ifndef EDGE_AGENT_ENTITIES_H
#define EDGE_AGENT_ENTITIES_H

#include "base/loop.h"
#include "edge/entity.h"
#include "net/mqtt/client.h"

struct agent_entities;

struct agent_entities_conf {
	struct loop *loop;
	struct str root, device; /* "te", "device/main//" */
	const char *state_dir;   /* of entity_store.jsonl; made if need be */
	bool auto_register;
	bool clean_start;
	size_t max_bytes; /* of the store; 0: its default */
	/* How the broker is reached, for a second connection of its own, while
	 * retained messages are cleared. */
	const struct mqtt_client_conf *local;
	/* A message is wrong that mappers hear, too: is it for us to tell?
	 * NULL: it is. */
	bool (*tells)(void *owner, struct str topic, struct str payload);
	void *owner;
};

/* Copies the texts of `conf`; borrows `c` and what `local` borrows. */
int agent_entities_new(const struct agent_entities_conf *conf,
    struct mqtt_client *c, struct agent_entities **ret, struct err *err);
/* Connected, and every subscription was answered. */
void agent_entities_up(struct agent_entities *a);
struct te_store *agent_entities_store(struct agent_entities *a);
void agent_entities_free(struct agent_entities *a); /* NULL is fine */

#endif
