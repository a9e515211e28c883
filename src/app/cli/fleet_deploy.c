/*
 * app/cli/fleet_deploy.c - see fleet_deploy.h.
 *
 * A deployment is followed by asking: each second how far its devices are, and
 * what its tasks have written since. Lines of tasks stand behind the device and
 * the step they are of.
 */
#include "app/cli/fleet_deploy.h"

#include "app/cli/output.h"
#include "base/base.h"
#include "base/map.h"
#include "base/mem.h"
#include "codec/json.h"
#include "codec/url.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define API "/fleet/api/v1/"
#define ASK_MS 500

struct wish {
	struct str unit, commit, message, checks, rollback;
	struct strs configs, tags, devices;
	int64_t canary, at_once, max_failures;
	bool detach;
};
#define W struct wish
static const struct field wish_fields[] = {
	F_TEXT(W, unit, "unit", .help = "Which unit."),
	F_TEXTS(W, configs, "config",
	    .help = "Devices that are to have these configurations."),
	F_TEXTS(W, tags, "tag",
	    .help = "Devices whose configuration has one of these tags."),
	F_TEXTS(W, devices, "device", .help = "These devices."),
	F_TEXT(W, commit, "commit", .help = "Which commit; else the newest."),
	F_TEXT(W, message, "message", .help = "What people note of it."),
	F_INT(W, canary, "canary", .help = "Devices that go first (1)."),
	F_INT(W, at_once, "atOnce", .help = "Devices at a time."),
	F_INT(W, max_failures, "maxFailures",
	    .help = "Of the others so many may fail (0)."),
	F_TEXT(W, checks, "checks",
	    .help = "What must be well, as JSON: [{\"service\":\"x\"}]."),
	F_TEXT(W, rollback, "rollback",
	    .help = "When it stops: `all` is taken back, or the `device` "
		    "alone."),
	F_BOOL(W, detach, "detach", .help = "Do not follow it."),
	{ 0 },
};
const struct record cli_fleet_wish = { "fleetWish", sizeof(W), wish_fields };

struct tasks_query {
	struct str unit, deployment, device, state;
};
#define Q struct tasks_query
static const struct field tasks_fields[] = {
	F_TEXT(Q, unit, "unit", .help = "Which unit."),
	F_TEXT(Q, deployment, "deployment", .help = "Of this deployment."),
	F_TEXT(Q, device, "device", .help = "Of this device."),
	F_TEXT(Q, state, "state",
	    .help = "In these states: running, done, failed, cancelled."),
	{ 0 },
};
const struct record cli_fleet_tasks_query = { "fleetTasks", sizeof(Q),
	tasks_fields };

struct id_of {
	struct str id;
	bool detach;
};
static const struct field id_fields[] = {
	F_TEXT(struct id_of, id, "id", .help = "Of which one."),
	F_BOOL(struct id_of, detach, "detach", .help = "Do not follow it."),
	{ 0 },
};
const struct record cli_fleet_id = { "fleetId", sizeof(struct id_of),
	id_fields };

struct drift_of {
	struct str device;
	bool last;
};
static const struct field drift_fields[] = {
	F_TEXT(struct drift_of, device, "device", .help = "Of which device."),
	F_BOOL(struct drift_of, last, "last",
	    .help = "Show what was found last, and do not ask it."),
	{ 0 },
};
const struct record cli_fleet_drift_of = { "fleetDrift",
	sizeof(struct drift_of), drift_fields };

/* --- asking --------------------------------------------------------------- */

/* The text of a member; "": there is none. */
static struct str
text_of(struct arena *a, struct str object, const char *key)
{
	struct str value = json_find(a, object, str_of(key)), s;
	struct json j;

	if (value.ptr == NULL)
		return STR("");
	json_open(&j, value, 0, a);
	if (json_peek(&j) != JSON_STRING)
		return json_peek(&j) == JSON_NULL ? STR("") : value;
	return json_str(&j, &s) ? s : STR("");
}

