/*
 * app/server.c - `marram serve`: everything in one process; with --only mqtt
 * the MQTT server alone.
 *
 * Threads: the main thread runs the loop with HTTP on it; a second one runs the
 * loop with the MQTT server and the message path; workers answer requests; the
 * data writer commits the history. SIGHUP has a worker read files again. Ending
 * goes the other way round: no new requests, then no new messages, then what
 * waits is written, then all is closed.
 */
#include "app/app.h"
#include "app/mqtt_bridges.h"
#include "app/mqtt_http.h"
#include "app/mqtt_listeners.h"
#include "app/mqtt_users.h"
#include "app/pages.h"
#include "app/settings.h"
#include "app/simulator.h"
#include "app/site.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/counter.h"
#include "base/file.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/worker.h"
#include "net/http/server.h"
#include "net/mqtt/server.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LOG_MODULE "serve"

#define CLEAN_MS 60000
#define CLEAN_DATA_EVERY 60 /* rounds: once an hour */

extern char **environ;

struct server {
	struct settings set;
	struct conf *conf;
	const char *name; /* how the program was called */
	bool only_mqtt;
	char *dir;
	int lock;

	struct auth *auth;
	struct route *route;
	struct data *data;
	struct coremgr *coremgr;
	struct hub *hub;
	struct fleet *fleet;
	struct backup *backup;
	struct backup_part backup_parts[5];
	struct backup_folder backup_folders[1];
	struct pages *pages;
	struct site *site;

	struct loop *main_loop, *msg_loop;
	pthread_t msg_thread;
	bool msg_running;
	struct mqtt_server *mqtt;
	struct mqtt_listeners *listeners;
	struct mqtt_bridges *bridges;
	struct mqtt_users *users; /* with --only mqtt */
	struct mqtt_http *mqtt_http;
	struct simulator *simulator;
	struct http_server *http;
	struct worker_pool *workers, *slow;
	struct str tls_cert, tls_key;
	char setup_code[AUTH_SETUP_LEN + 1]; /* "": none was made */

	struct loop_io signals;
	struct loop_timer clean_timer;
	struct worker_job clean_job;
	struct loop_post cleaned;
	unsigned rounds;
	struct worker_job reload_job;
	struct loop_post reloaded;
	bool reloading, reload_again;
	struct arena arena;
};

/* --- the command line ---------------------------------------------------- */

/* Flags that stand for a setting, without its section. */
static const struct {
	const char *flag, *key, *help;
} short_flags[] = {
	{ "--data-dir", "server.dataDir", "folder for databases and keys" },
	{ "--http-port", "server.httpPort", "port for HTTP; 0: a free one" },
	{ "--mqtt-port", "mqtt.port", "port for MQTT; 0: a free one" },
	{ "--listen", "server.listen", "address to listen on" },
	{ "--admin-password", "server.adminPassword",
	    "make the first account with it (for scripts)" },
};

static void
usage(const char *name, struct conf *c)
{
	struct buf b = { 0 };

	printf(
	    "Usage: %s [options]\n\nStarts the platform.\n\n"
	    "  -f, --file, --config FILE   read settings from a JSON5 file\n",
	    name);
	for (size_t i = 0; i < COUNT_OF(short_flags); i++)
		printf("  %-18s          %s\n", short_flags[i].flag,
		    short_flags[i].help);
	printf("  --only mqtt                 start the MQTT server alone\n"
	       "  -h, --help                  show this\n"
	       "  -V, --version               show the version\n\n"
	       "Every setting has a flag; `marram config sample` prints them "
	       "as a file.\nThe file wins over flags, flags over environment "
	       "variables.\n\n");
	conf_usage(c, &b);
	fputs(buf_z(&b), stdout);
	buf_free(&b);
}

/* --only at argv[*i]: 1 taken, 0 something else, negative on error. */
static int
only_flag(struct server *s, int argc, char **argv, int *i, struct err *err)
{
	struct str value = str_of(argv[*i]), name = str_cut(&value, '=');

	if (!str_eqz(name, "--only"))
		return 0;
	if (value.ptr == NULL && *i + 1 < argc)
		value = str_of(argv[++*i]);
	if (!str_eqz(value, "mqtt"))
		return err_set(err, ERR_PARAM,
		    "--only: what can be started alone is mqtt");
	s->only_mqtt = true;
	return 1;
}

/* One of short_flags at argv[*i]: 1 taken, 0 not one, negative on error. */
static int
short_flag(struct conf *c, int argc, char **argv, int *i, struct err *err)
{
	struct str value = str_of(argv[*i]), name = str_cut(&value, '=');

	for (size_t k = 0; k < COUNT_OF(short_flags); k++) {
		if (!str_eqz(name, short_flags[k].flag))
			continue;
		if (value.ptr == NULL && *i + 1 >= argc)
			return err_set(err, ERR_PARAM,
			    "%s: a value must follow", short_flags[k].flag);
		if (value.ptr == NULL)
			value = str_of(argv[++*i]);
		return conf_flag_value(c, short_flags[k].key, value, err) == 0
		    ? 1
		    : ERR_PARAM;
	}
	return 0;
}

