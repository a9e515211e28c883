/*
 * app/pages.c - see pages.h.
 */
#include "app/pages.h"

#include "app_pages.h"
#include "base/base.h"
#include "base/counter.h"
#include "base/mem.h"
#include "core/rest/rest.h"
#include "net/http/openapi.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX (64u << 20) /* largest static file */

struct pages {
	const char *name;
	struct http_server *http;
	int dir; /* the static folder, -1: none */
	struct rest_mounts mounts;
};

static struct pages *
pages_of(const struct http_call *c)
{
	return (struct pages *)c->route->ctx;
}

/* --- what the program is ------------------------------------------------- */

static void
version(struct http_call *c)
{
	struct str q = http_query(c, "q");
	const char *name = pages_of(c)->name;
	struct json_out *o;

	if (str_eqz(q, "name")) {
		http_text(c, 200, "text/plain", str_of(name));
		return;
	}
	if (str_eqz(q, "version")) {
		http_text(c, 200, "text/plain", str_of(MARRAM_VERSION));
		return;
	}
	o = rest_data(c);
	json_out_key(o, "name");
	json_out_str(o, str_of(name));
	json_out_key(o, "version");
	json_out_str(o, STR(MARRAM_VERSION));
	rest_data_end(c);
}

static void
metrics(struct http_call *c)
{
	http_text(c, 200, "text/plain; version=0.0.4", STR(""));
	counter_write(&c->out);
	http_server_metrics(pages_of(c)->http, &c->out);
}

/* We answer from a worker: loop and pool are alive. */
static void
health(struct http_call *c)
{
	http_text(c, 200, "text/plain", STR("ok\n"));
}

static void
openapi(struct http_call *c)
{
	http_text(c, 200, "application/json", STR(""));
	openapi_write(&c->out, http_server_routes(pages_of(c)->http), "Marram",
	    MARRAM_VERSION);
}

static void
first_page(struct http_call *c)
{
	struct pages *p = pages_of(c);

	/* an index.html of the owner's own comes first */
	if (p->dir >= 0) {
		pages_static(p, c);
		if (c->status == 200)
			return;
	}
	http_text(c, 200, "text/html; charset=utf-8", str_of(embed_first_html));
	http_header(c, "Content-Security-Policy",
	    STR("default-src 'none'; style-src 'unsafe-inline'; script-src "
		"'unsafe-inline'; connect-src 'self'; img-src data:; base-uri "
		"'none'; form-action 'self'; frame-ancestors 'none'"));
	http_header(c, "X-Content-Type-Options", STR("nosniff"));
	http_header(c, "Referrer-Policy", STR("no-referrer"));
}

static const struct http_route rows[] = {
	{ "GET", "/", .handle = first_page, .flags = HTTP_HIDDEN },
	{ "GET", "/version", .handle = version,
	    .help = "Name and version of the program; q=name or q=version for "
		    "one of them as text." },
	{ "GET", "/metrics", .handle = metrics,
	    .help = "All counters as Prometheus text." },
	{ "GET", "/healthz", .handle = health,
	    .help = "The program is alive." },
	{ "GET", "/readyz", .handle = health,
	    .help = "The program answers requests." },
	{ "GET", "/openapi.json", .handle = openapi, .help = "This document." },
	{ 0 },
};

/* --- files --------------------------------------------------------------- */

static const char *
type_of(struct str path)
{
	static const struct {
		struct str end;
		const char *type;
	} types[] = {
		{ STR(".html"), "text/html; charset=utf-8" },
		{ STR(".js"), "text/javascript" },
		{ STR(".css"), "text/css" },
		{ STR(".json"), "application/json" },
		{ STR(".svg"), "image/svg+xml" },
		{ STR(".png"), "image/png" },
		{ STR(".jpg"), "image/jpeg" },
		{ STR(".ico"), "image/vnd.microsoft.icon" },
		{ STR(".woff2"), "font/woff2" },
		{ STR(".txt"), "text/plain; charset=utf-8" },
	};

	for (size_t i = 0; i < COUNT_OF(types); i++)
		if (str_ends(path, types[i].end))
			return types[i].type;
	return "application/octet-stream";
}

/* No part of the path is "..", hidden, or empty. */
static bool
is_plain(struct str path)
{
	while (path.ptr != NULL) {
		struct str part = str_cut(&path, '/');

		if (part.len == 0 || part.ptr[0] == '.' ||
		    memchr(part.ptr, '\0', part.len) != NULL)
			return false;
	}
	return true;
}

static bool
send_file(struct http_call *c, int dir, struct str path)
{
	char *name = arena_z(&c->arena, path), part[16384];
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	ssize_t n;

	if (fd < 0)
		return false;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    st.st_size > FILE_MAX) {
		close(fd);
		return false;
	}
	http_text(c, 200, type_of(path), STR(""));
	while ((n = read(fd, part, sizeof(part))) > 0)
		buf_add(&c->out, part, (size_t)n);
	close(fd);
	return n == 0;
}

static bool
is_api(struct str path)
{
	static const struct str prefixes[] = { STR("/auth/"), STR("/broker/"),
		STR("/coremgr/"), STR("/data/"), STR("/hub/"), STR("/fleet/") };

	for (size_t i = 0; i < COUNT_OF(prefixes); i++)
		if (str_starts(path, prefixes[i]))
			return true;
	return false;
}

void
pages_static(struct pages *p, struct http_call *c)
{
	struct str path = c->path;

	if (p->dir >= 0 && !is_api(path) && strcmp(c->method, "GET") == 0) {
		path.ptr++; /* the slash in front */
		path.len--;
		if (path.len == 0 || path.ptr[path.len - 1] == '/')
			path = arena_printf(
			    &c->arena, STR_FMT "index.html", STR_ARG(path));
		if (is_plain(path) && send_file(c, p->dir, path))
			return;
	}
	http_error(c, 404, "err_not_found", "there is nothing at this path");
}

/* --- start and end ------------------------------------------------------- */

struct pages *
pages_new(const char *name, struct str static_path, struct http_server *http)
{
	struct pages *p = mem_new(struct pages);
	char *path = static_path.len > 0 ? str_dupz(static_path)
					 : str_dupz(STR("./static"));

	p->name = name;
	p->http = http;
	p->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(path);
	return p;
}

void
pages_free(struct pages *p)
{
	if (p == NULL)
		return;
	if (p->dir >= 0)
		close(p->dir);
	rest_mounts_free(&p->mounts);
	free(p);
}

void
pages_routes(struct pages *p, http_add_routes *add, void *ctx)
{
	rest_mount_rows(p != NULL ? &p->mounts : NULL, rows, "", p, add, ctx);
}
