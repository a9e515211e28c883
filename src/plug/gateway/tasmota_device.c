/*
 * plug/gateway/tasmota_device.c - see tasmota_device.h.
 */
#include "plug/gateway/tasmota_device.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/mem.h"
#include "codec/json.h"

#include <stdlib.h>

#define TEXT_MAX 256 /* bytes of a topic, a prefix, a name */

static const char *const prefixes[] = { "cmnd", "stat", "tele" };

/* What a `config` says. */
struct config {
	struct str topic, full, host, mac;
	struct str prefix[TASMOTA_PREFIXES];
	struct str on, online, offline;
};

/* --- devices -------------------------------------------------------------- */

static void
drop_base(struct tasmota_devices *all, struct tasmota_base **at)
{
	struct tasmota_base *b = *at;

	*at = NULL;
	if (b != NULL && map_get(&all->bases, b->topic) == b)
		(void)map_del(&all->bases, b->topic);
	free(b);
}

static void
drop_text(struct str *s)
{
	str_free(*s);
	*s = STR_NULL;
}

/* What it told; that it is there stays known. */
static void
unlearn(struct tasmota_devices *all, struct tasmota_device *d)
{
	if (d->mac.ptr == NULL)
		return;
	(void)map_del(&all->macs, d->mac);
	drop_base(all, &d->stat);
	drop_base(all, &d->tele);
	for (int i = 0; i < TASMOTA_PREFIXES; i++)
		drop_text(&d->base[i]);
	drop_text(&d->mac);
	drop_text(&d->on);
	drop_text(&d->online);
	drop_text(&d->offline);
	d->config = d->sensors = 0;
}

static void
drop(struct tasmota_devices *all, struct tasmota_device *d)
{
	unlearn(all, d);
	(void)map_del(&all->nodes, d->node);
	str_free(d->node);
	free(d);
}

struct tasmota_device *
tasmota_device(struct tasmota_devices *all, struct str node)
{
	struct tasmota_device *d = map_get(&all->nodes, node);

	if (d != NULL || all->nodes.n >= all->max)
		return d;
	d = mem_new(struct tasmota_device);
	d->node = str_copy(node);
	d->last = TIME_NULL;
	(void)map_put(&all->nodes, d->node, d);
	return d;
}

static struct tasmota_base *
add_base(struct tasmota_devices *all, struct tasmota_device *d,
    enum tasmota_prefix prefix)
{
	struct tasmota_base *b = mem_new(struct tasmota_base);

	b->topic = d->base[prefix];
	b->device = d;
	b->prefix = prefix;
	(void)map_put(&all->bases, b->topic, b);
	return b;
}

void
tasmota_device_forget(struct tasmota_devices *all, struct str mac)
{
	struct tasmota_device *d = map_get(&all->macs, mac);

	if (d != NULL)
		unlearn(all, d);
}

/* --- what a device tells -------------------------------------------------- */

static void
replace(struct buf *b, const char *from, struct str to)
{
	struct str what = str_of(from), left = buf_str(b);
	struct buf out = { 0 };

	while (left.len > 0)
		if (str_starts(left, what)) {
			buf_add_str(&out, to);
			left.ptr += what.len;
			left.len -= what.len;
		} else {
			buf_addc(&out, *left.ptr);
			left.ptr++;
			left.len--;
		}
	buf_free(b);
	*b = out;
}

/* As the device makes it: where a prefix is missing, it adds one to what it
 * hears, lest it hears itself. Owned. */
static struct str
make_base(const struct config *c, enum tasmota_prefix prefix)
{
	struct buf b = { 0 };
	struct str s;

	buf_add_str(&b, c->full);
	if (prefix == CMND && !str_contains_nocase(c->full, STR("%prefix%")))
		buf_addz(&b, "/%prefix%");
	buf_addc(&b, '/');
	replace(&b, "%prefix%", c->prefix[prefix]);
	replace(&b, "%topic%", c->topic);
	replace(&b, "%hostname%", c->host);
	replace(&b, "%id%", c->mac);
	replace(&b, "#", STR(""));
	replace(&b, "//", STR("/"));
	s = str_copy(buf_str(&b));
	buf_free(&b);
	return s;
}

