/*
 * plug/gateway/mysensors.c - MySensors 2, by a serial line, TCP or MQTT.
 *
 * What is news about a node goes up as the line it is. What belongs to the
 * protocol is answered here: ids, units, time, firmware.
 *
 * A message that asks for an echo is waited for, `timeout` for each of
 * `retryCount` attempts. One job at a time waits; answers may, besides:
 *
 *                      timeout, attempts are left
 *                          +---------+
 *      begin               |         v
 *     -------> attempt ----+--> waiting ---> echo: the job is sent
 *                 |                  \-----> the last timeout: it has failed
 *                 +--> can not be written: it has failed
 *
 * Ids are given once: one that was given is reserved until its node presents
 * itself, or `idReservation` is over; one that was heard is taken for good.
 */
#include "plug/gateway/mysensors.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "codec/json.h"
#include "codec/zone.h"
#include "plug/gateway/link.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MIN_MS 10
#define TIMEOUT_MAX_MS 10000
#define RESERVE_MIN_MS 1000
#define DISCOVER_MIN_MS 1000
#define WAITS_MAX 255 /* answers; beyond them one is not sent again */

/* A message whose echo is waited for. */
struct wait {
	struct list link;
	struct mysensors *p;
	struct gateway_job *job; /* NULL: an answer */
	struct loop_timer timer;
	struct mysensors_message m;
	char payload[2 * MYSENSORS_PAYLOAD];
	int64_t attempts;
};

#define S struct mysensors_spec
static const struct field spec_fields[] = {
	F_BOOL(S, internal_ack, "enableInternalMessageAck",
	    .help = "Internal messages have to be acknowledged, too."),
	F_BOOL(S, stream_ack, "enableStreamMessageAck",
	    .help = "Messages of a firmware update have to be acknowledged, "
		    "too."),
	F_INT(S, retries, "retryCount", .def = "3", .min = 1, .max = 20,
	    .help = "How often a message is sent when it is not "
		    "acknowledged."),
	F_TEXT(S, timeout, "timeout", .def = "\"200ms\"",
	    .help = "How long an acknowledgement is waited for each time: "
		    "10ms to 10s."),
	F_TEXT(S, discover, "discoverInterval", .def = "\"15m\"",
	    .help = "How often all nodes are asked whether they are there. "
		    "`0`: never."),
	F_TEXT(S, reserve, "idReservation", .def = "\"10m\"",
	    .help = "How long an id that was given to a new node waits for "
		    "that node, before another one may get it."),
	F_INT(S, firmwares, "firmwareImages", .def = "8", .min = 1, .max = 255,
	    .help = "How many firmware images are held in memory at once."),
	{ 0 },
};
#undef S
static const struct record spec_record = { "mysensors_v2",
	sizeof(struct mysensors_spec), spec_fields };

/* --- labels -------------------------------------------------------------- */

static struct str
node_text(struct arena *a, int node)
{
	return node == OF_GATEWAY ? STR("") : arena_printf(a, "%d", node);
}

struct str
mysensors_label(struct mysensors *p, struct arena *a, int node, const char *key)
{
	const struct gateway_host *host = gateway_host_of(p->g);

	return host->label != NULL
	    ? host->label(host->ctx, a, node_text(a, node), key)
	    : STR_NULL;
}

static bool
has_label(struct mysensors *p, int node, const char *key)
{
	struct arena a = { 0 };
	bool yes = mysensors_truth(mysensors_label(p, &a, node, key));

	arena_fini(&a);
	return yes;
}

void
mysensors_note(
    struct mysensors *p, int node, struct str labels, struct str others)
{
	const struct gateway_host *host = gateway_host_of(p->g);
	struct arena a = { 0 };

	if (host->note != NULL)
		host->note(host->ctx, node_text(&a, node), labels, others);
	arena_fini(&a);
}

/* --- bytes out ----------------------------------------------------------- */

