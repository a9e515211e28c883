/*
 * app/cli/cli.c - the command groups: from argv to an exit status.
 */
#include "app/cli/cli.h"

#include "app/app.h"
#include "app/cli/access.h"
#include "app/cli/fleet_deploy.h"
#include "app/cli/output.h"
#include "app/cli/request.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/file.h"
#include "codec/url.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

extern char **environ;

#define OLD_NAME "sylvia-iot-coremgr-cli"

/* --- common parts -------------------------------------------------------- */

void
cli_init(struct cli *cli, const char *argv0)
{
	const char *slash = strrchr(argv0, '/');

	*cli = (struct cli){ .program = slash != NULL ? slash + 1 : argv0,
		.began = clock_mono() };
	cli->old_name = strcmp(cli->program, OLD_NAME) == 0;
	cli->common[0] = (struct cli_common){ "file", 'f', &cli->file };
	if (!cli->old_name)
		cli->common[1] = (struct cli_common){ "url", 0, &cli->url };
}

static void
tell_warning(void *ctx, const char *text)
{
	const struct cli *cli = ctx;

	/* a file for the server has more in it than concerns us */
	if (strstr(text, "coremgrCli") != NULL)
		fprintf(stderr, "%s: %s\n", cli->program, text);
}

/* All three bases below one address. */
static void
use_url(struct cli *cli, const char *url)
{
	struct str base = str_of(url);
	struct cli_conf *c = &cli->settings.cli;

	while (base.len > 0 && base.ptr[base.len - 1] == '/')
		base.len--;
	c->auth = arena_printf(&cli->arena, STR_FMT "/auth", STR_ARG(base));
	c->coremgr =
	    arena_printf(&cli->arena, STR_FMT "/coremgr", STR_ARG(base));
	c->data = arena_printf(&cli->arena, STR_FMT "/data", STR_ARG(base));
}

/* MARRAM_URL stands for the three bases where nothing else was said of them. */
static void
use_variable(struct cli *cli)
{
	static const char *const keys[] = { "coremgrCli.auth",
		"coremgrCli.coremgr", "coremgrCli.data" };
	const char *url = getenv("MARRAM_URL");

	if (cli->old_name || url == NULL || url[0] == '\0')
		return;
	for (size_t i = 0; i < COUNT_OF(keys); i++)
		if (conf_source_of(cli->conf, keys[i]) != CONF_DEFAULT)
			return;
	use_url(cli, url);
}

