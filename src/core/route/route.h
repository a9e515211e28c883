/*
 * core/route/route.h - units, applications, networks, devices, routes; and the
 * way of every message between networks and applications.
 *
 * Serves /broker/api/v1/... of Sylvia-IoT. The message path lives on the loop
 * of the MQTT server, the API on workers; what a change means for the path
 * (queues, caches, sessions) is posted to that loop before the call is
 * answered.
 */
#ifndef CORE_ROUTE_ROUTE_H
#define CORE_ROUTE_ROUTE_H

#include "base/conf.h"
#include "base/err.h"
#include "base/loop.h"
#include "core/auth/auth.h"
#include "core/rest/version.h"
#include "plug/store/settings.h"
#include "net/mqtt/server.h"

struct route;

struct route_conf {
	struct store_settings db;
	struct {
		int64_t engine;
		int64_t device, device_route, network_route;
		int64_t max_age_ms;
	} cache;
	struct {
		int64_t prefetch;
		bool persistent;
		struct str shared_prefix;
	} mq;
	struct route_channel_conf {
		struct str url;
		int64_t prefetch;
	} unit, application, network, device, device_route, network_route;
	struct str data_url;
	bool data_persistent;
	struct str auth_url;
	struct str api_scopes;
	int64_t downlink_ms; /* how long an unreported downlink is kept */
	bool foreign_mqtt;   /* no row: mqtt:// means another server */
	bool public_routes;  /* network routes from public networks */
	struct versions_conf versions; /* no rows: they are every store's */
};

extern const struct conf_field route_fields[];

/* What goes to the data channel; members that do not apply are STR_NULL or
 * TIME_NULL. */
enum route_kind {
	ROUTE_NETWORK_ULDATA,
	ROUTE_APPLICATION_ULDATA,
	ROUTE_APPLICATION_DLDATA,
	ROUTE_NETWORK_DLDATA,
	ROUTE_NETWORK_RESULT,
	ROUTE_APPLICATION_RESULT,
};

struct route_record {
	enum route_kind kind;
	struct str data_id;
	int64_t proc, pub, resp, time;
	int64_t status;
	struct str unit_id, unit_code, device_id, network_code, network_addr;
	struct str profile, data, extension;
};

/* Told when the records are as durable as the setting says, on the routing
 * loop. Embedded by the caller; the sink's until then. */
struct route_commit {
	void (*done)(struct route_commit *c, bool ok);
	struct route_commit *next; /* the sink's */
	bool ok;                   /* the sink's */
};

/* Where records go. `put` is called on the routing loop; false: full, nothing
 * was taken and `done` is not called. NULL `put`: no data is kept. */
struct route_sink {
	bool (*put)(void *owner, const struct route_record *recs, size_t n,
	    struct route_commit *commit);
	void *owner;
};

/* An uplink as it passed, for who listens beside the applications. Texts are
 * lent for the call. */
struct route_uplink {
	struct str data_id; /* of the network's record */
	int64_t heard, time;
	struct str unit_id, unit_code; /* null: a public network */
	struct str network_id, network_code, network_addr;
	struct str device_id;      /* STR_NULL: no device has this address */
	struct str device_unit_id; /* on a public network not the network's */
	struct str profile;
	struct str data, extension; /* hex; JSON or STR_NULL */
};

/* A frame for a device on a gateway. */
struct route_ticket;
struct route_order {
	struct str gateway_id, data_id, addr, data, extension; /* hex; JSON */
};

struct route_told {
	const char *kind, *type;
	struct str unit_id, id, json; /* unit null: of none */
};

/* Who listens. Called on the routing loop for every readable uplink, in order;
 * the message is acknowledged only when `commit` was reported, too. False:
 * nothing was taken, `done` is not called, and the sender is to repeat it. */
struct route_tap {
	bool (*uplink)(void *owner, const struct route_uplink *u,
	    struct route_commit *commit);
	/* Devices have changed, or may be gone: one of this network, all of it
	 * (`addr` null), or any (both null). On the routing loop. */
	void (*changed)(void *owner, struct str network_code, struct str addr);
	/* An application of that unit has published to marram/{unit}/set/
	 * {place}. On the routing loop; lent. */
	void (*set)(void *owner, struct str unit_code, struct str place,
	    struct str payload);
	/* A gateway is to send this. On the routing loop; lent. Dealt with when
	 * route_report() was called with the ticket and a status of 0 or more.
	 * False: nothing was taken; it comes again. */
	bool (*order)(void *owner, const struct route_order *o,
	    struct route_ticket *ticket);
	/* What became of one of route_send(): `status` 0: it was sent, more
	 * than 0: it was not, less: not yet. On the routing loop; lent. */
	void (*result)(void *owner, struct str data_id, int64_t status,
	    struct str message);
	/* A call has changed an object, or made a version: as `json` shows it.
	 * `kind` ("device_route") and `type` ("created", "updated", "deleted")
	 * are lent for ever, the rest for the call. [any thread] */
	void (*told)(void *owner, const struct route_told *t);
	/* Does anybody want to be told now? [any thread] */
	bool (*listens)(void *owner);
	void *owner;
};

