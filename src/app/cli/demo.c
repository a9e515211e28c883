/*
 * app/cli/demo.c - `marram demo`: a unit whose devices are simulated.
 *
 * It works in two parts. First, over the management API, it makes what is not
 * there yet: a unit, an application, a network, devices, a route between them,
 * and new passwords. Then it speaks MQTT as that network's service: each device
 * sends in its turn, spread over the interval, and what is sent down to a
 * device is answered with result 0.
 *
 * The unit is marked ({"demo":true} in its info) when it is made here; only a
 * unit with that mark is deleted by --remove.
 */
#include "app/app.h"
#include "app/cli/cli.h"
#include "app/cli/output.h"
#include "app/simulated.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/loop.h"
#include "base/mem.h"
#include "base/rand.h"
#include "codec/url.h"
#include "net/mqtt/client.h"

#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define API "/coremgr/api/v1"
#define APPLICATION "demo-app"
#define NETWORK "demo-net"
#define DEVICES_MAX 1024 /* of one bulk call */
#define TELL_MS 1000
#define TELL_PLAIN_MS 10000 /* where lines can not be written over */

struct options {
	struct str unit, mqtt_host, account, password;
	int64_t devices, mqtt_port, interval, messages;
	bool remove;
};

#define O struct options
static const struct field option_fields[] = {
	F_TEXT(O, unit, "unit", .help = "Code of the unit (demo)."),
	F_INT(O, devices, "devices", .help = "How many devices (20)."),
	F_INT(O, interval, "interval",
	    .help = "Seconds between two messages of a device (5)."),
	F_INT(O, messages, "messages",
	    .help = "End after so many messages; 0 (as usual): never."),
	F_TEXT(O, mqtt_host, "mqtt-host",
	    .help = "Where the platform speaks MQTT (127.0.0.1)."),
	F_INT(O, mqtt_port, "mqtt-port", .help = "Its port (1883)."),
	F_TEXT(O, account, "account",
	    .help = "Sign in first, instead of using the kept tokens."),
	F_TEXT(O, password, "password", .flags = FIELD_SECRET,
	    .help = "For that. Else MARRAM_PASSWORD, else it is asked for."),
	F_BOOL(O, remove, "remove", .help = "Delete the demo's unit."),
	{ 0 },
};
static const struct record option_record = { "demo", sizeof(O), option_fields };

static const struct cli_local demo_command = { "demo", "",
	"Makes a unit with an application, a network and devices, and sends "
	"simulated\ndata of them until Ctrl-C.",
	&option_record, "unit:u devices:n account:a password:p", NULL };

struct demo {
	struct cli cli;
	struct cli_command command;
	struct options opt;
	struct arena *arena; /* the cli's */

	struct str unit_id, app_id, net_id;
	struct str app_password, net_password;

	struct loop *loop;
	struct mqtt_client *mqtt;
	struct loop_io signals;
	struct loop_timer send_timer, tell_timer;
	struct str uldata, result; /* topics */
	int64_t started;           /* clock_mono() of the first message */
	uint64_t turn;             /* devices whose turn has come, in all */
	uint64_t sent, skipped, answered, acked;
	bool is_on[DEVICES_MAX]; /* relays */
	bool live;               /* the progress line may be written over */
	bool up, failed;
};

/* --- options ------------------------------------------------------------- */

static int
number(struct demo *d, const struct cli_value *values, const char *name,
    int64_t def, int64_t min, int64_t max, int64_t *ret, struct err *err)
{
	struct str text = cli_text(&d->command, values, name);

	*ret = def;
	if (text.ptr == NULL)
		return 0;
	if (!str_to_i64(text, ret) || *ret < min || *ret > max)
		return err_set(err, ERR_PARAM, "--%s: must be %lld to %lld",
		    name, (long long)min, (long long)max);
	return 0;
}

static struct str
text_or(struct str text, const char *def)
{
	return text.len > 0 ? text : str_of(def);
}

