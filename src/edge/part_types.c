/*
 * edge/part_types.c - every part there is.
 */
#include "edge/part.h"

const struct part_type *const part_types[] = {
	NULL,
};
