/*
 * app/cli/command.h - the commands of the command line, made from the routes.
 *
 * What a command can be told (its options, their types, help, which of them
 * are required) comes from the records of its route. A row of the table in
 * command.c gives a route the name and the short options it has in Sylvia-IoT;
 * every other route of the APIs below gets a command of its own:
 *
 *	POST   {object}          add       GET  {object}/{id}        get
 *	GET    {object}/count    count     PATCH                     update
 *	GET    {object}/list     list      DELETE                    delete
 *	GET    {object}/{id}/stats         stats (and so on: the words behind)
 */
#ifndef APP_CLI_COMMAND_H
#define APP_CLI_COMMAND_H

#include "base/arena.h"
#include "base/entity.h"
#include "net/http/route.h"

#include <stdbool.h>
#include <stddef.h>

/* Where a value goes. */
enum cli_place {
	CLI_LOCAL, /* nowhere: the command itself reads it */
	CLI_PATH,
	CLI_QUERY,
	CLI_DATA,   /* the body's "data", or the body if that is plain */
	CLI_BESIDE, /* the body, next to "data" */
};

/* How the words that were typed become that value. */
enum cli_form {
	CLI_PLAIN,   /* by the field's type */
	CLI_NAMES,   /* words -> {"word":true,...} */
	CLI_MS,      /* RFC 3339 -> milliseconds */
	CLI_PAYLOAD, /* hex, or text that becomes hex, as option `type` says */
	CLI_JOINED,  /* words, joined by commas */
};

struct cli_option {
	const char *name; /* long, without its dashes */
	char letter;      /* short; 0: none */
	const char *member;
	const struct field *field; /* its type and help; NULL: any text */
	enum cli_place place;
	enum cli_form form;
	bool required;
	bool many;  /* takes all words up to the next option */
	bool maybe; /* its value may be left out */
};

struct cli;
struct cli_value;

struct cli_command {
	const char *group; /* "unit" */
	const char *verb;  /* "add"; "": the group is the command */
	const char *help;
	/* Both NULL: `run` does the work itself. */
	const struct http_route *route;
	const struct http_route
	    *without; /* used when no id is given; or NULL */
	int (*run)(struct cli *cli, const struct cli_value *values);
	struct cli_option *options;
	size_t n_options;
};

struct cli_commands {
	struct cli_command *at;
	size_t n;
	struct arena arena;
	/* while they are made */
	const struct http_route **routes;
	size_t n_routes, cap_routes, cap;
};

/* A command that is no route: its options are the fields of `record`, spelled
 * as `spec` says (see command.c). */
struct cli_local {
	const char *group, *verb, *help;
	const struct record *record;
	const char *spec;
	int (*run)(struct cli *cli, const struct cli_value *values);
};

/* Makes all commands. `each` gives the routes (as app_each_route() does), which
 * must live as long as the commands; `locals` ends with group NULL and may be
 * NULL. Free with cli_commands_fini(). */
void cli_commands_init(struct cli_commands *all,
    void (*each)(
	void (*add)(void *ctx, const struct http_route *rows), void *ctx),
    const struct cli_local *locals);
void cli_commands_fini(struct cli_commands *all);

/* The one command of a cli_local, its options in `a`. */
struct cli_command cli_local_command(
    struct arena *a, const struct cli_local *local);

/* NULL: there is none. */
const struct cli_command *cli_command_find(
    const struct cli_commands *all, struct str group, struct str verb);
bool cli_group_exists(const struct cli_commands *all, struct str group);
const struct cli_option *cli_option_named(
    const struct cli_command *c, const char *name);

/* Rows of the table that found no route: for a test. */
size_t cli_rows_unmatched(
    const struct cli_commands *all, void (*each)(const char *path));

#endif
