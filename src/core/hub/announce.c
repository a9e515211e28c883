/*
 * core/hub/announce.c - devices for Home Assistant, by MQTT discovery.
 *
 * marram/{unit}/ha is the discovery prefix to set there. Retained below it:
 *
 *	{prefix}/device/{object}/config    what there is, in the form for
 *devices marram/{unit}/state/{gateway}/{node}  {"source":{"field":value}}
 *
 * A field with the label `writable` becomes a switch, number or text that sends
 * to marram/{unit}/set/{gateway}/{node}/{source}/{field}. A device class is
 *told only with a unit that it allows, or Home Assistant drops its statistics.
 *When a device goes, both messages are cleared.
 */
#include "core/hub/private.h"

#include "codec/json.h"

#include <string.h>

/* What a unit of measurement means; the first row whose word, if it has one, is
 * in the field's name. */
static const struct {
	const char *unit, *word, *device_class, *state_class;
} classes[] = {
	{ "°C", NULL, "temperature", "measurement" },
	{ "°F", NULL, "temperature", "measurement" },
	{ "%", "batt", "battery", "measurement" },
	{ "%", "soil", "moisture", "measurement" },
	{ "%", "moist", "moisture", "measurement" },
	{ "%", "hum", "humidity", "measurement" },
	{ "hPa", NULL, "atmospheric_pressure", "measurement" },
	{ "ppm", "co2", "carbon_dioxide", "measurement" },
	{ "ppb", "voc", "volatile_organic_compounds_parts", "measurement" },
	{ "µg/m³", "pm10", "pm10", "measurement" },
	{ "µg/m³", "pm2", "pm25", "measurement" },
	{ "µg/m³", "pm1", "pm1", "measurement" },
	{ "lx", NULL, "illuminance", "measurement" },
	{ "W", NULL, "power", "measurement" },
	{ "V", NULL, "voltage", "measurement" },
	{ "A", NULL, "current", "measurement" },
	{ "kWh", NULL, "energy", "total_increasing" },
	{ "Wh", NULL, "energy", "total_increasing" },
	{ "m³", "gas", "gas", "total_increasing" },
	{ "m³", NULL, "water", "total_increasing" },
	{ "L", NULL, "water", "total_increasing" },
	{ "mm", "rain", "precipitation", "total_increasing" },
	{ "mm/h", NULL, "precipitation_intensity", "measurement" },
	{ "dBm", NULL, "signal_strength", "measurement" },
	{ "dB", NULL, "signal_strength", "measurement" },
	{ "m", NULL, "distance", "measurement" },
	{ "kg", NULL, "weight", "measurement" },
	{ "m/s", NULL, "speed", "measurement" },
};

static const char *const binary_classes[] = { "motion", "door", "window",
	"smoke", "tamper", "problem", "connectivity", NULL };

/* --- topics -------------------------------------------------------------- */

static void
state_topic(struct buf *b, struct device *d)
{
	event_topic(b, d);
	buf_addz(b, "state/");
	event_level(b, d->row.gateway_id);
	buf_addc(b, '/');
	event_level(b, d->row.node_id);
}

/* Ids there are of letters, digits, "_" and "-". */
static void
add_id(struct buf *b, struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		buf_addc(b,
		    (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			    (c >= '0' && c <= '9') || c == '-'
			? c
			: '_');
	}
}

static void
config_topic(struct buf *b, struct device *d)
{
	event_topic(b, d);
	buf_addz(b, "ha/device/marram_");
	add_id(b, d->row.id);
	buf_addz(b, "/config");
}

/* --- what there is ------------------------------------------------------- */

static void
key(struct json_out *o, const char *name, const char *value)
{
	if (value == NULL)
		return;
	json_out_key(o, name);
	json_out_str(o, str_of(value));
}

static void
key_buf(struct json_out *o, const char *name, struct buf *b)
{
	json_out_key(o, name);
	json_out_str(o, buf_str(b));
	buf_clear(b);
}

