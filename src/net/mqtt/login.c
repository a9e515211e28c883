/*
 * net/mqtt/login.c - from CONNECT to a session: the owner's verdict, accounts.
 *
 *    AWAIT_CONNECT --CONNECT--> AWAIT_VERDICT --accepted--> UP
 *                                     |
 *                                     +-- refused, CONNACK sent --> CLOSED
 *
 * While the verdict is awaited the connection is not read. A login lives until
 * it is answered; connection and server may end before.
 */
#include "net/mqtt/private.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/rand.h"
#include "net/tls.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* --- accounts ------------------------------------------------------------ */

struct account *
mqtt_account_ref(struct account *a)
{
	if (a != NULL)
		a->refs++;
	return a;
}

void
mqtt_account_unref(struct account *a)
{
	if (a == NULL || --a->refs > 0)
		return;
	if (!a->server->closing)
		(void)map_del(&a->server->accounts, a->name);
	str_free(a->name);
	free(a);
}

struct account *
mqtt_account_get(struct mqtt_server *s, struct str name)
{
	struct account *a = map_get(&s->accounts, name);

	if (a != NULL)
		return mqtt_account_ref(a);
	a = mem_new(struct account);
	a->server = s;
	a->name = str_copy(name);
	a->refs = 1;
	list_init(&a->sessions);
	(void)map_put(&s->accounts, a->name, a);
	return a;
}

bool
mqtt_account_is_inside(const struct account *a)
{
	return a != NULL && str_starts(a->name, STR(MQTT_INSIDE));
}

void
mqtt_account_enter(struct account *a, struct list *link)
{
	a->n_in_use++;
	if (link != NULL)
		list_add(&a->sessions, link);
}

void
mqtt_account_leave(struct account *a, struct list *link)
{
	if (link != NULL)
		list_del(link);
	if (--a->n_in_use > 0 || a->unused_due || a->ptr == NULL)
		return;
	a->unused_due = true;
	mqtt_call(a->server, CALL_UNUSED, mqtt_account_ref(a), NULL);
}

/* On the home loop, without the lock: logins are answered here too, so nobody
 * can begin to use it between the look and the call. */
void
mqtt_account_tell_unused(struct account *a)
{
	struct mqtt_server *s = a->server;
	void *ptr = NULL;

	mqtt_lock(s);
	a->unused_due = false;
	if (a->n_in_use == 0) {
		ptr = a->ptr;
		a->ptr = NULL; /* messages may refer to us longer */
	}
	mqtt_account_unref(a);
	mqtt_unlock(s);
	if (ptr != NULL && s->events.account_unused != NULL)
		s->events.account_unused(s->owner, ptr);
}

/* --- CONNACK ------------------------------------------------------------- */

static void
set(struct mqtt_props *p, enum mqtt_property id)
{
	p->has |= 1ull << id;
}

static void
connack_5(struct conn *c, const struct mqtt_login *l, struct mqtt_props *p)
{
	const struct mqtt_server_conf *conf = &c->server->conf;

	if (l->capped) {
		set(p, MQTT_P_SESSION_EXPIRY);
		p->session_expiry_s = l->expiry_s;
	}
	set(p, MQTT_P_RECEIVE_MAX);
	p->receive_max = (uint16_t)MIN_OF(conf->publish_max, 65535u);
	set(p, MQTT_P_MAX_PACKET);
	p->max_packet = conf->max_packet;
	if (conf->max_aliases > 0) {
		set(p, MQTT_P_ALIAS_MAX);
		p->alias_max = (uint16_t)MIN_OF(conf->max_aliases, 65535u);
	}
	if (conf->max_retained == 0)
		set(p, MQTT_P_HAS_RETAIN); /* 0: there is none */
	if (l->assigned) {
		set(p, MQTT_P_CLIENT_ID);
		p->client_id = l->client_id;
	}
	if (c->silence_ms != (int64_t)l->keepalive_s * 1500) {
		set(p, MQTT_P_KEEPALIVE);
		p->keepalive_s = (uint16_t)(c->silence_ms / 1500);
	}
	if (l->want_response && conf->response_info != NULL) {
		set(p, MQTT_P_RESPONSE_INFO);
		p->response_info = str_of(conf->response_info);
	}
}

static void
send_connack(
    struct conn *c, bool present, uint8_t code, const struct mqtt_props *props)
{
	struct buf *out = mqtt_conn_begin(c);
	size_t was = out->len;

	mqtt_put_connack(out, c->level, present, code, props);
	if (c->level == 5 && out->len - was > c->max_packet) {
		out->len = was;
		if (c->max_packet >= 5)
			mqtt_put_connack(out, 5, false, MQTT_R_TOO_LARGE, NULL);
		mqtt_conn_doom(c);
	}
	mqtt_conn_added(c, was);
}