/* 0: go on; 1: the work is done (help, version); negative: wrong. */
static int
read_arguments(struct server *s, int argc, char **argv, struct err *err)
{
	const char *file = NULL;

	for (int i = 1; i < argc; i++) {
		const char *a = argv[i];
		int rc;

		if (strcmp(a, "-h") == 0 || strcmp(a, "--help") == 0) {
			usage(s->name, s->conf);
			return 1;
		}
		if (strcmp(a, "-V") == 0 || strcmp(a, "--version") == 0) {
			printf("%s %s\n", s->name, MARRAM_VERSION);
			return 1;
		}
		if (strcmp(a, "-f") == 0 || strcmp(a, "--file") == 0 ||
		    strcmp(a, "--config") == 0) {
			if (i + 1 >= argc)
				return err_set(err, ERR_PARAM,
				    "%s: a file name must follow", a);
			file = argv[++i];
			continue;
		}
		if (strncmp(a, "--file=", 7) == 0 ||
		    strncmp(a, "--config=", 9) == 0) {
			file = strchr(a, '=') + 1;
			continue;
		}
		rc = only_flag(s, argc, argv, &i, err);
		if (rc == 0)
			rc = short_flag(s->conf, argc, argv, &i, err);
		if (rc == 0)
			rc = conf_flag(s->conf, argc, argv, &i, err);
		if (rc < 0)
			return rc;
		if (rc == 0)
			return err_set(err, ERR_PARAM,
			    "%s: there is no such option; see --help", a);
	}
	return file != NULL ? settings_read(s->conf, file, err) : 0;
}

static void
tell_warning(void *ctx, const char *text)
{
	(void)ctx;
	log_warn("%s", text);
}

static int
read_settings(struct server *s, int argc, char **argv, struct err *err)
{
	int rc;

	s->conf = settings_new(&s->set);
	conf_environ(s->conf, environ);
	rc = read_arguments(s, argc, argv, err);
	if (rc == 0)
		rc = conf_apply(s->conf, err);
	if (rc != 0)
		return rc;
	log_setup(
	    (enum log_level)s->set.log.level, (enum log_style)s->set.log.style);
	conf_warnings(s->conf, tell_warning, NULL);
	s->set.auth.shared_database = s->set.compat.shared_database;
	s->set.broker.foreign_mqtt = s->set.coremgr.engine_mqtt == 0;
	return 0;
}

/* --- the data folder ----------------------------------------------------- */

static int
make_dirs(const char *path, struct err *err)
{
	char part[PATH_MAX];
	size_t len = strlen(path);

	if (len >= sizeof(part))
		return err_set(err, ERR_PARAM, "%s: too long", path);
	for (size_t i = 1; i <= len; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (mkdir(part, path[i] == '\0' ? 0700 : 0755) < 0 &&
		    errno != EEXIST)
			return err_errno(err, "make the folder %s", part);
	}
	return 0;
}

static int
open_dir(struct server *s, struct err *err)
{
	const char *home = getenv("HOME");
	struct str dir = s->set.server.data_dir;
	char *path;
	int rc;

	if (dir.len > 0)
		s->dir = str_dupz(dir);
	else if (geteuid() == 0)
		s->dir = mem_printf("/var/lib/marram");
	else if (home != NULL)
		s->dir = mem_printf("%s/.local/share/marram", home);
	else
		return err_set(err, ERR_PARAM,
		    "no data folder: set server.dataDir in the file, "
		    "--data-dir, or SERVER_DATA_DIR");
	rc = make_dirs(s->dir, err);
	if (rc != 0)
		return rc;
	/* whole: a backup and a restore that was cut off name files in it */
	path = realpath(s->dir, NULL);
	if (path == NULL)
		return err_errno(err, "look up the folder %s", s->dir);
	free(s->dir);
	s->dir = path;
	path = mem_printf("%s/lock", s->dir);
	s->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (s->lock < 0)
		rc = err_errno(err, "open %s", path);
	else if (flock(s->lock, LOCK_EX | LOCK_NB) < 0)
		rc = err_set(err, ERR_IO,
		    "%s is in use by another marram; stop it, or give this one "
		    "another --data-dir",
		    s->dir);
	free(path);
	return rc;
}

static int
read_pem(struct server *s, struct str path, struct str *ret, struct err *err)
{
	struct buf b = { 0 };
	int rc = file_read(arena_z(&s->arena, path), &b, err);

	if (rc == 0)
		*ret = arena_str(&s->arena, buf_str(&b));
	buf_free(&b);
	return rc;
}

static int
read_certificate(struct server *s, struct err *err)
{
	const struct server_conf *c = &s->set.server;
	int rc;

	if (c->cert_file.len == 0)
		return 0;
	rc = read_pem(s, c->cert_file, &s->tls_cert, err);
	return rc == 0 ? read_pem(s, c->key_file, &s->tls_key, err) : rc;
}

