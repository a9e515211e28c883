/*
 * core/fleet/agent.h - what the files about agents, devices and secrets share.
 *
 *    agent.c         the part: who is connected; orders from other threads
 *    agent_conn.c    one agent's connection: what it says, and is told
 *    agent_admit.c   on workers: may it come in, and what is kept of it
 *    agent_tunnel.c  tunnels through it: bytes, borders, ends
 *    agent_gone.c    devices and units that were deleted
 *    agent_access.c  the near ends of tunnels: a WebSocket, or a socket of ours
 *    agent_token.c   tokens that agents enrol with; claim codes
 *    agent_log.c     what devices log
 *    device_ssh.c    ssh to a device: its settings, its proof, single commands
 *    secret_push.c   which secrets a configuration names, and where they go
 *
 * Connections and tunnels live on the loop of HTTP. What other threads look at
 * is guarded by `lock`; what they want done is posted.
 */
#ifndef CORE_FLEET_AGENT_H
#define CORE_FLEET_AGENT_H

#include "base/list.h"
#include "base/map.h"
#include "base/worker.h"
#include "codec/relay.h"
#include "core/fleet/private.h"
#include "net/ws_conn.h"

#include <pthread.h>

/* Bytes of a message: of the first, before it is known who speaks; until its
 * key is proven; then, since the output of a switch is long. */
#define AGENT_START_MAX 65536
#define AGENT_PROOF_MAX ((size_t)1 << 20)
#define AGENT_MESSAGE_MAX ((size_t)16 << 20)
#define ACCESS_MESSAGE_MAX ((size_t)4 << 20)
#define AGENT_KEY_MAX 4096
#define AGENT_WAITING_MAX ((size_t)1 << 20) /* then nothing more is read */
#define AGENT_LOW ((size_t)256 << 10)
#define AGENT_CHUNK ((size_t)128 << 10)
#define AGENT_CHUNK_TEXT ((size_t)12 << 10) /* before base64 */

struct agent;
struct tunnel;

/* --- rows ----------------------------------------------------------------- */

/* Times are clock_now()'s, or TIME_NULL; ids of units, devices and tokens are
 * those of their rows. */

struct fleet_agent_token {
	struct str id, unit_id, name;
	struct str hash; /* of the token, as hex */
	struct str hint; /* its last letters */
	struct str config;
	bool approval, revoked;
	int64_t uses_max, uses;
	int64_t expires_at, last_used;
	int64_t created_at, modified_at;
};
extern const struct entity fleet_agent_token_entity;

/* Opens tunnels to one device, for who has signed in elsewhere. */
struct fleet_access_token {
	struct str id, unit_id, device_id;
	struct str hash;    /* SHA-256 of the token, as hex */
	struct str user_id; /* who has asked for it */
	int64_t expires_at, created_at;
};
extern const struct entity fleet_access_token_entity;

/* Of a device that was deleted: by it alone nobody comes back. */
struct fleet_removed_key {
	struct str id, unit_id, public_key;
	int64_t removed_at;
};
extern const struct entity fleet_removed_key_entity;

struct fleet_hardware {
	struct str id, unit_id;
	struct str hardware_ids; /* JSON object */
	struct str device_id;    /* "": of none now */
	int64_t last_seen, created_at;
};
extern const struct entity fleet_hardware_entity;

/* One pair of a hardware's ids, to be found by. */
struct fleet_hardware_pair {
	struct str id, unit_id, hardware_id;
	struct str pair; /* "pi-serial-number=1000..." */
};
extern const struct entity fleet_hardware_pair_entity;

struct fleet_connection {
	struct str id, unit_id, device_id;
	struct str address; /* the peer's */
	int64_t connected_at, disconnected_at;
	struct str reason;
};
extern const struct entity fleet_connection_entity;

struct fleet_log {
	struct str id, unit_id, device_id;
	int64_t timestamp;
	struct str message, host, program, tag;
	int64_t facility, severity; /* as RFC 5424 numbers them */
};
extern const struct entity fleet_log_entity;

struct fleet_metric {
	struct str id, unit_id, device_id;
	int64_t timestamp;
	double cpu_percent, ram_percent, disk_percent; /* 0 to 100, or NaN */
};
extern const struct entity fleet_metric_entity;

struct fleet_secret {
	struct str id, unit_id, name;
	struct str type; /* "single_line", "multi_line", "env_list", "file" */
	struct str filename;   /* of a file; or "" */
	struct str processing; /* "none", "mkpasswd-yescrypt" */
	struct str value;      /* BLOB: a file of age for the unit's key */
	int64_t value_size;
	bool include_in_image;
	int64_t created_at, modified_at;
};
extern const struct entity fleet_secret_entity;

extern const struct rest_object fleet_device_object, fleet_agent_token_object,
    fleet_hardware_object, fleet_connection_object, fleet_log_object,
    fleet_metric_object, fleet_secret_object;

/* --- who is connected (agent.c) ------------------------------------------- */

