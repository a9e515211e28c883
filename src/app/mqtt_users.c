/*
 * app/mqtt_users.c - see mqtt_users.h.
 *
 *  (1) A table, what both files said, never changes. It is counted: by the
 *      users, as the one that holds, and by each check under way.
 *  (2) Only the loop's thread replaces it, and answers logins; a check whose
 *      table is not the one that holds any more is made again.
 *  (3) The server's other threads see clients and the rights of the nameless.
 *      Neither changes; when the latter are replaced, the old ones stay until
 *      the end, as nobody tells who still looks at them.
 */
#include "app/mqtt_users.h"

#include "app/mqtt_acl.h"
#include "app/mqtt_password.h"

#include "base/arena.h"
#include "base/file.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/worker.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define LOG_MODULE "mqtt"

#define CHECK_THREADS 1
#define CHECK_QUEUE 16384

struct entry {
	struct str user;
	struct str text; /* as it stands in the file */
	struct password password;
};

struct table {
	atomic_uint refs;
	struct arena arena;
	struct map entries;  /* by user */
	struct entry nobody; /* is checked for unknown users */
	struct acl *acl;     /* NULL: all is allowed */
};

/* Retired rights of clients without a name. */
struct old_rights {
	struct list link;
	struct acl_rights *rights;
};

struct mqtt_users {
	struct loop *loop;
	struct mqtt_server *mqtt;
	struct worker_pool *checks; /* NULL: stopped */
	char *password_file, *acl_file;
	struct table *table;
	_Atomic(struct acl_rights *) nameless;
	struct list old;     /* of struct old_rights */
	struct list clients; /* signed in, or with a session that waits */
};

/* The account of one client id of one user. */
struct client {
	struct list link;
	struct arena arena;
	struct str user, client_id;
	struct str name;  /* of the account */
	struct str proof; /* the entry's text; STR_NULL: a certificate */
	struct acl_rights *rights;
};

struct check {
	struct mqtt_users *users;
	struct mqtt_login *login;
	struct arena arena;
	struct str user, client_id, password;
	struct table *table; /* counted */
	const struct entry *entry;
	bool fits;
	struct worker_job job;
	struct loop_post done;
};

/* --- the files ----------------------------------------------------------- */

static void
table_unref(struct table *t)
{
	if (t == NULL || atomic_fetch_sub(&t->refs, 1) > 1)
		return;
	map_fini(&t->entries);
	acl_free(t->acl);
	arena_fini(&t->arena);
	free(t);
}

static int
add_entry(void *ctx, int no, struct str user, struct str rest, struct err *err)
{
	struct table *t = ctx;
	struct entry *e;

	(void)no;
	if (map_get(&t->entries, user) != NULL)
		return err_set(err, ERR_EXISTS,
		    "the user \"" STR_FMT "\" is there twice", STR_ARG(user));
	e = arena_new(&t->arena, struct entry);
	e->user = arena_str(&t->arena, user);
	e->text = arena_str(&t->arena, rest);
	if (password_read(rest, &e->password, err) != 0)
		return ERR_PARAM;
	if (t->entries.n == 0) /* unknown users cost as much as the first */
		t->nobody.password.iterations = e->password.iterations;
	(void)map_put(&t->entries, e->user, e);
	return 0;
}

static int
read_passwords(struct table *t, const char *path, struct err *err)
{
	struct buf b = { 0 };
	int rc = file_read(path, &b, err);

	if (rc == 0 &&
	    (rc = password_lines(buf_str(&b), add_entry, t, err)) != 0)
		rc = err_wrap(err, "mqtt.passwordFile: %s", path);
	buf_free(&b);
	return rc;
}

static int
read_acl(struct table *t, const char *path, struct err *err)
{
	struct buf b = { 0 };
	int rc = file_read(path, &b, err);

	if (rc == 0 && (rc = acl_read(buf_str(&b), &t->acl, err)) != 0)
		rc = err_wrap(err, "mqtt.aclFile: %s", path);
	buf_free(&b);
	return rc;
}

static int
table_new(const struct mqtt_users *u, struct table **ret, struct err *err)
{
	struct table *t = mem_new(struct table);
	int rc = 0;

	t->refs = 1;
	t->nobody.password.iterations = PASSWORD_ITERATIONS;
	t->nobody.password.salt_len = 12;
	rand_bytes(t->nobody.password.hash, PASSWORD_HASH);
	if (u->password_file != NULL)
		rc = read_passwords(t, u->password_file, err);
	if (rc == 0 && u->acl_file != NULL)
		rc = read_acl(t, u->acl_file, err);
	if (rc != 0)
		table_unref(t);
	else
		*ret = t;
	return rc;
}