/* The same reason as each level calls it. */
static uint8_t
code_for(const struct conn *c, uint8_t reason)
{
	if (c->level == 5)
		return reason;
	switch (reason) {
	case MQTT_R_BAD_VERSION:
		return MQTT_BAD_LEVEL;
	case MQTT_R_BAD_CLIENT_ID:
		return MQTT_BAD_CLIENT_ID;
	case MQTT_R_BAD_PASSWORD:
		return MQTT_BAD_PASSWORD;
	case MQTT_R_UNAVAILABLE:
	case MQTT_R_BUSY:
		return MQTT_UNAVAILABLE;
	default:
		return MQTT_NOT_AUTHORIZED;
	}
}

static void
refuse(struct conn *c, uint8_t reason)
{
	send_connack(c, false, code_for(c, reason), NULL);
	mqtt_conn_doom(c);
}

/* --- the session begins -------------------------------------------------- */

/* Ends whatever the client id has that may not go on: its other connection,
 * and with a clean start its past. Returns what is left. */
static struct session *
take_over(struct mqtt_server *s, struct account *a, const struct mqtt_login *l)
{
	struct session *old = mqtt_session_find(s, a, l->client_id);

	if (old != NULL && old->conn != NULL) {
		COUNT(takeovers);
		mqtt_conn_end(old->conn, MQTT_R_TAKEN_OVER, NULL);
		mqtt_conn_close(old->conn);
		old = mqtt_session_find(s, a, l->client_id);
	}
	if (old != NULL && l->clean) {
		mqtt_session_free(old);
		old = NULL;
	}
	return old;
}

static void
establish(struct conn *c, struct mqtt_login *l, struct account *a)
{
	struct mqtt_server *s = c->server;
	struct mqtt_props props = { 0 };
	struct session *old;

	if (a != NULL) /* it stays in use while sessions change */
		mqtt_account_enter(a, NULL);
	mqtt_sessions_expire(s); /* what is over is not found any more */
	old = take_over(s, a, l);
	c->session = old != NULL ? old
				 : mqtt_session_new(s, mqtt_account_ref(a),
				       l->client_id, l->expiry_s);
	c->session->expiry_s = l->expiry_s;
	if (old != NULL) /* rights may have changed */
		mqtt_subscriptions_check(old);
	mqtt_session_attach(c->session, c);
	mqtt_session_keep(c->session, c->listener->conf.durability);
	c->state = UP;
	c->heard_ms = clock_mono();
	if (c->silence_ms > 0)
		loop_after(c->lane->loop, &c->timer, c->silence_ms);
	if (c->level == 5)
		connack_5(c, l, &props);
	if (c->session->expiry_s > 0)
		mqtt_conn_gate_now(c); /* what is promised is kept */
	send_connack(c, old != NULL, 0, &props);
	if (!c->doomed)
		mqtt_session_resume(c->session);
	if (a != NULL)
		mqtt_account_leave(a, NULL);
}

/* The rest happens on the connection's own lane, whose timers it sets. */
static void
establish_here(struct conn *c)
{
	struct mqtt_login *l = c->login;
	struct account *a = l->account;

	c->login = NULL;
	establish(c, l, a);
	if (a != NULL)
		mqtt_account_leave(a, NULL);
	mqtt_account_unref(a);
	mqtt_login_free(l);
}

void
mqtt_login_free(struct mqtt_login *l)
{
	if (l->password.len > 0)
		explicit_bzero((char *)l->password.ptr, l->password.len);
	str_free(l->client_id);
	str_free(l->user);
	str_free(l->password);
	buf_free(&l->key);
	buf_free(&l->thumbprint);
	buf_free(&l->name);
	free(l);
}

/* STR_NULL: anonymous. */
static void
accepted(struct mqtt_login *l, void *ptr, struct str name)
{
	struct mqtt_server *s = l->server;
	struct conn *c = l->conn;
	struct account *a = NULL;

	if (name.ptr != NULL) {
		a = mqtt_account_get(s, name);
		if (a->ptr != NULL && a->ptr != ptr) /* all use the new one */
			mqtt_call(s, CALL_REPLACED, a->ptr, NULL);
		a->ptr = ptr;
		mqtt_account_enter(a, NULL);
	}
	if (c == NULL) { /* in vain: nobody uses it through us */
		if (a != NULL)
			mqtt_account_leave(a, NULL);
		mqtt_account_unref(a);
		mqtt_login_free(l);
		return;
	}
	l->account = a;
	l->accepted = true;
	mqtt_conn_wake(c);
	if (mqtt_lane_here(s) == c->lane)
		establish_here(c);
}

