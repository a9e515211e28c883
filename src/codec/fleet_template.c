/*
 * codec/fleet_template.c - what a module yields on a Linux: JSON with holes.
 *
 *    "{{key}}"               the value of a setting, as it is: text, number,
 * list "a {{key | filter}} b"  its text within another; "." is the row itself
 *    {$if: "key", $then: T, $else: T}   also $is: "value", or a list of them
 *    {$each: "list", $do: T}            T for each row; in a list they join it
 *    {$map: "list", $key: T, $value: T} an object of the rows
 *    {$text: [T, ...]}                  lines, each with its end
 *    {$line: [T, ...]}                  a line of words, with spaces between
 *
 * A value never becomes part of the template. What is put into a line of $text
 * must be one line, unless a filter says what else is to be done:
 *
 *    raw         as it is
 *    shell       in quotes of a POSIX shell
 *    systemd     in quotes of a unit file, without specifiers and variables
 *    environment the same for Environment=, which has no variables
 *    unit        one line of a unit file that is not quoted: % is %%
 *    hex         digits of its bytes
 *    name        of a file or a unit: what can not be in one is '-'
 *    lower       small letters
 *
 * A member or an item that has no value is left out.
 */
#include "codec/fleet_module_private.h"

#include "base/base.h"

#include <inttypes.h>
#include <string.h>

#define DEEP_MAX 32

/* Names and where they are looked up, the innermost first. */
struct scope {
	const struct scope *outer;
	struct str object; /* JSON; of a row that is none: "." */
	const struct fleet_kind *kinds;
	size_t n; /* of kinds */
};

struct engine {
	struct arena *a;
	struct err *err;
	int rc;
	unsigned deep;
	bool in_text; /* a line of $text */
};

static int
fail(struct engine *e, const char *what, struct str of)
{
	if (e->rc == 0)
		e->rc = err_set(e->err, ERR_PARAM, "%s: " STR_FMT, what,
		    (int)MIN_OF(of.len, 60), of.ptr);
	return e->rc;
}

static struct str
keep(struct engine *e, struct buf *b)
{
	struct str s = b->ptr != NULL ? arena_str(e->a, buf_str(b)) : STR("");

	buf_free(b);
	return s;
}

/* --- values --------------------------------------------------------------- */

/* Null, or nothing where nothing else is known. */
static bool
is_nothing(struct str value)
{
	return value.ptr == NULL || json_type_of(value) == JSON_NULL;
}

static struct str
look_up(struct engine *e, const struct scope *s, struct str path)
{
	struct str name = str_cut(&path, '.'), value = STR_NULL;

	if (name.len == 0)
		return s->object; /* "." */
	for (; s != NULL && is_nothing(value); s = s->outer) {
		const struct fleet_kind *k =
		    fleet_kind_find(s->kinds, s->n, name);

		value = json_find(e->a, s->object, name);
		if (is_nothing(value) && k != NULL)
			value = k->def;
		if (k != NULL)
			break; /* it hides those further out */
	}
	while (path.ptr != NULL && value.ptr != NULL)
		value = json_find(e->a, value, str_cut(&path, '.'));
	return is_nothing(value) ? STR_NULL : value;
}

/* Settings of the rows of a list. */
static const struct fleet_kind *
kind_of(const struct scope *s, struct str path)
{
	struct str name = str_cut(&path, '.');

	for (; s != NULL; s = s->outer) {
		const struct fleet_kind *k =
		    fleet_kind_find(s->kinds, s->n, name);

		if (k != NULL)
			return k;
	}
	return NULL;
}

/* The text of a value; of a number, and of true and false, their words. */
static struct str
text_of(struct engine *e, struct str value)
{
	struct json j;
	struct str s = value;

	json_open(&j, value, 0, e->a);
	switch (json_peek(&j)) {
	case JSON_STRING:
		json_str(&j, &s);
		break;
	case JSON_ARRAY:
	case JSON_OBJECT:
		fail(e, "a list or an object within a text", value);
		break;
	default:
		break;
	}
	return s;
}

