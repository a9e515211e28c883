/*
 * plug/gateway/gateway.c - see gateway.h for the promises. Here is a gateway's
 * life and its link; hear.c has the way up, queue.c the way down.
 *
 *             start                link up
 *    STOPPED --------> STARTING ------------> UP
 *                        |   ^                 |
 *              link down |   | `reconnect`     | link down
 *                        v   |                 |
 *                        DOWN <----------------+
 *
 * Any state goes to STOPPED on gateway_stop(). What holds in each:
 *
 *    STOPPED   the link is stopped, no timer
 *    STARTING  the link makes its one attempt, `reconnect` bounds it
 *    UP        jobs are sent; `wait_ms` is the first again
 *    DOWN      the link is stopped, `reconnect` runs
 *
 * Callbacks of the owner are made as the last thing, or `gone` tells whether
 * they have closed the gateway.
 */
#include "plug/gateway/gateway.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/duration.h"
#include "codec/entity_json.h"
#include "net/http/client.h"
#include "plug/gateway/private.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_MODULE "gateway"
#define RECONNECT_MS 15000 /* when nobody says */
#define RECONNECT_MIN_MS 1000
#define RECONNECT_GROWS 16
#define FRAME_SHOWN 200

/* Every provider there is. */
#define PROVIDERS(X)                                                           \
	X(chirpstack)                                                          \
	X(generic_http) X(generic_mqtt) X(marram_edge) X(mysensors) X(tasmota)

#define PROVIDER_OPS(name) &gateway_##name,

static const struct gateway_ops *const providers[] = {
	PROVIDERS(PROVIDER_OPS) NULL,
};

static const struct gateway_link_ops *const links[] = { &gateway_link_serial,
	&gateway_link_tcp, &gateway_link_mqtt };

/* --- sentences ------------------------------------------------------------ */

void
gateway_secret(struct gateway *g, struct str secret)
{
	secrets_add(&g->secrets, secret);
}

int
gateway_scrub(const struct gateway *g, struct err *err)
{
	struct err clean = { .code = err->code };

	secrets_scrub(&g->secrets, err->text, clean.text, sizeof(clean.text));
	*err = clean;
	return err->code;
}

static void
set_state(struct gateway *g, enum gateway_status status, const char *text)
{
	char clean[sizeof(g->state.text)];

	secrets_scrub(&g->secrets, text, clean, sizeof(clean));
	if (g->state.status == status && strcmp(g->state.text, clean) == 0)
		return;
	g->state.status = status;
	g->state.since = clock_now();
	memcpy(g->state.text, clean, sizeof(clean));
	if (g->host->changed != NULL)
		loop_defer(g->host->loop, &g->tell);
}

static void
on_tell(struct loop_defer *d)
{
	struct gateway *g = container_of(d, struct gateway, tell);

	g->host->changed(g->host->ctx, g);
}

/* --- the link ------------------------------------------------------------- */

static void
begin(struct gateway *g)
{
	g->n_stages = 0;
	set_state(g, GATEWAY_STARTING, "connecting");
	loop_after(g->host->loop, &g->reconnect, g->host->settings->connect_ms);
	if (g->link != NULL)
		g->link->ops->start(g->link);
	else if (g->ops->start != NULL)
		g->ops->start(g->own);
	else
		gateway_link_up(g);
}

static void
on_reconnect(struct loop_timer *t)
{
	struct gateway *g = container_of(t, struct gateway, reconnect);

	if (g->state.status == GATEWAY_STARTING)
		gateway_link_down(g, "no answer (hub.gateway.connectTimeout)");
	else
		begin(g);
}

/* Ends what the link has of us. Jobs first: what was being sent waits again,
 * it has not failed. */
static void
end_link(struct gateway *g, enum gateway_status next, const char *why)
{
	bool was_up = g->state.status == GATEWAY_UP && !g->trial;

	set_state(g, next, why);
	gateway_queue_down(g);
	LIST_EACH (p, &g->puts, struct gateway_put, link) {
		void (*done)(void *ctx, bool ok) = p->done;

		p->done = NULL;
		if (done != NULL)
			done(p->ctx, false);
	}
	if (was_up && g->ops->down != NULL)
		g->ops->down(g->own);
	if (g->link != NULL)
		g->link->ops->stop(g->link);
	else if (g->ops->stop != NULL)
		g->ops->stop(g->own);
}

