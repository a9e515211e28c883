/*
 * edge/fleet/agent.c - the connection to the platform, and what is asked of the
 * device over it.
 *
 *    WAITING --timer--> DIALING --> CONNECTED --the platform signed in--> up
 *       ^                  |            |
 *       +------------------+------------+   waits of 1 s to 60 s
 */
#include "edge/fleet/private.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "codec/json.h"
#include "codec/ssh_key.h"
#include "net/tls.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOG_MODULE "fleet"
#define MESSAGE_MAX ((size_t)64 << 20)
#define LOW ((size_t)128 << 10)
#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 60000
#define BEAT_MS 10000
#define SILENCE_MS 120000 /* the platform speaks every 30 s */
#define LOOK_MS 20000
#define MEASURE_MS 60000
#define ERROR_MAX 200

void
agent_say(struct fleet_agent *f, const struct relay_message *m)
{
	struct buf b = { 0 };

	if (f->ws == NULL)
		return;
	relay_write(m, &b);
	ws_conn_send(f->ws, false, buf_str(&b));
	buf_free(&b);
}

static void
remember(struct fleet_agent *f, const char *why)
{
	free(f->last_error);
	f->last_error = mem_printf("%.*s", ERROR_MAX, why);
}

/* --- connecting ----------------------------------------------------------- */

static void
drop(struct fleet_agent *f)
{
	tunnels_end(f);
	f->confirmed = false;
	ws_dial_cancel(f->dial);
	f->dial = NULL;
	ws_conn_close(f->ws, WEBSOCKET_AWAY);
	f->ws = NULL;
	loop_cancel(f->conf.loop, &f->beat);
	loop_cancel(f->conf.loop, &f->look);
	loop_cancel(f->conf.loop, &f->measure);
}

static void
retry(struct fleet_agent *f)
{
	if (clock_mono() - f->tried_at >= RETRY_MAX_MS)
		f->delay_ms = RETRY_MIN_MS;
	loop_after(f->conf.loop, &f->retry, f->delay_ms);
	f->delay_ms = MIN_OF(f->delay_ms * 2, (int64_t)RETRY_MAX_MS);
}

void
agent_reconnect(struct fleet_agent *f, int64_t ms, const char *why)
{
	if (why != NULL)
		remember(f, why);
	drop(f);
	f->delay_ms = RETRY_MIN_MS;
	loop_after(f->conf.loop, &f->retry, ms);
}

static int
public_key(
    struct fleet_agent *f, struct arena *a, struct str *ret, struct err *err)
{
	const char *path = arena_printf(a, "%s.pub", f->conf.host_key).ptr;
	struct str line = read_line(a, path);
	struct buf b = { 0 };
	int rc;

	if (line.ptr == NULL)
		return err_set(err, ERR_NOT_FOUND,
		    "there is no SSH host key at %s; is an SSH server "
		    "installed?",
		    path);
	rc = ssh_public_normal(line, &b, err);
	if (rc == 0)
		*ret = arena_str(a, buf_str(&b));
	else
		rc = err_wrap(err, "%s", path);
	buf_free(&b);
	return rc;
}

static void
send_start(struct fleet_agent *f)
{
	struct arena a = { 0 };
	struct buf hardware = { 0 };
	struct fleet_metadata now;
	struct relay_message m = { .kind = RELAY_START,
		.token = str_of(f->token),
		.ip_addresses = STR("[]"),
		.ram_bytes = facts_ram(),
		.last_error = str_of(f->last_error),
		.supports_binary = true,
		.supports_eof = true };
	struct err err;

	metadata_read(&f->conf, &a, &now);
	m.deployed_config_id = now.config;
	facts_hardware(&f->conf, &hardware);
	m.hardware_ids = buf_str(&hardware);
	buf_clear(&f->interfaces);
	facts_interfaces(&f->interfaces);
	m.network_interfaces = buf_str(&f->interfaces);
	if (public_key(f, &a, &m.public_key, &err) != 0)
		agent_reconnect(f, RETRY_MAX_MS / 2, err.text);
	else
		agent_say(f, &m);
	buf_free(&hardware);
	arena_fini(&a);
}

