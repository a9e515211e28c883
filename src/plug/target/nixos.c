/*
 * plug/target/nixos.c - a device that runs NixOS.
 *
 * Here a commit is built, and copied to the store of the device, by Nix. There
 * nixos_device.sh switches to it, or its agent, who both take it back when
 * nobody reaches the device afterwards. What was built is named by its path in
 * the store: the same for all devices of a configuration.
 */
#include "plug/target/nixos_generate.h"
#include "plug/target/target.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/mem.h"
#include "codec/nix_log.h"
#include "codec/url.h"
#include "nixos_device_sh.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define QUICK_MS 60000     /* what takes a moment, with time to spare */
#define ORDER_MS 600000    /* a boot loader is slow */
#define POLL_MIN_MS 200    /* how far the device is... */
#define POLL_MAX_MS 3000   /* ...twice as long each time, up to this */
#define LATE_EXIT 124      /* of the switch: its time was over */
#define LOST_MORE_MS 60000 /* unreachable, beyond the time to confirm */
#define STORE "/nix/store/"

/* --- programs ------------------------------------------------------------- */

static struct str
last_line(struct str text)
{
	const char *end;

	text = str_trim(text);
	end = text.len > 0 ? memrchr(text.ptr, '\n', text.len) : NULL;
	if (end != NULL)
		text = (struct str){ end + 1,
			text.len - (size_t)(end + 1 - text.ptr) };
	if (text.len > 180)
		text.len = 180;
	return text;
}

/* What Nix says went wrong; else the last line it wrote. */
static struct str
nix_error(struct arena *a, struct str log)
{
	struct nix_log l = { 0 };
	struct str rest = log, said;
	struct buf out = { 0 };

	while (rest.ptr != NULL && rest.len > 0) {
		out.len = out.len > 4096 ? 0 : out.len; /* its end matters */
		(void)nix_log_line(&l, str_cut(&rest, '\n'), &out);
	}
	said = str_trim(buf_str(&l.error));
	if (str_starts(said, STR("error: ")))
		said = (struct str){ said.ptr + 7, said.len - 7 };
	if (said.len == 0)
		said = last_line(buf_str(&out));
	if (said.len > 200)
		said.len = 200;
	said = arena_str(a, said);
	nix_log_fini(&l);
	buf_free(&out);
	return said;
}

static bool
is_name(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		if ((c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' &&
		    c != '_')
			return false;
	}
	return s.len > 0;
}

static bool
is_store_path(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] <= ' ' || s.ptr[i] == 0x7f)
			return false;
	return str_starts(s, STR(STORE)) && s.len > sizeof(STORE);
}

struct version {
	int major, minor;
};

static int
nix_version(struct target_job *j, struct version *v, struct err *err)
{
	const char *argv[] = { "nix", "--version", NULL };
	struct target_result r;
	char text[80];
	const char *at;
	int rc =
	    j->host->ask(j->host->ctx, argv, NULL, STR_NULL, QUICK_MS, &r, err);

	if (rc != 0)
		return rc;
	snprintf(text, sizeof(text), STR_FMT, STR_ARG(r.out));
	at = strpbrk(text, "0123456789");
	if (r.status != 0 || at == NULL ||
	    sscanf(at, "%d.%d", &v->major, &v->minor) != 2)
		return err_set(
		    err, ERR_IO, "%s does not say its version", argv[0]);
	if (v->major < 2 || (v->major == 2 && v->minor < 4))
		return err_set(err, ERR_PARAM,
		    "Nix %d.%d has no flakes; 2.4 is the oldest that does",
		    v->major, v->minor);
	return 0;
}

static int64_t
left(int64_t until)
{
	return MAX_OF(until - clock_mono(), 1);
}

static int
pause_for(struct target_job *j, int64_t ms, struct err *err)
{
	for (; ms > 0; ms -= 100) {
		const struct timespec t = { 0, 100000000 };

		if (j->host->cancelled(j->host->ctx))
			return err_set(err, ERR_CANCELLED, "cancelled");
		nanosleep(&t, NULL);
	}
	return 0;
}

/* --- build ---------------------------------------------------------------- */

/* Beside the repository: links that keep what was built from being collected
 * as garbage, and what Nix fetches. */
static const char *
beside(struct target_job *j, const char *name)
{
	char *path = arena_z(j->arena,
	    arena_printf(
		j->arena, STR_FMT "/../%s", STR_ARG(j->repository), name));

	(void)mkdir(path, 0700); /* who uses it says why not */
	return path;
}

