/*
 * core/fleet/device_ssh.c - ssh to a device: a file of settings that names its
 * key, ours, and the way; commands; and the proof of an agent.
 *
 * The program `ssh` does it all. To a device without an address it goes through
 * its agent: ProxyCommand is our own program, which is let into the tunnel by
 * a socket that only we may open, and a pass that ends with the job. Nothing
 * that a person typed reaches a shell, or a line of that file, unchecked.
 */
#include "core/fleet/agent.h"

#include "base/base.h"
#include "base/child.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rand.h"
#include "codec/ssh_key.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_MODULE "fleet"
#define CONNECT_S 15
#define PROOF_MS 30000
#define SCAN_MS 20000
#define OUTPUT_MAX ((size_t)1 << 20)
#define TOKEN_LEN 32

/* --- what may be typed ---------------------------------------------------- */

int
check_address(struct str s, struct err *err)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];
		bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    (c >= '0' && c <= '9') || c == '.' || c == ':' ||
		    c == '_' || (c == '-' && i > 0) || (c == '%' && i > 0);

		if (!good)
			return err_set(err, ERR_PARAM,
			    "must be a host name or an address, without port");
	}
	return 0;
}

int
check_ssh_user(struct str s, struct err *err)
{
	bool good = s.len > 0;

	for (size_t i = 0; i < s.len; i++) {
		char c = s.ptr[i];

		good = good &&
		    ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			c == '_' ||
			(i > 0 &&
			    ((c >= '0' && c <= '9') || c == '.' || c == '-')));
	}
	return good ? 0
		    : err_set(err, ERR_PARAM, "must be the name of an account");
}

int
check_ssh_key(struct str s, struct err *err)
{
	struct ssh_public key;

	return s.len == 0 ? 0 : ssh_public_read(s, &key, err);
}

/* --- the file of settings ------------------------------------------------- */

/* In double quotes, as ssh_config wants it. */
static void
put_quoted(struct buf *b, const char *key, const char *value)
{
	buf_addf(b, "  %s \"", key);
	for (; *value != '\0'; value++) {
		if (*value == '"' || *value == '\\')
			buf_addc(b, '\\');
		if (*value == '%')
			buf_addc(b, '%');
		if (*value != '\n')
			buf_addc(b, *value);
	}
	buf_addz(b, "\"\n");
}

/* A word for the shell that ssh gives ProxyCommand to. */
static void
put_word(struct buf *b, const char *word)
{
	buf_addz(b, " '");
	for (; *word != '\0'; word++) {
		if (*word == '\'')
			buf_addz(b, "'\\''");
		else if (*word == '%')
			buf_addz(b, "%%");
		else if (*word != '\n')
			buf_addc(b, *word);
	}
	buf_addc(b, '\'');
}

struct way {
	const char *key_file;  /* ours */
	struct str public_key; /* the device's */
	struct str address, user;
	int64_t port;
	const char *pass; /* NULL: to the address */
	const char *dir;  /* of these files */
};

static void
put_config(struct buf *b, const struct fleet_agents *all, const struct way *w)
{
	struct arena a = { 0 };

	buf_addz(b, "Host device\n");
	put_quoted(b, "HostName",
	    w->pass != NULL ? "device" : arena_z(&a, w->address));
	buf_addf(b, "  Port %lld\n", w->pass != NULL ? 22 : (long long)w->port);
	put_quoted(b, "User", arena_z(&a, w->user));
	put_quoted(b, "IdentityFile", w->key_file);
	put_quoted(b, "UserKnownHostsFile",
	    arena_printf(&a, "%s/known_hosts", w->dir).ptr);
	buf_addf(b,
	    "  IdentitiesOnly yes\n"
	    "  IdentityAgent none\n"
	    "  HostKeyAlias device\n"
	    "  GlobalKnownHostsFile /dev/null\n"
	    "  StrictHostKeyChecking yes\n"
	    "  HostKeyAlgorithms ssh-ed25519\n"
	    "  UpdateHostKeys no\n"
	    "  BatchMode yes\n"
	    "  PreferredAuthentications publickey\n"
	    "  ConnectTimeout %d\n"
	    "  ServerAliveInterval 15\n"
	    "  ServerAliveCountMax 4\n"
	    "  LogLevel ERROR\n",
	    CONNECT_S);
	if (w->pass != NULL) {
		buf_addz(b, "  ProxyCommand");
		put_word(b, all->program);
		buf_addz(b, " fleet access --socket");
		put_word(b, all->socket);
		buf_addf(b, " --pass %s\n", w->pass);
	}
	arena_fini(&a);
}

