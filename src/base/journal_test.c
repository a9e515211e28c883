/*
 * base/journal_test.c - asks the promises of journal.h: what comes back after
 * the process, the disk or somebody's fingers did their worst.
 */
#include "base/test.h"

#include "base/base.h"
#include "base/file.h"
#include "base/journal_private.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEGMENT 1000 /* bytes; small, so that there are many */

struct fixture {
	char dir[64];
	struct journal_conf conf;
	struct journal *j;
	struct buf heard; /* "text;" of each record that was read back */
	uint64_t last_segment;
	uint64_t cut;
	int refuse_at; /* replay() ends with 7 after so many records; 0: not */
	struct err err;

	pthread_mutex_t lock;
	pthread_cond_t news;
	unsigned told; /* calls of progress() */
};

/* The disk as it is, and how often it is to fail. */
static struct journal_io real;
static atomic_int writes_fail, write_errno, short_writes;
static atomic_int syncs_fail, syncs, opens_fail, folder_syncs_fail;
static atomic_bool hold; /* writes wait while it is set */
static atomic_int held;

static bool
due(atomic_int *n)
{
	if (atomic_load(n) == 0)
		return false;
	if (atomic_load(n) > 0)
		atomic_fetch_sub(n, 1);
	return true; /* a negative number: for ever */
}

static ssize_t
test_pwrite(int fd, const void *p, size_t len, off_t at)
{
	atomic_fetch_add(&held, 1);
	while (atomic_load(&hold))
		sched_yield();
	if (due(&writes_fail)) {
		/* half of it is there when the disk is full */
		if (len > 1)
			assert_true(real.pwrite(fd, p, len / 2, at) > 0);
		errno = atomic_load(&write_errno);
		return -1;
	}
	if (due(&short_writes) && len > 1)
		len = (len + 1) / 2;
	return real.pwrite(fd, p, len, at);
}

static int
test_fdatasync(int fd)
{
	atomic_fetch_add(&syncs, 1);
	if (due(&syncs_fail)) {
		errno = EIO;
		return -1;
	}
	return real.fdatasync(fd);
}

static int
test_fsync(int fd)
{
	if (due(&folder_syncs_fail)) {
		errno = EIO;
		return -1;
	}
	return real.fsync(fd);
}

static int
test_openat(int dir, const char *name, int flags, mode_t mode)
{
	if ((flags & O_CREAT) && due(&opens_fail)) {
		errno = EDQUOT;
		return -1;
	}
	return real.openat(dir, name, flags, mode);
}

static void
progress(void *owner)
{
	struct fixture *f = owner;

	pthread_mutex_lock(&f->lock);
	f->told++;
	pthread_cond_broadcast(&f->news);
	pthread_mutex_unlock(&f->lock);
}

static int
replay(void *owner, uint64_t segment, struct str record, struct err *err)
{
	struct fixture *f = owner;

	assert_true(segment >= f->last_segment);
	f->last_segment = segment;
	buf_add_str(&f->heard, record);
	buf_addc(&f->heard, ';');
	if (f->refuse_at > 0 && --f->refuse_at == 0) {
		err_set(err, 7, "enough");
		return 7;
	}
	return 0;
}

static int
setup(void **state)
{
	struct fixture *f = mem_new(struct fixture);

	strcpy(f->dir, "/tmp/marram-journal-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->conf = (struct journal_conf){
		.dir = f->dir,
		.segment_bytes = SEGMENT,
		.pending_bytes = 1 << 20,
		.retry_ms = 1,
		.progress = progress,
		.replay = replay,
		.owner = f,
	};
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->news, NULL);
	writes_fail = short_writes = syncs_fail = syncs = 0;
	opens_fail = folder_syncs_fail = held = 0;
	hold = false;
	write_errno = ENOSPC;
	journal_io.pwrite = test_pwrite;
	journal_io.fdatasync = test_fdatasync;
	journal_io.fsync = test_fsync;
	journal_io.openat = test_openat;
	*state = f;
	return 0;
}

static void
remove_folder(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *e;

	assert_non_null(dir);
	while ((e = readdir(dir)) != NULL)
		(void)unlinkat(dirfd(dir), e->d_name, 0);
	closedir(dir);
	assert_int_equal(rmdir(path), 0);
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	journal_io = real;
	journal_close(f->j);
	remove_folder(f->dir);
	buf_free(&f->heard);
	pthread_mutex_destroy(&f->lock);
	pthread_cond_destroy(&f->news);
	free(f);
	return 0;
}

static int
try_open(struct fixture *f)
{
	buf_clear(&f->heard);
	f->last_segment = 0;
	f->cut = 99;
	f->err.text[0] = '\0';
	return journal_open(&f->conf, &f->j, &f->cut, &f->err);
}

