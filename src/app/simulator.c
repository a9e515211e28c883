/*
 * app/simulator.c - see simulator.h.
 *
 *            start                 all is made
 *    (none) -------> MAKING ----------------------> RUNS
 *                      | refused                      | stop, time, the network
 *                      v                              v  has gone, the end
 *                    (none)                         OVER
 *
 *  (1) A run is on sim->runs, under sim->lock, from MAKING on; there is one for
 *      a unit. Its timer and its consumer are the message loop's, in RUNS.
 *  (2) What it has made carries {"simulator":true} in its info, or one of our
 *      profiles' codes: so it is found again after a restart. Nothing without
 *      that mark is taken away.
 */
#include "app/simulator.h"

#include "app/simulated.h"
#include "base/base.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/rand.h"
#include "codec/json.h"
#include "codec/url.h"
#include "core/rest/rest.h"
#include "core/route/route.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define API "/coremgr/api/v1"
#define HUB "/hub/api/v1"
#define CODE "simulator" /* of network and application */
#define MARK "\"info\":{\"simulator\":true}"
#define QUEUE_MAX 100 /* nobody may ever read the application's queue */
#define PAST_STEP_MS (15 * 60 * 1000)
#define PAST_CHUNK 50 /* messages of the past, in one turn */
#define PAST_PAUSE_MS 20
#define LOST_MAX 10 /* messages that nobody took: the network has gone */

static const struct {
	enum simulated_kind kind;
	const char *name;
} devices[] = {
	{ SIMULATED_CLIMATE, "Living room" },
	{ SIMULATED_CLIMATE, "Greenhouse" },
	{ SIMULATED_CLIMATE, "Cellar" },
	{ SIMULATED_DOOR, "Front door" },
	{ SIMULATED_RELAY, "Pump" },
};
#define N_DEVICES COUNT_OF(devices)

enum run_state { RUN_MAKING, RUN_RUNS, RUN_OVER };

struct run {
	struct list link;
	struct simulator *sim;
	struct str unit_id; /* owned */
	enum run_state state;
	const char *why; /* it is over */
	int64_t started, until;
	uint64_t sent, answered;

	/* the message loop's, while it runs */
	struct str uldata, dldata, result; /* topics, owned */
	struct simulated devices[N_DEVICES];
	int64_t past; /* the next step of it; behind the start: none is left */
	uint32_t turn;
	unsigned lost;
	struct loop_timer timer;
	struct mqtt_consumer *orders;
};

struct simulator {
	const struct simulator_conf *conf;
	struct http_server *http;
	struct route *route;
	struct loop *loop;
	struct mqtt_server *mqtt;
	struct rest_mounts mounts;
	pthread_mutex_t lock; /* guards: */
	struct list runs;
};

/* --- sending, on the message loop ---------------------------------------- */

static void
count(struct run *r, uint64_t *counter)
{
	pthread_mutex_lock(&r->sim->lock);
	(*counter)++;
	pthread_mutex_unlock(&r->sim->lock);
}

static void
over(struct run *r, const char *why)
{
	loop_cancel(r->sim->loop, &r->timer);
	mqtt_consume_stop(r->orders);
	r->orders = NULL;
	pthread_mutex_lock(&r->sim->lock);
	r->state = RUN_OVER;
	r->why = why;
	pthread_mutex_unlock(&r->sim->lock);
}

static void
send_one(struct run *r, uint32_t place, int64_t at)
{
	struct buf b = { 0 };
	unsigned targets = 0;

	simulated_uplink(&b, &r->devices[place], at);
	(void)mqtt_publish(
	    r->sim->mqtt, r->uldata, buf_str(&b), 1, false, &targets);
	buf_free(&b);
	r->lost = targets > 0 ? 0 : r->lost + 1;
	count(r, &r->sent);
}

/* False: there is no more of it. */
static bool
send_past(struct run *r)
{
	for (int n = 0; n < PAST_CHUNK; n += (int)N_DEVICES) {
		if (r->past >= r->started)
			return false;
		for (uint32_t i = 0; i < N_DEVICES; i++)
			send_one(r, i, r->past);
		r->past += PAST_STEP_MS;
	}
	return true;
}

