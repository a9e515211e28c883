/*
 * core/fleet/agent_tunnel.c - tunnels through an agent to what it can reach.
 *
 *    OPENING --the agent says yes--> OPEN --either side's end--> forgotten
 *
 * The protocol has no word for "wait": when a near end does not take what comes
 * from the agent, nothing more is read from that agent, until it does, or
 * STALL_MS have passed and its tunnel is given up.
 */
#include "core/fleet/agent.h"

#include "base/base.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define OPEN_MS 15000
#define STALL_MS 30000

struct tunnel {
	struct agent *agent;
	struct list link;
	struct tunnel_end *end;
	unsigned char id[RELAY_ID];
	char text[RELAY_ID_TEXT + 1];
	bool open, eof;
	bool held; /* the agent is not read because of us */
	struct loop_timer timer;
};

static struct loop *
loop_of(const struct tunnel *t)
{
	return t->agent->all->fleet->loop;
}

static void
forget(struct tunnel *t)
{
	loop_cancel(loop_of(t), &t->timer);
	if (t->held && t->agent->ws != NULL)
		ws_conn_release(t->agent->ws);
	t->agent->n_tunnels--;
	list_del(&t->link);
	t->end->tunnel = NULL;
	free(t);
}

static void
tell_closed(struct tunnel *t, const char *why, bool refused)
{
	struct tunnel_end *e = t->end;

	forget(t);
	e->ops->closed(e, why, refused);
}

static void
say(struct tunnel *t, enum relay_kind kind, const char *why)
{
	const struct relay_message m = { .kind = kind,
		.connection_id = str_of(t->text),
		.message = str_of(why) };

	if (t->agent->ws != NULL)
		agent_send(t->agent, &m);
}

static void
on_timer(struct loop_timer *timer)
{
	struct tunnel *t = container_of(timer, struct tunnel, timer);
	const char *why = t->open
	    ? "what the device sent was not taken for too long"
	    : "the device did not answer";

	say(t, RELAY_CLOSE, why);
	tell_closed(t, why, !t->open);
}

/* --- opening -------------------------------------------------------------- */

/* Is "host:port" in the list that fleet.agent.targets has? */
static bool
may_go(const struct fleet_agents *all, struct str host, int64_t port)
{
	struct str rest = all->fleet->conf.targets;

	while (rest.ptr != NULL && rest.len > 0) {
		struct str one = str_trim(str_cut(&rest, ' ')), h = one, p;
		const char *colon =
		    one.len > 0 ? memrchr(one.ptr, ':', one.len) : NULL;
		int64_t n;

		if (str_eqz(one, "*"))
			return true;
		if (colon == NULL)
			continue;
		h.len = (size_t)(colon - one.ptr);
		p = (struct str){ colon + 1, one.len - h.len - 1 };
		if ((str_eqz(h, "*") || str_eq_nocase(h, host)) &&
		    (str_eqz(p, "*") || (str_to_i64(p, &n) && n == port)))
			return true;
	}
	return false;
}

int
tunnel_open(struct agent *a, struct str host, int64_t port,
    struct tunnel_end *end, struct err *err)
{
	struct relay_message m = { .kind = RELAY_CONNECT,
		.target_ip = host,
		.target_port = port,
		.protocol = STR("tcp"),
		.supports_binary = true,
		.supports_eof = true };
	struct tunnel *t;

	if (a == NULL || a->ws == NULL)
		return err_set(err, ERR_AGAIN, "Agent not registered");
	if (!may_go(a->all, host, port))
		return err_set(err, ERR_DENIED,
		    "tunnels may not go to " STR_FMT
		    ":%lld; see fleet.agent.targets",
		    STR_ARG(host), (long long)port);
	if (a->n_tunnels >= (size_t)a->all->fleet->conf.tunnels)
		return err_set(err, ERR_LIMIT,
		    "too many tunnels to this device; see "
		    "fleet.agent.tunnels");
	t = mem_new(struct tunnel);
	t->agent = a;
	t->end = end;
	end->tunnel = t;
	relay_id_new(t->id);
	relay_id_text(t->id, t->text);
	t->timer.fire = on_timer;
	list_add(&a->tunnels, &t->link);
	a->n_tunnels++;
	m.connection_id = str_of(t->text);
	agent_send(a, &m);
	loop_after(loop_of(t), &t->timer, OPEN_MS);
	return 0;
}

/* --- from the near end ---------------------------------------------------- */

static void
send_text(struct tunnel *t, struct str bytes)
{
	struct buf b = { 0 };
	struct relay_message m = { .kind = RELAY_DATA,
		.connection_id = str_of(t->text) };

	base64_encode(&b, bytes.ptr, bytes.len, false);
	m.data_base64 = buf_str(&b);
	agent_send(t->agent, &m);
	buf_free(&b);
}