static const char *
listen_address(const struct server *s)
{
	if (s->set.server.listen.len > 0)
		return s->set.server.listen.ptr;
	return s->tls_cert.ptr != NULL ? "::" : "127.0.0.1";
}

/* --- modules ------------------------------------------------------------- */

static int
may_read_unit(void *owner, struct http_call *c, struct str unit_id)
{
	struct server *s = owner;

	return route_may_unit(s->route, c, unit_id, REST_GET);
}

/* Some live setting is another. */
static void
on_settings(void *owner)
{
	struct server *s = owner;

	log_setup(
	    (enum log_level)s->set.log.level, (enum log_style)s->set.log.style);
	auth_reconfigure(s->auth, &s->set.auth);
	data_reconfigure(s->data, &s->set.data);
	hub_reconfigure(s->hub, &s->set.hub);
}

static int
open_modules(struct server *s, struct err *err)
{
	int rc;

	s->set.broker.versions = s->set.hub.versions = s->set.fleet.versions =
	    s->set.versions;
	rc = auth_open(
	    &s->set.auth, s->dir, s->set.broker.api_scopes, &s->auth, err);
	if (rc == 0)
		rc =
		    route_open(&s->set.broker, s->dir, s->auth, &s->route, err);
	if (rc == 0)
		auth_set_may_unit(s->auth, may_read_unit, s);
	if (rc == 0)
		rc = data_open(&s->set.data, s->dir, s->auth, may_read_unit, s,
		    &s->data, err);
	if (rc == 0)
		s->coremgr = coremgr_new(&s->set.coremgr, s->auth, s->route,
		    conf_is_null(s->conf, "coremgr.mqChannels.data.url")
			? NULL
			: s->data);
	if (rc == 0)
		rc = hub_open(&s->set.hub, s->dir, s->route, &s->hub, err);
	if (rc == 0)
		rc = hub_take_settings(s->hub, s->conf, on_settings, s, err);
	if (rc == 0)
		rc = fleet_open(
		    &s->set.fleet, s->dir, s->auth, s->route, &s->fleet, err);
	return rc;
}

static int
pause_platform(void *ctx, struct err *err)
{
	struct server *s = ctx;

	return hub_pause(s->hub, err);
}

/* The client of the sign-in pages knows the ports that we have now. */
static int
make_public(struct server *s, struct err *err)
{
	uint16_t ports[2] = { http_server_port(s->http),
		http_server_tls_port(s->http) };

	return auth_make_public(s->auth, ports, ports[1] != 0 ? 2 : 1, err);
}

static int
resume_platform(void *ctx, enum backup_change what, struct err *err)
{
	struct server *s = ctx;
	struct err why;
	int rc = 0, hub_rc;

	if (what != BACKUP_SAME)
		rc = route_reload(s->route, what == BACKUP_ALL, err);
	hub_rc = hub_resume(s->hub, what != BACKUP_SAME, &why);

	if (rc == 0 && hub_rc != 0)
		*err = why;
	rc = rc != 0 ? rc : hub_rc;
	if (rc == 0 && what == BACKUP_ALL)
		rc = hub_retake_settings(s->hub, err);
	if (rc == 0 && what == BACKUP_ALL && s->http != NULL)
		rc = make_public(s, err);
	return rc;
}

static int
seal_row(void *ctx, const struct entity *e, void *row, bool open,
    struct arena *a, struct err *err)
{
	struct server *s = ctx;

	return hub_seal_row(s->hub, e, row, open, a, err);
}

static int
begin_backup(void *ctx, const struct handler_backup *w,
    handler_backup_done *done, void *done_ctx, struct err *err)
{
	struct server *s = ctx;
	const struct backup_wish wish = { w->prefix, w->form, w->dir,
		w->retention, w->history, w->metrics };

	return backup_begin(s->backup, &wish, done, done_ctx, err);
}

/* Before anything runs: a restore that was cut off is done again. */
static int
open_backup(struct server *s, struct err *err)
{
	const struct backup_part parts[] = {
		{ "auth", auth_store(s->auth), auth_entities,
		    .passing = "session authorizationCode pkce accessToken "
			       "refreshToken setup" },
		{ "broker", route_store(s->route), route_entities,
		    .passing = "dldataBuffer" },
		{ "hub", hub_store(s->hub), hub_entities,
		    .passing = "delayedAction", .history = "trace" },
		{ "fleet", fleet_store(s->fleet), fleet_entities,
		    .passing = "fleetAccessToken",
		    .history = "fleetLog fleetMetric" },
		{ "data", data_store(s->data), data_entities,
		    .history = "applicationUldata applicationDldata "
			       "networkUldata networkDldata coremgrOpdata" },
	};
	const struct backup_folder folders[] = {
		{ "fleet", fleet_backup_copy, fleet_backup_put_back,
		    fleet_backup_compare, "fleet.repository", s->fleet },
	};
	const struct backup_host host = { .ctx = s,
		.folders = s->backup_folders,
		.n_folders = COUNT_OF(folders),
		.parts = s->backup_parts,
		.n_parts = COUNT_OF(parts),
		.metric = hub_metric(s->hub),
		.pause = pause_platform,
		.resume = resume_platform,
		.seal = seal_row };

	memcpy(s->backup_parts, parts, sizeof(parts));
	memcpy(s->backup_folders, folders, sizeof(folders));
	hub_backups(s->hub, begin_backup, s);
	return backup_open(&s->set.backup, s->dir, &host, &s->backup, err);
}

