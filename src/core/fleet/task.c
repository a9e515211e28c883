/*
 * core/fleet/task.c - what a step of a deployment is to people: a row, and a
 * file with what its programs wrote.
 *
 * Of an output that is longer than the setting allows its beginning is kept,
 * and its end: the last TAIL bytes are written when the task has ended, behind
 * a line that says how much is missing. Lines come whole, without what is
 * secret in them, and what Nix writes for programs comes as people read it.
 */
#include "core/fleet/deploy.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/rand.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_MODULE "fleet"
#include "base/log.h"

#define TAIL 32768
#define LINE_MAX_BYTES 65536 /* a longer one is taken apart */
#define TELL_MS 1000         /* at most so often it is told how far it is */
#define READ_MAX (1 << 20)   /* bytes of an output that are given at once */

static const char *const kinds[] = { "build", "plan", "copy", "apply", "checks",
	"confirm", "rollback", NULL };
static const char *const states[] = { "running", "done", "failed", "cancelled",
	NULL };

#define T struct fleet_task
static const struct field task_fields[] = {
	F_TEXT(T, id, "id", .max = 64, .help = "Identifies the task."),
	F_TEXT(T, unit_id, "unitId", .help = "The unit it belongs to."),
	F_TEXT(T, deployment_id, "deploymentId",
	    .help = "The deployment it is a step of."),
	F_TEXT(T, deployment_device_id, "deploymentDeviceId",
	    .help = "For which device of it."),
	F_TEXT(T, device_id, "deviceId", .help = "That device."),
	F_TEXT(T, device_name, "deviceName", .help = "Its name, as it was."),
	F_TEXT(T, config, "config", .help = "The configuration."),
	F_TEXT(T, commit, "commit", .help = "The commit of it."),
	F_TEXT(T, kind, "kind", .one_of = kinds, .help = "Which step."),
	F_TEXT(
	    T, state, "state", .one_of = states, .help = "What became of it."),
	F_TEXT(T, reason, "reason", .def = "\"\"", .help = "Why it failed."),
	F_INT(T, done, "done", .def = "0",
	    .help = "Builds and copies that are done."),
	F_INT(T, expected, "expected", .def = "0",
	    .help = "Those that there are in all; 0: it is not known."),
	F_INT(T, output_size, "outputSize", .def = "0",
	    .help = "Bytes of its output that are kept."),
	F_BOOL(T, output_cut, "outputCut", .def = "false",
	    .help = "There were more; the middle is not kept."),
	F_TIME(T, created_at, "createdAt"),
	F_TIME(T, ended_at, "endedAt", .flags = FIELD_NULL),
	{ 0 },
};
const struct entity fleet_task_entity = {
	.record = { "fleetTask", sizeof(T), task_fields },
	.table = "task",
	.version = 1,
	.keys = (const struct entity_key[]){ { "id", { "id" } }, { 0 } },
	.indexes = (const struct entity_key[]){ { "unitId", { "unitId" } },
	    { "deployment", { "deploymentId" } }, { "device", { "deviceId" } },
	    { 0 } },
	.refs =
	    (const struct entity_ref[]){
		{ "deploymentId", "fleetDeployment", "id", ENTITY_CASCADE },
		{ 0 } },
	.help = "A step of a deployment: what was done, and what came of it.",
};

bool
task_has_ended(struct str state)
{
	return !str_eqz(state, "running");
}

const char *
task_path(struct fleet *f, struct arena *a, struct str unit_id, struct str id)
{
	const char *name =
	    arena_z(a, arena_printf(a, "tasks/" STR_FMT, STR_ARG(id)));

	return fleet_path(f, a, unit_id, name);
}

/* --- rows ----------------------------------------------------------------- */

static void
save(struct task *t, const char *members)
{
	struct err err;

	if (deploy_save(t->fleet, &fleet_task_entity, &t->row, members, &err) !=
	    0)
		log_warn("task " STR_FMT " could not be kept: %s",
		    STR_ARG(t->row.id), err.text);
	deploy_tell(t->fleet, "deployment_task", "updated", &fleet_task_entity,
	    &t->row);
	t->told_at = clock_mono();
}

