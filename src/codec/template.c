/*
 * codec/template.c - see template.h.
 *
 * One walk over the text, the same for checking and for rendering: checking is
 * rendering into nothing. Every {% if %} that is open has a level; text and
 * values are written only while all levels show their current branch.
 */
#include "codec/template.h"

#include "base/base.h"

#include <string.h>

#define DEPTH_MAX 16 /* {% if %} within {% if %} */

struct level {
	bool outer; /* what surrounds it is shown */
	bool shown; /* the branch we are in */
	bool taken; /* some branch was shown already */
	bool last;  /* behind {% else %} */
};

struct walk {
	const char *start, *p, *end;
	struct buf *out; /* NULL: only check */
	const struct template_var *vars;
	size_t n_vars;
	struct level levels[DEPTH_MAX + 1]; /* [0]: outside of all ifs */
	size_t depth;
	bool cut;        /* "-%}": white space that follows goes */
	const char *why; /* what is wrong; NULL while all is well */
};

/* What a tag consists of. */
enum token { END, NAME, TEXT, EQ, NE, BAR, BAD };

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool
is_word(char c, bool first)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
	    (!first && c >= '0' && c <= '9');
}

static bool
fail(struct walk *w, const char *why)
{
	if (w->why == NULL)
		w->why = why;
	return false;
}

static bool
starts(const struct walk *w, const char *text)
{
	size_t len = strlen(text);

	return (size_t)(w->end - w->p) >= len && memcmp(w->p, text, len) == 0;
}

/* The closing mark of a tag, with or without "-" before it. */
static bool
take_mark(struct walk *w, const char *mark)
{
	bool cut = starts(w, "-");

	if (cut)
		w->p++;
	if (!starts(w, mark)) {
		w->p -= cut;
		return false;
	}
	w->p += strlen(mark);
	w->cut = cut;
	return true;
}

static enum token
quoted(struct walk *w, struct str *text)
{
	const char *close =
	    memchr(w->p + 1, *w->p, (size_t)(w->end - w->p - 1));

	if (close == NULL) {
		fail(w, "a text has no closing quote");
		return BAD;
	}
	*text = (struct str){ w->p + 1, (size_t)(close - w->p - 1) };
	if (memchr(text->ptr, '\\', text->len) != NULL) {
		fail(w, "\"\\\" in a text is not supported");
		return BAD;
	}
	w->p = close + 1;
	return TEXT;
}

static enum token
next_token(struct walk *w, const char *mark, struct str *text)
{
	while (w->p < w->end && is_space(*w->p))
		w->p++;
	if (take_mark(w, mark))
		return END;
	if (w->p == w->end) {
		fail(w, "a tag is not closed");
		return BAD;
	}
	if (is_word(*w->p, true)) {
		text->ptr = w->p;
		while (w->p < w->end && is_word(*w->p, false))
			w->p++;
		text->len = (size_t)(w->p - text->ptr);
		return NAME;
	}
	if (*w->p == '"' || *w->p == '\'')
		return quoted(w, text);
	if (starts(w, "==") || starts(w, "!=")) {
		w->p += 2;
		return w->p[-2] == '=' ? EQ : NE;
	}
	if (*w->p == '|') {
		w->p++;
		return BAR;
	}
	fail(w, "this is not supported in a tag");
	return BAD;
}

static struct str
value_of(const struct walk *w, struct str name)
{
	for (size_t i = 0; i < w->n_vars; i++)
		if (str_eqz(name, w->vars[i].name))
			return w->vars[i].value;
	return STR_NULL;
}

static bool
shows(const struct walk *w)
{
	return w->out != NULL && w->levels[w->depth].shown;
}

/* --- tags ---------------------------------------------------------------- */

static bool
expect_end(struct walk *w, const char *mark)
{
	struct str text;

	return next_token(w, mark, &text) == END ||
	    fail(w, "a tag goes on where it should end");
}

static bool
do_value(struct walk *w)
{
	struct str name, text;
	bool safe = false;
	enum token t;

	w->p += starts(w, "-");
	if (next_token(w, "}}", &name) != NAME)
		return fail(w, "{{ }} needs a name");
	t = next_token(w, "}}", &text);
	if (t == BAR) {
		if (next_token(w, "}}", &text) != NAME ||
		    !str_eqz(text, "safe"))
			return fail(w, "the only filter is `safe`");
		safe = true;
		t = next_token(w, "}}", &text);
	}
	if (t != END)
		return fail(w, "{{ }} holds one name");
	if (!shows(w))
		return true;
	if (safe)
		buf_add_str(w->out, value_of(w, name));
	else
		html_escape(w->out, value_of(w, name));
	return true;
}

