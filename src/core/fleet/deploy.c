/*
 * core/fleet/deploy.c - deployments: a commit is carried to devices.
 */
#include "core/fleet/private.h"

const struct fleet_part fleet_part_deploy = {
	.name = "deploy",
};
