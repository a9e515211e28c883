/*
 * plug/target/linux_answer.c - see linux.h. A device may answer anything: what
 * is no line of apply.sh is an error, and there is a limit of lines.
 */
#include "base/base.h"
#include "codec/text_diff.h"
#include "plug/target/linux.h"

#include <stdlib.h>
#include <string.h>

#define CHANGES_MAX 50000
#define DIFF_MAX (64 << 10) /* bytes of a text that is compared, and shown */

static const char *const actions[] = {
	[TARGET_ADD] = "add",
	[TARGET_CHANGE] = "change",
	[TARGET_REMOVE] = "remove",
	[TARGET_RUN] = "run",
};

/* A field: hexadecimal behind "=", or "-" for none. */
static bool
field(struct str s, struct arena *a, struct str *ret)
{
	struct buf b = { 0 };
	bool ok;

	*ret = STR_NULL;
	if (str_eqz(s, "-"))
		return true;
	if (s.len == 0 || s.ptr[0] != '=')
		return false;
	ok = hex_decode(&b, (struct str){ s.ptr + 1, s.len - 1 });
	if (ok)
		*ret = b.len == 0 ? STR("") : arena_str(a, buf_str(&b));
	buf_free(&b);
	return ok;
}

static bool
is_shown(struct str text)
{
	return text.len <= DIFF_MAX && str_is_utf8(text) &&
	    (text.len == 0 || memchr(text.ptr, '\0', text.len) == NULL);
}

static void
add_diff(const struct linux_spec *s, struct target_change *c, struct str from,
    struct arena *a)
{
	struct buf b = { 0 };

	for (size_t i = 0; i < s->n_files; i++) {
		const struct linux_file *f = &s->files[i];

		if (!str_eqz(c->kind, f->kind) || !str_eq(c->name, f->path))
			continue;
		if (f->secret.ptr == NULL && is_shown(f->text) &&
		    is_shown(from))
			text_diff(&b, from, f->text);
		if (b.len > 0)
			c->diff = arena_str(a, buf_str(&b));
		buf_free(&b);
		return;
	}
}

static bool
read_change(struct str rest, struct arena *a, struct target_change *ret)
{
	struct str action = str_cut(&rest, ' '), kind = str_cut(&rest, ' ');
	struct str name = str_cut(&rest, ' '), from = str_cut(&rest, ' ');
	size_t i = 0;

	while (i < COUNT_OF(actions) && !str_eqz(action, actions[i]))
		i++;
	ret->action = (enum target_action)i;
	ret->kind = kind.ptr == NULL ? STR_NULL : arena_str(a, kind);
	return i < COUNT_OF(actions) && kind.len > 0 && rest.ptr != NULL &&
	    field(name, a, &ret->name) && ret->name.ptr != NULL &&
	    field(from, a, &ret->from) && field(rest, a, &ret->to);
}

/* "file /etc/x: is a folder there" */
static bool
read_fault(struct str rest, struct arena *a, struct str *ret)
{
	struct str kind = str_cut(&rest, ' '), name = str_cut(&rest, ' ');
	struct str what;

	if (rest.ptr == NULL || !field(name, a, &name) ||
	    !field(rest, a, &what))
		return false;
	*ret = arena_printf(a, STR_FMT " " STR_FMT ": " STR_FMT, STR_ARG(kind),
	    STR_ARG(name), STR_ARG(what));
	return true;
}

struct answer {
	struct target_plan plan;
	size_t room;
	struct buf faults;
	bool ended;
};

static struct target_change *
next_change(struct answer *r, struct arena *a)
{
	if (r->plan.n == r->room) {
		size_t room = r->room == 0 ? 16 : r->room * 2;
		struct target_change *at =
		    arena_array(a, room, struct target_change);

		if (r->plan.n > 0)
			memcpy(at, r->plan.changes, r->plan.n * sizeof(*at));
		r->plan.changes = at;
		r->room = room;
	}
	return &r->plan.changes[r->plan.n++];
}

static bool
read_line(const struct linux_spec *s, struct str line, struct arena *a,
    void (*tell)(void *ctx, struct str line), void *ctx, struct answer *r)
{
	struct str rest = line, word = str_cut(&rest, ' '), text;
	struct target_change *c;

	if (str_eqz(word, "end")) {
		r->ended = true;
		return true;
	}
	if (rest.ptr == NULL)
		return false;
	if (str_eqz(word, "current")) {
		r->plan.current = arena_str(a, rest);
		return true;
	}
	if (str_eqz(word, "fault")) {
		if (!read_fault(rest, a, &text))
			return false;
		tell(ctx, text);
		buf_addf(&r->faults, "%s" STR_FMT,
		    r->faults.len == 0 ? "" : "; ", STR_ARG(text));
		return true;
	}
	if (str_eqz(word, "content")) {
		if (r->plan.n == 0 || !field(rest, a, &text))
			return false;
		add_diff(s, &r->plan.changes[r->plan.n - 1], text, a);
		return true;
	}
	if (!str_eqz(word, "change") || r->plan.n >= CHANGES_MAX)
		return false;
	c = next_change(r, a);
	if (!read_change(rest, a, c))
		return false;
	if (c->action == TARGET_ADD)
		add_diff(s, c, STR(""), a);
	return true;
}

int
linux_answer(const struct linux_spec *s, struct str out, struct arena *a,
    void (*tell)(void *ctx, struct str line), void *ctx,
    struct target_plan *ret, struct err *err)
{
	struct answer r = { 0 };
	int rc = 0;

	while (out.len > 0 && rc == 0) {
		struct str line = str_cut(&out, '\n');

		if (!read_line(s, line, a, tell, ctx, &r))
			rc = err_set(err, ERR_PROTO,
			    "the device answers \"%.*s\"",
			    (int)MIN_OF(line.len, 80u), line.ptr);
	}
	if (rc == 0 && !r.ended)
		rc = err_set(err, ERR_PROTO, "the device's answer is cut");
	if (rc == 0 && r.faults.len > 0)
		rc = err_set(err, ERR_PARAM, "can not be made so: " STR_FMT,
		    STR_ARG(buf_str(&r.faults)));
	buf_free(&r.faults);
	/* It had it once; now it is something else. */
	if (r.plan.n > 0 && str_eq(r.plan.current, s->built))
		r.plan.current = STR_NULL;
	if (rc == 0)
		*ret = r.plan;
	return rc;
}
