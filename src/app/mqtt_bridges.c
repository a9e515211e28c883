/*
 * app/mqtt_bridges.c - see mqtt_bridges.h.
 *
 * On its local side a bridge comes over a socket pair, as an account inside the
 * program that no other client can be: so it needs neither port nor password.
 */
#include "app/mqtt_bridges.h"

#include "app/mqtt_listeners.h"

#include "base/arena.h"
#include "base/base.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/mqtt/bridge.h"
#include "net/tls.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LOG_MODULE "mqtt"

#define PORT_CLEAR 1883
#define PORT_TLS 8883

#define ACCOUNT_MAX 24

struct one {
	struct mqtt_bridges *all;
	char key[16]; /* "mqtt.bridge1" */
	char account[ACCOUNT_MAX];
	const struct mqtt_bridge_rows *rows;
	const char *host;
	uint16_t port;
	bool tls;
	struct tls_client *tls_client; /* NULL: in clear */
	struct mqtt_bridge_rule *rules;
	size_t n_rules;
	struct mqtt_bridge_refusals refusals[2]; /* by side */
	struct mqtt_bridge *bridge;              /* NULL: not started */
};

struct mqtt_bridges {
	const struct settings *set;
	const struct conf *conf;
	struct mqtt_server *mqtt;
	struct arena arena;
	struct one at[MQTT_BRIDGES];
	size_t n;
};

/* The account on the local side. */
static void
name_account(char ret[ACCOUNT_MAX], unsigned no)
{
	snprintf(ret, ACCOUNT_MAX, MQTT_INSIDE "bridge%u", no);
}

static int
wrong(const struct one *b, const char *row, const char *why, struct err *err)
{
	return err_set(err, ERR_PARAM, "%s.%s: %s", b->key, row, why);
}

/* --- where to ------------------------------------------------------------ */

/* HOST, HOST:PORT or [HOST]:PORT; what stands behind the scheme. */
static int
read_host(struct one *b, struct str text, struct err *err)
{
	struct str host, port = text;
	uint64_t n = b->tls ? PORT_TLS : PORT_CLEAR;

	if (text.len > 0 && text.ptr[0] == '[') {
		host = str_cut(&port, ']');
		host.ptr++;
		host.len--;
		if (port.ptr == NULL || (port.len > 0 && port.ptr[0] != ':'))
			return wrong(b, "address",
			    "behind \"[\" an IPv6 address and \"]\" must "
			    "follow, then perhaps \":\" and a port",
			    err);
		port = port.len > 0 ? (struct str){ port.ptr + 1, port.len - 1 }
				    : STR_NULL;
	} else {
		host = str_cut(&port, ':');
		if (port.ptr != NULL && memchr(port.ptr, ':', port.len) != NULL)
			return wrong(b, "address",
			    "an IPv6 address must be in brackets", err);
	}
	if (host.len == 0)
		return wrong(b, "address", "there is no host in it", err);
	if (port.ptr != NULL && (!str_to_u64(port, &n) || n < 1 || n > 65535))
		return wrong(b, "address",
		    "behind the colon a port of 1 to 65535 must follow", err);
	b->host = arena_z(&b->all->arena, host);
	b->port = (uint16_t)n;
	return 0;
}

static int
read_address(struct one *b, struct err *err)
{
	struct str text = b->rows->address;
	size_t path_max = sizeof(((struct sockaddr_un *)0)->sun_path);

	if (str_starts(text, STR("unix:"))) {
		if (text.len == 5 || text.len - 5 >= path_max)
			return wrong(b, "address",
			    "behind unix: a path must follow that is not too "
			    "long for a socket",
			    err);
		b->host = text.ptr;
		return 0;
	}
	b->tls = str_starts(text, STR("mqtts://"));
	if (b->tls || str_starts(text, STR("mqtt://"))) {
		(void)str_cut(&text, '/');
		text.ptr++;
		text.len--;
		if (str_ends(text, STR("/")))
			text.len--;
	}
	if (memchr(text.ptr, '@', text.len) != NULL)
		return wrong(b, "address",
		    "user name and password have settings of their own", err);
	if (memchr(text.ptr, '/', text.len) != NULL)
		return wrong(b, "address",
		    "it must be HOST:PORT, mqtt://HOST:PORT, mqtts://HOST:PORT "
		    "or unix:PATH",
		    err);
	return read_host(b, text, err);
}

/* --- rules --------------------------------------------------------------- */

