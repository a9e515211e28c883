/*
 * edge/agent/software.c - software_list and software_update.
 *
 * An update, of each type in turn:
 *
 *    known? -> prepare -> download all -> update-list -> finalize -> next type
 *                 |            |            | exit 1       ^
 *                 |            | one failed v              |
 *                 |            |         one by one -------+
 *                 |            +---------------------------+
 *                 +-> next type
 *
 * and then, as of a list, `list` of every plugin. One type's failure is not
 * another's.
 */
#include "edge/agent/software.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

struct module {
	struct str name, version, url, bearer; /* STR_NULL: none */
	bool install;
	const char *path;  /* where its file is; NULL: it has none */
	struct str failed; /* STR_NULL: not */
};

struct type {
	struct str name;
	struct module *at;
	size_t n;
	struct str *errors; /* of the type as a whole */
	size_t n_errors;
};

struct sw {
	struct type *types;
	size_t n, at, module; /* where we are */
	const char *plugin;   /* its path */
	struct strs listed;   /* the plugins to list */
	size_t list_at;
	struct json_out list; /* into `text` */
	struct buf text;
	size_t errors;
	bool update;
};

/* --- the request ---------------------------------------------------------- */

static bool
is_clean(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f)
			return false;
	return true;
}

static int
unknown(struct str key, struct err *err)
{
	return err_set(err, ERR_PARAM,
	    "updateList: unknown member \"" STR_FMT "\"", STR_ARG(key));
}

/* A text, or null. */
static void
text_or_null(struct json *in, struct str *ret)
{
	if (json_peek(in) == JSON_NULL)
		json_null(in);
	else
		json_str(in, ret);
}

static int
read_module(struct json *in, bool strict, struct module *m, struct err *err)
{
	struct str key, action = STR_NULL, part;
	int rc = 0;

	*m = (struct module){ 0 };
	if (json_object(in))
		while (json_member(in, &key)) {
			if (str_eqz(key, "name"))
				json_str(in, &m->name);
			else if (str_eqz(key, "version"))
				text_or_null(in, &m->version);
			else if (str_eqz(key, "url"))
				text_or_null(in, &m->url);
			else if (str_eqz(key, "action"))
				json_str(in, &action);
			else if (str_eqz(key, "auth") &&
			    json_peek(in) == JSON_OBJECT && json_object(in))
				while (json_member(in, &part)) {
					if (str_eqz(part, "bearer"))
						json_str(in, &m->bearer);
					else
						json_skip(in);
				}
			else if (strict && rc == 0)
				rc = unknown(key, err);
			else
				json_skip(in);
			if (rc != 0)
				return rc;
		}
	if (!json_ok(in))
		return 0; /* json_done() tells */
	if (m->name.len == 0 || m->name.ptr[0] == '-' || !is_clean(m->name))
		return err_set(err, ERR_PARAM,
		    "updateList: a module's \"name\" is missing, or is none");
	if (!is_clean(m->version) || (m->version.len > 0 && m->version.ptr[0] == '-'))
		return err_set(err, ERR_PARAM,
		    "updateList: the version of \"" STR_FMT "\" is none",
		    STR_ARG(m->name));
	m->install = str_eqz(action, "install");
	if (!m->install && !str_eqz(action, "remove"))
		return err_set(err, ERR_PARAM,
		    "updateList: the action of \"" STR_FMT
		    "\" must be install or remove",
		    STR_ARG(m->name));
	if (m->version.len == 0)
		m->version = STR_NULL;
	if (m->url.len == 0)
		m->url = STR_NULL;
	return 0;
}

static int
read_type(struct json *in, bool strict, struct type *t, struct arena *a,
    struct err *err)
{
	struct module *all = NULL;
	struct str key;
	size_t n = 0;
	int rc = 0;

