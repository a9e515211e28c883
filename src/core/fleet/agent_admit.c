/*
 * core/fleet/agent_admit.c - what agents need of the store, on workers: may
 * one come in, which device it is, and what is kept of it.
 *
 * A device is its SSH host key. Its hardware is known by serial numbers; so a
 * disk that was copied to another machine is found out: a known key, on
 * hardware that is not the device's.
 *
 *    key   hardware            it is
 *    new   new, or another's   a new device; that hardware is its own now
 *    old   its own, or none    that device
 *    old   another, or new     a copy: it is to make a new key
 *    any   two different ones  refused
 */
#include "core/fleet/agent.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LOG_MODULE "fleet"
#define SEEN_MS 60000
#define INTERFACES_MAX 65536
#define REASON_MAX 200

/* --- jobs ----------------------------------------------------------------- */

struct work {
	struct worker_job job;
	void (*fn)(void *ctx);
	void *ctx;
};

static void
run_work(struct worker_job *job)
{
	struct work *w = container_of(job, struct work, job);

	w->fn(w->ctx);
	free(w);
}

bool
agent_work(struct fleet_agents *all, void (*fn)(void *ctx), void *ctx)
{
	struct work *w = mem_new(struct work);
	bool taken;

	w->job.run = run_work;
	w->fn = fn;
	w->ctx = ctx;
	pthread_mutex_lock(&all->lock);
	taken = all->workers != NULL && !all->ending &&
	    worker_submit(all->workers, &w->job) == 0;
	pthread_mutex_unlock(&all->lock);
	if (!taken)
		free(w);
	return taken;
}

/* One question of an agent's connection; what comes back is put into its arena
 * on the loop. */
struct task {
	struct loop_post post;
	struct fleet_agents *all;
	struct agent *agent; /* referred to; not looked into by the worker */
	void (*run)(struct task *t);
	void (*back)(struct task *t);
	struct arena arena;
	/* copies of what is known */
	struct str token, public_key, unit_id, token_id, device_id, address;
	struct str connection_id, hardware, interfaces, deployed, reason;
	struct str message; /* for the agent */
	int64_t ram_bytes;
	struct relay_message said;
	int outcome, rc;
	bool waiting;
	struct err err;
};

static void
task_done(struct loop_post *p)
{
	struct task *t = container_of(p, struct task, post);

	if (t->back != NULL && t->agent->state != AGENT_DEAD)
		t->back(t);
	agent_unref(t->agent);
	if (t->token.len > 0)
		explicit_bzero((char *)t->token.ptr, t->token.len);
	arena_fini(&t->arena);
	free(t);
}

static void
task_run(void *ctx)
{
	struct task *t = ctx;

	t->run(t);
	t->post.run = task_done;
	loop_post(t->all->fleet->loop, &t->post);
}

static struct task *
task_new(
    struct agent *a, void (*run)(struct task *t), void (*back)(struct task *t))
{
	struct task *t = mem_new(struct task);
	struct arena *to = &t->arena;

	t->all = a->all;
	t->agent = a;
	t->run = run;
	t->back = back;
	t->public_key = arena_str(to, a->public_key);
	t->unit_id = arena_str(to, a->unit_id);
	t->token_id = arena_str(to, a->token_id);
	t->device_id = arena_str(to, a->device_id);
	t->connection_id = arena_str(to, a->connection_id);
	t->address = arena_str(to, str_of(a->address));
	t->hardware = arena_str(to, a->said.hardware_ids);
	t->interfaces = a->said.network_interfaces.len <= INTERFACES_MAX
	    ? arena_str(to, a->said.network_interfaces)
	    : STR_NULL;
	t->deployed = arena_str(to, a->said.deployed_config_id);
	t->ram_bytes = a->said.ram_bytes;
	return t;
}

static void
task_start(struct task *t)
{
	t->agent->refs++;
	if (agent_work(t->all, task_run, t))
		return;
	t->rc = err_set(&t->err, ERR_LIMIT,
	    "too much waits for the store; it is to try again");
	t->outcome = AGENT_OUT_REFUSED;
	t->post.run = task_done;
	loop_post(t->all->fleet->loop, &t->post);
}

/* --- admission ------------------------------------------------------------ */

