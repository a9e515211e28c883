/*
 * net/mqtt/server.c - see server.h: opening and closing, what needs a clock,
 * and the calls that the home loop makes for all lanes.
 */
#include "net/mqtt/private.h"

#include "base/clock.h"
#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

bool
mqtt_levels_ok(const struct mqtt_server *s, struct str topic)
{
	uint32_t max = s->conf.max_topic_levels;

	if (max == 0 || max > LEVELS_MAX)
		max = LEVELS_MAX;
	return topic.len <= MQTT_TEXT_MAX && mqtt_levels(topic) <= max;
}

/* --- the tick ------------------------------------------------------------ */

static void
on_tick(struct loop_timer *t)
{
	struct mqtt_server *s = container_of(t, struct mqtt_server, tick);

	mqtt_lock(s);
	s->now_ms = clock_mono();
	mqtt_sessions_expire(s);
	mqtt_queues_tick(s);
	mqtt_retained_expire(s);
	mqtt_addresses_expire(&s->addresses);
	LIST_EACH (c, &s->conns, struct conn, link) {
		/* a slow client had its time: its publishers go on */
		if (c->session != NULL && !list_empty(&c->session->slowed) &&
		    !mqtt_session_is_pressed(c->session))
			mqtt_session_pump(c->session);
	}
	mqtt_turn_over(s);
	mqtt_unlock(s);
	loop_after(s->loop, &s->tick, TICK_MS);
}

/* --- calls of the home loop ---------------------------------------------- */

static void
on_calls(struct loop_defer *d)
{
	struct mqtt_server *s = container_of(d, struct mqtt_server, run_calls);
	struct call *call, *next;

	mqtt_lock(s);
	call = s->calls;
	s->calls = NULL;
	s->last_call = &s->calls;
	mqtt_unlock(s);
	for (; call != NULL; call = next) {
		next = call->next;
		s->n_calls--;
		switch (call->kind) {
		case CALL_LOGIN:
			mqtt_login_ask(call->what);
			break;
		case CALL_CONSUME:
			mqtt_consumer_call(call->what, call->msg, false);
			break;
		case CALL_CONSUME_RETAINED:
			mqtt_consumer_call(call->what, call->msg, true);
			break;
		case CALL_UNUSED:
			mqtt_account_tell_unused(call->what);
			break;
		case CALL_REPLACED:
			if (s->events.account_unused != NULL)
				s->events.account_unused(s->owner, call->what);
			break;
		}
		free(call);
	}
	mqtt_lock(s);
	s->now_ms = clock_mono();
	mqtt_queues_go_on(s);
	mqtt_release_held(s);
	mqtt_turn_over(s);
	mqtt_unlock(s);
}

static void
on_calls_post(struct loop_post *p)
{
	struct mqtt_server *s = container_of(p, struct mqtt_server, calls_post);

	mqtt_lock(s);
	s->calls_posted = false;
	mqtt_unlock(s);
	on_calls(&s->run_calls);
}

void
mqtt_call(
    struct mqtt_server *s, enum call_kind kind, void *what, struct mqtt_msg *m)
{
	struct call *call = mem_new(struct call);

	call->kind = kind;
	call->what = what;
	call->msg = m;
	*s->last_call = call;
	s->last_call = &call->next;
	s->n_calls++;
	if (s->closing)
		return;
	if (mqtt_lane_here(s) == &s->lanes[0]) {
		loop_defer(s->loop, &s->run_calls);
	} else if (!s->calls_posted) {
		s->calls_posted = true;
		loop_post(s->loop, &s->calls_post);
	}
}

static void
tell_tallies(struct mqtt_server *s)
{
	struct tallies *t = &s->tallies;

#define X(name)                                                                \
	if (t->name != 0)                                                      \
		COUNT_BY(name, t->name);
	TALLIES(X)
#undef X
	*t = (struct tallies){ 0 };
}

void
mqtt_turn_over(struct mqtt_server *s)
{
	tell_tallies(s);
	mqtt_keep_kick(s);
}

void
mqtt_home_done(struct mqtt_server *s)
{
	tell_tallies(s);
	if (s->keep.dirty)
		loop_defer(s->loop, &s->run_calls);
}

