/*
 * base/conf.c - see conf.h.
 *
 * Each row becomes an `item` that collects at most one text per source; those
 * of CONF_LIVE it owns, the others lie in the arena. Flags
 * and variables are matched by their bare letters ("serverhttpport"), keys of
 * a file by the key itself or an alias.
 */
#include "base/conf.h"

#include "base/base.h"
#include "base/map.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SOURCES 5

struct item {
	const struct conf_section *section;
	const struct conf_field *field;
	struct str key;           /* whole */
	struct str letters;       /* of the key, for flags and variables */
	struct str text[SOURCES]; /* ptr NULL: not given */
	struct str said[SOURCES]; /* the spelling that was used */
	bool null_in_file;
	enum conf_source source;
};

struct conf {
	const struct conf_section *sections;
	struct arena arena;
	struct item *items;
	size_t n;
	struct map by_key, by_letters;
	struct strs warnings;
};

static void warn(struct conf *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void
warn(struct conf *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	c->warnings.at = mem_resize(
	    c->warnings.at, c->warnings.n + 1, sizeof(*c->warnings.at));
	c->warnings.at[c->warnings.n++] = arena_vprintf(&c->arena, fmt, ap);
	va_end(ap);
}

/* Lower-case letters and digits only. */
static struct str
letters_of(struct arena *a, struct str s)
{
	char *p = arena_alloc(a, s.len + 1);
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++) {
		char ch = s.ptr[i];

		if (ch >= 'A' && ch <= 'Z')
			ch = (char)(ch + 'a' - 'A');
		if ((ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9'))
			p[n++] = ch;
	}
	return (struct str){ p, n };
}

static const char *
flag_of(const struct item *it, struct arena *a)
{
	struct buf b = { 0 };
	const char *flag;

	if (it->field->flag != NULL)
		return it->field->flag;
	for (size_t i = 0; i < it->key.len; i++) {
		char ch = it->key.ptr[i];

		if (ch >= 'A' && ch <= 'Z') {
			buf_addc(&b, '-');
			ch = (char)(ch + 'a' - 'A');
		}
		buf_addc(&b, ch);
	}
	flag = arena_z(a, buf_str(&b));
	buf_free(&b);
	return flag;
}

static const char *
env_of(const struct item *it, struct arena *a)
{
	struct buf b = { 0 };
	const char *env;

	for (size_t i = 0; i < it->key.len; i++) {
		char ch = it->key.ptr[i];

		if (ch >= 'A' && ch <= 'Z')
			buf_addc(&b, '_');
		else if (ch >= 'a' && ch <= 'z')
			ch = (char)(ch - 'a' + 'A');
		buf_addc(&b, ch == '.' ? '_' : ch);
	}
	env = arena_z(a, buf_str(&b));
	buf_free(&b);
	return env;
}

static void
index_item(struct conf *c, struct item *it)
{
	it->letters = letters_of(&c->arena, it->key);
	map_put(&c->by_key, it->key, it);
	map_put(&c->by_letters, it->letters, it);
	if (it->field->flag != NULL)
		map_put(&c->by_letters,
		    letters_of(&c->arena, str_of(it->field->flag)), it);
	if (it->field->also != NULL) {
		map_put(&c->by_key, str_of(it->field->also), it);
		map_put(&c->by_letters,
		    letters_of(&c->arena, str_of(it->field->also)), it);
	}
	for (const char *const *a = it->field->alias; a != NULL && *a != NULL;
	     a++) {
		map_put(&c->by_key, str_of(*a), it);
		map_put(&c->by_letters, letters_of(&c->arena, str_of(*a)), it);
	}
}

struct conf *
conf_new(const struct conf_section *sections)
{
	struct conf *c = mem_new(struct conf);
	size_t i = 0;

	c->sections = sections;
	for (const struct conf_section *s = sections; s->prefix != NULL; s++)
		for (const struct conf_field *f = s->fields; f->key != NULL;
		     f++)
			c->n++;
	c->items = mem_array(c->n, sizeof(*c->items));
	for (const struct conf_section *s = sections; s->prefix != NULL; s++)
		for (const struct conf_field *f = s->fields; f->key != NULL;
		     f++) {
			struct item *it = &c->items[i++];

			it->section = s;
			it->field = f;
			it->key =
			    arena_printf(&c->arena, "%s.%s", s->prefix, f->key);
			index_item(c, it);
		}
	return c;
}

void
conf_free(struct conf *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < c->n; i++)
		str_free(c->items[i].text[CONF_LIVE]);
	map_fini(&c->by_key);
	map_fini(&c->by_letters);
	free(c->items);
	free(c->warnings.at);
	arena_fini(&c->arena);
	free(c);
}

/* --- the three sources --------------------------------------------------- */

static void
give(struct conf *c, struct item *it, enum conf_source source, struct str said,
    struct str text)
{
	it->text[source] = arena_str(&c->arena, text);
	it->said[source] = arena_str(&c->arena, said);
}

static void
warn_misprint(struct conf *c, const struct item *it, struct str said)
{
	for (const char *const *a = it->field->alias; a != NULL && *a != NULL;
	     a++)
		if (str_eq_nocase(said, str_of(*a)))
			warn(c, "%s: this setting is called " STR_FMT, *a,
			    STR_ARG(it->key));
}

static bool
is_below(struct str key, struct str group)
{
	return key.len > group.len && str_starts(key, group) &&
	    key.ptr[group.len] == '.';
}

bool
conf_is_group(const struct conf *c, struct str key)
{
	for (size_t i = 0; i < c->n; i++) {
		const struct item *it = &c->items[i];

		if (is_below(it->key, key) ||
		    is_below(str_of(it->field->also), key))
			return true;
		for (const char *const *a = it->field->alias;
		     a != NULL && *a != NULL; a++)
			if (is_below(str_of(*a), key))
				return true;
	}
	return false;
}

int
conf_file_value(struct conf *c, struct str key, struct str value, bool null,
    struct err *err)
{
	struct item *it = map_get(&c->by_key, key);
	struct str rest = key;
	struct str head = str_cut(&rest, '.');

	(void)err;
	if (it == NULL) {
		for (const struct conf_section *s = c->sections;
		     s->prefix != NULL; s++)
			if (str_eqz(head, s->prefix)) {
				warn(c,
				    STR_FMT ": there is no such setting; it "
					    "has no effect",
				    STR_ARG(key));
				break;
			}
		return 0;
	}
	warn_misprint(c, it, key);
	it->null_in_file = null;
	if (!null)
		give(c, it, CONF_FILE, key, value);
	return 0;
}

int
conf_flag_value(
    struct conf *c, const char *key, struct str value, struct err *err)
{
	struct item *it = map_get(&c->by_key, str_of(key));

	if (it == NULL)
		return err_set(err, ERR_INTERNAL, "%s: no such setting", key);
	give(c, it, CONF_FLAG, arena_printf(&c->arena, "--%s", key), value);
	return 0;
}

int
conf_flag(struct conf *c, int argc, char **argv, int *i, struct err *err)
{
	struct arena scratch = { 0 };
	struct str name, value;
	struct item *it;
	int rc = 0;

	if (strncmp(argv[*i], "--", 2) != 0)
		return 0;
	value = str_of(argv[*i] + 2);
	name = str_cut(&value, '=');
	if (memchr(name.ptr, '.', name.len) == NULL)
		goto done; /* all of ours have a section */
	it = map_get(&c->by_letters, letters_of(&scratch, name));
	if (it == NULL)
		goto done;
	rc = 1;
	warn_misprint(c, it, name);
	if (value.ptr == NULL) {
		bool has_next =
		    *i + 1 < argc && strncmp(argv[*i + 1], "--", 2) != 0;

		if (has_next)
			value = str_of(argv[++*i]);
		else if (it->field->type == CONF_TYPE_BOOL)
			value = STR("true");
		else
			rc = err_set(err, ERR_PARAM,
			    "--" STR_FMT ": a value must follow",
			    STR_ARG(name));
	}
	if (rc == 1)
		give(c, it, CONF_FLAG,
		    arena_printf(&c->arena, "--" STR_FMT, STR_ARG(name)),
		    value);
done:
	arena_fini(&scratch);
	return rc;
}

void
conf_environ(struct conf *c, char **env)
{
	for (; *env != NULL; env++) {
		struct str value = str_of(*env);
		struct str name = str_cut(&value, '=');
		struct arena scratch = { 0 };
		struct item *it;

		if (value.ptr != NULL &&
		    memchr(name.ptr, '_', name.len) != NULL) {
			it =
			    map_get(&c->by_letters, letters_of(&scratch, name));
			if (it != NULL)
				give(c, it, CONF_ENV, name, value);
		}
		arena_fini(&scratch);
	}
}

/* --- from text to value -------------------------------------------------- */

struct suffix {
	const char *word;
	int64_t factor;
};

static const struct suffix sizes[] = { { "KiB", 1024 }, { "MiB", 1 << 20 },
	{ "GiB", 1 << 30 }, { "kB", 1000 }, { "MB", 1000000 },
	{ "GB", 1000000000 }, { "B", 1 }, { "", 1 }, { NULL, 0 } };
static const struct suffix spans[] = { { "ms", 1 }, { "s", 1000 },
	{ "m", 60000 }, { "h", 3600000 }, { "d", 86400000 }, { "", 1 },
	{ NULL, 0 } };
static const struct suffix plain[] = { { "", 1 }, { NULL, 0 } };

static int
number(
    const struct conf_field *f, struct str text, int64_t *ret, struct err *err)
{
	const struct suffix *all = f->type == CONF_TYPE_SIZE ? sizes
	    : f->type == CONF_TYPE_MS                        ? spans
							     : plain;
	int64_t max = f->min == 0 && f->max == 0 ? INT64_MAX : f->max;
	struct str digits = text, unit;
	int64_t n;

	digits.len = 0;
	while (digits.len < text.len &&
	    ((text.ptr[digits.len] >= '0' && text.ptr[digits.len] <= '9') ||
		(digits.len == 0 && text.ptr[0] == '-')))
		digits.len++;
	unit = (struct str){ text.ptr + digits.len, text.len - digits.len };
	for (; all->word != NULL && !str_eqz(str_trim(unit), all->word); all++)
		;
	if (all->word == NULL || !str_to_i64(digits, &n) ||
	    __builtin_mul_overflow(n, all->factor, &n))
		return err_set(err, ERR_PARAM, "\"" STR_FMT "\" is not a %s",
		    STR_ARG(text),
		    f->type == CONF_TYPE_SIZE     ? "size (bytes, or 64KiB)"
			: f->type == CONF_TYPE_MS ? "time (ms, or 30s, 5m, 1h)"
						  : "whole number");
	if (n < f->min || n > max)
		return err_set(err, ERR_PARAM,
		    "must be %" PRId64 " to %" PRId64, f->min, max);
	*ret = n;
	return 0;
}

static int
choice(
    const struct conf_field *f, struct str text, int64_t *ret, struct err *err)
{
	struct buf all = { 0 };

	for (int i = 0; f->choices[i] != NULL; i++) {
		if (str_eqz(text, f->choices[i])) {
			*ret = i;
			buf_free(&all);
			return 0;
		}
		buf_addf(&all, "%s%s", i > 0 ? ", " : "", f->choices[i]);
	}
	err_set(err, ERR_PARAM, "\"" STR_FMT "\" must be one of %s",
	    STR_ARG(text), buf_z(&all));
	buf_free(&all);
	return ERR_PARAM;
}

static int
store(const struct item *it, struct str text, struct err *err)
{
	const struct conf_field *f = it->field;
	char *at = (char *)it->section->values + f->offset;
	struct str t = str_trim(text);
	int rc;

	switch (f->type) {
	case CONF_TYPE_TEXT:
		if (f->check != NULL && text.len > 0) {
			rc = f->check(text, err);
			if (rc != 0)
				return rc;
		}
		*(struct str *)(void *)at = text;
		return 0;
	case CONF_TYPE_JSON:
		if (t.len < 2 || t.ptr[0] != '{' || t.ptr[t.len - 1] != '}')
			return err_set(
			    err, ERR_PARAM, "must be an object as JSON text");
		*(struct str *)(void *)at = t;
		return 0;
	case CONF_TYPE_BOOL:
		if (!str_eqz(t, "true") && !str_eqz(t, "false"))
			return err_set(err, ERR_PARAM,
			    "\"" STR_FMT "\" must be true or false",
			    STR_ARG(t));
		*(bool *)(void *)at = t.ptr[0] == 't';
		return 0;
	case CONF_TYPE_ENUM:
		return choice(f, t, (int64_t *)(void *)at, err);
	case CONF_TYPE_INT:
	case CONF_TYPE_SIZE:
	case CONF_TYPE_MS:
		return number(f, t, (int64_t *)(void *)at, err);
	}
	return err_set(err, ERR_INTERNAL, "a row without a type");
}

static void
store_default(struct conf *c, struct item *it)
{
	struct err err;

	it->source = CONF_DEFAULT;
	if (it->field->def == NULL)
		return;
	if (store(it, str_of(it->field->def), &err) != 0)
		warn(
		    c, STR_FMT ": bad default: %s", STR_ARG(it->key), err.text);
}

static int
apply(struct conf *c, struct item *it, struct err *err)
{
	int from = CONF_FILE, rc;

	store_default(c, it);
	while (from > CONF_DEFAULT && it->text[from].ptr == NULL)
		from--;
	if (it->null_in_file || from == CONF_FILE)
		for (int lost = CONF_FLAG; lost >= CONF_ENV; lost--)
			if (it->text[lost].ptr != NULL &&
			    (it->null_in_file ||
				!str_eq(it->text[lost], it->text[CONF_FILE])))
				warn(c,
				    STR_FMT
				    " has no effect: the file sets " STR_FMT,
				    STR_ARG(it->said[lost]), STR_ARG(it->key));
	if (it->null_in_file)
		return 0;
	if (from == CONF_DEFAULT)
		return 0;
	it->source = (enum conf_source)from;
	if (it->field->inert != NULL &&
	    !str_eqz(it->text[from], it->field->def))
		warn(c, STR_FMT " has no effect: %s", STR_ARG(it->key),
		    it->field->inert);
	rc = store(it, it->text[from], err);
	if (rc == 0)
		return 0;
	if (from == CONF_ENV || it->field->fallback) {
		warn(c, STR_FMT ": %s; the default is used",
		    STR_ARG(it->said[from]), err->text);
		it->text[from] = STR_NULL;
		store_default(c, it);
		return 0;
	}
	return err_wrap(err, STR_FMT, STR_ARG(it->said[from]));
}

int
conf_apply(struct conf *c, struct err *err)
{
	struct err own;

	if (err == NULL)
		err = &own;
	for (size_t i = 0; i < c->n; i++) {
		int rc = apply(c, &c->items[i], err);

		if (rc != 0)
			return rc;
	}
	return 0;
}

void
conf_warnings(
    const struct conf *c, void (*each)(void *ctx, const char *text), void *ctx)
{
	for (size_t i = 0; i < c->warnings.n; i++)
		each(ctx, c->warnings.at[i].ptr);
}

/* --- changed while the program runs -------------------------------------- */

static struct item *
live_item(const struct conf *c, struct str key)
{
	struct item *it = map_get(&c->by_key, key);

	return it != NULL && it->field->live && str_eq(it->key, key) ? it
								     : NULL;
}

/* Where its value comes from when nothing was set since. */
static enum conf_source
start_source(const struct item *it)
{
	int from = CONF_FILE;

	if (it->null_in_file)
		return CONF_DEFAULT;
	while (from > CONF_DEFAULT && it->text[from].ptr == NULL)
		from--;
	return (enum conf_source)from;
}

static struct str
start_text(const struct item *it)
{
	enum conf_source from = start_source(it);

	return from != CONF_DEFAULT ? it->text[from] : str_of(it->field->def);
}

/* What conf_apply() has stored: a bad variable gave way to the default. */
static void
back_to_start(struct conf *c, struct item *it)
{
	if (it->field->type == CONF_TYPE_TEXT)
		*(struct str *)(void *)((char *)it->section->values +
		    it->field->offset) = STR_NULL;
	it->source = start_source(it);
	if (it->source == CONF_DEFAULT ||
	    store(it, it->text[it->source], NULL) != 0)
		store_default(c, it);
}

int
conf_set_live(struct conf *c, struct str key, struct str text, struct err *err)
{
	struct item *it = live_item(c, key);
	struct str copy;
	int rc;

	if (it == NULL)
		return err_set(err, ERR_NOT_FOUND,
		    STR_FMT ": no setting that can be changed while the "
			    "program runs",
		    STR_ARG(key));
	if (text.ptr == NULL) {
		back_to_start(c, it);
		copy = STR_NULL;
	} else {
		copy = str_copy(text);
		rc = store(it, copy, err);
		if (rc != 0) {
			str_free(copy);
			return rc;
		}
		it->source = CONF_LIVE;
	}
	str_free(it->text[CONF_LIVE]);
	it->text[CONF_LIVE] = copy;
	return 0;
}

static struct conf_state
state_of(const struct item *it)
{
	return (struct conf_state){ .field = it->field,
		.key = it->key,
		.value = it->source == CONF_LIVE ? it->text[CONF_LIVE]
						 : start_text(it),
		.start = start_text(it),
		.source = it->source };
}

bool
conf_live_state(const struct conf *c, struct str key, struct conf_state *ret)
{
	const struct item *it = live_item(c, key);

	if (it != NULL)
		*ret = state_of(it);
	return it != NULL;
}

void
conf_each_live(const struct conf *c,
    void (*each)(void *ctx, const struct conf_state *s), void *ctx)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->items[i].field->live) {
			struct conf_state s = state_of(&c->items[i]);

			each(ctx, &s);
		}
}

