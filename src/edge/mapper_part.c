/*
 * edge/mapper_part.c - a mapper as a part: its session on the local broker, its
 * clock, the programs it runs, and the bridge to its cloud.
 *
 * A message of QoS 1 is acknowledged to the broker when the broker has taken
 * all that the mapper made of it: then it lies in the queue of the bridge. What
 * is killed in between is converted again.
 */
#include "edge/mapper_part.h"

#include "base/base.h"
#include "base/child.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "edge/bridge.h"
#include "edge/c8y_proxy.h"
#include "edge/expose.h"
#include "edge/fetch.h"
#include "edge/mapper.h"
#include "edge/mapper_http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#define LOG_MODULE "mapper"
#define WAITING_MAX 100000 /* made and not yet taken by the broker */
#define SEEN_TO_CHANGE                                                         \
	(IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE)

struct mapper_part {
	struct edge *edge;
	const struct mapper_ops *ops;
	void *mapper;
	char *name; /* of the service */
	char *profile;
	struct cloud cloud;
	struct mapper_host host;
	struct mqtt_client *client;
	struct health health;
	struct expose exposed; /* the settings of its cloud */
	struct bridge *bridge;
	struct c8y_proxy *proxy; /* of Cumulocity alone */
	bool has_cloud, told_up;
	struct loop_timer timer;
	struct loop_io files;     /* inotify */
	struct mapper_http *http; /* NULL: nothing was asked for yet */
	struct arena arena;       /* of one message */

	struct relay *now; /* the message that is being converted */
	const struct mapper_msg *heard; /* it itself; NULL: none is */
	struct list relays, runs;
};

/* A message that is not acknowledged yet. */
struct relay {
	struct mapper_part *part;
	uint64_t token;
	unsigned left; /* of what came of it, not taken yet; and the mapper */
	struct list link;
};

struct run {
	struct mapper_part *part;
	struct child *child;
	uint64_t tag;
	struct loop_post post; /* when it could not be started */
	struct err err;
	struct list link;
};

/* --- messages ------------------------------------------------------------ */

static void
settle(struct relay *r)
{
	if (--r->left > 0)
		return;
	mqtt_client_ack(r->part->client, r->token, MQTT_R_OK);
	list_del(&r->link);
	free(r);
}

static void
on_taken(void *ctx, uint8_t reason)
{
	struct relay *r = ctx;

	if (reason >= 0x80)
		log_warn("%s: the broker has refused a message: %s",
		    r->part->name, mqtt_reason_text(reason));
	settle(r);
}

static void
host_publish(void *owner, const struct mapper_msg *m)
{
	struct mapper_part *p = owner;
	const struct mqtt_client_msg msg = { .topic = m->topic,
		.payload = m->payload,
		.qos = m->qos,
		.retain = m->retain };
	struct relay *r = m->qos > 0 ? p->now : NULL;
	int rc;

	if (r != NULL)
		r->left++;
	rc = mqtt_client_send(p->client, &msg, r != NULL ? on_taken : NULL, r);
	if (rc == 0)
		return;
	if (r != NULL)
		r->left--;
	log_error("%s: a message to \"" STR_FMT "\" is lost: %s", p->name,
	    STR_ARG(m->topic),
	    rc == ERR_LIMIT ? "the broker does not take them as fast as they "
			      "are made"
			    : "no message that MQTT can carry");
}

static void
host_error(void *owner, struct str topic, struct str text, bool own)
{
	struct mapper_part *p = owner;
	struct str errors = STR("tedge/errors");

	if (!own && p->heard != NULL && str_eq(p->heard->topic, topic) &&
	    !edge_tells(p->edge, p->name, topic, p->heard->payload))
		return;
	if (!str_starts(topic, STR("tedge/")))
		errors = arena_printf(
		    &p->arena, STR_FMT "/errors", STR_ARG(edge_root(p->edge)));
	log_warn("%s: " STR_FMT ": " STR_FMT, p->name, STR_ARG(topic),
	    STR_ARG(text));
	host_publish(p,
	    &(struct mapper_msg){ .topic = errors, .payload = text, .qos = 1 });
}

