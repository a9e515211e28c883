/*
 * codec/nix.h - values, names and paths as text of the Nix language.
 *
 * Whatever a user has typed reaches a Nix file through here, as data: no byte
 * of a value can end its literal, start an expression in it, or join it to
 * what stands beside it. Every value may stand behind a function (`f x`), and
 * in a list.
 */
#ifndef CODEC_NIX_H
#define CODEC_NIX_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>

/* A text in its quotes. Nix knows no zero byte: U+FFFD stands for it. */
void nix_string(struct buf *out, struct str s);

/* A name in front of "=", in quotes unless it is an identifier. */
void nix_name(struct buf *out, struct str s);
/* An identifier that is no word of the language: a name of an argument. */
bool nix_is_identifier(struct str s);
/* Names with dots between them: `a.b."c d".e`; without expressions. */
bool nix_is_path(struct str s);

/* JSON as a value, whose lines behind the first one are `indent` deep. Sets are
 * written with paths, one line each; nulls in lists are left out. ERR_PARAM:
 * a zero byte, a name that is twice there, a number that can not be; then
 * `out` is as before. */
int nix_value(
    struct buf *out, struct str json, unsigned indent, struct err *err);

#endif
