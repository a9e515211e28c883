/*
 * core/hub/model.c - devices, sources and fields in memory, and what a reading
 * does to them.
 *
 *  (1) A row in memory is ahead of the store by at most the groups that are
 *      under way. What people may change (names, labels, pins) is changed in
 *      the store, and read again from there.
 *  (2) `current` is the newest by time: a reading that comes late goes into the
 *      history and changes nothing else.
 *  (3) A name is set when the field is made; from then on it is people's.
 *      Unit and metric type follow the readings, unless a label `ignore_unit`
 *      or `ignore_metric_type` pins them.
 */
#include "core/hub/private.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/rand.h"
#include "codec/json.h"
#include "codec/sun.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_LEN 1024 /* as of names that people give */
#define ASKED_MS 10000    /* how long a device may take to do as it is told */
#define VALUES "current previous noChangeSince lastSeen"
#define VALUES_AND_KIND VALUES " metricType unit"
#define VALUES_AND_NOTES VALUES_AND_KIND " labels others"
#define NODE "state lastSeen"
#define NODE_AND_FACTS NODE " name labels others"
#define SOURCE "lastSeen"
#define SOURCE_AND_FACTS SOURCE " name labels others"

/* --- rows ---------------------------------------------------------------- */

/* Gives the texts of a row memory of their own, in a new arena. */
static void
own(const struct record *r, void *row, struct arena *arena)
{
	struct arena fresh = { 0 };

	record_copy(r, &fresh, row, row);
	arena_fini(arena);
	*arena = fresh;
}

static void
make_dirty(struct hub *h, struct list *all, struct list *link)
{
	if (list_empty(link))
		list_add(all, link);
	loop_defer(h->loop, &h->kick);
}

static struct str
join(char sep, struct str a, struct str b)
{
	char *p = mem_alloc(a.len + 1 + b.len);

	memcpy(p, a.ptr, a.len);
	p[a.len] = sep;
	if (b.len > 0)
		memcpy(p + a.len + 1, b.ptr, b.len);
	return (struct str){ p, a.len + 1 + b.len };
}

/* Is label `key` something true? */
bool
hub_has_label(struct str labels, const char *key)
{
	struct arena scratch = { 0 };
	struct str name, text = STR_NULL;
	struct json j;
	bool yes = false;

	json_open(&j, labels, 0, &scratch);
	if (json_object(&j))
		while (json_member(&j, &name)) {
			if (str_eqz(name, key) && json_peek(&j) == JSON_STRING)
				json_str(&j, &text);
			else if (str_eqz(name, key) &&
			    json_peek(&j) == JSON_BOOL)
				json_bool(&j, &yes);
			else
				json_skip(&j);
		}
	if (text.ptr != NULL)
		yes = hub_truth(text);
	arena_fini(&scratch);
	return yes;
}

bool
hub_truth(struct str text)
{
	static const char *const words[] = { "true", "1", "on", "enable",
		"yes" };

	for (size_t i = 0; i < COUNT_OF(words); i++)
		if (str_eq_nocase(text, str_of(words[i])))
			return true;
	return false;
}

/* --- devices ------------------------------------------------------------- */

static struct str
place_of(struct str unit_id, struct str network_code, struct str addr)
{
	struct str network = join(' ', unit_id, network_code),
		   place = join(' ', network, addr);

	str_free(network);
	return place;
}

static struct device *
device_new(struct hub *h, const struct hub_node *row, bool stored)
{
	struct device *d = mem_new(struct device);

	d->hub = h;
	d->row = *row;
	own(&hub_node_entity.record, &d->row, &d->arena);
	d->stored = stored;
	d->told = stored;
	list_init(&d->dirty);
	list_init(&d->sources);
	list_init(&d->waiting);
	map_put(&h->devices, d->row.id, d);
	d->place = place_of(d->row.unit_id, d->row.gateway_id, d->row.node_id);
	map_put(&h->places, d->place, d);
	counter_add(&h->counters.devices, 1);
	return d;
}

struct device *
model_at(
    struct hub *h, struct str unit_id, struct str network_code, struct str addr)
{
	struct str place = place_of(unit_id, network_code, addr);
	struct device *d = map_get(&h->places, place);

	str_free(place);
	return d;
}

/* The same; its id is a key. */
static void
own_node(struct device *d)
{
	map_del(&d->hub->devices, d->row.id);
	own(&hub_node_entity.record, &d->row, &d->arena);
	map_put(&d->hub->devices, d->row.id, d);
}

static void
set_text(struct str *to, struct str text)
{
	if (str_eq(*to, text))
		return;
	str_free(*to);
	*to = str_copy(text);
}

static void move(struct device *d, struct str network, struct str addr);

