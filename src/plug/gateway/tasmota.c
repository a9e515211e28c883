/*
 * plug/gateway/tasmota.c - Tasmota's devices, over MQTT.
 *
 * A device tells all about itself in two retained messages, `config` and
 * `sensors` below tasmota/discovery/. From there come its topics, whatever its
 * owner has made of them, and the texts it uses. Of a device that tells
 * nothing, the setting `fullTopic` says where its topics have the prefix and
 * the device.
 *
 * A command is answered below `stat`: in RESULT, in STATUSn, or, as some are
 * set, under its own name. With a `timeout` a frame counts as sent when that
 * has come, and has failed when it does not. A device that said goodbye is not
 * tried at all.
 *
 *  (1) A frame is in `sent` while its answer is waited for.
 */
#include "plug/gateway/tasmota.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "codec/duration.h"
#include "codec/entity_json.h"
#include "codec/json.h"
#include "plug/gateway/late.h"
#include "plug/gateway/tasmota_device.h"

#include <inttypes.h>
#include <stdlib.h>

#define SKEW_MAX 60000 /* ms: of a clock that can be believed */
#define ZONE_STEP (15 * 60000)
#define ZONE_MAX (14 * 3600000)

struct spec {
	struct str full_topic, group_topic, timeout;
	int64_t max_devices;
};

#define S struct spec
static const struct field spec_fields[] = {
	F_TEXT(S, full_topic, "fullTopic", .def = "\"%prefix%/%topic%/\"",
	    .help = "The FullTopic of devices that discovery does not know. "
		    "What stands before it in a topic does not matter."),
	F_TEXT(S, group_topic, "groupTopic", .def = "\"tasmotas\"",
	    .help = "The topic on which all devices hear."),
	F_TEXT(S, timeout, "timeout", .def = "\"10s\"",
	    .help = "How long a device may take to answer a command before it "
		    "counts as failed. 0: it counts as sent when the MQTT "
		    "server has it."),
	F_INT(S, max_devices, "maxDevices", .def = "10000", .min = 1,
	    .max = 1000000,
	    .help = "Devices that are remembered. Discovery, status and "
		    "answers of those beyond are not looked at."),
	{ 0 },
};
#undef S
static const struct record spec_record = { "tasmota", sizeof(struct spec),
	spec_fields };

struct sending {
	struct gateway_late late;
	struct list link; /* in `sent` */
	struct str command;
};

struct tasmota {
	struct gateway *g;
	const struct spec *spec;
	int64_t timeout_ms; /* 0: no answer is waited for */
	struct str root;    /* the link's `publish`, with a slash, or "" */
	struct arena arena;
	struct tasmota_devices all;
	struct list sent;
};

/* --- frames up ------------------------------------------------------------ */

/* How far a clock is ahead, when it is off by less than a minute in some zone;
 * zones are whole quarters of an hour. */
static bool
skew(int64_t off, int64_t *ret)
{
	if (off < -ZONE_MAX - SKEW_MAX || off > ZONE_MAX + SKEW_MAX)
		return false;
	off %= ZONE_STEP;
	if (off > ZONE_STEP / 2)
		off -= ZONE_STEP;
	if (off < -ZONE_STEP / 2)
		off += ZONE_STEP;
	*ret = off;
	return off > -SKEW_MAX && off < SKEW_MAX;
}

/* The time that a message tells, if its clock can be believed: it has no zone.
 * Never before what was told already. */
static int64_t
time_of(struct tasmota_device *d, struct str data)
{
	struct arena a = { 0 };
	struct str key, text = STR_NULL;
	int64_t now = clock_now(), at, off;
	struct json j;

	json_open(&j, data, 0, &a);
	(void)json_object(&j);
	while (json_member(&j, &key))
		if (str_eqz(key, "Time") && json_peek(&j) == JSON_STRING)
			(void)json_str(&j, &text);
		else
			(void)json_skip(&j);
	if (text.len != 19 ||
	    !time_parse(arena_printf(&a, STR_FMT "Z", STR_ARG(text)), &at) ||
	    !skew(at - now, &off) || now + MIN_OF(off, 0) < d->last)
		at = TIME_NULL;
	else
		at = now + MIN_OF(off, 0);
	arena_fini(&a);
	d->last = at != TIME_NULL ? at : now;
	return at;
}

