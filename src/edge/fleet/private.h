/*
 * edge/fleet/private.h - what the files of the module share.
 */
#ifndef EDGE_FLEET_PRIVATE_H
#define EDGE_FLEET_PRIVATE_H

#include "base/arena.h"
#include "base/child.h"
#include "base/list.h"
#include "codec/relay.h"
#include "edge/fleet/fleet.h"
#include "net/ws_conn.h"
#include "net/ws_dial.h"

struct tls_client;

/* What the device has, by its metadata file. */
struct fleet_metadata {
	struct str config, commit;
	int64_t datetime; /* TIME_NULL: not said */
};

struct fleet_agent {
	struct fleet_conf conf; /* texts in arena */
	struct arena arena;
	char *token, *url;
	struct tls_client *tls;
	struct tls_client *proxy_tls; /* to the proxy; NULL: without */
	struct ws_dial *dial;
	struct ws_conn *ws;
	bool confirmed; /* on this connection */
	struct loop_timer retry, beat, look, measure, pause;
	int64_t delay_ms, tried_at;
	char *last_error;
	struct list tunnels;
	size_t n_tunnels;
	struct change *change; /* under way; NULL: none */
	struct child *rotating;
	struct buf interfaces;      /* as told last */
	uint64_t cpu_all, cpu_idle; /* at the last measure */
};

/* --- agent.c -------------------------------------------------------------- */

void agent_say(struct fleet_agent *a, const struct relay_message *m);
/* Ends the connection, and connects anew, `ms` from now. */
void agent_reconnect(struct fleet_agent *a, int64_t ms, const char *why);

/* --- tunnel.c ------------------------------------------------------------- */

void tunnel_open(struct fleet_agent *a, const struct relay_message *m);
void tunnel_message(struct fleet_agent *a, const struct relay_message *m);
void tunnel_binary(struct fleet_agent *a, struct str frame);
void tunnel_room(struct fleet_agent *a);
void tunnels_end(struct fleet_agent *a);

/* --- secret.c ------------------------------------------------------------- */

/* Opens and places them, removes those that are dropped, and keeps the message.
 */
int secrets_take(
    struct fleet_agent *a, const struct relay_message *m, struct err *err);
/* One file of age; see struct fleet_module. */
int secret_unseal(
    const char *key_file, const char *file, struct buf *out, struct err *err);
/* At the start: the kept message, or that of the image. */
void secrets_again(struct fleet_agent *a);

/* --- change.c ------------------------------------------------------------- */

void change_begin(struct fleet_agent *a, const struct relay_message *m);
/* A change that an agent before us has left is gone on with, or taken back. */
void change_resume(struct fleet_agent *a);
/* The platform has reached us: what is tested has passed; a report that waits
 * is told. */
void change_confirmed(struct fleet_agent *a);
/* The platform has the report of that task. */
void change_told(struct fleet_agent *a, struct str task);
void change_free(struct fleet_agent *a);
int change_guard(const struct fleet_conf *conf, struct err *err);
void metadata_read(
    const struct fleet_conf *c, struct arena *a, struct fleet_metadata *ret);
int metadata_write(const struct fleet_conf *c, struct str config,
    struct str commit, struct err *err);

/* --- facts.c -------------------------------------------------------------- */

/* JSON, added. */
void facts_hardware(const struct fleet_conf *c, struct buf *out);
void facts_interfaces(struct buf *out);
int64_t facts_ram(void);
void facts_load(struct fleet_agent *a, struct relay_message *m);

/* The file's text without its line end; NULL in ptr: it is not there. */
struct str read_line(struct arena *a, const char *path);
/* The first that is there of NAME, NAME.new, NAME.old in the boot folder, or in
 * our own; where it is to be written if it is in none. */
const char *kept_path(
    const struct fleet_conf *c, struct arena *a, const char *name);

#endif
