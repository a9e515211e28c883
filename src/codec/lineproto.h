/*
 * codec/lineproto.h - InfluxDB's line protocol, in and out.
 *
 *     measurement[,tag=value...] field=value[,field=value...] [timestamp]
 *
 * A line is a point; lines end with "\n", "#" begins a comment. Names are
 * escaped with "\" (comma, space, and in tags and field keys "="), texts are in
 * double quotes (escaped: `"` and "\") and have no line breaks. The reader
 * takes bytes in any portions, and allocates only to join a line that came in
 * two. A bad line is told and passed over; those around it are kept.
 */
#ifndef CODEC_LINEPROTO_H
#define CODEC_LINEPROTO_H

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINEPROTO_TAGS_MAX 64
#define LINEPROTO_FIELDS_MAX 256
#define LINEPROTO_LINE_MAX (1u << 20) /* bytes */

enum lineproto_type {
	LINEPROTO_FLOAT = 1, /* 1, 1.5, -1e3 */
	LINEPROTO_INT,       /* 1i */
	LINEPROTO_UINT,      /* 1u */
	LINEPROTO_BOOL,      /* t, T, true, True, TRUE, f, ... */
	LINEPROTO_TEXT,      /* "s" */
};

struct lineproto_tag {
	struct str name, value;
};

struct lineproto_field {
	struct str name;
	enum lineproto_type type;
	double number; /* FLOAT; of INT, UINT and BOOL too, as near as it is */
	union {
		int64_t i64;
		uint64_t u64;
		bool boolean;
		struct str text;
	};
};

/* Texts are lent until the next call of the reader, escapes already undone. */
struct lineproto_line {
	uint64_t number; /* from 1 on */
	struct str measurement;
	const struct lineproto_tag *tags; /* as they came */
	size_t n_tags;
	const struct lineproto_field *fields; /* at least one */
	size_t n_fields;
	bool has_time;
	int64_t at_ms; /* rounded down from the precision's unit */
};

struct lineproto_events {
	void (*line)(void *owner, const struct lineproto_line *l);
	/* A line that is not kept, and why. */
	void (*bad)(void *owner, uint64_t number, const char *why);
};

enum lineproto_precision {
	LINEPROTO_NS,
	LINEPROTO_US,
	LINEPROTO_MS,
	LINEPROTO_S,
	LINEPROTO_M,
	LINEPROTO_H,
};

/* "ns" and "n", "us" and "u", "ms", "s", "m", "h"; "" is ns. */
bool lineproto_precision(struct str s, enum lineproto_precision *ret);

struct lineproto_reader {
	enum lineproto_precision precision;
	const struct lineproto_events *events; /* borrowed */
	void *owner;

	/* the reader's own */
	uint64_t number;
	struct buf part; /* the beginning of a line whose end has not come */
	bool too_long;   /* it is passed over */
	struct lineproto_tag tags[LINEPROTO_TAGS_MAX];
	struct lineproto_field fields[LINEPROTO_FIELDS_MAX];
};

/* Initialise the first three members, the rest with zeros. */
void lineproto_feed(struct lineproto_reader *r, const char *bytes, size_t n);
/* The last line may be without "\n". The reader may be used again. */
void lineproto_end(struct lineproto_reader *r);
void lineproto_fini(struct lineproto_reader *r);

/* --- writing ------------------------------------------------------------- */

/* In this order: measurement, tags, fields, time. Line breaks become spaces; a
 * tag with an empty value is left out, a name that ends in "\" gets a space
 * behind, since the protocol can not say it. */
void lineproto_put_measurement(struct buf *out, struct str name);
void lineproto_put_tag(struct buf *out, struct str name, struct str value);
/* `first` of the line. */
void lineproto_put_float(
    struct buf *out, bool first, struct str name, double value);
void lineproto_put_int(
    struct buf *out, bool first, struct str name, int64_t value);
void lineproto_put_bool(
    struct buf *out, bool first, struct str name, bool value);
void lineproto_put_text(
    struct buf *out, bool first, struct str name, struct str value);
/* Ends the line. `unit` behind the milliseconds: "" for precision ms, "000000"
 * for ns. */
void lineproto_put_time(struct buf *out, int64_t at_ms, const char *unit);

/* The shortest text that reads back as the same number. */
void lineproto_number(struct buf *out, double value);

#endif
