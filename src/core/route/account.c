/*
 * core/route/account.c - signing in at the embedded MQTT server.
 *
 * The user name is application.{unit}.{code} or network.{unit|_}.{code}; the
 * bare code is accepted when exactly one account of that code has the
 * password. An account opens the queues of its application or network only.
 *
 * Who shows a client certificate whose name is a whole user name needs no
 * password, on listeners that take the user from it.
 *
 * A device of a gateway of Linux devices is edge.{unit}.{gateway}.{id}
 * (enrol.c), also with a certificate of that name on any other listener that
 * knows who signed it, or with one of its own; the gateway's own account signs
 * nobody in.
 *
 * Passwords are kept as Argon2id. Checking one takes milliseconds, so it runs
 * on a thread of its own; a password that was right is remembered, as a keyed
 * hash, for reconnects.
 */
#include "core/route/enrol.h"

#include "base/log.h"
#include "base/mem.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define LOG_MODULE "broker"

#define SAME_CODE_MAX 16 /* accounts of one code that are tried */
#define VERIFIED_MAX 10000
/* Accounts of machines with long random passwords, checked often: cheaper than
 * the interactive profile that people's passwords get. */
#define OPS crypto_pwhash_OPSLIMIT_MIN
#define MEMORY (8u << 20)

/* What the MQTT server holds for the sessions of one application or network.
 * On the map while sessions may join; freed when the server is done with it. */
struct session_account {
	struct str owner_id;
	struct str gateway_id; /* of an enrolled device; else null */
	struct str prefix;     /* "broker.network.demo.net." */
	struct str events;     /* "marram/demo/": what its unit is told */
	struct str root;       /* of a gateway: all that it opens; else null */
	bool application;
	struct arena arena;
};

struct login_job {
	struct route *route;
	struct mqtt_login *login;
	struct str user, password;
	struct str cert_key, thumbprint; /* that it has shown */
	bool certified;                  /* a certificate proves the user */
	uint64_t epoch; /* of the accounts when the check began */
	struct worker_job job;
	struct loop_post done;
	struct arena arena;
	/* what the worker found */
	int matches;
	struct route_account account;
	struct route_enrolment edge; /* id null: it is no device's */
};

int
route_account_make(struct arena *a, bool application,
    const struct route_end *end, struct str password, int64_t ttl,
    int64_t length, struct route_account *ret, struct err *err)
{
	char hash[crypto_pwhash_STRBYTES];

	if (crypto_pwhash_str(hash, password.ptr, password.len, OPS, MEMORY) !=
	    0)
		return err_set(
		    err, ERR_LIMIT, "not enough memory to hash a password");
	*ret = (struct route_account){ .owner_id = end->id,
		.application_id = application ? end->id : STR_NULL,
		.network_id = application ? STR_NULL : end->id,
		.user_name = route_user_name(a, application, end),
		.code = end->code,
		.password = arena_str(a, str_of(hash)),
		.ttl = ttl,
		.length = length,
		.modified_at = clock_now() };
	return 0;
}

/* --- on the worker ------------------------------------------------------- */

/* The mark of a right password: it can not be turned back, and a changed
 * password has another hash in it. */
static void
make_mark(const struct login_job *l, const struct route_account *account,
    struct str password, char mark[65])
{
	unsigned char out[32];
	crypto_generichash_state st;

	crypto_generichash_init(&st, l->route->verify_key,
	    sizeof(l->route->verify_key), sizeof(out));
	crypto_generichash_update(&st,
	    (const unsigned char *)account->password.ptr,
	    account->password.len);
	crypto_generichash_update(
	    &st, (const unsigned char *)password.ptr, password.len);
	crypto_generichash_final(&st, out, sizeof(out));
	sodium_bin2hex(mark, 65, out, sizeof(out));
}

static bool
remembered(struct route *r, const char *mark)
{
	bool is;

	pthread_mutex_lock(&r->verified_lock);
	is = map_get(&r->verified, str_of(mark)) != NULL;
	pthread_mutex_unlock(&r->verified_lock);
	return is;
}

static void
forget_verified(struct route *r)
{
	char *mark;
	size_t pos = 0;

	while ((mark = map_next(&r->verified, &pos)) != NULL)
		free(mark);
	map_fini(&r->verified);
}

static void
remember(struct route *r, const char *mark)
{
	char *copy = str_dupz(str_of(mark));

	pthread_mutex_lock(&r->verified_lock);
	if (r->verified.n >= VERIFIED_MAX)
		forget_verified(r);
	free(map_put(&r->verified, str_of(copy), copy));
	pthread_mutex_unlock(&r->verified_lock);
}

