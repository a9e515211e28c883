/*
 * plug/gateway/tasmota_read.c - what Tasmota's payloads say, and how a value is
 * said to it. Pure functions.
 *
 *	tele STATE, STATUS11             Control, WiFi, Memory, others by name
 *	stat RESULT, other JSON          Control; objects by name
 *	tele SENSOR, STATUS8, STATUS10   a source for each sensor
 *	STATUS3, 4, 7                    Logging, Memory, Time
 *	INFO1..3, STATUS, 1, 2, 5        the node
 *	LWT                              the node's status
 *	discovery                        the node, and names of sources
 *
 * A source is presented before its values. What a value is, is said by its
 * name, in tasmota_kind.c.
 */
#include "plug/gateway/tasmota.h"

#include "base/base.h"
#include "codec/flatten.h"
#include "codec/json.h"

#include <ctype.h>
#include <string.h>

struct reading {
	struct gateway_messages *m;
	struct arena *a;
	struct str node;
	struct str topic, command;
	struct str on;                    /* null: "ON" */
	struct str temp, pressure, speed; /* units; null: not said */
	struct str labels;                /* of the node, in the making */
	bool online, online_said;
	bool state; /* STATE, not RESULT */
	unsigned relays;
	int64_t time;
};

/* --- values -------------------------------------------------------------- */

static struct str
unit_of(const struct reading *r, const struct tasmota_kind *k)
{
	if (k->unit == NULL)
		return STR_NULL;
	if (strcmp(k->unit, "T") == 0)
		return str_eq_nocase(r->temp, STR("F")) ? STR("°F")
		    : str_eq_nocase(r->temp, STR("K"))  ? STR("K")
							: STR("°C");
	if (strcmp(k->unit, "P") == 0)
		return r->pressure.len > 0 ? r->pressure : STR("hPa");
	if (strcmp(k->unit, "S") == 0)
		return r->speed.len > 0 ? r->speed : STR("km/h");
	return str_of(k->unit);
}

/* Sources of the device, whose values are not measured. */
static bool
is_inner(struct str source)
{
	return str_eqz(source, TASMOTA_CONTROL) || str_eqz(source, "WiFi") ||
	    str_eqz(source, "Logging") || str_eqz(source, "Time");
}

/* The text in a JSON string, or the JSON. */
static struct str
plain(struct arena *a, struct str value)
{
	struct str text;
	struct json j;

	json_open(&j, value, 0, a);
	return json_peek(&j) == JSON_STRING && json_str(&j, &text) ? text
								   : value;
}

static struct str
quoted(struct arena *a, struct str text)
{
	struct buf b = { 0 };
	struct str s;

	json_quote(&b, text);
	s = arena_str(a, buf_str(&b));
	buf_free(&b);
	return s;
}

static bool
is_on(const struct reading *r, struct str text)
{
	return str_eq_nocase(text, STR("on")) || str_eqz(text, "1") ||
	    str_eq_nocase(text, STR("true")) ||
	    (r->on.len > 0 && str_eq(text, r->on));
}

/* --- messages ------------------------------------------------------------ */

/* The message of that type and source, made if there is none. It moves when
 * another is made. */
static struct gateway_message *
message_of(struct reading *r, enum gateway_type type, struct str source)
{
	struct gateway_message *m;

	for (size_t i = 0; i < r->m->n; i++)
		if (r->m->at[i].type == type &&
		    str_eq(r->m->at[i].source, source))
			return &r->m->at[i];
	m = gateway_say(r->m, type, r->node, source);
	m->time = r->time;
	return m;
}

static int
full(struct err *err)
{
	return err_set(
	    err, ERR_LIMIT, "more than %d values", GATEWAY_PAYLOADS_MAX);
}

static int
present(struct reading *r, struct str source, struct err *err)
{
	size_t n = r->m->n;
	struct gateway_message *m = message_of(r, GATEWAY_PRESENTATION, source);

	return r->m->n == n ||
		gateway_add(r->m, m, STR("name"), quoted(r->a, source)) != NULL
	    ? 0
	    : full(err);
}

static int
add(struct reading *r, struct str source, struct str name, struct str value,
    struct err *err)
{
	const struct tasmota_kind *k = tasmota_kind(source, name);
	struct gateway_payload *p;
	int rc = present(r, source, err);

