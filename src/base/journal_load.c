/*
 * base/journal_load.c - the files of a journal: making segments, and reading
 * them back; see journal_private.h for the format.
 *
 * What a reader finds behind the last whole frame of a segment:
 *
 *    nothing, or zeros   the end
 *    anything else       in the newest segment: a write that the end of process
 *                        or power tore. It is cut, unless a marker further on
 *                        says that this place had been flushed: then it is
 *                        damage. Elsewhere: damage, because a segment is
 *                        flushed before the next one is made.
 *
 * Looking for markers, and not for any frame that seems whole, has two reasons.
 * After a power cut later pages of an unflushed write may be there and earlier
 * ones not; that is no damage. And a marker has one length, so looking for it
 * at every byte is cheap, whatever a payload holds.
 */
#include "base/journal_private.h"

#include "base/base.h"
#include "base/crc32c.h"
#include "base/mem.h"
#include "base/rand.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIGITS 20
#define WINDOW 65536u /* read at once */
#define TEMP "new"    /* a segment before it has its name */
#define LOCK "lock"

static int
real_openat(int dir, const char *name, int flags, mode_t mode)
{
	return openat(dir, name, flags, mode);
}

struct journal_io journal_io = {
	.pwrite = pwrite,
	.fdatasync = fdatasync,
	.fsync = fsync,
	.ftruncate = ftruncate,
	.openat = real_openat,
};

void
journal_name(uint64_t number, char name[JOURNAL_NAME])
{
	snprintf(name, JOURNAL_NAME, "%0*" PRIu64 ".log", DIGITS, number);
}

/* Of all but itself. */
static uint32_t
header_sum(const char header[JOURNAL_HEADER])
{
	return crc32c(crc32c(0, header, 12), header + 16, JOURNAL_HEADER - 16);
}

uint32_t
journal_header(uint64_t number, char header[JOURNAL_HEADER])
{
	uint32_t seed;

	memcpy(header, JOURNAL_MAGIC, 8);
	journal_put32(header + 8, JOURNAL_VERSION);
	journal_put64(header + 16, number);
	rand_bytes(header + 24, 8);
	seed = header_sum(header);
	journal_put32(header + 12, seed);
	return seed;
}

void
journal_mark(uint32_t seed, enum journal_kind kind, uint64_t value,
    char frame[JOURNAL_MARK])
{
	journal_put32(frame + 4, JOURNAL_HEAD(kind, 8));
	journal_put64(frame + 8, value);
	journal_put32(frame, crc32c(seed, frame + 4, JOURNAL_MARK - 4));
}

int
journal_write(int fd, const char *p, size_t len, uint64_t at)
{
	while (len > 0) {
		ssize_t n = journal_io.pwrite(fd, p, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0) {
			errno = ENOSPC; /* some file systems say it so */
			return -1;
		}
		p += n;
		len -= (size_t)n;
		at += (uint64_t)n;
	}
	return 0;
}

static void
add_segment(struct journal_folder *f, uint64_t number, uint64_t bytes)
{
	if (f->n == f->cap) {
		f->cap = MAX_OF(16, f->cap * 2);
		f->segments =
		    mem_resize(f->segments, f->cap, sizeof(*f->segments));
	}
	f->segments[f->n++] = (struct journal_segment){ number, bytes };
}

static void
forget_segment(struct journal_folder *f, size_t i)
{
	f->n--;
	memmove(&f->segments[i], &f->segments[i + 1],
	    (f->n - i) * sizeof(*f->segments));
}