/* A commit of the message path on its way through the history. */
struct bridge {
	struct data_commit commit;
	struct route_commit *route;
};

static void
on_committed(struct data_commit *commit, bool ok)
{
	struct bridge *b = container_of(commit, struct bridge, commit);

	b->route->done(b->route, ok);
	free(b);
}

#define PUT_MAX 32 /* records that are handed over from the stack */

static bool
put_records(void *owner, const struct route_record *recs, size_t n,
    struct route_commit *commit)
{
	static const enum data_kind kinds_of[] = {
		[ROUTE_NETWORK_ULDATA] = DATA_NETWORK_ULDATA,
		[ROUTE_APPLICATION_ULDATA] = DATA_APPLICATION_ULDATA,
		[ROUTE_APPLICATION_DLDATA] = DATA_APPLICATION_DLDATA,
		[ROUTE_NETWORK_DLDATA] = DATA_NETWORK_DLDATA,
		[ROUTE_NETWORK_RESULT] = DATA_NETWORK_RESULT,
		[ROUTE_APPLICATION_RESULT] = DATA_APPLICATION_RESULT,
	};
	struct server *s = owner;
	struct data_row few_rows[PUT_MAX], *rows = few_rows;
	enum data_kind few_kinds[PUT_MAX], *kinds = few_kinds;
	struct bridge *b = mem_new(struct bridge);
	bool ok;

	b->commit.done = on_committed;
	b->route = commit;
	if (n > PUT_MAX) {
		rows = mem_array(n, sizeof(*rows));
		kinds = mem_array(n, sizeof(*kinds));
	}
	for (size_t i = 0; i < n; i++) {
		const struct route_record *r = &recs[i];

		kinds[i] = kinds_of[r->kind];
		rows[i] = (struct data_row){ r->data_id, r->proc, r->pub,
			r->resp, r->time, r->status, r->unit_id, r->unit_code,
			r->device_id, r->network_code, r->network_addr,
			r->profile, r->data, r->extension };
	}
	ok = data_put(s->data, kinds, rows, n, &b->commit);
	if (!ok)
		free(b);
	if (rows != few_rows) {
		free(rows);
		free(kinds);
	}
	return ok;
}

static void
fill_mqtt(struct server *s, struct mqtt_server_conf *c)
{
	const struct mqtt_conf *m = &s->set.mqtt;

	*c = (struct mqtt_server_conf){
		.threads = (uint32_t)m->threads,
		.dir = m->durability != MQTT_NONE ||
			mqtt_listeners_durable(s->listeners)
		    ? arena_printf(&s->arena, "%s/mqtt", s->dir).ptr
		    : NULL,
		.dir_bytes = (uint64_t)m->pending,
		.salvage = m->salvage,
		.durability = (enum mqtt_durability)m->durability,
		.full = (enum mqtt_full)m->full,
		.slow_ms = m->slow_ms,
		.max_aliases = (uint32_t)m->max_aliases,
		.max_connect_rate = (uint32_t)m->max_connect_rate,
		.max_rate = (uint32_t)m->max_rate,
		.sys_interval_ms = m->sys_interval_ms,
		.response_info = m->response_info.ptr,
		.max_connections = (uint32_t)m->max_connections,
		.max_packet = (uint32_t)m->max_packet,
		.max_inflight = (uint32_t)m->max_inflight,
		.publish_max = (uint32_t)m->publish_max,
		.queue_messages = (uint32_t)m->queue_messages,
		.queue_bytes = (uint64_t)m->queue_bytes,
		.queue_ttl_ms = m->queue_ttl_ms,
		.max_sessions = (uint32_t)m->max_sessions,
		.session_expiry_ms = m->session_expiry_ms,
		.max_subscriptions = (uint32_t)m->max_subscriptions,
		.max_topic_levels = (uint32_t)m->max_topic_levels,
		.max_retained = (uint32_t)m->max_retained,
		.max_retained_bytes = (uint64_t)m->max_retained_bytes,
		.max_keepalive_s = (uint32_t)(m->max_keepalive_ms / 1000),
		.connect_timeout_ms = m->connect_timeout_ms,
		.max_auth_failures = (uint32_t)m->max_auth_failures,
		.max_output = (uint64_t)m->max_output,
	};
}