struct fleet_agents {
	struct fleet *fleet;
	struct worker_pool *workers; /* what asks the store */
	struct worker_pool *logs;
	_Atomic int64_t log_bytes; /* that wait to be stored */
	char *program;             /* our own, for `fleet access` */
	char *socket;              /* where it comes to */
	struct claims *claims;

	pthread_mutex_t lock;
	struct map by_device; /* device id -> struct agent, those that are up */
	struct map orders;    /* task id -> struct order */
	struct map passes;    /* token -> struct pass */
	_Atomic bool ending;  /* workers look, too */

	/* the loop's own */
	struct list all;     /* struct agent */
	struct list proving; /* those that wait for their turn to be proven */
	struct map by_key;   /* unit and public key -> struct agent */
	size_t n, n_proving;
	size_t n_open; /* connections, with those that only say goodbye */
	struct list accesses;
	size_t n_accesses;
	struct loop_io listen; /* `socket` */
};

/* Where a tunnel may go that `ssh` asks for by the socket. */
struct pass {
	char token[33];
	struct str device_id; /* owned */
};

/* The agent of a device, lent until the loop turns; NULL: it is not here. [the
 * loop's thread] */
struct agent *agent_of(struct fleet_agents *all, struct str device_id);
/* Sends the message, from any thread; false: it is not here. */
bool agent_send_to(
    struct fleet_agents *all, struct str device_id, struct str message);
/* Ends its connection, from any thread. */
void agent_drop(
    struct fleet_agents *all, struct str device_id, const char *reason);
/* Ends all that are of a unit that is no more, whatever they are at. On the
 * loop. */
void agents_end_of(struct fleet_agents *all, struct str unit_id);
bool agent_path_is(const struct http_upgraded *u, const char *path);
/* A connection that the end of the server waits for. */
struct ws_conn *agents_connection(struct fleet_agents *all,
    const struct http_upgraded *u, const struct ws_conn_events *events,
    void *owner);

/* What a switch has come to. */
void agent_switched(struct fleet_agents *all, const struct relay_message *m);

/* --- one connection (agent_conn.c) ---------------------------------------- */

enum agent_state {
	AGENT_NEW,   /* waits for its start */
	AGENT_ADMIT, /* its token is looked at */
	AGENT_TWIN,  /* another with its key is being proven */
	AGENT_PROVE, /* its host key is being proven */
	AGENT_ENROL, /* its rows are written */
	AGENT_UP,
	AGENT_DEAD,
};

struct agent {
	struct fleet_agents *all;
	struct list link;
	struct list wait; /* in all->proving */
	enum agent_state state;
	struct ws_conn *ws;
	char *address;
	struct loop_timer timer, beat;
	unsigned refs;               /* jobs under way that come back to it */
	int64_t seen_at, metrics_at; /* when they were kept, monotonic */
	int64_t asked_at;            /* by a ping, since it was heard; or 0 */

	struct arena arena;        /* what it said at its start */
	struct relay_message said; /* in arena; the token is gone soon */
	struct str public_key;     /* as we write it */
	struct str key;            /* in all->by_key */
	struct str unit_id, token_id, device_id, connection_id;
	bool waiting;        /* for approval */
	bool mute;           /* does not know keep_alive */
	bool mute_confirmed; /* does not know successfully_ssh_connected */
	struct agent *rival; /* of a twin: who is there already */
	struct proof *proof;

	struct list tunnels;
	size_t n_tunnels;
};

void agent_new(struct fleet_agents *all, const struct http_upgraded *u);
/* Says goodbye to it and forgets it; `reason` is for the history. */
void agent_end(struct agent *a, const char *reason);
void agent_unref(struct agent *a);
void agent_send(struct agent *a, const struct relay_message *m);
void agent_send_kind(struct agent *a, enum relay_kind kind);
/* Goes on where it waited. */
void agent_admitted(struct agent *a, const struct err *why);
void agent_enrolled(struct agent *a, int outcome, const struct err *why);
void agent_proven(struct agent *a, const struct err *why);
/* Somebody has approved of the device. */
void agent_approved(struct agent *a);

/* --- on workers (agent_admit.c) ------------------------------------------- */

enum agent_outcome {
	AGENT_OUT_UP,
	AGENT_OUT_WAITING,
	AGENT_OUT_CLONED, /* the disk of another machine */
	AGENT_OUT_REFUSED,
};

void agent_admit(struct agent *a); /* then agent_admitted() */
void agent_enrol(struct agent *a); /* then agent_enrolled() */
void agent_seen(struct agent *a);  /* it is alive, at times */
void agent_gone(struct agent *a, const char *reason);
void agent_take_metrics(struct agent *a, const struct relay_message *m);
void agent_take_interfaces(struct agent *a, const struct relay_message *m);
/* Secrets, host name, and that it is confirmed. */
void agent_greet(struct agent *a);
/* Runs fn(ctx) on a worker; false: too much waits. */
bool agent_work(struct fleet_agents *all, void (*fn)(void *ctx), void *ctx);
/* Connections that were open when the program ended are closed. */
int agent_close_stale(struct fleet *f, struct err *err);
struct str fleet_host_name(
    struct fleet *f, const struct fleet_device *d, struct arena *a);

