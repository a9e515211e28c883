/*
 * core/fleet/deploy.h - what the files of deployments share.
 *
 *    deploy.c        the list of those under way, threads, whose turn it is
 *    deploy_row.c    their rows, and how far they are
 *    deploy_settle.c what follows from that: go on, stop, take back, end
 *    deploy_step.c   one device, step by step
 *    deploy_check.c  is a device well?
 *    deploy_clean.c  what is too old goes
 *    deploy_drift.c  in what a device is not as it was deployed
 *    deploy_api.c    over HTTP: plan, deploy, cancel, retry
 *    task.c          what a step is to people: a row and its output
 *    job.c           how a step does things: programs here and on the device
 *
 *                     POST /deployment
 *    planning --> planned ------------> running ---> done | failed |
 *       POST /plan        .../start                  rolledBack | cancelled
 *
 * A device of it:
 *
 *    queued <--> waiting            (offline)
 *       |
 *       v
 *    build --> plan --> copy --> apply --> checks --> confirm --> done
 *                |                  \________|__________/
 *                v                           v
 *             planned                     rollback --> rolledBack
 *
 * and from any of them failed, cancelled; from the first two superseded,
 * missed.
 *
 *  (1) A state is in the store before its step begins.
 *  (2) A device is worked on by one thread, for one deployment, at a time.
 *  (3) Rows of those under way are read and changed with the lock held; the
 *      store is used without it.
 */
#ifndef CORE_FLEET_DEPLOY_H
#define CORE_FLEET_DEPLOY_H

#include "core/fleet/private.h"

#include "base/list.h"
#include "codec/nix_log.h"
#include "codec/redact.h"

#include <pthread.h>
#include <stdatomic.h>

struct fleet_deployment {
	struct str id, unit_id;
	struct str commit;
	struct str message;
	struct strs configs, tags, devices; /* what was asked for */
	int64_t canary;                     /* devices that go first */
	int64_t at_once;                    /* 0: as many as the setting says */
	int64_t max_failures;               /* behind the first ones */
	struct str checks;                  /* JSON list */
	struct str rollback;                /* "all", "device" */
	struct str state, reason;
	struct str outcome; /* what it will be when all have ended: "" */
	struct str user_id, account;
	int64_t n_devices;
	int64_t created_at, started_at, ended_at;
};
extern const struct entity fleet_deployment_entity;

struct fleet_deployment_device {
	struct str id, unit_id;
	struct str deployment_id, device_id, device_name;
	struct str config;
	int64_t position;
	bool canary;
	struct str state, reason;
	struct str built;
	struct str run; /* names the attempt to apply */
	int64_t attempts;
	struct str before_built, before_config, before_commit;
	struct str changes; /* JSON list, as planned */
	int64_t created_at, started_at, ended_at;
};
extern const struct entity fleet_deployment_device_entity;

struct fleet_task {
	struct str id, unit_id;
	struct str deployment_id, deployment_device_id;
	struct str device_id, device_name, config, commit;
	struct str kind; /* "build", "plan", "copy", ... */
	struct str state, reason;
	int64_t done, expected; /* of builds and copies */
	int64_t output_size;
	bool output_cut;
	int64_t created_at, ended_at;
};
extern const struct entity fleet_task_entity;

/* --- those under way ------------------------------------------------------ */

struct deployment;

/* One device of one deployment. */
struct target_device {
	struct fleet_deployment_device row; /* texts in `arena`, or literals */
	struct deployment *of;
	bool working;        /* by a thread */
	_Atomic bool cancel; /* somebody does not want it any more */
	int64_t try_at;      /* clock_mono(): not before */
	int64_t tries;       /* to reach it, in vain */
	bool resumed;        /* it was under way when the program ended */
	bool lost;           /* it went away in the middle of `confirm` */
	struct arena arena;
};

struct deployment {
	struct list link; /* in fleet_deploys.active */
	struct fleet_deployment row;
	struct target_device **devices;
	size_t n;
	int64_t offline_until; /* clock_now() */
	struct arena arena;
};