int route_open(const struct route_conf *conf, const char *dir,
    struct auth *auth, struct route **ret, struct err *err);
/* Begins to route, on the loop's thread before it runs, or on it. The server
 * must have been opened with route_mqtt_events and this route as owner. */
int route_start(struct route *r, struct loop *loop, struct mqtt_server *mqtt,
    const struct route_sink *sink, struct err *err);
/* Before route_start(). At most one. */
void route_listen(struct route *r, const struct route_tap *tap);
/* Ends consuming, on the loop's thread; waits for workers. What they found is
 * posted and still routed, so the loop must turn once more before the sink and
 * the server are closed. */
void route_stop(struct route *r);
void route_close(struct route *r); /* NULL is fine; the loop has ended */

/* Sessions may use the queues of one application or network. */
extern const struct mqtt_server_events route_mqtt_events;

/* The route tables; see auth_routes(). `flags` REST_CSV etc. Applications and
 * networks are left out when `flags` has ROUTE_NO_QUEUES (core/coremgr has its
 * own), DELETE /unit/user when it has ROUTE_NO_UNIT_USER. */
#define ROUTE_NO_QUEUES 0x10u
#define ROUTE_NO_UNIT_USER 0x20u
void route_routes(struct route *r, const char *prefix, unsigned flags,
    http_add_routes *add, void *ctx);

extern const struct entity route_network_entity;
/* The rows that core/coremgr varies. */
extern const struct rest_object route_application_object, route_network_object;
/* An object of another module has changed: who follows is told as of ours. `t`
 * is lent, but for the words in it. [any thread] */
void route_tell_of(struct route *r, const struct route_told *t);
/* Would anybody hear it now? [any thread] */
bool route_is_heard(struct route *r);
struct store *route_store(struct route *r);         /* NULL for NULL */
struct versions *route_versions(struct route *r);   /* NULL for NULL */
extern const struct entity *const route_entities[]; /* NULL ends */
/* All rows may be others: queues and caches follow, and with `kick` everybody
 * signs in again. Returns when that is done. On a worker; before route_start()
 * there is nothing to do. */
int route_reload(struct route *r, bool kick, struct err *err);

/* Both kinds of row begin alike, so that one function serves both. */
struct route_end {
	union { /* one member, by the column's name in each table */
		struct str id, application_id, network_id;
	};
	struct str code;
	struct str unit_id, unit_code; /* null: a public network */
	int64_t created_at, modified_at;
	struct str host_uri, name, info;
	bool driven; /* a gateway: by ourselves */
};

/* Queue accounts of the embedded server: application.{unit}.{code} or
 * network.{unit|_}.{code}. Slow: a password is hashed. In `tx`, or the store
 * itself. Limits of 0 mean the server's. */
struct route_account {
	struct str owner_id;
	struct str application_id, network_id; /* one of them */
	struct str user_name, code;
	struct str password; /* hash */
	int64_t ttl, length;
	int64_t modified_at;
};
extern const struct entity route_account_entity;
struct str route_user_name(
    struct arena *a, bool application, const struct route_end *end);
int route_account_make(struct arena *a, bool application,
    const struct route_end *end, struct str password, int64_t ttl,
    int64_t length, struct route_account *ret, struct err *err);
/* The account changed: its sessions must sign in again (`kick`), its queues
 * take the new limits. */
void route_account_changed(struct route *r, bool application,
    const struct route_end *end, const struct route_account *account,
    bool kick);

/* Beside the queues an account has this topic, which it may publish and
 * subscribe to and nobody else reads: for trying whether it gets through. */
#define ROUTE_ECHO "echo"

/* True when this host URI means the embedded server. */
bool route_host_embedded(const struct route *r, struct str host_uri);

/* Publishes to one of the queues ("dldata", "uldata", ...) of an application
 * or network. From a worker. */
