/*
 * codec/text_diff.c - see text_diff.h.
 *
 * The shortest edit script (Myers): after `d` edits, `reach[k]` is how far one
 * gets in `from` on the diagonal k = x - y. All of them are kept, to walk back
 * from the end.
 */
#include "codec/text_diff.h"

#include "base/base.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define EDITS_MAX 1000
#define AROUND 3

struct lines {
	struct str *at; /* with their "\n" */
	size_t n;
};

static struct lines
split(struct str text)
{
	struct lines l = { 0 };
	size_t room = 1;

	for (size_t i = 0; i < text.len; i++)
		room += text.ptr[i] == '\n';
	l.at = mem_array(room, sizeof(*l.at));
	while (text.len > 0) {
		const char *end = memchr(text.ptr, '\n', text.len);
		size_t len =
		    end == NULL ? text.len : (size_t)(end - text.ptr) + 1;

		l.at[l.n++] = (struct str){ text.ptr, len };
		text.ptr += len;
		text.len -= len;
	}
	return l;
}

/* The reaches after d edits, -d to d; after one another for all d. */
static int *
row(int *reach, int d)
{
	return reach + (size_t)d * (size_t)d + (size_t)d; /* at k == 0 */
}

static bool
came_down(const int *before, int d, int k)
{
	return k == -d || (k != d && before[k - 1] < before[k + 1]);
}

/* How many edits lead from a to b; -1: too many. */
static int
search(const struct str *a, int n, const struct str *b, int m, int *reach)
{
	for (int d = 0; d <= EDITS_MAX; d++) {
		int *now = row(reach, d);
		const int *before = d > 0 ? row(reach, d - 1) : NULL;

		for (int k = -d; k <= d; k += 2) {
			int x = 0, y;

			if (d > 0)
				x = came_down(before, d, k) ? before[k + 1]
							    : before[k - 1] + 1;
			for (y = x - k; x < n && y < m && x >= 0 && y >= 0 &&
			     str_eq(a[x], b[y]);
			     y++)
				x++;
			now[k] = x;
			if (x >= n && y >= m)
				return d;
		}
	}
	return -1;
}

/* The script as letters: ' ' both, '-' from, '+' to. Its end is `ops + len`,
 * and it is written from there. */
static char *
walk_back(int *reach, int d, int n, int m, char *end)
{
	int x = n, y = m;

	for (; d >= 0; d--) {
		int k = x - y, to_x = 0, to_y = 0;
		const int *before = d > 0 ? row(reach, d - 1) : NULL;

		if (d > 0) {
			int from = came_down(before, d, k) ? k + 1 : k - 1;

			to_x = before[from];
			to_y = to_x - from;
		}
		while (x > to_x && y > to_y) {
			*--end = ' ';
			x--;
			y--;
		}
		if (d > 0)
			*--end = x > to_x ? '-' : '+';
		x = to_x;
		y = to_y;
	}
	return end;
}

static void
put_line(struct buf *out, char op, struct str line)
{
	buf_addc(out, op);
	buf_add_str(out, line);
	if (line.len == 0 || line.ptr[line.len - 1] != '\n')
		buf_addz(out, "\n\\ No newline at end of file\n");
}

static void
put_range(struct buf *out, size_t from, size_t n)
{
	/* As diff does: of nothing, the line before is named. */
	buf_addf(out, n == 1 ? "%zu" : "%zu,%zu", n == 0 ? from : from + 1, n);
}

static void
put_hunks(struct buf *out, const char *ops, size_t n, const struct lines *a,
    const struct lines *b)
{
	size_t x = 0, y = 0; /* lines before ops[i] */
	size_t i = 0;

	while (i < n) {
		size_t begin, end, last, dx = 0, dy = 0;

		if (ops[i] == ' ') {
			i++;
			x++;
			y++;
			continue;
		}
		begin = i - MIN_OF(i, (size_t)AROUND);
		while (begin < i && ops[begin] != ' ')
			begin++;
		for (last = end = i; end < n && end - last <= 2 * AROUND + 1;
		     end++)
			if (ops[end] != ' ')
				last = end;
		end = MIN_OF(n, last + 1 + AROUND);
		x -= i - begin;
		y -= i - begin;
		for (size_t k = begin; k < end; k++) {
			dx += ops[k] != '+';
			dy += ops[k] != '-';
		}
		buf_addz(out, "@@ -");
		put_range(out, x, dx);
		buf_addz(out, " +");
		put_range(out, y, dy);
		buf_addz(out, " @@\n");
		for (size_t k = begin; k < end; k++) {
			put_line(
			    out, ops[k], ops[k] == '+' ? b->at[y] : a->at[x]);
			x += ops[k] != '+';
			y += ops[k] != '-';
		}
		i = end;
	}
}

void
text_diff(struct buf *out, struct str from, struct str to)
{
	struct lines a = split(from), b = split(to);
	size_t head = 0, tail = 0, n, m, room = a.n + b.n;
	char *ops = mem_array(room + 1, 1), *begin = ops + room;
	int *reach, d;

	while (head < a.n && head < b.n && str_eq(a.at[head], b.at[head]))
		head++;
	while (tail < a.n - head && tail < b.n - head &&
	    str_eq(a.at[a.n - 1 - tail], b.at[b.n - 1 - tail]))
		tail++;
	n = a.n - head - tail;
	m = b.n - head - tail;
	if (n + m == 0)
		goto done;

	begin -= tail;
	memset(begin, ' ', tail);
	reach = mem_array(
	    (size_t)(EDITS_MAX + 1) * (EDITS_MAX + 1) + 2 * EDITS_MAX + 2,
	    sizeof(*reach));
	d = search(a.at + head, (int)n, b.at + head, (int)m, reach);
	if (d >= 0) {
		begin = walk_back(reach, d, (int)n, (int)m, begin);
	} else {
		begin -= n + m;
		memset(begin, '-', n);
		memset(begin + n, '+', m);
	}
	free(reach);
	begin -= head;
	memset(begin, ' ', head);
	put_hunks(out, begin, (size_t)(ops + room - begin), &a, &b);
done:
	free(ops);
	free(a.at);
	free(b.at);
}