int
journal_create(struct journal_folder *f, uint64_t number,
    const char header[JOURNAL_HEADER])
{
	char name[JOURNAL_NAME];
	int fd, rc = ERR_AGAIN, saved;

	journal_name(number, name);
	fd = journal_io.openat(
	    f->fd, TEMP, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return ERR_AGAIN;
	if (journal_write(fd, header, JOURNAL_HEADER, 0) < 0)
		goto fail;
	if (journal_io.fdatasync(fd) < 0) {
		rc = ERR_IO;
		goto fail;
	}
	if (renameat(f->fd, TEMP, f->fd, name) < 0)
		goto fail;
	if (journal_io.fsync(f->fd) < 0) {
		rc = ERR_IO;
		goto fail;
	}
	add_segment(f, number, JOURNAL_HEADER);
	return fd;

fail:
	saved = errno;
	close(fd);
	(void)unlinkat(f->fd, TEMP, 0); /* made anew next time anyway */
	errno = saved;
	return rc;
}

/* One segment being read. */
struct reader {
	const struct journal_folder *f;
	int fd;
	uint64_t size;
	char name[JOURNAL_NAME];
	uint32_t seed;
	uint64_t good;   /* end of the last whole frame */
	uint64_t next;   /* number of the record that is expected there */
	bool gap;        /* the last frame was one */
	uint64_t marked; /* end of a marker that spoke of all before itself */

	uint64_t window_at;
	struct buf window;
};

struct frame {
	enum journal_kind kind;
	struct str body; /* lent until the next look() */
};

static void
reader_fini(struct reader *r)
{
	if (r->fd >= 0)
		close(r->fd);
	buf_free(&r->window);
}

/* Fills the window with `len` bytes from `at`; the file has them. */
static int
fill(struct reader *r, uint64_t at, size_t len, struct err *err)
{
	buf_clear(&r->window);
	buf_reserve(&r->window, len);
	r->window_at = at;
	while (r->window.len < len) {
		ssize_t n = pread(r->fd, r->window.ptr + r->window.len,
		    len - r->window.len, (off_t)(at + r->window.len));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			if (n == 0)
				errno = EIO; /* shorter than it said */
			return err_errno(
			    err, "read %s/%s", r->f->path, r->name);
		}
		r->window.len += (size_t)n;
	}
	return 0;
}

/* Lends [at, at + len), which lies inside the file; NULL and `err` if it can
 * not be read. */
static const char *
look(struct reader *r, uint64_t at, size_t len, struct err *err)
{
	uint64_t end = r->window_at + r->window.len;

	if (at < r->window_at || at + len > end) {
		size_t more = (size_t)MIN_OF(WINDOW, r->size - at);

		if (fill(r, at, MAX_OF(len, more), err) != 0)
			return NULL;
	}
	return r->window.ptr + (at - r->window_at);
}

/* 1: a whole frame lies at r->good; 0: none does. */
static int
next_frame(struct reader *r, struct frame *f, struct err *err)
{
	uint64_t left = r->size - r->good;
	const char *p;
	uint32_t head;
	size_t len;

	if (left < JOURNAL_FRAME)
		return 0;
	p = look(r, r->good, JOURNAL_FRAME, err);
	if (p == NULL)
		return ERR_IO;
	head = journal_get32(p + 4);
	f->kind = head >> 29;
	len = head & ((1u << 29) - 1);
	if (f->kind < JOURNAL_RECORD || f->kind > JOURNAL_GAP ||
	    len > JOURNAL_RECORD_MAX || len > left - JOURNAL_FRAME ||
	    (f->kind != JOURNAL_RECORD && len != 8) ||
	    (r->gap && f->kind != JOURNAL_GAP))
		return 0;
	p = look(r, r->good, JOURNAL_FRAME + len, err);
	if (p == NULL)
		return ERR_IO;
	if (crc32c(r->seed, p + 4, JOURNAL_FRAME - 4 + len) != journal_get32(p))
		return 0;
	f->body = (struct str){ p + JOURNAL_FRAME, len };
	return 1;
}

/* The whole of opening. */
struct loading {
	const struct journal_conf *conf;
	struct journal_folder *f;
	uint64_t expected; /* number of the next segment; 0: any */
	uint64_t cut;
	int refused; /* what replay() ended it with */
	struct err *err;
};

/* Reads frames up to the first that is not whole. */
static int
read_frames(struct loading *l, struct reader *r, uint64_t number)
{
	const struct journal_conf *conf = l->conf;
	struct frame f;
	uint64_t value;
	int rc;

	while ((rc = next_frame(r, &f, l->err)) == 1) {
		size_t len = f.body.len;

		switch (f.kind) {
		case JOURNAL_RECORD:
			r->next++;
			if (conf->replay != NULL)
				l->refused = conf->replay(
				    conf->owner, number, f.body, l->err);
			if (l->refused != 0)
				return ERR_INTERNAL;
			break;
		case JOURNAL_MARKER:
			value = journal_get64(f.body.ptr);
			if (value == r->good)
				r->marked = r->good + JOURNAL_MARK;
			break;
		case JOURNAL_GAP:
			value = journal_get64(f.body.ptr);
			if (value <= r->next)
				return 0; /* nothing can be lost there */
			r->next = value;
			r->gap = true;
			break;
		}
		r->good += JOURNAL_FRAME + len;
	}
	return rc;
}

enum tail { ENDED, TORN, DAMAGED };