static bool
password_right(
    void *ctx, const struct route_account *account, struct str password)
{
	struct login_job *l = ctx;
	char mark[65];
	char *hash;
	bool fits;

	make_mark(l, account, password, mark);
	if (remembered(l->route, mark))
		return true;
	hash = str_dupz(account->password);
	fits = crypto_pwhash_str_verify(hash, password.ptr, password.len) == 0;
	free(hash);
	if (fits)
		remember(l->route, mark);
	return fits;
}

static bool
password_fits(struct login_job *l, const struct route_account *account)
{
	return l->certified ? str_eq(account->user_name, l->user)
			    : password_right(l, account, l->password);
}

/* The password of a gateway of Linux devices lets them enrol, and nothing
 * else. */
static bool
is_key_only(struct login_job *l, const struct route_account *account)
{
	struct route_gateway g;

	return account->network_id.ptr != NULL &&
	    enrol_gateway(l->route, &l->arena, account->network_id, &g);
}

static void
check_edge(struct login_job *l)
{
	struct enrol_claim claim = { .user = l->user,
		.password = l->password,
		.cert_key = l->cert_key,
		.thumbprint = l->thumbprint,
		.certified = l->certified };

	l->matches = enrol_check(
	    l->route, &l->arena, &claim, password_right, l, &l->edge);
}

static void
check_login(struct worker_job *job)
{
	struct login_job *l = container_of(job, struct login_job, job);
	struct store_query q = { .limit = SAME_CODE_MAX };
	struct filter f = { 0 };
	const struct route_account *all;
	struct rows rows = { 0 };

	l->matches = 0;
	if (str_starts(l->user, STR(ENROL_PREFIX))) {
		check_edge(l);
		loop_post(l->route->loop, &l->done);
		return;
	}
	filter_text(&f,
	    memchr(l->user.ptr, '.', l->user.len) != NULL ? "userName" : "code",
	    l->user);
	q.filter = &f;
	if (store_all(l->route->store, &route_account_entity, &q, &l->arena,
		&rows, NULL) == 0) {
		all = rows.at;
		for (size_t i = 0; i < rows.n; i++)
			if (password_fits(l, &all[i]) &&
			    !is_key_only(l, &all[i])) {
				l->account = all[i];
				l->matches++;
			}
	}
	loop_post(l->route->loop, &l->done);
}

/* --- on the loop --------------------------------------------------------- */

/* "marram/demo/" from "application.demo.app". */
static struct str
unit_events(struct arena *a, struct str user_name)
{
	struct str unit;

	(void)str_cut(&user_name, '.');
	unit = str_cut(&user_name, '.');
	return arena_printf(a, "marram/" STR_FMT "/", STR_ARG(unit));
}

/* Where the devices of a gateway speak; STR_NULL: it is no gateway's. */
static struct str
gateway_root(struct route *r, struct arena *a, struct str user_name)
{
	struct str code = user_name, kind = str_cut(&code, '.'),
		   unit = str_cut(&code, '.');
	struct endpoint *e = endpoint_find(r, false, unit, code);

	return str_eqz(kind, "network") && e != NULL && e->driven
	    ? route_gateway_root(a, unit, code)
	    : STR_NULL;
}

static struct session_account *
session_account(struct route *r, const struct route_account *row)
{
	struct session_account *s = map_get(&r->accounts, row->owner_id);

	if (s != NULL)
		return s;
	s = mem_new(struct session_account);
	s->owner_id = arena_str(&s->arena, row->owner_id);
	s->prefix = arena_printf(
	    &s->arena, "broker." STR_FMT ".", STR_ARG(row->user_name));
	s->application = row->application_id.ptr != NULL;
	s->events = unit_events(&s->arena, row->user_name);
	s->root = gateway_root(r, &s->arena, row->user_name);
	map_put(&r->accounts, s->owner_id, s);
	return s;
}

/* That of an enrolled device: its own part of its gateway's. */
static struct session_account *
edge_account(
    struct route *r, const struct route_enrolment *row, struct str user)
{
	struct session_account *s = map_get(&r->accounts, row->id);
	struct str unit, gateway, id;

