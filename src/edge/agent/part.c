/*
 * edge/agent/part.c - the agent as a part: its session on the local broker, and
 * what the settings say to it.
 */
#include "edge/part.h"

#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "edge/agent/agent.h"
#include "edge/agent_entities.h"
#include "edge/agent_http.h"
#include "edge/expose.h"
#include "edge/system.h"
#include "edge/topic.h"

#include <stdlib.h>
#include <unistd.h>

#define LOG_MODULE "agent"
#define SERVICE "tedge-agent"

struct agent_part {
	struct edge *edge;
	struct mqtt_client *client;
	struct health health;
	struct agent *agent;
	struct agent_entities *entities; /* NULL: a child device's agent */
	struct agent_http *http;         /* the same */
	struct expose exposed;           /* its settings */
	struct mqtt_client_conf local;
	struct agent_conf conf;
	struct agent_host host;
	struct list owed;   /* publications whose end is to be told */
	struct arena arena; /* of the settings */
};

/* --- messages ------------------------------------------------------------- */

struct owed {
	struct list link;
	void (*done)(void *ctx, bool taken);
	void *ctx;
};

static void
settle(struct owed *o, bool taken)
{
	void (*done)(void *ctx, bool taken) = o->done;
	void *ctx = o->ctx;

	list_del(&o->link);
	free(o);
	done(ctx, taken);
}

static void
on_taken(void *ctx, uint8_t reason)
{
	if (reason >= 0x80)
		log_warn("the broker has refused a message: %s",
		    mqtt_reason_text(reason));
	settle(ctx, reason < 0x80);
}

static void
publish(void *owner, struct str topic, struct str payload, bool retain,
    void (*done)(void *ctx, bool taken), void *ctx)
{
	struct agent_part *p = owner;
	struct owed *o = NULL;
	int rc;

	if (done != NULL) {
		o = mem_new(struct owed);
		o->done = done;
		o->ctx = ctx;
		list_add(&p->owed, &o->link);
	}
	rc = mqtt_client_publish(p->client, topic, payload, 1, retain,
	    o != NULL ? on_taken : NULL, o);
	if (rc == 0)
		return;
	log_error("a message to \"" STR_FMT "\" is lost: %s", STR_ARG(topic),
	    rc == ERR_LIMIT ? "the broker does not take them"
			    : "no message that MQTT can carry");
	if (o != NULL)
		settle(o, false);
}

static int
can_restart(void *owner, struct err *err)
{
	struct agent_part *p = owner;
	struct arena a = { 0 };
	struct config *c;
	struct system s;
	int rc = config_open(config_dir(edge_config(p->edge)), &c, err);

	if (rc != 0)
		return rc;
	rc = system_read(c, &a, &s, err);
	config_close(c);
	arena_fini(&a);
	return rc;
}

static void
leave(void *owner, bool end)
{
	struct agent_part *p = owner;

	if (end)
		edge_end(p->edge,
		    "the program was replaced by an update, and ends for the "
		    "new one to be started");
	else
		edge_restart_later(p->edge, p);
}

static void
on_message(void *ctx, const struct mqtt_client_msg *m)
{
	struct agent_part *p = ctx;

	if (m->topic.ptr == NULL)
		log_error("the broker has refused a subscription: %s",
		    mqtt_reason_text(m->reason));
	else
		agent_heard(p->agent,
		    &(struct agent_msg){ m->topic, m->payload, m->retain });
}

static void
on_subscribed(void *owner)
{
	struct agent_part *p = owner;

	if (p->entities != NULL)
		agent_entities_up(p->entities);
	agent_up(p->agent);
	expose_tell(&p->exposed);
	health_tell(&p->health, "up");
}

static void
on_down(void *owner, const struct err *why)
{
	(void)owner;
	log_warn("the local broker is away: %s; it is tried again", why->text);
}

static const struct mqtt_client_events events = { .down = on_down,
	.subscribed = on_subscribed };

/* --- settings ------------------------------------------------------------- */

