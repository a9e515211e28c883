/*
 * edge/mapper_part.h - gives a mapper life: the part "tedge-mapper-NAME".
 */
#ifndef EDGE_MAPPER_PART_H
#define EDGE_MAPPER_PART_H

#include "edge/part.h"

extern const struct part_type mapper_part_c8y, mapper_part_az, mapper_part_aws,
    mapper_part_collectd, mapper_part_marram, mapper_part_custom;

#endif
