/*
 * base/journal.c - see journal.h for the promises; this is how records get from
 * the appending thread to the disk.
 *
 *      append ──► fill ──(kick)──► the thread takes it ──► file ──► told
 *
 * There are two batches: one is filled while the thread writes the other. All
 * that both sides look at is guarded by `lock`, which is held for a memcpy()
 * and a checksum at most, never across a call that may wait for a disk.
 *
 *  (1) Which segment a record goes to is decided when it is appended: its
 *      checksum depends on it. A batch notes where its segments begin; the
 *      thread makes the files when it comes there.
 *  (2) A segment is flushed before the next one is made, and the next one with
 *      its name before it is used. So only the newest can be torn.
 *  (3) A piece of a batch that belongs to one segment is written whole or,
 * after cutting the file back to where it began, again from its beginning. (4)
 * When something was flushed since the last marker, the next write begins with
 * a marker; each batch keeps room for one before its first frame.
 */
#include "base/journal_private.h"

#include "base/base.h"
#include "base/crc32c.h"
#include "base/mem.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define KEEP_MEMORY (1u << 20) /* a larger buffer is given back when idle */

/* From `at` on, a batch belongs to a new segment. */
struct cut {
	size_t at;
	uint64_t number;
	uint32_t seed;
	char header[JOURNAL_HEADER];
};

struct batch {
	struct buf bytes; /* JOURNAL_MARK bytes of room, then frames */
	struct cut *cuts;
	size_t n_cuts, cap_cuts;
	bool any_os, any_disk; /* what its records asked for */
};

struct journal {
	struct journal_conf conf;
	pthread_t thread;

	/* the owner's, and the thread does not look at it */
	uint64_t segment, next; /* of the next record */
	uint64_t offset;        /* in that segment, about */
	uint32_t seed;
	bool unkicked; /* something was appended since the last kick */

	pthread_mutex_t lock; /* guards the following */
	pthread_cond_t wake;
	struct batch *fill;
	uint64_t group;   /* the number of what is being filled */
	size_t in_flight; /* bytes that the thread writes */
	uint64_t drop;    /* older segments are to go; 0: none asked for */
	bool idle, stop;
	struct journal_progress progress;

	_Atomic bool kicked; /* written under the lock */
	_Atomic uint64_t oldest, bytes;

	/* the thread's */
	struct batch batches[2];
	struct journal_folder folder;
	int fd;
	uint32_t file_seed;
	uint64_t end;    /* all before it is written */
	uint64_t synced; /* and all before this is on the disk */
	uint64_t marked; /* the file itself says so up to here */
};

static void
batch_reset(struct batch *b)
{
	if (b->bytes.cap > KEEP_MEMORY && b->bytes.len < b->bytes.cap / 4)
		buf_free(&b->bytes);
	buf_clear(&b->bytes);
	buf_reserve(&b->bytes, JOURNAL_MARK);
	b->bytes.len = JOURNAL_MARK;
	b->n_cuts = 0;
	b->any_os = b->any_disk = false;
}

static bool
batch_empty(const struct batch *b)
{
	return b->bytes.len == JOURNAL_MARK;
}

static void
batch_fini(struct batch *b)
{
	buf_free(&b->bytes);
	free(b->cuts);
}

/* Appending */

/* The next record begins a new segment. */
static void
cut_here(struct journal *j)
{
	struct batch *b = j->fill;
	struct cut *c;

	if (b->n_cuts == b->cap_cuts) {
		b->cap_cuts = MAX_OF(4, b->cap_cuts * 2);
		b->cuts = mem_resize(b->cuts, b->cap_cuts, sizeof(*b->cuts));
	}
	c = &b->cuts[b->n_cuts++];
	c->at = b->bytes.len;
	c->number = j->next;
	c->seed = journal_header(j->next, c->header);
	j->segment = j->next;
	j->seed = c->seed;
	j->offset = JOURNAL_HEADER;
}

static void
add_frame(struct journal *j, const struct str *pieces, size_t n, size_t len)
{
	struct buf *b = &j->fill->bytes;
	char *frame, *p;

	buf_reserve(b, JOURNAL_FRAME + len);
	frame = b->ptr + b->len;
	journal_put32(frame + 4, JOURNAL_HEAD(JOURNAL_RECORD, len));
	p = frame + JOURNAL_FRAME;
	for (size_t i = 0; i < n; i++) {
		if (pieces[i].len > 0)
			memcpy(p, pieces[i].ptr, pieces[i].len);
		p += pieces[i].len;
	}
	journal_put32(
	    frame, crc32c(j->seed, frame + 4, JOURNAL_FRAME - 4 + len));
	b->len += JOURNAL_FRAME + len;
	j->offset += JOURNAL_FRAME + len;
	j->next++;
}