static void
open_it(struct fixture *f)
{
	if (try_open(f) != 0)
		fail_msg("%s", f->err.text);
}

static void
close_it(struct fixture *f)
{
	journal_close(f->j);
	f->j = NULL;
}

static uint64_t
append(struct fixture *f, enum journal_level level, const char *text)
{
	struct str piece = str_of(text);
	uint64_t group;

	assert_int_equal(
	    journal_append(f->j, level, &piece, 1, &group, NULL), 0);
	return group;
}

/* Waits until what `done` looks for is so. */
static void
wait_for(struct fixture *f,
    bool (*done)(const struct journal_progress *p, uint64_t n), uint64_t n)
{
	struct journal_progress p;

	pthread_mutex_lock(&f->lock);
	for (;;) {
		unsigned told = f->told;

		pthread_mutex_unlock(&f->lock);
		journal_progress(f->j, &p);
		pthread_mutex_lock(&f->lock);
		if (done(&p, n))
			break;
		while (f->told == told)
			pthread_cond_wait(&f->news, &f->lock);
	}
	pthread_mutex_unlock(&f->lock);
}

static bool
is_written(const struct journal_progress *p, uint64_t n)
{
	return p->written >= n;
}

static bool
is_synced(const struct journal_progress *p, uint64_t n)
{
	return p->synced >= n;
}

static bool
has_error(const struct journal_progress *p, uint64_t n)
{
	return p->error == -(int)n;
}

static void
append_and_wait(struct fixture *f, enum journal_level level, const char *text)
{
	uint64_t group = append(f, level, text);

	journal_kick(f->j);
	wait_for(f, level == JOURNAL_DISK ? is_synced : is_written, group);
}

static void
path_of(const struct fixture *f, uint64_t number, char path[128])
{
	char name[JOURNAL_NAME];

	journal_name(number, name);
	snprintf(path, 128, "%s/%s", f->dir, name);
}

static void
read_segment(const struct fixture *f, uint64_t number, struct buf *b)
{
	char path[128];

	path_of(f, number, path);
	buf_clear(b);
	assert_int_equal(file_read(path, b, NULL), 0);
}

static void
write_segment(
    const struct fixture *f, uint64_t number, const char *p, size_t len)
{
	char path[128];
	int fd;

	path_of(f, number, path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, len), len);
	close(fd);
}

static bool
exists(const struct fixture *f, const char *name)
{
	char path[128];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	return stat(path, &st) == 0;
}

/* Fills several segments; "0;1;2;...". */
static void
write_many(struct fixture *f, int from, int to)
{
	char text[64];

	for (int i = from; i < to; i++) {
		snprintf(text, sizeof(text), "%d", i);
		append(f, JOURNAL_DISK, text);
	}
}

static void
expect_many(struct fixture *f, int from, int to)
{
	struct buf want = { 0 };

	for (int i = from; i < to; i++)
		buf_addf(&want, "%d;", i);
	assert_string_equal(buf_z(&f->heard), buf_z(&want));
	buf_free(&want);
}

static void
records_come_back_in_order(void **state)
{
	struct fixture *f = *state;
	struct str pieces[] = { STR("three "), STR(""), STR("pieces") };

	open_it(f);
	assert_int_equal(f->cut, 0);
	append(f, JOURNAL_OS, "one");
	append(f, JOURNAL_DISK, "");
	assert_int_equal(
	    journal_append(f->j, JOURNAL_OS, pieces, 3, NULL, NULL), 0);
	assert_int_equal(
	    journal_append(f->j, JOURNAL_OS, NULL, 0, NULL, NULL), 0);
	close_it(f);
	open_it(f);
	assert_string_equal(buf_z(&f->heard), "one;;three pieces;;");
	assert_int_equal(f->cut, 0);
	append(f, JOURNAL_OS, "more");
	close_it(f);
	open_it(f);
	assert_string_equal(buf_z(&f->heard), "one;;three pieces;;more;");
}

static void
closing_again_and_again_adds_nothing(void **state)
{
	struct fixture *f = *state;
	uint64_t bytes;

	open_it(f);
	bytes = journal_bytes(f->j);
	close_it(f);
	open_it(f);
	assert_int_equal(journal_bytes(f->j), bytes);
	append(f, JOURNAL_OS, "one");
	close_it(f);
	open_it(f);
	bytes = journal_bytes(f->j);
	close_it(f);
	open_it(f);
	assert_int_equal(journal_bytes(f->j), bytes);
}