	if (rc != 0)
		return rc;
	if (k != NULL && strcmp(k->type, "binary") == 0)
		value =
		    is_on(r, plain(r->a, value)) ? STR("true") : STR("false");
	p = gateway_add(r->m, message_of(r, GATEWAY_SET, source), name, value);
	if (p == NULL)
		return full(err);
	if (k != NULL) {
		p->metric_type = str_of(k->type);
		p->unit = unit_of(r, k);
	} else if (is_inner(source)) {
		p->metric_type = STR("none");
	}
	return 0;
}

/* A fact about the node. */
static int
note(struct reading *r, const char *key, struct str value, struct err *err)
{
	return gateway_add(r->m, message_of(r, GATEWAY_PRESENTATION, STR("")),
		   str_of(key), value) != NULL
	    ? 0
	    : full(err);
}

static void
label(struct reading *r, const char *key, struct str value)
{
	r->labels = arena_printf(r->a, STR_FMT "%s\"%s\":" STR_FMT,
	    STR_ARG(r->labels), r->labels.len > 0 ? "," : "", key,
	    STR_ARG(quoted(r->a, value)));
}

/* --- state and results --------------------------------------------------- */

static bool
one_of(struct str name, const char *const *names)
{
	for (; *names != NULL; names++)
		if (str_eq_nocase(name, str_of(*names)))
			return true;
	return false;
}

/* "h,s,b" is three fields, too, since each can be set. */
static int
add_colour(struct reading *r, struct str value, struct err *err)
{
	struct str left = plain(r->a, value), part;
	uint64_t number;
	int rc = add(r, STR(TASMOTA_CONTROL), STR("HSBColor"), value, err);

	for (int i = 1; rc == 0 && i <= 3 && left.ptr != NULL; i++) {
		part = str_trim(str_cut(&left, ','));
		if (str_to_u64(part, &number))
			rc = add(r, STR(TASMOTA_CONTROL),
			    arena_printf(r->a, "HSBColor%d", i),
			    arena_printf(r->a, "%u", (unsigned)number), err);
	}
	return rc;
}

static int
on_state(void *ctx, struct str source, struct str name, struct str value,
    struct err *err)
{
	static const char *const dull[] = { "Uptime", "UptimeSec", "SleepMode",
		"Sleep", "MqttCount", "Channel", "LedTable", NULL };
	static const char *const dull_wifi[] = { "AP", "LinkCount", NULL };
	struct reading *r = ctx;
	struct str stem = tasmota_stem(name);

	if (str_eq_nocase(source, STR("Wifi")))
		return one_of(name, dull_wifi)
		    ? 0
		    : add(r, STR("WiFi"), name, value, err);
	if (source.len > 0)
		return add(r, source, name, value, err);
	if (str_eq_nocase(name, STR("Time")) ||
	    str_eq_nocase(name, STR("Command")) ||
	    (r->state && one_of(stem, dull)))
		return 0;
	if (str_eq_nocase(name, STR("Heap")))
		return add(r, STR("Memory"), name, value, err);
	if (str_eq_nocase(name, STR("HSBColor")))
		return add_colour(r, value, err);
	return add(r, STR(TASMOTA_CONTROL), name, value, err);
}

static int
read_state(struct reading *r, struct str json, struct err *err)
{
	r->state = true;
	return flatten(json, r->a, on_state, r, err);
}

/* --- sensors ------------------------------------------------------------- */

static struct str
sensor_name(struct str name)
{
	return str_eqz(name, "ANALOG") ? STR("Analog")
	    : str_eqz(name, "COUNTER") ? STR("Counter")
				       : name;
}

static int
on_unit(void *ctx, struct str source, struct str name, struct str value,
    struct err *err)
{
	struct reading *r = ctx;

	(void)err;
	if (source.len > 0)
		return 0;
	if (str_eqz(name, "TempUnit"))
		r->temp = plain(r->a, value);
	else if (str_eqz(name, "PressureUnit"))
		r->pressure = plain(r->a, value);
	else if (str_eqz(name, "SpeedUnit"))
		r->speed = plain(r->a, value);
	return 0;
}

static int
on_sensor(void *ctx, struct str source, struct str name, struct str value,
    struct err *err)
{
	static const char *const dull[] = { "Time", "TempUnit", "PressureUnit",
		"SpeedUnit", NULL };
	struct reading *r = ctx;

	if (source.len > 0)
		return add(r, sensor_name(source), name, value, err);
	return one_of(name, dull)
	    ? 0
	    : add(r, STR(TASMOTA_CONTROL), name, value, err);
}

