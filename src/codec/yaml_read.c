/*
 * codec/yaml_read.c - see yaml.h: YAML as JSON, read by libfyaml.
 *
 * The events of the parser are written as they come, so a document costs its
 * JSON and no tree. Aliases are refused: what they may grow into has no limit.
 */
#include "codec/yaml.h"

#include "base/base.h"
#include "codec/json.h"

#include <libfyaml.h>
#include <stdlib.h>
#include <string.h>

struct reader {
	struct fy_parser *parser;
	struct json_out out;
	struct err *err;
	unsigned depth;
	struct buf said; /* what libfyaml had to say */
};

static void
on_said(struct fy_diag *diag, void *user, const char *text, size_t len)
{
	struct reader *r = user;

	(void)diag;
	if (r->said.len < 200)
		buf_add(&r->said, text, MIN_OF(len, (size_t)200));
}

static int
broken(struct reader *r)
{
	struct str text = buf_str(&r->said), line = str_cut(&text, '\n');

	line = str_trim(line);
	if (line.len == 0)
		return err_set(r->err, ERR_PARAM, "the YAML ends too early");
	return err_set(r->err, ERR_PARAM, "YAML: " STR_FMT, STR_ARG(line));
}

/* --- scalars ------------------------------------------------------------- */

static bool
is_one_of(struct str s, const char *const *words)
{
	for (size_t i = 0; words[i] != NULL; i++)
		if (str_eqz(s, words[i]))
			return true;
	return false;
}

static bool
hex_number(struct str s, uint64_t *ret)
{
	uint64_t n = 0;

	if (s.len < 3 || s.len > 18 || s.ptr[0] != '0' || s.ptr[1] != 'x')
		return false;
	for (size_t i = 2; i < s.len; i++) {
		char c = s.ptr[i], low = (char)(c | 0x20);

		if (c >= '0' && c <= '9')
			n = n << 4 | (uint64_t)(c - '0');
		else if (low >= 'a' && low <= 'f')
			n = n << 4 | (uint64_t)(low - 'a' + 10);
		else
			return false;
	}
	*ret = n;
	return n <= INT64_MAX;
}

/* A text without quotes, by the core schema of YAML 1.2. */
static void
write_plain(struct reader *r, struct str s)
{
	static const char *const nulls[] = { "", "~", "null", "Null", "NULL",
		NULL };
	static const char *const yes[] = { "true", "True", "TRUE", NULL };
	static const char *const no[] = { "false", "False", "FALSE", NULL };
	static const char *const endless[] = { ".nan", ".NaN", ".NAN", ".inf",
		".Inf", ".INF", "-.inf", "-.Inf", "-.INF", "+.inf", NULL };
	struct str number = s;
	uint64_t hex;

	if (s.len > 1 && s.ptr[0] == '+')
		number = (struct str){ s.ptr + 1, s.len - 1 };
	if (is_one_of(s, nulls) || is_one_of(s, endless))
		json_out_null(&r->out);
	else if (is_one_of(s, yes) || is_one_of(s, no))
		json_out_bool(&r->out, is_one_of(s, yes));
	else if (hex_number(s, &hex))
		json_out_int(&r->out, (int64_t)hex);
	else if (strchr("-0123456789", number.ptr[0]) != NULL &&
	    json_valid(number, 0))
		json_out_raw(&r->out, number);
	else
		json_out_str(&r->out, s);
}

static int
write_scalar(struct reader *r, struct fy_event *e, bool key)
{
	struct fy_token *value = e->scalar.value;
	struct str s = STR("");
	size_t len = 0, tag_len = 0;
	const char *tag = NULL;

	if (value != NULL) {
		s.ptr = fy_token_get_text(value, &len);
		s.len = len;
		if (s.ptr == NULL)
			s = STR("");
	}
	if (!str_is_utf8(s))
		return err_set(r->err, ERR_PARAM, "YAML: a text is not UTF-8");
	if (e->scalar.tag != NULL)
		tag = fy_token_get_text(e->scalar.tag, &tag_len);
	if (key)
		json_out_key_str(&r->out, s);
	else if (tag != NULL && tag_len > 0)
		json_out_str(&r->out, s);
	else if (value == NULL || fy_token_scalar_style(value) == FYSS_PLAIN)
		write_plain(r, s);
	else
		json_out_str(&r->out, s);
	return 0;
}

/* --- values -------------------------------------------------------------- */

/* 0; 1 at the end of the container that is open. */
static int write_next(struct reader *r, bool key);

static int
write_mapping(struct reader *r)
{
	int rc;

	json_out_object(&r->out);
	while ((rc = write_next(r, true)) == 0) {
		rc = write_next(r, false);
		if (rc != 0)
			return rc;
	}
	json_out_end_object(&r->out);
	return rc == 1 ? 0 : rc;
}

