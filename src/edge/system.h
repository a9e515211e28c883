/*
 * edge/system.h - the machine below: system.toml, which says how services are
 * started and stopped, how the machine is rebooted, and whose files are.
 *
 * Without that file it is systemd, if this machine was booted by it. Without
 * any service manager the parts of marram-edge are told directly, over its
 * control socket, and those that are enabled start with it.
 */
#ifndef EDGE_SYSTEM_H
#define EDGE_SYSTEM_H

#include "base/arena.h"
#include "base/log.h"
#include "codec/toml.h"
#include "edge/config.h"

enum system_do {
	SYSTEM_IS_AVAILABLE,
	SYSTEM_RESTART,
	SYSTEM_STOP,
	SYSTEM_START,
	SYSTEM_ENABLE,
	SYSTEM_DISABLE,
	SYSTEM_IS_ACTIVE,
	SYSTEM_N_DO,
};

struct system {
	const struct config *config;              /* borrowed */
	const char *file;                         /* system.toml */
	const char *manager;                      /* "systemd" */
	const char *const *commands[SYSTEM_N_DO]; /* argv; "{}": the service */
	const char *user, *group;
	const char *const *reboot; /* argv */
	int64_t reboot_timeout_ms;
	const struct toml *log; /* [log], checked; NULL: there is none */
};

/* Texts in `a`; borrows `c`. ERR_PARAM: the file can not be read, or says what
 * it may not; the sentence names it. */
int system_read(const struct config *c, struct arena *a, struct system *ret,
    struct err *err);

/* What [log] says of a program; `none` where it does not name it. */
enum log_level system_log_level(
    const struct system *s, struct str program, enum log_level none);

/* How that is done: argv in `a`. */
const char *const *system_argv(const struct system *s, enum system_do what,
    const char *service, struct arena *a);

/* Does its service manager run? May take some ms. */
bool system_is_available(const struct system *s);

/* Does it to the service, and waits for that. ERR_CLOSED: there is neither a
 * service manager nor a marram-edge that runs; enabling and disabling its parts
 * goes well all the same. ERR_IO: it failed, and why. */
int system_service(const struct system *s, enum system_do what,
    const char *service, struct err *err);
bool system_is_active(const struct system *s, const char *service);

#endif