static void
segments_are_numbered_on_over_restarts(void **state)
{
	struct fixture *f = *state;
	uint64_t newest;

	open_it(f);
	assert_int_equal(journal_newest(f->j), 1);
	write_many(f, 0, 500);
	newest = journal_newest(f->j);
	assert_true(newest > 300 && newest <= 500);
	close_it(f);
	open_it(f);
	expect_many(f, 0, 500);
	assert_int_equal(journal_oldest(f->j), 1);
	assert_int_equal(journal_newest(f->j), newest);
	write_many(f, 500, 1000);
	newest = journal_newest(f->j);
	assert_true(newest > 500);
	close_it(f);
	open_it(f);
	expect_many(f, 0, 1000);
	assert_int_equal(journal_newest(f->j), newest);
	assert_int_equal(f->last_segment, newest);
}

static void
a_group_is_told_as_far_as_it_asked(void **state)
{
	struct fixture *f = *state;
	struct journal_progress p;

	open_it(f);
	syncs = 0;
	append_and_wait(f, JOURNAL_OS, "one");
	journal_progress(f->j, &p);
	assert_int_equal(p.written, 1);
	assert_int_equal(p.synced, 0);
	assert_int_equal(syncs, 0);
	append_and_wait(f, JOURNAL_DISK, "two");
	journal_progress(f->j, &p);
	assert_int_equal(p.written, 2);
	assert_int_equal(p.synced, 2);
	assert_int_equal(syncs, 1);
	assert_int_equal(p.error, 0);
	assert_string_equal(p.text, "");
}

/* The one that ends, and the one that begins. */
static void
segments_are_flushed_before_the_next_is_used(void **state)
{
	struct fixture *f = *state;
	struct str big = { mem_alloc(SEGMENT), SEGMENT };
	uint64_t group = 0;

	open_it(f);
	syncs = 0;
	for (int i = 0; i < 10; i++)
		assert_int_equal(
		    journal_append(f->j, JOURNAL_OS, &big, 1, &group, NULL), 0);
	journal_kick(f->j);
	wait_for(f, is_written, group);
	assert_int_equal(journal_newest(f->j), 10);
	assert_int_equal(syncs, 2 * 9);
	free((char *)big.ptr);
}

static void
what_comes_while_a_group_is_written_is_one_group(void **state)
{
	struct fixture *f = *state;
	uint64_t first, group = 0;

	open_it(f);
	syncs = held = 0;
	hold = true;
	first = append(f, JOURNAL_DISK, "first");
	journal_kick(f->j);
	while (held == 0)
		sched_yield();
	for (int i = 0; i < 20; i++) {
		group = append(f, JOURNAL_DISK, "next");
		journal_kick(f->j);
		assert_int_equal(group, first + 1);
	}
	hold = false;
	wait_for(f, is_synced, group);
	assert_int_equal(syncs, 2);
}

static void
more_than_may_wait_is_refused_until_it_is_written(void **state)
{
	struct fixture *f = *state;
	struct str piece = STR("0123456789012345678901234567890123456789");
	int n = 0;

	f->conf.pending_bytes = 200;
	open_it(f);
	held = 0;
	hold = true;
	append(f, JOURNAL_OS, "first");
	journal_kick(f->j);
	while (held == 0)
		sched_yield();
	while (journal_append(f->j, JOURNAL_OS, &piece, 1, NULL, NULL) == 0)
		n++;
	assert_int_equal(n, 3); /* 3 * 48 + 13 bytes */
	assert_int_equal(
	    journal_append(f->j, JOURNAL_OS, &piece, 1, NULL, NULL), ERR_AGAIN);
	hold = false;
	wait_for(f, is_written, 2);
	append_and_wait(f, JOURNAL_OS, "last");
	close_it(f);
	open_it(f);
	assert_true(str_ends(buf_str(&f->heard), STR("last;")));
}

static void
a_record_larger_than_all_that_may_wait_passes_alone(void **state)
{
	struct fixture *f = *state;
	size_t len = 300000;
	struct str big = { mem_alloc(len), len };

	f->conf.pending_bytes = 1000;
	open_it(f);
	assert_int_equal(
	    journal_append(f->j, JOURNAL_OS, &big, 1, NULL, NULL), 0);
	assert_int_equal(
	    journal_append(f->j, JOURNAL_OS, &big, 1, NULL, NULL), ERR_AGAIN);
	close_it(f);
	open_it(f);
	assert_int_equal(f->heard.len, len + 1);
	free((char *)big.ptr);
}

static void
a_record_over_the_limit_is_refused(void **state)
{
	struct fixture *f = *state;
	struct str pieces[] = { { "", JOURNAL_RECORD_MAX }, { "x", 1 },
		{ "", SIZE_MAX - 10 } };

	open_it(f);
	assert_int_equal(
	    journal_append(f->j, JOURNAL_OS, pieces, 2, NULL, NULL), ERR_LIMIT);
	assert_int_equal(
	    journal_append(f->j, JOURNAL_OS, pieces, 3, NULL, NULL), ERR_LIMIT);
}