void route_inject(struct route *r, bool application,
    const struct route_end *end, const char *queue, struct str payload);
/* Sends data to a device, as an application's downlink would: to its network's
 * queue, and into the history. Its result is told to the tap, unless more than
 * ROUTE_INSIDE_MAX later ones were sent before it came, or the program was
 * started anew. Texts are copied. [any thread] */
#define ROUTE_INSIDE_MAX 10000
struct route_downlink {
	struct str data_id;   /* new, by rand_id() */
	struct str unit_id;   /* the device's */
	struct str unit_code; /* of the network; empty: a public one */
	struct str network_code, network_addr, device_id, profile;
	struct str data, extension; /* hex; JSON or STR_NULL */
};
void route_send(struct route *r, const struct route_downlink *d);

/* --- gateways ------------------------------------------------------------ */

/* A network that we drive ourselves. core/hub drives it and serves it over
 * HTTP; its row is here, since devices and routes refer to it as to any
 * network. */
struct route_gateway {
	struct str id, unit_id;
	struct str unit_code, code, description;
	bool enabled;
	struct str claim; /* "auto": who is heard becomes a device; "inbox" */
	struct str reconnect_delay;
	bool queue_failed;
	struct str provider, logger, labels; /* JSON objects */
	int64_t created_at, modified_at;
};
extern const struct entity route_gateway_entity;
/* A device of a gateway `marram_edge`. It signs in at our MQTT server as
 * edge.UNIT.GATEWAY.ID, the first time with SECRET:KEY, where KEY is the
 * gateway's password, then with its SECRET alone or as before. It opens what is
 * below ID/ at the gateway's root, and nothing else. */
#define ROUTE_EDGE "marram_edge"
struct route_enrolment {
	struct str id, unit_id, gateway_id;
	struct str addr, name;
	struct str secret;     /* hash; "": it has a certificate */
	struct str cert_key;   /* of its certificate; "": not known (yet) */
	struct str thumbprint; /* of the last one that it has shown */
	bool blocked;          /* it is not let in */
	int64_t created_at;
};
extern const struct entity route_enrolment_entity;
/* Checks a new row of `unit_id`, `gateway_id`, `name` and `thumbprint`, and
 * fills in the rest. ERR_PARAM: the sentence says what is wrong. [a worker] */
int route_enrolment_fill(struct route *r, struct arena *a,
    struct route_enrolment *row, struct err *err);
/* The row is gone, or changed: what is there by it is signed out, and let in
 * again only by the rows as they are now. [any thread] */
void route_enrolment_gone(struct route *r, struct str id);
/* The same of a row that is deleted; and the last that its device has said of
 * being online, which is retained, goes with it. [a worker] */
void route_enrolment_forget(struct route *r, const struct route_enrolment *row);
/* As a network; texts are shared. */
void route_gateway_end(const struct route_gateway *g, struct route_end *ret);
/* "marram/demo/gateway/code/": where the devices of a gateway without a broker
 * of its own speak, on our own server. Its account opens this and nothing else.
 */
struct str route_gateway_root(
    struct arena *a, struct str unit_code, struct str code);
/* Is this code free among the networks (or gateways: `other`) of the unit?
 * False: the call is answered. */
bool route_code_free(struct route *r, struct http_call *c,
    const struct entity *other, struct str unit_id, struct str code,
    const char *error);
/* The row was added, or is gone with its devices and routes. */
void route_gateway_changed(
    struct route *r, const struct route_gateway *g, bool gone);
/* An uplink, as if its network had sent it; copied. Told on the routing loop
 * when it is recorded and every listener has it. [any thread] */
struct route_pushed {
	struct str unit_code, network_code, addr;
	struct str data;      /* raw bytes */
	struct str extension; /* JSON or STR_NULL */
	int64_t time;
};
void route_push(
    struct route *r, const struct route_pushed *u, struct route_commit *commit);
/* What became of an order: below 0 it is on its way, 0 done, above failed; then
 * the ticket is used up. `message` may be empty. [any thread] */
void route_report(struct route *r, struct route_ticket *ticket, int64_t status,
    struct str message);
/* The order goes back to its queue, and comes again. [any thread] */
void route_return(struct route *r, struct route_ticket *ticket);
/* The devices on a network or gateway, or the one of this address (null: all),
 * told to `each`. [any thread but the routing loop's] */
int route_devices_on(struct route *r, struct str network_id, struct str addr,
    void (*each)(void *ctx, struct str addr, struct str device_id), void *ctx,
    struct err *err);