struct task *
task_begin(struct fleet *f, const struct target_device *d, struct str commit,
    const char *kind)
{
	struct task *t = mem_new(struct task);
	const char *path;
	struct err err;

	t->fleet = f;
	record_init(&fleet_task_entity.record, &t->row);
	t->row.created_at = clock_now();
	t->row.id = rand_id(&t->arena, t->row.created_at, 12);
	t->row.unit_id = d->row.unit_id;
	t->row.deployment_id = d->row.deployment_id;
	t->row.deployment_device_id = d->row.id;
	t->row.device_id = d->row.device_id;
	t->row.device_name = d->row.device_name;
	t->row.config = d->row.config;
	t->row.commit = arena_str(&t->arena, commit);
	t->row.kind = str_of(kind);
	t->row.state = STR("running");
	t->row.reason = STR("");
	t->row.done = t->row.expected = t->row.output_size = 0;
	t->told_at = clock_mono();

	path = task_path(f, &t->arena, t->row.unit_id, t->row.id);
	t->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (t->fd < 0)
		log_warn("the output of a task is not kept: create %s: %s",
		    path, strerror(errno));
	if (store_add(f->store, &fleet_task_entity, &t->row, &err) != 0)
		log_warn("task " STR_FMT " could not be kept: %s",
		    STR_ARG(t->row.id), err.text);
	deploy_tell(
	    f, "deployment_task", "created", &fleet_task_entity, &t->row);
	return t;
}

/* --- output --------------------------------------------------------------- */

static void
put(struct task *t, struct str text)
{
	int64_t room = t->fleet->conf.output_max - TAIL - t->written;
	size_t n = 0;

	t->total += (int64_t)text.len;
	if (t->tail.len == 0 && !t->row.output_cut && room > 0)
		n = MIN_OF(text.len, (size_t)room);
	if (n > 0 && t->fd >= 0) {
		ssize_t done = write(t->fd, text.ptr, n);

		if (done < 0 || (size_t)done < n) {
			log_warn("the output of task " STR_FMT
				 " is not kept any more: %s",
			    STR_ARG(t->row.id),
			    done < 0 ? strerror(errno) : "no space");
			close(t->fd);
			t->fd = -1;
		}
		t->written += (int64_t)n;
	}
	if (n == text.len)
		return;
	t->row.output_cut = true;
	buf_add(&t->tail, text.ptr + n, text.len - n);
	if (t->tail.len > 2 * (size_t)TAIL) {
		size_t gone = t->tail.len - TAIL;

		memmove(t->tail.ptr, t->tail.ptr + gone, TAIL);
		t->tail.len = TAIL;
	}
}

/* The end of what was too long, behind a note. */
static void
put_tail(struct task *t)
{
	struct str tail = buf_str(&t->tail);
	struct buf b = { 0 };
	int64_t left;

	if (tail.len == 0)
		return;
	if (tail.len > TAIL)
		tail = (struct str){ tail.ptr + tail.len - TAIL, TAIL };
	left = t->total - t->written - (int64_t)tail.len;
	if (left > 0)
		buf_addf(&b, "\n[%" PRId64 " bytes are left out]\n", left);
	buf_add_str(&b, tail);
	if (t->fd >= 0 && write(t->fd, b.ptr, b.len) == (ssize_t)b.len)
		t->written += (int64_t)b.len;
	t->row.output_cut = left > 0;
	buf_free(&b);
}

static void
take_line(struct task *t, bool is_error, struct str line)
{
	struct buf plain = { 0 }, out = { 0 };
	struct str rest;

	if (nix_log_line(&t->nix, line, &plain)) {
		struct nix_progress p = nix_log_progress(&t->nix);

		t->row.done = p.done;
		t->row.expected = p.expected;
	}
	rest = buf_str(&plain);
	while (rest.ptr != NULL && rest.len > 0) {
		redact_line(&t->redact[is_error], str_cut(&rest, '\n'),
		    t->secrets, &out);
		buf_addc(&out, '\n');
	}
	if (out.len > 0)
		put(t, buf_str(&out));
	buf_free(&plain);
	buf_free(&out);
}

