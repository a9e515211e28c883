/*
 * base/log.h - one line per event, on standard error.
 *
 * Styles: `json` gives {"ts","level","module","msg"}, `log4j` gives
 * "ts LEVEL [module] msg". Newlines in messages become "\n". Secrets never
 * come here. [any thread]
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_OFF, LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_style { LOG_JSON, LOG_LOG4J };

void log_setup(enum log_level level, enum log_style style);
bool log_wants(enum log_level level);

/* Other levels than that for the lines of some modules. Borrows the rows, whose
 * last has no name, until the next call; they are not to change meanwhile.
 * NULL: none. */
struct log_module {
	const char *name;
	enum log_level level;
};
void log_modules(const struct log_module *rows);

void log_write(enum log_level level, const char *module, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#define log_error(...) log_write(LOG_ERROR, LOG_MODULE, __VA_ARGS__)
#define log_warn(...) log_write(LOG_WARN, LOG_MODULE, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, LOG_MODULE, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, LOG_MODULE, __VA_ARGS__)

/* The access log line of one HTTP request; level by status. */
void log_http(struct str remote, int status, const char *method, struct str url,
    int64_t latency_ms);

#endif