static struct str
next_word(struct str *rest)
{
	struct str word;

	*rest = str_trim(*rest);
	word = *rest;
	for (size_t i = 0; i < rest->len; i++) {
		if (rest->ptr[i] != ' ' && rest->ptr[i] != '\t')
			continue;
		word.len = i;
		break;
	}
	rest->ptr += word.len;
	rest->len -= word.len;
	return word;
}

static const char *
text_of(struct one *b, struct str word)
{
	return arena_z(&b->all->arena, str_eqz(word, "\"\"") ? STR("") : word);
}

/* What is wrong with it; NULL: nothing. */
static const char *
read_rule(struct one *b, struct str text, struct mqtt_bridge_rule *r)
{
	struct str pattern = next_word(&text), direction = next_word(&text);
	struct str qos = next_word(&text), local = next_word(&text);
	struct str remote = next_word(&text);

	*r = (struct mqtt_bridge_rule){ .pattern = text_of(b, pattern),
		.direction = MQTT_BRIDGE_OUT,
		.local_prefix = text_of(b, local),
		.remote_prefix = text_of(b, remote) };
	if (str_eqz(direction, "in"))
		r->direction = MQTT_BRIDGE_IN;
	else if (str_eqz(direction, "both"))
		r->direction = MQTT_BRIDGE_BOTH;
	else if (direction.len > 0 && !str_eqz(direction, "out"))
		return "behind the pattern in, out or both must follow";
	if (qos.len > 1 || (qos.len == 1 && (*qos.ptr < '0' || *qos.ptr > '2')))
		return "behind the direction the QoS must follow: 0, 1 or 2";
	if (qos.len == 1)
		r->qos = (uint8_t)(*qos.ptr - '0');
	if (str_trim(text).len > 0)
		return "there is more behind the second prefix";
	return NULL;
}

static int
read_rules(struct one *b, struct err *err)
{
	struct str rest = b->rows->rules;
	size_t max = 1;

	for (size_t i = 0; i < rest.len; i++)
		max += rest.ptr[i] == ';';
	b->rules = arena_array(&b->all->arena, max, struct mqtt_bridge_rule);
	while (rest.ptr != NULL) {
		struct str rule = str_trim(str_cut(&rest, ';'));
		const char *why;

		if (rule.len == 0)
			continue;
		why = read_rule(b, rule, &b->rules[b->n_rules++]);
		if (why != NULL)
			return err_set(err, ERR_PARAM,
			    "%s.rules: \"" STR_FMT "\": %s", b->key,
			    STR_ARG(rule), why);
	}
	if (b->n_rules == 0)
		return wrong(
		    b, "rules", "they must say what is to be carried", err);
	return 0;
}

/* --- what goes together -------------------------------------------------- */

/* A row that is set although there is no address; NULL: none. */
static const char *
row_in_vain(const struct mqtt_bridges *all, const struct one *b)
{
	char key[64];

	for (const struct conf_field *f = mqtt_bridge_fields; f->key != NULL;
	     f++) {
		snprintf(key, sizeof(key), "%s.%s", b->key, f->key);
		if (f->def == NULL &&
		    conf_source_of(all->conf, key) != CONF_DEFAULT)
			return f->key;
	}
	return NULL;
}

static int
check(const struct one *b, struct err *err)
{
	const struct mqtt_bridge_rows *r = b->rows;
	const struct {
		bool is;
		const char *row, *why;
	} clashes[] = {
		{ !b->tls && r->ca_file.len > 0, "caFile",
		    "it is for TLS: write mqtts:// before the address" },
		{ !b->tls && r->cert_file.len > 0, "certFile",
		    "it is for TLS: write mqtts:// before the address" },
		{ !b->tls && r->insecure, "insecure",
		    "it is for TLS: write mqtts:// before the address" },
		{ r->cert_file.len > 0 && r->key_file.len == 0, "certFile",
		    "keyFile must be set, too" },
		{ r->cert_file.len == 0 && r->key_file.len > 0, "keyFile",
		    "certFile must be set, too" },
		{ r->username.len == 0 && r->password.len > 0, "password",
		    "username must be set, too" },
		{ r->notification_topic.len > 0 &&
			!mqtt_topic_ok(r->notification_topic),
		    "notificationTopic", "this is no topic" },
		{ r->notification_topic.len == 0 && r->notify_local_only,
		    "notifyLocalOnly", "notificationTopic must be set, too" },
		{ r->retry_max_ms < r->retry_min_ms, "retryMax",
		    "it is less than retryMin" },
	};

	for (size_t i = 0; i < COUNT_OF(clashes); i++)
		if (clashes[i].is)
			return wrong(b, clashes[i].row, clashes[i].why, err);
	return 0;
}

