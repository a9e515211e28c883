/*
 * plug/store/memory_dump_test.c - what a store in memory writes down, and what
 * of it survives what.
 */
#include "plug/store/store.h"
#include "plug/store/test_entities.h"

#include "base/base.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture {
	struct store *s;
	char dir[32];
	struct err err;
};

static char told[300];

static void
on_trouble(const char *text)
{
	snprintf(told, sizeof(told), "%s", text != NULL ? text : "well");
}

static int
try_open(struct fixture *f)
{
	const struct store_conf conf = { .engine = "memory",
		.entities = test_entities,
		.dump_dir = f->dir,
		.dump_ms = 3600 * 1000,
		.trouble = on_trouble };

	return store_open(&conf, &f->s, &f->err);
}

static void
open_it(struct fixture *f)
{
	if (try_open(f) != 0)
		fail_msg("%s", f->err.text);
}

static int
set_up(void **state)
{
	struct fixture *f = mem_new(struct fixture);

	told[0] = '\0';
	strcpy(f->dir, "/tmp/dump-XXXXXX");
	if (mkdtemp(f->dir) == NULL)
		return -1;
	*state = f;
	open_it(f);
	return 0;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	store_close(f->s);
	(void)nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(f);
	return 0;
}

static void
add_unit(struct store *s, const char *id, const char *code)
{
	struct t_unit u = { str_of(id), str_of(code), { 0 } };
	struct err err;

	if (store_add(s, &unit_entity, &u, &err) != 0)
		fail_msg("%s", err.text);
}

static int64_t
units(struct fixture *f)
{
	int64_t n = -1;

	assert_int_equal(store_count(f->s, &unit_entity, NULL, &n, &f->err), 0);
	return n;
}

static void
flush(struct fixture *f)
{
	if (store_flush(f->s, &f->err) != 0)
		fail_msg("%s", f->err.text);
}

/* What a program that was killed leaves: nothing more is written. */
static void
crash(struct fixture *f)
{
	char aside[64], cmd[160];

	snprintf(aside, sizeof(aside), "%s.kept", f->dir);
	snprintf(cmd, sizeof(cmd), "cp -a %s %s", f->dir, aside);
	assert_int_equal(system(cmd), 0);
	store_close(f->s);
	(void)nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	assert_int_equal(rename(aside, f->dir), 0);
	f->s = NULL;
}

static char *
path_of(struct fixture *f, const char *name)
{
	static char path[400];

	snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	return path;
}

static void
write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

/* --- stories ------------------------------------------------------------- */

static void
what_was_deleted_stays_deleted(void **state)
{
	struct fixture *f = *state;
	struct filter gone = { 0 };

	add_unit(f->s, "u1", "one");
	add_unit(f->s, "u2", "two");
	flush(f);
	filter_text(&gone, "code", STR("one"));
	assert_int_equal(
	    store_del(f->s, &unit_entity, &gone, NULL, &f->err), 0);
	store_close(f->s); /* a clean end dumps */
	open_it(f);
	assert_int_equal(units(f), 1);
	assert_int_equal(store_del(f->s, &unit_entity, NULL, NULL, &f->err), 0);
	store_close(f->s);
	open_it(f);
	assert_int_equal(units(f), 0);
}

static void
a_crash_loses_what_came_after_the_dump(void **state)
{
	struct fixture *f = *state;

	add_unit(f->s, "u1", "one");
	flush(f);
	add_unit(f->s, "u2", "two");
	crash(f);
	open_it(f);
	assert_int_equal(units(f), 1);
}

static void
a_half_made_dump_is_nothing(void **state)
{
	struct fixture *f = *state;

	add_unit(f->s, "u1", "one");
	flush(f);
	crash(f);
	assert_int_equal(mkdir(path_of(f, "gen-2.new"), 0700), 0);
	write_text(path_of(f, "gen-2.new/unit__0.json"), "[{\"unit");
	open_it(f);
	assert_int_equal(units(f), 1);
	assert_int_equal(access(path_of(f, "gen-2.new"), F_OK), -1);
	add_unit(f->s, "u2", "two");
	flush(f);
	assert_int_equal(access(path_of(f, "gen-2"), F_OK), 0);
}

static void
a_damaged_dump_does_not_replace_a_good_one(void **state)
{
	static const char *const harm[] = { "unit__0.json", "complete.json" };
	struct fixture *f = *state;

	for (size_t i = 0; i < COUNT_OF(harm); i++) {
		char name[64];

		assert_int_equal(
		    store_del(f->s, &unit_entity, NULL, NULL, &f->err), 0);
		add_unit(f->s, "u1", "one");
		flush(f);
		add_unit(f->s, "u2", "two");
		flush(f);
		crash(f);
		for (int g = 1; g < 20; g++) { /* the newest */
			snprintf(name, sizeof(name), "gen-%d/%s", g, harm[i]);
			if (access(path_of(f, name), F_OK) == 0)
				snprintf(told, sizeof(told), "%s", name);
		}
		write_text(path_of(f, told), "[");
		told[0] = '\0';
		open_it(f);
		assert_int_equal(units(f), 1);
		assert_non_null(strstr(told, "gen-"));
	}
}

static void
when_all_are_damaged_it_is_said(void **state)
{
	struct fixture *f = *state;

	add_unit(f->s, "u1", "one");
	flush(f);
	crash(f);
	write_text(path_of(f, "gen-1/unit__0.json"), "");
	assert_int_equal(try_open(f), ERR_IO);
	f->s = NULL;
	assert_non_null(strstr(f->err.text, "every dump"));
}