/* Something that is being built, once for all who want it. */
struct building {
	struct list link;
	struct str unit_id, commit, config; /* lent by who builds */
};

struct fleet_deploys {
	struct fleet *fleet;
	pthread_mutex_t settle; /* taken before lock: one who decides */
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct list active;
	int64_t beginning; /* that have room, and are not in the list yet */
	struct list builds;
	pthread_t *threads;
	size_t n_threads;
};

/* The one under way that has this id, or NULL. [lock or settle held] */
struct deployment *deploy_under_way(
    struct fleet_deploys *dep, struct str deployment_id);
/* With its devices; it is in no list any more. */
void deploy_forget(struct deployment *d);
/* Reads a deployment and its devices from the store into the list of those
 * under way. `resumed`: after a start of the program. */
int deploy_load(struct fleet *f, const struct fleet_deployment *row,
    bool resumed, struct err *err);
/* Keeps room for one more, until deploy_room_taken(): then it is under way, or
 * came to nothing. ERR_LIMIT. */
int deploy_room(struct fleet *f, struct err *err);
void deploy_room_taken(struct fleet *f);
/* Something may be there to do. [any thread] */
void deploy_kick(struct fleet *f);
/* Decides what follows from how far the devices are. [any thread, without
 * lock] */
void deploy_settle(struct fleet *f);
/* What waits for these devices elsewhere is not needed any more. */
void deploy_supersede(struct fleet *f, struct str deployment_id);
/* 1: it is under way and will end; 0: it is not under way; or negative. With
 * `device_row_id` one device of it, else all. */
int deploy_cancel(struct fleet *f, struct str deployment_id,
    struct str device_row_id, struct err *err);
/* What was planned is carried out. ERR_AGAIN: it is not that far. */
int deploy_begin(struct fleet *f, struct str deployment_id, struct err *err);

/* How far its devices are. [lock held] */
struct tally {
	int64_t in_hand, done, failed, missed, rolled_back;
	int64_t open; /* have not ended */
};
struct tally deploy_count(const struct deployment *d);
/* Have those that go first not all gone well yet? */
bool deploy_is_first(const struct deployment *d, const struct tally *t);

/* Keeps members of a row ("state reason"), by its id. */
int deploy_save(struct fleet *f, const struct entity *e, const void *row,
    const char *members, struct err *err);
/* Sets the state of a device, in the store first, and tells who follows. `more`
 * names other members, which are taken from `row` ("built run"); both may be
 * NULL. Texts are copied. [who works on it] */
int device_state(struct fleet *f, struct target_device *d,
    const struct fleet_deployment_device *row, const char *state,
    const char *reason, const char *more, struct err *err);

/* The same for a deployment; `outcome` may be "". `reason` is copied. [settle
 * held] */
int deployment_state(struct fleet *f, struct deployment *d, const char *state,
    struct str reason, const char *outcome, struct err *err);
/* Takes a row into memory. What the device has had there before stays until the
 * deployment has ended, since others may look at it; so what is long is left
 * out. [lock held, or it is in no list yet] */
void device_keep(
    struct target_device *d, const struct fleet_deployment_device *row);
void deployment_keep(struct deployment *d, const struct fleet_deployment *row);

/* What the device is at now; a word that lives for ever. [without lock] */
struct str device_state_now(struct fleet *f, struct target_device *d);
/* It was begun and has not ended. [lock held] */
bool device_is_in_hand(const struct target_device *d);
/* Nothing was done at the device yet. */
bool device_is_new(struct str state);
/* It has, or may have, the new configuration, and nobody has said it stays. */
bool device_is_open(struct str state);
bool device_has_failed(struct str state);
bool deployment_is(struct fleet *f, struct deployment *d, const char *state);
bool device_has_ended(struct str state);
bool deployment_has_ended(struct str state);
bool task_has_ended(struct str state);

