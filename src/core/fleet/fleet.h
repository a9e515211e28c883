/*
 * core/fleet/fleet.h - the fleet: what machines should be, declared, versioned,
 * carried out and taken back.
 *
 * Serves /fleet/api/v1/... for people, and /agent/... for the agents of
 * devices. Each unit has a Git repository with its state.json and what is
 * generated from it; devices, deployments and tasks are rows of a store.
 */
#ifndef CORE_FLEET_FLEET_H
#define CORE_FLEET_FLEET_H

#include "base/conf.h"
#include "base/err.h"
#include "core/auth/auth.h"
#include "core/rest/version.h"
#include "core/route/route.h"
#include "net/http/server.h"
#include "plug/store/settings.h"

struct fleet;

/* Times are milliseconds, sizes bytes; what each is for is said to people in
 * fleet_fields[]. */
struct fleet_conf {
	struct store_settings db;
	struct str directory;     /* repositories, keys, outputs of tasks */
	struct str public_url;    /* where agents reach us; null: not known */
	struct str git, nix, ssh; /* programs */
	struct str thymis_url, nixpkgs_url;
	int64_t lock_ms;    /* 0: inputs are never locked by themselves */
	bool local_inputs;  /* they may be folders of this machine */
	int64_t output_max; /* bytes kept of a task's output */
	int64_t tasks_kept_ms;
	int64_t deployments_kept; /* that have ended */
	int64_t outputs_max;      /* bytes of all tasks' */
	int64_t repository_max;   /* bytes of a unit's */
	int64_t devices;          /* of a unit */
	int64_t under_way;        /* deployments at a time */
	int64_t jobs;             /* devices that are worked on at a time */
	int64_t build_ms, copy_ms, apply_ms, confirm_ms, check_ms;
	int64_t offline_ms; /* how long a deployment waits for a device */
	int64_t agents;     /* connections at a time */
	int64_t tunnels;    /* of an agent at a time */
	int64_t agent_ms;   /* without a sign of life */
	int64_t proofs;     /* agents whose key is proven at a time */
	struct str targets; /* where tunnels may go */
	int64_t logs_ms, logs_max;     /* kept: age, and lines of a device */
	int64_t metrics_ms;            /* kept */
	int64_t artifact_max;          /* bytes of a file */
	int64_t secret_max;            /* bytes of a secret */
	int64_t remote_ms;             /* of pushing and pulling */
	bool remote_local;             /* remotes on this machine */
	struct versions_conf versions; /* no rows: they are every store's */
};
extern const struct conf_field fleet_fields[];

/* Opens the store. `dir`: where relative paths begin. Copies the struct `conf`;
 * borrows its texts, `auth` and `route`. On failure leaves nothing behind. */
int fleet_open(const struct fleet_conf *conf, const char *dir,
    struct auth *auth, struct route *route, struct fleet **ret,
    struct err *err);
/* What was under way when the program ended goes on. `loop` is that of HTTP. */
int fleet_start(struct fleet *f, struct loop *loop, struct err *err);
/* No job runs when it returns; each stays as it stands, for the next start. */
void fleet_stop(struct fleet *f);
void fleet_close(struct fleet *f); /* NULL is fine */

void fleet_routes(struct fleet *f, http_add_routes *add, void *ctx);
/* For http_server_events.upgraded. False: the connection is not ours. */
bool fleet_upgraded(struct fleet *f, const struct http_upgraded *u);

/* Repositories and keys of all units, for a backup: copied into the folder
 * `to`; put in the place of what is there, taken away from `from`. */
int fleet_backup_copy(void *fleet, const char *to, struct err *err);
int fleet_backup_put_back(void *fleet, const char *from, struct err *err);
/* Tells what that would change, unit by unit; see struct backup_folder. */
int fleet_backup_compare(void *fleet, const char *from,
    void (*note)(void *note_ctx, const char *fate, struct str name),
    void *note_ctx, struct err *err);

struct store *fleet_store(struct fleet *f);
extern const struct entity *const fleet_entities[]; /* NULL ends */
/* Removes what is too old. On a worker, now and then. */
int fleet_clean(struct fleet *f, struct err *err);

#endif
