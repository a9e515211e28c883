/*
 * base/entity.h - the entity table: every kind of object, said once.
 *
 * A record is a C struct described by rows; an entity is a record that is kept
 * in a store. From the rows come the SQL schema and statements (plug/store),
 * JSON in and out with validation (codec/entity_json), the REST calls, OpenAPI
 * and CSV (core/rest, net/http), and the options of the command line
 * (app/cli). Nothing of an object is written anywhere else.
 *
 * How a value lies in the struct, and what "null" is there:
 *
 *    FIELD_TEXT     struct str     ptr NULL
 *    FIELD_BLOB     struct str     ptr NULL
 *    FIELD_JSON     struct str     ptr NULL; else one valid JSON value, compact
 *    FIELD_INT      int64_t        FIELD_INT_NULL
 *    FIELD_TIME     int64_t (ms)   TIME_NULL (the same number)
 *    FIELD_REAL     double         NaN
 *    FIELD_BOOL     bool           never null
 *    FIELD_TEXTS    struct strs    never null; empty is n == 0
 *    FIELD_RECORD   the struct of ->record, embedded; never null
 *    FIELD_RECORDS  struct rows of such structs; never null
 *
 * The memory a row points to is in some arena, or lent: a row itself never
 * owns anything.
 */
#ifndef BASE_ENTITY_H
#define BASE_ENTITY_H

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FIELD_INT_NULL INT64_MIN

enum field_type {
	FIELD_TEXT = 1,
	FIELD_BLOB,
	FIELD_JSON,
	FIELD_INT,
	FIELD_TIME,
	FIELD_REAL,
	FIELD_BOOL,
	FIELD_TEXTS,
	FIELD_RECORD,
	FIELD_RECORDS,
};

#define FIELD_NULL 0x001u /* may be null */
#define FIELD_SECRET                                                           \
	0x002u             /* never in a log; shown only where a view says so */
#define FIELD_LOWER 0x004u /* ASCII letters are folded on input */
#define FIELD_TRIM 0x008u  /* white space at both ends is cut on input */
#define FIELD_OBJECT                                                           \
	0x010u /* FIELD_JSON: must be an object without "" keys                \
		*/
#define FIELD_SPACED                                                           \
	0x020u             /* FIELD_TEXTS: in SQL one text, joined by spaces   \
			    */
#define FIELD_EMPTY 0x040u /* TEXT, JSON: null is '' in SQL */
#define FIELD_UNIQ 0x080u  /* FIELD_TEXTS: sorted, without doubles, on input */
#define FIELD_ABSENT                                                           \
	0x100u             /* null is left out of JSON, not written as null    \
			    */
#define FIELD_BLANK 0x200u /* "" is taken beside what `one_of` lists */

/* A list of structs; `at` is NULL when it is empty. */
struct rows {
	void *at;
	size_t n;
};

struct record;

struct field {
	const char *name;   /* in JSON and in queries: camelCase */
	const char *column; /* in SQL: snake_case, the member's name */
	enum field_type type;
	unsigned flags;
	size_t offset;
	/* Says why `text` is not acceptable; NULL: anything is. For TEXT, each
	 * item of TEXTS, and JSON. Runs after folding and trimming. */
	int (*check)(struct str text, struct err *err);
	/* The only texts there may be, NULL ends; the function is for lists
	 * that plugs make. Of a JSON object: what `spec` has rows for. */
	const char *const *one_of;
	const char *const *(*one_of_fn)(void);
	const struct record *(*spec)(
	    const char *type); /* its members, by type */
	const char *format;    /* for forms: "uri", or a media type */
	int64_t min, max; /* INT, REAL; both 0: no limit. TEXT, TEXTS: length */
	const char
	    *def; /* value for new rows, as JSON text; NULL: null, 0, {} */
	const struct record *record; /* RECORD, RECORDS; JSON: members that
				      * are known, not checked */
	int since; /* entity version it came with; 0: the first */
	const char *help;
};

struct record {
	const char *name;
	size_t size;
	const struct field *fields; /* ends with a row whose name is NULL */
};

/* Rows are written with these, so that the member's type is checked and its
 * name is said once: F_TEXT(struct unit, code, "code", .check = check_code) */
#define FIELD_ROW(S, m, ctype, ftype, json, ...)                               \
	{                                                                      \
		.name = json, .column = #m, .type = ftype,                     \
		.offset = offsetof(S, m) +                                     \
		    0 *                                                        \
			sizeof(char[__builtin_types_compatible_p(              \
					__typeof__(((S *)0)->m), ctype)        \
				? 1                                            \
				: -1]),                                        \
		__VA_ARGS__                                                    \
	}
#define F_TEXT(S, m, json, ...)                                                \
	FIELD_ROW(S, m, struct str, FIELD_TEXT, json, __VA_ARGS__)
