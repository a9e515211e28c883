/*
 * core/route/endpoint.c - applications and networks whose queues we serve.
 *
 * An endpoint declares the queues that its side reads, and consumes those that
 * its side writes. Its queues exist while its row does. Only those whose host
 * is this server are endpoints; others are left to their own engine.
 */
#include "core/route/private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct str
device_key(struct arena *a, struct str unit_code, struct str network_code,
    struct str addr)
{
	return arena_printf(a, STR_FMT "." STR_FMT "." STR_FMT,
	    STR_ARG(unit_code), STR_ARG(network_code), STR_ARG(addr));
}

struct str
route_user_name(struct arena *a, bool application, const struct route_end *end)
{
	struct str unit = end->unit_code.len > 0 ? end->unit_code : STR("_");

	return arena_printf(a, "%s." STR_FMT "." STR_FMT,
	    application ? "application" : "network", STR_ARG(unit),
	    STR_ARG(end->code));
}

static struct str
queue_name(struct endpoint *e, const char *queue)
{
	return arena_printf(&e->arena, STR_FMT "%s", STR_ARG(e->prefix), queue);
}

static struct map *
map_for(struct route *r, bool application)
{
	return application ? &r->applications : &r->networks;
}

struct endpoint *
endpoint_find(
    struct route *r, bool application, struct str unit_code, struct str code)
{
	struct arena scratch = { 0 };
	struct endpoint *e;

	e = map_get(map_for(r, application),
	    arena_printf(&scratch, STR_FMT "." STR_FMT, STR_ARG(unit_code),
		STR_ARG(code)));
	arena_fini(&scratch);
	return e;
}

static void
set_limits(struct endpoint *e, const struct route_account *account)
{
	struct mqtt_queue_limits limits = { 0 };
	struct mqtt_server *mqtt = e->route->mqtt;

	if (account != NULL) {
		limits.messages = (uint32_t)account->length;
		limits.ttl_ms = account->ttl;
	}
	if (e->application) {
		mqtt_queue_declare(mqtt, e->uldata, &limits);
		mqtt_queue_declare(mqtt, e->dldata_resp, &limits);
		mqtt_queue_declare(mqtt, e->dldata_result, &limits);
	} else {
		mqtt_queue_declare(mqtt, e->dldata, &limits);
		if (!e->driven) /* nobody else reads it */
			mqtt_queue_declare(mqtt, e->ctrl, &limits);
	}
}

static void
consume(struct endpoint *e)
{
	struct mqtt_server *mqtt = e->route->mqtt;

	if (e->application) {
		e->consume[0] =
		    mqtt_consume_start(mqtt, e->dldata, downlink_heard, e);
	} else {
		e->consume[0] = e->driven
		    ? mqtt_consume_start(mqtt, e->dldata, order_heard, e)
		    : mqtt_consume_start(mqtt, e->uldata, uplink_heard, e);
		e->consume[1] =
		    mqtt_consume_start(mqtt, e->dldata_result, result_heard, e);
	}
}

static void
endpoint_add(struct route *r, bool application, const struct route_end *row,
    const struct route_account *account)
{
	struct endpoint *e = mem_new(struct endpoint);
	struct arena *a = &e->arena;

	e->route = r;
	e->application = application;
	e->driven = row->driven;
	e->refs = 1;
	e->heard_at = TIME_NULL;
	e->id = arena_str(a, row->id);
	e->code = arena_str(a, row->code);
	e->unit_id =
	    row->unit_id.len > 0 ? arena_str(a, row->unit_id) : STR_NULL;
	e->unit_code =
	    row->unit_code.len > 0 ? arena_str(a, row->unit_code) : STR_NULL;
	e->key = arena_printf(
	    a, STR_FMT "." STR_FMT, STR_ARG(e->unit_code), STR_ARG(e->code));
	e->user_name = route_user_name(a, application, row);
	e->prefix =
	    arena_printf(a, "broker." STR_FMT ".", STR_ARG(e->user_name));
	e->uldata = queue_name(e, "uldata");
	e->dldata = queue_name(e, "dldata");
	e->dldata_resp = queue_name(e, "dldata-resp");
	e->dldata_result = queue_name(e, "dldata-result");
	e->ctrl = queue_name(e, "ctrl");
	map_put(map_for(r, application), e->key, e);
	counter_add(
	    application ? &r->counters.applications : &r->counters.networks, 1);
	set_limits(e, account);
	consume(e);
}

void
endpoint_heard(struct endpoint *e)
{
	e->heard++;
	e->heard_at = clock_now();
}

void
endpoint_unref(struct endpoint *e)
{
	if (e == NULL || --e->refs > 0)
		return;
	arena_fini(&e->arena);
	free(e);
}

static void
endpoint_silence(struct endpoint *e)
{
	mqtt_consume_stop(e->consume[0]);
	mqtt_consume_stop(e->consume[1]);
	e->consume[0] = e->consume[1] = NULL;
}