	*t = (struct type){ .name = STR("") };
	if (json_object(in))
		while (rc == 0 && json_member(in, &key)) {
			if (str_eqz(key, "type")) {
				json_str(in, &t->name);
			} else if (str_eqz(key, "modules") && json_array(in)) {
				while (rc == 0 && json_item(in)) {
					all = mem_resize(
					    all, n + 1, sizeof(*all));
					rc = read_module(
					    in, strict, &all[n], err);
					n++;
				}
			} else if (strict) {
				rc = unknown(key, err);
			} else {
				json_skip(in);
			}
		}
	t->at = arena_array(a, n + 1, struct module);
	if (n > 0)
		memcpy(t->at, all, n * sizeof(*all));
	t->n = n;
	t->errors = arena_array(a, n + 4, struct str);
	free(all);
	return rc;
}

static int
read_update(struct str payload, bool strict, struct arena *a,
    struct type **types, size_t *n, struct err *err)
{
	struct type *all = NULL;
	struct json in;
	struct str key;
	bool there = false;
	int rc = 0;

	*n = 0;
	json_open(&in, payload, 0, a);
	if (json_object(&in))
		while (rc == 0 && json_member(&in, &key)) {
			if (!str_eqz(key, "updateList")) {
				json_skip(&in);
				continue;
			}
			there = true;
			if (!json_array(&in))
				break;
			while (rc == 0 && json_item(&in)) {
				all = mem_resize(all, *n + 1, sizeof(*all));
				rc = read_type(&in, strict, &all[*n], a, err);
				++*n;
			}
		}
	if (rc == 0)
		rc = json_done(&in, err);
	if (rc == 0 && !there)
		rc = err_set(
		    err, ERR_PARAM, "the member \"updateList\" is missing");
	*types = arena_array(a, *n + 1, struct type);
	if (*n > 0)
		memcpy(*types, all, *n * sizeof(*all));
	free(all);
	return rc;
}

int
software_check(struct str payload, struct err *err)
{
	struct arena a = { 0 };
	struct type *types;
	size_t n;
	int rc = read_update(payload, true, &a, &types, &n, err);

	arena_fini(&a);
	return rc;
}

static int
read_list(struct job *j, struct err *err)
{
	(void)err;
	j->data = arena_new(&j->arena, struct sw);
	return 0;
}

static int
read_update_job(struct job *j, struct err *err)
{
	struct sw *w = arena_new(&j->arena, struct sw);

	j->data = w;
	w->update = true;
	/* The payload outlives the job's steps: texts are lent out of it. */
	return read_update(
	    buf_str(&j->payload), false, &j->arena, &w->types, &w->n, err);
}

static void
sw_free(struct job *j)
{
	struct sw *w = j->data;

	if (w != NULL)
		buf_free(&w->text);
}

/* --- the list ------------------------------------------------------------- */

static job_step list_begin, list_next, list_read, list_end;

static enum job_move
list_begin(struct job *j)
{
	struct software *s = j->agent->software;
	struct sw *w = j->data;
	size_t n = 0;

	if (!s->settled) /* the agent has only just started */
		return job_sleep(j, 50, list_begin);
	w->listed.at = arena_array(&j->arena, s->n + 1, struct str);
	for (size_t i = 0; i < s->n; i++)
		if (s->at[i]->valid)
			w->listed.at[n++] =
			    arena_str(&j->arena, str_of(s->at[i]->type));
	w->listed.n = n;
	json_out_init(&w->list, &w->text, false);
	json_out_array(&w->list);
	return job_go_to(j, list_next);
}

static enum job_move
list_next(struct job *j)
{
	struct sw *w = j->data;
	struct sm_plugin *p;

	if (w->list_at == w->listed.n)
		return job_go_to(j, list_end);
	p = sm_find(j->agent->software, w->listed.at[w->list_at]);
	if (p == NULL) { /* taken away meanwhile */
		w->list_at++;
		return JOB_NEXT;
	}
	return job_run(j,
	    &(struct job_program){
		.argv = (const char *const[]){ p->path, "list", NULL },
		.sudo = true,
		.output_max = SM_LIST_MAX,
		.timeout_ms = j->agent->conf->plugin_timeout_ms },
	    list_read);
}

