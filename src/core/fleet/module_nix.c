/*
 * core/fleet/module_nix.c - see module.h: the program nix, for what has to do
 * with inputs.
 *
 * It works on a copy of flake.nix and flake.lock: nothing else of a working
 * tree is needed to lock an input or to find it, and so nothing of it gets into
 * the store.
 */
#include "core/fleet/module.h"

#include "base/base.h"
#include "base/child.h"
#include "base/file.h"
#include "base/loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ARGS_MAX 24
#define OUTPUT_MAX (4u << 20)

static int
put(struct fleet_nix *n, const char *name, struct str text, struct err *err)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", n->dir, name);
	return file_write(path, text, err);
}

int
fleet_nix_open(
    struct fleet_nix *n, struct str flake, struct str lock, struct err *err)
{
	int rc;

	strcpy(n->dir, "/tmp/marram-flake-XXXXXX");
	if (mkdtemp(n->dir) == NULL) {
		n->dir[0] = '\0';
		return err_errno(err, "make a temporary folder");
	}
	rc = put(n, "flake.nix", flake, err);
	if (rc == 0 && lock.ptr != NULL)
		rc = put(n, "flake.lock", lock, err);
	return rc;
}

void
fleet_nix_close(struct fleet_nix *n)
{
	static const char *const names[] = { "flake.nix", "flake.lock" };
	char path[128];

	if (n->dir[0] == '\0')
		return;
	for (size_t i = 0; i < COUNT_OF(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", n->dir, names[i]);
		(void)unlink(path);
	}
	(void)rmdir(n->dir);
	n->dir[0] = '\0';
}

int
fleet_nix_lock(
    struct fleet_nix *n, struct arena *a, struct str *ret, struct err *err)
{
	struct buf b = { 0 };
	char path[128];
	int rc;

	snprintf(path, sizeof(path), "%s/flake.lock", n->dir);
	rc = file_read(path, &b, err);
	if (rc == 0)
		*ret = arena_str(a, b.len > 0 ? buf_str(&b) : STR(""));
	buf_free(&b);
	return rc;
}

/* What Nix says that a person can use: the line of its error, and those behind
 * it, without colours. */
static struct str
error_of(struct arena *a, struct str said)
{
	struct buf b = { 0 };
	struct str rest = said, ret;
	const char *at = NULL;

	for (struct str s = said; s.len >= 6;) {
		const char *hit = memmem(s.ptr, s.len, "error:", 6);

		if (hit == NULL)
			break;
		at = hit;
		s.len -= (size_t)(hit + 6 - s.ptr);
		s.ptr = hit + 6;
	}
	if (at != NULL)
		rest = (struct str){ at, (size_t)(said.ptr + said.len - at) };
	for (size_t i = 0; i < rest.len && b.len < 2000; i++) {
		if (rest.ptr[i] == 0x1b) {
			while (i < rest.len && rest.ptr[i] != 'm')
				i++;
			continue;
		}
		buf_addc(&b, rest.ptr[i]);
	}
	ret = arena_str(
	    a, b.len > 0 ? str_trim(buf_str(&b)) : STR("nix said nothing"));
	buf_free(&b);
	return ret;
}

/* NIX_CONFIG with the keys of inputs; what they are for is Nix's to compare. */
static struct str
tokens(struct fleet_nix *n, struct arena *a)
{
	struct buf b = { 0 };
	struct str ret = STR_NULL;

	for (size_t i = 0; n->s != NULL && i < n->s->n_inputs; i++) {
		const struct fleet_input *in = &n->s->inputs[i];
		struct str key, token;
		struct flake_ref ref;

		if (in->api_key_secret.len == 0 || in->url.len == 0 ||
		    flake_ref_read(in->url, a, &ref, NULL) != 0 ||
		    fleet_secret_open(n->f, n->unit_id, in->api_key_secret, a,
			&key, NULL) != 0)
			continue;
		token = flake_ref_token(&ref, str_trim(key), a);
		if (token.ptr == NULL)
			continue;
		buf_addz(&b, b.len == 0 ? "access-tokens = " : " ");
		buf_add_str(&b, token);
	}
	if (b.len > 0)
		ret = arena_printf(a, "NIX_CONFIG=%s", buf_z(&b));
	buf_free(&b);
	return ret;
}

struct run {
	struct arena *a;
	struct str *out;
	struct err *err;
	int rc;
};

static void
on_end(void *ctx, const struct child_end *end)
{
	struct run *r = ctx;
	struct str said;

	if (end->status == 0) {
		*r->out = arena_str(
		    r->a, end->out.len > 0 ? str_trim(end->out) : STR(""));
		return;
	}
	if (end->timed_out) {
		r->rc = err_set(r->err, ERR_CLOSED,
		    "nix took longer than %lld s; see fleet.nix.lockTime",
		    (long long)(end->timeout_ms / 1000));
		return;
	}
	said = error_of(r->a, end->err);
	*r->out = said;
	r->rc = err_set(
	    r->err, ERR_IO, STR_FMT, (int)MIN_OF(said.len, 200), said.ptr);
}

int
fleet_nix_run(struct fleet_nix *n, const char *const *args, int64_t timeout_ms,
    struct arena *a, struct str *out, struct err *err)
{
	const char *argv[ARGS_MAX + 1] = { arena_z(a, n->f->conf.nix),
		"--extra-experimental-features", "nix-command flakes",
		"--option", "download-attempts", "1", "--option",
		"connect-timeout", "10" };
	const char *env[3] = { NULL };
	struct run r = { .a = a, .out = out, .err = err };
	struct child_conf conf = { .argv = argv,
		.env = env,
		.output_max = OUTPUT_MAX,
		.timeout_ms = timeout_ms };
	struct str config = tokens(n, a);
	const char *flake = arena_z(a, arena_printf(a, "path:%s", n->dir));
	size_t at = 9;
	int rc;

	for (; *args != NULL && at < ARGS_MAX; args++) {
		struct str arg = str_of(*args);

		if (str_starts(arg, STR("FLAKE")))
			argv[at++] = arena_z(
			    a, arena_printf(a, "%s%s", flake, *args + 5));
		else
			argv[at++] = *args;
	}
	if (config.ptr != NULL)
		env[0] = arena_z(a, config);
	*out = STR_NULL;
	rc = fleet_program(n->f, &conf, on_end, &r, err);
	if (rc == ERR_NOT_FOUND)
		return err_set(err, ERR_NOT_FOUND,
		    "the program nix is not installed (fleet.programs.nix)");
	return rc != 0 ? rc : r.rc;
}