#define F_BLOB(S, m, json, ...)                                                \
	FIELD_ROW(S, m, struct str, FIELD_BLOB, json, __VA_ARGS__)
#define F_JSON(S, m, json, ...)                                                \
	FIELD_ROW(S, m, struct str, FIELD_JSON, json, __VA_ARGS__)
#define F_INT(S, m, json, ...)                                                 \
	FIELD_ROW(S, m, int64_t, FIELD_INT, json, __VA_ARGS__)
#define F_TIME(S, m, json, ...)                                                \
	FIELD_ROW(S, m, int64_t, FIELD_TIME, json, __VA_ARGS__)
#define F_REAL(S, m, json, ...)                                                \
	FIELD_ROW(S, m, double, FIELD_REAL, json, __VA_ARGS__)
#define F_BOOL(S, m, json, ...)                                                \
	FIELD_ROW(S, m, bool, FIELD_BOOL, json, __VA_ARGS__)
#define F_TEXTS(S, m, json, ...)                                               \
	FIELD_ROW(S, m, struct strs, FIELD_TEXTS, json, __VA_ARGS__)
#define F_RECORD(S, m, T, json, ...)                                           \
	FIELD_ROW(S, m, T, FIELD_RECORD, json, __VA_ARGS__)
#define F_RECORDS(S, m, json, ...)                                             \
	FIELD_ROW(S, m, struct rows, FIELD_RECORDS, json, __VA_ARGS__)

#define ENTITY_KEY_MAX 4 /* fields in a key */

/* Fields that lie in one key or index, by their JSON names. */
struct entity_key {
	const char *name;
	const char *fields[ENTITY_KEY_MAX + 1]; /* NULL ends */
};

enum entity_on_delete {
	ENTITY_CASCADE, /* rows that refer to a deleted one go too */
	ENTITY_CLEAR,   /* their field becomes null */
	ENTITY_REFUSE,  /* the delete fails with ERR_EXISTS */
};

struct entity_ref {
	const char *field;  /* of this entity, TEXT or INT */
	const char *entity; /* the one it names, in the same store */
	const char *target; /* the field there */
	enum entity_on_delete on_delete;
};

/* One step of a table's history that rows alone can not tell. Added fields
 * need no step: their row has `since`. */
enum entity_step_kind { ENTITY_RENAME = 1, ENTITY_DROP };

struct entity_step {
	int version; /* the version it led to */
	enum entity_step_kind kind;
	const char *from; /* column */
	const char *to;   /* column; RENAME only */
};

struct entity {
	struct record record;
	const char *table;
	int version;                   /* of the table; starts with 1 */
	const struct entity_key *keys; /* unique ones; the first identifies */
	const struct entity_key *indexes; /* NULL or ended by name NULL */
	const struct entity_ref *refs;    /* NULL or ended by field NULL */
	const struct entity_step *steps;  /* NULL or ended by version 0 */
	const char *help;
};

/* The field at a dotted path ("dampening.occurrences"), NULL if there is none.
 * `*offset` is where it lies in the outermost struct. When the path goes on
 * inside a FIELD_JSON ("labels.room"), that field is returned and `*rest` is
 * what follows; else `*rest` is STR_NULL. Both may be NULL. */
const struct field *field_find(
    const struct record *r, struct str path, size_t *offset, struct str *rest);

/* What the field may be, NULL ends; NULL: anything. */
const char *const *field_choices(const struct field *f);
/* ERR_PARAM with the choices when `text` is none of them. */
int field_choose(const struct field *f, struct str text, struct err *err);

/* One value outside its struct, for filters and changes. */
struct value {
	enum field_type
	    type; /* TEXT, BLOB, JSON, INT, TIME, REAL, BOOL, TEXTS */
	bool null;
	union {
		struct str text;
		struct strs texts;
		int64_t num; /* INT, TIME, BOOL */
		double real;
	};
};

struct value value_text(struct str s); /* STR_NULL: null */
struct value value_int(int64_t n);
struct value value_time(int64_t ms);
struct value value_bool(bool b);
struct value value_real(double d);
struct value value_json(struct str s);
struct value value_texts(struct strs list);

/* Reads a field that lies at `at`, which is its row plus the offset; RECORD
 * and RECORDS have no value, use their JSON form. */
struct value field_get(const struct field *f, const void *at);
/* Writes it; the value is lent, as everything in a row. */
void field_set(const struct field *f, void *at, const struct value *v);
/* Orders two values of one type; null sorts first, text by bytes. */
int value_cmp(const struct value *a, const struct value *b);

/* Sets null wherever null is not all zeros (INT, TIME, REAL), also inside
 * embedded records. To be called on a zeroed struct. */
void record_init(const struct record *r, void *row);

/* A copy of everything the row points to, into `a`. */
void record_copy(
    const struct record *r, struct arena *a, void *to, const void *from);

#endif