static void *
run_messages(void *arg)
{
	struct server *s = arg;

	pthread_setname_np(pthread_self(), "messages");
	loop_run(s->msg_loop);
	return NULL;
}

static int
open_mqtt(struct server *s, const struct mqtt_server_events *events,
    void *owner, struct err *err)
{
	struct mqtt_server_conf conf;
	int rc;

	fill_mqtt(s, &conf);
	rc = mqtt_server_open(s->msg_loop, &conf, events, owner, &s->mqtt, err);
	return rc == 0 ? mqtt_listeners_open(s->listeners, s->mqtt, err) : rc;
}

static int
run_message_loop(struct server *s, struct err *err)
{
	int rc = mqtt_bridges_start(s->bridges, s->msg_loop, s->mqtt, err);

	if (rc != 0)
		return rc;
	if (pthread_create(&s->msg_thread, NULL, run_messages, s) != 0)
		return err_set(err, ERR_IO, "start a thread");
	s->msg_running = true;
	return 0;
}

static int
start_messages(struct server *s, struct err *err)
{
	bool no_data = conf_is_null(s->conf, "broker.mqChannels.data.url");
	struct route_sink sink = { no_data ? NULL : put_records, s };
	int rc;

	s->msg_loop = loop_new();
	rc = open_mqtt(s, &route_mqtt_events, s->route, err);
	if (rc != 0)
		return rc;
	data_start(s->data, s->msg_loop);
	rc = hub_start(s->hub, s->msg_loop, s->mqtt, err);
	if (rc != 0)
		return rc;
	rc = route_start(s->route, s->msg_loop, s->mqtt, &sink, err);
	if (rc == 0)
		rc = run_message_loop(s, err);
	return rc;
}

/* The same without platform: users and rights come from files. */
static int
start_mqtt_alone(struct server *s, struct err *err)
{
	const struct mqtt_users_conf conf = { s->set.mqtt.password_file.ptr,
		s->set.mqtt.acl_file.ptr };
	int rc;

	s->msg_loop = loop_new();
	rc = mqtt_users_open(s->msg_loop, &conf, &s->users, err);
	if (rc == 0)
		rc = open_mqtt(s, &mqtt_users_events, s->users, err);
	if (rc != 0)
		return rc;
	mqtt_users_start(s->users, s->mqtt);
	if (conf.password_file == NULL &&
	    mqtt_listeners_need_password(s->listeners))
		log_warn("nobody can sign in: set mqtt.passwordFile, or "
			 "mqtt.allowAnonymous");
	return run_message_loop(s, err);
}

/* --- HTTP ---------------------------------------------------------------- */

static bool
on_access(void *owner, struct http_call *c)
{
	struct server *s = owner;

	return auth_access(s->auth, c);
}

static void
on_after(void *owner, struct http_call *c)
{
	struct server *s = owner;

	coremgr_record(s->coremgr, c);
	if (str_contains_nocase(c->path, STR("/api/")) ||
	    str_starts(c->path, STR("/auth/oauth2/")))
		log_http(c->remote, c->status, c->method, c->target,
		    clock_mono() - c->came_mono);
}

static void
on_unmatched(void *owner, struct http_call *c)
{
	struct server *s = owner;

	pages_static(s->pages, c);
}

static void
on_upgraded(void *owner, const struct http_upgraded *u)
{
	struct server *s = owner;

	if (!hub_upgraded(s->hub, u) && !fleet_upgraded(s->fleet, u))
		mqtt_http_upgraded(s->mqtt_http, u);
}

static void
add_rows(void *ctx, const struct http_route *rows)
{
	struct server *s = ctx;

	http_server_add(s->http, rows);
	auth_know_routes(s->auth, rows);
}