/* The forms of a message on this link: topic and payload, or a line. */
static void
form(struct mysensors *p, const struct mysensors_message *m, struct buf *topic,
    struct buf *data)
{
	if (gateway_protocol(p->g) == GATEWAY_MQTT) {
		mysensors_to_topic(topic, m);
		buf_add_str(data, m->payload);
	} else {
		mysensors_to_line(data, m);
	}
}

static struct str
filled(const struct buf *b)
{
	return b->ptr != NULL ? buf_str(b) : STR("");
}

static int
put(struct mysensors *p, const struct mysensors_message *m, struct err *err)
{
	struct buf topic = { 0 }, data = { 0 };
	int rc;

	form(p, m, &topic, &data);
	rc = gateway_put(p->g, buf_str(&topic), filled(&data), NULL, NULL, err);
	buf_free(&topic);
	buf_free(&data);
	return rc;
}

static void
put_job(struct mysensors *p, struct gateway_job *j,
    const struct mysensors_message *m)
{
	struct buf topic = { 0 }, data = { 0 };

	form(p, m, &topic, &data);
	gateway_put_job(p->g, j, buf_str(&topic), filled(&data));
	buf_free(&topic);
	buf_free(&data);
}

/* --- echoes -------------------------------------------------------------- */

static bool
wants_echo(const struct mysensors *p, const struct mysensors_message *m)
{
	if (m->node == MYSENSORS_ALL)
		return false;
	switch (m->command) {
	case MYSENSORS_SET:
	case MYSENSORS_REQUEST:
		return true;
	case MYSENSORS_INTERNAL:
		return p->spec->internal_ack;
	case MYSENSORS_STREAM:
		return p->spec->stream_ack;
	case MYSENSORS_PRESENTATION:
		break;
	}
	return false;
}

static void
drop(struct wait *w)
{
	loop_cancel(gateway_host_of(w->p->g)->loop, &w->timer);
	w->p->n_waits--;
	list_del(&w->link);
	free(w);
}

static void
end_wait(struct wait *w, enum gateway_outcome outcome, const struct err *err)
{
	struct gateway *g = w->p->g;
	struct gateway_job *job = w->job;

	drop(w);
	if (job != NULL)
		gateway_job_done(g, job, outcome, err);
}

static void
attempt(struct wait *w)
{
	struct err err;

	w->attempts++;
	if (put(w->p, &w->m, &err) != 0)
		end_wait(w, GATEWAY_FAILED, &err);
	else
		loop_after(gateway_host_of(w->p->g)->loop, &w->timer,
		    w->p->timeout_ms);
}

static void
on_timeout(struct loop_timer *t)
{
	struct wait *w = container_of(t, struct wait, timer);
	struct err err;

	if (w->attempts < w->p->spec->retries) {
		attempt(w);
		return;
	}
	err_set(&err, ERR_IO,
	    "node %u has not acknowledged it in %" PRId64 " attempts",
	    w->m.node, w->attempts);
	end_wait(w, GATEWAY_FAILED, &err);
}

static bool
same_kind(const struct mysensors_message *a, const struct mysensors_message *b)
{
	return a->node == b->node && a->child == b->child &&
	    a->command == b->command && a->type == b->type;
}

static struct wait *
find_wait(struct mysensors *p, const struct mysensors_message *m)
{
	struct wait *answer = NULL;

	LIST_EACH (w, &p->waits, struct wait, link)
		if (same_kind(&w->m, m)) {
			if (w->job != NULL)
				return w;
			answer = w;
		}
	return answer;
}

/* `m` fits: mysensors_can_send() has said so. */
static void
begin_wait(struct mysensors *p, const struct mysensors_message *m,
    struct gateway_job *job)
{
	struct wait *w = mem_new(struct wait);

	w->p = p;
	w->job = job;
	w->timer.fire = on_timeout;
	w->m = *m;
	memcpy(w->payload, m->payload.ptr, m->payload.len);
	w->m.payload.ptr = w->payload;
	list_add(&p->waits, &w->link);
	p->n_waits++;
	attempt(w);
}

/* --- sending ------------------------------------------------------------- */