/* Works on a device until it ends, waits or is to stop. */
void deploy_work(struct fleet *f, struct target_device *d);

/* --- tasks ---------------------------------------------------------------- */

/* A step of a device while it runs. */
struct task {
	struct fleet *fleet;
	struct fleet_task row; /* texts in `arena` */
	struct arena arena;
	int fd; /* of its output; -1: none could be made */
	int64_t written, total;
	struct buf tail;    /* the last of what did not fit */
	struct buf part[2]; /* lines whose end has not come */
	struct strs secrets;
	struct redact redact[2];
	struct nix_log nix;
	int64_t told_at; /* clock_mono() */
};

/* Begins one, for a device of a deployment. Never fails: without a file or a
 * row the work goes on, and that is logged. */
struct task *task_begin(struct fleet *f, const struct target_device *d,
    struct str commit, const char *kind);
/* What a program wrote, or a whole line of our own. */
void task_bytes(struct task *t, bool is_error, struct str bytes);
void task_line(struct task *t, struct str line);
/* Not to be shown, nor any of its lines; copied. */
void task_secret(struct task *t, struct str secret);
/* Takes what is secret out of a sentence; `t` may be NULL. */
void task_redact(const struct task *t, struct err *err);
/* `state` "done", "failed", "cancelled"; frees it. */
void task_end(struct task *t, const char *state, const char *reason);
/* Of a program that was ended: what was under way has failed. */
int fleet_tasks_load(struct fleet *f, struct err *err);
/* Removes the outputs of a deployment. */
int fleet_tasks_gone(
    struct fleet *f, struct str deployment_id, struct err *err);
void fleet_tasks_routes(struct fleet *f, http_add_routes *add, void *ctx);
const char *task_path(
    struct fleet *f, struct arena *a, struct str unit_id, struct str id);

/* --- jobs ----------------------------------------------------------------- */

/* How one step does things; see struct target_host. */
struct job {
	struct fleet *fleet;
	struct task *task;
	struct target_device *device; /* NULL: none */
	struct fleet_device row;      /* texts in `arena` */
	bool has_row;
	struct arena arena;
	struct loop *loop;
	struct fleet_ssh ssh;
	bool has_ssh;
	bool undoes;         /* a rollback, which nobody cancels */
	int64_t timeout_ms;  /* of the step; programs take no longer */
	const char *setting; /* which one says so; NULL: none */
	struct str commit, config;
	struct target_host host;
	struct target_job target;
};

int job_open(struct job *j, struct fleet *f, struct target_device *d,
    struct task *t, struct err *err);
void job_close(struct job *j);
/* Can the device be reached now? 0, ERR_AGAIN, or why it never will. */
int job_reach(struct job *j, struct err *err);

/* --- drift ---------------------------------------------------------------- */

/* The changes as a JSON list, in `a`; beyond the limit one line says how many
 * there are more. */
struct str deploy_changes(struct arena *a, const struct target_plan *p);
/* The same as the member `drift` of a device: found now. */
struct str deploy_drift(struct arena *a, struct str config, struct str commit,
    const struct target_plan *p);
void deploy_drift_routes(struct fleet *f, http_add_routes *add, void *ctx);

/* --- cleaning --------------------------------------------------------------
 */

/* Deployments that ended before that go, and what was built for nobody. */
int deploy_clean(struct fleet *f, int64_t before, struct err *err);

/* --- checks --------------------------------------------------------------- */

/* Waits until the device is there again and well. `checks`: those of the
 * deployment. */
int deploy_check(struct job *j, struct str checks, bool had_agent,
    int64_t wait_ms, struct err *err);
/* ERR_PARAM: they are none. */
int deploy_checks_valid(struct str checks, struct err *err);

/* --- over HTTP ------------------------------------------------------------ */

void deploy_routes(struct fleet *f, http_add_routes *add, void *ctx);
/* Tells who follows that a row has changed. */
void deploy_tell(struct fleet *f, const char *kind, const char *type,
    const struct entity *e, const void *row);

#endif
