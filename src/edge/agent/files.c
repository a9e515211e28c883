/*
 * edge/agent/files.c - config_snapshot, config_update and log_upload: files
 * that plugins give and take, to and from where a URL says.
 *
 *    snapshot:  get -> upload
 *    log:       get, filtered -> upload
 *    update:    download -> prepare -> set -> [the agent restarts] -> verify
 *                                       |              |               |
 *                                       +--------------+---------------+
 *                                                      |
 *                                                      +-> rollback -> failed
 *
 * The agent restarts between them when the command, or what the plugin wrote at
 * `set` (a JSON object between :::begin-tedge::: and :::end-tedge:::), says
 * "restartAgent": true. Our own plugin does for the service tedge-agent.
 */
#include "edge/agent/types.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/url.h"

#include <stdlib.h>
#include <string.h>

#define LOG_MODULE "agent"
#define LINES 1000 /* of a log, when it is not said how many */
#define WORDS_MAX 32
#define RESTART_MS 90000 /* of the agent */

const struct types_kind types_config = {
	.own = "tedge-file-config-plugin",
	.list = "tedge-configuration-plugin.toml",
	.ops = { &job_config_snapshot, &job_config_update },
};

const struct types_kind types_log = {
	.own = "tedge-file-log-plugin",
	.list = "tedge-log-plugin.toml",
	.ops = { &job_log_upload },
	.filters = true,
};

struct files {
	struct types *types;
	struct str type; /* as asked */
	struct str name; /* as the plugin calls it */
	struct str url;
	const char *path;  /* of the file on its way */
	const char *place; /* where the configuration is; NULL: not known */
	struct str why;    /* of what is rolled back */
	bool restarted;    /* the agent, with the new file */
};

/* --- what all do ---------------------------------------------------------- */

static int
read_files(struct job *j, struct types *types, struct err *err)
{
	struct files *f = arena_new(&j->arena, struct files);

	j->data = f;
	f->types = types;
	f->type = job_member(j, "type");
	if (f->type.len == 0 || f->type.ptr[0] == '-' ||
	    memchr(f->type.ptr, '\0', f->type.len) != NULL)
		return err_set(
		    err, ERR_PARAM, "the member \"type\" is missing");
	return 0;
}

/* The plugin with more words, "get", "TYPE" among them. False: there is none,
 * and the job has failed. */
static bool
plugin(struct job *j, const char **argv, size_t before,
    const char *const *words, size_t n)
{
	struct files *f = j->data;
	size_t k = types_argv(f->types, j, f->type, argv + before,
	    WORDS_MAX - before - n - 1, &f->name);

	for (size_t i = 0; k > 0 && i < n; i++)
		argv[before + k + i] =
		    words[i] != NULL ? words[i] : arena_z(&j->arena, f->name);
	return k > 0;
}

static enum job_move
no_plugin(struct job *j)
{
	struct files *f = j->data;

	if (f->types == j->agent->log_types)
		return job_fail(j,
		    "The target log file for '" STR_FMT "' does not exist.",
		    STR_ARG(f->type));
	return job_fail(j,
	    "There is no configuration plugin for the type \"" STR_FMT "\"",
	    STR_ARG(f->type));
}

/* Our own program that runs another and keeps what it writes. */
static size_t
collect(struct job *j, const char **argv)
{
	const struct strs *own = &j->agent->conf->program;
	struct files *f = j->data;
	size_t n = 0;

	for (size_t i = 0; i < own->n && n < 8; i++)
		argv[n++] = arena_z(&j->arena, own->at[i]);
	argv[n++] = "tedge-collect";
	argv[n++] = "--out";
	argv[n++] = f->path;
	argv[n++] = "--max";
	argv[n++] = arena_z(&j->arena,
	    arena_printf(
		&j->arena, "%lld", (long long)j->agent->conf->file_max));
	return n;
}

/* Where the file is to be put: as asked, or in our own store of files. */
static struct str
upload_url(struct job *j)
{
	struct str url = job_member(j, "tedgeUrl"), ret;
	struct files *f = j->data;
	struct buf b = { 0 };

	if (url.len > 0)
		return url;
	buf_addf(&b, STR_FMT "/%s/", STR_ARG(j->agent->conf->files_url),
	    j->type->op);
	for (size_t i = 0; i < f->type.len; i++) /* one name in a folder */
		if (f->type.ptr[i] == '/')
			buf_addc(&b, ':');
		else
			url_encode(&b, (struct str){ f->type.ptr + i, 1 });
	buf_addc(&b, '-');
	url_encode(&b, str_of(j->id));
	ret = arena_str(&j->arena, buf_str(&b));
	buf_free(&b);
	return ret;
}

