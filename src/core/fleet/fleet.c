/*
 * core/fleet/fleet.c - see fleet.h: opening and ending, the parts, and who may
 * what.
 */
#include "core/fleet/agent.h"
#include "core/fleet/deploy.h"
#include "core/fleet/state.h"

#include "base/base.h"
#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const struct fleet_part *const parts[] = {
	&fleet_part_state,
	&fleet_part_module,
	&fleet_part_device,
	&fleet_part_agent,
	&fleet_part_secret,
	&fleet_part_deploy,
};

/* --- settings ------------------------------------------------------------- */

#define C struct fleet_conf
#define TIME_MAX ((int64_t)366 * 24 * 3600 * 1000)
const struct conf_field fleet_fields[] = {
	STORE_ROWS(C, "fleet.db", "fleet",
	    "the fleet's devices, deployments and tasks"),
	CONF_TEXT(C, directory, "directory", .def = "fleet",
	    .help = "The folder of the units' repositories, keys and the "
		    "outputs of tasks, in the data folder unless it begins "
		    "with a slash."),
	CONF_TEXT(C, public_url, "publicUrl",
	    .help = "Where agents and devices reach this server, as "
		    "https://fleet.example.org. Not set: what the caller "
		    "used."),
	CONF_TEXT(C, git, "programs.git", .def = "git",
	    .help = "The program that pushes to and pulls from remotes."),
	CONF_TEXT(C, nix, "programs.nix", .def = "nix",
	    .help = "The program that builds configurations for NixOS."),
	CONF_TEXT(C, ssh, "programs.ssh", .def = "ssh",
	    .help = "The program that reaches devices."),
	CONF_TEXT(C, thymis_url, "nix.thymis",
	    .help = "The flake with the base modules of devices. Not set: the "
		    "one that is written beside the state."),
	CONF_TEXT(C, nixpkgs_url, "nix.nixpkgs",
	    .help = "The flake of nixpkgs. Not set: the one that nix.thymis "
		    "follows."),
	CONF_MS(C, lock_ms, "nix.lockTime", .def = "60s", .min = 0,
	    .max = TIME_MAX,
	    .help = "How long finding the inputs of a flake may take after "
		    "they were changed. 0s: they are looked for only when "
		    "somebody updates them."),
	CONF_BOOL(C, local_inputs, "nix.localInputs", .def = "false",
	    .help = "Repositories of modules may be folders of this machine. "
		    "Who may change the state of a unit could then read "
		    "what the server may read."),
	CONF_SIZE(C, output_max, "output.max", .def = "16MiB", .min = 65536,
	    .max = (int64_t)1 << 32,
	    .help = "What is kept of the output of one task."),
	CONF_MS(C, tasks_kept_ms, "output.keep", .def = "90d", .min = 3600000,
	    .max = TIME_MAX,
	    .help = "How long tasks and deployments that have ended are "
		    "kept."),
	CONF_INT(C, deployments_kept, "output.deployments", .def = "10000",
	    .min = 1, .max = 1000000000,
	    .help = "Deployments that have ended and are kept with their "
		    "tasks; the oldest go first."),
	CONF_SIZE(C, outputs_max, "output.total", .def = "10GiB",
	    .min = 1 << 20, .max = (int64_t)1 << 50,
	    .help = "What is kept of the outputs of all tasks; the oldest "
		    "deployments that have ended go first."),
	CONF_SIZE(C, repository_max, "repository.max", .def = "4GiB",
	    .min = 1 << 20, .max = (int64_t)1 << 50,
	    .help = "The size of a unit's repository, its history and "
		    "artifacts included; what would be beyond is refused."),
	CONF_INT(C, devices, "device.max", .def = "100000", .min = 1,
	    .max = 1000000000, .help = "Devices that a unit may have."),
	CONF_INT(C, under_way, "deploy.underWay", .def = "100", .min = 1,
	    .max = 100000,
	    .help = "Deployments that may be planned or under way at a "
		    "time."),
	CONF_INT(C, jobs, "deploy.atOnce", .def = "8", .min = 1, .max = 256,
	    .help = "Devices that are worked on at a time."),
	CONF_MS(C, build_ms, "deploy.buildTime", .def = "2h", .min = 1000,
	    .max = TIME_MAX,
	    .help = "How long building a configuration may take."),
	CONF_MS(C, copy_ms, "deploy.copyTime", .def = "2h", .min = 1000,
	    .max = TIME_MAX,
	    .help = "How long copying it to a device may take."),
	CONF_MS(C, apply_ms, "deploy.applyTime", .def = "1h", .min = 1000,
	    .max = TIME_MAX,
	    .help = "How long a device may take to apply it; then it takes "
		    "back what it has done, in as much time."),
	CONF_MS(C, confirm_ms, "deploy.confirmTime", .def = "60s", .min = 1000,
	    .max = TIME_MAX,
	    .help = "How long a device waits, after it has applied a "
		    "configuration, to be reached again; then it takes it "
		    "back by itself."),
	CONF_MS(C, check_ms, "deploy.checkTime", .def = "60s", .min = 1000,
	    .max = TIME_MAX,
	    .help = "How long the checks of a device's health may take, "
		    "unless they say it themselves."),
	CONF_INT(C, runs_kept, "deploy.kept", .def = "5", .min = 1, .max = 1000,
	    .help = "Configurations that were confirmed and that a device "
		    "can still take back; what it keeps for older ones "
		    "goes."),
	CONF_MS(C, offline_ms, "deploy.offlineTime", .def = "7d", .min = 0,
	    .max = TIME_MAX,
	    .help = "How long a deployment waits for devices that are "
		    "offline. 0s: it does not."),
	CONF_INT(C, agents, "agent.connections", .def = "10000", .min = 0,
	    .max = 1000000, .help = "Agents that may be connected."),
	CONF_INT(C, tunnels, "agent.tunnels", .def = "32", .min = 1,
	    .max = 1024, .help = "Tunnels to one device at a time."),
	CONF_MS(C, agent_ms, "agent.silence", .def = "60s", .min = 1000,
	    .max = TIME_MAX,
	    .help = "How long an agent may be silent before its connection "
		    "is ended; halfway it is asked by a ping. It speaks every "
		    "10 s."),
	CONF_INT(C, proofs, "agent.proofs", .def = "8", .min = 1, .max = 256,
	    .help = "Agents whose SSH host key is proven at a time, each by "
		    "signing in to it; the others wait."),
	CONF_TEXT(C, targets, "agent.targets",
	    .def = "localhost:22 127.0.0.1:22 localhost:5900",
	    .help = "Where tunnels through agents may go, as host:port, with "
		    "spaces between; * for any. The agent has a list of its "
		    "own."),
	CONF_MS(C, logs_ms, "logs.keep", .def = "7d", .min = 60000,
	    .max = TIME_MAX, .help = "How long what devices log is kept."),
	CONF_INT(C, logs_max, "logs.max", .def = "1000000", .min = 100,
	    .max = 1000000000,
	    .help = "Lines of logs that are kept of one device; the "
		    "oldest go first."),
	CONF_MS(C, metrics_ms, "metrics.keep", .def = "30d", .min = 60000,
	    .max = TIME_MAX,
	    .help = "How long the load that agents tell is kept."),
	CONF_SIZE(C, artifact_max, "artifact.max", .def = "64MiB", .min = 1024,
	    .max = (int64_t)1 << 40, .help = "The size of an artifact."),
	CONF_SIZE(C, secret_max, "secret.max", .def = "1MiB", .min = 64,
	    .max = (int64_t)1 << 30, .help = "The size of a secret."),
	CONF_MS(C, remote_ms, "remote.time", .def = "2m", .min = 1000,
	    .max = TIME_MAX,
	    .help = "How long pushing to a remote, or pulling from one, may "
		    "take."),
	CONF_BOOL(C, remote_local, "remote.local", .def = "false",
	    .help = "Remotes may be folders of this machine (file://...): "
		    "whoever may change a fleet can then read and write every "
		    "repository that the server can."),
	{ 0 },
};

