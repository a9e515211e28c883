/*
 * edge/command/hsm.c - `hsm`: the PKCS#11 token with the device's key. What a
 * command wants is a request (edge/hsm.h) that is answered by this process, or
 * by tedge-p11-server, as device.cryptoki.mode says.
 */
#include "edge/command.h"
#include "edge/hsm.h"

#include "base/arena.h"
#include "base/base.h"
#include "base/file.h"
#include "base/mem.h"
#include "net/token_ask.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void
add(struct buf *request, const char *name, const char *value)
{
	if (value != NULL && value[0] != '\0')
		token_add(request, name, str_of(value));
}

static const char *
setting(const struct config *c, const char *key, struct arena *a)
{
	struct str s = config_text(c, key);

	return s.len > 0 ? arena_z(a, s) : NULL;
}

/* Answers `request` into `answer`. */
static int
ask_here(const struct config *c, const struct hsm *hsm, struct str request,
    struct buf *answer, struct err *err)
{
	struct arena a = { 0 };
	struct hsm_conf conf = {
		.module = setting(c, "device.cryptoki.module_path", &a),
		.pin = setting(c, "device.cryptoki.pin", &a),
		.uri = setting(c, "device.cryptoki.uri", &a),
	};
	struct buf whole = { 0 };
	struct str rest, line;
	int rc = 0;

	hsm->answer(&conf, request, &whole);
	rest = buf_str(&whole);
	line = str_cut(&rest, '\n');
	if (!str_eqz(line, "ok"))
		rc = err_set(
		    err, ERR_PARAM, "%.*s", (int)line.len - 6, line.ptr + 6);
	else if (rest.len > 0)
		buf_add_str(answer, rest);
	buf_free(&whole);
	arena_fini(&a);
	return rc;
}

static int
ask(struct command_call *call, struct buf *request, const char *doing,
    struct buf *answer)
{
	struct config *c = command_config(call);
	const struct hsm *hsm;
	struct err err;
	struct str mode;
	char *path;
	int rc = 0;

	if (c == NULL)
		return 1;
	mode = config_text(c, "device.cryptoki.mode");
	if (str_eqz(mode, "socket")) {
		path = str_dupz(config_text(c, "device.cryptoki.socket_path"));
		rc = token_ask(path, buf_str(request), answer, &err);
		free(path);
	} else if (str_eqz(mode, "module")) {
		hsm = hsm_with(&err);
		rc = hsm != NULL
		    ? ask_here(c, hsm, buf_str(request), answer, &err)
		    : ERR_IO;
	} else {
		rc = err_set(&err, ERR_PARAM,
		    "device.cryptoki.mode is off: set it to module, or to "
		    "socket where tedge-p11-server has the token");
	}
	if (request->len > 0)
		explicit_bzero(request->ptr, request->len); /* PINs */
	return rc == 0 ? 0 : command_failed(doing, &err);
}

/* Prints the value of each line of that name. */
static size_t
print_lines(struct str text, const char *name)
{
	size_t n = 0;

	while (text.len > 0) {
		struct str value = str_cut(&text, '\n');

		if (!str_eqz(str_cut(&value, ' '), name))
			continue;
		printf(STR_FMT "\n", STR_ARG(value));
		n++;
	}
	return n;
}

static struct str
lines(const struct buf *b)
{
	return b->len > 0 ? buf_str(b) : STR("");
}

/* --- lists ---------------------------------------------------------------- */

static int
list(struct command_call *c, struct buf *request, const char *doing,
    const char *none)
{
	struct buf answer = { 0 };
	int rc = ask(c, request, doing, &answer);

	if (rc == 0 && print_lines(lines(&answer), "uri") == 0)
		command_say("info", "%s", none);
	buf_free(&answer);
	buf_free(request);
	return rc;
}

static int
list_tokens(struct command_call *c)
{
	struct buf request = { 0 };

	add(&request, "do", "list-tokens");
	return list(c, &request, "list the tokens",
	    "there is no token that is initialized");
}

static int
list_keys(struct command_call *c)
{
	struct buf request = { 0 };

	add(&request, "do", "list-keys");
	add(&request, "uri", command_arg(c, "URI"));
	add(&request, "label", command_option(c, "label"));
	add(&request, "id", command_option(c, "id"));
	return list(c, &request, "list the keys", "there is no such key");
}

/* --- init ----------------------------------------------------------------- */

static int
init(struct command_call *c)
{
	struct buf request = { 0 };

	add(&request, "do", "init");
	add(&request, "label", command_option(c, "token-label"));
	add(&request, "pin", command_option(c, "pin"));
	add(&request, "so-pin", command_option(c, "so-pin"));
	return list(c, &request, "initialize the token", "it has no URI");
}

/* --- create-key ----------------------------------------------------------- */

static int
write_public(const char *path, struct str pem, struct err *err)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	int rc = 0;

	if (fd < 0)
		return err_errno(err, "make %s", path);
	if (file_write_all(fd, pem) < 0)
		rc = err_errno(err, "write %s", path);
	close(fd);
	return rc;
}