	if (s != NULL)
		return s;
	s = mem_new(struct session_account);
	s->owner_id = arena_str(&s->arena, row->id);
	s->gateway_id = arena_str(&s->arena, row->gateway_id);
	s->prefix = s->events = STR("");
	(void)enrol_user(user, &unit, &gateway, &id);
	s->root = arena_printf(&s->arena, STR_FMT STR_FMT "/",
	    STR_ARG(route_gateway_root(&s->arena, unit, gateway)),
	    STR_ARG(row->name));
	map_put(&r->accounts, s->owner_id, s);
	return s;
}

static void
login_job_free(struct login_job *l)
{
	if (l->password.len > 0)
		sodium_memzero((char *)l->password.ptr, l->password.len);
	arena_fini(&l->arena);
	free(l);
}

/* False when the pool is full or has ended. */
static bool
check_on_worker(struct login_job *l)
{
	struct route *r = l->route;

	l->epoch = r->account_epoch;
	return r->logins != NULL && worker_submit(r->logins, &l->job) == 0;
}

static void
on_checked(struct loop_post *post)
{
	struct login_job *l = container_of(post, struct login_job, done);
	struct route *r = l->route;

	/* A password was changed or an account deleted meanwhile, and sessions
	 * were ended before this one was there: is it still right? */
	if (l->epoch != r->account_epoch) {
		if (check_on_worker(l))
			return;
		mqtt_login_answer(l->login, false, false, NULL, STR_NULL);
	} else if (l->matches == 1 && l->edge.id.ptr != NULL) {
		mqtt_login_answer(l->login, true, false,
		    edge_account(r, &l->edge, l->user), l->edge.id);
	} else if (l->matches == 1) {
		mqtt_login_answer(l->login, true, false,
		    session_account(r, &l->account), l->account.owner_id);
	} else {
		counter_add(&r->counters.login_failed, 1);
		mqtt_login_answer(l->login, false, true, NULL, STR_NULL);
	}
	login_job_free(l);
}

static void
on_login(void *owner, struct mqtt_login *login, struct str client_id,
    struct str user, struct str password)
{
	struct route *r = owner;
	struct mqtt_login_peer peer = mqtt_login_peer(login);
	bool is_device = str_starts(user, STR(ENROL_PREFIX));
	bool certified = mqtt_login_is_certified(login) ||
	    (is_device && str_eq(peer.name, user));
	struct login_job *l;

	(void)client_id;
	if (user.len == 0 ||
	    (password.ptr == NULL && !certified &&
		!(is_device && peer.key.len > 0)) ||
	    r->logins == NULL) {
		counter_add(&r->counters.login_failed, 1);
		mqtt_login_answer(login, false, true, NULL, STR_NULL);
		return;
	}
	l = mem_new(struct login_job);
	l->route = r;
	l->login = login;
	l->user = arena_str(&l->arena, user);
	l->certified = certified;
	l->cert_key = arena_str(&l->arena, peer.key);
	l->thumbprint = arena_str(&l->arena, peer.thumbprint);
	if (password.ptr != NULL)
		l->password = arena_str(&l->arena, password);
	l->job.run = check_login;
	l->done.run = on_checked;
	if (check_on_worker(l))
		return;
	mqtt_login_answer(login, false, false, NULL, STR_NULL);
	login_job_free(l);
}

/* The queue behind the account's own prefix, or STR_NULL. */
static struct str
own_queue(const struct session_account *s, struct str topic)
{
	if (s == NULL || !str_starts(topic, s->prefix))
		return STR_NULL;
	return (
	    struct str){ topic.ptr + s->prefix.len, topic.len - s->prefix.len };
}

static bool
may_publish(void *owner, void *account, struct str topic)
{
	const struct session_account *s = account;
	struct str queue = own_queue(s, topic);

	(void)owner;
	if (s != NULL && s->root.ptr != NULL)
		return str_starts(topic, s->root);
	if (s != NULL && s->application && str_starts(topic, s->events))
		return str_starts((struct str){ topic.ptr + s->events.len,
				      topic.len - s->events.len },
		    STR("set/"));
	if (queue.ptr == NULL)
		return false;
	if (str_eqz(queue, ROUTE_ECHO))
		return true;
	if (s->application)
		return str_eqz(queue, "dldata");
	return str_eqz(queue, "uldata") || str_eqz(queue, "dldata-result");
}

