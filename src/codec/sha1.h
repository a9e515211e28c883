/*
 * codec/sha1.h - SHA-1, for the handshake of WebSockets (RFC 6455), which names
 * it. It proves nothing any more: what is to be safe takes another.
 */
#ifndef CODEC_SHA1_H
#define CODEC_SHA1_H

#include "base/str.h"

#define SHA1_LEN 20

void sha1(struct str s, unsigned char digest[SHA1_LEN]);

#endif