static const char *
flake_url(struct target_job *j)
{
	struct buf b = { 0 };
	struct str rest = j->repository;
	const char *ret;

	buf_addz(&b, "git+file://");
	while (rest.ptr != NULL) {
		url_encode(&b, str_cut(&rest, '/'));
		if (rest.ptr != NULL)
			buf_addc(&b, '/');
	}
	buf_addf(&b,
	    "?rev=" STR_FMT "#nixosConfigurations.\"" STR_FMT
	    "\".config.system.build.toplevel",
	    STR_ARG(j->commit), STR_ARG(j->config));
	ret = arena_z(j->arena, buf_str(&b));
	buf_free(&b);
	return ret;
}

#define FLAKES                                                                 \
	"--extra-experimental-features", "nix-command flakes", "--log-format", \
	    "internal-json"

static const char *const *
nix_env(struct target_job *j, const char *more)
{
	const char **env = arena_array(j->arena, 4, const char *);

	env[0] = "GIT_TERMINAL_PROMPT=0";
	env[1] = arena_z(j->arena,
	    arena_printf(j->arena, "XDG_CACHE_HOME=%s", beside(j, "cache")));
	env[2] = more;
	return env;
}

static int
nixos_build(struct target_job *j, struct str *built, struct err *err)
{
	const char *link;
	struct target_result r;
	char path[PATH_MAX];
	struct version v;
	ssize_t n;
	int rc;

	if (!is_name(j->config) || !str_is_hex(j->commit) || j->commit.len < 12)
		return err_set(err, ERR_PARAM,
		    "no configuration and commit: " STR_FMT " " STR_FMT,
		    STR_ARG(j->config), STR_ARG(j->commit));
	rc = nix_version(j, &v, err);
	if (rc != 0)
		return rc;
	link = arena_z(j->arena,
	    arena_printf(j->arena, "%s/" STR_FMT "-%.12s", beside(j, "builds"),
		STR_ARG(j->config), j->commit.ptr));
	{
		const char *const argv[] = { "nix", FLAKES, "build",
			flake_url(j), "--no-write-lock-file", "--out-link",
			link, NULL };

		rc = j->host->run(
		    j->host->ctx, argv, nix_env(j, NULL), STR_NULL, 0, &r, err);
	}
	if (rc != 0)
		return err_wrap(err, "building " STR_FMT, STR_ARG(j->config));
	if (r.status != 0) {
		struct str why = nix_error(j->arena, r.err);

		return err_set(
		    err, ERR_PARAM, "the build failed: " STR_FMT, STR_ARG(why));
	}
	n = readlink(link, path, sizeof(path));
	if (n <= 0 || (size_t)n >= sizeof(path) ||
	    !is_store_path((struct str){ path, (size_t)n }))
		return err_set(err, ERR_IO,
		    "the build left no link to what it made: %s", link);
	*built = arena_str(j->arena, (struct str){ path, (size_t)n });
	return 0;
}

/* --- the device ----------------------------------------------------------- */

/* Puts the script where it can be run from again, and runs it. */
#define LOADER                                                                 \
	"umask 077; d=${MARRAM_FLEET_DIR:-/var/lib/marram-fleet}; "            \
	"mkdir -p \"$d\" && cat >\"$d/nixos.sh.$$\" && "                       \
	"mv \"$d/nixos.sh.$$\" \"$d/nixos.sh\" && "                            \
	"exec sh \"$d/nixos.sh\" \"$@\""

static int
on_device(struct target_job *j, const char *command, const char *const *words,
    int64_t timeout_ms, struct target_result *r, struct err *err)
{
	const char *argv[12] = { "sh", "-c", LOADER, "marram-fleet", command };
	size_t n = 5;

	while (words != NULL && *words != NULL)
		argv[n++] = *words++;
	return j->host->ssh(j->host->ctx, argv, str_of(embed_nixos_device_sh),
	    timeout_ms, r, err);
}

static const char *const no_words[3];

static const char *
number(struct target_job *j, int64_t n)
{
	return arena_printf(j->arena, "%" PRId64, n).ptr;
}

/* The same, of this attempt; that it failed there is an error, too. */
static int
order(struct target_job *j, const char *command, const char *const words[3],
    struct target_result *r, struct err *err)
{
	const char *run = arena_z(j->arena, j->run);
	int rc = on_device(j, command,
	    (const char *const[]){ run, words[0], words[1], words[2], NULL },
	    ORDER_MS, r, err);

