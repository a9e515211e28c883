/*
 * net/mqtt/login.c - from CONNECT to a session: the owner's verdict, accounts,
 * and the limit on failed logins per address.
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

#include <stdlib.h>
#include <string.h>

#define FAILURE_WINDOW_MS 60000
#define FAILURES_MAX 4096 /* addresses remembered; the oldest is forgotten */

/* --- accounts ------------------------------------------------------------ */

static struct str
pointer_key(void *const *ptr)
{
	return (struct str){ (const char *)ptr, sizeof(*ptr) };
}

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
	if (a != NULL && --a->refs == 0)
		free(a);
}

struct account *
mqtt_account_get(struct mqtt_server *s, void *ptr)
{
	struct account *a = map_get(&s->accounts, pointer_key(&ptr));

	if (a != NULL)
		return mqtt_account_ref(a);
	a = mem_new(struct account);
	a->server = s;
	a->ptr = ptr;
	a->refs = 1;
	list_init(&a->sessions);
	return a;
}

void
mqtt_account_enter(struct account *a, struct list *link)
{
	if (a->n_sessions++ == 0)
		(void)map_put(&a->server->accounts, pointer_key(&a->ptr), a);
	if (link != NULL)
		list_add(&a->sessions, link);
}

void
mqtt_account_leave(struct account *a, struct list *link)
{
	struct mqtt_server *s = a->server;
	void *ptr = a->ptr;

	if (link != NULL)
		list_del(link);
	if (--a->n_sessions > 0)
		return;
	(void)map_del(&s->accounts, pointer_key(&a->ptr));
	a->ptr = NULL; /* messages may refer to us longer */
	if (s->events.account_unused != NULL)
		s->events.account_unused(s->owner, ptr);
}

/* --- failed logins ------------------------------------------------------- */

static struct str
address_key(const uint8_t address[16])
{
	return (struct str){ (const char *)address, 16 };
}

static void
failures_forget(struct mqtt_server *s, struct failures *f)
{
	(void)map_del(&s->failed_addresses, address_key(f->address));
	list_del(&f->link);
	free(f);
}

void
mqtt_failures_expire(struct mqtt_server *s)
{
	int64_t limit = clock_mono() - FAILURE_WINDOW_MS;

	LIST_EACH (f, &s->failures, struct failures, link) {
		if (f->since_ms > limit)
			return;
		failures_forget(s, f);
	}
}

void
mqtt_failures_clear(struct mqtt_server *s)
{
	LIST_EACH (f, &s->failures, struct failures, link)
		failures_forget(s, f);
	map_fini(&s->failed_addresses);
}

static bool
too_many_failures(struct mqtt_server *s, const uint8_t address[16])
{
	struct failures *f;

	if (s->conf.max_auth_failures == 0)
		return false;
	mqtt_failures_expire(s);
	f = map_get(&s->failed_addresses, address_key(address));
	return f != NULL && f->n >= s->conf.max_auth_failures;
}

static void
note_failure(struct mqtt_server *s, const uint8_t address[16])
{
	struct failures *f;

	COUNT(auth_failures);
	if (s->conf.max_auth_failures == 0)
		return;
	mqtt_failures_expire(s);
	f = map_get(&s->failed_addresses, address_key(address));
	if (f == NULL) {
		if (s->failed_addresses.n >= FAILURES_MAX)
			failures_forget(
			    s, list_first(&s->failures, struct failures, link));
		f = mem_new(struct failures);
		memcpy(f->address, address, 16);
		f->since_ms = clock_mono();
		list_add(&s->failures, &f->link);
		(void)map_put(&s->failed_addresses, address_key(f->address), f);
		mqtt_server_tick(s);
	}
	f->n++;
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
	struct session *old;

	if (a != NULL) /* it stays in use while sessions change */
		mqtt_account_enter(a, NULL);
	old = take_over(s, a, l);
	if (c->state == AWAIT_VERDICT) {
		c->session = old != NULL
		    ? old
		    : mqtt_session_new(
			  s, mqtt_account_ref(a), l->client_id, l->clean);
		mqtt_session_attach(c->session, c);
		c->state = UP;
		c->heard_ms = clock_mono();
		if (c->silence_ms > 0)
			loop_after(s->loop, &c->timer, c->silence_ms);
		mqtt_conn_send_connack(c, old != NULL, MQTT_ACCEPTED);
		mqtt_session_resume(c->session);
	}
	if (a != NULL)
		mqtt_account_leave(a, NULL);
}

