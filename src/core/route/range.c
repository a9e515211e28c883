/*
 * core/route/range.c - lists of addresses: given one by one, or as the first
 * and the last of a range of hex numbers of up to 128 bits.
 */
#include "core/route/private.h"

bool
addresses_listed(struct http_call *c, struct strs in, struct strs *ret)
{
	if (in.n == 0 || in.n > ADDRESSES_MAX) {
		http_error(c, 400, "err_param",
		    "`networkAddrs` must have 1 to %d addresses",
		    ADDRESSES_MAX);
		return false;
	}
	ret->at = arena_array(&c->arena, in.n, struct str);
	ret->n = in.n;
	for (size_t i = 0; i < in.n; i++) {
		ret->at[i] = arena_lower(&c->arena, str_trim(in.at[i]));
		if (ret->at[i].len == 0) {
			http_error(c, 400, "err_param",
			    "`networkAddrs` has an empty address");
			return false;
		}
	}
	return true;
}

static bool
to_number(struct str s, unsigned __int128 *ret)
{
	if (s.len == 0 || s.len > 32 || !str_is_hex(s))
		return false;
	*ret = 0;
	for (size_t i = 0; i < s.len; i++) {
		char ch = s.ptr[i];

		*ret = *ret << 4 |
		    (unsigned)(ch <= '9' ? ch - '0'
			    : ch >= 'a'  ? ch - 'a' + 10
					 : ch - 'A' + 10);
	}
	return true;
}

static struct str
to_text(struct arena *a, unsigned __int128 n, size_t len)
{
	char *p = arena_alloc(a, len + 1);

	for (size_t i = len; i-- > 0; n >>= 4)
		p[i] = "0123456789abcdef"[(unsigned)n & 15];
	return (struct str){ p, len };
}

bool
addresses_range(
    struct http_call *c, struct str start, struct str end, struct strs *ret)
{
	unsigned __int128 first, last;

	if (start.len != end.len || !to_number(start, &first) ||
	    !to_number(end, &last) || first > last ||
	    last - first >= ADDRESSES_MAX) {
		http_error(c, 400, "err_param",
		    "`startAddr` and `endAddr` must be hex of one length (2 to "
		    "32 digits, an even number), in order, with at most %d "
		    "addresses between them",
		    ADDRESSES_MAX);
		return false;
	}
	ret->n = (size_t)(last - first) + 1;
	ret->at = arena_array(&c->arena, ret->n, struct str);
	for (size_t i = 0; i < ret->n; i++)
		ret->at[i] = to_text(&c->arena, first + i, start.len);
	return true;
}
