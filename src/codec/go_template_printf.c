/*
 * codec/go_template_printf.c - printf as Go does it: what does not fit its verb
 * is said in the text ("%!d(string=x)") instead of being an error.
 */
#include "base/base.h"
#include "codec/go_template_private.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define WIDTH_MAX 4096

struct verb {
	bool minus, plus, sharp, zero, space;
	int width, precision; /* precision -1: not given */
	char letter;
};

static int
take_int(struct str *s)
{
	int n = 0;

	while (s->len > 0 && *s->ptr >= '0' && *s->ptr <= '9') {
		n = MIN_OF(n * 10 + (*s->ptr - '0'), WIDTH_MAX);
		s->ptr++;
		s->len--;
	}
	return n;
}

/* What stands behind "%". The letter is 0 at the end of the text. */
static struct verb
take_verb(struct str *s)
{
	struct verb v = { .precision = -1 };

	for (; s->len > 0; s->ptr++, s->len--) {
		if (*s->ptr == '-')
			v.minus = true;
		else if (*s->ptr == '+')
			v.plus = true;
		else if (*s->ptr == '#')
			v.sharp = true;
		else if (*s->ptr == '0')
			v.zero = true;
		else if (*s->ptr == ' ')
			v.space = true;
		else
			break;
	}
	v.width = take_int(s);
	if (s->len > 0 && *s->ptr == '.') {
		s->ptr++;
		s->len--;
		v.precision = take_int(s);
	}
	if (s->len > 0) {
		v.letter = *s->ptr;
		s->ptr++;
		s->len--;
	}
	return v;
}

static size_t
letters(struct str s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++)
		n += ((unsigned char)s.ptr[i] & 0xc0) != 0x80;
	return n;
}

static void
pad(struct buf *out, const struct verb *v, struct str text, bool number)
{
	size_t n = letters(text), width = (size_t)v->width;
	size_t fill = width > n ? width - n : 0;

	if (v->minus) {
		buf_add_str(out, text);
		while (fill-- > 0)
			buf_addc(out, ' ');
		return;
	}
	if (v->zero && number && text.len > 0 && strchr("+- ", *text.ptr)) {
		buf_addc(out, *text.ptr);
		text.ptr++;
		text.len--;
	}
	while (fill-- > 0)
		buf_addc(out, v->zero && number ? '0' : ' ');
	buf_add_str(out, text);
}

static void
quote(struct buf *out, struct str s)
{
	buf_addc(out, '"');
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		if (c == '"' || c == '\\')
			buf_addf(out, "\\%c", c);
		else if (c == '\n')
			buf_addz(out, "\\n");
		else if (c == '\r')
			buf_addz(out, "\\r");
		else if (c == '\t')
			buf_addz(out, "\\t");
		else if (c < 0x20 || c == 0x7f)
			buf_addf(out, "\\x%02x", c);
		else
			buf_addc(out, (char)c);
	}
	buf_addc(out, '"');
}

static void
add_rune(struct buf *out, uint32_t c)
{
	if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		c = 0xfffd;
	buf_add_utf8(out, c);
}

static void
whole(struct buf *out, const struct verb *v, int64_t num)
{
	uint64_t n = num < 0 ? -(uint64_t)num : (uint64_t)num;
	char digits[72];
	int len = 0,
	    base = v->letter == 'b'                ? 2
	    : v->letter == 'o'                     ? 8
	    : v->letter == 'x' || v->letter == 'X' ? 16
						   : 10;
	const char *signs =
	    v->letter == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";

	do {
		digits[len++] = signs[n % (unsigned)base];
		n /= (unsigned)base;
	} while (n > 0);
	if (num < 0)
		buf_addc(out, '-');
	else if (v->plus || v->space)
		buf_addc(out, v->plus ? '+' : ' ');
	if (v->sharp && base == 16)
		buf_addf(out, "0%c", v->letter);
	else if (v->sharp && base != 10)
		buf_addz(out, base == 8 ? "0" : "0b");
	for (int i = len; i < v->precision; i++)
		buf_addc(out, '0');
	while (len > 0)
		buf_addc(out, digits[--len]);
}