static int
read_options(struct demo *d, const struct cli_value *values, struct err *err)
{
	const struct cli_command *c = &d->command;
	struct options *o = &d->opt;
	const struct cli_value *remove = cli_given(c, values, "remove");
	int rc;

	o->unit =
	    arena_lower(d->arena, text_or(cli_text(c, values, "unit"), "demo"));
	o->mqtt_host = text_or(cli_text(c, values, "mqtt-host"), "127.0.0.1");
	o->account = cli_text(c, values, "account");
	o->password = cli_text(c, values, "password");
	o->remove = remove != NULL &&
	    !(remove->words.n > 0 && str_eqz(remove->words.at[0], "false"));
	rc = number(d, values, "devices", 20, 1, DEVICES_MAX, &o->devices, err);
	if (rc == 0)
		rc = number(
		    d, values, "interval", 5, 1, 86400, &o->interval, err);
	if (rc == 0)
		rc = number(
		    d, values, "messages", 0, 0, INT64_MAX, &o->messages, err);
	if (rc == 0)
		rc = number(
		    d, values, "mqtt-port", 1883, 1, 65535, &o->mqtt_port, err);
	return rc;
}

/* --- calls --------------------------------------------------------------- */

/* A refusal as an error. */
static int
refused(const struct fetched *r, struct err *err)
{
	struct buf b = { 0 };

	output_error(&b, r);
	err_set(err, ERR_PROTO, "%s", buf_z(&b));
	buf_free(&b);
	return err->code;
}

static int
call(struct demo *d, const char *method, struct str path, struct str body,
    struct fetched *r, struct err *err)
{
	return session_call(
	    &d->cli.session, method, path, body, d->arena, r, err);
}

/* The same, where a refusal is an error. */
static int
must(struct demo *d, const char *method, struct str path, struct str body,
    struct fetched *r, struct err *err)
{
	int rc = call(d, method, path, body, r, err);

	if (rc != 0 || r->status < 300)
		return rc;
	refused(r, err);
	return err_wrap(err, "%s " STR_FMT, method, STR_ARG(path));
}

/* Text members of the object that is in "data". */
static void
read_members(struct demo *d, struct str json, const char *id, struct str *id_to,
    struct str *password)
{
	struct str key;
	struct json j;

	json_open(&j, json, 0, d->arena);
	if (json_object(&j))
		while (json_member(&j, &key)) {
			if (str_eqz(key, "data") &&
			    json_peek(&j) == JSON_OBJECT) {
				struct str in;

				json_object(&j);
				while (json_member(&j, &in))
					if (str_eqz(in, id))
						json_str(&j, id_to);
					else if (str_eqz(in, "password") &&
					    password != NULL)
						json_str(&j, password);
					else
						json_skip(&j);
			} else {
				json_skip(&j);
			}
		}
}

/* The id of the row of this code in a bare array; `*marked` (may be NULL): its
 * info has "demo":true. STR_NULL: no such row. */
static struct str
find_code(struct demo *d, struct str json, const char *id, struct str code,
    bool *marked)
{
	struct str found = STR_NULL, key;
	struct json j;

	json_open(&j, json, 0, d->arena);
	if (!json_array(&j))
		return STR_NULL;
	while (json_item(&j)) {
		struct str row_id = STR_NULL, row_code = STR_NULL;
		bool mark = false;

		json_object(&j);
		while (json_member(&j, &key)) {
			if (str_eqz(key, id)) {
				json_str(&j, &row_id);
			} else if (str_eqz(key, "code")) {
				json_str(&j, &row_code);
			} else if (str_eqz(key, "info") &&
			    json_peek(&j) == JSON_OBJECT) {
				json_object(&j);
				while (json_member(&j, &key))
					if (str_eqz(key, "demo") &&
					    json_peek(&j) == JSON_BOOL)
						json_bool(&j, &mark);
					else
						json_skip(&j);
			} else {
				json_skip(&j);
			}
		}
		if (!str_eq(row_code, code))
			continue;
		found = row_id;
		if (marked != NULL)
			*marked = mark;
	}
	return json_ok(&j) ? found : STR_NULL;
}

