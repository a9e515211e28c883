/*
 * edge/mapper/golden_test.c - what goes into a mapper and what comes out of it,
 * as data: golden/NAME.txt, where NAME begins with the mapper's name ("c8y",
 * "c8y_operations"). Blocks are divided by blank lines; a line is
 *
 *	# ...                    said to the reader
 *	= te: a single value     the block's title, with its generation first
 *	conf c8y.url=t.example   a setting; before anything happens
 *	file PATH TEXT           a file below the folder of settings
 *	now 2021-04-22T17:05:26.958340390+02:00    time, and the clock's zone
 *	gone PATH                such a file is removed
 *
 * and of what happens
 *
 *	up                       connected to the broker; a block that does not
 *				 begin so finds that done, some time ago
 *	in TOPIC q1 PAYLOAD      a message ("q1r": retained, "q1c": a copy of
 *	                         one that came on tedge/)
 *	wait 10s                 time passes ("500ms")
 *	answer STATUS BODY       to the oldest request by HTTP; 0 and a
 *	                         sentence: there was none
 *	exit STATUS TEXT         the oldest program ends (-1: at its deadline)
 *	changed                  a watched folder
 *
 * followed by what comes of it, exactly and in this order: lines of double.h.
 * "⏎" is the end of a line in a text; {{20000*a}} stands for 20000 times "a",
 * {{#FF}} for a byte.
 *
 * With MARRAM_GOLDEN=write the files are written anew with what came. Read what
 * has changed before you believe it.
 */
#include "edge/mapper/double.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/test.h"

#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RUN_MIN 1000 /* so long is folded */
#define NOW "2021-04-22T17:05:26.958340390+00:00"

struct block {
	const char *file;
	int line;
	const struct mapper_ops *ops;
	struct mapper_double d;
	char folder[64];
	struct config *config;
	struct str device_id;
	void *m;
	bool begun;         /* it is connected, or is told so by the block */
	struct arena arena; /* of the block */
	struct buf written; /* the file, as it is now */
	size_t wrong;
};

/* --- one block ----------------------------------------------------------- */

static int
remove_one(const char *path, const struct stat *st, int what, struct FTW *ftw)
{
	(void)st;
	(void)what;
	(void)ftw;
	return remove(path);
}

static void
complain(struct block *b, int line, const char *want, struct str got)
{
	fprintf(stderr, "%s:%d: %s" STR_FMT "\n", b->file, line, want,
	    STR_ARG(got));
	b->wrong++;
}

/* "{{20000*a}}" and "⏎" in a text. */
static struct str
unfold(struct block *b, struct str s)
{
	struct buf out = { 0 };
	struct str ret;
	unsigned byte;
	char c;
	int n, used;

	for (size_t i = 0; i < s.len; i++) {
		char *z = arena_z(&b->arena,
		    (struct str){ s.ptr + i, MIN_OF(s.len - i, 24) });

		used = 0;
		if (sscanf(z, "{{%d*%c}}%n", &n, &c, &used) == 2 && used > 0) {
			for (int k = 0; k < n; k++)
				buf_addc(&out, c);
			i += (size_t)used - 1;
		} else if (sscanf(z, "{{#%2x}}%n", &byte, &used) == 1 &&
		    used > 0) {
			buf_addc(&out, (char)byte);
			i += (size_t)used - 1;
		} else if (strncmp(z, "\xE2\x8F\x8E", 3) == 0) {
			buf_addc(&out, '\n');
			i += 2;
		} else {
			buf_addc(&out, s.ptr[i]);
		}
	}
	ret = arena_str(&b->arena, buf_str(&out));
	buf_free(&out);
	return ret.ptr == NULL ? STR("") : ret;
}

static void
begin(struct block *b)
{
	mapper_double_init(&b->d);
	snprintf(b->folder, sizeof(b->folder), "/tmp/golden-XXXXXX");
	assert_non_null(mkdtemp(b->folder));
	b->d.folder = str_of(b->folder);
	assert_int_equal(config_open(b->folder, &b->config, NULL), 0);
	b->device_id = STR("device01");
	b->m = NULL;
	b->begun = false;
}