static enum job_move
list_read(struct job *j)
{
	struct sw *w = j->data;
	struct json_out *o = &w->list;
	size_t before = w->text.len;
	struct json_out as_before = *o;
	struct err err;

	json_out_object(o);
	json_out_key(o, "type");
	json_out_str(o, w->listed.at[w->list_at]);
	json_out_key(o, "modules");
	json_out_array(o);
	w->list_at++;
	if (j->ok && j->end.cut)
		oplog_line(&j->log, "error: the list is longer than %u bytes",
		    SM_LIST_MAX);
	else if (j->ok &&
	    sm_read_list(j->agent->software, buf_str(&j->out), o, &err) != 0)
		oplog_line(&j->log, "error: %s", err.text);
	else if (j->ok) {
		json_out_end_array(o);
		json_out_end_object(o);
		return job_go_to(j, list_next);
	}
	w->errors++;
	w->text.len = before;
	*o = as_before;
	return job_go_to(j, list_next);
}

static void
add_failure(struct json_out *o, const struct module *m)
{
	json_out_object(o);
	json_out_key(o, "name");
	json_out_str(o, m->name);
	if (m->version.ptr != NULL) {
		json_out_key(o, "version");
		json_out_str(o, m->version);
	}
	json_out_key(o, "action");
	json_out_str(o, m->install ? STR("install") : STR("remove"));
	json_out_key(o, "reason");
	json_out_str(o, m->failed);
	json_out_end_object(o);
}

/* What failed, of each type. Where a whole type failed, each of its packages
 * has that reason, so that who reads only packages learns of it. */
static void
add_failures(struct json_out *o, struct sw *w)
{
	json_out_array(o);
	for (size_t i = 0; i < w->n; i++) {
		struct type *t = &w->types[i];
		bool any = false;

		for (size_t k = 0; k < t->n; k++)
			any = any || t->at[k].failed.ptr != NULL;
		for (size_t k = 0; k < t->n && !any && t->n_errors > 0; k++)
			t->at[k].failed = t->errors[0];
		if (!any && t->n_errors == 0)
			continue;
		json_out_object(o);
		json_out_key(o, "type");
		json_out_str(o, t->name);
		json_out_key(o, "modules");
		json_out_array(o);
		for (size_t k = 0; k < t->n; k++)
			if (t->at[k].failed.ptr != NULL)
				add_failure(o, &t->at[k]);
		json_out_end_array(o);
		if (t->n_errors > 0) {
			json_out_key(o, "errors");
			json_out_array(o);
			for (size_t k = 0; k < t->n_errors; k++)
				json_out_str(o, t->errors[k]);
			json_out_end_array(o);
		}
		json_out_end_object(o);
	}
	json_out_end_array(o);
}

static enum job_move
list_end(struct job *j)
{
	struct sw *w = j->data;
	struct json_out o;

	json_out_end_array(&w->list);
	if (w->update || w->errors == 0) {
		json_out_init(&o, &j->result, false);
		json_out_object(&o);
		json_out_key(&o, "currentSoftwareList");
		json_out_raw(&o, buf_str(&w->text));
		if (w->update && w->errors > 0) {
			json_out_key(&o, "failures");
			add_failures(&o, w);
		}
		json_out_end_object(&o);
	}
	if (w->update) { /* it may have brought plugins, or what they speak of */
		software_scan(j->agent);
		agent_tell_capability(j->agent, "config");
		agent_tell_capability(j->agent, "log_upload");
	}
	if (w->errors == 0)
		return job_succeed(j);
	return job_fail(j, "%zu error%s, see device log file %s", w->errors,
	    w->errors == 1 ? "" : "s", j->log.path);
}

/* --- the update ----------------------------------------------------------- */