	if (rc != 0 || r->status == 0)
		return rc;
	return err_set(err, r->status == 4 ? ERR_AGAIN : ERR_PARAM,
	    "on the device: " STR_FMT,
	    STR_ARG(last_line(r->err.len > 0 ? r->err : r->out)));
}

/* Says which system the device had before this attempt. */
static int
remember(struct target_job *j, struct target_result *r, struct err *err)
{
	int64_t kept = j->kept > 0 ? j->kept : TARGET_KEPT;

	return order(
	    j, "remember", (const char *const[3]){ number(j, kept) }, r, err);
}

static int
current_of(struct target_job *j, struct str *ret, struct err *err)
{
	struct target_result r;
	struct str path;
	int rc = on_device(j, "current", NULL, QUICK_MS, &r, err);

	if (rc != 0)
		return rc;
	path = str_trim(r.out);
	if (r.status != 0 || !is_store_path(path))
		return err_set(err, ERR_PARAM,
		    "the device does not run NixOS: " STR_FMT,
		    STR_ARG(last_line(r.err.len > 0 ? r.err : r.out)));
	*ret = path;
	return 0;
}

struct status {
	struct str state; /* see nixos_device.sh */
	int64_t code;     /* of going back; -1: not known */
	int64_t exit;     /* of the switch; -1: not known */
	struct str log;   /* what is new of it */
	struct str last;  /* line of the switch's own */
	bool taken;       /* what comes is of going back */
};

/* Up to where the device began to take itself back, which it does at once. */
static struct str
of_switch(struct str log, bool *taken)
{
	struct str rest = log;

	while (!*taken && rest.ptr != NULL && rest.len > 0) {
		size_t before = (size_t)(rest.ptr - log.ptr);

		*taken = str_ends(str_cut(&rest, '\n'), STR(": taken back"));
		if (*taken)
			return (struct str){ log.ptr, before };
	}
	return *taken ? STR("") : log;
}

static int
status_of(
    struct target_job *j, int64_t offset, struct status *ret, struct err *err)
{
	const char *run = arena_z(j->arena, j->run);
	const char *from =
	    arena_z(j->arena, arena_printf(j->arena, "%" PRId64, offset));
	struct target_result r;
	struct str line, code, own;
	int rc = on_device(j, "status",
	    (const char *const[]){ run, from, NULL }, QUICK_MS, &r, err);

	if (rc != 0)
		return rc;
	ret->log = r.out;
	line = str_cut(&ret->log, '\n');
	if (ret->log.ptr == NULL)
		ret->log = STR("");
	own = str_trim(of_switch(ret->log, &ret->taken));
	if (own.len > 0)
		ret->last = last_line(own);
	ret->state = str_cut(&line, ' ');
	code = line.ptr != NULL ? str_cut(&line, ' ') : line;
	if (r.status != 0 || line.ptr == NULL ||
	    !str_to_i64(code, &ret->code) || !str_to_i64(line, &ret->exit))
		return err_set(err, ERR_PROTO,
		    "the device does not say how far it is: " STR_FMT,
		    STR_ARG(last_line(r.err)));
	return 0;
}

static void
tell_lines(struct target_job *j, struct str text)
{
	while (text.ptr != NULL && text.len > 0)
		j->host->tell(j->host->ctx, str_cut(&text, '\n'));
}

/* Waits as long as the device is `busy` (two words), telling its log. It may be
 * out of reach for a while: its network is switched, too. */
static int
follow(struct target_job *j, const char *const busy[2], struct status *st,
    struct err *err)
{
	int64_t lost_ms = j->confirm_ms + LOST_MORE_MS;
	int64_t offset = 0, seen = clock_mono(), wait = POLL_MIN_MS;
	bool told = false;
	int rc;

	st->last = STR("");
	st->taken = false;
	for (;;) {
		rc = status_of(j, offset, st, err);
		if (rc == 0) {
			seen = clock_mono();
			told = false;
			tell_lines(j, st->log);
			offset += (int64_t)st->log.len;
			if (!str_eqz(st->state, busy[0]) &&
			    !str_eqz(st->state, busy[1]))
				return 0;
		} else if (rc != ERR_AGAIN && rc != ERR_TIMEOUT) {
			return rc;
		} else if (left(seen + lost_ms) <= 1) {
			return err_set(err, ERR_TIMEOUT,
			    "the device can not be reached any more; it takes "
			    "itself back");
		} else if (!told) {
			j->host->tell(j->host->ctx, str_of(err->text));
			told = true;
		}
		rc = pause_for(j, wait, err);
		if (rc != 0)
			return rc;
		wait = MIN_OF(2 * wait, POLL_MAX_MS);
	}
}