/* --- who may what --------------------------------------------------------- */

static bool
is_admin(const struct http_call *c)
{
	return auth_is(c, HTTP_ROLE_ADMIN | HTTP_ROLE_MANAGER);
}

static bool
may_unit(struct fleet *f, struct http_call *c, enum rest_verb verb,
    struct str unit_id)
{
	return is_admin(c) || route_may_unit(f->route, c, unit_id, verb) == 1;
}

bool
fleet_call_unit(
    struct fleet *f, struct http_call *c, enum rest_verb verb, struct str *unit)
{
	struct err err;
	int there;

	*unit = http_query(c, "unit");
	if (unit->len == 0) {
		http_error(c, 400, "err_param", "missing `unit`");
		return false;
	}
	there = route_unit_exists(f->route, *unit, &err);
	if (there < 0) {
		rest_db_error(c, &err);
		return false;
	}
	if (there == 1 && may_unit(f, c, verb, *unit))
		return true;
	if (c->status == 0)
		http_error(c, 400, "err_fleet_unit_not_exist", NULL);
	return false;
}

int
fleet_unit_there(struct fleet *f, struct str unit_id, struct err *err)
{
	int there =
	    f->route != NULL ? route_unit_exists(f->route, unit_id, err) : 1;

	return there == 0 ? err_set(err, ERR_DENIED, "its unit was deleted")
	    : there < 0   ? there
			  : 0;
}

bool
fleet_limit(struct rest *r, enum rest_verb verb, struct filter *f)
{
	struct str unit = http_query(r->c, "unit");

	(void)verb;
	if (unit.len == 0 && is_admin(r->c))
		return true;
	if (!fleet_call_unit(r->module, r->c, REST_GET, &unit))
		return false;
	filter_text(f, "unitId", unit);
	return true;
}