const char *const conf_type_names[] = { [CONF_TYPE_TEXT] = "text",
	[CONF_TYPE_INT] = "number",
	[CONF_TYPE_BOOL] = "boolean",
	[CONF_TYPE_ENUM] = "choice",
	[CONF_TYPE_JSON] = "object",
	[CONF_TYPE_SIZE] = "size",
	[CONF_TYPE_MS] = "time",
	NULL };
const char *const conf_source_names[] = { [CONF_DEFAULT] = "default",
	[CONF_ENV] = "environment",
	[CONF_FLAG] = "flag",
	[CONF_FILE] = "file",
	[CONF_LIVE] = "runtime",
	NULL };

static const struct item *
item_of(const struct conf *c, const char *key)
{
	return map_get(&c->by_key, str_of(key));
}

enum conf_source
conf_source_of(const struct conf *c, const char *key)
{
	const struct item *it = item_of(c, key);

	return it != NULL ? it->source : CONF_DEFAULT;
}

bool
conf_is_null(const struct conf *c, const char *key)
{
	const struct item *it = item_of(c, key);

	return it != NULL && it->null_in_file;
}

/* --- what people read ---------------------------------------------------- */

static void
sample_value(struct buf *out, const struct conf_field *f)
{
	bool bare = f->type == CONF_TYPE_INT || f->type == CONF_TYPE_BOOL ||
	    f->type == CONF_TYPE_JSON;
	const char *def = f->def;

	if (def == NULL)
		buf_addz(out, "null");
	else if (bare)
		buf_addz(out, def);
	else
		buf_addf(out, "\"%s\"", def);
}

