/*
 * core/fleet/agent_conn.c - one agent's connection.
 *
 *    NEW --start--> ADMIT --its token is good--> PROVE --by SSH--> ENROL --> UP
 *                     |                            ^
 *                     | another with this key      | that one is dead
 *                     +--------------------------> TWIN
 *
 * Any state goes to DEAD by agent_end(). What holds in each:
 *
 *    NEW     `timer` bounds the wait for its start
 *    ADMIT, ENROL  a worker has it (`refs`)
 *    TWIN    `rival` is the other one, which `proof` asks
 *    PROVE   it is in `by_key`; it waits in `proving`, or `proof` runs
 *    UP      it is in `by_device`; `beat` sends, `timer` looks for silence
 *
 * A twin that is alive: of two machines with one disk. The one whose hardware
 * is not that of the device gets a new key; where that is not known, the one
 * that was there, and who has come is refused.
 */
#include "core/fleet/agent.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/ssh_key.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define LOG_MODULE "fleet"
#define START_MS 30000
#define BEAT_MS 30000
#define HARDWARE_MAX 16
#define HARDWARE_TEXT_MAX 256

/* Why a connection is closed, for who reads codes. */
#define CLOSE_TOKEN 4401
#define CLOSE_REFUSED 4403
#define CLOSE_TWIN 4409

/* --- sending -------------------------------------------------------------- */

void
agent_send(struct agent *a, const struct relay_message *m)
{
	struct buf b = { 0 };

	relay_write(m, &b);
	ws_conn_send(a->ws, false, buf_str(&b));
	buf_free(&b);
}

void
agent_send_kind(struct agent *a, enum relay_kind kind)
{
	const struct relay_message m = { .kind = kind };

	if ((kind == RELAY_KEEP_ALIVE && a->mute) ||
	    (kind == RELAY_CONFIRMED && a->mute_confirmed))
		return;
	agent_send(a, &m);
}

/* --- its end -------------------------------------------------------------- */

static void
free_agent(struct agent *a)
{
	arena_fini(&a->arena);
	free(a->address);
	free(a);
}

void
agent_unref(struct agent *a)
{
	if (--a->refs == 0 && a->state == AGENT_DEAD)
		free_agent(a);
}

static void
out_of_maps(struct agent *a)
{
	struct fleet_agents *all = a->all;

	if (a->key.len > 0 && map_get(&all->by_key, a->key) == a)
		map_del(&all->by_key, a->key);
	pthread_mutex_lock(&all->lock);
	if (a->device_id.len > 0 && map_get(&all->by_device, a->device_id) == a)
		map_del(&all->by_device, a->device_id);
	pthread_mutex_unlock(&all->lock);
}

static void begin_prove(struct agent *a);
static void next_proofs(struct fleet_agents *all);

/* Those who wait to hear whether it is alive. */
static void
free_rivals(struct agent *gone)
{
	LIST_EACH (a, &gone->all->all, struct agent, link)
		if (a->rival == gone) {
			proof_cancel(a->proof);
			a->proof = NULL;
			a->rival = NULL;
			begin_prove(a);
		}
}

static void
end_with(struct agent *a, const char *reason, int code)
{
	bool was_up = a->state == AGENT_UP;

	if (a->state == AGENT_DEAD)
		return;
	a->state = AGENT_DEAD;
	a->refs++;
	loop_cancel(a->all->fleet->loop, &a->timer);
	loop_cancel(a->all->fleet->loop, &a->beat);
	list_del(&a->link);
	list_del(&a->wait);
	a->all->n--;
	out_of_maps(a);
	proof_cancel(a->proof);
	a->proof = NULL;
	a->rival = NULL;
	tunnels_end(a, "the agent has gone");
	ws_conn_close(a->ws, code);
	a->ws = NULL;
	free_rivals(a);
	if (was_up)
		agent_gone(a, reason);
	next_proofs(a->all);
	agent_unref(a);
}

void
agent_end(struct agent *a, const char *reason)
{
	end_with(a, reason, WEBSOCKET_AWAY);
}

