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
#include "edge/mapper_settings.h"
#include "edge/rule_file.h"

struct bridge_plan {
	struct cloud cloud;
	const char *title;  /* "Cumulocity", "AWS" */
	const char *client; /* as whom a Mosquitto calls itself: "Aws" */
	const char *label;  /* "c8y", "c8y@PROFILE" */
	const char *host;
	uint16_t port;
	bool tls;
	const char *device_id;
	const char *prefix;  /* of the local topics, without a slash; of a
			      * user's mapper NULL */
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

	const char *limit; /* how the user sets max_payload */

	struct mapper_settings settings; /* of its mapper */
	struct rule_set rules;
};

/* Reads it, with texts in `a`; borrows the config. ERR_PARAM: a setting is
 * missing or wrong, which the sentence names. */
int bridge_plan(const struct cloud *cloud, struct arena *a,
    struct bridge_plan *ret, struct err *err);

/* The plan of the bridge in this process: with the rules of the files in its
 * mapper's folder, where those that come with the program are put first. Where
 * they can not be written the ones that are there hold, and without any those
 * of the program. A `cloud` whose name is no cloud's is a user's mapper. */
int bridge_plan_own(const struct cloud *cloud, struct arena *a,
    struct bridge_plan *ret, struct err *err);
/* "Cumulocity"; NULL: a bridge to it would be a user's. */
const char *bridge_title(const char *cloud);
/* What its mapper is set to, without a look at the files of its account. */
int bridge_settings(const struct cloud *cloud, struct arena *a,
    struct mapper_settings *ret, struct err *err);
/* "DIR/mappers/c8y/bridge" */
const char *bridge_rule_folder(
    const struct mapper_settings *m, struct arena *a);
/* Has the user's mapper a bridge? That is, the folder of its rules. */
bool bridge_is_wanted(const struct mapper_settings *m);

/* Its rules as lines of Mosquitto: "topic s/ut/# out 1 c8y/ """. */
void bridge_plan_rules(const struct bridge_plan *p, struct buf *out);

/* Where the bridge of a Mosquitto, or our own, tells how it is. */
struct str bridge_health_topic(
    const struct bridge_plan *p, bool built_in, struct arena *a);

#endif