static int
keep_uri(struct command_call *c, const char *cloud, struct str uri)
{
	struct config *config = command_config(c);
	const char *profile = command_option(c, "profile");
	struct err err;
	char *key;
	int rc;

	if (cloud == NULL)
		key = mem_printf("device.key_uri");
	else if (profile != NULL && profile[0] != '\0')
		key =
		    mem_printf("%s.profiles.%s.device.key_uri", cloud, profile);
	else
		key = mem_printf("%s.device.key_uri", cloud);
	rc = config_set(config, str_of(key), uri, &err);
	if (rc == 0)
		command_say("info", "%s is " STR_FMT, key, STR_ARG(uri));
	free(key);
	return rc == 0 ? 0 : command_failed("keep the key's URI", &err);
}

static int
made_key(struct command_call *c, const char *cloud, struct str answer)
{
	const char *out = command_option(c, "outfile-pubkey");
	struct str uri = token_line(answer, "uri");
	struct buf pem = { 0 };
	struct err err;
	int rc = 0;

	if (!base64_decode(&pem, token_line(answer, "pub")) || uri.len == 0) {
		err_set(&err, ERR_IO, "the answer is none");
		rc = command_failed("make a key", &err);
	}
	if (rc == 0 && str_eqz(token_line(answer, "made"), "no"))
		command_say("info", "the key is there already");
	if (rc == 0 && out != NULL &&
	    write_public(out, buf_str(&pem), &err) != 0)
		rc = command_failed("keep the public key", &err);
	if (rc == 0)
		rc = keep_uri(c, cloud, uri);
	if (rc == 0)
		printf(STR_FMT "\n", STR_ARG(buf_str(&pem)));
	buf_free(&pem);
	return rc;
}

/* "create-key [CLOUD] [URI]": which of them is given says how it begins. */
static bool
read_args(struct command_call *c, const char **cloud, const char **uri)
{
	struct cloud which;

	*cloud = command_arg(c, "CLOUD");
	*uri = command_arg(c, "URI");
	if (*cloud != NULL && strncmp(*cloud, "pkcs11:", 7) == 0) {
		if (*uri != NULL)
			return false;
		*uri = *cloud;
		*cloud = NULL;
	}
	return *cloud == NULL || command_cloud(c, *cloud, &which);
}

static int
create_key(struct command_call *c)
{
	const char *type = command_option(c, "type"), *cloud, *uri;
	struct buf request = { 0 }, answer = { 0 };
	int rc;

	if (strcmp(type, "rsa") != 0 && strcmp(type, "ecdsa") != 0)
		return command_wrong(c, "type", "it must be ecdsa or rsa");
	if (!read_args(c, &cloud, &uri))
		return 1;
	add(&request, "do", "create-key");
	add(&request, "uri", uri);
	add(&request, "token-label", command_option(c, "token-label"));
	add(&request, "label", command_option(c, "label"));
	add(&request, "id", command_option(c, "id"));
	add(&request, "type", type);
	add(&request, "size",
	    command_option(c, strcmp(type, "rsa") == 0 ? "bits" : "curve"));
	add(&request, "pin", command_option(c, "pin"));
	add(&request, "so-pin", command_option(c, "so-pin"));
	add(&request, "new",
	    command_option(c, "force-new") != NULL ? "yes" : NULL);
	rc = ask(c, &request, "make a key", &answer);
	if (rc == 0)
		rc = made_key(c, cloud, lines(&answer));
	buf_free(&request);
	buf_free(&answer);
	return rc;
}

/* --- change-pin, delete-key ----------------------------------------------- */

static int
change_pin(struct command_call *c)
{
	const char *so_pin = command_option(c, "so-pin");
	bool reset = command_option(c, "reset") != NULL;
	struct buf request = { 0 }, answer = { 0 };
	int rc;

	if (reset && so_pin == NULL) {
		command_say("error",
		    "--reset needs --so-pin, the PIN of the security officer");
		return 2;
	}
	add(&request, "do", "change-pin");
	add(&request, "uri", command_arg(c, "URI"));
	add(&request, "new-pin", command_option(c, "new-pin"));
	add(&request, "pin", command_option(c, "current-pin"));
	if (reset)
		add(&request, "so-pin", so_pin);
	rc = ask(c, &request, "change the PIN", &answer);
	if (rc == 0)
		command_say("info",
		    "the PIN is changed: set device.cryptoki.pin to it where "
		    "the token is used");
	buf_free(&request);
	buf_free(&answer);
	return rc;
}

/* True: yes. Where nobody can answer, no. */
static bool
is_wanted(const char *what)
{
	char line[16];

	if (!isatty(STDIN_FILENO)) {
		command_say("error",
		    "%s: that can not be undone; --force says that it is meant",
		    what);
		return false;
	}
	fprintf(stderr, "%s. That can not be undone. Go on? [y/N] ", what);
	return fgets(line, sizeof(line), stdin) != NULL &&
	    (line[0] == 'y' || line[0] == 'Y');
}

