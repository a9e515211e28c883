/*
 * edge/http_files.c - see http_files.h.
 *
 * Paths are cleaned of ".", ".." and empty segments before anything is opened;
 * one that leaves the folder is none. Links that an administrator has put there
 * are followed: firmware lies in a cache elsewhere.
 */
#include "edge/http_files.h"

#include "base/base.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define UPLOADS ".uploads" /* a folder in the folder, nobody's to ask for */
#define CHUNK (32u << 10)

static const struct prefix {
	const char *path;
	bool old;
} prefixes[] = {
	{ "/te/v1/files/", false },
	{ "/tedge/file-transfer/", true },
};

/* Of a body that comes in, or goes out. */
struct transfer {
	int fd;
	char *temp; /* of an upload; NULL: it has its name */
};

static const struct prefix *
prefix_of(struct str path)
{
	for (size_t i = 0; i < COUNT_OF(prefixes); i++)
		if (str_starts(path, str_of(prefixes[i].path)))
			return &prefixes[i];
	return NULL;
}

bool
http_files_is(const struct http_call *c)
{
	return prefix_of(c->path) != NULL;
}

/* --- answers ---------------------------------------------------------------
 */

static void
say(struct http_call *c, int status, const char *before, struct str path,
    const char *behind)
{
	buf_clear(&c->out);
	buf_addz(&c->out, before);
	json_quote(&c->out, path);
	buf_addz(&c->out, behind);
	c->status = status;
	c->type = "text/plain; charset=utf-8";
}

static void
say_failed(struct http_call *c)
{
	bool full = errno == ENOSPC || errno == EDQUOT;

	http_text(c, full ? 507 : 500, "text/plain; charset=utf-8",
	    full ? STR("There is no room left on the device")
		 : STR("Internal error"));
}

/* --- paths -----------------------------------------------------------------
 */

struct place {
	struct str asked; /* as it was asked for, for people */
	char *path;       /* in the call's arena */
	bool is_root;
};

/* False: it leaves the folder, or is none. */
static bool
clean(struct arena *a, const char *dir, struct str asked, struct place *ret)
{
	struct str *stack = arena_array(a, asked.len + 1, struct str);
	struct str rest = asked;
	struct buf path = { 0 };
	size_t n = 0;

	ret->asked = asked;
	if (asked.len > 0 && asked.ptr[0] == '/')
		return false; /* an absolute one is not of this folder */
	if (asked.len > 0 && memchr(asked.ptr, '\0', asked.len) != NULL)
		return false;
	while (rest.ptr != NULL) {
		struct str s = str_cut(&rest, '/');

		if (s.len == 0 || str_eqz(s, "."))
			continue;
		if (!str_eqz(s, ".."))
			stack[n++] = s;
		else if (n-- == 0)
			return false;
	}
	if (n > 0 && str_eqz(stack[0], UPLOADS))
		return false;
	buf_addz(&path, dir);
	for (size_t i = 0; i < n; i++) {
		buf_addc(&path, '/');
		buf_add_str(&path, stack[i]);
	}
	ret->is_root = n == 0;
	ret->path = arena_z(a, buf_str(&path));
	buf_free(&path);
	return true;
}

/* Where the call is about; false: it is refused. */
static bool
place_of(struct http_files *f, struct http_call *c, struct place *ret)
{
	struct str before = str_of(prefix_of(c->path)->path);
	struct str asked = { c->path.ptr + before.len,
		c->path.len - before.len };

	if (clean(&c->arena, f->dir, asked, ret))
		return true;
	say(c, 404, "Invalid file path: ", asked, "");
	return false;
}

static bool
is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int
make_folders(const char *path, size_t from)
{
	char *copy = mem_printf("%s", path);
	int rc = 0;

	for (char *p = copy + from; rc == 0 && (p = strchr(p, '/')) != NULL;
	     p++) {
		*p = '\0';
		if (mkdir(copy, 0775) < 0 && errno != EEXIST)
			rc = -1;
		*p = '/';
	}
	free(copy);
	return rc;
}

/* --- PUT --------------------------------------------------------------------
 */

static struct transfer *
upload_of(struct http_files *f, struct http_call *c)
{
	struct transfer *t = c->parts;

	if (t != NULL)
		return t;
	t = arena_new(&c->arena, struct transfer);
	t->temp = arena_z(&c->arena,
	    arena_printf(&c->arena, "%s/" UPLOADS "/%lu", f->dir, f->next++));
	t->fd = open(t->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0664);
	if (t->fd < 0) {
		say_failed(c);
		return NULL;
	}
	c->parts = t;
	return t;
}

