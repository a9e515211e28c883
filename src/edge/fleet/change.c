/*
 * edge/fleet/change.c - switching to a configuration, and the way back.
 *
 *    SETTING --profile set--> SWITCHING --activated--> TESTING --> DONE
 *        |                        |                       |
 *        | failed                 | not activated         | not reached in time
 *        +--> DONE                +---------> BACK <------+
 *                                 the guard: the old one again, --> DONE
 *
 * While a change is under way a record of it lies on the disk, with the moment
 * at which it is to be over. The guard, a process of its own that outlives us,
 * takes the change back when that moment has passed, the machine has started
 * anew meanwhile, or the record says BACK: this takes long, and we have others
 * to serve. A lock on the record keeps two guards apart, and us from saying
 * DONE while one is at work. The test is that the platform reaches us over a
 * new connection. A record stays until the platform has shown that it was told.
 */
#include "edge/fleet/private.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/entity_json.h"
#include "codec/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOG_MODULE "fleet"
#define RECORD "pending.json"
#define METADATA "thymis-metadata.json"
#define SWITCH_MS ((int64_t)30 * 60 * 1000)
#define OUTPUT_MAX ((size_t)1 << 20)
#define KEPT_MAX ((size_t)256 << 10) /* of each output, in the record */
#define GUARD_MS 250                 /* between looks at one that is at work */
#define GUARD_LATE_MS 5000           /* one that is not at work then is none */
#define BOOT_ID "/proc/sys/kernel/random/boot_id"

/* --- what the device has -------------------------------------------------- */

void
metadata_read(
    const struct fleet_conf *c, struct arena *a, struct fleet_metadata *ret)
{
	struct buf text = { 0 };
	struct str key, when = STR_NULL;
	struct json j;

	*ret = (struct fleet_metadata){ STR(""), STR(""), TIME_NULL };
	if (file_read(kept_path(c, a, METADATA), &text, NULL) != 0)
		return;
	json_open(&j, arena_str(a, buf_str(&text)), 0, a);
	if (json_object(&j))
		while (json_member(&j, &key)) {
			struct str *to = str_eqz(key, "configuration_id")
			    ? &ret->config
			    : str_eqz(key, "configuration_commit")
			    ? &ret->commit
			    : str_eqz(key, "datetime") ? &when
						       : NULL;

			if (to == NULL || json_peek(&j) != JSON_STRING)
				json_skip(&j);
			else
				json_str(&j, to);
		}
	if (when.ptr != NULL)
		(void)time_parse(when, &ret->datetime);
	buf_free(&text);
}

/* FAT has no atomic rename over a file: the old one goes aside first, and a
 * reader takes what it finds. */
int
metadata_write(const struct fleet_conf *c, struct str config, struct str commit,
    struct err *err)
{
	const char *dir = c->boot_dir[0] != '\0' ? c->boot_dir : c->data_dir;
	struct arena a = { 0 };
	const char *path = arena_printf(&a, "%s/" METADATA, dir).ptr;
	const char *new = arena_printf(&a, "%s.new", path).ptr;
	const char *old = arena_printf(&a, "%s.old", path).ptr;
	struct buf b = { 0 };
	struct json_out o;
	int rc;

	json_out_init(&o, &b, false);
	json_out_object(&o);
	json_out_key(&o, "configuration_id");
	json_out_str(&o, config);
	json_out_key(&o, "configuration_commit");
	json_out_str(&o, commit);
	json_out_key(&o, "datetime");
	json_out_time(&o, clock_now());
	json_out_end_object(&o);
	rc = file_write(new, buf_str(&b), err);
	if (rc == 0 && rename(path, old) < 0 && errno != ENOENT)
		rc = err_errno(err, "rename %s", path);
	if (rc == 0 && rename(new, path) < 0)
		rc = err_errno(err, "rename %s", new);
	if (rc == 0)
		(void)unlink(old);
	buf_free(&b);
	arena_fini(&a);
	return rc;
}

