/*
 * core/fleet/module.c - the modules that a unit has, and which definition wins.
 */
#include "core/fleet/private.h"

const struct fleet_part fleet_part_module = {
	.name = "module",
};
