/*
 * core/route/route.c - see route.h: opening, starting, ending.
 */
#include "core/route/route.h"
#include "core/route/private.h"

#include "base/base.h"
#include "base/mem.h"
#include "base/rand.h"
#include "codec/url.h"

#include <stdlib.h>

#define LOOKUP_THREADS 2
#define LOOKUP_QUEUE 65536
#define LOGIN_QUEUE 16384

/* --- versions ------------------------------------------------------------ */

static bool
may_call(void *module, struct http_call *c)
{
	return route_may_call(module, c);
}

static bool
limit_versions(struct rest *r, enum rest_verb verb, struct filter *f)
{
	(void)verb;
	return unit_filtered(r, f);
}

/* A unit that was deleted is its last owner's. */
static bool
may_gone(struct rest *r, const struct rest_object *o, const void *row)
{
	const struct auth_who *who = auth_who(r->c);
	const struct unit *u = row;
	struct unit now;
	bool found;

	return o->entity == &route_unit_entity && who->unit_id.ptr == NULL &&
	    str_eq(u->owner_id, who->user_id) &&
	    get_row(r->c, r->store, &route_unit_entity, "unitId", u->unit_id,
		&now, &found) &&
	    !found;
}

/* The queues of a network or application have their account again. */
static void
revived(
    struct http_call *c, void *module, const struct entity *e, const void *row)
{
	const struct route_account *account = row;
	bool application = account->application_id.len > 0;
	struct route *r = module;
	struct route_end end;
	bool found = true;

	(void)e;
	if (!application)
		found = network_get(
			    r, account->network_id, &c->arena, &end, NULL) == 0;
	else if (!get_row(c, r->store, &route_application_entity,
		     "applicationId", account->application_id, &end, &found))
		return;
	if (found)
		route_account_changed(r, application, &end, account, false);
}

/* Words of events, which have no "-". Gateways are told by who drives them. */
static const char *
event_kind(const struct rest_object *o)
{
	static const struct {
		const struct rest_object *object;
		const char *kind;
	} all[] = { { &route_unit_object, "unit" },
		{ &route_application_object, "application" },
		{ &route_network_object, "network" },
		{ &route_device_object, "device" },
		{ &route_device_route_object, "device_route" },
		{ &route_network_route_object, "network_route" } };

	for (size_t i = 0; i < COUNT_OF(all); i++)
		if (all[i].object == o)
			return all[i].kind;
	return NULL;
}

static void
told(void *module, const struct versions_change *change)
{
	const struct rest_object *o = change->object;
	const struct route_tap *tap = &((struct route *)module)->tap;
	struct route_told t = { event_kind(o),
		change->row == NULL       ? "deleted"
		    : change->old == NULL ? "created"
					  : "updated",
		change->version->unit_id, change->version->object_id,
		STR_NULL };
	struct buf b = { 0 };
	struct json_out out;

	if (tap->told == NULL || !tap->listens(tap->owner))
		return;
	if (t.kind != NULL) {
		json_out_init(&out, &b, false);
		record_to_json(&out, &o->entity->record,
		    o->shown != NULL
			? field_bits(&o->entity->record, o->shown, NULL)
			: FIELD_ALL,
		    change->row != NULL ? change->row : change->old);
		t.json = buf_str(&b);
		tap->told(tap->owner, &t);
		buf_clear(&b);
	}
	t.kind = "version";
	t.type = "created";
	t.id = change->version->version_id;
	rest_version_to_json(&b, change->version);
	t.json = buf_str(&b);
	tap->told(tap->owner, &t);
	buf_free(&b);
}

bool
route_is_heard(struct route *r)
{
	return r->tap.told != NULL && r->tap.listens(r->tap.owner);
}

void
route_tell_of(struct route *r, const struct route_told *t)
{
	if (route_is_heard(r))
		r->tap.told(r->tap.owner, t);
}

static struct versions *
open_versions(struct route *r)
{
	static const struct rest_object *const objects[] = { &route_unit_object,
		&route_application_object, &route_network_object,
		&route_device_object, &route_device_route_object,
		&route_network_route_object };
	struct versions *v = versions_new(&r->conf.versions,
	    &(struct versions_host){ .store = r->store,
		.module = r,
		.entities = route_entities,
		.who = auth_caller,
		.access = may_call,
		.limit = limit_versions,
		.may_gone = may_gone,
		.revived = revived,
		.told = told });

	for (size_t i = 0; i < COUNT_OF(objects); i++)
		versions_add(v, objects[i]);
	versions_add_beside(v, &route_account_entity);
	return v;
}

struct versions *
route_versions(struct route *r)
{
	return r != NULL ? r->versions : NULL;
}

/* --- opening ------------------------------------------------------------- */

int
route_open(const struct route_conf *conf, const char *dir, struct auth *auth,
    struct route **ret, struct err *err)
{
	struct route *r = mem_new(struct route);
	bool cached = conf->cache.engine != 0;
	int rc;