/* --- the record ----------------------------------------------------------- */

enum phase { SETTING, SWITCHING, TESTING, BACK, DONE };

struct record_row {
	int64_t phase;
	struct str task, path, old, config, commit, old_config, old_commit;
	struct str boot;
	int64_t until; /* wall clock */
	bool activated, success, reverted;
	struct str out, err;
};
#define R struct record_row
static const struct field record_fields[] = {
	F_INT(R, phase, "phase"),
	F_TEXT(R, task, "task"),
	F_TEXT(R, path, "path"),
	F_TEXT(R, old, "old"),
	F_TEXT(R, config, "config"),
	F_TEXT(R, commit, "commit"),
	F_TEXT(R, old_config, "oldConfig"),
	F_TEXT(R, old_commit, "oldCommit"),
	F_TEXT(R, boot, "boot"),
	F_TIME(R, until, "until"),
	F_BOOL(R, activated, "activated"),
	F_BOOL(R, success, "success"),
	F_BOOL(R, reverted, "reverted"),
	F_TEXT(R, out, "stdout"),
	F_TEXT(R, err, "stderr"),
	{ 0 },
};
#undef R
static const struct record record_of = { "fleetPending",
	sizeof(struct record_row), record_fields };

struct change {
	struct fleet_agent *agent;
	struct record_row row; /* texts in arena */
	struct arena arena;
	struct child *child;
	struct loop_timer timer;
	int64_t back_at; /* when a guard was last looked for, monotonic */
	bool was_tested; /* the network may be another one when it is back */
};

static const char *
record_path(const struct fleet_conf *c, struct arena *a)
{
	return arena_printf(a, "%s/" RECORD, c->data_dir).ptr;
}

static int
record_write(
    const struct fleet_conf *c, const struct record_row *r, struct err *err)
{
	struct arena a = { 0 };
	struct buf b = { 0 };
	int rc;

	record_encode(&b, &record_of, r);
	rc = file_write(record_path(c, &a), buf_str(&b), err);
	buf_free(&b);
	arena_fini(&a);
	return rc;
}

static int
record_get(const struct fleet_conf *c, struct arena *a, struct record_row *ret,
    struct err *err)
{
	struct buf b = { 0 };
	int rc = file_read(record_path(c, a), &b, err);

	if (rc == 0)
		rc = record_decode(
		    arena_str(a, buf_str(&b)), &record_of, a, ret, err);
	buf_free(&b);
	return rc;
}

static void
record_remove(const struct fleet_conf *c)
{
	struct arena a = { 0 };

	(void)unlink(record_path(c, &a));
	arena_fini(&a);
}

static bool
is_open(const struct record_row *r)
{
	return r->phase != DONE;
}

/* Is there one that is over? Texts in `a`. */
static bool
record_done(const struct fleet_conf *c, struct arena *a, struct record_row *ret)
{
	record_init(&record_of, ret);
	return record_get(c, a, ret, NULL) == 0 && !is_open(ret);
}

static bool
is_over(const struct record_row *r, struct str boot)
{
	return r->phase == BACK || clock_now() >= r->until ||
	    !str_eq(r->boot, boot);
}

/* --- the way back --------------------------------------------------------- */

struct ran {
	bool done;
	int status;
};

static void
run_done(void *ctx, const struct child_end *end)
{
	struct ran *r = ctx;

	r->done = true;
	r->status = end->status;
}

/* Waits. */
static int
run_now(const char *const *argv)
{
	struct ran r = { false, -1 };
	const struct child_conf conf = { .argv = argv,
		.timeout_ms = SWITCH_MS };
	struct loop *loop = loop_new();
	struct child *child;

	if (child_start(loop, &conf, run_done, &r, &child, NULL) == 0)
		while (!r.done)
			loop_turn(loop, 1000);
	loop_free(loop);
	return r.status;
}