/* May so many bytes more wait? One record alone always may. */
static int
check_room(const struct journal *j, size_t len)
{
	size_t waiting = j->in_flight + j->fill->bytes.len - JOURNAL_MARK;

	if (j->progress.error == ERR_IO)
		return ERR_IO;
	if (waiting > 0 && waiting + len > j->conf.pending_bytes)
		return ERR_AGAIN;
	return 0;
}

int
journal_append(struct journal *j, enum journal_level level,
    const struct str *pieces, size_t n, uint64_t *group, uint64_t *segment)
{
	uint64_t len = 0;
	int rc;

	for (size_t i = 0; i < n; i++) {
		len += pieces[i].len;
		if (len > JOURNAL_RECORD_MAX)
			return ERR_LIMIT;
	}
	pthread_mutex_lock(&j->lock);
	rc = check_room(j, JOURNAL_FRAME + len);
	if (rc == 0) {
		if (j->offset > JOURNAL_HEADER &&
		    j->offset + JOURNAL_FRAME + len > j->conf.segment_bytes)
			cut_here(j);
		add_frame(j, pieces, n, len);
		*(level == JOURNAL_DISK ? &j->fill->any_disk
					: &j->fill->any_os) = true;
		j->unkicked = true;
		if (group != NULL)
			*group = j->group;
		if (segment != NULL)
			*segment = j->segment;
	}
	pthread_mutex_unlock(&j->lock);
	if (rc == ERR_AGAIN)
		journal_kick(j);
	return rc;
}

void
journal_kick(struct journal *j)
{
	if (!j->unkicked ||
	    atomic_load_explicit(&j->kicked, memory_order_relaxed))
		return; /* the thread takes what is there when it can */
	pthread_mutex_lock(&j->lock);
	j->unkicked = false;
	atomic_store_explicit(&j->kicked, true, memory_order_relaxed);
	if (j->idle)
		pthread_cond_signal(&j->wake);
	pthread_mutex_unlock(&j->lock);
}

void
journal_progress(struct journal *j, struct journal_progress *ret)
{
	pthread_mutex_lock(&j->lock);
	*ret = j->progress;
	pthread_mutex_unlock(&j->lock);
}

uint64_t
journal_oldest(const struct journal *j)
{
	return atomic_load(&j->oldest);
}

uint64_t
journal_newest(const struct journal *j)
{
	return j->segment;
}

uint64_t
journal_bytes(const struct journal *j)
{
	return atomic_load(&j->bytes);
}

void
journal_drop_before(struct journal *j, uint64_t segment)
{
	segment = MIN_OF(segment, j->segment);
	if (segment <= atomic_load(&j->oldest))
		return;
	pthread_mutex_lock(&j->lock);
	j->drop = MAX_OF(j->drop, segment);
	if (j->idle)
		pthread_cond_signal(&j->wake);
	pthread_mutex_unlock(&j->lock);
}

/* The thread: telling */

static void
tell(struct journal *j)
{
	if (j->conf.progress != NULL)
		j->conf.progress(j->conf.owner);
}

static void
tell_error(struct journal *j, int code, const char *what)
{
	int saved = errno;

	pthread_mutex_lock(&j->lock);
	j->progress.error = code;
	snprintf(j->progress.text, sizeof(j->progress.text), "%s %.80s: %s",
	    what, j->folder.path, strerror(saved));
	pthread_mutex_unlock(&j->lock);
	tell(j);
}

static int
broken(struct journal *j)
{
	tell_error(j, ERR_IO, "can not flush");
	return ERR_IO;
}

/* Waits before the next attempt; false if the journal is being closed. */
static bool
pause_before_retry(struct journal *j)
{
	uint32_t ms = j->conf.retry_ms == 0 ? 1000 : j->conf.retry_ms;
	struct timespec at;
	bool stop;
	int rc = 0;

	clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_nsec += (long)(ms % 1000) * 1000000;
	at.tv_sec += ms / 1000 + at.tv_nsec / 1000000000;
	at.tv_nsec %= 1000000000;
	pthread_mutex_lock(&j->lock);
	while (!j->stop && rc == 0)
		rc = pthread_cond_timedwait(&j->wake, &j->lock, &at);
	stop = j->stop;
	pthread_mutex_unlock(&j->lock);
	return !stop;
}

/* The thread: files */

