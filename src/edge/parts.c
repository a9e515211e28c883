/*
 * edge/parts.c - the parts of the process: which there are, which run, and
 * which start with it.
 *
 *              start            it began
 *    STOPPED --------> STARTING ---------> UP
 *       ^                |   ^              |
 *       |           fail |   | retry timer  |
 *       |                v   |              |
 *       +--- stop ----- FAILED              |
 *       +--- stop ------------------------- +
 */
#include "edge/private.h"

#include "base/base.h"
#include "base/file.h"
#include "base/mem.h"
#include "edge/lock.h"
#include "edge/mapper_settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LOG_MODULE "edge"
#define RETRY_MIN_MS 5000
#define RETRY_MAX_MS 600000

/* --- which there are ----------------------------------------------------- */

/* Of "tedge-mapper-NAME", NAME. */
static struct str
behind(struct str name, const char *prefix)
{
	size_t len = strlen(prefix);

	return str_starts(name, str_of(prefix))
	    ? (struct str){ name.ptr + len, name.len - len }
	    : STR_NULL;
}

const struct part_type *
part_find(const struct config *c, struct str name, struct str *profile)
{
	struct str rest = name, base = str_cut(&rest, '@');

	for (size_t i = 0; part_types[i] != NULL; i++) {
		struct str own = behind(name, part_types[i]->name);

		if (part_types[i]->by_name && mapper_is_custom(c, own)) {
			*profile = own;
			return part_types[i];
		}
		if (part_types[i]->by_name)
			continue;
		if (!str_eqz(base, part_types[i]->name))
			continue;
		if (rest.ptr != NULL &&
		    (part_types[i]->cloud == NULL || !config_profile_ok(rest)))
			return NULL;
		*profile = rest;
		return part_types[i];
	}
	return NULL;
}

/* Of a mapper it is said which there are. */
static int
unknown(const struct config *c, struct str name, struct err *err)
{
	struct str own = behind(name, "tedge-mapper-");
	struct mapper_settings ignored;
	struct arena a = { 0 };
	int rc = 0;

	if (mapper_name_ok(own))
		rc = mapper_settings_read(
		    c, arena_z(&a, own), &a, &ignored, err);
	arena_fini(&a);
	if (rc == ERR_NOT_FOUND)
		return rc;
	return err_set(err, ERR_NOT_FOUND,
	    "there is no part \"" STR_FMT
	    "\"; `marram-edge part status` shows those that there are",
	    STR_ARG(name));
}

static struct part *
find(struct edge *e, struct str name)
{
	LIST_EACH (p, &e->parts, struct part, link) {
		if (str_eqz(name, p->name))
			return p;
	}
	return NULL;
}

/* --- settings ------------------------------------------------------------ */

const struct config *
parts_config(const struct edge *e)
{
	return e->starting != NULL ? e->starting->settings->config
				   : e->conf.config;
}

static void
settings_unref(struct settings *s)
{
	if (s == NULL || --s->refs > 0)
		return;
	config_close(s->own);
	free(s);
}

static void
look_at_file(const struct config *c, struct stat *ret)
{
	char *path = mem_printf("%s/tedge.toml", config_dir(c));

	memset(ret, 0, sizeof(*ret));
	(void)stat(path, ret); /* without a file: zeroes */
	free(path);
}

static bool
is_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_size == b->st_size &&
	    a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	    a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* A part that starts is to hold to what is set now, not to what was set when
 * the program started. */
static int
read_settings(struct edge *e, struct settings **ret, struct err *err)
{
	const struct config *first = e->conf.config;
	struct settings *s = e->settings;
	struct config *own = NULL;
	struct stat file;
	int rc;

	look_at_file(first, &file);
	if (s == NULL || !is_same_file(&s->file, &file)) {
		rc = s == NULL ? 0 : config_open(config_dir(first), &own, err);
		if (rc != 0)
			return rc;
		settings_unref(s);
		s = e->settings = mem_new(struct settings);
		*s = (struct settings){ .config = own != NULL ? own : first,
			.own = own,
			.refs = 1,
			.file = file };
	}
	s->refs++;
	*ret = s;
	return 0;
}