int
cli_open(struct cli *cli, struct err *err)
{
	int rc = 0;

	if (sodium_init() < 0 || curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
		return err_set(err, ERR_INTERNAL, "a library did not start");
	cli->conf = settings_new(&cli->settings);
	conf_environ(cli->conf, environ);
	if (cli->file != NULL)
		rc = settings_read(cli->conf, cli->file, err);
	if (rc == 0)
		rc = conf_apply(cli->conf, err);
	if (rc != 0)
		return rc;
	conf_warnings(cli->conf, tell_warning, cli);
	if (cli->url != NULL)
		use_url(cli, cli->url);
	else
		use_variable(cli);
	session_init(&cli->session, &cli->settings.cli, cli->old_name);
	return 0;
}

void
cli_fini(struct cli *cli)
{
	session_fini(&cli->session);
	if (cli->conf != NULL)
		curl_global_cleanup();
	conf_free(cli->conf);
	arena_fini(&cli->arena);
}

static long long
took(const struct cli *cli)
{
	return (long long)(clock_mono() - cli->began);
}

int
cli_ok(const struct cli *cli)
{
	fflush(stdout);
	fprintf(stderr, "OK (%lld ms)\n", took(cli));
	return 0;
}

int
cli_refused(const struct cli *cli, const struct fetched *r)
{
	struct buf b = { 0 };

	output_error(&b, r);
	fflush(stdout);
	fprintf(stderr, "Error (%lld ms): %s\n", took(cli), buf_z(&b));
	buf_free(&b);
	return 1;
}

int
cli_failed(const struct cli *cli, const struct err *err)
{
	struct buf b = { 0 };

	json_quote(&b, str_of(err->text));
	fflush(stdout);
	fprintf(stderr, "Error (%lld ms): {\"code\":\"%s\",\"message\":%s}\n",
	    took(cli), err->code == ERR_DENIED ? "err_auth" : "err_rsc",
	    buf_z(&b));
	buf_free(&b);
	return 1;
}

int
cli_misused(const struct cli *cli, const char *hint, const struct err *err)
{
	fprintf(stderr, "%s: %s\nSee `%s%s%s --help`.\n", cli->program,
	    err->text, cli->program, hint[0] != '\0' ? " " : "", hint);
	return 2;
}

/* --- the password -------------------------------------------------------- */

#define PASSWORD_MAX 1024

static int
ask_password(struct cli *cli, int tty, struct str *ret, struct err *err)
{
	struct termios was, silent;
	char text[PASSWORD_MAX];
	ssize_t n;

	if (tcgetattr(tty, &was) < 0)
		return err_errno(err, "the terminal");
	silent = was;
	silent.c_lflag &= ~(tcflag_t)ECHO;
	/* quiet first: it also throws away what was typed before */
	tcsetattr(tty, TCSAFLUSH, &silent);
	dprintf(tty, "Password: ");
	do
		n = read(tty, text, sizeof(text));
	while (n < 0 && errno == EINTR);
	tcsetattr(tty, TCSAFLUSH, &was);
	dprintf(tty, "\n");
	if (n < 0)
		return err_errno(err, "read the password");
	while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
		n--;
	*ret = arena_str(&cli->arena, (struct str){ text, (size_t)n });
	sodium_memzero(text, sizeof(text));
	return 0;
}

int
cli_password(
    struct cli *cli, struct str typed, struct str *ret, struct err *err)
{
	const char *variable = getenv("MARRAM_PASSWORD");
	int tty, rc;

	if (typed.ptr != NULL || variable != NULL) {
		*ret = typed.ptr != NULL ? typed : str_of(variable);
		return 0;
	}
	tty = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	if (tty < 0)
		return err_set(err, ERR_PARAM,
		    "no password: give it by -p, or in the variable "
		    "MARRAM_PASSWORD, or start this on a terminal");
	rc = ask_password(cli, tty, ret, err);
	close(tty);
	return rc;
}

/* --- commands that are no route ------------------------------------------ */

/* Prints what the server answered, and tells the end. */
static int
show(struct cli *cli, const struct fetched *r)
{
	struct buf out = { 0 };
	struct str name;
	struct err err;

	if (r->status >= 300)
		return cli_refused(cli, r);
	if (str_starts(r->type, STR("text/csv"))) {
		if (output_save(r, &cli->arena, &name, &err) != 0)
			return cli_failed(cli, &err);
		fprintf(stderr, "saved as " STR_FMT "\n", STR_ARG(name));
		return cli_ok(cli);
	}
	if (r->body.len > 0 && !output_json(&out, r->body))
		buf_add_str(&out, r->body);
	if (out.len > 0)
		fwrite(out.ptr, 1, out.len, stdout);
	buf_free(&out);
	if (fflush(stdout) != 0) {
		err_errno(&err, "write the answer");
		return cli_failed(cli, &err);
	}
	return cli_ok(cli);
}

static int
finish(struct cli *cli, int rc, const struct fetched *r, const struct err *err)
{
	return rc == 0 ? show(cli, r) : cli_failed(cli, err);
}

struct login {
	struct str account, password;
};
static const struct field login_fields[] = {
	F_TEXT(struct login, account, "account", .help = "Who signs in."),
	F_TEXT(struct login, password, "password", .flags = FIELD_SECRET,
	    .help = "The password. Else MARRAM_PASSWORD, else it is asked "
		    "for."),
	{ 0 },
};
static const struct record login_record = { "login", sizeof(struct login),
	login_fields };

static int
run_login(struct cli *cli, const struct cli_value *values)
{
	const struct cli_command *c = cli->command;
	struct str password;
	struct fetched r;
	struct err err;
	int rc;

	if (cli_password(
		cli, cli_text(c, values, "password"), &password, &err) != 0)
		return cli_misused(cli, c->group, &err);
	cli->began = clock_mono(); /* typing takes its time */
	rc = session_login(&cli->session, cli_text(c, values, "account"),
	    password, &cli->arena, &r, &err);
	return finish(cli, rc, &r, &err);
}

static int
run_refresh(struct cli *cli, const struct cli_value *values)
{
	struct fetched r;
	struct err err;
	int rc = session_refresh(&cli->session, &cli->arena, &r, &err);

	(void)values;
	return finish(cli, rc, &r, &err);
}

/* --- files: backups, firmware --------------------------------------------- */

struct carried {
	struct str id, file, name;
};
#define F struct carried
#define WHICH_ROW(json, text) F_TEXT(F, id, json, .help = text)
#define FILE_ROW(text) F_TEXT(F, file, "file", .help = text)
#define NAME_ROW                                                               \
	F_TEXT(F, name, "name",                                                \
	    .help = "What it is called there; left out: as here.")
static const struct field backup_download_fields[] = {
	WHICH_ROW("backup", "Which backup."),
	FILE_ROW("Where it is written; not there yet. Left out: the backup's "
		 "name with .zip, here."),
	{ 0 },
};
static const struct record backup_download = { "download", sizeof(F),
	backup_download_fields };
static const struct field artifact_upload_fields[] = {
	WHICH_ROW("unit", "The unit whose file it is."),
	FILE_ROW("The file."),
	NAME_ROW,
	{ 0 },
};
static const struct record artifact_upload = { "cliArtifactUpload", sizeof(F),
	artifact_upload_fields };
static const struct field backup_upload_fields[] = {
	FILE_ROW("The zip file."),
	NAME_ROW,
	{ 0 },
};
static const struct record backup_upload = { "upload", sizeof(F),
	backup_upload_fields };
static const struct field firmware_download_fields[] = {
	WHICH_ROW("id", "Which one."),
	FILE_ROW("Where it is written; not there yet."),
	{ 0 },
};
static const struct record firmware_download = { "download", sizeof(F),
	firmware_download_fields };
static const struct field firmware_upload_fields[] = {
	WHICH_ROW("id", "Which one."),
	FILE_ROW("The file; takes the place of the one that is there."),
	NAME_ROW,
	{ 0 },
};
static const struct record firmware_upload = { "upload", sizeof(F),
	firmware_upload_fields };

/* GET {prefix}{id}/file into a file. */
static int
download(struct cli *cli, const char *prefix, struct str id, struct str file)
{
	struct fetch f = { .method = "GET" };
	struct buf path = { 0 };
	struct fetched r;
	struct err err;
	char *name;
	int rc;

	name = arena_z(&cli->arena, file);
	f.to = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (f.to < 0) {
		err_errno(&err, "create %s", name);
		return cli_failed(cli, &err);
	}
	buf_addz(&path, prefix);
	url_encode(&path, id);
	buf_addz(&path, "/file");
	rc = session_fetch(
	    &cli->session, &f, buf_str(&path), &cli->arena, &r, &err);
	if (close(f.to) < 0 && rc == 0)
		rc = err_errno(&err, "write %s", name);
	if (rc != 0 || r.status != 200)
		unlink(name);
	else
		printf("%s\n", name);
	buf_free(&path);
	return finish(cli, rc, &r, &err);
}

/* POST of what is in a file; its name goes behind `path`, which is freed. */
static int
upload(struct cli *cli, struct buf *path, const char *type,
    const struct cli_value *values)
{
	const struct cli_command *c = cli->command;
	char *file = arena_z(&cli->arena, cli_text(c, values, "file"));
	struct str name = cli_text(c, values, "name");
	struct fetch f = { .method = "POST", .type = type };
	const char *slash = strrchr(file, '/');
	struct buf body = { 0 };
	struct fetched r;
	struct err err;
	int rc;

	if (name.len == 0)
		name = str_of(slash != NULL ? slash + 1 : file);
	buf_addz(path, "?name=");
	url_encode(path, name);
	rc = file_read(file, &body, &err);
	f.body = buf_str(&body);
	if (rc == 0)
		rc = session_fetch(
		    &cli->session, &f, buf_str(path), &cli->arena, &r, &err);
	buf_free(path);
	buf_free(&body);
	return finish(cli, rc, &r, &err);
}

#define BACKUP "/hub/api/v1/backup/"
#define FIRMWARE "/hub/api/v1/firmware/"

static int
run_backup_download(struct cli *cli, const struct cli_value *values)
{
	const struct cli_command *c = cli->command;
	struct str id = cli_text(c, values, "backup");
	struct str file = cli_text(c, values, "file");

	if (file.len == 0)
		file = arena_printf(&cli->arena, STR_FMT ".zip", STR_ARG(id));
	return download(cli, BACKUP, id, file);
}

/* A file of a unit of the fleet. */
static int
run_artifact_upload(struct cli *cli, const struct cli_value *values)
{
	const struct cli_command *c = cli->command;
	char *file = arena_z(&cli->arena, cli_text(c, values, "file"));
	struct str name = cli_text(c, values, "name");
	struct fetch f = { .method = "PUT", .type = FETCH_BYTES };
	const char *slash = strrchr(file, '/');
	struct buf body = { 0 }, path = { 0 };
	struct fetched r;
	struct err err;
	int rc;

	buf_addz(&path, "/fleet/api/v1/artifact/");
	url_encode(&path,
	    name.len > 0 ? name : str_of(slash != NULL ? slash + 1 : file));
	buf_addz(&path, "?unit=");
	url_encode(&path, cli_text(c, values, "unit"));
	rc = file_read(file, &body, &err);
	f.body = body.len > 0 ? buf_str(&body) : STR("");
	if (rc == 0)
		rc = session_fetch(
		    &cli->session, &f, buf_str(&path), &cli->arena, &r, &err);
	buf_free(&path);
	buf_free(&body);
	return finish(cli, rc, &r, &err);
}

static int
run_backup_upload(struct cli *cli, const struct cli_value *values)
{
	struct buf path = { 0 };

	buf_addz(&path, BACKUP "upload");
	return upload(cli, &path, FETCH_ZIP, values);
}

static int
run_firmware_download(struct cli *cli, const struct cli_value *values)
{
	const struct cli_command *c = cli->command;

	return download(cli, FIRMWARE, cli_text(c, values, "id"),
	    cli_text(c, values, "file"));
}

static int
run_firmware_upload(struct cli *cli, const struct cli_value *values)
{
	struct buf path = { 0 };

	buf_addz(&path, FIRMWARE);
	url_encode(&path, cli_text(cli->command, values, "id"));
	buf_addz(&path, "/file");
	return upload(cli, &path, FETCH_BYTES, values);
}

static const struct cli_local locals[] = {
	{ "artifact", "upload", "Puts a file there, or in the place of one.",
	    &artifact_upload, "unit:u! file! name:n", run_artifact_upload },
	{ "backup", "download", "Writes a backup into a file.",
	    &backup_download, "backup:i! file:o", run_backup_download },
	{ "backup", "upload", "Takes a zip file there as a backup.",
	    &backup_upload, "file! name:n", run_backup_upload },
	{ "fleet", "access",
	    "A tunnel to a device, by its agent, between standard input and "
	    "output: for ssh -o ProxyCommand.",
	    &access_record, ACCESS_SPEC, run_access },
	{ "firmware", "upload", "Uploads the file of a firmware.",
	    &firmware_upload, "id:i! file! name:n", run_firmware_upload },
	{ "firmware", "download", "Writes the file of a firmware into a file.",
	    &firmware_download, "id:i! file:o!", run_firmware_download },
	{ "login", "", "Signs in and keeps the tokens for later commands.",
	    &login_record, "account:a! password:p", run_login },
	{ "auth", "refresh", "Exchanges the refresh token for new tokens.",
	    NULL, NULL, run_refresh },
	CLI_FLEET_DEPLOY_ROWS,
	{ 0 },
};

/* --- the rest ------------------------------------------------------------ */

static int
call_route(struct cli *cli, const struct cli_value *values)
{
	const struct cli_command *c = cli->command;
	struct cli_request req;
	struct fetched r;
	struct err err;
	char *hint;
	int rc;

	if (cli_request_build(c, values, &cli->arena, &req, &err) != 0) {
		hint = arena_z(&cli->arena,
		    arena_printf(&cli->arena, "%s %s", c->group, c->verb));
		return cli_misused(cli, hint, &err);
	}
	rc = session_call(&cli->session, req.method, req.path, req.body,
	    &cli->arena, &r, &err);
	return finish(cli, rc, &r, &err);
}

static int
run_command(struct cli *cli, const struct cli_command *c, int argc, char **argv)
{
	struct cli_value *values;
	struct buf b = { 0 };
	struct err err;
	char *hint;
	int rc;

	rc = cli_words_read(
	    c, cli->common, argc, argv, &cli->arena, &values, &err);
	if (rc == 1) {
		cli_help_command(&b, cli->program, c);
		fputs(buf_z(&b), stdout);
		buf_free(&b);
		return 0;
	}
	hint = arena_z(&cli->arena,
	    arena_printf(&cli->arena, "%s%s%s", c->group,
		c->verb[0] != '\0' ? " " : "", c->verb));
	if (rc != 0)
		return cli_misused(cli, hint, &err);
	if (cli_open(cli, &err) != 0)
		return cli_misused(cli, hint, &err);
	cli->command = c;
	return c->run != NULL ? c->run(cli, values) : call_route(cli, values);
}

/* Shorter words under the new name. */
static const struct {
	const char *word, *group, *verb, *help;
} aliases[] = {
	{ "logout", "auth", "logout", "sign out: the same as auth logout" },
	{ "token", "auth", "tokeninfo", "the same as auth tokeninfo" },
};

static void
help_all(const struct cli *cli, const struct cli_commands *all, FILE *to)
{
	const char *last = "";

	fprintf(to,
	    "Usage: %s [-f FILE]%s <command> <sub-command> [options]\n\n",
	    cli->program, cli->old_name ? "" : " [--url URL]");
	if (!cli->old_name) {
		fprintf(to,
		    "The platform:\n"
		    "  serve                start it\n"
		    "  demo                 make a unit with simulated "
		    "devices\n"
		    "  mqtt passwd          set the password of an MQTT user "
		    "in a file\n"
		    "  config               print settings and API: sample, "
		    "reference, openapi\n\n");
	}
	fprintf(to, "Commands:\n");
	for (size_t i = 0; i < all->n; i++) {
		const char *group = all->at[i].group;
		bool seen = strcmp(group, last) == 0;

		for (size_t k = 0; !seen && k < i; k++)
			seen = strcmp(group, all->at[k].group) == 0;
		last = group;
		if (seen)
			continue;
		fprintf(to, "  %-20s ", group);
		if (all->at[i].verb[0] == '\0')
			fprintf(to, "sign in and keep the tokens");
		for (size_t k = i; k < all->n; k++)
			if (strcmp(group, all->at[k].group) == 0)
				fprintf(to, "%s%s", k > i ? ", " : "",
				    all->at[k].verb);
		fprintf(to, "\n");
	}
	for (size_t i = 0; !cli->old_name && i < COUNT_OF(aliases); i++)
		fprintf(to, "  %-20s %s\n", aliases[i].word, aliases[i].help);
	fprintf(to,
	    "\nOptions:\n"
	    "  -f, --file FILE      read settings (coremgrCli) from a JSON5 "
	    "file\n");
	if (!cli->old_name)
		fprintf(to,
		    "      --url URL        where the platform is: "
		    "http://localhost:1080 (also MARRAM_URL)\n");
	fprintf(to,
	    "  -h, --help           show this, or the help of a command\n"
	    "  -V, --version        show the version\n");
}

/* What is said before the command. Returns the place of its first word, or
 * -1: `*status` is the end of it. */
static int
read_globals(struct cli *cli, int argc, char **argv,
    const struct cli_commands *all, int *status)
{
	struct err err;
	int i;

	for (i = 1; i < argc && argv[i][0] == '-'; i++) {
		struct str value = str_of(argv[i]);
		struct str name = str_cut(&value, '=');
		const char **to = NULL;

		*status = 0;
		if (strcmp(argv[i], "-h") == 0 ||
		    strcmp(argv[i], "--help") == 0) {
			help_all(cli, all, stdout);
			return -1;
		}
		if (strcmp(argv[i], "-V") == 0 ||
		    strcmp(argv[i], "--version") == 0) {
			printf("%s %s\n", cli->program, MARRAM_VERSION);
			return -1;
		}
		if (str_eqz(name, "-f") || str_eqz(name, "--file"))
			to = &cli->file;
		else if (!cli->old_name && str_eqz(name, "--url"))
			to = &cli->url;
		if (to == NULL)
			err_set(&err, ERR_PARAM, "%s: there is no such option",
			    argv[i]);
		else if (value.ptr == NULL && i + 1 == argc)
			err_set(&err, ERR_PARAM, "%s: a value must follow",
			    argv[i]);
		else {
			*to = value.ptr != NULL ? value.ptr : argv[++i];
			continue;
		}
		*status = cli_misused(cli, "", &err);
		return -1;
	}
	return i;
}

static bool
is_help(const char *word)
{
	return strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 ||
	    strcmp(word, "-h") == 0;
}

static int
help_group(const struct cli *cli, const struct cli_commands *all,
    struct str group, FILE *to)
{
	struct buf b = { 0 };

	cli_help_group(&b, cli->program, all, group);
	fputs(buf_z(&b), to);
	buf_free(&b);
	return to == stdout ? 0 : 2;
}

/* The words of one command: group, then verb unless it has none. */
static int
run_words(
    struct cli *cli, const struct cli_commands *all, int argc, char **argv)
{
	struct str group = str_of(argv[0]);
	const struct cli_command *c;
	struct err err;
	int used = 1;

	for (size_t i = 0; !cli->old_name && i < COUNT_OF(aliases); i++)
		if (str_eqz(group, aliases[i].word))
			return run_command(cli,
			    cli_command_find(all, str_of(aliases[i].group),
				str_of(aliases[i].verb)),
			    argc - 1, argv + 1);
	if (!cli->old_name && str_eqz(group, "data") && argc > 1 &&
	    argv[1][0] != '-') {
		group = arena_printf(&cli->arena, "data.%s", argv[1]);
		used = 2;
	}
	if (!cli_group_exists(all, group)) {
		err_set(&err, ERR_PARAM, STR_FMT ": there is no such command",
		    STR_ARG(group));
		return cli_misused(cli, "", &err);
	}
	c = cli_command_find(all, group, STR(""));
	if (c != NULL)
		return run_command(cli, c, argc - used, argv + used);
	if (argc == used)
		return help_group(cli, all, group, stderr);
	if (is_help(argv[used]) && argc == used + 1)
		return help_group(cli, all, group, stdout);
	c = cli_command_find(all, group, str_of(argv[used]));
	if (c != NULL)
		return run_command(cli, c, argc - used - 1, argv + used + 1);
	err_set(&err, ERR_PARAM, STR_FMT " %s: there is no such sub-command",
	    STR_ARG(group), argv[used]);
	return cli_misused(cli, arena_z(&cli->arena, group), &err);
}

/* "help unit add" is "unit add --help". */
static int
run_help(struct cli *cli, const struct cli_commands *all, int argc, char **argv)
{
	char *words[5] = { NULL };
	int n = 0;

	if (argc == 0) {
		help_all(cli, all, stdout);
		return 0;
	}
	while (n < argc && n < 3) {
		words[n] = argv[n];
		n++;
	}
	words[n++] = (char *)"--help";
	return run_words(cli, all, n, words);
}

int
cli_main(int argc, char **argv)
{
	/* as long as the process, like the routes it points to */
	static struct cli_commands all;
	struct cli cli;
	int at, status = 2;

	cli_init(&cli, argv[0]);
	cli_commands_init(&all, app_each_route, locals);
	at = read_globals(&cli, argc, argv, &all, &status);
	if (at == argc)
		help_all(&cli, &all, stderr);
	else if (at > 0 && strcmp(argv[at], "help") == 0)
		status = run_help(&cli, &all, argc - at - 1, argv + at + 1);
	else if (at > 0)
		status = run_words(&cli, &all, argc - at, argv + at);
	cli_fini(&cli);
	return status;
}