/* `how`: 0 waits; LOCK_NB does not, and errno says EWOULDBLOCK. -1: failed. */
static int
lock(const struct fleet_conf *c, int how)
{
	struct arena a = { 0 };
	int fd = open(arena_printf(&a, "%s/" RECORD ".lock", c->data_dir).ptr,
	    O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	arena_fini(&a);
	if (fd >= 0 && flock(fd, LOCK_EX | how) < 0) {
		int why = errno;

		close(fd);
		errno = why;
		fd = -1;
	}
	return fd;
}

/* Under the lock: another guard may have been first. */
static void
take_back(const struct fleet_conf *c, struct arena *a, struct str boot)
{
	struct record_row r = { 0 };
	int fd = lock(c, 0);
	bool ours;

	record_init(&record_of, &r);
	ours =
	    record_get(c, a, &r, NULL) == 0 && is_open(&r) && is_over(&r, boot);
	if (ours && r.old.len > 0) {
		const char *old = arena_z(a, r.old);
		const char *const set[] = { "nix-env", "-p", c->profile,
			"--set", old, NULL };
		const char *const go[] = { arena_printf(a,
					       "%s/bin/"
					       "switch-to-configuration",
					       old)
					       .ptr,
			"switch", NULL };

		log_warn(
		    "the change to " STR_FMT " is taken back", STR_ARG(r.path));
		if (run_now(set) != 0 || run_now(go) != 0)
			log_error("going back to %s failed", old);
		(void)metadata_write(c, r.old_config, r.old_commit, NULL);
	}
	if (ours) {
		r.phase = DONE;
		r.reverted = true;
		r.success = false;
		(void)record_write(c, &r, NULL);
	}
	if (fd >= 0)
		close(fd);
}

/* --- the guard ------------------------------------------------------------ */

int
change_guard(const struct fleet_conf *c, struct err *err)
{
	struct arena a = { 0 };
	struct str boot = read_line(&a, BOOT_ID);

	(void)err;
	log_setup(c->log_level, LOG_LOG4J);
	for (;;) {
		struct arena turn = { 0 };
		struct record_row r = { 0 };
		bool under_way;

		record_init(&record_of, &r);
		under_way = record_get(c, &turn, &r, NULL) == 0 && is_open(&r);
		if (under_way && is_over(&r, boot))
			take_back(c, &turn, boot);
		arena_fini(&turn);
		if (!under_way)
			break;
		usleep(GUARD_MS * 1000);
	}
	arena_fini(&a);
	return 0;
}

/* In a unit of its own, where there are units: ours may be stopped. */
static void
start_guard(const struct fleet_conf *c)
{
	bool systemd =
	    c->root[0] == '\0' && access("/run/systemd/system", F_OK) == 0;
	const char *const by_systemd[] = { "systemd-run", "--collect",
		"--quiet", "--unit=marram-fleet-guard", c->program,
		"--config-dir", c->config_dir, "fleet", "guard", NULL };
	const char *const alone[] = { c->program, "--config-dir", c->config_dir,
		"fleet", "guard", NULL };
	const char *const *argv = systemd ? by_systemd : alone;
	pid_t pid = fork();

	if (pid == 0) {
		(void)setsid();
		if (fork() == 0) { /* nobody's child */
			int null = open("/dev/null", O_RDWR);

			(void)dup2(null, 0);
			(void)dup2(null, 1);
			for (int fd = 3; fd < 1024; fd++)
				close(fd);
			execvp(argv[0], (char *const *)argv);
		}
		_exit(0);
	}
	if (pid > 0)
		(void)waitpid(pid, NULL, 0);
}

/* --- the steps ------------------------------------------------------------ */

static void
forget(struct change *x)
{
	struct fleet_agent *f = x->agent;

	f->change = NULL;
	child_free(x->child);
	loop_cancel(f->conf.loop, &x->timer);
	arena_fini(&x->arena);
	free(x);
}

void
change_free(struct fleet_agent *f)
{
	if (f->change != NULL)
		forget(f->change);
}

static struct str
why_failed(const struct record_row *r)
{
	if (r->reverted && r->activated)
		return STR("the platform did not reach the device in time "
			   "after the switch: it was taken back\n");
	if (r->reverted && r->err.len == 0)
		return STR("the switch did not end in time, or the machine "
			   "was started anew before: it was taken back\n");
	return r->err;
}

/* The answer to the ping comes when the report has. */
static void
report(struct fleet_agent *f, const struct record_row *r)
{
	agent_say(f,
	    &(struct relay_message){ .kind = RELAY_SWITCHED,
		.task_id = r->task,
		.configuration_id = r->config,
		.config_commit = r->commit,
		.is_activated = r->activated && !r->reverted,
		.switch_success = r->success && !r->reverted,
		.out = r->out,
		.err = why_failed(r) });
	ws_conn_ping(f->ws, r->task);
}

/* A record that is over is told as often as the platform comes anew, until it
 * has shown that it knows. */
static void
tell_what_waits(struct fleet_agent *f)
{
	struct arena a = { 0 };
	struct record_row r = { 0 };

	if (f->change == NULL && f->ws != NULL && f->confirmed &&
	    record_done(&f->conf, &a, &r))
		report(f, &r);
	arena_fini(&a);
}

void
change_told(struct fleet_agent *f, struct str task)
{
	struct arena a = { 0 };
	struct record_row r = { 0 };

	if (f->change == NULL && record_done(&f->conf, &a, &r) &&
	    str_eq(r.task, task))
		record_remove(&f->conf);
	arena_fini(&a);
}

/* It is over, and told as soon as somebody listens. */
static void
over(struct change *x)
{
	struct fleet_agent *f = x->agent;
	struct err err;

	x->row.phase = DONE;
	if (record_write(&f->conf, &x->row, &err) != 0)
		log_error("%s", err.text);
	forget(x);
	tell_what_waits(f);
}

static struct str
kept(struct arena *a, struct str s)
{
	if (s.len > KEPT_MAX) {
		s.ptr += s.len - KEPT_MAX;
		s.len = KEPT_MAX;
		while (s.len > 0 && ((unsigned char)*s.ptr & 0xc0) == 0x80) {
			s.ptr++;
			s.len--;
		}
	}
	return str_is_utf8(s) ? arena_str(a, s) : STR("(no text)");
}

/* As the record has it: a guard may have been first. */
static bool
is_done(const struct change *x)
{
	struct arena a = { 0 };
	struct record_row r = { 0 };
	bool is =
	    record_done(&x->agent->conf, &a, &r) && str_eq(r.task, x->row.task);

	arena_fini(&a);
	return is;
}

/* One that is at work has the lock. */
static bool
is_guarded(const struct fleet_conf *c)
{
	int fd = lock(c, LOCK_NB);
	bool is = fd < 0 && errno == EWOULDBLOCK;

	if (fd >= 0)
		close(fd);
	return is;
}

static void
on_back(struct loop_timer *t)
{
	struct change *x = container_of(t, struct change, timer);
	struct fleet_agent *f = x->agent;
	bool was_tested = x->was_tested;

	if (is_done(x)) {
		forget(x);
		if (was_tested)
			agent_reconnect(f, 0, NULL);
		else
			tell_what_waits(f);
		return;
	}
	if (clock_mono() - x->back_at >= GUARD_LATE_MS) {
		if (!is_guarded(&f->conf))
			start_guard(&f->conf);
		x->back_at = clock_mono();
	}
	loop_after(f->conf.loop, &x->timer, GUARD_MS);
}

/* The guard takes it back; the platform is told when that is done. */
static void
go_back(struct change *x)
{
	struct err err;

	x->was_tested = x->row.phase == TESTING;
	x->row.phase = BACK;
	if (!is_done(x) && record_write(&x->agent->conf, &x->row, &err) != 0)
		log_error("%s", err.text);
	x->back_at = clock_mono();
	x->timer.fire = on_back;
	loop_after(x->agent->conf.loop, &x->timer, GUARD_MS);
}

static void
on_test_over(struct loop_timer *t)
{
	go_back(container_of(t, struct change, timer));
}

static void
test(struct change *x)
{
	struct fleet_agent *f = x->agent;
	struct err err;

	x->row.phase = TESTING;
	x->row.until = clock_now() + f->conf.confirm_ms;
	if (record_write(&f->conf, &x->row, &err) != 0)
		log_error("%s", err.text);
	x->timer.fire = on_test_over;
	loop_after(f->conf.loop, &x->timer, f->conf.confirm_ms);
	agent_reconnect(f, 0, NULL);
}

static void
on_switched(void *ctx, const struct child_end *end)
{
	struct change *x = ctx;
	struct fleet_agent *f = x->agent;
	struct err err;

	x->child = NULL;
	x->row.out = kept(&x->arena, end->out);
	x->row.err = kept(&x->arena, end->err);
	x->row.success = end->status == 0;
	x->row.activated = x->row.success ||
	    (str_contains_nocase(
		 x->row.err, STR("activating the configuration")) &&
		!str_contains_nocase(
		    x->row.err, STR("activation script failed")) &&
		!str_contains_nocase(
		    x->row.err, STR("failed to run activate script")));
	if (!x->row.activated) {
		go_back(x); /* nothing of it runs, but it would be booted */
		return;
	}
	if (metadata_write(&f->conf, x->row.config, x->row.commit, &err) != 0)
		log_error("%s", err.text);
	test(x);
}

static int
start_switch(struct change *x, struct err *err)
{
	static const char *const env[] = { "NIXOS_INSTALL_BOOTLOADER=1", NULL };
	const struct fleet_conf *c = &x->agent->conf;
	const char *program = arena_printf(&x->arena,
	    STR_FMT "/bin/switch-to-configuration", STR_ARG(x->row.path))
				  .ptr;
	bool systemd =
	    c->root[0] == '\0' && access("/run/systemd/system", F_OK) == 0;
	const char *const unit[] = { "systemd-run", "--collect", "--pipe",
		"--wait", "--quiet", "--service-type=exec",
		"--setenv=NIXOS_INSTALL_BOOTLOADER=1",
		"--unit=marram-fleet-switch", program, "switch", NULL };
	const char *const plain[] = { program, "switch", NULL };
	const struct child_conf conf = { .argv = systemd ? unit : plain,
		.env = env,
		.output_max = OUTPUT_MAX,
		.timeout_ms = SWITCH_MS };

	x->row.phase = SWITCHING;
	if (record_write(c, &x->row, err) != 0)
		return err->code;
	return child_start(c->loop, &conf, on_switched, x, &x->child, err);
}

static void
on_set(void *ctx, const struct child_end *end)
{
	struct change *x = ctx;
	struct err err;

	x->child = NULL;
	if (end->status != 0) { /* nothing was changed */
		x->row.out = kept(&x->arena, end->out);
		x->row.err = kept(&x->arena, end->err);
		over(x);
	} else if (start_switch(x, &err) != 0) {
		x->row.err = arena_str(&x->arena, str_of(err.text));
		go_back(x);
	}
}

/* Where the profile leads now. */
static struct str
current_path(const struct fleet_conf *c, struct arena *a)
{
	char *real = realpath(c->profile, NULL);
	struct str ret = real != NULL ? arena_str(a, str_of(real)) : STR("");

	free(real);
	return ret;
}

static bool
is_store_path(struct str s)
{
	bool good = s.len > 1 && s.len < 4096 && s.ptr[0] == '/';

	for (size_t i = 0; i < s.len; i++)
		good = good && s.ptr[i] > ' ' && s.ptr[i] != '\'' &&
		    s.ptr[i] != '"' && (unsigned char)s.ptr[i] < 127;
	return good;
}

static void
refuse(struct fleet_agent *f, const struct relay_message *m, const char *why)
{
	agent_say(f,
	    &(struct relay_message){ .kind = RELAY_SWITCHED,
		.task_id = m->task_id,
		.configuration_id = m->configuration_id,
		.config_commit = m->config_commit,
		.err = str_of(why) });
}

/* A platform that was started anew orders again what is under way. */
static bool
go_on_for(struct change *x, const struct relay_message *m)
{
	struct err err;

	if (x->row.phase == BACK || !str_eq(m->new_path_to_config, x->row.path))
		return false;
	x->row.task = arena_str(&x->arena, m->task_id);
	if (record_write(&x->agent->conf, &x->row, &err) != 0)
		log_error("%s", err.text);
	return true;
}

void
change_begin(struct fleet_agent *f, const struct relay_message *m)
{
	struct change *x;
	struct arena *a;
	struct fleet_metadata now;
	struct child_conf conf = { .output_max = OUTPUT_MAX,
		.timeout_ms = SWITCH_MS };
	struct err err;

	if (f->change != NULL) {
		if (!go_on_for(f->change, m))
			refuse(f, m, RELAY_BUSY);
		return;
	}
	if (!is_store_path(m->new_path_to_config)) {
		refuse(f, m, "that is no path of a system");
		return;
	}
	x = f->change = mem_new(struct change);
	a = &x->arena;
	x->agent = f;
	metadata_read(&f->conf, a, &now);
	x->row = (struct record_row){ .phase = SETTING,
		.task = arena_str(a, m->task_id),
		.path = arena_str(a, m->new_path_to_config),
		.old = current_path(&f->conf, a),
		.config = arena_str(a, m->configuration_id),
		.commit = arena_str(a, m->config_commit),
		.old_config = now.config,
		.old_commit = now.commit,
		.boot = read_line(a, BOOT_ID),
		.until = clock_now() + SWITCH_MS,
		.out = STR(""),
		.err = STR("") };
	conf.argv = (const char *const[]){ "nix-env", "-p", f->conf.profile,
		"--set", arena_z(a, x->row.path), NULL };
	if (record_write(&f->conf, &x->row, &err) != 0) {
		forget(x);
		refuse(f, m, err.text);
		return;
	}
	start_guard(&f->conf);
	if (child_start(f->conf.loop, &conf, on_set, x, &x->child, &err) != 0) {
		x->row.err = arena_str(a, str_of(err.text));
		over(x);
	}
}

void
change_resume(struct fleet_agent *f)
{
	struct arena a = { 0 };
	struct record_row r = { 0 };
	struct change *x;

	record_init(&record_of, &r);
	if (record_get(&f->conf, &a, &r, NULL) != 0 || !is_open(&r)) {
		arena_fini(&a);
		return;
	}
	x = f->change = mem_new(struct change);
	x->agent = f;
	x->arena = a;
	x->row = r;
	if (r.phase != TESTING || is_over(&r, read_line(&x->arena, BOOT_ID))) {
		start_guard(&f->conf);
		go_back(x);
		return;
	}
	x->timer.fire = on_test_over;
	loop_after(
	    f->conf.loop, &x->timer, MAX_OF(r.until - clock_now(), (int64_t)0));
}

/* It stays, unless the guard takes it back, or has: that one goes by the clock
 * on the wall, which may have been set. */
static void
pass_test(struct change *x)
{
	struct fleet_agent *f = x->agent;
	int fd = lock(&f->conf, LOCK_NB);

	if (fd < 0 && errno == EWOULDBLOCK) { /* it is just at it */
		loop_after(f->conf.loop, &x->timer, GUARD_MS);
		return;
	}
	if (is_done(x)) {
		forget(x);
		tell_what_waits(f);
	} else {
		over(x);
	}
	if (fd >= 0)
		close(fd);
}

static void
on_guard(struct loop_timer *t)
{
	pass_test(container_of(t, struct change, timer));
}

void
change_confirmed(struct fleet_agent *f)
{
	if (f->change == NULL) {
		tell_what_waits(f);
	} else if (f->change->row.phase == TESTING) {
		f->change->timer.fire = on_guard;
		pass_test(f->change);
	}
}
