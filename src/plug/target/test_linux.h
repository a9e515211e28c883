/*
 * plug/target/test_linux.h - a Linux machine that is a folder: {dir}/root, with
 * the programs of device.py; and a repository, {dir}/repository.
 */
#ifndef PLUG_TARGET_TEST_LINUX_H
#define PLUG_TARGET_TEST_LINUX_H

#include "base/arena.h"
#include "base/str.h"

/* Texts of linux.json: two that are good, one that fails half-way, and one
 * that can not be. */
extern const char test_linux_first[], test_linux_second[], test_linux_bad[],
    test_linux_impossible[];

void test_linux_make(const char *dir);
void test_linux_commit(const char *dir, const char *json, char commit[41]);
const char *const *test_linux_argv(
    const char *dir, const char *const *argv, struct arena *a);
void test_linux_look(const char *dir, struct buf *out);
/* Kills the processes of the device, which have its MARRAM_ROOT: all, or those
 * of a script that was given `command` first. How many? */
int test_linux_kill(const char *dir, const char *command);
/* There is a systemd-run; see systemd_run.py. */
void test_linux_systemd(const char *dir);
void test_linux_restart(const char *dir);
void test_linux_disturb(const char *dir);

/* Of the test: runs a program, and gives its exit and what it wrote. */
int test_run(const char *dir, const char *const *argv, struct str input,
    struct arena *a, struct str *out, struct str *error);
void test_read(const char *path, struct buf *out);

#endif
