/*
 * codec/go_time.c - Go's time layouts: the moment is shown as the reference
 * time "Mon Jan 2 15:04:05 MST 2006" is written in the layout.
 */
#include "base/base.h"
#include "codec/go_template_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const months[] = { "January", "February", "March", "April",
	"May", "June", "July", "August", "September", "October", "November",
	"December" };
static const char *const days[] = { "Sunday", "Monday", "Tuesday", "Wednesday",
	"Thursday", "Friday", "Saturday" };

struct moment {
	struct zone_time at;
	int64_t ns; /* within the second */
};

typedef void piece_write(
    struct buf *out, const struct moment *m, const char *piece);

static void
write_month(struct buf *out, const struct moment *m, const char *piece)
{
	const char *name = months[m->at.month - 1];

	buf_add(out, name, piece[3] == '\0' ? 3 : strlen(name));
}

static void
write_weekday(struct buf *out, const struct moment *m, const char *piece)
{
	const char *name = days[m->at.weekday];

	buf_add(out, name, piece[3] == '\0' ? 3 : strlen(name));
}

/* The digits tell which part it is, "0" or "_" before them the padding. */
static void
write_number(struct buf *out, const struct moment *m, const char *piece)
{
	const struct zone_time *t = &m->at;
	size_t width = strspn(piece, "0_") + 1;
	int pm = t->hour % 12 == 0 ? 12 : t->hour % 12;
	int n;

	if (width == 3) {
		n = t->yearday;
	} else {
		switch (piece[width - 1]) {
		case '1':
			n = t->month;
			break;
		case '2':
			n = t->day;
			break;
		case '3':
			n = pm;
			break;
		case '4':
			n = t->minute;
			break;
		default:
			n = t->second;
			break;
		}
	}
	buf_addf(out, piece[0] == '_' ? "%*d" : "%0*d", (int)width, n);
}

static void
write_hour(struct buf *out, const struct moment *m, const char *piece)
{
	(void)piece;
	buf_addf(out, "%02d", m->at.hour);
}

static void
write_year(struct buf *out, const struct moment *m, const char *piece)
{
	if (piece[0] == '2')
		buf_addf(out, "%04" PRId64, m->at.year);
	else
		buf_addf(out, "%02d", (int)(llabs(m->at.year) % 100));
}

static void
write_half(struct buf *out, const struct moment *m, const char *piece)
{
	if (piece[0] == 'P')
		buf_addz(out, m->at.hour >= 12 ? "PM" : "AM");
	else
		buf_addz(out, m->at.hour >= 12 ? "pm" : "am");
}

static void
write_zone(struct buf *out, const struct moment *m, const char *piece)
{
	(void)piece;
	buf_addz(out, m->at.abbr);
}

static void
write_offset(struct buf *out, const struct moment *m, const char *piece)
{
	int s = abs(m->at.offset_s);
	const char *colon = strchr(piece, ':') != NULL ? ":" : "";
	size_t digits = 0;

	if (piece[0] == 'Z' && s == 0) {
		buf_addc(out, 'Z');
		return;
	}
	for (const char *p = piece; *p != '\0'; p++)
		digits += *p == '0' || *p == '7';
	buf_addf(out, "%c%02d", m->at.offset_s < 0 ? '-' : '+', s / 3600);
	if (digits >= 4)
		buf_addf(out, "%s%02d", colon, s / 60 % 60);
	if (digits >= 6)
		buf_addf(out, "%s%02d", colon, s % 60);
}

/* Longer pieces stand before those they begin with. */
static const struct {
	const char *text;
	piece_write *write;
} pieces[] = {
	{ "January", write_month },
	{ "Jan", write_month },
	{ "Monday", write_weekday },
	{ "Mon", write_weekday },
	{ "MST", write_zone },
	{ "002", write_number },
	{ "01", write_number },
	{ "02", write_number },
	{ "03", write_number },
	{ "04", write_number },
	{ "05", write_number },
	{ "06", write_year },
	{ "15", write_hour },
	{ "1", write_number },
	{ "2006", write_year },
	{ "2", write_number },
	{ "__2", write_number },
	{ "_2", write_number },
	{ "3", write_number },
	{ "4", write_number },
	{ "5", write_number },
	{ "PM", write_half },
	{ "pm", write_half },
	{ "-07:00:00", write_offset },
	{ "-070000", write_offset },
	{ "-07:00", write_offset },
	{ "-0700", write_offset },
	{ "-07", write_offset },
	{ "Z07:00:00", write_offset },
	{ "Z070000", write_offset },
	{ "Z07:00", write_offset },
	{ "Z0700", write_offset },
	{ "Z07", write_offset },
};

/* ".000" and ",999" behind the seconds; 0: that does not stand here. */
static size_t
write_fraction(struct buf *out, const struct moment *m, struct str rest)
{
	char digits[12];
	size_t n = 1;

	if (rest.len < 2 || (rest.ptr[0] != '.' && rest.ptr[0] != ',') ||
	    (rest.ptr[1] != '0' && rest.ptr[1] != '9'))
		return 0;
	while (n < rest.len && rest.ptr[n] == rest.ptr[1])
		n++;
	if (n > 10 ||
	    (n < rest.len && rest.ptr[n] >= '0' && rest.ptr[n] <= '9'))
		return 0;
	snprintf(digits, sizeof(digits), "%09d", (int)m->ns);
	digits[n - 1] = '\0';
	if (rest.ptr[1] == '9') /* without zeros at the end */
		for (size_t i = n - 1; i > 0 && digits[i - 1] == '0'; i--)
			digits[i - 1] = '\0';
	if (digits[0] != '\0') {
		buf_addc(out, rest.ptr[0]);
		buf_addz(out, digits);
	}
	return n;
}

/* Go reads "_2006" as "_" and the year, and "Jan" inside of a longer word that
 * goes on in lower case as plain text. */
static bool
is_piece(struct str rest, const char *piece)
{
	struct str p = str_of(piece);
	char next = rest.len > p.len ? rest.ptr[p.len] : '\0';

	if (!str_starts(rest, p))
		return false;
	if (strcmp(piece, "_2") == 0 && str_starts(rest, STR("_2006")))
		return false;
	return (strcmp(piece, "Jan") != 0 && strcmp(piece, "Mon") != 0) ||
	    next < 'a' || next > 'z';
}

void
go_time_format(
    struct buf *out, int64_t ns, const struct zone *zone, struct str layout)
{
	const int64_t second = 1000000000;
	struct moment m = { .ns = ns % second };
	int64_t s = ns / second;

	if (m.ns < 0) {
		m.ns += second;
		s--;
	}
	zone_local(zone, s * 1000, &m.at);
	while (layout.len > 0) {
		size_t n = write_fraction(out, &m, layout);

		for (size_t i = 0; n == 0 && i < COUNT_OF(pieces); i++)
			if (is_piece(layout, pieces[i].text)) {
				n = strlen(pieces[i].text);
				pieces[i].write(out, &m, pieces[i].text);
			}
		if (n == 0) {
			buf_addc(out, layout.ptr[0]);
			n = 1;
		}
		layout.ptr += n;
		layout.len -= n;
	}
}