/* --- what is made -------------------------------------------------------- */

static int
find_unit(struct demo *d, bool *marked, struct err *err)
{
	struct buf path = { 0 };
	struct fetched r;
	int rc;

	buf_addz(&path, API "/unit/list?");
	url_form_add(&path, "format", STR("array"));
	url_form_add(&path, "limit", STR("0"));
	url_form_add(&path, "contains", d->opt.unit);
	rc = must(d, "GET", buf_str(&path), STR_NULL, &r, err);
	if (rc == 0)
		d->unit_id =
		    find_code(d, r.body, "unitId", d->opt.unit, marked);
	buf_free(&path);
	return rc;
}

static int
make_unit(struct demo *d, struct err *err)
{
	struct buf body = { 0 };
	struct fetched r;
	int rc = find_unit(d, NULL, err);

	if (rc != 0)
		return rc;
	if (d->unit_id.ptr != NULL) {
		printf("unit " STR_FMT " is there\n", STR_ARG(d->opt.unit));
		return 0;
	}
	buf_addz(&body, "{\"data\":{\"code\":");
	json_quote(&body, d->opt.unit);
	buf_addz(&body, ",\"name\":\"Demo\",\"info\":{\"demo\":true}}}");
	rc = must(d, "POST", STR(API "/unit"), buf_str(&body), &r, err);
	buf_free(&body);
	if (rc != 0)
		return rc;
	read_members(d, r.body, "unitId", &d->unit_id, NULL);
	printf("unit " STR_FMT " made\n", STR_ARG(d->opt.unit));
	return 0;
}

/* A new password for an application or network that was there. */
static int
set_password(struct demo *d, const char *kind, struct str id,
    struct str *password, struct err *err)
{
	struct str path =
	    arena_printf(d->arena, API "/%s/" STR_FMT, kind, STR_ARG(id));
	char text[17];
	struct fetched r;

	rand_text(text, sizeof(text) - 1);
	*password = arena_str(d->arena, str_of(text));
	return must(d, "PATCH", path,
	    arena_printf(d->arena, "{\"data\":{\"password\":\"%s\"}}", text),
	    &r, err);
}

/* The application or network of this code in the unit. */
static int
make_end(struct demo *d, const char *kind, const char *id_name,
    const char *code, struct str *id, struct str *password, struct err *err)
{
	struct str path = arena_printf(d->arena,
	    API "/%s/list?format=array&unit=" STR_FMT "&code=%s", kind,
	    STR_ARG(d->unit_id), code);
	struct fetched r;
	int rc = must(d, "GET", path, STR_NULL, &r, err);

	if (rc != 0)
		return rc;
	*id = find_code(d, r.body, id_name, str_of(code), NULL);
	if (id->ptr != NULL) {
		printf("%s %s is there: new password\n", kind, code);
		return set_password(d, kind, *id, password, err);
	}
	rc = must(d, "POST", arena_printf(d->arena, API "/%s", kind),
	    arena_printf(d->arena,
		"{\"data\":{\"code\":\"%s\",\"unitId\":\"" STR_FMT
		"\",\"hostUri\":\"mqtt://localhost\",\"name\":\"Demo\"}}",
		code, STR_ARG(d->unit_id)),
	    &r, err);
	if (rc != 0)
		return rc;
	read_members(d, r.body, id_name, id, password);
	printf("%s %s made\n", kind, code);
	if (password->ptr == NULL) /* a server that tells none */
		return set_password(d, kind, *id, password, err);
	return 0;
}