static int
read_files(struct one *b, struct err *err)
{
	const struct mqtt_bridge_rows *r = b->rows;
	const struct tls_client_conf conf = {
		.ca_file = r->ca_file.len > 0 ? r->ca_file.ptr : NULL,
		.cert_file = r->cert_file.len > 0 ? r->cert_file.ptr : NULL,
		.key_file = r->key_file.len > 0 ? r->key_file.ptr : NULL,
		.verify = !r->insecure,
	};

	if (b->tls && tls_client_new(&conf, &b->tls_client, err) != 0)
		return err_wrap(err, "%s", b->key);
	return 0;
}

static int
add(struct mqtt_bridges *all, unsigned no, struct err *err)
{
	struct one *b = &all->at[all->n];
	const char *vain;
	int rc;

	*b =
	    (struct one){ .all = all, .rows = &all->set->mqtt.bridges[no - 1] };
	snprintf(b->key, sizeof(b->key), "mqtt.bridge%u", no);
	name_account(b->account, no);
	if (b->rows->address.len == 0) {
		vain = row_in_vain(all, b);
		return vain == NULL
		    ? 0
		    : err_set(err, ERR_PARAM,
			  "%s.%s has no effect: address of this bridge is "
			  "not set",
			  b->key, vain);
	}
	all->n++;
	rc = read_address(b, err);
	if (rc == 0)
		rc = check(b, err);
	if (rc == 0)
		rc = read_rules(b, err);
	return rc == 0 ? read_files(b, err) : rc;
}

int
mqtt_bridges_new(const struct settings *set, const struct conf *conf,
    struct mqtt_bridges **ret, struct err *err)
{
	struct mqtt_bridges *all = mem_new(struct mqtt_bridges);
	int rc = 0;

	all->set = set;
	all->conf = conf;
	for (unsigned no = 1; rc == 0 && no <= MQTT_BRIDGES; no++)
		rc = add(all, no, err);
	if (rc != 0)
		mqtt_bridges_free(all);
	else
		*ret = all;
	return rc;
}

/* --- what is told -------------------------------------------------------- */

static const char *
side_of(enum mqtt_bridge_side side)
{
	return side == MQTT_BRIDGE_LOCAL ? "this server" : "the remote server";
}

static void
on_up(void *owner, enum mqtt_bridge_side side)
{
	const struct one *b = owner;

	log_info("%s: %s is connected", b->key, side_of(side));
}

static void
on_down(void *owner, enum mqtt_bridge_side side, const struct err *why)
{
	const struct one *b = owner;

	log_warn("%s: %s is not connected: %s; it is tried again", b->key,
	    side_of(side), why->text);
}

static void
on_refused(
    void *owner, enum mqtt_bridge_side side, struct str topic, uint8_t reason)
{
	struct one *b = owner;
	uint64_t untold;
	char more[64] = "";

	if (!mqtt_bridge_refusal_due(&b->refusals[side], reason, &untold))
		return;
	if (untold > 0)
		snprintf(more, sizeof(more), " (and %llu more before)",
		    (unsigned long long)untold);
	log_warn("%s: %s has not taken \"" STR_FMT "\": %s%s", b->key,
	    side_of(side), STR_ARG(topic), mqtt_reason_text(reason), more);
}

static const struct mqtt_bridge_events events = { on_up, on_down, on_refused };

static void
warn_if_in_clear(const struct one *b)
{
	if (b->rows->password.len > 0 && !b->tls &&
	    strncmp(b->host, "unix:", 5) != 0 &&
	    strcmp(b->host, "localhost") != 0 && !address_is_loopback(b->host))
		log_warn("%s: the password crosses the network in clear: write "
			 "mqtts:// before the address",
		    b->key);
}

/* --- in use -------------------------------------------------------------- */

/* The local side's connection. */
static int
dial(void *ctx, struct err *err)
{
	struct one *b = ctx;
	const struct mqtt_listener_conf conf = {
		.inside = b->account,
		.durability =
		    (enum mqtt_durability)b->all->set->mqtt.durability,
	};
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
		fds) < 0)
		return err_errno(err, "socketpair");
	mqtt_server_adopt(b->all->mqtt, NULL, fds[1], NULL, STR_NULL, &conf);
	return fds[0];
}

