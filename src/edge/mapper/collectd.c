/*
 * edge/mapper/collectd.c - what collectd measures of the machine, as
 * measurements of the device:
 *
 *	collectd/host/cpu/percent-active  1637042400.123:12.5
 *	collectd/host/load/load           1637042400.130:0.1:0.2:0.3
 *	te/device/main///m/  {"time":"2021-11-16T06:00:00.123Z","cpu":{
 *	    "percent-active":12.5},"load":{"load_val1":0.1,...}}
 *
 * What was measured within WINDOW_MS of the first is one message, with the time
 * of the first. It is sent when the window is over and stragglers have had
 * DELAY_MS; earlier, when something is measured again, or outside of the
 * window, or when there is much of it. What is younger or older than that is
 * told, and dropped. A batch that is open when the mapper stops is lost, as
 * collectd's messages (QoS 0) are.
 */
#include "edge/mapper/common.h"

#include "base/base.h"
#include "base/mem.h"
#include "codec/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW_MS 500
#define DELAY_MS 400
#define VALUES_MAX 200

#define FORMAT                                                                 \
	"Message received on invalid collectd topic: " STR_FMT                 \
	". Collectd message topics must be in the format "                     \
	"collectd/<hostname>/<metric-plugin-name>/<metric-key>"

struct value {
	struct str plugin, metric; /* in the batch's arena */
	int index;                 /* 0: it is the only one of its metric */
	double number;
	bool written;
};

struct collectd {
	struct mapper_host host;
	struct arena arena;
	struct str root, topic;
	struct arena batch;
	struct value values[VALUES_MAX];
	size_t n;
	int64_t first_ms;
	struct buf out;
};

static int
open_collectd(const struct mapper_conf *conf, const struct mapper_host *host,
    void **ret, struct err *err)
{
	struct collectd *c = mem_new(struct collectd);

	(void)err;
	c->host = *host;
	c->root = arena_str(&c->arena, conf->root);
	c->topic = arena_printf(&c->arena, STR_FMT "/" STR_FMT "/m/",
	    STR_ARG(conf->root), STR_ARG(conf->main_entity));
	*ret = c;
	return 0;
}

static void
close_collectd(void *m)
{
	struct collectd *c = m;

	buf_free(&c->out);
	arena_fini(&c->batch);
	arena_fini(&c->arena);
	free(c);
}

static void
filters(void *m, void (*each)(void *ctx, struct str filter), void *ctx)
{
	(void)m;
	each(ctx, STR("collectd/#"));
}

static void
up(void *m)
{
	(void)m;
}

/* --- out ----------------------------------------------------------------- */

/* The group of `v`, with all of it that is to come. */
static void
add_group(struct collectd *c, struct json_out *o, struct value *v)
{
	json_out_key_str(o, v->plugin);
	json_out_object(o);
	for (struct value *w = v; w < c->values + c->n; w++) {
		if (w->written || !str_eq(w->plugin, v->plugin))
			continue;
		json_out_key_str(o,
		    w->index == 0 ? w->metric
				  : arena_printf(&c->batch, STR_FMT "_val%d",
					STR_ARG(w->metric), w->index));
		json_out_real(o, w->number);
		w->written = true;
	}
	json_out_end_object(o);
}

static void
flush(struct collectd *c)
{
	struct buf time = { 0 };
	struct json_out o;

	if (c->n == 0)
		return;
	buf_clear(&c->out);
	json_out_init(&o, &c->out, false);
	json_out_object(&o);
	json_out_key(&o, "time");
	mapper_add_time(&time, c->first_ms / 1000,
	    (uint32_t)(c->first_ms % 1000) * 1000000, 0, true);
	json_out_str(&o, buf_str(&time));
	buf_free(&time);
	for (size_t i = 0; i < c->n; i++)
		if (!c->values[i].written)
			add_group(c, &o, &c->values[i]);
	json_out_end_object(&o);
	c->n = 0;
	arena_clear(&c->batch);
	c->host.publish(c->host.owner,
	    &(struct mapper_msg){
		.topic = c->topic, .payload = buf_str(&c->out), .qos = 1 });
}

static void
timer(void *m)
{
	flush(m);
}

/* --- in ------------------------------------------------------------------ */

static bool
read_number(struct str text, struct arena *a, double *ret)
{
	char *z = arena_z(a, text), *end;

	if (text.len == 0 || strspn(z, "0123456789.+-eE") != text.len)
		return false; /* nor "nan", which collectd has for none */
	*ret = strtod(z, &end);
	return *end == '\0' && isfinite(*ret);
}