bool
mqtt_is_busy(const struct mqtt_server *s)
{
	return s->n_calls >= CALLS_MAX || s->keep.full;
}

void
mqtt_release_held(struct mqtt_server *s)
{
	struct conn *c;

	if (mqtt_is_busy(s))
		return;
	while ((c = list_first(&s->held, struct conn, held)) != NULL) {
		list_del(&c->held);
		mqtt_conn_wake(c);
	}
}

/* --- opening and closing ------------------------------------------------- */

static int
check_conf(const struct mqtt_server_conf *c, struct err *err)
{
	if (c->max_inflight == 0 || c->publish_max == 0)
		return err_set(err, ERR_PARAM,
		    "max_inflight and publish_max: must be 1 or more");
	if (c->max_packet < 128 ||
	    c->max_packet > MQTT_REMAINING_MAX + MQTT_HEAD_MAX)
		return err_set(err, ERR_PARAM, "max_packet: must be 128 to %u",
		    MQTT_REMAINING_MAX);
	if (c->max_output == 0)
		return err_set(err, ERR_PARAM, "max_output: must be 1 or more");
	return 0;
}

static struct mqtt_server *
server_new(struct loop *loop, const struct mqtt_server_conf *conf,
    const struct mqtt_server_events *events, void *owner)
{
	struct mqtt_server *s = mem_new(struct mqtt_server);
	pthread_mutexattr_t attr;

	s->loop = loop;
	s->now_ms = clock_mono();
	s->conf = *conf;
	s->conf.threads = MAX_OF(conf->threads, 1u);
	if (conf->dir != NULL)
		s->conf.dir = s->dir = str_dupz(str_of(conf->dir));
	if (conf->response_info != NULL)
		s->conf.response_info = s->response_info =
		    str_dupz(str_of(conf->response_info));
	s->conf.max_inflight = MIN_OF(conf->max_inflight, ID_COUNT);
	s->events = *events;
	s->owner = owner;
	s->tick.fire = on_tick;
	s->run_calls.run = on_calls;
	s->calls_post.run = on_calls_post;
	s->last_call = &s->calls;
	list_init(&s->listeners);
	list_init(&s->conns);
	list_init(&s->held);
	list_init(&s->gated);
	list_init(&s->detached);
	list_init(&s->queues);
	list_init(&s->queues_nonempty);
	list_init(&s->consumers);
	list_init(&s->logins);
	list_init(&s->spare_deliveries);
	mqtt_addresses_init(&s->addresses);
	mqtt_topics_init(&s->topics);
	mqtt_counters_register();
	/* held for microseconds: spinning is cheaper than sleeping */
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ADAPTIVE_NP);
	pthread_mutex_init(&s->mutex, &attr);
	pthread_mutexattr_destroy(&attr);
	return s;
}

int
mqtt_server_open(struct loop *loop, const struct mqtt_server_conf *conf,
    const struct mqtt_server_events *events, void *owner,
    struct mqtt_server **ret, struct err *err)
{
	struct mqtt_server *s;
	int rc;

	rc = check_conf(conf, err);
	if (rc != 0)
		return rc;
	s = server_new(loop, conf, events, owner);
	rc = mqtt_keep_open(s, err);
	if (rc == 0)
		rc = mqtt_lanes_open(s, s->conf.threads, err);
	if (rc != 0) {
		mqtt_server_close(s);
		return rc;
	}
	loop_after(loop, &s->tick, TICK_MS);
	mqtt_sys_open(s);
	*ret = s;
	return 0;
}

static void
end_everything(struct mqtt_server *s)
{
	struct session *session;
	struct conn *c;
	struct queue *q;
	size_t pos;

	LIST_EACH (each, &s->conns, struct conn, link) {
		mqtt_conn_end(each, MQTT_R_SHUTTING_DOWN, NULL);
		mqtt_conn_close(each);
	}
	while ((c = list_first(&s->conns, struct conn, link)) != NULL)
		mqtt_conn_bury(c);
	mqtt_logins_abandon(s);
	while (pos = 0, (session = map_next(&s->sessions, &pos)) != NULL)
		mqtt_session_free(session);
	while ((q = list_first(&s->queues, struct queue, link)) != NULL)
		mqtt_queue_free(q);
}