static struct str
path_of(struct arena *a, const char *kind, struct str id, const char *tail)
{
	struct buf b = { 0 };
	struct str ret;

	buf_addf(&b, API "%s/", kind);
	url_encode(&b, id);
	buf_addz(&b, tail);
	ret = arena_str(a, buf_str(&b));
	buf_free(&b);
	return ret;
}

static void
add_query(struct buf *b, const char *name, struct str value)
{
	if (value.len == 0)
		return;
	buf_addc(b, memchr(b->ptr, '?', b->len) != NULL ? '&' : '?');
	buf_addf(b, "%s=", name);
	url_encode(b, value);
}

/* GET of one object or list, without the "data" around it. */
static int
get(struct cli *cli, struct arena *a, struct str path, struct str *ret,
    struct fetched *r, struct err *err)
{
	int rc = session_call(&cli->session, "GET", path, STR_NULL, a, r, err);

	if (rc == 0 && r->status == 200)
		*ret = json_find(a, r->body, STR("data"));
	return rc;
}

static void
pause_a_bit(void)
{
	const struct timespec t = { 0, ASK_MS * 1000000L };

	nanosleep(&t, NULL);
}

/* --- following ------------------------------------------------------------ */

/* What is known of a device or task that was shown. */
struct seen {
	struct str id, state;
	int64_t from;    /* bytes of its output that were shown */
	bool done;       /* nothing more will come */
	struct buf part; /* a line whose end has not come */
	struct seen *next;
};

struct following {
	struct cli *cli;
	struct str unit, id;
	struct map seen;
	struct seen *all;
	struct fetched r; /* of the last call that was refused */
	struct err err;
};

static struct seen *
seen_of(struct following *f, struct str id)
{
	struct seen *s = map_get(&f->seen, id);

	if (s != NULL)
		return s;
	s = mem_new(struct seen);
	s->id = str_copy(id);
	s->state = STR_NULL;
	s->next = f->all;
	f->all = s;
	map_put(&f->seen, s->id, s);
	return s;
}

static void
forget(struct following *f)
{
	struct seen *s;

	while ((s = f->all) != NULL) {
		f->all = s->next;
		str_free(s->id);
		str_free(s->state);
		buf_free(&s->part);
		free(s);
	}
	map_fini(&f->seen);
}

static struct str
name_of(struct arena *a, struct str row)
{
	struct str name = text_of(a, row, "deviceName");

	return name.len > 0 ? name : text_of(a, row, "deviceId");
}

static int
list(struct following *f, struct arena *a, const char *kind, struct str *ret)
{
	struct buf b = { 0 };
	int rc;

	buf_addf(&b, API "%s/list", kind);
	add_query(&b, "unit", f->unit);
	add_query(&b, "deployment", f->id);
	add_query(&b, "limit", STR("0"));
	add_query(&b, "sort",
	    strcmp(kind, "task") == 0 ? STR("created:asc")
				      : STR("position:asc"));
	*ret = STR_NULL;
	rc = get(f->cli, a, buf_str(&b), ret, &f->r, &f->err);
	buf_free(&b);
	return rc;
}

/* Shows what is new of a task's output. */
static int
show_output(struct following *f, struct str task, struct seen *s,
    struct str prefix, bool ended)
{
	struct arena a = { 0 };
	struct str path = path_of(&a, "task", s->id,
	    arena_printf(&a, "/output?from=%" PRId64, s->from).ptr);
	struct fetched r;
	struct str rest;
	int rc = session_call(
	    &f->cli->session, "GET", path, STR_NULL, &a, &r, &f->err);