static bool
may_subscribe(void *owner, void *account, struct str filter)
{
	const struct session_account *s = account;
	struct str queue = own_queue(s, filter);

	(void)owner;
	if (s != NULL && s->root.ptr != NULL)
		return str_starts(filter, s->root);
	if (s != NULL && s->application && str_starts(filter, s->events))
		return true;
	if (queue.ptr == NULL)
		return false;
	if (str_eqz(queue, ROUTE_ECHO))
		return true;
	if (s->application)
		return str_eqz(queue, "uldata") ||
		    str_eqz(queue, "dldata-resp") ||
		    str_eqz(queue, "dldata-result");
	return str_eqz(queue, "dldata") || str_eqz(queue, "ctrl");
}

static void
account_free(struct session_account *s)
{
	arena_fini(&s->arena);
	free(s);
}

static void
account_unused(void *owner, void *account)
{
	struct route *r = owner;
	struct session_account *s = account;

	if (s == NULL)
		return;
	if (map_get(&r->accounts, s->owner_id) == s)
		map_del(&r->accounts, s->owner_id);
	account_free(s);
}

void
account_kick(struct route *r, struct str owner_id)
{
	struct session_account *s = map_get(&r->accounts, owner_id);

	r->account_epoch++;
	/* whoever signs in from now on gets a new one; this one goes when the
	 * server tells account_unused() */
	if (s != NULL)
		map_del(&r->accounts, s->owner_id);
	mqtt_server_kick(r->mqtt, owner_id);
}

void
accounts_kick_of(struct route *r, struct str gateway_id)
{
	struct session_account *s;
	size_t pos = 0;

	while ((s = map_next(&r->accounts, &pos)) != NULL) {
		struct str id = s->owner_id;

		if (!str_eq(s->gateway_id, gateway_id))
			continue;
		id = str_copy(id);
		account_kick(r, id);
		str_free(id);
		pos = 0;
	}
}

void
accounts_kick(struct route *r)
{
	struct session_account *s;
	size_t pos = 0;

	r->account_epoch++;
	while ((s = map_next(&r->accounts, &pos)) != NULL) {
		struct str id = str_copy(s->owner_id);

		account_kick(r, id);
		str_free(id);
		pos = 0;
	}
}

void
accounts_free(struct route *r)
{
	struct session_account *s;
	size_t pos = 0;

	while ((s = map_next(&r->accounts, &pos)) != NULL)
		account_free(s);
	map_fini(&r->accounts);
	forget_verified(r);
}

static void
trouble(void *owner, const char *text)
{
	(void)owner;
	if (text != NULL)
		log_error("messages can not be written to disk, and are not "
			  "acknowledged: %s",
		    text);
	else
		log_info("messages are written to disk again");
}

const struct mqtt_server_events route_mqtt_events = {
	.trouble = trouble,
	.login = on_login,
	.may_publish = may_publish,
	.may_subscribe = may_subscribe,
	.account_unused = account_unused,
};

struct kick_post {
	struct loop_post post;
	struct route *route;
	struct str owner_id;
	struct str last; /* topic of what goes with it; null: nothing */
	struct arena arena;
};

static void
run_kick(struct loop_post *post)
{
	struct kick_post *p = container_of(post, struct kick_post, post);

	account_kick(p->route, p->owner_id);
	if (p->last.ptr != NULL) /* after its will */
		(void)mqtt_publish(
		    p->route->mqtt, p->last, STR(""), 1, true, NULL);
	arena_fini(&p->arena);
	free(p);
}

static void
post_kick(struct route *r, struct str owner_id, struct str last)
{
	struct kick_post *p = mem_new(struct kick_post);

	p->post.run = run_kick;
	p->route = r;
	p->owner_id = arena_str(&p->arena, owner_id);
	p->last = arena_str(&p->arena, last);
	loop_post(r->loop, &p->post);
}

void
route_enrolment_gone(struct route *r, struct str id)
{
	if (r->loop != NULL)
		post_kick(r, id, STR_NULL);
}

void
route_enrolment_forget(struct route *r, const struct route_enrolment *row)
{
	struct route_gateway gateway;
	struct arena a = { 0 };

	/* without its gateway nobody hears of it, either */
	if (r->loop != NULL && enrol_gateway(r, &a, row->gateway_id, &gateway))
		post_kick(r, row->id,
		    arena_printf(&a, STR_FMT STR_FMT "/online",
			STR_ARG(route_gateway_root(
			    &a, gateway.unit_code, gateway.code)),
			STR_ARG(row->name)));
	arena_fini(&a);
}

void
route_account_changed(struct route *r, bool application,
    const struct route_end *end, const struct route_account *account, bool kick)
{
	change_endpoint(r, application, end, account);
	if (!kick || r->loop == NULL)
		return;
	post_kick(r, end->id, STR_NULL);
}