/* --- tokens (agent_token.c) ----------------------------------------------- */

/* Finds a token that is not revoked. ERR_DENIED. */
int fleet_token_find(struct fleet *f, struct str token, struct arena *a,
    struct fleet_agent_token *ret, struct err *err);
/* May one more device come by it? ERR_DENIED says why not. */
int fleet_token_good(const struct fleet_agent_token *t, struct err *err);
void fleet_token_hash(struct str token, struct buf *hex);
/* May this secret open a tunnel to the device? */
int fleet_access_check(
    struct fleet *f, struct str secret, struct str device_id, struct err *err);
struct claims *claims_new(void);
void claims_free(struct claims *c);
void fleet_token_routes(struct fleet *f, http_add_routes *add, void *ctx);

/* --- what was deleted (agent_gone.c) -------------------------------------- */

/* Its agent is put out, and its key remembered. */
void agent_device_gone(struct fleet *f, const struct fleet_device *d);
/* Its tokens are no more, and its agents are put out. [any thread] */
void agents_unit_gone(void *fleet, struct str unit_id);
/* A new device has this key: it is not remembered any more. `unasked`: it was
 * deleted since its token was made. */
int fleet_key_taken_back(struct store *tx, struct str unit_id,
    struct str public_key, int64_t token_made, bool *unasked, struct err *err);

/* --- tunnels (agent_tunnel.c) --------------------------------------------- */

/* The near end, as a tunnel sees it. It is told of failed() or closed() once;
 * then the tunnel has forgotten it. */
struct tunnel_end {
	const struct tunnel_end_ops *ops;
	struct tunnel *tunnel; /* NULL: it has ended */
};
struct tunnel_end_ops {
	void (*opened)(struct tunnel_end *e);
	/* Lent. */
	void (*data)(struct tunnel_end *e, struct str bytes);
	void (*eof)(struct tunnel_end *e);
	void (*closed)(struct tunnel_end *e, const char *why, bool refused);
	/* Bytes that it has not passed on yet. */
	size_t (*waiting)(const struct tunnel_end *e);
	/* The agent has room again. */
	void (*room)(struct tunnel_end *e);
};

/* ERR_AGAIN: the agent is not here; ERR_LIMIT; ERR_DENIED: not to there. */
int tunnel_open(struct agent *a, struct str host, int64_t port,
    struct tunnel_end *end, struct err *err);
/* From the near end. */
void tunnel_send(struct tunnel *t, struct str bytes);
void tunnel_eof(struct tunnel *t);
void tunnel_close(struct tunnel *t, const char *why); /* not told to the end */
bool tunnel_has_room(const struct tunnel *t);
/* The near end has room again. */
void tunnel_drained(struct tunnel *t);
/* From the agent. */
void tunnel_message(struct agent *a, const struct relay_message *m);
void tunnel_binary(struct agent *a, struct str frame);
void tunnel_room(struct agent *a);
void tunnels_end(struct agent *a, const char *why);

/* --- near ends (agent_access.c) ------------------------------------------- */

int access_listen(struct fleet_agents *all, struct err *err);
void access_stop(struct fleet_agents *all);
void access_new(struct fleet_agents *all, const struct http_upgraded *u);

/* --- ssh (device_ssh.c) --------------------------------------------------- */

/* Signs in to the device by the tunnel of an agent that is not up yet, or of
 * one that is: its host key is the one it claims, and it lets us in. Calls
 * agent_proven() of `for_whom`. On the loop. */
struct proof *proof_start(
    struct agent *through, struct agent *for_whom, struct err *err);
void proof_cancel(struct proof *p);
/* For those that are not up, a pass leads to the connection itself. */
struct agent *proof_agent(struct fleet_agents *all, struct str token);

/* Runs a command on the device, and waits. */
int fleet_ssh_run(struct fleet *f, const struct fleet_device *d,
    const char *const *argv, struct str input, int64_t timeout_ms,
    struct arena *a, struct target_result *ret, struct err *err);
int check_address(struct str s, struct err *err);
int check_ssh_user(struct str s, struct err *err);
int check_ssh_key(struct str s, struct err *err);

/* --- logs ----------------------------------------------------------------- */

void fleet_log_routes(struct fleet *f, http_add_routes *add, void *ctx);
int fleet_log_clean(struct fleet *f, struct err *err);

/* --- secrets (secret_push.c) ---------------------------------------------- */

/* One secret that a configuration names, and where it is to lie. */
struct secret_use {
	struct str id, path, owner, group, mode; /* null: not said */
};
int fleet_secret_uses(struct fleet *f, const struct fleet_device *d,
    struct arena *a, struct secret_use **ret, size_t *n, struct err *err);
/* The message with all of them, sealed for the device; added to `out`. */
int fleet_secrets_message(struct fleet *f, const struct fleet_device *d,
    struct arena *a, struct buf *out, struct err *err);
/* A device's agent gets them anew, if it is here. On a worker. */
void fleet_secrets_push(struct fleet *f, struct str device_id);

#endif