/* What stands behind "if" and "elif", to the end of the tag. */
static bool
condition(struct walk *w, bool *ret)
{
	struct str name, text;
	bool not = false;
	enum token t;

	t = next_token(w, "%}", &name);
	if (t == NAME && str_eqz(name, "not")) {
		not = true;
		t = next_token(w, "%}", &name);
	}
	if (t != NAME)
		return fail(w, "a condition begins with a name");
	text = value_of(w, name);
	*ret = text.len > 0;
	t = next_token(w, "%}", &text);
	if (t == EQ || t == NE) {
		struct str have = value_of(w, name);

		if (next_token(w, "%}", &text) != TEXT)
			return fail(w, "a name is compared with a \"text\"");
		*ret = have.ptr != NULL && str_eq(have, text);
		if (t == NE)
			*ret = !*ret;
		t = next_token(w, "%}", &text);
	}
	if (not )
		*ret = !*ret;
	return t == END || fail(w, "this condition is not supported");
}

static bool
do_if(struct walk *w)
{
	struct level *l;
	bool holds;

	if (w->depth == DEPTH_MAX)
		return fail(w, "too many {% if %} within each other");
	if (!condition(w, &holds))
		return false;
	l = &w->levels[w->depth + 1];
	l->outer = w->levels[w->depth].shown;
	l->shown = l->outer && holds;
	l->taken = holds;
	l->last = false;
	w->depth++;
	return true;
}

static bool
do_branch(struct walk *w, bool last)
{
	struct level *l = &w->levels[w->depth];
	bool holds = true;

	if (w->depth == 0 || l->last)
		return fail(w, "{% else %} without its {% if %}");
	if (last ? !expect_end(w, "%}") : !condition(w, &holds))
		return false;
	l->shown = l->outer && !l->taken && holds;
	l->taken |= holds;
	l->last = last;
	return true;
}

static bool
do_endif(struct walk *w)
{
	if (w->depth == 0)
		return fail(w, "{% endif %} without its {% if %}");
	if (!expect_end(w, "%}"))
		return false;
	w->depth--;
	return true;
}

static bool
do_statement(struct walk *w)
{
	struct str word = STR_NULL;

	w->p += starts(w, "-");
	if (next_token(w, "%}", &word) != NAME)
		return fail(w, "{% %} needs a word");
	if (str_eqz(word, "if"))
		return do_if(w);
	if (str_eqz(word, "elif") || str_eqz(word, "else"))
		return do_branch(w, word.len == 4 && word.ptr[2] == 's');
	if (str_eqz(word, "endif"))
		return do_endif(w);
	return fail(w, "of the statements only if, elif, else and endif exist");
}

static bool
do_comment(struct walk *w)
{
	while (w->p < w->end) {
		if (take_mark(w, "#}"))
			return true;
		w->p++;
	}
	return fail(w, "a comment is not closed");
}

/* --- the walk ------------------------------------------------------------ */

static bool
at_tag(const struct walk *w)
{
	return starts(w, "{{") || starts(w, "{%") || starts(w, "{#");
}

/* The text up to the next tag. */
static void
do_text(struct walk *w)
{
	struct str text;

	while (w->cut && w->p < w->end && is_space(*w->p))
		w->p++;
	w->cut = false;
	text.ptr = w->p;
	while (w->p < w->end && !at_tag(w))
		w->p++;
	text.len = (size_t)(w->p - text.ptr);
	if (w->end - w->p > 2 && w->p[2] == '-')
		while (text.len > 0 && is_space(text.ptr[text.len - 1]))
			text.len--;
	if (shows(w) && text.len > 0)
		buf_add_str(w->out, text);
}

static bool
do_tag(struct walk *w)
{
	char kind = w->p[1];

	w->p += 2;
	return kind == '{' ? do_value(w)
	    : kind == '%'  ? do_statement(w)
			   : do_comment(w);
}

static int
line_of(const struct walk *w, const char *at)
{
	int line = 1;

	for (const char *p = w->start; p < at; p++)
		line += *p == '\n';
	return line;
}

static int
walk(struct walk *w, struct str text, struct err *err)
{
	const char *tag;

	if (text.ptr == NULL)
		text = STR("");
	w->start = w->p = tag = text.ptr;
	w->end = text.ptr + text.len;
	w->levels[0].shown = true;
	for (;;) {
		do_text(w);
		if (w->p == w->end)
			break;
		tag = w->p;
		if (!do_tag(w))
			break;
	}
	if (w->why == NULL && w->depth > 0)
		fail(w, "an {% if %} has no {% endif %}");
	if (w->why == NULL)
		return 0;
	return err_set(err, ERR_PARAM, "line %d: %s", line_of(w, tag), w->why);
}

int
template_check(struct str text, struct err *err)
{
	struct walk w = { 0 };

	return walk(&w, text, err);
}

int
template_render(struct buf *out, struct str text,
    const struct template_var *vars, size_t n, struct err *err)
{
	struct walk w = { .out = out, .vars = vars, .n_vars = n };
	size_t before = out->len;
	int rc = walk(&w, text, err);

	if (rc != 0)
		out->len = before;
	return rc;
}

void
html_escape(struct buf *out, struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		switch (s.ptr[i]) {
		case '&':
			buf_addz(out, "&amp;");
			break;
		case '<':
			buf_addz(out, "&lt;");
			break;
		case '>':
			buf_addz(out, "&gt;");
			break;
		case '"':
			buf_addz(out, "&quot;");
			break;
		case '\'':
			buf_addz(out, "&#39;");
			break;
		default:
			buf_addc(out, s.ptr[i]);
		}
}
