/*
 * codec/toml_edit.c - changes one value of a text: see toml.h. The reader has
 * noted where everything stands; all that is done here is to put other bytes in
 * one place.
 */
#include "codec/toml_private.h"

#include <string.h>

void
toml_quote(struct buf *out, struct str text)
{
	buf_addc(out, '"');
	for (size_t i = 0; i < text.len; i++) {
		char c = text.ptr[i];

		if (c == '"' || c == '\\')
			buf_addf(out, "\\%c", c);
		else if (c == '\n')
			buf_addz(out, "\\n");
		else if (c == '\t')
			buf_addz(out, "\\t");
		else if ((unsigned char)c < 0x20 || c == 0x7f)
			buf_addf(out, "\\u%04X", (unsigned)c);
		else
			buf_addc(out, c);
	}
	buf_addc(out, '"');
}

void
toml_key(struct buf *out, struct str key)
{
	bool plain = key.len > 0;

	for (size_t i = 0; i < key.len; i++) {
		char c = key.ptr[i];

		plain = plain &&
		    ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			(c >= '0' && c <= '9') || c == '-' || c == '_');
	}
	if (plain)
		buf_add_str(out, key);
	else
		toml_quote(out, key);
}

static void
add_path(struct buf *out, struct strs path)
{
	for (size_t i = 0; i < path.n; i++) {
		if (i > 0)
			buf_addc(out, '.');
		toml_key(out, path.at[i]);
	}
}

/* `text` with [from, to) replaced. */
static void
splice(struct buf *out, struct str text, size_t from, size_t to,
    struct str instead)
{
	buf_add(out, text.ptr, from);
	buf_add_str(out, instead);
	buf_add(out, text.ptr + to, text.len - to);
}

/* Where the line ends that `from` stands on, behind its "\n". */
static size_t
line_after(struct str text, size_t from)
{
	const char *nl = memchr(text.ptr + from, '\n', text.len - from);

	return nl == NULL ? text.len : (size_t)(nl - text.ptr) + 1;
}

static size_t
line_before(struct str text, size_t from)
{
	while (from > 0 && text.ptr[from - 1] != '\n')
		from--;
	return from;
}

static void
take_away(struct buf *out, struct str text, const struct toml *v)
{
	if (v->to == 0) { /* it has a line of its own, or some */
		splice(out, text, line_before(text, v->head),
		    line_after(text, v->end), STR(""));
	} else if (v->to < text.len && text.ptr[v->to] == ',') {
		splice(out, text, v->from, (size_t)v->to + 1, STR(""));
	} else if (text.ptr[v->from - 1] == ',') {
		splice(out, text, (size_t)v->from - 1, v->end, STR(""));
	} else {
		splice(out, text, v->head, v->end, STR(""));
	}
}

/* A line `rest = value` at the end of a section, whose last line may lack its
 * end; or at the beginning of the text. */
static void
add_line(struct buf *out, struct str text, size_t place, struct strs rest,
    struct str value, const char *nl)
{
	struct buf line = { 0 };

	if (place > 0 && text.ptr[place - 1] != '\n')
		buf_addz(&line, nl);
	add_path(&line, rest);
	buf_addz(&line, " = ");
	buf_add_str(&line, value);
	buf_addz(&line, nl);
	splice(out, text, place, place, buf_str(&line));
	buf_free(&line);
}

static void
add_section(struct buf *out, struct str text, struct strs path,
    struct str value, const char *nl)
{
	buf_add_str(out, text);
	if (text.len > 0 && text.ptr[text.len - 1] != '\n')
		buf_addz(out, nl);
	if (text.len > 0)
		buf_addz(out, nl);
	buf_addc(out, '[');
	add_path(out, (struct strs){ path.at, path.n - 1 });
	buf_addf(out, "]%s", nl);
	toml_key(out, path.at[path.n - 1]);
	buf_addz(out, " = ");
	buf_add_str(out, value);
	buf_addz(out, nl);
}

/* Within braces: behind the last pair, if there is one. */
static void
add_pair(struct buf *out, struct str text, const struct toml *table,
    struct strs rest, struct str value)
{
	size_t place = (size_t)table->end - 1;
	struct buf pair = { 0 };

	while (text.ptr[place - 1] == ' ' || text.ptr[place - 1] == '\t')
		place--;
	buf_addz(&pair, text.ptr[place - 1] == '{' ? " " : ", ");
	add_path(&pair, rest);
	buf_addz(&pair, " = ");
	buf_add_str(&pair, value);
	if ((size_t)table->end - 1 == place)
		buf_addc(&pair, ' ');
	splice(out, text, place, place, buf_str(&pair));
	buf_free(&pair);
}

static void
add(struct buf *out, struct str text, const struct toml *root, struct strs path,
    struct str value)
{
	const char *nl = text.len > 0 && memmem(text.ptr, text.len, "\r\n", 2)
	    ? "\r\n"
	    : "\n";
	const struct toml *t = root, *line = root;
	size_t depth = 0, line_depth = 0;

	while (depth + 1 < path.n) {
		const struct toml *next = toml_find(t, path.at[depth]);

		if (next == NULL)
			break;
		t = next;
		depth++;
		if (t->made == HEADER || (t->made == CLOSED && t->end > 0)) {
			line = t;
			line_depth = depth;
		}
	}
	path.at += line_depth;
	path.n -= line_depth;
	if (line->made == CLOSED)
		add_pair(out, text, line, path, value);
	else if (depth == line_depth + path.n - 1 && t->made != IMPLICIT)
		add_line(out, text, line->tail, path, value, nl);
	else if (t->made == DOTTED)
		add_line(out, text, line->tail, path, value, nl);
	else
		add_section(out, text,
		    (struct strs){ path.at - line_depth, path.n + line_depth },
		    value, nl);
}

int
toml_set(struct str text, struct strs path, struct str value, struct buf *out,
    struct err *err)
{
	struct arena a = { 0 };
	struct toml *root, *v;
	int rc = toml_read(&a, text, &root, err);

	if (rc != 0)
		goto done;
	v = root;
	for (size_t i = 0; i < path.n && v != NULL; i++) {
		if (v->type != TOML_TABLE) {
			rc = err_set(err, ERR_PARAM,
			    "line %u: \"" STR_FMT "\" is no table", v->line,
			    STR_ARG(v->key));
			goto done;
		}
		v = toml_find(v, path.at[i]);
	}
	if (v != NULL && v->type == TOML_TABLE && v->made != CLOSED)
		rc = err_set(err, ERR_PARAM,
		    "line %u: \"" STR_FMT "\" is a table, not a value", v->line,
		    STR_ARG(v->key));
	else if (v != NULL && value.ptr == NULL)
		take_away(out, text, v);
	else if (v != NULL)
		splice(out, text, v->begin, v->end, value);
	else if (value.ptr == NULL)
		buf_add_str(out, text);
	else
		add(out, text, root, path, value);
done:
	arena_fini(&a);
	return rc;
}
