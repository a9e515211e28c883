/*
 * edge/agent/plugins.c - the programs in sm-plugins/: each an executable file,
 * its name the type of software that it manages.
 *
 * One is a plugin when its `list` ends with 0. It is asked once, beside
 * everything else, and again when the file is another; one that said no is
 * asked at each scan. So one that hangs holds nobody.
 */
#include "edge/agent/software.h"

#include "base/log.h"
#include "base/mem.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOG_MODULE "agent"
#define SETTLE_MS 10000 /* then types are told without those still asked */

/* --- the folder ----------------------------------------------------------- */

static bool
is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
	    a->st_size == b->st_size &&
	    a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	    a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static void
plugin_free(struct sm_plugin *p)
{
	child_free(p->probe);
	free(p->type);
	free(p->path);
	free(p);
}

static struct sm_plugin *
find_type(struct software *s, struct str type)
{
	for (size_t i = 0; i < s->n; i++)
		if (str_eqz(type, s->at[i]->type))
			return s->at[i];
	return NULL;
}

/* Of those that are plugins; while none is known, of all. */
static struct sm_plugin *
only_one(struct software *s)
{
	struct sm_plugin *ret = s->n == 1 ? s->at[0] : NULL;
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		if (s->at[i]->valid) {
			ret = s->at[i];
			n++;
		}
	return n <= 1 ? ret : NULL;
}

struct sm_plugin *
sm_find(struct software *s, struct str type)
{
	if (type.len > 0 && !str_eqz(type, "default"))
		return find_type(s, type);
	if (s->agent->conf->software_default.len > 0)
		return find_type(s, s->agent->conf->software_default);
	return only_one(s);
}

static int
by_name(const void *a, const void *b)
{
	const struct sm_plugin *const *x = a, *const *y = b;

	return strcmp((*x)->type, (*y)->type);
}

static void
look_at(struct software *s, const char *dir, const char *name)
{
	struct sm_plugin *p = find_type(s, str_of(name));
	char *path = mem_printf("%s/%s", dir, name);
	struct stat st;

	if (stat(path, &st) != 0 || !S_ISREG(st.st_mode) ||
	    access(path, X_OK) != 0) {
		free(path);
		return;
	}
	if (p == NULL) {
		p = mem_new(struct sm_plugin);
		p->agent = s->agent;
		p->type = str_dupz(str_of(name));
		p->path = path;
		s->at = mem_resize(s->at, s->n + 1, sizeof(*s->at));
		s->at[s->n++] = p;
	} else {
		free(path);
		if (!is_same(&st, &p->was))
			p->valid = false;
	}
	p->was = st;
	p->seen = true;
}

/* --- asking --------------------------------------------------------------- */

static void
tell_types(struct software *s)
{
	if (!s->settled)
		return;
	agent_publish_capability(s->agent, &job_software_list);
	agent_publish_capability(s->agent, &job_software_update);
}

void
sm_judge(struct sm_plugin *p, bool ok)
{
	bool was = p->valid;

	p->valid = ok;
	if (was != ok)
		tell_types(p->agent->software);
}

static void
settle(struct software *s)
{
	if (s->settled)
		return;
	loop_cancel(s->agent->loop, &s->settle);
	s->settled = true;
	tell_types(s);
}

static void
on_settle(struct loop_timer *t)
{
	settle(container_of(t, struct software, settle));
}

static void
on_probed(void *ctx, const struct child_end *end)
{
	struct sm_plugin *p = ctx;
	struct software *s = p->agent->software;
	bool ok = end->status == 0 && !end->timed_out;

	p->probe = NULL;
	s->probing--;
	if (!ok) {
		struct buf how = { 0 };

		child_end_text(end, &how);
		log_warn("%s is no plugin for software: its `list` %s", p->path,
		    buf_z(&how));
		buf_free(&how);
	}
	sm_judge(p, ok);
	if (s->probing == 0)
		settle(s);
}

static void
probe(struct sm_plugin *p)
{
	const struct agent_conf *conf = p->agent->conf;
	const char *argv[] = { "sudo", p->path, "list", NULL };
	struct err err;

	if (child_start(p->agent->loop,
		&(struct child_conf){ .argv = argv + agent_without_sudo(conf),
		    .env = p->agent->env,
		    .cwd = conf->tmp_dir,
		    .output_max = 1,
		    .timeout_ms = conf->plugin_timeout_ms },
		on_probed, p, &p->probe, &err) == 0)
		p->agent->software->probing++;
	else
		log_warn("%s is no plugin for software: %s", p->path, err.text);
}

