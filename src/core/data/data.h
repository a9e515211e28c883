/*
 * core/data/data.h - the raw history of what passed, and of what people did.
 *
 * Records come from the message path on the routing loop and are written by one
 * thread in groups: what gathers while a group is committed is the next group.
 * A commit tells the path that its records are safe.
 */
#ifndef CORE_DATA_DATA_H
#define CORE_DATA_DATA_H

#include "base/conf.h"
#include "base/err.h"
#include "base/loop.h"
#include "core/auth/auth.h"
#include "core/rest/rest.h"
#include "plug/store/settings.h"

struct data;

struct data_conf {
	struct store_settings db;
	int64_t retention_ms; /* 0: for ever */
	int64_t queue_max;    /* records that may wait for the disk */
	struct str auth_url, broker_url;
	struct data_channel_conf {
		struct str url, shared_prefix;
		int64_t prefetch;
	} broker, coremgr;
};

extern const struct conf_field data_fields[];

/* Takes over what may change while it runs. [any thread] */
void data_reconfigure(struct data *d, const struct data_conf *conf);

/* One record; members that do not apply are STR_NULL or TIME_NULL. */
enum data_kind {
	DATA_APPLICATION_ULDATA,
	DATA_APPLICATION_DLDATA,
	DATA_NETWORK_ULDATA,
	DATA_NETWORK_DLDATA,
	DATA_OPERATION,
	DATA_KINDS,
	/* not rows of their own: resp and status of an earlier one */
	DATA_APPLICATION_RESULT,
	DATA_NETWORK_RESULT,
};

struct data_row {
	struct str data_id;
	int64_t proc, pub, resp, time;
	int64_t status;
	struct str unit_id, unit_code, device_id, network_code, network_addr;
	struct str profile, data, extension;
};

struct data_operation {
	struct str data_id;
	int64_t req_time, res_time, latency_ms, status;
	struct str source_ip, method, path, body, user_id, client_id, err_code,
	    err_message;
};

/* Told on the loop when the group is committed, or could not be. */
struct data_commit {
	void (*done)(struct data_commit *c, bool ok);
	struct data_commit *next;
	bool ok;
};

/* May the caller read this unit? 1, 0, or negative with the call answered. */
typedef int data_may_unit(void *owner, struct http_call *c, struct str unit_id);

int data_open(const struct data_conf *conf, const char *dir, struct auth *auth,
    data_may_unit *may, void *owner, struct data **ret, struct err *err);
/* Starts the writer; commits are told on `loop`. */
void data_start(struct data *d, struct loop *loop);
/* Writes what waits and ends the writer. The loop may have ended: commits that
 * were not told are dropped by it. */
void data_stop(struct data *d);
void data_close(struct data *d); /* NULL is fine */

/* Takes all `n` records, or none: false, too many wait. Texts are copied.
 * [any thread]; `commit` NULL: nobody waits. */
bool data_put(struct data *d, const enum data_kind *kinds,
    const struct data_row *rows, size_t n, struct data_commit *commit);
bool data_put_operation(struct data *d, const struct data_operation *op);

void data_routes(struct data *d, http_add_routes *add, void *ctx);

/* What is kept, for backups. */
struct store *data_store(struct data *d);
extern const struct entity *const data_entities[]; /* NULL ends */

/* Removes what is older than the retention. On a worker. */
int data_clean(struct data *d, struct err *err);

#endif