static const char *
z(struct agent_part *p, const char *key)
{
	return arena_z(&p->arena, config_text(edge_config(p->edge), key));
}

static const char *
state_dir(struct agent_part *p)
{
	const char *dir = z(p, "agent.state.path");

	if (access(dir, F_OK) == 0)
		return dir;
	return arena_z(&p->arena,
	    arena_printf(
		&p->arena, "%s/.agent", config_dir(edge_config(p->edge))));
}

static struct str
files_url(struct agent_part *p)
{
	const struct config *c = edge_config(p->edge);
	bool tls = config_text(c, "http.cert_path").len > 0;

	return arena_printf(&p->arena,
	    "%s://" STR_FMT ":%lld/te/v1/files/" STR_FMT,
	    tls ? "https" : "http", STR_ARG(config_text(c, "http.client.host")),
	    (long long)config_int(c, "http.client.port"),
	    STR_ARG(te_entity_name(edge_device_topic(p->edge))));
}

/* Where this program lies. */
static const char *
exe_path(struct agent_part *p)
{
	static const struct str gone = STR(" (deleted)");
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path));
	struct str text = { path, n > 0 ? (size_t)n : 0 };

	if (n <= 0 || n == (ssize_t)sizeof(path))
		return NULL;
	if (str_ends(text, gone)) /* replaced since it began */
		text.len -= gone.len;
	return arena_z(&p->arena, text);
}

/* From system.toml: how the device is restarted. */
static int
read_system(struct agent_part *p, struct err *err)
{
	struct system s;
	int rc = system_read(edge_config(p->edge), &p->arena, &s, err);
	size_t n = 0;

	if (rc != 0)
		return rc;
	while (s.reboot[n] != NULL)
		n++;
	p->conf.reboot.at = arena_array(&p->arena, n, struct str);
	for (size_t i = 0; i < n; i++)
		p->conf.reboot.at[i] = str_of(s.reboot[i]);
	p->conf.reboot.n = n;
	p->conf.reboot_timeout_ms = s.reboot_timeout_ms;
	return 0;
}

static void
read_settings(struct agent_part *p)
{
	static struct str program[] = { STR("/proc/self/exe"), STR("run") };
	const struct config *c = edge_config(p->edge);

	p->conf = (struct agent_conf){
		.loop = edge_loop(p->edge),
		.root = edge_root(p->edge),
		.device = edge_device_topic(p->edge),
		.device_type = config_text(c, "device.type"),
		.config_dir = config_dir(c),
		.state_dir = state_dir(p),
		.tmp_dir = z(p, "tmp.path"),
		.log_dir = z(p, "logs.path"),
		.proc_dir = "/proc",
		.program = { program, 2 },
		.exe = exe_path(p),
		.running_exe = "/proc/self/exe",
		.log_keep = config_list(c, "logs.max_per_operation"),
		.sudo = config_bool(c, "sudo.enable"),
		.software_default = config_text(c, "software.plugin.default"),
		.software_include = config_text(c, "software.plugin.include"),
		.software_exclude = config_text(c, "software.plugin.exclude"),
		.software_max = config_int(c, "software.plugin.max_packages"),
		.plugin_timeout_ms = config_ms(c, "software.plugin.timeout"),
		.config_snapshot =
		    config_bool(c, "agent.enable.config_snapshot"),
		.config_update = config_bool(c, "agent.enable.config_update"),
		.log_upload = config_bool(c, "agent.enable.log_upload"),
		.config_plugins = config_list(c, "configuration.plugin_paths"),
		.log_plugins = config_list(c, "log.plugin_paths"),
		.file_max = config_int(c, "http.max_file_size"),
		.files_url = files_url(p),
		.fetch = { .cert_file =
			       config_text(c, "http.client.auth.cert_file"),
		    .key_file = config_text(c, "http.client.auth.key_file"),
		    .proxy = config_text(c, "proxy.address"),
		    .proxy_user = config_text(c, "proxy.username"),
		    .proxy_password = config_text(c, "proxy.password"),
		    .no_proxy = config_text(c, "proxy.no_proxy") },
	};
}

