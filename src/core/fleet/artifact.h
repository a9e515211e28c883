/*
 * core/fleet/artifact.h - plain files of a unit's repository, that devices get.
 */
#ifndef CORE_FLEET_ARTIFACT_H
#define CORE_FLEET_ARTIFACT_H

#include "core/fleet/private.h"

void artifact_routes(struct fleet *f, http_add_routes *add, void *ctx);

#endif
