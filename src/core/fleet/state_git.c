/*
 * core/fleet/state_git.c - see state_git.h.
 */
#include "core/fleet/state_git.h"

#include "base/base.h"
#include "base/child.h"
#include "base/file.h"
#include "codec/shell.h"

#include <stdlib.h>
#include <string.h>

#define OUTPUT_MAX (4u << 20)
#define ENV_MAX 48
#define ARGS_MAX 24

/* --- where to ------------------------------------------------------------- */

static bool
has_user_password(struct str rest)
{
	struct str host = rest, user;
	const char *at;

	host = str_cut(&rest, '/');
	at = memchr(host.ptr, '@', host.len);
	if (at == NULL)
		return false;
	user = (struct str){ host.ptr, (size_t)(at - host.ptr) };
	return memchr(user.ptr, ':', user.len) != NULL;
}

int
fleet_git_check(struct str url, struct err *err)
{
	static const char *const schemes[] = { "https://", "http://", "ssh://",
		"git://", "file://" };
	const char *colon;

	for (size_t i = 0; i < url.len; i++)
		if ((unsigned char)url.ptr[i] <= ' ' || url.ptr[i] == 0x7F)
			return err_set(err, ERR_PARAM,
			    "has white space or a control character");
	if (url.len == 0 || url.ptr[0] == '-')
		return err_set(err, ERR_PARAM, "is no address of a repository");
	for (size_t i = 0; i < COUNT_OF(schemes); i++) {
		struct str scheme = str_of(schemes[i]), rest = url;

		if (!str_starts(url, scheme))
			continue;
		rest.ptr += scheme.len;
		rest.len -= scheme.len;
		if (rest.len == 0 || rest.ptr[0] == '-')
			return err_set(err, ERR_PARAM, "has no host");
		return has_user_password(rest)
		    ? err_set(err, ERR_PARAM,
			  "has a password in it: put it into a secret")
		    : 0;
	}
	/* git@host:path */
	colon = memchr(url.ptr, ':', url.len);
	if (colon == NULL || colon == url.ptr ||
	    memchr(url.ptr, '/', (size_t)(colon - url.ptr)) != NULL ||
	    (size_t)(colon - url.ptr) + 1 == url.len || colon[1] == ':' ||
	    (colon[1] == '/' && url.len > (size_t)(colon - url.ptr) + 2 &&
		colon[2] == '/'))
		return err_set(err, ERR_PARAM,
		    "must be https://host/path, ssh://user@host/path or "
		    "user@host:path");
	return 0;
}

/* --- its environment ------------------------------------------------------ */

struct env {
	struct arena *a;
	const char *at[ENV_MAX + 1];
	size_t n;
	int configs;
};

static void
set(struct env *e, struct str line)
{
	if (e->n < ENV_MAX)
		e->at[e->n++] = arena_z(e->a, line);
}

static void
config(struct env *e, const char *key, struct str value)
{
	set(e, arena_printf(e->a, "GIT_CONFIG_KEY_%d=%s", e->configs, key));
	set(e,
	    arena_printf(e->a, "GIT_CONFIG_VALUE_%d=" STR_FMT, e->configs,
		STR_ARG(value)));
	e->configs++;
}

static void
credentials(struct env *e, const struct fleet_git *g)
{
	struct buf pair = { 0 }, text = { 0 };

	if (g->password.len == 0)
		return;
	buf_add_str(&pair, g->user.len > 0 ? g->user : STR("git"));
	buf_addc(&pair, ':');
	buf_add_str(&pair, g->password);
	base64_encode(&text, pair.ptr, pair.len, false);
	config(e,
	    arena_z(e->a,
		arena_printf(
		    e->a, "http." STR_FMT ".extraHeader", STR_ARG(g->url))),
	    arena_printf(e->a, "Authorization: Basic " STR_FMT,
		STR_ARG(buf_str(&text))));
	config(e, "http.followRedirects", STR("false"));
	buf_free(&pair);
	buf_free(&text);
}

