/*
 * base/err.h - a code for programs, a sentence for people.
 *
 * A function that can fail returns 0 or a negative err_code and takes
 * `struct err *err` last; NULL is fine for callers that need no sentence.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

enum err_code {
	ERR_INTERNAL = -1, /* our bug */
	ERR_PARAM = -2,    /* the caller's or the user's mistake */
	ERR_NOT_FOUND = -3,
	ERR_EXISTS = -4,
	ERR_DENIED = -5,
	ERR_PROTO = -6,  /* the peer broke the protocol */
	ERR_LIMIT = -7,  /* a quota or a configured maximum was reached */
	ERR_AGAIN = -8,  /* nothing was done; try when told */
	ERR_CLOSED = -9, /* the other side went away */
	ERR_IO = -10,    /* the system refused; the sentence has strerror() */
	ERR_CANCELLED = -11, /* somebody does not want it any more */
	ERR_TIMEOUT = -12,   /* it took longer than it may */
};

struct err {
	int code;
	char text[240]; /* cut, never overrun: "load site.json5: line 7: ..." */
};

/* Each records a sentence and returns the code, so that a failing branch is
 * one line: `return err_set(err, ERR_PARAM, "qos %d", qos);` */
int err_set(struct err *err, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* ERR_IO with ": " and strerror(errno) behind the sentence. */
int err_errno(struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Puts context and ": " before the sentence; returns the code it has. */
int err_wrap(struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