static bool
is_true(struct engine *e, struct str value)
{
	struct json j;
	struct str s = STR_NULL;
	bool b = false;

	json_open(&j, value, 0, e->a);
	switch (json_peek(&j)) {
	case JSON_BOOL:
		return json_bool(&j, &b) && b;
	case JSON_STRING:
		return json_str(&j, &s) && s.len > 0;
	case JSON_ARRAY:
		return json_array(&j) && json_item(&j);
	case JSON_NUMBER:
		return true;
	case JSON_OBJECT:
		return true;
	default:
		return false;
	}
}

/* --- filters -------------------------------------------------------------- */

static void
put_raw(struct engine *e, struct buf *b, struct str s)
{
	(void)e;
	buf_add_str(b, s);
}

static void
put_line(struct engine *e, struct buf *b, struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] < ' ' || s.ptr[i] == 0x7f) {
			fail(e, "must be one line, without control characters",
			    s);
			return;
		}
	buf_add_str(b, s);
}

static void
put_shell(struct engine *e, struct buf *b, struct str s)
{
	(void)e;
	buf_addc(b, '\'');
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] == '\'')
			buf_addz(b, "'\\''");
		else
			buf_addc(b, s.ptr[i]);
	buf_addc(b, '\'');
}

static void
quote_unit(struct buf *b, struct str s, const char *twice)
{
	buf_addc(b, '"');
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (c != '\0' && strchr(twice, c) != NULL)
			buf_addf(b, "%c%c", c, c);
		else if (c == '"' || c == '\\')
			buf_addf(b, "\\%c", c);
		else if (c < ' ' || c == 0x7f)
			buf_addf(b, "\\x%02x", c);
		else
			buf_addc(b, (char)c);
	}
	buf_addc(b, '"');
}

static void
put_systemd(struct engine *e, struct buf *b, struct str s)
{
	(void)e;
	quote_unit(b, s, "%$");
}

static void
put_environment(struct engine *e, struct buf *b, struct str s)
{
	(void)e;
	quote_unit(b, s, "%");
}

static void
put_unit(struct engine *e, struct buf *b, struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] == '%')
			buf_addz(b, "%%");
		else
			put_line(e, b, (struct str){ s.ptr + i, 1 });
	/* it would go on in the next line */
	if (s.len > 0 && s.ptr[s.len - 1] == '\\')
		fail(e, "must not end with a backslash", s);
}

static void
put_hex(struct engine *e, struct buf *b, struct str s)
{
	(void)e;
	hex_encode(b, s.ptr, s.len);
}

static void
put_name(struct engine *e, struct buf *b, struct str s)
{
	(void)e;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];
		bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    (c >= '0' && c <= '9') || c == '_' || c == '-' ||
		    (i > 0 && c == '.');

		buf_addc(b, fine ? c : '-');
	}
}

static void
put_lower(struct engine *e, struct buf *b, struct str s)
{
	(void)e;
	for (size_t i = 0; i < s.len; i++)
		buf_addc(b,
		    s.ptr[i] >= 'A' && s.ptr[i] <= 'Z' ? s.ptr[i] + 32
						       : s.ptr[i]);
}

static const struct {
	const char *name;
	void (*put)(struct engine *e, struct buf *b, struct str s);
} filters[] = {
	{ "line", put_line },
	{ "raw", put_raw },
	{ "shell", put_shell },
	{ "systemd", put_systemd },
	{ "environment", put_environment },
	{ "unit", put_unit },
	{ "hex", put_hex },
	{ "name", put_name },
	{ "lower", put_lower },
};

static void
put_filtered(struct engine *e, struct buf *b, struct str filter, struct str s)
{
	if (s.len > 0 && memchr(s.ptr, '\0', s.len) != NULL)
		fail(e, "holds a zero byte", s);
	for (size_t i = 0; i < COUNT_OF(filters); i++)
		if (str_eqz(filter, filters[i].name)) {
			filters[i].put(e, b, s);
			return;
		}
	fail(e, "filter that is not known", filter);
}

