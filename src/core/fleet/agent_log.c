/*
 * core/fleet/agent_log.c - what devices log: rsyslog brings it by HTTP, in
 * batches; it is answered at once and stored by a thread of its own.
 *
 * A device that comes for the first time may bring a thousand batches. What
 * waits to be stored is bounded in bytes; beyond that 429 tells it to wait, and
 * rsyslog keeps it. A record that was brought twice is stored once.
 */
#include "core/fleet/agent.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "codec/ssh_key.h"
#include "net/http/server.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define LOG_MODULE "fleet"
#define WAITING_MAX ((int64_t)64 << 20) /* bytes */
#define BODY_MAX ((size_t)4 << 20)
#define RECORDS_MAX 10000 /* of a batch */
#define MESSAGE_MAX 32768
#define WORD_MAX 255
#define CLEAN_ROWS 10000

#define L struct fleet_log
static const struct field log_fields[] = {
	F_TEXT(L, id, "id", .max = 64),
	F_TEXT(L, unit_id, "unitId"),
	F_TEXT(L, device_id, "deviceId"),
	F_TIME(L, timestamp, "timestamp"),
	F_TEXT(L, message, "message"),
	F_TEXT(L, host, "host", .def = "\"\""),
	F_TEXT(L, program, "program", .def = "\"\""),
	F_TEXT(L, tag, "tag", .def = "\"\""),
	F_INT(L, facility, "facility", .def = "0"),
	F_INT(L, severity, "severity", .def = "6",
	    .help = "0 (emergency) to 7 (debug)."),
	{ 0 },
};
const struct entity fleet_log_entity = {
	.record = { "fleetLog", sizeof(L), log_fields },
	.table = "log",
	.version = 1,
	.keys = (const struct entity_key[]){ { "id", { "id" } }, { 0 } },
	.indexes =
	    (const struct entity_key[]){
		{ "deviceId", { "deviceId", "timestamp" } },
		{ "unitId", { "unitId", "timestamp" } },
		{ "timestamp", { "timestamp" } }, { 0 } },
	.refs =
	    (const struct entity_ref[]){
		{ "deviceId", "fleetDevice", "id", ENTITY_CASCADE }, { 0 } },
	.help = "A line that a device has logged.",
};

/* --- storing -------------------------------------------------------------- */

struct batch {
	struct worker_job job;
	struct fleet *fleet;
	struct str unit_id, key, body; /* owned */
	size_t cost;
};

/* At most so many bytes, and no half letter. */
static struct str
cut(struct str s, size_t max)
{
	if (s.len <= max)
		return s;
	while (max > 0 && ((unsigned char)s.ptr[max] & 0xc0) == 0x80)
		max--;
	return (struct str){ s.ptr, max };
}

static bool
read_record(struct json *j, L *row)
{
	struct str key, text = STR_NULL, when = STR_NULL;

	if (!json_object(j))
		return false;
	while (json_member(j, &key)) {
		if (str_eqz(key, "message"))
			json_str(j, &row->message);
		else if (str_eqz(key, "host"))
			json_str(j, &row->host);
		else if (str_eqz(key, "programname"))
			json_str(j, &row->program);
		else if (str_eqz(key, "syslogtag"))
			json_str(j, &row->tag);
		else if (str_eqz(key, "uuid"))
			json_str(j, &text);
		else if (str_eqz(key, "timestamp"))
			json_str(j, &when);
		else if (str_eqz(key, "facility"))
			json_i64(j, &row->facility);
		else if (str_eqz(key, "severity"))
			json_i64(j, &row->severity);
		else
			json_skip(j);
	}
	if (!json_ok(j))
		return false;
	if (when.ptr == NULL || !time_parse(when, &row->timestamp))
		row->timestamp = clock_now();
	row->message = cut(row->message, MESSAGE_MAX);
	row->host = cut(row->host, WORD_MAX);
	row->program = cut(row->program, WORD_MAX);
	row->tag = cut(row->tag, WORD_MAX);
	row->severity = MAX_OF(0, MIN_OF(row->severity, 7));
	row->facility = MAX_OF(0, MIN_OF(row->facility, 127));
	row->id = text;
	return true;
}