/* Units stand behind the values. */
static int
read_sensors(struct reading *r, struct str json, struct err *err)
{
	int rc = flatten(json, r->a, on_unit, r, err);

	return rc != 0 ? rc : flatten(json, r->a, on_sensor, r, err);
}

/* --- the node ------------------------------------------------------------ */

static const struct fact {
	const char *name; /* as Tasmota has it, in any case */
	const char *key;  /* of the node */
	bool label;
} facts[] = {
	{ "FriendlyName_0", "name", false },
	{ "Version", "version", true },
	{ "Core", "library_version", true },
	{ "IPAddress", "ip_address", false },
	{ "OtaUrl", "ota_url", false },
	{ "SDK", "sdk", false },
	{ "BuildDateTime", "build_date_time", false },
	{ "CpuFrequency", "cpu_frequency", false },
	{ "Hardware", "hardware", false },
	{ "Hostname", "hostname", false },
	{ "Mac", "mac", false },
	{ "RestartReason", "restart_reason", false },
	{ "Module", "module", false },
	{ "FallbackTopic", "fallback_topic", false },
	{ "GroupTopic", "group_topic", false },
	{ "Boot", "boot", false },
	{ "BootCount", "boot_count", false },
	/* as discovery has them */
	{ "fn_0", "name", false },
	{ "sw", "version", true },
	{ "ip", "ip_address", false },
	{ "hn", "hostname", false },
	{ "md", "module", false },
};

static int
note_address(struct reading *r, struct str value, struct err *err)
{
	struct str ip = plain(r->a, value);
	int rc;

	if (ip.len == 0 || str_eqz(ip, "0.0.0.0"))
		return 0; /* on a cable, perhaps */
	rc = note(r, "ip_address", quoted(r->a, ip), err);
	return rc != 0
	    ? rc
	    : note(r, "node_web_url",
		  quoted(
		      r->a, arena_printf(r->a, "http://" STR_FMT, STR_ARG(ip))),
		  err);
}

static int
on_fact(void *ctx, struct str source, struct str name, struct str value,
    struct err *err)
{
	struct reading *r = ctx;
	const struct fact *f = facts;

	if (source.len > 0 && !str_starts(source, STR("Info")) &&
	    !(str_eqz(source, "Ethernet") && str_eqz(name, "IPAddress")))
		return 0;
	while (f < facts + COUNT_OF(facts) &&
	    !str_eq_nocase(name, str_of(f->name)))
		f++;
	if (f == facts + COUNT_OF(facts))
		return 0;
	if (f->label) {
		label(r, f->key, plain(r->a, value));
		return 0;
	}
	if (strcmp(f->key, "ip_address") == 0)
		return note_address(r, value, err);
	/* In STATUS the module is a number, which nobody knows. */
	if (strcmp(f->key, "module") == 0 && value.ptr[0] != '"')
		return 0;
	return note(r, f->key, value, err);
}

static int
read_node(struct reading *r, struct str json, struct err *err)
{
	return flatten(json, r->a, on_fact, r, err);
}

static int
read_lwt(struct reading *r, struct str data, struct err *err)
{
	if (!r->online_said && !str_eq_nocase(data, STR("Online")) &&
	    !str_eq_nocase(data, STR("Offline")))
		return err_set(err, ERR_PARAM,
		    "LWT is neither Online nor Offline, and the device's "
		    "discovery did not say otherwise");
	if (!r->online_said)
		r->online = str_eq_nocase(data, STR("Online"));
	return gateway_add(r->m, message_of(r, GATEWAY_SET, STR("")),
		   STR("status"),
		   r->online ? STR("\"up\"") : STR("\"down\"")) != NULL
	    ? 0
	    : full(err);
}

/* --- STATUS -------------------------------------------------------------- */

static int
on_logging(void *ctx, struct str source, struct str name, struct str value,
    struct err *err)
{
	static const char *const dull[] = { "SSId", "Resolution", "SetOption",
		NULL };

	(void)source;
	return one_of(tasmota_stem(name), dull)
	    ? 0
	    : add(ctx, STR("Logging"), name, value, err);
}

static int
on_memory(void *ctx, struct str source, struct str name, struct str value,
    struct err *err)
{
	(void)source;
	return str_eq_nocase(name, STR("Heap"))
	    ? add(ctx, STR("Memory"), name, value, err)
	    : 0;
}