void
software_scan(struct agent *a)
{
	struct software *s = a->software;
	char *dir = mem_printf("%s/sm-plugins", a->conf->config_dir);
	DIR *d = opendir(dir);
	struct dirent *e;
	size_t n = 0;
	bool gone = false;

	for (size_t i = 0; i < s->n; i++)
		s->at[i]->seen = false;
	while (d != NULL && (e = readdir(d)) != NULL)
		if (e->d_name[0] != '.')
			look_at(s, dir, e->d_name);
	if (d != NULL)
		closedir(d);
	free(dir);

	for (size_t i = 0; i < s->n; i++) {
		if (s->at[i]->seen) {
			s->at[n++] = s->at[i];
			continue;
		}
		if (s->at[i]->probe != NULL)
			s->probing--;
		gone = gone || s->at[i]->valid;
		plugin_free(s->at[i]);
	}
	s->n = n;
	if (n > 0)
		qsort(s->at, n, sizeof(*s->at), by_name);
	for (size_t i = 0; i < n; i++)
		if (!s->at[i]->valid && s->at[i]->probe == NULL)
			probe(s->at[i]);
	if (s->probing == 0)
		settle(s);
	if (gone)
		tell_types(s);
}

void
software_reload(struct agent *a, const struct job_type *t)
{
	software_scan(a);
	if (a->software->settled)
		agent_publish_capability(a, t);
}

/* --- which packages are told of ------------------------------------------- */

/* With one of the two alone, the other is "nothing": include keeps what
 * matches, exclude what does not; with both, what either keeps. */
static bool
is_told(struct software *s, struct str text)
{
	const char *name;

	if (!s->has_include && !s->has_exclude)
		return true;
	buf_clear(&s->name);
	buf_add_str(&s->name, text);
	name = buf_z(&s->name);
	return (s->has_include &&
		   regexec(&s->include, name, 0, NULL, 0) == 0) ||
	    (s->has_exclude && regexec(&s->exclude, name, 0, NULL, 0) != 0);
}

int
sm_read_list(
    struct software *s, struct str text, struct json_out *o, struct err *err)
{
	int64_t left = s->agent->conf->software_max;
	bool all = left == 0;

	if (!str_is_utf8(text) || memchr(text.ptr, '\0', text.len) != NULL)
		return err_set(err, ERR_PROTO, "its list is not a text");
	while (text.len > 0 && (all || left > 0)) {
		struct str rest = str_cut(&text, '\n'), name;

		if (str_ends(rest, STR("\r")))
			rest.len--;
		name = str_cut(&rest, '\t');
		if (name.len == 0 || !is_told(s, name))
			continue;
		left--;
		json_out_object(o);
		json_out_key(o, "name");
		json_out_str(o, name);
		if (rest.ptr != NULL)
			rest = str_cut(&rest, '\t');
		if (rest.len > 0) {
			json_out_key(o, "version");
			json_out_str(o, rest);
		}
		json_out_end_object(o);
	}
	return 0;
}

/* --- begin and end -------------------------------------------------------- */

static int
compile(
    struct str text, const char *key, regex_t *re, bool *has, struct err *err)
{
	char *z, why[128];
	int rc;

	if (text.len == 0)
		return 0;
	z = str_dupz(text);
	rc = regcomp(re, z, REG_EXTENDED);
	free(z);
	if (rc == 0) {
		*has = true;
		return 0;
	}
	regerror(rc, re, why, sizeof(why));
	return err_set(err, ERR_PARAM, "%s: not a pattern: %s", key, why);
}

int
software_open(struct agent *a, struct err *err)
{
	struct software *s = mem_new(struct software);
	int rc;

	a->software = s;
	s->agent = a;
	s->settle.fire = on_settle;
	rc = compile(a->conf->software_include, "software.plugin.include",
	    &s->include, &s->has_include, err);
	if (rc == 0)
		rc = compile(a->conf->software_exclude,
		    "software.plugin.exclude", &s->exclude, &s->has_exclude,
		    err);
	if (rc == 0)
		loop_after(a->loop, &s->settle, SETTLE_MS);
	return rc;
}

void
software_close(struct agent *a)
{
	struct software *s = a->software;

	if (s == NULL)
		return;
	loop_cancel(a->loop, &s->settle);
	for (size_t i = 0; i < s->n; i++)
		plugin_free(s->at[i]);
	free(s->at);
	buf_free(&s->name);
	if (s->has_include)
		regfree(&s->include);
	if (s->has_exclude)
		regfree(&s->exclude);
	free(s);
	a->software = NULL;
}