/* --- start and stop ------------------------------------------------------- */

static void
subscribe(void *ctx, struct str filter)
{
	struct agent_part *p = ctx;

	if (mqtt_client_subscribe(p->client, filter, 1, on_message, p) != 0)
		log_error("\"" STR_FMT "\" is no filter to subscribe to",
		    STR_ARG(filter));
}

/* Who there is, is decided on the main device alone. */
/* A mapper in another process would tell it as well. */
static bool
tells(void *owner, struct str topic, struct str payload)
{
	struct agent_part *p = owner;

	return edge_is_whole(p->edge) &&
	    edge_tells(p->edge, SERVICE, topic, payload);
}

static int
open_entities(struct agent_part *p, struct err *err)
{
	const struct config *c = edge_config(p->edge);
	struct str device = edge_device_topic(p->edge);
	int rc;

	if (te_entity_is_default(device) &&
	    !str_eqz(te_entity_name(device), "main"))
		return 0;
	rc = agent_entities_new(
	    &(struct agent_entities_conf){ .loop = edge_loop(p->edge),
		.root = edge_root(p->edge),
		.device = device,
		.state_dir = p->conf.state_dir,
		.auto_register =
		    config_bool(c, "agent.entity_store.auto_register"),
		.clean_start = config_bool(c, "agent.entity_store.clean_start"),
		.max_bytes =
		    (size_t)config_int(c, "agent.entity_store.max_size"),
		.local = &p->local,
		.tells = tells,
		.owner = p },
	    p->client, &p->entities, err);
	if (rc == 0)
		rc = agent_http_start(
		    p->edge, agent_entities_store(p->entities), &p->http, err);
	return rc;
}

static int
connect_local(struct agent_part *p, struct err *err)
{
	struct mqtt_client_conf conf;
	int rc;

	edge_local(p->edge, &p->local);
	conf = p->local;
	conf.client_id = arena_z(&p->arena,
	    arena_printf(&p->arena, SERVICE "#" STR_FMT "/" STR_FMT,
		STR_ARG(edge_root(p->edge)),
		STR_ARG(edge_device_topic(p->edge))));
	conf.keep_session = true;
	health_will(p->edge, SERVICE, &conf);
	rc = mqtt_client_new(
	    edge_loop(p->edge), &conf, &events, p, &p->client, err);
	if (rc != 0)
		return rc;
	health_init(&p->health, p->edge, p->client, SERVICE);
	agent_filters(p->agent, subscribe, p);
	expose_config(&p->exposed, p->edge, p->client, SERVICE, NULL);
	rc = open_entities(p, err);
	if (rc == 0)
		mqtt_client_start(p->client);
	return rc;
}

static void
stop(void *part)
{
	struct agent_part *p = part;

	agent_free(p->agent);
	if (p->client != NULL)
		health_tell(&p->health, "down");
	agent_http_stop(p->http);
	agent_entities_free(p->entities);
	mqtt_client_free(p->client);
	if (p->exposed.loop != NULL)
		expose_fini(&p->exposed);
	LIST_EACH (o, &p->owed, struct owed, link)
		free(o);
	arena_fini(&p->arena);
	free(p);
}

static int
start(struct edge *e, struct str profile, void **ret, struct err *err)
{
	struct agent_part *p = mem_new(struct agent_part);
	int rc;

	(void)profile;
	p->edge = e;
	list_init(&p->owed);
	p->host = (struct agent_host){ p, publish, can_restart, leave };
	read_settings(p);
	rc = read_system(p, err);
	if (rc == 0)
		rc = agent_new(&p->conf, &p->host, &p->agent, err);
	if (rc == 0)
		rc = connect_local(p, err);
	if (rc != 0) {
		stop(p);
		return rc;
	}
	*ret = p;
	return 0;
}

const struct part_type part_agent = {
	.name = SERVICE,
	.help = "Does on the device what commands ask for: software, "
		"configuration, logs, restart.",
	.start = start,
	.stop = stop,
};
