/*
 * core/fleet/private.h - what the files of core/fleet share.
 *
 *    fleet.c      opening, ending; the parts; who may what
 *    state.c      state.json of a unit, its repository, its history
 *    module.c     modules that are known; which definition wins
 *    device.c     devices, their hardware and tokens
 *    agent.c      their agents: enrolment, tunnels, orders
 *    secret.c     secrets and artifacts
 *    deploy.c     deployments;  task.c  their steps, with output
 *    limit.c      how much there may be of all that
 *    program.c    a program that a worker waits for
 *
 * REST handlers run on workers; a deployment has a thread for each device that
 * is worked on; agents live on the loop of HTTP. Each part guards its own.
 */
#ifndef CORE_FLEET_PRIVATE_H
#define CORE_FLEET_PRIVATE_H

#include "base/arena.h"
#include "base/loop.h"
#include "codec/fleet_module.h"
#include "codec/fleet_state.h"
#include "core/fleet/fleet.h"
#include "plug/target/target.h"

#define FLEET_API "/fleet/api/v1"

/* One concern of the fleet. What is NULL is not needed. */
struct fleet_part {
	const char *name;
	const struct entity *const *entities; /* NULL ends */
	int (*open)(struct fleet *f, struct err *err);
	int (*start)(struct fleet *f, struct err *err);
	void (*stop)(struct fleet *f);  /* nothing of it runs afterwards */
	void (*close)(struct fleet *f); /* also when open() failed */
	void (*routes)(struct fleet *f, http_add_routes *add, void *ctx);
	bool (*upgraded)(struct fleet *f, const struct http_upgraded *u);
	int (*clean)(struct fleet *f, struct err *err);
};
extern const struct fleet_part fleet_part_state, fleet_part_module,
    fleet_part_device, fleet_part_agent, fleet_part_secret, fleet_part_deploy;

struct fleet {
	struct fleet_conf conf;
	char *dir; /* {dataDir}/fleet */
	struct auth *auth;
	struct route *route;
	struct store *store;
	struct rest_mounts mounts;
	struct loop *loop;   /* of HTTP, since fleet_start() */
	_Atomic bool ending; /* programs are not waited for any more */
	/* each its part's own */
	struct fleet_repos *repos;
	struct fleet_modules *modules;
	struct fleet_agents *agents;
	struct fleet_deploys *deploys;
};

/* How every row begins. */
struct fleet_any {
	struct str id, unit_id;
};

/* For rest_object: rows of units that the caller may see; changes are its
 * owner's. They answer the call themselves. */
bool fleet_limit(struct rest *r, enum rest_verb verb, struct filter *f);
bool fleet_may(struct rest *r, enum rest_verb verb, const void *row);
bool fleet_before_add(struct rest *r, void *row, void *extra, void *beside);
/* The unit that the query `unit` names, with the right for `verb`; false: the
 * call is answered. */
bool fleet_call_unit(struct fleet *f, struct http_call *c, enum rest_verb verb,
    struct str *unit);
/* ERR_DENIED: the unit was deleted. [any thread] */
int fleet_unit_there(struct fleet *f, struct str unit_id, struct err *err);
/* The row of the id in the path, in the call's arena, when the caller has the
 * right for `verb` in its unit; false: the call is answered. A row that is not
 * there and one that is another's look the same. */
bool fleet_call_row(struct http_call *c, struct fleet *f,
    const struct entity *e, enum rest_verb verb, void *row);
/* {dir}/{unit id}/{rest}, with its folders made. In `a`. */
const char *fleet_path(
    struct fleet *f, struct arena *a, struct str unit_id, const char *rest);

/* --- program.c ------------------------------------------------------------ */

/* Runs a program and waits until done(ctx) was called. ERR_CLOSED: the server
 * ends; it was killed, and done() is not called. The rest as child_start(). */
struct child_conf;
struct child_end;
int fleet_program(struct fleet *f, const struct child_conf *conf,
    void (*done)(void *ctx, const struct child_end *end), void *ctx,
    struct err *err);

/* --- state.c: the repository of a unit ------------------------------------ */

/* A state at a commit; everything lies in `arena`. */
struct fleet_snapshot {
	struct arena arena;
	struct fleet_state state;
	struct str commit; /* null: the working tree */
};

/* Reads the state of a unit; `commit` null: as it is now, committed or not. */
int fleet_snapshot(struct fleet *f, struct str unit_id, struct str commit,
    struct fleet_snapshot *ret, struct err *err);
/* HEAD in `a`. ERR_AGAIN: there are changes that are not committed. */
int fleet_head(struct fleet *f, struct str unit_id, struct arena *a,
    struct str *commit, struct err *err);
