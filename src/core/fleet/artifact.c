/*
 * core/fleet/artifact.c - see artifact.h: files below artifacts/, one folder
 * without others in it. They are committed as everything else of the
 * repository; settings name them, as {"artifact":"logo.png"}.
 */
#include "core/fleet/artifact.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "core/fleet/state.h"
#include "net/http/server.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER "artifacts"
#define LIST_MAX 10000

struct artifact {
	struct str name, media_type;
	int64_t size, modified_at;
};
#define A struct artifact
static const struct field fields[] = {
	F_TEXT(A, name, "name", .help = "What the file is called."),
	F_TEXT(A, media_type, "mediaType", .help = "By the end of its name."),
	F_INT(A, size, "size", .help = "Its bytes."),
	F_TIME(A, modified_at, "modifiedAt"),
	{ 0 },
};
#undef A
static const struct record artifact_record = { "fleetArtifact",
	sizeof(struct artifact), fields };

/* A name and no path; nothing that a shell, Nix or a person stumbles over. */
static int
check_name(struct str s, struct err *err)
{
	bool good = s.len > 0 && s.len <= 255 && s.ptr[0] != '.' &&
	    s.ptr[0] != '-' && str_is_utf8(s);

	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.ptr[i];

		good = good && c >= ' ' && c != 127 && c != '/' && c != '\\';
	}
	return good ? 0
		    : err_set(err, ERR_PARAM,
			  "must be the name of a file, without folders, that "
			  "begins with a letter or a digit");
}

static const char *
media_type(struct str name)
{
	static const struct {
		const char *end, *type;
	} types[] = {
		{ ".txt", "text/plain" },
		{ ".json", "application/json" },
		{ ".png", "image/png" },
		{ ".jpg", "image/jpeg" },
		{ ".jpeg", "image/jpeg" },
		{ ".svg", "image/svg+xml" },
		{ ".pdf", "application/pdf" },
		{ ".html", "text/html" },
		{ ".zip", "application/zip" },
		{ ".gz", "application/gzip" },
	};

	for (size_t i = 0; i < COUNT_OF(types); i++)
		if (name.len >= strlen(types[i].end) &&
		    str_eq_nocase((struct str){ name.ptr + name.len -
					  strlen(types[i].end),
				      strlen(types[i].end) },
			str_of(types[i].end)))
			return types[i].type;
	return "application/octet-stream";
}

/* The file's path, in the call's arena; NULL: answered. */
static const char *
path_of(struct http_call *c, const struct fleet_repo *r, struct str name)
{
	struct err err;

	if (check_name(name, &err) != 0) {
		http_error(c, 400, "err_param", "name: %s", err.text);
		return NULL;
	}
	return arena_printf(
	    &c->arena, "%s/" FOLDER "/" STR_FMT, r->dir, STR_ARG(name))
	    .ptr;
}

/* A plain file there? A link is none. */
static bool
is_there(const char *path, struct stat *st)
{
	return lstat(path, st) == 0 && S_ISREG(st->st_mode);
}

static void
no_such(struct http_call *c)
{
	http_error(c, 404, "err_not_found", "there is no such artifact");
}

/* --- list, get ------------------------------------------------------------ */

static int
by_name(const void *a, const void *b)
{
	return str_cmp(((const struct artifact *)a)->name,
	    ((const struct artifact *)b)->name);
}

static void
handle_list(struct http_call *c)
{
	struct artifact *list =
	    arena_array(&c->arena, LIST_MAX, struct artifact);
	struct fleet_repo *r;
	struct dirent *e;
	struct json_out *o;
	size_t n = 0;
	DIR *d;

	if (!fleet_call_repo(c, REST_GET, &r))
		return;
	d = opendir(arena_printf(&c->arena, "%s/" FOLDER, r->dir).ptr);
	while (d != NULL && n < LIST_MAX && (e = readdir(d)) != NULL) {
		struct stat st;
		const char *path = arena_printf(
		    &c->arena, "%s/" FOLDER "/%s", r->dir, e->d_name)
				       .ptr;

		if (e->d_name[0] == '.' || !is_there(path, &st))
			continue;
		list[n].name = arena_str(&c->arena, str_of(e->d_name));
		list[n].media_type = str_of(media_type(list[n].name));
		list[n].size = st.st_size;
		list[n++].modified_at = (int64_t)st.st_mtim.tv_sec * 1000;
	}
	if (d != NULL)
		closedir(d);
	fleet_repo_give(r);
	qsort(list, n, sizeof(*list), by_name);
	o = http_json(c, 200);
	json_out_object(o);
	json_out_key(o, "data");
	json_out_array(o);
	for (size_t i = 0; i < n; i++)
		record_to_json(o, &artifact_record, FIELD_ALL, &list[i]);
	json_out_end_array(o);
	json_out_end_object(o);
}