/* 1, 0: it is not there any more, negative: who knows. */
static int
look(struct device *d)
{
	struct route_device_facts facts;
	struct arena a = { 0 };
	int rc = route_device_look(d->hub->route, d->row.id, &a, &facts, NULL);

	if (rc == 1) {
		set_text(&d->profile, facts.profile);
		set_text(&d->unit_code, facts.unit_code);
		d->on_public = facts.on_public;
		d->looked = true;
		if (!str_eq(d->row.gateway_id, facts.network_code) ||
		    !str_eq(d->row.node_id, facts.network_addr))
			move(d, facts.network_code, facts.network_addr);
	}
	arena_fini(&a);
	return rc;
}

/* After a start nothing is known of a device that has not sent yet; on a public
 * network a message does not tell the device's unit. */
void
model_know(struct device *d)
{
	if (!d->looked)
		(void)look(d);
}

struct device *
model_device(struct hub *h, const struct route_uplink *u)
{
	struct device *d = map_get(&h->devices, u->device_id);
	struct hub_node row = { .id = u->device_id,
		.unit_id = u->device_unit_id,
		.gateway_id = u->network_code,
		.node_id = u->network_addr,
		.name = STR(""),
		.state = { STR("unavailable"), STR(""), TIME_NULL },
		.labels = STR("{}"),
		.others = STR("{}"),
		.last_seen = TIME_NULL,
		.modified_at = TIME_NULL };

	if (d == NULL) {
		d = device_new(h, &row, false);
		make_dirty(h, &h->dirty_nodes, &d->dirty);
	}
	d->on_public = u->unit_id.len == 0;
	if (d->on_public)
		model_know(d);
	else
		set_text(&d->unit_code, u->unit_code);
	d->looked = true;
	set_text(&d->profile, u->profile);
	return d;
}

static void
set_up(struct device *d, int64_t at)
{
	d->row.state = (struct hub_state){ STR("up"), STR(""), at };
	silence_watch(d);
	make_dirty(d->hub, &d->hub->dirty_nodes, &d->dirty);
	event_node(d, d->told ? "updated" : "created");
	d->told = true;
}

void
model_down(struct device *d, const char *why, int64_t at)
{
	d->row.state = (struct hub_state){ STR("down"), str_of(why), at };
	silence_watch(d);
	make_dirty(d->hub, &d->hub->dirty_nodes, &d->dirty);
	event_node(d, "updated");
}

void
model_heard(struct device *d, int64_t at)
{
	silence_heard(d);
	if (d->row.last_seen == TIME_NULL || d->row.last_seen < at) {
		d->row.last_seen = at;
		make_dirty(d->hub, &d->hub->dirty_nodes, &d->dirty);
	}
}

void
model_seen(struct device *d, int64_t at)
{
	model_heard(d, at);
	if (str_eqz(d->row.state.status, "unavailable") ||
	    str_eqz(d->row.state.status, "down"))
		set_up(d, at);
}

void
model_well(struct device *d, int64_t at)
{
	if (!str_eqz(d->row.state.status, "up"))
		set_up(d, at);
}

void
model_trouble(struct device *d, const char *text, int64_t at)
{
	bool same =
	    str_eqz(d->row.state.status, "error") && str_eqz(d->trouble, text);

	if (same)
		return;
	set_text(&d->trouble, str_of(text));
	d->row.state = (struct hub_state){ STR("error"), d->trouble, at };
	silence_watch(d);
	make_dirty(d->hub, &d->hub->dirty_nodes, &d->dirty);
	event_node(d, "updated");
}

/* What devices tell does not grow without end. */
static struct str
bounded(struct hub *h, struct str was, struct str now, int64_t max)
{
	if (now.len <= (size_t)max || now.len <= was.len)
		return now;
	counter_add(&h->counters.notes_limited, 1);
	return was;
}

static struct str
bounded_notes(struct hub *h, struct str was, struct str now)
{
	return bounded(h, was, now, h->conf.notes_max);
}

void
model_take_node(struct device *d, const struct hub_node *row)
{
	struct hub *h = d->hub;
	struct str name = bounded(h, d->row.name, row->name, NAME_MAX_LEN);
	struct str labels = bounded_notes(h, d->row.labels, row->labels);
	struct str others = bounded_notes(h, d->row.others, row->others);

	if (str_eq(d->row.name, name) && str_eq(d->row.labels, labels) &&
	    str_eq(d->row.others, others))
		return;
	d->row.name = name;
	d->row.labels = labels;
	d->row.others = others;
	own_node(d);
	silence_watch(d);
	d->facts_changed = true;
	make_dirty(h, &h->dirty_nodes, &d->dirty);
	event_node(d, d->told ? "updated" : "created");
	d->told = true;
}

/* --- fields -------------------------------------------------------------- */