static void
tell_now_and_then(struct task *t)
{
	if (clock_mono() - t->told_at < TELL_MS)
		return;
	t->row.output_size = t->written;
	save(t, "done expected outputSize");
}

void
task_bytes(struct task *t, bool is_error, struct str bytes)
{
	struct buf *part = &t->part[is_error];

	while (bytes.len > 0) {
		const char *end = memchr(bytes.ptr, '\n', bytes.len);
		size_t n = end != NULL ? (size_t)(end - bytes.ptr) : bytes.len;

		n = MIN_OF(n, LINE_MAX_BYTES - part->len);
		buf_add(part, bytes.ptr, n);
		bytes.ptr += n;
		bytes.len -= n;
		if (bytes.len == 0)
			break;
		if (*bytes.ptr == '\n') {
			bytes.ptr++;
			bytes.len--;
		}
		take_line(t, is_error, buf_str(part));
		buf_clear(part);
	}
	tell_now_and_then(t);
}

void
task_line(struct task *t, struct str line)
{
	task_bytes(t, false, line);
	task_bytes(t, false, STR("\n"));
}

void
task_secret(struct task *t, struct str secret)
{
	struct str *more, rest = secret;
	size_t n = t->secrets.n + 1;

	if (secret.len == 0)
		return;
	for (size_t i = 0; i < secret.len; i++)
		n += secret.ptr[i] == '\n';
	more = arena_array(&t->arena, n, struct str);
	if (t->secrets.n > 0)
		memcpy(more, t->secrets.at, t->secrets.n * sizeof(*more));
	t->secrets.at = more;
	while (rest.len > 0) /* output comes in lines */
		more[t->secrets.n++] =
		    arena_str(&t->arena, str_trim(str_cut(&rest, '\n')));
}

void
task_redact(const struct task *t, struct err *err)
{
	struct strs secrets = t != NULL ? t->secrets : (struct strs){ 0 };
	struct str rest = str_of(err->text);
	struct redact r = { 0 };
	struct buf out = { 0 };
	size_t n;

	while (rest.len > 0) {
		redact_line(&r, str_cut(&rest, '\n'), secrets, &out);
		if (rest.len > 0)
			buf_addc(&out, '\n');
	}
	n = MIN_OF(out.len, sizeof(err->text) - 1);
	if (n > 0)
		memcpy(err->text, out.ptr, n);
	err->text[n] = '\0';
	buf_free(&out);
}

void
task_end(struct task *t, const char *state, const char *reason)
{
	for (int i = 0; i < 2; i++) {
		if (t->part[i].len > 0)
			take_line(t, i == 1, buf_str(&t->part[i]));
		buf_free(&t->part[i]);
	}
	put_tail(t);
	if (t->fd >= 0)
		close(t->fd);
	t->row.state = str_of(state);
	t->row.reason = str_of(reason);
	t->row.output_size = t->fd >= 0 ? t->written : t->row.output_size;
	t->row.ended_at = clock_now();
	save(t, "state reason done expected outputSize outputCut endedAt");
	nix_log_fini(&t->nix);
	buf_free(&t->tail);
	arena_fini(&t->arena);
	free(t);
}

/* --- start and retention -------------------------------------------------- */

int
fleet_tasks_load(struct fleet *f, struct err *err)
{
	struct change changes[] = {
		{ "state", value_text(STR("failed")) },
		{ "reason",
		    value_text(STR("the server ended meanwhile; the step was "
				   "done again")) },
		{ "endedAt", value_time(clock_now()) },
	};
	struct filter filter = { 0 };

	filter_text(&filter, "state", STR("running"));
	return store_update(f->store, &fleet_task_entity, &filter, changes,
	    COUNT_OF(changes), NULL, err);
}

static int
remove_output(void *ctx, const void *row, struct err *err)
{
	const struct fleet_task *t = row;
	struct arena a = { 0 };

	(void)err;
	(void)unlink(task_path(ctx, &a, t->unit_id, t->id));
	arena_fini(&a);
	return 0;
}

