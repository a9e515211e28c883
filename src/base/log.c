/*
 * base/log.c - see log.h. A line is built whole and written in one call, so
 * that lines of several threads never mix.
 */
#include "base/log.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* both may change while others write */
static _Atomic enum log_level max_level = LOG_INFO;
static _Atomic enum log_style used_style = LOG_JSON;
static const struct log_module *_Atomic own_levels;

static const char *const level_names[] = { "off", "error", "warn", "info",
	"debug" };
static const char *const level_marks[] = { "OFF", "ERROR", "WARN", "INFO",
	"DEBUG" };

void
log_setup(enum log_level level, enum log_style style)
{
	max_level = level;
	used_style = style;
}

bool
log_wants(enum log_level level)
{
	return level <= max_level && level != LOG_OFF;
}

void
log_modules(const struct log_module *rows)
{
	own_levels = rows;
}

static bool
is_wanted(enum log_level level, const char *module)
{
	const struct log_module *row = own_levels;

	for (; row != NULL && row->name != NULL; row++)
		if (strcmp(row->name, module) == 0)
			return level <= row->level;
	return log_wants(level);
}

/* Adds text so that it stays on its line; in JSON so that it stays a string.
 * (codec/json is above us; this is the little that a log line needs.) */
static void
add_text(struct buf *b, struct str s)
{
	bool utf8 = str_is_utf8(s);

	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (c == '\n')
			buf_addz(b, "\\n");
		else if (used_style == LOG_JSON && (c == '"' || c == '\\'))
			buf_addf(b, "\\%c", c);
		else if (c < 0x20 || c == 0x7F || (c >= 0x80 && !utf8))
			buf_addf(
			    b, used_style == LOG_JSON ? "\\u%04x" : "?", c);
		else
			buf_addc(b, (char)c);
	}
}

static void
put_line(struct buf *b)
{
	size_t done = 0;

	buf_addc(b, '\n');
	while (done < b->len) {
		ssize_t n = write(STDERR_FILENO, b->ptr + done, b->len - done);

		if (n <= 0)
			break; /* nowhere left to complain */
		done += (size_t)n;
	}
	buf_free(b);
}

void
log_write(enum log_level level, const char *module, const char *fmt, ...)
{
	char ts[TIME_TEXT_LEN + 1], text[2048];
	struct buf b = { 0 };
	va_list ap;

	if (!is_wanted(level, module))
		return;
	time_format(clock_now(), ts);
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (used_style == LOG_JSON) {
		buf_addf(&b,
		    "{\"ts\":\"%s\",\"level\":\"%s\",\"module\":\"%s\",\"msg\":"
		    "\"",
		    ts, level_names[level], module);
		add_text(&b, str_of(text));
		buf_addz(&b, "\"}");
	} else {
		buf_addf(&b, "%s %s [%s] ", ts, level_marks[level], module);
		add_text(&b, str_of(text));
	}
	put_line(&b);
}

void
log_http(struct str remote, int status, const char *method, struct str url,
    int64_t latency_ms)
{
	enum log_level level = status >= 500 ? LOG_ERROR
	    : status >= 400                  ? LOG_WARN
					     : LOG_INFO;
	char ts[TIME_TEXT_LEN + 1];
	struct buf b = { 0 };

	if (!log_wants(level))
		return;
	time_format(clock_now(), ts);
	if (used_style == LOG_JSON) {
		buf_addf(&b, "{\"ts\":\"%s\",\"level\":\"%s\",\"remote\":\"",
		    ts, level_names[level]);
		add_text(&b, remote);
		buf_addf(&b,
		    "\",\"status\":\"%d\",\"method\":\"%s\",\"url\":\"", status,
		    method);
		add_text(&b, url);
		buf_addf(&b, "\",\"latencyMs\":%" PRId64 "}", latency_ms);
	} else {
		buf_addf(&b, "%s %s [" STR_FMT "] %d %s ", ts,
		    level_marks[level], STR_ARG(remote), status, method);
		add_text(&b, url);
		buf_addf(&b, " (%" PRId64 " ms)", latency_ms);
	}
	put_line(&b);
}
