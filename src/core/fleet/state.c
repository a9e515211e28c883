/*
 * core/fleet/state.c - the repository of a unit: state.json, what is generated
 * from it, and its history.
 */
#include "core/fleet/private.h"

const struct fleet_part fleet_part_state = {
	.name = "state",
};
