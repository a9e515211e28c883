/*
 * edge/http_files.h - the file transfer service: a folder that devices put
 * files into and get them from. Part of marram-edge-http.so.
 *
 * All but http_files_is() runs on the one worker thread. A file is written
 * beside the others and takes its name when it is whole: nobody gets half of
 * one.
 */
#ifndef EDGE_HTTP_FILES_H
#define EDGE_HTTP_FILES_H

#include "net/http/call.h"

struct http_files {
	const char *dir;
	unsigned long next; /* upload; the names of those not whole */
};

/* Makes the folder, and forgets uploads that the last run did not end. */
int http_files_open(struct http_files *f, struct err *err);

/* Is it a path of ours? */
bool http_files_is(const struct http_call *c);
/* The next part of an upload; the state is in c->parts. */
bool http_files_part(struct http_files *f, struct http_call *c);
/* The request, with what is left of its body. */
void http_files_answer(struct http_files *f, struct http_call *c);
/* The request has ended; an upload that is not whole is forgotten. */
void http_files_ended(struct http_call *c);

#endif