static void
wrapped(struct buf *out, size_t indent, const char *mark, const char *text)
{
	size_t column = 0;

	while (*text != '\0') {
		size_t word = strcspn(text, " ");

		if (column == 0 || column + 1 + word > 78) {
			if (column > 0)
				buf_addc(out, '\n');
			for (size_t i = 0; i < indent; i++)
				buf_addc(out, ' ');
			buf_addz(out, mark);
			column = indent + strlen(mark);
		} else {
			buf_addc(out, ' ');
			column++;
		}
		buf_add(out, text, word);
		column += word;
		text += word + (text[word] == ' ' ? 1 : 0);
	}
	buf_addc(out, '\n');
}

static void
choices_line(struct buf *out, const struct conf_field *f)
{
	if (f->choices == NULL)
		return;
	for (int i = 0; f->choices[i] != NULL; i++)
		buf_addf(out, "%s%s", i > 0 ? ", " : "", f->choices[i]);
}

static void
sample_row(struct buf *out, const struct item *it, struct str name, int indent)
{
	wrapped(out, (size_t)indent, "// ", it->field->help);
	if (it->field->choices != NULL) {
		buf_addf(out, "%*s// One of: ", indent, "");
		choices_line(out, it->field);
		buf_addc(out, '\n');
	}
	buf_addf(out, "%*s//\"" STR_FMT "\": ", indent, "", STR_ARG(name));
	sample_value(out, it->field);
	buf_addz(out, ",\n");
}