static struct stream *
begin_tls(void *ctx, struct stream *below, const char *host, struct err *err)
{
	const struct one *b = ctx;

	return tls_client_stream(b->tls_client, below, host, err);
}

/* As Mosquitto makes it, but with the name of the setting. */
static const char *
remote_id(struct one *b)
{
	char host[HOST_NAME_MAX + 1] = "";

	if (b->rows->client_id.len > 0)
		return b->rows->client_id.ptr;
	(void)gethostname(host, sizeof(host) - 1);
	return arena_printf(&b->all->arena, "%s.%s", host, b->key).ptr;
}

static void
fill_remote(struct one *b, struct mqtt_client_conf *c)
{
	static const uint8_t levels[] = { 0, 5, 4 }; /* as the choices */
	const struct mqtt_bridge_rows *r = b->rows;

	*c = (struct mqtt_client_conf){
		.address = b->host,
		.port = b->port,
		.level = levels[r->protocol],
		.client_id = remote_id(b),
		.user = r->username.len > 0 ? r->username.ptr : NULL,
		.password = r->password.len > 0 ? r->password.ptr : NULL,
		.session_expiry_s = (uint32_t)(r->session_expiry_ms / 1000),
		.keepalive_s = (uint16_t)(r->keepalive_ms / 1000),
		.retry_min_ms = (uint32_t)r->retry_min_ms,
		.retry_max_ms = (uint32_t)r->retry_max_ms,
		.max_inflight = (uint32_t)r->max_inflight,
		.max_received = (uint16_t)r->max_received,
		.max_packet = (uint32_t)r->max_packet,
	};
	if (!b->tls)
		return;
	c->wrap = begin_tls;
	c->wrap_why = tls_stream_why;
	c->wrap_ctx = b;
}

static int
start(struct one *b, struct loop *loop, struct err *err)
{
	const struct mqtt_bridge_rows *r = b->rows;
	struct mqtt_bridge_conf conf = {
		.name = b->key,
		.local = {
			.address = "this server",
			.level = 5,
			.dial = dial,
			.dial_ctx = b,
			.retry_min_ms = (uint32_t)r->retry_min_ms,
			.retry_max_ms = (uint32_t)r->retry_max_ms,
			.max_inflight = (uint32_t)r->max_inflight,
			.max_received = (uint16_t)r->max_received,
			.max_packet = (uint32_t)r->max_packet,
		},
		.rules = b->rules,
		.n_rules = b->n_rules,
		.notification_topic = r->notification_topic.len > 0
		    ? r->notification_topic.ptr
		    : NULL,
		.notify_local_only = r->notify_local_only,
	};

	fill_remote(b, &conf.remote);
	/* all else was checked: what it can still refuse is a rule */
	if (mqtt_bridge_new(loop, &conf, &events, b, &b->bridge, err) != 0)
		return err_wrap(err, "%s.rules", b->key);
	warn_if_in_clear(b);
	mqtt_bridge_start(b->bridge);
	return 0;
}

/* Else the session of a bridge that was taken out of the settings would gather
 * messages until it is full, and then slow their publishers down. */
static void
forget_others(const struct mqtt_bridges *all)
{
	char account[ACCOUNT_MAX];

	for (unsigned no = 1; no <= MQTT_BRIDGES; no++) {
		if (all->set->mqtt.bridges[no - 1].address.len > 0)
			continue;
		name_account(account, no);
		mqtt_server_kick(all->mqtt, str_of(account));
	}
}

int
mqtt_bridges_start(struct mqtt_bridges *all, struct loop *loop,
    struct mqtt_server *mqtt, struct err *err)
{
	int rc = 0;

	all->mqtt = mqtt;
	forget_others(all);
	for (size_t i = 0; i < all->n && rc == 0; i++)
		rc = start(&all->at[i], loop, err);
	return rc;
}

void
mqtt_bridges_stop(struct mqtt_bridges *all)
{
	for (size_t i = 0; all != NULL && i < all->n; i++) {
		mqtt_bridge_free(all->at[i].bridge);
		all->at[i].bridge = NULL;
	}
}

void
mqtt_bridges_free(struct mqtt_bridges *all)
{
	if (all == NULL)
		return;
	for (size_t i = 0; i < all->n; i++)
		tls_client_free(all->at[i].tls_client);
	arena_fini(&all->arena);
	free(all);
}
