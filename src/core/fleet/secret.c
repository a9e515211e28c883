/*
 * core/fleet/secret.c - secrets and artifacts.
 */
#include "core/fleet/private.h"

const struct fleet_part fleet_part_secret = {
	.name = "secret",
};