/* Every device has its place in the interval; the first round comes at once. */
static void
on_timer(struct loop_timer *t)
{
	struct run *r = container_of(t, struct run, timer);
	int64_t pause =
	    MAX_OF(r->sim->conf->interval_ms / (int64_t)N_DEVICES, (int64_t)1);

	if (r->lost >= LOST_MAX) {
		over(r, "its network has gone");
		return;
	}
	if (clock_now() >= r->until) {
		over(r, "its time is over, see simulator.duration");
		return;
	}
	if (send_past(r)) {
		loop_after(r->sim->loop, t, PAST_PAUSE_MS);
		return;
	}
	do
		send_one(r, r->turn % N_DEVICES, clock_now());
	while (++r->turn < N_DEVICES);
	loop_after(r->sim->loop, t, pause);
}

static void
on_order(void *owner, struct mqtt_msg *msg)
{
	char addr[SIMULATED_ADDR_LEN + 1];
	struct simulated_order order;
	struct run *r = owner;
	struct arena a = { 0 };
	struct buf b = { 0 };

	if (simulated_order_read(mqtt_msg_payload(msg), &a, &order)) {
		simulated_result(&b, order.data_id);
		(void)mqtt_publish(
		    r->sim->mqtt, r->result, buf_str(&b), 1, false, NULL);
		count(r, &r->answered);
		for (uint32_t i = 0; i < N_DEVICES; i++) {
			simulated_address(addr, i);
			if (str_eqz(order.addr, addr) &&
			    simulated_obey(&r->devices[i], order.data))
				send_one(r, i, clock_now());
		}
		buf_free(&b);
	}
	mqtt_msg_done(msg, true);
	arena_fini(&a);
}

static void
begin(void *arg)
{
	struct run *r = arg;

	pthread_mutex_lock(&r->sim->lock);
	r->state = RUN_RUNS;
	pthread_mutex_unlock(&r->sim->lock);
	r->orders = mqtt_consume_start(r->sim->mqtt, r->dldata, on_order, r);
	loop_after(r->sim->loop, &r->timer, 0);
}

/* --- runs ---------------------------------------------------------------- */

/* Under the lock. */
static struct run *
find(struct simulator *s, struct str unit_id)
{
	LIST_EACH (r, &s->runs, struct run, link)
		if (str_eq(r->unit_id, unit_id))
			return r;
	return NULL;
}

static void
run_free(struct run *r)
{
	list_del(&r->link);
	str_free(r->unit_id);
	str_free(r->uldata);
	str_free(r->dldata);
	str_free(r->result);
	free(r);
}

/* NULL: answered. */
static struct run *
claim(struct simulator *s, struct http_call *c, struct str unit_id)
{
	struct run *r, *ret = NULL;
	int64_t n = 0;

	pthread_mutex_lock(&s->lock);
	LIST_EACH (other, &s->runs, struct run, link)
		n += other->state != RUN_OVER;
	r = find(s, unit_id);
	if (r != NULL && r->state != RUN_OVER) {
		http_error(c, 400, "err_hub_exist",
		    "the simulator of this unit runs already");
	} else if (n >= s->conf->runs) {
		http_error(c, 503, "err_rsc",
		    s->conf->runs == 0
			? "there is no simulator here, see simulator.runs"
			: "too many simulators run already, see "
			  "simulator.runs; stop one first");
	} else {
		if (r != NULL)
			run_free(r);
		ret = mem_new(struct run);
		ret->sim = s;
		ret->unit_id = str_copy(unit_id);
		ret->timer.fire = on_timer;
		list_add(&s->runs, &ret->link);
	}
	pthread_mutex_unlock(&s->lock);
	return ret;
}

static void
give_up(struct run *r)
{
	struct simulator *s = r->sim;

	pthread_mutex_lock(&s->lock);
	run_free(r);
	pthread_mutex_unlock(&s->lock);
}

/* --- calls, as the user would make them ---------------------------------- */

struct answer {
	int status;
	struct str body; /* in the arena of the call that is answered */
	struct str code, message;
};

static void
read_refusal(struct arena *a, struct answer *ret)
{
	struct str key, text;
	struct json j;

	json_open(&j, ret->body, 0, a);
	if (!json_object(&j))
		return;
	while (json_member(&j, &key) && json_str(&j, &text))
		if (str_eqz(key, "code"))
			ret->code = text;
		else if (str_eqz(key, "message"))
			ret->message = text;
}