void
mqtt_login_answer(struct mqtt_login *l, bool accept, bool bad_password,
    void *account, struct str name)
{
	struct mqtt_server *s = l->server;
	struct conn *c;

	if (s == NULL) {
		mqtt_login_free(l);
		return;
	}
	mqtt_lock(s);
	c = l->conn;
	list_del(&l->link);
	if (accept) {
		assert(!str_starts(name, STR(MQTT_INSIDE)));
		accepted(l, account, account != NULL ? name : STR_NULL);
	} else {
		COUNT(auth_failures);
		mqtt_address_fails(&s->addresses, l->address);
		if (c != NULL) {
			c->login = NULL;
			refuse(c,
			    bad_password ? MQTT_R_BAD_PASSWORD
					 : MQTT_R_NOT_AUTHORIZED);
		}
		mqtt_login_free(l);
	}
	mqtt_unlock(s);
}

void
mqtt_login_finish(struct conn *c)
{
	if (c->login != NULL && c->login->accepted)
		establish_here(c);
}

/* The connection goes while its login is under way. */
void
mqtt_login_leave(struct conn *c)
{
	struct mqtt_login *l = c->login;

	c->login = NULL;
	if (l == NULL)
		return;
	l->conn = NULL;
	if (!l->accepted)
		return;
	if (l->account != NULL)
		mqtt_account_leave(l->account, NULL);
	mqtt_account_unref(l->account);
	mqtt_login_free(l);
}

bool
mqtt_login_is_certified(const struct mqtt_login *l)
{
	return l->certified;
}

struct mqtt_login_peer
mqtt_login_peer(const struct mqtt_login *l)
{
	return (struct mqtt_login_peer){ .key = buf_str(&l->key),
		.thumbprint = buf_str(&l->thumbprint),
		.name = buf_str(&l->name) };
}

void
mqtt_logins_abandon(struct mqtt_server *s)
{
	LIST_EACH (l, &s->logins, struct mqtt_login, link) {
		list_del(&l->link);
		l->server = NULL;
		l->conn = NULL;
		if (!l->asked) /* nobody knows of it */
			mqtt_login_free(l);
	}
}

void
mqtt_login_ask(struct mqtt_login *l)
{
	struct mqtt_server *s = l->server;

	l->asked = true;
	s->events.login(s->owner, l, l->client_id, l->user, l->password);
}

/* --- CONNECT ------------------------------------------------------------- */

/* One and a half times what the client asked for [3.1.2-24], within our limit.
 */
static int64_t
silence_allowed(const struct mqtt_server *s, uint16_t keepalive_s)
{
	uint32_t max = s->conf.max_keepalive_s, k = keepalive_s;

	if (max > 0 && (k == 0 || k > max))
		k = max;
	return (int64_t)k * 1500;
}

uint32_t
mqtt_expiry_allowed(const struct mqtt_server *s, uint32_t seconds)
{
	int64_t max = s->conf.session_expiry_ms / 1000;

	if (s->conf.session_expiry_ms == 0)
		return seconds;
	return (uint32_t)MIN_OF((int64_t)seconds, MAX_OF(max, 1));
}

/* How long the session is to outlive its connection. */
static void
set_expiry(struct mqtt_login *l, const struct mqtt_server *s,
    const struct mqtt_packet *p)
{
	uint32_t wanted = 0;

	if (p->connect.level < 5)
		wanted = p->connect.clean ? 0 : MQTT_EXPIRY_NEVER;
	else if (mqtt_has(&p->props, MQTT_P_SESSION_EXPIRY))
		wanted = p->props.session_expiry_s;
	l->expiry_s = mqtt_expiry_allowed(s, wanted);
	l->capped = l->expiry_s != wanted;
}

static void
set_client_id(struct mqtt_login *l, const struct mqtt_connect *p)
{
	char text[32] = "auto-";

	l->assigned = p->client_id.len == 0;
	if (!l->assigned) {
		l->client_id = str_copy(p->client_id);
		return;
	}
	rand_text(text + 5, 20);
	l->client_id = str_copy(str_of(text));
}

/* What the client can take. */
static void
set_client_limits(struct conn *c, const struct mqtt_props *p)
{
	c->want_problem = !mqtt_has(p, MQTT_P_WANT_PROBLEM) || p->want_problem;
	c->receive_max =
	    mqtt_has(p, MQTT_P_RECEIVE_MAX) ? p->receive_max : UINT16_MAX;
	c->alias_max = mqtt_has(p, MQTT_P_ALIAS_MAX) ? p->alias_max : 0;
	c->max_packet =
	    mqtt_has(p, MQTT_P_MAX_PACKET) ? p->max_packet : UINT32_MAX;
}

