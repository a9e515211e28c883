/*
 * plug/gateway/log.c - see log.h.
 *
 * The loop adds lines to `lines`; every `flushInterval` a job takes them to the
 * disk. One thread does it for all gateways, so that the last lines of a closed
 * log come before the first of its successor. What the loop and the thread
 * share is `lines`, `lost`, `busy` and `closed`, under the lock; `file` and
 * what follows it belong to the thread, or while there is no job to nobody.
 */
#include "plug/gateway/log.h"

#include "base/base.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/worker.h"
#include "codec/duration.h"
#include "codec/entity_json.h"
#include "plug/gateway/link.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PENDING_MAX (1u << 20) /* bytes that wait for the thread */
#define QUEUE_MAX 10000
#define SUFFIX_LEN 16 /* ".YYYYMMDD_HHMMSS" */

struct spec {
	struct str type, flush, rotate, size, age;
	int64_t backups;
};

#define S struct spec
static const struct field spec_fields[] = {
	F_TEXT(
	    S, type, "type", .def = "\"none\"", .help = "none or file_logger."),
	F_TEXT(S, flush, "flushInterval", .def = "\"1s\"",
	    .help = "How often it is written."),
	F_TEXT(S, rotate, "logRotateInterval", .def = "\"10m\"",
	    .help = "How often age is looked at; size is with every write."),
	F_TEXT(S, size, "maxSize", .def = "\"\"",
	    .help = "Size at which a new file is begun, such as 2MiB. Empty: "
		    "that of hub.gateway.logSize."),
	F_TEXT(S, age, "maxAge", .def = "\"72h\"",
	    .help = "Files with older lines are begun anew, and those put "
		    "away removed when they are older."),
	F_INT(S, backups, "maxBackup", .def = "10", .max = 10000,
	    .help = "Files that are kept beside the current one; 0: any "
		    "number, up to maxAge."),
	{ 0 },
};
#undef S
const struct record gateway_log_record = { "messageLogger", sizeof(struct spec),
	spec_fields };

struct gateway_log {
	struct loop *loop;
	const struct secrets *secrets;
	struct loop_timer timer;
	int64_t flush_ms, rotate_ms, max_size, max_age_ms, backups;
	char *dir, *name, *path; /* path: dir/name */

	pthread_mutex_t lock;
	struct buf lines;
	uint64_t lost;
	bool busy, closed;

	struct worker_job job;
	struct buf writing;
	int fd; /* -1: not open */
	int64_t size;
	int64_t begun;   /* wall clock, of the first line */
	int64_t checked; /* monotonic, when age was looked at */
};

/* One thread for the process, made when it is first needed. */
static struct worker_pool *pool;
static pthread_once_t pool_once = PTHREAD_ONCE_INIT;

static void
make_pool(void)
{
	pool = worker_pool_new("gateway-log", 1, QUEUE_MAX);
}

/* --- on the thread -------------------------------------------------------- */