static void
hand_up(struct tasmota *t, struct tasmota_device *d, struct str node,
    const struct gateway_in *in, bool lwt)
{
	struct gateway_frame f = { .node = node, .data = in->data };
	struct buf b = { 0 };
	struct json_out o;
	int64_t at;

	json_out_init(&o, &b, false);
	json_out_object(&o);
	json_out_key(&o, "topic");
	json_out_str(&o, in->topic);
	if (d != NULL && d->on.ptr != NULL) {
		json_out_key(&o, "on");
		json_out_str(&o, d->on);
	}
	if (lwt && d != NULL) {
		json_out_key(&o, "online");
		json_out_bool(&o, d->is_up);
	} else if (d != NULL && !in->retained &&
	    (at = time_of(d, in->data)) != TIME_NULL) {
		json_out_key(&o, "time");
		json_out_time(&o, at);
	}
	json_out_end_object(&o);
	f.extension = buf_str(&b);
	gateway_hand_up(t->g, &f);
	buf_free(&b);
}

/* --- discovery ------------------------------------------------------------ */

static void
hear_device(struct tasmota *t, const struct tasmota_device *d)
{
	for (int i = STAT; i < TASMOTA_PREFIXES; i++) {
		struct buf b = { 0 };
		struct err err;

		buf_add_str(&b, d->base[i]);
		buf_addc(&b, '+');
		if (gateway_listen(t->g, buf_str(&b), &err) != 0)
			gateway_bad(t->g, err.text);
		buf_free(&b);
	}
}

static void
on_config(struct tasmota *t, struct str mac, const struct gateway_in *in)
{
	const struct tasmota_device *before = map_get(&t->all.macs, mac);
	uint64_t hash = map_hash(in->data);
	struct tasmota_device *d;
	struct err err;

	if (in->data.len == 0) {
		tasmota_device_forget(&t->all, mac);
		return;
	}
	if (before != NULL && before->config == hash)
		return; /* told again, since we subscribed again */
	d = tasmota_device_learn(&t->all, mac, in->data, &err);
	if (d == NULL) {
		gateway_bad(t->g, err.text);
		return;
	}
	d->config = hash;
	hand_up(t, NULL, d->node, in, false);
	hear_device(t, d);
}

static void
on_sensors(struct tasmota *t, struct str mac, const struct gateway_in *in)
{
	struct tasmota_device *d = map_get(&t->all.macs, mac);
	uint64_t hash = map_hash(in->data);

	if (d == NULL || in->data.len == 0 || d->sensors == hash)
		return;
	d->sensors = hash;
	hand_up(t, NULL, d->node, in, false);
}

/* --- answers -------------------------------------------------------------- */

/* What a RESULT says of itself: the first name in it. */
static bool
first_key(struct arena *a, struct str data, struct str *key, struct str *value)
{
	struct json j;

	json_open(&j, data, 0, a);
	return json_object(&j) && json_member(&j, key) && json_raw(&j, value);
}

/* Does this answer that command? A RESULT that speaks of a relay may come of
 * its button; any other comes of a command. "POWER" is the first relay. */
static bool
answers(struct str command, struct str said, struct str key)
{
	bool power = str_eq_nocase(tasmota_stem(command), STR("POWER"));

	if (str_eq_nocase(said, command))
		return true;
	if (str_starts(said, STR("STATUS")))
		return str_eq_nocase(tasmota_stem(command), STR("Status"));
	if (!str_eqz(said, "RESULT"))
		return false;
	if (str_eq_nocase(key, command) ||
	    str_eq_nocase(command, STR("Backlog")))
		return true;
	if (str_eq_nocase(tasmota_stem(key), STR("POWER")))
		return power &&
		    ((str_eq_nocase(key, STR("POWER")) &&
			 str_eq_nocase(command, STR("POWER1"))) ||
			(str_eq_nocase(key, STR("POWER1")) &&
			    str_eq_nocase(command, STR("POWER"))) ||
			str_eq_nocase(command, STR("POWER0")));
	return !power;
}