static void
a_second_process_is_refused(void **state)
{
	struct fixture *f = *state;
	struct journal *other;

	open_it(f);
	assert_int_equal(
	    journal_open(&f->conf, &other, NULL, &f->err), ERR_EXISTS);
	assert_non_null(strstr(f->err.text, "in use"));
	close_it(f);
	open_it(f);
}

static void
the_owner_may_end_opening(void **state)
{
	struct fixture *f = *state;

	open_it(f);
	write_many(f, 0, 10);
	close_it(f);
	f->refuse_at = 3;
	assert_int_equal(try_open(f), 7);
	assert_string_equal(f->err.text, "enough");
	expect_many(f, 0, 3);
	open_it(f);
	expect_many(f, 0, 10);
}

static void
old_segments_are_dropped_once_all_is_synced(void **state)
{
	struct fixture *f = *state;
	uint64_t newest, group, before;

	open_it(f);
	write_many(f, 0, 500);
	journal_kick(f->j);
	group = append(f, JOURNAL_OS, "500");
	newest = journal_newest(f->j);
	before = journal_bytes(f->j);
	journal_drop_before(f->j, newest - 100);
	wait_for(f, is_synced, group);
	journal_drop_before(f->j, newest + 1000); /* the newest stays */
	append_and_wait(f, JOURNAL_DISK, "501");
	close_it(f);
	open_it(f);
	assert_int_equal(journal_oldest(f->j), newest);
	assert_int_equal(journal_newest(f->j), newest);
	expect_many(f, (int)newest - 1, 502);
	assert_true(journal_bytes(f->j) <= SEGMENT + 100);
	(void)before;
}

static void
dropping_waits_for_the_disk(void **state)
{
	struct fixture *f = *state;

	open_it(f);
	write_many(f, 0, 200);
	journal_kick(f->j);
	append_and_wait(f, JOURNAL_DISK, "200");
	append_and_wait(f, JOURNAL_OS, "201"); /* not on the disk yet */
	syncs_fail = -1;
	journal_drop_before(f->j, journal_newest(f->j));
	wait_for(f, has_error, -ERR_IO);
	assert_int_equal(journal_oldest(f->j), 1);
	syncs_fail = 0;
	close_it(f);
	open_it(f);
	expect_many(f, 0, 202);
}

static void
a_full_disk_is_waited_for(void **state)
{
	static const int reasons[] = { ENOSPC, EDQUOT, EIO, EFBIG };
	struct fixture *f = *state;
	struct journal_progress p;
	struct buf segment = { 0 };

	open_it(f);
	append_and_wait(f, JOURNAL_DISK, "before");
	for (size_t i = 0; i < COUNT_OF(reasons); i++) {
		uint64_t group;
		size_t len;

		read_segment(f, 1, &segment);
		len = segment.len;
		write_errno = reasons[i];
		writes_fail = -1;
		group = append(f, JOURNAL_DISK, "full");
		journal_kick(f->j);
		wait_for(f, has_error, -ERR_AGAIN);
		journal_progress(f->j, &p);
		assert_int_equal(p.written, group - 1);
		assert_non_null(strstr(p.text, f->dir));
		assert_non_null(strstr(p.text, strerror(reasons[i])));
		writes_fail = 0;
		wait_for(f, is_synced, group);
		journal_progress(f->j, &p);
		assert_int_equal(p.error, 0);
		assert_string_equal(p.text, "");
		read_segment(f, 1, &segment);
		assert_int_equal(segment.len, len + 16 + 8 + 4);
	}
	close_it(f);
	open_it(f);
	assert_string_equal(buf_z(&f->heard), "before;full;full;full;full;");
	assert_int_equal(f->cut, 0);
	buf_free(&segment);
}

static void
a_full_disk_leaves_no_half_record_behind(void **state)
{
	struct fixture *f = *state;
	struct buf before = { 0 }, after = { 0 };

	open_it(f);
	append_and_wait(f, JOURNAL_DISK, "before");
	read_segment(f, 1, &before);
	writes_fail = -1;
	append(f, JOURNAL_DISK, "a record that does not fit");
	journal_kick(f->j);
	wait_for(f, has_error, -ERR_AGAIN);
	close_it(f); /* is not kept waiting, and has told nothing as done */
	read_segment(f, 1, &after);
	assert_true(str_eq(buf_str(&before), buf_str(&after)));
	writes_fail = 0;
	open_it(f);
	assert_string_equal(buf_z(&f->heard), "before;");
	buf_free(&before);
	buf_free(&after);
}

