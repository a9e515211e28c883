/*
 * core/fleet/agent.c - agents of devices: who is connected, and what other
 * threads want of them. See agent.h.
 */
#include "core/fleet/agent.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/ws_upgrade.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOG_MODULE "fleet"
#define WORKERS 2
#define WORKERS_QUEUE 100000 /* a few for each agent that may be connected */
#define LOG_QUEUE 1000
#define SLICE_MS 200 /* how often a waiting thread looks up */

/* --- who is here ---------------------------------------------------------- */

struct agent *
agent_of(struct fleet_agents *all, struct str device_id)
{
	struct agent *a;

	pthread_mutex_lock(&all->lock);
	a = map_get(&all->by_device, device_id);
	pthread_mutex_unlock(&all->lock);
	return a;
}

bool
fleet_agent_is(struct fleet *f, struct str device_id)
{
	return f->agents != NULL && agent_of(f->agents, device_id) != NULL;
}

/* --- from other threads --------------------------------------------------- */

struct errand {
	struct loop_post post;
	struct fleet_agents *all;
	struct str device_id, text; /* owned */
	bool drop;                  /* `text` is the reason */
};

static void
run_errand(struct loop_post *p)
{
	struct errand *e = container_of(p, struct errand, post);
	struct agent *a = agent_of(e->all, e->device_id);
	char *reason;

	if (a != NULL && e->drop) {
		reason = str_dupz(e->text);
		agent_end(a, reason);
		free(reason);
	} else if (a != NULL) {
		ws_conn_send(a->ws, false, e->text);
	}
	str_free(e->device_id);
	str_free(e->text);
	free(e);
}

static void
post_errand(
    struct fleet_agents *all, struct str device_id, struct str text, bool drop)
{
	struct errand *e = mem_new(struct errand);

	e->post.run = run_errand;
	e->all = all;
	e->device_id = str_copy(device_id);
	e->text = str_copy(text);
	e->drop = drop;
	loop_post(all->fleet->loop, &e->post);
}

bool
agent_send_to(
    struct fleet_agents *all, struct str device_id, struct str message)
{
	if (agent_of(all, device_id) == NULL)
		return false;
	post_errand(all, device_id, message, false);
	return true;
}

void
agent_drop(struct fleet_agents *all, struct str device_id, const char *reason)
{
	if (agent_of(all, device_id) != NULL)
		post_errand(all, device_id, str_of(reason), true);
}

/* --- switching ------------------------------------------------------------ */

/* A thread that waits for a device to switch. It goes through the loss of the
 * connection: that is how the device tests it. */
struct order {
	char id[RELAY_ID_TEXT + 1];
	struct fleet_agents *all;
	bool done;
	struct relay_message result; /* in arena */
	struct arena arena;
	pthread_cond_t come;
};

void
agent_switched(struct fleet_agents *all, const struct relay_message *m)
{
	struct order *o;

	pthread_mutex_lock(&all->lock);
	o = map_get(&all->orders, m->task_id);
	if (o != NULL && !o->done) {
		o->result = *m;
		o->result.out = arena_str(&o->arena, m->out);
		o->result.err = arena_str(
		    &o->arena, m->err.ptr != NULL ? m->err : m->error);
		o->done = true;
		pthread_cond_signal(&o->come);
	}
	pthread_mutex_unlock(&all->lock);
}

static void
wait_slice(struct order *o)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec += SLICE_MS * 1000000L;
	t.tv_sec += t.tv_nsec / 1000000000L;
	t.tv_nsec %= 1000000000L;
	(void)pthread_cond_timedwait(&o->come, &o->all->lock, &t);
}

static int
wait_order(struct order *o, int64_t timeout_ms, bool (*cancelled)(void *ctx),
    void *ctx, struct err *err)
{
	int64_t until = clock_mono() + timeout_ms;
	int rc = 0;

	pthread_mutex_lock(&o->all->lock);
	while (!o->done && rc == 0) {
		wait_slice(o);
		if (o->done)
			break;
		if (o->all->ending || (cancelled != NULL && cancelled(ctx)))
			rc = err_set(err, ERR_CLOSED, "it was cancelled");
		else if (clock_mono() >= until)
			rc = err_set(err, ERR_IO,
			    "the device's agent did not say how it went "
			    "within %lld s",
			    (long long)timeout_ms / 1000);
	}
	pthread_mutex_unlock(&o->all->lock);
	return rc;
}

static void
order_open(struct order *o, struct fleet_agents *all)
{
	unsigned char id[RELAY_ID];
	pthread_condattr_t attr;

	relay_id_new(id);
	relay_id_text(id, o->id);
	o->all = all;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&o->come, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_lock(&all->lock);
	map_put(&all->orders, str_of(o->id), o);
	pthread_mutex_unlock(&all->lock);
}