struct source *
model_find_source(struct device *d, struct str name)
{
	LIST_EACH (s, &d->sources, struct source, link)
		if (str_eq(s->row.source_id, name))
			return s;
	return NULL;
}

static struct source *
source_new(struct device *d, const struct hub_source *row, bool stored)
{
	struct source *s = mem_new(struct source);

	s->device = d;
	s->row = *row;
	own(&hub_source_entity.record, &s->row, &s->arena);
	s->stored = stored;
	list_init(&s->dirty);
	list_add(&d->sources, &s->link);
	return s;
}

/* Its place in hub->quick. */
static struct str
quick_of(const struct hub_field *row)
{
	struct buf b = { 0 };
	struct str quick;

	buf_addf(&b, STR_FMT " " STR_FMT "." STR_FMT "." STR_FMT "." STR_FMT,
	    STR_ARG(row->unit_id), STR_ARG(row->gateway_id),
	    STR_ARG(row->node_id), STR_ARG(row->source_id),
	    STR_ARG(row->field_id));
	quick = str_copy(buf_str(&b));
	buf_free(&b);
	return quick;
}

static struct cell *
field_new(struct device *d, const struct hub_field *row, bool stored)
{
	struct cell *f = mem_new(struct cell);
	struct hub *h = d->hub;

	f->device = d;
	f->row = *row;
	own(&hub_field_entity.record, &f->row, &f->arena);
	f->stored = stored;
	list_init(&f->dirty);
	f->now = str_copy(row->current.value);
	f->before = str_copy(row->previous.value);
	f->row.current.value = f->now;
	f->row.previous.value = f->before;
	f->pin_unit = hub_has_label(f->row.labels, "ignore_unit");
	f->pin_type = hub_has_label(f->row.labels, "ignore_metric_type");
	f->key = join('\n', f->row.source_id, f->row.field_id);
	f->quick = quick_of(&f->row);
	d->announced = d->announced && stored;
	map_put(&d->fields, f->key, f);
	map_put(&h->quick, f->quick, f);
	h->n_fields++;
	counter_add(&h->counters.fields, 1);
	return f;
}

static void
field_free(struct cell *f)
{
	struct hub *h = f->device->hub;

	map_del(&f->device->fields, f->key);
	if (map_get(&h->quick, f->quick) == f)
		map_del(&h->quick, f->quick);
	list_del(&f->dirty);
	h->n_fields--;
	counter_add(&h->counters.fields, -1);
	str_free(f->now);
	str_free(f->before);
	str_free(f->asked);
	str_free(f->key);
	str_free(f->quick);
	arena_fini(&f->arena);
	free(f);
}

static void
device_free(struct device *d)
{
	struct cell *f;
	size_t pos = 0;

	while ((f = map_next(&d->fields, &pos)) != NULL) {
		field_free(f);
		pos = 0;
	}
	map_fini(&d->fields);
	LIST_EACH (s, &d->sources, struct source, link) {
		list_del(&s->link);
		list_del(&s->dirty);
		arena_fini(&s->arena);
		free(s);
	}
	map_del(&d->hub->devices, d->row.id);
	if (map_get(&d->hub->places, d->place) == d)
		map_del(&d->hub->places, d->place);
	str_free(d->place);
	silence_forget(d);
	list_del(&d->dirty);
	counter_add(&d->hub->counters.devices, -1);
	str_free(d->profile);
	str_free(d->unit_code);
	str_free(d->trouble);
	arena_fini(&d->arena);
	free(d);
}

struct cell *
model_field(struct hub *h, struct str unit_id, struct str quick)
{
	struct str key = join(' ', unit_id, quick);
	struct cell *f = map_get(&h->quick, key);

	str_free(key);
	return f;
}

/* --- a value by its metric type ------------------------------------------ */

struct str
model_guessed_type(struct str value)
{
	switch (value.len > 0 ? value.ptr[0] : 'n') {
	case 't':
	case 'f':
		return STR("binary");
	case '"':
		return STR("string");
	case '{':
	case '[':
	case 'n':
		return STR("none");
	default:
		return STR("gauge_float");
	}
}

/* The text behind a JSON value: of a string what is in it. */
struct str
hub_plain(struct arena *a, struct str value)
{
	struct str text = value;
	struct json j;

	if (value.len > 0 && value.ptr[0] == '"') {
		json_open(&j, value, 0, a);
		(void)json_str(&j, &text);
	}
	return text;
}

bool
hub_number(struct str text, double *ret)
{
	char z[64], *end;

	text = str_trim(text);
	if (text.len == 0 || text.len >= sizeof(z))
		return false;
	memcpy(z, text.ptr, text.len);
	z[text.len] = '\0';
	*ret = strtod(z, &end);
	return *end == '\0' && isfinite(*ret);
}

