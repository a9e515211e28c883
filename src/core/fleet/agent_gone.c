/*
 * core/fleet/agent_gone.c - devices and units that were deleted: their agents
 * are put out at once, and do not come back unasked.
 *
 * A token that many devices enrolled with stays good for the others, so a
 * device that was deleted would be a new one a second later, with the secrets
 * of its configuration. Hence its key is remembered: it waits for approval when
 * it comes by a token that was there before it was deleted.
 */
#include "core/fleet/agent.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"

#include <stdlib.h>

#define LOG_MODULE "fleet"

#define K struct fleet_removed_key
static const struct field fields[] = {
	F_TEXT(K, id, "id", .max = 64),
	F_TEXT(K, unit_id, "unitId"),
	F_TEXT(K, public_key, "publicKey"),
	F_TIME(K, removed_at, "removedAt"),
	{ 0 },
};
const struct entity fleet_removed_key_entity = {
	.record = { "fleetRemovedKey", sizeof(K), fields },
	.table = "removed_key",
	.version = 1,
	.keys = (const struct entity_key[]){ { "id", { "id" } },
	    { "key", { "unitId", "publicKey" } }, { 0 } },
	.help = "The key of a device that was deleted.",
};
#undef K

static void
key_filter(struct filter *f, struct str unit_id, struct str public_key)
{
	filter_text(f, "unitId", unit_id);
	filter_text(f, "publicKey", public_key);
}

int
fleet_key_taken_back(struct store *tx, struct str unit_id,
    struct str public_key, int64_t token_made, bool *unasked, struct err *err)
{
	struct filter by = { 0 };
	struct fleet_removed_key row;
	struct arena a = { 0 };
	bool found;
	int rc;

	key_filter(&by, unit_id, public_key);
	rc = store_get(
	    tx, &fleet_removed_key_entity, &by, &a, &row, &found, err);
	*unasked = rc == 0 && found && token_made <= row.removed_at;
	if (rc == 0 && found)
		rc = store_del(tx, &fleet_removed_key_entity, &by, NULL, err);
	arena_fini(&a);
	return rc;
}

static int
in_remember(struct store *tx, void *ctx, struct err *err)
{
	const struct fleet_device *d = ctx;
	struct filter by = { 0 };
	struct arena a = { 0 };
	const int64_t now = clock_now();
	int rc;

	key_filter(&by, d->unit_id, d->ssh_public_key);
	rc = store_del(tx, &fleet_removed_key_entity, &by, NULL, err);
	if (rc == 0)
		rc = store_add(tx, &fleet_removed_key_entity,
		    &(struct fleet_removed_key){
			.id = rand_id(&a, now, ID_LONG),
			.unit_id = d->unit_id,
			.public_key = d->ssh_public_key,
			.removed_at = now },
		    err);
	arena_fini(&a);
	return rc;
}

void
agent_device_gone(struct fleet *f, const struct fleet_device *d)
{
	struct fleet_device copy = *d;
	struct err err;

	if (d->ssh_public_key.len > 0 &&
	    store_tx(f->store, in_remember, &copy, &err) != 0)
		log_error("remember the key of a device that was deleted: %s",
		    err.text);
	agent_drop(f->agents, d->id, "the device was deleted");
}

/* --- units ---------------------------------------------------------------- */

struct unit_end {
	struct loop_post post;
	struct fleet_agents *all;
	struct str unit_id; /* owned */
};

static void
run_unit_end(struct loop_post *p)
{
	struct unit_end *e = container_of(p, struct unit_end, post);

	agents_end_of(e->all, e->unit_id);
	str_free(e->unit_id);
	free(e);
}

void
agents_unit_gone(void *fleet, struct str unit_id)
{
	struct fleet *f = fleet;
	const struct entity *const of[] = { &fleet_agent_token_entity,
		&fleet_access_token_entity };
	struct filter unit = { 0 };
	struct unit_end *e;
	struct err err;

	filter_text(&unit, "unitId", unit_id);
	for (size_t i = 0; i < COUNT_OF(of); i++)
		if (store_del(f->store, of[i], &unit, NULL, &err) != 0)
			log_error("end the tokens of a unit that was deleted: "
				  "%s",
			    err.text);
	if (f->loop == NULL)
		return;
	e = mem_new(struct unit_end);
	e->post.run = run_unit_end;
	e->all = f->agents;
	e->unit_id = str_copy(unit_id);
	loop_post(f->loop, &e->post);
}
