/*
 * core/hub/rest.c - standing still while the store is exchanged.
 *
 *              hub_pause()          nothing waits to be written
 *    RUNS ------------------> PAUSING -------------------------> RESTS
 *     ^                          | too long                        |
 *     +--------------------------+            hub_resume(),        |
 *     +------------------------------------------------------------+
 *                                  everything is read again, if it changed
 *
 *    PAUSING   messages stay in hub->heard; timers and rules go on
 *    RESTS     the loop's thread waits; no one but the restore uses the store
 */
#include "core/hub/private.h"

#include "base/base.h"

#include <time.h>

#define PAUSE_S 30

struct store *
hub_store(struct hub *h)
{
	return h->store;
}

struct metric *
hub_metric(struct hub *h)
{
	return h->metric;
}

void
hub_backups(struct hub *h, hub_backup *begin, void *ctx)
{
	h->backup = begin;
	h->backup_ctx = ctx;
}

bool
hub_is_pausing(struct hub *h)
{
	bool is;

	pthread_mutex_lock(&h->lock);
	is = h->rest == HUB_PAUSING;
	pthread_mutex_unlock(&h->lock);
	return is;
}

static int
read_again(struct hub *h, struct err *err)
{
	int rc;

	hub_forget(h);
	writer_forget(h);
	rc = hub_load(h, err);
	if (rc == 0 && h->begun)
		hub_begin(h);
	return rc;
}

/* What came meanwhile. */
static void
take_in(struct hub *h)
{
	if (!h->intake_waits)
		return;
	h->intake_waits = false;
	heard_run(&h->heard_post);
}

void
hub_maybe_rest(struct hub *h)
{
	bool rested = false;

	if (h->writing || h->n_reading > 0 || h->gathers->n > 0 ||
	    h->gathers->n_points > 0 || h->gathers->done != NULL)
		return;
	pthread_mutex_lock(&h->lock);
	if (h->rest == HUB_PAUSING) {
		rested = true;
		h->rest = HUB_RESTS;
		pthread_cond_broadcast(&h->rest_cond);
		while (h->rest == HUB_RESTS)
			pthread_cond_wait(&h->rest_cond, &h->lock);
	}
	pthread_mutex_unlock(&h->lock);
	if (!rested)
		return;
	h->rest_rc = h->rest_changed ? read_again(h, &h->rest_err) : 0;
	pthread_mutex_lock(&h->lock);
	h->rest = HUB_RUNS;
	pthread_cond_broadcast(&h->rest_cond);
	pthread_mutex_unlock(&h->lock);
	take_in(h);
}

static void
on_pause(struct hub *h, struct str id)
{
	(void)id;
	writer_kick(h);
	hub_maybe_rest(h);
}

/* It is no more pausing. */
static void
on_go_on(struct hub *h, struct str id)
{
	(void)id;
	take_in(h);
}

int
hub_pause(struct hub *h, struct err *err)
{
	struct timespec until;
	int rc = 0;

	if (!h->running)
		return 0;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PAUSE_S;
	pthread_mutex_lock(&h->lock);
	h->rest = HUB_PAUSING;
	hub_post(h, on_pause, STR(""));
	while (rc == 0 && h->rest == HUB_PAUSING)
		rc = pthread_cond_timedwait(&h->rest_cond, &h->lock, &until);
	if (h->rest != HUB_PAUSING) {
		rc = 0;
	} else {
		h->rest = HUB_RUNS;
		hub_post(h, on_go_on, STR(""));
		rc = err_set(err, ERR_AGAIN,
		    "what passes could not all be written within %d s: try "
		    "again when less is under way",
		    PAUSE_S);
	}
	pthread_mutex_unlock(&h->lock);
	return rc;
}

int
hub_resume(struct hub *h, bool changed, struct err *err)
{
	int rc;

	if (!h->running)
		return changed ? read_again(h, err) : 0;
	pthread_mutex_lock(&h->lock);
	h->rest_changed = changed;
	h->rest = HUB_READS;
	pthread_cond_broadcast(&h->rest_cond);
	while (h->rest == HUB_READS)
		pthread_cond_wait(&h->rest_cond, &h->lock);
	rc = h->rest_rc;
	if (rc != 0)
		*err = h->rest_err;
	pthread_mutex_unlock(&h->lock);
	return rc;
}