/* --- plan ----------------------------------------------------------------- */

struct part {
	struct str path;          /* without the store */
	struct str name, version; /* of it: "hello", "2.12" */
	bool paired;
};

struct parts {
	struct part *at;
	size_t n;
};

/* "{hash}-hello-2.12": the version begins at the first "-" with a digit behind
 * it. */
static void
split_name(struct part *p)
{
	struct str s = p->path;

	if (s.len > 33 && s.ptr[32] == '-')
		s = (struct str){ s.ptr + 33, s.len - 33 };
	p->name = s;
	p->version = STR("");
	for (size_t i = 0; i + 1 < s.len; i++)
		if (s.ptr[i] == '-' && s.ptr[i + 1] >= '0' &&
		    s.ptr[i + 1] <= '9') {
			p->name.len = i;
			p->version =
			    (struct str){ s.ptr + i + 1, s.len - i - 1 };
			return;
		}
}

static int
by_path(const void *a, const void *b)
{
	return str_cmp(
	    ((const struct part *)a)->path, ((const struct part *)b)->path);
}

static int
by_name(const void *a, const void *b)
{
	const struct part *x = a, *y = b;
	int rc = str_cmp(x->name, y->name);

	return rc != 0 ? rc : str_cmp(x->path, y->path);
}

static void
read_parts(struct arena *a, struct str list, struct parts *ret)
{
	size_t lines = 1;

	for (size_t i = 0; i < list.len; i++)
		lines += list.ptr[i] == '\n';
	*ret = (struct parts){ arena_array(a, lines, struct part), 0 };
	while (list.ptr != NULL && list.len > 0) {
		struct str line = str_trim(str_cut(&list, '\n'));

		if (!str_starts(line, STR(STORE)))
			continue;
		ret->at[ret->n].path = (struct str){ line.ptr + strlen(STORE),
			line.len - strlen(STORE) };
		split_name(&ret->at[ret->n++]);
	}
	qsort(ret->at, ret->n, sizeof(*ret->at), by_path);
}

/* Leaves in `from` what `other` does not have, by name. Both by path before. */
static void
subtract(struct parts *from, const struct parts *other, struct parts *ret,
    struct arena *a)
{
	size_t k = 0;

	*ret = (struct parts){ arena_array(a, from->n + 1, struct part), 0 };
	for (size_t i = 0; i < from->n; i++) {
		while (k < other->n &&
		    str_cmp(other->at[k].path, from->at[i].path) < 0)
			k++;
		if (k == other->n ||
		    !str_eq(other->at[k].path, from->at[i].path))
			ret->at[ret->n++] = from->at[i];
	}
	qsort(ret->at, ret->n, sizeof(*ret->at), by_name);
}

static void
compare(struct arena *a, struct parts *old, struct parts *new,
    struct target_plan *ret)
{
	struct parts gone, come;
	size_t k = 0;

	subtract(old, new, &gone, a);
	subtract(new, old, &come, a);
	ret->changes =
	    arena_array(a, gone.n + come.n + 1, struct target_change);
	for (size_t i = 0; i < come.n; i++) {
		struct target_change *c = &ret->changes[ret->n++];
		const struct part *p = &come.at[i];

		*c = (struct target_change){ .action = TARGET_ADD,
			.kind = STR("package"),
			.name = p->name,
			.to = p->version.len > 0 ? p->version : STR_NULL };
		while (k < gone.n && str_cmp(gone.at[k].name, p->name) < 0)
			k++;
		if (k == gone.n || !str_eq(gone.at[k].name, p->name))
			continue;
		c->action = TARGET_CHANGE;
		c->from =
		    gone.at[k].version.len > 0 ? gone.at[k].version : STR_NULL;
		gone.at[k++].paired = true;
		if (str_eq(c->from, c->to))
			c->to = STR("made anew");
	}
	for (size_t i = 0; i < gone.n; i++)
		if (!gone.at[i].paired)
			ret->changes[ret->n++] =
			    (struct target_change){ .action = TARGET_REMOVE,
				    .kind = STR("package"),
				    .name = gone.at[i].name,
				    .from = gone.at[i].version.len > 0
					? gone.at[i].version
					: STR_NULL };
}