static void
run_admit(struct task *t)
{
	struct fleet_agent_token token;

	t->rc = fleet_token_find(
	    t->all->fleet, t->token, &t->arena, &token, &t->err);
	if (t->rc != 0)
		return;
	t->unit_id = token.unit_id;
	t->token_id = token.id;
}

static void
back_admit(struct task *t)
{
	struct agent *a = t->agent;

	a->unit_id = arena_str(&a->arena, t->unit_id);
	a->token_id = arena_str(&a->arena, t->token_id);
	agent_admitted(a, t->rc != 0 ? &t->err : NULL);
}

void
agent_admit(struct agent *a)
{
	struct task *t = task_new(a, run_admit, back_admit);

	t->token = arena_str(&t->arena, a->said.token);
	explicit_bzero((char *)a->said.token.ptr, a->said.token.len);
	a->said.token = STR_NULL;
	task_start(t);
}

/* --- enrolment ------------------------------------------------------------ */

struct enrolment {
	struct task *t;
	struct store *tx;
	struct fleet_agent_token token;
	struct fleet_device device;
	bool known;
	struct fleet_hardware hardware;
	bool hardware_known;
	int64_t now;
};

/* "kind=value" of each of its ids. */
static struct strs
pairs_of(struct arena *a, struct str ids)
{
	struct strs list = { arena_array(a, 16, struct str), 0 };
	struct str key, value;
	struct json j;

	json_open(&j, ids, 0, a);
	if (json_object(&j))
		while (json_member(&j, &key) && json_str(&j, &value) &&
		    list.n < 16)
			if (value.len > 0)
				list.at[list.n++] =
				    arena_printf(a, STR_FMT "=" STR_FMT,
					STR_ARG(key), STR_ARG(value));
	return list;
}

static int
find_device(struct enrolment *e, struct err *err)
{
	struct filter f = { 0 };
	struct store_query q = { .filter = &f, .limit = 2 };
	struct rows rows;
	int rc;

	filter_text(&f, "unitId", e->t->unit_id);
	filter_text(&f, "sshPublicKey", e->t->public_key);
	rc = store_all(
	    e->tx, &fleet_device_entity, &q, &e->t->arena, &rows, err);
	if (rc != 0)
		return rc;
	if (rows.n > 1)
		return err_set(err, ERR_DENIED,
		    "two devices of the unit have its key: archive or delete "
		    "one of them");
	e->known = rows.n == 1;
	if (e->known)
		e->device = *(struct fleet_device *)rows.at;
	return 0;
}

static int
find_hardware(struct enrolment *e, const struct strs *pairs, struct err *err)
{
	struct value *list =
	    arena_array(&e->t->arena, pairs->n + 1, struct value);
	struct filter f = { 0 }, by_id = { 0 };
	struct store_query q = { .filter = &f };
	struct rows rows;
	struct str id = STR_NULL;
	int rc;

	if (pairs->n == 0)
		return 0;
	for (size_t i = 0; i < pairs->n; i++)
		list[i] = value_text(pairs->at[i]);
	filter_text(&f, "unitId", e->t->unit_id);
	filter_in(&f, "pair", list, pairs->n);
	rc = store_all(
	    e->tx, &fleet_hardware_pair_entity, &q, &e->t->arena, &rows, err);
	for (size_t i = 0; rc == 0 && i < rows.n; i++) {
		const struct fleet_hardware_pair *p =
		    (struct fleet_hardware_pair *)rows.at + i;

		if (id.ptr != NULL && !str_eq(id, p->hardware_id))
			rc = err_set(err, ERR_DENIED,
			    "its serial numbers are of two different machines "
			    "that are known");
		id = p->hardware_id;
	}
	if (rc != 0 || id.ptr == NULL)
		return rc;
	filter_text(&by_id, "id", id);
	return store_get(e->tx, &fleet_hardware_entity, &by_id, &e->t->arena,
	    &e->hardware, &e->hardware_known, err);
}