/* "lat;lon" or "lat;lon;alt", in degrees and metres. */
static bool
is_position(struct str text)
{
	struct str lat = str_cut(&text, ';'), lon = STR_NULL, alt = STR_NULL;
	double x, y, z;

	if (text.ptr != NULL)
		lon = str_cut(&text, ';');
	if (text.ptr != NULL)
		alt = str_cut(&text, ';');
	return text.ptr == NULL && hub_number(lat, &x) && hub_number(lon, &y) &&
	    sun_place_ok(x, y) && (alt.ptr == NULL || hub_number(alt, &z));
}

bool
hub_convert(struct arena *a, struct str type, struct str value, struct str *ret)
{
	struct str text = hub_plain(a, value);
	struct buf b = { 0 };
	double d;

	if (str_eqz(type, "binary")) {
		*ret = hub_truth(text) || (hub_number(text, &d) && d != 0)
		    ? STR("true")
		    : STR("false");
		return true;
	}
	if (str_eqz(type, "string")) {
		json_quote(&b, text);
		*ret = arena_str(a, buf_str(&b));
		buf_free(&b);
		return true;
	}
	if (str_eqz(type, "geo") && !is_position(text))
		return false;
	if (str_eqz(type, "none") || str_eqz(type, "geo")) {
		*ret = value;
		return true;
	}
	if (str_eqz(text, "true") || str_eqz(text, "false"))
		d = str_eqz(text, "true");
	else if (!hub_number(text, &d))
		return false;
	if (!str_eqz(type, "gauge_float"))
		d = trunc(d);
	*ret = d == trunc(d) && fabs(d) < 1e15 ? arena_printf(a, "%.0f", d)
					       : arena_printf(a, "%.15g", d);
	return true;
}

/* --- a reading ----------------------------------------------------------- */

struct source *
model_source(struct device *d, struct str id, int64_t at)
{
	struct source *s = model_find_source(d, id);
	struct hub *h = d->hub;

	if (s == NULL) {
		struct arena a = { 0 };
		struct hub_source row = {
			.id = rand_id(&a, clock_now(), ID_LONG),
			.unit_id = d->row.unit_id,
			.device_id = d->row.id,
			.gateway_id = d->row.gateway_id,
			.node_id = d->row.node_id,
			.source_id = id,
			.name = id,
			.labels = STR("{}"),
			.others = STR("{}"),
			.last_seen = at,
			.modified_at = TIME_NULL,
		};

		s = source_new(d, &row, false);
		arena_fini(&a);
		make_dirty(h, &h->dirty_sources, &s->dirty);
		event_source(s, "created");
	} else if (s->row.last_seen == TIME_NULL || s->row.last_seen < at) {
		s->row.last_seen = at;
		make_dirty(h, &h->dirty_sources, &s->dirty);
	}
	return s;
}

void
model_take_source(struct source *s, const struct hub_source *row)
{
	struct hub *h = s->device->hub;
	struct str name = bounded(h, s->row.name, row->name, NAME_MAX_LEN);
	struct str labels = bounded_notes(h, s->row.labels, row->labels);
	struct str others = bounded_notes(h, s->row.others, row->others);

	if (str_eq(s->row.name, name) && str_eq(s->row.labels, labels) &&
	    str_eq(s->row.others, others))
		return;
	s->row.name = name;
	s->row.labels = labels;
	s->row.others = others;
	own(&hub_source_entity.record, &s->row, &s->arena);
	s->facts_changed = true;
	make_dirty(h, &h->dirty_sources, &s->dirty);
	event_source(s, "updated");
}

struct cell *
model_find(struct device *d, struct str source, struct str field)
{
	struct str key = join('\n', source, field);
	struct cell *f = map_get(&d->fields, key);

	str_free(key);
	return f;
}

/* Gives the row its texts, and its values back. */
static void
own_field(struct cell *f)
{
	own(&hub_field_entity.record, &f->row, &f->arena);
	f->row.current.value = f->now;
	f->row.previous.value = f->before;
}

struct cell *
model_cell(struct device *d, const struct reading *r)
{
	struct cell *f = model_find(d, r->source, r->field);
	struct hub *h = d->hub;

	if (f != NULL)
		return f;
	if (h->n_fields >= (size_t)h->conf.fields_max ||
	    d->fields.n >= (size_t)h->conf.fields_per_device) {
		counter_add(&h->counters.limited, 1);
		return NULL;
	}
	{
		struct arena a = { 0 };
		struct hub_field row = {
			.id = rand_id(&a, clock_now(), ID_LONG),
			.unit_id = d->row.unit_id,
			.device_id = d->row.id,
			.gateway_id = d->row.gateway_id,
			.node_id = d->row.node_id,
			.source_id = r->source,
			.field_id = r->field,
			.name = r->name.ptr != NULL ? r->name : r->field,
			.metric_type = r->metric_type.ptr != NULL
			    ? r->metric_type
			    : model_guessed_type(r->value),
			.current = { STR_NULL, false, TIME_NULL },
			.previous = { STR_NULL, false, TIME_NULL },
			.formatter = { STR("") },
			.unit = r->unit.ptr != NULL ? r->unit : STR(""),
			.labels = STR("{}"),
			.others = STR("{}"),
			.no_change_since = TIME_NULL,
			.last_seen = TIME_NULL,
			.modified_at = TIME_NULL,
		};

		f = field_new(d, &row, false);
		arena_fini(&a);
	}
	return f;
}

