/*
 * edge/device_key.h - where the device's private key is: in its file, or in a
 * PKCS#11 token (device.cryptoki.*).
 */
#ifndef EDGE_DEVICE_KEY_H
#define EDGE_DEVICE_KEY_H

#include "base/arena.h"
#include "edge/config.h"

struct device_key {
	const char *path; /* the file; with a token its URI, "pkcs11:..." */
	bool in_token;
	const char *module; /* its library, or "unix:PATH" (net/tls.h); NULL:
			     * as the system is set up */
	const char *pin;    /* NULL: none */
};

/* Of a cloud, or (`cloud` NULL) of the device. Texts in `a`. ERR_PARAM: a
 * setting is missing; the sentence names it. */
int device_key(const struct config *c, const struct cloud *cloud,
    struct arena *a, struct device_key *ret, struct err *err);

#endif
