/*
 * plug/target/test_nixos.h - a NixOS machine that is a folder, as far as a
 * deployment sees it: its store, its /run, and what it boots; and a repository
 * whose flake makes systems of three files. Nix is real, with a store of the
 * test's own; sshd is not there: `ssh` is a program of the test.
 */
#ifndef PLUG_TARGET_TEST_NIXOS_H
#define PLUG_TARGET_TEST_NIXOS_H

#include "base/arena.h"
#include "base/str.h"

/* NULL, or what is missing here. */
const char *test_nixos_missing(void);

/* Versions of the one configuration: two that are good, one whose activation
 * fails half-way, and one that can not be built. */
void test_nixos_make(const char *dir, char commits[4][41]);

/* Programs here: Nix has the store of the test. */
const char *const *test_nixos_here(
    const char *dir, const char *const *argv, struct arena *a);
const char *const *test_nixos_argv(
    const char *dir, const char *const *argv, struct arena *a);
void test_nixos_look(const char *dir, struct buf *out);
/* There is a systemd-run; see systemd_run.py. */
void test_nixos_systemd(const char *dir);
void test_nixos_restart(const char *dir);
void test_nixos_disturb(const char *dir);
/* Whether `ssh` finds it. */
void test_nixos_away(const char *dir, bool away);

#endif