static void
order_close(struct order *o)
{
	pthread_mutex_lock(&o->all->lock);
	map_del(&o->all->orders, str_of(o->id));
	pthread_mutex_unlock(&o->all->lock);
	pthread_cond_destroy(&o->come);
	arena_fini(&o->arena);
}

static void
tell_result(const struct order *o, struct arena *a, struct target_result *ret)
{
	const struct relay_message *m = &o->result;

	ret->status = m->switch_success || m->success ? 0 : 1;
	ret->out = m->out.ptr != NULL ? arena_str(a, m->out) : STR("");
	ret->err = m->err.ptr != NULL ? arena_str(a, m->err) : STR("");
}

int
fleet_agent_switch(struct fleet *f, const struct fleet_device *d,
    struct str path, struct str config, struct str commit, int64_t timeout_ms,
    struct arena *a, struct target_result *ret, bool (*cancelled)(void *ctx),
    void *ctx, struct err *err)
{
	struct order o = { 0 };
	struct relay_message m = { .kind = RELAY_SWITCH,
		.new_path_to_config = path,
		.configuration_id = config,
		.config_commit = commit };
	struct buf text = { 0 };
	int rc = 0;

	if (!fleet_agent_is(f, d->id))
		return err_set(
		    err, ERR_NOT_FOUND, "the device's agent is not connected");
	fleet_secrets_push(f, d->id);
	order_open(&o, f->agents);
	m.task_id = str_of(o.id);
	relay_write(&m, &text);
	if (!agent_send_to(f->agents, d->id, buf_str(&text)))
		rc = err_set(
		    err, ERR_NOT_FOUND, "the device's agent is not connected");
	if (rc == 0)
		rc = wait_order(&o, timeout_ms, cancelled, ctx, err);
	if (rc == 0)
		tell_result(&o, a, ret);
	order_close(&o);
	buf_free(&text);
	return rc;
}

/* --- connections ---------------------------------------------------------- */

struct open {
	struct fleet_agents *all;
	struct http_tunnel *tunnel;
};

static void
on_ended(void *ctx)
{
	struct open *o = ctx;

	o->all->n_open--;
	http_tunnel_end(o->tunnel);
	free(o);
}

struct ws_conn *
agents_connection(struct fleet_agents *all, const struct http_upgraded *u,
    const struct ws_conn_events *events, void *owner)
{
	struct open *o = mem_new(struct open);
	const struct ws_conn_conf conf = { .message_max = AGENT_START_MAX,
		.low = AGENT_LOW,
		.ended = on_ended,
		.ended_ctx = o };

	o->all = all;
	o->tunnel = u->tunnel;
	all->n_open++;
	return ws_conn_new(
	    all->fleet->loop, &conf, u->fd, NULL, u->already, events, owner);
}

/* --- the way in ----------------------------------------------------------- */

static void
take_header(void *ctx, struct str name, struct str value)
{
	ws_request_header(ctx, name, value);
}

/* On the loop: 101, or why not. */
static void
handle_upgrade(struct http_call *c)
{
	struct fleet *f = (struct fleet *)c->route->ctx;
	struct ws_request r = { .method = str_of(c->method),
		.target = c->target,
		.any_protocol = true };
	struct buf accept = { 0 };
	int status;

	http_server_headers(c, take_header, &r);
	status = ws_request_judge(&r, NULL);
	if (status != 101) {
		http_error(c, status, "err_param",
		    "here agents come by WebSocket, version 13");
		return;
	}
	/* a page of another origin has no business here; agents send none */
	if (!http_server_origin_ok(c)) {
		http_error(c, 403, "err_perm", NULL);
		return;
	}
	if (f->agents == NULL || f->agents->ending ||
	    f->agents->n + f->agents->n_accesses >= (size_t)f->conf.agents) {
		http_error(c, 503, "err_rsc",
		    "too many are connected; see fleet.agent.connections");
		http_header(c, "Retry-After", STR("30"));
		return;
	}
	http_empty(c, 101);
	ws_accept(r.key, &accept);
	http_header(c, "Upgrade", STR("websocket"));
	http_header(c, "Sec-WebSocket-Accept", buf_str(&accept));
	buf_free(&accept);
}

bool
agent_path_is(const struct http_upgraded *u, const char *path)
{
	return u->route->handle == handle_upgrade &&
	    strcmp(u->route->path, path) == 0;
}

static bool
upgraded(struct fleet *f, const struct http_upgraded *u)
{
	if (u->route->handle != handle_upgrade)
		return false;
	if (agent_path_is(u, "/agent/relay"))
		agent_new(f->agents, u);
	else
		access_new(f->agents, u);
	return true;
}

