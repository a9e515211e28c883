/*
 * app/cli/cli.h - what the commands of the command line have in common.
 */
#ifndef APP_CLI_CLI_H
#define APP_CLI_CLI_H

#include "app/cli/session.h"
#include "app/cli/words.h"
#include "app/settings.h"

struct cli {
	const char *program; /* the name it was called by, without folders */
	bool old_name;       /* that is sylvia-iot-coremgr-cli */
	const char *file;    /* -f, --file; NULL: none */
	const char *url;     /* --url; NULL: none */
	struct cli_common common[3];
	struct settings settings;
	struct conf *conf;
	struct session session;
	const struct cli_command *command; /* the one that runs */
	struct arena arena;
	int64_t began; /* clock_mono() */
};

void cli_init(struct cli *cli, const char *argv0);
/* Reads the settings, and begins the session. */
int cli_open(struct cli *cli, struct err *err);
void cli_fini(struct cli *cli);

/* Each tells the end of a command on stderr and returns the exit status. */
int cli_ok(const struct cli *cli);
int cli_refused(const struct cli *cli, const struct fetched *r);
int cli_failed(const struct cli *cli, const struct err *err);
/* `hint` is the command whose --help helps: "unit add". */
int cli_misused(const struct cli *cli, const char *hint, const struct err *err);

/* The password: `typed`, or of the variable MARRAM_PASSWORD, or asked for on
 * the terminal. It is in the arena. ERR_PARAM: there is no terminal. */
int cli_password(
    struct cli *cli, struct str typed, struct str *ret, struct err *err);

#endif