/* Writes `v` by the verb; false: they do not fit. */
static bool
put(struct exec *x, struct buf *out, const struct verb *verb, struct val v,
    bool *number)
{
	bool numeric = v.kind == VAL_INT || v.kind == VAL_REAL;

	*number = false;
	switch (verb->letter) {
	case 'v':
		*number = numeric;
		if (v.kind == VAL_NONE)
			buf_addz(out, "<nil>");
		else if (v.kind == VAL_INT)
			whole(out, verb, v.num);
		else if (v.kind == VAL_REAL)
			go_real_text(out, v.real, verb->precision, 'v');
		else
			(void)go_val_print(x, out, &v);
		return true;
	case 'T':
		buf_addz(out, go_val_type(&v));
		return true;
	case 't':
		if (v.kind == VAL_BOOL)
			(void)go_val_print(x, out, &v);
		return v.kind == VAL_BOOL;
	case 's':
	case 'q':
		if (numeric || v.kind == VAL_BOOL || v.kind == VAL_NONE)
			return false;
		if (verb->letter == 'q' && v.kind == VAL_TEXT)
			quote(out, v.text);
		else
			(void)go_val_print(x, out, &v);
		if (verb->precision >= 0) /* letters, not bytes */
			while (letters(buf_str(out)) > (size_t)verb->precision)
				out->len--;
		return true;
	case 'x':
	case 'X':
		if (v.kind == VAL_TEXT) {
			for (size_t i = 0; i < v.text.len; i++)
				buf_addf(out,
				    verb->letter == 'x' ? "%02x" : "%02X",
				    (unsigned char)v.text.ptr[i]);
			return true;
		}
		/* fall through */
	case 'd':
	case 'b':
	case 'o':
		*number = true;
		if (v.kind == VAL_REAL && v.real == trunc(v.real) &&
		    fabs(v.real) < 9e18) {
			v.kind = VAL_INT;
			v.num = (int64_t)v.real;
		}
		if (v.kind != VAL_INT && v.kind != VAL_DURATION)
			return false;
		whole(out, verb, v.num);
		return true;
	case 'c':
		if (v.kind == VAL_INT)
			add_rune(out,
			    v.num < 0 || v.num > 0x10ffff ? 0xfffd
							  : (uint32_t)v.num);
		return v.kind == VAL_INT;
	case 'e':
	case 'E':
	case 'f':
	case 'F':
	case 'g':
	case 'G':
		*number = true;
		if (!numeric)
			return false;
		if (v.kind == VAL_INT)
			v.real = (double)v.num;
		if (v.real >= 0 && (verb->plus || verb->space))
			buf_addc(out, verb->plus ? '+' : ' ');
		go_real_text(out, v.real, verb->precision,
		    verb->letter == 'F' ? 'f' : verb->letter);
		return true;
	default:
		return false;
	}
}

static void
put_misfit(struct exec *x, struct buf *out, char letter, const struct val *v)
{
	buf_addf(out, "%%!%c(", letter);
	if (v->kind == VAL_NONE) {
		buf_addz(out, "<nil>");
	} else {
		buf_addf(out, "%s=", go_val_type(v));
		(void)go_val_print(x, out, v);
	}
	buf_addc(out, ')');
}

int
go_printf(struct exec *x, const struct val *args, size_t n, struct val *ret)
{
	struct buf out = { 0 }, piece = { 0 };
	struct str rest = args[0].text;
	size_t next = 1;
	bool number;

	if (args[0].kind != VAL_TEXT)
		return err_set(x->err, ERR_PARAM,
		    "printf: the format is a %s, not a string",
		    go_val_type(&args[0]));
	while (rest.len > 0 && out.len <= x->max_output) {
		struct verb verb;

		if (*rest.ptr != '%') {
			buf_addc(&out, *rest.ptr);
			rest.ptr++;
			rest.len--;
			continue;
		}
		rest.ptr++;
		rest.len--;
		verb = take_verb(&rest);
		buf_clear(&piece);
		if (verb.letter == '\0') {
			buf_addz(&out, "%!(NOVERB)");
		} else if (verb.letter == '%') {
			buf_addc(&out, '%');
		} else if (next >= n) {
			buf_addf(&out, "%%!%c(MISSING)", verb.letter);
		} else {
			const struct val *v = &args[next++];

			if (!put(x, &piece, &verb, *v, &number)) {
				buf_clear(&piece);
				put_misfit(x, &piece, verb.letter, v);
				number = false;
			}
			pad(&out, &verb, buf_str(&piece), number);
		}
	}
	for (size_t i = next; i < n; i++) {
		buf_addz(&out, i == next ? "%!(EXTRA " : ", ");
		buf_addf(&out, "%s=", go_val_type(&args[i]));
		(void)go_val_print(x, &out, &args[i]);
		if (i == n - 1)
			buf_addc(&out, ')');
	}
	buf_free(&piece);
	if (go_charge(x, 1 + out.len / 64) != 0) {
		buf_free(&out);
		return x->err->code;
	}
	return go_text(x, &out, ret);
}