static void
read_texts(struct json *j, struct str *at, size_t n)
{
	struct str text;

	if (json_peek(j) != JSON_ARRAY) {
		(void)json_skip(j);
		return;
	}
	(void)json_array(j);
	for (size_t i = 0; json_item(j); i++)
		if (json_peek(j) != JSON_STRING)
			(void)json_skip(j);
		else if (json_str(j, &text) && i < n && text.len > 0)
			at[i] = text;
}

bool
tasmota_is_level(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] == '+' || s.ptr[i] == '#' ||
		    (unsigned char)s.ptr[i] < ' ')
			return false;
	return s.len > 0 && s.len <= TEXT_MAX && str_is_utf8(s);
}

static int
check_config(const struct config *c, struct err *err)
{
	bool good = tasmota_is_level(c->topic) && tasmota_is_level(c->full) &&
	    c->host.len <= TEXT_MAX && tasmota_is_level(c->mac) &&
	    (c->host.len == 0 || tasmota_is_level(c->host));

	for (int i = 0; i < TASMOTA_PREFIXES; i++)
		good = good && tasmota_is_level(c->prefix[i]);
	return good ? 0
		    : err_set(err, ERR_PARAM,
			  "discovery: t, ft, tp and hn make no topics");
}

static int
read_config(
    struct arena *a, struct str json, struct config *ret, struct err *err)
{
	struct str states[4] = { STR_NULL }, key;
	struct config c = { .prefix = { STR("cmnd"), STR("stat"), STR("tele") },
		.full = STR("%prefix%/%topic%/"),
		.mac = ret->mac,
		.online = STR("Online"),
		.offline = STR("Offline") };
	const struct {
		const char *key;
		struct str *text;
	} texts[] = { { "t", &c.topic }, { "ft", &c.full }, { "hn", &c.host },
		{ "ofln", &c.offline }, { "onln", &c.online } };
	struct json j;
	size_t i;

	json_open(&j, json, 0, a);
	(void)json_object(&j);
	while (json_member(&j, &key)) {
		for (i = 0; i < COUNT_OF(texts); i++)
			if (str_eqz(key, texts[i].key))
				break;
		if (i < COUNT_OF(texts) && json_peek(&j) == JSON_STRING)
			(void)json_str(&j, texts[i].text);
		else if (str_eqz(key, "tp"))
			read_texts(&j, c.prefix, TASMOTA_PREFIXES);
		else if (str_eqz(key, "state"))
			read_texts(&j, states, COUNT_OF(states));
		else
			(void)json_skip(&j);
	}
	c.on = states[1];
	*ret = c;
	if (json_done(&j, err) != 0)
		return err_wrap(err, "discovery");
	return check_config(ret, err);
}

struct tasmota_device *
tasmota_device_learn(struct tasmota_devices *all, struct str mac,
    struct str config, struct err *err)
{
	struct tasmota_device *d = NULL, *before = map_get(&all->macs, mac);
	struct config c = { .mac = mac };
	struct arena a = { 0 };

	if (read_config(&a, config, &c, err) == 0) {
		if (before != NULL && !str_eq(before->node, c.topic))
			drop(all, before);
		d = tasmota_device(all, c.topic);
		if (d == NULL)
			err_set(err, ERR_LIMIT,
			    "more devices than provider.maxDevices");
	}
	if (d != NULL) {
		unlearn(all, d);
		d->mac = str_copy(mac);
		(void)map_put(&all->macs, d->mac, d);
		for (int i = 0; i < TASMOTA_PREFIXES; i++)
			d->base[i] = make_base(&c, (enum tasmota_prefix)i);
		d->stat = add_base(all, d, STAT);
		d->tele = add_base(all, d, TELE);
		if (c.on.len > 0 && !str_eqz(c.on, "ON"))
			d->on = str_copy(c.on);
		d->online = str_copy(c.online);
		d->offline = str_copy(c.offline);
	}
	arena_fini(&a);
	return d;
}

/* --- topics --------------------------------------------------------------- */

/* "a/b/tele/x/STATE" has "%prefix%/%topic%" before its command. */
static bool
take_apart(const struct tasmota_devices *all, struct str topic,
    struct str *node, enum tasmota_prefix *prefix)
{
	struct str levels[TASMOTA_LEVELS_MAX + 1];
	size_t n = 0, i;

