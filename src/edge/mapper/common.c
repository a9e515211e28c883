#include "edge/mapper/common.h"

#include "codec/json.h"
#include "codec/zone.h"

#include <stdio.h>
#include <stdlib.h>

size_t
mapper_packet_size(size_t topic, size_t payload)
{
	size_t rest = 2 + topic + 2 + payload, head = 2;

	for (size_t n = rest; n > 127; n /= 128)
		head++;
	return head + rest;
}

void
mapper_add_time(struct buf *out, int64_t seconds, uint32_t nanos,
    int32_t offset_s, bool utc)
{
	int minutes = abs(offset_s) / 60;
	struct zone_time t;
	char frac[12];
	int n;

	zone_local(NULL, (seconds + (utc ? 0 : offset_s)) * 1000, &t);
	buf_addf(out, "%04d-%02d-%02dT%02d:%02d:%02d", (int)t.year, t.month,
	    t.day, t.hour, t.minute, t.second);
	n = snprintf(frac, sizeof(frac), ".%09u", nanos);
	while (utc && n > 0 && (frac[n - 1] == '0' || frac[n - 1] == '.'))
		n--;
	buf_add(out, frac, (size_t)n);
	if (utc)
		buf_addc(out, 'Z');
	else
		buf_addf(out, "%c%02d:%02d", offset_s < 0 ? '-' : '+',
		    minutes / 60, minutes % 60);
}

void
mapper_add_now(const struct mapper_host *host, struct buf *out, bool utc)
{
	int64_t ns = host->now_ns(host->owner);

	mapper_add_time(out, ns / 1000000000, (uint32_t)(ns % 1000000000),
	    host->offset_s(host->owner), utc);
}

void
mapper_values_next(struct mapper_values *v)
{
	bool *flag = v->in_group ? &v->group_comma : &v->comma;

	if (*flag)
		buf_addc(v->out, ',');
	*flag = true;
}

void
mapper_values_name(struct mapper_values *v, struct str name)
{
	mapper_values_next(v);
	json_quote(v->out, name);
	buf_addc(v->out, ':');
}

void
mapper_values_open(void *owner, struct str group)
{
	struct mapper_values *v = owner;

	mapper_values_name(v, group);
	buf_addc(v->out, '{');
	v->in_group = true;
	v->group_comma = false;
}

void
mapper_values_close(void *owner, struct str group)
{
	struct mapper_values *v = owner;

	(void)group;
	buf_addc(v->out, '}');
	v->in_group = false;
}

struct str
mapper_head(struct str s, size_t max)
{
	if (s.len <= max)
		return s;
	while (max > 0 && ((unsigned char)s.ptr[max] & 0xC0) == 0x80)
		max--;
	return (struct str){ s.ptr, max };
}

void
mapper_topics(const struct cloud *cloud, struct str root,
    void (*each)(void *ctx, struct str filter), void *ctx)
{
	struct strs topics = cloud_list(cloud, "topics");
	struct buf f = { 0 };

	for (size_t i = 0; i < topics.n; i++) {
		struct str t = topics.at[i];

		buf_clear(&f);
		if (str_starts(t, STR("te/"))) {
			buf_add_str(&f, root);
			t = (struct str){ t.ptr + 2, t.len - 2 };
		}
		buf_add_str(&f, t);
		each(ctx, buf_str(&f));
	}
	buf_free(&f);
}

static void
tell(const struct mapper_host *host, struct str root, struct str topic,
    struct str what, bool own)
{
	struct buf text = { 0 };

	if (!str_starts(topic, STR("tedge/")) && str_starts(topic, root) &&
	    topic.len > root.len)
		buf_addf(&text,
		    "Failed to convert a message on topic '" STR_FMT "': ",
		    STR_ARG(topic));
	buf_add_str(&text, what);
	host->error(host->owner, topic, buf_str(&text), own);
	buf_free(&text);
}

void
mapper_verror(const struct mapper_host *host, struct str root, struct str topic,
    const char *fmt, va_list ap)
{
	struct arena a = { 0 };

	tell(host, root, topic, arena_vprintf(&a, fmt, ap), false);
	arena_fini(&a);
}

void
mapper_error(const struct mapper_host *host, struct str root, struct str topic,
    const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	mapper_verror(host, root, topic, fmt, ap);
	va_end(ap);
}

void
mapper_too_large(const struct mapper_host *host, struct str root,
    struct str topic, struct str payload, size_t size, size_t max)
{
	struct str head = mapper_head(payload, 50);
	struct arena a = { 0 };

	tell(host, root, topic,
	    arena_printf(&a,
		"The payload " STR_FMT "... received on " STR_FMT
		" after translation is %zu greater than the threshold size of "
		"%zu.",
		STR_ARG(head), STR_ARG(topic), size, max),
	    true);
	arena_fini(&a);
}

void
mapper_input_too_large(const struct mapper_host *host, struct str root,
    struct str topic, size_t size, size_t max)
{
	struct arena a = { 0 };

	tell(host, root, topic,
	    arena_printf(&a,
		"The input size %zu is too big. The threshold is %zu.", size,
		max),
	    true);
	arena_fini(&a);
}

void
mapper_bad_event(
    struct buf *out, struct str topic, struct str payload, const char *why)
{
	struct str head = mapper_head(payload, 50);

	buf_addf(out,
	    "Parsing of event message received on topic: " STR_FMT
	    " failed due to error: %s. Snipped payload: " STR_FMT,
	    STR_ARG(topic), why, STR_ARG(head));
}

void
mapper_bad_alarm(
    struct buf *out, struct str type, struct str payload, const char *why)
{
	struct str head = mapper_head(payload, 50);

	buf_addf(out,
	    "Parsing of alarm message for the type: " STR_FMT
	    " failed due to error: %s. Snipped payload: " STR_FMT,
	    STR_ARG(type), why, STR_ARG(head));
}
