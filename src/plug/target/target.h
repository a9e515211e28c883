/*
 * plug/target/target.h - what a configuration is made true on: NixOS, or any
 * other Linux.
 *
 * A target writes the generated files of a state, and carries one configuration
 * to one device in steps:
 *
 *    build --> plan --> copy --> apply --> (the caller's checks) --> confirm
 *                                  |                 |
 *                                  +----> rollback <-+
 *
 * build() makes of a commit what can be applied, and names it by a text that is
 * kept: after a restart of the server the steps go on with it. plan() asks the
 * device and changes nothing: an empty plan is "as declared"; asked later it is
 * the drift. apply() first arms the device: unless confirm() reaches it within
 * the time, or when it starts again before, it takes itself back, with nobody's
 * help.
 *
 * Every step blocks its thread, may be repeated, and gives up soon after
 * target_host.cancelled says so (ERR_CANCELLED). Programs run with argument
 * vectors, never by a shell here; what goes through the shell of a device is
 * quoted by target_host.ssh.
 */
#ifndef PLUG_TARGET_TARGET_H
#define PLUG_TARGET_TARGET_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "codec/fleet_module.h"
#include "codec/fleet_state.h"

/* --- generated files ------------------------------------------------------ */

struct target_site {
	struct str agent_url;   /* where agents reach us */
	struct str thymis_url;  /* the flake input `thymis`; null: built in */
	struct str nixpkgs_url; /* null: follows that of `thymis` */
};

/* One file below the repository; lent. */
typedef int target_emit(
    void *ctx, struct str path, struct str text, struct err *err);

/* --- carrying it out ------------------------------------------------------ */

struct target_result {
	int status;          /* of exit(); -1: killed */
	struct str out, err; /* in the arena of the job; cut at a limit */
};

/* How a job does things; every function blocks. */
struct target_host {
	void *ctx;
	/* Runs a program here ("nix" is the one of the settings): `argv` and
	 * `env` ("NAME=value", may be NULL) end with NULL. `timeout_ms` 0: as
	 * long as the step may take. Its output is told live. ERR_CANCELLED,
	 * ERR_TIMEOUT, or ERR_IO: it did not run. That it ran and failed is in
	 * `ret`. */
	int (*run)(void *ctx, const char *const *argv, const char *const *env,
	    struct str input, int64_t timeout_ms, struct target_result *ret,
	    struct err *err);
	/* The same for a program whose output is for us: it is not told. */
	int (*ask)(void *ctx, const char *const *argv, const char *const *env,
	    struct str input, int64_t timeout_ms, struct target_result *ret,
	    struct err *err);
	/* Runs a program on the device, as root, by SSH (through its agent
	 * where it has no address): each of `argv` arrives as it is. ERR_AGAIN:
	 * the device can not be reached now. */
	int (*ssh)(void *ctx, const char *const *argv, struct str input,
	    int64_t timeout_ms, struct target_result *ret, struct err *err);
	/* The same for a program that people watch: its output is told live. */
	int (*ssh_told)(void *ctx, const char *const *argv, struct str input,
	    int64_t timeout_ms, struct target_result *ret, struct err *err);
	/* For programs that call ssh themselves (nix copy): a file for
	 * `ssh -F` that knows the device as host "device", with key, host key
	 * and proxy. Lives as long as the job. */
	int (*ssh_config)(void *ctx, struct str *path, struct err *err);
	/* Has an agent of Thymis's protocol switch to a store path, test the
	 * connection, and answer. ERR_NOT_FOUND: the device has no agent. */
	int (*agent_switch)(void *ctx, struct str path, int64_t timeout_ms,
	    struct target_result *ret, struct err *err);
	/* A secret's bytes as the device gets them, encrypted for its host key
	 * (age). */
	int (*secret)(void *ctx, struct str secret_id, struct str *sealed,
	    struct err *err);
	/* A line for who watches. */
	void (*tell)(void *ctx, struct str line);
	bool (*cancelled)(void *ctx);
};

#define TARGET_KEPT 5
struct target_job {
	const struct target_host *host;
	struct arena *arena;
	struct str repository; /* path of the working tree */
	struct str commit;     /* 40 hex digits */
	struct str config;     /* identifier */
	struct str run;        /* names this attempt; [0-9a-z] */
	int64_t copy_ms;       /* how long it may take; 0: an hour */
	int64_t apply_ms;      /* the same; then the device gives up */
	int64_t kept;          /* attempts that can be taken back; 0: five */
	int64_t confirm_ms;    /* after apply(), until it takes itself back */
};

enum target_action {
	TARGET_ADD,
	TARGET_CHANGE,
	TARGET_REMOVE,
	TARGET_RUN, /* restart, reload, enable */
};

struct target_change {
	enum target_action action;
	struct str kind;     /* "package", "file", "service", "user", ... */
	struct str name;     /* "/etc/motd" */
	struct str from, to; /* short, for people; null: nothing to say */
	struct str diff;     /* unified, of a text; or null */
};

struct target_plan {
	struct target_change *changes; /* in the order they are made */
	size_t n;
	struct str current; /* what the device has now, as build() names it;
			     * null: it can not say */
};

struct target {
	const char *name; /* "nixos" */
	const char *help;
	/* Everything below hosts/, tags/ and modules/ that is generated for the
	 * configurations and tags of this target, and what else belongs to it
	 * at the top (flake.nix). Faults of single modules are told with
	 * `fault` and the rest is written. */
	int (*generate)(const struct fleet_state *s,
	    const struct fleet_catalog *modules, const struct target_site *site,
	    target_emit *emit,
	    void (*fault)(void *ctx, struct str where, struct str what),
	    void *ctx, struct err *err);
	int (*build)(struct target_job *j, struct str *built, struct err *err);
	int (*plan)(struct target_job *j, struct str built,
	    struct target_plan *ret, struct err *err);
	int (*copy)(struct target_job *j, struct str built, struct err *err);
	int (*apply)(struct target_job *j, struct str built, struct err *err);
	int (*confirm)(struct target_job *j, struct str built, struct err *err);
	/* To what was there before apply(), also long after confirm(), as long
	 * as the device has kept it. */
	int (*rollback)(
	    struct target_job *j, struct str built, struct err *err);
};

extern const struct target target_nixos, target_linux;
extern const struct target *const targets[]; /* NULL ends */

/* `ms`, of a struct target_job; 0: an hour. */
int64_t target_ms(int64_t ms);

/* Whose a configuration is, by the `device_type` of its device module: those of
 * Thymis are NixOS, "linux" is any other. NULL: it has none yet. */
const struct target *target_of(const struct fleet_config *c);

#endif