int
parts_begin(struct edge *e, struct err *err)
{
	struct settings *s;
	int rc = read_settings(e, &s, err); /* of the program */

	if (rc == 0)
		settings_unref(s);
	return rc;
}

/* --- start and stop ------------------------------------------------------ */

static void
become(struct part *p, enum part_state state, const struct err *why)
{
	p->state = state;
	levels_apply(p->edge);
	snprintf(p->why, sizeof(p->why), "%s", why != NULL ? why->text : "");
}

static int
begin(struct part *p, struct err *err)
{
	int rc = service_lock(p->edge->conf.config, p->name, &p->lock, err);

	if (rc == 0)
		rc = read_settings(p->edge, &p->settings, err);
	if (rc == 0) {
		p->edge->starting = p;
		rc = p->type->start(p->edge, p->profile, &p->running, err);
		p->edge->starting = NULL;
	}
	if (rc != 0) {
		settings_unref(p->settings);
		p->settings = NULL;
		service_unlock(p->lock);
		p->lock = -1;
	}
	return rc;
}

static void
try_start(struct part *p, struct err *err)
{
	become(p, PART_STARTING, NULL);
	if (begin(p, err) == 0) {
		become(p, PART_UP, NULL);
		p->delay_ms = RETRY_MIN_MS;
		log_info("%s has started", p->name);
		return;
	}
	become(p, PART_FAILED, err);
	log_error("%s does not start: %s; it is tried again in %d s", p->name,
	    err->text, (int)(p->delay_ms / 1000));
	loop_after(p->edge->loop, &p->retry, p->delay_ms);
	p->delay_ms =
	    p->delay_ms < RETRY_MAX_MS / 2 ? p->delay_ms * 2 : RETRY_MAX_MS;
}

static void
on_retry(struct loop_timer *t)
{
	struct err err;

	try_start(container_of(t, struct part, retry), &err);
}

static void
halt(struct part *p)
{
	loop_cancel(p->edge->loop, &p->retry);
	loop_cancel(p->edge->loop, &p->again);
	if (p->state == PART_UP) {
		p->type->stop(p->running);
		log_info("%s has stopped", p->name);
	}
	p->running = NULL;
	settings_unref(p->settings);
	p->settings = NULL;
	service_unlock(p->lock);
	p->lock = -1;
	become(p, PART_STOPPED, NULL);
}

static void
restart(struct part *p)
{
	struct err err;

	halt(p);
	p->delay_ms = RETRY_MIN_MS;
	try_start(p, &err);
}

static void
on_again(struct loop_timer *t)
{
	restart(container_of(t, struct part, again));
}

void
edge_restart_later(struct edge *e, const void *part)
{
	LIST_EACH (p, &e->parts, struct part, link) {
		if (p->running == part)
			loop_after(e->loop, &p->again, 0);
	}
}

int
edge_start(struct edge *e, struct str name, struct err *err)
{
	struct str profile;
	const struct part_type *type =
	    part_find(e->conf.config, name, &profile);
	struct part *p = find(e, name);
	struct err why = { 0 };

	if (type == NULL)
		return unknown(e->conf.config, name, err);
	if (p == NULL) {
		p = mem_new(struct part);
		p->edge = e;
		p->type = type;
		p->name = str_dupz(name);
		if (profile.ptr != NULL)
			p->profile = str_of(p->name + (profile.ptr - name.ptr));
		p->lock = -1;
		p->retry.fire = on_retry;
		p->again.fire = on_again;
		list_add(&e->parts, &p->link);
	}
	if (p->state == PART_UP)
		return 0;
	forget_close(e); /* it must not end the session of one that runs */
	loop_cancel(e->loop, &p->retry);
	p->delay_ms = RETRY_MIN_MS;
	try_start(p, &why);
	return p->state == PART_UP ? 0 : err_set(err, why.code, "%s", why.text);
}