/* --- clients ------------------------------------------------------------- */

static struct client *
client_new(struct mqtt_users *u, struct str user, struct str client_id,
    const struct entry *entry)
{
	struct client *c = mem_new(struct client);

	c->user = arena_str(&c->arena, user);
	c->client_id = arena_str(&c->arena, client_id);
	/* user names have no line ends */
	c->name = arena_printf(
	    &c->arena, STR_FMT "\n" STR_FMT, STR_ARG(user), STR_ARG(client_id));
	if (entry != NULL)
		c->proof = arena_str(&c->arena, entry->text);
	c->rights = acl_rights_new(u->table->acl, user, client_id);
	list_add(&u->clients, &c->link);
	return c;
}

static void
client_free(struct client *c)
{
	list_del(&c->link);
	acl_rights_free(c->rights);
	arena_fini(&c->arena);
	free(c);
}

static void
account_unused(void *owner, void *account)
{
	(void)owner;
	client_free(account);
}

static bool
may_publish(void *owner, void *account, struct str topic)
{
	struct mqtt_users *u = owner;
	const struct client *c = account;

	return acl_may_publish(
	    c != NULL ? c->rights : atomic_load(&u->nameless), topic);
}

static bool
may_subscribe(void *owner, void *account, struct str filter)
{
	struct mqtt_users *u = owner;
	const struct client *c = account;

	return acl_may_subscribe(
	    c != NULL ? c->rights : atomic_load(&u->nameless), filter);
}

/* --- signing in ---------------------------------------------------------- */

static void
run_check(struct worker_job *job)
{
	struct check *k = container_of(job, struct check, job);

	k->fits = password_fits(&k->entry->password, k->password);
	loop_post(k->users->loop, &k->done);
}

static void
check_free(struct check *k)
{
	explicit_bzero((char *)k->password.ptr, k->password.len);
	table_unref(k->table);
	arena_fini(&k->arena);
	free(k);
}

/* False: too many wait, or it is over. */
static bool
check_begin(struct check *k)
{
	struct mqtt_users *u = k->users;

	table_unref(k->table);
	k->table = u->table;
	atomic_fetch_add(&u->table->refs, 1);
	k->entry = map_get(&u->table->entries, k->user);
	if (k->entry == NULL)
		k->entry = &u->table->nobody;
	return u->checks != NULL && worker_submit(u->checks, &k->job) == 0;
}

static void
accept_login(struct mqtt_users *u, struct mqtt_login *login, struct str user,
    struct str client_id, const struct entry *entry)
{
	struct client *c = client_new(u, user, client_id, entry);

	mqtt_login_answer(login, true, false, c, c->name);
}

static void
refuse(struct mqtt_login *login, bool bad_password)
{
	mqtt_login_answer(login, false, bad_password, NULL, STR_NULL);
}

static void
on_checked(struct loop_post *p)
{
	struct check *k = container_of(p, struct check, done);
	struct mqtt_users *u = k->users;

	if (k->table != u->table) { /* the files were read again */
		if (check_begin(k))
			return;
		refuse(k->login, false);
	} else if (k->fits && k->entry != &k->table->nobody) {
		accept_login(u, k->login, k->user, k->client_id, k->entry);
	} else {
		refuse(k->login, true);
	}
	check_free(k);
}

static void
on_certified(struct mqtt_users *u, struct mqtt_login *login,
    struct str client_id, struct str user)
{
	const struct acl *acl = u->table->acl;

	if (password_user_ok(user) && (acl == NULL || acl_knows(acl, user)))
		accept_login(u, login, user, client_id, NULL);
	else
		refuse(login, false);
}

static void
on_login(void *owner, struct mqtt_login *login, struct str client_id,
    struct str user, struct str password)
{
	struct mqtt_users *u = owner;
	struct check *k;

