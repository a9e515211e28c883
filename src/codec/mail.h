/*
 * codec/mail.h - an e-mail message as it is handed to a mail server (RFC 5322,
 * RFC 2047, RFC 2045).
 */
#ifndef CODEC_MAIL_H
#define CODEC_MAIL_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

#define MAIL_ADDRESS_MAX 254

/* "ann@example.com" or "Ann Smith <ann@example.com>" in its parts, as they
 * stand; without a name `name` is empty. False when it is neither, or has
 * anything that could end a header or an SMTP command. */
bool mail_address(struct str text, struct str *name, struct str *address);

struct mail {
	struct str from; /* as mail_address() takes them */
	struct strs to;
	struct str subject; /* line ends in it become spaces */
	struct str body;    /* UTF-8, lines end with "\n" or "\r\n" */
	int64_t date_ms;
	struct str message_id; /* without "<>" */
};

/* Adds the message, lines ended by "\r\n", in ASCII only. ERR_PARAM: an address
 * is none, and the sentence names it. */
int mail_write(struct buf *out, const struct mail *m, struct err *err);

#endif
