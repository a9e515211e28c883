/*
 * core/fleet/agent.c - agents of devices: enrolment, tunnels, orders.
 */
#include "core/fleet/private.h"

const struct fleet_part fleet_part_agent = {
	.name = "agent",
};
