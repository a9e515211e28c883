/*
 * edge/mapper.c - the mappers there are.
 */
#include "edge/mapper.h"

#include <stddef.h>

const struct mapper_ops *const mapper_list[] = {
	&mapper_c8y,
	&mapper_az,
	&mapper_aws,
	&mapper_collectd,
	&mapper_marram,
	NULL,
};