static void
a_new_segment_is_waited_for_too(void **state)
{
	struct fixture *f = *state;

	open_it(f);
	write_many(f, 0, 20);
	opens_fail = 3;
	write_many(f, 20, 200);
	append_and_wait(f, JOURNAL_DISK, "200");
	assert_int_equal(opens_fail, 0);
	writes_fail = 5;
	short_writes = 50;
	write_many(f, 201, 400);
	append_and_wait(f, JOURNAL_DISK, "400");
	close_it(f);
	open_it(f);
	expect_many(f, 0, 401);
}

static void
a_file_size_limit_is_as_a_full_disk(void **state)
{
	struct fixture *f = *state;
	struct rlimit old, small;
	uint64_t group;

	f->conf.segment_bytes = 1 << 20;
	open_it(f);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 512;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	write_many(f, 0, 200);
	group = append(f, JOURNAL_DISK, "200");
	journal_kick(f->j);
	wait_for(f, has_error, -ERR_AGAIN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	wait_for(f, is_synced, group);
	close_it(f);
	open_it(f);
	expect_many(f, 0, 201);
}

static void
expect_broken(struct fixture *f)
{
	struct str piece = STR("more");
	struct journal_progress p, later;

	wait_for(f, has_error, -ERR_IO);
	journal_progress(f->j, &p);
	assert_non_null(strstr(p.text, f->dir));
	syncs_fail = folder_syncs_fail = 0; /* too late */
	assert_int_equal(
	    journal_append(f->j, JOURNAL_DISK, &piece, 1, NULL, NULL), ERR_IO);
	journal_kick(f->j);
	close_it(f);
	open_it(f);
	journal_progress(f->j, &later);
	assert_int_equal(later.error, 0);
}

static void
a_failed_flush_breaks_it_until_it_is_opened_anew(void **state)
{
	struct fixture *f = *state;
	struct journal_progress p;

	open_it(f);
	append_and_wait(f, JOURNAL_DISK, "one");
	syncs_fail = 1;
	append(f, JOURNAL_DISK, "two");
	journal_kick(f->j);
	wait_for(f, has_error, -ERR_IO);
	journal_progress(f->j, &p);
	assert_int_equal(p.synced, 1);
	expect_broken(f);
	append_and_wait(f, JOURNAL_DISK, "three");
}

static void
a_failed_flush_of_the_folder_breaks_it_too(void **state)
{
	struct fixture *f = *state;

	open_it(f);
	folder_syncs_fail = 1;
	write_many(f, 0, 200);
	journal_kick(f->j);
	expect_broken(f);
}

/* The process is killed at any byte: a prefix comes back, and appending goes
 * on behind it. */
static void
a_torn_tail_is_cut_wherever_it_was_torn(void **state)
{
	struct fixture *f = *state;
	struct buf whole = { 0 };

	f->conf.segment_bytes = 1 << 20;
	open_it(f);
	append(f, JOURNAL_OS, "zero");
	append(f, JOURNAL_OS, "");
	append(f, JOURNAL_OS, "second");
	append(f, JOURNAL_OS, "third and last");
	close_it(f);
	read_segment(f, 1, &whole);
	for (size_t len = JOURNAL_HEADER; len < whole.len; len++) {
		static const size_t ends[] = { 32, 44, 52, 66, 88 };
		static const char *const want[] = { "", "zero;", "zero;;",
			"zero;;second;", "zero;;second;third and last;" };
		size_t n = 0;

		while (n + 1 < COUNT_OF(ends) && ends[n + 1] <= len)
			n++;
		write_segment(f, 1, whole.ptr, len);
		open_it(f);
		assert_string_equal(buf_z(&f->heard), want[n]);
		assert_int_equal(f->cut, len - ends[n]);
		append(f, JOURNAL_DISK, "on");
		close_it(f);
		open_it(f);
		assert_true(str_ends(buf_str(&f->heard), STR("on;")));
		assert_true(str_starts(buf_str(&f->heard), str_of(want[n])));
		assert_int_equal(f->cut, 0);
		close_it(f);
	}
	buf_free(&whole);
}

static void
a_tail_of_zeros_is_the_end(void **state)
{
	struct fixture *f = *state;
	struct buf whole = { 0 };

	open_it(f);
	append(f, JOURNAL_OS, "one");
	close_it(f);
	read_segment(f, 1, &whole);
	whole.len = JOURNAL_HEADER + JOURNAL_FRAME + 3;
	for (int i = 0; i < 100000; i++)
		buf_addc(&whole, '\0');
	write_segment(f, 1, whole.ptr, whole.len);
	open_it(f);
	assert_string_equal(buf_z(&f->heard), "one;");
	assert_int_equal(f->cut, 100000);
	buf_free(&whole);
}

/* Pages of an unflushed write reach the disk in any order. */
static void
a_hole_in_what_was_never_flushed_is_a_torn_tail(void **state)
{
	struct fixture *f = *state;
	struct buf whole = { 0 };

	open_it(f);
	append_and_wait(f, JOURNAL_DISK, "one");
	append_and_wait(f, JOURNAL_OS, "two");
	append_and_wait(f, JOURNAL_OS, "three");
	read_segment(f, 1, &whole); /* as it is when power goes */
	close_it(f);
	whole.ptr[JOURNAL_HEADER + 11 + 16 + 8] ^= 1; /* the t of "two" */
	write_segment(f, 1, whole.ptr, whole.len);
	open_it(f);
	assert_string_equal(buf_z(&f->heard), "one;");
	assert_int_equal(f->cut, 11 + 13);
	buf_free(&whole);
}

static void
damage_to_what_was_flushed_is_told_with_its_place(void **state)
{
	struct fixture *f = *state;
	struct buf whole = { 0 };

	open_it(f);
	append_and_wait(f, JOURNAL_DISK, "one");
	append_and_wait(f, JOURNAL_DISK, "two");
	close_it(f);
	read_segment(f, 1, &whole);
	whole.ptr[JOURNAL_HEADER + 8] ^= 1;
	write_segment(f, 1, whole.ptr, whole.len);
	assert_int_equal(try_open(f), ERR_IO);
	assert_non_null(strstr(f->err.text, f->dir));
	assert_non_null(strstr(f->err.text, "00000000000000000001.log"));
	assert_non_null(strstr(f->err.text, "byte 32"));
	assert_string_equal(buf_z(&f->heard), "");

	f->conf.salvage = true;
	open_it(f);
	assert_string_equal(buf_z(&f->heard), "");
	assert_int_equal(f->cut, whole.len - JOURNAL_HEADER);
	assert_true(exists(f, "00000000000000000001.log.bad"));
	append(f, JOURNAL_DISK, "on");
	close_it(f);
	f->conf.salvage = false;
	open_it(f);
	assert_string_equal(buf_z(&f->heard), "on;");
	buf_free(&whole);
}

/* The number of the segment behind `number`. */
static uint64_t
next_segment(const struct fixture *f, uint64_t number)
{
	char name[JOURNAL_NAME];

	do
		journal_name(++number, name);
	while (!exists(f, name));
	return number;
}

/* Damages a segment in the middle by `how`; salvage keeps all others. */
static void
damage_the_middle(struct fixture *f,
    void (*how)(struct fixture *f, uint64_t second, uint64_t third),
    int kept_of_second)
{
	struct buf want = { 0 };
	uint64_t second, third;

	open_it(f);
	write_many(f, 0, 300);
	close_it(f);
	second = next_segment(f, 1);
	third = next_segment(f, second);
	how(f, second, third);
	assert_int_equal(try_open(f), ERR_IO);

	f->conf.salvage = true;
	open_it(f);
	for (int i = 0; i < 300; i++) {
		if (i < (int)second - 1 + kept_of_second || i >= (int)third - 1)
			buf_addf(&want, "%d;", i);
	}
	assert_string_equal(buf_z(&f->heard), buf_z(&want));
	close_it(f);

	f->conf.salvage = false; /* it is whole again */
	open_it(f);
	assert_string_equal(buf_z(&f->heard), buf_z(&want));
	assert_int_equal(f->cut, 0);
	append(f, JOURNAL_DISK, "on");
	close_it(f);
	open_it(f);
	assert_true(str_ends(buf_str(&f->heard), STR("299;on;")));
	buf_free(&want);
}

static void
flip_a_bit(struct fixture *f, uint64_t second, uint64_t third)
{
	struct buf b = { 0 };

	(void)third;
	read_segment(f, second, &b);
	b.ptr[JOURNAL_HEADER + 3 * 10 + 2 * 11 + 9] ^= 0x10; /* in the sixth */
	write_segment(f, second, b.ptr, b.len);
	buf_free(&b);
}

static void
damage_in_the_middle_is_an_error_unless_salvaged(void **state)
{
	damage_the_middle(*state, flip_a_bit, 5);
}

static void
cut_at_a_frame(struct fixture *f, uint64_t second, uint64_t third)
{
	struct buf b = { 0 };

	(void)third;
	read_segment(f, second, &b);
	write_segment(f, second, b.ptr, JOURNAL_HEADER + 3 * 10 + 4 * 11);
	buf_free(&b);
}

static void
a_segment_that_ends_early_is_noticed(void **state)
{
	damage_the_middle(*state, cut_at_a_frame, 7);
}

static void
remove_it(struct fixture *f, uint64_t second, uint64_t third)
{
	char path[128];

	(void)third;
	path_of(f, second, path);
	unlink(path);
}

static void
a_missing_segment_is_noticed(void **state)
{
	damage_the_middle(*state, remove_it, 0);
}

/* What salvage left is damaged once more: the gap grows. */
static void
a_gap_that_grows_is_salvaged_too(void **state)
{
	struct fixture *f = *state;
	struct buf want = { 0 };
	uint64_t third, fourth;
	char path[128];

	damage_the_middle(f, remove_it, 0);
	close_it(f);
	third = next_segment(f, 1);
	fourth = next_segment(f, third);
	path_of(f, third, path);
	unlink(path);
	assert_int_equal(try_open(f), ERR_IO);
	f->conf.salvage = true;
	open_it(f);
	close_it(f);
	f->conf.salvage = false;
	open_it(f);
	buf_addf(&want, ";%" PRIu64 ";", fourth - 1);
	assert_non_null(strstr(buf_z(&f->heard), buf_z(&want)));
	assert_true(str_ends(buf_str(&f->heard), STR("299;on;")));
	close_it(f);

	/* and the newest may go, too */
	path_of(f, fourth, path);
	unlink(path);
	open_it(f);
	assert_int_equal(journal_newest(f->j), fourth);
	append(f, JOURNAL_OS, "behind");
	close_it(f);
	open_it(f);
	assert_true(str_ends(buf_str(&f->heard), STR(";behind;")));
	buf_free(&want);
}

static void
break_the_magic(struct fixture *f, uint64_t second, uint64_t third)
{
	struct buf b = { 0 };

	(void)third;
	read_segment(f, second, &b);
	b.ptr[0] ^= 1;
	write_segment(f, second, b.ptr, b.len);
	buf_free(&b);
}

static void
a_foreign_file_in_the_middle_is_set_aside(void **state)
{
	struct fixture *f = *state;
	struct buf b = { 0 };

	open_it(f);
	write_many(f, 0, 300);
	close_it(f);
	break_the_magic(f, next_segment(f, 1), 0);
	assert_int_equal(try_open(f), ERR_PROTO);
	assert_non_null(strstr(f->err.text, "is no segment of a journal"));
	f->conf.salvage = true;
	open_it(f);
	assert_true(str_ends(buf_str(&f->heard), STR("299;")));
	close_it(f);
	f->conf.salvage = false;
	open_it(f);
	assert_true(str_ends(buf_str(&f->heard), STR("299;")));
	buf_free(&b);
}

static void
a_copied_or_future_segment_is_refused(void **state)
{
	struct fixture *f = *state;
	struct buf b = { 0 };
	uint64_t second;

	open_it(f);
	write_many(f, 0, 300);
	close_it(f);
	second = next_segment(f, 1);
	read_segment(f, 1, &b);
	write_segment(f, second, b.ptr, b.len);
	assert_true(try_open(f) < 0);
	assert_non_null(strstr(f->err.text, "copied or renamed"));

	write_segment(f, second, b.ptr, JOURNAL_HEADER - 1);
	assert_true(try_open(f) < 0);
	assert_non_null(strstr(f->err.text, "too short"));

	b.ptr[8] = 2;
	write_segment(f, 1, b.ptr, b.len);
	f->conf.salvage = true; /* never touches what it does not know */
	assert_int_equal(try_open(f), ERR_PARAM);
	assert_non_null(strstr(f->err.text, "format 2"));
	buf_free(&b);
}

/* Frames of an older life of the same segment lie where new ones are torn. */
static void
records_of_an_older_file_are_never_believed(void **state)
{
	struct fixture *f = *state;
	struct buf old = { 0 }, now = { 0 };
	char path[128];

	open_it(f);
	append(f, JOURNAL_DISK, "old1");
	append(f, JOURNAL_DISK, "old2");
	close_it(f);
	read_segment(f, 1, &old);
	path_of(f, 1, path);
	unlink(path);
	open_it(f);
	append_and_wait(f, JOURNAL_DISK, "new1");
	read_segment(f, 1, &now);
	close_it(f);
	buf_add(&now, old.ptr + now.len, old.len - now.len);
	write_segment(f, 1, now.ptr, now.len);
	open_it(f);
	assert_string_equal(buf_z(&f->heard), "new1;");
	assert_int_equal(f->cut, old.len - JOURNAL_HEADER - 12);
	buf_free(&old);
	buf_free(&now);
}

/* Whatever bit is flipped: an error, or records that were written, in order. */
static void
a_flipped_bit_is_never_believed(void **state)
{
	struct fixture *f = *state;
	struct buf whole = { 0 }, want = { 0 };

	f->conf.segment_bytes = 1 << 20;
	open_it(f);
	for (int i = 0; i < 20; i++) {
		char text[32];

		snprintf(text, sizeof(text), "record %d", i);
		buf_addf(&want, "%s;", text);
		if (i % 4 == 0)
			append_and_wait(f, JOURNAL_DISK, text);
		else
			append(f, JOURNAL_OS, text);
	}
	close_it(f);
	read_segment(f, 1, &whole);
	for (size_t bit = 0; bit < whole.len * 8; bit += 1 + bit % 3) {
		whole.ptr[bit / 8] ^= (char)(1 << bit % 8);
		write_segment(f, 1, whole.ptr, whole.len);
		if (try_open(f) == 0) {
			assert_true(bit / 8 >= whole.len - JOURNAL_MARK);
			close_it(f);
		}
		assert_true(str_starts(buf_str(&want), buf_str(&f->heard)));
		whole.ptr[bit / 8] ^= (char)(1 << bit % 8);
	}
	buf_free(&whole);
	buf_free(&want);
}

static void
a_segment_that_was_being_made_is_forgotten(void **state)
{
	struct fixture *f = *state;
	char path[128];
	int fd;

	open_it(f);
	append(f, JOURNAL_OS, "one");
	close_it(f);
	snprintf(path, sizeof(path), "%s/new", f->dir);
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, "half", 4), 4);
	close(fd);
	open_it(f);
	assert_string_equal(buf_z(&f->heard), "one;");
	assert_false(exists(f, "new"));
}

