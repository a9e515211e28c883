/*
 * net/http/client_json.c - requests as people write them: method, headers and
 * query as JSON.
 */
#include "base/base.h"
#include "codec/json.h"
#include "codec/url.h"
#include "net/http/client.h"

#include <string.h>

struct str
http_plain(struct json *j)
{
	struct str text = STR("");

	if (json_peek(j) == JSON_STRING)
		json_str(j, &text);
	else if (json_peek(j) == JSON_NULL)
		json_skip(j);
	else
		json_raw(j, &text);
	return text;
}

void
http_add_header(struct arena *a, struct strs *list, struct str line)
{
	struct str *more = arena_array(a, list->n + 1, struct str);

	if (list->n > 0)
		memcpy(more, list->at, list->n * sizeof(*more));
	more[list->n] = line;
	*list = (struct strs){ more, list->n + 1 };
}

int
http_method(struct str method, const char **ret, struct err *err)
{
	static const char *const methods[] = { "GET", "POST", "PUT", "PATCH",
		"DELETE", "HEAD", "OPTIONS" };

	if (method.len == 0)
		method = STR("POST");
	for (size_t i = 0; i < COUNT_OF(methods); i++)
		if (str_eq_nocase(method, str_of(methods[i]))) {
			*ret = methods[i];
			return 0;
		}
	return err_set(err, ERR_PARAM, "method: " STR_FMT " is not known",
	    (int)MIN_OF(method.len, 20), method.ptr);
}

int
http_add_query(
    struct arena *a, struct buf *url, struct str object, struct err *err)
{
	struct json j;
	struct str key;

	json_open(&j, object, 0, a);
	if (json_object(&j))
		while (json_member(&j, &key)) {
			buf_addc(url,
			    memchr(url->ptr, '?', url->len) == NULL ? '?'
								    : '&');
			url_form_encode(url, key);
			buf_addc(url, '=');
			url_form_encode(url, http_plain(&j));
		}
	return json_done(&j, err);
}

/* Names and values that could begin a header of their own are refused. */
int
http_add_headers(
    struct arena *a, struct strs *list, struct str object, struct err *err)
{
	struct json j;
	struct str key;

	json_open(&j, object, 0, a);
	if (!json_object(&j))
		return json_done(&j, err);
	while (json_member(&j, &key)) {
		struct str value = http_plain(&j), line;
		bool bad = key.len == 0;

		for (size_t i = 0; i < key.len; i++)
			bad |= (unsigned char)key.ptr[i] <= ' ' ||
			    key.ptr[i] == ':' ||
			    (unsigned char)key.ptr[i] >= 0x7f;
		for (size_t i = 0; i < value.len; i++)
			bad |= ((unsigned char)value.ptr[i] < ' ' &&
				   value.ptr[i] != '\t') ||
			    value.ptr[i] == 0x7f;
		if (bad)
			return err_set(err, ERR_PARAM,
			    "headers: a name or value has a character that "
			    "can not be in a header");
		/* the later one of two with a name counts */
		for (size_t i = 0; i < list->n; i++) {
			struct str name = list->at[i];

			name.len = MIN_OF(name.len, key.len);
			if (str_eq_nocase(name, key) &&
			    (list->at[i].ptr[key.len] == ':' ||
				list->at[i].ptr[key.len] == ';'))
				list->at[i--] = list->at[--list->n];
		}
		line = value.len > 0
		    ? arena_printf(
			  a, STR_FMT ": " STR_FMT, STR_ARG(key), STR_ARG(value))
		    : arena_printf(a, STR_FMT ";", STR_ARG(key));
		http_add_header(a, list, line);
	}
	return json_done(&j, err);
}

bool
http_has_header(const struct strs *list, struct str name)
{
	for (size_t i = 0; i < list->n; i++) {
		struct str one = list->at[i];

		one.len = MIN_OF(one.len, name.len);
		if (str_eq_nocase(one, name))
			return true;
	}
	return false;
}

int
http_check_url(
    struct arena *a, struct str url, struct str *host, struct err *err)
{
	for (size_t i = 0; i < url.len; i++)
		if ((unsigned char)url.ptr[i] <= ' ' || url.ptr[i] == 0x7f)
			return err_set(err, ERR_PARAM,
			    "a space or control character must be "
			    "percent-encoded");
	if (url.len == 0 || url.len > HTTP_URL_MAX || !http_host(a, url, host))
		return err_set(err, ERR_PARAM,
		    "an address that begins with http:// or https:// is "
		    "needed");
	return 0;
}