static struct str
log_id(struct arena *a, struct str device_id, struct str uuid, int64_t now)
{
	/* one device can not take the place of another's lines */
	if (uuid.len == 0 || uuid.len > 40)
		return rand_id(a, now, ID_LONG);
	return arena_printf(
	    a, STR_FMT "." STR_FMT, STR_ARG(device_id), STR_ARG(uuid));
}

static int
find_device(struct batch *b, struct arena *a, struct fleet_device *d,
    bool *found, struct err *err)
{
	struct filter by = { 0 };

	filter_text(&by, "unitId", b->unit_id);
	filter_text(&by, "sshPublicKey", b->key);
	return store_get(
	    b->fleet->store, &fleet_device_entity, &by, a, d, found, err);
}

static int
keep(struct batch *b, struct arena *a, struct err *err)
{
	struct fleet_device d;
	L *rows = arena_array(a, RECORDS_MAX, L);
	size_t n = 0;
	struct json j;
	bool found;
	int rc = find_device(b, a, &d, &found, err);

	if (rc != 0 || !found || str_eqz(d.state, "archived"))
		return rc; /* it has not enrolled, or is no more */
	json_open(&j, b->body, 0, a);
	if (json_array(&j))
		while (n < RECORDS_MAX && json_item(&j)) {
			L *row = &rows[n];

			row->message = row->host = row->program = row->tag =
			    STR("");
			row->severity = 6;
			if (!read_record(&j, row))
				break;
			row->unit_id = d.unit_id;
			row->device_id = d.id;
			row->id = log_id(a, d.id, row->id, clock_now());
			n++;
		}
	return n > 0 ? store_add_many(b->fleet->store, &fleet_log_entity, rows,
			   n, true, NULL, err)
		     : 0;
}

static void
run_batch(struct worker_job *job)
{
	struct batch *b = container_of(job, struct batch, job);
	struct arena a = { 0 };
	struct err err;

	if (keep(b, &a, &err) != 0)
		log_warn("store what a device has logged: %s", err.text);
	atomic_fetch_sub(&b->fleet->agents->log_bytes, (int64_t)b->cost);
	arena_fini(&a);
	str_free(b->unit_id);
	str_free(b->key);
	str_free(b->body);
	free(b);
}

/* --- taking --------------------------------------------------------------- */

static void
busy(struct http_call *c)
{
	http_error(c, 429, "err_rsc",
	    "too much waits to be stored; bring it again later");
	http_header(c, "Retry-After", STR("5"));
}

static bool
submit(struct fleet *f, struct batch *b)
{
	struct fleet_agents *all = f->agents;
	bool taken;

	pthread_mutex_lock(&all->lock);
	taken = all->logs != NULL && !all->ending &&
	    worker_submit(all->logs, &b->job) == 0;
	pthread_mutex_unlock(&all->lock);
	return taken;
}

static void
take(struct http_call *c, struct fleet *f, struct str unit_id, struct str key)
{
	struct batch *b = mem_new(struct batch);

	b->job.run = run_batch;
	b->fleet = f;
	b->unit_id = str_copy(unit_id);
	b->key = str_copy(key);
	b->body = str_copy(c->body);
	b->cost = c->body.len + sizeof(*b);
	if (atomic_fetch_add(&f->agents->log_bytes, (int64_t)b->cost) +
		    (int64_t)b->cost <=
		WAITING_MAX &&
	    submit(f, b)) {
		http_text(c, 200, "application/json", STR("null"));
		return;
	}
	atomic_fetch_sub(&f->agents->log_bytes, (int64_t)b->cost);
	str_free(b->unit_id);
	str_free(b->key);
	str_free(b->body);
	free(b);
	busy(c);
}