int
edge_stop(struct edge *e, struct str name, struct err *err)
{
	struct str profile;
	struct part *p = find(e, name);

	if (p != NULL)
		halt(p);
	else if (part_find(e->conf.config, name, &profile) == NULL)
		return err_set(err, ERR_NOT_FOUND,
		    "there is no part \"" STR_FMT "\"", STR_ARG(name));
	return 0;
}

struct visit {
	struct edge *edge;
	const struct part_type *type;
	void (*each)(
	    void *ctx, struct str name, enum part_state state, const char *why);
	void *ctx;
};

static void
visit_folder(void *ctx, const char *folder)
{
	const struct visit *v = ctx;
	char name[160];

	if (!mapper_is_custom(v->edge->conf.config, str_of(folder)))
		return;
	snprintf(name, sizeof(name), "%s%s", v->type->name, folder);
	if (find(v->edge, str_of(name)) == NULL)
		v->each(v->ctx, str_of(name), PART_STOPPED, "");
}

void
edge_each(struct edge *e,
    void (*each)(
	void *ctx, struct str name, enum part_state state, const char *why),
    void *ctx)
{
	for (size_t i = 0; part_types[i] != NULL; i++) {
		struct str name = str_of(part_types[i]->name);
		struct visit v = { e, part_types[i], each, ctx };

		if (part_types[i]->by_name)
			mapper_each_folder(e->conf.config, visit_folder, &v);
		else if (find(e, name) == NULL)
			each(ctx, name, PART_STOPPED, "");
	}
	LIST_EACH (p, &e->parts, struct part, link)
		each(ctx, str_of(p->name), p->state, p->why);
}

bool
parts_all_failed(const struct edge *e)
{
	LIST_EACH (p, &((struct edge *)e)->parts, struct part, link) {
		if (p->state != PART_FAILED)
			return false;
	}
	return true;
}

void
parts_restart(struct edge *e, const char *prefix)
{
	LIST_EACH (p, &e->parts, struct part, link) {
		if (p->state != PART_STOPPED &&
		    str_starts(str_of(p->name), str_of(prefix)))
			restart(p);
	}
}

/* The last to come goes first: mappers before the agent. */
void
parts_free(struct edge *e)
{
	while (!list_empty(&e->parts)) {
		struct part *p = container_of(e->parts.prev, struct part, link);

		halt(p);
		list_del(&p->link);
		free(p->name);
		free(p);
	}
	settings_unref(e->settings);
}

/* --- those that are enabled ---------------------------------------------- */

static char *
file_of(const struct config *c)
{
	return mem_printf(
	    STR_FMT "/parts", STR_ARG(config_text(c, "data.path")));
}

int
parts_enabled(const struct config *c, struct buf *lines, struct err *err)
{
	char *path = file_of(c);
	struct stat st;
	int rc = 0;

	if (stat(path, &st) == 0)
		rc = file_read(path, lines, err);
	free(path);
	return rc;
}

int
parts_enable(const struct config *c, struct str name, bool on, struct err *err)
{
	struct buf before = { 0 }, after = { 0 };
	struct str rest, line, profile;
	bool was = false;
	char *path;
	int rc = parts_enabled(c, &before, err);

	for (rest = buf_str(&before); rc == 0 && rest.len > 0;) {
		line = str_trim(str_cut(&rest, '\n'));
		if (str_eq(line, name))
			was = true;
		else if (line.len > 0)
			buf_addf(&after, STR_FMT "\n", STR_ARG(line));
	}
	if (on)
		buf_addf(&after, STR_FMT "\n", STR_ARG(name));
	/* The folder of a user's mapper may be gone when it is disabled. */
	if (rc == 0 && (on || !was) && part_find(c, name, &profile) == NULL)
		rc = unknown(c, name, err);
	path = file_of(c);
	if (rc == 0 && was != on)
		rc = edge_make_dir(config_text(c, "data.path"), err);
	if (rc == 0 && was != on)
		rc = file_write(path, buf_str(&after), err);
	free(path);
	buf_free(&before);
	buf_free(&after);
	return rc;
}