/* Most of them climate; every tenth a door and another one a relay. */
static struct simulated
device_at(struct demo *d, uint32_t place)
{
	uint32_t digit = place % 10;

	return (struct simulated){ .kind = digit == 8 ? SIMULATED_DOOR
		    : digit == 9                      ? SIMULATED_RELAY
						      : SIMULATED_CLIMATE,
		.place = place,
		.on = d->is_on[place] };
}

static int
make_profile(struct demo *d, const struct simulated_profile *p, struct err *err)
{
	struct buf body = { 0 };
	struct fetched r;
	int rc;

	buf_addf(&body,
	    "{\"data\":{\"unitId\":\"" STR_FMT "\",\"code\":\"%s\","
	    "\"name\":\"%s\",\"codec\":\"%s\",\"fields\":%s,\"script\":",
	    STR_ARG(d->unit_id), p->code, p->name, p->codec, p->fields);
	json_quote(&body, str_of(p->script));
	buf_addz(&body, "}}");
	rc = call(
	    d, "POST", STR("/hub/api/v1/profile"), buf_str(&body), &r, err);
	buf_free(&body);
	if (rc != 0 || r.status < 300)
		return rc;
	refused(&r, err);
	return strstr(err->text, "\"err_hub_exist\"") != NULL ? 0 : err->code;
}

/* Those that exist are passed over by the server. */
static int
make_devices(struct demo *d, enum simulated_kind kind, struct err *err)
{
	const struct simulated_profile *p = &simulated_profiles[kind];
	char text[SIMULATED_ADDR_LEN + 1];
	struct buf body = { 0 };
	struct fetched r;
	int n = 0, rc;

	buf_addf(&body,
	    "{\"data\":{\"unitId\":\"" STR_FMT "\",\"networkId\":\"" STR_FMT
	    "\",\"profile\":\"%s\",\"networkAddrs\":[",
	    STR_ARG(d->unit_id), STR_ARG(d->net_id), p->code);
	for (uint32_t i = 0; i < d->opt.devices; i++) {
		if (device_at(d, i).kind != kind)
			continue;
		simulated_address(text, i);
		buf_addf(&body, "%s\"%s\"", n++ > 0 ? "," : "", text);
	}
	buf_addz(&body, "]}}");
	rc = n == 0 ? 0 : make_profile(d, p, err);
	if (rc == 0 && n > 0)
		rc = must(d, "POST", STR(API "/device/bulk"), buf_str(&body),
		    &r, err);
	buf_free(&body);
	if (rc == 0 && n > 0)
		printf("%d devices with profile %s\n", n, p->code);
	return rc;
}

static int
make_route(struct demo *d, struct err *err)
{
	struct str body = arena_printf(d->arena,
	    "{\"data\":{\"networkId\":\"" STR_FMT
	    "\",\"applicationId\":\"" STR_FMT "\"}}",
	    STR_ARG(d->net_id), STR_ARG(d->app_id));
	struct fetched r;
	int rc = call(d, "POST", STR(API "/network-route"), body, &r, err);

	if (rc != 0 || r.status < 300)
		return rc;
	refused(&r, err);
	return strstr(err->text, "\"err_broker_route_exist\"") != NULL
	    ? 0
	    : err->code;
}

static int
make_all(struct demo *d, struct err *err)
{
	int rc = make_unit(d, err);

	if (rc == 0)
		rc = make_end(d, "application", "applicationId", APPLICATION,
		    &d->app_id, &d->app_password, err);
	if (rc == 0)
		rc = make_end(d, "network", "networkId", NETWORK, &d->net_id,
		    &d->net_password, err);
	for (int kind = 0; rc == 0 && kind < SIMULATED_KINDS; kind++)
		rc = make_devices(d, (enum simulated_kind)kind, err);
	return rc == 0 ? make_route(d, err) : rc;
}