	(void)task;
	if (rc != 0 || r.status != 200) {
		arena_fini(&a);
		return rc;
	}
	s->from += (int64_t)r.body.len;
	s->done = ended && r.body.len == 0;
	rest = r.body;
	while (rest.ptr != NULL && rest.len > 0) {
		struct str line = str_cut(&rest, '\n');

		buf_add_str(&s->part, line);
		if (rest.ptr == NULL)
			break; /* its end comes later */
		printf(STR_FMT STR_FMT "\n", STR_ARG(prefix),
		    STR_ARG(buf_str(&s->part)));
		buf_clear(&s->part);
	}
	if (s->done && s->part.len > 0)
		printf(STR_FMT STR_FMT "\n", STR_ARG(prefix),
		    STR_ARG(buf_str(&s->part)));
	fflush(stdout);
	arena_fini(&a);
	return 0;
}

static int
show_tasks(struct following *f)
{
	struct arena a = { 0 };
	struct str rows, row;
	struct json j;
	int rc = list(f, &a, "task", &rows);

	if (rc == 0 && rows.ptr != NULL) {
		json_open(&j, rows, 0, &a);
		for (json_array(&j); rc == 0 && json_item(&j);) {
			struct seen *s;
			struct str prefix;

			if (!json_raw(&j, &row))
				break;
			s = seen_of(f, text_of(&a, row, "id"));
			prefix = arena_printf(&a, STR_FMT " " STR_FMT "| ",
			    STR_ARG(name_of(&a, row)),
			    STR_ARG(text_of(&a, row, "kind")));
			if (!s->done)
				rc = show_output(f, row, s, prefix,
				    !str_eqz(
					text_of(&a, row, "state"), "running"));
		}
	}
	arena_fini(&a);
	return rc;
}

static int
show_devices(struct following *f)
{
	struct arena a = { 0 };
	struct str rows, row;
	struct json j;
	int rc = list(f, &a, "deployment-device", &rows);

	if (rc == 0 && rows.ptr != NULL) {
		json_open(&j, rows, 0, &a);
		for (json_array(&j); json_item(&j);) {
			struct str state, reason;
			struct seen *s;

			if (!json_raw(&j, &row))
				break;
			s = seen_of(f, text_of(&a, row, "id"));
			state = text_of(&a, row, "state");
			reason = text_of(&a, row, "reason");
			if (str_eq(s->state, state))
				continue;
			str_free(s->state);
			s->state = str_copy(state);
			printf(STR_FMT ": " STR_FMT "%s" STR_FMT "\n",
			    STR_ARG(name_of(&a, row)), STR_ARG(state),
			    reason.len > 0 ? ": " : "", STR_ARG(reason));
		}
		fflush(stdout);
	}
	arena_fini(&a);
	return rc;
}

/* Until it has ended, or is planned; the exit status of the command. */
static int
follow(struct cli *cli, struct str unit, struct str id, struct str *state)
{
	struct following f = { .cli = cli, .unit = unit, .id = id };
	struct str reason = STR("");
	bool over = false;
	int rc = 0;

	*state = STR("");
	while (rc == 0 && !over) {
		struct arena a = { 0 };
		struct str row = STR_NULL;

		rc = get(cli, &a, path_of(&a, "deployment", id, ""), &row, &f.r,
		    &f.err);
		if (rc == 0 && row.ptr == NULL) {
			rc = cli_refused(cli, &f.r);
			arena_fini(&a);
			forget(&f);
			return rc;
		}
		if (rc == 0) {
			*state =
			    arena_str(&cli->arena, text_of(&a, row, "state"));
			reason =
			    arena_str(&cli->arena, text_of(&a, row, "reason"));
			over = !str_eqz(*state, "running") &&
			    !str_eqz(*state, "planning");
		}
		arena_fini(&a);
		/* twice, so that the end of an output is seen */
		for (int i = 0; rc == 0 && i < 1 + 2 * over; i++)
			rc = show_tasks(&f);
		if (rc == 0)
			rc = show_devices(&f);
		if (rc == 0 && !over)
			pause_a_bit();
	}
	forget(&f);
	if (rc != 0)
		return cli_failed(cli, &f.err);
	printf(STR_FMT "%s" STR_FMT "\n", STR_ARG(*state),
	    reason.len > 0 ? ": " : "", STR_ARG(reason));
	if (str_eqz(*state, "done") || str_eqz(*state, "planned"))
		return cli_ok(cli);
	fflush(stdout);
	return 1;
}

