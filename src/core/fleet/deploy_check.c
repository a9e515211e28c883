/*
 * core/fleet/deploy_check.c - is a device well with what it was given?
 *
 * It must be there again: its agent, or SSH. Then what the deployment asks for,
 * and what the configuration declares itself: its checks, and the services that
 * are to run. What is not well yet may become so, until the time is over.
 */
#include "core/fleet/deploy.h"

#include "base/base.h"
#include "base/clock.h"
#include "codec/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define AGAIN_MS 500
#define CHECKS_MAX 100 /* of a deployment; not of what is declared */
#define ARGS_MAX 64
#define TIME_MAX 3600 /* seconds of one check */

struct check {
	const char **argv;
	int64_t timeout_ms; /* 0: what is left */
	struct str name;    /* for people */
};

struct checks {
	struct check *at;
	size_t n;
};

/* --- what there is to check ----------------------------------------------- */

static void
add_service(struct checks *c, struct arena *a, struct str name)
{
	const char *words[] = { "systemctl", "is-active", "--",
		arena_z(a, name), NULL };
	struct check *to = &c->at[c->n++];

	to->argv = arena_alloc(a, sizeof(words));
	memcpy(to->argv, words, sizeof(words));
	to->name = arena_printf(a, "service " STR_FMT, STR_ARG(name));
}

static struct str
joined(struct arena *a, const char *const *argv)
{
	struct buf b = { 0 };
	struct str ret;

	for (size_t i = 0; argv[i] != NULL; i++)
		buf_addf(&b, "%s%s", i > 0 ? " " : "", argv[i]);
	ret = arena_str(a, buf_str(&b));
	buf_free(&b);
	return ret;
}

static void
read_argv(struct json *j, struct arena *a, struct check *c)
{
	struct str s;
	size_t n = 0;

	c->argv = arena_array(a, ARGS_MAX + 1, const char *);
	if (!json_array(j))
		return;
	while (json_item(j)) {
		if (!json_str(j, &s))
			return;
		if (n == ARGS_MAX || s.len > 4096 ||
		    (s.len > 0 && memchr(s.ptr, '\0', s.len) != NULL)) {
			json_fail(j, "too many or too long words");
			return;
		}
		c->argv[n++] = arena_z(a, s);
	}
	if (n == 0 || c->argv[0][0] == '\0')
		json_fail(j, "argv names no program");
}

static void
read_check(struct json *j, struct arena *a, struct checks *all)
{
	struct check c = { 0 };
	struct str key, service = STR_NULL;
	int64_t seconds = 0;

	if (!json_object(j))
		return;
	while (json_member(j, &key)) {
		if (str_eqz(key, "argv"))
			read_argv(j, a, &c);
		else if (str_eqz(key, "service"))
			json_str(j, &service);
		else if (str_eqz(key, "timeout"))
			json_i64(j, &seconds);
		else
			json_fail(j,
			    "a check has service, or argv and "
			    "timeout");
	}
	if (!json_ok(j))
		return;
	if ((c.argv == NULL) == (service.len == 0))
		json_fail(j, "a check has either service or argv");
	else if (seconds < 0 || seconds > TIME_MAX)
		json_fail(j, "timeout must be 1 to 3600 seconds");
	else if (service.len > 255 ||
	    (service.len > 0 && memchr(service.ptr, '\0', service.len)))
		json_fail(j, "that is no service");
	else if (all->n == CHECKS_MAX)
		json_fail(j, "more than 100 checks");
	else if (service.len > 0)
		add_service(all, a, service);
	else {
		c.timeout_ms = seconds * 1000;
		c.name = joined(a, c.argv);
		all->at[all->n++] = c;
	}
}

static int
read_checks(
    struct str json, struct arena *a, struct checks *ret, struct err *err)
{
	struct json j;

	ret->at = arena_array(a, CHECKS_MAX, struct check);
	ret->n = 0;
	json_open(&j, json, 0, a);
	if (json_array(&j))
		while (json_item(&j))
			read_check(&j, a, ret);
	return json_done(&j, err);
}

int
deploy_checks_valid(struct str checks, struct err *err)
{
	struct arena a = { 0 };
	struct checks c;
	int rc = read_checks(checks, &a, &c, err);

	arena_fini(&a);
	return rc;
}