static int
remove_all(struct demo *d, struct err *err)
{
	bool marked = false;
	struct fetched r;
	int rc = find_unit(d, &marked, err);

	if (rc != 0)
		return rc;
	if (d->unit_id.ptr == NULL) {
		printf("there is no unit " STR_FMT "\n", STR_ARG(d->opt.unit));
		return 0;
	}
	if (!marked)
		return err_set(err, ERR_DENIED,
		    "the unit " STR_FMT " was not made by the demo: delete it "
		    "by `unit delete -i " STR_FMT "`",
		    STR_ARG(d->opt.unit), STR_ARG(d->unit_id));
	rc = must(d, "DELETE",
	    arena_printf(d->arena, API "/unit/" STR_FMT, STR_ARG(d->unit_id)),
	    STR_NULL, &r, err);
	if (rc == 0)
		printf("unit " STR_FMT " removed, with all that was in it\n",
		    STR_ARG(d->opt.unit));
	return rc;
}

/* --- sending ------------------------------------------------------------- */

static void
on_acked(void *ctx, uint8_t reason)
{
	struct demo *d = ctx;

	(void)reason; /* what is refused is answered, too */
	d->acked++;
	if (d->opt.messages > 0 && d->acked >= (uint64_t)d->opt.messages)
		loop_stop(d->loop);
}

static void
send_one(struct demo *d, uint32_t place)
{
	const struct simulated device = device_at(d, place);
	struct buf b = { 0 };

	simulated_uplink(&b, &device, clock_now());
	if (mqtt_client_publish(
		d->mqtt, d->uldata, buf_str(&b), 1, false, on_acked, d) == 0)
		d->sent++;
	else
		d->skipped++; /* the server has been away for long */
	buf_free(&b);
}

/* Every device has its place in the interval; all whose turn has come since
 * the last time send now. */
static void
on_send(struct loop_timer *t)
{
	struct demo *d = container_of(t, struct demo, send_timer);
	uint64_t n = (uint64_t)d->opt.devices;
	uint64_t period = (uint64_t)d->opt.interval * 1000;
	uint64_t passed = (uint64_t)(clock_mono() - d->started);
	uint64_t due = passed * n / period + 1;

	if (due - d->turn > n)
		d->turn = due - n; /* we slept; no more than one round */
	for (; d->turn < due; d->turn++) {
		if (d->opt.messages > 0 && d->sent >= (uint64_t)d->opt.messages)
			return;
		send_one(d, (uint32_t)(d->turn % n));
	}
	loop_after(d->loop, t, (int64_t)(period / n > 0 ? period / n : 1));
}

/* Tells a device what it is to do; one that is another then says so. */
static void
obey(struct demo *d, const struct simulated_order *o)
{
	char text[SIMULATED_ADDR_LEN + 1];

	for (uint32_t i = 0; i < d->opt.devices; i++) {
		struct simulated device = device_at(d, i);

		simulated_address(text, i);
		if (!str_eqz(o->addr, text))
			continue;
		if (simulated_obey(&device, o->data)) {
			d->is_on[i] = device.on;
			send_one(d, i);
		}
		return;
	}
}

/* A downlink is done at once. */
static void
on_dldata(void *ctx, const struct mqtt_client_msg *m)
{
	struct simulated_order order;
	struct arena scratch = { 0 };
	struct demo *d = ctx;
	struct buf b = { 0 };

	if (m->topic.ptr == NULL)
		return;
	if (simulated_order_read(m->payload, &scratch, &order)) {
		simulated_result(&b, order.data_id);
		if (mqtt_client_publish(d->mqtt, d->result, buf_str(&b), 1,
			false, NULL, NULL) == 0)
			d->answered++;
		buf_free(&b);
		obey(d, &order);
	}
	arena_fini(&scratch);
}

static void
tell(const struct demo *d)
{
	printf("%s%llu sent, %llu acknowledged, %llu downlinks answered%s%s",
	    d->live ? "\r" : "", (unsigned long long)d->sent,
	    (unsigned long long)d->acked, (unsigned long long)d->answered,
	    d->up ? "" : ", not connected", d->live ? "\033[K" : "\n");
	fflush(stdout);
}

