/*
 * codec/entity_json.h - records of the entity table from and to JSON and CSV.
 *
 * Times are RFC 3339 with three digits in UTC. The same checks serve every way
 * in: type, folding, trimming, `check`, min and max.
 */
#ifndef CODEC_ENTITY_JSON_H
#define CODEC_ENTITY_JSON_H

#include "base/entity.h"
#include "codec/json.h"

#include <stdint.h>

/* Which fields of a record were in the JSON: bit i for row i. Records have at
 * most 64 rows. */
typedef uint64_t field_set_t;

/* The bit of a field by its name; stops the program if there is none. */
field_set_t field_bit(const struct record *r, const char *name);
/* The bits of "code name info"; a trailing '!' on a name sets its bit in
 * `*required` too (may be NULL). */
field_set_t field_bits(
    const struct record *r, const char *names, field_set_t *required);
#define FIELD_ALL UINT64_MAX

/* Reads one object into a row that was zeroed and given to record_init().
 * Only fields of `allowed` are taken; other members are skipped. null counts
 * as absent, except for fields of `nulls`, which become null and are then in
 * `*present`. Text is lent from the source or put into j->arena. A wrong type
 * or a value that a check refuses is an error: `err` says which member and
 * why, ERR_PARAM. Records inside come whole: a member they do not name has its
 * default, or is an error when that would be refused. */
int record_from_json(struct json *j, const struct record *r,
    field_set_t allowed, field_set_t nulls, void *row, field_set_t *present,
    struct err *err);

/* Reads a JSON object into a row, by forgiving rules: names in any case,
 * numbers for texts and texts for numbers, one text or "a, b" for a list. Names
 * that the rows do not have are passed over; fields that are not named have
 * their default. ERR_PARAM names the member. */
int record_read(const struct record *r, struct arena *a, struct str json,
    void *row, struct err *err);

/* Gives fields outside `present` their default. */
int record_defaults(const struct record *r, struct arena *a,
    field_set_t present, void *row, struct err *err);

/* Brings one value that came as text (query, command line, CSV) into the
 * field's type, with its folding and check. */
int field_from_text(const struct field *f, struct arena *a, struct str text,
    struct value *ret, struct err *err);

/* Writes the fields of `which` in the order of the rows, as an object.
 * FIELD_ABSENT fields are left out when null. */
void record_to_json(struct json_out *o, const struct record *r,
    field_set_t which, const void *row);
/* The same without the braces, to add members of one's own. */
void record_members_to_json(struct json_out *o, const struct record *r,
    field_set_t which, const void *row);

/* One whole record as JSON text in the store's form (all fields, nulls
 * written), and back. For RECORD and RECORDS columns, and dumps. */
void record_encode(struct buf *out, const struct record *r, const void *row);
int record_decode(struct str text, const struct record *r, struct arena *a,
    void *row, struct err *err);
/* The same for the value of one field that lies at `at`. */
void field_encode(struct buf *out, const struct field *f, const void *at);
int field_decode(struct str text, const struct field *f, struct arena *a,
    void *at, struct err *err);
/* The value of any one field, which lies at `at`, as JSON text. */
void field_to_json(struct json_out *o, const struct field *f, const void *at);

/* CSV (RFC 4180, lines end with "\n"): null is empty, lists and records are
 * JSON text. */
void csv_head(struct buf *out, const struct record *r, field_set_t which);
void csv_row(struct buf *out, const struct record *r, field_set_t which,
    const void *row);
void csv_cell(struct buf *out, struct str text);

#endif
