/*
 * base/module.h - parts of the program that are loaded when they are needed.
 */
#ifndef BASE_MODULE_H
#define BASE_MODULE_H

#include "base/err.h"

/* Loads NAME.so, which lies beside the program, in the build folder, or in
 * /usr/lib/marram, and gives what it calls `symbol`; it stays. ERR_NOT_FOUND:
 * it is not there; ERR_IO: it can not be loaded. */
int module_load(
    const char *name, const char *symbol, const void **ret, struct err *err);

/* Is it there? ERR_NOT_FOUND as above. Nothing is loaded. */
int module_find(const char *name, struct err *err);

#endif
