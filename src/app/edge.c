/*
 * app/edge.c - marram-edge, the program on the device. It answers to the names
 * of thin-edge.io, too: see edge/command.c.
 */
#include "edge/command.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>

#define STACK (512 << 10) /* bytes, of each thread */
#define KEEP (128 << 10)  /* bytes of free heap; what is over goes back */

/* A device may have 16 MiB. Its threads are few, and wait most of the time: one
 * heap is enough for all, and none needs the 8 MiB of stack that they would
 * reserve, which a limit of memory counts. */
static void
be_small(void)
{
	pthread_attr_t attr;

	(void)mallopt(M_ARENA_MAX, 1);
	(void)mallopt(M_MMAP_THRESHOLD, KEEP);
	(void)mallopt(M_TRIM_THRESHOLD, KEEP);
	if (pthread_attr_init(&attr) != 0)
		return;
	if (pthread_attr_setstacksize(&attr, STACK) == 0)
		(void)pthread_setattr_default_np(&attr);
	(void)pthread_attr_destroy(&attr);
}

int
main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	be_small();
	return command_main(argc, argv);
}
