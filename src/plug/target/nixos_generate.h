/*
 * plug/target/nixos_generate.h - the files of a repository that NixOS is built
 * from.
 *
 *    flake.nix                  inputs, and a system for each configuration
 *    hosts/{id}/{type}.nix      what a configuration sets in a module
 *    tags/{id}/{type}.nix       what a tag sets
 *    modules/{type}.nix         the Nix functions of modules that are in use
 *    modules/{type}.defaults.nix  and what their settings are when unset
 *    modules/site.nix           where this server is
 *    modules/base/...           what every device has, when no input `thymis`
 *                               brings it
 *
 * The files of hosts/ and tags/ hold only data: values written by codec/nix.
 */
#ifndef PLUG_TARGET_NIXOS_GENERATE_H
#define PLUG_TARGET_NIXOS_GENERATE_H

#include "plug/target/target.h"

/* See target.generate. A module that can not be written becomes a file that
 * ends its evaluation with the reason, so that nothing is built without it. */
int nixos_generate(const struct fleet_state *s,
    const struct fleet_catalog *modules, const struct target_site *site,
    target_emit *emit,
    void (*fault)(void *ctx, struct str where, struct str what), void *ctx,
    struct err *err);

#endif
