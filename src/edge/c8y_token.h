/*
 * edge/c8y_token.h - the device's token of Cumulocity (a JWT), which the cloud
 * gives over the bridge to who asks: nothing to PREFIX/s/uat, "71,TOKEN" on
 * PREFIX/s/dat. It is kept until shortly before it expires; so is one that
 * another program of the device has asked for.
 */
#ifndef EDGE_C8Y_TOKEN_H
#define EDGE_C8Y_TOKEN_H

#include "base/err.h"
#include "base/list.h"
#include "base/loop.h"
#include "net/mqtt/client.h"

struct c8y_token;

/* Embedded in who waits for it. */
struct c8y_token_ask {
	/* `why` is NULL when there is a token, which is lent. */
	void (*done)(
	    struct c8y_token_ask *a, struct str token, const struct err *why);
	struct list link; /* the token's own; zero before the first time */
};

/* Subscribes; borrows the client, which must outlive it. */
struct c8y_token *c8y_token_new(
    struct loop *loop, struct mqtt_client *client, struct str prefix);
/* Nobody may wait any more. NULL is fine. */
void c8y_token_free(struct c8y_token *t);

/* The one that is kept, lent until the loop turns; STR_NULL: there is none. */
struct str c8y_token_kept(struct c8y_token *t);
/* A new one; who asks meanwhile gets the same. `done` is called once, never
 * before this returns: with ERR_CLOSED if none has come within 10 s. */
void c8y_token_ask(struct c8y_token *t, struct c8y_token_ask *a);
void c8y_token_cancel(struct c8y_token_ask *a); /* one that waits, or not */
/* The cloud has refused `used`: it is not kept any more. */
void c8y_token_refused(struct c8y_token *t, struct str used);

/* For how many seconds is a JWT good, of which it says so by its own clock? 0:
 * it does not say. */
int64_t c8y_token_life(struct str token);

#endif