static int
nixos_plan(struct target_job *j, struct str built, struct target_plan *ret,
    struct err *err)
{
	const char *argv[] = { "nix", FLAKES, "path-info", "-r",
		arena_z(j->arena, built), NULL };
	struct target_result here, there;
	struct parts old, new;
	int rc;

	*ret = (struct target_plan){ 0 };
	rc = current_of(j, &ret->current, err);
	if (rc != 0 || str_eq(ret->current, built))
		return rc;
	rc = on_device(j, "closure", NULL, 2 * QUICK_MS, &there, err);
	if (rc == 0)
		rc = j->host->ask(j->host->ctx, argv, NULL, STR_NULL,
		    2 * QUICK_MS, &here, err);
	if (rc != 0)
		return rc;
	if (here.status != 0)
		return err_set(err, ERR_IO,
		    "what was built is not in the store any more: " STR_FMT,
		    STR_ARG(last_line(here.err)));
	if (there.status != 0)
		there.out = STR("");
	read_parts(j->arena, there.out, &old);
	read_parts(j->arena, here.out, &new);
	compare(j->arena, &old, &new, ret);
	if (ret->n == 0) /* another path all the same */
		ret->changes[ret->n++] = (struct target_change){
			.action = TARGET_CHANGE,
			.kind = STR("system"),
			.name = STR("system"),
			.from = ret->current,
			.to = arena_str(j->arena, built),
		};
	return 0;
}

/* --- copy, apply, confirm, roll back -------------------------------------- */

static int
nixos_copy(struct target_job *j, struct str built, struct err *err)
{
	static const char *const nothing[] = { "true", NULL };
	const char *argv[] = { "nix", FLAKES, "copy", "--no-check-sigs", "--to",
		"ssh-ng://device", arena_z(j->arena, built), NULL };
	struct target_result r, there;
	struct err ignored;
	struct version v;
	const char *env;
	struct str path;
	int rc = nix_version(j, &v, err);

	if (rc == 0)
		rc = j->host->ssh_config(j->host->ctx, &path, err);
	if (rc != 0)
		return rc;
	/* it is cut at spaces; quotes are known since 2.26 */
	if (memchr(path.ptr, ' ', path.len) == NULL)
		env = "NIX_SSHOPTS=-F " STR_FMT;
	else if (v.major > 2 || v.minor >= 26)
		env = "NIX_SSHOPTS=-F '" STR_FMT "'";
	else
		return err_set(err, ERR_PARAM,
		    "Nix %d.%d can not use a file with a space in its "
		    "path: " STR_FMT,
		    v.major, v.minor, STR_ARG(path));
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	env = arena_z(j->arena, arena_printf(j->arena, env, STR_ARG(path)));
#pragma GCC diagnostic pop
	rc = j->host->run(
	    j->host->ctx, argv, nix_env(j, env), STR_NULL, 0, &r, err);
	if (rc != 0)
		return err_wrap(err, "copying to the device");
	if (r.status == 0)
		return 0;
	/* is it gone, or did copying itself go wrong? */
	if (j->host->ssh(j->host->ctx, nothing, STR_NULL, QUICK_MS, &there,
		&ignored) == ERR_AGAIN)
		return err_set(err, ERR_AGAIN,
		    "the device went offline while it was copied to");
	return err_set(err, ERR_IO, "copying failed: " STR_FMT,
	    STR_ARG(nix_error(j->arena, r.err)));
}

static int64_t
most_s(const struct target_job *j)
{
	return target_ms(j->apply_ms) / 1000;
}

/* By its agent. ERR_NOT_FOUND: it has none. */
static int
by_agent(struct target_job *j, struct str path, struct err *err)
{
	struct target_result r = { 0 };
	struct str said;
	int rc = j->host->agent_switch(
	    j->host->ctx, path, most_s(j) * 1000 + j->confirm_ms, &r, err);

	if (rc != 0)
		return rc;
	tell_lines(j, r.out);
	tell_lines(j, r.err);
	said = last_line(r.err.len > 0 ? r.err : r.out);
	return r.status == 0
	    ? 0
	    : err_set(err, ERR_PARAM,
		  "its agent could not switch, or took it back: " STR_FMT,
		  STR_ARG(said));
}