static int
start_http(struct server *s, struct err *err)
{
	const struct server_conf *c = &s->set.server;
	const struct http_server_events ev = { on_access, on_after,
		on_unmatched, on_upgraded };
	const struct mqtt_http_conf mqtt_conf = {
		.max_connections = (uint32_t)s->set.mqtt.max_http_websockets,
		.max_packet = (uint32_t)s->set.mqtt.max_packet,
		.allow_anonymous = s->set.mqtt.allow_anonymous,
		.durability = (enum mqtt_durability)s->set.mqtt.durability,
	};
	const struct http_server_conf conf = {
		.address = listen_address(s),
		.port = (uint16_t)c->http_port,
		.tls_port = (uint16_t)c->https_port,
		.tls_cert = s->tls_cert.ptr,
		.tls_key = s->tls_key.ptr,
		.max_connections = (uint32_t)c->connections,
		.max_connections_per_address =
		    (uint32_t)c->connections_per_address,
		.body_max = (size_t)c->body_max,
		.body_setting = "server.bodyMax",
		.request_ms = c->request_ms,
		.idle_s = (uint32_t)(c->idle_ms / 1000),
		.cors_origins = c->cors_origins.ptr,
		.workers = s->workers,
		.slow = s->slow,
	};
	int rc;

	s->mqtt_http = mqtt_http_new(s->msg_loop, s->mqtt, &mqtt_conf);
	s->http = http_server_new(s->main_loop, &conf, &ev, s);
	s->pages = pages_new(s->name, c->static_path, s->http);
	pages_routes(s->pages, add_rows, s);
	s->site = site_new(s->name, s->dir, s->listeners);
	site_routes(s->site, add_rows, s);
	auth_oauth2_routes(s->auth, add_rows, s);
	auth_routes(s->auth, "/auth/api/v1", 0, add_rows, s);
	route_routes(s->route, "/broker/api/v1", 0, add_rows, s);
	coremgr_routes(s->coremgr, s->auth, s->route, add_rows, s);
	data_routes(s->data, add_rows, s);
	hub_routes(s->hub, add_rows, s);
	fleet_routes(s->fleet, add_rows, s);
	backup_routes(s->backup, add_rows, s);
	s->simulator = simulator_new(
	    &s->set.simulator, s->http, s->route, s->msg_loop, s->mqtt);
	simulator_routes(s->simulator, add_rows, s);
	mqtt_http_routes(s->mqtt_http, add_rows, s);
	rc = fleet_start(s->fleet, s->main_loop, err);
	return rc == 0 ? http_server_start(s->http, err) : rc;
}

void
app_each_route(http_add_routes *add, void *ctx)
{
	pages_routes(NULL, add, ctx);
	site_routes(NULL, add, ctx);
	auth_oauth2_routes(NULL, add, ctx);
	auth_routes(NULL, "/auth/api/v1", 0, add, ctx);
	route_routes(NULL, "/broker/api/v1", 0, add, ctx);
	coremgr_routes(NULL, NULL, NULL, add, ctx);
	data_routes(NULL, add, ctx);
	hub_routes(NULL, add, ctx);
	fleet_routes(NULL, add, ctx);
	simulator_routes(NULL, add, ctx);
	backup_routes(NULL, add, ctx);
}

/* --- first start --------------------------------------------------------- */

static int
first_start(struct server *s, struct err *err)
{
	bool empty;
	int rc;

	rc = auth_is_empty(s->auth, &empty, err);
	if (rc == 0 && empty && s->set.server.admin_password.len > 0) {
		rc =
		    auth_make_admin(s->auth, s->set.server.admin_password, err);
		empty = false;
	}
	if (rc == 0)
		rc = make_public(s, err);
	if (rc == 0 && empty)
		rc = auth_setup_code(s->auth, s->setup_code, err);
	return rc;
}

/* --- upkeep -------------------------------------------------------------- */

/* On a worker. */
static void
clean(struct worker_job *job)
{
	struct server *s = container_of(job, struct server, clean_job);
	struct err err;

	if (auth_clean(s->auth, &err) != 0 || route_clean(s->route, &err) != 0)
		log_warn("removing what has expired: %s", err.text);
	if (s->rounds % CLEAN_DATA_EVERY == 0 && data_clean(s->data, &err) != 0)
		log_warn("removing old history: %s", err.text);
	if (hub_clean(s->hub, s->rounds % CLEAN_DATA_EVERY == 0, &err) != 0)
		log_warn("removing old values and traces: %s", err.text);
	if (fleet_clean(s->fleet, &err) != 0)
		log_warn("removing old tasks of the fleet: %s", err.text);
	loop_post(s->main_loop, &s->cleaned);
}

static void
on_cleaned(struct loop_post *p)
{
	struct server *s = container_of(p, struct server, cleaned);

	s->rounds++;
	loop_after(s->main_loop, &s->clean_timer, CLEAN_MS);
}

static void
on_clean_due(struct loop_timer *t)
{
	struct server *s = container_of(t, struct server, clean_timer);

	if (worker_submit(s->slow, &s->clean_job) != 0)
		loop_after(s->main_loop, &s->clean_timer, CLEAN_MS);
}

/* --- telling that we are there ------------------------------------------- */

/* sd_notify(3): one datagram to the socket that systemd named. */
static void
notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	size_t len = path != NULL ? strlen(path) : 0;
	int fd;

	if (len == 0 || len >= sizeof(sun.sun_path))
		return;
	memcpy(sun.sun_path, path, len);
	if (path[0] == '@')
		sun.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	(void)sendto(fd, state, strlen(state), MSG_NOSIGNAL,
	    (struct sockaddr *)&sun,
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
	close(fd);
}