static void
endpoint_end(struct endpoint *e, bool queues_too)
{
	struct route *r = e->route;
	struct str all[] = { e->uldata, e->dldata, e->dldata_resp,
		e->dldata_result, e->ctrl };

	endpoint_silence(e);
	map_del(map_for(r, e->application), e->key);
	counter_add(
	    e->application ? &r->counters.applications : &r->counters.networks,
	    -1);
	for (size_t i = 0; queues_too && i < COUNT_OF(all); i++)
		mqtt_queue_delete(r->mqtt, all[i]);
	e->gone = true;
	endpoint_unref(e);
}

static int
load_account(struct route *r, struct str owner_id, struct arena *a,
    struct route_account *ret, bool *found, struct err *err)
{
	struct filter f = { 0 };

	filter_text(&f, "ownerId", owner_id);
	return store_get(
	    r->store, &route_account_entity, &f, a, ret, found, err);
}

/* --- a change that arrived on the loop ----------------------------------- */

struct endpoint_post {
	struct loop_post post;
	struct route *route;
	bool application, gone, found;
	struct route_end row;
	struct route_account account; /* when `found` */
	struct arena arena;
};

static void
on_change(struct loop_post *post)
{
	struct endpoint_post *p =
	    container_of(post, struct endpoint_post, post);
	struct route *r = p->route;
	struct endpoint *e =
	    endpoint_find(r, p->application, p->row.unit_code, p->row.code);
	bool local = p->row.driven || route_host_embedded(r, p->row.host_uri);
	bool other = e != NULL && !str_eq(e->id, p->row.id);

	/* Two callers may delete one and add another of the same code, and
	 * their posts come in either order: the id tells them apart. */
	if (p->gone) {
		account_kick(r, p->row.id);
		accounts_kick_of(r, p->row.id);
		if (e != NULL && !other)
			endpoint_end(e, true);
		/* a new one with this code must not inherit old routes */
		cache_clear(&r->device_route);
		cache_clear(&r->network_route);
		uplink_stale(r);
	} else {
		if (e != NULL && (other || !local)) {
			endpoint_end(e, true);
			e = NULL;
		}
		if (e == NULL && local)
			endpoint_add(r, p->application, &p->row,
			    p->found ? &p->account : NULL);
		else if (e != NULL && p->found)
			set_limits(e, &p->account);
	}
	arena_fini(&p->arena);
	free(p);
}

static void
post_change(struct route *r, bool application, const struct route_end *end,
    const struct route_account *account, bool gone)
{
	struct endpoint_post *p;

	if (r->loop == NULL)
		return;
	p = mem_new(struct endpoint_post);
	p->post.run = on_change;
	p->route = r;
	p->application = application;
	p->gone = gone;
	record_copy(application ? &route_application_entity.record
				: &route_network_entity.record,
	    &p->arena, &p->row, end);
	if (account != NULL) {
		p->account.ttl = account->ttl;
		p->account.length = account->length;
		p->found = true;
	} else if (!gone) {
		/* the limits stay those of the account; when it can not be
		 * read, those that the queues have */
		(void)load_account(
		    r, end->id, &p->arena, &p->account, &p->found, NULL);
	}
	loop_post(r->loop, &p->post);
}

void
change_endpoint(struct route *r, bool application, const struct route_end *end,
    const struct route_account *account)
{
	post_change(r, application, end, account, false);
}

void
change_endpoint_gone(
    struct route *r, bool application, const struct route_end *end)
{
	post_change(r, application, end, NULL, true);
}

/* --- start and end ------------------------------------------------------- */

struct loading {
	struct route *r;
	bool application;
};

static int
load_one(void *ctx, const void *row, struct err *err)
{
	struct loading *l = ctx;
	const struct route_end *end = row;
	struct route_account account = { 0 };
	struct arena scratch = { 0 };
	bool found;
	int rc;

	if (!end->driven && !route_host_embedded(l->r, end->host_uri))
		return 0; /* another engine's; said when it was added */
	rc = load_account(l->r, end->id, &scratch, &account, &found, err);
	if (rc == 0)
		endpoint_add(
		    l->r, l->application, end, found ? &account : NULL);
	arena_fini(&scratch);
	return rc;
}

static int
load_gateway(void *ctx, const void *row, struct err *err)
{
	struct route_end end;

	route_gateway_end(row, &end);
	return load_one(ctx, &end, err);
}

int
endpoints_load(struct route *r, struct err *err)
{
	struct loading l = { r, true };
	struct store_query q = { 0 };
	int rc;

	rc = store_list(
	    r->store, &route_application_entity, &q, load_one, &l, err);
	if (rc != 0)
		return rc;
	l.application = false;
	rc = store_list(r->store, &route_network_entity, &q, load_one, &l, err);
	if (rc != 0)
		return rc;
	return store_list(
	    r->store, &route_gateway_entity, &q, load_gateway, &l, err);
}

/* --- everything may be another ------------------------------------------- */

struct ends {
	struct route_end *rows;
	struct route_account *accounts; /* of each; owner_id null: none */
	size_t n;
};

struct reload {
	struct loop_post post;
	struct route *route;
	bool kick;
	struct ends ends[2]; /* [true]: applications */
	struct arena arena;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done;
};