static void
ask(struct simulator *s, struct http_call *c, const char *method,
    struct str target, struct str body, struct answer *ret)
{
	struct http_call in = { .method = method,
		.target = target,
		.body = body,
		.authorization = c->authorization,
		.remote = c->remote };

	http_server_call(s->http, &in);
	*ret = (struct answer){ .status = in.status,
		.body = arena_str(
		    &c->arena, in.out.len > 0 ? buf_str(&in.out) : STR("")) };
	if (in.status >= 300)
		read_refusal(&c->arena, ret);
	buf_free(&in.out);
	arena_fini(&in.arena);
}

/* The refusal becomes the answer of the call. */
static bool
refused(struct http_call *c, const struct answer *a, const char *what)
{
	char *code;

	if (a->status < 300)
		return false;
	code = arena_z(
	    &c->arena, a->code.ptr != NULL ? a->code : STR("err_int_msg"));
	http_error(c, a->status, code, "%s: " STR_FMT, what,
	    STR_ARG(a->message.ptr != NULL ? a->message : a->code));
	return true;
}

/* A row of a list. */
struct item {
	struct str id, code, name, addr, profile, unit_id;
	bool marked;
};

static void
read_mark(struct json *j, bool *marked)
{
	struct str key;

	json_object(j);
	while (json_member(j, &key))
		if (str_eqz(key, CODE) && json_peek(j) == JSON_BOOL)
			json_bool(j, marked);
		else
			json_skip(j);
}

static void
read_item(struct json *j, const char *id, struct item *ret)
{
	struct str key;

	*ret = (struct item){ 0 };
	json_object(j);
	while (json_member(j, &key)) {
		struct str *to = str_eqz(key, id) ? &ret->id
		    : str_eqz(key, "code")        ? &ret->code
		    : str_eqz(key, "name")        ? &ret->name
		    : str_eqz(key, "networkAddr") ? &ret->addr
		    : str_eqz(key, "profile")     ? &ret->profile
						  : NULL;

		if (to != NULL && json_peek(j) == JSON_STRING)
			json_str(j, to);
		else if (str_eqz(key, "info") && json_peek(j) == JSON_OBJECT)
			read_mark(j, &ret->marked);
		else
			json_skip(j);
	}
}

struct items {
	struct item *at;
	size_t n;
};

/* False: answered. */
static bool
list(struct simulator *s, struct http_call *c, const char *id,
    struct str target, struct items *ret)
{
	struct answer a;
	size_t cap = 0;
	struct str key;
	struct json j;

	*ret = (struct items){ 0 };
	ask(s, c, "GET", target, STR_NULL, &a);
	if (refused(c, &a, "simulator"))
		return false;
	json_open(&j, a.body, 0, &c->arena);
	json_object(&j);
	while (json_member(&j, &key)) {
		if (!str_eqz(key, "data")) {
			json_skip(&j);
			continue;
		}
		json_array(&j);
		while (json_item(&j)) {
			if (ret->n == cap) {
				struct item *old = ret->at;

				cap = cap * 2 + 16;
				ret->at =
				    arena_array(&c->arena, cap, struct item);
				if (ret->n > 0)
					memcpy(ret->at, old,
					    ret->n * sizeof(*old));
			}
			read_item(&j, id, &ret->at[ret->n++]);
		}
	}
	return true;
}

static struct str
target(struct arena *a, const char *path, ...)
{
	struct buf b = { 0 };
	const char *name;
	struct str ret;
	va_list ap;

	buf_addz(&b, path);
	buf_addc(&b, '?');
	va_start(ap, path);
	while ((name = va_arg(ap, const char *)) != NULL)
		url_form_add(&b, name, va_arg(ap, struct str));
	va_end(ap);
	ret = arena_str(a, buf_str(&b));
	buf_free(&b);
	return ret;
}

/* --- what is there ------------------------------------------------------- */

/* What the simulator has made in a unit; a text is null where there is none. */
struct made {
	struct item unit, network, application;
	struct items devices, profiles;
};