/* Is it another machine than the device's? */
static int
is_clone(struct enrolment *e, size_t n_pairs, bool *ret, struct err *err)
{
	struct filter f = { 0 };
	int64_t n;
	int rc;

	*ret = false;
	if (!e->known || n_pairs == 0)
		return 0;
	if (e->hardware_known) {
		*ret = !str_eq(e->hardware.device_id, e->device.id);
		if (!*ret)
			return 0;
	}
	/* a device whose hardware was never known takes this one */
	filter_text(&f, "deviceId", e->device.id);
	rc = store_count(e->tx, &fleet_hardware_entity, &f, &n, err);
	*ret = n > 0;
	return rc;
}

static int
keep_hardware(struct enrolment *e, const struct strs *pairs, struct err *err)
{
	struct arena *a = &e->t->arena;
	struct filter of = { 0 }, id = { 0 };
	const struct change off[] = { { "deviceId", value_text(STR("")) } };
	int rc;

	if (pairs->n == 0)
		return 0;
	filter_text(&of, "deviceId", e->device.id);
	rc =
	    store_update(e->tx, &fleet_hardware_entity, &of, off, 1, NULL, err);
	if (rc != 0)
		return rc;
	if (!e->hardware_known) {
		e->hardware = (struct fleet_hardware){
			.id = rand_id(a, e->now, ID_LONG),
			.unit_id = e->t->unit_id,
			.created_at = e->now,
		};
	}
	e->hardware.device_id = e->device.id;
	e->hardware.hardware_ids = e->t->hardware;
	e->hardware.last_seen = e->now;
	rc = store_upsert(e->tx, &fleet_hardware_entity, &e->hardware, err);
	filter_text(&id, "hardwareId", e->hardware.id);
	if (rc == 0)
		rc = store_del(
		    e->tx, &fleet_hardware_pair_entity, &id, NULL, err);
	for (size_t i = 0; rc == 0 && i < pairs->n; i++)
		rc = store_add(e->tx, &fleet_hardware_pair_entity,
		    &(struct fleet_hardware_pair){
			.id = rand_id(a, e->now, ID_LONG),
			.unit_id = e->t->unit_id,
			.hardware_id = e->hardware.id,
			.pair = pairs->at[i] },
		    err);
	return rc;
}

static int
new_device(struct enrolment *e, struct err *err)
{
	struct fleet_device *d = &e->device;
	struct arena *a = &e->t->arena;
	const struct change uses[] = {
		{ "uses", value_int(e->token.uses + 1) },
		{ "lastUsed", value_time(e->now) },
	};
	struct filter f = { 0 };
	bool unasked = false;
	int64_t n;
	int rc = fleet_token_good(&e->token, err);

	if (rc == 0)
		rc = fleet_key_taken_back(e->tx, e->t->unit_id,
		    e->t->public_key, e->token.created_at, &unasked, err);
	if (rc == 0)
		rc = fleet_device_room(
		    e->t->all->fleet, e->tx, e->t->unit_id, err);
	if (rc != 0)
		return rc;
	memset(d, 0, sizeof(*d));
	record_init(&fleet_device_entity.record, d);
	rc = record_defaults(&fleet_device_entity.record, a, 0, d, err);
	if (rc != 0)
		return rc;
	d->id = rand_id(a, e->now, 20);
	d->unit_id = e->t->unit_id;
	d->ssh_public_key = e->t->public_key;
	d->config = e->token.config;
	d->state =
	    e->token.approval || unasked ? STR("waiting") : STR("active");
	d->enrolled_by = e->token.id;
	d->first_seen = d->created_at = e->now;
	/* of two at a time that take the last use one fails */
	filter_text(&f, "id", e->token.id);
	filter_add(&f, "uses", COND_EQ, value_int(e->token.uses));
	rc = store_update(
	    e->tx, &fleet_agent_token_entity, &f, uses, 2, &n, err);
	if (rc == 0 && n != 1)
		rc = err_set(err, ERR_AGAIN, "the token is being used");
	return rc;
}

static int
keep_device(struct enrolment *e, struct err *err)
{
	struct fleet_device *d = &e->device;
	struct task *t = e->t;

	d->last_seen = e->now;
	d->modified_at = e->now;
	if (d->first_seen == TIME_NULL)
		d->first_seen = e->now;
	if (t->deployed.len > 0 && t->deployed.len <= 63 &&
	    !str_eq(t->deployed, d->deployed_config) &&
	    d->pending_config.len == 0 && d->deployed_config.len == 0)
		d->deployed_config = t->deployed;
	if (t->interfaces.len > 0 && json_type_of(t->interfaces) == JSON_ARRAY)
		d->network_interfaces = t->interfaces;
	if (t->ram_bytes > 0)
		d->ram_bytes = t->ram_bytes;
	return store_upsert(e->tx, &fleet_device_entity, d, err);
}

