/*
 * net/token_ask.h - another process, behind a UNIX socket, holds a token: it
 * has the PKCS#11 library, the PIN and the right to the device.
 *
 * One request and its answer to a connection, each until its sender's end:
 * lines "name value". The first of a request is "do WHAT", the first of an
 * answer "ok", or "error SENTENCE". Who asks for what: edge/hsm.h.
 */
#ifndef NET_TOKEN_ASK_H
#define NET_TOKEN_ASK_H

#include "base/err.h"
#include "base/str.h"

#define TOKEN_ASK_MAX 65536 /* bytes of a request, or of an answer */

/* Blocks, for some seconds at most. Adds the lines behind "ok". ERR_IO: nobody
 * is there, or has answered; ERR_PARAM: what it refused with. */
int token_ask(
    const char *path, struct str request, struct buf *answer, struct err *err);
/* The value of the line of that name; STR_NULL: there is none. */
struct str token_line(struct str text, const char *name);
/* Adds a line; what has a line break in it is cut there. */
void token_add(struct buf *text, const char *name, struct str value);

#endif