/* What lies behind the last whole frame? Negative: it can not be read. */
static int
look_at_tail(struct reader *r, struct err *err)
{
	bool zeros = true;
	const char *p;

	for (uint64_t at = r->good; at < r->size; at++) {
		size_t n = (size_t)MIN_OF(JOURNAL_MARK, r->size - at);
		uint64_t value;

		p = look(r, at, n, err);
		if (p == NULL)
			return ERR_IO;
		zeros = zeros && *p == '\0';
		if (n < JOURNAL_MARK ||
		    journal_get32(p + 4) != JOURNAL_HEAD(JOURNAL_MARKER, 8) ||
		    crc32c(r->seed, p + 4, JOURNAL_MARK - 4) !=
			journal_get32(p))
			continue;
		value = journal_get64(p + 8);
		if (value > r->good && value <= at)
			return DAMAGED;
	}
	return zeros ? ENDED : TORN;
}

/* Opens a segment and believes its header. ERR_PROTO: it is none of ours, and
 * may be set aside. */
static int
open_segment(struct reader *r, const struct journal_folder *f, uint64_t number,
    struct err *err)
{
	struct stat st;
	const char *p;
	uint64_t said;

	*r = (struct reader){ .f = f, .next = number };
	journal_name(number, r->name);
	r->fd = journal_io.openat(f->fd, r->name, O_RDWR | O_CLOEXEC, 0);
	if (r->fd < 0 || fstat(r->fd, &st) < 0)
		return err_errno(err, "open %s/%s", f->path, r->name);
	r->size = (uint64_t)st.st_size;
	if (r->size < JOURNAL_HEADER)
		return err_set(err, ERR_PROTO,
		    "%s/%s is no segment of a journal: too short", f->path,
		    r->name);
	p = look(r, 0, JOURNAL_HEADER, err);
	if (p == NULL)
		return ERR_IO;
	if (memcmp(p, JOURNAL_MAGIC, 8) != 0)
		return err_set(err, ERR_PROTO,
		    "%s/%s is no segment of a journal", f->path, r->name);
	if (journal_get32(p + 8) != JOURNAL_VERSION)
		return err_set(err, ERR_PARAM,
		    "%s/%s has format %" PRIu32 ", this program knows %u only",
		    f->path, r->name, journal_get32(p + 8), JOURNAL_VERSION);
	r->seed = journal_get32(p + 12);
	if (r->seed != header_sum(p))
		return err_set(err, ERR_PROTO, "%s/%s is damaged in its header",
		    f->path, r->name);
	said = journal_get64(p + 16);
	if (said != number)
		return err_set(err, ERR_PROTO,
		    "%s/%s says that it is segment %" PRIu64
		    ": it was copied or renamed",
		    f->path, r->name, said);
	r->good = JOURNAL_HEADER;
	return 0;
}

/* A free name for what is set aside: FILE.bad, FILE.bad1, ... */
static void
bad_name(const struct journal_folder *f, const char *name,
    char bad[2 * JOURNAL_NAME])
{
	struct stat st;

	snprintf(bad, 2 * JOURNAL_NAME, "%s.bad", name);
	for (int i = 1; fstatat(f->fd, bad, &st, 0) == 0; i++)
		snprintf(bad, 2 * JOURNAL_NAME, "%s.bad%d", name, i);
}

static int
set_file_aside(const struct journal_folder *f, uint64_t number, struct err *err)
{
	char name[JOURNAL_NAME], bad[2 * JOURNAL_NAME];

	journal_name(number, name);
	bad_name(f, name, bad);
	if (renameat(f->fd, name, f->fd, bad) < 0 ||
	    journal_io.fsync(f->fd) < 0)
		return err_errno(err, "set %s/%s aside", f->path, name);
	return 0;
}

/* Makes the file end behind its last whole frame. */
static int
cut_tail(struct reader *r, struct err *err)
{
	if (r->good < r->size &&
	    (journal_io.ftruncate(r->fd, (off_t)r->good) < 0 ||
		journal_io.fdatasync(r->fd) < 0))
		return err_errno(
		    err, "cut the tail of %s/%s off", r->f->path, r->name);
	r->size = r->good;
	return 0;
}