static enum job_move
upload(struct job *j, job_step *next)
{
	struct files *f = j->data;

	f->url = upload_url(j);
	return job_fetch(j,
	    &(struct fetch_request){
		.url = f->url, .path = f->path, .put = true },
	    next);
}

static void
put_result(struct job *j)
{
	struct files *f = j->data;
	struct json_out o;

	json_out_init(&o, &j->result, false);
	json_out_object(&o);
	if (f->place != NULL) {
		json_out_key(&o, "path");
		json_out_str(&o, str_of(f->place));
	}
	if (f->url.len > 0) {
		json_out_key(&o, "tedgeUrl");
		json_out_str(&o, f->url);
	}
	json_out_end_object(&o);
}

/* Asks our own plugin where a type's file is; another's is not known. */
static enum job_move
ask_place(struct job *j, job_step *next)
{
	const char *argv[WORDS_MAX] = { 0 };
	struct files *f = j->data;

	if (!types_is_own(f->type) ||
	    !plugin(j, argv, 0, (const char *const[]){ "path", NULL }, 2)) {
		j->ok = false;
		return job_go_to(j, next);
	}
	return job_run(j,
	    &(struct job_program){ .argv = argv, .timeout_ms = 60000 }, next);
}

static void
take_place(struct job *j)
{
	struct files *f = j->data;

	if (j->ok)
		f->place = arena_z(&j->arena, str_trim(buf_str(&j->out)));
}

/* --- snapshot ------------------------------------------------------------- */

static job_step snapshot_got, snapshot_sent, snapshot_placed;

static int
snapshot_read(struct job *j, struct err *err)
{
	return read_files(j, j->agent->config_types, err);
}

static enum job_move
snapshot_begin(struct job *j)
{
	const char *argv[WORDS_MAX] = { 0 };
	struct files *f = j->data;
	size_t n;

	f->path = job_temp(j, STR("snapshot"));
	if (f->path == NULL)
		return job_fail_why(j);
	n = collect(j, argv);
	argv[n++] = "--";
	if (!plugin(j, argv, n, (const char *const[]){ "get", NULL }, 2))
		return no_plugin(j);
	return job_run(j,
	    &(struct job_program){
		.argv = argv, .timeout_ms = j->agent->conf->plugin_timeout_ms },
	    snapshot_got);
}

static enum job_move
snapshot_got(struct job *j)
{
	return j->ok ? upload(j, snapshot_sent) : job_fail_why(j);
}

static enum job_move
snapshot_sent(struct job *j)
{
	return j->ok ? ask_place(j, snapshot_placed) : job_fail_why(j);
}

static enum job_move
snapshot_placed(struct job *j)
{
	take_place(j);
	put_result(j);
	return job_succeed(j);
}

/* --- update --------------------------------------------------------------- */

static job_step update_downloaded, update_prepared, update_set, not_restarted,
    update_verified, update_rolled_back, update_placed;

static int
update_read(struct job *j, struct err *err)
{
	int rc = read_files(j, j->agent->config_types, err);
	struct files *f = j->data;

	if (rc != 0)
		return rc;
	f->url = job_member(j, "tedgeUrl");
	if (f->url.len == 0)
		f->url = job_member(j, "remoteUrl");
	if (f->url.len == 0)
		return err_set(
		    err, ERR_PARAM, "the member \"remoteUrl\" is missing");
	return 0;
}

static enum job_move
update_begin(struct job *j)
{
	struct files *f = j->data;

	f->path = job_temp(j, STR("new"));
	if (f->path == NULL)
		return job_fail_why(j);
	return job_fetch(j,
	    &(struct fetch_request){ .url = f->url, .path = f->path },
	    update_downloaded);
}

/* What the plugin is called for: with the new file, or without. */
static enum job_move
call(struct job *j, const char *what, bool with_file, job_step *next)
{
	const char *argv[WORDS_MAX] = { 0 };
	struct files *f = j->data;
	const char *words[5] = { what, NULL };
	size_t n = 2;

	if (with_file)
		words[n++] = f->path;
	words[n++] = "--work-dir";
	words[n++] = job_temp(j, STR(""));
	if (!plugin(j, argv, 0, words, n))
		return no_plugin(j);
	return job_run(j,
	    &(struct job_program){
		.argv = argv, .timeout_ms = j->agent->conf->plugin_timeout_ms },
	    next);
}

static enum job_move
update_downloaded(struct job *j)
{
	return j->ok ? call(j, "prepare", true, update_prepared)
		     : job_fail_why(j);
}

static enum job_move
update_prepared(struct job *j)
{
	return j->ok ? call(j, "set", true, update_set) : job_fail_why(j);
}

