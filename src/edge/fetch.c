/*
 * edge/fetch.c - see fetch.h. The work is done by curl(1), which is told what
 * to do on its standard input: there nobody sees a token.
 */
#include "edge/fetch.h"

#include "base/child.h"
#include "base/mem.h"
#include "codec/url.h"
#include "edge/config.h"

#include <libgen.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define LEAVE_FREE (16u << 20)
#define SILENCE_S 60
#define CONNECT_S 30

struct fetch {
	struct loop *loop;
	void (*done)(void *ctx, const struct fetch_end *end);
	void *ctx;
	struct child *child;
	char *path; /* NULL: the answer is kept */
	bool put;
	bool asks;       /* the answer may be of any status */
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
	if (f->child != NULL && f->path != NULL && !f->put)
		(void)unlink(f->path);
	child_free(f->child);
	free(f->path);
	buf_free(&f->name);
	loop_free_later(f->loop, f);
}

/* One line of curl's own file of options. */
static void
option_always(struct buf *out, const char *name, struct str value)
{
	buf_addf(out, "%s = \"", name);
	for (size_t i = 0; i < value.len; i++) {
		char c = value.ptr[i];

		if (c == '\n' || c == '\r' || c == '\t') {
			buf_addc(out, '\\');
			c = c == '\n' ? 'n' : c == '\r' ? 'r' : 't';
		} else if (c == '"' || c == '\\') {
			buf_addc(out, '\\');
		}
		buf_addc(out, c);
	}
	buf_addz(out, "\"\n");
}

static void
option(struct buf *out, const char *name, struct str value)
{
	if (value.len > 0)
		option_always(out, name, value);
}

static void
header(struct buf *out, const char *name, struct str value)
{
	struct buf text = { 0 };

	if (value.len > 0) {
		buf_addf(&text, "%s: " STR_FMT, name, STR_ARG(value));
		option(out, "header", buf_str(&text));
		explicit_bzero(text.ptr, text.len);
	}
	buf_free(&text);
}

