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
#include "web_files.h"

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

/* --- the web application ------------------------------------------------- */

/* One page may run what we serve, and talk to us. Charts place themselves by
 * style attributes. */
#define APP_POLICY                                                             \
	"default-src 'none'; script-src 'self'; style-src 'self' "             \
	"'unsafe-inline'; connect-src 'self'; img-src 'self' data: blob:; "    \
	"font-src 'self'; manifest-src 'self'; worker-src 'self'; base-uri "   \
	"'none'; form-action 'self'; frame-ancestors 'none'"

static void
harden(struct http_call *c, struct str policy)
{
	http_header(c, "Content-Security-Policy", policy);
	http_header(c, "X-Content-Type-Options", STR("nosniff"));
	http_header(c, "X-Frame-Options", STR("DENY"));
	http_header(c, "Referrer-Policy", STR("no-referrer"));
	http_header(c, "Cross-Origin-Opener-Policy", STR("same-origin"));
}

static const struct web_file *
web_find(struct str path)
{
	for (const struct web_file *f = web_files; f->path != NULL; f++)
		if (str_eqz(path, f->path))
			return f;
	return NULL;
}

/* "gzip" stands in the list, not with q=0. */
static bool
takes_gzip(struct str list)
{
	while (list.ptr != NULL) {
		struct str item = str_trim(str_cut(&list, ','));
		struct str name = str_trim(str_cut(&item, ';'));

		if (str_eq_nocase(name, STR("gzip")))
			return !str_eqz(str_trim(item), "q=0");
	}
	return false;
}

static void
send_web(struct http_call *c, const struct web_file *f)
{
	bool packed = f->packed_len > 0 && takes_gzip(c->accept_encoding);

	if (str_eqz(c->if_none_match, f->etag)) {
		http_empty(c, 304);
	} else if (packed) {
		http_text(
		    c, 200, f->type, (struct str){ f->packed, f->packed_len });
		http_header(c, "Content-Encoding", STR("gzip"));
	} else {
		http_text(
		    c, 200, f->type, (struct str){ f->data, f->data_len });
	}
	http_header(c, "ETag", str_of(f->etag));
	http_header(c, "Vary", STR("Accept-Encoding"));
	/* a name with a hash in it never means anything else */
	http_header(c, "Cache-Control",
	    str_starts(str_of(f->path), STR("assets/"))
		? STR("public, max-age=31536000, immutable")
		: STR("no-cache"));
	harden(c, STR(APP_POLICY));
}

/* A file of the application, or its page for an address that a browser wants
 * to see. False: neither. */
static bool
web_page(struct http_call *c)
{
	struct str path = { c->path.ptr + 1, c->path.len - 1 };
	const struct web_file *f = web_find(path);

	if (f == NULL && memchr(path.ptr, '.', path.len) == NULL &&
	    memmem(c->accept.ptr, c->accept.len, "text/html", 9) != NULL)
		f = web_find(STR("index.html"));
	if (f != NULL)
		send_web(c, f);
	return f != NULL;
}

/* --- the plain page ------------------------------------------------------ */

static void
plain_page(struct http_call *c)
{
	http_text(c, 200, "text/html; charset=utf-8", str_of(embed_first_html));
	harden(c,
	    STR("default-src 'none'; style-src 'unsafe-inline'; script-src "
		"'unsafe-inline'; connect-src 'self'; img-src data:; base-uri "
		"'none'; form-action 'self'; frame-ancestors 'none'"));
}

/* An index.html of the owner's own comes first, then the application; without
 * one in this build the plain page. */
static void
first_page(struct http_call *c)
{
	struct pages *p = pages_of(c);
	const struct web_file *f = web_find(STR("index.html"));

	if (p->dir >= 0 && send_file(c, p->dir, STR("index.html")))
		return;
	if (f != NULL)
		send_web(c, f);
	else
		plain_page(c);
}
struct version {
	struct str name, version;
};
static const struct field version_fields[] = {
	F_TEXT(struct version, name, "name"),
	F_TEXT(struct version, version, "version"),
	{ 0 },
};
static const struct record version_record = { "programVersion",
	sizeof(struct version), version_fields };

struct version_query {
	struct str q;
};
static const struct field version_query_fields[] = {
	F_TEXT(struct version_query, q, "q",
	    .help = "name or version: that alone, as text."),
	{ 0 },
};
static const struct record version_query_record = { "versionQuery",
	sizeof(struct version_query), version_query_fields };

#define TEXT .reply = { .media = "text/plain" }

static const struct http_route rows[] = {
	{ "GET", "/", .handle = first_page, .flags = HTTP_HIDDEN },
	{ "GET", "/plain", .handle = plain_page, .flags = HTTP_HIDDEN },
	{ "GET", "/version", .query = &version_query_record,
	    .reply = { .record = &version_record }, .handle = version,
	    .help = "Name and version of the program." },
	{ "GET", "/metrics", TEXT, .handle = metrics,
	    .help = "All counters as Prometheus text." },
	{ "GET", "/healthz", TEXT, .handle = health,
	    .help = "The program is alive." },
	{ "GET", "/readyz", TEXT, .handle = health,
	    .help = "The program answers requests." },
	{ "GET", "/openapi.json", .handle = openapi, .help = "This document." },
	{ 0 },
};

/* --- what no route has ------------------------------------------------- */

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
	if (!is_api(c->path) && strcmp(c->method, "GET") == 0 && web_page(c))
		return;
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
