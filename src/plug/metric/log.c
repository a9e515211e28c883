/*
 * plug/metric/log.c - see log.h.
 *
 * A point is written as what it differs by from the one before: number of the
 * series (with a bit that says whether a text follows), time, value.
 */
#include "plug/metric/log.h"

#include "base/varint.h"

#include <string.h>

#define POINT_MAX 32 /* bytes of a point without its text */

static void
put_text(struct buf *out, struct str s)
{
	varint_put(out, s.len);
	buf_add_str(out, s);
}

static bool
get_text(struct str *in, struct str *ret)
{
	uint64_t len;

	if (!varint_get(in, &len) || len > in->len)
		return false;
	*ret = (struct str){ in->ptr, (size_t)len };
	in->ptr += len;
	in->len -= (size_t)len;
	return true;
}

void
series_put(struct buf *out, const struct metric_series *s)
{
	buf_addc(out, (char)s->kind);
	put_text(out, s->name);
	varint_put(out, s->n_labels);
	for (size_t i = 0; i < s->n_labels; i++) {
		put_text(out, s->labels[i].name);
		put_text(out, s->labels[i].value);
	}
}

bool
series_get(struct str *in, struct arena *a, struct metric_series *s)
{
	struct metric_label *labels;
	uint64_t n;

	if (in->len == 0)
		return false;
	s->kind = (enum metric_kind)(unsigned char)*in->ptr;
	in->ptr++;
	in->len--;
	if (s->kind < METRIC_GAUGE || s->kind > METRIC_TEXT ||
	    !get_text(in, &s->name) || !varint_get(in, &n) ||
	    n > METRIC_LABELS_MAX)
		return false;
	labels = arena_array(a, (size_t)n + 1, struct metric_label);
	for (size_t i = 0; i < n; i++)
		if (!get_text(in, &labels[i].name) ||
		    !get_text(in, &labels[i].value))
			return false;
	s->labels = labels;
	s->n_labels = (size_t)n;
	return true;
}

static void
put_head(struct buf *out, enum log_type type, uint64_t seq)
{
	buf_addc(out, (char)type);
	varint_put(out, seq);
}

void
log_put_series(struct buf *out, uint64_t seq, const struct metric_series *s)
{
	put_head(out, LOG_SERIES, seq);
	varint_put(out, s->id);
	series_put(out, s);
}

static char *
put_fast(char *to, uint64_t v)
{
	while (v >= 0x80) {
		*to++ = (char)(v | 0x80);
		v >>= 7;
	}
	*to++ = (char)v;
	return to;
}

void
log_put_points(
    struct buf *out, uint64_t seq, const struct metric_point *p, size_t n)
{
	int64_t series = 0, at = 0;

	put_head(out, LOG_POINTS, seq);
	buf_reserve(out, n * POINT_MAX);
	for (size_t i = 0; i < n; i++) {
		bool text = p[i].text.ptr != NULL;
		char *to;

		if (text)
			buf_reserve(out, (n - i) * POINT_MAX + p[i].text.len);
		to = out->ptr + out->len;
		to = put_fast(
		    to, zigzag((int64_t)p[i].series - series) << 1 | text);
		to = put_fast(to, zigzag(p[i].at - at));
		if (text) {
			to = put_fast(to, p[i].text.len);
			memcpy(to, p[i].text.ptr, p[i].text.len);
			to += p[i].text.len;
		} else {
			memcpy(to, &p[i].value, sizeof(double));
			to += sizeof(double);
		}
		out->len = (size_t)(to - out->ptr);
		series = p[i].series;
		at = p[i].at;
	}
}

void
log_put_delete(struct buf *out, uint64_t seq, uint32_t series)
{
	put_head(out, LOG_DELETE, seq);
	varint_put(out, series);
}

void
log_put_sent(struct buf *out, uint64_t seq)
{
	put_head(out, LOG_SENT, seq);
}

bool
log_get_head(struct str *in, enum log_type *type, uint64_t *seq)
{
	if (in->len == 0)
		return false;
	*type = (enum log_type)(unsigned char)*in->ptr;
	in->ptr++;
	in->len--;
	return *type >= LOG_SERIES && *type <= LOG_SENT && varint_get(in, seq);
}

bool
log_get_series(struct str in, struct arena *a, struct metric_series *ret)
{
	uint64_t id;

	if (!varint_get(&in, &id) || id == 0 || id >= UINT32_MAX / 2)
		return false;
	ret->id = (uint32_t)id;
	return series_get(&in, a, ret) && in.len == 0;
}

int
log_get_point(struct str *in, struct metric_point *last)
{
	uint64_t series, at;

	if (in->len == 0)
		return 0;
	if (!varint_get(in, &series) || !varint_get(in, &at))
		return ERR_PROTO;
	last->series =
	    (uint32_t)(last->series + (uint64_t)unzigzag(series >> 1));
	last->at = (int64_t)((uint64_t)last->at + (uint64_t)unzigzag(at));
	if (last->at < 0 || last->at >= METRIC_TIME_MAX)
		return ERR_PROTO;
	last->text = STR_NULL;
	last->value = 0;
	if (series & 1)
		return get_text(in, &last->text) ? 1 : ERR_PROTO;
	if (in->len < sizeof(double))
		return ERR_PROTO;
	memcpy(&last->value, in->ptr, sizeof(double));
	in->ptr += sizeof(double);
	in->len -= sizeof(double);
	return 1;
}

bool
log_get_delete(struct str in, uint32_t *series)
{
	uint64_t id;

	if (!varint_get(&in, &id) || in.len > 0 || id > UINT32_MAX)
		return false;
	*series = (uint32_t)id;
	return true;
}