	for (struct str left = topic; left.ptr != NULL; n++)
		levels[n % COUNT_OF(levels)] = str_cut(&left, '/');
	if (n < all->n_levels + 1)
		return false;
	*node = STR_NULL;
	*prefix = TASMOTA_PREFIXES;
	for (i = 0; i < all->n_levels; i++) {
		struct str want = all->levels[i];
		struct str is =
		    levels[(n - 1 - all->n_levels + i) % COUNT_OF(levels)];

		if (str_eqz(want, "%topic%"))
			*node = is;
		else if (!str_eqz(want, "%prefix%") && !str_eq(want, is))
			return false;
		for (int p = 0; str_eqz(want, "%prefix%") && p < 3; p++)
			if (str_eqz(is, prefixes[p]))
				*prefix = (enum tasmota_prefix)p;
	}
	return tasmota_is_level(*node) && *prefix != TASMOTA_PREFIXES;
}

bool
tasmota_find(const struct tasmota_devices *all, struct str topic,
    struct str *node, enum tasmota_prefix *prefix, struct str *command)
{
	const struct tasmota_base *b;
	struct str base = topic;

	while (base.len > 0 && base.ptr[base.len - 1] != '/')
		base.len--;
	*command = (struct str){ topic.ptr + base.len, topic.len - base.len };
	b = map_get(&all->bases, base);
	if (b == NULL)
		return take_apart(all, topic, node, prefix);
	*node = b->device->node;
	*prefix = b->prefix;
	/* Where both are one, it is seen by what is said. */
	if (str_eq(b->device->base[STAT], b->device->base[TELE]))
		*prefix = str_eqz(*command, "RESULT") ||
			str_starts(*command, STR("STATUS"))
		    ? STAT
		    : TELE;
	return true;
}

struct str
tasmota_command_topic(const struct tasmota_devices *all, struct arena *a,
    struct str node, struct str command)
{
	const struct tasmota_device *d = map_get(&all->nodes, node);
	struct buf b = { 0 };
	struct str s;

	if (d != NULL && d->mac.ptr != NULL)
		return arena_printf(a, STR_FMT STR_FMT, STR_ARG(d->base[CMND]),
		    STR_ARG(command));
	for (size_t i = 0; i < all->n_levels; i++) {
		struct str level = all->levels[i];

		if (str_eqz(level, "%prefix%"))
			level = STR("cmnd");
		else if (str_eqz(level, "%topic%"))
			level = node;
		buf_add_str(&b, level);
		buf_addc(&b, '/');
	}
	buf_add_str(&b, command);
	s = arena_str(a, buf_str(&b));
	buf_free(&b);
	return s;
}

/* --- all of them ---------------------------------------------------------- */

int
tasmota_devices_init(struct tasmota_devices *all, struct str full_topic,
    size_t max, struct err *err)
{
	struct str left = full_topic, level;
	int topics = 0, heads = 0;

	all->max = max;
	while (left.len > 0 && left.ptr[left.len - 1] == '/')
		left.len--;
	while (left.ptr != NULL && all->n_levels < TASMOTA_LEVELS_MAX) {
		level = str_cut(&left, '/');
		topics += str_eqz(level, "%topic%");
		heads += str_eqz(level, "%prefix%");
		if (!tasmota_is_level(level))
			topics = 2;
		all->levels[all->n_levels++] = level;
	}
	if (left.ptr != NULL || topics != 1 || heads != 1)
		return err_set(err, ERR_PARAM,
		    "fullTopic: %%prefix%% and %%topic%% are needed, each once "
		    "and as a whole level, as in %%prefix%%/%%topic%%/");
	return 0;
}

void
tasmota_devices_fini(struct tasmota_devices *all)
{
	struct tasmota_device *d;
	size_t pos = 0;

	while ((d = map_next(&all->nodes, &pos)) != NULL) {
		unlearn(all, d);
		str_free(d->node);
		free(d);
	}
	map_fini(&all->nodes);
	map_fini(&all->bases);
	map_fini(&all->macs);
}