static void
handle_get(struct http_call *c)
{
	struct str name = http_var(c, 0);
	struct fleet_repo *r;
	struct buf text = { 0 };
	const char *path;
	struct stat st;
	struct err err;

	if (!fleet_call_repo(c, REST_GET, &r))
		return;
	path = path_of(c, r, name);
	if (path != NULL && !is_there(path, &st))
		no_such(c);
	else if (path != NULL && file_read(path, &text, &err) != 0)
		http_error(c, 500, "err_int", "%s", err.text);
	else if (path != NULL)
		/* whatever it holds, a browser runs nothing of it */
		http_text(c, 200, "application/octet-stream",
		    text.len > 0 ? buf_str(&text) : STR(""));
	if (path != NULL && c->status == 200) {
		http_header(c, "Content-Disposition", STR("attachment"));
		http_header(c, "X-Content-Type-Options", STR("nosniff"));
	}
	fleet_repo_give(r);
	buf_free(&text);
}

/* --- changes -------------------------------------------------------------- */

static void
handle_put(struct http_call *c)
{
	struct fleet_repo *r;
	const char *path;
	struct err err;
	struct stat st;
	bool there;

	if (!fleet_call_repo(c, REST_PATCH, &r))
		return;
	path = path_of(c, r, http_var(c, 0));
	if (path == NULL)
		goto done;
	(void)mkdir(arena_printf(&c->arena, "%s/" FOLDER, r->dir).ptr, 0755);
	there = lstat(path, &st) == 0;
	if (there && !S_ISREG(st.st_mode))
		http_error(c, 409, "err_exist",
		    "something that is no file lies there");
	else if (fleet_repo_room(r->f, r->dir, (int64_t)c->body.len, &err) != 0)
		fleet_state_error(c, &err);
	else if (file_write(path, c->body.ptr != NULL ? c->body : STR(""),
		     &err) != 0 ||
	    fleet_repo_reload(r, &err) != 0)
		http_error(c, 500, "err_int", "%s", err.text);
	else
		http_empty(c, 204);
done:
	fleet_repo_give(r);
}

static void
handle_del(struct http_call *c)
{
	struct fleet_repo *r;
	const char *path;
	struct stat st;
	struct err err;

	if (!fleet_call_repo(c, REST_PATCH, &r))
		return;
	path = path_of(c, r, http_var(c, 0));
	if (path == NULL)
		goto done;
	if (!is_there(path, &st))
		no_such(c);
	else if (unlink(path) < 0)
		http_error(c, 500, "err_int", "%s", strerror(errno));
	else if (fleet_repo_reload(r, &err) != 0)
		http_error(c, 500, "err_int", "%s", err.text);
	else
		http_empty(c, 204);
done:
	fleet_repo_give(r);
}

struct rename {
	struct str name;
};
static const struct field rename_fields[] = {
	F_TEXT(struct rename, name, "name", .check = check_name,
	    .help = "What it is to be called."),
	{ 0 },
};
static const struct record rename_record = { "fleetArtifactRename",
	sizeof(struct rename), rename_fields };

/* Copies a value; {"artifact":"old"} becomes {"artifact":"new"}. */
static void
copy_renamed(struct json *j, struct json_out *o, struct str from, struct str to,
    bool *any)
{
	struct str key, text;

	switch (json_peek(j)) {
	case JSON_ARRAY:
		(void)json_array(j);
		json_out_array(o);
		while (json_item(j))
			copy_renamed(j, o, from, to, any);
		json_out_end_array(o);
		break;
	case JSON_OBJECT:
		(void)json_object(j);
		json_out_object(o);
		while (json_member(j, &key)) {
			json_out_key_str(o, key);
			if (!str_eqz(key, "artifact") ||
			    json_peek(j) != JSON_STRING) {
				copy_renamed(j, o, from, to, any);
				continue;
			}
			if (!json_str(j, &text))
				return;
			*any = *any || str_eq(text, from);
			json_out_str(o, str_eq(text, from) ? to : text);
		}
		json_out_end_object(o);
		break;
	default:
		json_copy(j, o);
		break;
	}
}