static job_step update_begin, update_type, update_known, update_prepare,
    update_prepared, update_download, update_downloaded, update_all,
    update_all_done, update_one, update_one_done, update_finalize,
    update_finalized;

static struct type *
type_of(struct job *j)
{
	struct sw *w = j->data;

	return &w->types[w->at];
}

static void
type_failed(struct job *j, struct str why)
{
	struct type *t = type_of(j);

	t->errors[t->n_errors++] = arena_str(&j->arena, why);
	((struct sw *)j->data)->errors++;
}

static void
module_failed(struct job *j, struct module *m)
{
	m->failed = arena_str(&j->arena, buf_str(&j->why));
	((struct sw *)j->data)->errors++;
}

static enum job_move
next_type(struct job *j)
{
	((struct sw *)j->data)->at++;
	return job_go_to(j, update_type);
}

/* The plugin with up to six words more. */
static enum job_move
run_plugin(struct job *j, const char *const *words, size_t n, struct str input,
    job_step *next)
{
	const char *argv[8] = { ((struct sw *)j->data)->plugin };

	memcpy(argv + 1, words, n * sizeof(*words));
	return job_run(j,
	    &(struct job_program){ .argv = argv,
		.sudo = true,
		.input = input,
		.timeout_ms = j->agent->conf->plugin_timeout_ms },
	    next);
}

static enum job_move
update_begin(struct job *j)
{
	software_scan(j->agent);
	return job_go_to(j, update_type);
}

static enum job_move
update_type(struct job *j)
{
	struct sw *w = j->data;
	struct sm_plugin *p;

	if (w->at == w->n)
		return job_go_to(j, list_begin);
	p = sm_find(j->agent->software, type_of(j)->name);
	w->module = 0;
	if (p == NULL) {
		type_failed(j,
		    arena_printf(&j->arena,
			"Unknown software type: \"" STR_FMT "\"",
			STR_ARG(type_of(j)->name)));
		return next_type(j);
	}
	w->plugin = arena_z(&j->arena, str_of(p->path));
	if (p->valid)
		return job_go_to(j, update_prepare);
	return run_plugin(
	    j, (const char *const[]){ "list" }, 1, STR_NULL, update_known);
}

static enum job_move
update_known(struct job *j)
{
	struct sm_plugin *p =
	    sm_find(j->agent->software, type_of(j)->name);

	if (p != NULL)
		sm_judge(p, j->ok);
	if (j->ok)
		return job_go_to(j, update_prepare);
	type_failed(j,
	    arena_printf(&j->arena,
		"Unknown software type: \"" STR_FMT
		"\": its plugin does not list: %s",
		STR_ARG(type_of(j)->name), buf_z(&j->why)));
	return next_type(j);
}

static enum job_move
update_prepare(struct job *j)
{
	return run_plugin(
	    j, (const char *const[]){ "prepare" }, 1, STR_NULL, update_prepared);
}

static enum job_move
update_prepared(struct job *j)
{
	if (j->ok)
		return job_go_to(j, update_download);
	type_failed(j, buf_str(&j->why));
	return next_type(j);
}

/* A file's name out of a package's. */
static struct str
file_name(struct job *j, const struct module *m)
{
	struct buf b = { 0 };
	struct str ret;

	buf_add_str(&b, m->name);
	buf_addc(&b, '_');
	buf_add_str(&b, m->version);
	for (size_t i = 0; i < b.len; i++)
		if (b.ptr[i] == '/')
			b.ptr[i] = '_';
	if (b.len > 200)
		b.len = 200;
	ret = arena_str(&j->arena, buf_str(&b));
	buf_free(&b);
	return ret;
}