static bool
is_copy(const struct mqtt_client_msg *m)
{
	struct str rest, name, value;

	if (m->props == NULL)
		return false;
	for (rest = m->props->raw; mqtt_next_user(&rest, &name, &value);)
		if (str_eqz(name, MAPPER_ORIGIN))
			return true;
	return false;
}

static void
on_message(void *ctx, const struct mqtt_client_msg *m)
{
	struct mapper_part *p = ctx;
	struct mapper_msg msg = { m->topic, m->payload, m->qos, m->retain,
		is_copy(m) };
	struct relay *r = NULL;
	uint64_t token;

	if (m->topic.ptr == NULL) {
		log_error("%s: the broker has refused a subscription: %s",
		    p->name, mqtt_reason_text(m->reason));
		return;
	}
	token = mqtt_client_hold(p->client);
	if (token != 0) {
		r = mem_new(struct relay);
		*r = (struct relay){ p, token, 1, { NULL, NULL } };
		list_add(&p->relays, &r->link);
	}
	p->now = r;
	p->heard = &msg;
	p->ops->message(p->mapper, &msg, &p->arena);
	p->heard = NULL;
	p->now = NULL;
	arena_clear(&p->arena);
	if (r != NULL)
		settle(r);
}

static void
on_subscribed(void *owner)
{
	struct mapper_part *p = owner;

	health_tell(&p->health, "up");
	if (p->exposed.loop != NULL)
		expose_tell(&p->exposed);
	if (p->told_up)
		return;
	p->told_up = true;
	p->ops->up(p->mapper);
}

static void
on_down(void *owner, const struct err *why)
{
	const struct mapper_part *p = owner;

	log_warn("%s: the local broker is away: %s; it is tried again", p->name,
	    why->text);
}

static const struct mqtt_client_events events = { .down = on_down,
	.subscribed = on_subscribed };

/* --- time ---------------------------------------------------------------- */

