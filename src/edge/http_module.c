/*
 * edge/http_module.c - marram-edge-http.so: net/http/server for the device; see
 * http_server.h.
 *
 * What is asked of the store is answered on the loop, at once. Files go to the
 * one worker, as blocking calls. When it is stopped the worker is waited for,
 * on the loop; so nothing that it does may wait for the loop.
 */
#include "edge/http_server.h"

#include "base/base.h"
#include "base/file.h"
#include "base/mem.h"
#include "edge/http_files.h"
#include "net/http/server.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define QUEUE 64
#define REQUEST_MS 60000
#define IDLE_S 60
#define CA_MAX ((size_t)4 << 20)

struct edge_site {
	struct loop *loop;
	struct edge_http_host host;
	struct worker_pool *worker;
	struct http_server *server;
	struct http_files files;
	char *dir;
	size_t file_max;
	struct buf cert, key, ca;
	struct loop_post last; /* when all else has run */
};

/* --- what is asked -----------------------------------------------------------
 */

static void
ask_entities(struct edge_site *s, struct http_call *c)
{
	struct entity_call e = { .method = c->method,
		.path = c->path,
		.root = http_query(c, "root"),
		.parent = http_query(c, "parent"),
		.type = http_query(c, "type"),
		.body = c->body };

	if (strcmp(e.method, "HEAD") == 0)
		e.method = "GET";
	s->host.entities(s->host.owner, &e);
	c->status = e.status;
	c->type = e.out.len > 0 ? "application/json" : NULL;
	buf_clear(&c->out);
	buf_add_str(&c->out, buf_str(&e.out));
	buf_free(&e.out);
}

static bool
on_quick(void *owner, struct http_call *c)
{
	struct edge_site *s = owner;

	if (http_files_is(c))
		return false;
	if (entity_api_is(c->path))
		ask_entities(s, c);
	else if (!str_eqz(c->path, "/te/v1/health"))
		http_empty(c, 404);
	else if (strcmp(c->method, "GET") != 0 &&
	    strcmp(c->method, "HEAD") != 0)
		http_empty(c, 405);
	else
		http_text(
		    c, 200, "application/json", STR("{\"status\":\"up\"}"));
	return true;
}

static size_t
on_in_parts(void *owner, const struct http_call *c)
{
	struct edge_site *s = owner;

	return strcmp(c->method, "PUT") == 0 && http_files_is(c) ? s->file_max
								 : 0;
}

static bool
on_part(void *owner, struct http_call *c)
{
	struct edge_site *s = owner;

	return http_files_part(&s->files, c);
}

static void
on_ended(void *owner, struct http_call *c)
{
	(void)owner;
	http_files_ended(c);
}

static void
on_file(void *owner, struct http_call *c)
{
	struct edge_site *s = owner;

	http_files_answer(&s->files, c);
}

static const struct http_server_events events = {
	.unmatched = on_file,
	.quick = on_quick,
	.in_parts = on_in_parts,
	.part = on_part,
	.ended = on_ended,
};

/* --- settings
 * ----------------------------------------------------------------- */

/* All certificates of a folder. */
static int
read_folder(const char *path, struct buf *out, struct err *err)
{
	char file[PATH_MAX];
	struct dirent *e;
	DIR *d = opendir(path);
	int rc = 0;

	if (d == NULL)
		return err_errno(err, "read http.ca_path: %s", path);
	while (rc == 0 && (e = readdir(d)) != NULL) {
		struct stat st;

		snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
		if (stat(file, &st) < 0 || !S_ISREG(st.st_mode))
			continue;
		rc = (size_t)st.st_size > CA_MAX - MIN_OF(out->len, CA_MAX)
		    ? err_set(err, ERR_LIMIT, "http.ca_path: %s holds too much",
			  path)
		    : file_read(file, out, err);
		buf_addc(out, '\n');
	}
	closedir(d);
	return rc;
}

static int
read_tls(struct edge_site *s, const struct edge_http_conf *conf,
    struct http_server_conf *server, struct err *err)
{
	struct stat st;
	int rc;

	if (conf->cert_path == NULL)
		return 0;
	rc = file_read(conf->cert_path, &s->cert, err);
	if (rc == 0)
		rc = file_read(conf->key_path, &s->key, err);
	if (rc != 0)
		return rc;
	server->tls_cert = buf_z(&s->cert);
	server->tls_key = buf_z(&s->key);
	if (conf->ca_path == NULL)
		return 0;
	rc = stat(conf->ca_path, &st) == 0 && S_ISDIR(st.st_mode)
	    ? read_folder(conf->ca_path, &s->ca, err)
	    : file_read(conf->ca_path, &s->ca, err);
	server->tls_ca = buf_z(&s->ca);
	return rc;
}

/* --- start and end
 * -------------------------------------------------------------- */

static void
free_all(struct edge_site *s)
{
	http_server_free(s->server);
	free(s->dir);
	buf_free(&s->cert);
	buf_free(&s->key);
	buf_free(&s->ca);
	free(s);
}

static void
on_last(struct loop_post *p)
{
	free_all(container_of(p, struct edge_site, last));
}

static void
stop(struct edge_site *s)
{
	http_server_stop(s->server);
	worker_pool_free(s->worker);
	/* behind what the worker has posted */
	s->last.run = on_last;
	loop_post(s->loop, &s->last);
}

static int
start(const struct edge_http_conf *conf, const struct edge_http_host *host,
    int listening, struct edge_site **ret, struct err *err)
{
	struct edge_site *s = mem_new(struct edge_site);
	struct http_server_conf server = { .one_port = true,
		.listening = listening,
		.max_connections = conf->max_connections,
		.body_max = ENTITY_API_BODY_MAX,
		.request_ms = REQUEST_MS,
		.idle_s = IDLE_S,
		.cors_origins = "" };
	int rc;

	s->loop = conf->loop;
	s->host = *host;
	s->dir = mem_printf("%s", conf->files_dir);
	s->files.dir = s->dir;
	s->file_max = (size_t)MIN_OF(conf->file_max, (uint64_t)SIZE_MAX / 16);
	rc = http_files_open(&s->files, err);
	if (rc == 0)
		rc = read_tls(s, conf, &server, err);
	if (rc != 0) {
		free_all(s);
		return rc;
	}
	s->worker = worker_pool_new("edge-http", 1, QUEUE);
	server.workers = server.slow = s->worker;
	s->server = http_server_new(s->loop, &server, &events, s);
	rc = http_server_start(s->server, err);
	if (rc != 0) {
		stop(s);
		return rc;
	}
	*ret = s;
	return 0;
}

const struct edge_http_module marram_edge_http = { EDGE_HTTP_VERSION, start,
	stop };
