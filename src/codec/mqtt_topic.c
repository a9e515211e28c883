/*
 * codec/mqtt_topic.c - text, topic names and topic filters; see mqtt.h.
 */
#include "codec/mqtt.h"

#include "base/base.h"

#include <string.h>

#define EACH_BYTE(b) (~(uint64_t)0 / 255 * (b))

/* Eight bytes, in the order of the machine. */
static uint64_t
eight(const uint8_t *p)
{
	uint64_t w;

	memcpy(&w, p, sizeof(w));
	return w;
}

static bool
has_zero(uint64_t w)
{
	return (w - EACH_BYTE(1)) & ~w & EACH_BYTE(0x80);
}

/* [1.5.4-1] [1.5.4-2] */
static bool
utf8_ok(const uint8_t *p, const uint8_t *end)
{
	while (p < end) {
		unsigned c = *p, n, min;

		if (end - p >= 8 && !(eight(p) & EACH_BYTE(0x80)) &&
		    !has_zero(eight(p))) {
			p += 8;
			continue;
		}
		if (c - 1 < 0x7f) {
			p++;
			continue;
		}
		if (c >= 0xc2 && c < 0xe0) {
			n = 1;
			min = 0x80;
			c &= 0x1f;
		} else if (c >= 0xe0 && c < 0xf0) {
			n = 2;
			min = 0x800;
			c &= 0x0f;
		} else if (c >= 0xf0 && c < 0xf5) {
			n = 3;
			min = 0x10000;
			c &= 0x07;
		} else {
			return false; /* NUL too */
		}
		if ((size_t)(end - p) <= n)
			return false;
		for (unsigned i = 1; i <= n; i++) {
			if ((p[i] & 0xc0) != 0x80)
				return false;
			c = c << 6 | (p[i] & 0x3f);
		}
		if (c < min || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
			return false;
		p += n + 1;
	}
	return true;
}

bool
mqtt_text_ok(struct str s)
{
	const uint8_t *p = (const uint8_t *)s.ptr;

	return s.len == 0 || (s.len <= MQTT_TEXT_MAX && utf8_ok(p, p + s.len));
}

bool
mqtt_has_wildcard(struct str filter)
{
	const uint8_t *p = (const uint8_t *)filter.ptr, *end;

	if (filter.len == 0)
		return false;
	end = p + filter.len;
	for (; end - p >= 8; p += 8) {
		uint64_t w = eight(p);

		if (has_zero(w ^ EACH_BYTE('+')) ||
		    has_zero(w ^ EACH_BYTE('#')))
			return true;
	}
	for (; p < end; p++) {
		if (*p == '+' || *p == '#')
			return true;
	}
	return false;
}

bool
mqtt_topic_ok(struct str topic)
{
	const uint8_t *p = (const uint8_t *)topic.ptr;
	size_t i = 0;

	/* plain ASCII, the common case, in one pass */
	while (i < topic.len && p[i] - 1u < 0x7f && p[i] != '+' && p[i] != '#')
		i++;
	if (i == topic.len)
		return topic.len > 0 && topic.len <= MQTT_TEXT_MAX;
	return !mqtt_has_wildcard(topic) && mqtt_text_ok(topic);
}

bool
mqtt_filter_ok(struct str filter)
{
	const char *p = filter.ptr;

	if (filter.len == 0 || !mqtt_text_ok(filter))
		return false;
	for (size_t i = 0; i < filter.len; i++) {
		bool first = i == 0 || p[i - 1] == '/';
		bool last = i + 1 == filter.len || p[i + 1] == '/';

		if (p[i] == '+' && !(first && last)) /* [4.7.1-3] */
			return false;
		if (p[i] == '#' && !(first && i + 1 == filter.len))
			return false; /* [4.7.1-2] */
	}
	return true;
}

unsigned
mqtt_levels(struct str topic)
{
	unsigned n = 1;

	for (size_t i = 0; i < topic.len; i++)
		n += topic.ptr[i] == '/';
	return n;
}

bool
mqtt_filter_matches(struct str filter, struct str topic)
{
	bool hidden = topic.len > 0 && topic.ptr[0] == '$'; /* [4.7.2-1] */
	struct str f = filter, t = topic;

	if (hidden && filter.len > 0 && filter.ptr[0] != '$')
		return false;
	while (f.ptr != NULL) {
		struct str fl = str_cut(&f, '/'), tl;

		if (fl.len == 1 && fl.ptr[0] == '#')
			return true; /* "a/#" matches "a" as well */
		if (t.ptr == NULL)
			return false;
		tl = str_cut(&t, '/');
		if (fl.len == 1 && fl.ptr[0] == '+')
			continue;
		if (!str_eq(fl, tl))
			return false;
	}
	return t.ptr == NULL;
}

int
mqtt_share_split(struct str filter, struct str *group, struct str *ret)
{
	struct str rest = filter, name;

	if (!str_starts(filter, STR("$share/")))
		return ERR_NOT_FOUND;
	(void)str_cut(&rest, '/');
	name = str_cut(&rest, '/');
	if (name.len == 0 || mqtt_has_wildcard(name) || rest.ptr == NULL ||
	    !mqtt_filter_ok(rest))
		return ERR_PARAM;
	*group = name;
	*ret = rest;
	return 0;
}
