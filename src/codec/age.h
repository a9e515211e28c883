/*
 * codec/age.h - files of age (age-encryption.org/v1): encrypted for an SSH key,
 * or by a passphrase.
 *
 * What other programs of the format write is read, and theirs read what this
 * writes. Whole texts in memory; recipients of other types are passed over.
 */
#ifndef CODEC_AGE_H
#define CODEC_AGE_H

#include "base/err.h"
#include "base/str.h"
#include "codec/ssh_key.h"

/* What a passphrase costs to try, as a power of two: 2^18 takes about a second
 * on a small device; more than AGE_WORK_MAX is not read. */
#define AGE_WORK 15
#define AGE_WORK_MAX 20

/* Adds the file to `out`. For SSH keys, up to AGE_RECIPIENTS_MAX. */
#define AGE_RECIPIENTS_MAX 64
int age_encrypt_ssh(const struct ssh_public *keys, size_t n, struct str text,
    struct buf *out, struct err *err);
int age_encrypt_passphrase(struct str passphrase, unsigned work,
    struct str text, struct buf *out, struct err *err);

/* Adds what was encrypted; on an error `out` is as before. ERR_DENIED: it is
 * not for this key, or by another passphrase. ERR_PROTO: it is no such file,
 * or was changed. */
int age_decrypt_ssh(const struct ssh_private *key, struct str file,
    struct buf *out, struct err *err);
int age_decrypt_passphrase(
    struct str passphrase, struct str file, struct buf *out, struct err *err);

#endif