/* --- what is asked -------------------------------------------------------- */

static void
set_host_name(struct fleet_agent *f, struct str name)
{
	struct arena a = { 0 };
	const char *path =
	    arena_printf(&a, "%s/etc/hostname", f->conf.root).ptr;
	struct str line = arena_printf(&a, STR_FMT "\n", STR_ARG(name));
	bool good = name.len > 0 && name.len <= 63;
	struct err err;

	for (size_t i = 0; i < name.len; i++) {
		char c = name.ptr[i];

		good = good &&
		    ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
			(c >= 'A' && c <= 'Z') || c == '-');
	}
	if (!good)
		log_warn("the platform's host name is none");
	else if (str_eq(read_line(&a, path), name))
		;
	else if (file_replace(path, line, &err) != 0)
		log_error("%s", err.text);
	else if (f->conf.root[0] == '\0' && sethostname(name.ptr, name.len) < 0)
		log_error("set the host name: %s", strerror(errno));
	arena_fini(&a);
}

static void
on_restarted(void *ctx, const struct child_end *end)
{
	struct fleet_agent *f = ctx;

	f->rotating = NULL;
	if (end->status != 0)
		log_error("restart the SSH server: " STR_FMT,
		    STR_ARG(str_trim(end->err)));
	agent_reconnect(f, 1000, "the SSH host key is a new one");
}

static void
restart_sshd(struct fleet_agent *f)
{
	struct arena a = { 0 };
	const struct strs words = f->conf.restart_sshd;
	const char **argv = arena_array(&a, words.n + 1, const char *);
	const struct child_conf conf = { .argv = argv, .timeout_ms = 30000 };
	struct err err;

	for (size_t i = 0; i < words.n; i++)
		argv[i] = arena_z(&a, words.at[i]);
	if (words.n == 0 ||
	    child_start(
		f->conf.loop, &conf, on_restarted, f, &f->rotating, &err) != 0)
		agent_reconnect(f, 1000, "the SSH host key is a new one");
	arena_fini(&a);
}

static void
on_generated(void *ctx, const struct child_end *end)
{
	struct fleet_agent *f = ctx;

	f->rotating = NULL;
	if (end->status != 0)
		log_error("make a new SSH host key: " STR_FMT,
		    STR_ARG(str_trim(end->err)));
	restart_sshd(f);
}

/* NAME becomes NAME.old.1, or what number is free. */
static void
put_aside(struct arena *a, const char *path)
{
	for (int i = 1; i < 1000; i++) {
		const char *to = arena_printf(a, "%s.old.%d", path, i).ptr;

		if (access(to, F_OK) == 0)
			continue;
		if (rename(path, to) < 0 && errno != ENOENT)
			log_error("rename %s: %s", path, strerror(errno));
		return;
	}
}

static void
rotate(struct fleet_agent *f)
{
	static const char rsa[] = "rsa_key", ed25519[] = "ed25519_key";
	struct arena a = { 0 };
	struct str key = str_of(f->conf.host_key);
	const char *const argv[] = { "ssh-keygen", "-q", "-t", "ed25519", "-N",
		"", "-f", f->conf.host_key, NULL };
	const struct child_conf conf = { .argv = argv, .timeout_ms = 60000 };
	struct err err;

	if (f->rotating != NULL)
		return;
	log_warn("the platform asks for a new SSH host key: this disk was "
		 "copied");
	put_aside(&a, f->conf.host_key);
	(void)unlink(arena_printf(&a, "%s.pub", f->conf.host_key).ptr);
	if (str_ends(key, STR("ed25519_key"))) {
		key.len -= sizeof(ed25519) - 1;
		put_aside(
		    &a, arena_printf(&a, STR_FMT "%s", STR_ARG(key), rsa).ptr);
	}
	if (child_start(f->conf.loop, &conf, on_generated, f, &f->rotating,
		&err) != 0) {
		log_error("%s", err.text);
		agent_reconnect(f, RETRY_MAX_MS, err.text);
	}
	arena_fini(&a);
}

