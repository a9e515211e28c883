/*
 * app/cli/request.c - see request.h. Values are checked for their type only:
 * what is good beyond that, the server says.
 */
#include "app/cli/request.h"

#include "codec/entity_json.h"
#include "codec/json.h"
#include "codec/url.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct building {
	const struct cli_command *c;
	const struct cli_value *values;
	const struct http_route *route; /* the one that is called */
	struct arena *arena;
};

static struct str
first_word(const struct cli_value *v)
{
	return v->words.n > 0 ? v->words.at[0] : STR("");
}

/* --- the path ------------------------------------------------------------ */

static const struct cli_value *
path_value(const struct building *b, struct str variable)
{
	for (size_t k = 0; k < b->c->n_options; k++)
		if (b->c->options[k].place == CLI_PATH &&
		    str_eqz(variable, b->c->options[k].member))
			return &b->values[k];
	return NULL;
}

static int
build_path(const struct building *b, struct buf *out, struct err *err)
{
	struct str rest = str_of(b->route->path + 1);

	while (rest.ptr != NULL) {
		struct str part = str_cut(&rest, '/');
		const struct cli_value *v;

		buf_addc(out, '/');
		if (part.len <= 2 || part.ptr[0] != '{') {
			buf_add_str(out, part);
			continue;
		}
		part = (struct str){ part.ptr + 1, part.len - 2 };
		v = path_value(b, part);
		if (v == NULL || first_word(v).len == 0)
			return err_set(err, ERR_PARAM, "--%s must not be empty",
			    v != NULL ? v->option->name : "id");
		url_encode(out, first_word(v));
	}
	return 0;
}

/* --- the query ----------------------------------------------------------- */

static int
wrong(const struct cli_option *o, struct str text, const char *want,
    struct err *err)
{
	return err_set(err, ERR_PARAM, "--%s: `" STR_FMT "` is not %s", o->name,
	    STR_ARG(text), want);
}

#define WANT_TIME "a time like 2023-07-08T06:55:02Z"

static int
query_text(const struct cli_value *v, struct buf *out, struct err *err)
{
	const struct cli_option *o = v->option;
	struct str text = first_word(v);
	int64_t n;

	if (o->form == CLI_MS) {
		if (!time_parse(text, &n))
			return wrong(o, text, WANT_TIME, err);
		buf_addf(out, "%lld", (long long)n);
		return 0;
	}
	if (o->field != NULL && o->field->type == FIELD_INT &&
	    !str_to_i64(text, &n))
		return wrong(o, text, "a whole number", err);
	if (o->field != NULL && o->field->type == FIELD_BOOL && v->words.n == 0)
		text = STR("true");
	if (!o->many) {
		buf_add_str(out, text);
		return 0;
	}
	for (size_t i = 0; i < v->words.n; i++) {
		if (i > 0)
			buf_addc(out, ',');
		buf_add_str(out, v->words.at[i]);
	}
	return 0;
}

static int
build_query(const struct building *b, struct buf *out, struct err *err)
{
	struct buf query = { 0 }, text = { 0 };
	int rc = 0;

	for (size_t k = 0; rc == 0 && k < b->c->n_options; k++) {
		const struct cli_value *v = &b->values[k];

		if (v->option->place != CLI_QUERY || !v->given)
			continue;
		buf_clear(&text);
		rc = query_text(v, &text, err);
		if (rc == 0)
			url_form_add(&query, v->option->member,
			    text.len > 0 ? buf_str(&text) : STR(""));
	}
	if (rc == 0 && query.len > 0) {
		buf_addc(out, '?');
		buf_add_str(out, buf_str(&query));
	}
	buf_free(&query);
	buf_free(&text);
	return rc;
}

/* --- the body ------------------------------------------------------------ */

static int
write_json_value(const struct cli_option *o, struct arena *a, struct str text,
    struct json_out *out, struct err *err)
{
	bool object =
	    o->field->flags & FIELD_OBJECT || o->field->type == FIELD_RECORD;
	struct buf compact = { 0 };
	struct json j;

