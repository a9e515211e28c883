/*
 * codec/mail.c - see mail.h. Nothing from outside reaches a header but through
 * add_words(), which lets printable ASCII pass and encodes the rest.
 */
#include "codec/mail.h"

#include "base/base.h"
#include "codec/zone.h"

#include <inttypes.h>
#include <string.h>

#define LINE_MAX_LEN 76
/* In one encoded word: 56 letters of base64, and 12 around them. */
#define WORD_BYTES 42

static bool
is_plain(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] < ' ' ||
		    (unsigned char)s.ptr[i] >= 0x7f)
			return false;
	return true;
}

/* The part between "<" and ">", or all of it. */
static bool
is_address(struct str s)
{
	const char *at;

	if (s.len < 3 || s.len > MAIL_ADDRESS_MAX || !is_plain(s))
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (strchr(" <>()[],;:\\\"", s.ptr[i]) != NULL)
			return false;
	at = memchr(s.ptr, '@', s.len);
	return at != NULL && at > s.ptr && at < s.ptr + s.len - 1 &&
	    memchr(at + 1, '@', s.len - (size_t)(at + 1 - s.ptr)) == NULL;
}

bool
mail_address(struct str text, struct str *name, struct str *address)
{
	struct str s = str_trim(text), before = STR("");
	const char *open;

	if (str_ends(s, STR(">")) &&
	    (open = memrchr(s.ptr, '<', s.len)) != NULL) {
		before =
		    str_trim((struct str){ s.ptr, (size_t)(open - s.ptr) });
		s = str_trim((struct str){
		    open + 1, s.len - 2 - (size_t)(open - s.ptr) });
		if (before.len >= 2 && before.ptr[0] == '"' &&
		    before.ptr[before.len - 1] == '"') {
			before.ptr++;
			before.len -= 2;
		}
		for (size_t i = 0; i < before.len; i++)
			if ((unsigned char)before.ptr[i] < ' ' ||
			    before.ptr[i] == 0x7f)
				return false;
	}
	if (!is_address(s))
		return false;
	*name = before;
	*address = s;
	return true;
}

/* --- headers ------------------------------------------------------------- */

/* Where the line began that is being written. */
static size_t
line_start(const struct buf *b)
{
	size_t i = b->len;

	while (i > 0 && b->ptr[i - 1] != '\n')
		i--;
	return i;
}

static void
add_token(struct buf *out, struct str token)
{
	if (out->len - line_start(out) + 1 + token.len > LINE_MAX_LEN)
		buf_addz(out, "\r\n");
	buf_addc(out, ' ');
	buf_add_str(out, token);
}

/* "=?UTF-8?B?...?=", cut between letters. */
static void
add_encoded(struct buf *out, struct str s)
{
	while (s.len > 0) {
		size_t n = MIN_OF(s.len, WORD_BYTES);
		struct buf word = { 0 };

		while (n > 1 && n < s.len &&
		    ((unsigned char)s.ptr[n] & 0xc0) == 0x80)
			n--;
		buf_addz(&word, "=?UTF-8?B?");
		base64_encode(&word, s.ptr, n, false);
		while ((word.len - 10) % 4 != 0) /* "=" may be left out */
			buf_addc(&word, '=');
		buf_addz(&word, "?=");
		add_token(out, buf_str(&word));
		buf_free(&word);
		s.ptr += n;
		s.len -= n;
	}
}

/* A header's free text: as it is where it can be, else encoded whole. */
static void
add_words(struct buf *out, struct str s)
{
	bool plain = is_plain(s) && memmem(s.ptr, s.len, "=?", 2) == NULL;
	struct str rest = s;

	while (plain && rest.ptr != NULL)
		plain = str_cut(&rest, ' ').len < LINE_MAX_LEN - 10;
	if (!plain) {
		add_encoded(out, s);
		return;
	}
	while (s.ptr != NULL && s.len > 0)
		add_token(out, str_cut(&s, ' '));
}

