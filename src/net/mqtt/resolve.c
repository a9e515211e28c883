/*
 * net/mqtt/resolve.c - see resolve.h. getaddrinfo() cannot be interrupted: a
 * request that is cancelled is left to its thread, which frees it. The lock
 * decides who was first.
 */
#include "net/mqtt/resolve.h"

#include "base/base.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/worker.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#define THREADS 2
#define QUEUE_MAX 1000

struct mqtt_resolve {
	struct worker_job job;
	struct loop_post post;
	pthread_mutex_t lock;
	struct loop *loop; /* NULL: cancelled */
	char *host;
	uint16_t port;
	mqtt_resolved *done;
	void *owner;
	int rc;
	struct addrinfo *found;
};

/* One pool for the process, made when it is first needed. */
static struct worker_pool *pool;
static pthread_once_t pool_once = PTHREAD_ONCE_INIT;

static void
make_pool(void)
{
	pool = worker_pool_new("resolve", THREADS, QUEUE_MAX);
}

static void
resolve_free(struct mqtt_resolve *r)
{
	if (r->found != NULL)
		freeaddrinfo(r->found);
	pthread_mutex_destroy(&r->lock);
	free(r->host);
	free(r);
}

static int
look_up(const char *host, uint16_t port, int flags, struct addrinfo **ret)
{
	struct addrinfo hints = {
		.ai_flags = AI_NUMERICSERV | flags,
		.ai_socktype = SOCK_STREAM,
	};
	char service[8];

	snprintf(service, sizeof(service), "%u", port);
	return getaddrinfo(host, service, &hints, ret);
}

struct addrinfo *
mqtt_resolve_numeric(const char *host, uint16_t port)
{
	struct addrinfo *ret;

	return look_up(host, port, AI_NUMERICHOST, &ret) == 0 ? ret : NULL;
}

static void
on_thread(struct worker_job *job)
{
	struct mqtt_resolve *r = container_of(job, struct mqtt_resolve, job);
	bool wanted;

	r->rc = look_up(r->host, r->port, AI_ADDRCONFIG, &r->found);
	pthread_mutex_lock(&r->lock);
	wanted = r->loop != NULL;
	if (wanted)
		loop_post(r->loop, &r->post);
	pthread_mutex_unlock(&r->lock);
	if (!wanted)
		resolve_free(r);
}

static void
on_post(struct loop_post *p)
{
	struct mqtt_resolve *r = container_of(p, struct mqtt_resolve, post);
	struct addrinfo *found = r->found;
	struct err why;

	pthread_mutex_lock(&r->lock); /* the thread has let go of it now */
	pthread_mutex_unlock(&r->lock);
	if (r->loop != NULL) {
		r->found = NULL;
		if (found == NULL)
			(void)err_set(&why, ERR_IO, "address of %s: %s",
			    r->host, gai_strerror(r->rc));
		r->done(r->owner, found, &why);
	}
	resolve_free(r);
}

struct mqtt_resolve *
mqtt_resolve_start(struct loop *loop, const char *host, uint16_t port,
    mqtt_resolved *done, void *owner)
{
	struct mqtt_resolve *r = mem_new(struct mqtt_resolve);

	(void)pthread_once(&pool_once, make_pool);
	(void)pthread_mutex_init(&r->lock, NULL);
	r->job.run = on_thread;
	r->post.run = on_post;
	r->loop = loop;
	r->host = str_dupz(str_of(host));
	r->port = port;
	r->done = done;
	r->owner = owner;
	if (worker_submit(pool, &r->job) != 0) {
		resolve_free(r);
		return NULL;
	}
	return r;
}

void
mqtt_resolve_cancel(struct mqtt_resolve *r)
{
	if (r == NULL)
		return;
	/* Whoever comes last frees it: the thread, or the post if it waits. */
	pthread_mutex_lock(&r->lock);
	r->loop = NULL;
	pthread_mutex_unlock(&r->lock);
}
