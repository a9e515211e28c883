/*
 * plug/store/settings.h - the settings of one store, the same for every module.
 */
#ifndef PLUG_STORE_SETTINGS_H
#define PLUG_STORE_SETTINGS_H

#include "base/conf.h"
#include "plug/store/store.h"

struct store_settings {
	int64_t engine;
	struct str path;
	bool sync;
	int64_t cache;
	int64_t dump_ms, dump_format, memory_max;
	struct str dump_dir;
	struct str mongodb_url, mongodb_database;
	int64_t mongodb_pool;
};

extern const char *const store_setting_engines[], *const store_dump_formats[];

/* Rows below `db` of a module's settings; `S` has a struct store_settings
 * member `db`. `file` and `base` are the default names, `what` is kept there.
 */
#define STORE_ROWS(S, file, base, what)                                        \
	CONF_ENUM(S, db.engine, "db.engine", .def = "sqlite",                  \
	    .choices = store_setting_engines,                                  \
	    .help = "What keeps " what                                         \
		    ". `memory` forgets everything when the program ends, "    \
		    "unless db.memory.dumpInterval is set; "                   \
		    "`mongodb` is refused at start: it is not part of this "   \
		    "version."),                                               \
	    CONF_TEXT(S, db.path, "db.sqlite.path", .def = file,               \
		.help = "The SQLite file, in the data folder unless it "       \
			"begins with a slash."),                               \
	    CONF_BOOL(S, db.sync, "db.sqlite.sync", .def = "true",             \
		.help = "Flush every commit to the disk before it counts, so " \
			"that it survives a power cut and not only a crash."), \
	    CONF_SIZE(S, db.cache, "db.sqlite.cache", .def = "64MiB",          \
		.min = 65536, .max = (int64_t)1 << 36,                         \
		.help = "Pages of the file that the writer may keep in "       \
			"memory, used as needed."),                            \
	    CONF_MS(S, db.dump_ms, "db.memory.dumpInterval", .def = "0s",      \
		.min = 0, .max = 86400000,                                     \
		.help = "How often the engine memory writes all of it down, "  \
			"if anything has changed, and when the program ends; " \
			"it is read at the next start. A crash or power cut "  \
			"loses what was changed since the last dump: one "     \
			"interval at most. 0s: never."),                       \
	    CONF_TEXT(S, db.dump_dir, "db.memory.dumpDir",                     \
		.def = "memory/" base,                                         \
		.help = "The folder of these dumps, in the data folder "       \
			"unless it begins with a slash."),                     \
	    CONF_ENUM(S, db.dump_format, "db.memory.dumpFormat",               \
		.def = "json", .choices = store_dump_formats,                  \
		.help = "How they are written. Either is read."),              \
	    CONF_SIZE(S, db.memory_max, "db.memory.maxBytes", .def = "1GiB",   \
		.max = (int64_t)1 << 46,                                       \
		.help = "Rows of the engine memory at most, in bytes; beyond " \
			"it what adds some is refused. 0: no limit."),         \
	    CONF_TEXT(S, db.mongodb_url, "db.mongodb.url",                     \
		.def = "mongodb://localhost:27017", .inert = STORE_NO_MONGODB, \
		.help = "Where MongoDB is."),                                  \
	    CONF_TEXT(S, db.mongodb_database, "db.mongodb.database",           \
		.def = base, .inert = STORE_NO_MONGODB,                        \
		.help = "Its database."),                                      \
	    CONF_INT(S, db.mongodb_pool, "db.mongodb.poolSize",                \
		.inert = STORE_NO_MONGODB,                                     \
		.help = "Connections to it at most.")
#define STORE_NO_MONGODB "the engine mongodb is not part of this version"

/* Opens what the settings say. `dir`: where a relative path begins; `section`
 * names the settings in errors ("auth"). */
int store_open_settings(const struct store_settings *set, const char *section,
    const char *dir, const struct entity *const *entities, struct store **ret,
    struct err *err);

#endif