/* What hosts/{configuration}/linux.json declares; without one, nothing. */
static int
add_declared(struct job *j, struct checks *c, struct err *err)
{
	const char *path = arena_z(&j->arena,
	    arena_printf(
		&j->arena, "hosts/" STR_FMT "/linux.json", STR_ARG(j->config)));
	struct fleet_resources r = { 0 };
	const struct check *asked;
	struct str json;
	int rc = fleet_file_at(
	    j->fleet, j->row.unit_id, j->commit, path, &j->arena, &json, err);

	if (rc == ERR_NOT_FOUND)
		return 0;
	if (rc == 0)
		rc = fleet_resources_read(json, &j->arena, &r, err);
	if (rc != 0)
		return err_wrap(err, "%s", path);
	asked = c->at;
	c->at = arena_array(
	    &j->arena, c->n + r.n_services + r.n_checks + 1, struct check);
	memcpy(c->at, asked, c->n * sizeof(*asked));
	for (size_t i = 0; i < r.n_services; i++)
		if (r.services[i].running)
			add_service(c, &j->arena, r.services[i].name);
	for (size_t i = 0; i < r.n_checks; i++) {
		const struct fleet_check *from = &r.checks[i];
		struct check *to = &c->at[c->n];
		size_t n = from->argv.n;

		if (n == 0)
			continue;
		to->argv = arena_array(&j->arena, n + 1, const char *);
		for (size_t k = 0; k < n; k++)
			to->argv[k] = arena_z(&j->arena, from->argv.at[k]);
		to->timeout_ms = from->timeout_s * 1000;
		to->name = joined(&j->arena, to->argv);
		c->n++;
	}
	return 0;
}

/* --- checking ------------------------------------------------------------- */

static int
pause_for(struct job *j, int64_t ms, struct err *err)
{
	int64_t until = clock_mono() + ms, now;

	while ((now = clock_mono()) < until) {
		if (j->host.cancelled(j))
			return err_set(err, ERR_CANCELLED, "cancelled");
		loop_turn(j->loop, (int)MIN_OF(until - now, 100));
	}
	return 0;
}

static int
wait_for_device(struct job *j, bool had_agent, int64_t until, struct err *err)
{
	bool told = false;
	int rc;

	for (;;) {
		if (!had_agent)
			rc = job_reach(j, err);
		else if (fleet_agent_is(j->fleet, j->row.id))
			rc = 0;
		else
			rc = err_set(
			    err, ERR_AGAIN, "its agent has not come back");
		if (rc != ERR_AGAIN || clock_mono() >= until)
			return rc;
		if (!told)
			j->host.tell(j, str_of(err->text));
		told = true;
		rc = pause_for(j, AGAIN_MS, err);
		if (rc != 0)
			return rc;
	}
}

static struct str
short_text(struct str s)
{
	s = str_trim(s);
	if (s.len > 120)
		s.len = 120;
	return s;
}

/* The last try may be cut off: what the check said before tells more. */
static int
check_one(struct job *j, const struct check *c, int64_t until, struct err *err)
{
	struct target_result r;
	int64_t left;
	struct str said, own = STR_NULL;
	int rc;

	for (;;) {
		left = MAX_OF(until - clock_mono(), 1000);
		rc = j->host.ssh(j, c->argv, STR_NULL,
		    c->timeout_ms > 0 ? MIN_OF(left, c->timeout_ms) : left, &r,
		    err);
		if (rc == ERR_CANCELLED)
			return rc;
		if (rc == 0 && r.status == 0) {
			j->host.tell(j,
			    arena_printf(
				&j->arena, "well: " STR_FMT, STR_ARG(c->name)));
			return 0;
		}
		if (rc == 0)
			own = arena_str(&j->arena,
			    short_text(r.err.len > 0 ? r.err : r.out));
		said = own.ptr != NULL ? own : str_of(err->text);
		if (clock_mono() >= until)
			break;
		rc = pause_for(j, AGAIN_MS, err);
		if (rc != 0)
			return rc;
	}
	said = arena_str(&j->arena, said);
	return err_set(err, ERR_PARAM, "not well: " STR_FMT "%s" STR_FMT,
	    STR_ARG(short_text(c->name)), said.len > 0 ? ": " : "",
	    STR_ARG(said));
}

int
deploy_check(struct job *j, struct str checks, bool had_agent, int64_t wait_ms,
    struct err *err)
{
	int64_t until = clock_mono() + wait_ms;
	struct checks c;
	int rc = read_checks(checks, &j->arena, &c, err);

	if (rc == 0)
		rc = add_declared(j, &c, err);
	if (rc == 0)
		rc = wait_for_device(j, had_agent, until, err);
	if (rc == 0)
		j->host.tell(j, STR("the device is there"));
	for (size_t i = 0; rc == 0 && i < c.n; i++)
		rc = check_one(j, &c.at[i], until, err);
	return rc;
}
