/*
 * net/http/openapi.c - see openapi.h. Records become inline schemas; what every
 * answer may be (an error) stands once, under components.
 */
#include "net/http/openapi.h"

#include "codec/entity_json.h"

#include <string.h>

static void
key_str(struct json_out *o, const char *key, const char *value)
{
	json_out_key(o, key);
	json_out_str(o, str_of(value));
}

static void write_record(struct json_out *o, const struct record *r,
    field_set_t which, field_set_t required);

static void
write_type(struct json_out *o, const struct field *f, const char *type)
{
	json_out_key(o, "type");
	if (!(f->flags & FIELD_NULL)) {
		json_out_str(o, str_of(type));
		return;
	}
	json_out_array(o);
	json_out_str(o, str_of(type));
	json_out_str(o, STR("null"));
	json_out_end_array(o);
}

static void
write_range(struct json_out *o, const struct field *f)
{
	bool number = f->type == FIELD_INT || f->type == FIELD_REAL;

	if (f->min == 0 && f->max == 0)
		return;
	if (f->min != 0 || number) {
		json_out_key(o, number ? "minimum" : "minLength");
		json_out_int(o, f->min);
	}
	if (f->max != 0) {
		json_out_key(o, number ? "maximum" : "maxLength");
		json_out_int(o, f->max);
	}
}

static void
write_field(struct json_out *o, const struct field *f)
{
	json_out_object(o);
	switch (f->type) {
	case FIELD_TEXT:
		write_type(o, f, "string");
		write_range(o, f);
		break;
	case FIELD_BLOB:
		write_type(o, f, "string");
		key_str(o, "contentEncoding", "base64");
		break;
	case FIELD_TIME:
		write_type(o, f, "string");
		key_str(o, "format", "date-time");
		break;
	case FIELD_INT:
		write_type(o, f, "integer");
		write_range(o, f);
		break;
	case FIELD_REAL:
		write_type(o, f, "number");
		write_range(o, f);
		break;
	case FIELD_BOOL:
		write_type(o, f, "boolean");
		break;
	case FIELD_JSON:
		if (f->flags & FIELD_OBJECT)
			write_type(o, f, "object");
		break;
	case FIELD_TEXTS:
		write_type(o, f, "array");
		json_out_key(o, "items");
		json_out_object(o);
		key_str(o, "type", "string");
		json_out_end_object(o);
		break;
	case FIELD_RECORD:
		write_record(o, f->record, FIELD_ALL, 0);
		json_out_end_object(o);
		return;
	case FIELD_RECORDS:
		write_type(o, f, "array");
		json_out_key(o, "items");
		json_out_object(o);
		write_record(o, f->record, FIELD_ALL, 0);
		json_out_end_object(o);
		break;
	}
	if (f->help != NULL)
		key_str(o, "description", f->help);
	if (f->def != NULL) {
		json_out_key(o, "default");
		json_out_raw(o, str_of(f->def));
	}
	json_out_end_object(o);
}

static void
write_properties(struct json_out *o, const struct record *r, field_set_t which)
{
	for (size_t i = 0; r->fields[i].name != NULL; i++)
		if (which >> i & 1) {
			json_out_key(o, r->fields[i].name);
			write_field(o, &r->fields[i]);
		}
}

static void
write_required(struct json_out *o, const struct record *r, field_set_t set)
{
	if (set == 0)
		return;
	json_out_key(o, "required");
	json_out_array(o);
	for (size_t i = 0; r->fields[i].name != NULL; i++)
		if (set >> i & 1)
			json_out_str(o, str_of(r->fields[i].name));
	json_out_end_array(o);
}

/* The members of an open object schema. */
static void
write_record(struct json_out *o, const struct record *r, field_set_t which,
    field_set_t required)
{
	key_str(o, "type", "object");
	json_out_key(o, "properties");
	json_out_object(o);
	write_properties(o, r, which);
	json_out_end_object(o);
	write_required(o, r, required);
}

void
openapi_schema(struct json_out *o, const struct record *r)
{
	json_out_object(o);
	write_record(o, r, FIELD_ALL, 0);
	json_out_end_object(o);
}

static field_set_t
bits(const struct record *r, const char *members, field_set_t *required)
{
	*required = 0;
	return members != NULL ? field_bits(r, members, required) : FIELD_ALL;
}

