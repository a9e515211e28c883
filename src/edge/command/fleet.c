/*
 * edge/command/fleet.c - `fleet`: into a fleet, and out of it.
 */
#include "edge/command.h"
#include "edge/fetch.h"
#include "edge/fleet/fleet.h"
#include "edge/system.h"

#include "base/arena.h"
#include "base/base.h"
#include "base/file.h"
#include "base/mem.h"
#include "codec/json.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PART "tedge-fleet"
#define ANSWER_MAX 65536

/* --- asking the platform -------------------------------------------------- */

/* One request; `*status` may be anything. */
static int
ask(const struct fleet_conf *c, const char *method, const char *path,
    struct str token, struct str body, int *status, struct buf *answer,
    struct err *err)
{
	struct arena a = { 0 };
	const struct proxy_way *p = &c->proxy;
	struct fetch_conf trust = { .proxy_user = p->user,
		.proxy_password = p->password };
	struct str url = str_of(c->url);
	struct fetch_request r = { .method = method,
		.bearer = token,
		.body = body,
		.type = body.len > 0 ? STR("application/json") : STR_NULL,
		.answer_max = ANSWER_MAX,
		.timeout_ms = 30000,
		.conf = &trust };
	int rc;

	fetch_conf_trust(str_of(c->ca_path), &trust);
	if (p->host != NULL)
		trust.proxy = arena_printf(
		    &a, "http%s://%s:%u", p->tls ? "s" : "", p->host, p->port);
	while (url.len > 0 && url.ptr[url.len - 1] == '/')
		url.len--;
	r.url = arena_printf(&a, STR_FMT "%s", STR_ARG(url), path);
	rc = fetch_wait(&r, status, answer, err);
	arena_fini(&a);
	return rc;
}

static bool
member(
    struct arena *a, const struct buf *answer, const char *key, struct str *ret)
{
	struct str json = json_find(
	    a, answer->len > 0 ? buf_str(answer) : STR(""), str_of(key));
	struct json j;

	json_open(&j, json, 0, a);
	return json.ptr != NULL && json_str(&j, ret);
}

/* The key that the platform signs in with. */
static int
unit_key(const struct fleet_conf *c, struct arena *a, struct str token,
    struct str *key, struct err *err)
{
	struct buf answer = { 0 };
	int status = 0;
	int rc =
	    ask(c, "GET", "/agent/key", token, STR_NULL, &status, &answer, err);

	if (rc == ERR_DENIED || status == 401)
		rc = err_set(err, ERR_DENIED,
		    "the platform does not know this token, or it was "
		    "revoked");
	else if (rc == 0 && !member(a, &answer, "publicKey", key))
		rc = err_set(
		    err, ERR_PROTO, "%s is no platform with a fleet", c->url);
	else if (rc == 0)
		*key = arena_str(a, *key);
	buf_free(&answer);
	return rc;
}

/* --- the claim code ------------------------------------------------------- */

static struct str
claim_body(const struct fleet_conf *c, struct arena *a, struct err *err)
{
	const char *path = arena_printf(a, "%s.pub", c->host_key).ptr;
	struct buf key = { 0 }, b = { 0 };
	char host[256] = "";
	struct json_out o;
	struct str ret;

	if (file_read(path, &key, err) != 0) {
		(void)err_set(err, ERR_NOT_FOUND,
		    "there is no SSH host key at %s; install an SSH server",
		    path);
		return STR_NULL;
	}
	(void)gethostname(host, sizeof(host) - 1);
	json_out_init(&o, &b, false);
	json_out_object(&o);
	json_out_key(&o, "publicKey");
	json_out_str(&o, str_trim(buf_str(&key)));
	json_out_key(&o, "hostName");
	json_out_str(&o, str_of(host));
	json_out_end_object(&o);
	ret = arena_str(a, buf_str(&b));
	buf_free(&key);
	buf_free(&b);
	return ret;
}

/* Shows the code, and waits until somebody has typed it. */
static int
claim(const struct fleet_conf *c, struct arena *a, struct str *token,
    struct str *key, struct err *err)
{
	struct str body = claim_body(c, a, err), code, secret;
	struct buf answer = { 0 };
	int status = 0, rc;