static void
account(struct buf *out, const char *name, struct str user, struct str password)
{
	struct buf text = { 0 };

	if (user.len > 0) {
		buf_addf(&text, STR_FMT ":" STR_FMT, STR_ARG(user),
		    STR_ARG(password));
		option(out, name, buf_str(&text));
		explicit_bzero(text.ptr, text.len);
	}
	buf_free(&text);
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

/* Of a file that comes; 0: none does. */
static uint64_t
most(const struct fetch_request *r)
{
	if (r->path == NULL || r->put)
		return 0;
	return r->max_size != 0 ? r->max_size : room_at(r->path);
}

/* What is sent, and where the answer goes. */
static void
bodies(const struct fetch_request *r, uint64_t max, struct buf *out)
{
	option(out, "request", str_of(r->method));
	if (r->put)
		option(out, "upload-file", str_of(r->path));
	else if (r->path != NULL)
		option(out, "output", str_of(r->path));
	if (r->body.ptr != NULL)
		option_always(out, "data-raw", r->body);
	if (r->path == NULL || r->put) {
		/* No waiting until the server asks for the body. */
		buf_addz(out, "header = \"Expect:\"\n");
		if (r->answer_max == 0)
			buf_addz(out, "output = \"/dev/null\"\n");
		return;
	}
	if (max > 0) /* where the server says how much will come */
		buf_addf(out, "max-filesize = %llu\n", (unsigned long long)max);
}

static void
options(const struct fetch_request *r, bool asks, uint64_t max, struct buf *out)
{
	static const struct fetch_conf none;
	const struct fetch_conf *c = r->conf != NULL ? r->conf : &none;

	buf_addz(out,
	    "silent\nshow-error\ngloboff\n"
	    "proto = \"=http,https\"\nproto-redir = \"=http,https\"\n"
	    "write-out = \"%{http_code}\"\n");
	if (!asks) /* a question of another kind is not asked again elsewhere */
		buf_addz(out, "fail\nlocation\nmax-redirs = 10\n");
	option(out, "url", r->url);
	buf_addf(out,
	    "connect-timeout = %d\nspeed-limit = 1\nspeed-time = %d\n",
	    CONNECT_S, SILENCE_S);
	bodies(r, max, out);
	if (r->body.ptr != NULL && r->type.len == 0)
		buf_addz(out, "header = \"Content-Type:\"\n");
	header(out, "Content-Type", r->type);
	header(out, "Accept", r->accept);
	if (r->bearer.len > 0) {
		struct buf token = { 0 };

		buf_addf(&token, "Bearer " STR_FMT, STR_ARG(r->bearer));
		header(out, "Authorization", buf_str(&token));
		explicit_bzero(token.ptr, token.len);
		buf_free(&token);
	}
	for (size_t i = 0; i < r->headers.n; i++)
		option(out, "header", r->headers.at[i]);
	account(out, "user", r->user, r->password);
	option(out, "cacert", c->ca_file);
	option(out, "capath", c->ca_dir);
	option(out, "cert", c->cert_file);
	option(out, "key", c->key_file);
	option(out, "proxy", c->proxy);
	account(out, "proxy-user", c->proxy_user, c->proxy_password);
	option(out, "noproxy", c->no_proxy);
}

/* curl's exit statuses that say more than that it failed. */
#define CURL_TOO_BIG 63
#define CURL_TOO_SLOW 28

/* What curl has written: the answer, if it was kept, and the status. */
static void
take_apart(const struct child_end *how, struct fetch_end *end)
{
	struct str out = how->out;
	int64_t status;

	if (out.len < 3 ||
	    !str_to_i64((struct str){ out.ptr + out.len - 3, 3 }, &status))
		return;
	end->body = (struct str){ out.ptr, out.len - 3 };
	if (status >= 100)
		end->status = (int)status;
}

static int
code_of(int status)
{
	switch (status) {
	case 404:
	case 410:
		return ERR_NOT_FOUND;
	case 401:
	case 403:
		return ERR_DENIED;
	case 409:
		return ERR_EXISTS;
	default:
		return ERR_IO;
	}
}

static void
judge(const struct fetch *f, const struct child_end *how, struct fetch_end *end)
{
	const char *what = f->asks ? "ask" : f->put ? "upload to" : "download";
	const char *name = f->name.ptr;
	struct str why = str_trim(how->err);
	struct buf text = { 0 };

	end->body = STR("");
	if (how->cut) {
		err_set(&end->err, ERR_LIMIT, "%s %s: the answer is too large",
		    what, name);
		return;
	}
	take_apart(how, end);
	if (how->status == 0 && end->status < 400)
		return;
	if (how->timed_out || how->status == CURL_TOO_SLOW)
		err_set(
		    &end->err, ERR_IO, "%s %s: it took too long", what, name);
	else if (how->status == CURL_TOO_BIG || how->signal == SIGXFSZ)
		err_set(&end->err, ERR_LIMIT,
		    "%s %s: it is larger than there is room for", what, name);
	else if (end->status >= 400)
		err_set(&end->err, code_of(end->status),
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
	if (end.err.code != 0 && f->path != NULL && !f->put)
		(void)unlink(f->path);
	f->done(f->ctx, &end);
	fetch_free(f);
}

/* A header of two lines would be two headers. */
static bool
is_clean(const struct fetch_request *r)
{
	const struct str lines[] = { r->url, r->bearer, r->user, r->password,
		r->type, r->accept };

	for (size_t i = 0; i < COUNT_OF(lines); i++)
		if (!is_one_line(lines[i]))
			return false;
	for (size_t i = 0; i < r->headers.n; i++)
		if (!is_one_line(r->headers.at[i]))
			return false;
	return r->body.len == 0 ||
	    memchr(r->body.ptr, '\0', r->body.len) == NULL;
}

int
fetch_start(struct loop *loop, const struct fetch_request *request,
    void (*done)(void *ctx, const struct fetch_end *end), void *ctx,
    struct fetch **ret, struct err *err)
{
	const char *argv[] = { "curl", "-q", "--config", "-", NULL };
	struct buf input = { 0 };
	struct fetch *f;
	uint64_t max;
	int rc;

	if (!(str_starts(request->url, STR("http://")) ||
		str_starts(request->url, STR("https://"))) ||
	    !is_clean(request))
		return err_set(err, ERR_PARAM,
		    "not a URL of http or https, or with characters that may "
		    "not be there");
	f = mem_new(struct fetch);
	f->loop = loop;
	f->done = done;
	f->ctx = ctx;
	f->path = str_dupz(str_of(request->path));
	f->put = request->put;
	f->asks = request->path == NULL || request->method != NULL;
	fetch_url_text(request->url, &f->name);
	(void)buf_z(&f->name);
	max = most(request);
	options(request, f->asks, max, &input);
	rc = child_start(loop,
	    &(struct child_conf){ .argv = argv,
		.input = buf_str(&input),
		.output_max = MAX_OF(request->answer_max + 3, 4096),
		.file_max = max, /* where it does not */
		.timeout_ms = request->timeout_ms },
	    on_done, f, &f->child, err);
	explicit_bzero(input.ptr, input.len);
	buf_free(&input);
	if (rc != 0) {
		fetch_free(f);
		return rc;
	}
	*ret = f;
	return 0;
}

/* --- for commands -------------------------------------------------------- */

struct wait {
	struct loop *loop;
	int status;
	struct buf *answer; /* NULL: not wanted */
	struct err err;
};

static void
on_waited(void *ctx, const struct fetch_end *end)
{
	struct wait *w = ctx;

	loop_stop(w->loop);
	w->status = end->status;
	w->err = end->err;
	if (w->answer != NULL)
		buf_add_str(w->answer, end->body);
}

int
fetch_wait(const struct fetch_request *request, int *status, struct buf *answer,
    struct err *err)
{
	struct wait w = { .loop = loop_new(), .answer = answer };
	struct fetch *f;
	int rc = fetch_start(w.loop, request, on_waited, &w, &f, err);

	if (rc == 0)
		loop_run(w.loop);
	loop_free(w.loop);
	if (rc != 0)
		return rc;
	if (status != NULL)
		*status = w.status;
	if (err != NULL)
		*err = w.err;
	return w.err.code;
}

static bool
is_folder(struct str path)
{
	char *z = str_dupz(path);
	struct stat st;
	bool is = z != NULL && stat(z, &st) == 0 && S_ISDIR(st.st_mode);

	free(z);
	return is;
}

void
fetch_conf_trust(struct str path, struct fetch_conf *ret)
{
	*(is_folder(path) ? &ret->ca_dir : &ret->ca_file) = path;
}

void
fetch_conf_of(const struct cloud *cloud, struct fetch_conf *ret)
{
	const struct config *c = cloud->config;
	struct str trust = cloud_text(cloud, "root_cert_path");

	*ret = (struct fetch_conf){
		.proxy = config_text(c, "proxy.address"),
		.proxy_user = config_text(c, "proxy.username"),
		.proxy_password = config_text(c, "proxy.password"),
		.no_proxy = config_text(c, "proxy.no_proxy"),
	};
	fetch_conf_trust(trust, ret);
}

void
fetch_conf_local(const struct cloud *cloud, struct fetch_conf *ret)
{
	const struct config *c = cloud->config;
	struct fetch_conf of;

	fetch_conf_of(cloud, &of);
	*ret = (struct fetch_conf){ .ca_file = of.ca_file,
		.ca_dir = of.ca_dir,
		.cert_file = config_text(c, "http.client.auth.cert_file"),
		.key_file = config_text(c, "http.client.auth.key_file") };
}