bool
fleet_may(struct rest *r, enum rest_verb verb, const void *row)
{
	return may_unit(
	    r->module, r->c, verb, ((const struct fleet_any *)row)->unit_id);
}

bool
fleet_call_row(struct http_call *c, struct fleet *f, const struct entity *e,
    enum rest_verb verb, void *row)
{
	struct filter filter = { 0 };
	bool found = false;
	struct err err;

	filter_text(&filter, "id", http_var(c, 0));
	if (store_get(f->store, e, &filter, &c->arena, row, &found, &err) !=
	    0) {
		rest_db_error(c, &err);
		return false;
	}
	if (found &&
	    may_unit(f, c, verb, ((const struct fleet_any *)row)->unit_id))
		return true;
	if (c->status == 0)
		http_error(c, 404, "err_not_found", NULL);
	return false;
}

bool
fleet_before_add(struct rest *r, void *row, void *extra, void *beside)
{
	const struct fleet_any *any = row;
	struct fleet *f = r->module;
	int rc = route_may_unit(f->route, r->c, any->unit_id, REST_ADD);

	(void)extra;
	(void)beside;
	if (rc == 0)
		http_error(r->c, 400, "err_fleet_unit_not_exist", NULL);
	return rc == 1;
}

const char *
fleet_path(
    struct fleet *f, struct arena *a, struct str unit_id, const char *rest)
{
	char *path = arena_z(a,
	    arena_printf(
		a, "%s/" STR_FMT "/%s", f->dir, STR_ARG(unit_id), rest));

	/* its folders, one after the other */
	for (char *at = path + 1; (at = strchr(at, '/')) != NULL; at++) {
		*at = '\0';
		(void)mkdir(path, 0700); /* who opens what is in it says why */
		*at = '/';
	}
	return path;
}

/* --- opening and ending --------------------------------------------------- */

struct store *
fleet_store(struct fleet *f)
{
	return f->store;
}

const struct entity *const fleet_entities[] = {
	&fleet_device_entity,
	&fleet_remote_entity,
	&fleet_agent_token_entity,
	&fleet_access_token_entity,
	&fleet_removed_key_entity,
	&fleet_hardware_entity,
	&fleet_hardware_pair_entity,
	&fleet_connection_entity,
	&fleet_log_entity,
	&fleet_metric_entity,
	&fleet_secret_entity,
	&fleet_deployment_entity,
	&fleet_deployment_device_entity,
	&fleet_task_entity,
	NULL,
};

int
fleet_open(const struct fleet_conf *conf, const char *dir, struct auth *auth,
    struct route *route, struct fleet **ret, struct err *err)
{
	struct fleet *f = mem_new(struct fleet);
	int rc;

	f->conf = *conf;
	f->auth = auth;
	f->route = route;
	f->dir = conf->directory.len > 0 && conf->directory.ptr[0] == '/'
	    ? str_dupz(conf->directory)
	    : mem_printf("%s/" STR_FMT, dir != NULL ? dir : ".",
		  STR_ARG(conf->directory));
	rc = store_open_settings(
	    &f->conf.db, "fleet", dir, fleet_entities, &f->store, err);
	for (size_t i = 0; rc == 0 && i < COUNT_OF(parts); i++)
		if (parts[i]->open != NULL)
			rc = parts[i]->open(f, err);
	if (rc != 0) {
		fleet_close(f);
		return rc;
	}
	*ret = f;
	return 0;
}

int
fleet_start(struct fleet *f, struct loop *loop, struct err *err)
{
	int rc = 0;

	f->loop = loop;
	for (size_t i = 0; rc == 0 && i < COUNT_OF(parts); i++)
		if (parts[i]->start != NULL)
			rc = parts[i]->start(f, err);
	return rc;
}

void
fleet_stop(struct fleet *f)
{
	if (f == NULL)
		return;
	atomic_store(&f->ending, true);
	for (size_t i = COUNT_OF(parts); i-- > 0;)
		if (parts[i]->stop != NULL)
			parts[i]->stop(f);
}

void
fleet_close(struct fleet *f)
{
	if (f == NULL)
		return;
	for (size_t i = COUNT_OF(parts); i-- > 0;)
		if (parts[i]->close != NULL)
			parts[i]->close(f);
	rest_mounts_free(&f->mounts);
	store_close(f->store);
	free(f->dir);
	free(f);
}

void
fleet_routes(struct fleet *f, http_add_routes *add, void *ctx)
{
	for (size_t i = 0; i < COUNT_OF(parts); i++)
		if (parts[i]->routes != NULL)
			parts[i]->routes(f, add, ctx);
}

bool
fleet_upgraded(struct fleet *f, const struct http_upgraded *u)
{
	for (size_t i = 0; i < COUNT_OF(parts); i++)
		if (parts[i]->upgraded != NULL && parts[i]->upgraded(f, u))
			return true;
	return false;
}

int
fleet_clean(struct fleet *f, struct err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < COUNT_OF(parts); i++)
		if (parts[i]->clean != NULL)
			rc = parts[i]->clean(f, err);
	return rc;
}