/* --- plan, deploy --------------------------------------------------------- */

static void
put_list(struct cli *cli, const struct cli_value *values, struct json_out *o,
    const char *option, const char *member)
{
	const struct cli_value *v = cli_given(cli->command, values, option);

	if (v == NULL)
		return;
	json_out_key(o, member);
	json_out_array(o);
	for (size_t i = 0; i < v->words.n; i++) {
		struct str rest = v->words.at[i];

		while (rest.ptr != NULL) /* "a,b", too */
			json_out_str(o, str_cut(&rest, ','));
	}
	json_out_end_array(o);
}

static int
put_wish(struct cli *cli, const struct cli_value *values, struct json_out *o,
    struct err *err)
{
	static const char *const texts[] = { "commit", "message", "rollback" };
	static const char *const numbers[][2] = { { "canary", "canary" },
		{ "atonce", "atOnce" }, { "maxfailures", "maxFailures" } };
	const struct cli_command *c = cli->command;
	struct str s;
	int64_t n;

	put_list(cli, values, o, "config", "configs");
	put_list(cli, values, o, "tag", "tags");
	put_list(cli, values, o, "device", "devices");
	for (size_t i = 0; i < COUNT_OF(texts); i++) {
		s = cli_text(c, values, texts[i]);
		if (s.ptr == NULL)
			continue;
		json_out_key(o, texts[i]);
		json_out_str(o, s);
	}
	for (size_t i = 0; i < COUNT_OF(numbers); i++) {
		s = cli_text(c, values, numbers[i][0]);
		if (s.ptr == NULL)
			continue;
		if (!str_to_i64(s, &n))
			return err_set(err, ERR_PARAM,
			    "--%s: a whole number must follow", numbers[i][0]);
		json_out_key(o, numbers[i][1]);
		json_out_int(o, n);
	}
	s = cli_text(c, values, "checks");
	if (s.ptr == NULL)
		return 0;
	if (!json_valid(s, 0))
		return err_set(err, ERR_PARAM, "--checks: that is no JSON");
	json_out_key(o, "checks");
	json_out_raw(o, s);
	return 0;
}

/* POST of what makes a deployment; then it is followed. */
static int
begin(struct cli *cli, const struct cli_value *values, struct str path,
    struct str body, struct str unit, struct str *state)
{
	struct fetched r;
	struct err err;
	struct str id;

	if (session_call(
		&cli->session, "POST", path, body, &cli->arena, &r, &err) != 0)
		return cli_failed(cli, &err);
	if (r.status != 200)
		return cli_refused(cli, &r);
	id = text_of(
	    &cli->arena, json_find(&cli->arena, r.body, STR("data")), "id");
	printf("deployment " STR_FMT "\n", STR_ARG(id));
	fflush(stdout);
	if (cli_given(cli->command, values, "detach") != NULL)
		return cli_ok(cli);
	return follow(cli, unit, id, state);
}

static int
wish(struct cli *cli, const struct cli_value *values, const char *kind)
{
	struct str unit = cli_text(cli->command, values, "unit"), state;
	struct buf path = { 0 }, body = { 0 };
	struct json_out o;
	struct err err;
	int rc;

	json_out_init(&o, &body, false);
	json_out_object(&o);
	json_out_key(&o, "data");
	json_out_object(&o);
	rc = put_wish(cli, values, &o, &err);
	json_out_end_object(&o);
	json_out_end_object(&o);
	buf_addf(&path, API "%s", kind);
	add_query(&path, "unit", unit);
	rc = rc != 0
	    ? cli_misused(cli, "fleet deploy", &err)
	    : begin(cli, values, buf_str(&path), buf_str(&body), unit, &state);
	buf_free(&path);
	buf_free(&body);
	return rc;
}

int
cli_fleet_plan(struct cli *cli, const struct cli_value *values)
{
	return wish(cli, values, "plan");
}