static int
sync_now(struct journal *j)
{
	if (j->synced == j->end)
		return 0;
	if (journal_io.fdatasync(j->fd) < 0)
		return broken(j);
	j->synced = j->end;
	return 0;
}

static int
begin_segment(struct journal *j, const struct cut *c)
{
	int rc = sync_now(j), fd;

	if (rc != 0)
		return rc;
	while ((fd = journal_create(&j->folder, c->number, c->header)) < 0) {
		if (fd == ERR_IO)
			return broken(j);
		tell_error(j, ERR_AGAIN, "can not write to");
		if (!pause_before_retry(j))
			return ERR_AGAIN;
	}
	close(j->fd);
	j->fd = fd;
	j->file_seed = c->seed;
	j->end = j->synced = j->marked = JOURNAL_HEADER;
	atomic_fetch_add(&j->bytes, JOURNAL_HEADER);
	return 0;
}

/* Writes at the end of the file, however long that takes. */
static int
write_piece(struct journal *j, const char *p, size_t len)
{
	while (journal_write(j->fd, p, len, j->end) < 0) {
		int saved = errno;

		/* what is left there if this fails is overwritten later */
		(void)!journal_io.ftruncate(j->fd, (off_t)j->end);
		errno = saved;
		tell_error(j, ERR_AGAIN, "can not write to");
		if (!pause_before_retry(j))
			return ERR_AGAIN;
	}
	j->end += len;
	j->folder.segments[j->folder.n - 1].bytes = j->end;
	atomic_fetch_add(&j->bytes, len);
	return 0;
}

/* The first piece, with a marker before it if there is something to say. */
static int
write_first(struct journal *j, struct batch *b, size_t end)
{
	size_t from = JOURNAL_MARK;
	int rc;

	if (end == from)
		return 0;
	if (j->synced > j->marked) {
		journal_mark(
		    j->file_seed, JOURNAL_MARKER, j->synced, b->bytes.ptr);
		from = 0;
	}
	rc = write_piece(j, b->bytes.ptr + from, end - from);
	if (rc == 0 && from == 0)
		j->marked = j->synced;
	return rc;
}

static int
write_batch(struct journal *j, struct batch *b)
{
	size_t end = b->n_cuts > 0 ? b->cuts[0].at : b->bytes.len;
	int rc = write_first(j, b, end);

	for (size_t i = 0; rc == 0 && i < b->n_cuts; i++) {
		size_t from = b->cuts[i].at;

		end = i + 1 < b->n_cuts ? b->cuts[i + 1].at : b->bytes.len;
		rc = begin_segment(j, &b->cuts[i]);
		if (rc == 0)
			rc = write_piece(j, b->bytes.ptr + from, end - from);
	}
	return rc;
}

/* Deletes segments older than `before`; never the newest. */
static void
drop_segments(struct journal *j, uint64_t before)
{
	struct journal_folder *f = &j->folder;
	char name[JOURNAL_NAME];
	size_t n = 0;

	while (n + 1 < f->n && f->segments[n].number < before) {
		journal_name(f->segments[n].number, name);
		if (unlinkat(f->fd, name, 0) < 0 && errno != ENOENT)
			break; /* it stays the oldest; next time, then */
		atomic_fetch_sub(&j->bytes, f->segments[n].bytes);
		n++;
	}
	f->n -= n;
	memmove(f->segments, f->segments + n, f->n * sizeof(*f->segments));
	atomic_store(&j->oldest, f->segments[0].number);
	if (n > 0)
		(void)journal_io.fsync(f->fd); /* else they may come back */
}

/* The thread: groups */

static void
told_written(struct journal *j, uint64_t group, bool all_done)
{
	bool news;

	pthread_mutex_lock(&j->lock);
	news = all_done || j->progress.error != 0;
	j->progress.written = group;
	j->progress.error = 0;
	j->progress.text[0] = '\0';
	j->in_flight = 0;
	pthread_mutex_unlock(&j->lock);
	if (news)
		tell(j);
}

static void
told_synced(struct journal *j, uint64_t group)
{
	pthread_mutex_lock(&j->lock);
	j->progress.synced = group;
	pthread_mutex_unlock(&j->lock);
	tell(j);
}

/* Brings one group as far as it asked for, and then drops segments. */
static int
commit(struct journal *j, struct batch *b, uint64_t group, uint64_t drop)
{
	bool sync = b->any_disk || drop != 0;
	int rc = write_batch(j, b);

	if (rc != 0)
		return rc;
	if (!batch_empty(b))
		told_written(j, group, b->any_os);
	if (sync) {
		rc = sync_now(j);
		if (rc != 0)
			return rc;
		told_synced(j, group);
	}
	if (drop != 0)
		drop_segments(j, drop);
	return 0;
}