	r->conf = *conf;
	r->auth = auth;
	list_init(&r->slow);
	list_init(&r->inside_order);
	pthread_mutex_init(&r->verified_lock, NULL);
	cache_init(&r->device, cached ? (size_t)conf->cache.device : 0,
	    conf->cache.max_age_ms);
	cache_init(&r->device_route,
	    cached ? (size_t)conf->cache.device_route : 0,
	    conf->cache.max_age_ms);
	cache_init(&r->network_route,
	    cached ? (size_t)conf->cache.network_route : 0,
	    conf->cache.max_age_ms);
	rand_bytes(r->verify_key, sizeof(r->verify_key));
	rc = store_open_settings(
	    &r->conf.db, "broker", dir, route_entities, &r->store, err);
	if (rc != 0) {
		route_close(r);
		return rc;
	}
	r->versions = open_versions(r);
	r->mounts.versions[0] = r->versions;
	r->lookups = worker_pool_new("lookup", LOOKUP_THREADS, LOOKUP_QUEUE);
	r->downs = worker_pool_new("downlink", 1, 1);
	r->logins = worker_pool_new("sign-in", 1, LOGIN_QUEUE);
	*ret = r;
	return 0;
}

void
route_listen(struct route *r, const struct route_tap *tap)
{
	r->tap = *tap;
}

/* marram/{unit}/set/{place} */
static void
on_set(void *owner, struct mqtt_msg *msg)
{
	struct str rest = mqtt_msg_topic(msg), unit;
	struct route *r = owner;

	(void)str_cut(&rest, '/');
	unit = str_cut(&rest, '/');
	(void)str_cut(&rest, '/');
	r->tap.set(r->tap.owner, unit, rest, mqtt_msg_payload(msg));
	mqtt_msg_done(msg, true);
}

int
route_start(struct route *r, struct loop *loop, struct mqtt_server *mqtt,
    const struct route_sink *sink, struct err *err)
{
	r->loop = loop;
	r->mqtt = mqtt;
	r->sink = *sink;
	r->group = (struct counter_group){ .prefix = "route",
		.rows = route_counter_rows,
		.n = route_counter_rows_n,
		.values = &r->counters };
	counter_register(&r->group);
	if (r->tap.set != NULL)
		r->sets =
		    mqtt_consume_start(mqtt, STR("marram/+/set/#"), on_set, r);
	return endpoints_load(r, err);
}

void
route_stop(struct route *r)
{
	mqtt_consume_stop(r->sets);
	r->sets = NULL;
	endpoints_silence(r);
	worker_pool_free(r->lookups);
	worker_pool_free(r->downs);
	worker_pool_free(r->logins);
	r->lookups = r->downs = r->logins = NULL;
}

void
route_close(struct route *r)
{
	if (r == NULL)
		return;
	worker_pool_free(r->lookups);
	worker_pool_free(r->downs);
	worker_pool_free(r->logins);
	uplink_forget(r);
	downlink_forget(r);
	insides_free(r);
	endpoints_free(r);
	accounts_free(r);
	cache_fini(&r->device);
	cache_fini(&r->device_route);
	cache_fini(&r->network_route);
	rest_mounts_free(&r->mounts);
	versions_free(r->versions);
	store_close(r->store);
	arena_fini(&r->scratch);
	pthread_mutex_destroy(&r->verified_lock);
	free(r);
}

struct store *
route_store(struct route *r)
{
	return r != NULL ? r->store : NULL;
}

void
route_routes(struct route *r, const char *prefix, unsigned flags,
    http_add_routes *add, void *ctx)
{
	static const struct {
		const struct rest_object *object;
		const struct http_route *rows;
		bool queues;
	} all[] = {
		{ &route_unit_object, NULL, false },
		{ &route_application_object, NULL, true },
		{ &route_network_object, NULL, true },
		{ &route_device_object, route_device_rows, false },
		{ &route_device_route_object, route_device_route_rows, false },
		{ &route_network_route_object, NULL, false },
		{ &route_dldata_object, NULL, false },
	};
	struct rest_mounts *m = r != NULL ? &r->mounts : NULL;
	struct store *s = route_store(r);

	if (!(flags & ROUTE_NO_UNIT_USER))
		rest_mount_rows(m, route_unit_rows, prefix, r, add, ctx);
	for (size_t i = 0; i < COUNT_OF(all); i++) {
		if (all[i].queues && flags & ROUTE_NO_QUEUES)
			continue;
		if (all[i].rows != NULL)
			rest_mount_rows(m, all[i].rows, prefix, r, add, ctx);
		rest_mount(m, all[i].object, prefix, s, r, flags, add, ctx);
	}
	versions_mount(m, route_versions(r), prefix, flags, add, ctx);
}

bool
route_host_embedded(const struct route *r, struct str host_uri)
{
	static const char *const local[] = { "localhost", "127.0.0.1", "[::1]",
		"0.0.0.0", "[::]" };
	struct arena scratch = { 0 };
	struct url u;
	bool is = false;

	if (!r->conf.foreign_mqtt && url_parse(&scratch, host_uri, &u) &&
	    (str_eqz(u.scheme, "mqtt") || str_eqz(u.scheme, "mqtts")))
		for (size_t i = 0; i < COUNT_OF(local); i++)
			is = is || str_eqz(u.host, local[i]);
	arena_fini(&scratch);
	return is;
}

void
route_on_unit_gone(
    struct route *r, void (*gone)(void *ctx, struct str unit_id), void *ctx)
{
	r->unit_gone = gone;
	r->unit_gone_ctx = ctx;
}

int
route_clean(struct route *r, struct err *err)
{
	struct filter f = { 0 };
	int rc;

	filter_add(&f, "expiredAt", COND_LE, value_time(clock_now()));
	rc = store_del(r->store, &route_dldata_entity, &f, NULL, err);
	return rc != 0 ? rc : versions_clean(r->versions, err);
}
