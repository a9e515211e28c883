#include "plug/metric/ops.h"
const struct metric_ops metric_influx = { .name = "influx" };
