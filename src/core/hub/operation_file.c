/*
 * core/hub/operation_file.c - files that devices hand over: a configuration, a
 * log.
 *
 * The device puts the file, before it says that the operation went well, where
 * the operation's `tedgeUrl` says: here, with a key that only it was told. The
 * key is made of the operation's id, so nobody keeps it, and it opens nothing
 * when the operation has ended.
 *
 * A file is named like its operation. Those without one go when the hub is
 * cleaned.
 */
#include "core/hub/private.h"

#include "base/file.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Anybody may begin to send one. */
#define BODY_MAX (8 << 20)

#define KEY_LEN 32 /* bytes */

static const char *
path_of(const struct hub *h, struct arena *a, struct str id)
{
	return arena_z(
	    a, arena_printf(a, "%s/" STR_FMT, h->operation_dir, STR_ARG(id)));
}

static bool
is_name(struct str id)
{
	for (size_t i = 0; i < id.len; i++) {
		char c = id.ptr[i] | 0x20;

		if ((c < 'a' || c > 'z') && (c < '0' || c > '9') &&
		    id.ptr[i] != '-')
			return false;
	}
	return id.len > 0;
}

static struct str
key_of(const struct hub *h, struct arena *a, struct str id)
{
	unsigned char out[KEY_LEN];
	char hex[2 * KEY_LEN + 1];
	struct str what = arena_printf(a, "operation " STR_FMT, STR_ARG(id));

	crypto_generichash(out, sizeof(out), (const unsigned char *)what.ptr,
	    what.len, h->key, sizeof(h->key));
	sodium_bin2hex(hex, sizeof(hex), out, sizeof(out));
	return arena_str(a, str_of(hex));
}

struct str
operation_file_url(struct http_call *c, struct str id)
{
	return arena_printf(&c->arena,
	    "%s://" STR_FMT "/hub/api/v1/operation/" STR_FMT "/file",
	    c->secure ? "https" : "http", STR_ARG(c->host), STR_ARG(id));
}

struct str
operation_file_keyed(
    struct hub *h, struct arena *a, struct str id, struct str url)
{
	struct str end = arena_printf(
	    a, "/hub/api/v1/operation/" STR_FMT "/file", STR_ARG(id));

	return str_ends(url, end) ? arena_printf(a, STR_FMT "?key=" STR_FMT,
					STR_ARG(url), STR_ARG(key_of(h, a, id)))
				  : url;
}

static bool
find(struct http_call *c, struct hub_operation *ret, bool *found)
{
	struct hub *h = (struct hub *)c->route->ctx;
	struct filter f = { 0 };
	struct err err;

	filter_text(&f, "id", http_var(c, 0));
	if (store_get(h->store, &hub_operation_entity, &f, &c->arena, ret,
		found, &err) == 0)
		return true;
	rest_db_error(c, &err);
	return false;
}

static void
handle_put(struct http_call *c)
{
	struct hub *h = (struct hub *)c->route->ctx;
	struct str id = http_var(c, 0), key = http_query(c, "key"),
		   due = key_of(h, &c->arena, id);
	struct hub_operation row;
	bool found = false;
	struct err err = { 0 };

	if (!h->has_key || !is_name(id) || key.len != due.len ||
	    sodium_memcmp(key.ptr, due.ptr, due.len) != 0) {
		http_error(
		    c, 403, "err_perm", "the key is not that of the operation");
		return;
	}
	if (!find(c, &row, &found))
		return;
	if (!found || str_eqz(row.status, "successful") ||
	    str_eqz(row.status, "failed"))
		http_error(c, 404, "err_not_found",
		    "the operation has ended, or there is none");
	else if (mkdir(h->operation_dir, 0750) != 0 && errno != EEXIST)
		http_error(
		    c, 503, "err_rsc", "%s can not be made", h->operation_dir);
	else if (file_write(path_of(h, &c->arena, id), c->body, &err) != 0)
		http_error(c, 503, "err_rsc", "%s", err.text);
	else
		http_empty(c, 204);
}

static void
handle_get(struct http_call *c)
{
	struct hub *h = (struct hub *)c->route->ctx;
	struct rest r = { .c = c, .module = h };
	struct hub_operation row;
	struct buf bytes = { 0 };
	bool found = false;

	if (!find(c, &row, &found))
		return;
	if (found && !hub_may(&r, REST_GET, &row))
		found = false;
	if (c->status != 0)
		return;
	if (!found || !is_name(row.id) ||
	    file_read(path_of(h, &c->arena, row.id), &bytes, NULL) != 0)
		http_error(c, 404, "err_not_found",
		    "the device has handed over no file");
	else
		http_text(c, 200, "application/octet-stream", buf_str(&bytes));
	buf_free(&bytes);
}

void
operation_files_clean(struct hub *h)
{
	DIR *dir = opendir(h->operation_dir);
	const struct dirent *d;
	struct arena a = { 0 };

	while (dir != NULL && (d = readdir(dir)) != NULL) {
		struct filter f = { 0 };
		int64_t n = 1;

		if (!is_name(str_of(d->d_name)))
			continue;
		filter_text(&f, "id", str_of(d->d_name));
		if (store_count(
			h->store, &hub_operation_entity, &f, &n, NULL) == 0 &&
		    n == 0)
			(void)unlink(path_of(h, &a, str_of(d->d_name)));
		arena_clear(&a);
	}
	if (dir != NULL)
		closedir(dir);
	arena_fini(&a);
}

struct put_query {
	struct str key;
};
static const struct field put_fields[] = {
	F_TEXT(struct put_query, key, "key",
	    .help = "What the device was told with the operation."),
	{ 0 },
};
static const struct record put_record = { "operationFile",
	sizeof(struct put_query), put_fields };

const struct http_route hub_operation_rows[] = {
	{ "PUT", "/operation/{id}/file", HTTP_OPEN, .query = &put_record,
	    .body = { .media = "application/octet-stream" }, .flags = HTTP_SLOW,
	    .body_max = BODY_MAX, .handle = handle_put,
	    .help = "A device hands over the file of its operation: the body "
		    "is its bytes." },
	{ "GET", "/operation/{id}/file", HTTP_TOKEN,
	    .scope = "operation.get.file",
	    .reply = { .media = "application/octet-stream" },
	    .flags = HTTP_SLOW, .handle = handle_get,
	    .help = "Downloads what the device has handed over." },
	{ 0 },
};