void
gateway_link_up(struct gateway *g)
{
	if (g->state.status != GATEWAY_STARTING)
		return;
	loop_cancel(g->host->loop, &g->reconnect);
	g->wait_ms = g->reconnect_ms;
	gateway_stages_end(g, NULL);
	set_state(g, GATEWAY_UP, "connected");
	if (g->trial) {
		gateway_trial_up(g);
		return;
	}
	if (g->ops->up != NULL)
		g->ops->up(g->own);
	gateway_queue_up(g);
}

void
gateway_link_down(struct gateway *g, const char *why)
{
	char text[240];

	if (g->state.status != GATEWAY_STARTING &&
	    g->state.status != GATEWAY_UP)
		return;
	snprintf(text, sizeof(text), "%s", why); /* may be the link's own */
	if (g->trial || g->state.status == GATEWAY_STARTING)
		gateway_stages_end(g, text);
	end_link(g, GATEWAY_DOWN, text);
	if (g->trial)
		return;
	loop_after(g->host->loop, &g->reconnect, g->wait_ms);
	g->wait_ms = MIN_OF(g->wait_ms * 2, g->reconnect_ms * RECONNECT_GROWS);
}

void
gateway_start(struct gateway *g)
{
	if (g->state.status != GATEWAY_STOPPED)
		return;
	g->wait_ms = g->reconnect_ms;
	begin(g);
}

void
gateway_stop(struct gateway *g)
{
	if (g->state.status == GATEWAY_STOPPED)
		return;
	loop_cancel(g->host->loop, &g->reconnect);
	end_link(g, GATEWAY_STOPPED, "stopped by request");
}

/* --- bytes to the link ---------------------------------------------------- */

static void
free_put(struct gateway_put *p)
{
	list_del(&p->link);
	free(p);
}

void
gateway_link_sent(struct gateway_put *p, bool ok)
{
	void (*done)(void *ctx, bool ok) = p->done;
	void *ctx = p->ctx;

	if (ok)
		p->g->state.last_sent = clock_now();
	free_put(p);
	if (done != NULL)
		done(ctx, ok);
}

int
gateway_put(struct gateway *g, struct str topic, struct str data,
    void (*done)(void *ctx, bool ok), void *ctx, struct err *err)
{
	struct gateway_put *p;
	int rc;

	if (g->link == NULL)
		return err_set(err, ERR_INTERNAL, "this gateway has no link");
	if (g->state.status != GATEWAY_UP)
		return err_set(err, ERR_CLOSED, "not connected");
	p = mem_new(struct gateway_put);
	p->g = g;
	p->done = done;
	p->ctx = ctx;
	list_init(&p->own);
	list_add(&g->puts, &p->link);
	rc = g->link->ops->put(g->link, topic, data, p, err);
	if (rc != 0)
		free_put(p);
	else
		gateway_log_put(g->log, true, topic, data);
	return rc;
}

int
gateway_listen(struct gateway *g, struct str filter, struct err *err)
{
	if (g->link == NULL || g->link->ops->listen == NULL)
		return err_set(
		    err, ERR_PARAM, "only what has topics can be listened to");
	return g->link->ops->listen(g->link, filter, err);
}

struct str
gateway_filters(const struct gateway *g)
{
	return str_of(g->ops->subscribe);
}

uint8_t
gateway_qos(const struct gateway *g)
{
	return g->ops->qos;
}

void
gateway_claimed(struct gateway *g, struct str node)
{
	if (g->ops->claimed != NULL && g->state.status == GATEWAY_UP)
		g->ops->claimed(g->own, node);
}

/* --- what a provider asks ------------------------------------------------- */

const struct gateway_host *
gateway_host_of(const struct gateway *g)
{
	return g->host;
}

const char *
gateway_name(const struct gateway *g)
{
	return g->name;
}

unsigned
gateway_protocol(const struct gateway *g)
{
	return g->protocol;
}

