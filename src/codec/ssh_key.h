/*
 * codec/ssh_key.h - Ed25519 keys as OpenSSH has them: the line of a public key,
 * and the file of a private one without a passphrase.
 */
#ifndef CODEC_SSH_KEY_H
#define CODEC_SSH_KEY_H

#include "base/err.h"
#include "base/str.h"

#define SSH_ED25519 "ssh-ed25519"
#define SSH_ED25519_PUBLIC 32
#define SSH_ED25519_SECRET 64 /* the seed, and the public half behind it */
#define SSH_ED25519_BLOB 51   /* the public key as it goes over the wire */

struct ssh_public {
	unsigned char key[SSH_ED25519_PUBLIC];
};

struct ssh_private {
	unsigned char key[SSH_ED25519_SECRET];
};

/* "ssh-ed25519 AAAA...", with or without a comment. ERR_PARAM: another type, or
 * none at all. */
int ssh_public_read(struct str line, struct ssh_public *ret, struct err *err);
/* Adds the line, without comment and line end. */
void ssh_public_write(const struct ssh_public *key, struct buf *out);
void ssh_public_blob(
    const struct ssh_public *key, unsigned char blob[SSH_ED25519_BLOB]);
/* The one way to write the key of a line; a comment is dropped. In `out`. */
int ssh_public_normal(struct str line, struct buf *out, struct err *err);

/* A file as ssh-keygen writes it. ERR_PARAM: it is none, has a passphrase, or
 * holds a key of another type. */
int ssh_private_read(struct str text, struct ssh_private *ret, struct err *err);
void ssh_private_write(
    const struct ssh_private *key, struct str comment, struct buf *out);
void ssh_private_make(struct ssh_private *ret);
void ssh_private_public(const struct ssh_private *key, struct ssh_public *ret);

#endif