/* What became of the switch. */
static int
outcome(struct target_job *j, const struct status *st, struct err *err)
{
	if (str_eqz(st->state, "applied") || str_eqz(st->state, "confirmed") ||
	    str_eqz(st->state, "confirming"))
		return 0;
	if (st->exit == LATE_EXIT)
		return err_set(err, ERR_PARAM,
		    "switch-to-configuration took longer than %" PRId64
		    " s (fleet.deploy.applyTime)",
		    most_s(j));
	if (st->exit > 0)
		return err_set(err, ERR_PARAM,
		    "activation failed: switch-to-configuration exited with "
		    "%" PRId64 "%s" STR_FMT,
		    st->exit, st->last.len > 0 ? ": " : "", STR_ARG(st->last));
	return err_set(err, ERR_PARAM,
	    str_eqz(st->state, "restarted")
		? "the device started again, with what it had before"
		: "the device has taken itself back");
}

static int
nixos_apply(struct target_job *j, struct str built, struct err *err)
{
	static const char *const busy[] = { "switching", "switching" };
	const char *const words[] = { arena_z(j->arena, built),
		number(j, MAX_OF(j->confirm_ms / 1000, (int64_t)1)),
		number(j, most_s(j)) };
	struct target_result r;
	struct str current;
	struct status st = { 0 };
	int rc = status_of(j, 0, &st, err);

	if (rc == 0 && str_eqz(st.state, "remembered")) {
		rc = current_of(j, &current, err);
		if (rc == 0 && str_eq(current, built))
			return 0; /* its agent has done it meanwhile */
	} else if (rc == 0 && str_eqz(st.state, "none")) {
		rc = remember(j, &r, err);
	} else if (rc == 0) {
		goto begun;
	}
	if (rc != 0)
		return rc;
	rc = by_agent(j, built, err);
	if (rc != ERR_NOT_FOUND)
		return rc;
	rc = order(j, "begin", words, &r, err);
	if (rc != 0)
		return rc;
begun:
	rc = follow(j, busy, &st, err);
	return rc == 0 ? outcome(j, &st, err) : rc;
}

static int
nixos_confirm(struct target_job *j, struct str built, struct err *err)
{
	struct target_result r;
	int rc = order(j, "confirm", no_words, &r, err);

	(void)built;
	/* it went on there when we lost it: asked again it says so */
	for (int i = 0; i < 5 && (rc == ERR_AGAIN || rc == ERR_TIMEOUT); i++) {
		rc = pause_for(j, POLL_MAX_MS, err);
		if (rc == 0)
			rc = order(j, "confirm", no_words, &r, err);
	}
	return rc;
}

static int
nixos_rollback(struct target_job *j, struct str built, struct err *err)
{
	static const char *const busy[] = { "undoing", "switching" };
	struct target_result r;
	struct str current, old;
	struct status st = { 0 };
	int rc;

	(void)built;
	if (j->run.len == 0)
		return 0; /* nothing was applied */
	rc = status_of(j, 0, &st, err);
	if (rc == 0 && str_eqz(st.state, "remembered")) {
		rc = remember(j, &r, err);
		old = str_trim(r.out);
		if (rc == 0)
			rc = current_of(j, &current, err);
		if (rc != 0 || str_eq(current, old))
			return rc;
		rc = by_agent(j, old, err);
		if (rc != ERR_NOT_FOUND)
			return rc;
		rc = 0;
	}
	if (rc == 0)
		rc = order(j, "undo", no_words, &r, err);
	if (rc == 0)
		rc = follow(j, busy, &st, err);
	if (rc != 0)
		return rc;
	if (str_eqz(st.state, "none"))
		return 0;
	if (!str_eqz(st.state, "back"))
		return err_set(err, ERR_PROTO,
		    "the device is " STR_FMT " instead of back",
		    STR_ARG(st.state));
	if (st.code != 0)
		return err_set(err, ERR_IO,
		    "what it had before could not be activated: "
		    "switch-to-configuration exited with %" PRId64,
		    st.code);
	return 0;
}

const struct target target_nixos = {
	.name = "nixos",
	.help = "NixOS: a flake is built here, copied, and switched to.",
	.generate = nixos_generate,
	.build = nixos_build,
	.plan = nixos_plan,
	.copy = nixos_copy,
	.apply = nixos_apply,
	.confirm = nixos_confirm,
	.rollback = nixos_rollback,
};