static int
keep_connection(struct enrolment *e, struct err *err)
{
	const struct change over[] = {
		{ "disconnectedAt", value_time(e->now) },
	};
	struct filter open = { 0 };
	struct fleet_connection c = {
		.id = rand_id(&e->t->arena, e->now, ID_LONG),
		.unit_id = e->t->unit_id,
		.device_id = e->device.id,
		.address = e->t->address,
		.connected_at = e->now,
		.disconnected_at = TIME_NULL,
		.reason = STR(""),
	};
	int rc;

	filter_text(&open, "deviceId", e->device.id);
	filter_add(&open, "disconnectedAt", COND_EQ, value_time(TIME_NULL));
	rc = store_update(
	    e->tx, &fleet_connection_entity, &open, over, 1, NULL, err);
	e->t->connection_id = c.id;
	return rc == 0 ? store_add(e->tx, &fleet_connection_entity, &c, err)
		       : rc;
}

static int
in_enrol(struct store *tx, void *ctx, struct err *err)
{
	struct task *t = ctx;
	struct enrolment e = { .t = t, .tx = tx, .now = clock_now() };
	struct strs pairs = pairs_of(&t->arena, t->hardware);
	struct filter f = { 0 };
	bool found, clone;
	int rc;

	t->outcome = AGENT_OUT_REFUSED;
	filter_text(&f, "id", t->token_id);
	rc = store_get(tx, &fleet_agent_token_entity, &f, &t->arena, &e.token,
	    &found, err);
	if (rc == 0 && (!found || e.token.revoked))
		rc = err_set(err, ERR_DENIED, "the token was revoked");
	if (rc == 0)
		rc = find_device(&e, err);
	if (rc == 0)
		rc = find_hardware(&e, &pairs, err);
	if (rc == 0)
		rc = is_clone(&e, pairs.n, &clone, err);
	if (rc == 0 && clone) {
		t->outcome = AGENT_OUT_CLONED;
		return err_set(err, ERR_DENIED,
		    "it has the key of a device, on other hardware: its disk "
		    "was copied; it is to make a new key");
	}
	if (rc == 0 && !e.known)
		rc = new_device(&e, err);
	if (rc == 0 && str_eqz(e.device.state, "archived"))
		rc = err_set(err, ERR_DENIED, "the device is archived");
	if (rc == 0)
		rc = keep_device(&e, err);
	if (rc == 0)
		rc = keep_hardware(&e, &pairs, err);
	if (rc == 0)
		rc = keep_connection(&e, err);
	if (rc != 0)
		return rc;
	t->device_id = e.device.id;
	t->outcome = str_eqz(e.device.state, "waiting") ? AGENT_OUT_WAITING
							: AGENT_OUT_UP;
	return 0;
}

static void
run_enrol(struct task *t)
{
	/* its unit may have been deleted while its key was proven */
	t->outcome = AGENT_OUT_REFUSED;
	t->rc = fleet_unit_there(t->all->fleet, t->unit_id, &t->err);
	if (t->rc == 0)
		t->rc = store_tx(t->all->fleet->store, in_enrol, t, &t->err);
}

static void
back_enrol(struct task *t)
{
	struct agent *a = t->agent;

	a->device_id = arena_str(&a->arena, t->device_id);
	a->connection_id = arena_str(&a->arena, t->connection_id);
	agent_enrolled(a, t->outcome, &t->err);
}

void
agent_enrol(struct agent *a)
{
	task_start(task_new(a, run_enrol, back_enrol));
}

/* --- greeting ------------------------------------------------------------- */

static void
put_host_name(struct fleet *f, const struct fleet_device *d, struct arena *a,
    struct buf *out)
{
	const struct relay_message m = { .kind = RELAY_HOSTNAME,
		.hostname = fleet_host_name(f, d, a) };

