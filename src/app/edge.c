/*
 * app/edge.c - marram-edge, the program on the device. It answers to the names
 * of thin-edge.io, too: see edge/command.c.
 */
#include "edge/command.h"

#include <signal.h>

int
main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	return command_main(argc, argv);
}