/* Applications; or networks, and gateways behind them. */
static int
read_rows(struct route *r, bool application, struct arena *a, struct ends *ret,
    struct err *err)
{
	static const struct store_query all = { 0 };
	struct rows rows = { 0 }, more = { 0 };
	int rc;

	rc = store_all(r->store,
	    application ? &route_application_entity : &route_network_entity,
	    &all, a, &rows, err);
	if (rc == 0 && !application)
		rc = store_all(
		    r->store, &route_gateway_entity, &all, a, &more, err);
	if (rc != 0)
		return rc;
	*ret = (struct ends){ .rows = arena_array(
				  a, rows.n + more.n + 1, struct route_end),
		.accounts =
		    arena_array(a, rows.n + more.n + 1, struct route_account),
		.n = rows.n + more.n };
	if (rows.n > 0)
		memcpy(ret->rows, rows.at, rows.n * sizeof(*ret->rows));
	for (size_t i = 0; i < more.n; i++)
		route_gateway_end((const struct route_gateway *)more.at + i,
		    &ret->rows[rows.n + i]);
	return 0;
}

static int
read_ends(struct route *r, bool application, struct arena *a, struct ends *ret,
    struct err *err)
{
	int rc = read_rows(r, application, a, ret, err);

	for (size_t i = 0; rc == 0 && i < ret->n; i++) {
		bool found;

		rc = load_account(
		    r, ret->rows[i].id, a, &ret->accounts[i], &found, err);
		if (rc == 0 && !found)
			ret->accounts[i].owner_id = STR_NULL;
	}
	return rc;
}

static bool
is_local(struct route *r, const struct route_end *end)
{
	return end->driven || route_host_embedded(r, end->host_uri);
}

static bool
is_among(const struct ends *ends, const struct endpoint *e)
{
	for (size_t i = 0; i < ends->n; i++)
		if (str_eq(ends->rows[i].id, e->id) &&
		    str_eq(ends->rows[i].code, e->code) &&
		    (ends->rows[i].unit_code.len == 0
			    ? e->unit_code.len == 0
			    : str_eq(ends->rows[i].unit_code, e->unit_code)) &&
		    is_local(e->route, &ends->rows[i]) &&
		    ends->rows[i].driven == e->driven)
			return true;
	return false;
}

static void
follow(struct route *r, bool application, const struct ends *ends)
{
	struct map *m = map_for(r, application);
	struct endpoint *e;
	size_t pos = 0;

	while ((e = map_next(m, &pos)) != NULL)
		if (!is_among(ends, e)) {
			endpoint_end(e, true);
			pos = 0;
		}
	for (size_t i = 0; i < ends->n; i++) {
		const struct route_end *row = &ends->rows[i];
		const struct route_account *account =
		    ends->accounts[i].owner_id.ptr != NULL ? &ends->accounts[i]
							   : NULL;

		if (!is_local(r, row))
			continue;
		e = endpoint_find(r, application, row->unit_code, row->code);
		if (e == NULL)
			endpoint_add(r, application, row, account);
		else
			set_limits(e, account);
	}
}

static void
on_reload(struct loop_post *post)
{
	struct reload *x = container_of(post, struct reload, post);
	struct route *r = x->route;

	follow(r, true, &x->ends[true]);
	follow(r, false, &x->ends[false]);
	if (x->kick)
		accounts_kick(r);
	cache_clear(&r->device);
	cache_clear(&r->device_route);
	cache_clear(&r->network_route);
	uplink_stale(r);
	if (r->tap.changed != NULL)
		r->tap.changed(r->tap.owner, STR_NULL, STR_NULL);
	pthread_mutex_lock(&x->lock);
	x->done = true;
	pthread_cond_signal(&x->cond);
	pthread_mutex_unlock(&x->lock);
}

int
route_reload(struct route *r, bool kick, struct err *err)
{
	struct reload x = { .post.run = on_reload,
		.route = r,
		.kick = kick,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.cond = PTHREAD_COND_INITIALIZER };
	int rc = 0;

	if (r->loop == NULL)
		return 0;
	for (int i = 0; rc == 0 && i < 2; i++)
		rc = read_ends(r, i, &x.arena, &x.ends[i], err);
	if (rc == 0) {
		loop_post(r->loop, &x.post);
		pthread_mutex_lock(&x.lock);
		while (!x.done)
			pthread_cond_wait(&x.cond, &x.lock);
		pthread_mutex_unlock(&x.lock);
	}
	arena_fini(&x.arena);
	return rc;
}

/* --- end ----------------------------------------------------------------- */

static void
silence_all(struct map *m)
{
	struct endpoint *e;
	size_t pos = 0;

	while ((e = map_next(m, &pos)) != NULL)
		endpoint_silence(e);
}

void
endpoints_silence(struct route *r)
{
	silence_all(&r->applications);
	silence_all(&r->networks);
}

static void
free_all(struct map *m)
{
	struct endpoint *e;
	size_t pos = 0;

	while ((e = map_next(m, &pos)) != NULL) {
		endpoint_end(e, false);
		pos = 0;
	}
	map_fini(m);
}

void
endpoints_free(struct route *r)
{
	free_all(&r->applications);
	free_all(&r->networks);
}