static int64_t
host_now(void *owner)
{
	struct timespec t;

	(void)owner;
	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int32_t
host_offset(void *owner)
{
	time_t now = time(NULL);
	struct tm tm;

	(void)owner;
	localtime_r(&now, &tm);
	return (int32_t)tm.tm_gmtoff;
}

static int64_t
host_mono(void *owner)
{
	(void)owner;
	return clock_mono();
}

static void
host_after(void *owner, int64_t ms)
{
	struct mapper_part *p = owner;

	loop_after(edge_loop(p->edge), &p->timer, ms);
}

static void
on_timer(struct loop_timer *t)
{
	struct mapper_part *p = container_of(t, struct mapper_part, timer);

	p->ops->timer(p->mapper);
	arena_clear(&p->arena);
}

/* --- programs and files -------------------------------------------------- */

static void
on_ran(void *ctx, const struct child_end *end)
{
	struct run *r = ctx;
	struct mapper_part *p = r->part;

	list_del(&r->link);
	p->ops->ran(p->mapper, r->tag, end);
	arena_clear(&p->arena);
	free(r);
}

/* A program that could not be started has ended, too, but not within the call.
 */
static void
on_stillborn(struct loop_post *post)
{
	struct run *r = container_of(post, struct run, post);
	const struct child_end end = {
		.status = 127, .out = STR(""), .err = str_of(r->err.text)
	};

	on_ran(r, &end);
}

static void
host_run(void *owner, uint64_t tag, const struct mapper_run *run)
{
	struct mapper_part *p = owner;
	const struct child_conf conf = { .argv = run->argv,
		.env = run->env,
		.timeout_ms = run->timeout_ms };
	struct run *r = mem_new(struct run);

	*r = (struct run){ .part = p, .tag = tag, .post.run = on_stillborn };
	list_add(&p->runs, &r->link);
	if (child_start(
		edge_loop(p->edge), &conf, on_ran, r, &r->child, &r->err) != 0)
		loop_post(edge_loop(p->edge), &r->post);
}

static void
on_files(struct loop_io *io, unsigned what)
{
	struct mapper_part *p = container_of(io, struct mapper_part, files);
	char events_[4096];

	(void)what;
	while (read(io->fd, events_, sizeof(events_)) > 0)
		;
	p->ops->changed(p->mapper);
	arena_clear(&p->arena);
}

/* A folder that is not there yet is seen to come by the one above it. */
static void
host_watch(void *owner, const char *folder)
{
	struct mapper_part *p = owner;
	char *path = str_dupz(str_of(folder)), *slash;

	if (p->files.fd < 0) {
		p->files.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
		p->files.ready = on_files;
		if (p->files.fd >= 0)
			loop_watch(edge_loop(p->edge), &p->files, LOOP_READ);
	}
	while (p->files.fd >= 0 &&
	    inotify_add_watch(p->files.fd, path, SEEN_TO_CHANGE) < 0 &&
	    errno == ENOENT && (slash = strrchr(path, '/')) != NULL &&
	    slash != path)
		*slash = '\0';
	free(path);
}

/* --- HTTP ---------------------------------------------------------------- */

static void
on_answer(void *ctx, uint64_t tag, int status, struct str body)
{
	struct mapper_part *p = ctx;

	p->ops->http(p->mapper, tag, status, body);
	arena_clear(&p->arena);
}

static struct mapper_http *
http_of(struct mapper_part *p)
{
	struct fetch_conf conf = { 0 };

	if (p->http != NULL)
		return p->http;
	if (p->has_cloud)
		fetch_conf_local(&p->cloud, &conf);
	p->http = mapper_http_new(edge_loop(p->edge),
	    config_text(edge_config(p->edge), "tmp.path"), &conf, on_answer, p);
	return p->http;
}

static void
host_http(void *owner, uint64_t tag, const char *method, struct str url,
    struct str type, struct str body)
{
	mapper_http_ask(http_of(owner), tag, method, url, type, body);
}

static void
host_carry(
    void *owner, uint64_t tag, struct str from, struct str to, struct str type)
{
	mapper_http_carry(http_of(owner), tag, from, to, type);
}

/* --- start and stop ------------------------------------------------------ */

static void
subscribe(void *ctx, struct str filter)
{
	struct mapper_part *p = ctx;
	const struct mqtt_filter f = {
		.filter = filter, .qos = 1, .retain_as_published = true
	};

	if (mqtt_client_subscribe_with(p->client, &f, on_message, p) != 0)
		log_error("%s: \"" STR_FMT "\" is no filter to subscribe to",
		    p->name, STR_ARG(filter));
}

static int
connect_local(struct mapper_part *p, struct err *err)
{
	struct mqtt_client_conf conf;
	int rc;

	edge_local(p->edge, &conf);
	conf.client_id = p->name;
	conf.keep_session = true;
	conf.max_waiting = WAITING_MAX;
	health_will(p->edge, p->name, &conf);
	rc = mqtt_client_new(
	    edge_loop(p->edge), &conf, &events, p, &p->client, err);
	if (rc != 0)
		return rc;
	health_init(&p->health, p->edge, p->client, p->name);
	if (p->has_cloud)
		expose_config(
		    &p->exposed, p->edge, p->client, p->name, &p->cloud);
	p->ops->filters(p->mapper, subscribe, p);
	if (p->ops == &mapper_c8y)
		p->proxy = c8y_proxy_new(
		    edge_loop(p->edge), &p->cloud, p->client, p->name);
	mqtt_client_start(p->client);
	return 0;
}

static void
on_bridge_error(void *owner, struct str text)
{
	host_error(
	    owner, edge_root(((struct mapper_part *)owner)->edge), text, true);
}

static const struct bridge_events bridge_events = { .error = on_bridge_error };

static int
open_mapper(struct mapper_part *p, struct err *err)
{
	const struct mapper_conf conf = {
		.cloud = p->cloud,
		.device_id = p->has_cloud ? cloud_text(&p->cloud, "device.id")
					  : edge_device_id(p->edge),
		.root = edge_root(p->edge),
		.main_entity = edge_device_topic(p->edge),
	};

	if (p->has_cloud && conf.device_id.len == 0)
		return err_set(err, ERR_PARAM,
		    "device.id is not set: make a certificate with `tedge cert "
		    "create --device-id ID`, or set it");
	return p->ops->open(&conf, &p->host, &p->mapper, err);
}

static void
stop(void *part)
{
	struct mapper_part *p = part;

	bridge_stop(p->bridge);
	mapper_http_free(p->http);
	c8y_proxy_free(p->proxy);
	if (p->client != NULL)
		health_tell(&p->health, "down");
	mqtt_client_free(p->client);
	if (p->exposed.loop != NULL)
		expose_fini(&p->exposed);
	LIST_EACH (r, &p->runs, struct run, link) {
		loop_unpost(edge_loop(p->edge), &r->post);
		child_free(r->child);
		free(r);
	}
	LIST_EACH (r, &p->relays, struct relay, link)
		free(r);
	loop_cancel(edge_loop(p->edge), &p->timer);
	if (p->files.fd >= 0) {
		loop_unwatch(edge_loop(p->edge), &p->files);
		close(p->files.fd);
	}
	if (p->mapper != NULL)
		p->ops->close(p->mapper);
	arena_fini(&p->arena);
	free(p->name);
	free(p->profile);
	free(p);
}

/* That of a user's mapper is in this process always. */
static bool
has_bridge(const struct mapper_part *p)
{
	if (p->ops == &mapper_custom)
		return mapper_custom_has_bridge(p->mapper);
	return p->has_cloud &&
	    config_bool(p->cloud.config, "mqtt.bridge.built_in");
}

static int
start(const struct part_type *type, const struct mapper_ops *ops,
    struct edge *e, struct str profile, void **ret, struct err *err)
{
	struct mapper_part *p = mem_new(struct mapper_part);
	int rc;

	p->edge = e;
	p->ops = ops;
	p->has_cloud = type->cloud != NULL;
	p->profile = str_dupz(profile);
	p->name = mem_printf("%s%s%s", type->name,
	    profile.len > 0 && !type->by_name ? "@" : "",
	    profile.len > 0 ? p->profile : "");
	p->cloud = type->by_name
	    ? (struct cloud){ edge_config(e), p->profile, STR_NULL }
	    : (struct cloud){ edge_config(e), ops->name, str_of(p->profile) };
	p->host = (struct mapper_host){ .owner = p,
		.publish = host_publish,
		.error = host_error,
		.now_ns = host_now,
		.offset_s = host_offset,
		.after = host_after,
		.http = host_http,
		.mono_ms = host_mono,
		.carry = host_carry,
		.run = host_run,
		.watch = host_watch };
	p->timer.fire = on_timer;
	p->files.fd = -1;
	list_init(&p->relays);
	list_init(&p->runs);
	rc = open_mapper(p, err);
	if (rc == 0 && has_bridge(p))
		rc = bridge_start(
		    e, &p->cloud, &bridge_events, p, &p->bridge, err);
	if (rc == 0)
		rc = connect_local(p, err);
	if (rc != 0)
		stop(p);
	else
		*ret = p;
	return rc;
}

#define MAPPER_PART(which, cloud_name, text)                                   \
	static int start_##which(                                              \
	    struct edge *e, struct str profile, void **ret, struct err *err)   \
	{                                                                      \
		return start(&mapper_part_##which, &mapper_##which, e,         \
		    profile, ret, err);                                        \
	}                                                                      \
	const struct part_type mapper_part_##which = {                         \
		.name = "tedge-mapper-" #which,                                \
		.cloud = cloud_name,                                           \
		.help = text,                                                  \
		.start = start_##which,                                        \
		.stop = stop,                                                  \
	}

MAPPER_PART(c8y, "c8y", "to and from Cumulocity");
MAPPER_PART(az, "az", "to and from Azure IoT Hub");
MAPPER_PART(aws, "aws", "to and from AWS IoT");
MAPPER_PART(collectd, NULL, "from collectd, measurements of the machine");
MAPPER_PART(marram, "marram", "to and from a Marram platform");

static int
start_custom(struct edge *e, struct str name, void **ret, struct err *err)
{
	return start(&mapper_part_custom, &mapper_custom, e, name, ret, err);
}

const struct part_type mapper_part_custom = {
	.name = "tedge-mapper-",
	.by_name = true,
	.help = "as its folder mappers/NAME says",
	.start = start_custom,
	.stop = stop,
};