	relay_write(&m, out);
}

static void
run_greet(struct task *t)
{
	struct fleet *f = t->all->fleet;
	struct fleet_device d;
	struct buf secrets = { 0 }, name = { 0 };

	t->rc = fleet_device_get(f, t->device_id, &t->arena, &d, &t->err);
	if (t->rc != 0)
		return;
	t->waiting = !str_eqz(d.state, "active");
	if (!t->waiting &&
	    fleet_secrets_message(f, &d, &t->arena, &secrets, &t->err) != 0)
		log_warn("secrets of device " STR_FMT ": %s", STR_ARG(d.id),
		    t->err.text);
	put_host_name(f, &d, &t->arena, &name);
	t->message = arena_str(&t->arena, buf_str(&secrets));
	t->reason = arena_str(&t->arena, buf_str(&name));
	buf_free(&secrets);
	buf_free(&name);
	if (!t->waiting)
		fleet_deploy_back(f, t->device_id);
}

static void
back_greet(struct task *t)
{
	struct agent *a = t->agent;

	if (a->state != AGENT_UP)
		return;
	if (t->rc == ERR_NOT_FOUND) {
		agent_end(a, "the device was deleted");
		return;
	}
	a->waiting = t->waiting;
	if (t->message.len > 0)
		ws_conn_send(a->ws, false, t->message);
	if (t->reason.len > 0)
		ws_conn_send(a->ws, false, t->reason);
	agent_send_kind(a, RELAY_CONFIRMED);
}

void
agent_greet(struct agent *a)
{
	task_start(task_new(a, run_greet, back_greet));
}

/* Lower case, only letters, digits and "-", at most 63. */
static struct str
host_name(struct arena *a, struct str name)
{
	char *p = arena_z(a, arena_lower(a, name));
	size_t n = MIN_OF(name.len, (size_t)63);

	for (size_t i = 0; i < n; i++)
		if (!((p[i] >= 'a' && p[i] <= 'z') ||
			(p[i] >= '0' && p[i] <= '9')))
			p[i] = '-';
	while (n > 0 && *p == '-') {
		p++;
		n--;
	}
	while (n > 0 && p[n - 1] == '-')
		n--;
	return (struct str){ p, n };
}

/* What the device's configuration says, by the weight of who says it. */
static struct str
name_of_config(struct fleet *f, const struct fleet_device *d, struct arena *a)
{
	struct fleet_snapshot snap = { 0 };
	const struct fleet_config *c;
	struct str name = STR("");
	int64_t best = INT64_MAX;

	if (d->config.len == 0 ||
	    fleet_snapshot(f, d->unit_id, STR_NULL, &snap, NULL) != 0)
		return name;
	c = fleet_config_find(&snap.state, d->config);
	for (size_t i = 0; c != NULL && i <= c->tags.n; i++) {
		const struct fleet_tag *tag = i == 0
		    ? NULL
		    : fleet_tag_find(&snap.state, c->tags.at[i - 1]);
		const struct fleet_use *use = i == 0
		    ? fleet_use_find(
			  c->modules, c->n_modules, STR(FLEET_DEVICE_MODULE))
		    : tag != NULL ? fleet_use_find(tag->modules, tag->n_modules,
					STR(FLEET_DEVICE_MODULE))
				  : NULL;
		int64_t weight = i == 0 ? FLEET_PRIORITY_CONFIG
		    : tag != NULL       ? tag->priority
					: INT64_MAX;
		struct str json = use != NULL
		    ? fleet_setting_of(use, "device_name")
		    : STR_NULL;
		struct str text = STR_NULL;
		struct json j;

		if (json.ptr == NULL || weight >= best)
			continue;
		json_open(&j, json, 0, a);
		if (json_str(&j, &text) && text.len > 0) {
			name = arena_str(a, text);
			best = weight;
		}
	}
	arena_fini(&snap.arena);
	return name;
}

struct str
fleet_host_name(struct fleet *f, const struct fleet_device *d, struct arena *a)
{
	struct str name = host_name(a, d->name);

	if (name.len == 0)
		name = host_name(a, name_of_config(f, d, a));
	return name.len > 0 ? name : STR("thymis");
}

/* --- while it is there ---------------------------------------------------- */