static void
obey(struct fleet_agent *f, const struct relay_message *m)
{
	struct err err;

	switch (m->kind) {
	case RELAY_CONNECT:
		tunnel_open(f, m);
		break;
	case RELAY_DATA:
	case RELAY_CLOSE:
	case RELAY_EOF:
		tunnel_message(f, m);
		break;
	case RELAY_CONFIRMED:
		f->confirmed = true;
		f->delay_ms = RETRY_MIN_MS;
		log_info("connected to %s", f->conf.url);
		change_confirmed(f);
		break;
	case RELAY_SECRETS:
		if (secrets_take(f, m, &err) != 0)
			log_error("secrets: %s", err.text);
		break;
	case RELAY_HOSTNAME:
		set_host_name(f, m->hostname);
		break;
	case RELAY_ROTATE:
		rotate(f);
		break;
	case RELAY_SWITCH:
		change_begin(f, m);
		break;
	default:
		break; /* keep_alive, and what we do not know yet */
	}
}

static void
on_message(void *owner, bool binary, struct str payload)
{
	struct fleet_agent *f = owner;
	struct arena a = { 0 };
	struct relay_message m;
	struct err err;

	if (binary) {
		tunnel_binary(f, payload);
		return;
	}
	if (relay_read(payload, false, &a, &m, &err) != 0)
		log_warn(
		    "the platform's message is not understood: %s", err.text);
	else
		obey(f, &m);
	arena_fini(&a);
}

static void
on_room(void *owner)
{
	tunnel_room(owner);
}

static void
on_pong(void *owner, struct str payload)
{
	change_told(owner, payload);
}

static const char *
why_closed(const struct err *why)
{
	if (strstr(why->text, "(4401)") != NULL)
		return "the platform does not take the token; enrol anew with "
		       "another one";
	if (strstr(why->text, "(4403)") != NULL)
		return "the platform refuses this device: the token lets no "
		       "new ones in, the device is archived, or the platform "
		       "could not sign in by SSH; its log says which";
	if (strstr(why->text, "(4409)") != NULL)
		return "another device with this SSH host key is connected";
	return why->text;
}

static void
on_closed(void *owner, const struct err *why)
{
	struct fleet_agent *f = owner;
	const char *text = why_closed(why);

	f->ws = NULL;
	log_warn("the connection to %s has ended: %s", f->conf.url, text);
	remember(f, text);
	drop(f);
	if (f->rotating == NULL) /* else it comes again with its new key */
		retry(f);
}

/* --- timers --------------------------------------------------------------- */

static void
on_beat(struct loop_timer *t)
{
	struct fleet_agent *f = container_of(t, struct fleet_agent, beat);

	if (clock_mono() - ws_conn_heard(f->ws) > SILENCE_MS &&
	    !ws_conn_is_held(f->ws)) {
		log_warn("%s is silent", f->conf.url);
		agent_reconnect(f, 0, "the platform was silent");
		return;
	}
	agent_say(f, &(struct relay_message){ .kind = RELAY_KEEP_ALIVE });
	loop_after(f->conf.loop, &f->beat, BEAT_MS);
}

static void
on_look(struct loop_timer *t)
{
	struct fleet_agent *f = container_of(t, struct fleet_agent, look);
	struct buf now = { 0 };

	facts_interfaces(&now);
	if (!str_eq(buf_str(&now), buf_str(&f->interfaces))) {
		agent_say(f,
		    &(struct relay_message){ .kind = RELAY_INTERFACES,
			.network_interfaces = buf_str(&now) });
		buf_free(&f->interfaces);
		f->interfaces = now;
	} else {
		buf_free(&now);
	}
	loop_after(f->conf.loop, &f->look, LOOK_MS);
}

