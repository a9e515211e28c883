/*
 * net/http/openapi.c - see openapi.h. Records become inline schemas; what every
 * answer may be (an error) stands once, under components.
 */
#include "net/http/openapi.h"

#include "codec/entity_json.h"

#include <stdio.h>
#include <string.h>

static void
key_str(struct json_out *o, const char *key, const char *value)
{
	json_out_key(o, key);
	json_out_str(o, str_of(value));
}

/* What is asked and what is answered look alike but for what may be missing:
 * an answer has all of its members. */
enum way { ASKED, ANSWERED };

static void write_record(struct json_out *o, const struct record *r,
    field_set_t which, field_set_t required, enum way way);

static void write_properties(struct json_out *o, const struct record *r,
    field_set_t which, enum way way);

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
write_choices(struct json_out *o, const struct field *f)
{
	const char *const *c = field_choices(f);

	if (c == NULL)
		return;
	json_out_key(o, "enum");
	json_out_array(o);
	for (; *c != NULL; c++)
		json_out_str(o, str_of(*c));
	if (f->flags & FIELD_NULL)
		json_out_null(o);
	json_out_end_array(o);
}

static void
write_text(struct json_out *o, const struct field *f)
{
	write_type(o, f, "string");
	write_range(o, f);
	write_choices(o, f);
	if (f->format != NULL)
		key_str(o,
		    strchr(f->format, '/') != NULL ? "contentMediaType"
						   : "format",
		    f->format);
	else if (f->flags & FIELD_SECRET)
		key_str(o, "format", "password");
}

/* The members that an object has by its type. */
static void
write_kinds(struct json_out *o, const struct field *f)
{
	json_out_key(o, "anyOf");
	json_out_array(o);
	for (const char *const *c = field_choices(f); *c != NULL; c++) {
		const struct record *r = f->spec(*c);

		json_out_object(o);
		key_str(o, "title", *c);
		key_str(o, "type", "object");
		if (r != NULL) {
			json_out_key(o, "properties");
			json_out_object(o);
			write_properties(o, r, FIELD_ALL, ASKED);
			json_out_end_object(o);
		}
		json_out_end_object(o);
	}
	json_out_end_array(o);
}

