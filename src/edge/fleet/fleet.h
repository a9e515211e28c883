/*
 * edge/fleet/fleet.h - the agent of the fleet: this device is one of those
 * whose configuration is declared on the platform.
 *
 * The part `tedge-fleet` reads the settings and loads marram-edge-fleet.so, in
 * which the agent is: a device that is in no fleet does not pay for it. It
 * speaks the relay protocol (codec/relay.h), with Thymis's platform, too.
 *
 *    agent.c   the connection, and what is asked of the device
 *    tunnel.c  tunnels to what is allowed
 *    secret.c  secrets: opened, placed, removed
 *    change.c  switching to a configuration, the test, and the way back
 *    facts.c   what machine this is
 */
#ifndef EDGE_FLEET_FLEET_H
#define EDGE_FLEET_FLEET_H

#include "base/err.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/str.h"
#include "edge/proxy_way.h"

#include <stdbool.h>
#include <stdint.h>

/* Texts are lent for the call of start(). Paths have the root before them. */
struct fleet_conf {
	struct loop *loop;
	const char *url;
	const char *token_file;
	const char *root;     /* "" or the folder that stands for "/" */
	const char *host_key; /* private; ".pub" lies beside it */
	const char *authorized_keys;
	const char *data_dir; /* what is kept; made */
	const char *boot_dir; /* Thymis's files of a first start; "": none */
	const char *profile;  /* of the system, for Nix */
	const char *ca_path;  /* who is trusted */
	const char *config_dir;
	const char *program; /* our own */
	struct proxy_way proxy;
	struct strs tunnels; /* "localhost:22" */
	struct strs restart_sshd;
	int64_t ssh_port;
	int64_t confirm_ms;
	enum log_level log_level; /* the module's log is one of its own */
};

#define FLEET_MODULE_VERSION 3
#define FLEET_MODULE_NAME "marram-edge-fleet"
#define FLEET_MODULE_SYMBOL "marram_edge_fleet"

struct fleet_agent;
struct fleet_module {
	unsigned version;
	int (*start)(const struct fleet_conf *conf, struct fleet_agent **ret,
	    struct err *err);
	void (*stop)(struct fleet_agent *a);
	/* Waits until a change that is under way was confirmed, or takes it
	 * back when nobody else does. Blocks. */
	int (*guard)(const struct fleet_conf *conf, struct err *err);
	/* Adds what is in a file of age, opened by an SSH host key. */
	int (*unseal)(const char *key_file, const char *file, struct buf *out,
	    struct err *err);
};
extern const struct fleet_module marram_edge_fleet; /* in the module */
int fleet_module(const struct fleet_module **ret, struct err *err);

struct config;
struct arena;
/* From the settings; texts in `a`. ERR_PARAM: one is missing. */
int fleet_conf_read(const struct config *c, struct arena *a,
    struct fleet_conf *ret, struct err *err);

#endif