/* --- texts with holes ----------------------------------------------------- */

static const char *
find(struct str s, const char *what)
{
	return s.len < 2 ? NULL : memmem(s.ptr, s.len, what, 2);
}

/* Cuts "text {{name | filter}} rest"; false: there is no hole. */
static bool
next_hole(
    struct str *s, struct str *before, struct str *name, struct str *filter)
{
	const char *from = find(*s, "{{"), *to;
	struct str in;

	if (from == NULL)
		return false;
	*before = (struct str){ s->ptr, (size_t)(from - s->ptr) };
	in = (struct str){ from + 2, s->len - before->len - 2 };
	to = find(in, "}}");
	if (to == NULL)
		return false;
	*s = (struct str){ to + 2, (size_t)(s->ptr + s->len - (to + 2)) };
	in.len = (size_t)(to - in.ptr);
	*name = str_trim(str_cut(&in, '|'));
	*filter = in.ptr != NULL ? str_trim(in) : STR_NULL;
	return true;
}

/* The value (JSON) of a text of the template; null: it has none. */
static struct str
fill(struct engine *e, const struct scope *s, struct str text)
{
	struct str rest = text, before, name, filter, value;
	struct buf b = { 0 }, json = { 0 };
	bool has = true;

	if (next_hole(&rest, &before, &name, &filter) && before.len == 0 &&
	    rest.len == 0 && filter.ptr == NULL && !e->in_text)
		return look_up(e, s, name);
	rest = text;
	while (next_hole(&rest, &before, &name, &filter)) {
		buf_add_str(&b, before);
		value = look_up(e, s, name);
		if (value.ptr == NULL) {
			has = false;
			continue;
		}
		if (filter.ptr == NULL)
			filter = e->in_text ? STR("line") : STR("raw");
		put_filtered(e, &b, filter, text_of(e, value));
		if (e->rc != 0) {
			err_wrap(e->err, "{{" STR_FMT "}}", STR_ARG(name));
			break;
		}
	}
	buf_add_str(&b, rest);
	if (!has) {
		buf_free(&b);
		return STR_NULL;
	}
	json_quote(&json, b.ptr != NULL ? buf_str(&b) : STR(""));
	buf_free(&b);
	return keep(e, &json);
}

/* --- the template --------------------------------------------------------- */

static struct str make(struct engine *e, const struct scope *s, struct str t);

/* Does the object begin with this? Then its members are the engine's. */
static bool
begins(struct str t, const char *word)
{
	struct json j;
	struct str key;

	json_open(&j, t, 0, NULL);
	return json_object(&j) && json_member(&j, &key) && str_eqz(key, word);
}

static struct str
part(struct engine *e, struct str t, const char *key)
{
	return json_find(e->a, t, str_of(key));
}

static struct str
path_of(struct engine *e, struct str t, const char *key)
{
	struct str raw = part(e, t, key), s = STR("");
	struct json j;

	json_open(&j, raw, 0, e->a);
	if (raw.ptr == NULL || !json_str(&j, &s))
		fail(e, "must be the name of a setting", str_of(key));
	return s;
}

static bool
is_one_of(struct engine *e, struct str value, struct str list)
{
	struct str s = text_of(e, value), item;
	struct json j;

	json_open(&j, list, 0, e->a);
	if (json_peek(&j) == JSON_STRING)
		return json_str(&j, &item) && str_eq(item, s);
	json_array(&j);
	while (json_item(&j))
		if (json_str(&j, &item) && str_eq(item, s))
			return true;
	return false;
}