static void
on_measure(struct loop_timer *t)
{
	struct fleet_agent *f = container_of(t, struct fleet_agent, measure);
	struct relay_message m = { .kind = RELAY_METRICS };
	char text[TIME_TEXT_LEN + 1];

	facts_load(f, &m);
	time_format(clock_now(), text);
	m.timestamp = str_of(text);
	agent_say(f, &m);
	loop_after(f->conf.loop, &f->measure, MEASURE_MS);
}

/* --- dialing -------------------------------------------------------------- */

static void
on_dialed(void *owner, int fd, struct stream *top, struct str already,
    const struct err *why)
{
	static const struct ws_conn_events events = { on_message, on_room,
		on_closed, on_pong };
	const struct ws_conn_conf conf = {
		.message_max = MESSAGE_MAX, .client = true, .low = LOW
	};
	struct fleet_agent *f = owner;

	f->dial = NULL;
	if (fd < 0) {
		log_warn("%s can not be reached: %s", f->conf.url, why->text);
		remember(f, why->text);
		retry(f);
		return;
	}
	f->ws = ws_conn_new(f->conf.loop, &conf, fd, top, already, &events, f);
	loop_after(f->conf.loop, &f->beat, BEAT_MS);
	loop_after(f->conf.loop, &f->look, LOOK_MS);
	loop_after(f->conf.loop, &f->measure, MEASURE_MS);
	send_start(f);
}

static void
on_retry(struct loop_timer *t)
{
	struct fleet_agent *f = container_of(t, struct fleet_agent, retry);
	const struct proxy_way *p = &f->conf.proxy;
	const struct ws_dial_conf conf = { .url = str_of(f->url),
		.tls = f->tls,
		.wrap = tls_client_stream,
		.proxy = { .host = p->host != NULL ? str_of(p->host) : STR_NULL,
		    .port = p->port,
		    .tls = f->proxy_tls,
		    .user = p->user,
		    .password = p->password } };
	struct err err;

	f->tried_at = clock_mono();
	if (ws_dial_start(f->conf.loop, &conf, on_dialed, f, &f->dial, &err) !=
	    0) {
		log_error("fleet.url: %s", err.text);
		retry(f);
	}
}

/* --- start and stop ------------------------------------------------------- */

/* A board without a clock of its own begins in 1970, and trusts nobody. */
static void
set_clock(struct fleet_agent *f, struct arena *a)
{
	struct fleet_metadata now;
	struct timespec t;

	metadata_read(&f->conf, a, &now);
	if (f->conf.root[0] != '\0' || now.datetime == TIME_NULL ||
	    clock_now() >= now.datetime)
		return;
	t.tv_sec = now.datetime / 1000;
	t.tv_nsec = 0;
	if (clock_settime(CLOCK_REALTIME, &t) < 0)
		log_warn("set the clock: %s", strerror(errno));
}

/* The key of Thymis's platform, of an image. */
static void
trust_image(struct fleet_agent *f, struct arena *a)
{
	struct str key = read_line(
	    a, kept_path(&f->conf, a, "thymis-controller-ssh-pubkey.txt"));
	struct buf there = { 0 };
	struct err err;

	if (key.len == 0)
		return;
	(void)file_read(f->conf.authorized_keys, &there, NULL);
	if (there.len == 0 ||
	    memmem(there.ptr, there.len, key.ptr, key.len) == NULL) {
		if (there.len > 0 && there.ptr[there.len - 1] != '\n')
			buf_addc(&there, '\n');
		buf_addf(&there, STR_FMT "\n", STR_ARG(key));
		if (file_replace(
			f->conf.authorized_keys, buf_str(&there), &err) != 0)
			log_error("%s", err.text);
	}
	buf_free(&there);
}