/* Unit and metric type as the reading has them. */
static void
follow(struct cell *f, const struct reading *r)
{
	bool unit = r->unit.ptr != NULL && !f->pin_unit &&
	    !str_eq(r->unit, f->row.unit);
	bool type = r->metric_type.ptr != NULL && !f->pin_type &&
	    !str_eq(r->metric_type, f->row.metric_type);

	if (!unit && !type)
		return;
	if (unit)
		f->row.unit = r->unit;
	if (type)
		f->row.metric_type = r->metric_type;
	own_field(f);
	f->kind_changed = true;
	f->series = 0; /* it goes on in another one */
	f->device->announced = false;
}

/* Keys that a device chooses, as MyController has them: small letters, digits,
 * "_" and "/", which a dot becomes. */
static struct str
plain_key(struct arena *a, struct str key)
{
	char *p = arena_z(a, key);
	size_t n = 0;

	for (size_t i = 0; i < key.len; i++) {
		char c = p[i];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if (c == '.')
			c = '/';
		if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
		    c == '_' || c == '/')
			p[n++] = c;
	}
	return (struct str){ p, n };
}

/* `have` and over it the members of `more`, but for those that a label
 * ignore_KEY keeps as they are. `texts`: values are texts. */
struct str
hub_grown(struct arena *a, struct str have, struct str more, struct str labels,
    bool texts)
{
	struct buf b = { 0 };
	struct str key, value;
	struct json_out o;
	struct json j;

	json_out_init(&o, &b, false);
	json_out_object(&o);
	json_open(&j, more, 0, a);
	if (json_object(&j))
		while (json_member(&j, &key) && json_raw(&j, &value)) {
			key = plain_key(a, key);
			if (key.len == 0 ||
			    hub_has_label(labels,
				arena_printf(a, "ignore_" STR_FMT, STR_ARG(key))
				    .ptr))
				continue;
			json_out_key_str(&o, key);
			if (texts)
				json_out_str(&o, hub_plain(a, value));
			else
				json_out_raw(&o, value);
		}
	json_out_end_object(&o);
	value = hub_merged(a, have, arena_str(a, buf_str(&b)));
	buf_free(&b);
	return value;
}

/* Labels and others that came with a reading. */
static void
take_notes(struct cell *f, const struct reading *r)
{
	struct arena a = { 0 };
	struct str labels = f->row.labels, others = f->row.others;
	struct hub *h = f->device->hub;

	if (r->labels.ptr == NULL && r->others.ptr == NULL)
		return;
	if (r->labels.ptr != NULL)
		labels = bounded_notes(h, labels,
		    hub_grown(&a, labels, r->labels, f->row.labels, true));
	if (r->others.ptr != NULL)
		others = bounded_notes(h, others,
		    hub_grown(&a, others, r->others, f->row.labels, false));
	if (!str_eq(labels, f->row.labels) || !str_eq(others, f->row.others)) {
		f->row.labels = labels;
		f->row.others = others;
		own_field(f);
		f->pin_unit = hub_has_label(f->row.labels, "ignore_unit");
		f->pin_type =
		    hub_has_label(f->row.labels, "ignore_metric_type");
		f->notes_changed = true;
	}
	arena_fini(&a);
}

void
model_asked(struct cell *f, struct str value)
{
	str_free(f->asked);
	f->asked = str_copy(value);
	f->asked_till = clock_mono() + ASKED_MS;
}

struct str
model_wanted(const struct cell *f)
{
	return f->asked.ptr != NULL && clock_mono() < f->asked_till ? f->asked
								    : f->now;
}

static void
set_current(struct cell *f, struct str value, int64_t at)
{
	bool same = f->now.ptr != NULL && str_eq(f->now, value);

	str_free(f->before);
	f->before = f->now;
	f->row.previous = f->row.current;
	f->row.previous.value = f->before;
	f->now = str_copy(value);
	f->row.current = (struct hub_value){ f->now, true, at };
	if (str_eq(f->asked, value)) {
		str_free(f->asked);
		f->asked = STR_NULL;
	}
	if (!same)
		f->row.no_change_since = at;
	f->row.last_seen = at;
}