static int
set_tail_aside(struct reader *r, struct err *err)
{
	char bad[2 * JOURNAL_NAME];
	int fd, rc = 0;

	bad_name(r->f, r->name, bad);
	fd = journal_io.openat(
	    r->f->fd, bad, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_errno(err, "create %s/%s", r->f->path, bad);
	for (uint64_t at = r->good; at < r->size;) {
		size_t n = (size_t)MIN_OF(WINDOW, r->size - at);
		const char *p = look(r, at, n, err);

		if (p == NULL) {
			rc = ERR_IO;
			goto done;
		}
		if (journal_write(fd, p, n, at - r->good) < 0) {
			rc = err_errno(err, "write %s/%s", r->f->path, bad);
			goto done;
		}
		at += n;
	}
	if (journal_io.fdatasync(fd) < 0 || journal_io.fsync(r->f->fd) < 0) {
		rc = err_errno(err, "flush %s/%s", r->f->path, bad);
		goto done;
	}
	rc = cut_tail(r, err);

done:
	close(fd);
	return rc;
}

/* Says at the end of a segment that what followed, up to record `next`, is
 * lost. */
static int
write_gap(const struct journal_folder *f, const struct journal_segment *s,
    uint64_t next, struct err *err)
{
	char frame[JOURNAL_MARK];
	struct reader r;
	int rc = open_segment(&r, f, s->number, err);

	if (rc != 0)
		goto done;
	journal_mark(r.seed, JOURNAL_GAP, next, frame);
	if (journal_write(r.fd, frame, sizeof(frame), s->bytes) < 0 ||
	    journal_io.ftruncate(r.fd, (off_t)(s->bytes + sizeof(frame))) < 0 ||
	    journal_io.fdatasync(r.fd) < 0)
		rc = err_errno(err, "write %s/%s", f->path, r.name);

done:
	reader_fini(&r);
	return rc;
}

/* The segment at `i` does not follow the one before it. 1: it was set aside. */
static int
out_of_order(struct loading *l, size_t i)
{
	struct journal_segment *s = &l->f->segments[i];
	int rc;

	if (!l->conf->salvage)
		return err_set(l->err, ERR_IO,
		    "%s: record %" PRIu64 " is missing: the next segment is "
		    "%0*" PRIu64 ".log",
		    l->f->path, l->expected, DIGITS, s->number);
	if (s->number > l->expected) {
		rc = write_gap(l->f, &s[-1], s->number, l->err);
		s[-1].bytes += rc == 0 ? JOURNAL_MARK : 0;
		return rc;
	}
	l->cut += s->bytes;
	rc = set_file_aside(l->f, s->number, l->err);
	return rc == 0 ? 1 : rc;
}

static int
damaged(struct loading *l, struct reader *r)
{
	if (!l->conf->salvage)
		return err_set(l->err, ERR_IO,
		    "%s/%s is damaged at byte %" PRIu64, l->f->path, r->name,
		    r->good);
	l->cut += r->size - r->good;
	return set_tail_aside(r, l->err);
}

/* Drops what the kernel holds of the newest segment, once that is flushed: what
 * is believed was read from the disk, not from pages that a failed flush left
 * behind. */
static int
settle(struct reader *r, struct err *err)
{
	if (journal_io.fdatasync(r->fd) < 0)
		return err_errno(err, "flush %s/%s", r->f->path, r->name);
	(void)posix_fadvise(r->fd, 0, 0, POSIX_FADV_DONTNEED);
	return 0;
}

/* Reads the segment at `i`. 1: it was set aside. */
static int
load_segment(struct loading *l, size_t i, struct journal_end *end)
{
	struct journal_segment *s = &l->f->segments[i];
	bool last = i + 1 == l->f->n;
	struct reader r = { .fd = -1 };
	int rc;

	if (l->expected != 0 && s->number != l->expected) {
		rc = out_of_order(l, i);
		if (rc != 0)
			return rc;
	}
	rc = open_segment(&r, l->f, s->number, l->err);
	if (rc == ERR_PROTO && l->conf->salvage) {
		l->cut += s->bytes;
		rc = set_file_aside(l->f, s->number, l->err);
		rc = rc == 0 ? 1 : rc;
		goto done;
	}
	if (rc == 0 && last)
		rc = settle(&r, l->err);
	if (rc == 0)
		rc = read_frames(l, &r, s->number);
	if (rc == 0 && r.good < r.size)
		rc = look_at_tail(&r, l->err);
	if (rc == DAMAGED || (rc == TORN && !last)) {
		rc = damaged(l, &r);
	} else if (rc == TORN || (rc == ENDED && last)) {
		l->cut += r.size - r.good;
		rc = cut_tail(&r, l->err);
	}
	if (rc != 0)
		goto done;
	s->bytes = r.good;
	l->expected = r.next;
	if (last && !r.gap) {
		*end = (struct journal_end){ .fd = r.fd,
			.seed = r.seed,
			.number = s->number,
			.next = r.next,
			.bytes = r.good,
			.marked = r.marked == r.good };
		r.fd = -1; /* handed over */
	}

done:
	reader_fini(&r);
	return rc;
}

/* The first segment, or one behind what salvage left. */
static int
begin_anew(struct loading *l, struct journal_end *end)
{
	uint64_t number = MAX_OF(l->expected, 1);
	char header[JOURNAL_HEADER];
	uint32_t seed = journal_header(number, header);
	int fd = journal_create(l->f, number, header);

	if (fd < 0)
		return err_errno(l->err, "make a segment in %s", l->f->path);
	*end = (struct journal_end){ .fd = fd,
		.seed = seed,
		.number = number,
		.next = number,
		.bytes = JOURNAL_HEADER };
	return 0;
}

static int
load_segments(struct loading *l, struct journal_end *end)
{
	end->fd = -1;
	for (size_t i = 0; i < l->f->n;) {
		uint64_t number = l->f->segments[i].number;
		int rc = load_segment(l, i, end);

		if (rc < 0)
			return rc;
		if (rc == 1) {
			forget_segment(l->f, i);
			if (l->expected == 0 && l->f->n == 0)
				l->expected = number;
		} else {
			i++;
		}
	}
	if (end->fd < 0)
		return begin_anew(l, end);
	return 0;
}

static bool
is_segment(const char *name, uint64_t *number)
{
	struct str s = { name, DIGITS };

	if (strlen(name) != DIGITS + 4 || strcmp(name + DIGITS, ".log") != 0)
		return false;
	for (int i = 0; i < DIGITS; i++) {
		if (name[i] < '0' || name[i] > '9')
			return false;
	}
	return str_to_u64(s, number) && *number > 0;
}

static int
by_number(const void *a, const void *b)
{
	const struct journal_segment *x = a, *y = b;

	return x->number < y->number ? -1 : x->number > y->number;
}

static int
list_segments(struct journal_folder *f, struct err *err)
{
	int fd = openat(f->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int rc = 0;

	if (dir == NULL) {
		rc = err_errno(err, "list %s", f->path);
		if (fd >= 0)
			close(fd);
		return rc;
	}
	for (errno = 0; (e = readdir(dir)) != NULL; errno = 0) {
		struct stat st;
		uint64_t number;

		if (!is_segment(e->d_name, &number))
			continue;
		if (fstatat(f->fd, e->d_name, &st, 0) < 0)
			break;
		if (!S_ISREG(st.st_mode)) {
			rc = err_set(err, ERR_IO, "%s/%s is no file", f->path,
			    e->d_name);
			goto done;
		}
		add_segment(f, number, (uint64_t)st.st_size);
	}
	if (errno != 0)
		rc = err_errno(err, "list %s", f->path);
	if (f->n > 1)
		qsort(f->segments, f->n, sizeof(*f->segments), by_number);

done:
	closedir(dir);
	return rc;
}

/* A folder that was made now must itself survive a power cut. */
static int
make_folder(const char *path, struct err *err)
{
	char *parent;
	char *slash;
	int fd, rc = 0;

	if (mkdir(path, 0700) < 0)
		return errno == EEXIST ? 0 : err_errno(err, "make %s", path);
	parent = mem_printf("%s", path);
	slash = strrchr(parent, '/');
	if (slash != NULL)
		slash[slash == parent] = '\0';
	fd = open(
	    slash == NULL ? "." : parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || journal_io.fsync(fd) < 0)
		rc = err_errno(err, "flush the folder of %s", path);
	if (fd >= 0)
		close(fd);
	free(parent);
	return rc;
}

static int
open_folder(struct journal_folder *f, const char *path, struct err *err)
{
	*f = (struct journal_folder){ .fd = -1, .lock = -1 };
	f->path = mem_printf("%s", path);
	if (make_folder(path, err) != 0)
		return ERR_IO;
	f->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f->fd < 0)
		return err_errno(err, "open %s", path);
	f->lock = openat(f->fd, LOCK, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (f->lock < 0)
		return err_errno(err, "open %s/" LOCK, path);
	if (flock(f->lock, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return err_errno(err, "lock %s", path);
		return err_set(
		    err, ERR_EXISTS, "%s is in use by another process", path);
	}
	return list_segments(f, err);
}

int
journal_load(const struct journal_conf *conf, struct journal_folder *f,
    struct journal_end *end, uint64_t *cut, struct err *err)
{
	struct loading l = { .conf = conf, .f = f, .err = err };
	int rc = open_folder(f, conf->dir, err);

	if (rc == 0) {
		(void)unlinkat(f->fd, TEMP, 0); /* never had its name */
		rc = load_segments(&l, end);
	}
	if (rc != 0) {
		journal_unload(f);
		return l.refused != 0 ? l.refused : rc;
	}
	if (cut != NULL)
		*cut = l.cut;
	return 0;
}

void
journal_unload(struct journal_folder *f)
{
	if (f->lock >= 0)
		close(f->lock);
	if (f->fd >= 0)
		close(f->fd);
	free(f->segments);
	free(f->path);
}