static int
on_time(void *ctx, struct str source, struct str name, struct str value,
    struct err *err)
{
	(void)source;
	return add(ctx, STR("Time"), name, value, err);
}

static int
read_logging(struct reading *r, struct str json, struct err *err)
{
	return flatten(json, r->a, on_logging, r, err);
}

static int
read_memory(struct reading *r, struct str json, struct err *err)
{
	return flatten(json, r->a, on_memory, r, err);
}

static int
read_time(struct reading *r, struct str json, struct err *err)
{
	return flatten(json, r->a, on_time, r, err);
}

static const struct section {
	const char *header;
	int (*read)(struct reading *r, struct str json, struct err *err);
} sections[] = {
	{ "Status", read_node },
	{ "StatusPRM", read_node },
	{ "StatusFWR", read_node },
	{ "StatusNET", read_node },
	{ "StatusLOG", read_logging },
	{ "StatusMEM", read_memory },
	{ "StatusTIM", read_time },
	{ "StatusSNS", read_sensors },
	{ "StatusSTS", read_state },
};

/* One header, or all of them (STATUS0). */
static int
read_status(struct reading *r, struct str json, struct err *err)
{
	struct str key, value;
	struct json j;
	int rc = 0;

	json_open(&j, json, 0, r->a);
	if (!json_object(&j))
		return json_done(&j, err);
	while (rc == 0 && json_member(&j, &key)) {
		const struct section *s = sections;

		if (!json_raw(&j, &value))
			break;
		while (s < sections + COUNT_OF(sections) &&
		    !str_eqz(key, s->header))
			s++;
		if (s < sections + COUNT_OF(sections))
			rc = s->read(r, value, err);
	}
	return rc != 0 ? rc : json_done(&j, err);
}

/* --- discovery ----------------------------------------------------------- */

static int
on_config(void *ctx, struct str source, struct str name, struct str value,
    struct err *err)
{
	struct reading *r = ctx;
	struct str after = { name.ptr + MIN_OF(name.len, 3),
		name.len - MIN_OF(name.len, 3) };
	uint64_t n;

	if (source.len > 0)
		return 0;
	if (str_eqz(name, "dslp") && str_eqz(value, "1"))
		label(r, "sleep_node", STR("true"));
	if (str_starts(name, STR("rl_")) && !str_eqz(value, "0"))
		r->relays++;
	/* The first is the node's; each further one is a relay's. */
	if (str_starts(name, STR("fn_")) && str_to_u64(after, &n) && n > 0)
		return note(r,
		    arena_printf(r->a, "friendly_name_%u", (unsigned)n + 1).ptr,
		    value, err);
	if (str_eqz(name, "mac"))
		return note(r, "mac", value, err);
	return on_fact(r, source, name, value, err);
}

static int
read_config(struct reading *r, struct str json, struct err *err)
{
	int rc = flatten(json, r->a, on_config, r, err);

	if (rc == 0 && r->relays > 0)
		rc =
		    note(r, "relays", arena_printf(r->a, "%u", r->relays), err);
	return rc != 0 ? rc : present(r, STR(TASMOTA_CONTROL), err);
}

static int
on_found(void *ctx, struct str source, struct str name, struct str value,
    struct err *err)
{
	(void)name;
	(void)value;
	return source.len == 0 ? 0 : present(ctx, sensor_name(source), err);
}

/* {"sn":{...},"ver":1}. The values are those of the device's start: only what
 * there is, is news. */
static int
read_found(struct reading *r, struct str json, struct err *err)
{
	struct str key, value;
	struct json j;
	int rc = 0;

	json_open(&j, json, 0, r->a);
	(void)json_object(&j);
	while (rc == 0 && json_member(&j, &key) && json_raw(&j, &value))
		if (str_eqz(key, "sn"))
			rc = flatten(value, r->a, on_found, r, err);
	return rc != 0 ? rc : json_done(&j, err);
}

/* --- frames -------------------------------------------------------------- */

bool
tasmota_is_discovery(struct str topic, struct str *mac, struct str *command)
{
	static const char root[] = "tasmota/discovery/";
	size_t n = sizeof(root) - 1;

	if (!str_starts(topic, (struct str){ root, n }))
		return false;
	topic.ptr += n;
	topic.len -= n;
	*mac = str_cut(&topic, '/');
	*command = topic;
	return mac->len > 0 &&
	    (str_eqz(topic, "config") || str_eqz(topic, "sensors"));
}