static int
put_files(const struct fleet_agents *all, const struct way *w, struct err *err)
{
	struct buf config = { 0 }, hosts = { 0 };
	struct arena a = { 0 };
	int rc;

	put_config(&config, all, w);
	buf_addf(&hosts, "device " STR_FMT "\n", STR_ARG(w->public_key));
	rc = file_write(arena_printf(&a, "%s/known_hosts", w->dir).ptr,
	    buf_str(&hosts), err);
	if (rc == 0)
		rc = file_write(arena_printf(&a, "%s/config", w->dir).ptr,
		    buf_str(&config), err);
	buf_free(&config);
	buf_free(&hosts);
	arena_fini(&a);
	return rc;
}

static void
remove_files(const char *dir)
{
	static const char *const names[] = { "config", "known_hosts" };

	for (size_t i = 0; i < COUNT_OF(names); i++) {
		char *path = mem_printf("%s/%s", dir, names[i]);

		(void)unlink(path);
		free(path);
	}
	(void)rmdir(dir);
}

/* A folder for them, in `a`. */
static int
make_folder(
    struct fleet_agents *all, struct arena *a, char **ret, struct err *err)
{
	char *dir =
	    arena_z(a, arena_printf(a, "%s/run/ssh.XXXXXX", all->fleet->dir));

	if (mkdtemp(dir) == NULL)
		return err_errno(
		    err, "make a folder in %s/run", all->fleet->dir);
	*ret = dir;
	return 0;
}

/* --- passes --------------------------------------------------------------- */

static struct pass *
pass_new(struct fleet_agents *all, struct str device_id)
{
	struct pass *p = mem_new(struct pass);

	rand_text(p->token, TOKEN_LEN);
	p->device_id = str_copy(device_id);
	pthread_mutex_lock(&all->lock);
	map_put(&all->passes, str_of(p->token), p);
	pthread_mutex_unlock(&all->lock);
	return p;
}

static void
pass_end(struct fleet_agents *all, struct str token)
{
	struct pass *p;

	pthread_mutex_lock(&all->lock);
	p = map_del(&all->passes, token);
	pthread_mutex_unlock(&all->lock);
	if (p == NULL)
		return;
	str_free(p->device_id);
	free(p);
}

/* --- programs, waited for ------------------------------------------------- */

struct wait {
	struct arena *a;
	struct target_result *ret;
	bool timed_out;
};

static void
on_child(void *ctx, const struct child_end *end)
{
	struct wait *w = ctx;

	w->timed_out = end->timed_out;
	w->ret->status = end->status;
	w->ret->out = arena_str(w->a, end->out);
	w->ret->err = arena_str(w->a, end->err);
}

static int
run_and_wait(struct fleet *f, const char *const *argv, struct str input,
    int64_t timeout_ms, struct arena *a, struct target_result *ret,
    struct err *err)
{
	struct wait w = { .a = a, .ret = ret };
	const struct child_conf conf = { .argv = argv,
		.input = input,
		.output_max = OUTPUT_MAX,
		.timeout_ms = timeout_ms,
		.grace_ms = 1000 };
	int rc = fleet_program(f, &conf, on_child, &w, err);

	if (rc == 0 && w.timed_out)
		rc = err_set(err, ERR_IO, "%s took longer than %lld s", argv[0],
		    (long long)timeout_ms / 1000);
	return rc;
}

/* --- the key of a device that has none ------------------------------------ */

/* The first time it is believed, and kept. */
static int
learn_key(
    struct fleet *f, struct fleet_device *d, struct arena *a, struct err *err)
{
	const char *const argv[] = { "ssh-keyscan", "-T", "10", "-t", "ed25519",
		"-p", arena_printf(a, "%lld", (long long)d->ssh_port).ptr, "--",
		arena_z(a, d->address), NULL };
	struct target_result out;
	struct buf key = { 0 };
	struct str line, rest;
	int rc = run_and_wait(f, argv, STR_NULL, SCAN_MS, a, &out, err);