static void
tell_http(struct server *s, struct buf *out)
{
	const char *address = listen_address(s);
	uint16_t tls = http_server_tls_port(s->http);
	struct buf text = { 0 };
	const char *host = address_host(address, &text);

	if (s->setup_code[0] != '\0')
		printf("First start. Set the password of the account \"admin\" "
		       "at http://%s:%u/auth/setup\nwith this setup code, good "
		       "for one hour and for one use: %s\n",
		    host, http_server_port(s->http), s->setup_code);
	if (!address_is_loopback(address) && tls == 0)
		log_warn("passwords and data cross the network in clear: set "
			 "server.certFile and server.keyFile");
	buf_addf(out, " http://%s:%u", host, http_server_port(s->http));
	if (tls != 0)
		buf_addf(out, " https://%s:%u", host, tls);
	buf_free(&text);
}

static void
tell_ready(struct server *s)
{
	struct buf b = { 0 };
	size_t http_len;

	if (s->http != NULL)
		tell_http(s, &b);
	mqtt_listeners_warn(s->listeners);
	http_len = b.len;
	mqtt_listeners_say(s->listeners, &b);
	if (s->hub != NULL && b.len > http_len)
		hub_listens(
		    s->hub, (struct str){ b.ptr + http_len, b.len - http_len });
	printf("ready:%s data %s\n", buf_z(&b), s->dir);
	buf_free(&b);
	fflush(stdout);
	notify("READY=1\n");
}

/* --- reading files again ------------------------------------------------- */

static int
read_https_again(struct server *s, struct err *err)
{
	const struct server_conf *c = &s->set.server;
	struct buf cert = { 0 }, key = { 0 };
	int rc = file_read(c->cert_file.ptr, &cert, err);

	if (rc == 0)
		rc = file_read(c->key_file.ptr, &key, err);
	if (rc == 0 &&
	    (rc = http_server_certify(
		 s->http, buf_z(&cert), buf_z(&key), err)) != 0)
		rc = err_wrap(
		    err, "load %s with %s", c->cert_file.ptr, c->key_file.ptr);
	if (key.len > 0)
		explicit_bzero(key.ptr, key.len);
	buf_free(&cert);
	buf_free(&key);
	return rc;
}

static void
reload_https(struct server *s)
{
	struct err err;

	if (s->http == NULL || http_server_tls_port(s->http) == 0)
		return;
	if (read_https_again(s, &err) != 0)
		log_error("server.certFile: %s; what was read before stays in "
			  "use for HTTPS",
		    err.text);
	else
		log_info("server.certFile: the certificate of HTTPS was read "
			 "again");
}

/* On a worker. */
static void
reload(struct worker_job *job)
{
	struct server *s = container_of(job, struct server, reload_job);
	struct err err;

	reload_https(s);
	mqtt_listeners_reload(s->listeners);
	if (s->users != NULL && mqtt_users_reload(s->users, &err) != 0)
		log_error("%s; what was read before stays in use", err.text);
	else if (s->users != NULL)
		log_info("users and their rights were read again");
	loop_post(s->main_loop, &s->reloaded);
}

static void
begin_reload(struct server *s)
{
	s->reload_again = s->reloading;
	if (s->reloading)
		return;
	s->reloading = worker_submit(s->slow, &s->reload_job) == 0;
	if (!s->reloading)
		log_warn("too much is under way to read files again; send the "
			 "signal once more");
}

static void
on_reloaded(struct loop_post *p)
{
	struct server *s = container_of(p, struct server, reloaded);

	s->reloading = false;
	if (s->reload_again)
		begin_reload(s);
}

/* --- start and end ------------------------------------------------------- */

static void
on_signal(struct loop_io *io, unsigned what)
{
	struct server *s = container_of(io, struct server, signals);
	struct signalfd_siginfo info;

	(void)what;
	if (read(io->fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	if (info.ssi_signo == SIGHUP) {
		begin_reload(s);
		return;
	}
	log_info("ending on signal %u", info.ssi_signo);
	loop_stop(s->main_loop);
}

static int
watch_signals(struct server *s, struct err *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &set, NULL); /* threads inherit it */
	signal(SIGPIPE, SIG_IGN);
	s->signals.ready = on_signal;
	s->signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signals.fd < 0)
		return err_errno(err, "signalfd");
	loop_watch(s->main_loop, &s->signals, LOOP_READ);
	return 0;
}

/* What is behind the HTTP server, it, and the upkeep. */
static int
start_platform(struct server *s, struct err *err)
{
	const struct server_conf *c = &s->set.server;
	int rc;

	if (s->set.mqtt.password_file.len > 0 || s->set.mqtt.acl_file.len > 0)
		log_warn("mqtt.passwordFile and mqtt.aclFile have no effect: "
			 "they are for --only mqtt");
	rc = read_certificate(s, err);
	if (rc == 0)
		rc = open_modules(s, err);
	if (rc == 0)
		rc = open_backup(s, err);
	if (rc == 0)
		rc = start_messages(s, err);
	if (rc != 0)
		return rc;
	s->workers =
	    worker_pool_new("worker", (size_t)c->workers, (size_t)c->queue);
	rc = start_http(s, err);
	if (rc == 0)
		rc = first_start(s, err);
	if (rc != 0)
		return rc;
	s->clean_job.run = clean;
	s->cleaned.run = on_cleaned;
	s->clean_timer.fire = on_clean_due;
	loop_after(s->main_loop, &s->clean_timer, CLEAN_MS);
	return 0;
}