void
agents_end_of(struct fleet_agents *all, struct str unit_id)
{
	struct agent *found;

	/* from the beginning each time: an end may let others go on, or end */
	do {
		found = NULL;
		LIST_EACH (a, &all->all, struct agent, link)
			if (found == NULL && str_eq(a->unit_id, unit_id))
				found = a;
		if (found != NULL)
			end_with(found, "the unit was deleted", CLOSE_TOKEN);
	} while (found != NULL);
}

/* Told once, to those who run the platform; the agent sees the code. */
static void
refuse(struct agent *a, int code, const char *reason)
{
	log_warn("agent at %s is refused: %s", a->address, reason);
	end_with(a, reason, code);
}

static void
on_closed(void *owner, const struct err *why)
{
	struct agent *a = owner;

	a->ws = NULL;
	end_with(a, why->text, 0);
}

/* --- proving -------------------------------------------------------------- */

static void
next_proofs(struct fleet_agents *all)
{
	while (!all->ending && !list_empty(&all->proving) &&
	    all->n_proving < (size_t)all->fleet->conf.proofs) {
		struct agent *a = list_first(&all->proving, struct agent, wait);
		struct agent *through = a->rival != NULL ? a->rival : a;
		struct err why;

		list_del(&a->wait);
		a->proof = proof_start(through, a, &why);
		if (a->proof == NULL)
			refuse(a, CLOSE_REFUSED, why.text);
	}
}

static void
begin_prove(struct agent *a)
{
	struct agent *there = map_get(&a->all->by_key, a->key);

	list_del(&a->wait);
	if (there != NULL && there != a && there->state != AGENT_UP) {
		refuse(a, CLOSE_TWIN,
		    "another connection with its key is being looked at");
		return;
	}
	if (there != NULL && there != a) {
		a->state = AGENT_TWIN;
		a->rival = there;
	} else {
		a->state = AGENT_PROVE;
		map_put(&a->all->by_key, a->key, a);
	}
	list_add(&a->all->proving, &a->wait);
	next_proofs(a->all);
}

static bool
has_pair(struct arena *arena, struct str ids, struct str kind, struct str value)
{
	struct str there = json_find(arena, ids, kind);

	return there.ptr != NULL && str_eq(there, value);
}

/* Have both said what hardware they are, and nothing of it is the same? */
static bool
other_hardware(struct agent *a, struct str theirs)
{
	struct str mine = a->said.hardware_ids, key, value;
	struct arena arena = { 0 };
	bool any = false, same = false;
	struct json j;

	if (mine.len <= 2 || theirs.len <= 2)
		return false;
	json_open(&j, mine, 0, &arena);
	if (json_object(&j))
		while (json_member(&j, &key) && json_raw(&j, &value)) {
			any = true;
			same = same || has_pair(&arena, theirs, key, value);
		}
	arena_fini(&arena);
	return any && !same;
}

static void
twin_lives(struct agent *a)
{
	struct agent *old = a->rival;

	a->rival = NULL;
	if (other_hardware(a, old->said.hardware_ids)) {
		agent_send_kind(a, RELAY_ROTATE);
		refuse(a, CLOSE_TWIN,
		    "it has the key of a device that is connected, on other "
		    "hardware: its disk was copied; it is to make a new key");
		return;
	}
	agent_send_kind(old, RELAY_ROTATE);
	refuse(a, CLOSE_TWIN,
	    "it has the key of a device that is connected; that one is to "
	    "make a new key");
}

void
agent_proven(struct agent *a, const struct err *why)
{
	struct fleet_agents *all = a->all;
	struct agent *rival = a->rival;

	a->proof = NULL;
	if (a->state == AGENT_TWIN && why == NULL) {
		twin_lives(a);
	} else if (a->state == AGENT_TWIN) {
		a->rival = NULL;
		log_info("device %.*s is connected anew: its old connection "
			 "is dead",
		    STR_ARG(rival->device_id));
		end_with(rival, "a dead twin", 0);
		begin_prove(a);
	} else if (why != NULL) {
		refuse(a, CLOSE_REFUSED, why->text);
	} else {
		a->state = AGENT_ENROL;
		agent_enrol(a);
	}
	next_proofs(all);
}

/* --- admission ------------------------------------------------------------ */

