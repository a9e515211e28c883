/*
 * codec/cayenne.c - see cayenne.h.
 */
#include "codec/cayenne.h"

#include "base/arena.h"
#include "codec/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

const struct cayenne_type cayenne_types[] = {
	{ 0, "digital_in", NULL, false, 1, false, { 1 } },
	{ 1, "digital_out", NULL, false, 1, false, { 1 } },
	{ 2, "analog_in", NULL, false, 2, true, { 100 } },
	{ 3, "analog_out", NULL, false, 2, true, { 100 } },
	{ 100, "generic", NULL, false, 4, false, { 1 } },
	{ 101, "illuminance", "lx", false, 2, false, { 1 } },
	{ 102, "presence", NULL, true, 1, false, { 1 } },
	{ 103, "temperature", "°C", false, 2, true, { 10 } },
	{ 104, "humidity", "%", false, 1, false, { 2 } },
	{ 113, "accelerometer", "g", false, 2, true, { 1000, 1000, 1000 },
	    { "x", "y", "z" } },
	{ 115, "barometer", "hPa", false, 2, false, { 10 } },
	{ 116, "voltage", "V", false, 2, false, { 100 } },
	{ 117, "current", "A", false, 2, false, { 1000 } },
	{ 118, "frequency", "Hz", false, 4, false, { 1 } },
	{ 120, "percentage", "%", false, 1, false, { 1 } },
	{ 121, "altitude", "m", false, 2, true, { 1 } },
	{ 125, "concentration", "ppm", false, 2, false, { 1 } },
	{ 128, "power", "W", false, 2, false, { 1 } },
	{ 130, "distance", "m", false, 4, false, { 1000 } },
	{ 131, "energy", "kWh", false, 4, false, { 1000 } },
	{ 132, "direction", "°", false, 2, false, { 1 } },
	{ 133, "time", "s", false, 4, false, { 1 } },
	{ 134, "gyrometer", "°/s", false, 2, true, { 100, 100, 100 },
	    { "x", "y", "z" } },
	{ 135, "colour", NULL, false, 1, false, { 1, 1, 1 },
	    { "r", "g", "b" } },
	{ 136, "gps", NULL, false, 3, true, { 10000, 10000, 100 },
	    { "latitude", "longitude", "altitude" } },
	{ 142, "switch", NULL, false, 1, false, { 1 } },
	{ 0 },
};

static const struct cayenne_type *
type_of(uint8_t id)
{
	for (const struct cayenne_type *t = cayenne_types; t->name != NULL; t++)
		if (t->id == id)
			return t;
	return NULL;
}

static size_t
parts_of(const struct cayenne_type *t)
{
	size_t n = 0;

	while (n < CAYENNE_PARTS && t->div[n] != 0)
		n++;
	return n;
}

int
cayenne_next(struct str *rest, struct cayenne_value *ret, struct err *err)
{
	const unsigned char *p = (const unsigned char *)rest->ptr;
	const struct cayenne_type *t;
	size_t n;

	if (rest->len == 0)
		return 0;
	if (rest->len < 2)
		return err_set(
		    err, ERR_PROTO, "a channel and no type at the end");
	t = type_of(p[1]);
	if (t == NULL)
		return err_set(err, ERR_PROTO,
		    "type %d of channel %d is not known", p[1], p[0]);
	n = t->size * parts_of(t);
	if (rest->len - 2 < n)
		return err_set(err, ERR_PROTO,
		    "%s of channel %d has %zu bytes, not %zu", t->name, p[0], n,
		    rest->len - 2);
	ret->channel = p[0];
	ret->type = t;
	p += 2;
	for (size_t i = 0; i < parts_of(t); i++) {
		int64_t raw = 0;

		for (int k = 0; k < t->size; k++)
			raw = raw << 8 | *p++;
		if (t->is_signed && raw >> (8 * t->size - 1) != 0)
			raw -= INT64_C(1) << (8 * t->size);
		ret->parts[i] = (double)raw / t->div[i];
	}
	rest->ptr += 2 + n;
	rest->len -= 2 + n;
	return 1;
}

int
cayenne_put(struct buf *out, const struct cayenne_value *v, struct err *err)
{
	const struct cayenne_type *t = v->type;
	int bits = t->is_signed ? 8 * t->size - 1 : 8 * t->size;
	int64_t high = (INT64_C(1) << bits) - 1;
	int64_t low = t->is_signed ? -high - 1 : 0;
	size_t before = out->len;

	buf_addc(out, (char)v->channel);
	buf_addc(out, (char)t->id);
	for (size_t i = 0; i < parts_of(t); i++) {
		double d = round(v->parts[i] * t->div[i]);

		if (!(d >= (double)low && d <= (double)high)) {
			out->len = before;
			return err_set(err, ERR_PARAM,
			    "%s of channel %d: %g is not from %g to %g",
			    t->name, v->channel, v->parts[i],
			    (double)low / t->div[i], (double)high / t->div[i]);
		}
		for (int k = t->size - 1; k >= 0; k--)
			buf_addc(out, (char)((int64_t)d >> (8 * k) & 255));
	}
	return 0;
}

