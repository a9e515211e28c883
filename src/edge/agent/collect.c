/*
 * edge/agent/collect.c - tedge-collect: runs a program and keeps what it writes
 * in a file, all of it or its last lines, however much that is.
 *
 * The last N lines: they go into one of two files; when it has N, the other is
 * begun anew. What is wanted then is the end of the older and all of the newer.
 */
#include "edge/agent/programs.h"

#include "base/base.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define LINE_MAX_BYTES 65536 /* a longer one counts as several */

struct part {
	FILE *f;
	uint64_t lines, bytes;
};

struct tail {
	struct part old, now;
	uint64_t lines, bytes; /* at most, of each */
	const char *search;
};

static bool
take_line(struct tail *t, const char *line, size_t len)
{
	if (t->search[0] != '\0' &&
	    memmem(line, len, t->search, strlen(t->search)) == NULL)
		return true;
	if (t->now.lines == t->lines || t->now.bytes + len > t->bytes) {
		if (t->old.f != NULL)
			fclose(t->old.f);
		t->old = t->now;
		t->now = (struct part){ .f = tmpfile() };
		if (t->now.f == NULL)
			return false;
	}
	t->now.lines++;
	t->now.bytes += len;
	return fwrite(line, 1, len, t->now.f) == len;
}

static bool
copy_all(FILE *from, FILE *to)
{
	char bytes[16384];
	size_t n;

	while ((n = fread(bytes, 1, sizeof(bytes), from)) > 0)
		if (fwrite(bytes, 1, n, to) != n)
			return false;
	return ferror(from) == 0;
}

static bool
put_tail(struct tail *t, FILE *out)
{
	char line[LINE_MAX_BYTES];
	uint64_t want = t->lines - t->now.lines, skip;

	if (t->old.f != NULL) {
		rewind(t->old.f);
		skip = t->old.lines > want ? t->old.lines - want : 0;
		while (skip-- > 0 && fgets(line, sizeof(line), t->old.f))
			;
		if (!copy_all(t->old.f, out))
			return false;
	}
	rewind(t->now.f);
	return copy_all(t->now.f, out);
}

static bool
collect_lines(FILE *in, FILE *out, struct tail *t)
{
	char line[LINE_MAX_BYTES];
	bool ok;

	t->now.f = tmpfile();
	ok = t->now.f != NULL;
	while (ok && fgets(line, sizeof(line), in) != NULL)
		ok = take_line(t, line, strlen(line));
	ok = ok && put_tail(t, out);
	if (t->old.f != NULL)
		fclose(t->old.f);
	if (t->now.f != NULL)
		fclose(t->now.f);
	return ok;
}

/* 0; ERR_LIMIT: there is more. */
static int
collect_all(FILE *in, FILE *out, uint64_t max)
{
	char bytes[16384];
	uint64_t total = 0;
	size_t n;

	while ((n = fread(bytes, 1, sizeof(bytes), in)) > 0) {
		total += n;
		if (total > max)
			return ERR_LIMIT;
		if (fwrite(bytes, 1, n, out) != n)
			return ERR_IO;
	}
	return 0;
}

/* Not more than leaves room for others on that disk, or in that memory. */
static uint64_t
at_most(int fd, uint64_t max)
{
	struct statvfs fs;
	uint64_t room;

	if (fstatvfs(fd, &fs) != 0)
		return max;
	room = (uint64_t)fs.f_bavail * fs.f_frsize / 2;
	return room < max ? room : max;
}

static bool
number(const char *text, uint64_t none, uint64_t *ret)
{
	*ret = none;
	return text == NULL || str_to_u64(str_of(text), ret);
}

int
collect_main(int argc, char **argv)
{
	const char *const names[] = { "out", "lines", "search", "max", NULL };
	const char *values[4] = { 0 }, *words[64] = { 0 };
	struct tail tail = { 0 };
	FILE *in = NULL, *out;
	int fd, rc, status;
	uint64_t max, lines;
	pid_t pid;
	size_t n;

	if (!program_args(argc, argv, names, values, words, 63, &n))
		return 1;
	if (n == 0 || values[0] == NULL || !number(values[3], 64 << 20, &max) ||
	    !number(values[1], 0, &lines))
		return program_fail(1,
		    "usage: tedge-collect --out FILE [--lines N] "
		    "[--search TEXT] [--max BYTES] -- PROGRAM...");
	fd = open(values[0], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	out = fd >= 0 ? fdopen(fd, "w") : NULL;
	if (out == NULL)
		return program_fail(
		    1, "make %s: %s", values[0], strerror(errno));
	max = at_most(fd, max);
	rc = program_start(words, &pid, &in);
	if (rc != 0)
		return program_fail(1, "start %s: %s", words[0], strerror(rc));
	if (lines > 0) {
		tail.lines = lines;
		tail.bytes = max;
		tail.search = values[2] != NULL ? values[2] : "";
		rc = collect_lines(in, out, &tail) ? 0 : ERR_IO;
	} else {
		rc = collect_all(in, out, max);
	}
	fclose(in); /* who writes on is ended by that */
	if (fclose(out) != 0 && rc == 0)
		rc = ERR_IO;
	status = program_wait(pid);
	if (rc == ERR_LIMIT)
		return program_fail(
		    1, "it is larger than %llu bytes", (unsigned long long)max);
	if (rc != 0)
		return program_fail(
		    1, "write %s: %s", values[0], strerror(errno));
	return status;
}
