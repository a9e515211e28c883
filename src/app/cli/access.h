/*
 * app/cli/access.h - `fleet access`: a tunnel to a device between standard
 * input and output, as ssh's ProxyCommand wants it.
 */
#ifndef APP_CLI_ACCESS_H
#define APP_CLI_ACCESS_H

#include "app/cli/command.h"

/* For ssh that the platform runs itself: `fleet access --socket PATH --pass
 * TOKEN`. True: it was that, and `*status` is the exit status. Before all
 * else, as it reads no settings. */
bool access_by_socket(int argc, char **argv, int *status);

extern const struct record access_record;
#define ACCESS_SPEC "device! host:o port:p token:t"
int run_access(struct cli *cli, const struct cli_value *values);

#endif
