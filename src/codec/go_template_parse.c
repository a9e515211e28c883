/*
 * codec/go_template_parse.c - from the text of a template to its tree.
 *
 * next() cuts words out of an action; the functions below it are the grammar,
 * from the smallest part to the largest. After the first error p->failed is
 * set, every word is the end, and nothing more is read.
 */
#include "base/base.h"
#include "codec/go_template_tree.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum token {
	T_END, /* of the action, or of the text after an error */
	T_PIPE,
	T_OPEN,
	T_CLOSE,
	T_DECLARE,
	T_ASSIGN,
	T_COMMA,
	T_DOT,
	T_FIELD,    /* ".name": text is the name */
	T_VARIABLE, /* "$name", "$" */
	T_WORD,
	T_VALUE,
};

/* What ended a list of nodes. */
enum list_end { END_OF_TEXT, END_WORD, ELSE_WORD };

struct parser {
	struct arena *arena;
	struct str text;
	const char *p, *end;
	struct err *err;
	bool failed;
	bool trim; /* the action ended with "-}}" */
	unsigned depth, max_depth, loops;

	/* the word that stands next */
	enum token token;
	const char *at;
	bool spaced; /* white space was before it */
	struct str word;
	struct val val;

	struct str slots[GO_SLOTS_MAX];
	size_t n_slots;
};

int
go_template_at(struct str text, const char *at, struct err *err)
{
	int line = 1;

	for (const char *p = text.ptr; p < at; p++)
		line += *p == '\n';
	return err_wrap(err, "line %d", line);
}

