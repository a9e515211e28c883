/*
 * edge/mapper/double.c - see double.h.
 */
#include "edge/mapper/double.h"

#include "base/base.h"

#include <signal.h>
#include <string.h>

static void
add_text(struct mapper_double *d, struct str s)
{
	struct str mark = STR("\xE2\x8F\x8E");

	for (size_t i = 0; i < s.len; i++) {
		if (d->folder.len > 0 && s.len - i >= d->folder.len &&
		    memcmp(s.ptr + i, d->folder.ptr, d->folder.len) == 0) {
			buf_addz(&d->said, "${config_dir}");
			i += d->folder.len - 1;
		} else if (s.ptr[i] == '\n') {
			buf_add_str(&d->said, mark);
		} else {
			buf_addc(&d->said, s.ptr[i]);
		}
	}
}

static void
add_word(struct mapper_double *d, struct str s)
{
	buf_addc(&d->said, ' ');
	add_text(d, s);
}

static void
on_publish(void *owner, const struct mapper_msg *m)
{
	struct mapper_double *d = owner;

	buf_addz(&d->said, "out");
	add_word(d, m->topic);
	buf_addf(&d->said, " q%d%s", m->qos, m->retain ? "r" : "");
	if (m->payload.len > 0)
		add_word(d, m->payload);
	buf_addc(&d->said, '\n');
}

static void
on_error(void *owner, struct str topic, struct str text, bool own)
{
	struct mapper_double *d = owner;
	struct buf to = { 0 };
	struct mapper_msg m = { .payload = text, .qos = 1 };

	(void)own; /* it is the only one */
	if (str_starts(topic, STR("tedge/")))
		buf_addz(&to, "tedge");
	else
		buf_add_str(&to, d->root);
	buf_addz(&to, "/errors");
	m.topic = buf_str(&to);
	on_publish(d, &m);
	buf_free(&to);
}

static int64_t
on_now_ns(void *owner)
{
	return ((struct mapper_double *)owner)->now_ns;
}

static int32_t
on_offset_s(void *owner)
{
	return ((struct mapper_double *)owner)->offset_s;
}

static int64_t
on_mono_ms(void *owner)
{
	return ((struct mapper_double *)owner)->mono_ms;
}

static void
on_after(void *owner, int64_t ms)
{
	struct mapper_double *d = owner;

	d->due_ms = d->mono_ms + ms;
}

static void
ask(struct mapper_double *d, uint64_t tag)
{
	if (d->n_asked < COUNT_OF(d->asked))
		d->asked[d->n_asked++] = tag;
}

static void
on_http(void *owner, uint64_t tag, const char *method, struct str url,
    struct str type, struct str body)
{
	struct mapper_double *d = owner;

	buf_addf(&d->said, "http %s", method);
	add_word(d, url);
	if (type.ptr != NULL)
		add_word(d, type);
	if (body.ptr != NULL)
		add_word(d, body);
	buf_addc(&d->said, '\n');
	ask(d, tag);
}

static void
on_carry(
    void *owner, uint64_t tag, struct str from, struct str to, struct str type)
{
	struct mapper_double *d = owner;

	buf_addz(&d->said, "carry");
	add_word(d, from);
	add_word(d, to);
	add_word(d, type);
	buf_addc(&d->said, '\n');
	ask(d, tag);
}

static void
on_run(void *owner, uint64_t tag, const struct mapper_run *run)
{
	struct mapper_double *d = owner;

	buf_addf(&d->said, "run %d ", (int)(run->timeout_ms / 1000));
	for (size_t i = 0; run->argv[i] != NULL; i++) {
		if (i > 0)
			buf_addc(&d->said, '|');
		add_text(d, str_of(run->argv[i]));
	}
	for (size_t i = 0; run->env != NULL && run->env[i] != NULL; i++)
		add_word(d, str_of(run->env[i]));
	buf_addc(&d->said, '\n');
	if (d->n_started < COUNT_OF(d->started))
		d->started[d->n_started++] = tag;
}

static void
on_watch(void *owner, const char *folder)
{
	struct mapper_double *d = owner;

	buf_addz(&d->said, "watch");
	add_word(d, str_of(folder));
	buf_addc(&d->said, '\n');
}

void
mapper_double_init(struct mapper_double *d)
{
	*d = (struct mapper_double){
		.host = { .owner = d,
		    .publish = on_publish,
		    .error = on_error,
		    .now_ns = on_now_ns,
		    .offset_s = on_offset_s,
		    .after = on_after,
		    .http = on_http,
		    .mono_ms = on_mono_ms,
		    .carry = on_carry,
		    .run = on_run,
		    .watch = on_watch },
		.root = STR("te"),
		.mono_ms = 1000000,
		.due_ms = -1,
	};
}

void
mapper_double_fini(struct mapper_double *d)
{
	buf_free(&d->said);
}

void
mapper_double_begin(
    struct mapper_double *d, const struct mapper_ops *ops, void *m)
{
	int64_t now_ns = d->now_ns;

	ops->up(m);
	if (ops->timer != NULL)
		mapper_double_wait(d, ops, m, 2000);
	d->now_ns = now_ns;
	buf_clear(&d->said);
}

void
mapper_double_wait(
    struct mapper_double *d, const struct mapper_ops *ops, void *m, int64_t ms)
{
	int64_t end = d->mono_ms + ms;

	while (d->due_ms >= 0 && d->due_ms <= end) {
		int64_t step = MAX_OF(d->due_ms - d->mono_ms, 0);

		d->mono_ms += step;
		d->now_ns += step * 1000000;
		d->due_ms = -1;
		ops->timer(m);
	}
	d->now_ns += (end - d->mono_ms) * 1000000;
	d->mono_ms = end;
}

static bool
oldest(uint64_t *all, size_t *n, uint64_t *ret)
{
	if (*n == 0)
		return false;
	*ret = all[0];
	--*n;
	memmove(all, all + 1, *n * sizeof(*all));
	return true;
}

bool
mapper_double_answer(struct mapper_double *d, const struct mapper_ops *ops,
    void *m, int status, struct str body)
{
	uint64_t tag;

	if (!oldest(d->asked, &d->n_asked, &tag))
		return false;
	ops->http(m, tag, status, body);
	return true;
}

bool
mapper_double_exit(struct mapper_double *d, const struct mapper_ops *ops,
    void *m, int status, struct str text)
{
	struct child_end end = {
		.status = status, .out = STR(""), .err = STR("")
	};
	uint64_t tag;

	if (!oldest(d->started, &d->n_started, &tag))
		return false;
	*(status == 0 ? &end.out : &end.err) = text;
	if (status == -1) {
		end.signal = SIGTERM;
		end.timed_out = true;
	}
	ops->ran(m, tag, &end);
	return true;
}