void
mysensors_answer(struct mysensors *p, struct mysensors_message *m)
{
	struct wait *old;
	struct err err;

	m->ack = wants_echo(p, m);
	old = m->ack ? find_wait(p, m) : NULL;
	if (old != NULL && old->job == NULL)
		drop(old);
	if (m->ack && p->n_waits < WAITS_MAX)
		begin_wait(p, m, NULL);
	else if (put(p, m, &err) != 0)
		gateway_bad(p->g, err.text);
}

int
mysensors_post(
    struct mysensors *p, const struct mysensors_message *m, struct err *err)
{
	struct arena a = { 0 };
	struct buf line = { 0 };
	struct gateway_frame f = { .extension = STR_NULL };
	bool asleep = has_label(p, m->node, "sleep_node") &&
	    !has_label(p, m->node, "sleep_queue_disabled");
	int rc;

	mysensors_to_line(&line, m);
	f.node = node_text(&a, m->node);
	f.data = buf_str(&line);
	f.extension = arena_printf(&a, "{\"slot\":\"%u/%u/%u\"}", m->child,
	    (unsigned)m->command, m->type);
	rc = gateway_send(p->g, &f, asleep, 0, NULL, NULL, err);
	buf_free(&line);
	arena_fini(&a);
	return rc;
}

static int
mysensors_prepare(void *own, struct gateway_job *j, struct err *err)
{
	struct mysensors_message *m =
	    arena_new(&j->arena, struct mysensors_message);
	struct mysensors *p = own;

	if (mysensors_from_line(j->frame.data, m, err) != 0) {
		err->code = ERR_PARAM;
		return ERR_PARAM;
	}
	if (j->frame.node.len > 0 &&
	    !str_eq(j->frame.node, node_text(&j->arena, m->node)))
		return err_set(err, ERR_PARAM,
		    "a message to node %u can not go to node " STR_FMT, m->node,
		    (int)MIN_OF(j->frame.node.len, 40), j->frame.node.ptr);
	m->ack = wants_echo(p, m) || (m->ack && m->node != MYSENSORS_ALL);
	j->own = m;
	return mysensors_can_send(m, err);
}

static void
mysensors_send(void *own, struct gateway_job *j)
{
	const struct mysensors_message *m = j->own;
	struct mysensors *p = own;

	if (m->ack)
		begin_wait(p, m, j);
	else
		put_job(p, j, m);
}

static void
mysensors_cancel(void *own, struct gateway_job *j)
{
	struct mysensors *p = own;

	LIST_EACH (w, &p->waits, struct wait, link)
		if (w->job == j)
			drop(w);
}

/* --- ids, units, time ---------------------------------------------------- */

static bool
is_taken(struct mysensors *p, int id)
{
	const struct gateway_host *host = gateway_host_of(p->g);
	struct arena a = { 0 };
	bool taken = p->heard[id] || p->reserved[id] > clock_mono() ||
	    (host->known != NULL && host->known(host->ctx, node_text(&a, id)));

	arena_fini(&a);
	return taken;
}

static void
give_id(struct mysensors *p, const struct mysensors_message *m)
{
	struct mysensors_message answer = *m;
	char text[4];
	int id = 1;

	while (id < MYSENSORS_ALL && is_taken(p, id))
		id++;
	if (id == MYSENSORS_ALL) {
		gateway_remark(p->g,
		    "a new node asks for an id, and all of 1 to 254 are taken: "
		    "delete nodes that are no more and reload the gateway");
		return;
	}
	gateway_remark(p->g, NULL);
	p->reserved[id] = clock_mono() + p->reserve_ms;
	answer.type = I_ID_RESPONSE;
	snprintf(text, sizeof(text), "%d", id);
	answer.payload = str_of(text);
	mysensors_answer(p, &answer);
}

static void
give_units(struct mysensors *p, const struct mysensors_message *m)
{
	struct mysensors_message answer = *m;

	answer.payload = has_label(p, OF_GATEWAY, "ms_imperial_system")
	    ? STR("I")
	    : STR("M");
	mysensors_answer(p, &answer);
}