	json_open(&j, text, 0, a);
	if (!json_valid(text, 0) || (object && json_peek(&j) != JSON_OBJECT) ||
	    (o->field->type == FIELD_RECORDS && json_peek(&j) != JSON_ARRAY))
		return wrong(o, text,
		    object ? "a JSON object" : "the JSON it should be", err);
	json_compact(&compact, text, 0);
	json_out_raw(out, buf_str(&compact));
	buf_free(&compact);
	return 0;
}

static int
write_real(const struct cli_option *o, struct arena *a, struct str text,
    struct json_out *out, struct err *err)
{
	char *end, *z = arena_z(a, text);
	double d = strtod(z, &end);

	if (text.len == 0 || *end != '\0' || !isfinite(d))
		return wrong(o, text, "a number", err);
	json_out_real(out, d);
	return 0;
}

static void
write_texts(struct json_out *out, struct strs words)
{
	json_out_array(out);
	for (size_t i = 0; i < words.n; i++)
		json_out_str(out, words.at[i]);
	json_out_end_array(out);
}

static void
write_names(struct json_out *out, struct strs words)
{
	json_out_object(out);
	for (size_t i = 0; i < words.n; i++)
		if (words.at[i].len > 0) {
			json_out_key_str(out, words.at[i]);
			json_out_bool(out, true);
		}
	json_out_end_object(out);
}

static int
write_payload(const struct building *b, const struct cli_value *v,
    struct json_out *out, struct err *err)
{
	struct str type = cli_text(b->c, b->values, "type");
	struct str text = first_word(v);
	struct buf hex = { 0 };

	if (str_eqz(type, "hex")) {
		if (!str_is_hex(text))
			return wrong(v->option, text, "hex", err);
		json_out_str(out, text);
		return 0;
	}
	if (type.ptr != NULL && !str_eqz(type, "string"))
		return err_set(err, ERR_PARAM,
		    "--type: `" STR_FMT "` is neither `string` nor `hex`",
		    STR_ARG(type));
	buf_reserve(&hex, 1);
	hex_encode(&hex, text.ptr, text.len);
	json_out_str(out, buf_str(&hex));
	buf_free(&hex);
	return 0;
}

static int
write_typed(const struct building *b, const struct cli_value *v,
    struct json_out *out, struct err *err)
{
	const struct field *f = v->option->field;
	struct str text = first_word(v);
	int64_t n;

	switch (f->type) {
	case FIELD_TEXTS:
		write_texts(out, v->words);
		return 0;
	case FIELD_BOOL:
		if (v->words.n > 0 && !str_eqz(text, "true") &&
		    !str_eqz(text, "false"))
			return wrong(v->option, text, "true or false", err);
		json_out_bool(out, !str_eqz(text, "false"));
		return 0;
	case FIELD_INT:
		if (!str_to_i64(text, &n))
			return wrong(v->option, text, "a whole number", err);
		json_out_int(out, n);
		return 0;
	case FIELD_REAL:
		return write_real(v->option, b->arena, text, out, err);
	case FIELD_TIME:
		if (!time_parse(text, &n))
			return wrong(v->option, text, WANT_TIME, err);
		json_out_time(out, n);
		return 0;
	case FIELD_JSON:
	case FIELD_RECORD:
	case FIELD_RECORDS:
		return write_json_value(v->option, b->arena, text, out, err);
	case FIELD_TEXT:
	case FIELD_BLOB:
		break;
	}
	json_out_str(out, text);
	return 0;
}

static int
write_value(const struct building *b, const struct cli_value *v,
    struct json_out *out, struct err *err)
{
	const struct field *f = v->option->field;