void
agent_admitted(struct agent *a, const struct err *why)
{
	if (why != NULL && why->code != ERR_DENIED) {
		refuse(a, WEBSOCKET_AWAY, why->text);
		return;
	}
	if (why != NULL) {
		refuse(a, CLOSE_TOKEN, why->text);
		return;
	}
	a->key = arena_printf(&a->arena, STR_FMT " " STR_FMT,
	    STR_ARG(a->unit_id), STR_ARG(a->public_key));
	begin_prove(a);
}

/* Who has said nothing for half of the time is asked by a ping, which is
 * answered by whoever can answer. Only who was asked, and had time to answer,
 * is ended: our own reading may have been held up meanwhile, by a tunnel or
 * since the whole machine stood still. */
static void
on_silence(struct loop_timer *t)
{
	struct agent *a = container_of(t, struct agent, timer);
	const int64_t max = a->all->fleet->conf.agent_ms;
	const int64_t now = clock_mono(), heard = ws_conn_heard(a->ws);
	int64_t next;

	if (heard >= a->asked_at)
		a->asked_at = 0;
	if (ws_conn_is_held(a->ws)) {
		a->asked_at = 0;
		next = max / 2;
	} else if (now - heard < max / 2) {
		next = heard + max / 2 - now;
	} else if (a->asked_at == 0) {
		ws_conn_ping(a->ws, STR(""));
		a->asked_at = now;
		next = max / 2;
	} else if (now - a->asked_at < max / 2) {
		next = a->asked_at + max / 2 - now;
	} else {
		end_with(a, "it was silent for too long", 0);
		return;
	}
	loop_after(a->all->fleet->loop, &a->timer, MAX_OF(next, (int64_t)1));
}

static void
on_beat(struct loop_timer *t)
{
	struct agent *a = container_of(t, struct agent, beat);

	agent_send_kind(a, RELAY_KEEP_ALIVE);
	loop_after(a->all->fleet->loop, &a->beat, BEAT_MS);
}

static void
come_up(struct agent *a)
{
	struct fleet_agents *all = a->all;
	struct agent *old;

	pthread_mutex_lock(&all->lock);
	old = map_get(&all->by_device, a->device_id);
	pthread_mutex_unlock(&all->lock);
	if (old != NULL && old != a)
		end_with(old, "it has connected anew", 0);
	a->state = AGENT_UP;
	ws_conn_message_max(a->ws, AGENT_MESSAGE_MAX);
	pthread_mutex_lock(&all->lock);
	map_put(&all->by_device, a->device_id, a);
	pthread_mutex_unlock(&all->lock);
	loop_after(all->fleet->loop, &a->timer, all->fleet->conf.agent_ms / 2);
	loop_after(all->fleet->loop, &a->beat, BEAT_MS);
	agent_greet(a);
}

void
agent_enrolled(struct agent *a, int outcome, const struct err *why)
{
	switch (outcome) {
	case AGENT_OUT_UP:
	case AGENT_OUT_WAITING:
		a->waiting = outcome == AGENT_OUT_WAITING;
		come_up(a);
		break;
	case AGENT_OUT_CLONED:
		agent_send_kind(a, RELAY_ROTATE);
		refuse(a, CLOSE_TWIN, why->text);
		break;
	default:
		refuse(a, CLOSE_REFUSED, why->text);
		break;
	}
}

void
agent_approved(struct agent *a)
{
	a->waiting = false;
	agent_greet(a);
}

/* --- what it says --------------------------------------------------------- */

static int
check_hardware(struct str ids, struct err *err)
{
	struct arena arena = { 0 };
	struct str key, value;
	struct json j;
	size_t n = 0;
	int rc = 0;

	json_open(&j, ids, 0, &arena);
	if (json_object(&j))
		while (rc == 0 && json_member(&j, &key)) {
			if (!json_str(&j, &value))
				break;
			if (++n > HARDWARE_MAX ||
			    key.len + value.len > HARDWARE_TEXT_MAX)
				rc = err_set(err, ERR_LIMIT,
				    "it says too much of its hardware");
		}
	if (rc == 0 && json_done(&j, NULL) != 0)
		rc = err_set(err, ERR_PROTO,
		    "start: hardware_ids must be an object of texts");
	arena_fini(&arena);
	return rc;
}

