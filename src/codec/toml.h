/*
 * codec/toml.h - TOML 1.0: a reader, and an editor that keeps what people
 * wrote.
 *
 * The reader makes a tree in an arena. A table keeps the order of the text; a
 * key is unique in it. The editor changes one value in a text and leaves every
 * other byte of it, comments and layout, as it is.
 */
#ifndef CODEC_TOML_H
#define CODEC_TOML_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define TOML_TEXT_MAX (1u << 20) /* bytes of a text */
#define TOML_TABLE_MAX 4096      /* keys of a table */
#define TOML_DEPTH_MAX 64        /* tables and arrays within each other */

enum toml_type {
	TOML_TEXT,
	TOML_INT,
	TOML_REAL,
	TOML_BOOL,
	TOML_TIME, /* a date, a time, or both */
	TOML_ARRAY,
	TOML_TABLE,
};

struct toml {
	enum toml_type type;
	struct str key;  /* within its table; STR_NULL in an array */
	struct str text; /* TEXT: what it says; INT to TIME: as it stands */
	int64_t number;  /* INT */
	double real;     /* REAL, INT */
	bool yes;        /* BOOL */
	struct toml *first, *last, *next; /* first, last: ARRAY, TABLE */
	uint32_t n;                       /* of those */
	uint32_t line;                    /* where it began */
	/* the reader's own, and the editor's: places in the text */
	uint8_t made;
	uint32_t depth;
	uint32_t head, begin, end; /* key; value */
	uint32_t from, to;         /* in braces: what stands around the pair */
	uint32_t tail; /* of a header's table: its last line's end */
};

/* Reads `text`, which must outlive the tree. ERR_PARAM: "line 3 column 7: ...";
 * ERR_LIMIT: beyond one of the limits above. */
int toml_read(
    struct arena *a, struct str text, struct toml **ret, struct err *err);

/* The member of a table; NULL: there is none, or it is no table. */
const struct toml *toml_get(const struct toml *table, struct str key);
/* The same by a dotted path of bare keys: "exec.on_message". */
const struct toml *toml_at(const struct toml *table, const char *path);

/* Reads one value and nothing else: `"a"`, `[1, 2]`. */
int toml_read_value(
    struct arena *a, struct str text, struct toml **ret, struct err *err);

/* Adds `text` with the value at `path` being `value`, itself TOML: it is
 * replaced, or added where its table is; the table is added, too. STR_NULL
 * takes the value away with its line. ERR_PARAM: `text` can not be read, or
 * something on the path is no table, or the value is one. */
int toml_set(struct str text, struct strs path, struct str value,
    struct buf *out, struct err *err);

void toml_quote(struct buf *out, struct str text); /* a string, in quotes */
void toml_key(struct buf *out, struct str key);    /* bare, if it may be */

#endif