int
cli_fleet_deploy(struct cli *cli, const struct cli_value *values)
{
	return wish(cli, values, "deployment");
}

/* --- tasks ---------------------------------------------------------------- */

int
cli_fleet_tasks(struct cli *cli, const struct cli_value *values)
{
	static const char *const params[] = { "unit", "deployment", "device",
		"state" };
	struct str rows = STR_NULL, row;
	struct arena *a = &cli->arena;
	struct buf path = { 0 };
	struct fetched r;
	struct err err;
	struct json j;
	int rc;

	buf_addz(&path, API "task/list");
	for (size_t i = 0; i < COUNT_OF(params); i++)
		add_query(&path, params[i],
		    cli_text(cli->command, values, params[i]));
	add_query(&path, "sort", STR("created:asc"));
	rc = get(cli, a, buf_str(&path), &rows, &r, &err);
	buf_free(&path);
	if (rc != 0)
		return cli_failed(cli, &err);
	if (rows.ptr == NULL)
		return cli_refused(cli, &r);
	json_open(&j, rows, 0, a);
	for (json_array(&j); json_item(&j) && json_raw(&j, &row);) {
		struct str reason = text_of(a, row, "reason");

		printf("%-26.*s %-20.*s %-16.*s %-9.*s %-9.*s " STR_FMT "\n",
		    STR_ARG(text_of(a, row, "createdAt")),
		    STR_ARG(text_of(a, row, "id")), STR_ARG(name_of(a, row)),
		    STR_ARG(text_of(a, row, "kind")),
		    STR_ARG(text_of(a, row, "state")), STR_ARG(reason));
	}
	return cli_ok(cli);
}

int
cli_fleet_output(struct cli *cli, const struct cli_value *values)
{
	struct str id = cli_text(cli->command, values, "id");
	struct following f = { .cli = cli };
	struct seen *s = seen_of(&f, id);
	bool ended = false, well = false;
	int rc = 0;

	while (rc == 0 && !s->done) {
		struct arena a = { 0 };
		struct str row = STR_NULL, state;

		rc = get(
		    cli, &a, path_of(&a, "task", id, ""), &row, &f.r, &f.err);
		if (rc == 0 && row.ptr == NULL) {
			rc = cli_refused(cli, &f.r);
			arena_fini(&a);
			forget(&f);
			return rc;
		}
		state = text_of(&a, row, "state");
		ended = !str_eqz(state, "running");
		well = str_eqz(state, "done");
		if (rc == 0)
			rc = show_output(&f, row, s, STR(""), ended);
		arena_fini(&a);
		if (cli_given(cli->command, values, "detach") != NULL)
			break;
		if (rc == 0 && !ended)
			pause_a_bit();
	}
	forget(&f);
	if (rc != 0)
		return cli_failed(cli, &f.err);
	if (well || !ended)
		return cli_ok(cli);
	return 1;
}

/* --- drift ---------------------------------------------------------------- */

static void
show_change(struct arena *a, struct str c)
{
	static const char *const actions[][2] = { { "add", "+" },
		{ "change", "~" }, { "remove", "-" }, { "run", ">" } };
	struct str from = text_of(a, c, "from"), to = text_of(a, c, "to");
	struct str diff = text_of(a, c, "diff");
	const char *mark = "~";

	for (size_t i = 0; i < COUNT_OF(actions); i++)
		if (str_eqz(text_of(a, c, "action"), actions[i][0]))
			mark = actions[i][1];
	printf("%s " STR_FMT " " STR_FMT "%s" STR_FMT "%s" STR_FMT "\n", mark,
	    STR_ARG(text_of(a, c, "kind")), STR_ARG(text_of(a, c, "name")),
	    from.len > 0 ? ": " : "", STR_ARG(from), to.len > 0 ? " -> " : "",
	    STR_ARG(to));
	while (diff.len > 0) {
		struct str line = str_cut(&diff, '\n');

		printf("    " STR_FMT "\n", STR_ARG(line));
	}
}