	json_out_key(out, v->option->member);
	if (v->option->form == CLI_NAMES) {
		write_names(out, v->words);
		return 0;
	}
	if (v->option->form == CLI_PAYLOAD)
		return write_payload(b, v, out, err);
	/* nothing, where nothing is allowed: an empty value of such a field */
	if (f->flags & FIELD_NULL && f->type != FIELD_TEXTS &&
	    f->type != FIELD_BOOL && first_word(v).len == 0) {
		json_out_null(out);
		return 0;
	}
	return write_typed(b, v, out, err);
}

static int
write_members(const struct building *b, enum cli_place place,
    struct json_out *out, struct err *err)
{
	int rc = 0;

	for (size_t k = 0; rc == 0 && k < b->c->n_options; k++)
		if (b->values[k].given && b->c->options[k].place == place)
			rc = write_value(b, &b->values[k], out, err);
	return rc;
}

static bool
any_given(const struct building *b, enum cli_place place)
{
	for (size_t k = 0; k < b->c->n_options; k++)
		if (b->values[k].given && b->c->options[k].place == place)
			return true;
	return false;
}

static int
build_body(const struct building *b, struct buf *body, struct err *err)
{
	const struct http_schema *s = &b->route->body;
	struct json_out out;
	int rc = 0;

	json_out_init(&out, body, false);
	json_out_object(&out);
	if (s->plain) {
		rc = write_members(b, CLI_DATA, &out, err);
	} else if (s->beside == NULL || any_given(b, CLI_DATA)) {
		json_out_key(&out, "data");
		json_out_object(&out);
		rc = write_members(b, CLI_DATA, &out, err);
		json_out_end_object(&out);
	}
	if (rc == 0)
		rc = write_members(b, CLI_BESIDE, &out, err);
	json_out_end_object(&out);
	return rc;
}

/* --- all of it ----------------------------------------------------------- */

static bool
has_id(const struct building *b)
{
	for (size_t k = 0; k < b->c->n_options; k++)
		if (b->c->options[k].place == CLI_PATH && !b->values[k].given)
			return false;
	return true;
}

static bool
record_has(const struct record *r, const char *members, const char *name)
{
	field_set_t set = r != NULL && members != NULL
	    ? field_bits(r, members, NULL)
	    : FIELD_ALL;

	for (size_t i = 0; r != NULL && r->fields[i].name != NULL; i++)
		if (set >> i & 1 && strcmp(r->fields[i].name, name) == 0)
			return true;
	return false;
}

static bool
schema_has(const struct http_schema *s, const char *name)
{
	return record_has(s->record, s->members, name) ||
	    record_has(s->extra, s->extra_members, name) ||
	    record_has(s->beside, NULL, name);
}

/* The route without an id may know fewer members. */
static int
check_without(const struct building *b, struct err *err)
{
	for (size_t k = 0; k < b->c->n_options; k++) {
		const struct cli_option *o = &b->c->options[k];

		if (b->values[k].given && o->place >= CLI_DATA &&
		    !schema_has(&b->route->body, o->member))
			return err_set(err, ERR_PARAM,
			    "--%s is for others: say whom by --userid",
			    o->name);
	}
	return 0;
}

int
cli_request_build(const struct cli_command *c, const struct cli_value *values,
    struct arena *a, struct cli_request *ret, struct err *err)
{
	struct building b = { c, values, c->route, a };
	struct buf path = { 0 }, body = { 0 };
	int rc = 0;

	if (c->without != NULL && !has_id(&b)) {
		b.route = c->without;
		rc = check_without(&b, err);
	}
	if (rc == 0)
		rc = build_path(&b, &path, err);
	if (rc == 0)
		rc = build_query(&b, &path, err);
	if (rc == 0 &&
	    (b.route->body.record != NULL || b.route->body.beside != NULL))
		rc = build_body(&b, &body, err);
	if (rc == 0)
		*ret = (struct cli_request){
			b.route->method, arena_str(a, buf_str(&path)),
			body.len > 0 ? arena_str(a, buf_str(&body)) : STR_NULL
		};
	buf_free(&path);
	buf_free(&body);
	return rc;
}