static enum job_move
update_download(struct job *j)
{
	struct sw *w = j->data;
	struct type *t = type_of(j);
	struct module *m;

	while (w->module < t->n &&
	    (!t->at[w->module].install || t->at[w->module].url.ptr == NULL))
		w->module++;
	if (w->module == t->n) {
		w->module = 0;
		return job_go_to(j, update_all);
	}
	m = &t->at[w->module];
	m->path = job_temp(j, file_name(j, m));
	if (m->path == NULL)
		return job_go_to(j, update_downloaded);
	return job_fetch(j,
	    &(struct fetch_request){
		.url = m->url, .bearer = m->bearer, .path = m->path },
	    update_downloaded);
}

static enum job_move
update_downloaded(struct job *j)
{
	struct sw *w = j->data;

	if (!j->ok) { /* nothing is installed then */
		module_failed(j, &type_of(j)->at[w->module]);
		return job_go_to(j, update_finalize);
	}
	w->module++;
	return job_go_to(j, update_download);
}

static enum job_move
update_all(struct job *j)
{
	struct type *t = type_of(j);
	struct buf input = { 0 };
	enum job_move move;

	buf_addz(&input, "");
	buf_reserve(&input, 1);
	for (size_t i = 0; i < t->n; i++) {
		const struct module *m = &t->at[i];

		buf_addf(&input, "%s\t" STR_FMT "\t" STR_FMT "\t%s\n",
		    m->install ? "install" : "remove", STR_ARG(m->name),
		    STR_ARG(m->version), m->path != NULL ? m->path : "");
	}
	move = run_plugin(j, (const char *const[]){ "update-list" }, 1,
	    buf_str(&input), update_all_done);
	buf_free(&input);
	return move;
}

static enum job_move
update_all_done(struct job *j)
{
	if (!j->ok && j->end.status == 1 && !j->end.timed_out)
		return job_go_to(j, update_one); /* it can not */
	if (!j->ok)
		type_failed(j, buf_str(&j->why));
	return job_go_to(j, update_finalize);
}

static enum job_move
update_one(struct job *j)
{
	struct sw *w = j->data;
	const char *words[6];
	struct module *m;
	size_t n = 0;

	if (w->module == type_of(j)->n)
		return job_go_to(j, update_finalize);
	m = &type_of(j)->at[w->module];
	words[n++] = m->install ? "install" : "remove";
	words[n++] = arena_z(&j->arena, m->name);
	if (m->version.ptr != NULL) {
		words[n++] = "--module-version";
		words[n++] = arena_z(&j->arena, m->version);
	}
	if (m->path != NULL) {
		words[n++] = "--file";
		words[n++] = m->path;
	}
	return run_plugin(j, words, n, STR_NULL, update_one_done);
}

static enum job_move
update_one_done(struct job *j)
{
	struct sw *w = j->data;

	if (!j->ok)
		module_failed(j, &type_of(j)->at[w->module]);
	w->module++;
	return job_go_to(j, update_one);
}

static enum job_move
update_finalize(struct job *j)
{
	return run_plugin(j, (const char *const[]){ "finalize" }, 1, STR_NULL,
	    update_finalized);
}

static enum job_move
update_finalized(struct job *j)
{
	if (!j->ok)
		type_failed(j, buf_str(&j->why));
	return next_type(j);
}

/* -------------------------------------------------------------------------- */

static void
capability(struct agent *a, struct buf *out)
{
	struct software *s = a->software;
	struct json_out o;

	json_out_init(&o, out, false);
	json_out_object(&o);
	json_out_key(&o, "types");
	json_out_array(&o);
	for (size_t i = 0; i < s->n; i++)
		if (s->at[i]->valid)
			json_out_str(&o, str_of(s->at[i]->type));
	json_out_end_array(&o);
	json_out_end_object(&o);
}

const struct job_type job_software_list = {
	.op = "software_list",
	.title = "Software List",
	.read = read_list,
	.first = list_begin,
	.free = sw_free,
	.capability = capability,
};

const struct job_type job_software_update = {
	.op = "software_update",
	.title = "Software Update",
	.read = read_update_job,
	.first = update_begin,
	.free = sw_free,
	.capability = capability,
};