/* The user that the certificate proves, if the listener wants that. Without
 * one (they are optional there) user and password count. */
static void
certified_user(struct conn *c, struct mqtt_login *l)
{
	enum mqtt_peer_user which = c->listener->conf.peer_user;
	struct buf name = { 0 };
	int rc = ERR_NOT_FOUND;

	if (which == MQTT_PEER_NONE)
		return;
	if (c->tls != NULL) {
		rc = tls_stream_peer(c->tls,
		    which == MQTT_PEER_CN ? TLS_PEER_CN : TLS_PEER_SAN, &name);
	} else if (c->proxy_cn.len > 0 && which == MQTT_PEER_CN) {
		buf_add_str(&name, c->proxy_cn);
		rc = 0;
	}
	if (rc == 0 && name.len > 0) {
		str_free(l->user);
		l->user = str_copy(buf_str(&name));
		l->certified = true;
	}
	buf_free(&name);
}

/* For the owner to make of it what it likes. */
static void
note_peer(const struct conn *c, struct mqtt_login *l)
{
	if (c->tls == NULL || tls_stream_key(c->tls, &l->key) != 0)
		return;
	(void)tls_stream_thumbprint(c->tls, &l->thumbprint);
	(void)tls_stream_peer(c->tls, TLS_PEER_CN, &l->name);
}

static uint8_t
first_look(const struct conn *c, const struct mqtt_packet *p)
{
	struct mqtt_server *s = c->server;

	if (mqtt_has(&p->props, MQTT_P_AUTH_METHOD))
		return MQTT_R_BAD_AUTH_METHOD;
	if (p->connect.client_id.len == 0 && p->connect.level < 5 &&
	    (!p->connect.clean || p->connect.level < 4))
		return MQTT_R_BAD_CLIENT_ID; /* [3.1.3-8] */
	if (p->connect.level == 5 && p->connect.will &&
	    p->connect.will_retain && s->conf.max_retained == 0)
		return MQTT_R_NO_RETAIN; /* [5:3.2.2-13] */
	if (mqtt_address_failed(
		&s->addresses, c->address, s->conf.max_auth_failures)) {
		COUNT(auth_limited);
		return MQTT_R_NOT_AUTHORIZED;
	}
	return 0;
}

static struct mqtt_login *
login_new(struct conn *c, const struct mqtt_packet *p)
{
	const struct mqtt_connect *con = &p->connect;
	struct mqtt_login *l = mem_new(struct mqtt_login);

	l->server = c->server;
	l->conn = c;
	set_client_id(l, con);
	set_expiry(l, c->server, p);
	if (con->user.ptr != NULL)
		l->user = str_copy(con->user);
	if (con->password.ptr != NULL)
		l->password = str_copy(con->password);
	l->clean = con->clean;
	l->keepalive_s = con->keepalive_s;
	l->want_response =
	    mqtt_has(&p->props, MQTT_P_WANT_RESPONSE) && p->props.want_response;
	memcpy(l->address, c->address, sizeof(l->address));
	return l;
}

int
mqtt_login_begin(struct conn *c, const struct mqtt_packet *p)
{
	const struct mqtt_connect *con = &p->connect;
	const char *inside = c->listener->conf.inside;
	struct mqtt_server *s = c->server;
	struct mqtt_login *l;
	uint8_t bad;

	loop_cancel(c->lane->loop, &c->timer);
	c->level = con->supported || con->level < 5 ? con->level : 5;
	if (!con->supported) {
		refuse(c, MQTT_R_BAD_VERSION);
		return 0;
	}
	c->bridge = con->bridge;
	set_client_limits(c, &p->props);
	bad = first_look(c, p);
	if (bad != 0) {
		refuse(c, bad);
		return 0;
	}
	l = login_new(c, p);
	certified_user(c, l);
	note_peer(c, l);
	if (inside == NULL &&
	    ((l->user.ptr == NULL && !c->listener->conf.allow_anonymous) ||
		(l->user.ptr != NULL && s->events.login == NULL))) {
		COUNT(auth_failures);
		mqtt_login_free(l);
		refuse(c, MQTT_R_NOT_AUTHORIZED);
		return 0;
	}
	c->silence_ms = silence_allowed(s, con->keepalive_s);
	if (con->will)
		c->will = mqtt_will_new(con);
	c->login = l;
	c->state = AWAIT_VERDICT;
	if (inside != NULL || l->user.ptr == NULL) {
		accepted(l, NULL, str_of(inside));
	} else {
		list_add(&s->logins, &l->link);
		mqtt_call(s, CALL_LOGIN, l, NULL);
	}
	return 0;
}