static bool
rename_in(struct arena *a, struct fleet_use *uses, size_t n, struct str from,
    struct str to)
{
	bool changed = false;

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < uses[i].n; k++) {
			struct fleet_setting *s = &uses[i].settings[k];
			struct buf b = { 0 };
			struct json_out o;
			bool any = false;
			struct json j;

			json_open(&j, s->value, 0, a);
			json_out_init(&o, &b, false);
			copy_renamed(&j, &o, from, to, &any);
			if (any && json_done(&j, NULL) == 0) {
				s->value = arena_str(a, buf_str(&b));
				changed = true;
			}
			buf_free(&b);
		}
	return changed;
}

static int
rename_refs(struct fleet_repo *r, struct arena *a, struct str from,
    struct str to, struct err *err)
{
	struct fleet_state s;
	bool changed = false;
	int rc = fleet_repo_state(r, a, &s, err);

	if (rc != 0)
		return rc;
	for (size_t i = 0; i < s.n_configs; i++)
		changed |= rename_in(
		    a, s.configs[i].modules, s.configs[i].n_modules, from, to);
	for (size_t i = 0; i < s.n_tags; i++)
		changed |= rename_in(
		    a, s.tags[i].modules, s.tags[i].n_modules, from, to);
	return changed ? fleet_repo_write(r, &s, err)
		       : fleet_repo_reload(r, err);
}

static void
handle_rename(struct http_call *c)
{
	struct rest_body b = { 0 };
	const struct rename *to;
	const char *old_path, *new_path;
	struct fleet_repo *r;
	struct stat st;
	struct err err;

	if (!rest_read(c, &c->route->body, NULL, &b) ||
	    !fleet_call_repo(c, REST_PATCH, &r))
		return;
	to = b.row;
	old_path = path_of(c, r, http_var(c, 0));
	new_path = old_path != NULL ? path_of(c, r, to->name) : NULL;
	if (new_path == NULL)
		goto done;
	if (!is_there(old_path, &st)) {
		no_such(c);
	} else if (lstat(new_path, &st) == 0) {
		http_error(
		    c, 409, "err_exist", "there is an artifact of this name");
	} else if (rename(old_path, new_path) < 0) {
		http_error(c, 500, "err_int", "%s", strerror(errno));
	} else if (rename_refs(r, &c->arena, http_var(c, 0), to->name, &err) !=
	    0) {
		(void)rename(new_path, old_path);
		fleet_state_error(c, &err);
	} else {
		http_empty(c, 204);
	}
done:
	fleet_repo_give(r);
}

/* --- routes --------------------------------------------------------------- */

#define QUERY .query = &fleet_unit_query
static const struct http_route rows[] = {
	{ "GET", "/artifact/list", HTTP_TOKEN, .scope = "fleet.state.get",
	    QUERY, .reply = { .record = &artifact_record, .list = true },
	    .handle = handle_list, .help = "The files of a unit." },
	{ "GET", "/artifact/{name}", HTTP_TOKEN, .scope = "fleet.state.get",
	    QUERY, .reply = { .media = "application/octet-stream" },
	    .handle = handle_get, .help = "What a file holds." },
	{ "PUT", "/artifact/{name}", HTTP_TOKEN, .scope = "fleet.state.patch",
	    QUERY, .body = { .media = "application/octet-stream" },
	    .handle = handle_put, .flags = HTTP_SLOW,
	    .help = "Puts a file there, or in the place of one." },
	{ "DELETE", "/artifact/{name}", HTTP_TOKEN,
	    .scope = "fleet.state.patch", QUERY, .handle = handle_del,
	    .flags = HTTP_SLOW, .help = "Removes a file." },
	{ "POST", "/artifact/{name}/rename", HTTP_TOKEN,
	    .scope = "fleet.state.patch", QUERY,
	    .body = { .record = &rename_record, .members = "name!" },
	    .handle = handle_rename, .flags = HTTP_SLOW,
	    .help = "Gives a file another name, in the settings that name it, "
		    "too." },
	{ 0 },
};

void
artifact_routes(struct fleet *f, http_add_routes *add, void *ctx)
{
	struct http_route own[COUNT_OF(rows)];

	memcpy(own, rows, sizeof(rows));
	for (size_t i = 0; f != NULL && i < COUNT_OF(own); i++)
		if (own[i].method != NULL &&
		    strcmp(own[i].method, "PUT") == 0) {
			own[i].body_max = (size_t)f->conf.artifact_max;
			own[i].body_setting = "fleet.artifact.max";
		}
	rest_mount_rows(
	    f != NULL ? &f->mounts : NULL, own, FLEET_API, f, add, ctx);
}