/* A file for `ssh -F`: the unit's key, and hosts that it has seen. */
static int
ssh(struct env *e, const struct fleet_git *g, struct err *err)
{
	const char *path = fleet_path(g->f, e->a, g->unit_id, "git_ssh");
	const char *hosts =
	    fleet_path(g->f, e->a, g->unit_id, "git_known_hosts");
	const char *program = arena_z(e->a, g->f->conf.ssh), *key = NULL;
	const char *const command[] = { program, "-F", path, NULL };
	struct buf text = { 0 }, line = { 0 };
	struct str public_key;
	int rc = fleet_unit_key(g->f, g->unit_id, e->a, &key, &public_key, err);

	if (rc != 0)
		return rc;
	buf_addf(&text,
	    "Host *\n\tBatchMode yes\n\tConnectTimeout 20\n"
	    "\tStrictHostKeyChecking accept-new\n"
	    "\tUserKnownHostsFile \"%s\"\n\tGlobalKnownHostsFile none\n"
	    "\tIdentitiesOnly yes\n\tIdentityFile \"%s\"\n",
	    hosts, key);
	rc = file_write(path, buf_str(&text), err);
	buf_addz(&line, "GIT_SSH_COMMAND=");
	shell_command(&line, command);
	set(e, buf_str(&line));
	buf_free(&text);
	buf_free(&line);
	return rc;
}

static int
environment(struct env *e, const struct fleet_git *g, struct err *err)
{
	static const char *const fixed[] = { "GIT_TERMINAL_PROMPT=0",
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_ASKPASS=false", "SSH_ASKPASS=false", "LC_ALL=C",
		"GIT_OPTIONAL_LOCKS=0" };
	static const char *const settings[][2] = {
		{ "core.hooksPath", "/dev/null" },
		{ "core.fsmonitor", "false" },
		{ "core.symlinks", "false" },
		{ "credential.helper", "" },
		{ "safe.directory", "*" },
		{ "fetch.fsckObjects", "true" },
		{ "submodule.recurse", "false" },
		/* what is fetched is one file, and nothing is done behind it */
		{ "fetch.unpackLimit", "1" },
		{ "maintenance.auto", "false" },
	};
	int rc = g->url.len > 0 ? ssh(e, g, err) : 0;

	for (size_t i = 0; i < COUNT_OF(fixed); i++)
		set(e, str_of(fixed[i]));
	set(e,
	    g->f->conf.remote_local
		? STR("GIT_ALLOW_PROTOCOL=https:http:ssh:git:file")
		: STR("GIT_ALLOW_PROTOCOL=https:http:ssh:git"));
	for (size_t i = 0; i < COUNT_OF(settings); i++)
		config(e, settings[i][0], str_of(settings[i][1]));
	credentials(e, g);
	set(e, arena_printf(e->a, "GIT_CONFIG_COUNT=%d", e->configs));
	return rc;
}

/* --- what it says --------------------------------------------------------- */

static const struct {
	const char *said;
	int code;
	const char *advice;
	bool asks; /* it has asked for credentials, again */
} known[] = {
	{ "non-fast-forward", ERR_EXISTS,
	    "the remote has commits that are not here: pull first" },
	{ "fetch first", ERR_EXISTS,
	    "the remote has commits that are not here: pull first" },
	{ "Permission denied (publickey", ERR_DENIED,
	    "the remote does not know the unit's key: add it there" },
	{ "Host key verification failed", ERR_DENIED,
	    "the host key of the remote is another one than last time; if "
	    "that is right, delete its line in git_known_hosts" },
	{ "Authentication failed", ERR_DENIED,
	    "the remote does not take the user name and the secret" },
	{ "could not read Username", ERR_DENIED,
	    "the remote asks for credentials: give it a secret", true },
	{ "could not read Password", ERR_DENIED,
	    "the remote asks for a password: give it a secret", true },
	{ "error: 403", ERR_DENIED, "the remote forbids it" },
	{ "transport 'file' not allowed", ERR_DENIED,
	    "remotes on this machine are off: see fleet.remote.local" },
	{ "not allowed", ERR_DENIED, "this kind of address is not allowed" },
	{ "does not appear to be a git repository", ERR_NOT_FOUND,
	    "there is no repository at this address" },
	{ "couldn't find remote ref", ERR_NOT_FOUND,
	    "the remote has no such branch" },
	{ "not found", ERR_NOT_FOUND,
	    "there is no repository at this address, or it is hidden from "
	    "who has no right" },
	{ "Could not resolve host", ERR_CLOSED, "there is no such host" },
	{ "Connection refused", ERR_CLOSED, "nothing listens there" },
	{ "Failed to connect", ERR_CLOSED, "nothing listens there" },
	{ "timed out", ERR_CLOSED, "the host does not answer" },
	{ "unable to access", ERR_CLOSED, "it can not be reached" },
};

