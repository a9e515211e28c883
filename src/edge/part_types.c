/*
 * edge/part_types.c - every part there is.
 */
#include "edge/mapper_part.h"

const struct part_type *const part_types[] = {
	&part_agent,
	&part_fleet,
	&mapper_part_c8y,
	&mapper_part_az,
	&mapper_part_aws,
	&mapper_part_collectd,
	&mapper_part_marram,
	&mapper_part_custom,
	NULL,
};