static void
a_newer_version_is_refused(void **state)
{
	struct fixture *f = *state;
	struct buf b = { 0 };
	char *at;

	add_unit(f->s, "u1", "one");
	flush(f);
	crash(f);
	assert_int_equal(
	    file_read(path_of(f, "gen-1/complete.json"), &b, &f->err), 0);
	at = strstr(buf_z(&b), "\"unit\":1");
	assert_non_null(at);
	at[7] = '7';
	write_text(path_of(f, "gen-1/complete.json"), b.ptr);
	buf_free(&b);
	assert_int_equal(try_open(f), ERR_PARAM);
	f->s = NULL;
	assert_non_null(strstr(f->err.text, "newer"));
}

static void
nothing_is_written_when_nothing_has_changed(void **state)
{
	struct fixture *f = *state;

	flush(f);
	assert_int_equal(access(path_of(f, "gen-1"), F_OK), -1);
	add_unit(f->s, "u1", "one");
	flush(f);
	flush(f);
	assert_int_equal(access(path_of(f, "gen-1"), F_OK), 0);
	assert_int_equal(access(path_of(f, "gen-2"), F_OK), -1);
}

static void
a_dump_that_fails_is_told_once_and_tried_again(void **state)
{
	struct fixture *f = *state;

	add_unit(f->s, "u1", "one");
	assert_int_equal(rmdir(f->dir), 0);
	write_text(f->dir, "in the way");
	assert_int_not_equal(store_flush(f->s, &f->err), 0);
	assert_non_null(strstr(told, f->dir));
	told[0] = '\0';
	assert_int_not_equal(store_flush(f->s, &f->err), 0);
	assert_string_equal(told, "");
	unlink(f->dir);
	flush(f);
	assert_string_equal(told, "well");
}

static void
files_are_for_their_owner(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	add_unit(f->s, "u1", "one");
	flush(f);
	assert_int_equal(stat(path_of(f, "gen-1"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(stat(path_of(f, "gen-1/unit__0.json"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void
there_is_a_limit(void **state)
{
	struct fixture *f = *state;
	const struct store_conf conf = { .engine = "memory",
		.entities = test_entities,
		.memory_max = 64 * 1024 };
	struct store *s;
	int n = 0, rc = 0;
	struct t_unit u = { .code = STR_NULL };
	struct arena a = { 0 };

	assert_int_equal(store_open(&conf, &s, &f->err), 0);
	while (rc == 0 && n < 10000) {
		u.unit_id = u.code = arena_printf(&a, "u%d", n++);
		rc = store_add(s, &unit_entity, &u, &f->err);
	}
	assert_int_equal(rc, ERR_LIMIT);
	assert_non_null(strstr(f->err.text, "maxBytes"));
	assert_true(n > 10);
	assert_int_equal(store_del(s, &unit_entity, NULL, NULL, &f->err), 0);
	assert_int_equal(store_add(s, &unit_entity, &u, &f->err), 0);
	store_close(s);
	arena_fini(&a);
}

/* --- killed -------------------------------------------------------------- */

static int
add_two(struct store *tx, void *ctx, struct err *err)
{
	int n = *(int *)ctx, rc;
	struct arena a = { 0 };
	struct t_unit one = { arena_printf(&a, "a%d", n),
		arena_printf(&a, "a%d", n), { 0 } };
	struct t_unit two = { arena_printf(&a, "b%d", n),
		arena_printf(&a, "b%d", n), { 0 } };

	rc = store_add(tx, &unit_entity, &one, err);
	if (rc == 0)
		rc = store_add(tx, &unit_entity, &two, err);
	arena_fini(&a);
	return rc;
}

/* Never returns. Writes a byte once a dump is there. */
static void
write_for_ever(struct fixture *f, int from, int tell)
{
	const struct store_conf conf = { .engine = "memory",
		.entities = test_entities,
		.dump_dir = f->dir,
		.dump_ms = 1 };
	struct store *s;

	if (store_open(&conf, &s, &f->err) != 0)
		_exit(1);
	for (int n = from;; n++) {
		if (store_tx(s, add_two, &n, &f->err) != 0)
			_exit(2);
		if (n == from &&
		    (store_flush(s, &f->err) != 0 || write(tell, "x", 1) != 1))
			_exit(3);
	}
}

static void
a_kill_at_any_time_leaves_a_whole_dump(void **state)
{
	struct fixture *f = *state;
	int64_t before = 0;

	store_close(f->s);
	f->s = NULL;
	for (int round = 0; round < 15; round++) {
		int ends[2], status;
		char c;
		pid_t child;

		assert_int_equal(pipe(ends), 0);
		child = fork();
		assert_true(child >= 0);
		if (child == 0)
			write_for_ever(f, (int)before, ends[1]);
		close(ends[1]);
		assert_int_equal(read(ends[0], &c, 1), 1);
		usleep((unsigned)round * 1300);
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status));
		close(ends[0]);

		open_it(f);
		assert_string_equal(told, "");
		assert_int_equal(units(f) % 2, 0); /* pairs, always */
		assert_true(units(f) / 2 > before);
		before = units(f) / 2;
		store_close(f->s);
		f->s = NULL;
	}
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(what_was_deleted_stays_deleted),
		TEST(a_crash_loses_what_came_after_the_dump),
		TEST(a_half_made_dump_is_nothing),
		TEST(a_damaged_dump_does_not_replace_a_good_one),
		TEST(when_all_are_damaged_it_is_said),
		TEST(a_newer_version_is_refused),
		TEST(nothing_is_written_when_nothing_has_changed),
		TEST(a_dump_that_fails_is_told_once_and_tried_again),
		TEST(files_are_for_their_owner),
		TEST(there_is_a_limit),
		TEST(a_kill_at_any_time_leaves_a_whole_dump),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