static void
refuse(struct conn *c, uint8_t code)
{
	mqtt_conn_send_connack(c, false, code);
	mqtt_conn_doom(c);
}

/* Accepted, but the connection has gone: nobody uses the account through us,
 * unless others do. */
static void
accepted_in_vain(struct mqtt_server *s, void *account)
{
	if (account != NULL && s->events.account_unused != NULL &&
	    map_get(&s->accounts, pointer_key(&account)) == NULL)
		s->events.account_unused(s->owner, account);
}

void
mqtt_login_answer(
    struct mqtt_login *l, bool accept, bool bad_password, void *account)
{
	struct mqtt_server *s = l->server;
	struct conn *c = l->conn;
	struct account *a = NULL;

	if (s == NULL)
		goto done;
	list_del(&l->link);
	if (c != NULL)
		c->login = NULL;
	if (!accept) {
		note_failure(s, l->address);
		if (c != NULL)
			refuse(c,
			    bad_password ? MQTT_BAD_PASSWORD
					 : MQTT_NOT_AUTHORIZED);
	} else if (c == NULL) {
		accepted_in_vain(s, account);
	} else {
		if (account != NULL)
			a = mqtt_account_get(s, account);
		establish(c, l, a);
		mqtt_account_unref(a);
		mqtt_conn_wake(c);
	}

done:
	str_free(l->client_id);
	free(l);
}

void
mqtt_logins_abandon(struct mqtt_server *s)
{
	LIST_EACH (l, &s->logins, struct mqtt_login, link) {
		list_del(&l->link);
		l->server = NULL;
		l->conn = NULL;
	}
}

/* --- CONNECT ------------------------------------------------------------- */

static void
keep_will(struct conn *c, const struct mqtt_connect *p)
{
	c->will = mem_new(struct will);
	c->will->topic = str_copy(p->will_topic);
	c->will->payload = str_copy(p->will_payload);
	c->will->qos = p->will_qos;
	c->will->retain = p->will_retain;
}

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

static struct str
client_id_of(const struct mqtt_connect *p)
{
	char text[32] = "auto-";

	if (p->client_id.len > 0)
		return str_copy(p->client_id);
	rand_text(text + 5, 20);
	return str_copy(str_of(text));
}

int
mqtt_login_begin(struct conn *c, const struct mqtt_connect *p)
{
	struct mqtt_server *s = c->server;
	struct mqtt_login *l;
	bool anonymous = p->user.ptr == NULL;

	loop_cancel(s->loop, &c->timer);
	if (!p->supported) {
		refuse(c, MQTT_BAD_LEVEL);
		return 0;
	}
	if (p->client_id.len == 0 && (!p->clean || p->level < 4)) {
		refuse(c, MQTT_BAD_CLIENT_ID); /* [3.1.3-8] */
		return 0;
	}
	if (too_many_failures(s, c->address)) {
		COUNT(auth_limited);
		refuse(c, MQTT_NOT_AUTHORIZED);
		return 0;
	}
	if ((anonymous && !s->conf.allow_anonymous) ||
	    (!anonymous && s->events.login == NULL)) {
		COUNT(auth_failures);
		refuse(c, MQTT_NOT_AUTHORIZED);
		return 0;
	}

	c->silence_ms = silence_allowed(s, p->keepalive_s);
	if (p->will)
		keep_will(c, p);
	l = mem_new(struct mqtt_login);
	l->server = s;
	l->conn = c;
	l->client_id = client_id_of(p);
	l->clean = p->clean;
	memcpy(l->address, c->address, sizeof(l->address));
	list_add(&s->logins, &l->link);
	c->login = l;
	c->state = AWAIT_VERDICT;
	if (anonymous)
		mqtt_login_answer(l, true, false, NULL);
	else
		s->events.login(
		    s->owner, l, l->client_id, p->user, p->password);
	return 0;
}