int
cli_fleet_drift(struct cli *cli, const struct cli_value *values)
{
	struct arena *a = &cli->arena;
	bool last = cli_given(cli->command, values, "last") != NULL;
	struct str path = path_of(
	    a, "device", cli_text(cli->command, values, "device"), "/drift");
	struct str data, at, change;
	struct fetched r;
	struct err err;
	struct json j;

	if (session_call(&cli->session, last ? "GET" : "POST", path, STR_NULL,
		a, &r, &err) != 0)
		return cli_failed(cli, &err);
	if (r.status != 200)
		return cli_refused(cli, &r);
	data = json_find(a, r.body, STR("data"));
	at = text_of(a, data, "at");
	if (at.len == 0)
		printf("it was not asked yet\n");
	else if (!str_eqz(text_of(a, data, "changed"), "true"))
		printf("it is as deployed (" STR_FMT ")\n", STR_ARG(at));
	json_open(&j, json_find(a, data, STR("changes")), 0, a);
	for (json_array(&j); json_item(&j) && json_raw(&j, &change);)
		show_change(a, change);
	if (!str_eqz(text_of(a, data, "changed"), "true"))
		return cli_ok(cli);
	fflush(stdout);
	return 1;
}

/* --- cancel, retry, start ------------------------------------------------- */

/* The id may be of a deployment, of a device of it, or of a task; `*unit` is
 * that of the first that is there. NULL: it is none, and that is told. */
static const char *
kind_of(struct cli *cli, struct str id, struct str *unit, int *status)
{
	static const char *const kinds[] = { "deployment", "deployment-device",
		"task" };
	struct fetched r = { 0 };
	struct err err;

	for (size_t i = 0; i < COUNT_OF(kinds); i++) {
		struct str row = STR_NULL;

		if (get(cli, &cli->arena,
			path_of(&cli->arena, kinds[i], id, ""), &row, &r,
			&err) != 0) {
			*status = cli_failed(cli, &err);
			return NULL;
		}
		if (row.ptr != NULL) {
			*unit = text_of(&cli->arena, row, "unitId");
			return kinds[i];
		}
	}
	*status = cli_refused(cli, &r);
	return NULL;
}

int
cli_fleet_cancel(struct cli *cli, const struct cli_value *values)
{
	struct str id = cli_text(cli->command, values, "id"), unit;
	int status = 1;
	const char *kind = kind_of(cli, id, &unit, &status);
	struct fetched r;
	struct err err;

	if (kind == NULL)
		return status;
	if (session_call(&cli->session, "POST",
		path_of(&cli->arena, kind, id, "/cancel"), STR_NULL,
		&cli->arena, &r, &err) != 0)
		return cli_failed(cli, &err);
	return r.status < 300 ? cli_ok(cli) : cli_refused(cli, &r);
}

int
cli_fleet_retry(struct cli *cli, const struct cli_value *values)
{
	struct str id = cli_text(cli->command, values, "id"), unit, state;
	int status = 1;
	const char *kind = kind_of(cli, id, &unit, &status);

	if (kind == NULL)
		return status;
	return begin(cli, values, path_of(&cli->arena, kind, id, "/retry"),
	    STR_NULL, unit, &state);
}

int
cli_fleet_start(struct cli *cli, const struct cli_value *values)
{
	struct str id = cli_text(cli->command, values, "id"), unit, state;
	int status = 1;
	struct fetched r;
	struct err err;

	if (kind_of(cli, id, &unit, &status) == NULL)
		return status;
	if (session_call(&cli->session, "POST",
		path_of(&cli->arena, "deployment", id, "/start"), STR_NULL,
		&cli->arena, &r, &err) != 0)
		return cli_failed(cli, &err);
	if (r.status >= 300)
		return cli_refused(cli, &r);
	if (cli_given(cli->command, values, "detach") != NULL)
		return cli_ok(cli);
	return follow(cli, unit, id, &state);
}