/* Messages for consumers that have ended go back to nobody; accounts are given
 * back. */
static void
end_calls(struct mqtt_server *s)
{
	struct call *call, *next;

	for (call = s->calls; call != NULL; call = next) {
		next = call->next;
		if (call->kind == CALL_CONSUME ||
		    call->kind == CALL_CONSUME_RETAINED) {
			call->msg->arrival = NULL;
			mqtt_msg_release(call->msg);
			mqtt_consumer_unref(call->what);
		} else if (call->kind == CALL_UNUSED) {
			mqtt_account_tell_unused(call->what);
		} else if (call->kind == CALL_REPLACED &&
		    s->events.account_unused != NULL) {
			s->events.account_unused(s->owner, call->what);
		}
		free(call);
	}
	s->calls = NULL;
	s->last_call = &s->calls;
}

void
mqtt_server_maybe_free(struct mqtt_server *s)
{
	if (!s->ended || s->n_msgs > 0)
		return;
	pthread_mutex_destroy(&s->mutex);
	free(s);
}

void
mqtt_server_close(struct mqtt_server *s)
{
	struct mqtt_listener *l;

	if (s == NULL)
		return;
	assert(list_empty(&s->consumers));
	if (s->lanes == NULL) { /* it never came to that */
		s->conf.threads = 1;
		(void)mqtt_lanes_open(s, 1, NULL);
	}
	mqtt_lanes_stop(s);
	s->closing = true;
	loop_cancel(s->loop, &s->tick);
	mqtt_sys_close(s);
	end_everything(s);
	end_calls(s);
	while (
	    (l = list_first(&s->listeners, struct mqtt_listener, link)) != NULL)
		mqtt_listener_close(l);
	mqtt_keep_close(s);

	mqtt_addresses_fini(&s->addresses);
	mqtt_topics_fini(&s->topics);
	heap_fini(&s->due);
	map_fini(&s->sessions);
	map_fini(&s->groups);
	map_fini(&s->accounts);
	LIST_EACH (d, &s->spare_deliveries, struct delivery, link)
		free(d);
	for (unsigned i = 0; i < s->n_spare_out; i++)
		buf_free(&s->spare_out[i]);
	buf_free(&s->scratch);
	free(s->dir);
	free(s->response_info);
	free(s->matches);
	free(s->match_ids);
	mqtt_lanes_free(s);
	loop_undefer(s->loop, &s->run_calls);
	loop_unpost(s->loop, &s->calls_post);
	tell_tallies(s);
	s->ended = true;
	mqtt_server_maybe_free(s);
}

/* One of the account's sessions that is to be ended still, or NULL. Ending one
 * may end others. */
static struct session *
next_to_end(struct account *a, bool forget)
{
	LIST_EACH (s, &a->sessions, struct session, in_account) {
		if (s->conn != NULL || forget)
			return s;
	}
	return NULL;
}

static void
end_client(struct session *session, bool forget)
{
	struct conn *c = session->conn;

	session->kicked |= forget;
	if (c != NULL) {
		mqtt_conn_end(c, MQTT_R_ADMIN, NULL);
		mqtt_conn_close(c);
	} else {
		mqtt_session_free(session);
	}
}

static void
end_clients(struct mqtt_server *s, struct str name, bool forget)
{
	struct session *each;
	struct account *a;

	mqtt_lock(s);
	a = mqtt_account_ref(map_get(&s->accounts, name));
	if (a != NULL) {
		mqtt_account_enter(a, NULL); /* in use while they end */
		while ((each = next_to_end(a, forget)) != NULL)
			end_client(each, forget);
		mqtt_account_leave(a, NULL);
	}
	mqtt_account_unref(a);
	mqtt_home_done(s);
	mqtt_unlock(s);
}

void
mqtt_server_kick(struct mqtt_server *s, struct str name)
{
	end_clients(s, name, true);
}

void
mqtt_server_disconnect(struct mqtt_server *s, struct str name)
{
	end_clients(s, name, false);
}