/* The one of this code, if it is ours. False: answered. */
static bool
find_end(struct simulator *s, struct http_call *c, const char *kind,
    const char *id, struct str unit_id, struct item *ret, bool *foreign)
{
	struct items all;
	char path[64];

	snprintf(path, sizeof(path), API "/%s/list", kind);
	if (!list(s, c, id,
		target(&c->arena, path, "unit", unit_id, "code", STR(CODE),
		    (char *)NULL),
		&all))
		return false;
	for (size_t i = 0; i < all.n; i++)
		if (str_eqz(all.at[i].code, CODE)) {
			if (all.at[i].marked)
				*ret = all.at[i];
			else
				*foreign = true;
		}
	return true;
}

static bool
find_unit(struct simulator *s, struct http_call *c, struct str unit_id,
    struct item *ret)
{
	struct items all;

	if (!list(s, c, "unitId",
		target(&c->arena, API "/unit/list", "limit", STR("0"),
		    (char *)NULL),
		&all))
		return false;
	for (size_t i = 0; i < all.n; i++)
		if (str_eq(all.at[i].id, unit_id))
			*ret = all.at[i];
	return true;
}

static bool
is_ours(struct str code)
{
	for (int k = 0; k < SIMULATED_KINDS; k++)
		if (str_eqz(code, simulated_profiles[k].code))
			return true;
	return false;
}

/* False: answered. */
static bool
look(struct simulator *s, struct http_call *c, struct str unit_id,
    struct made *ret, bool *foreign)
{
	struct arena *a = &c->arena;
	struct items profiles;

	*ret = (struct made){ 0 };
	*foreign = false;
	if (!find_unit(s, c, unit_id, &ret->unit) ||
	    !find_end(s, c, "network", "networkId", unit_id, &ret->network,
		foreign) ||
	    !find_end(s, c, "application", "applicationId", unit_id,
		&ret->application, foreign))
		return false;
	if (ret->network.id.ptr != NULL &&
	    !list(s, c, "deviceId",
		target(a, API "/device/list", "unit", unit_id, "network",
		    ret->network.id, "limit", STR("100"), (char *)NULL),
		&ret->devices))
		return false;
	if (!list(s, c, "id",
		target(a, HUB "/profile/list", "unit", unit_id, "contains",
		    STR("demo-"), "limit", STR("0"), (char *)NULL),
		&profiles))
		return false;
	ret->profiles.at = profiles.at;
	for (size_t i = 0; i < profiles.n; i++)
		if (is_ours(profiles.at[i].code))
			ret->profiles.at[ret->profiles.n++] = profiles.at[i];
	return true;
}

/* --- making it ----------------------------------------------------------- */

/* The id that a POST has answered. */
static struct str
new_id(struct arena *a, struct str body, const char *name)
{
	struct str id = STR_NULL, key;
	struct json j;

	json_open(&j, body, 0, a);
	json_object(&j);
	while (json_member(&j, &key)) {
		if (!str_eqz(key, "data") || json_peek(&j) != JSON_OBJECT) {
			json_skip(&j);
			continue;
		}
		json_object(&j);
		while (json_member(&j, &key))
			if (str_eqz(key, name) && json_peek(&j) == JSON_STRING)
				json_str(&j, &id);
			else
				json_skip(&j);
	}
	return id;
}

/* With {"data":{...}} around `members`. `id` (may be NULL) gets the member of
 * that name; who is there already (`exists`) is fine. False: answered. */
static bool
make(struct simulator *s, struct http_call *c, const char *path,
    const char *exists, const char *id_name, struct str *id, struct str members)
{
	struct answer a;

	ask(s, c, "POST", str_of(path),
	    arena_printf(
		&c->arena, "{\"data\":{" STR_FMT "}}", STR_ARG(members)),
	    &a);
	if (exists != NULL && a.code.ptr != NULL && str_eqz(a.code, exists))
		return true;
	if (refused(c, &a, "simulator"))
		return false;
	if (id != NULL)
		*id = new_id(&c->arena, a.body, id_name);
	return true;
}

/* A unit of the user's, or a new one. False: answered. */
static bool
choose_unit(struct simulator *s, struct http_call *c, struct str *unit_id)
{
	struct items all;
	char tail[5];

	if (!list(s, c, "unitId",
		target(&c->arena, API "/unit/list", "limit", STR("1"),
		    (char *)NULL),
		&all))
		return false;
	if (all.n > 0) {
		*unit_id = all.at[0].id;
		return true;
	}
	rand_text(tail, sizeof(tail) - 1);
	/* of other users there may be a "home" */
	return make(s, c, API "/unit", "err_broker_unit_exist", "unitId",
		   unit_id, STR("\"code\":\"home\",\"name\":\"Home\"," MARK)) &&
	    (unit_id->ptr != NULL ||
		make(s, c, API "/unit", NULL, "unitId", unit_id,
		    arena_printf(&c->arena,
			"\"code\":\"home-%s\",\"name\":\"Home\"," MARK, tail)));
}