static bool
read_topic(struct str topic, struct str *plugin, struct str *metric)
{
	struct str rest = topic, host;

	if (!str_eqz(str_cut(&rest, '/'), "collectd"))
		return false;
	host = str_cut(&rest, '/');
	*plugin = str_cut(&rest, '/');
	*metric = rest;
	return host.len > 0 && plugin->len > 0 && metric->len > 0 &&
	    memchr(metric->ptr, '/', metric->len) == NULL;
}

static bool
is_in_time(
    struct collectd *c, const struct mapper_msg *msg, double time, int64_t *ret)
{
	int64_t now = c->host.now_ns(c->host.owner) / 1000000;

	*ret = (int64_t)fmax(fmin(time * 1000 + 0.5, 1e15), 0);
	if (*ret > now + WINDOW_MS)
		mapper_error(&c->host, c->root, msg->topic,
		    "Dropped: what was measured at %.3f is of the future. Do "
		    "the clocks agree?",
		    time);
	else if (*ret + WINDOW_MS + DELAY_MS < now)
		mapper_error(&c->host, c->root, msg->topic,
		    "Dropped: what was measured at %.3f comes too late. Do the "
		    "clocks agree?",
		    time);
	else
		return true;
	return false;
}

static bool
has(const struct collectd *c, struct str plugin, struct str metric)
{
	for (size_t i = 0; i < c->n; i++)
		if (str_eq(c->values[i].plugin, plugin) &&
		    str_eq(c->values[i].metric, metric))
			return true;
	return false;
}

static void
put(struct collectd *c, struct str plugin, struct str metric, int64_t at_ms,
    const double *numbers, size_t n)
{
	int64_t now = c->host.now_ns(c->host.owner) / 1000000;
	int64_t due = at_ms + WINDOW_MS + DELAY_MS - now;

	if (c->n + n > VALUES_MAX || has(c, plugin, metric) ||
	    (c->n > 0 && llabs(at_ms - c->first_ms) >= WINDOW_MS))
		flush(c);
	if (c->n == 0) {
		c->first_ms = at_ms;
		c->host.after(c->host.owner, MAX_OF(due, 0));
	}
	plugin = arena_str(&c->batch, plugin);
	metric = arena_str(&c->batch, metric);
	for (size_t i = 0; i < n; i++)
		c->values[c->n++] = (struct value){ plugin, metric,
			n > 1 ? (int)i + 1 : 0, numbers[i], false };
}

static void
message(void *m, const struct mapper_msg *msg, struct arena *a)
{
	struct collectd *c = m;
	struct str plugin, metric, rest = msg->payload, at, text;
	double *numbers = arena_array(a, VALUES_MAX, double), time;
	int64_t at_ms;
	size_t n = 0;

	if (!read_topic(msg->topic, &plugin, &metric)) {
		mapper_error(
		    &c->host, c->root, msg->topic, FORMAT, STR_ARG(msg->topic));
		return;
	}
	while (rest.len > 0 && rest.ptr[rest.len - 1] == '\0')
		rest.len--; /* as collectd ends its texts */
	text = rest;
	at = str_cut(&rest, ':');
	if (rest.ptr == NULL) {
		struct str head = mapper_head(text, 80);

		mapper_error(&c->host, c->root, msg->topic,
		    "Invalid payload: " STR_FMT
		    ". Expected payload format: <timestamp>:<value>",
		    STR_ARG(head));
		return;
	}
	if (!read_number(at, a, &time)) {
		at = mapper_head(at, 80);
		mapper_error(&c->host, c->root, msg->topic,
		    "Invalid measurement timestamp: " STR_FMT
		    ". Epoch time value expected",
		    STR_ARG(at));
		return;
	}
	while (rest.ptr != NULL && n < VALUES_MAX) {
		text = str_cut(&rest, ':');
		if (!read_number(text, a, &numbers[n++])) {
			text = mapper_head(text, 80);
			mapper_error(&c->host, c->root, msg->topic,
			    "Invalid measurement value: " STR_FMT
			    ". Must be a number",
			    STR_ARG(text));
			return;
		}
	}
	if (rest.ptr != NULL)
		mapper_error(&c->host, c->root, msg->topic,
		    "Invalid payload: more than %d values", VALUES_MAX);
	else if (is_in_time(c, msg, time, &at_ms))
		put(c, plugin, metric, at_ms, numbers, n);
}

const struct mapper_ops mapper_collectd = { .name = "collectd",
	.help = "what collectd measures",
	.open = open_collectd,
	.close = close_collectd,
	.filters = filters,
	.up = up,
	.message = message,
	.timer = timer };
