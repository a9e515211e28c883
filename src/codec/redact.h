/*
 * codec/redact.h - output of programs without the secrets in it.
 *
 * What is known to be secret is given; the rest is found by its form: a
 * password in a URL, a Bearer token, access-tokens of Nix, tokens of the large
 * forges and of Thymis, secret keys of age, PEM blocks of private keys.
 */
#ifndef CODEC_REDACT_H
#define CODEC_REDACT_H

#include "base/str.h"

#include <stdbool.h>

/* Zero-initialise. What lasts from one line to the next. */
struct redact {
	bool in_key; /* between BEGIN and END of a private key */
};

#define REDACTED "[secret]"

/* Adds `line`, which has no end, to `out`. `secrets` (may be empty) are texts
 * of at least 8 bytes; shorter ones are ignored. */
void redact_line(
    struct redact *r, struct str line, struct strs secrets, struct buf *out);

#endif