	if (mqtt_login_is_certified(login)) {
		on_certified(u, login, client_id, user);
		return;
	}
	if (password.ptr == NULL || password.len > PASSWORD_MAX) {
		refuse(login, true);
		return;
	}
	k = mem_new(struct check);
	k->users = u;
	k->login = login;
	k->user = arena_str(&k->arena, user);
	k->client_id = arena_str(&k->arena, client_id);
	k->password = arena_str(&k->arena, password);
	k->job.run = run_check;
	k->done.run = on_checked;
	if (check_begin(k))
		return;
	refuse(login, false);
	check_free(k);
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

const struct mqtt_server_events mqtt_users_events = {
	.login = on_login,
	.may_publish = may_publish,
	.may_subscribe = may_subscribe,
	.account_unused = account_unused,
	.trouble = trouble,
};

/* --- reading the files again --------------------------------------------- */

static void
set_nameless(struct mqtt_users *u)
{
	struct acl_rights *now =
	    acl_rights_new(u->table->acl, STR_NULL, STR_NULL);
	struct acl_rights *was = atomic_load(&u->nameless);
	struct old_rights *old;

	if (acl_rights_equal(now, was)) {
		acl_rights_free(now);
		return;
	}
	atomic_store(&u->nameless, now);
	if (was == NULL)
		return;
	old = mem_new(struct old_rights);
	old->rights = was;
	list_add(&u->old, &old->link);
}

static bool
is_gone(const struct mqtt_users *u, const struct client *c)
{
	const struct table *t = u->table;

	if (map_get(&t->entries, c->user) != NULL)
		return false;
	return c->proof.ptr != NULL ||
	    (t->acl != NULL && !acl_knows(t->acl, c->user));
}

static bool
still_holds(const struct mqtt_users *u, const struct client *c)
{
	const struct table *t = u->table;
	const struct entry *e = map_get(&t->entries, c->user);
	struct acl_rights *rights;
	bool same;

	if (c->proof.ptr != NULL && (e == NULL || !str_eq(e->text, c->proof)))
		return false;
	if (c->proof.ptr == NULL && t->acl != NULL &&
	    !acl_knows(t->acl, c->user))
		return false;
	rights = acl_rights_new(t->acl, c->user, c->client_id);
	same = acl_rights_equal(rights, c->rights);
	acl_rights_free(rights);
	return same;
}

struct change {
	struct loop_post post;
	struct mqtt_users *users;
	struct table *table;
};

static void
run_change(struct loop_post *p)
{
	struct change *ch = container_of(p, struct change, post);
	struct mqtt_users *u = ch->users;

	table_unref(u->table);
	u->table = ch->table;
	set_nameless(u);
	if (u->checks == NULL)
		goto done; /* it ends anyway */
	LIST_EACH (c, &u->clients, struct client, link) {
		if (is_gone(u, c))
			mqtt_server_kick(u->mqtt, c->name);
		else if (!still_holds(u, c))
			mqtt_server_disconnect(u->mqtt, c->name);
	}

done:
	free(ch);
}

int
mqtt_users_reload(struct mqtt_users *u, struct err *err)
{
	struct change *ch;
	struct table *t;
	int rc = table_new(u, &t, err);

	if (rc != 0)
		return rc;
	ch = mem_new(struct change);
	ch->post.run = run_change;
	ch->users = u;
	ch->table = t;
	loop_post(u->loop, &ch->post);
	return 0;
}

/* --- start and end ------------------------------------------------------- */

int
mqtt_users_open(struct loop *loop, const struct mqtt_users_conf *conf,
    struct mqtt_users **ret, struct err *err)
{
	struct mqtt_users *u = mem_new(struct mqtt_users);
	int rc;

	u->loop = loop;
	u->password_file = str_dupz(str_of(conf->password_file));
	u->acl_file = str_dupz(str_of(conf->acl_file));
	list_init(&u->old);
	list_init(&u->clients);
	rc = table_new(u, &u->table, err);
	if (rc != 0) {
		mqtt_users_close(u);
		return rc;
	}
	set_nameless(u);
	u->checks = worker_pool_new("sign-in", CHECK_THREADS, CHECK_QUEUE);
	*ret = u;
	return 0;
}

void
mqtt_users_start(struct mqtt_users *u, struct mqtt_server *mqtt)
{
	u->mqtt = mqtt;
}

void
mqtt_users_stop(struct mqtt_users *u)
{
	if (u == NULL)
		return;
	worker_pool_free(u->checks);
	u->checks = NULL;
}

void
mqtt_users_close(struct mqtt_users *u)
{
	if (u == NULL)
		return;
	mqtt_users_stop(u);
	LIST_EACH (c, &u->clients, struct client, link)
		client_free(c);
	LIST_EACH (old, &u->old, struct old_rights, link) {
		acl_rights_free(old->rights);
		free(old);
	}
	acl_rights_free(atomic_load(&u->nameless));
	table_unref(u->table);
	free(u->password_file);
	free(u->acl_file);
	free(u);
}
