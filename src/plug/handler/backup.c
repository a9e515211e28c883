/*
 * plug/handler/backup.c - makes a backup, by the program around it.
 *
 * Only one backup is made at a time, and it takes as long as it takes: there is
 * no deadline. What a parameter says of the folder counts only when it is the
 * handler's own or lies in it: who may write rules may not write anywhere.
 */
#include "plug/handler/ops.h"

#include "base/base.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct spec {
	struct str provider, prefix, form, dir;
	int64_t retention;
	bool history, metrics;
};

static const char *const providers[] = { "disk", NULL };
static const char *const forms[] = { "json", "yaml", NULL };

#define S struct spec
#define ROWS(retention_def)                                                    \
	F_TEXT(S, provider, "providerType", .def = "\"\"",                     \
	    .flags = FIELD_BLANK, .one_of = providers,                         \
	    .help = "Where it goes: disk."),                                   \
	    F_TEXT(S, prefix, "prefix", .def = "\"\"", .max = 100,             \
		.help = "Begins the file's name; the newest of each prefix "   \
			"are kept."),                                          \
	    F_TEXT(S, form, "storageExportType", .def = "\"\"",                \
		.flags = FIELD_BLANK, .one_of = forms,                         \
		.help = "json or yaml."),                                      \
	    F_TEXT(S, dir, "targetDirectory", .def = "\"\"", .max = 1024,      \
		.help = "Folder, as a whole path; empty: that of all "         \
			"backups."),                                           \
	    F_INT(S, retention, "retentionCount", .def = retention_def,        \
		.min = 0, .max = 100000,                                       \
		.help = "How many are kept; 0: as the setting says.")

static const struct field spec_fields[] = {
	ROWS("0"),
	F_BOOL(S, history, "history", .def = "false",
	    .help = "With what has passed and what rules did, too."),
	F_BOOL(S, metrics, "metrics", .def = "false",
	    .help = "With the history of values, too."),
	{ 0 },
};
static const struct record spec_record = { "backupSpec", sizeof(S),
	spec_fields };
static const struct field takes_fields[] = { ROWS("0"), { 0 } };
static const struct record takes_record = { "backupParameter", sizeof(S),
	takes_fields };

struct sending;

struct backup {
	struct handler *h;
	struct spec spec; /* texts in `arena` */
	struct arena arena;
	struct sending *sending; /* NULL: none */
};

/* A backup that is being made. It outlives a handler that is closed. */
struct sending {
	struct backup *of; /* NULL: nobody waits any more */
	struct loop *loop;
	struct loop_post post;
	int rc;
	char text[400];
};

static int
check(const struct spec *s, struct err *err)
{
	if (s->dir.len > 0 && s->dir.ptr[0] != '/')
		return err_set(
		    err, ERR_PARAM, "targetDirectory: a whole path is needed");
	return 0;
}

static int
backup_open(struct handler *h, const void *spec, void **ret, struct err *err)
{
	const struct spec *s = spec;
	struct backup *b;
	int rc = check(s, err);

	if (rc != 0)
		return rc;
	b = mem_new(struct backup);
	b->h = h;
	record_copy(&spec_record, &b->arena, &b->spec, s);
	*ret = b;
	return 0;
}

/* Is `dir` the folder `in`, or below it? */
static bool
is_within(struct str dir, struct str in)
{
	struct str rest = dir;

	while (rest.ptr != NULL)
		if (str_eqz(str_cut(&rest, '/'), ".."))
			return false;
	while (in.len > 1 && in.ptr[in.len - 1] == '/')
		in.len--;
	return in.len > 0 && str_starts(dir, in) &&
	    (dir.len == in.len || dir.ptr[in.len] == '/');
}

static int
backup_prepare(
    void *own, struct handler_job *j, const void *parameter, struct err *err)
{
	const struct backup *b = own;
	const struct spec *p = parameter;
	struct spec *w = arena_new(&j->arena, struct spec);
	int rc = check(p, err);

	if (rc == 0 && p->dir.len > 0 && !is_within(p->dir, b->spec.dir))
		rc = err_set(err, ERR_PARAM,
		    "targetDirectory: must be in that of the handler");
	if (rc != 0)
		return rc;
	*w = b->spec;
	if (p->prefix.len > 0)
		w->prefix = p->prefix;
	if (p->form.len > 0)
		w->form = p->form;
	if (p->dir.len > 0)
		w->dir = p->dir;
	if (p->retention > 0)
		w->retention = p->retention;
	j->own = w;
	return 0;
}

static enum handler_outcome
outcome_of(int rc)
{
	switch (rc) {
	case 0:
		return HANDLER_SENT;
	case ERR_PARAM:
	case ERR_DENIED:
	case ERR_NOT_FOUND:
		return HANDLER_REFUSED;
	default:
		return HANDLER_LATER;
	}
}

static void
on_made(struct loop_post *post)
{
	struct sending *s = container_of(post, struct sending, post);
	struct backup *b = s->of;
	struct sending done = *s;

	free(s);
	if (b == NULL)
		return;
	b->sending = NULL;
	handler_sent(b->h, outcome_of(done.rc), done.rc, 0, done.text);
}

/* On any thread. */
static void
made(void *ctx, int rc, const char *text)
{
	struct sending *s = ctx;

	s->rc = rc;
	strncpy(s->text, text, sizeof(s->text) - 1);
	loop_post(s->loop, &s->post);
}

static void
backup_send(void *own, struct handler_job *j)
{
	struct backup *b = own;
	const struct handler_host *host = handler_host_of(b->h);
	const struct spec *w = j->own;
	const struct handler_backup wish = { w->prefix, w->form, w->dir,
		w->retention, w->history, w->metrics };
	struct sending *s;
	struct err err;
	int rc;

	if (host->backup == NULL) {
		handler_sent(b->h, HANDLER_REFUSED, ERR_CLOSED, 0,
		    "backups can not be made here");
		return;
	}
	s = mem_new(struct sending);
	s->of = b;
	s->loop = host->loop;
	s->post.run = on_made;
	b->sending = s;
	rc = host->backup(host->ctx, &wish, made, s, &err);
	if (rc == 0)
		return;
	free(s);
	b->sending = NULL;
	handler_sent(b->h, outcome_of(rc), rc, 0, err.text);
}

static void
backup_cancel(void *own, struct handler_job *j)
{
	struct backup *b = own;

	(void)j;
	if (b->sending != NULL)
		b->sending->of = NULL;
	b->sending = NULL;
}

static void
backup_close(void *own)
{
	struct backup *b = own;

	arena_fini(&b->arena);
	free(b);
}

const struct handler_ops handler_backup = {
	.name = "backup",
	.parameter = "backup",
	.spec = &spec_record,
	.takes = &takes_record,
	.patient = true,
	.open = backup_open,
	.prepare = backup_prepare,
	.send = backup_send,
	.cancel = backup_cancel,
	.close = backup_close,
};
