/*
 * plug/handler/noop.c - takes every message and does nothing. For trying rules
 * out, and the reference of the contract.
 */
#include "plug/handler/ops.h"

static int
noop_open(struct handler *h, const void *spec, void **ret, struct err *err)
{
	(void)spec;
	(void)err;
	*ret = h;
	return 0;
}

static void
noop_send(void *own, struct handler_job *j)
{
	(void)j;
	handler_sent(own, HANDLER_SENT, 0, 0, "");
}

const struct handler_ops handler_noop = {
	.name = "noop",
	.open = noop_open,
	.send = noop_send,
};