static void fail(struct parser *p, const char *at, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void
fail(struct parser *p, const char *at, const char *fmt, ...)
{
	struct err why;
	va_list ap;

	if (p->failed)
		return;
	va_start(ap, fmt);
	vsnprintf(why.text, sizeof(why.text), fmt, ap);
	va_end(ap);
	err_set(p->err, ERR_PARAM, "%s", why.text);
	(void)go_template_at(p->text, at, p->err);
	p->failed = true;
	p->token = T_END;
	p->p = p->end;
}

/* --- words --------------------------------------------------------------- */

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
	    (unsigned char)c >= 0x80;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
stands(const struct parser *p, const char *word)
{
	return str_starts(
	    (struct str){ p->p, (size_t)(p->end - p->p) }, str_of(word));
}

static struct str
take_name(struct parser *p)
{
	const char *start = p->p;

	while (p->p < p->end && (is_letter(*p->p) || is_digit(*p->p)))
		p->p++;
	return (struct str){ start, (size_t)(p->p - start) };
}

static void
take_raw_text(struct parser *p)
{
	const char *start = ++p->p;
	const char *close = memchr(start, '`', (size_t)(p->end - start));

	if (close == NULL) {
		fail(p, start, "a text in backquotes is not closed");
		return;
	}
	p->token = T_VALUE;
	p->val = go_val_text((struct str){ start, (size_t)(close - start) });
	p->p = close + 1;
}

/* `digits` of that base behind a backslash. */
static bool
take_code(struct parser *p, int digits, int base, uint32_t *ret)
{
	uint32_t n = 0;

	while (digits-- > 0) {
		int digit = p->p < p->end ? hex_digit(*p->p) : -1;

		if (digit < 0 || digit >= base)
			return false;
		n = n * (uint32_t)base + (uint32_t)digit;
		p->p++;
	}
	*ret = n;
	return true;
}

/* p->p stands behind a backslash. */
static bool
take_escape(struct parser *p, struct buf *b)
{
	static const char from[] = "abfnrtv\\\"'", to[] = "\a\b\f\n\r\t\v\\\"'";
	char c = p->p < p->end ? *p->p : '\0';
	const char *simple = c != '\0' ? strchr(from, c) : NULL;
	uint32_t code;

	if (simple != NULL) {
		buf_addc(b, to[simple - from]);
		p->p++;
		return true;
	}
	if (c >= '0' && c <= '7') {
		if (!take_code(p, 3, 8, &code) || code > 255)
			return false;
		buf_addc(b, (char)code);
		return true;
	}
	p->p++;
	if (c == 'x') {
		if (!take_code(p, 2, 16, &code))
			return false;
		buf_addc(b, (char)code);
		return true;
	}
	if ((c != 'u' && c != 'U') ||
	    !take_code(p, c == 'u' ? 4 : 8, 16, &code) || code > 0x10ffff ||
	    (code >= 0xd800 && code < 0xe000))
		return false;
	buf_add_utf8(b, code);
	return true;
}

/* "text" or 'c'. */
static void
take_text(struct parser *p)
{
	const char *start = p->p;
	char mark = *p->p++;
	struct buf b = { 0 };

	while (p->p < p->end && *p->p != mark && *p->p != '\n') {
		if (*p->p != '\\') {
			buf_addc(&b, *p->p++);
			continue;
		}
		p->p++;
		if (!take_escape(p, &b)) {
			fail(p, start, "bad escape in a text");
			break;
		}
	}
	if (!p->failed && (p->p == p->end || *p->p != mark))
		fail(p, start, "a text is not closed");
	if (!p->failed) {
		p->p++;
		p->token = T_VALUE;
		p->val = go_val_text(
		    b.len > 0 ? arena_str(p->arena, buf_str(&b)) : STR(""));
	}
	buf_free(&b);
}

/* 'x' is the number of the letter. */
static void
take_letter(struct parser *p)
{
	const char *start = p->p;
	unsigned char c;
	uint32_t code;
	size_t more;

	take_text(p);
	if (p->failed)
		return;
	if (p->val.text.len == 0 || !str_is_utf8(p->val.text)) {
		fail(p, start, "one letter is needed in ''");
		return;
	}
	c = (unsigned char)*p->val.text.ptr;
	more = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
	code = c < 0x80 ? c : c & (0x3fu >> more);
	if (p->val.text.len != more + 1) {
		fail(p, start, "one letter is needed in ''");
		return;
	}
	for (size_t i = 1; i <= more; i++)
		code = code << 6 | ((unsigned char)p->val.text.ptr[i] & 0x3f);
	p->val = (struct val){ .kind = VAL_INT, .num = code };
}

static void
take_number(struct parser *p)
{
	const char *start = p->p;
	char text[80], *digits = text, *stop;
	size_t n = 0;
	int base = 0;

	while (p->p < p->end &&
	    (is_letter(*p->p) || is_digit(*p->p) || *p->p == '.' ||
		((*p->p == '+' || *p->p == '-') &&
		    (p->p == start ||
			((p->p[-1] | 0x20) == 'e' &&
			    !str_starts(
				(struct str){ start, 2 }, STR("0x"))))))) {
		if (*p->p != '_' && n < sizeof(text) - 1)
			text[n++] = *p->p;
		p->p++;
	}
	text[n] = '\0';
	p->token = T_VALUE;
	p->val = (struct val){ .kind = VAL_INT };
	digits += *digits == '+' || *digits == '-';
	if (digits[0] == '0' && (digits[1] | 0x20) == 'b')
		base = 2;
	if (digits[0] == '0' && (digits[1] | 0x20) == 'o')
		base = 8;
	if (base != 0)
		memmove(digits, digits + 2, strlen(digits) - 1);
	errno = 0;
	p->val.num = strtoll(text, &stop, base);
	if (errno == 0 && stop > digits && *stop == '\0')
		return;
	p->val.kind = VAL_REAL;
	errno = 0;
	p->val.real = strtod(text, &stop);
	if (base != 0 || errno != 0 || stop <= digits || *stop != '\0' ||
	    !(is_digit(*digits) || *digits == '.') || n == sizeof(text) - 1)
		fail(p, start, "bad number %.40s", text);
}

static bool
take_end(struct parser *p)
{
	if (stands(p, "}}")) {
		p->p += 2;
	} else if (p->spaced && stands(p, "-}}")) {
		p->p += 3;
		p->trim = true;
	} else {
		return false;
	}
	p->token = T_END;
	return true;
}

static void
next(struct parser *p)
{
	static const struct {
		const char *text;
		enum token token;
	} marks[] = { { ":=", T_DECLARE }, { "=", T_ASSIGN }, { "|", T_PIPE },
		{ "(", T_OPEN }, { ")", T_CLOSE }, { ",", T_COMMA } };
	char c, after;

	if (p->failed)
		return;
	p->spaced = false;
	for (; p->p < p->end && is_space(*p->p); p->p++)
		p->spaced = true;
	p->at = p->p;
	if (take_end(p))
		return;
	if (p->p == p->end) {
		fail(p, p->p, "an action is not closed");
		return;
	}
	c = *p->p;
	after = p->p + 1 < p->end ? p->p[1] : '\0';
	for (size_t i = 0; i < COUNT_OF(marks); i++)
		if (stands(p, marks[i].text)) {
			p->p += strlen(marks[i].text);
			p->token = marks[i].token;
			return;
		}
	if (c == '"') {
		take_text(p);
	} else if (c == '`') {
		take_raw_text(p);
	} else if (c == '\'') {
		take_letter(p);
	} else if (is_digit(c) ||
	    ((c == '.' || c == '-' || c == '+') && is_digit(after)) ||
	    ((c == '-' || c == '+') && after == '.')) {
		take_number(p);
	} else if (c == '.') {
		p->p++;
		p->token = is_letter(after) ? T_FIELD : T_DOT;
		p->word = take_name(p);
	} else if (c == '$') {
		p->p++;
		p->token = T_VARIABLE;
		p->word = take_name(p);
	} else if (is_letter(c)) {
		p->token = T_WORD;
		p->word = take_name(p);
	} else {
		fail(p, p->p, "unexpected %c", c >= 0x20 && c < 0x7f ? c : '?');
	}
}

static bool
is_word(const struct parser *p, const char *word)
{
	return p->token == T_WORD && str_eqz(p->word, word);
}

/* --- pipelines ----------------------------------------------------------- */

static bool
go_deeper(struct parser *p)
{
	if (++p->depth > p->max_depth)
		fail(p, p->at, "nested too deeply");
	return !p->failed;
}

static struct pipe *parse_pipe(
    struct parser *p, enum token end, bool two_slots);

static bool
find_slot(struct parser *p, struct str name, size_t *ret)
{
	for (size_t i = p->n_slots; i-- > 0;)
		if (str_eq(p->slots[i], name)) {
			*ret = i;
			return true;
		}
	fail(p, p->at, "undefined variable $" STR_FMT,
	    (int)MIN_OF(name.len, 60), name.ptr);
	return false;
}

static void
parse_word(struct parser *p, struct operand *o)
{
	static const char *const missing[] = { "define", "template", "block",
		"if", "else", "end", "range", "with", "break", "continue" };

	o->kind = OPERAND_VALUE;
	if (is_word(p, "nil")) {
		o->kind = OPERAND_NIL;
	} else if (is_word(p, "true") || is_word(p, "false")) {
		o->val.kind = VAL_BOOL;
		o->val.truth = is_word(p, "true");
	} else {
		o->kind = OPERAND_FUNC;
		o->func = go_func_find(p->word);
		for (size_t i = 0; i < COUNT_OF(missing); i++)
			if (str_eqz(p->word, missing[i]))
				fail(p, p->at, "unexpected %s", missing[i]);
		if (o->func == NULL)
			fail(p, p->at, "unknown function " STR_FMT,
			    (int)MIN_OF(p->word.len, 60), p->word.ptr);
	}
}

/* NULL: none stands here. */
static struct operand *
parse_operand(struct parser *p)
{
	struct operand *o = arena_new(p->arena, struct operand);
	struct link **end = &o->links;

	switch (p->token) {
	case T_DOT:
		o->kind = OPERAND_DOT;
		break;
	case T_FIELD: /* the loop below takes it */
		o->kind = OPERAND_DOT;
		break;
	case T_VARIABLE:
		o->kind = OPERAND_SLOT;
		(void)find_slot(p, p->word, &o->slot);
		break;
	case T_VALUE:
		o->kind = OPERAND_VALUE;
		o->val = p->val;
		break;
	case T_WORD:
		parse_word(p, o);
		break;
	case T_OPEN:
		o->kind = OPERAND_PIPE;
		if (!go_deeper(p))
			return NULL;
		next(p);
		o->pipe = parse_pipe(p, T_CLOSE, false);
		p->depth--;
		break;
	default:
		return NULL;
	}
	if (p->token != T_FIELD)
		next(p);
	else
		p->spaced = false;
	while (p->token == T_FIELD && !p->spaced) {
		if (o->kind == OPERAND_VALUE || o->kind == OPERAND_NIL)
			fail(p, p->at, "a constant has no fields");
		*end = arena_new(p->arena, struct link);
		(*end)->name = p->word;
		end = &(*end)->next;
		next(p);
	}
	return p->failed ? NULL : o;
}

static struct cmd *
parse_cmd(struct parser *p)
{
	struct cmd *c = arena_new(p->arena, struct cmd);
	struct operand **end = &c->first, *o;
	const char *at = p->at;

	while ((o = parse_operand(p)) != NULL) {
		*end = o;
		end = &o->next;
		if (p->token != T_END && p->token != T_PIPE &&
		    p->token != T_CLOSE && p->token != T_COMMA && !p->spaced)
			fail(p, p->at, "a space is missing between operands");
		if (o != c->first && ++c->n_args >= GO_ARGS_MAX - 4)
			fail(p, p->at, "too many arguments");
	}
	if (c->first == NULL) {
		fail(p, at, "a value is missing");
	} else if (c->n_args > 0 && c->first->links == NULL &&
	    c->first->kind != OPERAND_FUNC) {
		fail(p, at, "can't give arguments to what is no function");
	} else if (c->first->kind == OPERAND_NIL) {
		fail(p, at, "nil is not a command");
	}
	return c;
}

static size_t
add_slot(struct parser *p, struct str name)
{
	if (p->n_slots == GO_SLOTS_MAX) {
		fail(p, p->at, "too many variables");
		return 0;
	}
	p->slots[p->n_slots] = name;
	return p->n_slots++;
}

/* "$x :=", "$x =", "$i, $x :=" before a pipeline. What is declared becomes
 * visible behind it. */
static void
parse_slots(
    struct parser *p, struct pipe *pipe, struct str names[2], bool two_slots)
{
	struct parser before = *p;

	while (p->token == T_VARIABLE && pipe->n_slots < 2) {
		names[pipe->n_slots++] = p->word;
		next(p);
		if (p->token == T_COMMA && two_slots && pipe->n_slots == 1) {
			next(p);
			continue;
		}
		break;
	}
	if (p->token == T_DECLARE || p->token == T_ASSIGN) {
		pipe->declares = p->token == T_DECLARE;
		for (size_t i = 0; i < pipe->n_slots; i++) {
			if (names[i].len == 0)
				fail(p, p->at, "$ can't be set");
			else if (!pipe->declares)
				find_slot(p, names[i], &pipe->slots[i]);
		}
		if (pipe->n_slots == 0)
			fail(p, p->at, "a variable is missing");
		next(p);
		return;
	}
	if (!p->failed) { /* it was an operand */
		*p = before;
		pipe->n_slots = 0;
	}
}

static struct pipe *
parse_pipe(struct parser *p, enum token end, bool two_slots)
{
	struct pipe *pipe = arena_new(p->arena, struct pipe);
	struct str names[2];
	struct cmd **last = &pipe->cmds;

	pipe->at = p->at;
	if (end == T_END)
		parse_slots(p, pipe, names, two_slots);
	while (!p->failed) {
		*last = parse_cmd(p);
		if (last != &pipe->cmds && (*last)->first != NULL &&
		    (*last)->first->kind != OPERAND_FUNC &&
		    (*last)->first->links == NULL)
			fail(p, pipe->at, "only functions may follow |");
		last = &(*last)->next;
		if (p->token != T_PIPE)
			break;
		next(p);
	}
	if (p->token != end)
		fail(p, p->at,
		    end == T_CLOSE ? "a parenthesis is not closed"
				   : "unexpected word in an action");
	if (pipe->declares)
		for (size_t i = 0; i < pipe->n_slots; i++)
			pipe->slots[i] = add_slot(p, names[i]);
	return pipe;
}

/* --- nodes --------------------------------------------------------------- */

static enum list_end parse_list(struct parser *p, struct node **ret);

/* What stands behind "if", "with" or "range", to its "end". */
static void
parse_control(struct parser *p, struct node *n)
{
	size_t visible = p->n_slots, in_both;
	const char *at = p->at;
	enum list_end end;

	if (!go_deeper(p))
		return;
	next(p);
	n->pipe = parse_pipe(p, T_END, n->kind == NODE_RANGE);
	in_both = p->n_slots;
	p->loops += n->kind == NODE_RANGE;
	end = parse_list(p, &n->body);
	p->loops -= n->kind == NODE_RANGE;
	p->n_slots = in_both;
	if (end == ELSE_WORD) {
		next(p);
		if (n->kind != NODE_RANGE &&
		    is_word(p, n->kind == NODE_IF ? "if" : "with")) {
			n->other = arena_new(p->arena, struct node);
			n->other->kind = n->kind;
			parse_control(p, n->other); /* takes our "end" too */
			p->depth--;
			p->n_slots = visible;
			return;
		}
		if (p->token != T_END)
			fail(p, p->at, "unexpected word behind else");
		end = parse_list(p, &n->other);
		if (end == ELSE_WORD)
			fail(p, p->at, "a second else");
	}
	if (end == END_OF_TEXT)
		fail(p, at, "end is missing");
	if (end == END_WORD) {
		next(p);
		if (p->token != T_END)
			fail(p, p->at, "unexpected word behind end");
	}
	p->depth--;
	p->n_slots = visible;
}

/* The text before the next action, which p->p then stands in; false: there is
 * no more. */
static bool
parse_text(struct parser *p, struct str *ret)
{
	const char *open = memmem(p->p, (size_t)(p->end - p->p), "{{", 2);

	*ret = (struct str){ p->p,
		(size_t)((open != NULL ? open : p->end) - p->p) };
	if (p->trim)
		while (ret->len > 0 && is_space(*ret->ptr)) {
			ret->ptr++;
			ret->len--;
		}
	p->trim = false;
	p->p = open != NULL ? open + 2 : p->end;
	if (open != NULL && p->end - p->p >= 2 && p->p[0] == '-' &&
	    is_space(p->p[1])) {
		p->p++;
		while (ret->len > 0 && is_space(ret->ptr[ret->len - 1]))
			ret->len--;
	}
	return open != NULL;
}

/* A comment fills its action. */
static bool
skip_comment(struct parser *p)
{
	const char *start = p->p, *close;

	while (p->p < p->end && is_space(*p->p))
		p->p++;
	if (!stands(p, "/*")) {
		p->p = start;
		return false;
	}
	close = memmem(p->p, (size_t)(p->end - p->p), "*/", 2);
	if (close == NULL) {
		fail(p, start, "a comment is not closed");
		return true;
	}
	p->p = close + 2;
	next(p);
	if (p->token != T_END)
		fail(p, p->at, "a comment is followed by something");
	return true;
}

/* One action; *end is set when it ends the list. True: `n` is a node. */
static bool
parse_action(struct parser *p, struct node *n, enum list_end *end)
{
	static const struct {
		const char *word;
		enum node_kind kind;
	} words[] = { { "if", NODE_IF }, { "with", NODE_WITH },
		{ "range", NODE_RANGE }, { "break", NODE_BREAK },
		{ "continue", NODE_CONTINUE } };

	next(p);
	if (is_word(p, "end") || is_word(p, "else")) {
		*end = is_word(p, "end") ? END_WORD : ELSE_WORD;
		return false;
	}
	for (size_t i = 0; i < COUNT_OF(words); i++) {
		if (!is_word(p, words[i].word))
			continue;
		n->kind = words[i].kind;
		if (n->kind != NODE_BREAK && n->kind != NODE_CONTINUE) {
			parse_control(p, n);
			return true;
		}
		if (p->loops == 0)
			fail(p, p->at, "%s outside of range", words[i].word);
		next(p);
		if (p->token != T_END)
			fail(p, p->at, "unexpected word behind %s",
			    words[i].word);
		return true;
	}
	n->kind = NODE_PRINT;
	n->pipe = parse_pipe(p, T_END, false);
	return true;
}

static enum list_end
parse_list(struct parser *p, struct node **ret)
{
	enum list_end end = END_OF_TEXT;

	while (!p->failed && end == END_OF_TEXT) {
		struct node *n;
		struct str text;
		bool more = parse_text(p, &text);

		if (text.len > 0) {
			n = *ret = arena_new(p->arena, struct node);
			n->kind = NODE_TEXT;
			n->text = text;
			ret = &n->next;
		}
		if (!more)
			break;
		if (skip_comment(p))
			continue;
		n = arena_new(p->arena, struct node);
		if (parse_action(p, n, &end)) {
			*ret = n;
			ret = &n->next;
		}
	}
	return end;
}

int
go_template_parse(struct arena *a, struct str text, unsigned max_depth,
    struct node **ret, struct err *err)
{
	struct parser *p = arena_new(a, struct parser);

	if (text.len > GO_TEMPLATE_MAX)
		return err_set(err, ERR_LIMIT, "a template is over %d bytes",
		    GO_TEMPLATE_MAX);
	*p = (struct parser){ .arena = a,
		.text = text,
		.p = text.ptr,
		.end = text.ptr + text.len,
		.err = err,
		.max_depth = max_depth };
	p->slots[p->n_slots++] = STR(""); /* "$" */
	*ret = NULL;
	if (parse_list(p, ret) != END_OF_TEXT)
		fail(p, p->at, "unexpected " STR_FMT, STR_ARG(p->word));
	return p->failed ? ERR_PARAM : 0;
}