/* Makes a device that a gateway has heard. As route_device_make(), without a
 * caller. [any thread but a loop's] */
struct route_newborn {
	struct str unit_id, network_id, addr, profile, name;
};
int route_device_born(struct route *r, const struct route_newborn *n,
    struct arena *a, struct str *device_id, struct err *err);
/* Hears what is published on the embedded server under a filter, from any
 * loop's thread but the routing one; `heard` runs on the routing loop, `topic`
 * and `payload` are lent. With a `token` (not 0) the sender waits until
 * route_ear_done() is called with it, from the thread of route_ear_free() and
 * before that; what is open then counts as not taken, and is sent again.
 * `heard` may run until `ended` was called. */
struct route_ear;
struct route_ear *route_ear_new(struct route *r, struct str filter,
    void (*heard)(void *ctx, struct str topic, struct str payload, bool retain,
	uint64_t token),
    void (*ended)(void *ctx), void *ctx);
void route_ear_done(struct route_ear *e, uint64_t token);
void route_ear_free(struct route_ear *e);

/* Messages for anybody who subscribes: gathered, then published in one turn of
 * the routing loop. [any thread] route_tell() takes `n`. */
struct route_notes;
struct route_notes *route_notes_new(struct route *r);
void route_note(struct route_notes *n, struct str topic, struct str payload,
    uint8_t qos, bool retain);
void route_tell(struct route_notes *n);

/* Asks for figures, many at once; blocks until the loop has answered. */
struct route_look {
	bool application;
	const struct route_end *end; /* lent */
	const char *queue;           /* NULL: how much it has sent us */
	struct mqtt_queue_stats stats;
	uint64_t heard;
	int64_t heard_at; /* TIME_NULL: nothing since the start */
};
void route_stats(struct route *r, struct route_look *looks, size_t n);

/* Does the caller have this right (REST_GET: member, else: owner) in the
 * unit? 1, 0, or negative with the call answered. */
int route_may_unit(struct route *r, struct http_call *c, struct str unit_id,
    enum rest_verb verb);
/* The codes of the units that the caller owns or is a member of, sorted. False:
 * the call is answered. */
bool route_units_of(struct route *r, struct http_call *c, struct strs *codes);
/* The unit with this code, in any case, and the same question as above; a unit
 * that is not there: 0. */
int route_unit_by_code(struct route *r, struct http_call *c, struct str code,
    enum rest_verb verb, struct str *unit_id, struct str *unit_code);
/* For rows that are HTTP_OPEN because their token comes in another way: the
 * access check of HTTP_TOKEN with this token. False: the call is answered. */
bool route_access(struct route *r, struct http_call *c, struct str token);
/* The access check for c->route again. False: the call is answered. */
bool route_may_call(struct route *r, struct http_call *c);
/* The address of a device the caller may see; false: not there, or the call is
 * answered (status not 0). */
bool route_device_addr(struct route *r, struct http_call *c,
    struct str device_id, struct str *addr);

/* Makes a device on a network that the caller may use, as POST /device does.
 * Null texts: none. ERR_EXISTS: the address is taken; ERR_NOT_FOUND: no such
 * network or unit, for this caller. */
int route_device_make(struct route *r, struct http_call *c, struct str unit_id,
    struct str network_id, struct str addr, struct str profile, struct str name,
    struct str *device_id, struct err *err);
/* What there is to know of a device; texts in `a`. 1, 0: there is none, or
 * negative with `err`. [any thread] */
struct route_device_facts {
	struct str profile;
	struct str unit_code; /* of the device's own unit */
	bool on_public;       /* its network is of no unit */
	struct str network_code, network_addr;
};
int route_device_look(struct route *r, struct str device_id, struct arena *a,
    struct route_device_facts *ret, struct err *err);

/* Is there such a unit? 1, 0, or negative with `err`. [any thread] */
int route_unit_exists(struct route *r, struct str unit_id, struct err *err);
/* The same with its code, in `a`. [any thread] */
int route_unit_code(struct route *r, struct str unit_id, struct arena *a,
    struct str *code, struct err *err);

/* Who is told that a unit was deleted: at once, by the thread that has done it,
 * which may be any. There is one listener, set before anything is served. */
void route_on_unit_gone(struct route *r,
    void (*gone)(void *ctx, struct str unit_id), void *ctx);

/* Removes downlinks that nobody reported in time. On a worker. */
int route_clean(struct route *r, struct err *err);

#endif
