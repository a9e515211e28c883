/*
 * edge/hsm.h - a PKCS#11 token: its keys, made, listed, used and deleted.
 *
 * What is wanted is a request of net/token_ask.h. It is answered here where
 * this process has the token (device.cryptoki.mode = "module"), and by
 * tedge-p11-server (edge/hsm_server.c) where that has it ("socket"): so
 * `tedge hsm` is the same for both.
 *
 *    do ping
 *    do about [uri]                 pk, bits, pss, pub (base64 of PEM)
 *    do sign [uri] algorithm data|hash          signature (all in base64)
 *    do list-tokens                             uri ... (a line for each)
 *    do list-keys [uri] [label] [id]            uri ...
 *    do init [label] [pin] [so-pin]             uri
 *    do create-key [uri] [token-label] label [id] type bits|curve [pin]
 *       [so-pin] [new]                          uri, pub, made yes|no
 *    do change-pin [uri] [token-label] new-pin [pin] [so-pin]
 *    do delete-key [uri] [label] [id]           uri ... of what is gone
 */
#ifndef EDGE_HSM_H
#define EDGE_HSM_H

#include "base/err.h"
#include "base/str.h"

struct hsm_conf {
	const char *module; /* NULL: as the system is set up */
	const char *pin;    /* where the request has none; NULL: none */
	const char *uri;    /* the same */
};

struct hsm {
	/* Answers a request, with the line "ok" or "error SENTENCE" first. */
	void (*answer)(const struct hsm_conf *conf, struct str request,
	    struct buf *answer);
};

extern const struct hsm hsm_here; /* within the module */

/* NULL: the module can not be loaded; the sentence says why. */
const struct hsm *hsm_with(struct err *err);

#endif