static void
run_seen(struct task *t)
{
	const int64_t now = clock_now();
	const struct change c[] = { { "lastSeen", value_time(now) } };
	struct filter id = { 0 }, of = { 0 };
	struct store *s = t->all->fleet->store;

	filter_text(&id, "id", t->device_id);
	filter_text(&of, "deviceId", t->device_id);
	if (store_update(s, &fleet_device_entity, &id, c, 1, NULL, &t->err) !=
		0 ||
	    store_update(s, &fleet_hardware_entity, &of, c, 1, NULL, &t->err) !=
		0)
		log_warn("note that a device was seen: %s", t->err.text);
}

void
agent_seen(struct agent *a)
{
	int64_t now = clock_mono();

	if (now - a->seen_at < SEEN_MS)
		return;
	a->seen_at = now;
	task_start(task_new(a, run_seen, NULL));
}

static void
run_gone(struct task *t)
{
	const int64_t now = clock_now();
	const struct change c[] = { { "disconnectedAt", value_time(now) },
		{ "reason", value_text(t->reason) } };
	struct filter id = { 0 };

	filter_text(&id, "id", t->connection_id);
	filter_add(&id, "disconnectedAt", COND_EQ, value_time(TIME_NULL));
	if (store_update(t->all->fleet->store, &fleet_connection_entity, &id, c,
		2, NULL, &t->err) != 0)
		log_warn("note the end of a connection: %s", t->err.text);
	run_seen(t);
}

void
agent_gone(struct agent *a, const char *reason)
{
	struct task *t = task_new(a, run_gone, NULL);
	struct str text = str_of(reason);

	text.len = MIN_OF(text.len, (size_t)REASON_MAX);
	t->reason = arena_str(&t->arena, text);
	task_start(t);
}

static double
percent(double d)
{
	return isfinite(d) && d >= 0 && d <= 100 ? d : NAN;
}

static void
run_metrics(struct task *t)
{
	const struct relay_message *m = &t->said;
	const int64_t now = clock_now();

	if (store_add(t->all->fleet->store, &fleet_metric_entity,
		&(struct fleet_metric){ .id = rand_id(&t->arena, now, ID_LONG),
		    .unit_id = t->unit_id,
		    .device_id = t->device_id,
		    .timestamp = now,
		    .cpu_percent = percent(m->cpu_percent),
		    .ram_percent = percent(m->ram_percent),
		    .disk_percent = percent(m->disk_percent) },
		&t->err) != 0)
		log_warn("keep the load of a device: %s", t->err.text);
}

void
agent_take_metrics(struct agent *a, const struct relay_message *m)
{
	int64_t now = clock_mono();
	struct task *t;

	if (a->metrics_at != 0 && now - a->metrics_at < 10000)
		return; /* they come every 60 s */
	a->metrics_at = now;
	t = task_new(a, run_metrics, NULL);
	t->said.cpu_percent = m->cpu_percent;
	t->said.ram_percent = m->ram_percent;
	t->said.disk_percent = m->disk_percent;
	task_start(t);
}

static void
run_interfaces(struct task *t)
{
	struct fleet_device d = { .id = t->device_id,
		.network_interfaces = t->interfaces };

	if (fleet_device_set(t->all->fleet, &d, "networkInterfaces", &t->err) !=
	    0)
		log_warn("keep the interfaces of a device: %s", t->err.text);
}

void
agent_take_interfaces(struct agent *a, const struct relay_message *m)
{
	struct task *t;

	if (m->network_interfaces.len > INTERFACES_MAX ||
	    json_type_of(m->network_interfaces) != JSON_ARRAY)
		return;
	t = task_new(a, run_interfaces, NULL);
	t->interfaces = arena_str(&t->arena, m->network_interfaces);
	task_start(t);
}

int
agent_close_stale(struct fleet *f, struct err *err)
{
	const struct change c[] = { { "disconnectedAt",
					value_time(clock_now()) },
		{ "reason", value_text(STR("the server ended")) } };
	struct filter open = { 0 };

	filter_add(&open, "disconnectedAt", COND_EQ, value_time(TIME_NULL));
	return store_update(
	    f->store, &fleet_connection_entity, &open, c, 2, NULL, err);
}