static int
write_sequence(struct reader *r)
{
	int rc;

	json_out_array(&r->out);
	while ((rc = write_next(r, false)) == 0)
		;
	json_out_end_array(&r->out);
	return rc == 1 ? 0 : rc;
}

static int
write_container(struct reader *r, bool mapping, bool key)
{
	int rc;

	if (key)
		return err_set(r->err, ERR_PARAM, "YAML: a key must be a text");
	if (r->depth == JSON_DEPTH_MAX - 1)
		return err_set(r->err, ERR_LIMIT, "YAML: nested deeper than %d",
		    JSON_DEPTH_MAX - 1);
	r->depth++;
	rc = mapping ? write_mapping(r) : write_sequence(r);
	r->depth--;
	return rc;
}

static int
write_next(struct reader *r, bool key)
{
	struct fy_event *e = fy_parser_parse(r->parser);
	enum fy_event_type type = e != NULL ? e->type : FYET_NONE;
	int rc;

	switch (type) {
	case FYET_SCALAR:
		rc = write_scalar(r, e, key);
		break;
	case FYET_MAPPING_START:
	case FYET_SEQUENCE_START:
		fy_parser_event_free(r->parser, e);
		return write_container(r, type == FYET_MAPPING_START, key);
	case FYET_MAPPING_END:
	case FYET_SEQUENCE_END:
		rc = 1;
		break;
	case FYET_ALIAS:
		rc = err_set(r->err, ERR_PARAM, "YAML: aliases are not taken");
		break;
	default:
		rc = broken(r);
	}
	fy_parser_event_free(r->parser, e);
	return rc;
}

/* The next event but those that only frame a document. */
static enum fy_event_type
skip(struct reader *r)
{
	struct fy_event *e = fy_parser_parse(r->parser);
	enum fy_event_type type = e != NULL ? e->type : FYET_NONE;

	fy_parser_event_free(r->parser, e);
	return type;
}

static int
write_document(struct reader *r)
{
	enum fy_event_type type = skip(r);
	int rc;

	if (type != FYET_STREAM_START)
		return broken(r);
	type = skip(r);
	if (type == FYET_STREAM_END) {
		json_out_null(&r->out);
		return 0;
	}
	if (type != FYET_DOCUMENT_START)
		return broken(r);
	rc = write_next(r, false);
	if (rc != 0)
		return rc;
	if (skip(r) != FYET_DOCUMENT_END)
		return broken(r);
	type = skip(r);
	if (type == FYET_DOCUMENT_START)
		return err_set(r->err, ERR_PARAM,
		    "YAML: more than one document in a text");
	return type == FYET_STREAM_END ? 0 : broken(r);
}

/* There is no use for directives, and libfyaml 0.7.12 never comes back from
 * some that are broken. */
static bool
has_directive(struct str yaml)
{
	for (size_t i = 0; i < yaml.len; i++)
		if (yaml.ptr[i] == '%' &&
		    (i == 0 || yaml.ptr[i - 1] == '\n' ||
			yaml.ptr[i - 1] == '\r'))
			return true;
	return false;
}

int
yaml_read(struct buf *out, struct str yaml, struct err *err)
{
	struct reader r = { .err = err };
	const struct fy_diag_cfg diag_conf = { .output_fn = on_said,
		.user = &r,
		.level = FYET_ERROR,
		.module_mask = ~0u,
		.show_position = true };
	struct fy_diag *diag = fy_diag_create(&diag_conf);
	const struct fy_parse_cfg conf = { .search_path = "",
		.flags = FYPCF_DEFAULT_PARSE | FYPCF_JSON_NONE |
		    FYPCF_ALLOW_DUPLICATE_KEYS,
		.diag = diag };
	size_t before = out->len;
	int rc;

	if (str_starts(yaml, STR("\xef\xbb\xbf"))) { /* a byte order mark */
		yaml.ptr += 3;
		yaml.len -= 3;
	}
	r.parser = diag != NULL ? fy_parser_create(&conf) : NULL;
	json_out_init(&r.out, out, false);
	if (r.parser == NULL)
		rc = err_set(err, ERR_INTERNAL, "libfyaml did not start");
	else if (has_directive(yaml))
		rc = err_set(err, ERR_PARAM,
		    "YAML: a line begins with %%; directives are not taken");
	else if (memchr(yaml.ptr != NULL ? yaml.ptr : "", '\0', yaml.len) !=
	    NULL)
		rc = err_set(err, ERR_PARAM, "YAML: a zero byte");
	else if (yaml.len == 0)
		json_out_null(&r.out), rc = 0;
	else if (fy_parser_set_string(r.parser, yaml.ptr, yaml.len) != 0)
		rc = broken(&r);
	else
		rc = write_document(&r);
	if (rc == 1) /* an end without a beginning: never by libfyaml */
		rc = broken(&r);
	if (rc != 0)
		out->len = before;
	fy_parser_destroy(r.parser);
	fy_diag_destroy(diag);
	buf_free(&r.said);
	return rc;
}