/* Of several that wait the oldest is answered first. */
static struct sending *
find_sending(
    struct tasmota *t, struct str node, struct str said, struct str key)
{
	bool refused = str_eqz(key, "Command"); /* "Unknown", "Error" */

	LIST_EACH (s, &t->sent, struct sending, link)
		if (s->late.stage != LATE_ANSWERED &&
		    str_eq(s->late.job->frame.node, node) &&
		    (refused || answers(s->command, said, key)))
			return s;
	return NULL;
}

static void
on_answer(struct tasmota *t, struct str node, struct str said, struct str data)
{
	struct str key = STR(""), value = STR("");
	struct arena a = { 0 };
	struct err err = { 0 };
	struct sending *s;

	if (list_empty(&t->sent))
		return;
	if (str_eqz(said, "RESULT"))
		(void)first_key(&a, data, &key, &value);
	s = find_sending(t, node, said, key);
	if (s != NULL && str_eqz(key, "Command"))
		err_set(&err, ERR_PARAM,
		    STR_FMT " says of the command " STR_FMT ": " STR_FMT,
		    STR_ARG(node), STR_ARG(s->command), STR_ARG(value));
	arena_fini(&a);
	if (s != NULL)
		gateway_late_answer(&s->late, &err);
}

/* --- hearing -------------------------------------------------------------- */

static void
on_lwt(struct tasmota *t, struct tasmota_device *d, struct str node,
    const struct gateway_in *in)
{
	bool up, down;

	if (in->data.len == 0)
		return;
	if (d == NULL) {
		hand_up(t, NULL, node, in, true);
		return;
	}
	up = str_eq_nocase(
	    in->data, d->online.ptr != NULL ? d->online : STR("Online"));
	down = str_eq_nocase(
	    in->data, d->offline.ptr != NULL ? d->offline : STR("Offline"));
	if (!up && !down) {
		gateway_bad(t->g, "LWT: neither online nor offline");
		return;
	}
	if (in->retained && up == d->is_up && down == d->is_down)
		return; /* told again, since we subscribed again */
	d->is_up = up;
	d->is_down = down;
	hand_up(t, d, d->node, in, true);
	if (up)
		gateway_awake(t->g, d->node);
}

/* Texts beside the JSON, such as stat/x/POWER, say nothing new. */
static bool
is_object(struct str data)
{
	data = str_trim(data);
	return data.len > 1 && data.ptr[0] == '{';
}

static void
on_message(struct tasmota *t, struct str node, enum tasmota_prefix prefix,
    struct str command, const struct gateway_in *in)
{
	struct tasmota_device *d = tasmota_device(&t->all, node);

	if (prefix == TELE && str_eqz(command, "LWT")) {
		on_lwt(t, d, node, in);
		return;
	}
	if (d != NULL && !in->retained) {
		d->live = true;
		d->is_down = false;
	}
	if (is_object(in->data) && !(in->retained && d != NULL && d->live))
		hand_up(t, d, node, in, false);
	if (in->retained)
		return;
	if (prefix == STAT)
		on_answer(t, node, command, in->data);
	else
		gateway_awake(t->g, node);
}

static void
tasmota_hear(void *own, const struct gateway_in *in)
{
	struct tasmota *t = own;
	enum tasmota_prefix prefix;
	struct str node, command, mac;

	if (tasmota_is_discovery(in->topic, &mac, &command)) {
		if (str_eqz(command, "config"))
			on_config(t, mac, in);
		else
			on_sensors(t, mac, in);
		return;
	}
	if (!tasmota_find(&t->all, in->topic, &node, &prefix, &command))
		gateway_bad(t->g, "not a topic of Tasmota");
	else if (prefix != CMND)
		on_message(t, node, prefix, command, in);
}

