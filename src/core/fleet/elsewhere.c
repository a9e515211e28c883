/*
 * core/fleet/elsewhere.c - what other parts of the fleet give, as long as they
 * are not there: weak, so that theirs takes its place.
 */
#include "core/fleet/private.h"

#include "base/child.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WEAK __attribute__((weak))

struct ran {
	struct arena *a;
	bool ended;
	int status;
	struct str out, err;
};

static void
on_end(void *ctx, const struct child_end *end)
{
	struct ran *r = ctx;

	r->ended = true;
	r->status = end->status;
	r->out = arena_str(r->a, end->out);
	r->err = arena_str(r->a, end->err);
}

static int
run(const char *const *argv, struct arena *a, struct str *out, struct err *err)
{
	const struct child_conf conf = {
		.argv = argv, .output_max = 16 << 20, .timeout_ms = 60000
	};
	struct loop *loop = loop_new();
	struct ran r = { .a = a };
	struct child *c;
	int rc = child_start(loop, &conf, on_end, &r, &c, err);

	while (rc == 0 && !r.ended)
		loop_turn(loop, 100);
	loop_free(loop);
	if (rc == 0 && r.status != 0)
		rc = err_set(err, ERR_NOT_FOUND, "%s: " STR_FMT, argv[0],
		    STR_ARG(str_trim(r.err)));
	if (rc == 0)
		*out = r.out;
	return rc;
}

WEAK int
fleet_head(struct fleet *f, struct str unit_id, struct arena *a,
    struct str *commit, struct err *err)
{
	const char *repo = fleet_path(f, a, unit_id, "repository");
	struct str out;
	int rc = run((const char *const[]){ "git", "-C", repo, "status",
			 "--porcelain", NULL },
	    a, &out, err);

	if (rc == 0 && out.len > 0)
		return err_set(err, ERR_AGAIN, "there are changes");
	if (rc == 0)
		rc = run((const char *const[]){ "git", "-C", repo, "rev-parse",
			     "HEAD", NULL },
		    a, &out, err);
	if (rc == 0)
		*commit = str_trim(out);
	return rc;
}

WEAK int
fleet_file_at(struct fleet *f, struct str unit_id, struct str commit,
    const char *path, struct arena *a, struct str *ret, struct err *err)
{
	const char *repo = fleet_path(f, a, unit_id, "repository");
	const char *what =
	    arena_z(a, arena_printf(a, STR_FMT ":%s", STR_ARG(commit), path));

	return run(
	    (const char *const[]){ "git", "-C", repo, "show", what, NULL }, a,
	    ret, err);
}

WEAK int
fleet_snapshot(struct fleet *f, struct str unit_id, struct str commit,
    struct fleet_snapshot *ret, struct err *err)
{
	struct fleet_snapshot s = { 0 };
	struct str text;
	int rc = fleet_file_at(
	    f, unit_id, commit, "state.json", &s.arena, &text, err);

	if (rc == 0)
		rc = fleet_state_read(text, &s.arena, &s.state, NULL, err);
	s.commit = arena_str(&s.arena, commit);
	if (rc != 0)
		arena_fini(&s.arena);
	else
		*ret = s;
	return rc;
}

WEAK int
fleet_device_get(struct fleet *f, struct str id, struct arena *a,
    struct fleet_device *ret, struct err *err)
{
	struct filter filter = { 0 };
	bool found = false;
	int rc;

	filter_text(&filter, "id", id);
	rc = store_get(
	    f->store, &fleet_device_entity, &filter, a, ret, &found, err);
	return rc != 0 || found ? rc : err_set(err, ERR_NOT_FOUND, "no device");
}

WEAK int
fleet_device_set(struct fleet *f, const struct fleet_device *row,
    const char *members, struct err *err)
{
	const struct record *r = &fleet_device_entity.record;
	struct filter filter = { 0 };
	struct change changes[64];
	struct arena a = { 0 };
	size_t n =
	    rest_changes(r, field_bits(r, members, NULL), &a, row, changes);
	int rc;

	filter_text(&filter, "id", row->id);
	rc = store_update(
	    f->store, &fleet_device_entity, &filter, changes, n, NULL, err);
	arena_fini(&a);
	return rc;
}