static bool
write_part(struct http_call *c, int fd)
{
	struct str rest = c->body;

	while (rest.len > 0) {
		ssize_t n = write(fd, rest.ptr, rest.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			say_failed(c);
			return false;
		}
		rest.ptr += n;
		rest.len -= (size_t)n;
	}
	return true;
}

bool
http_files_part(struct http_files *f, struct http_call *c)
{
	struct transfer *t;
	struct place place;

	if (c->parts == NULL) {
		if (!place_of(f, c, &place))
			return false;
		if (is_folder(place.path)) {
			say(c, 409, "Cannot upload: ", place.asked,
			    " is a directory, not a file");
			return false;
		}
	}
	t = upload_of(f, c);
	return t != NULL && write_part(c, t->fd);
}

static void
put(struct http_files *f, struct http_call *c, const struct place *place)
{
	struct transfer *t;

	if (!http_files_part(f, c))
		return;
	t = c->parts;
	if (make_folders(place->path, strlen(f->dir) + 1) < 0 ||
	    rename(t->temp, place->path) < 0) {
		if (errno == EISDIR)
			say(c, 409, "Cannot upload: ", place->asked,
			    " is a directory, not a file");
		else
			say_failed(c);
		return;
	}
	t->temp = NULL;
	http_empty(c, 201);
}

void
http_files_ended(struct http_call *c)
{
	struct transfer *t = c->parts;

	if (t == NULL)
		return;
	close(t->fd);
	if (t->temp != NULL)
		unlink(t->temp);
}

/* --- GET --------------------------------------------------------------------
 */

static bool
read_more(struct http_call *c)
{
	struct transfer *t = c->stream_state;
	ssize_t n;

	buf_reserve(&c->out, CHUNK);
	do
		n = read(t->fd, c->out.ptr + c->out.len, CHUNK);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return false;
	c->out.len += (size_t)n;
	return true;
}

static void
end_reading(struct http_call *c)
{
	struct transfer *t = c->stream_state;

	close(t->fd);
}

static void
get(struct http_call *c, const struct place *place)
{
	struct transfer *t;
	struct stat st;
	int fd = open(place->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 && errno != ENOENT && errno != ENOTDIR) {
		say_failed(c);
		return;
	}
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		if (fd >= 0)
			close(fd);
		say(c, 404, "File not found: ", place->asked, "");
		return;
	}
	t = arena_new(&c->arena, struct transfer);
	t->fd = fd;
	c->status = 200;
	c->type = "application/octet-stream";
	c->stream = read_more;
	c->stream_end = end_reading;
	c->stream_state = t;
}

/* --- DELETE, and the rest ----------------------------------------------------
 */

static void
del(struct http_call *c, const struct place *place)
{
	if (place->is_root || is_folder(place->path))
		say(c, 404, "Cannot delete: ", place->asked,
		    " is a directory, not a file");
	else if (unlink(place->path) < 0 && errno != ENOENT && errno != ENOTDIR)
		say_failed(c);
	else
		http_empty(c, 202);
}

void
http_files_answer(struct http_files *f, struct http_call *c)
{
	struct place place;

	if (prefix_of(c->path)->old) {
		http_header(c, "Deprecation", STR("true"));
		http_header(c, "Sunset", STR("Thu, 31 Dec 2025 23:59:59 GMT"));
		http_header(
		    c, "Link", STR("</te/v1/files>; rel=\"deprecation\""));
	}
	if (!place_of(f, c, &place))
		return;
	if (strcmp(c->method, "PUT") == 0)
		put(f, c, &place);
	else if (strcmp(c->method, "GET") == 0 ||
	    strcmp(c->method, "HEAD") == 0)
		get(c, &place);
	else if (strcmp(c->method, "DELETE") == 0)
		del(c, &place);
	else {
		http_header(c, "Allow", STR("GET, HEAD, PUT, DELETE"));
		http_empty(c, 405);
	}
}

int
http_files_open(struct http_files *f, struct err *err)
{
	char *uploads = mem_printf("%s/" UPLOADS, f->dir);
	struct dirent *e;
	int rc = 0;
	DIR *d;

	if (make_folders(f->dir, 1) < 0 ||
	    (mkdir(f->dir, 0775) < 0 && errno != EEXIST) ||
	    (mkdir(uploads, 0700) < 0 && errno != EEXIST)) {
		rc = err_errno(err,
		    "make the folder %s (`tedge init` makes all with the right "
		    "owners)",
		    uploads);
		goto done;
	}
	d = opendir(uploads);
	while (d != NULL && (e = readdir(d)) != NULL)
		if (e->d_name[0] != '.')
			unlinkat(dirfd(d), e->d_name, 0);
	if (d != NULL)
		closedir(d);
done:
	free(uploads);
	return rc;
}