/* Where a command goes, as the link wants it: less what it puts before. */
static int
command_topic(struct tasmota *t, struct arena *a, struct str node,
    struct str command, struct str *ret, struct err *err)
{
	const struct tasmota_device *d = map_get(&t->all.nodes, node);
	struct str topic = tasmota_command_topic(&t->all, a, node, command);

	if (d != NULL && d->mac.ptr != NULL && t->root.len > 0) {
		if (!str_starts(topic, t->root))
			return err_set(err, ERR_PARAM,
			    "the topic " STR_FMT
			    " is not below protocol.publish",
			    STR_ARG(topic));
		topic.ptr += t->root.len;
		topic.len -= t->root.len;
	}
	*ret = topic;
	return 0;
}

/* --- sending -------------------------------------------------------------- */

static void
on_over(struct gateway_late *l)
{
	list_del(&container_of(l, struct sending, late)->link);
}

static void
tasmota_send(void *own, struct gateway_job *j)
{
	struct tasmota *t = own;
	struct sending *s = j->own;
	const struct tasmota_device *d = map_get(&t->all.nodes, j->frame.node);
	struct str topic;
	struct err err;

	if (d != NULL && d->is_down) {
		err_set(&err, ERR_AGAIN, STR_FMT " is offline",
		    STR_ARG(j->frame.node));
		gateway_late_fail(&s->late, &err);
	} else if (command_topic(t, &j->arena, j->frame.node, s->command,
		       &topic, &err) != 0) {
		gateway_late_fail(&s->late, &err);
	} else {
		list_add(&t->sent, &s->link);
		gateway_late_put(&s->late, topic, j->frame.data);
	}
}

static void
tasmota_cancel(void *own, struct gateway_job *j)
{
	struct sending *s = j->own;

	(void)own;
	gateway_late_cancel(&s->late);
}

/* {"command":"POWER1"}; without it the frame is for Backlog, which takes any
 * commands: "POWER ON; Dimmer 30". */
static int
tasmota_prepare(void *own, struct gateway_job *j, struct err *err)
{
	struct sending *s = arena_new(&j->arena, struct sending);
	struct tasmota *t = own;
	struct str key;
	struct json json;

	s->command = STR("Backlog");
	list_init(&s->link);
	if (!tasmota_is_level(j->frame.node))
		return err_set(err, ERR_PARAM, "a node is needed");
	json_open(&json,
	    j->frame.extension.len > 0 ? j->frame.extension : STR("{}"), 0,
	    &j->arena);
	(void)json_object(&json);
	while (json_member(&json, &key))
		if (str_eqz(key, "command"))
			(void)json_str(&json, &s->command);
		else
			(void)json_skip(&json);
	if (json_done(&json, err) != 0)
		return err_wrap(err, "extension");
	if (!tasmota_is_level(s->command))
		return err_set(
		    err, ERR_PARAM, "extension: command: a name is needed");
	s->late = (struct gateway_late){
		.g = t->g,
		.job = j,
		.timeout_ms = str_eq(j->frame.node, t->spec->group_topic)
		    ? 0
		    : t->timeout_ms,
		.awaited = arena_printf(&j->arena,
		    STR_FMT " did not answer to the command " STR_FMT,
		    STR_ARG(j->frame.node), STR_ARG(s->command)),
		.over = on_over,
	};
	j->own = s;
	return 0;
}

/* --- actions -------------------------------------------------------------- */

static const char *const actions[] = { "discover_nodes", "firmware_update",
	"heartbeat_request", "reboot", "refresh_node_info", "reset", NULL };

static int
tell(struct tasmota *t, struct str node, const char *command, struct str data,
    struct err *err)
{
	struct arena a = { 0 };
	struct str topic;
	int rc = command_topic(t, &a, node, str_of(command), &topic, err);

	if (rc == 0)
		rc = gateway_put(t->g, topic, data, NULL, NULL, err);
	arena_fini(&a);
	return rc;
}

