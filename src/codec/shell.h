/*
 * codec/shell.h - text that has to go through a POSIX shell, and arrive as it
 * is.
 *
 * Programs are run with argument vectors here. Only where a shell is in the
 * way, as behind ssh, is text quoted for it; and only by these.
 */
#ifndef CODEC_SHELL_H
#define CODEC_SHELL_H

#include "base/str.h"

#include <stdbool.h>

/* Adds `word` so that any POSIX shell takes it as one word and as nothing
 * else: plain where that is safe, else in single quotes. False, with nothing
 * added: it has a NUL, which no program can be given. */
bool shell_quote(struct buf *out, struct str word);
/* Words with spaces between; NULL ends. */
void shell_command(struct buf *out, const char *const *argv);

/* Adds `text` as what `printf %b` makes that text of again, without white
 * space, quotes or anything else that a shell would look at: letters, digits
 * and "/_.,:@+-" stay, all else becomes "\0ooo". */
void shell_escape(struct buf *out, struct str text);

#endif
