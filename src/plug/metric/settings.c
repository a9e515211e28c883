/*
 * plug/metric/settings.c - every setting of the metric store, said once.
 */
#include "plug/metric/settings.h"

#include "plug/metric/metric.h"

#define S struct metric_settings

static const char *const versions[] = { "auto", "v1", "v2", "victoria", NULL };

const struct conf_field metric_fields[] = {
	CONF_ENUM(S, engine, "engine", .def = "sqlite",
	    .choices = metric_engines,
	    .help =
		"What keeps the history of numbers. `sqlite` keeps it in "
		"compressed blocks in the data folder; `influx` gives it to "
		"an InfluxDB or a VictoriaMetrics; `void` forgets it."),
	CONF_TEXT(S, path, "path", .def = "metric",
	    .help = "The folder with the database and the log (`influx`: the "
		    "queue), in the data folder unless it begins with a "
		    "slash."),
	CONF_BOOL(S, sync, "sync", .def = "true",
	    .help = "Flush points to the disk before they count as kept, so "
		    "that they survive a power cut and not only a crash."),
	CONF_MS(S, keep_raw, "retention.raw", .def = "90d",
	    .help = "How long every point is kept; 0: for ever. (`influx`: its "
		    "own retention rules hold.)"),
	CONF_MS(S, keep_minute, "retention.minute", .def = "400d",
	    .help = "How long a summary per minute is kept; 0: for ever."),
	CONF_MS(S, keep_hour, "retention.hour", .def = "3650d",
	    .help = "How long a summary per hour is kept; 0: for ever."),
	CONF_INT(S, max_series, "maxSeries", .def = "1000000", .min = 1,
	    .max = 100000000,
	    .help = "Series at most; a new one beyond is refused."),
	CONF_INT(S, buffer_points, "bufferPoints", .def = "1000000",
	    .min = 1000, .max = 100000000,
	    .help = "Points that are gathered in memory (up to 32 bytes each) "
		    "and in "
		    "the log before they are packed into blocks."),
	CONF_SIZE(S, queue_bytes, "influx.queue", .def = "256MiB",
	    .min = 1 << 20, .max = (int64_t)1 << 40,
	    .help = "Points that wait for the server on disk, at most; beyond, "
		    "new ones are refused."),
	CONF_TEXT(S, url, "influx.url", .def = "http://localhost:8086",
	    .help = "Where InfluxDB is."),
	CONF_TEXT(S, token, "influx.token", .secret = true,
	    .help = "Its token (version 2, or VictoriaMetrics behind "
		    "`vmauth`). Without one, `username` and "
		    "`password` count."),
	CONF_TEXT(S, username, "influx.username", .help = "A user of it."),
	CONF_TEXT(S, password, "influx.password", .secret = true,
	    .help = "The user's password."),
	CONF_TEXT(S, organization, "influx.organization",
	    .help = "The organization (version 2)."),
	CONF_TEXT(S, bucket, "influx.bucket", .def = "marram",
	    .help = "The bucket (version 2); made if it is missing."),
	CONF_TEXT(S, database, "influx.database", .def = "marram",
	    .help = "The database (version 1); made if it is missing. "
		    "VictoriaMetrics gets it as the label `db`."),
	CONF_TEXT(S, prefix, "influx.measurementPrefix", .def = "mc",
	    .help = "How the names of measurements begin: "
		    "`mc_gauge_float_data`."),
	CONF_ENUM(S, version, "influx.version", .def = "auto",
	    .choices = versions,
	    .help = "Which API the server has. `auto`: v2 if an organization "
		    "is set, else v1. `victoria` is VictoriaMetrics; it keeps "
		    "no texts, and of two values of one time not the last."),
	CONF_MS(S, timeout, "influx.timeout", .def = "10s", .min = 100,
	    .max = 600000, .help = "Longest wait for an answer of the server."),
	CONF_MS(S, hold, "influx.hold", .def = "30s", .min = 1000,
	    .max = 600000,
	    .help = "How long points stay in the queue after VictoriaMetrics "
		    "has taken them, since it writes them to its disk later; "
		    "if it is started anew meanwhile, they are sent again. "
		    "Longer than twice its `-inmemoryDataFlushInterval`."),
	{ 0 },
};