bool
model_read(struct device *d, const struct reading *r, int64_t at)
{
	struct hub *h = d->hub;
	struct source *s = model_source(d, r->source, at);
	struct cell *f = model_cell(d, r);
	struct arena a = { 0 };
	bool fresh, ok = false;
	struct str value;

	(void)s;
	if (f == NULL)
		return false;
	follow(f, r);
	take_notes(f, r);
	if (!hub_convert(&a, f->row.metric_type, r->value, &value)) {
		counter_add(&h->counters.bad_values, 1);
	} else {
		counter_add(&h->counters.readings, 1);
		fresh = f->row.current.timestamp == TIME_NULL ||
		    f->row.current.timestamp <= at;
		if (fresh)
			set_current(f, value, at);
		history_add(f, value, at);
		make_dirty(h, &h->dirty_fields, &f->dirty);
		if (fresh)
			event_field(
			    f, f->stored || f->told ? "updated" : "created");
		f->told = true;
		if (r->node_other.len > 0)
			model_node_other(d, r->node_other, value, at);
		ok = true;
	}
	arena_fini(&a);
	return ok;
}

void
model_node_other(struct device *d, struct str key, struct str value, int64_t at)
{
	struct arena a = { 0 };
	struct buf b = { 0 };
	struct str others;
	double level;

	json_quote(&b, key);
	buf_addc(&b, ':');
	buf_add_str(&b, value);
	others = hub_grown(&a, d->row.others,
	    arena_printf(&a, "{" STR_FMT "}", STR_ARG(buf_str(&b))),
	    d->row.labels, false);
	buf_free(&b);
	others = bounded_notes(d->hub, d->row.others, others);
	if (!str_eq(others, d->row.others)) {
		d->row.others = others;
		own_node(d);
		d->facts_changed = true;
		make_dirty(d->hub, &d->hub->dirty_nodes, &d->dirty);
		event_node(d, "updated");
	}
	if (str_eqz(plain_key(&a, key), "battery_level") &&
	    hub_number(hub_plain(&a, value), &level)) {
		model_know(d);
		history_add_node(d, STR("battery_level"), level, at);
	}
	arena_fini(&a);
}

void
model_request(struct device *d, struct str source, struct str field)
{
	struct cell *f = model_find(d, source, field);
	struct err err;

	counter_add(&d->hub->counters.requests, 1);
	if (f == NULL || f->now.ptr == NULL)
		return;
	if (field_tell(f, &err) != 0)
		model_trouble(d, err.text, clock_now());
	event_field(f, "requested");
}

void
model_announce(struct device *d, bool again)
{
	if (!d->hub->conf.home_assistant || d->fields.n == 0)
		return;
	model_know(d);
	if (again || !d->announced)
		announce_device(d);
	announce_state(d);
}

void
model_announce_all(struct hub *h, bool on)
{
	struct device *d;
	size_t pos = 0;

	while ((d = map_next(&h->devices, &pos)) != NULL) {
		if (on) {
			model_announce(d, true);
		} else if (d->looked) {
			announce_gone(d);
			d->announced = false;
		}
	}
}

/* --- to the store -------------------------------------------------------- */

void
model_gather(struct hub *h)
{
	LIST_EACH (d, &h->dirty_nodes, struct device, dirty) {
		list_del(&d->dirty);
		writer_put(h, &hub_node_entity, &d->row, !d->stored,
		    d->facts_changed ? NODE_AND_FACTS : NODE);
		d->stored = true;
		d->facts_changed = false;
	}
	LIST_EACH (s, &h->dirty_sources, struct source, dirty) {
		list_del(&s->dirty);
		writer_put(h, &hub_source_entity, &s->row, !s->stored,
		    s->facts_changed ? SOURCE_AND_FACTS : SOURCE);
		s->stored = true;
		s->facts_changed = false;
	}
	LIST_EACH (f, &h->dirty_fields, struct cell, dirty) {
		list_del(&f->dirty);
		writer_put(h, &hub_field_entity, &f->row, !f->stored,
		    f->notes_changed      ? VALUES_AND_NOTES
			: f->kind_changed ? VALUES_AND_KIND
					  : VALUES);
		f->stored = true;
		f->kind_changed = f->notes_changed = false;
	}
}

void
model_unsure(struct hub *h)
{
	struct device *d;
	size_t pos = 0;

	while ((d = map_next(&h->devices, &pos)) != NULL) {
		struct cell *f;
		size_t at = 0;

		d->stored = false;
		LIST_EACH (s, &d->sources, struct source, link)
			s->stored = false;
		while ((f = map_next(&d->fields, &at)) != NULL)
			f->stored = false;
	}
}

/* --- from the store ------------------------------------------------------ */