#define DEPTH_MAX 8

static size_t
split(struct str key, struct str part[DEPTH_MAX])
{
	size_t n = 0;

	while (key.ptr != NULL && n < DEPTH_MAX)
		part[n++] = str_cut(&key, '.');
	return n;
}

void
conf_sample(const struct conf *c, struct buf *out)
{
	const struct conf_section *section = NULL;
	struct str open[DEPTH_MAX] = { 0 }; /* groups entered */
	size_t depth = 0;

	buf_addz(out,
	    "// Every setting of marram, with its default. JSON5: comments "
	    "and\n"
	    "// trailing commas are welcome. Take away the // before a value "
	    "to\n"
	    "// set it.\n{\n");
	for (size_t i = 0; i < c->n; i++) {
		const struct item *it = &c->items[i];
		struct str part[DEPTH_MAX], unused[DEPTH_MAX];
		size_t n = split(it->key, part), same = 0;
		size_t top = split(str_of(it->section->prefix), unused);

		if (it->section->repeats)
			continue;
		while (same < depth && same + 1 < n &&
		    str_eq(open[same], part[same]))
			same++;
		if (it->section != section && same >= top)
			same = top - 1;
		for (; depth > same; depth--)
			buf_addf(out, "%*s},\n", (int)depth * 4, "");
		for (; depth + 1 < n; depth++) {
			int indent = (int)(depth + 1) * 4;

			if (depth + 1 == top) {
				buf_addc(out, '\n');
				wrapped(out, (size_t)indent, "// ",
				    it->section->help);
			}
			open[depth] = part[depth];
			buf_addf(out, "%*s\"" STR_FMT "\": {\n", indent, "",
			    STR_ARG(part[depth]));
		}
		section = it->section;
		sample_row(out, it, part[n - 1], (int)(depth + 1) * 4);
	}
	for (; depth > 0; depth--)
		buf_addf(out, "%*s},\n", (int)depth * 4, "");
	buf_addz(out, "}\n");
}