/* What lies in "data", as an object. */
static void
write_data(struct json_out *o, const struct http_schema *s)
{
	field_set_t required = 0, which = 0;

	json_out_object(o);
	key_str(o, "type", "object");
	json_out_key(o, "properties");
	json_out_object(o);
	if (s->record != NULL) {
		which = bits(s->record, s->members, &required);
		write_properties(o, s->record, which);
	}
	if (s->extra != NULL) {
		field_set_t none;

		write_properties(
		    o, s->extra, bits(s->extra, s->extra_members, &none));
	}
	json_out_end_object(o);
	if (s->record != NULL)
		write_required(o, s->record, required);
	json_out_end_object(o);
}

static void
write_schema(struct json_out *o, const struct http_schema *s)
{
	if (s->plain || s->form) {
		write_data(o, s);
		return;
	}
	json_out_object(o);
	key_str(o, "type", "object");
	json_out_key(o, "properties");
	json_out_object(o);
	json_out_key(o, "data");
	if (s->list) {
		json_out_object(o);
		key_str(o, "type", "array");
		json_out_key(o, "items");
		write_data(o, s);
		json_out_end_object(o);
	} else {
		write_data(o, s);
	}
	if (s->beside != NULL)
		write_properties(o, s->beside, FIELD_ALL);
	json_out_end_object(o);
	if (s->beside == NULL) {
		json_out_key(o, "required");
		json_out_array(o);
		json_out_str(o, STR("data"));
		json_out_end_array(o);
	}
	json_out_end_object(o);
}

static void
write_parameter(
    struct json_out *o, struct str name, const char *in, const struct field *f)
{
	json_out_object(o);
	json_out_key(o, "name");
	json_out_str(o, name);
	key_str(o, "in", in);
	if (strcmp(in, "path") == 0) {
		json_out_key(o, "required");
		json_out_bool(o, true);
	}
	json_out_key(o, "schema");
	if (f != NULL) {
		write_field(o, f);
	} else {
		json_out_object(o);
		key_str(o, "type", "string");
		json_out_end_object(o);
	}
	json_out_end_object(o);
}

struct paging {
	int64_t offset, limit;
	struct str sort, format;
};

static const struct field paging_fields[] = {
	F_INT(struct paging, offset, "offset", .def = "0",
	    .help = "Rows to leave out at the front."),
	F_INT(struct paging, limit, "limit", .def = "100",
	    .help = "Rows to give at most; 0: all."),
	F_TEXT(struct paging, sort, "sort",
	    .help = "Keys with :asc or :desc, joined by commas."),
	F_TEXT(struct paging, format, "format",
	    .help = "data (default), array, and csv where lists can be saved."),
	{ 0 },
};
const struct record openapi_paging = { "paging", sizeof(struct paging),
	paging_fields };

static void
write_fields_as_parameters(struct json_out *o, const struct field *f)
{
	for (; f->name != NULL; f++)
		write_parameter(o, str_of(f->name), "query", f);
}

static void
write_parameters(struct json_out *o, const struct http_route *r)
{
	struct str path = str_of(r->path);

	json_out_key(o, "parameters");
	json_out_array(o);
	while (path.ptr != NULL) {
		struct str part = str_cut(&path, '/');

		if (part.len > 2 && part.ptr[0] == '{')
			write_parameter(o,
			    (struct str){ part.ptr + 1, part.len - 2 }, "path",
			    NULL);
	}
	if (r->query != NULL)
		write_fields_as_parameters(o, r->query->fields);
	if (r->reply.list && strcmp(r->method, "GET") == 0)
		write_fields_as_parameters(o, paging_fields);
	json_out_end_array(o);
}

static void
write_content(struct json_out *o, const char *type, const struct http_schema *s)
{
	json_out_key(o, "content");
	json_out_object(o);
	json_out_key(o, type);
	json_out_object(o);
	json_out_key(o, "schema");
	write_schema(o, s);
	json_out_end_object(o);
	json_out_end_object(o);
}

