/*
 * app/mqtt_listeners.c - see mqtt_listeners.h.
 */
#include "app/mqtt_listeners.h"

#include "base/base.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_MODULE "mqtt"

#define PORT_CLEAR 1883
#define PORT_TLS 8883

struct listener {
	char key[24]; /* "mqtt.listener1" */
	struct mqtt_listener_conf conf;
	struct tls_server_conf tls; /* cert_file NULL: in clear */
	uint16_t port;              /* that was taken */
};

struct mqtt_listeners {
	const struct settings *set;
	const struct conf *conf;
	struct listener at[2 + MQTT_LISTENERS];
	size_t n;
};

bool
address_is_loopback(const char *address)
{
	return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
}

const char *
address_host(const char *address, struct buf *out)
{
	buf_clear(out);
	if (strcmp(address, "127.0.0.1") == 0 || strcmp(address, "::") == 0 ||
	    strcmp(address, "0.0.0.0") == 0)
		buf_addz(out, "localhost");
	else
		buf_addf(
		    out, strchr(address, ':') != NULL ? "[%s]" : "%s", address);
	return buf_z(out);
}

static bool
is_unix(const struct listener *l)
{
	return strncmp(l->conf.address, "unix:", 5) == 0;
}

/* --- from settings ------------------------------------------------------- */

static struct listener *
add(struct mqtt_listeners *all, const char *key)
{
	struct listener *l = &all->at[all->n++];

	snprintf(l->key, sizeof(l->key), "%s", key);
	l->conf.durability = (enum mqtt_durability)all->set->mqtt.durability;
	l->conf.allow_anonymous = all->set->mqtt.allow_anonymous;
	return l;
}

static const char *
address_of_clear(const struct settings *set)
{
	return set->server.listen.len > 0 ? set->server.listen.ptr
					  : "127.0.0.1";
}

static const char *
address_of_tls(const struct settings *set)
{
	return set->server.listen.len > 0 ? set->server.listen.ptr : "::";
}

static void
add_main(struct mqtt_listeners *all)
{
	const struct settings *set = all->set;
	struct listener *l = add(all, "mqtt");

	l->conf.address = address_of_clear(set);
	l->conf.port = (uint16_t)set->mqtt.port;
}

static int
add_main_tls(struct mqtt_listeners *all, struct err *err)
{
	const struct server_conf *c = &all->set->server;
	struct listener *l;

	if (c->cert_file.len == 0 && c->key_file.len == 0) {
		if (c->cacert_file.len > 0)
			log_warn("server.cacertFile has no effect without "
				 "server.certFile");
		return 0;
	}
	if (c->cert_file.len == 0 || c->key_file.len == 0)
		return err_set(err, ERR_PARAM,
		    "server.certFile and server.keyFile go together: one is "
		    "not set");
	if (all->set->mqtt.tls_port == 0)
		return 0;
	l = add(all, "mqtt.tlsPort");
	l->conf.address = address_of_tls(all->set);
	l->conf.port = (uint16_t)all->set->mqtt.tls_port;
	l->tls.cert_file = c->cert_file.ptr;
	l->tls.key_file = c->key_file.ptr;
	l->tls.client_certs = TLS_CERTS_ANY;
	if (c->cacert_file.len > 0)
		l->tls.ca_file = c->cacert_file.ptr;
	return 0;
}

static bool
was_set(
    const struct mqtt_listeners *all, const struct listener *l, const char *row)
{
	char key[48];

	snprintf(key, sizeof(key), "%s.%s", l->key, row);
	return conf_source_of(all->conf, key) != CONF_DEFAULT;
}

/* What does not go together: the row to blame, and why. */
struct clash {
	bool is;
	const char *row, *why;
};

static int
check(const struct mqtt_listeners *all, const struct listener *l,
    const struct mqtt_listener_rows *r, struct err *err)
{
	bool tls = r->cert_file.len > 0, ca = r->ca_file.len > 0;
	bool is_local = str_starts(r->address, STR("unix:"));
	bool certs_set = was_set(all, l, "clientCerts");
	const struct clash clashes[] = {
		{ tls && r->key_file.len == 0, "certFile",
		    "keyFile must be set, too" },
		{ !tls && r->key_file.len > 0, "keyFile",
		    "certFile must be set, too" },
		{ !tls && ca, "caFile", "it is for TLS: set certFile" },
		{ !tls && r->min_tls != TLS_1_2, "minTls",
		    "it is for TLS: set certFile" },
		{ !ca && r->crl_file.len > 0, "crlFile",
		    "caFile must be set, too" },
		{ !ca && r->client_certs != TLS_CERTS_NONE &&
			r->client_certs != TLS_CERTS_ANY,
		    "clientCerts", "caFile must say who may sign them" },
		{ !tls && r->client_certs == TLS_CERTS_ANY, "clientCerts",
		    "it is for TLS: set certFile" },
		{ ca && certs_set && r->client_certs == TLS_CERTS_NONE,
		    "clientCerts",
		    "caFile is set, but nobody is asked for a certificate" },
		{ r->peer_user == MQTT_PEER_SAN && !ca, "peerUser",
		    "caFile must say who may sign the certificates" },
		{ r->peer_user == MQTT_PEER_CN && !ca && !r->proxy, "peerUser",
		    "caFile must say who may sign the certificates" },
		{ is_local && was_set(all, l, "port"), "port",
		    "a Unix socket has none" },
		{ is_local && r->address.len == 5, "address",
		    "a path must follow unix:" },
		{ !is_local && r->socket_mode.len > 0, "socketMode",
		    "only a Unix socket has it" },
	};

	for (size_t i = 0; i < COUNT_OF(clashes); i++)
		if (clashes[i].is)
			return err_set(err, ERR_PARAM, "%s.%s: %s", l->key,
			    clashes[i].row, clashes[i].why);
	return 0;
}