void
tunnel_send(struct tunnel *t, struct str bytes)
{
	bool binary = t->agent->said.supports_binary;
	size_t max = binary ? AGENT_CHUNK : AGENT_CHUNK_TEXT;

	while (bytes.len > 0 && t->agent->ws != NULL) {
		struct str one = { bytes.ptr, MIN_OF(bytes.len, max) };

		if (binary)
			ws_conn_send2(t->agent->ws, true,
			    (struct str){ (const char *)t->id, RELAY_ID }, one);
		else
			send_text(t, one);
		bytes.ptr += one.len;
		bytes.len -= one.len;
	}
}

void
tunnel_eof(struct tunnel *t)
{
	struct tunnel_end *e = t->end;

	if (t->eof)
		return;
	t->eof = true;
	if (t->agent->said.supports_eof) {
		say(t, RELAY_EOF, NULL);
		return;
	}
	tunnel_close(t, "the client is done");
	e->ops->closed(e, "done", false);
}

void
tunnel_close(struct tunnel *t, const char *why)
{
	say(t, RELAY_CLOSE, why);
	forget(t);
}

bool
tunnel_has_room(const struct tunnel *t)
{
	return t->agent->ws != NULL &&
	    ws_conn_waiting(t->agent->ws) < AGENT_WAITING_MAX;
}

void
tunnel_drained(struct tunnel *t)
{
	if (!t->held || t->end->ops->waiting(t->end) > AGENT_LOW)
		return;
	t->held = false;
	loop_cancel(loop_of(t), &t->timer);
	if (t->agent->ws != NULL)
		ws_conn_release(t->agent->ws);
}

void
tunnel_room(struct agent *a)
{
	LIST_EACH (t, &a->tunnels, struct tunnel, link)
		if (t->open)
			t->end->ops->room(t->end);
}

/* --- from the agent ------------------------------------------------------- */

static struct tunnel *
find(struct agent *a, const unsigned char id[RELAY_ID])
{
	LIST_EACH (t, &a->tunnels, struct tunnel, link)
		if (memcmp(t->id, id, RELAY_ID) == 0)
			return t;
	return NULL;
}

static void
take(struct tunnel *t, struct str bytes)
{
	struct tunnel_end *e = t->end;

	if (!t->open)
		return;
	e->ops->data(e, bytes);
	if (e->tunnel != t || t->held ||
	    e->ops->waiting(e) <= AGENT_WAITING_MAX)
		return;
	t->held = true;
	ws_conn_hold(t->agent->ws);
	loop_after(loop_of(t), &t->timer, STALL_MS);
}

void
tunnel_binary(struct agent *a, struct str frame)
{
	struct tunnel *t;

	if (frame.len < RELAY_ID)
		return;
	t = find(a, (const unsigned char *)frame.ptr);
	if (t != NULL)
		take(t,
		    (struct str){ frame.ptr + RELAY_ID, frame.len - RELAY_ID });
}

static void
take_text(struct tunnel *t, struct str base64)
{
	struct buf b = { 0 };

	if (base64_decode(&b, base64) && b.len > 0)
		take(t, buf_str(&b));
	buf_free(&b);
}

static void
opened(struct tunnel *t)
{
	if (t->open)
		return;
	t->open = true;
	loop_cancel(loop_of(t), &t->timer);
	t->end->ops->opened(t->end);
}

void
tunnel_message(struct agent *a, const struct relay_message *m)
{
	unsigned char id[RELAY_ID];
	struct tunnel *t =
	    m->connection_id.ptr != NULL && relay_id_read(m->connection_id, id)
	    ? find(a, id)
	    : NULL;
	struct buf why = { 0 };

	if (t == NULL)
		return; /* it has ended meanwhile */
	buf_add_str(&why, m->message.ptr != NULL ? m->message : STR("closed"));
	switch (m->kind) {
	case RELAY_CONNECT_OK:
		opened(t);
		break;
	case RELAY_DATA:
		take_text(t, m->data_base64);
		break;
	case RELAY_EOF:
		t->end->ops->eof(t->end);
		break;
	default:
		tell_closed(t, buf_z(&why), m->kind == RELAY_CONNECT_ERROR);
		break;
	}
	buf_free(&why);
}

void
tunnels_end(struct agent *a, const char *why)
{
	while (!list_empty(&a->tunnels)) {
		struct tunnel *t = list_first(&a->tunnels, struct tunnel, link);

		tell_closed(t, why, false);
	}
}
