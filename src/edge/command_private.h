/*
 * edge/command_private.h - what the files about commands share: the arrays,
 * the options of all, and the programs this one may be called as.
 */
#ifndef EDGE_COMMAND_PRIVATE_H
#define EDGE_COMMAND_PRIVATE_H

#include "edge/command.h"

#include <stdio.h>

extern const struct command *const command_arrays[]; /* NULL ends */
extern const struct command_option command_globals[];

/* Goes through all rows; start with a zero one. NULL ends. */
struct command_walk {
	size_t array, row;
};
const struct command *command_next(struct command_walk *w);

/* Does `words` begin with the whole words of `group`? "" is of every one. */
bool command_is_in(const char *words, const char *group);

/* A name this program answers to beside `tedge`. */
struct command_program {
	const char *name, *alias; /* alias NULL: none */
	const char *help;
	int usage_status; /* of a wrong call */
	/* NULL: it is not part of this version */
	int (*main)(int argc, char **argv);
};
extern const struct command_program command_programs[]; /* name NULL ends */

/* --- connect and disconnect, at the device's own broker ------------------- */

/* Is a user's mapper up, and its bridge if it has one? The exit status. */
int command_test_own(struct command_call *call, const char *name);
/* Ends the session that the broker keeps for a client, with all that waits in
 * it. ERR_AGAIN, ERR_CLOSED, ...: the broker was not reached. */
int command_forget(const struct config *c, const char *client, struct err *err);

/* One argument of a row's `args`: "NAME", "[NAME]", "NAME...", "[NAME]...". */
struct command_param {
	struct str name; /* without its marks */
	bool optional, rest;
};
/* Takes the next off `*args`; false: there is none. */
bool command_param(const char **args, struct command_param *ret);

/* --help of a command, or of a group of them ("" for all). */
void command_help(FILE *to, const struct command *row);
void command_group_help(FILE *to, const char *group);
void command_usage(FILE *to, const struct command *row);

#endif