static int
read_extension(struct reading *r, struct str json, struct err *err)
{
	struct str key, time = STR_NULL;
	struct json j;

	json_open(&j, json.len > 0 ? json : STR("{}"), 0, r->a);
	(void)json_object(&j);
	while (json_member(&j, &key))
		if (str_eqz(key, "topic")) {
			(void)json_str(&j, &r->topic);
		} else if (str_eqz(key, "on")) {
			(void)json_str(&j, &r->on);
		} else if (str_eqz(key, "time")) {
			(void)json_str(&j, &time);
		} else if (str_eqz(key, "online")) {
			(void)json_bool(&j, &r->online);
			r->online_said = true;
		} else {
			(void)json_skip(&j);
		}
	if (time.ptr != NULL && !time_parse(time, &r->time))
		json_fail(&j, "time: a time is needed");
	return json_done(&j, err);
}

static int
read_data(struct reading *r, struct str data, struct err *err)
{
	static const char *const dull[] = { "UPTIME", "HASS_STATE", NULL };
	struct str mac, what;
	bool found = tasmota_is_discovery(r->topic, &mac, &what);

	if (!found && str_eqz(r->command, "LWT"))
		return read_lwt(r, data, err);
	if (one_of(r->command, dull))
		return 0;
	if (data.len == 0 || data.ptr[0] != '{')
		return err_set(err, ERR_PARAM,
		    STR_FMT ": a JSON object is needed", STR_ARG(r->command));
	if (found)
		return str_eqz(what, "config") ? read_config(r, data, err)
					       : read_found(r, data, err);
	if (str_eqz(r->command, "STATE"))
		return read_state(r, data, err);
	if (str_eqz(r->command, "SENSOR"))
		return read_sensors(r, data, err);
	if (str_starts(r->command, STR("STATUS")))
		return read_status(r, data, err);
	if (str_eqz(tasmota_stem(r->command), "INFO"))
		return read_node(r, data, err);
	return flatten(data, r->a, on_state, r, err);
}

int
tasmota_read(
    const struct gateway_frame *f, struct gateway_messages *m, struct err *err)
{
	struct reading r = { .m = m,
		.a = m->a,
		.node = f->node,
		.topic = STR(""),
		.labels = STR(""),
		.time = TIME_NULL };
	int rc = read_extension(&r, f->extension, err);

	if (rc != 0)
		return err_wrap(err, "extension");
	r.command = r.topic;
	for (struct str left = r.topic; left.ptr != NULL;)
		r.command = str_cut(&left, '/');
	rc = read_data(&r, str_trim(f->data), err);
	if (rc == 0 && r.labels.len > 0)
		message_of(&r, GATEWAY_PRESENTATION, STR(""))->labels =
		    arena_printf(r.a, "{" STR_FMT "}", STR_ARG(r.labels));
	return rc;
}

/* --- writing ------------------------------------------------------------- */

static bool
is_command(struct str name)
{
	for (size_t i = 0; i < name.len; i++)
		if (!isalnum((unsigned char)name.ptr[i]) && name.ptr[i] != '_')
			return false;
	return name.len > 0;
}

int
tasmota_write(const struct gateway_message *msg, struct arena *a,
    struct gateway_frame *ret, struct err *err)
{
	const struct gateway_payload *p = msg->payloads;
	struct str value;

	if (msg->n_payloads != 1 || msg->node.len == 0)
		return err_set(
		    err, ERR_PARAM, "one value for one node is needed");
	if (!is_command(p->key))
		return err_set(err, ERR_PARAM,
		    STR_FMT " is no command: letters, digits and _ are needed",
		    STR_ARG(p->key));
	value = p->value.ptr != NULL ? plain(a, p->value) : STR("");
	if (msg->type == GATEWAY_REQUEST || str_eqz(value, "null"))
		value = STR("");
	else if (str_eqz(value, "true"))
		value = STR("ON");
	else if (str_eqz(value, "false"))
		value = STR("OFF");
	*ret = (struct gateway_frame){ .node = msg->node,
		.data = value,
		.extension = arena_printf(a,
		    "{\"command\":\"" STR_FMT "\",\"slot\":\"" STR_FMT "\"}",
		    STR_ARG(p->key), STR_ARG(p->key)) };
	return 0;
}