static int
read_mode(
    const struct listener *l, struct str text, unsigned *ret, struct err *err)
{
	unsigned mode = 0;
	bool ok = true;

	for (size_t i = 0; ok && i < text.len; i++) {
		ok = text.ptr[i] >= '0' && text.ptr[i] <= '7' && mode <= 0777;
		mode = mode * 8 + (unsigned)(text.ptr[i] - '0');
	}
	if (!ok || mode > 0777 || (text.len > 0 && mode == 0))
		return err_set(err, ERR_PARAM,
		    "%s.socketMode: \"" STR_FMT "\" must be octal digits, as "
		    "0660",
		    l->key, STR_ARG(text));
	*ret = mode;
	return 0;
}

static void
fill_tls(const struct mqtt_listeners *all, struct listener *l,
    const struct mqtt_listener_rows *r)
{
	l->tls = (struct tls_server_conf){
		.cert_file = r->cert_file.ptr,
		.key_file = r->key_file.ptr,
		.ca_file = r->ca_file.len > 0 ? r->ca_file.ptr : NULL,
		.crl_file = r->crl_file.len > 0 ? r->crl_file.ptr : NULL,
		.client_certs = (enum tls_client_certs)r->client_certs,
		.min_version = (enum tls_version)r->min_tls,
	};
	if (l->tls.ca_file != NULL && !was_set(all, l, "clientCerts"))
		l->tls.client_certs = TLS_CERTS_REQUIRED;
}

static void
fill(const struct mqtt_listeners *all, struct listener *l,
    const struct mqtt_listener_rows *r)
{
	bool tls = r->cert_file.len > 0;

	l->conf.address = r->address.len > 0 ? r->address.ptr
	    : tls                            ? address_of_tls(all->set)
					     : address_of_clear(all->set);
	l->conf.port = (uint16_t)r->port;
	if (!was_set(all, l, "port"))
		l->conf.port = tls ? PORT_TLS : PORT_CLEAR;
	l->conf.peer_user = (enum mqtt_peer_user)r->peer_user;
	l->conf.websocket = r->websocket;
	l->conf.proxy = r->proxy;
	l->conf.allow_anonymous = r->allow_anonymous;
	l->conf.max_connections = (uint32_t)r->max_connections;
	if (was_set(all, l, "durability"))
		l->conf.durability = (enum mqtt_durability)r->durability;
	if (tls)
		fill_tls(all, l, r);
}

/* A row that is not as it would be without settings; NULL: there is none. */
static const char *
row_in_vain(const struct mqtt_listeners *all, const struct listener *l,
    const struct mqtt_listener_rows *r)
{
	const struct {
		bool is;
		const char *row;
	} rows[] = {
		{ r->cert_file.len > 0, "certFile" },
		{ r->key_file.len > 0, "keyFile" },
		{ r->ca_file.len > 0, "caFile" },
		{ r->crl_file.len > 0, "crlFile" },
		{ was_set(all, l, "clientCerts"), "clientCerts" },
		{ r->min_tls != TLS_1_2, "minTls" },
		{ r->peer_user != MQTT_PEER_NONE, "peerUser" },
		{ r->websocket, "websocket" },
		{ r->proxy, "proxy" },
		{ r->allow_anonymous, "allowAnonymous" },
		{ r->max_connections > 0, "maxConnections" },
		{ was_set(all, l, "durability"), "durability" },
		{ r->socket_mode.len > 0, "socketMode" },
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++)
		if (rows[i].is)
			return rows[i].row;
	return NULL;
}

static int
add_more(struct mqtt_listeners *all, unsigned no, struct err *err)
{
	const struct mqtt_listener_rows *r = &all->set->mqtt.listeners[no - 1];
	struct listener *l;
	const char *vain;
	char key[24];
	int rc;

	snprintf(key, sizeof(key), "mqtt.listener%u", no);
	l = add(all, key);
	if (r->address.len == 0 && !was_set(all, l, "port")) {
		vain = row_in_vain(all, l, r);
		all->n--;
		*l = (struct listener){ 0 };
		if (vain == NULL)
			return 0;
		return err_set(err, ERR_PARAM,
		    "%s.%s has no effect: neither port nor address of this "
		    "listener is set",
		    key, vain);
	}
	rc = check(all, l, r, err);
	if (rc == 0)
		rc = read_mode(l, r->socket_mode, &l->conf.socket_mode, err);
	if (rc == 0)
		fill(all, l, r);
	return rc;
}