void
conf_usage(const struct conf *c, struct buf *out)
{
	struct arena a = { 0 };

	for (size_t i = 0; i < c->n; i++) {
		const struct item *it = &c->items[i];

		if (it->section->repeats)
			continue;
		buf_addf(out, "  --%s\n", flag_of(it, &a));
		wrapped(out, 8, "", it->field->help);
		if (it->field->choices != NULL) {
			buf_addz(out, "        One of: ");
			choices_line(out, it->field);
			buf_addc(out, '\n');
		}
		if (it->field->def != NULL && it->field->def[0] != '\0')
			buf_addf(out, "        Default: %s\n", it->field->def);
	}
	arena_fini(&a);
}

void
conf_reference(const struct conf *c, struct buf *out)
{
	const struct conf_section *section = NULL;
	struct arena a = { 0 };

	for (size_t i = 0; i < c->n; i++) {
		const struct item *it = &c->items[i];

		if (it->section->repeats)
			continue;
		if (it->section != section) {
			section = it->section;
			buf_addf(out, "\n## %s\n\n%s\n\n", section->prefix,
			    section->help);
			buf_addz(out,
			    "| Key | Flag | Environment | Default | "
			    "What it does |\n|---|---|---|---|---|\n");
		}
		buf_addf(out, "| `" STR_FMT "` | `--%s` | `%s` | ",
		    STR_ARG(it->key), flag_of(it, &a), env_of(it, &a));
		if (it->field->def != NULL && it->field->def[0] != '\0')
			buf_addf(out, "`%s`", it->field->def);
		else
			buf_addz(out, "–");
		buf_addf(out, " | %s", it->field->help);
		if (it->field->choices != NULL) {
			buf_addz(out, " One of: ");
			choices_line(out, it->field);
			buf_addc(out, '.');
		}
		if (it->field->live)
			buf_addz(out, " *Live.*");
		buf_addz(out, " |\n");
	}
	arena_fini(&a);
}