	if (body.ptr == NULL)
		return err->code;
	rc = ask(
	    c, "POST", "/agent/claim", STR_NULL, body, &status, &answer, err);
	if (rc == 0 &&
	    (!member(a, &answer, "code", &code) ||
		!member(a, &answer, "secret", &secret)))
		rc = err_set(
		    err, ERR_PROTO, "%s is no platform with a fleet", c->url);
	if (rc == 0) {
		printf("%.*s\n", STR_ARG(code));
		fflush(stdout);
		fprintf(stderr,
		    "Type this code on the platform, where devices are "
		    "claimed. It is good for 15 minutes.\n");
		body = arena_printf(
		    a, "{\"secret\":\"" STR_FMT "\"}", STR_ARG(secret));
	}
	while (rc == 0) {
		buf_clear(&answer);
		rc = ask(c, "POST", "/agent/claim/answer", STR_NULL, body,
		    &status, &answer, err);
		if (rc == 0 && status == 200)
			break;
		if (rc == ERR_NOT_FOUND)
			rc = err_set(err, ERR_NOT_FOUND,
			    "nobody has typed the code in time");
		if (rc == 0)
			sleep(3);
	}
	if (rc == 0 &&
	    (!member(a, &answer, "token", token) ||
		!member(a, &answer, "publicKey", key)))
		rc = err_set(err, ERR_PROTO, "its answer is not understood");
	if (rc == 0) {
		*token = arena_str(a, *token);
		*key = arena_str(a, *key);
	}
	buf_free(&answer);
	return rc;
}

/* --- what is kept --------------------------------------------------------- */

static int
make_folder_of(const char *file, mode_t mode, struct err *err)
{
	char *copy = mem_printf("%s", file);
	char *dir = dirname(copy);
	int rc = 0;

	if (mkdir(dir, mode) < 0 && errno != EEXIST)
		rc = err_errno(err, "make %s", dir);
	free(copy);
	return rc;
}

/* Adds the platform's key to those that may sign in as root. */
static int
let_in(const struct fleet_conf *c, struct str key, struct err *err)
{
	struct buf there = { 0 };
	int rc = make_folder_of(c->authorized_keys, 0700, err);

	if (rc != 0)
		return rc;
	(void)file_read(c->authorized_keys, &there, NULL);
	if (there.len == 0 ||
	    memmem(there.ptr, there.len, key.ptr, key.len) == NULL) {
		if (there.len > 0 && there.ptr[there.len - 1] != '\n')
			buf_addc(&there, '\n');
		buf_addf(&there, STR_FMT " marram-fleet\n", STR_ARG(key));
		rc = file_replace(c->authorized_keys, buf_str(&there), err);
	}
	buf_free(&there);
	return rc;
}

static int
shut_out(const struct fleet_conf *c, struct err *err)
{
	struct buf there = { 0 }, keep = { 0 };
	struct str rest;
	int rc = 0;

	if (file_read(c->authorized_keys, &there, NULL) != 0)
		return 0;
	rest = there.len > 0 ? buf_str(&there) : STR("");
	while (rest.ptr != NULL && rest.len > 0) {
		struct str line = str_cut(&rest, '\n');

		if (!str_ends(str_trim(line), STR(" marram-fleet")))
			buf_addf(&keep, STR_FMT "\n", STR_ARG(line));
	}
	if (keep.len != there.len)
		rc = file_replace(c->authorized_keys,
		    keep.len > 0 ? buf_str(&keep) : STR(""), err);
	buf_free(&there);
	buf_free(&keep);
	return rc;
}

/* Its service, now and with the next start: under a service manager one of its
 * own, as root; else a part of the marram-edge that runs. */
static int
run_part(struct config *config, bool on, struct err *err)
{
	struct arena a = { 0 };
	struct system sys;
	int rc = system_read(config, &a, &sys, err);

	if (rc == 0)
		rc = system_service(
		    &sys, on ? SYSTEM_ENABLE : SYSTEM_DISABLE, PART, err);
	if (rc == 0)
		rc = system_service(
		    &sys, on ? SYSTEM_RESTART : SYSTEM_STOP, PART, err);
	arena_fini(&a);
	return rc == ERR_CLOSED ? 0 : rc;
}

static int
enroll_with(struct command_call *c, struct arena *a, struct err *err)
{
	struct config *config = command_config(c);
	const char *given = command_option(c, "token");
	struct str token = str_of(given), key = STR_NULL;
	struct fleet_conf conf;
	int rc = config_set(
	    config, STR("fleet.url"), str_of(command_arg(c, "URL")), err);

	if (rc == 0)
		rc = fleet_conf_read(config, a, &conf, err);
	if (rc == 0)
		rc = given != NULL ? unit_key(&conf, a, token, &key, err)
				   : claim(&conf, a, &token, &key, err);
	if (rc == 0)
		rc = make_folder_of(conf.token_file, 0700, err);
	if (rc == 0)
		rc = file_write(conf.token_file, token, err);
	if (rc == 0)
		rc = let_in(&conf, key, err);
	return rc == 0 ? run_part(config, true, err) : rc;
}

