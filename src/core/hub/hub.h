/*
 * core/hub/hub.h - values and rules: what passes becomes named fields with
 * history, and is acted upon.
 *
 * Serves /hub/api/v1/... A loop of its own reads payloads, keeps the fields in
 * memory and runs the rules; one thread writes what has changed, in groups. An
 * uplink is acknowledged when the group with what came of it is committed.
 */
#ifndef CORE_HUB_HUB_H
#define CORE_HUB_HUB_H

#include "base/conf.h"
#include "base/err.h"
#include "core/auth/auth.h"
#include "core/rest/rest.h"
#include "core/route/route.h"
#include "plug/gateway/gateway.h"
#include "net/http/server.h"
#include "plug/handler/handler.h"
#include "plug/metric/settings.h"
#include "plug/script/script.h"
#include "plug/store/settings.h"

struct hub;
struct mqtt_server;

/* Who follows by WebSocket; times in ms, sizes in bytes. */
struct live_conf {
	int64_t connections, logins; /* at a time; those without a user yet */
	int64_t subscriptions;       /* of a connection */
	int64_t initial_max;         /* fields */
	int64_t message_max, queue_max, backlog_max;
	int64_t topic_rate, payload_max; /* of messages that are looked at */
	int64_t login_ms, check_ms, ping_ms;
};

struct hub_conf {
	struct store_settings db;
	struct str key_file;
	bool home_assistant;
	struct str time_zone, latitude, longitude;
	int64_t queue_max, inbox_max, fields_max, fields_per_device, notes_max;
	int64_t trace_ms, trace_max;
	int64_t node_state_ms, node_inactive_ms;
	int64_t task_queue;
	int64_t delayed_max, delayed_late_ms;
	int64_t downlinks_max, downlink_result_ms;
	int64_t operations_open, operation_ms, operation_kept_ms;
	int64_t webhook_ms, webhook_size;
	int64_t http_at_once, http_per_host;
	int64_t try_ms;
	struct handler_settings handler;
	struct gateway_settings gateway;
	int64_t firmware_max; /* bytes of a file */
	struct metric_settings metric;
	struct script_conf script;
	struct live_conf live;
	struct versions_conf versions; /* no rows: they are every store's */
};

extern const struct conf_field hub_fields[];
extern const struct conf_field hub_live_fields[]; /* over a live_conf */

/* Begins a backup, for handlers that do so; see struct handler_host. */
typedef int hub_backup(void *ctx, const struct handler_backup *w,
    handler_backup_done *done, void *done_ctx, struct err *err);
/* Before hub_start(). Without it there are no backups. */
void hub_backups(struct hub *h, hub_backup *begin, void *ctx);

/* Where the MQTT server can be reached from here: "mqtt://localhost:1883
 * mqtts://...". [any thread] */
void hub_listens(struct hub *h, struct str addresses);

/* Opens the store and reads what is known. `dir`: where a relative path of the
 * database begins. */
int hub_open(const struct hub_conf *conf, const char *dir, struct route *route,
    struct hub **ret, struct err *err);
/* Before route_start(): what passes is heard from then on. `loop` is the
 * routing loop, where acknowledgements are told, and that of `mqtt`. */
int hub_start(struct hub *h, struct loop *loop, struct mqtt_server *mqtt,
    struct err *err);
/* What was heard is read and written, then nothing more is. The routing loop
 * must run, or have ended for good. */
void hub_stop(struct hub *h);
void hub_close(struct hub *h); /* NULL is fine */

/* Takes over what may change while it runs; texts are copied. One thread at a
 * time. */
void hub_reconfigure(struct hub *h, const struct hub_conf *conf);
/* Between hub_open() and hub_routes(): the settings that /hub/api/v1/setting
 * shows and changes, those of `conf` (borrowed) that are live. What was changed
 * before this start is taken over. `changed` is called then and after each
 * change, on any thread but never twice at once; by then the modules' structs
 * hold it. */
int hub_take_settings(struct hub *h, struct conf *conf,
    void (*changed)(void *owner), void *owner, struct err *err);
/* What is kept may be another: it is taken over. On a worker. */
int hub_retake_settings(struct hub *h, struct err *err);

void hub_routes(struct hub *h, http_add_routes *add, void *ctx);
/* For http_server_events.upgraded. False: the connection is not ours. */
bool hub_upgraded(struct hub *h, const struct http_upgraded *u);
/* Says good-bye to all who follow by WebSocket, and takes no more. NULL is
 * fine. */
void hub_live_stop(struct hub *h);

/* Seals the secrets of a handler or gateway, or with `open` makes them readable
 * where the key fits; other rows stay as they are. What it needs is in `a`.
 * [any thread] */
int hub_seal_row(struct hub *h, const struct entity *e, void *row, bool open,
    struct arena *a, struct err *err);

/* What is kept, for backups. */
struct store *hub_store(struct hub *h);
struct metric *hub_metric(struct hub *h);
extern const struct entity *const hub_entities[]; /* NULL ends */
/* What waits is written, then the loop stands still until hub_resume(): so the
 * rows in the store can be exchanged. Messages wait meanwhile, up to the
 * setting. ERR_AGAIN: it did not come to rest in time. On a worker. */
int hub_pause(struct hub *h, struct err *err);
/* It goes on; with `changed` everything is read from the store again. */
int hub_resume(struct hub *h, bool changed, struct err *err);

/* Removes old traces, and, with `all`, what is too old in the history. On a
 * worker; the former every minute, as many may come. */
int hub_clean(struct hub *h, bool all, struct err *err);

#endif