/* A file as of a commit, in `a`. */
int fleet_file_at(struct fleet *f, struct str unit_id, struct str commit,
    const char *path, struct arena *a, struct str *ret, struct err *err);

/* --- module.c ------------------------------------------------------------- */

/* Modules that a unit has: built in, and from its repositories. Borrowed until
 * fleet_catalog_done(). */
int fleet_catalog_of(struct fleet *f, struct str unit_id,
    const struct fleet_catalog **ret, struct err *err);
void fleet_catalog_done(struct fleet *f, const struct fleet_catalog *c);
/* Writes what is generated from a state below `dir`, and removes what is not
 * any more. Faults of modules become lines of `faults` (JSON, a list of
 * {where, what}). */
int fleet_generate(struct fleet *f, struct str unit_id,
    const struct fleet_state *s, const char *dir, struct buf *faults,
    struct err *err);

/* --- device.c ------------------------------------------------------------- */

/* A device of the fleet: one identity, its SSH host key. */
struct fleet_device {
	struct str id, unit_id;
	struct str name;          /* "": none */
	struct str hub_device_id; /* the device whose values it sends; or "" */
	struct str
	    ssh_public_key; /* "ssh-ed25519 AAAA..."; "": not known yet */
	struct str address; /* host or address for SSH; "": by agent */
	int64_t ssh_port;
	struct str ssh_user;
	struct str config;          /* what it is to have; "": nothing */
	struct str deployed_config; /* what it has, "": not known */
	struct str deployed_commit;
	struct str deployed_built; /* as the target's build() named it */
	struct str pending_config; /* on its way */
	struct str state; /* "waiting" (for approval), "active", "archived" */
	struct str drift; /* JSON: null, or {"at","changes":[...]} */
	struct str location, notes;
	struct str network_interfaces; /* JSON list */
	int64_t ram_bytes;
	int64_t first_seen, last_seen;
	struct str enrolled_by; /* id of the token; "": by hand */
	int64_t created_at, modified_at;
};
extern const struct entity fleet_device_entity;

/* How a device is told from the caller's: texts in `a`. ERR_NOT_FOUND. */
int fleet_device_get(struct fleet *f, struct str id, struct arena *a,
    struct fleet_device *ret, struct err *err);
/* Sets members of a device ("deployedConfig deployedCommit"), taken from
 * `row`, and tells who follows. */
int fleet_device_set(struct fleet *f, const struct fleet_device *row,
    const char *members, struct err *err);

/* Before one more is added, with the store or within a tx of it. ERR_LIMIT. */
int fleet_device_room(
    struct fleet *f, struct store *s, struct str unit_id, struct err *err);

/* --- agent.c -------------------------------------------------------------- */

/* Is its agent connected now? [any thread] */
bool fleet_agent_is(struct fleet *f, struct str device_id);
/* How ssh reaches the device: arguments in front of the destination (key,
 * known hosts, proxy through the agent), "-F" and a file of the job's among
 * them; lives until fleet_ssh_done(). ERR_AGAIN: it can not be reached now. */
struct fleet_ssh {
	struct arena arena;
	struct str config_file; /* knows the host "device" */
	struct str token;       /* opens the tunnel; "": there is none */
};
int fleet_ssh_open(struct fleet *f, const struct fleet_device *d,
    struct fleet_ssh *ret, struct err *err);
void fleet_ssh_done(struct fleet *f, struct fleet_ssh *s);
/* Has the agent switch; blocks. See target_host.agent_switch. */
int fleet_agent_switch(struct fleet *f, const struct fleet_device *d,
    struct str path, struct str config, struct str commit, int64_t timeout_ms,
    struct arena *a, struct target_result *ret, bool (*cancelled)(void *ctx),
    void *ctx, struct err *err);

/* --- secret.c ------------------------------------------------------------- */

/* A secret of the unit as the device gets it: processed, then encrypted for its
 * host key (age). In `a`. */
int fleet_secret_for(struct fleet *f, const struct fleet_device *d,
    struct str secret_id, struct arena *a, struct str *sealed, struct err *err);
/* A secret of the unit as it was put in, for what the server does itself with
 * it. In `a`. ERR_NOT_FOUND. */
int fleet_secret_open(struct fleet *f, struct str unit_id, struct str secret_id,
    struct arena *a, struct str *ret, struct err *err);
/* Where the unit's key is, made when it is not there: client key of SSH, and
 * identity of age. The public half in `a`, "ssh-ed25519 AAAA...". */
int fleet_unit_key(struct fleet *f, struct str unit_id, struct arena *a,
    const char **path, struct str *public_key, struct err *err);

/* --- deploy.c ------------------------------------------------------------- */

/* Its agent is here, or SSH answered: what waits for it goes on. [any thread]
 */
void fleet_deploy_back(struct fleet *f, struct str device_id);

#endif
