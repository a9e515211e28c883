/*
 * plug/gateway/log.h - the message log: a line for each message that passed.
 * Private to this folder.
 *
 *	2026-05-01T10:00:00.120Z TAB Recd TAB topic TAB payload
 *
 * Without a topic that column is left out. Control characters, and bytes that
 * are not UTF-8, are written as \xNN, a backslash as \\. The disk is touched on
 * a thread only; what it can not keep up with is dropped, and a line says how
 * many.
 */
#ifndef PLUG_GATEWAY_LOG_H
#define PLUG_GATEWAY_LOG_H

#include "plug/gateway/gateway.h"
#include "base/secret.h"

struct gateway_log;

extern const struct record gateway_log_record; /* `messageLogger` */

/* `*ret` is NULL when there is to be none. `secrets` is borrowed. */
int gateway_log_open(const struct gateway_conf *conf,
    const struct gateway_host *host, const struct secrets *secrets,
    struct gateway_log **ret, struct err *err);
void gateway_log_put(struct gateway_log *l, bool sent, struct str topic,
    struct str data); /* NULL: nothing */
/* What was put is still written, later. NULL is fine. */
void gateway_log_close(struct gateway_log *l);

#endif