static bool
read_zone(struct mysensors *p, struct arena *a, struct str name)
{
	const char *path = zone_path(a, name);
	struct buf bytes = { 0 };
	bool ok = path != NULL && file_read(path, &bytes, NULL) == 0 &&
	    zone_new(buf_str(&bytes), name, &p->zone, NULL) == 0;

	buf_free(&bytes);
	return ok;
}

/* Reads the zone of the gateway's label, the system's if there is none or it is
 * no zone: a small file, once for each new name. Without either it is UTC. */
static void
find_zone(struct mysensors *p, struct arena *a)
{
	struct str name = mysensors_label(p, a, OF_GATEWAY, "timezone");
	char why[200];

	if (name.ptr == NULL)
		name = STR("");
	if (p->zone_name.ptr != NULL && str_eq(p->zone_name, name))
		return;
	zone_free(p->zone);
	p->zone = NULL;
	str_free(p->zone_name);
	p->zone_name = str_copy(name);
	if (read_zone(p, a, name) || name.len == 0)
		return;
	snprintf(why, sizeof(why),
	    "there is no time zone " STR_FMT " (label timezone): nodes are "
	    "told the machine's time",
	    (int)MIN_OF(name.len, 60), name.ptr);
	gateway_remark(p->g, why);
	(void)read_zone(p, a, STR(""));
}

/* Nodes have no zones: they get the seconds that make their clock show the
 * time on the wall. */
static void
give_time(struct mysensors *p, const struct mysensors_message *m)
{
	struct mysensors_message answer = *m;
	struct arena a = { 0 };
	struct zone_time local;

	find_zone(p, &a);
	zone_local(p->zone, clock_now(), &local);
	answer.payload =
	    arena_printf(&a, "%" PRId64, clock_now() / 1000 + local.offset_s);
	mysensors_answer(p, &answer);
	arena_fini(&a);
}

/* --- hearing ------------------------------------------------------------- */

static void
hand_up(struct mysensors *p, const struct mysensors_message *m,
    const struct gateway_in *in)
{
	struct arena a = { 0 };
	struct buf line = { 0 }, more = { 0 };
	struct gateway_frame f = { .extension = STR_NULL };
	struct json_out o;

	mysensors_to_line(&line, m);
	f.node = node_text(&a, m->node);
	f.data = buf_str(&line);
	if (in->topic.ptr != NULL) {
		json_out_init(&o, &more, false);
		json_out_object(&o);
		json_out_key(&o, "topic");
		json_out_str(&o, in->topic);
		json_out_end_object(&o);
		f.extension = buf_str(&more);
	}
	gateway_hand_up(p->g, &f);
	buf_free(&line);
	buf_free(&more);
	arena_fini(&a);
}

/* From now on what is sent to it waits until it wakes. */
static void
note_sleeper(struct mysensors *p, int node)
{
	if (!has_label(p, node, "sleep_node"))
		mysensors_note(p, node,
		    STR("{\"sleep_node\":\"true\","
			"\"ms_smart_sleep_node\":\"true\"}"),
		    STR_NULL);
}

static void
wake(struct mysensors *p, int node)
{
	struct arena a = { 0 };

	gateway_awake(p->g, node_text(&a, node));
	arena_fini(&a);
}

static void
send_discover(struct mysensors *p)
{
	struct mysensors_message m = { MYSENSORS_ALL, MYSENSORS_ITSELF,
		MYSENSORS_INTERNAL, false, I_DISCOVER_REQUEST, STR("") };

	mysensors_answer(p, &m);
}

