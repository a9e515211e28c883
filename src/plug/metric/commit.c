/*
 * plug/metric/commit.c - see commit.h.
 */
#include "plug/metric/commit.h"

#include <errno.h>

void
commits_init(struct commits *c, bool sync)
{
	*c = (struct commits){ .sync = sync };
	c->last = &c->first;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->progress, NULL);
}

void
commits_fini(struct commits *c)
{
	pthread_cond_destroy(&c->progress);
	pthread_mutex_destroy(&c->lock);
}

static uint64_t
reached(const struct commits *c, const struct journal_progress *p)
{
	return c->sync ? p->synced : p->written;
}

void
commits_tell(struct commits *c)
{
	struct metric_commit *one, *list = NULL, **tail = &list;
	struct journal_progress p;
	struct err why;

	pthread_mutex_lock(&c->lock);
	if (c->journal == NULL) {
		pthread_mutex_unlock(&c->lock);
		return;
	}
	journal_progress(c->journal, &p);
	while ((one = c->first) != NULL &&
	    (one->group <= reached(c, &p) || p.error == ERR_IO)) {
		c->first = one->next;
		*tail = one;
		tail = &one->next;
	}
	if (c->first == NULL)
		c->last = &c->first;
	*tail = NULL;
	pthread_cond_broadcast(&c->progress);
	pthread_mutex_unlock(&c->lock);

	if (p.error == ERR_IO)
		err_set(&why, ERR_IO, "%s", p.text);
	while ((one = list) != NULL) {
		bool done = one->group <= reached(c, &p);

		list = one->next; /* done() may use it again */
		one->done(one, done ? 0 : ERR_IO, done ? NULL : &why);
	}
}

int
commits_append(struct commits *c, struct str record,
    struct metric_commit *commit, uint64_t *segment, struct err *err)
{
	int rc;

	/* It joins the list before anyone can look for its group. */
	pthread_mutex_lock(&c->lock);
	rc = journal_append(c->journal, c->sync ? JOURNAL_DISK : JOURNAL_OS,
	    &record, 1, &c->group, segment);
	if (rc == 0 && commit != NULL) {
		commit->group = c->group;
		commit->next = NULL;
		*c->last = commit;
		c->last = &commit->next;
	}
	if (rc == 0)
		journal_kick(c->journal);
	pthread_mutex_unlock(&c->lock);
	if (rc == ERR_AGAIN)
		return err_set(err, rc, "the log is slower than the points");
	if (rc == ERR_LIMIT)
		return err_set(err, ERR_PARAM, "too many points at once");
	return rc == 0 ? 0 : err_set(err, ERR_IO, "the metric log failed");
}

struct timespec
time_from_now(int64_t ms)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_nsec += ms % 1000 * 1000000;
	t.tv_sec += ms / 1000 + t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	return t;
}

int
commits_wait(struct commits *c, int64_t timeout_ms, struct err *err)
{
	struct timespec until = time_from_now(timeout_ms);
	struct journal_progress p;
	int rc = 0;

	pthread_mutex_lock(&c->lock);
	while (rc == 0) {
		journal_progress(c->journal, &p);
		if (reached(c, &p) >= c->group)
			break;
		if (p.error == ERR_IO)
			rc = err_set(err, ERR_IO, "%s", p.text);
		else if (pthread_cond_timedwait(
			     &c->progress, &c->lock, &until) == ETIMEDOUT)
			rc = err_set(err, ERR_AGAIN,
			    "the metric log is not written yet: %s", p.text);
	}
	pthread_mutex_unlock(&c->lock);
	return rc;
}