/* The last line that says something. */
static struct str
last_line(struct str text)
{
	struct str last = STR("it said nothing");

	while (text.ptr != NULL && text.len > 0) {
		struct str line = str_trim(str_cut(&text, '\n'));

		if (line.len > 0 && !str_starts(line, STR("hint:")))
			last = line;
	}
	return last;
}

static struct str
said_line(struct str text, const char *what)
{
	while (text.ptr != NULL && text.len > 0) {
		struct str line = str_trim(str_cut(&text, '\n'));

		if (str_contains_nocase(line, str_of(what)))
			return line;
	}
	return STR_NULL;
}

static int
failed(const struct fleet_git *g, const struct child_end *end, struct err *err)
{
	struct buf how = { 0 };
	struct str line;
	int rc;

	if (end->timed_out)
		return err_set(err, ERR_CLOSED,
		    "the remote took longer than %lld s; see "
		    "fleet.remote.time",
		    (long long)(end->timeout_ms / 1000));
	for (size_t i = 0; i < COUNT_OF(known); i++) {
		line = said_line(end->err, known[i].said);
		if (line.ptr == NULL)
			line = said_line(end->out, known[i].said);
		if (line.ptr != NULL)
			return err_set(err, known[i].code, "%s (git: %.*s)",
			    g->password.len > 0 && known[i].asks
				? "the remote does not take the user name and "
				  "the secret"
				: known[i].advice,
			    (int)MIN_OF(line.len, 120), line.ptr);
	}
	line = last_line(end->err);
	child_end_text(end, &how);
	rc = err_set(err, ERR_IO, "git %s: %.*s", buf_z(&how),
	    (int)MIN_OF(line.len, 160), line.ptr);
	buf_free(&how);
	return rc;
}

/* --- running it ----------------------------------------------------------- */

struct run {
	const struct fleet_git *git;
	struct arena *a;
	struct str *out;
	struct err *err;
	int rc;
};

static void
on_end(void *ctx, const struct child_end *end)
{
	struct run *r = ctx;

	if (end->status != 0)
		r->rc = failed(r->git, end, r->err);
	else if (r->out != NULL)
		*r->out =
		    arena_str(r->a, end->out.len > 0 ? end->out : STR(""));
}

int
fleet_git_run(const struct fleet_git *g, const char *const *args,
    struct arena *a, struct str *out, struct err *err)
{
	const char *argv[ARGS_MAX + 1] = { arena_z(a, g->f->conf.git), "-C",
		g->dir };
	struct run r = { .git = g, .a = a, .out = out, .err = err };
	struct env env = { .a = a };
	struct child_conf conf = { .argv = argv,
		.env = env.at,
		.output_max = OUTPUT_MAX,
		.file_max = (uint64_t)g->file_max,
		.timeout_ms = g->f->conf.remote_ms };
	size_t n = 3;
	int rc = environment(&env, g, err);

	if (rc != 0)
		return rc;
	for (; *args != NULL && n < ARGS_MAX; args++)
		argv[n++] = *args;
	rc = fleet_program(g->f, &conf, on_end, &r, err);
	return rc != 0 ? rc : r.rc;
}
