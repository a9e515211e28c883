/*
 * edge/command.h - the commands of `tedge`: every one said once, in a row.
 *
 * From the rows come the reading of arguments, --help of each level, what a
 * wrong call is told (exit status 2), the shells' completions and the reference
 * page. Files that hold commands have an array of them; command.c lists the
 * arrays.
 */
#ifndef EDGE_COMMAND_H
#define EDGE_COMMAND_H

#include "edge/config.h"

#include <stdbool.h>

struct command_option {
	const char *name; /* "profile": --profile */
	char letter;      /* 'q': -q; 0: none */
	const char *arg;  /* "NAME"; NULL: it is a switch */
	const char *env;  /* a variable that stands in for it; NULL: none */
	const char *def;  /* as typed; NULL: none */
	bool repeats, required;
	const char *help;
};

struct command_call;

struct command {
	const char *words; /* "cert create" */
	const char *args;  /* "TOPIC MESSAGE", "[CLOUD]"; "": none; a last one
			    * with "..." takes the rest */
	const struct command_option *options; /* name NULL ends; NULL: none */
	bool hidden;                          /* not in --help */
	bool serves; /* runs until it is told to end, and logs at info */
	const char *help;
	/* Its exit status: 0, 1 it failed, or what the command's page says. */
	int (*run)(struct command_call *c);
};

/* Arrays end with words NULL. */
extern const struct command fleet_commands[];
extern const struct command config_commands[], cert_commands[],
    connect_commands[], mqtt_commands[], run_commands[], http_commands[],
    upload_commands[], diag_commands[], part_commands[], init_commands[],
    completions_commands[], bridge_commands[], mapper_commands[],
    hsm_commands[];

/* --- within run() -------------------------------------------------------- */

/* NULL: not given. Of a switch: "". */
const char *command_arg(const struct command_call *c, const char *name);
const char *command_option(const struct command_call *c, const char *name);
size_t command_options(
    const struct command_call *c, const char *name, const char *const **ret);
/* In the call itself: not by its variable or its default. */
bool command_was_given(const struct command_call *c, const char *name);
/* What was given for the last argument, that with "...". */
size_t command_rest(const struct command_call *c, const char *const **ret);
const char *command_config_dir(const struct command_call *c);
/* Opens the settings at the first call. NULL: what was wrong is told, and the
 * command returns 1. The call's own. */
struct config *command_config(struct command_call *c);
/* "c8y" with --profile: checks that there is such a cloud. Else it has told. */
bool command_cloud(struct command_call *c, const char *name, struct cloud *ret);

/* On standard error: what is wrong with the value of an option, and how the
 * call is to be. Returns 2. */
int command_wrong(
    const struct command_call *c, const char *option, const char *why);
/* The same of an argument. */
int command_wrong_arg(
    const struct command_call *c, const char *arg, const char *why);
/* The value of an option as a number, or as a time in ms; `*ret` is untouched
 * where it was not given. False: it was told that it is none; return 2. */
bool command_number(const struct command_call *c, const char *option,
    int64_t min, int64_t max, int64_t *ret);
bool command_ms(const struct command_call *c, const char *option, int64_t *ret);

/* The MIME type of a file, by its ending. */
const char *command_file_type(const char *path);

/* On standard error: "Error: failed to DOING" and "Caused by:" with the
 * sentence. Returns 1. */
int command_failed(const char *doing, const struct err *err);
/* "title... " and then a tick or a cross; on standard error. */
void command_step(const char *title);
void command_step_done(bool ok);
void command_say(const char *kind, const char *fmt, ...) /* "warning" */
    __attribute__((format(printf, 2, 3)));

/* The whole program: argv[0] may be any of its names. */
int command_main(int argc, char **argv);

#endif
