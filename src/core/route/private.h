/*
 * core/route/private.h - what the files of core/route share.
 */
#ifndef CORE_ROUTE_PRIVATE_H
#define CORE_ROUTE_PRIVATE_H

#include "base/list.h"
#include "base/map.h"
#include "base/worker.h"
#include "core/route/counters.h"
#include "core/route/route.h"

#include <pthread.h>

struct unit {
	struct str unit_id, code;
	int64_t created_at, modified_at;
	struct str owner_id;
	struct strs member_ids;
	struct str name, info;
};

struct device {
	struct str device_id, unit_id, unit_code, network_id, network_code,
	    network_addr;
	int64_t created_at, modified_at;
	struct str profile, name, info;
};

struct device_route {
	struct str route_id, unit_id, unit_code, application_id,
	    application_code, device_id, network_id, network_code, network_addr,
	    profile;
	int64_t created_at, modified_at;
};

struct network_route {
	struct str route_id, unit_id, unit_code, application_id,
	    application_code, network_id, network_code;
	int64_t created_at;
};

struct dldata_buffer {
	struct str data_id, unit_id, unit_code, application_id,
	    application_code, network_id, network_addr, device_id;
	int64_t created_at, expired_at;
};

extern const struct entity route_unit_entity, route_application_entity,
    route_device_entity, route_device_route_entity, route_network_route_entity,
    route_dldata_entity;
extern const struct rest_object route_unit_object, route_device_object,
    route_device_route_object, route_network_route_object, route_dldata_object;
extern const struct http_route route_unit_rows[], route_device_rows[],
    route_device_route_rows[];

/* --- on the routing loop ------------------------------------------------- */

/* An application or network whose queues we serve. */
struct endpoint {
	struct route *route;
	bool application;
	bool driven; /* a gateway's: what goes down is told to the tap */
	bool gone;   /* its row was deleted; freed when nothing uses it */
	unsigned refs;
	struct str id, code, unit_id, unit_code; /* unit null: public */
	struct str key;    /* "unitCode.code" or ".code" */
	struct str prefix; /* "broker.network.demo.net." */
	struct str user_name;
	/* queues we send to */
	struct str uldata, dldata, dldata_resp, dldata_result, ctrl;
	struct mqtt_consumer *consume[2];
	uint64_t heard; /* uplinks of a network, downlinks of an application */
	int64_t heard_at; /* the last one */
	struct arena arena;
};

/* One bounded map of look-ups with the oldest dropped first. An entry holds
 * its key and what was found behind it. */
struct cache {
	struct map map;
	struct list lru; /* the least recently used first */
	size_t max;
	int64_t max_age_ms;
};

struct cache_entry {
	struct list link;
	struct str key;
	int64_t at;
	bool known; /* false: there is no such thing */
	struct str device_id, unit_id, profile; /* of the device cache */
	struct strs apps; /* of the route caches: keys of applications */
			  /* the memory follows */
};

struct route {
	struct route_conf conf;
	struct auth *auth;
	struct store *store;
	struct versions *versions;
	struct worker_pool *lookups; /* reads for the message path */
	struct worker_pool *logins;  /* one thread: passwords of queues */
	struct worker_pool *downs;   /* one thread: downlink and results */
	struct rest_mounts mounts;
	struct route_counters counters;
	struct counter_group group;
	void (*unit_gone)(void *ctx, struct str unit_id); /* NULL: nobody */
	void *unit_gone_ctx;

	/* all below is the loop's */
	struct loop *loop;
	struct mqtt_server *mqtt;
	struct route_sink sink;
	struct route_tap tap; /* `uplink` NULL: nobody */
	struct mqtt_consumer *sets;
	struct map applications, networks; /* key -> endpoint */
	struct map accounts;               /* owner id -> session account */
	uint64_t account_epoch; /* counts sessions that were ended by us */
	struct cache device, device_route, network_route;
	struct arena scratch; /* of the message in hand */
	struct map pending;   /* device key -> look-ups under way */
	struct list slow;     /* downlinks and results that wait for a batch */
	bool slow_running;
	struct map insides; /* data id -> downlink of route_send() */
	struct list inside_order;
	pthread_mutex_t verified_lock;
	struct map verified; /* hashes of passwords that were right */
	unsigned char verify_key[32];
};

