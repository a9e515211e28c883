/*
 * core/route/enrol.h - devices that sign in by themselves, with a key that many
 * of them were given.
 *
 * The key opens the door once. A device brings something of its own with it: a
 * secret that only it knows, or a certificate, whose key only it has. From then
 * on its id is let in with that alone: whoever has the key can add a device,
 * and be none that is there.
 *
 * A certificate that is signed by who may, and is for the whole user name,
 * needs no key at all; and one that somebody has noted by its thumbprint does
 * not, either. Who is blocked stays outside whatever it shows.
 */
#ifndef CORE_ROUTE_ENROL_H
#define CORE_ROUTE_ENROL_H

#include "core/route/private.h"

#define ENROL_PREFIX "edge."
#define ENROL_SECRET_MIN 32 /* letters */
#define ENROL_ID_MAX 128

struct enrol_claim {
	struct str user;     /* edge.UNIT.GATEWAY.ID */
	struct str password; /* SECRET or SECRET:KEY; with a certificate it may
			      * be :KEY, or nothing */
	struct str cert_key, thumbprint; /* net/tls.h; empty: none was shown */
	bool certified;                  /* the user is proven; no password */
};

typedef bool enrol_password(
    void *ctx, const struct route_account *account, struct str password);

/* The parts of such a user name; false: it is none. */
bool enrol_user(
    struct str user, struct str *unit, struct str *gateway, struct str *id);
/* Can it be the id of such a device? */
bool enrol_is_id(struct str id);
/* Is this the id of a gateway of Linux devices? */
bool enrol_gateway(
    struct route *r, struct arena *a, struct str id, struct route_gateway *ret);
/* 1: the device is let in, by the row `*ret`, which was made if need be. 0: it
 * is not. `fits` checks the key against the gateway's account. [a worker] */
int enrol_check(struct route *r, struct arena *a, const struct enrol_claim *c,
    enrol_password *fits, void *ctx, struct route_enrolment *ret);

#endif
