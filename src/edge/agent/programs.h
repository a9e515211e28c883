/*
 * edge/agent/programs.h - small programs that this one is as well: started by
 * its name as argv[0], or as `tedge run NAME`.
 *
 * They run beside the agent, most as its children, and do one thing from
 * beginning to end: so they may block, and are written plainly. They find the
 * settings in TEDGE_CONFIG_DIR, or /etc/tedge.
 */
#ifndef EDGE_AGENT_PROGRAMS_H
#define EDGE_AGENT_PROGRAMS_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "codec/toml.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

/* Rows of command_programs. */
int apt_plugin_main(int argc, char **argv);
int collect_main(int argc, char **argv);
int file_config_main(int argc, char **argv);
int file_log_main(int argc, char **argv);
int write_main(int argc, char **argv);
int watchdog_main(int argc, char **argv);
int p11_server_main(int argc, char **argv);

/* --- what they share ------------------------------------------------------ */

const char *program_config_dir(void);

/* The array `files` of plugins/NAME, its first table; NULL: there are none.
 * Texts in `a`. */
int program_files(struct arena *a, const char *name, const struct toml **ret,
    struct err *err);

/* The words that are no options, in order. An option, "--name VALUE" or
 * "--name=VALUE", is looked up in `names` (NULL ends) and its value put into
 * `values`; false: there is another, or it has no value, and that was told. A
 * lone "--" ends the options. */
bool program_args(int argc, char **argv, const char *const *names,
    const char **values, const char **words, size_t words_max, size_t *n_words);

/* "NAME: sentence" on standard error; returns `status`. */
int program_fail(int status, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Starts it; `out` reads what it writes, NULL: it has our output. 0, or errno.
 */
int program_start(const char *const *argv, pid_t *pid, FILE **out);
/* Its exit status; 4: it was killed. */
int program_wait(pid_t pid);

/* Writes the file to standard output. */
int program_cat(const char *path, struct err *err);

/* Who owns a file, and who may use it. -1, (mode_t)-1: as it was, or as new
 * files are. */
struct file_access {
	uid_t user;
	gid_t group;
	mode_t mode;
};

/* Reads names (or numbers) and an octal mode; NULL: as it was. */
int file_access_read(struct file_access *ret, const char *user,
    const char *group, const char *mode, struct err *err);

/* Replaces the file by all that `from` gives, so that a reader finds the old
 * one or the new one. ERR_DENIED: that is not permitted to us. */
int file_put(
    const char *path, int from, const struct file_access *who, struct err *err);

#endif