/* Who does not show token and key learns nothing. */
static void
handle_logs(struct http_call *c)
{
	struct fleet *f = (struct fleet *)c->route->ctx;
	struct fleet_agent_token t;
	struct buf key = { 0 };
	struct err err;

	if (c->thymis_token.len == 0 || c->thymis_key.len == 0 ||
	    ssh_public_normal(c->thymis_key, &key, NULL) != 0 ||
	    fleet_token_find(f, c->thymis_token, &c->arena, &t, &err) != 0)
		http_error(c, 404, "err_not_found", NULL);
	else if (json_type_of(c->body) != JSON_ARRAY || !json_valid(c->body, 0))
		http_error(c, 400, "err_param",
		    "must be a JSON array of records of rsyslog");
	else
		take(c, f, t.unit_id, buf_str(&key));
	buf_free(&key);
}

static const struct http_route log_rows[] = {
	{ "POST", "/agent/logs", HTTP_OPEN, .handle = handle_logs,
	    .body = { .media = "application/json" }, .body_max = BODY_MAX,
	    .help = "What a device has logged, as rsyslog's omhttp brings it. "
		    "Token and SSH host key are headers: X-Thymis-Token, "
		    "X-Thymis-Ssh-Pubkey." },
	{ 0 },
};

void
fleet_log_routes(struct fleet *f, http_add_routes *add, void *ctx)
{
	rest_mount_rows(
	    f != NULL ? &f->mounts : NULL, log_rows, "", f, add, ctx);
}

/* --- cleaning ------------------------------------------------------------- */

static int
drop_old(struct fleet *f, const struct entity *e, const char *time,
    int64_t keep_ms, struct err *err)
{
	struct filter old = { 0 };

	filter_add(&old, time, COND_LT, value_time(clock_now() - keep_ms));
	return store_del(f->store, e, &old, NULL, err);
}

struct mark {
	int64_t at;
	struct str id; /* in `arena` */
	struct arena arena;
};

/* Of the first line that is one too many. */
static int
mark(void *ctx, const void *row, struct err *err)
{
	struct mark *m = ctx;
	const L *l = row;

	(void)err;
	m->at = l->timestamp;
	m->id = arena_str(&m->arena, l->id);
	return 1;
}

/* Many lines may be of one moment. */
static int
drop_beyond(void *ctx, const void *row, struct err *err)
{
	struct fleet *f = ctx;
	const struct fleet_device *d = row;
	struct filter of = { 0 }, older = { 0 }, same = { 0 };
	struct store_query q = { .filter = &of,
		.sort = { { "timestamp", true }, { "id", true } },
		.n_sort = 2,
		.offset = (uint64_t)f->conf.logs_max,
		.limit = 1 };
	struct mark m = { .at = TIME_NULL };
	int rc;

	filter_text(&of, "deviceId", d->id);
	rc = MIN_OF(
	    store_list(f->store, &fleet_log_entity, &q, mark, &m, err), 0);
	if (m.at != TIME_NULL) {
		filter_text(&older, "deviceId", d->id);
		filter_add(&older, "timestamp", COND_LT, value_time(m.at));
		rc = store_del(f->store, &fleet_log_entity, &older, NULL, err);
		filter_text(&same, "deviceId", d->id);
		filter_add(&same, "timestamp", COND_EQ, value_time(m.at));
		filter_add(&same, "id", COND_LE, value_text(m.id));
	}
	if (m.at != TIME_NULL && rc == 0)
		rc = store_del(f->store, &fleet_log_entity, &same, NULL, err);
	arena_fini(&m.arena);
	return rc;
}

int
fleet_log_clean(struct fleet *f, struct err *err)
{
	struct arena a = { 0 };
	struct store_query all = { 0 };
	struct rows rows;
	int rc =
	    drop_old(f, &fleet_log_entity, "timestamp", f->conf.logs_ms, err);

	if (rc == 0)
		rc = drop_old(f, &fleet_metric_entity, "timestamp",
		    f->conf.metrics_ms, err);
	if (rc == 0)
		rc = drop_old(f, &fleet_connection_entity, "disconnectedAt",
		    f->conf.tasks_kept_ms, err);
	if (rc == 0)
		rc = store_all(
		    f->store, &fleet_device_entity, &all, &a, &rows, err);
	for (size_t i = 0; rc == 0 && i < rows.n; i++)
		rc = drop_beyond(f, (struct fleet_device *)rows.at + i, err);
	arena_fini(&a);
	return rc;
}
#undef L