static int
fleet_enroll(struct command_call *c)
{
	bool by_code = command_option(c, "code") != NULL;
	bool by_token = command_option(c, "token") != NULL;
	struct arena a = { 0 };
	struct err err;
	int rc;

	if (by_code == by_token)
		return command_wrong(
		    c, "token", "give either --token TOKEN or --code");
	if (command_config(c) == NULL)
		return 1;
	rc = enroll_with(c, &a, &err);
	arena_fini(&a);
	if (rc != 0)
		return command_failed("enrol", &err);
	fprintf(stderr,
	    "The device is enrolled; the platform sees it as soon as it has "
	    "signed in to it by SSH.\n");
	return 0;
}

static int
fleet_leave(struct command_call *c)
{
	struct config *config = command_config(c);
	struct arena a = { 0 };
	struct fleet_conf conf;
	struct err err;
	int rc;

	if (config == NULL)
		return 1;
	rc = fleet_conf_read(config, &a, &conf, &err);
	if (rc == 0)
		rc = run_part(config, false, &err);
	if (rc == 0)
		rc = shut_out(&conf, &err);
	if (rc == 0 && unlink(conf.token_file) < 0 && errno != ENOENT)
		rc = err_errno(&err, "remove %s", conf.token_file);
	if (rc == 0)
		rc = config_set(config, STR("fleet.url"), STR_NULL, &err);
	arena_fini(&a);
	return rc == 0 ? 0 : command_failed("leave the fleet", &err);
}

static int
fleet_guard(struct command_call *c)
{
	struct config *config = command_config(c);
	const struct fleet_module *module;
	struct arena a = { 0 };
	struct fleet_conf conf;
	struct err err;
	int rc;

	if (config == NULL)
		return 1;
	rc = fleet_conf_read(config, &a, &conf, &err);
	if (rc == 0)
		rc = fleet_module(&module, &err);
	if (rc == 0)
		rc = module->guard(&conf, &err);
	arena_fini(&a);
	return rc == 0 ? 0 : command_failed("guard the change", &err);
}

/* The device's own key, also of one that is in no fleet. */
static const char *
own_key(struct command_call *c, struct arena *a)
{
	const char *given = command_option(c, "identity");
	struct config *config;
	struct str root;

	if (given != NULL)
		return given;
	config = command_config(c);
	if (config == NULL)
		return NULL;
	root = config_text(config, "fleet.root");
	while (root.len > 0 && root.ptr[root.len - 1] == '/')
		root.len--;
	return arena_printf(a, STR_FMT STR_FMT, STR_ARG(root),
	    STR_ARG(config_text(config, "fleet.ssh.host_key")))
	    .ptr;
}

/* All of it, or nothing. */
static int
fleet_unseal(struct command_call *c)
{
	const struct fleet_module *module;
	struct arena a = { 0 };
	struct buf text = { 0 };
	const char *key = own_key(c, &a);
	struct err err;
	int rc;

	if (key == NULL)
		return 1;
	rc = fleet_module(&module, &err);
	if (rc == 0)
		rc = module->unseal(key, command_arg(c, "FILE"), &text, &err);
	if (rc == 0 && text.len > 0 &&
	    (fwrite(text.ptr, 1, text.len, stdout) != text.len ||
		fflush(stdout) != 0))
		rc = err_errno(&err, "write what was opened");
	if (text.ptr != NULL)
		explicit_bzero(text.ptr, text.cap);
	buf_free(&text);
	arena_fini(&a);
	return rc == 0 ? 0 : command_failed("open the secret", &err);
}

static const struct command_option unseal_options[] = {
	{ .name = "identity",
	    .letter = 'i',
	    .arg = "FILE",
	    .help = "the SSH key that opens it, of type Ed25519 and without a "
		    "passphrase; else the device's host key" },
	{ 0 },
};

static const struct command_option enroll_options[] = {
	{ .name = "token",
	    .arg = "TOKEN",
	    .env = "MARRAM_FLEET_TOKEN",
	    .help = "a token of agents, made on the platform" },
	{ .name = "code",
	    .help = "show a code that somebody types on the platform" },
	{ 0 },
};

const struct command fleet_commands[] = {
	{ .words = "fleet enroll",
	    .args = "URL",
	    .options = enroll_options,
	    .help = "make this device one of the fleet of a platform, which "
		    "may sign in to it as root from then on",
	    .run = fleet_enroll },
	{ .words = "fleet leave",
	    .args = "",
	    .help = "take it out again: the token and the platform's key are "
		    "removed",
	    .run = fleet_leave },
	{ .words = "fleet unseal",
	    .args = "FILE",
	    .options = unseal_options,
	    .help = "show what is in a file of age that was encrypted for this "
		    "device's SSH host key, as secrets of the fleet are",
	    .run = fleet_unseal },
	{ .words = "fleet guard",
	    .args = "",
	    .hidden = true,
	    .serves = true,
	    .help = "take a change of the configuration back that nobody "
		    "confirms",
	    .run = fleet_guard },
	{ 0 },
};