static struct str
make_if(struct engine *e, const struct scope *s, struct str t)
{
	struct str path = path_of(e, t, "$if"), is = part(e, t, "$is"), value;
	bool no = path.len > 0 && path.ptr[0] == '!', holds;

	if (no)
		path = (struct str){ path.ptr + 1, path.len - 1 };
	value = look_up(e, s, path);
	holds = is.ptr == NULL ? value.ptr != NULL && is_true(e, value)
			       : value.ptr != NULL && is_one_of(e, value, is);
	t = part(e, t, holds != no ? "$then" : "$else");
	return t.ptr == NULL ? STR_NULL : make(e, s, t);
}

typedef void each_row(
    struct engine *e, const struct scope *row, struct str t, void *ctx);

static void
visit(struct engine *e, const struct scope *s, struct str path, struct str t,
    each_row *each, void *ctx)
{
	struct str list = look_up(e, s, path);
	const struct fleet_kind *k = kind_of(s, path);
	struct scope number = { .outer = s };
	struct scope row = { .outer = &number,
		.kinds = k != NULL ? k->of : NULL,
		.n = k != NULL ? k->n_of : 0 };
	struct json j;
	size_t i = 1;

	if (list.ptr == NULL)
		return;
	json_open(&j, list, 0, e->a);
	for (json_array(&j); e->rc == 0 && json_item(&j); i++) {
		if (!json_raw(&j, &row.object))
			break;
		number.object = arena_printf(e->a, "{\"number\":%zu}", i);
		if (json_type_of(row.object) != JSON_NULL)
			each(e, &row, t, ctx);
	}
}

static void
put_items(struct engine *e, struct json_out *o, struct str value)
{
	struct json j;
	struct str item;

	if (value.ptr == NULL)
		return;
	if (json_type_of(value) != JSON_ARRAY) {
		json_out_raw(o, value);
		return;
	}
	json_open(&j, value, 0, e->a);
	for (json_array(&j); json_item(&j);)
		if (json_raw(&j, &item))
			json_out_raw(o, item);
}

static void
add_row(struct engine *e, const struct scope *row, struct str t, void *ctx)
{
	put_items(e, ctx, make(e, row, part(e, t, "$do")));
}

static void
add_pair(struct engine *e, const struct scope *row, struct str t, void *ctx)
{
	struct json_out *o = ctx;
	struct str key = make(e, row, part(e, t, "$key"));
	struct str value = make(e, row, part(e, t, "$value"));

	if (key.ptr == NULL)
		return;
	json_out_key_str(o, text_of(e, key));
	json_out_raw(o, value.ptr != NULL ? value : STR("\"\""));
}

static struct str
make_each(struct engine *e, const struct scope *s, struct str t)
{
	struct buf b = { 0 };
	struct json_out o;

	json_out_init(&o, &b, false);
	json_out_array(&o);
	visit(e, s, path_of(e, t, "$each"), t, add_row, &o);
	json_out_end_array(&o);
	return keep(e, &b);
}

static struct str
make_map(struct engine *e, const struct scope *s, struct str t)
{
	struct buf b = { 0 };
	struct json_out o;

	json_out_init(&o, &b, false);
	json_out_object(&o);
	visit(e, s, path_of(e, t, "$map"), t, add_pair, &o);
	json_out_end_object(&o);
	return keep(e, &b);
}

static struct str
make_list(struct engine *e, const struct scope *s, struct str t)
{
	struct buf b = { 0 };
	struct json_out o;
	struct json j;
	struct str item;

	json_out_init(&o, &b, false);
	json_out_array(&o);
	json_open(&j, t, 0, e->a);
	for (json_array(&j); e->rc == 0 && json_item(&j);) {
		struct str value;

		if (!json_raw(&j, &item))
			break;
		value = make(e, s, item);
		if (begins(item, "$each") || begins(item, "$if"))
			put_items(e, &o, value);
		else if (value.ptr != NULL)
			json_out_raw(&o, value);
	}
	json_out_end_array(&o);
	return keep(e, &b);
}