static int
read_files(struct mqtt_listeners *all, struct err *err)
{
	for (size_t i = 0; i < all->n; i++) {
		struct listener *l = &all->at[i];

		if (l->tls.cert_file != NULL &&
		    tls_server_new(&l->tls, &l->conf.tls, err) != 0)
			return err_wrap(err, "%s", l->key);
	}
	return 0;
}

int
mqtt_listeners_new(const struct settings *set, const struct conf *conf,
    struct mqtt_listeners **ret, struct err *err)
{
	struct mqtt_listeners *all = mem_new(struct mqtt_listeners);
	int rc;

	all->set = set;
	all->conf = conf;
	add_main(all);
	rc = add_main_tls(all, err);
	for (unsigned no = 1; rc == 0 && no <= MQTT_LISTENERS; no++)
		rc = add_more(all, no, err);
	if (rc == 0)
		rc = read_files(all, err);
	if (rc != 0)
		mqtt_listeners_free(all);
	else
		*ret = all;
	return rc;
}

void
mqtt_listeners_free(struct mqtt_listeners *all)
{
	if (all == NULL)
		return;
	for (size_t i = 0; i < all->n; i++)
		tls_server_free(all->at[i].conf.tls);
	free(all);
}

/* --- in use -------------------------------------------------------------- */

int
mqtt_listeners_open(
    struct mqtt_listeners *all, struct mqtt_server *mqtt, struct err *err)
{
	for (size_t i = 0; i < all->n; i++) {
		struct listener *l = &all->at[i];

		if (mqtt_server_listen(mqtt, &l->conf, &l->port, err) != 0)
			return err_wrap(err, "%s", l->key);
	}
	return 0;
}

void
mqtt_listeners_reload(struct mqtt_listeners *all)
{
	for (size_t i = 0; i < all->n; i++) {
		struct listener *l = &all->at[i];
		struct err err;

		if (l->conf.tls == NULL)
			continue;
		if (tls_server_reload(l->conf.tls, &l->tls, &err) != 0)
			log_error("%s: %s; what was read before stays in use",
			    l->key, err.text);
		else
			log_info("%s: certificates were read again", l->key);
	}
}

bool
mqtt_listeners_durable(const struct mqtt_listeners *all)
{
	for (size_t i = 0; i < all->n; i++)
		if (all->at[i].conf.durability != MQTT_NONE)
			return true;
	return false;
}

bool
mqtt_listeners_need_password(const struct mqtt_listeners *all)
{
	for (size_t i = 0; i < all->n; i++)
		if (all->at[i].conf.allow_anonymous ||
		    all->at[i].conf.peer_user != MQTT_PEER_NONE)
			return false;
	return true;
}

void
mqtt_listeners_say(const struct mqtt_listeners *all, struct buf *out)
{
	for (size_t i = 0; i < all->n; i++) {
		const struct listener *l = &all->at[i];
		struct buf host = { 0 };

		if (is_unix(l))
			buf_addf(out, " %s", l->conf.address);
		else
			buf_addf(out, " %s%s://%s:%u",
			    l->conf.websocket ? "ws" : "mqtt",
			    l->conf.tls != NULL ? "s" : "",
			    address_host(l->conf.address, &host), l->port);
		buf_free(&host);
	}
}

void
mqtt_listeners_each(const struct mqtt_listeners *all,
    void (*each)(void *ctx, const struct mqtt_listener_place *p), void *ctx)
{
	static const char *const schemes[2][2] = { { "mqtt", "mqtts" },
		{ "ws", "wss" } };

	for (size_t i = 0; i < all->n; i++) {
		const struct listener *l = &all->at[i];
		const char *a = l->conf.address;
		struct mqtt_listener_place p = {
			.scheme =
			    schemes[l->conf.websocket][l->conf.tls != NULL],
			.host = a,
			.port = l->port,
		};

		if (is_unix(l))
			continue;
		if (a == NULL || strcmp(a, "0.0.0.0") == 0 ||
		    strcmp(a, "::") == 0)
			p.host = "";
		else
			p.local = address_is_loopback(a);
		each(ctx, &p);
	}
}

void
mqtt_listeners_warn(const struct mqtt_listeners *all)
{
	for (size_t i = 0; i < all->n; i++) {
		const struct listener *l = &all->at[i];

		if (l->conf.tls == NULL && !is_unix(l) && !l->conf.proxy &&
		    !address_is_loopback(l->conf.address))
			log_warn("%s: passwords and messages cross the network "
				 "in clear at %s port %u: use TLS, or listen "
				 "on 127.0.0.1",
			    l->key, l->conf.address, l->port);
	}
}