static int
start(struct server *s, struct err *err)
{
	const struct server_conf *c = &s->set.server;
	int rc;

	s->main_loop = loop_new();
	rc = watch_signals(s, err);
	if (rc == 0)
		rc = mqtt_listeners_new(&s->set, s->conf, &s->listeners, err);
	if (rc == 0)
		rc = mqtt_bridges_new(&s->set, s->conf, &s->bridges, err);
	if (rc == 0)
		rc = open_dir(s, err);
	if (rc != 0)
		return rc;
	s->reload_job.run = reload;
	s->reloaded.run = on_reloaded;
	s->slow =
	    worker_pool_new("slow", (size_t)c->slow_workers, (size_t)c->queue);
	return s->only_mqtt ? start_mqtt_alone(s, err) : start_platform(s, err);
}

/* Runs a step of the ending on the message loop and waits for it. */
struct step {
	void (*run)(struct server *s);
	struct server *server;
};

static void
run_step(void *arg)
{
	const struct step *st = arg;

	st->run(st->server);
}

static void
on_message_loop(struct server *s, void (*run)(struct server *s))
{
	struct step st = { run, s };

	if (s->msg_running)
		loop_ask(s->msg_loop, run_step, &st);
	else
		run(s);
}

static void
stop_routing(struct server *s)
{
	mqtt_bridges_stop(s->bridges);
	simulator_stop(s->simulator);
	if (s->route != NULL)
		route_stop(s->route);
	mqtt_users_stop(s->users);
}

/* Runs behind what the workers of core/route, or the users, have posted. */
static void
let_settle(struct server *s)
{
	(void)s;
}

static void
close_mqtt(struct server *s)
{
	mqtt_server_close(s->mqtt);
	s->mqtt = NULL;
	loop_stop(s->msg_loop);
}

static void
end_messages(struct server *s)
{
	if (s->msg_loop == NULL)
		return;
	on_message_loop(s, stop_routing);
	on_message_loop(s, let_settle);
	hub_stop(s->hub);
	on_message_loop(s, let_settle);
	data_stop(s->data);
	on_message_loop(s, close_mqtt);
	if (s->msg_running)
		pthread_join(s->msg_thread, NULL);
	mqtt_http_free(s->mqtt_http);
	simulator_free(s->simulator);
	mqtt_users_close(s->users);
}

static void
end(struct server *s)
{
	notify("STOPPING=1\n");
	http_server_stop(s->http);
	hub_live_stop(s->hub);
	fleet_stop(s->fleet);
	if (s->main_loop != NULL)
		loop_cancel(s->main_loop, &s->clean_timer);
	backup_stop(s->backup); /* workers wait for it */
	worker_pool_free(s->workers);
	worker_pool_free(s->slow);
	if (s->main_loop != NULL) {
		loop_turn(s->main_loop, 0); /* what workers have finished */
		loop_cancel(s->main_loop, &s->clean_timer);
		http_server_free(s->http);
		loop_unwatch(s->main_loop, &s->signals);
	}
	end_messages(s);
	mqtt_bridges_free(s->bridges);
	mqtt_listeners_free(s->listeners);
	coremgr_free(s->coremgr);
	backup_close(s->backup);
	fleet_close(s->fleet);
	hub_close(s->hub);
	data_close(s->data);
	route_close(s->route);
	auth_close(s->auth);
	pages_free(s->pages);
	site_free(s->site);
	loop_free(s->msg_loop);
	loop_free(s->main_loop);
	conf_free(s->conf);
	arena_fini(&s->arena);
	if (s->lock >= 0)
		close(s->lock);
	if (s->signals.fd > 0)
		close(s->signals.fd);
	free(s->dir);
	free(s);
}

int
serve_main(int argc, char **argv)
{
	struct server *s = mem_new(struct server);
	const char *slash = strrchr(argv[0], '/');
	struct err err;
	int rc;

	s->name = slash != NULL ? slash + 1 : argv[0];
	s->lock = -1;
	s->signals.fd = -1;
	if (sodium_init() < 0) {
		fprintf(stderr, "%s: libsodium did not start\n", s->name);
		free(s);
		return 1;
	}
	rc = read_settings(s, argc, argv, &err);
	if (rc == 1) {
		conf_free(s->conf);
		free(s);
		return 0;
	}
	if (rc != 0) {
		fprintf(stderr, "%s: %s\n", s->name, err.text);
		conf_free(s->conf);
		free(s);
		return 2;
	}
	rc = start(s, &err);
	if (rc == 0) {
		tell_ready(s);
		loop_run(s->main_loop);
	} else {
		fprintf(stderr, "%s: %s\n", s->name, err.text);
	}
	end(s);
	return rc == 0 ? 0 : 1;
}