static int
delete_key(struct command_call *c)
{
	struct buf request = { 0 }, answer = { 0 };
	int rc;

	if (command_arg(c, "URI") == NULL &&
	    command_option(c, "label") == NULL &&
	    command_option(c, "id") == NULL) {
		command_say(
		    "error", "which key is meant? URI, --label or --id");
		return 2;
	}
	if (command_option(c, "force") == NULL &&
	    !is_wanted("a private key is deleted"))
		return 1;
	add(&request, "do", "delete-key");
	add(&request, "uri", command_arg(c, "URI"));
	add(&request, "label", command_option(c, "label"));
	add(&request, "id", command_option(c, "id"));
	rc = ask(c, &request, "delete the key", &answer);
	if (rc == 0)
		print_lines(lines(&answer), "uri");
	buf_free(&request);
	buf_free(&answer);
	return rc;
}

/* -------------------------------------------------------------------------- */

#define LABEL(d, h)                                                            \
	{                                                                      \
		.name = "label", .arg = "LABEL", .def = (d), .help = h         \
	}
#define ID                                                                     \
	{                                                                      \
		.name = "id", .arg = "HEX",                                    \
		.help = "the key's id, in hexadecimal digits"                  \
	}
#define PIN                                                                    \
	{                                                                      \
		.name = "pin", .arg = "PIN", .env = "HSM_PIN",                 \
		.help = "the PIN of the token's user; that of "                \
			"device.cryptoki.pin where it is not given"            \
	}
#define SO_PIN                                                                 \
	{                                                                      \
		.name = "so-pin", .arg = "PIN", .env = "HSM_SO_PIN",           \
		.help = "the PIN of the token's security officer; as the "     \
			"user's where it is not given"                         \
	}
#define TOKEN_LABEL                                                            \
	{                                                                      \
		.name = "token-label", .arg = "LABEL",                         \
		.help = "the token of this label"                              \
	}

static const struct command_option init_options[] = {
	{ .name = "token-label",
	    .arg = "LABEL",
	    .def = "tedge",
	    .help = "how the token is to be called" },
	PIN,
	SO_PIN,
	{ 0 },
};

static const struct command_option list_keys_options[] = {
	LABEL(NULL, "keys of this label alone"),
	ID,
	{ 0 },
};

static const struct command_option create_key_options[] = {
	LABEL("tedge", "how the key is to be called"),
	ID,
	{ .name = "type",
	    .arg = "TYPE",
	    .def = "ecdsa",
	    .help = "ecdsa or rsa" },
	{ .name = "bits",
	    .arg = "BITS",
	    .def = "2048",
	    .help = "of an RSA key: 2048, 3072 or 4096" },
	{ .name = "curve",
	    .arg = "CURVE",
	    .def = "p256",
	    .help = "of an ECDSA key: p256 or p384" },
	PIN,
	SO_PIN,
	TOKEN_LABEL,
	{ .name = "force-new",
	    .help = "do not take a key of that label that is there" },
	{ .name = "outfile-pubkey",
	    .arg = "FILE",
	    .help = "write the public key there, too" },
	{ .name = "profile",
	    .arg = "NAME",
	    .env = "TEDGE_CLOUD_PROFILE",
	    .help = "of that cloud" },
	{ 0 },
};

static const struct command_option change_pin_options[] = {
	{ .name = "new-pin",
	    .arg = "PIN",
	    .env = "HSM_NEW_PIN",
	    .required = true,
	    .help = "the new PIN of the token's user" },
	{ .name = "current-pin",
	    .arg = "PIN",
	    .env = "HSM_PIN",
	    .help = "the present one; device.cryptoki.pin where it is not "
		    "given" },
	{ .name = "reset",
	    .help = "the present one is not known: the security officer sets "
		    "a new one" },
	SO_PIN,
	{ 0 },
};

static const struct command_option delete_key_options[] = {
	LABEL(NULL, "the key of this label"),
	ID,
	{ .name = "force", .help = "do not ask" },
	{ 0 },
};

const struct command hsm_commands[] = {
	{ .words = "hsm init",
	    .args = "",
	    .options = init_options,
	    .help = "initialize an empty PKCS#11 token, and print its URI",
	    .run = init },
	{ .words = "hsm list-tokens",
	    .args = "",
	    .help = "print the URI of each PKCS#11 token",
	    .run = list_tokens },
	{ .words = "hsm list-keys",
	    .args = "[URI]",
	    .options = list_keys_options,
	    .help = "print the URI of each private key",
	    .run = list_keys },
	{ .words = "hsm create-key",
	    .args = "[CLOUD] [URI]",
	    .options = create_key_options,
	    .help = "make the device's private key in a token, or take the one "
		    "that is there, and set device.key_uri to it; prints the "
		    "public key",
	    .run = create_key },
	{ .words = "hsm change-pin",
	    .args = "[URI]",
	    .options = change_pin_options,
	    .help = "change the PIN of a token",
	    .run = change_pin },
	{ .words = "hsm delete-key",
	    .args = "[URI]",
	    .options = delete_key_options,
	    .help = "delete a private key and its public one",
	    .run = delete_key },
	{ 0 },
};