static void
on_tell(struct loop_timer *t)
{
	struct demo *d = container_of(t, struct demo, tell_timer);

	tell(d);
	loop_after(d->loop, t, d->live ? TELL_MS : TELL_PLAIN_MS);
}

static void
on_up(void *owner, bool session_present)
{
	struct demo *d = owner;

	(void)session_present;
	d->up = true;
	if (d->started != 0)
		return;
	d->started = clock_mono();
	loop_after(d->loop, &d->send_timer, 0);
	loop_after(d->loop, &d->tell_timer, TELL_MS);
}

static void
on_down(void *owner, const struct err *why)
{
	struct demo *d = owner;
	bool first = d->up || d->started == 0;

	d->up = false;
	if (first)
		fprintf(stderr, "%smqtt://" STR_FMT ":%lld: %s%s\n",
		    d->live ? "\n" : "", STR_ARG(d->opt.mqtt_host),
		    (long long)d->opt.mqtt_port, why->text,
		    why->code == ERR_DENIED
			? " (does another demo of this unit run?)"
			: "; trying again");
	if (why->code == ERR_DENIED) {
		d->failed = true;
		loop_stop(d->loop);
	}
}

static void
on_signal(struct loop_io *io, unsigned what)
{
	struct demo *d = container_of(io, struct demo, signals);

	(void)what;
	loop_stop(d->loop);
}

static int
watch_signals(struct demo *d, struct err *err)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	d->signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (d->signals.fd < 0)
		return err_errno(err, "signalfd");
	d->signals.ready = on_signal;
	loop_watch(d->loop, &d->signals, LOOP_READ);
	return 0;
}

/* The client never waits for names: they are looked up before. */
static int
resolve(struct str host, char text[NI_MAXHOST], struct err *err)
{
	const struct addrinfo want = { .ai_socktype = SOCK_STREAM };
	char *name = str_dupz(host);
	struct addrinfo *list;
	int rc = getaddrinfo(name, NULL, &want, &list);

	if (rc != 0) {
		err_set(err, ERR_PARAM, "--mqtt-host %s: %s", name,
		    gai_strerror(rc));
		free(name);
		return ERR_PARAM;
	}
	free(name);
	rc = getnameinfo(list->ai_addr, list->ai_addrlen, text, NI_MAXHOST,
	    NULL, 0, NI_NUMERICHOST);
	freeaddrinfo(list);
	return rc == 0
	    ? 0
	    : err_set(err, ERR_PARAM, "--mqtt-host: %s", gai_strerror(rc));
}

static struct str
topic(struct demo *d, const char *kind, const char *code, const char *queue)
{
	return arena_printf(d->arena, "broker.%s." STR_FMT ".%s.%s", kind,
	    STR_ARG(d->opt.unit), code, queue);
}

static int
connect_mqtt(struct demo *d, struct err *err)
{
	static const struct mqtt_client_events events = { on_up, on_down };
	struct str user = arena_printf(
	    d->arena, "network." STR_FMT "." NETWORK, STR_ARG(d->opt.unit));
	char host[NI_MAXHOST];
	struct mqtt_client_conf conf = {
		.address = host,
		.port = (uint16_t)d->opt.mqtt_port,
		.user = arena_z(d->arena, user),
		.password = arena_z(d->arena, d->net_password),
		.keepalive_s = 60,
		.retry_max_ms = 10000,
	};
	int rc = resolve(d->opt.mqtt_host, host, err);

	if (rc == 0)
		rc = mqtt_client_new(d->loop, &conf, &events, d, &d->mqtt, err);
	if (rc != 0)
		return rc;
	d->uldata = topic(d, "network", NETWORK, "uldata");
	d->result = topic(d, "network", NETWORK, "dldata-result");
	mqtt_client_subscribe(
	    d->mqtt, topic(d, "network", NETWORK, "dldata"), 1, on_dldata, d);
	mqtt_client_start(d->mqtt);
	return 0;
}