int
fleet_tasks_gone(struct fleet *f, struct str deployment_id, struct err *err)
{
	struct filter filter = { 0 };
	struct store_query q = { .filter = &filter };

	filter_text(&filter, "deploymentId", deployment_id);
	return store_list(
	    f->store, &fleet_task_entity, &q, remove_output, f, err);
}

/* --- over HTTP ------------------------------------------------------------ */

struct output_query {
	int64_t from;
};
static const struct field output_fields[] = {
	F_INT(struct output_query, from, "from", .min = 0, .max = INT64_MAX,
	    .help = "Bytes that the caller has already; 0 when it is left "
		    "out. At most 1 MiB is given at once."),
	{ 0 },
};
static const struct record output_record = { "taskOutput",
	sizeof(struct output_query), output_fields };

static void
handle_output(struct http_call *c)
{
	struct fleet *f = (struct fleet *)c->route->ctx;
	struct str from_text = http_query(c, "from");
	struct fleet_task row;
	struct stat st = { 0 };
	int64_t from = 0;
	ssize_t n = 0;
	char *bytes;
	int fd;

	if (!fleet_call_row(c, f, &fleet_task_entity, REST_GET, &row))
		return;
	if (from_text.len > 0 && (!str_to_i64(from_text, &from) || from < 0)) {
		http_error(c, 400, "err_param",
		    "`from` must be a number of bytes, 0 or more");
		return;
	}
	bytes = arena_alloc(&c->arena, READ_MAX);
	fd = open(
	    task_path(f, &c->arena, row.unit_id, row.id), O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && fstat(fd, &st) == 0)
		n = pread(fd, bytes, READ_MAX, from);
	if (fd >= 0)
		close(fd);
	if (n < 0)
		n = 0;
	http_text(c, 200, "text/plain; charset=utf-8",
	    (struct str){ bytes, (size_t)n });
	http_header(c, "X-Marram-More",
	    !task_has_ended(row.state) || from + n < st.st_size ? STR("true")
								: STR("false"));
	http_header(
	    c, "X-Marram-Next", arena_printf(&c->arena, "%" PRId64, from + n));
	http_header(c, "Cache-Control", STR("no-store"));
}

static const struct http_route rows[] = {
	{ "GET", "/task/{id}/output", HTTP_TOKEN, .scope = "fleet.deploy.get",
	    .query = &output_record, .reply = { .media = "text/plain" },
	    .flags = HTTP_SLOW, .handle = handle_output,
	    .help = "What the programs of a task have written, from an offset "
		    "on. X-Marram-Next says where to go on, X-Marram-More "
		    "whether there is or will be more." },
	{ 0 },
};

static const struct rest_object task_object = {
	.name = "task",
	.entity = &fleet_task_entity,
	.id = "id",
	.filters = (const struct rest_filter[]){ { "deployment", "deploymentId",
						     COND_EQ },
	    { "deploymentDevice", "deploymentDeviceId", COND_EQ },
	    { "device", "deviceId", COND_EQ }, { "kind", "kind", COND_IN },
	    { "state", "state", COND_IN }, { 0 } },
	.sorts = (const struct rest_sort[]){ { "created", "createdAt" },
	    { "ended", "endedAt" }, { 0 } },
	.sort = "created:desc",
	.scope = "fleet.deploy",
	.help = "tasks: the steps of deployments, with their output.",
	.limit = fleet_limit,
	.may = fleet_may,
};

void
fleet_tasks_routes(struct fleet *f, http_add_routes *add, void *ctx)
{
	rest_mount(f != NULL ? &f->mounts : NULL, &task_object, FLEET_API,
	    f != NULL ? f->store : NULL, f,
	    REST_NO(REST_ADD) | REST_NO(REST_PATCH) | REST_NO(REST_DEL), add,
	    ctx);
	rest_mount_rows(
	    f != NULL ? &f->mounts : NULL, rows, FLEET_API, f, add, ctx);
}