static void
the_folder_is_made_for_its_owner_only(void **state)
{
	struct fixture *f = *state;
	char dir[80];
	struct stat st;

	snprintf(dir, sizeof(dir), "%s/deep", f->dir);
	f->conf.dir = dir;
	open_it(f);
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	close_it(f);
	remove_folder(dir);
	snprintf(dir, sizeof(dir), "%s/no/way", f->dir);
	assert_int_equal(try_open(f), ERR_IO);
	assert_non_null(strstr(f->err.text, dir));
}

/* A million messages, as the message path appends them. */
static void
many_records_keep_their_order(void **state)
{
	struct fixture *f = *state;
	char text[150] = { 0 };
	struct str pieces[2] = { { text, 8 }, { text + 8, 142 } };
	uint64_t group = 0, n = 0;

	f->conf.segment_bytes = 64 << 20;
	f->conf.pending_bytes = 16 << 20;
	f->conf.replay = NULL;
	open_it(f);
	while (n < 1000000) {
		int rc;

		memcpy(text, &n, 8);
		rc = journal_append(f->j, JOURNAL_OS, pieces, 2, &group, NULL);
		if (rc == ERR_AGAIN) {
			wait_for(f, is_written, group);
			continue;
		}
		assert_int_equal(rc, 0);
		if (++n % 100 == 0)
			journal_kick(f->j);
	}
	close_it(f);
	f->conf.replay = replay;
	open_it(f);
	assert_int_equal(f->heard.len, n * 151);
	for (uint64_t i = 0; i < n; i++)
		assert_memory_equal(f->heard.ptr + i * 151, &i, 8);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(records_come_back_in_order),
		T(closing_again_and_again_adds_nothing),
		T(segments_are_numbered_on_over_restarts),
		T(a_group_is_told_as_far_as_it_asked),
		T(segments_are_flushed_before_the_next_is_used),
		T(what_comes_while_a_group_is_written_is_one_group),
		T(more_than_may_wait_is_refused_until_it_is_written),
		T(a_record_larger_than_all_that_may_wait_passes_alone),
		T(a_record_over_the_limit_is_refused),
		T(a_second_process_is_refused),
		T(the_owner_may_end_opening),
		T(old_segments_are_dropped_once_all_is_synced),
		T(dropping_waits_for_the_disk),
		T(a_full_disk_is_waited_for),
		T(a_full_disk_leaves_no_half_record_behind),
		T(a_new_segment_is_waited_for_too),
		T(a_file_size_limit_is_as_a_full_disk),
		T(a_failed_flush_breaks_it_until_it_is_opened_anew),
		T(a_failed_flush_of_the_folder_breaks_it_too),
		T(a_torn_tail_is_cut_wherever_it_was_torn),
		T(a_tail_of_zeros_is_the_end),
		T(a_hole_in_what_was_never_flushed_is_a_torn_tail),
		T(damage_to_what_was_flushed_is_told_with_its_place),
		T(damage_in_the_middle_is_an_error_unless_salvaged),
		T(a_segment_that_ends_early_is_noticed),
		T(a_missing_segment_is_noticed),
		T(a_gap_that_grows_is_salvaged_too),
		T(a_foreign_file_in_the_middle_is_set_aside),
		T(a_copied_or_future_segment_is_refused),
		T(records_of_an_older_file_are_never_believed),
		T(a_flipped_bit_is_never_believed),
		T(a_segment_that_was_being_made_is_forgotten),
		T(the_folder_is_made_for_its_owner_only),
		T(many_records_keep_their_order),
	};

	real = journal_io;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
