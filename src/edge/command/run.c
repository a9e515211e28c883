/*
 * edge/command/run.c - `run` in the foreground, and `part`, which tells a
 * running marram-edge to start, stop or restart a part of itself.
 */
#include "edge/command.h"
#include "edge/edge.h"

#include "base/arena.h"
#include "base/base.h"

#include <stdio.h>
#include <string.h>

static int
run_parts(struct command_call *c, const char *const *parts, size_t n)
{
	const struct edge_conf conf = { .config = command_config(c),
		.log_level_given = command_option(c, "log-level") != NULL ||
		    command_option(c, "debug") != NULL,
		.broker = n == 0,
		.control = n == 0,
		.parts = n > 0 ? parts : NULL,
		.n_parts = n };
	struct err err;

	if (conf.config == NULL)
		return 1;
	return edge_run(&conf, &err) == 0 ? 0 : command_failed("run", &err);
}

/* `run all --mapper c8y --mapper az@second`: the agent and these. */
static int
run_mappers(struct command_call *c, const char *const *mappers, size_t n)
{
	struct arena a = { 0 };
	const char **parts = arena_array(&a, n + 1, const char *);
	int rc;

	parts[0] = "tedge-agent";
	for (size_t i = 0; i < n; i++)
		parts[i + 1] =
		    arena_printf(&a, "tedge-mapper-%s", mappers[i]).ptr;
	rc = run_parts(c, parts, n + 1);
	arena_fini(&a);
	return rc;
}

static int
run(struct command_call *c)
{
	const char *what = command_arg(c, "WHAT");
	const char *const *parts, *const *mappers;
	size_t n_parts = command_options(c, "part", &parts);
	size_t n_mappers = command_options(c, "mapper", &mappers);

	if (what != NULL && strcmp(what, "all") != 0)
		return command_wrong_arg(c, "WHAT",
		    "it must be all, or a program that this one is as well");
	return n_mappers > 0 ? run_mappers(c, mappers, n_mappers)
			     : run_parts(c, parts, n_parts);
}

static const struct command_option run_options[] = {
	{ .name = "part",
	    .arg = "NAME",
	    .repeats = true,
	    .help = "run this part alone, as a client of the MQTT broker that "
		    "is there" },
	{ .name = "mapper",
	    .arg = "NAME",
	    .repeats = true,
	    .help = "run the agent and this mapper, in the same way" },
	{ 0 },
};

/* --- part ---------------------------------------------------------------- */

static int
ask(struct command_call *c, const char *word, const char *name)
{
	struct config *config = command_config(c);
	struct buf out = { 0 };
	struct err err;
	char line[512], doing[600];
	int rc;

	if (config == NULL)
		return 1;
	snprintf(
	    line, sizeof(line), "%s%s%s", word, *name != '\0' ? " " : "", name);
	rc = control_ask(config, line, &out, &err);
	if (out.len > 0)
		fputs(buf_z(&out), stdout);
	buf_free(&out);
	snprintf(doing, sizeof(doing), "%s", line);
	return rc == 0 ? 0 : command_failed(doing, &err);
}

static int
part_start(struct command_call *c)
{
	return ask(c, "start", command_arg(c, "NAME"));
}

static int
part_stop(struct command_call *c)
{
	return ask(c, "stop", command_arg(c, "NAME"));
}

static int
part_restart(struct command_call *c)
{
	return ask(c, "restart", command_arg(c, "NAME"));
}

static int
part_status(struct command_call *c)
{
	return ask(c, "status", "");
}

static int
enable(struct command_call *c, bool on)
{
	struct config *config = command_config(c);
	struct str name = str_of(command_arg(c, "NAME"));
	struct buf out = { 0 };
	struct err err;
	char line[512];
	int rc;

	if (config == NULL)
		return 1;
	rc = parts_enable(config, name, on, &err);
	if (rc == 0) {
		snprintf(line, sizeof(line), "%s " STR_FMT,
		    on ? "start" : "stop", STR_ARG(name));
		rc = control_ask(config, line, &out, &err);
		if (rc == ERR_CLOSED) /* it will with its next start */
			rc = 0;
		buf_free(&out);
	}
	return rc == 0
	    ? 0
	    : command_failed(on ? "enable the part" : "disable the part", &err);
}

static int
part_enable(struct command_call *c)
{
	return enable(c, true);
}

static int
part_disable(struct command_call *c)
{
	return enable(c, false);
}

const struct command run_commands[] = {
	{ .words = "run",
	    .args = "[WHAT]",
	    .serves = true,
	    .options = run_options,
	    .help = "run the broker and every part that is enabled, in the "
		    "foreground",
	    .run = run },
	{ 0 },
};

const struct command part_commands[] = {
	{ .words = "part start",
	    .args = "NAME",
	    .help = "start a part of the running marram-edge, until it ends",
	    .run = part_start },
	{ .words = "part stop",
	    .args = "NAME",
	    .help = "stop a part",
	    .run = part_stop },
	{ .words = "part restart",
	    .args = "NAME",
	    .help = "stop a part and start it, with new settings",
	    .run = part_restart },
	{ .words = "part status",
	    .args = "",
	    .help = "show every part: its state, and why it failed",
	    .run = part_status },
	{ .words = "part enable",
	    .args = "NAME",
	    .help = "start a part now and with each start of marram-edge",
	    .run = part_enable },
	{ .words = "part disable",
	    .args = "NAME",
	    .help = "stop a part, and do not start it again",
	    .run = part_disable },
	{ 0 },
};