WEAK bool
fleet_agent_is(struct fleet *f, struct str device_id)
{
	(void)f;
	(void)device_id;
	return false;
}

WEAK int
fleet_unit_key(struct fleet *f, struct str unit_id, struct arena *a,
    const char **path, struct str *public_key, struct err *err)
{
	struct buf b = { 0 };
	int rc = 0;

	*path = fleet_path(f, a, unit_id, "id_thymis");
	if (access(*path, F_OK) != 0)
		rc = run((const char *const[]){ "ssh-keygen", "-q", "-N", "",
			     "-t", "ed25519", "-f", *path, NULL },
		    a, public_key, err);
	if (rc == 0)
		rc = file_read(
		    arena_z(a, arena_printf(a, "%s.pub", *path)), &b, err);
	*public_key = arena_str(a, str_trim(buf_str(&b)));
	buf_free(&b);
	return rc;
}

WEAK int
fleet_ssh_open(struct fleet *f, const struct fleet_device *d,
    struct fleet_ssh *ret, struct err *err)
{
	struct fleet_ssh s = { 0 };
	struct str public_key;
	const char *key, *known;
	struct buf b = { 0 };
	char path[] = "/tmp/marram-ssh.XXXXXX";
	int fd, rc;

	if (d->address.len == 0)
		return err_set(err, ERR_AGAIN, "its agent is not connected");
	rc = fleet_unit_key(f, d->unit_id, &s.arena, &key, &public_key, err);
	if (rc != 0 || (fd = mkstemp(path)) < 0)
		return rc != 0 ? rc : err_errno(err, "create %s", path);
	close(fd);
	known = arena_z(&s.arena, arena_printf(&s.arena, "%s.known", path));
	buf_addf(&b, "device " STR_FMT "\n", STR_ARG(d->ssh_public_key));
	rc = file_write(known, buf_str(&b), err);
	buf_clear(&b);
	buf_addf(&b,
	    "Host device\n HostName " STR_FMT "\n Port %d\n User " STR_FMT
	    "\n IdentityFile %s\n IdentitiesOnly yes\n HostKeyAlias device\n"
	    " UserKnownHostsFile %s\n StrictHostKeyChecking yes\n"
	    " BatchMode yes\n ConnectTimeout 10\n",
	    STR_ARG(d->address), (int)d->ssh_port, STR_ARG(d->ssh_user), key,
	    known);
	if (rc == 0)
		rc = file_write(path, buf_str(&b), err);
	buf_free(&b);
	s.config_file = arena_str(&s.arena, str_of(path));
	s.token = STR("");
	*ret = s;
	return rc;
}

WEAK void
fleet_ssh_done(struct fleet *f, struct fleet_ssh *s)
{
	(void)f;
	if (s->config_file.len > 0) {
		(void)unlink(arena_z(&s->arena, s->config_file));
		(void)unlink(arena_z(&s->arena,
		    arena_printf(
			&s->arena, STR_FMT ".known", STR_ARG(s->config_file))));
	}
	arena_fini(&s->arena);
}

WEAK int
fleet_agent_switch(struct fleet *f, const struct fleet_device *d,
    struct str path, struct str config, struct str commit, int64_t timeout_ms,
    struct arena *a, struct target_result *ret, bool (*cancelled)(void *ctx),
    void *ctx, struct err *err)
{
	(void)f, (void)d, (void)path, (void)config, (void)commit;
	(void)timeout_ms, (void)a, (void)ret, (void)cancelled, (void)ctx;
	return err_set(err, ERR_NOT_FOUND, "the device has no agent");
}

WEAK int
fleet_secret_for(struct fleet *f, const struct fleet_device *d,
    struct str secret_id, struct arena *a, struct str *sealed, struct err *err)
{
	(void)f, (void)d, (void)secret_id, (void)a, (void)sealed;
	return err_set(err, ERR_NOT_FOUND, "there is no such secret");
}
