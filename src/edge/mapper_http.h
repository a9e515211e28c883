/*
 * edge/mapper_http.h - what a mapper asks for by HTTP: a few requests at a
 * time, the others wait; files go through a file of their own, never through
 * memory.
 */
#ifndef EDGE_MAPPER_HTTP_H
#define EDGE_MAPPER_HTTP_H

#include "base/loop.h"
#include "base/str.h"

#include <stdint.h>

struct mapper_http;
struct fetch_conf;

/* `folder`, which is copied, is for files on their way. `conf` says whom to
 * trust and what to show; its texts are borrowed. `done` is called once
 * for each request, never before the call that made it returns; with status 0
 * and a sentence where there was no answer. */
struct mapper_http *mapper_http_new(struct loop *loop, struct str folder,
    const struct fetch_conf *conf,
    void (*done)(void *ctx, uint64_t tag, int status, struct str body),
    void *ctx);
/* Ends what is on its way; done() is not called. NULL is fine. */
void mapper_http_free(struct mapper_http *h);

/* As mapper_host.http and mapper_host.carry. */
void mapper_http_ask(struct mapper_http *h, uint64_t tag, const char *method,
    struct str url, struct str type, struct str body);
void mapper_http_carry(struct mapper_http *h, uint64_t tag, struct str from,
    struct str to, struct str type);

#endif
