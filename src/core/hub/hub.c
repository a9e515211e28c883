/*
 * core/hub/hub.c - see hub.h: opening, starting, ending.
 */
#include "core/hub/live.h"
#include "core/hub/private.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/duration.h"
#include "codec/json.h"
#include "codec/sun.h"
#include "codec/zone.h"
#include "net/http/client.h"

#include <stdlib.h>
#include <unistd.h>

#define LOG_MODULE "hub"

#define TASK_SCRIPT_MS 10000 /* unless the label script_timeout says more */
#define TASK_SCRIPT_MAX_MS (30 * 60 * 1000)

static const struct counter_row counter_rows[] = {
#define COUNTER(name, unit, help)                                              \
	{ #name, unit, help, false, offsetof(struct hub_counters, name) },
#define GAUGE(name, unit, help)                                                \
	{ #name, unit, help, true, offsetof(struct hub_counters, name) },
#include "core/hub/counters.def"
#undef COUNTER
#undef GAUGE
};

/* --- where the site is --------------------------------------------------- */

/* `*ret` is NULL where the machine lives by UTC. */
static int
read_zone(struct str name, struct zone **ret, struct err *err)
{
	struct arena a = { 0 };
	struct buf bytes = { 0 };
	const char *path = zone_path(&a, name);
	int rc = 0;

	*ret = NULL;
	/* a machine without /etc/localtime lives by UTC */
	if (path != NULL && (name.len > 0 || access(path, R_OK) == 0))
		rc = file_read(path, &bytes, err);
	if (path == NULL || (rc != 0 && access(path, F_OK) != 0))
		rc = err_set(err, ERR_PARAM,
		    "there is no time zone `" STR_FMT "`, as Europe/Berlin",
		    STR_ARG(name));
	if (rc == 0 && bytes.len > 0)
		rc = zone_new(buf_str(&bytes), name, ret, err);
	buf_free(&bytes);
	arena_fini(&a);
	return rc;
}

int
hub_check_zone(struct str s, struct err *err)
{
	struct zone *zone;
	int rc = read_zone(s, &zone, err);

	if (rc == 0)
		zone_free(zone);
	return rc;
}

static int
check_degrees(struct str s, bool latitude, struct err *err)
{
	double x;

	if (hub_number(s, &x) &&
	    sun_place_ok(latitude ? x : 0, latitude ? 0 : x))
		return 0;
	return err_set(err, ERR_PARAM, "`" STR_FMT "` must be degrees, %s",
	    STR_ARG(s),
	    latitude ? "-90 to 90, as 48.1" : "-180 to 180, as 11.6");
}

int
hub_check_latitude(struct str s, struct err *err)
{
	return check_degrees(s, true, err);
}

int
hub_check_longitude(struct str s, struct err *err)
{
	return check_degrees(s, false, err);
}

static int
read_place(const struct hub_conf *c, struct zone **zone,
    struct hub_place *place, struct err *err)
{
	int rc = read_zone(c->time_zone, zone, err);

	if (rc != 0)
		return err_wrap(err, "hub.timeZone");
	*place = (struct hub_place){ .zone = *zone };
	if (c->latitude.len > 0 && hub_check_latitude(c->latitude, err) != 0)
		rc = err_wrap(err, "hub.latitude");
	else if (c->longitude.len > 0 &&
	    hub_check_longitude(c->longitude, err) != 0)
		rc = err_wrap(err, "hub.longitude");
	/* one of the two is not enough */
	if (rc == 0)
		place->known = hub_number(c->latitude, &place->latitude) &&
		    hub_number(c->longitude, &place->longitude);
	if (rc != 0)
		zone_free(*zone);
	return rc;
}

/* --- settings that change ------------------------------------------------ */

/* On its way to the loop. */
struct new_conf {
	struct loop_post post;
	struct hub *hub;
	struct hub_conf conf; /* no texts of it are used */
	bool moved;
	struct zone *zone;
	struct hub_place place;
	bool *done; /* guarded by hub->lock; told by hub->conf_done */
};

static void
move(struct hub *h, struct zone *zone, const struct hub_place *place)
{
	pthread_mutex_lock(&h->place_lock);
	zone_free(h->zone);
	h->zone = zone;
	h->place = *place;
	pthread_mutex_unlock(&h->place_lock);
	schedules_moved(h);
}

/* On the loop, or before it runs. */
static void
take_conf(struct loop_post *p)
{
	struct new_conf *n = container_of(p, struct new_conf, post);
	struct hub *h = n->hub;
	bool was = h->conf.home_assistant;

	if (h->conf.node_state_ms != n->conf.node_state_ms ||
	    h->conf.node_inactive_ms != n->conf.node_inactive_ms) {
		h->conf.node_state_ms = n->conf.node_state_ms;
		h->conf.node_inactive_ms = n->conf.node_inactive_ms;
		silence_changed(h);
	}
	h->conf.inbox_max = n->conf.inbox_max;
	h->conf.fields_max = n->conf.fields_max;
	h->conf.fields_per_device = n->conf.fields_per_device;
	h->conf.home_assistant = n->conf.home_assistant;
	if (n->moved)
		move(h, n->zone, &n->place);
	if (h->routing != NULL && was != h->conf.home_assistant)
		model_announce_all(h, !was);
	pthread_mutex_lock(&h->lock); /* of traces others read, too */
	h->conf.trace_ms = n->conf.trace_ms;
	h->conf.trace_max = n->conf.trace_max;
	*n->done = true;
	pthread_cond_signal(&h->conf_done);
	pthread_mutex_unlock(&h->lock);
	free(n);
}

static bool
is_elsewhere(struct hub *h, const struct hub_conf *c)
{
	const struct str now[] = { c->time_zone, c->latitude, c->longitude };
	bool moved = false;

	for (size_t i = 0; i < COUNT_OF(now); i++)
		if (!str_eq(now[i], h->site[i])) {
			str_free(h->site[i]);
			h->site[i] = str_copy(now[i]);
			moved = true;
		}
	return moved;
}

void
hub_reconfigure(struct hub *h, const struct hub_conf *conf)
{
	struct new_conf *n = mem_new(struct new_conf);
	struct err err;
	bool running, done = false;

	n->post.run = take_conf;
	n->hub = h;
	n->done = &done;
	n->conf = *conf;
	n->moved = is_elsewhere(h, conf);
	if (n->moved && read_place(conf, &n->zone, &n->place, &err) != 0) {
		/* it was checked; the file has gone since */
		log_warn("the site stays where it is: %s", err.text);
		n->moved = false;
	}
	pthread_mutex_lock(&h->lock);
	running = h->running;
	if (running)
		loop_post(h->loop, &n->post);
	/* whoever made the change sees it in what he does next */
	while (running && !done)
		pthread_cond_wait(&h->conf_done, &h->lock);
	pthread_mutex_unlock(&h->lock);
	if (running)
		return;
	if (h->routing == NULL) { /* not yet started */
		take_conf(&n->post);
	} else { /* it ends; the next start reads what was kept */
		zone_free(n->zone);
		free(n);
	}
}

/* --- opening ------------------------------------------------------------- */

int
hub_load(struct hub *h, struct err *err)
{
	static int (*const loads[])(struct hub * h, struct err * err) = {
		model_load,
		inbox_load,
		forwards_load,
		handlers_load,
		tasks_load,
		schedules_load,
		gates_load,
		delayed_load,
		operations_load,
	};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < COUNT_OF(loads); i++)
		rc = loads[i](h, err);
	return rc;
}

void
hub_forget(struct hub *h)
{
	schedules_free(h);
	tasks_free(h);
	delayed_forget(h);
	handlers_free(h);
	forwards_free(h);
	model_free(h);
	inbox_free(h);
	gates_forget(h);
	operations_free(h);
}

int
hub_open(const struct hub_conf *conf, const char *dir, struct route *route,
    struct hub **ret, struct err *err)
{
	struct hub *h = mem_new(struct hub);
	int rc;

	h->conf = *conf;
	h->route = route;
	pthread_mutex_init(&h->lock, NULL);
	pthread_mutex_init(&h->place_lock, NULL);
	pthread_cond_init(&h->conf_done, NULL);
	pthread_cond_init(&h->rest_cond, NULL);
	list_init(&h->heard);
	list_init(&h->tests);
	list_init(&h->dirty_nodes);
	list_init(&h->dirty_sources);
	list_init(&h->dirty_fields);
	list_init(&h->inbox_order);
	list_init(&h->delayed);
	h->log_dir = mem_printf("%s/gateway_logs", dir != NULL ? dir : ".");
	h->operation_dir =
	    mem_printf("%s/operation_files", dir != NULL ? dir : ".");
	h->firmware_dir = mem_printf("%s/firmware", dir != NULL ? dir : ".");
	list_init(&h->sent_order);
	h->errands = worker_pool_new("errand", 1, 4096);
	h->heard_post.run = heard_run;
	h->loop = loop_new();
	writer_init(h);
	feed_init(h);
	h->live = live_new(h);
	list_init(&h->script_fetches);
	h->http = http_client_new(h->loop,
	    &(struct http_client_limits){
		(long)conf->http_at_once, (long)conf->http_per_host });
	h->codecs = script_pool_new(h->loop, &conf->script, NULL);
	h->scripts = script_pool_new(h->loop, &conf->script,
	    &(struct script_host){ hub_script_http, h });
	(void)is_elsewhere(h, conf);
	rc = read_place(conf, &h->zone, &h->place, err);
	if (rc == 0)
		rc = settings_open(h, err);
	if (rc == 0)
		rc = store_open_settings(
		    &h->conf.db, "hub", dir, hub_entities, &h->store, err);
	if (rc == 0)
		objects_version(h);
	if (rc == 0)
		rc = seal_open(h, dir, err);
	if (rc == 0)
		rc = metric_open(&h->conf.metric, dir, &h->metric, err);
	if (rc == 0)
		rc = hub_load(h, err);
	if (rc != 0) {
		hub_close(h);
		return rc;
	}
	*ret = h;
	return 0;
}

static void *
run(void *arg)
{
	struct hub *h = arg;

	pthread_setname_np(pthread_self(), "hub");
	loop_run(h->loop);
	return NULL;
}

/* On the routing loop. */
static void
on_changed(void *owner, struct str network_code, struct str addr)
{
	struct buf b = { 0 };

	if (network_code.ptr != NULL)
		buf_addf(&b, STR_FMT "\n" STR_FMT, STR_ARG(network_code),
		    STR_ARG(addr));
	hub_post(owner, model_check, buf_str(&b));
	hub_post(owner, gates_stale, buf_str(&b));
	buf_free(&b);
}

/* What somebody asks by MQTT, on its way to the loop. */
struct asked_set {
	struct loop_post post;
	struct hub *hub;
	struct str unit_code, place, payload;
	struct arena arena;
};

static void
run_set(struct loop_post *p)
{
	struct asked_set *a = container_of(p, struct asked_set, post);

	announce_set(a->hub, a->unit_code, a->place, a->payload);
	arena_fini(&a->arena);
	free(a);
}

/* On the routing loop. */
static void
on_set(void *owner, struct str unit_code, struct str place, struct str payload)
{
	struct asked_set *a = mem_new(struct asked_set);

	a->post.run = run_set;
	a->hub = owner;
	a->unit_code = arena_str(&a->arena, unit_code);
	a->place = arena_str(&a->arena, place);
	a->payload = arena_str(&a->arena, payload);
	loop_post(a->hub->loop, &a->post);
}

/* What would send messages at once waits until the routing loop runs. */
void
hub_begin(struct hub *h)
{
	delayed_begin(h);
	tasks_begin(h);
	gates_start(h);
	operations_begin(h);
}

static void
on_begin(struct loop_post *p)
{
	struct hub *h = container_of(p, struct hub, begin_post);

	h->begun = true;
	hub_begin(h);
}

static void
on_ready(struct loop_post *p)
{
	struct hub *h = container_of(p, struct hub, ready_post);

	loop_post(h->loop, &h->begin_post);
}

int
hub_start(
    struct hub *h, struct loop *loop, struct mqtt_server *mqtt, struct err *err)
{
	const struct route_tap tap = { heard_uplink, on_changed, on_set,
		gate_order, sent_heard, event_told, event_is_wanted, h };

	h->routing = loop;
	h->mqtt = mqtt;
	h->ready_post.run = on_ready;
	h->begin_post.run = on_begin;
	loop_post(loop, &h->ready_post);
	h->counter_group = (struct counter_group){ .prefix = "hub",
		.rows = counter_rows,
		.n = COUNT_OF(counter_rows),
		.values = &h->counters };
	counter_register(&h->counter_group);
	counter_register(&script_counter_group);
	if (pthread_create(&h->thread, NULL, run, h) != 0)
		return err_set(err, ERR_IO, "start a thread");
	h->running = true;
	route_listen(h->route, &tap);
	return live_start(h->live, err);
}

/* Ends the loop once nothing is left to do; on the loop. */
void
hub_maybe_end(struct hub *h)
{
	bool left;

	if (!h->ending || h->writing || h->gathers->n > 0)
		return;
	pthread_mutex_lock(&h->lock);
	left = h->n_heard > 0;
	pthread_mutex_unlock(&h->lock);
	if (!left)
		loop_stop(h->loop);
}

static void
on_end(struct loop_post *p)
{
	struct hub *h = container_of(p, struct hub, end_post);

	h->ending = true;
	trials_end(h);
	operations_end(h);
	gates_stop(h);
	writer_kick(h);
	hub_maybe_end(h);
}

void
hub_stop(struct hub *h)
{
	bool running;

	if (h == NULL)
		return;
	live_stop(h->live); /* while our loop hears what it posts */
	pthread_mutex_lock(&h->lock);
	running = h->running;
	h->running = false;
	pthread_mutex_unlock(&h->lock);
	if (!running)
		return;
	h->end_post.run = on_end;
	loop_post(h->loop, &h->end_post);
	pthread_join(h->thread, NULL);
}

void
hub_close(struct hub *h)
{
	if (h == NULL)
		return;
	hub_stop(h);
	feed_fini(h);
	live_free(h->live);
	h->closing = true;
	if (h->routing != NULL)
		loop_unpost(h->routing, &h->ready_post);
	loop_unpost(h->loop, &h->begin_post);
	schedules_free(h);
	tasks_free(h);
	script_pool_free(h->codecs);
	script_pool_free(h->scripts);
	trials_end(h);
	gates_free(h);
	hub_script_http_end(h);
	http_client_free(h->http);
	delayed_forget(h);
	handlers_free(h);
	sent_forget(h);
	writer_fini(h);
	forwards_free(h);
	model_free(h);
	inbox_free(h);
	operations_free(h);
	rest_mounts_free(&h->mounts);
	versions_free(h->versions);
	settings_close(h);
	metric_close(h->metric);
	store_close(h->store);
	loop_free(h->loop);
	zone_free(h->zone);
	str_free(h->listens);
	free(h->log_dir);
	free(h->firmware_dir);
	free(h->operation_dir);
	seal_close(h);
	arena_fini(&h->readings.arena);
	for (size_t i = 0; i < COUNT_OF(h->site); i++)
		str_free(h->site[i]);
	pthread_mutex_destroy(&h->place_lock);
	pthread_cond_destroy(&h->conf_done);
	pthread_mutex_destroy(&h->lock);
	pthread_cond_destroy(&h->rest_cond);
	free(h);
}

void
hub_routes(struct hub *h, http_add_routes *add, void *ctx)
{
	objects_mount(h, add, ctx);
}

void
hub_live_stop(struct hub *h)
{
	if (h != NULL)
		live_stop(h->live);
}

int
hub_duration(struct str s, int64_t def, int64_t *ret, struct err *err)
{
	*ret = def;
	if (s.len == 0 || duration_parse_ms(s, ret))
		return 0;
	return err_set(err, ERR_PARAM,
	    "`" STR_FMT "` is no duration, as 1h20m5s", STR_ARG(s));
}

/* The time of the newest of those that are too many. */
static int
too_many(struct hub *h, int64_t max, int64_t *until, struct err *err)
{
	const struct store_query q = { .sort = { { "timestamp", true } },
		.n_sort = 1,
		.offset = (uint64_t)max,
		.limit = 1 };
	struct arena a = { 0 };
	struct rows rows;
	int rc;

	rc = store_all(h->store, &hub_trace_entity, &q, &a, &rows, err);
	if (rc == 0 && rows.n > 0)
		*until =
		    MAX_OF(*until, ((const struct hub_trace *)rows.at)->at + 1);
	arena_fini(&a);
	return rc;
}

/* Tells how the metric store gets on, and once when that changes. */
static void
watch_history(struct hub *h)
{
	struct metric_stats s;

	metric_stats(h->metric, &s);
	counter_set(&h->counters.history_dropped, (int64_t)s.dropped);
	counter_set(&h->counters.history_waiting, (int64_t)s.waiting);
	if (s.trouble != 0 && h->metric_trouble == 0)
		log_warn("the history waits (%llu points): %s",
		    (unsigned long long)s.waiting, s.why);
	else if (s.trouble == 0 && h->metric_trouble != 0)
		log_info("the history gets on again");
	h->metric_trouble = s.trouble;
}

int
hub_clean(struct hub *h, bool all, struct err *err)
{
	struct filter f = { 0 };
	int64_t until, max;
	int rc = 0;

	watch_history(h);
	pthread_mutex_lock(&h->lock);
	until = clock_now() - h->conf.trace_ms;
	max = h->conf.trace_max;
	pthread_mutex_unlock(&h->lock);
	if (all)
		rc = metric_clean(h->metric, clock_now(), err);
	if (rc == 0)
		rc = too_many(h, max, &until, err);
	if (rc != 0)
		return rc;
	filter_add(&f, "timestamp", COND_LT, value_time(until));
	rc = store_del(h->store, &hub_trace_entity, &f, NULL, err);
	if (rc == 0) {
		struct filter old = { 0 };

		filter_add(&old, "createdAt", COND_LT,
		    value_time(clock_now() - h->conf.operation_kept_ms));
		rc =
		    store_del(h->store, &hub_operation_entity, &old, NULL, err);
		hub_post(h, operations_check, STR(""));
		operation_files_clean(h);
	}
	return rc != 0 ? rc : versions_clean(h->versions, err);
}

/* --- units that have gone ------------------------------------------------ */

/* Whatever is in memory of that unit goes. */
static void
forget_rules(struct hub *h, struct map *all, struct str unit_id,
    void (*reload)(struct hub *h, struct str id))
{
	struct arena a = { 0 };
	const struct hub_any *row;
	struct strs ids = { arena_array(&a, all->n + 1, struct str), 0 };
	size_t pos = 0;

	/* every one of these begins with its row */
	while ((row = map_next(all, &pos)) != NULL)
		if (str_eq(row->unit_id, unit_id))
			ids.at[ids.n++] = arena_str(&a, row->id);
	for (size_t i = 0; i < ids.n; i++)
		reload(h, ids.at[i]);
	arena_fini(&a);
}

static void
unit_gone(struct hub *h, struct str unit_id)
{
	struct filter f = { 0 };

	firmware_unit_gone(h, unit_id);
	filter_text(&f, "unitId", unit_id);
	for (size_t i = 0; hub_entities[i] != &hub_setting_entity; i++)
		(void)versions_store_del(
		    h->versions, NULL, hub_entities[i], &f, NULL);
	delayed_gone(h, unit_id);
	forget_rules(h, &h->tasks, unit_id, tasks_reload);
	forget_rules(h, &h->schedules, unit_id, schedules_reload);
	forget_rules(h, &h->forwards, unit_id, forwards_reload);
	forget_rules(h, &h->handlers, unit_id, handlers_reload);
	forget_rules(h, &h->profiles, unit_id, model_reload_profile);
	/* and what was on its way to the store */
	for (size_t i = 0; hub_entities[i] != &hub_setting_entity; i++)
		writer_gone(h, hub_entities[i], "unitId", unit_id);
}

static int
note_unit(void *ctx, const void *row, struct err *err)
{
	struct map *units = ctx;
	const struct hub_any *any = row;
	struct str *copy;

	(void)err;
	if (any->unit_id.len == 0 || map_get(units, any->unit_id) != NULL)
		return 0;
	copy = mem_new(struct str);
	*copy = str_copy(any->unit_id);
	map_put(units, *copy, copy);
	return 0;
}

void
hub_check_units(struct hub *h)
{
	static const struct store_query all = { 0 };
	const struct entity *const of_people[] = { &hub_profile_entity,
		&hub_handler_entity, &hub_forward_entity,
		&hub_repository_entity, &hub_task_entity, &hub_schedule_entity,
		&hub_dashboard_entity, &hub_firmware_entity };
	struct map units = { 0 };
	struct str *unit;
	size_t pos = 0;

	for (size_t i = 0; i < COUNT_OF(of_people); i++)
		(void)store_list(
		    h->store, of_people[i], &all, note_unit, &units, NULL);
	while ((unit = map_next(&units, &pos)) != NULL) {
		if (route_unit_exists(h->route, *unit, NULL) == 0)
			unit_gone(h, *unit);
		str_free(*unit);
		free(unit);
	}
	map_fini(&units);
	gates_check(h);
}

int64_t
hub_script_timeout(struct str labels)
{
	struct arena a = { 0 };
	struct str value, text;
	int64_t ms = TASK_SCRIPT_MS;
	struct json j;

	if (hub_json_at(&a, labels, STR("script_timeout"), &value)) {
		json_open(&j, value, 0, &a);
		if (json_str(&j, &text))
			(void)duration_parse_ms(text, &ms);
	}
	arena_fini(&a);
	return MIN_OF(MAX_OF(ms, (int64_t)1), (int64_t)TASK_SCRIPT_MAX_MS);
}
