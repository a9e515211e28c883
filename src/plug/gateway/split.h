/*
 * plug/gateway/split.h - bytes into lines. Zero-initialise.
 */
#ifndef PLUG_GATEWAY_SPLIT_H
#define PLUG_GATEWAY_SPLIT_H

#include "base/str.h"

struct split {
	struct buf part; /* a line whose end has not come */
	bool used;       /* `part` was a line and was handed out */
	bool skipping;   /* it is too long: up to its end nothing counts */
};

enum split_result {
	SPLIT_MORE,    /* all is taken, more is needed */
	SPLIT_LINE,    /* a line, without its end; lent until the next call */
	SPLIT_DROPPED, /* one over `max` bytes was passed over, once for each */
};

/* Takes bytes from the front of `*bytes`. Lines end with "\n" or "\r\n"; empty
 * ones are passed over. */
enum split_result split_next(
    struct split *s, struct str *bytes, size_t max, struct str *line);
void split_reset(struct split *s);
void split_fini(struct split *s);

#endif