static int
load_node(void *ctx, const void *row, struct err *err)
{
	(void)err;
	(void)device_new(ctx, row, true);
	return 0;
}

static int
load_source(void *ctx, const void *row, struct err *err)
{
	struct hub *h = ctx;
	const struct hub_source *r = row;
	struct device *d = map_get(&h->devices, r->device_id);

	(void)err;
	if (d != NULL)
		(void)source_new(d, r, true);
	return 0;
}

static int
load_field(void *ctx, const void *row, struct err *err)
{
	struct hub *h = ctx;
	const struct hub_field *r = row;
	struct device *d = map_get(&h->devices, r->device_id);

	(void)err;
	if (d != NULL)
		(void)field_new(d, r, true);
	return 0;
}

/* A profile with the memory it points to. */
struct profile {
	struct hub_profile row;
	struct str key;
	struct arena arena;
};

static void
profile_free(struct hub *h, struct profile *p)
{
	map_del(&h->profiles, p->key);
	arena_fini(&p->arena);
	free(p);
}

static int
load_profile(void *ctx, const void *row, struct err *err)
{
	struct profile *p = mem_new(struct profile), *old;
	struct hub *h = ctx;

	(void)err;
	record_copy(&hub_profile_entity.record, &p->arena, &p->row, row);
	p->key = arena_printf(&p->arena, STR_FMT " " STR_FMT,
	    STR_ARG(p->row.unit_id), STR_ARG(p->row.code));
	old = map_get(&h->profiles, p->key);
	if (old != NULL)
		profile_free(h, old);
	map_put(&h->profiles, p->key, p);
	return 0;
}

const struct hub_profile *
model_profile(struct hub *h, struct str unit_id, struct str code)
{
	struct str key = join(' ', unit_id, code);
	struct profile *p = map_get(&h->profiles, key);

	str_free(key);
	return p != NULL ? &p->row : NULL;
}

int
model_load(struct hub *h, struct err *err)
{
	static const struct store_query all = { 0 };
	int rc;

	rc = store_list(
	    h->store, &hub_profile_entity, &all, load_profile, h, err);
	if (rc == 0)
		rc = store_list(
		    h->store, &hub_node_entity, &all, load_node, h, err);
	if (rc == 0)
		rc = store_list(
		    h->store, &hub_source_entity, &all, load_source, h, err);
	if (rc == 0)
		rc = store_list(
		    h->store, &hub_field_entity, &all, load_field, h, err);
	if (rc == 0)
		silence_start(h);
	return rc;
}

void
model_free(struct hub *h)
{
	struct profile *p;
	struct device *d;
	size_t pos = 0;

	while ((d = map_next(&h->devices, &pos)) != NULL) {
		device_free(d);
		pos = 0;
	}
	pos = 0;
	while ((p = map_next(&h->profiles, &pos)) != NULL) {
		profile_free(h, p);
		pos = 0;
	}
	silence_end(h);
	map_fini(&h->devices);
	map_fini(&h->places);
	map_fini(&h->quick);
	map_fini(&h->profiles);
}

/* --- what calls have changed --------------------------------------------- */

static bool
read_row(struct hub *h, const struct entity *e, struct str id, struct arena *a,
    void *row)
{
	struct filter f = { 0 };
	bool found = false;

	filter_text(&f, "id", id);
	return store_get(h->store, e, &f, a, row, &found, NULL) == 0 && found;
}

void
model_reload_profile(struct hub *h, struct str id)
{
	struct arena a = { 0 };
	struct hub_profile row;
	struct profile *p;
	size_t pos = 0;

	while ((p = map_next(&h->profiles, &pos)) != NULL)
		if (str_eq(p->row.id, id)) {
			profile_free(h, p);
			break;
		}
	if (read_row(h, &hub_profile_entity, id, &a, &row))
		(void)load_profile(h, &row, NULL);
	arena_fini(&a);
}

/* What is the hub's own (values and when) stays, the rest comes from `row`. */
static void
take_field(struct cell *f, const struct hub_field *row)
{
	struct hub_field mine = f->row;

	f->row = *row;
	f->row.current = mine.current;
	f->row.previous = mine.previous;
	f->row.no_change_since = mine.no_change_since;
	f->row.last_seen = mine.last_seen;
	own_field(f);
	f->pin_unit = hub_has_label(f->row.labels, "ignore_unit");
	f->pin_type = hub_has_label(f->row.labels, "ignore_metric_type");
	f->series = 0;
	model_announce(f->device, true);
}

static struct cell *
field_by_id(struct hub *h, struct str id)
{
	struct cell *f;
	size_t pos = 0;

	while ((f = map_next(&h->quick, &pos)) != NULL)
		if (str_eq(f->row.id, id))
			return f;
	return NULL;
}

