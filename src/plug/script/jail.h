/*
 * plug/script/jail.h - shuts the helper process in, for good.
 *
 * First the limits, then the engine is started, then the filter: the engine
 * needs more while it starts than it does later.
 */
#ifndef PLUG_SCRIPT_JAIL_H
#define PLUG_SCRIPT_JAIL_H

/* Descriptors above `keep` are closed, no core is dumped, the kernel takes this
 * process first when memory is short, it dies with its parent, and TZ is set to
 * the machine's time zone. */
void jail_limits(int keep);

/* From here on only a short list of system calls works, for all threads; the
 * rest fails with EPERM; and no descriptor more. NULL, or why it could not be
 * done. */
const char *jail_close(void);

/* Tries what must not work and says on standard output how it went. The number
 * of things that did work. */
int jail_check(void);

#endif