/* cache.c */
void cache_init(struct cache *c, size_t max, int64_t max_age_ms);
void cache_fini(struct cache *c);
struct cache_entry *cache_get(struct cache *c, struct str key);
/* Copies what was found (known, ids, profile, apps); drops the oldest when
 * full. Nothing when max is 0. */
void cache_put(struct cache *c, struct str key, const struct cache_entry *what);
void cache_drop(struct cache *c, struct str key);
void cache_drop_prefix(struct cache *c, struct str prefix);
void cache_clear(struct cache *c);

/* endpoint.c */
int endpoints_load(struct route *r, struct err *err);
/* Nothing more is consumed, but what was can still be published. */
void endpoints_silence(struct route *r);
void endpoints_free(struct route *r);
struct endpoint *endpoint_find(
    struct route *r, bool application, struct str unit_code, struct str code);
/* It has sent us something. */
void endpoint_heard(struct endpoint *e);
void endpoint_unref(struct endpoint *e);

/* uplink.c: what a network says. downlink.c: what an application wants, and
 * what the network made of it. */
mqtt_consume uplink_heard, downlink_heard, result_heard;
/* gateway.c: what a gateway is to send. */
mqtt_consume order_heard;
void uplink_forget(struct route *r); /* pending look-ups, at the end */
/* An invalidation arrived: look-ups under way are read again. */
void uplink_stale(struct route *r);
void downlink_forget(struct route *r);
void insides_free(struct route *r);

/* changes.c: what an API call means for the loop. Each copies its texts and
 * posts; nothing happens before route_start(). */
void change_endpoint(struct route *r, bool application,
    const struct route_end *end, const struct route_account *account);
void change_endpoint_gone(
    struct route *r, bool application, const struct route_end *end);
void change_device(struct route *r, struct str unit_code,
    struct str network_code, struct str addr);
void change_network_devices(struct route *r, struct str unit_code,
    struct str network_code); /* all of a network */
void change_device_route(struct route *r, struct str device_id);
void change_network_route(struct route *r, struct str network_id);
void change_unit_gone(struct route *r, struct str unit_code);
/* A message on the network's ctrl queue; `new` is the JSON behind "new". */
void change_ctrl(struct route *r, struct str unit_code, struct str network_code,
    const char *operation, struct str new);

/* account.c */
struct session_account; /* what the MQTT server is given */
void account_kick(struct route *r, struct str owner_id);
/* Those of the devices of a gateway. */
void accounts_kick_of(struct route *r, struct str gateway_id);
void accounts_kick(struct route *r); /* everybody */
void accounts_free(struct route *r);

/* access.c: checks that several objects share. Each answers the call and
 * returns false, when it does not hold. */
enum right { RIGHT_READ, RIGHT_WRITE };
bool unit_for(struct rest *r, struct str unit_id, enum right right,
    const char *code, struct unit *ret);
bool unit_filtered(struct rest *r, struct filter *f);
bool may_in_unit(struct rest *r, enum rest_verb verb, struct str unit_id);
/* A network as the end of a device or route: of that unit, or public and the
 * caller an administrator. `unit_id` null: any unit the caller owns. */
bool network_for(struct rest *r, struct str network_id, struct str unit_id,
    struct route_end *ret);
/* A network or gateway of this id; ERR_NOT_FOUND, or what the store says. */
int network_get(struct route *r, struct str network_id, struct arena *a,
    struct route_end *ret, struct err *err);
bool application_for(
    struct rest *r, struct str application_id, struct route_end *ret);
bool is_admin(const struct http_call *c); /* or manager */
bool get_row(struct http_call *c, struct store *s, const struct entity *e,
    const char *field, struct str id, void *row, bool *found);

/* range.c: lists of addresses, given one by one or as first and last. */
#define ADDRESSES_MAX 1024
bool addresses_listed(struct http_call *c, struct strs in, struct strs *ret);
bool addresses_range(
    struct http_call *c, struct str start, struct str end, struct strs *ret);

/* message.c: what messages of both directions have in common. A member that may
 * be null, and the free object "extension"; of another type it is an error. */
bool read_optional(struct json *j, struct str *ret);
bool read_extension(struct json *j, struct str *ret);

struct str device_key(struct arena *a, struct str unit_code,
    struct str network_code, struct str addr);

#endif