static enum job_move
roll_back(struct job *j)
{
	struct files *f = j->data;

	f->why = arena_str(&j->arena, buf_str(&j->why));
	return call(j, "rollback", false, update_rolled_back);
}

static enum job_move
verify(struct job *j)
{
	return call(j, "verify", false, update_verified);
}

/* What a plugin says beside what it writes for people. */
static struct str
said(const struct job *j)
{
	static const struct str begin = STR(":::begin-tedge:::"),
				end = STR(":::end-tedge:::");
	struct str out = buf_str(&j->out), rest;
	const char *from, *to;

	from = memmem(out.ptr, out.len, begin.ptr, begin.len);
	if (from == NULL)
		return STR("{}");
	rest.ptr = from + begin.len;
	rest.len = (size_t)(out.ptr + out.len - rest.ptr);
	to = memmem(rest.ptr, rest.len, end.ptr, end.len);
	return to != NULL
	    ? str_trim((struct str){ rest.ptr, (size_t)(to - rest.ptr) })
	    : STR("{}");
}

static enum job_move
restart_agent(struct job *j)
{
	struct buf memo = { 0 };
	struct json_out o;
	enum job_move move;
	struct err err;

	buf_clear(&j->why);
	if (j->agent->host->can_restart(j->agent->host->owner, &err) != 0) {
		buf_addf(&j->why,
		    "the agent would not start with the new file: %s",
		    err.text);
		return roll_back(j);
	}
	json_out_init(&o, &memo, false);
	json_out_object(&o);
	json_out_key(&o, "dir");
	json_out_str(&o, str_of(job_temp(j, STR(""))));
	json_out_key(&o, "at");
	json_out_int(&o, clock_now());
	json_out_end_object(&o);
	move = job_restart_agent(j, buf_str(&memo), RESTART_MS, not_restarted);
	buf_free(&memo);
	return move;
}

static enum job_move
not_restarted(struct job *j)
{
	buf_clear(&j->memo);
	buf_clear(&j->why);
	buf_addf(&j->why, "the agent did not restart within %d s",
	    RESTART_MS / 1000);
	return roll_back(j);
}

static enum job_move
update_set(struct job *j)
{
	if (!j->ok)
		return roll_back(j);
	return job_is_true(buf_str(&j->payload), "restartAgent") ||
		job_is_true(said(j), "restartAgent")
	    ? restart_agent(j)
	    : verify(j);
}

static bool
read_memo(struct job *j, int64_t *at)
{
	struct str key, dir = STR_NULL;
	struct json in;

	json_open(&in, buf_str(&j->memo), 0, &j->arena);
	if (json_object(&in))
		while (json_member(&in, &key)) {
			if (str_eqz(key, "dir"))
				json_str(&in, &dir);
			else if (str_eqz(key, "at"))
				json_i64(&in, at);
			else
				json_skip(&in);
		}
	if (json_done(&in, NULL) != 0 || dir.len == 0)
		return false;
	j->temp = str_dupz(dir);
	return true;
}

static enum job_move
update_resumed(struct job *j)
{
	int64_t at = 0;
	struct err err;

	if (!read_memo(j, &at))
		return job_fail_lost(j);
	if (update_read(j, &err) != 0)
		return job_fail(j, "%s", err.text);
	((struct files *)j->data)->restarted = true;
	return clock_now() - at > RESTART_MS ? not_restarted(j) : verify(j);
}

static enum job_move
update_verified(struct job *j)
{
	return j->ok ? ask_place(j, update_placed) : roll_back(j);
}

static enum job_move
update_rolled_back(struct job *j)
{
	struct files *f = j->data;

	if (f->restarted) /* with what is gone again */
		agent_restart_when_idle(j->agent);
	if (j->ok)
		return job_fail(j, STR_FMT, STR_ARG(f->why));
	return job_fail(j,
	    STR_FMT "; and the old file could not be put back: %s",
	    STR_ARG(f->why), buf_z(&j->why));
}

static enum job_move
update_placed(struct job *j)
{
	struct agent *a = j->agent;
	struct files *f = j->data;
	struct buf topic = { 0 }, text = { 0 };
	struct json_out o;

	take_place(j);
	f->url = STR_NULL;
	put_result(j);
	if (f->place != NULL && memchr(f->type.ptr, '+', f->type.len) == NULL &&
	    memchr(f->type.ptr, '#', f->type.len) == NULL) {
		buf_addf(&topic, "tedge/configuration_change/" STR_FMT,
		    STR_ARG(f->type));
		json_out_init(&o, &text, false);
		json_out_object(&o);
		json_out_key(&o, "path");
		json_out_str(&o, str_of(f->place));
		json_out_end_object(&o);
		agent_publish(a, buf_str(&topic), buf_str(&text), false);
		buf_free(&topic);
		buf_free(&text);
	}
	if (str_eqz(f->type, "tedge-configuration-plugin"))
		types_reload(a->config_types);
	return job_succeed(j);
}

