/*
 * core/coremgr/coremgr.h - the management API, /coremgr/api/v1/... of
 * Sylvia-IoT.
 *
 * What auth and route serve stands here under a second prefix; applications and
 * networks have logic of their own, because with them come queue accounts. And
 * every change that a person makes, here or by another API, is put on record.
 */
#ifndef CORE_COREMGR_COREMGR_H
#define CORE_COREMGR_COREMGR_H

#include "base/conf.h"
#include "core/auth/auth.h"
#include "core/data/data.h"
#include "core/route/route.h"

struct coremgr;

struct coremgr_conf {
	struct str auth_url, broker_url;
	int64_t engine_amqp, engine_mqtt;
	struct {
		struct str username, password, hosts;
		int64_t ttl_s, length;
	} rabbitmq;
	struct {
		struct str api_key, api_secret, hosts;
	} emqx;
	struct {
		int64_t console_port;
	} rumqttd;
	struct str data_url;
	bool data_persistent;
};

extern const struct conf_field coremgr_fields[];

/* Borrows all three; `data` NULL: nothing is put on record. */
struct coremgr *coremgr_new(const struct coremgr_conf *conf, struct auth *auth,
    struct route *route, struct data *data);
void coremgr_free(struct coremgr *m); /* NULL is fine */

void coremgr_routes(struct coremgr *m, struct auth *auth, struct route *route,
    http_add_routes *add, void *ctx);

/* Puts a finished call on record if it was a change by a person. On the
 * worker, after the handler. */
void coremgr_record(struct coremgr *m, struct http_call *c);

#endif