static bool
make_ends(struct simulator *s, struct http_call *c, struct str unit_id,
    struct made *m)
{
#define END                                                                    \
	"\"unitId\":\"" STR_FMT "\",\"code\":\"" CODE                          \
	"\",\"hostUri\":\"mqtt://localhost\",\"name\":\"Simulator\"," MARK
	if (m->network.id.ptr == NULL &&
	    !make(s, c, API "/network", NULL, "networkId", &m->network.id,
		arena_printf(&c->arena, END, STR_ARG(unit_id))))
		return false;
	if (m->application.id.ptr == NULL &&
	    !make(s, c, API "/application", NULL, "applicationId",
		&m->application.id,
		arena_printf(&c->arena, END ",\"length\":%d", STR_ARG(unit_id),
		    QUEUE_MAX)))
		return false;
	return make(s, c, API "/network-route", "err_broker_route_exist", NULL,
	    NULL,
	    arena_printf(&c->arena,
		"\"networkId\":\"" STR_FMT "\",\"applicationId\":\"" STR_FMT
		"\"",
		STR_ARG(m->network.id), STR_ARG(m->application.id)));
}

static bool
make_profiles(struct simulator *s, struct http_call *c, struct str unit_id)
{
	for (int k = 0; k < SIMULATED_KINDS; k++) {
		const struct simulated_profile *p = &simulated_profiles[k];
		struct buf script = { 0 };
		bool ok;

		json_quote(&script, str_of(p->script));
		ok = make(s, c, HUB "/profile", "err_hub_exist", NULL, NULL,
		    arena_printf(&c->arena,
			"\"unitId\":\"" STR_FMT
			"\",\"code\":\"%s\",\"name\":\"%s\",\"codec\":\"%s\","
			"\"fields\":%s,\"script\":%s",
			STR_ARG(unit_id), p->code, p->name, p->codec, p->fields,
			buf_z(&script)));
		buf_free(&script);
		if (!ok)
			return false;
	}
	return true;
}

static bool
make_devices(struct simulator *s, struct http_call *c, struct str unit_id,
    struct str network_id)
{
	char addr[SIMULATED_ADDR_LEN + 1];

	for (uint32_t i = 0; i < N_DEVICES; i++) {
		simulated_address(addr, i);
		if (!make(s, c, API "/device", "err_broker_network_addr_exist",
			NULL, NULL,
			arena_printf(&c->arena,
			    "\"unitId\":\"" STR_FMT
			    "\",\"networkId\":\"" STR_FMT
			    "\",\"networkAddr\":\"%s\",\"profile\":\"%s\","
			    "\"name\":\"%s\"," MARK,
			    STR_ARG(unit_id), STR_ARG(network_id), addr,
			    simulated_profiles[devices[i].kind].code,
			    devices[i].name)))
			return false;
	}
	return true;
}

static bool
make_all(struct run *r, struct http_call *c)
{
	struct simulator *s = r->sim;
	struct str code;
	struct made m;
	struct err err;
	bool foreign, fresh;

	if (!look(s, c, r->unit_id, &m, &foreign))
		return false;
	if (foreign) {
		http_error(c, 400, "err_hub_exist",
		    "the unit has a network or application `" CODE
		    "` that the simulator has not made: give it another code "
		    "first");
		return false;
	}
	fresh = m.network.id.ptr == NULL;
	if (!make_ends(s, c, r->unit_id, &m) ||
	    !make_profiles(s, c, r->unit_id) ||
	    !make_devices(s, c, r->unit_id, m.network.id))
		return false;
	if (route_unit_code(s->route, r->unit_id, &c->arena, &code, &err) !=
	    1) {
		http_error(c, 400, "err_hub_unit_not_exist", NULL);
		return false;
	}
#define TOPIC(queue)                                                           \
	str_copy(arena_printf(&c->arena,                                       \
	    "broker.network." STR_FMT "." CODE "." queue, STR_ARG(code)))
	r->uldata = TOPIC("uldata");
	r->dldata = TOPIC("dldata");
	r->result = TOPIC("dldata-result");
	r->started = clock_now();
	r->until = r->started + s->conf->duration_ms;
	r->past = fresh ? r->started - s->conf->history_ms : r->started;
	for (uint32_t i = 0; i < N_DEVICES; i++)
		r->devices[i] = (struct simulated){ devices[i].kind, i, false };
	return true;
}