/* What the protocol has to be answered or reacted to, beside going up. */
static void
react(struct mysensors *p, const struct mysensors_message *m)
{
	switch (m->type) {
	case I_ID_REQUEST:
		give_id(p, m);
		break;
	case I_CONFIG:
		give_units(p, m);
		break;
	case I_TIME:
		give_time(p, m);
		break;
	case I_GATEWAY_READY: /* it has started: who is there? */
		send_discover(p);
		break;
	case I_PRE_SLEEP_NOTIFICATION:
		note_sleeper(p, m->node);
		wake(p, m->node);
		break;
	case I_POST_SLEEP_NOTIFICATION:
		note_sleeper(p, m->node);
		break;
	case I_HEARTBEAT_RESPONSE:
	case I_DISCOVER_RESPONSE:
		wake(p, m->node);
		break;
	default:
		break;
	}
}

/* May somebody without an id say this? */
static bool
may_be_anybody(const struct mysensors_message *m)
{
	if (m->command == MYSENSORS_INTERNAL)
		return m->type == I_ID_REQUEST || m->type == I_CONFIG ||
		    m->type == I_TIME;
	return m->command == MYSENSORS_STREAM;
}

/* Is it something to store? Requests that come back as echoes are none. */
static bool
is_news(const struct mysensors_message *m)
{
	switch (m->command) {
	case MYSENSORS_PRESENTATION:
	case MYSENSORS_SET:
		return true;
	case MYSENSORS_REQUEST:
		return !m->ack;
	case MYSENSORS_INTERNAL:
		return !m->ack && mysensors_is_news(m->type);
	case MYSENSORS_STREAM:
		break;
	}
	return false;
}

static void
take(struct mysensors *p, const struct mysensors_message *m,
    const struct gateway_in *in)
{
	struct wait *w;

	if (m->node != MYSENSORS_ALL)
		p->heard[m->node] = true;
	if (is_news(m))
		hand_up(p, m, in);
	if (in->retained) /* said some time ago */
		return;
	if (m->ack) {
		w = find_wait(p, m);
		if (w != NULL)
			end_wait(w, GATEWAY_SENT, NULL);
	} else if (m->command == MYSENSORS_INTERNAL) {
		react(p, m);
	} else if (m->command == MYSENSORS_STREAM) {
		mysensors_ota_hear(p, m);
	}
}

static void
mysensors_hear(void *own, const struct gateway_in *in)
{
	struct mysensors *p = own;
	struct mysensors_message m;
	struct err err;
	int rc;

	rc = in->topic.ptr != NULL
	    ? mysensors_from_topic(in->topic, in->data, &m, &err)
	    : mysensors_from_line(in->data, &m, &err);
	if (rc != 0)
		gateway_bad(p->g, err.text);
	else if (m.node == MYSENSORS_ALL && !may_be_anybody(&m))
		gateway_bad(p->g, "of a node without an id");
	else if (m.child == MYSENSORS_ITSELF &&
	    (m.command == MYSENSORS_SET || m.command == MYSENSORS_REQUEST))
		gateway_bad(p->g, "a value of child 255, which is the node");
	else
		take(p, &m, in);
}

/* --- actions ------------------------------------------------------------- */

static const struct {
	const char *name;
	uint8_t type;
} requests[] = {
	{ "heartbeat_request", I_HEARTBEAT_REQUEST },
	{ "reboot", I_REBOOT },
	{ "refresh_node_info", I_PRESENTATION },
	{ "reset", I_REBOOT },
};

static const char *const actions[] = { "discover_nodes", "firmware_update",
	"heartbeat_request", "reboot", "refresh_node_info", "reset", NULL };

static int
act_on_node(
    struct mysensors *p, uint8_t node, struct str action, struct err *err)
{
	struct mysensors_message m = { node, MYSENSORS_ITSELF,
		MYSENSORS_INTERNAL, false, 0, STR("") };
	size_t i = 0;

	if (str_eqz(action, "firmware_update"))
		return mysensors_ota_offer(p, node, err);
	while (!str_eqz(action, requests[i].name))
		i++;
	m.type = requests[i].type;
	/* The boot loader asks what to run, and is told to erase. */
	if (str_eqz(action, "reset"))
		mysensors_note(
		    p, node, STR("{\"ms_erase_eeprom\":\"true\"}"), STR_NULL);
	return mysensors_post(p, &m, err);
}

