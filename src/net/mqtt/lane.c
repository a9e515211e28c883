/*
 * net/mqtt/lane.c - the loop threads that share the connections, and how one
 * wakes another: whatever a thread does in one turn reaches each other thread
 * as one wake-up. Under load a thread lets work gather (on_rest).
 */
#include "net/mqtt/private.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Rests, see on_rest(): after how many reads or writes, with less than how much
 * in each, and for how long. */
#define REST_CALLS 16u
#define REST_PACKETS 8u
#define REST_BYTES (16u << 10)
#define REST_PER_CALL_US 5u
#define REST_MAX_US 500u

static _Thread_local struct lane *this_lane;

struct lane *
mqtt_lane_here(struct mqtt_server *s)
{
	return this_lane != NULL && this_lane->server == s ? this_lane
							   : &s->lanes[0];
}

void
mqtt_free_later(struct mqtt_server *s, void *p)
{
	loop_free_later(mqtt_lane_here(s)->loop, p);
}

static void
post(struct lane *lane)
{
	if (lane->posted)
		return;
	lane->posted = true;
	loop_post(lane->loop, &lane->post);
}

void
mqtt_lane_wake(struct conn *c)
{
	if (!list_empty(&c->woken))
		return;
	list_add(&c->lane->woken, &c->woken);
	post(c->lane);
}

void
mqtt_lane_has_done(struct lane *lane)
{
	loop_defer(lane->loop, &lane->rest);
}

/* A read or a write costs some microseconds, a further packet in it a tenth of
 * that. When many peers have said little each, more will have come if we wait
 * about as long as we have worked. What many are told is gathered so only where
 * several threads share the sending: one alone gathers enough by being busy. */
static void
on_rest(struct loop_defer *d)
{
	struct lane *lane = container_of(d, struct lane, rest);
	unsigned calls = 0;

	if (!list_empty(&lane->due)) { /* not all yet */
		loop_defer(lane->loop, d);
		return;
	}
	if (lane->done.packets < REST_PACKETS * lane->done.reads)
		calls = lane->done.reads;
	if (lane->server->n_lanes > 1 &&
	    lane->done.bytes_out < REST_BYTES * lane->done.writes)
		calls = MAX_OF(calls, lane->done.writes);
	if (calls >= REST_CALLS) {
		loop_rest(
		    lane->loop, MIN_OF(calls * REST_PER_CALL_US, REST_MAX_US));
		COUNT(rests);
	}
	memset(&lane->done, 0, sizeof(lane->done));
}

static void
welcome(struct lane *lane, struct newcomer *n)
{
	struct conn *c;

	c = mqtt_conn_new(lane, n->listener, n->fd, n->stream, n->address);
	if (n->stream == NULL && c->state == AWAIT_CONNECT &&
	    !mqtt_listener_wrap(c))
		mqtt_conn_close(c);
	if (n->rest.len > 0) {
		mqtt_unlock(lane->server);
		mqtt_conn_feed(c, n->rest);
		mqtt_lock(lane->server);
	}
	if (n->stream != NULL) /* bytes may lie in it already */
		mqtt_conn_wake(c);
	str_free(n->rest);
	free(n);
}

static void
on_post(struct loop_post *p)
{
	struct lane *lane = container_of(p, struct lane, post);
	struct mqtt_server *s = lane->server;
	struct newcomer *n;
	struct conn *c;

	mqtt_lock(s);
	lane->posted = false;
	while (
	    (n = list_first(&lane->newcomers, struct newcomer, link)) != NULL) {
		list_del(&n->link);
		lane->n_coming--;
		s->n_coming--;
		welcome(lane, n);
	}
	while ((c = list_first(&lane->woken, struct conn, woken)) != NULL) {
		list_del(&c->woken);
		mqtt_conn_due(c);
	}
	mqtt_unlock(s);
}

void
mqtt_lane_give(struct mqtt_server *s, struct newcomer *n)
{
	struct lane *least = &s->lanes[0];

	if (s->n_lanes == 1) {
		welcome(least, n);
		return;
	}
	for (unsigned i = 1; i < s->n_lanes; i++)
		if (s->lanes[i].n_conns + s->lanes[i].n_coming <
		    least->n_conns + least->n_coming)
			least = &s->lanes[i];
	least->n_coming++;
	s->n_coming++;
	list_add(&least->newcomers, &n->link);
	post(least);
}

static void *
run(void *arg)
{
	struct lane *lane = arg;
	char name[16];

	snprintf(name, sizeof(name), "messages %u", lane->no);
	pthread_setname_np(pthread_self(), name);
	this_lane = lane;
	loop_run(lane->loop);
	return NULL;
}

int
mqtt_lanes_open(struct mqtt_server *s, unsigned n, struct err *err)
{
	s->lanes = mem_array(n, sizeof(*s->lanes));
	for (unsigned i = 0; i < n; i++) {
		struct lane *lane = &s->lanes[i];

		lane->server = s;
		lane->no = i;
		lane->loop = i == 0 ? s->loop : loop_new();
		lane->read_buf = mem_alloc(READ_SIZE);
		lane->post.run = on_post;
		lane->rest.run = on_rest;
		lane->turns.run = mqtt_conn_turns;
		list_init(&lane->due);
		list_init(&lane->newcomers);
		list_init(&lane->woken);
	}
	for (s->n_lanes = 1; s->n_lanes < n; s->n_lanes++)
		if (pthread_create(&s->lanes[s->n_lanes].thread, NULL, run,
			&s->lanes[s->n_lanes]) != 0)
			return err_set(err, ERR_IO, "start a thread");
	return 0;
}

void
mqtt_lanes_stop(struct mqtt_server *s)
{
	for (unsigned i = 1; i < s->n_lanes; i++) {
		loop_stop(s->lanes[i].loop);
		pthread_join(s->lanes[i].thread, NULL);
	}
	s->n_lanes = 1; /* what was theirs is the caller's from now on */
}

static void
lane_fini(struct lane *lane)
{
	LIST_EACH (n, &lane->newcomers, struct newcomer, link) {
		stream_free(n->stream);
		close(n->fd);
		str_free(n->rest);
		free(n);
	}
	loop_unpost(lane->loop, &lane->post);
	loop_undefer(lane->loop, &lane->turns);
	loop_undefer(lane->loop, &lane->rest);
	free(lane->read_buf);
}

void
mqtt_lanes_free(struct mqtt_server *s)
{
	unsigned n = MAX_OF(s->conf.threads, 1u);

	for (unsigned i = 0; i < n; i++) {
		lane_fini(&s->lanes[i]);
		if (i > 0)
			loop_free(s->lanes[i].loop);
	}
	free(s->lanes);
	s->lanes = NULL;
}