/* --- what is shown ------------------------------------------------------- */

struct shown_device {
	struct str id, name, addr, profile;
};
#define D struct shown_device
static const struct field shown_device_fields[] = {
	F_TEXT(D, id, "deviceId"),
	F_TEXT(D, name, "name"),
	F_TEXT(D, addr, "networkAddr"),
	F_TEXT(D, profile, "profile"),
	{ 0 },
};
static const struct record shown_device_record = { "simulatedDevice", sizeof(D),
	shown_device_fields };

struct shown_made {
	struct str kind, id, name;
};
#undef D
#define M struct shown_made
static const struct field shown_made_fields[] = {
	F_TEXT(M, kind, "kind"),
	F_TEXT(M, id, "id"),
	F_TEXT(M, name, "name"),
	{ 0 },
};
static const struct record shown_made_record = { "simulatorMade", sizeof(M),
	shown_made_fields };

struct shown {
	struct str unit_id, unit_code, message;
	bool running, available;
	int64_t started, until, sent, answered;
	struct rows devices, made;
};
#define V struct shown
static const struct field shown_fields[] = {
	F_TEXT(V, unit_id, "unitId"),
	F_TEXT(V, unit_code, "unitCode"),
	F_BOOL(V, running, "running"),
	F_BOOL(V, available, "available",
	    .help = "Whether it can be started: see simulator.runs."),
	F_TEXT(V, message, "message", .flags = FIELD_NULL,
	    .help = "Why it runs no more."),
	F_TIME(V, started, "startedAt", .flags = FIELD_NULL),
	F_TIME(V, until, "until", .flags = FIELD_NULL,
	    .help = "Then it stops by itself."),
	F_INT(V, sent, "sent", .help = "Messages of its devices."),
	F_INT(V, answered, "answered", .help = "Downlinks they have obeyed."),
	F_RECORDS(V, devices, "devices", .record = &shown_device_record),
	F_RECORDS(V, made, "made", .record = &shown_made_record,
	    .help = "What DELETE takes away."),
	{ 0 },
};
static const struct record shown_record = { "simulatorState", sizeof(V),
	shown_fields };

static void
add_made(struct shown *v, const char *kind, const struct item *i)
{
	struct shown_made *at = v->made.at;

	if (i->id.ptr != NULL)
		at[v->made.n++] = (struct shown_made){ str_of(kind), i->id,
			i->name.len > 0 ? i->name : i->code };
}

static void
show_made(struct arena *a, const struct made *m, struct shown *v)
{
	struct shown_device *at =
	    arena_array(a, m->devices.n + 1, struct shown_device);

	v->made.at =
	    arena_array(a, m->devices.n + m->profiles.n + 3, struct shown_made);
	for (size_t i = 0; i < m->devices.n; i++) {
		const struct item *d = &m->devices.at[i];

		at[i] = (struct shown_device){ d->id, d->name, d->addr,
			d->profile };
		add_made(v, "device", d);
	}
	v->devices = (struct rows){ at, m->devices.n };
	add_made(v, "network", &m->network);
	add_made(v, "application", &m->application);
	for (size_t i = 0; i < m->profiles.n; i++)
		add_made(v, "profile", &m->profiles.at[i]);
	if (m->unit.marked)
		add_made(v, "unit", &m->unit);
}