/* --- JSON ---------------------------------------------------------------- */

static void
write_part(struct json_out *o, const struct cayenne_value *v, size_t i)
{
	if (v->type->boolean)
		json_out_bool(o, v->parts[i] != 0);
	else if (v->type->div[i] == 1)
		json_out_int(o, (int64_t)v->parts[i]);
	else
		json_out_real(o, v->parts[i]);
}

static void
write_value(struct json_out *o, const struct cayenne_value *v)
{
	const struct cayenne_type *t = v->type;
	char key[40];

	snprintf(key, sizeof(key), "%s_%d", t->name, v->channel);
	json_out_key(o, key);
	if (t->parts[0] == NULL) {
		write_part(o, v, 0);
		return;
	}
	json_out_object(o);
	for (size_t i = 0; i < parts_of(t); i++) {
		json_out_key(o, t->parts[i]);
		write_part(o, v, i);
	}
	json_out_end_object(o);
}

int
cayenne_decode(struct str bytes, struct buf *json, struct err *err)
{
	uint8_t seen[32][32] = { 0 }; /* by place in the table, a bit each */
	size_t before = json->len;
	struct cayenne_value v;
	struct json_out o;
	int rc;

	json_out_init(&o, json, false);
	json_out_object(&o);
	while ((rc = cayenne_next(&bytes, &v, err)) > 0) {
		uint8_t *bits = seen[v.type - cayenne_types];
		uint8_t bit = (uint8_t)(1 << (v.channel & 7));

		if (bits[v.channel >> 3] & bit) {
			rc = err_set(err, ERR_PROTO, "%s of channel %d twice",
			    v.type->name, v.channel);
			break;
		}
		bits[v.channel >> 3] |= bit;
		write_value(&o, &v);
	}
	json_out_end_object(&o);
	if (rc < 0)
		json->len = before;
	return rc;
}

/* "temperature_1": type and channel. False: neither. */
static bool
read_key(struct str key, struct cayenne_value *v)
{
	struct str name = key, number;
	uint64_t channel;

	while (name.len > 0 && name.ptr[name.len - 1] != '_')
		name.len--;
	if (name.len == 0)
		return false;
	number = (struct str){ key.ptr + name.len, key.len - name.len };
	name.len--;
	if (!str_to_u64(number, &channel) || channel > 255)
		return false;
	v->channel = (uint8_t)channel;
	for (v->type = cayenne_types; v->type->name != NULL; v->type++)
		if (str_eqz(name, v->type->name))
			return true;
	return false;
}

static void
read_number(struct json *j, double *ret)
{
	bool b;

	if (json_peek(j) == JSON_BOOL) {
		if (json_bool(j, &b))
			*ret = b;
	} else {
		json_real(j, ret);
	}
}

static void
read_parts(struct json *j, struct cayenne_value *v)
{
	const struct cayenne_type *t = v->type;
	unsigned have = 0; /* a bit each */
	struct str key;

	if (t->parts[0] == NULL) {
		read_number(j, &v->parts[0]);
		return;
	}
	if (!json_object(j))
		return;
	while (json_member(j, &key)) {
		size_t i = 0;

		while (i < parts_of(t) && !str_eqz(key, t->parts[i]))
			i++;
		if (i == parts_of(t)) {
			json_fail(j, "no such part");
			return;
		}
		have |= 1u << i;
		read_number(j, &v->parts[i]);
	}
	if (have != (1u << parts_of(t)) - 1)
		json_fail(j, "a part is missing");
}

int
cayenne_encode(struct str text, struct buf *bytes, struct err *err)
{
	struct arena arena = { 0 };
	size_t before = bytes->len;
	struct json j;
	struct str key;
	int rc = 0;

	json_open(&j, text, 0, &arena);
	if (json_object(&j))
		while (rc == 0 && json_member(&j, &key)) {
			struct cayenne_value v = { 0 };

			if (!read_key(key, &v)) {
				rc = err_set(err, ERR_PARAM,
				    "\"" STR_FMT "\" is no type and channel",
				    STR_ARG(key));
				break;
			}
			read_parts(&j, &v);
			if (json_ok(&j))
				rc = cayenne_put(bytes, &v, err);
		}
	if (rc == 0)
		rc = json_done(&j, err);
	if (rc != 0)
		bytes->len = before;
	arena_fini(&arena);
	return rc;
}
