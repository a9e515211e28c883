/*
 * edge/c8y_proxy_private.h - what c8y_proxy.c, which listens, and c8y_pass.c,
 * where requests live, share.
 */
#ifndef EDGE_C8Y_PROXY_PRIVATE_H
#define EDGE_C8Y_PROXY_PRIVATE_H

#include "base/list.h"
#include "edge/bridge_link.h"
#include "edge/bridge_plan.h"
#include "edge/c8y_proxy.h"
#include "edge/c8y_token.h"
#include "net/tls.h"

struct pass;

struct c8y_proxy {
	struct loop *loop;
	struct cloud cloud;
	const char *name;
	struct arena arena;
	struct bridge_plan plan; /* where to, and as whom */
	struct bridge_link link;
	struct mqtt_client_conf way; /* how one gets there */
	struct str host;             /* for Host: */
	struct str account;          /* "Basic ..."; STR_NULL: by token */
	struct tls_server *tls;      /* NULL: in clear */
	struct c8y_token *token;
	struct loop_io io;
	struct loop_timer retry;
	struct loop_timer pause; /* descriptors have run out */
	char failed[240];        /* told last: why it does not listen */
	bool unreachable;        /* told */
	struct list passes;
	size_t n_passes, max_passes;
};

/* Takes the connection. `refused`: there are too many. */
void c8y_pass_begin(struct c8y_proxy *p, int fd, bool refused);
/* Ends all of them. */
void c8y_pass_end_all(struct c8y_proxy *p);

#endif
