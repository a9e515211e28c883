/*
 * core/rest/test_rest.h - for tests: objects over HTTP on a store of their own.
 *
 * The functions fail the test rather than return an error.
 */
#ifndef CORE_REST_TEST_REST_H
#define CORE_REST_TEST_REST_H

#include "core/rest/rest.h"
#include "net/http/test_server.h"

struct test_rest {
	struct test_server t;
	struct store *store;
	struct rest_mounts mounts;
	struct arena arena;
	struct test_reply reply; /* the last one */
};

static inline bool
test_rest_everybody(void *owner, struct http_call *c)
{
	(void)owner;
	(void)c;
	return true;
}

static inline void
test_rest_add(void *ctx, const struct http_route *rows)
{
	http_server_add(ctx, rows);
}

/* Opens the store and makes a server for `owner`; objects are mounted next,
 * then test_server_start(&r->t). */
static inline void
test_rest_open(struct test_rest *r, const struct store_conf *conf, void *owner)
{
	static const struct http_server_events ev = { .access =
							  test_rest_everybody };

	assert_int_equal(store_open(conf, &r->store, NULL), 0);
	test_server_new(&r->t, test_server_conf(), &ev, owner, 2, 64);
}

static inline void
test_rest_mount(struct test_rest *r, const struct rest_object *o,
    const char *prefix, void *module, unsigned flags)
{
	rest_mount(&r->mounts, o, prefix, r->store, module, flags,
	    test_rest_add, r->t.http);
}

/* No call comes after it; what is mounted may go before the store. */
static inline void
test_rest_stop(struct test_rest *r)
{
	test_server_stop(&r->t);
	rest_mounts_free(&r->mounts);
}

static inline void
test_rest_close(struct test_rest *r)
{
	store_close(r->store);
	arena_fini(&r->arena);
}

/* `what`: "METHOD path-below-prefix". */
static inline void
test_rest_send(struct test_rest *r, struct test_client *c, const char *prefix,
    const char *what, const char *json)
{
	const char *space = strchr(what, ' ');

	test_send(c,
	    arena_printf(&r->arena,
		"%.*s %s%s HTTP/1.1\r\nHost: x\r\n"
		"Content-Type: application/json\r\n"
		"Content-Length: %zu\r\n\r\n%s",
		(int)(space - what), what, prefix, space + 1,
		json != NULL ? strlen(json) : 0, json != NULL ? json : "")
		.ptr);
}

static inline void
test_rest_call(
    struct test_rest *r, const char *prefix, const char *what, const char *json)
{
	struct test_client c = test_connect(&r->t);

	test_rest_send(r, &c, prefix, what, json);
	r->reply = test_read(&c, &r->arena, false);
	test_close(&c);
}

static inline bool
test_rest_says(const struct test_rest *r, const char *part)
{
	return strstr(r->reply.body.ptr, part) != NULL;
}

#endif