static int
mysensors_act(void *own, struct str node, struct str action, struct err *err)
{
	struct mysensors *p = own;
	uint64_t id;

	if (!gateway_is_up(p->g))
		return err_set(err, ERR_CLOSED, "the gateway is not connected");
	if (str_eqz(action, "discover_nodes")) {
		if (node.len > 0)
			return err_set(
			    err, ERR_PARAM, "discover_nodes is for gateways");
		send_discover(p);
		return 0;
	}
	if (!str_to_u64(node, &id) || id >= MYSENSORS_ALL)
		return err_set(err, ERR_PARAM,
		    STR_FMT " needs a node from 0 to 254", STR_ARG(action));
	return act_on_node(p, (uint8_t)id, action, err);
}

/* --- life ---------------------------------------------------------------- */

static void
on_discover(struct loop_timer *t)
{
	struct mysensors *p = container_of(t, struct mysensors, discover);

	loop_after(gateway_host_of(p->g)->loop, &p->discover, p->discover_ms);
	send_discover(p);
}

static void
mysensors_up(void *own)
{
	struct mysensors *p = own;

	str_free(p->zone_name); /* it may have got new rules meanwhile */
	p->zone_name = STR_NULL;
	if (p->discover_ms > 0)
		loop_after(
		    gateway_host_of(p->g)->loop, &p->discover, p->discover_ms);
}

static void
mysensors_down(void *own)
{
	struct mysensors *p = own;

	loop_cancel(gateway_host_of(p->g)->loop, &p->discover);
	LIST_EACH (w, &p->waits, struct wait, link)
		drop(w);
}

static int
duration(struct str text, const char *name, int64_t min, int64_t max,
    int64_t *ret, struct err *err)
{
	int rc = gateway_duration(text, name, ret, err);

	if (rc == 0 && (*ret < min || (max > 0 && *ret > max)))
		return err_set(err, ERR_PARAM,
		    "%s: must be at least %" PRId64 "ms%s", name, min,
		    max > 0 ? " and at most 10s" : "");
	return rc;
}

static int
read_durations(struct mysensors *p, struct err *err)
{
	const struct mysensors_spec *s = p->spec;
	int rc;

	rc = duration(s->timeout, "timeout", TIMEOUT_MIN_MS, TIMEOUT_MAX_MS,
	    &p->timeout_ms, err);
	if (rc == 0)
		rc = duration(s->reserve, "idReservation", RESERVE_MIN_MS, 0,
		    &p->reserve_ms, err);
	if (rc == 0 && !str_eqz(s->discover, "0"))
		rc = duration(s->discover, "discoverInterval", DISCOVER_MIN_MS,
		    0, &p->discover_ms, err);
	return rc;
}

static int
mysensors_open(struct gateway *g, const void *spec, void **ret, struct err *err)
{
	struct mysensors *p = mem_new(struct mysensors);
	int rc;

	p->g = g;
	p->spec = spec;
	p->discover.fire = on_discover;
	list_init(&p->waits);
	p->heard[0] = true; /* the gateway */
	rc = read_durations(p, err);
	if (rc != 0) {
		free(p);
		return rc;
	}
	mysensors_ota_init(p);
	*ret = p;
	return 0;
}

static void
mysensors_close(void *own)
{
	struct mysensors *p = own;

	mysensors_down(p);
	mysensors_ota_fini(p);
	zone_free(p->zone);
	str_free(p->zone_name);
	free(p);
}

const struct gateway_ops gateway_mysensors = {
	.name = "mysensors_v2",
	.protocols = GATEWAY_SERIAL | GATEWAY_TCP | GATEWAY_MQTT,
	.spec = &spec_record,
	.actions = actions,
	.open = mysensors_open,
	.close = mysensors_close,
	.up = mysensors_up,
	.down = mysensors_down,
	.hear = mysensors_hear,
	.read = mysensors_read,
	.write = mysensors_write,
	.prepare = mysensors_prepare,
	.send = mysensors_send,
	.cancel = mysensors_cancel,
	.act = mysensors_act,
};
