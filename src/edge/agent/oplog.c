/*
 * edge/agent/oplog.c - see oplog.h.
 */
#include "edge/agent/oplog.h"

#include "base/base.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEEP 5 /* when nothing is said */

unsigned
oplog_keep(struct strs keep, const char *op)
{
	unsigned ret = KEEP;
	bool own = false;

	for (size_t i = 0; i < keep.n; i++) {
		struct str rest = str_trim(keep.at[i]);
		struct str name = str_trim(str_cut(&rest, ':'));
		uint64_t n;

		if (!str_to_u64(str_trim(rest), &n) || n > 100000)
			continue;
		if (str_eqz(name, op)) {
			ret = (unsigned)n;
			own = true;
		} else if (str_eqz(name, "*") && !own) {
			ret = (unsigned)n;
		}
	}
	return ret;
}

struct old {
	char *name;
	struct timespec at;
};

static int
newest_first(const void *a, const void *b)
{
	const struct old *x = a, *y = b;

	if (x->at.tv_sec != y->at.tv_sec)
		return x->at.tv_sec < y->at.tv_sec ? 1 : -1;
	if (x->at.tv_nsec != y->at.tv_nsec)
		return x->at.tv_nsec < y->at.tv_nsec ? 1 : -1;
	return strcmp(y->name, x->name);
}

/* Deletes the oldest, so that with one more there are `keep`. */
static void
make_room(const char *dir, struct str prefix, unsigned keep)
{
	struct old *olds = NULL;
	struct dirent *e;
	size_t n = 0;
	DIR *d = opendir(dir);

	while (d != NULL && (e = readdir(d)) != NULL) {
		struct str name = str_of(e->d_name);
		struct stat st;

		if (!str_starts(name, prefix) || !str_ends(name, STR(".log")) ||
		    fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		olds = mem_resize(olds, n + 1, sizeof(*olds));
		olds[n++] = (struct old){ str_dupz(name), st.st_mtim };
	}
	if (n > 0)
		qsort(olds, n, sizeof(*olds), newest_first);
	for (size_t i = 0; i < n; i++) {
		if (i + 1 >= keep)
			(void)unlinkat(dirfd(d), olds[i].name, 0);
		free(olds[i].name);
	}
	free(olds);
	if (d != NULL)
		closedir(d);
}

/* A command's id is chosen by who asks: it must not lead elsewhere. */
static void
add_safe(struct buf *out, struct str s)
{
	for (size_t i = 0; i < s.len && i < 180; i++) {
		char c = s.ptr[i];
		bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    (c >= '0' && c <= '9') || strchr("._:@+-", c) != NULL;

		buf_addc(out, fine && c != '\0' ? c : '_');
	}
}

int
oplog_open(struct oplog *l, const char *dir, struct str prefix, struct str name,
    const char *op, struct strs keep, struct err *err)
{
	struct buf path = { 0 };
	unsigned most = oplog_keep(keep, op);

	l->fd = -1;
	buf_addf(&path, "%s/agent", dir);
	(void)mkdir(buf_z(&path), 0775); /* or open() below says why not */
	if (most > 0)
		make_room(buf_z(&path), prefix, most);
	buf_addc(&path, '/');
	add_safe(&path, name);
	buf_addz(&path, ".log");
	l->path = buf_z(&path);
	if (most == 0)
		return 0;
	l->fd = open(l->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	return l->fd >= 0 ? 0 : err_errno(err, "open %s", l->path);
}

void
oplog_close(struct oplog *l)
{
	if (l->path != NULL && l->fd >= 0)
		close(l->fd);
	free(l->path);
	*l = (struct oplog){ 0 };
}

static void
put(struct oplog *l, const struct buf *text)
{
	const char *p = text->ptr;
	size_t left = text->len;

	while (l->path != NULL && l->fd >= 0 && left > 0) {
		ssize_t n = write(l->fd, p, left);

		if (n <= 0) /* a full disk must not end the operation */
			return;
		p += n;
		left -= (size_t)n;
	}
}

void
oplog_line(struct oplog *l, const char *fmt, ...)
{
	struct buf b = { 0 };
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	buf_addf(&b, "%s\n", line);
	put(l, &b);
	buf_free(&b);
}

static void
add_stream(struct buf *b, const char *name, struct str text, bool quiet)
{
	buf_addf(b, "%s <<EOF\n", name);
	if (quiet && text.len > 0)
		buf_addf(b, "(%zu bytes)\n", text.len);
	else
		buf_add_str(b, text);
	if (!quiet && text.len > 0 && text.ptr[text.len - 1] != '\n')
		buf_addc(b, '\n');
	buf_addz(b, "EOF\n");
}

void
oplog_program(struct oplog *l, const char *const *argv,
    const struct child_end *end, bool quiet)
{
	struct buf b = { 0 };

	buf_addz(&b, "----- $");
	for (size_t i = 0; argv[i] != NULL; i++) {
		bool plain = argv[i][0] != '\0' &&
		    strcspn(argv[i], " \t\n\"'\\$") == strlen(argv[i]);

		buf_addf(&b, plain ? " %s" : " \"%s\"", argv[i]);
	}
	if (end->status >= 0 && !end->timed_out) {
		buf_addf(&b, "\nexit status: %d\n\n", end->status);
	} else {
		buf_addz(&b, "\nexit status: ");
		child_end_text(end, &b);
		buf_addz(&b, "\n\n");
	}
	add_stream(&b, "stdout", end->out, quiet);
	buf_addc(&b, '\n');
	add_stream(&b, "stderr", end->err, false);
	buf_addc(&b, '\n');
	put(l, &b);
	buf_free(&b);
}
