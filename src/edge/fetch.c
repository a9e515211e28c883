/*
 * edge/fetch.c - see fetch.h. The work is done by curl(1), which is told what
 * to do on its standard input: there nobody sees a token.
 */
#include "edge/fetch.h"

#include "base/base.h"
#include "base/child.h"
#include "base/mem.h"
#include "codec/url.h"

#include <libgen.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define LEAVE_FREE (16u << 20)
#define SILENCE_S 60
#define CONNECT_S 30

struct fetch {
	struct loop *loop;
	void (*done)(void *ctx, const struct fetch_end *end);
	void *ctx;
	struct child *child;
	char *path;
	bool put;
	struct buf name; /* of the URL, for people */
};

void
fetch_url_text(struct str url, struct buf *out)
{
	struct arena a = { 0 };
	struct url u;

	if (url_parse(&a, url, &u)) {
		buf_add_str(out, url_origin(&a, &u));
		buf_add_str(out, u.path);
	} else {
		buf_addz(out, "the URL");
	}
	arena_fini(&a);
}

void
fetch_free(struct fetch *f)
{
	if (f == NULL)
		return;
	if (f->child != NULL && !f->put)
		(void)unlink(f->path);
	child_free(f->child);
	free(f->path);
	buf_free(&f->name);
	loop_free_later(f->loop, f);
}

/* One line of curl's own file of options. */
static void
option(struct buf *out, const char *name, struct str value)
{
	if (value.len == 0)
		return;
	buf_addf(out, "%s = \"", name);
	for (size_t i = 0; i < value.len; i++) {
		char c = value.ptr[i];

		if (c == '"' || c == '\\')
			buf_addc(out, '\\');
		buf_addc(out, c);
	}
	buf_addz(out, "\"\n");
}

static bool
is_one_line(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f)
			return false;
	return true;
}

static uint64_t
room_at(const char *path)
{
	char *copy = str_dupz(str_of(path));
	struct statvfs fs;
	uint64_t room = 0;

	if (statvfs(dirname(copy), &fs) == 0) {
		room = (uint64_t)fs.f_bavail * fs.f_frsize;
		room = room > LEAVE_FREE ? room - LEAVE_FREE : 1;
	}
	free(copy);
	return room;
}

static void
options(const struct fetch_request *r, struct buf *out)
{
	static const struct fetch_conf none;
	const struct fetch_conf *c = r->conf != NULL ? r->conf : &none;
	uint64_t max = r->max_size > 0 ? r->max_size : room_at(r->path);
	struct buf text = { 0 };

	buf_addz(out,
	    "silent\nshow-error\nfail\nlocation\ngloboff\n"
	    "proto = \"=http,https\"\nproto-redir = \"=http,https\"\n"
	    "max-redirs = 10\nwrite-out = \"%{http_code}\"\n");
	option(out, "url", r->url);
	option(out, r->put ? "upload-file" : "output", str_of(r->path));
	buf_addf(out,
	    "connect-timeout = %d\nspeed-limit = 1\nspeed-time = %d\n",
	    CONNECT_S, SILENCE_S);
	if (!r->put && max > 0)
		buf_addf(out, "max-filesize = %llu\n", (unsigned long long)max);
	if (r->bearer.len > 0) {
		buf_addf(&text, "Authorization: Bearer " STR_FMT,
		    STR_ARG(r->bearer));
		option(out, "header", buf_str(&text));
	}
	option(out, "cacert", c->ca_file);
	option(out, "capath", c->ca_dir);
	option(out, "cert", c->cert_file);
	option(out, "key", c->key_file);
	option(out, "proxy", c->proxy);
	if (c->proxy_user.len > 0) {
		buf_clear(&text);
		buf_addf(&text, STR_FMT ":" STR_FMT, STR_ARG(c->proxy_user),
		    STR_ARG(c->proxy_password));
		option(out, "proxy-user", buf_str(&text));
	}
	option(out, "noproxy", c->no_proxy);
	buf_free(&text);
}

/* curl's exit statuses that say more than that it failed. */
#define CURL_TOO_BIG 63
#define CURL_TOO_SLOW 28

static void
judge(const struct fetch *f, const struct child_end *how, struct fetch_end *end)
{
	const char *what = f->put ? "upload to" : "download", *name;
	struct buf b = f->name, text = { 0 };
	struct str why = str_trim(how->err), number = str_trim(how->out);
	int64_t status = 0;

	name = b.ptr;
	if (str_to_i64(number, &status) && status >= 100 && status < 1000)
		end->status = (int)status;
	if (how->status == 0)
		return;
	if (how->timed_out || how->status == CURL_TOO_SLOW)
		err_set(
		    &end->err, ERR_IO, "%s %s: it took too long", what, name);
	else if (how->status == CURL_TOO_BIG)
		err_set(&end->err, ERR_LIMIT,
		    "%s %s: it is larger than there is room for", what, name);
	else if (end->status >= 400)
		err_set(&end->err,
		    status == 404 || status == 410       ? ERR_NOT_FOUND
			: status == 401 || status == 403 ? ERR_DENIED
							 : ERR_IO,
		    "%s %s: the server answered %d", what, name, end->status);
	else if (why.len > 0)
		err_set(&end->err, ERR_IO, "%s %s: " STR_FMT, what, name,
		    STR_ARG(why));
	else {
		child_end_text(how, &text);
		err_set(&end->err, ERR_IO, "%s %s: curl %s", what, name,
		    buf_z(&text));
		buf_free(&text);
	}
}

static void
on_done(void *ctx, const struct child_end *how)
{
	struct fetch *f = ctx;
	struct fetch_end end = { 0 };

	f->child = NULL;
	judge(f, how, &end);
	if (end.err.code != 0 && !f->put)
		(void)unlink(f->path);
	f->done(f->ctx, &end);
	fetch_free(f);
}

int
fetch_start(struct loop *loop, const struct fetch_request *request,
    void (*done)(void *ctx, const struct fetch_end *end), void *ctx,
    struct fetch **ret, struct err *err)
{
	const char *argv[] = { "curl", "-q", "--config", "-", NULL };
	struct buf input = { 0 };
	struct fetch *f;
	int rc;

	if (!(str_starts(request->url, STR("http://")) ||
		str_starts(request->url, STR("https://"))) ||
	    !is_one_line(request->url) || !is_one_line(request->bearer))
		return err_set(err, ERR_PARAM,
		    "not a URL of http or https, or with characters that may "
		    "not be there");
	f = mem_new(struct fetch);
	f->loop = loop;
	f->done = done;
	f->ctx = ctx;
	f->path = str_dupz(str_of(request->path));
	f->put = request->put;
	fetch_url_text(request->url, &f->name);
	(void)buf_z(&f->name);
	options(request, &input);
	rc = child_start(loop,
	    &(struct child_conf){ .argv = argv,
		.input = buf_str(&input),
		.output_max = 4096,
		.timeout_ms = request->timeout_ms },
	    on_done, f, &f->child, err);
	buf_free(&input);
	if (rc != 0) {
		fetch_free(f);
		return rc;
	}
	*ret = f;
	return 0;
}
