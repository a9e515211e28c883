/*
 * codec/toml_private.h - what the reader tells the editor.
 *
 * What may be said of a table twice depends on how it came to be (`made`):
 *
 *    IMPLICIT   named on the way by the header of a table below it; a header of
 *               its own may follow
 *    HEADER     [it.self], or an item of [[it]]
 *    DOTTED     by a key with dots; more such keys add to it, and headers may
 *               add tables below it
 *    CLOSED     in braces, or an array in brackets: nothing is added any more
 *    ITEMS      an array made by [[it]]; more items may follow
 */
#ifndef CODEC_TOML_PRIVATE_H
#define CODEC_TOML_PRIVATE_H

#include "codec/toml.h"

enum made { IMPLICIT, HEADER, DOTTED, CLOSED, ITEMS };

/* NULL: there is none. `table` is one. */
struct toml *toml_find(const struct toml *table, struct str key);

#endif