struct str
gateway_protocol_json(const struct gateway *g)
{
	return g->protocol_json;
}

bool
gateway_is_up(const struct gateway *g)
{
	return g->state.status == GATEWAY_UP;
}

int
gateway_check_host(const struct gateway *g, struct str host, struct err *err)
{
	struct str list = g->host->settings->allow_hosts;

	if (str_trim(list).len == 0 || http_host_in(list, host))
		return 0;
	return err_set(err, ERR_DENIED,
	    "the host " STR_FMT " is not among hub.gateway.allowHosts",
	    (int)MIN_OF(host.len, 100), host.ptr);
}

void
gateway_bad(struct gateway *g, const char *why)
{
	char clean[FRAME_SHOWN];

	g->state.bad++;
	secrets_scrub(&g->secrets, why, clean, sizeof(clean));
	log_debug("%s: passed over: %s", g->name, clean);
}

void
gateway_remark(struct gateway *g, const char *text)
{
	int64_t since = g->state.since;

	if (g->state.status != GATEWAY_UP)
		return;
	set_state(g, GATEWAY_UP, text != NULL ? text : "connected");
	g->state.since = since;
}

int
gateway_duration(
    struct str text, const char *name, int64_t *ret, struct err *err)
{
	int64_t ms;

	if (!duration_parse_ms(text, &ms) || ms < 0 || ms > 86400000)
		return err_set(err, ERR_PARAM,
		    "%s: a duration like 15s or 20ms is needed", name);
	*ret = ms;
	return 0;
}

/* --- open and close ------------------------------------------------------- */

/* What every provider's object has. */
struct head {
	struct str type, protocol;
};
#define H struct head
static const struct field head_fields[] = {
	F_TEXT(H, type, "type"),
	F_JSON(H, protocol, "protocol", .flags = FIELD_NULL | FIELD_OBJECT,
	    .one_of_fn = gateway_all_protocols, .spec = gateway_protocol_spec,
	    .help = "Over what, with its `type`."),
	{ 0 },
};
#undef H
const struct record gateway_head_record = { "provider", sizeof(struct head),
	head_fields };

/* And every protocol's. */
struct kind {
	struct str type;
};
static const struct field kind_fields[] = {
	F_TEXT(struct kind, type, "type"),
	{ 0 },
};
static const struct record kind_record = { "protocol", sizeof(struct kind),
	kind_fields };

static const struct {
	const char *name;
	unsigned bit;
} protocols[] = {
	{ "serial", GATEWAY_SERIAL },
	{ "ethernet", GATEWAY_TCP },
	{ "tcp", GATEWAY_TCP }, /* the same by another name */
	{ "mqtt", GATEWAY_MQTT },
	{ "http", GATEWAY_HTTP },
};

static const struct gateway_link_ops *
link_of(unsigned protocol)
{
	for (size_t i = 0; i < COUNT_OF(links); i++)
		if (links[i]->protocol == protocol)
			return links[i];
	return NULL;
}

/* 0: no such. */
static unsigned
protocol_of(struct str name)
{
	for (size_t i = 0; i < COUNT_OF(protocols); i++)
		if (str_eq_nocase(name, str_of(protocols[i].name)))
			return protocols[i].bit;
	return 0;
}

/* Which protocol: the one that is named, or the only one. */
static int
choose_protocol(struct gateway *g, struct str json, struct err *err)
{
	struct kind k;
	unsigned all = g->ops->protocols;
	struct buf names = { 0 };

	if (json.ptr == NULL)
		json = STR("{}");
	g->protocol_json = json;
	if (record_read(&kind_record, &g->arena, json, &k, err) != 0)
		return err_wrap(err, "protocol");
	g->protocol = protocol_of(k.type) & all;
	if (k.type.len == 0 && (all & (all - 1)) == 0)
		g->protocol = all;
	if (g->protocol != 0)
		return 0;
	for (size_t i = 0; i < COUNT_OF(protocols); i++)
		if (protocols[i].bit & all)
			buf_addf(&names, "%s%s", names.len > 0 ? ", " : "",
			    protocols[i].name);
	err_set(
	    err, ERR_PARAM, "protocol: type: must be one of %s", buf_z(&names));
	buf_free(&names);
	return ERR_PARAM;
}

