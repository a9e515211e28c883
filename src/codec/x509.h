/*
 * codec/x509.h - the one thing that is asked of a certificate before there is
 * TLS: whose it is.
 */
#ifndef CODEC_X509_H
#define CODEC_X509_H

#include "base/str.h"

#include <stdbool.h>

/* Adds the common name (CN) of the subject of the first certificate in `pem`.
 * False, with nothing added: there is none that can be read. Nothing is
 * verified. */
bool x509_common_name(struct str pem, struct buf *out);

#endif