static struct str
make_text(struct engine *e, const struct scope *s, struct str t)
{
	bool was = e->in_text;
	struct buf b = { 0 }, json = { 0 };
	struct str lines, line;
	struct json j;

	e->in_text = true;
	lines = make_list(e, s, part(e, t, "$text"));
	e->in_text = was;
	json_open(&j, lines, 0, e->a);
	for (json_array(&j); e->rc == 0 && json_item(&j);) {
		if (!json_raw(&j, &line))
			break;
		buf_add_str(&b, text_of(e, line));
		buf_addc(&b, '\n');
	}
	json_quote(&json, b.ptr != NULL ? buf_str(&b) : STR(""));
	buf_free(&b);
	return keep(e, &json);
}

static struct str
make_line(struct engine *e, const struct scope *s, struct str t)
{
	struct str words = make_list(e, s, part(e, t, "$line")), word;
	struct buf b = { 0 }, json = { 0 };
	struct json j;

	json_open(&j, words, 0, e->a);
	for (json_array(&j); e->rc == 0 && json_item(&j);) {
		if (!json_raw(&j, &word))
			break;
		if (b.len > 0)
			buf_addc(&b, ' ');
		buf_add_str(&b, text_of(e, word));
	}
	json_quote(&json, b.ptr != NULL ? buf_str(&b) : STR(""));
	buf_free(&b);
	return keep(e, &json);
}

static struct str
make_object(struct engine *e, const struct scope *s, struct str t)
{
	struct buf b = { 0 };
	struct json_out o;
	struct json j;
	struct str key, item;

	json_out_init(&o, &b, false);
	json_out_object(&o);
	json_open(&j, t, 0, e->a);
	for (json_object(&j); e->rc == 0 && json_member(&j, &key);) {
		struct str value;

		if (!json_raw(&j, &item))
			break;
		if (key.len > 0 && key.ptr[0] == '$')
			fail(e, "word of templates that is not known", key);
		value = make(e, s, item);
		if (value.ptr == NULL)
			continue;
		json_out_key_str(&o, key);
		json_out_raw(&o, value);
	}
	json_out_end_object(&o);
	return keep(e, &b);
}

static const struct {
	const char *word;
	struct str (*make)(
	    struct engine *e, const struct scope *s, struct str t);
} forms[] = {
	{ "$if", make_if },
	{ "$each", make_each },
	{ "$map", make_map },
	{ "$text", make_text },
	{ "$line", make_line },
};

/* Null: there is nothing. */
static struct str
make(struct engine *e, const struct scope *s, struct str t)
{
	struct str ret = STR_NULL, text;
	struct json j;

	if (e->rc != 0 || t.ptr == NULL)
		return STR_NULL;
	if (++e->deep > DEEP_MAX)
		fail(e, "nested too deeply", t);
	json_open(&j, t, 0, e->a);
	switch (json_peek(&j)) {
	case JSON_STRING:
		if (json_str(&j, &text))
			ret = fill(e, s, text);
		break;
	case JSON_ARRAY:
		ret = make_list(e, s, t);
		break;
	case JSON_OBJECT:
		for (size_t i = 0; i < COUNT_OF(forms); i++)
			if (begins(t, forms[i].word)) {
				ret = forms[i].make(e, s, t);
				e->deep--;
				return ret;
			}
		ret = make_object(e, s, t);
		break;
	case JSON_NULL:
		break;
	default:
		ret = t;
	}
	e->deep--;
	return ret;
}

int
fleet_template(const struct fleet_module *m, struct str settings,
    struct str vars, struct arena *a, struct str *ret, struct err *err)
{
	struct err own = { 0 };
	struct engine e = { .a = a, .err = err != NULL ? err : &own };
	struct scope outer = { .object = vars };
	struct scope scope = { &outer, settings, m->settings, m->n_settings };
	struct str made;

	e.err->text[0] = '\0';
	made = make(&e, &scope, m->yields);
	if (e.rc != 0)
		return err_wrap(err, STR_FMT, STR_ARG(m->type));
	*ret = made.ptr != NULL ? made : STR("{}");
	return 0;
}