static int
read_token(struct fleet_agent *f, struct arena *a, struct err *err)
{
	struct str token = read_line(a, f->conf.token_file);

	if (token.len == 0)
		token =
		    read_line(a, kept_path(&f->conf, a, "thymis-token.txt"));
	if (token.len == 0)
		return err_set(err, ERR_PARAM,
		    "there is no token in %s; enrol with tedge fleet enroll",
		    f->conf.token_file);
	f->token = str_dupz(token);
	return 0;
}

static int
open_tls(struct fleet_agent *f, struct err *err)
{
	const struct tls_client_conf conf = { .ca_path = f->conf.ca_path,
		.verify = true };

	int rc = 0;

	if (strncmp(f->conf.url, "https:", 6) == 0)
		rc = tls_client_new(&conf, &f->tls, err);
	if (rc == 0 && f->conf.proxy.host != NULL && f->conf.proxy.tls)
		rc = tls_client_new(&conf, &f->proxy_tls, err);
	return rc;
}

static void
copy_conf(struct fleet_agent *f, const struct fleet_conf *c)
{
	struct arena *a = &f->arena;
	const char **const texts[] = { &f->conf.url, &f->conf.token_file,
		&f->conf.root, &f->conf.host_key, &f->conf.authorized_keys,
		&f->conf.data_dir, &f->conf.boot_dir, &f->conf.profile,
		&f->conf.ca_path, &f->conf.config_dir, &f->conf.program };

	f->conf = *c;
	for (size_t i = 0; i < COUNT_OF(texts); i++)
		*texts[i] = arena_z(a, str_of(*texts[i]));
	if (c->proxy.host != NULL)
		f->conf.proxy.host = arena_z(a, str_of(c->proxy.host));
	f->conf.proxy.user = arena_str(a, c->proxy.user);
	f->conf.proxy.password = arena_str(a, c->proxy.password);
	f->conf.tunnels = arena_strs(a, c->tunnels);
	f->conf.restart_sshd = arena_strs(a, c->restart_sshd);
}

static void
stop(struct fleet_agent *f)
{
	drop(f);
	loop_cancel(f->conf.loop, &f->retry);
	change_free(f);
	child_free(f->rotating);
	tls_client_free(f->tls);
	tls_client_free(f->proxy_tls);
	if (f->token != NULL)
		explicit_bzero(f->token, strlen(f->token));
	free(f->token);
	free(f->url);
	free(f->last_error);
	buf_free(&f->interfaces);
	arena_fini(&f->arena);
	loop_free_later(f->conf.loop, f);
}

static int
start(const struct fleet_conf *conf, struct fleet_agent **ret, struct err *err)
{
	struct fleet_agent *f = mem_new(struct fleet_agent);
	struct str url;
	int rc;

	log_setup(conf->log_level, LOG_LOG4J);
	copy_conf(f, conf);
	list_init(&f->tunnels);
	f->retry.fire = on_retry;
	f->beat.fire = on_beat;
	f->look.fire = on_look;
	f->measure.fire = on_measure;
	f->delay_ms = RETRY_MIN_MS;
	url = str_of(f->conf.url);
	while (url.len > 0 && url.ptr[url.len - 1] == '/')
		url.len--;
	f->url = mem_printf(STR_FMT "/agent/relay", STR_ARG(url));
	if (access(f->conf.host_key, R_OK) < 0)
		rc = err_errno(err,
		    "read the SSH host key %s, as root with an SSH server",
		    f->conf.host_key);
	else if (mkdir(f->conf.data_dir, 0700) < 0 && errno != EEXIST)
		rc = err_errno(err, "make %s", f->conf.data_dir);
	else
		rc = read_token(f, &f->arena, err);
	if (rc == 0)
		rc = open_tls(f, err);
	if (rc != 0) {
		stop(f);
		return rc;
	}
	set_clock(f, &f->arena);
	trust_image(f, &f->arena);
	change_resume(f);
	secrets_again(f);
	loop_after(f->conf.loop, &f->retry, 0);
	*ret = f;
	return 0;
}

const struct fleet_module marram_edge_fleet = { FLEET_MODULE_VERSION, start,
	stop, change_guard, secret_unseal };