static void
write_responses(struct json_out *o, const struct http_route *r)
{
	bool body = r->reply.record != NULL;

	json_out_key(o, "responses");
	json_out_object(o);
	json_out_key(o, body || strcmp(r->method, "GET") == 0 ? "200" : "204");
	json_out_object(o);
	key_str(o, "description", body ? "The answer." : "Done.");
	if (body)
		write_content(o, "application/json", &r->reply);
	json_out_end_object(o);
	json_out_key(o, "default");
	json_out_object(o);
	key_str(o, "$ref", "#/components/responses/Error");
	json_out_end_object(o);
	json_out_end_object(o);
}

static const struct {
	unsigned bit;
	const char *name;
} roles[] = { { HTTP_ROLE_ADMIN, "admin" }, { HTTP_ROLE_MANAGER, "manager" },
	{ HTTP_ROLE_DEV, "dev" }, { HTTP_ROLE_SERVICE, "service" } };

static void
write_access(struct json_out *o, const struct http_route *r)
{
	json_out_key(o, "security");
	json_out_array(o);
	if (r->access == HTTP_TOKEN) {
		json_out_object(o);
		json_out_key(o, "bearer");
		json_out_array(o);
		json_out_end_array(o);
		json_out_end_object(o);
	}
	json_out_end_array(o);
	if (r->scope != NULL)
		key_str(o, "x-api-scope", r->scope);
	if (r->roles == 0)
		return;
	json_out_key(o, "x-roles");
	json_out_array(o);
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
		if (r->roles & roles[i].bit)
			json_out_str(o, str_of(roles[i].name));
	json_out_end_array(o);
}

static void
write_operation(struct json_out *o, const struct http_route *r)
{
	static const char lower[][2][8] = { { "GET", "get" },
		{ "POST", "post" }, { "PUT", "put" }, { "PATCH", "patch" },
		{ "DELETE", "delete" } };

	for (size_t i = 0; i < sizeof(lower) / sizeof(lower[0]); i++)
		if (strcmp(r->method, lower[i][0]) == 0)
			json_out_key(o, lower[i][1]);
	json_out_object(o);
	if (r->help != NULL)
		key_str(o, "summary", r->help);
	write_parameters(o, r);
	if (r->body.record != NULL) {
		json_out_key(o, "requestBody");
		json_out_object(o);
		json_out_key(o, "required");
		json_out_bool(o, true);
		write_content(o,
		    r->body.form ? "application/x-www-form-urlencoded"
				 : "application/json",
		    &r->body);
		json_out_end_object(o);
	}
	write_responses(o, r);
	write_access(o, r);
	json_out_end_object(o);
}

static bool
listed(const struct http_route *const *routes, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (!(routes[k]->flags & HTTP_HIDDEN) &&
		    strcmp(routes[k]->path, routes[i]->path) == 0)
			return true;
	return false;
}

static void
write_components(struct json_out *o)
{
	json_out_key(o, "components");
	json_out_raw(o,
	    STR("{\"securitySchemes\":{\"bearer\":{\"type\":\"http\","
		"\"scheme\":\"bearer\"}},"
		"\"responses\":{\"Error\":{\"description\":"
		"\"What is wrong.\",\"content\":"
		"{\"application/json\":{\"schema\":"
		"{\"type\":\"object\",\"properties\":"
		"{\"code\":{\"type\":\"string\"},"
		"\"message\":{\"type\":\"string\"}},"
		"\"required\":[\"code\"]}}}}}}"));
}

void
openapi_write(struct buf *out, const struct http_route *const *routes,
    const char *title, const char *version)
{
	struct json_out o;

	json_out_init(&o, out, false);
	json_out_object(&o);
	key_str(&o, "openapi", "3.1.0");
	json_out_key(&o, "info");
	json_out_object(&o);
	key_str(&o, "title", title);
	key_str(&o, "version", version);
	json_out_end_object(&o);
	json_out_key(&o, "paths");
	json_out_object(&o);
	for (size_t i = 0; routes[i] != NULL; i++) {
		if (routes[i]->flags & HTTP_HIDDEN || listed(routes, i))
			continue;
		json_out_key(&o, routes[i]->path);
		json_out_object(&o);
		for (size_t k = i; routes[k] != NULL; k++)
			if (!(routes[k]->flags & HTTP_HIDDEN) &&
			    strcmp(routes[k]->path, routes[i]->path) == 0)
				write_operation(&o, routes[k]);
		json_out_end_object(&o);
	}
	json_out_end_object(&o);
	write_components(&o);
	json_out_end_object(&o);
}