static void
tell_how_to_watch(struct demo *d)
{
	struct str uldata = topic(d, "application", APPLICATION, "uldata");

	printf("\nWatch it:\n  mosquitto_sub -h " STR_FMT " -p %lld -u "
	       "application." STR_FMT "." APPLICATION " -P " STR_FMT
	       " -t " STR_FMT "\n\n%lld devices send every %lld s. Ctrl-C ends "
	       "it, `%s demo --remove` takes it away.\n",
	    STR_ARG(d->opt.mqtt_host), (long long)d->opt.mqtt_port,
	    STR_ARG(d->opt.unit), STR_ARG(d->app_password), STR_ARG(uldata),
	    (long long)d->opt.devices, (long long)d->opt.interval,
	    d->cli.program);
	fflush(stdout);
}

static int
send_all(struct demo *d, struct err *err)
{
	int rc;

	d->loop = loop_new();
	d->live = isatty(STDOUT_FILENO);
	d->send_timer.fire = on_send;
	d->tell_timer.fire = on_tell;
	d->signals.fd = -1;
	rc = watch_signals(d, err);
	if (rc == 0)
		rc = connect_mqtt(d, err);
	if (rc == 0) {
		tell_how_to_watch(d);
		loop_run(d->loop);
		if (d->started != 0)
			tell(d);
		if (d->live)
			printf("\n");
	}
	if (rc == 0 && d->failed)
		rc = err_set(err, ERR_DENIED, "the MQTT server refused us");
	loop_cancel(d->loop, &d->send_timer);
	loop_cancel(d->loop, &d->tell_timer);
	mqtt_client_free(d->mqtt);
	if (d->signals.fd >= 0) {
		loop_unwatch(d->loop, &d->signals);
		close(d->signals.fd);
	}
	loop_turn(d->loop, 0);
	loop_free(d->loop);
	return rc;
}

/* --- all of it ----------------------------------------------------------- */

static int
sign_in(struct demo *d, struct err *err)
{
	struct str password;
	struct fetched r;
	int rc;

	if (d->opt.account.ptr == NULL)
		return 0;
	rc = cli_password(&d->cli, d->opt.password, &password, err);
	if (rc == 0)
		rc = session_login(&d->cli.session, d->opt.account, password,
		    d->arena, &r, err);
	return rc == 0 && r.status != 200 ? refused(&r, err) : rc;
}

static int
run(struct demo *d, struct err *err)
{
	int rc = sign_in(d, err);

	if (rc == 0 && d->opt.remove)
		return remove_all(d, err);
	if (rc == 0)
		rc = make_all(d, err);
	return rc == 0 ? send_all(d, err) : rc;
}

static int
start(struct demo *d, int argc, char **argv)
{
	struct cli_value *values;
	struct buf b = { 0 };
	struct err err;
	int rc;

	d->command = cli_local_command(d->arena, &demo_command);
	rc = cli_words_read(
	    &d->command, d->cli.common, argc, argv, d->arena, &values, &err);
	if (rc == 1) {
		cli_help_command(&b, d->cli.program, &d->command);
		fputs(buf_z(&b), stdout);
		buf_free(&b);
		return 0;
	}
	if (rc == 0)
		rc = read_options(d, values, &err);
	if (rc == 0)
		rc = cli_open(&d->cli, &err);
	if (rc != 0)
		return cli_misused(&d->cli, "demo", &err);
	rc = run(d, &err);
	fflush(stdout);
	return rc == 0 ? 0 : cli_failed(&d->cli, &err);
}

int
demo_main(int argc, char **argv)
{
	struct demo *d = mem_new(struct demo);
	int status;

	cli_init(&d->cli, argv[0]);
	d->arena = &d->cli.arena;
	status = start(d, argc - 2, argv + 2);
	cli_fini(&d->cli);
	free(d);
	return status;
}
