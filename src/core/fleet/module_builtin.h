/*
 * core/fleet/module_builtin.h - the modules that come with Marram:
 * core/fleet/modules/.
 */
#ifndef CORE_FLEET_MODULE_BUILTIN_H
#define CORE_FLEET_MODULE_BUILTIN_H

#include "codec/fleet_module.h"

/* Reads them, into `a`. That one is wrong is our bug: ERR_INTERNAL. */
int fleet_builtin(
    struct arena *a, struct fleet_module ***ret, size_t *n, struct err *err);

#endif