/* --- logs ----------------------------------------------------------------- */

static job_step log_got, log_sent;

static int
log_read(struct job *j, struct err *err)
{
	static const char *const dates[] = { "dateFrom", "dateTo" };
	int rc = read_files(j, j->agent->log_types, err);
	int64_t ms;

	for (size_t i = 0; rc == 0 && i < COUNT_OF(dates); i++) {
		struct str text = job_member(j, dates[i]);

		if (text.ptr != NULL && !time_parse(text, &ms))
			rc = err_set(err, ERR_PARAM,
			    "the member \"%s\" is not a time: " STR_FMT,
			    dates[i], STR_ARG(text));
	}
	return rc;
}

static const char *
seconds(struct job *j, const char *member)
{
	int64_t ms;

	if (!time_parse(job_member(j, member), &ms))
		return NULL;
	return arena_z(
	    &j->arena, arena_printf(&j->arena, "%lld", (long long)(ms / 1000)));
}

static enum job_move
log_begin(struct job *j)
{
	const char *argv[WORDS_MAX] = { 0 }, *words[6] = { "get", NULL };
	const char *since = seconds(j, "dateFrom"),
		   *until = seconds(j, "dateTo");
	struct str search = job_member(j, "searchText");
	int64_t lines = job_member_int(j, "lines", LINES);
	struct files *f = j->data;
	size_t n, m = 2;

	f->path = job_temp(j, STR("log"));
	if (f->path == NULL)
		return job_fail_why(j);
	n = collect(j, argv);
	argv[n++] = "--lines";
	argv[n++] = arena_z(&j->arena,
	    arena_printf(
		&j->arena, "%lld", (long long)(lines > 0 ? lines : LINES)));
	if (search.len > 0 && memchr(search.ptr, '\0', search.len) == NULL) {
		argv[n++] = "--search";
		argv[n++] = arena_z(&j->arena, search);
	}
	argv[n++] = "--";
	if (since != NULL) {
		words[m++] = "--since";
		words[m++] = since;
	}
	if (until != NULL) {
		words[m++] = "--until";
		words[m++] = until;
	}
	if (!plugin(j, argv, n, words, m))
		return no_plugin(j);
	return job_run(j,
	    &(struct job_program){
		.argv = argv, .timeout_ms = j->agent->conf->plugin_timeout_ms },
	    log_got);
}

static enum job_move
log_got(struct job *j)
{
	return j->ok ? upload(j, log_sent) : job_fail_why(j);
}

static enum job_move
log_sent(struct job *j)
{
	if (!j->ok)
		return job_fail_why(j);
	put_result(j);
	return job_succeed(j);
}

/* -------------------------------------------------------------------------- */

static const char family[] = "config";

static bool
snapshot_enabled(const struct agent_conf *conf)
{
	return conf->config_snapshot;
}

static bool
update_enabled(const struct agent_conf *conf)
{
	return conf->config_update;
}

static bool
log_enabled(const struct agent_conf *conf)
{
	return conf->log_upload;
}

static void
config_capability(struct agent *a, struct buf *out)
{
	types_capability(a->config_types, out);
}

static void
log_capability(struct agent *a, struct buf *out)
{
	types_capability(a->log_types, out);
}

/* Both operations on configuration are told by one look. */
static void
config_reload(struct agent *a, const struct job_type *t)
{
	(void)t;
	types_reload(a->config_types);
}

static void
log_reload(struct agent *a, const struct job_type *t)
{
	(void)t;
	types_reload(a->log_types);
}

const struct job_type job_config_snapshot = {
	.op = "config_snapshot",
	.title = "Config Snapshot",
	.family = family,
	.read = snapshot_read,
	.first = snapshot_begin,
	.enabled = snapshot_enabled,
	.capability = config_capability,
	.reload = config_reload,
};

const struct job_type job_config_update = {
	.op = "config_update",
	.title = "Config Update",
	.family = family,
	.read = update_read,
	.first = update_begin,
	.resumed = update_resumed,
	.enabled = update_enabled,
	.capability = config_capability,
	.reload = config_reload,
};

const struct job_type job_log_upload = {
	.op = "log_upload",
	.title = "Log Upload",
	.read = log_read,
	.first = log_begin,
	.enabled = log_enabled,
	.capability = log_capability,
	.reload = log_reload,
};