static void
show(struct simulator *s, struct http_call *c, struct str unit_id)
{
	struct shown v = { .unit_id = unit_id,
		.started = TIME_NULL,
		.until = TIME_NULL,
		.available = s->conf->runs > 0 };
	struct made m;
	struct run *r;
	bool foreign;

	if (!look(s, c, unit_id, &m, &foreign))
		return;
	v.unit_code = m.unit.code.ptr != NULL ? m.unit.code : STR("");
	show_made(&c->arena, &m, &v);
	pthread_mutex_lock(&s->lock);
	r = find(s, unit_id);
	if (r != NULL && r->state != RUN_MAKING) {
		v.running = r->state == RUN_RUNS;
		v.started = r->started;
		v.until = v.running ? r->until : TIME_NULL;
		v.sent = (int64_t)r->sent;
		v.answered = (int64_t)r->answered;
		if (!v.running)
			v.message = str_of(r->why);
	}
	pthread_mutex_unlock(&s->lock);
	rest_answer(c, &shown_record, &v);
}

/* --- the calls ----------------------------------------------------------- */

struct wish {
	struct str unit_id;
};
static const struct field wish_fields[] = {
	F_TEXT(struct wish, unit_id, "unitId", .flags = FIELD_NULL, .max = 128,
	    .help = "The unit; to start it may be left out: then the first one "
		    "of the caller, or a new one."),
	{ 0 },
};
static const struct record wish_record = { "simulatorWish", sizeof(struct wish),
	wish_fields };

static struct simulator *
simulator_of(struct http_call *c)
{
	return (struct simulator *)c->route->ctx;
}

/* False: answered. */
static bool
may(struct simulator *s, struct http_call *c, struct str unit_id,
    enum rest_verb verb)
{
	int rc = route_may_unit(s->route, c, unit_id, verb);

	if (rc == 0)
		http_error(c, 400, "err_hub_unit_not_exist", NULL);
	return rc == 1;
}

static void
handle_get(struct http_call *c)
{
	struct simulator *s = simulator_of(c);
	struct str unit_id = http_var(c, 0);

	if (may(s, c, unit_id, REST_GET))
		show(s, c, unit_id);
}

static void
handle_start(struct http_call *c)
{
	struct simulator *s = simulator_of(c);
	struct rest_body b;
	struct str unit_id;
	struct run *r;

	if (!rest_read(c, &c->route->body, NULL, &b))
		return;
	unit_id = ((const struct wish *)b.row)->unit_id;
	if (unit_id.len == 0 && s->conf->runs > 0 &&
	    !choose_unit(s, c, &unit_id))
		return;
	if (unit_id.len > 0 && !may(s, c, unit_id, REST_PATCH))
		return;
	r = claim(s, c, unit_id);
	if (r == NULL)
		return;
	if (!make_all(r, c)) {
		give_up(r);
		return;
	}
	loop_ask(s->loop, begin, r);
	show(s, c, unit_id);
}

struct stopping {
	struct simulator *sim;
	struct str unit_id;
};

/* On the message loop: while it runs nobody else takes it away. */
static void
stop_of(void *arg)
{
	const struct stopping *st = arg;
	struct run *r;

	pthread_mutex_lock(&st->sim->lock);
	r = find(st->sim, st->unit_id);
	if (r != NULL && r->state != RUN_RUNS)
		r = NULL;
	pthread_mutex_unlock(&st->sim->lock);
	if (r != NULL)
		over(r, "it was stopped");
}

static void
stop_run(struct simulator *s, struct str unit_id)
{
	struct stopping st = { s, unit_id };

	loop_ask(s->loop, stop_of, &st);
}

static void
handle_stop(struct http_call *c)
{
	struct simulator *s = simulator_of(c);
	struct rest_body b;
	struct str unit_id;

	if (!rest_read(c, &c->route->body, NULL, &b))
		return;
	unit_id = ((const struct wish *)b.row)->unit_id;
	if (!may(s, c, unit_id, REST_PATCH))
		return;
	stop_run(s, unit_id);
	show(s, c, unit_id);
}

/* False: answered. */
static bool
take_away(struct simulator *s, struct http_call *c, const char *kind,
    const char *base, const struct item *i)
{
	struct answer a;

	if (i->id.ptr == NULL)
		return true;
	ask(s, c, "DELETE",
	    arena_printf(
		&c->arena, "%s/%s/" STR_FMT, base, kind, STR_ARG(i->id)),
	    STR_NULL, &a);
	return !refused(c, &a, kind);
}

/* Is there any of this in the unit? Negative: answered. */
static int
any(struct simulator *s, struct http_call *c, struct str path)
{
	struct items all;

	if (!list(s, c, "id", path, &all))
		return -1;
	return all.n > 0;
}

