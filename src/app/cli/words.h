/*
 * app/cli/words.h - what was typed: options and their values, and help.
 */
#ifndef APP_CLI_WORDS_H
#define APP_CLI_WORDS_H

#include "app/cli/command.h"
#include "base/err.h"
#include "base/str.h"

/* One for each option of the command, in its order. */
struct cli_value {
	const struct cli_option *option;
	bool given;
	struct strs
	    words; /* lent from argv; empty when the value was left out */
};

/* An option that is understood behind every command, besides its own. */
struct cli_common {
	const char *name;    /* "url" */
	char letter;         /* 0: none */
	const char **target; /* where its value goes */
};

/* Reads the words behind a command. `*ret` is in `a`. 1: help was asked for.
 * ERR_PARAM: `err` says what is wrong, or what is required and missing.
 * `common` ends with name NULL and may be NULL. */
int cli_words_read(const struct cli_command *c, const struct cli_common *common,
    int argc, char **argv, struct arena *a, struct cli_value **ret,
    struct err *err);

/* The value of an option by its name; NULL: it was not given. */
const struct cli_value *cli_given(const struct cli_command *c,
    const struct cli_value *values, const char *name);
/* Its first word; STR_NULL: not given, or without a value. */
struct str cli_text(const struct cli_command *c, const struct cli_value *values,
    const char *name);

/* "Usage: ..." of one command, and the verbs of a group. */
void cli_help_command(
    struct buf *out, const char *program, const struct cli_command *c);
void cli_help_group(struct buf *out, const char *program,
    const struct cli_commands *all, struct str group);

#endif
