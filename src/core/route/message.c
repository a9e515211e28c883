/*
 * core/route/message.c - members that uplink and downlink messages share.
 */
#include "core/route/private.h"

bool
read_optional(struct json *j, struct str *ret)
{
	if (json_peek(j) == JSON_NULL)
		return json_null(j);
	return json_str(j, ret);
}

/* Kept without white space, as it is passed on. */
bool
read_extension(struct json *j, struct str *ret)
{
	struct buf compact = { 0 };
	struct str raw;

	if (json_peek(j) != JSON_OBJECT)
		return json_null(j);
	if (!json_raw(j, &raw) || !json_compact(&compact, raw, 0)) {
		buf_free(&compact);
		return false;
	}
	*ret = arena_str(j->arena, buf_str(&compact));
	buf_free(&compact);
	return true;
}