static int
open_link(struct gateway *g, struct err *err)
{
	const struct gateway_link_ops *ops = link_of(g->protocol);
	void *row;
	int rc;

	if (ops == NULL)
		return 0;
	row = arena_alloc(&g->arena, ops->spec->size);
	rc = record_read(ops->spec, &g->arena, g->protocol_json, row, err);
	if (rc == 0)
		rc = ops->open(g, row, &g->link, err);
	if (rc != 0)
		return err_wrap(err, "protocol");
	g->link->ops = ops;
	g->link->g = g;
	return 0;
}

static int
open_parts(struct gateway *g, const struct gateway_conf *conf, struct err *err)
{
	struct str json = arena_str(
	    &g->arena, conf->provider.ptr != NULL ? conf->provider : STR("{}"));
	struct head head;
	void *row = NULL;
	int rc;

	rc = record_read(&gateway_head_record, &g->arena, json, &head, err);
	if (rc == 0)
		rc = choose_protocol(g, head.protocol, err);
	if (rc == 0 && g->ops->spec != NULL) {
		row = arena_alloc(&g->arena, g->ops->spec->size);
		rc = record_read(g->ops->spec, &g->arena, json, row, err);
	}
	if (rc == 0)
		rc = open_link(g, err);
	if (rc == 0)
		rc = gateway_log_open(conf, g->host, &g->secrets, &g->log, err);
	if (rc == 0 && g->ops->open != NULL)
		rc = g->ops->open(g, row, &g->own, err);
	return rc;
}

static void
free_it(struct gateway *g)
{
	if (g->link != NULL)
		g->link->ops->close(g->link);
	LIST_EACH (p, &g->puts, struct gateway_put, link)
		free_put(p);
	gateway_log_close(g->log);
	loop_undefer(g->host->loop, &g->tell);
	secrets_fini(&g->secrets);
	arena_fini(&g->arena);
	free(g);
}

int
gateway_open_ops(const struct gateway_ops *ops, const struct gateway_conf *conf,
    const struct gateway_host *host, struct gateway **ret, struct err *err)
{
	struct err ignored, *why = err != NULL ? err : &ignored;
	struct gateway *g = mem_new(struct gateway);
	int rc;

	g->ops = ops;
	g->host = host;
	g->name = arena_z(&g->arena, str_of(conf->name));
	g->queue_failed = conf->queue_failed;
	g->trial = conf->trial;
	if (conf->echo != NULL)
		g->echo = arena_z(&g->arena, str_of(conf->echo));
	g->reconnect_ms =
	    MAX_OF(conf->reconnect_ms > 0 ? conf->reconnect_ms : RECONNECT_MS,
		RECONNECT_MIN_MS);
	g->reconnect.fire = on_reconnect;
	g->tell.run = on_tell;
	list_init(&g->puts);
	g->state.text[0] = '\0';
	g->state.since = clock_now();
	g->state.last_heard = g->state.last_sent = TIME_NULL;
	gateway_hear_init(g);
	gateway_queue_init(g);
	rc = open_parts(g, conf, why);
	if (rc != 0) {
		err_wrap(why, "%s gateway", ops->name);
		gateway_scrub(g, why);
		free_it(g);
		return rc;
	}
	*ret = g;
	return 0;
}

static const struct gateway_ops *
find(const char *type)
{
	for (const struct gateway_ops *const *o = providers; *o != NULL; o++)
		if (str_eq_nocase(str_of(type), str_of((*o)->name)))
			return *o;
	return NULL;
}

/* MyController's `generic` names its protocol behind it. */
static const struct gateway_ops *
find_of(struct str type, struct str protocol, struct arena *a)
{
	struct kind k;

	if (!str_eq_nocase(type, STR("generic")))
		return find(arena_z(a, type));
	if (protocol.ptr == NULL ||
	    record_read(&kind_record, a, protocol, &k, NULL) != 0)
		return NULL;
	return find(
	    arena_z(a, arena_printf(a, "generic_" STR_FMT, STR_ARG(k.type))));
}