/* Is it one of ours that was put away? */
static bool
is_backup(const struct gateway_log *l, const char *name)
{
	size_t len = strlen(l->name);

	return strncmp(name, l->name, len) == 0 && name[len] == '.' &&
	    strlen(name) >= len + SUFFIX_LEN && name[len + 1] >= '0' &&
	    name[len + 1] <= '9';
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names carry their time: sorted, the oldest is first. */
static size_t
list_backups(const struct gateway_log *l, char ***ret)
{
	DIR *d = opendir(l->dir);
	const struct dirent *e;
	char **names = NULL;
	size_t n = 0;

	while (d != NULL && (e = readdir(d)) != NULL) {
		if (!is_backup(l, e->d_name))
			continue;
		names = mem_resize(names, n + 1, sizeof(*names));
		names[n++] = mem_printf("%s/%s", l->dir, e->d_name);
	}
	if (d != NULL)
		closedir(d);
	if (n > 0)
		qsort(names, n, sizeof(*names), by_name);
	*ret = names;
	return n;
}

static void
remove_old(const struct gateway_log *l)
{
	char **names;
	size_t n = list_backups(l, &names);

	for (size_t i = 0; i < n; i++) {
		struct stat st;
		bool many = l->backups > 0 && n - i > (size_t)l->backups;

		if (many ||
		    (stat(names[i], &st) == 0 &&
			(int64_t)st.st_mtime * 1000 <
			    clock_now() - l->max_age_ms))
			unlink(names[i]);
		free(names[i]);
	}
	free(names);
}

/* When the first line of the file was written. */
static int64_t
begun_at(int fd)
{
	char text[TIME_TEXT_LEN];
	int64_t ms;

	if (pread(fd, text, sizeof(text), 0) == sizeof(text) &&
	    time_parse((struct str){ text, sizeof(text) }, &ms))
		return ms;
	return clock_now();
}

static bool
open_file(struct gateway_log *l)
{
	struct stat st;

	if (l->fd >= 0)
		return true;
	(void)mkdir(l->dir, 0750); /* if it fails, so does what follows */
	l->fd = open(l->path,
	    O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (l->fd < 0)
		return false;
	l->size = fstat(l->fd, &st) == 0 ? st.st_size : 0;
	l->begun = begun_at(l->fd);
	return true;
}

static void
put_away(struct gateway_log *l)
{
	char time[TIME_TEXT_LEN + 1];
	char *to;

	time_format(clock_now(), time);
	to = mem_printf("%s.%.4s%.2s%.2s_%.2s%.2s%.2s", l->path, time, time + 5,
	    time + 8, time + 11, time + 14, time + 17);
	for (int i = 1; access(to, F_OK) == 0; i++) {
		to[strlen(l->path) + SUFFIX_LEN] = '\0';
		char *more = mem_printf("%s_%03d", to, i);

		free(to);
		to = more;
	}
	(void)rename(l->path, to);
	free(to);
	close(l->fd);
	l->fd = -1;
	remove_old(l);
}

static void
rotate(struct gateway_log *l, size_t more)
{
	bool due = clock_mono() - l->checked >= l->rotate_ms;

	if (l->size > 0 &&
	    (l->size + (int64_t)more > l->max_size ||
		(due && l->begun < clock_now() - l->max_age_ms)))
		put_away(l);
	else if (due)
		remove_old(l);
	if (due)
		l->checked = clock_mono();
}

/* As many whole lines as still fit the file; one at least. */
static size_t
fitting(const struct gateway_log *l, struct str text)
{
	int64_t room = l->max_size - l->size;
	size_t n = 0;

	if ((int64_t)text.len <= room)
		return text.len;
	while (n < text.len) {
		const char *end = memchr(text.ptr + n, '\n', text.len - n);
		size_t next =
		    end != NULL ? (size_t)(end - text.ptr) + 1 : text.len;

		if (n > 0 && (int64_t)next > room)
			break;
		n = next;
	}
	return n;
}

static void
write_lines(struct gateway_log *l, struct str text)
{
	while (text.len > 0 && open_file(l)) {
		size_t first = fitting(l, text);
		ssize_t n;

		rotate(l, first);
		if (!open_file(l))
			break;
		n = write(l->fd, text.ptr, first);
		if (n <= 0)
			break; /* a full disk costs lines, nothing else */
		l->size += n;
		text.ptr += n;
		text.len -= (size_t)n;
	}
}

static void
free_log(struct gateway_log *l)
{
	if (l->fd >= 0)
		close(l->fd);
	pthread_mutex_destroy(&l->lock);
	buf_free(&l->lines);
	buf_free(&l->writing);
	free(l->dir);
	free(l->name);
	free(l->path);
	free(l);
}

static void
on_job(struct worker_job *job)
{
	struct gateway_log *l = container_of(job, struct gateway_log, job);
	uint64_t lost;
	bool last;

	for (;;) {
		pthread_mutex_lock(&l->lock);
		struct buf swap = l->writing;
		l->writing = l->lines;
		l->lines = swap;
		lost = l->lost;
		l->lost = 0;
		last = l->writing.len == 0 && lost == 0;
		l->busy = !last;
		bool closed = l->closed;
		pthread_mutex_unlock(&l->lock);
		if (last && closed)
			free_log(l);
		if (last)
			return;
		if (lost > 0)
			buf_addf(
			    &l->writing, "%" PRIu64 " lines were lost\n", lost);
		write_lines(l, buf_str(&l->writing));
		buf_clear(&l->writing);
	}
}

/* --- on the loop ---------------------------------------------------------- */

static void
submit(struct gateway_log *l)
{
	bool idle;

	pthread_mutex_lock(&l->lock);
	idle = !l->busy;
	l->busy = true;
	pthread_mutex_unlock(&l->lock);
	if (idle && worker_submit(pool, &l->job) != 0) {
		l->busy = false; /* no job has it: nobody else looks */
		if (l->closed)
			free_log(l);
	}
}

static void
on_timer(struct loop_timer *t)
{
	submit(container_of(t, struct gateway_log, timer));
}

/* Bytes of a valid character at the front; 0: it is none. */
static size_t
character(struct str s)
{
	unsigned char c = (unsigned char)*s.ptr;
	size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

	if (c < 0x20 || c == 0x7f || n > s.len)
		return 0;
	return n == 1 || str_is_utf8((struct str){ s.ptr, n }) ? n : 0;
}

static void
add_text(struct gateway_log *l, struct str s)
{
	while (s.len > 0) {
		size_t n = secrets_at(l->secrets, s);

		if (n > 0) {
			buf_addz(&l->lines, "***");
		} else if (*s.ptr == '\\') {
			n = 1;
			buf_addz(&l->lines, "\\\\");
		} else if ((n = character(s)) > 0) {
			buf_add(&l->lines, s.ptr, n);
		} else {
			n = 1;
			buf_addf(&l->lines, "\\x%02x", (unsigned char)*s.ptr);
		}
		s.ptr += n;
		s.len -= n;
	}
}

void
gateway_log_put(
    struct gateway_log *l, bool sent, struct str topic, struct str data)
{
	char time[TIME_TEXT_LEN + 1];

	if (l == NULL)
		return;
	time_format(clock_now(), time);
	pthread_mutex_lock(&l->lock);
	if (l->lines.len + topic.len + data.len > PENDING_MAX) {
		l->lost++;
	} else {
		buf_addf(&l->lines, "%s\t%s\t", time, sent ? "Sent" : "Recd");
		add_text(l, topic);
		if (topic.ptr != NULL)
			buf_addc(&l->lines, '\t');
		add_text(l, data);
		buf_addc(&l->lines, '\n');
	}
	pthread_mutex_unlock(&l->lock);
	if (!loop_is_running(&l->timer))
		loop_after(l->loop, &l->timer, l->flush_ms);
}

void
gateway_log_close(struct gateway_log *l)
{
	bool idle;

	if (l == NULL)
		return;
	loop_cancel(l->loop, &l->timer);
	pthread_mutex_lock(&l->lock);
	l->closed = true;
	idle = !l->busy;
	l->busy = true;
	pthread_mutex_unlock(&l->lock);
	/* a job that runs sees `closed` before it ends */
	if (idle && worker_submit(pool, &l->job) != 0)
		free_log(l);
}

/* --- open ----------------------------------------------------------------- */

static int
size_of(struct str text, int64_t other, int64_t *ret, struct err *err)
{
	static const struct {
		const char *unit;
		int64_t bytes;
	} units[] = { { "KiB", 1 << 10 }, { "MiB", 1 << 20 },
		{ "GiB", 1 << 30 }, { "kB", 1000 }, { "MB", 1000000 },
		{ "GB", 1000000000 }, { "B", 1 }, { "", 1 } };
	int64_t n = 0;
	size_t i = 0, digits = 0;

	text = str_trim(text);
	*ret = other;
	if (text.len == 0)
		return 0;
	while (digits < text.len && text.ptr[digits] >= '0' &&
	    text.ptr[digits] <= '9')
		digits++;
	while (i < COUNT_OF(units) &&
	    !str_eq_nocase(
		str_trim((struct str){ text.ptr + digits, text.len - digits }),
		str_of(units[i].unit)))
		i++;
	if (i == COUNT_OF(units) ||
	    !str_to_i64((struct str){ text.ptr, digits }, &n) || n < 1 ||
	    n > (1 << 30) / units[i].bytes)
		return err_set(err, ERR_PARAM,
		    "maxSize: a size like 2MiB is needed, at most 1GiB");
	*ret = n * units[i].bytes;
	return 0;
}

static char *
file_name(const char *gateway)
{
	char *name = mem_printf("gw_%s.log", gateway);

	for (char *p = name; *p != '\0'; p++)
		if (*p == '/' || (unsigned char)*p < 0x20)
			*p = '_';
	return name;
}

static int
read_spec(struct gateway_log *l, const struct spec *s,
    const struct gateway_settings *set, struct err *err)
{
	int rc = gateway_duration(s->flush, "flushInterval", &l->flush_ms, err);

	if (rc == 0)
		rc = gateway_duration(
		    s->rotate, "logRotateInterval", &l->rotate_ms, err);
	if (rc == 0)
		rc = size_of(s->size, set->log_size, &l->max_size, err);
	if (rc == 0 &&
	    (!duration_parse_ms(s->age, &l->max_age_ms) || l->max_age_ms < 1))
		rc = err_set(
		    err, ERR_PARAM, "maxAge: a duration like 72h is needed");
	l->backups = s->backups;
	return rc;
}

int
gateway_log_open(const struct gateway_conf *conf,
    const struct gateway_host *host, const struct secrets *secrets,
    struct gateway_log **ret, struct err *err)
{
	struct gateway_log *l;
	struct arena a = { 0 };
	struct spec s;
	bool none;
	int rc;

	rc = record_read(&gateway_log_record, &a,
	    conf->logger.ptr != NULL ? conf->logger : STR("{}"), &s, err);
	if (rc == 0 && !str_eq_nocase(s.type, STR("none")) &&
	    !str_eq_nocase(s.type, STR("file_logger")) && s.type.len > 0)
		rc = err_set(
		    err, ERR_PARAM, "type: must be none or file_logger");
	none = rc == 0 && !str_eq_nocase(s.type, STR("file_logger"));
	if (rc != 0 || none || host->log_dir == NULL) {
		arena_fini(&a);
		return rc != 0 ? err_wrap(err, "messageLogger") : 0;
	}
	l = mem_new(struct gateway_log);
	(void)pthread_once(&pool_once, make_pool);
	(void)pthread_mutex_init(&l->lock, NULL);
	l->loop = host->loop;
	l->secrets = secrets;
	l->timer.fire = on_timer;
	l->job.run = on_job;
	l->fd = -1;
	l->dir = str_dupz(str_of(host->log_dir));
	l->name = file_name(conf->name);
	l->path = mem_printf("%s/%s", l->dir, l->name);
	l->checked = clock_mono() - 86400000; /* with the first lines */
	rc = read_spec(l, &s, host->settings, err);
	arena_fini(&a);
	if (rc != 0) {
		free_log(l);
		return err_wrap(err, "messageLogger");
	}
	*ret = l;
	return 0;
}