void
model_reload_field(struct hub *h, struct str id)
{
	struct cell *f = field_by_id(h, id);
	struct arena a = { 0 };
	struct hub_field row;

	if (f != NULL && read_row(h, &hub_field_entity, id, &a, &row)) {
		take_field(f, &row);
		event_field(f, "updated");
	} else if (f != NULL && f->stored) {
		event_field(f, "deleted");
		field_free(f);
	}
	arena_fini(&a);
}

/* It and its fields. */
static void
tell_gone(struct device *d)
{
	struct cell *f;
	size_t pos = 0;

	while ((f = map_next(&d->fields, &pos)) != NULL)
		event_field(f, "deleted");
	event_node(d, "deleted");
}

void
model_reload_source(struct hub *h, struct str id)
{
	struct arena a = { 0 };
	struct hub_source row;
	struct device *d;

	if (read_row(h, &hub_source_entity, id, &a, &row) &&
	    (d = map_get(&h->devices, row.device_id)) != NULL)
		LIST_EACH (s, &d->sources, struct source, link)
			if (str_eq(s->row.id, id)) {
				row.last_seen = s->row.last_seen;
				s->row = row;
				own(&hub_source_entity.record, &s->row,
				    &s->arena);
				event_source(s, "updated");
			}
	arena_fini(&a);
}

void
model_reload_node(struct hub *h, struct str id)
{
	struct device *d = map_get(&h->devices, id);
	struct arena a = { 0 };
	struct hub_node row;

	if (d != NULL && read_row(h, &hub_node_entity, id, &a, &row)) {
		row.state = d->row.state;
		row.last_seen = d->row.last_seen;
		if (d->facts_changed)
			row.others = d->row.others;
		map_del(&h->devices, d->row.id);
		d->row = row;
		own(&hub_node_entity.record, &d->row, &d->arena);
		map_put(&h->devices, d->row.id, d);
		silence_watch(d);
		model_announce(d, true);
		event_node(d, "updated");
	} else if (d != NULL && d->stored && list_empty(&d->waiting)) {
		tell_gone(d);
		operations_gone(h, d->row.id);
		device_free(d);
	}
	arena_fini(&a);
}

static void
device_gone(struct device *d)
{
	struct hub *h = d->hub;

	tell_gone(d);
	operations_gone(h, d->row.id);
	if (h->conf.home_assistant)
		announce_gone(d);
	writer_gone(h, &hub_node_entity, "id", d->row.id);
	device_free(d);
}

/* A call has put it on another network, or at another address. Everything of it
 * goes along, and on in series of the new place. */
static void
move(struct device *d, struct str network, struct str addr)
{
	struct hub *h = d->hub;
	struct cell *f;
	size_t pos = 0;

	h->moves++;
	if (h->conf.home_assistant)
		announce_gone(d);
	if (map_get(&h->places, d->place) == d)
		map_del(&h->places, d->place);
	str_free(d->place);
	d->row.gateway_id = network;
	d->row.node_id = addr;
	own_node(d);
	d->place = place_of(d->row.unit_id, network, addr);
	map_put(&h->places, d->place, d);
	LIST_EACH (s, &d->sources, struct source, link) {
		s->row.gateway_id = network;
		s->row.node_id = addr;
		own(&hub_source_entity.record, &s->row, &s->arena);
		s->stored = false;
		make_dirty(h, &h->dirty_sources, &s->dirty);
	}
	while ((f = map_next(&d->fields, &pos)) != NULL) {
		if (map_get(&h->quick, f->quick) == f)
			map_del(&h->quick, f->quick);
		str_free(f->quick);
		f->row.gateway_id = network;
		f->row.node_id = addr;
		own_field(f);
		f->quick = quick_of(&f->row);
		map_put(&h->quick, f->quick, f);
		f->series = 0;
		f->stored = false;
		make_dirty(h, &h->dirty_fields, &f->dirty);
	}
	d->announced = false;
	d->stored = false;
	make_dirty(h, &h->dirty_nodes, &d->dirty);
	event_node(d, "updated");
}

void
model_check(struct hub *h, struct str place)
{
	struct str addr = place, network = str_cut(&addr, '\n');
	struct device *d;
	size_t pos = 0;
	uint64_t moves;

	while ((d = map_next(&h->devices, &pos)) != NULL) {
		if (network.len > 0 && !str_eq(d->row.gateway_id, network))
			continue;
		if (addr.len > 0 && !str_eq(d->row.node_id, addr))
			continue;
		moves = h->moves;
		if (look(d) == 0 && list_empty(&d->waiting))
			device_gone(d);
		else if (h->moves == moves)
			continue;
		pos = 0; /* the map has changed */
	}
	if (network.len == 0)
		hub_check_units(h);
}