static void
remember_quirks(struct agent *a)
{
	struct str last = a->said.last_error;

	if (last.ptr == NULL)
		return;
	a->mute = str_contains_nocase(last, STR("keep_alive"));
	a->mute_confirmed =
	    str_contains_nocase(last, STR("successfully_ssh_connected"));
}

static int
take_start(struct agent *a, struct str text, struct err *err)
{
	struct relay_message *m = &a->said;
	struct buf key = { 0 };
	int rc =
	    relay_read(arena_str(&a->arena, text), false, &a->arena, m, err);

	if (rc == 0 && m->kind != RELAY_START)
		rc = err_set(
		    err, ERR_PROTO, "the first message must be its start");
	if (rc == 0)
		rc = ssh_public_normal(m->public_key, &key, err);
	if (rc == 0 && m->hardware_ids.ptr == NULL)
		m->hardware_ids = STR("{}");
	if (rc == 0)
		rc = check_hardware(m->hardware_ids, err);
	if (rc == 0)
		a->public_key = arena_str(&a->arena, buf_str(&key));
	buf_free(&key);
	return rc;
}

static void
on_start(struct agent *a, bool binary, struct str payload)
{
	struct err why;

	if (binary) {
		refuse(a, WEBSOCKET_UNSUPPORTED,
		    "the first message must be its start");
		return;
	}
	if (take_start(a, payload, &why) != 0) {
		refuse(a, WEBSOCKET_UNSUPPORTED, why.text);
		return;
	}
	remember_quirks(a);
	loop_cancel(a->all->fleet->loop, &a->timer);
	a->state = AGENT_ADMIT;
	ws_conn_message_max(a->ws, AGENT_PROOF_MAX);
	agent_admit(a);
}

static void
obey(struct agent *a, const struct relay_message *m)
{
	switch (m->kind) {
	case RELAY_KEEP_ALIVE:
		if (a->state == AGENT_UP)
			agent_seen(a);
		break;
	case RELAY_CONNECT_OK:
	case RELAY_CONNECT_ERROR:
	case RELAY_DATA:
	case RELAY_EOF:
	case RELAY_RESET:
		tunnel_message(a, m);
		break;
	case RELAY_SWITCHED:
		if (a->state == AGENT_UP)
			agent_switched(a->all, m);
		break;
	case RELAY_METRICS:
		if (a->state == AGENT_UP)
			agent_take_metrics(a, m);
		break;
	case RELAY_INTERFACES:
		if (a->state == AGENT_UP)
			agent_take_interfaces(a, m);
		break;
	case RELAY_START:
		refuse(a, WEBSOCKET_UNSUPPORTED, "it started twice");
		break;
	default:
		break; /* of a newer agent than we know */
	}
}

static void
on_message(void *owner, bool binary, struct str payload)
{
	struct agent *a = owner;
	struct arena arena = { 0 };
	struct relay_message m;
	struct err why;

	if (a->state == AGENT_NEW) {
		on_start(a, binary, payload);
		return;
	}
	if (binary) {
		tunnel_binary(a, payload);
		return;
	}
	if (relay_read(payload, false, &arena, &m, &why) != 0)
		refuse(a, WEBSOCKET_UNSUPPORTED, why.text);
	else
		obey(a, &m);
	arena_fini(&arena);
}

static void
on_room(void *owner)
{
	tunnel_room(owner);
}

/* --- its beginning -------------------------------------------------------- */

static void
on_late(struct loop_timer *t)
{
	struct agent *a = container_of(t, struct agent, timer);

	if (a->state == AGENT_UP)
		on_silence(t);
	else
		refuse(a, WEBSOCKET_UNSUPPORTED, "it did not say who it is");
}

void
agent_new(struct fleet_agents *all, const struct http_upgraded *u)
{
	static const struct ws_conn_events events = { on_message, on_room,
		on_closed };
	struct agent *a = mem_new(struct agent);

	a->all = all;
	a->address = str_dupz(u->call->remote);
	a->timer.fire = on_late;
	a->beat.fire = on_beat;
	list_init(&a->wait);
	list_init(&a->tunnels);
	list_add(&all->all, &a->link);
	all->n++;
	a->ws = agents_connection(all, u, &events, a);
	loop_after(all->fleet->loop, &a->timer, START_MS);
}
