/*
 * codec/smartrest.h - SmartREST 2.0, the lines of Cumulocity: records of
 * comma-separated fields, the first of which says what it is.
 *
 *	114,c8y_Restart,c8y_SoftwareUpdate
 *	400,door,"opened by ""Ada"", twice",2021-04-23T19:00:00Z
 *
 * A field stands in quotes when it holds a comma, a quote or the end of a line;
 * a quote in it is doubled. A message may hold several records, one a line.
 */
#ifndef CODEC_SMARTREST_H
#define CODEC_SMARTREST_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#define SMARTREST_FIELDS_MAX 4096  /* of one record */
#define SMARTREST_RESULT_MAX 16000 /* bytes of a message with a result */

/* Each adds a comma and one field. Bytes that no line may hold (control
 * characters but tab and the ends of lines) are left out; STR_NULL is "". */
void smartrest_add(struct buf *out, struct str field);
void smartrest_add_quoted(struct buf *out, struct str field); /* always */
/* As much of `field` that the whole message stays within `max` bytes: what was
 * cut, never within a character or a doubled quote, ends in "...<trimmed>". */
void smartrest_add_result(struct buf *out, struct str field, size_t max);

/* Reads the next record of `*text` and leaves in it what follows. Lines with
 * nothing in them are passed over. ERR_NOT_FOUND: there is no more; ERR_PARAM:
 * a quote without its end; ERR_LIMIT: too many fields; then the record was
 * stepped over. Fields are lent out of the text, or in `a`. */
int smartrest_read(
    struct str *text, struct arena *a, struct strs *ret, struct err *err);

#endif