static void
write_field(struct json_out *o, const struct field *of, enum way way)
{
	struct field it = *of;
	const struct field *f = &it;

	if (way == ANSWERED && f->flags & FIELD_ABSENT)
		it.flags &= ~FIELD_NULL; /* null is left out */
	json_out_object(o);
	switch (f->type) {
	case FIELD_TEXT:
		write_text(o, f);
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
		if (f->spec != NULL)
			write_kinds(o, f);
		if (f->record != NULL) {
			json_out_key(o, "properties");
			json_out_object(o);
			write_properties(o, f->record, FIELD_ALL, way);
			json_out_end_object(o);
		}
		break;
	case FIELD_TEXTS:
		write_type(o, f, "array");
		if (f->flags & FIELD_UNIQ) {
			json_out_key(o, "uniqueItems");
			json_out_bool(o, true);
		}
		json_out_key(o, "items");
		json_out_object(o);
		key_str(o, "type", "string");
		write_choices(o, f);
		if (f->format != NULL)
			key_str(o, "format", f->format);
		json_out_end_object(o);
		break;
	case FIELD_RECORD:
		write_record(o, f->record, FIELD_ALL, 0, way);
		break;
	case FIELD_RECORDS:
		write_type(o, f, "array");
		json_out_key(o, "items");
		json_out_object(o);
		write_record(o, f->record, FIELD_ALL, 0, way);
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
write_properties(
    struct json_out *o, const struct record *r, field_set_t which, enum way way)
{
	for (size_t i = 0; r->fields[i].name != NULL; i++)
		if (which >> i & 1) {
			json_out_key(o, r->fields[i].name);
			write_field(o, &r->fields[i], way);
		}
}

/* The names in a "required" list that has been begun. */
static void
write_names(struct json_out *o, const struct record *r, field_set_t set)
{
	for (size_t i = 0; r->fields[i].name != NULL; i++)
		if (set >> i & 1)
			json_out_str(o, str_of(r->fields[i].name));
}

static field_set_t
always_there(const struct record *r, field_set_t which)
{
	for (size_t i = 0; r->fields[i].name != NULL; i++)
		if (r->fields[i].flags & FIELD_ABSENT)
			which &= ~((field_set_t)1 << i);
	return which;
}

/* The record's name as a schema's: "DataRepository". */
static void
write_title(struct json_out *o, const struct record *r)
{
	char title[64];

	(void)snprintf(title, sizeof(title), "%s", r->name);
	if (title[0] >= 'a' && title[0] <= 'z')
		title[0] -= 'a' - 'A';
	key_str(o, "title", title);
}

/* The members of an open object schema. */
static void
write_record(struct json_out *o, const struct record *r, field_set_t which,
    field_set_t required, enum way way)
{
	if (way == ANSWERED)
		required = always_there(r, which);
	write_title(o, r);
	key_str(o, "type", "object");
	json_out_key(o, "properties");
	json_out_object(o);
	write_properties(o, r, which, way);
	json_out_end_object(o);
	if (required == 0)
		return;
	json_out_key(o, "required");
	json_out_array(o);
	write_names(o, r, required);
	json_out_end_array(o);
}

void
openapi_schema(struct json_out *o, const struct record *r)
{
	json_out_object(o);
	write_record(o, r, FIELD_ALL, 0, ASKED);
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
write_data(struct json_out *o, const struct http_schema *s, enum way way)
{
	const struct record *r[] = { s->record, s->extra };
	const char *members[] = { s->members, s->extra_members };
	field_set_t required[2] = { 0 }, which[2] = { 0 };

	for (int i = 0; i < 2; i++) {
		if (r[i] == NULL)
			continue;
		which[i] = bits(r[i], members[i], &required[i]);
		if (way == ANSWERED)
			required[i] = always_there(r[i], which[i]);
		if (way == ANSWERED && i == 0 && s->sometimes != NULL)
			required[i] &= ~field_bits(r[i], s->sometimes, NULL);
	}
	json_out_object(o);
	if (s->record != NULL)
		write_title(o, s->record);
	key_str(o, "type", "object");
	json_out_key(o, "properties");
	json_out_object(o);
	for (int i = 0; i < 2; i++)
		if (r[i] != NULL)
			write_properties(o, r[i], which[i], way);
	json_out_end_object(o);
	if ((required[0] | required[1]) != 0) {
		json_out_key(o, "required");
		json_out_array(o);
		for (int i = 0; i < 2; i++)
			if (r[i] != NULL)
				write_names(o, r[i], required[i]);
		json_out_end_array(o);
	}
	json_out_end_object(o);
}

static void
write_list(struct json_out *o, const struct http_schema *s, enum way way)
{
	json_out_object(o);
	key_str(o, "type", "array");
	json_out_key(o, "items");
	write_data(o, s, way);
	json_out_end_object(o);
}

static void
write_schema(struct json_out *o, const struct http_schema *s, enum way way)
{
	if (s->plain || s->form) {
		write_data(o, s, way);
		return;
	}
	json_out_object(o);
	key_str(o, "type", "object");
	json_out_key(o, "properties");
	json_out_object(o);
	json_out_key(o, "data");
	if (s->map) {
		json_out_object(o);
		key_str(o, "type", "object");
		json_out_key(o, "additionalProperties");
		write_list(o, s, way);
		json_out_end_object(o);
	} else if (s->list) {
		write_list(o, s, way);
	} else {
		write_data(o, s, way);
	}
	if (s->beside != NULL)
		write_properties(o, s->beside, FIELD_ALL, way);
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
		write_field(o, f, ASKED);
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

static bool
has_schema(const struct http_schema *s)
{
	return s->record != NULL || s->media != NULL;
}

static void
write_content(struct json_out *o, const struct http_schema *s, enum way way)
{
	json_out_key(o, "content");
	json_out_object(o);
	json_out_key(o,
	    s->media != NULL ? s->media
		: s->form    ? "application/x-www-form-urlencoded"
			     : "application/json");
	json_out_object(o);
	json_out_key(o, "schema");
	if (s->media == NULL) {
		write_schema(o, s, way);
	} else {
		json_out_object(o);
		key_str(o, "type", "string");
		key_str(o, "contentMediaType", s->media);
		json_out_end_object(o);
	}
	json_out_end_object(o);
	json_out_end_object(o);
}

static void
write_responses(struct json_out *o, const struct http_route *r)
{
	bool body = has_schema(&r->reply);
	bool up = (r->flags & HTTP_UPGRADE) != 0;

	json_out_key(o, "responses");
	json_out_object(o);
	json_out_key(o,
	    up                                          ? "101"
		: body || strcmp(r->method, "GET") == 0 ? "200"
							: "204");
	json_out_object(o);
	key_str(o, "description", body ? "The answer." : "Done.");
	if (body)
		write_content(o, &r->reply, ANSWERED);
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

static const char methods[][2][8] = { { "GET", "get" }, { "POST", "post" },
	{ "PUT", "put" }, { "PATCH", "patch" }, { "DELETE", "delete" } };

static const char *
lower(const char *method)
{
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (strcmp(method, methods[i][0]) == 0)
			return methods[i][1];
	return method;
}

/* Its module, which tags it, and its id: the words of the path and the method,
 * "hub.device.get"; "hub.device.list" says its method itself. */
static void
write_id(struct json_out *o, const struct http_route *r)
{
	struct str path = str_of(r->path), module = STR_NULL, last = STR_NULL;
	struct buf id = { 0 };
	bool api = strstr(r->path, "/api/v1/") != NULL;

	(void)str_cut(&path, '/');
	while (path.ptr != NULL) {
		struct str part = str_cut(&path, '/');

		if (part.len == 0 || part.ptr[0] == '{' ||
		    (api && (str_eqz(part, "api") || str_eqz(part, "v1"))))
			continue;
		if (module.ptr == NULL)
			module = part;
		else if (r->name != NULL)
			part = str_of(r->name);
		buf_addf(
		    &id, "%s" STR_FMT, id.len > 0 ? "." : "", STR_ARG(part));
		last = part;
		if (last.ptr == r->name)
			break;
	}
	if (!str_eqz(last, "list") && !str_eqz(last, "count"))
		buf_addf(&id, ".%s", lower(r->method));
	key_str(o, "operationId", buf_z(&id));
	json_out_key(o, "tags");
	json_out_array(o);
	json_out_str(o,
	    api || str_starts(str_of(r->path), STR("/auth/")) ? module
							      : STR("server"));
	json_out_end_array(o);
	buf_free(&id);
}

static void
write_operation(struct json_out *o, const struct http_route *r)
{
	json_out_key(o, lower(r->method));
	json_out_object(o);
	write_id(o, r);
	if (r->help != NULL)
		key_str(o, "summary", r->help);
	write_parameters(o, r);
	if (has_schema(&r->body)) {
		json_out_key(o, "requestBody");
		json_out_object(o);
		json_out_key(o, "required");
		json_out_bool(o, true);
		write_content(o, &r->body, ASKED);
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
