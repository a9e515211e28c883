/*
 * core/route/enrol.h - devices that sign in by themselves, with a key that many
 * of them were given.
 *
 * The key opens the door once. A device brings a secret of its own with it,
 * which only it knows, and from then on its id is let in with that secret
 * alone: whoever has the key can add a device, and be none that is there.
 */
#ifndef CORE_ROUTE_ENROL_H
#define CORE_ROUTE_ENROL_H

#include "core/route/private.h"

#define ENROL_PREFIX "edge."
#define ENROL_SECRET_MIN 32 /* letters */
#define ENROL_ID_MAX 128

struct enrol_claim {
	struct str user;     /* edge.UNIT.GATEWAY.ID */
	struct str password; /* SECRET or SECRET:KEY */
	bool certified;      /* the user is proven; no password */
};

typedef bool enrol_password(
    void *ctx, const struct route_account *account, struct str password);

/* The parts of such a user name; false: it is none. */
bool enrol_user(
    struct str user, struct str *unit, struct str *gateway, struct str *id);
/* Is this the id of a gateway of Linux devices? */
bool enrol_gateway(
    struct route *r, struct arena *a, struct str id, struct route_gateway *ret);
/* 1: the device is let in, by the row `*ret`, which was made if need be. 0: it
 * is not. `fits` checks the key against the gateway's account. [a worker] */
int enrol_check(struct route *r, struct arena *a, const struct enrol_claim *c,
    enrol_password *fits, void *ctx, struct route_enrolment *ret);

#endif