static void
put_class(struct json_out *o, const struct cell *f)
{
	bool number = !str_eqz(f->row.metric_type, "string");

	if (f->row.unit.len > 0) {
		json_out_key(o, "unit_of_meas");
		json_out_str(o, f->row.unit);
	}
	for (size_t i = 0; number && i < COUNT_OF(classes); i++) {
		if (!str_eqz(f->row.unit, classes[i].unit) ||
		    (classes[i].word != NULL &&
			!str_contains_nocase(
			    f->row.field_id, str_of(classes[i].word))))
			continue;
		key(o, "dev_cla", classes[i].device_class);
		key(o, "stat_cla", classes[i].state_class);
		return;
	}
	if (number)
		key(o, "stat_cla",
		    str_eqz(f->row.metric_type, "counter") ? "total_increasing"
							   : "measurement");
}

/* value_json['source']['field'], with what templates would trip over left to
 * JSON's own quoting. */
static void
put_template(struct json_out *o, const struct cell *f, bool binary)
{
	struct buf b = { 0 }, at = { 0 };

	buf_addz(&at, "value_json[");
	json_quote(&at, f->row.source_id);
	buf_addz(&at, "][");
	json_quote(&at, f->row.field_id);
	buf_addz(&at, "]");
	if (binary)
		buf_addf(&b, "{{ 'ON' if " STR_FMT " else 'OFF' }}",
		    STR_ARG(buf_str(&at)));
	else
		buf_addf(&b, "{{ " STR_FMT " }}", STR_ARG(buf_str(&at)));
	key_buf(o, "val_tpl", &b);
	buf_free(&b);
	buf_free(&at);
}

static void
put_command(struct json_out *o, const struct cell *f)
{
	const struct str levels[] = { f->row.gateway_id, f->row.node_id,
		f->row.source_id, f->row.field_id };
	struct buf b = { 0 };

	event_topic(&b, f->device);
	buf_addz(&b, "set");
	for (size_t i = 0; i < COUNT_OF(levels); i++) {
		buf_addc(&b, '/');
		event_level(&b, levels[i]);
	}
	key_buf(o, "cmd_t", &b);
	buf_free(&b);
}

static void
put_component(struct json_out *o, const struct cell *f)
{
	bool binary = str_eqz(f->row.metric_type, "binary");
	bool text = str_eqz(f->row.metric_type, "string");
	bool writable = hub_has_label(f->row.labels, "writable");
	struct buf b = { 0 };

	add_id(&b, f->row.source_id);
	buf_addc(&b, '_');
	add_id(&b, f->row.field_id);
	json_out_key_str(o, buf_str(&b));
	buf_clear(&b);
	json_out_object(o);
	key(o, "p",
	    binary         ? writable ? "switch" : "binary_sensor"
		: writable ? text ? "text" : "number"
			   : "sensor");
	buf_addz(&b, "marram_");
	add_id(&b, f->row.id);
	key_buf(o, "uniq_id", &b);
	buf_free(&b);
	json_out_key(o, "name");
	json_out_str(o, f->row.name);
	put_template(o, f, binary);
	if (writable)
		put_command(o, f);
	if (binary && writable) {
		key(o, "pl_on", "true");
		key(o, "pl_off", "false");
		key(o, "stat_on", "ON");
		key(o, "stat_off", "OFF");
	}
	for (size_t i = 0; binary && !writable && binary_classes[i] != NULL;
	     i++)
		if (str_contains_nocase(
			f->row.field_id, str_of(binary_classes[i]))) {
			key(o, "dev_cla", binary_classes[i]);
			break;
		}
	if (!binary && !text && !writable)
		put_class(o, f);
	else if (!binary && f->row.unit.len > 0) {
		json_out_key(o, "unit_of_meas");
		json_out_str(o, f->row.unit);
	}
	json_out_end_object(o);
}

static bool
has_place(const struct cell *f)
{
	return !str_eqz(f->row.metric_type, "none") &&
	    !str_eqz(f->row.metric_type, "geo");
}