/* What agents of old ask for. */
static void
handle_gone(struct http_call *c)
{
	http_error(c, 404, "err_not_found",
	    "agents come by WebSocket, to /agent/relay");
}

static const struct http_route agent_rows[] = {
	{ "GET", "/agent/relay", HTTP_OPEN, .handle = handle_upgrade,
	    .flags = HTTP_UPGRADE | HTTP_HIDDEN,
	    .help = "A WebSocket for the agents of devices." },
	{ "GET", "/agent/relay_for_clients", HTTP_OPEN,
	    .handle = handle_upgrade, .flags = HTTP_UPGRADE | HTTP_HIDDEN,
	    .help = "A WebSocket for who wants a tunnel to a device." },
	{ "POST", "/agent/register", HTTP_OPEN, .handle = handle_gone,
	    .flags = HTTP_HIDDEN, .help = "Not any more." },
	{ "POST", "/agent/heartbeat", HTTP_OPEN, .handle = handle_gone,
	    .flags = HTTP_HIDDEN, .help = "Not any more." },
	{ "POST", "/agent/notify", HTTP_OPEN, .handle = handle_gone,
	    .flags = HTTP_HIDDEN, .help = "Not any more." },
	{ 0 },
};

static void
routes(struct fleet *f, http_add_routes *add, void *ctx)
{
	rest_mount_rows(
	    f != NULL ? &f->mounts : NULL, agent_rows, "", f, add, ctx);
	fleet_token_routes(f, add, ctx);
	fleet_log_routes(f, add, ctx);
}

/* --- start and end -------------------------------------------------------- */

/* The program's own path, also when it was replaced meanwhile. */
static char *
own_program(void)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	char *deleted;

	if (n <= 0)
		return str_dupz(STR("marram"));
	path[n] = '\0';
	deleted = strstr(path, " (deleted)");
	if (deleted != NULL)
		*deleted = '\0';
	return str_dupz(str_of(path));
}

static int
open_agents(struct fleet *f, struct err *err)
{
	struct fleet_agents *all = mem_new(struct fleet_agents);

	all->fleet = f;
	pthread_mutex_init(&all->lock, NULL);
	list_init(&all->all);
	list_init(&all->proving);
	list_init(&all->accesses);
	all->listen.fd = -1;
	all->program = own_program();
	all->claims = claims_new();
	f->agents = all;
	if (f->route != NULL)
		route_on_unit_gone(f->route, agents_unit_gone, f);
	return agent_close_stale(f, err);
}

static int
start(struct fleet *f, struct err *err)
{
	f->agents->workers =
	    worker_pool_new("fleet-agents", WORKERS, WORKERS_QUEUE);
	f->agents->logs = worker_pool_new("fleet-logs", 1, LOG_QUEUE);
	return access_listen(f->agents, err);
}

/* Who reads hears why it ends; who does not is dropped, since a connection that
 * says goodbye lasts no longer than ws_conn lets it. */
static void
end_all(struct fleet_agents *all)
{
	do { /* one may just have been let in */
		access_stop(all);
		while (!list_empty(&all->all))
			agent_end(list_first(&all->all, struct agent, link),
			    "the server ended");
		loop_turn(all->fleet->loop, SLICE_MS);
	} while (all->n_open > 0);
}

static void
stop(struct fleet *f)
{
	struct fleet_agents *all = f->agents;

	if (all == NULL)
		return;
	pthread_mutex_lock(&all->lock);
	all->ending = true;
	pthread_mutex_unlock(&all->lock);
	if (f->loop != NULL)
		end_all(all);
	worker_pool_free(all->workers);
	worker_pool_free(all->logs);
	all->workers = all->logs = NULL;
	/* what they have posted */
	if (f->loop != NULL)
		loop_turn(f->loop, 0);
}

static void
close_agents(struct fleet *f)
{
	struct fleet_agents *all = f->agents;

	if (all == NULL)
		return;
	map_fini(&all->by_device);
	map_fini(&all->orders);
	map_fini(&all->passes);
	map_fini(&all->by_key);
	pthread_mutex_destroy(&all->lock);
	claims_free(all->claims);
	free(all->program);
	free(all->socket);
	free(all);
	f->agents = NULL;
}

static const struct entity *const entities[] = { &fleet_agent_token_entity,
	&fleet_access_token_entity, &fleet_removed_key_entity,
	&fleet_hardware_entity, &fleet_hardware_pair_entity,
	&fleet_connection_entity, &fleet_log_entity, &fleet_metric_entity,
	NULL };

const struct fleet_part fleet_part_agent = {
	.name = "agent",
	.entities = entities,
	.open = open_agents,
	.start = start,
	.stop = stop,
	.close = close_agents,
	.routes = routes,
	.upgraded = upgraded,
	.clean = fleet_log_clean,
};