static void
end(struct block *b)
{
	if (b->d.said.len > 0)
		complain(b, b->line, "and more: ", buf_str(&b->d.said));
	if (b->m != NULL)
		b->ops->close(b->m);
	config_close(b->config);
	(void)nftw(b->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	mapper_double_fini(&b->d);
	arena_clear(&b->arena);
}

static void
open_mapper(struct block *b)
{
	struct mapper_conf conf = {
		.cloud = { .config = b->config, .name = b->ops->name },
		.device_id = b->device_id,
		.root = STR("te"),
		.main_entity = STR("device/main//"),
	};
	struct err err = { 0 };

	if (b->m != NULL)
		return;
	if (b->ops->open(&conf, &b->d.host, &b->m, &err) != 0)
		complain(b, b->line, "not opened: ", str_of(err.text));
	buf_clear(&b->d.said); /* what it watches */
}

static void
set_now(struct block *b, struct str text)
{
	uint32_t nanos = 0, scale = 100000000;
	const char *p = memchr(text.ptr, '.', text.len);
	int64_t ms;
	int h, m;

	if (text.len < 25 || !time_parse(text, &ms)) {
		complain(b, b->line, "no time: ", text);
		return;
	}
	for (p = p == NULL ? "" : p + 1; *p >= '0' && *p <= '9'; p++) {
		nanos += (uint32_t)(*p - '0') * scale;
		scale /= 10;
	}
	sscanf(text.ptr + text.len - 5, "%d:%d", &h, &m);
	b->d.offset_s = (h * 60 + m) * 60;
	if (text.ptr[text.len - 6] == '-')
		b->d.offset_s = -b->d.offset_s;
	b->d.now_ns = ms / 1000 * 1000000000 + nanos;
}

static void
put(struct block *b, struct str path, struct str text)
{
	struct str full =
	    arena_printf(&b->arena, "%s/" STR_FMT, b->folder, STR_ARG(path));

	for (char *p = (char *)full.ptr + strlen(b->folder) + 1; *p != '\0';
	     p++)
		if (*p == '/') {
			*p = '\0';
			(void)mkdir(full.ptr, 0700);
			*p = '/';
		}
	if (file_write(full.ptr, text, NULL) != 0)
		complain(b, b->line, "not written: ", path);
}

static void
message(struct block *b, struct str rest)
{
	struct mapper_msg m = { .topic = str_cut(&rest, ' ') };
	struct str how = str_cut(&rest, ' ');
	struct arena a = { 0 };
	char *topic, *payload;

	m.qos = how.len > 1 ? (uint8_t)(how.ptr[1] - '0') : 0;
	m.retain = how.len > 2 && memchr(how.ptr + 2, 'r', how.len - 2) != NULL;
	m.origin = how.len > 2 && memchr(how.ptr + 2, 'c', how.len - 2) != NULL;
	m.payload = unfold(b, rest);
	/* Of their exact sizes, so that reading behind them is seen. */
	topic = mem_try(m.topic.len);
	payload = mem_try(MAX_OF(m.payload.len, 1));
	memcpy(topic, m.topic.ptr, m.topic.len);
	memcpy(payload, m.payload.ptr, m.payload.len);
	m.topic.ptr = topic;
	m.payload.ptr = payload;
	b->ops->message(b->m, &m, &a);
	free(topic);
	free(payload);
	arena_fini(&a);
}

static int64_t
duration(struct str s)
{
	char unit[3] = "";
	int n = 0;

	sscanf(s.ptr, "%d%2[a-z]", &n, unit);
	return strcmp(unit, "ms") == 0 ? n
	    : strcmp(unit, "m") == 0   ? n * INT64_C(60000)
	    : strcmp(unit, "h") == 0   ? n * INT64_C(3600000)
				       : n * INT64_C(1000);
}

static void
configure(struct block *b, struct str rest)
{
	struct str key = str_cut(&rest, '=');
	struct err err = { 0 };

	if (str_eqz(key, "device.id"))
		b->device_id = arena_str(&b->arena, rest);
	else if (config_set(b->config, key, rest, &err) != 0)
		complain(b, b->line, "conf: ", str_of(err.text));
}

/* What is given before anything happens. False: it is none of it. */
static bool
given(struct block *b, struct str word, struct str rest)
{
	if (str_eqz(word, "conf"))
		configure(b, rest);
	else if (str_eqz(word, "now"))
		set_now(b, rest);
	else if (str_eqz(word, "file")) {
		struct str path = str_cut(&rest, ' ');

		put(b, path, unfold(b, rest));
	} else if (str_eqz(word, "gone"))
		(void)unlink(arena_printf(
		    &b->arena, "%s/" STR_FMT, b->folder, STR_ARG(rest))
				 .ptr);
	else
		return false;
	return true;
}

/* False: nothing that can happen. */
static bool
happens(struct block *b, struct str word, struct str rest)
{
	const struct mapper_ops *ops = b->ops;
	bool known = true;
	int64_t status;

	open_mapper(b);
	if (b->m == NULL)
		return true;
	if (!b->begun && !str_eqz(word, "up"))
		mapper_double_begin(&b->d, ops, b->m);
	b->begun = true;
	if (str_eqz(word, "up")) {
		ops->up(b->m);
	} else if (str_eqz(word, "in")) {
		message(b, rest);
	} else if (str_eqz(word, "wait")) {
		mapper_double_wait(&b->d, ops, b->m, duration(rest));
	} else if (str_eqz(word, "changed")) {
		ops->changed(b->m);
	} else if (str_eqz(word, "answer") || str_eqz(word, "exit")) {
		bool exits = str_eqz(word, "exit");

		known = str_to_i64(str_cut(&rest, ' '), &status) &&
		    (exits ? mapper_double_exit : mapper_double_answer)(
			&b->d, ops, b->m, (int)status, unfold(b, rest));
	} else {
		known = false;
	}
	return known;
}

static bool
is_said(struct str word)
{
	static const char *const all[] = { "out", "http", "carry", "run",
		"watch" };

	for (size_t i = 0; i < COUNT_OF(all); i++)
		if (str_eqz(word, all[i]))
			return true;
	return false;
}

/* A line as it stands in a file: a long run of one character is "{{20000*a}}".
 */
static struct str
fold(struct block *b, struct str line)
{
	struct buf out = { 0 };
	struct str ret;
	size_t n;

	for (size_t i = 0; i < line.len; i += n) {
		for (n = 1; i + n < line.len && line.ptr[i + n] == line.ptr[i];)
			n++;
		if (n >= RUN_MIN)
			buf_addf(&out, "{{%zu*%c}}", n, line.ptr[i]);
		else
			buf_add(&out, line.ptr + i, n);
	}
	ret = arena_str(&b->arena, buf_str(&out));
	buf_free(&out);
	return ret;
}

/* The next line of what the host was asked for. */
static struct str
next_said(struct block *b, size_t *at)
{
	struct str rest = { b->d.said.ptr + *at, b->d.said.len - *at };
	struct str line;

	if (rest.len == 0)
		return STR("nothing");
	line = str_cut(&rest, '\n');
	*at += line.len + 1;
	return fold(b, line);
}

/* --- files --------------------------------------------------------------- */

struct reader {
	struct block b;
	size_t at; /* in b.d.said */
	bool inside, writing;
	size_t blocks;
};

/* What came and was not asked for is put where it came. */
static void
flush_said(struct reader *r)
{
	struct block *b = &r->b;

	while (r->at < b->d.said.len) {
		struct str line = next_said(b, &r->at);

		if (r->writing) {
			buf_add_str(&b->written, line);
			buf_addc(&b->written, '\n');
		} else {
			complain(b, b->line, "came too: ", line);
		}
	}
	buf_clear(&b->d.said);
	r->at = 0;
}

static void
finish(struct reader *r)
{
	if (!r->inside)
		return;
	flush_said(r);
	end(&r->b);
	r->inside = false;
}

static void
title(struct reader *r, struct str text)
{
	struct block *b = &r->b;

	if (!str_starts(text, STR("tedge: ")) && !str_starts(text, STR("te: ")))
		complain(b, b->line, "no generation: ", text);
	begin(b);
	set_now(b, STR(NOW));
	r->inside = true;
	r->blocks++;
}

static void
expected(struct reader *r, struct str line)
{
	struct block *b = &r->b;
	struct str want, got;

	if (r->writing)
		return;       /* flush_said() writes what came */
	want = fold(b, line); /* it may stand there as it is */
	got = next_said(b, &r->at);
	if (!str_eq(want, got)) {
		complain(b, b->line, "want ", want);
		fprintf(stderr, "%s:%d: got  " STR_FMT "\n", b->file, b->line,
		    STR_ARG(got));
	}
}

static void
one_line(struct reader *r, struct str line)
{
	struct str rest = line, word = str_cut(&rest, ' ');
	bool said;

	r->b.line++;
	if (rest.ptr == NULL)
		rest = STR("");
	while (rest.len > 0 && rest.ptr[0] == ' ') { /* "in  " below "out " */
		rest.ptr++;
		rest.len--;
	}
	said = r->inside && is_said(word);
	if (!said && r->inside)
		flush_said(r);
	if (line.len == 0)
		finish(r);
	else if (line.ptr[0] == '=')
		title(r, (struct str){ line.ptr + 2, line.len - 2 });
	else if (said)
		expected(r, line);
	if (!(said && r->writing)) {
		buf_add_str(&r->b.written, line);
		buf_addc(&r->b.written, '\n');
	}
	if (line.len == 0 || said || line.ptr[0] == '=' || line.ptr[0] == '#')
		return;
	if (!r->inside ||
	    (!given(&r->b, word, rest) && !happens(&r->b, word, rest)))
		complain(&r->b, r->b.line, "not understood: ", line);
}

static const struct mapper_ops *
mapper_of(const char *file)
{
	size_t n = strcspn(file, "_.");

	for (size_t i = 0; mapper_list[i] != NULL; i++)
		if (strlen(mapper_list[i]->name) == n &&
		    strncmp(mapper_list[i]->name, file, n) == 0)
			return mapper_list[i];
	return NULL;
}

/* Returns how many lines were wrong. */
static size_t
one_file(const char *name, size_t *blocks)
{
	char *path = mem_printf("%s/%s", GOLDEN_DIR, name);
	struct reader r = { .b = { .file = name, .ops = mapper_of(name) } };
	const char *mode = getenv("MARRAM_GOLDEN");
	struct buf text = { 0 };
	struct str rest;

	r.writing = mode != NULL && strcmp(mode, "write") == 0;
	if (r.b.ops == NULL) {
		complain(&r.b, 0, "no mapper of this name", STR(""));
	} else {
		assert_int_equal(file_read(path, &text, NULL), 0);
		rest = buf_str(&text);
		if (rest.len > 0 && rest.ptr[rest.len - 1] == '\n')
			rest.len--;
		while (rest.ptr != NULL)
			one_line(&r, str_cut(&rest, '\n'));
		finish(&r);
		if (r.writing)
			(void)file_write(path, buf_str(&r.b.written), NULL);
	}
	arena_fini(&r.b.arena);
	buf_free(&r.b.written);
	buf_free(&text);
	free(path);
	*blocks += r.blocks;
	return r.b.wrong;
}

static void
each_message_becomes_what_the_table_says(void **state)
{
	size_t wrong = 0, blocks = 0, files = 0;
	struct dirent *e;
	DIR *dir = opendir(GOLDEN_DIR);

	(void)state;
	assert_non_null(dir);
	while ((e = readdir(dir)) != NULL)
		if (str_ends(str_of(e->d_name), STR(".txt"))) {
			wrong += one_file(e->d_name, &blocks);
			files++;
		}
	closedir(dir);
	printf("%zu blocks in %zu files\n", blocks, files);
	assert_true(files > 0 && blocks >= 300);
	assert_int_equal(wrong, 0);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_message_becomes_what_the_table_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
