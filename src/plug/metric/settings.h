/*
 * plug/metric/settings.h - the settings of the metric store, in the section
 * "hub.metric".
 */
#ifndef PLUG_METRIC_SETTINGS_H
#define PLUG_METRIC_SETTINGS_H

#include "base/conf.h"

enum metric_influx_version {
	METRIC_INFLUX_AUTO,
	METRIC_INFLUX_V1,
	METRIC_INFLUX_V2,
	METRIC_INFLUX_VICTORIA,
};

struct metric_settings {
	int64_t engine; /* place in metric_engines */
	struct str path;
	bool sync;
	int64_t keep_raw, keep_minute, keep_hour; /* ms; 0: for ever */
	int64_t max_series;
	int64_t buffer_points;
	int64_t queue_bytes;
	struct str url, token, username, password;
	struct str organization, bucket, database, prefix;
	int64_t version; /* enum metric_influx_version */
	int64_t timeout;
	int64_t hold;
};

/* Rows over struct metric_settings. */
extern const struct conf_field metric_fields[];

#endif