int
gateway_open(const struct gateway_conf *conf, const struct gateway_host *host,
    struct gateway **ret, struct err *err)
{
	const struct gateway_ops *ops;
	struct arena a = { 0 };
	struct head head;
	int rc;

	rc = record_read(&gateway_head_record, &a,
	    conf->provider.ptr != NULL ? conf->provider : STR("{}"), &head,
	    err);
	if (rc == 0) {
		ops = find_of(head.type, head.protocol, &a);
		rc = ops != NULL
		    ? gateway_open_ops(ops, conf, host, ret, err)
		    : err_set(err, ERR_PARAM,
			  "type: there is no provider " STR_FMT,
			  (int)MIN_OF(head.type.len, 60), head.type.ptr);
	} else {
		err_wrap(err, "provider");
	}
	arena_fini(&a);
	return rc;
}

void
gateway_close(struct gateway *g)
{
	if (g == NULL || g->closing)
		return;
	g->closing = true;
	gateway_stop(g);
	gateway_queue_fini(g);
	if (g->ops->close != NULL)
		g->ops->close(g->own);
	gateway_hear_fini(g);
	if (g->gone != NULL)
		*g->gone = true;
	free_it(g);
}

/* --- what there is -------------------------------------------------------- */

/* Lists of names, by provider and by set of protocols; any thread may ask. */
static const char *provider_names[COUNT_OF(providers)];
static const char *protocol_names[1 << 4][COUNT_OF(protocols) + 1];
static pthread_once_t names_once = PTHREAD_ONCE_INIT;

static void
make_names(void)
{
	for (size_t i = 0; providers[i] != NULL; i++)
		provider_names[i] = providers[i]->name;
	for (unsigned set = 0; set < COUNT_OF(protocol_names); set++) {
		size_t n = 0;

		for (size_t i = 0; i < COUNT_OF(protocols); i++)
			if (protocols[i].bit & set)
				protocol_names[set][n++] = protocols[i].name;
	}
}

const char *const *
gateway_providers(void)
{
	(void)pthread_once(&names_once, make_names);
	return provider_names;
}

const char *const *
gateway_protocols(const char *provider)
{
	const struct gateway_ops *ops = find(provider);

	(void)pthread_once(&names_once, make_names);
	return protocol_names[ops != NULL ? ops->protocols & 15 : 0];
}

const char *const *
gateway_all_protocols(void)
{
	(void)pthread_once(&names_once, make_names);
	return protocol_names[COUNT_OF(protocol_names) - 1];
}

const struct record *
gateway_provider_spec(const char *type)
{
	return find(type) != NULL ? find(type)->spec : NULL;
}

const struct record *
gateway_protocol_spec(const char *type)
{
	unsigned protocol = protocol_of(str_of(type));
	const struct gateway_link_ops *ops = link_of(protocol);

	if (protocol == GATEWAY_HTTP)
		return &gateway_http_record;
	return ops != NULL ? ops->spec : NULL;
}

void
gateway_state(const struct gateway *g, struct gateway_state *ret)
{
	*ret = g->state;
}

bool
gateway_has_payload(const struct gateway *g)
{
	return g->ops->has_payload;
}

bool
gateway_has_operations(const struct gateway *g)
{
	return g->ops->has_operations;
}

const char *const *
gateway_actions(const struct gateway *g)
{
	static const char *const none[] = { NULL };

	return g->ops->actions != NULL ? g->ops->actions : none;
}

int
gateway_act(
    struct gateway *g, struct str node, struct str action, struct err *err)
{
	struct err ignored, *why = err != NULL ? err : &ignored;
	const char *const *a = gateway_actions(g);

	while (*a != NULL && !str_eqz(action, *a))
		a++;
	if (*a == NULL || g->ops->act == NULL)
		return err_set(why, ERR_NOT_FOUND,
		    "%s gateways have no action " STR_FMT, g->ops->name,
		    (int)MIN_OF(action.len, 60), action.ptr);
	if (g->ops->act(g->own, node, action, why) == 0)
		return 0;
	return gateway_scrub(g, why);
}