static int
update(struct tasmota *t, struct str node, struct err *err)
{
	const struct gateway_host *host = gateway_host_of(t->g);
	struct arena a = { 0 };
	struct str url = STR_NULL;
	int rc = 0;

	if (host->label != NULL)
		url = host->label(host->ctx, &a, node, "assigned_firmware");
	if (!str_starts(url, STR("http://")) &&
	    !str_starts(url, STR("https://")))
		rc = err_set(err, ERR_PARAM,
		    "the label assigned_firmware must be the address of a "
		    "firmware, http://...");
	if (rc == 0)
		rc = tell(t, node, "OtaUrl", url, err);
	if (rc == 0)
		rc = tell(t, node, "Upgrade", STR("1"), err);
	arena_fini(&a);
	return rc;
}

static int
tasmota_act(void *own, struct str node, struct str action, struct err *err)
{
	static const struct {
		const char *action, *command, *data;
	} simple[] = {
		{ "heartbeat_request", "Status", "1" },
		{ "reboot", "Restart", "1" },
		{ "refresh_node_info", "Status", "0" },
		{ "reset", "Reset", "6" },
	};
	struct tasmota *t = own;

	/* Everyone tells all about himself. */
	if (str_eqz(action, "discover_nodes"))
		return tell(t, t->spec->group_topic, "Status", STR("0"), err);
	if (!tasmota_is_level(node))
		return err_set(err, ERR_PARAM, "a node is needed");
	for (size_t i = 0; i < COUNT_OF(simple); i++)
		if (str_eqz(action, simple[i].action))
			return tell(t, node, simple[i].command,
			    str_of(simple[i].data), err);
	return update(t, node, err);
}

/* --- messages ------------------------------------------------------------- */

static void
on_read(void *own, struct gateway_read *r)
{
	struct gateway_messages m = { .a = &r->arena };
	struct err err = { 0 };

	(void)own;
	if (tasmota_read(&r->frame, &m, &err) != 0)
		m.n = 0;
	gateway_read_done(r, m.at, m.n, &err);
}

static void
on_write(void *own, struct gateway_write *w)
{
	struct err err = { 0 };

	(void)own;
	w->n_frames =
	    tasmota_write(&w->message, &w->arena, &w->frame, &err) == 0;
	gateway_write_done(w, &err);
}

/* --- life ----------------------------------------------------------------- */

static void
tasmota_close(void *own)
{
	struct tasmota *t = own;

	tasmota_devices_fini(&t->all);
	arena_fini(&t->arena);
	free(t);
}

static int
tasmota_open(struct gateway *g, const void *spec, void **ret, struct err *err)
{
	struct tasmota *t = mem_new(struct tasmota);
	int rc;

	t->g = g;
	t->spec = spec;
	list_init(&t->sent);
	rc = tasmota_devices_init(
	    &t->all, t->spec->full_topic, (size_t)t->spec->max_devices, err);
	if (rc == 0 && !tasmota_is_level(t->spec->group_topic))
		rc = err_set(err, ERR_PARAM, "groupTopic: a topic is needed");
	if (rc == 0 &&
	    (!duration_parse_ms(t->spec->timeout, &t->timeout_ms) ||
		t->timeout_ms < 0 || t->timeout_ms > 86400000))
		rc = err_set(
		    err, ERR_PARAM, "timeout: a duration like 10s is needed");
	if (rc == 0)
		rc = gateway_mqtt_root(g, &t->arena, &t->root, err);
	if (rc != 0)
		tasmota_close(t);
	else
		*ret = t;
	return rc;
}

const struct gateway_ops gateway_tasmota = {
	.name = "tasmota",
	.protocols = GATEWAY_MQTT,
	.subscribe = "tasmota/discovery/#,tele/#,stat/#",
	.spec = &spec_record,
	.actions = actions,
	.open = tasmota_open,
	.close = tasmota_close,
	.hear = tasmota_hear,
	.read = on_read,
	.write = on_write,
	.prepare = tasmota_prepare,
	.send = tasmota_send,
	.cancel = tasmota_cancel,
	.act = tasmota_act,
};