static void
put_device(struct json_out *o, const struct device *d)
{
	struct buf b = { 0 };

	json_out_key(o, "dev");
	json_out_object(o);
	json_out_key(o, "ids");
	json_out_array(o);
	buf_addz(&b, "marram_");
	add_id(&b, d->row.id);
	json_out_str(o, buf_str(&b));
	buf_free(&b);
	json_out_end_array(o);
	json_out_key(o, "name");
	json_out_str(o, d->row.name.len > 0 ? d->row.name : d->row.node_id);
	if (d->profile.len > 0) {
		json_out_key(o, "mdl");
		json_out_str(o, d->profile);
	}
	json_out_end_object(o);
	json_out_key(o, "o");
	json_out_object(o);
	key(o, "name", "marram");
	key(o, "sw", MARRAM_VERSION);
	json_out_end_object(o);
}

void
announce_device(struct device *d)
{
	struct buf topic = { 0 }, text = { 0 }, state = { 0 };
	struct json_out o;
	struct cell *f;
	size_t pos = 0;

	config_topic(&topic, d);
	state_topic(&state, d);
	json_out_init(&o, &text, false);
	json_out_object(&o);
	put_device(&o, d);
	key_buf(&o, "stat_t", &state);
	json_out_key(&o, "cmps");
	json_out_object(&o);
	while ((f = map_next(&d->fields, &pos)) != NULL)
		if (has_place(f))
			put_component(&o, f);
	json_out_end_object(&o);
	json_out_end_object(&o);
	event_note(d->hub, &topic, &text, true);
	buf_free(&state);
	d->announced = true;
}

/* --- how it is ----------------------------------------------------------- */

void
announce_state(struct device *d)
{
	struct buf topic = { 0 }, text = { 0 };
	struct json_out o;

	state_topic(&topic, d);
	json_out_init(&o, &text, false);
	json_out_object(&o);
	LIST_EACH (s, &d->sources, struct source, link) {
		struct cell *f;
		size_t pos = 0;

		json_out_key_str(&o, s->row.source_id);
		json_out_object(&o);
		while ((f = map_next(&d->fields, &pos)) != NULL)
			if (has_place(f) && f->now.ptr != NULL &&
			    str_eq(f->row.source_id, s->row.source_id)) {
				json_out_key_str(&o, f->row.field_id);
				json_out_raw(&o, f->now);
			}
		json_out_end_object(&o);
	}
	json_out_end_object(&o);
	event_note(d->hub, &topic, &text, true);
}

void
announce_gone(struct device *d)
{
	struct buf topic = { 0 }, none = { 0 };

	config_topic(&topic, d);
	event_note(d->hub, &topic, &none, true);
	state_topic(&topic, d);
	event_note(d->hub, &topic, &none, true);
}

/* --- what is to be set --------------------------------------------------- */

/* marram/{unit}/set/{gateway}/{node}/{source}/{field}; names with what levels
 * can not hold are looked for one by one. */
static bool
is_at(const struct cell *f, struct str place)
{
	const struct str levels[] = { f->row.gateway_id, f->row.node_id,
		f->row.source_id, f->row.field_id };
	struct buf b = { 0 };
	bool yes;

	for (size_t i = 0; i < COUNT_OF(levels); i++) {
		if (i > 0)
			buf_addc(&b, '/');
		event_level(&b, levels[i]);
	}
	yes = str_eq(buf_str(&b), place);
	buf_free(&b);
	return yes;
}

void
announce_set(
    struct hub *h, struct str unit_code, struct str place, struct str payload)
{
	struct cell *f;
	size_t pos = 0;
	struct err err;

	while ((f = map_next(&h->quick, &pos)) != NULL) {
		if (!str_eq(f->device->unit_code, unit_code) ||
		    !is_at(f, place))
			continue;
		if (field_set_to(f, payload, NULL, &err) != 0)
			counter_add(&h->counters.actions_failed, 1);
		else
			counter_add(&h->counters.actions, 1);
		return;
	}
	counter_add(&h->counters.actions_failed, 1);
}