static int
add_address(struct buf *out, struct str text, bool more, struct err *err)
{
	struct str name, address;
	struct buf quoted = { 0 }, token = { 0 };

	if (!mail_address(text, &name, &address))
		return err_set(err, ERR_PARAM, STR_FMT " is no e-mail address",
		    (int)MIN_OF(text.len, 80), text.ptr);
	if (name.len > 0 && is_plain(name) && name.len < LINE_MAX_LEN - 10) {
		buf_addc(&quoted, '"');
		for (size_t i = 0; i < name.len; i++) {
			if (name.ptr[i] == '"' || name.ptr[i] == '\\')
				buf_addc(&quoted, '\\');
			buf_addc(&quoted, name.ptr[i]);
		}
		buf_addc(&quoted, '"');
		add_token(out, buf_str(&quoted));
	} else if (name.len > 0) {
		add_encoded(out, name);
	}
	buf_addf(
	    &token, name.len > 0 ? "<" STR_FMT ">" : STR_FMT, STR_ARG(address));
	if (more)
		buf_addc(&token, ',');
	add_token(out, buf_str(&token));
	buf_free(&quoted);
	buf_free(&token);
	return 0;
}

static void
add_subject(struct buf *out, struct str subject)
{
	struct buf clean = { 0 };
	struct str s = str_trim(subject);

	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		buf_addc(&clean, c < ' ' || c == 0x7f ? ' ' : (char)c);
	}
	buf_addz(out, "Subject:");
	if (clean.len > 0)
		add_words(out, buf_str(&clean));
	buf_addz(out, "\r\n");
	buf_free(&clean);
}

static void
add_date(struct buf *out, int64_t ms)
{
	static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu",
		"Fri", "Sat" };
	static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May",
		"Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
	struct zone_time t;

	zone_local(NULL, ms, &t);
	buf_addf(out, "Date: %s, %d %s %04" PRId64 " %02d:%02d:%02d +0000\r\n",
	    days[t.weekday], t.day, months[t.month - 1], t.year, t.hour,
	    t.minute, t.second);
}

/* --- body ---------------------------------------------------------------- */

/* Can it be sent as it is, with other line ends? */
static bool
is_short_ascii(struct str body)
{
	size_t line = 0;

	for (size_t i = 0; i < body.len; i++) {
		unsigned char c = (unsigned char)body.ptr[i];

		line = c == '\n' ? 0 : line + 1;
		if (c >= 0x7f || c == '\0' || line > 900 ||
		    (c < ' ' && c != '\n' && c != '\t' &&
			!(c == '\r' && i + 1 < body.len &&
			    body.ptr[i + 1] == '\n')))
			return false;
	}
	return true;
}

static void
add_base64(struct buf *out, struct str body)
{
	struct buf all = { 0 };

	base64_encode(&all, body.ptr, body.len, false);
	while (all.len % 4 != 0)
		buf_addc(&all, '=');
	for (size_t i = 0; i < all.len; i += LINE_MAX_LEN) {
		buf_add(out, all.ptr + i, MIN_OF(all.len - i, LINE_MAX_LEN));
		buf_addz(out, "\r\n");
	}
	buf_free(&all);
}

static void
add_lines(struct buf *out, struct str body)
{
	for (size_t i = 0; i < body.len; i++) {
		if (body.ptr[i] == '\n')
			buf_addz(out, "\r\n");
		else if (body.ptr[i] != '\r')
			buf_addc(out, body.ptr[i]);
	}
	if (body.len > 0 && body.ptr[body.len - 1] != '\n')
		buf_addz(out, "\r\n");
}

int
mail_write(struct buf *out, const struct mail *m, struct err *err)
{
	size_t start = out->len;
	bool ascii = is_short_ascii(m->body);
	int rc;

	buf_addz(out, "From:");
	rc = add_address(out, m->from, false, err);
	buf_addz(out, "\r\nTo:");
	for (size_t i = 0; i < m->to.n && rc == 0; i++)
		rc = add_address(out, m->to.at[i], i + 1 < m->to.n, err);
	if (rc != 0) {
		out->len = start;
		return rc;
	}
	buf_addz(out, "\r\n");
	add_subject(out, m->subject);
	add_date(out, m->date_ms);
	buf_addf(out,
	    "Message-ID: <" STR_FMT ">\r\n"
	    "MIME-Version: 1.0\r\n"
	    "Content-Type: text/plain; charset=UTF-8\r\n"
	    "Content-Transfer-Encoding: %s\r\n\r\n",
	    STR_ARG(m->message_id), ascii ? "7bit" : "base64");
	if (ascii)
		add_lines(out, m->body);
	else
		add_base64(out, m->body);
	return 0;
}
