/*
 * edge/bridge_plan.h - all there is to know of the bridge to a cloud, from the
 * settings: where to, as whom, and which topics.
 *
 * The bridge in this process, the file for a Mosquitto, and `tedge connect`
 * are made of the same plan.
 */
#ifndef EDGE_BRIDGE_PLAN_H
#define EDGE_BRIDGE_PLAN_H

#include "base/arena.h"
#include "edge/config.h"
#include "net/mqtt/bridge.h"

struct bridge_plan {
	struct cloud cloud;
	const char *title;  /* "Cumulocity", "AWS" */
	const char *client; /* as whom a Mosquitto calls itself: "Aws" */
	const char *label;  /* "c8y", "c8y@PROFILE" */
	const char *host;
	uint16_t port;
	bool tls;
	const char *device_id;
	const char *prefix;  /* of the local topics, without a slash */
	const char *service; /* "tedge-mapper-bridge-PREFIX" */
	const char *mapper;  /* "tedge-mapper-c8y@PROFILE" */

	bool by_account;                  /* without a certificate */
	const char *credentials;          /* the file of the account */
	const char *user, *password;      /* NULL: none */
	const char *cert_file, *key_file; /* NULL: by account */
	const char *key_module, *key_pin; /* of a token; NULL: none */
	const char *ca_path;              /* a file or a folder */
	const char *proxy;                /* its host; NULL: none */
	uint16_t proxy_port;
	bool proxy_tls;                        /* to the proxy itself */
	struct str proxy_user, proxy_password; /* STR_NULL: none */

	const char *online; /* retained there: "1" or "0"; NULL: not told */
	uint8_t level;      /* of MQTT; 0: 5, or 4 */
	bool forget_remote; /* the cloud is to keep no session */
	uint16_t keepalive_s;
	uint32_t max_payload;
	uint32_t retry_min_ms, retry_max_ms, retry_reset_ms;

	struct mqtt_bridge_rule *rules;
	size_t n_rules;
};

/* Reads it, with texts in `a`; borrows the config. ERR_PARAM: a setting is
 * missing or wrong, which the sentence names. */
int bridge_plan(const struct cloud *cloud, struct arena *a,
    struct bridge_plan *ret, struct err *err);

/* Its rules as lines of Mosquitto: "topic s/ut/# out 1 c8y/ """. */
void bridge_plan_rules(const struct bridge_plan *p, struct buf *out);

/* Where the bridge of a Mosquitto, or our own, tells how it is. */
struct str bridge_health_topic(
    const struct bridge_plan *p, bool built_in, struct arena *a);

#endif
