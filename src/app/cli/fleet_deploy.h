/*
 * app/cli/fleet_deploy.h - `marram fleet plan, deploy, tasks, output, cancel,
 * retry`: deployments from the command line, followed until they end.
 *
 * The exit status is 0 when all went well, and 1 when not.
 */
#ifndef APP_CLI_FLEET_DEPLOY_H
#define APP_CLI_FLEET_DEPLOY_H

#include "app/cli/cli.h"

extern const struct record cli_fleet_wish, cli_fleet_tasks_query, cli_fleet_id,
    cli_fleet_drift_of;

#define CLI_FLEET_WISH                                                         \
	"unit:u! config:c+ tag:t+ device:d+ commit message:m canary "          \
	"atonce=atOnce maxfailures=maxFailures checks rollback detach?"

int cli_fleet_plan(struct cli *cli, const struct cli_value *values);
int cli_fleet_deploy(struct cli *cli, const struct cli_value *values);
int cli_fleet_tasks(struct cli *cli, const struct cli_value *values);
int cli_fleet_output(struct cli *cli, const struct cli_value *values);
int cli_fleet_drift(struct cli *cli, const struct cli_value *values);
int cli_fleet_cancel(struct cli *cli, const struct cli_value *values);
int cli_fleet_retry(struct cli *cli, const struct cli_value *values);

#define CLI_FLEET_DEPLOY_ROWS                                                  \
	{ "fleet", "plan",                                                     \
		"Shows what a deployment would change on each device. Carry "  \
		"it "                                                          \
		"out with fleet start.",                                       \
		&cli_fleet_wish, CLI_FLEET_WISH, cli_fleet_plan },             \
	    { "fleet", "deploy",                                               \
		    "Deploys a commit, and follows it until it ends.",         \
		    &cli_fleet_wish, CLI_FLEET_WISH, cli_fleet_deploy },       \
	    { "fleet", "start",                                                \
		    "Carries out what was planned, and follows it.",           \
		    &cli_fleet_id, "id:i! detach?", cli_fleet_start },         \
	    { "fleet", "tasks", "Lists the steps of deployments.",             \
		    &cli_fleet_tasks_query,                                    \
		    "unit:u! deployment device:d state", cli_fleet_tasks },    \
	    { "fleet", "output",                                               \
		    "Shows the output of a task, as long as it runs.",         \
		    &cli_fleet_id, "id:i! detach?", cli_fleet_output },        \
	    { "fleet", "drift",                                                \
		    "Asks a device in what it is not as it was deployed. "     \
		    "Exit status 1: in something.",                            \
		    &cli_fleet_drift_of, "device:d! last?", cli_fleet_drift }, \
	    { "fleet", "cancel",                                               \
		    "Ends a deployment, or that of one device, or a task.",    \
		    &cli_fleet_id, "id:i! detach?", cli_fleet_cancel },        \
	{                                                                      \
		"fleet", "retry",                                              \
		    "Deploys the same again to who did not get it: of a "      \
		    "deployment, one device of it, or a task.",                \
		    &cli_fleet_id, "id:i! detach?", cli_fleet_retry            \
	}
int cli_fleet_start(struct cli *cli, const struct cli_value *values);

#endif
