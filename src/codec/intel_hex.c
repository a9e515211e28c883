/*
 * codec/intel_hex.c - see intel_hex.h.
 */
#include "codec/intel_hex.h"

#include <stdbool.h>
#include <stdint.h>

#define HEAD 4 /* count, address, type */

enum record { DATA, END, SEGMENT, SEGMENT_START, LINEAR, LINEAR_START };

/* The bytes of a record, sum included. */
static int
read_record(struct str line, struct buf *record, struct err *err)
{
	const unsigned char *p;
	uint8_t sum = 0;

	buf_clear(record);
	if (line.ptr[0] != ':')
		return err_set(err, ERR_PARAM, "does not begin with \":\"");
	line.ptr++;
	line.len--;
	if (!hex_decode(record, line))
		return err_set(
		    err, ERR_PARAM, "something else than pairs of hex digits");
	p = (const unsigned char *)record->ptr;
	if (record->len < HEAD + 1 || record->len != p[0] + HEAD + 1u)
		return err_set(err, ERR_PARAM,
		    "%zu bytes do not go with the count at its front",
		    record->len);
	for (size_t i = 0; i < record->len; i++)
		sum = (uint8_t)(sum + p[i]);
	if (sum != 0)
		return err_set(err, ERR_PARAM, "the sum is %02X and not %02X",
		    p[record->len - 1], (uint8_t)(p[record->len - 1] - sum));
	return 0;
}

/* `*ended` is set by the record that must be the last. */
static int
take_line(struct str line, size_t max, size_t before, struct buf *record,
    struct buf *bytes, bool *ended, struct err *err)
{
	int rc;

	if (line.len == 0)
		return 0;
	if (*ended)
		return err_set(err, ERR_PARAM, "stands behind the end record");
	rc = read_record(line, record, err);
	if (rc != 0)
		return rc;
	switch ((unsigned char)record->ptr[3]) {
	case DATA:
		if (bytes->len - before + record->len - HEAD - 1 > max)
			return err_set(
			    err, ERR_PARAM, "more than %zu bytes of data", max);
		buf_add(bytes, record->ptr + HEAD, record->len - HEAD - 1);
		return 0;
	case END:
		*ended = true;
		return 0;
	case SEGMENT:
	case SEGMENT_START:
	case LINEAR:
	case LINEAR_START:
		return 0;
	default:
		return err_set(err, ERR_PARAM, "a record of type %02X",
		    (unsigned char)record->ptr[3]);
	}
}

int
intel_hex_read(struct str text, size_t max, struct buf *bytes, struct err *err)
{
	struct buf record = { 0 };
	size_t before = bytes->len;
	bool ended = false;
	int rc = 0;

	for (int n = 1; rc == 0 && text.ptr != NULL; n++) {
		struct str line = str_trim(str_cut(&text, '\n'));

		rc = take_line(line, max, before, &record, bytes, &ended, err);
		if (rc != 0 && err != NULL)
			rc = err_wrap(err, "line %d", n);
	}
	if (rc == 0 && !ended)
		rc = err_set(err, ERR_PARAM,
		    "has no end record (:00000001FF): is it whole?");
	if (rc == 0 && bytes->len == before)
		rc = err_set(err, ERR_PARAM, "has no data");
	if (rc != 0)
		bytes->len = before;
	buf_free(&record);
	return rc;
}