/* Waits for work and takes it; NULL when there is none and will be none. */
static struct batch *
take(struct journal *j, uint64_t *group, uint64_t *drop)
{
	struct batch *b;

	pthread_mutex_lock(&j->lock);
	while (!j->kicked && j->drop == 0 && !j->stop) {
		j->idle = true;
		pthread_cond_wait(&j->wake, &j->lock);
		j->idle = false;
	}
	b = j->fill;
	*drop = j->drop;
	*group = batch_empty(b) ? j->group - 1 : j->group++;
	j->drop = 0;
	atomic_store_explicit(&j->kicked, false, memory_order_relaxed);
	j->in_flight = b->bytes.len - JOURNAL_MARK;
	j->fill = b == &j->batches[0] ? &j->batches[1] : &j->batches[0];
	if (j->stop && batch_empty(b) && *drop == 0)
		b = NULL;
	pthread_mutex_unlock(&j->lock);
	return b;
}

/* An orderly end: all is flushed, and the file says so. */
static void
finish(struct journal *j, uint64_t group)
{
	char frame[JOURNAL_MARK];

	if (j->end > j->synced) {
		if (sync_now(j) != 0)
			return;
		told_synced(j, group);
	}
	if (j->synced == j->marked)
		return;
	journal_mark(j->file_seed, JOURNAL_MARKER, j->synced, frame);
	if (journal_write(j->fd, frame, sizeof(frame), j->end) < 0)
		(void)!journal_io.ftruncate(j->fd, (off_t)j->end);
}

static void *
run(void *arg)
{
	struct journal *j = arg;
	uint64_t group, drop;
	struct batch *b;

	pthread_setname_np(pthread_self(), "journal");
	while ((b = take(j, &group, &drop)) != NULL) {
		if (commit(j, b, group, drop) != 0)
			return NULL; /* broken, or closed with a full disk */
		batch_reset(b);
	}
	finish(j, group);
	return NULL;
}

/* Signals are for other threads; SIGXFSZ, too: the write says it. */
static int
start_thread(struct journal *j)
{
	sigset_t all, old;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&j->thread, NULL, run, j);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return rc;
}

static void
set_up(struct journal *j, const struct journal_conf *conf,
    const struct journal_end *end)
{
	pthread_condattr_t attr;
	uint64_t bytes = 0;

	j->conf = *conf;
	j->conf.dir = NULL; /* lent for the call; folder.path is ours */
	j->segment = end->number;
	j->next = end->next;
	j->offset = end->bytes;
	j->seed = j->file_seed = end->seed;
	j->fd = end->fd;
	j->end = j->synced = end->bytes;
	j->marked =
	    end->marked || end->bytes == JOURNAL_HEADER ? end->bytes : 0;
	j->group = 1;
	j->fill = &j->batches[0];
	batch_reset(&j->batches[0]);
	batch_reset(&j->batches[1]);
	for (size_t i = 0; i < j->folder.n; i++)
		bytes += j->folder.segments[i].bytes;
	atomic_init(&j->bytes, bytes);
	atomic_init(&j->oldest, j->folder.segments[0].number);
	pthread_mutex_init(&j->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&j->wake, &attr);
	pthread_condattr_destroy(&attr);
}

static void
tear_down(struct journal *j)
{
	close(j->fd);
	journal_unload(&j->folder);
	batch_fini(&j->batches[0]);
	batch_fini(&j->batches[1]);
	pthread_cond_destroy(&j->wake);
	pthread_mutex_destroy(&j->lock);
	free(j);
}

int
journal_open(const struct journal_conf *conf, struct journal **ret,
    uint64_t *cut, struct err *err)
{
	struct journal *j = mem_new(struct journal);
	struct journal_end end;
	int rc = journal_load(conf, &j->folder, &end, cut, err);

	if (rc != 0) {
		free(j);
		return rc;
	}
	set_up(j, conf, &end);
	rc = start_thread(j);
	if (rc != 0) {
		errno = rc;
		rc = err_errno(err, "start a thread for %s", conf->dir);
		tear_down(j);
		return rc;
	}
	*ret = j;
	return 0;
}

void
journal_close(struct journal *j)
{
	if (j == NULL)
		return;
	pthread_mutex_lock(&j->lock);
	j->stop = true;
	pthread_cond_signal(&j->wake);
	pthread_mutex_unlock(&j->lock);
	pthread_join(j->thread, NULL);
	tear_down(j);
}