	if (rc != 0)
		return rc;
	rest = out.out;
	line = str_trim(str_cut(&rest, '\n'));
	(void)str_cut(&line, ' ');
	if (line.ptr == NULL || ssh_public_normal(line, &key, NULL) != 0) {
		buf_free(&key);
		return err_set(err, ERR_AGAIN,
		    "no SSH server with a key of type ssh-ed25519 answers "
		    "at " STR_FMT ":%lld",
		    STR_ARG(d->address), (long long)d->ssh_port);
	}
	d->ssh_public_key = arena_str(a, buf_str(&key));
	buf_free(&key);
	log_info("device " STR_FMT " has the host key " STR_FMT ", from now on",
	    STR_ARG(d->id), STR_ARG(d->ssh_public_key));
	return fleet_device_set(f, d, "sshPublicKey", err);
}

/* --- for jobs ------------------------------------------------------------- */

int
fleet_ssh_open(struct fleet *f, const struct fleet_device *d,
    struct fleet_ssh *ret, struct err *err)
{
	struct fleet_agents *all = f->agents;
	struct fleet_ssh ssh = { .token = STR("") };
	struct fleet_device now = *d;
	struct str ours;
	struct way w = { 0 };
	char *dir = NULL;
	int rc = 0;

	if (d->address.len == 0 && !fleet_agent_is(f, d->id))
		return err_set(err, ERR_AGAIN,
		    "the device has no address, and its agent is not "
		    "connected");
	if (d->address.len == 0 && d->ssh_public_key.len == 0)
		return err_set(
		    err, ERR_AGAIN, "the device's SSH host key is not known");
	rc = fleet_unit_key(f, d->unit_id, &ssh.arena, &w.key_file, &ours, err);
	if (rc == 0 && d->ssh_public_key.len == 0)
		rc = learn_key(f, &now, &ssh.arena, err);
	if (rc == 0)
		rc = make_folder(all, &ssh.arena, &dir, err);
	if (rc != 0)
		goto done;
	w.public_key = now.ssh_public_key;
	w.address = d->address;
	w.user = d->ssh_user.len > 0 ? d->ssh_user : STR("root");
	w.port = d->ssh_port;
	w.dir = dir;
	if (d->address.len == 0) {
		struct pass *p = pass_new(all, d->id);

		w.pass = p->token;
		ssh.token = arena_str(&ssh.arena, str_of(p->token));
	}
	if (check_ssh_user(w.user, err) != 0 ||
	    check_address(w.address, err) != 0 ||
	    check_ssh_key(w.public_key, err) != 0)
		rc = ERR_PARAM;
	if (rc == 0)
		rc = put_files(all, &w, err);
	ssh.config_file = arena_printf(&ssh.arena, "%s/config", dir);
done:
	if (rc != 0) {
		fleet_ssh_done(f, &ssh);
		return rc;
	}
	*ret = ssh;
	return 0;
}

void
fleet_ssh_done(struct fleet *f, struct fleet_ssh *s)
{
	if (s->token.len > 0)
		pass_end(f->agents, s->token);
	if (s->config_file.len > 0) {
		char *dir = str_dupz((struct str){ s->config_file.ptr,
		    s->config_file.len - (sizeof("/config") - 1) });

		remove_files(dir);
		free(dir);
	}
	arena_fini(&s->arena);
	*s = (struct fleet_ssh){ 0 };
}

/* A word for the shell of the device. */
static void
put_remote(struct buf *b, const char *word)
{
	if (b->len > 0)
		buf_addc(b, ' ');
	buf_addc(b, '\'');
	for (; *word != '\0'; word++) {
		if (*word == '\'')
			buf_addz(b, "'\\''");
		else
			buf_addc(b, *word);
	}
	buf_addc(b, '\'');
}

int
fleet_ssh_run(struct fleet *f, const struct fleet_device *d,
    const char *const *argv, struct str input, int64_t timeout_ms,
    struct arena *a, struct target_result *ret, struct err *err)
{
	struct fleet_ssh ssh;
	struct buf line = { 0 };
	int rc = fleet_ssh_open(f, d, &ssh, err);

	if (rc != 0)
		return rc;
	for (; *argv != NULL; argv++)
		put_remote(&line, *argv);
	rc = run_and_wait(f,
	    (const char *const[]){ arena_z(a, f->conf.ssh), "-F",
		ssh.config_file.ptr, "--", "device", buf_z(&line), NULL },
	    input, timeout_ms, a, ret, err);
	fleet_ssh_done(f, &ssh);
	buf_free(&line);
	return rc;
}