/* A profile that another device uses, too, stays; so does a unit in which there
 * is something else. */
static bool
take_rest(struct simulator *s, struct http_call *c, struct str unit_id,
    const struct made *m)
{
	static const char *const others[] = { API "/network/list",
		API "/application/list", API "/device/list",
		HUB "/gateway/list", HUB "/profile/list", HUB "/dashboard/list",
		HUB "/task/list", HUB "/schedule/list", HUB "/handler/list" };
	struct arena *a = &c->arena;
	int is = 0;

	for (size_t i = 0; i < m->profiles.n; i++) {
		is = any(s, c,
		    target(a, API "/device/list", "unit", unit_id, "profile",
			m->profiles.at[i].code, "limit", STR("1"),
			(char *)NULL));
		if (is < 0 ||
		    (is == 0 &&
			!take_away(s, c, "profile", HUB, &m->profiles.at[i])))
			return false;
	}
	is = !m->unit.marked;
	for (size_t i = 0; is == 0 && i < COUNT_OF(others); i++)
		is = any(s, c,
		    target(a, others[i], "unit", unit_id, "limit", STR("1"),
			(char *)NULL));
	if (is != 0)
		return is > 0;
	return take_away(s, c, "unit", API, &m->unit);
}

static void
handle_remove(struct http_call *c)
{
	struct simulator *s = simulator_of(c);
	struct str unit_id = http_var(c, 0);
	struct made m;
	bool foreign;

	if (!may(s, c, unit_id, REST_PATCH))
		return;
	stop_run(s, unit_id);
	if (look(s, c, unit_id, &m, &foreign) &&
	    take_away(s, c, "network", API, &m.network) &&
	    take_away(s, c, "application", API, &m.application) &&
	    take_rest(s, c, unit_id, &m))
		http_empty(c, 204);
}

static const struct http_route rows[] = {
	{ "GET", "/simulator/{unitId}", HTTP_TOKEN, .scope = "simulator.get",
	    .reply = { .record = &shown_record }, .handle = handle_get,
	    .help = "Whether simulated devices send in this unit, and what "
		    "the simulator has made there." },
	{ "POST", "/simulator/start", HTTP_TOKEN,
	    .scope = "simulator.post.start", .body = { .record = &wish_record },
	    .reply = { .record = &shown_record }, .handle = handle_start,
	    .flags = HTTP_SLOW,
	    .help = "Makes simulated devices, with network, application and "
		    "profiles, where they are not there yet, and has them "
		    "send." },
	{ "POST", "/simulator/stop", HTTP_TOKEN, .scope = "simulator.post.stop",
	    .body = { .record = &wish_record, .members = "unitId!" },
	    .reply = { .record = &shown_record }, .handle = handle_stop,
	    .help = "They send nothing more; they stay." },
	{ "DELETE", "/simulator/{unitId}", HTTP_TOKEN,
	    .scope = "simulator.delete", .handle = handle_remove,
	    .help = "Stops it, and takes away what it has made in the unit. A "
		    "profile that other devices use stays, and so does a unit "
		    "in which there is something else." },
	{ 0 },
};

/* --- its life ------------------------------------------------------------ */

struct simulator *
simulator_new(const struct simulator_conf *conf, struct http_server *http,
    struct route *route, struct loop *loop, struct mqtt_server *mqtt)
{
	struct simulator *s = mem_new(struct simulator);

	s->conf = conf;
	s->http = http;
	s->route = route;
	s->loop = loop;
	s->mqtt = mqtt;
	list_init(&s->runs);
	pthread_mutex_init(&s->lock, NULL);
	return s;
}

void
simulator_routes(struct simulator *s, http_add_routes *add, void *ctx)
{
	rest_mount_rows(s != NULL ? &s->mounts : NULL, rows, HUB, s, add, ctx);
}

void
simulator_stop(struct simulator *s)
{
	if (s == NULL)
		return;
	LIST_EACH (r, &s->runs, struct run, link)
		if (r->state == RUN_RUNS)
			over(r, "it was stopped");
}

void
simulator_free(struct simulator *s)
{
	if (s == NULL)
		return;
	LIST_EACH (r, &s->runs, struct run, link)
		run_free(r);
	rest_mounts_free(&s->mounts);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
