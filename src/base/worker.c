/*
 * base/worker.c - see worker.h.
 */
#include "base/worker.h"

#include "base/err.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

struct worker_pool {
	pthread_mutex_t lock; /* guards all below but `threads` */
	pthread_cond_t work;
	struct worker_job *first, **last;
	size_t queued, queue_max;
	bool ending;

	size_t n_threads;
	pthread_t *threads;
	char name[16];
};

static void *
serve(void *arg)
{
	struct worker_pool *p = arg;

	pthread_setname_np(pthread_self(), p->name);
	pthread_mutex_lock(&p->lock);
	for (;;) {
		struct worker_job *job = p->first;

		if (job == NULL) {
			if (p->ending)
				break;
			pthread_cond_wait(&p->work, &p->lock);
			continue;
		}
		p->first = job->next;
		if (p->first == NULL)
			p->last = &p->first;
		p->queued--;
		pthread_mutex_unlock(&p->lock);
		job->run(job);
		pthread_mutex_lock(&p->lock);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

struct worker_pool *
worker_pool_new(const char *name, size_t threads, size_t queue_max)
{
	struct worker_pool *p = mem_new(struct worker_pool);

	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	p->last = &p->first;
	p->queue_max = queue_max;
	snprintf(p->name, sizeof(p->name), "%s", name);
	p->n_threads = threads;
	p->threads = mem_array(threads, sizeof(*p->threads));
	for (size_t i = 0; i < threads; i++)
		if (pthread_create(&p->threads[i], NULL, serve, p) != 0)
			abort(); /* at start, with nothing to fall back on */
	return p;
}

void
worker_pool_free(struct worker_pool *p)
{
	if (p == NULL)
		return;
	pthread_mutex_lock(&p->lock);
	p->ending = true;
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
	for (size_t i = 0; i < p->n_threads; i++)
		pthread_join(p->threads[i], NULL);
	pthread_cond_destroy(&p->work);
	pthread_mutex_destroy(&p->lock);
	free(p->threads);
	free(p);
}

int
worker_submit(struct worker_pool *p, struct worker_job *job)
{
	int rc = 0;

	job->next = NULL;
	pthread_mutex_lock(&p->lock);
	if (p->queued >= p->queue_max) {
		rc = ERR_LIMIT;
	} else {
		*p->last = job;
		p->last = &job->next;
		p->queued++;
		pthread_cond_signal(&p->work);
	}
	pthread_mutex_unlock(&p->lock);
	return rc;
}