/* --- the proof of an agent ------------------------------------------------ */

struct proof {
	struct fleet_agents *all;
	struct agent *through, *for_whom; /* NULL: it was cancelled */
	char token[TOKEN_LEN + 1];
	struct arena arena;
	struct str public_key, unit_id;
	char *dir, *ssh;
	struct child *child;
	struct loop_post post;
	struct err err;
	int rc;
};

/* Those of proofs are few: found by looking through the agents. */
struct agent *
proof_agent(struct fleet_agents *all, struct str token)
{
	LIST_EACH (a, &all->all, struct agent, link)
		if (a->proof != NULL && str_eqz(token, a->proof->token))
			return a->proof->through;
	return NULL;
}

static void
proof_free(struct proof *p)
{
	if (p->dir != NULL)
		remove_files(p->dir);
	arena_fini(&p->arena);
	free(p);
}

static void
proof_ended(struct proof *p, const struct err *why)
{
	struct agent *a = p->for_whom;

	p->child = NULL;
	p->all->n_proving--;
	if (a != NULL)
		agent_proven(a, why);
	proof_free(p);
}

static void
on_proven(void *ctx, const struct child_end *end)
{
	struct proof *p = ctx;
	struct err why;
	struct str said = str_trim(end->err);

	if (end->status == 0) {
		proof_ended(p, NULL);
		return;
	}
	said.len = MIN_OF(said.len, (size_t)120);
	if (end->timed_out)
		(void)err_set(
		    &why, ERR_DENIED, "its SSH server did not answer in time");
	else
		(void)err_set(&why, ERR_DENIED,
		    "it could not be signed in to by SSH with the key it "
		    "claims and ours: " STR_FMT,
		    STR_ARG(said));
	proof_ended(p, &why);
}

static void
on_prepared(struct loop_post *post)
{
	struct proof *p = container_of(post, struct proof, post);
	const char *const argv[] = { p->ssh, "-F",
		p->dir != NULL
		    ? arena_printf(&p->arena, "%s/config", p->dir).ptr
		    : "",
		"--", "device", "true", NULL };
	const struct child_conf conf = { .argv = argv,
		.output_max = 4096,
		.timeout_ms = PROOF_MS,
		.grace_ms = 1000 };

	if (p->for_whom == NULL) { /* cancelled; it is not counted any more */
		proof_free(p);
		return;
	}
	if (p->rc == 0)
		p->rc = child_start(p->all->fleet->loop, &conf, on_proven, p,
		    &p->child, &p->err);
	if (p->rc != 0)
		proof_ended(p, &p->err);
}

static void
prepare(void *ctx)
{
	struct proof *p = ctx;
	struct way w = { .public_key = p->public_key,
		.user = STR("root"),
		.pass = p->token };
	struct str ours;

	p->rc = fleet_unit_key(
	    p->all->fleet, p->unit_id, &p->arena, &w.key_file, &ours, &p->err);
	if (p->rc == 0)
		p->rc = make_folder(p->all, &p->arena, &p->dir, &p->err);
	w.dir = p->dir;
	if (p->rc == 0)
		p->rc = put_files(p->all, &w, &p->err);
	p->post.run = on_prepared;
	loop_post(p->all->fleet->loop, &p->post);
}

struct proof *
proof_start(struct agent *through, struct agent *for_whom, struct err *err)
{
	struct proof *p = mem_new(struct proof);

	p->all = through->all;
	p->through = through;
	p->for_whom = for_whom;
	rand_text(p->token, TOKEN_LEN);
	p->public_key = arena_str(&p->arena, through->public_key);
	p->unit_id = arena_str(&p->arena, through->unit_id);
	p->ssh = arena_z(&p->arena, p->all->fleet->conf.ssh);
	if (!agent_work(p->all, prepare, p)) {
		arena_fini(&p->arena);
		free(p);
		(void)err_set(err, ERR_LIMIT, "too much waits");
		return NULL;
	}
	p->all->n_proving++;
	return p;
}

void
proof_cancel(struct proof *p)
{
	if (p == NULL)
		return;
	p->all->n_proving--;
	p->for_whom = NULL;
	if (p->child == NULL)
		return; /* on_prepared() frees it */
	child_free(p->child);
	proof_free(p);
}
